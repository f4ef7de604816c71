from __future__ import annotations

import polars as pl

from adjudicator.edits.edit import edit
from adjudicator.edits.policies import (
    LINE,
    NOTHING,
    carrying,
    holds,
    procedure_lines,
    versions,
)
from adjudicator.edits.stays import inpatient_stays, outpatient_stays, with_standing
from adjudicator.edits.urgency import URGENCY_COLUMNS, urgency
from adjudicator.pipeline import Batch
from adjudicator.reference import Reference
from schemas.policy import AmbulanceInStay
from schemas.program import Citation

RARC = {"inpatient": "M2", "outpatient": "N538"}


@edit(
    disposition="deny",
    group_code="CO",
    carc="97",
    rarc="M2",
    across_night=True,
    judgement=True,
    cites=Citation(
        document="002",
        lines=(6, 6),
        phrase="we will no longer reimburse non-emergent ambulance services provided to a member "
        "during an inpatient or outpatient admission",
    ),
)
def ambulance_in_stay(batch: Batch, reference: Reference) -> pl.LazyFrame:
    """An ambulance that was no emergency, while the member was admitted somewhere.

    The facility's payment covers it (002:5-6, services from 2024-09-01): CO-97, M2 in an inpatient
    stay, N538 in an outpatient one [j: the codes]. During a stay is after its first and before its
    last day; on these two only a trip from the facility and back, by its modifier, since the way
    there and the way home are not part of it [j]. A trip (claim and day) is no emergency where it
    bills a non-emergency base rate and no emergency one, and nothing else tells of an emergency;
    mileage and supplies go with it.

    A stay counts that is paid or waits, of any facility, tonight or in history. Outpatient stays
    are those with observation or day surgery; history knows observation alone.
    """
    found = [_found(batch, reference, c, p) for c, p in versions(reference, "ambulance_in_stay")]
    found = [each for each in found if each.height]
    return pl.concat(found).lazy() if found else NOTHING


def _found(batch: Batch, reference: Reference, code: str, policy: AmbulanceInStay) -> pl.DataFrame:
    trips = _trips(batch, reference, code, policy)
    if trips.is_empty():
        return trips
    stays = pl.concat(
        [
            inpatient_stays(batch, policy.stay_bill_types).with_columns(kind=pl.lit("inpatient")),
            outpatient_stays(
                batch,
                policy.outpatient_bill_types,
                policy.outpatient_revenue_codes,
                policy.outpatient_procedures,
            ).with_columns(kind=pl.lit("outpatient")),
        ]
    ).join(trips, on="member_id", how="semi")
    day = pl.col("decision_date")
    inside = (day > pl.col("first_date")) & (day < pl.col("last_date"))
    between = carrying(trips["modifier_codes"], policy.between_modifiers) & day.is_between(
        pl.col("first_date"), pl.col("last_date")
    )
    during = trips.join(
        with_standing(stays, batch).rename({"claim_id": "stay_claim_id"}), on="member_id"
    ).filter((inside | between) & (pl.col("claim_id") != pl.col("stay_claim_id")))
    return (
        during.sort(*LINE, pl.col("kind") != "inpatient", "first_date", "claim_number")
        .unique(LINE, keep="first", maintain_order=True)
        .select(
            *LINE,
            rarc=pl.col("kind").replace_strict(RARC, return_dtype=pl.String),
            inputs=pl.struct(
                "kind", "procedure_code", "decision_date", "first_date", "last_date",
                stay_claim="claim_number",
            ),
        )
    )  # fmt: skip


def _trips(batch: Batch, reference: Reference, code: str, policy: AmbulanceInStay) -> pl.DataFrame:
    """The lines of trips that were no emergency."""
    columns = [*LINE, *URGENCY_COLUMNS, "modifier_codes", "decision_date"]
    lines = procedure_lines(batch, policy.procedure_ranges, columns)
    if lines.is_empty():
        return lines
    claims = batch.claims.select(
        "claim_id", "member_id", "program_code", "claim_type_code", "admission_type_code"
    )
    trip = ["claim_id", "decision_date"]
    procedure = pl.col("procedure_code")
    emergency = procedure.is_in(policy.emergency_procedures) | (
        urgency(reference.programs).eq_missing("emergency")
    )
    return (
        lines.join(claims, on="claim_id", maintain_order="left")
        .filter(holds(code, policy) & pl.col("member_id").is_not_null())
        .filter(
            procedure.is_in(policy.base_procedures).any().over(trip) & ~emergency.any().over(trip)
        )
        .select(*LINE, "member_id", "procedure_code", "modifier_codes", "decision_date")
    )
