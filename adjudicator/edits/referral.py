from __future__ import annotations

from collections.abc import Callable

import polars as pl

from adjudicator.edits.edit import edit
from adjudicator.edits.exempt import OF_CLAIM, OF_LINE, exempted, listed
from adjudicator.edits.permits import covers_service, fails, with_permits
from adjudicator.edits.services import PROVIDER, with_specialties
from adjudicator.edits.urgency import URGENCY_COLUMNS
from adjudicator.pipeline import Batch
from adjudicator.reference import Reference
from schemas.program import Citation, Plan

LINE = ["claim_id", "line_number"]
TOLD = {  # of a referral that covers a line
    "referral_number": pl.String,
    "start_date": pl.Date,
    "end_date": pl.Date,
    "visit_limit": pl.Int64,
}
INPUTS = [
    "because", "decision_date", "provider_number", "specialty_codes", "referral_number",
    "zip_code", "emergency_date", "coverage_start_date", "transition_days", "referrals",
    "candidates",
]  # fmt: skip


@edit(
    disposition="pend",
    pend_code="AUREQ",
    cites=Citation(
        document="001",
        lines=(1493, 1494),
        phrase="If no matching referral is found, the claim will pend for AUREQ",
    ),
)
def referral(batch: Batch, reference: Reference) -> pl.LazyFrame:
    """A specialist outside the network, where the plan requires a referral and none covers it.

    Under the rule are lines outside the network (001:861-864, 003:12) of plans that require one;
    a PPO may not, nor does a plan whose members refer themselves (004:60). The referral is the
    one that line or claim names (REF 9F), or, where none is named, any of the member's: approved,
    to the rendering or billing NPI or to the provider's specialty, for the line's date and code.
    An institutional claim's provider is the facility [j].

    None is needed (``exempted``) for emergencies (001:1258), ambulances (001:1515), a stay after
    an emergency (001:4212-4216), urgent care outside the service area or with no network at hand
    (001:4168-4173), dialysis outside the area (001:3322-3327) and an active treatment in a new
    member's first 90 days (001:746-750). Other primary care is not under the rule: nobody is
    referred to it. The specialty is the provider file's, else the claim's; where nobody tells it,
    it is no primary care [j].

    A line under the rule that is exempt, or that a referral covers, is told as well: *benefits*
    takes its cost share from the plan's terms for it, and counts the visits. Where it would be
    exempt outside a service area that isn't known, it pends REFERENCE.
    """
    lines = outside_network(batch, reference, lambda plan: plan.referral_required)
    if lines.is_empty():
        return pl.LazyFrame(schema={**dict.fromkeys(LINE, pl.Int64), "inputs": pl.Struct({})})
    lines = with_specialties(exempted(lines, batch, reference), batch, reference)
    primary_care = listed(
        reference.programs,
        lambda terms: terms.primary_care_taxonomies,
        lambda codes: pl.col("specialties").list.eval(pl.element().is_in(codes)).list.all(),
    )
    lines = lines.filter(pl.col("because").is_not_null() | pl.col("area_unknown") | ~primary_care)
    lines = with_referrals(lines, reference.tables["referrals"])
    covered = pl.col("because").is_not_null() | pl.col("referrals").is_not_null()
    return lines.lazy().select(
        *LINE,
        pl.when(covered).then(pl.lit("inform")).otherwise(pl.lit("pend")).alias("disposition"),
        pl.when(covered)
        .then(None)
        .when("area_unknown")
        .then(pl.lit("REFERENCE"))
        .otherwise(pl.lit("AUREQ"))
        .alias("pend_code"),
        pl.struct(pl.coalesce("because", _story()).alias("because"), *INPUTS[1:]).alias("inputs"),
    )


def outside_network(
    batch: Batch, reference: Reference, which: Callable[[Plan], bool]
) -> pl.DataFrame:
    """The lines outside the network of those plans, with what ``exempted``, ``with_specialties``
    and ``with_referrals`` read. Where no payee is known, neither is the network."""
    plans = [
        (code, plan.plan_code)
        for code, program in sorted(reference.programs.items())
        for plan in program.plans.values()
        if which(plan)
    ]
    outside = pl.col("network_code") == "out"
    lines = (
        batch.lines.select(
            *LINE, *URGENCY_COLUMNS, *OF_LINE, "plan_code", "network_code",
            of_line="rendering_npi", line_referral="referral_number",
        )
        .filter(outside if plans else pl.lit(value=False))
        .filter(
            pl.col("plan_code").is_in([plan for _, plan in plans])
            & pl.col("decision_date").is_not_null()
        )
    )  # fmt: skip
    if lines.is_empty():
        return lines
    of_plans = pl.DataFrame(plans, schema=["program_code", "plan_code"], orient="row")
    claims = batch.claims.select(
        "claim_id", *OF_CLAIM, "billing_npi", "rendering_npi", "referral_number", "payee_id"
    ).filter(pl.col("payee_id").is_not_null())
    return (
        lines.join(claims, on="claim_id", maintain_order="left")
        .join(of_plans, on=["program_code", "plan_code"], how="semi", maintain_order="left")
        .with_columns(
            PROVIDER,
            referral_number=pl.coalesce("line_referral", "referral_number").str.strip_chars(),
        )
    )


def with_referrals(lines: pl.DataFrame, referrals: pl.DataFrame) -> pl.DataFrame:
    """``referrals`` that cover a line not exempt, and where there is none, ``candidates``."""
    asked = lines.filter(pl.col("because").is_null()).select(
        *LINE, "member_id", "decision_date", "referral_number", "provider_number", "billing_npi",
        "specialties", code=pl.coalesce("procedure_code", "revenue_code"),
    )  # fmt: skip
    return with_permits(
        lines, asked, referrals.drop("referring_npi"), _fails(),
        number="referral_number", limit="visit_limit", into="referrals",
    )  # fmt: skip


def _fails() -> list[pl.Expr]:
    """In what a referral fails a line."""
    day = pl.col("decision_date")
    dates = pl.col("start_date") <= day
    dates &= pl.col("end_date").is_null() | (pl.col("end_date") >= day)
    to_whom = (
        pl.when(pl.col("npi").is_not_null())
        .then(
            pl.col("npi").eq_missing(pl.col("provider_number"))
            | pl.col("npi").eq_missing(pl.col("billing_npi"))
        )
        .otherwise(pl.col("specialties").list.contains(pl.col("taxonomy_code")))
    )
    return [
        pl.when(pl.col("status_code") != "approved").then("status_code"),
        fails("other dates", dates),
        fails("other provider", to_whom | pl.col("npi").is_null()),
        fails("other specialty", to_whom | pl.col("npi").is_not_null()),
        fails("other service", covers_service()),
    ]


def _story() -> pl.Expr:
    """What became of the search for a referral."""
    return pl.coalesce(
        pl.when(pl.col("referrals").is_not_null()).then(pl.lit("a referral covers it")),
        pl.when("area_unknown").then(pl.lit("service area not known")),
        pl.when(pl.col("candidates").is_not_null()).then(pl.lit("no referral covers it")),
        pl.when(pl.col("referral_number").is_not_null()).then(pl.lit("no such referral")),
        pl.lit("no referral"),
    )
