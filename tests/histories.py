"""A small world for histories of nights: its tables, its claims as 837, and the comparison of what
the store and the 835s then hold with the books of tests/model/history_model.py.

Two families of two, a health center in the network and a specialist outside it, four services, one
plan that takes a copay, a deductible and coinsurance up to a maximum. All of it invented.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any

from adjudicator.night import Order, run_night
from adjudicator.reprocess import Selection, reprocess
from edi.balance import check_835
from schemas.config import Config
from tests.case_tools import load_store
from tests.correcting import Nights
from tests.model.history_model import Books, Claim, Plan, Service, Share
from tests.samples import npi

SHIPPED = Path(__file__).parents[1] / "schemas" / "programs" / "carepartners"
FIRST_DAY = date(2025, 12, 1)
ALWAYS = (date(2025, 1, 1), date.max)

CENTER, SPECIALIST = "PH1", "PH2"
PAYEES = {  # name, NPI, tax number, specialty
    CENTER: ("Tern Mill Health Center", npi(71001), "069937101", "207Q00000X"),
    SPECIALIST: ("Plover Rock Cardiology", npi(71002), "069937102", "207RC0000X"),
}
ATTENDING = npi(71009)
MEMBERS = {  # family, card, name, birth and sex
    "MHA": ("FH1", "CPC71000001", "WINTERBOURNE*ADELA", "19520306*F"),
    "MHB": ("FH1", "CPC71000002", "WINTERBOURNE*BARNABY", "19500917*M"),
    "MHC": ("FH2", "CPC71000003", "YARROWDALE*CELESTE", "19541122*F"),
    "MHD": ("FH2", "CPC71000004", "YARROWDALE*DESMOND", "19530208*M"),
}
VISIT, IMAGING, THERAPY, DRAW = "99213", "71046", "97110", "36415"
REVENUE = {VISIT: "0510", IMAGING: "0320", THERAPY: "0420", DRAW: "0300"}
FEES = {
    (CENTER, VISIT): 9_150,
    (CENTER, IMAGING): 8_035,
    (CENTER, THERAPY): 3_033,
    (CENTER, DRAW): 1_001,
    (SPECIALIST, VISIT): 12_345,
    (SPECIALIST, IMAGING): 9_999,
}
PLAN = Plan(
    deductible=(10_000, 15_000),
    maximum=(16_000, 25_000),
    shares={
        VISIT: Share(copay=1_500),
        IMAGING: Share(percent=20, deductible=True),
        THERAPY: Share(percent=15),
        DRAW: Share(),
    },
    authorized=(THERAPY,),
)
# the same plan as a payer writes it
PLAN_FILE = """
plan_code: careadvantage-small
name: CareAdvantage Small
referral_required: true
referral_citation:
  {document: "001", lines: [862, 864], phrase: unless the specialist is outside the network}
terms:
  - start_date: 2025-01-01
    illustrative: true
    referred_network_code: in
    deductible: {in: {individual_amount: 10000, family_amount: 15000}, out: {}}
    out_of_pocket: {in: {individual_amount: 16000, family_amount: 25000}, out: {}}
    cost_shares:
      - {category: office_visit, network_code: in, copay_amount: 1500}
      - category: imaging
        network_code: in
        coinsurance_basis_points: 2000
        deductible_applies: true
      - {category: physical_occupational_therapy, network_code: in, coinsurance_basis_points: 1500}
      - {category: laboratory, network_code: in}
      - {category: other, network_code: in}
      - {category: other, network_code: out, covered: false}
"""


def write_programs(folder: Path) -> None:
    """The shipped program with this plan alone."""
    program = folder / "carepartners"
    (program / "plans").mkdir(parents=True)
    shutil.copy(SHIPPED / "program.yaml", program)
    (program / "plans" / "careadvantage-small.yaml").write_text(PLAN_FILE)


def new_books() -> Books:
    return Books(
        PLAN,
        {member: family for member, (family, *_) in MEMBERS.items()},
        frozenset({SPECIALIST}),
        dict(FEES),
        {member: [ALWAYS] for member in MEMBERS},
        authorizations={"AMHA": ("MHA", 4)},
        owed_by=dict.fromkeys(PAYEES, 0),
    )


# ---- tables ----------------------------------------------------------------------------------


def tables(books: Books) -> dict[str, str]:
    """The reference tables that the books speak of, as CSV."""
    people = {m: (f, card, *who.split("*"), *born.split("*"))
              for m, (f, card, who, born) in MEMBERS.items()}  # fmt: skip
    return {
        "members": _csv(
            "member_id,family_id,card_number,last_name,first_name,birth_date,sex_code",
            ((m, f, card, last, first, f"{born[:4]}-{born[4:6]}-{born[6:]}", sex)
             for m, (f, card, last, first, born, sex) in people.items()),
        ),
        "payees": _csv(
            "payee_id,name,npi,tax_number,address_line,city,state_code,zip_code,"
            "payment_method_code",
            ((p, name, n, tax, "3 Tern Mill Lane", "HARTFORD", "CT", "061031410", "ACH")
             for p, (name, n, tax, _) in PAYEES.items()),
        ),
        "providers": _csv(
            "provider_id,npi,last_name,first_name,entity_type_code,taxonomy_code,tax_number,"
            "payee_id,start_date,end_date",
            ((f"V{p}", n, name, "", 2, specialty, tax, p, "2020-01-01", "")
             for p, (name, n, tax, specialty) in PAYEES.items()),
        ),
        "contracts": _csv(
            "contract_id,payee_id,program_code,network_code,pricing_method_code,"
            "rate_basis_points,fee_table_code,lesser_of_charge,filing_limit_days,start_date,"
            "end_date",
            ((f"C{p}", p, "carepartners", "out" if p in books.outside else "in", "fee_table", "",
              p, "true", "", "2023-01-01", "") for p in PAYEES),
        ),
        "authorization_list": _csv(
            "program_code,plan_code,first_procedure_code,last_procedure_code,start_date,end_date",
            (("carepartners", "", c, c, "2025-01-01", "") for c in books.plan.authorized),
        ),
        **changing_tables(books),
    }  # fmt: skip


def changing_tables(books: Books) -> dict[str, str]:
    """Those that change between nights."""
    return {
        "fees": _csv(
            "fee_table_code,procedure_code,modifier_code,fee_amount,start_date,end_date",
            ((payee, code, "", dollars(fee), "2025-01-01", "")
             for (payee, code), fee in books.fees.items()),
        ),
        "coverage": _csv(
            "member_id,program_code,plan_code,start_date,end_date",
            ((m, "carepartners", "careadvantage-small", first,
              "" if last == date.max else last)
             for m, spans in books.coverage.items() for first, last in spans),
        ),
        "referrals": _csv(
            "referral_number,member_id,npi,taxonomy_code,referring_npi,first_procedure_code,"
            "last_procedure_code,visit_limit,status_code,start_date,end_date",
            ((number, m, PAYEES[SPECIALIST][1], "", "", "", "", visits, "approved", "2025-01-01",
              "") for number, (m, visits) in books.referrals.items()),
        ),
        "authorizations": _csv(
            "authorization_number,member_id,npi,first_procedure_code,last_procedure_code,"
            "unit_limit,status_code,start_date,end_date",
            ((number, m, "", THERAPY, THERAPY, units, "approved", "2025-01-01", "")
             for number, (m, units) in books.authorizations.items()),
        ),
    }  # fmt: skip


def _csv(head: str, rows: Iterable[Sequence[object]]) -> str:
    return "\n".join([head, *(",".join(map(str, row)) for row in rows)]) + "\n"


def dollars(cents: int) -> str:
    """Cents as X12 and CSV both read them."""
    sign, cents = "-" * (cents < 0), abs(cents)
    return f"{sign}{cents // 100}.{cents % 100:02d}"


# ---- claims as 837 ---------------------------------------------------------------------------


def segments(claim: Claim, level: int) -> list[str]:
    _, card, who, born = MEMBERS[claim.member]
    name, number, tax, specialty = PAYEES[claim.payee]
    charge = dollars(sum(s.charge for s in claim.services))
    original = [f"REF*F8*{claim.original}"] if claim.original else []
    out = [
        f"HL*{level}**20*1", f"PRV*BI*PXC*{specialty}", f"NM1*85*2*{name.upper()}*****XX*{number}",
        "N3*3 TERN MILL LANE", "N4*HARTFORD*CT*061031410", f"REF*EI*{tax}",
        f"HL*{level + 1}*{level}*22*0", "SBR*P*18*CPCT2025******16",
        f"NM1*IL*1*{who}****MI*{card}", "N3*27 ORCHARD LN", "N4*HARTFORD*CT*06103",
        f"DMG*D8*{born}", "NM1*PR*2*CAREPARTNERS OF CONNECTICUT*****PI*CPCT1",
    ]  # fmt: skip
    if claim.kind == "P":
        out += [f"CLM*{claim.name}*{charge}***11:B:{claim.frequency}*Y*A*Y*Y", *original,
                "HI*ABK:I10"]  # fmt: skip
    else:
        first, last = claim.days
        out += [
            f"CLM*{claim.name}*{charge}***13:A:{claim.frequency}**A*Y*Y",
            f"DTP*434*RD8*{first:%Y%m%d}-{last:%Y%m%d}", "CL1*3*1*01", *original, "HI*ABK:I10",
            "HI*APR:I10", f"NM1*71*1*SANDERLING*ISOLDE****XX*{ATTENDING}",
        ]  # fmt: skip
    for place, s in enumerate(claim.services, 1):
        code = f"HC:{s.code}" + (f":{s.modifier}" if s.modifier else "")
        out.append(f"LX*{place}")
        if claim.kind == "P":
            out.append(f"SV1*{code}*{dollars(s.charge)}*UN*{s.units}***1")
        else:
            out.append(f"SV2*{REVENUE[s.code]}*{code}*{dollars(s.charge)}*UN*{s.units}")
        out.append(f"DTP*472*D8*{s.day:%Y%m%d}")
    return out


def interchange(claims: Sequence[Claim], control: int) -> bytes:
    """A file of claims of one kind."""
    guide = {"P": "005010X222A1", "I": "005010X223A2"}[claims[0].kind]
    body = [
        f"BHT*0019*00*H{control}*20251201*1830*CH",
        "NM1*41*2*FERRY LANE CLAIMS*****46*FERRYLANE", "PER*IC*CLAIMS DESK*TE*2035550142",
        "NM1*40*2*CAREPARTNERS OF CONNECTICUT*****46*CPCT1",
    ]  # fmt: skip
    for place, claim in enumerate(claims):
        body += segments(claim, 2 * place + 1)
    isa = f"ISA*00*{'':10}*00*{'':10}*ZZ*{'FERRYLANE':15}*ZZ*{'CPCT1':15}*251201*1830*^*00501"
    lines = [
        f"{isa}*{control:09d}*0*P*:",
        f"GS*HC*FERRYLANE*CPCT1*20251201*1830*{control}*X*{guide}",
        f"ST*837*0001*{guide}", *body, f"SE*{len(body) + 2}*0001", f"GE*1*{control}",
        f"IEA*1*{control:09d}",
    ]  # fmt: skip
    return "".join(f"{line}~\n" for line in lines).encode()


# ---- nights ----------------------------------------------------------------------------------


@dataclass
class World(Nights):
    """Nights of the engine, and the books beside them; each night compared."""

    day: date = FIRST_DAY
    books: Books = field(default_factory=new_books)
    programs: Path | None = None
    # what the 835s told of each claim when it was decided, by its number
    told_first: dict[str, list[list[str]]] = field(default_factory=dict)
    story: list[str] = field(default_factory=list)  # what happened, for whoever reads a failure

    def config(self) -> Config:
        return Config(db=self.url, out=self.folder / "out", programs=self.programs)

    def load(self, *names: str) -> None:
        """Loads these tables as the books have them now."""
        folder = self.folder / f"tables-{self.count}"
        folder.mkdir()
        self.count += 1
        for name, text in changing_tables(self.books).items():
            if name in names:
                (folder / f"{name}.csv").write_text(text)
        load_store(self.folder / "a.db", folder)
        books = self.books
        spans = {m: [f"{a}/{b}" for a, b in of] for m, of in books.coverage.items()
                 if of != [ALWAYS]}  # fmt: skip
        fees = {key: books.fees.get(key) for key in FEES if books.fees.get(key) != FEES[key]}
        self.story.append(
            f"  loaded: fees {fees}, coverage {spans}, {books.referrals}, {books.authorizations}"
        )

    def pass_night(self, claims: Sequence[Claim], days: int = 1) -> None:
        """A night over these claims, in this order."""
        inbox = self.folder / f"in-{self.count}"
        inbox.mkdir()
        for _, of_kind in groupby(claims, lambda claim: claim.kind):
            self.count += 1
            content = interchange(list(of_kind), self.count)
            (inbox / f"{self.count:05d}.837").write_bytes(content)
        self.count += 1
        self.day += timedelta(days)
        self.story += [f"{self.day}:", *(f"  {claim}" for claim in claims)]
        self.summary = run_night(Order((inbox,), self.config(), self.day, self.day))
        self.books.night(self.day, claims)
        self.compare()

    def reprocess(self, numbers: Sequence[str], days: int = 1) -> None:
        """A night of its own over the claims with these numbers."""
        self.day += timedelta(days)
        self.story += [f"{self.day}: reprocess {' '.join(n[-3:] for n in numbers)}"]
        done = reprocess(self.config(), self.day, selection=Selection(tuple(numbers)))
        self.summary = done.summary
        self.books.reprocess(self.day, numbers)
        self.compare()

    # ---- what came of it ---------------------------------------------------------------------

    def compare(self) -> None:
        """Every claim, ledger, counter, payment, balance, pend and 835 against the books."""
        assert self.summary is not None
        assert [f.reasons for f in self.summary.files if f.verdict != "read"] == []
        for what, kept, by_rule in (
            ("fates", self._fates(), {c.number: c.fate for c in self.books.claims}),
            ("pends", self._pends(), self._pends_by_rule()),
            ("835", self._blocks(), self._blocks_by_rule()),
            ("ledger", self._ledger(), {c.number: c.paid for c in self._paid() if c.paid}),
            *((what, self._counted(what), self._counted_by_rule(what)) for what in COUNTED),
            ("payments", self._payments(), _some(self.books.payments)),
            ("balances", self._balances(), _some(self.books.owed_by)),
        ):
            assert kept == by_rule, "\n".join(
                [*self.story, f"night of {self.day}: {what}"]
                + [f"  {key}: {kept.get(key)}, by the rules {by_rule.get(key)}"
                   for key in sorted({*kept, *by_rule}, key=str)
                   if kept.get(key) != by_rule.get(key)]
            )  # fmt: skip
        self.must_hold()

    def _paid(self) -> list[Claim]:
        return [c for c in self.books.claims if c.fate == "paid"]

    def _fates(self) -> dict[str, str]:
        return dict(self.rows("SELECT claim_number, disposition FROM claim"))

    def _ledger(self) -> dict[str, int]:
        return _some(
            dict(
                self.rows(
                    "SELECT c.claim_number, sum(l.entry_amount) FROM ledger_entry l "
                    "JOIN claim c ON c.claim_id = l.claim_id GROUP BY 1"
                )
            )
        )

    def _pends(self) -> dict[tuple[str, str], str]:
        assert self.summary is not None
        rows = self.rows(
            "SELECT c.claim_number, p.pend_code, p.began_date FROM pend p "
            "JOIN claim c ON c.claim_id = p.claim_id "
            f"WHERE p.run_id = {self.summary.run_id} AND p.state = 'waits'"
        )
        return {(number, code): began for number, code, began in rows}

    def _pends_by_rule(self) -> dict[tuple[str, str], str]:
        return {
            (c.number, code): began.isoformat()
            for c in self.books.claims
            if c.fate == "pended"
            for code, began in c.pends.items()
        }

    def _counted(self, what: str) -> dict[tuple[str, str, str], int]:
        rows = self.rows(
            f"SELECT c.claim_number, {COUNTED[what]} t JOIN claim c ON c.claim_id = t.claim_id "
            "GROUP BY 1, 2, 3"
        )
        return _some({(number, of, year): amount for number, of, year, amount in rows})

    def _counted_by_rule(self, what: str) -> dict[tuple[str, str, str], int]:
        out = {}
        for claim in self._paid():
            for counter, amount in claim.taken.items():
                if counter[0] == what and counter[1] not in ("FH1", "FH2"):
                    out[claim.number, counter[1], counter[2] if len(counter) > 2 else ""] = amount
        return _some(out)

    def _payments(self) -> dict[str, int]:
        assert self.summary is not None
        return _some(
            dict(
                self.rows(
                    "SELECT payee_id, payment_amount FROM payment "
                    f"WHERE run_id = {self.summary.run_id}"
                )
            )
        )

    def _balances(self) -> dict[str, int]:
        """What is carried forward and was not brought yet."""
        return _some(
            dict(
                self.rows(
                    "SELECT p.payee_id, -sum(a.adjustment_amount) FROM provider_adjustment a "
                    "JOIN payment p ON p.payment_id = a.payment_id "
                    "WHERE a.reason_code = 'FB' GROUP BY 1"
                )
            )
        )

    def _blocks(self) -> dict[tuple[str, bool], Any]:
        """The last night's 835s: by claim number, and whether it is a reversal, what they tell."""
        out: dict[tuple[str, bool], Any] = {}
        for block in self._clp_blocks():
            key = (block[0][7], block[0][2] == "22")
            assert key not in out
            out[key] = _told(block)
        return out

    def _clp_blocks(self) -> list[list[list[str]]]:
        blocks: list[list[list[str]]] = []
        for remittance in self.remittances():
            inside = False
            for segment in remittance:
                if segment[0] == "CLP":
                    blocks.append([])
                    inside = True
                elif segment[0] in ("PLB", "SE", "LX"):
                    inside = False
                if inside:
                    blocks[-1].append(segment)
        return blocks

    def _blocks_by_rule(self) -> dict[tuple[str, bool], Any]:
        out = {}
        for claim, is_reversal in self.books.told:
            sign, lines = -1 if is_reversal else 1, []
            for service, result in zip(claim.services, claim.results, strict=True):
                if result.denial:
                    adjusted = {result.denial.split()[0]: service.charge}
                else:
                    adjusted = {
                        "CO-45": service.charge - result.allowed, "PR-1": result.deductible,
                        "PR-2": result.coinsurance, "PR-3": result.copay,
                    }  # fmt: skip
                lines.append(
                    (service.code, sign * service.charge, sign * (result.allowed - result.owed),
                     {code: sign * amount for code, amount in adjusted.items() if amount})
                )  # fmt: skip
            charge = sum(s.charge for s in claim.services)
            out[claim.number, is_reversal] = (sign * charge, sign * claim.paid, lines)
        return out

    # ---- what must hold, whatever the books say ----------------------------------------------

    def must_hold(self) -> None:
        # what does not stand paid has left nothing anywhere
        for table, column in (
            ("ledger_entry", "entry_amount"),
            ("accumulator_entry", "deductible_amount"),
            ("accumulator_entry", "out_of_pocket_amount"),
            ("referral_visit", "visit_count"),
            ("authorization_unit", "unit_quantity"),
        ):
            assert self.rows(
                f"SELECT c.claim_number FROM {table} t JOIN claim c ON c.claim_id = t.claim_id "
                f"WHERE c.disposition <> 'paid' GROUP BY 1 HAVING sum(t.{column}) <> 0"
            ) == []  # fmt: skip
        # of a claim and all that took its place one version stands at most
        before = {
            claim_id: (of, fate)
            for claim_id, of, fate in self.rows(
                "SELECT claim_id, CASE WHEN version_number > 1 THEN predecessor_claim_id END, "
                "disposition FROM claim"
            )
        }
        for claim_id, (of, fate) in before.items():
            while of is not None:
                of, its_fate = before[of]  # noqa: PLW2901
                assert not (fate == its_fate == "paid"), claim_id
        # a reversal is the original, negated
        assert self.summary is not None
        for block in self._clp_blocks():
            number = block[0][7]
            if block[0][2] == "22":
                assert _whole(block) == _negated(_whole(self.told_first[number])), number
            else:
                self.told_first[number] = block
        for path in (self.folder / "out" / self.summary.folder / "835").glob("*.835"):
            assert check_835(path.read_bytes()) == []


COUNTED = {
    "deductible": "t.member_id, substr(t.benefit_year_start_date, 1, 4), "
    "sum(t.deductible_amount) FROM accumulator_entry",
    "out of pocket": "t.member_id, substr(t.benefit_year_start_date, 1, 4), "
    "sum(t.out_of_pocket_amount) FROM accumulator_entry",
    "visits": "t.referral_number, '', sum(t.visit_count) FROM referral_visit",
    "units": "t.authorization_number, '', sum(t.unit_quantity) / 1000 FROM authorization_unit",
}


def _some(amounts: dict[Any, int]) -> dict[Any, int]:
    return {key: amount for key, amount in amounts.items() if amount}


def _cents(text: str) -> int:
    sign = -1 if text.startswith("-") else 1
    whole, _, part = text.lstrip("-").partition(".")
    return sign * (int(whole or 0) * 100 + int(f"{part:0<2}"))


def _told(block: list[list[str]]) -> tuple[int, int, list[Any]]:
    lines: list[tuple[str, int, int, dict[str, int]]] = []
    for segment in block:
        if segment[0] == "SVC":
            code = segment[1].split(":")[1]
            lines.append((code, _cents(segment[2]), _cents(segment[3]), {}))
        elif segment[0] == "CAS":
            for at in range(2, len(segment), 3):
                lines[-1][3][f"{segment[1]}-{segment[at]}"] = _cents(segment[at + 1])
    return _cents(block[0][3]), _cents(block[0][4]), lines


def _whole(block: list[list[str]]) -> list[list[Any]]:
    """Of CLP, SVC and CAS all that a reversal repeats, amounts as cents."""
    out: list[list[Any]] = []
    for segment in block:
        if segment[0] == "CLP":
            out.append([segment[1], _cents(segment[3]), _cents(segment[4]), *segment[7:9]])
        elif segment[0] == "SVC":
            out.append([segment[1], _cents(segment[2]), _cents(segment[3]), *segment[4:]])
        elif segment[0] == "CAS":
            out.append([segment[1], *(
                _cents(value) if at % 3 == 1 else value for at, value in enumerate(segment[2:])
            )])  # fmt: skip
    return out


def _negated(whole: list[list[Any]]) -> list[list[Any]]:
    return [[-value if isinstance(value, int) else value for value in each] for each in whole]


def new_world(loaded: Path, folder: Path) -> World:
    """A world at its first morning; ``loaded`` is made by ``load_world``."""
    shutil.copy(loaded / "a.db", folder / "a.db")
    return World(folder, programs=loaded / "programs")


def load_world(folder: Path) -> Path:
    """A store with the world's tables, and its program."""
    write_programs(folder / "programs")
    (folder / "tables").mkdir()
    for name, text in tables(new_books()).items():
        (folder / "tables" / f"{name}.csv").write_text(text)
    load_store(folder / "a.db", folder / "tables")
    return folder


def claim(
    books: Books, after: int, member: str, payee: str, kind: str, services: Sequence[Service],
    received: date, frequency: str = "1", original: str | None = None,
) -> Claim:  # fmt: skip
    """The claim that comes after so many others of the night."""
    number = books.next_number(after)
    return Claim(f"H-{int(number)}", number, member, payee, kind, tuple(services), received,
                 frequency, original)  # fmt: skip
