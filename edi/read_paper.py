"""Paper claims, a record of schemas/paper.py a line, to the frames that 837 is read into.

A line that is no record is refused alone. What can't be read inside a record is an objection to
its claim, which goes back; the rest of it is read as if that box were blank, so that all else that
is wrong is told at the same time.
"""

from __future__ import annotations

import json
import mmap
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cache
from typing import Any

import polars as pl
from pydantic import ValidationError

from edi.envelope import Envelope
from edi.read_claims import BOM
from edi.read_file import OBJECTIONS, FileReading
from schemas import frames
from schemas.form import FORM, FORMATS
from schemas.paper import (
    RECORDS,
    SELF,
    Address,
    Attachment,
    CMS1500Boxes,
    CMS1500Line,
    CMS1500Record,
    Diagnosis,
    MonthDay,
    OtherProcedure,
    Period,
    Physician,
    UB04Boxes,
    UB04Record,
    place_of,
    places,
)

RECORD_BYTES = 1_000_000  # a longer line is no claim
RECORDS_TOGETHER = 2_000
SAME = "SAME"
SUFFIXES = ("JR", "SR", "II", "III", "IV")
POSITIONS = ("P", "S", "T")
TOTALS = "0001"  # the revenue code of the row of totals
ROOM_AND_BOARD = ("010", "022")  # revenue codes from the one to below the other count days
LETTERS = "ABCDEFGHIJKL"
NO_DIAGNOSIS = "99"  # what a letter points to that has no code
WHOLE_BILL = "1"  # the frequency that a blank box 22 means
ASSIGNMENTS = {"YES": "A", "NO": "C"}
REFERRING = ("DN", "DK", "DQ")  # referring, ordering, supervising
ONSET, INITIAL_TREATMENT, ACCIDENT, DISABILITY = "431", "454", "439", "314"
DAYS_BEFORE = timedelta(days=30)  # how long before the bill's first day a procedure may lie [j]
ANY_YEAR = 2000  # of a bill without a period, which goes back
CAUSES = {"employment": "EM", "auto_accident": "AA", "other_accident": "OA"}
CLOCKS = ("eob", "auto_notice")  # documents that start a clock, so that their day must be known

SCHEMAS = {
    "claims": frames.Claims, "lines": frames.Lines, "people": frames.People,
    "claim_providers": frames.ClaimProviders, "diagnoses": frames.Diagnoses,
    "procedures": frames.Procedures, "occurrences": frames.Occurrences, "dates": frames.Dates,
    "references": frames.References, "amounts": frames.Amounts, "notes": frames.Notes,
    "attachments": frames.Attachments, "certifications": frames.Certifications,
    "other_payers": frames.OtherPayers, "other_payer_lines": frames.OtherPayerLines,
    "other_payer_adjustments": frames.OtherPayerAdjustments,
}  # fmt: skip
COLUMNS: dict[str, dict[str, pl.DataType]] = {
    name: {column: kind.dtype for column, kind in schema.columns().items()}
    for name, schema in SCHEMAS.items()
}
SOURCES: dict[str, Any] = {
    **{
        column: kind.dtype
        for column, kind in frames.ClaimSources.columns().items()
        if column != "file_id"
    },
    "set_index": pl.Int64,
}

Row = dict[str, Any]
Add = Callable[..., None]  # (frame, **columns of a row)


class NoRecordError(Exception):
    """A line that is no record: the message says why, and what mends it."""


# ---- files -------------------------------------------------------------------------------------


def read_paper(data: bytes | mmap.mmap, own_names: Collection[str] = ()) -> FileReading:
    """Read a file of records. Never raises for what is in it.

    ``own_names``: names and numbers of the payers that we are, by which box 50 or 51 of UB-04
    tells our row from those of others. Objections have the level ``record`` (a line that is
    refused) or ``claim``: box (``segment``), field (``reference``), line of the file
    (``segment_position``) and line of service (``value``). ``set_index`` of the sources is the
    line of the file, the envelope empty.
    """
    reading = FileReading(Envelope())
    rows = _Rows(frozenset(map(_plain, own_names)))
    parts: list[dict[str, pl.DataFrame]] = []
    for number, start, stop in _lines(data):
        try:
            if stop - start > RECORD_BYTES:
                raise NoRecordError(
                    f"is longer than {RECORD_BYTES:,} bytes, which no claim is; send it as records"
                )
            form, raw = _record(bytes(data[start:stop]))
        except NoRecordError as error:
            rows.object("record", start, number, text=f"line {number} {error}")
            continue
        rows.read(form, raw, number, start, stop)
        if rows.count % RECORDS_TOGETHER == 0:
            parts.append(rows.frames())
    if rows.count:
        parts.append(rows.frames())
        reading.frames = {name: pl.concat([p[name] for p in parts]) for name in parts[0]}
    reading.objections = pl.DataFrame(rows.objections, schema=OBJECTIONS)
    return reading


def reread_paper(
    records: Sequence[bytes], own_names: Collection[str] = ()
) -> dict[str, pl.DataFrame]:
    """The frames of claims read again from their lines, numbered from 0."""
    rows = _Rows(frozenset(map(_plain, own_names)))
    for number, record in enumerate(records, 1):
        rows.read(*_record(record), number, 0, len(record))
    return rows.frames()


def _lines(data: bytes | mmap.mmap) -> Iterator[tuple[int, int, int]]:
    """Number, first byte and byte after the last of every line that isn't blank."""
    start = len(BOM) if bytes(data[: len(BOM)]) == BOM else 0
    number, end = 0, len(data)
    while start < end:
        number += 1
        found = data.find(b"\n", start)
        stop = found if found >= 0 else end
        if stop - start > RECORD_BYTES or bytes(data[start:stop]).strip():
            yield number, start, stop
        start = stop + 1


def _record(line: bytes) -> tuple[str, dict[str, Any]]:
    """The form's name and the record, blanks left out. Raises NoRecordError."""
    try:
        raw = json.loads(line, object_pairs_hook=_once)
    except UnicodeDecodeError:
        raise NoRecordError("is not UTF-8; write it in UTF-8") from None
    except (ValueError, RecursionError):
        raise NoRecordError("is not JSON; write one record a line") from None
    if not isinstance(raw, dict):
        raise NoRecordError("is no JSON object; write one record a line, in braces")
    form = raw.get("form")
    if not isinstance(form, str) or form not in RECORDS:
        raise NoRecordError(f"names no form that is read here; its form is {' or '.join(RECORDS)}")
    if not isinstance(raw.get("boxes"), dict):
        raise NoRecordError("has no boxes; write them as an object, by their numbers")
    return form, raw


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object without its blank values. Of a key that stands twice neither value counts."""
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        found |= {key: _TWICE for key in keys if keys.count(key) > 1}
    return {
        key: [None if v == "" else v for v in value] if isinstance(value, list) else value
        for key, value in found.items()
        if value is not None and value != ""
    }


_TWICE = object()  # no box's value
_MEANINGS = {
    "extra_forbidden": "is none of the form's; write its boxes as docs/paper.md names them",
    "too_long": "stands more often than the form prints it",
    "missing": "is missing",
    "literal_error": "is none of those that docs/paper.md names",
}
_NOT_ITS_SHAPE = "is not written as docs/paper.md shows it"
_STANDS_TWICE = "stands twice; keep one"


# ---- records -----------------------------------------------------------------------------------


@dataclass
class _Rows:
    """The rows of the claims read so far; ``own_names`` are plain."""

    own_names: frozenset[str]
    count: int = 0
    rows: dict[str, list[Row]] = field(default_factory=lambda: {n: [] for n in COLUMNS})
    sources: list[Row] = field(default_factory=list)
    objections: list[Row] = field(default_factory=list)

    def frames(self) -> dict[str, pl.DataFrame]:
        """The frames of the rows, which leave."""
        made = {
            name: pl.DataFrame(self.rows[name], schema=schema) for name, schema in COLUMNS.items()
        }
        made["sources"] = pl.DataFrame(self.sources, schema=SOURCES)
        self.rows, self.sources = {n: [] for n in COLUMNS}, []
        return made

    def read(self, form: str, raw: dict[str, Any], number: int, start: int, stop: int) -> None:
        """Adds the rows of one record, line ``number`` of its file."""
        claim_id = self.count
        self.count += 1

        def add(frame: str, **columns: Any) -> None:
            self.rows[frame].append({"claim_id": claim_id, **columns})

        def object_to(box: str, name: str, says: str, line: int | None = None) -> None:
            self.object(
                "claim", start, number, claim_id=claim_id, loop=FORM, segment=box, reference=name,
                text=" ".join((f"{_box(box)}, {name}," if name else _box(box), says)),
                value=str(line or ""),
            )  # fmt: skip

        record, wrong = _understood(form, raw)
        for path, says in wrong:
            object_to(*_named(form, path), says, _line_of(path))
        for attachment in record.attachments:
            if attachment.kind in CLOCKS and attachment.date is None:
                object_to(f"attachment {attachment.kind}", "", "says no day: its clock needs one")
            add(
                "attachments", kind_code=attachment.kind, document_date=attachment.date,
                payer_name=attachment.payer,
            )  # fmt: skip
        facts = {"source_format_code": FORMATS[form], "received_date": record.received_date}
        if isinstance(record, UB04Record):
            _ub04(add, object_to, record, facts, self.own_names)
        else:
            _cms1500(add, record, facts)
        empty = {column: start for column in SOURCES if column.endswith(("_start", "_end"))}
        self.sources.append(
            {
                "claim_id": claim_id,
                **empty,
                "isa_offset": 0,
                "gs_offset": 0,
                "claim_end": stop,
                "set_index": number,
            }
        )

    def object(self, level: str, offset: int, position: int, **told: Any) -> None:
        blank = {n: "" for n, kind in OBJECTIONS.items() if kind == pl.String}
        at = {"level": level, "offset": offset, "segment_position": position}
        self.objections.append({**dict.fromkeys(OBJECTIONS), **blank, **at, **told})


def _box(label: str) -> str:
    return f"box {label}" if label[0].isdigit() else label


Path = tuple[str | int, ...]


def _understood(
    form: str, raw: dict[str, Any]
) -> tuple[CMS1500Record | UB04Record, list[tuple[Path, str]]]:
    """The record, and what of it couldn't be read: that is left out of it."""
    wrong: list[tuple[Path, str]] = []
    while True:
        try:
            return RECORDS[form].model_validate(raw), wrong
        except ValidationError as error:
            found = error.errors(include_url=False)
        for each in found:
            path = each["loc"]
            if each["input"] is _TWICE:
                says = _STANDS_TWICE
            else:
                says = each["msg"] if each["type"] == "paper" else _MEANINGS.get(
                    each["type"], _NOT_ITS_SHAPE
                )  # fmt: skip
            wrong.append((path, says))
        # an attachment is left out whole: it has parts that it can't do without
        raw = _without(raw, {p[:2] if p[0] == "attachments" else p for p, _ in wrong})
        if "attachments" in raw:
            raw["attachments"] = [a for a in raw["attachments"] if a is not None]


def _without(value: Any, paths: Collection[Path]) -> Any:
    """The value without what stands at the paths; places in a list keep their numbers."""
    here = {p[0] for p in paths if len(p) == 1}
    below: dict[str | int, set[Path]] = {}
    for path in paths:
        if len(path) > 1 and path[0] not in here:
            below.setdefault(path[0], set()).add(path[1:])
    if isinstance(value, dict):
        return {k: _without(v, below.get(k, ())) for k, v in value.items() if k not in here}
    if isinstance(value, list):
        return [None if n in here else _without(v, below.get(n, ())) for n, v in enumerate(value)]
    return value


def _named(form: str, path: Path) -> tuple[str, str]:
    """The box and the field that stand at a path; of what the form has not, the box alone."""
    keys = tuple(str(key) for key in path if isinstance(key, str))
    if keys[0] == "boxes":
        for end in range(len(keys), 1, -1):
            place = place_of(form, keys[1:end])
            if place is not None:
                return place.box, place.name if end == len(keys) else _shown(keys[-1])
        return _shown(keys[1]), ""
    return " ".join(map(_shown, keys)), ""


def _shown(key: str) -> str:
    """A key as it may be shown: a box's number, a word of ours, nothing that could be a name."""
    known = re.fullmatch(r"\d{1,2}[A-Za-z]?(-\d{0,2}[a-z]?)?", key) or key in _words()
    return key if known else "unknown key"


@cache
def _words() -> frozenset[str]:
    """Every key that a record may have."""
    return frozenset(
        {key for form in RECORDS for place in places(form) for key in place.path}
        | {*Attachment.model_fields, *CMS1500Record.model_fields}
    )


def _line_of(path: Path) -> int | None:
    """The row of service at a path, from 1."""
    if path[:1] == ("boxes",) and len(path) > 2 and path[1] in ("24", "42-49"):
        return int(path[2]) + 1 if isinstance(path[2], int) else None
    return None


# ---- what both forms have in common ------------------------------------------------------------


def _plain(text: str | None) -> str:
    """Letters and digits alone, in capitals: so that a name is the same however it is written."""
    return re.sub(r"[^A-Z0-9]", "", (text or "").upper())


def _person(name: str | None) -> Row:
    """LAST, FIRST, MIDDLE; without a comma the first word is the last name. A suffix stands behind
    the last name."""
    if name is None:
        return {}
    parts = [p.strip() for p in name.split(",")] if "," in name else name.split(None, 2)
    last, first, *middle = [*parts, "", ""]
    words = last.split()
    suffix = words.pop() if len(words) > 1 and words[-1].strip(".").upper() in SUFFIXES else None
    if suffix is None and first.strip(".").upper() in SUFFIXES:
        suffix, (first, *middle) = first, [*middle, ""]
    return {
        "last_name": " ".join(words) or None, "first_name": first or None,
        "middle_name": " ".join(m for m in middle if m) or None, "suffix": suffix,
    }  # fmt: skip


def _address(address: Address) -> Row:
    return {
        "address_line": address.street, "city": address.city, "state_code": address.state,
        "zip_code": address.zip,
    }  # fmt: skip


def _references(add: Add, **boxes: str | None) -> None:
    """What a form says that no other frame has a place for: ``b10a`` is box 10a."""
    for box, value in boxes.items():
        if value is not None:
            add("references", loop=FORM, qualifier_code=box[1:], reference_number=value)


def _explanations(attachments: Sequence[Attachment]) -> list[Attachment]:
    return [a for a in attachments if a.kind == "eob"]


def _explained(payers: list[Row], explanations: Sequence[Attachment]) -> bool:
    """Gives each other payer the day of its explanation. One that is on no form becomes a payer:
    whether there was any."""
    before = len(payers)
    for each in explanations:
        named = [p for p in payers if _plain(p.get("payer_name")) == _plain(each.payer)]
        # a form with one payer means it, however an explanation writes its name
        found = named or (payers if len(payers) == 1 else [])
        if not found:
            found = [{"payer_name": each.payer, "responsibility_code": POSITIONS[0]}]
            payers += found
        days = [d for d in (found[0].get("adjudication_date"), each.date) if d is not None]
        found[0]["adjudication_date"] = max(days, default=None)
    return len(payers) > before


# ---- CMS-1500 ----------------------------------------------------------------------------------


def _cms1500(add: Add, record: CMS1500Record, facts: Row) -> None:
    box = record.boxes
    lines = [(n, each) for n, each in enumerate(box.lines, 1) if each is not None and each.filled]
    patient, address = _person(box.patient_name), _address(box.patient_address)
    insured, insured_address = _person(box.insured_name), _address(box.insured_address)
    # SAME fills its box, even where the box that it means is blank
    if _plain(insured.get("last_name")) == SAME:
        insured = patient if patient.get("last_name") else insured
    if _plain(insured_address.get("address_line")) == SAME:
        insured_address = address if address.get("address_line") else insured_address
    add("people", role="patient", member_number=box.insured_number, **patient, **address,
        birth_date=box.patient.birth_date, sex_code=box.patient.sex)  # fmt: skip
    own = box.patient if box.relationship == SELF else box.insured
    add(
        "people", role="subscriber", member_number=box.insured_number, **insured, **insured_address,
        birth_date=box.insured.birth_date or own.birth_date, sex_code=box.insured.sex or own.sex,
    )  # fmt: skip
    # who rendered every line stands on the claim, as on 837
    rendering = {(e.rendering.npi, e.rendering.number) for _, e in lines}
    by_npi, by_number = next(iter(rendering)) if len(rendering) == 1 else (None, None)
    role = box.referring.qualifier if box.referring.qualifier in REFERRING else REFERRING[0]
    illness, other, away = box.illness, box.other_date, box.unable_to_work
    explanations = _explanations(record.attachments)
    others = _cms1500_payers(add, box, insured, explanations)
    add(
        "claims", **facts, claim_type_code="P", patient_control_number=box.account_number,
        charge_amount=box.total, facility_code=lines[0][1].place if lines else None,
        facility_qualifier_code="B", frequency_code=box.resubmission.code or WHOLE_BILL,
        provider_signature_code=_signed(box.provider_signature.signature),
        assignment_code=ASSIGNMENTS.get(box.assignment or ""),
        benefits_assignment_code=_signed(box.insured_signature),
        release_code=_signed(box.patient_signature.signature),
        admission_date=box.stay.from_, discharge_date=box.stay.to,
        accident_date=other.date if other.qualifier == ACCIDENT else None,
        onset_date=illness.date if illness.qualifier in (None, ONSET) else None,
        patient_paid_amount=None if others else box.paid,
        original_claim_number=box.resubmission.original_number,
        prior_authorization_number=box.authorization_number,
        responsibility_code="S" if box.another_plan == "YES" or explanations else "P",
        relationship_code=box.relationship, group_number=box.group_number,
        claim_filing_code=box.coverage, subscriber_number=box.insured_number,
        patient_last_name=patient.get("last_name"), patient_first_name=patient.get("first_name"),
        patient_birth_date=box.patient.birth_date, patient_sex_code=box.patient.sex,
        billing_npi=box.billing_npi, billing_tax_number=box.tax.number, rendering_npi=by_npi,
        referring_npi=box.referring_numbers.npi if role == REFERRING[0] else None,
        facility_npi=box.facility_numbers.npi,
        facility_zip_code=box.facility.zip or box.billing.zip,
    )  # fmt: skip
    add(
        "claim_providers", role_code="85", last_name=box.billing.name, npi=box.billing_npi,
        other_number=box.billing_other_number, tax_number=box.tax.number, **_address(box.billing),
    )  # fmt: skip
    if by_npi or by_number:
        add("claim_providers", role_code="82", entity_type_code="1", npi=by_npi,
            other_number=by_number)  # fmt: skip
    if box.referring.name or box.referring_numbers.filled:
        add("claim_providers", role_code=role, **_person(box.referring.name),
            npi=box.referring_numbers.npi, other_number=box.referring_numbers.number)  # fmt: skip
    if box.facility.filled or box.facility_numbers.filled:
        add("claim_providers", role_code="77", last_name=box.facility.name,
            npi=box.facility_numbers.npi, other_number=box.facility_numbers.number,
            **_address(box.facility))  # fmt: skip
    letters = _cms1500_diagnoses(add, box)
    for number, line in lines:
        _cms1500_line(add, number, line, letters, one_rendering=len(rendering) == 1)
    _cms1500_conditions(add, box)
    for qualifier, first, last in (
        (illness.qualifier or ONSET, illness.date, None),
        (other.qualifier or INITIAL_TREATMENT, other.date, None),
        (DISABILITY, away.from_, away.to),
    ):
        if first or last:
            add("dates", loop=FORM, qualifier_code=qualifier, from_date=first, through_date=last)
    if box.additional:
        add("notes", qualifier_code="ADD", note=box.additional)
    _references(
        add, b8=box.reserved_8, b11b=box.other_claim.number, b11c=box.insured_plan,
        b11d=box.another_plan, b20=box.outside_lab.answer, b30=box.reserved_30,
    )  # fmt: skip


def _signed(signature: str | None) -> str | None:
    """X12's Y, where the box is signed or says that the signature is on file."""
    return "Y" if signature else None


def _cms1500_payers(
    add: Add, box: CMS1500Boxes, insured: Row, explanations: Sequence[Attachment]
) -> list[Row]:
    """The other payer of boxes 9, 9a, 9d, 11d and 29, or of an explanation."""
    named = (box.other_insured_name, box.other_insured_number, box.other_insurance)
    payers: list[Row] = []
    if any(named) or box.another_plan == "YES":
        other = _person(box.other_insured_name)
        # SAME is the person in box 4
        own = insured.get("last_name") if _plain(other.get("last_name")) == SAME else None
        payers.append({
            "responsibility_code": "P" if box.another_plan == "YES" else "S",
            "group_number": box.other_insured_number, "payer_name": box.other_insurance,
            "insured_last_name": own or other.get("last_name"),
        })  # fmt: skip
    _explained(payers, explanations)
    for sequence, payer in enumerate(payers, 1):
        add("other_payers", payer_sequence=sequence, **payer,
            paid_amount=box.paid if sequence == 1 else None)  # fmt: skip
    return payers


def _cms1500_diagnoses(add: Add, box: CMS1500Boxes) -> dict[str, str]:
    """Which diagnosis of the claim each letter stands for."""
    old = box.diagnoses.indicator == "9"
    places: dict[str, str] = {}
    for letter, code in zip(LETTERS, box.diagnoses.by_letter(), strict=True):
        if code is not None:
            places[letter] = str(len(places) + 1)
            qualifier = ("BK" if old else "ABK") if letter == "A" else ("BF" if old else "ABF")
            add("diagnoses", sequence_number=len(places), qualifier_code=qualifier,
                diagnosis_code=code)  # fmt: skip
    return places


def _cms1500_line(
    add: Add, number: int, line: CMS1500Line, letters: Mapping[str, str], *, one_rendering: bool
) -> None:
    days, code = line.days, line.procedure.code
    add(
        "lines", line_number=number, assigned_number=str(number),
        procedure_qualifier_code="HC" if code else None, procedure_code=code,
        modifier_codes=line.procedure.modifiers, charge_amount=line.charge, unit_basis_code="UN",
        unit_quantity=line.units, place_of_service_code=line.place,
        diagnosis_pointers=":".join(letters.get(x, NO_DIAGNOSIS) for x in line.pointers)
        if line.pointers else None,
        emergency_code="Y" if line.emergency == "Y" else None, epsdt_code=line.epsdt,
        service_from_date=days.from_, service_through_date=days.to or days.from_,
        rendering_npi=None if one_rendering else line.rendering.npi,
    )  # fmt: skip
    if line.rendering.filled and not one_rendering:
        add("claim_providers", line_number=number, role_code="82", entity_type_code="1",
            npi=line.rendering.npi, other_number=line.rendering.number)  # fmt: skip
    if line.supplement:
        add("notes", line_number=number, qualifier_code="ADD", note=line.supplement)


def _cms1500_conditions(add: Add, box: CMS1500Boxes) -> None:
    told: list[Row] = [{"qualifier_code": "BG", "code": c} for c in box.condition_codes if c]
    answers = box.conditions
    told += [
        {"qualifier_code": "CLM11", "code": cause,
         "state_code": answers.state if cause == "AA" else None}
        for name, cause in CAUSES.items() if getattr(answers, name) == "YES"
    ]  # fmt: skip
    for sequence, occurrence in enumerate(told, 1):
        add("occurrences", sequence_number=sequence, **occurrence)
    _references(add, b10a=answers.employment, b10b=answers.auto_accident,
                b10c=answers.other_accident)  # fmt: skip


# ---- UB-04 -------------------------------------------------------------------------------------


def _at(values: Sequence[Any], place: int) -> Any:
    """The value of row a, b or c; None where the form has none."""
    return values[place] if place < len(values) else None


def _ub04(
    add: Add, object_to: Callable[..., None], record: UB04Record, facts: Row,
    own_names: frozenset[str],
) -> None:  # fmt: skip
    box = record.boxes
    lines = [(n, e) for n, e in enumerate(box.lines, 1) if e is not None and e.filled]
    totals = [e for _, e in lines if e.revenue == TOTALS]
    period = box.period
    ours, position = _ub04_payers(add, box, own_names, _explanations(record.attachments))
    patient, address = _person(box.patient_name), _address(box.patient_address)
    relationship, number = _at(box.relationships, ours), _at(box.insured_numbers, ours)
    add(
        "people", role="patient", member_number=box.patient_number, **patient, **address,
        birth_date=box.birth_date, sex_code=box.sex,
        country_code=box.patient_address.country,
    )  # fmt: skip
    add(
        "people", role="subscriber", member_number=number,
        **_person(_at(box.insured_names, ours)),
        birth_date=box.birth_date if relationship == SELF else None,
        sex_code=box.sex if relationship == SELF else None,
    )  # fmt: skip
    taxonomy = next((c.code for c in box.codes if c is not None and c.qualifier == "B3"), None)
    add(
        "claims", **facts, claim_type_code="I", patient_control_number=box.account_number,
        charge_amount=totals[0].charge if totals else None,
        facility_code=box.bill_type and box.bill_type[:2], facility_qualifier_code="A",
        # a blank box 4 is one gap, that of the type of bill
        frequency_code=box.bill_type[2] if box.bill_type else WHOLE_BILL,
        release_code=_at(box.release, ours),
        benefits_assignment_code=_at(box.benefits_assignment, ours),
        statement_from_date=period.from_,
        statement_through_date=period.through,
        admission_date=box.admission_date, admission_hour_code=box.admission_hour,
        discharge_hour_code=box.discharge_hour, admission_type_code=box.admission_type,
        admission_source_code=box.admission_source, patient_status_code=box.status,
        diagnosis_related_group_code=box.payment_group,
        patient_paid_amount=_at(box.amounts_due, ours),
        original_claim_number=_at(box.original_numbers, ours),
        prior_authorization_number=_at(box.authorization_numbers, ours),
        medical_record_number=box.medical_record_number, responsibility_code=position,
        relationship_code=relationship, group_number=_at(box.group_numbers, ours),
        subscriber_number=number, patient_last_name=patient.get("last_name"),
        patient_first_name=patient.get("first_name"), patient_birth_date=box.birth_date,
        patient_sex_code=box.sex, payer_number=_at(box.plan_numbers, ours), billing_npi=box.npi,
        billing_tax_number=box.tax_number, billing_taxonomy_code=taxonomy,
        attending_npi=box.attending.npi,
        facility_zip_code=box.provider.zip,
    )  # fmt: skip
    add(
        "claim_providers", role_code="85", entity_type_code="2",
        last_name=box.provider.name, npi=box.npi, taxonomy_code=taxonomy,
        tax_number=box.tax_number, **_address(box.provider),
    )  # fmt: skip
    if box.payee.filled:
        add("claim_providers", role_code="87", entity_type_code="2", last_name=box.payee.name,
            **_address(box.payee))  # fmt: skip
    physicians: list[tuple[str, Physician]] = [
        ("71", box.attending), ("72", box.operating),
        *((o.role or "ZZ", o) for o in box.other_providers if o is not None),
    ]  # fmt: skip
    for role, person in physicians:
        if person.filled:
            add("claim_providers", role_code=role, entity_type_code="1", npi=person.npi,
                other_number=person.number, **_person(person.name))  # fmt: skip
    for line_number, line in lines:
        if line.revenue == TOTALS:
            continue
        code, modifiers = line.procedure or (None, None)
        days = line.revenue is not None and ROOM_AND_BOARD[0] <= line.revenue < ROOM_AND_BOARD[1]
        add(
            "lines", line_number=line_number, assigned_number=str(line_number),
            revenue_code=line.revenue, procedure_qualifier_code="HC" if code else None,
            procedure_code=code, modifier_codes=modifiers, procedure_description=line.description,
            charge_amount=line.charge, noncovered_amount=line.noncovered,
            unit_basis_code="DA" if days else "UN", unit_quantity=line.units,
            service_from_date=line.day, service_through_date=line.day,
        )  # fmt: skip
    _ub04_codes(add, object_to, box)
    if box.remarks:
        add("notes", qualifier_code="ADD", note=box.remarks)
    _references(
        add, bLU=box.accident_state, b57=_at(box.other_numbers, ours),
        b61=_at(box.group_names, ours), b65=_at(box.employers, ours),
    )  # fmt: skip


def _ub04_payers(
    add: Add, box: UB04Boxes, own_names: frozenset[str], explanations: Sequence[Attachment]
) -> tuple[int, str]:
    """Which of the rows a to c is ours, and our position among the payers.

    Ours is the row that names us in box 50 or 51. A form on which none does lists other payers
    alone, as the manual has it (001:2526): then the insured's row is that whose number (box 60) is
    the patient's (box 8a), else the first.
    """
    named = [
        n for n in range(len(POSITIONS))
        if {_plain(_at(box.payers, n)), _plain(_at(box.plan_numbers, n))} & own_names
    ]  # fmt: skip
    same = [n for n, number in enumerate(box.insured_numbers)
            if number and _plain(number) == _plain(box.patient_number)]  # fmt: skip
    ours = (named or same or [0])[0]
    others = [
        n for n in range(len(POSITIONS))
        if n not in named and (_at(box.payers, n) or _at(box.prior_payments, n) is not None)
    ]  # fmt: skip
    payers: list[Row] = []
    for n in others:
        # on a form that doesn't name us these rows tell of our insured
        insured = _person(_at(box.insured_names, n)) if named else {}
        payers.append({
            "responsibility_code": POSITIONS[n], "payer_name": _at(box.payers, n),
            "payer_number": _at(box.plan_numbers, n),
            "paid_amount": _at(box.prior_payments, n),
            "relationship_code": _at(box.relationships, n) if named else None,
            "group_number": _at(box.group_numbers, n) if named else None,
            "subscriber_number": _at(box.insured_numbers, n) if named else None,
            "insured_last_name": insured.get("last_name"),
        })  # fmt: skip
    more = _explained(payers, explanations)
    for sequence, payer in enumerate(payers, 1):
        add("other_payers", payer_sequence=sequence, **payer)
    if named:
        above = sum(n < ours for n in others)
    else:
        above = int(any(p.get("paid_amount") is not None or p.get("adjudication_date")
                        for p in payers))  # fmt: skip
    return ours, POSITIONS[min(above + (more and not above), 2)]


def _ub04_codes(add: Add, object_to: Callable[..., None], box: UB04Boxes) -> None:
    """Diagnoses, procedures, and the codes of boxes 18 to 41."""
    old = box.diagnosis_version == "9"
    diagnoses: list[tuple[str, Diagnosis | None]] = [
        ("BK" if old else "ABK", box.principal_diagnosis),
        *(("BF" if old else "ABF", d) for d in (*box.other_diagnoses, *box.more_diagnoses)),
        *(
            (qualifier, Diagnosis(code, None) if code else None)
            for qualifier, codes in (
                ("BJ" if old else "ABJ", (box.admitting_diagnosis,)),
                ("PR" if old else "APR", box.visit_reasons),
            )
            for code in codes
        ),
        *(("BN" if old else "ABN", d) for d in box.external_causes),
    ]
    there = ((qualifier, d) for qualifier, d in diagnoses if d is not None)
    for sequence, (qualifier, diagnosis) in enumerate(there, 1):
        add("diagnoses", sequence_number=sequence, qualifier_code=qualifier,
            diagnosis_code=diagnosis.code,
            present_on_admission_code=diagnosis.present_on_admission)  # fmt: skip
    procedures: list[tuple[str, str, str, OtherProcedure]] = [
        ("BR" if old else "BBR", "74", "the principal procedure", box.principal_procedure),
        *(
            ("BQ" if old else "BBQ", "74a-e", "another procedure", other)
            for other in box.other_procedures
            if other is not None
        ),
    ]
    count = 0
    for qualifier, label, name, procedure in procedures:
        day = _day_of_bill(procedure.date, box.period) if procedure.date else None
        if procedure.date and day is None:
            object_to(label, f"date of {name}", "is no day of the bill's period")
        if procedure.code is not None:
            count += 1
            add("procedures", sequence_number=count, qualifier_code=qualifier,
                procedure_code=procedure.code, procedure_date=day)  # fmt: skip
        elif procedure.filled:
            object_to(label, name, "is missing: its date stands alone")
    values: list[Row] = [{"qualifier_code": "BG", "code": c} for c in box.condition_codes if c]
    values += [
        {"qualifier_code": "BH", "code": o.code, "from_date": o.date, "_box": "31-34"}
        for o in box.occurrences if o is not None and o.filled
    ]  # fmt: skip
    values += [
        {"qualifier_code": "BI", "code": s.code, "from_date": s.from_, "through_date": s.through,
         "_box": "35-36"}
        for s in box.spans if s is not None and s.filled
    ]  # fmt: skip
    values += [
        {"qualifier_code": "BE", "code": v.code, "value_amount": v.amount, "_box": "39-41"}
        for v in box.values if v is not None and v.filled
    ]  # fmt: skip
    sequence = 0
    for value in values:
        label = value.pop("_box", "18-28")
        if value["code"] is None:
            object_to(label, "code", "is missing: what belongs to it stands alone")
            continue
        sequence += 1
        add("occurrences", sequence_number=sequence, **value)


def _day_of_bill(told: MonthDay, period: Period) -> date | None:
    """The day as printed, MMDD, in the bill's year, or the one before where it began in that; None
    where neither lies in the bill's period or shortly before it."""
    first, last = period.from_, period.through
    years = (told.year,) if told.year else (last.year, last.year - 1) if last else (ANY_YEAR,)
    for year in years:
        try:
            day = date(year, told.month, told.day)
        except ValueError:
            continue
        if told.year or not (first and last) or first - DAYS_BEFORE <= day <= last:
            return day
    return None
