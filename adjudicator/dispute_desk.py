"""What people do with providers' disputes: take one in, look at it, uphold or overturn it.

An act is rows of data, a row of the audit trail and a letter. Overturned, the claim is reversed and
decided anew by the next `reprocess --disputes`, without the edits that are waived.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Any

import polars as pl
from sqlalchemy import Connection

from adjudicator import store
from adjudicator.arithmetic import listed, money
from adjudicator.desk import DeskError, fact, filled, last_night, said
from adjudicator.disputes import (
    OPEN,
    Disputed,
    Reason,
    Request,
    dispute_days,
    dispute_terms,
    open_disputes,
    proofs_given,
    returned_because,
    with_states,
)
from adjudicator.explain import Explanation, explain
from adjudicator.remittance import FINAL
from adjudicator.reports.dispute_letters import dispute_letter, letter_name
from schemas.form import FORMATS
from schemas.program import DisputeTerms, Program

PREFIX = "D"
STANDING = {
    None: "it is not decided yet",
    "pended": "it waits and is not decided yet",
    "voided": "it was taken back",
    "paid": "it is not denied so",
    "denied": "it is denied for another reason",
}
STATES = {
    "received": "received, waits for a decision",
    "returned": "returned",
    "upheld": "decided: the claim stays as it is",
    "overturned": "decided: the claim is to be decided anew by `adjudicate reprocess --disputes`",
    "carried_out": "carried out: the claim was decided anew",
}
LIST = ("dispute_number", "claim_number", "kind", "state", "age_days", "received_date", "eop_date",
        "last_date", "state_date", "program_code", "payee_id", "charge_amount")  # fmt: skip


@dataclass(frozen=True)
class Act:
    """What was done, with the letter that tells of it: the file's name and what it says."""

    dispute_number: int
    claim_number: str
    kind: str
    event: str
    reasons: list[dict[str, Any]]
    waived: list[str]
    made_date: str
    made_by: str
    letter_name: str
    letter: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        return {k: v for k, v in asdict(self).items() if k != "letter"}

    def as_text(self) -> str:
        head = f"dispute {number_of(self.dispute_number)} of claim {self.claim_number}"
        told = {
            "received": "received; it waits for a decision",
            "returned": "returned",
            "upheld": "upheld: the claim stays as it is",
            "overturned": "overturned: the claim is decided anew by the next `adjudicate "
            "reprocess --disputes`" + (f", without {listed(self.waived)}" if self.waived else ""),
        }[self.event]
        out = [filled(f"{head}: {told}")]
        for r in self.reasons:
            out.append(filled(f"{r['says']} {r['mend']}{':' * bool(r['choices'])}", "  - "))
            out += [filled(choice, "      - ") for choice in r["choices"]]
        return "\n".join([*out, f"  letter: {self.letter_name}"])


# ---- taking one in -----------------------------------------------------------------------------


def file(
    connection: Connection, number: str, request: Request, *, note: str, who: str, made: date,
    programs: Mapping[str, Program], payees: pl.DataFrame, recorded_at: str | None = None,
) -> Act:  # fmt: skip
    """Takes a dispute of a claim in: received, or returned with all that is wrong with it.

    Raises DeskError (UnknownClaimError) where the request itself can't be meant: no such claim, one
    that was never adjudicated, dates that can't be, a document nobody knows, a dispute of that kind
    still open, or a program that takes none.
    """
    note, who = said(note, who)
    told = explain(connection, number, programs=programs)
    claim = told.claim
    if claim["claim_number"] is None:
        raise DeskError(
            f"submission S{claim['claim_id']} was sent back and never adjudicated: there is "
            "nothing to dispute; a new claim mends it"
        )
    program = programs.get(claim["program_code"])
    terms = dispute_terms(program, request.kind, request.received)
    if program is None or terms is None:
        raise DeskError(
            f"{_name(told)}: its program takes no {request.kind} disputes on {request.received} "
            "(disputes in program.yaml)"
        )
    _refuse_impossible(request, terms, made)
    _refuse_twice(connection, told, request.kind)
    denying = _denying(told, terms)
    eop = store.eop_date(connection, claim["claim_id"], () if terms.any_claim else terms.edits)
    is_disputable = claim["disposition"] in FINAL and (terms.any_claim or bool(denying))
    if is_disputable and eop is not None and request.received < eop:
        raise DeskError(
            f"--received {request.received} lies before {eop}, the date of the Explanation of "
            f"Payment that told of {_name(told)}; check both"
        )
    last = _last_date(program, request.kind, eop) if is_disputable and eop else None
    disputed = Disputed(
        is_disputable, STANDING.get(claim["disposition"], "it is not decided so"), eop, last,
        claim["source_format_code"] in FORMATS.values(),
    )  # fmt: skip
    reasons = returned_because(request, disputed, terms)
    dispute = store.insert_dispute(
        connection,
        {
            "claim_id": claim["claim_id"], "kind": request.kind,
            "received_date": request.received, "channel_code": request.channel,
            "claim_count": request.claim_count, "has_form": request.has_form,
            "has_letter": request.has_letter, "eop_date": eop, "last_date": last,
        },
        request.documents,
    )  # fmt: skip
    return _keep(
        connection, told, dispute, "returned" if reasons else "received", reasons=reasons,
        note=note, who=who, made=made, program=program, payees=payees, recorded_at=recorded_at,
    )  # fmt: skip


def _refuse_impossible(request: Request, terms: DisputeTerms, made: date) -> None:
    if request.received > made:
        raise DeskError(f"--received {request.received} lies after {made}, the business date")
    if request.claim_count < 1:
        raise DeskError("--claims must be 1 or more: how many claims the form names")
    known = ", ".join(sorted(terms.documents))
    for kind, day in request.documents:
        if kind not in terms.documents:
            raise DeskError(f"--proof {kind!r} is no document of a {terms.kind} dispute; "
                            f"there are {known}")  # fmt: skip
        if day > request.received:
            raise DeskError(
                f"--proof {kind}:{day} lies after {request.received}, on which the dispute came"
            )


def _refuse_twice(connection: Connection, told: Explanation, kind: str) -> None:
    known = with_states(store.disputes(connection), store.dispute_events(connection)).filter(
        pl.col("claim_id") == told.claim["claim_id"],
        pl.col("kind") == kind,
        pl.col("state").is_in(OPEN),
    )
    if not known.is_empty():
        row = known.row(0, named=True)
        raise DeskError(
            f"{_name(told)} has a {kind} dispute already: {number_of(row['dispute_number'])}, "
            f"{row['state']} on {row['state_date']}"
        )


def _denying(told: Explanation, terms: DisputeTerms) -> list[dict[str, Any]]:
    """The findings by which these edits deny the claim or lines of it."""
    return [
        f for f in told.findings
        if f["edit"] in terms.edits and any(e["effect"] == "denies" for e in f["effects"])
    ]  # fmt: skip


def _last_date(program: Program, kind: str, eop: date) -> date | None:
    try:
        days = dispute_days(program, kind, eop)
    except LookupError:
        raise DeskError(
            f"program {program.program_code} has no filing_dispute_limits in force on {eop}, the "
            "date of the Explanation of Payment; give it one in program.yaml"
        ) from None
    return None if days is None else eop + timedelta(days=days)


# ---- deciding it -------------------------------------------------------------------------------


def uphold(
    connection: Connection, dispute: int, *, note: str, who: str, made: date,
    programs: Mapping[str, Program], payees: pl.DataFrame, recorded_at: str | None = None,
) -> Act:  # fmt: skip
    """The claim stays as it was decided; ``note`` stands in the letter. Nothing of it on an 835.

    Raises DeskError where there is no such dispute, or it doesn't wait for a decision.
    """
    note, who = said(note, who)
    row, told = _undecided(connection, dispute, made, programs)
    program = programs[row["program_code"]]
    return _keep(
        connection, told, dispute, "upheld", note=note, who=who, made=made, program=program,
        payees=payees, recorded_at=recorded_at,
    )  # fmt: skip


def overturn(
    connection: Connection, dispute: int, *, note: str, who: str, made: date,
    programs: Mapping[str, Program], payees: pl.DataFrame, waive: Sequence[str] = (),
    recorded_at: str | None = None,
) -> Act:  # fmt: skip
    """The claim is to be decided anew, without the edits in ``waive``; by default without those of
    the dispute's kind that deny it. ``note`` stands in the letter.

    Raises DeskError where there is no such dispute, it doesn't wait for a decision, the claim is no
    longer as it was disputed, or an edit can't be waived by it.
    """
    note, who = said(note, who)
    row, told = _undecided(connection, dispute, made, programs)
    program = programs[row["program_code"]]
    terms = dispute_terms(program, row["kind"], row["received_date"])
    if terms is None:
        raise DeskError(
            f"program {row['program_code']} no longer has terms for {row['kind']} disputes on "
            f"{row['received_date']}; give it them in program.yaml"
        )
    denying = list(dict.fromkeys(f["edit"] for f in _denying(told, terms)))
    if told.claim["disposition"] not in FINAL or not (denying or terms.any_claim):
        raise DeskError(
            f"{_name(told)} is no longer as it was disputed: it is "
            f"{told.claim['disposition'] or 'not decided'}; uphold {number_of(dispute)} with a note"
        )
    unfit = sorted(set(waive) - set(denying))
    if unfit:
        may = listed(denying) if denying else "none: it is decided anew by what is in force"
        raise DeskError(
            f"--waive {unfit[0]!r}: a {row['kind']} dispute waives no such denial of "
            f"{_name(told)}; it may waive {may}"
        )
    waived = list(dict.fromkeys(waive)) or ([] if terms.any_claim else denying)
    for edit in waived:
        store.insert_override(
            connection, row["claim_id"], row["claim_number"], "waived", {"edit": edit},
            made_date=made, made_by=who, note=note, recorded_at=recorded_at,
            dispute_number=dispute,
        )  # fmt: skip
    return _keep(
        connection, told, dispute, "overturned", waived=waived, note=note, who=who, made=made,
        program=program, payees=payees, recorded_at=recorded_at,
    )  # fmt: skip


def _undecided(
    connection: Connection, dispute: int, made: date, programs: Mapping[str, Program]
) -> tuple[dict[str, Any], Explanation]:
    row = _dispute(connection, dispute)
    if row["state"] != "received":
        raise DeskError(
            f"dispute {number_of(dispute)} was {row['state'].replace('_', ' ')} on "
            f"{row['state_date']}; only one that waits for a decision can be decided"
        )
    if made < row["received_date"]:
        raise DeskError(
            f"--business-date {made} lies before {row['received_date']}, on which dispute "
            f"{number_of(dispute)} came"
        )
    return row, explain(connection, row["claim_number"], programs=programs)


def _dispute(connection: Connection, dispute: int) -> dict[str, Any]:
    found = with_states(
        store.disputes(connection, dispute), store.dispute_events(connection, dispute)
    )
    if found.is_empty():
        raise DeskError(
            f"no dispute has the number {number_of(dispute)}; `adjudicate dispute list --all` "
            "lists them"
        )
    return found.row(0, named=True)


def _keep(
    connection: Connection, told: Explanation, dispute: int, event: str, *, note: str, who: str,
    made: date, program: Program, payees: pl.DataFrame, reasons: Sequence[Reason] = (),
    waived: Sequence[str] = (), recorded_at: str | None = None,
) -> Act:  # fmt: skip
    row = store.disputes(connection, dispute).row(0, named=True)
    documents = store.dispute_documents(connection, dispute).to_dicts()
    terms = dispute_terms(program, row["kind"], row["received_date"])
    why = [reason.as_json() for reason in reasons]
    groups = [f["group_code"] for f in _denying(told, terms)] if terms else []
    letter = dispute_letter(
        event, made, program, _payee(payees, row["payee_id"]), row, told.claim,
        [((terms.documents if terms else {}).get(d["document_kind"], d["document_kind"]),
          d["document_date"]) for d in documents],
        why, note, None if terms is None else terms.send_to,
        member_owes_nothing=bool(groups) and set(groups) == {"CO"},
    )  # fmt: skip
    kept = store.insert_dispute_event(
        connection, dispute, event, made_date=made, made_by=who, note=note,
        reasons=_json(why) if why else None, letter=_json(letter), recorded_at=recorded_at,
        told={"claim_id": row["claim_id"], "claim_number": row["claim_number"],
              "kind": row["kind"], **({"waived": list(waived)} if waived else {})},
    )  # fmt: skip
    return Act(
        dispute, row["claim_number"], row["kind"], event, why, list(waived), made.isoformat(), who,
        letter_name(dispute, kept, event), letter,
    )  # fmt: skip


def _payee(payees: pl.DataFrame, payee_id: str | None) -> dict[str, Any]:
    found = payees.filter(pl.col("payee_id") == payee_id).to_dicts() if payee_id else []
    return found[0] if found else {}


# ---- looking -----------------------------------------------------------------------------------


def dispute_list(
    connection: Connection, *, today: date | None = None, every: bool = False,
    kind: str | None = None,
) -> pl.DataFrame:  # fmt: skip
    """One row a dispute that wants somebody's work, or ``every`` one, the oldest first (LIST).

    ``age_days``: from the day of receipt to ``today``, by default the last night's or act's date.
    """
    day = today or last_day(connection)
    return open_disputes(
        store.disputes(connection), store.dispute_events(connection), day, every=every, kind=kind
    ).select(LIST)


def last_day(connection: Connection) -> date:
    """The date of the last night or, if that is later, of the last act on a dispute."""
    last_act = store.dispute_events(connection)["made_date"].max()
    return max(d for d in (last_night(connection), last_act) if isinstance(d, date))


def list_as_text(found: pl.DataFrame) -> str:
    """At 80 columns: dispute, claim, kind, state, age, received, last day to dispute."""
    out = [
        f"{'dispute':<8}  {'claim':<12}  {'kind':<13}  {'state':<11}  {'age':>4}  "
        f"{'received':<10}  {'last day':<10}"
    ]
    for row in found.iter_rows(named=True):
        out.append(
            f"{number_of(row['dispute_number']):<8}  {row['claim_number']:<12}  "
            f"{row['kind']:<13}  {row['state'].replace('_', ' '):<11}  {row['age_days']:>4}  "
            f"{row['received_date']}  {row['last_date'] or '-'}"
        )
    charges = found.unique("claim_number")["charge_amount"].sum()
    plural = "s" * (found.height != 1)
    out += ["", f"{found.height:,} dispute{plural}, charges {money(int(charges))}"]
    return "\n".join(line.rstrip() for line in out)


def list_as_json(found: pl.DataFrame) -> list[dict[str, Any]]:
    return found.with_columns(pl.col(pl.Date).cast(pl.String)).to_dicts()


@dataclass(frozen=True)
class Shown:
    """A dispute as data: what it disputes, what came, what was proven, and what became of it."""

    dispute_number: int
    claim_number: str
    kind: str
    state: str
    age_days: int
    received_date: str
    eop_date: str | None
    last_date: str | None
    channel_code: str
    claim_count: int
    has_form: bool
    has_letter: bool
    documents: list[dict[str, Any]]
    proofs: list[list[str]]
    disputes: list[dict[str, Any]]
    may_waive: list[str]
    waived: list[str]
    events: list[dict[str, Any]]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def dispute_show(
    connection: Connection, dispute: int, programs: Mapping[str, Program], today: date | None = None
) -> Shown:
    """Raises DeskError where there is no such dispute."""
    row = _dispute(connection, dispute)
    told = explain(connection, row["claim_number"], programs=programs)
    terms = dispute_terms(programs.get(row["program_code"]), row["kind"], row["received_date"])
    documents = store.dispute_documents(connection, dispute).to_dicts()
    denying = _denying(told, terms) if terms else []
    on_paper = told.claim["source_format_code"] in FORMATS.values()
    clocks = [
        (date.fromisoformat(f["inputs"]["clock_date"]), f["inputs"]["limit_days"])
        for f in denying
        if f["edit"] == "timely_filing" and f["inputs"].get("clock_date")
    ]
    clock, limit = min(clocks, default=(None, None))
    waived = store.waived_edits(connection).filter(dispute_number=dispute)["edit"].to_list()
    events = store.dispute_events(connection, dispute).drop("dispute_number", "letter").to_dicts()
    return Shown(
        dispute, row["claim_number"], row["kind"], row["state"],
        ((today or last_day(connection)) - row["received_date"]).days,
        row["received_date"].isoformat(), _iso(row["eop_date"]), _iso(row["last_date"]),
        row["channel_code"], row["claim_count"], row["has_form"], row["has_letter"],
        [
            {
                "document_kind": d["document_kind"],
                "words": terms.documents.get(d["document_kind"]) if terms else None,
                "document_date": d["document_date"].isoformat(),
                # of a filing denial: how long after its clock started
                "clock_days": (d["document_date"] - clock).days if clock else None,
                "limit_days": limit,
            }
            for d in documents
        ],
        proofs_given({d["document_kind"] for d in documents}, terms, on_paper=on_paper)
        if terms else [],
        [{"edit": f["edit"], "line_number": f["line_number"], "says": f["says"]}
         for f in denying],
        list(dict.fromkeys(f["edit"] for f in denying)),
        waived,
        [
            {**{k: v for k, v in e.items() if k != "reasons"},
             "made_date": e["made_date"].isoformat(),
             "reasons": json.loads(e["reasons"] or "[]")}
            for e in events
        ],
    )  # fmt: skip


def show_as_text(shown: Shown) -> str:
    """At 80 columns."""
    out = [
        filled(
            f"Dispute {number_of(shown.dispute_number)} of claim {shown.claim_number}, "
            f"{shown.kind}: {STATES[shown.state]}"
        ),
        fact("received", f"{shown.received_date} by {shown.channel_code}, {shown.age_days} days "
             "old"),
    ]  # fmt: skip
    if shown.eop_date:
        last = f"; to be disputed by {shown.last_date}" if shown.last_date else ""
        out.append(fact("EOP", f"{shown.eop_date}{last}"))
    came = ["the review form"] * shown.has_form + ["a letter"] * shown.has_letter
    out.append(fact("came", listed(came) if came else "neither review form nor letter"))
    for d in shown.documents:
        day = "" if d["clock_days"] is None else (
            f": day {d['clock_days']} of {d['limit_days']} since the clock started"
        )  # fmt: skip
        out.append(fact("document", f"{d['document_kind']} of {d['document_date']}{day}"))
    if shown.proofs:
        out.append(fact("proof", listed([" with ".join(p) for p in shown.proofs])))
    for d in shown.disputes:
        line = f", line {d['line_number']}" if d["line_number"] else ""
        out.append(fact("denied by", f"{d['edit']}{line}: {d['says']}"))
    if shown.state == "received":
        out.append(fact("may waive", listed(shown.may_waive) if shown.may_waive else "nothing"))
    if shown.waived:
        out.append(fact("waived", listed(shown.waived)))
    out += ["", "What became of it"]
    for e in shown.events:
        by = f" by {e['made_by']}: {e['note']}" if e["made_by"] else f" in run {e['run_id']}"
        out.append(fact(e["made_date"], f"{e['event'].replace('_', ' ')}{by}"))
        out += [filled(r["says"], "    - ") for r in e["reasons"]]
    return "\n".join(out)


def letters(connection: Connection, dispute: int) -> list[tuple[str, dict[str, Any]]]:
    """The letters of a dispute as they were written: name and what each says."""
    _dispute(connection, dispute)
    events = store.dispute_events(connection, dispute).drop_nulls("letter")
    return [
        (letter_name(dispute, e["event_number"], e["event"]), json.loads(e["letter"]))
        for e in events.to_dicts()
    ]


# ---- words -------------------------------------------------------------------------------------


def number_of(dispute: int) -> str:
    return f"{PREFIX}{dispute}"


def read_number(text: str) -> int:
    """A dispute's number as people write it: D7 or 7. Raises DeskError."""
    digits = text.strip().upper().removeprefix(PREFIX)
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 12):
        raise DeskError("that is no dispute number: write it as `adjudicate dispute list` does")
    return int(digits)


def _name(told: Explanation) -> str:
    return f"claim {told.claim['claim_number']}"


def _iso(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
