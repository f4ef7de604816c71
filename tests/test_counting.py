"""Counting many families' lines at once comes to the cents of counting them one by one."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from adjudicator import counting
from adjudicator.counting import (
    UNLIMITED,
    Coordinated,
    Counters,
    Released,
    Share,
    count,
    count_together,
)
from adjudicator.money import percent_int, percent_ints
from adjudicator.other_payers import Group

SHARES = [
    Share(2_500, 0, 0, 0, 340_000, 680_000),  # a copay
    Share(0, 2_000, 50_000, 100_000, 340_000, 680_000),  # a deductible, then 20 %
    Share(0, 3_333, 0, 0, 90_000, UNLIMITED),
    Share(0, 0, 20_000, 30_000, UNLIMITED, 100_000),
    Share(10_000, 0, 0, 0, 15_000, 15_000),
]


def night(seed: int, lines: int, households: int) -> dict[str, Any]:
    """Lines of members of some households in receipt order, as ``count`` takes them."""
    rng = random.Random(seed)
    first: dict[tuple[Any, ...], int] = {}
    made: dict[str, list[Any]] = {name: [] for name in ("m", "f", "a", "s", "v")}
    taken: dict[tuple[str, int], tuple[int, int]] = {}
    before: dict[str, list[tuple[int, int]]] = {"m": [], "f": []}
    for place in range(lines):
        household = int(rng.triangular(0, households, 0))
        member, year, share = (household, rng.randrange(3)), rng.randrange(2), rng.randrange(5)
        for kind, key in (("m", (member, year)), ("f", (household, year))):
            number = first.setdefault((kind, *key), place)
            made[kind].append(number)
            amounts = (
                (rng.randrange(60_000), rng.randrange(60_000)) if rng.random() < 0.3 else (0, 0)
            )
            before[kind].append(taken.setdefault((kind, number), amounts))
        made["a"].append(rng.choice([1, 99, 2_500, 7_777, 123_456, rng.randrange(1, 10**6)]))
        made["s"].append(share)
        visit = ("v", member, year, share, rng.randrange(3))
        made["v"].append(first.setdefault(visit, place))
    return {
        "members": Counters(made["m"], *map(list, zip(*before["m"], strict=True))),
        "families": Counters(made["f"], *map(list, zip(*before["f"], strict=True))),
        "allowed_amounts": made["a"],
        "share_ids": made["s"],
        "visits": made["v"],
        "shares": SHARES,
    }


def is_the_same(given: dict[str, Any]) -> int:
    """How much is owed in all, by both."""
    one_by_one, back = count(**given)
    together, back_together = count_together(**given)
    assert {name: column.tolist() for name, column in together.items()} == one_by_one
    assert back_together == back
    amounts = ("deductible_amount", "coinsurance_amount", "copay_amount")
    return sum(sum(one_by_one[name]) for name in amounts)


@pytest.mark.parametrize("households", [1, 40, 900])
@pytest.mark.parametrize("together", [1, 7, 400])
@pytest.mark.parametrize("seed", range(4))
def test_together_as_one_by_one(
    seed: int, together: int, households: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "TOGETHER", together)
    assert is_the_same(night(seed, 1_500, households)) > 0


def test_nothing_to_count() -> None:
    empty = Counters([], [], [])
    columns, back = count_together(empty, empty, [], [], [], SHARES)
    assert {name: len(column) for name, column in columns.items()} == dict.fromkeys(columns, 0)
    assert back == {}


def test_beside_other_payers_and_after_what_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Families with lines that others decided are counted apart; where anything is given back or
    was taken before, all are."""
    monkeypatch.setattr(counting, "TOGETHER", 3)
    given = night(5, 900, 200)
    owed = count_together(**given)[0]
    places = np.flatnonzero(owed["deductible_amount"][:600] > 0)[:40].tolist()
    numbers = [-1] * 900
    for group, place in enumerate(places):
        numbers[place] = group
    groups = [
        Group(1, 100 * (group % 3), 10**6, 0, 10**6, 10**6, prepaid=False, cost_share_only=False)
        for group in range(len(places))
    ]
    coordinated = Coordinated(numbers, groups)
    alone = is_the_same(given)
    assert is_the_same({**given, "coordinated": coordinated}) != alone
    _, back = count_together(**given, coordinated=coordinated)
    assert {*back} <= {*places}
    assert back
    member, family = (given[name].number[500] for name in ("members", "families"))
    released = {500: [Released(member, family, 10_000, 20_000)], 501: [Released(-1, -1, 5, 5)]}
    is_the_same({**given, "coordinated": coordinated, "released": released})
    visit = given["visits"][np.flatnonzero(owed["copay_amount"] == 2_500)[0]]
    assert is_the_same({**given, "copays_taken": {visit: 2_000}}) != alone


def test_a_member_of_two_families_is_counted_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their families' lines would not be independent."""
    monkeypatch.setattr(counting, "TOGETHER", 1)
    members = Counters([0, 0, 0], [0] * 3, [0] * 3)
    families = Counters([0, 1, 1], [0] * 3, [0] * 3)
    given = {
        "members": members, "families": families, "allowed_amounts": [30_000] * 3,
        "share_ids": [1] * 3, "visits": [0, 1, 2], "shares": SHARES,
    }  # fmt: skip
    # 300.00, then 200.00 to the member's 500.00 and 20 % of 100.00, then 20 % of 300.00
    assert is_the_same(given) == 30_000 + 20_000 + 2_000 + 6_000


def test_percent_of_arrays_is_percent_of_each() -> None:
    rng = random.Random(1)
    amounts = [0, 1, 2, 3, 12, 13, 9_999_999_999, *(rng.randrange(10**8) for _ in range(500))]
    for basis_points in (0, 1, 2_500, 3_333, 5_000, 10_000):
        found = percent_ints(np.array(amounts), np.full(len(amounts), basis_points))
        assert found.tolist() == [percent_int(a, basis_points) for a in amounts]
