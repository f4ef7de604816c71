"""PostgreSQL's three roles, as SQL: who owns the tables, who runs nights, who only reads.

What keeps ledger and audit from being changed is not the program's good will: the application's
role has no right to, and the triggers are the owner's, who runs no night.
"""

from __future__ import annotations

import re

from adjudicator.store.dialect import StoreError
from adjudicator.store.tables import APPEND_ONLY, metadata

REVISION_TABLE = "alembic_version"
NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")


def roles_sql(owner: str, application: str, reader: str) -> str:
    """SQL for the store's database, run by an administrator after each ``db upgrade``; running it
    again changes nothing. It sets no password.

    Raises StoreError for a name that isn't lower-case letters, digits and underscores, or is
    given twice.
    """
    roles = (owner, application, reader)
    for role in roles:
        if not NAME.fullmatch(role):
            raise StoreError(f"role {role!r}: write lower-case letters, digits and underscores")
    if len(set(roles)) < len(roles):
        raise StoreError("the three roles must differ")
    changed = ", ".join(sorted(set(metadata.tables) - set(APPEND_ONLY)))
    added = ", ".join(sorted(APPEND_ONLY))
    every = f"{changed}, {added}"
    make = "\n".join(
        f"    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN "
        f"CREATE ROLE {role} LOGIN; END IF;"
        for role in roles
    )
    own = "\n".join(f"ALTER TABLE {table} OWNER TO {owner};" for table in sorted(metadata.tables))
    return f"""\
-- Roles of an adjudicator store. Run in its database, by an administrator, after `adjudicate db
-- upgrade`: psql --set ON_ERROR_STOP=1 --single-transaction --dbname DATABASE --file FILE
DO $$ BEGIN
{make}
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT CONNECT, CREATE, TEMPORARY ON DATABASE %I TO {owner}',
                   current_database());
    -- temporary tables hold the keys that a question is about
    EXECUTE format('GRANT CONNECT, TEMPORARY ON DATABASE %I TO {application}, {reader}',
                   current_database());
END $$;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO {owner};
GRANT USAGE ON SCHEMA public TO {application}, {reader};

-- {owner}: the tables are its own, so that it upgrades
{own}
ALTER TABLE {REVISION_TABLE} OWNER TO {owner};
ALTER FUNCTION refuse_change() OWNER TO {owner};

-- {application}: adds rows, and changes those that are not kept as they are for good
REVOKE ALL ON {every}, {REVISION_TABLE} FROM {application}, {reader};
GRANT SELECT, INSERT ON {every} TO {application};
GRANT UPDATE, DELETE ON {changed} TO {application};
GRANT SELECT ON {REVISION_TABLE} TO {application};

-- {reader}: reports, explanations, checks
GRANT SELECT ON {every}, {REVISION_TABLE} TO {reader};
"""
