"""TA1, 999 and 277CA: to whom, with which codes, and never with more than may be said.

FUZZ_BYTES=1 damages a file at every segment; unset, at a part of them.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from adjudicator.check import check_files
from adjudicator.programs import load_forms
from cli import app
from edi.acks import ENTITIES, Acknowledgement, Issue, acknowledge, acknowledgement_count
from edi.envelope import ISA_CHECKS, Delimiters
from edi.guide import Guide
from edi.read_file import REFUSING, FileReading, read_file, refuse_interchange
from tests.pyx12_check import pyx12_errors
from tests.samples import (
    INSTITUTIONAL,
    PROFESSIONAL,
    body,
    claim,
    group,
    institutional,
    interchange,
    npi,
    professional,
    transaction,
    write,
)

ROOT = Path(__file__).parents[1]
CORPUS = ROOT.parent / "shared" / "corpus"
EVERY, STEP = os.environ.get("FUZZ_BYTES") == "1", 9
DAY = date(2025, 11, 15)
ISSUE = Issue(71, DAY, date(2025, 11, 14), "0630")
# pyx12 knows an interchange only with a group in it; a TA1 stands alone
TA1_ALONE = 'Mandatory loop "Functional Group Header" (GS_LOOP) missing'


@pytest.fixture(autouse=True)
def _no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """What damaged files teach of a guide isn't kept in the user's cache folder."""
    monkeypatch.setattr(Guide, "remember", lambda _: None)


def rows(document: Acknowledgement) -> list[str]:
    """The segments of a document; every one ends with our terminator."""
    text = document.content.decode("ascii")
    assert text.endswith("~")
    return text[:-1].split("~")


def starting(document: Acknowledgement, *names: str) -> list[str]:
    return [s for s in rows(document) if s.split("*")[0] in names]


def rejected(*reasons: tuple[int, int | None, str | None]) -> pl.DataFrame:
    schema = {"claim_id": pl.Int64, "line_number": pl.Int64, "status_code": pl.String}
    return pl.DataFrame(list(reasons), schema=schema, orient="row")


def numbered(reading: FileReading) -> pl.DataFrame:
    """A number of twelve digits for every claim."""
    return reading.frames["claims"].select(
        "claim_id", claim_number=(pl.col("claim_id") + 1).cast(pl.String).str.zfill(12)
    )


def answers(data: bytes | FileReading, **more: object) -> dict[str, list[Acknowledgement]]:
    """What is answered, by kind; checked to be valid, counted right and numbered on."""
    reading = data if isinstance(data, FileReading) else read_file(data)
    documents = acknowledge(reading, ISSUE, **more)  # type: ignore[arg-type]
    assert len(documents) == acknowledgement_count(reading)
    assert [d.control_number for d in documents] == list(range(71, 71 + len(documents)))
    assert len({d.name for d in documents}) == len(documents)
    out: dict[str, list[Acknowledgement]] = {"TA1": [], "999": [], "277CA": []}
    for one in documents:
        assert re.fullmatch(r"[0-9]{3}-([0-9]{9}|x)(-[0-9]{3}-[0-9]{1,9})?\.\w+", one.name)
        found = [e for e in pyx12_errors(one.content) if one.kind != "TA1" or TA1_ALONE not in e]
        assert found == [], one.content
        out[one.kind].append(one)
    return out


def only(data: bytes | FileReading, kind: str, **more: object) -> Acknowledgement:
    (one,) = answers(data, **more)[kind]
    return one


def file_of(*sets: Sequence[str], guide: str = PROFESSIONAL) -> bytes:
    return write(interchange([group(sets, guide=guide)]))


def put(made: Sequence[str], old: str, new: str, nth: int = 0) -> list[str]:
    """The nth segment that begins so, with others (a line each) in its place."""
    at = [i for i, s in enumerate(made) if s.startswith(old)][nth]
    return [*made[:at], *(s for s in new.split("\n") if s), *made[at + 1 :]]


def recounted(made: Sequence[str]) -> list[str]:
    """The set with SE01 as it should be."""
    return [*made[:-1], f"SE*{len(made)}*{made[-1].split('*')[2]}"]


GOOD, BAD = transaction(body([claim("A1")])), transaction(body([claim("A1"), claim("A2")]))


# ---- clean files -----------------------------------------------------------------------------


def test_a_clean_file_is_accepted_claim_by_claim() -> None:
    """837P and 837I together, every second claim a dependent's, with all that can stand in one."""
    data = professional(4, dependents=True, full=True) + institutional(3, number=2, dependents=True)
    reading = read_file(data)
    found = answers(reading, claim_numbers=numbered(reading))
    assert found["TA1"] == []
    assert [d.code for d in found["999"]] == ["A", "A"]
    assert [d.code for d in found["277CA"]] == ["WQ", "WQ"]
    first, second = found["999"]
    assert rows(first)[1:] == [
        "GS*FA*CPCT1*WILLOWEDI*20251115*0630*71*X*005010X231A1",
        "ST*999*0001*005010X231A1", "AK1*HC*1*005010X222A1", "AK2*837*0001*005010X222A1",
        "IK5*A", "AK9*A*1*1*1", "SE*6*0001", "GE*1*71", "IEA*1*000000071",
    ]  # fmt: skip
    assert "AK2*837*0002*005010X223A2" in rows(second)
    one, two = found["277CA"]
    # 4 × 1,010.75 = 4,043; 3 × 1,250 = 3,750
    assert starting(one, "STC")[0] == "STC*A1:19:PR*20251115*WQ*4043"
    assert starting(one, "QTY", "AMT") == [
        "QTY*90*4", "AMT*YU*4043", "QTY*QA*4", "AMT*YU*4043",
    ]  # fmt: skip
    assert starting(one, "STC")[1:] == ["STC*A2:20*20251115*WQ*1010.75"] * 4
    assert starting(one, "REF") == [
        s for n in range(1, 5) for s in (f"REF*1K*{n:012d}", "REF*D9*CLEAR55")
    ]
    assert starting(two, "QTY", "AMT")[:2] == ["QTY*90*3", "AMT*YU*3750"]
    # an inpatient bill of type 11 and frequency 1 has the days of its statement
    assert starting(two, "REF")[:2] == ["REF*1K*000000000005", "REF*BLT*111"]
    assert starting(two, "DTP")[2:] == ["DTP*472*RD8*20250504-20250506"] * 3
    # a dependent is named himself, with the subscriber's number: he has none of his own
    assert [s for s in rows(two) if s.startswith("NM1*QC")][:2] == [
        "NM1*QC*1*TALLOWAY*ORRIN*J**SR*MI*CP0000001", "NM1*QC*1*TALLOWAY*PIPPA****MI*CP0000002",
    ]  # fmt: skip


def test_a_277ca_says_whose_claims_it_answers() -> None:
    found = rows(only(professional(1), "277CA"))
    assert found[2:] == [
        "ST*277*0001*005010X214", "BHT*0085*08*0000000720001*20251115*0630*TH",
        "HL*1**20*1", "NM1*PR*2*CAREPARTNERS OF CONNECTICUT*****46*CPCT1",
        "TRN*1*0000000720001", "DTP*050*D8*20251114", "DTP*009*D8*20251115",
        "HL*2*1*21*1", "NM1*41*2*WILLOW BILLING*****46*WILLOWEDI", "TRN*2*B1",
        "STC*A1:19:PR*20251115*WQ*180.5", "QTY*90*1", "AMT*YU*180.5",
        "HL*3*2*19*1", f"NM1*85*1*SABLEWORTH*NEVE****XX*{npi(0)}", "TRN*1*0", "QTY*QA*1",
        "AMT*YU*180.5",
        "HL*4*3*PT", "NM1*QC*1*TALLOWAY*ORRIN*J**SR*MI*CP0000001", "TRN*2*P11",
        "STC*A2:20*20251115*WQ*180.5", "DTP*472*D8*20250513",
        "SE*24*0001", "GE*1*72", "IEA*1*000000072",
    ]  # fmt: skip


def test_levels_follow_providers_and_patients() -> None:
    """Two providers; a patient's second claim stands under the same HL, no other's."""
    made = body([claim(f"A{n}") for n in range(4)], provider_every=2, dependent=[False, True])
    at = next(i for i, s in enumerate(made) if s.startswith("CLM*A1"))
    made[at:at] = claim("A0B")
    levels = starting(only(file_of(transaction(made)), "277CA"), "HL", "TRN")
    assert levels[4:] == [
        "HL*3*2*19*1", "TRN*1*0", "HL*4*3*PT", "TRN*2*A0", "HL*5*3*PT", "TRN*2*A0B", "TRN*2*A1",
        "HL*6*2*19*1", "TRN*1*0", "HL*7*6*PT", "TRN*2*A2", "HL*8*6*PT", "TRN*2*A3",
    ]  # fmt: skip


def test_one_of_each_for_each_group_and_set() -> None:
    def one(kind: str, name: str, number: int, guide: str) -> list[str]:
        return transaction(body([claim(name, kind=kind)], kind=kind, reference=name), number, guide)

    groups = [
        group([one("P", "A", 1, PROFESSIONAL), one("P", "B", 2, PROFESSIONAL)], 1),
        group([one("I", "C", 1, INSTITUTIONAL)], 2, INSTITUTIONAL),
    ]
    found = answers(write(interchange(groups, 9)) + professional(1, number=3))
    assert [d.name for d in found["999"]] == [
        "001-000000009-001-1.999", "001-000000009-002-2.999", "002-000000003-001-3.999",
    ]  # fmt: skip
    assert [d.name for d in found["277CA"]] == [d.name[:-3] + "277ca" for d in found["999"]]
    assert starting(found["999"][0], "AK2", "IK5", "AK9") == [
        "AK2*837*0001*005010X222A1", "IK5*A", "AK2*837*0002*005010X222A1", "IK5*A", "AK9*A*2*2*2",
    ]  # fmt: skip
    two = found["277CA"][0]
    assert starting(two, "ST", "GE") == [
        "ST*277*0001*005010X214", "ST*277*0002*005010X214", "GE*2*72",
    ]  # fmt: skip
    # each answers its own BHT03, under a trace of its own
    traces = [s for s in starting(two, "TRN") if re.match(r"TRN\*2\*[AB]$|TRN\*1\*0000", s)]
    assert traces == [
        "TRN*1*0000000720001", "TRN*2*A", "TRN*2*A", "TRN*1*0000000720002", "TRN*2*B", "TRN*2*B",
    ]  # fmt: skip


def test_each_answer_goes_to_its_own_sender() -> None:
    """Two interchanges of other senders, each with its delimiters; a test stays a test."""
    other = professional(1, number=2, delimiters=Delimiters("|", ">", "!", "\n"))
    other = other.replace(b"|ZZ|WILLOWEDI      |ZZ|", b"|30|061234567      |01|").replace(
        b"|P|>\n", b"|T|>\n"
    )
    other = other.replace(b"GS|HC|WILLOWEDI|CPCT1|", b"GS|HC|QUILL9|PAYER9|")
    found = answers(professional(1) + other)
    for kind in ("999", "277CA"):
        mine, theirs = found[kind]
        assert rows(mine)[0].split("*")[5:9] == ["ZZ", "CPCT1          ", "ZZ", "WILLOWEDI      "]
        assert rows(theirs)[0].split("*")[5:9] == ["01", "CPCT1          ", "30", "061234567      "]
        assert [rows(d)[0].split("*")[15] for d in found[kind]] == ["P", "T"]
        assert rows(mine)[1].split("*")[2:4] == ["CPCT1", "WILLOWEDI"]
        assert rows(theirs)[1].split("*")[2:4] == ["PAYER9", "QUILL9"]


# ---- 999: a bad claim in a good set ----------------------------------------------------------


def claims_fault(old: str, new: str, nth: int = 0, **more: object) -> bytes:
    """Two claims, the segment (of all that begin so, the nth) as given."""
    return file_of(recounted(put(BAD, old, new, nth)), **more)  # type: ignore[arg-type]


CLM = next(i for i, s in enumerate(BAD, start=1) if s.startswith("CLM*A1"))
# (what is put where, the IK3 to IK4 it gives, IK5): CLM stands at CLM, HI after it, LX, SV1, DTP
CLAIM_FAULTS: tuple[tuple[str, str, list[str], str], ...] = (
    ("CLM*A1", "CLM*A1*180.5***11:B:1*Y*Q*Y*Y",
     [f"IK3*CLM*{CLM}*2300*8", "CTX*CLM01:A1", "IK4*7*1359*7*Q"], "IK5*E*I5"),
    ("CLM*A1", "CLM*A1*180.5***11:B*Y*A*Y*Y",
     [f"IK3*CLM*{CLM}*2300*8", "CTX*CLM01:A1", "IK4*5:3*1325*1"], "IK5*E*I5"),
    ("CLM*A1", "CLM*A1*180.5*X**11:B:1*Y*A*Y*Y",
     [f"IK3*CLM*{CLM}*2300*8", "CTX*CLM01:A1", "IK4*3*1032*I10"], "IK5*E*I5"),
    ("CLM*A1", "CLM*A1*ten***11:B:1*Y*A*Y*Y",
     [f"IK3*CLM*{CLM}*2300*8", "CTX*CLM01:A1", "IK4*2*782*6"], "IK5*E*5"),
    ("HI*", "", [f"IK3*HI*{CLM}*2300*3", "CTX*CLM01:A1"], "IK5*E*I5"),
    ("HI*", "HI*ABK:E119\nHI*ABK:I10", [f"IK3*HI*{CLM + 2}*2300*5", "CTX*CLM01:A1"], "IK5*E*I5"),
    ("HI*", "HI*ABK:E119\nNM1*82*1*OSTERBRIDGE*HAL\nNM1*82*1*OSTERBRIDGE*IDA",
     [f"IK3*NM1*{CLM + 3}*2310*4", "CTX*CLM01:A1"], "IK5*E*I5"),
    # the guide has an N3, but not here; it has no QQQ, and what nobody knows isn't repeated
    ("HI*", "HI*ABK:E119\nN3*18 HERON LN",
     [f"IK3*N3*{CLM + 2}*2300*2", "CTX*CLM01:A1"], "IK5*E*I5"),
    ("HI*", "HI*ABK:E119\nQQQ*1", [], "IK5*E*5"),
    ("HI*", "HI*ABK:E119\nTALLOWAY", [], "IK5*E*5"),
    ("LX*1", "LX*1*2",
     [f"IK3*LX*{CLM + 2}*2400*8", "CTX*CLM01:A1", "IK4*2**3"], "IK5*E*5"),
    ("SV1*HC:99213", "SV1*HC:99213:::::::*130.5*UN*1***1",
     [f"IK3*SV1*{CLM + 3}*2400*8", "CTX*CLM01:A1", "IK4*1**13"], "IK5*E*5"),
    ("SV1*HC:99213", "SV1*HC:99213*130.5*UN*1***",
     [f"IK3*SV1*{CLM + 3}*2400*8", "CTX*CLM01:A1", "IK4*7**1"], "IK5*E*5*I5"),
    ("DTP*472", "DTP*472*D8*20250230",
     [f"IK3*DTP*{CLM + 4}*2400*8", "CTX*CLM01:A1", "IK4*3*1251*8"], "IK5*E*5"),
)  # fmt: skip


@pytest.mark.parametrize(("old", "new", "said", "verdict"), CLAIM_FAULTS)
def test_one_bad_claim_is_named_and_costs_only_itself(
    old: str, new: str, said: list[str], verdict: str
) -> None:
    reading = read_file(claims_fault(old, new))
    assert set(reading.objections["claim_id"]) == {0}
    found = answers(
        reading, rejections=rejected((0, None, "A7:21")), claim_numbers=numbered(reading)
    )
    (one,), (two,) = found["999"], found["277CA"]
    assert one.code == "E" and starting(one, "AK9") == ["AK9*E*1*1*1"]
    assert starting(one, "IK3", "CTX", "IK4") == said
    assert starting(one, "IK5") == [verdict]
    # the other claim of the set is accepted, with its number; 2 × 180.5 = 361
    assert [s.split("*")[3] for s in starting(two, "STC")] == ["WQ", "U", "WQ"]
    assert starting(two, "REF") == ["REF*1K*000000000002"]
    assert starting(two, "QTY") == ["QTY*90*1", "QTY*AA*1", "QTY*QA*1", "QTY*QC*1"]


def test_a_good_claim_has_nothing_said_of_it() -> None:
    one = only(file_of(BAD), "999")
    assert starting(one, "IK3", "CTX", "IK4") == [] and starting(one, "IK5") == ["IK5*A"]


def test_a_fault_above_claims_is_told_once() -> None:
    """A provider's address: two claims below and no claim named; a subscriber's: his one claim."""
    one = only(claims_fault("N3*4", "N3"), "999")
    at = next(i for i, s in enumerate(BAD, start=1) if s.startswith("N3*4"))
    assert starting(one, "IK3", "CTX", "IK4") == [f"IK3*N3*{at}*2010*8", "IK4*1*166*1"]
    one = only(claims_fault("DMG*", "DMG*D8*19710417*Q", 1), "999")
    assert starting(one, "CTX", "IK4") == ["CTX*CLM01:A2", "IK4*3*1068*7"]


def test_faults_of_a_segment_stand_together_and_in_order() -> None:
    made = put(BAD, "CLM*A1", "CLM*A1*180.5***11:B*Y*Q*Y*Y")
    made = put(made, "LX*2", "LX*2*9", 1)
    one = only(file_of(made), "999")
    lx = next(i for i, s in enumerate(made, start=1) if s == "LX*2*9")
    assert starting(one, "IK3", "IK4", "CTX") == [
        f"IK3*CLM*{CLM}*2300*8", "IK4*5:3*1325*1", "IK4*7*1359*7",
        f"IK3*LX*{lx}*2400*8", "CTX*CLM01:A2", "IK4*2**3",
    ]  # fmt: skip
    assert starting(one, "IK5") == ["IK5*E*5*I5"]


def test_a_position_has_six_digits() -> None:
    """A set of a million segments: IK302 has no room for more than 999,999."""
    reading = read_file(claims_fault("HI*", ""))
    reading.objections = reading.objections.with_columns(
        segment_position=pl.lit(1_000_000, dtype=pl.Int64)
    )
    assert starting(only(reading, "999"), "IK3") == ["IK3*HI*999999*2300*3"]


# ---- 999: what it repeats of the data --------------------------------------------------------

REPEATED: tuple[tuple[str, str, str], ...] = (
    # a short wrong code, alone in its segment, is repeated
    ("CLM*A1", "CLM*A1*180.5***11:B:1*Y*Q*Y*Y", "IK4*7*1359*7*Q"),
    ("SBR*P", "SBR*P*99*GRP77******HM", "IK4*2*1069*7"),  # of a subscriber nothing is
    ("DMG*", "DMG*D8*19710417*Q", "IK4*3*1068*7"),
    ("N4*HAMDEN", "N4*HAMDEN*QQ*06514", "IK4*2*156*7"),
    # nor of anybody else named
    ("HI*", f"HI*ABK:E119\nNM1*82*3*OSTERBRIDGE*HAL****XX*{npi(9)}", "IK4*2*1065*7"),
    # beside another fault of the segment it isn't: a torn segment is wrong in several places
    ("CLM*A1", "CLM*A1*1*2**11:B:1*Y*Q*Y*Y", "IK4*7*1359*7"),
    # what is longer than a code isn't
    ("CLM*A1", "CLM*A1*180.5***11:B:1*Y*A*Y*Y**AA:OA::CTX", "IK4*11:4*156*5"),
    # nor amounts and dates
    ("CLM*A1", "CLM*A1*12X***11:B:1*Y*A*Y*Y", "IK4*2*782*6"),
    ("DTP*472", "DTP*472*D8*20250230", "IK4*3*1251*8"),
)


@pytest.mark.parametrize(("old", "new", "said"), REPEATED)
def test_only_a_code_that_is_nobodys_name_is_repeated(old: str, new: str, said: str) -> None:
    assert said in starting(only(claims_fault(old, new), "999"), "IK4")


CLAIM_NAMES: tuple[tuple[str, str | None], ...] = (
    ("CLM*A1*180.5***11:B:1*Y*Q*Y*Y", "A1"),
    (f"CLM*{'A' * 38}*180.5***11:B:1*Y*Q*Y*Y", "A" * 35),  # CTX01-2 takes 35 of CLM01's 38
    (f"CLM*{'A' * 39}*180.5***11:B:1*Y*A*Y*Y", None),  # CLM01 itself is at fault
    ("CLM**180.5***11:B:1*Y*A*Y*Y", None),
    ("CLM*A1*ten***11:B:1*Y*Q*Y*Y", None),  # two faults: it may be torn
    ("CLM*TALLOWAY*ORRIN*J**SR*MI*CP0000001", None),
)


@pytest.mark.parametrize(("clm", "name"), CLAIM_NAMES)
def test_a_claim_is_named_only_by_a_whole_segment(clm: str, name: str | None) -> None:
    one = only(claims_fault("CLM*A1", clm), "999")
    assert starting(one, "CTX") == ([f"CTX*CLM01:{name}"] if name else [])
    assert not re.search("TALLOWAY|ORRIN|CP000", one.content.decode())


@pytest.mark.long
def test_no_999_shows_a_member_however_the_file_is_torn() -> None:
    """Every segment that names somebody, torn in five ways, or with its terminator lost."""
    made = body([claim("A1")], dependent=[True])
    canaries = re.compile("TALLOWAY|ORRIN|PIPPA|CP000000|19710417|20140930|HERON", re.IGNORECASE)
    telling = [at for at, s in enumerate(made) if canaries.search(s)]
    assert len(telling) == 6
    for at in telling:
        whole = made[at]
        for torn in (
            whole.replace("*", "", 1), whole + "*", whole[2:] + "\x07", whole.partition("*")[2],
            "CLM" + whole[3:], f"{made[at - 1]}{whole}", f"CLM*{whole}",
        ):  # fmt: skip
            set_ = transaction([*made[:at], torn, *made[at + 1 :]])
            found = answers(file_of(set_))
            assert found["999"] and all(
                not canaries.search(d.content.decode()) for d in found["999"]
            ), torn


# ---- 999: sets and groups --------------------------------------------------------------------


def replaced(old: str, new: str, data: bytes | None = None) -> bytes:
    data = file_of(GOOD, transaction(body([claim("B1")]), 2)) if data is None else data
    assert old.encode() in data, old
    return data.replace(old.encode(), new.encode(), 1)


COUNT = len(GOOD)
# (what is replaced, the AK2 and IK5 of the two sets, AK9): the second set is always good
SECOND = ["AK2*837*0002*005010X222A1", "IK5*A"]
FIRST = "AK2*837*0001*005010X222A1"
SET_FAULTS: tuple[tuple[str, str, list[str], str], ...] = (
    (f"SE*{COUNT}*0001", f"SE*{COUNT + 1}*0001", [FIRST, "IK5*R*4", *SECOND], "AK9*P*2*2*1"),
    (f"SE*{COUNT}*0001", f"SE*{COUNT}*0009", [FIRST, "IK5*R*3", *SECOND], "AK9*P*2*2*1"),
    (f"SE*{COUNT}*0001~", "", [FIRST, "IK5*R*2", *SECOND], "AK9*P*2*2*1"),
    (f"SE*{COUNT}*0001", "SE*1*0009", [FIRST, "IK5*R*4*3", *SECOND], "AK9*P*2*2*1"),
    ("*0815*CH~", "*0815*XX~", [FIRST, "IK3*BHT*2**8", "IK4*6*640*7*XX", "IK5*R*I5", *SECOND],
     "AK9*P*2*2*1"),
    ("HL*2*1*22*0", "HL*2*9*22*0",
     [FIRST, "IK3*HL*12*2000*8", "IK4*2*734*7", "IK5*R*I5", *SECOND],
     "AK9*P*2*2*1"),
    ("ST*837*0001*005010X222A1", "ST*837*0001*005010X223A2",
     ["AK2*837*0001*005010X223A2", "IK5*R*I6", *SECOND], "AK9*P*2*2*1"),
    ("ST*837*0001*005010X222A1", "ST*837*0001*005010X999A9",
     ["AK2*837*0001*005010X999A9", "IK5*R*I6", *SECOND], "AK9*P*2*2*1"),
    # a name where ST03 should be is not repeated
    ("ST*837*0001*005010X222A1", "ST*837*0001*TALLOWAY",
     ["AK2*837*0001", "IK5*R*I6", *SECOND], "AK9*P*2*2*1"),
    ("ST*837*0001*005010X222A1", "ST*837*0001",
     ["AK2*837*0001", "IK5*A", *SECOND], "AK9*A*2*2*2"),  # ST03 may be left out
    ("ST*837*0001", "ST*835*0001",
     ["AK2*835*0001*005010X222A1", "IK5*R*1", *SECOND], "AK9*P*2*2*1"),
    # a group is accepted with what is wrong of its own
    ("GE*2*1~", "", [FIRST, "IK5*A", *SECOND], "AK9*E*2*2*2*3"),
    ("GE*2*1~", "GE*3*1~", [FIRST, "IK5*A", *SECOND], "AK9*E*3*2*2*5"),
    ("GE*2*1~", "GE*2*7~", [FIRST, "IK5*A", *SECOND], "AK9*E*2*2*2*4"),
    ("GE*2*1~", "GE*X*1~", [FIRST, "IK5*A", *SECOND], "AK9*E*2*2*2*5"),
    # a set without its ST: the group counts one less
    ("ST*837*0001*005010X222A1~", "", SECOND, "AK9*E*2*1*1*5"),
    # an ST that can't be named refuses its group (RFI 1339), as do a wrong GS01 and GS08
    ("ST*837*0001*", "ST*837**", [], "AK9*R*2*2*0*5"),
    ("ST*837*0001*", "ST*837*1*", [], "AK9*R*2*2*0*5"),
    ("ST*837*0001*", "ST*8E7*0001*", [], "AK9*R*2*2*0*5"),
    ("GS*HC*", "GS*HI*", [], "AK9*R*2*2*0*1"),
    ("*X*005010X222A1", "*X*005010X224A2", [], "AK9*R*2*2*0*2"),
    ("*X*005010X222A1", "*X*004010X098A1", [], "AK9*R*2*2*0*2"),
    ("*X*005010X222A1", "*X*TALLOWAY", [], "AK9*R*2*2*0*2"),
)  # fmt: skip


@pytest.mark.parametrize(("old", "new", "said", "verdict"), SET_FAULTS)
def test_what_can_not_be_pinned_to_a_claim_refuses_set_or_group(
    old: str, new: str, said: list[str], verdict: str
) -> None:
    found = answers(replaced(old, new))
    (one,) = found["999"]
    assert starting(one, "AK2", "IK3", "CTX", "IK4", "IK5") == said
    assert starting(one, "AK9") == [verdict] and one.code == verdict[4]
    # a refused set has no 277CA, its neighbour has
    accepted = int(verdict.split("*")[4])
    sets = [s for d in found["277CA"] for s in starting(d, "ST")]
    assert len(sets) == accepted and b"TALLOWAY" not in one.content


def test_a_claim_of_a_refused_set_is_answered_nowhere_else() -> None:
    found = answers(replaced(f"SE*{COUNT}*0001", "SE*1*0001"))
    (one,) = found["277CA"]
    assert "TRN*2*B1" in rows(one) and "TRN*2*A1" not in rows(one)
    alone = answers(file_of([*GOOD[:-1], "SE*1*0001"]))
    assert alone["277CA"] == [] and starting(alone["999"][0], "AK9") == ["AK9*R*1*1*0"]


def test_the_same_number_twice() -> None:
    sets = answers(file_of(GOOD, transaction(body([claim("B1")]))))["999"][0]
    assert starting(sets, "IK5", "AK9") == ["IK5*A", "IK5*R*23", "AK9*P*2*2*1"]
    groups = answers(write(interchange([group([GOOD]), group([GOOD])])))
    assert [starting(d, "AK9") for d in groups["999"]] == [["AK9*A*1*1*1"], ["AK9*R*1*1*0*19"]]
    assert len(groups["277CA"]) == 1


@pytest.mark.parametrize("code", ["005010X222A2", "005010X222"])
def test_a_later_addendum_is_accepted_and_said_to_be_read_by_its_base(code: str) -> None:
    found = answers(professional(1).replace(PROFESSIONAL.encode(), code.encode()))
    assert starting(found["999"][0], "AK1", "AK2", "IK5", "AK9") == [
        f"AK1*HC*1*{code}", f"AK2*837*0001*{code}", "IK5*E*I6", "AK9*E*1*1*1",
    ]  # fmt: skip
    assert [d.code for d in found["277CA"]] == ["WQ"]


def test_a_group_of_acknowledgements_or_of_nothing() -> None:
    ours = read_file(only(professional(1), "999").content)
    assert ours.objections.is_empty()
    assert acknowledge(ours, ISSUE) == []  # or they'd go on for ever
    empty = answers(write(interchange([group([])])))
    assert starting(empty["999"][0], "AK9") == ["AK9*R*0*0*0"] and empty["277CA"] == []


# ---- TA1 -------------------------------------------------------------------------------------

# (what is replaced, TA104 and TA105 or none, whether the claims are still read)
INTERCHANGES: tuple[tuple[str, str, str, bool], ...] = (
    ("*000000001*0*P", "*000000001*0*P", "", True),
    ("*000000001*0*P", "*000000001*1*P", "A*000", True),
    ("*250602*0815*^", "*251302*0815*^", "E*014", True),
    ("*250602*0815*^", "*250602*2415*^", "E*015", True),
    ("*000000001*0*P", "*000000001*2*P", "E*019", True),
    ("IEA*1*000000001", "IEA*1*000000002", "E*001", True),
    ("IEA*1*", "IEA*2*", "E*021", True),
    ("IEA*1*000000001~", "", "E*023", True),
    ("GE*2*1~", "GE*2*1~GE*2*1~", "E*024", True),
    ("ISA*00*", "ISA*07*", "R*010", False),
    ("*00*          *ZZ*WILLOWEDI", "*02*          *ZZ*WILLOWEDI", "R*012", False),
    ("*ZZ*WILLOWEDI ", "*XX*WILLOWEDI ", "R*005", False),
    ("*ZZ*CPCT1   ", "*XX*CPCT1   ", "R*007", False),
    ("*ZZ*CPCT1  ", "*ZZ*       ", "R*008", False),
    ("*00501*", "*00401*", "R*017", False),
    ("*000000001*0*P", "*00000000A*0*P", "R*018", False),
    ("*000000001*0*P", "*000000001*0*I", "R*020", False),
    ("*ZZ*WILLOWEDI      *", "*ZZ*WILLOWEDI*", "R*022", False),
    ("*P*:~", "*P*~~", "R*027", False),
)


@pytest.mark.parametrize(("old", "new", "told", "is_read"), INTERCHANGES)
def test_an_interchange_is_answered_where_asked_for_or_wrong(
    old: str, new: str, told: str, is_read: bool
) -> None:
    found = answers(replaced(old, new))
    said = [s.split("*", 4)[4] for d in found["TA1"] for s in starting(d, "TA1")]
    assert said == ([told] if told else [])
    assert [d.code for d in found["TA1"]] == [told[:1]] * bool(told)
    assert len(found["999"]) == len(found["277CA"]) == is_read


def test_a_ta1_repeats_the_interchange_it_answers() -> None:
    one = only(replaced("*000000001*0*P", "*000000001*1*P"), "TA1")
    assert rows(one) == [
        f"ISA*00*{'':10}*00*{'':10}*ZZ*{'CPCT1':15}*ZZ*{'WILLOWEDI':15}*251115*0630*^*00501"
        "*000000071*0*P*:",
        "TA1*000000001*250602*0815*A*000", "IEA*0*000000071",
    ]  # fmt: skip
    odd = only(replaced("*250602*0815*^", "*25O602*08 5*^"), "TA1")
    assert rows(odd)[1] == "TA1*000000001*251115*0630*E*014"  # no date and time: ours


def test_who_can_not_be_told_from_a_torn_isa_is_not_answered() -> None:
    """An element lost or a name in its place: whose number stands where is anybody's guess."""
    for old, new in (
        ("*ZZ*WILLOWEDI      *", "*WILLOWEDI      *"),
        ("*ZZ*WILLOWEDI      *", "*ZZ*TALLOWAY*ORRIN*"),
        ("*ZZ*WILLOWEDI      *", "*ZZ*               *"),
    ):  # fmt: skip
        assert acknowledge(read_file(replaced(old, new)), ISSUE) == [], new
    for data in (b"", b"hello", b"ISA*00*"):
        assert acknowledge(read_file(data), ISSUE) == []
        assert acknowledgement_count(read_file(data)) == 0


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("GS*HC*WILLOWEDI*", "GS*TALLOWAY*WILLOWEDI*"),
        ("GS*HC*WILLOWEDI*", "GS*HC*W*"),
        ("GS*HC*WILLOWEDI*CPCT1*", "GS*HC*WILLOWEDI*SIXTEEN-LETTERS!*"),
        ("*20250602*0815*1*X*", "*20250602*0815*ONE*X*"),
        ("*20250602*0815*1*X*", "*20250602*0815*1234567890*X*"),
        ("*20250602*0815*1*X*", "*20250602*0815**X*"),
    ],
)
def test_a_group_that_can_not_be_named_is_refused_with_a_ta1(old: str, new: str) -> None:
    other = [*group([GOOD], 2)]
    data = write(interchange([group([GOOD]), other]))
    data = replaced("GE*1*1~", f"GE*1*{new.split('*')[3]}~", replaced(old, new, data)) if (
        "0815" in old
    ) else replaced(old, new, data)  # fmt: skip
    found = answers(data)
    assert starting(found["TA1"][0], "TA1") == ["TA1*000000001*250602*0815*E*024"]
    # the group beside it is answered
    assert [starting(d, "AK1", "AK9") for d in found["999"]] == [
        ["AK1*HC*2*005010X222A1", "AK9*A*1*1*1"]
    ]
    assert len(found["277CA"]) == 1


def test_what_only_the_caller_knows_refuses_an_interchange() -> None:
    """A control number used before, another payer's file: a TA1, and its claims leave."""
    reading = read_file(professional(2) + professional(1, number=2))
    refuse_interchange(reading, 0, "025", "ISA13 was used before for another file")
    assert reading.frames["claims"]["patient_control_number"].to_list() == ["P21"]
    assert reading.sets["verdict"].to_list() == ["refused", "read"]
    assert reading.objections.select("level", "code").rows() == [("interchange", "025")]
    found = answers(reading)
    assert starting(found["TA1"][0], "TA1") == ["TA1*000000001*250602*0815*R*025"]
    assert [d.name[:3] for d in found["999"] + found["277CA"]] == ["002", "002"]
    refuse_interchange(reading, 1, "008", "ISA08 names another receiver")
    assert answers(reading)["999"] == [] and reading.claim_count == 0


# ---- 277CA: what a rejection says ------------------------------------------------------------


def test_the_totals_are_what_was_received() -> None:
    """Five claims of 180.50 of two providers, two rejected: 541.50 and 361 make 902.50."""
    reading = read_file(
        file_of(transaction(body([claim(f"A{n}") for n in range(5)], provider_every=3)))
    )
    one = only(
        reading, "277CA", rejections=rejected((0, None, "A6:125:QC"), (4, None, "A7:21")),
        claim_numbers=numbered(reading),
    )  # fmt: skip
    assert starting(one, "STC")[0] == "STC*A1:19:PR*20251115*WQ*902.5"
    assert starting(one, "QTY", "AMT") == [
        "QTY*90*3", "QTY*AA*2", "AMT*YU*541.5", "AMT*YY*361",
        "QTY*QA*2", "QTY*QC*1", "AMT*YU*361", "AMT*YY*180.5",
        "QTY*QA*1", "QTY*QC*1", "AMT*YU*180.5", "AMT*YY*180.5",
    ]  # fmt: skip
    # a rejected claim has no number, even where the caller gives one (RFI 2203: nor a warning)
    assert starting(one, "STC", "REF")[1:] == [
        "STC*A6:125:QC*20251115*U*180.5", "STC*A2:20*20251115*WQ*180.5", "REF*1K*000000000002",
        "STC*A2:20*20251115*WQ*180.5", "REF*1K*000000000003", "STC*A2:20*20251115*WQ*180.5",
        "REF*1K*000000000004", "STC*A7:21*20251115*U*180.5",
    ]  # fmt: skip


def test_claims_all_rejected_are_rejected_one_by_one() -> None:
    """RFI 2145: U in 2200B is for a set that is refused as a whole."""
    both = rejected((0, None, "A7:21"), (1, None, "A7:21"))
    one = only(professional(2), "277CA", rejections=both)
    assert [s.split("*")[3] for s in starting(one, "STC")] == ["WQ", "U", "U"]
    assert one.code == "U"
    assert starting(one, "QTY", "AMT") == ["QTY*AA*2", "AMT*YY*361", "QTY*QC*2", "AMT*YY*361"]


def test_a_set_refused_as_a_whole() -> None:
    reading = read_file(file_of(GOOD, transaction(body([claim("B1")]), 2)))
    one = only(reading, "277CA", refused_sets={0: "A3:116"}, claim_numbers=numbered(reading))
    first = rows(one)[: rows(one).index("SE*14*0001") + 1]
    assert first[-7:] == [
        "HL*2*1*21*0", "NM1*41*2*WILLOW BILLING*****46*WILLOWEDI", "TRN*2*B1",
        "STC*A3:116*20251115*U*180.5", "QTY*AA*1", "AMT*YY*180.5", "SE*14*0001",
    ]  # fmt: skip
    assert [s.split("*")[3] for s in starting(one, "STC")] == ["U", "WQ", "WQ"]


STATUSES: tuple[tuple[list[str | None], list[str]], ...] = (
    (["A6:125:QC"], ["STC*A6:125:QC*20251115*U*180.5"]),
    (["A8:562:85"], ["STC*A8:562:85*20251115*U*180.5"]),
    (["A3:21"], ["STC*A3:21*20251115*U*180.5"]),
    (["A6:125:ZZ9"], ["STC*A6:125*20251115*U*180.5"]),  # an entity the guide doesn't know
    ([None], ["STC*A7:21*20251115*U*180.5"]),
    (["A2:20"], ["STC*A7:21*20251115*U*180.5"]),  # no rejection's category
    (["F0:1"], ["STC*A7:21*20251115*U*180.5"]),
    (["A7:21*X~"], ["STC*A7:21*20251115*U*180.5"]),
    (["A7:21", "A7:21"], ["STC*A7:21*20251115*U*180.5"]),
    (["A7:178", "A6:454"], ["STC*A7:178*20251115*U*180.5******A6:454"]),
    (["A7:178", "A6:454", "A6:188"], ["STC*A7:178*20251115*U*180.5******A6:454*A6:188"]),
    (["A7:178", "A6:454", "A6:188", "A6:254"],
     ["STC*A7:178*20251115*U*180.5******A6:454*A6:188", "STC*A6:254*20251115*U*180.5"]),
)  # fmt: skip


@pytest.mark.parametrize(("codes", "said"), STATUSES)
def test_the_reasons_of_a_rejection(codes: list[str | None], said: list[str]) -> None:
    one = only(professional(1), "277CA", rejections=rejected(*((0, None, c) for c in codes)))
    assert starting(one, "STC")[1:] == said


def test_every_status_of_the_forms_can_stand_on_a_277ca() -> None:
    codes = sorted({f.status_code for form in load_forms() for f in form.fields if f.status_code})
    assert len(codes) > 10
    reasons = rejected(*((n, None, code) for n, code in enumerate(codes)))
    one = only(professional(len(codes)), "277CA", rejections=reasons)
    told = [s.split("*")[1] for s in starting(one, "STC")[1:]]
    assert told == codes
    assert {c.split(":")[2] for c in codes if c.count(":") == 2} <= set(ENTITIES)


def test_a_line_is_told_only_where_it_caused_the_rejection() -> None:
    reasons = rejected(
        (0, 2, "A7:178"), (0, 2, "A6:476"), (0, 2, "A6:454"), (0, 2, "A6:21"), (1, None, "A7:21")
    )
    one = only(professional(3), "277CA", rejections=reasons)
    claims = rows(one)[rows(one).index("TRN*2*P11") :]
    # of four reasons a line has room for three; the claim tells all
    assert claims[: claims.index("TRN*2*P12") - 2] == [
        "TRN*2*P11", "STC*A7:178*20251115*U*180.5******A6:476*A6:454",
        "STC*A6:21*20251115*U*180.5", "DTP*472*D8*20250513",
        "SVC*HC:93000:26*50*****1", "STC*A7:178*20251115*U*******A6:476*A6:454", "REF*FJ*2",
        "DTP*472*D8*20250513",
    ]  # fmt: skip
    assert len(starting(one, "SVC")) == 1


def test_a_rejected_line_carries_its_own_number_code_and_days() -> None:
    full = read_file(institutional(1, full=True))
    one = only(full, "277CA", rejections=rejected((0, 1, "A6:454"), (0, 2, "A7:178")))
    assert rows(one)[rows(one).index("DTP*472*RD8*20250504-20250509") + 1 : -3] == [
        "SVC*NU:0120*7000.4*****5", "STC*A6:454*20251115*U", "REF*FJ*1",
        "DTP*472*RD8*20250504-20250509",
        "SVC*HC:J0131:JW:KX*1400**0250***10.25", "STC*A7:178*20251115*U", "REF*FJ*ILINE-2",
        "REF*XZ*LNK1", "DTP*472*D8*20250505",
    ]  # fmt: skip
    # a line with no code can't be named: the claim alone tells why
    bare = full.frames["lines"].with_columns(
        procedure_code=pl.lit(None, dtype=pl.String), revenue_code=pl.lit(None, dtype=pl.String)
    )
    one = only(
        full, "277CA", frames={**full.frames, "lines": bare},
        rejections=rejected((0, 1, "A6:454"), (0, 2, "A7:178")),
    )  # fmt: skip
    assert starting(one, "SVC") == []
    assert starting(one, "STC")[1:] == ["STC*A6:454*20251115*U*8400.4******A7:178"]


DATES: tuple[tuple[str, str, str], ...] = (
    ("DTP*472", "DTP*472*D8*20250513", "DTP*472*D8*20250513"),
    ("DTP*472", "DTP*472*RD8*20250510-20250520", "DTP*472*RD8*20250510-20250520"),
    ("DTP*472", "DTP*472*D8*20250511", "DTP*472*RD8*20250511-20250513"),  # the other line's
)


@pytest.mark.parametrize(("old", "new", "said"), DATES)
def test_a_claim_has_the_days_of_its_lines(old: str, new: str, said: str) -> None:
    one = only(file_of(put(GOOD, old, new)), "277CA")
    assert starting(one, "DTP")[2:] == [said]


def test_a_claim_without_a_day_has_the_next_best() -> None:
    """BHT04; and where there is none, the day of the answer: the guide demands one."""
    made = [s for s in GOOD if not s.startswith("DTP")]
    reading = read_file(file_of(recounted(made)))
    one = only(reading, "277CA", rejections=rejected((0, None, "A6:187")))
    assert starting(one, "DTP")[2:] == ["DTP*472*D8*20250602"]
    claims = reading.frames["claims"].with_columns(submission_date=pl.lit(None, dtype=pl.Date))
    one = only(reading, "277CA", frames={**reading.frames, "claims": claims})
    assert starting(one, "DTP")[2:] == ["DTP*472*D8*20251115"]


def test_claims_may_be_renumbered() -> None:
    """Their numbers in the store, not in the file: rejections and numbers go by those."""
    reading = read_file(professional(2))
    frames = {n: f.with_columns(pl.col("claim_id") + 5000) for n, f in reading.frames.items()}
    more = {
        "rejections": rejected((5001, None, "A7:21")),
        "claim_numbers": pl.DataFrame({"claim_id": [5000], "claim_number": ["000000000042"]}),
    }
    one = only(reading, "277CA", frames=frames, **more)
    assert starting(one, "REF", "STC")[1:] == [
        "STC*A2:20*20251115*WQ*180.5", "REF*1K*000000000042", "STC*A7:21*20251115*U*180.5",
    ]  # fmt: skip


# ---- hostile text ----------------------------------------------------------------------------

HOSTILE = (
    "A*B", "A:B", "A^B", "A~B", "~ISA*00*", "A\tB", "A\nB", "A\0B", "\u00c9TOILE", "=1+1",
    "'; DROP", "../X", " A", "A ", "\u202eA", "A" * 300,
)  # fmt: skip
THEIRS = Delimiters("|", ">", "!", "\n")
TEXTS = {
    "claims": ["patient_control_number", "patient_last_name", "patient_first_name",
               "subscriber_number", "clearinghouse_number", "facility_code", "frequency_code"],
    "people": ["middle_name", "suffix"],
    "claim_providers": ["last_name", "first_name", "middle_name", "suffix", "npi"],
    "lines": ["procedure_code", "modifier_codes", "line_control_number", "prescription_number"],
}  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_no_delimiter_or_control_character_gets_in(text: str) -> None:
    """In every text at once: the same segments as with a harmless one, and pyx12 content."""

    def made(value: str) -> list[Acknowledgement]:
        reading = read_file(professional(1, full=True))
        frames = {
            n: f.with_columns(pl.lit(value).alias(c) for c in TEXTS.get(n, ()))
            for n, f in reading.frames.items()
        }
        reading.submitters = reading.submitters.with_columns(
            pl.lit(value).alias(c) for c in reading.submitters.columns[1:]
        )
        number = pl.DataFrame({"claim_id": [0], "claim_number": [value]})
        found = answers(reading, frames=frames, claim_numbers=number)
        more = answers(reading, frames=frames, rejections=rejected((0, 1, "A7:21")))
        return found["277CA"] + more["277CA"]

    for one, usual in zip(made(text), made("1A"), strict=True):
        assert [s.split("*")[0] for s in rows(one)] == [s.split("*")[0] for s in rows(usual)]
        assert re.fullmatch(rb"[\x20-\x7e]+", one.content)


def test_what_ends_a_segment_of_ours_is_a_letter_of_theirs() -> None:
    """A file with other delimiters: its names and numbers may hold ours."""
    made = [
        s.replace("TALLOWAY", "\1").replace("CLM*A1", "CLM*\2")
        for s in interchange([group([GOOD])])
    ]
    data = write(made, THEIRS).replace(b"\1", b"TALL~O*WAY").replace(b"\2", b"A:1^2")
    found = rows(only(data, "277CA"))
    assert "NM1*QC*1*TALL O WAY*ORRIN*J**SR*MI*CP0000001" in found and "TRN*2*A 1 2" in found
    bad = data.replace(b"|11>B>1|Y|", b"|11>B>1|Q|")
    assert starting(only(bad, "999"), "CTX") == ["CTX*CLM01:A 1 2"]


def test_an_empty_or_blank_text_is_said_to_be_unknown() -> None:
    reading = read_file(professional(1))
    blank = {"patient_last_name": "  ", "subscriber_number": "*", "patient_control_number": "~"}
    claims = reading.frames["claims"].with_columns(pl.lit(v).alias(c) for c, v in blank.items())
    providers = reading.frames["claim_providers"].with_columns(
        last_name=pl.lit(None, dtype=pl.String), npi=pl.lit(None, dtype=pl.String),
        tax_number=pl.lit(None, dtype=pl.String),
    )  # fmt: skip
    frames = {**reading.frames, "claims": claims, "claim_providers": providers}
    found = rows(only(reading, "277CA", frames=frames))
    assert "NM1*QC*1*UNKNOWN*ORRIN*J**SR*MI*UNKNOWN" in found and "TRN*2*0" in found
    assert "NM1*85*1*UNKNOWN*NEVE****FI*UNKNOWN" in found


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ((None, "061234567", None), "FI*061234567"),
        ((None, None, "LIC9"), "SV*LIC9"),
        ((npi(9), "061234567", "LIC9"), f"XX*{npi(9)}"),
    ],
)
def test_a_provider_is_named_by_the_number_it_has(
    numbers: tuple[str | None, ...], said: str
) -> None:
    reading = read_file(professional(1))
    providers = reading.frames["claim_providers"].with_columns(
        pl.lit(n, dtype=pl.String).alias(c)
        for c, n in zip(("npi", "tax_number", "other_number"), numbers, strict=True)
    )
    frames = {**reading.frames, "claim_providers": providers}
    assert f"NM1*85*1*SABLEWORTH*NEVE****{said}" in rows(only(reading, "277CA", frames=frames))


# ---- whatever comes --------------------------------------------------------------------------

MIXED = (
    professional(2, dependents=True)
    + institutional(1, number=2, delimiters=THEIRS)
    + professional(1, number=3).replace(b"*000000003*0*P", b"*000000003*1*P")
)


def all_of(data: bytes, chunk_bytes: int = 8_000_000) -> list[Acknowledgement]:
    reading = read_file(data, chunk_bytes)
    bad = reading.objections.filter(level="claim")["claim_id"].unique().sort().to_list()
    return acknowledge(reading, ISSUE, rejections=rejected(*((c, None, "A7:21") for c in bad)))


@pytest.mark.long
def test_the_same_reading_gives_the_same_bytes() -> None:
    assert all_of(MIXED) == all_of(MIXED) == all_of(MIXED, 1)
    program = (
        "import sys, hashlib; from tests.test_acks import MIXED, all_of\n"
        "print(hashlib.sha256(b''.join(d.content for d in all_of(MIXED))).hexdigest())"
    )
    seen = set()
    for seed, threads, zone in (("0", "1", "UTC"), ("7", "2", "Pacific/Auckland")):
        env = {**os.environ, "PYTHONHASHSEED": seed, "POLARS_MAX_THREADS": threads, "TZ": zone}
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=ROOT, env=env, capture_output=True, text=True,
            check=True,
        )  # fmt: skip
        seen.add(done.stdout)
    assert len(seen) == 1


def damaged(what: str) -> Callable[[int], bytes]:
    segments_ = MIXED.split(b"~")
    return {
        "a segment lost": lambda at: b"~".join(segments_[:at] + segments_[at + 1 :]),
        "a segment twice": lambda at: b"~".join([*segments_[: at + 1], *segments_[at:]]),
        "a terminator lost": lambda at: b"~".join(
            [*segments_[:at], b"".join(segments_[at : at + 2]), *segments_[at + 2 :]]
        ),
        "cut off": lambda at: b"~".join(segments_[:at]) + b"~" + segments_[at][:5],
    }[what]  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize(
    "what", ["a segment lost", "a segment twice", "a terminator lost", "cut off"]
)
def test_whatever_comes_the_answer_is_valid(what: str) -> None:
    """Damage at every segment: each document passes pyx12, and each claim read is on one 277CA."""
    change = damaged(what)
    codes = set()
    count = MIXED.count(b"~")
    for at in range(len(what) % STEP, count, 1 if EVERY else STEP):
        data = change(at)
        reading = read_file(data)
        counted = 0
        for one in all_of(data):
            found = [
                e for e in pyx12_errors(one.content) if one.kind != "TA1" or TA1_ALONE not in e
            ]
            assert found == [], (at, one.content)
            codes.add((one.kind, one.code))
            if one.kind == "277CA":
                totals = [s.split("*") for s in starting(one, "QTY")]
                counted += sum(int(s[2]) for s in totals if s[1] in ("90", "AA"))
        assert counted == reading.claim_count, at
    assert {("999", "A"), ("277CA", "WQ")} <= codes and len(codes) > 3


@pytest.mark.long
def test_every_file_of_the_corpus_gets_valid_answers() -> None:
    if not CORPUS.is_dir():
        pytest.skip("no corpus beside the checkout")
    kinds = set()
    for path in sorted(p for p in CORPUS.rglob("*") if p.is_file() and p.suffix != ".tsv"):
        for one in all_of(path.read_bytes()):
            found = [
                e for e in pyx12_errors(one.content) if one.kind != "TA1" or TA1_ALONE not in e
            ]
            assert found == [], (path.name, one.content)
            kinds.add(one.kind)
    assert kinds == {"TA1", "999", "277CA"}


def test_control_numbers_have_nine_digits() -> None:
    reading = read_file(professional(1))
    assert acknowledge(reading, Issue(999_999_998, DAY, DAY))[-1].control_number == 999_999_999
    for first in (0, 999_999_999):
        with pytest.raises(ValueError, match="isn't within 1 to 999999999"):
            acknowledge(reading, Issue(first, DAY, DAY))


def test_the_submitter_of_a_set_is_read_once_whatever_the_chunks() -> None:
    made = body([claim(f"A{n}") for n in range(6)], provider_every=2, reference="B7")
    made = put(made, "NM1*41", "NM1*41*1*QUILL*DESK*M***46*QUILL9")
    data = file_of(transaction(made))
    for chunk_bytes in (8_000_000, 1):
        assert read_file(data, chunk_bytes).submitters.to_dicts() == [{
            "set_index": 0, "batch_reference": "B7", "submitter_entity_type_code": "1",
            "submitter_last_name": "QUILL", "submitter_first_name": "DESK",
            "submitter_middle_name": "M", "submitter_number": "QUILL9",
            "receiver_name": "CAREPARTNERS OF CONNECTICUT", "receiver_number": "CPCT1",
        }]  # fmt: skip
    assert "NM1*41*1*QUILL*DESK*M***46*QUILL9" in rows(only(data, "277CA"))


# ---- check -----------------------------------------------------------------------------------


def test_check_writes_what_the_sender_would_get(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.837", tmp_path / "bad.837"
    good.write_bytes(professional(2))
    # a wrong code, and a total that isn't the sum of its lines: the third claim alone is good
    made = put(
        body([claim("C1"), claim("C2"), claim("C3")]), "CLM*C1", "CLM*C1*180.5***11:B:1*Y*Q*Y*Y"
    )
    made = put(made, "CLM*C2", "CLM*C2*200***11:B:1*Y*A*Y*Y")
    bad.write_bytes(file_of(transaction(made)))
    out = tmp_path / "acks"
    command = ["check", str(good), str(bad), "--out", str(out), "--business-date", "2025-11-15"]
    done = CliRunner().invoke(app, [*command, "--json"])
    assert done.exit_code == 1
    told = json.loads(done.stdout)["files"]
    assert [f["acknowledgements"] for f in told] == [
        {"0001-001-000000001-001-1.999": "A", "0001-001-000000001-001-1.277ca": "WQ"},
        {"0002-001-000000001-001-1.999": "E", "0002-001-000000001-001-1.277ca": "WQ"},
    ]
    files = sorted(p.name for p in out.iterdir())
    assert files == sorted(n for f in told for n in f["acknowledgements"])
    assert all(p.stat().st_mode & 0o077 == 0 for p in out.iterdir())
    text = (out / "0002-001-000000001-001-1.277ca").read_text("ascii")
    # 180.5 + 200 + 180.5 = 561
    assert [t for t in text.split("~") if t.startswith("STC")] == [
        "STC*A1:19:PR*20251115*WQ*561", "STC*A7:21*20251115*U*180.5",
        "STC*A7:178*20251115*U*200", "STC*A2:20*20251115*WQ*180.5",
    ]  # fmt: skip
    assert "REF*1K" not in text and "*000000004*0*P" in text  # the fourth document
    before = {p.name: p.read_bytes() for p in out.iterdir()}
    assert CliRunner().invoke(app, command).exit_code == 1
    assert before == {p.name: p.read_bytes() for p in out.iterdir()}


def test_check_without_a_folder_writes_nothing(tmp_path: Path) -> None:
    one = tmp_path / "one.837"
    one.write_bytes(professional(1))
    checked = check_files([one])
    assert checked.acknowledgement_count == 0 and checked.rows == []
    assert [p.name for p in tmp_path.iterdir()] == ["one.837"]


# ---- the page --------------------------------------------------------------------------------


def test_the_page_tells_every_code() -> None:
    page = (ROOT / "docs" / "acknowledgements.md").read_text("utf-8")
    source = (ROOT / "edi" / "envelope.py").read_text("utf-8")
    levels = {"interchange": "TA105", "group": "AK905", "set": "IK502"}
    codes = {
        (levels[level], code)
        for level, code in re.findall(r'Problem\(\s*"(interchange|group|set)",\s*"(\w+)"', source)
    }
    codes |= {("TA105", code) for _, _, code, _ in ISA_CHECKS}
    codes |= {("TA105", code) for code in REFUSING["interchange"]}
    codes |= {("IK502", c) for c in ("1", "5", "I5", "I6")} | {("AK905", c) for c in ("1", "2")}
    codes |= {("IK304", c) for c in "23458"}
    syntax = (ROOT / "edi" / "syntax.py").read_text("utf-8").split("ELEMENT_ERRORS = {")[1]
    codes |= {("IK403", c) for c in re.findall(r'^    "(\w+)":', syntax.split("}")[0], re.M)}
    assert len(codes) > 40
    for element, code in sorted(codes):
        table = page.split(f"\n| {element} |")[1].split("\n\n")[0]
        assert re.search(rf"^\| {code} \| \w.+\|$", table, re.M), (element, code)
