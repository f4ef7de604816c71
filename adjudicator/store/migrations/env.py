"""Run by alembic: migrates the connection that :func:`adjudicator.store.upgrade` hands over."""

from __future__ import annotations

from alembic import context

from adjudicator.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
