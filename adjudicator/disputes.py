"""Providers' disputes: what makes one complete, what became of it, and what is still to be done."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

import polars as pl

from schemas.program import DisputeTerms, Program

FILING = "filing"
KINDS = {
    "filing": "a denial for the filing deadline",
    "authorization": "a denial for want of an authorization",
    "notification": "a denial for want of a notification",
    "payment": "the payment",
}
CHANNELS = ("mail", "email", "online", "edi")
# what stands on the reversal of a claim whose dispute was overturned (RARC)
REMARK = "N690"
# a dispute's state is its last event; these want somebody's work
OPEN = ("received", "overturned")
TO_CARRY_OUT: dict[str, pl.DataType | type[pl.DataType]] = {
    "dispute_number": pl.Int64, "claim_id": pl.Int64, "edits": pl.List(pl.String),
    "remark_code": pl.String,
}  # fmt: skip


@dataclass(frozen=True)
class Reason:
    """Why a dispute goes back, and what mends it, if anything does."""

    code: str
    says: str
    mend: str = ""
    choices: tuple[str, ...] = ()  # one of these is what mends it

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "choices": list(self.choices)}


@dataclass(frozen=True)
class Request:
    """A dispute as it came: one claim a form."""

    kind: str
    received: date
    has_form: bool = False
    has_letter: bool = False
    documents: tuple[tuple[str, date], ...] = ()  # kind and date of each
    channel: str = "mail"
    claim_count: int = 1  # how many claims the form names


@dataclass(frozen=True)
class Disputed:
    """What the request is held against: the claim as it stands."""

    is_disputable: bool  # paid or denied, and denied by what this kind disputes
    standing: str  # what it is instead, in words
    eop_date: date | None
    last_date: date | None
    on_paper: bool


def dispute_terms(program: Program | None, kind: str, day: date) -> DisputeTerms | None:
    """The program's terms for a dispute of that kind received on that day."""
    return next(
        (
            terms
            for terms in (program.disputes if program else ())
            if terms.kind == kind and terms.start_date <= day <= (terms.end_date or date.max)
        ),
        None,
    )


def dispute_days(program: Program, kind: str, eop: date) -> int | None:
    """How many days after that EOP a dispute is considered; None: no limit.

    Raises LookupError where the program has limits, but none in force on that day.
    """
    limits = program.filing_dispute_limits if kind == FILING else ()
    for limit in limits:
        if limit.start_date <= eop <= (limit.end_date or date.max):
            return limit.days
    if limits:
        raise LookupError
    return None


def returned_because(request: Request, disputed: Disputed, terms: DisputeTerms) -> list[Reason]:
    """Why the dispute is not considered as it came; nothing where it is complete and in time.

    All that must be mended at once (001:2261-2341); of one that is late, that alone: nothing
    mends it (001:2262-2263).
    """
    if disputed.last_date is not None and request.received > disputed.last_date:
        assert disputed.eop_date is not None
        days = (disputed.last_date - disputed.eop_date).days
        return [
            Reason(
                "late",
                f"It reached us on {_day(request.received)}, "
                f"{(request.received - disputed.eop_date).days} days after the Explanation of "
                f"Payment of {_day(disputed.eop_date)}. What reaches us later than {days} calendar "
                f"days after it, here after {_day(disputed.last_date)}, is not considered.",
            )
        ]
    found = []
    if request.channel in terms.never_by:
        found.append(
            Reason("channel", f"A dispute can't be sent by {request.channel.upper()}.",
                   f"Send it to {terms.send_to}.")
        )  # fmt: skip
    if request.claim_count > 1:
        found.append(
            Reason("several_claims",
                   f"The form names {request.claim_count} claims; a form is for one claim.",
                   "Send a form for each claim.")
        )  # fmt: skip
    if not disputed.is_disputable:
        found.append(
            Reason("not_denied", f"You dispute {KINDS[request.kind]}, but {disputed.standing}.",
                   "Look at the claim's Explanation of Payment and dispute what it says.")
        )  # fmt: skip
    if request.has_letter and terms.letter_citation is not None:
        return found
    if not request.has_form:
        found.append(
            Reason("no_form", "The Request for Claim Review Form is missing.",
                   "Send the form, completed.")
        )  # fmt: skip
    came = {kind for kind, _ in request.documents}
    found += [
        Reason("no_document", f"Something is missing: {terms.documents[kind]}.", "Send it.")
        for kind in terms.needs
        if kind not in came
    ]
    if terms.proofs and not proofs_given(came, terms, on_paper=disputed.on_paper):
        found.append(_no_proof(came, disputed.on_paper, terms))
    return found


def proofs_given(came: set[str], terms: DisputeTerms, *, on_paper: bool) -> list[list[str]]:
    """The proofs among the kinds of documents that came, each as its documents."""
    return [list(kinds) for kinds in _acceptable(terms, on_paper) if came.issuperset(kinds)]


def _acceptable(terms: DisputeTerms, on_paper: bool) -> list[tuple[str, ...]]:
    sent = "paper" if on_paper else "edi"
    return [proof.documents for proof in terms.proofs if sent in proof.claims_sent]


def _no_proof(came: set[str], on_paper: bool, terms: DisputeTerms) -> Reason:
    sent = "on paper" if on_paper else "electronically"
    rejected = [terms.documents[n.document] for n in terms.no_proofs if n.document in came]
    accepted = [
        " together with ".join(terms.documents[kind] for kind in documents)
        for documents in _acceptable(terms, on_paper)
    ]
    if terms.letter_citation is not None:
        accepted.append("a letter on why it could not be sent in time, for reasons beyond your "
                        "control, with what supports it")  # fmt: skip
    return Reason(
        "no_proof",
        "What came does not prove that the claim was sent in time."
        + "".join(f" {words[0].upper()}{words[1:]} by itself is no proof." for words in rejected),
        f"For a claim that was sent {sent} we accept any one of",
        tuple(accepted),
    )


def _day(day: date) -> str:
    return f"{day:%m/%d/%Y}"


# ---- what became of them -----------------------------------------------------------------------


def with_states(disputes: pl.DataFrame, events: pl.DataFrame) -> pl.DataFrame:
    """The disputes with ``state``, their last event, and ``state_date``, the day of it."""
    last = (
        events.sort("dispute_number", "event_number")
        .group_by("dispute_number", maintain_order=True)
        .agg(state=pl.col("event").last(), state_date=pl.col("made_date").last())
    )
    return disputes.join(last, on="dispute_number", maintain_order="left")


def to_carry_out(
    disputes: pl.DataFrame, events: pl.DataFrame, waived: pl.DataFrame
) -> pl.DataFrame:
    """The overturned disputes that no run has carried out: TO_CARRY_OUT, by number.

    For each: the claim that is to be reversed with ``remark_code`` and decided anew, and the
    ``edits`` that are then waived (``store.overrides`` tells *resolved* the same). Frames of
    adjudicator/store/disputes.py. ``store.carry_out_disputes`` tells that it was done.
    """
    due = with_states(disputes, events).filter(state="overturned")
    edits = waived.group_by("dispute_number", maintain_order=True).agg(
        edits=pl.col("edit").unique(maintain_order=True)
    )
    return (
        due.join(edits, on="dispute_number", how="left", maintain_order="left")
        .with_columns(pl.col("edits").fill_null([]), remark_code=pl.lit(REMARK))
        .select(pl.col(name).cast(kind) for name, kind in TO_CARRY_OUT.items())
        .sort("dispute_number")
    )


def open_disputes(
    disputes: pl.DataFrame, events: pl.DataFrame, today: date, *, every: bool = False,
    kind: str | None = None,
) -> pl.DataFrame:  # fmt: skip
    """Disputes with state and ``age_days`` since receipt on that day: those that want somebody's
    work (OPEN), or ``every`` one; the oldest first."""
    wanted = [pl.lit(value=True)]
    wanted += [] if every else [pl.col("state").is_in(OPEN)]
    wanted += [pl.col("kind") == kind] if kind else []
    return (
        with_states(disputes, events)
        .filter(*wanted)
        .with_columns(age_days=(pl.lit(today) - pl.col("received_date")).dt.total_days())
        .sort("received_date", "dispute_number")
    )


def carried_over(overrides: pl.DataFrame, versions: pl.DataFrame) -> pl.DataFrame:
    """Overrides of earlier versions as those of the last version that is decided in their place.

    ``versions``: ``claim_id`` of a version and ``predecessor_claim_id``, whose place it takes.
    """
    later = dict(versions.select("predecessor_claim_id", "claim_id").iter_rows())
    last = []
    for claim_id in overrides["claim_id"]:
        at = claim_id
        while at in later:
            at = later[at]
        last.append(at)
    return overrides.with_columns(claim_id=pl.Series(last, dtype=pl.Int64))
