"""The correct coding edits against plain loops over all lines of a night and its history."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adjudicator.edits import edits
from adjudicator.pipeline import Batch
from adjudicator.programs import load_programs
from schemas import frames
from tests import build

CODES = ["11111", "22222", "33333"]
DAYS = [date(2025, 1, 10), date(2025, 1, 11)]
POLICY = load_programs()["carepartners"].policies.ncci
PROGRAM = build.program(edits=("ncci",), policies={"ncci": POLICY})
CLAIMS = range(1, 5)
NIGHTS = int(os.environ.get("NCCI_NIGHTS", "100"))  # made up by Hypothesis
WAITING = 92  # claims of history from here on wait

SERVICE = {
    "procedure_code": st.sampled_from(CODES),
    "modifier_codes": st.sampled_from([None, "59", "GT", "GT:59"]),
    "unit_quantity": st.sampled_from([1_000, 2_000, 3_000]),
    "service_from_date": st.sampled_from([DAYS[0], DAYS[0], DAYS[0], DAYS[1]]),
}
TONIGHT = st.fixed_dictionaries(
    {
        "claim_id": st.sampled_from(list(CLAIMS)),
        "rendering_npi": st.sampled_from([None, None, None, "2000000044"]),
        **SERVICE,
    }
)
BEFORE = st.fixed_dictionaries({"claim_id": st.integers(90, 93), **SERVICE})
CLAIM = st.fixed_dictionaries(
    {
        "member_id": st.sampled_from(["M1", "M1", "M1", "M1", "M2"]),
        "frequency_code": st.sampled_from(["1", "1", "7"]),
        "payee_id": st.sampled_from(["P1", "P1", "P2"]),
        "stands": st.sampled_from(["all", "all", "denied", "waits"]),
    }
)
SPAN = st.sampled_from([(DAYS[0], DAYS[1]), (DAYS[0], DAYS[0]), (DAYS[1], None), (DAYS[0], None)])
PAIRS = st.dictionaries(
    st.tuples(st.sampled_from(CODES), st.sampled_from(CODES)).filter(lambda c: c[0] != c[1]),
    st.tuples(st.sampled_from("0119"), SPAN),
    max_size=5,
)
LIMITS = st.dictionaries(
    st.sampled_from(CODES), st.tuples(st.integers(1, 4), st.sampled_from("1233"), SPAN), min_size=1
)
ADD_ONS = st.dictionaries(
    st.sampled_from(CODES[1:]),
    st.tuples(st.sets(st.sampled_from(CODES), min_size=1), st.sampled_from("13"), SPAN),
    max_size=2,
)

Line = dict[str, Any]


def holds(span: tuple[date, date | None], day: date) -> bool:
    return span[0] <= day and (span[1] is None or day <= span[1])


def lines_of(
    claims: Sequence[Line], tonight: Sequence[Line], before: Sequence[Line], receipts: Sequence[int]
) -> list[Line]:
    """Every line with what the rules look at, those of history too."""
    found: list[Line] = []
    numbers: dict[int, int] = {}
    for line in tonight:
        n = line["claim_id"]
        numbers[n] = numbers.get(n, 0) + 1
        claim = claims[n - 1]
        found.append({
            **line, **claim, "line": (n, numbers[n]), "tonight": True, "receipt": receipts[n - 1],
            "provider": line["rendering_npi"] or "2000000010",
            "corrects": claim["frequency_code"] == "7",
            "denied": claim["stands"] == "denied", "waits": claim["stands"] == "waits",
        })  # fmt: skip
    for place, line in enumerate(before, start=1):
        n = line["claim_id"]
        found.append({
            **line, "line": (n, place), "tonight": False, "member_id": "M1", "payee_id": "P1",
            "provider": "2000000010", "corrects": False, "denied": False, "waits": n >= WAITING,
        })  # fmt: skip
    return found


def separate(line: Line) -> bool:
    return "59" in (line["modifier_codes"] or "").split(":")


def couples(lines: Sequence[Line]) -> Iterator[tuple[Line, Line]]:
    """Two lines of one member and day that may be compared."""
    for one in lines:
        for two in lines:
            same = one["line"][0] == two["line"][0]
            if (
                one is not two
                and one["member_id"] == two["member_id"]
                and one["service_from_date"] == two["service_from_date"]
                and (same or not (one["corrects"] or two["corrects"]))
                and (one["tonight"] or two["tonight"])
            ):
                yield one, two


def pairs_found(lines: Sequence[Line], pairs: dict[Any, Any]) -> tuple[set[Any], set[Any]]:
    denied, waiting = set(), set()
    for one, two in couples(lines):
        row = pairs.get((one["procedure_code"], two["procedure_code"]))
        if (
            row is None
            or one["provider"] != two["provider"]
            or one["denied"]
            or not holds(row[1], one["service_from_date"])
            or row[0] == "9"
            or (row[0] == "1" and (separate(one) or separate(two)))
            or (one["line"][0] != two["line"][0] and one["waits"])
        ):
            continue
        if two["tonight"]:
            denied.add(two["line"])
        elif not two["waits"]:
            waiting.add(one["line"])
    return denied, waiting


def units_found(lines: Sequence[Line], limits: dict[Any, Any]) -> set[Any]:
    found = set()
    counted = [line for line in lines if not line["denied"]]
    asked = sorted(
        {(line["receipt"], line["line"][0]) for line in counted if line["tonight"]}
    )  # claims in receipt order
    let_through: dict[Any, int] = {}
    for _, claim_id in asked:
        of_claim = [line for line in counted if line["line"][0] == claim_id]
        for code, (limit, kind, span) in limits.items():
            for day in DAYS:
                for provider in {line["provider"] for line in of_claim}:
                    few = [
                        line for line in of_claim
                        if (line["procedure_code"], line["service_from_date"], line["provider"])
                        == (code, day, provider)
                    ]  # fmt: skip
                    if not few or not holds(span, day):
                        continue
                    if kind == "1":
                        found |= {x["line"] for x in few if x["unit_quantity"] > limit * 1_000}
                        continue
                    key = (few[0]["member_id"], provider, code, day)
                    before = 0
                    if not few[0]["corrects"]:
                        before = let_through.get(key, 0) + sum(
                            x["unit_quantity"] for x in counted
                            if not x["tonight"] and not x["waits"]
                            and (x["member_id"], x["provider"], x["procedure_code"],
                                 x["service_from_date"]) == key
                        )  # fmt: skip
                    units = sum(x["unit_quantity"] for x in few)
                    if before + units > limit * 1_000:
                        found |= {x["line"] for x in few}
                    elif not few[0]["corrects"] and not few[0]["waits"]:
                        let_through[key] = let_through.get(key, 0) + units
    return found


def add_ons_found(lines: Sequence[Line], add_ons: dict[Any, Any]) -> set[Any]:
    found = set()
    for line in lines:
        row = add_ons.get(line["procedure_code"])
        if line["tonight"] and row and holds(row[2], line["service_from_date"]):
            beside = {
                one["procedure_code"] for one, two in couples(lines)
                if two is line and not one["denied"] and one["payee_id"] == two["payee_id"]
            }  # fmt: skip
            others = beside - set(add_ons) if row[1] != "1" else set()
            if not (beside & row[0]) | others:
                found.add(line["line"])
    return found


def tables(pairs: dict[Any, Any], limits: dict[Any, Any], add_ons: dict[Any, Any]) -> Any:
    def span(of: tuple[date, date | None]) -> build.Row:
        return {"start_date": of[0], "end_date": of[1]}

    kind = {"table_code": "practitioner"}
    return {
        "procedure_pairs": [
            {**kind, "column_one_code": one, "column_two_code": two,
             "modifier_indicator_code": indicator, **span(dates)}
            for (one, two), (indicator, dates) in pairs.items()
        ],
        "unit_limits": [
            {**kind, "procedure_code": code, "unit_limit": limit,
             "adjudication_indicator_code": indicator, **span(dates)}
            for code, (limit, indicator, dates) in limits.items()
        ],
        "add_on_codes": [
            {"add_on_code": code, "primary_code": primary, "edit_type_code": of_type, **span(dates)}
            for code, (primaries, of_type, dates) in add_ons.items()
            for primary in sorted(primaries)
        ],
    }  # fmt: skip


@pytest.mark.long
@settings(max_examples=NIGHTS, deadline=None, derandomize=True)
@given(
    claims=st.lists(CLAIM, min_size=4, max_size=4),
    tonight=st.lists(TONIGHT, min_size=1, max_size=9),
    before=st.lists(BEFORE, max_size=4),
    receipts=st.permutations([10, 11, 12, 13]),
    pairs=PAIRS,
    limits=LIMITS,
    add_ons=ADD_ONS,
)
def test_as_plain_loops_find_them(
    claims: list[Line],
    tonight: list[Line],
    before: list[Line],
    receipts: list[int],
    pairs: dict[Any, Any],
    limits: dict[Any, Any],
    add_ons: dict[Any, Any],
) -> None:
    rows = [
        {**{k: v for k, v in claim.items() if k != "stands"}, "receipt_number": receipt}
        for claim, receipt in zip(claims, receipts, strict=True)
    ]
    findings: list[build.Row] = [
        {
            "claim_id": n, "edit": "earlier", "edit_rank": 1,
            "disposition": "deny" if claim["stands"] == "denied" else "pend",
            "pend_code": None if claim["stands"] == "denied" else "COB",
        }
        for n, claim in enumerate(claims, start=1)
        if claim["stands"] != "all"
    ]  # fmt: skip
    history = [
        {
            "member_id": "M1", "claim_type_code": "P", "payee_id": "P1", "receipt_number": n,
            "claim_number": f"{line['claim_id']:012}", "line_number": n, "charge_amount": 100,
            "provider_number": "2000000010", "claim_provider_number": "2000000010",
            "line_disposition": "pended" if line["claim_id"] >= WAITING else "paid",
            "service_through_date": line["service_from_date"], **line,
        }
        for n, line in enumerate(before, start=1)
    ]  # fmt: skip
    batch = Batch(
        claims=build.claims(rows),
        lines=build.lines(tonight),
        history=build.frame(frames.HistoryLines, history),
        findings=build.frame(frames.Findings, findings),
    )
    reference = build.reference(PROGRAM, **tables(pairs, limits, add_ons))
    found = edits(batch, reference).findings.filter(
        (pl.col("edit") == "ncci") & (pl.col("disposition") != "inform")
    )
    told: dict[str, set[Any]] = {"236": set(), "151": set(), "B15": set(), "pend": set()}
    for row in found.to_dicts():
        told[row["carc"] or "pend"].add((row["claim_id"], row["line_number"]))
    assert sum(map(len, told.values())) == found.height

    lines = lines_of(claims, tonight, before, receipts)
    by_pairs, waiting = pairs_found(lines, pairs)
    for line in lines:
        line["denied"] |= line["line"] in by_pairs
    by_units = units_found(lines, limits)
    for line in lines:
        line["denied"] |= line["line"] in by_units
    assert told == {
        "236": by_pairs,
        "151": by_units,
        "B15": add_ons_found(lines, add_ons),
        "pend": waiting,
    }


def test_an_earlier_night_decides_otherwise_only_where_something_was_paid() -> None:
    """The column two line first, on a night of its own: it is paid, and the column one line that
    comes later pends instead of being paid beside it; both at once: column two is denied."""
    rows = tables({("11111", "22222"): ("0", (DAYS[0], None))}, {}, {})
    reference = build.reference(PROGRAM, **rows)
    both = Batch(
        claims=build.claims([{}, {}]),
        lines=build.lines(
            [{"procedure_code": "22222"}, {"claim_id": 2, "procedure_code": "11111"}]
        ),
    )
    found = edits(both, reference).findings
    assert found.select("claim_id", "disposition", "carc").rows() == [(1, "deny", "236")]
    alone = both.only(pl.Series([1]))
    assert edits(alone, reference).findings.is_empty()


def test_an_emergency_of_tables_tells_each_once_a_claim() -> None:
    """A day on which a table does not hold is told for the claim, not for each of its lines."""
    span = (DAYS[0], DAYS[0])
    reference = build.reference(PROGRAM, **tables({("11111", "22222"): ("0", span)}, {}, {}))
    late = DAYS[0] + timedelta(days=1)
    batch = Batch(
        claims=build.claims([{}, {}]),
        lines=build.lines(
            [
                {"procedure_code": "22222"}, {"procedure_code": "33333", "service_from_date": late},
                {"procedure_code": "11111", "service_from_date": late}, {"claim_id": 2},
            ]
        ),
    )  # fmt: skip
    [row] = edits(batch, reference).findings.to_dicts()
    assert (row["claim_id"], row["line_number"], row["disposition"]) == (1, None, "inform")
    inputs = json.loads(row["inputs"])
    assert inputs["decision_date"] == "2025-01-11"
    assert inputs["tables"] == [
        {"table": "procedure_pairs practitioner", "first_day": "2025-01-10",
         "last_day": "2025-01-10"}
    ]  # fmt: skip


def test_a_gap_between_two_tables_is_no_day_of_either() -> None:
    limit = {"table_code": "practitioner", "procedure_code": "11111", "unit_limit": 1,
             "adjudication_indicator_code": "2"}  # fmt: skip
    spans = [(date(2025, 1, 1), date(2025, 3, 31)), (date(2025, 7, 1), date(2025, 9, 30))]
    rows = [{**limit, "start_date": first, "end_date": last} for first, last in spans]
    reference = build.reference(PROGRAM, unit_limits=rows)
    days = [date(2025, 3, 31), date(2025, 4, 1), date(2025, 6, 30), date(2025, 7, 1)]
    batch = Batch(
        claims=build.claims([{} for _ in days]),
        lines=build.lines([
            {"claim_id": n, "procedure_code": "11111", "unit_quantity": 2_000,
             "service_from_date": day}
            for n, day in enumerate(days, start=1)
        ]),
    )  # fmt: skip
    found = edits(batch, reference).findings
    assert found["disposition"].to_list() == ["deny", "inform", "inform", "deny"]


def test_lines_in_any_order_are_compared() -> None:
    rows = tables({("11111", "22222"): ("0", (DAYS[0], None))}, {}, {})
    lines = build.lines(
        [
            {"claim_id": 2, "procedure_code": "22222"}, {"claim_id": 1, "procedure_code": "22222"},
            {"claim_id": 2, "procedure_code": "33333"}, {"claim_id": 1, "procedure_code": "11111"},
        ]
    )  # fmt: skip
    batch = Batch(claims=build.claims([{}, {"member_id": "M2"}]), lines=lines)
    found = edits(batch, build.reference(PROGRAM, **rows)).findings
    assert found.select("claim_id", "line_number").rows() == [(1, 1)]


def test_no_table_costs_no_look() -> None:
    batch = Batch(claims=build.claims([{}]), lines=build.lines([{}]))
    assert edits(batch, build.reference(PROGRAM)).findings.is_empty()
