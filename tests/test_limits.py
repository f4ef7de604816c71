"""Each limit of the rules has a case on both of its sides, and every edit has its limits told."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from functools import cache
from importlib import import_module
from typing import Any

import polars as pl
import pytest
from pydantic import BaseModel

from adjudicator.edits import EDITS
from adjudicator.edits.policies import within as within_of_policies
from adjudicator.edits.services import within as within_of_services
from adjudicator.programs import load_programs
from schemas.policy import Policies
from tests.case_tools import nights
from tests.edit_cases import OF_PLANS
from tests.limits import LIMITS, TURNS, WITHOUT, Limit
from tests.test_edits import BY_NAME, fixture, found

Ranges = Sequence[tuple[str, str]]
STOPS = ("deny", "pend")
DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def outcome(edit: str, says: str) -> list[tuple[Any, ...]]:
    """What the edit finds on the one case of its fixture that says so."""
    cases = [c for kind in ("hits", "misses") for c in fixture(edit)[kind] if c["says"] == says]
    assert len(cases) == 1, f"fixtures/edits/{edit}.yaml has {len(cases)} cases: {says}"
    facts = ("disposition", "group_code", "carc", "rarc", "pend_code")
    return [tuple(row[fact] for fact in facts) for row in found(BY_NAME[edit], cases[0])]


def is_test(place: str) -> bool:
    module, _, name = place.partition("::")
    if name:
        assert callable(getattr(import_module(f"tests.{module}"), name, None)), f"no test {place}"
    return bool(name)


def of(limit: Limit) -> str:
    return f"{limit.edit}: {limit.limit}"


def test_every_edit_has_limits_or_none_for_a_reason() -> None:
    limited = {limit.edit for limit in (*LIMITS, *TURNS)}
    assert limited | WITHOUT.keys() == {edit.name for edit in EDITS} | set(OF_PLANS)
    assert not limited & WITHOUT.keys()
    assert all(WITHOUT.values())
    named = [of(limit) for limit in (*LIMITS, *TURNS)]
    assert len(named) == len(set(named))


@pytest.mark.parametrize("limit", LIMITS, ids=of)
def test_the_last_that_passes_and_the_first_that_does_not(limit: Limit) -> None:
    if not is_test(limit.free):
        assert not [row for row in outcome(limit.edit, limit.free) if row[0] in STOPS]
    if not is_test(limit.held):
        assert [row for row in outcome(limit.edit, limit.held) if row[0] in STOPS]


@pytest.mark.parametrize("limit", TURNS, ids=of)
def test_one_fate_and_the_other(limit: Limit) -> None:
    one, other = outcome(limit.edit, limit.free), outcome(limit.edit, limit.held)
    assert one
    assert other
    assert one != other


@cache
def fates(case: str) -> dict[str, tuple[str, list[str]]]:
    """Each claim's disposition and the edits that hold it, by its last night's golden file."""
    told = {}
    for night in nights(case):
        with (night.expected / "claims.csv").open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                number = row["patient_control_number"]
                told[number] = (row["disposition"], row["reasons"].split())
    return told


@pytest.mark.parametrize("limit", [limit for limit in LIMITS if limit.night], ids=of)
def test_through_a_whole_night(limit: Limit) -> None:
    assert limit.night
    (free, passed), (held, stopped) = (
        (fates(case)[number]) for case, _, number in (place.partition("/") for place in limit.night)
    )
    assert free == "paid"
    assert limit.edit not in passed
    assert held in ("paid", "denied", "pended")  # paid: but for the lines that are held
    assert limit.edit in stopped


# ---- the ends of code ranges -------------------------------------------------------------------


def ranges_in(value: Any, place: str) -> Iterator[tuple[str, Ranges]]:
    if isinstance(value, BaseModel):
        for name in type(value).model_fields:
            each = getattr(value, name)
            if name.endswith("_ranges") and each:
                yield f"{place}.{name}", each
            else:
                yield from ranges_in(each, f"{place}.{name}")
    elif isinstance(value, tuple):
        for number, each in enumerate(value):
            yield from ranges_in(each, f"{place}[{number}]")


def beside(code: str, step: int) -> str:
    """The code before or after it, as text of one length."""
    number = int(code, 36) + step
    digits = ""
    for _ in code:
        number, digit = divmod(number, 36)
        digits = DIGITS[digit] + digits
    return digits


SHIPPED = [each for code, program in load_programs().items() for each in ranges_in(program, code)]


@pytest.mark.parametrize(("place", "ranges"), SHIPPED, ids=[place for place, _ in SHIPPED])
def test_a_range_has_its_ends_and_what_lies_beside_it_not(place: str, ranges: Ranges) -> None:
    inside = [end for pair in ranges for end in pair]
    # ranges may follow each other, as 99401 to 99404 and 99405 would
    outside = [
        code
        for first, last in ranges
        for code in (beside(first, -1), beside(last, 1))
        if not any(len(code) == len(a) and a <= code <= b for a, b in ranges)
    ]
    assert outside
    codes = pl.DataFrame({"code": [*inside, *outside]})
    of_policy = any(f".policies.{name}" in place for name in Policies.model_fields)
    holds = (
        within_of_policies(pl.col("code"), tuple(ranges))
        if of_policy
        else within_of_services("code", ranges)
    )
    assert codes.select(holds=holds)["holds"].to_list() == [True] * len(inside) + [False] * len(
        outside
    )
