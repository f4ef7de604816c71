"""What a night makes of what arrives: every interchange is answered, nothing is taken in twice."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from adjudicator import answers, store
from adjudicator.answers import AnswerError, sums
from adjudicator.night import NightError, Order, Summary, run_night
from cli import app
from edi import acks
from edi.read_file import read_file
from schemas.config import Config
from tests.case_tools import CLAIMS
from tests.pyx12_check import pyx12_errors
from tests.samples import (
    INSTITUTIONAL,
    PROFESSIONAL,
    body,
    claim,
    group,
    interchange,
    professional,
    transaction,
    write,
)

ROOT = Path(__file__).parents[1]
DAY, NEXT, THIRD = date(2025, 11, 15), date(2025, 11, 16), date(2025, 11, 17)
# pyx12 knows an interchange only with a group in it; a TA1 stands alone
TA1_ALONE = 'Mandatory loop "Functional Group Header" (GS_LOOP) missing'
# a professional claim of tests/samples.py charges 180.50, an institutional one 1,250.00
P, I = 18050, 125000  # noqa: E741


@pytest.fixture
def place(loaded: Path, tmp_path: Path) -> Path:
    return another(loaded, tmp_path / "place")


def another(loaded: Path, folder: Path) -> Path:
    folder.mkdir()
    shutil.copy(loaded, folder / "a.db")
    return folder


def run(place: Path, *files: bytes, day: date = DAY, **more: Any) -> Summary:
    """A night over these files, in this order."""
    kill = more.pop("kill", None)
    inbox = place / f"inbox-{day}"
    inbox.mkdir(exist_ok=True)
    for at, data in enumerate(files, start=1):
        (inbox / f"{at}.837").write_bytes(data)
    config = Config(
        db=f"sqlite:///{place / 'a.db'}", out=place / "out", programs=more.pop("programs", None)
    )
    return run_night(Order((inbox,), config, day, day, **more), *([kill] if kill else []))


class Killed(BaseException):
    pass


def at_decide(step: str) -> None:
    if step == "decide":
        raise Killed


def acknowledgements(place: Path, summary: Summary) -> dict[str, bytes]:
    """What a night published, by name; pyx12 has nothing against it."""
    folder = place / "out" / summary.folder
    found = {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.glob("acks/*"))
    }
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    for name, content in found.items():
        assert name in manifest["files"] and name in summary.written
        errors = pyx12_errors(content)
        assert [e for e in errors if not (name.endswith(".ta1") and TA1_ALONE in e)] == []
    for f in summary.files:
        assert set(f.acknowledgements) <= set(found)
    return found


def published(place: Path) -> dict[str, bytes]:
    out = place / "out"
    return {p.relative_to(out).as_posix(): p.read_bytes() for p in out.rglob("*") if p.is_file()}


def having(content: bytes, *names: str) -> list[str]:
    """The segments of a document with these ids."""
    return [s for s in content.decode("ascii").split("~") if s.split("*")[0] in names]


def sums_of_sets(content: bytes) -> list[list[str]]:
    """QTY and AMT of each set of a 277CA (2200B), those of its billing providers left out."""
    levels = [level.split("~") for level in content.decode("ascii").split("~HL*")]
    return [
        [s for s in level if s.split("*")[0] in ("QTY", "AMT")]
        for level in levels
        if level[0].split("*")[2] == "21"
    ]


def rows(place: Path, statement: str) -> list[Any]:
    with store.reading(store.open_store(f"sqlite:///{place / 'a.db'}")) as connection:
        return [tuple(row) for row in connection.exec_driver_sql(statement)]


def received(summary: Summary) -> tuple[int, int]:
    return summary.counts["received"]["count"], summary.counts["received"]["charge_amount"]


def file_of(
    *sets: Sequence[str], guide: str = PROFESSIONAL, number: int = 1, usage: str = "P"
) -> bytes:
    return write(interchange([group(sets, guide=guide)], number, usage))


def stay(name: str) -> list[str]:
    """A hospital bill with the boxes 16 and 69 that the sample leaves out."""
    made = claim(name, kind="I")
    made.insert(1, "DTP*096*TM*1430")
    made.insert(made.index("HI*ABK:K5730:::::::Y") + 1, "HI*ABJ:R0602")
    return made


def institutional(claims: int, *, number: int = 1, guide: str = INSTITUTIONAL) -> bytes:
    made = body([stay(f"I{number}{n}") for n in range(1, claims + 1)], kind="I")
    return file_of(transaction(made, guide=guide), guide=guide, number=number)


def one_claim(name: str, number: int, usage: str = "P") -> bytes:
    return file_of(transaction(body([claim(name)])), number=number, usage=usage)


# ---- every interchange, group and set ----------------------------------------------------------


def test_a_night_answers_every_interchange_group_and_set(place: Path) -> None:
    """Two interchanges in one file, two groups in the second, two sets in its first; one claim in
    one of them has a total that isn't the sum of its lines (A7:178)."""
    wrong = [s.replace("CLM*B2*180.5", "CLM*B2*200") for s in body([claim("B1"), claim("B2")])]
    groups = [
        group([transaction(body([claim("C1")]), 1), transaction(wrong, 2)], 1),
        group(
            [transaction(body([stay("D1")], kind="I"), 1, INSTITUTIONAL)], 2,
            INSTITUTIONAL,
        ),
    ]  # fmt: skip
    data = professional(2, number=8) + write(interchange(groups, 9))
    summary = run(place, data, institutional(1, number=10))
    found = acknowledgements(place, summary)
    assert [f.acknowledgements for f in summary.files] == [
        {
            "acks/0001-001-000000008-001-8.277ca": "WQ", "acks/0001-001-000000008-001-8.999": "A",
            "acks/0001-002-000000009-001-1.277ca": "WQ", "acks/0001-002-000000009-001-1.999": "A",
            "acks/0001-002-000000009-002-2.277ca": "WQ", "acks/0001-002-000000009-002-2.999": "A",
        },
        {
            "acks/0002-001-000000010-001-1.277ca": "WQ",
            "acks/0002-001-000000010-001-1.999": "A",
        },
    ]  # fmt: skip
    # eight documents, numbered from 1 in order of file and place: the 999 of a group comes first
    numbers = {name: content[90:99].decode() for name, content in found.items()}
    assert numbers["acks/0001-001-000000008-001-8.999"] == "000000001"
    assert sorted(numbers.values()) == [f"{n:09d}" for n in range(1, 9)]
    # by set: 2 accepted; 1 accepted; 1 accepted and 1 of 200.00 rejected; 1; 1 of the second file
    assert [each for c in found.values() for each in sums_of_sets(c)] == [
        ["QTY*90*2", "AMT*YU*361"],
        ["QTY*90*1", "AMT*YU*180.5"],
        ["QTY*90*1", "QTY*AA*1", "AMT*YU*180.5", "AMT*YY*200"],
        ["QTY*90*1", "AMT*YU*1250"],
        ["QTY*90*1", "AMT*YU*1250"],
    ]
    two = found["acks/0001-002-000000009-001-1.277ca"]
    assert "STC*A7:178*20251115*U*200" in having(two, "STC")
    # the night: 2 + 1 + 2 + 1 + 1 = 7 claims, one rejected; 361.00 + 180.50 + 380.50 + 2,500.00
    told = [sums(content) for name, content in found.items() if name.endswith(".277ca")]
    assert [sum(each) for each in zip(*told, strict=True)] == [6, 1, 4 * P + 2 * I, 20000]
    assert received(summary) == (7, 4 * P + 20000 + 2 * I)
    assert summary.counts["rejected"] == {"count": 1, "charge_amount": 20000}
    assert [(f.claim_count, f.rejected_count) for f in summary.files] == [(6, 1), (1, 0)]


def test_an_accepted_claim_carries_its_number_and_a_rejected_one_none(place: Path) -> None:
    wrong = [s.replace("CLM*B2*180.5", "CLM*B2*200") for s in body([claim("B1"), claim("B2")])]
    summary = run(place, file_of(transaction(wrong)))
    (document,) = (c for n, c in acknowledgements(place, summary).items() if n.endswith("277ca"))
    kept = dict(rows(place, "SELECT patient_control_number, claim_number FROM claim"))
    assert kept == {"B1": "000000000001", "B2": None}
    assert having(document, "TRN", "REF")[-3:] == ["TRN*2*B1", "REF*1K*000000000001", "TRN*2*B2"]


def test_what_can_not_be_pinned_to_a_claim_is_answered_and_its_neighbours_go_on(
    place: Path,
) -> None:
    """A set without SE is refused by its 999; the other set of the group is taken in."""
    torn = transaction(body([claim("X1")]), 1)[:-1]
    summary = run(place, file_of(torn, transaction(body([claim("X2")]), 2)))
    assert list(summary.files[0].acknowledgements.values()) == ["WQ", "P"]
    documents = acknowledgements(place, summary)
    assert [having(c, "IK5") for n, c in documents.items() if n.endswith("999")] == [
        ["IK5*R*2", "IK5*A"]
    ]
    assert received(summary) == (1, P)


def test_two_stores_answer_in_the_same_bytes(loaded: Path, tmp_path: Path) -> None:
    nights = []
    for name in ("one", "two"):
        here = another(loaded, tmp_path / name)
        run(here, professional(3), institutional(2, number=2))
        nights.append(published(here))
    assert nights[0] == nights[1]


def test_the_answers_go_on_counting_from_night_to_night(place: Path) -> None:
    run(place, professional(1, number=1))
    found = acknowledgements(place, run(place, professional(1, number=2), day=NEXT))
    assert sorted(c[90:99] for c in found.values()) == [b"000000003", b"000000004"]


# ---- kills -------------------------------------------------------------------------------------


def test_a_night_killed_after_intake_publishes_what_an_undisturbed_one_does(
    loaded: Path, tmp_path: Path
) -> None:
    files = (professional(2), b"nothing of ours", professional(2), institutional(1, number=2))
    whole, broken = another(loaded, tmp_path / "whole"), another(loaded, tmp_path / "broken")
    run(whole, *files)
    with pytest.raises(Killed):
        run(broken, *files, kill=at_decide)
    assert not published(broken)
    kept = rows(broken, "SELECT file_id, name, content FROM acknowledgement")
    run(broken, *files)
    assert published(broken) == published(whole)
    assert rows(broken, "SELECT file_id, name, content FROM acknowledgement") == kept


def test_a_file_that_fails_inside_its_transaction_leaves_nothing(
    loaded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, broken = another(loaded, tmp_path / "whole"), another(loaded, tmp_path / "broken")
    files = (professional(2), institutional(1, number=2))
    run(whole, *files)
    made = acks.acknowledge

    def fails_on_the_second(reading: Any, issue: Any, **more: Any) -> Any:
        if issue.first_control_number > 1:
            raise Killed
        return made(reading, issue, **more)

    monkeypatch.setattr(answers, "acknowledge", fails_on_the_second)
    with pytest.raises(Killed):
        run(broken, *files)
    assert rows(broken, "SELECT receipt_position FROM file") == [(0,)]
    assert rows(broken, "SELECT count(*) FROM claim") == [(2,)]
    assert rows(broken, "SELECT count(*) FROM acknowledgement") == [(2,)]
    monkeypatch.undo()
    run(broken, *files)
    assert published(broken) == published(whole)


def test_the_answers_of_a_night_that_never_ended_are_published_by_the_next_one_once(
    place: Path,
) -> None:
    """Its inputs are gone: the claims come forward, and their senders are told all the same."""
    with pytest.raises(Killed):
        run(place, professional(2), kill=at_decide)
    found = acknowledgements(place, run(place, institutional(1, number=2), day=NEXT))
    assert list(found) == [
        "acks/0001-001-000000002-001-1.277ca", "acks/0001-001-000000002-001-1.999",
        "acks/run-000001-0001-001-000000001-001-1.277ca",
        "acks/run-000001-0001-001-000000001-001-1.999",
    ]  # fmt: skip
    assert list(acknowledgements(place, run(place, day=THIRD))) == []


def test_a_277ca_that_does_not_say_what_came_stops_the_night(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = acks.acknowledge

    def one_cent_off(*a: Any, **more: Any) -> Any:
        return [
            acks.Acknowledgement(
                d.name, d.kind, d.code, d.control_number,
                d.content.replace(b"AMT*YU*361~", b"AMT*YU*361.01~", 1), d.position,
            )
            for d in made(*a, **more)
        ]  # fmt: skip

    monkeypatch.setattr(answers, "acknowledge", one_cent_off)
    with pytest.raises(NightError, match=r"1\.837: the 277CAs tell \[2, 0, 36101, 0\] where \[2,"):
        run(place, professional(2))
    assert rows(place, "SELECT count(*) FROM file") == [(0,)]
    assert not published(place)


def test_the_sums_of_a_277ca_are_read_from_its_bytes() -> None:
    """2 of 180.50, of which one is refused, and a set of one of 1,250.00."""
    reading = read_file(professional(2) + institutional(1, number=2))
    reasons = reading.frames["claims"].select("claim_id").head(1)
    rejections = reasons.with_columns(line_number=None, status_code=None)
    documents = acks.acknowledge(reading, acks.Issue(1, DAY, DAY), rejections=rejections)
    told = [sums(d.content) for d in documents if d.kind == "277CA"]
    assert told == [(1, 1, P, P), (1, 0, I, 0)]
    with pytest.raises(AnswerError, match="no sums"):
        sums(documents[1].content.replace(b"~TRN*2*B1~", b"~TRN*3*B1~", 1))


# ---- the same again ----------------------------------------------------------------------------


def test_the_same_bytes_again_give_the_first_answers_and_no_effect(place: Path) -> None:
    data = professional(2)
    first = run(place, data)
    answered = list(acknowledgements(place, first).values())
    before = rows(place, "SELECT * FROM claim ORDER BY claim_id")
    for day in (NEXT, THIRD):
        again = run(place, data, day=day)
        assert [f.verdict for f in again.files] == ["repeated"]
        assert again.files[0].reasons[0].startswith("the same bytes came in run 1")
        assert received(again) == (0, 0)
        assert list(acknowledgements(place, again).values()) == answered
    after = rows(place, "SELECT * FROM claim ORDER BY claim_id")
    assert [row[:20] for row in after] == [row[:20] for row in before]
    # its bytes are kept once
    assert rows(place, "SELECT count(*) FROM file_part") == [(1,)]


def test_the_same_file_twice_in_one_night(place: Path) -> None:
    summary = run(place, professional(2), professional(2))
    assert [(f.verdict, f.claim_count) for f in summary.files] == [("read", 2), ("repeated", 0)]
    assert received(summary) == (2, 2 * P)
    found = acknowledgements(place, summary)
    assert [n[5:9] for n in found] == ["0001", "0001", "0002", "0002"]
    documents = list(found.values())
    assert documents[:2] == documents[2:]


def test_a_file_that_can_not_be_read_is_repeated_with_its_reason(place: Path) -> None:
    run(place, b"nothing of ours")
    again = run(place, b"nothing of ours", day=NEXT)
    assert again.files[0].verdict == "repeated"
    assert "does not begin with ISA" in again.files[0].reasons[1]
    assert acknowledgements(place, again) == {}


def test_the_same_interchange_in_another_file_is_answered_as_it_was(place: Path) -> None:
    """First alone, then between two that are new: they are read, it is not."""
    known = professional(2, number=5)
    first = list(acknowledgements(place, run(place, known)).values())
    data = professional(1, number=4) + b"\r\n" + known + institutional(1, number=6)
    summary = run(place, data, day=NEXT)
    (told,) = summary.files
    assert (told.verdict, told.claim_count) == ("read", 2)
    assert told.reasons == ["interchange 2: its bytes came before; it is answered as it was then"]
    assert received(summary) == (2, P + I)
    found = acknowledgements(place, summary)
    assert [n[5:] for n in found] == [
        "0001-001-000000004-001-4.277ca", "0001-001-000000004-001-4.999",
        "0001-002-000000005-001-5.277ca", "0001-002-000000005-001-5.999",
        "0001-003-000000006-001-1.277ca", "0001-003-000000006-001-1.999",
    ]  # fmt: skip
    assert list(found.values())[2:4] == first


def test_the_same_interchange_twice_in_one_file(place: Path) -> None:
    summary = run(place, professional(1) + professional(1))
    assert received(summary) == (1, P)
    documents = list(acknowledgements(place, summary).values())
    assert documents[:2] == documents[2:] and len(documents) == 4


OTHER = one_claim("OTHER", 1)


@pytest.mark.parametrize("where", ["another night", "another file", "the same file"])
def test_other_bytes_under_a_used_number_are_quarantined(place: Path, where: str) -> None:
    """TA1 R 025: what came first stands, the rest of the file goes on, the bytes are kept."""
    first, rest = professional(2), institutional(1, number=2)
    if where == "another night":
        run(place, first)
        summary = run(place, OTHER + rest, day=NEXT)
        expected, received_now = "0001-001", (1, I)
    elif where == "another file":
        summary = run(place, first, OTHER + rest)
        expected, received_now = "0002-001", (3, 2 * P + I)
    else:
        summary = run(place, first + OTHER + rest)
        expected, received_now = "0001-002", (3, 2 * P + I)
    assert received(summary) == received_now
    found = acknowledgements(place, summary)
    ta1 = found[f"acks/{expected}-000000001.ta1"]
    assert having(ta1, "TA1") == ["TA1*000000001*250602*0815*R*025"]
    assert [n for n in found if n.startswith(f"acks/{expected}-")] == [
        f"acks/{expected}-000000001.ta1"
    ]
    assert any("ISA13 was used before by other bytes" in r for r in summary.files[-1].reasons)
    assert rows(place, "SELECT count(*) FROM claim WHERE patient_control_number = 'OTHER'") == [
        (0,)
    ]
    with store.reading(store.open_store(f"sqlite:///{place / 'a.db'}")) as connection:
        (last,) = connection.exec_driver_sql("SELECT max(file_id) FROM file_part").one()
        assert OTHER in store.read_file(connection, last)


def test_bytes_in_quarantine_sent_again_are_refused_again(place: Path) -> None:
    run(place, professional(2))
    first = acknowledgements(place, run(place, OTHER, day=NEXT))
    again = run(place, OTHER, day=THIRD)
    assert again.files[0].verdict == "repeated"
    assert any("ISA13 was used before" in reason for reason in again.files[0].reasons)
    assert list(acknowledgements(place, again).values()) == list(first.values())


@pytest.mark.parametrize(
    ("old", "new"),
    [(b"WILLOWEDI      *ZZ", b"WILLOWSON      *ZZ"), (b"*000000001", b"*000000003")],
    ids=["another sender", "another number"],
)
def test_a_number_is_a_senders_own(place: Path, old: bytes, new: bytes) -> None:
    run(place, professional(2))
    summary = run(place, OTHER.replace(old, new), day=NEXT)
    assert received(summary) == (1, P)


def test_group_and_set_numbers_may_come_again_in_another_interchange(place: Path) -> None:
    """GS06 is unique within its interchange, ST02 within its group (RFI 1220): senders who count
    from 1 in each are not refused."""
    summary = run(place, one_claim("A1", 1), one_claim("A2", 2))
    assert received(summary) == (2, 2 * P)


@pytest.mark.parametrize(
    ("other", "codes"),
    [("GS*HC*WILLOWEDI", ["A", "R"]), ("GS*HC*WILLOWSON", ["A", "A"])],
    ids=["the same sender", "another sender"],
)
def test_a_group_number_used_twice_in_an_interchange(
    place: Path, other: str, codes: list[str]
) -> None:
    """What must differ is GS01, GS02, GS03 and GS06 together (RFI 362); AK905 19 refuses."""
    second = [
        s.replace("GS*HC*WILLOWEDI", other) for s in group([transaction(body([claim("G2")]))], 7)
    ]
    data = write(interchange([group([transaction(body([claim("G1")]))], 7), second]))
    found = acknowledgements(place, run(place, data))
    answers_ = [having(c, "AK9")[0].split("*") for n, c in found.items() if n.endswith("999")]
    assert [a[1] for a in answers_] == codes
    assert answers_[1][5:] == (["19"] if codes[1] == "R" else [])


def test_a_set_number_used_twice_in_a_group_refuses_the_second(place: Path) -> None:
    data = file_of(transaction(body([claim("S1")]), 4), transaction(body([claim("S2")]), 4))
    summary = run(place, data)
    found = acknowledgements(place, summary)
    assert [having(c, "IK5") for n, c in found.items() if n.endswith("999")] == [
        ["IK5*A", "IK5*R*23"]
    ]
    assert received(summary) == (1, P)


# ---- tests -------------------------------------------------------------------------------------


def test_a_test_is_answered_but_not_adjudicated_and_its_neighbours_are(place: Path) -> None:
    wrong = [s.replace("CLM*T2*180.5", "CLM*T2*200") for s in body([claim("T1"), claim("T2")])]
    data = file_of(transaction(wrong), number=1, usage="T") + professional(1, number=2)
    summary = run(place, data, one_claim("T3", 3, "T"))
    assert [f.verdict for f in summary.files] == ["read", "test"]
    assert "interchange 1: ISA15 is T" in summary.files[0].reasons[0]
    assert received(summary) == (1, P)
    assert rows(place, "SELECT patient_control_number FROM claim") == [("P21",)]
    found = acknowledgements(place, summary)
    told = found["acks/0001-001-000000001-001-1.277ca"]
    # checked as if it were to be decided, answered as a test, without a claim number
    assert having(told, "ISA")[0].split("*")[15] == "T"
    assert having(told, "STC")[1:] == ["STC*A2:20*20251115*WQ*180.5", "STC*A7:178*20251115*U*200"]
    assert "REF*1K" not in told.decode()
    assert "REF*1K*000000000001" in found["acks/0001-002-000000002-001-2.277ca"].decode()
    assert rows(place, "SELECT position, verdict FROM interchange WHERE file_id = 1") == [
        (0, "test"), (1, "read"),
    ]  # fmt: skip


@pytest.mark.long
def test_a_test_that_was_only_checked_is_taken_in_when_tests_are_accepted(place: Path) -> None:
    data = one_claim("T1", 1, "T")
    checked = acknowledgements(place, run(place, data))
    again = run(place, data, day=NEXT)
    assert (again.files[0].verdict, received(again)) == ("repeated", (0, 0))
    assert list(acknowledgements(place, again).values()) == list(checked.values())
    taken = run(place, data, day=THIRD, accept_test=True)
    assert (taken.files[0].verdict, received(taken)) == ("read", (1, P))
    found = acknowledgements(place, taken)
    assert "REF*1K*000000000001" in b"".join(found.values()).decode()
    # and from then on it was taken in, whether tests are accepted or not
    for accept in (True, False):
        last = run(place, data, day=date(2025, 11, 18), accept_test=accept)
        assert (last.files[0].verdict, received(last)) == ("repeated", (0, 0))
        assert list(acknowledgements(place, last).values()) == list(found.values())


def test_a_test_uses_no_number_up(place: Path) -> None:
    """The same claim is sent in earnest under the number of its test, or another test under it."""
    run(place, one_claim("T1", 1, "T"))
    summary = run(place, one_claim("T2", 1, "T"), one_claim("T1", 1), day=NEXT)
    assert [f.verdict for f in summary.files] == ["test", "read"]
    # once the number is used, a test under it is still only checked
    assert run(place, one_claim("T3", 1, "T"), day=THIRD).files[0].verdict == "test"


# ---- another payer's ---------------------------------------------------------------------------

ELSEWHERE = professional(1, number=3).replace(b"CPCT1", b"OTHER")


def test_an_interchange_for_another_payer_is_refused_and_its_neighbours_go_on(place: Path) -> None:
    summary = run(place, ELSEWHERE + professional(2))
    assert received(summary) == (2, 2 * P)
    found = acknowledgements(place, summary)
    assert having(found["acks/0001-001-000000003.ta1"], "TA1") == [
        "TA1*000000003*250602*0815*R*008"
    ]
    assert len(found) == 3
    assert "ISA08 and GS03 name another receiver" in summary.files[0].reasons[0]
    assert len(summary.files[0].reasons) == 1  # not told again of each set


def test_another_payers_file_is_read_once_its_number_is_ours(place: Path, tmp_path: Path) -> None:
    assert run(place, ELSEWHERE).files[0].verdict == "refused"
    assert run(place, ELSEWHERE, day=NEXT).files[0].verdict == "repeated"
    programs = tmp_path / "programs"
    shutil.copytree(ROOT / "schemas" / "programs", programs)
    file = programs / "carepartners" / "program.yaml"
    text = file.read_text("utf-8")
    file.write_text(text.replace("receiver_numbers: [CPCT1]", "receiver_numbers: [CPCT1, OTHER]"))
    summary = run(place, ELSEWHERE, day=THIRD, programs=programs)
    assert (summary.files[0].verdict, received(summary)) == ("read", (1, P))


def test_a_group_for_another_payer_beside_one_of_ours(place: Path) -> None:
    """ISA08 is a clearinghouse's; the 999 accepts both groups, the 277CA sends one back whole."""
    groups = [group([transaction(body([claim(f"G{n}")]))], n) for n in (1, 2)]
    groups[1][0] = groups[1][0].replace("CPCT1", "ELSEWHERE")
    made = interchange(groups)
    made[0] = made[0].replace("CPCT1     ", "CLEARING  ")
    summary = run(place, write(made))
    found = acknowledgements(place, summary)
    refused = found["acks/0001-001-000000001-002-2.277ca"]
    assert having(refused, "STC", "QTY", "AMT") == [
        "STC*A3:116*20251115*U*180.5", "QTY*AA*1", "AMT*YY*180.5",
    ]  # fmt: skip
    assert list(summary.files[0].acknowledgements.values()) == ["WQ", "A", "U", "A"]
    assert received(summary) == (2, 2 * P)
    assert summary.counts["rejected"] == {"count": 1, "charge_amount": P}


@pytest.mark.parametrize(
    ("segment", "place_"),
    [("NM1*40*", "1000B NM109"), ("NM1*PR*", "2010BB NM109")],
)
def test_a_set_for_another_payer_is_sent_back_whole(place: Path, segment: str, place_: str) -> None:
    other = [
        s.replace("CPCT1", "OTHER9") if s.startswith(segment) else s
        for s in body([claim("O1"), claim("O2")])
    ]
    data = file_of(transaction(other, 1), transaction(body([claim("Q1")]), 2))
    summary = run(place, data)
    (document,) = (c for n, c in acknowledgements(place, summary).items() if n.endswith("277ca"))
    assert having(document, "STC") == [
        "STC*A3:116*20251115*U*361", "STC*A1:19:PR*20251115*WQ*180.5",
        "STC*A2:20*20251115*WQ*180.5",
    ]  # fmt: skip
    assert received(summary) == (3, 3 * P)
    assert summary.counts["rejected"] == {"count": 2, "charge_amount": 2 * P}
    found = rows(place, "SELECT claim_id, edit, status_code, inputs FROM finding "
                        "WHERE disposition = 'reject' ORDER BY claim_id")  # fmt: skip
    inputs = f'{{"element":"{place_}","cause":"it names another payer"}}'
    assert found == [(n, "another_payer", "A3:116", inputs) for n in (1, 2)]


def test_one_claim_for_another_payer_goes_back_alone(place: Path) -> None:
    made = body([claim("O1"), claim("O2")])
    at = [i for i, s in enumerate(made) if s.startswith("NM1*PR*")][1]
    made[at] = made[at].replace("CPCT1", "OTHER9")
    summary = run(place, file_of(transaction(made)))
    (document,) = (c for n, c in acknowledgements(place, summary).items() if n.endswith("277ca"))
    assert having(document, "STC") == [
        "STC*A1:19:PR*20251115*WQ*361", "STC*A2:20*20251115*WQ*180.5",
        "STC*A3:116*20251115*U*180.5",
    ]  # fmt: skip
    assert rows(place, "SELECT claim_number FROM claim ORDER BY claim_id") == [
        ("000000000001",), (None,),
    ]  # fmt: skip
    told = CliRunner().invoke(app, ["explain", "S2", "--db", f"sqlite:///{place / 'a.db'}"])
    assert "2010BB NM109: it names another payer" in told.stdout


@pytest.mark.parametrize("number", ["cpct1", "CTPP1"])
def test_any_number_of_any_program_is_ours(place: Path, number: str) -> None:
    data = professional(1).replace(b"CPCT1~", f"{number}~".encode())
    assert b"NM1*PR*2*CAREPARTNERS OF CONNECTICUT*****PI*" + number.encode() in data
    assert run(place, data).counts["rejected"]["count"] == 0


def test_another_payers_claims_are_taken_where_all_files_are(place: Path) -> None:
    summary = run(place, ELSEWHERE, accept_test=True)
    assert (received(summary), summary.counts["rejected"]["count"]) == ((1, P), 0)


# ---- versions of the guides --------------------------------------------------------------------

ADDENDA = {
    "005010X222": PROFESSIONAL, "005010X222A2": PROFESSIONAL, "005010X223": INSTITUTIONAL,
    "005010X223A1": INSTITUTIONAL, "005010X223A3": INSTITUTIONAL,
}  # fmt: skip


@pytest.mark.parametrize("code", [PROFESSIONAL, INSTITUTIONAL, *ADDENDA])
def test_an_addendum_is_read_by_its_base_guide_and_said_so(place: Path, code: str) -> None:
    base = ADDENDA.get(code, code)
    data = professional(1) if base == PROFESSIONAL else institutional(1)
    summary = run(place, data.replace(base.encode(), code.encode()))
    (told,) = summary.files
    assert (told.verdict, told.claim_count) == ("read", 1)
    kind = "837P" if base == PROFESSIONAL else "837I"
    note = f"GS08 is {code}, which is read by {base} ({kind})"
    assert told.reasons == ([note] if code in ADDENDA else [])
    found = acknowledgements(place, summary)
    (response,) = (having(c, "IK5") for n, c in found.items() if n.endswith("999"))
    assert response == (["IK5*E*I6"] if code in ADDENDA else ["IK5*A"])
    inbox = place / f"inbox-{DAY}" / "1.837"
    checked = CliRunner().invoke(app, ["check", str(inbox)])
    assert checked.exit_code == 0
    assert (f"note        {note}" in checked.stdout) == (code in ADDENDA)


@pytest.mark.parametrize(
    ("code", "version", "answer"),
    [
        ("005010X224A2", "00501", ["AK9*R*1*1*0*2"]),
        ("004010X098A1", "00501", ["AK9*R*1*1*0*2"]),
        ("005010X222A9", "00501", ["AK9*R*1*1*0*2"]),
        ("004010X098A1", "00401", ["TA1*000000001*250602*0815*R*017"]),
    ],
    ids=["837D", "4010 in 5010", "no such addendum", "4010"],
)
def test_other_guides_are_refused_and_their_neighbours_go_on(
    place: Path, code: str, version: str, answer: list[str]
) -> None:
    data = professional(1).replace(PROFESSIONAL.encode(), code.encode())
    data = data.replace(b"*00501*", f"*{version}*".encode())
    summary = run(place, data + professional(1, number=2))
    assert received(summary) == (1, P)
    found = acknowledgements(place, summary)
    of_first = [c for n, c in found.items() if "000000001" in n]
    assert [s for c in of_first for s in having(c, "AK9", "TA1")] == answer


# ---- rejected is not denied --------------------------------------------------------------------

SERVICE = "2025-09-16"  # day 59 is 14 November, day 60 the 15th, day 61 the 16th


def timely_filing(number: int, *, broken: bool, alone: bool) -> bytes:
    """fixtures/claims/timely-filing under another ISA13; TF-60 is broken (a line without its day,
    box 24a), or stands alone."""
    text = (CLAIMS / "timely-filing" / "claim.837").read_text("ascii").replace("\n", "")
    made = text.rstrip("~").split("~")
    first = made.index("CLM*TF-60*140***11:B:1*Y*A*Y*Y")
    if alone:
        made = [*made[: first + 5], "SE*0*0001", *made[-2:]]
    if broken:
        assert made.pop(first + 4) == "DTP*472*D8*20250916"
    at = next(i for i, s in enumerate(made) if s.startswith("SE*"))
    begin = next(i for i, s in enumerate(made) if s.startswith("ST*"))
    made[at] = f"SE*{at - begin + 1}*0001"
    return ("~".join(made) + "~").replace("000000016", f"{number:09d}").encode()


def test_a_rejected_claim_is_on_no_835_no_eop_and_has_no_number(place: Path) -> None:
    summary = run(place, timely_filing(900, broken=True, alone=False))
    assert summary.counts["rejected"] == {"count": 1, "charge_amount": 14000}
    folder = place / "out" / summary.folder
    documents = b"".join(p.read_bytes() for p in folder.glob("835/*"))
    assert b"CLP*TF-61*" in documents and b"TF-60" not in documents
    done = CliRunner().invoke(
        app,
        [
            "report",
            "eop",
            "--db",
            f"sqlite:///{place / 'a.db'}",
            "--out",
            str(place / "eop"),
            "--format",
            "csv",
        ],
    )
    assert done.exit_code == 0
    reports = b"".join(p.read_bytes() for p in (place / "eop").rglob("*.csv"))
    assert b"TF-61" in reports and b"TF-60" not in reports
    (row,) = rows(place, "SELECT claim_id, claim_number, disposition, payment_id, paid_amount "
                         "FROM claim WHERE patient_control_number = 'TF-60'")  # fmt: skip
    assert row[1:] == (None, "rejected", None, None)
    for table in ("line", "ledger_entry", "accumulator_entry", "referral_visit"):
        assert rows(place, f"SELECT * FROM {table} WHERE claim_id = {row[0]}") == []
    # kept with its reasons, the box among them, and told again when asked for
    found = rows(place, f"SELECT edit, disposition FROM finding WHERE claim_id = {row[0]}")
    assert ("mandatory_field", "reject") in found
    assert {disposition for _, disposition in found} == {"reject"}
    assert "TF-60" in (folder / "claims.csv").read_text("utf-8")
    (answered,) = (c for n, c in acknowledgements(place, summary).items() if n.endswith("277ca"))
    at = answered.decode().split("~TRN*2*TF-60~")[1]
    # the line's day is missing: for the guide (the 999 tells where) and for box 24a
    assert at.startswith("STC*A7:21*20251115*U*140******A6:187~")


@pytest.mark.parametrize(
    ("day", "fate", "paid"),
    [(date(2025, 11, 15), "paid", 7800), (date(2025, 11, 16), "denied", 0)],
    ids=["day 60", "day 61"],
)
def test_a_clean_resubmission_has_sixty_days_from_the_service(
    place: Path, day: date, fate: str, paid: int
) -> None:
    """Rejected on day 59: the clock neither stops nor starts anew (001:2130). On day 60 it is paid
    as in fixtures/claims/timely-filing: 88.00 allowed − 10.00 copay = 78.00."""
    first = run(place, timely_filing(900, broken=True, alone=True), day=date(2025, 11, 14))
    assert first.counts["rejected"]["count"] == 1
    run(place, timely_filing(901, broken=False, alone=True), day=day)
    told = rows(place, "SELECT disposition, paid_amount FROM claim ORDER BY claim_id")
    assert told == [("rejected", None), (fate, paid)]
    edits = rows(place, "SELECT edit FROM finding WHERE claim_id = 2")
    assert edits == ([("timely_filing",)] if fate == "denied" else [])


def test_a_rejected_claim_is_no_duplicate_of_its_resubmission(place: Path) -> None:
    """Both in one night: the rejected one was never taken in."""
    summary = run(
        place, timely_filing(900, broken=True, alone=True),
        timely_filing(901, broken=False, alone=True),
    )  # fmt: skip
    assert {k: v["count"] for k, v in summary.counts.items() if v["count"]} == {
        "received": 2, "rejected": 1, "paid": 1,
    }  # fmt: skip


# ---- what no answer may hold -------------------------------------------------------------------


def test_no_name_stands_in_what_an_operator_is_told(place: Path) -> None:
    """Names stand in the 277CA, whose sender sent them; not in file names, summary or list."""
    summary = run(place, professional(2), ELSEWHERE, OTHER, one_claim("T1", 9, "T"))
    folder = place / "out" / summary.folder
    told = json.dumps(summary.as_json()) + (folder / "claims.csv").read_text("utf-8")
    told += " ".join(acknowledgements(place, summary))
    assert not re.search("TALLOWAY|ORRIN|CP0000001|19710417", told)
