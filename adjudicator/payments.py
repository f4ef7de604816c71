"""Payment cycles: which programs pay tonight, and what each payee's payment comes to.

A claim's decision is final and in the ledger the night it is made; its payment and 835 come with
the next cycle of its program. What else is owed or taken back stands in the 835 as PLB. Amounts
are cents; a PLB amount is positive where it takes money from the payment. A payee's total below
nothing pays nothing and is carried forward (PLB FB) to the payee's next payment.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import TypeVar

import polars as pl

from adjudicator.corrections import CORRECTIONS, REOPENED
from adjudicator.money import BASIS_POINTS, cents, divide_half_up, wide
from adjudicator.reference import Reference
from schemas import frames
from schemas.program import PaymentCalendar, Program, Span

BALANCE, INTEREST, CASE_MANAGEMENT = "FB", "L6", "CT"
OVERPAYMENT, OTHER = "WO", "CS"
PAYEE = ("program_code", "payee_id")

# What a payment carries beside its claims; a PLB before it has its payment
OWED = {
    "program_code": pl.String, "payee_id": pl.String, "reason_code": pl.String,
    "reference_number": pl.String, "adjustment_amount": pl.Int64,
}  # fmt: skip
BALANCES = {
    "program_code": pl.String, "payee_id": pl.String, "reference_number": pl.String,
    "balance_amount": pl.Int64,
}  # fmt: skip
CLAIMS_PAID = {
    "program_code": pl.String, "payee_id": pl.String, "payment_amount": pl.Int64,
    "claim_count": pl.Int64,
}  # fmt: skip
# in what order they stand in a payment: what was brought, what is new, what is carried
_BROUGHT, _NEW, _CARRIED = 0, 1, 2

InForce = TypeVar("InForce", bound=Span)


def in_force(terms: Sequence[InForce], day: date) -> InForce | None:
    """Those of a program's dated terms that hold on that day."""
    for each in terms:
        if each.start_date <= day and (each.end_date is None or day <= each.end_date):
            return each
    return None


def words(reason_code: str, adjustment_amount: int) -> str:
    """What a PLB says, in plain words."""
    if reason_code == BALANCE:
        return (
            "carried forward to the next payment"
            if adjustment_amount < 0
            else "brought forward from an earlier payment"
        )
    return {
        INTEREST: "interest on claims paid late",
        CASE_MANAGEMENT: "case management fee",
        OVERPAYMENT: "recovery of an overpayment",
    }.get(reason_code, "adjustment of the account")


# ---- when ------------------------------------------------------------------------------------


def is_payment_day(calendar: PaymentCalendar | None, day: date) -> bool:
    """Whether the calendar names the day; without one, or with none named, every day is."""
    if calendar is None or not (calendar.weekdays or calendar.month_days):
        return True
    month_end = monthrange(day.year, day.month)[1]
    return f"{day:%A}".lower() in calendar.weekdays or day.day in {
        min(named, month_end) for named in calendar.month_days
    }


def is_every_night(program: Program, day: date) -> bool:
    """Whether each night pays, as many as a day has."""
    calendar = in_force(program.payment_calendar, day)
    return calendar is None or not (calendar.weekdays or calendar.month_days)


def pays_tonight(
    program: Program, today: date, last_payment: date | None, waiting_since: date | None
) -> bool:
    """Whether a program pays on the night of ``today``: one of its payment days has come since
    ``last_payment``, the last it did pay on, or, before the first, since ``waiting_since``, the
    day from which money waits. A day without a run is made up for by the next night.
    """
    if is_every_night(program, today):
        return True
    # whatever began to wait did so on a night that was none of the payment days
    day, since = today, last_payment or waiting_since or today - timedelta(days=1)
    while day > since:
        if is_payment_day(in_force(program.payment_calendar, day), day):
            return True
        day -= timedelta(days=1)
    return False


def months_due(today: date, last_payment: date | None) -> list[date]:
    """First days of the months whose fees are due tonight: those that have ended since the last
    payment; before the first payment the one before this."""
    month = today.replace(day=1)
    first = last_payment.replace(day=1) if last_payment else _month_before(month)
    out = []
    while first < month:
        out.append(first)
        first = first.replace(day=monthrange(first.year, first.month)[1]) + timedelta(days=1)
    return out


def _month_before(month: date) -> date:
    return (month - timedelta(days=1)).replace(day=1)


# ---- what is owed beside claims --------------------------------------------------------------


def clients(reference: Reference, program_code: str, month: date) -> pl.DataFrame:
    """One row a client of the month: member, payee and provider of the practice, funding source
    where the file names one; by payee and member.

    A client has coverage by the program and a primary care provider on one day of the month at
    least; the practice is that of his last such day, who is paid for the provider that day.
    """
    last = month.replace(day=monthrange(month.year, month.month)[1])
    covered = reference.tables["coverage"].filter(program_code=program_code)
    spans = (
        _within(reference.tables["primary_care"], month, last)
        .join(
            _within(covered, month, last).select("member_id", _from="_from", _until="_until"),
            on="member_id",
            suffix="_covered",
        )
        .with_columns(
            _from=pl.max_horizontal("_from", "_from_covered"),
            _until=pl.min_horizontal("_until", "_until_covered"),
        )
        .filter(pl.col("_from") <= pl.col("_until"))
        .sort("member_id", "_until", "_from", "provider_id")
        .unique("member_id", keep="last", maintain_order=True)
    )
    providers = reference.tables["providers"].select(
        "provider_id", "payee_id", "start_date", "end_date"
    )
    return (
        spans.select("member_id", "provider_id", "funding_source_code", day="_until")
        .join(providers, on="provider_id")
        .filter(
            (pl.col("start_date") <= pl.col("day"))
            & (pl.col("end_date").is_null() | (pl.col("end_date") >= pl.col("day")))
        )
        .select("member_id", "payee_id", "provider_id", "funding_source_code")
        .sort("payee_id", "member_id")
    )


def _within(table: pl.DataFrame, first: date, last: date) -> pl.DataFrame:
    """The rows in force on a day of the span, with their first and last day in it."""
    return table.with_columns(
        _from=pl.max_horizontal("start_date", pl.lit(first)),
        _until=pl.min_horizontal(pl.col("end_date").fill_null(last), pl.lit(last)),
    ).filter(pl.col("_from") <= pl.col("_until"))


def case_management(reference: Reference, program: Program, months: Iterable[date]) -> pl.DataFrame:
    """The fees of these months, a row a payee, month and funding source (OWED)."""
    out = [pl.DataFrame(schema=OWED)]
    for month in months:
        terms = in_force(program.case_management, month)
        if terms is None:
            continue
        source = pl.col("funding_source_code").fill_null(terms.funding_source_code)
        out.append(
            clients(reference, program.program_code, month)
            .group_by("payee_id", source=source)
            .agg(count=pl.len().cast(pl.Int64))
            .sort("payee_id", "source")
            .select(
                pl.lit(program.program_code).alias("program_code"),
                "payee_id",
                pl.lit(CASE_MANAGEMENT).alias("reason_code"),
                pl.format(f"{terms.reason_number}-{{}}-{month:%Y%m}", "source").alias(
                    "reference_number"
                ),
                (-pl.col("count") * terms.monthly_amount).alias("adjustment_amount"),
            )
        )
    return pl.concat(out)


def interest(claims: pl.DataFrame, programs: Mapping[str, Program], today: date) -> pl.DataFrame:
    """What is paid beside claims that are paid tonight and late: ``claim_id``, program, payee and
    ``interest_amount``, above nothing, by claim.

    ``claims``: claim_id, program_code, payee_id, received_date, frequency_code (REOPENED of one
    that we opened ourselves), paid_amount. None on what corrects another claim [judgement].
    """
    out = [
        claims.select("claim_id", *PAYEE, interest_amount=pl.col("paid_amount")).clear(),
    ]
    for code, program in programs.items():
        terms = in_force(program.interest, today)
        if terms is None:
            continue
        late = (pl.lit(today) - pl.col("received_date")).dt.total_days() - terms.after_days
        earned = divide_half_up(
            wide(pl.col("paid_amount")) * terms.annual_rate_basis_points * late,
            BASIS_POINTS * terms.days_a_year,
        )
        out.append(
            claims.filter(
                pl.col("program_code") == code,
                pl.col("paid_amount") > 0,
                late > 0,
                ~pl.col("frequency_code").is_in((*CORRECTIONS, REOPENED)).fill_null(value=False),
            )
            .select("claim_id", *PAYEE, interest_amount=cents(earned))
            .filter(pl.col("interest_amount") > 0)
        )
    return pl.concat(out).sort("claim_id")


def interest_owed(of_claims: pl.DataFrame) -> pl.DataFrame:
    """``interest`` as PLB, a row a payee (OWED); which claim earned what stands beside each."""
    return (
        of_claims.group_by(PAYEE)
        .agg(adjustment_amount=-pl.col("interest_amount").sum())
        .sort(PAYEE)
        .select(
            *PAYEE,
            pl.lit(INTEREST).alias("reason_code"),
            pl.lit(None, pl.String).alias("reference_number"),
            "adjustment_amount",
        )
    )


# ---- what a payment comes to -----------------------------------------------------------------


def payees_due(
    claims: pl.DataFrame, owed: pl.DataFrame, balances: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Each payee's payment, and what it carries beside claims: (CLAIMS_PAID, OWED with
    ``sequence_number``), by program and payee.

    ``claims``: what the cycle's claims come to, reversals counted in; ``owed``: PLB of this cycle;
    ``balances``: what earlier payments carried forward, negative, with the trace number of the
    payment that did. It is brought as soon as there is something to set it off against, taken
    away or given (RFI 738), and put together with what is still below nothing: a payee has one
    balance at most. A payment that carries forward has no ``reference_number`` of its own yet:
    it is the payment's trace number (``provider_adjustments``).
    """
    if owed.is_empty() and balances.is_empty() and not (claims["payment_amount"] < 0).any():
        return claims, pl.DataFrame(schema={**OWED, "sequence_number": pl.Int64})
    sums = owed.group_by(PAYEE).agg(_owed=pl.col("adjustment_amount").sum())
    whole = (
        claims.join(sums, on=PAYEE, how="full", coalesce=True)
        .with_columns(pl.col("payment_amount", "claim_count", "_owed").fill_null(0))
        .with_columns(_total=pl.col("payment_amount") - pl.col("_owed"))
        .join(balances, on=PAYEE, how="left")
        .with_columns(
            _brought=pl.when(pl.col("_total") != 0)
            .then("balance_amount")
            .otherwise(None)
            .fill_null(0)
        )
        .with_columns(_total=pl.col("_total") + pl.col("_brought"))
        .sort(PAYEE)
    )
    brought = whole.filter(pl.col("_brought") != 0).select(
        *PAYEE,
        pl.lit(BALANCE).alias("reason_code"),
        "reference_number",
        adjustment_amount=-pl.col("_brought"),
        _place=pl.lit(_BROUGHT),
    )
    carried = whole.filter(pl.col("_total") < 0).select(
        *PAYEE,
        pl.lit(BALANCE).alias("reason_code"),
        pl.lit(None, pl.String).alias("reference_number"),
        adjustment_amount="_total",
        _place=pl.lit(_CARRIED),
    )
    beside = (
        pl.concat([brought, owed.with_columns(_place=pl.lit(_NEW)), carried])
        .sort(*PAYEE, "_place", maintain_order=True)
        .with_columns(sequence_number=pl.int_range(1, pl.len() + 1, dtype=pl.Int64).over(PAYEE))
        .drop("_place")
    )
    due = whole.select(
        *PAYEE, payment_amount=pl.max_horizontal("_total", pl.lit(0)), claim_count="claim_count"
    )
    return due, beside


def provider_adjustments(payments: pl.DataFrame, beside: pl.DataFrame) -> pl.DataFrame:
    """``beside`` of ``payees_due`` as RemittanceProviderAdjustments of the numbered payments.

    PLB02 is the end of the calendar year: no payee's fiscal year is known [judgement].
    """
    schema = frames.empty(frames.RemittanceProviderAdjustments).schema
    return (
        beside.join(payments.select(*PAYEE, "payment_id", "trace_number", "payment_date"), on=PAYEE)
        .with_columns(
            reference_number=pl.when(
                (pl.col("reason_code") == BALANCE) & (pl.col("adjustment_amount") < 0)
            )
            .then("trace_number")
            .otherwise("reference_number"),
            fiscal_date=pl.date(pl.col("payment_date").dt.year(), 12, 31),
        )
        .sort("payment_id", "sequence_number")
        .select(schema.names())
        .cast(schema)
    )


def balances(forwards: pl.DataFrame) -> pl.DataFrame:
    """What each payee's last payment with a forwarding balance left to be brought (BALANCES).

    ``forwards``: every FB ever paid: program, payee, payment_id, reference_number and
    adjustment_amount.
    """
    latest = pl.col("payment_id") == pl.col("payment_id").max().over(PAYEE)
    return (
        forwards.filter(latest)
        .filter(pl.col("adjustment_amount") < 0)
        .select(*PAYEE, "reference_number", balance_amount="adjustment_amount")
        .sort(PAYEE)
    )
