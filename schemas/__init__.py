"""Contracts: frames, programs, plans, forms and code tables. Imports nothing of the program."""

import sys
from importlib import import_module

# dataframely takes SQLAlchemy, where it is found, and two databases' dialects with it, for what is
# not used here: a tenth of a second of every start. It is not found while dataframely is loaded.
_loaded = sys.modules.get("sqlalchemy")
sys.modules["sqlalchemy"] = None  # type: ignore[assignment]
try:
    import_module("dataframely")
finally:
    del sys.modules["sqlalchemy"]
    if _loaded is not None:
        sys.modules["sqlalchemy"] = _loaded
