"""Providers' disputes: what makes one complete, what a person decides of it, letters, the seam."""

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
from pydantic import ValidationError
from typer.testing import CliRunner

import cli
from adjudicator import dispute_desk as desk
from adjudicator import store
from adjudicator.again import read_again
from adjudicator.decide import decide
from adjudicator.disputes import (
    REMARK,
    Disputed,
    Request,
    carried_over,
    dispute_days,
    dispute_terms,
    open_disputes,
    returned_because,
    to_carry_out,
    with_states,
)
from adjudicator.explain import as_text, explain
from adjudicator.load import read_reference
from adjudicator.night import Order, holding, run_night
from adjudicator.pends import resolved
from adjudicator.pipeline import AS_READ, Batch
from adjudicator.programs import load_benefit_categories, load_programs
from adjudicator.reference import Reference
from adjudicator.reports.dispute_letters import dispute_letter, letter_pdf
from adjudicator.sentences import resolution
from adjudicator.store import dialect
from adjudicator.store.disputes import DISPUTES, EVENTS
from adjudicator.store.disputes import WAIVED as WAIVED_EDITS
from adjudicator.store.snapshot import OPEN_CLAIMS
from schemas import frames
from schemas.config import Config
from schemas.program import DisputeTerms
from tests import build
from tests.case_tools import CLAIMS, FIRST_NIGHT, load_store
from tests.pdf_text import pages
from tests.test_authorization import authorization, reference, therapy
from tests.test_authorization import decided as with_authorizations
from tests.test_pends import acts

SHIPPED = load_programs()
MANUAL = SHIPPED["carepartners"]
EOP = FIRST_NIGHT  # 2025-11-15
# 15 left of November, 31, 31, 28 and 15: 120 days
LAST = date(2026, 3, 15)
SENT = date(2025, 9, 20)
WAIVED = {"act": "waived", "edit": "timely_filing"}


def terms(kind: str = "filing") -> DisputeTerms:
    found = dispute_terms(MANUAL, kind, EOP)
    assert found is not None
    return found


def disputed(*, on_paper: bool = False, **other: Any) -> Disputed:
    facts = {"is_disputable": True, "standing": "", "eop_date": EOP, "last_date": LAST, **other}
    return Disputed(on_paper=on_paper, **facts)


def request(*documents: str, kind: str = "filing", **other: Any) -> Request:
    given = {"received": date(2025, 12, 1), "has_form": True, **other}
    return Request(kind, documents=tuple((name, SENT) for name in documents), **given)


def why(asked: Request, held: Disputed | None = None) -> list[str]:
    return [r.code for r in returned_because(asked, held or disputed(), terms(asked.kind))]


# ---- what makes one complete -------------------------------------------------------------------


@pytest.mark.parametrize("documents", [
    ("transmission_report", "rejection_report"), ("payer_report",), ("primary_eob",),
    ("other_eob",), ("claim_form", "verbal", "primary_eob"),
])  # fmt: skip
def test_each_proof_of_an_electronic_claim_is_enough(documents: Sequence[str]) -> None:
    assert why(request(*documents)) == []


@pytest.mark.parametrize("documents", [("patient_ledger",), ("primary_eob",), ("other_eob",)])
def test_each_proof_of_a_paper_claim_is_enough(documents: Sequence[str]) -> None:
    assert why(request(*documents), disputed(on_paper=True)) == []


@pytest.mark.parametrize(
    ("documents", "on_paper"),
    [
        ((), False), ((), True),
        (("claim_form",), False), (("claim_form",), True),
        (("verbal",), False), (("verbal",), True),
        (("transmission_report",), False), (("rejection_report",), False),
        (("supporting",), False),
        # each list is of its own kind of claims (001:2274, 001:2283)
        (("patient_ledger",), False), (("payer_report",), True),
        (("transmission_report", "rejection_report"), True),
    ],
)  # fmt: skip
def test_what_is_no_proof_goes_back(documents: Sequence[str], on_paper: bool) -> None:
    assert why(request(*documents), disputed(on_paper=on_paper)) == ["no_proof"]


def test_what_never_proves_anything_is_told_so_beside_what_does() -> None:
    [reason] = returned_because(
        request("claim_form", "transmission_report", "verbal"), disputed(), terms()
    )
    assert reason.says == (
        "What came does not prove that the claim was sent in time. A copy of the original claim "
        "form by itself is no proof. The clearinghouse's transmission report by itself is no "
        "proof. A request by word of mouth by itself is no proof."
    )
    assert reason.choices == (
        "the clearinghouse's transmission report together with the rejection report that shows "
        "that the claim was not rejected",
        "our own report that shows that the claim was not rejected",
        "a copy of the primary insurer's EOB that shows when it processed the claim",
        "a copy of an EOB that proves that the member or another insurer was billed, because the "
        "member was not known to be ours",
        "a letter on why it could not be sent in time, for reasons beyond your control, with what "
        "supports it",
    )


def test_the_form_is_needed_but_beside_a_letter() -> None:
    assert why(request("payer_report", has_form=False)) == ["no_form"]
    assert why(request(has_form=False)) == ["no_form", "no_proof"]
    # beyond the provider's control (001:2265-2268)
    assert why(request(has_form=False, has_letter=True)) == []
    # of other kinds no letter stands in place of anything
    other = request("eop", "records", kind="authorization", has_form=False, has_letter=True)
    assert why(other) == ["no_form"]


@pytest.mark.parametrize(("day", "late"), [(119, False), (120, False), (121, True)])
@pytest.mark.parametrize("has_letter", [True, False])
def test_the_hundred_and_twentieth_day_is_in_time(day: int, late: bool, has_letter: bool) -> None:
    came = request("payer_report", received=EOP + timedelta(days=day), has_letter=has_letter)
    assert why(came) == (["late"] if late else [])


def test_of_a_late_one_nothing_else_is_told() -> None:
    [reason] = returned_because(
        request(received=LAST + timedelta(days=1), channel="edi", claim_count=2, has_form=False),
        disputed(), terms(),
    )  # fmt: skip
    assert (reason.code, reason.mend, reason.choices) == ("late", "", ())
    assert reason.says == (
        "It reached us on 03/16/2026, 121 days after the Explanation of Payment of 11/15/2025. "
        "What reaches us later than 120 calendar days after it, here after 03/15/2026, is not "
        "considered."
    )


def test_one_claim_a_form_and_never_by_edi() -> None:
    assert why(request("payer_report", claim_count=2)) == ["several_claims"]
    for channel, expected in (("edi", ["channel"]), ("mail", []), ("email", []), ("online", [])):
        assert why(request("payer_report", channel=channel)) == expected
    assert why(request(channel="edi", claim_count=3, has_form=False)) == [
        "channel", "several_claims", "no_form", "no_proof",
    ]  # fmt: skip


def test_a_claim_that_is_not_denied_so_goes_back() -> None:
    held = disputed(is_disputable=False, standing="it is not denied so", last_date=None)
    [reason] = returned_because(request("payer_report"), held, terms())
    assert reason.says == ("You dispute a denial for the filing deadline, but it is not denied so.")


@pytest.mark.parametrize("kind", ["authorization", "notification", "payment"])
def test_other_kinds_need_the_eop_and_records(kind: str) -> None:
    held = disputed(last_date=None)
    assert why(request("eop", "records", kind=kind), held) == []
    assert why(request("eop", kind=kind), held) == ["no_document"]
    assert why(request(kind=kind, has_form=False), held) == [
        "no_form", "no_document", "no_document",
    ]  # fmt: skip


def test_days_are_those_of_the_eop_and_no_other_year_s() -> None:
    limit = {"citation": MANUAL.filing_dispute_limits[0].citation.model_dump()}
    program = build.program(filing_dispute_limits=[
        {**limit, "start_date": date(2024, 1, 1), "end_date": date(2024, 12, 31), "days": 90},
        {**limit, "start_date": date(2025, 1, 1), "days": 120},
    ])  # fmt: skip
    for eop, days in ((date(2024, 1, 1), 90), (date(2024, 12, 31), 90), (date(2025, 1, 1), 120)):
        assert dispute_days(program, "filing", eop) == days
        assert dispute_days(program, "payment", eop) is None
    with pytest.raises(LookupError):
        dispute_days(program, "filing", date(2023, 12, 31))
    assert dispute_days(build.program(), "filing", EOP) is None


def test_what_a_program_can_not_say() -> None:
    written = terms().model_dump()
    with pytest.raises(ValidationError, match="documents lacks verbal"):
        DisputeTerms.model_validate(
            {**written, "documents": {k: v for k, v in written["documents"].items()
                                      if k != "verbal"}}
        )  # fmt: skip
    with pytest.raises(ValidationError, match="edits is empty"):
        DisputeTerms.model_validate({**written, "edits": ()})
    assert dispute_terms(MANUAL, "filing", date(2014, 12, 31)) is None
    assert dispute_terms(SHIPPED["ct-partnership"], "filing", EOP) is None
    assert [t.kind for t in MANUAL.disputes] == [
        "filing", "authorization", "notification", "payment",
    ]  # fmt: skip


# ---- waived edits ------------------------------------------------------------------------------


def found(*rows: dict[str, Any]) -> pl.DataFrame:
    defaults = {"claim_id": 1, "edit": "timely_filing", "edit_rank": 110, "disposition": "deny",
                "group_code": "CO", "carc": "29", "inputs": '{"days":61}'}  # fmt: skip
    return build.frame(frames.Findings, rows, defaults)


def after(findings: pl.DataFrame, *given: dict[str, Any]) -> list[dict[str, Any]]:
    batch = Batch(build.claims([{}, {}]), build.lines([{}]), overrides=acts(*given))
    return resolved(findings, batch, build.reference()).to_dicts()


def test_a_waived_edit_s_denial_is_noted_only() -> None:
    [told] = after(found({"line_number": 1}), WAIVED)
    assert [told[c] for c in ("disposition", "group_code", "carc")] == ["inform", None, None]
    inputs = json.loads(told["inputs"])
    assert inputs == {
        "days": 61,
        "resolution": {"act": "waived", "date": "2025-02-01", "by": "J. Examiner", "note": "seen"},
    }
    told["inputs"] = inputs
    assert resolution(told) == "waived by J. Examiner on 2025-02-01: seen"


def test_it_is_waived_for_that_claim_and_edit_alone() -> None:
    other = found({"claim_id": 2}, {"edit": "coverage", "carc": "27"})
    assert [t["disposition"] for t in after(other, WAIVED)] == ["deny", "deny"]
    # its pends pass as well; a release passes pends alone
    both = found({}, {"disposition": "pend", "carc": None, "pend_code": "REFERENCE"})
    assert [t["disposition"] for t in after(both, WAIVED)] == ["inform", "inform"]
    released = {**WAIVED, "act": "released"}
    assert [t["disposition"] for t in after(both, released)] == ["deny", "inform"]
    elsewhere = {**WAIVED, "edit": "coverage"}
    assert [t["disposition"] for t in after(both, elsewhere, released)] == ["deny", "inform"]
    assert [t["disposition"] for t in after(both)] == ["deny", "pend"]


def test_units_that_lack_are_passed_and_count_nothing() -> None:
    held = reference(authorization(limit=3))
    lines = [therapy(1, 4), therapy(2, 3)]
    for given, first in (((), "denied"), (({**WAIVED, "edit": "prior_authorization"},), "paid")):
        batch = with_authorizations(lines, held)
        assert batch.authorization_unit_entries.rows() == [(2, "A1", 3_000)]
        batch = _decided_with(lines, held, acts(*given))
        assert batch.decisions["disposition"].to_list() == [first, "paid"]
        # three units were left: they are claim 2's
        assert batch.authorization_unit_entries.rows() == [(2, "A1", 3_000)]


def _decided_with(lines: Any, held: Reference, overrides: pl.DataFrame) -> Batch:
    from adjudicator.edits import edits
    from adjudicator.stages.benefits import benefits
    from adjudicator.stages.settle import settle
    from tests import model

    batch = model.night(lines).with_(overrides=overrides)
    return settle(benefits(edits(batch, held), held), held)


# ---- what is still to be done ------------------------------------------------------------------


def events(*rows: tuple[int, str]) -> pl.DataFrame:
    schema = EVENTS
    counted: dict[int, int] = {}
    told = []
    for number, event in rows:
        counted[number] = counted.get(number, 0) + 1
        told.append({"dispute_number": number, "event_number": counted[number], "event": event,
                     "made_date": EOP + timedelta(days=counted[number])})  # fmt: skip
    return pl.DataFrame(told, schema)


def several(*numbers: int) -> pl.DataFrame:
    rows = [
        {"dispute_number": n, "claim_id": 10 * n, "kind": "filing", "charge_amount": 100,
         "received_date": EOP + timedelta(days=10 - n), "claim_number": f"{n:012}"}
        for n in numbers
    ]  # fmt: skip
    return pl.DataFrame(rows, DISPUTES)


def test_a_dispute_s_state_is_its_last_event() -> None:
    told = with_states(
        several(1, 2, 3), events((2, "received"), (1, "received"), (2, "upheld"), (3, "returned"))
    )
    assert told.select("dispute_number", "state", "state_date").rows() == [
        (1, "received", EOP + timedelta(days=1)), (2, "upheld", EOP + timedelta(days=2)),
        (3, "returned", EOP + timedelta(days=1)),
    ]  # fmt: skip


def test_reprocess_is_given_the_overturned_that_no_run_carried_out() -> None:
    happened = events(
        (1, "received"), (1, "overturned"),
        (2, "received"), (2, "overturned"), (2, "carried_out"),
        (3, "received"), (3, "upheld"), (4, "received"), (5, "returned"),
        (6, "received"), (6, "overturned"),
    )  # fmt: skip
    waived = pl.DataFrame(
        [(1, 10, "prior_authorization"), (1, 10, "referral"), (2, 20, "timely_filing")],
        WAIVED_EDITS, orient="row",
    )  # fmt: skip
    due = to_carry_out(several(6, 1, 2, 3, 4, 5), happened, waived)
    assert due.rows() == [
        (1, 10, ["prior_authorization", "referral"], "N690"), (6, 60, [], "N690"),
    ]  # fmt: skip
    none = to_carry_out(several(), events(), waived.clear())
    assert (none.height, none.schema) == (0, due.schema)


def test_open_disputes_and_their_age() -> None:
    happened = events((1, "received"), (2, "received"), (2, "overturned"), (3, "returned"))
    told = open_disputes(several(1, 2, 3), happened, EOP + timedelta(days=20))
    # received on days 9 and 8 after the EOP
    assert told.select("dispute_number", "age_days").rows() == [(2, 12), (1, 11)]
    every = open_disputes(several(1, 2, 3), happened, EOP, every=True)
    assert every["dispute_number"].to_list() == [3, 2, 1]
    assert open_disputes(several(1), happened, EOP, kind="payment").is_empty()


def test_acts_go_over_to_the_last_version() -> None:
    given = acts(WAIVED, {**WAIVED, "claim_id": 5}, {**WAIVED, "claim_id": 9})
    versions = pl.DataFrame({"claim_id": [7, 8], "predecessor_claim_id": [1, 7]})
    told = carried_over(given, versions)
    assert told["claim_id"].to_list() == [8, 5, 9]
    frames.Overrides.validate(told)
    assert carried_over(given, versions.clear()).equals(given)


# ---- through the store and the command ---------------------------------------------------------

# 1 to 5, of timely-filing: paid, denied, one of two lines denied, paid, denied by a contract's 90
# days. 8 is not told of an admission; 22 has too few units; 34 is another program's; 37 pends
CASES = ("timely-filing", "inpatient-notification", "ea-prior-authorization", "lapsed-referral")
PAID, LATE, ONE_LINE, AGREED, NOT_TOLD, UNITS, OTHER_PROGRAM, PENDED = (
    "1", "2", "3", "5", "8", "22", "34", "37"
)  # fmt: skip
DAY = ("--business-date", "2025-12-01")
SAID = ("--note", "looked at", "--who", "J. Examiner")
FORM = ("--form", "--proof", "payer_report:2025-10-02")
RECORDS = ("--form", "--proof", "eop:2025-11-15", "--proof", "records:2025-11-20")


@pytest.fixture(scope="module")
def after_a_night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("disputes")
    load_store(place / "a.db")
    config = Config(db=f"sqlite:///{place / 'a.db'}", out=place / "nights")
    inputs = tuple(CLAIMS / case / "claim.837" for case in CASES)
    run_night(Order(inputs, config, FIRST_NIGHT, FIRST_NIGHT))
    return place


@pytest.fixture
def place(after_a_night: Path, tmp_path: Path) -> Path:
    for file in after_a_night.glob("a.db*"):
        shutil.copy(file, tmp_path / file.name)
    return tmp_path


def command(place: Path, *arguments: str) -> tuple[int, str, str]:
    words = [*arguments, "--db", f"sqlite:///{place / 'a.db'}"]
    if arguments[1] in ("file", "uphold", "overturn", "letters", "disputes"):
        words += ["--out", str(place / "out")]
    done = CliRunner().invoke(cli.app, words)
    return done.exit_code, done.stdout, done.stderr


def filed(place: Path, claim: str, *arguments: str, kind: str = "filing") -> dict[str, Any]:
    when = () if "--business-date" in arguments else DAY
    code, out, error = command(
        place, "dispute", "file", claim, "--kind", kind, *arguments, *SAID, *when, "--json"
    )
    assert (code, error) == (0, "")
    return dict(json.loads(out))


def letter(place: Path, name: str) -> str:
    return " ".join(" ".join(pages((place / "out/disputes" / name).read_bytes())).split())


def reading(place: Path) -> Any:
    return store.reading(store.open_store(f"sqlite:///{place / 'a.db'}"))


def kept(place: Path) -> list[tuple[int, str]]:
    with reading(place) as connection:
        told = store.dispute_events(connection)
    return list(told.select("dispute_number", "event").rows())


def test_a_filing_dispute_from_receipt_to_overturn(place: Path) -> None:
    done = filed(place, LATE, *FORM, "--received", "2025-11-28")
    assert {k: done[k] for k in ("dispute_number", "claim_number", "event", "reasons")} == {
        "dispute_number": 1, "claim_number": "000000000002", "event": "received", "reasons": [],
    }  # fmt: skip
    told = letter(place, "D000000001-1-received.pdf")
    for words in (
        "We have your dispute",
        "000000000002",
        "TF-61",
        "Benedict Larkfield MD",
        "11/28/2025",
        "140.00",
        "10/02/2025",
        "dispute of a denial for the filing",
    ):
        assert words in told  # fmt: skip
    code, out, _ = command(place, "dispute", "show", "D1")
    assert code == 0
    assert max(map(len, out.splitlines())) <= 80
    for words in (
        "Dispute D1 of claim 000000000002, filing: received, waits for a decision",
        "  received    2025-11-28 by mail, 3 days old\n",  # as of the last act, 2025-12-01
        "  EOP         2025-11-15; to be disputed by 2026-03-15\n",
        # served 2025-09-15: 15 days of September and 2 of October
        "  document    payer_report of 2025-10-02: day 17 of 60 since the clock started\n",
        "  proof       payer_report\n",
        "  denied by   timely_filing, line 1: received 2025-11-15, 61 days after",
        "  may waive   timely_filing\n",
    ):
        assert words in out
    code, out, _ = command(place, "dispute", "overturn", "d1", "--note", "sent in time", "--who",
                           "J. Examiner", *DAY)  # fmt: skip
    assert (code, out) == (0, (
        "dispute D1 of claim 000000000002: overturned: the claim is decided anew by the\n"
        "  next `adjudicate reprocess --disputes`, without timely_filing\n"
        "  letter: D000000001-2-overturned.pdf\n"
    ))  # fmt: skip
    told = letter(place, "D000000001-2-overturned.pdf")
    for words in ("decide it in your favor", REMARK, "What we found sent in time"):
        assert words in told
    with reading(place) as connection:
        due = to_carry_out(store.disputes(connection), store.dispute_events(connection),
                           store.waived_edits(connection))  # fmt: skip
        assert due.rows() == [(1, 2, ["timely_filing"], "N690")]
        # nothing else of the claim has changed
        assert explain(connection, LATE).claim["disposition"] == "denied"
        trail = connection.exec_driver_sql(
            "SELECT what, detail FROM audit WHERE what LIKE 'dispute%' OR what LIKE 'edit%' "
            "ORDER BY sequence_number"
        ).all()
        assert store.broken_audit(connection) is None
    assert [what for what, _ in trail] == ["dispute received", "edit waived", "dispute overturned"]
    assert json.loads(trail[2][1]).items() >= {
        ("dispute_number", 1), ("claim_number", "000000000002"), ("kind", "filing"),
        ("made_by", "J. Examiner"), ("note", "sent in time"), ("made_date", "2025-12-01"),
    }  # fmt: skip
    assert json.loads(trail[2][1])["waived"] == ["timely_filing"]


def test_the_claim_is_paid_once_the_edit_is_waived(place: Path) -> None:
    """Read again and decided with the acts that the store keeps: as TF-60, which was in time.
    99213: 140.00 - fee 88.00 = 52.00 (CO-45); 88.00 - copay 10.00 (PR-3) = 78.00 paid."""
    filed(place, LATE, *FORM)
    columns = [c for c in OPEN_CLAIMS if c != "claim_id"]
    for waived, expected in (
        (False, [("CO", "29", 14_000)]), (True, [("CO", "45", 5_200), ("PR", "3", 1_000)])
    ):  # fmt: skip
        if waived:
            assert command(place, "dispute", "overturn", "1", *SAID, *DAY)[0] == 0
        with reading(place) as connection:
            claim = store.read_frame(
                connection, f"SELECT claim_id, {', '.join(columns)} FROM claim WHERE claim_id = 2",
                OPEN_CLAIMS,
            )  # fmt: skip
            [read] = read_again(connection, claim)
            version, tables = read_reference(connection)
            batch = Batch(
                **{n: read[n] for n in (*AS_READ, "findings") if n != "sources"},
                overrides=store.overrides(connection, [2]),
            )
        held = Reference(version, tables, SHIPPED, load_benefit_categories(),
                         business_date=date(2025, 12, 2))  # fmt: skip
        done = decide(batch, held, 1)
        assert done.adjustments.select(
            "group_code", "carc", "adjustment_amount"
        ).rows() == expected  # fmt: skip
        assert done.decisions["paid_amount"].sum() == (7_800 if waived else 0)


def test_a_run_that_carries_it_out_is_kept(place: Path) -> None:
    filed(place, LATE, *FORM)
    assert command(place, "dispute", "overturn", "1", *SAID, *DAY)[0] == 0
    with store.open_store(f"sqlite:///{place / 'a.db'}").begin() as connection:
        store.carry_out_disputes(connection, 1, [1], date(2025, 12, 2))
        due = to_carry_out(store.disputes(connection), store.dispute_events(connection),
                           store.waived_edits(connection))  # fmt: skip
        assert due.is_empty()
        assert store.broken_audit(connection) is None
    assert kept(place) == [(1, "received"), (1, "overturned"), (1, "carried_out")]
    out = command(place, "dispute", "show", "1")[1]
    assert "carried out: the claim was decided anew" in " ".join(out.split())
    assert "  2025-12-02  carried out in run 1\n" in out
    assert json.loads(command(place, "dispute", "list", "--json")[1]) == []
    assert len(json.loads(command(place, "dispute", "list", "--all", "--json")[1])) == 1
    # and it can be disputed again
    assert filed(place, LATE, *FORM)["dispute_number"] == 2


def test_upheld_the_claim_stays_and_a_letter_says_why(place: Path) -> None:
    filed(place, ONE_LINE, *FORM)
    code, out, _ = command(place, "dispute", "uphold", "1", "--note", "no report of ours", "--who",
                           "J. Examiner", *DAY)  # fmt: skip
    assert code == 0
    assert out.startswith("dispute D1 of claim 000000000003: upheld: the claim stays as it is\n")
    told = letter(place, "D000000001-2-upheld.pdf")
    for words in (
        "The claim stays as it was decided",
        "Why no report of ours",
        "The member may not be billed for what is denied so.",
    ):
        assert words in told  # fmt: skip
    with reading(place) as connection:
        assert store.waived_edits(connection).is_empty()
        assert store.overrides(connection, [3]).is_empty()
    assert json.loads(command(place, "dispute", "list", "--json")[1]) == []


@pytest.mark.parametrize(("day", "event"), [("2026-03-15", "received"), ("2026-03-16", "returned")])
def test_the_days_count_from_the_eop_of_the_night_that_denied(
    place: Path, day: str, event: str
) -> None:
    done = filed(place, AGREED, "--letter", "--received", day, "--business-date", "2026-03-20")
    assert done["event"] == event
    if event == "returned":
        told = letter(place, done["letter_name"])
        assert "Your dispute is returned" in told
        assert "121 days after the Explanation of Payment of 11/15/2025" in told
        assert "send the dispute again" not in told
        assert "What to do" not in told
        assert kept(place) == [(1, "returned")]


def test_returned_with_all_that_is_wrong(place: Path) -> None:
    done = filed(
        place, ONE_LINE, "--proof", "claim_form:2025-09-01", "--by", "edi", "--claims", "2"
    )
    assert done["event"] == "returned"
    assert [r["code"] for r in done["reasons"]] == [
        "channel", "several_claims", "no_form", "no_proof",
    ]  # fmt: skip
    told = letter(place, "D000000001-1-returned.pdf")
    for words in (
        "A dispute can’t be sent by EDI",
        "The form names 2 claims",
        "any one of",
        "a copy of the original claim form, 09/01/2025",
        "It must reach us by 03/15/2026, 120 calendar days",
    ):
        assert words.replace("’", "'") in told.replace("’", "'")  # fmt: skip
    # it is closed, and can be sent again
    code, _, error = command(place, "dispute", "uphold", "1", *SAID, *DAY)
    assert (code, error) == (1, (
        "adjudicate: dispute D1 was returned on 2025-12-01; only one that waits for a decision can "
        "be decided\n"
    ))  # fmt: skip
    assert filed(place, ONE_LINE, *FORM)["event"] == "received"


@pytest.mark.parametrize(
    ("claim", "kind", "says"),
    [
        (PAID, "filing", "it is not denied so"),
        (UNITS, "filing", "it is denied for another reason"),
        (LATE, "authorization", "it is denied for another reason"),
        (PENDED, "payment", "it waits and is not decided yet"),
        (PENDED, "authorization", "it waits and is not decided yet"),
    ],
)
def test_a_claim_that_is_not_denied_so_is_returned(
    place: Path, claim: str, kind: str, says: str
) -> None:
    came = FORM if kind == "filing" else RECORDS
    done = filed(place, claim, *came, kind=kind)
    assert done["event"] == "returned"
    [reason] = done["reasons"]
    assert reason["code"] == "not_denied"
    assert says in reason["says"]


def test_other_kinds_waive_their_own_edits(place: Path) -> None:
    for number, (claim, kind, edit) in enumerate(
        ((NOT_TOLD, "notification", "inpatient_notification"),
         (UNITS, "authorization", "prior_authorization")), 1,
    ):  # fmt: skip
        filed(place, claim, *RECORDS, kind=kind)
        code, out, _ = command(place, "dispute", "overturn", str(number), *SAID, *DAY, "--json")
        assert (code, json.loads(out)["waived"]) == (0, [edit])
    # no deadline is told of them
    rows = json.loads(command(place, "dispute", "list", "--json")[1])
    assert [(row["state"], row["last_date"]) for row in rows] == [("overturned", None)] * 2


def test_a_payment_dispute_waives_nothing_by_itself(place: Path) -> None:
    filed(place, PAID, *RECORDS, kind="payment")
    code, _, error = command(place, "dispute", "overturn", "1", "--waive", "timely_filing", *SAID,
                             *DAY)  # fmt: skip
    assert code == 1
    assert error == (
        "adjudicate: --waive 'timely_filing': a payment dispute waives no such denial of claim "
        "000000000001; it may waive none: it is decided anew by what is in force\n"
    )
    code, out, _ = command(place, "dispute", "overturn", "1", *SAID, *DAY, "--json")
    assert (code, json.loads(out)["waived"]) == (0, [])
    with reading(place) as connection:
        due = to_carry_out(store.disputes(connection), store.dispute_events(connection),
                           store.waived_edits(connection))  # fmt: skip
    assert due.rows() == [(1, 1, [], "N690")]


def test_a_denial_for_filing_is_not_disputed_as_payment(place: Path) -> None:
    """Else the hundred and twenty days could be passed by."""
    filed(place, LATE, *RECORDS, kind="payment")
    code, _, error = command(place, "dispute", "overturn", "1", "--waive", "timely_filing", *SAID,
                             *DAY)  # fmt: skip
    assert (code, kept(place)) == (1, [(1, "received")])
    assert "--waive 'timely_filing': a payment dispute waives no such denial" in error


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["999999", "--kind", "filing"], "no claim has this number"),
        (["x", "--kind", "filing"], "that is no claim number"),
        ([OTHER_PROGRAM, "--kind", "filing"],
         "claim 000000000034: its program takes no filing disputes on 2025-12-01"),
        ([LATE, "--kind", "filing", "--received", "2025-12-02"],
         "--received 2025-12-02 lies after 2025-12-01, the business date"),
        ([LATE, "--kind", "filing", "--received", "2025-11-14"],
         "--received 2025-11-14 lies before 2025-11-15, the date of the Explanation of Payment"),
        ([LATE, "--kind", "filing", "--proof", "receipt:2025-10-01"],
         "--proof 'receipt' is no document of a filing dispute; there are claim_form, other_eob"),
        ([LATE, "--kind", "filing", "--proof", "payer_report:2025-12-02"],
         "--proof payer_report:2025-12-02 lies after 2025-12-01"),
        ([LATE, "--kind", "filing", "--claims", "0"], "--claims must be 1 or more"),
        ([LATE, "--kind", "filing", "--note", " "], "--note must be 1 to 500 characters"),
        ([LATE, "--kind", "filing", "--note", "a\u202eb"], "--note must be 1 to 500 characters"),
        ([LATE, "--kind", "filing", "--note", "x" * 501], "--note must be 1 to 500 characters"),
        ([LATE, "--kind", "filing", "--who", "a\nb"], "--who must be 1 to 80 characters"),
    ],
)  # fmt: skip
def test_what_can_not_be_meant_is_refused_and_not_kept(
    place: Path, arguments: list[str], words: str
) -> None:
    given = dict(zip(SAID[::2], SAID[1::2], strict=True))
    told = [w for k, v in given.items() if k not in arguments for w in (k, v)]
    code, out, error = command(place, "dispute", "file", *arguments, *told, *DAY)
    assert (code, out) == (1, "")
    assert words in error
    assert error.count("\n") == 1
    assert kept(place) == []
    assert not (place / "out").exists()


@pytest.mark.parametrize(
    "arguments",
    [["--kind", "grievance"], ["--kind", "filing", "--by", "fax"],
     ["--kind", "filing", "--received", "12/01/2025"],
     ["--kind", "filing", "--proof", "payer_report"],
     ["--kind", "filing", "--proof", "payer_report:x"], []],
)  # fmt: skip
def test_a_command_written_wrongly(place: Path, arguments: list[str]) -> None:
    assert command(place, "dispute", "file", LATE, *arguments, *SAID, *DAY)[0] == 2


def test_a_rejected_submission_has_nothing_to_dispute(tmp_path: Path) -> None:
    load_store(tmp_path / "a.db")
    config = Config(db=f"sqlite:///{tmp_path / 'a.db'}", out=tmp_path / "nights")
    claims = CLAIMS / "paper-returned" / "claim.jsonl"
    run_night(Order((claims,), config, FIRST_NIGHT, FIRST_NIGHT))
    code, _, error = command(tmp_path, "dispute", "file", "S1", "--kind", "filing", *SAID, *DAY)
    assert code == 1
    assert "submission S1 was sent back and never adjudicated" in error


def test_one_dispute_of_a_kind_at_a_time(place: Path) -> None:
    filed(place, LATE, *FORM)
    again = ("dispute", "file", LATE, "--kind", "filing", *FORM, *SAID, *DAY)
    code, _, error = command(place, *again)
    assert (code, error) == (1, (
        "adjudicate: claim 000000000002 has a filing dispute already: D1, received on 2025-12-01\n"
    ))  # fmt: skip
    assert command(place, "dispute", "overturn", "1", *SAID, *DAY)[0] == 0
    code, _, error = command(place, *again)
    assert (code, "D1, overturned on 2025-12-01" in error) == (1, True)
    code, _, error = command(place, "dispute", "uphold", "1", *SAID, *DAY)
    assert (code, "was overturned on 2025-12-01" in error) == (1, True)
    # of another kind it may be
    assert filed(place, LATE, *RECORDS, kind="payment")["dispute_number"] == 2


@pytest.mark.parametrize("number", ["7", "D7", "x", "D", "9" * 13])
def test_a_dispute_that_is_not_there(place: Path, number: str) -> None:
    for name in ("show", "letters"):
        code, _, error = command(place, "dispute", name, number)
        assert code == 1
        assert "no dispute" in error
    assert command(place, "dispute", "uphold", number, *SAID, *DAY)[0] == 1


def test_a_decision_can_not_come_before_the_dispute(place: Path) -> None:
    filed(place, LATE, *FORM)
    code, _, error = command(place, "dispute", "uphold", "1", *SAID, "--business-date",
                             "2025-11-30")  # fmt: skip
    assert (code, "--business-date 2025-11-30 lies before 2025-12-01" in error) == (1, True)


def test_while_a_night_holds_the_lock_nothing_is_done(place: Path) -> None:
    filed(place, LATE, *FORM)
    with holding(f"sqlite:///{place / 'a.db'}"):
        for act in (("file", AGREED, "--kind", "filing", *FORM), ("uphold", "1"),
                    ("overturn", "1")):  # fmt: skip
            code, out, error = command(place, "dispute", *act, *SAID, *DAY)
            assert (code, out) == (75, "")
            assert "another run holds the lock; wait for it; nothing is kept" in error
        # looking waits for nobody
        assert command(place, "dispute", "show", "1")[0] == 0
    assert kept(place) == [(1, "received")]
    assert command(place, "dispute", "uphold", "1", *SAID, *DAY)[0] == 0


def test_while_the_store_is_written_nothing_is_done(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(dialect.PRAGMAS, "busy_timeout", ("20", "20"))
    with store.open_store(f"sqlite:///{place / 'a.db'}").begin():
        code, out, error = command(place, "dispute", "file", LATE, "--kind", "filing", *FORM,
                                   *SAID, *DAY)  # fmt: skip
    assert (code, out) == (75, "")
    assert "the store is busy" in error
    assert not (place / "out").exists()


# ---- letters, lists, the report ----------------------------------------------------------------


def test_letters_are_the_same_again_for_their_owner_alone(place: Path) -> None:
    filed(place, LATE, *FORM)
    assert command(place, "dispute", "uphold", "1", *SAID, *DAY)[0] == 0
    folder = place / "out" / "disputes"
    first = {p.name: p.read_bytes() for p in folder.iterdir()}
    assert sorted(first) == ["D000000001-1-received.pdf", "D000000001-2-upheld.pdf"]
    assert all(p.stat().st_mode & 0o777 == 0o600 for p in folder.iterdir())
    shutil.rmtree(folder)
    code, out, _ = command(place, "dispute", "letters", "D1", "--json")
    assert code == 0
    assert [Path(n).name for n in json.loads(out)["written"]] == sorted(first)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == first


def test_a_letter_that_can_not_be_written_is_written_later(place: Path) -> None:
    (place / "out").write_text("in the way")
    code, _, error = command(place, "dispute", "file", LATE, "--kind", "filing", *FORM, *SAID, *DAY)
    assert code == 1
    assert "the act is kept, `adjudicate dispute letters D1` writes its letter" in error
    (place / "out").unlink()
    assert command(place, "dispute", "letters", "1")[0] == 0
    assert "We have your dispute" in letter(place, "D000000001-1-received.pdf")


NOTE = '=1+1 #panic("x") $y$ *b* [c] <d> @e `f` // \\ ~* \'; DROP TABLE dispute; --'


def test_a_hostile_note_is_only_text(place: Path) -> None:
    filed(place, LATE, *FORM)
    said = ("--note", NOTE, "--who", '"=x" #y')
    assert command(place, "dispute", "uphold", "1", *said, *DAY)[0] == 0
    straight = letter(place, "D000000001-2-upheld.pdf").replace("\u200b", "")
    assert "".join(NOTE.split()) in "".join(straight.split())
    code, out, _ = command(place, "dispute", "show", "1", "--json")
    assert code == 0
    last = json.loads(out)["events"][-1]
    assert (last["note"], last["made_by"]) == (NOTE, '"=x" #y')
    assert NOTE.partition(" //")[0] in " ".join(command(place, "dispute", "show", "1")[1].split())


def test_the_list_and_the_report(place: Path) -> None:
    filed(place, AGREED, "--letter", "--received", "2025-11-20")
    filed(place, LATE, *FORM, "--received", "2025-11-28")
    filed(place, PAID, "--letter", "--received", "2025-11-19")  # returned
    filed(place, NOT_TOLD, *RECORDS, "--received", "2025-11-21", kind="notification")
    code, out, _ = command(place, "dispute", "list", *DAY)
    assert code == 0
    assert max(map(len, out.splitlines())) <= 80
    # 4,800.00 + 200.00 + 140.00
    assert out.splitlines()[1:] == [
        "D1        000000000005  filing         received       11  2025-11-20  2026-03-15",
        "D4        000000000008  notification   received       10  2025-11-21  -",
        "D2        000000000002  filing         received        3  2025-11-28  2026-03-15",
        "",
        "3 disputes, charges 5,140.00",
    ]
    filing = json.loads(command(place, "dispute", "list", "--kind", "filing", "--json", *DAY)[1])
    assert [row["dispute_number"] for row in filing] == [1, 2]
    code, out, _ = command(place, "report", "disputes", *DAY)
    assert code == 0
    assert f"2 files in {place / 'out' / 'disputes'}" in out
    told = json.loads((place / "out/disputes/open-2025-12-01.json").read_text("utf-8"))
    assert told["totals"] == {"dispute_count": 3, "charge_amount": 514_000}
    table = (place / "out/disputes/open-2025-12-01.csv").read_text("utf-8")
    rows = list(csv.DictReader(table.splitlines()))
    assert [(r["claim_number"], r["state"], r["age_days"], r["charge"]) for r in rows] == [
        ("000000000005", "received", "11", "200.00"), ("000000000008", "received", "10", "4800.00"),
        ("000000000002", "received", "3", "140.00"),
    ]  # fmt: skip
    assert command(place, "report", "disputes", "--format", "pdf")[0] == 2


def test_no_member_is_named_anywhere(place: Path) -> None:
    """But in the store, where the claim has one."""
    names = set()
    for case in CASES:
        text = (CLAIMS / case / "claim.837").read_text("ascii")
        for last, first, number in re.findall(r"NM1\*IL\*1\*([^*]+)\*([^*]*).*?MI\*([^*~]+)", text):
            names |= {last.upper(), first.upper(), number.upper()} - {""}
    assert "BRACKENSHAW" in names
    outputs = []
    for number, (claim, came) in enumerate(((LATE, FORM), (PAID, FORM), (AGREED, ())), 1):
        outputs.append(json.dumps(filed(place, claim, *came)))
        outputs += command(place, "dispute", "show", str(number))[1:]
    outputs += command(place, "dispute", "overturn", "1", *SAID, *DAY)[1:]
    outputs += command(place, "dispute", "overturn", "1", *SAID, *DAY)[1:]
    outputs += command(place, "report", "disputes")[1:]
    for path in (place / "out/disputes").iterdir():
        outputs.append(path.name)
        outputs.append(
            " ".join(pages(path.read_bytes())) if path.suffix == ".pdf" else path.read_text("utf-8")
        )
    with reading(place) as connection:
        outputs += [str(row) for row in connection.exec_driver_sql("SELECT * FROM audit").all()]
        outputs += [str(row) for row in connection.exec_driver_sql("SELECT * FROM dispute_event")]
    told = "\n".join(outputs).upper()
    assert not [name for name in names if re.search(rf"\b{re.escape(name)}\b", told)]


def test_a_store_without_a_dispute(place: Path) -> None:
    assert command(place, "dispute", "list")[1].splitlines()[-1] == "0 disputes, charges 0.00"
    with reading(place) as connection:
        assert desk.dispute_list(connection).is_empty()
        assert "waived" not in as_text(explain(connection, LATE))


def test_the_original_denial_s_eop_counts_for_what_corrects_it(place: Path) -> None:
    """Claim 5 corrects claim 2; both were denied as late. The first EOP's days are running."""
    with store.open_store(f"sqlite:///{place / 'a.db'}").begin() as connection:
        connection.exec_driver_sql("UPDATE claim SET predecessor_claim_id = 2 WHERE claim_id = 5")
        connection.exec_driver_sql("UPDATE claim SET predecessor_claim_id = 1 WHERE claim_id = 2")
        assert store.eop_date(connection, 5, ["timely_filing"]) == EOP
        versions = store.earlier_versions(connection, [5])
        assert versions.rows() == [(2, 1), (5, 2)]
        assert store.earlier_versions(connection, [3]).is_empty()
        store.insert_override(connection, 1, "000000000001", "waived", {"edit": "timely_filing"},
                              made_date=EOP, made_by="x", note="y")  # fmt: skip
        told = carried_over(store.overrides(connection, [5, 2, 1]), versions)
        assert told["claim_id"].to_list() == [5]
        payment = connection.exec_driver_sql(
            "SELECT payment_id FROM claim WHERE claim_id = 5"
        ).scalar_one()
        number = connection.exec_driver_sql("SELECT max(payment_id) + 1 FROM payment").scalar_one()
        connection.exec_driver_sql(
            "INSERT INTO payment (payment_id, run_id, payee_id, program_code, trace_number, "
            "control_number, payment_method_code, payment_date, payment_amount, file_name) "
            "SELECT ?, run_id, 'P99', program_code, 'T', 9, payment_method_code, '2026-01-10', 0, "
            "'x' FROM payment WHERE payment_id = ?",
            (number, payment),
        )
        connection.exec_driver_sql("UPDATE claim SET payment_id = ? WHERE claim_id = 5", (number,))
        assert store.eop_date(connection, 5, ["timely_filing"]) == EOP  # claim 2's
        assert store.eop_date(connection, 5) == date(2026, 1, 10)
        # an earlier one that these edits did not deny is no original denial
        assert store.eop_date(connection, 5, ["inpatient_notification"]) == date(2026, 1, 10)
        assert store.eop_date(connection, 37) is None  # pended: on no EOP as decided


def test_what_a_sender_wrote_is_only_text_in_a_letter() -> None:
    account = "\u202e=1+1#panic(1)*$x$" + "W" * 60
    row = {"kind": "filing", "dispute_number": 1, "has_form": True, "has_letter": False,
           "received_date": EOP, "eop_date": EOP, "last_date": LAST}  # fmt: skip
    claim = {"claim_number": "000000000001", "patient_control_number": account,
             "received_date": "2025-11-15", "charge_amount": 1}  # fmt: skip
    made = dispute_letter("received", EOP, MANUAL, {}, row, claim, [], [], "", None)
    assert made["claim"]["patient_control_number"] == account.replace("\u202e", " ")
    pdf = letter_pdf(made)
    assert pdf == letter_pdf(json.loads(json.dumps(made)))
    told = "".join(pages(pdf)).replace("\u200b", "")
    assert account[1:] in "".join(told.split())
    # nobody to write to: the letter is written all the same
    assert "We have your dispute" in " ".join(told.split())
