"""Which revision the store is at, and how it gets to this program's."""

from __future__ import annotations

from sqlalchemy import Connection, Engine, inspect

from adjudicator.store.dialect import StoreError, connect, migrating, reading

# the revision this program needs; a test holds it equal to alembic's head
HEAD = "r0001"


def current(connection: Connection) -> str | None:
    """The store's revision, or None where it holds no tables yet.

    Raises StoreError where it holds tables of something else.
    """
    names = inspect(connection).get_table_names()
    if not names:
        return None
    if "alembic_version" not in names:
        raise StoreError("this database holds other tables: give a store of its own")
    rows = connection.exec_driver_sql("SELECT version_num FROM alembic_version").fetchall()
    return str(rows[0][0]) if rows else None


def check_revision(engine: Engine) -> None:
    """Raises StoreError, with the mend, unless the store is at this program's revision."""
    with reading(engine) as connection:
        found = current(connection)
    if found != HEAD:
        raise StoreError(
            f"the store is at revision {found or 'none'}, this program needs {HEAD}: "
            "run `adjudicate db upgrade`"
        )


def upgrade(engine: Engine) -> None:
    """Migrates the store to this program's revision, in one transaction: all of it or nothing."""
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", "adjudicator.store:migrations")
    with migrating(engine) as connection:
        found = current(connection)
        if found == HEAD:
            return
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise StoreError(
                f"the store is at revision {found}, which this program does not know: "
                "use the release that made it, or a newer one"
            ) from error


def open_store(url: str, *, create: bool = True) -> Engine:
    """An engine on a store at this program's revision; an empty one is built first.

    Raises StoreError where an older or newer program made it.
    """
    engine = connect(url, create=create)
    try:
        if create:
            with reading(engine) as connection:
                empty = current(connection) is None
            if empty:
                upgrade(engine)
        check_revision(engine)
    except BaseException:
        engine.dispose()
        raise
    return engine
