"""The made-up night is what it says: the same each time, valid, and of the fates it names."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from schemas.reference import TABLES
from tests import bench, synthetic
from tests.pyx12_check import pyx12_errors

ALL_BUT_REJECTED = {fate: share for fate, share in synthetic.MIX.items() if fate != "rejected"}


@dataclass
class Claim:
    """What a test asks of a claim; segments are split at the element separator."""

    billing_npi: str
    card_number: str
    birth_date: str
    responsibility: str
    segments: list[list[str]] = field(default_factory=list)

    def all(self, name: str, qualifier: str = "") -> list[list[str]]:
        return [s for s in self.segments if s[0] == name and s[1].startswith(qualifier)]

    @property
    def last_day(self) -> date:
        days = [s[3].split("-")[-1] for s in self.all("DTP", "472")]
        return max(date(int(d[:4]), int(d[4:6]), int(d[6:])) for d in days)


def read(folder: Path) -> Iterator[Claim]:
    """The claims of a night in receipt order."""
    for path in sorted((folder / "inbox").glob("*.837")):
        billing = card = birth = responsibility = ""
        claim: Claim | None = None
        for text in path.read_text(encoding="ascii").split("~\n"):
            segment = text.split("*")
            if segment[0] in {"HL", "SE"}:
                if claim:
                    yield claim
                claim = None
            if segment[0] == "CLM":
                if claim:
                    yield claim
                claim = Claim(billing, card, birth, responsibility)
            if claim:
                claim.segments.append(segment)
            elif segment[0] == "NM1" and segment[1] == "85":
                billing = segment[9]
            elif segment[0] == "NM1" and segment[1] == "IL":
                card = segment[9]
            elif segment[0] == "SBR":
                responsibility = segment[1]
            elif segment[0] == "DMG":
                birth = segment[2]


def table(folder: Path, name: str) -> pl.DataFrame:
    return pl.read_csv(folder / "reference" / f"{name}.csv", infer_schema=False)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        synthetic.generate(tmp_path / name, 80, seed=seed, files=2)
    first, again, other = (contents(tmp_path / name) for name in "abc")
    assert first == again
    assert first.keys() == other.keys()
    assert first["inbox/professional-001.837"] != other["inbox/professional-001.837"]
    # ten tables, two professional and two institutional files
    assert len(first) == 14


def test_pyx12_finds_nothing_in_the_claims_meant_to_be_valid(tmp_path: Path) -> None:
    night = synthetic.generate(tmp_path, 90, seed=3, files=1, mix=ALL_BUT_REJECTED)
    assert night.professional and night.institutional
    assert set(night.fates) == {"paid", *ALL_BUT_REJECTED}
    for path in sorted((tmp_path / "inbox").glob("*.837")):
        assert pyx12_errors(path.read_bytes()) == []


def test_pyx12_finds_fault_with_every_claim_meant_to_be_rejected(tmp_path: Path) -> None:
    night = synthetic.generate(tmp_path, 30, seed=1, mix={"rejected": 1000})
    assert (night.professional, night.institutional) == (30, 0)
    found = pyx12_errors((tmp_path / "inbox" / "professional-001.837").read_bytes())
    assert len(found) == 30
    # a charge missing, a date that is none, a date segment missing, diagnoses missing
    for part in ("SV102", "20251301", "Service Date", "Diagnosis"):
        assert any(part in error for error in found), part


def test_counts(tmp_path: Path) -> None:
    night = synthetic.generate(tmp_path, 1000, seed=2, files=3)
    claims = list(read(tmp_path))
    assert len(claims) == night.claims == night.professional + night.institutional == 1000
    # of a thousand, the mix itself; 20+20+10+15+10+25+10+8+5 = 123, so that 877 are left to pay
    assert night.fates == {**synthetic.MIX, "paid": 877}
    assert 0.12 < night.institutional / night.claims < 0.18
    assert night.payees == table(tmp_path, "payees").height == 5  # the least; 1000 // 300 = 3
    assert night.members == table(tmp_path, "members").height
    segments = sum(path.read_bytes().count(b"~") for path in (tmp_path / "inbox").glob("*.837"))
    assert 32 < segments / 1000 < 36
    assert 2.8 < sum(len(claim.all("LX")) for claim in claims) / 1000 < 3.2


def test_charges_add_up_but_where_one_is_missing(tmp_path: Path) -> None:
    synthetic.generate(tmp_path, 300, seed=4, mix=ALL_BUT_REJECTED)
    for claim in read(tmp_path):
        lines = [s[2] for s in claim.all("SV1")] + [s[3] for s in claim.all("SV2")]
        total = sum(round(float(amount) * 100) for amount in lines)
        assert total == round(float(claim.segments[0][2]) * 100)


def test_no_two_visits_of_a_member_fall_on_one_day(tmp_path: Path) -> None:
    synthetic.generate(tmp_path, 500, seed=4, mix={})
    visits = [(claim.card_number, claim.last_day) for claim in read(tmp_path)]
    assert len(visits) == len(set(visits)) == 500


def one_fate(folder: Path, fate: str) -> list[Claim]:
    synthetic.generate(folder, 60, seed=7, mix={fate: 1000})
    return list(read(folder))


def covered(folder: Path, claim: Claim) -> bool:
    """Whether any member with that card and birth date is covered on the claim's last day."""
    birth = f"{claim.birth_date[:4]}-{claim.birth_date[4:6]}-{claim.birth_date[6:]}"
    day = claim.last_day.isoformat()
    spans = table(folder, "members").join(table(folder, "coverage"), on="member_id")
    return not spans.filter(
        pl.col("card_number") == claim.card_number,
        pl.col("birth_date") == birth,
        pl.col("start_date") <= day,
        pl.col("end_date").is_null() | (pl.col("end_date") >= day),
    ).is_empty()


def test_paid_claims_are_covered_in_time_and_of_known_payees(tmp_path: Path) -> None:
    synthetic.generate(tmp_path, 60, seed=7, mix={})
    known = set(table(tmp_path, "providers")["npi"])
    for claim in read(tmp_path):
        assert claim.billing_npi in known
        assert synthetic.BUSINESS_DATE - claim.last_day <= timedelta(days=60)
        assert claim.responsibility == "P"
        if len(claim.all("SV2")) == 0:  # the patient's birth date stands last before the claim
            assert covered(tmp_path, claim)


def test_late_claims_are_late_for_every_contract(tmp_path: Path) -> None:
    for claim in one_fate(tmp_path, "late"):
        # contracts allow 60 days, some 90
        assert synthetic.BUSINESS_DATE - claim.last_day > timedelta(days=90)
        assert covered(tmp_path, claim)


def test_claims_not_covered_are_of_members_without_coverage_that_day(tmp_path: Path) -> None:
    claims = one_fate(tmp_path, "not_covered")
    cards = set(table(tmp_path, "members")["card_number"])
    assert all(claim.card_number in cards for claim in claims)
    assert not any(covered(tmp_path, claim) for claim in claims)


def test_unknown_members_and_payees_are_on_no_file(tmp_path: Path) -> None:
    claims = one_fate(tmp_path / "members", "unknown_member")
    cards = set(table(tmp_path / "members", "members")["card_number"])
    assert len(claims) == 60 and not cards & {claim.card_number for claim in claims}
    claims = one_fate(tmp_path / "payees", "unknown_payee")
    npis = set(table(tmp_path / "payees", "providers")["npi"])
    assert len(claims) == 60 and not npis & {claim.billing_npi for claim in claims}


def test_duplicates_repeat_an_earlier_claim_of_the_night(tmp_path: Path) -> None:
    night = synthetic.generate(tmp_path, 100, seed=1, mix={"duplicate": 300})
    texts = [str(claim) for claim in read(tmp_path)]
    assert night.fates == {"duplicate": 30, "paid": 70}
    assert len(set(texts)) == 70


def test_missing_fees_corrections_and_other_payers(tmp_path: Path) -> None:
    fees = set(table_of_fees := _fees(tmp_path / "fees"))
    assert table_of_fees
    for claim in one_fate(tmp_path / "fees", "missing_fee"):
        first = (claim.all("SV1") + claim.all("SV2"))[0]
        code = first[1].split(":")[1] if first[0] == "SV1" else first[2][3:] or first[1]
        assert code not in fees
    for claim in one_fate(tmp_path / "corrected", "corrected"):
        assert claim.segments[0][5].endswith(":7")
        assert [len(s[2]) for s in claim.all("REF", "F8")] == [8]
    for claim in one_fate(tmp_path / "other", "other_payer"):
        assert claim.responsibility == "S"
        assert len(claim.all("SBR", "P")) == len(claim.all("AMT", "D")) == 1


def _fees(folder: Path) -> list[str]:
    synthetic.generate(folder, 20)
    return table(folder, "fees")["procedure_code"].to_list()


def test_what_the_primary_payer_did_adds_up_to_the_charge(tmp_path: Path) -> None:
    at_line = at_claim = 0
    for claim in one_fate(tmp_path, "other_payer"):
        charge = float(claim.segments[0][2])
        adjusted = sum(float(s[3]) for s in claim.all("CAS"))
        paid = float(claim.all("AMT", "D")[0][2])
        assert round((paid + adjusted - charge) * 100) == 0
        at_line += bool(claim.all("SVD"))
        at_claim += not claim.all("SVD")
    assert at_line and at_claim


def test_every_table_is_written_as_its_contract_says(tmp_path: Path) -> None:
    synthetic.generate(tmp_path, 400)
    for name in synthetic.COLUMNS:
        schema = TABLES[name]
        frame = table(tmp_path, name)
        columns = schema.columns()
        assert set(frame.columns) <= set(columns), name
        assert frame.height > 0, name
        for column, contract in columns.items():
            if column not in frame.columns:
                assert contract.nullable, (name, column)
                continue
            values = frame[column].drop_nulls()
            if not contract.nullable:
                assert len(values) == frame.height, (name, column)
            if column.endswith("_amount"):
                assert values.str.contains(r"^\d+\.\d\d$").all(), (name, column)
            elif column.endswith("_date"):
                assert values.str.contains(r"^\d{4}-\d\d-\d\d$").all(), (name, column)
            elif contract.dtype == pl.Int64:
                assert values.str.contains(r"^\d+$").all(), (name, column)
        keys = schema.primary_key()
        if keys:
            assert not frame.select(keys).is_duplicated().any(), name
    providers = table(tmp_path, "providers")
    assert providers["npi"].n_unique() == providers.height
    assert (
        set(table(tmp_path, "contracts")["pricing_method_code"])
        == {
            "fee_table",
            "percent_of_medicare",
        }
        or table(tmp_path, "contracts").height < 5
    )


def test_npi_check_digit() -> None:
    # 80840 123456789: the published worked example ends in 3
    assert synthetic.luhn_npi("123456789") == "1234567893"


def test_amounts_as_text() -> None:
    assert [synthetic.money(c) for c in (5, 12500, 12550)] == ["0.05", "125.00", "125.50"]
    assert [synthetic.element(c) for c in (5, 12500, 12550, 12555, 100000)] == [
        "0.05", "125", "125.5", "125.55", "1000",
    ]  # fmt: skip


def test_a_fate_nobody_knows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such fate"):
        synthetic.generate(tmp_path, 10, mix={"lost": 10})


def test_bench_table_shows_ratios_and_shares_in_80_columns() -> None:
    def taken(claims: int, what: str, rate: float, fates: dict[str, int]) -> dict[str, Any]:
        return {"claims": claims, "what": what, "claims_read": claims, "seconds": claims / rate,
                "claims_per_s": rate, "peak_mb": 100.0, "dispositions": fates}  # fmt: skip

    shown = bench.table([
        taken(10_000, "pyx12", 200.0, {}),
        taken(10_000, "run", 10_000.0, {"paid": 8_000, "denied": 2_000}),
        taken(100_000, "run", 12_000.0, {"paid": 75_000, "carried_forward": 25_000}),
    ])  # fmt: skip
    assert "run@10,000 / pyx12@10,000 = 50.0" in shown  # 10,000 / 200
    assert "run@100,000 / pyx12@10,000 = 60.0" in shown  # 12,000 / 200
    assert "75.0%" in shown and "20.0%" in shown
    assert max(map(len, shown.splitlines())) <= 80
