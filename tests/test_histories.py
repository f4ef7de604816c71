"""Histories of twelve nights against the books of tests/model/history_model.py, night by night.

    python -m tests.test_histories [--histories 300] [--from 1]

runs histories by their numbers, so that it can be taken up again where it stopped; a number is the
seed of ten histories.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from adjudicator import night
from tests.histories import (
    ALWAYS,
    CENTER,
    DRAW,
    FEES,
    IMAGING,
    MEMBERS,
    SPECIALIST,
    THERAPY,
    VISIT,
    World,
    claim,
    load_world,
    new_world,
)
from tests.model.history_model import Claim, Service

NIGHTS = 12
# most histories go on at a quick pace, through the end of a year, and some pends lapse
DAYS = st.sampled_from([1, 1, 1, 2, 5, 9, 30])
BEFORE = st.sampled_from([1, 2, 3, 3, 8, 40, 59, 60, 61])  # a service's day, before the night
OFFERED = {CENTER: [VISIT, IMAGING, THERAPY, DRAW], SPECIALIST: [VISIT, IMAGING]}
CHARGES = st.sampled_from([4_000, 9_000, 15_000, 25_000])
UNITS = st.sampled_from([1, 1, 1, 2])
SENT = ["new", "new", "new", "again", "7", "7", "8", "5"]
LOADED = ["fees", "coverage", "referrals", "referrals", "authorizations"]


class Histories(RuleBasedStateMachine):
    """Each step is a night: what is loaded before it and what comes in, or what is reprocessed."""

    loaded: Path
    ended = staticmethod(lambda machine: None)

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp(dir=self.loaded))
        self.world = new_world(self.loaded, self.folder)
        self.nights = 0

    def teardown(self) -> None:
        self.world.engine.dispose()
        shutil.rmtree(self.folder, ignore_errors=True)
        type(self).ended(self)

    @rule(data=st.data(), days=DAYS, sent=st.lists(st.sampled_from(SENT), max_size=6),
          loaded=st.lists(st.sampled_from(LOADED), max_size=2))  # fmt: skip
    def a_night(
        self, data: st.DataObject, days: int, sent: Sequence[str], loaded: Sequence[str]
    ) -> None:
        self.load(data, loaded)
        claims: list[Claim] = []
        for what in sent:
            claims.append(self.claim(data, what, days, claims))
        self.world.pass_night(claims, days)
        self.nights += 1

    @rule(data=st.data(), days=DAYS, loaded=st.lists(st.sampled_from(LOADED), max_size=2))
    def a_night_of_reprocessing(
        self, data: st.DataObject, days: int, loaded: Sequence[str]
    ) -> None:
        self.load(data, loaded)
        numbers = [c.number for c in self.world.books.claims]
        if numbers:
            all_of_them = data.draw(st.integers(0, 3)) == 3
            few = st.lists(st.sampled_from(numbers), min_size=1, max_size=3, unique=True)
            asked = numbers if all_of_them else data.draw(few, label="reprocessed")
            self.world.reprocess(asked, days)
        else:
            self.world.pass_night([], days)
        self.nights += 1

    # ---- what comes in -----------------------------------------------------------------------

    def claim(
        self, data: st.DataObject, what: str, days: int, claims: Sequence[Claim]
    ) -> Claim:
        books, received = self.world.books, self.world.day + timedelta(days)
        known = [*books.claims, *claims]
        if what == "new" or (what == "again" and not known):
            member = data.draw(st.sampled_from(list(MEMBERS)))
            payee, kind = data.draw(
                st.sampled_from([(CENTER, "P"), (CENTER, "I"), (SPECIALIST, "P")])
            )
            services = self.services(data, payee, received)
            return claim(books, len(claims), member, payee, kind, services, received)
        if not known:
            services = self.services(data, CENTER, received)
            return claim(books, len(claims), "MHA", CENTER, "P", services, received, what,
                         "00000990")  # fmt: skip
        of = known[data.draw(st.integers(0, len(known) - 1), label=what)]
        services = of.services
        if data.draw(st.booleans()):
            services = self.services(data, of.payee, received, of.services)
        if what == "again":
            return claim(books, len(claims), of.member, of.payee, of.kind, services, received)
        member, payee = of.member, of.payee
        original: str | None = of.number[-8:]
        turn = data.draw(st.integers(0, 19))
        if turn == 0:
            original = "00000990"  # there is none
        elif turn == 1:
            original = of.number
        elif turn == 2:
            member = data.draw(st.sampled_from(list(MEMBERS)))
        elif turn == 3 and {s.code for s in services} <= {VISIT, IMAGING}:
            payee = CENTER
        elif turn < 8 and what == "5":
            original = None
        kind = of.kind if payee == of.payee else "P"
        return claim(books, len(claims), member, payee, kind, services, received, what, original)

    def services(
        self, data: st.DataObject, payee: str, received: Any, of: Sequence[Service] = ()
    ) -> list[Service]:
        """One or two lines; of those given, one changed in one thing or another."""
        if of:
            at = data.draw(st.integers(0, len(of) - 1))
            old, out = of[at], list(of)
            what = data.draw(st.sampled_from(["charge", "units", "modifier", "day", "code"]))
            out[at] = Service(
                data.draw(st.sampled_from(OFFERED[payee])) if what == "code" else old.code,
                data.draw(CHARGES) if what == "charge" else old.charge,
                received - timedelta(data.draw(BEFORE)) if what == "day" else old.day,
                3 - old.units if what == "units" else old.units,
                "76" if what == "modifier" else old.modifier,
            )
            return out
        return [
            Service(
                data.draw(st.sampled_from(OFFERED[payee])),
                data.draw(CHARGES),
                received - timedelta(data.draw(BEFORE)),
                data.draw(UNITS),
            )
            for _ in range(data.draw(st.integers(1, 2)))
        ]

    # ---- what is loaded ----------------------------------------------------------------------

    def load(self, data: st.DataObject, loaded: Sequence[str]) -> None:
        books = self.world.books
        for what in loaded:
            member = data.draw(st.sampled_from(list(MEMBERS)), label=what)
            if what == "fees":
                service = data.draw(st.sampled_from(list(FEES)))
                fee = data.draw(st.sampled_from([None, 2_567, FEES[service], 11_111]))
                books.fees.pop(service, None)
                if fee is not None:
                    books.fees[service] = fee
            elif what == "coverage":
                first, last = ALWAYS
                day = self.world.day - timedelta(data.draw(BEFORE))
                books.coverage[member] = data.draw(
                    st.sampled_from(
                        [
                            [ALWAYS],
                            [(first, day)],
                            [(day, last)],
                            [(first, day - timedelta(2)), (day, last)],
                        ]
                    )
                )
            elif what == "referrals":
                books.referrals[f"R{member}"] = (member, data.draw(st.integers(1, 3)))
            else:
                books.authorizations[f"A{member}"] = (member, data.draw(st.integers(1, 6)))
        if loaded:
            self.world.load(*loaded)


def run(loaded: Path, histories: int, number: int, phases: Sequence[Phase] = tuple(Phase)) -> None:
    """So many histories from a seed; raises what the first that differs says, made small."""
    # of each seed the first is the emptiest there is
    profile = settings(
        max_examples=histories + 1, stateful_step_count=NIGHTS, deadline=None, database=None,
        phases=phases, suppress_health_check=list(HealthCheck), print_blob=False,
    )  # fmt: skip
    machine = type("Histories", (Histories,), {"loaded": loaded})
    run_state_machine_as_test(seed(number)(machine), settings=profile)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return load_world(tmp_path_factory.mktemp("world"))


def test_three_histories(loaded: Path) -> None:
    run(loaded, 3, 1)
