"""Visits and days of a year: what counts to a plan's limits, in what order, and what is left."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adjudicator import store
from adjudicator.edits import edits
from adjudicator.explain import as_text, explain
from adjudicator.fate import fates
from adjudicator.night import Order, run_night
from adjudicator.pipeline import Batch
from adjudicator.programs import load_programs
from adjudicator.reference import Reference
from adjudicator.stages.benefits import benefits
from adjudicator.stages.settle import settle
from schemas import frames
from schemas.config import Config
from tests import build, model
from tests.case_tools import load_store, nights, run_case
from tests.model import Row
from tests.test_referral import DOCTOR, PLAN, referral

POS = load_programs()["ct-partnership"].plans["state-bluecare-pos"]
FIRST = date(2025, 1, 6)
PARTNER = "2000000085"


def shipped() -> Reference:
    """The shipped plan with its own limits."""
    return build.reference(build.program(edits=(), plans={POS.plan_code: POS}))


def reference(*limits: Row, **terms: Any) -> Reference:
    """A plan with these limits, that costs the member nothing."""
    dated = {
        "start_date": date(2024, 1, 1),
        "deductible": {},
        "out_of_pocket": {},
        "cost_shares": [
            {"category": "other", "network_code": network} for network in ("in", "out")
        ],
        "limits": list(limits),
        **terms,
    }
    plan = {"plan_code": "ppo", "name": "PPO", "terms": [dated]}
    return build.reference(build.program(edits=(), plans={"ppo": plan}))


def limit(maximum: int = 2, category: str = "office", **given: Any) -> Row:
    return {
        "limit_code": category,
        "services": [{"category": category}],
        "maximum": maximum,
        **given,
    }


def line(claim_id: int = 1, day: int = 0, **given: Any) -> Row:
    """An office visit so many days after the first."""
    return {"claim_id": claim_id, "service_from_date": FIRST + timedelta(days=day), **given}


def decided(
    lines: Sequence[Row],
    held: Reference,
    claims: Sequence[Row] = (),
    findings: Sequence[Row] = (),
    before: pl.DataFrame | None = None,
    diagnoses: Sequence[Row] = (),
) -> Batch:
    batch = model.night(lines, claims, findings)
    batch = batch.with_(
        diagnoses=build.frame(frames.Diagnoses, diagnoses, {"claim_id": 1, "sequence_number": 1,
                                                            "qualifier_code": "ABK"})
    )  # fmt: skip
    if before is not None:
        batch = batch.with_(benefit_uses=before)
    shared = benefits(edits(batch, held), held)
    frames.BenefitUseEntries.validate(shared.benefit_use_entries)
    settle(shared, held)
    return shared


def over(batch: Batch) -> list[tuple[int, int]]:
    """The lines for which nothing was left; each owed by the member (PR-119)."""
    found = batch.findings.filter(edit="plan_limit")
    assert set(found.select("disposition", "group_code", "carc").rows()) <= {("deny", "PR", "119")}
    return found.select("claim_id", "line_number").rows()


def uses(batch: Batch) -> list[tuple[int, str, date]]:
    return batch.benefit_use_entries.select("claim_id", "limit_code", "use_date").rows()


def before(*days: int, **given: Any) -> pl.DataFrame:
    rows = [
        {
            "member_id": "M1", "plan_code": "ppo", "limit_code": "office", "condition_code": "",
            "benefit_year_start_date": date(2025, 1, 1), "use_date": FIRST + timedelta(days=day),
            "provider_number": "2000000010", "use_count": 1, **given,
        }
        for day in days
    ]  # fmt: skip
    return build.frame(frames.BenefitUses, rows)


# ---- the shipped limits, both sides ----------------------------------------------------------


@pytest.mark.parametrize(
    ("category", "network", "maximum", "given"),
    [
        ("acupuncture", "in", 20, {}),
        ("acupuncture", "out", 20, {}),
        ("eye_exam", "in", 1, {}),
        ("eye_exam", "out", 1, {}),
        ("nutritional_counseling", "in", 3, {}),
        ("nutritional_counseling", "out", 3, {}),
        ("speech_therapy", "in", 30, {}),
        ("speech_therapy", "out", 30, {}),
        ("physical_occupational_therapy", "out", 30, {}),
        ("physical_occupational_therapy", "out", 60, {"place_of_service_code": "21"}),
        ("physical_occupational_therapy", "out", 60, {"place_of_service_code": "61"}),
    ],
)
def test_the_last_one_passes_and_the_next_is_the_members(
    category: str, network: str, maximum: int, given: Row
) -> None:
    lines = [
        line(
            1, n, plan_code=POS.plan_code, benefit_category=category, network_code=network, **given
        )
        for n in range(maximum + 1)
    ]
    batch = decided(lines, shipped())
    assert over(batch) == [(1, maximum + 1)]
    assert batch.benefit_use_entries["use_count"].to_list() == [1] * maximum
    [inputs] = [json.loads(x) for x in batch.findings["inputs"]]
    assert (inputs["limit_maximum"], inputs["used"]) == (maximum, maximum)
    assert inputs["benefit_year_start_date"] == "2025-01-01"
    told = json.loads(batch.lines["benefit_inputs"][maximum - 1])
    assert (told["limit_use"], told["limit_maximum"]) == (maximum, maximum)


@pytest.mark.parametrize(
    ("category", "network"),
    [("physical_occupational_therapy", "in"), ("chiropractic", "in"), ("office_visit", "out")],
)
def test_what_the_plan_does_not_limit(category: str, network: str) -> None:
    lines = [
        line(1, n, plan_code=POS.plan_code, benefit_category=category, network_code=network)
        for n in range(70)
    ]
    batch = decided(lines, shipped())
    assert over(batch) == []
    assert uses(batch) == []


def test_a_limit_of_both_networks_is_one_and_one_of_each_are_two() -> None:
    exams = [line(1, 0, benefit_category="eye_exam", network_code="in"),
             line(1, 9, benefit_category="eye_exam", network_code="out")]  # fmt: skip
    speech = [
        line(2, n, benefit_category="speech_therapy", network_code=network)
        for network in ("in", "out")
        for n in range(30)
    ]
    lines = [{**each, "plan_code": POS.plan_code} for each in (*exams, *speech)]
    assert over(decided(lines, shipped())) == [(1, 2)]


def test_speech_therapy_of_the_named_causes_is_not_limited_in_the_network() -> None:
    """30 visits for R47.89, a 31st for autism (F84.0), a 32nd for R47.89 again; outside the network
    the cause makes no difference (000:168-184)."""
    for network, expected in (("in", [(3, 1)]), ("out", [(2, 1), (3, 1)])):
        therapy = {"benefit_category": "speech_therapy", "plan_code": POS.plan_code,
                   "network_code": network}  # fmt: skip
        lines = [line(1, n, **therapy) for n in range(30)]
        lines += [line(2, 40, **therapy), line(3, 50, **therapy)]
        codes = {1: "R4789", 2: "F840", 3: "R4789"}
        diagnoses = [{"claim_id": c, "diagnosis_code": code} for c, code in codes.items()]
        assert over(decided(lines, shipped(), diagnoses=diagnoses)) == expected


def test_a_condition_is_the_first_diagnosis_the_line_points_to() -> None:
    therapy = {"benefit_category": "physical_occupational_therapy", "plan_code": POS.plan_code,
               "network_code": "out"}  # fmt: skip
    lines = [line(1, n, **therapy) for n in range(30)]
    lines += [
        line(2, 40, diagnosis_pointers="1", **therapy),  # M54.2: the same category, the 31st
        line(2, 41, diagnosis_pointers="2:1", **therapy),  # S83.511D: another condition
    ]
    diagnoses = [
        {"claim_id": 1, "diagnosis_code": "M5450"},
        {"claim_id": 2, "diagnosis_code": "M542"},
        {"claim_id": 2, "sequence_number": 2, "qualifier_code": "ABF", "diagnosis_code": "S83511D"},
    ]
    batch = decided(lines, shipped(), diagnoses=diagnoses)
    assert over(batch) == [(2, 1)]
    assert batch.benefit_use_entries["condition_code"].unique().sort().to_list() == ["M54", "S83"]
    [inputs] = [json.loads(x) for x in batch.findings["inputs"]]
    assert inputs["condition_code"] == "M54"


def test_of_an_institutional_claim_it_is_the_principal_diagnosis() -> None:
    therapy = {
        "benefit_category": "physical_occupational_therapy", "plan_code": POS.plan_code,
        "network_code": "out", "revenue_code": "0420", "diagnosis_pointers": None,
    }  # fmt: skip
    diagnoses = [
        {"diagnosis_code": "I10", "qualifier_code": "ABF"},
        {"diagnosis_code": "M5450", "sequence_number": 2},
    ]
    claims = [{"claim_id": 1, "claim_type_code": "I", "facility_code": "13"}]
    batch = decided([line(1, 0, **therapy)], shipped(), claims, diagnoses=diagnoses)
    assert batch.benefit_use_entries.select("condition_code", "provider_number").rows() == [
        ("M54", "2000000010")
    ]


# ---- what counts -----------------------------------------------------------------------------


def test_lines_and_claims_of_one_day_with_one_provider_are_one_visit() -> None:
    lines = [line(1, 0), line(1, 0), line(2, 0), line(3, 0, rendering_npi=PARTNER), line(4, 1)]
    batch = decided(lines, reference(limit(2)))
    assert over(batch) == [(4, 1)]
    # claim 2 tells of the same visit: a void of claim 1 leaves it counted
    assert uses(batch) == [(c, "office", FIRST) for c in (1, 2, 3)]


def test_a_day_is_a_day_with_whatever_provider() -> None:
    lines = [line(1, 0), line(2, 0, rendering_npi=PARTNER), line(3, 1), line(4, 2)]
    assert over(decided(lines, reference(limit(2, unit="day")))) == [(4, 1)]


def test_the_year_is_that_of_the_service() -> None:
    days = [date(2025, 12, 30), date(2025, 12, 31), date(2026, 1, 1)]
    lines = [{"claim_id": 1, "service_from_date": day} for day in days]
    batch = decided(lines, reference(limit(1)))
    assert over(batch) == [(1, 2)]
    assert batch.benefit_use_entries["benefit_year_start_date"].to_list() == [
        date(2025, 1, 1), date(2026, 1, 1),
    ]  # fmt: skip


def test_members_and_plans_are_counted_apart() -> None:
    claims = [{"claim_id": 2, "member_id": "M2"}]
    assert over(decided([line(1), line(2)], reference(limit(1)), claims)) == []


def test_terms_on_the_day_of_service_say_how_many() -> None:
    """One until January 7th, two from the 8th on: the counter goes on."""
    terms = [
        {"start_date": date(2024, 1, 1), "end_date": date(2025, 1, 7), "limits": [limit(1)]},
        {"start_date": date(2025, 1, 8), "limits": [limit(2)]},
    ]
    shares = {"deductible": {}, "out_of_pocket": {},
              "cost_shares": [{"category": "other", "network_code": "in"}]}  # fmt: skip
    plan = {"plan_code": "ppo", "name": "PPO", "terms": [{**t, **shares} for t in terms]}
    held = build.reference(build.program(edits=(), plans={"ppo": plan}))
    assert over(decided([line(1, n) for n in range(5)], held)) == [(1, 2), (1, 4), (1, 5)]


def test_the_first_limit_that_takes_a_line_counts_it() -> None:
    surgical = {"limit_code": "facility", "maximum": 1,
                "services": [{"category": "office", "places_of_service": ["22"]}]}  # fmt: skip
    lines = [
        line(1, 0, place_of_service_code="22"),
        line(1, 1),
        line(1, 2, place_of_service_code="22"),
    ]
    batch = decided(lines, reference(surgical, limit(1)))
    assert over(batch) == [(1, 3)]
    assert [code for _, code, _ in uses(batch)] == ["facility", "office"]


def test_limits_of_one_name_share_a_counter() -> None:
    """20 in the network and as many more as make 25 with those outside."""
    lines = [line(1, 0), line(1, 1, network_code="out"), line(1, 2), line(1, 3, network_code="out")]
    inside, outside = limit(2, network_codes=["in"]), limit(3, network_codes=["out"])
    assert over(decided(lines, reference(inside, outside))) == [(1, 3)]


def test_the_provider_may_bear_it() -> None:
    batch = decided([line(1, 0), line(1, 1)], reference(limit(1, group_code="CO")))
    assert batch.findings.select("line_number", "group_code", "carc").rows() == [(2, "CO", "119")]


@pytest.mark.parametrize(
    "finding",
    [
        {"disposition": "pend", "pend_code": "DUPLICATE"},
        {"disposition": "deny", "line_number": 1},
        {"disposition": "deny"},
    ],
)
def test_what_is_pended_or_denied_uses_nothing(finding: Row) -> None:
    found = [{"claim_id": 1, "edit_rank": 30, **finding}]
    batch = decided([line(1, 0), line(2, 1)], reference(limit(1)), findings=found)
    assert over(batch) == []
    assert uses(batch) == [(2, "office", FIRST + timedelta(days=1))]


def test_receipt_decides_not_the_day_of_service() -> None:
    claims = [{"claim_id": c, "receipt_number": 9 - c} for c in (1, 2, 3)]
    lines = [line(c, c) for c in (1, 2, 3)]
    for order in (lines, lines[::-1]):
        assert over(decided(order, reference(limit(2)), claims)) == [(1, 1)]


def test_what_earlier_nights_used_counts_and_what_a_void_gave_back_does_not() -> None:
    held = reference(limit(2))
    assert over(decided([line(1, 9)], held, before=before(1, 2))) == [(1, 1)]
    assert over(decided([line(1, 9)], held, before=before(1))) == []
    assert over(decided([line(1, 2)], held, before=before(1, 2))) == []  # that visit is counted
    gone = pl.concat([before(1), before(2, use_count=0)])
    assert over(decided([line(1, 9)], held, before=gone)) == []


def test_a_denied_line_costs_the_rest_of_its_claim_nothing() -> None:
    lines = [line(1, 0), line(1, 1), line(1, 2, benefit_category="gym")]
    batch = decided(lines, reference(limit(1)))
    assert fates(batch).claims.rows() == [(1, "paid", None)]
    assert fates(batch).lines["line_disposition"].to_list() == ["paid", "denied", "paid"]
    assert fates(batch).lines["carc"].to_list() == [None, "119", None]


# ---- beside a referral's visits --------------------------------------------------------------


def under_both(maximum: int, visits: int) -> Reference:
    [terms] = PLAN["terms"]
    plan = {**PLAN, "terms": [{**terms, "limits": [limit(maximum)]}]}
    program = build.program(edits=("referral",), plans={"hmo": plan})
    return build.reference(program, referrals=[referral(limit=visits)])


def visit(claim_id: int, day: int) -> Row:
    return line(claim_id, day, plan_code="hmo", network_code="out", contract_id=None,
                rendering_npi=DOCTOR)  # fmt: skip


def test_a_line_over_the_limit_uses_no_visit_of_a_referral() -> None:
    """One office visit a year, two under the referral: the second claim is denied and leaves the
    referral's second visit to nobody; it is not pended."""
    batch = decided([visit(1, 0), visit(2, 1)], under_both(maximum=1, visits=2))
    assert fates(batch).claims.rows() == [(1, "paid", None), (2, "denied", None)]
    assert batch.referral_visit_entries["claim_id"].to_list() == [1]


def test_a_claim_that_waits_for_a_visit_uses_nothing_of_the_limit() -> None:
    """Two office visits a year; the referral is for one. The second claim asks for two visits and
    waits: the third claim, in the network, finds the plan's second visit."""
    inside = line(3, 5, plan_code="hmo", network_code="in")
    batch = decided([visit(1, 0), visit(2, 1), visit(2, 2), inside], under_both(2, 1))
    # the second line of claim 2 is over the limit as well, as long as its first one counts
    assert over(batch) == [(2, 2)]
    assert fates(batch).claims.rows() == [
        (1, "paid", None), (2, "pended", "AUREQ"), (3, "paid", None),
    ]  # fmt: skip
    assert [c for c, *_ in uses(batch)] == [1, 3]


# ---- exclusions ------------------------------------------------------------------------------


@pytest.mark.parametrize("group_code", ["CO", "PR"])
def test_the_plan_says_who_bears_what_it_excludes(group_code: str) -> None:
    shares = [
        {"category": "gym", "network_code": "in", "covered": False,
         "exclusion_group_code": group_code},
        {"category": "other", "network_code": "in"},
    ]  # fmt: skip
    held = reference(cost_shares=shares)
    batch = decided([line(1, 0, benefit_category="gym"), line(1, 1)], held)
    assert batch.findings.select("line_number", "edit", "group_code", "carc", "rarc").rows() == [
        (1, "plan_exclusion", group_code, "96", "N130")
    ]


# ---- as it is told ---------------------------------------------------------------------------


def test_explain_tells_which_visit_it_was_and_which_was_too_many(tmp_path: Path) -> None:
    [first] = nights("plan-limits")
    load_store(tmp_path / "a.db")
    run_case(first, tmp_path)
    told = {}
    with store.reading(store.open_store(f"sqlite:///{tmp_path / 'a.db'}")) as connection:
        for claim_id in range(1, 16):
            story = explain(connection, f"S{claim_id}")
            number = story.claim["patient_control_number"]
            told[number] = " ".join(as_text(story).split())
            used = connection.exec_driver_sql(
                "SELECT limit_code, condition_code, count(*) FROM benefit_use "
                "GROUP BY limit_code, condition_code"
            ).all()
    assert "; visit 20 of 20 of acupuncture in 2025" in told["HL-ACU-20"]
    assert "; visit 20 of 20 of acupuncture in 2025" in told["HL-ACU-SAME"]
    assert 'source 000, line 34: "Acupuncture (20 visits per year)"' in told["HL-ACU-21"]
    assert (
        "plan_limit, deny PR-119: state-bluecare-pos pays for 20 visits of acupuncture in 2025; 20 "
        "were counted before 2025-10-13 came"
    ) in told["HL-ACU-21"]
    assert 'source 000, line 123: "Eye Exam (one per year)"' in told["HL-EYE-2"]
    assert "pays for one visit of eye exam in 2025; 1 was counted" in told["HL-EYE-2"]
    assert "30 days of outpatient therapy in 2025 for condition M54; 30 were" in told["HL-PT-31"]
    assert "; day 1 of 30 of outpatient therapy in 2025" in told["HL-PT-KNEE"]
    assert "of outpatient therapy" not in told["HL-PT-IN"]
    # ACU-SAME tells of a visit that ACU-20 told of: 20 + 1 rows
    assert sorted(used) == [
        ("acupuncture", "", 21), ("eye_exam", "", 1), ("inpatient_therapy", "M54", 1),
        ("nutritional_counseling", "", 3), ("outpatient_therapy", "M54", 30),
        ("outpatient_therapy", "S83", 1), ("speech_therapy_in", "", 30),
    ]  # fmt: skip


def test_the_next_night_knows_what_was_used_and_a_void_gives_it_back(tmp_path: Path) -> None:
    """The exam denied as the second of the year is paid once the first one's entry is reversed."""
    load_store(tmp_path / "a.db")
    [first] = nights("plan-limits")
    run_case(first, tmp_path)
    engine = store.open_store(f"sqlite:///{tmp_path / 'a.db'}")
    with store.reading(engine) as connection:
        known = store.benefit_uses(connection, ["M8701"])
    assert known.filter(limit_code="eye_exam")["use_date"].to_list() == [date(2025, 3, 4)]
    text = first.claims_files[0].read_text("ascii").replace("000000871", "000000971")

    def again(number: str, day: str) -> str:
        """That night's second exam, sent anew under another number and for another day."""
        at = text.index("CLM*HL-EYE-2*")
        claim = text[at : text.index("CLM*", at + 4)]
        claim = claim.replace("HL-EYE-2", number).replace("20250909", day)
        head, body = text[: text.index("CLM*")], claim
        count = (head + body).count("~") - 2 + 1  # from ST to SE
        tail = text[text.index("SE*") :].split("~", 1)[1]
        path = tmp_path / f"{number}.837"
        path.write_text(f"{head}{body}SE*{count}*0001~{tail}".replace("000000971", day + "0"))
        config = Config(db=f"sqlite:///{tmp_path / 'a.db'}", out=tmp_path / "out")
        run_night(Order((path,), config, date(2025, 12, int(day[-2:])), date(2025, 12, 1)))
        with store.reading(engine) as connection:
            [row] = connection.exec_driver_sql(
                f"SELECT claim_number FROM claim WHERE patient_control_number = '{number}'"
            ).all()
            return str(explain(connection, row[0]).claim["disposition"])

    assert again("HL-EYE-3", "20251002") == "denied"
    with engine.begin() as connection:  # as a void will write it
        [claim_id] = connection.exec_driver_sql(
            "SELECT claim_id FROM benefit_use WHERE limit_code = 'eye_exam'"
        ).scalars()
        given_back = known.filter(limit_code="eye_exam").with_columns(
            run_id=pl.lit(1), claim_id=pl.lit(claim_id), use_count=pl.lit(-1)
        )
        store.insert_frame(connection, "benefit_use", given_back)
    assert again("HL-EYE-4", "20251003") == "paid"
    assert again("HL-EYE-5", "20251006") == "denied"


# ---- properties ------------------------------------------------------------------------------

DRAWN = st.lists(
    st.lists(st.tuples(st.integers(0, 6), st.sampled_from(["2000000010", PARTNER])), max_size=3),
    min_size=1,
    max_size=7,
)


@pytest.mark.long
@settings(max_examples=60, deadline=None)
@given(night=DRAWN, maximum=st.integers(1, 5), cut=st.integers(0, 7))
def test_two_nights_in_order_of_receipt_are_one(
    night: list[list[tuple[int, str]]], maximum: int, cut: int
) -> None:
    held = reference(limit(maximum))
    lines = [
        line(claim_id, day, rendering_npi=npi)
        for claim_id, visits in enumerate(night, start=1)
        for day, npi in visits
    ]
    whole = decided(lines, held)
    counted = {row[-3:-1] for row in whole.benefit_use_entries.rows()}
    assert len(counted) <= maximum
    # exactly the visits that the first come first served, by a plain count
    seen: set[tuple[date, str]] = set()
    expected = []
    for n, each in enumerate(lines):
        use = (each["service_from_date"], each["rendering_npi"])
        if use not in seen and len(seen) == maximum:
            number = sum(other["claim_id"] == each["claim_id"] for other in lines[: n + 1])
            expected.append((each["claim_id"], number))
        else:
            seen.add(use)
    assert over(whole) == expected

    first, later = ([x for x in lines if (x["claim_id"] <= cut) == half] for half in (True, False))
    one = decided(first, held)
    key = [c for c in frames.BenefitUses.column_names() if c != "use_count"]
    carried = one.benefit_use_entries.group_by(key).agg(pl.col("use_count").sum())
    two = decided(later, held, before=carried)
    assert over(one) + over(two) == expected
    assert one.benefit_use_entries.rows() + two.benefit_use_entries.rows() == (
        whole.benefit_use_entries.rows()
    )
