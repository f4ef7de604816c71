"""Claims decided anew under today's reference data: a night of its own, done or only rehearsed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
from sqlalchemy import Connection

from adjudicator import store
from adjudicator.arithmetic import money
from adjudicator.disputes import to_carry_out
from adjudicator.night import Order, Reopening, Summary, rehearsed_night, run_night
from schemas.config import Config

# why claims are decided anew, and what their reversals say
CAUSES = {"coverage": "N687", "rate": "N689", "dispute": "N690", "other-payer": "N696"}
DIGITS = 12
SHOWN = 40  # claims that the screen lists; JSON has all


class ReprocessError(Exception):
    """It can't be done: the message names the claim's number, the cause and the mend."""


@dataclass(frozen=True)
class Selection:
    """Which claims: by number, else all that stand paid or denied and fit."""

    numbers: tuple[str, ...] = ()
    provider: str | None = None
    first: date | None = None
    last: date | None = None
    edit: str | None = None
    plan: str | None = None

    def criteria(self) -> dict[str, Any]:
        return {"provider": self.provider, "first": self.first, "last": self.last,
                "edit": self.edit, "plan": self.plan}  # fmt: skip

    def claims(self, connection: Connection) -> pl.Series:
        """The claims, in receipt order. Raises ReprocessError for a number that names none."""
        if not self.numbers:
            return store.selected(connection, **self.criteria())["claim_id"]
        known = store.versions(connection, self.numbers, (), ())
        for number in self.numbers:
            row = known.filter(claim_number=number)
            if row.is_empty():
                raise ReprocessError(f"claim {number}: the store has no claim of this number")
        return store.selected(connection, numbers=self.numbers)["claim_id"]


@dataclass(frozen=True)
class Effect:
    """What reprocessing comes to, a claim at a time and in all; cents."""

    summary: Summary
    claims: list[dict[str, Any]]
    done: bool  # else only rehearsed

    @property
    def totals(self) -> dict[str, int]:
        back = sum(row["taken_back_amount"] for row in self.claims)
        paid = sum(row["paid_amount"] for row in self.claims)
        return {"claim_count": len(self.claims), "taken_back_amount": back, "paid_amount": paid,
                "net_amount": back + paid}  # fmt: skip

    def as_json(self) -> dict[str, Any]:
        night = self.summary.as_json() if self.done else {}
        return {"done": self.done, "claims": self.claims, "totals": self.totals,
                "review": self.summary.review, **({"night": night} if night else {})}  # fmt: skip

    def as_text(self) -> str:
        head = f"  {'claim':<12}  {'corrects':<12}  {'fate':<8}"
        head += f"{'taken back':>14}{'paid':>14}{'net':>14}"
        out = [
            f"{'Done' if self.done else 'Nothing is written. It would be'}: "
            f"{self.totals['claim_count']:,} claims decided\n",
            head,
        ]
        for row in self.claims[:SHOWN]:
            net = row["taken_back_amount"] + row["paid_amount"]
            out.append(
                f"  {row['claim_number']:<12}  {row['corrects'] or '':<12}  "
                f"{row['disposition']:<8}{money(row['taken_back_amount']):>14}"
                f"{money(row['paid_amount']):>14}{money(net):>14}"
            )
        if len(self.claims) > SHOWN:
            out.append(f"  and {len(self.claims) - SHOWN:,} more: --json lists all")
        of = self.totals
        out.append(
            f"  {'in all':<36}{money(of['taken_back_amount']):>14}{money(of['paid_amount']):>14}"
            f"{money(of['net_amount']):>14}"
        )
        for row in self.summary.review:
            out.append(f"  review claim {row['claim_number']}: touched by {row['because_of']}")
        if self.done:
            out.append(f"\n  {len(self.summary.written)} files in {self.summary.folder}")
        return "\n".join(out)


def reprocess(
    config: Config, day: date, *, selection: Selection | None = None,
    files: Sequence[Path] = (), disputes: bool = False, cause: str = "rate",
    dry_run: bool = False, approve: bool = False,
) -> Effect:  # fmt: skip
    """Decides anew, in a night of its own, the selected claims, those of the files, and as every
    night all that waits. With ``disputes``: the claims of overturned disputes. With ``dry_run``
    nothing of it is written. With ``approve`` a night far off the usual is done all the same.

    Raises ReprocessError; NightError and StoreError as a night does.
    """
    if cause not in CAUSES:
        raise ReprocessError(f"cause {cause}: there is none; use {', '.join(CAUSES)}")
    reopening = None
    if selection is not None:
        words = ("reprocess", *selection.numbers, *map(str, selection.criteria().values()), cause)
        reopening = Reopening(words, selection.claims, CAUSES[cause])
    elif disputes:
        reopening = Reopening(
            ("reprocess", "disputes", *_overturned(config)), _disputed, CAUSES["dispute"]
        )
    elif not files:
        reopening = Reopening(("reprocess", "pended", _acts(config)), _nothing, CAUSES[cause])
    # a rehearsal shows an abnormal night, too
    order = Order(
        tuple(files), config, day, day, reopening=reopening, approve=approve or dry_run
    )  # fmt: skip
    if dry_run:
        with rehearsed_night(order) as (summary, connection):
            return Effect(summary, _effects(connection, summary), done=False)
    summary = run_night(order)
    with store.reading(store.open_store(config.db, create=False)) as connection:
        return Effect(summary, _effects(connection, summary), done=True)


def _effects(connection: Connection, summary: Summary) -> list[dict[str, Any]]:
    return store.effects(connection, summary.run_id).to_dicts()


def _overturned(config: Config) -> list[int]:
    """The disputes ever overturned: after another one, it is another night."""
    with store.reading(store.open_store(config.db, create=False)) as connection:
        events = store.dispute_events(connection)
    return list(events.filter(event="overturned")["dispute_number"].unique().sort())


def _disputed(connection: Connection) -> pl.Series:
    """Of each claim whose dispute was overturned the version that stands, in claim order."""
    known = store.disputes(connection)
    due = to_carry_out(known, store.dispute_events(connection), store.waived_edits(connection))
    numbers = known.join(due, on="dispute_number", how="semi")["claim_number"].unique().sort()
    found = [store.standing_version(connection, number) for number in numbers]
    return pl.Series([c for c in found if c is not None], dtype=pl.Int64).unique().sort()


def _nothing(connection: Connection) -> pl.Series:
    del connection
    return pl.Series([], dtype=pl.Int64)


def _acts(config: Config) -> int:
    """How many acts of people there are: after another one, pended claims are asked anew."""
    with store.reading(store.open_store(config.db, create=False)) as connection:
        return int(connection.exec_driver_sql("SELECT count(*) FROM override").scalar_one())


def claim_number(text: str) -> str:
    """A number as typed, leading zeros or not. Raises ReprocessError where it is none."""
    digits = text.strip()
    if not (digits.isascii() and digits.isdigit() and len(digits) <= DIGITS):
        raise ReprocessError(f"{text!r} is no claim number: write its {DIGITS} digits")
    return digits.zfill(DIGITS)
