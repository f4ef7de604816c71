"""Each fault of the safety table has its tests; those of what comes in for each of its words."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from adjudicator import store
from adjudicator.night import Order, run_night
from adjudicator.store.tables import metadata
from schemas.config import Config
from tests.case_tools import CLAIMS, load_store
from tests.test_reports_hostile import DAY, night_of

TESTS = Path(__file__).parent
SAFETY = TESTS.parents[1] / "shared" / "SAFETY.md"
# how a row of the table begins, its words, and the tests that hold each
FAULTS: dict[str, dict[str, tuple[str, ...]]] = {
    "kill -9": {"": ("test_crash", "test_run_ledger")},
    "disk full": {"": ("test_crash",)},
    "two runs at once": {
        "": ("test_run_ledger::test_of_two_runs_at_once_one_works_and_the_other_exits_75",)
    },
    "the same interchange again": {
        "same bytes": (
            "test_intake::test_the_same_bytes_again_give_the_first_answers_and_no_effect",
            "test_intake::test_the_same_interchange_in_another_file_is_answered_as_it_was",
            "test_intake::test_the_same_interchange_twice_in_one_file",
        ),
        "other bytes": (
            "test_intake::test_other_bytes_under_a_used_number_are_quarantined",
            "test_intake::test_bytes_in_quarantine_sent_again_are_refused_again",
        ),
    },
    "a published file torn": {"": ("test_verify",)},
    "truncated": {
        "truncated": (
            "test_intake_faults::test_every_prefix_of_two_claims_has_a_verdict_and_costs_no_neighbour",
            "test_envelope::test_every_prefix_gives_a_verdict",
        ),
        "wrong counts": ("test_envelope::test_what_is_wrong_is_said_and_costs_only_its_piece",),
        "wrong delimiters": (
            "test_envelope::test_each_interchange_has_its_own_delimiters",
            "test_syntax::test_no_segment_passes_whatever_the_delimiters",
        ),
        "garbage": (
            "test_envelope::test_a_file_that_is_no_x12",
            "test_envelope::test_garbage_between_interchanges",
            "test_envelope::test_any_byte_may_be_wrong",
            "test_intake_faults::test_every_deletion_of_a_byte_has_a_verdict_and_costs_no_neighbour",
        ),
        "BOM, CRLF": ("test_envelope::test_what_may_stand_around_a_file",),
        "wrapped lines": (
            "test_intake_faults::test_a_wrapped_file_is_refused_with_its_reason_and_costs_no_neighbour",
        ),
        "empty segments": ("test_syntax::test_an_empty_segment_is_an_objection",),
        "10 MB segment": (
            "test_envelope::test_a_segment_of_ten_megabytes",
            "test_intake_faults::test_a_long_segment_costs_its_claim_alone",
        ),
        "memory": (
            "test_intake_faults::test_a_claim_without_end_takes_no_memory_and_costs_itself",
        ),
    },
    "one bad claim": {"": ("test_neighbours::test_a_bad_claim_costs_only_itself",)},
    "a claim that makes our own code fail": {
        "pends": (
            "test_night::test_a_claim_that_breaks_our_own_code_pends_system_and_the_others_do_not_notice",
        ),
        "stops": (
            "test_night::test_a_failure_that_no_claim_shows_alone_stops_the_night",
            "test_run_ledger::test_above_one_in_a_hundred_the_night_stops",
        ),
    },
    "database lost": {"": ("test_two_databases",)},
    "clock": {"": ("test_night::test_threads_and_hash_seed_do_not_change_a_byte",)},
    "ISA15 = T": {
        "test": (
            "test_intake::test_a_test_is_answered_but_not_adjudicated_and_its_neighbours_are",
            "test_night::test_accept_test_adjudicates_it",
        ),
        "ISA08": (
            "test_intake::test_an_interchange_for_another_payer_is_refused_and_its_neighbours_go_on",
        ),
        "GS03": ("test_intake::test_a_group_for_another_payer_beside_one_of_ours",),
        "NM1*40": ("test_intake::test_a_set_for_another_payer_is_sent_back_whole",),
        "2010BB": ("test_intake::test_one_claim_for_another_payer_goes_back_alone",),
    },
    "no reference value": {
        "": (
            "test_other_years::test_rows_of_other_years_decide_as_none",
            "test_other_years::test_terms_of_other_years_decide_as_none",
        ),
    },
    "delimiter, formula": {
        "835": ("test_reports_hostile::test_in_the_835_it_opens_no_segment_element_or_component",),
        "CSV": ("test_reports_hostile::test_in_a_csv_no_cell_of_it_begins_a_formula",),
        "PDF": ("test_reports_hostile::test_in_the_pdf_it_is_set_as_it_stands",),
        "SQL, path": ("test_safety_table::test_sql_and_paths_in_a_name_are_only_text",),
        "control characters": (
            "test_safety_table::test_a_control_character_costs_its_claim_alone",
        ),
        "file names, logs": ("test_canary::test_a_canary_in_any_element_is_told_nowhere",),
    },
    "an abnormal night": {"": ("test_run_ledger::test_an_abnormal_night_waits_for_approval",)},
}


@pytest.mark.skipif(not SAFETY.is_file(), reason="the table is not here (../shared/SAFETY.md)")
def test_the_faults_are_those_of_the_table() -> None:
    table = SAFETY.read_text("utf-8").split("## Faults")[1].split("\n## ")[0].split("\n\nTools")[0]
    rows = [
        row for row in re.findall(r"^\| ([^|]+?) \|", table, re.M) if row not in ("fault", "---")
    ]
    assert len(rows) == len(FAULTS)
    for row, beginning in zip(rows, FAULTS, strict=True):
        assert row.startswith(beginning)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_has_its_tests(fault: str) -> None:
    for tests in FAULTS[fault].values():
        assert tests
        for name in tests:
            file, _, test = name.partition("::")
            text = (TESTS / f"{file}.py").read_text("utf-8")
            assert f"\ndef {test}(" in text if test else "\ndef test_" in text, name


SQL, PATH = "'); DROP TABLE claim; --", "../../etc/passwd"


def test_sql_and_paths_in_a_name_are_only_text(tmp_path: Path) -> None:
    """As the patient's name, the payee's, and the account."""
    (tmp_path / "place").mkdir()
    out = night_of(tmp_path / "place", f"{SQL} {PATH}", PATH)
    names = {p.relative_to(out).as_posix() for p in out.rglob("*")}
    assert len(names) > 6
    assert not [n for n in names if ".." in n or "passwd" in n or "DROP" in n]
    beside = {p.name for p in (tmp_path / "place").iterdir()}
    assert beside <= {"a.db", "a.db-shm", "a.db-wal", "a.db.lock", "claim.837", "out", "reference"}
    assert [p.name for p in tmp_path.iterdir()] == ["place"]
    engine = store.open_store(f"sqlite:///{tmp_path / 'place' / 'a.db'}", create=False)
    with store.reading(engine) as connection:
        tables = connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table'")
        assert {t.name for t in metadata.sorted_tables} <= {row[0] for row in tables}
        accounts = connection.exec_driver_sql("SELECT patient_control_number FROM claim").all()
    assert (PATH,) in accounts


@pytest.mark.parametrize("mark", ["\x00", "\x07", "\x1b[2J", "\x7f"])
def test_a_control_character_costs_its_claim_alone(tmp_path: Path, mark: str) -> None:
    """In one of two patients' names: that claim goes back, and nothing published repeats it."""
    text = (CLAIMS / "professional-fee-table" / "claim.837").read_text("ascii")
    assert text.count("CLM*FT-") == 2
    account = text.index("CLM*FT-1") + len("CLM*FT-1")
    load_store(tmp_path / "a.db")
    (tmp_path / "claim.837").write_bytes((text[:account] + mark + text[account:]).encode("latin-1"))
    config = Config(db=f"sqlite:///{tmp_path / 'a.db'}", out=tmp_path / "out")
    done = run_night(Order((tmp_path / "claim.837",), config, DAY, DAY))
    assert (done.counts["rejected"]["count"], done.counts["paid"]["count"]) == (1, 1)
    published = [p for p in config.out.rglob("*") if p.is_file() and p.suffix != ".pdf"]
    assert published
    assert not [p for p in published if mark.encode("latin-1") in p.read_bytes()]
