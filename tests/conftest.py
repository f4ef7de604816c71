"""What every test runs under."""

import os
from collections.abc import Iterator
from pathlib import Path

# what tests teach the guides is kept apart from the user's own cache
os.environ["XDG_CACHE_HOME"] = str(Path(__file__).parents[1] / "build" / "cache")

import pytest
from hypothesis import settings

from edi.threads import on_this_thread
from tests.stores import BOTH, Stores

# a busy machine is no failure
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool:
    """As the program itself works: polars on the thread that asks it, in half the time."""
    names = pyfuncitem._fixtureinfo.argnames
    on_this_thread(pyfuncitem.obj, **{name: pyfuncitem.funcargs[name] for name in names})
    return True


@pytest.fixture(params=BOTH)
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stores]:
    """Makes stores; the test runs once on SQLite, once on PostgreSQL."""
    made = Stores(request.param, tmp_path)
    yield made
    made.remove()


@pytest.fixture(scope="session")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the cases' reference data, to be copied."""
    from tests.case_tools import load_store  # only who asks for it needs the programs

    database = tmp_path_factory.mktemp("cases") / "loaded.db"
    load_store(database)
    return database
