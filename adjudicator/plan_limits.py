"""Limits of a plan: visits and days of a service, counted to the member's benefit year."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence, Set
from datetime import date
from functools import reduce
from operator import or_
from typing import Any, NamedTuple

import polars as pl

from adjudicator.categories import holds
from adjudicator.pipeline import Batch
from schemas import frames
from schemas.program import BenefitLimit, Program

LINE = ["claim_id", "line_number"]
EDIT = "plan_limit"
RANK = 950
CARC = "119"
COUNTER = ["member_id", "plan_code", "limit_code", "condition_code", "benefit_year_start_date"]
PRINCIPAL = ["ABK", "BK"]

Counter = tuple[str, str, str, str, date]
Use = tuple[date, str]  # a day, and the provider


class Limited(NamedTuple):
    """A line that counts to a limit."""

    claim_id: int
    line_number: int
    counter: Counter
    use: Use
    limit: BenefitLimit
    facts: Mapping[str, Any]


class LimitCount:
    """What members used up of their plans' limits, claim by claim in the order asked."""

    def __init__(self, lines: Iterable[Limited], uses: pl.DataFrame) -> None:
        self.lines: dict[int, list[Limited]] = {}
        for line in lines:
            self.lines.setdefault(line.claim_id, []).append(line)
        # a use is one however many claims tell of it, and ends with the last of them
        self.used: dict[Counter, dict[Use, int]] = {}
        counted = uses.filter(pl.col("use_count") > 0)
        for *counter, day, provider, count in counted.select(
            *COUNTER, "use_date", "provider_number", "use_count"
        ).iter_rows():
            self.used.setdefault(tuple(counter), {})[day, provider] = count
        self._entries: list[tuple[Any, ...]] = []
        self.told: list[tuple[int, int, str]] = []

    def lacking(self, claim_id: int, without: Set[int]) -> list[dict[str, Any]]:
        """The findings of the claim's lines for which nothing is left; nothing is counted yet."""
        return [
            _finding(line, used)
            for line, use_number, used in self._taken(claim_id, without)
            if use_number is None
        ]

    def take(self, claim_id: int, without: Set[int]) -> None:
        """Counts what the claim's lines use, but for those denied."""
        uses: set[tuple[Counter, Use]] = set()
        for line, use_number, _ in self._taken(claim_id, without):
            if use_number is not None:
                uses.add((line.counter, line.use))
                self.told.append((claim_id, line.line_number, _told(line.limit, use_number)))
        for counter, use in sorted(uses):
            _add(self.used, counter, use, 1)
            self._entries.append((claim_id, *counter, *use, 1))

    def give_back(self, taken: Mapping[str, Any], sign: int = 1) -> None:
        """Counts a BenefitUseEntries row as not used; with -1 as used again."""
        counter = tuple(taken[name] for name in COUNTER)
        use = (taken["use_date"], taken["provider_number"])
        _add(self.used, counter, use, -sign * taken["use_count"])

    def entries(self) -> pl.DataFrame:
        """BenefitUseEntries of what was counted."""
        schema = frames.empty(frames.BenefitUseEntries).schema
        return pl.DataFrame(sorted(self._entries), schema, orient="row")

    def _taken(self, claim_id: int, without: Set[int]) -> list[tuple[Limited, int | None, int]]:
        """Each of the claim's lines, which use of its limit it is (None: one too many), and how
        many there were before it."""
        own: dict[Counter, set[Use]] = {}
        found: list[tuple[Limited, int | None, int]] = []
        for line in self.lines.get(claim_id, ()):
            if line.line_number in without:
                continue
            mine = own.setdefault(line.counter, set())
            used = _counted(line, self.used) | _units(line.limit, mine)
            after = used | _units(line.limit, {line.use})
            if len(after) > line.limit.maximum and after != used:
                found.append((line, None, len(used)))
                continue
            mine.add(line.use)
            found.append((line, len(after), len(used)))
        return found


def limited_lines(
    batch: Batch, lines: pl.DataFrame, stands: pl.Series, programs: Mapping[str, Program]
) -> list[Limited]:
    """The lines that stand and count to a limit of their plan, in order of claim and line.

    ``lines``: one row a line, with what *benefits* knows of it. A line counts under the first
    limit of its plan's terms, on its day and in its network, that one of its services takes.
    """
    limits = [
        (code, plan.plan_code, terms.start_date, terms.end_date, limit)
        for code, program in sorted(programs.items())
        for plan in program.plans.values()
        for terms in plan.terms
        for limit in terms.limits
    ]
    plans = sorted({plan for _, plan, *_ in limits})
    categories = sorted({service.category for *_, limit in limits for service in limit.services})
    few = lines.filter(
        stands
        & pl.col("plan_code").is_in(plans)
        & pl.col("benefit_category").is_in(categories)
    ) if limits else lines.clear()  # fmt: skip
    if few.is_empty():
        return []
    few = _with_facts(few, batch)
    day = pl.col("decision_date")
    takes = [
        (pl.col("program_code") == code)
        & (pl.col("plan_code") == plan)
        & (day >= start)
        & (day <= (end or date.max))
        & pl.col("network_code").is_in(limit.network_codes)
        & reduce(
            or_,
            (
                (pl.col("benefit_category") == service.category) & holds(service)
                for service in limit.services
            ),
        )
        & ~_begins(limit.exempt_diagnoses)
        for code, plan, start, end, limit in limits
    ]
    which = pl.coalesce(
        pl.when(each.fill_null(value=False)).then(pl.lit(place, dtype=pl.Int64))
        for place, each in enumerate(takes)
    )
    rows = few.with_columns(which=which).drop_nulls("which").sort(LINE)
    return [_limited(row, limits[row["which"]][-1]) for row in rows.iter_rows(named=True)]


def limited_plans(programs: Mapping[str, Program]) -> list[str]:
    """The plans that have a limit of visits or days."""
    return sorted(
        plan.plan_code
        for program in programs.values()
        for plan in program.plans.values()
        if any(terms.limits for terms in plan.terms)
    )


def _limited(row: Mapping[str, Any], limit: BenefitLimit) -> Limited:
    diagnosis = (row["diagnoses"] or [""])[0] if limit.per_condition else ""
    condition = diagnosis[: limit.condition_characters]
    counter = (row["member_id"], row["plan_code"], limit.limit_code, condition,
               row["benefit_year_start_date"])  # fmt: skip
    facts = {
        name: row[name]
        for name in ("program_code", "plan_code", "network_code", "benefit_category")
    }
    return Limited(
        row["claim_id"], row["line_number"], counter,
        (row["decision_date"], row["provider_number"] or ""), limit, facts,
    )  # fmt: skip


def _with_facts(few: pl.DataFrame, batch: Batch) -> pl.DataFrame:
    """What limits ask of a line beside its benefit: codes, place, provider and ``diagnoses``.

    A professional line's diagnoses are those it points to, in that order; an institutional
    claim's the principal one, then the others.
    """
    claims = batch.claims.select(
        "claim_id", "claim_type_code", "billing_npi", bill_type="facility_code",
        of_claim="rendering_npi",
    )  # fmt: skip
    of_lines = batch.lines.select(
        *LINE, "procedure_code", "revenue_code", "place_of_service_code", "diagnosis_pointers",
        of_line="rendering_npi",
    )  # fmt: skip
    few = (
        few.join(of_lines, on=LINE, how="left", maintain_order="left")
        .join(claims, on="claim_id", how="left", maintain_order="left")
        .with_columns(
            provider_number=pl.when(pl.col("claim_type_code") == "I")
            .then("billing_npi")
            .otherwise(pl.coalesce("of_line", "of_claim", "billing_npi"))
        )
    )
    coded = batch.diagnoses.join(few.select("claim_id").unique(), on="claim_id", how="semi")
    pointed = (
        few.filter(pl.col("claim_type_code") == "P")
        .select(*LINE, pl.col("diagnosis_pointers").str.split(":").alias("sequence_number"))
        .explode("sequence_number")
        .with_columns(pl.col("sequence_number").cast(pl.Int64, strict=False))
        .with_columns(place=pl.int_range(pl.len()).over(LINE))
    )
    of_claims = few.filter(pl.col("claim_type_code") == "I").select(LINE)
    principal = pl.col("qualifier_code").is_in(PRINCIPAL)
    found = pl.concat(
        [
            pointed.join(coded, on=["claim_id", "sequence_number"]).select(
                *LINE, "place", "diagnosis_code"
            ),
            of_claims.join(coded, on="claim_id").select(
                *LINE,
                place=pl.when(principal).then(0).otherwise("sequence_number"),
                diagnosis_code="diagnosis_code",
            ),
        ]
    )
    diagnoses = (
        found.sort(*LINE, "place")
        .group_by(LINE, maintain_order=True)
        .agg(diagnoses=pl.col("diagnosis_code"))
    )
    return few.join(diagnoses, on=LINE, how="left", maintain_order="left")


def _begins(diagnoses: Sequence[str]) -> pl.Expr:
    """Whether one of the line's diagnoses begins like one of these."""
    if not diagnoses:
        return pl.lit(value=False)
    of_these = reduce(or_, (pl.element().str.starts_with(begins) for begins in diagnoses))
    return pl.col("diagnoses").list.eval(of_these).list.any().fill_null(value=False)


def _add(used: dict[Counter, dict[Use, int]], counter: Any, use: Use, count: int) -> None:
    uses = used.setdefault(counter, {})
    uses[use] = uses.get(use, 0) + count
    if not uses[use]:
        del uses[use]


def _units(limit: BenefitLimit, uses: Iterable[Use]) -> set[Any]:
    return {day for day, _ in uses} if limit.unit == "day" else set(uses)


def _counted(line: Limited, used: Mapping[Counter, Iterable[Use]]) -> set[Any]:
    return _units(line.limit, used.get(line.counter, ()))


def _told(limit: BenefitLimit, use_number: int) -> str:
    told = {
        "limit_code": limit.limit_code, "limit_unit": limit.unit, "limit_use": use_number,
        "limit_maximum": limit.maximum,
    }  # fmt: skip
    return json.dumps(told, separators=(",", ":"))


def _finding(line: Limited, used: int) -> dict[str, Any]:
    """The finding of a line for which nothing is left of its limit."""
    limit = line.limit
    _, _, _, condition, year = line.counter
    inputs = {
        **line.facts,
        "decision_date": line.use[0].isoformat(),
        "limit_code": limit.limit_code,
        "limit_unit": limit.unit,
        "limit_maximum": limit.maximum,
        "used": used,
        "benefit_year_start_date": year.isoformat(),
        **({"condition_code": condition} if limit.per_condition else {}),
    }
    return {
        "claim_id": line.claim_id,
        "line_number": line.line_number,
        "edit": EDIT,
        "edit_rank": RANK,
        "disposition": "deny",
        "group_code": limit.group_code,
        "carc": CARC,
        "inputs": json.dumps(inputs, separators=(",", ":")),
    }
