"""What the tables of a version must agree on, and the commands that show and check a version."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from adjudicator.load import read_folder
from adjudicator.programs import load_benefit_categories, load_programs
from adjudicator.reference_check import Finding, check_folder, check_reference
from schemas.frames import empty
from schemas.program import Program
from schemas.reference import TABLES
from tests.test_reference_load import CSV, MORE

ROOT = Path(__file__).parents[1]
CATEGORIES = {rule.category for rule in load_benefit_categories()}
CONTRACT = CSV["contracts"].splitlines()[1]
HEADER = {name: content.splitlines()[0] for name, content in {**CSV, **MORE}.items()}


def programs() -> dict[str, Program]:
    """Two programs that have the plans the tables of the tests name."""
    shipped = load_programs()["carepartners"]
    plan = next(iter(shipped.plans.values()))
    plans = {"hmo": plan, "ppo": plan}
    return {
        code: shipped.model_copy(update={"program_code": code, "plans": plans})
        for code in ("carepartners", "husky")
    }


PROGRAMS = programs()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Every table but CMS's, of which nothing can be said but two notes (see NOTED)."""
    place = tmp_path / "reference"
    place.mkdir()
    for name, content in {**CSV, **MORE}.items():
        (place / f"{name}.csv").write_text(content, encoding="utf-8")
    # no program: Medicare's tables are not asked for, and no attachment stands twice
    lines = MORE["attachments"].splitlines()
    (place / "attachments.csv").write_text("\n".join(lines[:2]) + "\n")
    return place


def whole(folder: Path, *, places: bool = True) -> dict[str, pl.DataFrame]:
    return {**{n: empty(s) for n, s in TABLES.items()}, **read_folder(folder, places=places)}


def found_in(folder: Path, *, without: tuple[str, ...] = ()) -> list[Finding]:
    tables = whole(folder)
    for name in without:
        tables[name] = empty(TABLES[name])
    found = check_reference(tables, PROGRAMS, CATEGORIES)
    return [f for f in found if "percent of Medicare" not in f.text]


def test_tables_that_agree_call_forth_nothing(folder: Path) -> None:
    assert found_in(folder) == []
    assert check_reference(whole(folder, places=False)) == []


def test_only_medicares_tables_are_missed_where_providers_have_no_contract(folder: Path) -> None:
    found = check_reference(whole(folder), PROGRAMS, CATEGORIES)
    assert [(f.severity, f.table) for f in found] == [
        ("note", "physician_fee_values"), ("note", "geographic_cost_indexes"),
        ("note", "zip_localities"),
    ]  # fmt: skip
    (folder / "contracts.csv").write_text(
        CSV["contracts"].replace("fee_table,,STANDARD", "percent_of_medicare,10000,")
    )
    found = check_reference(whole(folder))
    assert [f.severity for f in found if "percent of Medicare (of contracts)" in f.text] == [
        "error", "error", "error"
    ]  # fmt: skip


def test_without_the_tables_that_every_claim_needs_nothing_can_be_paid() -> None:
    found = check_reference({n: empty(s) for n, s in TABLES.items()})
    assert [(f.severity, f.table) for f in found] == [
        ("error", name) for name in ("members", "coverage", "providers", "payees", "contracts")
    ]


@pytest.mark.parametrize(
    ("table", "old", "new", "severity", "columns", "told", "line"),
    [
        # names that lead nowhere
        ("coverage", "M2,", "M9,", "error", "member_id", "1 row with a member_id that members", 4),
        ("providers", "PAYEE1", "PAYEE9", "error", "payee_id", "that payees lacks", 2),
        ("contracts", "PAYEE1", "PAYEE9", "error", "payee_id", "that payees lacks", 2),
        ("households", "F1,", "F9,", "error", "family_id", "that members lacks", 2),
        ("households", "M1,", "M9,", "error", "head_member_id", "that members lacks", 2),
        ("household_statuses", "F1,compliant", "F9,compliant", "error", "family_id",
         "that members lacks", 2),
        ("special_statuses", "M1,qmb", "M9,qmb", "error", "member_id", "that members lacks", 3),
        ("other_coverage", "M1,before,auto", "M9,before,auto", "error", "member_id",
         "that members lacks", 3),
        ("primary_care", "M1", "M9", "error", "member_id", "that members lacks", 2),
        ("primary_care", "P1", "P9", "error", "provider_id", "that providers lacks", 2),
        ("primary_care", "G1", "G9", "error", "medical_group_id", "that medical_groups lacks", 2),
        ("credentialing", "P1", "P9", "error", "provider_id", "that providers lacks", 2),
        ("networks", "PAYEE1", "PAYEE9", "error", "payee_id", "that payees lacks", 2),
        ("capitation", "PAYEE1", "PAYEE9", "error", "payee_id", "that payees lacks", 2),
        ("capitation", "G1", "G9", "error", "medical_group_id", "that medical_groups lacks", 2),
        ("referrals", "M1", "M9", "error", "member_id", "that members lacks", 2),
        ("authorizations", "M1", "M9", "error", "member_id", "that members lacks", 2),
        ("notifications", "M1", "M9", "error", "member_id", "that members lacks", 2),
        ("referrals", "1234567893", "1000000004", "note", "npi", "that providers lacks", 2),
        ("referrals", ",,1234567893", ",,1000000004", "note", "referring_npi",
         "that providers lacks", 2),
        ("authorizations", "1234567893", "1000000004", "note", "npi", "that providers lacks", 3),
        ("notifications", "1234567893", "1000000004", "note", "npi", "that providers lacks", 2),
        ("members", "M2,F1", "M2,F2", "note", "family_id", "that households lacks", 3),
        # programs, plans and codes nobody knows
        ("coverage", "M2,carepartners", "M2,medicare", "error", "program_code",
         "1 row with a program that is not there: medicare", 4),
        ("coverage", "M2,carepartners,hmo", "M2,carepartners,pos", "error", "plan_code",
         "1 row with a plan that its program lacks: pos", 4),
        ("contracts", "carepartners", "medicare", "error", "program_code", "medicare", 2),
        ("networks", ",ppo", ",pos", "error", "plan_code", "lacks: pos", 3),
        ("service_area", "husky", "huskie", "error", "program_code", "not there: huskie", 3),
        ("authorization_list", ",hmo", ",pos", "error", "plan_code", "lacks: pos", 3),
        ("capitation", "laboratory", "labs", "error", "benefit_category",
         "1 row with an unknown benefit category: labs", 3),
        ("providers", ",2,,060000001", ",2,207Q,060000001", "error", "taxonomy_code",
         "1 row without the form of a taxonomy code", 2),
        ("referrals", "207Q00000X", "207Q000000", "error", "taxonomy_code",
         "1 row without the form of a taxonomy code", 3),
        ("provider_flags", "1234567893", "1234567898", "note", "npi", "check digit", 2),
        ("contracts", "STANDARD", "OTHER", "error", "fee_table_code",
         "1 row with a fee table of which fees has no row: OTHER", 2),
        ("contracts", "fee_table,,STANDARD", "per_diem,,DAYS", "error", "fee_table_code",
         "of which fees has no row: DAYS", 2),
        # gaps
        ("coverage", "2024-12-31", "2024-12-30", "note", "member_id",
         "1 row beginning after days without a row for the same member_id", 3),
        ("fees", "99213,26,80.5,2025-01-01,", "99213,,80.5,2026-01-02,", "note", "procedure_code",
         "1 row beginning after days without a row for the same procedure_code", 3),
        ("contracts", "2020-01-01,", "2020-01-01,2025-12-31", "note", "end_date",
         "1 row ending without a successor, the first on 2025-12-31", 2),
        # what can hardly be meant
        ("attachments", "2025-02-01", "2025-02-11", "note", "document_date",
         "1 row of a document dated after the day of receipt", 2),
    ],
)  # fmt: skip
def test_what_does_not_agree_is_told(
    folder: Path, table: str, old: str, new: str, severity: str, columns: str, told: str, line: int
) -> None:
    content = (folder / f"{table}.csv").read_text()
    assert old in content
    (folder / f"{table}.csv").write_text(content.replace(old, new, 1))
    wanted = (severity, table, (columns,))
    hits = [f for f in found_in(folder) if f[:3] == wanted and told in f.text]
    assert len(hits) == 1
    assert hits[0].row_count == 1
    assert hits[0].places == ((f"{table}.csv", line),)


def test_a_gap_is_a_day_without_a_row(folder: Path) -> None:
    """Touching, overlapping another program's, and behind a longer span: no gap."""
    head = HEADER["coverage"] + "\n"
    whole_year = "M2,carepartners,hmo,2025-01-01,\n"
    for rows, gaps in (
        ("M1,carepartners,hmo,2025-01-01,2025-03-31\nM1,carepartners,hmo,2025-04-01,\n", 0),
        ("M1,carepartners,hmo,2025-01-01,2025-03-31\nM1,carepartners,hmo,2025-04-02,\n", 1),
        # the other program's span fills what is between
        ("M1,carepartners,hmo,2025-01-01,2025-03-31\nM1,husky,hmo,2025-04-01,2025-05-31\n"
         "M1,carepartners,hmo,2025-06-01,\n", 0),
        # a short span within a long one ends before the next begins
        ("M1,carepartners,hmo,2025-01-01,2025-06-30\nM1,husky,hmo,2025-02-01,2025-02-28\n"
         "M1,carepartners,hmo,2025-07-01,\n", 0),
        ("M1,carepartners,hmo,2025-01-01,2025-01-31\nM1,carepartners,hmo,2025-03-01,2025-03-31\n"
         "M1,carepartners,hmo,2025-05-01,\n", 2),
    ):  # fmt: skip
        (folder / "coverage.csv").write_text(head + rows + whole_year)
        assert sum(f.row_count for f in found_in(folder)) == gaps, rows


def test_a_contract_that_ends_has_a_successor_or_nobody_left(folder: Path) -> None:
    ended = CONTRACT.removesuffix(",") + ",2025-06-30"
    next_one = CONTRACT.replace("C1", "C2").replace("2020-01-01", "2025-07-01")
    (folder / "contracts.csv").write_text("\n".join([HEADER["contracts"], ended, next_one]) + "\n")
    assert found_in(folder) == []
    # with another program it is no successor
    husky = next_one.replace("carepartners", "husky")
    (folder / "contracts.csv").write_text("\n".join([HEADER["contracts"], ended, husky]) + "\n")
    assert [f.columns for f in found_in(folder)] == [("end_date",)]
    # the payee's providers end with it
    (folder / "providers.csv").write_text(
        CSV["providers"].replace("2020-01-01,", "2020-01-01,2025-06-30")
    )
    assert found_in(folder) == []


def test_capitation_and_networks_rest_on_a_contract_of_their_days(folder: Path) -> None:
    named_in = MORE["networks"].replace("hmo,out", "hmo,in")
    (folder / "networks.csv").write_text(named_in)
    assert found_in(folder) == []
    # the contract ends on the last day before capitation and network begin on 1 January 2025
    for end, count in (("2025-01-01", 0), ("2024-12-31", 2)):
        (folder / "contracts.csv").write_text(
            CSV["contracts"].replace("2020-01-01,", f"2020-01-01,{end}")
        )
        by_table = {f.table: f for f in found_in(folder) if f.columns == ("payee_id",)}
        assert len(by_table) == count
    assert by_table["capitation"].severity == "error"
    assert by_table["capitation"].row_count == 2
    assert by_table["networks"].severity == "note"
    assert by_table["networks"].row_count == 1
    assert by_table["networks"].places == (("networks.csv", 2),)


def test_a_table_a_payer_does_without_is_no_finding(folder: Path) -> None:
    for without in ("households", "credentialing", "medical_groups"):
        rests = {"medical_groups": ("primary_care", "capitation")}.get(without, ())
        others = [f for f in found_in(folder, without=(without, *rests)) if f.table not in rests]
        assert others == []


def test_fee_tables_that_no_contract_names_are_noted(folder: Path) -> None:
    (folder / "fees.csv").write_text(CSV["fees"] + "OLD,99213,,9.00,2025-01-01,\n")
    [found] = found_in(folder)
    assert (found.severity, found.columns, found.places) == (
        "note", ("fee_table_code",), (("fees.csv", 6),)
    )  # fmt: skip
    assert found.text == "1 row of a fee table that no contract names: OLD"


def test_a_locality_without_indexes_is_told(folder: Path) -> None:
    (folder / "zip_localities.csv").write_text(
        "zip_code,state_code,carrier_number,locality_number,start_date\n"
        "06103,CT,13102,00,2025-01-01\n06104,CT,13102,01,2025-01-01\n"
    )
    (folder / "geographic_cost_indexes.csv").write_text(
        "carrier_number,locality_number,work_index,expense_index,malpractice_index,start_date\n"
        "13102,00,1023,1110,1200,2025-01-01\n"
    )
    [found] = found_in(folder)
    assert found.text == (
        "1 row with a carrier_number, locality_number that geographic_cost_indexes lacks"
    )
    assert found.places == (("zip_localities.csv", 3),)


def test_members_and_providers_that_cannot_be_told_apart_are_noted(folder: Path) -> None:
    twin = "M3,F1,CP1000001,ALDER,ANN,1950-02-28,F\n"
    other = twin.replace("ANN", "AMY")  # a twin on the same card is told apart by first name
    (folder / "coverage.csv").write_text(CSV["coverage"] + "M3,carepartners,hmo,2025-01-01,\n")
    for row, count in ((other, 0), (twin, 2)):
        (folder / "members.csv").write_text(CSV["members"] + row)
        assert sum(f.row_count for f in found_in(folder)) == count
    (folder / "members.csv").write_text(CSV["members"] + other)
    payee = CSV["payees"].splitlines()[1]
    (folder / "payees.csv").write_text(CSV["payees"] + payee.replace("PAYEE1", "PAYEE2") + "\n")
    provider = CSV["providers"].splitlines()[1]
    second = provider.replace("P1", "P2").replace("PAYEE1", "PAYEE2")
    (folder / "credentialing.csv").write_text(MORE["credentialing"] + "P2,2025-01-01,\n")
    for row, count in (
        (second, 2),
        (second.replace("060000001", "060000002"), 0),
        (second.replace("PAYEE2", "PAYEE1"), 0),
        (second.replace("2020-01-01,", "2019-01-01,2019-12-31"), 0),
    ):
        (folder / "providers.csv").write_text(CSV["providers"] + row + "\n")
        assert sum(f.row_count for f in found_in(folder)) == count, row


def test_attachments_that_stand_twice_are_noted(folder: Path) -> None:
    (folder / "attachments.csv").write_text(MORE["attachments"])
    [found] = found_in(folder)
    assert (found.severity, found.row_count) == ("note", 1)
    assert found.sentence() == "attachments: 1 row repeating another in every column"


def test_overlaps_in_a_store_are_found_though_loading_refuses_them(folder: Path) -> None:
    tables = whole(folder, places=False)
    tables["referrals"] = pl.concat([tables["referrals"], tables["referrals"].head(1)])
    [found] = check_reference(tables, None, CATEGORIES)
    assert (found.severity, found.table, found.columns, found.row_count, found.places) == (
        "error", "referrals", ("referral_number",), 1, ()
    )  # fmt: skip


@pytest.mark.parametrize(
    ("npi", "right"),
    # 80840 and 123456789 by Luhn: 24 + (2·1) + 2 + (2·3) + 4 + (2·5-9) + 6 + (2·7-9) + 8 +
    # (2·9-9) = 24 + 2+2+6+4+1+6+5+8+9 = 67, so the check digit is 3
    [("1234567893", True), ("1234567890", False), ("1243567893", False), ("1234567803", False)],
)
def test_a_check_digit_is_luhns(folder: Path, npi: str, right: bool) -> None:
    (folder / "provider_flags.csv").write_text(MORE["provider_flags"].replace("1234567893", npi))
    assert [f.row_count for f in found_in(folder)] == ([] if right else [2])


def test_errors_come_first_and_only_three_places_are_told(folder: Path) -> None:
    rows = "".join(f"M{n},carepartners,hmo,2025-01-01,\n" for n in range(10, 15))
    (folder / "coverage.csv").write_text(CSV["coverage"].replace("2024-12-31", "2024-12-30") + rows)
    first, second = found_in(folder)
    assert (first.severity, second.severity) == ("error", "note")
    assert first.where() == (
        "coverage.csv, line 5; coverage.csv, line 6; coverage.csv, line 7; and 2 more"
    )
    assert first.as_json()["places"][0] == {"file": "coverage.csv", "line": 5}


# ---- a folder, over what the store holds -----------------------------------------------------


def test_a_folder_is_compared_with_what_it_would_lie_beside(folder: Path, tmp_path: Path) -> None:
    stored = read_folder(folder)
    part = tmp_path / "part"
    part.mkdir()
    (part / "referrals.csv").write_text(MORE["referrals"])
    tables, found = check_folder(part, stored)
    assert found == []
    assert tables["members"].height == 2
    assert [f.table for f in check_folder(part, {})[1] if f.columns == ("member_id",)] == [
        "referrals"
    ]
    (part / "notes.txt").write_text("no table")
    assert [f.sentence() for f in check_folder(part, stored)[1]] == [
        "notes.txt is no reference table and is not read"
    ]


def test_a_folder_that_cannot_be_loaded_is_told_as_loading_would(folder: Path) -> None:
    (folder / "referrals.csv").write_text(MORE["referrals"].replace("99215", "99201"))
    tables, found = check_folder(folder, {})
    assert tables == {}
    assert [f.severity for f in found] == ["error"]
    assert found[0].sentence() == (
        "referrals.csv, line 2, column last_procedure_code: lies before first_procedure_code"
    )


def test_a_folder_without_a_table_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "fee.csv").write_text("no table")
    _, found = check_folder(tmp_path, {})
    assert [(f.severity, "no file here is a reference table" in f.text) for f in found] == [
        ("error", True), ("note", False)
    ]  # fmt: skip


# ---- the commands ----------------------------------------------------------------------------


def adjudicate(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cli", *arguments, "--db", f"sqlite:///{place}/a.db"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A store with the fixtures' reference data, then another fee table."""
    place = tmp_path_factory.mktemp("loaded")
    done = adjudicate(place, "reference", "load", "fixtures/reference")
    assert done.returncode == 0
    more = place / "more"
    more.mkdir()
    fees = (ROOT / "fixtures" / "reference" / "fees.csv").read_text()
    (more / "fees.csv").write_text(fees + "CANARY,99213,,9.00,2025-01-01,\n")
    done = adjudicate(place, "reference", "load", str(more))
    assert done.returncode == 0
    assert "note: fees, fee_table_code: 1 row of a fee table that no contract names" in done.stderr
    yield place


def test_the_tables_in_force_are_listed(loaded: Path) -> None:
    done = adjudicate(loaded, "reference", "list", "--all")
    assert done.returncode == 0
    assert max(map(len, done.stdout.splitlines())) <= 80
    told = json.loads(adjudicate(loaded, "reference", "list", "--all", "--json").stdout)
    facts = {t["table"]: t for t in told["tables"]}
    fixtures = read_folder(ROOT / "fixtures" / "reference")
    assert set(facts) == {name for name, frame in fixtures.items() if frame.height}
    assert facts["fees"]["row_count"] == fixtures["fees"].height + 1
    assert facts["members"]["first_date"] is None
    assert facts["zip_localities"]["last_date"] == "2025-12-31"
    assert facts["zip_localities"]["open_count"] == 0
    assert facts["coverage"]["open_count"] > 0
    assert told["versions"][0]["changed"] == ["fees"]
    assert told["versions"][0]["version"] == told["version"]
    assert len(told["versions"]) == 2
    # below them stand how old the coding tables are, and what each load changed
    rows = done.stdout.split("\n\n")[1].splitlines()
    for table, fact in facts.items():
        [line] = [row for row in rows if row.split()[0] == table]
        assert f"{fact['row_count']:,}" in line
        assert fact["sha256"][:12] in line
        assert ("open" in line.split()) == (fact["open_count"] > 0)


def test_the_store_and_a_folder_are_checked(loaded: Path, folder: Path) -> None:
    done = adjudicate(loaded, "reference", "check")
    assert done.returncode == 0
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "CANARY" in done.stdout
    assert "0 errors" in done.stdout
    (folder / "referrals.csv").write_text(
        MORE["referrals"].replace("M1", "CANARYMEMBER").replace("207Q00000X", "DOCTOR")
    )
    done = adjudicate(loaded, "reference", "check", str(folder))
    assert done.returncode == 1
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "error  referrals, member_id: 2 rows with a member_id that members lacks" in done.stdout
    assert "       referrals.csv, line 2; referrals.csv, line 3" in done.stdout.splitlines()
    assert "CANARYMEMBER" not in done.stdout + done.stderr
    told = json.loads(adjudicate(loaded, "reference", "check", str(folder), "--json").stdout)
    assert told["errors"] == sum(f["severity"] == "error" for f in told["findings"]) > 0
    [taxonomy] = [f for f in told["findings"] if f["columns"] == ["taxonomy_code"]]
    assert taxonomy["places"] == [{"file": "referrals.csv", "line": 3}]
    assert taxonomy["row_count"] == 1


def test_a_folder_is_checked_before_there_is_a_store(folder: Path, tmp_path: Path) -> None:
    done = adjudicate(tmp_path / "none", "reference", "check", str(folder))
    assert done.returncode == 1  # the plans hmo and ppo are of no shipped program
    assert "with a plan that its program lacks: hmo" in done.stdout
    assert not (tmp_path / "none").exists()
    for command in ("list", "check"):
        done = adjudicate(tmp_path / "none", "reference", command)
        assert done.returncode == 1
        assert done.stderr.startswith("adjudicate: ")
        assert "no store is there" in done.stderr
