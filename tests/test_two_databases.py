"""PostgreSQL beside SQLite: the same night, lost servers, races, roles, secrets, backups."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import IntegrityError, ProgrammingError
from typer.testing import CliRunner

import cli
from adjudicator import store
from adjudicator.night import LockedError, Order, run_night
from adjudicator.store.roles import roles_sql
from adjudicator.store.tables import APPEND_ONLY, metadata
from adjudicator.verify import verify
from schemas.config import Config
from tests.postgresql import certificate, programs
from tests.stores import ABSENT, BOTH, SERVER, Stores, administer, database_url
from tests.synthetic import generate
from tests.two_databases import DAY, ROOT, books, fences, load, published, races

pytestmark = pytest.mark.long

ON_POSTGRESQL = pytest.mark.parametrize("stores", BOTH[1:], indirect=True)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An inbox of 30 claims and its reference data."""
    folder = tmp_path_factory.mktemp("small")
    generate(folder, 30, seed=5)
    load(f"sqlite:///{folder / 'loaded.db'}", folder / "reference")
    return folder


def loaded(stores: Stores, made: Path, name: str = "a") -> str:
    """The URL of a store with the reference data."""
    source = f"sqlite:///{made / 'loaded.db'}"
    if stores.is_postgresql:
        source = stores.once(str(made), lambda url: load(url, made / "reference"))
    return stores.copy(source, name)


def order(made: Path, url: str, out: Path) -> Order:
    return Order((made / "inbox",), Config(db=url, out=out), DAY, DAY)


@pytest.fixture(scope="module")
def undisturbed(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What a night of its own writes: files and books, on SQLite."""
    folder = tmp_path_factory.mktemp("undisturbed")
    url = f"sqlite:///{folder / 'a.db'}"
    shutil.copy(made / "loaded.db", folder / "a.db")
    run_night(order(made, url, folder / "out"))
    return published(folder / "out"), books(url)


@pytest.fixture(autouse=True)
def _closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Closes the connections that a command leaves to the end of its process."""
    made: list[Any] = []

    def recorded(real: Callable[..., Any]) -> Callable[..., Any]:
        def opened(*arguments: Any, **named: Any) -> Any:
            made.append(real(*arguments, **named))
            return made[-1]

        return opened

    for name in ("open_store", "connect"):
        monkeypatch.setattr(store, name, recorded(getattr(store, name)))
    yield
    for engine in made:
        engine.dispose()


# ---- the same night --------------------------------------------------------------------------


@ON_POSTGRESQL
def test_the_demo_night_writes_the_same_bytes_and_books(stores: Stores, tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    for claim in (ROOT / "fixtures" / "claims").glob("*/claim.*"):
        shutil.copy(claim, inbox / f"{claim.parent.name}{claim.suffix}")
    found = []
    for url in (f"sqlite:///{tmp_path / 'a.db'}", stores.fresh()):
        load(url, ROOT / "fixtures" / "reference")
        out = tmp_path / f"out{len(found)}"
        run_night(Order((inbox,), Config(db=url, out=out), DAY, DAY))
        found.append((published(out), books(url)))
    (files, one), (others, other) = found
    assert len(files) > 100
    assert files.keys() == others.keys()
    assert [name for name in files if files[name] != others[name]] == []
    assert len(one["ledger_entry"]) > 50
    assert [name for name in one if one[name] != other[name]] == []


def test_an_sqlite_night_loads_nothing_of_postgresql(made: Path, tmp_path: Path) -> None:
    shutil.copy(made / "loaded.db", tmp_path / "a.db")
    told = (
        "import sys, cli; sys.argv[1:] = ['run', {!r}, '--db', 'sqlite:///a.db', '--out', 'out', "
        "'--business-date', '2025-11-15']; cli._code(); print([m for m in sys.modules "
        "if 'psycopg' in m or 'postgresql' in m])"
    ).format(str(made / "inbox"))
    done = subprocess.run(
        [sys.executable, "-c", told], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("kind", BOTH)
def test_of_two_runs_at_once_one_wins_and_the_other_writes_nothing(
    kind: str, tmp_path: Path
) -> None:
    if kind == "postgresql" and not SERVER:
        pytest.skip(ABSENT)
    assert "2 races of two runs: each had one winner" in races(kind, 2, tmp_path, claims=20)


@ON_POSTGRESQL
def test_zeros_wherever_a_sender_puts_them_stop_neither(
    stores: Stores, made: Path, tmp_path: Path
) -> None:
    """A zero byte is no text to PostgreSQL: in headers and claims it is read as another."""
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    plain = next((made / "inbox").glob("professional-*")).read_bytes()
    claims = re.sub(rb"(CLM|NM1|REF|HI|SV1)\*([^*~]+)", rb"\1*\2\0", plain)
    header = re.sub(rb"(GS|ST|BHT|SE|GE|IEA)\*([^*~]+)", rb"\1*\2\0", plain)
    for name, data in (
        ("claims", claims),
        ("header", header),
        ("sender", plain[:36] + b"\0" + plain[37:]),
        ("number", plain[:92] + b"\0" + plain[93:]),
        ("text", plain[:-4] + b"\0~"),
    ):
        (inbox / f"{name}.837").write_bytes(data)
    found = []
    for url in (f"sqlite:///{tmp_path / 'a.db'}", loaded(stores, made)):
        if url.startswith("sqlite"):
            shutil.copy(made / "loaded.db", tmp_path / "a.db")
        out = tmp_path / f"out{len(found)}"
        run_night(Order((inbox,), Config(db=url, out=out), DAY, DAY))
        found.append((published(out), books(url)))
    assert len(found[0][1]["file"]) == 5
    assert found[0] == found[1]


# ---- rows ------------------------------------------------------------------------------------


@ON_POSTGRESQL
def test_copy_keeps_every_text_and_byte_as_it_is(stores: Stores) -> None:
    engine = store.open_store(stores.shared())
    odd = ["", None, "\\N", "\\.", "NULL", 'a"b', "a,b", "a\nb", "a\r\nb", "\\x41", " ", "Ü\u2028'"]
    keys = pl.Series("key", [o for o in odd if o is not None])
    with engine.connect() as connection, connection.begin() as transaction:
        wanted = store.wanted_keys(connection, "text", keys)
        rows = connection.exec_driver_sql(f"SELECT key FROM {wanted}").scalars().all()
        assert sorted(rows) == sorted(keys)
        parts = pl.DataFrame(
            {
                "sha256": [f"{n}{o}" for n, o in enumerate(odd)],
                "part_number": range(len(odd)),
                "content": [bytes(range(256)), b"", *[b"\\x41\n"] * (len(odd) - 2)],
            }
        )
        store.insert_frame(connection, "reference_part", parts)
        found = connection.exec_driver_sql(
            "SELECT sha256, part_number, content FROM reference_part"
        ).all()
        assert sorted(tuple(row) for row in found) == sorted(parts.rows())
        versions = pl.DataFrame({"version": ["v"], "load_number": [1]})
        store.insert_frame(connection, "reference_version", versions)
        store.insert_frame(
            connection, "run",
            pl.DataFrame({"run_id": range(len(odd)), "business_date": "2025-11-15",
                          "manifest_digest": [str(n) for n in range(len(odd))],
                          "reference_version": "v", "configuration_digest": "c", "state": "intake",
                          "started_at": odd}),
        )  # fmt: skip
        found = connection.exec_driver_sql("SELECT run_id, started_at FROM run").all()
        assert sorted(tuple(row) for row in found) == list(enumerate(odd))
        transaction.rollback()
    engine.dispose()


# ---- a server lost at a commit ---------------------------------------------------------------


@dataclass
class _Loss:
    """Ends every connection of a database at the next commit once it is armed."""

    name: str
    moment: str  # before, during or after the server has the COMMIT
    is_armed: bool = False

    def commit(self, real: Callable[[Any], None], driver: Any) -> None:
        if not self.is_armed:
            real(driver)
            return
        self.is_armed = False
        if self.moment == "after":
            real(driver)
        with ThreadPoolExecutor(1) as beside:
            ending = beside.submit(
                administer,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                f"WHERE datname = '{self.name}'",
            )
            if self.moment != "during":
                ending.result()
            # the answer to a COMMIT that came through is lost as one that never did
            driver.execute("SELECT 1") if self.moment == "after" else real(driver)
            ending.result()
            # during: the COMMIT came first; its answer is lost
            driver.execute("SELECT 1")


@ON_POSTGRESQL
@pytest.mark.parametrize("moment", ["before", "during", "after"])
@pytest.mark.parametrize("step", ["intake", "commit", "publish"])
def test_a_server_lost_at_a_commit_is_asked_before_anything_is_repeated(
    stores: Stores, made: Path, tmp_path: Path, undisturbed: Any, step: str, moment: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

    url = loaded(stores, made)
    before = books(url)
    loss = _Loss(str(make_url(url).database), moment)
    real = PGDialect_psycopg.do_commit
    monkeypatch.setattr(
        PGDialect_psycopg, "do_commit",
        lambda self, driver: loss.commit(lambda d: real(self, d), driver),
    )  # fmt: skip

    def arm(at: str) -> None:
        loss.is_armed = at == step

    with pytest.raises(store.LostStoreError, match="whole or not at all; run the same command"):
        run_night(order(made, url, tmp_path / "out"), arm)
    assert not loss.is_armed
    assert [p.name for p in (tmp_path / "out").iterdir() if not p.name.startswith(".")] == (
        [] if step != "publish" else [f"run-000001-{DAY}"]
    )
    half = books(url)
    if moment != "during":  # then either is right: it is known only now
        came = moment == "after"
        state = {row[5] for row in half["run"]}
        assert (
            state
            == {
                "intake": {"intake"},
                "commit": {"decided"} if came else {"intake"},
                "publish": {"published"} if came else {"decided"},
            }[step]
        )
        if step == "intake":
            assert len(half["file"]) == len(before["file"]) + came
    run_night(order(made, url, tmp_path / "out"))
    assert (published(tmp_path / "out"), books(url)) == undisturbed


@ON_POSTGRESQL
def test_a_run_whose_lock_was_lost_writes_nothing_more(
    stores: Stores, made: Path, tmp_path: Path, undisturbed: Any
) -> None:
    url = loaded(stores, made)
    name = make_url(url).database

    def lose(at: str) -> None:
        """Only the lock's connection: the run itself doesn't notice; another run begins."""
        if at == "commit":
            administer(
                "SELECT pg_terminate_backend(l.pid) FROM pg_locks AS l JOIN pg_database AS d "
                f"ON d.oid = l.database WHERE d.datname = '{name}' AND l.locktype = 'advisory'"
            )
            run_night(order(made, url, tmp_path / "second"))

    with pytest.raises(LockedError, match=r"another run has begun .* see to the server"):
        run_night(order(made, url, tmp_path / "first"), lose)
    assert published(tmp_path / "first") == {}
    assert (published(tmp_path / "second"), books(url)) == undisturbed
    assert fences(url) == 2


@ON_POSTGRESQL
def test_stores_are_made_by_one_process_at_a_time(stores: Stores) -> None:
    url = stores.empty()
    with ThreadPoolExecutor(4) as many:
        for engine in many.map(lambda _: store.open_store(url), range(4)):
            engine.dispose()


# ---- what may be told, and by whom it may be asked -------------------------------------------


def told_by(*arguments: str, **environment: str) -> str:
    done = CliRunner().invoke(cli.app, list(arguments), env=environment)
    assert done.exit_code in (1, 2), done.output
    assert "Traceback" not in done.output
    return done.output


SECRET = "s3cr3t%2Fword"


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://claims:{SECRET}@127.0.0.1:1/claims",
        f"postgresql://claims:{SECRET}@127.0.0.1:x/claims",
        f"postgresql://claims:{SECRET}@nowhere.invalid/claims",
        f"postgresql+asyncpg://claims:{SECRET}@127.0.0.1/claims",
        f"mysql://claims:{SECRET}@127.0.0.1/claims",
        f"postgresql://127.0.0.1:1/claims?user=claims&password={SECRET}",
        f"postgresql:/claims:{SECRET}@127.0.0.1",
    ],
)
def test_no_message_tells_a_password(url: str, tmp_path: Path) -> None:
    config = tmp_path / "adjudicator.yaml"
    config.write_text(f"db: {url!r}\n")
    for told in (
        told_by("explain", "1", ADJUDICATOR_DB=url),
        told_by("explain", "1", "--config", str(config)),
        told_by("explain", "1", "--db", url),
        told_by("run", str(tmp_path), ADJUDICATOR_DB=url),
        told_by("db", "upgrade", ADJUDICATOR_DB=url),
    ):
        assert told.startswith("adjudicate: ")
        assert "s3cr3t" not in told
        assert "a fault of the program" not in told


def test_a_password_on_the_command_line_is_refused() -> None:
    told = told_by("explain", "1", "--db", "postgresql://claims:x@db.example/claims")
    assert "can be read by every account" in told
    assert "PGPASSFILE" in told


@ON_POSTGRESQL
def test_the_environment_names_the_store_and_a_file_its_password(
    stores: Stores, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = make_url(loaded(stores, made))
    keys = tmp_path / "pgpass"
    keys.write_text(f"{place.host}:{place.port}:*:{place.username}:{place.password}\n")
    keys.chmod(0o600)
    bare = place._replace(password=None).render_as_string()
    assert str(place.password) not in bare
    monkeypatch.setenv("ADJUDICATOR_DB", "sqlite:///nowhere.db")
    listed = CliRunner().invoke(
        cli.app, ["reference", "list", "--db", bare], env={"PGPASSFILE": str(keys)}
    )
    assert listed.exit_code == 0, listed.output  # --db comes before the environment
    listed = CliRunner().invoke(
        cli.app, ["reference", "list"], env={"PGPASSFILE": str(keys), "ADJUDICATOR_DB": bare}
    )
    assert listed.exit_code == 0, listed.output
    assert "is in force" in listed.output
    refused = told_by("reference", "list", PGPASSFILE="/dev/null", ADJUDICATOR_DB=bare)
    assert "no password given" in refused


@pytest.mark.parametrize(
    ("url", "mode"),
    [
        ("postgresql://u@db.example/claims", {"sslmode": "verify-full"}),
        ("postgresql://u@192.0.2.7/claims", {"sslmode": "verify-full"}),
        ("postgresql://u@/claims?host=db.example", {"sslmode": "verify-full"}),
        ("postgresql://u@/claims?host=a.example&host=b.example", {"sslmode": "verify-full"}),
        ("postgresql://u@db.example/claims?sslmode=require", {}),  # someone has said so
        ("postgresql://u@127.0.0.1/claims", {}),
        ("postgresql://u@localhost/claims", {}),
        ("postgresql://u@/claims?host=/run/postgresql", {}),
        ("postgresql://u@/claims", {}),
    ],
)
def test_a_server_elsewhere_proves_who_it_is(url: str, mode: dict[str, str]) -> None:
    pytest.importorskip("psycopg")
    from adjudicator.store import postgresql

    assert postgresql._checked_peer(make_url(url)) == mode


@ON_POSTGRESQL
def test_a_server_that_can_not_prove_its_name_is_refused(stores: Stores, tmp_path: Path) -> None:
    [(is_on,)] = administer("SHOW ssl")
    if is_on != "on":
        pytest.skip("the server speaks no TLS: openssl was not there to make it a certificate")
    [(authority,)] = administer("SHOW ssl_cert_file")  # it signed its own
    certificate(tmp_path / "other")

    def asked(host: str, **query: str) -> str:
        place = make_url(stores.shared()).set(host=host)
        place = place.update_query_dict({"sslmode": "verify-full", **query})
        return place.render_as_string(hide_password=False)

    engine = store.open_store(asked("localhost", sslrootcert=authority))
    with store.reading(engine) as connection:
        [(is_tls,)] = connection.exec_driver_sql(
            "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
        )
    engine.dispose()
    assert is_tls
    for host, root, told in (
        ("127.0.0.1", authority, "certificate does not prove who it is"),  # not in it
        ("localhost", str(tmp_path / "other.crt"), "certificate does not prove who it is"),
        ("localhost", str(tmp_path / "absent.crt"), "no sslrootcert to check its certificate by"),
    ):
        with pytest.raises(store.StoreError, match=told):
            store.open_store(asked(host, sslrootcert=root))


@ON_POSTGRESQL
@pytest.mark.parametrize("setting", ["synchronous_commit", "fsync"])
def test_a_setting_that_does_not_hold_stops_the_program(
    stores: Stores, setting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from adjudicator.store import postgresql

    monkeypatch.setitem(postgresql.SERVER, setting, "off")
    with pytest.raises(store.StoreError, match=f"keeps {setting} at on; the store needs off"):
        store.open_store(stores.shared())


# ---- whether all is still right --------------------------------------------------------------


@pytest.mark.parametrize(
    ("statements", "where", "what"),
    [
        ((), "", ""),
        (("UPDATE ledger_entry SET entry_amount = entry_amount + 1 WHERE entry_id = 2",),
         "the store", "its ledger entries are"),
        (("DELETE FROM ledger_entry WHERE entry_id = 2",),
         "the store", "final and not booked once"),
        (("UPDATE payment SET payment_amount = payment_amount - 1 WHERE payment_id = 1",),
         "the store", "its ledger entries are"),
        (("UPDATE accumulator_entry SET out_of_pocket_amount = out_of_pocket_amount + 1 "
          "WHERE claim_id = (SELECT min(claim_id) FROM accumulator_entry)",),
         "the store", "limits"),
        (("UPDATE outbox SET sha256 = 'x' WHERE file_name = 'claims.csv'",),
         "the store", "its audit row"),
        (("UPDATE file_part SET content = substr(content, 2) WHERE file_id = 1",),
         "the store", "received file 1"),
        (("UPDATE audit SET detail = replace(detail, '\"paid_amount\":', '\"paid_amount\":1') "
          "WHERE what = 'decided'",), "the audit trail", "row 3 was changed"),
        (("DELETE FROM audit WHERE sequence_number = 2",),
         "the audit trail", "row 2 is missing"),
        (("UPDATE audit SET sequence_number = 99 WHERE sequence_number = 3",
          "UPDATE audit SET sequence_number = 3 WHERE sequence_number = 2",
          "UPDATE audit SET sequence_number = 2 WHERE sequence_number = 99"),
         "the audit trail", "row 2 does not follow the row before it"),
    ],
    ids=["nothing", "entry", "no-entry", "payment", "counter", "outbox", "received", "figure",
         "no-row", "order"],
)  # fmt: skip
def test_verify_finds_on_either_database_what_was_changed(
    stores: Stores, made: Path, tmp_path: Path, statements: tuple[str, ...], where: str, what: str
) -> None:
    """By somebody with the server, or the file, in whose way no trigger stands."""
    url = loaded(stores, made)
    run_night(order(made, url, tmp_path / "out"))
    if stores.is_postgresql:
        administer(
            "SET session_replication_role = replica", *statements,
            database=str(make_url(url).database),
        )  # fmt: skip
    else:
        with sqlite3.connect(str(make_url(url).database)) as plain:
            for (trigger,) in plain.execute(
                "SELECT name FROM sqlite_master WHERE type = 'trigger'"
            ).fetchall():
                plain.execute(f"DROP TRIGGER {trigger}")
            for statement in statements:
                assert plain.execute(statement).rowcount, statement
        plain.close()
    engine = store.open_store(url, create=False)
    with store.reading(engine) as connection:
        faults = verify(connection, tmp_path / "out").faults
    engine.dispose()
    assert bool(faults) == bool(statements)
    assert not statements or any(f.file == where and what in f.what for f in faults), faults


# ---- roles -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Roles:
    database: str
    owner: str
    application: str
    reader: str

    def url(self, role: str) -> str:
        return database_url(self.database, username=role, password=role)


@pytest.fixture
def roles(stores: Stores, made: Path) -> Iterator[_Roles]:
    name = str(make_url(loaded(stores, made)).database)
    suffix = name.removeprefix("test_")[:12]
    made_of = _Roles(name, *(f"{role}_{suffix}" for role in ("own", "app", "read")))
    three = (made_of.owner, made_of.application, made_of.reader)
    for _ in range(2):  # running it again changes nothing
        administer(roles_sql(*three), database=name)
    administer(*(f"ALTER ROLE {role} PASSWORD '{role}'" for role in three))
    yield made_of
    administer(*(f"DROP OWNED BY {role} CASCADE" for role in three), database=name)
    administer(*(f"DROP ROLE {role}" for role in three))


@ON_POSTGRESQL
def test_the_application_runs_nights_and_can_change_no_ledger_or_audit_row(
    roles: _Roles, made: Path, tmp_path: Path, undisturbed: Any
) -> None:
    url = roles.url(roles.application)
    run_night(order(made, url, tmp_path / "out"))
    assert (published(tmp_path / "out"), books(url)) == undisturbed
    may_not = "permission denied|must be owner"
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"))
    with engine.connect() as connection:
        for table in APPEND_ONLY:
            column = metadata.tables[table].columns.keys()[0]
            for change in (
                f"UPDATE {table} SET {column} = {column}",
                f"DELETE FROM {table}",
                f"TRUNCATE {table} CASCADE",
                f"ALTER TABLE {table} DISABLE TRIGGER ALL",
                f"DROP TRIGGER {table}_no_change ON {table}",
                f"DROP TABLE {table} CASCADE",
            ):
                with pytest.raises(ProgrammingError, match=may_not), connection.begin():
                    connection.execute(text(change))
        for change in ("CREATE TABLE public.mine (a int)", "SET session_replication_role = replica",
                       "UPDATE alembic_version SET version_num = 'r9'"):  # fmt: skip
            with pytest.raises(ProgrammingError, match="permission denied"), connection.begin():
                connection.execute(text(change))
    engine.dispose()
    # the owner may, were it not for the triggers
    owning = create_engine(make_url(roles.url(roles.owner)).set(drivername="postgresql+psycopg"))
    with (
        owning.connect() as connection,
        pytest.raises(IntegrityError, match="audit rows are only ever added"),
    ):
        connection.execute(text("DELETE FROM audit"))
    owning.dispose()


@ON_POSTGRESQL
def test_the_reader_reads_and_writes_nothing(roles: _Roles, made: Path, tmp_path: Path) -> None:
    run_night(order(made, roles.url(roles.application), tmp_path / "out"))
    url = roles.url(roles.reader)
    for arguments in (
        ("explain", "000000000001"), ("pends", "list"), ("reference", "list"),
        ("report", "register", "--out", str(tmp_path / "reports")),
    ):  # fmt: skip
        done = CliRunner().invoke(cli.app, list(arguments), env={"ADJUDICATOR_DB": url})
        assert done.exit_code == 0, done.output
    told = told_by("run", str(made / "inbox"), "--out", str(tmp_path / "mine"),
                   "--business-date", "2025-11-16", ADJUDICATOR_DB=url)  # fmt: skip
    assert "this database role may not do that" in told
    assert not any((tmp_path / "mine").rglob("*"))


@ON_POSTGRESQL
def test_only_the_owner_makes_and_upgrades_the_tables(roles: _Roles) -> None:
    administer("DROP SCHEMA public CASCADE", "CREATE SCHEMA public",
               f"GRANT USAGE, CREATE ON SCHEMA public TO {roles.owner}",
               f"GRANT USAGE ON SCHEMA public TO {roles.application}",
               database=roles.database)  # fmt: skip
    told = told_by("db", "upgrade", ADJUDICATOR_DB=roles.url(roles.application))
    assert "this database role may not do that" in told
    done = CliRunner().invoke(
        cli.app, ["db", "upgrade"], env={"ADJUDICATOR_DB": roles.url(roles.owner)}
    )
    assert done.exit_code == 0, done.output


def test_role_names_that_are_sql_are_refused() -> None:
    for names in (("a; drop", "b", "c"), ("A", "b", "c"), ("a", "a", "c"), ("", "b", "c")):
        with pytest.raises(store.StoreError, match="role"):
            roles_sql(*names)
    printed = CliRunner().invoke(cli.app, ["db", "roles"])
    assert printed.exit_code == 0
    assert printed.output == roles_sql("claims_owner", "claims_application", "claims_reader")


# ---- backup and restore ----------------------------------------------------------------------


def test_a_restored_backup_goes_on_to_the_same_bytes(
    stores: Stores, made: Path, tmp_path: Path
) -> None:
    """The drill of docs/operate.md: a backup after the first night, the second night, a disaster,
    the backup put back, the second night again."""
    url = loaded(stores, made)
    run_night(order(made, url, tmp_path / "out"))
    kept = back_up(url, tmp_path / "backup")
    next_day = DAY.replace(day=16)
    empty = tmp_path / "empty"
    empty.mkdir()
    second = Order((empty,), Config(db=url, out=tmp_path / "out"), next_day, next_day)
    run_night(second)
    wanted = (published(tmp_path / "out"), books(url))
    engine = store.open_store(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE claim SET paid_amount = 0")  # the disaster
    engine.dispose()
    restore(url, kept)
    # docs: its folder is still there, so it is moved away and the two are compared
    moved = tmp_path / "moved"
    (tmp_path / "out" / f"run-000002-{next_day}").rename(moved)
    run_night(second)
    assert (published(tmp_path / "out"), books(url)) == wanted
    assert published(moved) == published(tmp_path / "out" / f"run-000002-{next_day}")


def back_up(url: str, to: Path) -> Path:
    """As docs/operate.md says."""
    if url.startswith("sqlite"):
        source = sqlite3.connect(str(make_url(url).database))
        target = sqlite3.connect(to)
        source.backup(target)
        target.close()
        source.close()
        return to
    _client("pg_dump", url, "--format=custom", f"--file={to}")
    return to


def restore(url: str, kept: Path) -> None:
    if url.startswith("sqlite"):
        database = Path(str(make_url(url).database))
        for each in (database, Path(f"{database}-wal"), Path(f"{database}-shm")):
            each.unlink(missing_ok=True)
        shutil.copy(kept, database)
        return
    name = make_url(url).database
    administer(f"DROP DATABASE {name} WITH (FORCE)", f"CREATE DATABASE {name} TEMPLATE template0")
    _client("pg_restore", url, "--exit-on-error", "--single-transaction", f"--dbname={name}",
            str(kept))  # fmt: skip


def _client(program: str, url: str, *arguments: str) -> None:
    place, folder = make_url(url), programs()
    if folder is None or not (folder / program).exists():
        pytest.skip(f"{program} is not installed")
    named = {"PGHOST": place.host, "PGPORT": place.port, "PGUSER": place.username,
             "PGPASSWORD": place.password, "PGDATABASE": place.database}  # fmt: skip
    subprocess.run(
        [folder / program, *arguments],
        env={**os.environ, **{k: str(v) for k, v in named.items()}}, check=True,
    )  # fmt: skip
