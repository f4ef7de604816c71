"""Reference data: files to tables, tables to the store and back."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from sqlalchemy import Engine

from adjudicator import store
from adjudicator.load import (
    KEYS,
    ReferenceDataError,
    current_version,
    digest,
    load_reference,
    read_folder,
    read_reference,
    unread_files,
)
from schemas.frames import empty
from schemas.reference import TABLES

SHARED = Path(__file__).parents[1].parent / "shared"

# people and numbers are invented
CSV = {
    "members": (
        "member_id,family_id,card_number,last_name,first_name,birth_date,sex_code\n"
        "M1,F1,CP1000001,ALDER,ANN,1950-02-28,F\n"
        'M2,F1,CP1000002,"BIRCH, JR",BEN,1951-12-31,\n'
    ),
    "coverage": (
        "member_id,program_code,plan_code,start_date,end_date\n"
        "M1,carepartners,hmo,2024-01-01,2024-12-31\n"
        "M1,carepartners,hmo,2025-01-01,\n"
        "M2,carepartners,hmo,2025-01-01,\n"
    ),
    "providers": (
        "provider_id,npi,last_name,first_name,entity_type_code,taxonomy_code,tax_number,payee_id,"
        "start_date,end_date\n"
        "P1,1234567893,CEDAR CLINIC,,2,,060000001,PAYEE1,2020-01-01,\n"
    ),
    "payees": (
        "payee_id,name,npi,tax_number,address_line,city,state_code,zip_code,payment_method_code\n"
        "PAYEE1,CEDAR CLINIC,1234567893,060000001,1 ELM ST,HARTFORD,CT,06103,ACH\n"
    ),
    "contracts": (
        "contract_id,payee_id,program_code,network_code,pricing_method_code,rate_basis_points,"
        "fee_table_code,lesser_of_charge,filing_limit_days,start_date,end_date\n"
        "C1,PAYEE1,carepartners,in,fee_table,,STANDARD,true,,2020-01-01,\n"
    ),
    "fees": (
        "fee_table_code,procedure_code,modifier_code,fee_amount,start_date,end_date\n"
        "STANDARD,99213,,125.00,2025-01-01,2025-12-31\n"
        "STANDARD,99213,26,80.5,2025-01-01,\n"
        "STANDARD,0450,,99999999.99,2025-01-01,\n"
        "STANDARD,J0001,,7,2025-01-01,\n"
    ),
}

# the tables that a payer may do without
MORE = {
    "households": (
        "family_id,head_member_id,address_line,city,state_code,zip_code,phone_number,"
        "language_code,start_date,end_date\n"
        "F1,M1,3 ASH LANE,HARTFORD,CT,061031234,8605550142,spa,2025-01-01,\n"
    ),
    "household_statuses": (
        "family_id,compliance_code,start_date,end_date\n"
        "F1,compliant,2025-01-01,2025-06-30\n"
        "F1,noncompliant,2025-07-01,\n"
    ),
    "special_statuses": (
        "member_id,status_code,start_date,end_date\n"
        "M1,hospice,2025-03-01,2025-03-31\n"
        "M1,qmb,2025-01-01,\n"
        "M1,hospice,2025-06-01,\n"
    ),
    "other_coverage": (
        "member_id,position_code,kind_code,payer_name,payer_number,policy_number,start_date,"
        "end_date\n"
        "M1,before,group_health,FIR MUTUAL,99001,G-1,2025-01-01,\n"
        "M1,before,auto,FIR MUTUAL,99002,,2025-01-01,\n"
        "M1,before,group_health,ELM MUTUAL,,,2025-01-01,\n"
    ),
    "primary_care": (
        "member_id,provider_id,medical_group_id,start_date,end_date\nM1,P1,G1,2025-01-01,\n"
    ),
    "medical_groups": "medical_group_id,name,start_date,end_date\nG1,ELM GROUP,2025-01-01,\n",
    "credentialing": "provider_id,start_date,end_date\nP1,2025-01-01,2027-12-31\n",
    "networks": (
        "payee_id,program_code,plan_code,network_code,start_date,end_date\n"
        "PAYEE1,carepartners,hmo,out,2025-01-01,\n"
        "PAYEE1,carepartners,ppo,out,2025-01-01,\n"
    ),
    "capitation": (
        "payee_id,program_code,medical_group_id,benefit_category,start_date,end_date\n"
        "PAYEE1,carepartners,G1,office_visit,2025-01-01,\n"
        "PAYEE1,carepartners,G1,laboratory,2025-01-01,\n"
    ),
    "provider_flags": (
        "npi,flag_code,start_date,end_date\n"
        "1234567893,opted_out,2024-01-01,2024-12-31\n"
        "1234567893,under_review,2024-06-01,2024-06-30\n"
    ),
    "approved_facilities": (
        "npi,service_code,start_date,end_date\n"
        "1234567893,transplant,2020-01-01,\n"
        "1234567893,carotid_stenting,2020-01-01,\n"
    ),
    "service_area": (
        "program_code,zip_code,start_date,end_date\n"
        "carepartners,06103,2020-01-01,\n"
        "husky,06103,2020-01-01,\n"
    ),
    "referrals": (
        "referral_number,member_id,npi,taxonomy_code,referring_npi,first_procedure_code,"
        "last_procedure_code,visit_limit,status_code,start_date,end_date\n"
        "R1,M1,1234567893,,1234567893,99202,99215,3,approved,2025-01-01,2025-06-30\n"
        "R2,M1,,207Q00000X,,,,,denied,2025-01-01,2025-06-30\n"
    ),
    "authorizations": (
        "authorization_number,member_id,npi,first_procedure_code,last_procedure_code,unit_limit,"
        "status_code,start_date,end_date\n"
        "A1,M1,,70551,70553,2,approved,2025-01-01,2025-03-31\n"
        "A2,M1,1234567893,0120,0120,,approved,2025-01-01,2025-03-31\n"
    ),
    "authorization_list": (
        "program_code,plan_code,first_procedure_code,last_procedure_code,start_date,end_date\n"
        "carepartners,,70540,70559,2025-01-01,\n"
        "carepartners,hmo,70540,70559,2025-01-01,\n"
    ),
    "notifications": (
        "notification_number,member_id,npi,admission_date,notified_date,status_code\n"
        "N1,M1,1234567893,2025-02-10,2025-02-03,active\n"
        "N2,M1,1234567893,2025-02-10,2025-02-03,cancelled\n"
    ),
    "attachments": (
        "claim_number,kind_code,document_date,received_date,payer_number\n"
        "000000000001,eob,2025-02-01,2025-02-10,99001\n"
        "000000000001,eob,2025-02-01,2025-02-10,99001\n"
    ),
    "procedure_pairs": (
        "table_code,column_one_code,column_two_code,modifier_indicator_code,start_date,end_date\n"
        "practitioner,20610,99213,1,2024-07-01,2024-09-30\n"
        "hospital,20610,99213,1,2024-07-01,2024-09-30\n"
        "practitioner,20610,99213,0,2024-10-01,\n"
    ),
    "add_on_codes": (
        "add_on_code,primary_code,edit_type_code,start_date,end_date\n"
        "90785,90834,1,2024-07-01,2024-09-30\n"
        "64727,CCCCC,2,2024-07-01,2024-09-30\n"
    ),
    "unit_limits": (
        "table_code,procedure_code,unit_limit,adjudication_indicator_code,start_date,end_date\n"
        "practitioner,93000,3,3,2024-07-01,2024-09-30\n"
        "supplier,93000,0,2,2024-07-01,2024-09-30\n"
    ),
    "coverage_determinations": (
        "determination_number,kind_code,effect_code,first_procedure_code,last_procedure_code,"
        "first_diagnosis_code,last_diagnosis_code,start_date,end_date\n"
        "L33577,lcd,covers,93306,93308,I10,I10,2024-07-01,\n"
        "L33577,lcd,covers,93306,93308,I500,I509,2024-07-01,\n"
    ),
    "code_sets": (
        "code_set,code,start_date,end_date\n"
        "ICD10CM,E119,2024-10-01,2025-09-30\n"
        "ICD10CM,E119,2025-10-01,2026-09-30\n"
        "HCPCS,J1885,2025-01-01,\n"
        "CARC,45,1995-01-01,\n"
    ),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "reference"
    place.mkdir()
    for name, content in CSV.items():
        (place / f"{name}.csv").write_text(content, encoding="utf-8")
    return place


@pytest.fixture
def every(folder: Path) -> Path:
    """A folder that holds every table but CMS's."""
    for name, content in MORE.items():
        (folder / f"{name}.csv").write_text(content, encoding="utf-8")
    return folder


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = store.open_store(f"sqlite:///{tmp_path / 'store.db'}")
    yield engine
    engine.dispose()


def load(engine: Engine, folder: Path) -> str:
    with engine.begin() as connection:
        return load_reference(connection, folder)


def row_counts(engine: Engine) -> list[int]:
    with store.reading(engine) as connection:
        return [
            connection.exec_driver_sql(f"SELECT count(*) FROM reference_{name}").scalar_one()
            for name in ("version", "table", "part")
        ]


def problems(folder: Path, name: str, content: str | bytes) -> list[str]:
    """What is told when that table's CSV holds this content."""
    written = content if isinstance(content, bytes) else content.encode()
    (folder / f"{name}.csv").write_bytes(written)
    with pytest.raises(ReferenceDataError) as told:
        read_folder(folder)
    return told.value.problems


def test_every_table_has_keys_that_are_its_columns() -> None:
    assert set(KEYS) == set(TABLES)
    for name, several in KEYS.items():
        assert all(set(keys) <= set(TABLES[name].columns()) for keys in several)


# ---- reading ---------------------------------------------------------------------------------


def test_a_folder_is_read_to_the_contracts_types(folder: Path) -> None:
    tables = read_folder(folder)
    assert list(tables) == ["members", "coverage", "providers", "payees", "contracts", "fees"]
    for name, frame in tables.items():
        assert frame.schema == empty(TABLES[name]).schema
    fees = tables["fees"].select("procedure_code", "modifier_code", "fee_amount", "end_date")
    # dollars and cents to cents: 125.00, 80.5 and 7 are 12500, 8050 and 700
    assert sorted(fees.rows(), key=str) == [
        ("0450", None, 9_999_999_999, None),
        ("99213", "26", 8_050, None),
        ("99213", None, 12_500, date(2025, 12, 31)),
        ("J0001", None, 700, None),
    ]
    assert tables["members"].sort("member_id")["last_name"].to_list() == ["ALDER", "BIRCH, JR"]
    assert tables["contracts"].select("lesser_of_charge", "rate_basis_points").rows() == [
        (True, None)
    ]


def test_order_of_columns_and_rows_blanks_bom_and_crlf_change_nothing(folder: Path) -> None:
    expected = read_folder(folder)
    header, first, second = CSV["members"].splitlines()
    turned = [",".join(reversed(header.split(",")))]
    turned += [",".join(f" {v} " for v in reversed(second.replace('"BIRCH, JR"', "X").split(",")))]
    turned += [",".join(reversed(first.split(",")))]
    content = "\ufeff" + "\r\n\r\n".join(turned).replace(" X ", '"BIRCH, JR"') + "\r\n"
    (folder / "members.csv").write_bytes(content.encode())
    assert_frame_equal(read_folder(folder)["members"], expected["members"])


def test_columns_that_may_be_empty_may_be_absent(folder: Path) -> None:
    (folder / "coverage.csv").write_text(
        "member_id,program_code,plan_code,start_date\nM1,carepartners,hmo,2025-01-01\n"
    )
    assert read_folder(folder)["coverage"]["end_date"].to_list() == [None]


def test_parquet_carries_the_contracts_types_and_cents(folder: Path) -> None:
    expected = read_folder(folder)
    for name in ("fees", "members"):
        (folder / f"{name}.csv").unlink()
        expected[name].write_parquet(folder / f"{name}.parquet")
    found = read_folder(folder)
    for name, frame in expected.items():
        assert_frame_equal(found[name], frame)
    narrow = expected["fees"].cast({"fee_amount": pl.Int32}, strict=False).drop_nulls("fee_amount")
    narrow.write_parquet(folder / "fees.parquet")
    assert read_folder(folder)["fees"]["fee_amount"].sum() == 12_500 + 8_050 + 700


def test_several_files_of_one_table_are_one_table(folder: Path) -> None:
    fees = read_folder(folder)["fees"]
    ended = fees.filter(pl.col("end_date") == date(2025, 12, 31))
    assert ended.height == 1
    ended.with_columns(
        start_date=pl.lit(date(2026, 1, 1)), end_date=pl.lit(None, dtype=pl.Date)
    ).write_parquet(folder / "fees.parquet")
    assert read_folder(folder)["fees"].height == 5
    ended.write_parquet(folder / "fees.parquet")
    with pytest.raises(ReferenceDataError) as told:
        read_folder(folder)
    assert len(told.value.problems) == 1
    assert told.value.problems[0].startswith("fees.csv, line 2 and fees.parquet, row 1 are in for")


# ---- what is told ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "old", "new", "told"),
    [
        ("fees", "125.00", "125.005", "line 2, column fee_amount: wants dollars and cents"),
        ("fees", "125.00", "$125", "line 2, column fee_amount: wants dollars and cents"),
        ("fees", "125.00", "1e3", "line 2, column fee_amount: wants dollars and cents"),
        ("fees", "125.00", "-125.00", "line 2, column fee_amount: wants dollars and cents"),
        ("fees", "125.00", "", "line 2, column fee_amount: is empty; wants dollars"),
        ("fees", "99999999.99", "100000000", "line 4, column fee_amount: wants dollars"),
        ("fees", "2025-12-31", "2025-02-29", "line 2, column end_date: wants a date"),
        ("fees", "2025-12-31", "12/31/2025", "line 2, column end_date: wants a date"),
        ("fees", "2025-12-31", "2024-12-31", "line 2, column end_date: lies before start_date"),
        ("fees", "0450", "450", "line 4, column procedure_code: wants five capital letters"),
        ("fees", ",26,", ",2,", "line 3, column modifier_code: wants two capital letters"),
        ("members", "1950-02-28", "", "line 2, column birth_date: is empty; wants a date"),
        ("members", ",F\n", ",X\n", "line 2, column sex_code: wants F, M or U"),
        ("members", "ALDER", "AL\tDER", "line 2, column last_name: wants text without control"),
        ("payees", "06103", "6103", "line 2, column zip_code: wants five or nine digits"),
        ("payees", "ACH", "EFT", "line 2, column payment_method_code: wants CHK or ACH"),
        ("payees", "060000001", "06-0000001", "line 2, column tax_number: wants nine digits"),
        ("providers", "1234567893", "123456789", "line 2, column npi: wants ten digits"),
        ("contracts", "true", "TRUE", "line 2, column lesser_of_charge: wants true or false"),
        ("contracts", "STANDARD", "", "line 2, column fee_table_code: is empty; fee_table needs"),
        ("contracts", "fee_table,,STANDARD", "percent_of_medicare,,",
         "line 2, column rate_basis_points: is empty; percent_of_medicare needs it"),
        ("contracts", "fee_table,,", "fee_table,99.5,",
         "line 2, column rate_basis_points: wants a whole number"),
        ("contracts", "true,,", "true,1234567890123456,",
         "line 2, column filing_limit_days: wants a whole number"),
        ("coverage", "2024-12-31", "2025-01-01",
         "line 2 and coverage.csv, line 3 are in force on the same day: member_id, program_code"),
        ("coverage", "2024-12-31", "",
         "line 2 and coverage.csv, line 3 are in force on the same day: member_id, program_code"),
        ("members", "M2", "M1", "line 2 and members.csv, line 3 are the same key twice: member_id"),
        ("fees", ",26,80.5,2025-01-01", ",,80.5,2025-12-31",
         "line 2 and fees.csv, line 3 are in force on the same day: fee_table_code,"),
    ],
)  # fmt: skip
def test_a_wrong_row_is_named(folder: Path, table: str, old: str, new: str, told: str) -> None:
    assert CSV[table].count(old) >= 1
    found = problems(folder, table, CSV[table].replace(old, new, 1))
    assert len(found) == 1
    assert found[0].startswith(f"{table}.csv, {told}")


@pytest.mark.parametrize("name", MORE)
def test_every_table_is_taken_as_csv_and_as_parquet(every: Path, name: str) -> None:
    expected = read_folder(every)
    assert set(expected) == {*CSV, *MORE}
    assert expected[name].schema == empty(TABLES[name]).schema
    assert expected[name].height == MORE[name].count("\n") - 1
    (every / f"{name}.csv").unlink()
    expected[name].write_parquet(every / f"{name}.parquet")
    assert_frame_equal(read_folder(every)[name], expected[name])


@pytest.mark.parametrize(
    ("table", "old", "new", "told"),
    [
        ("households", "8605550142", "860-555-0142", "line 2, column phone_number: wants ten"),
        ("households", "spa", "Spanish", "line 2, column language_code: wants three low"),
        ("household_statuses", ",compliant", ",yes",
         "line 2, column compliance_code: wants compliant or noncompliant"),
        ("household_statuses", "2025-06-30", "2025-07-01",
         "line 2 and household_statuses.csv, line 3 are in force on the same day: family_id"),
        ("special_statuses", "qmb", "QMB",
         "line 3, column status_code: wants hospice, qmb, working_aged, esrd or active_treatment"),
        ("special_statuses", "2025-03-31", "2025-06-01",
         "line 2 and special_statuses.csv, line 4 are in force on the same day: "
         "member_id, status_code"),
        ("other_coverage", "before", "first", "line 2, column position_code: wants before or aft"),
        ("other_coverage", "auto", "car", "line 3, column kind_code: wants group_health, medicare"),
        ("other_coverage", "ELM", "FIR",
         "line 2 and other_coverage.csv, line 4 are in force on the same day: "
         "member_id, kind_code, payer_name"),
        ("networks", ",out,", ",no,", "line 2, column network_code: wants in or out"),
        ("networks", "ppo", "hmo", "line 2 and networks.csv, line 3 are in force on the same day"),
        ("capitation", "laboratory", "office_visit",
         "line 2 and capitation.csv, line 3 are in force on the same day: "
         "payee_id, program_code, medical_group_id, benefit_category"),
        ("provider_flags", "opted_out", "sanctioned",
         "line 2, column flag_code: wants not_eligible, opted_out or under_review"),
        ("provider_flags", "under_review", "opted_out",
         "line 2 and provider_flags.csv, line 3 are in force on the same day: npi, flag_code"),
        ("approved_facilities", "carotid_stenting", "hip",
         "line 3, column service_code: wants transplant, lung_volume_reduction,"),
        ("service_area", "06103", "061031234", "line 2, column zip_code: wants five digits"),
        ("referrals", "99215", "99201",
         "line 2, column last_procedure_code: lies before first_procedure_code"),
        ("referrals", "99215", "0450", "line 2, column last_procedure_code: "),
        ("referrals", "99202,", ",",
         "line 2, column last_procedure_code: and first_procedure_code stand together or not"),
        ("referrals", "99215", "",
         "line 2, column last_procedure_code: and first_procedure_code stand together or not"),
        ("referrals", "207Q00000X", "",
         "line 3, column npi: is empty, and so is taxonomy_code; one must say it"),
        ("referrals", ",,1234567893", ",,12345", "line 2, column referring_npi: wants ten digits"),
        ("referrals", "2025-06-30", "2024-12-31", "line 2, column end_date: lies before start_dat"),
        ("referrals", "denied", "refused",
         "line 3, column status_code: wants approved, denied or cancelled"),
        ("referrals", "R2", "R1",
         "line 2 and referrals.csv, line 3 are in force on the same day: referral_number"),
        ("authorizations", "70553", "70550",
         "line 2, column last_procedure_code: lies before first_procedure_code"),
        ("authorizations", ",2,", ",-2,", "line 2, column unit_limit: wants a whole number"),
        ("authorizations", "A2", "A1", "line 2 and authorizations.csv, line 3 are in force on"),
        ("authorization_list", "70559", "70539",
         "line 2, column last_procedure_code: lies before first_procedure_code"),
        ("authorization_list", "hmo", "",
         "line 2 and authorization_list.csv, line 3 are in force on the same day: "),
        ("notifications", "active", "open",
         "line 2, column status_code: wants active or cancelled"),
        ("notifications", "N2", "N1",
         "line 2 and notifications.csv, line 3 are the same key twice: notification_number"),
        ("attachments", "000000000001", "1", "line 2, column claim_number: wants twelve digits"),
        ("attachments", "eob", "letter",
         "line 2, column kind_code: wants eob, auto_notice, description or notes"),
    ],
)  # fmt: skip
def test_a_wrong_row_of_the_other_tables_is_named(
    every: Path, table: str, old: str, new: str, told: str
) -> None:
    assert MORE[table].count(old) >= 1
    found = problems(every, table, MORE[table].replace(old, new, 1))
    assert found[0].startswith(f"{table}.csv, {told}")
    assert len(found) == 1 or "0450" in new  # which is before and of another length


@pytest.mark.parametrize(
    ("method", "rate", "code", "told"),
    [
        ("per_diem", "", "DAYS", None),
        ("per_diem", "10000", "", "fee_table_code: is empty; per_diem needs it"),
        ("percent_of_charge", "4000", "", None),
        ("percent_of_charge", "", "DAYS",
         "rate_basis_points: is empty; percent_of_charge needs it"),
        ("case_rate", "", "DAYS", "pricing_method_code: wants percent_of_medicare, fee_table,"),
    ],
)  # fmt: skip
def test_a_pricing_method_has_what_it_needs(
    folder: Path, method: str, rate: str, code: str, told: str | None
) -> None:
    content = CSV["contracts"].replace("fee_table,,STANDARD", f"{method},{rate},{code}")
    if told is None:
        (folder / "contracts.csv").write_text(content)
        assert read_folder(folder)["contracts"]["pricing_method_code"].to_list() == [method]
    else:
        [only] = problems(folder, "contracts", content)
        assert only.startswith(f"contracts.csv, line 2, column {told}")


def test_one_wrong_row_of_one_table_and_nothing_is_loaded(engine: Engine, every: Path) -> None:
    before = MORE["referrals"]
    (every / "referrals.csv").write_text(before.replace("99215", "99201"))
    with pytest.raises(ReferenceDataError, match=r"referrals\.csv, line 2, column last_procedure"):
        load(engine, every)
    assert row_counts(engine) == [0, 0, 0]
    (every / "referrals.csv").write_text(before)
    load(engine, every)
    assert row_counts(engine)[1] == len(CSV) + len(MORE)


def test_spans_that_touch_do_not_overlap(folder: Path) -> None:
    # the coverage of CSV ends on 31 December and begins again on 1 January; another program's
    # may lie across both
    (folder / "coverage.csv").write_text(
        CSV["coverage"] + "M1,husky,husky_a,2024-06-01,2025-06-30\n"
    )
    assert read_folder(folder)["coverage"].height == 4


def test_a_span_within_another_is_found_though_others_lie_between(folder: Path) -> None:
    rows = ["2025-01-01,2025-12-31", "2025-02-01,2025-02-02", "2025-03-01,2025-03-02"]
    content = CSV["coverage"].splitlines()[0] + "\n"
    content += "".join(f"M1,carepartners,hmo,{row}\n" for row in rows)
    assert problems(folder, "coverage", content) == [
        "coverage.csv, line 2 and coverage.csv, line 3 are in force on the same day: "
        "member_id, program_code"
    ]


def test_a_contract_stands_once_by_payee_and_once_by_its_own_key(folder: Path) -> None:
    row = CSV["contracts"].splitlines()[1]
    other = problems(
        folder, "contracts", CSV["contracts"] + row.replace("carepartners", "husky") + "\n"
    )
    assert other == [
        "contracts.csv, line 2 and contracts.csv, line 3 are in force on the same day: contract_id"
    ]
    twice = problems(folder, "contracts", CSV["contracts"] + row.replace("C1", "C2") + "\n")
    assert len(twice) == 1
    assert twice[0].endswith("payee_id, program_code")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (CSV["fees"].replace("fee_amount", "fee"),
         ["fees.csv: column fee_amount is missing", "fees.csv: column fee is unknown"]),
        (CSV["fees"].replace("modifier_code", "fee_table_code"),
         ["fees.csv: column fee_table_code stands twice"]),
        (CSV["fees"].replace(",", ";"), None),
        ("", None),
        (CSV["fees"].replace("STANDARD,99213,,", "STANDARD,99213,"),
         ["fees.csv, line 2: 5 values under 6 columns"]),
        (CSV["fees"].replace("J0001,,7,", "J0001,,7,,"),
         ["fees.csv, line 5: 7 values under 6 columns"]),
        (CSV["fees"].replace("J0001", '"J0001'), ["fees.csv, line 5: unexpected end of data"]),
        (CSV["fees"].replace("J0001", "J\u00c91").encode("latin-1"),
         ["fees.csv, line 5: not UTF-8; save the file as UTF-8"]),
        (CSV["fees"].replace("STANDARD,99213,,", '"STAN\nDARD",99213,,').replace(",7,", ",x,"),
         ["fees.csv, line 2, column fee_table_code: wants text without control characters",
          "fees.csv, line 6, column fee_amount: wants dollars and cents as 125.00, "
          "below 100,000,000"]),
    ],
)  # fmt: skip
def test_a_file_that_is_no_table_is_named(
    folder: Path, content: str | bytes, told: list[str] | None
) -> None:
    found = problems(folder, "fees", content)
    if told is None:
        assert "fees.csv: column fee_amount is missing" in found
    else:
        assert found == told


def test_parquet_of_other_types_is_refused(folder: Path) -> None:
    fees = read_folder(folder)["fees"]
    (folder / "fees.csv").unlink()

    def told(frame: pl.DataFrame) -> list[str]:
        frame.write_parquet(folder / "fees.parquet")
        with pytest.raises(ReferenceDataError) as error:
            read_folder(folder)
        return error.value.problems

    assert told(fees.cast({"fee_amount": pl.Float64})) == [
        "fees.parquet, column fee_amount: Float64 where Int64 is wanted"
    ]
    assert told(fees.cast({"start_date": pl.String})) == [
        "fees.parquet, column start_date: String where Date is wanted"
    ]
    assert told(fees.drop("fee_amount")) == ["fees.parquet: column fee_amount is missing"]
    negative = fees.with_columns(
        fee_amount=pl.when(pl.int_range(pl.len()) == 2).then(-1).otherwise(1)
    )
    assert told(negative)[0].startswith("fees.parquet, row 3, column fee_amount: wants")
    above = fees.with_columns(fee_amount=pl.lit(10_000_000_000))
    assert len(told(above)) == 4
    (folder / "fees.parquet").write_bytes(b"PAR1 torn PAR1")
    with pytest.raises(ReferenceDataError, match=r"fees\.parquet: not a Parquet file"):
        read_folder(folder)


def test_no_value_of_a_member_is_told_and_no_more_than_twenty_problems(folder: Path) -> None:
    row = "CANARY1,CANARY2,CANARY3,CANARY4,CANARY5,1950-13-01,CANARY6\n"
    content = CSV["members"].splitlines()[0] + "\n" + row * 30
    (folder / "members.csv").write_text(content)
    with pytest.raises(ReferenceDataError) as told:
        read_folder(folder)
    sentences = str(told.value).splitlines()
    assert len(sentences) == 21
    assert sentences[0] == "members.csv, line 2, column birth_date: wants a date as 2025-01-31"
    assert sentences[-1] == "and more"
    assert "CANARY" not in "\n".join(told.value.problems)
    assert "1950" not in "\n".join(told.value.problems)
    # two members of one key: the key itself is a member's
    valid = row.replace("1950-13-01", "1950-12-01").replace("CANARY6", "F")
    assert "CANARY" not in "".join(
        problems(folder, "members", CSV["members"].splitlines()[0] + "\n" + valid * 2)
    )


# ---- the store -------------------------------------------------------------------------------


def test_what_was_loaded_is_read(engine: Engine, folder: Path) -> None:
    expected = read_folder(folder)
    version = load(engine, folder)
    with store.reading(engine) as connection:
        found_version, tables = read_reference(connection)
        assert read_reference(connection, version)[0] == version
        with pytest.raises(ReferenceDataError, match="no reference version"):
            read_reference(connection, "0" * 64)
    assert found_version == version
    assert set(tables) == set(TABLES)
    for name, frame in tables.items():
        assert_frame_equal(frame, expected.get(name, empty(TABLES[name])))


def test_the_same_content_is_the_same_version_and_adds_no_row(engine: Engine, folder: Path) -> None:
    version = load(engine, folder)
    before = row_counts(engine)
    assert before == [1, 6, 6]
    lines = CSV["fees"].splitlines()
    (folder / "fees.csv").write_text("\n".join([lines[0], *reversed(lines[1:])]) + "\n")
    (folder / "notes.txt").write_text("no table")
    assert load(engine, folder) == version
    assert row_counts(engine) == before


def test_a_load_replaces_only_its_own_tables(engine: Engine, folder: Path, tmp_path: Path) -> None:
    first = load(engine, folder)
    alone = tmp_path / "alone"
    alone.mkdir()
    (alone / "fees.csv").write_text(CSV["fees"].replace("125.00", "126.00"))
    second = load(engine, alone)
    assert second != first
    assert row_counts(engine) == [2, 12, 7]  # five tables are shared
    with store.reading(engine) as connection:
        now, old = read_reference(connection)[1], read_reference(connection, first)[1]
        assert current_version(connection) == second
    for name in TABLES:
        if name != "fees":
            assert_frame_equal(now[name], old[name])
    # 126.00 for 125.00
    cents = [t["fees"]["fee_amount"].to_list() for t in (now, old)]
    assert sum(cents[0]) - sum(cents[1]) == 100
    # the earlier content again is the earlier version, and in force
    assert load(engine, folder) == first
    assert row_counts(engine) == [2, 12, 7]
    with store.reading(engine) as connection:
        assert current_version(connection) == first
    # a header alone empties a table
    (alone / "fees.csv").write_text(CSV["fees"].splitlines()[0])
    load(engine, alone)
    with store.reading(engine) as connection:
        assert read_reference(connection)[1]["fees"].is_empty()


def test_all_or_nothing(engine: Engine, folder: Path) -> None:
    (folder / "fees.csv").write_text(CSV["fees"].replace("125.00", "125,00"))
    with pytest.raises(ReferenceDataError, match=r"fees\.csv, line 2: 7 values"):
        load(engine, folder)
    assert row_counts(engine) == [0, 0, 0]
    with store.reading(engine) as connection:
        assert current_version(connection) is None
        with pytest.raises(ReferenceDataError, match="run `adjudicate reference load FOLDER`"):
            read_reference(connection)


def test_a_folder_without_tables_is_refused(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "fee.csv").write_text("no table")
    with pytest.raises(ReferenceDataError, match="no file here is a reference table"):
        load(engine, tmp_path)
    with pytest.raises(ReferenceDataError, match="can't be read"):
        load(engine, tmp_path / "absent")
    assert unread_files(tmp_path) == ["fee.csv", *(p.name for p in sorted(tmp_path.glob("store*")))]


def test_a_table_changed_in_the_store_is_found(engine: Engine, folder: Path) -> None:
    load(engine, folder)
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE reference_part SET content = (SELECT content FROM reference_part AS p JOIN "
            "reference_table AS t ON t.sha256 = p.sha256 WHERE t.table_name = 'members') WHERE "
            "sha256 = (SELECT sha256 FROM reference_table WHERE table_name = 'payees')"
        )
        with pytest.raises(ReferenceDataError, match="payees is not what was loaded"):
            read_reference(connection)


def test_tables_larger_than_a_part_come_back_whole(
    engine: Engine, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adjudicator.load.PART_BYTES", 100)
    load(engine, folder)
    assert row_counts(engine)[2] > 30
    with store.reading(engine) as connection:
        assert_frame_equal(read_reference(connection)[1]["fees"], read_folder(folder)["fees"])


def test_the_digest_is_of_the_content_alone() -> None:
    frame = pl.DataFrame(
        {"b": ["x", None, ""], "a": [1, 2, None], "d": [date(2025, 1, 2), None, None],
         "t": [True, False, None]}
    )  # fmt: skip
    # spelled out: rows, then each column by name with its values; US is null, RS between values
    # sha256("3\x1d" "a\x1c1\x1e2\x1e\x1f\x1d" "b\x1cx\x1e\x1f\x1e\x1d"
    #        "d\x1c2025-01-02\x1e\x1f\x1e\x1f\x1d" "t\x1ctrue\x1efalse\x1e\x1f\x1d")
    expected = "742278d4f23af3f63aa80d15efe61d68589271dcdbef9ad583f74047962e92f7"
    assert digest(frame) == expected
    assert digest(frame.select("t", "d", "a", "b")) == expected
    assert digest(frame.with_columns(later=pl.lit(None, dtype=pl.Int64))) == expected
    assert digest(frame.with_columns(b=pl.Series(["x", "", None]))) != expected
    assert digest(frame.reverse()) != expected
    assert digest(frame.head(2)) != expected
    assert digest(empty(TABLES["fees"])) == digest(empty(TABLES["members"]))


# ---- CMS's own files -------------------------------------------------------------------------


def test_cms_files_stand_under_their_own_names(engine: Engine) -> None:
    cms = SHARED / "reference" / "cms"
    if not cms.is_dir():
        pytest.skip("../shared/reference/cms is not here")
    version = load(engine, cms)
    with store.reading(engine) as connection:
        tables = read_reference(connection, version)[1]
    loaded = {name for name, frame in tables.items() if not frame.is_empty()}
    assert loaded == {"physician_fee_values", "geographic_cost_indexes", "zip_localities"}
    assert "ANES2025.csv" in unread_files(cms)
    assert "GPCI2025.csv" not in unread_files(cms)


def test_a_cms_file_that_cannot_be_read_is_told_beside_the_others(folder: Path) -> None:
    (folder / "GPCI2025.csv").write_text("no heading\n")
    found = problems(folder, "fees", CSV["fees"].replace("125.00", "x"))
    assert len(found) == 2
    assert found[0].startswith("GPCI2025.csv: ")
    assert found[1].startswith("fees.csv, line 2")
