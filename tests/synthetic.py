"""A night's input made up from a seed: 837 files and the reference data that they meet.

    python -m tests.synthetic FOLDER --claims 1000 --seed 1 --files 1

writes FOLDER/inbox/*.837 and FOLDER/reference/*.csv. The same arguments give the same bytes.
Every person, practice, number and fee is invented; NPIs begin with 2, of which none is issued.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, timedelta
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")

BUSINESS_DATE = date(2025, 11, 15)
PROGRAM = "carepartners"
PLANS = ("careadvantage-preferred-hmo", "careadvantage-prime-hmo", "carepartners-access-ppo")
PAYER_NAME = "CAREPARTNERS OF CONNECTICUT"
PAYER_NUMBER = "CPCT1"  # ISA08, GS03, NM1*40 and 2010BB: one of the program's receiver numbers
SUBMITTER_NUMBER = "NUTMEGEDI"

# How many claims of a thousand are meant for each fate; the rest are meant to be paid.
MIX: Mapping[str, int] = {
    "late": 20,
    "not_covered": 20,
    "unknown_member": 10,
    "duplicate": 15,
    "unknown_payee": 10,
    "other_payer": 25,
    "missing_fee": 10,
    "corrected": 8,
    "rejected": 5,
}
PROFESSIONAL_ONLY = ("unknown_payee", "rejected")
ALONE = ("not_covered", "unknown_member")  # a family of their own, so that no one else is touched
INSTITUTIONAL_SHARE = 0.15
CLAIMS_A_SET = 1000


def words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


LAST_NAMES = words("""
    ABERLIN ASHCOMBE BELLWEATHER BIRCHALL BRANTLOW CALDERMOOR CARDWICK COLEBRIDGE CRANMERE
    DALLOWAY DANVERS DUNMORELAND EASTERBY ELDERKIN FALLOWELL FARNHOLM FENWRIGHT GALLOWMERE
    GARROD GREENHALGH HADDLESTONE HARTWELL HOLLOWAY INGLEBY IVESON JESSAMYN KESTREL KINGSLOW
    LANGTHORNE LARKSPURLEY LOCKRIDGE MARCHBANK MERRIDEW MOSSGROVE NETHERBY NORTHCOTE
    OAKENFOLD ORMEROD PELLINGTON PENHALLOW QUARRINGTON RAVENHILL REDFERN ROSTHWAITE
    SALTMARSH SEDGEWICK STANNARD TAMBLYN THORNBURY TREVANION UNDERHILL VANTERPOOL VENNING
    WARBECK WHITCOMBE WINTERBOURNE WOOLCOTT YARDLEY YELVERTON ZELLWOOD
""")
FIRST_NAMES = words("""
    ADA ALMA ARLO BEATRIX BRAM CALLUM CLARA CORA DARIUS DELIA EDGAR ELIAS ELSPETH ESME FELIX
    FLORA GEMMA GIDEON HATTIE HUGO IDA IVOR JASPER JUNO KEZIA LEANDER LENA LIONEL MABEL
    MARIUS MILO NADIA NELL OCTAVIA ORSON PEARL PHINEAS QUENTIN ROSALIND RUFUS SABINE SILAS
    TABITHA THEO UNA VERA VICTOR WILLA XAVIER YVETTE ZADIE ZEKE
""")
STREETS = ("ELM ST", "MAPLE AVE", "QUARRY RD", "HARBOR VIEW DR", "OLD MILL LN", "CHESTNUT HILL RD")
PLACES = (
    ("HARTFORD", "06103"),
    ("NEW HAVEN", "06510"),
    ("STAMFORD", "06901"),
    ("WATERBURY", "06702"),
    ("NORWALK", "06850"),
    ("DANBURY", "06810"),
    ("NEW BRITAIN", "06051"),
    ("MERIDEN", "06450"),
    ("BRISTOL", "06010"),
    ("MIDDLETOWN", "06457"),
    ("NORWICH", "06360"),
    ("TORRINGTON", "06790"),
)

DIAGNOSES = words("""
    E119 I10 E785 J449 M545 M1711 I2510 I4891 E039 F329 F411 G4733 K219 N189 R0602 R079
    Z0000 M25561 M25511 H2513 H40113 L570 L821 J069 J209 N390 R5383 D649 E6601 G629 I5022
    M170 M4806 R109 Z7901 E1165 E1122 I130 J189 K5730 L03115 N179 R55 Z96651 F1720 H3530
    M810 R42 Z23 Z1231
""")


class Procedure(NamedTuple):
    """An invented price and how the code is billed."""

    fee_amount: int  # cents, for one unit
    physician_schedule: bool = False  # has relative values
    most_units: int = 1
    global_days_code: str = "XXX"
    imaging: bool = False  # has 26 and TC rows


def priced(text: str, **terms: Any) -> dict[str, Procedure]:
    """Procedures from ``code:fee`` words, the fee in cents."""
    pairs = (word.split(":") for word in text.split())
    return {code: Procedure(int(fee), **terms) for code, fee in pairs}


PROCEDURES: Mapping[str, Procedure] = {
    **priced("""
        99202:7600 99203:11800 99204:17600 99212:5900 99213:9500 99214:13400 99215:18900
        G0439:13700 93000:1550 93306:20500 93015:7300 93880:19800 94010:2700 90471:2050
        96372:1450 92004:15900 92014:13300 92134:3250 92083:6500 92250:4000 90791:17900
        90832:7900 90834:10500 90837:15500 97161:10500 90785:1500
        """, physician_schedule=True),
    **priced("97110:3100 97112:3500 97140:2900 97530:3800", physician_schedule=True, most_units=4),
    **priced("20610:6400 20550:5700 11102:10300", physician_schedule=True, global_days_code="000"),
    **priced("17000:6800 17110:11200 10060:12500", physician_schedule=True, global_days_code="010"),
    **priced("66984:54200", physician_schedule=True, global_days_code="090"),
    **priced("""
        71046:3400 73030:3500 73562:4000 73630:3300 72100:4100 76700:12300 70450:11600
        72148:21700 74177:31500 77067:13100
        """, physician_schedule=True, imaging=True),
    **priced("""
        36415:850 80053:1055 85025:775 83036:970 81001:320 84443:1680 80061:1340 82306:2960
        87086:810 93005:720 G0463:12600 99284:38500 99283:24100
        """),
    **priced("J1100:15 J3420:180", most_units=5),
}  # fmt: skip
UNPRICED_PROCEDURE = "95115"  # in no fee table
DRUG_CODES = {"J1100": "99999110001", "J3420": "99999342001"}

# Revenue codes of a stay, priced for one unit without a procedure code; the first is for a day.
STAY_FEES: Mapping[str, int] = {
    "0120": 148000, "0250": 21500, "0270": 9800, "0300": 12400, "0320": 17700, "0420": 8600,
    "0730": 6900,
}  # fmt: skip
OUTPATIENT = (
    ("0510", "G0463"), ("0300", "80053"), ("0305", "85025"), ("0320", "71046"), ("0730", "93005"),
    ("0450", "99284"), ("0301", "83036"), ("0307", "81001"), ("0420", "97110"), ("0320", "73562"),
    ("0636", "J3420"), ("0402", "76700"), ("0300", "36415"), ("0450", "99283"),
)  # fmt: skip


class Specialty(NamedTuple):
    name: str
    taxonomy_code: str
    procedure_codes: tuple[str, ...]


SPECIALTIES = tuple(
    Specialty(name, taxonomy, tuple(codes.split()))
    for name, taxonomy, codes in (
        ("CARDIOLOGY", "207RC0000X", "99214 93000 93306 99204 93880 93015 99215"),
        ("ORTHOPEDICS", "207X00000X", "99213 73562 20610 99203 73030 20550 99214 72100 73630"),
        ("PHYSICAL THERAPY", "225100000X", "97110 97140 97530 97112 97161"),
        ("DERMATOLOGY", "207N00000X", "99213 17000 11102 99203 17110 10060 99212"),
        ("RADIOLOGY", "2085R0202X", "71046 76700 73562 72148 77067 70450 74177 73030"),
        ("EYE CARE", "207W00000X", "92014 92134 92083 92004 92250 66984"),
        ("BEHAVIORAL HEALTH", "2084P0800X", "99214 90834 90785 90837 90791 90832"),
        # priced by fee table only: these codes have no relative values
        ("FAMILY MEDICINE", "207Q00000X", "99213 36415 99214 85025 G0439 93000 90471 J3420 94010"),
        ("INTERNAL MEDICINE", "207R00000X", "99214 36415 99213 80053 93000 99215 96372 J1100"),
        ("LABORATORY", "291U00000X", "80053 85025 83036 80061 84443 81001 82306 87086 36415"),
    )
)
BY_RELATIVE_VALUE = 7  # the first so many specialties
HOSPITAL = Specialty("HOSPITAL", "282N00000X", ())
FEE_TABLES = {"STANDARD": 100, "PRIMARY": 108, "ENHANCED": 115, "HOSPITAL": 160}  # per cent
CONVERSION_FACTOR = 323465  # ten-thousandths of a dollar
LINE_COUNTS = (1, 2, 2, 3, 3, 3, 4, 4, 5)
FAMILY_SIZES = (1, 1, 1, 1, 1, 2, 2, 2, 3, 4, 5)


class Person(NamedTuple):
    npi: str
    last_name: str
    first_name: str


@dataclass(frozen=True)
class Practice:
    """A billing provider and its people."""

    number: int
    npi: str
    name: str
    specialty: Specialty
    tax_number: str
    street: str
    city: str
    zip_code: str
    people: tuple[Person, ...]  # none: bills as an organisation without rendering providers
    solo: bool  # the only person bills
    pricing: str  # a fee table, "percent_of_medicare", or "" without a contract
    markup: int  # charge over our invented fee, per cent

    @property
    def loop(self) -> str:
        """Loops 2000A and 2010AA but for the HL."""
        name = (
            f"1*{self.people[0].last_name}*{self.people[0].first_name}***"
            if self.solo
            else f"2*{self.name}****"
        )
        return (
            f"PRV*BI*PXC*{self.specialty.taxonomy_code}~\n"
            f"NM1*85*{name}*XX*{self.npi}~\nN3*{self.street}~\n"
            f"N4*{self.city}*CT*{self.zip_code}~\nREF*EI*{self.tax_number}~\n"
            f"PER*IC*BILLING OFFICE*TE*860555{self.number % 10000:04d}~\n"
        )


class Town(NamedTuple):
    """Who bills and who refers."""

    professionals: list[Practice]
    hospitals: list[Practice]
    strangers: list[Practice]
    contracted: list[Practice]  # of the professionals
    people: list[Person]


class Entry(NamedTuple):
    """A claim on its way into a set."""

    subscriber_key: str
    subscriber: str  # 2000B but for the HL
    patient: str  # 2000C but for the HL; empty where the subscriber is the patient
    claim: str  # 2300 and below


class Stay(NamedTuple):
    """A stay of which the hospital told us beforehand."""

    number: str
    type_code: str  # of the admission
    back: int  # days of the admission before the business date


class Billed(NamedTuple):
    letter: str  # P professional, I institutional
    practice: int
    entry: Entry
    notice: Row | None = None  # of notifications


@dataclass(frozen=True)
class Family:
    number: int
    card_number: str
    last_name: str
    people: tuple[tuple[str, str, str], ...]  # first name, birth date CCYYMMDD, sex
    street: str
    city: str
    zip_code: str
    first_day: int  # shifts the days of its visits
    home: int  # which contracted practice it mostly goes to


class Enrolled(NamedTuple):
    family: Family
    fate: str  # not_covered decides their coverage


@dataclass(frozen=True)
class Night:
    """What was made: claims by type and by the fate each is meant for."""

    claims: int
    professional: int
    institutional: int
    fates: dict[str, int] = field(default_factory=dict)
    payees: int = 0
    members: int = 0


Row = tuple[object, ...]
DAYS = tuple(f"{BUSINESS_DATE - timedelta(days=back):%Y%m%d}" for back in range(400))


def luhn_npi(nine_digits: str) -> str:
    """The NPI that begins with those nine digits (check digit over 80840 + NPI)."""
    total = 24  # what the prefix 80840 adds
    for place, digit in enumerate(reversed(nine_digits)):
        doubled = int(digit) * (2 if place % 2 == 0 else 1)
        total += doubled // 10 + doubled % 10
    return nine_digits + str(-total % 10)


def money(cents: int) -> str:
    """Cents as a table carries them: 125.00."""
    return f"{cents // 100}.{cents % 100:02d}"


def element(cents: int) -> str:
    """Cents as X12 carries them: 125, 125.5, 125.55."""
    return money(cents).rstrip("0").rstrip(".")


def pick(rng: random.Random, values: Sequence[T]) -> T:
    return values[int(rng.random() * len(values))]


def fates(rng: random.Random, claims: int, mix: Mapping[str, int]) -> list[str]:
    """A fate for each claim, shuffled; at least one of each from 20 claims on."""
    least = 1 if claims >= 20 else 0
    listed = [
        fate
        for fate, share in mix.items()
        for _ in range(max(least if share else 0, claims * share // 1000))
    ]
    listed = (["paid"] * (claims - len(listed)) + listed)[:claims]
    for last in range(len(listed) - 1, 0, -1):  # only random() is stable over Python versions
        other = int(rng.random() * (last + 1))
        listed[last], listed[other] = listed[other], listed[last]
    if "paid" in listed:  # a duplicate needs something before it
        first = listed.index("paid")
        listed[0], listed[first] = listed[first], listed[0]
    return listed


def town(rng: random.Random, claims: int, strangers: int) -> Town:
    """About a payee for 300 claims, a seventh of them hospitals; strangers are on no file."""
    payees = min(400, max(5, claims // 300))
    hospitals = max(1, payees * 15 // 100)
    made = [practice(rng, number, number >= payees - hospitals) for number in range(payees)]
    professionals = made[: payees - hospitals]
    return Town(
        professionals=professionals,
        hospitals=made[payees - hospitals :],
        strangers=[practice(rng, 90000 + number) for number in range(strangers)],
        contracted=[p for p in professionals if p.pricing],
        people=[person for p in professionals for person in p.people],
    )


def practice(rng: random.Random, number: int, hospital: bool = False) -> Practice:
    pricing = pick(rng, ("STANDARD", "STANDARD", "PRIMARY", "ENHANCED"))
    specialty = SPECIALTIES[(number * 3) % len(SPECIALTIES)]
    if hospital:
        pricing, specialty = "HOSPITAL", HOSPITAL
    elif number % 4 == 3:  # every twentieth payee has no contract
        pricing = "" if number % 20 == 19 else "percent_of_medicare"
        specialty = SPECIALTIES[(number // 4) % BY_RELATIVE_VALUE]
    organisation = hospital or specialty.name == "LABORATORY"
    solo = not organisation and number % 5 == 1
    people = tuple(
        Person(luhn_npi(f"25{number:05d}{n:02d}"), pick(rng, LAST_NAMES), pick(rng, FIRST_NAMES))
        for n in range(0 if organisation else 1 if solo else 3 + int(rng.random() * 6))
    )
    city, zip_code = pick(rng, PLACES)
    return Practice(
        number=number,
        npi=people[0].npi if solo else luhn_npi(f"2600{number:05d}"),
        name=f"{pick(rng, LAST_NAMES)} {specialty.name}",
        specialty=specialty,
        tax_number=f"06{9000000 + number}",
        street=f"{100 + int(rng.random() * 900)} {pick(rng, STREETS)}",
        city=city,
        zip_code=f"{zip_code}{1000 + int(rng.random() * 8000)}",
        people=people,
        solo=solo,
        pricing=pricing,
        markup=140 + int(rng.random() * 110),
    )


def family(rng: random.Random, number: int, size: int, homes: int) -> Family:
    last_name = pick(rng, LAST_NAMES)
    month, day = int(rng.random() * 12), 1 + int(rng.random() * 28)
    people = []
    for place in range(size):  # a month each: no two of a family share a birth date
        year = (1938 if place < 2 else 1988) + int(rng.random() * 22)
        birth = f"{year}{(month + place) % 12 + 1:02d}{day:02d}"
        people.append((pick(rng, FIRST_NAMES), birth, pick(rng, "FM")))
    city, zip_code = pick(rng, PLACES)
    return Family(
        number=number,
        card_number=f"S{10000003 + number * 7}",
        last_name=last_name,
        people=tuple(people),
        street=f"{1 + int(rng.random() * 999)} {pick(rng, STREETS)}",
        city=city,
        zip_code=zip_code,
        first_day=int(rng.random() * 45),
        home=int(rng.random() * homes),
    )


def subscriber_loop(household: Family, responsibility: str, *, self_is_patient: bool) -> str:
    first_name, birth_date, sex = household.people[0]
    relationship = "18" if self_is_patient else ""
    return (
        f"SBR*{responsibility}*{relationship}*CP{household.number % 90 + 1000}******16~\n"
        f"NM1*IL*1*{household.last_name}*{first_name}****MI*{household.card_number}~\n"
        f"N3*{household.street}~\nN4*{household.city}*CT*{household.zip_code}~\n"
        f"DMG*D8*{birth_date}*{sex}~\nNM1*PR*2*{PAYER_NAME}*****PI*{PAYER_NUMBER}~\n"
        "N3*1 FOUNDRY SQUARE~\nN4*WATERTOWN*CT*067951208~\n"
        f"REF*G2*{household.number % 9000 + 1000}~\n"
    )


def patient_loop(household: Family, place: int) -> str:
    first_name, birth_date, sex = household.people[place]
    return (
        f"PAT*{'01' if place == 1 else '19'}~\n"
        f"NM1*QC*1*{household.last_name}*{first_name}~\n"
        f"N3*{household.street}~\nN4*{household.city}*CT*{household.zip_code}~\n"
        f"DMG*D8*{birth_date}*{sex}~\n"
    )


def primary_paid(charge: int) -> tuple[int, int, int]:
    """What an imagined primary payer did with a charge: paid, CO-45, PR-2."""
    contractual, member = charge * 40 // 100, charge * 12 // 100
    return charge - contractual - member, contractual, member


def other_payer_loops(
    household: Family, charges: Sequence[int], by_line: bool, day: int, signature: str
) -> str:
    """Loops 2320, 2330A and 2330B of a primary payer, with its claim's CAS unless by line."""
    splits = [primary_paid(charge) for charge in charges]
    paid, contractual, member = (sum(column) for column in zip(*splits, strict=True))
    first_name = household.people[0][0]
    cas = "" if by_line else f"CAS*CO*45*{element(contractual)}~\nCAS*PR*2*{element(member)}~\n"
    return (
        f"SBR*P*18*GRP{household.number % 900 + 100}******CI~\n{cas}"
        f"AMT*D*{element(paid)}~\nAMT*EAF*{element(member)}~\nOI***Y*{signature}**Y~\n"
        f"NM1*IL*1*{household.last_name}*{first_name}****MI*W{household.number:09d}~\n"
        f"N3*{household.street}~\nN4*{household.city}*CT*{household.zip_code}~\n"
        f"NM1*PR*2*ATLANTIC MUTUAL HEALTH*****PI*ATLMH~\nDTP*573*D8*{DAYS[max(day - 10, 0)]}~\n"
    )


def other_payer_line(charge: int, procedure: str, units: int, day: int, revenue: str = "") -> str:
    """Loop 2430."""
    paid, contractual, member = primary_paid(charge)
    return (
        f"SVD*ATLMH*{element(paid)}*{procedure}*{revenue}*{units}~\n"
        f"CAS*CO*45*{element(contractual)}~\nCAS*PR*2*{element(member)}~\n"
        f"DTP*573*D8*{DAYS[max(day - 10, 0)]}~\n"
    )


def charge_of(rng: random.Random, fee: int, units: int, markup: int) -> int:
    """A charge that ends in 0 or 5 cents."""
    charge = fee * units * (markup + int(rng.random() * 10)) // 100
    return max(5, charge - charge % 5)


def references(
    rng: random.Random, control_number: str, fate: str, notification_number: str = ""
) -> str:
    """REFs of a claim; a stay's authorization is the number of its notice."""
    corrected = (
        f"REF*F8*{int(rng.random() * 90000000) + 10000000}~\n" if fate == "corrected" else ""
    )
    authorization = f"REF*G1*A{int(rng.random() * 9000000)}~\n" if rng.random() < 0.04 else ""
    if authorization and notification_number:
        authorization = f"REF*G1*{notification_number}~\n"
    return (
        f"{authorization}{corrected}REF*D9*NE{control_number}25~\n"
        f"REF*EA*MR{int(rng.random() * 900000) + 100000}~\n"
    )


def professional_claim(
    rng: random.Random,
    control_number: str,
    fate: str,
    biller: Practice,
    *,
    referrer: Person,
    site: Practice,
    household: Family,
    day: int,
) -> str:
    """Loop 2300 of a professional claim, served ``day`` days before the business date."""
    date_of_service = DAYS[day]
    kind = biller.specialty.name
    draw = rng.random()
    if kind == "LABORATORY":
        place = "81"
    elif kind == "RADIOLOGY":
        place = "22" if draw < 0.6 else "11"
    else:
        place = "11" if draw < 0.8 else "22" if draw < 0.97 else "21"
    diagnosis_count = 1 + int(rng.random() * 6)
    first = int(rng.random() * len(DIAGNOSES))
    codes = [DIAGNOSES[(first + 7 * n) % len(DIAGNOSES)] for n in range(diagnosis_count)]
    diagnoses = f"HI*ABK:{codes[0]}" + "".join(f"*ABF:{code}" for code in codes[1:]) + "~\n"
    pointers = ":".join(map(str, range(1, min(diagnosis_count, 1 + int(rng.random() * 4)) + 1)))

    defect = int(rng.random() * 4) if fate == "rejected" else -1
    by_line = rng.random() < 0.5
    offered = biller.specialty.procedure_codes
    start = int(rng.random() * len(offered))
    charges, lines = [], []
    for number in range(1, pick(rng, LINE_COUNTS) + 1):
        code = offered[(start + number) % len(offered)]
        if fate == "missing_fee" and number == 1:
            code = UNPRICED_PROCEDURE
        procedure = PROCEDURES.get(code, PROCEDURES["99213"])
        units = 1 + int(rng.random() * procedure.most_units)
        charge = charge_of(rng, procedure.fee_amount, units, biller.markup)
        modifier = ""
        if procedure.imaging and place != "11":
            modifier, charge = ":26", charge * 30 // 100
        elif code.startswith("992") and number > 1:
            modifier = ":25"
        elif code in {"20610", "73030", "73562"} and rng.random() < 0.5:
            modifier = pick(rng, (":LT", ":RT"))
        charges.append(charge)
        amount = "" if defect == 0 and number == 1 else element(charge)
        served = f"DTP*472*D8*{'20251301' if defect == 1 and number == 1 else date_of_service}~\n"
        lines.append(
            f"LX*{number}~\nSV1*HC:{code}{modifier}*{amount}*UN*{units}***{pointers}~\n"
            f"{'' if defect == 2 and number == 1 else served}"
            f"REF*6R*{control_number}{number:02d}~\n"
            + ("NTE*ADD*SEE OFFICE RECORD~\n" if rng.random() < 0.3 else "")
            + (f"LIN**N4*{DRUG_CODES[code]}~\nCTP****{units}*ML~\n" if code in DRUG_CODES else "")
            + (
                other_payer_line(charge, f"HC:{code}{modifier}", units, day)
                if by_line and fate == "other_payer"
                else ""
            )
        )
    return (
        f"CLM*{control_number}*{element(sum(charges))}***{place}:B:"
        f"{'7' if fate == 'corrected' else '1'}*Y*A*Y*Y*P~\n"
        + (f"DTP*431*D8*{DAYS[day + 5]}~\n" if draw < 0.9 else "")
        + (f"DTP*454*D8*{DAYS[day + 30]}~\n" if draw < 0.6 else "")
        + (f"DTP*435*D8*{DAYS[day + 2]}~\nDTP*096*D8*{DAYS[day - 1]}~\n" if place == "21" else "")
        + (f"AMT*F5*{element(min(charges[0], 1500))}~\n" if draw < 0.1 else "")
        + references(rng, control_number, fate)
        + ("NTE*ADD*RECORDS AVAILABLE ON REQUEST~\n" if rng.random() < 0.5 else "")
        + ("" if defect == 3 else diagnoses)
        + (
            f"NM1*DN*1*{referrer.last_name}*{referrer.first_name}****XX*{referrer.npi}~\n"
            if rng.random() < 0.9
            else ""
        )
        + (rendering(pick(rng, biller.people), biller) if len(biller.people) > 1 else "")
        + (
            f"NM1*77*2*{site.name}*****XX*{site.npi}~\n"
            f"N3*{site.street}~\nN4*{site.city}*CT*{site.zip_code}~\n"
            if place != "11" or rng.random() < 0.3
            else ""
        )
        + (
            other_payer_loops(household, charges, by_line, day, "P")
            if fate == "other_payer"
            else ""
        )
        + "".join(lines)
    )


def rendering(person: Person, biller: Practice) -> str:
    return (
        f"NM1*82*1*{person.last_name}*{person.first_name}****XX*{person.npi}~\n"
        f"PRV*PE*PXC*{biller.specialty.taxonomy_code}~\n"
    )


def institutional_claim(
    rng: random.Random,
    control_number: str,
    fate: str,
    biller: Practice,
    *,
    attending: Person,
    household: Family,
    day: int,
) -> tuple[str, Stay | None]:
    """Loop 2300 of a hospital claim whose statement ends ``day`` days before the business date,
    and what to tell of it where it is a stay."""
    stay = rng.random() < 0.2
    nights = 1 + int(rng.random() * 6) if stay else 0
    admitted, ended = DAYS[day + nights], DAYS[day]
    first = int(rng.random() * len(DIAGNOSES))
    codes = [DIAGNOSES[(first + 7 * n) % len(DIAGNOSES)] for n in range(1 + int(rng.random() * 6))]
    present = ":::::::Y" if stay else ""
    by_line = not stay and rng.random() < 0.5
    charges, lines = [], []
    count = pick(rng, LINE_COUNTS)
    start = int(rng.random() * 14)
    for number in range(1, count + 1):
        basis, units, code, served = "UN", 1, "", f"D8*{ended}"
        if stay:
            revenue = tuple(STAY_FEES)[0 if number == 1 else 1 + (start + number) % 6]
            fee = STAY_FEES[revenue]
            if number == 1:
                basis, units, served = "DA", nights, f"RD8*{admitted}-{ended}"
        else:
            revenue, code = OUTPATIENT[(start + number) % len(OUTPATIENT)]
            fee = PROCEDURES[code].fee_amount * FEE_TABLES["HOSPITAL"] // 100
            units = 1 + int(rng.random() * PROCEDURES[code].most_units)
        if fate == "missing_fee" and number == 1:
            revenue, code = ("0128", "") if stay else ("0940", UNPRICED_PROCEDURE)
        charge = charge_of(rng, fee, units, biller.markup)
        charges.append(charge)
        procedure = f"HC:{code}" if code else ""
        lines.append(
            f"LX*{number}~\nSV2*{revenue}*{procedure}*{element(charge)}*{basis}*{units}~\n"
            f"DTP*472*{served}~\nREF*6R*{control_number}{number:02d}~\n"
            + (
                other_payer_line(charge, procedure, units, day, revenue)
                if by_line and fate == "other_payer"
                else ""
            )
        )
    left = f"DTP*096*TM*{8 + int(rng.random() * 10):02d}30~\n" if stay else ""
    came = f"DTP*435*DT*{admitted}{6 + int(rng.random() * 12):02d}15~\n" if stay else ""
    admission_type = pick(rng, "123")
    told = Stay(f"N{control_number}", admission_type, day + nights) if stay else None
    operated = stay and rng.random() < 0.3
    claim = (
        f"CLM*{control_number}*{element(sum(charges))}***{'11' if stay else '13'}:A:"
        f"{'7' if fate == 'corrected' else '1'}**A*Y*Y~\n"
        f"{left}DTP*434*RD8*{admitted}-{ended}~\n{came}"
        f"CL1*{admission_type}*{pick(rng, '12')}*{pick(rng, ('01', '01', '03', '06'))}~\n"
        + references(rng, control_number, fate, told.number if told else "")
        + ("NTE*ADD*RECORDS AVAILABLE ON REQUEST~\n" if rng.random() < 0.2 else "")
        + f"HI*ABK:{codes[0]}{present}~\n"
        + (f"HI*ABJ:{codes[0]}~\n" if stay else f"HI*APR:{codes[0]}~\n")
        + (f"HI*{'*'.join(f'ABF:{c}{present}' for c in codes[1:])}~\n" if codes[1:] else "")
        + (f"HI*BBR:0DTJ4ZZ:D8:{admitted}~\n" if operated else "")
        + (f"HI*BH:11:D8:{admitted}~\n" if rng.random() < 0.4 else "")
        + (f"HI*BE:80:::{max(nights, 1)}~\n" if rng.random() < 0.5 else "")
        + ("HI*BG:09~\n" if rng.random() < 0.3 else "")
        + "".join(
            f"NM1*{role}*1*{attending.last_name}*{attending.first_name}****XX*{attending.npi}~\n"
            for role in ("71", "72")[: 1 + operated]
        )
        + (other_payer_loops(household, charges, by_line, day, "") if fate == "other_payer" else "")
        + "".join(lines)
    )
    return claim, told


def notice_row(stay: Stay, household: Family, place: int, biller: Practice) -> Row:
    """A notice of the stay: six days beforehand where it was elective, else on the day."""
    admitted = BUSINESS_DATE - timedelta(days=stay.back)
    notified = admitted - timedelta(days=6 if stay.type_code == "3" else 0)
    member = member_id(household, place)
    return stay.number, member, biller.npi, admitted, notified, "active"


def transaction_set(
    number: int, version: str, billed: Sequence[tuple[Practice, list[Entry]]]
) -> str:
    """ST to SE: a 2000A for each practice, its subscribers and their claims below."""
    parts = [
        f"ST*837*{number:04d}*{version}~\nBHT*0019*00*NE{version[6:10]}{number:08d}"
        f"*{DAYS[0]}*0600*CH~\n"
        f"NM1*41*2*NUTMEG EDI SERVICE*****46*{SUBMITTER_NUMBER}~\n"
        "PER*IC*SUPPORT DESK*TE*8605550100~\n"
        f"NM1*40*2*{PAYER_NAME}*****46*{PAYER_NUMBER}~\n"
    ]
    level = 0
    for biller, entries in billed:
        level += 1
        billing_level = level
        parts.append(f"HL*{level}**20*1~\n{biller.loop}")
        for _, group in groupby(entries, itemgetter(0)):
            same = list(group)
            level += 1
            subscriber_level = level
            children = 1 if same[0].patient else 0
            parts.append(f"HL*{level}*{billing_level}*22*{children}~\n{same[0].subscriber}")
            for patient, claims in groupby(same, itemgetter(2)):
                if patient:
                    level += 1
                    parts.append(f"HL*{level}*{subscriber_level}*23*0~\n{patient}")
                parts.extend(entry.claim for entry in claims)
    body = "".join(parts)
    return f"{body}SE*{body.count('~') + 1}*{number:04d}~\n"


def interchange(
    control: int, version: str, waiting: Mapping[int, list[Entry]], known: Mapping[int, Practice]
) -> Iterator[str]:
    """ISA to IEA: one functional group, a set for about every thousand claims."""
    sets = 0
    yield (
        f"ISA*00*          *00*          *ZZ*{SUBMITTER_NUMBER:<15}*ZZ*{PAYER_NUMBER:<15}"
        f"*{DAYS[0][2:]}*0600*^*00501*{control:09d}*0*P*:~\n"
        f"GS*HC*{SUBMITTER_NUMBER}*{PAYER_NUMBER}*{DAYS[0]}*0600*{control}*X*{version}~\n"
    )
    billed: list[tuple[Practice, list[Entry]]] = []
    size = 0
    for number in sorted(waiting):
        billed.append((known[number], waiting[number]))
        size += len(waiting[number])
        if size >= CLAIMS_A_SET:
            sets += 1
            yield transaction_set(sets, version, billed)
            billed, size = [], 0
    if billed:
        sets += 1
        yield transaction_set(sets, version, billed)
    yield f"GE*{sets}*{control}~\nIEA*1*{control:09d}~\n"


def generate(
    folder: Path, claims: int, seed: int = 1, files: int = 1, mix: Mapping[str, int] = MIX
) -> Night:
    """Write ``folder``/inbox and ``folder``/reference; the same arguments give the same bytes.

    ``files`` is the number of professional files; there are as many institutional ones, as far as
    there are such claims. ``mix`` says how many of a thousand claims are meant for each fate.
    Raises ValueError for a mix that names an unknown fate.
    """
    if unknown := set(mix) - set(MIX):
        raise ValueError(f"no such fate: {sorted(unknown)}; known are {sorted(MIX)}")
    rng = random.Random(seed)
    wanted = fates(rng, claims, mix)
    place = town(rng, claims, 1 + wanted.count("unknown_payee") // 50)
    known = {p.number: p for p in (*place.professionals, *place.hospitals, *place.strangers)}
    inbox = folder / "inbox"
    inbox.mkdir(parents=True, exist_ok=True)
    counted: Counter[str] = Counter()
    enrolled: list[Enrolled] = []
    notices: dict[str, Row] = {}  # by claim: a duplicate is of the same stay
    made = claims_of(rng, place, wanted, enrolled)
    for part in range(files):
        waiting: dict[str, dict[int, list[Entry]]] = {"P": {}, "I": {}}
        for fate in wanted[claims * part // files : claims * (part + 1) // files]:
            billed = next(made)
            waiting[billed.letter].setdefault(billed.practice, []).append(billed.entry)
            counted.update((billed.letter, fate))
            if billed.notice and fate != "unknown_member":
                notices[str(billed.notice[0])] = billed.notice
        for letter, name, version, first_control in (
            ("P", "professional", "005010X222A1", 1),
            ("I", "institutional", "005010X223A2", 500001),
        ):
            if waiting[letter]:
                path = inbox / f"{name}-{part + 1:03d}.837"
                text = interchange(first_control + part, version, waiting[letter], known)
                with path.open("w", encoding="ascii", newline="") as out:
                    out.writelines(text)
    payees = [*place.professionals, *place.hospitals]
    return Night(
        claims=claims,
        professional=counted.pop("P", 0),
        institutional=counted.pop("I", 0),
        fates=dict(sorted(counted.items())),
        payees=len(payees),
        members=write_reference(folder / "reference", payees, enrolled, notices.values()),
    )


def claims_of(
    rng: random.Random, place: Town, wanted: Sequence[str], enrolled: list[Enrolled]
) -> Iterator[Billed]:
    """A claim for each fate, family after family; whom it enrols is added to ``enrolled``."""
    number = visit = left = 0
    household: Family | None = None
    last_paid: Billed | None = None
    for index, fate in enumerate(wanted, 1):
        if fate == "duplicate" and last_paid is not None:
            yield last_paid
            continue
        if fate in ALONE or household is None or left == 0:
            number += 1
            size = 1 if fate in ALONE else pick(rng, FAMILY_SIZES)
            made = family(rng, number, size, len(place.contracted))
            if fate != "unknown_member":
                enrolled.append(Enrolled(made, fate))
            if fate in ALONE:
                yield bill(rng, place, made, index=index, fate=fate, visit=0)
                continue
            household, visit, left = made, 0, 1 + int(rng.random() * 2 * size)
        visit, left = visit + 1, left - 1
        billed = bill(rng, place, household, index=index, fate=fate, visit=visit)
        if fate == "paid":
            last_paid = billed
        yield billed


def bill(
    rng: random.Random, place: Town, household: Family, *, index: int, fate: str, visit: int
) -> Billed:
    """One claim of one of the family."""
    letter = "P"
    if fate not in PROFESSIONAL_ONLY and rng.random() < INSTITUTIONAL_SHARE:
        letter = "I"
    if letter == "I":
        biller = pick(rng, place.hospitals)
    elif fate == "unknown_payee":
        biller = pick(rng, place.strangers)
    elif fate == "paid" and rng.random() < 0.5:
        biller = pick(rng, place.professionals)
    else:  # without a contract other limits and prices would decide
        biller = place.contracted[household.home]
    # 7 and 45 have no common factor: no two visits of a family fall on one day
    day = 1 + (household.first_day + 7 * visit) % 45 + (100 if fate == "late" else 0)
    who = 0
    if fate != "other_payer" and rng.random() < 0.6:
        who = int(rng.random() * len(household.people))
    control_number = f"{letter}{index:07d}"
    doctor = pick(rng, place.people)
    if letter == "P":
        site = pick(rng, place.hospitals)
        claim = professional_claim(
            rng, control_number, fate, biller,
            referrer=doctor, site=site, household=household, day=day,
        )  # fmt: skip
        notice = None
    else:
        claim, stay = institutional_claim(
            rng, control_number, fate, biller, attending=doctor, household=household, day=day
        )
        notice = notice_row(stay, household, who, biller) if stay else None
    responsibility = "S" if fate == "other_payer" else "P"
    return Billed(
        letter,
        biller.number,
        Entry(
            f"{household.card_number}{responsibility}{'' if who else 'self'}",
            subscriber_loop(household, responsibility, self_is_patient=who == 0),
            patient_loop(household, who) if who else "",
            claim,
        ),
        notice,
    )


# ---- reference data --------------------------------------------------------------------------


COLUMNS = {
    "members": "member_id family_id card_number last_name first_name birth_date sex_code",
    "coverage": "member_id program_code plan_code start_date end_date",
    "payees": "payee_id name npi tax_number address_line city state_code zip_code "
    "payment_method_code",
    "providers": "provider_id npi last_name first_name entity_type_code taxonomy_code tax_number "
    "payee_id start_date end_date",
    "contracts": "contract_id payee_id program_code network_code pricing_method_code "
    "rate_basis_points fee_table_code lesser_of_charge filing_limit_days start_date end_date",
    "fees": "fee_table_code procedure_code modifier_code fee_amount start_date end_date",
    "physician_fee_values": "procedure_code modifier_code status_code work_units "
    "nonfacility_expense_units facility_expense_units malpractice_units conversion_factor "
    "professional_technical_code global_days_code multiple_procedure_code "
    "nonfacility_cap_expense_units facility_cap_expense_units cap_malpractice_units "
    "start_date end_date",
    "geographic_cost_indexes": "carrier_number locality_number work_index expense_index "
    "malpractice_index start_date end_date",
    "zip_localities": "zip_code state_code carrier_number locality_number start_date end_date",
    "notifications": "notification_number member_id npi admission_date notified_date status_code",
}


def write_reference(
    folder: Path,
    payees: Sequence[Practice],
    enrolled: Sequence[Enrolled],
    notices: Iterable[Row],
) -> int:
    """Write a CSV for each table; the number of members comes back."""
    members = list(member_rows(enrolled))
    rows: dict[str, Iterable[Row]] = {
        "members": members,
        "coverage": coverage_rows(enrolled),
        "payees": map(payee_row, payees),
        "providers": provider_rows(payees),
        "contracts": (contract_row(p) for p in payees if p.pricing),
        "fees": fee_rows(),
        "physician_fee_values": relative_value_rows(),
        "geographic_cost_indexes": [("13102", "00", 1020, 1100, 1180, "2025-01-01", "2025-12-31")],
        "zip_localities": ((z, "CT", "13102", "00", "2025-01-01", "") for _, z in PLACES),
        "notifications": notices,
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, columns in COLUMNS.items():
        with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as out:
            writer = csv.writer(out, lineterminator="\n")
            writer.writerow(columns.split())
            writer.writerows(rows[name])
    return len(members)


def payee_row(p: Practice) -> Row:
    method = "CHK" if p.number % 3 == 0 else "ACH"
    payee = f"PAY{p.number:05d}"
    return payee, p.name, p.npi, p.tax_number, p.street, p.city, "CT", p.zip_code, method


def member_id(household: Family, place: int) -> str:
    return f"M{household.number:07d}{place + 1}"


def member_rows(enrolled: Sequence[Enrolled]) -> Iterator[Row]:
    for household, _ in enrolled:
        for place, (first_name, birth, sex) in enumerate(household.people):
            yield (
                member_id(household, place), f"F{household.number:07d}", household.card_number,
                household.last_name, first_name, f"{birth[:4]}-{birth[4:6]}-{birth[6:]}", sex,
            )  # fmt: skip


def coverage_rows(enrolled: Sequence[Enrolled]) -> Iterator[Row]:
    """The year's coverage; a third changed plan at new year; some ended, begin later, or gap."""
    for household, fate in enrolled:
        plan = PLANS[household.number % len(PLANS)]
        spans = [("2025-01-01", "", plan)]
        if fate == "not_covered":
            ended, later = ("2025-01-01", "2025-06-30", plan), ("2025-12-01", "", plan)
            spans = [[ended], [later], [ended, later]][household.number % 3]
        elif household.number % 3 == 0:
            before = PLANS[(household.number // 3) % len(PLANS)]
            spans = [("2024-01-01", "2024-12-31", before), *spans]
        for place in range(len(household.people)):
            for start, end, plan_code in spans:
                yield member_id(household, place), PROGRAM, plan_code, start, end


def provider_rows(payees: Sequence[Practice]) -> Iterator[Row]:
    for p in payees:
        payee = f"PAY{p.number:05d}"
        taxonomy = p.specialty.taxonomy_code
        if not p.solo:
            yield (
                f"PRV{p.number:05d}00", p.npi, p.name, "", "2", taxonomy, p.tax_number, payee,
                "2020-01-01", "",
            )  # fmt: skip
        for n, person in enumerate(p.people, 1):
            yield (
                f"PRV{p.number:05d}{n:02d}", person.npi, person.last_name, person.first_name, "1",
                taxonomy, p.tax_number, payee, "2020-01-01", "",
            )  # fmt: skip


def contract_row(p: Practice) -> Row:
    by_medicare = p.pricing == "percent_of_medicare"
    return (
        f"CON{p.number:05d}",
        f"PAY{p.number:05d}",
        PROGRAM,
        "in",
        "percent_of_medicare" if by_medicare else "fee_table",
        (10000 if p.number % 8 == 3 else 9500) if by_medicare else "",
        "" if by_medicare else p.pricing,
        "true",
        90 if p.number % 10 == 7 else "",
        "2023-01-01",
        "",
    )


def fee_rows() -> Iterator[Row]:
    """Every code in every table: 2024 at 96 per cent, from 2025 in full."""
    for table, per_cent in FEE_TABLES.items():
        fees = [(code, "", p.fee_amount) for code, p in PROCEDURES.items()]
        fees += [
            (code, modifier, p.fee_amount * share // 100)
            for code, p in PROCEDURES.items()
            if p.imaging
            for modifier, share in (("26", 30), ("TC", 70))
        ]
        if table == "HOSPITAL":
            fees += [(code, "", fee * 100 // per_cent) for code, fee in STAY_FEES.items()]
        for code, modifier, fee in fees:
            full = fee * per_cent // 100
            yield table, code, modifier, money(full * 96 // 100), "2024-01-01", "2024-12-31"
            yield table, code, modifier, money(full), "2025-01-01", ""


def relative_value_rows() -> Iterator[Row]:
    """Relative values that come out near the invented fee; imaging is held to a little less."""
    for code, p in PROCEDURES.items():
        if not p.physician_schedule:
            continue
        for modifier, share in (("", 100), ("26", 30), ("TC", 70)) if p.imaging else (("", 100),):
            total = p.fee_amount * share * 100 // CONVERSION_FACTOR  # hundredths of an RVU
            work, expense, malpractice = total * 50 // 100, total * 43 // 100, total * 7 // 100
            held = p.imaging and modifier != "26"
            yield (
                code, modifier, "A", work, expense, expense // 2, malpractice, CONVERSION_FACTOR,
                "1" if p.imaging else "0", p.global_days_code,
                "0" if p.global_days_code == "XXX" else "2",
                expense * 9 // 10 if held else "", expense // 2 if held else "",
                malpractice if held else "", "2025-01-01", "2025-12-31",
            )  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="tests.synthetic", description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--claims", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--files", type=int, default=1)
    chosen = parser.parse_args(arguments)
    night = generate(chosen.folder, chosen.claims, chosen.seed, chosen.files)
    print(json.dumps(asdict(night)))


if __name__ == "__main__":
    main()
