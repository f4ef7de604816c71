from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adjudicator.pipeline import Batch
from adjudicator.stages.match import comparable_lines, match
from schemas import frames
from tests import build

HISTORY: build.Row = {
    "claim_id": 90,
    "line_number": 3,
    "claim_number": "000000000090",
    "receipt_number": 0,
    "line_disposition": "paid",
    "member_id": "M1",
    "provider_number": "2000000010",
    "procedure_code": "99213",
    "unit_quantity": 1_000,
    "charge_amount": 10_000,
    "service_from_date": date(2025, 1, 10),
    "service_through_date": date(2025, 1, 10),
}


def repeats(
    claims: Sequence[build.Row],
    lines: Sequence[build.Row],
    history: Sequence[build.Row] | None = None,
) -> list[tuple[int, int, int, int]]:
    """(claim, line, of claim, of line) of each line that repeats an earlier one."""
    batch = Batch(
        claims=build.claims(claims),
        lines=build.lines(lines),
        history=build.frame(frames.HistoryLines, history or [], HISTORY),
    )
    found = match(batch, build.reference()).duplicates
    frames.DuplicateLines.validate(found)
    return found.drop("of_claim_number").rows()


def test_a_line_of_history() -> None:
    assert repeats([{}], [{}], [{}]) == [(1, 1, 90, 3)]


def test_the_number_of_the_original_is_told() -> None:
    batch = Batch(claims=build.claims([{}, {}]), lines=build.lines([{}, {"claim_id": 2}]))
    found = match(batch, build.reference()).duplicates
    assert found["of_claim_number"].to_list() == ["000000000001"]


# One thing that differs is enough for a line to be no repetition.
DIFFERENT: list[dict[str, Any]] = [
    {"procedure_code": "99214"},
    {"charge_amount": 10_001},
    {"unit_quantity": 2_000},
    {"unit_quantity": None},
    {"modifier_codes": "25"},
    {"service_from_date": date(2025, 1, 9), "service_through_date": date(2025, 1, 10)},
    {"service_through_date": date(2025, 1, 11)},
    {"rendering_npi": "2000000028"},
]


@pytest.mark.parametrize("line", DIFFERENT)
def test_no_repetition(line: build.Row) -> None:
    assert repeats([{}], [line], [{}]) == []
    assert repeats([{}, {}], [{}, {"claim_id": 2, **line}]) == []
    # the same difference on both is none
    assert repeats([{}, {}], [line, {"claim_id": 2, **line}]) == [(2, 1, 1, 1)]


def test_another_member_is_no_repetition() -> None:
    assert repeats([{}, {"member_id": "M2"}], [{}, {"claim_id": 2}]) == []
    assert repeats([{"member_id": "M2"}], [{}], [{}]) == []


def test_unknown_members_are_never_the_same() -> None:
    unknown = {"member_id": None, "member_match_code": "none"}
    assert repeats([unknown, unknown], [{}, {"claim_id": 2}]) == []


def test_provider_is_rendering_of_the_line_else_of_the_claim_else_billing() -> None:
    of_line: build.Row = {"rendering_npi": "2000000028"}
    of_claim: build.Row = {"rendering_npi": "2000000028", "billing_npi": "2000000036"}
    billing: build.Row = {"billing_npi": "2000000028"}
    assert repeats([{}, of_claim], [of_line, {"claim_id": 2}]) == [(2, 1, 1, 1)]
    assert repeats([of_claim, billing], [{}, {"claim_id": 2}]) == [(2, 1, 1, 1)]
    assert repeats([{}], [of_line], [{"provider_number": "2000000028"}]) == [(1, 1, 90, 3)]


def test_no_provider_at_all_is_nobody() -> None:
    assert repeats([{"billing_npi": None}] * 2, [{}, {"claim_id": 2}]) == []


def test_modifiers_in_another_order_are_the_same() -> None:
    first: build.Row = {"modifier_codes": "59:25"}
    second: build.Row = {"claim_id": 2, "modifier_codes": "25:59"}
    assert repeats([{}, {}], [first, second]) == [(2, 1, 1, 1)]
    assert repeats([{}], [first], [{"modifier_codes": "25:59"}]) == [(1, 1, 90, 3)]


def test_lines_without_units_are_the_same() -> None:
    line: build.Row = {"unit_quantity": None}
    assert repeats([{}], [line], [line]) == [(1, 1, 90, 3)]


def test_a_line_without_procedure_is_told_by_revenue_code() -> None:
    line = {"procedure_code": None, "revenue_code": "0450"}
    other = {"procedure_code": None, "revenue_code": "0451"}
    assert repeats([{}, {}], [line, {"claim_id": 2, **line}]) == [(2, 1, 1, 1)]
    assert repeats([{}, {}], [line, {"claim_id": 2, **other}]) == []
    assert repeats([{}], [line], [{"procedure_code": "0450"}]) == [(1, 1, 90, 3)]


def test_undated_lines_are_told_by_their_claims_dates() -> None:
    def stay(first: int) -> build.Row:
        return {
            "statement_from_date": date(2025, 1, first),
            "statement_through_date": date(2025, 1, first + 3),
        }

    def line(claim_id: int, first: int) -> build.Row:
        day = date(2025, 1, first)
        return {"claim_id": claim_id, "service_from_date": None, "decision_date": day,
                "service_through_date": None}  # fmt: skip

    same = [line(1, 2), line(2, 2)]
    assert repeats([stay(2), stay(2)], same) == [(2, 1, 1, 1)]
    assert repeats([stay(2), stay(9)], [line(1, 2), line(2, 9)]) == []
    longer = {**stay(2), "statement_through_date": date(2025, 1, 6)}
    assert repeats([stay(2), longer], same) == []


def test_receipt_order_says_which_is_first() -> None:
    claims = [{"receipt_number": 8}, {"receipt_number": 7}, {"receipt_number": 9}]
    lines = [{}, {"claim_id": 2}, {"claim_id": 3}]
    assert repeats(claims, lines) == [(1, 1, 2, 1), (3, 1, 2, 1)]


def test_a_line_without_a_last_day_ends_on_its_first() -> None:
    one_day = {"service_through_date": None}
    assert repeats([{}], [one_day], [{}]) == [(1, 1, 90, 3)]
    assert repeats([{}], [{}], [one_day]) == [(1, 1, 90, 3)]
    assert repeats([{}, {}], [one_day, {"claim_id": 2}]) == [(2, 1, 1, 1)]


def test_lines_of_one_claim_in_line_order() -> None:
    assert repeats([{}], [{}, {"charge_amount": 1}, {}]) == [(1, 3, 1, 1)]


def test_history_comes_before_tonight() -> None:
    assert repeats([{}, {}], [{}, {"claim_id": 2}], [{}]) == [(1, 1, 90, 3), (2, 1, 90, 3)]


def test_a_paid_line_comes_before_one_that_waits() -> None:
    history = [
        {"claim_id": 80, "line_disposition": "pended"},
        {"claim_id": 91, "line_disposition": "paid", "receipt_number": 99},
    ]
    assert repeats([{}], [{}], history) == [(1, 1, 91, 3)]


def test_a_waiting_line_counts_only_if_it_was_received_earlier() -> None:
    waits = {"line_disposition": "pended"}
    claim = {"receipt_number": 5}
    assert repeats([claim], [{}], [waits | {"receipt_number": 4}]) == [(1, 1, 90, 3)]
    assert repeats([claim], [{}], [waits | {"receipt_number": 6}]) == []


VERSION: build.Row = {
    "claim_id": -1,
    "claim_number": "000000000090",
    "claim_type_code": "P",
    "payee_id": "P1",
    "program_code": "test",
    "member_id": "M1",
    "received_date": date(2025, 1, 12),
    "disposition": "paid",
    "version_number": 1,
    "service_from_date": date(2025, 1, 10),
    "service_through_date": date(2025, 1, 10),
}


def corrects(frequency_code: str) -> build.Row:
    return {"frequency_code": frequency_code, "original_claim_number": "00000090"}


@pytest.mark.parametrize(
    ("claims", "found"),
    [
        # a replacement repeats what it replaces by nature; another claim may not
        ([corrects("7")], []),
        ([corrects("7"), {}], [(2, -1), (2, 1)]),
        # late charges stand beside what they add to
        ([corrects("5")], [(1, -1)]),
        # a void is compared with nothing, and what it voids is no original any more
        ([corrects("8")], []),
        ([corrects("8"), {}], []),
        ([{}, corrects("8")], []),
        # what corrects nothing is compared, but for a void
        ([corrects("7") | {"original_claim_number": "00000091"}], [(1, -1)]),
        ([corrects("8") | {"original_claim_number": "00000091"}, {}], [(2, -1)]),
    ],
)
def test_corrections_and_duplicates(claims: list[build.Row], found: list[tuple[int, int]]) -> None:
    batch = Batch(
        claims=build.claims(claims),
        lines=build.lines([{"claim_id": n} for n in range(1, len(claims) + 1)]),
        history=build.frame(frames.HistoryLines, [{"claim_id": -1}], HISTORY),
        versions=build.frame(frames.Versions, [{}], VERSION),
    )
    repeats = match(batch, build.reference()).duplicates
    assert repeats.select("claim_id", "of_claim_id").rows() == found


def test_a_claim_without_frequency_is_compared() -> None:
    assert repeats([{"frequency_code": None}] * 2, [{}, {"claim_id": 2}]) == [(2, 1, 1, 1)]


def test_comparable_lines_are_what_history_keeps() -> None:
    claims, lines = build.claims([{}]), build.lines([{}, {"procedure_code": None}])
    kept = comparable_lines(claims, lines)
    # what was decided of it, and what it shares with its claim, stand elsewhere
    of_claim = ["claim_type_code", "payee_id", "claim_provider_number", "line_disposition"]
    expected = [c for c in frames.HistoryLines.column_names() if c not in of_claim]
    assert sorted(kept.columns) == sorted(expected)
    assert kept["line_number"].to_list() == [1, 2]
    with_claim = {name: pl.lit("paid" if name == "line_disposition" else None, pl.String)
                  for name in of_claim}  # fmt: skip
    frames.HistoryLines.validate(
        kept.with_columns(**with_claim).select(frames.HistoryLines.column_names())
    )


CHOICES = st.lists(
    st.tuples(
        st.integers(1, 4),  # claim
        st.sampled_from(["99213", "99214"]),
        st.sampled_from([None, "25", "25:59", "59:25"]),
        st.sampled_from([10_000, 20_000]),
    ),
    max_size=9,
)


@pytest.mark.long
@settings(max_examples=40, deadline=None)
@given(choices=CHOICES, order=st.permutations([1, 2, 3, 4]))
def test_as_a_plain_loop_would_find_them(
    choices: list[tuple[int, str, str | None, int]], order: list[int]
) -> None:
    claims = [{"receipt_number": place} for place in order]
    lines = [
        {"claim_id": c, "procedure_code": p, "modifier_codes": m, "charge_amount": a}
        for c, p, m, a in choices
    ]
    built = build.lines(lines)
    seen: dict[tuple[Any, ...], tuple[int, int]] = {}
    expected = []
    rows = sorted(built.to_dicts(), key=lambda r: (order[r["claim_id"] - 1], r["line_number"]))
    for row in rows:
        modifiers = tuple(sorted((row["modifier_codes"] or "").split(":")))
        same = (row["procedure_code"], modifiers, row["charge_amount"])
        here = (row["claim_id"], row["line_number"])
        if same in seen:
            expected.append((*here, *seen[same]))
        else:
            seen[same] = here
    assert repeats(claims, lines) == sorted(expected)
