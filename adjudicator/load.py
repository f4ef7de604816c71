"""Reference data from a payer's files into the store, and back to the frames decisions rest on.

A folder holds ``<table>.csv`` or ``<table>.parquet`` for any tables of schemas/reference.py, and
CMS's files under their own names. A CSV is UTF-8, comma-separated, its header the contract's
columns in any order (those that may be empty may be absent). Columns ``*_amount`` are dollars and
cents, as 125.00; dates YYYY-MM-DD; booleans true or false; every other number is written in the
unit its column states, as a whole number. Parquet carries the contract's own types: amounts are
cents there. Blanks around a value are dropped, and an empty value is no value.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections.abc import Sequence
from datetime import date
from itertools import accumulate, compress, islice
from pathlib import Path
from typing import NamedTuple

import dataframely as dy
import polars as pl
from sqlalchemy import Connection, func, select, update

from adjudicator.coded import (
    CODED,
    PART_BYTES,
    Facts,
    coded_facts,
    coding_tables,
    read_coded,
    store_coded,
)
from adjudicator.store.audit import act_of, append_audit
from adjudicator.store.tables import audit, reference_part, reference_table, reference_version
from schemas.frames import CENTS_LIMIT, empty
from schemas.reference import TABLES

PROBLEMS_TOLD = 20
CSV_CHUNK_ROWS = 10_000
INTEGER_DIGITS = 15

# what may stand once on any one day; a table that isn't dated: once at all; (): as often as it does
KEYS: dict[str, tuple[tuple[str, ...], ...]] = {
    "members": (("member_id",),),
    "coverage": (("member_id", "program_code"),),
    "providers": (("provider_id",),),
    "payees": (("payee_id",),),
    "contracts": (("payee_id", "program_code"), ("contract_id",)),
    "fees": (("fee_table_code", "procedure_code", "modifier_code"),),
    "physician_fee_values": (("procedure_code", "modifier_code"),),
    "geographic_cost_indexes": (("carrier_number", "locality_number"),),
    "zip_localities": (("zip_code",),),
    "households": (("family_id",),),
    "household_statuses": (("family_id",),),
    "special_statuses": (("member_id", "status_code"),),
    "other_coverage": (("member_id", "kind_code", "payer_name"),),
    "primary_care": (("member_id",),),
    "medical_groups": (("medical_group_id",),),
    "credentialing": (("provider_id",),),
    "networks": (("payee_id", "program_code", "plan_code"),),
    "capitation": (("payee_id", "program_code", "medical_group_id", "benefit_category"),),
    "provider_flags": (("npi", "flag_code"),),
    "approved_facilities": (("npi", "service_code"),),
    "service_area": (("program_code", "zip_code"),),
    "referrals": (("referral_number",),),
    "authorizations": (("authorization_number",),),
    "authorization_list": (
        ("program_code", "plan_code", "first_procedure_code", "last_procedure_code"),
    ),
    "notifications": (("notification_number",),),
    "attachments": (),
    "procedure_pairs": (("table_code", "column_one_code", "column_two_code"),),
    "add_on_codes": (("add_on_code", "primary_code", "edit_type_code"),),
    "unit_limits": (("table_code", "procedure_code"),),
    "coverage_determinations": (
        (
            "determination_number", "kind_code", "effect_code", "first_procedure_code",
            "last_procedure_code", "first_diagnosis_code", "last_diagnosis_code",
        ),
    ),
    "code_sets": (("code_set", "code"),),
}  # fmt: skip

NPI = ("[0-9]{10}", "ten digits")
PROCEDURE = (
    "[A-Z0-9]{5}|[0-9]{4}",
    "five capital letters or digits, or a revenue code's four digits",
)


def _one_of(*codes: str) -> tuple[str, str]:
    return "|".join(codes), f"{', '.join(codes[:-1])} or {codes[-1]}"


HCPCS = ("[A-Z0-9]{5}", "five capital letters or digits")
DIAGNOSIS = ("[A-Z][0-9][A-Z0-9]{0,5}", "an ICD-10-CM code without its point")
ANSWER = _one_of("approved", "denied", "cancelled")

# column, or table.column: the form of its text, and how a person is told
FORMS: dict[str, tuple[str, str]] = {
    "npi": NPI,
    "referring_npi": NPI,
    "tax_number": ("[0-9]{9}", "nine digits"),
    "zip_code": ("[0-9]{5}([0-9]{4})?", "five or nine digits"),
    "zip_localities.zip_code": ("[0-9]{5}", "five digits"),
    "service_area.zip_code": ("[0-9]{5}", "five digits"),
    "state_code": ("[A-Z]{2}", "two capital letters"),
    "phone_number": ("[0-9]{10}", "ten digits"),
    "language_code": ("[a-z]{3}", "three lowercase letters"),
    "sex_code": _one_of("F", "M", "U"),
    "entity_type_code": _one_of("1", "2"),
    "payment_method_code": _one_of("CHK", "ACH"),
    "network_code": _one_of("in", "out"),
    "pricing_method_code": _one_of(
        "percent_of_medicare", "fee_table", "per_diem", "percent_of_charge"
    ),
    "compliance_code": _one_of("compliant", "noncompliant"),
    "special_statuses.status_code": _one_of(
        "hospice", "qmb", "working_aged", "esrd", "active_treatment"
    ),
    "position_code": _one_of("before", "after"),
    "other_coverage.kind_code": _one_of(
        "group_health", "medicare", "medicaid", "auto", "workers_compensation", "liability"
    ),
    "flag_code": _one_of("not_eligible", "opted_out", "under_review"),
    "service_code": _one_of(
        "transplant",
        "lung_volume_reduction",
        "carotid_stenting",
        "ventricular_assist",
        "oncologic_pet",
    ),
    "referrals.status_code": ANSWER,
    "authorizations.status_code": ANSWER,
    "notifications.status_code": _one_of("active", "cancelled"),
    "attachments.kind_code": _one_of("eob", "auto_notice", "description", "notes"),
    "code_set": _one_of("CARC", "CDT", "CPT", "HCPCS", "ICD10CM", "ICD10PCS", "RARC", "TAXONOMY"),
    "code": ("[0-9A-Z]{1,10}", "one to ten capital letters or digits, without a point"),
    "claim_number": ("[0-9]{12}", "twelve digits"),
    "procedure_code": PROCEDURE,
    "first_procedure_code": PROCEDURE,
    "last_procedure_code": PROCEDURE,
    "modifier_code": ("[A-Z0-9]{2}", "two capital letters or digits"),
    "column_one_code": HCPCS,
    "column_two_code": HCPCS,
    "add_on_code": HCPCS,
    "primary_code": HCPCS,
    "unit_limits.procedure_code": HCPCS,
    "procedure_pairs.table_code": _one_of("practitioner", "hospital"),
    "unit_limits.table_code": _one_of("practitioner", "hospital", "supplier"),
    "modifier_indicator_code": _one_of("0", "1", "9"),
    "edit_type_code": _one_of("1", "2", "3"),
    "adjudication_indicator_code": _one_of("1", "2", "3"),
    "coverage_determinations.kind_code": _one_of("ncd", "lcd"),
    "effect_code": _one_of("covers", "excludes"),
    "first_diagnosis_code": DIAGNOSIS,
    "last_diagnosis_code": DIAGNOSIS,
    "carrier_number": ("[0-9]{5}", "five digits"),
    "locality_number": ("[0-9]{2}", "two digits"),
}
TEXT = (r"[^\p{Cc}]+", "text without control characters")
DATE = ("[0-9]{4}-[0-9]{2}-[0-9]{2}", "a date as 2025-01-31")
AMOUNT = (r"[0-9]{1,8}(\.[0-9]{1,2})?", "dollars and cents as 125.00, below 100,000,000")
WHOLE = (f"[0-9]{{1,{INTEGER_DIGITS}}}", "a whole number, not negative")
TRUTH = ("true|false", "true or false")

# table, column, its value: the column that then must not be empty
NEEDS = (
    ("contracts", "pricing_method_code", "percent_of_medicare", "rate_basis_points"),
    ("contracts", "pricing_method_code", "percent_of_charge", "rate_basis_points"),
    ("contracts", "pricing_method_code", "fee_table", "fee_table_code"),
    ("contracts", "pricing_method_code", "per_diem", "fee_table_code"),
)

# table, two columns of which one at least must not be empty
EITHER = (("referrals", ("npi", "taxonomy_code")),)

# first and last of something: the last doesn't lie before the first, nor, but for an open end,
# stand without it
RANGES = (
    ("start_date", "end_date"),
    ("first_procedure_code", "last_procedure_code"),
    ("first_diagnosis_code", "last_diagnosis_code"),
)


class ReferenceDataError(ValueError):
    """Reference data that can't be loaded or read.

    ``problems`` are sentences that name file, line, column and the form wanted, never a value.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = list(problems)
        told = self.problems[:PROBLEMS_TOLD]
        super().__init__("\n".join([*told, "and more"] if len(told) < len(problems) else told))


# ---- store -----------------------------------------------------------------------------------


def load_reference(connection: Connection, folder: Path) -> str:
    """Loads the folder's tables in the caller's transaction; returns the version now in force.

    The tables of the folder replace those of the version before, the others stay. The version is
    the digest of all tables, so the same content twice is the same version and adds no row.
    Raises ReferenceDataError, having written nothing, where anything of the folder is wrong.
    """
    given = read_folder(folder)
    if not given:
        raise ReferenceDataError(
            [f"{folder}: no file here is a reference table; name it as {min(TABLES)}.csv"]
        )
    latest = current_version(connection)
    digests = _digests(connection, latest) if latest is not None else {}
    for name, frame in given.items():
        digests[name] = (digest(frame), frame.height)
        _store_table(connection, name, digests[name][0], frame)
    digests = {name: found for name, found in sorted(digests.items()) if found[1]}
    version = hashlib.sha256(
        "".join(f"{name} {sha256}\n" for name, (sha256, _) in digests.items()).encode()
    ).hexdigest()
    if version == latest:
        return version
    load_number = 1 + int(
        connection.execute(select(func.max(reference_version.c.load_number))).scalar_one() or 0
    )
    known = connection.execute(
        update(reference_version)
        .where(reference_version.c.version == version)
        .values(load_number=load_number)
    )
    if known.rowcount == 0:
        connection.execute(
            reference_version.insert().values(version=version, load_number=load_number)
        )
        for name, (sha256, row_count) in digests.items():
            connection.execute(
                reference_table.insert().values(
                    version=version, table_name=name, sha256=sha256, row_count=row_count
                )
            )
    append_audit(
        connection,
        "reference loaded",
        {"version": version, "tables": {name: sha256 for name, (sha256, _) in digests.items()}},
    )
    return version


def read_reference(
    connection: Connection, version: str | None = None
) -> tuple[str, dict[str, pl.DataFrame]]:
    """A version of the reference data (default: the one in force) and all its tables.

    Tables that were never loaded are empty, and so are those of CODED: ``read_codes`` has their
    rows. Raises ReferenceDataError where there is no such version, or its bytes no longer are what
    was loaded.
    """
    wanted = version if version is not None else current_version(connection)
    if wanted is None:
        raise ReferenceDataError(
            ["no reference data is loaded: run `adjudicate reference load FOLDER`"]
        )
    if (
        connection.execute(
            select(reference_version).where(reference_version.c.version == wanted)
        ).first()
        is None
    ):
        raise ReferenceDataError([f"the store has no reference version {wanted}"])
    digests = _digests(connection, wanted)
    tables = {}
    for name, schema in TABLES.items():
        contract = empty(schema)
        if name not in digests or name in CODED:
            tables[name] = contract
            continue
        frame = _read_table(connection, digests[name][0])
        if digest(frame) != digests[name][0]:
            raise _not_as_loaded(name)
        # a column the contract gained since is empty
        tables[name] = frame.match_to_schema(
            contract.schema, missing_columns="insert", extra_columns="ignore"
        )
    return wanted, tables


def _not_as_loaded(name: str) -> ReferenceDataError:
    return ReferenceDataError(
        [f"reference table {name} is not what was loaded: restore the store, or load again"]
    )


def read_coding_tables(connection: Connection, version: str) -> pl.DataFrame:
    """CodingTables of a version: which correct coding tables it has, and how long they hold."""
    digests = _digests(connection, version)
    return coding_tables([_facts(connection, n, digests[n][0]) for n in CODED if n in digests])


def _facts(connection: Connection, name: str, sha256: str) -> Facts:
    facts = coded_facts(connection, sha256)
    if facts is None:
        raise _not_as_loaded(name)
    return facts


def read_codes(connection: Connection, version: str, codes: pl.Series) -> dict[str, pl.DataFrame]:
    """The tables of CODED that a version has, with the rows of these procedure codes alone.

    Raises ReferenceDataError where their bytes no longer are what was loaded.
    """
    digests = _digests(connection, version)
    tables = {}
    for name in CODED:
        if name not in digests:
            continue
        found = read_coded(connection, name, digests[name][0], codes)
        if found is None:
            raise _not_as_loaded(name)
        tables[name] = found.match_to_schema(
            empty(TABLES[name]).schema, missing_columns="insert", extra_columns="ignore"
        )
    return tables


def version_of(connection: Connection, run_id: int) -> str | None:
    """The version in force when a run began, as the audit trail tells; None where it doesn't."""
    begun = act_of(connection, run_id, "begun")
    if begun is None:
        return None
    last = (
        select(audit.c.detail)
        .where(audit.c.what == "reference loaded", audit.c.sequence_number < begun.sequence_number)
        .order_by(audit.c.sequence_number.desc())
    )
    told = connection.execute(last).scalars().first()
    return str(json.loads(told)["version"]) if told is not None else None


def current_version(connection: Connection) -> str | None:
    """The version loaded last; None before the first."""
    last = select(func.max(reference_version.c.load_number)).scalar_subquery()
    return connection.execute(
        select(reference_version.c.version).where(reference_version.c.load_number == last)
    ).scalar_one_or_none()


class Version(NamedTuple):
    """A version there was: how much it holds, and what the load changed against the one before."""

    version: str
    load_number: int
    table_count: int
    row_count: int
    changed: list[str]


class TableFacts(NamedTuple):
    """A table of a version. Days are ISO dates, null where the table isn't dated; ``open_count``
    rows (of the correct coding tables: tables) have no last day."""

    table: str
    row_count: int
    first_date: str | None
    last_date: str | None
    open_count: int
    sha256: str


def versions(connection: Connection) -> list[Version]:
    """Every version that was loaded, the one in force first."""
    columns = reference_version.c
    loads = sorted(connection.execute(select(columns.load_number, columns.version)))
    out, before = [], dict[str, tuple[str, int]]()
    for load_number, version in loads:
        now = _digests(connection, version)
        changed = [n for n in TABLES if now.get(n) != before.get(n)]
        rows = sum(row_count for _, row_count in now.values())
        out.append(Version(version, load_number, len(now), rows, changed))
        before = now
    return out[::-1]


def table_facts(connection: Connection) -> tuple[str, list[TableFacts]]:
    """The version in force and its tables that hold rows. Raises as read_reference."""
    version, tables = read_reference(connection)
    digests = _digests(connection, version)
    out = []
    for name, frame in tables.items():
        if name not in digests:
            continue
        first, last, open_count = None, None, 0
        if name in CODED:
            spans = coding_tables([_facts(connection, name, digests[name][0])])
            first, last = _day(spans["start_date"].min()), _day(spans["end_date"].max())
            open_count = spans["end_date"].null_count()
        elif "start_date" in frame.columns:
            first, last = _day(frame["start_date"].min()), _day(frame["end_date"].max())
            open_count = frame["end_date"].null_count()
        out.append(TableFacts(name, digests[name][1], first, last, open_count, digests[name][0]))
    return version, out


def _day(value: object) -> str | None:
    return value.isoformat() if isinstance(value, date) else None


def _digests(connection: Connection, version: str) -> dict[str, tuple[str, int]]:
    """Digest and number of rows of each table of a version."""
    columns = reference_table.c
    rows = connection.execute(
        select(columns.table_name, columns.sha256, columns.row_count).where(
            columns.version == version
        )
    )
    return {name: (sha256, row_count) for name, sha256, row_count in rows}


def digest(frame: pl.DataFrame) -> str:
    """SHA-256 of a table's rows in their order; hangs on no file format and no library's version.

    Each column's name, then its values as text (ISO dates, decimal integers, true and false),
    set apart by control characters, which no value holds. Columns that are empty throughout count
    for nothing, so that a column added to the contract later changes no digest.
    """
    whole = hashlib.sha256(f"{frame.height}\x1d".encode())
    for name in sorted(frame.columns):
        column = frame[name]
        if column.null_count() == column.len():
            continue
        if column.dtype == pl.Date:
            column = column.dt.strftime("%Y-%m-%d")
        text = column.cast(pl.String).fill_null("\x1f").str.join("\x1e").item()
        whole.update(f"{name}\x1c{text}\x1d".encode())
    return whole.hexdigest()


def _store_table(connection: Connection, name: str, sha256: str, frame: pl.DataFrame) -> None:
    stored = connection.execute(
        select(func.count()).select_from(reference_part).where(reference_part.c.sha256 == sha256)
    ).scalar_one()
    if stored or frame.is_empty():
        return
    if name in CODED:
        store_coded(connection, name, sha256, frame)
        return
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression="zstd", statistics=False)
    content = buffer.getvalue()
    for part_number, start in enumerate(range(0, len(content), PART_BYTES), 1):
        connection.execute(
            reference_part.insert().values(
                sha256=sha256, part_number=part_number, content=content[start : start + PART_BYTES]
            )
        )


def _read_table(connection: Connection, sha256: str) -> pl.DataFrame:
    rows = connection.execute(
        select(reference_part.c.content)
        .where(reference_part.c.sha256 == sha256)
        .order_by(reference_part.c.part_number)
    )
    return pl.read_parquet(io.BytesIO(b"".join(content for (content,) in rows)))


# ---- files -----------------------------------------------------------------------------------


def read_folder(folder: Path, *, places: bool = False) -> dict[str, pl.DataFrame]:
    """The reference tables of a folder, each of its contract and in one order of its rows.

    Several files of one table (CMS's quarters) are one table. ``places`` adds where each row
    stands: ``_file`` and ``_line`` (null in CMS's files). Raises ReferenceDataError with every
    problem found: a file that can't be read, a column that is missing or unknown, a value of
    another form, spans of one key that overlap.
    """
    problems: list[str] = []
    parts: dict[str, list[pl.DataFrame]] = {}
    for path in _files(folder):
        found = _read_file(path, problems)
        if found is not None:
            parts.setdefault(found[0], []).append(found[1].with_columns(_file=pl.lit(path.name)))
    tables = {name: pl.concat(parts[name]) for name in TABLES if name in parts}
    if problems:  # lines left out above would only call forth problems of their own
        raise ReferenceDataError(problems)
    for name, frame in tables.items():
        problems += _overlaps(name, frame)
    if problems:
        raise ReferenceDataError(problems)
    ordered = {
        name: frame.sort(*sorted(TABLES[name].columns()), "_file", "_line")
        for name, frame in tables.items()
    }
    if places:
        return ordered
    return {name: TABLES[name].validate(f.drop("_file", "_line")) for name, f in ordered.items()}


def unread_files(folder: Path) -> list[str]:
    """Names of the folder's files that are no reference table, so that a slip shows."""

    from adjudicator.cms import CMS_FILES

    return [
        path.name
        for path in _files(folder)
        if not _is_table(path)
        and not any(re.fullmatch(p, path.name, re.IGNORECASE) for p in CMS_FILES)
    ]


def _files(folder: Path) -> list[Path]:
    try:
        return sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith("."))
    except OSError as error:
        raise ReferenceDataError([f"{folder}: can't be read: {error.strerror}"]) from error


def _is_table(path: Path) -> bool:
    return path.stem in TABLES and path.suffix.lower() in (".csv", ".parquet")


def _read_file(path: Path, problems: list[str]) -> tuple[str, pl.DataFrame] | None:
    """Table and rows of one file, with ``_line``; None where it is no table, or can't be one."""
    if not _is_table(path):
        return _read_cms(path, problems)
    name, schema = path.stem, TABLES[path.stem]
    try:
        if path.suffix.lower() == ".csv":
            raw = _read_csv(path, schema, problems)
        else:
            raw = _read_parquet(path, schema, problems)
    except OSError as error:
        problems.append(f"{path.name}: can't be read: {error.strerror}")
        return None
    return None if raw is None else (name, _typed(name, path, raw, problems))


def _read_cms(path: Path, problems: list[str]) -> tuple[str, pl.DataFrame] | None:
    from adjudicator.cms import read_cms_file

    if path.suffix.lower() not in (".csv", ".txt"):
        return None
    try:
        found = read_cms_file(path, path.read_bytes())
    except OSError as error:
        problems.append(f"{path.name}: can't be read: {error.strerror}")
        return None
    except ValueError as error:  # its sentences name file, line and column
        problems.append(str(error))
        return None
    if found is None:
        return None
    name, frame = found
    return name, frame.select(*TABLES[name].columns(), pl.lit(None, dtype=pl.Int64).alias("_line"))


def _header_problems(path: Path, schema: type[dy.Schema], header: Sequence[str]) -> list[str]:
    columns = schema.columns()
    required = [name for name, column in columns.items() if not column.nullable]
    return [
        *(f"{path.name}: column {n} is missing" for n in required if n not in header),
        *(f"{path.name}: column {n} is unknown" for n in header if n not in columns),
        *(f"{path.name}: column {n} stands twice" for n in columns if header.count(n) > 1),
    ]


def _read_csv(path: Path, schema: type[dy.Schema], problems: list[str]) -> pl.DataFrame | None:
    """The file's text by column, and ``_line``; None where its header is wrong."""
    data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        problems.append(f"{path.name}, line {line}: not UTF-8; save the file as UTF-8")
        return None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    chunks: list[pl.DataFrame] = []
    try:
        header = [name.strip(" ") for name in next(reader, [])]
        wrong = _header_problems(path, schema, header)
        if wrong:
            problems += wrong
            return None
        columns = dict.fromkeys(header, pl.String)
        chunks.append(pl.DataFrame(schema={**columns, "_line": pl.Int64}))
        before = reader.line_num
        while rows := list(islice(reader, CSV_CHUNK_ROWS)):
            lines = _line_numbers(rows, before, reader.line_num)
            before = reader.line_num
            whole = [len(row) == len(header) for row in rows]
            if not all(whole):
                problems += [
                    f"{path.name}, line {line}: {len(row)} values under {len(header)} columns"
                    for line, row in zip(lines, rows, strict=True)
                    if row and len(row) != len(header)
                ]
                lines, rows = list(compress(lines, whole)), list(compress(rows, whole))
            chunks.append(
                pl.DataFrame(rows, schema=columns, orient="row").with_columns(
                    pl.Series("_line", lines, dtype=pl.Int64)
                )
            )
    except csv.Error as error:
        problems.append(f"{path.name}, line {reader.line_num}: {error}")
        return None
    return pl.concat(chunks)


def _line_numbers(rows: list[list[str]], before: int, last: int) -> list[int]:
    """The line each row begins on, of rows that fill the lines after ``before`` up to ``last``."""
    breaks = [0] * len(rows)
    if last - before != len(rows):
        breaks = [sum(value.count("\n") for value in row) for row in rows]
    return [before + 1 + i + b for i, b in enumerate(accumulate(breaks[:-1], initial=0))]


def _read_parquet(path: Path, schema: type[dy.Schema], problems: list[str]) -> pl.DataFrame | None:
    """The file's columns in the contract's types, and ``_line``: the row, from 1."""
    try:
        frame = pl.read_parquet(path)
    except pl.exceptions.PolarsError:
        problems.append(f"{path.name}: not a Parquet file that can be read; write it again")
        return None
    wrong = _header_problems(path, schema, frame.columns)
    for name, column in schema.columns().items():
        kind = frame.schema.get(name)
        if kind is None or kind in (pl.Null, column.dtype):
            continue
        if not (kind.is_integer() and column.dtype == pl.Int64):
            wrong.append(f"{path.name}, column {name}: {kind} where {column.dtype} is wanted")
    if wrong:
        problems += wrong
        return None
    try:
        frame = frame.cast({n: c.dtype for n, c in schema.columns().items() if n in frame.columns})
    except pl.exceptions.InvalidOperationError:
        problems.append(f"{path.name}: a whole number is too large")
        return None
    return frame.with_row_index("_line", offset=1).with_columns(pl.col("_line").cast(pl.Int64))


def _form(table: str, name: str, kind: pl.DataType) -> tuple[str, str]:
    if kind == pl.Date:
        return DATE
    if kind == pl.Boolean:
        return TRUTH
    if kind == pl.Int64:
        return AMOUNT if name.endswith("_amount") else WHOLE
    return FORMS.get(f"{table}.{name}", FORMS.get(name, TEXT))


def _typed(table: str, path: Path, raw: pl.DataFrame, problems: list[str]) -> pl.DataFrame:
    """The rows in the contract's columns and types, and ``_line``; what doesn't fit is told."""

    def tell(name: str, wrong: pl.Series, what: str) -> None:
        unit = _unit(path.name)
        for line in raw["_line"].filter(wrong).head(PROBLEMS_TOLD):
            problems.append(f"{path.name}, {unit} {line}, column {name}: {what}")

    out, blank = {}, {}
    for name, column in TABLES[table].columns().items():
        kind = column.dtype
        pattern, wanted = _form(table, name, kind)
        given = raw[name] if name in raw.columns else pl.repeat(None, raw.height, eager=True)
        if given.dtype == pl.String:
            given = given.str.strip_chars(" ").replace("", None)
            fits = given.str.contains(f"^(?:{pattern})$").fill_null(value=True)
            value = _value(given.set(~fits, None), name, kind)
        elif given.dtype == pl.Int64:
            limit = CENTS_LIMIT if name.endswith("_amount") else 10**INTEGER_DIGITS - 1
            value = given.set(~given.is_between(0, limit).fill_null(value=True), None)
        else:
            value = given.cast(kind)
        blank[name] = given.is_null()
        tell(name, ~blank[name] & value.is_null(), f"wants {wanted}")
        if not column.nullable:
            tell(name, blank[name], f"is empty; wants {wanted}")
        out[name] = value
    frame = pl.DataFrame({**out, "_line": raw["_line"]})
    for where, name, value_of, needed in NEEDS:
        if where == table:
            lacking = (frame[name] == value_of).fill_null(value=False) & blank[needed]
            tell(needed, lacking, f"is empty; {value_of} needs it")
    for where, names in EITHER:
        if where == table:
            neither = blank[names[0]] & blank[names[1]]
            tell(names[0], neither, f"is empty, and so is {names[1]}; one must say it")
    for first, last in RANGES:
        if first not in frame.columns:
            continue
        tell(last, (frame[last] < frame[first]).fill_null(value=False), f"lies before {first}")
        if frame[last].dtype == pl.String:
            tell(last, blank[first] != blank[last], f"and {first} stand together or not at all")
            longer = frame[first].str.len_chars() != frame[last].str.len_chars()
            tell(last, longer.fill_null(value=False), f"is of another length than {first}")
    return frame


def _value(text: pl.Series, name: str, kind: pl.DataType) -> pl.Series:
    """Text of the right form as a value; null where it is of no day of the calendar."""
    if kind == pl.Date:
        return text.str.to_date("%Y-%m-%d", strict=False)
    if kind == pl.Boolean:
        return text == "true"
    if kind == pl.Int64 and name.endswith("_amount"):
        dollars = text.str.extract(r"^([0-9]+)").cast(pl.Int64)
        cents = text.str.extract(r"\.([0-9]+)$").fill_null("0").str.pad_end(2, "0").cast(pl.Int64)
        return dollars * 100 + cents
    return text.cast(kind)


def _unit(file_name: str) -> str:
    return "line" if file_name.lower().endswith(".csv") else "row"


def _overlaps(table: str, frame: pl.DataFrame) -> list[str]:
    """Rows of one key in force on the same day: file and line of both."""
    problems = []
    what = (
        "are in force on the same day"
        if "start_date" in frame.columns
        else "are the same key twice"
    )
    for keys in KEYS[table]:
        for row in overlapping(frame, keys).head(PROBLEMS_TOLD + 1).iter_rows(named=True):
            first = place(row["_file_before"], row["_line_before"])
            second = place(row["_file"], row["_line"])
            problems.append(f"{first} and {second} {what}: {', '.join(keys)}")
    return problems


def overlapping(frame: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
    """The rows in force on a day on which a row of the same keys before them is, too.

    Every column of the row before stands beside it under ``<name>_before``.
    """
    dated = "start_date" in frame.columns
    # of spans in order, any that overlap at all overlap a neighbour
    places = [c for c in ("_file", "_line") if c in frame.columns]
    ordered = frame.sort(*keys, *(["start_date"] if dated else []), *places)
    same = pl.all_horizontal(pl.col(k).eq_missing(pl.col(k).shift(1)) for k in keys)
    if dated:
        ended = pl.col("end_date").shift(1) < pl.col("start_date")
        same &= ~ended.fill_null(value=False)
    return ordered.with_columns(pl.all().shift(1).name.suffix("_before")).filter(
        same & (pl.int_range(pl.len()) > 0)
    )


def place(file: str, line: int | None) -> str:
    """Where a row stands, for a person."""
    return f"{file}, {_unit(file)} {line}" if line else file
