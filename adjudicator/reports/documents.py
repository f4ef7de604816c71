"""A report's figures as documents, one a payee and program: what PDF, CSV and JSON are made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import polars as pl

from adjudicator.reports.figures import AMOUNTS, Figures, Period, ReportError
from adjudicator.reports.text import clean, csv_text
from schemas.program import AdjustmentCode, MessageCode, Program

FILING_CARC = "29"
METHODS = {"ACH": "electronic transfer", "CHK": "check", "NON": "no payment"}
GROUPS = ("CO", "PR", "OA", "PI")
STATUSES = ("paid", "prepaid", "denied", "pended", "reversed")
NO_PAYEE = {"payee_id": None, "name": "No payee on file", "npi": None, "address_line": None,
            "city": None, "state_code": None, "zip_code": None}  # fmt: skip

CLAIM_FACTS = (
    "claim_number", "patient_control_number", "patient_last_name", "patient_first_name",
    "patient_middle_name", "member_number", "rendering_last_name", "rendering_first_name",
    "rendering_npi", "received_date", "age_days", "status", "message_codes", *AMOUNTS,
)  # fmt: skip
LINE_FACTS = (
    "line_number", "service_from_date", "service_through_date", "revenue_code", "procedure_code",
    "unit_quantity", "plan_code", "network_code", "status", "message_codes", *AMOUNTS,
)  # fmt: skip
PAYMENT_FACTS = (
    "trace_number", "payment_method_code", "payment_date", "payment_amount",
    "file_name",
)  # fmt: skip

BESIDE_FACTS = ("reason_code", "reference_number", "adjustment_amount", "words")

Document = dict[str, Any]
Rows = Mapping[tuple[object, ...], pl.DataFrame]


@dataclass(frozen=True)
class Words:
    """What reports say in our own words: adjustment codes, message codes."""

    adjustments: Mapping[str, AdjustmentCode]
    messages: Mapping[str, MessageCode]

    def of(self, code: str) -> str:
        """The words of a CARC or RARC, a group or a message; of one without words, that much."""
        found = self.adjustments.get(code) or self.messages.get(code)
        return found.words if found else "see the published list of codes"


@dataclass(frozen=True)
class Setting:
    """What a document says beside its figures."""

    title: str
    nights: Period
    programs: Mapping[str, Program]
    payees: pl.DataFrame
    words: Words


def documents(figures: Figures, setting: Setting) -> Iterator[Document]:
    """One document a program and payee, in that order; the claims of no known payee come last of
    their program, in one for the payer's own use.

    Amounts are cents, quantities thousandths, dates ISO text. Raises ReportError for a program
    that is not among the setting's.
    """
    key = ["program_code", "payee_id"]
    claims = figures.claims.with_columns(pl.col(pl.Date).cast(pl.String))
    owner = claims.select(*key, "claim_id")
    lines = (
        figures.lines.rename({"line_disposition": "status"})
        .with_columns(pl.col(pl.Date).cast(pl.String))
        .join(owner, on="claim_id", maintain_order="left")
    )
    adjustments = figures.adjustments.join(owner, on="claim_id", maintain_order="left")
    payments = figures.payments.with_columns(pl.col(pl.Date).cast(pl.String))
    parts: list[Rows] = [
        frame.partition_by(key, as_dict=True, include_key=False)
        for frame in (payments, lines, adjustments, figures.beside)
    ]
    payees = {
        row["payee_id"]: row
        for row in setting.payees.select(NO_PAYEE.keys())
        .with_columns(clean(pl.col(pl.String)))
        .iter_rows(named=True)
    }
    of_payee = claims.partition_by(key, as_dict=True, include_key=False)
    nothing = claims.drop(key).clear()  # of a payee who is paid fees alone
    owners = {*of_payee, *parts[0]}
    for owned in sorted(owners, key=lambda k: (k[0] or "", k[1] is None, k[1] or "")):
        rows = [part.get(owned) for part in parts]
        payee = payees.get(owned[1], {**NO_PAYEE, "payee_id": owned[1]})
        program = setting.programs.get(str(owned[0]))
        if program is None:
            raise ReportError(
                f"program {owned[0]} has claims and no program.yaml; give it back to the "
                "configuration's programs"
            )
        yield _document(of_payee.get(owned, nothing), rows, setting, program, payee)


def _document(
    claims: pl.DataFrame,
    rows: Sequence[pl.DataFrame | None],
    setting: Setting,
    program: Program,
    payee: Mapping[str, Any],
) -> Document:
    payments, lines, adjustments, beside = (r.to_dicts() if r is not None else [] for r in rows)
    told = _adjustments(adjustments, setting.words)
    plans = {
        code: {
            "plan_code": code,
            "name": plan.name,
            "illustrative": any(terms.illustrative for terms in plan.terms),
        }
        for code, plan in program.plans.items()
    }
    of_claim: dict[int, list[dict[str, Any]]] = {}
    for line in lines:
        of_claim.setdefault(line["claim_id"], []).append(
            {
                **{name: line[name] for name in LINE_FACTS},
                "modifier_codes": (line["modifier_codes"] or "").split(":")
                if line["modifier_codes"] else [],
                "message_codes": line["message_codes"] or [],
                "adjustments": told.get((line["claim_id"], line["line_number"]), []),
            }
        )  # fmt: skip
    of_payment: dict[int | None, list[dict[str, Any]]] = {}
    for claim in claims.iter_rows(named=True):
        of_payment.setdefault(claim["payment_id"], []).append(
            {
                **{name: claim[name] for name in CLAIM_FACTS},
                "plans": [plans[code] for code in claim["plan_codes"] or [] if code in plans],
                "lines": of_claim.get(claim["claim_id"], []),
            }
        )
    waiting = of_payment.get(None, [])
    told_payments = [
        {
            **{name: payment[name] for name in PAYMENT_FACTS},
            "payment_method": METHODS.get(payment["payment_method_code"], ""),
            "totals": _totals(of_payment.get(payment["payment_id"], [])),
            "provider_adjustments": [
                {name: row[name] for name in BESIDE_FACTS}
                for row in beside
                if row["payment_id"] == payment["payment_id"]
            ],
            "claims": of_payment.get(payment["payment_id"], []),
        }
        for payment in payments
    ]
    final = [claim for payment in told_payments for claim in payment["claims"]]
    every = [*final, *waiting]
    payer = program.payer
    return {
        "report": setting.title,
        "report_date": setting.nights.date.isoformat(),
        "first_date": setting.nights.first_date.isoformat(),
        "last_date": setting.nights.last_date.isoformat(),
        "run_ids": list(setting.nights.run_ids),
        "program_code": program.program_code,
        "payer": {
            "name": payer.name, "address_line": payer.address_line, "city": payer.city,
            "state_code": payer.state_code, "zip_code": payer.zip_code,
            "contact_name": payer.contact_name, "contact_phone": payer.contact_phone,
        },
        "payee": dict(payee),
        "payments": told_payments,
        "totals": _totals(final),
        "in_process": {"totals": _totals(waiting), "claims": waiting},
        "messages": _messages(every, setting.words),
        "notices": _notices(final, program, setting.nights.date),
        "illustrative_plans": [
            plan["name"]
            for plan in plans.values()
            if plan["illustrative"] and any(plan in claim["plans"] for claim in final)
        ],
    }  # fmt: skip


def _adjustments(
    rows: Sequence[Mapping[str, Any]], words: Words
) -> dict[tuple[int, int], list[dict[str, Any]]]:
    of_line: dict[tuple[int, int], list[dict[str, Any]]] = {}
    for row in rows:
        codes = [row["carc"], *([row["rarc"]] if row["rarc"] else [])]
        of_line.setdefault((row["claim_id"], row["line_number"]), []).append(
            {
                "code": "-".join([row["group_code"], *codes]),
                "group_code": row["group_code"],
                "carc": row["carc"],
                "rarc": row["rarc"],
                "adjustment_amount": row["adjustment_amount"],
                "words": "; ".join(
                    [*map(words.of, codes), *filter(None, [row.get("administrator")])]
                ),
            }
        )
    return of_line


def _totals(claims: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    counts = {f"{s}_count": sum(c["status"] == s for c in claims) for s in STATUSES}
    sums = {name: sum(claim[name] or 0 for claim in claims) for name in AMOUNTS}
    return {"claim_count": len(claims), **counts, **sums}


def _messages(claims: Sequence[Mapping[str, Any]], words: Words) -> list[dict[str, str]]:
    """What each code of the document means: of a claim, of who bears an adjustment, of why."""
    made = [a for claim in claims for line in claim["lines"] for a in line["adjustments"]]
    groups = {a["group_code"] for a in made}
    reasons = {code for a in made for code in (a["carc"], a["rarc"]) if code}
    codes = {
        "claim": sorted({code for claim in claims for code in claim["message_codes"]}),
        "group": [code for code in GROUPS if code in groups],
        "reason": sorted(reasons, key=lambda code: (not code.isdigit(), code.zfill(5), code)),
    }
    return [
        {"kind": kind, "code": code, "words": words.of(code)}
        for kind, of_kind in codes.items() for code in of_kind
    ]  # fmt: skip


def _notices(
    claims: Sequence[Mapping[str, Any]], program: Program, day: date
) -> list[dict[str, Any]]:
    """How to dispute a filing denial (001:2261-2263): only where the document holds one."""
    late = any(
        a["carc"] == FILING_CARC and a["group_code"] == "CO"
        for claim in claims for line in claim["lines"] for a in line["adjustments"]
    )  # fmt: skip
    if not late:
        return []
    return [
        {
            "code": f"CO-{FILING_CARC}",
            "days": limit.days,
            "last_date": (day + timedelta(days=limit.days)).isoformat(),
        }
        for limit in program.filing_dispute_limits
        if limit.start_date <= day and (limit.end_date is None or day <= limit.end_date)
    ]


# ---- CSV -------------------------------------------------------------------------------------

CSV_COLUMNS = {
    **dict.fromkeys(
        ("report", "report_date", "program_code", "payee_id", "payee_name", "trace_number",
         "payment_method_code", "payment_date", "claim_number", "patient_control_number",
         "patient_last_name", "patient_first_name", "member_number", "rendering_npi",
         "received_date"),
        pl.String,
    ),
    "age_days": pl.Int64, "claim_status": pl.String, "claim_messages": pl.String,
    "line_number": pl.Int64,
    **dict.fromkeys(
        ("service_from_date", "service_through_date", "revenue_code", "procedure_code",
         "modifiers", "units", "line_status", "line_messages", "plan_code", "illustrative_plan"),
        pl.String,
    ),
    **dict.fromkeys(AMOUNTS, pl.Int64),
    "adjustments": pl.String,
}  # fmt: skip


def as_csv(document: Document) -> bytes:
    """One row a line, and one what a payment carries beside claims: with no claim, and as paid
    what it adds to the payment. An adjustment reads ``CO-45 12.50``; several are joined by a
    semicolon."""
    illustrative = {
        plan["plan_code"]
        for part in (*document["payments"], document["in_process"])
        for claim in part["claims"]
        for plan in claim["plans"]
        if plan["illustrative"]
    }
    rows = [
        {
            **document,
            "payee_id": document["payee"]["payee_id"],
            "payee_name": document["payee"]["name"],
            **part,
            **claim,
            "claim_status": claim["status"],
            "claim_messages": " ".join(claim["message_codes"]),
            **line,
            "line_status": line["status"],
            "line_messages": " ".join(line["message_codes"]),
            "modifiers": " ".join(line["modifier_codes"]),
            "units": _decimal(line["unit_quantity"], 3),
            "illustrative_plan": "yes" if line["plan_code"] in illustrative else "",
            "adjustments": "; ".join(
                f"{a['code']} {_decimal(a['adjustment_amount'], 2)}" for a in line["adjustments"]
            ),
        }
        for part in (*document["payments"], document["in_process"])
        for claim in part["claims"]
        for line in claim["lines"]
    ]
    rows += [
        {
            **document,
            "payee_id": document["payee"]["payee_id"],
            "payee_name": document["payee"]["name"],
            **part,
            "paid_amount": -row["adjustment_amount"],
            "adjustments": " ".join(
                [
                    "PLB",
                    ":".join(filter(None, (row["reason_code"], row["reference_number"]))),
                    f"{_decimal(row['adjustment_amount'], 2)}, {row['words']}",
                ]
            ),
        }
        for part in document["payments"]
        for row in part["provider_adjustments"]
    ]
    told = [{name: row.get(name) for name in CSV_COLUMNS} for row in rows]
    return csv_text(pl.DataFrame(told, schema=CSV_COLUMNS))


def _decimal(value: int | None, places: int) -> str | None:
    """Cents or thousandths as text; a quantity without needless zeros."""
    if value is None:
        return None
    scale = 10**places
    text = f"{'-' * (value < 0)}{abs(value) // scale}.{abs(value) % scale:0{places}d}"
    return text if places == 2 else text.rstrip("0").rstrip(".")
