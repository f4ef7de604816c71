"""Benefits: the member's share of each allowed amount, counted in one ordered pass."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import polars as pl

from adjudicator.corrections import acting, added_to, taken_by
from adjudicator.counting import (
    OWED,
    UNLIMITED,
    Coordinated,
    Counters,
    Released,
    Share,
    count_together,
)
from adjudicator.edits.referral import referral
from adjudicator.fate import LINE, Fates, fates
from adjudicator.money import Integers
from adjudicator.other_payers import (
    GROUP,
    Group,
    ceiling,
    of_line,
    prior_decisions,
)
from adjudicator.pends import resolved
from adjudicator.reference import Reference, as_of
from adjudicator.stages.price import CAPITATED, PACKAGED
from adjudicator.uses import Uses, count_uses
from adjudicator.waivers import admitted, noncompliant
from schemas import frames
from schemas.program import CostShare, Limits, PlanTerms, Program

if TYPE_CHECKING:
    from adjudicator.pipeline import Batch

OTHER_CATEGORY = "other"  # the cost share of whatever a plan's terms do not name
OUT = "out"
REFERRED = "referred"  # as a network: care outside that falls under the referral rule
MEMBER_COUNTER = ["member_id", "plan_code", "network_code", "benefit_year_start_date"]
FAMILY_COUNTER = ["family_id", "plan_code", "network_code", "benefit_year_start_date"]
# One visit, one copay: the lines of a claim on one day under one cost share. No source says how
# often a copay is taken; a copay a line would charge one visit several times [j]. Late charges are
# lines of the claim that they add to.
VISIT = ["claim_id", "share_id", "decision_date"]
# What stops a line here, before anything is counted: its finding, by the problem found.
MISSING = {
    "edit": "missing_reference",
    "edit_rank": 910,
    "disposition": "pend",
    "pend_code": "REFERENCE",
}
EXCLUDED = {
    "edit": "plan_exclusion",
    "edit_rank": 920,
    "disposition": "deny",
    "group_code": "CO",
    "carc": "96",
    "rarc": "N130",
}
# CARC 45 may not take a whole charge, so a price of nothing is for a person to explain [j].
UNPRICED = {
    "edit": "allowed_zero",
    "edit_rank": 930,
    "disposition": "pend",
    "pend_code": "REVIEW",
}
GIVEN = {*LINE, "inputs"}  # what a finding here tells of its line
PROBLEMS = {"not covered": EXCLUDED, "allowed zero": UNPRICED}  # every other one is MISSING


class Tables(NamedTuple):
    """The programs' plan terms as frames; a share's id is its row in ``shares``."""

    terms: pl.DataFrame  # program_code, plan_code, start_date, end_date, terms_id
    keys: pl.DataFrame  # terms_id, category, network_code, share_id
    # share_id, share_network_code, covered, exclusion_group_code, costs, has_copay,
    # has_deductible, ends_if_admitted, lacking, share_inputs
    facts: pl.DataFrame
    shares: list[Share]
    enforced: dict[int, int]  # of a share whose deductible is waived the one where it is not


def benefits(batch: Batch, reference: Reference) -> Batch:
    """PricedLines → SharedLines: deductible, coinsurance, copay and what they counted; cents.

    Copay (one a visit), or deductible and then coinsurance; never above the allowed amount; the
    deductible ends at the member's or the family's, whichever comes first, the whole share
    likewise at the out-of-pocket maximum, to which the deductible counts (000:74-106). In and
    out of network are counted apart, by the plan year of the line's date. Care outside the
    network under the referral rule shares and counts as the plan's terms say of it. Lines are
    counted in receipt order; denied lines and lines of pended claims owe and consume nothing.
    A capitated line owes its copay and nothing else [j]. A copay that ends with an admission is
    not taken where the member was admitted (``admitted``), a waived deductible only where the
    household is known not to comply (000:613-617).

    The amounts are those of a line that we pay alone. Of one that payers before us decided, the
    counters count what the member owes beside them all [j], where the program's terms say so:
    then the lines after it see that.

    Adds findings, all of them before any money is counted: no terms, cost share, limits or
    allowed amount pend REFERENCE, a category that the terms exclude denies 96 N130 (CO, or PR
    where they say so), a price of nothing for a charge pends REVIEW, a limit of visits or days
    reached denies PR-119, an authorization's units used up 198, a referral's visits used up
    pend AUREQ (``count_uses``).
    A line that charges nothing is allowed nothing [j].
    """
    tables = _tables(reference.programs)
    batch = batch.with_(findings=resolved(batch.findings, batch, reference))  # pricing's too
    lines = _with_share(batch, tables, reference)
    fate = fates(batch)
    batch, fate = _with_findings(batch, fate, _told_by_terms(lines, fate), reference)
    # only now is it known which claims stand: a denial above may have beaten the pend of one
    batch, fate = _with_findings(batch, fate, _lacking_values(lines, fate), reference)
    uses = count_uses(batch, lines, fate.lines["line_disposition"] == "paid", reference)
    if uses is not None:
        batch = batch.with_(
            findings=pl.concat([batch.findings, uses.findings]),
            referral_visit_entries=uses.referral_visit_entries,
            benefit_use_entries=uses.benefit_use_entries,
            authorization_unit_entries=uses.authorization_unit_entries,
        )
        fate = fates(batch)
    stands = fate.lines["line_disposition"] == "paid"

    lines = lines.hstack([admitted(batch, lines, fate)])
    counted = lines.filter(
        stands & pl.col("costs") & ~pl.col("admitted") & (pl.col("allowed_amount") > 0)
    ).sort("receipt_number", "claim_id", "line_number")
    coordinated = _coordinated(batch, reference, lines, counted, stands)
    released = _released(batch, fate, counted)
    owed, given_back = _count(counted, batch, tables.shares, coordinated, released)
    counted = counted.hstack(owed)
    shared = lines.select(
        stands.alias("stands"),
        "row",
        "allowed_amount",
        "has_deductible",
        "share_inputs",
        "share_network_code",
        "admitted",
    ).join(counted.select("row", *OWED), on="row", how="left", maintain_order="left")
    batch = batch.with_(
        lines=batch.lines.with_columns(
            shared.select(
                pl.when("stands")
                .then("allowed_amount")
                .otherwise(batch.lines["allowed_amount"])
                .alias("allowed_amount"),
                pl.col("deductible_amount", "coinsurance_amount", "copay_amount").fill_null(0),
                "share_network_code",
                pl.when("stands").then(_maximum_met()).alias("maximum_met"),
                pl.when("stands").then(_inputs()).alias("benefit_inputs"),
            )
        ),
        accumulator_entries=_entries(_less(counted, given_back)),
    )
    return batch if uses is None else _with_uses_told(batch, uses)


def _tables(programs: Mapping[str, Program]) -> Tables:
    """Plan terms flattened; raises ValueError where terms give one cost share twice."""
    terms_rows: list[dict[str, object]] = []
    keys: dict[tuple[int, str, str], int] = {}
    facts: list[dict[str, object]] = []
    shares: list[Share] = []
    enforced: dict[int, int] = {}
    for program_code, program in sorted(programs.items()):
        for plan_code, plan in sorted(program.plans.items()):
            for terms in plan.terms:
                terms_id = len(terms_rows)
                terms_rows.append(
                    {
                        "program_code": program_code,
                        "plan_code": plan_code,
                        "start_date": terms.start_date,
                        "end_date": terms.end_date,
                        "terms_id": terms_id,
                    }
                )
                for share in terms.cost_shares:
                    key = (terms_id, share.category, share.network_code)
                    if key in keys:
                        raise ValueError(
                            f"program {program_code}, plan {plan_code}, terms from "
                            f"{terms.start_date}: two cost shares for {share.category}, "
                            f"network {share.network_code}; keep one"
                        )
                    keys[key] = len(shares)
                    variants = [share]
                    if _has_deductible(share) and share.network_code in terms.deductible_waived:
                        variants.insert(0, share.model_copy(update={"deductible_applies": False}))
                        enforced[len(shares)] = len(shares) + 1
                    for each in variants:
                        facts.append({"share_id": len(shares), **_facts(terms, each, share)})
                        shares.append(_share(terms, each))
                keys |= _referred(keys, terms_id, terms)
    return Tables(
        pl.DataFrame(
            terms_rows,
            schema={
                "program_code": pl.String,
                "plan_code": pl.String,
                "start_date": pl.Date,
                "end_date": pl.Date,
                "terms_id": pl.Int64,
            },
        ),
        pl.DataFrame(
            [(*key, share_id) for key, share_id in keys.items()],
            schema={
                "terms_id": pl.Int64,
                "category": pl.String,
                "network_code": pl.String,
                "share_id": pl.Int64,
            },
            orient="row",
        ),
        pl.DataFrame(
            facts,
            schema={
                "share_id": pl.Int64,
                "share_network_code": pl.String,
                "covered": pl.Boolean,
                "exclusion_group_code": pl.String,
                "costs": pl.Boolean,
                "has_copay": pl.Boolean,
                "has_deductible": pl.Boolean,
                "ends_if_admitted": pl.Boolean,
                "lacking": pl.String,
                "share_inputs": pl.String,
            },
        ),
        shares,
        enforced,
    )


def _referred(
    keys: Mapping[tuple[int, str, str], int], terms_id: int, terms: PlanTerms
) -> dict[tuple[int, str, str], int]:
    """The cost shares of care outside the network under the referral rule: a category's own
    there, else that of the network the terms name."""
    found = {}
    for category in dict.fromkeys(share.category for share in terms.cost_shares):
        own = keys.get((terms_id, category, OUT))
        named = keys.get((terms_id, category, terms.referred_network_code or OUT))
        share_id = named if own is None or category == OTHER_CATEGORY else own
        if share_id is not None:
            found[terms_id, category, REFERRED] = share_id
    return found


def _has_deductible(share: CostShare) -> bool:
    return share.deductible_applies and not share.copay_amount


def _facts(terms: PlanTerms, share: CostShare, written: CostShare) -> dict[str, object]:
    costs = bool(share.copay_amount or share.coinsurance_basis_points or share.deductible_applies)
    lacking = None
    if costs and share.network_code not in terms.out_of_pocket:
        lacking = "out-of-pocket limits"
    elif _has_deductible(share) and share.network_code not in terms.deductible:
        lacking = "deductible limits"
    # what is nothing is left out: rows are what a night costs
    inputs = {
        "category": share.category,
        "terms_start_date": terms.start_date.isoformat(),
        **({"illustrative": True} if terms.illustrative else {}),
        **({"copay_amount": share.copay_amount} if share.copay_amount else {}),
        **(
            {"coinsurance_basis_points": share.coinsurance_basis_points}
            if share.coinsurance_basis_points
            else {}
        ),
        **({"deductible_applies": True} if share.deductible_applies else {}),
        **({"deductible_waived": True} if share != written else {}),
    }
    return {
        "share_network_code": share.network_code,
        "covered": share.covered,
        "exclusion_group_code": share.exclusion_group_code,
        "costs": costs,
        "has_copay": share.copay_amount > 0,
        "has_deductible": _has_deductible(share),
        "ends_if_admitted": share.waived_if_admitted,
        "lacking": lacking,
        "share_inputs": json.dumps(inputs, separators=(",", ":"))[:-1],  # counters follow
    }


def _share(terms: PlanTerms, share: CostShare) -> Share:
    deductible = terms.deductible.get(share.network_code, Limits())
    maximum = terms.out_of_pocket.get(share.network_code, Limits())
    none = deductible == Limits() or not _has_deductible(share)
    return Share(
        share.copay_amount,
        share.coinsurance_basis_points,
        0 if none else _limit(deductible.individual_amount),
        0 if none else _limit(deductible.family_amount),
        _limit(maximum.individual_amount),
        _limit(maximum.family_amount),
    )


def _limit(amount: int | None) -> int:
    return UNLIMITED if amount is None else amount


def _with_share(batch: Batch, tables: Tables, reference: Reference) -> pl.DataFrame:
    """What deciding a line's share needs, one row a line in the batch's order."""
    lines = (
        batch.lines.select(
            *LINE,
            "plan_code",
            "network_code",
            "decision_date",
            "benefit_category",
            "pricing_method_code",
            "charge_amount",
            # a line that charges nothing is paid nothing, whatever the fee [j]; but a daily rate is
            # for what all lines of the stay charge
            pl.when(
                (pl.col("charge_amount") == 0)
                & pl.col("pricing_method_code").ne_missing("per_diem")
            )
            .then(0)
            .otherwise("allowed_amount")
            .alias("allowed_amount"),
        )
        .with_row_index("row")
        .join(
            batch.claims.select(
                "claim_id",
                "receipt_number",
                "member_id",
                "family_id",
                "program_code",
                pl.col("payee_id").is_not_null().alias("has_payee"),
            ),
            on="claim_id",
            how="left",
            maintain_order="left",
        )
    )
    under_referral = batch.findings.filter(
        (pl.col("edit") == referral.name) & pl.col("line_number").is_not_null()
    )
    if not under_referral.is_empty():
        ruled = lines.select(LINE).join(
            under_referral.select(*LINE, rule=pl.lit(REFERRED)).unique(),
            on=LINE,
            how="left",
            maintain_order="left",
        )["rule"]
        lines = lines.with_columns(network_code=pl.coalesce(ruled, "network_code"))
    lines = lines.with_columns(noncompliant(lines, reference))
    # terms are looked up once for each combination that occurs, not for each line
    on = ["program_code", "plan_code", "decision_date", "benefit_category", "network_code",
          "noncompliant"]  # fmt: skip
    in_force = as_of(
        lines.select(on).unique(),
        tables.terms,
        on="decision_date",
        by=["program_code", "plan_code"],
    )
    by_category = (
        in_force.join(
            tables.keys,
            left_on=["terms_id", "benefit_category", "network_code"],
            right_on=["terms_id", "category", "network_code"],
            how="left",
        )
        .join(
            tables.keys.filter(category=OTHER_CATEGORY).select(
                "terms_id", "network_code", other_id="share_id"
            ),
            on=["terms_id", "network_code"],
            how="left",
        )
        .with_columns(share_id=pl.coalesce("share_id", "other_id"))
        .with_columns(
            pl.when("noncompliant")
            .then(pl.col("share_id").replace(tables.enforced))
            .otherwise("share_id")
            .alias("share_id")
        )
        .drop("other_id")
        .join(tables.facts, on="share_id", how="left")
        .with_columns(
            pl.when((pl.col("network_code") == REFERRED) & (pl.col("share_network_code") != OUT))
            .then("share_network_code")
            .alias("share_network_code")
        )
    )
    lines = lines.join(
        by_category, on=on, how="left", nulls_equal=True, maintain_order="left"
    ).with_columns(
        costs=(
            pl.col("costs")
            & (pl.col("has_copay") | pl.col("pricing_method_code").ne_missing(CAPITATED))
        ).fill_null(value=False),
        benefit_year_start_date=pl.col("decision_date").dt.truncate("1y"),
    )
    if not under_referral.is_empty():  # from here on the network that the counters go by
        own = pl.col("network_code").replace(REFERRED, OUT)
        lines = lines.with_columns(network_code=pl.coalesce("share_network_code", own))
    return lines


def _told_by_terms(lines: pl.DataFrame, fate: Fates) -> pl.DataFrame:
    """Lines that no edit denies, pended ones too, to which the plan's terms do not give a share.

    Where no payee is known, neither is the network: the terms can't be asked yet.
    """
    undenied = (
        fate.lines["line_disposition"].is_in(["paid", "pended"]) & fate.lines["edit"].is_null()
    )
    problem = pl.coalesce(
        pl.when(pl.col("terms_id").is_null()).then(pl.lit("plan terms")),
        pl.when(pl.col("share_id").is_null()).then(pl.lit("cost share")),
        pl.when(~pl.col("covered")).then(pl.lit("not covered")),
        "lacking",
    )
    known = (
        pl.col("plan_code").is_not_null()
        & pl.col("decision_date").is_not_null()
        & pl.col("has_payee")
    )
    return lines.filter(undenied & known & problem.is_not_null()).with_columns(problem=problem)


def _lacking_values(lines: pl.DataFrame, fate: Fates) -> pl.DataFrame:
    """Lines that stand and lack a value; on a pended claim it may lack because of the pend."""

    def missing(column: str, what: str) -> pl.Expr:
        return pl.when(pl.col(column).is_null()).then(pl.lit(what))

    problem = pl.coalesce(
        missing("member_id", "member"),
        missing("family_id", "family"),
        missing("plan_code", "plan"),
        missing("decision_date", "date of service"),
        missing("charge_amount", "charge"),
        missing("allowed_amount", "allowed amount"),
        pl.when(
            (pl.col("allowed_amount") == 0)
            & (pl.col("charge_amount") > 0)
            # nothing is what these are meant to be allowed
            & ~pl.col("pricing_method_code").is_in([PACKAGED, CAPITATED]).fill_null(value=False)
        ).then(pl.lit("allowed zero")),
    )
    stands = fate.lines["line_disposition"] == "paid"
    return lines.filter(stands & problem.is_not_null()).with_columns(problem=problem)


def _with_findings(
    batch: Batch, fate: Fates, lines: pl.DataFrame, reference: Reference
) -> tuple[Batch, Fates]:
    """The batch with a finding for each of these lines' problems, and its fates then."""
    if lines.is_empty():
        return batch, fate
    schema = frames.empty(frames.Findings).schema
    facts = pl.DataFrame(
        [{"problem": p, **PROBLEMS.get(p, MISSING)} for p in sorted(lines["problem"].unique())],
        schema={"problem": pl.String, **{c: schema[c] for c in schema if c not in GIVEN}},
    )
    inputs = pl.struct(
        "problem",
        "program_code",
        "plan_code",
        "benefit_category",
        "network_code",
        pl.col("decision_date").dt.to_string("iso"),
    )
    found = (
        lines.join(facts, on="problem")
        .with_columns(
            inputs=inputs.struct.json_encode(),
            # an exclusion's liability is the terms' to say
            group_code=pl.when(pl.col("group_code").is_not_null()).then("exclusion_group_code"),
        )
        .select(schema.names())
        .sort(LINE)
    )
    found = resolved(found, batch, reference)
    batch = batch.with_(findings=pl.concat([batch.findings, found]))
    return batch, fates(batch)


def _coordinated(
    batch: Batch,
    reference: Reference,
    lines: pl.DataFrame,
    counted: pl.DataFrame,
    stands: pl.Series,
) -> Coordinated | None:
    """Which counted lines payers before us decided; None where none, or none that counts so."""
    prior = prior_decisions(batch, reference)
    if prior is None or prior.lines.is_empty():
        return None
    standing = (
        lines.filter(stands)
        .select(
            "row",
            *LINE,
            "allowed_amount",
            prepaid=pl.col("pricing_method_code").eq_missing(CAPITATED),
        )
        .join(prior.lines.filter("counts_owed"), on=LINE)
        .with_columns(of_line())
        .join(counted.select("row", counted=True), on="row", how="left")
    )
    sums = (
        standing.group_by(GROUP)
        .agg(
            size=pl.col("counted").sum().cast(pl.Int64),
            left=pl.col("left_amount").sum(),
            charge=pl.col("line_charge_amount").sum(),
            paid=pl.col("prior_paid_amount").sum(),
            prior_allowed=ceiling().sum(),
            allowed=pl.col("allowed_amount").sum(),
        )
        .sort(GROUP)
        .with_columns(number=pl.int_range(pl.len(), dtype=pl.Int64))
    )
    numbers = standing.join(sums.select(*GROUP, "number"), on=GROUP).select("row", "number")
    return Coordinated(
        counted.select("row")
        .join(numbers, on="row", how="left", maintain_order="left")["number"]
        .fill_null(-1)
        .to_list(),
        [Group(**row) for row in sums.select(Group._fields).to_dicts()],
    )


def _less(counted: pl.DataFrame, given_back: Mapping[int, tuple[int, int]]) -> pl.DataFrame:
    """The counted lines with ``counted_deductible_amount`` and ``counted_amount``: what the
    counters keep of what each owes."""
    counted = counted.with_columns(
        counted_deductible_amount="deductible_amount",
        counted_amount=pl.sum_horizontal("deductible_amount", "coinsurance_amount", "copay_amount"),
    )
    if not given_back:
        return counted
    places = list(given_back)
    back = zip(*given_back.values(), strict=True)
    return counted.with_columns(
        pl.Series(counted[name]).scatter(places, counted[name].gather(places) - pl.Series(amounts))
        for name, amounts in zip(("counted_deductible_amount", "counted_amount"), back, strict=True)
    )


def _count(
    counted: pl.DataFrame,
    batch: Batch,
    shares: Sequence[Share],
    coordinated: Coordinated | None,
    released: Mapping[int, Sequence[Released]] | None,
) -> tuple[pl.DataFrame, dict[int, tuple[int, int]]]:
    """Lines in receipt order counted, from the counters before tonight."""
    visits, copays_taken = _visits(counted, batch)
    owed, given_back = count_together(
        _counters(counted, batch.accumulators, MEMBER_COUNTER),
        _counters(counted, batch.accumulators, FAMILY_COUNTER),
        counted["allowed_amount"].to_numpy(),
        counted["share_id"].to_numpy(),
        visits,
        shares,
        coordinated,
        released,
        copays_taken,
    )
    return pl.DataFrame(owed, schema=OWED), given_back


def _visits(counted: pl.DataFrame, batch: Batch) -> tuple[Integers, dict[int, int] | None]:
    """Of each line the place of its visit's first, and by that what an earlier night took of the
    visit's copay."""
    place = pl.int_range(pl.len()).alias("place")
    late = added_to(batch) if batch.corrections.height else {}
    if not late:
        rows = counted.select(place, *VISIT)
        return rows.select(pl.col("place").first().over(VISIT)).to_series().to_numpy(), None
    of_whole = pl.col("claim_id").replace(late)
    taken = [*frames.TakenCopays.primary_key()]
    rows = counted.select(place, *VISIT, "benefit_category", "network_code").with_columns(of_whole)
    visits = rows.select(pl.col("place").first().over(VISIT)).to_series()
    before = (
        rows.with_columns(visit=visits)
        .unique(["visit", *taken])
        .join(
            batch.taken_copays.with_columns(of_whole)
            .group_by(taken)
            .agg(pl.col("copay_amount").sum()),
            on=taken,
        )
        .group_by("visit")
        .agg(pl.col("copay_amount").sum())
    )
    return visits.to_numpy(), dict(before.iter_rows())


def _released(batch: Batch, fate: Fates, counted: pl.DataFrame) -> dict[int, list[Released]] | None:
    """What corrections that are now sure to be finalised give back, by the place of the first
    line that is counted after it; None where nothing is given back."""
    if batch.taken_amounts.is_empty() or counted.is_empty():
        return None
    pended = fate.claims.filter(disposition="pended")["claim_id"]
    acts = acting(batch.corrections, pended).join(
        batch.claims.select("claim_id", "receipt_number"), on="claim_id"
    )
    receipts = dict(acts.select("claim_id", "receipt_number").iter_rows())
    rows = counted.with_row_index("place")
    members, families = (
        {tuple(row[:-1]): row[-1] for row in rows.group_by(key).agg(pl.col("place").min()).rows()}
        for key in (MEMBER_COUNTER, FAMILY_COUNTER)
    )
    found: dict[int, list[Released]] = {}
    for claim_id, taken in taken_by(batch, batch.taken_amounts).items():
        if claim_id not in receipts:
            continue
        place = int(counted["receipt_number"].search_sorted(receipts[claim_id], "left"))
        for row in taken:
            member, family = (
                of.get(tuple(row[name] for name in key), -1)
                for of, key in ((members, MEMBER_COUNTER), (families, FAMILY_COUNTER))
            )
            back = Released(member, family, row["deductible_amount"], row["out_of_pocket_amount"])
            found.setdefault(place, []).append(back)
    return found


def _counters(counted: pl.DataFrame, accumulators: pl.DataFrame, key: list[str]) -> Counters:
    number = counted.select(pl.int_range(pl.len()).alias("row"), *key).select(
        pl.col("row").first().over(key)
    )
    before = counted.select(key).join(
        accumulators.group_by(key).agg(
            pl.col("deductible_amount").sum(), pl.col("out_of_pocket_amount").sum()
        ),
        on=key,
        how="left",
        maintain_order="left",
    )
    return Counters(
        number.to_series().to_numpy(),
        before["deductible_amount"].fill_null(0).to_numpy(),
        before["out_of_pocket_amount"].fill_null(0).to_numpy(),
    )


def _maximum_met() -> pl.Expr:
    """Whether nothing is left of the member's out-of-pocket maximum after the line."""
    owed = pl.sum_horizontal("deductible_amount", "coinsurance_amount", "copay_amount")
    return (pl.col("member_left") < UNLIMITED // 2) & (pl.col("member_left") == owed)


def _inputs() -> pl.Expr:
    """Terms, and beside them the counters before the line where it was counted and limited."""

    def left(name: str, column: str) -> pl.Expr:
        return (
            pl.when(pl.col(column) < UNLIMITED // 2)
            .then(pl.concat_str(pl.lit(f',"{name}":'), pl.col(column).cast(pl.String)))
            .otherwise(pl.lit(""))
        )

    return pl.concat_str(
        "share_inputs",
        pl.when(pl.col("share_network_code").is_null())
        .then(pl.lit(""))
        .otherwise(
            pl.concat_str(pl.lit(',"cost_share_network":"'), "share_network_code", pl.lit('"'))
        ),
        pl.when("admitted").then(pl.lit(',"waived_if_admitted":true')).otherwise(pl.lit("")),
        pl.when(pl.col("member_left").is_null())
        .then(pl.lit("}"))
        .otherwise(
            pl.concat_str(
                pl.when("has_deductible")
                .then(left("deductible_remaining", "deductible_left"))
                .otherwise(pl.lit("")),
                left("visit_copay_remaining", "copay_left"),
                left("member_out_of_pocket_remaining", "member_left"),
                left("family_out_of_pocket_remaining", "family_left"),
                pl.lit("}"),
            )
        ),
    )


def _with_uses_told(batch: Batch, uses: Uses) -> Batch:
    """The lines' inputs with the visits, days and units that each was counted as."""
    told = uses.told.group_by(LINE, maintain_order=True).agg(
        pl.concat_str(pl.lit(","), pl.col("use").str.strip_chars("{}")).str.join("").alias("use")
    )
    inputs = pl.col("benefit_inputs")
    counted = (
        batch.lines.select(*LINE, "benefit_inputs")
        .join(told, on=LINE, how="left", maintain_order="left")
        .select(
            pl.when(pl.col("use").is_null())
            .then(inputs)
            .otherwise(pl.concat_str(inputs.str.head(-1), "use", pl.lit("}")))
            .alias("benefit_inputs")
        )
    )
    return batch.with_(lines=batch.lines.with_columns(counted))


def _entries(counted: pl.DataFrame) -> pl.DataFrame:
    """What each claim added to each counter, nothing where it added nothing."""
    schema = frames.empty(frames.AccumulatorEntries).schema
    key = ["claim_id", "family_id", *MEMBER_COUNTER]
    return (
        counted.group_by(key)
        .agg(
            pl.col("counted_deductible_amount").sum().alias("deductible_amount"),
            pl.col("counted_amount").sum().alias("out_of_pocket_amount"),
        )
        .filter(pl.col("out_of_pocket_amount") > 0)
        .select(schema.names())
        .sort("claim_id", *MEMBER_COUNTER)
        .cast(schema)
    )
