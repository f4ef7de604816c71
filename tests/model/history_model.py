"""A payer's books over many nights of claims, corrections and changed tables, in plain ints.

Written from the rules (RULES.md: how findings become a fate; corrected claims; benefits) without
the engine's help: no frame, nothing of it imported. One claim after the other in receipt order,
each judged whole before the next; amounts are cents, units whole.

The world is small: one plan, payees in the network or out of it, services with a fee each. What
it has of rules: coverage on the day, duplicates, the sixty days, a referral for each visit out of
the network, an authorization for listed services, fees, copay or deductible and coinsurance, the
maximum, and the forwarding balance of a payee.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta

REPLACES, VOIDS, ADDS, REOPENED = "7", "8", "5", "R"
TAKES_THE_PLACE = (REPLACES, VOIDS, REOPENED)
# the written order, as far as this world goes
ORDER = ("CO-16 M47", "CO-16 N547", "ORIGINAL", "PR-26", "PR-27", "PR-200", "OA-18", "DUPLICATE",
         "CO-29", "AUREQ", "PR-287", "PR-288", "CO-197", "REFERENCE", "CO-198")  # fmt: skip
PENDS = ("ORIGINAL", "DUPLICATE", "AUREQ", "REFERENCE")
NEVER_BEATEN_BY_LATER = ("ORIGINAL", "REFERENCE")
FILING_DAYS, REFERRAL_DAYS = 60, 30


@dataclass(frozen=True)
class Share:
    """What a member owes of a service: a copay a visit, or deductible and coinsurance."""

    copay: int = 0
    percent: int = 0
    deductible: bool = False


@dataclass(frozen=True)
class Plan:
    """Limits are (one member's, the family's) of a calendar year."""

    deductible: tuple[int, int]
    maximum: tuple[int, int]
    shares: dict[str, Share]  # by code
    authorized: tuple[str, ...]  # services that need an authorization


@dataclass(frozen=True)
class Service:
    """A line as it is sent."""

    code: str
    charge: int
    day: date
    units: int = 1
    modifier: str = ""


@dataclass
class Result:
    """A line as it was decided: what denies it, else its money."""

    denial: str | None = None
    allowed: int = 0
    deductible: int = 0
    coinsurance: int = 0
    copay: int = 0

    @property
    def owed(self) -> int:
        return self.deductible + self.coinsurance + self.copay


@dataclass(eq=False, repr=False)
class Claim:
    name: str
    number: str
    member: str
    payee: str
    kind: str  # P or I
    services: tuple[Service, ...]
    received: date
    frequency: str = "1"
    original: str | None = None
    reopens: Claim | None = None
    place: int = 0  # in receipt order
    fate: str = "open"
    results: list[Result] = field(default_factory=list)
    pends: dict[str, date] = field(default_factory=dict)  # since when it waits for what
    # since when, also where the last day of it has come while the claim waits for something else
    began: dict[str, date] = field(default_factory=dict)
    chain: list[Claim] = field(default_factory=list, repr=False)
    predecessor: Claim | None = None
    taken: dict[tuple[str, ...], int] = field(default_factory=dict)  # from which counter
    # tonight's
    match: str | None = None
    corrects: list[Claim] = field(default_factory=list, repr=False)
    corrected_by: Claim | None = field(default=None, repr=False)
    stands: list[bool] = field(default_factory=list)  # the lines that others may repeat

    def __repr__(self) -> str:
        of = f" of {self.original}" if self.original else ""
        of = f" reopens {self.reopens.number[-3:]}" if self.reopens else of
        lines = (
            f"{s.code}{s.modifier and '-'}{s.modifier} x{s.units} {s.charge} on {s.day:%y%m%d}"
            for s in self.services
        )
        return (
            f"{self.number[-3:]} {self.kind}{self.frequency}{of} {self.member} {self.payee} "
            + ", ".join(lines)
        )

    @property
    def act(self) -> str:
        return REOPENED if self.reopens else self.frequency

    @property
    def paid(self) -> int:
        return sum(r.allowed - r.owed for r in self.results)

    @property
    def final(self) -> bool:
        return self.fate in ("paid", "denied")

    @property
    def days(self) -> tuple[date, date]:
        return min(s.day for s in self.services), max(s.day for s in self.services)


@dataclass
class Books:
    """All that is known, and what each night made of it."""

    plan: Plan
    families: dict[str, str]  # of members
    outside: frozenset[str]  # payees out of the network
    fees: dict[tuple[str, str], int]  # by payee and code; what is not here has none
    coverage: dict[str, list[tuple[date, date]]] = field(default_factory=dict)
    # by number for whom and how many; a member has one at most
    referrals: dict[str, tuple[str, int]] = field(default_factory=dict)
    authorizations: dict[str, tuple[str, int]] = field(default_factory=dict)
    claims: list[Claim] = field(default_factory=list)
    owed_by: dict[str, int] = field(default_factory=dict)  # payees' forwarding balances
    # of the last night: payments by payee, and (claim, reversed) as its 835s tell
    payments: dict[str, int] = field(default_factory=dict)
    told: list[tuple[Claim, bool]] = field(default_factory=list)

    def taken(self, counter: tuple[str, ...]) -> int:
        """What stands on a counter; of what is reversed nothing does."""
        return sum(c.taken.get(counter, 0) for c in self.claims if c.fate == "paid")

    # ---- a night -----------------------------------------------------------------------------

    def next_number(self, after: int = 0) -> str:
        """The number of a claim received after so many more."""
        return f"{len(self.claims) + after + 1:012}"

    def night(self, today: date, sent: Iterable[Claim]) -> None:
        for claim in sent:
            assert claim.number == self.next_number()
            claim.place = len(self.claims)
            self.claims.append(claim)
        tonight = [c for c in self.claims if c.fate in ("open", "pended")]
        self._match(tonight)
        self.told, sums = [], dict.fromkeys(self.owed_by, 0)
        for claim in tonight:
            self._decide(claim, today, tonight)
        for claim, is_reversal in self.told:
            sums[claim.payee] += -claim.paid if is_reversal else claim.paid
        for claim in (c for c in tonight if c.final):
            self.told.append((claim, False))
            sums[claim.payee] += claim.paid
        self.payments = {}
        for payee, total in sums.items():
            left = total - self.owed_by[payee]
            self.payments[payee], self.owed_by[payee] = max(left, 0), max(-left, 0)

    def reprocess(self, today: date, asked: Iterable[str]) -> None:
        """Decides anew the standing versions of the claims with these numbers; not what was denied
        for want of a claim that it corrects: there still is none."""
        chosen = [c for c in self.claims
                  if c.final and c.match not in ("none", "voided")
                  and any(v.number in asked for v in c.chain)]  # fmt: skip
        opened: list[Claim] = []
        for claim in chosen:
            if any(v.fate == "pended" and v is not claim for v in claim.chain):
                continue  # another version is open already
            opened.append(
                Claim(claim.name, self.next_number(len(opened)), claim.member, claim.payee,
                      claim.kind, claim.services, claim.received, claim.frequency,
                      claim.original, reopens=claim)
            )  # fmt: skip
        self.night(today, opened)

    # ---- which claim a correction corrects ---------------------------------------------------

    def _match(self, tonight: list[Claim]) -> None:
        corrections = [c for c in tonight if c.act in (*TAKES_THE_PLACE, ADDS)]
        for claim in tonight:
            claim.match = claim.corrected_by = None
            claim.corrects = []
            if claim in corrections and claim in claim.chain and len(claim.chain) > 1:
                claim.chain.remove(claim)  # asked anew
                claim.chain = []
            if not claim.chain:
                claim.chain = [claim]
        voided: set[str] = {c.number for c in self.claims if c.fate == "voided"}
        for claim in corrections:
            found = self._candidates(claim, voided)
            if len(found) != 1:
                claim.match = "several" if found else "none"
                continue
            live = [v for v in found[0].chain if v.number not in voided]
            if not live:
                claim.match = "voided"
                continue
            claim.match, claim.predecessor = "found", live[-1]
            if claim.act == ADDS:
                continue
            claim.corrects = live
            for version in live:
                if not version.final:
                    version.corrected_by = claim
            if claim.act == VOIDS:
                voided |= {v.number for v in (claim, *live)}
            claim.chain = found[0].chain
            claim.chain.append(claim)

    def _candidates(self, claim: Claim, voided: set[str]) -> list[Claim]:
        if claim.reopens:
            return [claim.reopens]
        before = [c for c in self.claims[: claim.place] if c.payee == claim.payee]
        if claim.original:
            return [c for c in before if c.number.endswith(claim.original)]
        (first, last), found = claim.days, []
        for other in before:  # late charges of a stay: the version that stands last
            later = other.chain[other.chain.index(other) + 1 :]
            if (other.member, other.kind) == (claim.member, claim.kind) and (
                other.number not in voided
                and all(v.number in voided for v in later)
                and other.days[0] <= last
                and first <= other.days[1]
            ):
                found.append(other)
        return found

    # ---- a claim -----------------------------------------------------------------------------

    def _decide(self, claim: Claim, today: date, tonight: list[Claim]) -> None:
        claim.results = [Result() for _ in claim.services]
        claim.taken = {}
        claim.stands = [False] * len(claim.services)
        if claim.corrected_by:  # whatever waits for a correction is judged by nobody
            self._wait(claim, {"CORRECTION"}, {"CORRECTION"}, today)
            return
        if claim.act == VOIDS and claim.match == "found":
            self._take_the_place(claim)
            claim.fate, claim.pends, claim.began = "voided", {}, {}
            return
        given_back = self._give_back(claim)
        lapsed, waits = self._judge(claim, today, tonight)
        if not waits and self._count_visits(claim, given_back) == "used up":
            began = claim.began.get("AUREQ")
            if began and today >= began + timedelta(REFERRAL_DAYS):
                lapsed.add("AUREQ")
                self._count_visits(claim, given_back, lapsed=True)
            else:
                waits = {"AUREQ"}
        if waits:
            claim.results, claim.taken = [Result() for _ in claim.services], {}
            self._wait(claim, waits, waits | lapsed, today)
            return
        claim.pends, claim.began = {}, {}
        self._count_money(claim, given_back)
        self._take_the_place(claim)
        stands = any(r.denial is None for r in claim.results)
        claim.fate = "paid" if stands else "denied"

    def _wait(self, claim: Claim, codes: set[str], kept: set[str], today: date) -> None:
        claim.fate = "pended"
        claim.began = {code: claim.began.get(code, today) for code in kept}
        claim.pends = {code: claim.began[code] for code in codes}

    def _take_the_place(self, claim: Claim) -> None:
        """Of what the correction corrects, what was final is reversed, the rest is gone."""
        for version in claim.corrects:
            if version.final:
                self.told.append((version, True))
            version.fate, version.pends, version.began = "voided", {}, {}

    def _give_back(self, claim: Claim) -> dict[tuple[str, ...], int]:
        """What is released before anything of the claim is counted."""
        back: dict[tuple[str, ...], int] = {}
        for version in claim.corrects:
            if version.fate == "paid":
                for counter, amount in version.taken.items():
                    back[counter] = back.get(counter, 0) + amount
        return back

    # ---- the edits ---------------------------------------------------------------------------

    def _judge(self, claim: Claim, today: date, tonight: list[Claim]) -> tuple[set[str], set[str]]:
        """Each line's first denial; of the claim what lapsed, and what it waits for."""
        lapsed: set[str] = set()
        found: list[list[str]] = []
        for service in claim.services:
            of_line = self._of_the_line(claim, service, today)
            if "AUREQ" in of_line and self._has_lapsed(claim, today):
                of_line[of_line.index("AUREQ")] = "PR-288"
                lapsed.add("AUREQ")
            found.append(of_line)
        claim.stands = self._standing(found)
        for place, service in enumerate(claim.services):
            if self._has_equal(claim, place, service, tonight):
                found[place].append("OA-18")
        claim.stands = self._standing(found)
        if claim.frequency not in (REPLACES, VOIDS, ADDS):
            for place, service in enumerate(claim.services):
                if self._has_similar(claim, service, tonight):
                    found[place].append("DUPLICATE")
        for of_line, service in zip(found, claim.services, strict=True):
            if not self._denial(of_line) and (claim.payee, service.code) not in self.fees:
                of_line.append("REFERENCE")
        for result, of_line in zip(claim.results, found, strict=True):
            result.denial = self._denial(of_line)
        return lapsed, self._waits(found)

    def _has_lapsed(self, claim: Claim, today: date) -> bool:
        began = claim.began.get("AUREQ")
        return began is not None and today >= began + timedelta(REFERRAL_DAYS)

    def _denial(self, found: list[str]) -> str | None:
        return min((f for f in found if f not in PENDS), key=ORDER.index, default=None)

    def _waits(self, found: list[list[str]]) -> set[str]:
        """The pends that no denial takes."""
        out = set()
        for of_line in found:
            denial = self._denial(of_line)
            for pend in (f for f in of_line if f in PENDS):
                if denial is None or (
                    pend in NEVER_BEATEN_BY_LATER and ORDER.index(pend) < ORDER.index(denial)
                ):
                    out.add(pend)
        return out

    def _standing(self, found: list[list[str]]) -> list[bool]:
        """What another line may repeat: paid or waiting so far."""
        waits = bool(self._waits(found))
        return [waits or self._denial(f) is None for f in found]

    def _of_the_line(self, claim: Claim, service: Service, today: date) -> list[str]:
        """What says something of a line by itself."""
        out = []
        if claim.match == "none":
            out.append("CO-16 M47")
        elif claim.match == "voided":
            out.append("CO-16 N547")
        elif claim.match == "several":
            out.append("ORIGINAL")
        spans = self.coverage[claim.member]
        if not any(first <= service.day <= last for first, last in spans):
            if service.day < min(first for first, _ in spans):
                out.append("PR-26")
            elif service.day > max(last for _, last in spans):
                out.append("PR-27")
            else:
                out.append("PR-200")
        received = claim.received
        if claim.match == "found" and claim.act in (REPLACES, REOPENED):
            received = min(received, claim.chain[0].received)
        if received > service.day + timedelta(FILING_DAYS):
            out.append("CO-29")
        covered = not any(f.startswith("PR-2") for f in out)
        if (
            covered
            and claim.payee in self.outside
            and not any(member == claim.member for member, _ in self.referrals.values())
        ):
            out.append("AUREQ")
        if service.code in self.plan.authorized and not any(
            member == claim.member for member, _ in self.authorizations.values()
        ):
            out.append("CO-197")
        return out

    # ---- duplicates --------------------------------------------------------------------------

    def _earlier(self, claim: Claim, tonight: list[Claim]) -> Iterable[Claim]:
        """Claims whose lines this one's may repeat: paid before, or received before it tonight.
        What a void of tonight takes away counts no more, wherever it stands in the night."""
        gone = [v for c in tonight if c.act == VOIDS and c.match == "found" for v in c.corrects]
        for other in self.claims:
            if other in claim.corrects or other in gone:
                continue
            if other in tonight:
                if other.place <= claim.place and other.corrected_by is None:
                    yield other
            elif other.fate == "paid":
                yield other

    def _lines(self, claim: Claim, tonight: list[Claim]) -> Iterable[tuple[Claim, int, Service]]:
        for other in self._earlier(claim, tonight):
            for place, service in enumerate(other.services):
                if other in tonight:
                    counts = other.stands[place]
                else:
                    counts = other.results[place].denial is None
                if counts and (other.member, other.payee) == (claim.member, claim.payee):
                    yield other, place, service

    def _has_equal(self, claim: Claim, place: int, service: Service, tonight: list[Claim]) -> bool:
        return any(
            theirs == service and (other is not claim or at < place)
            for other, at, theirs in self._lines(claim, tonight)
        )

    def _has_similar(self, claim: Claim, service: Service, tonight: list[Claim]) -> bool:
        mine = (service.units, service.charge)
        for other, _, theirs in self._lines(claim, tonight):
            if other is claim or (theirs.code, theirs.day) != (service.code, service.day):
                continue
            if service.modifier or theirs.modifier:
                continue  # 76: a repetition, and said to be one
            of_theirs = (theirs.units, theirs.charge)
            if sum(a != b for a, b in zip(mine, of_theirs, strict=True)) == 1:
                return True
        return False

    # ---- counting ----------------------------------------------------------------------------

    def _left(self, counter: tuple[str, ...], limit: int, back: dict[tuple[str, ...], int],
              claim: Claim) -> int:  # fmt: skip
        used = self.taken(counter) - back.get(counter, 0) + claim.taken.get(counter, 0)
        return max(limit - used, 0)

    def _count_visits(
        self, claim: Claim, back: dict[tuple[str, ...], int], *, lapsed: bool = False
    ) -> str | None:
        """Units under authorizations, then visits under referrals; "used up" where none is left
        for a line, which with ``lapsed`` is denied."""
        claim.taken = {}
        for result, service in zip(claim.results, claim.services, strict=True):
            if result.denial or service.code not in self.plan.authorized:
                continue
            for number, (member, limit) in self.authorizations.items():
                counter = ("units", number)
                if member == claim.member:
                    if self._left(counter, limit, back, claim) >= service.units:
                        claim.taken[counter] = claim.taken.get(counter, 0) + service.units
                    else:
                        result.denial = "CO-198"
        if claim.payee not in self.outside:
            return None
        visits: set[date] = set()
        lacking = []
        for result, service in zip(claim.results, claim.services, strict=True):
            if result.denial or service.day in visits:
                continue
            for number, (member, limit) in self.referrals.items():
                counter = ("visits", number)
                if member == claim.member:
                    if self._left(counter, limit, back, claim):
                        claim.taken[counter] = claim.taken.get(counter, 0) + 1
                        visits.add(service.day)
                    else:
                        lacking.append(result)
        for result in lacking if lapsed else ():
            result.denial = "PR-287"
        return "used up" if lacking else None

    def _whole(self, claim: Claim) -> Claim:
        """The claim that late charges add to, and late charges of late charges."""
        while claim.act == ADDS and claim.predecessor:
            claim = claim.predecessor
        return claim

    def _copays_left(self, claim: Claim) -> dict[tuple[str, date], int]:
        """What is left of the visits' copays where late charges add to a claim: what that one, or
        other late charges of it, took is not taken again."""
        left: dict[tuple[str, date], int] = {}
        if claim.act != ADDS or claim.match != "found":
            return left
        whole = self._whole(claim)
        for other in self.claims[: claim.place]:
            if other.fate != "paid" or self._whole(other) is not whole:
                continue
            for result, service in zip(other.results, other.services, strict=True):
                visit = (service.code, service.day)
                due = left.get(visit, self.plan.shares[service.code].copay)
                left[visit] = due - result.copay
        return left

    def _count_money(self, claim: Claim, back: dict[tuple[str, ...], int]) -> None:
        family = self.families[claim.member]
        copays = self._copays_left(claim)
        for result, service in zip(claim.results, claim.services, strict=True):
            if result.denial:
                continue
            share = self.plan.shares[service.code]
            result.allowed = min(
                service.charge, self.fees[claim.payee, service.code] * service.units
            )
            year = str(service.day.year)

            def left(what: str, limits: tuple[int, int], year: str = year) -> int:
                whose = ((what, claim.member, year), limits[0]), ((what, family, year), limits[1])
                return min(self._left(counter, limit, back, claim) for counter, limit in whose)

            most = min(result.allowed, left("out of pocket", self.plan.maximum))
            if share.copay:
                visit = (service.code, service.day)
                due = copays.get(visit, share.copay)
                result.copay = min(due, most)
                copays[visit] = due - result.copay
            else:
                if share.deductible:
                    result.deductible = min(most, left("deductible", self.plan.deductible))
                rest = (result.allowed - result.deductible) * share.percent
                half_up = (2 * rest + 100) // 200
                result.coinsurance = min(half_up, most - result.deductible)
            for who in (claim.member, family):
                for what, amount in (
                    ("deductible", result.deductible),
                    ("out of pocket", result.owed),
                ):
                    counter = (what, who, year)
                    claim.taken[counter] = claim.taken.get(counter, 0) + amount
