"""Segments to frames: 837P and 837I claims, column by column.

``FIELDS`` and ``ROWS`` say which element fills which column; reading is the same few steps for
all of them. Every number is exact: cents, thousandths, basis points; nothing passes through a
float. A value that can't be read as its column's type is reported, never dropped in silence.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple

import dataframely as dy
import numpy as np
import polars as pl

from edi.envelope import Delimiters
from edi.guide import Guide
from edi.syntax import Integers, Segments
from schemas import frames
from schemas.frames import CENTS_LIMIT


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
    *_fields("other_payer", "2330A", "NM1", "", "9 subscriber_number"),
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
    read: ``problems`` has a row index, the element and why."""

    frames: dict[str, pl.DataFrame]
    claim_rows: Integers
    problems: list[tuple[int, str, str, str]] = field(default_factory=list)


@cache
def _nodes(guide: Guide, loops: str, segment: str) -> tuple[int, ...]:
    wanted = set(loops.split(" "))
    return tuple(n.index for n in guide.nodes if n.segment == segment and n.loop in wanted)


class _Reader:
    def __init__(self, segments: Segments) -> None:
        self.segments = segments
        self.guide = segments.guide
        self.starts = {s: self.rows(*place) for s, place in SCOPES.items()}
        self.problems: list[tuple[int, str, str, str]] = []
        self._split: dict[tuple[str, str], tuple[Integers, pl.DataFrame]] = {}

    def rows(self, loops: str, segment: str) -> Integers:
        return self.segments.rows_of(_nodes(self.guide, loops, segment))

    def instance(self, scope: str, rows: Integers) -> Integers:
        """Which instance of the scope each row stands in; −1 before the first."""
        return np.searchsorted(self.starts[scope], rows, side="right") - 1

    def elements(self, rows: Integers, fields: Sequence[Field]) -> pl.DataFrame:
        """The elements that fields ask for as e1, e2 …, null where absent or empty, and as c1,
        c2 … those whose components are asked for, split. A qualifier and a format stand in the
        first two, which are always there."""
        delimiters = self.segments.delimiters
        places = sorted({1, 2}.union(*(_places(f) for f in fields)))
        composites: dict[int, int] = {}
        for f in fields:
            if f.component:
                last = f.component + (3 if f.kind == "join4" else 0)
                composites[f.element] = max(last, composites.get(f.element, 0))
        raw = self.segments.raw.gather(rows)
        split = raw.str.split_exact(delimiters.element, places[-1]).struct.unnest()
        return split.select(
            *(_nonempty(pl.col(f"field_{i}")).alias(f"e{i}") for i in places),
            *(
                pl.col(f"field_{i}").str.split_exact(delimiters.component, last).alias(f"c{i}")
                for i, last in composites.items()
            ),
        )

    def segment_elements(self, loops: str, segment: str) -> tuple[Integers, pl.DataFrame]:
        """Rows of a segment and all its elements that FIELDS ask for, split once."""
        key = (loops, segment)
        if key not in self._split:
            rows = self.rows(loops, segment)
            wanted = [f for f in FIELDS if (f.loops, f.segment) == key]
            self._split[key] = rows, self.elements(rows, wanted)
        return self._split[key]

    def values(
        self, elements: pl.DataFrame, fields: Sequence[Field], rows: Integers
    ) -> pl.DataFrame:
        """The fields' columns, converted, all in one pass; what can't be read is noted with its
        row."""
        columns = [_value(f, self.segments.delimiters).alias(f.column) for f in fields]
        judged = [(f, _unread(f, value)) for f, value in zip(fields, columns, strict=True)]
        flags = {f"!{f.column}": (f, flag) for f, flag in judged if flag is not None}
        frame = elements.select(*columns, *(flag.alias(name) for name, (_, flag) in flags.items()))
        if not flags:
            return frame
        wrong = frame.select(pl.col(list(flags)).any()).row(0, named=True)
        for name, (f, _) in flags.items():
            if wrong[name]:
                for at in frame[name].arg_true().to_list():
                    row = int(rows[at])
                    node = self.guide.nodes[self.segments.node[row]]
                    place = f"{node.segment}{f.element:02d}"
                    self.problems.append((row, node.loop, place, _UNREADABLE[f.kind]))
        return frame.drop(list(flags))

    def scope_frame(self, scope: str) -> pl.DataFrame:
        """One row an instance of the scope, with every column of FIELDS."""
        count = len(self.starts[scope])
        columns: dict[str, pl.Series] = {}
        groups: dict[tuple[str, str, str], list[Field]] = {}
        for f in FIELDS:
            if f.scope == scope:
                groups.setdefault((f.loops, f.segment, f.codes), []).append(f)
        for (loops, segment, codes), fields in groups.items():
            if not len(self.rows(loops, segment)):
                for f in fields:
                    columns.setdefault(
                        f.column, pl.Series(f.column, [None] * count, dtype=_DTYPE[f.kind])
                    )
                continue
            rows, elements = self.segment_elements(loops, segment)
            if codes:
                keep = elements["e1"].is_in(codes.split(" ")).fill_null(False)
                rows, elements = rows[keep.to_numpy()], elements.filter(keep)
            if not len(rows):
                for f in fields:
                    if f.column not in columns:
                        columns[f.column] = pl.Series(
                            f.column, [None] * count, dtype=_DTYPE[f.kind]
                        )
                continue
            instance = self.instance(scope, rows)
            place = np.full(count, -1, dtype=np.int64)
            inside = instance >= 0
            place[instance[inside][::-1]] = np.flatnonzero(inside)[::-1]
            index = (
                pl.Series(place).set(pl.Series(place < 0), None)
                if (place < 0).any()
                else pl.Series(place)
            )
            placed = self.values(elements, fields, rows).select(pl.all().gather(index))
            for f in fields:
                # an institutional and a professional segment may fill the same column
                earlier = columns.get(f.column)
                columns[f.column] = (
                    placed[f.column] if earlier is None else earlier.fill_null(placed[f.column])
                )
        if not columns:
            return pl.DataFrame({"_": [None] * count}).drop("_")
        return pl.DataFrame(columns)


def _plain(*elements: int) -> tuple[Field, ...]:
    """Whole elements as text, whatever column they are for."""
    return tuple(Field("", "", "", "", element, 0, "") for element in elements)


def _places(f: Field) -> range:
    return range(f.element, f.element + (5 if f.kind == "elements5" else 1))


def _nonempty(text: pl.Expr) -> pl.Expr:
    return pl.when(text.str.len_bytes() > 0).then(text)


def _text(f: Field) -> pl.Expr:
    """The element or component a field is read from; null where absent or empty."""
    if not f.component:
        return pl.col(f"e{f.element}")
    return _nonempty(pl.col(f"c{f.element}").struct.field(f"field_{f.component - 1}"))


def _value(f: Field, delimiters: Delimiters) -> pl.Expr:
    """A field's column, converted from the elements (_Reader.elements)."""
    text = _text(f)
    match f.kind:
        case "join4":
            parts = pl.col(f"c{f.element}").struct
            first = f.component - 1
            return _joined([_nonempty(parts.field(f"field_{first + k}")) for k in range(4)])
        case "elements5":
            return _joined([pl.col(f"e{i}") for i in _places(f)])
        case "colons" if delimiters.component != ":":
            return text.str.replace_all(delimiters.component, ":", literal=True)
        case "amount":
            return _scaled(text, 2, CENTS_LIMIT)
        case "quantity":
            return _scaled(text, 3, 10**13)
        case "percent":
            return _scaled(text, 2, 10**6)
        case "date":
            return _day(text)
        case "from":
            return pl.when(_TIMED).then(None).otherwise(_day(text))
        case "through":
            last = pl.when(_IS_RANGE).then(text.str.slice(9, 8)).otherwise(text)
            return pl.when(_TIMED).then(None).otherwise(_day(last))
        case "hour":
            dated = pl.when(pl.col("e2") == "DT").then(text.str.slice(8, 4))
            return pl.when(_TIMED).then(text).otherwise(dated)
    return text


def _unread(f: Field, value: pl.Expr) -> pl.Expr | None:
    """Whether something stands there that could not be read as the field's kind."""
    if f.kind not in _UNREADABLE:
        return None
    lost = value.is_null() & _text(f).is_not_null()
    return lost & ~_TIMED if f.kind in ("from", "through") else lost


_TIMED = (pl.col("e2") == "TM").fill_null(value=False)
_IS_RANGE = (pl.col("e2") == "RD8").fill_null(value=False)


def _joined(texts: list[pl.Expr]) -> pl.Expr:
    return _nonempty(pl.concat_str(texts, separator=":", ignore_nulls=True))


def _scaled(text: pl.Expr, digits: int, limit: int) -> pl.Expr:
    """Text to an integer of 10**digits a unit, exactly; null where it isn't one or is too large."""
    whole = text.str.extract(r"^-?([0-9]*)(?:\.[0-9]*)?$")
    part = text.str.extract(rf"^-?[0-9]*\.([0-9]{{0,{digits}}})0*$").fill_null("")
    number = pl.concat_str(whole, part.str.pad_end(digits, "0")).cast(pl.Int64, strict=False)
    exact = text.str.contains(rf"^-?(?:[0-9]+|[0-9]*\.[0-9]{{1,{digits}}}0*|[0-9]+\.)$")
    sign = pl.when(text.str.starts_with("-")).then(-1).otherwise(1)
    return pl.when(exact & (whole.str.len_bytes() <= 12) & (number <= limit)).then(number * sign)


def _day(text: pl.Expr) -> pl.Expr:
    return text.str.head(8).str.to_date("%Y%m%d", strict=False)


_UNREADABLE = {
    "amount": "not an amount of at most 99,999,999.99 in whole cents",
    "quantity": "not a quantity with at most three decimals",
    "percent": "not a percentage with at most two decimals",
    "date": "not a date",
    "from": "not a date",
    "through": "not a date",
}
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
    set_ = _gather(reader.scope_frame("set"), of_set)
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
    billing = pl.col("role_code") == "85"  # whose PRV stands in 2000A, above its own loop
    parties = (
        parties.join(
            claims.select("claim_id", "billing_taxonomy_code"),
            on="claim_id",
            how="left",
            maintain_order="left",
        )
        .with_columns(
            taxonomy_code=pl.when(billing).then("billing_taxonomy_code").otherwise("taxonomy_code")
        )
        .drop("billing_taxonomy_code")
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
        lines = lines.join(
            claims.select("claim_id", _claim_place="facility_code"),
            on="claim_id",
            how="left",
            maintain_order="left",
        ).with_columns(pl.col("place_of_service_code").fill_null(pl.col("_claim_place")))
    tables["occurrences"] = _with_related_causes(reader, tables["occurrences"])
    tables["claims"] = _conform(claims, frames.Claims)
    tables["lines"] = _conform(lines, frames.Lines)
    tables["sources"] = _sources(reader, set_, of_provider, of_subscriber, of_patient)
    return ReadClaims(tables, claim_rows, reader.problems)


def _at(starts: Integers, index: Integers) -> Integers:
    if not len(starts):
        return np.full(len(index), -1, dtype=np.int64)
    return np.where(index >= 0, starts[np.maximum(index, 0)], -1)


def _gather(frame: pl.DataFrame, index: Integers) -> pl.DataFrame:
    """Rows of ``frame`` by index; −1 gives nulls."""
    if not frame.height:
        return pl.DataFrame(
            {n: pl.Series([None] * len(index), dtype=t) for n, t in frame.schema.items()}
        )
    at = pl.Series(index)
    return frame.select(pl.all().gather(at.set(at < 0, None)))


def _within(group: Integers) -> Integers:
    """1, 2, 3 … within runs of equal values."""
    if not len(group):
        return group
    new = np.concatenate(([True], group[1:] != group[:-1]))
    first = np.maximum.accumulate(np.where(new, np.arange(len(group)), 0))
    return (np.arange(len(group)) - first + 1).astype(np.int64)


def _conform(frame: pl.DataFrame, schema: type[dy.Schema]) -> pl.DataFrame:
    """The contract's columns in its order; what no segment filled is null."""
    return frame.select(
        (pl.col(n) if n in frame.columns else pl.lit(None)).cast(c.dtype).alias(n)
        for n, c in schema.columns().items()
    )


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
    claim_id = pl.int_range(len(claim_rows), dtype=pl.Int64, eager=True).alias("claim_id")
    parts = [
        _gather(everyone, index).with_columns(claim_id, role=pl.lit(role))
        for role, index in (("patient", own), ("subscriber", subscriber_index))
    ]
    people = pl.concat(parts).join(
        death, on=("claim_id", "role"), how="left", maintain_order="left"
    )
    return _conform(people.sort("claim_id", "role"), frames.People)


def _death_dates(reader: _Reader) -> pl.DataFrame:
    rows = reader.rows("2000B 2000C", "PAT")
    empty = pl.DataFrame(schema={"claim_id": pl.Int64, "role": pl.String, "death_date": pl.Date})
    if not len(rows):
        return empty
    elements = reader.elements(rows, _plain(6))
    dead = elements["e6"].is_not_null().to_numpy()
    if not dead.any():
        return empty
    dates = elements.filter(pl.Series(dead)).select(_day(pl.col("e6"))).to_series()
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
    ends = np.append(levels, len(reader.segments.raw))
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
    return pl.concat([of_all.select(own.columns), own]).sort("claim_id", "_row")


_ROLES = {
    "billing_npi": ("85", "npi"), "billing_tax_number": ("85", "tax_number"),
    "rendering_npi": ("82", "npi"), "referring_npi": ("DN", "npi"),
    "attending_npi": ("71", "npi"), "facility_npi": ("77", "npi"),
}  # fmt: skip


def _slim_providers(
    claims: pl.DataFrame, lines: pl.DataFrame, parties: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The providers decisions look at, as columns of claims and lines."""
    whole = parties.filter(pl.col("line_number").is_null())
    for column, (role, value) in _ROLES.items():
        first = whole.filter(pl.col("role_code") == role).unique(
            "claim_id", keep="first", maintain_order=True
        )
        claims = claims.join(
            first.select("claim_id", pl.col(value).alias(column)),
            on="claim_id",
            how="left",
            maintain_order="left",
        )
    places = (
        whole.filter(pl.col("role_code").is_in(["77", "85"]) & pl.col("zip_code").is_not_null())
        .sort("claim_id", pl.col("role_code") == "85")
        .unique("claim_id", keep="first", maintain_order=True)
    )
    claims = claims.join(
        places.select("claim_id", facility_zip_code="zip_code"),
        on="claim_id",
        how="left",
        maintain_order="left",
    )
    rendering = parties.filter(
        (pl.col("role_code") == "82") & pl.col("line_number").is_not_null()
    ).unique(("claim_id", "line_number"), keep="first", maintain_order=True)
    lines = lines.join(
        rendering.select("claim_id", "line_number", rendering_npi="npi"),
        on=("claim_id", "line_number"),
        how="left",
        maintain_order="left",
    )
    return claims, lines


def _hi(reader: _Reader) -> dict[str, pl.DataFrame]:
    """Diagnoses, procedures, occurrences and the DRG of every HI composite, by qualifier."""
    rows = reader.rows("2300", "HI")
    elements = reader.elements(rows, _plain(*range(1, 13))).with_columns(
        claim_id=pl.Series(reader.instance("claim", rows), dtype=pl.Int64), _row=pl.Series(rows)
    )
    separator = reader.segments.delimiters.component
    composites = (
        elements.unpivot(index=("claim_id", "_row"), variable_name="_place", value_name="x")
        .filter(pl.col("x").is_not_null())
        .with_columns(_place=pl.col("_place").str.slice(1).cast(pl.Int64))
        .sort("_row", "_place")
        .with_columns(
            pl.col("x")
            .str.split_exact(separator, 8)
            .struct.rename_fields([f"c{i}" for i in range(1, 10)])
            .alias("x")
        )
        .unnest("x")
        .with_columns(
            pl.when(pl.col(f"c{i}").str.len_bytes() > 0).then(pl.col(f"c{i}")).alias(f"c{i}")
            for i in range(1, 10)
        )
        .filter(pl.col("c2").is_not_null())
    )

    def of(codes: tuple[str, ...]) -> pl.DataFrame:
        found = composites.filter(pl.col("c1").is_in(codes))
        return found.with_columns(
            sequence_number=pl.Series(_within(found["claim_id"].to_numpy()), dtype=pl.Int64),
            qualifier_code="c1",
        )

    diagnoses = of(_DIAGNOSES).with_columns(
        diagnosis_code=pl.col("c2").str.replace_all(".", "", literal=True),
        present_on_admission_code="c9",
    )
    procedures = of(_PROCEDURES).with_columns(procedure_code="c2")
    first, last = _days()
    procedures = procedures.with_columns(procedure_date=first)
    occurrences = of(_OCCURRENCES).with_columns(code="c2")
    occurrences = occurrences.with_columns(
        from_date=first,
        through_date=last,
        value_amount=_scaled(pl.col("c5"), 2, CENTS_LIMIT),
    )
    # pyx12 takes any text as the date of a composite
    for found, column, read, kind in (
        (procedures, "c4", "procedure_date", "date"),
        (occurrences, "c4", "from_date", "date"),
        (occurrences, "c5", "value_amount", "amount"),
    ):
        bad = found.filter(pl.col(column).is_not_null() & pl.col(read).is_null())
        reader.problems.extend(
            (row, "2300", f"HI{place:02d}-0{column[1]}", _UNREADABLE[kind])
            for row, place in bad.select("_row", "_place").iter_rows()
        )
    drg = composites.filter(pl.col("c1") == "DR").unique(
        "claim_id", keep="first", maintain_order=True
    )
    return {
        "diagnoses": _conform(diagnoses, frames.Diagnoses),
        "procedures": _conform(procedures, frames.Procedures),
        "occurrences": _conform(occurrences, frames.Occurrences),
        "drg": drg.select("claim_id", diagnosis_related_group_code="c2"),
    }


def _days() -> tuple[pl.Expr, pl.Expr]:
    """First and last day of HI composites (c3 the format, c4 the date); both null where either
    is no date. The last day is null where no range is given."""
    whole = (
        pl.when(pl.col("c3") == "RD8", pl.col("c4").str.contains("^[0-9]{8}-[0-9]{8}$"))
        .then(pl.col("c4"))
        .when(pl.col("c3") == "D8", pl.col("c4").str.contains("^[0-9]{8}$"))
        .then(pl.col("c4"))
    )
    first, last = _day(whole), _day(whole.str.slice(9, 8))
    torn = (last.is_null() & (whole.str.len_bytes() > 8)).fill_null(value=False)
    return pl.when(~torn).then(first), pl.when(first.is_not_null()).then(last)


def _with_related_causes(reader: _Reader, occurrences: pl.DataFrame) -> pl.DataFrame:
    causes = reader.elements(reader.starts["claim"], _plain(11))["e11"]
    has = causes.is_not_null()
    if not has.any():
        return occurrences
    parts = (
        causes.filter(has).str.split_exact(reader.segments.delimiters.component, 4).struct.unnest()
    )
    frame = parts.with_columns(claim_id=pl.Series(np.flatnonzero(has.to_numpy()), dtype=pl.Int64))
    found = (
        frame.unpivot(
            ("field_0", "field_1", "field_2"), index=("claim_id", "field_3"), value_name="code"
        )
        .filter(pl.col("code").str.len_bytes() > 0)
        .sort("claim_id", "variable")
        .select("claim_id", "code", qualifier_code=pl.lit("CLM11"), state_code=pl.col("field_3"))
    )
    found = found.with_columns(_nonempty(pl.col("state_code")))
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
    loops = pl.Series([n.loop for n in reader.guide.nodes], dtype=pl.String)
    line_numbers = _within(reader.instance("claim", reader.starts["line"]))
    below = pl.concat(
        pl.DataFrame({"claim_id": np.arange(len(of), dtype=np.int64), "_above": of}).with_columns(
            _scope=pl.lit(scope)
        )
        for scope, of in (
            ("provider", of_provider),
            ("subscriber", of_subscriber),
            ("patient", of_patient),
        )
    )
    for row in ROWS:
        rows = reader.rows(row.loops, row.segment)
        if not len(rows):
            continue
        fields = list(_fields("", row.loops, row.segment, row.codes, *row.columns))
        elements = reader.elements(rows, fields)
        loop = loops.gather(reader.segments.node[rows]).alias("loop")
        on_line = loop.str.starts_with("24").to_numpy()
        line = np.where(on_line, reader.instance("line", rows), -1)
        numbers = pl.Series(_at(line_numbers, line), dtype=pl.Int64)
        frame = reader.values(elements, fields, rows).with_columns(
            loop,
            claim_id=pl.Series(reader.instance("claim", rows), dtype=pl.Int64),
            line_number=numbers.set(numbers < 0, None),
            _row=pl.Series(rows),
            _scope=loop.replace_strict(_ABOVE, default=None, return_dtype=pl.String),
        )
        if row.segment == "K3":
            frame = frame.with_columns(qualifier_code=pl.lit("K3"))
        own = frame.filter(pl.col("_scope").is_null() & (pl.col("claim_id") >= 0))
        parts[row.frame].append(own)
        for scope in ("provider", "subscriber", "patient"):
            # what stands above claims is every claim's below it
            shared = frame.filter(pl.col("_scope") == scope)
            if not shared.height:
                continue
            above = reader.instance(scope, shared["_row"].to_numpy())
            of_all = shared.drop("claim_id").with_columns(_above=pl.Series(above, dtype=pl.Int64))
            of_all = of_all.join(below, on=("_scope", "_above"), how="inner")
            parts[row.frame].append(of_all.select(own.columns))
    return {
        name: _conform(pl.concat(found, how="diagonal").sort("claim_id", "_row"), schemas_[name])
        if found
        else frames.empty(schemas_[name])
        for name, found in parts.items()
    }


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
        elements = reader.elements(rows, _plain(*range(1, 20)))
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
            if elements[f"e{first}"].null_count() == len(rows):
                continue
            fields = _fields(
                "", loop, "CAS", "", "1 group_code", f"{first} reason_code",
                f"{first + 1} adjustment_amount:amount",
                f"{first + 2} adjustment_quantity:quantity",
            )  # fmt: skip
            adjusted.append(
                reader.values(elements, tuple(fields), rows)
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
