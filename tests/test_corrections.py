"""Corrected claims through whole nights: what is reversed, what counts, what the 835 tells."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import cli
from adjudicator.night import NightError
from adjudicator.reprocess import ReprocessError, Selection, claim_number, reprocess
from adjudicator.verify import verify
from edi.balance import check_835
from tests.case_tools import REFERENCE, load_store
from tests.correcting import FIRST, HERE, THERE, Nights, Sent, written
from tests.pyx12_check import pyx12_errors
from tests.test_verify import forge, look

Lines = Sequence[tuple[str, int, int]]
EXAMPLES = int(os.environ.get("CORRECTION_HISTORIES", "3"))


@pytest.fixture
def nights(loaded: Path, tmp_path: Path) -> Nights:
    shutil.copy(loaded, tmp_path / "a.db")
    return Nights(tmp_path)


def sound(nights: Nights) -> None:
    """Every 835 balances and pyx12 finds nothing but its PLB error; what was paid is what the
    ledger says, payment by payment, less the balances it brought and carried; `verify` finds
    nothing wrong."""
    for path in sorted((nights.folder / "out").glob("run-*/835/*.835")):
        assert check_835(path.read_bytes()) == []
        assert [e for e in pyx12_errors(path.read_bytes()) if "FOOTER" not in str(e)] == []
    assert nights.rows(
        "SELECT p.payment_id FROM payment p JOIN ledger_entry l ON l.payment_id = p.payment_id "
        "GROUP BY p.payment_id, p.payment_amount HAVING p.payment_amount <> sum(l.entry_amount) "
        "- (SELECT coalesce(sum(a.adjustment_amount), 0) FROM provider_adjustment a "
        "WHERE a.payment_id = p.payment_id)"
    ) == []  # fmt: skip
    with nights.reading() as connection:
        assert verify(connection, nights.folder / "out").faults == []


# 99213 at 150.00: allowed 91.50, copay 10.00, paid 81.50; 99212 at 95.00: 41.30 - 10.00 = 31.30;
# 71046 at 90.00: 44.00 - 15.00 = 29.00
SMALLER = (("99212", 95, 4),)
LATE = (("71046", 90, 4),)
OUT_OF_POCKET = "accumulator_entry out_of_pocket_amount M1001"


def test_a_replacement_reverses_what_was_paid_and_is_paid_itself(nights: Nights) -> None:
    nights.night(Sent("A"))
    nights.night(Sent("B", SMALLER, "7", nights.number("A")[-8:]))
    assert nights.clps() == [
        ("A", "22", "-150", "-81.5", nights.number("A")),
        ("B", "1", "95", "31.3", nights.number("B")),
    ]
    segments = [s for s in nights.remittances()[0] if s[0] in ("CAS", "SVC", "MOA", "BPR", "PLB")]
    # 31.30 - 81.50 = -50.20: nothing is paid, and the payee owes it
    assert segments == [
        ["BPR", "H", "0", "C", "NON", *[""] * 11, "20251117"],
        ["MOA", "", "", "N694"],
        ["SVC", "HC:99213", "-150", "-81.5", "", "1"],
        ["CAS", "CO", "45", "-58.5"],
        ["CAS", "PR", "3", "-10"],
        ["SVC", "HC:99212", "95", "31.3", "", "1"],
        ["CAS", "CO", "45", "53.7"],
        ["CAS", "PR", "3", "10"],
        ["PLB", "2310006004", "20251231", "FB:000000002", "-50.2"],
    ]
    assert nights.fates() == {"A": "voided", "B": "paid"}
    assert nights.ledger() == {"B": 3130}
    assert nights.counters() == {OUT_OF_POCKET: 1000}
    told = nights.told()
    assert told["received"]["count"] == told["paid"]["count"] == 1
    assert told["reversed"] == {"count": 1, "paid_amount": -8150}
    assert told["paid_amount"] == 3130 - 8150
    sound(nights)


@pytest.mark.long
def test_what_is_owed_is_taken_from_the_next_payments(nights: Nights) -> None:
    """81.50 voided; then 31.30: 81.50 - 31.30 = 50.20 still owed; then 81.50 - 50.20 = 31.30."""
    nights.night(Sent("A"))
    nights.night(Sent("V", frequency="8", original=nights.number("A")))
    plb = [[s for s in nights.remittances()[0] if s[0] == "PLB"]]
    nights.night(Sent("C", (("99212", 95, 5),)))
    plb.append([s for s in nights.remittances()[0] if s[0] == "PLB"])
    nights.night(Sent("D", (("99213", 150, 6),)))
    plb.append([s for s in nights.remittances()[0] if s[0] == "PLB"])
    assert plb == [
        [["PLB", "2310006004", "20251231", "FB:000000002", "-81.5"]],
        [["PLB", "2310006004", "20251231", "FB:000000002", "81.5", "FB:000000003", "-50.2"]],
        [["PLB", "2310006004", "20251231", "FB:000000003", "50.2"]],
    ]
    amounts = nights.rows("SELECT payment_amount FROM payment ORDER BY payment_id")
    assert [amount for (amount,) in amounts] == [8150, 0, 0, 3130]
    nights.night(Sent("E", (("99212", 95, 7),)))
    assert not [s for s in nights.remittances()[0] if s[0] == "PLB"]
    sound(nights)


# What becomes of a correction, and of all it names: fates, Σ ledger and Σ copays, by the original.
# B is 99212 (31.30 paid, copay 10.00) but as late charges 71046 (29.00, copay 15.00); A has 81.50
# and 10.00
COMBINATIONS = {
    ("7", "paid"): ({"A": "voided", "B": "paid"}, {"B": 3130}, 1000),
    ("7", "denied"): ({"A": "voided", "B": "paid"}, {"B": 3130}, 1000),
    ("7", "pended"): ({"A": "voided", "B": "paid"}, {"B": 3130}, 1000),
    ("7", "replaced"): ({"A": "voided", "R": "voided", "B": "paid"}, {"B": 3130}, 1000),
    ("7", "voided"): ({"A": "voided", "W": "voided", "B": "denied"}, {}, 0),
    ("7", "absent"): ({"B": "denied"}, {}, 0),
    ("7", "tonight"): ({"A": "voided", "B": "paid"}, {"B": 3130}, 1000),
    ("8", "paid"): ({"A": "voided", "B": "voided"}, {}, 0),
    ("8", "denied"): ({"A": "voided", "B": "voided"}, {}, 0),
    ("8", "pended"): ({"A": "voided", "B": "voided"}, {}, 0),
    ("8", "replaced"): ({"A": "voided", "R": "voided", "B": "voided"}, {}, 0),
    ("8", "voided"): ({"A": "voided", "W": "voided", "B": "denied"}, {}, 0),
    ("8", "absent"): ({"B": "denied"}, {}, 0),
    ("8", "tonight"): ({"A": "voided", "B": "voided"}, {}, 0),
    ("5", "paid"): ({"A": "paid", "B": "paid"}, {"A": 8150, "B": 2900}, 2500),
    ("5", "denied"): ({"A": "denied", "B": "paid"}, {"B": 2900}, 1500),
    ("5", "pended"): ({"A": "pended", "B": "paid"}, {"B": 2900}, 1500),
    ("5", "replaced"): ({"A": "voided", "R": "paid", "B": "paid"}, {"R": 8150, "B": 2900}, 2500),
    ("5", "voided"): ({"A": "voided", "W": "voided", "B": "denied"}, {}, 0),
    ("5", "absent"): ({"B": "denied"}, {}, 0),
    ("5", "tonight"): ({"A": "paid", "B": "paid"}, {"A": 8150, "B": 2900}, 2500),
}  # fmt: skip


@pytest.fixture(scope="module")
def combined(loaded: Path, tmp_path_factory: pytest.TempPathFactory) -> Nights:
    """Each combination with a member of its own, in three nights: what is corrected, what has
    become of it, the corrections. A claim of combination 7 is A-7, its correction B-7."""
    folder = tmp_path_factory.mktemp("combinations")
    shutil.copy(loaded, folder / "a.db")
    nights = Nights(folder)
    member = [f"M60{n + 1:02d}" for n in range(len(COMBINATIONS))]
    originals = dict(enumerate(original for _, original in COMBINATIONS))
    sent = {
        n: {
            "denied": Sent(f"A-{n}", member="nobody", lines=(("99213", 150 + n, 4),)),  # PR-31
            "pended": Sent(f"A-{n}", (("99999", 150, 4),), member=member[n]),  # has no fee
        }.get(original, Sent(f"A-{n}", member=member[n]))
        for n, original in originals.items()
        if original != "absent"
    }
    nights.night([claim for n, claim in sent.items() if originals[n] != "tonight"])
    for n, claim in sent.items():
        if originals[n] != "tonight":
            kind = originals[n]
            assert nights.fate(claim.number) == (kind if kind in ("denied", "pended") else "paid")
    changes = {
        "replaced": ("R", (("99213", 145, 4),), "7"),
        "voided": ("W", (("99213", 150, 4),), "8"),
    }
    nights.night(
        [
            Sent(f"{name}-{n}", lines, frequency, nights.number(f"A-{n}"), member[n])
            for n, original in originals.items() if original in changes
            for name, lines, frequency in [changes[original]]
        ]
    )  # fmt: skip
    tonight = [claim for n, claim in sent.items() if originals[n] == "tonight"]
    [(last,)] = nights.rows("SELECT max(claim_number) FROM claim")
    numbers = {
        n: nights.number(f"A-{n}") if original not in ("absent", "tonight") else "00000990"
        for n, original in originals.items()
    }
    numbers |= {
        int(claim.number.split("-")[1]): f"{int(last) + place:012}"
        for place, claim in enumerate(tonight, 1)
    }
    corrections = [
        Sent(f"B-{n}", LATE if frequency == "5" else SMALLER, frequency, numbers[n], member[n])
        for n, (frequency, _) in enumerate(COMBINATIONS)
    ]
    nights.night(tonight, corrections)
    return nights


@pytest.mark.parametrize(("frequency", "original"), list(COMBINATIONS))
def test_each_correction_of_each_original(combined: Nights, frequency: str, original: str) -> None:
    fates, ledger, copays = COMBINATIONS[frequency, original]
    n = list(COMBINATIONS).index((frequency, original))

    def mine(told: dict[str, object]) -> dict[str, object]:
        return {name[0]: value for name, value in told.items() if name.endswith(f"-{n}")}

    assert mine(dict(combined.fates())) == fates
    assert mine(dict(combined.ledger())) == ledger
    counter = f"accumulator_entry out_of_pocket_amount M60{n + 1:02d}"
    assert combined.counters().get(counter, 0) == copays
    # only what was paid or denied is reversed, just before what takes its place
    told = [c[:2] for c in combined.clps() if c[0].endswith(f"-{n}")]
    corrected = {"replaced": "R"}.get(original, "A")
    shown = original in ("paid", "denied", "replaced") and frequency != "5"
    assert told == [
        *([(f"A-{n}", "1")] if (frequency, original) == ("5", "tonight") else []),
        *([(f"{corrected}-{n}", "22")] if shown else []),
        *([(f"B-{n}", "1")] if fates["B"] != "voided" else []),
    ]
    denied = {"voided": [("16", "N547")], "absent": [("16", "M47")]}.get(original, [])
    assert combined.rows(
        "SELECT f.carc, f.rarc FROM finding f JOIN claim c ON c.claim_id = f.claim_id "
        "WHERE f.edit = 'correction' AND f.disposition = 'deny' "
        f"AND c.patient_control_number = 'B-{n}'"
    ) == denied  # fmt: skip


def test_all_of_them_add_up(combined: Nights) -> None:
    sound(combined)
    assert combined.told()["reversed"]["count"] == 6  # 7 and 8 of paid, denied and replaced


# ---- stories of a member each, side by side in three nights ----------------------------------

TWO = (("99213", 150, 4), ("71046", 90, 4))
WORTHLESS, NOTHING = (("99999", 150, 4),), (("99998", 95, 4),)  # codes without a fee
STORIES = ("void", "twice", "both", "waits", "wait-on", "payee", "days")


@dataclass
class Told:
    """What became of the stories: the nights, and after each of them fates, ledger, counters and
    CLP01 to CLP04, CLP07."""

    nights: Nights
    fates: list[dict[str, str]]
    ledgers: list[dict[str, int]]
    counters: list[dict[str, int]]
    clps: list[list[tuple[str, ...]]]
    pend_codes: dict[str, str | None]

    def of(self, story: str, what: str) -> list[Any]:
        """A story's part, by the claims' names in it; its copays."""
        if what == "copays":
            key = f"accumulator_entry out_of_pocket_amount M60{STORIES.index(story) + 1:02d}"
            return [counters.get(key, 0) for counters in self.counters]
        if what == "clps":
            return [[(c[0].removeprefix(f"{story}-"), *c[1:]) for c in clps
                     if c[0].startswith(f"{story}-")] for clps in self.clps]  # fmt: skip
        return [
            {n.removeprefix(f"{story}-"): v for n, v in told.items() if n.startswith(f"{story}-")}
            for told in getattr(self, what)
        ]


@pytest.fixture(scope="module")
def stories(loaded: Path, tmp_path_factory: pytest.TempPathFactory) -> Told:
    folder = tmp_path_factory.mktemp("stories")
    shutil.copy(loaded, folder / "a.db")
    nights = Nights(folder)
    told = Told(nights, [], [], [], [], {})

    def sent(name: str, lines: Lines = (("99213", 150, 4),), frequency: str = "1",
             original: str | None = None, provider: tuple[str, str] = HERE) -> Sent:  # fmt: skip
        story = name.rpartition("-")[0]
        number = nights.number(f"{story}-{original}") if original else None
        member = f"M60{STORIES.index(story) + 1:02d}"
        return Sent(name, lines, frequency, number, member, provider)

    def night(*claims: Sent) -> None:
        nights.night(*claims)
        told.fates.append(nights.fates())
        told.ledgers.append(nights.ledger())
        told.counters.append(nights.counters())
        told.clps.append(nights.clps())

    night(
        sent("void-A", TWO), sent("twice-A"), sent("both-A"), sent("waits-A"),
        sent("wait-on-A", WORTHLESS), sent("payee-A"), sent("days-A"),
    )  # fmt: skip
    night(
        sent("void-V", TWO, "8", "A"),
        sent("twice-B", SMALLER, "7", "A"),
        sent("both-B", SMALLER, "7", "A"), sent("both-C", (("99213", 140, 4),), "7", "A"),
        sent("waits-B", NOTHING, "7", "A"),
        sent("wait-on-B", NOTHING, "7", "A"),
        sent("payee-B", SMALLER, "7", "A", THERE),
        sent("days-V", frequency="8", original="A"), sent("days-D"),
    )  # fmt: skip
    told.pend_codes = dict(nights.rows("SELECT patient_control_number, pend_codes FROM claim"))
    night(
        sent("twice-C", (("99213", 140, 4),), "7", "A"),
        sent("waits-C", SMALLER, "7", "B"),
        sent("wait-on-V", frequency="8", original="A"),
        sent("days-B", SMALLER, "7", "D"), sent("days-E"), sent("days-F", SMALLER),
    )  # fmt: skip
    return told


def test_the_stories_nights_are_sound(stories: Told) -> None:
    sound(stories.nights)
    last = stories.nights.told()
    # six came and two waited: twice-C, waits-C, days-B and days-E are paid, days-F is a duplicate
    assert {fate: last[fate]["count"] for fate in ("received", "brought_forward", "paid", "denied",
                                                   "voided", "carried_forward")} == {
        "received": 6, "brought_forward": 3, "paid": 4, "denied": 1, "voided": 4,
        "carried_forward": 0,
    }  # fmt: skip


def test_paid_then_voided_is_nothing(stories: Told) -> None:
    # 81.50 + 44.00 - 15.00 = 110.50; copays 10.00 + 15.00
    assert stories.of("void", "ledgers") == [{"A": 11050}, {}, {}]
    assert stories.of("void", "copays") == [2500, 0, 0]
    number = stories.nights.number("void-A")
    assert stories.of("void", "clps")[1:] == [[("A", "22", "-240", "-110.5", number)], []]
    assert stories.of("void", "fates")[2] == {"A": "voided", "V": "voided"}


def test_replaced_twice_is_replaced_once_by_the_last(stories: Told) -> None:
    """Whichever version a correction names, it corrects the latest."""
    # 91.50 - 10.00 = 81.50
    assert [c[:4] for c in stories.of("twice", "clps")[2]] == [
        ("B", "22", "-95", "-31.3"), ("C", "1", "140", "81.5"),
    ]  # fmt: skip
    assert stories.of("twice", "ledgers") == [{"A": 8150}, {"B": 3130}, {"C": 8150}]
    assert stories.of("twice", "copays") == [1000, 1000, 1000]
    chain = stories.nights.rows(
        "SELECT c.patient_control_number, c.version_number, p.patient_control_number FROM claim c "
        "LEFT JOIN claim p ON p.claim_id = c.predecessor_claim_id "
        "WHERE c.patient_control_number LIKE 'twice-%' ORDER BY 2"
    )
    assert chain == [("twice-A", 1, None), ("twice-B", 2, "twice-A"), ("twice-C", 3, "twice-B")]


def test_two_replacements_of_one_night(stories: Told) -> None:
    assert [c[:2] for c in stories.of("both", "clps")[1]] == [("A", "22"), ("C", "1")]
    assert stories.of("both", "fates")[1] == {"A": "voided", "B": "voided", "C": "paid"}
    assert stories.of("both", "ledgers")[1] == {"C": 8150}


def test_while_a_replacement_waits_what_it_replaces_stands(stories: Told) -> None:
    """A replacement of the claim or of the one that waits takes the place of both."""
    assert stories.of("waits", "fates")[1:] == [
        {"A": "paid", "B": "pended"}, {"A": "voided", "B": "voided", "C": "paid"},
    ]  # fmt: skip
    assert stories.of("waits", "clps")[1] == []
    assert stories.of("waits", "ledgers")[1:] == [{"A": 8150}, {"C": 3130}]
    assert stories.of("waits", "copays")[1:] == [1000, 1000]


def test_an_original_that_waits_waits_on_for_a_correction_that_waits(stories: Told) -> None:
    codes = {n: stories.pend_codes[f"wait-on-{n}"] for n in "AB"}
    assert codes == {"A": "CORRECTION", "B": "REFERENCE"}
    assert set(stories.of("wait-on", "fates")[2].values()) == {"voided"}
    assert stories.of("wait-on", "clps") == [[], [], []]


def test_the_payee_must_agree(stories: Told) -> None:
    assert stories.of("payee", "fates")[1] == {"A": "paid", "B": "denied"}


def test_another_claim_may_have_the_days_of_a_voided_one(stories: Told) -> None:
    """A is voided and sent anew the same night: no duplicate; one that equals B is."""
    assert stories.of("days", "fates")[1] == {"A": "voided", "V": "voided", "D": "paid"}
    assert stories.of("days", "ledgers")[1] == {"D": 8150}
    # E equals D, which is replaced; F equals B
    fates = stories.of("days", "fates")[2]
    assert [fates[name] for name in "DBEF"] == ["voided", "paid", "paid", "denied"]


# ---- verify ----------------------------------------------------------------------------------

REVERSAL_OF = "(SELECT claim_id FROM claim WHERE patient_control_number = '{}') AND kind = '{}'"


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("UPDATE ledger_entry SET entry_amount = entry_amount + 1 WHERE claim_id = "
         + REVERSAL_OF.format("twice-A", "reversal"),
         "is reversed with another amount than it was booked"),
        # both changed alike net to nothing
        ("UPDATE ledger_entry SET entry_amount = CASE kind WHEN 'claim' THEN 8151 ELSE -8151 END "
         "WHERE claim_id = (SELECT claim_id FROM claim WHERE patient_control_number = 'twice-A')",
         "is booked with another amount than it is paid"),
        ("DELETE FROM ledger_entry WHERE claim_id = " + REVERSAL_OF.format("void-A", "reversal"),
         "is booked and neither final nor reversed once"),
        ("UPDATE ledger_entry SET by_claim_id = claim_id WHERE claim_id = "
         + REVERSAL_OF.format("void-A", "reversal"),
         "is reversed for a claim that its night did not decide"),
        ("UPDATE ledger_entry SET claim_id = (SELECT claim_id FROM claim WHERE "
         "patient_control_number = 'payee-A') WHERE claim_id = "
         + REVERSAL_OF.format("void-A", "reversal"), "is final and reversed"),
        ("UPDATE claim SET disposition = 'paid' WHERE patient_control_number = 'twice-B'",
         "is final beside a version that takes its place"),
        ("UPDATE accumulator_entry SET out_of_pocket_amount = out_of_pocket_amount + 1 "
         "WHERE out_of_pocket_amount < 0", "has not given back all it took (accumulator_entry)"),
        ("DELETE FROM accumulator_entry WHERE out_of_pocket_amount < 0",
         "has not given back all it took (accumulator_entry)"),
        ("UPDATE provider_adjustment SET adjustment_amount = adjustment_amount - 1",
         "brought and carried"),
        ("UPDATE ledger_entry SET entry_amount = entry_amount - 1 WHERE kind = 'reversal'",
         "in the ledger"),
    ],
    ids=["amount", "both-amounts", "deleted", "by-another", "moved", "beside", "counter",
         "counter-deleted", "balance", "in-the-835"],
)  # fmt: skip
def test_a_falsified_reversal_is_found(
    stories: Told, tmp_path: Path, statement: str, what: str
) -> None:
    """Nothing is wrong with the nights of the stories, which test_the_stories_nights_are_sound
    sees; each forgery is told by its own sentence."""
    stories.nights.close()  # the write-ahead log goes into the file
    shutil.copy(stories.nights.folder / "a.db", tmp_path / "a.db")
    (tmp_path / "out").symlink_to(stories.nights.folder / "out")
    forge(tmp_path, statement)
    assert [fault for fault in look(tmp_path).faults if what in fault.what]


# ---- reprocess -------------------------------------------------------------------------------


def test_reprocess_does_what_its_rehearsal_said(nights: Nights, loaded: Path) -> None:
    """The fee of 99213 rises from 91.50 to 95.00: A's 81.50 becomes 85.00, a net of 3.50 each."""
    first = nights.night(Sent("A"), Sent("B", (("99213", 150, 5),)), Sent("C", SMALLER))
    assert first.paid_amount == 2 * 8150 + 3130
    raise_fee(nights)
    day = FIRST + timedelta(days=3)
    before = dump(nights)
    selection = Selection(provider="P06", first=date(2025, 11, 4), last=date(2025, 11, 4))
    rehearsed = reprocess(nights.config(), day, selection=selection, dry_run=True)
    assert dump(nights) == before
    # A: -81.50 + 85.00; C: -31.30 + 31.30
    assert rehearsed.totals == {
        "claim_count": 2, "taken_back_amount": -11280, "paid_amount": 11630, "net_amount": 350,
    }  # fmt: skip
    done = reprocess(nights.config(), day, selection=selection)
    assert (done.totals, done.claims) == (rehearsed.totals, rehearsed.claims)
    nights.summary = done.summary
    assert [c[:4] for c in nights.clps()] == [
        ("A", "22", "-150", "-81.5"), ("A", "1", "150", "85"),
        ("C", "22", "-95", "-31.3"), ("C", "1", "95", "31.3"),
    ]  # fmt: skip
    assert ["MOA", "", "", "N689"] in nights.remittances()[0]
    assert nights.counters() == {OUT_OF_POCKET: 3000}
    assert done.summary.counts["brought_forward"]["count"] == 2
    # asked for again, the night is only reported
    assert reprocess(nights.config(), day, selection=selection).claims == done.claims
    assert len(nights.rows("SELECT claim_id FROM claim")) == 5
    # by number: whichever version is named, the latest is decided anew
    again = reprocess(nights.config(), day, selection=Selection(("000000000001",)))
    assert [row["corrects"] for row in again.claims] == ["000000000004"]
    assert again.totals["net_amount"] == 0
    sound(nights)


@pytest.mark.long
def test_late_charges_are_not_reprocessed_with_what_they_add_to(nights: Nights) -> None:
    """L adds to A, M replaces L, N adds to A and waits: asked for A, A alone is decided anew."""
    nights.night(Sent("A"))
    nights.night(Sent("L", LATE, "5", nights.number("A")))
    nights.night(
        Sent("M", (("71046", 85, 4),), "7", nights.number("L")),
        Sent("N", (("99999", 90, 4),), "5", nights.number("A")),
    )
    assert nights.fates() == {"A": "paid", "L": "voided", "M": "paid", "N": "pended"}
    selection = Selection((nights.number("A"),))
    again = reprocess(nights.config(), date(2025, 11, 25), selection=selection, dry_run=True)
    assert [(row["corrects"], row["disposition"]) for row in again.claims] == [
        (nights.number("A"), "pended"), (nights.number("A"), "paid"),
    ]  # fmt: skip
    selection = Selection((nights.number("L"),))
    again = reprocess(nights.config(), date(2025, 11, 25), selection=selection, dry_run=True)
    assert [row["corrects"] for row in again.claims] == [nights.number("A"), nights.number("M")]
    nights.night(Sent("V", frequency="8", original=nights.number("M")))
    again = reprocess(nights.config(), date(2025, 11, 25), selection=selection, dry_run=True)
    assert [row["corrects"] for row in again.claims] == [nights.number("A")]  # for N, which waits


@pytest.mark.long
def test_what_is_reopened_stands_in_receipt_order_with_what_waits(nights: Nights) -> None:
    """A and P came in one file, Q in a later one; A's new version has the last number of all."""
    nights.night(Sent("A"), Sent("P", (("99999", 90, 4),)))
    nights.night(Sent("Q", (("99998", 90, 4),)))
    done = reprocess(
        nights.config(), date(2025, 11, 25), selection=Selection((nights.number("A"),))
    )
    assert [(row["claim_number"][-1], row["disposition"]) for row in done.claims] == [
        ("2", "pended"), ("3", "pended"), ("4", "paid"),
    ]  # fmt: skip
    assert nights.ledger() == {"A": 8150}


@pytest.mark.long
def test_a_correction_of_nothing_is_not_paid_when_it_is_reprocessed(nights: Nights) -> None:
    nights.night(Sent("A"), Sent("B", SMALLER, "7", "00000990"))
    nights.night(Sent("V", frequency="8", original=nights.number("A")))
    nights.night(Sent("L", LATE, "5", nights.number("A")))
    assert nights.fates() == {"A": "voided", "V": "voided", "B": "denied", "L": "denied"}
    for selection in (
        Selection((nights.number("B"), nights.number("L"))),
        Selection(provider="P06"),
    ):
        day = date(2025, 11, 25)
        again = reprocess(nights.config(), day, selection=selection, dry_run=True)
        assert again.claims == []


def test_reprocess_refuses_what_it_does_not_know(nights: Nights) -> None:
    with pytest.raises(ReprocessError, match="000000000099: the store has no claim"):
        reprocess(nights.config(), FIRST, selection=Selection(("000000000099",)))
    with pytest.raises(ReprocessError, match="cause whim"):
        reprocess(nights.config(), FIRST, cause="whim")
    with pytest.raises(ReprocessError, match="no claim number"):
        claim_number("S17")


def test_a_file_rehearsed_comes_to_what_it_then_does(nights: Nights) -> None:
    """A: -81.50; B: +31.30; C anew: +81.50. 31.30 + 81.50 - 81.50 = 31.30 in all. Two files, so
    that one is stored while the other is read."""
    nights.night(Sent("A"), Sent("V", (("99213", 150, 5),)))
    corrected, new = nights.folder / "b.837", nights.folder / "c.837"
    corrected.write_bytes(
        written(
            [Sent("B", SMALLER, "7", nights.number("A")),
             Sent("W", (("99213", 150, 5),), "8", nights.number("V"))], 800,
        )
    )  # fmt: skip
    new.write_bytes(written([Sent("C", (("99213", 150, 6),))], 801))
    nights.close()  # the write-ahead log goes into the file
    before, out = (nights.folder / "a.db").read_bytes(), files(nights)
    day = FIRST + timedelta(days=3)
    rehearsed = reprocess(nights.config(), day, files=(corrected, new), dry_run=True)
    assert ((nights.folder / "a.db").read_bytes(), files(nights)) == (before, out)
    assert [p.name for p in nights.folder.glob("a.db-*") if p.stat().st_size] == []
    assert not rehearsed.done
    # B corrects A, W voids V (-81.50), C is new
    assert [tuple(row.values())[2:] for row in rehearsed.claims] == [
        ("paid", 3130, -8150), ("voided", 0, -8150), ("paid", 8150, 0),
    ]  # fmt: skip
    assert rehearsed.totals == {
        "claim_count": 3, "taken_back_amount": -16300, "paid_amount": 11280, "net_amount": -5020,
    }  # fmt: skip
    done = reprocess(nights.config(), day, files=(corrected, new))
    assert done.done
    assert (done.totals, done.claims) == (rehearsed.totals, rehearsed.claims)
    # the ledger says the same
    run = done.summary.run_id
    booked = nights.rows(f"SELECT sum(entry_amount) FROM ledger_entry WHERE run_id = {run}")
    assert booked == [(-5020,)]
    assert done.summary.as_json() == {**rehearsed.summary.as_json(), "run_id": run}
    sound(nights)


@pytest.mark.long
def test_a_rehearsal_shows_what_would_want_approval(nights: Nights) -> None:
    """Usual is 81.50 a night; 163.00 is more."""
    nights.night(Sent("A"))
    tight = nights.config().model_copy(
        update={"abnormal_times": 1, "abnormal_paid_amount": 100, "usual_nights_least": 1}
    )
    file = nights.folder / "two.837"
    file.write_bytes(written([Sent(f"B{day}", (("99213", 150, day),)) for day in (7, 8)], 800))
    day = FIRST + timedelta(days=9)
    assert reprocess(tight, day, files=(file,), dry_run=True).totals["net_amount"] == 16300
    with pytest.raises(NightError, match="run the same command with --approve"):
        reprocess(tight, day, files=(file,))
    assert reprocess(tight, day, files=(file,), approve=True).totals["net_amount"] == 16300


def files(nights: Nights) -> dict[str, bytes]:
    out = nights.folder / "out"
    return {str(p.relative_to(out)): p.read_bytes() for p in out.rglob("*") if p.is_file()}


def raise_fee(nights: Nights) -> None:
    folder = nights.folder / "fees"
    folder.mkdir()
    table = (REFERENCE / "fees.csv").read_text().replace(",91.50,2025-11-01", ",95.00,2025-11-01")
    (folder / "fees.csv").write_text(table)
    load_store(nights.folder / "a.db", folder)


def dump(nights: Nights) -> list[object]:
    """Every row of every table, and the names of all files published."""
    tables = [n for (n,) in nights.rows("SELECT name FROM sqlite_master WHERE type = 'table'")]
    files = sorted(str(p) for p in (nights.folder / "out").rglob("*"))
    return [*files, *((t, nights.rows(f"SELECT * FROM {t} ORDER BY 1")) for t in sorted(tables))]


# ---- what a reversal touches -----------------------------------------------------------------


def test_the_claims_it_touches_are_listed_and_left(nights: Nights) -> None:
    """B counted after A for the same member, C for another; D is counted after the void."""
    nights.night(Sent("A"), Sent("B", (("99213", 150, 5),)), Sent("C", member="odalys"))
    void = Sent("V", frequency="8", original=nights.number("A"))
    nights.night(void, Sent("D", (("99213", 150, 6),)))
    told = [{"claim_number": nights.number("B"), "because_of": nights.number("A")}]
    assert nights.told()["review"] == told
    assert nights.summary is not None
    listed = nights.folder / "out" / nights.summary.folder / "review.csv"
    assert listed.read_text().splitlines() == [
        "claim_number,because_of", f"{nights.number('B')},{nights.number('A')}",
    ]  # fmt: skip
    assert nights.fates() == {"A": "voided", "B": "paid", "C": "paid", "D": "paid", "V": "voided"}


def test_the_sixty_days(nights: Nights) -> None:
    """Service on 2025-11-04; day 60 is 2026-01-03. A comes that day, L a day later; what replaces
    them comes in February."""
    nights.night(Sent("A"), day=date(2026, 1, 3))
    nights.night(Sent("L", (("71046", 90, 4),)), day=date(2026, 1, 4))
    assert nights.fates() == {"A": "paid", "L": "denied"}
    nights.night(
        Sent("B", SMALLER, "7", nights.number("A")),
        Sent("M", (("71046", 80, 4),), "7", nights.number("L")),
        Sent("N", (("73562", 80, 4),), "5", nights.number("A")),
        day=date(2026, 2, 20),
    )
    # late charges by their own receipt
    assert nights.fates() == {"A": "voided", "B": "paid", "L": "voided", "M": "denied",
                              "N": "denied"}  # fmt: skip
    carcs = nights.rows("SELECT DISTINCT c.patient_control_number FROM finding f JOIN claim c "
                        "ON c.claim_id = f.claim_id WHERE f.carc = '29' ORDER BY 1")  # fmt: skip
    assert carcs == [("L",), ("M",), ("N",)]
    nights.night(Sent("V", frequency="8", original=nights.number("B")), day=date(2026, 6, 1))
    assert nights.fate("V") == "voided"
    # a denial is reversed like a payment: what is left is M's and N's, at nothing
    assert nights.ledger() == {}
    sound(nights)


def test_a_dispute_overturned_is_carried_out(nights: Nights) -> None:
    """Service on 2025-11-04, received on day 61: CO-29. Overturned, 71046 is worth 44.00 less a
    copay of 15.00 = 29.00. The waiver holds for a version that is opened after that, too."""
    late = date(2026, 1, 4)
    nights.night(Sent("L", LATE), Sent("M", (("73562", 80, 4),)), day=late)
    assert set(nights.fates().values()) == {"denied"}
    run_dispute(nights, "file", nights.number("L"), "--kind", "filing", "--received", "2026-01-09",
                "--form", "--proof", "payer_report:2025-12-20")  # fmt: skip
    run_dispute(nights, "overturn", "D1")
    done = reprocess(nights.config(), date(2026, 1, 12), disputes=True)
    nights.summary = done.summary
    assert [tuple(row.values()) for row in done.claims] == [
        ("000000000003", "000000000001", "paid", 2900, 0),
    ]  # fmt: skip
    assert nights.clps() == [
        ("L", "22", "-90", "0", "000000000001"), ("L", "1", "90", "29", "000000000003"),
    ]  # fmt: skip
    [remittance] = nights.remittances()
    assert [s for s in remittance if s[0] in ("MOA", "CAS", "PLB")] == [
        ["MOA", "", "", "N690"], ["CAS", "CO", "29", "-90"],
        ["CAS", "CO", "45", "46"], ["CAS", "PR", "3", "15"],
    ]  # fmt: skip
    assert nights.rows("SELECT event, run_id FROM dispute_event ORDER BY event_number") == [
        ("received", None), ("overturned", None), ("carried_out", 2),
    ]  # fmt: skip
    # the same command again is the same night
    again = reprocess(nights.config(), date(2026, 1, 12), disputes=True)
    assert again.summary.run_id == done.summary.run_id
    one = Selection(("000000000003",))
    once_more = reprocess(nights.config(), date(2026, 1, 13), selection=one, dry_run=True)
    assert [(r["disposition"], r["taken_back_amount"], r["paid_amount"])
            for r in once_more.claims] == [("paid", -2900, 2900)]  # fmt: skip
    # without a dispute a late claim stays late
    other = Selection((nights.number("M"),))
    denied = reprocess(nights.config(), date(2026, 1, 13), selection=other, dry_run=True)
    assert [r["disposition"] for r in denied.claims] == ["denied"]
    sound(nights)


def test_a_void_ends_a_dispute_that_was_overturned(nights: Nights) -> None:
    nights.night(Sent("L", LATE), day=date(2026, 1, 4))
    run_dispute(nights, "file", nights.number("L"), "--kind", "filing", "--received", "2026-01-09",
                "--form", "--proof", "payer_report:2025-12-20")  # fmt: skip
    run_dispute(nights, "overturn", "D1")
    void = Sent("V", LATE, "8", nights.number("L"))
    nights.night(void, day=date(2026, 1, 12))
    assert nights.rows("SELECT event FROM dispute_event ORDER BY event_number") == [
        ("received",), ("overturned",), ("carried_out",),
    ]  # fmt: skip


def run_dispute(nights: Nights, *words: str) -> None:
    done = CliRunner().invoke(
        cli.app,
        ["dispute", *words, "--note", "the ledger shows it", "--who", "Ames", "--business-date",
         "2026-01-10", "--db", nights.url, "--out", str(nights.folder / "out")],
    )  # fmt: skip
    assert done.exit_code == 0, done.output


# ---- duplicates beside corrections -------------------------------------------------------------


def test_a_duplicate_stays_one_when_it_is_decided_anew_with_its_original(nights: Nights) -> None:
    """D equals A; both reopened, A's new version is what D's repeats: 81.50 is paid once."""
    nights.night(Sent("A"), Sent("D"))
    assert nights.fates() == {"A": "paid", "D": "denied"}
    numbers = (nights.number("A"), nights.number("D"))
    done = reprocess(nights.config(), date(2025, 11, 20), selection=Selection(numbers))
    assert [(row["disposition"], row["taken_back_amount"], row["paid_amount"])
            for row in done.claims] == [("paid", -8150, 8150), ("denied", 0, 0)]  # fmt: skip
    assert nights.ledger() == {"A": 8150}
    sound(nights)


def test_what_equals_a_replacement_repeats_it_whatever_that_replaces(nights: Nights) -> None:
    """B replaces A with the same line, E comes after it with that line, too."""
    nights.night(Sent("A"))
    nights.night(Sent("B", frequency="7", original=nights.number("A")), Sent("E"))
    assert nights.fates() == {"A": "voided", "B": "paid", "E": "denied"}


def test_a_replacement_repeats_nothing_that_is_itself_a_duplicate(nights: Nights) -> None:
    """M equals A, which stands when M comes; B then replaces A with the same line: it is paid."""
    nights.night(Sent("A"))
    nights.night(Sent("M"), Sent("B", frequency="7", original=nights.number("A")))
    assert nights.fates() == {"A": "voided", "M": "denied", "B": "paid"}
    assert nights.ledger() == {"B": 8150}


@pytest.mark.long
def test_what_stands_beside_a_correction_that_waits_is_not_paid_twice(nights: Nights) -> None:
    """B is to replace A and lacks a fee; after it come D, equal to A, and S, that but for its
    charge: A stands, so D repeats it and S may. Once B is voided with A, S is looked at again."""
    nights.night(Sent("A"))
    number = nights.number("A")
    nights.night(
        Sent("B", (("99999", 95, 4),), "7", number), Sent("D"), Sent("S", (("99213", 140, 4),))
    )
    assert nights.fates() == {"A": "paid", "B": "pended", "D": "denied", "S": "pended"}
    nights.night(Sent("V", frequency="8", original=number))
    assert nights.fates() == {"A": "voided", "B": "voided", "V": "voided", "D": "denied",
                              "S": "paid"}  # fmt: skip
    sound(nights)


def test_what_is_received_before_a_replacement_is_compared_with_what_that_replaces(
    nights: Nights,
) -> None:
    nights.night(Sent("A"))
    nights.night(
        Sent("S", (("99213", 140, 4),)),
        Sent("B", SMALLER, "7", nights.number("A")),
        Sent("T", (("99213", 130, 4),)),
    )
    # T comes after B: A is gone, but S waits
    assert nights.fates() == {"A": "voided", "S": "pended", "B": "paid", "T": "pended"}


# ---- any history, against plain arithmetic ---------------------------------------------------

# (charge, what is allowed, copay) by code; paid is allowed - copay
PRICES = {"99213": (150, 9150, 1000), "99212": (95, 4130, 1000), "71046": (90, 4400, 1500)}
ACTS = st.lists(
    st.lists(st.tuples(st.integers(0, 4), st.sampled_from("178"), st.sampled_from(list(PRICES))),
             min_size=1, max_size=4),
    min_size=2, max_size=3,
)  # fmt: skip


@pytest.mark.long
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(acts=ACTS)
def test_a_history_comes_to_its_last_versions(
    acts: list[list[tuple[int, str, str]]], loaded: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Slot n is a member with one service day. A first claim of a slot stands; a replacement puts
    itself in its place, a void empties it for good. In the end the ledger and the counters hold
    what stands, and the payments and what is carried forward what the ledger holds."""
    folder = tmp_path_factory.mktemp("history")
    shutil.copy(loaded, folder / "a.db")
    nights = Nights(folder)
    stands: dict[int, str | None] = {}
    first: dict[int, str] = {}
    known: set[int] = set()
    for night, of_night in enumerate(acts):
        sent = []
        for place, (slot, frequency, code) in enumerate(of_night):
            line = ((code, PRICES[code][0], 4),)
            name, member = f"S{slot}-{night}-{place}", f"M60{slot + 1:02d}"
            if frequency == "1" and slot not in stands:
                sent.append(Sent(name, line, member=member))
                stands[slot], first[slot] = code, name
            elif frequency != "1" and slot in known:
                sent.append(Sent(name, line, frequency, nights.number(first[slot]), member))
                if stands[slot] is not None:
                    stands[slot] = code if frequency == "7" else None
        known.update(stands)
        nights.night(*sent)
    left = {slot: PRICES[code] for slot, code in stands.items() if code}
    ledger = sum(allowed - copay for _, allowed, copay in left.values())
    assert sum(nights.ledger().values()) == ledger
    assert nights.counters() == {
        f"accumulator_entry out_of_pocket_amount M60{slot + 1:02d}": copay
        for slot, (_, _, copay) in left.items()
    }
    [(paid,)] = nights.rows("SELECT coalesce(sum(payment_amount), 0) FROM payment")
    [(carried,)] = nights.rows(
        "SELECT -coalesce(sum(adjustment_amount), 0) FROM provider_adjustment"
    )
    assert paid - carried == ledger
    assert set(nights.rows("SELECT count(*) FROM claim WHERE disposition = 'paid'")) == {
        (len(left),)
    }
    sound(nights)
