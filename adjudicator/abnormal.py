"""Whether a night is far off the usual, as the nights before it tell: volume and dollars."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection

from adjudicator import store
from adjudicator.arithmetic import money
from schemas.config import Config

LOOKED_AT = 5  # nights for each that counts: those without any claim are passed over


@dataclass(frozen=True)
class Abnormal:
    """A figure of tonight above ``limit``; ``median`` of ``nights`` nights. Claims or cents."""

    figure: str
    tonight: int
    median: int
    limit: int
    nights: int

    def sentence(self) -> str:
        told = money if self.figure == "paid_amount" else "{:,}".format
        what = "paid to providers" if self.figure == "paid_amount" else "claims received"
        return (
            f"{told(self.tonight)} {what}, above {told(self.limit)}; the median of the last "
            f"{self.nights} nights is {told(self.median)}"
        )

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def abnormal(
    connection: Connection, config: Config, *, claim_count: int, paid_amount: int
) -> list[Abnormal]:
    """The figures of tonight that are above ``abnormal_times`` the median and above their floor.

    The usual is told by the last ``usual_nights`` nights of the audit trail in which the figure
    was not 0; with fewer than ``usual_nights_least`` of them nothing is abnormal. The median of
    an even number is the higher of the middle two.
    """
    floors = {
        "claim_count": (claim_count, config.abnormal_claim_count),
        "paid_amount": (paid_amount, config.abnormal_paid_amount),
    }
    if all(tonight <= floor for tonight, floor in floors.values()):
        return []
    looked_at = LOOKED_AT * config.usual_nights
    past = [json.loads(detail) for detail in store.details_of(connection, "decided", looked_at)]
    figures = {
        "claim_count": [night["received"]["count"] for night in past],
        "paid_amount": [night["paid_amount"] for night in past],
    }
    found = []
    for figure, (tonight, floor) in floors.items():
        usual = sorted([value for value in figures[figure] if value][: config.usual_nights])
        if len(usual) < config.usual_nights_least:
            continue
        median = usual[len(usual) // 2]
        limit = max(floor, config.abnormal_times * median)
        if tonight > limit:
            found.append(Abnormal(figure, tonight, median, limit, len(usual)))
    return found
