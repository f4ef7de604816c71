"""Referrals: what their visits come to over claims and nights, and what they do to a share."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adjudicator import store
from adjudicator.edits import edits
from adjudicator.explain import explain
from adjudicator.fate import fates
from adjudicator.load import load_reference
from adjudicator.night import Order, run_night
from adjudicator.pipeline import Batch
from adjudicator.reference import Reference
from adjudicator.stages.benefits import benefits
from adjudicator.stages.settle import settle
from schemas import frames
from schemas.config import Config
from schemas.reference import Providers
from tests import build, model
from tests.case_tools import CLAIMS, REFERENCE
from tests.model import Row

DOCTOR, PARTNER = "2000000077", "2000000085"
JANUARY = {"start_date": date(2025, 1, 1), "end_date": date(2025, 1, 31)}
# in the network 15.00 a visit; outside 90.00 for an emergency, and nothing else is covered
PLAN: dict[str, Any] = {
    "plan_code": "hmo",
    "name": "HMO",
    "referral_required": True,
    "terms": [
        {
            "start_date": date(2024, 1, 1),
            "referred_network_code": "in",
            "deductible": {"in": {}, "out": {}},
            "out_of_pocket": {"in": {"individual_amount": 4_000}, "out": {}},
            "cost_shares": [
                {"category": "office", "network_code": "in", "copay_amount": 1_500},
                {"category": "gym", "network_code": "in", "covered": False},
                {"category": "other", "network_code": "in", "coinsurance_basis_points": 2_000},
                {"category": "emergency", "network_code": "out", "copay_amount": 9_000},
                {"category": "other", "network_code": "out", "covered": False},
            ],
        }
    ],
}


def referral(number: str = "R1", limit: int | None = 2, **given: Any) -> Row:
    return {
        "referral_number": number,
        "member_id": "M1",
        "npi": DOCTOR,
        "status_code": "approved",
        "visit_limit": limit,
        **JANUARY,
        **given,
    }


def reference(*referrals: Row, **changes: Any) -> Reference:
    program = build.program(
        edits=("referral",),
        emergency={"places_of_service": ["23"]},
        referrals={"primary_care_taxonomies": ["207Q00000X"]},
        plans={"hmo": {**PLAN, **changes}},
    )
    return build.reference(program, referrals=referrals)


def visit(claim_id: int, day: int, **given: Any) -> Row:
    """A line of the doctor, outside the network, on that day of January."""
    return {
        "claim_id": claim_id,
        "plan_code": "hmo",
        "network_code": "out",
        "contract_id": None,
        "rendering_npi": DOCTOR,
        "service_from_date": date(2025, 1, day),
        **given,
    }


def decided(
    lines: Sequence[Row],
    referrals: Reference,
    claims: Sequence[Row] = (),
    findings: Sequence[Row] = (),
    before: pl.DataFrame | None = None,
) -> Batch:
    batch = model.night(lines, claims, findings)
    if before is not None:
        batch = batch.with_(referral_visits=before)
    shared = benefits(edits(batch, referrals), referrals)
    frames.ReferralVisitEntries.validate(shared.referral_visit_entries)
    settle(shared, referrals)  # asserts that what is owed is counted where it belongs
    return shared


def dispositions(batch: Batch) -> list[tuple[int, str, str | None]]:
    return fates(batch).claims.rows()


def entries(batch: Batch) -> list[tuple[Any, ...]]:
    return [
        (claim_id, number, day.day, count)
        for claim_id, number, day, count in batch.referral_visit_entries.rows()
    ]


def used(number: str = "R1", count: int = 1) -> pl.DataFrame:
    return build.frame(frames.ReferralVisits, [{"referral_number": number, "visit_count": count}])


def told(batch: Batch, claim_id: int) -> list[Any]:
    """The inputs of what the count found of a claim."""
    found = batch.findings.filter(claim_id=claim_id, disposition="pend", edit="referral")
    return [json.loads(inputs) for inputs in found["inputs"]]


# ---- counting --------------------------------------------------------------------------------


def test_visits_count_up_to_the_limit_in_order_of_receipt() -> None:
    lines = [visit(1, 20), visit(2, 6), visit(3, 7)]
    batch = decided(lines, reference(referral(limit=2)))
    assert dispositions(batch) == [(1, "paid", None), (2, "paid", None), (3, "pended", "AUREQ")]
    assert entries(batch) == [(1, "R1", 20, 1), (2, "R1", 6, 1)]
    assert told(batch, 3) == [
        {
            "because": "visits used up",
            "decision_date": "2025-01-07",
            "provider_number": DOCTOR,
            "visits_on_claim": 1,
            "referrals": [
                {
                    "referral_number": "R1",
                    "start_date": "2025-01-01",
                    "end_date": "2025-01-31",
                    "visit_limit": 2,
                    "visits_used": 2,
                }
            ],
        }
    ]


def test_receipt_decides_not_the_claims_number_nor_the_rows_order() -> None:
    claims = [{"claim_id": c, "receipt_number": 9 - c} for c in (1, 2, 3)]
    lines = [visit(c, 5 + c) for c in (1, 2, 3)]
    for order in (lines, lines[::-1]):
        batch = decided(order, reference(referral(limit=2)), claims)
        assert entries(batch) == [(2, "R1", 7, 1), (3, "R1", 8, 1)]


def test_the_lines_tell_which_visit_they_were() -> None:
    batch = decided([visit(1, 6), visit(1, 7), visit(1, 6)], reference(referral(limit=4)),
                    before=used(count=2))  # fmt: skip
    inputs = [json.loads(x) for x in batch.lines["benefit_inputs"]]
    assert [(i["referral_number"], i["visit"], i["visit_limit"]) for i in inputs] == [
        ("R1", 3, 4), ("R1", 4, 4), ("R1", 3, 4),
    ]  # fmt: skip
    assert [i["cost_share_network"] for i in inputs] == ["in"] * 3


def test_the_lines_of_one_day_are_one_visit() -> None:
    batch = decided([visit(1, 6), visit(1, 6), visit(1, 7)], reference(referral(limit=2)))
    assert dispositions(batch) == [(1, "paid", None)]
    assert entries(batch) == [(1, "R1", 6, 1), (1, "R1", 7, 1)]


def test_another_claim_or_another_provider_of_that_day_is_another_visit() -> None:
    practice = referral(limit=3, npi="2000000010")  # who bills for both
    lines = [visit(1, 6), visit(1, 6, rendering_npi=PARTNER), visit(2, 6), visit(3, 6)]
    batch = decided(lines, reference(practice))
    assert entries(batch) == [(1, "R1", 6, 2), (2, "R1", 6, 1)]
    assert dispositions(batch)[2] == (3, "pended", "AUREQ")


def test_a_claim_whose_second_visit_is_too_many_waits_whole_and_uses_nothing() -> None:
    lines = [visit(1, 6), visit(2, 7), visit(2, 8), visit(3, 9)]
    batch = decided(lines, reference(referral(limit=2)))
    assert dispositions(batch) == [(1, "paid", None), (2, "pended", "AUREQ"), (3, "paid", None)]
    assert entries(batch) == [(1, "R1", 6, 1), (3, "R1", 9, 1)]
    # one used before the claim, which asks for two of the one that is left
    [inputs] = told(batch, 2)
    assert (inputs["decision_date"], inputs["visits_on_claim"]) == ("2025-01-08", 2)
    assert inputs["referrals"][0]["visits_used"] == 1
    # nor does it owe or count money: 15.00 of claims 1 and 3 only
    assert batch.accumulator_entries.select("claim_id", "out_of_pocket_amount").rows() == [
        (1, 1_500), (3, 1_500),
    ]  # fmt: skip


def test_a_claim_that_waits_for_one_referral_uses_no_other() -> None:
    other = referral("R2", 5, npi=PARTNER)
    lines = [visit(1, 6), visit(1, 6, rendering_npi=PARTNER)]
    batch = decided(lines, reference(referral(limit=1), other), before=used())
    assert dispositions(batch) == [(1, "pended", "AUREQ")]
    assert entries(batch) == []


@pytest.mark.parametrize(
    "finding",
    [
        {"disposition": "pend", "pend_code": "DUPLICATE"},
        {"disposition": "deny", "line_number": 1},
        {"disposition": "deny"},
    ],
)
def test_what_is_pended_or_denied_uses_nothing(finding: Row) -> None:
    lines = [visit(1, 6), visit(2, 7)]
    batch = decided(
        lines,
        reference(referral(limit=1)),
        findings=[{"claim_id": 1, "edit_rank": 30, **finding}],
    )
    assert entries(batch) == [(2, "R1", 7, 1)]


def test_what_lacks_a_price_or_is_excluded_uses_nothing() -> None:
    lines = [visit(1, 6, allowed_amount=None), visit(2, 7, benefit_category="gym"), visit(3, 8)]
    batch = decided(lines, reference(referral(limit=1)))
    assert dispositions(batch) == [(1, "pended", "REFERENCE"), (2, "denied", None),
                                   (3, "paid", None)]  # fmt: skip
    assert entries(batch) == [(3, "R1", 8, 1)]


def test_a_visit_that_costs_the_member_nothing_is_one_too() -> None:
    free = visit(1, 6, charge_amount=0, allowed_amount=0)
    assert entries(decided([free], reference(referral()))) == [(1, "R1", 6, 1)]


def test_without_a_limit_nothing_is_counted() -> None:
    batch = decided([visit(1, 6), visit(2, 7)], reference(referral(limit=None)))
    assert dispositions(batch) == [(1, "paid", None), (2, "paid", None)]
    assert entries(batch) == []
    assert "visit" not in json.loads(batch.lines["benefit_inputs"][0])


def test_no_visits_at_all() -> None:
    assert dispositions(decided([visit(1, 6)], reference(referral(limit=0)))) == [
        (1, "pended", "AUREQ")
    ]


def test_a_second_referral_takes_over_where_the_first_is_used_up() -> None:
    longer = referral("R2", 1, end_date=date(2025, 6, 30))
    lines = [visit(c, 5 + c) for c in (1, 2, 3)]
    batch = decided(lines, reference(longer, referral(limit=1)))
    assert entries(batch) == [(1, "R1", 6, 1), (2, "R2", 7, 1)]
    assert dispositions(batch)[2] == (3, "pended", "AUREQ")
    [inputs] = told(batch, 3)
    assert [(r["referral_number"], r["visits_used"]) for r in inputs["referrals"]] == [
        ("R1", 1), ("R2", 1),
    ]  # fmt: skip
    unlimited = referral("R2", None, end_date=None)
    batch = decided(lines, reference(unlimited, referral(limit=1)))
    assert entries(batch) == [(1, "R1", 6, 1)]
    assert {d for _, d, _ in dispositions(batch)} == {"paid"}


def test_two_members_with_referrals_do_not_touch_each_other() -> None:
    claims: list[Row] = [
        {"claim_id": 1},
        {"claim_id": 2, "member_id": "M2", "family_id": "F2"},
    ]
    batch = decided(
        [visit(1, 6), visit(2, 6)],
        reference(referral(limit=1), referral("R2", 1, member_id="M2")),
        claims,
    )
    assert entries(batch) == [(1, "R1", 6, 1), (2, "R2", 6, 1)]


def test_an_emergency_uses_no_visit() -> None:
    lines = [visit(1, 6, place_of_service_code="23"), visit(2, 7)]
    assert entries(decided(lines, reference(referral(limit=1)))) == [(2, "R1", 7, 1)]


def test_two_nights_equal_one() -> None:
    lines = [visit(1, 6), visit(1, 7), visit(2, 8), visit(2, 9), visit(3, 10), visit(4, 11)]
    held = reference(referral(limit=3))
    whole = decided(lines, held)
    assert dispositions(whole) == [
        (1, "paid", None), (2, "pended", "AUREQ"), (3, "paid", None), (4, "pended", "AUREQ"),
    ]  # fmt: skip
    first = decided(lines[:4], held)
    carried = first.referral_visit_entries.group_by("referral_number").agg(
        pl.col("visit_count").sum()
    )
    assert carried.rows() == [("R1", 2)]
    # the claim that waits is asked again, before the later ones
    second = decided(lines[2:], held, before=carried)
    assert dispositions(second) == dispositions(whole)[1:]
    assert entries(first) + entries(second) == entries(whole)


VISIT = st.tuples(st.integers(6, 8), st.sampled_from([DOCTOR, PARTNER]))
NIGHT = st.lists(st.lists(VISIT, min_size=1, max_size=3), min_size=2, max_size=7)
REFERRALS = st.lists(
    st.tuples(
        st.sampled_from([DOCTOR, PARTNER, "2000000010"]),  # the last bills for both
        st.none() | st.integers(0, 3),
        st.integers(6, 9),
    ),
    min_size=1,
    max_size=3,
)


@pytest.mark.long
@settings(max_examples=40, deadline=None, derandomize=True)
@given(NIGHT, REFERRALS, st.integers(0, 7), st.randoms(use_true_random=False))
def test_limits_are_kept_however_the_claims_are_split_over_nights(
    night: list[list[tuple[int, str]]], granted: Any, cut: int, random: Any
) -> None:
    held = reference(
        *(
            referral(f"R{n}", limit, npi=npi, end_date=date(2025, 1, last))
            for n, (npi, limit, last) in enumerate(granted)
        )
    )
    lines = [
        visit(claim_id, day, rendering_npi=npi)
        for claim_id, visits in enumerate(night, start=1)
        for day, npi in visits
    ]
    whole = decided(lines, held)
    counts: dict[str, int] = {}
    for _, number, _, count in entries(whole):
        counts[number] = counts.get(number, 0) + count
    limits = {f"R{n}": limit for n, (_, limit, _) in enumerate(granted)}
    assert all(count <= (limits[number] or 0) for number, count in counts.items())
    paid = {claim_id for claim_id, fate, _ in dispositions(whole) if fate == "paid"}
    assert {claim_id for claim_id, *_ in entries(whole)} <= paid

    first = decided([line for line in lines if line["claim_id"] <= cut], held)
    waiting = {claim_id for claim_id, fate, _ in dispositions(first) if fate == "pended"}
    later = [line for line in lines if line["claim_id"] in waiting or line["claim_id"] > cut]
    random.shuffle(later)
    carried = first.referral_visit_entries.group_by("referral_number").agg(
        pl.col("visit_count").sum()
    )
    second = decided(later, held, before=carried)
    assert sorted(entries(first) + entries(second)) == entries(whole)
    settled = [d for d in dispositions(first) if d[0] not in waiting]
    assert sorted(settled + dispositions(second)) == dispositions(whole)


# ---- the share -------------------------------------------------------------------------------


def shares(batch: Batch) -> list[tuple[int, int]]:
    return batch.lines.select("coinsurance_amount", "copay_amount").rows()


def test_referred_care_shares_and_counts_as_in_the_network() -> None:
    lines = [visit(1, 6), visit(2, 7, benefit_category="surgery"), visit(3, 8, network_code="in")]
    batch = decided(lines, reference(referral(limit=None)))
    # office 15.00; surgery as other, 20 % of 100.00; then 40.00 - 35.00 = 5.00 are left of the
    # maximum, in the network like the others
    assert shares(batch) == [(0, 1_500), (2_000, 0), (0, 500)]
    assert batch.lines["share_network_code"].to_list() == ["in", "in", None]
    assert batch.lines["network_code"].to_list() == ["out", "out", "in"]
    assert set(batch.accumulator_entries["network_code"]) == {"in"}


def test_a_category_with_a_share_of_its_own_outside_keeps_it() -> None:
    line = visit(1, 6, place_of_service_code="23", benefit_category="emergency")
    batch = decided([line], reference())
    assert shares(batch) == [(0, 9_000)]
    assert batch.lines["share_network_code"].to_list() == [None]
    assert batch.accumulator_entries["network_code"].to_list() == ["out"]


def test_terms_that_name_no_network_share_as_any_care_outside() -> None:
    plain = {k: v for k, v in PLAN["terms"][0].items() if k != "referred_network_code"}
    batch = decided([visit(1, 6)], reference(referral(), terms=[plain]))
    assert dispositions(batch) == [(1, "denied", None)]  # other, outside: not covered


def test_care_outside_without_a_referral_waits_and_is_not_denied_as_excluded() -> None:
    batch = decided([visit(1, 6)], reference())
    assert dispositions(batch) == [(1, "pended", "AUREQ")]
    assert batch.findings["edit"].to_list() == ["referral"]


def test_what_the_plan_excludes_is_denied_with_or_without_a_referral() -> None:
    for referrals in ([], [referral()]):
        batch = decided([visit(1, 6, benefit_category="gym")], reference(*referrals))
        assert dispositions(batch) == [(1, "denied", None)]


def test_a_plan_of_another_program_is_another_plan() -> None:
    mine = reference().programs["test"]
    free = {**PLAN, "referral_required": False}
    other = build.program(program_code="other", edits=("referral",), plans={"hmo": free})
    both = build.reference(mine, other)
    claims: list[Row] = [{"claim_id": 1}, {"claim_id": 2, "program_code": "other"}]
    found = edits(model.night([visit(1, 6), visit(2, 6)], claims), both).findings
    assert found["claim_id"].to_list() == [1]


def test_primary_care_outside_is_not_covered() -> None:
    family = {"provider_id": "V77", "npi": DOCTOR, "taxonomy_code": "207Q00000X", "payee_id": "P9"}
    held = reference(referral())
    providers = build.frame(Providers, [{**build.TABLES["providers"], **family}])
    held = build.reference(*held.programs.values(), referrals=[referral()], providers=providers)
    assert dispositions(decided([visit(1, 6)], held)) == [(1, "denied", None)]


# ---- through the store -----------------------------------------------------------------------


def claim_file(path: Path, number: int, claims: Sequence[tuple[str, str]]) -> Path:
    """An 837 of one HMO member's office visits outside the network: claim, day (CCYYMMDD)."""
    segments = (CLAIMS / "out-of-network" / "claim.837").read_text("ascii").split("~")
    segments = [s.strip() for s in segments]
    at = next(i for i, s in enumerate(segments) if s.startswith("CLM*"))
    body = segments[2:at]
    for name, day in claims:
        body += [
            f"CLM*{name}*150***11:B:1*Y*A*Y*Y", "HI*ABK:I10",
            "NM1*82*1*UNDERBOUGH*PERCIVAL****XX*2310007010", "PRV*PE*PXC*207RC0000X",
            "LX*1", "SV1*HC:99213*150*UN*1***1", f"DTP*472*D8*{day}",
        ]  # fmt: skip
    control = f"{number:09d}"
    header = [
        segments[0].replace("000000010", control),
        segments[1].replace("*10*X", f"*{number}*X"),
    ]
    tail = [f"SE*{len(body) + 1}*0001", f"GE*1*{number}", f"IEA*1*{control}"]
    path.write_text("~\n".join([*header, *body, *tail]) + "~\n", "ascii")
    return path


def load(database: Path, folder: Path, *referrals: str) -> None:
    """The cases' reference data, the practice's doctors now cardiologists, and these referrals."""
    folder.mkdir()
    for path in REFERENCE.glob("*.csv"):
        text = path.read_text("utf-8")
        if path.name == "providers.csv":
            text = text.replace("207Q00000X,069931007", "207RC0000X,069931007")
        (folder / path.name).write_text(text, "utf-8")
    header = "referral_number,member_id,npi,visit_limit,status_code,start_date,end_date"
    (folder / "referrals.csv").write_text("\n".join([header, *referrals]) + "\n", "utf-8")
    engine = store.open_store(f"sqlite:///{database}")
    with engine.begin() as connection:
        load_reference(connection, folder)
    engine.dispose()


def test_over_nights_in_the_store(tmp_path: Path) -> None:
    database = tmp_path / "a.db"
    config = Config(db=f"sqlite:///{database}", out=tmp_path / "out")
    first = "R1,M1401,2310007010,2,approved,2025-11-01,2025-11-30"

    def night(number: int, day: date, claims: Sequence[tuple[str, str]]) -> dict[str, str]:
        path = claim_file(tmp_path / f"{number}.837", number, claims)
        run_night(Order((path,), config, day, day))
        with store.reading(store.open_store(config.db, create=False)) as connection:
            found = connection.exec_driver_sql(
                "SELECT patient_control_number, disposition, pend_codes, member_amount, "
                "paid_amount FROM claim"
            ).all()
        return {row[0]: " ".join(str(x) for x in row[1:] if x is not None) for row in found}

    load(database, tmp_path / "reference-1", first)
    # 99213 outside the network: 94.52 (fixtures/claims/out-of-network), less the copay of an
    # office visit in the network, 10.00
    three = [("A", "20251103"), ("B", "20251104"), ("C", "20251105")]
    assert night(1, date(2025, 11, 15), three) == {
        "A": "paid 1000 8452", "B": "paid 1000 8452", "C": "pended AUREQ 0 0",
    }  # fmt: skip
    assert night(2, date(2025, 11, 16), [("D", "20251106")]) == {
        "A": "paid 1000 8452", "B": "paid 1000 8452",
        "C": "pended AUREQ 0 0", "D": "pended AUREQ 0 0",
    }  # fmt: skip
    # a second referral frees the claim that was received first
    load(database, tmp_path / "reference-2", first, first.replace("R1", "R2").replace(",2,", ",1,"))
    assert night(3, date(2025, 11, 17), [("E", "20251107")]) == {
        "A": "paid 1000 8452", "B": "paid 1000 8452", "C": "paid 1000 8452",
        "D": "pended AUREQ 0 0", "E": "pended AUREQ 0 0",
    }  # fmt: skip
    with store.reading(store.open_store(config.db, create=False)) as connection:
        booked = connection.exec_driver_sql(
            "SELECT run_id, claim_id, referral_number, visit_date, visit_count FROM referral_visit"
        ).all()
        assert sorted(tuple(row) for row in booked) == [
            (1, 1, "R1", "2025-11-03", 1), (1, 2, "R1", "2025-11-04", 1),
            (3, 3, "R2", "2025-11-05", 1),
        ]  # fmt: skip
        counted = store.referral_visits(connection, ["R2", "R1", "R9"])
        assert counted.rows() == [("R1", 2), ("R2", 1)]
        line = explain(connection, "3").as_json()["lines"][0]
        assert line["benefit_inputs"].items() >= {
            ("referral_number", "R2"), ("visit", 1), ("visit_limit", 1),
        }  # fmt: skip
        *_, last = explain(connection, "4").as_json()["findings"]
        assert (last["edit"], last["pend_code"]) == ("referral", "AUREQ")
        assert last["inputs"]["because"] == "visits used up"
        assert [(r["visit_limit"], r["visits_used"]) for r in last["inputs"]["referrals"]] == [
            (2, 2), (1, 1),
        ]  # fmt: skip
