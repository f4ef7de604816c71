"""The edits in their written order, and the stage that asks them."""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from adjudicator.corrections import set_aside
from adjudicator.edits.accident_primary import accident_primary
from adjudicator.edits.ambulance_in_stay import ambulance_in_stay
from adjudicator.edits.approved_facility import approved_facility
from adjudicator.edits.carve_out import carve_out
from adjudicator.edits.coordination import coordination
from adjudicator.edits.correction import correction
from adjudicator.edits.coverage import coverage
from adjudicator.edits.edit import Edit, edit
from adjudicator.edits.exact_duplicate import exact_duplicate
from adjudicator.edits.hospice import hospice
from adjudicator.edits.inpatient_notification import inpatient_notification
from adjudicator.edits.member_unknown import member_unknown
from adjudicator.edits.ncci import ncci
from adjudicator.edits.necessity import necessity
from adjudicator.edits.nutrition import nutrition
from adjudicator.edits.observation import observation
from adjudicator.edits.other_payer_unbilled import other_payer_unbilled
from adjudicator.edits.payee_unknown import payee_unknown
from adjudicator.edits.prior_authorization import prior_authorization
from adjudicator.edits.provider_ineligible import provider_ineligible
from adjudicator.edits.provider_under_review import provider_under_review
from adjudicator.edits.referral import referral
from adjudicator.edits.serious_event import serious_event
from adjudicator.edits.suspected_duplicate import suspected_duplicate
from adjudicator.edits.timely_filing import timely_filing
from adjudicator.edits.unlisted_code import unlisted_code
from adjudicator.edits.urgent_care import urgent_care
from adjudicator.edits.urgent_out_of_network import urgent_out_of_network
from adjudicator.pends import resolved
from adjudicator.pipeline import Batch
from adjudicator.reference import Reference
from edi.threads import Beside
from schemas import frames

__all__ = ["EDITS", "Edit", "edit", "edits"]

# The written order: of the edits that deny a line, the first takes the money.
EDITS = (
    correction,
    payee_unknown,
    member_unknown,
    coverage,
    provider_ineligible,
    provider_under_review,
    carve_out,
    hospice,
    exact_duplicate,
    suspected_duplicate,
    timely_filing,
    referral,
    urgent_out_of_network,
    prior_authorization,
    inpatient_notification,
    approved_facility,
    serious_event,
    necessity,
    unlisted_code,
    ambulance_in_stay,
    urgent_care,
    nutrition,
    observation,
    ncci,
    other_payer_unbilled,
    accident_primary,
    coordination,
)

FINDING = frames.empty(frames.Findings).schema
FACTS = ("disposition", "group_code", "carc", "rarc", "pend_code")


def edits(batch: Batch, reference: Reference) -> Batch:
    """Adds the findings of the edits that each claim's program lists; every finding is kept.

    A finding's ``edit_rank`` is its edit's place in EDITS times ten. Evaluation order is not
    precedence: first those that look at a line by itself, then one by one those that compare the
    night's lines, to which ``batch.findings`` then says which lines still stand. Pends that a
    person or their last day has ended are no pends any more (``resolved``).
    """
    ranked = [(10 * place, each) for place, each in enumerate(EDITS, start=1)]
    by_itself = [r for r in ranked if not r[1].across_night]
    with Beside() as beside:
        # they don't look at each other: every other one on another thread
        others = beside.submit(_found, batch, reference, by_itself[1::2])
        found = [_found(batch, reference, by_itself[::2]), others.result()]
    batch = _with(batch, reference, found)
    for one in (r for r in ranked if r[1].across_night):
        batch = _with(batch, reference, [_found(batch, reference, [one])])
    order = ["claim_id", "edit_rank", "line_number", "edit", "carc", "inputs"]
    return batch.with_(findings=batch.findings.sort(order, nulls_last=False))


def _with(batch: Batch, reference: Reference, found: Iterable[pl.DataFrame]) -> Batch:
    stands = resolved(pl.concat(found), batch, reference)
    return batch.with_(findings=pl.concat([batch.findings, stands]))


def _found(batch: Batch, reference: Reference, ranked: Iterable[tuple[int, Edit]]) -> pl.DataFrame:
    """The findings of these edits, each on the claims whose program lists it."""
    found = []
    every = batch.claims.select("claim_id", "program_code")
    judged = every.filter(~pl.col("claim_id").is_in(set_aside(batch).implode()))
    for rank, each in ranked:
        lists = [c for c, program in reference.programs.items() if each.name in program.edits]
        if not lists:
            continue
        asked = (every if each is correction else judged).lazy()
        asked = asked.filter(pl.col("program_code").is_in(lists))
        finds = each(batch, reference)
        given = finds.collect_schema().names()
        found.append(
            finds.join(asked.select("claim_id"), on="claim_id", how="semi")
            .select(
                "claim_id",
                "line_number",
                pl.lit(each.name).alias("edit"),
                pl.lit(rank).alias("edit_rank"),
                *(pl.col(f) if f in given else pl.lit(getattr(each, f)).alias(f) for f in FACTS),
                pl.lit(None).alias("status_code"),
                pl.col("inputs").struct.json_encode(),
            )
            .select(pl.col(c).cast(t) for c, t in FINDING.items())
        )
    return pl.concat([frames.empty(frames.Findings), *pl.collect_all(found)])
