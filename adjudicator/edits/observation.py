from __future__ import annotations

import polars as pl

from adjudicator.edits.edit import edit
from adjudicator.edits.policies import LINE, NOTHING, holds, versions
from adjudicator.edits.stays import inpatient_stays, outpatient_stays, with_standing
from adjudicator.pipeline import Batch
from adjudicator.reference import Reference
from schemas.policy import Observation
from schemas.program import Citation

PAID_BEFORE = "the observation was paid"  # of the same day: the next night reopens it


@edit(
    disposition="deny",
    group_code="CO",
    carc="60",
    pend_code="REVIEW",
    across_night=True,
    cites=Citation(
        document="001",
        lines=(3984, 3986),
        phrase="observation services and admissions commence on the same calendar day",
    ),
)
def observation(batch: Batch, reference: Reference) -> pl.LazyFrame:
    """Observation of a patient whom the same facility admits.

    Both begin on the same day: only the admission is paid, and the observation's lines are denied
    CO-60 [j]. The admission comes of the observation on a later day: not both are paid at the
    contracted rate (001:3982-3984), and the observation pends REVIEW. It comes of it that begins
    while it lasts, or the policy's days after [j]. An admission that waits is not paid yet: the
    observation pends with it.

    Where the observation was already paid and the admission comes now, the admission pends REVIEW
    and names it, rather than be paid beside it. Of the same day the next night reopens the
    observation, so that it is reversed and denied CO-60 when the admission is paid; not where a
    person has decided this edit of either. Of a later day a person decides what of both is paid
    (``reprocess``). What becomes of the observation where the admission is voided after that, is
    a person's matter, too.
    """
    found = [
        each
        for code, policy in versions(reference, "observation")
        for each in _found(batch, code, policy)
        if each.height
    ]
    return pl.concat(found).lazy() if found else NOTHING


def _found(batch: Batch, code: str, policy: Observation) -> list[pl.DataFrame]:
    observed = outpatient_stays(
        batch, policy.outpatient_bill_types, policy.revenue_codes, policy.procedures
    )
    if observed.is_empty():
        return []
    where = ["member_id", "facility_number"]
    admitted = inpatient_stays(batch, policy.stay_bill_types).join(observed, on=where, how="semi")
    both = (
        with_standing(observed.join(admitted, on=where, how="semi"), batch)
        .join(
            with_standing(admitted, batch).select(
                *where, "standing", "first_date",
                stay_claim_id="claim_id", stay_claim_number="claim_number",
            ),
            on=where, suffix="_stay",
        )
        .rename({"first_date_stay": "admission_date", "standing_stay": "stay_standing"})
        .filter(
            pl.col("admission_date").is_between(
                pl.col("first_date"), pl.col("last_date") + pl.duration(days=policy.days_after)
            )
        )
    )  # fmt: skip
    if both.is_empty():
        return []
    tonight = batch.claims.select("claim_id", "program_code")
    facts = {
        "observed_from": pl.col("first_date"),
        "observed_to": pl.col("last_date"),
        "admission_date": pl.col("admission_date"),
    }
    same_day = pl.col("admission_date") == pl.col("first_date")
    denied = same_day & (pl.col("stay_standing") == "paid")
    none = pl.lit(None, pl.String)
    lines = (
        both.join(tonight, on="claim_id")
        .filter(holds(code, policy, day="first_date"))
        .sort("claim_id", ~denied, "admission_date", "stay_claim_number")
        .unique("claim_id", keep="first", maintain_order=True)
        .join(_observation_lines(batch, policy), on="claim_id")
        .sort(LINE)
        .select(
            *LINE,
            disposition=pl.when(denied).then(pl.lit("deny")).otherwise(pl.lit("pend")),
            group_code=pl.when(denied).then(pl.lit("CO")),
            carc=pl.when(denied).then(pl.lit("60")),
            pend_code=pl.when(denied).then(none).otherwise(pl.lit("REVIEW")),
            inputs=_inputs(
                pl.when(pl.col("stay_standing") == "pended")
                .then(pl.lit("the admission waits"))
                .when(same_day)
                .then(pl.lit("admitted on the same day"))
                .otherwise(pl.lit("admitted on a later day")),
                "stay_claim_number",
                facts,
            ),
        )
    )
    stays = (
        both.filter(
            (pl.col("standing") == "paid")
            & ~pl.col("claim_id").is_in(tonight["claim_id"].implode())
        )
        .join(tonight.rename({"claim_id": "stay_claim_id"}), on="stay_claim_id")
        .filter(holds(code, policy, day="first_date"))
        .sort("stay_claim_id", ~same_day, "first_date", "claim_number")
        .unique("stay_claim_id", keep="first", maintain_order=True)
        .select(
            claim_id="stay_claim_id",
            line_number=pl.lit(None, pl.Int64),
            disposition=pl.lit("pend"),
            group_code=none,
            carc=none,
            pend_code=pl.lit("REVIEW"),
            inputs=_inputs(
                pl.when(same_day)
                .then(pl.lit(PAID_BEFORE))
                .otherwise(pl.lit("an earlier observation was paid")),
                "claim_number",
                facts,
            ),
        )
    )
    return [lines, stays]


def _inputs(because: pl.Expr, other_claim: str, facts: dict[str, pl.Expr]) -> pl.Expr:
    told = (each.alias(name) for name, each in facts.items())
    return pl.struct(because.alias("because"), pl.col(other_claim).alias("other_claim"), *told)


def _observation_lines(batch: Batch, policy: Observation) -> pl.DataFrame:
    of_kind = pl.col("revenue_code").is_in(policy.revenue_codes) | pl.col("procedure_code").is_in(
        policy.procedures
    )
    return batch.lines.filter(of_kind.fill_null(value=False)).select(LINE)
