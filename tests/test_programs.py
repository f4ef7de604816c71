from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from adjudicator.programs import (
    DataFileError,
    load_adjustment_codes,
    load_benefit_categories,
    load_programs,
)
from adjudicator.reference import of_bill_types
from schemas.program import CostShare, Limits
from tests import build

SHARED = Path(__file__).parents[1].parent / "shared"
SHIPPED = Path(__file__).parents[1] / "schemas" / "programs"


# ---- what is shipped -------------------------------------------------------------------------


def test_programs_and_plans() -> None:
    programs = load_programs()
    assert {code: list(program.plans) for code, program in programs.items()} == {
        "carepartners": [
            "careadvantage-preferred-hmo",
            "careadvantage-prime-hmo",
            "carepartners-access-ppo",
        ],
        "ct-partnership": ["state-bluecare-pos"],
        "husky-primary-care": ["husky-a"],
    }


def test_who_administers_what_is_carved_out() -> None:
    """004:17 and 004:35; 000:639-670, where contacts, numbers and names stand in turn."""
    programs = load_programs()
    carved = {code: [c.administrator.split(",")[0] for c in p.carve_outs]
              for code, p in programs.items()}  # fmt: skip
    assert carved == {
        "carepartners": [],
        "ct-partnership": ["Cigna", "CVS Caremark"],
        "husky-primary-care": [
            "Connecticut Behavioral Health Partnership",
            "Connecticut Dental Health Partnership",
        ],
    }
    assert not programs["husky-primary-care"].plans["husky-a"].referral_required
    assert not any(p.hospice for code, p in programs.items() if code != "carepartners")


def test_carepartners_is_who_the_manual_says() -> None:
    program = load_programs()["carepartners"]
    payer = program.payer
    assert (payer.name, payer.address_line, payer.city, payer.state_code, payer.zip_code) == (
        "CarePartners of Connecticut", "PO Box 518", "Canton", "MA", "020210518",
    )  # fmt: skip
    assert [(limit.contracted, limit.days) for limit in program.filing_limits] == [
        (True, 60),
        (False, 366),
    ]
    assert program.out_of_network.rate_basis_points == 10_000


def test_figures_without_a_source_say_so() -> None:
    programs = load_programs()
    for plan in programs["carepartners"].plans.values():
        assert all(terms.illustrative for terms in plan.terms)
    for plan in programs["ct-partnership"].plans.values():
        assert not any(terms.illustrative for terms in plan.terms)


def test_ct_partnership_has_the_figures_of_its_source() -> None:
    program = load_programs()["ct-partnership"]
    assert program.filing_limits == ()
    (terms,) = program.plans["state-bluecare-pos"].terms
    assert terms.deductible == {
        "in": Limits(individual_amount=350_00, family_amount=1_400_00),
        "out": Limits(individual_amount=300_00, family_amount=900_00),
    }
    assert terms.out_of_pocket == {
        "in": Limits(individual_amount=2_000_00, family_amount=4_000_00),
        "out": Limits(individual_amount=2_300_00, family_amount=4_900_00),
    }
    shares = {(s.category, s.network_code): s for s in terms.cost_shares}

    def figures(category: str, network_code: str) -> tuple[int, int, bool]:
        s: CostShare = shares[category, network_code]  # type: ignore[index]
        return s.copay_amount, s.coinsurance_basis_points, s.deductible_applies

    copays = {"office_visit": 15_00, "urgent_care": 15_00, "acupuncture": 15_00,
              "preventive": 0, "emergency": 250_00, "eye_exam": 15_00,
              "mental_health": 15_00}  # fmt: skip
    for category, copay in copays.items():
        assert figures(category, "in") == (copay, 0, False)
    # nothing but the deductible of a household that doesn't comply
    assert terms.deductible_waived == ("in",)
    assert [(li.limit_code, li.network_codes, li.maximum, li.unit) for li in terms.limits] == [
        ("acupuncture", ("in", "out"), 20, "visit"), ("eye_exam", ("in", "out"), 1, "visit"),
        ("nutritional_counseling", ("in", "out"), 3, "visit"),
        ("inpatient_therapy", ("out",), 60, "day"), ("outpatient_therapy", ("out",), 30, "day"),
        ("speech_therapy_out", ("out",), 30, "visit"), ("speech_therapy_in", ("in",), 30, "visit"),
    ]  # fmt: skip
    free = ("chiropractic", "laboratory", "imaging", "high_cost_imaging", "inpatient", "other",
            "durable_medical_equipment", "foot_orthotics", "mental_health_facility")  # fmt: skip
    for category in free:
        assert figures(category, "in") == (0, 0, True)
    assert {key for key, s in shares.items() if s.waived_if_admitted} == {
        ("emergency", "in"), ("emergency", "out")
    }  # fmt: skip
    assert figures("emergency", "out") == (250_00, 0, False)
    assert figures("eye_exam", "out") == (0, 5_000, True)
    assert figures("laboratory", "out") == (0, 4_000, True)
    assert figures("other", "out") == (0, 2_000, True)


def test_every_plan_says_what_any_category_costs() -> None:
    """In both networks, on every day from 2020 on, with limits wherever something is owed."""
    for program in load_programs().values():
        for plan in program.plans.values():
            first, *_, last = sorted(plan.terms, key=lambda t: t.start_date) * 2
            assert first.start_date <= date(2020, 1, 1)
            assert last.end_date is None
            for terms in plan.terms:
                shares = {(s.category, s.network_code) for s in terms.cost_shares}
                assert {("other", "in"), ("other", "out")} <= shares
                assert {"in", "out"} == set(terms.deductible) == set(terms.out_of_pocket)


def test_an_hmo_covers_emergencies_anywhere_and_the_rest_in_its_network() -> None:
    for code in ("careadvantage-preferred-hmo", "careadvantage-prime-hmo"):
        plan = load_programs()["carepartners"].plans[code]
        assert not plan.out_of_network_covered
        out = {s.category: s.covered for s in plan.terms[0].cost_shares if s.network_code == "out"}
        assert out == {"emergency": True, "urgent_care": True, "ambulance": True,
                       "dialysis": True, "other": False}  # fmt: skip
        # and what a referral covers as in its network
        assert plan.referral_required
        assert plan.terms[0].referred_network_code == "in"


def test_who_needs_a_referral_is_told_by_codes_that_exist() -> None:
    programs = load_programs()
    required = {p.plan_code for program in programs.values() for p in program.plans.values()
                if p.referral_required}  # fmt: skip
    assert required == {"careadvantage-preferred-hmo", "careadvantage-prime-hmo"}
    terms = programs["carepartners"].referrals
    assert terms.transition_days == 90
    path = SHARED / "reference" / "tables" / "taxonomy.parquet"
    if not path.exists():
        pytest.skip("the published taxonomy is not here (../shared/reference)")
    published = pl.read_parquet(path)
    found = published.filter(pl.col("Code").is_in(terms.primary_care_taxonomies))
    assert found.height == len(terms.primary_care_taxonomies)
    assert set(found["Classification"]) == {
        "Family Medicine", "Internal Medicine", "General Practice", "Pediatrics",
        "Nurse Practitioner", "Clinic/Center",
    }  # fmt: skip
    # internal medicine's own fields are specialties
    cardiology = published.filter(pl.col("Specialization") == "Cardiovascular Disease")["Code"]
    assert not set(cardiology) & set(terms.primary_care_taxonomies)


def category(**line: str) -> str:
    """The category of a line, by the plainest reading of the rules."""
    line = {"claim_type_code": "P", **line}
    for rule in load_benefit_categories():
        conditions = (
            not rule.claim_type_code or line["claim_type_code"] == rule.claim_type_code,
            not rule.procedure_ranges
            or any(a <= line.get("procedure", "") <= b for a, b in rule.procedure_ranges),
            not rule.revenue_ranges
            or any(a <= line.get("revenue", "") <= b for a, b in rule.revenue_ranges),
            not rule.bill_types or line.get("bill_type") in rule.bill_types,
            not rule.places_of_service or line.get("place") in rule.places_of_service,
        )
        if all(conditions):
            return rule.category
    raise AssertionError("no rule took the line")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ({"procedure": "99213", "place": "11"}, "office_visit"),
        ({"procedure": "99213", "place": "20"}, "urgent_care"),
        ({"procedure": "99284", "place": "23"}, "emergency"),
        ({"procedure": "71046", "place": "23"}, "emergency"),
        ({"procedure": "99396", "place": "11"}, "preventive"),
        ({"procedure": "80053", "place": "81"}, "laboratory"),
        ({"procedure": "36415", "place": "11"}, "laboratory"),
        ({"procedure": "71046", "place": "11"}, "imaging"),
        ({"procedure": "70551", "place": "11"}, "high_cost_imaging"),
        ({"procedure": "97110", "place": "11"}, "physical_occupational_therapy"),
        ({"procedure": "92507", "place": "11"}, "speech_therapy"),
        ({"procedure": "98941", "place": "11"}, "chiropractic"),
        ({"procedure": "97802", "place": "11"}, "nutritional_counseling"),
        ({"procedure": "90834", "place": "11"}, "mental_health"),
        ({"procedure": "90834", "place": "53"}, "mental_health"),
        ({"procedure": "90834", "place": "22"}, "mental_health_facility"),
        ({"procedure": "90834", "place": "23"}, "emergency"),
        ({"claim_type_code": "I", "bill_type": "13", "revenue": "0914"}, "mental_health_facility"),
        (
            {"claim_type_code": "I", "bill_type": "13", "revenue": "0900", "procedure": "90834"},
            "mental_health_facility",
        ),
        ({"claim_type_code": "I", "bill_type": "11", "revenue": "0900"}, "inpatient"),
        ({"procedure": "90935", "place": "65"}, "dialysis"),
        ({"procedure": "E0601", "place": "12"}, "durable_medical_equipment"),
        ({"procedure": "L3020", "place": "12"}, "foot_orthotics"),
        ({"procedure": "J1885", "place": "11"}, "drugs"),
        ({"procedure": "A0427", "place": "41"}, "ambulance"),
        ({"procedure": "99223", "place": "21"}, "inpatient_professional"),
        ({"procedure": "29881", "place": "24"}, "outpatient_surgery"),
        ({"procedure": "11102", "place": "11"}, "other"),
        ({"claim_type_code": "I", "bill_type": "11", "revenue": "0450"}, "inpatient"),
        ({"claim_type_code": "I", "bill_type": "13", "revenue": "0450"}, "emergency"),
        ({"claim_type_code": "I", "bill_type": "13", "revenue": "0456"}, "urgent_care"),
        ({"claim_type_code": "I", "bill_type": "13", "revenue": "0360"}, "outpatient_surgery"),
        ({"claim_type_code": "I", "bill_type": "13", "revenue": "0300"}, "laboratory"),
        ({"claim_type_code": "I", "bill_type": "21", "revenue": "0120"}, "skilled_nursing"),
        ({"claim_type_code": "I", "bill_type": "13", "revenue": "0270"}, "other"),
    ],
)
def test_benefit_category(line: dict[str, str], expected: str) -> None:
    assert category(**line) == expected


def test_ranges_hold_codes_of_one_length_in_order() -> None:
    for rule in load_benefit_categories():
        for first, last in (*rule.procedure_ranges, *rule.revenue_ranges):
            assert len(first) == len(last)
            assert first <= last
        assert {len(first) for first, _ in rule.procedure_ranges} <= {5}
        assert {len(first) for first, _ in rule.revenue_ranges} <= {4}
        assert {len(code) for code in (*rule.bill_types, *rule.places_of_service)} <= {2}


def test_adjustment_codes_say_what_they_mean() -> None:
    codes = load_adjustment_codes()
    assert codes["18"].only_group == "OA"
    assert codes["96"].needs_remark
    assert codes["N130"].kind == "RARC"
    assert all(code.words for code in codes.values())


# ---- what is refused -------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(SHIPPED / "ct-partnership", tmp_path / "programs" / "ct-partnership")
    return tmp_path / "programs"


PROGRAM = Path("ct-partnership/program.yaml")
DAY = "2021-01-01"
START = "start_date: 2020-01-01"
PLAN = Path("ct-partnership/plans/state-bluecare-pos.yaml")


def replaced(old: str, new: str) -> Callable[[str], str]:
    def change(text: str) -> str:
        assert old in text
        return text.replace(old, new, 1)

    return change


def test_a_payers_own_folder(folder: Path) -> None:
    assert load_programs(folder)["ct-partnership"] == load_programs()["ct-partnership"]


LIMIT = "filing_limits: [{{start_date: {0}, days: 60, citation: {{document: '001', lines: [1, 1], phrase: x}}}}, {{start_date: {1}, days: 90, citation: {{document: '001', lines: [1, 1], phrase: x}}}}]\n"  # noqa: E501


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        (PROGRAM, replaced("number: CTPP1", "number: 17"),
         r"program\.yaml: payer\.number: input should be a valid string; correct it"),
        (PROGRAM, replaced("city:", "town:"),
         r"program\.yaml: payer\.city: field required \(and 1 more\); correct it"),
        (PROGRAM, replaced("  - coverage", "  - coverages"),
         r"program\.yaml: edits: no such edit: coverages; use correction, "),
        (PROGRAM, replaced("program_code: ct-partnership", "program_code: ct"),
         r"program\.yaml: program_code: is 'ct' under the name 'ct-partnership'; make"),
        (PROGRAM, replaced("name: CT Partnership Plan\n", "name: [\n"),
         r"program\.yaml: line \d+: .*; mend the YAML"),
        (PROGRAM, lambda text: text + "program_code: again\n",
         r"program\.yaml: line \d+: \['program_code'\] stands twice; keep one"),
        (PROGRAM, lambda text: "", r"program\.yaml: holds no mapping; write"),
        (PROGRAM, lambda text: text + "plans: {}\n", r"program\.yaml: plans: .*move it to plans/"),
        (PROGRAM, lambda text: text + LIMIT.format("2020-01-01", "2021-01-01"),
         r"program\.yaml: filing_limits: overlap: from 2021-01-01; end one before the next"),
        (PROGRAM, lambda text: text + LIMIT.format(f"2020-01-01, end_date: {DAY}", DAY),
         r"program\.yaml: filing_limits: overlap: from 2021-01-01; end one before the next"),
        (PROGRAM, replaced("[inpatient, inpatient_professional]", "[hospital]"),
         r"program\.yaml: referrals: no such category: hospital; use one of"),
        (PROGRAM, replaced("told_by:", "told_by:\n      benefit_categories: [teeth]"),
         r"program\.yaml: carve_outs, .*: no such category: teeth; use one of"),
        (PROGRAM, replaced("pend_code: AUREQ", "pend_code: AUREK"),
         r"program\.yaml: pends: no such pend: AUREK; use AUREQ, "),
        (PROGRAM, replaced("pend_code: COB", "pend_code: AUREQ"),
         r"program\.yaml: pends, AUREQ: overlap: from 2015-01-01; end one before the next"),
        (PROGRAM, replaced('carc: "288"', 'carc: "28"'),
         r"program\.yaml: pends, AUREQ: no such CARC: PR-28; use one of"),
        (PROGRAM, replaced('carc: "288"', "carc: N130"),
         r"program\.yaml: pends, AUREQ: no such CARC: PR-N130; use one of"),
        (PROGRAM, replaced('carc: "288"', 'carc: "96"'),
         r"program\.yaml: pends, AUREQ: this CARC needs a RARC that is no alert: PR-96; use"),
        (PROGRAM, replaced('carc: "288"', 'carc: "96", rarc: N549'),
         r"program\.yaml: pends, AUREQ: this CARC needs a RARC that is no alert: PR-96-N549"),
        (PROGRAM, replaced('carc: "288"', 'carc: "18"'),
         r"program\.yaml: pends, AUREQ: this CARC stands in another group: PR-18; use"),
        (PROGRAM, replaced("rarc: MA04", "rarc: MA4"),
         r"program\.yaml: pends, COB: no such RARC: CO-22-MA4; use one of"),
        (PROGRAM, replaced("carc: B7", 'carc: "50"'),
         r"program\.yaml: pends, REVIEW: two denials with one CARC: 50; keep one"),
        (PROGRAM, replaced("    judgement: true\n", ""),
         r"program\.yaml: pends\.0: .*days need a citation, or judgement: true; correct it"),
        (PROGRAM, replaced('    days: 30\n    judgement: true\n    denials:\n      - {group',
                           '    denials:\n      - {at_lapse: true, group'),
         r"program\.yaml: pends\.0: .*at_lapse without days after which it lapses; correct it"),
        (PLAN, replaced("services: [{category: acupuncture}]", "services: [{category: needles}]"),
         r"pos\.yaml: terms from 2020-01-01, limits: no such category: needles; use one of"),
        (PLAN, replaced("services: [{category: acupuncture}]", "services: []"),
         r"pos\.yaml: terms\.0\.limits\.0\.services: .*at least 1 item"),
        (PLAN, replaced("maximum: 20", "maximum: 0"),
         r"pos\.yaml: terms\.0\.limits\.0\.maximum: input should be greater than 0"),
        (PLAN, replaced("copay_amount: 1500", "exclusion_group_code: PR"),
         r"pos\.yaml: terms\.0\.cost_shares\.0: .*exclusion_group_code of what is covered"),
        (PLAN, replaced("category: chiropractic", "category: chiropractor"),
         r"pos\.yaml: terms from 2020-01-01: no such category: chiropractor; use one of"),
        (PLAN, replaced("category: acupuncture", "category: office_visit"),
         r"pos\.yaml: terms from 2020-01-01: two cost shares: \('office_visit', 'in'\); keep one"),
        (PLAN, replaced("copay_amount: 1500", "copay_amount: 15.5"),
         r"pos\.yaml: terms\.0\.cost_shares\.0\.copay_amount: input should be a valid integer"),
        (PLAN, replaced(START, START + "\n    end_date: 2019-12-31"),
         r"pos\.yaml: terms\.0: .*end_date lies before start_date"),
        (PLAN, replaced("plan_code: state-bluecare-pos", "plan_code: pos"),
         r"pos\.yaml: plan_code: is 'pos' under the name 'state-bluecare-pos'; make them"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_used(
    folder: Path, file: Path, change: Callable[[str], str], message: str
) -> None:
    path = folder / file
    path.write_text(change(path.read_text()))
    with pytest.raises(DataFileError, match=message) as raised:
        load_programs(folder)
    assert "\n" not in str(raised.value)


def test_limits_that_meet_or_bind_others_do_not_overlap(folder: Path) -> None:
    path = folder / PROGRAM
    met = LIMIT.format("2020-01-01, end_date: 2020-12-31", "2021-01-01")
    path.write_text(path.read_text() + met)
    assert len(load_programs(folder)["ct-partnership"].filing_limits) == 2
    apart = LIMIT.format("2020-01-01", "2021-01-01, contracted: false")
    path.write_text(path.read_text().replace(met, apart))
    assert len(load_programs(folder)["ct-partnership"].filing_limits) == 2


def test_terms_that_overlap(folder: Path) -> None:
    path = folder / PLAN
    text = path.read_text()
    terms = text[text.index("  - start_date") :]
    path.write_text(text + terms.replace("2020-01-01", "2025-01-01"))
    with pytest.raises(DataFileError, match=r"pos\.yaml: terms: overlap: from 2025-01-01; end"):
        load_programs(folder)
    ended = text.replace(
        "start_date: 2020-01-01", "start_date: 2020-01-01\n    end_date: 2024-12-31"
    )
    path.write_text(ended + terms.replace("2020-01-01", "2025-01-01"))
    assert len(load_programs(folder)["ct-partnership"].plans["state-bluecare-pos"].terms) == 2


def test_a_program_without_its_file(folder: Path) -> None:
    (folder / PROGRAM).unlink()
    with pytest.raises(DataFileError, match=r"program\.yaml: is missing; create it"):
        load_programs(folder)


def test_a_folder_without_programs(tmp_path: Path) -> None:
    with pytest.raises(DataFileError, match="no program; put each in a folder"):
        load_programs(tmp_path)


# ---- bill types ------------------------------------------------------------------------------


def test_bill_types_are_those_of_the_claims_program() -> None:
    programs = {
        "one": build.program(program_code="one", hospital_stay_bill_types=("11",)),
        "none": build.program(program_code="none", hospital_stay_bill_types=()),
    }
    claims = pl.DataFrame(
        {
            "claim_type_code": ["I", "I", "P", "I", "I"],
            "program_code": ["one", "one", "one", "none", "one"],
            "facility_code": ["11", "13", "11", "11", None],
        }
    )
    answers = claims.select(of_bill_types(programs, "hospital_stay_bill_types")).to_series()
    assert answers.to_list() == [True, False, False, False, False]
