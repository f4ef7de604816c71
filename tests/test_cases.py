"""Every fixture case, alone and all in one night: what was worked by hand, and its golden files."""

from __future__ import annotations

import csv
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from adjudicator.cms import read_cms_file
from adjudicator.load import read_folder
from edi.balance import check_835
from tests.case_tools import (
    CLAIMS,
    FIRST_NIGHT,
    FIXTURES,
    HEADINGS,
    REFERENCE,
    Fate,
    Outcome,
    cases,
    cents,
    claims_file,
    differences,
    dollars,
    fill_inbox,
    golden,
    nights,
    run,
    run_case,
    totals,
)
from tests.pyx12_check import pyx12_errors
from tests.synthetic import luhn_npi

CMS = Path(__file__).parents[1].parent / "shared" / "reference" / "cms"
DEMO = (FIXTURES / "demo" / "README.md").read_text("utf-8")
# a night's summary, and the fate of the claims it counts there
SUMMARY = {
    "received": "all",
    "brought_forward": "none",
    "rejected": "rejected",
    "denied": "denied",
    "paid": "paid",
    "voided": "none",
    "carried_forward": "pended",
}


@pytest.fixture(scope="module")
def demo(loaded: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Outcome, Path]:
    """All cases in one night, as `make demo` runs them."""
    folder = tmp_path_factory.mktemp("demo")
    shutil.copy(loaded, folder / "a.db")
    return run([fill_inbox(folder)], folder, FIRST_NIGHT), folder


@pytest.mark.parametrize("case", cases())
def test_case(case: str, loaded: Path, tmp_path: Path) -> None:
    """Alone in a store of its own, a case comes to what was worked by hand, and to its golden."""
    shutil.copy(loaded, tmp_path / "a.db")
    for night in nights(case):
        outcome = run_case(night, tmp_path)
        assert differences(night.fates, outcome.fates) == []
        assert outcome.files == golden(night), "read the difference, then `make golden`"
        sound_835s(tmp_path / "out" / outcome.summary.folder)


def sound_835s(published: Path) -> None:
    for path in sorted(published.glob("835/*.835")):
        assert check_835(path.read_bytes()) == []
        assert pyx12_errors(path.read_bytes()) == []


@pytest.mark.parametrize("case", cases())
def test_readme_has_the_totals_of_case_yaml(case: str) -> None:
    told = nights(case)
    text = (CLAIMS / case / "README.md").read_text("utf-8")
    assert [h for h in HEADINGS if f"{h}\n" in text] == list(HEADINGS[: len(told)])
    for night, heading in zip(told, HEADINGS, strict=False):
        *rows, everything = totals(case, heading)
        amounts = {
            number: [fate[name] for name in ("charge", "allowed", "member", "paid")]
            for number, fate in night.fates.items()
        }
        assert rows == [(n, night.fates[n]["disposition"], a) for n, a in amounts.items()]
        sums = [sum(column) for column in zip(*amounts.values(), strict=True)]
        assert everything == ("all", "", sums)


def test_case_yaml_adds_up() -> None:
    """Charge less adjustments is what is paid, and PR adjustments are what the member owes."""
    for night in (night for case in cases() for night in nights(case)):
        for number, fate in night.fates.items():
            split = [a.split() for a in fate["adjustments"]]
            adjusted = {code: 0 for _, code, *_ in split}
            for _, code, *_, amount in split:
                adjusted[code] += int(amount.replace(".", ""))
            if fate["disposition"] == "reversed":
                continue  # an earlier night's, where it adds up
            member = sum(a for code, a in adjusted.items() if code.startswith("PR-"))
            assert member == fate["member"], number
            for code, share in (("1", "deductible"), ("2", "coinsurance"), ("3", "copay")):
                assert adjusted.get(f"PR-{code}", 0) == fate[share], number
            if fate["disposition"] in ("paid", "denied"):
                assert fate["charge"] - sum(adjusted.values()) == fate["paid"], number
            else:
                assert not fate["adjustments"], number
                assert fate["paid"] == 0, number
            assert (fate["disposition"] == "pended") == bool(fate["pends"]), number


@pytest.mark.long
def test_each_as_alone_in_one_night(demo: tuple[Outcome, Path]) -> None:
    """No case touches another: all in one night they have the fates that they have alone."""
    assert {n: fate["disposition"] for n, fate in demo[0].fates.items()} == {
        n: fate["disposition"] for n, fate in by_hand().items()
    }


def test_to_the_cent_in_one_night(demo: tuple[Outcome, Path]) -> None:
    assert differences(by_hand(), demo[0].fates) == []


def test_the_demos_835s_are_sound(demo: tuple[Outcome, Path]) -> None:
    outcome, folder = demo
    published = folder / "out" / outcome.summary.folder
    remittances = [name for name in outcome.files if name.endswith(".835")]
    assert len(list(published.glob("835/*.835"))) == len(remittances) > 1
    sound_835s(published)


def by_hand() -> dict[str, Fate]:
    return {n: fate for case in cases() for n, fate in nights(case)[0].fates.items()}


def test_the_demo_is_the_sum_of_the_readmes(demo: tuple[Outcome, Path]) -> None:
    counts: Counter[str] = Counter()
    charges: Counter[str] = Counter()
    paid_amount = 0
    for case in cases():
        for _, fate, (charge, _, _, paid) in list(totals(case, HEADINGS[0]))[:-1]:
            for name in ("all", fate):
                counts[name] += 1
                charges[name] += charge
            paid_amount += paid
    summary = demo[0].summary
    assert {n: (f["count"], f["charge_amount"]) for n, f in summary.counts.items()} == {
        name: (counts[fate], charges[fate]) for name, fate in SUMMARY.items()
    }
    assert dollars(summary.paid_amount) == dollars(paid_amount)
    assert {f.verdict for f in summary.files} == {"read"}
    told = re.findall(r"^\| (\w+) \| (\d+) \| ([\d,.]+) \|$", DEMO, re.M)
    assert {fate: (int(count), cents(charge)) for fate, count, charge in told} == {
        fate: (counts[fate], charges[fate]) for fate in counts
    }
    assert f"\nPaid to providers: {paid_amount // 100:,}.{paid_amount % 100:02d}.\n" in DEMO


def test_the_demo_tells_every_claims_story() -> None:
    told = re.findall(r"^\| ([A-Z0-9-]+) \| \[([a-z-]+)\]\(\.\./claims/\2/\) \|", DEMO, re.M)
    assert told == [(number, case) for case in in_order() for number in nights(case)[0].fates]


def in_order() -> list[str]:
    """The cases as their interchanges are numbered; then those on paper, which has none."""
    x12 = [case for case in cases() if claims_file(case).suffix == ".837"]
    numbered = sorted(x12, key=lambda case: interchange(claims_file(case))[13])
    return numbered + [case for case in cases() if case not in x12]


def interchange(path: Path) -> list[str]:
    return path.read_text("ascii").split("~", 1)[0].split("*")


def test_claim_files_are_for_us_and_sound() -> None:
    """Addressed to CPCT1, for production, each with a control number of its own; pyx12 accepts
    them all but for the date that one of them lacks."""
    files = sorted(CLAIMS.glob("*/*.837"))
    headers = {path: interchange(path) for path in files}
    assert {(h[8].strip(), h[15]) for h in headers.values()} == {("CPCT1", "P")}
    assert len({h[13] for h in headers.values()}) == len(files)
    told = [(path.parent.name, e) for path in files for e in pyx12_errors(path.read_bytes())]
    assert [case for case, _ in told] == ["rejected"]
    assert "Service Date" in told[0][1]


def test_patient_control_numbers_are_of_one_claim() -> None:
    # what waits is decided again in its case's second night
    numbers = [n for case in cases() for n in {n for night in nights(case) for n in night.fates}]
    assert len(set(numbers)) == len(numbers)


def test_npis_belong_to_nobody() -> None:
    """They begin with 2, of which none is issued, and carry a right check digit."""
    npis = {
        npi
        for path in CLAIMS.glob("*/*.837")
        for npi in re.findall(r"\*XX\*([^*~]*)~", path.read_text("ascii"))
    }
    for path in CLAIMS.glob("*/*.jsonl"):
        npis |= set(re.findall(r'"(?:npi|33a|56)": "(\d+)"', path.read_text("utf-8")))
    for folder in (REFERENCE, *CLAIMS.glob("*/second-night-reference")):
        for path in folder.glob("*.csv"):
            with path.open(encoding="utf-8", newline="") as rows:
                npis |= {row["npi"] for row in csv.DictReader(rows) if row.get("npi")}
    assert npis
    assert {npi for npi in npis if npi[0] != "2" or luhn_npi(npi[:9]) != npi} == set()


@pytest.mark.parametrize(
    ("table", "file"),
    [
        ("physician_fee_values", "PPRRVU2025_Oct.csv"),
        ("geographic_cost_indexes", "GPCI2025.csv"),
        ("zip_localities", "ZIP5_OCT2025.txt"),
    ],
)
def test_medicares_figures_are_cmss(table: str, file: str) -> None:
    path = CMS / file
    if not path.is_file():
        pytest.skip(f"{file} is not here (../shared/reference/cms)")
    read = read_cms_file(path, path.read_bytes())
    assert read is not None
    assert read[0] == table
    restated = read_folder(REFERENCE)[table]
    published = read[1].select(restated.columns)
    lost: pl.DataFrame = restated.join(published, on=restated.columns, how="anti", nulls_equal=True)
    assert restated.height
    assert lost.to_dicts() == []


def test_a_difference_is_told() -> None:
    """The comparison the other tests rest on sees a wrong cent, a lost and an unexpected claim."""
    by_hand: dict[str, Any] = {"A": {"paid": 100, "findings": []}, "B": {"paid": 0}}
    assert differences(by_hand, {"A": {"paid": 101, "findings": ["x"]}, "C": {}}) == [
        "C: decided, not expected",
        "A: paid by hand 1.00, decided 1.01",
        "A: findings by hand [], decided ['x']",
        "B: expected, not decided",
    ]
