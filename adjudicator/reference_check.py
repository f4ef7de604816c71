"""What a whole version of the reference data must agree on: names, codes, spans of days.

An *error* contradicts itself or leads nowhere: claims that meet it pend, stop the night or are
decided on less than the payer meant to load. A *note* may be meant: a member left and came back.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Literal, NamedTuple

import polars as pl

from adjudicator.load import (
    KEYS,
    ReferenceDataError,
    overlapping,
    place,
    read_folder,
    unread_files,
)
from schemas.frames import empty
from schemas.program import Program
from schemas.reference import TABLES

PLACES_TOLD = 3
CODES_TOLD = 5
TAXONOMY = "^[0-9A-Z]{9}X$"
NPI_COLUMNS = ("npi", "referring_npi")
NPI_PREFIX_SUM = 24  # of the 80840 that stands before an NPI when its check digit is reckoned
OPEN = date.max - timedelta(days=1)

Severity = Literal["error", "note"]

# without a row of these no claim is decided
WANTED = ("members", "coverage", "providers", "payees", "contracts")
MEDICARE = ("physician_fee_values", "geographic_cost_indexes", "zip_localities")

# severity, table, its columns, the table that should have them, its columns (of the same names)
LEADS: tuple[tuple[Severity, str, tuple[str, ...], str, tuple[str, ...]], ...] = (
    ("error", "coverage", ("member_id",), "members", ()),
    ("error", "providers", ("payee_id",), "payees", ()),
    ("error", "contracts", ("payee_id",), "payees", ()),
    ("error", "zip_localities", ("carrier_number", "locality_number"), "geographic_cost_indexes",
     ()),
    ("error", "households", ("family_id",), "members", ()),
    ("error", "households", ("head_member_id",), "members", ("member_id",)),
    ("error", "household_statuses", ("family_id",), "members", ()),
    ("error", "special_statuses", ("member_id",), "members", ()),
    ("error", "other_coverage", ("member_id",), "members", ()),
    ("error", "primary_care", ("member_id",), "members", ()),
    ("error", "primary_care", ("provider_id",), "providers", ()),
    ("error", "primary_care", ("medical_group_id",), "medical_groups", ()),
    ("error", "credentialing", ("provider_id",), "providers", ()),
    ("error", "networks", ("payee_id",), "payees", ()),
    ("error", "capitation", ("payee_id",), "payees", ()),
    ("error", "capitation", ("medical_group_id",), "medical_groups", ()),
    ("error", "referrals", ("member_id",), "members", ()),
    ("error", "authorizations", ("member_id",), "members", ()),
    ("error", "notifications", ("member_id",), "members", ()),
    ("note", "members", ("member_id",), "coverage", ()),
    ("note", "members", ("family_id",), "households", ()),
    ("note", "providers", ("provider_id",), "credentialing", ()),
    # may be a stranger: what it was asked for is often just that
    ("note", "referrals", ("npi",), "providers", ()),
    ("note", "referrals", ("referring_npi",), "providers", ("npi",)),
    ("note", "authorizations", ("npi",), "providers", ()),
    ("note", "notifications", ("npi",), "providers", ()),
)  # fmt: skip

# table, what has one span after another, the column that is told
SPANS = (
    ("coverage", ("member_id",), "member_id"),
    ("providers", ("provider_id",), "provider_id"),
    ("contracts", ("payee_id", "program_code"), "payee_id"),
    ("fees", ("fee_table_code", "procedure_code", "modifier_code"), "procedure_code"),
    ("physician_fee_values", ("procedure_code", "modifier_code"), "procedure_code"),
    ("geographic_cost_indexes", ("carrier_number", "locality_number"), "locality_number"),
    ("zip_localities", ("zip_code",), "zip_code"),
    ("primary_care", ("member_id",), "member_id"),
    ("medical_groups", ("medical_group_id",), "medical_group_id"),
    ("credentialing", ("provider_id",), "provider_id"),
)


class Finding(NamedTuple):
    """One thing found: in which columns of which table, how often, and where it first stands.

    ``text`` says what, with codes and counts, never with a member's name, id or birth date.
    ``places`` are file and line of rows that were read from a folder, at most PLACES_TOLD.
    """

    severity: Severity
    table: str
    columns: tuple[str, ...]
    row_count: int
    text: str
    places: tuple[tuple[str, int | None], ...] = ()

    def sentence(self) -> str:
        where = ", ".join((self.table, *self.columns))
        return f"{where}: {self.text}" if where else self.text

    def where(self) -> str:
        """The places, for a person; empty where the rows came from the store."""
        told = [place(*each) for each in self.places]
        if self.row_count > len(told) > 0:
            told.append(f"and {self.row_count - len(told)} more")
        return "; ".join(told)

    def as_json(self) -> dict[str, Any]:
        return {**self._asdict(), "places": [{"file": f, "line": n} for f, n in self.places]}


def check_reference(
    tables: Mapping[str, pl.DataFrame],
    programs: Mapping[str, Program] | None = None,
    categories: Collection[str] | None = None,
) -> list[Finding]:
    """What a whole version lacks or contradicts, errors first, then in the order of TABLES.

    ``tables`` holds a frame for every name in TABLES, with ``_file`` and ``_line`` where rows have
    a place. ``programs`` and ``categories`` are those in force; None: not compared with.
    """
    found = [
        *_empty(tables, programs),
        *_overlapping(tables),
        *_leading_nowhere(tables),
        *_unknown_codes(tables, programs, categories),
        *_fee_tables(tables),
        *_without_contract(tables),
        *_holes(tables),
        *_ended(tables),
        *_doubtful(tables),
    ]
    order = list(TABLES)
    return sorted(found, key=lambda f: (f.severity, order.index(f.table), f.columns, f.text))


def check_folder(
    folder: Path,
    stored: Mapping[str, pl.DataFrame],
    programs: Mapping[str, Program] | None = None,
    categories: Collection[str] | None = None,
) -> tuple[dict[str, pl.DataFrame], list[Finding]]:
    """The tables that would be in force were the folder loaded over ``stored``, and what is found.

    A folder that can't be loaded is told of as `reference load` would, and compared no further:
    each such sentence names file, line, column and the form wanted. Files that are no table are
    noted.
    """
    tables = {name: stored.get(name, empty(schema)) for name, schema in TABLES.items()}
    try:
        given = read_folder(folder, places=True)
        found = [Finding("error", "", (), 0, f"{folder}: no file here is a reference table")]
        if given:
            tables |= given
            found = check_reference(tables, programs, categories)
    except ReferenceDataError as error:
        return {}, [Finding("error", "", (), 1, told) for told in error.problems]
    found += [
        Finding("note", "", (), 0, f"{name} is no reference table and is not read")
        for name in unread_files(folder)
    ]
    return tables, found


def _finding(
    severity: Severity, table: str, columns: Sequence[str], rows: pl.DataFrame, text: str
) -> Iterator[Finding]:
    """One finding of these rows; none where there is none. ``text`` follows the count."""
    if rows.is_empty():
        return
    places: tuple[tuple[str, int | None], ...] = ()
    if "_file" in rows.columns:
        first = rows.select("_file", "_line").sort("_file", "_line").head(PLACES_TOLD)
        places = tuple(first.iter_rows())
    count = f"{rows.height:,} {'row' if rows.height == 1 else 'rows'}"
    yield Finding(severity, table, tuple(columns), rows.height, f"{count} {text}", places)


def _codes(rows: pl.DataFrame, column: str) -> str:
    """The codes of a column, as many as a person wants to read; for columns that name no member."""
    codes = rows[column].drop_nulls().unique().sort().to_list()
    return ", ".join(codes[:CODES_TOLD]) + (" …" if len(codes) > CODES_TOLD else "")


def _empty(
    tables: Mapping[str, pl.DataFrame], programs: Mapping[str, Program] | None
) -> Iterator[Finding]:
    for name in WANTED:
        if tables[name].is_empty():
            yield Finding("error", name, (), 0, "holds no row; no claim can be paid without")
    by_contract = (tables["contracts"]["pricing_method_code"] == "percent_of_medicare").any()
    if not by_contract and not programs:
        return
    whose = "of contracts" if by_contract else "of providers without a contract"
    for name in MEDICARE:
        if tables[name].is_empty():
            yield Finding(
                "error" if by_contract else "note", name, (), 0,
                f"holds no row; what is priced as a percent of Medicare ({whose}) pends REFERENCE",
            )  # fmt: skip


def _overlapping(tables: Mapping[str, pl.DataFrame]) -> Iterator[Finding]:
    for name in TABLES:
        for keys in KEYS[name]:
            yield from _finding(
                "error", name, keys, overlapping(tables[name], keys),
                "in force on a day of another of the same key; end one before the next begins",
            )  # fmt: skip


def _leading_nowhere(tables: Mapping[str, pl.DataFrame]) -> Iterator[Finding]:
    for severity, name, columns, other, renamed in LEADS:
        if severity == "note" and tables[other].is_empty():
            continue  # a table the payer does without
        known = tables[other].select(renamed or columns).unique()
        lost = (
            tables[name]
            .drop_nulls(columns)
            .join(known, left_on=columns, right_on=renamed or columns, how="anti")
        )
        told = f"with a {', '.join(columns)} that {other} lacks"
        yield from _finding(severity, name, columns, lost, told)


def _unknown_codes(
    tables: Mapping[str, pl.DataFrame],
    programs: Mapping[str, Program] | None,
    categories: Collection[str] | None,
) -> Iterator[Finding]:
    for name, frame in tables.items():
        if programs is not None and "program_code" in frame.columns:
            strange = frame.filter(~pl.col("program_code").is_in(list(programs)))
            told = f"with a program that is not there: {_codes(strange, 'program_code')}"
            yield from _finding("error", name, ["program_code"], strange, told)
        if programs is not None and "plan_code" in frame.columns:
            plans = pl.DataFrame(
                [(code, plan) for code, program in programs.items() for plan in program.plans],
                schema={"program_code": pl.String, "plan_code": pl.String},
                orient="row",
            )
            strange = (
                frame.filter(pl.col("program_code").is_in(list(programs)))
                .drop_nulls("plan_code")
                .join(plans, on=["program_code", "plan_code"], how="anti")
            )
            told = f"with a plan that its program lacks: {_codes(strange, 'plan_code')}"
            yield from _finding("error", name, ["plan_code"], strange, told)
        if "taxonomy_code" in frame.columns:
            strange = frame.filter(~pl.col("taxonomy_code").str.contains(TAXONOMY))
            told = "without the form of a taxonomy code, nine letters or digits and an X"
            yield from _finding("error", name, ["taxonomy_code"], strange, told)
        for column in NPI_COLUMNS:
            if column in frame.columns:
                strange = frame.filter(_wrong_check_digit(column))
                told = "with an NPI whose check digit is wrong"
                yield from _finding("note", name, [column], strange, told)
    if categories is not None:
        capitation = tables["capitation"]
        strange = capitation.filter(~pl.col("benefit_category").is_in(list(categories)))
        told = f"with an unknown benefit category: {_codes(strange, 'benefit_category')}"
        yield from _finding("error", "capitation", ["benefit_category"], strange, told)


def _wrong_check_digit(column: str) -> pl.Expr:
    """Luhn's sum over 80840 and the NPI; null where there is none."""
    digits = [pl.col(column).str.slice(at, 1).cast(pl.Int64, strict=False) for at in range(10)]
    doubled = [2 * d - pl.when(d > 4).then(9).otherwise(0) for d in digits[0::2]]
    total = pl.sum_horizontal(*doubled, *digits[1::2], ignore_nulls=False) + NPI_PREFIX_SUM
    return total % 10 != 0


def _fee_tables(tables: Mapping[str, pl.DataFrame]) -> Iterator[Finding]:
    contracts, fees = tables["contracts"], tables["fees"]
    priced = contracts.filter(pl.col("pricing_method_code").is_in(["fee_table", "per_diem"]))
    lost = priced.drop_nulls("fee_table_code").join(fees, on="fee_table_code", how="anti")
    told = f"with a fee table of which fees has no row: {_codes(lost, 'fee_table_code')}"
    yield from _finding("error", "contracts", ["fee_table_code"], lost, told)
    idle = fees.join(contracts.drop_nulls("fee_table_code"), on="fee_table_code", how="anti")
    told = f"of a fee table that no contract names: {_codes(idle, 'fee_table_code')}"
    yield from _finding("note", "fees", ["fee_table_code"], idle, told)


def _without_contract(tables: Mapping[str, pl.DataFrame]) -> Iterator[Finding]:
    contracts = tables["contracts"].select("payee_id", "program_code", "start_date", "end_date")
    named_in = tables["networks"].filter(network_code="in")
    of_whom: tuple[tuple[Severity, str, pl.DataFrame, str], ...] = (
        ("error", "capitation", tables["capitation"], "of a payee"),
        ("note", "networks", named_in, "putting into the network a payee"),
    )
    for severity, name, rows, whose in of_whom:
        numbered = rows.with_row_index("_row")
        agreed = numbered.join(contracts, on=["payee_id", "program_code"]).filter(
            (pl.col("start_date_right") <= pl.col("end_date").fill_null(OPEN))
            & (pl.col("end_date_right").fill_null(OPEN) >= pl.col("start_date"))
        )
        lost = numbered.filter(~pl.col("_row").is_in(agreed["_row"].implode()))
        told = f"{whose} without a contract with the program in those days"
        yield from _finding(severity, name, ["payee_id"], lost, told)


def _holes(tables: Mapping[str, pl.DataFrame]) -> Iterator[Finding]:
    """Rows that begin more than a day after all before them of the same key have ended."""
    for name, keys, column in SPANS:
        until = pl.col("end_date").fill_null(OPEN).cum_max().shift(1).over(*keys)
        rows = (
            tables[name]
            .sort(*keys, "start_date")
            .with_columns(_until=until)
            .filter(pl.col("start_date") > pl.col("_until") + pl.duration(days=1))
        )
        told = f"beginning after days without a row for the same {column}"
        yield from _finding("note", name, [column], rows, told)


def _ended(tables: Mapping[str, pl.DataFrame]) -> Iterator[Finding]:
    """Contracts that end for good while providers of the payee go on."""
    going_on = (
        tables["providers"]
        .group_by("payee_id")
        .agg(pl.col("end_date").fill_null(OPEN).max().alias("_providers_until"))
    )
    last = (
        tables["contracts"]
        .with_columns(_until=pl.col("end_date").fill_null(OPEN))
        .filter(pl.col("_until") == pl.col("_until").max().over("payee_id", "program_code"))
        .filter(pl.col("end_date").is_not_null())
        .join(going_on, on="payee_id")
        .filter(pl.col("_providers_until") > pl.col("end_date"))
    )
    first = last["end_date"].sort().cast(pl.String).head(1).to_list()
    told = f"ending without a successor, the first on {''.join(first)}"
    yield from _finding("note", "contracts", ["end_date"], last, told)


def _doubtful(tables: Mapping[str, pl.DataFrame]) -> Iterator[Finding]:
    """What is of the right form and yet can hardly be used as it stands."""
    same = ["card_number", "birth_date", "first_name"]
    rows = tables["members"].filter(pl.struct(same).is_duplicated())
    told = "sharing card number, birth date and first name: claims pend MEMBER"
    yield from _finding("note", "members", ["card_number"], rows, told)

    providers = tables["providers"].with_row_index("_row")
    others = providers.select("_row", "npi", "tax_number", "payee_id", "start_date", "end_date")
    shared = providers.join(others, on=["npi", "tax_number"], nulls_equal=True).filter(
        (pl.col("payee_id") != pl.col("payee_id_right"))
        & (pl.col("start_date_right") <= pl.col("end_date").fill_null(OPEN))
        & (pl.col("end_date_right").fill_null(OPEN) >= pl.col("start_date"))
    )
    rows = providers.filter(pl.col("_row").is_in(shared["_row"].implode()))
    told = "sharing NPI, tax number and days with another payee's: claims pend PAYEE"
    yield from _finding("note", "providers", ["npi"], rows, told)

    attachments = tables["attachments"]
    rows = attachments.filter(pl.col("document_date") > pl.col("received_date"))
    told = "of a document dated after the day of receipt"
    yield from _finding("note", "attachments", ["document_date"], rows, told)
    for name in (n for n, keys in KEYS.items() if not keys):
        columns = list(TABLES[name].columns())
        rows = tables[name].filter(~pl.struct(columns).is_first_distinct())
        yield from _finding("note", name, [], rows, "repeating another in every column")
