from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from adjudicator.pipeline import Batch
from adjudicator.reference import Reference
from adjudicator.stages.identify import find_members, identify
from schemas import frames
from tests import build

MEMBER = ["claim_id", "member_id", "member_match_code", "family_id"]


def identified(
    claims: Sequence[build.Row], lines: Sequence[build.Row] | None = None, **tables: Any
) -> Batch:
    reference = tables.pop("reference", None) or build.reference(**tables)
    batch = identify(
        Batch(claims=build.received_claims(claims), lines=build.received_lines(lines or [{}])),
        reference,
    )
    frames.IdentifiedClaims.validate(batch.claims)
    frames.IdentifiedLines.validate(batch.lines)
    return batch


def claim(
    row: build.Row, lines: Sequence[build.Row] | None = None, **tables: Any
) -> dict[str, Any]:
    return identified([row], lines, **tables).claims.to_dicts()[0]


def line(row: build.Row, of: build.Row | None = None, **tables: Any) -> dict[str, Any]:
    return identified([of or {}], [row], **tables).lines.to_dicts()[0]


# ---- the member ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "number",
    [
        "S10000001",  # as enrolled
        "S1000000101",  # with its suffix
        "10000001",  # without its prefix
        "1000000101",
        "s-10000001-01",
        " S 1000 0001 01 ",
    ],
)
def test_a_card_number_with_or_without_prefix_and_suffix(number: str) -> None:
    found = claim({"subscriber_number": number})
    assert (found["member_id"], found["member_match_code"], found["family_id"]) == (
        "M1", "found", "F1",
    )  # fmt: skip


@pytest.mark.parametrize(
    "number",
    [
        "S10000002",
        "T10000001",  # another prefix is another card
        "S100000011",  # one digit is no suffix
        "S10000001012",  # nor are three
        "S1000000",
        "S0010000001",
        "S",
        "01",
        None,
    ],
)
def test_another_card_number(number: str | None) -> None:
    found = claim({"subscriber_number": number})
    assert (found["member_id"], found["member_match_code"], found["family_id"]) == (
        None, "none", None,
    )  # fmt: skip


def test_a_card_of_letters_alone_is_nobodys() -> None:
    for number in ("01", "ABC", "ABC01"):
        found = claim({"subscriber_number": number}, members=[{"card_number": "ABC"}])
        assert found["member_match_code"] == "none"


def test_a_card_enrolled_without_prefix() -> None:
    assert claim({}, members=[{"card_number": "10000001"}])["member_id"] == "M1"


def test_the_number_as_sent_comes_before_the_number_without_suffix() -> None:
    members = [
        {"member_id": "M1", "card_number": "S10000001"},
        {"member_id": "M2", "card_number": "S1000000101"},
    ]
    assert claim({"subscriber_number": "S1000000101"}, members=members)["member_id"] == "M2"
    assert claim({"subscriber_number": "S1000000102"}, members=members)["member_id"] == "M1"


@pytest.mark.parametrize("birth_date", [date(1950, 3, 5), None])
def test_another_birth_date(birth_date: date | None) -> None:
    assert claim({"patient_birth_date": birth_date})["member_match_code"] == "none"


@pytest.mark.parametrize(
    ("first", "last", "enrolled_last"),
    [("Nell", "ordway", "Ordway"), ("NELL", "O RD-WAY", "Ordway"), ("NELL", "DANGELO", "D'Angelo"),
     ("NELL", "PEÑA", "Peña")],
)  # fmt: skip
def test_names_without_case_and_punctuation(first: str, last: str, enrolled_last: str) -> None:
    found = claim(
        {"patient_first_name": first, "patient_last_name": last},
        members=[{"last_name": enrolled_last}],
    )
    assert found["member_match_code"] == "found"


@pytest.mark.parametrize(
    "name",
    [
        {"patient_first_name": "NELLY"},
        {"patient_last_name": "ORDWAYS"},
        {"patient_first_name": None},
    ],
)
def test_the_name_alone_differs(name: dict[str, Any]) -> None:
    found = claim(name)
    assert (found["member_id"], found["member_match_code"]) == ("M1", "name")


TWINS = [{}, {"member_id": "M2", "first_name": "Ned"}]


def test_twins_are_told_apart_by_first_name() -> None:
    ned = claim({"patient_first_name": "NED"}, members=TWINS)
    assert (ned["member_id"], ned["member_match_code"]) == ("M2", "found")
    other_last = claim({"patient_first_name": "NED", "patient_last_name": "X"}, members=TWINS)
    assert (other_last["member_id"], other_last["member_match_code"]) == ("M2", "name")


def test_twins_who_cannot_be_told_apart() -> None:
    for members in (TWINS, [{}, {"member_id": "M2", "last_name": "Other"}]):
        found = claim({"patient_first_name": members[0].get("first_name", "NOR")}, members=members)
        assert (found["member_id"], found["member_match_code"]) == (None, "several")
    both = claim({}, members=[{}, {"member_id": "M2"}])
    assert (both["member_id"], both["member_match_code"]) == (None, "several")


# ---- program, plan, coverage -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("day", "code"),
    [
        (date(2024, 2, 29), "before"),
        (date(2024, 3, 1), "covered"),
        (date(2024, 6, 30), "covered"),
        (date(2024, 7, 1), "gap"),
        (date(2024, 8, 31), "gap"),
        (date(2024, 9, 1), "covered"),
        (date(2024, 12, 31), "covered"),
        (date(2025, 1, 1), "after"),
    ],
)
def test_coverage_of_the_lines_date(day: date, code: str) -> None:
    spans = [
        {"start_date": date(2024, 9, 1), "end_date": date(2024, 12, 31), "plan_code": "hmo"},
        {"start_date": date(2024, 3, 1), "end_date": date(2024, 6, 30), "plan_code": "ppo"},
    ]
    found = line({"service_from_date": day}, coverage=spans)
    assert found["coverage_code"] == code
    plan = {3: "ppo", 6: "ppo", 9: "hmo", 12: "hmo"}.get(day.month) if code == "covered" else None
    assert found["plan_code"] == plan


def test_an_open_span_has_no_after() -> None:
    spans = [{"end_date": date(2024, 6, 30)}, {"start_date": date(2024, 9, 1)}]
    assert line({"service_from_date": date(2024, 8, 1)}, coverage=spans)["coverage_code"] == "gap"
    assert line({"service_from_date": date(2030, 1, 1)})["coverage_code"] == "covered"


def test_each_line_by_its_own_date() -> None:
    batch = identified(
        [{}],
        [{"service_from_date": date(2025, 1, 31)}, {"service_from_date": date(2025, 2, 1)}],
        coverage=[{"end_date": date(2025, 1, 31)}],
    )
    assert batch.lines["coverage_code"].to_list() == ["covered", "after"]


def test_a_member_without_any_coverage_is_before_it() -> None:
    assert line({}, coverage=[])["coverage_code"] == "before"


def test_no_coverage_is_told_of_an_unknown_member() -> None:
    found = line({}, {"subscriber_number": "S9"})
    assert found["coverage_code"] is None
    assert found["plan_code"] is None


def test_the_lines_date() -> None:
    dates = {
        "statement_from_date": date(2025, 1, 5),
        "statement_through_date": date(2025, 1, 8),
        "admission_date": date(2025, 1, 4),
    }
    undated = {"service_from_date": None, "service_through_date": None}
    assert line({}, dates)["decision_date"] == date(2025, 1, 10)
    assert line(undated, dates)["decision_date"] == date(2025, 1, 5)
    assert line(undated, {"admission_date": date(2025, 1, 4)})["decision_date"] == date(2025, 1, 4)
    without = line(undated)
    assert without["decision_date"] is None
    assert without["coverage_code"] is None


def stay(admission: date, facility_code: str = "11") -> build.Row:
    return {
        "claim_type_code": "I",
        "facility_code": facility_code,
        "admission_date": admission,
        "statement_from_date": date(2025, 1, 30),
        "statement_through_date": date(2025, 2, 4),
    }


def test_a_hospital_stay_has_the_coverage_of_its_admission() -> None:
    until = [{"end_date": date(2025, 1, 30), "plan_code": "hmo"}]
    later = {"service_from_date": date(2025, 2, 2)}
    found = line(later, stay(date(2025, 1, 30)), coverage=until)
    assert (found["coverage_code"], found["plan_code"]) == ("covered", "hmo")
    assert found["decision_date"] == date(2025, 2, 2)
    assert line(later, stay(date(2025, 1, 31)), coverage=until)["coverage_code"] == "after"
    # any other claim of the same dates is judged line by line
    assert line(later, stay(date(2025, 1, 30), "13"), coverage=until)["coverage_code"] == "after"
    professional = {**stay(date(2025, 1, 30)), "claim_type_code": "P"}
    assert line(later, professional, coverage=until)["coverage_code"] == "after"


def two_programs(**rows: Any) -> Reference:
    return build.reference(
        build.program(),
        build.program(program_code="second", receiver_numbers=("SECOND1",)),
        **rows,
    )


MOVED = [
    {"program_code": "test", "end_date": date(2024, 12, 31)},
    {"program_code": "second", "plan_code": "pos", "start_date": date(2025, 1, 1)},
]


@pytest.mark.parametrize(
    ("day", "code"), [(date(2024, 12, 31), "test"), (date(2025, 1, 1), "second")]
)
def test_the_program_of_the_first_line(day: date, code: str) -> None:
    reference = two_programs(coverage=MOVED)
    lines = [
        {"line_number": 2, "service_from_date": date(2025, 1, 5)},
        {"line_number": 1, "service_from_date": day},
    ]
    assert claim({}, lines, reference=reference)["program_code"] == code


def test_a_line_covered_in_another_program_is_not_covered_in_the_claims() -> None:
    lines = [
        {"service_from_date": date(2024, 12, 31)},
        {"service_from_date": date(2025, 1, 1)},
    ]
    batch = identified([{}], lines, reference=two_programs(coverage=MOVED))
    assert batch.lines["coverage_code"].to_list() == ["covered", "after"]
    assert batch.lines["plan_code"].to_list() == ["ppo", None]


def test_without_coverage_on_the_date_the_latest() -> None:
    reference = two_programs(coverage=MOVED)
    found = claim({}, [{"service_from_date": date(2019, 1, 1)}], reference=reference)
    assert found["program_code"] == "second"


def test_of_two_coverages_the_one_whose_payer_is_named() -> None:
    both = [{"program_code": "test"}, {"program_code": "second", "plan_code": "pos"}]
    for payer_number, code in (("TEST1", "test"), ("SECOND1", "second"), ("ELSE", "second")):
        found = claim({"payer_number": payer_number}, reference=two_programs(coverage=both))
        assert found["program_code"] == code


def test_an_unknown_member_has_the_program_whose_payer_is_named_else_the_first() -> None:
    for payer_number, code in (("TEST1", "test"), ("SECOND1", "second"), ("ELSE", "second")):
        row = {"subscriber_number": "S9", "payer_number": payer_number}
        assert claim(row, reference=two_programs())["program_code"] == code


def test_a_program_that_is_not_loaded() -> None:
    with pytest.raises(ValueError, match=r"coverage\.program_code: gone is not loaded; load"):
        claim({}, coverage=[{"program_code": "gone"}])
    # a coverage that tonight does not meet stops nobody
    rows = [{}, {"member_id": "M9", "program_code": "gone"}]
    assert claim({}, coverage=rows)["program_code"] == "test"


def test_no_program_at_all() -> None:
    empty = Reference(version="x", tables=build.reference().tables, programs={})
    with pytest.raises(ValueError, match="no program is loaded"):
        claim({}, reference=empty)


# ---- payee, contract -------------------------------------------------------------------------


def test_payee_and_provider() -> None:
    found = claim({})
    assert (found["payee_id"], found["provider_id"]) == ("P1", "V1")


@pytest.mark.parametrize("row", [{"billing_npi": "2000000028"}, {"billing_npi": None}])
def test_a_provider_who_is_not_on_file(row: dict[str, Any]) -> None:
    found = claim(row)
    assert (found["payee_id"], found["provider_id"]) == (None, None)


@pytest.mark.parametrize(
    ("start", "end", "payee"),
    [
        (date(2025, 1, 10), None, "P1"),
        (date(2025, 1, 11), None, None),
        (date(2020, 1, 1), date(2025, 1, 10), "P1"),
        (date(2020, 1, 1), date(2025, 1, 9), None),
    ],
)
def test_a_provider_in_force_on_the_claims_date(
    start: date, end: date | None, payee: str | None
) -> None:
    assert claim({}, providers=[{"start_date": start, "end_date": end}])["payee_id"] == payee


def test_several_providers_of_one_npi_are_told_apart_by_tax_number() -> None:
    providers = [{}, {"provider_id": "V2", "tax_number": "069990002", "payee_id": "P2"}]
    found = claim({"billing_tax_number": "06-9990002"}, providers=providers)
    assert (found["payee_id"], found["provider_id"]) == ("P2", "V2")
    neither = claim({"billing_tax_number": "069990003"}, providers=providers)
    assert (neither["payee_id"], neither["provider_id"]) == (None, None)


def test_one_provider_needs_no_tax_number() -> None:
    for tax_number in ("069990003", None):
        assert claim({"billing_tax_number": tax_number})["payee_id"] == "P1"


def test_several_providers_of_one_payee() -> None:
    found = claim({}, providers=[{"provider_id": "V3"}, {"provider_id": "V2"}])
    assert (found["payee_id"], found["provider_id"]) == ("P1", "V2")


@pytest.mark.parametrize(
    ("contract", "expected"),
    [
        ({}, ("C1", "in")),
        ({"network_code": "out"}, ("C1", "out")),
        ({"start_date": date(2025, 1, 10)}, ("C1", "in")),
        ({"start_date": date(2025, 1, 11)}, (None, "out")),
        ({"end_date": date(2025, 1, 10)}, ("C1", "in")),
        ({"end_date": date(2025, 1, 9)}, (None, "out")),
        ({"payee_id": "P2"}, (None, "out")),
        ({"program_code": "second"}, (None, "out")),
    ],
)
def test_the_contract_in_force_on_the_lines_date(
    contract: dict[str, Any], expected: tuple[str | None, str]
) -> None:
    found = line({}, contracts=[contract])
    assert (found["contract_id"], found["network_code"]) == expected


@pytest.mark.parametrize(
    ("networks", "expected"),
    [
        ([{"network_code": "out"}], "out"),
        ([{"network_code": "in"}], "in"),
        ([{"network_code": "out", "plan_code": "hmo"}], "in"),  # another plan's
        ([{"network_code": "out", "payee_id": "P2"}], "in"),
        ([{"network_code": "out", "program_code": "second"}], "in"),
        ([{"network_code": "out", "start_date": date(2025, 1, 10)}], "out"),
        ([{"network_code": "out", "start_date": date(2025, 1, 11)}], "in"),
        ([{"network_code": "out", "end_date": date(2025, 1, 10)}], "out"),
        ([{"network_code": "out", "end_date": date(2025, 1, 9)}], "in"),
    ],
)
def test_a_payees_place_in_one_plans_network(networks: list[build.Row], expected: str) -> None:
    of = {"start_date": date(2020, 1, 1), "payee_id": "P1", "program_code": "test"}
    rows = [{**of, "plan_code": "ppo", **row} for row in networks]
    found = line({}, networks=rows)
    assert (found["contract_id"], found["network_code"]) == ("C1", expected)


def test_a_payee_without_a_contract_may_stand_in_a_plans_network() -> None:
    row = {
        "start_date": date(2020, 1, 1),
        "payee_id": "P1",
        "program_code": "test",
        "plan_code": "ppo",
        "network_code": "in",
    }
    found = line({}, contracts=[], networks=[row])
    assert (found["contract_id"], found["network_code"]) == (None, "in")


# ---- the frames ------------------------------------------------------------------------------


def test_rows_keep_their_order_and_number() -> None:
    claims: list[build.Row] = [
        {"claim_id": 3},
        {"claim_id": 1, "subscriber_number": "S9"},
        {"claim_id": 2},
    ]
    lines = [
        {"claim_id": 2, "line_number": 2},
        {"claim_id": 1},
        {"claim_id": 3},
        {"claim_id": 2, "line_number": 1},
    ]
    batch = identified(claims, lines)
    assert batch.claims.select("claim_id", "member_id").rows() == [(3, "M1"), (1, None), (2, "M1")]
    assert batch.lines.select("claim_id", "line_number", "coverage_code").rows() == [
        (2, 2, "covered"), (1, 1, None), (3, 1, "covered"), (2, 1, "covered"),
    ]  # fmt: skip
    assert set(batch.claims.columns) == set(frames.IdentifiedClaims.column_names())
    assert set(batch.lines.columns) == set(frames.IdentifiedLines.column_names())


def test_identified_again_is_the_same() -> None:
    batch = identified([{}], [{}])
    again = identify(batch, build.reference())
    assert again.claims.equals(batch.claims)
    assert again.lines.equals(batch.lines)


def test_an_empty_night() -> None:
    batch = identify(
        Batch(claims=build.received_claims([]), lines=build.received_lines([])), build.reference()
    )
    assert batch.claims.is_empty()
    assert batch.lines.is_empty()


def test_members_that_were_found_before_are_not_looked_up_again() -> None:
    """With the rows of all claims and none else; without a claim that is let go, all the same."""
    sent = [{"subscriber_number": n} for n in ("S10000001", "none such", "10000001")]
    lines = [{"claim_id": n} for n in (1, 2, 3)]
    reference = build.reference()
    batch = Batch(claims=build.received_claims(sent), lines=build.received_lines(lines))
    found = find_members(batch.claims, reference.tables["members"])
    assert found["member_id"].to_list() == ["M1", None, "M1"]
    known = batch.with_(found_members=found)
    nobody = build.reference(members=[])
    for some in ([1, 2, 3], [2, 3], []):
        few = pl.Series(some, dtype=pl.Int64)
        expected = identify(batch.only(few), reference).claims
        assert_frame_equal(identify(known.only(few), reference).claims, expected)
        asked = identify(known.only(few), nobody).claims
        assert_frame_equal(asked.select(MEMBER), expected.select(MEMBER))
