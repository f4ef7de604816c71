"""The contracts of schemas/frames.py, held at the stages' boundaries.

Types are checked after every stage, on the frames it changed; keys, patterns and required values
where claims come in and where they are settled. A broken contract is a fault of the program.
"""

from __future__ import annotations

from collections.abc import Mapping

import dataframely as dy
import polars as pl

from adjudicator.pipeline import Batch
from schemas import frames

Contract = Mapping[str, type[dy.Schema]]

READ: Contract = {
    "claims": frames.Claims,
    "lines": frames.Lines,
    "people": frames.People,
    "claim_providers": frames.ClaimProviders,
    "diagnoses": frames.Diagnoses,
    "procedures": frames.Procedures,
    "occurrences": frames.Occurrences,
    "dates": frames.Dates,
    "references": frames.References,
    "amounts": frames.Amounts,
    "notes": frames.Notes,
    "attachments": frames.Attachments,
    "certifications": frames.Certifications,
    "other_payers": frames.OtherPayers,
    "other_payer_lines": frames.OtherPayerLines,
    "other_payer_adjustments": frames.OtherPayerAdjustments,
}
AFTER: Mapping[str, Contract] = {
    "validate": {"findings": frames.Findings},
    "identify": {"claims": frames.IdentifiedClaims, "lines": frames.IdentifiedLines},
    "match": {
        "duplicates": frames.DuplicateLines,
        "similar": frames.SimilarLines,
        "corrections": frames.Corrections,
        "corrected": frames.CorrectedVersions,
    },
    "edits": {"findings": frames.Findings},
    "price": {"lines": frames.PricedLines, "findings": frames.Findings},
    "benefits": {
        "lines": frames.SharedLines,
        "findings": frames.Findings,
        "accumulator_entries": frames.AccumulatorEntries,
        "referral_visit_entries": frames.ReferralVisitEntries,
        "authorization_unit_entries": frames.AuthorizationUnitEntries,
        "benefit_use_entries": frames.BenefitUseEntries,
    },
    "coordinate": {"coordinated": frames.CoordinatedLines},
    "settle": {
        "lines": frames.DecidedLines,
        "adjustments": frames.Adjustments,
        "decisions": frames.DecidedClaims,
        "reversals": frames.Reversals,
    },
}
WHOLE = ("settle",)  # stages after which keys, patterns and required values are held too


class ContractError(AssertionError):
    """A frame broke its contract: which one, after which stage, by which rules and how often."""


def hold(batch: Batch, contract: Contract, after: str, *, whole: bool) -> None:
    """Raises ContractError where a frame of the batch is not of its contract.

    ``whole`` holds keys, patterns and required values beside names and types.
    """
    for name, schema in contract.items():
        frame: pl.DataFrame = getattr(batch, name)
        types = frame.schema
        wrong = {
            column: str(types.get(column, "absent"))
            for column, kind in schema.columns().items()
            if types.get(column) != kind.dtype
        }
        if wrong:
            raise ContractError(f"{name} after {after}: columns {wrong}")
        if whole and frame.height and not _surely_holds(frame, schema):
            _, failure = schema.filter(frame.select(schema.column_names()))
            if len(failure):
                raise ContractError(f"{name} after {after}: rows break {failure.counts()}")


def _surely_holds(frame: pl.DataFrame, schema: type[dy.Schema]) -> bool:
    """Whether required values and patterns stand and the key rises from row to row, as it does
    in frames in claim order; counting keys takes longer. The rest is dataframely's to judge."""
    checks = []
    for name, column in schema.columns().items():
        if frame[name].has_nulls() and not column.nullable:
            return False
        if isinstance(column, dy.String) and column.regex:
            checks.append(pl.col(name).str.contains(column.regex).all())
    rises = pl.lit(False)
    for name in reversed(schema.primary_key()):
        here, before = pl.col(name), pl.col(name).shift(1)
        rises = (here > before) | ((here == before) & rises)
    if schema.primary_key():
        checks.append(rises.slice(1).all())
    return not checks or all(frame.select(pl.all_horizontal(checks)).to_series())


def held(batch: Batch, stage: str) -> Batch:
    """The batch as a stage left it, once its contract holds."""
    hold(batch, AFTER[stage], stage, whole=stage in WHOLE)
    return batch
