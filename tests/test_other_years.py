"""No value of another year is ever used: rows of other years decide as if there were none.

Each dated table of the cases' reference data, and each dated list of the programs, is put twenty
years before and after the claims, in turn: all claims of the cases then meet the fate that they
meet where it is empty. All of them at once beside what is in force change nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import date
from functools import cache
from typing import Any

import polars as pl
import pytest

import adjudicator.night
from adjudicator.coded import CODED, Facts, coding_tables, spans_of
from adjudicator.decide import decide
from adjudicator.pipeline import Batch
from adjudicator.reference import Reference
from schemas.base import Span
from schemas.program import Program
from schemas.reference import TABLES, Dated
from tests.case_tools import FIRST_NIGHT, fill_inbox, load_store, run

pytestmark = pytest.mark.long

YEARS = 20
DATED = [name for name, schema in TABLES.items() if issubclass(schema, Dated)]
# which of its rows fails a line is told from rows of other days too, so CARCs of one kind are one:
# not covered before, after or between; no authorization, or none that fits
ALIKE = dict.fromkeys(("26", "27", "200"), "not covered") | dict.fromkeys(
    ("197", "198", "284", "296", "302", "39"), "not authorized"
)
Fates = tuple[list[Any], list[Any]]


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> tuple[Batch, Reference]:
    """What the stages are given for the first nights of all cases."""
    folder = tmp_path_factory.mktemp("years")
    load_store(folder / "a.db")
    given: list[tuple[Batch, Reference]] = []

    def kept(batch: Batch, reference: Reference, limit: int) -> Batch:
        given.append((batch, reference))
        return decide(batch, reference, limit)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(adjudicator.night, "decide", kept)
        run([fill_inbox(folder)], folder, FIRST_NIGHT)
    [only] = given
    return only


def fates(night: tuple[Batch, Reference], reference: Reference) -> Fates:
    """Of every claim what became of it, and its adjustments; cents."""
    batch = decide(night[0], reference, 0)
    money = ("charge_amount", "allowed_amount", "member_amount", "paid_amount")
    adjusted = batch.adjustments.with_columns(pl.col("carc").replace(ALIKE)).select(
        "claim_id", "line_number", "group_code", "carc", "adjustment_amount"
    )
    return (
        batch.decisions.select("claim_id", "disposition", "pend_codes", *money).rows(),
        adjusted.sort(pl.all()).rows(),
    )


def with_tables(reference: Reference, **tables: pl.DataFrame) -> Reference:
    """Other rows in some tables, and what is told of the coded ones."""
    changed = {**reference.tables, **tables}
    coded = [Facts(spans_of(n, changed[n]), "") for n in CODED if changed[n].height]
    return replace(reference, tables=changed, coding_tables=coding_tables(coded))


def moved(table: pl.DataFrame) -> pl.DataFrame:
    """The rows as of twenty years before and after; an open end ends on the day it begins."""
    start, end = pl.col("start_date"), pl.col("end_date")
    both = [
        table.with_columns(
            start_date=start.dt.offset_by(f"{years}y"),
            end_date=pl.coalesce(end, start).dt.offset_by(f"{years}y"),
        )
        for years in (-YEARS, YEARS)
    ]
    return pl.concat(both)


def test_the_claims_need_most_tables(night: tuple[Batch, Reference]) -> None:
    """Else the comparison below would see nothing: an empty table changes what claims come to."""
    _, reference = night
    whole = fates(night, reference)
    loaded = [name for name in DATED if reference.tables[name].height]
    without = {
        name
        for name in loaded
        if fates(night, with_tables(reference, **{name: reference.tables[name].clear()})) != whole
    }
    # of no effect on a decision: who is written to
    assert set(loaded) - without <= {"households", "primary_care", "medical_groups"}
    assert len(without) >= 20


@pytest.mark.parametrize("name", DATED)
def test_rows_of_other_years_decide_as_none(night: tuple[Batch, Reference], name: str) -> None:
    table = night[1].tables[name]
    if table.is_empty():
        pytest.skip(f"no case needs {name}; tests of its own hold its days")
    elsewhere = fates(night, with_tables(night[1], **{name: moved(table)}))
    none = table.clear()
    if name == "credentialing":
        # a provider of whom none is loaded passes [j]; whichever other day is loaded, he does not
        none = table.with_columns(start_date=date(1900, 1, 1), end_date=date(1900, 1, 1))
    assert elsewhere == fates(night, with_tables(night[1], **{name: none}))


def test_rows_of_other_years_beside_those_in_force_change_nothing(
    night: tuple[Batch, Reference],
) -> None:
    _, reference = night
    more = {n: pl.concat([reference.tables[n], moved(reference.tables[n])]) for n in DATED}
    assert fates(night, with_tables(reference, **more)) == fates(night, reference)


# ---- programs ----------------------------------------------------------------------------------


@cache
def dated_lists() -> list[tuple[str, ...]]:
    """The places of a program's dated lists: fields, fields of its policies, its plans' terms."""
    from adjudicator.programs import load_programs

    found: set[tuple[str, ...]] = {("plans", "terms")}
    for program in load_programs().values():
        for place, holder in ((("",), program), (("policies",), program.policies)):
            for name in type(holder).model_fields:
                value = getattr(holder, name)
                if isinstance(value, tuple) and value and isinstance(value[0], Span):
                    found.add((*place, name))
    return sorted(found)


def of_other_years(spans: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(
        span.model_copy(
            update={
                "start_date": span.start_date.replace(year=span.start_date.year + years),
                "end_date": (span.end_date or span.start_date).replace(
                    year=(span.end_date or span.start_date).year + years
                ),
            }
        )
        for years in (-YEARS, YEARS)
        for span in spans
    )


def changed(
    reference: Reference, place: Sequence[str], change: Callable[[Iterable[Any]], tuple[Any, ...]]
) -> Reference:
    """The reference with that list of every program changed."""

    def of(program: Program) -> Program:
        if place[0] == "plans":
            plans = {
                code: plan.model_copy(update={"terms": change(plan.terms)})
                for code, plan in program.plans.items()
            }
            return program.model_copy(update={"plans": plans})
        if place[0] == "policies":
            policies = program.policies.model_copy(
                update={place[1]: change(getattr(program.policies, place[1]))}
            )
            return program.model_copy(update={"policies": policies})
        return program.model_copy(update={place[1]: change(getattr(program, place[1]))})

    return replace(reference, programs={c: of(p) for c, p in reference.programs.items()})


@pytest.mark.parametrize("place", dated_lists(), ids=lambda place: ".".join(place).strip("."))
def test_terms_of_other_years_decide_as_none(
    night: tuple[Batch, Reference], place: tuple[str, ...]
) -> None:
    if place[-1] == "filing_limits":
        # none is no limit; one that does not reach the day makes what it might deny wait
        contracts = (
            night[1]
            .tables["contracts"]
            .with_columns(filing_limit_days=pl.lit(None, dtype=pl.Int64))
        )
        by_program = with_tables(night[1], contracts=contracts)
        elsewhere = fates(night, changed(by_program, place, of_other_years))
        assert not any(carc == "29" for _, _, _, carc, _ in elsewhere[1])
        waits = [c for c, _, pends, *_ in elsewhere[0] if "REFERENCE" in (pends or "")]
        assert waits
        return
    elsewhere = fates(night, changed(night[1], place, of_other_years))
    assert elsewhere == fates(night, changed(night[1], place, lambda _: ()))


def test_the_dated_lists_are_these() -> None:
    names = {place[-1] for place in dated_lists()}
    assert {
        "terms", "filing_limits", "inpatient_notification", "carve_outs", "pends",
        "ambulance_in_stay", "ncci", "observation",
    } <= names  # fmt: skip
