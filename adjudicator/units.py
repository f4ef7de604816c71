"""Units under an authorization: counted in receipt order, claim by claim, up to its limit."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any

import polars as pl

from adjudicator.edits.prior_authorization import TOLD, prior_authorization
from adjudicator.pends import RESOLUTION, waived
from adjudicator.permits import ONE_UNIT, Asked, as_json, asked, finding_of, told_of
from adjudicator.pipeline import Batch
from schemas import frames


class UnitCount:
    """The units under authorizations with a limit, claim by claim in the order asked.

    A line takes all its units from the first of its authorizations that has so many left; one
    that finds none is denied 198, whole [j]; where the edit is waived, it is passed and counts
    nothing.
    """

    def __init__(self, batch: Batch, stands: pl.Series) -> None:
        self.lines = asked(batch, stands, prior_authorization, "authorizations", TOLD)
        self.used: dict[str, int] = dict(
            batch.authorization_units.select("authorization_number", "unit_quantity").iter_rows()
        )
        self._waived = waived(batch.overrides, prior_authorization.name) if self.lines else {}
        self._entries: list[tuple[int, str, int]] = []
        self.told: list[tuple[int, int, str]] = []

    def lacking(self, claim_id: int, without: Set[int]) -> list[dict[str, Any]]:
        """The findings of the claim's lines for which too few units are left."""
        taken, exceeding = _units(self._of(claim_id, without), self.used)
        found = [_exceeding(line, self.used, taken) for line in exceeding]
        if end := self._waived.get(claim_id):
            for each in found:
                inputs = json.loads(each["inputs"]) | {RESOLUTION: end}
                each |= {"disposition": "inform", "group_code": None, "carc": None}
                each["inputs"] = as_json(inputs)
        return found

    def take(self, claim_id: int, without: Set[int]) -> None:
        """Counts the units of the claim's lines, but for those denied."""
        taken, _ = _units(self._of(claim_id, without), self.used)
        of_claim: dict[str, int] = {}
        for line, number, limit in taken:
            self.used[number] = self.used.get(number, 0) + line.unit_quantity
            of_claim[number] = of_claim.get(number, 0) + line.unit_quantity
            told = {"authorization_number": number, "used_quantity": self.used[number],
                    "unit_limit": limit}  # fmt: skip
            self.told.append((claim_id, line.line_number, as_json(told)))
        self._entries += [(claim_id, number, quantity) for number, quantity in of_claim.items()]

    def give_back(self, taken: Mapping[str, Any], sign: int = 1) -> None:
        """Counts the units of an AuthorizationUnitEntries row as not used; with -1 as used."""
        number = taken["authorization_number"]
        if number in self.used:
            self.used[number] -= sign * taken["unit_quantity"]

    def entries(self) -> pl.DataFrame:
        """AuthorizationUnitEntries of what was counted."""
        schema = frames.empty(frames.AuthorizationUnitEntries).schema
        return pl.DataFrame(sorted(self._entries), schema, orient="row")

    def _of(self, claim_id: int, without: Set[int]) -> list[Asked]:
        return [line for line in self.lines.get(claim_id, ()) if line.line_number not in without]


def _units(
    lines: Iterable[Asked], used: Mapping[str, int]
) -> tuple[list[tuple[Asked, str, int]], list[Asked]]:
    """A claim's lines, each with the authorization it takes its units from and the limit of it;
    and the lines for which none has enough left."""
    taken: list[tuple[Asked, str, int]] = []
    exceeding = []
    for line in lines:
        for each in line.permits:
            number, limit = each["authorization_number"], each["unit_limit"]
            if limit is None:
                break
            if _so_far(number, used, taken) + line.unit_quantity <= limit * ONE_UNIT:
                taken.append((line, number, limit))
                break
        else:
            exceeding.append(line)
    return taken, exceeding


def _so_far(number: str, used: Mapping[str, int], taken: Iterable[tuple[Asked, str, int]]) -> int:
    return used.get(number, 0) + sum(line.unit_quantity for line, n, _ in taken if n == number)


def _exceeding(
    line: Asked, used: Mapping[str, int], taken: Sequence[tuple[Asked, str, int]]
) -> dict[str, Any]:
    """The finding of a line for which too few units are left."""
    inputs = {
        "because": "units used up",
        "decision_date": line.day.isoformat(),
        "provider_number": line.provider_number,
        "unit_quantity": line.unit_quantity,
        "authorizations": [
            {**told_of(each), "used_quantity": _so_far(each["authorization_number"], used, taken)}
            for each in line.permits
        ],
    }
    return {
        **finding_of(line, prior_authorization, inputs),
        "group_code": prior_authorization.group_code,
        "carc": "198",
    }
