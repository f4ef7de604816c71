"""Nights of small professional claims and their corrections, for the tests of these.

Members and providers are those of fixtures/reference: Old Ferry Walk-In Care, fee table OFFICE from
2025-11-01 (99213 91.50, 99212 41.30, 71046 44.00), members of the Preferred HMO (office visit
copay 10.00, imaging 15.00).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
from sqlalchemy import Connection, Engine

from adjudicator import store
from adjudicator.night import Order, Summary, run_night
from schemas.config import Config

FIRST = date(2025, 11, 15)
HERE = "OLD FERRY WALK-IN CARE*****XX*2310006004", "069931006"
THERE = "HERONBROOK FAMILY MEDICINE*****XX*2310001005", "069931001"
MEMBERS = {
    "odalys": ("THISTLEWOOD*ODALYS****MI*CPC20000101", "19510602*F"),
    "nobody": ("NOBODYSON*NORA****MI*CPC29999901", "19550321*F"),
    # M6001 to M6021 of the reference data, for tests of many claims in one night
    **{
        f"M60{n:02d}": (f"{last}*{first}****MI*CPC200060{n:02d}", f"195002{n:02d}*{'FM'[n % 2]}")
        for n, (last, first) in enumerate(
            (
                tuple(name.split())
                for name in (
                    "COPPERTHWAITE ABELARD",
                    "DUNNOCH BETTINA",
                    "ELLERBECK CONRAD",
                    "FOTHERGAY DELPHINE",
                    "GRISTWOOD EDMUND",
                    "HOLLOWHAY FIAMMETTA",
                    "INKPENNY GILBERT",
                    "JESSAMYNE HENRIETTA",
                    "KETTLEWICK IGNATIUS",
                    "LARKSPIRE JOSEPHA",
                    "MOSSGROVE KILLIAN",
                    "NETHERCOMBE LEONORA",
                    "OXENBRIDGE MORTIMER",
                    "PIKESTAFFE NADINE",
                    "QUERNSTONE OSWALD",
                    "RUSHWICK PETRONEL",
                    "SALTMARSHE QUENTIN",
                    "TANGLEWODE ROSAMUND",
                    "UNDERHAYE SYLVESTER",
                    "VELLACOURT THEODORA",
                    "WYCHWOODE ULRIC",
                )
            ),
            1,
        )
    },
    "philippa": ("STONECROPLEY*PHILIPPA****MI*CPC20001001", "19550321*F"),
}


@dataclass(frozen=True)
class Sent:
    """A claim to send: lines are (procedure, charge in dollars, day of November 2025)."""

    number: str
    lines: Sequence[tuple[str, int, int]] = (("99213", 150, 4),)
    frequency: str = "1"
    original: str | None = None
    member: str = "philippa"
    provider: tuple[str, str] = HERE

    def segments(self, level: int) -> list[str]:
        name, birth = MEMBERS[self.member]
        out = [
            f"HL*{level}**20*1", f"NM1*85*2*{self.provider[0]}", "N3*7 OLD FERRY SLIP",
            "N4*OLD SAYBROOK*CT*064751422", f"REF*EI*{self.provider[1]}",
            f"HL*{level + 1}*{level}*22*0", "SBR*P*18*CPCT2025******16", f"NM1*IL*1*{name}",
            "N3*27 ORCHARD LN", "N4*HARTFORD*CT*06103", f"DMG*D8*{birth}",
            "NM1*PR*2*CAREPARTNERS OF CONNECTICUT*****PI*CPCT1",
            f"CLM*{self.number}*{sum(charge for _, charge, _ in self.lines)}***11:B:"
            f"{self.frequency}*Y*A*Y*Y",
            *([f"REF*F8*{self.original}"] if self.original else []),
            "HI*ABK:I10",
        ]  # fmt: skip
        for place, (code, charge, day) in enumerate(self.lines, 1):
            out += [f"LX*{place}", f"SV1*HC:{code}*{charge}*UN*1***1",
                    f"DTP*472*D8*202511{day:02d}"]  # fmt: skip
        return out


def written(claims: Sequence[Sent], control: int) -> bytes:
    """An interchange of one set."""
    body = [
        "BHT*0019*00*OF1*20251114*1830*CH", "NM1*41*2*FERRY LANE CLAIMS*****46*FERRYLANE",
        "PER*IC*CLAIMS DESK*TE*2035550142", "NM1*40*2*CAREPARTNERS OF CONNECTICUT*****46*CPCT1",
    ]  # fmt: skip
    for place, claim in enumerate(claims):
        body += claim.segments(2 * place + 1)
    isa = f"ISA*00*{'':10}*00*{'':10}*ZZ*{'FERRYLANE':15}*ZZ*{'CPCT1':15}*251114*1830*^*00501"
    lines = [
        f"{isa}*{control:09d}*0*P*:",
        f"GS*HC*FERRYLANE*CPCT1*20251114*1830*{control}*X*005010X222A1",
        "ST*837*0001*005010X222A1", *body, f"SE*{len(body) + 2}*0001", f"GE*1*{control}",
        f"IEA*1*{control:09d}",
    ]  # fmt: skip
    return "".join(line + "~\n" for line in lines).encode()


@dataclass
class Nights:
    """Nights one after the other on one store."""

    folder: Path
    day: date = FIRST
    count: int = 0
    summary: Summary | None = None
    engine: Engine | None = None  # only to read

    @property
    def url(self) -> str:
        return f"sqlite:///{self.folder / 'a.db'}"

    def config(self) -> Config:
        return Config(db=self.url, out=self.folder / "out")

    def night(self, *claims: Sent | Sequence[Sent], day: date | None = None) -> Summary:
        """A night over a file of these claims, or over several."""
        files = [c for c in claims if not isinstance(c, Sent)] or ([claims] if claims else [])
        paths = []
        inbox = self.folder / f"in-{self.count}"
        inbox.mkdir()
        for each in files:
            self.count += 1
            path = inbox / f"{self.count:04d}.837"
            path.write_bytes(written(list(each), self.count))
            paths.append(path)
        self.day = day or self.day + timedelta(days=1)
        order = Order(tuple(paths or [inbox]), self.config(), self.day, self.day)
        self.count += 1
        self.summary = run_night(order)
        return self.summary

    def fate(self, name: str) -> str:
        """The fate of the claim with that patient control number, as the summary counts them."""
        return self.fates()[name]

    def fates(self) -> dict[str, str]:
        return dict(self.rows("SELECT patient_control_number, disposition FROM claim"))

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        if self.engine is None:
            self.engine = store.open_store(self.url, create=False)
        with store.reading(self.engine) as connection:
            yield connection

    def close(self) -> None:
        if self.engine is not None:
            self.engine.dispose()
            self.engine = None

    def rows(self, statement: str) -> list[Any]:
        with self.reading() as connection:
            return [tuple(r) for r in connection.exec_driver_sql(statement).fetchall()]

    def number(self, name: str) -> str:
        """The claim number given to it."""
        [(found,)] = self.rows(
            f"SELECT claim_number FROM claim WHERE patient_control_number = '{name}'"
        )
        return str(found)

    def ledger(self) -> dict[str, int]:
        """Σ ledger a claim, by patient control number; what is nothing left out."""
        rows = self.rows(
            "SELECT c.patient_control_number, sum(l.entry_amount) FROM ledger_entry l "
            "JOIN claim c ON c.claim_id = l.claim_id GROUP BY 1"
        )
        return {name: amount for name, amount in rows if amount}

    def counters(self) -> dict[str, int]:
        """Σ of every counter, by what is counted; what is nothing left out."""
        sums = {
            f"{table} {column} {key}": amount
            for table, column, keys in (
                ("accumulator_entry", "deductible_amount", "member_id"),
                ("accumulator_entry", "out_of_pocket_amount", "member_id"),
                ("referral_visit", "visit_count", "referral_number"),
                ("authorization_unit", "unit_quantity", "authorization_number"),
                ("benefit_use", "use_count", "member_id"),
            )
            for key, amount in self.rows(f"SELECT {keys}, sum({column}) FROM {table} GROUP BY 1")
        }
        return {name: amount for name, amount in sums.items() if amount}

    def remittances(self) -> list[list[list[str]]]:
        """The last night's 835s: segments of elements."""
        assert self.summary is not None
        paths = sorted((self.folder / "out" / self.summary.folder / "835").glob("*.835"))
        return [[s.split("*") for s in p.read_text().split("~") if s] for p in paths]

    def clps(self) -> list[tuple[str, ...]]:
        """CLP01 to CLP04 and CLP07 of the last night's 835s, in order."""
        return [
            (s[1], s[2], s[3], s[4], s[7]) for r in self.remittances() for s in r if s[0] == "CLP"
        ]

    def told(self) -> dict[str, Any]:
        assert self.summary is not None
        path = self.folder / "out" / self.summary.folder / "summary.json"
        return dict(json.loads(path.read_text()))


def plain(frame: pl.DataFrame) -> list[dict[str, Any]]:
    return frame.to_dicts()
