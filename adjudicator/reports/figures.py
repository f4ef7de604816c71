"""The figures of a report, from the store: one set, whatever they are printed as."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import polars as pl
from sqlalchemy import Connection

from adjudicator import payments as rules
from adjudicator import store
from adjudicator.again import read_again
from adjudicator.edits.carve_out import carve_out
from adjudicator.fate import LINE, fates
from adjudicator.pipeline import Batch
from adjudicator.reports.text import clean
from adjudicator.store.snapshot import OPEN_CLAIMS
from schemas import frames

# 001:2163-2164: capitated services show nothing paid and a code that says they were prepaid
PREPAID_CARC = "24"
# the member's share has columns of its own
SHARES = {"deductible_amount": "1", "coinsurance_amount": "2", "copay_amount": "3"}
AMOUNTS = (
    "charge_amount", "allowed_amount", *SHARES, "other_adjustment_amount", "member_amount",
    "paid_amount",
)  # fmt: skip
Columns = Mapping[str, pl.DataType | type[pl.DataType]]
READ_AGAIN = 20_000  # claims whose bytes are read together


class ReportError(Exception):
    """The report can't be made: the message names the place, the cause and the mend."""


@dataclass(frozen=True)
class Period:
    """The nights a report tells of; ``date`` is the report's own, from which days are counted."""

    run_ids: tuple[int, ...]
    first_date: date
    last_date: date
    of_one_run: bool

    @property
    def date(self) -> date:
        return self.last_date

    @property
    def last_run(self) -> int:
        return max(self.run_ids)

    @property
    def label(self) -> str:
        """How files are named: by the night, or by the days."""
        if self.of_one_run:
            return f"{self.date.isoformat()}-run-{self.last_run:06d}"
        return f"{self.first_date.isoformat()}-to-{self.last_date.isoformat()}"


@dataclass(frozen=True)
class Figures:
    """What a report tells, a frame a grain; cents.

    ``payments``: one row a payment. ``claims``: one row a claim, with ``payment_id`` (null while
    it is pended), status (paid, denied, prepaid, pended or reversed), message codes and sums.
    What is taken back of an earlier night has a row of its own, its
    amounts negated, just before the claim that takes its place; its ``claim_id``, and that of its
    lines and adjustments, is the claim's below zero.
    ``lines``: one row a line, with the member's share by kind and all other adjustments in one.
    ``adjustments``: one row an adjustment, with ``administrator``: whom to bill instead of us.
    ``beside``: one row what a payment carries beside its claims, with ``words``; a positive amount
    takes money from it.
    """

    payments: pl.DataFrame
    claims: pl.DataFrame
    lines: pl.DataFrame
    adjustments: pl.DataFrame
    beside: pl.DataFrame


def period(
    connection: Connection, run_id: int | None, first: date | None, last: date | None
) -> Period:
    """The nights asked for: one run, the runs of some days, or by default the latest run.

    Raises ReportError where there is none.
    """
    nights = store.read_frame(
        connection,
        "SELECT run_id, business_date FROM run WHERE state IN ('decided', 'published')",
        {"run_id": pl.Int64, "business_date": pl.Date},
    ).sort("run_id")
    if not nights.height:
        raise ReportError("no night has been done in this store; `adjudicate run` does one")
    if first is not None and last is not None:
        if last < first:
            raise ReportError(f"the period ends ({last}) before it begins ({first})")
        wanted = nights.filter(pl.col("business_date").is_between(first, last))
        if not wanted.height:
            known = nights["business_date"].sort()
            raise ReportError(
                f"no night from {first} to {last}; the store's are from {known[0]} to {known[-1]}"
            )
        return Period(tuple(wanted["run_id"]), first, last, of_one_run=False)
    wanted = nights.tail(1) if run_id is None else nights.filter(run_id=run_id)
    if not wanted.height:
        raise ReportError(f"no run {run_id}; the latest is {nights['run_id'][-1]}")
    [(found, day)] = wanted.rows()
    return Period((found,), day, day, of_one_run=True)


def explanation_of_payment(
    connection: Connection, nights: Period, payee_id: str | None = None
) -> Figures:
    """Every claim, paid or denied, of the nights' payments, what these carry beside claims, and
    every claim that stands pended after them (001:2160-2165)."""
    payments = _payments(connection, nights, payee_id)
    final = _finalised(connection, nights, payee_id)
    pended = _pended(connection, nights.last_run, payee_id)
    return _figures(connection, nights, payments, final, pended)


def claims_in_process(
    connection: Connection, nights: Period, payee_id: str | None = None
) -> Figures:
    """Every claim received that stands pended after the last of the nights (001:2171-2179)."""
    payments = _payments(connection, nights, payee_id).clear()
    pended = _pended(connection, nights.last_run, payee_id)
    return _figures(connection, nights, payments, pl.DataFrame(schema=ENTRY), pended)


def payment_register(
    connection: Connection, nights: Period, payee_id: str | None = None
) -> pl.DataFrame:
    """One row a payment of the nights, by number: payee, trace, method, date, amount, claims and
    what they come to; what was brought forward, carried forward, added and taken beside them."""
    entries = _finalised(connection, nights, payee_id)
    claims = entries.group_by("payment_id").agg(
        claim_count=pl.len().cast(pl.Int64), claims_amount=pl.col("entry_amount").sum()
    )
    amount, reason = pl.col("adjustment_amount"), pl.col("reason_code")
    moved = reason == rules.BALANCE
    known = moved | reason.is_in([rules.INTEREST, rules.CASE_MANAGEMENT])
    beside = (
        store.provider_adjustments_of(connection, nights.run_ids)
        .group_by("payment_id")
        .agg(
            brought_forward_amount=amount.filter(moved & (amount > 0)).sum(),
            carried_forward_amount=-amount.filter(moved & (amount < 0)).sum(),
            interest_amount=-amount.filter(reason == rules.INTEREST).sum(),
            case_management_amount=-amount.filter(reason == rules.CASE_MANAGEMENT).sum(),
            recovered_amount=amount.filter(~known).sum(),
        )
    )
    return (
        _payments(connection, nights, payee_id)
        .join(claims, on="payment_id", how="left")
        .join(beside, on="payment_id", how="left")
        .with_columns(
            pl.col("claim_count", "claims_amount", *REGISTER_BESIDE).fill_null(0),
            clean(pl.col(pl.String)),
        )
        .sort("payment_id")
    )


REGISTER_BESIDE = (
    "brought_forward_amount", "carried_forward_amount", "interest_amount",
    "case_management_amount", "recovered_amount",
)  # fmt: skip


# ---- what the store knows --------------------------------------------------------------------

PAYMENT = {
    "payment_id": pl.Int64, "run_id": pl.Int64, "payee_id": pl.String, "program_code": pl.String,
    "trace_number": pl.String, "payment_method_code": pl.String, "payment_date": pl.Date,
    "payment_amount": pl.Int64, "file_name": pl.String,
}  # fmt: skip
ENTRY = {
    "claim_id": pl.Int64, "payment_id": pl.Int64, "run_id": pl.Int64, "payee_id": pl.String,
    "program_code": pl.String, "entry_amount": pl.Int64, "kind": pl.String,
    "by_claim_id": pl.Int64, "remark_code": pl.String,
}  # fmt: skip
REVERSAL, REVERSED = "reversal", "reversed"  # in the ledger, in a report
OF_CLAIMS = ("claim", REVERSAL)
CLAIM = {
    **OPEN_CLAIMS, "patient_control_number": pl.String, "payee_id": pl.String,
    "program_code": pl.String,
}  # fmt: skip
OF_LINE = {
    "claim_id": pl.Int64, "line_number": pl.Int64, "service_from_date": pl.Date,
    "service_through_date": pl.Date, "revenue_code": pl.String, "procedure_code": pl.String,
    "modifier_codes": pl.String, "unit_quantity": pl.Int64, "charge_amount": pl.Int64,
    "allowed_amount": pl.Int64, "paid_amount": pl.Int64, "line_disposition": pl.String,
    "plan_code": pl.String, "network_code": pl.String,
}  # fmt: skip
FINDING = frames.empty(frames.Findings).schema
IN_TURN = ("payment_id", "claim_id", "line_number", "sequence_number")


def _of_payee(payee_id: str | None) -> pl.Expr:
    return pl.lit(value=True) if payee_id is None else pl.col("payee_id") == payee_id


def _runs(nights: Period) -> str:
    return ", ".join(str(int(run_id)) for run_id in nights.run_ids)


def _payments(connection: Connection, nights: Period, payee_id: str | None) -> pl.DataFrame:
    return _read(
        connection,
        f"SELECT {', '.join(PAYMENT)} FROM payment WHERE run_id IN ({_runs(nights)})",
        PAYMENT,
    ).filter(_of_payee(payee_id))


def _finalised(connection: Connection, nights: Period, payee_id: str | None) -> pl.DataFrame:
    """The ledger's entries of claims in the nights' payments, whatever night decided them."""
    return (
        store.entries_of(connection, nights.run_ids)
        .filter(pl.col("kind").is_in(OF_CLAIMS), _of_payee(payee_id))
        .select(list(ENTRY))
        .sort("payment_id", "claim_id")
    )


def _pended(connection: Connection, run_id: int, payee_id: str | None) -> pl.DataFrame:
    """The claims that stood open when that run had ended: received by then, decided by none."""
    schema = {"claim_id": pl.Int64, "payee_id": pl.String, "program_code": pl.String}
    select = (
        "SELECT c.claim_id, c.payee_id, c.program_code FROM claim AS c "
        "JOIN file AS f ON f.file_id = c.file_id "
        f"WHERE f.run_id <= {int(run_id)} AND c.claim_number IS NOT NULL AND "
    )
    # two questions: the first has an index, the second is asked of nights gone by
    asked = ["(c.disposition IS NULL OR c.disposition = 'pended')",
             f"c.disposition <> 'pended' AND c.decided_run_id > {int(run_id)}"]  # fmt: skip
    found = pl.concat(_read(connection, select + which, schema) for which in asked)
    # an intake that was broken off leaves claims that no night has looked at
    seen = pl.col("program_code").is_not_null()
    return found.filter(seen & _of_payee(payee_id)).sort("claim_id")


def _read(connection: Connection, statement: str, schema: Columns) -> pl.DataFrame:
    return store.read_frame(connection, statement, schema).sort(
        [name for name in IN_TURN if name in schema]
    )


def _wanted(
    connection: Connection,
    claim_ids: pl.Series,
    table: str,
    schema: Columns,
    condition: str = "",
) -> pl.DataFrame:
    """The table's rows of these claims."""
    wanted = store.wanted_keys(connection, "int", claim_ids)
    return _read(
        connection,
        f"SELECT {', '.join(f't.{name}' for name in schema)} FROM {wanted} AS w "
        f"CROSS JOIN {table} AS t WHERE t.claim_id = w.key{condition}",
        schema,
    )


# ---- figures ---------------------------------------------------------------------------------


def _figures(
    connection: Connection, nights: Period, payments: pl.DataFrame, final: pl.DataFrame,
    pended: pl.DataFrame,
) -> Figures:  # fmt: skip
    taken_back = pl.col("kind") == REVERSAL
    back = final.filter(taken_back)
    claims, lines, adjustments = _parts(
        connection, nights, payments, final.filter(~taken_back), pended
    )
    if back.height:
        parts = _parts(connection, nights, payments, back, pended.clear())
        claims, lines, adjustments = (
            pl.concat([own, _taken_back(of_back)], how="diagonal_relaxed")
            for own, of_back in zip((claims, lines, adjustments), parts, strict=True)
        )
    beside = _beside(connection, nights, payments)
    _refuse_unbalanced(payments, claims, lines, beside)
    claims = claims.with_columns(clean(pl.col(pl.String))).sort(
        "patient_last_name", "patient_first_name", pl.coalesce("by_claim_id", "claim_id"),
        "claim_id", nulls_last=True,
    )  # fmt: skip
    return Figures(
        payments.with_columns(clean(pl.col(pl.String))).sort("payment_id"),
        claims,
        lines.with_columns(clean(pl.col(pl.String))).sort(LINE),
        adjustments,
        beside.with_columns(clean(pl.col(pl.String))),
    )


def _taken_back(part: pl.DataFrame) -> pl.DataFrame:
    """Claims, lines or adjustments with their amounts negated, under their claims' other key."""
    names = part.columns
    amounts = [c for c in (*AMOUNTS, "adjustment_amount") if c in names]
    told = [c for c in ("status", "line_disposition") if c in names]
    codes = pl.concat_list(
        pl.lit(REVERSED.upper()), pl.col("remark_code") if "remark_code" in names else pl.lit("")
    )
    return part.with_columns(
        *(-pl.col(name) for name in (*amounts, "claim_id")),
        *(pl.lit(REVERSED).alias(name) for name in told),
        *([codes.alias("message_codes")] if "status" in names else []),
    )


def _parts(
    connection: Connection, nights: Period, payments: pl.DataFrame, final: pl.DataFrame,
    pended: pl.DataFrame,
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:  # fmt: skip
    """Claims, lines and adjustments of claims finalised and pended."""
    ids = pl.concat([final["claim_id"], pended["claim_id"]])
    stored = _wanted(connection, ids, "claim", CLAIM)
    # a line without days of its own has its claim's in the table of lines
    days = ["service_from_date", "service_through_date"]
    lines = (
        store.decided(connection, "lines", ids)
        .drop(days)
        .join(
            _wanted(connection, ids, "line", {n: OF_LINE[n] for n in (*LINE, *days)}),
            on=LINE, maintain_order="left",
        )
        .select(list(OF_LINE))
    )  # fmt: skip
    adjustments = _with_administrators(
        connection, store.adjustments_of(connection, final["claim_id"])
    )
    findings = _wanted(
        connection, pended["claim_id"], "finding", dict(FINDING),
        f" AND t.disposition IN ('pend', 'deny') AND t.run_id = {nights.last_run}",
    )  # fmt: skip
    waits, line_waits = _waits(pended, lines, findings)
    is_pended = pl.col("claim_id").is_in(pended["claim_id"].implode())
    lines = _lines(lines, adjustments, line_waits, is_pended)
    claims = (
        # what it waits for is told as of these nights, not as the store has it now
        stored.drop("program_code", "payee_id", "disposition", "pend_codes")
        .join(
            pl.concat([final.drop("run_id"), pended], how="diagonal"),
            on="claim_id", maintain_order="left",
        )
        .join(_sums(lines), on="claim_id", how="left", maintain_order="left")
        .join(waits, on="claim_id", how="left", maintain_order="left")
        .join(payments.select("payment_id", "payment_date"), on="payment_id", how="left",
              maintain_order="left")
        .join(_as_sent(connection, stored), on="claim_id", how="left", maintain_order="left")
    )  # fmt: skip
    status = (
        pl.when(is_pended).then(pl.lit("pended"))
        .when(pl.col("fates").list.contains("paid")).then(pl.lit("paid"))
        .when(pl.col("fates").list.contains("prepaid")).then(pl.lit("prepaid"))
        .otherwise(pl.lit("denied"))
    )  # fmt: skip
    prepaid_beside = (pl.col("status") == "paid") & pl.col("fates").list.contains("prepaid")
    claims = claims.with_columns(
        status=status,
        age_days=(pl.coalesce("payment_date", pl.lit(nights.date)) - pl.col("received_date"))
        .dt.total_days(),
    ).with_columns(
        *(pl.when(~is_pended).then(name).alias(name) for name in AMOUNTS[1:]),
        message_codes=pl.when(is_pended)
        .then(pl.coalesce("pend_codes", pl.lit("RECEIVED")).str.split(","))
        # a claim that is paid in part says of its prepaid lines what they are
        .when(prepaid_beside).then(pl.concat_list(pl.lit("PAID"), pl.lit("PREPAID")))
        .otherwise(pl.concat_list(pl.col("status").str.to_uppercase())),
    )  # fmt: skip
    return claims, lines, adjustments


def _beside(connection: Connection, nights: Period, payments: pl.DataFrame) -> pl.DataFrame:
    """What these payments carry beside claims, in the order of their 835."""
    found = store.provider_adjustments_of(connection, nights.run_ids)
    told = [rules.words(*row) for row in found.select("reason_code", "adjustment_amount").rows()]
    return found.with_columns(words=pl.Series(told, dtype=pl.String)).join(
        payments.select("payment_id", "program_code", "payee_id"), on="payment_id",
        maintain_order="left",
    )  # fmt: skip


def _with_administrators(connection: Connection, adjustments: pl.DataFrame) -> pl.DataFrame:
    """``administrator``: whom to bill instead, of a line denied as another's."""
    theirs = adjustments.filter(reason=carve_out.name)
    if theirs.is_empty():
        return adjustments.with_columns(administrator=pl.lit(None, pl.String))
    schema = {"run_id": pl.Int64, **dict.fromkeys(LINE, pl.Int64), "inputs": pl.String}
    told = (
        _wanted(
            connection, theirs["claim_id"].unique(), "finding", schema,
            f" AND t.edit = '{carve_out.name}'",
        )
        # of the night that decided it
        .sort("run_id")
        .unique(LINE, keep="last", maintain_order=True)
        .select(
            *LINE,
            administrator=pl.col("inputs")
            .str.json_decode(pl.Struct({"administrator": pl.String}))
            .struct.field("administrator"),
            reason=pl.lit(carve_out.name),
        )
    )  # fmt: skip
    return adjustments.join(told, on=[*LINE, "reason"], how="left", maintain_order="left")


def _waits(
    pended: pl.DataFrame, lines: pl.DataFrame, findings: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """What each pended claim waits for, and each line of it on its own account.

    Told anew from the night's findings: the store keeps only what the latest night said.
    """
    keys = lines.select(LINE).join(pended, on="claim_id", how="semi", maintain_order="left")
    stands = fates(Batch(pended.select("claim_id"), keys, findings=findings)).claims.select(
        "claim_id", "pend_codes"
    )
    of_lines = (
        findings.filter((pl.col("disposition") == "pend") & pl.col("line_number").is_not_null())
        .join(stands, on="claim_id")
        .filter(pl.col("pend_codes").str.split(",").list.contains(pl.col("pend_code")))
        .sort(*LINE, "edit_rank", "pend_code")
        .group_by(LINE, maintain_order=True)
        .agg(message_codes=pl.col("pend_code").unique(maintain_order=True))
    )
    return stands, of_lines


def _lines(
    lines: pl.DataFrame, adjustments: pl.DataFrame, waits: pl.DataFrame, is_pended: pl.Expr
) -> pl.DataFrame:
    """Lines with their adjustments by kind; a pended claim's lines have no figures yet."""
    amount = pl.col("adjustment_amount")
    of_member = pl.col("group_code") == "PR"
    of_kind = {name: of_member & (pl.col("carc") == carc) for name, carc in SHARES.items()}
    sums = adjustments.group_by(LINE).agg(
        *(amount.filter(which).sum().alias(name) for name, which in of_kind.items()),
        amount.filter(~pl.any_horizontal(*of_kind.values())).sum().alias("other_adjustment_amount"),
        amount.filter(of_member).sum().alias("member_amount"),
        (pl.col("carc") == PREPAID_CARC).any().alias("prepaid"),
    )
    figures = [*SHARES, "other_adjustment_amount", "member_amount"]
    return (
        lines.join(sums, on=LINE, how="left", maintain_order="left")
        .join(waits, on=LINE, how="left", maintain_order="left")
        .with_columns(pl.col(figures).fill_null(0), pl.col("prepaid").fill_null(value=False))
        .with_columns(
            line_disposition=pl.when(is_pended)
            .then(pl.lit("pended"))
            .when(pl.col("prepaid"))
            .then(pl.lit("prepaid"))
            .otherwise("line_disposition")
        )
        .with_columns(
            pl.when(pl.col("line_disposition") != "pended").then(name).alias(name)
            for name in (*figures, "allowed_amount", "paid_amount")
        )
    )


def _sums(lines: pl.DataFrame) -> pl.DataFrame:
    """One row a claim: the sums of its lines, their fates, the plans they fell under."""
    return lines.group_by("claim_id").agg(
        *(pl.col(name).sum() for name in AMOUNTS[1:]),
        fates=pl.col("line_disposition").unique().sort(),
        plan_codes=pl.col("plan_code").drop_nulls().unique().sort(),
    )


def _as_sent(connection: Connection, claims: pl.DataFrame) -> pl.DataFrame:
    """One row a claim: patient, card number and rendering provider as its sender wrote them."""
    parts = []
    for piece in claims.sort("file_id", "claim_id").iter_slices(READ_AGAIN):
        for read in read_again(connection, piece):
            person = read["people"].filter(pl.col("role") == "patient")
            rendering = (
                read["claim_providers"]
                .filter((pl.col("role_code") == "82") & pl.col("line_number").is_null())
                .unique("claim_id", keep="first", maintain_order=True)
            )
            parts.append(
                read["claims"]
                .select("claim_id", "patient_last_name", "patient_first_name", "rendering_npi",
                        member_number="subscriber_number")
                .join(person.select("claim_id", patient_middle_name="middle_name"), on="claim_id",
                      how="left")
                .join(rendering.select("claim_id", rendering_last_name="last_name",
                                       rendering_first_name="first_name"),
                      on="claim_id", how="left")
            )  # fmt: skip
    return pl.concat(parts) if parts else _NOBODY


_NOBODY = pl.DataFrame(
    schema={
        "claim_id": pl.Int64,
        **dict.fromkeys(
            ("patient_last_name", "patient_first_name", "patient_middle_name", "member_number",
             "rendering_npi", "rendering_last_name", "rendering_first_name"),
            pl.String,
        ),
    }
)  # fmt: skip


def _refuse_unbalanced(
    payments: pl.DataFrame, claims: pl.DataFrame, lines: pl.DataFrame, beside: pl.DataFrame
) -> None:
    """What a report prints must add up and be what the ledger paid."""
    final = lines.filter(pl.col("line_disposition") != "pended")
    shares = pl.sum_horizontal(*SHARES, "other_adjustment_amount")
    _none(final.filter(pl.col("charge_amount") - shares != pl.col("paid_amount"))["claim_id"],
          "charge less adjustments is not what is paid")  # fmt: skip
    decided = claims.filter(pl.col("payment_id").is_not_null())
    _none(decided.filter(pl.col("paid_amount").ne_missing(pl.col("entry_amount")))["claim_id"],
          "the lines are not what the ledger paid")  # fmt: skip
    of_claims = decided.group_by("payment_id").agg(pl.col("paid_amount").sum())
    taken = beside.group_by("payment_id").agg(pl.col("adjustment_amount").sum())
    _none(
        payments.join(of_claims, on="payment_id", how="left")
        .join(taken, on="payment_id", how="left")
        .with_columns(pl.col("paid_amount", "adjustment_amount").fill_null(0))
        .filter(
            pl.col("paid_amount") - pl.col("adjustment_amount") != pl.col("payment_amount")
        )["payment_id"],
        "its claims are not the payment's amount, with what stands beside them", "payment",
    )  # fmt: skip


def _none(broken: pl.Series, what: str, whose: str = "submission") -> None:
    if len(broken):
        first = broken.unique().sort().head(5).to_list()
        raise ReportError(
            f"{whose} {', '.join(map(str, first))}: {what}; nothing is written. "
            "This is a fault of the program: keep the store and report it"
        )
