"""fixtures/corrections: its rows as claims on each kind of form, and an 835 as its rows tell it."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from adjudicator.night import Order, Summary, run_night
from schemas.config import Config
from tests.case_tools import CLAIMS, FIXTURES, cents, dollars
from tests.correcting import Nights

FOLDER = FIXTURES / "corrections"
FORMATS = ("837P", "837I", "UB-04", "CMS-1500")
DAY, DISCHARGE = date(2025, 11, 4), date(2025, 11, 6)  # of service; of a stay, the last
ADMISSION = date(2025, 11, 3)
FIRST, SECOND, LAST = date(2025, 11, 15), date(2025, 11, 18), date(2025, 11, 20)
ABSENT = "000000099990"  # a number that nobody was given
LINE = re.compile(r"(?:(?P<revenue>\d{4})/)?(?P<code>\w+) (?P<charge>[\d.]+)(?: x(?P<units>\d+))?")


class Line(NamedTuple):
    revenue: str | None
    code: str  # of a stay a revenue code
    charge: int
    units: int


@dataclass(frozen=True)
class Member:
    card: str
    last: str
    first: str
    birth: date
    sex: str


@dataclass(frozen=True)
class Bill:
    """A claim as it is sent."""

    number: str
    lines: Sequence[Line]
    member: Member
    day: date
    frequency: str
    original: str | None
    notice: str | None

    @property
    def charge(self) -> int:
        return sum(line.charge for line in self.lines)


@dataclass(frozen=True)
class Case:
    """A row: one combination."""

    form: str
    frequency: str
    original: str
    told: Mapping[str, Any]

    @property
    def member(self) -> str:
        return str(self.told["member"])

    def number(self, name: str) -> str:
        """The patient control number of A, R, W or B."""
        return self.member + name


def cases() -> list[Case]:
    rows = _rows()
    return [
        Case(form, *name.split(), told) for form in FORMATS for name, told in rows[form].items()
    ]


def payments() -> dict[str, list[list[int]]]:
    """By form each night's claims, balance brought, balance carried, and paid; cents."""
    return {
        form: [[cents(amount) for amount in night.split()] for night in nights]
        for form, nights in _rows()["payments"].items()
    }


def _rows() -> dict[str, Any]:
    # all values as text: an amount is never a float
    told = yaml.load((FOLDER / "cases.yaml").read_text("utf-8"), yaml.BaseLoader)
    return dict(told)


def members() -> dict[str, Member]:
    rows = (FOLDER / "reference" / "members.csv").read_text("utf-8").splitlines()[1:]
    found = {}
    for row in rows:
        number, _, card, last, first, birth, sex = row.split(",")
        found[number] = Member(card, last.upper(), first.upper(), date.fromisoformat(birth), sex)
    return found


def named(form: str, number: str) -> str:
    """A claim number as a correction gives it: the last eight digits on an 837 (001:2231), all
    twelve on paper (001:2243)."""
    return number[-8:] if form.startswith("837") else number


def bill(
    case: Case, name: str, frequency: str, original: str | None, people: Mapping[str, Member]
) -> Bill:
    told = case.told
    day = ADMISSION if case.form == "837I" else DAY
    return Bill(
        case.number(name),
        lines(told[name]),
        people[told.get(f"{name}_member", case.member)],
        date.fromisoformat(told.get(f"{name}_day", day.isoformat())),
        frequency,
        original and named(case.form, original),
        told.get(f"{name}_notice"),
    )


def lines(text: str) -> list[Line]:
    return [_line(each) for each in text.split(", ")]


def _line(text: str) -> Line:
    found = LINE.fullmatch(text)
    assert found, text
    return Line(found["revenue"], found["code"], cents(found["charge"]), int(found["units"] or 1))


# ---- the forms -------------------------------------------------------------------------------


def written(form: str, bills: Sequence[Bill], control: int) -> bytes:
    """A file of these claims."""
    if form in ("UB-04", "CMS-1500"):
        record = {"UB-04": _ub04, "CMS-1500": _cms1500}[form]
        return "".join(json.dumps(record(each)) + "\n" for each in bills).encode()
    version = {"837P": "005010X222A1", "837I": "005010X223A2"}[form]
    body = [
        "BHT*0019*00*FL1*20251114*1830*CH", "NM1*41*2*FERRY LANE CLAIMS*****46*FERRYLANE",
        "PER*IC*CLAIMS DESK*TE*2035550142", "NM1*40*2*CAREPARTNERS OF CONNECTICUT*****46*CPCT1",
    ]  # fmt: skip
    for place, each in enumerate(bills):
        body += _provider(form, 2 * place + 1) + _person(each, 2 * place + 2)
        body += {"837P": _professional, "837I": _institutional}[form](each)
    isa = f"ISA*00*{'':10}*00*{'':10}*ZZ*{'FERRYLANE':15}*ZZ*{'CPCT1':15}*251114*1830*^*00501"
    segments = [
        f"{isa}*{control:09d}*0*P*:",
        f"GS*HC*FERRYLANE*CPCT1*20251114*1830*{control}*X*{version}",
        f"ST*837*0001*{version}", *body, f"SE*{len(body) + 2}*0001", f"GE*1*{control}",
        f"IEA*1*{control:09d}",
    ]  # fmt: skip
    return "".join(segment + "~\n" for segment in segments).encode()


def _provider(form: str, level: int) -> list[str]:
    if form == "837P":
        return [
            f"HL*{level}**20*1", "NM1*85*2*OLD FERRY WALK-IN CARE*****XX*2310006004",
            "N3*7 OLD FERRY SLIP", "N4*OLD SAYBROOK*CT*064751422", "REF*EI*069931006",
        ]  # fmt: skip
    return [
        f"HL*{level}**20*1", "PRV*BI*PXC*282N00000X",
        "NM1*85*2*SALTBOX HARBOR HOSPITAL*****XX*2310004009", "N3*300 HARBOR TERRACE",
        "N4*STAMFORD*CT*069013005", "REF*EI*069931004",
    ]  # fmt: skip


def _person(each: Bill, level: int) -> list[str]:
    member = each.member
    return [
        f"HL*{level}*{level - 1}*22*0", "SBR*P*18*CPCT2025******16",
        f"NM1*IL*1*{member.last}*{member.first}****MI*{member.card}", "N3*27 ORCHARD LN",
        "N4*HARTFORD*CT*06103", f"DMG*D8*{member.birth:%Y%m%d}*{member.sex}",
        "NM1*PR*2*CAREPARTNERS OF CONNECTICUT*****PI*CPCT1",
    ]  # fmt: skip


def _original(each: Bill) -> list[str]:
    return [f"REF*F8*{each.original}"] if each.original else []


def _professional(each: Bill) -> list[str]:
    out = [
        f"CLM*{each.number}*{dollars(each.charge)}***11:B:{each.frequency}*Y*A*Y*Y",
        *_original(each), "HI*ABK:I10",
    ]  # fmt: skip
    for place, line in enumerate(each.lines, 1):
        out += [f"LX*{place}", f"SV1*HC:{line.code}*{dollars(line.charge)}*UN*{line.units}***1",
                f"DTP*472*D8*{each.day:%Y%m%d}"]  # fmt: skip
    return out


def _institutional(each: Bill) -> list[str]:
    """A stay: bill type 11 and the frequency."""
    out = [
        f"CLM*{each.number}*{dollars(each.charge)}***11:A:{each.frequency}**A*Y*Y",
        "DTP*096*TM*1100", f"DTP*434*RD8*{each.day:%Y%m%d}-{DISCHARGE:%Y%m%d}",
        f"DTP*435*DT*{each.day:%Y%m%d}0915", "CL1*1*1*01",
        *([f"REF*G1*{each.notice}"] if each.notice else []), *_original(each),
        "HI*ABK:I5022:::::::Y", "HI*ABJ:I5022", "NM1*71*1*BRIGHTWAITE*SERAPHINA****XX*2310004017",
    ]  # fmt: skip
    for place, line in enumerate(each.lines, 1):
        unit = "DA" if line.code < "0200" else "UN"
        out += [f"LX*{place}", f"SV2*{line.code}**{dollars(line.charge)}*{unit}*{line.units}"]
    return out


def _ub04(each: Bill) -> dict[str, Any]:
    """A day at the outpatient department: bill type 13."""
    record = _form("paper-returned", -1)
    boxes, member = record["boxes"], each.member
    boxes |= {
        "1": {"name": "FERNHILL REGIONAL HOSPITAL", "street": "9 FERNHILL ROAD",
              "city": "TORRINGTON", "state": "CT", "zip": "06790-2214", "phone": "8605550121"},
        "3a": each.number, "4": f"013{each.frequency}", "5": "06-9931021",
        "6": {"from": f"{each.day:%m%d%y}", "through": f"{each.day:%m%d%y}"},
        "8a": member.card, "8b": f"{member.last}, {member.first}", "10": f"{member.birth:%m%d%Y}",
        "11": member.sex, "56": "2310021003", "58a-c": [f"{member.last}, {member.first}"],
        "60a-c": [member.card], "76": {"npi": "2310021011", "name": "ABERNETHY, ROWAN"},
        "42-49": [
            *({"42": line.revenue, "43": "SERVICE", "44": line.code, "45": f"{each.day:%m%d%Y}",
               "46": str(line.units), "47": dollars(line.charge)} for line in each.lines),
            {"42": "0001", "43": "TOTAL", "47": dollars(each.charge)},
        ],
    }  # fmt: skip
    if each.original:
        boxes["64a-c"] = [each.original]
    return record


def _cms1500(each: Bill) -> dict[str, Any]:
    record = _form("paper-professional", 0)
    boxes, member, day = record["boxes"], each.member, f"{each.day:%m%d%y}"
    [first] = [line for line in boxes["24"] if line["24d"]["code"] == "99213"]
    boxes |= {
        "1a": member.card, "2": f"{member.last}, {member.first}",
        "3": {"birth_date": f"{member.birth:%m%d%Y}", "sex": member.sex},
        "26": each.number, "28": dollars(each.charge), "29": "0.00",
        "24": [
            first | {"24a": {"from": day, "to": day}, "24d": {"code": line.code},
                     "24f": dollars(line.charge), "24g": str(line.units)}
            for line in each.lines
        ],
    }  # fmt: skip
    if each.frequency != "1":
        boxes["22"] = {"code": each.frequency, "original_number": each.original or ""}
    return record


def _form(case: str, place: int) -> dict[str, Any]:
    lines = (CLAIMS / case / "claim.jsonl").read_text("utf-8").splitlines()
    return dict(copy.deepcopy(json.loads(lines[place])))


# ---- the nights ------------------------------------------------------------------------------


class CaseNights(Nights):
    """Nights over files of any form."""

    programs: Path | None = None

    def config(self) -> Config:
        return Config(db=self.url, out=self.folder / "out", programs=self.programs)

    def of_files(self, files: Iterable[tuple[str, Sequence[Bill]]], day: date) -> Summary:
        """A night over these files, taken in in this order."""
        inbox = self.folder / f"in-{day}"
        inbox.mkdir()
        for form, bills in files:
            self.count += 1
            suffix = "837" if form.startswith("837") else "jsonl"
            path = inbox / f"{self.count:04d}.{suffix}"
            path.write_bytes(written(form, bills, self.count))
        self.day = day
        self.summary = run_night(Order((inbox,), self.config(), day, day))
        return self.summary

    def documents(self) -> list[Path]:
        """The 835s of every night so far, in order."""
        return sorted((self.folder / "out").glob("run-*/835/*.835"))


@dataclass
class Told:
    """A CLP of an 835 with what follows it."""

    name: str  # CLP01
    status: str
    charge: int
    paid: int
    member: int
    number: str  # CLP07
    frequency: str  # CLP09
    remarks: list[str]
    lines: list[LineTold]

    def __str__(self) -> str:
        """As a row of cases.yaml tells it."""
        owed = " ".join(self.remarks) if self.status == "22" else dollars(self.member)
        amounts = f"{dollars(self.charge)} {dollars(self.paid)} {owed}"
        return f"{self.name} {self.status} {amounts} / {' | '.join(map(str, self.lines))}"


@dataclass
class LineTold:
    service: str  # SVC01
    charge: int
    paid: int
    units: str
    adjustments: list[tuple[str, int]]
    remarks: list[str]

    def __str__(self) -> str:
        shown = ", ".join(f"{code} {dollars(amount)}" for code, amount in self.adjustments)
        return " ".join([shown or "nothing", *self.remarks])


def told(document: bytes) -> list[Told]:
    """The claims of an 835 in its order."""
    found: list[Told] = []
    for segment in document.decode("ascii").split("~"):
        tag, *e = segment.split("*")
        if tag == "CLP":
            found.append(Told(e[0], e[1], _cents(e[2]), _cents(e[3]), _cents(e[4]), e[6], e[8],
                              [], []))  # fmt: skip
        elif tag == "SVC":
            line = LineTold(e[0], _cents(e[1]), _cents(e[2]), e[4], [], [])
            found[-1].lines.append(line)
        elif tag == "CAS":
            # none at the level of the claim
            found[-1].lines[-1].adjustments += [
                (f"{e[0]}-{reason}", _cents(amount))
                for reason, amount in zip(e[1::3], e[2::3], strict=False)
            ]
        elif tag == "LQ":
            found[-1].lines[-1].remarks.append(e[1])
        elif tag == "MOA":
            found[-1].remarks += [code for code in e[2:] if code]
        elif tag == "MIA":
            found[-1].remarks += [code for code in e[4:5] + e[19:] if code]
    return found


def _cents(text: str) -> int:
    """An amount of X12, 81.5, as cents."""
    whole, _, part = (text or "0").lstrip("-").partition(".")
    return (int(whole or 0) * 100 + int(f"{part}00"[:2])) * (-1 if text.startswith("-") else 1)
