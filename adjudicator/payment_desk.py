"""What people see of payments, and what they enter on a payee's account.

An act on an account is a row of data and a row of the audit trail; the next cycle of its program
takes it into the payee's payment.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

import polars as pl
from sqlalchemy import Connection

from adjudicator import store
from adjudicator.arithmetic import money
from adjudicator.desk import WIDTH, DeskError, filled, said
from adjudicator.payments import BALANCE, OTHER, OVERPAYMENT, balances, words
from adjudicator.reports.text import counted
from schemas.frames import CENTS_LIMIT
from schemas.program import Program

REFERENCE_LIMIT = 30
REASONS = (OVERPAYMENT, OTHER)
PAYMENT = {
    "payment_id": pl.Int64, "run_id": pl.Int64, "program_code": pl.String, "payee_id": pl.String,
    "trace_number": pl.String, "payment_method_code": pl.String, "payment_date": pl.Date,
    "payment_amount": pl.Int64, "file_name": pl.String,
}  # fmt: skip


@dataclass(frozen=True)
class Act:
    """What was entered on a payee's account, for its program's next cycle."""

    adjustment_number: int
    program_code: str
    payee_id: str
    reason_code: str
    reference_number: str
    adjustment_amount: int
    made_date: str
    made_by: str
    note: str

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def as_text(self) -> str:
        verb = "taken from" if self.adjustment_amount > 0 else "added to"
        return filled(
            f"payee {self.payee_id}, {self.program_code}: {money(abs(self.adjustment_amount))} is "
            f"{verb} its next payment (PLB {self.reason_code}:{self.reference_number}, "
            f"{words(self.reason_code, self.adjustment_amount)}; {self.made_by}, {self.made_date})"
        )


def amount_of(text: str) -> int:
    """Dollars and cents as cents: ``1250``, ``1,250.5``, ``-40.00``. Raises DeskError."""
    match = re.fullmatch(r"(-?)(\d{1,3}(?:,\d{3})+|\d+)(?:\.(\d{1,2}))?", text.strip())
    if match is None:
        raise DeskError(f"{text!r} is not an amount; write it as 1250.00")
    cents = int(match[2].replace(",", "")) * 100 + int((match[3] or "").ljust(2, "0"))
    return -cents if match[1] else cents


def adjust(
    connection: Connection, payee_id: str, amount: int, *, reason: str, note: str, who: str,
    made: date, programs: Mapping[str, Program], payees: pl.DataFrame, contracts: pl.DataFrame,
    program_code: str | None = None, reference: str | None = None, recorded_at: str | None = None,
) -> Act:  # fmt: skip
    """Enters an amount on a payee's account: positive, it is taken from its next payments until
    all is recovered.

    Raises DeskError for an unknown payee or program, a reason other than WO or CS, an
    amount of nothing, a WO that gives, or a note, name or reference that can't be kept.
    """
    note, who = said(note, who)
    reason = reason.strip().upper()
    if reason not in REASONS:
        raise DeskError(
            f"--reason {reason!r}: give {OVERPAYMENT} (recovery of an overpayment) or "
            f"{OTHER} (another adjustment)"
        )
    if reference is not None and not re.fullmatch(
        rf"[0-9A-Za-z][0-9A-Za-z./-]{{0,{REFERENCE_LIMIT - 1}}}", reference
    ):
        raise DeskError(
            f"--reference must be 1 to {REFERENCE_LIMIT} letters, digits, dots, slashes or hyphens"
        )
    if not 0 < abs(amount) <= CENTS_LIMIT:
        raise DeskError("the amount must be more than nothing, and at most 99,999,999.99")
    if reason == OVERPAYMENT and amount < 0:
        raise DeskError(f"{OVERPAYMENT} takes money; to give some use --reason {OTHER}")
    if payees.filter(payee_id=payee_id).is_empty():
        raise DeskError(f"payee {payee_id!r} is not in the payees table; check its id")
    program = _program(payee_id, program_code, programs, contracts)
    number = store.insert_act(
        connection, program_code=program, payee_id=payee_id, reason_code=reason,
        reference_number=reference, adjustment_amount=amount, made_date=made, made_by=who,
        note=note, recorded_at=recorded_at,
    )  # fmt: skip
    return Act(
        number, program, payee_id, reason, reference or store.act_reference(number), amount,
        made.isoformat(), who, note,
    )  # fmt: skip


def _program(
    payee_id: str, wanted: str | None, programs: Mapping[str, Program], contracts: pl.DataFrame
) -> str:
    if wanted is not None:
        if wanted not in programs:
            raise DeskError(f"--program {wanted!r}: give one of {', '.join(programs)}")
        return wanted
    of_payee: list[str] = contracts.filter(payee_id=payee_id)["program_code"].to_list()
    known = sorted(set(of_payee) & set(programs)) or list(programs)
    if len(known) != 1:
        raise DeskError(f"payee {payee_id}: name --program, one of {', '.join(known)}")
    return known[0]


# ---- the list --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Listed:
    """Payments, the last first, and what stands open beside them."""

    payments: list[dict[str, Any]]
    balances: list[dict[str, Any]]
    acts_waiting: list[dict[str, Any]]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def payments_list(
    connection: Connection, *, payee_id: str | None = None, program_code: str | None = None,
    run_id: int | None = None,
) -> Listed:  # fmt: skip
    """Every payment of the store, or of one payee, program or night: what it brought forward,
    paid and carried forward. With them the balances that no payment has brought yet, and acts
    on accounts that wait for the next cycle."""
    of_account = pl.lit(value=True)
    if payee_id is not None:
        of_account &= pl.col("payee_id") == payee_id
    if program_code is not None:
        of_account &= pl.col("program_code") == program_code
    found = _payments(connection).filter(of_account)
    if run_id is not None:
        found = found.filter(run_id=run_id)
    forwards = store.forwards(connection).filter(of_account)
    amount = pl.col("adjustment_amount")
    moved = forwards.group_by("payment_id").agg(
        brought_forward_amount=amount.filter(amount > 0).sum(),
        carried_forward_amount=-amount.filter(amount < 0).sum(),
    )
    shown = (
        found.join(moved, on="payment_id", how="left")
        .with_columns(pl.col("brought_forward_amount", "carried_forward_amount").fill_null(0))
        .sort("payment_id", descending=True)
    )
    return Listed(
        _told(shown),
        _told(balances(forwards)),
        _told(store.acts_waiting(connection, store.last_cycles(connection)).filter(of_account)),
    )


def list_as_text(found: Listed) -> str:
    """At 80 columns, but for payees and programs whose keys are long."""
    payee = max([5, *(len(p["payee_id"]) for p in found.payments)])
    program = max([7, *(len(p["program_code"]) for p in found.payments)])
    out = [
        f"{'trace':<9}  {'date':<10}  {'program':<{program}}  {'payee':<{payee}}"
        f"{'brought':>12}{'carried':>12}{'paid':>12}"
    ]
    out += [
        f"{p['trace_number']:<9}  {p['payment_date']}  {p['program_code']:<{program}}  "
        f"{p['payee_id']:<{payee}}{_or_dash(p['brought_forward_amount']):>12}"
        f"{_or_dash(p['carried_forward_amount']):>12}{money(p['payment_amount']):>12}"
        for p in found.payments
    ]
    total = sum(p["payment_amount"] for p in found.payments)
    out += ["", f"{counted(len(found.payments), 'payment')}, {money(total)}"]
    out += [
        filled(
            f"payee {b['payee_id']}, {b['program_code']}: {money(-b['balance_amount'])} is carried "
            f"forward from payment {b['reference_number']} to its next one"
        )
        for b in found.balances
    ]
    out += [
        filled(
            f"payee {a['payee_id']}, {a['program_code']}: PLB {a['reason_code']}:"
            f"{a['reference_number']} of {money(a['adjustment_amount'])} waits for the next cycle"
        )
        for a in found.acts_waiting
    ]
    return "\n".join(line.rstrip() for line in out)


def _or_dash(amount: int) -> str:
    return money(amount) if amount else "-"


# ---- one payment -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Shown:
    """A payment as data: what it is, what its claims come to, and what it carries beside them."""

    payment: dict[str, Any]
    claims: list[dict[str, Any]]
    claims_amount: int
    beside: list[dict[str, Any]]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def payments_show(connection: Connection, number: str) -> Shown:
    """The payment of a trace number (or payment number): its claims and its PLB.

    Raises DeskError where there is none.
    """
    every = _payments(connection)
    wanted = int(number) if number.isdecimal() and len(number) < 18 else -1
    found = every.filter((pl.col("trace_number") == number) | (pl.col("payment_id") == wanted))
    if found.is_empty():
        raise DeskError(f"no payment {number!r}; `adjudicate payments list` names those there are")
    [payment] = _told(found.head(1))
    runs = [payment["run_id"]]
    entries = store.entries_of(connection, runs).filter(
        pl.col("payment_id") == payment["payment_id"], pl.col("claim_id").is_not_null(),
        pl.col("kind") != "interest",
    )  # fmt: skip
    ids = store.wanted_keys(connection, "int", entries["claim_id"])
    numbers = store.read_frame(
        connection,
        f"SELECT c.claim_id, c.claim_number FROM {ids} AS w CROSS JOIN claim AS c "
        "WHERE c.claim_id = w.key",
        {"claim_id": pl.Int64, "claim_number": pl.String},
    )
    claims = entries.join(numbers, on="claim_id").select(
        "claim_number", "kind", paid_amount="entry_amount"
    )
    beside = (
        store.provider_adjustments_of(connection, runs)
        .filter(payment_id=payment["payment_id"])
        .select("reason_code", "reference_number", "adjustment_amount")
    )
    return Shown(
        payment,
        _told(claims.sort("claim_number", "kind")),
        int(claims["paid_amount"].sum()),
        [
            {**row, "words": words(row["reason_code"], row["adjustment_amount"])}
            for row in beside.to_dicts()
        ],
    )


def show_as_text(shown: Shown) -> str:
    """At 80 columns: the claims, what is taken and given beside them, what is paid."""
    p = shown.payment
    out = [
        filled(
            f"Payment {p['trace_number']} of {p['payment_date']} to payee {p['payee_id']}, "
            f"{p['program_code']} ({p['payment_method_code']}), in {p['file_name']}"
        ),
        "",
        *(f"  {c['claim_number']:<44}{money(c['paid_amount']):>18}" for c in shown.claims),
        f"  {counted(len(shown.claims), 'claim'):<44}{money(shown.claims_amount):>18}",
    ]
    for row in shown.beside:
        reference = row["reference_number"]
        if row["reason_code"] == BALANCE and row["adjustment_amount"] > 0:
            told = f"brought forward from payment {reference}"
        else:
            told = f"{row['words']}{f' ({reference})' if reference else ''}"
        lead = f"PLB {row['reason_code']}  {told}"
        out.append(f"  {lead:<60}{money(-row['adjustment_amount']):>18}"[:WIDTH])
    out.append(f"  {'paid':<44}{money(p['payment_amount']):>18}")
    return "\n".join(out)


# ---- helpers ---------------------------------------------------------------------------------


def _payments(connection: Connection) -> pl.DataFrame:
    return store.read_frame(connection, f"SELECT {', '.join(PAYMENT)} FROM payment", PAYMENT)


def _told(frame: pl.DataFrame) -> list[dict[str, Any]]:
    return frame.with_columns(pl.col(pl.Date).cast(pl.String)).to_dicts()
