"""Paper through whole nights: taken in, returned with a letter, read again, decided as 837 is."""

from __future__ import annotations

import copy
import csv
import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import cli
from adjudicator import store
from adjudicator.explain import as_text, explain
from adjudicator.load import load_reference
from adjudicator.night import Order, Summary, run_night
from adjudicator.reports.letters import gaps
from edi.balance import check_835
from schemas import paper
from schemas.config import Config
from tests.case_tools import CLAIMS, FIRST_NIGHT, REFERENCE, load_store
from tests.forms_on_paper import Record, as_lines, changed
from tests.pdf_text import pages
from tests.pyx12_check import pyx12_errors

NEXT = FIRST_NIGHT + timedelta(days=1)


def records(case: str) -> list[Record]:
    text = (CLAIMS / case / "claim.jsonl").read_text("utf-8")
    return [json.loads(line) for line in text.splitlines()]


PROFESSIONAL, RETURNED = records("paper-professional"), records("paper-returned")
VISIT, [BAD_BILL, GOOD_BILL] = PROFESSIONAL[0], RETURNED
NAMES = ("MARSHWOOD", "ODELL", "ISLINGBURY", "FLORIAN", "JESSOMINE")


@pytest.fixture
def place(loaded: Path, tmp_path: Path) -> Path:
    shutil.copy(loaded, tmp_path / "a.db")
    return tmp_path


def night(place: Path, files: Mapping[str, bytes], day: date = FIRST_NIGHT, **more: Any) -> Summary:
    inbox = place / f"inbox-{day}"
    inbox.mkdir(exist_ok=True)
    for name, content in files.items():
        (inbox / name).write_bytes(content)
    config = Config(db=f"sqlite:///{place / 'a.db'}", out=place / "out")
    return run_night(Order((inbox,), config, day, day), **more)


def claims(place: Path, summary: Summary) -> dict[str, dict[str, str]]:
    text = (place / "out" / summary.folder / "claims.csv").read_text("utf-8")
    return {row["patient_control_number"]: row for row in csv.DictReader(text.splitlines())}


def letters(place: Path, summary: Summary) -> dict[str, bytes]:
    folder = place / "out" / summary.folder / "letters"
    return {p.name: p.read_bytes() for p in sorted(folder.glob("*"))}


def published(place: Path) -> dict[str, bytes]:
    out = place / "out"
    return {p.relative_to(out).as_posix(): p.read_bytes() for p in sorted(out.rglob("*.*"))
            if p.is_file()}  # fmt: skip


def words(letter: bytes) -> str:
    return " ".join(" ".join(pages(letter)).split())


# ---- a night -----------------------------------------------------------------------------------


def test_a_returned_claim_has_a_letter_and_nothing_else(place: Path) -> None:
    summary = night(place, {"a.jsonl": as_lines(*RETURNED)})
    assert (summary.counts["received"]["count"], summary.counts["rejected"]["count"]) == (2, 1)
    assert summary.counts["rejected"]["charge_amount"] == 29_800
    row = claims(place, summary)["PR-1"]
    assert (row["claim_number"], row["disposition"]) == ("", "rejected")
    assert "letters/S000000001.pdf" in summary.written
    [remittance] = (place / "out" / summary.folder / "835").glob("*")
    assert b"PR-1" not in remittance.read_bytes()
    assert b"PR-2" in remittance.read_bytes()
    manifest = json.loads((place / "out" / summary.folder / "manifest.json").read_text())
    content = letters(place, summary)["S000000001.pdf"]
    assert manifest["files"]["letters/S000000001.pdf"] == hashlib.sha256(content).hexdigest()
    for p in (place / "out").rglob("*"):
        assert p.is_dir() or p.stat().st_mode & 0o077 == 0


def test_no_name_is_told_outside_of_the_letter(place: Path) -> None:
    wrong = changed(BAD_BILL, (("8b",), 7), (("10",), "ISLINGBURY"))
    summary = night(place, {"a.jsonl": as_lines(wrong, GOOD_BILL, VISIT) + b"MARSHWOOD\n"})
    folder = place / "out" / summary.folder
    told = json.dumps(summary.as_json())
    told += "".join((folder / n).read_text() for n in ("claims.csv", "summary.json"))
    assert not [name for name in NAMES if name in told.upper()]
    with store.reading(store.open_store(f"sqlite:///{place / 'a.db'}")) as connection:
        story = " ".join(as_text(explain(connection, "S1")).split())
    assert not [name for name in NAMES if name in story.upper()]
    assert "box 8b, patient's last name, is not text" in story
    assert "interchange" not in story


def test_the_same_records_give_the_same_letters(
    loaded: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    made = []
    for _ in range(2):
        place = tmp_path_factory.mktemp("same")
        shutil.copy(loaded, place / "a.db")
        night(place, {"a.jsonl": as_lines(*RETURNED, *PROFESSIONAL)})
        made.append(published(place))
    assert made[0] == made[1]
    assert sum(name.endswith(".pdf") for name in made[0]) == 1


@pytest.mark.long
@pytest.mark.parametrize("stop", ["decide", "commit", "publish"])
def test_a_night_that_was_stopped_ends_as_one_that_was_not(
    stop: str, loaded: Path, tmp_path: Path
) -> None:
    def stopping(step: str) -> None:
        if step == stop:
            raise KeyboardInterrupt

    files = {"a.jsonl": as_lines(*RETURNED), "b.jsonl": as_lines(*PROFESSIONAL)}
    places = [tmp_path / "whole", tmp_path / "stopped"]
    for each in places:
        each.mkdir()
        shutil.copy(loaded, each / "a.db")
    night(places[0], files)
    with pytest.raises(KeyboardInterrupt):
        night(places[1], files, step=stopping)
    night(places[1], files)
    assert published(places[1]) == published(places[0])


def test_the_same_bytes_again_have_no_effect(place: Path) -> None:
    files = {"a.jsonl": as_lines(*RETURNED)}
    night(place, files)
    again = night(place, {**files, "b.jsonl": as_lines(VISIT)}, NEXT)
    assert [f.verdict for f in again.files] == ["repeated", "read"]
    assert letters(place, again) == {}
    assert again.counts["received"]["count"] == 1


def test_a_mended_claim_is_taken_in_and_the_clock_has_gone_on(place: Path) -> None:
    """Served on 2025-11-04: day 60 is 2026-01-03, as the letter says."""
    summary = night(place, {"a.jsonl": as_lines(BAD_BILL)})
    assert "It must reach us by 01/03/2026 , 60 days" in words(
        letters(place, summary)["S000000001.pdf"]
    )
    mended = json.loads(
        json.dumps(GOOD_BILL).replace("PR-2", "PR-1").replace("CPC20009108", "CPC20009107")
        .replace("JESSOMINE, GRETCHEN", "ISLINGBURY, FLORIAN").replace("01301953", "08141946")
    )  # fmt: skip
    late = changed(mended, (("3a",), "PR-LATE"), (("42-49", 0, "47"), "240.01"),
                   (("42-49", 1, "47"), "57.99"))  # fmt: skip
    in_time = night(place, {"b.jsonl": as_lines(mended)}, date(2026, 1, 3))
    assert claims(place, in_time)["PR-1"]["disposition"] == "paid"
    too_late = night(place, {"c.jsonl": as_lines(late)}, date(2026, 1, 4))
    assert claims(place, too_late)["PR-LATE"]["reasons"].split()[-1] == "timely_filing"


def test_a_line_that_is_no_record_is_told_and_its_neighbours_decided(place: Path) -> None:
    alone = night(place, {"a.jsonl": as_lines(VISIT)})
    (alone_row,) = claims(place, alone).values()
    shutil.rmtree(place / "out")
    (place / "a.db").unlink()
    load_store(place / "a.db")
    data = b"no record\n" + as_lines(VISIT) + b'{"form": "ADA", "boxes": {}}\n'
    summary = night(place, {"a.jsonl": data, "b.jsonl": b'{"form": "UB-04"}\n'})
    [read, refused] = summary.files
    assert (read.verdict, read.claim_count) == ("read", 1)
    assert read.reasons == [
        "line 1 is not JSON; write one record a line",
        "line 3 names no form that is read here; its form is CMS-1500 or UB-04",
    ]
    assert (refused.verdict, refused.reasons) == (
        "refused", ["line 1 has no boxes; write them as an object, by their numbers"],
    )  # fmt: skip
    assert claims(place, summary) == {"PP-1": alone_row}


def test_a_bad_record_leaves_the_decisions_of_the_others(place: Path) -> None:
    alone = night(place, {"a.jsonl": as_lines(*PROFESSIONAL)})
    fates = {n: {**row, "submission": ""} for n, row in claims(place, alone).items()}
    first = [p.read_bytes() for p in (place / "out").rglob("*.835")]
    shutil.rmtree(place / "out")
    (place / "a.db").unlink()
    load_store(place / "a.db")
    beside = night(place, {"a.jsonl": as_lines(*PROFESSIONAL[:3], BAD_BILL, *PROFESSIONAL[3:])})
    others = {n: {**row, "submission": ""} for n, row in claims(place, beside).items()}
    assert others.pop("PR-1")["disposition"] == "rejected"
    assert others == fates
    assert [p.read_bytes() for p in (place / "out").rglob("*.835")] == first


def test_a_claim_without_an_account_number_is_remitted(place: Path) -> None:
    """Box 26 is optional; CLP01 is then 0."""
    record = changed(VISIT, (("26",), None))
    summary = night(place, {"a.jsonl": as_lines(record)})
    assert claims(place, summary)[""]["disposition"] == "paid"
    [remittance] = (place / "out").rglob("*.835")
    assert b"CLP*0*1*148*" in remittance.read_bytes()
    assert check_835(remittance.read_bytes()) == []
    assert pyx12_errors(remittance.read_bytes()) == []


@pytest.mark.parametrize(
    ("stamped", "fate"),
    # served on 2025-09-15: the sixtieth day is 2025-11-14
    [("111425", "paid"), ("111525", "denied"), (None, "denied"), ("123199", "denied")],
)
def test_the_stamp_is_the_day_of_receipt_but_never_a_later_one(
    stamped: str | None, fate: str, place: Path
) -> None:
    record = {**PROFESSIONAL[1], "received_date": stamped}
    row = claims(place, night(place, {"a.jsonl": as_lines(record)}))["PP-STAMP"]
    assert row["disposition"] == fate
    assert row["received_date"] == ("2025-11-14" if stamped == "111425" else "2025-11-15")


# ---- the next night ----------------------------------------------------------------------------


def test_a_pended_claim_is_read_again_from_its_line(place: Path) -> None:
    """A code without a fee waits; the next night the fee is loaded, and it is paid. So does one
    that rests on its own attachment."""
    unpriced = changed(VISIT, (("26",), "PP-FEE"), (("24", 1, "24d"), {"code": "95115"}))
    car = copy.deepcopy(PROFESSIONAL[4])
    car["boxes"]["24"][0]["24d"] = {"code": "95115"}
    bill = changed(GOOD_BILL, (("42-49", 1, "44"), "95115"))
    data = b"junk\n" + as_lines(unpriced, PROFESSIONAL[0], car, PROFESSIONAL[2], bill)
    first = night(place, {"a.jsonl": data})
    fates = {n: row["disposition"] for n, row in claims(place, first).items()}
    assert fates == {"PP-FEE": "pended", "PP-1": "paid", "PP-AUTO-60": "pended",
                     "PP-EOB-60": "pended", "PR-2": "pended"}  # fmt: skip
    with_fee = shutil.copytree(REFERENCE, place / "reference")
    fees = (with_fee / "fees.csv").read_text("utf-8")
    fees += "OFFICE,95115,,12.25,2025-01-01,\nHOSPITAL,95115,,11.00,2025-01-01,\n"
    (with_fee / "fees.csv").write_text(fees, "utf-8")
    engine = store.open_store(f"sqlite:///{place / 'a.db'}")
    with engine.begin() as connection:
        load_reference(connection, with_fee)
    engine.dispose()
    second = night(place, {"b.jsonl": as_lines(changed(VISIT, (("26",), "X")))}, NEXT)
    rows = claims(place, second)
    assert {n: (row["disposition"], row["paid"], row["received_date"]) for n, row in rows.items()
            if n != "X"} == {
        # 91.50 - 10.00 and the lesser of 12.25 and 8.00; 12.25 - the office copay or all of it
        "PP-FEE": ("paid", "89.50", "2025-11-15"),
        "PP-AUTO-60": ("paid", "12.25", "2025-11-15"),
        "PP-EOB-60": ("pended", "0.00", "2025-11-15"),
        # 116.00 and 11.00
        "PR-2": ("paid", "127.00", "2025-11-15"),
    }  # fmt: skip
    assert second.counts["brought_forward"]["count"] == 4


# ---- letters -----------------------------------------------------------------------------------


def due(place: Path, record: Record, day: date = FIRST_NIGHT) -> str:
    summary = night(place, {"a.jsonl": as_lines(record)}, day)
    [letter] = letters(place, summary).values()
    return words(letter)


def test_the_deadline_counts_from_the_other_payers_explanation(place: Path) -> None:
    told = due(place, changed(PROFESSIONAL[2], (("1a",), None)))
    assert "by 11/15/2025 , 60 days from the other insurer's explanation (09/16/2025)" in told
    assert "explanation of benefits, Old Seaport Mutual, 09/16/2025" in told


def test_a_deadline_that_has_passed_is_said_so(place: Path) -> None:
    told = due(place, changed(PROFESSIONAL[1], (("27",), None)))
    # 2025-09-15 and 60 days
    assert "The filing deadline, 11/14/2025, has passed" in told


def test_the_deadline_of_a_stay_counts_from_discharge(place: Path) -> None:
    stay = changed(GOOD_BILL, (("4",), "0111"), (("6",), {"from": "110125", "through": "110525"}))
    assert "by 01/04/2026 , 60 days from the date of discharge (11/05/2025)" in due(place, stay)


def test_a_contracts_own_deadline_is_the_letters(place: Path) -> None:
    """Payee P05's contract allows 90 days: 2025-11-03 and 90 days are 27 + 31 + 31 + 1."""
    with (REFERENCE / "providers.csv").open(encoding="utf-8", newline="") as rows:
        [npi, *_] = [r["npi"] for r in csv.DictReader(rows) if r["payee_id"] == "P05"]
    told = due(place, changed(VISIT, (("33a",), npi), (("25",), None)))
    assert "by 02/01/2026 , 90 days from the date of service (11/03/2025)" in told


def test_a_blank_form_has_a_letter_too(place: Path) -> None:
    """Nothing is known: neither whose, nor when, nor to whom."""
    blank = [{"form": form, "boxes": {}} for form in paper.RECORDS]
    summary = night(place, {"a.jsonl": as_lines(*blank)})
    assert summary.counts["rejected"] == {"count": 2, "charge_amount": 0}
    for letter in letters(place, summary).values():
        told = words(letter)
        assert "within the filing deadline, which this return does not stop" in told
        assert "member number Missing." in told


def test_a_form_without_an_address_goes_to_the_payees(place: Path) -> None:
    told = due(place, changed(VISIT, (("33", "street"), None), (("33", "city"), None)))
    assert "BENEDICT LARKFIELD MD 5 Larkfield Row MIDDLETOWN, CT 06457-1177" in told


def test_text_of_a_form_is_only_ever_text(place: Path) -> None:
    hostile = '#panic("x") $x$ *b* _i_ @ref <a> // = \\ ' + "W" * 120
    record = changed(
        VISIT, (("1a",), None), (("26",), hostile[:90]), (("33", "name"), hostile),
        (("33", "street"), hostile), (("2",), "#eval, $, \u4e2d\u6587"),
    )  # fmt: skip
    told = due(place, {**record, "attachments": [{"kind": "notes", "payer": hostile}]})
    assert '#panic("x") $x$ *b* _i_ @ref <a> // = \\' in told


def told_gaps(form: str, *findings: tuple[str, str, str, str, int | None]) -> Sequence[Any]:
    rows = [
        {"edit": edit, "edit_rank": 0, "line_number": line,
         "inputs": json.dumps({"box": box, "field": field, "cause": f"box {box}, {field}, {says}"})}
        for edit, box, field, says, line in findings
    ]  # fmt: skip
    return [(g["box"], g["line_number"], g["says"], g["mend"]) for g in gaps(form, rows)]


def test_what_follows_from_a_box_that_cant_be_read_isnt_told_too() -> None:
    unread = ("unreadable_box", "24f", "charge", "is not an amount", 1)
    missing = ("mandatory_field", "24f", "charge", "is missing", 1)
    other = ("mandatory_field", "24f", "charge", "is missing", 2)
    total = ("total_charge", "28", "total of all charges", "is not the sum", None)
    assert told_gaps(paper.CMS1500, unread, missing, other, total) == [
        ("24f", 1, "Not an amount.", "Write it anew, in that form."),
        ("24f", 2, "Missing.", "Enter an amount of at most 99,999,999.99 in dollars and cents: "
         "120.00 or 120 00."),
    ]  # fmt: skip
    assert [g[0] for g in told_gaps(paper.CMS1500, other, total)] == ["24f", "28"]
    # the whole of box 3, and with it its parts
    whole = ("unreadable_box", "3", "patient", "is not written as shown", None)
    parts = [("mandatory_field", "3", f"patient's {p}", "is missing", None)
             for p in ("birth date", "sex")]  # fmt: skip
    assert [g[0] for g in told_gaps(paper.CMS1500, whole, *parts)] == ["3"]


def test_gaps_stand_in_the_forms_order() -> None:
    boxes = ["84", "76", "74a-e", "67", "60a-c", "47", "42", "9a-e", "5", "1"]
    told = told_gaps(
        paper.UB04, *(("mandatory_field", box, "x", "is missing", None) for box in boxes)
    )
    assert [g[0] for g in told] == [
        "1", "5", "9a-e", "42", "47", "60a-c", "67", "74a-e", "76", "84",
    ]  # fmt: skip


# ---- check -------------------------------------------------------------------------------------


def test_check_reads_paper(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_bytes(b"junk\n" + as_lines(VISIT, BAD_BILL))
    out = tmp_path / "out"
    done = CliRunner().invoke(cli.app, ["check", str(file), "--out", str(out)])
    assert done.exit_code == 1
    assert not out.exists()
    assert done.output.startswith("a.jsonl: 2 claims, 9 findings\n")
    told = " ".join(done.output.split())
    assert " 1 line 1: line 1 is not JSON; write one record a line " in told
    assert " 7 A6:128:85 line 3 box 5: box 5, federal tax number, is missing " in told
    assert (" 1 A7:21 line 3 box 45 row 1: box 45, service date, is not a date: MMDDYY or "
            "MMDDCCYY ") in told  # fmt: skip
    assert "line 2 " not in told
    file.write_bytes(as_lines(VISIT, GOOD_BILL))
    assert CliRunner().invoke(cli.app, ["check", str(file)]).exit_code == 0
