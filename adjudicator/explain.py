"""Why a claim was decided as it was: receipt, findings, price, share, payment, from the store."""

from __future__ import annotations

import json
import textwrap
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl
from sqlalchemy import Connection

from adjudicator.edits import EDITS
from adjudicator.store import decided, read_frame
from adjudicator.store.tables import claim, file, finding, payment

SUBMISSION_PREFIX = "S"


class UnknownClaimError(Exception):
    """No claim has that number."""


@dataclass(frozen=True)
class Explanation:
    """A claim's story as data; amounts in cents. Prints through ``as_text``."""

    claim: dict[str, Any]
    received: dict[str, Any]
    findings: list[dict[str, Any]]
    lines: list[dict[str, Any]]
    adjustments: list[dict[str, Any]]
    payment: dict[str, Any] | None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def explain(connection: Connection, number: str, line_number: int | None = None) -> Explanation:
    """The story of the claim with that 12-digit number (leading zeros may be left out), or
    submission ``S<number>``.

    Raises UnknownClaimError.
    """
    text = number.strip()
    if text.upper().startswith(SUBMISSION_PREFIX) and text[1:].isdigit():
        where, key = "claim_id", int(text[1:])
    elif text.isdigit() and len(text) <= 12:
        where, key = "claim_number", text.zfill(12)  # type: ignore[assignment]
    else:
        raise UnknownClaimError("a claim number is up to 12 digits, a submission S and its number")
    found = _rows(connection, claim, where, key)
    if not found:
        raise UnknownClaimError("no claim has this number; look it up in the night's claims.csv")
    row = found[0]
    claim_id = row["claim_id"]

    def of_line(r: dict[str, Any]) -> bool:
        return line_number is None or r["line_number"] in (None, line_number)

    findings = sorted(
        filter(of_line, _rows(connection, finding, "claim_id", claim_id)),
        key=lambda r: (r["run_id"], r["edit_rank"], r["line_number"] or 0),
    )
    latest = max((r["run_id"] for r in findings), default=0)
    findings = [
        {**r, "inputs": json.loads(r["inputs"] or "{}"), "cites": _citation(r["edit"])}
        for r in findings
        if r["run_id"] == latest
    ]
    lines = list(filter(of_line, decided(connection, "lines", [claim_id]).to_dicts()))
    for r in lines:
        for column in ("pricing_inputs", "benefit_inputs"):
            r[column] = json.loads(r[column] or "{}")
    adjustments = list(filter(of_line, decided(connection, "adjustments", [claim_id]).to_dicts()))
    paid = _rows(connection, payment, "payment_id", row["payment_id"]) if row["payment_id"] else []
    received = _rows(connection, file, "file_id", row["file_id"])[0]
    return Explanation(row, received, findings, lines, adjustments, paid[0] if paid else None)


def _rows(connection: Connection, table: Any, column: str, key: object) -> list[dict[str, Any]]:
    schema = {
        c.name: pl.String if "CHAR" in str(c.type).upper() else pl.Int64 for c in table.columns
    }
    names = ", ".join(schema)
    frame = read_frame(
        connection, f"SELECT {names} FROM {table.name} WHERE {column} = ?", schema, (key,)
    )
    return frame.to_dicts()


def _citation(name: str) -> dict[str, Any] | None:
    found = next((e for e in EDITS if e.name == name), None)
    if found is None or found.cites is None:
        return None
    return {
        "document": found.cites.document,
        "lines": list(found.cites.lines),
        "phrase": found.cites.phrase,
    }


def money(cents: int | None) -> str:
    """Cents as dollars for a reader: 1,234.50."""
    if cents is None:
        return "-"
    sign = "-" if cents < 0 else ""
    return f"{sign}{abs(cents) // 100:,}.{abs(cents) % 100:02d}"


WIDTH = 80


def as_text(told: Explanation) -> str:
    """The story at 80 columns."""
    c = told.claim
    out = [
        f"Claim {c['claim_number'] or 'without a number'} (submission S{c['claim_id']})",
        *_told(2, f"patient control number {c['patient_control_number']}"),
        "",
        "RECEIVED",
        *_told(
            2,
            f"{c['received_date']} in {told.received['name']}: interchange "
            f"{c['interchange_number']}, group {c['group_number']}, set {c['set_number']}, "
            f"bytes {c['claim_start']} to {c['claim_end']}",
        ),
        *_told(2, f"{c['source_format_code']}, charge {money(c['charge_amount'])}"),
        "",
        "FINDINGS",
    ]
    for f in told.findings:
        out += _finding(f)
    if not told.findings:
        out.append("  none: no edit objects")
    if told.lines:
        out += ["", "LINES"]
    for row in told.lines:
        out += _line(row, [a for a in told.adjustments if a["line_number"] == row["line_number"]])
    out += ["", "DECIDED", *_told(2, _fate(c))]
    if told.payment:
        p = told.payment
        out += _told(
            2,
            f"payment {p['trace_number']} of {p['payment_date']} to payee {p['payee_id']}, "
            f"{money(p['payment_amount'])} in all, in {p['file_name']}",
        )
    return "\n".join(out)


def _told(indent: int, text: str) -> list[str]:
    return textwrap.wrap(
        text, WIDTH, initial_indent=" " * indent, subsequent_indent=" " * (indent + 2),
        break_on_hyphens=False,
    )  # fmt: skip


def _fate(c: dict[str, Any]) -> str:
    if c["disposition"] is None:
        return "accepted, not decided yet"
    if c["disposition"] == "pended":
        return f"pended: waits for {c['pend_codes']}"
    if c["disposition"] == "rejected":
        return "rejected: returned, never adjudicated, on no 835"
    return (
        f"{c['disposition']}: charge {money(c['charge_amount'])}, allowed "
        f"{money(c['allowed_amount'])}, member {money(c['member_amount'])}, paid "
        f"{money(c['paid_amount'])}"
    )


def _finding(f: dict[str, Any]) -> list[str]:
    where = f"line {f['line_number']}" if f["line_number"] else "whole claim"
    codes = "-".join(x for x in (f["group_code"], f["carc"]) if x)
    codes += f" {f['rarc']}" if f["rarc"] else ""
    asks = {"deny": f"deny {codes}", "pend": f"pend {f['pend_code']}",
            "reject": f"reject {f['status_code']}", "inform": "note"}[f["disposition"]]  # fmt: skip
    out = _told(2, f"{f['edit']} ({where}): {asks}")
    if f["cites"]:
        first, last = f["cites"]["lines"]
        out += _told(
            4, f'source {f["cites"]["document"]}, lines {first}-{last}: "{f["cites"]["phrase"]}"'
        )
    for name, value in f["inputs"].items():
        if value is not None:
            out += _told(4, f"{name.replace('_', ' ')}: {_figure(name, value)}")
    return out


def _figure(name: str, value: Any) -> str:
    """A figure for a reader: amounts in dollars, basis points in percent, the rest as it is."""
    if name.endswith(("_amount", "_remaining")) and isinstance(value, int):
        return money(value)
    if name.endswith("_basis_points") and isinstance(value, int):
        return f"{value // 100}.{value % 100:02d} %"
    return json.dumps(value) if isinstance(value, dict | list) else str(value)


def _figures(inputs: dict[str, Any]) -> str:
    return ", ".join(
        f"{name.removesuffix('_amount').removesuffix('_basis_points').replace('_', ' ')} "
        f"{_figure(name, value)}"
        for name, value in inputs.items()
        if value not in (None, "", False)
    )


def _line(row: dict[str, Any], adjustments: list[dict[str, Any]]) -> list[str]:
    code = row["procedure_code"] or row["revenue_code"] or ""
    modifiers = f":{row['modifier_codes']}" if row["modifier_codes"] else ""
    quantity = row["unit_quantity"] or 0
    units = f"{quantity // 1000}" + (
        f".{quantity % 1000:03d}".rstrip("0") if quantity % 1000 else ""
    )
    out = _told(
        2,
        f"line {row['line_number']}: {code}{modifiers} on {row['service_from_date'] or '-'}, "
        f"units {units}, {row['line_disposition']}",
    )
    if row["plan_code"]:
        category = f", {row['benefit_category']}" if row["benefit_category"] else ""
        out += _told(6, f"plan {row['plan_code']}, {row['network_code']} of network{category}")
    if row["allowed_amount"] is not None:
        out += _told(6, f"allowed {money(row['allowed_amount'])} by {row['pricing_method_code']}: "
                        f"{_figures(row['pricing_inputs'])}")  # fmt: skip
        if row["benefit_inputs"]:
            out += _told(6, f"member's share: {_figures(row['benefit_inputs'])}")
    if row["line_disposition"] in ("paid", "denied"):
        out.append(f"      {money(row['charge_amount']):>14} charged")
        out += [
            f"      {money(-a['adjustment_amount']):>14} {a['group_code']}-{a['carc']}"
            f"{' ' + a['rarc'] if a['rarc'] else ''} {a['reason'].replace('_', ' ')}"
            for a in adjustments
        ]
        out.append(f"      {money(row['paid_amount']):>14} paid")
    return out
