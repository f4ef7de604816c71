"""Histories of twelve nights against the books of tests/model/history_model.py, night by night.

    python -m tests.state_machine [--histories 300] [--from 1]

tells how far it is after every ten, and can go on from there. The first difference ends it, made
small, with what happened night by night.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

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
    claim,
    load_world,
    new_world,
)
from tests.model.history_model import Claim, Service

NIGHTS, SEEDED = 12, 10
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
    ended: Callable[[Histories], None] = staticmethod(lambda machine: None)

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp(dir=self.loaded))
        self.world = new_world(self.loaded, self.folder)
        self.nights = 0

    def teardown(self) -> None:
        self.world.close()
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

    def claim(self, data: st.DataObject, what: str, days: int, claims: Sequence[Claim]) -> Claim:
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


def run(
    loaded: Path, histories: int, number: int, phases: Sequence[Phase] = tuple(Phase),
    nights: int = NIGHTS,
) -> None:  # fmt: skip
    """So many histories from a seed; raises what the first that differs says, made small."""
    steps = nights + 1  # the beginning is one
    profile = settings(
        max_examples=histories + 1,  # of each seed the first is the emptiest there is
        stateful_step_count=steps, deadline=None, database=None, phases=phases,
        suppress_health_check=list(HealthCheck), print_blob=False,
    )  # fmt: skip
    machine = type("Histories", (Histories,), {"loaded": loaded})
    run_state_machine_as_test(seed(number)(machine), settings=profile, _min_steps=steps)


def main() -> int:
    parser = argparse.ArgumentParser(description="Histories of nights against the plain model.")
    parser.add_argument("--histories", type=int, default=300, help="how many (300)")
    parser.add_argument("--from", type=int, default=1, dest="first", help="go on from this one (1)")
    asked = parser.parse_args()
    began, done = time.monotonic(), asked.first - 1
    claims = corrections = 0

    def ended(machine: Histories) -> None:
        nonlocal claims, corrections
        books = machine.world.books
        claims += len(books.claims)
        corrections += sum(c.act != "1" for c in books.claims)

    Histories.ended = staticmethod(ended)
    with tempfile.TemporaryDirectory() as folder:
        loaded = load_world(Path(folder))
        while done < asked.histories:
            # a seed is ten histories, so that it tells the same whatever is asked for
            number = done // SEEDED + 1
            run(loaded, SEEDED, number)
            done = number * SEEDED
            print(
                f"{done} histories of {NIGHTS} nights: {claims:,} claims, {corrections:,} of them "
                f"corrections or reprocessed, no difference; {time.monotonic() - began:.0f} s",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
