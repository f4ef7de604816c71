"""The equations of an 835, recomputed from its bytes.

Written apart from the writer and importing nothing of it, so that one misunderstanding can't
stand in both. Delimiters are read from each ISA, money is integer cents parsed from the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

GROUPS = {"CO", "PR", "OA", "PI"}
AMOUNT = re.compile(r"(-?)([0-9]*)(?:\.([0-9]{1,2}))?")
# which elements of a segment are money
MONEY = {
    "BPR": (2,),
    "CLP": (3, 4, 5),
    "SVC": (2, 3),
    "CAS": (3, 6, 9, 12, 15, 18),
    "PLB": (4, 6, 8, 10, 12, 14),
    "AMT": (2,),
}
OPTIONAL = {("CLP", 5)}
# the segments that are looked at, and how many elements each must have at least
LEAST = {
    **{"GS": 6, "ST": 2, "BPR": 4, "CLP": 4, "CAS": 3, "SVC": 3, "PLB": 4},
    **{"TRN": 2, "AMT": 2, "SE": 2, "GE": 2, "IEA": 2},
}


@dataclass(frozen=True, slots=True)
class Imbalance:
    """One equation that doesn't hold. Money in cents; segments count from 1 at the first ISA."""

    segment: int
    what: str
    expected: str
    found: str


def check_files(files: Iterable[Path]) -> dict[str, list[str]]:
    """By name, the 835 files in which something does not add up, and what doesn't."""
    checked = ((file.name, check_835(file.read_bytes())) for file in files)
    return {name: [str(imbalance) for imbalance in found] for name, found in checked if found}


def check_835(data: bytes) -> list[Imbalance]:
    """Every equation of an 835 file that doesn't hold; empty where all do. Never raises.

    Line: SVC02 - CAS = SVC03. Claim: CLP03 - CAS of both levels = CLP04, CLP05 = PR of both
    levels (none on a reversal), lines add up to the claim. Set: BPR02 = CLP04 - PLB, and not
    below zero; a payment of nothing is H and NON, and no other is; interest beside claims (AMT*I)
    is what PLB L6 pays; one balance at most is carried forward (FB below zero), only by a payment
    of nothing and under its own TRN02, and one brought, under another's. CAS: a known group, no
    group and reason twice at one place, 45 never the whole charge. Envelope: counts and control
    numbers of SE, GE and IEA. Findings stand in segment order; a text that is no amount is named
    by its place and never repeated.
    """
    text = data.decode("latin-1").removeprefix("\xef\xbb\xbf")
    reader = _Reader()
    start = _skip_blank(text, 0)
    if start == len(text):
        reader.report("ISA opens the file", "ISA", "nothing")
    while start < len(text):
        start = _skip_blank(text, reader.interchange(text, start))
    return sorted(reader.findings, key=lambda finding: finding.segment)


def check_forwards(documents: Iterable[bytes]) -> list[str]:
    """What does not tie between 835s, given in the order they were paid: a balance brought (PLB
    FB above zero) that no earlier one of the same payer and payee carried under that number and in
    that amount, or that was brought before; a payee with two open balances; a trace number used
    twice. Empty where all do."""
    wrong: list[str] = []
    carried: dict[tuple[str, str], tuple[str, int]] = {}  # payer and payee → number and amount
    traces: set[tuple[str, str]] = set()
    for document in documents:
        text = document.decode("latin-1")
        element, component, terminator = text[3], text[104], text[105]
        cents = Cents()
        payer = payee = trace = ""
        for segment in (s.strip("\r\n").split(element) for s in text.split(terminator)):
            if segment[0] == "TRN":
                trace, payer = segment[2], segment[3]
                if (payer, trace) in traces:
                    wrong.append(f"trace number {trace} is used twice")
                traces.add((payer, trace))
            elif segment[:2] == ["N1", "PE"]:
                payee = segment[4]
            elif segment[0] == "PLB":
                pairs = zip(segment[3::2], segment[4::2], strict=True)
                forwards = [(r.partition(component)[2], cents[a]) for r, a in pairs
                            if r.startswith("FB" + component)]  # fmt: skip
                for reference, amount in sorted(forwards, key=lambda forward: forward[1] < 0):
                    account = (payer, payee)
                    if amount < 0:
                        if account in carried:
                            wrong.append(f"payment {trace} carries a second balance")
                        carried[account] = (reference, -amount)
                    elif carried.pop(account, None) != (reference, amount):
                        wrong.append(f"payment {trace} brings what no payment carried")
    return wrong


def _skip_blank(text: str, start: int) -> int:
    while start < len(text) and text[start] in " \r\n\t\0\x1a":
        start += 1
    return start


def _number(text: str) -> str:
    return text if text.isdecimal() and len(text) <= 10 else "something else"


class Cents(dict[str, int]):
    """Text → cents, remembering texts: a file repeats few. What is no amount is 0 and noted."""

    def __init__(self) -> None:
        self.refused: set[str] = set()

    def __missing__(self, text: str) -> int:
        match = AMOUNT.fullmatch(text)
        whole, part = (match[2], match[3] or "") if match else ("", "")
        value = 0
        if match and (whole or part) and len(whole) <= 18:
            value = int(whole or "0") * 100 + int(part.ljust(2, "0"))
            value = -value if match[1] else value
        else:
            self.refused.add(text)
        self[text] = value
        return value


@dataclass(slots=True)
class _Beside:
    """What a set pays beside its claims, as its PLB say."""

    taken: int = 0
    interest: int = 0  # L6
    brought: list[str] = field(default_factory=list)  # PLB03-2 of each FB above zero
    carried: list[str] = field(default_factory=list)  # and of each below


@dataclass(slots=True)
class _Level:
    """A claim or a line: what it charges, what it pays, what its own CAS take."""

    segment: int
    charge: int
    paid: int
    adjusted: int = 0
    contractual: int = 0  # CARC 45
    reasons: set[tuple[str, str]] = field(default_factory=set)


@dataclass(slots=True)
class _Claim(_Level):
    reversal: bool = False
    member_text: str = ""
    member: int = 0  # PR of both levels
    line_adjusted: int = 0
    line_charge: int = 0
    line_paid: int = 0
    lines: int = 0


class _Reader:
    """Walks segments and compares; holds what is open."""

    def __init__(self) -> None:
        self.findings: list[Imbalance] = []
        self.segment = 0  # segments read so far
        self.cents = Cents()

    def report(self, what: str, expected: object, found: object, segment: int = 0) -> None:
        self.findings.append(Imbalance(segment or self.segment, what, str(expected), str(found)))

    def equal(self, what: str, expected: object, found: object, segment: int = 0) -> None:
        if expected != found:
            self.report(what, expected, found, segment)

    def _count(self, what: str, count: int, found: str, segment: int) -> None:
        if (found.lstrip("0") or "0") != str(count):
            self.report(what, count, _number(found), segment)

    def _control(self, what: str, expected: str, found: str, segment: int) -> None:
        if expected != found:
            self.report(what, _number(expected), _number(found), segment)

    # ---- envelope ----

    def interchange(self, text: str, start: int) -> int:
        """Read one interchange; the offset after it."""
        if text[start : start + 3] != "ISA" or len(text) < start + 106:
            self.segment += 1
            self.report("ISA opens an interchange", "an ISA of 106 characters", "something else")
            return len(text)
        element, terminator = text[start + 3], text[start + 105]
        end = self._end(text, start, element, terminator)
        piece = text[start:end]
        segments = piece.split(terminator)
        if "\n" in piece or "\r" in piece:
            segments = [s.strip("\r\n") for s in segments]
        if segments[-1].strip():
            last = self.segment + len(segments)
            self.report("a terminator ends the last segment", "nothing", "text", last)
        del segments[-1]
        first = self.segment
        control = segments[0].split(element)[13:14]
        # claims with interest are few: else no AMT is of interest here
        interest = f"AMT{element}I{element}" in piece
        delimiters = (element, text[start + 104])
        self._segments(segments, delimiters, control[0] if control else "", interest)
        self.segment = first + len(segments)
        if self.cents.refused:
            self._name_refused(segments, element, first)
        return end

    @staticmethod
    def _end(text: str, start: int, element: str, terminator: str) -> int:
        """The offset after this interchange's IEA; without one, the end of the text."""
        # from the ISA's own terminator on: an interchange may be nothing but ISA and IEA
        at = start + 105
        while (at := text.find("IEA", at + 1)) > 0:
            before = at - 1
            while text[before] in "\r\n" and text[before] != terminator:
                before -= 1
            if text[before] == terminator and text[at + 3 : at + 4] in (element, terminator):
                end = text.find(terminator, at)
                return len(text) if end < 0 else end + 1
        return len(text)

    def _name_refused(self, segments: list[str], element: str, first: int) -> None:
        for number, segment in enumerate(segments, first + 1):
            elements = segment.split(element)
            tag = elements[0]
            for place in MONEY.get(tag, ()):
                if place < len(elements) and elements[place] in self.cents.refused:
                    blank = elements[place] == ""
                    # an empty element stands where it may, else where a pair lacks its amount
                    if blank and (
                        (tag, place) in OPTIONAL
                        or (tag in {"CAS", "PLB"} and not elements[place - 1])
                    ):
                        continue
                    self.report(
                        f"{tag}{place:02} is an amount of whole cents",
                        "at most two decimals",
                        "nothing" if blank else "something else",
                        number,
                    )
        for text in self.cents.refused:
            del self.cents[text]
        self.cents.refused.clear()

    def _segments(
        self,
        segments: list[str],
        delimiters: tuple[str, str],
        interchange_control: str,
        interest: bool,
    ) -> None:
        (element, component), cents = delimiters, self.cents
        groups = sets = set_first = 0
        group_control = set_control = None
        group_segment = trailer = 0
        paid_amount: int | None = None
        payment_segment = claims_paid = interest_paid = 0
        method: tuple[str, str] | None = None
        beside, trace = _Beside(), ""
        claim: _Claim | None = None
        line: _Level | None = None
        offset = self.segment
        # the bulk of a set is of no interest here: passed over by its first characters
        others = {"DTM", "REF", "NM1", "LQ" + element, *([] if interest else ["AMT"])}
        for number, segment in enumerate(segments, offset + 1):
            if segment[:3] in others:
                continue
            elements = segment.split(element)
            tag = elements[0]
            if tag not in LEAST:
                if not segment:
                    self.report("no segment is empty", "a segment", "nothing", number)
                continue
            if len(elements) <= LEAST[tag]:
                self.report(f"{tag} is whole", f"{LEAST[tag]} elements", len(elements) - 1, number)
                elements += [""] * (LEAST[tag] + 1 - len(elements))
            if tag == "CAS":
                level = line or claim
                if level is None:
                    self.report("CAS belongs to a claim", "CLP before it", "none", number)
                    continue
                member = self._cas(elements, level, number)
                if claim is not None:
                    claim.member += member
                continue
            if tag == "AMT":
                if elements[1] == "I" and line is None:
                    interest_paid += cents[elements[2]]
                continue
            if line is not None and claim is not None:
                self._close_line(line, claim)
                line = None
            if tag == "SVC":
                if claim is None:
                    self.report("SVC belongs to a claim", "CLP before it", "none", number)
                    continue
                line = _Level(number, cents[elements[2]], cents[elements[3]])
                continue
            if claim is not None:
                self._close_claim(claim)
                claims_paid += claim.paid
                claim = None
            if tag == "CLP":
                claim = _Claim(
                    number,
                    cents[elements[3]],
                    cents[elements[4]],
                    reversal=elements[2] == "22",
                    member_text=elements[5] if len(elements) > 5 else "",
                )
            elif tag == "PLB":
                if len(elements) % 2 == 0:
                    self.report("every PLB reason has its amount", "an amount", "none", number)
                self._plb(elements, component, beside)
            elif tag == "TRN":
                trace = elements[2]
            elif tag == "BPR":
                if paid_amount is not None:
                    self.report("a set has one BPR", 1, 2, number)
                payment_segment, paid_amount = number, cents[elements[2]]
                if elements[2] not in cents.refused:
                    method = (elements[1], elements[4])
            elif tag == "ST":
                if group_control is None:
                    self.report("ST stands in a group", "GS before it", "none", number)
                if set_control is not None:
                    self.report("SE closes every ST", "SE", "ST", number)
                sets += 1
                set_first, set_control = number, elements[2]
                self._control("ST01 = 835", "835", elements[1], number)
                paid_amount, claims_paid, interest_paid = None, 0, 0
                beside, method, trace = _Beside(), None, ""
            elif tag == "SE":
                if set_control is None:
                    self.report("SE closes an ST", "ST before it", "none", number)
                    continue
                self._count("SE01 = segments", number - set_first + 1, elements[1], number)
                self._control("SE02 = ST02", set_control, elements[2], number)
                set_control = None
                if paid_amount is None:
                    self.report("a set has one BPR", 1, 0, number)
                    continue
                self.equal(
                    "BPR02 = CLP04 - PLB",
                    claims_paid - beside.taken,
                    paid_amount,
                    payment_segment,
                )
                if paid_amount < 0:
                    self.report("BPR02 >= 0", 0, paid_amount, payment_segment)
                if method is not None:
                    self._payment(paid_amount, method, trace, beside, payment_segment)
                self.equal("AMT*I = PLB L6", interest_paid, -beside.interest, number)
            elif tag == "GS":
                if group_control is not None:
                    self.report("GE closes every GS", "GE", "GS", number)
                groups, sets = groups + 1, 0
                group_segment, group_control = number, elements[6]
            elif tag == "GE":
                if group_control is None:
                    self.report("GE closes a GS", "GS before it", "none", number)
                    continue
                self._count("GE01 = sets", sets, elements[1], number)
                self._control("GE02 = GS06", group_control, elements[2], number)
                group_control = None
            else:
                trailer = number
                self._count("IEA01 = groups", groups, elements[1], number)
                self._control("IEA02 = ISA13", interchange_control, elements[2], number)
        last = offset + len(segments)
        if line is not None and claim is not None:
            self._close_line(line, claim)
        if claim is not None:
            self._close_claim(claim)
        if set_control is not None:
            self.report("SE closes every ST", "SE", "none", set_first)
        if group_control is not None:
            self.report("GE closes every GS", "GE", "none", group_segment)
        if not trailer:
            self.report("IEA closes every ISA", "IEA", "none", last)

    # ---- money ----

    def _cas(self, elements: list[str], level: _Level, number: int) -> int:
        """Add a CAS to its level; the PR in it."""
        group = elements[1]
        if group not in GROUPS:
            self.report("CAS01 is a known group", "CO, PR, OA or PI", "something else", number)
        if len(elements) > 20:
            self.report("CAS holds six adjustments", 19, len(elements) - 1, number)
        total = 0
        for place in range(2, len(elements), 3):
            reason = elements[place]
            text = elements[place + 1] if place + 1 < len(elements) else ""
            if not reason:
                if text:
                    self.report("every CAS amount has its reason", "a reason", "none", number)
                    total += self.cents[text]
                continue
            if not text:
                self.report("every CAS reason has its amount", "an amount", "none", number)
                continue
            amount = self.cents[text]
            total += amount
            if reason == "45":
                level.contractual += amount
            if (group, reason) in level.reasons:
                self.report("a group and reason stand once", 1, "twice", number)
            level.reasons.add((group, reason))
        level.adjusted += total
        return total if group == "PR" else 0

    def _plb(self, elements: list[str], component: str, beside: _Beside) -> None:
        for place in range(4, len(elements), 2):
            reason, _, reference = elements[place - 1].partition(component)
            if not (elements[place] or reason):
                continue
            amount = self.cents[elements[place]]
            beside.taken += amount
            if reason == "FB":
                (beside.carried if amount < 0 else beside.brought).append(reference)
            elif reason == "L6":
                beside.interest += amount

    def _payment(
        self, paid: int, method: tuple[str, str], trace: str, beside: _Beside, at: int
    ) -> None:
        """A payment of nothing says so; a balance moves on under the number that carries it."""
        for place, found, nothing in zip(("BPR01", "BPR04"), method, ("H", "NON"), strict=True):
            if (found == nothing) != (paid == 0):
                self.report(f"{place} is {nothing} where nothing is paid, and only there",
                            nothing if paid == 0 else f"not {nothing}", "another", at)  # fmt: skip
        for what, forwards in (("carries", beside.carried), ("brings", beside.brought)):
            if len(forwards) > 1:
                self.report(f"a payment {what} one balance", 1, len(forwards), at)
        if beside.carried and paid > 0:
            self.report("only a payment of nothing carries a balance", 0, paid, at)
        if any(reference != trace for reference in beside.carried):
            self.report("a balance is carried under its own TRN02", "TRN02", "another", at)
        if trace in beside.brought:
            self.report("a balance is brought under another's TRN02", "another", "TRN02", at)

    def _close_line(self, line: _Level, claim: _Claim) -> None:
        if line.charge - line.adjusted != line.paid:
            self.report("SVC02 - CAS = SVC03", line.charge - line.adjusted, line.paid, line.segment)
        self._contractual(line)
        claim.lines += 1
        claim.line_charge += line.charge
        claim.line_paid += line.paid
        claim.line_adjusted += line.adjusted

    def _close_claim(self, claim: _Claim) -> None:
        at = claim.segment
        self.equal(
            "CLP03 - CAS = CLP04",
            claim.charge - claim.adjusted - claim.line_adjusted,
            claim.paid,
            at,
        )
        if claim.lines:
            self.equal("SVC02 = CLP03", claim.charge, claim.line_charge, at)
            self.equal(
                "SVC03 = CLP04 + claim's CAS", claim.paid + claim.adjusted, claim.line_paid, at
            )
        if not claim.reversal:
            shown = self.cents[claim.member_text] if claim.member_text else 0
            self.equal("CLP05 = PR", claim.member, shown, at)
        elif claim.member_text:
            self.report("CLP05 is empty on a reversal", "nothing", "an amount", at)
        self._contractual(claim)

    def _contractual(self, level: _Level) -> None:
        if level.charge and level.contractual == level.charge:
            self.report(
                "CARC 45 is less than the charge",
                f"not {level.charge}",
                level.contractual,
                level.segment,
            )
