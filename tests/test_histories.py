"""Nights of the engine equal the plain model's, and the model can tell where they don't."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.internal.conjecture import providers
from hypothesis.internal.constants_ast import Constants

from adjudicator.store import books as kept
from tests.histories import (
    CENTER,
    DRAW,
    FIRST_DAY,
    IMAGING,
    SPECIALIST,
    THERAPY,
    VISIT,
    World,
    claim,
    load_world,
    new_books,
    new_world,
)
from tests.model import history_model
from tests.model.history_model import Books, Claim, Service
from tests.state_machine import Histories, run

MODEL = Path(history_model.__file__)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return load_world(tmp_path_factory.mktemp("world"))


@pytest.fixture
def world(loaded: Path, tmp_path: Path) -> Iterator[World]:
    made = new_world(loaded, tmp_path)
    yield made
    made.close()


def test_the_model_knows_nothing_of_the_engine() -> None:
    imported = set()
    for node in ast.walk(ast.parse(MODEL.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            imported.update(name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            imported.add(str(node.module))
    assert imported == {"__future__", "collections.abc", "dataclasses", "datetime"}


def test_histories(loaded: Path) -> None:
    """A sample, of short ones; make state-machine runs 300 of twelve nights."""
    run(loaded, 3, 1, nights=4)


@pytest.mark.long
@pytest.mark.parametrize("number", [2, 3])
def test_more_histories(loaded: Path, number: int) -> None:
    run(loaded, 10, number)


def test_a_seed_draws_the_same_whatever_modules_are_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Numbers of a hundred and more that Hypothesis would have read in them change nothing."""
    told: list[str] = []

    def pass_night(world: World, claims: Sequence[Claim], days: int) -> None:
        world.day += timedelta(days)
        world.books.night(world.day, claims)

    def reprocess(world: World, numbers: Sequence[str], days: int) -> None:
        world.day += timedelta(days)
        world.books.reprocess(world.day, numbers)

    monkeypatch.setattr(World, "pass_night", pass_night)
    monkeypatch.setattr(World, "reprocess", reprocess)
    monkeypatch.setattr(World, "load", lambda world, *names: None)
    monkeypatch.setattr("tests.state_machine.new_world", lambda loaded, folder: World(folder))
    monkeypatch.setattr(Histories, "ended", lambda machine: told.append(repr(machine.world.books)))
    drawn = []
    for numbers in ((), range(100, 255)):
        constants = Constants(integers=set(numbers))
        monkeypatch.setattr(providers, "_get_local_constants", lambda of=constants: of)
        providers.CONSTANTS_CACHE.cache.clear()
        run(tmp_path, 10, 3)
        drawn.append(told[:])
        told.clear()
    assert len(set(drawn[0])) > 10
    assert drawn[0] == drawn[1]


# ---- the model can fail ------------------------------------------------------------------------


def services(day: Any, *codes: str) -> list[Service]:
    return [Service(code, 15_000, day - timedelta(3)) for code in codes]


def paid_and_voided(world: World) -> None:
    """Of each counter something taken, and given back the night after."""
    world.books.referrals["R1"] = ("MHC", 2)
    world.load("referrals")
    day = FIRST_DAY
    sent = [
        claim(world.books, 0, "MHA", CENTER, "P", services(day, IMAGING, THERAPY), day),
        claim(world.books, 1, "MHC", SPECIALIST, "P", services(day, VISIT), day),
    ]
    for one in sent:
        one.received = world.day + timedelta(1)
    world.pass_night(sent)
    voids = [
        claim(world.books, at, one.member, one.payee, "P", one.services,
              world.day + timedelta(1), "8", one.number)
        for at, one in enumerate(sent)
    ]  # fmt: skip
    world.pass_night(voids)


def test_paid_then_voided_leaves_nothing(world: World) -> None:
    """80.35 of deductible; 30.33 at 15 % is 4.55; a visit of 123.45 less 15.00."""
    paid_and_voided(world)
    for counter in (("deductible", "MHA", "2025"), ("out of pocket", "FH1", "2025"),
                    ("units", "AMHA"), ("visits", "R1")):  # fmt: skip
        assert world.books.taken(counter) == 0
    first = world.books.claims[0]
    assert [(r.deductible, r.coinsurance, r.allowed) for r in first.results] == [
        (8_035, 0, 8_035), (0, 455, 3_033),
    ]  # fmt: skip
    # 30.33 - 4.55, and 123.45 - 15.00, are owed back
    assert world.books.owed_by == {CENTER: 2_578, SPECIALIST: 10_845}


def test_late_charges_use_their_visit_beside_a_replacement(world: World) -> None:
    """One visit of three is the original's, given back for its replacement's; one is the late
    charges', which are a claim of their own."""
    world.books.referrals["RMHB"] = ("MHB", 3)
    world.load("referrals")
    visit, imaging = (Service(code, 9_000, FIRST_DAY) for code in (VISIT, IMAGING))

    def sent(after: int, service: Service, frequency: str, original: str | None) -> Claim:
        received = world.day + timedelta(1)
        return claim(world.books, after, "MHB", SPECIALIST, "P", [service], received, frequency,
                     original)  # fmt: skip

    world.pass_night([sent(0, visit, "1", None)])
    world.pass_night([sent(0, visit, "7", "00000001"), sent(1, imaging, "5", "00000002")])
    assert world.books.taken(("visits", "RMHB")) == 2


@pytest.mark.parametrize("nights", [[[0], [1], [2]], [[0], [1, 2]], [[0, 1], [2]], [[0, 1, 2]]])
def test_late_charges_of_late_charges_take_no_second_copay(
    world: World, nights: list[list[int]]
) -> None:
    """One visit's copay of 15.00: 10.00 by the original, which allows no more, 5.00 by its late
    charges, nothing by theirs."""
    lines = [("", 1_000, None), ("25", 9_000, "00000001"), ("59", 8_000, "00000002")]

    def sent(place: int, after: int) -> Claim:
        modifier, charge, original = lines[place]
        service = Service(VISIT, charge, FIRST_DAY, modifier=modifier)
        received = world.day + timedelta(1)
        return claim(world.books, after, "MHB", CENTER, "P", [service], received,
                     "5" if original else "1", original)  # fmt: skip

    for night in nights:
        world.pass_night([sent(place, after) for after, place in enumerate(night)])
    copays = [[result.copay for result in each.results] for each in world.books.claims]
    assert copays == [[1_000], [500], [0]]


@pytest.mark.parametrize(
    ("days", "last"),
    [(3, None), (59, "CO-29")],  # 60 days before the claim comes, and 61 before its late charges
)
def test_what_a_replaced_replacement_names_stands_for_claims_before_the_last(
    world: World, days: int, last: str | None
) -> None:
    """A replacement that is itself replaced takes nothing away: what both name is gone for claims
    received after the last of them, and what was received before repeats a paid line."""
    day = FIRST_DAY - timedelta(days)

    def sent(after: int, frequency: str, units: int = 2) -> Claim:
        original = None if frequency == "1" else "00000001"
        service = Service(DRAW, 4_000, day, units)
        received = world.day + timedelta(1)
        return claim(world.books, after, "MHA", CENTER, "P", [service], received, frequency,
                     original)  # fmt: skip

    world.pass_night([sent(0, "1")])
    world.pass_night([sent(0, "5"), sent(1, "7"), sent(2, "5"), sent(3, "7", 1), sent(4, "5")])
    denials = [c.results[0].denial for c in world.books.claims]
    assert denials == [None, "OA-18", None, "OA-18", None, last]
    assert [c.fate for c in world.books.claims][:5] == [
        "voided", "denied", "voided", "denied", "paid",
    ]  # fmt: skip


def keeps(column: str) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """What is given back, but nothing of one column."""

    def without(rows: pl.DataFrame) -> pl.DataFrame:
        return rows.with_columns(pl.lit(0, pl.Int64).alias(c) for c in rows.columns if c == column)

    return without


@pytest.mark.parametrize(
    "column", ["deductible_amount", "out_of_pocket_amount", "visit_count", "unit_quantity"]
)
def test_what_is_not_given_back_is_caught(
    world: World, monkeypatch: pytest.MonkeyPatch, column: str
) -> None:
    right = kept.given_back
    monkeypatch.setattr(kept, "given_back", lambda *a: keeps(column)(right(*a)))
    with pytest.raises(AssertionError, match="night of 2025-12-03"):
        paid_and_voided(world)


def test_a_histories_machine_that_meets_an_error_says_so(
    loaded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = kept.given_back
    monkeypatch.setattr(kept, "given_back", lambda *a: keeps("out_of_pocket_amount")(right(*a)))
    with pytest.raises(AssertionError, match="by the rules"):
        run(loaded, 3, 1, nights=4)


# ---- what the rules come to, by the model alone --------------------------------------------------


LINES = st.lists(
    st.builds(
        Service,
        st.sampled_from([VISIT, IMAGING, THERAPY, DRAW]),
        st.sampled_from([4_000, 9_000, 15_000]),
        st.sampled_from([FIRST_DAY - timedelta(n) for n in (1, 2, 20)]),
    ),
    min_size=1, max_size=3,
)  # fmt: skip


def counted(books: Books) -> dict[tuple[str, ...], int]:
    counters = {counter for c in books.claims for counter in c.taken}
    return {counter: left for counter in counters if (left := books.taken(counter))}


@settings(max_examples=200, derandomize=True, database=None)
@given(first=LINES, between=LINES, last=LINES, same_night=st.booleans())
def test_replaced_twice_is_replaced_once_by_the_last(
    first: list[Service], between: list[Service], last: list[Service], same_night: bool
) -> None:
    def after(*versions: list[Service]) -> Books:
        books = new_books()
        books.night(FIRST_DAY, [claim(books, 0, "MHA", CENTER, "P", first, FIRST_DAY)])
        sent: list[Claim] = []
        for lines in versions:
            if not same_night:
                sent = []
            sent.append(
                claim(books, len(sent), "MHA", CENTER, "P", lines, FIRST_DAY, "7", "00000001")
            )
            if not same_night or len(sent) == len(versions):
                books.night(FIRST_DAY + timedelta(len(books.claims)), sent)
        return books

    twice, once = after(between, last), after(last)
    assert sum(c.paid for c in twice.claims if c.fate == "paid") == sum(
        c.paid for c in once.claims if c.fate == "paid"
    )
    assert counted(twice) == counted(once)
