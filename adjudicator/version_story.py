"""What came before and after a version of a claim, and how it was taken back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl
from sqlalchemy import Connection

from adjudicator.arithmetic import listed, money
from adjudicator.store.rows import read_frame

_OTHER = {"claim_number": pl.String, "disposition": pl.String, "version_number": pl.Int64}
_REVERSAL = {
    "run_id": pl.Int64, "business_date": pl.String, "entry_amount": pl.Int64,
    "remark_code": pl.String, "by_claim_number": pl.String, "trace_number": pl.String,
    "file_name": pl.String,
}  # fmt: skip


def versions_of(connection: Connection, row: Mapping[str, Any]) -> dict[str, Any] | None:
    """Of a claim's row what it takes the place of (``replaces``) or adds to (``adds_to``), what
    takes its place (``corrected_by``) or was added to it (``late_charges``), and its
    ``reversal``; None where it is the only version. Amounts in cents."""
    claim_id, before = int(row["claim_id"]), row["predecessor_claim_id"]
    names = ", ".join(f"c.{name}" for name in _OTHER)
    after = read_frame(
        connection,
        f"SELECT {names} FROM claim AS c WHERE c.predecessor_claim_id = {claim_id}",
        _OTHER,
    ).sort("claim_number")
    reversals = read_frame(
        connection,
        "SELECT l.run_id, r.business_date, l.entry_amount, l.remark_code, "
        "b.claim_number AS by_claim_number, p.trace_number, p.file_name FROM ledger_entry AS l "
        "JOIN run AS r ON r.run_id = l.run_id JOIN payment AS p ON p.payment_id = l.payment_id "
        "JOIN claim AS b ON b.claim_id = l.by_claim_id "
        f"WHERE l.claim_id = {claim_id} AND l.kind = 'reversal'",
        _REVERSAL,
    ).to_dicts()
    if before is None and after.is_empty() and not reversals:
        return None
    [named] = (
        read_frame(
            connection, f"SELECT {names} FROM claim AS c WHERE c.claim_id = {int(before)}", _OTHER
        ).to_dicts()
        if before is not None
        else [None]
    )
    takes_the_place = row["version_number"] > 1
    return {
        "replaces": named["claim_number"] if named and takes_the_place else None,
        "adds_to": named["claim_number"] if named and not takes_the_place else None,
        "corrected_by": after.filter(pl.col("version_number") > 1)["claim_number"].to_list(),
        "late_charges": after.filter(version_number=1)["claim_number"].to_list(),
        "reversal": reversals[0] if reversals else None,
    }


def told_versions(claim: Mapping[str, Any], versions: Mapping[str, Any]) -> list[str]:
    """The same in sentences."""
    done = {"paid", "denied", "voided"}
    out = []
    if number := versions["replaces"]:
        does = "takes the place of" if claim["disposition"] in done else "is to take the place of"
        out.append(f"version {claim['version_number']}: {does} claim {number}")
    if number := versions["adds_to"]:
        out.append(f"late charges beside claim {number}")
    if numbers := versions["corrected_by"]:
        out.append(f"corrected by claim {listed(numbers)}")
    if numbers := versions["late_charges"]:
        out.append(f"late charges stand beside it: claim {listed(numbers)}")
    if back := versions["reversal"]:
        out.append(
            f"taken back in the night of {back['business_date']} (run {back['run_id']}) by claim "
            f"{back['by_claim_number']}, {back['remark_code']}: {money(back['entry_amount'])} in "
            f"payment {back['trace_number']}, in {back['file_name']}"
        )
    elif claim["disposition"] == "voided" and versions["corrected_by"]:
        out.append("it was never decided: nothing was paid, and nothing is taken back")
    return out
