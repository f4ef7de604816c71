"""CMS's correct coding files as published, and the ways in which such a file can be wrong."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl
import pytest

from adjudicator.cms import read_cms_file
from schemas.reference import TABLES

PTP = "ccipra-v303r0-f1.txt"
MUE = "MCR_MUE_PractitionerServices_Eff_10-01-2024.csv"
AOC = "AOC_V2024Q4-01.txt"
Q4 = (date(2024, 10, 1), date(2024, 12, 31))


def read(name: str, data: str) -> tuple[str, pl.DataFrame]:
    answer = read_cms_file(Path("folder") / name, data.encode())
    assert answer is not None
    table, frame = answer
    TABLES[table].validate(frame)
    return table, frame


def refused(name: str, data: str) -> str:
    with pytest.raises(ValueError) as error:
        read_cms_file(Path("folder") / name, data.encode())
    return str(error.value)


def pairs_file(*rows: str) -> str:
    return "\r\n".join(
        ["A notice of rights\t\t\t\t\t", "Column 1\tColumn 2\t*=in\tEffective\tDeletion\tModifier",
         "\t\texistence\tDate\tDate\t0=not allowed", *rows, ""]
    )  # fmt: skip


def pair(one: str, two: str, start: str, end: str, indicator: str) -> str:
    return "\t".join([one, two, "", start, end, indicator, "a reason"])


def test_pairs_hold_from_effective_to_deletion_date_or_the_editions_end() -> None:
    """v303 is the fourth quarter of 1994 + 30 = 2024."""
    table, frame = read(
        PTP,
        pairs_file(
            pair("11055", "11719", "20150101", "*", "1"),
            pair("0001U", "0029U", "20200101", "20240930", "0"),
            # deleted before it held: no row
            pair("11102", "17000", "20240101", "20231231", "9"),
            # of one day
            pair("80061", "82465", "20240101", "20240101", "9"),
        ),
    )
    assert table == "procedure_pairs"
    columns = ["table_code", "column_one_code", "column_two_code", "modifier_indicator_code"]
    assert frame.select(*columns, "start_date", "end_date").rows() == [
        ("practitioner", "11055", "11719", "1", date(2015, 1, 1), date(2024, 12, 31)),
        ("practitioner", "0001U", "0029U", "0", date(2020, 1, 1), date(2024, 9, 30)),
        ("practitioner", "80061", "82465", "9", date(2024, 1, 1), date(2024, 1, 1)),
    ]


@pytest.mark.parametrize(
    ("name", "kind", "end"),
    [
        ("ccipra-v300r0-f2.txt", "practitioner", date(2024, 3, 31)),
        ("ccioph-v302r0.txt", "hospital", date(2024, 9, 30)),
        ("CCIOPH-V310R1-F4.TXT", "hospital", date(2025, 3, 31)),
    ],
)
def test_the_name_of_a_pairs_file_tells_table_and_quarter(name: str, kind: str, end: date) -> None:
    _, frame = read(name, pairs_file(pair("11055", "11719", "20150101", "*", "1")))
    assert frame.select("table_code", "end_date").rows() == [(kind, end)]


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (pair("1105", "11719", "20150101", "*", "1"), "line 5, column column_one_code: '1105'"),
        (pair("11055", "117190", "20150101", "*", "1"), "line 5, column column_two_code: '117190'"),
        (pair("11055", "11719", "2015-01-01", "*", "1"), "line 5, column start_date"),
        (pair("11055", "11719", "20150230", "*", "1"), "line 5, column start_date: is no day"),
        (pair("11055", "11719", "20150101", "open", "1"), "line 5, column end_date: 'open'"),
        (pair("11055", "11719", "20150101", "*", "2"), "column modifier_indicator_code: '2'"),
        (pair("11055", "11719", "20250101", "*", "1"), "start_date: lies after the edition's end"),
    ],
)
def test_a_pairs_file_that_cannot_be_read_whole_is_refused(row: str, told: str) -> None:
    message = refused(PTP, pairs_file(pair("11055", "11720", "20150101", "*", "1"), row))
    assert message.startswith(PTP)
    assert told in message


def test_a_pair_that_begins_on_the_editions_last_day_is_of_it() -> None:
    _, frame = read(PTP, pairs_file(pair("11055", "11719", "20241231", "*", "1")))
    assert frame.select("start_date", "end_date").rows() == [(Q4[1], Q4[1])]


def test_a_pairs_file_without_a_pair_is_refused() -> None:
    assert "is it a PTP file?" in refused(PTP, pairs_file())


def units_file(*rows: str) -> str:
    notice = '"A notice, with a comma",,,'
    heading = '"HCPCS/\nCPT Code",Practitioner Services MUE Values,MUE Adjudication Indicator,Why'
    return "\r\n".join([notice, heading, *rows, ""])


def test_units_hold_for_the_quarter_in_the_name() -> None:
    table, frame = read(
        MUE, units_file("94640,2,3 Date of Service Edit: Clinical,x", "0001U,0,1 Line Edit,y")
    )
    assert table == "unit_limits"
    columns = ["table_code", "procedure_code", "unit_limit", "adjudication_indicator_code"]
    assert frame.select(*columns, "start_date", "end_date").rows() == [
        ("practitioner", "94640", 2, "3", *Q4),
        ("practitioner", "0001U", 0, "1", *Q4),
    ]


@pytest.mark.parametrize(
    ("kind", "code"),
    [("OutpatientHospital", "hospital"), ("DMESupplier", "supplier"), ("Dental", None)],
)
def test_the_name_of_a_units_file_tells_whose_it_is(kind: str, code: str | None) -> None:
    name = f"MCR_MUE_{kind}Services_Eff_07-01-2024.csv"
    if code is None:
        assert "Dental is none of practitioner" in refused(name, units_file("94640,2,3,x"))
    else:
        _, frame = read(name, units_file("94640,2,3,x"))
        assert frame.select("table_code", "start_date").rows() == [(code, date(2024, 7, 1))]


@pytest.mark.parametrize(
    ("name", "rows", "told"),
    [
        (MUE, ["94640,two,3,x"], "line 4, column unit_limit: 'two'"),
        (MUE, ["94640,2,4,x"], "column adjudication_indicator_code: '4'"),
        (MUE, ["9464,2,3,x"], "column procedure_code: '9464'"),
        (MUE, ["94640"], "column unit_limit: ''"),
        (MUE, [], "no row"),
        (MUE.replace("10-01", "10-02"), ["94640,2,3,x"], "2024-10-02 begins no quarter"),
        (MUE.replace("10-01", "09-01"), ["94640,2,3,x"], "2024-09-01 begins no quarter"),
    ],
)
def test_a_units_file_that_cannot_be_read_whole_is_refused(
    name: str, rows: list[str], told: str
) -> None:
    assert told in refused(name, units_file(*rows))


def fixed(
    kind: str,
    add_on: str,
    primary: str,
    start: str,
    *,
    deleted: str = "",
    add_on_end: str = "",
    primary_end: str = "",
) -> str:
    return f"{kind}{add_on}{add_on_end:7}{primary}{primary_end:7}{start:7}{deleted:7} "


def test_add_on_codes_hold_while_neither_code_nor_the_two_together_is_deleted() -> None:
    """Dates are year and day of the year: 2024275 is October 1, the 275th day of a leap year."""
    rows = [
        fixed("1", "96375", "96374", "2015001"),
        fixed("2", "0054T", "CCCCC", "2013091"),
        fixed("1", "90785", "90834", "2013001", deleted="2024275"),
        fixed("1", "90785", "90837", "2013001", add_on_end="2024280", deleted="2024290"),
        fixed("3", "11101", "11100", "2013001", primary_end="2018365"),
    ]
    table, frame = read(AOC, "\r\n".join([*rows, "", "\x1a"]))
    assert table == "add_on_codes"
    columns = ["edit_type_code", "add_on_code", "primary_code", "start_date", "end_date"]
    assert frame.select(columns).rows() == [
        ("1", "96375", "96374", date(2015, 1, 1), Q4[1]),
        ("2", "0054T", "CCCCC", date(2013, 4, 1), Q4[1]),
        ("1", "90785", "90834", date(2013, 1, 1), date(2024, 10, 1)),
        ("1", "90785", "90837", date(2013, 1, 1), date(2024, 10, 6)),
        ("3", "11101", "11100", date(2013, 1, 1), date(2018, 12, 31)),
    ]


def test_add_on_codes_are_read_tab_separated_too() -> None:
    rows = [
        "Edit_Type\tAddOn_Code\tAddOn_Deleted\tPrimary_Code\tPrimary_Deleted\tEffective\tDeleted\t",
        "1\t96375\t\t96374\t\t2015001\t\t",
    ]
    _, frame = read(AOC, "\n".join(rows))
    assert frame.select("add_on_code", "primary_code", "end_date").rows() == [
        ("96375", "96374", Q4[1])
    ]


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (fixed("4", "96375", "96374", "2015001"), "line 2, column edit_type_code: '4'"),
        (fixed("1", "96375", "9637 ", "2015001"), "line 2, column primary_code: '9637'"),
        (fixed("1", "96375", "96374", ""), "line 2, column effective: ''"),
        (fixed("1", "96375", "96374", "2015366"), "line 2, column effective: is no day"),
        (fixed("1", "96375", "96374", "2015001", deleted="2023366"), "deleted: is no day"),
    ],
)
def test_an_add_on_file_that_cannot_be_read_whole_is_refused(row: str, told: str) -> None:
    message = refused(AOC, "\n".join([fixed("1", "96375", "96376", "2015001"), row]))
    assert message.startswith(AOC)
    assert told in message
