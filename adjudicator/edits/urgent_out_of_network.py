from __future__ import annotations

import polars as pl

from adjudicator.edits.edit import edit
from adjudicator.edits.exempt import exempted
from adjudicator.edits.referral import outside_network, with_referrals
from adjudicator.edits.services import with_specialties
from adjudicator.edits.urgency import urgency
from adjudicator.pipeline import Batch
from adjudicator.reference import Reference
from schemas.program import Citation

LINE = ["claim_id", "line_number"]
NOTHING = pl.LazyFrame(schema={**dict.fromkeys(LINE, pl.Int64), "inputs": pl.Struct({})})


@edit(
    disposition="deny",
    group_code="PR",
    carc="242",
    pend_code="REFERENCE",
    cites=Citation(
        document="001",
        lines=(4183, 4185),
        phrase="will not pay for urgently needed care that a member receives from an "
        "out-of-network provider while the member is in the CarePartners of Connecticut service "
        "area",
    ),
)
def urgent_out_of_network(batch: Batch, reference: Reference) -> pl.LazyFrame:
    """Urgent care, no emergency, in the service area from a provider outside the network.

    Of plans that cover nothing outside their network: 001:4170-4173 speaks of HMO members, and a
    PPO's pay for such care as its terms say [j]. The member owes: they were told to call their
    PCP (001:4176-4179) [j]. "In most cases" (001:4183) leaves out what a referral covers and what
    needs none: emergencies and the stay they lead to, care while no network is at hand
    (001:4172-4173), an active treatment of a new member [j]. Outside the area it is covered
    (001:4188-4189); where the area isn't known it pends REFERENCE.
    """
    lines = outside_network(batch, reference, lambda plan: not plan.out_of_network_covered)
    if lines.is_empty():
        return NOTHING
    urgent = lines.filter(urgency(reference.programs) == "urgent")["claim_id"].unique()
    # a line that tells of an emergency speaks for all of its claim
    lines = lines.filter(pl.col("claim_id").is_in(urgent.implode()))
    if lines.is_empty():
        return NOTHING
    lines = exempted(lines, batch, reference).filter(pl.col("urgent") & pl.col("because").is_null())
    lines = with_specialties(lines, batch, reference)
    lines = with_referrals(lines, reference.tables["referrals"])
    inside = pl.col("area") == "inside"
    return (
        lines.lazy()
        .filter(pl.col("referrals").is_null() & (inside | pl.col("area_unknown")))
        .select(
            *LINE,
            pl.when(inside).then(pl.lit("deny")).otherwise(pl.lit("pend")).alias("disposition"),
            pl.when(inside).then(pl.lit("PR")).alias("group_code"),
            pl.when(inside).then(pl.lit("242")).alias("carc"),
            pl.when("area_unknown").then(pl.lit("REFERENCE")).alias("pend_code"),
            pl.struct("decision_date", "provider_number", "plan_code", "zip_code", "area").alias(
                "inputs"
            ),
        )
    )
