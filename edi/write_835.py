"""Remittance frames → 835 interchanges (005010X221A1), one a payment.

Written by string expressions over whole frames: a claim and its lines become (order, text) rows,
and a payment's text is those rows sorted and joined. Every segment is written with its terminator
in front, so that parts join without looking at each other.

Conventions
- Money: the shortest exact decimal. No trailing zeros, a zero before the point: 1234 cents is
  ``12.34``, 1200 ``12``, 50 ``0.5``, -5 ``-0.05``. Quantities the same, from thousandths.
- Data: characters outside X12's basic and extended sets, and our four delimiters, become spaces;
  ends are trimmed, the rest cut to the element's length; what is then shorter than the element's
  least length is left out. Lower case stays: CLP01 and REF*6R must return what was sent.
- BPR04: ACH asks for both banks' account numbers (BPR06 to BPR15), which no frame carries, so an
  ACH payment is announced as CHK. A payment of nothing is H and NON.
- Nothing here reads a clock: every date is the payment's, every time 0000.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import polars as pl

from edi.text import (
    COMPONENT,
    ELEMENT,
    REPETITION,
    TERMINATOR,
    day_text,
    decimal,
    fit,
    fit_codes,
    segment,
    where,
)

CLAIM_KEY = ["payment_id", "claim_id", "reversal_code"]

# A part's place is one integer: claim, line (0: the claim itself), part, sequence.
SEQUENCES, PARTS, LINES = 1 << 22, 1 << 4, 1 << 12
HEAD, TAIL = 0, 9
GROUP_PARTS = {"CO": 1, "PR": 2, "OA": 3, "PI": 4}
PAIRS_A_SEGMENT = 6

# CLP06 the guide knows; SBR09 has a few more (11, BL, CI, FI), written as ZZ
CLAIM_FILING_CODES = [
    *("12", "13", "14", "15", "16", "17", "AM", "CH", "DS", "HM"),
    *("LM", "MA", "MB", "MC", "OF", "TV", "VA", "WC", "ZZ"),
]

# Bill types (first two digits) whose claim-level remarks stand in MIA; all others take MOA:
# hospital, swing bed, skilled nursing, its swing bed, religious non-medical, intermediate care,
# residential
INPATIENT_FACILITY_CODES = ["11", "18", "21", "28", "41", "65", "66", "86"]

# Text of each frame: least and greatest length of the element it becomes
PAYMENT_TEXT = {
    "trace_number": (1, 50),
    "payer_name": (1, 60),
    "payer_number": (2, 15),
    "payer_tax_number": (9, 9),
    "payer_address_line": (1, 55),
    "payer_city": (2, 30),
    "payer_state_code": (2, 2),
    "payer_zip_code": (3, 15),
    "payer_contact_name": (1, 60),
    "payer_contact_phone": (1, 256),
    "payee_name": (1, 60),
    "payee_npi": (2, 80),
    "payee_tax_number": (2, 50),
    "payee_address_line": (1, 55),
    "payee_city": (2, 30),
    "payee_state_code": (2, 2),
    "payee_zip_code": (3, 15),
    "receiver_number": (2, 15),
}
PAYMENT_REQUIRED = [c for c in PAYMENT_TEXT if not c.startswith("payee_")]
CLAIM_TEXT = {
    "status_code": (1, 2),
    "patient_control_number": (1, 38),
    "claim_number": (1, 50),
    "facility_code": (1, 2),
    "frequency_code": (1, 1),
    "diagnosis_related_group_code": (1, 4),
    "patient_last_name": (1, 60),
    "patient_first_name": (1, 35),
    "patient_middle_name": (1, 25),
    "member_number": (2, 80),
    "insured_last_name": (1, 60),
    "insured_first_name": (1, 35),
    "rendering_last_name": (1, 60),
    "rendering_first_name": (1, 35),
    "rendering_npi": (2, 80),
    "medical_record_number": (1, 50),
}
LINE_TEXT = {
    "procedure_qualifier_code": (2, 2),
    "procedure_code": (1, 48),
    "revenue_code": (1, 48),
    "line_control_number": (1, 50),
}
ADJUSTMENT_TEXT = {"carc": (1, 5)}
PROVIDER_ADJUSTMENT_TEXT = {"reason_code": (2, 2), "reference_number": (1, 50)}

# Codes joined by a colon: what one looks like, and how many an element row takes
CLAIM_CODES = {"remark_codes": (r"[0-9A-Za-z]{1,50}", 5)}
LINE_CODES = {"modifier_codes": (r"[0-9A-Za-z]{2}", 4), "remark_codes": (r"[0-9A-Za-z]{1,30}", 99)}


def write_835(
    payments: pl.DataFrame,
    claims: pl.DataFrame,
    lines: pl.DataFrame,
    adjustments: pl.DataFrame,
    provider_adjustments: pl.DataFrame,
    *,
    usage_indicator: Literal["P", "T"] = "P",
) -> dict[int, bytes]:
    """One whole interchange (ISA to IEA, one ST 835) a payment: payment_id → ASCII bytes.

    Frames are RemittancePayments, RemittanceClaims, RemittanceLines, RemittanceAdjustments and
    RemittanceProviderAdjustments of schemas/frames.py. Claims stand in the order of their frame,
    lines by line_number, CAS by group (CO, PR, OA, PI) and sequence_number. Amounts are written
    as they come: a reversal's must already be negative. Only CLP05 depends on the reversal: it is
    left out there, and where it is zero.

    Raises ValueError where rows have no owner (a claim without its payment, a line or adjustment
    without its claim or line), and where the guide demands what isn't there: a known CAS group,
    the payer's identity and address, the payee's NPI or tax number, a control number of at most
    nine digits, a line's procedure or revenue code, an adjustment's reason.
    """
    payments = fit(payments, PAYMENT_TEXT)
    provider_adjustments = fit(provider_adjustments, PROVIDER_ADJUSTMENT_TEXT)
    claims = fit_codes(fit(claims, CLAIM_TEXT), CLAIM_CODES).with_row_index("position")
    lines = fit_codes(fit(lines, LINE_TEXT), LINE_CODES)
    _refuse(payments, claims, lines, provider_adjustments)
    lines = _placed(lines, claims, "lines")
    adjustments = _placed(fit(adjustments, ADJUSTMENT_TEXT), claims, "adjustments")
    sets = (
        payments.join(_detail(claims, lines, adjustments), on="payment_id", how="left")
        .join(_plb(provider_adjustments, payments), on="payment_id", how="left")
        .sort(pl.col("payment_id"))
        .with_columns(
            pl.concat_str(
                _header(),
                (pl.lit("~LX*1") + pl.col("detail")).fill_null(""),
                pl.col("plb").fill_null(""),
            ).alias("set"),
            pl.col("control_number").cast(pl.String).alias("control"),
        )
        .select(
            "payment_id",
            pl.concat_str(
                _envelope_header(usage_indicator),
                pl.col("set"),
                # every segment brings one terminator; SE itself is counted too
                segment(
                    "SE",
                    (pl.col("set").str.count_matches(TERMINATOR, literal=True) + 1).cast(pl.String),
                    pl.col("control").str.zfill(9),
                ),
                segment("GE", "1", pl.col("control")),
                segment("IEA", "1", pl.col("control").str.zfill(9)),
                pl.lit(TERMINATOR),
            ).alias("text"),
        )
    )
    return {number: text.encode("ascii") for number, text in sets.iter_rows()}


# ---- the parts of a set ----------------------------------------------------------------------


def _envelope_header(usage_indicator: str) -> pl.Expr:
    day = day_text(pl.col("payment_date"))
    isa = pl.concat_str(
        pl.lit(f"ISA*00*{'':10}*00*{'':10}*ZZ"),
        pl.col("payer_number").str.pad_end(15),
        pl.lit("ZZ"),
        pl.col("receiver_number").str.pad_end(15),
        day.str.tail(6),
        pl.lit(f"0000*{REPETITION}*00501"),
        pl.col("control").str.zfill(9),
        pl.lit(f"0*{usage_indicator}*{COMPONENT}"),
        separator=ELEMENT,
    )
    gs = segment(
        "GS",
        "HP",
        pl.col("payer_number"),
        pl.col("receiver_number"),
        day,
        "0000",
        pl.col("control"),
        "X",
        "005010X221A1",
    )
    return isa + gs


def _header() -> pl.Expr:
    """ST to the end of 1000B."""
    day = day_text(pl.col("payment_date"))
    amount = pl.col("payment_amount")
    nothing = (amount == 0) | (pl.col("payment_method_code") == "NON")
    npi, tax = pl.col("payee_npi"), pl.col("payee_tax_number")
    return pl.concat_str(
        segment("ST", "835", pl.col("control_number").cast(pl.String).str.zfill(9)),
        segment(
            "BPR",
            pl.when(nothing).then(pl.lit("H")).otherwise(pl.lit("I")),
            decimal(amount, 2),
            "C",
            pl.when(nothing).then(pl.lit("NON")).otherwise(pl.lit("CHK")),
            *[""] * 11,
            day,
        ),
        segment("TRN", "1", pl.col("trace_number"), pl.lit("1") + pl.col("payer_tax_number")),
        segment("DTM", "405", day),
        segment("N1", "PR", pl.col("payer_name")),
        segment("N3", pl.col("payer_address_line")),
        segment("N4", pl.col("payer_city"), pl.col("payer_state_code"), pl.col("payer_zip_code")),
        # N104 is for the national plan identifier alone, so our number stands here
        segment("REF", "2U", pl.col("payer_number")),
        segment("PER", "BL", pl.col("payer_contact_name"), "TE", pl.col("payer_contact_phone")),
        segment(
            "N1",
            "PE",
            pl.col("payee_name").fill_null("UNKNOWN"),
            pl.when(npi.is_null()).then(pl.lit("FI")).otherwise(pl.lit("XX")),
            npi.fill_null(tax),
        ),
        where("payee_address_line", segment("N3", pl.col("payee_address_line"))),
        where(
            "payee_city",
            segment(
                "N4", pl.col("payee_city"), pl.col("payee_state_code"), pl.col("payee_zip_code")
            ),
        ),
        pl.when(npi.is_not_null() & tax.is_not_null())
        .then(segment("REF", "TJ", tax))
        .otherwise(pl.lit("")),
    )


def _detail(claims: pl.DataFrame, lines: pl.DataFrame, adjustments: pl.DataFrame) -> pl.DataFrame:
    """payment_id, detail: the text of all its claims (2100, 2110)."""
    parts = pl.concat(
        [
            *_rows(claims, pl.lit(0), _claim_head(), _claim_tail()),
            *_rows(lines, pl.col("line_number"), _line_head(), _line_tail()),
            _cas(adjustments),
        ]
    ).sort("order", maintain_order=True)
    place = pl.col("order") // (SEQUENCES * PARTS)
    ownerless = (place != place.shift(1)).fill_null(True) & (
        pl.col("order") // SEQUENCES % PARTS != HEAD
    )
    if count := parts.select(ownerless.sum()).item():
        raise ValueError(
            f"835: {count} line(s) have adjustments but no row of their own; "
            "pass every line whose adjustments are passed"
        )
    return (
        parts.select(
            claims["payment_id"]
            .gather(parts["order"] // (SEQUENCES * PARTS * LINES))
            .alias("payment_id"),
            pl.col("text"),
        )
        .group_by("payment_id", maintain_order=True)
        .agg(pl.col("text").str.join("").alias("detail"))
    )


def _claim_head() -> pl.Expr:
    member = pl.col("member_amount")
    shown = (member != 0) & (pl.col("reversal_code") == "N") & (pl.col("status_code") != "22")
    filing = pl.col("claim_filing_code")
    return segment(
        "CLP",
        # the guide asks for a zero where the claim brought no number
        pl.col("patient_control_number").fill_null("0"),
        pl.col("status_code"),
        decimal(pl.col("charge_amount"), 2),
        decimal(pl.col("paid_amount"), 2),
        pl.when(shown).then(decimal(member, 2)),
        pl.when(filing.is_in(CLAIM_FILING_CODES)).then(filing).otherwise(pl.lit("ZZ")),
        pl.col("claim_number"),
        pl.col("facility_code"),
        pl.col("frequency_code"),
        "",
        pl.col("diagnosis_related_group_code"),
    )


def _claim_tail() -> pl.Expr:
    organisation = pl.col("rendering_entity_type_code") == "2"
    member = pl.col("member_number")
    remarks = pl.col("remark_codes").str.replace_all(COMPONENT, ELEMENT, literal=True)
    first = remarks.str.extract(r"^([^*]+)")
    others = remarks.str.extract(r"^[^*]+\*(.*)$")
    inpatient = (pl.col("claim_type_code") == "I") & pl.col("facility_code").is_in(
        INPATIENT_FACILITY_CODES
    )
    return pl.concat_str(
        segment(
            "NM1",
            "QC",
            "1",
            pl.col("patient_last_name"),
            pl.col("patient_first_name"),
            pl.col("patient_middle_name"),
            "",
            "",
            pl.when(member.is_not_null()).then(pl.lit("MI")),
            member,
        ),
        where(
            "insured_last_name",
            segment(
                "NM1",
                "IL",
                pl.when(pl.col("insured_entity_type_code") == "2")
                .then(pl.lit("2"))
                .otherwise(pl.lit("1")),
                pl.col("insured_last_name"),
                pl.col("insured_first_name"),
                *[""] * 3,
                pl.when(member.is_not_null()).then(pl.lit("MI")),
                member,
            ),
        ),
        where(
            "rendering_npi",
            segment(
                "NM1",
                "82",
                pl.when(organisation).then(pl.lit("2")).otherwise(pl.lit("1")),
                pl.col("rendering_last_name"),
                pl.when(organisation).then(None).otherwise(pl.col("rendering_first_name")),
                *[""] * 3,
                "XX",
                pl.col("rendering_npi"),
            ),
        ),
        # MIA05, MIA20 to MIA23 and MOA03 to MOA07 take five codes; a sixth has no place
        pl.when(remarks.is_null())
        .then(pl.lit(""))
        .when(inpatient)
        .then(segment("MIA", "0", "", "", "", first, *[""] * 14, others))
        .otherwise(segment("MOA", "", "", remarks)),
        where("medical_record_number", segment("REF", "EA", pl.col("medical_record_number"))),
        *(
            where(column, segment("DTM", qualifier, day_text(pl.col(column))))
            for qualifier, column in (
                ("232", "statement_from_date"),
                ("233", "statement_through_date"),
                ("050", "received_date"),
            )
        ),
        where("interest_amount", segment("AMT", "I", decimal(pl.col("interest_amount"), 2))),
    )


def _line_head() -> pl.Expr:
    """SVC and its dates: DTM*472 for one day, DTM*150 and DTM*151 for a span."""
    procedure, revenue = pl.col("procedure_code"), pl.col("revenue_code")
    coded = procedure.is_not_null()
    service = pl.concat_str(
        pl.when(coded)
        .then(pl.col("procedure_qualifier_code").fill_null("HC"))
        .otherwise(pl.lit("NU")),
        pl.when(coded).then(procedure).otherwise(revenue).fill_null(""),
        pl.when(coded).then(pl.col("modifier_codes")),
        separator=COMPONENT,
        ignore_nulls=True,
    )
    first, last = pl.col("service_from_date"), pl.col("service_through_date")
    return pl.concat_str(
        segment(
            "SVC",
            service,
            decimal(pl.col("charge_amount"), 2),
            decimal(pl.col("paid_amount"), 2),
            pl.when(coded).then(revenue),
            decimal(pl.col("unit_quantity"), 3),
        ),
        pl.when(first.is_null())
        .then(pl.lit(""))
        .when(last.is_null() | (last == first))
        .then(segment("DTM", "472", day_text(first)))
        .otherwise(segment("DTM", "150", day_text(first)) + segment("DTM", "151", day_text(last))),
    )


def _line_tail() -> pl.Expr:
    return pl.concat_str(
        where("line_control_number", segment("REF", "6R", pl.col("line_control_number"))),
        where("allowed_amount", segment("AMT", "B6", decimal(pl.col("allowed_amount"), 2))),
        where(
            "remark_codes",
            pl.lit("~LQ*HE*")
            + pl.col("remark_codes").str.replace_all(COMPONENT, "~LQ*HE*", literal=True),
        ),
    )


def _cas(adjustments: pl.DataFrame) -> pl.DataFrame:
    """order, text: a row an adjustment, the first of every six opening a CAS."""
    group = pl.col("group_code")
    part = group.replace_strict(GROUP_PARTS, default=None, return_dtype=pl.Int64)
    adjustments = adjustments.with_columns(part.alias("part"))
    if unknown := max(adjustments["part"].null_count(), adjustments["carc"].null_count()):
        raise ValueError(
            f"835: {unknown} adjustment(s) without a reason or with an unknown group; "
            f"groups are {', '.join(GROUP_PARTS)}"
        )
    opens = _opens_segment(pl.col("order") // SEQUENCES)
    # a triple's empty quantity is written by the triple that follows it
    gap = (
        pl.when(opens)
        .then("~CAS*" + group)
        .when(pl.col("adjustment_quantity").shift(1).is_null())
        .then(pl.lit(ELEMENT))
        .otherwise(pl.lit(""))
    )
    return (
        adjustments.with_columns(
            _order(pl.col("line_number").fill_null(0), pl.col("part"), pl.col("sequence_number"))
        )
        .sort("order", maintain_order=True)
        .select(
            "order",
            pl.concat_str(
                gap,
                ELEMENT + pl.col("carc"),
                ELEMENT + decimal(pl.col("adjustment_amount"), 2),
                (ELEMENT + decimal(pl.col("adjustment_quantity"), 3)).fill_null(""),
            ).alias("text"),
        )
    )


def _plb(provider_adjustments: pl.DataFrame, payments: pl.DataFrame) -> pl.DataFrame:
    """payment_id, plb: a segment for each fiscal date and every six adjustments of it."""
    payee = payments.select("payment_id", pl.col("payee_npi").fill_null(pl.col("payee_tax_number")))
    opens = _opens_segment(pl.struct("payment_id", "fiscal_date").rle_id())
    pair = pl.concat_str(
        pl.lit(ELEMENT),
        pl.col("reason_code"),
        (COMPONENT + pl.col("reference_number")).fill_null(""),
        pl.lit(ELEMENT),
        decimal(pl.col("adjustment_amount"), 2),
    )
    opening = segment("PLB", pl.col("payee_npi"), day_text(pl.col("fiscal_date")))
    return (
        provider_adjustments.join(payee, on="payment_id", how="left")
        .sort("payment_id", "fiscal_date", "sequence_number")
        .select(
            "payment_id",
            pl.concat_str(pl.when(opens).then(opening).otherwise(pl.lit("")), pair).alias("plb"),
        )
        .group_by("payment_id", maintain_order=True)
        .agg(pl.col("plb").str.join(""))
    )


# ---- places ----------------------------------------------------------------------------------


def _order(line: pl.Expr, part: pl.Expr, sequence: pl.Expr) -> pl.Expr:
    place = pl.col("position").cast(pl.Int64) * LINES + line
    return ((place * PARTS + part) * SEQUENCES + sequence).alias("order")


def _rows(
    frame: pl.DataFrame, line: pl.Expr, head: pl.Expr, tail: pl.Expr
) -> Iterator[pl.DataFrame]:
    """order, text: what stands before a claim's or line's CAS, and what stands after."""
    for part, text in ((HEAD, head), (TAIL, tail)):
        yield frame.select(_order(line, pl.lit(part), pl.lit(0)), text.alias("text"))


def _placed(frame: pl.DataFrame, claims: pl.DataFrame, name: str) -> pl.DataFrame:
    """The frame with its claims' positions."""
    placed = frame.join(
        claims.select(*CLAIM_KEY, "position"), on=CLAIM_KEY, how="left", maintain_order="left"
    )
    if lost := placed["position"].null_count():
        raise ValueError(f"835: {lost} of {name} have no claim; pass the claims they belong to")
    limits = {"line_number": LINES, "sequence_number": SEQUENCES}
    for column in limits.keys() & set(frame.columns):
        if not placed[column].drop_nulls().is_between(1, limits[column] - 1).all():
            raise ValueError(f"835: {column} of {name} not within 1 to {limits[column] - 1}")
    return placed


def _opens_segment(run: pl.Expr) -> pl.Expr:
    """Whether a row opens a segment: the first of its run, and every sixth after it."""
    row = pl.int_range(pl.len())
    start = pl.when(run.ne_missing(run.shift(1))).then(row).forward_fill()
    return (row - start) % PAIRS_A_SEGMENT == 0


def _refuse(
    payments: pl.DataFrame,
    claims: pl.DataFrame,
    lines: pl.DataFrame,
    provider_adjustments: pl.DataFrame,
) -> None:
    """ValueError for what no valid set can be written from."""
    known = payments["payment_id"].implode()
    for name, frame in (("claims", claims), ("provider adjustments", provider_adjustments)):
        if lost := (~frame["payment_id"].is_in(known)).sum():
            raise ValueError(f"835: {lost} of {name} have no payment; pass the payments too")
    missing = {
        **{f"its {c} is empty or doesn't fit": pl.col(c).is_null() for c in PAYMENT_REQUIRED},
        "its payee has neither NPI nor tax number": pl.all_horizontal(
            pl.col("payee_npi", "payee_tax_number").is_null()
        ),
        "its control number isn't within 1 to 999999999": ~pl.col("control_number").is_between(
            1, 999_999_999
        ),
    }
    for what, wrong in missing.items():
        if numbers := payments.filter(wrong)["payment_id"].to_list():
            raise ValueError(f"835: payment {numbers[0]} can't be written: {what}")
    coded = pl.any_horizontal(pl.col("procedure_code", "revenue_code").is_not_null())
    if bare := lines.filter(~coded).height:
        raise ValueError(f"835: {bare} line(s) have neither procedure nor revenue code")
    if bare := provider_adjustments["reason_code"].null_count():
        raise ValueError(f"835: {bare} provider adjustment(s) have no reason of two characters")
