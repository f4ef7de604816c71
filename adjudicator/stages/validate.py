"""What a claim must have to be adjudicated: the field tables of schemas/forms, box by box.

One engine for paper and 837: both are read into the same frames. A gap is a *reject* finding: the
claim goes back and is never adjudicated (001:2071-2074).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache, reduce
from operator import and_, or_
from typing import NamedTuple

import numpy as np
import polars as pl

from adjudicator.pipeline import Batch
from adjudicator.reference import Reference
from adjudicator.snip import snip
from edi.syntax import snip_level
from schemas.form import FORM, FORMATS, Form, FormField

# ---- lists, judgements [j] but for the bill types and the interim frequencies ------------------

PAPER = tuple(FORMATS.values())
PAPER_ONLY = "on paper only"  # instead of an element
INPATIENT_BILL_TYPES = ("11", "12", "18", "21", "22", "28", "41", "65", "66", "86")
NURSING_BILL_TYPES = ("18", "21", "22", "28", "65", "66")  # of which no hours are asked
READ_FREQUENCIES = ("0", "1", "5", "7", "8", "9")
INTERIM_FREQUENCIES = ("2", "3", "4")
CORRECTING_FREQUENCIES = ("7", "8")
STILL_A_PATIENT = "30"
SELF = "18"
ACCIDENT_OCCURRENCES = ("01", "02", "03", "04", "05", "06")
NO_FAULT_OCCURRENCE = "02"
HOSPITAL_PLACES = ("21", "51", "61")
HOME_OR_OFFICE = ("11", "12")
AMBULANCE = "054"
OPERATING_ROOM = "036"
# revenue codes, to three digits, under which every outpatient service has a procedure code
CODED_REVENUE = (
    "030", "031", "032", "033", "034", "035", "036", "040", "042", "043", "044", "045", "046",
    "048", "049", "051", "061", "073", "074", "092",
)  # fmt: skip
DIAGNOSES_AT_MOST, POINTERS_AT_MOST = 12, 4
# longer than any element, and not before any text that says something
BLANKS = " " * 300


# ---- which of a claim's rows a column means ----------------------------------------------------


def _named(*codes: str) -> pl.Expr:
    return pl.col("qualifier_code").is_in(codes)


_OCCURRENCE = pl.col("qualifier_code") == "BH"
_ACCIDENT = pl.col("code").is_in(ACCIDENT_OCCURRENCES)
# names for what isn't told by one code
ROWS: Mapping[str, pl.Expr] = {
    "diagnoses[principal]": _named("ABK", "BK"),
    "diagnoses[admitting]": _named("ABJ", "BJ"),
    "procedures[principal]": _named("BBR", "BR"),
    "procedures[other]": _named("BBQ", "BQ"),
    "occurrences[accident]": _OCCURRENCE & _ACCIDENT,
    "occurrences[other_occurrence]": _OCCURRENCE & ~_ACCIDENT,
    "occurrences[auto_accident]": (pl.col("qualifier_code") == "CLM11") & (pl.col("code") == "AA"),
}
CODES = {"people": "role", "claim_providers": "role_code", "references": "qualifier_code"}


def _rows(frame: str, row: str) -> pl.Expr:
    return ROWS.get(f"{frame}[{row}]", pl.col(CODES.get(frame, "qualifier_code")) == row)


# ---- facts: claims of which something holds that their own row doesn't tell --------------------


def _claims(frame: pl.DataFrame, holds: pl.Expr) -> pl.Series:
    """The claims that have such a row."""
    return frame.lazy().filter(holds).select("claim_id").collect()["claim_id"]


def _hurt_by_accident(batch: Batch) -> pl.Series:
    """An external cause that ICD-10-CM files under accidents (V00-X58), or a principal injury
    (S00-T34) of which no external cause says that it was none."""
    code = pl.col("diagnosis_code")
    external = _named("ABN", "BN")
    accident = _claims(batch.diagnoses, external & code.is_between(pl.lit("V"), pl.lit("X59")))
    injury = _named("ABK") & code.is_between(pl.lit("S"), pl.lit("T35"))
    injured = _claims(batch.diagnoses, injury)
    if injured.len():
        caused = _claims(batch.diagnoses, external)
        injured = injured.filter(~injured.is_in(caused.implode()))
    return pl.concat([accident, injured])


def _ambulance_alone(batch: Batch) -> pl.Series:
    rides = pl.col("revenue_code").str.starts_with(AMBULANCE)
    ridden = _claims(batch.lines, rides)
    if ridden.is_empty():
        return ridden
    more = _claims(batch.lines, ~rides.fill_null(value=False))
    return ridden.filter(~ridden.is_in(more.implode()))


def _in_place(places: Sequence[str]) -> pl.Expr:
    return pl.col("place_of_service_code").is_in(places)


FACTS: Mapping[str, Callable[[Batch], pl.Series]] = {
    "hurt_by_accident": _hurt_by_accident,
    "ambulance_alone": _ambulance_alone,
    "accident_told": lambda b: _claims(b.occurrences, ROWS["occurrences[accident]"]),
    "no_fault_told": lambda b: _claims(
        b.occurrences, _OCCURRENCE & (pl.col("code") == NO_FAULT_OCCURRENCE)
    ),
    "other_payer": lambda b: b.other_payers["claim_id"],
    "group_named": lambda b: _claims(b.references, pl.col("qualifier_code") == "61"),
    "in_hospital": lambda b: _claims(b.lines, _in_place(HOSPITAL_PLACES)),
    "away": lambda b: _claims(b.lines, ~_in_place(HOME_OR_OFFICE)),
    "in_operating_room": lambda b: _claims(
        b.lines, pl.col("revenue_code").str.starts_with(OPERATING_ROOM)
    ),
    # medical and surgical procedures of ICD-10-PCS
    "surgery": lambda b: _claims(
        b.procedures, _named("BBR") & pl.col("procedure_code").str.starts_with("0")
    ),
}


# ---- predicates: when a box must be filled -----------------------------------------------------


class Predicate(NamedTuple):
    """``words`` end the sentence "the box must be filled"; ``holds`` is over columns of claims and
    FACTS, or, in ROW_PREDICATES, over those of the row and PREDICATES. ``paper``: of paper alone,
    so that a night without paper needn't ask."""

    words: str
    holds: pl.Expr
    paper: bool = False


_PAPER = pl.col("source_format_code").is_in(PAPER)
_INPATIENT = pl.col("facility_code").is_in(INPATIENT_BILL_TYPES)
_OUTPATIENT = ~_INPATIENT.fill_null(value=False)
_NURSING = pl.col("facility_code").is_in(NURSING_BILL_TYPES)
_DEPENDENT = (pl.col("relationship_code") != SELF).fill_null(value=False)
_PERIOD = pl.col("statement_from_date") != pl.col("statement_through_date")

PREDICATES: Mapping[str, Predicate] = {
    "always": Predicate("", pl.lit(value=True)),
    "paper": Predicate("on paper", _PAPER, paper=True),
    "inpatient": Predicate("on an inpatient bill", _INPATIENT),
    "outpatient": Predicate("on an outpatient bill", _OUTPATIENT),
    "hospital_stay": Predicate("on the bill of a hospital stay", _INPATIENT & ~_NURSING),
    "itemized": Predicate(
        "on an outpatient bill, on paper also where box 6 is a period",
        _OUTPATIENT | (_PAPER & _PERIOD),
    ),
    "operating_room": Predicate(
        "on an inpatient bill with an operating room", _INPATIENT & pl.col("in_operating_room")
    ),
    "operated": Predicate(
        "on an inpatient bill whose principal procedure is surgery", _INPATIENT & pl.col("surgery")
    ),
    "attended": Predicate("unless only an ambulance is billed", ~pl.col("ambulance_alone")),
    "accident_diagnosis": Predicate(
        "when a diagnosis tells of an accident", pl.col("hurt_by_accident")
    ),
    "accident_in_a_state": Predicate(
        "when an occurrence code tells of a car accident, on paper of any accident",
        pl.col("no_fault_told") | (_PAPER & pl.col("accident_told")),
    ),
    "self_or_paper": Predicate(
        "when the patient is the insured, on paper always", ~_DEPENDENT | _PAPER
    ),
    "dependent_or_paper": Predicate(
        "when the patient is not the insured, on paper always", _DEPENDENT | _PAPER
    ),
    "hospitalized": Predicate("when a service was rendered to an inpatient", pl.col("in_hospital")),
    "correction": Predicate(
        "on a correction (frequency 7 or 8)", pl.col("frequency_code").is_in(CORRECTING_FREQUENCIES)
    ),
    "paper_dependent": Predicate(
        "on paper when the patient is not the insured", _PAPER & _DEPENDENT, paper=True
    ),
    "paper_other_payer": Predicate(
        "on paper when there is other insurance", _PAPER & pl.col("other_payer"), paper=True
    ),
    "paper_group_number": Predicate(
        "on paper when box 62 is filled", _PAPER & pl.col("group_number").is_not_null(), paper=True
    ),
    "paper_group_name": Predicate(
        "on paper when box 61 is filled", _PAPER & pl.col("group_named"), paper=True
    ),
    "paper_away": Predicate(
        "on paper when a service was rendered neither at home nor in the office",
        _PAPER & pl.col("away"),
        paper=True,
    ),
}

# with these a row that isn't there is no gap
ROW_PREDICATES: Mapping[str, Predicate] = {
    "named": Predicate("where there is one", pl.lit(value=True)),
    "named_on_paper": Predicate("on paper where there is one", pl.col("paper"), paper=True),
    "decided": Predicate("where that payer has decided", pl.col("adjudication_date").is_not_null()),
    "coded_service": Predicate(
        "on an outpatient bill for a service that has a procedure code",
        pl.col("outpatient") & pl.col("revenue_code").str.slice(0, 3).is_in(CODED_REVENUE),
    ),
}
CONDITIONS = {**PREDICATES, **ROW_PREDICATES}


# ---- checks: what is asked of a box ------------------------------------------------------------


class Check(NamedTuple):
    """The edit that a finding is of and its rank, what it ``says`` of the box, and when the box's
    column is ``wrong``: by default when it, and every column that may stand for it, is blank.
    ``level``: 7 of the payer's own, 3 or 4 of what X12 asks as well."""

    edit: str
    rank: int
    says: str
    wrong: Callable[[pl.Expr], pl.Expr] | None = None
    level: int = 7


CHECKS: Mapping[str, Check] = {
    "filled": Check("mandatory_field", 10, "is missing"),
    "dated": Check("mandatory_field", 10, "is missing", level=4),
    "closed_stay": Check(
        "interim_bill", 20, "says that the patient is still there: an interim bill; send one bill "
        "for the whole stay", lambda c: c == STILL_A_PATIENT,
    ),
    "whole_bill": Check(
        "interim_bill", 20, "is that of an interim bill; send one bill for the whole stay",
        lambda c: c.is_in(INTERIM_FREQUENCIES),
    ),
    "known_frequency": Check(
        "frequency", 20, f"is none that is read here ({', '.join(READ_FREQUENCIES)})",
        lambda c: ~c.fill_null("").is_in(READ_FREQUENCIES + INTERIM_FREQUENCIES),
    ),
    "original_number": Check(
        "original_number", 20, "is missing", level=4
    ),
    "any_line": Check("no_lines", 30, "is missing: the claim has no line"),
    "sum_of_lines": Check(
        "total_charge", 40, "is not the sum of the lines' charges",
        lambda c: c != pl.col("line_charge_amount"), level=3,
    ),
    "not_negative": Check("negative_amount", 50, "is negative", lambda c: c < 0),
    "one_day": Check(
        "date_range", 60, "is a range of days; send a line for each",
        lambda c: c != pl.col("service_from_date"),
    ),
    "at_most_twelve": Check(
        "diagnosis_count", 60, f"are more than {DIAGNOSES_AT_MOST}",
        lambda _: pl.col("diagnosis_count") > DIAGNOSES_AT_MOST,
    ),
    "at_most_four": Check(
        "diagnosis_pointer", 60, f"are more than {POINTERS_AT_MOST}",
        lambda _: pl.col("pointer_count") > POINTERS_AT_MOST,
    ),
    "to_a_diagnosis": Check(
        "diagnosis_pointer", 60, "are not all there: a pointer leads to none",
        lambda _: pl.col("highest_pointer") > pl.col("diagnosis_count").fill_null(0), level=4,
    ),
}  # fmt: skip


# ---- the engine --------------------------------------------------------------------------------


class Asked(NamedTuple):
    """A field, and the claims it is asked of: a kind of claim, or a column that is true of them."""

    field: FormField
    due: tuple[str, ...]


def validate(batch: Batch, reference: Reference) -> Batch:
    """Findings with disposition ``reject`` for claims that can't be adjudicated.

    Reads the frames as read; adds to ``findings`` and changes nothing else. A finding's inputs say
    box, field, element and cause.
    """
    claims = batch.claims
    if not claims["claim_id"].is_sorted():
        claims = claims.sort("claim_id")
    claims, asked = _with_conditions(batch, claims, reference.forms)
    of_claims: list[Asked] = []
    of_rows: dict[str, list[Asked]] = {}
    for each in asked:
        frame, row, _ = each.field.place
        if frame == "claims" or (row and each.field.when not in ROW_PREDICATES):
            of_claims.append(each)
        else:
            of_rows.setdefault(frame, []).append(each)
    claims = _with_counts(batch, claims)
    view = _with_rows(batch, claims, of_claims)
    found = list(_wrong(view, [(each.field, _of_claim(view, each)) for each in of_claims]))
    for frame, its in of_rows.items():
        rows: pl.DataFrame = getattr(batch, frame)
        if rows.height:
            found += _of_rows(rows, its, claims)
    findings = pl.concat([batch.findings, *found, *snip(batch, reference)]).sort(
        "claim_id", "edit_rank", "line_number", "edit", nulls_last=False, maintain_order=True
    )
    return batch.with_(findings=findings)


def _with_conditions(
    batch: Batch, claims: pl.DataFrame, forms: Iterable[Form]
) -> tuple[pl.DataFrame, list[Asked]]:
    """The claims with their predicates as columns, and the fields that some claim must fill."""
    kinds = claims["claim_type_code"].unique(maintain_order=True).to_list()
    paper = bool(claims["source_format_code"].is_in(PAPER).any())
    fields = [
        (form.claim_type_code, field)
        for form in forms
        if form.claim_type_code in kinds
        for field in form.fields
        if field.checked and (paper or not CONDITIONS[field.when].paper)
    ]
    names = {root for _, field in fields for root in (field.when, *_roots(field.when))}
    ordered = [name for name in PREDICATES if name in names and name != "always"]
    wanted = {root for name in ordered for root in _roots(name)}
    facts = {name: find(batch) for name, find in FACTS.items() if name in wanted}
    claims = claims.with_columns(
        (pl.col("claim_id").is_in(ids.implode()) if ids.len() else pl.lit(value=False)).alias(name)
        for name, ids in facts.items()
    ).with_columns(
        *(PREDICATES[name].holds.fill_null(value=False).alias(name) for name in ordered),
        *((pl.col("claim_type_code") == kind).alias(f"kind {kind}") for kind in kinds),
    )
    of_some = claims.select(pl.col(name).any() for name in ordered)
    never = {name for name in ordered if not of_some[name].any()}
    return claims, [
        Asked(
            field,
            ((f"kind {kind}",) if len(kinds) > 1 else ())
            + ((field.when,) if field.when in ordered else ()),
        )
        for kind, field in fields
        if field.when not in never
    ]


@cache
def _roots(when: str) -> tuple[str, ...]:
    return tuple(CONDITIONS[when].holds.meta.root_names())


def _with_counts(batch: Batch, claims: pl.DataFrame) -> pl.DataFrame:
    """The claims with what their lines and diagnoses come to: counts, and cents."""
    lines, runs = _runs(batch.lines)
    upto = lines["charge_amount"].fill_null(0).cum_sum().gather(runs["count"].cum_sum() - 1)
    claims = _beside(
        claims,
        runs.select(
            "claim_id", line_count="count", line_charge_amount=upto - upto.shift(1, fill_value=0)
        ),
    )
    _, runs = _runs(batch.diagnoses)
    return _beside(claims, runs.rename({"count": "diagnosis_count"}))


def _runs(rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows in the order of their claims, and how many of each claim."""
    if not rows["claim_id"].is_sorted():
        rows = rows.sort("claim_id", maintain_order=True)
    runs = rows["claim_id"].rle().struct
    return rows, pl.DataFrame(
        {"claim_id": runs.field("value"), "count": runs.field("len").cast(pl.Int64)}
    )


def _beside(claims: pl.DataFrame, found: pl.DataFrame) -> pl.DataFrame:
    """The claims with the columns of the first row that each has in ``found``, or nulls."""
    columns = found.drop("claim_id").get_columns()
    if not found["claim_id"].equals(claims["claim_id"]):
        at = claims["claim_id"].search_sorted(found["claim_id"]).to_numpy()
        place = np.full(claims.height, -1, dtype=np.int64)
        place[at[::-1]] = np.arange(found.height - 1, -1, -1)  # of several the first stays
        there = pl.Series(place).set(pl.Series(place < 0), None)
        columns = [column.gather(there) for column in columns]
    return claims.with_columns(columns)


def _with_rows(batch: Batch, claims: pl.DataFrame, asked: Iterable[Asked]) -> pl.DataFrame:
    """The claims with the columns that fields ask of one row of another frame, under the name of
    that row; the row's own name says whether there is one."""
    wanted: dict[tuple[str, str], set[str]] = {}
    for each in asked:
        frame, row, columns = each.field.place
        if row:
            wanted.setdefault((frame, row), set()).update(columns)
    for (frame, row), names in wanted.items():
        rows: pl.DataFrame = getattr(batch, frame)
        which = _rows(frame, row)
        if "line_number" in rows.columns:
            which &= pl.col("line_number").is_null()
        name = f"{frame}[{row}]"
        found = (
            rows.lazy()
            .filter(which)
            .select(
                "claim_id",
                *(pl.col(c).alias(f"{name}.{c}") for c in sorted(names)),
                pl.lit(value=True).alias(name),
            )
            .collect()
        )
        claims = _beside(claims, found)
    return claims


def _of_rows(
    rows: pl.DataFrame, asked: Sequence[Asked], claims: pl.DataFrame
) -> Iterator[pl.DataFrame]:
    """Findings of fields that each row of a frame is asked for."""
    masks = [(each.field, _of_row(rows, each)) for each in asked]
    wanted = {root for _, mask in masks for root in mask.meta.root_names()}
    if {"pointer_count", "highest_pointer"} & wanted:
        rows = _with_pointers(rows)
    of_claims = sorted(wanted - set(rows.columns))
    rows = rows.select(c for c in rows.columns if c in {"claim_id", "line_number", *wanted})
    if of_claims:
        runs = rows["claim_id"].rle().struct.field("value")
        place = claims["claim_id"].search_sorted(runs).gather(rows["claim_id"].rle_id())
        rows = rows.with_columns(claims[c].gather(place) for c in of_claims)
    yield from _wrong(rows, masks)


def _with_pointers(lines: pl.DataFrame) -> pl.DataFrame:
    """The lines with how many diagnoses they point to, and the highest; 99 is no number."""
    pointers = pl.col("diagnosis_pointers")
    places = pointers.str.split(":").list
    number = pl.element().cast(pl.Int64, strict=False).fill_null(99)
    told = (
        lines.select(pointers.unique())  # a night has few
        .drop_nulls()
        .with_columns(pointer_count=places.len(), highest_pointer=places.eval(number).list.max())
    )
    return lines.join(told, on="diagnosis_pointers", how="left", maintain_order="left")


def _of_claim(view: pl.DataFrame, asked: Asked) -> pl.Expr:
    """Where a claim's field is wrong."""
    frame, row, columns = asked.field.place
    prefix = f"{frame}[{row}]"
    names = [f"{prefix}.{c}" if row else c for c in columns] or [prefix]
    return reduce(and_, map(pl.col, asked.due), _wrong_value(view, asked.field, names))


def _of_row(rows: pl.DataFrame, asked: Asked) -> pl.Expr:
    """Where a row's field is wrong."""
    frame, row, columns = asked.field.place
    wrong = _wrong_value(rows, asked.field, columns)
    if asked.field.when in ROW_PREDICATES:
        wrong &= ROW_PREDICATES[asked.field.when].holds
    if row:
        wrong &= _rows(frame, row)
    return reduce(and_, map(pl.col, asked.due), wrong)


def _wrong_value(frame: pl.DataFrame, field: FormField, columns: Sequence[str]) -> pl.Expr:
    wrong = CHECKS[field.wants].wrong
    if wrong is not None:
        return wrong(pl.col(columns[0]))
    filled = (
        (pl.col(c) > BLANKS).fill_null(value=False)
        if frame.schema[c] == pl.String
        else pl.col(c).is_not_null()
        for c in columns
    )
    return ~reduce(or_, filled)


def _wrong(
    frame: pl.DataFrame, masks: Sequence[tuple[FormField, pl.Expr]]
) -> Iterator[pl.DataFrame]:
    """The findings of all fields of one frame, looked at in one pass."""
    of_any = frame.select(mask.any().alias(str(n)) for n, (_, mask) in enumerate(masks))
    for (field, mask), found in zip(masks, of_any.rows()[0] if masks else (), strict=True):
        if found:
            yield _rejected(frame.filter(mask), field)


def _rejected(rows: pl.DataFrame, field: FormField) -> pl.DataFrame:
    check = CHECKS[field.wants]
    line = "line_number" if "line_number" in rows.columns else _NO_LINE
    cause = f"box {field.box}, {field.name}, {check.says}"
    when = CONDITIONS[field.when].words
    if check.wrong is None and when:
        cause += f"; it is mandatory {when}"
    inputs = {
        "level": check.level, "box": field.box, "field": field.name,
        "element": field.element or PAPER_ONLY, "cause": cause,
    }  # fmt: skip
    return rows.select(
        "claim_id", line_number=line, edit=pl.lit(check.edit),
        edit_rank=pl.lit(check.rank, dtype=pl.Int64), disposition=pl.lit("reject"),
        group_code=pl.lit("CO"), carc=pl.lit("16"), rarc=pl.lit(field.rarc),
        pend_code=pl.lit(None, dtype=pl.String), status_code=pl.lit(field.status_code),
        inputs=pl.lit(json.dumps(inputs, separators=(",", ":"), ensure_ascii=False)),
    )  # fmt: skip


_NO_LINE = pl.lit(None, dtype=pl.Int64)


def objections_to_findings(objections: pl.DataFrame) -> pl.DataFrame:
    """The reader's objections to single claims, as reject findings (grain: one an objection):
    ``syntax`` where a segment is wrong, ``unreadable_box`` where a box of a form is."""
    rows = objections.filter(pl.col("level") == "claim")
    if (rows["loop"] == FORM).any():  # a file holds segments or forms, never both
        return _unreadable_boxes(rows)
    # no more of them than there are faults
    told = rows.select("segment_code", "code", "text").iter_rows()
    levels = [snip_level(*row) for row in told]
    return rows.select(
        "claim_id",
        line_number=_NO_LINE,
        edit=pl.lit("syntax"),
        edit_rank=pl.lit(0, dtype=pl.Int64),
        disposition=pl.lit("reject"),
        group_code=pl.lit("CO"),
        carc=pl.lit("16"),
        rarc=pl.lit(None, dtype=pl.String),
        pend_code=pl.lit(None, dtype=pl.String),
        status_code=pl.lit("A7:21"),
        inputs=pl.struct(
            pl.Series("level", levels, dtype=pl.Int64), position="segment_position", loop="loop",
            segment="segment", element="reference", code="code", cause="text",
        ).struct.json_encode(),
    )  # fmt: skip


def _unreadable_boxes(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.select(
        "claim_id",
        line_number=pl.col("value").cast(pl.Int64, strict=False),
        edit=pl.lit("unreadable_box"),
        edit_rank=pl.lit(0, dtype=pl.Int64),
        disposition=pl.lit("reject"),
        group_code=pl.lit("CO"),
        carc=pl.lit("16"),
        rarc=pl.lit(None, dtype=pl.String),
        pend_code=pl.lit(None, dtype=pl.String),
        status_code=pl.lit("A7:21"),
        inputs=pl.struct(
            level=pl.lit(1), position="segment_position", box="segment", field="reference",
            element=pl.lit(PAPER_ONLY), cause="text",
        ).struct.json_encode(),
    )  # fmt: skip
