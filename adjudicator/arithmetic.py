"""What a line was allowed, shared and paid, as steps that a person can follow on paper.

From the figures the store keeps of a line; nothing is decided here. A step computes its result
anew from its terms, so that what is told either comes to the stored amount or shows that it
doesn't.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, NamedTuple

from adjudicator.money import divide_half_up_int
from adjudicator.stages.price import CAPITATED, PACKAGED

Row = Mapping[str, Any]  # a DecidedLines row, its pricing_inputs and benefit_inputs as mappings
Unit = Literal[
    "cents", "basis_points", "hundredths", "thousandths", "ten_thousandths", "hundred_thousandths"
]
SCALES: Mapping[Unit, int] = {
    "cents": 100,
    "basis_points": 10_000,
    "hundredths": 100,
    "thousandths": 1_000,
    "ten_thousandths": 10_000,
    "hundred_thousandths": 100_000,
}
DECIMALS = 9  # shown of a result before it is rounded; more are cut off and marked so

# a term as it is read in a sum; what isn't here is its figure alone
WORDS = {
    "charge_amount": "charge {}",
    "fee_amount": "fee {}",
    "daily_rate_amount": "{} a day",
    "day_quantity": "{} days",
    "unit_quantity": "{} units",
    "work_units": "work {}",
    "expense_units": "practice expense {}",
    "malpractice_units": "malpractice {}",
    "conversion_factor": "conversion factor {}",
    "cap_fee_amount": "the outpatient hospital's amount {}",
    "stay_priced_amount": "the stay's days {}",
    "stay_charge_amount": "the stay's charges {}",
    "copay_due_amount": "copay {}",
    "visit_copay_remaining": "what is left of the visit's copay {}",
    "allowed_amount": "allowed {}",
    "deductible_remaining": "deductible left {}",
    "member_out_of_pocket_remaining": "member's maximum left {}",
    "family_out_of_pocket_remaining": "family's maximum left {}",
    "deductible_amount": "deductible {}",
    "coinsurance_amount": "coinsurance {}",
    "copay_amount": "copay {}",
    "prior_paid_amount": "paid before us {}",
    "prior_allowed_amount": "allowed by a payer before us {}",
    "prior_share_amount": "the cost share that Medicare left {}",
    "left_amount": "what the provider may still collect {}",
    "unpaid_amount": "the charge less what was paid {}",
    "alone_amount": "our payment alone {}",
    "share_amount": "our cost share {}",
    "above_amount": "the higher allowed amount less what was paid {}",
    "payment_amount": "our payment {}",
    "remaining_amount": "what then remains {}",
}


@dataclass(frozen=True)
class Term:
    """An integer of a named unit: cents, basis points, decimals of a plain number."""

    name: str
    value: int
    unit: Unit = "cents"

    @property
    def exact(self) -> Fraction:
        return Fraction(self.value, SCALES[self.unit])

    def __str__(self) -> str:
        words = WORDS.get(self.name, "{}").format(figure(self.value, self.unit))
        one = self.name.endswith("_quantity") and self.value == SCALES[self.unit]
        return words.removesuffix("s") if one else words


@dataclass(frozen=True)
class Step:
    """One operation on terms, its result rounded half up to the result's unit, and as written.

    ``sum`` adds (a term may be negative), ``product`` multiplies, ``least`` takes the least,
    ``greatest`` the greatest, ``proportion`` is the first times the second over the third.
    """

    operation: Literal["sum", "product", "least", "greatest", "proportion"]
    terms: tuple[Term, ...]
    result: Term
    says: str


@dataclass(frozen=True)
class Told:
    """How an amount of a line came about; cents.

    The last of ``steps``, where there is one, comes to ``amount``; ``counters`` are what was
    counted by it.
    """

    says: str
    amount: int
    steps: tuple[Step, ...] = ()
    counters: tuple[Step, ...] = ()

    @property
    def agrees(self) -> bool:
        return not self.steps or self.steps[-1].result.value == self.amount


def money(cents: int | None) -> str:
    """Cents as dollars for a reader: 1,234.50."""
    if cents is None:
        return "-"
    sign = "-" if cents < 0 else ""
    return f"{sign}{abs(cents) // 100:,}.{abs(cents) % 100:02d}"


def figure(value: int, unit: Unit) -> str:
    """A term's value for a reader: 1,234.50, 110 %, 2 (units), 1.022."""
    if unit == "cents":
        return money(value)
    scale = SCALES[unit]
    if unit == "basis_points":
        return f"{_short(value, 100)} %"
    if unit == "thousandths" and value % scale == 0:
        return f"{value // scale:,}"  # quantities, mostly whole
    places = len(str(scale)) - 1
    return f"{value // scale}.{value % scale:0{places}d}"


def quantity(thousandths: int | None) -> str:
    """A quantity of units without the decimals it doesn't need."""
    return _short(thousandths or 0, 1_000)


def _short(value: int, scale: int) -> str:
    places = len(str(scale)) - 1
    part = f"{value % scale:0{places}d}".rstrip("0")
    return f"{value // scale:,}" + (f".{part}" if part else "")


# ---- steps -----------------------------------------------------------------------------------


def _product(name: str, *terms: Term, unit: Unit = "cents") -> Step:
    exact = Fraction(1)
    for term in terms:
        exact *= term.exact
    result = _rounded(name, exact, unit)
    says = f"{' x '.join(map(str, terms))}{_equals(exact, result)}"
    return Step("product", terms, result, says)


def _proportion(name: str, of: Term, part: Term, whole: Term) -> Step:
    exact = of.exact * part.exact / whole.exact
    result = _rounded(name, exact, "cents")
    says = f"{of} x {part} / {whole}{_equals(exact, result)}"
    return Step("proportion", (of, part, whole), result, says)


def _sum(name: str, *terms: Term, unit: Unit = "cents") -> Step:
    exact = sum((term.exact for term in terms), Fraction(0))
    result = _rounded(name, exact, unit)
    says = str(terms[0]) + "".join(
        f" - {Term(t.name, -t.value, t.unit)}" if t.value < 0 else f" + {t}" for t in terms[1:]
    )
    return Step("sum", terms, result, f"{says}{_equals(exact, result)}")


def _least(name: str, *terms: Term) -> Step:
    result = Term(name, min(term.value for term in terms))
    word = "lesser" if len(terms) == 2 else "least"
    says = f"the {word} of {listed(terms)} = {money(result.value)}"
    return Step("least", terms, result, says)


def _greatest(name: str, *terms: Term) -> Step:
    result = Term(name, max(term.value for term in terms))
    says = f"the higher of {listed(terms)} = {money(result.value)}"
    return Step("greatest", terms, result, says)


def _rounded(name: str, exact: Fraction, unit: Unit) -> Term:
    return Term(name, divide_half_up_int(exact.numerator * SCALES[unit], exact.denominator), unit)


def _equals(exact: Fraction, result: Term) -> str:
    shown = figure(result.value, result.unit)
    if exact == result.exact:
        return f" = {shown}"
    whole, rest = divmod(abs(exact.numerator), exact.denominator)
    digits = ""
    while rest and len(digits) < DECIMALS:
        digit, rest = divmod(rest * 10, exact.denominator)
        digits += str(digit)
    sign = "-" if exact < 0 else ""
    return f" = {sign}{whole:,}.{digits}{'...' if rest else ''}, rounded {shown}"


def listed(words: Iterable[object]) -> str:
    """As a person lists: a, b and c."""
    *first, last = map(str, words)
    return f"{', '.join(first)} and {last}" if first else last


# ---- price -----------------------------------------------------------------------------------


def price(line: Row, lines: Sequence[Row]) -> Told | None:
    """How the allowed amount came about; ``lines``: all of the claim. None where there is none."""
    allowed, inputs = line["allowed_amount"], line["pricing_inputs"]
    if allowed is None:
        return None
    named = line["pricing_method_code"]
    by = inputs.get("priced_by", named) if named == CAPITATED else named
    method = METHODS.get(by)
    if (
        method is None
        or line["charge_amount"] is None
        or any(inputs.get(name) is None for name in method.needs)
    ):
        return Told(f"by {_plain(by or 'nothing that is kept')}", allowed)
    charge = Term("charge_amount", line["charge_amount"])
    steps = method.steps(line, lines)
    says = method.says.format_map({**inputs, **_worded(line)})
    if named == CAPITATED:
        says = f"prepaid: the payee's monthly payment covers it; for the record, {says}"
        if steps and steps[-1].result.value > charge.value:
            steps.append(_least("allowed_amount", steps[-1].result, charge))
    elif charge.value == 0 and steps and steps[-1].result.value:
        steps.append(_least("allowed_amount", steps[-1].result, charge))
    return Told(says, allowed, tuple(steps))


def _worded(line: Row) -> dict[str, str]:
    inputs = line["pricing_inputs"]
    code = line["procedure_code"] or line["revenue_code"] or "the line"
    modifier = inputs.get("fee_modifier_code") or inputs.get("modifier_code")
    return {
        "rate": figure(inputs.get("rate_basis_points") or 0, "basis_points"),
        "code": f"{code}:{modifier}" if modifier else code,
        "place": "a facility" if inputs.get("is_facility") else "no facility",
        "days": str(inputs.get("stay_days")),
        "zip": inputs.get("zip_code") or "-",
    }


def _amount(inputs: Row, name: str, unit: Unit = "cents", said_as: str = "") -> Term:
    return Term(said_as or name, inputs[name], unit)


def _units(line: Row, name: str = "unit_quantity") -> Term:
    return Term(name, line["unit_quantity"], "thousandths")


def _lesser(line: Row, priced: Step) -> list[Step]:
    """The price, and against the charge where the contract pays the lesser."""
    if not line["pricing_inputs"]["lesser_of_charge"]:
        return [priced]
    charge = Term("charge_amount", line["charge_amount"])
    return [priced, _least("allowed_amount", priced.result, charge)]


def _medicare(line: Row, _lines: Sequence[Row]) -> list[Step]:
    inputs = line["pricing_inputs"]
    parts = [
        _product(
            f"{part}_value",
            _amount(inputs, f"{part}_units", "hundredths"),
            _amount(inputs, f"{part}_index", "thousandths"),
            unit="hundred_thousandths",
        )
        for part in ("work", "expense", "malpractice")
    ]
    value = _sum(
        "relative_value", *(part.result for part in parts), unit="hundred_thousandths"
    )  # fmt: skip
    fee = _product(
        "schedule_fee_amount", value.result, _amount(inputs, "conversion_factor", "ten_thousandths")
    )
    steps = [*parts, value, fee]
    if inputs.get("cap_fee_amount") is not None:
        steps.append(_least("medicare_fee_amount", fee.result, _amount(inputs, "cap_fee_amount")))
    priced = _product(
        "priced_amount", steps[-1].result, _units(line),
        _amount(inputs, "rate_basis_points", "basis_points"),
    )  # fmt: skip
    return [*steps, *_lesser(line, priced)]


def _fee(line: Row, _lines: Sequence[Row]) -> list[Step]:
    fee = _amount(line["pricing_inputs"], "fee_amount")
    return _lesser(line, _product("priced_amount", fee, _units(line)))


def _of_charge(line: Row, _lines: Sequence[Row]) -> list[Step]:
    rate = _amount(line["pricing_inputs"], "rate_basis_points", "basis_points")
    charge = Term("charge_amount", line["charge_amount"])
    return _lesser(line, _product("priced_amount", charge, rate))


def _days(line: Row, lines: Sequence[Row]) -> list[Step]:
    """The lesser is of all days and all charges of the stay, of which the line has its part."""
    inputs = line["pricing_inputs"]
    daily = _amount(inputs, "fee_amount", said_as="daily_rate_amount")
    priced = _product("priced_amount", daily, _units(line, "day_quantity"))
    if not inputs["lesser_of_charge"]:
        return [priced]
    of_stay = {
        each["line_number"]: each["pricing_inputs"]["priced_amount"]
        for each in lines
        if each["pricing_inputs"].get("stay_charge_amount") is not None
        and each["pricing_inputs"].get("priced_amount") is not None
    }
    stay = Term("stay_priced_amount", sum(of_stay.values()))
    charges = _amount(inputs, "stay_charge_amount")
    lesser = _least("stay_amount", stay, charges)
    if lesser.result.value == stay.value:
        return [lesser, priced]
    before = sum(p for n, p in of_stay.items() if n < line["line_number"])
    through = _proportion(
        "allowed_through_amount",
        charges,
        Term("priced_through_amount", before + priced.result.value),
        stay,
    )
    if not before:
        return [priced, lesser, through]
    until = _proportion(
        "allowed_before_amount", charges, Term("priced_before_amount", before), stay
    )
    less = Term("allowed_before_amount", -until.result.value)
    return [priced, lesser, through, until, _sum("allowed_amount", through.result, less)]


def _nothing(_line: Row, _lines: Sequence[Row]) -> list[Step]:
    return []


class Method(NamedTuple):
    """How a pricing method is told: its words, the inputs it needs, its steps."""

    says: str
    needs: tuple[str, ...]
    steps: Callable[[Row, Sequence[Row]], list[Step]]


METHODS: Mapping[str, Method] = {
    "percent_of_medicare": Method(
        "{rate} of Medicare's fee for {code}, status {status_code}, at place of service "
        "{place_of_service_code} ({place}), ZIP code {zip}, locality {carrier_number}-"
        "{locality_number}; "
        "relative values from {values_start_date}, cost indexes from {indexes_start_date}",
        (
            "work_units", "expense_units", "malpractice_units", "work_index", "expense_index",
            "malpractice_index", "conversion_factor", "rate_basis_points", "status_code",
            "place_of_service_code", "carrier_number", "locality_number", "values_start_date",
            "indexes_start_date", "lesser_of_charge",
        ),
        _medicare,
    ),
    "fee_table": Method(
        "fee of {code} in table {fee_table_code}",
        ("fee_table_code", "fee_amount", "lesser_of_charge"),
        _fee,
    ),
    "percent_of_charge": Method(
        "{rate} of the charge", ("rate_basis_points", "lesser_of_charge"), _of_charge
    ),
    "per_diem": Method(
        "daily rate of {code} in table {fee_table_code}, in a stay of {days} days",
        ("fee_table_code", "fee_amount", "stay_charge_amount", "lesser_of_charge"),
        _days,
    ),
    PACKAGED: Method(
        "packaged: what is allowed for the days of the stay pays for it", (), _nothing
    ),
    "charge": Method("the charge, since its contract sets no price", (), _nothing),
}  # fmt: skip


# ---- share -----------------------------------------------------------------------------------


def share(line: Row) -> Told | None:
    """How the member's share came about, and what it counted; None where none was counted."""
    inputs = line["benefit_inputs"]
    if not inputs:
        return None
    owed = sum(line[name] for name in SHARES)
    copay, rate = inputs.get("copay_amount", 0), inputs.get("coinsurance_basis_points", 0)
    if not (copay or rate or inputs.get("deductible_applies")):
        return Told("no copay, deductible or coinsurance", owed)
    if inputs.get("waived_if_admitted"):
        return Told(
            f"the copay of {money(copay)} is waived: the member was admitted that day or the next",
            owed,
        )
    if line["pricing_method_code"] == CAPITATED and not copay:
        return Told("prepaid: no more than a copay would be owed", owed)
    if not line["allowed_amount"]:
        return Told("nothing is allowed, so nothing is owed", owed)
    steps = _copay(line, copay) if copay else _deductible_and_coinsurance(line, rate)
    return Told("", owed, tuple(steps), tuple(_counters(inputs, line["deductible_amount"], owed)))


SHARES = ("deductible_amount", "coinsurance_amount", "copay_amount")
MAXIMA = ("member_out_of_pocket_remaining", "family_out_of_pocket_remaining")


def _stopped(name: str, inputs: Row, *terms: Term, counted: int = 0) -> Step:
    """The least of the terms, and of what is left of a maximum where that stops it."""
    least = min(term.value for term in terms)
    maxima = [Term(m, inputs[m] - counted) for m in MAXIMA if m in inputs]
    return _least(name, *terms, *(m for m in maxima if m.value < least))


def _copay(line: Row, copay: int) -> list[Step]:
    inputs = line["benefit_inputs"]
    name = "visit_copay_remaining"
    due = _amount(inputs, name) if name in inputs else Term("copay_due_amount", copay)
    allowed = _amount(line, "allowed_amount")
    return [_stopped("copay_amount", inputs, due, allowed)]


def _deductible_and_coinsurance(line: Row, rate: int) -> list[Step]:
    inputs, allowed = line["benefit_inputs"], _amount(line, "allowed_amount")
    left = inputs.get("deductible_remaining", 0)
    steps, parts = [], []
    if left or not rate:
        due = Term("deductible_remaining", left)
        steps.append(_stopped("deductible_amount", inputs, due, allowed))
        parts.append(steps[-1].result)
    taken = parts[0].value if parts else 0
    if rate and taken < allowed.value:
        rest = allowed
        if taken:
            steps.append(_sum("rest_amount", allowed, Term("deductible_amount", -taken)))
            rest = steps[-1].result
        percent = Term("coinsurance_basis_points", rate, "basis_points")
        steps.append(_product("coinsurance_amount", rest, percent))
        stopped = _stopped("coinsurance_amount", inputs, steps[-1].result, counted=taken)
        if len(stopped.terms) > 1:
            steps.append(stopped)
        parts.append(steps[-1].result)
    if len(parts) > 1:
        steps.append(_sum("share_amount", *parts))
    return steps


def _counters(inputs: Row, deductible: int, owed: int) -> list[Step]:
    """What was left of each limit before the line, and after."""
    taken = {"deductible_remaining": deductible, **dict.fromkeys(MAXIMA, owed)}
    return [
        _sum(name, Term(f"{name}_before", inputs[name]), Term(f"{name}_taken", -amount))
        for name, amount in taken.items()
        if name in inputs and amount
    ]


# ---- beside payers before us -------------------------------------------------------------------


def effect_beside(inputs: Row) -> Step:
    """What payers before us took of a group's charge: all that may no longer be collected."""
    return _difference("other_payer_amount", _group(inputs, "charge"), _group(inputs, "left"))


def payment_beside(inputs: Row) -> Told:
    """How our payment of a group of lines came about beside payers before us."""
    charge, paid, left, allowed = (
        _group(inputs, name) for name in ("charge", "paid", "left", "allowed")
    )
    payment = inputs["group_payment_amount"]
    if inputs["prepaid"]:
        return Told("prepaid: nothing is paid beside them either", payment)
    if inputs["cost_share_only"]:
        share = _group(inputs, "prior_share")
        return Told("", payment, (_least("payment_amount", left, share),))
    steps = [
        _difference("unpaid_amount", charge, paid),
        _difference("alone_amount", allowed, _group(inputs, "share")),
    ]
    ceiling = allowed
    if not inputs.get("own_ceiling"):
        steps.append(_greatest("higher_amount", allowed, _group(inputs, "prior_allowed")))
        ceiling = steps[-1].result
    steps.append(_difference("above_amount", ceiling, paid))
    least = _least("payment_amount", left, *(steps[n].result for n in (0, 1, -1)))
    steps.append(least)
    if least.result.value < 0:
        steps.append(_greatest("payment_amount", least.result, Term("nothing_amount", 0)))
    return Told("", payment, tuple(steps))


def owed_beside(inputs: Row) -> Told:
    """What the member then owes of a group of lines."""
    owed = inputs["group_owed_amount"]
    if inputs["cost_share_only"]:
        return Told("nothing: we pay the cost share", owed)
    left, payment = _group(inputs, "left"), _group(inputs, "payment")
    rest = _difference("remaining_amount", left, payment)
    return Told("", owed, (rest, _least("owed_amount", rest.result, _group(inputs, "share"))))


def _group(inputs: Row, name: str) -> Term:
    said = f"prior_{name}_amount" if name == "paid" else f"{name}_amount"
    return _amount(inputs, f"group_{name}_amount", said_as=said)


def _difference(name: str, whole: Term, part: Term) -> Step:
    result = Term(name, whole.value - part.value)
    says = f"{whole} - {part} = {money(result.value)}"
    return Step("sum", (whole, Term(part.name, -part.value)), result, says)


# ---- balance ---------------------------------------------------------------------------------


def balance(line: Row, adjustments: Sequence[Row]) -> Step:
    """The charge less every adjustment, which is what is paid."""
    return _sum(
        "paid_amount",
        Term("charge_amount", line["charge_amount"]),
        *(Term(f"{a['group_code']}-{a['carc']}", -a["adjustment_amount"]) for a in adjustments),
    )


def total_paid(lines: Sequence[Row]) -> Step:
    """What is paid for a claim: the sum of its lines."""
    return _sum("paid_amount", *(Term("line_paid_amount", line["paid_amount"]) for line in lines))


def _plain(name: str) -> str:
    return name.replace("_", " ")
