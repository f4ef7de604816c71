"""What a night begins from: the claims still open, what members had before, the counters."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import polars as pl
from sqlalchemy import Connection, func, select

from adjudicator.store.dialect import marks, wanted_keys
from adjudicator.store.rows import read_frame
from adjudicator.store.tables import claim, ledger_entry
from schemas import frames

Keys = pl.Series | Sequence[str]
Numbers = pl.Series | Sequence[int]

OPEN_CLAIMS: dict[str, pl.DataType | type[pl.DataType]] = {
    **{
        name: column.dtype
        for name, column in frames.ClaimSources.columns().items()
        if name in claim.columns
    },
    "claim_number": pl.String,
    "receipt_number": pl.Int64,
    "claim_type_code": pl.String,
    "source_format_code": pl.String,
    "received_date": pl.Date,
    "charge_amount": pl.Int64,
    "version_number": pl.Int64,
    "predecessor_claim_id": pl.Int64,
    "reopened_code": pl.String,
    "disposition": pl.String,
    "pend_codes": pl.String,
    "decided_run_id": pl.Int64,
}


def open_claims(connection: Connection, *, below: int | None = None) -> pl.DataFrame:
    """One row an accepted claim not decided yet or pended, in receipt order.

    With ``below``, only claims numbered below it. Holds the claim's ClaimSources, its numbers, and
    why it waits (OPEN_CLAIMS).
    """
    # in the words of the partial index claim_open; with a word more, SQLite takes another index
    return (
        read_frame(
            connection,
            f"SELECT {', '.join(OPEN_CLAIMS)} FROM claim "
            "WHERE (disposition IS NULL OR disposition = 'pended')"
            # the plus keeps SQLite from taking the key's index for the partial one
            + ("" if below is None else f" AND +claim_id < {int(below)}"),
            OPEN_CLAIMS,
        )
        .filter(pl.col("claim_number").is_not_null())
        .sort("receipt_number", "claim_id")
    )


def history_lines(
    connection: Connection,
    member_ids: Keys,
    exclude_claim_ids: Numbers = (),
    *,
    since: date | None = None,
) -> pl.DataFrame:
    """HistoryLines of the members: lines that stand on claims paid or pended.

    Leaves out the claims named, and with ``since`` the lines whose service ended before it.
    Sorted by claim and line.
    """
    wanted = wanted_keys(connection, "text", member_ids)
    claims = read_frame(
        connection,
        "SELECT c.claim_id, c.claim_number, c.receipt_number, c.member_id, c.claim_type_code, "
        "c.payee_id, c.provider_number AS claim_provider_number "
        f"FROM {wanted} AS w CROSS JOIN claim AS c "
        "WHERE c.member_id = w.key AND c.disposition IN ('paid', 'pended')",
        {
            "claim_id": pl.Int64,
            "claim_number": pl.String,
            "receipt_number": pl.Int64,
            "member_id": pl.String,
            "claim_type_code": pl.String,
            "payee_id": pl.String,
            "claim_provider_number": pl.String,
        },
    ).filter(~pl.col("claim_id").is_in(pl.Series(exclude_claim_ids, dtype=pl.Int64).implode()))
    # in claim order, so that a large store is read forward and not at random
    wanted = wanted_keys(connection, "int", claims["claim_id"])
    [mark] = marks(connection, 1)
    of_line = {
        name: column.dtype
        for name, column in frames.HistoryLines.columns().items()
        if name == "claim_id" or name not in claims.columns
    }
    lines = read_frame(
        connection,
        "SELECT l.claim_id, l.line_number, l.line_disposition, l.provider_number, "
        "l.procedure_code, l.modifier_codes, "
        "l.unit_quantity, l.charge_amount, l.service_from_date, l.service_through_date "
        f"FROM {wanted} AS w CROSS JOIN line AS l "
        "WHERE l.claim_id = w.key AND l.line_disposition IN ('paid', 'pended')"
        + (
            f" AND coalesce(l.service_through_date, l.service_from_date) >= {mark}" if since else ""
        ),
        of_line,
        (since.isoformat(),) if since else (),
    )
    return (
        lines.join(claims, on="claim_id", how="inner")
        .select(frames.HistoryLines.column_names())
        .sort("claim_id", "line_number")
    )


def accumulators(
    connection: Connection, family_ids: Keys, *, since: date | None = None
) -> pl.DataFrame:
    """Accumulators of the families' members: sums over the accumulator entries; cents.

    With ``since``, only benefit years that began on that day or later. Sorted by family, member,
    plan, network, year. A member whose entries stand under two families has a row for each.
    """
    wanted = wanted_keys(connection, "text", family_ids)
    keys = "member_id, family_id, plan_code, network_code, benefit_year_start_date"
    [mark] = marks(connection, 1)
    return read_frame(
        connection,
        f"SELECT {keys}, "
        "CAST(sum(deductible_amount) AS BIGINT) AS deductible_amount, "
        "CAST(sum(out_of_pocket_amount) AS BIGINT) AS out_of_pocket_amount "
        f"FROM {wanted} AS w CROSS JOIN accumulator_entry AS a WHERE a.family_id = w.key"
        + (f" AND benefit_year_start_date >= {mark}" if since else "")
        + f" GROUP BY {keys}",
        frames.Accumulators,
        (since.isoformat(),) if since else (),
    ).sort("family_id", "member_id", "plan_code", "network_code", "benefit_year_start_date")


def referral_visits(connection: Connection, referral_numbers: Keys) -> pl.DataFrame:
    """ReferralVisits of these referrals, by number; nothing of one without any."""
    if not len(referral_numbers):
        return frames.empty(frames.ReferralVisits)
    wanted = wanted_keys(connection, "text", referral_numbers)
    return read_frame(
        connection,
        "SELECT referral_number, CAST(sum(visit_count) AS BIGINT) AS visit_count "
        f"FROM {wanted} AS w CROSS JOIN referral_visit AS r WHERE r.referral_number = w.key "
        "GROUP BY referral_number",
        frames.ReferralVisits,
    ).sort("referral_number")


def authorization_units(connection: Connection, authorization_numbers: Keys) -> pl.DataFrame:
    """AuthorizationUnits of these authorizations, by number; nothing of one without any."""
    if not len(authorization_numbers):
        return frames.empty(frames.AuthorizationUnits)
    wanted = wanted_keys(connection, "text", authorization_numbers)
    return read_frame(
        connection,
        "SELECT authorization_number, CAST(sum(unit_quantity) AS BIGINT) AS unit_quantity "
        f"FROM {wanted} AS w CROSS JOIN authorization_unit AS u "
        "WHERE u.authorization_number = w.key GROUP BY authorization_number",
        frames.AuthorizationUnits,
    ).sort("authorization_number")


def benefit_uses(connection: Connection, member_ids: Keys) -> pl.DataFrame:
    """BenefitUses of these members, sorted by key; what was given back is not there."""
    if not len(member_ids):
        return frames.empty(frames.BenefitUses)
    wanted = wanted_keys(connection, "text", member_ids)
    keys = [c for c in frames.BenefitUses.column_names() if c != "use_count"]
    return read_frame(
        connection,
        f"SELECT {', '.join(keys)}, CAST(sum(use_count) AS BIGINT) AS use_count "
        f"FROM {wanted} AS w CROSS JOIN benefit_use AS b WHERE b.member_id = w.key "
        f"GROUP BY {', '.join(keys)} HAVING sum(use_count) > 0",
        frames.BenefitUses,
    ).sort(keys)


def ledger_head(connection: Connection) -> int:
    """The number of the ledger's last entry; 0 where it is empty."""
    return int(connection.execute(select(func.max(ledger_entry.c.entry_id))).scalar_one() or 0)


def delete_lines(connection: Connection, claim_ids: Numbers) -> int:
    """Takes away the lines of pended claims that tonight writes anew. Returns their number."""
    wanted = wanted_keys(connection, "int", claim_ids)
    return connection.exec_driver_sql(
        f"DELETE FROM line WHERE claim_id IN (SELECT key FROM {wanted})"
    ).rowcount
