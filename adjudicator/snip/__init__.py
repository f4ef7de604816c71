"""SNIP 3 to 5: balancing, situations and code sets, over the claims as read.

Levels 1 and 2 are the guide's (edi/syntax.py), with the two situations that only segments tell;
level 7 is the payer's own field table (adjudicator/stages/validate.py).
"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from adjudicator.pipeline import Batch
from adjudicator.reference import Reference
from adjudicator.snip.balancing import (
    other_payer_claim_balance,
    other_payer_line_balance,
    other_payer_paid_balance,
)
from adjudicator.snip.codes import (
    adjustment_reason_code,
    bill_type,
    diagnosis_code,
    diagnosis_version,
    inpatient_procedure_code,
    npi,
    place_of_service,
    procedure_code,
    remittance_remark_code,
    revenue_code,
    state_code,
    taxonomy_code,
)
from adjudicator.snip.rule import Rule, rule
from adjudicator.snip.situations import (
    accident_undated,
    other_payer_unnamed,
    responsibility_twice,
    reversed_dates,
)

__all__ = ["RULES", "Rule", "rule", "snip"]

# The written order, by level.
RULES = (
    other_payer_line_balance,
    other_payer_paid_balance,
    other_payer_claim_balance,
    reversed_dates,
    accident_undated,
    other_payer_unnamed,
    responsibility_twice,
    npi,
    taxonomy_code,
    state_code,
    bill_type,
    place_of_service,
    revenue_code,
    procedure_code,
    diagnosis_version,
    diagnosis_code,
    inpatient_procedure_code,
    adjustment_reason_code,
    remittance_remark_code,
)

FIRST_RANK = 100  # after the boxes of the forms


def snip(batch: Batch, reference: Reference) -> Iterator[pl.DataFrame]:
    """The findings of every rule that finds something, of the contract Findings."""
    for rank, each in enumerate(RULES, start=FIRST_RANK):
        found = each(batch, reference)
        if found is not None and found.height:
            yield _findings(found, each, rank)


def _findings(found: pl.DataFrame, rule: Rule, rank: int) -> pl.DataFrame:
    facts = {
        "element": rule.element, "status_code": rule.status_code, "rarc": rule.rarc,
        "disposition": "reject",
    }  # fmt: skip
    found = found.with_columns(pl.lit(v).alias(k) for k, v in facts.items() if k not in found)
    rejects = pl.col("disposition") == "reject"

    def if_rejected(value: pl.Expr) -> pl.Expr:
        return pl.when(rejects).then(value)

    return found.select(
        "claim_id",
        pl.col("line_number").cast(pl.Int64),
        edit=pl.lit(rule.name),
        edit_rank=pl.lit(rank, dtype=pl.Int64),
        disposition="disposition",
        group_code=if_rejected(pl.lit("CO")),
        carc=if_rejected(pl.lit("16")),
        rarc=if_rejected(pl.col("rarc")),
        pend_code=pl.lit(None, dtype=pl.String),
        status_code=if_rejected(pl.col("status_code")),
        inputs=pl.struct(
            pl.lit(rule.level, dtype=pl.Int64).alias("level"), "element", "cause"
        ).struct.json_encode(),
    ).unique(maintain_order=True)
