"""The stages over a whole night, and what happens where our own code fails on a claim."""

from __future__ import annotations

import polars as pl

from adjudicator.contracts import held
from adjudicator.corrections import misjudged
from adjudicator.pipeline import OF_CLAIMS, Batch
from adjudicator.reference import Reference
from adjudicator.stages import STAGES
from schemas import frames

SYSTEM = "system"  # the edit of our own failures


class UndecidableError(Exception):
    """The night can't be decided: the message says why and what to do."""


def decide(batch: Batch, reference: Reference, limit: int) -> Batch:
    """The stages over the whole night. Claims that make our own code fail pend SYSTEM, found by
    halving; the others are decided as if those were not there. Raises UndecidableError where more
    than ``limit`` of them do, or more than one in a hundred; a single one is always let off."""
    try:
        return _walk(batch, reference)
    except (Exception, pl.exceptions.PanicException) as failure:
        allowed = allowed_failures(batch.claims.height, limit)
        culprits = _culprits(batch, batch.claims["claim_id"], reference, allowed)
        if not culprits:
            raise UndecidableError(
                f"the stages fail on this night as a whole ({type(failure).__name__}), on no claim "
                "alone; nothing is committed. Run the files one by one to find the combination"
            ) from failure
    out = pl.Series(culprits, dtype=pl.Int64)
    good = batch.claims.filter(~pl.col("claim_id").is_in(out.implode()))["claim_id"]
    decided = _walk(batch.only(good), reference)
    return _with_system_pends(decided, batch, out)


def allowed_failures(claim_count: int, limit: int) -> int:
    """How many claims of a night may pend SYSTEM: one in a hundred, no more than ``limit``; one of
    a smaller night."""
    return max(1, min(limit, claim_count // 100))


def refuse_failures(decided: Batch, limit: int) -> None:
    """Raises UndecidableError where more claims than allowed pend SYSTEM, of a night decided in
    parts, each of which had no more than that."""
    count, allowed = (
        decided.findings.filter(edit=SYSTEM)["claim_id"].n_unique(),
        allowed_failures(decided.claims.height, limit),
    )
    if count > allowed:
        raise UndecidableError(_too_many(allowed, decided.claims.height))


def _too_many(allowed: int, claim_count: int) -> str:
    return (
        f"more than {allowed} of {claim_count:,} claims make the program fail; the "
        "night stops and nothing is committed. Report it; a new release decides them"
    )


def _walk(batch: Batch, reference: Reference) -> Batch:
    """The stages; and once more where a correction waits after all, and another claim was decided
    as if what it corrects were gone."""
    decided = batch
    for stage in STAGES[1:]:
        decided = held(stage(decided, reference), stage.__name__)
    if decided.corrected.height and batch.known_to_wait.is_empty():
        waits = misjudged(decided)
        if waits.height:
            return _walk(batch.with_(known_to_wait=waits), reference)
    return decided


def _culprits(batch: Batch, ids: pl.Series, reference: Reference, allowed: int) -> list[int]:
    """The claims that fail alone; raises UndecidableError where there are more than ``allowed``."""
    try:
        _walk(batch.only(ids), reference)
        return []
    except (Exception, pl.exceptions.PanicException):
        if len(ids) == 1:
            return [int(ids[0])]
    half = len(ids) // 2
    found = _culprits(batch, ids[:half], reference, allowed)
    found += _culprits(batch, ids[half:], reference, allowed)
    if len(found) > allowed:
        raise UndecidableError(_too_many(allowed, batch.claims.height))
    return found


def _with_system_pends(decided: Batch, batch: Batch, culprits: pl.Series) -> Batch:
    """The decided batch with the culprits beside it, pended SYSTEM, so that none is lost."""
    failed = batch.only(culprits)
    schema = frames.empty(frames.Findings).schema
    findings = failed.claims.select(
        "claim_id", edit=pl.lit(SYSTEM), edit_rank=pl.lit(0, dtype=pl.Int64),
        disposition=pl.lit("pend"), pend_code=pl.lit("SYSTEM"),
        inputs=pl.lit('{"cause":"the program failed on this claim alone"}'),
    )  # fmt: skip
    decisions = failed.claims.select(
        "claim_id", disposition=pl.lit("pended"),
        charge_amount=pl.col("charge_amount").fill_null(0),
        allowed_amount=pl.lit(0, dtype=pl.Int64), member_amount=pl.lit(0, dtype=pl.Int64),
        paid_amount=pl.lit(0, dtype=pl.Int64), pend_codes=pl.lit("SYSTEM"),
    )  # fmt: skip
    changed: dict[str, pl.DataFrame] = {
        n: pl.concat([getattr(decided, n), getattr(failed, n)], how="diagonal_relaxed").sort(
            "claim_id", maintain_order=True
        )
        for n in OF_CLAIMS
        if n not in ("findings", "decisions")
    }
    changed["findings"] = pl.concat(
        [decided.findings, findings.match_to_schema(schema, missing_columns="insert")]
    ).sort("claim_id", maintain_order=True)
    changed["decisions"] = pl.concat([decided.decisions, decisions]).sort("claim_id")
    changed["lines"] = changed["lines"].with_columns(pl.col("line_disposition").fill_null("pended"))
    return decided.with_(**changed)
