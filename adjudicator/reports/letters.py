"""Return letters: what is wrong with a paper claim, all of it at once (001:2126-2131)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import polars as pl
from sqlalchemy import Connection

from adjudicator.again import read_again
from adjudicator.pipeline import AS_READ, Batch
from adjudicator.programs import own_names
from adjudicator.reference import Reference
from adjudicator.reports.pdf import LETTER, as_pdf
from adjudicator.sentences import ended_by
from adjudicator.stages.identify import identify
from adjudicator.store import read_frame
from schemas import frames
from schemas.form import FORMATS
from schemas.paper import places
from schemas.program import Program

FORMS = {code: form for form, code in FORMATS.items()}
CLAIM: dict[str, Any] = {
    **{
        name: column.dtype
        for name, column in frames.ClaimSources.columns().items()
        if name.endswith(("_offset", "_start", "_end")) or name in ("claim_id", "file_id")
    },
    "claim_number": pl.String, "receipt_number": pl.Int64, "source_format_code": pl.String,
    "received_date": pl.Date,
}  # fmt: skip
FINDING: dict[str, Any] = {
    "claim_id": pl.Int64, "edit": pl.String, "edit_rank": pl.Int64, "line_number": pl.Int64,
    "inputs": pl.String,
}  # fmt: skip
# what follows from a box that can't be read, and isn't the sender's mistake
FOLLOWS_FROM = {"total_charge": ("24f", "28", "47"), "diagnosis_pointer": ("21", "24e")}
# a condition's words tell both forms apart; a letter is of paper
ON_PAPER = (
    ("; it is mandatory (on paper|.*, on paper always)$", ""),
    ("a car accident, on paper of any accident", "an accident"),
    ("on paper ", ""),
)
DOCUMENTS = {
    "eob": "explanation of benefits", "auto_notice": "auto insurer's notice",
    "description": "description of a service", "notes": "notes",
}  # fmt: skip
CLOCKS = {
    "service": "the date of service", "discharge": "the date of discharge",
    "primary_payer": "the other insurer's explanation",
}  # fmt: skip

Row = dict[str, Any]


def return_letters(
    connection: Connection, run_id: int, reference: Reference
) -> Iterator[tuple[str, bytes]]:
    """A PDF for every paper claim that this run rejected: its name, by the submission's number,
    and its bytes. Made from what the store keeps alone, so that it comes out the same again."""
    codes = ", ".join(f"'{code}'" for code in FORMS)
    claims = read_frame(
        connection,
        f"SELECT {', '.join(CLAIM)} FROM claim WHERE disposition = 'rejected' "
        f"AND decided_run_id = {int(run_id)} AND source_format_code IN ({codes})",
        CLAIM,
    ).sort("claim_id")
    if claims.is_empty():
        return
    findings = read_frame(
        connection,
        f"SELECT {', '.join(FINDING)} FROM finding "
        f"WHERE disposition = 'reject' AND run_id = {int(run_id)}",
        FINDING,
    )
    found = findings.join(claims, on="claim_id", how="semi").sort(
        "claim_id", "edit_rank", "line_number", "inputs", nulls_last=False
    )
    of_claims = found.partition_by("claim_id", as_dict=True, include_key=False)
    for read in read_again(connection, claims, own_names(reference.programs)):
        batch = Batch(**{n: read[n] for n in AS_READ if n != "sources"})
        batch = identify(batch, reference)
        for claim in batch.claims.iter_rows(named=True):
            rows = of_claims[claim["claim_id"],].to_dicts()
            text = json.dumps(letter(batch, claim, rows, reference), ensure_ascii=False)
            yield f"letters/S{claim['claim_id']:09d}.pdf", as_pdf(text, template=LETTER)


def letter(
    batch: Batch, claim: Row, findings: Sequence[Row], reference: Reference
) -> dict[str, Any]:
    """What the letter of one claim says, as JSON: payer, addressee, claim, gaps, and by when a new
    claim must be there. ``batch`` is identified."""
    own = {name: _of(getattr(batch, name), claim) for name in
           ("lines", "people", "claim_providers", "other_payers", "attachments")}  # fmt: skip
    program = reference.programs[claim["program_code"]]
    patient = next((p for p in own["people"] if p["role"] == "patient"), {})
    days = sorted(
        day for day in (
            claim["statement_from_date"], claim["statement_through_date"],
            *(line[c] for line in own["lines"]
              for c in ("service_from_date", "service_through_date")),
        ) if day
    )  # fmt: skip
    assert reference.business_date is not None
    return {
        "letter_date": reference.business_date.isoformat(),
        "payer": program.payer.model_dump(mode="json"),
        "addressee": _addressee(own["claim_providers"], claim, reference),
        "claim": {
            "submission": f"S{claim['claim_id']}",
            "form": FORMS[claim["source_format_code"]],
            "patient_control_number": claim["patient_control_number"],
            "patient_last_name": patient.get("last_name"),
            "patient_first_name": patient.get("first_name"),
            "first_date": days[0].isoformat() if days else None,
            "last_date": days[-1].isoformat() if days else None,
            "received_date": claim["received_date"].isoformat(),
            "charge_amount": claim["charge_amount"],
            "attachments": [
                ", ".join(filter(None, (DOCUMENTS[a["kind_code"]], a["payer_name"],
                                        a["document_date"] and f"{a['document_date']:%m/%d/%Y}")))
                for a in own["attachments"]
            ],
        },
        "gaps": gaps(FORMS[claim["source_format_code"]], findings),
        "due": _due(own, claim, program, reference),
    }  # fmt: skip


def _of(frame: pl.DataFrame, claim: Row) -> list[Row]:
    return frame.filter(pl.col("claim_id") == claim["claim_id"]).to_dicts()


# ---- what is wrong -----------------------------------------------------------------------------


def gaps(form: str, findings: Sequence[Row]) -> list[Row]:
    """One row a thing to mend: ``box``, ``field``, ``line_number``, ``says`` and ``mend``; in the
    order of the form. A box that can't be read isn't told as missing too."""
    told = [{**f, "inputs": json.loads(f["inputs"])} for f in findings]
    unread = [(f["inputs"]["box"], f["inputs"]["field"], f["line_number"])
              for f in told if f["edit"] == "unreadable_box"]  # fmt: skip
    order = {place.box: at for at, place in reversed(list(enumerate(places(form))))}
    rows = []
    for f in told:
        box, name = f["inputs"]["box"], f["inputs"]["field"]
        if f["edit"] != "unreadable_box" and any(
            (number == f["line_number"] and field and name.startswith(field))
            or of_box in FOLLOWS_FROM.get(f["edit"], ())
            for of_box, field, number in unread
        ):
            continue
        rows.append({
            "box": box, "field": name, "line_number": f["line_number"],
            "says": _says(f["inputs"]), "mend": _mend(form, f),
        })  # fmt: skip
    return sorted(rows, key=lambda r: (order.get(r["box"], _number(r["box"], order)),
                                       r["line_number"] or 0))  # fmt: skip


def _number(box: str, order: Mapping[str, int]) -> int:
    """The place of a box that the record calls otherwise (74a-e, 47): by its number; else last."""
    number = re.match(r"\d+", box)
    same = [at for label, at in order.items() if number and re.match(r"\d+", label)
            and int(re.findall(r"\d+", label)[0]) >= int(number[0])]  # fmt: skip
    return min(same, default=len(order) * 100)


def _says(inputs: Row) -> str:
    name = f"{inputs['field']}, " if inputs["field"] else ""
    cause = re.sub(r"^(box )?" + re.escape(inputs["box"]) + "(, | )", "", inputs["cause"])
    cause = re.sub("^(is|are) ", "", cause.removeprefix(name))
    for words, on_paper in ON_PAPER:
        cause = re.sub(words, on_paper, cause)
    return f"{cause[0].upper()}{cause[1:]}."


def _mend(form: str, finding: Row) -> str:
    """What to do: how a box is written, where the box is blank."""
    name = finding["inputs"]["field"]
    if finding["edit"] == "mandatory_field":
        kind = next((p.kind for p in places(form) if p.name == name and p.kind), None)
        plain = kind is None or kind.words.startswith("text")
        return "Enter it." if kind is None or plain else f"Enter {kind.words}."
    if finding["edit"] == "unreadable_box":
        return "Write it anew, in that form."
    mend = ended_by(finding)
    return f"{mend[0].upper()}{mend[1:]}." if mend else "Mend it."


# ---- to whom, and by when ----------------------------------------------------------------------


def _addressee(providers: Sequence[Row], claim: Row, reference: Reference) -> Row:
    """The billing provider as the form has it; what it lacks, as our provider file has it."""
    columns = ("address_line", "city", "state_code", "zip_code")
    billing = next((p for p in providers if p["role_code"] == "85"), {})
    of_claim = pl.col("payee_id").eq_missing(pl.lit(claim["payee_id"], dtype=pl.String))
    payees = reference.tables["payees"].filter(of_claim).to_dicts()
    known = payees[0] if payees else {}
    whole = all(billing.get(c) for c in columns[:2])
    place = billing if whole or not known else known
    return {
        "name": billing.get("last_name") or known.get("name"),
        "npi": claim["billing_npi"],
        **{c: place.get(c) for c in columns},
    }


def _due(
    own: Mapping[str, Sequence[Row]], claim: Row, program: Program, reference: Reference
) -> Row | None:
    """The last day on which a new claim is in time: the limit in force from the day on which the
    clock starts, as ``timely_filing`` counts; None where no such day or limit is known."""
    spoken = [p["adjudication_date"] for p in own["other_payers"] if p["adjudication_date"]]
    served = [d for line in own["lines"] if (d := line["decision_date"])]
    if spoken and claim["responsibility_code"] != "P":
        clock, start = "primary_payer", max(spoken)
    elif claim["facility_code"] in program.discharge_bill_types and claim["claim_type_code"] == "I":
        clock, start = "discharge", claim["statement_through_date"]
    else:
        # the first line is the first that is too late
        clock, start = "service", min(served, default=claim["statement_from_date"])
    contracts = {line["contract_id"] for line in own["lines"]} - {None}
    limit = _limit(program, start, contracts, reference) if start else None
    if start is None or limit is None:
        return None
    last = start + timedelta(days=limit)
    return {
        "date": last.isoformat(), "days": limit, "clock": CLOCKS[clock],
        "clock_date": start.isoformat(),
    }  # fmt: skip


def _limit(program: Program, start: date, contracts: set[str], reference: Reference) -> int | None:
    agreed = (
        reference.tables["contracts"]
        .filter(
            pl.col("contract_id").is_in(sorted(contracts))
            & (pl.col("start_date") <= start)
            & (pl.col("end_date").is_null() | (pl.col("end_date") >= start))
        )["filing_limit_days"]
        .drop_nulls()
    )
    if len(agreed):
        return int(min(agreed))
    return next(
        (
            limit.days for limit in program.filing_limits
            if limit.contracted == bool(contracts)
            and limit.start_date <= start <= (limit.end_date or date.max)
        ),
        None,
    )  # fmt: skip
