"""The first tables.

Frozen once released: later revisions change the store, never this one.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "r0001"
down_revision = None
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
OPEN = sa.text("disposition IS NULL OR disposition = 'pended'")
KNOWN = sa.text("member_id IS NOT NULL")
CORRECTS = sa.text("predecessor_claim_id IS NOT NULL")
SEQUENCES = (
    "run",
    "file",
    "acknowledgement",
    "submission",
    "receipt",
    "claim",
    "payment",
    "trace",
    "control",
    "ledger_entry",
    "fencing",
    "override",
    "dispute",
    "payee_adjustment",
)
APPEND_ONLY = (
    "acknowledgement",
    "decided_part",
    "payment",
    "payment_cycle",
    "provider_adjustment",
    "payee_adjustment",
    "ledger_entry",
    "accumulator_entry",
    "referral_visit",
    "authorization_unit",
    "benefit_use",
    "pend",
    "dispute",
    "dispute_document",
    "dispute_event",
    "override",
    "audit",
)


def number(name: str, *, required: bool = False) -> sa.Column[int]:
    return sa.Column(name, NUMBER, autoincrement=False, nullable=not required)


def text(name: str, *, required: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(), nullable=not required)


def upgrade() -> None:
    op.create_table(
        "sequence",
        text("name", required=True),
        number("next_value", required=True),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "run",
        number("run_id", required=True),
        text("business_date", required=True),
        text("manifest_digest", required=True),
        text("reference_version", required=True),
        text("configuration_digest", required=True),
        text("state", required=True),
        number("ledger_head"),
        text("started_at"),
        text("finished_at"),
        sa.PrimaryKeyConstraint("run_id"),
        sa.UniqueConstraint(
            "business_date", "manifest_digest", "reference_version", "configuration_digest"
        ),
    )
    op.create_table(
        "file",
        number("file_id", required=True),
        number("run_id", required=True),
        number("receipt_position", required=True),
        text("name", required=True),
        text("sha256", required=True),
        number("byte_count", required=True),
        text("received_date", required=True),
        text("verdict"),
        text("reason"),
        number("answered_run_id"),
        sa.PrimaryKeyConstraint("file_id"),
        sa.ForeignKeyConstraint(["run_id"], ["run.run_id"]),
    )
    op.create_index("file_sha256", "file", ["sha256"])
    op.create_table(
        "file_part",
        number("file_id", required=True),
        number("part_number", required=True),
        number("raw_offset", required=True),
        number("raw_byte_count", required=True),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("file_id", "part_number"),
        sa.ForeignKeyConstraint(["file_id"], ["file.file_id"]),
    )
    op.create_table(
        "interchange",
        number("file_id", required=True),
        number("position", required=True),
        text("sender_number", required=True),
        text("receiver_number", required=True),
        text("control_number", required=True),
        text("sha256", required=True),
        text("verdict"),
        sa.PrimaryKeyConstraint("file_id", "position"),
        sa.ForeignKeyConstraint(["file_id"], ["file.file_id"]),
    )
    op.create_index(
        "interchange_control_number", "interchange", ["control_number", "sender_number"]
    )
    op.create_table(
        "acknowledgement",
        number("file_id", required=True),
        text("name", required=True),
        number("position", required=True),
        text("kind", required=True),
        text("code", required=True),
        number("control_number", required=True),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("file_id", "name"),
        sa.ForeignKeyConstraint(["file_id"], ["file.file_id"]),
    )
    op.create_table(
        "claim",
        number("claim_id", required=True),
        text("claim_number"),
        number("receipt_number"),
        number("file_id", required=True),
        number("isa_offset", required=True),
        number("gs_offset", required=True),
        number("header_start", required=True),
        number("header_end", required=True),
        number("provider_start", required=True),
        number("provider_end", required=True),
        number("subscriber_start", required=True),
        number("subscriber_end", required=True),
        number("patient_start", required=True),
        number("patient_end", required=True),
        number("claim_start", required=True),
        number("claim_end", required=True),
        text("interchange_number"),
        text("group_number"),
        text("set_number"),
        text("batch_reference"),
        text("claim_type_code", required=True),
        text("source_format_code", required=True),
        text("received_date", required=True),
        text("patient_control_number"),
        number("charge_amount"),
        number("version_number", required=True),
        number("predecessor_claim_id"),
        text("reopened_code"),
        text("disposition"),
        text("pend_codes"),
        text("member_id"),
        text("family_id"),
        text("payee_id"),
        text("program_code"),
        text("plan_code"),
        text("provider_number"),
        number("allowed_amount"),
        number("member_amount"),
        number("paid_amount"),
        number("decided_run_id"),
        number("payment_id"),
        sa.PrimaryKeyConstraint("claim_id"),
        sa.ForeignKeyConstraint(["file_id"], ["file.file_id"]),
        sa.ForeignKeyConstraint(["predecessor_claim_id"], ["claim.claim_id"]),
    )
    op.create_index("claim_claim_number", "claim", ["claim_number"], unique=True)
    # none while a claim waits: it would be put in only to be taken out again
    op.create_index(
        "claim_member_id", "claim", ["member_id"], sqlite_where=KNOWN, postgresql_where=KNOWN
    )
    op.create_index(
        "claim_predecessor_claim_id", "claim", ["predecessor_claim_id"],
        sqlite_where=CORRECTS, postgresql_where=CORRECTS,
    )  # fmt: skip
    op.create_index("claim_open", "claim", ["claim_id"], sqlite_where=OPEN, postgresql_where=OPEN)
    op.create_table(
        "line",
        number("claim_id", required=True),
        number("line_number", required=True),
        text("procedure_code"),
        text("modifier_codes"),
        number("unit_quantity"),
        number("charge_amount"),
        text("service_from_date"),
        text("service_through_date"),
        text("provider_number"),
        text("line_disposition"),
        number("allowed_amount"),
        number("member_amount"),
        number("paid_amount"),
        sa.PrimaryKeyConstraint("claim_id", "line_number"),
        sa.ForeignKeyConstraint(["claim_id"], ["claim.claim_id"]),
        sqlite_with_rowid=False,  # one tree in place of two
    )
    op.create_table(
        "finding",
        number("run_id", required=True),
        number("claim_id", required=True),
        number("line_number"),
        text("edit", required=True),
        number("edit_rank", required=True),
        text("disposition", required=True),
        text("group_code"),
        text("carc"),
        text("rarc"),
        text("pend_code"),
        text("status_code"),
        text("inputs"),
        sa.ForeignKeyConstraint(["run_id"], ["run.run_id"]),
        sa.ForeignKeyConstraint(["claim_id"], ["claim.claim_id"]),
    )
    op.create_index("finding_claim_id", "finding", ["claim_id"])
    op.create_table(
        "decided_part",
        number("run_id", required=True),
        text("kind", required=True),
        number("part_number", required=True),
        number("first_claim_id", required=True),
        number("last_claim_id", required=True),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "kind", "part_number"),
        sa.ForeignKeyConstraint(["run_id"], ["run.run_id"]),
    )
    op.create_table(
        "payment",
        number("payment_id", required=True),
        number("run_id", required=True),
        text("payee_id", required=True),
        text("program_code", required=True),
        text("trace_number", required=True),
        number("control_number", required=True),
        text("payment_method_code", required=True),
        text("payment_date", required=True),
        number("payment_amount", required=True),
        text("file_name", required=True),
        sa.PrimaryKeyConstraint("payment_id"),
        sa.ForeignKeyConstraint(["run_id"], ["run.run_id"]),
        sa.UniqueConstraint("trace_number"),
        sa.UniqueConstraint("run_id", "program_code", "payee_id"),
    )
    op.create_table(
        "payment_cycle",
        text("program_code", required=True),
        number("run_id", required=True),
        text("payment_date", required=True),
        number("first_entry_id", required=True),
        number("last_entry_id", required=True),
        number("last_adjustment_number", required=True),
        sa.PrimaryKeyConstraint("program_code", "run_id"),
        sa.ForeignKeyConstraint(["run_id"], ["run.run_id"]),
    )
    op.create_table(
        "provider_adjustment",
        number("payment_id", required=True),
        number("sequence_number", required=True),
        text("fiscal_date", required=True),
        text("reason_code", required=True),
        text("reference_number"),
        number("adjustment_amount", required=True),
        sa.PrimaryKeyConstraint("payment_id", "sequence_number"),
        sa.ForeignKeyConstraint(["payment_id"], ["payment.payment_id"]),
    )
    op.create_table(
        "payee_adjustment",
        number("adjustment_number", required=True),
        text("program_code", required=True),
        text("payee_id", required=True),
        text("reason_code", required=True),
        text("reference_number", required=True),
        number("adjustment_amount", required=True),
        text("made_date", required=True),
        text("made_by", required=True),
        text("note", required=True),
        sa.PrimaryKeyConstraint("adjustment_number"),
    )
    op.create_table(
        "ledger_entry",
        number("entry_id", required=True),
        number("run_id", required=True),
        number("claim_id"),
        number("payment_id"),
        text("payee_id", required=True),
        text("program_code", required=True),
        text("kind", required=True),
        number("entry_amount", required=True),
        number("by_claim_id"),
        text("remark_code"),
        sa.PrimaryKeyConstraint("entry_id"),
        sa.ForeignKeyConstraint(["run_id"], ["run.run_id"]),
        sa.ForeignKeyConstraint(["claim_id"], ["claim.claim_id"]),
        sa.ForeignKeyConstraint(["by_claim_id"], ["claim.claim_id"]),
        sa.ForeignKeyConstraint(["payment_id"], ["payment.payment_id"]),
    )
    op.create_index("ledger_entry_claim_id", "ledger_entry", ["claim_id", "kind"], unique=True)
    op.create_table(
        "accumulator_entry",
        number("run_id", required=True),
        number("claim_id", required=True),
        text("member_id", required=True),
        text("family_id", required=True),
        text("plan_code", required=True),
        text("network_code", required=True),
        text("benefit_year_start_date", required=True),
        number("deductible_amount", required=True),
        number("out_of_pocket_amount", required=True),
        sa.ForeignKeyConstraint(["run_id"], ["run.run_id"]),
        sa.ForeignKeyConstraint(["claim_id"], ["claim.claim_id"]),
    )
    op.create_index("accumulator_entry_family_id", "accumulator_entry", ["family_id"])
    op.create_table(
        "referral_visit",
        number("run_id", required=True),
        number("claim_id", required=True),
        text("referral_number", required=True),
        text("visit_date", required=True),
        number("visit_count", required=True),
        sa.ForeignKeyConstraint(["run_id"], ["run.run_id"]),
        sa.ForeignKeyConstraint(["claim_id"], ["claim.claim_id"]),
    )
    op.create_index("referral_visit_referral_number", "referral_visit", ["referral_number"])
    op.create_index("referral_visit_claim_id", "referral_visit", ["claim_id"])
    op.create_table(
        "authorization_unit",
        number("run_id", required=True),
        number("claim_id", required=True),
        text("authorization_number", required=True),
        number("unit_quantity", required=True),
        sa.ForeignKeyConstraint(["run_id"], ["run.run_id"]),
        sa.ForeignKeyConstraint(["claim_id"], ["claim.claim_id"]),
    )
    op.create_index(
        "authorization_unit_authorization_number", "authorization_unit", ["authorization_number"]
    )
    op.create_index("authorization_unit_claim_id", "authorization_unit", ["claim_id"])
    op.create_table(
        "benefit_use",
        number("run_id", required=True),
        number("claim_id", required=True),
        text("member_id", required=True),
        text("plan_code", required=True),
        text("limit_code", required=True),
        text("condition_code", required=True),
        text("benefit_year_start_date", required=True),
        text("use_date", required=True),
        text("provider_number", required=True),
        number("use_count", required=True),
        sa.ForeignKeyConstraint(["run_id"], ["run.run_id"]),
        sa.ForeignKeyConstraint(["claim_id"], ["claim.claim_id"]),
    )
    op.create_index("benefit_use_member_id", "benefit_use", ["member_id"])
    op.create_table(
        "pend",
        number("claim_id", required=True),
        number("run_id", required=True),
        text("pend_code", required=True),
        text("state", required=True),
        text("began_date", required=True),
        text("owner"),
        text("lapse_date"),
        sa.Column("overdue", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("claim_id", "run_id", "pend_code"),
        sa.ForeignKeyConstraint(["claim_id"], ["claim.claim_id"]),
        sa.ForeignKeyConstraint(["run_id"], ["run.run_id"]),
    )
    op.create_table(
        "dispute",
        number("dispute_number", required=True),
        number("claim_id", required=True),
        text("kind", required=True),
        text("received_date", required=True),
        text("channel_code", required=True),
        number("claim_count", required=True),
        sa.Column("has_form", sa.Integer(), nullable=False),
        sa.Column("has_letter", sa.Integer(), nullable=False),
        text("eop_date"),
        text("last_date"),
        sa.PrimaryKeyConstraint("dispute_number"),
        sa.ForeignKeyConstraint(["claim_id"], ["claim.claim_id"]),
    )
    op.create_index("dispute_claim_id", "dispute", ["claim_id"])
    op.create_table(
        "dispute_document",
        number("dispute_number", required=True),
        number("document_number", required=True),
        text("document_kind", required=True),
        text("document_date", required=True),
        sa.PrimaryKeyConstraint("dispute_number", "document_number"),
        sa.ForeignKeyConstraint(["dispute_number"], ["dispute.dispute_number"]),
    )
    op.create_table(
        "dispute_event",
        number("dispute_number", required=True),
        number("event_number", required=True),
        text("event", required=True),
        number("run_id"),
        text("made_date", required=True),
        text("made_by"),
        text("note"),
        text("reasons"),
        text("letter"),
        sa.PrimaryKeyConstraint("dispute_number", "event_number"),
        sa.ForeignKeyConstraint(["dispute_number"], ["dispute.dispute_number"]),
        sa.ForeignKeyConstraint(["run_id"], ["run.run_id"]),
    )
    op.create_table(
        "override",
        number("override_number", required=True),
        number("claim_id", required=True),
        text("act", required=True),
        text("edit"),
        text("pend_code"),
        text("group_code"),
        text("carc"),
        text("rarc"),
        text("made_date", required=True),
        text("made_by", required=True),
        text("note", required=True),
        number("dispute_number"),
        sa.PrimaryKeyConstraint("override_number"),
        sa.ForeignKeyConstraint(["claim_id"], ["claim.claim_id"]),
        sa.ForeignKeyConstraint(["dispute_number"], ["dispute.dispute_number"]),
    )
    op.create_index("override_claim_id", "override", ["claim_id"])
    op.create_table(
        "outbox",
        number("run_id", required=True),
        text("file_name", required=True),
        text("sha256", required=True),
        number("byte_count", required=True),
        sa.Column("published", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "file_name"),
        sa.ForeignKeyConstraint(["run_id"], ["run.run_id"]),
    )
    op.create_table(
        "audit",
        number("sequence_number", required=True),
        number("run_id"),
        text("what", required=True),
        text("detail", required=True),
        text("recorded_at"),
        text("previous_hash", required=True),
        text("hash", required=True),
        sa.PrimaryKeyConstraint("sequence_number"),
        sa.ForeignKeyConstraint(["run_id"], ["run.run_id"]),
    )
    op.create_table(
        "reference_version",
        text("version", required=True),
        number("load_number", required=True),
        sa.PrimaryKeyConstraint("version"),
    )
    op.create_table(
        "reference_table",
        text("version", required=True),
        text("table_name", required=True),
        text("sha256", required=True),
        number("row_count", required=True),
        sa.PrimaryKeyConstraint("version", "table_name"),
        sa.ForeignKeyConstraint(["version"], ["reference_version.version"]),
    )
    op.create_table(
        "reference_part",
        text("sha256", required=True),
        number("part_number", required=True),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("sha256", "part_number"),
    )
    op.bulk_insert(
        sa.table("sequence", sa.column("name", sa.String()), sa.column("next_value", NUMBER)),
        [{"name": name, "next_value": 1} for name in SEQUENCES],
    )
    refuse_changes(op.get_bind().dialect.name)


def refuse_changes(dialect: str) -> None:
    """Triggers: the append-only tables refuse UPDATE, DELETE and (PostgreSQL) TRUNCATE."""
    if dialect == "sqlite":
        for table in APPEND_ONLY:
            for change in ("UPDATE", "DELETE"):
                op.execute(
                    f"CREATE TRIGGER {table}_no_{change.lower()} BEFORE {change} ON {table} "
                    f"BEGIN SELECT RAISE(ABORT, '{table} rows are only ever added'); END"
                )
        return
    op.execute(
        "CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "RAISE EXCEPTION USING ERRCODE = 'restrict_violation', "
        "MESSAGE = TG_TABLE_NAME || ' rows are only ever added'; END $$"
    )
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER {table}_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
