"""Letters about providers' disputes: received, returned, upheld, overturned.

What a letter says is kept with the dispute as JSON: made again, it is the same to the byte.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from adjudicator.disputes import KINDS, REMARK
from adjudicator.reports.pdf import DISPUTE, as_pdf
from schemas.program import Program

FOLDER = "disputes"
TITLES = {
    "received": "We have your dispute",
    "returned": "Your dispute is returned",
    "upheld": "The claim stays as it was decided",
    "overturned": "The claim will be decided anew",
}
QUOTES = {"upheld": "Why", "overturned": "What we found"}
ADDRESS = ("address_line", "city", "state_code", "zip_code")

Row = Mapping[str, Any]


def letter_name(dispute: int, event: int, what: str) -> str:
    """The file's name: nothing of claim or member."""
    return f"D{dispute:09d}-{event}-{what}.pdf"


def dispute_letter(
    event: str, made: date, program: Program, payee: Row, dispute: Row, claim: Row,
    documents: Sequence[tuple[str, date]], reasons: Sequence[Row], note: str, send_to: str | None,
    *, member_owes_nothing: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """What the letter of that event says. Of claim and member as much as the provider needs to
    find them: claim number and patient control number."""
    disputed = KINDS[dispute["kind"]]
    came = [
        *([{"words": "the Request for Claim Review Form", "date": None}] * dispute["has_form"]),
        *([{"words": "a letter", "date": None}] * dispute["has_letter"]),
        *({"words": words, "date": day.isoformat()} for words, day in documents),
    ]
    codes = {reason["code"] for reason in reasons}
    return {
        "letter_date": made.isoformat(),
        "title": TITLES[event],
        "payer": program.payer.model_dump(mode="json"),
        "addressee": {name: _seen(payee.get(name)) for name in ("name", "npi", *ADDRESS)},
        "dispute": {
            "number": f"D{dispute['dispute_number']}",
            "received_date": dispute["received_date"].isoformat(),
            "eop_date": dispute["eop_date"] and dispute["eop_date"].isoformat(),
        },
        "claim": {
            "claim_number": claim["claim_number"],
            "patient_control_number": _seen(claim["patient_control_number"]),
            "received_date": claim["received_date"],
            "charge_amount": claim["charge_amount"],
        },
        "paragraphs": _paragraphs(event, disputed, member_owes_nothing=member_owes_nothing),
        "quote": {"name": QUOTES[event], "words": note} if event in QUOTES else None,
        "reasons": [{name: r[name] for name in ("says", "mend", "choices")} for r in reasons],
        "came": came if event in ("received", "returned") else [],
        "closing": _closing(dispute, codes, send_to) if event == "returned" else [],
    }  # fmt: skip


def _paragraphs(event: str, disputed: str, *, member_owes_nothing: bool) -> list[str]:
    if event == "received":
        return [
            f"We have your dispute of {disputed}, complete. We look into it and write to you again "
            "when it is decided; until then the claim stays as it is."
        ]
    if event == "returned":
        return [
            f"We can't consider your dispute of {disputed} as it came. It is not decided, and the "
            "claim stays as it is."
        ]
    if event == "upheld":
        return [
            f"We have looked into your dispute of {disputed}. The claim stays as it was decided, "
            "and nothing is paid because of the dispute."
            + (" The member may not be billed for what is denied so." * member_owes_nothing)
        ]
    return [
        f"We have looked into your dispute of {disputed}, and decide it in your favor. The claim "
        "is decided anew; you need not send it again. Your remittance will show the earlier "
        f"decision taken back, with remark {REMARK}, and the new decision. What is paid then goes "
        "by the claim's other terms."
    ]


def _closing(dispute: Row, codes: set[str], send_to: str | None) -> list[str]:
    """How to send it again; nothing where that would be of no use."""
    if "late" in codes or "not_denied" in codes:
        return []
    to = f", to {send_to}" if send_to else ""
    said = [f"Please send the dispute again, with all that came with this one{to}."]
    if dispute["last_date"] is not None:
        days = (dispute["last_date"] - dispute["eop_date"]).days
        said.append(
            f"It must reach us by {dispute['last_date']:%m/%d/%Y}, {days} calendar days after the "
            "Explanation of Payment; this return does not stop that deadline."
        )
    return [" ".join(said)]


def _seen(text: str | None) -> str | None:
    """What a sender wrote, in one line, with blanks for marks that can't be seen."""
    return text and "".join(c if c.isprintable() else " " for c in text)


def letter_pdf(letter: Row) -> bytes:
    """The letter as it is sent."""
    return as_pdf(json.dumps(letter, ensure_ascii=False, sort_keys=True), template=DISPUTE)
