"""What a night pays: from the store and tonight's decisions, for the programs whose day it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date

import polars as pl
from sqlalchemy import Connection

from adjudicator import payments as rules
from adjudicator import store
from adjudicator.corrections import REOPENED
from adjudicator.in_parts import Decided
from adjudicator.payments import CLAIMS_PAID, PAYEE
from adjudicator.pipeline import Batch
from adjudicator.reference import Reference
from adjudicator.remittance import (
    FINAL,
    Remittance,
    nothing_remitted,
    payees_to_pay,
    payments_due,
)
from schemas import frames

# what the ledger calls money beside claims
KINDS = {rules.INTEREST: "interest", rules.CASE_MANAGEMENT: "case_management"}
ADJUSTMENT = "adjustment"
ENTRIES = {
    "claim_id": pl.Int64, "payment_id": pl.Int64, "payee_id": pl.String,
    "program_code": pl.String, "kind": pl.String, "entry_amount": pl.Int64,
}  # fmt: skip


class PaymentError(Exception):
    """A payment can't be made: the message names payee, cause and mend."""


@dataclass(frozen=True)
class Cycle:
    """The payments of a night, and how far each program that pays has then paid.

    ``payments``: one row a payment. ``provider_adjustments``: their PLB. ``interest``: what is
    paid beside claims. ``waited``: what 835s say of claims decided on earlier nights and paid
    now, with ``payment_id``. ``waits``: payees of claims decided tonight whose program does not
    pay yet. ``entries``: tonight's money beside claims, for the ledger.
    """

    programs: tuple[str, ...]
    payments: pl.DataFrame
    provider_adjustments: pl.DataFrame
    interest: pl.DataFrame
    waited: Mapping[str, pl.DataFrame]
    waits: pl.DataFrame
    entries: pl.DataFrame
    last: Mapping[str, store.LastCycle]
    last_act: int
    waiting_amount: int  # of programs that don't pay tonight, with what is decided tonight

    def figures(self) -> dict[str, int] | None:
        """What tonight's payments come to; none where they are just tonight's claims."""
        if not (self.provider_adjustments.height or self.waited or self.waiting_amount):
            return None
        amount = {
            reason: int(of["adjustment_amount"].sum())
            for (reason,), of in self.provider_adjustments.group_by("reason_code")
            if reason != rules.BALANCE
        }
        balance = self.provider_adjustments.filter(reason_code=rules.BALANCE)["adjustment_amount"]
        return {
            "payment_amount": int(self.payments["payment_amount"].sum()),
            "waiting_amount": self.waiting_amount,
            "brought_forward_amount": int(balance.filter(balance > 0).sum()),
            "carried_forward_amount": -int(balance.filter(balance < 0).sum()),
            "interest_amount": -amount.pop(rules.INTEREST, 0),
            "case_management_amount": -amount.pop(rules.CASE_MANAGEMENT, 0),
            "recovered_amount": sum(amount.values()),
        }


def open_cycle(
    connection: Connection, batch: Batch, reference: Reference, ledger_head: int
) -> Cycle:
    """Tonight's payments, numbered, in the transaction of the night.

    A program pays where its calendar says so; then all that it owes, whatever night decided it.
    Raises PaymentError where a payee who is owed is no longer in the payees table.
    """
    today = reference.business_date
    last = store.last_cycles(connection)
    waiting = store.waiting_entries(connection, list(reference.programs), last, ledger_head)
    since: dict[str, date] = {}
    for code, day in waiting.select("program_code", "business_date").rows():
        since[code] = min(day, since.get(code, day))
    pays = tuple(
        code
        for code, program in reference.programs.items()
        if rules.pays_tonight(
            program, today, last[code].payment_date if code in last else None, since.get(code)
        )
    )
    decided = payees_to_pay(batch) if batch.decisions.height else pl.DataFrame(schema=CLAIMS_PAID)
    is_due = pl.col("program_code").is_in(pays)
    claims, waits, waited = decided, decided.clear(), waiting
    if len(pays) < len(reference.programs):
        claims, waits, waited = (
            decided.filter(is_due), decided.filter(~is_due), waiting.filter(is_due),
        )  # fmt: skip
    if waited.height:
        claims = (
            pl.concat([claims, waited.select(list(CLAIMS_PAID))])
            .group_by(PAYEE)
            .agg(pl.col("payment_amount", "claim_count").sum())
            .sort(PAYEE)
        )
    kept = {}
    if waited.height:
        kept = store.waiting_remittance(connection, waited)
    last_act = max([0, *(cycle.last_adjustment_number for cycle in last.values())])
    interest = _interest(connection, batch, reference, pays, kept)
    owed, balances = [], pl.DataFrame(schema=rules.BALANCES)
    if not store.is_plain(connection):
        acts = store.acts_waiting(connection, last)
        last_act = max([last_act, *acts["adjustment_number"]])
        owed.append(acts.filter(is_due).select(list(rules.OWED)))
        balances = rules.balances(store.forwards(connection).filter(is_due))
    if interest.height:
        owed.append(rules.interest_owed(interest))
    for code in pays:
        if reference.programs[code].case_management:
            months = rules.months_due(today, last[code].payment_date if code in last else None)
            if months:
                owed.append(rules.case_management(reference, reference.programs[code], months))
    beside = pl.concat(owed) if owed else pl.DataFrame(schema=rules.OWED)
    due, beside = rules.payees_due(claims, beside, balances)
    first = store.take_numbers(connection, "payment", due.height)
    payments = payments_due(due, reference, first, today)
    _refuse_lost(due, payments)
    if waits.height:
        _refuse_lost(waits, waits.join(reference.tables["payees"], on="payee_id", how="semi"))
    adjustments = (
        rules.provider_adjustments(payments, beside)
        if beside.height
        else frames.empty(frames.RemittanceProviderAdjustments)
    )
    of_payee = payments.select("payment_id", *PAYEE)
    kept = _in_payments(kept, of_payee)
    not_due = int(waits["payment_amount"].sum())
    not_due += int(waiting["payment_amount"].sum()) - int(waited["payment_amount"].sum())
    return Cycle(
        pays, payments, adjustments, interest, kept, waits,
        _entries(adjustments, interest, of_payee), last, last_act, not_due,
    )  # fmt: skip


def kept_cycle(connection: Connection, run_id: int, reference: Reference) -> Cycle:
    """The payments of a committed night as the store kept them, to be rendered again: no number is
    taken, and what the night left to wait is not told.

    ``reference`` is the one that the night was done with. Raises PaymentError where a payment is
    none of its programs' and payees'.
    """
    due = store.payments_of(connection, run_id)
    first = due["payment_id"][0] if due.height else 1
    payments = payments_due(due.drop("payment_id"), reference, first, reference.business_date)
    of_payee = payments.select("payment_id", *PAYEE)
    if not of_payee.equals(due.select("payment_id", *PAYEE)):
        raise PaymentError(
            "a payment of the night is of no program or payee that it was done with; restore the "
            "store from the backup"
        )
    waited = store.nights_paid(connection, run_id)
    kept = store.waiting_remittance(connection, waited) if waited.height else {}
    nobody = pl.DataFrame(schema=CLAIMS_PAID)
    return Cycle(
        (), payments, store.provider_adjustments_of(connection, [run_id]),
        store.interest_of(connection, run_id), _in_payments(kept, of_payee), nobody,
        pl.DataFrame(schema=ENTRIES), {}, 0, 0,
    )  # fmt: skip


def _in_payments(
    kept: Mapping[str, pl.DataFrame], of_payee: pl.DataFrame
) -> dict[str, pl.DataFrame]:
    """What was kept of claims that waited, with the payment that it is in now."""
    return {
        name: frame.drop("payment_id").join(of_payee, on=PAYEE, maintain_order="left")
        for name, frame in kept.items()
    }


def remittances(
    cycle: Cycle, decided: Decided, reference: Reference, originals: Batch | None = None
) -> Iterator[Remittance]:
    """The 835s of the night, some payments at a time: tonight's claims and those that waited.
    ``originals``: the claims that are reversed tonight (``reversed_claims``)."""
    if decided.whole.decisions.is_empty():
        yield _with_waited(cycle, nothing_remitted(cycle.payments))
        return
    for written in decided.remit(cycle.payments, reference, originals):
        yield _with_waited(cycle, written)


def _with_waited(cycle: Cycle, written: Remittance) -> Remittance:
    """The remittances of some of the cycle's payments with all else that is paid by them."""
    waited, beside = cycle.waited, cycle.provider_adjustments
    if written.payments.height < cycle.payments.height:
        is_here = pl.col("payment_id").is_in(written.payments["payment_id"].implode())
        waited = {name: frame.filter(is_here) for name, frame in waited.items()}
        beside = beside.filter(is_here)
    claims, lines, adjustments = written.claims, written.lines, written.adjustments
    if waited:
        claims, lines, adjustments = (
            pl.concat([waited[name].select(frame.columns), frame])
            for name, frame in (("claims", claims), ("lines", lines), ("adjustments", adjustments))
        )
        claims = claims.sort("payment_id", "claim_id", "reversal_code", maintain_order=True)
    if cycle.interest.height:
        earned = cycle.interest.select("claim_id", "interest_amount", reversal_code=pl.lit("N"))
        claims = (
            claims.drop("interest_amount")
            .join(earned, on=("claim_id", "reversal_code"), how="left", maintain_order="left")
            .select(written.claims.columns)
        )
    return Remittance(written.payments, claims, lines, adjustments, beside)


def keep_cycle(
    connection: Connection, run_id: int, cycle: Cycle, decided: Decided, reference: Reference,
    originals: Batch | None = None,
) -> None:  # fmt: skip
    """Writes what the night paid beside claims, and what waits for another night. The payments
    and the ledger's entries of claims are there."""
    if cycle.waits.height:
        # numbers of their own, only to tie claims to payees: the payments' come with their cycle
        tie = payments_due(cycle.waits, reference, 1, reference.business_date)
        of_payee = tie.select("payment_id", *PAYEE)
        for kept in decided.remit(tie, reference, originals):
            frames_kept = (kept.claims, kept.lines, kept.adjustments)
            claims, lines, adjustments = (
                frame.join(of_payee, on="payment_id", maintain_order="left")
                for frame in frames_kept
            )
            store.insert_waiting(
                connection, run_id, claims=claims, lines=lines, adjustments=adjustments
            )
    if cycle.waited:
        paid = cycle.waited["claims"].filter(reversal_code="N").select("claim_id", "payment_id")
        store.update_claims(connection, paid)
    store.insert_cycles(
        connection, run_id, reference.business_date, cycle.programs, cycle.last, cycle.last_act,
        cycle.provider_adjustments, cycle.entries,
    )  # fmt: skip


def _interest(
    connection: Connection, batch: Batch, reference: Reference, pays: tuple[str, ...],
    kept: Mapping[str, pl.DataFrame],
) -> pl.DataFrame:  # fmt: skip
    programs = {c: p for c, p in reference.programs.items() if c in pays and p.interest}
    columns = {
        "claim_id": pl.Int64, **dict.fromkeys(PAYEE, pl.String), "received_date": pl.Date,
        "frequency_code": pl.String, "paid_amount": pl.Int64,
    }  # fmt: skip
    found = [pl.DataFrame(schema=columns)]
    if not programs:
        return found[0].select("claim_id", *PAYEE, interest_amount="paid_amount")
    if batch.decisions.height:
        found.append(
            batch.decisions.filter(pl.col("disposition").is_in(FINAL))
            .select("claim_id", "paid_amount")
            .join(batch.claims, on="claim_id")
            .select(list(columns))
        )
    reopened = batch.reopened["claim_id"]
    if kept:
        reopened = pl.concat([reopened, store.reopened_claims(connection)])
        found.append(kept["claims"].filter(reversal_code="N").select(list(columns)))
    claims = pl.concat(found)
    if len(reopened):
        claims = claims.with_columns(
            frequency_code=pl.when(pl.col("claim_id").is_in(reopened.implode()))
            .then(pl.lit(REOPENED))
            .otherwise("frequency_code")
        )
    return rules.interest(claims, programs, reference.business_date)


def _entries(
    adjustments: pl.DataFrame, interest: pl.DataFrame, of_payee: pl.DataFrame
) -> pl.DataFrame:
    """The ledger's entries of tonight's PLB; balances only move between payments."""
    if adjustments.is_empty():
        return pl.DataFrame(schema=ENTRIES)
    beside = (
        adjustments.filter(~pl.col("reason_code").is_in([rules.BALANCE, rules.INTEREST]))
        .join(of_payee, on="payment_id", maintain_order="left")
        .select(
            pl.lit(None, pl.Int64).alias("claim_id"), "payment_id", "payee_id", "program_code",
            kind=pl.col("reason_code").replace_strict(KINDS, default=ADJUSTMENT),
            entry_amount=-pl.col("adjustment_amount"),
        )
    )  # fmt: skip
    earned = interest.join(of_payee, on=PAYEE, maintain_order="left").select(
        "claim_id", "payment_id", "payee_id", "program_code",
        kind=pl.lit(KINDS[rules.INTEREST]), entry_amount="interest_amount",
    )  # fmt: skip
    return pl.concat([beside, earned])


def _refuse_lost(owed: pl.DataFrame, paid: pl.DataFrame) -> None:
    if owed.height != paid.height:
        lost = owed.join(paid, on=PAYEE, how="anti").sort(PAYEE)["payee_id"][0]
        raise PaymentError(
            f"payee {lost} is owed money and is not in the payees table; nothing is committed: "
            "load the payee again and run again"
        )
