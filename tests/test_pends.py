"""Pends: since when, until when, into what; released and denied by people; what the store keeps."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner

import cli
from adjudicator import pend_desk as desk
from adjudicator import store
from adjudicator.edits import edits
from adjudicator.explain import UnknownClaimError, as_text, explain
from adjudicator.fate import fates
from adjudicator.night import Order, Summary, run_night
from adjudicator.pends import pend_terms, resolved, waiting
from adjudicator.pipeline import Batch
from adjudicator.programs import load_adjustment_codes, load_message_codes, load_programs
from adjudicator.reference import Reference
from adjudicator.stages.benefits import benefits
from adjudicator.stages.match import match
from adjudicator.stages.settle import settle
from adjudicator.store import dialect
from schemas import frames
from schemas.config import Config
from tests import build, model
from tests.case_tools import CLAIMS, FIRST_NIGHT, load_store
from tests.model import Row
from tests.test_referral import PLAN, referral, visit

BEGAN = date(2025, 2, 1)
SHIPPED = load_programs()
AUREQ: dict[str, Any] = {
    "pend_code": "AUREQ",
    "start_date": date(2024, 1, 1),
    "owner": "referrals",
    "next_action": "ask for it",
    "days": 30,
    "judgement": True,
    "denials": [
        {"group_code": "PR", "carc": "287", "at_lapse": True, "because": "visits used up"},
        {"group_code": "PR", "carc": "288", "at_lapse": True},
    ],
}
REVIEW: dict[str, Any] = {**AUREQ, "pend_code": "REVIEW", "owner": "reviewers",
                          "denials": [{"group_code": "CO", "carc": "50"}]}  # fmt: skip


def held(day: date, *referrals: Row, pends: Sequence[Row] = (AUREQ, REVIEW)) -> Reference:
    """The HMO of test_referral on that business date."""
    program = build.program(edits=("referral",), plans={"hmo": PLAN}, pends=pends)
    return build.reference(program, referrals=referrals, business_date=day)


def opened(*rows: tuple[int, str, date]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=frames.empty(frames.OpenPends).schema, orient="row")


def acts(*rows: Row) -> pl.DataFrame:
    defaults = {"claim_id": 1, "made_date": BEGAN, "made_by": "J. Examiner", "note": "seen"}
    numbered = [{"override_number": n, **row} for n, row in enumerate(rows, start=1)]
    return build.frame(frames.Overrides, numbered, defaults)


RELEASED: Row = {"act": "released", "edit": "referral"}
DENIED: Row = {"act": "denied", "pend_code": "AUREQ", "group_code": "PR", "carc": "288"}


def decided(
    lines: Sequence[Row], reference: Reference, pends: pl.DataFrame | None = None,
    overrides: pl.DataFrame | None = None, findings: Sequence[Row] = (), **others: Any,
) -> Batch:  # fmt: skip
    batch = model.night(lines, findings=findings).with_(
        open_pends=opened() if pends is None else pends,
        overrides=acts() if overrides is None else overrides,
        **others,
    )
    shared = settle(benefits(edits(batch, reference), reference), reference)
    tonight = waiting(shared, reference)
    frames.Pends.validate(tonight)
    return shared.with_(pends=tonight)


def lives(batch: Batch) -> list[tuple[Any, ...]]:
    return batch.pends.select("claim_id", "pend_code", "state", "began_date", "lapse_date").rows()


def first_codes(batch: Batch) -> list[tuple[Any, ...]]:
    return fates(batch).lines.select("line_disposition", "group_code", "carc").rows()


# ---- since when, until when ------------------------------------------------------------------


def test_a_pend_begins_on_the_first_night_and_keeps_that_day() -> None:
    batch = decided([visit(1, 6)], held(BEGAN))
    until = BEGAN + timedelta(days=30)
    assert lives(batch) == [(1, "AUREQ", "waits", BEGAN, until)]
    assert batch.pends["owner"].to_list() == ["referrals"]
    next_night = decided(
        [visit(1, 6)], held(BEGAN + timedelta(days=1)), opened((1, "AUREQ", BEGAN))
    )
    assert lives(next_night) == lives(batch)


@pytest.mark.parametrize(
    ("days", "fate", "state"),
    [(29, ("pended", None, None), "waits"), (30, ("denied", "PR", "288"), "lapsed"),
     (31, ("denied", "PR", "288"), "lapsed")],
)  # fmt: skip
def test_it_lapses_on_its_last_day_and_not_before(days: int, fate: Any, state: str) -> None:
    day = BEGAN + timedelta(days=days)
    batch = decided([visit(1, 6)], held(day), opened((1, "AUREQ", BEGAN)))
    assert first_codes(batch) == [fate]
    assert lives(batch)[0][2:4] == (state, BEGAN)
    if state == "lapsed":
        [inputs] = [json.loads(x) for x in batch.findings["inputs"]]
        assert inputs["resolution"] == {
            "act": "lapsed", "date": "2025-03-03", "began_date": "2025-02-01", "days": 30,
        }  # fmt: skip
        assert inputs["because"] == "no referral"
        assert batch.adjustments.select("group_code", "carc", "adjustment_amount").rows() == [
            ("PR", "288", 10_000)
        ]


def test_what_arrives_on_the_last_day_is_in_time() -> None:
    day = BEGAN + timedelta(days=30)
    batch = decided([visit(1, 6)], held(day, referral(limit=None)), opened((1, "AUREQ", BEGAN)))
    assert first_codes(batch) == [("paid", None, None)]
    assert lives(batch) == [(1, "AUREQ", "ended", BEGAN, day)]


def test_visits_used_up_lapse_into_their_own_denial_and_the_rest_of_the_claim_counts() -> None:
    """One visit is left; the claim asks for two. On its last day the second is denied 287 and the
    first is paid by the visit that is left; a later claim finds none."""
    lines = [visit(1, 6), visit(1, 7), visit(2, 8)]
    day = BEGAN + timedelta(days=30)
    before = opened((1, "AUREQ", BEGAN))
    batch = decided(lines, held(day, referral(limit=1)), before)
    assert first_codes(batch) == [
        ("paid", None, None), ("denied", "PR", "287"), ("pended", None, None),
    ]  # fmt: skip
    assert batch.referral_visit_entries.select("claim_id", "visit_date").rows() == [
        (1, date(2025, 1, 6))
    ]
    assert lives(batch)[0][1:3] == ("AUREQ", "lapsed")
    waits = decided(lines, held(day - timedelta(days=1), referral(limit=1)), before)
    assert [row[0] for row in first_codes(waits)] == ["pended", "pended", "paid"]


def test_a_pend_without_such_a_denial_stays_and_is_overdue() -> None:
    review = [{"claim_id": 1, "disposition": "pend", "pend_code": "REVIEW", "edit_rank": 5}]
    free = visit(1, 6, network_code="in")
    for days, overdue in ((29, False), (30, True), (400, True)):
        batch = decided([free], held(BEGAN + timedelta(days=days)), opened((1, "REVIEW", BEGAN)),
                        findings=review)  # fmt: skip
        assert batch.pends.select("state", "overdue").rows() == [("waits", overdue)]
        assert first_codes(batch)[0][0] == "pended"


def test_terms_are_those_of_the_day_the_pend_began() -> None:
    later = {**AUREQ, "start_date": date(2025, 2, 2), "days": 10}
    both = ({**AUREQ, "end_date": date(2025, 2, 1)}, later)
    for began, last in ((BEGAN, date(2025, 3, 3)), (date(2025, 2, 2), date(2025, 2, 12))):
        before = opened((1, "AUREQ", began))
        eve = decided([visit(1, 6)], held(last - timedelta(days=1), pends=both), before)
        assert lives(eve) == [(1, "AUREQ", "waits", began, last)]
        assert first_codes(decided([visit(1, 6)], held(last, pends=both), before)) == [
            ("denied", "PR", "288")
        ]


def test_a_program_without_terms_for_a_code_keeps_it_for_ever() -> None:
    batch = decided([visit(1, 6)], held(date(2030, 1, 1), pends=()), opened((1, "AUREQ", BEGAN)))
    assert batch.pends.select("state", "owner", "lapse_date", "overdue").rows() == [
        ("waits", None, None, False)
    ]


def test_a_lapsed_pend_stays_lapsed_while_the_claim_waits_for_something_else() -> None:
    lines = [visit(1, 6), visit(1, 6, network_code="in", allowed_amount=None)]
    day = BEGAN + timedelta(days=30)
    first = decided(lines, held(day), opened((1, "AUREQ", BEGAN), (1, "REFERENCE", day)))
    assert fates(first).claims["pend_codes"].to_list() == ["REFERENCE"]
    assert [row[1:4] for row in lives(first)] == [
        ("AUREQ", "lapsed", BEGAN), ("REFERENCE", "waits", day),
    ]  # fmt: skip
    kept = first.pends.select("claim_id", "pend_code", "began_date")
    again = decided(lines, held(day + timedelta(days=1)), kept)
    assert fates(again).claims["pend_codes"].to_list() == ["REFERENCE"]
    assert lives(again) == lives(first)


def test_an_interruption_begins_anew_but_our_own_failure_is_none() -> None:
    day = BEGAN + timedelta(days=9)
    free = [visit(1, 6, network_code="in", allowed_amount=None)]
    gone = decided(free, held(day), opened((1, "AUREQ", BEGAN)))
    assert [row[1:4] for row in lives(gone)] == [
        ("AUREQ", "ended", BEGAN), ("REFERENCE", "waits", day),
    ]  # fmt: skip
    failed = [{"claim_id": 1, "disposition": "pend", "pend_code": "SYSTEM", "edit_rank": 0}]
    broken = decided([visit(1, 6, network_code="in")], held(day), opened((1, "AUREQ", BEGAN)),
                     findings=failed)  # fmt: skip
    assert [row[1:4] for row in lives(broken)] == [
        ("AUREQ", "waits", BEGAN), ("SYSTEM", "waits", day),
    ]  # fmt: skip


# ---- acts ------------------------------------------------------------------------------------


def test_a_release_passes_the_edit_and_nothing_else() -> None:
    day = BEGAN + timedelta(days=1)
    before = opened((1, "AUREQ", BEGAN), (2, "AUREQ", BEGAN))
    batch = decided([visit(1, 6), visit(2, 6)], held(day), before, acts(RELEASED))
    # in the network's terms, as with a referral: 15.00
    assert [row[0] for row in first_codes(batch)] == ["paid", "pended"]
    assert batch.lines["copay_amount"].to_list() == [1_500, 0]
    [told] = batch.findings.filter(claim_id=1).to_dicts()
    assert (told["disposition"], told["pend_code"]) == ("inform", "AUREQ")
    assert json.loads(told["inputs"])["resolution"] == {
        "act": "released", "date": "2025-02-01", "by": "J. Examiner", "note": "seen",
    }  # fmt: skip
    assert [row[:3] for row in lives(batch)] == [(1, "AUREQ", "released"), (2, "AUREQ", "waits")]


def test_released_visits_used_up_are_paid_and_count_nothing() -> None:
    lines = [visit(1, 6), visit(1, 7), visit(2, 8)]
    used = build.frame(frames.ReferralVisits, [{"referral_number": "R1", "visit_count": 1}])
    batch = decided(
        lines, held(BEGAN, referral(limit=2)), opened((1, "AUREQ", BEGAN)), acts(RELEASED),
        referral_visits=used,
    )  # fmt: skip
    assert [row[0] for row in first_codes(batch)] == ["paid", "paid", "pended"]
    assert batch.referral_visit_entries.select("visit_date", "visit_count").rows() == [
        (date(2025, 1, 6), 1)
    ]


def test_a_denial_is_of_the_lines_that_wait() -> None:
    lines = [visit(1, 6), visit(1, 6, network_code="in")]
    batch = decided(lines, held(BEGAN), opened((1, "AUREQ", BEGAN)), acts(DENIED))
    assert first_codes(batch) == [("denied", "PR", "288"), ("paid", None, None)]
    assert lives(batch)[0][1:3] == ("AUREQ", "denied")


def test_the_last_act_counts_and_comes_before_the_lapse() -> None:
    day, before = BEGAN + timedelta(days=30), opened((1, "AUREQ", BEGAN))
    fate = {"released": "paid", "denied": "denied"}
    for one, other in ((RELEASED, DENIED), (DENIED, RELEASED)):
        batch = decided([visit(1, 6)], held(day), before, acts(one, other))
        assert first_codes(batch)[0][0] == fate[other["act"]]
    other_codes = acts({**DENIED, "group_code": "CO", "carc": "50"})
    assert first_codes(decided([visit(1, 6)], held(day), before, other_codes)) == [
        ("denied", "CO", "50")
    ]


def test_an_act_on_another_edit_or_code_changes_nothing() -> None:
    others = acts({**RELEASED, "edit": "coverage"}, {**DENIED, "pend_code": "REVIEW"},
                  {**RELEASED, "claim_id": 2})  # fmt: skip
    batch = decided([visit(1, 6)], held(BEGAN), opened((1, "AUREQ", BEGAN)), others)
    assert first_codes(batch) == [("pended", None, None)]


def test_a_note_is_data_whatever_it_holds() -> None:
    note = 'said "no", {x} \\ é,\u202e'
    batch = decided([visit(1, 6)], held(BEGAN), opened((1, "AUREQ", BEGAN)),
                    acts({**RELEASED, "note": note}))  # fmt: skip
    assert json.loads(batch.findings["inputs"][0])["resolution"]["note"] == note


def test_released_from_suspicion_a_line_is_asked_again_for_its_equal() -> None:
    """Its equal has been paid meanwhile: exact_duplicate denies what suspected_duplicate let go."""
    program = build.program(edits=("exact_duplicate", "suspected_duplicate"))
    reference = build.reference(program)
    history = {"claim_number": "000000000090", "receipt_number": 0, "line_disposition": "paid",
               "member_id": "M1", "provider_number": "2000000010", "procedure_code": "99213",
               "charge_amount": 10_000, "service_from_date": date(2025, 1, 10),
               "service_through_date": date(2025, 1, 10)}  # fmt: skip
    other = {**history, "claim_id": 90, "line_number": 1, "unit_quantity": 2_000}
    equal = {**history, "claim_id": 91, "line_number": 1, "unit_quantity": 1_000}
    released = acts({**RELEASED, "edit": "suspected_duplicate"})
    for known, expected in (([other], None), ([other, equal], "18")):
        batch = Batch(
            build.claims([{}]), build.lines([{}]), overrides=released,
            history=build.frame(frames.HistoryLines, known),
        )  # fmt: skip
        found = edits(match(batch, reference), reference)
        assert fates(found).lines["carc"].to_list() == [expected]
        assert found.findings.filter(disposition="pend").is_empty()


def test_nothing_to_end_leaves_the_findings_alone() -> None:
    batch = model.night([visit(1, 6)])
    row = {"claim_id": 1, "edit": "x", "edit_rank": 1, "disposition": "pend", "pend_code": "AUREQ"}
    found = build.frame(frames.Findings, [row])
    assert resolved(found, batch, held(BEGAN)) is found
    with_acts = batch.with_(overrides=acts(RELEASED))
    assert resolved(found, with_acts, held(BEGAN)).equals(found)
    without_inputs = acts({**RELEASED, "edit": "x"})
    [told] = resolved(found, batch.with_(overrides=without_inputs), held(BEGAN)).to_dicts()
    assert told["disposition"] == "inform"
    assert list(json.loads(told["inputs"])) == ["resolution"]


# ---- what the shipped programs say -----------------------------------------------------------


@pytest.mark.parametrize("program", SHIPPED.values(), ids=list(SHIPPED))
def test_every_pend_of_a_shipped_program_is_looked_after(program: Any) -> None:
    codes = {m.code for m in load_message_codes().values() if m.kind == "pend"} - {"RECEIVED"}
    for code in codes:
        terms = pend_terms(program, code, date(2025, 1, 1))
        assert terms, f"{program.program_code}: no terms for {code}"
        assert terms.owner
        assert terms.days
        assert re.match(r"[a-z]", terms.next_action)
    for terms in program.pends:
        for denial in terms.denials:
            found = load_adjustment_codes()[denial.carc]
            assert found.only_group in (None, denial.group_code)


def test_without_a_referral_the_member_owes_it_after_thirty_days() -> None:
    terms = pend_terms(SHIPPED["carepartners"], "AUREQ", FIRST_NIGHT)
    assert terms is not None
    assert terms.days == 30
    assert [(d.group_code, d.carc, d.because) for d in terms.denials if d.at_lapse] == [
        ("PR", "287", "visits used up"), ("PR", "288", None),
    ]  # fmt: skip


# ---- through the store and the command -------------------------------------------------------


@pytest.fixture(scope="module")
def first_night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store after the first night of two cases: referrals that lack, and suspected duplicates."""
    folder = tmp_path_factory.mktemp("first")
    load_store(folder / "a.db")
    for case in ("lapsed-referral", "suspected-duplicate"):
        path = folder / f"{case}.837"
        path.write_bytes((CLAIMS / case / "claim.837").read_bytes())
    night(folder, FIRST_NIGHT, "lapsed-referral.837", "suspected-duplicate.837")
    return folder


@pytest.fixture
def place(first_night: Path, tmp_path: Path) -> Path:
    """That store and what it published, to be gone on with."""
    return shutil.copytree(first_night, tmp_path / "place")


def night(place: Path, day: date, *names: str) -> Summary:
    config = Config(db=f"sqlite:///{place / 'a.db'}", out=place / "out")
    return run_night(Order(tuple(place / n for n in names), config, day, day))


def numbers(place: Path) -> dict[str, str]:
    with store.reading(store.open_store(f"sqlite:///{place / 'a.db'}")) as connection:
        rows = connection.exec_driver_sql("SELECT patient_control_number, claim_number FROM claim")
        return {row[0]: row[1] for row in rows.all()}


def fate(place: Path, name: str) -> tuple[Any, ...]:
    with store.reading(store.open_store(f"sqlite:///{place / 'a.db'}")) as connection:
        told = explain(connection, numbers(place)[name])
        return (told.claim["disposition"], [
            f"{a['group_code']}-{a['carc']} {a['adjustment_amount']}" for a in told.adjustments
        ])  # fmt: skip


def command(place: Path, *arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(cli.app, ["pends", *arguments, "--db", f"sqlite:///{place / 'a.db'}"])
    return done.exit_code, done.stdout, done.stderr


def listed(place: Path, *arguments: str) -> list[dict[str, Any]]:
    code, out, _ = command(place, "list", "--json", *arguments)
    assert code == 0
    return list(json.loads(out))


WHO = ("--who", "J. Examiner", "--business-date", "2025-11-16")


def test_a_release_takes_effect_the_next_night_and_is_told(place: Path) -> None:
    number = numbers(place)["SD-UNIT"]
    code, out, _ = command(place, "release", number, "--finding", "suspected_duplicate",
                           "--note", "two readings", *WHO)  # fmt: skip
    assert (code, out) == (0, (
        f"claim {number}, line 1: suspected_duplicate is passed from the next night on\n"
        "  (act 1, J. Examiner, 2025-11-16)\n"
    ))  # fmt: skip
    assert fate(place, "SD-UNIT")[0] == "pended"  # until that night
    night(place, date(2025, 11, 16))
    # two units at 15.20 of 60.00 (fixtures/reference/fees.csv): 60.00 - 30.40 = 29.60
    assert fate(place, "SD-UNIT") == ("paid", ["CO-45 2960"])
    assert fate(place, "SD-CHARGE")[0] == "pended"
    with store.reading(store.open_store(f"sqlite:///{place / 'a.db'}")) as connection:
        text = as_text(explain(connection, number))
        history = store.pend_history(connection, explain(connection, number).claim["claim_id"])
        acts = connection.exec_driver_sql(
            "SELECT what, detail FROM audit WHERE what LIKE 'pend%' ORDER BY sequence_number"
        ).all()
        assert store.broken_audit(connection) is None
    assert "released by J. Examiner on 2025-11-16: two readings" in text
    assert history.select("business_date", "state").rows() == [
        (FIRST_NIGHT, "waits"), (date(2025, 11, 16), "released"),
    ]  # fmt: skip
    [(what, detail)] = acts
    assert what == "pend released"
    assert json.loads(detail).items() >= {
        ("claim_number", number), ("edit", "suspected_duplicate"), ("made_by", "J. Examiner"),
        ("note", "two readings"), ("made_date", "2025-11-16"),
    }  # fmt: skip


def test_a_denial_takes_effect_the_next_night(place: Path) -> None:
    number = numbers(place)["SD-UNIT"]
    assert command(place, "deny", number, "--carc", "18", "--note", "one reading", *WHO)[0] == 0
    assert command(place, "deny", numbers(place)["HL-LAPSE"], "--carc", "288",
                   "--note", "nobody refers", *WHO)[0] == 0  # fmt: skip
    night(place, date(2025, 11, 16))
    assert fate(place, "SD-UNIT") == ("denied", ["OA-18 6000"])
    assert fate(place, "HL-LAPSE") == ("denied", ["PR-288 15000"])
    assert fate(place, "HL-IN-TIME")[0] == "pended"
    with store.reading(store.open_store(f"sqlite:///{place / 'a.db'}")) as connection:
        [found] = explain(connection, numbers(place)["HL-LAPSE"]).findings
    # the sentence that makes it the member's stands beside the edit's own
    assert [c["lines"] for c in found["cites"]] == [[1493, 1494], [863, 864]]


@pytest.mark.parametrize(("day", "lapsed"), [(14, False), (15, True)])
def test_thirty_days_after_the_first_night_whatever_nights_lie_between(
    place: Path, day: int, lapsed: bool
) -> None:
    night(place, date(2025, 11, 30))
    night(place, date(2025, 12, day))
    expected: tuple[str, list[str]] = ("denied", ["PR-288 15000"]) if lapsed else ("pended", [])
    assert fate(place, "HL-LAPSE") == expected
    assert fate(place, "HL-VISIT-2")[1] == (["PR-287 15000"] if lapsed else [])
    overdue = {row["claim_number"] for row in listed(place, "--overdue")}
    mine = numbers(place)
    assert (mine["SD-UNIT"] in overdue) == lapsed  # a suspicion lapses into nothing
    assert mine["HL-LAPSE"] not in overdue
    with store.reading(store.open_store(f"sqlite:///{place / 'a.db'}")) as connection:
        text = as_text(explain(connection, mine["HL-LAPSE"]))
    told = "it waited for AUREQ since 2025-11-15 and lapsed on 2025-12-15, 30 days later"
    assert (told in " ".join(text.split())) == lapsed


def test_every_night_leaves_a_row_of_every_pend_that_stood(place: Path) -> None:
    for day in (16, 17):
        night(place, date(2025, 11, day))
    with store.reading(store.open_store(f"sqlite:///{place / 'a.db'}")) as connection:
        rows = store.read_frame(
            connection, "SELECT run_id, claim_id, pend_code, state, began_date FROM pend",
            {"run_id": pl.Int64, "claim_id": pl.Int64, "pend_code": pl.String,
             "state": pl.String, "began_date": pl.Date},
        )  # fmt: skip
        waiting_now = {row[0] for row in connection.exec_driver_sql(
            "SELECT claim_id FROM claim WHERE disposition = 'pended'").all()}  # fmt: skip
    assert rows["began_date"].unique().to_list() == [FIRST_NIGHT]
    by_night = [set(rows.filter(run_id=run)["claim_id"]) for run in (1, 2, 3)]
    assert by_night == [waiting_now] * 3
    assert set(rows["state"]) == {"waits"}


def test_the_list_and_its_filters(place: Path) -> None:
    every = listed(place)
    mine = numbers(place)
    referrals = [row["claim_number"] for row in listed(place, "--code", "aureq")]
    assert referrals == [mine[n] for n in ("HL-LAPSE", "HL-VISIT-2", "HL-IN-TIME")]
    assert referrals == [row["claim_number"] for row in listed(place, "--owner", "referrals")]
    assert {row["pend_code"] for row in every} == {"AUREQ", "DUPLICATE"}
    assert listed(place, "--overdue") == []
    assert {row["age_days"] for row in every} == {0}
    later = listed(place, "--business-date", "2025-12-15", "--overdue", "--code", "DUPLICATE")
    assert [(row["age_days"], row["overdue"]) for row in later] == [(30, True)] * 3
    # on the day before none is
    assert listed(place, "--business-date", "2025-12-14", "--overdue") == []
    code, out, _ = command(place, "list", "--business-date", "2025-12-15")
    assert code == 0
    assert max(map(len, out.splitlines())) <= 80
    assert f"{mine['SD-UNIT']}  DUPLICATE     30  2025-11-15  2025-12-15!  claims-examiners" in out
    # 3 x 150.00 + 60.00 + 62.00 + 140.00
    assert out.splitlines()[-1] == "6 claims, charges 712.00; 6 overdue"


def test_one_claim_is_shown_with_all_that_may_be_decided(place: Path) -> None:
    number = numbers(place)["HL-LAPSE"]
    code, out, _ = command(place, "show", number.lstrip("0"))
    assert code == 0
    assert max(map(len, out.splitlines())) <= 80
    for words in (
        f"Claim {number}, pended: charge 150.00, received 2025-11-15, 0 days old",
        "  since       2025-11-15\n  owner       referrals\n",
        "  last day    2025-12-15, then PR-288\n",
        "  release     referral\n",
        "  deny        PR-287: ",
        "  deny        PR-288: ",
        "Nights\n  2025-11-15  AUREQ waits\n",
    ):
        assert words in out
    told = json.loads(command(place, "show", number, "--json")[1])
    assert list(told) == [
        "claim_number", "disposition", "received_date", "age_days", "charge_amount", "waits_for",
        "may_release", "may_deny", "nights", "acts",
    ]  # fmt: skip
    # a member is nobody's business here
    assert not re.search("thornaby|philippa|CPC2|1949", out + json.dumps(told), re.I)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["release", "SD-UNIT", "--finding", "referral"],
         "does not wait for 'referral'; it waits for suspected_duplicate"),
        (["release", "SD-ONE", "--finding", "suspected_duplicate"],
         "does not wait: it is paid"),
        (["deny", "SD-UNIT", "--carc", "96"], "can't be denied 96; its program allows OA-18"),
        (["deny", "SD-ONE", "--carc", "18"], "does not wait: it is paid"),
        (["release", "SD-UNIT", "--finding", "suspected_duplicate", "--note", "  "],
         "--note must be 1 to 500 characters in one line"),
        (["release", "SD-UNIT", "--finding", "suspected_duplicate", "--note", "a\nb"],
         "--note must be 1 to 500 characters in one line"),
        (["deny", "SD-UNIT", "--carc", "18", "--note", "x" * 501], "--note must be 1 to 500"),
        (["deny", "999999", "--carc", "18"], "no claim has this number"),
    ],
)  # fmt: skip
def test_what_can_not_be_done_is_told_and_not_done(
    place: Path, arguments: list[str], words: str
) -> None:
    known = numbers(place)
    arguments = [known.get(each, each) for each in arguments]
    given = () if "--note" in arguments else ("--note", "seen")
    code, out, error = command(place, *arguments, *given, *WHO)
    assert (code, out) == (1, "")
    assert words in error
    with store.reading(store.open_store(f"sqlite:///{place / 'a.db'}")) as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM override").scalar_one() == 0


@pytest.mark.parametrize("missing", ["--note", "--who"])
def test_note_and_name_are_asked_for(place: Path, missing: str) -> None:
    given = {"--note": "seen", "--who": "J. Examiner"}
    del given[missing]
    flat = [word for pair in given.items() for word in pair]
    code, _, _ = command(place, "deny", numbers(place)["SD-UNIT"], "--carc", "18", *flat)
    assert code == 2


def test_an_act_is_kept_once(place: Path) -> None:
    asked = ("release", numbers(place)["SD-UNIT"], "--finding", "suspected_duplicate",
             "--note", "seen", *WHO)  # fmt: skip
    assert command(place, *asked)[0] == 0
    code, _, error = command(place, *asked)
    assert code == 1
    assert "was released so on 2025-11-16 (act 1); the next night decides by it" in error


def test_what_lacks_a_value_can_not_be_released(tmp_path: Path) -> None:
    load_store(tmp_path / "a.db")
    for case in ("missing-fee", "payee-unknown"):
        (tmp_path / f"{case}.837").write_bytes((CLAIMS / case / "claim.837").read_bytes())
    night(tmp_path, FIRST_NIGHT, "missing-fee.837", "payee-unknown.837")
    known = numbers(tmp_path)
    for name, edit in (("MF-FEE", "missing_reference"), ("PU-1", "payee_unknown")):
        code, _, error = command(tmp_path, "release", known[name], "--finding", edit,
                                 "--note", "seen", *WHO)  # fmt: skip
        assert code == 1
        assert f"{edit} can't be released: nothing is decided without what it lacks" in error
        assert known[name] in error
        shown = json.loads(command(tmp_path, "show", known[name], "--json")[1])
        assert shown["may_release"] == []


def test_a_store_without_a_night_or_a_claim(tmp_path: Path) -> None:
    store.open_store(f"sqlite:///{tmp_path / 'a.db'}").dispose()
    assert "no night has been done" in command(tmp_path, "list")[2]
    with (
        store.reading(store.open_store(f"sqlite:///{tmp_path / 'a.db'}")) as connection,
        pytest.raises(UnknownClaimError),
    ):
        desk.pends_show(connection, "1", SHIPPED)


def test_a_finished_night_is_not_done_again_for_an_act(place: Path) -> None:
    """What was published stays; the act waits for the next night."""
    files = ("lapsed-referral.837", "suspected-duplicate.837")
    command(place, "release", numbers(place)["SD-UNIT"], "--finding", "suspected_duplicate",
            "--note", "seen", *WHO)  # fmt: skip
    again = night(place, FIRST_NIGHT, *files)
    assert again.run_id == 1
    assert fate(place, "SD-UNIT")[0] == "pended"


def test_claims_csv_tells_the_age(place: Path) -> None:
    summary = night(place, date(2025, 11, 25))
    path = place / "out" / summary.folder / "claims.csv"
    rows = list(csv.DictReader(path.read_text("utf-8").splitlines()))
    assert {row["age_days"] for row in rows} == {"10"}  # 2025-11-15 to 2025-11-25


def test_while_a_night_commits_an_act_is_refused(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(dialect.PRAGMAS, "busy_timeout", ("20", "20"))
    number = numbers(place)["SD-UNIT"]
    with store.open_store(f"sqlite:///{place / 'a.db'}").begin():
        code, out, error = command(place, "deny", number, "--carc", "18", "--note", "x", *WHO)
    assert (code, out) == (75, "")
    assert "the store is busy" in error
    assert command(place, "deny", number, "--carc", "18", "--note", "x", *WHO)[0] == 0
