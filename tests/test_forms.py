"""The field tables of schemas/forms: every box of the manual, and a hit and a miss of each."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import pytest

from adjudicator.pipeline import AS_READ, Batch
from adjudicator.programs import load_forms
from adjudicator.reference import Reference
from adjudicator.stages.validate import (
    CHECKS,
    CODES,
    CONDITIONS,
    PAPER_ONLY,
    ROW_PREDICATES,
    ROWS,
    validate,
)
from edi.read_837 import FIELDS
from edi.read_file import read_file
from schemas import frames
from schemas.form import Form, FormField
from tests import samples

SHARED = Path(__file__).parents[1].parent / "shared"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the manual is not here (../shared)")
FORMS = Reference("", {}, {}, forms=load_forms())
BY_KIND = {form.claim_type_code: form for form in load_forms()}
OF_BOXES = [check.edit for check in CHECKS.values()]
FIELDS_OF = [(form, field) for form in load_forms() for field in form.fields]
IDS = [f"{form.form}-{f.box}-{f.name}-{f.wants}" for form, f in FIELDS_OF]


# ---- the tables against the manual -----------------------------------------------------------


@cache
def manual() -> list[str]:
    file = next((SHARED / "seeds").glob("001_*"))
    return file.read_text("utf-8").split("\n")  # lines are counted by newlines alone


class Printed(NamedTuple):
    """A box as the manual prints it: its labels, its usage and its first and last line."""

    labels: tuple[str, ...]
    usage: str
    lines: tuple[int, int]


@cache
def printed(form: Form) -> list[Printed]:
    first, last = form.citation.lines
    text = manual()
    starts: list[tuple[int, tuple[str, ...]]] = []
    for number in range(first, last + 1):
        # "8b:" and "2nd line" begin no box; "32," goes on with "32a-b" in the next line
        if match := re.match(r"(\d+(?:[a-z](?:-[a-z])?|-\d+)?)(?=,| |$)", text[number - 1]):
            if starts and text[number - 2] == f"{starts[-1][1][0]}, ":
                starts[-1] = (number - 1, (*starts[-1][1], match[1]))
            else:
                starts.append((number, (match[1],)))
    found = []
    for (start, labels), (following, _) in zip(starts, [*starts[1:], (last + 1, ())], strict=True):
        body = " ".join(text[start - 1 : following - 1])
        usage = re.search(r"(?<![\w/])(M|O|N/)(?=A| |$)", body)
        assert usage, labels
        found.append(Printed(labels, usage[1][0], (start, following - 1)))
    return found


def boxes(label: str) -> set[str]:
    """3a-b: 3a and 3b; 18-28: each of them."""
    if match := re.fullmatch(r"(\d+)-(\d+)", label):
        return {str(n) for n in range(int(match[1]), int(match[2]) + 1)}
    if match := re.fullmatch(r"(\d+)([a-z])-([a-z])", label):
        return {match[1] + chr(c) for c in range(ord(match[2]), ord(match[3]) + 1)}
    return {label}


def listed(form: Form) -> set[str]:
    return set().union(*(boxes(field.box) for field in form.fields))


@needs_shared
@pytest.mark.parametrize("form", load_forms(), ids=lambda form: form.form)
def test_every_box_of_the_manual_has_a_row(form: Form) -> None:
    found = printed(form)
    assert len(found) > 50
    for box in found:
        for label in box.labels:
            # 67 stands for 67a-q: one of them is the principal diagnosis
            assert boxes(label) <= listed(form) or label[:2] in listed(form), label


@pytest.mark.parametrize(("kind", "last"), [("I", 81), ("P", 33)])
def test_no_number_of_a_box_is_missing(kind: str, last: int) -> None:
    numbers = {int(re.sub(r"\D", "", box)) for box in listed(BY_KIND[kind])}
    assert numbers == set(range(1, last + 1))


@needs_shared
@pytest.mark.parametrize(("form", "field"), FIELDS_OF, ids=IDS)
def test_a_row_cites_the_lines_of_its_box_with_its_usage(form: Form, field: FormField) -> None:
    first, last = field.lines
    assert re.match(rf"{field.box}(?![\da-z])|{field.box}[a-z]-", manual()[first - 1])
    box = next(b for b in printed(form) if b.lines[0] <= first <= b.lines[1])
    assert last <= box.lines[1]
    assert field.usage == box.usage


# ---- the tables against the program ----------------------------------------------------------


@pytest.mark.parametrize(("form", "field"), FIELDS_OF, ids=IDS)
def test_a_row_names_what_there_is(form: Form, field: FormField) -> None:
    assert field.when == "never" or field.when in CONDITIONS
    assert field.wants in CHECKS
    if field.column:
        frame, row, columns = field.place
        empty = Batch(frames.empty(frames.Claims), frames.empty(frames.Lines))
        known = {*getattr(empty, frame).columns}
        known |= {"line_count", "diagnosis_count"} if frame == "claims" else set()
        assert set(columns) <= known
        assert columns or row
        assert not (field.when in ROW_PREDICATES and frame == "claims")


def test_a_mandatory_row_is_known_by_its_box_and_name() -> None:
    """explain finds a row by these two."""
    for form in load_forms():
        names = [(f.box, f.name) for f in form.fields if CHECKS[f.wants].edit == "mandatory_field"]
        assert len(names) == len(set(names))


READ_INTO = {(f.column, loop, f.segment, f.element) for f in FIELDS for loop in f.loops.split()}


@pytest.mark.parametrize(("form", "field"), FIELDS_OF, ids=IDS)
def test_the_element_is_what_the_reader_reads_into_the_column(form: Form, field: FormField) -> None:
    """Where the reader has a column of that name: loop, segment and element agree."""
    columns = field.place.columns if field.column else ()
    of_column = {place for place in READ_INTO if place[0] in columns}
    told = re.findall(r"\b([A-Z][A-Z0-9]{1,2})(\d\d)\b", field.element)
    loops = re.findall(r"\b\d{4}[A-Z]{0,2}\b", field.element)
    if of_column and told and field.place.frame in ("claims", "lines", "other_payers", "people"):
        assert any(
            (column, loop, segment, int(element)) in of_column
            for column in columns for loop in loops for segment, element in told
        )  # fmt: skip


@needs_shared
def test_remarks_are_in_force_and_no_alerts() -> None:
    codes = pl.read_parquet(SHARED / "reference" / "tables" / "adjustment_codes.parquet")
    usable = codes.filter(
        (pl.col("adj_type") == "RARC") & pl.col("adj_end_date").is_null() & ~pl.col("is_alert")
    )["adj_code"].to_list()
    assert {f.rarc for _, f in FIELDS_OF if f.rarc} <= set(usable)


def test_claim_statuses_are_known_to_pyx12() -> None:
    import pyx12

    text = (Path(pyx12.__file__).parent / "map" / "codes.xml").read_text("utf-8")

    def part(name: str) -> str:
        return text.split(f"<id>{name}</id>")[1].split("<id>")[0]

    sets = {
        name: set(re.findall(r"<code>(\w+)</code>", part(name)))
        for name in ("claim_status_cat", "claim_status", "entity_id")
    }  # fmt: skip
    # of status codes that ask for an entity those that are used here
    of_entity = {"124", "125", "126", "128", "157", "158", "163", "164", "466", "502", "562", "663"}
    for _, field in FIELDS_OF:
        if field.status_code:
            category, status, *entity = field.status_code.split(":")
            assert category in sets["claim_status_cat"]
            assert status in sets["claim_status"]
            assert set(entity) <= sets["entity_id"]
            assert bool(entity) == (status in of_entity), field.status_code


# ---- a hit and a miss on 837 -----------------------------------------------------------------


def npi(name: str) -> str:
    return samples.NPIS[name]


# a claim each with all that may be asked for
CLAIMS = {
    "P": f"""
        CLM*F1*300***21:B:7*Y*A*Y*Y*P*AA:OA::CT
        DTP*439*D8*20250510
        DTP*435*D8*20250510
        REF*F8*000000000123
        HI*ABK:S52501A*ABF:I10
        NM1*82*1*OSTERBRIDGE*HAL****XX*{npi("rendering")}
        NM1*77*2*HARBORLIGHT CLINIC*****XX*{npi("facility")}
        N3*200 LANTERN WAY
        N4*NORWALK*CT*068500009
        SBR*S*01*GRP12******CI
        CAS*CO*45*200
        AMT*D*100
        OI***Y***Y
        NM1*IL*1*TALLOWAY*GERDA****MI*OT123
        NM1*PR*2*SECOND HARVEST HEALTH*****PI*SHH01
        DTP*573*D8*20250501
        LX*1
        SV1*HC:99213*200*UN*1***1:2
        DTP*472*D8*20250513
        LX*2
        SV1*HC:93000*100*UN*2***1
        DTP*472*RD8*20250513-20250513
    """,
    "I": f"""
        CLM*F1*1250***11:A:7**A*Y*Y
        DTP*096*TM*1430
        DTP*434*RD8*20250504-20250506
        DTP*435*DT*202505040915
        CL1*1*7*01
        REF*LU*CT
        REF*F8*000000000123
        HI*ABK:S52501A:::::::Y
        HI*ABJ:S52501A
        HI*ABN:V4352XA
        HI*BBR:0PSH04Z:D8:20250505
        HI*BBQ:30233N1:D8:20250506
        HI*BH:02:D8:20250503*BH:11:D8:20250504
        NM1*71*1*BRACKENWELL*TESS****XX*{npi("attending")}
        NM1*72*1*CALDECOT*REX****XX*{npi("operating")}
        SBR*S*18*GRP9******16
        CAS*CO*45*750
        AMT*D*500
        OI***Y***Y
        NM1*IL*1*TALLOWAY*ORRIN****MI*OI321
        NM1*PR*2*FOURTH WALL ASSURANCE*****PI*FWA88
        DTP*573*D8*20250520
        LX*1
        SV2*0120**1000*DA*2
        LX*2
        SV2*0360**250*UN*1
    """,
    "outpatient": f"""
        CLM*F1*250***13:A:1**A*Y*Y
        DTP*434*RD8*20250504-20250504
        CL1*1*1*01
        HI*ABK:R0602
        HI*APR:R0602
        NM1*71*1*BRACKENWELL*TESS****XX*{npi("attending")}
        LX*1
        SV2*0450*HC:99284*200*UN*1
        DTP*472*D8*20250504
        LX*2
        SV2*0250**50*UN*1
        DTP*472*D8*20250504
    """,
}
PAY_TO = ("NM1*87*2", "N3*PO BOX 4", "N4*MERIDEN*CT*06450")


def segments(base: str) -> list[str]:
    """A whole set with one claim; ``child``: the patient isn't the insured."""
    name, _, child = base.partition(" ")
    kind = "P" if name == "P" else "I"
    claim = samples.segments(CLAIMS[name])
    made = samples.body([claim], kind=kind, dependent=[bool(child)])
    place = next(n for n, segment in enumerate(made) if segment.startswith("REF*EI")) + 1
    return [*made[:place], *PAY_TO, *made[place:]]


def read(kind: str, body: Sequence[str]) -> Batch:
    guide = samples.PROFESSIONAL if kind == "P" else samples.INSTITUTIONAL
    set_ = samples.transaction(body, 1, guide)
    reading = read_file(samples.write(samples.interchange([samples.group([set_], 1, guide)])))
    assert reading.claim_count == 1, reading.sets["reason"].to_list()
    return Batch(**{name: reading.frames[name] for name in AS_READ})


def found(batch: Batch) -> list[dict[str, Any]]:
    """What the field tables find; the rules of tests/test_snip.py may find more."""
    rows = validate(batch, FORMS).findings.filter(pl.col("edit").is_in(OF_BOXES))
    return [
        {
            **json.loads(row["inputs"]),
            **{k: row[k] for k in ("edit", "line_number", "rarc", "status_code", "disposition")},
        }
        for row in rows.iter_rows(named=True)
    ]


def changed(base: str, old: str, new: str) -> list[str]:
    """The base with one segment changed: the first that begins with ``old`` begins with ``new``;
    nothing new takes it out."""
    made = segments(base)
    place = next(n for n, segment in enumerate(made) if segment.startswith(old))
    made[place : place + 1] = [new + made[place].removeprefix(old)] if new else []
    return made


class Hit(NamedTuple):
    """What is taken from a claim (a segment that begins so, and what it then begins with), and the
    row that it is a hit of."""

    base: str
    old: str
    new: str
    box: str
    name: str
    line: int | None = None


PATIENT = "NM1*IL*1*TALLOWAY*ORRIN*J**SR"
LINE_P, LINE_I = "SV1*HC:99213*200*UN*1***1:2", "SV2*0450*HC:99284*200*UN*1"
HITS = (
    # CMS-1500
    Hit("P", f"{PATIENT}*MI*CP0000001", PATIENT, "1a", "member number"),
    Hit("P", "NM1*IL*1*TALLOWAY*", "NM1*IL*1**", "2", "patient's last name"),
    Hit("P child", "NM1*QC*1*TALLOWAY", "NM1*QC*1*", "2", "patient's last name"),
    Hit("P", "DMG*D8*19710417*M", "DMG***M", "3", "patient's birth date"),
    Hit("P", "DMG*D8*19710417*M", "DMG*D8*19710417", "3", "patient's sex"),
    Hit("P child", "DMG*D8*20140930*F", "DMG*D8*20140930", "3", "patient's sex"),
    Hit("P child", "NM1*IL*1*TALLOWAY*", "NM1*IL*1**", "4", "insured's last name"),
    Hit("P", "N3*18 HERON LN", "", "5", "patient's street"),
    Hit("P", "N4*HAMDEN*CT*06514", "N4**CT*06514", "5", "patient's city"),
    Hit("P", "SBR*P*18", "SBR*P*", "6", "patient's relationship to the insured"),
    Hit("P child", "PAT*19", "PAT*", "6", "patient's relationship to the insured"),
    Hit("P", "NM1*IL*1*TALLOWAY*GERDA", "NM1*IL*1**GERDA", "9", "other insured's last name"),
    Hit("P", "NM1*PR*2*SECOND HARVEST HEALTH", "NM1*PR*2*", "9d", "other insurance's name"),
    Hit("P", "CLM*F1*300***21:B:7*Y*A*Y*Y*P*AA:OA::CT", "CLM*F1*300***21:B:7*Y*A*Y*Y*P*AA:OA",
        "10a-c", "state of the auto accident"),
    Hit("P", "CLM*F1*300***21:B:7*Y*A*Y*Y", "CLM*F1*300***21:B:7*Y*A*Y*", "12",
        "patient's signature (release of information)"),
    Hit("P", "CLM*F1*300***21:B:7*Y*A*Y*Y", "CLM*F1*300***21:B:7*Y*A**Y", "13",
        "insured's signature (assignment of benefits)"),
    Hit("P", "DTP*435", "", "18", "day of the admission"),
    Hit("P", "HI*ABK:S52501A*ABF:I10", "HI*ABF:S52501A*ABF:I10", "21", "first diagnosis"),
    Hit("P", "CLM*F1*300***21:B:7", "CLM*F1*300***21:B:2", "22", "frequency of the claim"),
    Hit("P", "CLM*F1*300***21:B:7", "CLM*F1*300***21:B:6", "22", "frequency of the claim"),
    Hit("P", "CLM*F1*300***21:B:7", "CLM*F1*300***21:B", "22", "frequency of the claim"),
    Hit("P", "REF*F8", "", "22", "number of the claim corrected"),
    Hit("P", "DTP*472*D8*20250513", "", "24a", "date of service", 1),
    Hit("P", "DTP*472*D8*20250513", "DTP*472*RD8*20250513-20250514", "24a", "day of a line", 1),
    Hit("P", LINE_P, "SV1**200*UN*1***1:2", "24d", "procedure", 1),
    Hit("P", LINE_P, "SV1*HC:99213*200*UN*1", "24e", "diagnosis pointers", 1),
    Hit("P", LINE_P, "SV1*HC:99213*200*UN*1***1:2:1:2:1", "24e", "pointers of a line", 1),
    Hit("P", LINE_P, "SV1*HC:99213*200*UN*1***1:3", "24e", "diagnoses pointed to", 1),
    Hit("P", LINE_P, "SV1*HC:99213**UN*1***1:2", "24f", "charge", 1),
    Hit("P", LINE_P, "SV1*HC:99213*-200*UN*1***1:2", "24f", "charge of a line", 1),
    Hit("P", LINE_P, "SV1*HC:99213*200*UN****1:2", "24g", "units", 1),
    Hit("P", LINE_P, "SV1*HC:99213*200*UN*-1***1:2", "24g", "number of units", 1),
    Hit("P", f"NM1*82*1*OSTERBRIDGE*HAL****XX*{npi('rendering')}", "NM1*82*1*OSTERBRIDGE*HAL",
        "24j", "rendering provider's NPI"),
    Hit("P", "REF*EI", "", "25", "federal tax number"),
    Hit("P", "CLM*F1*300***21:B:7*Y*A", "CLM*F1*300***21:B:7*Y*", "27", "assignment accepted"),
    Hit("P", "CLM*F1*300", "CLM*F1*", "28", "total charge"),
    Hit("P", "CLM*F1*300", "CLM*F1*300.01", "28", "total of all charges"),
    Hit("P", "AMT*D", "", "29", "amount paid"),
    Hit("P", "AMT*D*100", "AMT*D*-100", "29", "amount of a payment"),
    Hit("P", "CLM*F1*300***21:B:7*Y", "CLM*F1*300***21:B:7*", "31", "provider's signature"),
    Hit("P", "NM1*77*2*HARBORLIGHT CLINIC", "NM1*77*2*", "32", "facility's name"),
    Hit("P", "N3*200 LANTERN", "", "32", "facility's street"),
    Hit("P", "NM1*85*1*SABLEWORTH", "NM1*85*1*", "33", "billing provider's name"),
    Hit("P", "N3*4 SYCAMORE", "", "33", "billing provider's street"),
    Hit("P", "N4*MERIDEN*CT*064500001", "N4**CT*064500001", "33", "billing provider's city"),
    Hit("P", f"NM1*85*1*SABLEWORTH*NEVE****XX*{samples.npi(0)}", "NM1*85*1*SABLEWORTH*NEVE",
        "33a", "billing provider's NPI"),
    # UB-04
    Hit("I", "NM1*85*2*FERNHOLLOW HOSPITAL", "NM1*85*2*", "1", "provider's name"),
    Hit("I", "N3*4 SYCAMORE", "", "1", "provider's street"),
    Hit("I", "N4*MERIDEN*CT*064500001", "N4**CT*064500001", "1", "provider's city"),
    Hit("I", "N3*PO BOX 4", "", "2", "payee's address"),
    Hit("I", "CLM*F1*1250***11:A:7", "CLM*F1*1250***:A:7", "4", "type of bill"),
    Hit("I", "CLM*F1*1250***11:A:7", "CLM*F1*1250***11:A:3", "4", "frequency of the bill"),
    Hit("I", "CLM*F1*1250***11:A:7", "CLM*F1*1250***11:A:X", "4", "frequency of the bill"),
    Hit("I", "REF*EI", "", "5", "federal tax number"),
    Hit("I", "DTP*434", "", "6", "first day of the period"),
    Hit("I", "DTP*434", "", "6", "last day of the period"),
    Hit("I", f"{PATIENT}*MI*CP0000001", PATIENT, "8a", "patient's member number"),
    Hit("I", "NM1*IL*1*TALLOWAY*", "NM1*IL*1**", "8b", "patient's last name"),
    Hit("I", "N3*18 HERON LN", "", "9a-e", "patient's street"),
    Hit("I", "N4*HAMDEN*CT*06514", "N4**CT*06514", "9a-e", "patient's city"),
    Hit("I", "DMG*D8*19710417*M", "DMG***M", "10", "patient's birth date"),
    Hit("I", "DMG*D8*19710417*M", "DMG*D8*19710417", "11", "patient's sex"),
    Hit("I", "DTP*435", "", "12", "admission date"),
    Hit("I", "DTP*435*DT*202505040915", "DTP*435*D8*20250504", "13", "admission hour"),
    Hit("I", "CL1*1*7*01", "CL1**7*01", "14", "type of admission"),
    Hit("I", "CL1*1*7*01", "CL1*1**01", "15", "source of admission"),
    Hit("I", "DTP*096", "", "16", "discharge hour"),
    Hit("I", "CL1*1*7*01", "CL1*1*7", "17", "patient's status"),
    Hit("I", "CL1*1*7*01", "CL1*1*7*30", "17", "patient's status on the last day"),
    Hit("I", "REF*LU", "", "29", "state of the accident"),
    Hit("I", "HI*BH:02:D8:20250503", "HI*BH:10:D8:20250503", "31-34",
        "the accident's occurrence code"),
    Hit("I", "HI*BH:02:D8:20250503", "HI*BH:02", "31-34", "the accident's date"),
    Hit("I", "HI*BH:02:D8:20250503*BH:11:D8:20250504", "HI*BH:02:D8:20250503*BH:11", "31-34",
        "the occurrence's date"),
    Hit("I", "SV2*0120", "SV2*", "42", "revenue code", 1),
    Hit("outpatient", LINE_I, "SV2*0450**200*UN*1", "44", "procedure", 1),
    Hit("outpatient", "DTP*472", "", "45", "service date", 1),
    Hit("I", "SV2*0120**1000*DA*2", "SV2*0120**1000*DA", "46", "units", 1),
    Hit("I", "SV2*0120**1000*DA*2", "SV2*0120**1000*DA*-2", "46", "number of units", 1),
    Hit("I", "SV2*0120**1000", "SV2*0120**", "47", "charge", 1),
    Hit("I", "SV2*0120**1000", "SV2*0120**-1000", "47", "charge of a line", 1),
    Hit("I", "CLM*F1*1250", "CLM*F1*", "47", "total of the charges"),
    Hit("I", "CLM*F1*1250", "CLM*F1*1249.99", "47", "total of all charges"),
    Hit("I", "NM1*PR*2*FOURTH WALL ASSURANCE", "NM1*PR*2*", "50a-c", "other payer"),
    Hit("I", "AMT*D", "", "54", "prior payment"),
    Hit("I", "AMT*D*500", "AMT*D*-500", "54", "amount of a prior payment"),
    Hit("I", f"NM1*85*2*FERNHOLLOW HOSPITAL*****XX*{samples.npi(0)}",
        "NM1*85*2*FERNHOLLOW HOSPITAL", "56", "provider's NPI"),
    Hit("I child", "NM1*IL*1*TALLOWAY*", "NM1*IL*1**", "58a-c", "insured's last name"),
    Hit("I", "SBR*P*18", "SBR*P*", "59", "patient's relationship to the insured"),
    Hit("I child", f"{PATIENT}*MI*CP0000001", PATIENT, "60a-c", "insured's member number"),
    Hit("I", "REF*F8", "", "64a-c", "number of the claim corrected"),
    Hit("I", "HI*ABK", "", "67", "principal diagnosis"),
    Hit("I", "HI*ABJ", "", "69", "admitting diagnosis"),
    Hit("I", "HI*BBR", "", "74a-e", "principal procedure"),
    Hit("I", "HI*BBR:0PSH04Z:D8:20250505", "HI*BBR:0PSH04Z", "74a-e",
        "date of the principal procedure"),
    Hit("I", "HI*BBQ:30233N1:D8:20250506", "HI*BBQ:30233N1", "74a-e",
        "date of another procedure"),
    Hit("I", "NM1*71", "", "76", "attending physician's name"),
    Hit("I", f"NM1*71*1*BRACKENWELL*TESS****XX*{npi('attending')}",
        "NM1*71*1*BRACKENWELL*TESS", "76", "attending physician's NPI"),
    Hit("I", "NM1*72", "", "77", "operating physician's name"),
    Hit("I", f"NM1*72*1*CALDECOT*REX****XX*{npi('operating')}", "NM1*72*1*CALDECOT*REX",
        "77", "operating physician's NPI"),
)  # fmt: skip


@pytest.mark.parametrize("base", ["P", "I", "outpatient", "P child", "I child", "outpatient child"])
def test_a_whole_claim_misses_every_row(base: str) -> None:
    whole = read(base[0].replace("o", "I"), segments(base))
    assert validate(whole, FORMS).findings.is_empty()


@pytest.mark.long
@pytest.mark.parametrize("hit", HITS, ids=lambda h: f"{h.base}-{h.box}-{h.new or h.old}")
def test_a_row_is_hit_by_what_an_837_leaves_out(hit: Hit) -> None:
    kind = "P" if hit.base[0] == "P" else "I"
    told = found(read(kind, changed(hit.base, hit.old, hit.new)))
    (one,) = [f for f in told if (f["box"], f["field"]) == (hit.box, hit.name)]
    field = next(
        f for f in BY_KIND[kind].fields
        if (f.box, f.name, CHECKS[f.wants].edit) == (hit.box, hit.name, one["edit"])
    )  # fmt: skip
    assert one["element"] == field.element
    assert one["line_number"] == hit.line
    assert (one["rarc"], one["status_code"]) == (field.rarc, field.status_code)
    assert one["disposition"] == "reject"
    assert one["cause"].startswith(f"box {hit.box}, {hit.name}, ")


# rows that no 837 can be a hit of, and why
ONLY_AT_FRAMES = {
    ("P", "9a", "other insured's policy or group number"),  # two elements: below
    ("P", "21", "diagnoses"),  # HI has twelve places
    ("P", "24a", "line of service"),  # a claim without a line: below
    ("P", "24b", "place of service"),  # the claim's where the line has none: below
    ("I", "42", "line of service"),
}


def test_every_row_that_an_837_can_miss_is_hit() -> None:
    hit = {("P" if h.base[0] == "P" else "I", h.box, h.name) for h in HITS} | ONLY_AT_FRAMES
    asked = {
        (form.claim_type_code, field.box, field.name)
        for form, field in FIELDS_OF
        if field.checked and not CONDITIONS[field.when].paper
    }
    assert hit == asked
    # what paper alone is asked for is hit below
    assert all(field.element == "" or field.when != "always" for _, field in FIELDS_OF
               if field.when in CONDITIONS and CONDITIONS[field.when].paper)  # fmt: skip


# mandatory by the manual "if applicable", which no other box tells
NOT_TOLD = {("I", "65a-c"), ("I", "68"), ("I", "72")}


@pytest.mark.long
@pytest.mark.parametrize(
    ("kind", "count", "rows", "on_837"), [("P", 59, 57, 42), ("I", 112, 57, 53)]
)
def test_every_box_has_a_hit_and_a_miss(kind: str, count: int, rows: int, on_837: int) -> None:
    """Counted from the tables. A box that nothing asks is optional or not used; what is asked is
    found on 837 by HITS, but where only frames or paper tell it. Misses: the whole claims here;
    on paper both: tests/test_paper.py, row by row."""
    form = BY_KIND[kind]
    assert len(listed(form)) == count
    asked = {(f.box, f.name, CHECKS[f.wants].edit): f for f in form.fields if f.checked}
    assert len(asked) == rows
    unasked = listed(form) - set().union(*(boxes(f.box) for f in asked.values()))
    mandatory = {(kind, f.box) for f in form.fields if f.usage == "M" and boxes(f.box) & unasked}
    assert mandatory == {box for box in NOT_TOLD if box[0] == kind}
    hit = {
        (f["box"], f["field"], f["edit"])
        for h in HITS
        if (h.base[0] == "P") == (kind == "P")
        for f in found(read(kind, changed(h.base, h.old, h.new)))
    }
    assert len(hit) == on_837
    assert hit <= asked.keys()
    of_frames = {(box, name) for of, box, name in ONLY_AT_FRAMES if of == kind}
    of_paper = {(f.box, f.name) for f in asked.values() if CONDITIONS[f.when].paper}
    assert {(box, name) for box, name, _ in asked.keys() - hit} == of_frames | of_paper


def test_either_of_two_elements_will_do() -> None:
    """Box 9a: the group number (2320 SBR03) or the policy's (2330A NM109)."""
    row = ("9a", "other insured's policy or group number")
    insured = "NM1*IL*1*TALLOWAY*GERDA"
    for old, new in (("SBR*S*01*GRP12", "SBR*S*01*"), (f"{insured}****MI*OT123", insured)):
        assert row not in {(f["box"], f["field"]) for f in found(read("P", changed("P", old, new)))}
    made = changed("P", "SBR*S*01*GRP12", "SBR*S*01*")
    made[made.index(f"{insured}****MI*OT123")] = insured
    assert row in {(f["box"], f["field"]) for f in found(read("P", made))}


def test_the_place_of_a_line_may_be_the_claims() -> None:
    no_place = changed("P", "CLM*F1*300***21:B:7", "CLM*F1*300***:B:7")
    told = found(read("P", no_place))
    assert [(f["box"], f["line_number"]) for f in told] == [("24b", 1), ("24b", 2)]
    line = no_place.index(LINE_P)
    no_place[line] = "SV1*HC:99213*200*UN*1*21**1:2"
    assert [(f["box"], f["line_number"]) for f in found(read("P", no_place))] == [("24b", 2)]


@pytest.mark.parametrize(("base", "box"), [("P", "24a"), ("I", "42")])
def test_a_claim_without_a_line(base: str, box: str) -> None:
    made = segments(base)
    told = found(read(base, made[: made.index("LX*1")]))
    assert ("no_lines", box) in {(f["edit"], f["box"]) for f in told}


# ---- when a box is asked for -----------------------------------------------------------------


def told_of(kind: str, body: Sequence[str]) -> set[str]:
    return {f["box"] for f in found(read(kind, body))}


def without(made: list[str], *starts: str) -> list[str]:
    return [segment for segment in made if not segment.startswith(starts)]


STAY = ("DTP*096", "DTP*435", "HI*ABJ", "HI*BBR", "HI*BBQ", "NM1*72")


@pytest.mark.parametrize(
    ("bill_type", "asked"),
    [
        ("11", {"12", "13", "16", "69", "74a-e"}),
        ("12", {"12", "13", "16", "69", "74a-e"}),
        ("18", {"12", "69", "74a-e"}),  # swing bed and nursing: no hours
        ("21", {"12", "69", "74a-e"}),
        ("41", {"12", "13", "16", "69", "74a-e"}),
        ("13", {"44", "45"}),  # the operating room is a service with a code, and undated
        ("23", {"44", "45"}),
        ("83", {"44", "45"}),
    ],
)
def test_what_a_stay_is_asked_for(bill_type: str, asked: set[str]) -> None:
    made = changed("I", "CLM*F1*1250***11", f"CLM*F1*1250***{bill_type}")
    assert told_of("I", without(made, *STAY)) == asked


@pytest.mark.parametrize(
    ("bill_type", "expected"), [("11", {"14", "15"}), ("13", set()), ("21", {"14", "15"})]
)
def test_type_and_source_are_an_inpatients(bill_type: str, expected: set[str]) -> None:
    made = changed("outpatient", "CL1*1*1*01", "CL1***01")
    made = [s.replace("***13:A:1", f"***{bill_type}:A:1") for s in made]
    asked = told_of("I", [*made[:-6], "DTP*096*TM*1430", *made[-6:]])
    assert asked & {"14", "15"} == expected


@pytest.mark.parametrize(
    ("diagnoses", "asked"),
    [
        (["ABK:S0000XA"], True),
        (["ABK:R999"], False),
        (["ABK:S52501D"], True),  # aftercare of an injury is still of the accident
        (["ABK:T3499XA"], True),
        (["ABK:T3500XA"], False),  # no such injury: the range ends at T34
        (["ABK:T391X1A"], False),  # poisonings tell by their external cause
        (["ABK:I10", "ABF:S52501A"], False),  # the principal diagnosis decides
        (["ABK:I10", "ABN:V00XXXA"], True),
        (["ABK:I10", "ABN:X58XXXA"], True),
        (["ABK:I10", "ABN:X710XXA"], False),
        (["ABK:S52501A", "ABN:Y040XXA"], False),  # an assault
        (["ABK:S52501A", "ABN:X710XXA"], False),  # self-harm
        (["ABK:S52501A", "ABN:W1830XA"], True),
        (["ABK:I10", "ABN:U071"], False),
    ],
)
@pytest.mark.parametrize("occurrence", ["", "HI*BH:05:D8:20250503", "HI*BH:11:D8:20250503"])
def test_an_accident_is_told_by_an_occurrence(
    diagnoses: list[str], asked: bool, occurrence: str
) -> None:
    made = without(segments("outpatient"), "HI*")
    place = next(n for n, s in enumerate(made) if s.startswith("NM1*71"))
    told = [f"HI*{d}" for d in diagnoses] + [occurrence] * bool(occurrence)
    boxes_ = told_of("I", [*made[:place], *told, *made[place:]])
    assert boxes_ == ({"31-34"} if asked and "BH:05" not in occurrence else set())


@pytest.mark.parametrize(("code", "asked"), [("01", False), ("02", True), ("05", False)])
def test_the_state_is_asked_of_a_car_accident(code: str, asked: bool) -> None:
    made = changed("I", "HI*BH:02", f"HI*BH:{code}")
    assert told_of("I", without(made, "REF*LU")) == ({"29"} if asked else set())


@pytest.mark.parametrize(("cause", "asked"), [("AA", True), ("OA", False), ("EM", False)])
def test_only_an_auto_accident_has_a_state(cause: str, asked: bool) -> None:
    made = changed("P", "CLM*F1*300***21:B:7*Y*A*Y*Y*P*AA:OA::CT",
                   f"CLM*F1*300***21:B:7*Y*A*Y*Y*P*{cause}")  # fmt: skip
    assert told_of("P", made) == ({"10a-c"} if asked else set())


@pytest.mark.parametrize(
    ("place", "asked"), [("21", True), ("51", True), ("61", True), ("22", False), ("11", False)]
)
def test_the_admission_is_asked_of_services_to_an_inpatient(place: str, asked: bool) -> None:
    made = changed("P", "CLM*F1*300***21", f"CLM*F1*300***{place}")
    assert told_of("P", without(made, "DTP*435")) == ({"18"} if asked else set())
    on_a_line = changed("P", "CLM*F1*300***21", "CLM*F1*300***11")
    on_a_line[on_a_line.index(LINE_P)] = f"SV1*HC:99213*200*UN*1*{place}**1:2"
    assert told_of("P", without(on_a_line, "DTP*435")) == ({"18"} if asked else set())


@pytest.mark.parametrize("place", ["11", "12", "20", "22", "23", "81"])
def test_837p_sends_no_facility_where_the_place_is_the_billing_providers(place: str) -> None:
    made = changed("P", "CLM*F1*300***21", f"CLM*F1*300***{place}")
    assert told_of("P", without(made, "NM1*77", "N3*200", "N4*NORWALK")) == set()


@pytest.mark.parametrize(
    ("procedure", "asked"),
    [("BBR:0PSH04Z", True), ("BBR:30233N1", False), ("BR:7936", False)],
)
def test_the_operating_physician_is_asked_of_surgery(procedure: str, asked: bool) -> None:
    made = changed("I", "HI*BBR:0PSH04Z", f"HI*{procedure}")
    assert told_of("I", without(made, "NM1*72")) == ({"77"} if asked else set())


@pytest.mark.parametrize(
    ("revenue", "asked"),
    [(("0540", "0542"), False), (("0540", "0450"), True), (("0450", "0250"), True)],
)
def test_an_ambulance_alone_is_attended_by_nobody(revenue: tuple[str, str], asked: bool) -> None:
    made = without(segments("outpatient"), "NM1*71")
    lines = [
        f"SV2*{code}*HC:A0425*{amount}*UN*1"
        for code, amount in zip(revenue, (200, 50), strict=True)
    ]
    spots = [n for n, s in enumerate(made) if s.startswith("SV2")]
    for spot, line in zip(spots, lines, strict=True):
        made[spot] = line
    assert told_of("I", made) == ({"76"} if asked else set())


@pytest.mark.parametrize(
    ("revenue", "asked"),
    [("0300", True), ("0361", True), ("0510", True), ("0250", False), ("0270", False),
     ("0637", False), ("0762", False), ("0120", False)],
)  # fmt: skip
def test_a_procedure_is_asked_of_outpatient_services_that_have_codes(
    revenue: str, asked: bool
) -> None:
    made = changed("outpatient", LINE_I, f"SV2*{revenue}**200*UN*1")
    assert told_of("I", made) == ({"44"} if asked else set())


def test_a_rendering_provider_of_a_line_has_a_number_too() -> None:
    made = [*segments("P"), "NM1*82*1*OSTERBRIDGE*IDA"]
    (told,) = found(read("P", made))
    assert (told["box"], told["line_number"]) == ("24j", 2)
    assert found(read("P", without(segments("P"), "NM1*82"))) == []


def test_what_the_other_payer_paid_is_asked_once_it_has_decided() -> None:
    assert told_of("P", without(segments("P"), "AMT*D", "DTP*573")) == set()
    assert told_of("P", without(segments("P"), "AMT*D")) == {"29"}
    assert told_of("P", changed("P", "AMT*D*100", "AMT*D*0")) == set()


@pytest.mark.parametrize(
    ("frequency", "edit"),
    [("0", None), ("1", None), ("5", None), ("7", None), ("8", None), ("9", None),
     ("2", "interim_bill"), ("3", "interim_bill"), ("4", "interim_bill"), ("6", "frequency"),
     ("A", "frequency")],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["P", "I"])
def test_frequencies(kind: str, frequency: str, edit: str | None) -> None:
    clm = {"P": "CLM*F1*300***21:B:", "I": "CLM*F1*1250***11:A:"}[kind]
    told = found(read(kind, changed(kind, f"{clm}7", f"{clm}{frequency}")))
    assert [f["edit"] for f in told] == ([edit] if edit else [])
    # 5 may find the original by member, payee and stay
    bare = without(changed(kind, f"{clm}7", f"{clm}{frequency}"), "REF*F8")
    original = [f["edit"] for f in found(read(kind, bare)) if f["edit"] == "original_number"]
    assert bool(original) == (frequency in "78")


@pytest.mark.parametrize(
    ("pointers", "asked"),
    [("1", False), ("2:1", False), ("1:2:1:2", False), ("1:2:1:2:1", True), ("3", True),
     ("1:3", True), ("2:X", True)],
)  # fmt: skip
def test_pointers_lead_to_at_most_four_diagnoses_of_the_claim(pointers: str, asked: bool) -> None:
    told = found(read("P", changed("P", LINE_P, f"SV1*HC:99213*200*UN*1***{pointers}")))
    assert [f["edit"] for f in told] == ["diagnosis_pointer"] * asked


@pytest.mark.parametrize(("through", "hit"), [("20250513", False), ("20250514", True)])
def test_a_line_of_837p_has_one_date_a_line_of_837i_may_have_more(through: str, hit: bool) -> None:
    made = changed("P", "DTP*472*D8*20250513", f"DTP*472*RD8*20250513-{through}")
    assert [f["edit"] for f in found(read("P", made))] == ["date_range"] * hit
    made = changed("outpatient", "DTP*472*D8*20250504", f"DTP*472*RD8*20250504-{through}")
    assert found(read("I", made)) == []


# ---- paper, read into the same frames --------------------------------------------------------

ANSWERS = {"P": ("10a", "10b", "10c", "11c", "11d"), "I": ("61",)}


@cache
def on_paper(base: str) -> Batch:
    """The claim as a form would tell it: every box filled, answers without an element in
    ``references``."""
    kind = "P" if base[0] == "P" else "I"
    batch = read(kind, segments(base))
    answers = pl.DataFrame(
        [{"claim_id": 0, "loop": "form", "qualifier_code": box, "reference_number": "NO"}
         for box in ANSWERS[kind]],
        schema=batch.references.schema,
    )  # fmt: skip
    day = pl.lit(date(2025, 5, 4))
    undated = pl.col("service_from_date").is_null()
    return batch.with_(
        claims=batch.claims.with_columns(
            source_format_code=pl.lit("CMS1500" if kind == "P" else "UB04")
        ),
        people=batch.people.with_columns(
            pl.col("member_number", "address_line", "city").fill_null("X"),
            pl.col("birth_date").fill_null(day),
            pl.col("sex_code").fill_null("F"),
        ),
        lines=batch.lines.with_columns(
            procedure_description=pl.lit("SERVICE"),
            service_from_date=pl.when(undated).then(day).otherwise("service_from_date"),
        ),
        references=pl.concat([batch.references, answers]),
    )


def blanked(batch: Batch, field: FormField) -> Batch:
    """The batch with nothing in that box."""
    frame, row, columns = field.place
    rows: pl.DataFrame = getattr(batch, frame)
    of_box = ROWS.get(f"{frame}[{row}]")
    if row and of_box is None:
        of_box = pl.col(CODES.get(frame, "qualifier_code")) == row
    which = pl.lit(value=True) if of_box is None else of_box
    if frame == "claims" and columns == ("line_count",):
        return batch.with_(lines=batch.lines.clear())
    if not columns:
        return batch.with_(**{frame: rows.filter(~which)})
    return batch.with_(
        **{frame: rows.with_columns(pl.when(~which).then(pl.col(c)).alias(c) for c in columns)}
    )


PAPER_BASES = ("P", "P child", "I", "I child", "outpatient")


@pytest.mark.parametrize("base", PAPER_BASES)
def test_a_whole_form_misses_every_row(base: str) -> None:
    assert found(on_paper(base)) == []


BLANKS = [(form, f) for form, f in FIELDS_OF if f.checked and CHECKS[f.wants].wrong is None]


@pytest.mark.parametrize(
    ("form", "field"), BLANKS, ids=[f"{form.form}-{f.box}-{f.name}" for form, f in BLANKS]
)
def test_a_row_is_hit_by_an_empty_box(form: Form, field: FormField) -> None:
    """On one of the forms at least: a box may be asked of dependents or outpatients alone."""
    bases = [b for b in PAPER_BASES if (b[0] == "P") == (form.claim_type_code == "P")]
    told = (found(blanked(on_paper(base), field)) for base in bases)
    names = ({(f["box"], f["field"]) for f in of_base} for of_base in told)
    assert any((field.box, field.name) in of_base for of_base in names)


def test_paper_is_asked_for_what_837_does_not_send() -> None:
    told = found(on_paper("P").with_(references=frames.empty(frames.References)))
    assert {f["field"] for f in told} == {
        "employment: yes or no", "auto accident: yes or no", "other accident: yes or no",
        "insured's plan", "another health plan: yes or no",
    }  # fmt: skip
    assert {f["edit"] for f in told} == {"mandatory_field"}
    (group,) = found(on_paper("I").with_(references=read("I", segments("I")).references))
    assert (group["box"], group["element"]) == ("61a-c", "2000B SBR04")
    undescribed = on_paper("I").lines.with_columns(procedure_description=pl.lit(" "))
    told = found(on_paper("I").with_(lines=undescribed))
    assert [(f["box"], f["element"], f["line_number"]) for f in told] == [
        ("43", PAPER_ONLY, 1), ("43", PAPER_ONLY, 2)
    ]  # fmt: skip


def test_nobody_is_asked_for_a_group_or_an_insurance_that_isnt_there() -> None:
    batch = on_paper("I")
    none = batch.claims.with_columns(group_number=pl.lit(None, dtype=pl.String))
    assert found(batch.with_(claims=none, references=read("I", segments("I")).references)) == []
    batch = on_paper("P")
    none = batch.claims.with_columns(group_number=pl.lit(None, dtype=pl.String))
    assert [f["box"] for f in found(batch.with_(claims=none))] == ["11"]
    alone = frames.empty(frames.OtherPayers)
    assert found(batch.with_(claims=none, other_payers=alone)) == []


@pytest.mark.parametrize(("place", "asked"), [("11", False), ("12", False), ("22", True)])
def test_paper_names_the_facility_but_for_home_and_office(place: str, asked: bool) -> None:
    batch = on_paper("P")
    batch = batch.with_(
        lines=batch.lines.with_columns(place_of_service_code=pl.lit(place)),
        claim_providers=batch.claim_providers.filter(pl.col("role_code") != "77"),
    )
    assert [f["field"] for f in found(batch)] == ["facility"] * asked


def test_paper_dates_every_line_of_a_period() -> None:
    batch = on_paper("I")
    undated = batch.lines.with_columns(service_from_date=pl.lit(None, dtype=pl.Date))
    assert [f["box"] for f in found(batch.with_(lines=undated))] == ["45", "45"]
    one_day = batch.claims.with_columns(statement_through_date="statement_from_date")
    assert found(batch.with_(lines=undated, claims=one_day)) == []


@pytest.mark.parametrize(("count", "hit"), [(12, False), (13, True)])
def test_at_most_twelve_diagnoses(count: int, hit: bool) -> None:
    batch = on_paper("P")
    more = [
        {"claim_id": 0, "sequence_number": n, "qualifier_code": "ABF", "diagnosis_code": "I10"}
        for n in range(3, count + 1)
    ]
    diagnoses = pl.concat([batch.diagnoses, pl.DataFrame(more, schema=batch.diagnoses.schema)])
    told = found(batch.with_(diagnoses=diagnoses))
    assert [f["edit"] for f in told] == ["diagnosis_count"] * hit
