"""A committed night's files once more, from the store alone: nothing is decided, paid or numbered.

The 835s and ``claims.csv`` come of the claims as they were sent, read again from their bytes, and
of what the night decided of them, with the reference data of that night; ``summary.json`` and
``review.csv`` of the audit row by which it was decided; acknowledgements are kept as they were
sent. They are written by what wrote the night's own. Whether they are the night's is for the
caller to say, by their checksums.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from adjudicator import store
from adjudicator.again import read_whole
from adjudicator.claims_list import claims_list, review_list
from adjudicator.decide import SYSTEM
from adjudicator.in_parts import PIECE_CLAIMS, Decided, Deciding
from adjudicator.night_files import (
    answers_by_name,
    balancing_apart,
    file_names,
    manifest_text,
    summary_text,
    write,
    write_835s,
    write_answers,
)
from adjudicator.payment_cycle import PaymentError, kept_cycle, remittances
from adjudicator.pipeline import Batch
from adjudicator.programs import own_names
from adjudicator.reference import Reference
from adjudicator.reversals import reversed_claims
from adjudicator.stages.identify import identify
from adjudicator.stages.settle import decided_claims
from adjudicator.store.snapshot import OPEN_CLAIMS
from schemas import frames

MANIFEST, SUMMARY = "manifest.json", "summary.json"
TAMPERED = "the store does not give it"


class RenderError(Exception):
    """A file can't be rendered again. ``file`` is its name in the night's folder, the message the
    cause."""

    def __init__(self, file: str, cause: str) -> None:
        self.file = file
        super().__init__(cause)


def render_again(
    connection: Connection, run_id: int, reference: Reference, names: Collection[str], folder: Path
) -> None:
    """Writes these files of a committed night (names of its outbox) into an empty folder, and with
    an 835, acknowledgement or letter all the others.

    ``reference`` is the one that the night was done with, of its business date.
    Raises RenderError where one can't be rendered, OSError where it can't be written.
    """
    night = _Night(connection, run_id, reference, folder)
    if store.files_digest(night.others) != night.act_detail.get("files_digest"):
        raise RenderError(
            min(names, default=MANIFEST), "its checksum is not the one that the audit trail tells"
        )
    first_of: dict[str, str] = {}
    for name in sorted(names):
        first_of.setdefault(name.split("/")[0], name)
    for kind, name in first_of.items():
        render = KINDS.get(kind)
        if render is None:
            raise RenderError(name, "is no file that this program writes")
        try:
            render(night)
        except (OSError, OperationalError, RenderError):
            raise
        except PaymentError as error:
            raise RenderError(name, str(error)) from error
        # the error's own words may hold what the row holds
        except (Exception, pl.exceptions.PanicException) as error:
            raise RenderError(name, f"{TAMPERED} ({type(error).__name__})") from None


@dataclass(frozen=True)
class _Night:
    connection: Connection
    run_id: int
    reference: Reference
    folder: Path

    @cached_property
    def decided(self) -> Decided:
        """What was decided, as the night's commit had it."""
        claim_ids = store.claims_decided(self.connection, self.run_id)
        if claim_ids.is_empty():
            return Decided(Batch(frames.empty(frames.Claims), frames.empty(frames.Lines)))
        reversals = store.reversals_of(self.connection, self.run_id)
        deciding = Deciding(claim_ids)
        for start in range(0, len(claim_ids), PIECE_CLAIMS):
            some = claim_ids.slice(start, PIECE_CLAIMS)
            deciding.add(self._as_decided(some, reversals), self.reference)
        return deciding.decided()

    def _as_decided(self, claim_ids: pl.Series, reversals: pl.DataFrame) -> Batch:
        """Some of the night's claims as they were sent and identified, with what was decided."""
        stored = store.claims_of(self.connection, claim_ids, OPEN_CLAIMS)
        read = read_whole(self.connection, stored, own_names(self.reference.programs))
        findings = store.findings_of(self.connection, self.run_id, claim_ids)
        batch = _identified(Batch(**read), findings, self.reference)
        lines, adjustments = (
            store.decided_in(self.connection, self.run_id, kind, claim_ids)
            for kind in ("lines", "adjustments")
        )
        return batch.with_(
            lines=lines,
            adjustments=adjustments,
            decisions=_decisions(batch.claims, lines, adjustments),
            findings=findings,
            open_pends=store.pends_before(self.connection, claim_ids, self.run_id),
            reversals=reversals.filter(pl.col("claim_id").is_in(claim_ids.implode())),
        )

    @cached_property
    def act(self) -> store.AuditRow:
        """By which the trail tells of the night."""
        act = store.act_of(self.connection, self.run_id, "decided")
        if act is None:
            raise RenderError(SUMMARY, "the audit trail does not tell of the night")
        return act

    @cached_property
    def act_detail(self) -> dict[str, Any]:
        try:
            detail: dict[str, Any] = dict(json.loads(self.act.detail))
        except (ValueError, TypeError) as error:
            raise RenderError(SUMMARY, "the audit trail's row of the night was changed") from error
        return detail

    @property
    def others(self) -> list[store.Published]:
        """The night's files but its manifest, as they were committed."""
        committed = store.outbox_of(self.connection, self.run_id)
        return [f for f in committed if f.name != MANIFEST]

    @property
    def told(self) -> dict[str, Any]:
        """The night's figures."""
        return {name: told for name, told in self.act_detail.items() if name != "files_digest"}


def _identified(batch: Batch, findings: pl.DataFrame, reference: Reference) -> Batch:
    """The claims with member, program and payee; not those that made the program fail, which the
    night knew nothing of."""
    failed = pl.col("claim_id").is_in(findings.filter(edit=SYSTEM)["claim_id"].implode())
    known = identify(batch.only(batch.claims.filter(~failed)["claim_id"]), reference)
    claims = pl.concat([known.claims, batch.claims.filter(failed)], how="diagonal_relaxed")
    return batch.with_(claims=claims.sort("claim_id"))


def _decisions(
    claims: pl.DataFrame, lines: pl.DataFrame, adjustments: pl.DataFrame
) -> pl.DataFrame:
    """DecidedClaims, but for why a claim waits, from its lines: of one that waits or is voided each
    line is so, and a claim is denied where every line is."""
    fate = pl.col("line_disposition")
    of_lines = lines.group_by("claim_id").agg(
        disposition=pl.when((fate == "voided").any())
        .then(pl.lit("voided"))
        .when((fate == "pended").any())
        .then(pl.lit("pended"))
        .when((fate == "paid").any())
        .then(pl.lit("paid"))
        .otherwise(pl.lit("denied"))
    )
    of_claims = claims.select("claim_id", "charge_amount", pend_codes=pl.lit(None, pl.String)).join(
        of_lines, on="claim_id", maintain_order="left"
    )
    decided = decided_claims(of_claims, lines, adjustments)
    is_voided = pl.col("disposition") == "voided"
    amounts = ("allowed_amount", "member_amount", "paid_amount")
    return decided.with_columns(
        **{name: pl.when(is_voided).then(0).otherwise(name) for name in amounts}
    )


# ---- a kind of file each ---------------------------------------------------------------------


def _835s(night: _Night) -> None:
    cycle = kept_cycle(night.connection, night.run_id, night.reference)
    originals = reversed_claims(
        night.connection, night.decided.whole, own_names(night.reference.programs)
    )
    with balancing_apart(night.decided.whole.claims.height) as apart:
        wrong = write_835s(
            night.folder,
            remittances(cycle, night.decided, night.reference, originals),
            file_names(cycle.payments),
            apart,
        )
    for name in wrong:
        raise RenderError(f"835/{Path(name).name}", f"{TAMPERED}: it does not balance")


def _answers(night: _Night) -> None:
    due = store.due_answers(night.connection, answered_run_id=night.run_id)
    write_answers(night.folder, answers_by_name(night.run_id, due))


def _letters(night: _Night) -> None:
    from adjudicator.reports.letters import return_letters  # only paper needs its models

    for name, content in return_letters(night.connection, night.run_id, night.reference):
        write(night.folder / name, content)


def _claims_list(night: _Night) -> None:
    day, programs = night.reference.business_date, night.reference.programs
    whole = night.decided.whole
    write(
        night.folder / "claims.csv",
        claims_list(night.connection, night.run_id, whole, day, programs),
    )


def _review(night: _Night) -> None:
    write(night.folder / "review.csv", review_list(night.told["review"]))


def _summary(night: _Night) -> None:
    write(night.folder / SUMMARY, summary_text(night.told))


def _manifest(night: _Night) -> None:
    found = store.find_run(night.connection, night.run_id)
    assert found is not None
    trail = (night.act.sequence_number, night.act.hash)
    write(
        night.folder / MANIFEST,
        manifest_text(night.run_id, found.reference_version, trail, night.others),
    )


# by a file's name, or that of its folder
KINDS: dict[str, Callable[[_Night], None]] = {
    "835": _835s,
    "acks": _answers,
    "letters": _letters,
    "claims.csv": _claims_list,
    "review.csv": _review,
    SUMMARY: _summary,
    MANIFEST: _manifest,
}
