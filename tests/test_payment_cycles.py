"""Payment cycles: the calendar, balances carried forward, recoveries, interest, monthly fees."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from adjudicator import payment_desk as desk
from adjudicator import store
from adjudicator.load import read_reference
from adjudicator.night import Order, Summary, run_night
from adjudicator.programs import load_programs
from edi.balance import check_835
from schemas.config import Config
from tests.case_tools import FIXTURES, load_store
from tests.pyx12_check import pyx12_errors

STORY = FIXTURES / "payment-cycles"


class Payer:
    """A payer's folder: its store and what its nights publish."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.db = f"sqlite:///{folder / 'adjudicator.db'}"
        self.programs = load_programs(folder / "programs")
        self.nights: dict[str, Summary] = {}

    def night(self, day: str) -> Summary:
        file = self.folder / "claims" / f"{day}.837"
        config = Config(db=self.db, out=self.folder / "out", programs=self.folder / "programs")
        when = date.fromisoformat(day)
        inputs = (file,) if file.is_file() else ()
        self.nights[day] = run_night(Order(inputs, config, when, when))
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
