"""Versions of claims in the store: what a correction may correct, what that took, its reversal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date

import polars as pl
from sqlalchemy import Connection, select

from adjudicator.store.dialect import marks, wanted_keys
from adjudicator.store.rows import insert_frame, read_frame, take_numbers, update_claims
from adjudicator.store.tables import claim, sequence
from schemas import frames

SHORT_DIGITS, WHOLE_DIGITS = 8, 12
REVERSAL = "reversal"  # kind of the ledger
# what claims took from counters, by the batch's frame of it: table and contract
TAKEN = {
    "taken_amounts": ("accumulator_entry", frames.AccumulatorEntries),
    "taken_visits": ("referral_visit", frames.ReferralVisitEntries),
    "taken_units": ("authorization_unit", frames.AuthorizationUnitEntries),
    "taken_uses": ("benefit_use", frames.BenefitUseEntries),
}
_COLUMNS = {
    name: column.dtype
    for name, column in frames.Versions.columns().items()
    if name not in ("service_from_date", "service_through_date")
}


def numbers_meant(connection: Connection, named: Iterable[str]) -> list[str]:
    """Every claim number handed out that ends in one of these digits, eight or all twelve."""
    issued = connection.execute(
        select(sequence.c.next_value).where(sequence.c.name == "claim")
    ).scalar_one()
    step = 10**SHORT_DIGITS
    found = set()
    for digits in named:
        if len(digits) == WHOLE_DIGITS:
            found.add(digits)
        else:
            numbers = range(int(digits), int(issued), step)
            found.update(f"{number:0{WHOLE_DIGITS}}" for number in numbers)
    return sorted(found)


def versions(
    connection: Connection, numbers: Iterable[str], claim_ids: Iterable[int],
    member_ids: Iterable[str],
) -> pl.DataFrame:  # fmt: skip
    """Versions of the claims with these numbers, ids, or members, and of every version before and
    after them, with what late charges add to; by claim."""
    found = _claims(connection, "text", list(numbers), "claim_number")
    found = _joined(found, _claims(connection, "int", list(claim_ids), "claim_id"))
    of_members = _claims(connection, "text", list(member_ids), "member_id")
    found = _joined(found, of_members.filter(pl.col("disposition") != "voided"))
    asked: set[int] = set()
    while new := sorted(set(found["claim_id"]) - asked):
        asked.update(new)
        before = found["predecessor_claim_id"].drop_nulls()
        missing = sorted(set(before) - set(found["claim_id"]))
        found = _joined(found, _claims(connection, "int", missing, "claim_id"))
        found = _joined(found, _claims(connection, "int", new, "predecessor_claim_id"))
    wanted = wanted_keys(connection, "int", found["claim_id"])
    days = read_frame(
        connection,
        "SELECT l.claim_id, min(l.service_from_date) AS service_from_date, "
        "max(coalesce(l.service_through_date, l.service_from_date)) AS service_through_date "
        f"FROM {wanted} AS w CROSS JOIN line AS l WHERE l.claim_id = w.key GROUP BY l.claim_id",
        {"claim_id": pl.Int64, "service_from_date": pl.Date, "service_through_date": pl.Date},
    )
    return (
        found.join(days, on="claim_id", how="left")
        .select(frames.Versions.column_names())
        .sort("claim_id")
    )


def _claims(connection: Connection, kind: str, keys: list[object], column: str) -> pl.DataFrame:
    if not keys:
        return pl.DataFrame(schema=_COLUMNS)
    wanted = wanted_keys(connection, kind, pl.Series(keys))
    names = ", ".join(f"c.{name}" for name in _COLUMNS)
    return read_frame(
        connection,
        f"SELECT {names} FROM {wanted} AS w CROSS JOIN claim AS c WHERE c.{column} = w.key",
        _COLUMNS,
    ).filter(pl.col("claim_number").is_not_null())


def _joined(found: pl.DataFrame, more: pl.DataFrame) -> pl.DataFrame:
    return pl.concat([found, more]).unique("claim_id", keep="first", maintain_order=True)


def taken(connection: Connection, claim_ids: pl.Series) -> dict[str, pl.DataFrame]:
    """What these claims took from each counter, by the batch's frames."""
    if not len(claim_ids):
        return {}
    return {name: _entries(connection, name, claim_ids) for name in TAKEN}


def _entries(connection: Connection, name: str, claim_ids: pl.Series) -> pl.DataFrame:
    table, contract = TAKEN[name]
    wanted = wanted_keys(connection, "int", claim_ids)
    names = ", ".join(f"t.{c}" for c in contract.column_names())
    # those that each member has a row of are found by the member's index, or the family's
    owner = next((c for c in ("family_id", "member_id") if c in contract.column_names()), None)
    return read_frame(
        connection,
        f"SELECT {names} FROM {wanted} AS w CROSS JOIN claim AS c CROSS JOIN {table} AS t "
        "WHERE c.claim_id = w.key AND t.claim_id = c.claim_id"
        + (f" AND t.{owner} = c.{owner}" if owner else ""),
        contract,
    ).sort(contract.primary_key())


def insert_reversals(
    connection: Connection, run_id: int, reversals: pl.DataFrame, payments: pl.DataFrame,
    given_back: Mapping[str, pl.DataFrame],
) -> None:  # fmt: skip
    """Reverses claims: each is ``voided``, the ledger and every counter get what it put there
    once more, negated. ``reversals`` is Reversals, ``payments`` holds the payment of each payee
    and program, ``given_back`` the negated rows by the batch's frames."""
    if reversals.is_empty():
        return
    in_run = pl.lit(run_id, dtype=pl.Int64).alias("run_id")
    update_claims(
        connection,
        reversals.select(claim_id="of_claim_id", disposition=pl.lit("voided")),
    )
    for name, rows in given_back.items():
        insert_frame(connection, TAKEN[name][0], rows.with_columns(in_run))
    first = take_numbers(connection, "ledger_entry", reversals.height)
    insert_frame(
        connection, "ledger_entry",
        reversals.join(
            payments.select("payment_id", "payee_id", "program_code"),
            on=["payee_id", "program_code"], how="left",
        )
        .sort("of_claim_id")
        .select(
            "payment_id", "payee_id", "program_code", entry_amount="paid_amount",
            claim_id="of_claim_id", by_claim_id="claim_id", remark_code="remark_code",
            kind=pl.lit(REVERSAL),
            entry_id=pl.int_range(pl.len(), dtype=pl.Int64) + first,
        )
        .with_columns(in_run),
    )  # fmt: skip


def reversals_of(connection: Connection, run_id: int) -> pl.DataFrame:
    """Reversals of a night, by what is reversed."""
    names = ", ".join(f"l.{n}" for n in ("remark_code", "payee_id", "program_code"))
    return read_frame(
        connection,
        f"SELECT l.by_claim_id AS claim_id, l.claim_id AS of_claim_id, {names}, "
        "-c.charge_amount AS charge_amount, l.entry_amount AS paid_amount "
        "FROM ledger_entry AS l JOIN claim AS c ON c.claim_id = l.claim_id "
        f"WHERE l.run_id = {int(run_id)} AND l.kind = '{REVERSAL}'",
        frames.Reversals,
    ).sort("of_claim_id")


def set_versions(connection: Connection, corrections: pl.DataFrame) -> None:
    """Keeps what tonight's corrections correct (Corrections)."""
    told = corrections.drop_nulls("frequency_code")
    if told.height:
        update_claims(connection, told.select("claim_id", "version_number", "predecessor_claim_id"))


def claims_of(
    connection: Connection,
    claim_ids: pl.Series,
    schema: Mapping[str, pl.DataType | type[pl.DataType]],
) -> pl.DataFrame:
    """These columns of these claims, by claim."""
    wanted = wanted_keys(connection, "int", claim_ids)
    names = ", ".join(f"c.{name}" for name in schema)
    return read_frame(
        connection,
        f"SELECT {names} FROM {wanted} AS w CROSS JOIN claim AS c WHERE c.claim_id = w.key",
        schema,
    ).sort("claim_id")


# by table the counter's key: its rows of one key went to one counter
_COUNTERS = {
    "accumulator_entry": ("family_id", "plan_code", "network_code", "benefit_year_start_date"),
    "referral_visit": ("referral_number",),
    "authorization_unit": ("authorization_number",),
    "benefit_use": ("member_id", "plan_code", "limit_code", "condition_code",
                    "benefit_year_start_date"),
}  # fmt: skip


def counted_after(connection: Connection, claim_ids: pl.Series) -> pl.DataFrame:
    """Paid claims that counted on a counter on which one of these claims counted before them:
    ``claim_id``, ``claim_number``, and of that one the number, ``because_of``."""
    schema = {"claim_id": pl.Int64, "claim_number": pl.String, "because_of": pl.String}
    found = [pl.DataFrame(schema=schema)]
    for table, keys in _COUNTERS.items():
        wanted = wanted_keys(connection, "int", claim_ids)
        first = next((c for c in ("family_id", "member_id") if c in keys), None)
        found.append(
            read_frame(
                connection,
                "SELECT DISTINCT l.claim_id, l.claim_number, c.claim_number AS because_of "
                f"FROM {wanted} AS w CROSS JOIN claim AS c CROSS JOIN {table} AS t "
                f"CROSS JOIN {table} AS u CROSS JOIN claim AS l "
                "WHERE c.claim_id = w.key AND t.claim_id = c.claim_id "
                + (f"AND t.{first} = c.{first} " if first else "")
                + "".join(f"AND u.{key} = t.{key} " for key in keys)
                + "AND l.claim_id = u.claim_id AND l.disposition = 'paid' "
                "AND l.receipt_number > c.receipt_number",
                schema,
            )
        )
    return pl.concat(found)


def reopened_claims(connection: Connection) -> pl.Series:
    """``claim_id`` of every version that we opened ourselves."""
    schema = {"claim_id": pl.Int64}
    # by the index of predecessors: every one has one
    return read_frame(
        connection,
        "SELECT claim_id FROM claim WHERE predecessor_claim_id IS NOT NULL "
        "AND reopened_code IS NOT NULL",
        schema,
    )["claim_id"]


def standing_version(connection: Connection, claim_number: str) -> int | None:
    """The version that stands paid or denied of the claim with this number; None: there is none."""
    found = selected(connection, numbers=[claim_number])["claim_id"]
    return int(found[-1]) if len(found) else None


def pended_by(connection: Connection, edit: str, pend_code: str) -> pl.DataFrame:
    """``claim_id`` and ``inputs`` of the findings by which this edit pended open claims, when each
    was last decided."""
    code, name = marks(connection, 2)
    return read_frame(
        connection,
        "SELECT f.claim_id, f.inputs FROM claim AS c CROSS JOIN finding AS f "
        # in the words of the partial index claim_open
        "WHERE (c.disposition IS NULL OR c.disposition = 'pended') "
        f"AND c.pend_codes LIKE {code} AND f.claim_id = c.claim_id "
        f"AND f.run_id = c.decided_run_id AND f.disposition = 'pend' AND f.edit = {name}",
        {"claim_id": pl.Int64, "inputs": pl.String},
        (f"%{pend_code}%", edit),
    ).sort("claim_id", "inputs")


def selected(
    connection: Connection, *, numbers: Iterable[str] = (), provider: str | None = None,
    first: date | None = None, last: date | None = None, edit: str | None = None,
    plan: str | None = None,
) -> pl.DataFrame:  # fmt: skip
    """Claims that stand paid or denied: those with these numbers (or, of a chain, its latest
    version), else those with that billing or rendering NPI or payee, a line's day between
    ``first`` and ``last``, a finding of that edit, that plan. ``claim_id``, ``claim_number``,
    ``receipt_number``, in receipt order."""
    schema = {name: _COLUMNS.get(name, pl.Int64)
              for name in ("claim_id", "claim_number", "receipt_number")}  # fmt: skip
    # what was denied because there is nothing, or nothing left, that it corrects stays so
    unmatched = (
        "SELECT 1 FROM finding AS u WHERE u.claim_id = c.claim_id AND u.edit = 'correction' "
        "AND u.disposition = 'deny' AND u.line_number IS NULL"
    )
    standing = f"c.disposition IN ('paid', 'denied') AND NOT EXISTS ({unmatched})"
    names = ", ".join(f"c.{name}" for name in schema)
    wanted = list(numbers)
    if wanted:
        found = versions(connection, wanted, (), ())
        # late charges, and versions of these, are found on the way: claims of their own
        root: dict[int, int] = {}
        for claim_id, version, before in found.select(
            "claim_id", "version_number", "predecessor_claim_id"
        ).iter_rows():
            root[claim_id] = root[before] if version > 1 else claim_id
        meant = {root[c] for c in found.filter(pl.col("claim_number").is_in(wanted))["claim_id"]}
        stand = found.filter(pl.col("disposition").is_in(["paid", "denied"]))["claim_id"]
        standing_ids = pl.Series([c for c in stand if root[c] in meant], dtype=pl.Int64)
        keys = wanted_keys(connection, "int", standing_ids)
        statement = (
            f"SELECT {names} FROM {keys} AS w CROSS JOIN claim AS c "
            f"WHERE c.claim_id = w.key AND {standing}"
        )
        return read_frame(connection, statement, schema).sort("receipt_number", "claim_id")
    asked: list[tuple[str, list[str]]] = []
    if provider is not None:
        asked.append(("(c.provider_number = ? OR c.payee_id = ?)", [provider, provider]))
    if plan is not None:
        asked.append(("c.plan_code = ?", [plan]))
    if edit is not None:
        asked.append(
            ("EXISTS (SELECT 1 FROM finding AS f WHERE f.claim_id = c.claim_id AND f.edit = ? "
             "AND f.run_id = c.decided_run_id)", [edit])
        )  # fmt: skip
    if first is not None or last is not None:
        asked.append(
            ("EXISTS (SELECT 1 FROM line AS l WHERE l.claim_id = c.claim_id "
             "AND l.service_from_date >= ? AND l.service_from_date <= ?)",
             [(first or date.min).isoformat(), (last or date.max).isoformat()])
        )  # fmt: skip
    values = [value for _, of in asked for value in of]
    where = " AND ".join([standing, *(condition for condition, _ in asked)])
    for mark in marks(connection, len(values)):
        where = where.replace("?", mark, 1) if mark != "?" else where
    return read_frame(
        connection, f"SELECT {names} FROM claim AS c WHERE {where}", schema, values
    ).sort("receipt_number", "claim_id")


def reopen(connection: Connection, claim_ids: pl.Series, remark_code: str) -> int:
    """Opens a new version of each of these claims, in their order, to be decided by the next
    night: the same bytes under new numbers. Returns how many; one that is open already is not
    opened twice."""
    kept = [c.name for c in claim.columns if c.name in _AS_RECEIVED]
    schema = {name: pl.String if str(claim.columns[name].type) == "VARCHAR" else pl.Int64
              for name in kept}  # fmt: skip
    open_now = _claims(connection, "int", claim_ids.to_list(), "predecessor_claim_id").filter(
        (pl.col("disposition").fill_null("pended") == "pended")
        & (pl.col("version_number") > 1)  # late charges are no version of what they add to
    )["predecessor_claim_id"]
    order = pl.DataFrame({"claim_id": claim_ids.filter(~claim_ids.is_in(open_now.implode()))})
    if order.is_empty():
        return 0
    rows = order.join(
        claims_of(connection, order["claim_id"], schema), on="claim_id", maintain_order="left"
    )
    submission = take_numbers(connection, "submission", rows.height)
    number = take_numbers(connection, "claim", rows.height)
    at = pl.int_range(pl.len(), dtype=pl.Int64)
    insert_frame(
        connection, claim,
        rows.with_columns(
            predecessor_claim_id="claim_id", version_number=pl.col("version_number") + 1,
            reopened_code=pl.lit(remark_code), claim_id=at + submission,
            receipt_number=at + submission,
            claim_number=(at + number).cast(pl.String).str.zfill(WHOLE_DIGITS),
        ),
    )  # fmt: skip
    return rows.height


_AS_RECEIVED = {
    *frames.ClaimSources.column_names(), "claim_type_code", "source_format_code", "received_date",
    "patient_control_number", "charge_amount", "version_number",
} - {"set_index"}  # fmt: skip
EFFECT = {
    "claim_number": pl.String, "corrects": pl.String, "disposition": pl.String,
    "paid_amount": pl.Int64, "taken_back_amount": pl.Int64,
}  # fmt: skip


def effects(connection: Connection, run_id: int) -> pl.DataFrame:
    """What a run came to, a row a claim it decided, by number: what it paid, and what it took back
    for it of ``corrects``; cents, EFFECT."""
    run = int(run_id)
    decided = read_frame(
        connection,
        "SELECT c.claim_number, c.disposition, c.claim_id, p.claim_number AS corrects, "
        "c.paid_amount FROM claim AS c "
        "LEFT JOIN claim AS p ON p.claim_id = c.predecessor_claim_id "
        f"WHERE c.decided_run_id = {run} AND c.claim_number IS NOT NULL",
        {"claim_number": pl.String, "disposition": pl.String, "claim_id": pl.Int64,
         "corrects": pl.String, "paid_amount": pl.Int64},
    )  # fmt: skip
    back = read_frame(
        connection,
        "SELECT by_claim_id AS claim_id, CAST(sum(entry_amount) AS BIGINT) AS taken_back_amount "
        f"FROM ledger_entry WHERE run_id = {run} AND kind = '{REVERSAL}' GROUP BY by_claim_id",
        {"claim_id": pl.Int64, "taken_back_amount": pl.Int64},
    )
    return (
        decided.join(back, on="claim_id", how="left")
        .with_columns(pl.col("paid_amount", "taken_back_amount").fill_null(0))
        .sort("claim_number")
        .select(list(EFFECT))
    )
