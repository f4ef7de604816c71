"""The fixture cases: what each is meant to come to, and what a night makes of it.

    python -m tests.case_tools

writes fixtures/claims/*/expected anew, for a person to read the difference. A case that doesn't
come to what its case.yaml says keeps what it has and is named: a golden blesses no error.
"""

from __future__ import annotations

import csv
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from adjudicator import store
from adjudicator.explain import explain
from adjudicator.load import load_reference
from adjudicator.night import Order, Summary, run_night
from schemas.config import Config
from tests.pdf_text import pages

FIXTURES = Path(__file__).parents[1] / "fixtures"
CLAIMS, REFERENCE = FIXTURES / "claims", FIXTURES / "reference"
FIRST_NIGHT = date(2025, 11, 15)
LOADER = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
AMOUNTS = ("charge", "allowed", "deductible", "coinsurance", "copay", "member", "paid")
LISTS = ("findings", "pends", "adjustments")
HEADINGS = ("## Totals", "## Totals of the second night")

# A claim's fate: amounts in cents; edits that fired; pend codes; "line group-CARC [RARC] amount"
Fate = dict[str, Any]


@dataclass(frozen=True)
class Night:
    """One night of a case: what comes in, and each claim's fate by patient control number."""

    claims_files: tuple[Path, ...]  # none: what waits is decided again
    business_date: date
    expected: Path  # the folder of its golden files
    fates: Mapping[str, Fate]
    reference: Path | None = None  # tables that are loaded before it


class Outcome(NamedTuple):
    """What a night made of some files."""

    summary: Summary
    fates: dict[str, Fate]
    # golden text by name: the 835s, a segment a line, claims.csv, and the letters' text
    files: dict[str, str]


def cases() -> list[str]:
    return sorted(folder.name for folder in CLAIMS.iterdir() if folder.is_dir())


def claims_file(case: str) -> Path:
    """What comes in on its first night: X12, or paper."""
    [path] = (CLAIMS / case).glob("claim.*")
    return path


def fill_inbox(folder: Path) -> Path:
    """All cases' first nights in one inbox, each file named after its case."""
    inbox = folder / "inbox"
    inbox.mkdir()
    for case in cases():
        shutil.copy(claims_file(case), inbox / f"{case}{claims_file(case).suffix}")
    return inbox


def nights(case: str) -> list[Night]:
    """The nights of a case.yaml; what a claim's entry doesn't name is 0 or none."""
    folder = CLAIMS / case
    # all values as text: an amount is never a float
    facts = yaml.load((folder / "case.yaml").read_text("utf-8"), LOADER)
    told = [
        Night(
            (claims_file(case),),
            FIRST_NIGHT,
            folder / "expected",
            {number: _fate(case, number, fate) for number, fate in facts.pop("claims").items()},
        )
    ]
    if second := facts.pop("second_night", None):
        tables = folder / "second-night-reference"
        told.append(
            Night(
                tuple(folder.glob("second-night.837")),
                date.fromisoformat(second["business_date"]),
                folder / "expected" / "second-night",
                {number: _fate(case, number, fate) for number, fate in second["claims"].items()},
                tables if tables.is_dir() else None,
            )
        )
    if facts:
        raise ValueError(f"{case}/case.yaml: no such keys: {sorted(facts)}")
    return told


def _fate(case: str, number: str, told: dict[str, Any]) -> Fate:
    if unknown := set(told) - {"disposition", *AMOUNTS, *LISTS}:
        raise ValueError(f"{case}/case.yaml, {number}: no such keys: {sorted(unknown)}")
    return {
        "disposition": told["disposition"],
        **{name: cents(told.get(name, "0.00")) for name in AMOUNTS},
        **{name: told.get(name, []) for name in LISTS},
    }


def cents(text: str) -> int:
    """Dollars and cents, 1,234.50, as cents."""
    dollars, _, part = text.replace(",", "").partition(".")
    if len(part) != 2:
        raise ValueError(f"{text!r}: write an amount with two decimals")
    return int(dollars) * 100 + int(part) * (-1 if text.startswith("-") else 1)


def dollars(amount: int) -> str:
    """Cents as 1234.50."""
    return f"{'-' * (amount < 0)}{abs(amount) // 100}.{abs(amount) % 100:02d}"


def totals(case: str, heading: str) -> Iterator[tuple[str, str, list[int]]]:
    """The rows of a README's table: claim, fate, and charge, allowed, member and paid in cents."""
    text = (CLAIMS / case / "README.md").read_text("utf-8")
    section = text.split(f"{heading}\n", 1)[1].split("\n#", 1)[0]
    for row in section.strip().splitlines()[2:]:
        claim, fate, *amounts = (cell.strip() for cell in row.strip("|").split("|"))
        yield claim, fate, [cents(amount) for amount in amounts]


def load_store(database: Path, reference: Path = REFERENCE) -> None:
    """Loads the cases' reference data, or other tables instead of some of it, into a store."""
    engine = store.open_store(f"sqlite:///{database}")
    with engine.begin() as connection:
        load_reference(connection, reference)
    engine.dispose()  # the write-ahead log goes into the file, which is then copied


def run_case(night: Night, folder: Path) -> Outcome:
    """That night with the store ``folder``/a.db, after what is loaded before it."""
    if night.reference:
        load_store(folder / "a.db", night.reference)
    return run(night.claims_files, folder, night.business_date)


def do_night(inputs: Sequence[Path], folder: Path, business_date: date) -> Summary:
    """A night over ``inputs`` with the store ``folder``/a.db."""
    config = Config(db=f"sqlite:///{folder / 'a.db'}", out=folder / "out")
    return run_night(Order(tuple(inputs), config, business_date, business_date))


def run(inputs: Sequence[Path], folder: Path, business_date: date) -> Outcome:
    """``do_night``, and what became of every claim of it."""
    summary = do_night(inputs, folder, business_date)
    published = folder / "out" / summary.folder
    files = {p.name: _line_by_line(p) for p in sorted((published / "835").glob("*.835"))}
    files["claims.csv"] = (published / "claims.csv").read_text("utf-8")
    for letter in sorted((published / "letters").glob("*.pdf")):
        files[f"{letter.stem}.txt"] = "\n".join(pages(letter.read_bytes())) + "\n"
    fates = {}
    with store.reading(
        store.open_store(f"sqlite:///{folder / 'a.db'}", create=False)
    ) as connection:
        for row in csv.DictReader(files["claims.csv"].splitlines()):
            number = row["claim_number"] or f"S{row['submission']}"
            if row["disposition"] == "reversed":  # an earlier night's: its own story stays
                fates[row["patient_control_number"]] = _reversed(row)
                continue
            fates[row["patient_control_number"]] = _decided(explain(connection, number).as_json())
    return Outcome(summary, fates, files)


def _line_by_line(path: Path) -> str:
    text = path.read_text("ascii")
    return text.replace(text[105], f"{text[105]}\n")


def _decided(told: dict[str, Any]) -> Fate:
    claim = told["claim"]
    return {
        "disposition": claim["disposition"],
        **{name: claim[f"{name}_amount"] or 0 for name in ("charge", "allowed", "member", "paid")},
        # what the member owes of each, beside other payers, too
        **{
            name: sum(
                a["adjustment_amount"]
                for a in told["adjustments"]
                if (a["group_code"], a["carc"]) == ("PR", carc)
            )
            for name, carc in (("deductible", "1"), ("coinsurance", "2"), ("copay", "3"))
        },
        "findings": list(dict.fromkeys(f["edit"] for f in told["findings"])),
        "pends": (claim["pend_codes"] or "").split(",") if claim["pend_codes"] else [],
        "adjustments": [
            f"{a['line_number']} {a['group_code']}-{a['carc']}"
            f"{' ' + a['rarc'] if a['rarc'] else ''} {dollars(a['adjustment_amount'])}"
            for a in told["adjustments"]
        ],
    }


def _reversed(row: Mapping[str, str]) -> Fate:
    told = {"charge": "charge", "allowed": "allowed", "member": "member_share", "paid": "paid"}
    return {
        "disposition": row["disposition"],
        **dict.fromkeys(AMOUNTS, 0),
        **{name: cents(row[column]) for name, column in told.items()},
        **{name: [] for name in LISTS},
    }


def differences(expected: Mapping[str, Fate], found: Mapping[str, Fate]) -> list[str]:
    """What came out otherwise than worked by hand: claim, what, both values."""
    told = [f"{n}: decided, not expected" for n in found if n not in expected]
    for number, fate in expected.items():
        if number not in found:
            told.append(f"{number}: expected, not decided")
            continue
        for name, by_hand in fate.items():
            if (out := found[number][name]) != by_hand:
                show = dollars if name in AMOUNTS else str
                told.append(f"{number}: {name} by hand {show(by_hand)}, decided {show(out)}")
    return told


def golden(night: Night) -> dict[str, str]:
    """The files of a night as they were last read by a person."""
    paths = sorted(p for p in night.expected.glob("*") if p.is_file())
    return {p.name: p.read_text("utf-8") for p in paths}


def main() -> int:
    wrong = 0
    with tempfile.TemporaryDirectory() as temporary:
        template = Path(temporary) / "loaded.db"
        load_store(template)
        for case in cases():
            folder = Path(temporary) / case
            folder.mkdir()
            shutil.copy(template, folder / "a.db")
            for night in nights(case):
                outcome = run_case(night, folder)
                told = differences(night.fates, outcome.fates)
                for each in told:
                    print(f"{case}: {each}")
                wrong += bool(told)
                if not told:
                    _write(night.expected, outcome.files)
    if wrong:
        print("not written: these come out otherwise than case.yaml says")
    return int(wrong > 0)


def _write(folder: Path, files: Mapping[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("*"):
        if path.is_file() and path.name not in files:
            path.unlink()
    for name, text in files.items():
        (folder / name).write_text(text, "utf-8")


if __name__ == "__main__":
    sys.exit(main())
