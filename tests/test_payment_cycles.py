"""Payment cycles: the calendar, balances carried forward, recoveries, interest, monthly fees."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner

import cli
from adjudicator import payment_desk as desk
from adjudicator import store
from adjudicator.explain import as_text as explained
from adjudicator.explain import explain
from adjudicator.load import read_reference
from adjudicator.night import Order, Summary, run_night
from adjudicator.programs import load_programs
from adjudicator.reports.figures import explanation_of_payment, period
from adjudicator.reports.publish import publish_documents, publish_register
from adjudicator.reports.screen import as_text
from edi.balance import check_835, check_forwards
from schemas.config import Config
from tests.case_tools import FIXTURES, load_store
from tests.pdf_text import pages
from tests.pyx12_check import pyx12_errors

STORY = FIXTURES / "payment-cycles"


class Payer:
    """A payer's folder: its store and what its nights publish."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.db = f"sqlite:///{folder / 'adjudicator.db'}"
        self.programs = load_programs(folder / "programs")
        self.nights: dict[str, Summary] = {}
        self.explained = ""

    def night(self, day: str, file_day: str | None = "", received: str | None = None) -> Summary:
        """The night of that day with its claims file, or another's, or none."""
        file = self.folder / "claims" / f"{day if file_day == '' else file_day}.837"
        config = Config(db=self.db, out=self.folder / "out", programs=self.folder / "programs")
        when = date.fromisoformat(day)
        inputs = (file,) if file.is_file() else ()
        came = date.fromisoformat(received) if received else when
        self.nights[day] = run_night(Order(inputs, config, when, came))
        return self.nights[day]

    def take(self, payee: str, amount: int, day: str) -> desk.Act:
        with store.open_store(self.db).begin() as connection:
            _, tables = read_reference(connection)
            return desk.adjust(
                connection, payee, amount, reason="WO", note="paid twice in October",
                who="R. Ledger", made=date.fromisoformat(day), programs=self.programs,
                payees=tables["payees"], contracts=tables["contracts"],
            )  # fmt: skip

    def remittances(self, day: str) -> dict[str, bytes]:
        folder = self.folder / "out" / self.nights[day].folder / "835"
        return {p.stem.split("-")[-1]: p.read_bytes() for p in sorted(folder.glob("*.835"))}


def told(document: bytes) -> dict[str, list[str]]:
    """BPR, TRN, CLP and PLB of an 835, their elements from the first on."""
    out: dict[str, list[str]] = {"BPR": [], "TRN": [], "CLP": [], "PLB": []}
    for segment in document.decode("ascii").split("~"):
        tag, *elements = segment.split("*")
        if tag == "BPR":
            out[tag].append(f"{elements[0]} {elements[1]} {elements[3]}")
        elif tag == "TRN":
            out[tag].append(elements[1])
        elif tag == "CLP":
            out[tag].append(f"{elements[0]} {elements[1]} {elements[3]}")
        elif tag == "PLB":
            pairs = elements[2:]
            out[tag] += [f"{r} {a}" for r, a in zip(pairs[::2], pairs[1::2], strict=True)]
    return out


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Payer]:
    """fixtures/payment-cycles/README.md, night by night."""
    folder = tmp_path_factory.mktemp("payer") / "tidewater"
    shutil.copytree(STORY, folder)
    load_store(folder / "adjudicator.db", folder / "reference")
    payer = Payer(folder)
    payer.night("2025-11-03")
    with store.reading(store.open_store(payer.db)) as connection:
        payer.explained = explained(explain(connection, "S1", programs=payer.programs))
    payer.take("PT1", 20_000, "2025-11-03")
    payer.night("2025-11-05")
    payer.night("2025-11-06")
    payer.take("PT1", 6_000, "2025-11-10")
    payer.night("2025-11-13")
    payer.night("2025-11-19")
    payer.night("2025-11-26")
    yield payer


# by day and trace number, as worked in the README
BY_HAND: dict[str, dict[str, dict[str, list[str]]]] = {
    "2025-11-03": {},
    "2025-11-05": {
        "000000001": {
            "BPR": ["H 0 NON"], "TRN": ["000000001"], "CLP": ["A1 1 80", "A2 1 80"],
            "PLB": ["WO:ADJ000000001 200", "FB:000000001 -40"],
        },
        "000000002": {
            "BPR": ["I 80 CHK"], "TRN": ["000000002"], "CLP": ["B1 1 80"], "PLB": [],
        },
    },
    "2025-11-06": {},
    "2025-11-13": {
        "000000003": {
            "BPR": ["H 0 NON"], "TRN": ["000000003"], "CLP": ["A3 1 36.25"],
            "PLB": ["FB:000000001 40", "WO:ADJ000000002 60", "FB:000000003 -63.75"],
        },
    },
    "2025-11-19": {
        "000000004": {"BPR": ["H 0 NON"], "TRN": ["000000004"], "CLP": ["A4 1 0"], "PLB": []},
    },
    "2025-11-26": {
        "000000005": {
            "BPR": ["I 96.25 CHK"], "TRN": ["000000005"], "CLP": ["A5 1 80", "A6 1 80"],
            "PLB": ["FB:000000003 63.75"],
        },
    },
}  # fmt: skip


@pytest.mark.parametrize("day", BY_HAND)
def test_the_story_pays_what_was_worked_by_hand(story: Payer, day: str) -> None:
    written = story.remittances(day)
    assert {trace: told(document) for trace, document in written.items()} == BY_HAND[day]
    for document in written.values():
        assert check_835(document) == []
        assert pyx12_errors(document) == []


def test_balances_tie_over_the_cycles_and_no_claim_is_paid_twice_or_skipped(story: Payer) -> None:
    documents = [d for day in BY_HAND for d in story.remittances(day).values()]
    assert check_forwards(documents) == []
    claims = [clp.split()[0] for document in documents for clp in told(document)["CLP"]]
    assert sorted(claims) == ["A1", "A2", "A3", "A4", "A5", "A6", "B1"]


def test_a_night_that_does_not_pay_says_what_waits(story: Payer) -> None:
    # 80.00 + 80.00; then 36.25 alone
    for day, waits in (("2025-11-03", 16_000), ("2025-11-06", 3_625)):
        assert story.nights[day].cycle == {
            "payment_amount": 0, "waiting_amount": waits, "brought_forward_amount": 0,
            "carried_forward_amount": 0, "interest_amount": 0, "case_management_amount": 0,
            "recovered_amount": 0,
        }  # fmt: skip
        assert story.nights[day].paid_amount == waits  # decided, and in the ledger
    assert story.nights["2025-11-13"].cycle == {
        "payment_amount": 0, "waiting_amount": 0, "brought_forward_amount": 4_000,
        "carried_forward_amount": 6_375, "interest_amount": 0, "case_management_amount": 0,
        "recovered_amount": 6_000,
    }  # fmt: skip


def test_the_same_night_again_pays_nothing_again(story: Payer) -> None:
    day = "2025-11-26"
    before = story.remittances(day)
    assert story.night(day).as_json() == story.nights[day].as_json()
    assert story.remittances(day) == before


def test_each_claim_names_its_payment_from_the_day_it_is_in(story: Payer) -> None:
    with store.reading(store.open_store(story.db)) as connection:
        found = store.read_frame(
            connection,
            "SELECT c.patient_control_number, p.trace_number, e.entry_amount, r.business_date "
            "FROM claim AS c JOIN payment AS p ON p.payment_id = c.payment_id "
            "JOIN ledger_entry AS e ON e.claim_id = c.claim_id "
            "JOIN run AS r ON r.run_id = e.run_id",
            {"patient_control_number": pl.String, "trace_number": pl.String,
             "entry_amount": pl.Int64, "business_date": pl.String},
        ).sort("patient_control_number")  # fmt: skip
        told = explain(connection, "S1", programs=story.programs)
    assert found.rows() == [
        ("A1", "000000001", 8_000, "2025-11-03"), ("A2", "000000001", 8_000, "2025-11-05"),
        ("A3", "000000003", 3_625, "2025-11-06"), ("A4", "000000004", 0, "2025-11-19"),
        ("A5", "000000005", 8_000, "2025-11-26"), ("A6", "000000005", 8_000, "2025-11-26"),
        ("B1", "000000002", 8_000, "2025-11-03"),
    ]  # fmt: skip
    assert "PAYMENT\n  waits for the program's next payment day" in story.explained
    assert told.payment is not None
    assert told.payment["trace_number"] == "000000001"


def run_of(story: Payer, day: str) -> int:
    return story.nights[day].run_id


def test_the_eop_of_a_cycle_holds_its_claims_and_says_what_moved(story: Payer) -> None:
    with store.reading(store.open_store(story.db)) as connection:
        nights = period(connection, run_of(story, "2025-11-05"), None, None)
        done = publish_documents(
            connection, "eop", nights, story.folder, ("json", "csv", "pdf"),
            programs=story.folder / "programs",
        )  # fmt: skip
        waits = period(connection, run_of(story, "2025-11-06"), None, None)
        none_yet = explanation_of_payment(connection, waits)
    assert none_yet.claims.height == none_yet.payments.height == 0
    stem = next(n for n in done.written if "PT1" in n and n.endswith(".json"))
    eop = json.loads((done.folder / stem).read_text("utf-8"))
    [payment] = eop["payments"]
    assert [c["patient_control_number"] for c in payment["claims"]] == ["A1", "A2"]
    assert payment["totals"]["paid_amount"] == 16_000
    assert payment["payment_amount"] == 0
    assert payment["provider_adjustments"] == [
        {"reason_code": "WO", "reference_number": "ADJ000000001", "adjustment_amount": 20_000,
         "words": "recovery of an overpayment"},
        {"reason_code": "FB", "reference_number": "000000001", "adjustment_amount": -4_000,
         "words": "carried forward to the next payment"},
    ]  # fmt: skip
    text = "\n".join(pages((done.folder / stem.replace(".json", ".pdf")).read_bytes()))
    assert "recovery of an overpayment (ADJ000000001)" in text
    assert "carried forward to the next payment (000000001)" in text
    assert "-200.00" in text
    text = (done.folder / stem.replace(".json", ".csv")).read_text("utf-8-sig")
    table = csv.DictReader(io.StringIO(text))
    paid = [round(float(row["paid"]) * 100) for row in table]
    assert paid == [8_000, 8_000, -20_000, 4_000]
    assert sum(paid) == payment["payment_amount"]


def test_the_register_says_how_each_payment_came_about(story: Payer) -> None:
    with store.reading(store.open_store(story.db)) as connection:
        nights = period(connection, None, date(2025, 11, 1), date(2025, 11, 30))
        done = publish_register(connection, nights, story.folder, ("csv",))
    names = ("trace_number", "claim_count", "claims_amount", "brought_forward_amount",
             "carried_forward_amount", "recovered_amount", "payment_amount")  # fmt: skip
    assert [tuple(p[n] for n in names) for p in done.payments] == [
        ("000000001", 2, 16_000, 0, 4_000, 20_000, 0),
        ("000000002", 1, 8_000, 0, 0, 0, 8_000),
        ("000000003", 1, 3_625, 4_000, 6_375, 6_000, 0),
        ("000000004", 1, 0, 0, 0, 0, 0),
        ("000000005", 2, 16_000, 6_375, 0, 0, 9_625),
    ]
    for p in done.payments:
        assert p["payment_amount"] == (
            p["claims_amount"] - p["brought_forward_amount"] + p["carried_forward_amount"]
            + p["interest_amount"] + p["case_management_amount"] - p["recovered_amount"]
        )  # fmt: skip
    shown = as_text(done)
    assert "000000003  40.00 brought forward from an earlier payment" in shown
    assert "000000003  63.75 carried forward to the next payment" in shown
    assert max(map(len, shown.splitlines())) <= 80


def command(story: Payer, *arguments: str) -> Any:
    config = ("--config", str(story.folder / "adjudicator.yaml"), "--db", story.db)
    return CliRunner().invoke(cli.app, ["payments", *arguments, *config])


def test_payments_are_listed_and_shown(story: Payer) -> None:
    listed = command(story, "list", "--payee", "PT1").stdout
    assert [line.split()[0] for line in listed.splitlines()[1:5]] == [
        "000000005", "000000004", "000000003", "000000001",
    ]  # fmt: skip
    assert "4 payments, 96.25" in listed
    [row] = [line for line in listed.splitlines() if line.startswith("000000003")]
    assert row.split()[-3:] == ["40.00", "63.75", "0.00"]
    shown = command(story, "show", "000000003").stdout.splitlines()
    assert [line.split()[-1] for line in shown[3:]] == [
        "36.25", "36.25", "-40.00", "-60.00", "63.75", "0.00",
    ]  # fmt: skip
    assert "brought forward from payment 000000001" in shown[5]
    assert max(map(len, [*listed.splitlines(), *shown])) <= 80
    told = json.loads(command(story, "show", "5", "--json").stdout)
    assert told["claims_amount"] - sum(r["adjustment_amount"] for r in told["beside"]) == 9_625
    absent = command(story, "show", "000000099")
    assert absent.exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("PT9", "10.00"), "payee 'PT9' is not in the payees table"),
        (("PT1", "10.001"), "is not an amount"),
        (("PT1", "0"), "more than nothing"),
        (("--", "PT1", "-5"), "WO takes money"),
        (("PT1", "10", "--reason", "FB"), "give WO"),
        (("PT1", "10", "--program", "harbor"), "give one of tidewater"),
        (("PT1", "10", "--reference", "a*b"), "--reference must be"),
        (("PT1", "10", "--note", " "), "--note must be"),
    ],
)
def test_an_act_that_cannot_be_is_refused(
    story: Payer, arguments: tuple[str, ...], told: str
) -> None:
    note = [] if "--note" in arguments else ["--note", "seen"]
    config = ["--config", str(story.folder / "adjudicator.yaml"), "--db", story.db]
    said = ["payments", "adjust", "--who", "R. Ledger", *note, *config, *arguments]
    done = CliRunner().invoke(cli.app, said)
    assert done.exit_code == 1
    assert told in done.stderr
    with store.reading(store.open_store(story.db)) as connection:
        assert store.acts_waiting(connection, {}).height == 2


# ---- interest and monthly fees ---------------------------------------------------------------

TERMS = """
interest:
  - {start_date: 2024-01-01, after_days: 30, annual_rate_basis_points: 1000, judgement: true}
case_management:
  - start_date: 2024-01-01
    monthly_amount: 750
    reason_number: "8391"
    funding_source_code: TIDE
    citation: {document: "900", lines: [30, 30], phrase: seven fifty for each client}
"""


@pytest.fixture(scope="module")
def late(tmp_path_factory: pytest.TempPathFactory) -> Payer:
    """The same payer with interest and a monthly fee: three cycles, the last two without claims."""
    folder = tmp_path_factory.mktemp("late") / "tidewater"
    shutil.copytree(STORY, folder)
    with (folder / "programs" / "tidewater" / "program.yaml").open("a", encoding="utf-8") as file:
        file.write(TERMS)
    (folder / "reference" / "primary_care.csv").write_text(
        "member_id,provider_id,medical_group_id,funding_source_code,start_date,end_date\n"
        "T1,VT1,,,2025-06-01,\n"
    )
    load_store(folder / "adjudicator.db", folder / "reference")
    payer = Payer(folder)
    for day, file in (("2025-12-02", "2025-11-03"), ("2025-12-03", None), ("2025-12-10", None),
                      ("2026-01-07", None)):  # fmt: skip
        payer.night(day, file, received="2025-10-24")
    return payer


def test_interest_and_fees_stand_beside_the_claims(late: Payer) -> None:
    """A1 and B1, 80.00 each, are decided on Tuesday and paid on Wednesday, 40 days after receipt
    (7 + 30 + 3), 10 of them late: 80.00 × 10 % × 10 / 365 = 0.219…, 0.22. PT1 has one client in
    November: 7.50. PT1: 80.00 + 0.22 + 7.50 = 87.72; PT2: 80.22. In January December's 7.50."""
    assert late.remittances("2025-12-02") == late.remittances("2025-12-10") == {}
    paid = late.remittances("2025-12-03")
    assert {trace: told(document) for trace, document in paid.items()} == {
        "000000001": {
            "BPR": ["I 87.72 CHK"], "TRN": ["000000001"], "CLP": ["A1 1 80"],
            "PLB": ["L6 -0.22", "CT:8391-TIDE-202511 -7.5"],
        },
        "000000002": {
            "BPR": ["I 80.22 CHK"], "TRN": ["000000002"], "CLP": ["B1 1 80"], "PLB": ["L6 -0.22"],
        },
    }  # fmt: skip
    fees = late.remittances("2026-01-07")
    assert {trace: told(document) for trace, document in fees.items()} == {
        "000000003": {
            "BPR": ["I 7.5 CHK"], "TRN": ["000000003"], "CLP": [],
            "PLB": ["CT:8391-TIDE-202512 -7.5"],
        },
    }  # fmt: skip
    for document in [*paid.values(), *fees.values()]:
        assert (b"~AMT*I*0.22~" in document) == (document in paid.values())
        assert check_835(document) == []
        assert pyx12_errors(document) == []
    assert late.nights["2025-12-03"].cycle == {
        "payment_amount": 16_794, "waiting_amount": 0, "brought_forward_amount": 0,
        "carried_forward_amount": 0, "interest_amount": 44, "case_management_amount": 750,
        "recovered_amount": 0,
    }  # fmt: skip


def test_the_ledger_holds_what_was_paid_beside_claims(late: Payer) -> None:
    with store.reading(store.open_store(late.db)) as connection:
        entries = store.entries_of(connection, [n.run_id for n in late.nights.values()])
        nights = period(connection, late.nights["2026-01-07"].run_id, None, None)
        done = publish_documents(connection, "eop", nights, late.folder, ("json", "csv", "pdf"),
                                 programs=late.folder / "programs")  # fmt: skip
        shown = desk.show_as_text(desk.payments_show(connection, "000000001")).splitlines()
    assert entries.select("payment_id", "kind", "claim_id", "entry_amount").rows() == [
        (1, "claim", 1, 8_000), (2, "claim", 2, 8_000), (1, "case_management", None, 750),
        (1, "interest", 1, 22), (2, "interest", 2, 22), (3, "case_management", None, 750),
    ]  # fmt: skip
    # a payee who is paid fees alone has an explanation of them
    [stem] = [name for name in done.written if name.endswith(".json")]
    eop = json.loads((done.folder / stem).read_text("utf-8"))
    assert eop["payments"][0]["claims"] == []
    text = "\n".join(pages((done.folder / stem.replace(".json", ".pdf")).read_bytes()))
    assert "case management fee (8391-TIDE-202512)" in text
    assert [line.split()[-1] for line in shown[3:]] == ["80.00", "80.00", "0.22", "7.50", "87.72"]


def test_reversals_come_with_the_next_cycle(tmp_path: Path) -> None:
    """A1, paid 80.00 on a Wednesday, is replaced by R (36.25) on Thursday; A3 (36.25), decided on
    Thursday and not paid yet, is voided on Friday. The next Wednesday pays all of it:
    -80.00 + 36.25 + 36.25 - 36.25 = -43.75, carried forward."""
    folder = tmp_path / "tidewater"
    shutil.copytree(STORY, folder)
    load_store(folder / "adjudicator.db", folder / "reference")
    payer = Payer(folder)
    payer.night("2025-11-03")
    payer.night("2025-11-05")
    correction(folder, "2025-11-06", "R", "7", "000000000001", 911)
    payer.night("2025-11-06")
    assert payer.remittances("2025-11-06") == {}
    [(a3,)] = rows(payer, "SELECT claim_number FROM claim WHERE patient_control_number = 'A3'")
    correction(folder, "2025-11-07", "V", "8", a3, 912, whole=False)
    night = payer.night("2025-11-07")
    assert (night.reversed, night.paid_amount) == ({"count": 1, "paid_amount": -3_625}, -3_625)
    payer.night("2025-11-12", None)
    [(trace, document)] = payer.remittances("2025-11-12").items()
    shown = told(document)
    assert shown["BPR"] == ["H 0 NON"]
    assert sorted(shown["CLP"]) == ["A1 22 -80", "A3 1 36.25", "A3 22 -36.25", "R 1 36.25"]
    assert shown["PLB"] == [f"FB:{trace} -43.75"]
    assert check_835(document) == []
    assert pyx12_errors(document) == []
    states = rows(payer, "SELECT patient_control_number, disposition FROM claim ORDER BY 1")
    assert dict(states) == {"A1": "voided", "A2": "paid", "A3": "voided", "B1": "paid",
                            "R": "paid", "V": "voided"}  # fmt: skip
    assert rows(
        payer,
        "SELECT kind, entry_amount FROM ledger_entry WHERE kind = 'reversal' ORDER BY entry_id",
    ) == [("reversal", -8_000), ("reversal", -3_625)]
    with store.reading(store.open_store(payer.db)) as connection:
        last = period(connection, None, None, None)
        figures = explanation_of_payment(connection, last)
    assert figures.claims["status"].to_list().count("reversed") == 2


# by day and trace number: what PT1 is told of corrections over four cycles
CORRECTED: dict[str, dict[str, dict[str, list[str]]]] = {
    "2025-11-05": {
        "000000001": {
            "BPR": ["I 160 CHK"], "TRN": ["000000001"], "CLP": ["A1 1 80", "A2 1 80"], "PLB": [],
        },
        "000000002": {
            "BPR": ["I 80 CHK"], "TRN": ["000000002"], "CLP": ["B1 1 80"], "PLB": [],
        },
    },
    "2025-11-12": {
        "000000003": {
            "BPR": ["H 0 NON"], "TRN": ["000000003"],
            "CLP": ["A1 22 -80", "A2 22 -80", "A3 1 36.25"],
            "PLB": ["FB:000000003 -123.75"],
        },
    },
    "2025-11-19": {
        "000000004": {
            "BPR": ["H 0 NON"], "TRN": ["000000004"],
            "CLP": ["A3 22 -36.25", "R 1 80", "A4 1 0"],
            "PLB": ["FB:000000003 123.75", "FB:000000004 -80"],
        },
    },
    "2025-11-26": {
        "000000005": {
            "BPR": ["I 80 CHK"], "TRN": ["000000005"], "CLP": ["A5 1 80", "A6 1 80"],
            "PLB": ["FB:000000004 80"],
        },
    },
}  # fmt: skip


def test_what_corrections_take_back_is_recovered_over_the_cycles(tmp_path: Path) -> None:
    """A1 and A2, paid 160.00 in the first cycle, are voided; A3 is replaced.

        Wed 11-05  A1 80.00 + A2 80.00                                             pays 160.00
        Wed 11-12  A3 36.25 - A1 80.00 - A2 80.00 = -123.75: owes 123.75           pays 0.00
        Wed 11-19  R 80.00 - A3 36.25 + A4 0.00 = 43.75; 43.75 - 123.75: owes 80.00  pays 0.00
        Wed 11-26  A5 80.00 + A6 80.00 = 160.00; 160.00 - 80.00                    pays 80.00

    What stands is R, A5 and A6, 240.00: 160.00 + 80.00 was paid.
    """
    folder = tmp_path / "tidewater"
    shutil.copytree(STORY, folder)
    load_store(folder / "adjudicator.db", folder / "reference")
    payer = Payer(folder)

    def number(name: str) -> str:
        told_as = f"SELECT claim_number FROM claim WHERE patient_control_number = '{name}'"
        return str(rows(payer, told_as)[0][0])

    payer.night("2025-11-03")
    payer.night("2025-11-05")
    correction(folder, "2025-11-06", "V1", "8", number("A1"), 921)
    payer.night("2025-11-06")
    correction(folder, "2025-11-07", "V2", "8", number("A2"), 922, whole=False)
    payer.night("2025-11-07")
    payer.night("2025-11-12", None)
    correction(folder, "2025-11-18", "R", "7", number("A3"), 923, whole=False, visit=True)
    payer.night("2025-11-18")
    payer.night("2025-11-19")
    payer.night("2025-11-26")
    written = {day: payer.remittances(day) for day in payer.nights}
    shown = {
        day: {trace: told(document) for trace, document in of_day.items()}
        for day, of_day in written.items() if of_day
    }  # fmt: skip
    assert shown == CORRECTED
    documents = [document for of_day in written.values() for document in of_day.values()]
    assert check_forwards(documents) == []
    for document in documents:
        assert check_835(document) == []
        assert pyx12_errors(document) == []
    of_pt1 = "FROM payment WHERE payee_id = 'PT1' ORDER BY payment_id"
    assert rows(payer, f"SELECT trace_number, payment_amount {of_pt1}") == [
        ("000000001", 16_000), ("000000003", 0), ("000000004", 0), ("000000005", 8_000),
    ]  # fmt: skip
    assert rows(
        payer,
        "SELECT c.patient_control_number, sum(e.entry_amount) FROM ledger_entry AS e "
        "JOIN claim AS c ON c.claim_id = e.claim_id WHERE e.payee_id = 'PT1' "
        "GROUP BY 1 HAVING sum(e.entry_amount) <> 0 ORDER BY 1",
    ) == [("A5", 8_000), ("A6", 8_000), ("R", 8_000)]
    carried = {day: night.cycle["carried_forward_amount"] for day, night in payer.nights.items()
               if written[day]}  # fmt: skip
    assert carried == {
        "2025-11-05": 0, "2025-11-12": 12_375, "2025-11-19": 8_000, "2025-11-26": 0,
    }  # fmt: skip
    with store.reading(store.open_store(payer.db)) as connection:
        nights = period(connection, run_of(payer, "2025-11-19"), None, None)
        done = publish_documents(connection, "eop", nights, folder, ("json",),
                                 programs=folder / "programs")  # fmt: skip
    stem = next(n for n in done.written if "PT1" in n and n.endswith(".json"))
    [payment] = json.loads((done.folder / stem).read_text("utf-8"))["payments"]
    assert [
        (c["patient_control_number"], c["status"], c["paid_amount"]) for c in payment["claims"]
    ] == [("A3", "reversed", -3_625), ("R", "paid", 8_000), ("A4", "denied", 0)]
    assert (payment["totals"]["paid_amount"], payment["payment_amount"]) == (4_375, 0)
    assert [
        (a["reference_number"], a["adjustment_amount"]) for a in payment["provider_adjustments"]
    ] == [("000000003", 12_375), ("000000004", -8_000)]


def two_programs(folder: Path) -> Payer:
    """The night of 11-03 keeps A1 and B1 of Tidewater and E1 and E2 of Ebbtide, 80.00 each.
    Tidewater pays its own on Wednesday 11-05; on 11-19, a Wednesday, it pays A3 of 11-06, 36.25,
    and Ebbtide, which pays on the 19th, what waits since 11-03."""
    shutil.copytree(STORY, folder)

    def of_ebbtide(text: str) -> str:
        for old, new in (
            ("tidewater", "ebbtide"), ("TDW10000001", "EBB10000001"), ("T1,T1,", "T2,T2,"),
            ("T1,ebbtide,ebb", "T2,ebbtide,ebb"), ("CT1,PT1", "CT3,PT1"),
            ("CT2,PT2", "CT4,PT2"), ("weekdays: [wednesday]", "month_days: [19]"),
            ("receiver_numbers: [TDWT1]", "receiver_numbers: [EBBT1]"),
            ("*A1*", "*E1*"), ("*B1*", "*E2*"), ("901", "931"),
        ):  # fmt: skip
            text = text.replace(old, new)
        return text

    programs = folder / "programs"
    shutil.copytree(programs / "tidewater", programs / "ebbtide")
    for path in (programs / "ebbtide").rglob("*.yaml"):
        path.with_name(of_ebbtide(path.name)).write_text(
            of_ebbtide(path.read_text("utf-8")), "utf-8"
        )
    (programs / "ebbtide" / "plans" / "tidewater-plain.yaml").unlink()
    for name in ("members", "coverage", "contracts"):
        path = folder / "reference" / f"{name}.csv"
        lines = path.read_text("utf-8").splitlines()
        lines += [of_ebbtide(line) for line in lines[1:]]
        path.write_text("\n".join(lines) + "\n", "utf-8")
    first = folder / "claims" / "2025-11-03.837"
    first.write_text(first.read_text("ascii") + of_ebbtide(first.read_text("ascii")), "ascii")
    load_store(folder / "adjudicator.db", folder / "reference")
    payer = Payer(folder)
    for day, file in (("2025-11-03", ""), ("2025-11-05", None), ("2025-11-06", ""),
                      ("2025-11-19", None)):  # fmt: skip
        payer.night(day, file)
    return payer


def test_programs_that_pay_on_other_days_tell_each_claim_once(tmp_path: Path) -> None:
    payer = two_programs(tmp_path / "both")
    shown = {
        day: [clp for document in payer.remittances(day).values() for clp in told(document)["CLP"]]
        for day in payer.nights
    }
    assert shown == {
        "2025-11-03": [], "2025-11-05": ["A1 1 80", "B1 1 80"], "2025-11-06": [],
        "2025-11-19": ["E1 1 80", "E2 1 80", "A3 1 36.25"],
    }  # fmt: skip


def rows(payer: Payer, statement: str) -> list[Any]:
    with store.reading(store.open_store(payer.db)) as connection:
        return [tuple(r) for r in connection.exec_driver_sql(statement).fetchall()]


def correction(
    folder: Path, day: str, name: str, frequency: str, original: str, control: int, *,
    whole: bool = True, visit: bool = False,
) -> None:  # fmt: skip
    """A file of one claim of PT1 that corrects another; not ``whole``: its file alone. It is of a
    manipulation (36.25), or of a ``visit`` (80.00)."""
    text = (STORY / "claims" / "2025-11-05.837").read_text()
    charge = 100 if visit else 50
    claim = f"CLM*{name}*{charge}***11:B:{frequency}*Y*A*Y*Y~\nREF*F8*{original}~\n"
    text = text.replace("CLM*A2*100***11:B:1*Y*A*Y*Y~\n", claim).replace("SE*23", "SE*24")
    if not visit:
        text = text.replace("99213*100", "98940*50")
    text = text.replace("902", str(control))
    path = folder / "claims" / f"{day}.837"
    if whole:
        text = path.read_text() + text
    path.write_text(text)
