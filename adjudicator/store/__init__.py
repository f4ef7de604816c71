"""The store: one SQLite file, or PostgreSQL, behind plain functions on a connection.

A night writes inside ``engine.begin()``; whoever only reads uses :func:`reading`.
"""

from adjudicator.store.audit import append_audit, audit_head, broken_audit
from adjudicator.store.books import (
    KnownFile,
    Published,
    Run,
    files_of,
    find_file,
    insert_claims,
    insert_decisions,
    insert_file,
    insert_findings,
    insert_outbox,
    lock_path,
    night_counts,
    open_run,
    rejected_claims,
    set_run_state,
)
from adjudicator.store.decided import adjustments_of, decided
from adjudicator.store.dialect import StoreError, connect, reading, wanted_keys
from adjudicator.store.files import (
    compressed,
    read_file,
    read_file_ranges,
    store_parts,
)
from adjudicator.store.pends import insert_override, open_pends, overrides, pend_history
from adjudicator.store.revisions import HEAD, check_revision, current, open_store, upgrade
from adjudicator.store.rows import insert_frame, read_frame, take_numbers, update_claims
from adjudicator.store.snapshot import (
    accumulators,
    benefit_uses,
    delete_lines,
    history_lines,
    ledger_head,
    open_claims,
    referral_visits,
)

__all__ = [
    "HEAD",
    "KnownFile",
    "Published",
    "Run",
    "StoreError",
    "accumulators",
    "adjustments_of",
    "append_audit",
    "audit_head",
    "benefit_uses",
    "broken_audit",
    "check_revision",
    "compressed",
    "connect",
    "current",
    "decided",
    "delete_lines",
    "files_of",
    "find_file",
    "history_lines",
    "insert_claims",
    "insert_decisions",
    "insert_file",
    "insert_findings",
    "insert_frame",
    "insert_outbox",
    "insert_override",
    "ledger_head",
    "lock_path",
    "night_counts",
    "open_claims",
    "open_pends",
    "open_run",
    "open_store",
    "overrides",
    "pend_history",
    "read_file",
    "read_file_ranges",
    "read_frame",
    "reading",
    "referral_visits",
    "rejected_claims",
    "set_run_state",
    "store_parts",
    "take_numbers",
    "update_claims",
    "upgrade",
    "wanted_keys",
]
