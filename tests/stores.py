"""Stores for tests, on both databases: each test that takes ``stores`` runs once on each.

PostgreSQL's half needs a server, named by ADJUDICATOR_TEST_POSTGRESQL with a role that may make
databases (``make test-postgresql`` starts one); without it that half is skipped.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, make_url

from adjudicator import store
from adjudicator.store.dialect import place_of
from tests.postgresql import VARIABLE

ABSENT = f"needs a PostgreSQL server: make test-postgresql, or name one by {VARIABLE}"
BOTH = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)]
_FILLED: dict[str, str] = {}
SERVER = os.environ.get(VARIABLE, "")


class Stores:
    """Makes empty stores and copies of stores, of one kind, and takes databases away again."""

    def __init__(self, kind: str, folder: Path) -> None:
        if kind == "postgresql" and not SERVER:
            pytest.skip(ABSENT)
        self.kind, self.folder = kind, folder
        self._made: list[str] = []

    @property
    def is_postgresql(self) -> bool:
        return self.kind == "postgresql"

    def empty(self, name: str = "store", folder: Path | None = None) -> str:
        """The URL of a store without tables: SQLite's file is not there yet."""
        if self.is_postgresql:
            return self._database("template0")
        return f"sqlite:///{(folder or self.folder) / name}.db"

    def fresh(self, name: str = "store", folder: Path | None = None) -> str:
        """The URL of a store with its tables and no row in them."""
        if self.is_postgresql:
            return self._database(_with_tables("template"))
        url = self.empty(name, folder)
        store.open_store(url).dispose()
        return url

    def shared(self) -> str:
        """As fresh, for one who rolls back whatever is done: PostgreSQL's is every test's."""
        return database_url(_with_tables("shared")) if self.is_postgresql else self.fresh()

    def copy(self, url: str, name: str = "store", folder: Path | None = None) -> str:
        """The URL of a copy of a store that nobody has open."""
        if self.is_postgresql:
            return self._database(str(make_url(url).database))
        copied = (folder or self.folder) / f"{name}.db"
        shutil.copy(str(make_url(url).database), copied)
        return f"sqlite:///{copied}"

    def once(self, key: str, fill: Callable[[str], None]) -> str:
        """The URL of a PostgreSQL store that is filled once a process, to make copies of."""
        if key not in _FILLED:
            name = f"filled_{uuid.uuid4().hex}"
            administer(f"CREATE DATABASE {name} TEMPLATE template0")
            fill(database_url(name))
            _FILLED[key] = database_url(name)
        return _FILLED[key]

    def _database(self, template: str) -> str:
        name = f"test_{uuid.uuid4().hex}"
        administer(f"CREATE DATABASE {name} TEMPLATE {template}")
        self._made.append(name)
        return database_url(name)

    def remove(self) -> None:
        for name in self._made:
            administer(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        self._made.clear()


def database_url(name: str, **more: Any) -> str:
    return place_of(SERVER).set(database=name, **more).render_as_string(hide_password=False)


def administer(*statements: str, database: str | None = None) -> list[Any]:
    """Runs statements as the server's administrator, each by itself; the last one's rows."""
    import psycopg

    place = database_url(database) if database else SERVER
    with psycopg.connect(place, autocommit=True) as connection:
        for statement in statements:
            cursor = connection.execute(statement)  # type: ignore[call-overload]
        return cursor.fetchall() if cursor.description else []


@cache
def _with_tables(use: str) -> str:
    """A database with the tables, for this use; once a process, gone with the server."""
    name = f"{use}_{uuid.uuid4().hex}"
    administer(f"CREATE DATABASE {name} TEMPLATE template0")
    engine: Engine = store.open_store(database_url(name))
    engine.dispose()
    return name
