"""The engine of the field tables: one pass over any frame, and nobody's gap but their own.

What each box is asked for, and when, is in tests/test_forms.py.
"""

from __future__ import annotations

import json
from typing import Any

import polars as pl
import pytest

from adjudicator.contracts import READ, hold
from adjudicator.pipeline import AS_READ, Batch
from adjudicator.stages.validate import objections_to_findings, validate
from edi.read_file import read_file
from schemas import frames
from tests import build, samples
from tests.test_forms import FORMS, changed, found, read, segments, without


def several(*batches: Batch) -> Batch:
    """The claims of several batches as one, numbered 1, 2, 3 …"""
    numbered: dict[str, list[pl.DataFrame]] = {name: [] for name in AS_READ}
    for number, batch in enumerate(batches, start=1):
        for name in AS_READ:
            frame: pl.DataFrame = getattr(batch, name)
            numbered[name].append(
                frame.with_columns(claim_id=pl.lit(number, dtype=frame.schema["claim_id"]))
            )
    return Batch(**{name: pl.concat(parts) for name, parts in numbered.items()})


def told(batch: Batch) -> list[tuple[int, str, int | None]]:
    """(claim, box, line) of every finding, in order."""
    rows = validate(batch, FORMS).findings
    return [
        (row["claim_id"], json.loads(row["inputs"])["box"], row["line_number"])
        for row in rows.iter_rows(named=True)
    ]


GOOD_P, GOOD_I = read("P", segments("P")), read("I", segments("I"))
OUTPATIENT, CHILD = read("I", segments("outpatient")), read("P", segments("P child"))
UNSIGNED = read("P", changed("P", "CLM*F1*300***21:B:7*Y", "CLM*F1*300***21:B:7*"))
UNDATED = read("P", changed("P", "DTP*472*D8*20250513", ""))
UNPLACED = read("I", changed("I", "CLM*F1*1250***11", "CLM*F1*1250***"))
UNATTENDED = read("I", without(segments("I"), "NM1*71"))


def test_one_bad_claim_costs_only_itself() -> None:
    good = [GOOD_P, GOOD_I, OUTPATIENT, CHILD]
    assert told(several(*good)) == []
    assert told(several(GOOD_P, UNSIGNED, CHILD)) == [(2, "31", None)]
    assert told(several(GOOD_P, UNDATED, CHILD, UNSIGNED)) == [(2, "24a", 1), (4, "31", None)]


def test_both_kinds_of_claims_in_one_batch_are_asked_for_their_own_boxes() -> None:
    mixed = several(GOOD_P, UNATTENDED, UNDATED, OUTPATIENT, UNPLACED, UNSIGNED, GOOD_I)
    # without a bill type the stay counts as outpatient: its two lines want a date, one a procedure
    assert sorted(told(mixed), key=lambda f: (f[0], f[1], f[2] or 0)) == [
        (2, "76", None), (2, "76", None), (3, "24a", 1), (5, "4", None), (5, "44", 2),
        (5, "45", 1), (5, "45", 2), (6, "31", None),
    ]  # fmt: skip


def test_the_order_of_rows_does_not_matter() -> None:
    whole = several(GOOD_P, UNDATED, UNATTENDED, CHILD, GOOD_I, UNSIGNED)
    turned = Batch(**{name: getattr(whole, name).reverse() for name in AS_READ})
    assert validate(turned, FORMS).findings.equals(validate(whole, FORMS).findings)
    assert [claim for claim, _, _ in told(whole)] == [2, 3, 3, 6]


def test_findings_are_of_their_contract_and_the_claims_stay_as_they_are() -> None:
    whole = several(GOOD_P, UNDATED, UNATTENDED)
    after = validate(whole, FORMS)
    hold(after, {"findings": frames.Findings}, "validate", whole=True)
    hold(after, READ, "validate", whole=False)
    for name in AS_READ:
        assert getattr(after, name).equals(getattr(whole, name))


@pytest.mark.parametrize("blank", ["", " ", " " * 60])
def test_a_blank_is_a_gap(blank: str) -> None:
    claims = GOOD_P.claims.with_columns(subscriber_number=pl.lit(blank))
    assert [f["box"] for f in found(GOOD_P.with_(claims=claims))] == ["1a"]
    people = GOOD_P.people.with_columns(city=pl.lit(blank))
    assert [f["box"] for f in found(GOOD_P.with_(people=people))] == ["5"]


@pytest.mark.parametrize("text", ["0", " X", "-", "é"])
def test_anything_else_is_none(text: str) -> None:
    people = GOOD_P.people.with_columns(city=pl.lit(text))
    assert found(GOOD_P.with_(people=people)) == []


def test_all_omissions_are_told_at_once() -> None:
    made = without(segments("P"), "N3*18 HERON", "DTP*435", "REF*EI")
    assert [f["box"] for f in found(read("P", made))] == ["5", "18", "25"]


def test_a_charge_of_nothing_is_no_fault() -> None:
    # of 300.00 the first line's 200.00 is charged no more
    made = [
        segment.replace("SV1*HC:99213*200", "SV1*HC:99213*0").replace("CLM*F1*300", "CLM*F1*100")
        for segment in segments("P")
    ]
    assert found(read("P", made)) == []


@pytest.mark.parametrize(("total", "hit"), [("300", False), ("299.99", True), ("300.01", True)])
def test_the_total_is_the_sum_of_the_lines(total: str, hit: bool) -> None:
    made = changed("P", "CLM*F1*300", f"CLM*F1*{total}")
    assert [f["edit"] for f in found(read("P", made))] == ["total_charge"] * hit


def test_findings_before_are_kept_and_come_first() -> None:
    earlier: list[dict[str, Any]] = [
        {"claim_id": 1, "edit": "syntax", "edit_rank": 0, "disposition": "reject"}
    ]
    batch = several(UNSIGNED).with_(findings=build.frame(frames.Findings, earlier))
    edits = validate(batch, FORMS).findings["edit"].to_list()
    assert edits == ["syntax", "mandatory_field"]


def test_no_claims_no_findings() -> None:
    empty = Batch(frames.empty(frames.Claims), frames.empty(frames.Lines))
    assert validate(empty, FORMS).findings.is_empty()


def test_objections_of_the_reader_reject_their_claim_alone() -> None:
    made = samples.professional(2)
    broken = made.replace(b"CLM*P11*180.5", b"CLM*P11*180.5X", 1)
    assert broken != made
    reading = read_file(broken)
    findings = objections_to_findings(reading.objections)
    assert findings.height
    assert set(findings["claim_id"]) == {0}
    assert set(findings["edit"]) == {"syntax"}
    assert set(findings["status_code"]) == {"A7:21"}
