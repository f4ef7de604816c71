"""What holds each fault off, and the tests that would tell if it didn't.

    python -m tests.protections [--only WORD]

takes each protection out of a copy of the program, runs its tests there, and says which of them
failed. Ends with 1 where a protection could go without a test's failing, or where a test fails with
all of them in place. What needs PostgreSQL is left out where no server is named (tests/stores.py).
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.postgresql import VARIABLE

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("adjudicator", "edi", "schemas", "tests", "fixtures", "docs")
FILES = ("cli.py", "pyproject.toml", "Makefile", "README.md")
PAGE = """# Faults

What may go wrong, what holds then, and the tests that show it. For each protection one or more
tests were seen to fail when it is taken out; `make protections` does so again, in a copy of the
program. `make crash` puts a fault at every writing call of a night.

| fault | holds | protection | tests |
| --- | --- | --- | --- |
"""


@dataclass(frozen=True)
class Protection:
    """``out``: file, text and what stands in its place when the protection is taken out."""

    what: str
    out: tuple[str, str, str]
    tests: tuple[str, ...]
    postgresql: bool = False


@dataclass(frozen=True)
class Fault:
    what: str
    holds: str
    protections: tuple[Protection, ...]


NIGHT, VERIFY = "adjudicator/night.py", "adjudicator/verify.py"
FILES_OF, AGAIN = "adjudicator/night_files.py", "adjudicator/render_again.py"
FAULTS = (
    Fault(
        "a kill at any system call that writes, syncs, renames or unlinks",
        "run again, the same bytes as an undisturbed night; nothing lost, nothing paid twice",
        (
            Protection(
                "files are synced before the commit",
                (FILES_OF, "        os.fsync(handle.fileno())\n", ""),
                ("test_crash.py::test_all_is_on_disk_before_the_commit_and_visible_only_after_it",),
            ),
            Protection(
                "a committed night is published by the next run, not decided again",
                (NIGHT, "if run.state in COMMITTED:",
                 'if run.state == "published":'),
                ("test_night.py::test_a_run_stopped_at_any_step_ends_in_the_same_bytes",),
            ),
            Protection(
                "a night renamed and not noted is noted",
                (NIGHT, "        if partial.exists():\n            if final.exists():",
                 "        if True:\n            if final.exists():"),
                ("test_run_ledger.py::test_a_night_renamed_but_not_noted_is_noted_by_the_next_run",),
            ),
            Protection(
                "what a stopped run left is compared with what it committed",
                (NIGHT, "if there == committed:", "if True:"),
                ("test_run_ledger.py::test_files_that_are_not_as_committed_are_not_published",
                 "test_render_again.py::test_each_file_alone_is_put_back",
                 "test_render_again.py::"
                 "test_a_night_that_lost_its_files_before_they_were_published_is_published"),
            ),
            Protection(
                "what is rendered again is compared with what was committed",
                (NIGHT, "if found != file and (found is not None or file.name in wrong):",
                 "if False:"),
                ("test_render_again.py::test_a_store_that_was_changed_gives_nothing",),
            ),
            Protection(
                "the checksums that it is compared with are the audit trail's",
                (AGAIN, 'if store.files_digest(night.others) != '
                 'night.act_detail.get("files_digest"):',
                 "if False:"),
                ("test_render_again.py::"
                 "test_a_checksum_changed_with_what_it_is_of_is_not_believed",),
            ),
            Protection(
                "it is rendered with the reference data of its night",
                (NIGHT, "night.reference = _reference(engine, order, version)",
                 "night.reference = _reference(engine, order)"),
                ("test_render_again.py::test_after_later_nights_and_loads_each_night_is_put_back",),
            ),
        ),
    ),
    Fault(
        "a full disk or an I/O error at any such call",
        "exit 1, nothing published, can go on",
        (
            Protection(
                "a file that can't be written stops the commit",
                (FILES_OF, "        handle.write(content)\n        handle.flush()\n",
                 "        try:\n            handle.write(content)\n            handle.flush()\n"
                 "        except OSError:\n            pass\n"),
                ("test_crash.py::test_whatever_happens_at_a_call_the_next_run_ends_as_if_it_had_not",),
            ),
            Protection(
                "the log is written into the store before the night is published",
                (NIGHT, "        store.checkpoint(self.engine)\n", ""),
                ("test_crash.py::test_files_that_may_not_grow_stop_the_night_and_cost_nothing",),
            ),
        ),
    ),
    Fault(
        "two runs at once",
        "one works, the other exits 75 and writes nothing",
        (
            Protection(
                "SQLite: one process has the lock",
                ("adjudicator/store/lock.py",
                 "            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)\n",
                 "            pass\n"),
                ("test_two_databases.py::"
                 "test_of_two_runs_at_once_one_wins_and_the_other_writes_nothing[sqlite]",
                 "test_night.py::test_another_run_at_work_is_told_by_a_locked_error"),
            ),
            Protection(
                "PostgreSQL: one connection has the lock",
                ("adjudicator/store/postgresql.py", "SELECT pg_try_advisory_lock({RUN_LOCK})",
                 "SELECT {RUN_LOCK} IS NOT NULL"),
                ("test_two_databases.py::"
                 "test_of_two_runs_at_once_one_wins_and_the_other_writes_nothing[postgresql]",),
                postgresql=True,
            ),
            Protection(
                "a run that lost its lock is told by its fencing number",
                (NIGHT, "if not store.holds_fence(connection, self.fence):", "if False:"),
                ("test_run_ledger.py::test_a_run_that_lost_its_lock_writes_nothing_more",
                 "test_run_ledger.py::"
                 "test_a_run_that_lost_its_lock_to_another_night_commits_nothing"),
            ),
            Protection(
                "a ledger that moved since the snapshot stops the night",
                (NIGHT, "if store.ledger_head(connection) != self.ledger_head:", "if False:"),
                ("test_run_ledger.py::"
                 "test_a_ledger_that_moved_since_the_snapshot_stops_the_night",),
            ),
        ),
    ),
    Fault(
        "the same interchange again",
        "its first acknowledgements again and no other effect; other bytes under its number: "
        "TA1 025, quarantined",
        (
            Protection(
                "a file that came before is known by its bytes",
                (NIGHT, "if known is not None and known.is_settled:", "if False:"),
                ("test_intake.py::test_the_same_bytes_again_give_the_first_answers_and_no_effect",),
            ),
            Protection(
                "an interchange that came before is known by its bytes",
                ("adjudicator/interchanges.py", "        if alike:\n", "        if False:\n"),
                ("test_intake.py::test_the_same_interchange_in_another_file_is_answered_as_it_was",),
            ),
            Protection(
                "a used control number is refused",
                ("adjudicator/interchanges.py", "if verdict == READ and used and not alike:",
                 "if False:"),
                ("test_intake.py::test_other_bytes_under_a_used_number_are_quarantined",),
            ),
        ),
    ),
    Fault(
        "a published file torn, or changed by a byte; an audit row changed, removed or moved",
        "`verify` says so",
        (
            Protection(
                "checksums",
                (VERIFY, "if hashlib.sha256(content).hexdigest() != file.sha256:", "if False:"),
                ("test_verify.py::test_every_changed_byte_of_every_file_is_found",),
            ),
            Protection(
                "files that are missing are looked for",
                (VERIFY, '            done.faults.append(Fault(f"{name}/{file.name}", '
                 '"is missing", PUT_BACK))\n', ""),
                ("test_verify.py::test_a_damaged_file_is_named_with_its_mend",),
            ),
            Protection(
                "each audit row has its hash",
                ("adjudicator/store/audit.py",
                 "if digest != _hash(previous_hash, number, run_id, what, detail):", "if False:"),
                ("test_verify.py::test_a_changed_removed_or_moved_row_is_found",),
            ),
            Protection(
                "each audit row follows from the one before",
                ("adjudicator/store/audit.py", "elif previous_hash != head:", "elif False:"),
                ("test_verify.py::test_a_row_changed_with_its_own_hash_does_not_fit_the_next",),
            ),
            Protection(
                "no row is missing",
                ("adjudicator/store/audit.py", "if number != expected:", "if False:"),
                ("test_two_databases.py::test_verify_finds_on_either_database_what_was_changed",),
            ),
            Protection(
                "manifests name the trail's head",
                (VERIFY, "if not any(r.sequence_number == number and r.hash == head for r in "
                 "trail):", "if False:"),
                ("test_verify.py::"
                 "test_a_trail_made_anew_with_all_its_hashes_is_given_away_by_the_manifests",),
            ),
            Protection(
                "the database refuses to change ledger and audit rows",
                ("adjudicator/store/migrations/versions/r0001_first_tables.py",
                 'for change in ("UPDATE", "DELETE"):', "for change in ():"),
                ("test_store.py",),
            ),
        ),
    ),
    Fault(
        "truncated, wrong counts, wrong delimiters, garbage, BOM, CRLF, wrapped lines, empty "
        "segments, a segment of 10 MB",
        "a documented verdict, never a traceback; complete sets survive; memory bounded",
        (
            Protection(
                "segments are counted",
                ("edi/envelope.py", "if not _says(element[1], set_.segment_count):", "if False:"),
                ("test_envelope.py::test_what_is_wrong_is_said_and_costs_only_its_piece",
                 "test_fuzz.py::test_no_file_passes_that_pyx12_rejects"),
            ),
            Protection(
                "a claim is cut at its limit",
                ("edi/read_file.py",
                 "        _cut_claims(data, chunk, terminator, limits.claim_bytes)\n",
                 "        pass\n"),
                ("test_intake_faults.py::"
                 "test_a_claim_without_end_takes_no_memory_and_costs_itself",),
            ),
            Protection(
                "what the fast check can't clear is objected to",
                ("edi/read_file.py", "    found = screen(segments)\n",
                 "    found = screen(segments).clear()\n"),
                ("test_fuzz.py::test_no_file_passes_that_pyx12_rejects",),
            ),
        ),
    ),
    Fault(
        "one bad claim among ten thousand",
        "decisions and 835s of the other 9,999 as without it",
        (
            Protection(
                "an objection is pinned to its claim",
                ("edi/read_file.py",
                 'whole_set = (segment == "HL" and text != CHILD_FLAG) or not len(claims)',
                 "whole_set = True"),
                ("test_neighbours.py::test_a_bad_claim_costs_only_itself",
                 "test_read_file.py::test_one_bad_claim_costs_no_other"),
            ),
        ),
    ),
    Fault(
        "a claim that makes our own code fail",
        "it pends SYSTEM and the night goes on; above one in a hundred, or 100, the night stops",
        (
            Protection(
                "the claim is found by halving",
                ("adjudicator/decide.py", "        if len(ids) == 1:\n            return "
                 "[int(ids[0])]\n", "        return []\n"),
                ("test_night.py::test_a_claim_that_breaks_our_own_code_pends_system_and_the_others"
                 "_do_not_notice",),
            ),
            Protection(
                "too many stop the night",
                ("adjudicator/decide.py", "    if len(found) > allowed:\n", "    if False:\n"),
                ("test_run_ledger.py::test_above_one_in_a_hundred_the_night_stops",),
            ),
            Protection(
                "those of all parts of a large night count together",
                ("adjudicator/decide.py", "    if count > allowed:\n", "    if False:\n"),
                ("test_in_parts.py::test_failures_of_all_parts_count_together",),
            ),
        ),
    ),
    Fault(
        "the database lost at the commit",
        "the outcome is unknown: it is read before anything is repeated",
        (
            Protection(
                "the run is found again by its inputs",
                ("adjudicator/store/books.py", "    if found is not None:\n        return Run(",
                 "    if False:\n        return Run("),
                ("test_two_databases.py::"
                 "test_a_server_lost_at_a_commit_is_asked_before_anything_is_repeated",),
                postgresql=True,
            ),
            Protection(
                "a night that is committed is not decided again",
                (NIGHT, "if run.state in COMMITTED:",
                 'if run.state == "published":'),
                ("test_two_databases.py::"
                 "test_a_server_lost_at_a_commit_is_asked_before_anything_is_repeated",),
                postgresql=True,
            ),
        ),
    ),
    Fault(
        "clock, zone, daylight saving time",
        "dates are parameters; the wall clock's columns stand outside the hash chain and every "
        "published file; PDFs carry no date of making",
        (
            Protection(
                "the chain's hashes don't see the clock",
                ("adjudicator/store/audit.py",
                 "digest = _hash(previous_hash, number, run_id, what, told)",
                 "digest = _hash(previous_hash, number, run_id, what, told + str(id(told)))"),
                ("test_two_databases.py::test_verify_finds_on_either_database_what_was_changed",),
            ),
            Protection(
                "a payment is dated by the night's date",
                ("adjudicator/remittance.py", "payment_date=pl.lit(payment_date),",
                 "payment_date=pl.lit(date.today()),"),
                ("test_cases.py",),
            ),
            Protection(
                "a PDF has no date of making",
                ("adjudicator/reports/report.typ", "#set document(title: doc.report, date: none)",
                 "#set document(title: doc.report)"),
                ("test_reports.py::"
                 "test_the_same_night_twice_is_the_same_bytes_in_another_process_too",),
            ),
        ),
    ),
    Fault(
        "ISA15 = T, or a file for another payer",
        "test files are checked and answered, not adjudicated without --accept-test; another "
        "payer's are refused",
        (
            Protection(
                "ISA15 is read",
                ("adjudicator/interchanges.py", "        if interchange.is_test:\n",
                 "        if False:\n"),
                ("test_night.py::test_a_test_file_is_not_adjudicated_unless_asked",),
            ),
            Protection(
                "ISA08 and GS03 are read",
                ("adjudicator/interchanges.py",
                 "        if not any(_is_ours(number, ours) for number in named):\n",
                 "        if False:\n"),
                ("test_night.py::test_a_file_for_another_payer_is_refused",),
            ),
        ),
    ),
    Fault(
        "no reference value on the date of service",
        "the claim pends; never another year's value",
        (
            Protection(
                "a row counts on its own days only",
                ("adjudicator/reference.py",
                 '        pl.col("_end").is_null() | (pl.col("_end") >= pl.col(on))\n',
                 "        pl.lit(True)\n"),
                ("test_price.py::test_relative_values_hold_for_their_quarter",),
            ),
        ),
    ),
    Fault(
        "delimiter, formula (= + - @), SQL, path, control characters in a name",
        "inert in 835, CSV, HTML, PDF, file names, logs",
        (
            Protection(
                "an 835's text is freed of delimiters",
                ("edi/text.py", 'text = pl.col(column).str.replace_all(UNFIT, " ")',
                 "text = pl.col(column)"),
                ("test_reports_hostile.py::test_in_the_835_it_opens_no_segment_element_or_component",),
            ),
            Protection(
                "a CSV's text begins no formula",
                ("adjudicator/reports/text.py",
                 '    return clean(text).str.replace_all(FORMULA, "${1}\'${2}")\n',
                 "    return clean(text)\n"),
                ("test_reports_hostile.py::test_in_a_csv_no_cell_of_it_begins_a_formula",),
            ),
            Protection(
                "a fault of the program is told without its words",
                ("cli.py", 'f"adjudicate: a fault of the program ({type(fault).__name__}{place}); ',
                 'f"adjudicate: a fault of the program ({fault}{place}); '),
                ("test_canary.py::test_a_fault_of_the_program_is_told_without_its_words",),
            ),
        ),
    ),
    Fault(
        "an abnormal night",
        "stops before anything is committed, goes on with --approve",
        (
            Protection(
                "volume and dollars are compared with the usual",
                (NIGHT, "        if found and not self.order.approve:\n", "        if False:\n"),
                ("test_run_ledger.py::test_an_abnormal_night_waits_for_approval",),
            ),
        ),
    ),
)  # fmt: skip


def page() -> str:
    """docs/faults.md."""
    rows = []
    for fault in FAULTS:
        what, holds = fault.what, fault.holds
        for one in fault.protections:
            tests = "<br>".join(f"`{t.replace('::', '` `')}`" for t in one.tests)
            rows.append(f"| {what} | {holds} | {one.what} | {tests} |")
            what = holds = ""
    return PAGE + "\n".join(rows) + "\n"


def copy_to(folder: Path) -> None:
    for room in ROOMS:
        shutil.copytree(ROOT / room, folder / room, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(ROOT / name, folder / name)


def passes(folder: Path, test: str) -> bool:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", f"tests/{test}"],
        cwd=folder, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    if done.returncode not in (0, 1):  # it did not run
        raise RuntimeError(f"{test}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.returncode == 0


def without(one: Protection, folder: Path, test: str) -> bool:
    """Whether the test passes without the protection."""
    name, old, new = one.out
    path = folder / name
    whole = path.read_text("utf-8")
    assert whole.count(old) == 1, f"{name}: {old!r} stands there {whole.count(old)} times"
    path.write_text(whole.replace(old, new), "utf-8")
    try:
        return passes(folder, test)
    finally:
        path.write_text(whole, "utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="tests.protections", description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="protections with this in their words")
    chosen = parser.parse_args(arguments)
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="adjudicator-protections-") as name:
        folder = Path(name)
        copy_to(folder)
        for fault in FAULTS:
            for one in fault.protections:
                if chosen.only not in f"{fault.what} {one.what}":
                    continue
                if one.postgresql and not os.environ.get(VARIABLE):
                    print(f"left out: {one.what}: needs a PostgreSQL server", flush=True)
                    continue
                for test in one.tests:
                    fails = not without(one, folder, test)
                    wrong += not fails
                    said = "fails" if fails else "PASSES"
                    print(f"{said} without: {one.what}: {test}", flush=True)
    print("every protection is missed" if not wrong else f"{wrong} tests miss nothing")
    return int(bool(wrong))


if __name__ == "__main__":
    raise SystemExit(main())
