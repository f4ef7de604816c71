"""Which claims of fixtures/claims show an edit through a whole night, told by their golden files.

    python -m tests.edit_cases

prints a row an edit: the claims it denies or pends, and those beside them that it lets pass.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import takewhile
from typing import NamedTuple

from adjudicator.edits import EDITS
from adjudicator.programs import load_programs
from tests.case_tools import cases, nights

# what a plan's terms find has no edit of its own
OF_PLANS = ("plan_exclusion", "plan_limit")


# patient control number, program, the edits that deny or pend
Row = tuple[str, str, list[str]]


class Shown(NamedTuple):
    """A claim that an edit denies or pends, and one, of the same night where there is one, that it
    is asked of and lets pass."""

    case: str
    hit: str
    miss: str


@cache
def shown() -> dict[str, tuple[Shown, ...]]:
    """By edit, in the written order and then OF_PLANS: every hit, with the miss of its night whose
    number is most like its own."""
    found: dict[str, list[Shown]] = {e.name: [] for e in EDITS} | {name: [] for name in OF_PLANS}
    told = [*_nights()]
    for edit, of_edit in found.items():
        everywhere = [number for _, rows in told for number in _passed(edit, rows)]
        for case, rows in told:
            # a case of one claim is seen beside those of the other cases
            misses = _passed(edit, rows) or everywhere
            hits = [number for number, _, edits in rows if edit in edits]
            of_edit += [Shown(case, hit, _nearest(hit, misses)) for hit in hits]
    return {edit: tuple(of_edit) for edit, of_edit in found.items()}


def _passed(edit: str, rows: Sequence[Row]) -> list[str]:
    return [
        number
        for number, program, edits in rows
        if edit not in edits and (edit in OF_PLANS or edit in _asked(program))
    ]


def _nearest(hit: str, misses: list[str]) -> str:
    def alike(miss: str) -> int:
        return sum(
            1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(hit, miss, strict=False))
        )

    return max(misses, key=alike)


@cache
def _asked(program: str) -> tuple[str, ...]:
    return load_programs()[program].edits


def _nights() -> Iterator[tuple[str, list[Row]]]:
    """The claims of each night of each case."""
    for case in cases():
        for night in nights(case):
            with (night.expected / "claims.csv").open(encoding="utf-8", newline="") as file:
                rows = [
                    (row["patient_control_number"], row["program_code"], row["reasons"].split())
                    for row in csv.DictReader(file)
                    if row["disposition"] in ("paid", "denied", "pended")
                ]
            yield case, rows


if __name__ == "__main__":
    for name, of_edit in shown().items():
        print(name, len(of_edit), *(f"{s.case}: {s.hit} / {s.miss}" for s in of_edit), sep="\n  ")
