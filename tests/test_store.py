"""The store: migrations, transactions, the ways rows travel, and what a night begins from."""

from __future__ import annotations

import io
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from polars.testing import assert_frame_equal
from sqlalchemy import Connection, Engine, event, inspect, select
from sqlalchemy.exc import IntegrityError, OperationalError

from adjudicator import store
from adjudicator.store import dialect, files
from adjudicator.store.audit import BEGINNING
from adjudicator.store.snapshot import OPEN_CLAIMS
from adjudicator.store.tables import APPEND_ONLY, SEQUENCES, audit, metadata, run
from schemas import frames
from tests.stores import Stores


@pytest.fixture
def url(stores: Stores) -> str:
    return stores.fresh()


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    engine = store.open_store(url)
    yield engine
    engine.dispose()


@pytest.fixture
def file_url(tmp_path: Path) -> str:
    """Of a store on SQLite, for what only SQLite does."""
    return f"sqlite:///{tmp_path / 'store.db'}"


@pytest.fixture
def file_engine(file_url: str) -> Iterator[Engine]:
    engine = store.open_store(file_url)
    yield engine
    engine.dispose()


@contextmanager
def refused(
    connection: Connection, kind: type[Exception], match: str
) -> Iterator[pytest.ExceptionInfo[Exception]]:
    """What the database refuses within; the transaction goes on after it on both."""
    with pytest.raises(kind, match=match) as told, connection.begin_nested():
        yield told


@pytest.fixture
def connection(stores: Stores) -> Iterator[Connection]:
    """A transaction with a run and a file in it; nothing of it is kept."""
    engine = store.open_store(stores.shared())
    with engine.connect() as connection, connection.begin() as transaction:
        add_run(connection)
        yield connection
        transaction.rollback()
    engine.dispose()


def add_run(connection: Connection) -> None:
    store.insert_frame(
        connection,
        "run",
        pl.DataFrame(
            {
                "run_id": [1],
                "business_date": [date(2025, 3, 3)],
                "manifest_digest": ["m"],
                "reference_version": ["r"],
                "configuration_digest": ["c"],
                "state": ["intake"],
            }
        ),
    )
    store.insert_frame(
        connection,
        "file",
        pl.DataFrame(
            {
                "file_id": [1],
                "run_id": [1],
                "receipt_position": [1],
                "name": ["a.837"],
                "sha256": ["0"],
                "byte_count": [0],
                "received_date": [date(2025, 3, 3)],
            }
        ),
    )


def claims(count: int, **columns: Any) -> pl.DataFrame:
    """``count`` accepted claims from number 1; columns replace."""
    number = pl.int_range(1, count + 1, eager=True).alias("claim_id")
    offsets = {
        name: pl.lit(7)
        for name in frames.ClaimSources.columns()
        if name.endswith(("_offset", "_start", "_end"))
    }
    return pl.DataFrame(number).with_columns(
        **{
            "claim_number": pl.col("claim_id").cast(pl.String).str.zfill(12),
            "receipt_number": pl.col("claim_id") + 100,
            "file_id": pl.lit(1),
            **offsets,
            "claim_type_code": pl.lit("P"),
            "source_format_code": pl.lit("837P"),
            "received_date": pl.lit(date(2025, 3, 3)),
            "charge_amount": pl.lit(12_500),
            "version_number": pl.lit(1),
            **columns,
        }
    )


def lines(rows: list[tuple[int, int, str | None]], **columns: Any) -> pl.DataFrame:
    """Lines of (claim, line, disposition)."""
    return pl.DataFrame(
        rows,
        schema={"claim_id": pl.Int64, "line_number": pl.Int64, "line_disposition": pl.String},
        orient="row",
    ).with_columns(
        **{
            "procedure_code": pl.lit("99213"),
            "modifier_codes": pl.lit("25:59"),
            "unit_quantity": pl.lit(1000),
            "charge_amount": pl.lit(12_500),
            "service_from_date": pl.lit(date(2025, 2, 1)),
            "service_through_date": pl.lit(date(2025, 2, 2)),
            "provider_number": pl.lit("1234567893"),
            **columns,
        }
    )


# ---- opening and migrating -------------------------------------------------------------------


def test_a_new_file_becomes_a_store_only_its_owner_reads(
    file_engine: Engine, tmp_path: Path
) -> None:
    with store.reading(file_engine) as connection:
        assert store.current(connection) == store.HEAD
        written = sorted(tmp_path.glob("store.db*"))
        assert len(written) == 3  # the file, its log, its index
        assert {stat.S_IMODE(path.stat().st_mode) for path in written} == {0o600}
        read_back = {
            name: str(connection.exec_driver_sql(f"PRAGMA {name}").scalar_one())
            for name in dialect.PRAGMAS
        }
        assert read_back == {name: expected for name, (_, expected) in dialect.PRAGMAS.items()}


def test_head_is_the_last_migration_and_builds_the_tables(engine: Engine) -> None:
    config = Config()
    config.set_main_option("script_location", "adjudicator.store:migrations")
    assert ScriptDirectory.from_config(config).get_current_head() == store.HEAD
    with store.reading(engine) as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
        names = set(connection.exec_driver_sql("SELECT name FROM sequence").scalars())
        assert names == set(SEQUENCES)


def test_upgrading_a_store_that_is_at_head_changes_nothing(engine: Engine) -> None:
    with engine.begin() as connection:
        assert store.take_numbers(connection, "claim", 5) == 1
    store.upgrade(engine)
    with engine.begin() as connection:
        assert store.take_numbers(connection, "claim") == 6


def test_a_migration_that_fails_leaves_no_table(stores: Stores) -> None:
    engine = store.connect(stores.empty())

    def fail(_c: object, _u: object, statement: str, *_rest: object) -> None:
        if statement.startswith("CREATE TRIGGER payment"):  # near the end: the tables are there
            raise RuntimeError("the disk is full")

    event.listen(engine, "before_cursor_execute", fail)
    with pytest.raises(RuntimeError, match="the disk is full"):
        store.upgrade(engine)
    with store.reading(engine) as connection:
        assert inspect(connection).get_table_names() == []
        assert store.current(connection) is None
    event.remove(engine, "before_cursor_execute", fail)
    store.upgrade(engine)
    store.check_revision(engine)
    engine.dispose()


def test_another_revision_is_named_with_the_mend(engine: Engine, url: str) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = 'r9999'")
    with pytest.raises(store.StoreError, match=r"at revision r9999, this program needs .*db upg"):
        store.open_store(url)
    with pytest.raises(store.StoreError, match="r9999, which this program does not know"):
        store.upgrade(engine)


def test_what_is_no_store_is_refused(tmp_path: Path) -> None:
    absent = tmp_path / "absent.db"
    with pytest.raises(store.StoreError, match="no store is there"):
        store.open_store(f"sqlite:///{absent}", create=False)
    assert not absent.exists()
    with pytest.raises(store.StoreError, match="the store can't be made: No such file"):
        store.open_store(f"sqlite:///{tmp_path / 'no' / 'folder.db'}")
    for memory in ("sqlite://", "sqlite:///:memory:"):
        with pytest.raises(store.StoreError, match="an SQLite store is a file"):
            store.connect(memory)
    with pytest.raises(store.StoreError, match=r"no store speaks sqlite\+aiosqlite"):
        store.connect("sqlite+aiosqlite:///a.db")
    text = tmp_path / "claims.837"
    text.write_bytes(b"ISA*00*" * 1000)
    with pytest.raises(store.StoreError, match="can't be opened: file is not a database"):
        store.open_store(f"sqlite:///{text}")
    other = store.connect(f"sqlite:///{tmp_path / 'other.db'}")
    with other.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE recipe (name TEXT)")
    with pytest.raises(store.StoreError, match="other tables"):
        store.open_store(f"sqlite:///{tmp_path / 'other.db'}")
    other.dispose()


def test_a_pragma_that_does_not_take_stops_the_program(
    file_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(dialect.PRAGMAS, "synchronous", ("NORMAL", "2"))
    with pytest.raises(store.StoreError, match="keeps PRAGMA synchronous at 1; the store needs 2"):
        store.open_store(file_url)


def test_the_migration_writes_the_same_tables_for_postgresql() -> None:
    config = Config()
    config.set_main_option("script_location", "adjudicator.store:migrations")
    revision = ScriptDirectory.from_config(config).get_revision(store.HEAD)
    assert revision is not None
    written = io.StringIO()
    context = MigrationContext.configure(
        dialect_name="postgresql", opts={"as_sql": True, "output_buffer": written}
    )
    with Operations.context(context):
        revision.module.upgrade()
    sql = written.getvalue()
    assert {name for name in metadata.tables if f"CREATE TABLE {name} (" in sql} == set(
        metadata.tables
    )
    assert "entry_amount BIGINT NOT NULL" in sql
    for table in APPEND_ONLY:
        assert f"BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} FOR EACH STATEMENT" in sql


# ---- transactions ----------------------------------------------------------------------------


def test_a_transaction_that_fails_leaves_nothing(engine: Engine) -> None:
    with pytest.raises(RuntimeError), engine.begin() as connection:
        add_run(connection)
        store.insert_frame(connection, "claim", claims(3))
        store.store_parts(connection, 1, store.compressed(b"bytes"))
        store.append_audit(connection, "run", {}, run_id=1)
        assert store.take_numbers(connection, "claim", 3) == 1
        raise RuntimeError
    with engine.begin() as connection:
        for table in ("run", "file", "file_part", "claim", "audit"):
            count = connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one()
            assert (table, count) == (table, 0)
        assert store.take_numbers(connection, "claim") == 1


def test_one_writer_at_a_time_while_readers_see_what_was(
    engine: Engine, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(dialect.PRAGMAS, "busy_timeout", ("50", "50"))
    if engine.dialect.name == "postgresql":
        from adjudicator.store import postgresql

        monkeypatch.setitem(postgresql.SESSION, "lock_timeout", "50ms")
    second = store.connect(url)
    with engine.begin() as first:
        add_run(first)
        busy = (OperationalError, store.BusyError)
        with pytest.raises(busy, match=r"locked|another process writes"), second.begin():
            pytest.fail("a second writer began")
        with store.reading(second) as reader:
            assert reader.execute(select(run.c.run_id)).all() == []
    with second.begin() as later:
        assert later.execute(select(run.c.run_id)).scalars().all() == [1]
        with store.reading(engine) as reader:
            later.execute(run.update().values(state="decided"))
            assert reader.execute(select(run.c.state)).scalar_one() == "intake"
    second.dispose()


def test_a_reader_keeps_its_snapshot(engine: Engine) -> None:
    with store.reading(engine) as reader:
        assert store.ledger_head(reader) == 0
        with engine.begin() as writer:
            add_run(writer)
        assert reader.execute(select(run.c.run_id)).all() == []
    with store.reading(engine) as reader:
        assert reader.execute(select(run.c.run_id)).scalars().all() == [1]


# ---- what the tables refuse ------------------------------------------------------------------


def fill_append_only(connection: Connection) -> None:
    store.insert_frame(connection, "claim", claims(1))
    rows: dict[str, dict[str, Any]] = {
        "acknowledgement": {
            "file_id": 1,
            "name": "001-000000001-001-1.999",
            "position": 0,
            "kind": "999",
            "code": "A",
            "control_number": 1,
            "content": b"",
        },
        "payment": {
            "payment_id": 1,
            "run_id": 1,
            "payee_id": "PAYEE1",
            "program_code": "carepartners",
            "trace_number": "T1",
            "control_number": 1,
            "payment_method_code": "ACH",
            "payment_date": "2025-03-03",
            "payment_amount": 8000,
            "file_name": "1.835",
        },
        "ledger_entry": {
            "entry_id": 1,
            "run_id": 1,
            "claim_id": 1,
            "payment_id": 1,
            "payee_id": "PAYEE1",
            "program_code": "carepartners",
            "kind": "paid",
            "entry_amount": 8000,
        },
        "payment_cycle": {
            "program_code": "carepartners",
            "run_id": 1,
            "payment_date": "2025-03-03",
            "first_entry_id": 1,
            "last_entry_id": 1,
            "last_adjustment_number": 0,
        },
        "provider_adjustment": {
            "payment_id": 1,
            "sequence_number": 1,
            "fiscal_date": "2025-12-31",
            "reason_code": "FB",
            "reference_number": "T1",
            "adjustment_amount": -100,
        },
        "payee_adjustment": {
            "adjustment_number": 1,
            "program_code": "carepartners",
            "payee_id": "PAYEE1",
            "reason_code": "WO",
            "reference_number": "ADJ000000001",
            "adjustment_amount": 100,
            "made_date": "2025-03-03",
            "made_by": "R. Ledger",
            "note": "paid twice by check",
        },
        "accumulator_entry": {
            "run_id": 1,
            "claim_id": 1,
            "member_id": "M1",
            "family_id": "F1",
            "plan_code": "hmo",
            "network_code": "in",
            "benefit_year_start_date": "2025-01-01",
            "deductible_amount": 0,
            "out_of_pocket_amount": 2000,
        },
        "referral_visit": {
            "run_id": 1,
            "claim_id": 1,
            "referral_number": "R1",
            "visit_date": "2025-02-01",
            "visit_count": 1,
        },
        "authorization_unit": {
            "run_id": 1,
            "claim_id": 1,
            "authorization_number": "A1",
            "unit_quantity": 1000,
        },
        "benefit_use": {
            "run_id": 1,
            "claim_id": 1,
            "member_id": "M1",
            "plan_code": "pos",
            "limit_code": "acupuncture",
            "condition_code": "",
            "benefit_year_start_date": "2025-01-01",
            "use_date": "2025-02-01",
            "provider_number": "2000000010",
            "use_count": 1,
        },
        "pend": {
            "claim_id": 1,
            "run_id": 1,
            "pend_code": "AUREQ",
            "state": "waits",
            "began_date": "2025-03-03",
            "overdue": 0,
        },
        "dispute": {
            "dispute_number": 1,
            "claim_id": 1,
            "kind": "filing",
            "received_date": "2025-03-04",
            "channel_code": "mail",
            "claim_count": 1,
            "has_form": 1,
            "has_letter": 0,
        },
        "dispute_document": {
            "dispute_number": 1,
            "document_number": 1,
            "document_kind": "patient_ledger",
            "document_date": "2025-02-01",
        },
        "dispute_event": {
            "dispute_number": 1,
            "event_number": 1,
            "event": "received",
            "made_date": "2025-03-04",
        },
        "override": {
            "override_number": 1,
            "claim_id": 1,
            "act": "released",
            "edit": "referral",
            "made_date": "2025-03-04",
            "made_by": "examiner",
            "note": "seen",
        },
        "decided_part": {
            "run_id": 1,
            "kind": "adjustments",
            "part_number": 1,
            "first_claim_id": 1,
            "last_claim_id": 1,
            "content": b"",
        },
    }
    for table, row in rows.items():
        store.insert_frame(connection, table, pl.DataFrame([row]))
    store.append_audit(connection, "commit", {"claims": 1}, run_id=1)


@pytest.mark.parametrize("table", APPEND_ONLY)
def test_rows_only_ever_added_are_neither_changed_nor_deleted(
    connection: Connection, table: str
) -> None:
    fill_append_only(connection)
    column = metadata.tables[table].columns.keys()[0]
    before = connection.exec_driver_sql(f"SELECT * FROM {table}").all()
    assert len(before) == 1
    changes = [f"UPDATE {table} SET {column} = {column}", f"DELETE FROM {table}"]
    key = ", ".join(c.name for c in metadata.tables[table].primary_key.columns)
    if connection.dialect.name == "postgresql":
        # CASCADE: else a table that others refer to is refused before the trigger is asked
        changes.append(f"TRUNCATE {table} CASCADE")
        changes += [f"INSERT INTO {table} SELECT * FROM {table} ON CONFLICT ({key}) DO UPDATE "
                    f"SET {column} = excluded.{column}"] if key else []  # fmt: skip
    elif key:  # without a key the same row would go in a second time: nothing is replaced
        changes.append(f"INSERT OR REPLACE INTO {table} SELECT * FROM {table}")
    for change in changes:
        with refused(connection, IntegrityError, f"{table} rows are only ever added"):
            connection.exec_driver_sql(change)
    assert connection.exec_driver_sql(f"SELECT * FROM {table}").all() == before


def test_money_is_booked_once(connection: Connection) -> None:
    fill_append_only(connection)
    entry = pl.DataFrame(
        {"entry_id": [2], "run_id": [1], "claim_id": [1], "payee_id": ["PAYEE1"],
         "program_code": ["carepartners"], "kind": ["paid"], "entry_amount": [8000]}
    )  # fmt: skip
    with refused(connection, IntegrityError, "claim_id"):
        store.insert_frame(connection, "ledger_entry", entry)
    void = entry.with_columns(kind=pl.lit("void"), entry_amount=pl.lit(-8000))
    store.insert_frame(connection, "ledger_entry", void)
    total = connection.exec_driver_sql("SELECT sum(entry_amount) FROM ledger_entry").scalar_one()
    assert total == 0  # 8000 - 8000
    payment = pl.DataFrame(
        connection.exec_driver_sql("SELECT * FROM payment").mappings().all()
    ).with_columns(payment_id=pl.lit(2))
    with refused(connection, IntegrityError, "trace_number"):
        store.insert_frame(connection, "payment", payment)


def test_the_same_inputs_are_one_run(connection: Connection) -> None:
    again = pl.DataFrame(
        connection.exec_driver_sql("SELECT * FROM run").mappings().all()
    ).with_columns(run_id=pl.lit(2))
    with refused(connection, IntegrityError, "manifest_digest"):
        store.insert_frame(connection, "run", again)
    store.insert_frame(connection, "run", again.with_columns(business_date=pl.lit("2025-03-04")))


def test_a_line_needs_its_claim_and_a_claim_number_is_given_once(connection: Connection) -> None:
    with refused(connection, IntegrityError, "(?i)foreign key"):
        store.insert_frame(connection, "line", lines([(1, 1, None)]))
    with pytest.raises(IntegrityError, match="claim_number"), connection.begin_nested():
        store.insert_frame(connection, "claim", claims(2, claim_number=pl.lit("000000000001")))
    # a rejected claim has none
    store.insert_frame(connection, "claim", claims(2, claim_number=pl.lit(None, dtype=pl.String)))


def test_an_error_tells_no_value(connection: Connection) -> None:
    planted = claims(2, claim_number=pl.lit("000000000001"), member_id=pl.lit("CANARY77"))
    with refused(connection, IntegrityError, "claim.claim_number") as told:
        store.insert_frame(connection, "claim", planted)
    for error in (told.value, told.value.orig):  # type: ignore[attr-defined]
        assert "CANARY77" not in str(error)
        assert "000000000001" not in str(error)
        assert "CANARY77" not in repr(error)


# ---- rows ------------------------------------------------------------------------------------


def test_numbers_are_contiguous_and_taken_once(engine: Engine) -> None:
    with engine.begin() as connection:
        assert store.take_numbers(connection, "claim", 3) == 1  # 1, 2, 3
        assert store.take_numbers(connection, "claim") == 4
        assert store.take_numbers(connection, "claim", 0) == 5
        assert store.take_numbers(connection, "trace", 2) == 1
    with pytest.raises(RuntimeError), engine.begin() as connection:
        assert store.take_numbers(connection, "claim", 10) == 5
        raise RuntimeError
    with engine.begin() as connection:
        assert store.take_numbers(connection, "claim") == 5
        with pytest.raises(store.StoreError, match="no sequence 'clam'"):
            store.take_numbers(connection, "clam")
        with pytest.raises(store.StoreError, match="can't take -1"):
            store.take_numbers(connection, "claim", -1)


def test_a_frame_comes_back_as_it_went(connection: Connection) -> None:
    sent = claims(3).with_columns(patient_control_number=pl.Series(["=1+1", None, "Ünal'; --"]))
    assert store.insert_frame(connection, "claim", sent) == 3
    schema = pl.Schema(reversed(sent.cast({pl.Int32: pl.Int64}).schema.items()))
    found = store.read_frame(connection, f"SELECT {', '.join(sent.columns)} FROM claim", schema)
    assert found.columns == schema.names()
    assert_frame_equal(found.sort("claim_id"), sent.select(schema.names()).cast(schema))
    assert found.schema["received_date"] == pl.Date
    [mark] = dialect.marks(connection, 1)
    none = store.read_frame(
        connection, f"SELECT claim_id FROM claim WHERE claim_id > {mark}", {"claim_id": pl.Int64},
        (3,),
    )  # fmt: skip
    assert none.schema == {"claim_id": pl.Int64}
    assert none.is_empty()
    flags = store.read_frame(
        connection, select(run.c.run_id, (run.c.run_id > 1).label("late")),
        {"late": pl.Boolean, "run_id": pl.Int64},
    )  # fmt: skip
    assert flags.rows() == [(False, 1)]
    with pytest.raises(store.StoreError, match=r"answers \['run_id'\]"):
        store.read_frame(connection, "SELECT run_id FROM run", {"claim_id": pl.Int64})


def test_a_large_frame_goes_in_several_chunks(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adjudicator.store.rows.CHUNK_ROWS", 1000)
    monkeypatch.setattr("adjudicator.store.dialect.CHUNK_ROWS", 1000)
    assert store.insert_frame(connection, "claim", claims(3500)) == 3500
    found = store.read_frame(connection, "SELECT claim_id FROM claim", {"claim_id": pl.Int64})
    assert found["claim_id"].sort().to_list() == list(range(1, 3501))
    decided = found.with_columns(paid_amount=pl.col("claim_id") * 100)
    assert store.update_claims(connection, decided) == 3500
    total = connection.exec_driver_sql("SELECT sum(paid_amount) FROM claim").scalar_one()
    assert total == 100 * 3500 * 3501 // 2


@pytest.mark.parametrize("beyond", [-1, 0, 1])
def test_rows_of_one_statement_more_or_fewer_are_all_there(
    connection: Connection, monkeypatch: pytest.MonkeyPatch, beyond: int
) -> None:
    of_one = 7
    rows = claims(3 * of_one + beyond)
    monkeypatch.setattr("adjudicator.store.dialect.PARAMETERS", of_one * rows.width + 1)
    store.insert_frame(connection, "claim", rows)
    kept = {"claim_id": pl.Int64, "claim_number": pl.String}
    found = store.read_frame(connection, "SELECT claim_id, claim_number FROM claim", kept)
    assert_frame_equal(found.sort("claim_id"), rows.select(*kept))


def test_frames_that_do_not_fit_are_refused(connection: Connection) -> None:
    with pytest.raises(store.StoreError, match="no column charge"):
        store.insert_frame(connection, "claim", claims(1).with_columns(charge=1))
    with pytest.raises(store.StoreError, match=r"lacks \['file_id'\]"):
        store.insert_frame(connection, "claim", claims(1).drop("file_id"))
    with pytest.raises(store.StoreError, match="charge_amount: Float64 doesn't fit"):
        store.insert_frame(connection, "claim", claims(1, charge_amount=pl.lit(125.0)))
    with pytest.raises(store.StoreError, match="claim_number: Int32 doesn't fit"):
        store.insert_frame(connection, "claim", claims(1, claim_number=pl.lit(1)))
    with refused(connection, IntegrityError, "(?i)not.null"):
        store.insert_frame(
            connection, "claim", claims(1, claim_type_code=pl.lit(None, dtype=pl.String))
        )
    assert connection.exec_driver_sql("SELECT count(*) FROM claim").scalar_one() == 0


def test_updating_claims_touches_those_named_and_no_other(connection: Connection) -> None:
    store.insert_frame(connection, "claim", claims(3))
    decided = pl.DataFrame(
        {"disposition": ["paid", "pended"], "claim_id": [3, 1], "paid_amount": [8000, None]}
    )
    assert store.update_claims(connection, decided) == 2
    found = connection.exec_driver_sql("SELECT claim_id, disposition, paid_amount FROM claim")
    assert sorted(tuple(row) for row in found) == [
        (1, "pended", None), (2, None, None), (3, "paid", 8000)
    ]  # fmt: skip
    with pytest.raises(store.StoreError, match="2 claims to update, 1 are there"):
        store.update_claims(connection, decided.with_columns(claim_id=pl.Series([3, 99])))
    with pytest.raises(store.StoreError, match="paid_amount: Float64 doesn't fit"):
        store.update_claims(connection, decided.cast({"paid_amount": pl.Float64}))
    with pytest.raises(store.StoreError, match="can't update"):
        store.update_claims(connection, decided.select("claim_id"))


# ---- bytes -----------------------------------------------------------------------------------


def test_bytes_come_back_by_range(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "PART_BYTES", 10)
    data = bytes(range(256))[:95]
    parts = store.compressed(data)
    store.store_parts(connection, 1, parts)
    assert len(parts) == 10  # nine parts of 10 bytes and one of 5
    assert store.read_file(connection, 1) == data
    ranges = [(94, 95), (0, 10), (5, 25), (0, 95), (10, 10), (95, 95), (9, 11), (0, 0)]
    assert store.read_file_ranges(connection, 1, ranges) == [data[a:b] for a, b in ranges]
    everything = [(a, b) for a in range(96) for b in range(a, 96, 7)]
    assert store.read_file_ranges(connection, 1, everything) == [data[a:b] for a, b in everything]
    for outside in ((0, 96), (-1, 4), (5, 4)):
        with pytest.raises(store.StoreError, match="are not in the store"):
            store.read_file_ranges(connection, 1, [outside])
    with pytest.raises(store.StoreError, match="file 2: bytes 0 to 1"):
        store.read_file_ranges(connection, 2, [(0, 1)])


def test_only_the_parts_that_are_needed_are_unpacked_and_each_once(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "PART_BYTES", 10)
    store.store_parts(connection, 1, store.compressed(b"x" * 100))
    unpacked: list[int] = []
    part = files._part

    def counted(connection: Connection, file_id: int, part_number: int) -> bytes:
        unpacked.append(part_number)
        return part(connection, file_id, part_number)

    monkeypatch.setattr(files, "_part", counted)
    # bytes 38-41 lie in parts 4 and 5, 85 in part 9; the header, byte 0-4, in part 1
    store.read_file_ranges(connection, 1, [(85, 86), (38, 42), (0, 5), (39, 40), (80, 81)])
    assert unpacked == [1, 4, 5, 9]


def test_an_empty_file_has_no_parts(connection: Connection) -> None:
    assert store.compressed(b"") == []
    assert store.read_file(connection, 1) == b""


# ---- what a night begins from ----------------------------------------------------------------


def test_open_claims_are_accepted_and_undecided_or_pended(connection: Connection) -> None:
    fates = [None, "pended", "paid", "denied", "voided", "rejected", None]
    frame = claims(7).with_columns(
        disposition=pl.Series(fates),
        claim_number=pl.when(pl.col("claim_id") < 6).then("claim_number"),  # 6 and 7 weren't taken
        receipt_number=200 - pl.col("claim_id"),
        pend_codes=pl.Series([None, "AUREQ", None, None, None, None, None]),
    )
    store.insert_frame(connection, "claim", frame)
    found = store.open_claims(connection)
    assert found["claim_id"].to_list() == [2, 1]  # received 198th and 199th
    assert found["pend_codes"].to_list() == ["AUREQ", None]
    assert found.schema == OPEN_CLAIMS
    assert found["received_date"].to_list() == [date(2025, 3, 3)] * 2
    assert set(frames.ClaimSources.columns()) - {"set_index"} <= set(found.columns)


def test_history_is_the_lines_that_stand_on_claims_paid_or_pended(connection: Connection) -> None:
    fates = ["paid", "pended", "denied", "voided", "paid", None, "paid", "paid"]
    members = ["M1", "M2", "M1", "M1", "M1", "M1", "M3", "M1"]
    store.insert_frame(
        connection,
        "claim",
        claims(8).with_columns(disposition=pl.Series(fates), member_id=pl.Series(members)),
    )
    standing = lines([(1, 1, "paid"), (1, 2, "denied"), (1, 3, "paid"), (2, 1, "pended"),
                      (3, 1, "denied"), (4, 1, "paid"), (5, 1, "paid"), (6, 1, None),
                      (7, 1, "paid")])  # fmt: skip
    room = lines([(8, 1, "paid")], procedure_code=pl.lit("0120")).with_columns(
        service_through_date=pl.lit(None, dtype=pl.Date)
    )
    store.insert_frame(connection, "line", standing)
    store.insert_frame(connection, "line", room)
    found = store.history_lines(connection, ["M2", "M1", "M1", "M9"], [5])
    assert found.select("claim_id", "line_number").rows() == [(1, 1), (1, 3), (2, 1), (8, 1)]
    assert found["procedure_code"].to_list() == ["99213", "99213", "99213", "0120"]
    assert found["member_id"].to_list() == ["M1", "M1", "M2", "M1"]
    assert found["receipt_number"].to_list() == [101, 101, 102, 108]
    frames.HistoryLines.validate(found)
    # a second question on the same connection doesn't answer the first again
    assert store.history_lines(connection, pl.Series(["M3"]))["claim_id"].to_list() == [7]
    assert store.history_lines(connection, []).schema == found.schema


def test_history_since_a_day_counts_by_the_last_day_of_service(connection: Connection) -> None:
    store.insert_frame(
        connection, "claim", claims(1, disposition=pl.lit("paid"), member_id=pl.lit("M1"))
    )
    store.insert_frame(
        connection,
        "line",
        lines([(1, 1, "paid"), (1, 2, "paid"), (1, 3, "paid")]).with_columns(
            service_from_date=pl.Series([date(2025, 1, 30), date(2025, 1, 30), date(2025, 1, 31)]),
            service_through_date=pl.Series([date(2025, 1, 31), date(2025, 2, 1), None]),
        ),
    )

    def found(day: date) -> list[int]:
        return store.history_lines(connection, ["M1"], since=day)["line_number"].to_list()

    assert found(date(2025, 1, 31)) == [1, 2, 3]
    assert found(date(2025, 2, 1)) == [2]
    assert found(date(2025, 2, 2)) == []


def test_large_tables_are_searched_not_scanned(file_engine: Engine) -> None:
    """Without statistics SQLite would rather walk through every line of every night."""
    with store.reading(file_engine) as connection:
        _assert_searched(connection)


def _assert_searched(connection: Connection) -> None:
    plans: list[str] = []

    def explain(c: Connection, _u: object, statement: str, values: Any, *_rest: object) -> None:
        if statement.startswith("SELECT") and " FROM " in statement:
            rows = c.connection.cursor().execute(f"EXPLAIN QUERY PLAN {statement}", values)
            plans.extend(row[3] for row in rows)

    event.listen(connection, "before_cursor_execute", explain)
    store.open_claims(connection)
    assert plans == ["SCAN claim USING INDEX claim_open"]
    plans.clear()
    store.history_lines(connection, ["M1"], [1], since=date(2025, 1, 1))
    store.accumulators(connection, ["F1"])
    store.referral_visits(connection, ["R1"])
    store.authorization_units(connection, ["A1"])
    store.benefit_uses(connection, ["M1"])
    store.open_pends(connection, [1])
    store.overrides(connection, [1])
    event.remove(connection, "before_cursor_execute", explain)
    assert [p for p in plans if p.startswith("SEARCH")] == [
        "SEARCH c USING INDEX claim_member_id (member_id=?)",
        "SEARCH l USING PRIMARY KEY (claim_id=?)",
        "SEARCH a USING INDEX accumulator_entry_family_id (family_id=?)",
        "SEARCH r USING INDEX referral_visit_referral_number (referral_number=?)",
        "SEARCH u USING INDEX authorization_unit_authorization_number (authorization_number=?)",
        "SEARCH b USING INDEX benefit_use_member_id (member_id=?)",
        "SEARCH c USING INTEGER PRIMARY KEY (rowid=?)",
        "SEARCH p USING INDEX sqlite_autoindex_pend_1 (claim_id=? AND run_id=?)",
        "SEARCH o USING INDEX override_claim_id (claim_id=?)",
    ]
    scans = ("SCAN c", "SCAN l", "SCAN a", "SCAN r", "SCAN u")
    assert not [p for p in plans if p.startswith(scans)]


def test_accumulators_are_the_sums_of_their_entries(connection: Connection) -> None:
    store.insert_frame(connection, "claim", claims(5))
    this_year, last_year = date(2025, 1, 1), date(2024, 1, 1)
    rows = [
        (1, "M1", "F1", "in", this_year, 10_000, 12_000),
        (2, "M1", "F1", "in", this_year, 2_500, 4_500),
        (1, "M1", "F1", "in", this_year, -10_000, -12_000),  # claim 1 reversed
        (3, "M1", "F1", "out", this_year, 700, 700),
        (4, "M2", "F1", "in", last_year, 30, 40),
        (5, "M3", "F2", "in", this_year, 5, 6),
    ]
    names = ["claim_id", "member_id", "family_id", "network_code", "benefit_year_start_date",
             "deductible_amount", "out_of_pocket_amount"]  # fmt: skip
    entries = pl.DataFrame(rows, schema=names, orient="row").with_columns(
        run_id=pl.lit(1), plan_code=pl.lit("hmo")
    )
    store.insert_frame(connection, "accumulator_entry", entries)
    found = store.accumulators(connection, ["F1"])
    # 10000 + 2500 - 10000 = 2500; 12000 + 4500 - 12000 = 4500
    assert found.rows() == [
        ("M1", "F1", "hmo", "in", this_year, 2_500, 4_500),
        ("M1", "F1", "hmo", "out", this_year, 700, 700),
        ("M2", "F1", "hmo", "in", last_year, 30, 40),
    ]
    frames.Accumulators.validate(found)
    assert store.accumulators(connection, ["F1"], since=this_year).height == 2
    assert store.accumulators(connection, ["F9"]).schema == found.schema


def test_visits_are_the_sums_of_their_entries(connection: Connection) -> None:
    store.insert_frame(connection, "claim", claims(3))
    rows = [
        (1, "R1", date(2025, 2, 1), 1),
        (1, "R1", date(2025, 2, 2), 2),
        (2, "R1", date(2025, 2, 1), 1),
        (1, "R1", date(2025, 2, 2), -2),  # claim 1 reversed in part
        (3, "R2", date(2025, 2, 1), 5),
        (3, "R3", date(2025, 2, 1), 7),
    ]
    names = ["claim_id", "referral_number", "visit_date", "visit_count"]
    entries = pl.DataFrame(rows, schema=names, orient="row").with_columns(run_id=pl.lit(1))
    store.insert_frame(connection, "referral_visit", entries)
    found = store.referral_visits(connection, pl.Series(["R2", "R1", "R1", "R9"]))
    assert found.rows() == [("R1", 2), ("R2", 5)]  # 1 + 2 + 1 - 2 = 2
    frames.ReferralVisits.validate(found)
    assert store.referral_visits(connection, []).schema == found.schema


def test_units_are_the_sums_of_their_entries(connection: Connection) -> None:
    store.insert_frame(connection, "claim", claims(3))
    rows = [(1, "A1", 4_000), (2, "A1", 2_500), (1, "A1", -4_000), (3, "A2", 1_000), (3, "A3", 9)]
    names = ["claim_id", "authorization_number", "unit_quantity"]
    entries = pl.DataFrame(rows, schema=names, orient="row").with_columns(run_id=pl.lit(1))
    store.insert_frame(connection, "authorization_unit", entries)
    found = store.authorization_units(connection, pl.Series(["A2", "A1", "A1", "A9"]))
    # claim 1 reversed: 4 + 2.5 - 4 = 2.5
    assert found.rows() == [("A1", 2_500), ("A2", 1_000)]
    frames.AuthorizationUnits.validate(found)
    assert store.authorization_units(connection, []).schema == found.schema


def test_uses_of_limits_are_the_sums_of_their_entries(connection: Connection) -> None:
    """What a void gave back is not there; what two claims tell of one visit is one row."""
    store.insert_frame(connection, "claim", claims(4))
    rows = [
        (1, "M1", date(2025, 2, 1), 1),
        (2, "M1", date(2025, 2, 1), 1),  # the same visit on another claim
        (2, "M1", date(2025, 2, 8), 1),
        (2, "M1", date(2025, 2, 8), -1),  # given back
        (3, "M2", date(2025, 2, 1), 1),
        (4, "M3", date(2025, 2, 1), 1),
    ]
    entries = pl.DataFrame(
        rows, schema=["claim_id", "member_id", "use_date", "use_count"], orient="row"
    ).with_columns(
        run_id=pl.lit(1), plan_code=pl.lit("pos"), limit_code=pl.lit("acupuncture"),
        condition_code=pl.lit(""), provider_number=pl.lit("2000000010"),
        benefit_year_start_date=pl.lit(date(2025, 1, 1)),
    )  # fmt: skip
    store.insert_frame(connection, "benefit_use", entries)
    found = store.benefit_uses(connection, pl.Series(["M2", "M1", "M1", "M9"]))
    assert found.select("member_id", "use_date", "use_count").rows() == [
        ("M1", date(2025, 2, 1), 2),
        ("M2", date(2025, 2, 1), 1),
    ]
    frames.BenefitUses.validate(found)
    assert store.benefit_uses(connection, []).schema == found.schema


def test_the_ledger_head_is_its_last_entry(connection: Connection) -> None:
    assert store.ledger_head(connection) == 0
    fill_append_only(connection)
    assert store.ledger_head(connection) == 1


def test_a_pended_claims_lines_are_written_anew(connection: Connection) -> None:
    store.insert_frame(connection, "claim", claims(2))
    store.insert_frame(
        connection, "line", lines([(1, 1, "pended"), (1, 2, "paid"), (2, 1, "paid")])
    )
    assert store.delete_lines(connection, pl.Series([1, 1, 9])) == 2
    store.insert_frame(connection, "line", lines([(1, 1, "paid")]))
    found = connection.exec_driver_sql("SELECT claim_id, line_number FROM line").all()
    assert sorted(tuple(row) for row in found) == [(1, 1), (2, 1)]


# ---- audit -----------------------------------------------------------------------------------


def test_the_audit_trail_is_a_chain(engine: Engine) -> None:
    with engine.begin() as connection:
        add_run(connection)
        assert store.audit_head(connection) == (0, BEGINNING)
        first = store.append_audit(connection, "intake", {"b": 1, "a": "é"}, run_id=1)
        second = store.append_audit(connection, "release", {}, recorded_at="2025-03-03T04:05:06Z")
        assert store.audit_head(connection) == (2, second)
        rows = connection.execute(select(audit).order_by(audit.c.sequence_number)).mappings().all()
        assert [r["previous_hash"] for r in rows] == [BEGINNING, first]
        assert rows[0]["detail"] == '{"a":"\\u00e9","b":1}'
        assert store.broken_audit(connection) is None


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        ("UPDATE audit SET detail = '{}' WHERE sequence_number = 2", 2),
        ("UPDATE audit SET run_id = NULL WHERE sequence_number = 1", 1),
        ("DELETE FROM audit WHERE sequence_number = 2", 2),
        ("DELETE FROM audit WHERE sequence_number = 1", 1),
        ("UPDATE audit SET recorded_at = 'later'", None),  # stands outside the chain
    ],
)
def test_a_changed_audit_row_is_found(engine: Engine, change: str, broken: int | None) -> None:
    with engine.begin() as connection:
        add_run(connection)
        for what in ("intake", "decide", "commit"):
            store.append_audit(connection, what, {"what": what}, run_id=1)
        drop = (
            ["DROP TRIGGER audit_no_change ON audit"]
            if engine.dialect.name == "postgresql"
            else ["DROP TRIGGER audit_no_update", "DROP TRIGGER audit_no_delete"]
        )
        for statement in drop:
            connection.exec_driver_sql(statement)
        connection.exec_driver_sql(change)
        assert store.broken_audit(connection) == broken


def test_the_same_acts_hash_alike_whenever_and_wherever_they_happen(
    engine: Engine, tmp_path: Path
) -> None:
    other = store.open_store(f"sqlite:///{tmp_path / 'other.db'}")
    heads = []
    for place, when in ((engine, "2025-03-03T00:00:00Z"), (other, "2031-01-01T00:00:00Z")):
        with place.begin() as connection:
            add_run(connection)
            heads.append(store.append_audit(connection, "run", {"n": 1}, recorded_at=when))
    assert heads[0] == heads[1]
    other.dispose()


# ---- bulk ------------------------------------------------------------------------------------


def test_a_small_night_is_written_and_read_whole(engine: Engine) -> None:
    """5,000 claims of three lines; what a large night does, without a clock."""
    count = 5_000
    with engine.begin() as connection:
        add_run(connection)
        store.insert_frame(connection, "claim", claims(count))
    with engine.begin() as connection:
        waiting = store.open_claims(connection)
        decided = waiting.select(
            "claim_id", disposition=pl.lit("paid"), paid_amount=pl.lit(8000),
            member_id="M" + (pl.col("claim_id") % 1000).cast(pl.String),
        )  # fmt: skip
        store.update_claims(connection, decided)
        store.insert_frame(
            connection,
            "line",
            lines([(c, n, "paid") for c in range(1, count + 1) for n in (1, 2, 3)]),
        )
    with store.reading(engine) as connection:
        assert store.open_claims(connection).is_empty()
        history = store.history_lines(connection, decided["member_id"])
    assert history.height == 15_000
    assert history["charge_amount"].sum() == 15_000 * 12_500
