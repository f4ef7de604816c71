"""Payments as pure functions over frames, and the books over any run of nights."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from sqlalchemy import Connection, Engine

from adjudicator import payments as rules
from adjudicator import store
from adjudicator.in_parts import Decided
from adjudicator.payment_cycle import PaymentError, keep_cycle, open_cycle, remittances
from adjudicator.pipeline import Batch
from adjudicator.programs import load_programs
from adjudicator.reference import Reference
from edi.balance import check_835, check_forwards
from edi.write_835 import write_835
from schemas import frames
from schemas.program import PaymentCalendar, Program
from tests import build
from tests.test_store import claims as stored_claims

HISTORIES = int(os.environ.get("PAYMENT_HISTORIES", "15"))
WEEKLY: dict[str, Any] = {"start_date": date(2024, 1, 1), "weekdays": ["wednesday"],
                          "judgement": True}  # fmt: skip
MONTHLY: dict[str, Any] = {"start_date": date(2024, 1, 1), "month_days": [15, 31],
                           "judgement": True}  # fmt: skip
WEDNESDAY = date(2025, 11, 5)


def paying(*calendar: dict[str, Any], **more: Any) -> Program:
    return build.program(payment_calendar=calendar, **more)


# ---- when ------------------------------------------------------------------------------------


def test_the_shipped_programs_pay_every_night() -> None:
    for program in load_programs().values():
        [calendar] = program.payment_calendar
        assert calendar.judgement
        for ahead in range(8):
            day = WEDNESDAY + timedelta(days=ahead)
            assert rules.pays_tonight(program, day, day, None)  # twice a day, too


@pytest.mark.parametrize(
    ("today", "last", "waiting", "pays"),
    [
        ("2025-11-05", "2025-10-29", None, True),  # a Wednesday after a Wednesday
        ("2025-11-04", "2025-10-29", None, False),
        ("2025-11-06", "2025-10-29", None, True),  # Wednesday had no run
        ("2025-11-06", "2025-11-05", None, False),
        ("2025-11-05", "2025-11-05", None, False),  # a second run of the day
        ("2025-11-11", "2025-11-05", None, False),
        ("2025-12-30", "2025-11-05", None, True),  # seven payment days without a run: one payment
        ("2025-11-05", None, None, True),
        ("2025-11-06", None, None, False),  # nothing waited for Wednesday
        ("2025-11-06", None, "2025-11-04", True),
        ("2025-11-06", None, "2025-11-06", False),
        ("2025-11-04", "2025-11-05", None, False),  # a night of an earlier day
    ],
)
def test_a_week_pays_once_on_its_day_or_after(
    today: str, last: str | None, waiting: str | None, pays: bool
) -> None:
    def day(text: str | None) -> date | None:
        return date.fromisoformat(text) if text else None

    tonight = date.fromisoformat(today)
    assert rules.pays_tonight(paying(WEEKLY), tonight, day(last), day(waiting)) == pays


def test_days_of_the_month_end_with_the_month() -> None:
    calendar = PaymentCalendar.model_validate(MONTHLY)
    days = [date(2026, 1, 1) + timedelta(days=n) for n in range(90)]
    assert [d for d in days if rules.is_payment_day(calendar, d)] == [
        date(2026, 1, 15), date(2026, 1, 31), date(2026, 2, 15), date(2026, 2, 28),
        date(2026, 3, 15), date(2026, 3, 31),
    ]  # fmt: skip


def test_each_day_is_told_by_the_calendar_in_force_on_it() -> None:
    # Wednesdays until the ninth, then Fridays: the fourteenth is the first of them
    until = {**WEEKLY, "end_date": date(2025, 11, 9)}
    then = {**WEEKLY, "start_date": date(2025, 11, 10), "weekdays": ["friday"]}
    program = paying(until, then)
    assert not rules.pays_tonight(program, date(2025, 11, 12), WEDNESDAY, None)
    assert rules.pays_tonight(program, date(2025, 11, 14), WEDNESDAY, None)
    assert rules.pays_tonight(program, date(2025, 11, 11), date(2025, 10, 31), None)


def test_terms_without_a_source_must_say_so() -> None:
    with pytest.raises(ValidationError, match="needs a citation, or judgement"):
        PaymentCalendar(start_date=WEDNESDAY)
    with pytest.raises(ValidationError, match="needs a citation, or judgement"):
        build.program(
            interest=[{"start_date": WEDNESDAY, "after_days": 30, "annual_rate_basis_points": 1}]
        )


@pytest.mark.parametrize(
    ("today", "last", "months"),
    [
        ("2025-12-01", "2025-11-28", ["2025-11-01"]),
        ("2025-12-03", "2025-12-01", []),
        ("2025-12-31", "2025-12-01", []),
        ("2026-01-02", "2025-10-30", ["2025-10-01", "2025-11-01", "2025-12-01"]),
        ("2025-12-20", None, ["2025-11-01"]),
        ("2025-11-28", "2025-12-01", []),
    ],
)
def test_a_months_fee_falls_due_with_the_first_payment_after_it(
    today: str, last: str | None, months: list[str]
) -> None:
    due = rules.months_due(date.fromisoformat(today), date.fromisoformat(last) if last else None)
    assert [d.isoformat() for d in due] == months


# ---- interest --------------------------------------------------------------------------------

LATE: dict[str, Any] = {"start_date": date(2025, 1, 1), "after_days": 30,
                        "annual_rate_basis_points": 1_000, "judgement": True}  # fmt: skip


def earned(paid: int, received: date, *, frequency: str = "1", **terms: Any) -> list[int]:
    claims = pl.DataFrame(
        [{"claim_id": 1, "program_code": "test", "payee_id": "P1", "received_date": received,
          "frequency_code": frequency, "paid_amount": paid}]
    )  # fmt: skip
    programs = {"test": build.program(interest=[{**LATE, **terms}])}
    found = rules.interest(claims, programs, date(2025, 11, 26))
    return found["interest_amount"].to_list()


@pytest.mark.parametrize(
    ("paid", "received", "interest"),
    [
        # 2025-10-01 to 11-26 are 56 days, 26 of them late: 1000.00 × 10 % × 26 / 365 = 7.123…
        (100_000, date(2025, 10, 1), [712]),
        # 31 days, 1 late: 0.2739…
        (100_000, date(2025, 10, 26), [27]),
        (100_000, date(2025, 10, 27), []),  # the thirtieth day is in time
        (0, date(2025, 10, 1), []),
        (-100_000, date(2025, 10, 1), []),  # a reversal
    ],
)
def test_interest_is_simple_and_counts_from_the_day_after_the_last_in_time(
    paid: int, received: date, interest: list[int]
) -> None:
    assert earned(paid, received) == interest


def test_interest_is_rounded_once_half_up() -> None:
    # 10.00 × 18 % × 1 / 360 = 0.005; 9.99 gives 0.004995
    terms = {"annual_rate_basis_points": 1_800, "days_a_year": 360}
    assert earned(1_000, date(2025, 10, 26), **terms) == [1]
    assert earned(999, date(2025, 10, 26), **terms) == []


def test_interest_is_by_the_terms_of_the_day_of_the_payment_and_of_no_correction() -> None:
    day = date(2025, 10, 1)
    assert earned(100_000, day, start_date=date(2025, 11, 26)) == [712]
    assert earned(100_000, day, start_date=date(2025, 11, 27)) == []
    assert earned(100_000, day, end_date=date(2025, 11, 25)) == []
    assert [earned(100_000, day, frequency=f) for f in "578"] == [[], [], []]


# ---- case management -------------------------------------------------------------------------

OCTOBER = date(2025, 10, 1)
FEES: dict[str, Any] = {
    "start_date": date(2025, 1, 1), "monthly_amount": 750, "reason_number": "8391",
    "funding_source_code": "HUSKYA",
    "citation": {"document": "004", "lines": (34, 34), "phrase": "Fees are $7.50"},
}  # fmt: skip


def practice(*clients: dict[str, Any], fees: Sequence[dict[str, Any]] = (FEES,)) -> Reference:
    """Clients of two practices, covered since 2020 unless the row says otherwise."""
    since = date(2020, 1, 1)
    covered = [
        {"member_id": m, "start_date": since, **row.get("coverage", {})}
        for m, row in {row["member_id"]: row for row in clients}.items()
    ]
    return build.reference(
        build.program(case_management=fees),
        primary_care=[
            {"provider_id": "V1", "start_date": since, **{k: v for k, v in row.items()
             if k != "coverage"}}
            for row in clients
        ],
        coverage=covered,
        providers=[{}, {"provider_id": "V2", "payee_id": "P2", "npi": "2000000028"}],
    )  # fmt: skip


def fees_of(reference: Reference, *months: date) -> list[tuple[Any, ...]]:
    owed = rules.case_management(reference, reference.programs["test"], months or [OCTOBER])
    assert owed["reason_code"].unique().to_list() in ([], ["CT"])
    return owed.select("payee_id", "reference_number", "adjustment_amount").rows()


def test_each_client_counts_once_with_the_practice_of_his_last_day() -> None:
    """M1 all month, M2 to the other practice in mid-month, M4 from the last day on, M6 funded by
    another source: 2 × 7.50 and 7.50 for P1, 7.50 for P2, together 4 × 7.50 = 30.00. M3 is no
    longer covered, M5 not yet a client, M7 another program's."""
    reference = practice(
        {"member_id": "M1"},
        {"member_id": "M2", "end_date": date(2025, 10, 15)},
        {"member_id": "M2", "provider_id": "V2", "start_date": date(2025, 10, 16)},
        {"member_id": "M3", "coverage": {"end_date": date(2025, 9, 30)}},
        {"member_id": "M4", "start_date": date(2025, 10, 31)},
        {"member_id": "M5", "start_date": date(2025, 11, 1)},
        {"member_id": "M6", "funding_source_code": "STATE", "end_date": OCTOBER},
        {"member_id": "M7", "coverage": {"program_code": "other"}},
    )
    assert fees_of(reference) == [
        ("P1", "8391-HUSKYA-202510", -1_500),
        ("P1", "8391-STATE-202510", -750),
        ("P2", "8391-HUSKYA-202510", -750),
    ]
    roster = rules.clients(reference, "test", OCTOBER)
    assert roster.select("payee_id", "member_id").rows() == [
        ("P1", "M1"), ("P1", "M4"), ("P1", "M6"), ("P2", "M2"),
    ]  # fmt: skip


def test_each_month_is_paid_by_its_own_fee() -> None:
    until = {**FEES, "end_date": date(2025, 10, 31)}
    then = {**FEES, "start_date": date(2025, 11, 1), "monthly_amount": 800}
    reference = practice({"member_id": "M1"}, fees=(until, then))
    assert fees_of(reference, OCTOBER, date(2025, 11, 1)) == [
        ("P1", "8391-HUSKYA-202510", -750), ("P1", "8391-HUSKYA-202511", -800),
    ]  # fmt: skip
    assert fees_of(practice({"member_id": "M1"}, fees=()), OCTOBER) == []
    assert fees_of(practice({"member_id": "M1", "end_date": date(2025, 9, 30)})) == []


# ---- what a payment comes to -----------------------------------------------------------------


def totals(*rows: tuple[str, int]) -> pl.DataFrame:
    return pl.DataFrame(
        [("test", payee, amount, 1) for payee, amount in rows], rules.CLAIMS_PAID, orient="row"
    )


def owed(*rows: tuple[str, str, int]) -> pl.DataFrame:
    return pl.DataFrame(
        [("test", payee, reason, "R", amount) for payee, reason, amount in rows],
        rules.OWED, orient="row",
    )  # fmt: skip


def balance(*rows: tuple[str, int]) -> pl.DataFrame:
    return pl.DataFrame(
        [("test", payee, "T0", amount) for payee, amount in rows], rules.BALANCES, orient="row"
    )


@pytest.mark.parametrize(
    ("claims", "beside", "before", "paid", "plb"),
    [
        (5_000, [], 0, 5_000, []),
        (0, [], 0, 0, []),
        (-1, [], 0, 0, [("FB", -1)]),
        (5_000, [("WO", 5_000)], 0, 0, [("WO", 5_000)]),
        (5_000, [("WO", 5_001)], 0, 0, [("WO", 5_001), ("FB", -1)]),
        (5_000, [], -5_000, 0, [("FB", 5_000)]),  # recovered to the cent
        (5_000, [], -5_001, 0, [("FB", 5_001), ("FB", -1)]),
        (5_000, [], -4_999, 1, [("FB", 4_999)]),
        (0, [], -700, 0, []),  # nothing to set it off against: it stays
        (500, [("WO", 500)], -700, 0, [("WO", 500)]),
        (-300, [], -700, 0, [("FB", 700), ("FB", -1_000)]),  # one balance, of both
        (0, [("CT", -900)], -700, 200, [("FB", 700), ("CT", -900)]),
    ],
)
def test_a_payment_is_its_claims_less_what_stands_beside_them(
    claims: int, beside: list[tuple[str, int]], before: int, paid: int, plb: list[tuple[str, int]]
) -> None:
    due, carried = rules.payees_due(
        totals(("P1", claims), ("P2", 100)),
        owed(*(("P1", reason, amount) for reason, amount in beside)),
        balance(*[("P1", before)] * bool(before)),
    )
    assert due.select("payee_id", "payment_amount", "claim_count").rows() == [
        ("P1", paid, 1), ("P2", 100, 1),
    ]  # fmt: skip
    assert carried.select("reason_code", "adjustment_amount").rows() == plb
    assert carried["sequence_number"].to_list() == list(range(1, len(plb) + 1))
    assert paid == claims - sum(amount for _, amount in plb)


def test_a_payee_without_claims_is_paid_its_fees_and_a_balance_alone_pays_nobody() -> None:
    due, _ = rules.payees_due(totals(), owed(("P1", "CT", -750)), balance(("P3", -5)))
    assert due.rows() == [("test", "P1", 750, 0)]


# ---- any run of nights -----------------------------------------------------------------------

PAYEES = [
    {"payee_id": "P1"},
    {"payee_id": "P2", "npi": "2000000028", "tax_number": "069990002", "name": "Elm Clinic"},
]
NIGHTS = st.lists(
    st.tuples(
        st.integers(0, 9),  # days since the night before
        st.lists(st.tuples(st.sampled_from(["P1", "P2"]), st.integers(-9_000, 9_000)), max_size=4),
        st.lists(st.tuples(st.sampled_from(["P1", "P2"]), st.integers(1, 9_000)), max_size=1),
    ),
    min_size=1,
    max_size=7,
)  # fmt: skip


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    engine = store.open_store(f"sqlite:///{tmp_path_factory.mktemp('payments') / 'a.db'}")
    yield engine
    engine.dispose()


def begin(connection: Connection, run_id: int, day: date) -> None:
    store.insert_frame(
        connection, "run",
        pl.DataFrame({
            "run_id": [run_id], "business_date": [day], "manifest_digest": [f"m{run_id}"],
            "reference_version": ["r"], "configuration_digest": ["c"], "state": ["intake"],
        }),
    )  # fmt: skip


def decide(connection: Connection, run_id: int, first: int, rows: list[tuple[str, int]]) -> None:
    """Claims of these payees and amounts, decided by that night and not yet paid; one below
    nothing is a reversal."""
    count = len(rows)
    ids = range(first, first + count)
    store.insert_frame(
        connection, "claim",
        stored_claims(count).with_columns(
            claim_id=pl.Series(list(ids)),
            claim_number=pl.Series([f"{n:012}" for n in ids]),
            disposition=pl.lit("paid"),
        ),
    )  # fmt: skip
    entry = store.take_numbers(connection, "ledger_entry", count)
    store.insert_frame(
        connection, "ledger_entry",
        pl.DataFrame([
            {"entry_id": entry + n, "run_id": run_id, "claim_id": first + n, "payee_id": payee,
             "program_code": "test", "kind": "claim" if amount >= 0 else "void",
             "entry_amount": amount}
            for n, (payee, amount) in enumerate(rows)
        ]),
    )  # fmt: skip
    kept = build.frame(
        frames.RemittanceClaims,
        [
            {"payment_id": 1, "claim_id": n, "reversal_code": "N" if amount >= 0 else "Y",
             "status_code": "1" if amount >= 0 else "22", "patient_control_number": f"C{n}",
             "claim_number": f"{n:012}", "claim_type_code": "P", "claim_filing_code": "16",
             "charge_amount": amount, "paid_amount": amount, "member_amount": 0,
             "patient_last_name": "SAMPLE", "received_date": date(2025, 10, 1)}
            for n, (_, amount) in zip(ids, rows, strict=True)
        ],
    )  # fmt: skip
    of_payee = [pl.lit("test").alias("program_code"), pl.Series("payee_id", [p for p, _ in rows])]
    nobody = [pl.lit(None, pl.String).alias(name) for name in rules.PAYEE]
    store.insert_waiting(
        connection, run_id, claims=kept.with_columns(of_payee),
        lines=frames.empty(frames.RemittanceLines).with_columns(nobody),
        adjustments=frames.empty(frames.RemittanceAdjustments).with_columns(nobody),
    )  # fmt: skip


def pay(connection: Connection, run_id: int, reference: Reference) -> list[bytes]:
    """The payments of a night that decides nothing itself, as 835s."""
    batch = Batch(frames.empty(frames.Claims), frames.empty(frames.Lines))
    cycle = open_cycle(connection, batch, reference, store.ledger_head(connection))
    names = {f"{n}.835": n for n in cycle.payments["payment_id"]}
    store.insert_payments(connection, run_id, cycle.payments, names)
    [r] = remittances(cycle, Decided(batch), reference)
    keep_cycle(connection, run_id, cycle, Decided(batch), reference)
    documents = write_835(r.payments, r.claims, r.lines, r.adjustments, r.provider_adjustments)
    return [documents[n] for n in sorted(documents)]


def clp(document: bytes) -> list[tuple[str, str]]:
    segments = [s.split("*") for s in document.decode("ascii").split("~")]
    return [(s[1], s[2]) for s in segments if s[0] == "CLP"]


@pytest.mark.long
@settings(
    max_examples=HISTORIES, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(NIGHTS, st.sampled_from([(), (WEEKLY,), (MONTHLY,)]))
def test_every_claim_is_in_exactly_one_835_whatever_nights_are_skipped(
    engine: Engine, nights: list[Any], calendar: tuple[dict[str, Any], ...]
) -> None:
    program, day, claim = paying(*calendar), date(2025, 11, 3), 1
    decided: dict[str, int] = {}
    taken = dict.fromkeys(("P1", "P2"), 0)
    documents = []
    # a payment day to end with: what waits must go out
    whole = [*nights, (62, [], [])]
    with engine.connect() as connection, connection.begin() as transaction:
        begin(connection, 1, day)
        store.insert_file(connection, 1, 1, 0, "a", "x", 1, day, "read", "")
        for run_id, (gap, rows, acts) in enumerate(whole, 2):
            day += timedelta(days=gap)
            begin(connection, run_id, day)
            for payee, amount in acts:
                store.insert_act(
                    connection, program_code="test", payee_id=payee, reason_code="WO",
                    reference_number=None, adjustment_amount=amount, made_date=day,
                    made_by="R. Ledger", note="seen",
                )  # fmt: skip
                taken[payee] += amount
            if rows:
                decide(connection, run_id, claim, rows)
            for payee, amount in rows:
                decided[f"C{claim}"] = amount
                taken[payee] -= amount
                claim += 1
            reference = build.reference(program, business_date=day, payees=PAYEES)
            documents += pay(connection, run_id, reference)
            assert pay_nothing(connection, reference) == []
        payments = store.read_frame(
            connection, "SELECT run_id, payee_id, payment_amount FROM payment",
            {"run_id": pl.Int64, "payee_id": pl.String, "payment_amount": pl.Int64},
        )  # fmt: skip
        left = rules.balances(store.forwards(connection))
        carried = store.entries_of(connection, payments["run_id"].to_list() or [0])
        transaction.rollback()
    found = [claim for document in documents for claim in clp(document)]
    assert sorted(number for number, _ in found) == sorted(decided)
    assert all((status == "22") == (decided[number] < 0) for number, status in found)
    for document in documents:
        assert check_835(document) == []
    assert check_forwards(documents) == []
    assert not payments.select("run_id", "payee_id").is_duplicated().any()
    assert carried["entry_id"].is_unique().all()
    assert carried["payment_id"].null_count() == 0
    # all that a payee earned less all that was taken is what it was paid, less what it still owes
    for payee, owes in taken.items():
        paid = payments.filter(payee_id=payee)["payment_amount"].sum()
        assert paid + left.filter(payee_id=payee)["balance_amount"].sum() == -owes


def pay_nothing(connection: Connection, reference: Reference) -> list[str]:
    """Whom the same night would pay once more."""
    batch = Batch(frames.empty(frames.Claims), frames.empty(frames.Lines))
    cycle = open_cycle(connection, batch, reference, store.ledger_head(connection))
    return cycle.payments["payee_id"].to_list()


def test_a_payee_who_is_owed_and_no_longer_known_stops_the_night(engine: Engine) -> None:
    with engine.connect() as connection, connection.begin() as transaction:
        begin(connection, 1, WEDNESDAY)
        store.insert_file(connection, 1, 1, 0, "a", "x", 1, WEDNESDAY, "read", "")
        decide(connection, 1, 1, [("P9", 100)])
        reference = build.reference(business_date=WEDNESDAY)
        with pytest.raises(PaymentError, match="payee P9 is owed money and is not in the payees"):
            pay(connection, 1, reference)
        transaction.rollback()
