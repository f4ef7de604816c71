"""What adjudication can't do without: mandatory boxes, frequency codes, totals.

A gap is a *reject* finding: the claim goes back and is never adjudicated (001:2071-2074).
"""

from __future__ import annotations

from functools import reduce

import polars as pl

from adjudicator.pipeline import Batch
from adjudicator.reference import Reference
from schemas import frames
from schemas.form import Form, FormField

INPATIENT_BILL_TYPES = ("11", "12", "18", "21", "22", "28", "41", "65", "66", "86")
READ_FREQUENCIES = ("0", "1", "5", "7", "8", "9")
INTERIM_FREQUENCIES = ("2", "3", "4")
STILL_A_PATIENT = "30"
CORRECTING_FREQUENCIES = ("7", "8")

_INPATIENT = pl.col("facility_code").is_in(INPATIENT_BILL_TYPES)
PREDICATES: dict[str, pl.Expr] = {
    "always": pl.col("claim_id").is_not_null(),
    "inpatient": _INPATIENT,
    "outpatient": ~_INPATIENT.fill_null(False),
}


def validate(batch: Batch, reference: Reference) -> Batch:
    """Findings with disposition ``reject`` for claims that can't be adjudicated.

    Reads claims, lines and diagnoses as read; adds to ``findings`` and changes nothing else.
    """
    found = [_missing(batch, form, field) for form in reference.forms for field in form.fields]
    found += [_frequency(batch), _no_lines(batch), _total(batch), _negative(batch)]
    findings = pl.concat([batch.findings, *found]).sort(
        "claim_id", "edit_rank", "line_number", "edit", nulls_last=False, maintain_order=True
    )
    return batch.with_(findings=findings)


def _missing(batch: Batch, form: Form, field: FormField) -> pl.DataFrame:
    table, _, column = field.column.partition(".")
    claims = batch.claims.filter(pl.col("claim_type_code") == form.claim_type_code)
    due = claims.filter(PREDICATES[field.when].fill_null(False))
    if table == "claims":
        gaps = due.filter(_blank(due, column)).select("claim_id", line_number=_NO_LINE)
    elif table == "lines":
        lines = batch.lines.filter(pl.col("claim_id").is_in(due["claim_id"].implode()))
        gaps = lines.filter(_blank(lines, column)).select("claim_id", "line_number")
    else:
        principal = batch.diagnoses.filter(pl.col("qualifier_code").is_in(["ABK", "BK"]))
        gaps = due.join(principal, on="claim_id", how="anti").select(
            "claim_id", line_number=_NO_LINE
        )
    return _rejected(
        gaps, "mandatory_field", 10, field.status_code, field.rarc,
        {"box": field.box, "field": field.name, "element": field.element},
    )  # fmt: skip


_NO_LINE = pl.lit(None, dtype=pl.Int64)


def _blank(frame: pl.DataFrame, column: str) -> pl.Expr:
    value = pl.col(column)
    if frame.schema[column] == pl.String:
        return value.is_null() | (value.str.strip_chars() == "")
    return value.is_null()


def _rejected(
    gaps: pl.DataFrame, edit: str, rank: int, status: str, rarc: str | None, inputs: dict[str, str]
) -> pl.DataFrame:
    texts = pl.struct(pl.lit(v).alias(k) for k, v in inputs.items()).struct.json_encode()
    return gaps.select(
        "claim_id", "line_number", edit=pl.lit(edit), edit_rank=pl.lit(rank, dtype=pl.Int64),
        disposition=pl.lit("reject"), group_code=pl.lit("CO"), carc=pl.lit("16"),
        rarc=pl.lit(rarc, dtype=pl.String), pend_code=pl.lit(None, dtype=pl.String),
        status_code=pl.lit(status), inputs=texts,
    ).select(frames.Findings.column_names())  # fmt: skip


def _frequency(batch: Batch) -> pl.DataFrame:
    """Interim bills (001:2466) and frequencies that are none; 7 and 8 without the number of the
    claim they correct."""
    claims = batch.claims
    code = pl.col("frequency_code").fill_null("")
    institutional = pl.col("claim_type_code") == "I"
    rows = claims.select(
        "claim_id",
        "claim_type_code",
        "patient_status_code",
        "original_claim_number",
        code.alias("frequency_code"),
    )
    cases = (
        ("interim_bill",
         code.is_in(INTERIM_FREQUENCIES)
         | (institutional & (pl.col("patient_status_code") == STILL_A_PATIENT)),
         "A7:228", "MA30", "an interim bill; send one bill for the whole stay"),
        ("frequency", ~code.is_in(READ_FREQUENCIES + INTERIM_FREQUENCIES),
         "A7:535", "MA30", "not a claim frequency that is read here"),
        ("original_number", code.is_in(CORRECTING_FREQUENCIES)
         & pl.col("original_claim_number").is_null(),
         "A6:464", "M47", "a correction without the number of the claim it corrects (REF F8)"),
    )  # fmt: skip
    return pl.concat(
        _rejected(
            rows.filter(when.fill_null(False)).select("claim_id", line_number=_NO_LINE),
            edit, 20, status, rarc, {"element": "2300 CLM05-3", "cause": cause},
        )
        for edit, when, status, rarc, cause in cases
    )  # fmt: skip


def _no_lines(batch: Batch) -> pl.DataFrame:
    gaps = batch.claims.join(batch.lines, on="claim_id", how="anti")
    return _rejected(
        gaps.select("claim_id", line_number=_NO_LINE), "no_lines", 30, "A6:21", "M51",
        {"element": "2400", "cause": "the claim has no service line"},
    )  # fmt: skip


def _total(batch: Batch) -> pl.DataFrame:
    """CLM02 is the sum of its lines' charges (001:2890; X12 balancing)."""
    sums = batch.lines.group_by("claim_id").agg(pl.col("charge_amount").sum().alias("_sum"))
    wrong = batch.claims.join(sums, on="claim_id").filter(
        pl.col("charge_amount").is_not_null() & (pl.col("charge_amount") != pl.col("_sum"))
    )
    return _rejected(
        wrong.select("claim_id", line_number=_NO_LINE).sort("claim_id"), "total_charge", 40,
        "A7:178", "M54",
        {"element": "2300 CLM02", "cause": "the total is not the sum of the lines' charges"},
    )  # fmt: skip


def _negative(batch: Batch) -> pl.DataFrame:
    """No negative amount or count is accepted (001:2515-2516)."""
    columns = ("charge_amount", "unit_quantity")
    negative = reduce(lambda a, b: a | b, (pl.col(c) < 0 for c in columns))
    rows = batch.lines.filter(negative.fill_null(False)).select("claim_id", "line_number")
    return _rejected(
        rows, "negative_amount", 50, "A7:178", "M79",
        {"element": "SV102, SV203, SV104, SV205", "cause": "a negative charge or quantity"},
    )  # fmt: skip


def objections_to_findings(objections: pl.DataFrame) -> pl.DataFrame:
    """The reader's objections to single claims, as reject findings (grain: one an objection)."""
    rows = objections.filter(pl.col("level") == "claim")
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
            position="segment_position", loop="loop", segment="segment", element="reference",
            code="code", cause="text",
        ).struct.json_encode(),
    )  # fmt: skip
