"""The field tables of schemas/forms: every box of the manual, and a hit and a miss of each."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import pytest

from adjudicator.pipeline import AS_READ, Batch
from adjudicator.programs import load_forms
from adjudicator.reference import Reference
from adjudicator.stages.validate import CHECKS, CONDITIONS, PREDICATES, ROW_PREDICATES, ROWS, validate
from edi.read_837 import FIELDS
from edi.read_file import read_file
from schemas import frames
from schemas.form import Form, FormField
from tests import samples

SHARED = Path(__file__).parents[1].parent / "shared"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the manual is not here (../shared)")
FORMS = Reference("", {}, {}, forms=load_forms())
BY_KIND = {form.claim_type_code: form for form in load_forms()}
FIELDS_OF = [(form, field) for form in load_forms() for field in form.fields]
IDS = [f"{form.form}-{f.box}-{f.name}-{f.wants}" for form, f in FIELDS_OF]


# ---- the tables against the manual -----------------------------------------------------------


def manual() -> list[str]:
    file = next((SHARED / "seeds").glob("001_*"))
    return file.read_text("utf-8").split("\n")  # lines are counted by newlines alone


class Printed(NamedTuple):
    """A box as the manual prints it: its labels, its usage and its first and last line."""

    labels: tuple[str, ...]
    usage: str
    lines: tuple[int, int]


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
    told = re.findall(r"(\d{4}[A-Z]{0,2})? ?\b([A-Z][A-Z0-9]{1,2})(\d\d)\b", field.element)
    loops = [loop for loop in re.findall(r"\b\d{4}[A-Z]{0,2}\b", field.element)]
    if of_column and told and field.place.frame in ("claims", "lines", "other_payers", "people"):
        assert any(
            (column, loop, segment, int(element)) in of_column
            for column in columns for loop in loops for _, segment, element in told
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
    sets = {
        name: set(re.findall(r"<code>(\w+)</code>", text.split(f"<id>{name}</id>")[1].split("</codeset>")[0]))
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
    rows = validate(batch, FORMS).findings
    return [
        {**json.loads(row["inputs"]), **{k: row[k] for k in ("edit", "line_number", "rarc", "status_code", "disposition")}}
        for row in rows.iter_rows(named=True)
    ]


def changed(base: str, old: str, new: str) -> list[str]:
    """The base with one segment changed: the first that begins with ``old`` begins with ``new``;
    nothing new takes it out."""
    made = segments(base)
    place = next(n for n, segment in enumerate(made) if segment.startswith(old))
    made[place : place + 1] = [new + made[place].removeprefix(old)] if new else []
    return made
