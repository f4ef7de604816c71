"""Reports to providers: the figures of a night worked by hand, and what is on disk of them."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from sqlalchemy import Connection
from typer.testing import CliRunner

import cli
from adjudicator import store
from adjudicator.disk import write_whole
from adjudicator.edits import EDITS
from adjudicator.load import load_reference, read_reference
from adjudicator.night import Order, Summary, run_night
from adjudicator.programs import load_adjustment_codes, load_message_codes, load_programs
from adjudicator.reports import figures as figures_module
from adjudicator.reports import publish
from adjudicator.reports.documents import Document, Setting, Words, as_csv, documents
from adjudicator.reports.figures import (
    Figures,
    Period,
    ReportError,
    claims_in_process,
    explanation_of_payment,
    payment_register,
    period,
)
from adjudicator.reports.publish import publish_documents, publish_register
from schemas import frames
from schemas.config import Config
from tests.case_tools import CLAIMS, REFERENCE
from tests.pdf_text import pages

ROOT = Path(__file__).parents[1]
DAY = date(2025, 11, 15)
NEXT = date(2025, 11, 22)
CASES = (
    "deductible-in-mid-claim", "exact-duplicate", "missing-fee", "name-differs", "payee-unknown",
    "professional-fee-table", "professional-percent-of-medicare", "rejected", "timely-filing",
)  # fmt: skip


def load(database: Path, folder: Path) -> None:
    engine = store.open_store(f"sqlite:///{database}")
    with engine.begin() as connection:
        load_reference(connection, folder)
    engine.dispose()


def night(folder: Path, inbox: Path, day: date) -> Summary:
    config = Config(db=f"sqlite:///{folder / 'a.db'}", out=folder / "out")
    return run_night(Order((inbox,), config, day, day))


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Summary]:
    """Two nights: on the second a fee is loaded that a pended claim waited for."""
    folder = tmp_path_factory.mktemp("reports")
    inbox, nothing, fees = folder / "inbox", folder / "nothing", folder / "fees"
    for made in (inbox, nothing, fees):
        made.mkdir()
    for case in CASES:
        shutil.copy(CLAIMS / case / "claim.837", inbox / f"{case}.837")
    load(folder / "a.db", REFERENCE)
    first = night(folder, inbox, DAY)
    text = (REFERENCE / "fees.csv").read_text("utf-8")
    (fees / "fees.csv").write_text(text.rstrip() + "\nOFFICE,95115,,12.00,2025-01-01,\n")
    load(folder / "a.db", fees)
    night(folder, nothing, NEXT)
    return folder, first


@pytest.fixture
def connection(done: tuple[Path, Summary]) -> Iterator[Connection]:
    with store.reading(store.open_store(f"sqlite:///{done[0] / 'a.db'}", create=False)) as opened:
        yield opened


def setting(
    connection: Connection, nights: Period, title: str = "Explanation of Payment"
) -> Setting:
    _, tables = read_reference(connection)
    words = Words(load_adjustment_codes(), load_message_codes())
    return Setting(title, nights, load_programs(), tables["payees"], words)


def told(connection: Connection, nights: Period) -> dict[tuple[str, str | None], Document]:
    made = documents(explanation_of_payment(connection, nights), setting(connection, nights))
    return {(d["program_code"], d["payee"]["payee_id"]): d for d in made}


def claims_of(document: Document) -> dict[str, dict[str, Any]]:
    parts = (*document["payments"], document["in_process"])
    return {c["patient_control_number"]: c for part in parts for c in part["claims"]}


def first_night(connection: Connection) -> Period:
    return period(connection, 1, None, None)


# ---- figures -----------------------------------------------------------------------------------


def test_a_claim_line_by_line_as_its_case_works_it_out(connection: Connection) -> None:
    """professional-percent-of-medicare, PM-110: 210.00 − 63.86 − 20.00 = 126.14 and
    45.00 − 28.64 = 16.36; 126.14 + 16.36 = 142.50."""
    document = told(connection, first_night(connection))["carepartners", "P02"]
    claim = claims_of(document)["PM-110"]
    figures = ("procedure_code", "charge", "allowed", "copay", "other_adjustment", "paid")
    names = [n if n.endswith("code") else f"{n}_amount" for n in figures]
    assert [[line[n] for n in names] for line in claim["lines"]] == [
        ["99214", 21000, 14614, 2000, 6386, 12614],
        ["93000", 4500, 1636, 0, 2864, 1636],
    ]
    made = [[(a["code"], a["adjustment_amount"]) for a in line["adjustments"]]
            for line in claim["lines"]]  # fmt: skip
    assert made == [[("CO-45", 6386), ("PR-3", 2000)], [("CO-45", 2864)]]
    assert claim["lines"][0]["adjustments"][0]["words"] == "charged above what is allowed"
    assert (claim["status"], claim["message_codes"]) == ("paid", ["PAID"])
    assert (claim["charge_amount"], claim["allowed_amount"], claim["member_amount"],
            claim["paid_amount"]) == (25500, 16250, 2000, 14250)  # fmt: skip
    assert document["payments"][0]["payment_amount"] == 14250
    assert claim["patient_last_name"] == "QUILLFEATHER"
    assert claim["member_number"] == "CPC20000201"


def test_deductible_coinsurance_and_copay_stand_apart(connection: Connection) -> None:
    """deductible-in-mid-claim: 170.00 + 118.00 + 12.00 deductible, 9.20 + 2.85 coinsurance."""
    claim = claims_of(told(connection, first_night(connection))["ct-partnership", "P07"])["DM-1"]
    assert claim["deductible_amount"] == 17000 + 11800 + 1200
    assert claim["coinsurance_amount"] == 920 + 285
    assert claim["copay_amount"] == claim["other_adjustment_amount"] == 0
    assert claim["paid_amount"] == 33726 - 30000 - 1205 == 2521


def test_every_claim_but_the_rejected_stands_once_and_the_sums_are_the_nights(
    connection: Connection, done: tuple[Path, Summary]
) -> None:
    summary = done[1]
    every = told(connection, first_night(connection)).values()
    claims = [c for d in every for c in claims_of(d).values()]
    counts = {s: sum(c["status"] == s for c in claims) for s in ("paid", "denied", "pended")}
    assert counts == {
        "paid": summary.counts["paid"]["count"],
        "denied": summary.counts["denied"]["count"],
        "pended": summary.counts["carried_forward"]["count"],
    }
    assert len({c["claim_number"] for c in claims}) == len(claims)
    assert "RJ-1" not in [c["patient_control_number"] for c in claims]
    assert sum(d["totals"]["paid_amount"] for d in every) == summary.paid_amount
    for document in every:
        for sums in (document["totals"], *(p["totals"] for p in document["payments"])):
            parts = ("deductible", "coinsurance", "copay", "other_adjustment", "paid")
            assert sums["charge_amount"] == sum(sums[f"{name}_amount"] for name in parts)


def test_a_payment_is_the_835s(connection: Connection, done: tuple[Path, Summary]) -> None:
    folder, summary = done
    for document in told(connection, first_night(connection)).values():
        for payment in document["payments"]:
            text = (folder / "out" / summary.folder / payment["file_name"]).read_text("ascii")
            [bpr] = re.findall(r"~BPR\*I?H?\*([\d.]+)\*", text)
            [trace] = re.findall(r"~TRN\*1\*(\w+)\*", text)
            assert round(float(bpr) * 100) == payment["payment_amount"]
            assert trace == payment["trace_number"]
            assert text.count("~CLP*") == payment["totals"]["claim_count"]


def test_a_pended_claim_says_what_it_waits_for_and_has_no_figures(connection: Connection) -> None:
    """missing-fee: the second line alone has no fee."""
    document = told(connection, first_night(connection))["carepartners", "P03"]
    claim = claims_of(document)["MF-FEE"]
    assert (claim["status"], claim["message_codes"]) == ("pended", ["REFERENCE"])
    assert [line["message_codes"] for line in claim["lines"]] == [[], ["REFERENCE"]]
    assert claim["charge_amount"] == 17000
    assert claim["paid_amount"] is None
    assert all(line["paid_amount"] is None and not line["adjustments"] for line in claim["lines"])
    assert document["totals"]["claim_count"] == document["payments"][0]["totals"]["claim_count"]
    said = {m["code"]: m["words"] for m in document["messages"]}
    assert "nothing is needed from you" in said["REFERENCE"]


@pytest.mark.parametrize(("last", "days"), [(DAY, 0), (date(2025, 11, 21), 6)])
def test_pended_claims_age_to_the_reports_date(
    connection: Connection, last: date, days: int
) -> None:
    document = told(connection, period(connection, None, DAY, last))["carepartners", "P03"]
    assert claims_of(document)["MF-FEE"]["age_days"] == days
    assert document["report_date"] == last.isoformat()


def test_a_report_of_a_night_stays_what_it_was_once_later_nights_decide(
    connection: Connection,
) -> None:
    """MF-FEE is paid on the second night: 30.00 for 95115 is allowed 12.00, and 99213 pays
    140.00 − 48.50 − 10.00 = 81.50 as FT-2's does. The report of the first still has it pended."""
    first = told(connection, first_night(connection))["carepartners", "P03"]
    assert claims_of(first)["MF-FEE"]["status"] == "pended"
    second = told(connection, period(connection, None, None, None))["carepartners", "P03"]
    assert list(claims_of(second)) == ["MF-FEE"]
    claim = claims_of(second)["MF-FEE"]
    assert (claim["status"], claim["age_days"]) == ("paid", 7)
    assert [line["paid_amount"] for line in claim["lines"]] == [8150, 1200]
    assert second["in_process"]["claims"] == []
    both = told(connection, period(connection, None, DAY, NEXT))["carepartners", "P03"]
    assert len(both["payments"]) == 2
    assert both["in_process"]["claims"] == []


def test_a_pend_that_a_denial_beats_is_not_what_a_claim_waits_for() -> None:
    """As fate.py has it: line 1's denial takes its pend away, line 2's stands."""
    pended = pl.DataFrame({"claim_id": [7]})
    lines = pl.DataFrame({"claim_id": [7, 7], "line_number": [1, 2]})
    rows = [
        (1, "timely_filing", 60, "deny", None),
        (1, "suspected_duplicate", 65, "pend", "DUPLICATE"),
        (2, "missing_reference", 900, "pend", "REFERENCE"),
    ]
    findings = pl.DataFrame(
        [
            {"claim_id": 7, "line_number": line, "edit": edit, "edit_rank": rank,
             "disposition": disposition, "pend_code": code}
            for line, edit, rank, disposition, code in rows
        ],
        schema=frames.empty(frames.Findings).schema,
    )  # fmt: skip
    claims, of_lines = figures_module._waits(pended, lines, findings)
    assert claims.rows() == [(7, "REFERENCE")]
    assert of_lines.rows() == [(7, 2, ["REFERENCE"])]


def test_the_summary_holds_what_is_pended_and_nothing_else(connection: Connection) -> None:
    nights = first_night(connection)
    made = claims_in_process(connection, nights)
    assert sorted(made.claims["patient_control_number"]) == ["MF-DATE", "MF-FEE", "ND-1", "PU-1"]
    [unknown] = [
        d for d in documents(made, setting(connection, nights, "Summary of Claims in Process"))
        if d["payee"]["payee_id"] is None
    ]  # fmt: skip
    assert list(claims_of(unknown)) == ["PU-1"]
    assert unknown["payments"] == []
    # decided on the second night
    later = claims_in_process(connection, period(connection, 2, None, None))
    assert sorted(later.claims["patient_control_number"]) == ["MF-DATE", "ND-1", "PU-1"]
    assert claims_in_process(connection, nights, "P05").claims.height == 0


def test_one_payee_alone(connection: Connection) -> None:
    figures = explanation_of_payment(connection, first_night(connection), "P02")
    assert figures.claims["patient_control_number"].to_list() == ["PM-110"]
    assert figures.payments["payee_id"].to_list() == ["P02"]


def test_the_register_is_what_was_paid(connection: Connection, done: tuple[Path, Summary]) -> None:
    register = payment_register(connection, first_night(connection))
    assert register["payment_amount"].sum() == done[1].paid_amount
    # DM-1, ED-1 to 3, PM-100 and 110, FT-1 and 2, RJ-2, and the five of timely-filing
    assert register["claim_count"].sum() == 1 + 3 + 2 + 2 + 1 + 5
    assert register["trace_number"].is_sorted()
    assert register["payment_method_code"].is_in(["ACH", "CHK", "NON"]).all()


def test_disputes_are_told_beside_a_filing_denial_alone(connection: Connection) -> None:
    """2025-11-15 and 120 days: 15 to Nov 30, 46 to Dec 31, 77 to Jan 31, 105 to Feb 28, and
    15 more are 2026-03-15."""
    for (_, payee), document in told(connection, first_night(connection)).items():
        late = "CO-29" in json.dumps(document["payments"])
        assert bool(document["notices"]) == late, payee
        for notice in document["notices"]:
            assert notice == {"code": "CO-29", "days": 120, "last_date": "2026-03-15"}


def test_plans_whose_figures_are_illustrative_are_marked(connection: Connection) -> None:
    every = told(connection, first_night(connection))
    assert every["carepartners", "P02"]["illustrative_plans"] == ["CareAdvantage Prime HMO"]
    assert every["ct-partnership", "P07"]["illustrative_plans"] == []
    row = next(csv.DictReader(io.StringIO(as_csv(every["carepartners", "P02"]).decode())))
    assert row["illustrative_plan"] == "yes"


def test_capitated_claims_show_nothing_paid_and_a_prepaid_code(tmp_path: Path) -> None:
    """capitated, CA-1: 150.00 − copay 10.00 = 140.00 prepaid beside a blood draw paid 8.50;
    CA-3: 190.00 − 10.00 = 180.00 prepaid, 0.00 paid."""
    (tmp_path / "inbox").mkdir()
    shutil.copy(CLAIMS / "capitated" / "claim.837", tmp_path / "inbox")
    load(tmp_path / "a.db", REFERENCE)
    night(tmp_path, tmp_path / "inbox", DAY)
    with store.reading(store.open_store(f"sqlite:///{tmp_path / 'a.db'}")) as opened:
        [document] = told(opened, first_night(opened)).values()
    claims = claims_of(document)
    assert {n: (c["status"], c["message_codes"], c["paid_amount"]) for n, c in claims.items()} == {
        "CA-1": ("paid", ["PAID", "PREPAID"], 850),
        "CA-2": ("paid", ["PAID"], 8150),
        "CA-3": ("prepaid", ["PREPAID"], 0),
        "CA-4": ("prepaid", ["PREPAID"], 0),
    }
    prepaid, paid = claims["CA-1"]["lines"]
    assert (prepaid["status"], prepaid["copay_amount"], prepaid["other_adjustment_amount"]) == (
        "prepaid", 1000, 14000,
    )  # fmt: skip
    assert paid["status"] == "paid"
    assert document["totals"]["prepaid_count"] == 2
    said = {m["code"]: m["words"] for m in document["messages"]}
    assert said["PREPAID"].startswith("prepaid under the capitation agreement")
    text = "\n".join(pages(publish.as_pdf(json.dumps(document))))
    assert text.count("PREPAID") == 3  # two claims, one meaning


def test_figures_that_do_not_add_up_are_refused(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = figures_module._payments
    monkeypatch.setattr(
        figures_module, "_payments",
        lambda *a: made(*a).with_columns(pl.col("payment_amount") + 1),
    )  # fmt: skip
    with pytest.raises(ReportError, match="claims are not the payment's amount"):
        explanation_of_payment(connection, first_night(connection))


# ---- words -------------------------------------------------------------------------------------


def test_every_code_that_an_edit_puts_has_words() -> None:
    words = Words(load_adjustment_codes(), load_message_codes())
    codes = {e.pend_code for e in EDITS if e.pend_code} | {"SYSTEM", "REFERENCE", "RECEIVED"}
    for e in EDITS:
        codes |= {c for c in (e.carc, e.rarc, e.group_code) if c}
        codes |= {code for pair in e.other_codes for code in pair}
    unsaid = sorted(code for code in codes if words.of(code) == words.of("no such code"))
    assert not unsaid


# ---- documents on disk -------------------------------------------------------------------------


def publish_all(folder: Path, out: Path, nights: Period) -> dict[str, bytes]:
    with store.reading(store.open_store(f"sqlite:///{folder / 'a.db'}", create=False)) as opened:
        for report in ("eop", "in-process"):
            publish_documents(opened, report, nights, out, publish.FORMATS)
        publish_register(opened, nights, out, ("csv", "json"))
    return {
        p.relative_to(out).as_posix(): p.read_bytes() for p in sorted(out.rglob("*")) if p.is_file()
    }


@pytest.fixture(scope="module")
def published(done: tuple[Path, Summary]) -> tuple[Path, dict[str, bytes]]:
    out = done[0] / "reports"
    return out, publish_all(done[0], out, Period((1,), DAY, DAY, of_one_run=True))


def test_the_same_night_twice_is_the_same_bytes_in_another_process_too(
    done: tuple[Path, Summary], published: tuple[Path, dict[str, bytes]], tmp_path: Path
) -> None:
    db = f"sqlite:///{done[0] / 'a.db'}"
    environment = {**os.environ, "PYTHONHASHSEED": "7", "TZ": "Pacific/Auckland", "LC_ALL": "C"}
    subprocess.run(
        [sys.executable, "-m", "cli", "report", "eop", "--run", "1", "--db", db,
         "--out", str(tmp_path)],
        cwd=ROOT, env=environment, check=True, capture_output=True,
    )  # fmt: skip
    for report in ("in-process", "register"):
        made = command(done[0], "report", report, "--run", "1", "--out", str(tmp_path))
        assert made.exit_code == 0
    again = {
        p.relative_to(tmp_path).as_posix(): p.read_bytes()
        for p in tmp_path.rglob("*")
        if p.is_file()
    }
    assert again == published[1]


def test_files_are_named_by_payee_and_night_and_for_their_owner_alone(
    published: tuple[Path, dict[str, bytes]],
) -> None:
    out, files = published
    assert "eop/carepartners-P03-2025-11-15-run-000001.pdf" in files
    assert "in-process/carepartners-no-payee-2025-11-15-run-000001.csv" in files
    assert "register/payments-2025-11-15-run-000001.json" in files
    assert {(out / name).stat().st_mode & 0o777 for name in files} == {0o600}
    assert {p.stat().st_mode & 0o777 for p in out.iterdir()} == {0o700}
    assert not [name for name in files if "partial" in name]


def test_the_pdf_tells_what_the_json_tells(published: tuple[Path, dict[str, bytes]]) -> None:
    files = published[1]
    for name in [n for n in files if n.endswith(".pdf")]:
        document = json.loads(files[name.replace(".pdf", ".json")])
        shown = pages(files[name])
        text = "\n".join(shown)
        assert document["report"].upper() in shown[0]
        for claim in claims_of(document).values():
            assert claim["claim_number"] in text
            assert f"{claim['patient_last_name']}, {claim['patient_first_name']}" in " ".join(
                text.split("\n")
            )
            assert claim["status"].upper() in text
        for number, page in enumerate(shown, 1):
            assert f"Page {number} of {len(shown)}" in page
            if claims_of(document) and number < len(shown):
                assert "Service dates" in page  # the table's head stands on every page
        for payment in document["payments"]:
            cents = payment["payment_amount"]
            assert f"{cents // 100:,}.{cents % 100:02d}" in text
        assert ("03/15/2026" in text) == bool(document["notices"])
        assert ("† Illustrative." in text) == bool(document["illustrative_plans"])
        assert b"CreationDate" not in files[name]


def test_a_remark_on_the_members_share_is_told_though_its_amount_has_a_column(
    published: tuple[Path, dict[str, bytes]],
) -> None:
    document = json.loads(published[1]["eop/carepartners-P02-2025-11-15-run-000001.json"])
    line = document["payments"][0]["claims"][0]["lines"][0]
    before = "\n".join(pages(publish.as_pdf(json.dumps(document))))
    [copay] = [a for a in line["adjustments"] if a["carc"] == "3"]
    copay["rarc"] = "N549"
    after = "\n".join(pages(publish.as_pdf(json.dumps(document))))
    assert "N549" not in before
    assert after.count("N549") == 1
    assert after.count("20.00") == before.count("20.00")


def test_the_csv_has_a_row_a_line_and_its_sums_are_the_documents(
    published: tuple[Path, dict[str, bytes]],
) -> None:
    files = published[1]
    rows = list(csv.DictReader(io.StringIO(
        files["eop/carepartners-P03-2025-11-15-run-000001.csv"].decode("utf-8")
    )))  # fmt: skip
    document = json.loads(files["eop/carepartners-P03-2025-11-15-run-000001.json"])
    assert len(rows) == sum(len(c["lines"]) for c in claims_of(document).values())
    paid = sum(round(float(r["paid"]) * 100) for r in rows if r["paid"])
    assert paid == document["totals"]["paid_amount"]
    late = next(r for r in rows if r["patient_control_number"] == "TF-61")
    assert (late["adjustments"], late["paid"], late["line_status"]) == (
        "CO-29 140.00", "0.00", "denied",
    )  # fmt: skip


def test_a_file_is_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.csv"
    write_whole(path, b"before")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(path, b"after")
    assert path.read_bytes() == b"before"
    monkeypatch.undo()
    write_whole(path, b"after")
    assert path.read_bytes() == b"after"
    assert [p.name for p in tmp_path.iterdir()] == ["a.csv"]


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("P01", "x-P01-"),
        (None, "x-no-payee-"),
        ("../../etc/passwd", "x-______etc_passwd-"),
        ("a b", "x-a_b-"),
        ("no-payee", "x-no-payee-"),
        ("L" * 300, f"x-{'L' * 40}-"),
    ],
)
def test_a_payees_key_makes_a_plain_file_name(key: str | None, name: str) -> None:
    nights = Period((1,), DAY, DAY, of_one_run=True)
    stem = publish._stem({"program_code": "x", "payee": {"payee_id": key}}, nights, set())
    assert stem.startswith(name)
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,120}", stem)


def test_no_two_payees_share_a_file() -> None:
    nights = Period((1,), DAY, DAY, of_one_run=True)
    seen: set[str] = set()
    keys = ["p01", "P01", "a b", "a_b", None, "no-payee", "No-Payee"]
    stems = [
        publish._stem({"program_code": "x", "payee": {"payee_id": k}}, nights, seen).lower()
        for k in keys
    ]
    assert len(set(stems)) == len(keys)


def test_two_processes_write_what_one_does(
    connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nights = first_night(connection)
    publish_documents(connection, "in-process", nights, tmp_path / "one", publish.FORMATS)
    monkeypatch.setattr(publish, "APART_SIZE", 0)
    publish_documents(connection, "in-process", nights, tmp_path / "two", publish.FORMATS)

    def files(folder: Path) -> dict[str, bytes]:
        return {p.name: p.read_bytes() for p in (folder / "in-process").iterdir()}

    assert files(tmp_path / "one") == files(tmp_path / "two")
    assert len(files(tmp_path / "one")) == 9
    assert {p.stat().st_mode & 0o777 for p in (tmp_path / "two").rglob("*.pdf")} == {0o600}


def test_names_and_numbers_of_members_reach_no_screen_and_no_file_name(
    done: tuple[Path, Summary], published: tuple[Path, dict[str, bytes]], tmp_path: Path
) -> None:
    members = pl.read_csv(REFERENCE / "members.csv", infer_schema=False)
    secret = [v.upper() for c in ("last_name", "first_name", "card_number") for v in members[c]]
    shown = " ".join(published[1])
    for report in ("eop", "in-process", "register"):
        for more in ([], ["--json"]):
            made = command(done[0], "report", report, "--run", "1", "--out", str(tmp_path), *more)
            shown += made.stdout + made.stderr
    assert not [word for word in secret if word in shown.upper()]


# ---- the command -------------------------------------------------------------------------------


def command(folder: Path, *arguments: str) -> Any:
    return CliRunner().invoke(cli.app, [*arguments, "--db", f"sqlite:///{folder / 'a.db'}"])


def test_the_latest_run_all_payees_and_all_formats_are_the_default(
    done: tuple[Path, Summary], tmp_path: Path
) -> None:
    made = command(done[0], "report", "eop", "--out", str(tmp_path), "--json")
    answer = json.loads(made.stdout)
    assert (answer["run_ids"], answer["paid_amount"]) == ([2], 9350)
    assert answer["written"][:3] == [
        f"carepartners-P01-2025-11-22-run-000002.{kind}" for kind in ("pdf", "csv", "json")
    ]
    made = command(done[0], "report", "register", "--out", str(tmp_path), "--from", "2025-11-01",
                   "--to", "2025-11-30", "--format", "csv")  # fmt: skip
    assert made.stdout.splitlines()[0] == "Payment register, 2025-11-01 to 2025-11-30 (2 runs)"
    assert [p.name for p in (tmp_path / "register").iterdir()] == [
        "payments-2025-11-01-to-2025-11-30.csv"
    ]
    assert max(map(len, made.stdout.splitlines()[:-1])) <= 80


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--run", "9"], 1, "no run 9; the latest is 2"),
        (["--from", "2025-01-01", "--to", "2025-01-31"], 1, "no night from 2025-01-01"),
        (["--from", "2025-12-01", "--to", "2025-11-01"], 1, "ends (2025-11-01) before it begins"),
        (["--from", "2025-11-01"], 2, "--from and --to go together"),
        (["--run", "1", "--from", "2025-11-01", "--to", "2025-11-30"], 2, "exclude each other"),
        (["--from", "yesterday", "--to", "2025-11-30"], 2, "is not a date"),
        (["--format", "docx"], 2, "this report is made as pdf, csv, json"),
        (["--payee", "P99"], 1, "payee P99 has no claim here"),
        (["--out", "/dev/null/x"], 1, "Not a directory"),
    ],
)
def test_what_goes_wrong_is_one_line(
    done: tuple[Path, Summary], arguments: list[str], code: int, words: str
) -> None:
    made = command(done[0], "report", "eop", *arguments)
    assert made.exit_code == code
    assert words in made.stderr
    assert len(made.stderr.splitlines()) == 1
    assert not made.stdout


def test_a_register_is_no_pdf_and_an_absent_store_is_told(tmp_path: Path) -> None:
    made = command(tmp_path, "report", "register", "--format", "pdf")
    assert (made.exit_code, "this report is made as csv, json" in made.stderr) == (2, True)
    made = command(tmp_path, "report", "eop")
    assert (made.exit_code, "no store is there" in made.stderr) == (1, True)
    load(tmp_path / "a.db", REFERENCE)
    made = command(tmp_path, "report", "eop")
    assert (made.exit_code, "no night has been done" in made.stderr) == (1, True)


def test_a_program_that_is_gone_is_named(connection: Connection) -> None:
    nights = first_night(connection)
    without = setting(connection, nights)
    figures: Figures = explanation_of_payment(connection, nights)
    gone = Setting(without.title, nights, {}, without.payees, without.words)
    with pytest.raises(ReportError, match="program carepartners has claims"):
        list(documents(figures, gone))


# ---- whom to bill instead --------------------------------------------------------------------


def test_what_is_anothers_says_whom_to_bill(tmp_path: Path) -> None:
    load(tmp_path / "a.db", REFERENCE)
    night(tmp_path, CLAIMS / "ea-carve-out" / "claim.837", DAY)
    with store.reading(store.open_store(f"sqlite:///{tmp_path / 'a.db'}", create=False)) as opened:
        made = told(opened, period(opened, 1, None, None))
    said = {
        number: [a["words"] for line in claim["lines"] for a in line["adjustments"]]
        for document in made.values()
        for number, claim in claims_of(document).items()
    }
    of_others = "another payer covers this; bill it there; "
    assert said["EA-CO-LENSES"] == [
        "charged above what is allowed",
        "the member's copay",
        f"{of_others}Cigna, 1-800-244-6224",
    ]
    assert said["EA-CO-TOOTH"] == [f"{of_others}Connecticut Dental Health Partnership"]
    assert len(set(said["EA-CO-ROOM"])) == 1
    assert "www.ctbhp.com" in said["EA-CO-ROOM"][0]
    assert said["EA-CO-VISIT"] == ["charged above what is allowed"]
