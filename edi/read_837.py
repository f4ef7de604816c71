"""Segments to frames: 837P and 837I claims, column by column.

``FIELDS`` and ``ROWS`` say which element fills which column; reading is the same few steps for
all of them. Every number is exact: cents, thousandths, basis points; nothing passes through a
float. A value that can't be read as its column's type is reported, never dropped in silence.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from edi.elements import Cells, Components, Integers, Span, Truths, nothing, packed
from edi.guide import Guide
from edi.syntax import Segments
from schemas import frames
from schemas.frames import CENTS_LIMIT

if TYPE_CHECKING:
    import dataframely as dy


class Field(NamedTuple):
    """Element ``element`` (component ``component``, from 1; 0 the whole) of a segment fills
    ``column`` of the instance of ``scope`` it stands in. ``codes``: only with that first element.
    """

    scope: str
    loops: str
    segment: str
    codes: str
    element: int
    component: int
    column: str
    kind: str = "text"


def _fields(scope: str, loops: str, segment: str, codes: str, *columns: str) -> Iterator[Field]:
    """``element[.component] column[:kind]`` a column."""
    for column in columns:
        place, name = column.split(" ")
        element, _, component = place.partition(".")
        name, _, kind = name.partition(":")
        yield Field(
            scope, loops, segment, codes, int(element), int(component or 0), name, kind or "text"
        )


_NAME = ("2 entity_type_code", "3 last_name", "4 first_name", "5 middle_name", "7 suffix")
_STREET = ("1 address_line", "2 address_line_more")
_TOWN = ("1 city", "2 state_code", "3 zip_code", "4 country_code")
_PERSON_LOOPS = "2010BA 2010CA"
_PARTY_LOOPS = (
    "2010AA 2010AB 2010AC 2310A 2310B 2310C 2310D 2310E 2310F "
    "2420A 2420B 2420C 2420D 2420E 2420F 2420G 2420H"
)

FIELDS: tuple[Field, ...] = (
    *_fields("set", "HEADER", "BHT", "", "2 transaction_purpose_code", "3 batch_reference",
             "4 submission_date:date", "6 claim_or_encounter_code"),
    *_fields("set", "1000A", "NM1", "", "2 submitter_entity_type_code", "3 submitter_last_name",
             "4 submitter_first_name", "5 submitter_middle_name", "9 submitter_number"),
    *_fields("set", "1000B", "NM1", "", "3 receiver_name", "9 receiver_number"),
    *_fields("provider", "2000A", "PRV", "", "3 billing_taxonomy_code"),
    *_fields("subscriber", "2000B", "SBR", "", "1 responsibility_code", "2 relationship_code",
             "3 group_number", "5 insurance_type_code", "9 claim_filing_code"),
    *_fields("subscriber", "2010BA", "NM1", "", "9 subscriber_number"),
    *_fields("subscriber", "2010BB", "NM1", "", "9 payer_number"),
    *_fields("patient", "2000C", "PAT", "", "1 relationship_code"),
    *_fields("claim", "2300", "CLM", "", "1 patient_control_number", "2 charge_amount:amount",
             "5.1 facility_code", "5.2 facility_qualifier_code", "5.3 frequency_code",
             "6 provider_signature_code", "7 assignment_code", "8 benefits_assignment_code",
             "9 release_code", "10 patient_signature_code", "12 special_program_code",
             "20 delay_reason_code"),
    *_fields("claim", "2300", "DTP", "434", "3 statement_from_date:from",
             "3 statement_through_date:through"),
    *_fields("claim", "2300", "DTP", "435", "3 admission_date:from", "3 admission_hour_code:hour"),
    *_fields("claim", "2300", "DTP", "096", "3 discharge_date:from", "3 discharge_hour_code:hour"),
    *_fields("claim", "2300", "DTP", "439", "3 accident_date:from"),
    *_fields("claim", "2300", "DTP", "431", "3 onset_date:from"),
    *_fields("claim", "2300", "CL1", "", "1 admission_type_code", "2 admission_source_code",
             "3 patient_status_code"),
    *_fields("claim", "2300", "CN1", "", "1 contract_type_code", "2 contract_amount:amount",
             "3 contract_basis_points:percent", "4 contract_code"),
    *_fields("claim", "2300", "AMT", "F3 F5", "2 patient_paid_amount:amount"),
    *_fields("claim", "2300", "REF", "F8", "2 original_claim_number"),
    *_fields("claim", "2300", "REF", "G1", "2 prior_authorization_number"),
    *_fields("claim", "2300", "REF", "9F", "2 referral_number"),
    *_fields("claim", "2300", "REF", "EA", "2 medical_record_number"),
    *_fields("claim", "2300", "REF", "D9", "2 clearinghouse_number"),
    *_fields("claim", "2300", "CR1", "", "4 ambulance_transport_reason_code",
             "6 ambulance_distance_quantity:quantity"),
    *_fields("line", "2400", "LX", "", "1 assigned_number"),
    *_fields("line", "2400", "SV1", "", "1.1 procedure_qualifier_code", "1.2 procedure_code",
             "1.3 modifier_codes:join4", "1.7 procedure_description", "2 charge_amount:amount",
             "3 unit_basis_code", "4 unit_quantity:quantity", "5 place_of_service_code",
             "7 diagnosis_pointers:colons", "9 emergency_code", "11 epsdt_code",
             "12 family_planning_code", "15 copay_status_code"),
    *_fields("line", "2400", "SV2", "", "1 revenue_code", "2.1 procedure_qualifier_code",
             "2.2 procedure_code", "2.3 modifier_codes:join4", "2.7 procedure_description",
             "3 charge_amount:amount", "4 unit_basis_code", "5 unit_quantity:quantity",
             "7 noncovered_amount:amount"),
    *_fields("line", "2400", "DTP", "472", "3 service_from_date:from",
             "3 service_through_date:through"),
    *_fields("line", "2400", "REF", "6R", "2 line_control_number"),
    *_fields("line", "2400", "REF", "G1", "2 prior_authorization_number"),
    *_fields("line", "2400", "REF", "9F", "2 referral_number"),
    *_fields("line", "2410", "LIN", "", "3 drug_code"),
    *_fields("line", "2410", "CTP", "", "4 drug_quantity:quantity", "5.1 drug_unit_code"),
    *_fields("line", "2410", "REF", "VY XZ", "2 prescription_number"),
    *_fields("other_payer", "2320", "SBR", "", "1 responsibility_code", "2 relationship_code",
             "3 group_number", "5 insurance_type_code", "9 claim_filing_code"),
    *_fields("other_payer", "2320", "AMT", "D", "2 paid_amount:amount"),
    *_fields("other_payer", "2320", "AMT", "A8", "2 noncovered_amount:amount"),
    *_fields("other_payer", "2320", "AMT", "EAF", "2 remaining_liability_amount:amount"),
    *_fields("other_payer", "2320", "OI", "", "3 assignment_code", "6 release_code"),
    *_fields("other_payer", "2330A", "NM1", "", "3 insured_last_name", "9 subscriber_number"),
    *_fields("other_payer", "2330B", "NM1", "", "3 payer_name", "9 payer_number"),
    *_fields("other_payer", "2330B", "DTP", "573", "3 adjudication_date:from"),
    *_fields("other_payer", "2330B", "REF", "F8", "2 payer_claim_number"),
    *_fields("adjudication", "2430", "SVD", "", "1 payer_number", "2 paid_amount:amount",
             "3.2 procedure_code", "3.3 modifier_codes:join4", "5 unit_quantity:quantity"),
    *_fields("adjudication", "2430", "DTP", "573", "3 adjudication_date:from"),
    *_fields("adjudication", "2430", "AMT", "EAF", "2 remaining_liability_amount:amount"),
    *_fields("person", _PERSON_LOOPS, "NM1", "", *_NAME, "9 member_number"),
    *_fields("person", _PERSON_LOOPS, "N3", "", *_STREET),
    *_fields("person", _PERSON_LOOPS, "N4", "", *_TOWN),
    *_fields("person", _PERSON_LOOPS, "DMG", "", "2 birth_date:date", "3 sex_code"),
    *_fields("party", _PARTY_LOOPS, "NM1", "", "1 role_code", *_NAME, "8 number_qualifier",
             "9 number"),
    *_fields("party", _PARTY_LOOPS, "PRV", "", "3 taxonomy_code"),
    *_fields("party", _PARTY_LOOPS, "REF", "EI SY", "2 tax_number"),
    *_fields("party", _PARTY_LOOPS, "N3", "", *_STREET),
    *_fields("party", _PARTY_LOOPS, "N4", "", *_TOWN),
)  # fmt: skip


class Row(NamedTuple):
    """Each segment is a row of ``frame`` with ``columns`` as in ``_fields``."""

    frame: str
    loops: str
    segment: str
    codes: str
    columns: tuple[str, ...]


ROWS: tuple[Row, ...] = (
    Row("dates", "2300 2330B 2400 2430", "DTP", "",
        ("1 qualifier_code", "2 format_code", "3 from_date:from", "3 through_date:through",
         "3 time_code:hour")),
    Row("references",
        "2010AA 2010AB 2010AC 2010BA 2010BB 2010CA 2300 2310A 2310B 2310C 2310D 2310E 2310F "
        "2320 2330A 2330B 2330C 2330D 2330E 2330F 2330G 2330H 2330I 2400 2410 2420A 2420B 2420C "
        "2420D 2420E 2420F 2420G", "REF", "", ("1 qualifier_code", "2 reference_number")),
    Row("amounts", "2300 2320 2400 2430", "AMT", "", ("1 qualifier_code", "2 value_amount:amount")),
    Row("notes", "2300 2400", "NTE", "", ("1 qualifier_code", "2 note")),
    Row("notes", "2300 2400", "K3", "", ("1 note",)),
    Row("attachments", "2300 2400", "PWK", "",
        ("1 report_type_code", "2 transmission_code", "6 control_number")),
    Row("certifications", "2000B 2300 2400", "CRC", "",
        ("1 category_code", "2 response_code", "3 condition_codes:elements5")),
)  # fmt: skip


@cache
def _row_fields(row: Row) -> tuple[Field, ...]:
    return tuple(_fields("", row.loops, row.segment, row.codes, *row.columns))


_ROW_OF = {row.segment: row for row in ROWS if row.segment in ("DTP", "REF", "AMT")}

# of each set: who sent it to whom, under which number (BHT03)
HEADERS = {
    f.column: pl.String
    for f in FIELDS
    if f.scope == "set" and (f.loops != "HEADER" or f.column == "batch_reference")
}
SCOPES = {
    "set": ("ST_LOOP", "ST"), "provider": ("2000A", "HL"), "subscriber": ("2000B", "HL"),
    "patient": ("2000C", "HL"), "claim": ("2300", "CLM"), "line": ("2400", "LX"),
    "other_payer": ("2320", "SBR"), "adjudication": ("2430", "SVD"),
    "person": (_PERSON_LOOPS, "NM1"), "party": (_PARTY_LOOPS, "NM1"),
}  # fmt: skip

# HI composites by qualifier: the frame they fill
_DIAGNOSES = ("ABK", "BK", "ABF", "BF", "ABJ", "BJ", "APR", "PR", "ABN", "BN")
_PROCEDURES = ("BBR", "BR", "BBQ", "BQ")
_OCCURRENCES = ("BH", "BI", "BE", "BG", "TC", "BP", "BO")


@dataclass
class ReadClaims:
    """The frames of some segments, claims numbered from 0 in file order, and what couldn't be
    read: ``problems`` has a row index, the element and why. ``headers``: one row an ST of
    ``set_rows``."""

    frames: dict[str, pl.DataFrame]
    claim_rows: Integers
    set_rows: Integers
    headers: pl.DataFrame
    problems: list[tuple[int, str, str, str]] = field(default_factory=list)


@cache
def _nodes(guide: Guide, loops: str, segment: str) -> tuple[int, ...]:
    wanted = set(loops.split(" "))
    return tuple(n.index for n in guide.nodes if n.segment == segment and n.loop in wanted)


class _Reader:
    def __init__(self, segments: Segments) -> None:
        self.segments = segments
        self.elements = segments.elements
        self.guide = segments.guide
        self.starts = {s: self.rows(*place) for s, place in SCOPES.items()}
        self.problems: list[tuple[int, str, str, str]] = []
        self._first_codes: dict[tuple[str, str], npt.NDArray[np.uint64]] = {}
        self._instances: dict[str, Integers] = {}
        self._row_columns: dict[Row, tuple[Integers, dict[str, pl.Series]]] = {}

    def rows(self, loops: str, segment: str) -> Integers:
        return self.segments.rows_of(_nodes(self.guide, loops, segment))

    def instance(self, scope: str, rows: Integers) -> Integers:
        """Which instance of the scope each row stands in; −1 before the first."""
        if scope not in self._instances:
            begins = np.zeros(len(self.segments), dtype=np.int64)
            begins[self.starts[scope]] = 1
            self._instances[scope] = np.cumsum(begins) - 1
        return self._instances[scope][rows]

    def in_order(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Claim by claim, within one by row. Of parts that are, each, this is soon done."""
        key = frame["claim_id"].to_numpy() * len(self.segments) + frame["_row"].to_numpy()
        return frame if (key[1:] > key[:-1]).all() else frame[np.argsort(key, kind="stable")]

    def first_codes(self, loops: str, segment: str) -> npt.NDArray[np.uint64]:
        """The first element of each of those segments, packed; of a long one only its beginning,
        which is no code."""
        key = (loops, segment)
        if key not in self._first_codes:
            first = self.elements.first(self.rows(loops, segment))
            self._first_codes[key] = self.elements.packed(first)
        return self._first_codes[key]

    def columns(self, rows: Integers, fields: Sequence[Field]) -> dict[str, pl.Series]:
        """The fields' columns of these segments, converted; what can't be read is
        noted with its row."""
        cells = self.elements.of(rows, max(_last_element(f) for f in fields))
        columns: dict[str, pl.Series] = {}
        for f in fields:
            columns[f.column], unread = _value(cells, f)
            if unread is None or not unread.any():
                continue
            for row in rows[unread].tolist():
                node = self.guide.nodes[self.segments.node[row]]
                place = f"{node.segment}{f.element:02d}"
                self.problems.append((row, node.loop, place, _UNREADABLE[f.kind]))
        return columns

    def row_columns(self, row: Row) -> tuple[Integers, dict[str, pl.Series]]:
        """The segments of a frame of rows, and their columns; scopes ask for those again."""
        if row not in self._row_columns:
            rows = self.rows(row.loops, row.segment)
            self._row_columns[row] = rows, self.columns(rows, _row_fields(row)) if len(rows) else {}
        return self._row_columns[row]

    def found(self, rows: Integers, fields: Sequence[Field]) -> dict[str, pl.Series]:
        """``columns`` of segments of one kind; what rows of a frame hold is taken from there."""
        row = _ROW_OF.get(fields[0].segment)
        if row is None or not {*fields[0].loops.split(" ")} <= {*row.loops.split(" ")}:
            return self.columns(rows, fields)
        every, columns = self.row_columns(row)
        held = {(f.element, f.component, f.kind): f.column for f in _row_fields(row)}
        at = pl.Series(np.searchsorted(every, rows))
        return {f.column: columns[held[f.element, f.component, f.kind]].gather(at) for f in fields}

    def scope_frame(self, scope: str) -> pl.DataFrame:
        """One row an instance of the scope, with every column of FIELDS."""
        count = len(self.starts[scope])
        columns: dict[str, pl.Series] = {}
        for (loops, segment, codes), fields in _GROUPS[scope].items():
            rows = self.rows(loops, segment)
            if codes and len(rows):
                rows = rows[np.isin(self.first_codes(loops, segment), _packed(codes))]
            # of several in one instance the first counts
            instance = self.instance(scope, rows)
            first = (instance >= 0) & (np.diff(instance, prepend=-1) > 0)
            instance, rows = instance[first], rows[first]
            if not len(rows):
                for f in fields:
                    if f.column not in columns:
                        columns[f.column] = nothing(_DTYPE[f.kind], count)
                continue
            place = None
            if len(rows) < count:
                at = np.full(count, -1, dtype=np.int64)
                at[instance] = np.arange(len(rows))
                place = _or_null(at)
            found = pl.DataFrame(self.found(rows, fields))
            if place is not None:
                found = found.select(pl.all().gather(place))
            for name, placed in found.to_dict().items():
                # an institutional and a professional segment may fill the same column
                earlier = columns.get(name)
                columns[name] = placed if earlier is None else earlier.fill_null(placed)
        return pl.DataFrame(columns)


@cache
def _packed(codes: str) -> npt.NDArray[np.uint64]:
    return np.array([packed(code) for code in codes.split(" ")], dtype=np.uint64)


def _value(cells: Cells, f: Field) -> tuple[pl.Series, Truths | None]:
    """A field's column, and where something stands that could not be read as its kind."""
    match f.kind:
        case "join4" | "elements5":
            return _joined(cells, f), None
        case "amount" | "quantity" | "percent":
            value = _place(cells, f)
            column, ok = cells.number(value, *_SCALES[f.kind])
            return column, ~ok & value.there
        case "date":
            value = _place(cells, f)
            column, ok = cells.day(value)
            return column, ~ok & value.there
        case "from" | "through":
            value = _place(cells, f)
            value = value.only(~cells.is_one_of(cells[2], ["TM"]))
            if f.kind == "through":
                value = _last_day(cells, cells[2], value)
            column, ok = cells.day(value)
            return column, ~ok & value.there
        case "hour":
            value = _place(cells, f)
            timed = cells.is_one_of(cells[2], ["TM"])
            dated = cells.is_one_of(cells[2], ["DT"])
            start = np.where(timed, value.start, np.minimum(value.start + 8, value.stop))
            stop = np.where(timed, value.stop, np.minimum(value.start + 12, value.stop))
            return cells.text(Span(start, stop).only(timed | dated)), None
    column = cells.text(_place(cells, f))
    if f.kind == "colons" and cells.delimiters.component != ":":
        column = column.str.replace_all(cells.delimiters.component, ":", literal=True)
    return column, None


def _last_element(f: Field) -> int:
    """The last element that a field's column asks for; a date asks for its format too."""
    return max(2, f.element + (4 if f.kind == "elements5" else 0))


def _place(cells: Cells, f: Field) -> Span:
    """The element or component a field is read from."""
    return cells.composite(f.element)[f.component] if f.component else cells[f.element]


def _last_day(cells: Cells, form: Span, value: Span) -> Span:
    """The last day of a range (RD8); of a single day that day."""
    ranged = cells.is_one_of(form, ["RD8"]) & value.there
    start = np.where(ranged, np.minimum(value.start + 9, value.stop - 1), value.start)
    return Span(start, value.stop)


def _joined(cells: Cells, f: Field) -> pl.Series:
    """Four components or five elements that are there, joined by a colon."""
    if f.kind == "join4":
        value = cells.composite(f.element).through(f.component, f.component + 3)
        separator = cells.delimiters.component
    else:
        value = cells.through(f.element, f.element + 4)
        separator = cells.delimiters.element
    text = cells.text(value)
    if separator != ":":
        text = text.str.replace_all(separator, ":", literal=True)
    gaps = text.str.contains("::", literal=True)
    if (gaps | text.str.starts_with(":") | text.str.ends_with(":")).any():
        text = text.str.replace_all(":+", ":").str.strip_chars(":")
        text = text.set(text == "", None)
    return text


NOT_A_DATE = "not a date"
_UNREADABLE = {
    "amount": "not an amount of at most 99,999,999.99 in whole cents",
    "quantity": "not a quantity with at most three decimals",
    "percent": "not a percentage with at most two decimals",
    "date": NOT_A_DATE,
    "from": NOT_A_DATE,
    "through": NOT_A_DATE,
}
_SCALES = {"amount": (2, CENTS_LIMIT), "quantity": (3, 10**13), "percent": (2, 10**6)}
_DTYPE = {
    "text": pl.String,
    "join4": pl.String,
    "colons": pl.String,
    "elements5": pl.String,
    "hour": pl.String,
    "amount": pl.Int64,
    "quantity": pl.Int64,
    "percent": pl.Int64,
    "date": pl.Date,
    "from": pl.Date,
    "through": pl.Date,
}


def _grouped() -> dict[str, dict[tuple[str, str, str], list[Field]]]:
    """FIELDS by scope, and within it by the segments they stand in."""
    groups: dict[str, dict[tuple[str, str, str], list[Field]]] = {}
    for f in FIELDS:
        groups.setdefault(f.scope, {}).setdefault((f.loops, f.segment, f.codes), []).append(f)
    return groups


_GROUPS = _grouped()


def read_claims(segments: Segments) -> ReadClaims:
    """The claims of some segments as frames of schemas/frames.py, in file order.

    ``claim_id`` counts from 0 within the segments; ``received_date`` and the source columns that
    only the caller knows are left to it. Raises nothing: what can't be read is in ``problems``.
    """
    reader = _Reader(segments)
    starts = reader.starts
    claim_rows = starts["claim"]
    claims = reader.scope_frame("claim")
    lines = reader.scope_frame("line")
    of_set = reader.instance("set", claim_rows)
    of_provider = reader.instance("provider", claim_rows)
    of_subscriber = reader.instance("subscriber", claim_rows)
    of_patient = reader.instance("patient", claim_rows)
    # a claim is the patient's where the last 2000C comes after the last 2000B
    subscriber_row = _at(starts["subscriber"], of_subscriber)
    of_patient = np.where(_at(starts["patient"], of_patient) > subscriber_row, of_patient, -1)

    person = _people(reader, of_subscriber, of_patient, subscriber_row, claim_rows)
    parties = _parties(reader, claim_rows, of_provider)
    subscriber = _gather(reader.scope_frame("subscriber"), of_subscriber)
    patient = _gather(reader.scope_frame("patient"), of_patient)
    sets = reader.scope_frame("set")
    set_ = _gather(sets.drop(c for c in HEADERS if c != "batch_reference"), of_set)
    provider = _gather(reader.scope_frame("provider"), of_provider)
    claims = pl.concat(
        [claims, set_, provider, subscriber.drop("relationship_code")], how="horizontal"
    ).with_columns(
        patient["relationship_code"].fill_null(subscriber["relationship_code"]),
        claim_id=pl.int_range(pl.len(), dtype=pl.Int64),
        claim_type_code=pl.lit("P" if reader.guide.name == "837P" else "I"),
        source_format_code=pl.lit(reader.guide.name),
        received_date=pl.lit(None, dtype=pl.Date),
    )

    line_claim = reader.instance("claim", starts["line"])
    line_number = _within(line_claim)
    lines = lines.with_columns(
        claim_id=pl.Series(line_claim, dtype=pl.Int64),
        line_number=pl.Series(line_number, dtype=pl.Int64),
    )
    patient_of = person.filter(pl.col("role") == "patient")  # one row a claim, in claim order
    claims = claims.with_columns(
        patient_of["last_name"].alias("patient_last_name"),
        patient_of["first_name"].alias("patient_first_name"),
        patient_of["birth_date"].alias("patient_birth_date"),
        patient_of["sex_code"].alias("patient_sex_code"),
    )
    # the billing provider's PRV stands in 2000A, above its own loop
    taxonomy = claims["billing_taxonomy_code"].gather(parties["claim_id"])
    parties = parties.with_columns(
        taxonomy_code=pl.when(role_code="85").then(taxonomy).otherwise("taxonomy_code")
    )
    claims, lines = _slim_providers(claims, lines, parties)
    tables = {
        "people": person,
        "claim_providers": _conform(parties, frames.ClaimProviders),
        **_hi(reader),
        **_row_frames(reader, of_provider, of_subscriber, of_patient),
        **_other_payers(reader),
    }
    codes = tables.pop("drg")
    claims = claims.join(codes, on="claim_id", how="left", maintain_order="left")
    if reader.guide.name == "837P":
        of_claim = claims["facility_code"].gather(lines["claim_id"])
        lines = lines.with_columns(pl.col("place_of_service_code").fill_null(of_claim))
    tables["occurrences"] = _with_related_causes(reader, tables["occurrences"])
    tables["claims"] = _conform(claims, frames.Claims)
    tables["lines"] = _conform(lines, frames.Lines)
    tables["sources"] = _sources(reader, set_, of_provider, of_subscriber, of_patient)
    headers = sets.select(*HEADERS)
    return ReadClaims(tables, claim_rows, starts["set"], headers, reader.problems)


def _at(starts: Integers, index: Integers) -> Integers:
    if not len(starts):
        return np.full(len(index), -1, dtype=np.int64)
    return np.where(index >= 0, starts[np.maximum(index, 0)], -1)


def _gather(frame: pl.DataFrame, index: Integers) -> pl.DataFrame:
    """Rows of ``frame`` by index; −1 gives nulls."""
    if not frame.height:
        return pl.DataFrame({n: nothing(t, len(index)) for n, t in frame.schema.items()})
    return frame.select(pl.all().gather(_or_null(index)))


def _or_null(index: Integers) -> pl.Series:
    """Row numbers, null where they are negative."""
    at = pl.Series(index)
    return at.set(at < 0, None)


def _within(group: Integers) -> Integers:
    """1, 2, 3 … within runs of equal values."""
    if not len(group):
        return group
    new = np.concatenate(([True], group[1:] != group[:-1]))
    first = np.maximum.accumulate(np.where(new, np.arange(len(group)), 0))
    return (np.arange(len(group)) - first + 1).astype(np.int64)


def _conform(frame: pl.DataFrame, schema: type[dy.Schema]) -> pl.DataFrame:
    """The contract's columns in its order; what no segment filled is null."""
    there = frame.to_dict()
    return pl.DataFrame(
        {
            name: there[name].cast(dtype) if name in there else nothing(dtype, frame.height)
            for name, dtype in _dtypes(schema).items()
        }
    )


@cache
def _dtypes(schema: type[dy.Schema]) -> dict[str, pl.DataType]:
    return {name: column.dtype for name, column in schema.columns().items()}


def _people(
    reader: _Reader,
    of_subscriber: Integers,
    of_patient: Integers,
    subscriber_row: Integers,
    claim_rows: Integers,
) -> pl.DataFrame:
    """Two rows a claim: the subscriber's 2010BA and the patient's 2010CA, else 2010BA."""
    everyone = reader.scope_frame("person")
    rows = reader.starts["person"]
    is_patient = np.isin(rows, reader.rows("2010CA", "NM1"))
    death = _death_dates(reader)
    subscriber_of = _last_before(rows[~is_patient], claim_rows, subscriber_row)
    patient_rows = _at(reader.starts["patient"], of_patient)
    patient_of = _last_before(rows[is_patient], claim_rows, patient_rows)
    subscriber_index = (
        np.where(subscriber_of >= 0, np.flatnonzero(~is_patient)[np.maximum(subscriber_of, 0)], -1)
        if (~is_patient).any()
        else np.full(len(claim_rows), -1)
    )
    patient_index = (
        np.where(
            (of_patient >= 0) & (patient_of >= 0),
            np.flatnonzero(is_patient)[np.maximum(patient_of, 0)],
            -1,
        )
        if is_patient.any()
        else np.full(len(claim_rows), -1)
    )
    own = np.where(of_patient >= 0, patient_index, subscriber_index)
    each = len(claim_rows)
    people = _gather(everyone, np.stack((own, subscriber_index), axis=1).reshape(-1)).with_columns(
        claim_id=pl.Series(np.repeat(np.arange(each, dtype=np.int64), 2)),
        role=pl.Series(("patient", "subscriber")).gather(np.arange(2 * each) % 2),
    )
    if death.height:
        people = people.join(death, on=("claim_id", "role"), how="left", maintain_order="left")
    return _conform(people, frames.People)


def _death_dates(reader: _Reader) -> pl.DataFrame:
    rows = reader.rows("2000B 2000C", "PAT")
    empty = pl.DataFrame(schema={"claim_id": pl.Int64, "role": pl.String, "death_date": pl.Date})
    if not len(rows):
        return empty
    cells = reader.elements.of(rows, 6)
    date = cells[6]
    dead = date.there
    if not dead.any():
        return empty
    dates = cells.day(date)[0].filter(pl.Series(dead))
    first_claim = np.searchsorted(reader.starts["claim"], rows[dead], side="right")
    last = np.searchsorted(reader.starts["claim"], _next_level(reader, rows[dead]), side="left")
    out = [
        (int(c), "patient", d)
        for a, b, d in zip(first_claim, last, dates.to_list(), strict=True)
        for c in range(a, b)
    ]
    return pl.DataFrame(out, schema=empty.schema, orient="row").unique(
        ("claim_id", "role"), keep="last", maintain_order=True
    )


def _next_level(reader: _Reader, rows: Integers) -> Integers:
    """The next HL after each row, or past the end."""
    levels = np.sort(
        np.concatenate([reader.starts[s] for s in ("provider", "subscriber", "patient")])
    )
    ends = np.append(levels, len(reader.segments))
    return np.asarray(ends[np.searchsorted(levels, rows, side="right")], dtype=np.int64)


def _last_before(candidates: Integers, rows: Integers, floor: Integers) -> Integers:
    """For each row the last candidate before it and after ``floor``; −1 where there is none."""
    if not len(candidates):
        return np.full(len(rows), -1, dtype=np.int64)
    at = np.searchsorted(candidates, rows, side="right") - 1
    return np.where((at >= 0) & (candidates[np.maximum(at, 0)] > floor), at, -1)


def _parties(reader: _Reader, claim_rows: Integers, of_provider: Integers) -> pl.DataFrame:
    """Every provider of every claim, by claim and order; those of 2000A repeat for each claim."""
    frame = reader.scope_frame("party")
    rows = reader.starts["party"]
    if not len(rows):
        return pl.DataFrame(schema={n: c.dtype for n, c in frames.ClaimProviders.columns().items()})
    named = frame["number_qualifier"] == "XX"
    frame = frame.with_columns(
        npi=pl.when(named).then("number"),
        other_number=pl.when(~named).then("number"),
        _row=pl.Series(rows),
    )
    shared = np.isin(rows, reader.rows("2010AA 2010AB 2010AC", "NM1"))
    on_line = np.isin(rows, reader.rows("2420A 2420B 2420C 2420D 2420E 2420F 2420G 2420H", "NM1"))
    claim = reader.instance("claim", rows)
    line = np.where(on_line, reader.instance("line", rows), -1)
    numbers = _within(reader.instance("claim", reader.starts["line"]))
    line_number = pl.Series(_at(numbers, line)).cast(pl.Int64)
    frame = frame.with_columns(
        claim_id=pl.Series(claim, dtype=pl.Int64),
        line_number=line_number.set(line_number < 0, None),
        _provider=pl.Series(reader.instance("provider", rows), dtype=pl.Int64),
    )
    own = frame.filter(pl.Series(~shared))
    claims = pl.DataFrame(
        {
            "claim_id": np.arange(len(claim_rows), dtype=np.int64),
            "_provider": of_provider.astype(np.int64),
        }
    )
    of_all = claims.join(
        frame.filter(pl.Series(shared)).drop("claim_id"),
        on="_provider",
        how="inner",
        maintain_order="left_right",
    )
    return reader.in_order(pl.concat([of_all.select(own.columns), own]))


_ROLES = {
    "billing_npi": ("85", "npi"), "billing_tax_number": ("85", "tax_number"),
    "rendering_npi": ("82", "npi"), "referring_npi": ("DN", "npi"),
    "attending_npi": ("71", "npi"), "facility_npi": ("77", "npi"),
}  # fmt: skip


def _slim_providers(
    claims: pl.DataFrame, lines: pl.DataFrame, parties: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The providers decisions look at, as columns of claims and lines."""
    role, of_claim = parties["role_code"], parties["claim_id"].to_numpy()
    whole = parties["line_number"].is_null()

    def first(which: pl.Series, value: str) -> pl.Series:
        """Of each claim the value of its first party of those."""
        rows = which.arg_true().to_numpy()
        ids = of_claim[rows]
        is_first = np.diff(ids, prepend=-1) > 0
        at = np.full(claims.height, -1, dtype=np.int64)
        at[ids[is_first]] = rows[is_first]
        return parties[value].gather(_or_null(at))

    slim = {
        column: first(whole & (role == code), value) for column, (code, value) in _ROLES.items()
    }
    # where care was given: at the facility, else at the billing provider's
    has_place = whole & parties["zip_code"].is_not_null()
    places = [first(has_place & (role == code), "zip_code") for code in ("77", "85")]
    slim["facility_zip_code"] = places[0].fill_null(places[1])
    rendering = parties.filter((role == "82") & ~whole).unique(
        ("claim_id", "line_number"), keep="first", maintain_order=True
    )
    if rendering.height:
        lines = lines.join(
            rendering.select("claim_id", "line_number", rendering_npi="npi"),
            on=("claim_id", "line_number"),
            how="left",
            maintain_order="left",
        )
    return claims.with_columns(**slim), lines


def _hi(reader: _Reader) -> dict[str, pl.DataFrame]:
    """Diagnoses, procedures, occurrences and the DRG of every HI composite, by qualifier."""
    rows = reader.rows("2300", "HI")
    cells = reader.elements.of(rows, 12)
    composites = [cells[place] for place in range(1, 13)]
    there = np.stack([c.there for c in composites], axis=1)
    at, place = np.nonzero(there)  # by segment, then by place
    whole = Span(
        np.stack([c.start for c in composites], axis=1)[there],
        np.stack([c.stop for c in composites], axis=1)[there],
    )
    row, claim = rows[at], reader.instance("claim", rows)[at]
    parts = cells.components(whole)
    qualifier = parts[1]
    coded = parts[2].there

    def of(codes: tuple[str, ...]) -> tuple[Components, dict[str, pl.Series], Integers]:
        """The composites with these qualifiers, what all their frames hold, and which."""
        which = np.flatnonzero(cells.is_one_of(qualifier, codes) & coded)
        found = cells.components(Span(whole.start[which], whole.stop[which]))
        columns = {
            "claim_id": pl.Series(claim[which]),
            "sequence_number": pl.Series(_within(claim[which])),
            "qualifier_code": cells.text(found[1]),
        }
        return found, columns, which

    def problems(which: Integers, unread: Truths, component: int, kind: str) -> None:
        reader.problems.extend(
            (int(row[i]), "2300", f"HI{place[i] + 1:02d}-0{component}", _UNREADABLE[kind])
            for i in which[unread]
        )

    found, columns, _ = of(_DIAGNOSES)
    code = cells.text(found[2])
    diagnoses = pl.DataFrame(
        {
            **columns,
            "diagnosis_code": code.str.replace_all(".", "", literal=True),
            "present_on_admission_code": cells.text(found[9]),
        }
    )
    # pyx12 takes any text as the date of a composite
    found, columns, which = of(_PROCEDURES)
    first, _, unread = _days(cells, found)
    problems(which, unread, 4, "date")
    procedures = pl.DataFrame(
        {
            **columns,
            "procedure_code": cells.text(found[2]),
            "procedure_date": first,
        }
    )
    found, columns, which = of(_OCCURRENCES)
    first, last, unread = _days(cells, found)
    problems(which, unread, 4, "date")
    value = found[5]
    amount, ok = cells.number(value, *_SCALES["amount"])
    problems(which, ~ok & value.there, 5, "amount")
    occurrences = pl.DataFrame(
        {
            **columns,
            "code": cells.text(found[2]),
            "from_date": first,
            "through_date": last,
            "value_amount": amount,
        }
    )
    found, columns, _ = of(("DR",))
    drg = pl.DataFrame(
        {
            "claim_id": columns["claim_id"],
            "diagnosis_related_group_code": cells.text(found[2]),
        }
    ).unique("claim_id", keep="first", maintain_order=True)
    return {
        "diagnoses": _conform(diagnoses, frames.Diagnoses),
        "procedures": _conform(procedures, frames.Procedures),
        "occurrences": _conform(occurrences, frames.Occurrences),
        "drg": drg,
    }


def _days(cells: Cells, composites: Components) -> tuple[pl.Series, pl.Series, Truths]:
    """First and last day of HI composites (component 3 the format, 4 the date), and where one
    stands that is no date. The last day is null where no range is given."""
    form, date = composites[3], composites[4]
    length = date.stop - date.start
    ranged = cells.is_one_of(form, ["RD8"]) & (length == 17)
    single = cells.is_one_of(form, ["D8"]) & (length == 8)
    _, first_read = cells.day(date)
    last_day = Span(date.start + 9 * ranged, date.stop)
    _, last_read = cells.day(last_day.only(ranged))
    ranged &= cells.bytes[np.minimum(date.start + 8, date.stop)] == ord("-")
    ok = first_read & (single | (ranged & last_read))
    return (
        cells.day(date.only(ok))[0],
        cells.day(last_day.only(ok & ranged))[0],
        ~ok & date.there,
    )


def _with_related_causes(reader: _Reader, occurrences: pl.DataFrame) -> pl.DataFrame:
    cells = reader.elements.of(reader.starts["claim"], 11)
    causes = cells[11]
    has = causes.there
    if not has.any():
        return occurrences
    parts = cells.components(Span(causes.start[has], causes.stop[has]))
    state = cells.text(parts[4])
    found = (
        pl.concat(
            pl.DataFrame(
                {
                    "claim_id": np.flatnonzero(has),
                    "place": np.full(len(state), place),
                    "code": cells.text(parts[place]),
                    "state_code": state,
                }
            )
            for place in (1, 2, 3)
        )
        .filter(pl.col("code").is_not_null())
        .sort("claim_id", "place")
        .with_columns(qualifier_code=pl.lit("CLM11"))
    )
    extra = _conform(
        found.with_columns(sequence_number=pl.lit(0, dtype=pl.Int64)), frames.Occurrences
    )
    both = pl.concat([occurrences, extra]).sort("claim_id", maintain_order=True)
    return both.with_columns(
        sequence_number=pl.Series(_within(both["claim_id"].to_numpy()), dtype=pl.Int64)
    )


def _row_frames(
    reader: _Reader, of_provider: Integers, of_subscriber: Integers, of_patient: Integers
) -> dict[str, pl.DataFrame]:
    schemas_ = {
        "dates": frames.Dates,
        "references": frames.References,
        "amounts": frames.Amounts,
        "notes": frames.Notes,
        "attachments": frames.Attachments,
        "certifications": frames.Certifications,
    }
    parts: dict[str, list[pl.DataFrame]] = {name: [] for name in schemas_}
    loops, of_line, above = _loops(reader.guide)
    line_numbers = _within(reader.instance("claim", reader.starts["line"]))
    below = {
        scope: pl.DataFrame({"claim_id": np.arange(len(of), dtype=np.int64), "_above": of})
        for scope, of in (
            ("provider", of_provider),
            ("subscriber", of_subscriber),
            ("patient", of_patient),
        )
    }
    for row in ROWS:
        rows, columns = reader.row_columns(row)
        if not len(rows):
            continue
        node = reader.segments.node[rows]
        line = np.where(of_line[node], reader.instance("line", rows), -1)
        claim = reader.instance("claim", rows)
        numbers = pl.Series(_at(line_numbers, line), dtype=pl.Int64)
        frame = pl.DataFrame(
            {
                **columns,
                "loop": loops.gather(node),
                "claim_id": pl.Series(claim, dtype=pl.Int64),
                "line_number": numbers.set(numbers < 0, None),
                "_row": pl.Series(rows),
            }
        )
        if row.segment == "K3":
            frame = frame.with_columns(qualifier_code=pl.lit("K3"))
        scopes = above[node]
        own = (scopes == "") & (claim >= 0)
        parts[row.frame].append(frame if own.all() else frame.filter(pl.Series(own)))
        for scope, of_claim in below.items():
            # what stands above claims is every claim's below it
            here = np.flatnonzero(scopes == scope)
            if not len(here):
                continue
            shared = frame.drop("claim_id")[here].with_columns(
                _above=pl.Series(reader.instance(scope, rows[here]), dtype=pl.Int64)
            )
            parts[row.frame].append(shared.join(of_claim, on="_above").select(frame.columns))
    return {
        name: _conform(reader.in_order(pl.concat(found, how="diagonal")), schemas_[name])
        if found
        else frames.empty(schemas_[name])
        for name, found in parts.items()
    }


@cache
def _loops(guide: Guide) -> tuple[pl.Series, Truths, npt.NDArray[np.str_]]:
    """Of each node its loop, whether that is a line's, and whose it is where it stands above."""
    loops = [n.loop for n in guide.nodes]
    return (
        pl.Series(loops, dtype=pl.String),
        np.array([loop.startswith("24") for loop in loops]),
        np.array([_ABOVE.get(loop, "") for loop in loops]),
    )


# loops above the claim, and whose they are
_ABOVE = {
    "2010AA": "provider", "2010AB": "provider", "2010AC": "provider",
    "2000B": "subscriber", "2010BA": "subscriber", "2010BB": "subscriber", "2010CA": "patient",
}  # fmt: skip


def _other_payers(reader: _Reader) -> dict[str, pl.DataFrame]:
    payer_rows, line_rows = reader.starts["other_payer"], reader.starts["adjudication"]
    payer_claim = reader.instance("claim", payer_rows)
    line_index = reader.instance("line", line_rows)
    line_claim = reader.instance("claim", line_rows)
    line_numbers = _within(reader.instance("claim", reader.starts["line"]))
    payer_sequence, line_sequence = _within(payer_claim), _within(line_index)
    payers = reader.scope_frame("other_payer").with_columns(
        claim_id=pl.Series(payer_claim, dtype=pl.Int64),
        payer_sequence=pl.Series(payer_sequence, dtype=pl.Int64),
    )
    if remarks := _remarks(reader):
        payers = payers.with_columns(
            remark_codes=pl.concat_str(remarks, separator=":", ignore_nulls=True).replace("", None)
        )
    decided = reader.scope_frame("adjudication").with_columns(
        claim_id=pl.Series(line_claim, dtype=pl.Int64),
        line_number=pl.Series(_at(line_numbers, line_index), dtype=pl.Int64),
        adjudication_sequence=pl.Series(line_sequence, dtype=pl.Int64),
    )
    adjusted: list[pl.DataFrame] = []
    for loop, scope in (("2320", "other_payer"), ("2430", "adjudication")):
        rows = reader.rows(loop, "CAS")
        if not len(rows):
            continue
        cells = reader.elements.of(rows, 19)
        at = reader.instance(scope, rows)
        line_level = scope == "adjudication"
        base: dict[str, pl.Series | pl.Expr] = {
            "claim_id": pl.Series((line_claim if line_level else payer_claim)[at], dtype=pl.Int64),
            "line_number": pl.Series(line_numbers[line_index[at]], dtype=pl.Int64)
            if line_level
            else pl.lit(None, dtype=pl.Int64),
            "payer_sequence": pl.lit(None, dtype=pl.Int64)
            if line_level
            else pl.Series(payer_sequence[at], dtype=pl.Int64),
            "adjudication_sequence": pl.Series(line_sequence[at], dtype=pl.Int64)
            if line_level
            else pl.lit(None, dtype=pl.Int64),
            "_row": pl.Series(rows),
        }
        for triple in range(6):
            first = 2 + 3 * triple
            if not cells[first].there.any():
                continue
            fields = _fields(
                "", loop, "CAS", "", "1 group_code", f"{first} reason_code",
                f"{first + 1} adjustment_amount:amount",
                f"{first + 2} adjustment_quantity:quantity",
            )  # fmt: skip
            adjusted.append(
                pl.DataFrame(reader.columns(rows, tuple(fields)))
                .with_columns(_triple=pl.lit(triple), **base)
                .filter(
                    pl.col("reason_code").is_not_null() & pl.col("adjustment_amount").is_not_null()
                )
            )
    adjustments = (
        _conform(pl.concat(adjusted).sort("_row", "_triple"), frames.OtherPayerAdjustments)
        if adjusted
        else frames.empty(frames.OtherPayerAdjustments)
    )
    return {
        "other_payers": _conform(payers, frames.OtherPayers),
        "other_payer_lines": _conform(decided, frames.OtherPayerLines),
        "other_payer_adjustments": adjustments,
    }


def _remarks(reader: _Reader) -> list[pl.Series]:
    """The remark codes of every other payer as columns of one row a payer; none where no claim
    has any."""
    payers = len(reader.starts["other_payer"])
    columns = []
    for segment, last, places in (("MIA", 23, (5, 20, 21, 22, 23)), ("MOA", 7, range(3, 8))):
        rows = reader.rows("2320", segment)
        if not len(rows):
            continue
        cells = reader.elements.of(rows, last)
        of_payer = pl.Series(reader.instance("other_payer", rows))
        for place in places:
            if cells[place].there.any():
                none = pl.Series(f"{segment}{place}", [None] * payers, dtype=pl.String)
                columns.append(none.scatter(of_payer, cells.text(cells[place])))
    return columns


def _sources(
    reader: _Reader,
    set_: pl.DataFrame,
    of_provider: Integers,
    of_subscriber: Integers,
    of_patient: Integers,
) -> pl.DataFrame:
    """Byte ranges of each claim and of what stands above it."""
    offset, stop = reader.segments.offset, reader.segments.stop
    starts = reader.starts
    claim_rows = starts["claim"]
    boundaries = np.sort(
        np.concatenate(
            [
                claim_rows,
                starts["provider"],
                starts["subscriber"],
                starts["patient"],
                reader.rows("ST_LOOP", "SE"),
            ]
        )
    )
    ends_at = np.append(boundaries, len(offset))

    def end_of(rows: Integers) -> Integers:
        """The byte after the last segment before the next boundary."""
        following = ends_at[np.searchsorted(boundaries, rows, side="right")]
        ends: Integers = stop[np.maximum(following - 1, 0)]
        return ends

    provider = _at(starts["provider"], of_provider)
    subscriber = _at(starts["subscriber"], of_subscriber)
    patient = _at(starts["patient"], of_patient)
    header_rows = _at(starts["set"], reader.instance("set", claim_rows))
    has_patient = patient >= 0
    patient_start = np.where(has_patient, offset[np.maximum(patient, 0)], offset[claim_rows])
    return pl.DataFrame(
        {
            "claim_id": np.arange(len(claim_rows), dtype=np.int64),
            "header_start": offset[np.maximum(header_rows, 0)],
            "header_end": end_of(header_rows),
            "provider_start": offset[np.maximum(provider, 0)],
            "provider_end": end_of(provider),
            "subscriber_start": offset[np.maximum(subscriber, 0)],
            "subscriber_end": end_of(subscriber),
            "patient_start": patient_start,
            "patient_end": np.where(has_patient, end_of(patient), offset[claim_rows]),
            "claim_start": offset[claim_rows],
            "claim_end": end_of(claim_rows),
        }
    ).with_columns(
        batch_reference=set_["batch_reference"]
        if "batch_reference" in set_.columns
        else pl.lit(None)
    )
