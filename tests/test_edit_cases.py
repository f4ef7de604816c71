"""Every row of the rules is an edit, and each is seen to hit and to miss through a whole night."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from adjudicator.edits import EDITS
from tests.edit_cases import OF_PLANS, shown
from tests.test_edits import fixture

RULES = Path(__file__).parents[1].parent / "shared" / "RULES.md"
# the rows of the rules in their order, and what builds each
ROWS: dict[str, tuple[str, ...]] = {
    **{
        name: (name,)
        for name in (
            "member_unknown", "coverage", "provider_ineligible", "provider_under_review",
            "carve_out", "hospice", "exact_duplicate", "suspected_duplicate", "timely_filing",
            "referral", "urgent_out_of_network", "prior_authorization", "inpatient_notification",
            "approved_facility", "serious_event", "necessity", "unlisted_code",
            "ambulance_in_stay", "urgent_care", "nutrition", "observation", "ncci",
            "other_payer_unbilled", "accident_primary",
        )
    },
    "plan exclusion, limit": OF_PLANS,
}  # fmt: skip
BUILT = {e.name: e for e in EDITS}


@pytest.mark.skipif(not RULES.is_file(), reason="the rules are not here (../shared/RULES.md)")
def test_rows_are_those_of_the_rules() -> None:
    table = RULES.read_text("utf-8").split("## Deny, pend, reduce")[1].split("\n## ")[0]
    assert [row for row in re.findall(r"^\| ([a-z][a-z_, ]*) \|", table, re.M) if row != "id"] == [
        *ROWS
    ]


def test_rows_stand_in_the_written_order() -> None:
    places = [[*BUILT].index(name) for name in ROWS if name in BUILT]
    assert places == sorted(places)
    # what no row names: what nobody can judge before, and what can't be told from a claim
    assert BUILT.keys() - ROWS.keys() == {"correction", "payee_unknown", "coordination"}


@pytest.mark.parametrize("name", [*BUILT, *OF_PLANS])
def test_each_hits_and_misses_through_a_whole_night(name: str) -> None:
    assert shown()[name], f"no case of fixtures/claims shows {name} with a hit and a miss"


@pytest.mark.parametrize("name", BUILT)
def test_each_hits_and_misses_by_itself(name: str) -> None:
    of_edit = fixture(name)
    assert len(of_edit["hits"]) >= 1
    assert len(of_edit["misses"]) >= 1
