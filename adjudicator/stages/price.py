"""Price: the allowed amount of every line that no edit denies, and the figures it came from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import NamedTuple

import polars as pl

from adjudicator.categories import benefit_category
from adjudicator.corrections import history_beside
from adjudicator.edits.stays import ROOM_AND_BOARD
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

FOREVER = date(9999, 12, 31)
UNITS = 1_000  # a quantity is thousandths
FEE_SCALE = 10**7  # hundredths (RVU) x thousandths (GPCI) x ten-thousandths (factor) to cents

KEYS = ["claim_id", "line_number"]
PEND = {"edit": "missing_reference", "disposition": "pend", "pend_code": "REFERENCE"}
EDIT_RANK = 900

# what pricing_method_code says where no method of a contract sets what is paid for the line
PACKAGED = "packaged"  # the price of other lines of its claim pays for it
CAPITATED = "capitated"  # a payee's monthly payment covers it: prepaid (001:2163-2164)


class Check(NamedTuple):
    """A value no price can do without: when it's missing, from which table, under which key."""

    missing: pl.Expr
    table: str
    key: Sequence[str]
    reason: str


Look = Callable[[pl.DataFrame, Reference], pl.DataFrame]
LookBeside = Callable[[pl.DataFrame, Reference, Batch], pl.DataFrame]

LESSER_OF_CHARGE = (
    pl.when(pl.col("lesser_of_charge") & (pl.col("charge_amount") < pl.col("priced_amount")))
    .then("charge_amount")
    .otherwise("priced_amount")
)


class Method(NamedTuple):
    """A way to price.

    ``depends_on``: the columns of a line that its price rests on beside the contract's; what is
    equal in them is looked up and priced once. ``look_up`` brings the values, ``checks`` say
    which are missing, ``amount`` (wide) is the price and ``inputs`` the figures it shows.
    ``look_beside`` adds, line by line, what the claim or other lines tell. ``allowed``: from
    ``priced_amount`` and the charges. ``code``: what the line is said to be priced by; ``shown``:
    the figures and what is the line's own among them.
    """

    depends_on: Sequence[str]
    look_up: Look
    checks: Sequence[Check]
    amount: pl.Expr
    inputs: Sequence[str]
    look_beside: LookBeside | None = None
    allowed: pl.Expr = LESSER_OF_CHARGE
    code: pl.Expr = pl.col("method")
    shown: pl.Expr = pl.col("shown")


def price(batch: Batch, reference: Reference) -> Batch:
    """IdentifiedLines → PricedLines: what the contract, or Medicare's rate without one, allows.

    Cents; 001:3306-3309. Every value is the one in force on the line's ``decision_date``.
    ``percent_of_medicare``: the physician fee of one unit, rounded to cents as CMS publishes it,
    times units times the rate, rounded once. ``fee_table``: the fee of the first of the line's
    modifiers that has one, else the fee without modifier, times units. ``percent_of_charge``: the
    rate times the charge. The lesser of that and the charge, unless the contract says otherwise.
    ``per_diem``: days of room and board times the daily rate of the revenue code; the stay's
    other lines are ``packaged`` and allowed nothing. The lesser is of all days and all charges of
    the stay [j].

    A line that the capitation table covers is ``capitated``: allowed what the contract allows,
    for the record, at most the charge; where the contract can't price it, the charge, since
    nothing will be paid by it and capitated payees often have no fee table [j].

    A line denied by a finding keeps null in all four columns. A line that lacks a value gets no
    amount and a pend ``missing_reference`` whose inputs name each table, key and date. Rows keep
    their order.
    """
    lines = _with_terms(_standing_lines(batch), reference)
    lines = lines.hstack([_benefit_categories(lines, reference.benefit_categories)])
    lines = _with_capitation(lines, batch, reference)
    answers, missing = [], []
    for (name,), of_method in lines.partition_by("method", as_dict=True).items():
        answered, lacks = _priced(of_method, METHODS.get(name, NO_METHOD), reference, batch)
        answers.append(answered)
        missing += lacks
    return batch.with_(
        lines=_answered(batch.lines, answers),
        findings=pl.concat([batch.findings, _pends(missing, batch.findings.columns)])
        if missing
        else batch.findings,
    )


def _standing_lines(batch: Batch) -> pl.DataFrame:
    """The lines no finding denies, with what pricing reads of their claims; ``row``: where each
    stands in the batch."""
    denied = batch.findings.filter(disposition="deny").select(KEYS)
    lines = batch.lines.select(
        *KEYS,
        "contract_id",
        "decision_date",
        "revenue_code",
        "procedure_code",
        "modifier_codes",
        "place_of_service_code",
        "unit_basis_code",
        "unit_quantity",
        "charge_amount",
    ).with_row_index("row")
    if denied.height:
        whole = denied.filter(pl.col("line_number").is_null())["claim_id"]
        lines = lines.join(denied, on=KEYS, how="anti", maintain_order="left").filter(
            ~pl.col("claim_id").is_in(whole.implode())
        )
    claims = batch.claims.select(
        "claim_id",
        "claim_type_code",
        "program_code",
        bill_type="facility_code",
        zip_code=pl.col("facility_zip_code").str.slice(0, 5),
    )
    return lines.join(claims, on="claim_id", how="left", maintain_order="left")


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
    asked = ["contract_id", "decision_date", "program_code"]
    terms = (
        as_of(lines.select(asked).unique(), contracts, on="decision_date", by=["contract_id"])
        .join(programs, on="program_code", how="left")
        .select(
            *asked,
            "fee_table_code",
            # Medicare pays no more than the charge (Social Security Act 1833(a)(1)); nor does a
            # contract that doesn't say [j]
            pl.col("lesser_of_charge").fill_null(True),
            method=pl.when(contracted).then("contract_method").otherwise("program_method"),
            rate_basis_points=pl.when(contracted).then("contract_rate").otherwise("program_rate"),
        )
    )
    return lines.join(terms, on=asked, how="left", nulls_equal=True, maintain_order="left")


def _with_capitation(lines: pl.DataFrame, batch: Batch, reference: Reference) -> pl.DataFrame:
    """``capitated``: whether the payee was paid beforehand for the line (001:2061-2063, 3306-3308).

    A row of the table covers its payee's lines in its program: of the members whose primary care
    provider is of its medical group, and in its benefit category, where it names them.
    """
    table = reference.tables["capitation"]
    claims = batch.claims.select("claim_id", "member_id", "payee_id")
    paid_ahead = claims.filter(pl.col("payee_id").is_in(table["payee_id"].implode()))
    if paid_ahead.is_empty():
        return lines.with_columns(capitated=pl.lit(False))
    groups = reference.tables["primary_care"].select(
        "member_id", "start_date", "end_date", member_group="medical_group_id"
    )
    asked = as_of(
        lines.select("row", "claim_id", "program_code", "decision_date", "benefit_category").join(
            paid_ahead, on="claim_id", maintain_order="left"
        ),
        groups,
        on="decision_date",
        by=["member_id"],
    )
    covers = asked.join(
        table.rename({"benefit_category": "of_category"}), on=["payee_id", "program_code"]
    ).filter(
        pl.col("decision_date").is_between("start_date", pl.col("end_date").fill_null(FOREVER)),
        pl.col("of_category").is_null() | (pl.col("of_category") == pl.col("benefit_category")),
        pl.col("medical_group_id").is_null()
        | (pl.col("medical_group_id") == pl.col("member_group")),
    )
    return lines.with_columns(capitated=pl.col("row").is_in(covers["row"].unique().implode()))


def _priced(
    lines: pl.DataFrame, method: Method, reference: Reference, batch: Batch
) -> tuple[pl.DataFrame, list[pl.DataFrame]]:
    """The answers for the lines of one method, and what is missing: a row a line and check."""
    if method.look_beside:
        lines = method.look_beside(lines, reference, batch)
    asked = method.look_up(lines.select(*OF_TERMS, *method.depends_on).unique(), reference)
    flags = [f"_{i}" for i in range(len(method.checks))]
    asked = (
        asked.with_columns(
            # a check whose condition is unknown hasn't failed
            check.missing.fill_null(False).alias(flag)
            for flag, check in zip(flags, method.checks, strict=True)
        )
        .with_columns(
            pl.when(~pl.any_horizontal(flags)).then(cents(method.amount)).alias("priced_amount"),
            beyond=~pl.any_horizontal(flags),
        )
        .with_columns(
            pl.col("beyond") & pl.col("priced_amount").is_null(),
            shown=pl.struct(*SHOWN, *method.inputs).struct.json_encode(),
        )
    )
    on = [*OF_TERMS, *method.depends_on]
    lines = lines.join(
        asked.select(*on, "priced_amount", "shown"),
        on=on,
        how="left",
        nulls_equal=True,
        maintain_order="left",
    ).with_columns(allowed_amount=method.allowed)
    answers = lines.select(
        "row",
        "capitated",
        "charge_amount",
        "allowed_amount",
        pricing_method_code=method.code,
        pricing_inputs=pl.when(pl.col("priced_amount").is_not_null()).then(method.shown),
        benefit_category="benefit_category",
    )
    lacking = lines.filter(pl.col("priced_amount").is_null() & ~pl.col("capitated"))
    if lacking.is_empty():
        return answers, []
    more = [c for c in asked.columns if c not in lacking.columns]
    lacking = lacking.join(
        asked.select(*on, *more), on=on, how="left", nulls_equal=True, maintain_order="left"
    )
    missing = [
        lacking.filter(flag).select(
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
            [*zip(flags, method.checks, strict=True), ("beyond", BEYOND)]
        )
        if asked[flag].any()
    ]
    return answers, missing


def _answered(lines: pl.DataFrame, answers: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """The batch's lines with the answers beside them, null where a line is denied."""
    names = ["allowed_amount", "pricing_method_code", "pricing_inputs", "benefit_category"]
    if not answers:
        return lines.with_columns(
            pl.lit(None, dtype=pl.Int64 if name.endswith("_amount") else pl.String).alias(name)
            for name in names
        )
    answer = pl.concat(answers)
    if answer["capitated"].any():
        answer = answer.with_columns(_capitated())
    if answer.height == lines.height:
        return lines.hstack(answer.sort("row").select(names))
    rows = lines.select(pl.int_range(pl.len(), dtype=pl.UInt32).alias("row"))
    found = rows.join(answer.select("row", *names), on="row", how="left", maintain_order="left")
    return lines.hstack(found.select(names))


def _capitated() -> Sequence[pl.Expr]:
    """A capitated line's answers: what its contract said stays as the figures it shows."""
    known = pl.col("allowed_amount").is_not_null()
    by = pl.when(known).then("pricing_method_code").otherwise(pl.lit("charge"))
    figures = pl.when(known).then(pl.format(",{}", pl.col("pricing_inputs").str.slice(1)))
    answers = {
        "allowed_amount": pl.min_horizontal("allowed_amount", "charge_amount"),
        "pricing_method_code": pl.lit(CAPITATED),
        "pricing_inputs": pl.format('{{"priced_by":"{}"{}', by, figures.fill_null(pl.lit("}"))),
    }
    return [
        pl.when("capitated").then(answer).otherwise(pl.col(name)).alias(name)
        for name, answer in answers.items()
    ]


def _pends(missing: Sequence[pl.DataFrame], columns: Sequence[str]) -> pl.DataFrame:
    """One finding a line that lacks something; its inputs list all it lacks."""
    nulls = ("group_code", "carc", "rarc", "status_code")
    return (
        pl.concat(missing)
        .sort(*KEYS, "check")
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
INSTITUTIONAL = pl.col("claim_type_code") == "I"
NO_DATE = Check(~DATED, "lines", KEYS, "no date of service")
NO_RATE = Check(
    DATED & ~(pl.col("rate_basis_points") > 0).fill_null(False),
    "contracts",
    ["contract_id", "rate_basis_points"],
    "the contract names no rate",
)
FEE_TABLE_NAMED = pl.col("fee_table_code").is_not_null()
NO_FEE_TABLE = Check(
    ~FEE_TABLE_NAMED,
    "contracts",
    ["contract_id", "fee_table_code"],
    "the contract names no fee table",
)
BEYOND = Check(
    pl.lit(False),  # known only once the amount is
    "lines",
    ["unit_quantity"],
    "the price is beyond the largest amount a claim may carry",
)
# what every price rests on, whatever the method
OF_TERMS = ("decision_date", "lesser_of_charge")
# what the line's own columns don't tell already: rows are what a night costs
SHOWN = ("decision_date", "priced_amount", "lesser_of_charge")


def _units(*bases: str, where: pl.Expr | None = None) -> Check:
    counted = pl.col("unit_basis_code").is_in(bases) & (pl.col("unit_quantity") > 0)
    wrong = ~counted.fill_null(False)
    return Check(
        wrong if where is None else where & wrong,
        "lines",
        ["unit_basis_code", "unit_quantity"],
        f"not a number of units counted as {' or '.join(bases)}",
    )


def _as_they_are(lines: pl.DataFrame, _reference: Reference) -> pl.DataFrame:
    return lines


NO_METHOD = Method(
    depends_on=("contract_id", "method"),
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


def _with_fee(lines: pl.DataFrame, reference: Reference) -> pl.DataFrame:
    """``fee_amount`` and ``fee_modifier_code`` of the contract's fee table.

    By procedure code, or revenue code on a line without. A fee of a modifier the line carries,
    in the order sent, comes before the fee without.
    """
    lines = lines.with_columns(
        fee_code=pl.coalesce("procedure_code", "revenue_code")
    ).with_row_index("_asked")
    candidates = lines.select(
        "_asked",
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
        .unique("_asked", keep="first", maintain_order=True)
        .select("_asked", "fee_modifier_code", "fee_amount")
    )
    return lines.join(found, on="_asked", how="left", maintain_order="left")


FEE_TABLE = Method(
    depends_on=(
        "fee_table_code",
        "revenue_code",
        "procedure_code",
        "modifier_codes",
        "unit_basis_code",
        "unit_quantity",
    ),
    look_up=_with_fee,
    checks=[
        NO_DATE,
        _units("UN", "DA"),
        NO_FEE_TABLE,
        Check(
            DATED & FEE_TABLE_NAMED & pl.col("fee_amount").is_null(),
            "fees",
            ["fee_table_code", "fee_code", "modifier_codes"],
            "no row in force",
        ),
    ],
    amount=divide_half_up(wide(pl.col("fee_amount")) * pl.col("unit_quantity"), UNITS),
    inputs=("fee_table_code", "fee_code", "fee_modifier_code", "fee_amount"),
)


# ---- percent of Medicare ---------------------------------------------------------------------


def _with_medicare_fee(lines: pl.DataFrame, reference: Reference) -> pl.DataFrame:
    """``medicare_fee_amount``: Medicare's physician fee of one unit, and all it is made of.

    (work x GPCI + practice expense x GPCI + malpractice x GPCI) x conversion factor, practice
    expense by place of service, in the locality of the service (42 CFR 414.20-414.26).
    Imaging is held to the outpatient hospital amount (Social Security Act 1848(b)(4)). A modifier
    with relative values of its own needs them; nothing falls back on those of the whole service.
    """
    indexes = reference.tables["geographic_cost_indexes"].with_columns(
        indexes_start_date="start_date"
    )
    place = pl.col("place_of_service_code")
    lines = lines.with_columns(
        fee_modifier_count=FEE_MODIFIERS.list.len(),
        modifier_code=FEE_MODIFIER,
        is_facility=pl.when(place.is_in(FACILITY_PLACES))
        .then(True)
        .when(place.is_in(NONFACILITY_PLACES))
        .then(False),
    )
    lines = as_of(lines, _fee_values(reference), on="decision_date", by=FEE_KEY)
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
    return lines.with_columns(
        medicare_fee_amount=pl.when(capped).then("cap_fee_amount").otherwise("schedule_fee_amount")
    )


# the line's modifiers that Medicare's fee depends on, each once, in the order sent
FEE_MODIFIERS = (
    pl.col("modifier_codes")
    .fill_null("")
    .str.extract_all(rf"\b(?:{'|'.join((*VALUED_MODIFIERS, *UNPRICED_MODIFIERS))})\b")
    .list.unique(maintain_order=True)
)


FEE_MODIFIER = FEE_MODIFIERS.list.get(0, null_on_oob=True).fill_null("")
FEE_KEY = ["procedure_code", "modifier_code"]


def _physician_fee(expense: str, malpractice: str) -> pl.Expr:
    units = (
        wide(pl.col("work_units")) * pl.col("work_index")
        + wide(pl.col(expense)) * pl.col("expense_index")
        + wide(pl.col(malpractice)) * pl.col("malpractice_index")
    )
    return cents(divide_half_up(units * pl.col("conversion_factor"), FEE_SCALE))


def _fee_values(reference: Reference) -> pl.DataFrame:
    return (
        reference.tables["physician_fee_values"]
        .with_columns(pl.col("modifier_code").fill_null(""), values_start_date="start_date")
        .drop("professional_technical_code", "global_days_code", "multiple_procedure_code")
    )


def _with_place_and_companions(
    lines: pl.DataFrame, reference: Reference, batch: Batch
) -> pl.DataFrame:
    """Carrier and locality of the service's ZIP code, and ``has_companion``: the provider rendered
    another payable service to the member that day.

    A companion is looked up for lines of status T alone, among tonight's lines of this method and
    earlier ones.
    """
    # first, and not with the fee: localities are few, ZIP codes are many
    localities = reference.tables["zip_localities"].drop("state_code")
    lines = as_of(lines, localities, on="decision_date", by=["zip_code"])
    values = _fee_values(reference)
    codes = values.filter(status_code=ALONE_STATUS)["procedure_code"].unique()
    possible = lines.filter(pl.col("procedure_code").is_in(codes.implode()))
    if possible.is_empty():
        return lines.with_columns(has_companion=pl.lit(False))
    day = ["member_id", "provider_number", "decision_date"]
    providers = batch.claims.select(
        "claim_id", "member_id", claim_provider=pl.coalesce("rendering_npi", "billing_npi")
    )
    tonight = (
        lines.select("row", *KEYS, "decision_date", "procedure_code", modifier_code=FEE_MODIFIER)
        .join(batch.lines.select(*KEYS, "rendering_npi"), on=KEYS)
        .join(providers, on="claim_id")
        .with_columns(provider_number=pl.coalesce("rendering_npi", "claim_provider"))
    )
    tonight = tonight.join(
        tonight.filter(pl.col("row").is_in(possible["row"].implode())), on=day, how="semi"
    )
    earlier = (
        history_beside(batch)
        .select(
            "member_id",
            "provider_number",
            "procedure_code",
            modifier_code=FEE_MODIFIER,
            decision_date="service_from_date",
        )
        .join(tonight, on=day, how="semi")
    )
    tonight, earlier = (
        as_of(services, values, on="decision_date", by=FEE_KEY) for services in (tonight, earlier)
    )
    payable = pl.col("status_code").is_in([s for s in PAID_STATUSES if s != ALONE_STATUS])
    services = pl.concat([tonight.filter(payable).select(day), earlier.filter(payable).select(day)])
    bundled = tonight.filter(status_code=ALONE_STATUS).join(services, on=day, how="semi")
    return lines.with_columns(has_companion=pl.col("row").is_in(bundled["row"].implode()))


# a check asks only for what those before it don't already lack
PROFESSIONAL = DATED & (pl.col("claim_type_code") == "P")
PRICEABLE = PROFESSIONAL & (
    (pl.col("fee_modifier_count") == 0)
    | ((pl.col("fee_modifier_count") == 1) & pl.col("modifier_code").is_in(VALUED_MODIFIERS))
)
PAID_BY_VALUES = PRICEABLE & pl.col("status_code").is_in(PAID_STATUSES)
FEE_VALUE = ("physician_fee_values", FEE_KEY)
FEE_STATUS = ("physician_fee_values", ["procedure_code", "modifier_code", "status_code"])

PERCENT_OF_MEDICARE = Method(
    depends_on=(
        "claim_type_code",
        "procedure_code",
        "modifier_codes",
        "place_of_service_code",
        "carrier_number",
        "locality_number",
        "unit_basis_code",
        "unit_quantity",
        "rate_basis_points",
        "has_companion",
    ),
    look_beside=_with_place_and_companions,
    look_up=_with_medicare_fee,
    checks=[
        NO_DATE,
        _units("UN"),
        NO_RATE,
        Check(
            INSTITUTIONAL,
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
    shown=pl.format('{},"zip_code":"{}"}}', pl.col("shown").str.head(-1), "zip_code"),
)


# ---- percent of the charge -------------------------------------------------------------------

PERCENT_OF_CHARGE = Method(
    depends_on=("charge_amount", "rate_basis_points"),
    look_up=_as_they_are,
    checks=[NO_DATE, NO_RATE],
    amount=divide_half_up(
        wide(pl.col("charge_amount")) * pl.col("rate_basis_points"), BASIS_POINTS
    ),
    inputs=("rate_basis_points",),
)


# ---- per diem --------------------------------------------------------------------------------

# Of room and board, a day each, days on leave (018x) count as days of the stay and are paid nothing
# [j].
LEAVE = ("0180", "0189")


def _revenue(first: str, last: str) -> pl.Expr:
    revenue = pl.col("revenue_code").fill_null("")
    return (revenue >= first) & (revenue <= last)


DAY_OF_STAY = _revenue(*ROOM_AND_BOARD)
ROOM = DAY_OF_STAY & ~_revenue(*LEAVE)


def _with_stay(lines: pl.DataFrame, _reference: Reference, batch: Batch) -> pl.DataFrame:
    """The stay that a line is of: ``room_days`` (those of room and board, as billed; null where
    they aren't whole), ``has_room``, ``stay_days`` (by its dates), ``stay_charge_amount``, and
    ``is_room`` of the line.

    A stay is from its first day to its last, or from admission where that is later; the day of
    discharge isn't counted, but a stay of one day is one [j].
    """
    quantity = pl.col("unit_quantity").sum()
    rooms = (
        batch.lines.filter(DAY_OF_STAY)
        .group_by("claim_id")
        .agg(
            room_days=pl.when(quantity % UNITS == 0).then(quantity // UNITS),
            has_room=pl.lit(True),
        )
    )
    first = pl.max_horizontal("statement_from_date", "admission_date")
    days = (pl.col("statement_through_date") - first).dt.total_days()
    stays = batch.claims.select(
        "claim_id", stay_days=pl.when(days >= 0).then(pl.max_horizontal(days, pl.lit(1)))
    )
    return (
        lines.join(stays, on="claim_id", how="left", maintain_order="left")
        .join(rooms, on="claim_id", how="left", maintain_order="left")
        .with_columns(
            pl.col("has_room").fill_null(False),
            is_room=ROOM,
            stay_charge_amount=pl.col("charge_amount").sum().over("claim_id"),
        )
    )


def _with_daily_rate(lines: pl.DataFrame, reference: Reference) -> pl.DataFrame:
    """``fee_amount``: the revenue code's rate a day in the contract's table."""
    rates = (
        reference.tables["fees"]
        .filter(pl.col("modifier_code").is_null())
        .select(
            "fee_table_code", "start_date", "end_date", "fee_amount", revenue_code="procedure_code"
        )
    )
    return as_of(lines, rates, on="decision_date", by=["fee_table_code", "revenue_code"])


# the days of the stay before and with this line, as far as they are priced
PRICED_SO_FAR = wide(pl.col("priced_amount")).cum_sum().over("claim_id", order_by="row")
STAY_PRICED = wide(pl.col("priced_amount")).sum().over("claim_id")


def _of_charges(priced: pl.Expr) -> pl.Expr:
    """What share of all the stay's charges falls to so much of its price, rounded."""
    return divide_half_up(wide(pl.col("stay_charge_amount")) * priced, STAY_PRICED)


PER_DIEM = Method(
    depends_on=(
        "claim_type_code",
        "fee_table_code",
        "revenue_code",
        "unit_basis_code",
        "unit_quantity",
        "is_room",
        "has_room",
        "room_days",
        "stay_days",
        "stay_charge_amount",
    ),
    look_beside=_with_stay,
    look_up=_with_daily_rate,
    checks=[
        NO_DATE,
        Check(
            ~INSTITUTIONAL,
            "claims",
            ["claim_type_code"],
            "a daily rate prices the stays of institutions only",
        ),
        NO_FEE_TABLE,
        Check(
            INSTITUTIONAL & ~pl.col("has_room"),
            "lines",
            ["claim_id"],
            "the claim has no line of room and board (revenue code 0100 to 0219)",
        ),
        Check(
            pl.col("is_room") & (pl.col("room_days") != pl.col("stay_days")).fill_null(True),
            "lines",
            ["room_days", "stay_days"],
            "the days of room and board are not those of the stay",
        ),
        _units("UN", "DA", where=pl.col("is_room")),
        Check(
            pl.col("is_room") & DATED & FEE_TABLE_NAMED & pl.col("fee_amount").is_null(),
            "fees",
            ["fee_table_code", "revenue_code"],
            "no row in force",
        ),
    ],
    amount=pl.when("is_room")
    .then(divide_half_up(wide(pl.col("fee_amount")) * pl.col("unit_quantity"), UNITS))
    .otherwise(0),
    inputs=("fee_table_code", "fee_amount", "room_days", "stay_days", "stay_charge_amount"),
    allowed=pl.when(pl.col("lesser_of_charge") & (pl.col("stay_charge_amount") < STAY_PRICED))
    .then(cents(_of_charges(PRICED_SO_FAR) - _of_charges(PRICED_SO_FAR - pl.col("priced_amount"))))
    .otherwise("priced_amount"),
    code=pl.when("is_room").then("method").otherwise(pl.lit(PACKAGED)),
)

METHODS: Mapping[object, Method] = {
    "percent_of_medicare": PERCENT_OF_MEDICARE,
    "fee_table": FEE_TABLE,
    "percent_of_charge": PERCENT_OF_CHARGE,
    "per_diem": PER_DIEM,
}


# ---- benefit category ------------------------------------------------------------------------


def _benefit_categories(lines: pl.DataFrame, rules: Sequence[BenefitCategoryRule]) -> pl.Series:
    """``benefit_category`` of each line, asked once for what is billed alike."""
    on = [
        "claim_type_code",
        "bill_type",
        "place_of_service_code",
        "procedure_code",
        "revenue_code",
    ]
    keys = lines.select(on)
    named = keys.unique().with_columns(benefit_category=benefit_category(rules))
    found = keys.join(named, on=on, how="left", nulls_equal=True, maintain_order="left")
    return found["benefit_category"]
