"""CMS's files as published, and the ways in which such a file can be wrong."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl
import pytest

from adjudicator.cms import CMS_FILES, read_cms_file
from schemas.reference import TABLES

CMS = Path(__file__).parents[1].parent / "shared" / "reference" / "cms"
needs_cms = pytest.mark.skipif(not CMS.is_dir(), reason="../shared/reference/cms is not here")

# ---- a relative value file of three codes, in the shape of CMS's -------------------------------

HEADINGS = """
    HCPCS; MOD; DESCRIPTION; STATUS CODE; NOT USED FOR MEDICARE PAYMENT; WORK RVU; NON-FAC PE RVU;
    NON-FAC NA INDICATOR; FACILITY PE RVU; FACILITY NA INDICATOR; MP RVU; NON-FACILITY TOTAL;
    FACILITY TOTAL; PCTC IND; GLOB DAYS; PRE OP; INTRA OP; POST OP; MULT PROC; BILAT SURG;
    ASST SURG; CO- SURG; TEAM SURG; ENDO BASE; CONV FACTOR;
    PHYSICIAN SUPERVISION OF DIAGNOSTIC PROCEDURES; CALCULATION FLAG;
    DIAGNOSTIC IMAGING FAMILY INDICATOR; NON-FACILITY PE USED FOR OPPS PAYMENT AMOUNT;
    FACILITY PE USED FOR OPPS PAYMENT AMOUNT; MP USED FOR OPPS PAYMENT AMOUNT
"""
TITLES = [" ".join(title.split()) for title in HEADINGS.split(";")]
HEADING = ",,2025 National Physician Fee Schedule Relative Value File {} Release" + "," * 28
OFFICE = (
    "99213,,,A,,1.30,1.35,,0.57,,0.10,2.75,1.97,0,XXX,0.00,0.00,0.00,0,0,0,0,0,,32.3465,09,0,99,"
    "0.00,0.00,0.00"
)
IMAGE = (
    "71550,{},,A,,1.46,8.63,,8.63,NA,0.10,10.19,10.19,1,XXX,0.00,0.00,0.00,4,0,0,0,0,,32.3465,"
    "09,0,88,7.98,7.98,0.10"
)


def fee_file(*rows: str, release: str = "October", titles: list[str] = TITLES) -> bytes:
    # CMS spreads a title over two lines: all but its last word stand on the line above
    above = ",".join(" ".join(t.split()[:-1]) for t in titles)
    below = ",".join(t.split()[-1] for t in titles)
    return "\r\n".join([HEADING.format(release), above, below, *rows, ""]).encode()


def read(name: str, data: bytes) -> pl.DataFrame:
    answer = read_cms_file(Path("folder") / name, data)
    assert answer is not None
    table, frame = answer
    TABLES[table].validate(frame)
    return frame


def refused(name: str, data: bytes) -> str:
    with pytest.raises(ValueError) as error:
        read_cms_file(Path("folder") / name, data)
    return str(error.value)


def test_fee_values() -> None:
    frame = read("PPRRVU2025_Oct.csv", fee_file(OFFICE, "", IMAGE.format("TC")))
    dates = {"start_date": date(2025, 10, 1), "end_date": date(2025, 12, 31)}
    assert frame.to_dicts() == [
        {
            **dates,
            "procedure_code": "99213",
            "modifier_code": None,
            "status_code": "A",
            "work_units": 130,
            "nonfacility_expense_units": 135,
            "facility_expense_units": 57,
            "malpractice_units": 10,
            "conversion_factor": 323_465,
            "professional_technical_code": "0",
            "global_days_code": "XXX",
            "multiple_procedure_code": "0",
            "nonfacility_cap_expense_units": 0,
            "facility_cap_expense_units": 0,
            "cap_malpractice_units": 0,
        },
        {
            **dates,
            "procedure_code": "71550",
            "modifier_code": "TC",
            "status_code": "A",
            "work_units": 146,
            "nonfacility_expense_units": 863,
            "facility_expense_units": 863,
            "malpractice_units": 10,
            "conversion_factor": 323_465,
            "professional_technical_code": "1",
            "global_days_code": "XXX",
            "multiple_procedure_code": "4",
            "nonfacility_cap_expense_units": 798,
            "facility_cap_expense_units": 798,
            "cap_malpractice_units": 10,
        },
    ]


@pytest.mark.parametrize(
    ("release", "start", "end"),
    [
        ("January", date(2025, 1, 1), date(2025, 3, 31)),
        ("April", date(2025, 4, 1), date(2025, 6, 30)),
        ("July", date(2025, 7, 1), date(2025, 9, 30)),
        ("October", date(2025, 10, 1), date(2025, 12, 31)),
    ],
)
def test_a_release_holds_for_its_quarter(release: str, start: date, end: date) -> None:
    frame = read("PPRRVU2025_X.csv", fee_file(OFFICE, release=release))
    assert frame.select("start_date", "end_date").row(0) == (start, end)


def test_fee_columns_are_found_by_title_wherever_they_stand() -> None:
    # work and malpractice change places, title and figures: the same values come out
    swapped = [*TITLES]
    swapped[5], swapped[10] = swapped[10], swapped[5]
    row = OFFICE.replace("1.30,1.35,,0.57,,0.10", "0.10,1.35,,0.57,,1.30")
    frame = read("PPRRVU2025_Oct.csv", fee_file(row, titles=swapped))
    assert frame.select("work_units", "malpractice_units").row(0) == (130, 10)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (fee_file(OFFICE.replace("1.30", "1.3O")), "line 4, column work_units: '1.3O' isn't a"),
        (fee_file(OFFICE.replace("1.30", "1e3")), "line 4, column work_units: '1e3' isn't a"),
        (fee_file(OFFICE.replace("1.30", "-1.3")), "line 4, column work_units: '-1.3' isn't a"),
        (fee_file(OFFICE.replace("1.30", "")), "line 4, column work_units: '' isn't a"),
        (fee_file(OFFICE.replace("1.30", ".")), "line 4, column work_units: '.' isn't a"),
        (fee_file(OFFICE.replace("1.30", "1.301")), "'1.301' has more than 2 decimals"),
        (fee_file(OFFICE.replace("32.3465", "32.34651")), "column conversion_factor"),
        (fee_file(OFFICE.replace("99213", "9921")), "line 4, column procedure_code: '9921'"),
        (fee_file(OFFICE.replace(",A,", ",,")), "line 4, column status_code: ''"),
        (fee_file(OFFICE, OFFICE + ",9"), "line 5, column all: 32 cells under 31 headings"),
        (fee_file(OFFICE, OFFICE), "line 5, column procedure_code: ('99213', '') stands in"),
        (fee_file(OFFICE, release="May"), "release May isn't one of JANUARY"),
        (fee_file(OFFICE, titles=[t.replace("WORK", "LABOR") for t in TITLES]), "0 columns are"),
        (fee_file(OFFICE, titles=[t.replace("MP RVU", "WORK RVU") for t in TITLES]), "2 columns"),
        (fee_file(), "no row"),
        (fee_file(OFFICE).replace(b"HCPCS", b"CODE"), "no heading row that begins with HCPCS"),
        (fee_file(OFFICE).replace(b"National", b"Local"), "doesn't name the year and release"),
        (fee_file('"' + OFFICE), "line 4, column all"),
    ],
)
def test_a_fee_file_that_is_wrong_says_where(data: bytes, says: str) -> None:
    message = refused("PPRRVU2025_Oct.csv", data)
    assert message.startswith("PPRRVU2025_Oct.csv")
    assert says in message
    assert "folder" not in message


def test_decimals_are_read_exactly() -> None:
    row = OFFICE.replace("1.30", "1.3").replace("1.35", "12").replace("0.57", ".5")
    row = row.replace("0.10", "0.1000")
    values = read("PPRRVU2025_Oct.csv", fee_file(row)).row(0, named=True)
    assert values["work_units"] == 130
    assert values["nonfacility_expense_units"] == 1_200
    assert values["facility_expense_units"] == 50
    assert values["malpractice_units"] == 10  # zeros past the scale say nothing


# ---- GPCI ------------------------------------------------------------------------------------

GPCI = (
    "ADDENDUM E. FINAL CY 2025 GEOGRAPHIC PRACTICE COST INDICES,,,,,,\n"
    ",,,,,,\n"
    "Medicare Administrative Contractor (MAC),State,Locality Number,Locality Name,"
    "2025 PW GPCI (with 1.0 Floor),2025 PE GPCI,2025 MP GPCI\n"
    "13102,CT,00,CONNECTICUT,1.022,1.091,1.207\n"
    '01212,HI,01,"HAWAII,\nGUAM",1,1.149,0.561\n'
    ",,,,,,\n"
    "*Work GPCI reflects a floor.,,,,,,\n"
)


def test_indexes() -> None:
    frame = read("GPCI2025.csv", GPCI.encode())
    year = (date(2025, 1, 1), date(2025, 12, 31))
    assert frame.rows() == [
        (*year, "13102", "00", 1_022, 1_091, 1_207),
        (*year, "01212", "01", 1_000, 1_149, 561),
    ]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("13102", "1310", "line 4, column carrier_number: '1310'"),
        (",00,", ",0,", "line 4, column locality_number: '0'"),  # a spreadsheet ate a zero
        ("1.022", "1.0225", "line 4, column work_index: '1.0225' has more than 3 decimals"),
        ("0.561", "n/a", "line 6, column malpractice_index: 'n/a'"),
        ("01212,HI,01", "13102,HI,00", "line 6, column locality_number"),
        ("13102,CT,00,CONNECTICUT,1.022,1.091,1.207", "13102", "line 4, column all: 1 cells"),
        ("CY 2025", "", "doesn't name one calendar year"),
        ("CY 2025", "CY 2024", "0 columns are headed '2024 PW GPCI'"),
        ("Medicare Administrative", "Administrative", "no heading row"),
    ],
)
def test_an_index_file_that_is_wrong_says_where(old: str, new: str, says: str) -> None:
    message = refused("GPCI2025.csv", GPCI.replace(old, new, 1).encode())
    assert message.startswith("GPCI2025.csv")
    assert says in message


# ---- ZIP5 ------------------------------------------------------------------------------------


def zip_line(start: str = "CT060011310200", flag: str = "0", quarter: str = "20254") -> str:
    return f"{start} Z9   {flag} A".ljust(75) + quarter


def zip_file(*lines: str) -> bytes:
    return "\r\n".join([*lines, ""]).encode()


def test_zip_codes() -> None:
    frame = read("ZIP5_OCT2025.txt", zip_file(zip_line(), zip_line("NY105051320202")))
    quarter = (date(2025, 10, 1), date(2025, 12, 31))
    assert frame.rows() == [
        (*quarter, "06001", "CT", "13102", "00"),
        (*quarter, "10505", "NY", "13202", "02"),
    ]


def test_a_zip_code_that_five_digits_do_not_place_is_left_out() -> None:
    frame = read(
        "ZIP5_OCT2025.txt",
        zip_file(
            zip_line("CT060011310200"),
            zip_line("MA014341421201", flag="1"),  # needs the four digits more
            zip_line("NY105051320202"),
            zip_line("NY105051320203"),  # one ZIP, two localities
            zip_line("NJ070011240201"),
            zip_line("NY070011240201"),  # two states, one locality: it doesn't matter which
        ),
    )
    assert frame["zip_code"].to_list() == ["06001", "07001"]


def test_each_zip_row_holds_for_its_own_quarter() -> None:
    frame = read("ZIP5_X.txt", zip_file(zip_line(quarter="20253"), zip_line(quarter="20261")))
    assert frame.select("start_date", "end_date").rows() == [
        (date(2025, 7, 1), date(2025, 9, 30)),
        (date(2026, 1, 1), date(2026, 3, 31)),
    ]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (zip_line(quarter="20255"), "line 2, column year and quarter: '20255'"),
        (zip_line(quarter="2025"), "line 2, column all: 79 characters"),
        (zip_line(flag="2"), "line 2, column plus four flag: '2'"),
        (zip_line("CT06O011310200"), "line 2, column zip_code: '06O01'"),
        (zip_line("CT060011310 00"), "line 2, column carrier_number: '1310 '"),
        (zip_line("CT0600113102 0"), "line 2, column locality_number: ' 0'"),
    ],
)
def test_a_zip_file_that_is_wrong_says_where(line: str, says: str) -> None:
    message = refused("ZIP5_OCT2025.txt", zip_file(zip_line(), line))
    assert message.startswith("ZIP5_OCT2025.txt")
    assert says in message


# ---- which file is which ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["ZIP5lyout.txt", "PFREV25C.txt", "25LOCCO.csv", "ANES2025.csv", "members.csv", "GPCI.csv"],
)
def test_another_file_is_not_read(name: str) -> None:
    assert read_cms_file(Path(name), b"anything") is None


def test_every_reader_fills_a_table_there_is() -> None:
    assert {table for table, _ in CMS_FILES.values()} <= TABLES.keys()


# ---- the files themselves --------------------------------------------------------------------


@needs_cms
def test_the_october_2025_release() -> None:
    path = CMS / "PPRRVU2025_Oct.csv"
    frame = read(path.name, path.read_bytes())
    assert frame.height == 18_144  # 18,154 lines of which ten are heading
    assert frame["start_date"].unique().to_list() == [date(2025, 10, 1)]
    assert frame["end_date"].unique().to_list() == [date(2025, 12, 31)]
    assert frame["conversion_factor"].unique().to_list() == [323_465]
    columns = ("status_code", "work_units", "nonfacility_expense_units", "malpractice_units")
    image = frame.filter(procedure_code="71046").sort("modifier_code", nulls_last=False)
    assert image.select("modifier_code", *columns).rows() == [
        (None, "A", 22, 77, 2),
        ("26", "A", 22, 8, 1),
        ("TC", "A", 0, 69, 1),
    ]
    # the whole is the sum of its parts where CMS gives all three (PC/TC indicator 1)
    whole = frame.filter(
        pl.col("modifier_code").is_null(), pl.col("status_code") == "A",
        pl.col("professional_technical_code") == "1",
    )  # fmt: skip
    parts = (
        frame.filter(pl.col("modifier_code").is_in(["26", "TC"]))
        .group_by("procedure_code")
        .agg(pl.col("work_units").sum().alias("parts"), pl.len().alias("count"))
        .filter(pl.col("count") == 2)
    )
    compared = whole.join(parts, on="procedure_code")
    assert compared.height > 500
    assert compared.filter(pl.col("work_units") != pl.col("parts")).height == 0


@needs_cms
def test_the_2025_indexes() -> None:
    path = CMS / "GPCI2025.csv"
    frame = read(path.name, path.read_bytes())
    assert frame.height == 109  # Medicare's localities
    connecticut = frame.filter(carrier_number="13102", locality_number="00")
    assert connecticut.select("work_index", "expense_index", "malpractice_index").rows() == [
        (1_022, 1_091, 1_207)
    ]


@needs_cms
def test_the_october_2025_zip_codes() -> None:
    path = CMS / "ZIP5_OCT2025.txt"
    frame = read(path.name, path.read_bytes())
    assert frame.height == 5_333  # 5,365 rows, 32 of them need nine digits
    assert frame["zip_code"].is_duplicated().sum() == 0
    assert frame["start_date"].unique().to_list() == [date(2025, 10, 1)]
    indexes = read("GPCI2025.csv", (CMS / "GPCI2025.csv").read_bytes())
    unknown = frame.join(indexes, on=["carrier_number", "locality_number"], how="anti")
    assert unknown.height == 0
    connecticut = frame.filter(state_code="CT")
    assert set(connecticut.select("carrier_number", "locality_number").rows()) == {("13102", "00")}
