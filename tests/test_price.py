"""Prices worked by hand, both sides of every date, and what pends for want of a value.

The figures are Medicare's of October 2025: 99213 has work 1.30, practice expense 1.35 (0.57 in a
facility), malpractice 0.10; Connecticut's GPCI are 1.022, 1.091, 1.207; the factor is 32.3465.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import dataframely as dy
import polars as pl
import pytest

from adjudicator.cms import read_cms_file
from adjudicator.pipeline import Batch
from adjudicator.reference import Reference
from adjudicator.stages.price import FACILITY_PLACES, NONFACILITY_PLACES, price
from schemas import frames
from schemas import reference as tables
from schemas.program import BenefitCategoryRule, OutOfNetworkPricing, Payer, Program

SHARED = Path(__file__).parents[1].parent / "shared"
CMS = SHARED / "reference" / "cms"
needs_cms = pytest.mark.skipif(not CMS.is_dir(), reason="../shared/reference/cms is not here")

Row = Mapping[str, Any]
DAY = date(2025, 10, 15)
QUARTER = {"start_date": date(2025, 10, 1), "end_date": date(2025, 12, 31)}
YEAR = {"start_date": date(2025, 1, 1), "end_date": date(2025, 12, 31)}
OFFICE_FEE = 9_452
# 1.30 x 1.022 = 1.3286; 1.35 x 1.091 = 1.47285; 0.10 x 1.207 = 0.1207; together 2.92215
# 2.92215 x 32.3465 = 94.5213..., so 94.52
FACILITY_FEE = 6_700
# 0.57 x 1.091 = 0.62187; 1.3286 + 0.62187 + 0.1207 = 2.07117; x 32.3465 = 66.9951..., so 67.00


def frame(schema: type[dy.Schema], rows: Sequence[Row], defaults: Row) -> pl.DataFrame:
    columns = frames.empty(schema).schema
    for row in rows:
        assert row.keys() <= columns.keys(), row.keys() - columns.keys()
    return pl.DataFrame(
        {c: [{**defaults, **row}.get(c) for row in rows] for c in columns}, schema=columns
    )


def value(code: str, *units: int, **more: Any) -> Row:
    names = (
        "work_units",
        "nonfacility_expense_units",
        "facility_expense_units",
        "malpractice_units",
    )
    row = dict(zip(names, units, strict=True))
    return {"procedure_code": code, "status_code": "A", "conversion_factor": 323_465} | row | more


VALUES = [
    value("99213", 130, 135, 57, 10),
    value("71046", 22, 77, 77, 2),
    value("71046", 22, 8, 8, 1, modifier_code="26"),
    value("71046", 0, 69, 69, 1, modifier_code="TC"),
    value("45378", 326, 600, 300, 45),
    value("45378", 163, 322, 90, 22, modifier_code="53"),
    value("70496", 175, 656, 656, 11, nonfacility_cap_expense_units=611,
          facility_cap_expense_units=611, cap_malpractice_units=11),
    value("70450", 85, 235, 235, 5, nonfacility_cap_expense_units=358,
          facility_cap_expense_units=358, cap_malpractice_units=6),
    value("94760", 0, 10, 10, 1, status_code="T"),
    value("99361", 0, 0, 0, 0, status_code="B"),
    value("99078", 100, 50, 50, 5, status_code="N"),
    value("90901", 0, 0, 0, 0, status_code="R"),
    value("90902", 41, 40, 30, 2, status_code="R"),
]  # fmt: skip
CONTRACTS: list[Row] = [
    {"contract_id": "AT110", "rate_basis_points": 11_000, "lesser_of_charge": True},
    {"contract_id": "FULL", "rate_basis_points": 11_000, "lesser_of_charge": False},
    {"contract_id": "SILENT", "rate_basis_points": 11_000},
    {"contract_id": "NORATE"},
    {"contract_id": "FEES", "pricing_method_code": "fee_table", "fee_table_code": "F1"},
    {"contract_id": "NOFEES", "pricing_method_code": "fee_table"},
    {"contract_id": "CASES", "pricing_method_code": "case_rate"},
    {
        "contract_id": "CHARGE",
        "pricing_method_code": "percent_of_charge",
        "rate_basis_points": 4_550,
    },
    {
        "contract_id": "MORE",
        "pricing_method_code": "percent_of_charge",
        "rate_basis_points": 12_000,
        "lesser_of_charge": False,
    },
    {"contract_id": "NOPART", "pricing_method_code": "percent_of_charge", "rate_basis_points": 0},
    {
        "contract_id": "DAYS",
        "pricing_method_code": "per_diem",
        "fee_table_code": "F2",
        "lesser_of_charge": False,
    },
    {
        "contract_id": "DAYSLESS",
        "pricing_method_code": "per_diem",
        "fee_table_code": "F2",
        "lesser_of_charge": True,
    },
    {"contract_id": "NODAYS", "pricing_method_code": "per_diem"},
    {"contract_id": "SPRING", "rate_basis_points": 10_000, "end_date": date(2025, 10, 14)},
]
FEES: list[Row] = [
    {"procedure_code": "99213", "fee_amount": 8_000},
    {"procedure_code": "71046", "fee_amount": 4_000},
    {"procedure_code": "71046", "fee_amount": 1_500, "modifier_code": "26"},
    {"procedure_code": "71046", "fee_amount": 2_500, "modifier_code": "TC"},
    {"procedure_code": "0120", "fee_amount": 150_000},
    {"procedure_code": "G0008", "fee_amount": 9_999_999_999},
    {"procedure_code": "99214", "fee_amount": 9_000, "end_date": date(2025, 10, 15)},
    {"procedure_code": "99215", "fee_amount": 9_500, "start_date": date(2025, 10, 15)},
    # a day in a room, and in intensive care until the 15th and after it
    {"fee_table_code": "F2", "procedure_code": "0120", "fee_amount": 210_000},
    {
        "fee_table_code": "F2",
        "procedure_code": "0200",
        "fee_amount": 480_000,
        "end_date": date(2025, 10, 15),
    },
    {
        "fee_table_code": "F2",
        "procedure_code": "0200",
        "fee_amount": 500_000,
        "start_date": date(2025, 10, 16),
    },
    {"fee_table_code": "F2", "procedure_code": "0120", "fee_amount": 1, "modifier_code": "26"},
]
PAYER = Payer(
    name="Test Payer", number="TEST1", tax_number="069990009", address_line="1 Way",
    city="Hartford", state_code="CT", zip_code="06103", contact_name="Desk",
    contact_phone="8605550100",
)  # fmt: skip


def program(code: str, rate: int) -> Program:
    pricing = OutOfNetworkPricing(rate_basis_points=rate)
    return Program(
        program_code=code, name=code, payer=PAYER, receiver_numbers=(), edits=(),
        out_of_network=pricing,
    )  # fmt: skip


def reference(*rules: BenefitCategoryRule, **replaced: pl.DataFrame) -> Reference:
    held = {name: frames.empty(schema) for name, schema in tables.TABLES.items()}
    held["physician_fee_values"] = frame(tables.PhysicianFeeValues, VALUES, QUARTER)
    held["geographic_cost_indexes"] = frame(
        tables.GeographicCostIndexes,
        [{"work_index": 1_022, "expense_index": 1_091, "malpractice_index": 1_207}],
        YEAR | {"carrier_number": "13102", "locality_number": "00"},
    )
    held["zip_localities"] = frame(
        tables.ZipLocalities,
        [
            {"zip_code": "06103", "carrier_number": "13102"},
            {"zip_code": "00901", "carrier_number": "09202"},  # no GPCI here
        ],
        QUARTER | {"state_code": "CT", "locality_number": "00"},
    )
    held["contracts"] = frame(
        tables.Contracts,
        CONTRACTS,
        YEAR
        | {
            "payee_id": "P1",
            "program_code": "test",
            "network_code": "in",
            "pricing_method_code": "percent_of_medicare",
        },
    )
    held["fees"] = frame(tables.Fees, FEES, YEAR | {"fee_table_code": "F1"})
    return Reference(
        version="test",
        tables=held | replaced,
        programs={"test": program("test", 10_000), "cheap": program("cheap", 9_500)},
        benefit_categories=rules,
    )


CLAIM = {
    "claim_type_code": "P",
    "source_format_code": "837P",
    "received_date": date(2025, 11, 3),
    "program_code": "test",
    "member_id": "M1",
    "member_match_code": "found",
    "facility_code": "11",
    "facility_zip_code": "061031234",
    "billing_npi": "2000000010",
    "receipt_number": 1,
}
LINE = {
    "procedure_qualifier_code": "HC",
    "procedure_code": "99213",
    "charge_amount": 100_000,
    "unit_basis_code": "UN",
    "unit_quantity": 1_000,
    "place_of_service_code": "11",
    "network_code": "out",
    "decision_date": DAY,
}


def batch(*lines: Row, findings: Sequence[Row] = (), history: Sequence[Row] = ()) -> Batch:
    """A claim a line, numbered from 1, unless the line says otherwise; claim columns start @."""
    claims, rows = {}, []
    for number, line in enumerate(lines, start=1):
        own = {"claim_id": number, "line_number": 1} | {
            k: v for k, v in line.items() if not k.startswith("@")
        }
        rows.append(own)
        claims[own["claim_id"]] = {"claim_id": own["claim_id"]} | {
            k[1:]: v for k, v in line.items() if k.startswith("@")
        }
    return Batch(
        claims=frame(frames.IdentifiedClaims, list(claims.values()), CLAIM),
        lines=frame(frames.IdentifiedLines, rows, LINE),
        findings=frame(frames.Findings, findings, {"edit": "some_edit", "edit_rank": 5}),
        history=frame(frames.HistoryLines, history, {"line_number": 1}),
    )


def allowed(*lines: Row, ref: Reference | None = None, **more: Any) -> list[int | None]:
    priced = price(batch(*lines, **more), ref or reference())
    frames.PricedLines.validate(priced.lines)
    return priced.lines["allowed_amount"].to_list()


def missing(line: Row, ref: Reference | None = None, **more: Any) -> list[dict[str, Any]]:
    """What the first line lacks, after holding its pend to the contract."""
    priced = price(batch(line, **more), ref or reference())
    frames.PricedLines.validate(priced.lines)
    frames.Findings.validate(priced.findings)
    assert priced.lines["allowed_amount"].to_list() == [None]
    assert priced.lines["pricing_inputs"].to_list() == [None]
    (finding,) = priced.findings.to_dicts()
    assert finding | {"inputs": None} == {
        "claim_id": 1,
        "line_number": 1,
        "edit": "missing_reference",
        "edit_rank": 900,
        "disposition": "pend",
        "group_code": None,
        "carc": None,
        "rarc": None,
        "pend_code": "REFERENCE",
        "status_code": None,
        "inputs": None,
    }
    items: list[dict[str, Any]] = json.loads(finding["inputs"])["missing"]
    return items


def lacks(line: Row, ref: Reference | None = None, **more: Any) -> tuple[str, dict[str, Any]]:
    """Table and key of the one thing the line lacks, on the line's day."""
    (item,) = missing(line, ref, **more)
    day = line.get("decision_date", DAY)
    assert item["date"] == (day and day.isoformat())
    assert item["reason"]
    return item["table"], item["key"]


# ---- Medicare's fee by hand --------------------------------------------------------------------


def test_office_and_facility() -> None:
    assert allowed({}, {"place_of_service_code": "22"}) == [OFFICE_FEE, FACILITY_FEE]


def test_every_place_of_service_has_its_rate() -> None:
    places = [*FACILITY_PLACES, *NONFACILITY_PLACES]
    assert len(places) == len(set(places))
    for code in ("02", "19", "21", "23", "24", "26", "31", "34", "41", "42", "51", "53", "61"):
        assert code in FACILITY_PLACES
    for code in ("10", "11", "12", "20", "32", "49", "50", "81"):
        assert code in NONFACILITY_PLACES
    fees = allowed(*({"place_of_service_code": place} for place in places))
    assert fees == [FACILITY_FEE] * len(FACILITY_PLACES) + [OFFICE_FEE] * len(NONFACILITY_PLACES)


@needs_cms
def test_places_are_those_of_cms() -> None:
    table = pl.read_parquet(SHARED / "reference" / "tables" / "place_of_service.parquet")
    by_type = {
        kind: tuple(table.filter(pos_type=kind)["pos_code"].sort())
        for kind in ("Facility", "Non-Facility")
    }
    assert by_type == {"Facility": FACILITY_PLACES, "Non-Facility": NONFACILITY_PLACES}


def test_rate_and_units_are_rounded_once() -> None:
    # 94.52 x 110 % = 103.972: 103.97. Two units: 94.52 x 2 x 110 % = 207.944: 207.94, the same
    # as twice 103.97; but three: 311.916 is 311.92, where three times 103.97 would be 311.91.
    contract = {"contract_id": "AT110", "network_code": "in"}
    assert allowed(
        contract,
        contract | {"unit_quantity": 2_000},
        contract | {"unit_quantity": 3_000},
        {"unit_quantity": 2_000},
        {"unit_quantity": 1_500},  # 94.52 x 1.5 = 141.78
    ) == [10_397, 20_794, 31_192, 18_904, 14_178]


def test_the_fee_of_one_unit_is_rounded_before_it_is_multiplied() -> None:
    # 94.5213... x 1000 would be 94,521.3; Medicare's fee is 94.52, so 94,520.00
    assert allowed({"unit_quantity": 1_000_000, "charge_amount": 10**9}) == [9_452_000]


def test_out_of_network_pays_the_rate_of_the_program() -> None:
    # 94.52 x 95 % = 89.794
    assert allowed({"@program_code": "cheap"}, {"@program_code": "test"}) == [8_979, OFFICE_FEE]


def test_component_modifiers_pick_their_own_values() -> None:
    # whole: 0.22 x 1.022 = 0.22484; 0.77 x 1.091 = 0.84007; 0.02 x 1.207 = 0.02414
    #   1.08905 x 32.3465 = 35.2269...: 35.23
    # 26: 0.22484 + 0.08 x 1.091 (0.08728) + 0.01 x 1.207 (0.01207) = 0.32419 x 32.3465
    #   = 10.4864...: 10.49
    # TC: 0.69 x 1.091 = 0.75279 + 0.01207 = 0.76486 x 32.3465 = 24.7405...: 24.74
    image = {"procedure_code": "71046"}
    assert allowed(
        image,
        image | {"modifier_codes": "26"},
        image | {"modifier_codes": "59:RT:26"},  # whatever its place
        image | {"modifier_codes": "26:26"},  # said twice
        image | {"modifier_codes": "TC"},
        image | {"modifier_codes": "RT:59"},  # these change nothing
        image | {"modifier_codes": ""},
    ) == [3_523, 1_049, 1_049, 1_049, 2_474, 3_523, 3_523]


def test_a_procedure_broken_off() -> None:
    # 53: 1.63 x 1.022 = 1.66586; 3.22 x 1.091 = 3.51302; 0.22 x 1.207 = 0.26554
    #   5.44442 x 32.3465 = 176.1079...: 176.11
    assert allowed({"procedure_code": "45378", "modifier_codes": "53"}) == [17_611]


def test_imaging_is_held_to_the_hospital_amount() -> None:
    # 70496: schedule 1.75 x 1.022 = 1.7885; 6.56 x 1.091 = 7.15696; 0.11 x 1.207 = 0.13277
    #   9.07823 x 32.3465 = 293.6489...; with 6.11: 6.66601; 8.58728 x 32.3465 = 277.7684...
    # 70450: schedule 0.85 x 1.022 = 0.8687; 2.35 x 1.091 = 2.56385; 0.05 x 1.207 = 0.06035
    #   3.4929 x 32.3465 = 112.9830...; the hospital's 3.58 is more, so it doesn't bind
    assert allowed({"procedure_code": "70496"}, {"procedure_code": "70450"}) == [27_777, 11_298]


def test_restricted_coverage_with_values_is_paid() -> None:
    # 90902: 0.41 x 1.022 = 0.41902; 0.40 x 1.091 = 0.4364; 0.02 x 1.207 = 0.02414
    #   0.87956 x 32.3465 = 28.4506...: 28.45
    assert allowed({"procedure_code": "90902"}) == [2_845]


# ---- fee tables --------------------------------------------------------------------------------

BY_TABLE = {"contract_id": "FEES", "network_code": "in"}


def test_fee_table() -> None:
    assert allowed(
        BY_TABLE,
        BY_TABLE | {"unit_quantity": 3_000},  # 80.00 x 3
        BY_TABLE | {"unit_quantity": 333},  # 80.00 x 0.333 = 26.64
        BY_TABLE | {"procedure_code": "71046"},
        BY_TABLE | {"procedure_code": "71046", "modifier_codes": "59:26"},
        BY_TABLE | {"procedure_code": "71046", "modifier_codes": "TC:26"},  # the first with a fee
        BY_TABLE | {"procedure_code": "71046", "modifier_codes": "RT:59"},  # none has: without
        BY_TABLE | {"place_of_service_code": None, "@facility_zip_code": None},  # not needed
    ) == [8_000, 24_000, 2_664, 4_000, 1_500, 2_500, 4_000, 8_000]


def test_fee_table_of_an_institution() -> None:
    room = {
        "@claim_type_code": "I",
        "revenue_code": "0120",
        "procedure_code": None,
        "unit_basis_code": "DA",
        "unit_quantity": 3_000,
        "charge_amount": 900_000,
    }
    # a procedure goes before the revenue code, and a fee of the revenue code doesn't stand in
    assert allowed(
        BY_TABLE | room,  # 1,500.00 x 3
        BY_TABLE | room | {"procedure_code": "99213", "unit_basis_code": "UN"},
        BY_TABLE | room | {"procedure_code": "99499"},
    ) == [450_000, 24_000, None]


def test_a_percentage_modifier_does_not_stop_a_fee_table() -> None:
    # the contract's table names the modifiers its fees depend on; 80 isn't one of them
    assert allowed(BY_TABLE | {"modifier_codes": "80"}) == [8_000]


# ---- percent of the charge ---------------------------------------------------------------------


def test_percent_of_charge() -> None:
    # 45.5 %: of 1,000.00 455.00; of 0.33 0.15015; of 1.10 0.5005, up to 0.50; of 0.01 nothing
    line = {"contract_id": "CHARGE", "unit_basis_code": "MJ", "unit_quantity": None}
    amounts = (100_000, 33, 110, 111, 1)  # of 1.11 0.50505, up to 0.51
    assert allowed(*(line | {"charge_amount": a} for a in amounts)) == [45_500, 15, 50, 51, 0]


def test_percent_of_charge_above_the_charge() -> None:
    # 120 % of 50.00
    assert allowed({"contract_id": "MORE", "charge_amount": 5_000}) == [6_000]


def test_the_figures_of_a_percent_of_charge() -> None:
    priced = price(batch({"contract_id": "CHARGE"}), reference()).lines
    assert priced["pricing_method_code"].to_list() == ["percent_of_charge"]
    assert json.loads(priced["pricing_inputs"][0]) == {
        "decision_date": "2025-10-15",
        "priced_amount": 45_500,
        "lesser_of_charge": True,
        "rate_basis_points": 4_550,
    }


# ---- per diem ----------------------------------------------------------------------------------

STAY = {
    "claim_id": 1,
    "contract_id": "DAYS",
    "procedure_code": None,
    "place_of_service_code": None,
    "@claim_type_code": "I",
    "@facility_code": "11",
    "@statement_from_date": DAY,
    "@statement_through_date": date(2025, 10, 18),
    "@admission_date": DAY,
}


def stay(*lines: Row, **claim: Any) -> list[dict[str, Any]]:
    """A stay from the 15th to the 18th: three days, the day of discharge isn't counted."""
    of_claim = {f"@{name}": value for name, value in claim.items()}
    return [{**STAY, "line_number": n, **line, **of_claim} for n, line in enumerate(lines, start=1)]


def room(days: int | None, revenue_code: str = "0120", **more: Any) -> dict[str, Any]:
    quantity = None if days is None else days * 1_000
    return {
        "revenue_code": revenue_code, "unit_basis_code": "DA", "unit_quantity": quantity, **more
    }  # fmt: skip


PHARMACY: dict[str, Any] = {"revenue_code": "0250", "charge_amount": 90_000}


def test_days_times_the_daily_rate_and_the_rest_of_the_stay_is_packaged() -> None:
    lines = stay(room(3, charge_amount=450_000), PHARMACY, PHARMACY | {"procedure_code": "71046"})
    priced = price(batch(*lines), reference()).lines
    # 3 x 2,100.00, more than the room's charge: the rate is for the whole stay
    assert priced.select("allowed_amount", "pricing_method_code").rows() == [
        (630_000, "per_diem"), (0, "packaged"), (0, "packaged")
    ]  # fmt: skip
    assert json.loads(priced["pricing_inputs"][0]) == {
        "decision_date": "2025-10-15",
        "priced_amount": 630_000,
        "lesser_of_charge": False,
        "fee_table_code": "F2",
        "fee_amount": 210_000,
        "room_days": 3,
        "stay_days": 3,
        "stay_charge_amount": 630_000,  # 4,500.00 + 900.00 + 900.00
    }


def test_each_kind_of_room_has_its_rate_on_its_day() -> None:
    # a day of intensive care at 4,800.00, two in a room at 2,100.00; the day after at 5,000.00
    early = stay(room(1, "0200"), room(2))
    day = date(2025, 10, 16)
    late = stay(room(1, "0200"), room(2), statement_from_date=day, admission_date=day,
                statement_through_date=date(2025, 10, 19))  # fmt: skip
    late = [line | {"claim_id": 2, "decision_date": day} for line in late]
    assert allowed(*early, *late) == [480_000, 420_000, 500_000, 420_000]


@pytest.mark.parametrize(
    ("first", "last", "admission", "days"),
    [
        (15, 18, 15, 3),
        (15, 15, 15, 1),  # in and out on one day
        (15, 16, 15, 1),
        (12, 18, 15, 3),  # services before admission stand on the claim of the stay
        (15, 18, 12, 3),  # a claim of the second part of a stay
        (15, 18, None, 3),
    ],
)
def test_the_days_are_those_of_the_stay(
    first: int, last: int, admission: int | None, days: int
) -> None:
    dates = {
        "statement_from_date": date(2025, 10, first),
        "statement_through_date": date(2025, 10, last),
        "admission_date": admission and date(2025, 10, admission),
    }
    assert allowed(*stay(room(days), **dates)) == [210_000 * days]
    for wrong in (days - 1, days + 1):
        if wrong:
            assert allowed(*stay(room(wrong), **dates)) == [None]


def test_days_on_leave_are_days_of_the_stay_and_paid_nothing() -> None:
    lines = stay(room(2), room(1, "0183", charge_amount=30_000))
    priced = price(batch(*lines), reference()).lines
    assert priced.select("allowed_amount", "pricing_method_code").rows() == [
        (420_000, "per_diem"), (0, "packaged")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("charges", "expected"),
    [
        # of 3 x 2,100.00 = 6,300.00 and all that is charged the lesser
        ((450_000, 180_000), [630_000, 0]),
        ((450_000, 179_999), [629_999, 0]),
        ((450_000, 180_001), [630_000, 0]),
        ((900_000, 0), [630_000, 0]),
    ],
)
def test_the_lesser_is_of_the_whole_stay(charges: tuple[int, int], expected: list[int]) -> None:
    rooms, rest = charges
    lines = stay(room(3, charge_amount=rooms), PHARMACY | {"charge_amount": rest})
    assert allowed(*(line | {"contract_id": "DAYSLESS"} for line in lines)) == expected


def test_charges_below_the_price_are_shared_out_by_it() -> None:
    # 4,800.00 + 2 x 2,100.00 = 9,000.00 against 5,000.00 charged: 4,800/9,000 of it 2,666.666…,
    # up to 2,666.67; the rest, 2,333.33
    lines = stay(room(1, "0200", charge_amount=200_000), PHARMACY | {"charge_amount": 100_000},
                 room(2, charge_amount=200_000))  # fmt: skip
    lines = [line | {"contract_id": "DAYSLESS"} for line in lines]
    assert allowed(*lines) == [266_667, 0, 233_333]
    assert allowed(*reversed(lines)) == [233_333, 0, 266_667]


def test_the_largest_charges_are_shared_out_without_wrapping() -> None:
    most = 9_999_999_999
    rates = [{"procedure_code": "0210", "fee_amount": most, "fee_table_code": "F2"}]
    lines = stay(room(1, "0210", charge_amount=5_000_000_000),
                 room(1, "0210", charge_amount=4_999_999_999),
                 statement_through_date=date(2025, 10, 17))  # fmt: skip
    # half of the 99,999,999.99 charged each, half a cent up on the first
    ref = reference(fees=frame(tables.Fees, rates, YEAR))
    assert allowed(*(line | {"contract_id": "DAYSLESS"} for line in lines), ref=ref) == [
        5_000_000_000, 4_999_999_999
    ]  # fmt: skip


def test_what_a_denied_line_charges_is_not_the_stays() -> None:
    denied = [{"claim_id": 1, "line_number": 2, "disposition": "deny"}]
    lines = stay(room(3, charge_amount=450_000), PHARMACY | {"charge_amount": 900_000})
    lines = [line | {"contract_id": "DAYSLESS"} for line in lines]
    assert allowed(*lines, findings=denied) == [450_000, None]
    # the days are counted though their line is denied: what they would have paid for isn't missing
    denied = [{"claim_id": 1, "line_number": 1, "disposition": "deny"}]
    assert allowed(*lines, findings=denied) == [None, 0]


def test_a_stay_that_no_daily_rate_can_price_pends() -> None:
    ref = reference()

    def pends(*lines: Row) -> list[tuple[int, list[str]]]:
        priced = price(batch(*lines), ref)
        assert priced.lines.filter(pl.col("allowed_amount") > 0).is_empty()
        return [
            (row["line_number"], [m["reason"] for m in json.loads(row["inputs"])["missing"]])
            for row in priced.findings.to_dicts()
        ]

    no_room = ["the claim has no line of room and board (revenue code 0100 to 0219)"]
    other_days = ["the days of room and board are not those of the stay"]
    no_rate = ["no row in force"]
    assert pends(*stay(PHARMACY, PHARMACY)) == [(1, no_room), (2, no_room)]
    assert pends(*stay(room(2), PHARMACY)) == [(1, other_days)]
    assert pends(*stay(room(3), statement_through_date=None)) == [(1, other_days)]
    half = room(3) | {"unit_quantity": 2_500}
    assert pends(*stay(half)) == [(1, other_days)]
    # the other half in another room: 2.5 x 2,100.00 and 0.5 x 2,100.00
    assert allowed(*stay(half, half | {"unit_quantity": 500}), ref=ref) == [525_000, 105_000]
    assert pends(*stay(room(3, "0130"), PHARMACY)) == [(1, no_rate)]
    assert pends(*stay(room(3) | {"unit_basis_code": "MJ"})) == [
        (1, ["not a number of units counted as UN or DA"])
    ]
    assert pends(*stay(room(3) | {"contract_id": "NODAYS"})) == [
        (1, ["the contract names no fee table"])
    ]
    assert pends({"contract_id": "DAYS"}) == [
        (1, ["a daily rate prices the stays of institutions only"])
    ]


def test_every_revenue_code_of_room_and_board() -> None:
    for code, counts in (("0099", False), ("0100", True), ("0219", True), ("0220", False)):
        rates = [{"procedure_code": code, "fee_amount": 100_000, "fee_table_code": "F2"}]
        ref = reference(fees=frame(tables.Fees, rates, YEAR))
        expected = [300_000] if counts else [None]
        assert allowed(*stay(room(3, code)), ref=ref) == expected


# ---- capitation --------------------------------------------------------------------------------

PREPAID: dict[str, Any] = {"contract_id": "FEES", "network_code": "in", "@payee_id": "P1"}


def capitation(*rows: Row, groups: Sequence[Row] = (), **more: pl.DataFrame) -> Reference:
    defaults = YEAR | {"payee_id": "P1", "program_code": "test"}
    member = YEAR | {"member_id": "M1", "provider_id": "V1"}
    return reference(
        BenefitCategoryRule(category="office", procedure_ranges=(("99213", "99213"),)),
        BenefitCategoryRule(category="other"),
        capitation=frame(tables.Capitation, rows, defaults),
        primary_care=frame(tables.PrimaryCare, groups, member),
        **more,
    )


@pytest.mark.parametrize(
    ("row", "covered"),
    [
        ({}, True),
        ({"payee_id": "P2"}, False),
        ({"program_code": "cheap"}, False),
        ({"benefit_category": "office"}, True),
        ({"benefit_category": "other"}, False),
        ({"medical_group_id": "G1"}, True),
        ({"medical_group_id": "G2"}, False),
        ({"start_date": DAY}, True),
        ({"start_date": date(2025, 10, 16)}, False),
        ({"end_date": DAY}, True),
        ({"end_date": date(2025, 10, 14)}, False),
        ({"end_date": None}, True),
    ],
)
def test_what_a_monthly_payment_covers(row: Row, covered: bool) -> None:
    groups = [{"medical_group_id": "G1"}]
    priced = price(batch(PREPAID), capitation(row, groups=groups)).lines
    assert priced["allowed_amount"].to_list() == [8_000]  # for the record, by the fee table
    assert priced["pricing_method_code"].to_list() == ["capitated" if covered else "fee_table"]


def test_the_group_is_of_the_members_primary_care_provider_that_day() -> None:
    spans = [
        {"medical_group_id": "G1", "end_date": date(2025, 10, 14)},
        {"medical_group_id": "G2", "start_date": date(2025, 10, 15)},
    ]
    ref = capitation({"medical_group_id": "G1"}, groups=spans)
    lines = [PREPAID | {"decision_date": date(2025, 10, d)} for d in (14, 15)]
    lines.append(PREPAID | {"decision_date": date(2025, 10, 14), "@member_id": "M2"})
    codes = price(batch(*lines), ref).lines["pricing_method_code"].to_list()
    assert codes == ["capitated", "fee_table", "fee_table"]


def test_two_rows_that_cover_a_line_are_one() -> None:
    both = capitation({}, {"benefit_category": "office"})
    assert allowed(PREPAID, PREPAID, ref=both) == [8_000, 8_000]


def test_a_capitated_line_is_allowed_its_charge_at_most_and_pends_for_no_price() -> None:
    lines = [
        PREPAID | {"charge_amount": 7_999},
        PREPAID | {"charge_amount": 8_001},
        PREPAID | {"procedure_code": "99499", "charge_amount": 1_234},  # in no fee table
        PREPAID | {"contract_id": "GONE", "charge_amount": 1_234},
        PREPAID | {"contract_id": "FULL", "charge_amount": 100},  # 103.97 without the lesser
    ]
    priced = price(batch(*lines), capitation({}))
    assert priced.findings.is_empty()
    assert priced.lines["allowed_amount"].to_list() == [7_999, 8_000, 1_234, 1_234, 100]
    assert set(priced.lines["pricing_method_code"]) == {"capitated"}
    by = [json.loads(told)["priced_by"] for told in priced.lines["pricing_inputs"]]
    assert by == ["fee_table", "fee_table", "charge", "charge", "percent_of_medicare"]
    assert json.loads(priced.lines["pricing_inputs"][1])["fee_amount"] == 8_000
    assert json.loads(priced.lines["pricing_inputs"][2]) == {"priced_by": "charge"}


def test_a_line_beside_a_capitated_one_still_needs_its_price() -> None:
    lines = [PREPAID, PREPAID | {"claim_id": 1, "line_number": 2, "procedure_code": "99499"}]
    priced = price(batch(*lines), capitation({"benefit_category": "office"}))
    assert priced.lines["pricing_method_code"].to_list() == ["capitated", "fee_table"]
    assert priced.findings.select("line_number", "pend_code").rows() == [(2, "REFERENCE")]


def test_a_stay_under_capitation() -> None:
    lines = stay(room(3, charge_amount=450_000), PHARMACY, payee_id="P1")
    priced = price(batch(*lines), capitation({})).lines
    assert priced.select("allowed_amount", "pricing_method_code").rows() == [
        (450_000, "capitated"), (0, "capitated")
    ]  # fmt: skip


# ---- lesser of billed and allowed --------------------------------------------------------------


@pytest.mark.parametrize(
    ("contract", "at_101_00", "at_103_97", "at_105_00"),
    [
        ("AT110", 10_100, 10_397, 10_397),
        ("SILENT", 10_100, 10_397, 10_397),  # says nothing: the lesser
        ("FULL", 10_397, 10_397, 10_397),
    ],
)
def test_lesser_of_charge(contract: str, at_101_00: int, at_103_97: int, at_105_00: int) -> None:
    line = {"contract_id": contract}
    assert allowed(
        line | {"charge_amount": 10_100},
        line | {"charge_amount": 10_397},
        line | {"charge_amount": 10_500},
    ) == [at_101_00, at_103_97, at_105_00]


def test_out_of_network_never_pays_more_than_the_charge() -> None:
    assert allowed({"charge_amount": 9_451}, {"charge_amount": 9_453}) == [9_451, OFFICE_FEE]


# ---- dates: the first and the last day in force, and those beside them --------------------------


@pytest.mark.parametrize(
    ("day", "fee"),
    [
        (date(2025, 9, 30), None),
        (date(2025, 10, 1), OFFICE_FEE),
        (date(2025, 12, 31), OFFICE_FEE),
        (date(2026, 1, 1), None),
    ],
)
def test_relative_values_hold_for_their_quarter(day: date, fee: int | None) -> None:
    # ZIP codes and GPCI loaded with no end: only the values decide
    open_ended = {
        name: reference().tables[name].with_columns(
            start_date=pl.date(2020, 1, 1), end_date=pl.lit(None, dtype=pl.Date)
        )
        for name in ("zip_localities", "geographic_cost_indexes")
    }  # fmt: skip
    ref = reference(**open_ended)
    assert allowed({"decision_date": day}, ref=ref) == [fee]
    if fee is None:
        key = {"procedure_code": "99213", "modifier_code": ""}
        assert lacks({"decision_date": day}, ref) == ("physician_fee_values", key)


def test_everything_out_of_force_is_named_at_once() -> None:
    items = missing({"decision_date": date(2026, 1, 1)})
    assert [(item["table"], item["date"]) for item in items] == [
        ("physician_fee_values", "2026-01-01"),
        ("zip_localities", "2026-01-01"),
    ]


def test_an_older_quarter_is_used_on_its_own_days_only() -> None:
    older = frame(
        tables.PhysicianFeeValues,
        [
            value("99213", 100, 100, 50, 10, start_date=date(2025, 7, 1),
                  end_date=date(2025, 9, 30)),
            value("99213", 130, 135, 57, 10),
        ],
        QUARTER,
    )  # fmt: skip
    zips = reference().tables["zip_localities"].with_columns(start_date=pl.date(2025, 1, 1))
    ref = reference(physician_fee_values=older, zip_localities=zips)
    # 1.022 + 1.091 + 0.1207 = 2.2337 x 32.3465 = 72.2523...: 72.25
    assert allowed(
        {"decision_date": date(2025, 9, 30)},
        {"decision_date": date(2025, 10, 1)},
        {"decision_date": date(2025, 6, 30)},
        ref=ref,
    ) == [7_225, OFFICE_FEE, None]


def test_a_contract_and_a_fee_end_on_their_last_day() -> None:
    last = {"contract_id": "SPRING", "decision_date": date(2025, 10, 14)}
    after = {"contract_id": "SPRING", "decision_date": date(2025, 10, 15)}
    assert allowed(last) == [OFFICE_FEE]
    assert lacks(after) == ("contracts", {"contract_id": "SPRING"})
    old, new = BY_TABLE | {"procedure_code": "99214"}, BY_TABLE | {"procedure_code": "99215"}
    days = [date(2025, 10, day) for day in (14, 15, 16)]
    assert allowed(*(old | {"decision_date": day} for day in days)) == [9_000, 9_000, None]
    assert allowed(*(new | {"decision_date": day} for day in days)) == [None, 9_500, 9_500]


# ---- what is missing pends ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "table", "key"),
    [
        ({"contract_id": "GONE"}, "contracts", {"contract_id": "GONE"}),
        ({"contract_id": "CASES"}, "contracts", {"contract_id": "CASES", "method": "case_rate"}),
        (
            {"contract_id": "NORATE"},
            "contracts",
            {"contract_id": "NORATE", "rate_basis_points": None},
        ),
        (
            {"contract_id": "NOFEES"},
            "contracts",
            {"contract_id": "NOFEES", "fee_table_code": None},
        ),
        ({"@program_code": "other"}, "programs", {"program_code": "other"}),
        (
            BY_TABLE | {"procedure_code": "99499", "modifier_codes": "25"},
            "fees",
            {"fee_table_code": "F1", "fee_code": "99499", "modifier_codes": "25"},
        ),
        (
            {"procedure_code": "99499"},
            "physician_fee_values",
            {"procedure_code": "99499", "modifier_code": ""},
        ),
        (
            {"modifier_codes": "26"},  # a visit has no professional component
            "physician_fee_values",
            {"procedure_code": "99213", "modifier_code": "26"},
        ),
        (
            {"modifier_codes": "25:80"},  # an assistant isn't paid as the surgeon
            "physician_fee_values",
            {"procedure_code": "99213", "modifier_codes": "25:80"},
        ),
        (
            {"procedure_code": "71046", "modifier_codes": "26:TC"},
            "physician_fee_values",
            {"procedure_code": "71046", "modifier_codes": "26:TC"},
        ),
        (
            {"procedure_code": "71046", "modifier_codes": "26:52"},
            "physician_fee_values",
            {"procedure_code": "71046", "modifier_codes": "26:52"},
        ),
        (
            {"procedure_code": "99361"},
            "physician_fee_values",
            {"procedure_code": "99361", "modifier_code": "", "status_code": "B"},
        ),
        (
            {"procedure_code": "99078"},  # has values, which Medicare doesn't pay by
            "physician_fee_values",
            {"procedure_code": "99078", "modifier_code": "", "status_code": "N"},
        ),
        (
            {"procedure_code": "90901"},
            "physician_fee_values",
            {"procedure_code": "90901", "modifier_code": "", "status_code": "R"},
        ),
        (
            {"contract_id": "NOPART"},
            "contracts",
            {"contract_id": "NOPART", "rate_basis_points": 0},
        ),
        (
            {"contract_id": "CHARGE", "decision_date": None},
            "lines",
            {"claim_id": 1, "line_number": 1},
        ),
        ({"place_of_service_code": "77"}, "place_of_service", {"place_of_service_code": "77"}),
        ({"place_of_service_code": None}, "place_of_service", {"place_of_service_code": None}),
        ({"@facility_zip_code": "99999"}, "zip_localities", {"zip_code": "99999"}),
        ({"@facility_zip_code": None}, "zip_localities", {"zip_code": None}),
        (
            {"@facility_zip_code": "00901"},
            "geographic_cost_indexes",
            {"carrier_number": "09202", "locality_number": "00"},
        ),
        (
            {"unit_basis_code": "MJ"},
            "lines",
            {"unit_basis_code": "MJ", "unit_quantity": 1_000},
        ),
        (
            {"unit_basis_code": "DA"},  # days count only against a fee table
            "lines",
            {"unit_basis_code": "DA", "unit_quantity": 1_000},
        ),
        (
            BY_TABLE | {"unit_basis_code": "MJ"},
            "lines",
            {"unit_basis_code": "MJ", "unit_quantity": 1_000},
        ),
        ({"unit_quantity": None}, "lines", {"unit_basis_code": "UN", "unit_quantity": None}),
        ({"unit_quantity": 0}, "lines", {"unit_basis_code": "UN", "unit_quantity": 0}),
        ({"unit_basis_code": None}, "lines", {"unit_basis_code": None, "unit_quantity": 1_000}),
        ({"decision_date": None}, "lines", {"claim_id": 1, "line_number": 1}),
        (
            {"decision_date": None, "contract_id": "FEES"},
            "lines",
            {"claim_id": 1, "line_number": 1},
        ),
        (
            {"@claim_type_code": "I", "revenue_code": "0510"},
            "medicare_facility_rates",
            {"revenue_code": "0510", "procedure_code": "99213"},
        ),
        # 99,999,999.99 x 2 is more than a claim may carry
        (
            BY_TABLE | {"procedure_code": "G0008", "unit_quantity": 2_000},
            "lines",
            {"unit_quantity": 2_000},
        ),
        # in 64 bits these two products wrap round to a few cents and to a few thousand dollars
        (
            {"contract_id": "FULL", "unit_quantity": 177_420_306_176},
            "lines",
            {"unit_quantity": 177_420_306_176},
        ),
        (
            BY_TABLE | {"procedure_code": "G0008", "unit_quantity": 1_844_674_408},
            "lines",
            {"unit_quantity": 1_844_674_408},
        ),
    ],
)
def test_a_missing_value_pends_and_is_named(line: Row, table: str, key: dict[str, Any]) -> None:
    assert lacks(line) == (table, key)


def test_the_largest_amount_is_still_a_price() -> None:
    line = BY_TABLE | {"procedure_code": "G0008", "charge_amount": 9_999_999_999}
    assert allowed(line) == [9_999_999_999]


def test_a_line_that_pends_keeps_its_method_and_category() -> None:
    rules = [BenefitCategoryRule(category="all")]
    priced = price(batch({"procedure_code": "99499"}), reference(*rules)).lines
    assert priced.select("pricing_method_code", "benefit_category").row(0) == (
        "percent_of_medicare",
        "all",
    )


# ---- status T: paid only where nothing else is --------------------------------------------------

OXIMETRY = {"procedure_code": "94760"}
# 0.10 x 1.091 = 0.1091 + 0.01 x 1.207 = 0.12117 x 32.3465 = 3.9194...: 3.92
OXIMETRY_FEE = 392
BUNDLED = (
    "physician_fee_values",
    {"procedure_code": "94760", "modifier_code": "", "status_code": "T"},
)


def test_a_service_that_is_paid_only_alone() -> None:
    assert allowed(OXIMETRY) == [OXIMETRY_FEE]
    assert allowed(OXIMETRY, {}) == [None, OFFICE_FEE]
    assert allowed(OXIMETRY, OXIMETRY | {"claim_id": 2}) == [OXIMETRY_FEE, OXIMETRY_FEE]


@pytest.mark.parametrize(
    "beside",
    [
        {"@member_id": "M2"},
        {"rendering_npi": "2000000028"},
        {"@billing_npi": "2000000028"},
        {"decision_date": date(2025, 10, 16)},
        {"procedure_code": "99361"},  # bundled itself
        {"procedure_code": "99499"},  # unknown
    ],
)
def test_what_is_no_companion(beside: Row) -> None:
    assert allowed(OXIMETRY, beside)[0] == OXIMETRY_FEE


def test_a_denied_line_is_no_companion() -> None:
    denied = [{"claim_id": 2, "line_number": 1, "disposition": "deny"}]
    assert allowed(OXIMETRY, {}, findings=denied) == [OXIMETRY_FEE, None]


def test_a_companion_of_an_earlier_night() -> None:
    earlier = {
        "claim_id": 90,
        "claim_number": "000000000090",
        "receipt_number": 1,
        "line_disposition": "paid",
        "member_id": "M1",
        "provider_number": "2000000010",
        "procedure_code": "99213",
        "service_from_date": DAY,
    }
    assert lacks(OXIMETRY, history=[earlier]) == BUNDLED
    other_day = earlier | {"service_from_date": date(2025, 10, 14)}
    assert allowed(OXIMETRY, history=[other_day]) == [OXIMETRY_FEE]


# ---- denied lines, order, inputs ----------------------------------------------------------------


def test_denied_lines_are_left_alone() -> None:
    findings: list[Row] = [
        {"claim_id": 1, "line_number": 2, "disposition": "deny"},
        {"claim_id": 2, "line_number": None, "disposition": "deny"},
        {"claim_id": 3, "line_number": 1, "disposition": "pend"},
        {"claim_id": 4, "line_number": None, "disposition": "inform"},
    ]
    tonight = batch(
        {"claim_id": 1, "line_number": 1},
        {"claim_id": 1, "line_number": 2},
        {"claim_id": 2, "line_number": 1},
        {"claim_id": 2, "line_number": 2, "procedure_code": "99499"},
        {"claim_id": 3},
        {"claim_id": 4},
        findings=findings,
    )
    ref = reference(BenefitCategoryRule(category="all"))
    priced = price(tonight, ref)
    added = ["allowed_amount", "pricing_method_code", "pricing_inputs", "benefit_category"]
    assert priced.lines["allowed_amount"].to_list() == [
        OFFICE_FEE, None, None, None, OFFICE_FEE, OFFICE_FEE
    ]  # fmt: skip
    denied = priced.lines.filter(pl.col("allowed_amount").is_null()).select(added)
    assert set(denied.rows()) == {(None, None, None, None)}
    assert priced.lines.drop(added).equals(tonight.lines)
    assert priced.findings.equals(tonight.findings)
    assert priced.claims is tonight.claims


def test_order_is_kept_and_findings_are_sorted() -> None:
    lines: list[Row] = [
        {"claim_id": claim, "line_number": line, "procedure_code": code, "contract_id": contract}
        for claim, line, code, contract in [
            (7, 2, "99213", "GONE"),
            (3, 1, "99213", None),
            (7, 1, "99213", "AT110"),
            (5, 1, "99499", None),
            (3, 2, "99499", "FEES"),
        ]
    ]
    first = {"claim_id": 9, "line_number": 1, "disposition": "inform"}
    priced = price(batch(*lines, findings=[first]), reference())
    assert priced.lines.select("claim_id", "line_number").rows() == [
        (7, 2), (3, 1), (7, 1), (5, 1), (3, 2)
    ]  # fmt: skip
    assert priced.findings.select("claim_id", "line_number").rows() == [
        (9, 1), (3, 2), (5, 1), (7, 2)
    ]  # fmt: skip
    again = price(batch(*reversed(lines), findings=[first]), reference())
    assert again.findings.equals(priced.findings)
    by_key = ["claim_id", "line_number"]
    assert again.lines.sort(by_key).equals(priced.lines.sort(by_key))


def test_no_lines() -> None:
    empty = Batch(
        claims=frames.empty(frames.IdentifiedClaims), lines=frames.empty(frames.IdentifiedLines)
    )
    priced = price(empty, reference())
    frames.PricedLines.validate(priced.lines)
    assert priced.lines.is_empty()
    assert priced.findings.is_empty()


def test_the_figures_of_a_medicare_price() -> None:
    line = {"contract_id": "AT110", "unit_quantity": 2_000, "charge_amount": 20_000}
    priced = price(batch(line), reference()).lines
    assert priced.select("allowed_amount", "pricing_method_code").row(0) == (
        20_000,
        "percent_of_medicare",
    )
    assert json.loads(priced["pricing_inputs"][0]) == {
        "decision_date": "2025-10-15",
        "priced_amount": 20_794,
        "lesser_of_charge": True,
        "modifier_code": "",
        "status_code": "A",
        "place_of_service_code": "11",
        "is_facility": False,
        "zip_code": "06103",
        "carrier_number": "13102",
        "locality_number": "00",
        "work_units": 130,
        "expense_units": 135,
        "malpractice_units": 10,
        "work_index": 1_022,
        "expense_index": 1_091,
        "malpractice_index": 1_207,
        "conversion_factor": 323_465,
        "cap_fee_amount": None,
        "medicare_fee_amount": OFFICE_FEE,
        "rate_basis_points": 11_000,
        "values_start_date": "2025-10-01",
        "indexes_start_date": "2025-01-01",
    }


def test_the_figures_of_a_fee_table_price() -> None:
    line = BY_TABLE | {"procedure_code": "71046", "modifier_codes": "RT:26"}
    priced = price(batch(line), reference()).lines
    assert priced["pricing_method_code"].to_list() == ["fee_table"]
    assert json.loads(priced["pricing_inputs"][0]) == {
        "decision_date": "2025-10-15",
        "priced_amount": 1_500,
        "lesser_of_charge": True,
        "fee_table_code": "F1",
        "fee_code": "71046",
        "fee_modifier_code": "26",
        "fee_amount": 1_500,
    }


# ---- benefit categories -------------------------------------------------------------------------


def test_the_first_rule_that_matches_names_the_category() -> None:
    rules = [
        BenefitCategoryRule(category="inpatient", bill_types=("11", "12")),
        BenefitCategoryRule(
            category="office", procedure_ranges=(("99202", "99215"),), places_of_service=("11",)
        ),
        BenefitCategoryRule(category="visit", procedure_ranges=(("99202", "99215"),)),
        BenefitCategoryRule(
            category="room",
            claim_type_code="I",
            revenue_ranges=(("0100", "0219"), ("0760", "0769")),
        ),
        BenefitCategoryRule(category="professional", claim_type_code="P"),
    ]  # fmt: skip
    institution = {"@claim_type_code": "I", "@facility_code": "13", "place_of_service_code": "13"}
    lines: list[tuple[Row, str | None]] = [
        ({"procedure_code": "99213"}, "office"),
        ({"procedure_code": "99202"}, "office"),
        ({"procedure_code": "99215"}, "office"),
        ({"procedure_code": "99201"}, "professional"),
        ({"procedure_code": "99216"}, "professional"),
        ({"procedure_code": "99213", "place_of_service_code": "22"}, "visit"),
        ({"procedure_code": None}, "professional"),
        # bill type 11 is no office, place of service 11 no hospital
        (institution | {"@facility_code": "11", "place_of_service_code": "11"}, "inpatient"),
        ({"@facility_code": "11", "procedure_code": "71046"}, "professional"),
        (institution | {"procedure_code": "99213", "place_of_service_code": "11"}, "visit"),
        (institution | {"procedure_code": None, "revenue_code": "0100"}, "room"),
        (institution | {"procedure_code": None, "revenue_code": "0769"}, "room"),
        (institution | {"procedure_code": None, "revenue_code": "0220"}, None),
        (institution | {"procedure_code": None, "revenue_code": None}, None),
    ]
    priced = price(batch(*(line for line, _ in lines)), reference(*rules)).lines
    assert priced["benefit_category"].to_list() == [category for _, category in lines]


def test_without_rules_there_is_no_category() -> None:
    assert price(batch({}), reference()).lines["benefit_category"].to_list() == [None]


# ---- CMS's own prices ---------------------------------------------------------------------------


def published() -> dict[str, pl.DataFrame]:
    read = [
        read_cms_file(CMS / name, (CMS / name).read_bytes())
        for name in ("PPRRVU2025_Oct.csv", "GPCI2025.csv", "ZIP5_OCT2025.txt")
    ]
    return dict(answer for answer in read if answer is not None)


@needs_cms
def test_every_locality_price_that_cms_published() -> None:
    """PFREV25C is the July 2025 release: same year, factor and GPCI as the October values.

    Its one code, 76145, has the same relative values in both releases: all rows must match. A
    ZIP code is made up for each locality, and the price is what a provider without a contract
    is allowed at 100 % of Medicare.
    """
    with (CMS / "PFREV25C.txt").open(encoding="latin-1", newline="") as file:
        rows = [row for row in csv.reader(file) if row and row[0] == "2025"]
    assert {(row[3], row[4].strip()) for row in rows} == {("76145", "")}
    zips = frame(
        tables.ZipLocalities,
        [
            {"zip_code": f"{i:05}", "carrier_number": row[1], "locality_number": row[2]}
            for i, row in enumerate(rows)
        ],
        QUARTER | {"state_code": "XX"},
    )
    ref = reference(**published() | {"zip_localities": zips})
    lines: list[Row] = [
        {"procedure_code": row[3], "@facility_zip_code": f"{i:05}", "place_of_service_code": place,
         "charge_amount": 10**9, "claim_id": 2 * i + (place == "21")}
        for i, row in enumerate(rows)
        for place in ("11", "21")
    ]  # fmt: skip
    expected = [int(fee.replace(".", "")) for row in rows for fee in (row[5], row[6])]
    prices = allowed(*lines, ref=ref)
    matching = sum(a == b for a, b in zip(prices, expected, strict=True))
    print(f"{matching} of {len(expected)} published prices match ({len(rows)} localities)")
    assert len(rows) == 109
    assert prices == expected


@needs_cms
def test_connecticut_from_the_files_themselves() -> None:
    ref = reference(**published())
    assert allowed(
        {},
        {"place_of_service_code": "22"},
        {"procedure_code": "71046", "modifier_codes": "26"},
        {"procedure_code": "70496"},
        {"@facility_zip_code": "10505"},  # plus four flag: five digits don't place it
        ref=ref,
    ) == [OFFICE_FEE, FACILITY_FEE, 1_049, 27_777, None]
