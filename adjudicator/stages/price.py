"""Price: the allowed amount of every line that no edit denies, and the figures it came from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from operator import and_, or_
from typing import NamedTuple

import polars as pl

from adjudicator.money import BASIS_POINTS, cents, divide_half_up, wide
from adjudicator.pipeline import Batch
from adjudicator.reference import Reference, as_of
from schemas.program import BenefitCategoryRule

# Where Medicare pays a physician the facility rate, and where the other one: Medicare Claims
# Processing Manual (100-04) chapter 12 section 20.4.2, chapter 26 section 10.5. 02 is telehealth
# away from home, 10 telehealth at home. A code in neither list prices nothing.
FACILITY_PLACES = (
    "02", "06", "08", "19", "21", "22", "23", "24", "26", "31", "34", "41", "42", "51", "52",
    "53", "56", "61",
)  # fmt: skip
NONFACILITY_PLACES = (
    "01", "03", "04", "05", "07", "09", "10", "11", "12", "13", "14", "15", "16", "17", "18",
    "20", "25", "27", "32", "33", "49", "50", "54", "55", "57", "58", "60", "62", "65", "66",
    "71", "72", "81", "99",
)  # fmt: skip

# Status indicators whose relative values Medicare pays by (CMS's notes to the relative value
# file): A active, R restricted coverage, T paid only where the same provider renders nothing else
# payable under the schedule that day. No other has a price here yet: B and P are bundled, C is
# priced by the carrier, I, N, X, E, J, M … are paid otherwise or not at all.
PAID_STATUSES = ("A", "R", "T")
ALONE_STATUS = "T"

# Modifiers with relative values of their own, and those that change what Medicare pays in a way
# that has no rule here yet (100-04 chapter 12 sections 20.4, 40 and 110; FX, FY, CT chapter 13;
# CO, CQ chapter 5). A line with one of the latter pends rather than be paid in full [j].
VALUED_MODIFIERS = ("26", "TC", "53")
UNPRICED_MODIFIERS = (
    "22", "50", "51", "52", "54", "55", "56", "62", "66", "73", "74", "78", "80", "81", "82",
    "AS", "CO", "CQ", "CT", "FX", "FY",
)  # fmt: skip

UNITS = 1_000  # a quantity is thousandths
FEE_SCALE = 10**7  # hundredths (RVU) x thousandths (GPCI) x ten-thousandths (factor) to cents

KEYS = ["claim_id", "line_number"]
PEND = {"edit": "missing_reference", "disposition": "pend", "pend_code": "REFERENCE"}
EDIT_RANK = 900


class Check(NamedTuple):
    """A value no price can do without: when it's missing, from which table, under which key."""

    missing: pl.Expr
    table: str
    key: Sequence[str]
    reason: str


class Method(NamedTuple):
    """A way to price: what it looks up and needs, its amount (wide), the figures it shows."""

    look_up: Callable[[pl.DataFrame, Reference, pl.DataFrame], pl.DataFrame]
    checks: Sequence[Check]
    amount: pl.Expr
    inputs: Sequence[str]


def price(batch: Batch, reference: Reference) -> Batch:
    """IdentifiedLines → PricedLines: what the contract, or Medicare's rate without one, allows.

    Cents; 001:3306-3309. Every value is the one in force on the line's ``decision_date``.
    ``percent_of_medicare``: the physician fee of one unit, rounded to cents as CMS publishes it,
    times units times the rate, rounded once. ``fee_table``: the fee of the first of the line's
    modifiers that has one, else the fee without modifier, times units. The lesser of that and
    the charge, unless the contract says otherwise.

    A line denied by a finding keeps null in all four columns. A line that lacks a value gets no
    amount and a pend ``missing_reference`` whose inputs name each table, key and date. Rows keep
    their order.
    """
    lines = _with_terms(_standing_lines(batch), reference).with_columns(
        benefit_category=_benefit_category(reference.benefit_categories)
    )
    known = pl.col("method").is_in(list(METHODS)).fill_null(False)
    parts = [_priced(lines.filter(~known), NO_METHOD, reference, batch.history)]
    for name, method in METHODS.items():
        parts.append(_priced(lines.filter(method=name), method, reference, batch.history))
    answers = pl.concat(answer for answer, _ in parts)
    pends = _pends(pl.concat(missing for _, missing in parts), batch.findings.columns)
    return batch.with_(
        lines=batch.lines.join(answers, on=KEYS, how="left", maintain_order="left"),
        findings=pl.concat([batch.findings, pends]),
    )


def _standing_lines(batch: Batch) -> pl.DataFrame:
    """The lines no finding denies, with what pricing reads of their claims."""
    denied = batch.findings.filter(disposition="deny").select(KEYS)
    claims = batch.claims.select(
        "claim_id",
        "claim_type_code",
        "program_code",
        "member_id",
        bill_type="facility_code",
        zip_code=pl.col("facility_zip_code").str.slice(0, 5),
        claim_provider_number=pl.coalesce("rendering_npi", "billing_npi"),
    )
    return (
        batch.lines.join(denied, on=KEYS, how="anti", maintain_order="left")
        .join(
            denied.filter(pl.col("line_number").is_null()),
            on="claim_id",
            how="anti",
            maintain_order="left",
        )
        .join(claims, on="claim_id", how="left", maintain_order="left")
        .select(
            *KEYS,
            "claim_type_code",
            "program_code",
            "member_id",
            "bill_type",
            "zip_code",
            "contract_id",
            "decision_date",
            "revenue_code",
            "procedure_code",
            "modifier_codes",
            "place_of_service_code",
            "unit_basis_code",
            "unit_quantity",
            "charge_amount",
            provider_number=pl.coalesce("rendering_npi", "claim_provider_number"),
        )
    )


def _with_terms(lines: pl.DataFrame, reference: Reference) -> pl.DataFrame:
    """``method`` and its terms: of the line's contract, or of the program where it has none."""
    contracts = reference.tables["contracts"].select(
        "contract_id",
        "start_date",
        "end_date",
        "fee_table_code",
        "lesser_of_charge",
        contract_method="pricing_method_code",
        contract_rate="rate_basis_points",
    )
    programs = pl.DataFrame(
        [
            (code, p.out_of_network.pricing_method_code, p.out_of_network.rate_basis_points)
            for code, p in sorted(reference.programs.items())
        ],
        schema={
            "program_code": pl.String,
            "program_method": pl.String,
            "program_rate": pl.Int64,
        },
        orient="row",
    )
    contracted = pl.col("contract_id").is_not_null()
    return (
        as_of(lines, contracts, on="decision_date", by=["contract_id"])
        .join(programs, on="program_code", how="left", maintain_order="left")
        .with_columns(
            # Medicare pays no more than the charge (Social Security Act 1833(a)(1)); nor does a
            # contract that doesn't say [j]
            pl.col("lesser_of_charge").fill_null(True),
            method=pl.when(contracted).then("contract_method").otherwise("program_method"),
            rate_basis_points=pl.when(contracted).then("contract_rate").otherwise("program_rate"),
        )
    )


def _priced(
    lines: pl.DataFrame, method: Method, reference: Reference, history: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The answers for the lines of one method, and what is missing: a row a line and check."""
    lines = method.look_up(lines, reference, history)
    lines = lines.with_columns(
        # a check whose condition is unknown hasn't failed
        check.missing.fill_null(False).alias(f"_{i}")
        for i, check in enumerate(method.checks)
    )
    lacking = pl.any_horizontal(f"_{i}" for i in range(len(method.checks)))
    lines = lines.with_columns(
        priced_amount=pl.when(~lacking).then(cents(method.amount)),
        beyond=~lacking,
    ).with_columns(
        pl.col("beyond") & pl.col("priced_amount").is_null(),
        allowed_amount=pl.when(
            pl.col("lesser_of_charge") & (pl.col("charge_amount") < pl.col("priced_amount"))
        )
        .then("charge_amount")
        .otherwise("priced_amount"),
    )
    inputs = pl.struct(*SHOWN, *method.inputs).struct.json_encode()
    answers = lines.select(
        *KEYS,
        "allowed_amount",
        pricing_method_code="method",
        pricing_inputs=pl.when(pl.col("priced_amount").is_not_null()).then(inputs),
        benefit_category="benefit_category",
    )
    missing = [
        lines.filter(flag).select(
            *KEYS,
            check=pl.lit(i),
            item=pl.struct(
                table=pl.lit(check.table),
                key=pl.struct(*check.key),
                date="decision_date",
                reason=pl.lit(check.reason),
            ).struct.json_encode(),
        )
        for i, (flag, check) in enumerate(
            [*((f"_{i}", check) for i, check in enumerate(method.checks)), ("beyond", BEYOND)]
        )
    ]
    return answers, pl.concat(missing)


def _pends(missing: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    """One finding a line that lacks something; its inputs list all it lacks."""
    nulls = ("group_code", "carc", "rarc", "status_code")
    return (
        missing.sort(*KEYS, "check")
        .group_by(KEYS, maintain_order=True)
        .agg(items=pl.col("item").str.join(","))
        .with_columns(
            inputs=pl.concat_str(pl.lit('{"missing":['), "items", pl.lit("]}")),
            edit_rank=pl.lit(EDIT_RANK, dtype=pl.Int64),
            **{name: pl.lit(value) for name, value in PEND.items()},
            **{name: pl.lit(None, dtype=pl.String) for name in nulls},
        )
        .select(columns)
    )


# ---- no method -------------------------------------------------------------------------------

DATED = pl.col("decision_date").is_not_null()
CONTRACTED = pl.col("contract_id").is_not_null()
NO_DATE = Check(~DATED, "lines", KEYS, "no date of service")
BEYOND = Check(
    pl.lit(False),  # known only once the amount is
    "lines",
    ["unit_quantity"],
    "the price is beyond the largest amount a claim may carry",
)
# what the line's own columns don't tell already: rows are what a night costs
SHOWN = ("decision_date", "priced_amount", "lesser_of_charge")


def _units(*bases: str) -> Check:
    return Check(
        ~(pl.col("unit_basis_code").is_in(bases) & (pl.col("unit_quantity") > 0)).fill_null(False),
        "lines",
        ["unit_basis_code", "unit_quantity"],
        f"not a number of units counted as {' or '.join(bases)}",
    )


def _as_they_are(
    lines: pl.DataFrame, _reference: Reference, _history: pl.DataFrame
) -> pl.DataFrame:
    return lines


NO_METHOD = Method(
    look_up=_as_they_are,
    checks=[
        NO_DATE,
        Check(
            DATED & CONTRACTED & pl.col("method").is_null(),
            "contracts",
            ["contract_id"],
            "no row in force",
        ),
        Check(
            CONTRACTED & pl.col("method").is_not_null(),
            "contracts",
            ["contract_id", "method"],
            "no such pricing method",
        ),
        Check(~CONTRACTED, "programs", ["program_code"], "no such program"),
    ],
    amount=pl.lit(None, dtype=pl.Int128),
    inputs=(),
)


# ---- fee table -------------------------------------------------------------------------------


def _with_fee(lines: pl.DataFrame, reference: Reference, _history: pl.DataFrame) -> pl.DataFrame:
    """``fee_amount`` and ``fee_modifier_code`` of the contract's fee table.

    By procedure code, or revenue code on a line without. A fee of a modifier the line carries,
    in the order sent, comes before the fee without.
    """
    lines = lines.with_columns(fee_code=pl.coalesce("procedure_code", "revenue_code"))
    candidates = lines.select(
        *KEYS,
        "fee_table_code",
        "fee_code",
        "decision_date",
        fee_modifier_code=pl.concat_list(
            pl.col("modifier_codes").fill_null("").str.split(":"), pl.lit("")
        ),
    ).explode("fee_modifier_code")
    fees = reference.tables["fees"].select(
        "fee_table_code",
        "start_date",
        "end_date",
        "fee_amount",
        fee_code="procedure_code",
        fee_modifier_code=pl.col("modifier_code").fill_null(""),
    )
    by = ["fee_table_code", "fee_code", "fee_modifier_code"]
    found = (
        as_of(candidates, fees, on="decision_date", by=by)
        .filter(pl.col("fee_amount").is_not_null())
        .unique(KEYS, keep="first", maintain_order=True)
        .select(*KEYS, "fee_modifier_code", "fee_amount")
    )
    return lines.join(found, on=KEYS, how="left", maintain_order="left")


FEE_TABLE = Method(
    look_up=_with_fee,
    checks=[
        NO_DATE,
        _units("UN", "DA"),
        Check(
            pl.col("fee_table_code").is_null(),
            "contracts",
            ["contract_id", "fee_table_code"],
            "the contract names no fee table",
        ),
        Check(
            DATED & pl.col("fee_table_code").is_not_null() & pl.col("fee_amount").is_null(),
            "fees",
            ["fee_table_code", "fee_code", "modifier_codes"],
            "no row in force",
        ),
    ],
    amount=divide_half_up(wide(pl.col("fee_amount")) * pl.col("unit_quantity"), UNITS),
    inputs=("fee_table_code", "fee_code", "fee_modifier_code", "fee_amount"),
)


# ---- percent of Medicare ---------------------------------------------------------------------


def _with_medicare_fee(
    lines: pl.DataFrame, reference: Reference, history: pl.DataFrame
) -> pl.DataFrame:
    """``medicare_fee_amount``: Medicare's physician fee of one unit, and all it is made of.

    (work x GPCI + practice expense x GPCI + malpractice x GPCI) x conversion factor, practice
    expense by place of service, in the locality of the service's ZIP code (42 CFR 414.20-414.26).
    Imaging is held to the outpatient hospital amount (Social Security Act 1848(b)(4)). A modifier
    with relative values of its own needs them; nothing falls back on those of the whole service.
    """
    values = (
        reference.tables["physician_fee_values"]
        .with_columns(pl.col("modifier_code").fill_null(""), values_start_date="start_date")
        .drop("professional_technical_code", "global_days_code", "multiple_procedure_code")
    )
    localities = reference.tables["zip_localities"].drop("state_code")
    indexes = reference.tables["geographic_cost_indexes"].with_columns(
        indexes_start_date="start_date"
    )
    place = pl.col("place_of_service_code")
    lines = lines.with_columns(
        fee_modifier_count=FEE_MODIFIERS.list.len(),
        modifier_code=FEE_MODIFIERS.list.get(0, null_on_oob=True).fill_null(""),
        is_facility=pl.when(place.is_in(FACILITY_PLACES))
        .then(True)
        .when(place.is_in(NONFACILITY_PLACES))
        .then(False),
    )
    lines = as_of(lines, values, on="decision_date", by=["procedure_code", "modifier_code"])
    lines = as_of(lines, localities, on="decision_date", by=["zip_code"])
    lines = as_of(lines, indexes, on="decision_date", by=["carrier_number", "locality_number"])
    lines = lines.with_columns(
        pl.when(pl.col("is_facility"))
        .then(f"facility_{expense}")
        .otherwise(f"nonfacility_{expense}")
        .alias(expense)
        for expense in ("expense_units", "cap_expense_units")
    ).with_columns(
        schedule_fee_amount=_physician_fee("expense_units", "malpractice_units"),
        cap_fee_amount=pl.when(pl.col("cap_expense_units") > 0).then(
            _physician_fee("cap_expense_units", "cap_malpractice_units")
        ),
    )
    capped = pl.col("cap_fee_amount") < pl.col("schedule_fee_amount")
    return _with_companions(lines, history, values).with_columns(
        medicare_fee_amount=pl.when(capped).then("cap_fee_amount").otherwise("schedule_fee_amount")
    )


# the line's modifiers that Medicare's fee depends on, each once, in the order sent
FEE_MODIFIERS = (
    pl.col("modifier_codes")
    .fill_null("")
    .str.extract_all(rf"\b(?:{'|'.join((*VALUED_MODIFIERS, *UNPRICED_MODIFIERS))})\b")
    .list.unique(maintain_order=True)
)


def _physician_fee(expense: str, malpractice: str) -> pl.Expr:
    units = (
        wide(pl.col("work_units")) * pl.col("work_index")
        + wide(pl.col(expense)) * pl.col("expense_index")
        + wide(pl.col(malpractice)) * pl.col("malpractice_index")
    )
    return cents(divide_half_up(units * pl.col("conversion_factor"), FEE_SCALE))


def _with_companions(
    lines: pl.DataFrame, history: pl.DataFrame, values: pl.DataFrame
) -> pl.DataFrame:
    """``has_companion``: the provider rendered another payable service to the member that day.

    Looked up for lines of status T alone, among tonight's lines of this method and earlier ones.
    """
    day = ["member_id", "provider_number", "decision_date"]
    alone = lines.filter(status_code=ALONE_STATUS).select(*KEYS, *day)
    if alone.is_empty():
        return lines.with_columns(has_companion=pl.lit(False))
    earlier = as_of(
        history.select(
            "member_id",
            "provider_number",
            "procedure_code",
            decision_date="service_from_date",
            modifier_code=FEE_MODIFIERS.list.get(0, null_on_oob=True).fill_null(""),
        ),
        values,
        on="decision_date",
        by=["procedure_code", "modifier_code"],
    )
    payable = pl.col("status_code").is_in([s for s in PAID_STATUSES if s != ALONE_STATUS])
    services = pl.concat([lines.filter(payable).select(day), earlier.filter(payable).select(day)])
    bundled = alone.join(services, on=day, how="semi").select(*KEYS, has_companion=pl.lit(True))
    return lines.join(bundled, on=KEYS, how="left", maintain_order="left")


# a check asks only for what those before it don't already lack
PROFESSIONAL = DATED & (pl.col("claim_type_code") == "P")
PRICEABLE = PROFESSIONAL & (
    (pl.col("fee_modifier_count") == 0)
    | ((pl.col("fee_modifier_count") == 1) & pl.col("modifier_code").is_in(VALUED_MODIFIERS))
)
PAID_BY_VALUES = PRICEABLE & pl.col("status_code").is_in(PAID_STATUSES)
FEE_VALUE = ("physician_fee_values", ["procedure_code", "modifier_code"])
FEE_STATUS = ("physician_fee_values", ["procedure_code", "modifier_code", "status_code"])

PERCENT_OF_MEDICARE = Method(
    look_up=_with_medicare_fee,
    checks=[
        NO_DATE,
        _units("UN"),
        Check(
            DATED & ~(pl.col("rate_basis_points") > 0).fill_null(False),
            "contracts",
            ["contract_id", "rate_basis_points"],
            "the contract names no rate",
        ),
        Check(
            pl.col("claim_type_code") == "I",
            "medicare_facility_rates",
            ["revenue_code", "procedure_code"],
            "no Medicare rates for institutional claims",
        ),
        Check(
            PROFESSIONAL & ~PRICEABLE,
            "physician_fee_values",
            ["procedure_code", "modifier_codes"],
            "no pricing rule for these modifiers",
        ),
        Check(PRICEABLE & pl.col("status_code").is_null(), *FEE_VALUE, "no row in force"),
        Check(
            PRICEABLE & ~pl.col("status_code").is_in(PAID_STATUSES),
            *FEE_STATUS,
            "this status indicator is not paid by relative values",
        ),
        Check(
            PAID_BY_VALUES
            & (pl.sum_horizontal("work_units", "expense_units", "malpractice_units") == 0),
            *FEE_STATUS,
            "no relative values: the carrier prices it",
        ),
        Check(
            PAID_BY_VALUES & pl.col("has_companion"),
            *FEE_STATUS,
            "not paid beside another service of the same provider that day",
        ),
        Check(
            PROFESSIONAL & pl.col("is_facility").is_null(),
            "place_of_service",
            ["place_of_service_code"],
            "neither a facility nor a non-facility place",
        ),
        Check(
            PROFESSIONAL & pl.col("carrier_number").is_null(),
            "zip_localities",
            ["zip_code"],
            "no row in force",
        ),
        Check(
            PROFESSIONAL & pl.col("carrier_number").is_not_null() & pl.col("work_index").is_null(),
            "geographic_cost_indexes",
            ["carrier_number", "locality_number"],
            "no row in force",
        ),
    ],
    amount=divide_half_up(
        wide(pl.col("medicare_fee_amount")) * pl.col("unit_quantity") * pl.col("rate_basis_points"),
        UNITS * BASIS_POINTS,
    ),
    inputs=(
        "modifier_code",
        "status_code",
        "place_of_service_code",
        "is_facility",
        "zip_code",
        "carrier_number",
        "locality_number",
        "work_units",
        "expense_units",
        "malpractice_units",
        "work_index",
        "expense_index",
        "malpractice_index",
        "conversion_factor",
        "cap_fee_amount",
        "medicare_fee_amount",
        "rate_basis_points",
        "values_start_date",
        "indexes_start_date",
    ),
)

METHODS = {"percent_of_medicare": PERCENT_OF_MEDICARE, "fee_table": FEE_TABLE}


# ---- benefit category ------------------------------------------------------------------------


def _benefit_category(rules: Sequence[BenefitCategoryRule]) -> pl.Expr:
    """The category of the first rule whose every condition holds; null where none does."""
    category: pl.Expr = pl.lit(None, dtype=pl.String)
    for rule in reversed(rules):
        category = pl.when(_holds(rule)).then(pl.lit(rule.category)).otherwise(category)
    return category


def _holds(rule: BenefitCategoryRule) -> pl.Expr:
    claim_type = pl.col("claim_type_code")
    conditions = [pl.lit(True)]
    if rule.claim_type_code is not None:
        conditions.append(claim_type == rule.claim_type_code)
    for column, ranges in (
        ("procedure_code", rule.procedure_ranges),
        ("revenue_code", rule.revenue_ranges),
    ):
        code = pl.col(column)
        if ranges:
            conditions.append(reduce(or_, [(code >= a) & (code <= b) for a, b in ranges]))
    # 11 is an office on a professional claim and an inpatient hospital as a bill type
    if rule.bill_types:
        conditions.append((claim_type == "I") & pl.col("bill_type").is_in(rule.bill_types))
    if rule.places_of_service:
        place = pl.col("place_of_service_code")
        conditions.append((claim_type == "P") & place.is_in(rule.places_of_service))
    return reduce(and_, conditions).fill_null(False)
