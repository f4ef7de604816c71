"""Suspected duplicates against a plain loop over all pairs of lines."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adjudicator.edits import edits
from adjudicator.pipeline import Batch
from adjudicator.reference import Reference
from adjudicator.stages.match import match
from schemas import frames
from tests import build

SEPARATE = ("59", "RT")
HISTORY: build.Row = {
    "member_id": "M1", "provider_number": "2000000010", "procedure_code": "99213",
    "service_from_date": date(2025, 1, 10), "service_through_date": date(2025, 1, 10),
}  # fmt: skip
COMPARED = {
    "procedure_code": st.sampled_from(["99213", "99213", "99214"]),
    "modifier_codes": st.sampled_from([None, "24", "24:25", "25:24", "59:25"]),
    "unit_quantity": st.sampled_from([None, 1_000, 2_000]),
    "charge_amount": st.sampled_from([100, 200, 300]),
}
TONIGHT = st.fixed_dictionaries({"claim_id": st.integers(1, 5), **COMPARED})
# claims of one store are numbered alike: a claim of history is paid or it waits, as a whole
BEFORE = st.fixed_dictionaries({"claim_id": st.integers(90, 93), **COMPARED})
WAITING = 92


def reference_of() -> Reference:
    return build.reference(
        build.program(edits=("suspected_duplicate",), separate_modifiers=SEPARATE)
    )


def modifiers(line: build.Row) -> list[str]:
    return sorted((line["modifier_codes"] or "").split(":"))


def differences(one: build.Row, other: build.Row) -> int:
    differs = [modifiers(one) != modifiers(other)]
    differs += [one[name] != other[name] for name in ("unit_quantity", "charge_amount")]
    return sum(differs)


@pytest.mark.long
@settings(max_examples=150, deadline=None)
@given(
    tonight=st.lists(TONIGHT, max_size=10),
    before=st.lists(BEFORE, max_size=5),
    denied=st.sets(st.integers(1, 5)),
    corrected=st.sets(st.integers(1, 5), max_size=1),
    receipts=st.permutations([10, 11, 12, 13, 14, 20, 21]),
)
def test_as_a_plain_loop_finds_them(
    tonight: list[dict[str, Any]],
    before: list[dict[str, Any]],
    denied: set[int],
    corrected: set[int],
    receipts: list[int],
) -> None:
    claims = [
        {"receipt_number": receipts[n - 1], "frequency_code": "7" if n in corrected else "1"}
        for n in range(1, 6)
    ]
    history = []
    for line_number, line in enumerate(before, start=1):
        n = line["claim_id"]
        waits = n >= WAITING
        numbers = {
            "claim_number": f"{n:012}",
            "line_number": line_number,
            "line_disposition": "pended" if waits else "paid",
            "receipt_number": receipts[n - WAITING + 5] if waits else n,
        }
        history.append({**HISTORY, **line, **numbers})
    lines = build.lines(tonight)
    batch = Batch(
        claims=build.claims(claims),
        lines=lines,
        history=build.frame(frames.HistoryLines, history),
        findings=build.frame(
            frames.Findings,
            [
                {"claim_id": n, "edit": "earlier", "edit_rank": 1, "disposition": "deny"}
                for n in sorted(denied)
            ],
        ),
    )
    seen = lines.to_dicts()
    place: dict[tuple[int, int], tuple[bool, int, int, int]] = {}
    for line in seen:
        key = (line["claim_id"], line["line_number"])
        place[key] = (True, receipts[line["claim_id"] - 1], *key)
    for line in history:
        key = (line["claim_id"], line["line_number"])
        place[key] = (line["line_disposition"] != "paid", line["receipt_number"], *key)
    expected = []
    for line in seen:
        here = (line["claim_id"], line["line_number"])
        if line["claim_id"] in corrected or set(modifiers(line)) & set(SEPARATE):
            continue
        originals = [
            (other["claim_id"], other["line_number"])
            for other in (*seen, *history)
            if other["claim_id"] != line["claim_id"]
            and other["claim_id"] not in denied
            and other["procedure_code"] == line["procedure_code"]
            and not set(modifiers(other)) & set(SEPARATE)
            and differences(line, other) == 1
            and place[other["claim_id"], other["line_number"]] < place[here]
        ]
        if originals:
            first = min(originals, key=lambda original: place[original])
            expected.append((*here, f"{first[0]:012}", first[1]))
    reference = reference_of()
    found = edits(match(batch, reference), reference).findings.filter(edit="suspected_duplicate")
    told = [
        (row["claim_id"], row["line_number"], inputs["duplicate_of_claim"],
         inputs["duplicate_of_line"])
        for row in found.to_dicts()
        for inputs in [json.loads(row["inputs"])]
    ]  # fmt: skip
    assert told == sorted(expected)


def test_similar_lines_are_few_and_of_their_contract() -> None:
    """Only lines of a service on several claims that aren't all the same."""
    claims = build.claims([{}, {}, {"member_id": "M2"}, {"member_id": "M2"}, {"member_id": "M3"}])
    lines = build.lines(
        [
            {}, {"claim_id": 2, "charge_amount": 1},
            {"claim_id": 3}, {"claim_id": 4},  # all the same
            {"claim_id": 5}, {"claim_id": 5, "charge_amount": 1},  # of one claim
        ]
    )  # fmt: skip
    similar = match(Batch(claims=claims, lines=lines), build.reference()).similar
    frames.SimilarLines.validate(similar)
    assert similar.select("claim_id", "line_number", "charge_amount").rows() == [
        (1, 1, 10_000),
        (2, 1, 1),
    ]
    assert similar["service_number"].n_unique() == 1


def test_a_claim_of_another_program_goes_by_its_own_modifiers() -> None:
    reference = build.reference(
        build.program(edits=("suspected_duplicate",), separate_modifiers=SEPARATE),
        build.program(program_code="other", edits=("suspected_duplicate",)),
    )
    member: list[build.Row] = [{}, {}, {"member_id": "M2", "program_code": "other"}]
    member.append(member[2])
    lines = [{"claim_id": n, "modifier_codes": "59" if n in (2, 4) else None} for n in (1, 2, 3, 4)]
    batch = Batch(claims=build.claims(member), lines=build.lines(lines))
    found = edits(match(batch, reference), reference).findings
    assert found["claim_id"].to_list() == [4]


def test_nothing_similar_costs_no_look() -> None:
    batch = Batch(claims=build.claims([{}]), lines=build.lines([{}]))
    assert match(batch, build.reference()).similar.equals(frames.empty(frames.SimilarLines))
