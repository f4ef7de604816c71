"""Corrected claims: which earlier claim one corrects, and what becomes of that one.

A replacement (7), a void (8) and a version that we reopened ourselves take the place of a claim;
late charges (5) stand beside it. The versions of a claim are a chain: whatever a correction names
of it, it corrects the latest. What is paid or denied is reversed once its correction is finalised;
what still waits for a decision waits for its correction then, and becomes ``voided`` without one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import polars as pl

from adjudicator.fate import fates
from adjudicator.pipeline import Batch
from adjudicator.reference import Reference
from schemas import frames

LATE_CHARGES, REPLACEMENT, VOID, REOPENED = "5", "7", "8", "R"
CORRECTIONS = (LATE_CHARGES, REPLACEMENT, VOID)
TAKES_THE_PLACE = (REPLACEMENT, VOID, REOPENED)
SHORT_DIGITS = 8  # 001:2231-2251: the last eight digits; all twelve are accepted, too
WHOLE_DIGITS = 12
FINAL = ("paid", "denied")
REMARKS = {VOID: "N693", REPLACEMENT: "N694"}


@dataclass
class _Version:
    """A claim as one of its chain."""

    claim_id: int
    claim_number: str
    claim_type_code: str
    payee_id: str | None
    member_id: str | None
    received_date: date
    disposition: str | None  # None: open tonight, or not decided
    first_day: date | None
    last_day: date | None
    version_number: int = 1
    tonight: bool = False


@dataclass
class _Chains:
    """Every chain that tonight's corrections touch, versions in order."""

    of_claim: dict[int, list[_Version]] = field(default_factory=dict)
    known: dict[int, _Version] = field(default_factory=dict)
    by_number: dict[str, list[_Version]] = field(default_factory=dict)  # its last eight digits
    by_member: dict[str, list[_Version]] = field(default_factory=dict)

    def add(self, version: _Version, chain: list[_Version] | None = None) -> None:
        chain = [] if chain is None else chain
        chain.append(version)
        self.of_claim[version.claim_id] = chain
        if version.claim_id not in self.known:
            self.known[version.claim_id] = version
            self.by_number.setdefault(version.claim_number[-SHORT_DIGITS:], []).append(version)
            if version.member_id is not None:
                self.by_member.setdefault(version.member_id, []).append(version)


def named_number(text: str | None) -> str | None:
    """The digits of the number that a correction names, if they are eight or twelve."""
    digits = "".join(c for c in text or "" if c.isascii() and c.isdigit())
    return digits if len(digits) in (SHORT_DIGITS, WHOLE_DIGITS) else None


def correcting(batch: Batch) -> pl.DataFrame:
    """Tonight's claims that correct another, in receipt order."""
    corrects = pl.col("frequency_code").is_in(CORRECTIONS)
    if batch.reopened.height:
        corrects |= pl.col("claim_id").is_in(batch.reopened["claim_id"].implode())
    return batch.claims.filter(corrects)


def match_corrections(batch: Batch, reference: Reference) -> Batch:
    """Fills ``corrections`` and ``corrected``: which claim each correction of tonight corrects.

    By number, the last eight digits or all twelve, and the payee; several are narrowed by the
    member and the days, which never refuse a single one [j]; late charges without a number by
    member, payee and days. Only claims received before it. Of the claim's chain it corrects all
    that is not voided: at most one paid or denied version, and those that wait.
    """
    found = correcting(batch)
    if found.is_empty():
        if batch.corrections.is_empty():
            return batch
        return batch.with_(
            corrections=frames.empty(frames.Corrections),
            corrected=frames.empty(frames.CorrectedVersions),
        )
    found = found.sort("receipt_number", "claim_id")
    chains = _chains(batch, found)
    reopened = {r["claim_id"]: r for r in batch.reopened.iter_rows(named=True)}
    told: dict[int, dict[str, Any]] = {}
    corrected: list[tuple[int, int, bool]] = []
    for row in found.iter_rows(named=True):
        me = chains.known[row["claim_id"]]
        mine = reopened.get(me.claim_id)
        kind = REOPENED if mine else row["frequency_code"]
        fact = told.setdefault(me.claim_id, {"claim_id": me.claim_id, "version_number": 1})
        fact |= {"frequency_code": kind, "remark_code": REMARKS.get(kind)}
        if mine:
            fact["remark_code"] = mine["remark_code"]
            candidates = [chains.known[mine["predecessor_claim_id"]]]
        elif me.payee_id is None:
            fact["outcome"] = "waits"  # whom we pay isn't known: payee_unknown asks for it
            continue
        else:
            candidates = _candidates(chains, me, kind, row["original_claim_number"])
        if len(candidates) != 1:
            fact["outcome"] = "several" if candidates else "none"
            continue
        chain = chains.of_claim[candidates[0].claim_id]
        live = [v for v in chain if v.disposition != "voided" and v is not me]
        if not live:
            fact["outcome"] = "voided"
            continue
        latest = live[-1]
        fact |= {
            "outcome": "found",
            "predecessor_claim_id": latest.claim_id,
            "predecessor_claim_number": latest.claim_number,
            "filing_date": _filing_date(kind, me, chain[0], row["program_code"], reference),
        }
        if kind not in TAKES_THE_PLACE:
            continue
        if any(v.disposition not in FINAL and not v.tonight for v in live):
            fact["outcome"] = "waits"
            continue
        fact["version_number"] = me.version_number = chain[-1].version_number + 1
        for v in live:
            corrected.append((me.claim_id, v.claim_id, v.disposition in FINAL))
            if v.disposition not in FINAL:
                waits = told.setdefault(
                    v.claim_id, {"claim_id": v.claim_id, "version_number": v.version_number}
                )
                waits |= {
                    "corrected_by_claim_id": me.claim_id,
                    "corrected_by_claim_number": me.claim_number,
                }
        if kind == VOID:
            for v in (me, *live):
                v.disposition = "voided"
        chains.add(me, chain)
    return batch.with_(
        corrections=pl.DataFrame(list(told.values()), frames.empty(frames.Corrections).schema).sort(
            "claim_id"
        ),
        corrected=pl.DataFrame(
            corrected, frames.empty(frames.CorrectedVersions).schema, orient="row"
        ).sort("claim_id", "of_claim_id"),
    )


def _filing_date(
    kind: str, me: _Version, first: _Version, program_code: str, reference: Reference
) -> date | None:
    terms = reference.programs[program_code].corrections
    keeps = kind == REOPENED or (
        terms.replacement_keeps_received_date
        if kind == REPLACEMENT
        else terms.late_charges_keep_received_date
    )
    return min(first.received_date, me.received_date) if keeps else None


def _chains(batch: Batch, found: pl.DataFrame) -> _Chains:
    """The stored versions in their chains, and tonight's claims that may be corrected or correct,
    each a chain of its own until it is matched."""
    chains = _Chains()
    tonight = _tonight(batch, found)
    ours = set(tonight["claim_id"])
    for row in batch.versions.sort("claim_id").iter_rows(named=True):
        if row["claim_id"] in ours:
            continue
        before = chains.of_claim.get(row["predecessor_claim_id"])
        chains.add(
            _Version(
                row["claim_id"], row["claim_number"], row["claim_type_code"], row["payee_id"],
                row["member_id"], row["received_date"], row["disposition"],
                row["service_from_date"], row["service_through_date"], row["version_number"],
            ),
            before if row["version_number"] > 1 else None,
        )  # fmt: skip
    for row in tonight.iter_rows(named=True):
        chains.add(
            _Version(
                row["claim_id"], row["claim_number"], row["claim_type_code"], row["payee_id"],
                row["member_id"], row["received_date"], None, row["first_day"], row["last_day"],
                tonight=True,
            )
        )  # fmt: skip
    return chains


def _tonight(batch: Batch, found: pl.DataFrame) -> pl.DataFrame:
    """Tonight's corrections, and the claims of tonight that one of them may mean."""
    numbers = [n for n in map(named_number, found["original_claim_number"]) if n]
    short = sorted({n[-SHORT_DIGITS:] for n in numbers})
    members = found.filter(
        (pl.col("frequency_code") == LATE_CHARGES) & pl.col("original_claim_number").is_null()
    )["member_id"].drop_nulls()
    few = batch.claims.filter(
        pl.col("claim_id").is_in(found["claim_id"].implode())
        | pl.col("claim_number").str.tail(SHORT_DIGITS).is_in(short)
        | pl.col("member_id").is_in(members.implode())
    )
    days = (
        batch.lines.join(few, on="claim_id", how="semi")
        .group_by("claim_id")
        .agg(
            first_day=pl.col("decision_date").min(),
            last_day=pl.max_horizontal("service_through_date", "decision_date").max(),
        )
    )
    return few.join(days, on="claim_id", how="left", maintain_order="left").sort(
        "receipt_number", "claim_id"
    )


def _candidates(chains: _Chains, me: _Version, kind: str, number: str | None) -> list[_Version]:
    if digits := named_number(number):
        found = [
            v
            for v in chains.by_number.get(digits[-SHORT_DIGITS:], ())
            if v.claim_id < me.claim_id
            and v.claim_number.endswith(digits)
            and v.payee_id == me.payee_id
        ]
        for narrower in (_of_member(found, me), _of_days(_of_member(found, me), me)):
            if len(found) > 1 and narrower:
                found = narrower
        return found
    if kind != LATE_CHARGES or number is not None or me.member_id is None:
        return []
    stays = [
        v
        for v in chains.by_member.get(me.member_id, ())
        if v.claim_id < me.claim_id
        and v.payee_id == me.payee_id
        and v.claim_type_code == me.claim_type_code
        and v.disposition != "voided"
        and not any(w.disposition != "voided" and w.claim_id > v.claim_id
                    for w in chains.of_claim[v.claim_id])
    ]  # fmt: skip
    return _of_days(stays, me)


def _of_member(found: Iterable[_Version], me: _Version) -> list[_Version]:
    return [v for v in found if v.member_id is not None and v.member_id == me.member_id]


def _of_days(found: Iterable[_Version], me: _Version) -> list[_Version]:
    """Those whose days and this one's have a day in common."""
    return [
        v
        for v in found
        if v.first_day and v.last_day and me.first_day and me.last_day
        and v.first_day <= me.last_day and me.first_day <= v.last_day
    ]  # fmt: skip


# ---- what the stages ask ---------------------------------------------------------------------


def set_aside(batch: Batch) -> pl.Series:
    """The claims of tonight that no edit judges: voids of a claim that was found, and whatever
    waits for what corrects it."""
    return batch.corrections.filter(
        ((pl.col("frequency_code") == VOID) & (pl.col("outcome") == "found"))
        | pl.col("corrected_by_claim_id").is_not_null()
    )["claim_id"]


def history_beside(
    batch: Batch, kinds: tuple[str, ...] = TAKES_THE_PLACE, *, with_waiting: bool = False
) -> pl.DataFrame:
    """History without the versions whose place corrections of tonight take, of these kinds;
    ``with_waiting``: but with those of corrections that are known to wait."""
    if batch.corrected.is_empty():
        return batch.history
    by = batch.corrections.filter(pl.col("frequency_code").is_in(kinds))["claim_id"]
    if with_waiting:
        by = by.filter(~by.is_in(batch.known_to_wait["claim_id"].implode()))
    gone = batch.corrected.filter(pl.col("claim_id").is_in(by.implode()))["of_claim_id"]
    return batch.history.filter(~pl.col("claim_id").is_in(gone.implode()))


def beside_what_it_corrects(batch: Batch) -> pl.Expr:
    """Of ``claims``, whether a claim corrects another that stands in ``history_beside`` REOPENED:
    not so a correction of an earlier night that we reopened."""
    return pl.col("frequency_code").is_in(CORRECTIONS, nulls_equal=True) & ~pl.col(
        "claim_id"
    ).is_in(batch.reopened["claim_id"].implode())


def unjudged(batch: Batch) -> Batch:
    """The batch without what pricing and benefits found of claims that nothing judges tonight."""
    if batch.corrections.is_empty():
        return batch
    aside = pl.col("claim_id").is_in(set_aside(batch).implode())
    return batch.with_(findings=batch.findings.filter(~aside | (pl.col("edit") == "correction")))


def added_to(batch: Batch) -> dict[int, int]:
    """By each late charge, tonight's and those of what may be corrected tonight, the claim that it
    adds to; of late charges of late charges, the one that all of them add to."""
    stored = batch.versions.filter(
        (pl.col("version_number") == 1) & pl.col("predecessor_claim_id").is_not_null()
    )
    tonight = batch.corrections.filter(frequency_code=LATE_CHARGES, outcome="found")
    pair = ("claim_id", "predecessor_claim_id")
    late = dict(pl.concat([stored.select(pair), tonight.select(pair)]).iter_rows())

    def whole(claim_id: int) -> int:
        while claim_id in late:  # a claim adds to an earlier one, so this ends
            claim_id = late[claim_id]
        return claim_id

    return {claim_id: whole(claim_id) for claim_id in late}


def acting(corrections: pl.DataFrame, pended: Iterable[int]) -> pl.DataFrame:
    """The corrections that are finalised where these claims are pended: each void of a claim that
    was found, and what takes a claim's place; none that itself waits for a later one."""
    return corrections.filter(
        (pl.col("outcome") == "found")
        & pl.col("frequency_code").is_in(TAKES_THE_PLACE)
        & pl.col("corrected_by_claim_id").is_null()
        & (
            (pl.col("frequency_code") == VOID)
            | ~pl.col("claim_id").is_in(pl.Series(pended, dtype=pl.Int64).implode())
        )
    )


def standing_for(batch: Batch) -> Callable[[int, int], bool]:
    """Whether an earlier claim (the second) still stands for one of tonight (the first), as far as
    is known: not for what takes its place, nor for what was received after that, unless that
    waits."""
    pended = fates(batch).claims.filter(disposition="pended")["claim_id"]
    acts = acting(batch.corrections, pl.concat([pended, batch.known_to_wait["claim_id"]]))
    acting_ids = set(acts["claim_id"])
    receipts = dict(batch.claims.select("claim_id", "receipt_number").iter_rows())
    takes = set(batch.corrected.select("claim_id", "of_claim_id").iter_rows())
    taken_at: dict[int, int] = {}
    for claim_id, of_claim_id in takes:
        if claim_id in acting_ids:
            taken_at[of_claim_id] = receipts[claim_id]

    def stands(claim_id: int, of_claim_id: int) -> bool:
        receipt = receipts[claim_id]
        return (claim_id, of_claim_id) not in takes and taken_at.get(
            of_claim_id, receipt
        ) >= receipt

    return stands


def misjudged(batch: Batch) -> pl.DataFrame:
    """Of a decided batch the corrections, by ``claim_id``, that were taken to be finalised where
    another claim was compared with what they correct, and then waited."""
    waits = batch.decisions.filter(disposition="pended").select("claim_id")
    known = batch.known_to_wait
    compared = pl.concat(
        [batch.duplicates["of_claim_id"], batch.similar["claim_id"], _beside_stays(batch)]
    ).implode()
    return (
        batch.corrected.join(waits, on="claim_id", how="semi")
        .join(known, on="claim_id", how="anti")
        .filter(pl.col("finalised") & pl.col("of_claim_id").is_in(compared))
        .select("claim_id")
        .unique()
        .sort("claim_id")
    )


def _beside_stays(batch: Batch) -> pl.Series:
    """Claims of facilities that we reopened and whose member has another such claim tonight."""
    if batch.reopened.is_empty():
        return batch.reopened["predecessor_claim_id"]
    of_facility = pl.col("claim_type_code") == "I"
    before = batch.history.filter(of_facility).select("member_id", predecessor_claim_id="claim_id")
    tonight = batch.claims.filter(of_facility).select("member_id", other_claim_id="claim_id")
    return (
        batch.reopened.join(before.unique(), on="predecessor_claim_id")
        .join(tonight, on="member_id")
        .filter(pl.col("other_claim_id") != pl.col("claim_id"))["predecessor_claim_id"]
        .unique()
        .sort()
    )


def carried_out(batch: Batch) -> Batch:
    """The decided batch with what its corrections do: the voids and what waited for a correction
    that is now finalised are ``voided``, what was paid or denied before is in ``reversals``."""
    if batch.corrections.is_empty():
        return batch
    pended = batch.decisions.filter(disposition="pended")["claim_id"]
    acts = acting(batch.corrections, pended)
    replaced = batch.corrected.join(acts.select("claim_id", "remark_code"), on="claim_id")
    voided = pl.concat(
        [
            acts.filter(frequency_code=VOID)["claim_id"],
            replaced.filter(~pl.col("finalised"))["of_claim_id"],
        ]
    )
    is_voided = pl.col("claim_id").is_in(voided.implode())
    amounts = ("allowed_amount", "member_amount", "paid_amount")
    negated = (-pl.col(name) for name in ("charge_amount", "paid_amount"))
    schema = frames.empty(frames.Reversals).schema
    return batch.with_(
        decisions=batch.decisions.with_columns(
            disposition=pl.when(is_voided).then(pl.lit("voided")).otherwise("disposition"),
            pend_codes=pl.when(~is_voided).then("pend_codes"),
            **{name: pl.when(is_voided).then(0).otherwise(name) for name in amounts},
        ),
        lines=batch.lines.with_columns(
            line_disposition=pl.when(is_voided)
            .then(pl.lit("voided"))
            .otherwise("line_disposition"),
            # nobody asked what it is worth
            **{
                name: pl.when(~is_voided).then(name)
                for name in ("allowed_amount", "pricing_method_code", "pricing_inputs")
            },
        ),
        findings=batch.findings.with_columns(
            disposition=pl.when(is_voided & (pl.col("disposition") == "pend"))
            .then(pl.lit("inform"))
            .otherwise("disposition"),
            pend_code=pl.when(~is_voided).then("pend_code"),
        ),
        reversals=replaced.filter("finalised")
        .drop("finalised")
        .join(
            batch.versions.select("payee_id", "program_code", *negated, of_claim_id="claim_id"),
            on="of_claim_id",
        )
        .select(schema.names())
        .sort("of_claim_id"),
    )


def given_back(batch: Batch, taken: pl.DataFrame) -> pl.DataFrame:
    """Of what earlier claims took from counters (``taken``) the rows that tonight's reversals give
    back, negated."""
    counts = {"deductible_amount", "out_of_pocket_amount", "visit_count", "unit_quantity",
              "use_count"}  # fmt: skip
    reversed_claims = batch.reversals["of_claim_id"].implode()
    return taken.filter(pl.col("claim_id").is_in(reversed_claims)).with_columns(
        -pl.col(name) for name in taken.columns if name in counts
    )


def taken_by(batch: Batch, taken: pl.DataFrame) -> Mapping[int, list[dict[str, Any]]]:
    """What each correction that takes a claim's place would give back, by its claim."""
    if taken.is_empty() or batch.corrected.is_empty():
        return {}
    acts = acting(batch.corrections, ())["claim_id"].implode()
    rows = (
        batch.corrected.filter(pl.col("finalised") & pl.col("claim_id").is_in(acts))
        .rename({"claim_id": "by_claim_id"})
        .join(taken, left_on="of_claim_id", right_on="claim_id")
        .sort("by_claim_id", "of_claim_id")
    )
    found: dict[int, list[dict[str, Any]]] = {}
    for row in rows.iter_rows(named=True):
        found.setdefault(row["by_claim_id"], []).append(row)
    return found
