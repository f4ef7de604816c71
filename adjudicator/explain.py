"""Why a claim was decided as it was: receipt, findings, price, share, payment, from the store."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl
from sqlalchemy import Connection

from adjudicator.edits import EDITS
from adjudicator.store import read_frame
from adjudicator.store.tables import adjustment, claim, file, finding, line, payment

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
    lines = sorted(
        filter(of_line, _rows(connection, line, "claim_id", claim_id)),
        key=lambda r: r["line_number"],
    )
    for r in lines:
        for column in ("pricing_inputs", "benefit_inputs"):
            r[column] = json.loads(r[column] or "{}")
    adjustments = sorted(
        filter(of_line, _rows(connection, adjustment, "claim_id", claim_id)),
        key=lambda r: (r["line_number"], r["sequence_number"]),
    )
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


def as_text(told: Explanation) -> str:
    """The story at 80 columns."""
    c = told.claim
    out = [
        f"Claim {c['claim_number'] or 'without a number (rejected)'}"
        f"   submission {c['claim_id']}   patient control number {c['patient_control_number']}",
        "",
        "RECEIVED",
        f"  {c['received_date']} in {told.received['name']}, interchange "
        f"{c['interchange_number']}, group {c['group_number']}, set {c['set_number']}",
        f"  bytes {c['claim_start']} to {c['claim_end']}; {c['source_format_code']}; "
        f"charge {money(c['charge_amount'])}",
        "",
        "FINDINGS",
    ]
    out += [_finding(f) for f in told.findings] or ["  none"]
    if told.lines:
        out += ["", "LINES"]
    for row in told.lines:
        out += _line(row, [a for a in told.adjustments if a["line_number"] == row["line_number"]])
    out += ["", "DECIDED", f"  {_fate(c)}"]
    if told.payment:
        p = told.payment
        out.append(
            f"  payment {p['trace_number']} of {p['payment_date']} to payee {p['payee_id']}: "
            f"{money(p['payment_amount'])} in {p['file_name']}"
        )
    return "\n".join(out)


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


def _finding(f: dict[str, Any]) -> str:
    where = f"line {f['line_number']}" if f["line_number"] else "claim"
    codes = "-".join(x for x in (f["group_code"], f["carc"]) if x)
    codes += f" {f['rarc']}" if f["rarc"] else ""
    asks = {"deny": f"deny {codes}", "pend": f"pend {f['pend_code']}",
            "reject": f"reject {f['status_code']}", "inform": "note"}[f["disposition"]]  # fmt: skip
    text = [f"  {f['edit']} ({where}): {asks}"]
    if f["cites"]:
        a, b = f["cites"]["lines"]
        text.append(f'    source {f["cites"]["document"]}, lines {a}-{b}: "{f["cites"]["phrase"]}"')
    text += [f"    {k}: {v}" for k, v in f["inputs"].items() if v is not None]
    return "\n".join(text)


def _line(row: dict[str, Any], adjustments: list[dict[str, Any]]) -> list[str]:
    code = row["procedure_code"] or row["revenue_code"] or ""
    modifiers = f":{row['modifier_codes']}" if row["modifier_codes"] else ""
    units = (row["unit_quantity"] or 0) / 1000
    out = [
        f"  {row['line_number']}  {code}{modifiers}  {row['service_from_date'] or '-'}  "
        f"units {units:g}  charge {money(row['charge_amount'])}  {row['line_disposition']}"
    ]
    if row["plan_code"]:
        out.append(
            f"     plan {row['plan_code']}, {row['network_code']} of network, "
            f"{row['benefit_category'] or 'no benefit category'}"
        )
    if row["allowed_amount"] is not None:
        figures = ", ".join(f"{k} {v}" for k, v in row["pricing_inputs"].items() if v is not None)
        out.append(f"     allowed {money(row['allowed_amount'])} by {row['pricing_method_code']}")
        out += _wrapped(figures)
        share = ", ".join(f"{k} {v}" for k, v in row["benefit_inputs"].items() if v is not None)
        out += _wrapped(share)
    if adjustments:
        out.append(f"     {money(row['charge_amount'])} charged")
        out += [
            f"     {money(-a['adjustment_amount'])}  {a['group_code']}-{a['carc']}"
            f"{' ' + a['rarc'] if a['rarc'] else ''}  {a['reason']}"
            for a in adjustments
        ]
    if row["line_disposition"] in ("paid", "denied"):
        out.append(f"     {money(row['paid_amount'])} paid")
    return out


def _wrapped(text: str) -> list[str]:
    import textwrap

    return textwrap.wrap(text, 72, initial_indent="       ", subsequent_indent="       ")
