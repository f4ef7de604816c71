"""SNIP 5: codes of outside code sets, by the day of service.

Three kinds of proof, in this order. A code's *form*: no release of the set ever held a code of
another. *Our own lists* (schemas/codes/code_lists.yaml): small sets, dated where a day is known.
*Loaded lists* (reference table ``code_sets``): the release in force on the day of service says
whether a code exists; where only other releases are loaded, a code that none of them has is noted
and never rejected; where none is loaded nothing is said.

A column is looked at once, by its distinct codes; claims are looked up only for codes that may be
wrong. What is wrong is never repeated: it could be anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import NamedTuple

import polars as pl

from adjudicator.pipeline import Batch
from adjudicator.programs import load_code_lists
from adjudicator.reference import Reference
from adjudicator.snip.rule import PAPER, of_claims, rule

NO_LINE = pl.lit(None, dtype=pl.Int64)
OPEN = date.max
NOT_A_CODE = "is no code of its code set"
NOT_IN_FORCE = "is no code of its code set on the day of service"
OTHER_RELEASE = "is in no release of its code set that is loaded, of which none is of the day"

ICD_10_FIRST_DAY = date(2015, 10, 1)  # 45 CFR 162.1002
ICD_9_QUALIFIERS = ("BK", "BF", "BJ", "PR", "BN")
ICD_9_PROCEDURES = ("BR", "BQ")
NPI_FORM = "^[12][0-9]{9}$"
NPI_PREFIX_SUM = 24  # of the 80840 that stands before an NPI when its check digit is reckoned
ROLE_REMARKS = {"85": "N257", "82": "N290", "71": "N253", "77": "N293", "DN": "N286"}


# ---- days --------------------------------------------------------------------------------------


def _with_days(rows: pl.DataFrame, batch: Batch, *, own: str | None = None) -> pl.DataFrame:
    """The rows with the first and last day of their claim: the bill's, else the lines'; where
    ``own`` is a day of the row itself, that. An inpatient's diagnoses are those of the last day,
    so a bill counts by its last."""
    lines = batch.lines.select("claim_id", "service_from_date", "service_through_date")
    of_lines = (
        of_claims(lines, rows["claim_id"])
        .group_by("claim_id")
        .agg(
            line_first=pl.col("service_from_date").min(),
            line_last=pl.max_horizontal("service_from_date", "service_through_date").max(),
        )
    )
    bills = batch.claims.select("claim_id", "statement_through_date")
    days = (
        of_claims(bills, rows["claim_id"])
        .join(of_lines, on="claim_id", how="left")
        .select(
            "claim_id",
            first_date=pl.coalesce("statement_through_date", "line_first"),
            last_date=pl.coalesce("statement_through_date", "line_last"),
        )
    )
    rows = rows.join(days, on="claim_id", how="left", maintain_order="left")
    if own is None:
        return rows
    return rows.with_columns(
        first_date=pl.coalesce(own, "first_date"), last_date=pl.coalesce(own, "last_date")
    )


def _reach(batch: Batch, own: pl.Series | None = None) -> tuple[date, date] | None:
    """The first and last day of the batch, and of ``own`` days."""
    days = batch.lines.select(
        a=pl.col("service_from_date").min(), b=pl.col("service_from_date").max(),
        c=pl.col("service_through_date").max(),
    ).row(0)  # fmt: skip
    bills = batch.claims.select(
        a=pl.col("statement_through_date").min(), b=pl.col("statement_through_date").max()
    ).row(0)
    others = () if own is None else (own.min(), own.max())
    known = [day for day in (*days, *bills, *others) if isinstance(day, date)]
    return (min(known), max(known)) if known else None


# ---- lists -------------------------------------------------------------------------------------


def _list(reference: Reference, code_set: str) -> pl.DataFrame:
    """code, start_date, end_date of a loaded code set; open ends are the last day there is."""
    table = reference.tables.get("code_sets")
    if table is None or table.is_empty():
        return pl.DataFrame(schema={"code": pl.String, "start_date": pl.Date, "end_date": pl.Date})
    return table.filter(pl.col("code_set") == code_set).select(
        "code", "start_date", pl.col("end_date").fill_null(OPEN)
    )


def _doubtful(codes: pl.Series, table: pl.DataFrame, reach: tuple[date, date]) -> pl.Series:
    """Those of the codes that aren't in force on every day from the first to the last."""
    spans = table.filter(pl.col("code").is_in(codes.implode())).sort("code", "start_date")
    goes_on = (pl.col("code") == pl.col("code").shift(1)) & (
        pl.col("start_date") <= pl.col("end_date").shift(1).dt.offset_by("1d")
    )
    sure = (
        spans.with_columns(run=(~goes_on.fill_null(value=False)).cum_sum())
        .group_by("run")
        .agg(pl.col("code").first(), pl.col("start_date").min(), pl.col("end_date").max())
        .filter((pl.col("start_date") <= reach[0]) & (pl.col("end_date") >= reach[1]))
    )
    return codes.filter(~codes.is_in(sure["code"].implode()))


_HOLDS = (pl.col("start_date") <= pl.col("last_date")) & (
    pl.col("end_date") >= pl.col("first_date")
)


def _out_of_force(rows: pl.DataFrame, table: pl.DataFrame) -> pl.DataFrame:
    """Of rows with ``code``, ``first_date`` and ``last_date`` those whose code holds on none of
    their days, with the ``disposition`` and ``cause`` that this has."""
    asked = ["code", "first_date", "last_date"]
    days = asked[1:]
    absent = rows.select(asked).drop_nulls().unique().join(
        rows.select(asked).drop_nulls().unique().join(table, on="code").filter(_HOLDS),
        on=asked, how="anti",
    )  # fmt: skip
    listed = (
        absent.select(days)
        .unique()
        .join(table.select("start_date", "end_date").unique(), how="cross")
        .filter(_HOLDS)
        .select(*days, listed=pl.lit(value=True))
        .unique()
    )
    judged = (
        absent.join(listed, on=days, how="left")
        .filter(pl.col("listed") | ~pl.col("code").is_in(table["code"].implode()))
        .select(
            *asked,
            disposition=pl.when("listed").then(pl.lit("reject")).otherwise(pl.lit("inform")),
            cause=pl.when("listed").then(pl.lit(NOT_IN_FORCE)).otherwise(pl.lit(OTHER_RELEASE)),
        )
    )
    return rows.join(judged, on=asked, maintain_order="left")


def _distinct(frame: pl.DataFrame, column: str) -> pl.Series:
    return frame[column].unique().drop_nulls()


def _of(frame: pl.DataFrame, column: str, codes: pl.Series) -> pl.DataFrame:
    """The rows with one of these codes, as ``code``."""
    return frame.filter(pl.col(column).is_in(codes.implode())).rename({column: "code"})


class Coded(NamedTuple):
    """A column of codes: whose they are, the form of all, and the loaded lists that have them
    (by the form of theirs). ``own``: a column with the row's own day."""

    what: str
    frame: str
    column: str
    form: str
    lists: Mapping[str, str]
    own: str | None = None
    asked: pl.Expr = pl.lit(value=True)


def _wrong(batch: Batch, reference: Reference, coded: Coded) -> pl.DataFrame | None:
    """The rows whose code has not the form, or is in a loaded list on none of its days, with the
    ``disposition`` and ``cause`` that this has; None where there is none."""
    rows: pl.DataFrame = getattr(batch, coded.frame)
    if rows.is_empty():
        return None
    codes = _distinct(rows, coded.column)
    formed = codes.str.contains(coded.form)
    found = []
    if not formed.all():
        of_no_form = _of(rows, coded.column, codes.filter(~formed)).filter(coded.asked)
        found.append(
            of_no_form.with_columns(disposition=pl.lit("reject"), cause=pl.lit(NOT_A_CODE))
        )
        codes = codes.filter(formed)
    lists = {name: _list(reference, name) for name in coded.lists}
    loaded = {name: table for name, table in lists.items() if table.height}
    reach = _reach(batch, rows[coded.own] if coded.own else None) if loaded else None
    for code_set, table in loaded.items():
        form = coded.lists[code_set]
        if reach is None:
            continue
        doubtful = _doubtful(codes.filter(codes.str.contains(form)), table, reach)
        if doubtful.is_empty():
            continue
        dated = _with_days(
            _of(rows, coded.column, doubtful).filter(coded.asked), batch, own=coded.own
        )
        found.append(_out_of_force(dated, table))
    found = [part for part in found if part.height]
    if not found:
        return None
    return pl.concat(found, how="diagonal").with_columns(
        cause=pl.concat_str(pl.lit(f"{coded.what} "), "cause")
    )


FOUND = ("claim_id", "cause", "disposition")
IN_HI = pl.concat_str(
    pl.lit("2300 HI "), "qualifier_code", pl.lit(", number "), pl.col("sequence_number")
)
# forms of codes as every release had them
TAXONOMY = Coded(
    "the taxonomy code", "claim_providers", "taxonomy_code", "^[0-9A-Z]{10}$", {"TAXONOMY": ""}
)
PROCEDURE = Coded(
    "the procedure code", "lines", "procedure_code",
    # numbers from 00100 on; CPT's II and III and Medicare's end or begin with a letter
    "^([1-9][0-9]{4}|0[1-9][0-9]{3}|00[1-9][0-9]{2}|[0-9]{4}[A-Z]|[A-Z][0-9]{4})$",
    {"CDT": "^D[0-9]{4}$", "HCPCS": "^[A-CE-Z][0-9]{4}$", "CPT": "^[0-9]{4}[0-9A-Z]$"},
    own="service_from_date",
    asked=pl.col("procedure_qualifier_code").fill_null("HC") == "HC",
)  # fmt: skip
DIAGNOSIS = Coded(
    "the diagnosis code", "diagnoses", "diagnosis_code", "^[A-Z][0-9][0-9A-Z][0-9A-Z]{0,4}$",
    {"ICD10CM": ""}, asked=~pl.col("qualifier_code").is_in(ICD_9_QUALIFIERS),
)  # fmt: skip
INPATIENT_PROCEDURE = Coded(
    "the procedure code", "procedures", "procedure_code", "^[0-9A-HJ-NP-Z]{7}$", {"ICD10PCS": ""},
    asked=~pl.col("qualifier_code").is_in(ICD_9_PROCEDURES),
)  # fmt: skip
REASON = Coded(
    "the adjustment reason code", "other_payer_adjustments", "reason_code",
    "^([0-9]{1,3}|[A-Z][0-9]{1,2})$", {"CARC": ""}, own="decided_date",
)  # fmt: skip
REMARK = Coded(
    "the remark code", "other_payers", "remark_code",
    "^(MA0[1-9]|MA[1-9][0-9]{1,2}|[MN][1-9][0-9]{0,2})$", {"RARC": ""}, own="adjudication_date",
)  # fmt: skip


# ---- providers ---------------------------------------------------------------------------------


@rule(
    level=5, element="NM109", status_code="A7:562:85", rarc="N257",
    other_codes=("A7:562:82", "A7:562:71", "A7:562:77", "A7:562:DN"),
    source="45 CFR 162.406; ISO/IEC 7812 over 80840 and the ten digits",
    mend="send the NPI as it was assigned",
)  # fmt: skip
def npi(batch: Batch, reference: Reference) -> pl.DataFrame | None:
    """A provider's NPI is not ten digits from 1 or 2 on, or its check digit is wrong."""
    codes = _distinct(batch.claim_providers, "npi")
    wrong = codes.filter(~_has_check_digit(codes))
    if wrong.is_empty():
        return None
    role = pl.col("role_code")
    return _of(batch.claim_providers, "npi", wrong).select(
        "claim_id", "line_number",
        cause=pl.lit("the NPI has not ten digits from 1 or 2 on, or its check digit is wrong"),
        element=pl.concat_str(pl.lit("NM1 "), role, pl.lit(" NM109")),
        status_code=pl.concat_str(pl.lit("A7:562:"), role),
        rarc=role.replace_strict(ROLE_REMARKS, default="N257"),
    )  # fmt: skip


def _has_check_digit(codes: pl.Series) -> pl.Series:
    """Luhn over 80840 and the NPI."""
    formed = codes.str.contains(NPI_FORM)
    digits = codes.set(~formed, "0" * 10).cast(pl.Int64)
    total = pl.repeat(NPI_PREFIX_SUM, len(codes), dtype=pl.Int64, eager=True)
    for place in range(10):  # from the right; every second one is doubled
        digit = digits // 10**place % 10
        total += digit if place % 2 == 0 else 2 * digit - 9 * (digit > 4).cast(pl.Int64)
    return formed & (total % 10 == 0)


@rule(
    level=5, element="PRV03", status_code="A7:145:85", rarc="N255",
    other_codes=("A7:145:82", "A7:145:71"),
    source="form; code_sets TAXONOMY (NUCC)", mend="send a taxonomy code that NUCC lists",
    informs=True,
)  # fmt: skip
def taxonomy_code(batch: Batch, reference: Reference) -> pl.DataFrame | None:
    """A provider's taxonomy code is none on the day of service."""
    found = _wrong(batch, reference, TAXONOMY)
    if found is None:
        return None
    return found.select(
        *FOUND, "line_number",
        element=pl.concat_str(pl.lit("PRV03 of NM1 "), "role_code"),
        status_code=pl.concat_str(pl.lit("A7:145:"), "role_code"),
    )  # fmt: skip


# ---- addresses, bills, places ------------------------------------------------------------------


@rule(
    level=5, element="N402 (paper)", status_code="A7:501:QC", rarc="MA37",
    other_codes=("A7:501:IL", "A7:501:85"),
    source="code_lists.yaml: USPS states, territories, armed forces",
    mend="send the state's two letters",
)  # fmt: skip
def state_code(batch: Batch, reference: Reference) -> pl.DataFrame | None:
    """A state on paper is none; on 837 pyx12 asks that with the guide."""
    if not batch.claims["source_format_code"].is_in(PAPER).any():
        return None
    states = load_code_lists().states
    paper = batch.claims.filter(pl.col("source_format_code").is_in(PAPER))["claim_id"].implode()
    found = [
        frame.filter(
            pl.col("claim_id").is_in(paper)
            & ~pl.col("state_code").is_in(states)
            & pl.col("country_code").fill_null("US").is_in(["US", "USA"])
        )
        for frame in (batch.people, batch.claim_providers)
    ]
    person = pl.when(pl.col("role") == "subscriber").then(pl.lit("IL")).otherwise(pl.lit("QC"))
    return pl.concat(
        rows.select(
            "claim_id", line_number=line, cause=pl.lit("the state of an address is none"),
            status_code=pl.concat_str(pl.lit("A7:501:"), entity),
        )
        for rows, line, entity in (
            (found[0], NO_LINE, person), (found[1], pl.col("line_number"), pl.col("role_code")),
        )
    )  # fmt: skip


@rule(
    level=5, element="2300 CLM05-1", status_code="A7:228", rarc="MA30",
    source="code_lists.yaml: NUBC bill types", mend="send the type of bill as NUBC lists it",
)  # fmt: skip
def bill_type(batch: Batch, reference: Reference) -> pl.DataFrame | None:
    """The first two digits of a bill's type are none of NUBC's."""
    bills = batch.claims.filter(pl.col("claim_type_code") == "I")
    if bills.is_empty():
        return None
    codes = _distinct(bills, "facility_code")
    wrong = codes.filter(~codes.is_in(load_code_lists().bill_types))
    if wrong.is_empty():
        return None
    return _of(bills, "facility_code", wrong).select(
        "claim_id", line_number=NO_LINE, cause=pl.lit(f"the type of bill {NOT_A_CODE}")
    )


@rule(
    level=5, element="2300 CLM05-1 or 2400 SV105", status_code="A7:249", rarc="M77",
    source="code_lists.yaml: CMS place of service codes, with the days they began",
    mend="send a place of service that was in use on the day",
)  # fmt: skip
def place_of_service(batch: Batch, reference: Reference) -> pl.DataFrame | None:
    """A line's place of service is none on its day."""
    codes = _distinct(batch.lines, "place_of_service_code")
    reach = _reach(batch)
    if codes.is_empty() or reach is None:
        return None
    places = _places()
    doubtful = _doubtful(codes, places, reach)
    if doubtful.is_empty():
        return None
    rows = _with_days(
        _of(batch.lines, "place_of_service_code", doubtful), batch, own="service_from_date"
    )
    return _out_of_force(rows, places).select(
        "claim_id", "line_number", cause=pl.concat_str(pl.lit("the place of service "), "cause")
    )


def _places() -> pl.DataFrame:
    places = load_code_lists().places_of_service
    return pl.DataFrame(
        [(p.code, p.start_date or date.min, p.end_date or OPEN) for p in places],
        schema={"code": pl.String, "start_date": pl.Date, "end_date": pl.Date},
        orient="row",
    )


# ---- services ----------------------------------------------------------------------------------


@rule(
    level=5, element="2400 SV201", status_code="A7:455", rarc="M50",
    source="code_lists.yaml: NUBC revenue categories", mend="send a revenue code that NUBC lists",
)  # fmt: skip
def revenue_code(batch: Batch, reference: Reference) -> pl.DataFrame | None:
    """A revenue code is not four digits, or of no category of NUBC's."""
    codes = _distinct(batch.lines, "revenue_code")
    if codes.is_empty():
        return None
    of_none = ~codes.str.slice(0, 3).is_in(load_code_lists().revenue_categories)
    wrong = codes.filter(of_none | ~codes.str.contains("^[0-9]{4}$"))
    if wrong.is_empty():
        return None
    return _of(batch.lines, "revenue_code", wrong).select(
        "claim_id", "line_number", cause=pl.lit(f"the revenue code {NOT_A_CODE}")
    )


@rule(
    level=5, element="2400 SV101-2 or SV202-2", status_code="A7:454", rarc="M51",
    source="form; code_sets CPT, HCPCS, CDT by the day of the line",
    mend="send a procedure code that is in force on the day of the line", informs=True,
)  # fmt: skip
def procedure_code(batch: Batch, reference: Reference) -> pl.DataFrame | None:
    """A procedure code (qualifier HC) is none on the day of its line."""
    found = _wrong(batch, reference, PROCEDURE)
    return None if found is None else found.select(*FOUND, "line_number")


# ---- diagnoses and inpatient procedures --------------------------------------------------------


@rule(
    level=5, element="2300 HI", status_code="A7:255", rarc="M76",
    source="45 CFR 162.1002", mend="code by ICD-9 before 2015-10-01 and by ICD-10 from then on",
)  # fmt: skip
def diagnosis_version(batch: Batch, reference: Reference) -> pl.DataFrame | None:
    """Diagnoses are coded by ICD-9 from 2015-10-01 on, or by ICD-10 before."""
    is_icd_9 = pl.col("qualifier_code").is_in(ICD_9_QUALIFIERS)
    reach = _reach(batch)
    if reach is None:
        return None
    early = reach[0] < ICD_10_FIRST_DAY  # else no ICD-10 can be too early
    doubtful = batch.diagnoses if early else batch.diagnoses.filter(is_icd_9)
    if doubtful.is_empty():
        return None
    first_day = pl.lit(ICD_10_FIRST_DAY)
    return (
        _with_days(doubtful.select("claim_id", "qualifier_code"), batch)
        .filter(
            (is_icd_9 & (pl.col("first_date") >= first_day))
            | (~is_icd_9 & (pl.col("last_date") < first_day))
        )
        .select(
            "claim_id", line_number=NO_LINE,
            cause=pl.lit("diagnoses are coded by a version of ICD that was not in use on the day"),
        )
        .unique(maintain_order=True)
    )  # fmt: skip


@rule(
    level=5, element="2300 HI", status_code="A7:255", rarc="M76", other_codes=("A7:254",),
    source="form; code_sets ICD10CM by the day of service, of a bill by its last day",
    mend="send a diagnosis code that is in force on the day of service", informs=True,
)  # fmt: skip
def diagnosis_code(batch: Batch, reference: Reference) -> pl.DataFrame | None:
    """An ICD-10-CM code is none on the day of service."""
    return _in_hi(_wrong(batch, reference, DIAGNOSIS), "ABK", ("A7:254", "A7:255"), ("MA63", "M76"))


@rule(
    level=5, element="2300 HI", status_code="A7:490", rarc="M67", other_codes=("A7:465",),
    source="form; code_sets ICD10PCS by the last day of the bill",
    mend="send a procedure code of ICD-10-PCS that is in force on the day of service",
    informs=True,
)  # fmt: skip
def inpatient_procedure_code(batch: Batch, reference: Reference) -> pl.DataFrame | None:
    """An ICD-10-PCS code is none on the day of service."""
    return _in_hi(
        _wrong(batch, reference, INPATIENT_PROCEDURE), "BBR", ("A7:465", "A7:490"), ("MA66", "M67")
    )


def _in_hi(
    found: pl.DataFrame | None, principal: str, status_codes: tuple[str, str],
    rarcs: tuple[str, str],
) -> pl.DataFrame | None:  # fmt: skip
    """What is wrong in HI: the principal's status code and RARC first, then those of the others."""
    if found is None:
        return None
    is_principal = pl.col("qualifier_code") == principal
    return found.select(
        *FOUND, line_number=NO_LINE, element=IN_HI,
        **{
            name: pl.when(is_principal).then(pl.lit(first)).otherwise(pl.lit(other))
            for name, (first, other) in (("status_code", status_codes), ("rarc", rarcs))
        },
    )  # fmt: skip


# ---- other payers ------------------------------------------------------------------------------


@rule(
    level=5, element="2320 or 2430 CAS", status_code="A7:521", rarc="N480",
    source="form; code_sets CARC by the day that payer decided",
    mend="send the adjustment reason codes of the other payer's remittance", informs=True,
)  # fmt: skip
def adjustment_reason_code(batch: Batch, reference: Reference) -> pl.DataFrame | None:
    """An adjustment reason of another payer is none on the day that it decided."""
    if batch.other_payer_adjustments.is_empty():
        return None
    payer, loop = ["claim_id", "payer_sequence"], ["claim_id", "line_number"]
    loop = [*loop, "adjudication_sequence"]
    whole = batch.other_payers.select(*payer, claim_day="adjudication_date")
    lines = batch.other_payer_lines.select(*loop, line_day="adjudication_date")
    dated = (
        batch.other_payer_adjustments.join(whole, on=payer, how="left", maintain_order="left")
        .join(lines, on=loop, how="left", maintain_order="left")
        .with_columns(decided_date=pl.coalesce("line_day", "claim_day"))
    )
    found = _wrong(batch.with_(other_payer_adjustments=dated), reference, REASON)
    if found is None:
        return None
    of_line = pl.col("line_number").is_not_null()
    return found.select(
        *FOUND, "line_number",
        element=pl.when(of_line).then(pl.lit("2430 CAS")).otherwise(pl.lit("2320 CAS")),
    )  # fmt: skip


@rule(
    level=5, element="2320 MIA or MOA", status_code="A7:286", rarc="N480",
    source="form; code_sets RARC by the day that payer decided",
    mend="send the remark codes of the other payer's remittance", informs=True,
)  # fmt: skip
def remittance_remark_code(batch: Batch, reference: Reference) -> pl.DataFrame | None:
    """A remark code of another payer is none on the day that it decided."""
    payers = batch.other_payers
    if payers["remark_codes"].null_count() == payers.height:
        return None
    told = (
        payers.select(
            "claim_id", "adjudication_date", remark_code=pl.col("remark_codes").str.split(":")
        )
        .explode("remark_code")
        .drop_nulls("remark_code")
    )
    found = _wrong(batch.with_(other_payers=told), reference, REMARK)
    return None if found is None else found.select(*FOUND, line_number=NO_LINE)
