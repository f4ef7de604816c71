"""The store's tables, in SQLAlchemy Core. The migrations build them; a test holds both equal.

Amounts are cents, quantities thousandths, dates ISO text (YYYY-MM-DD: it sorts as it should under
every collation and needs no conversion on either database), wall-clock times UTC text that no
hash and no published file ever sees, JSON text.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
)

metadata = MetaData()

# SQLite keeps a one-column INTEGER key as the row's own number, a BIGINT one as a second tree
Number = BigInteger().with_variant(Integer(), "sqlite")


def _key(name: str) -> Column[int]:
    return Column(name, Number, primary_key=True, autoincrement=False)


def _number(name: str, *, required: bool = False) -> Column[int]:
    return Column(name, Number, nullable=not required)


def _text(name: str, *, required: bool = False) -> Column[str]:
    return Column(name, String, nullable=not required)


def _refers(name: str, to: str, *, required: bool = False, key: bool = False) -> Column[int]:
    return Column(
        name,
        Number,
        ForeignKey(to),
        nullable=not (required or key),
        primary_key=key,
        autoincrement=False,
    )


# Every number handed out: claim, submission, receipt, payment, trace, control …
sequence = Table(
    "sequence",
    metadata,
    Column("name", String, primary_key=True),
    _number("next_value", required=True),
)

# One row a night: the same inputs, reference, configuration and business date are one run
run = Table(
    "run",
    metadata,
    _key("run_id"),
    _text("business_date", required=True),
    _text("manifest_digest", required=True),
    _text("reference_version", required=True),
    _text("configuration_digest", required=True),
    _text("state", required=True),
    _number("ledger_head"),  # after its commit
    _text("started_at"),
    _text("finished_at"),
    UniqueConstraint(
        "business_date", "manifest_digest", "reference_version", "configuration_digest"
    ),
)

# One row a received file, each time it is received
file = Table(
    "file",
    metadata,
    _key("file_id"),
    _refers("run_id", "run.run_id", required=True),
    _number("receipt_position", required=True),
    _text("name", required=True),
    _text("sha256", required=True),
    _number("byte_count", required=True),
    _text("received_date", required=True),
    _text("verdict"),
    _text("reason"),
    _number("answered_run_id"),  # no foreign key: it is set at the end of a night
    Index("file_sha256", "sha256"),
)

# The file's bytes as received, in parts of a few MB, each compressed by zlib
file_part = Table(
    "file_part",
    metadata,
    _refers("file_id", "file.file_id", key=True),
    _key("part_number"),
    _number("raw_offset", required=True),
    _number("raw_byte_count", required=True),
    Column("content", LargeBinary, nullable=False),
)

# One row an interchange: the same control number twice is told from the same bytes twice
interchange = Table(
    "interchange",
    metadata,
    _refers("file_id", "file.file_id", key=True),
    _key("position"),
    _text("sender_number", required=True),
    _text("receiver_number", required=True),
    _text("control_number", required=True),
    _text("sha256", required=True),
    _text("verdict"),
    Index("interchange_control_number", "control_number", "sender_number"),
)

# One row a document that a sender is answered with, as it is published; only ever added
acknowledgement = Table(
    "acknowledgement",
    metadata,
    _refers("file_id", "file.file_id", key=True),
    Column("name", String, primary_key=True),
    _number("position", required=True),
    _text("kind", required=True),
    _text("code", required=True),
    _number("control_number", required=True),
    Column("content", LargeBinary, nullable=False),
)

# One row a claim version, as it stands now; disposition is null until a night decides it
claim = Table(
    "claim",
    metadata,
    _key("claim_id"),
    _text("claim_number"),
    _number("receipt_number"),
    _refers("file_id", "file.file_id", required=True),
    _number("isa_offset", required=True),
    _number("gs_offset", required=True),
    _number("header_start", required=True),
    _number("header_end", required=True),
    _number("provider_start", required=True),
    _number("provider_end", required=True),
    _number("subscriber_start", required=True),
    _number("subscriber_end", required=True),
    _number("patient_start", required=True),
    _number("patient_end", required=True),
    _number("claim_start", required=True),
    _number("claim_end", required=True),
    _text("interchange_number"),
    _text("group_number"),
    _text("set_number"),
    _text("batch_reference"),
    _text("claim_type_code", required=True),
    _text("source_format_code", required=True),
    _text("received_date", required=True),
    _text("patient_control_number"),
    _number("charge_amount"),
    _number("version_number", required=True),
    _refers("predecessor_claim_id", "claim.claim_id"),
    _text("reopened_code"),
    # what the last night said of it
    _text("disposition"),
    _text("pend_codes"),
    _text("member_id"),
    _text("family_id"),
    _text("payee_id"),
    _text("program_code"),
    _text("plan_code"),
    _text("provider_number"),
    _number("allowed_amount"),
    _number("member_amount"),
    _number("paid_amount"),
    # no foreign keys here: a claim is updated every time, and the ledger holds both
    _number("decided_run_id"),
    _number("payment_id"),
)
Index("claim_claim_number", claim.c.claim_number, unique=True)
# Partial: of claims whose member is known, of those that correct another, and of those still open.
# The migration says so, and that `line` is its key's own tree; said here in a database's own words
# it would load that database's dialect, and others, at every start (0.1 s)
Index("claim_member_id", claim.c.member_id)
Index("claim_predecessor_claim_id", claim.c.predecessor_claim_id)
Index("claim_open", claim.c.claim_id)

# One row a service line as history compares it, and its money. What was decided of it whole
# stands in decided_part
line = Table(
    "line",
    metadata,
    _refers("claim_id", "claim.claim_id", key=True),
    _key("line_number"),
    _text("procedure_code"),
    _text("modifier_codes"),
    _number("unit_quantity"),
    _number("charge_amount"),
    _text("service_from_date"),
    _text("service_through_date"),
    _text("provider_number"),
    _text("line_disposition"),
    _number("allowed_amount"),
    _number("member_amount"),
    _number("paid_amount"),
)

# A night's decided lines and adjustments, whole, Parquet in parts; only ever added
decided_part = Table(
    "decided_part",
    metadata,
    _refers("run_id", "run.run_id", key=True),
    Column("kind", String, primary_key=True),
    _key("part_number"),
    _number("first_claim_id", required=True),
    _number("last_claim_id", required=True),
    Column("content", LargeBinary, nullable=False),
)

# One row what a validation or an edit reported in one run
finding = Table(
    "finding",
    metadata,
    _refers("run_id", "run.run_id", required=True),
    _refers("claim_id", "claim.claim_id", required=True),
    _number("line_number"),
    _text("edit", required=True),
    _number("edit_rank", required=True),
    _text("disposition", required=True),
    _text("group_code"),
    _text("carc"),
    _text("rarc"),
    _text("pend_code"),
    _text("status_code"),
    _text("inputs"),
    Index("finding_claim_id", "claim_id"),
)

# One row a payment: one ST of an 835; only ever added
payment = Table(
    "payment",
    metadata,
    _key("payment_id"),
    _refers("run_id", "run.run_id", required=True),
    _text("payee_id", required=True),
    _text("program_code", required=True),
    _text("trace_number", required=True),
    _number("control_number", required=True),
    _text("payment_method_code", required=True),
    _text("payment_date", required=True),
    _number("payment_amount", required=True),
    _text("file_name", required=True),
    UniqueConstraint("trace_number"),
    UniqueConstraint("run_id", "program_code", "payee_id"),
)

# One row a program and night on which it paid: all entries of the ledger since the night before it
# that did, and the acts on accounts up to its last; only ever added
payment_cycle = Table(
    "payment_cycle",
    metadata,
    Column("program_code", String, primary_key=True),
    _refers("run_id", "run.run_id", key=True),
    _text("payment_date", required=True),
    _number("first_entry_id", required=True),
    _number("last_entry_id", required=True),
    _number("last_adjustment_number", required=True),
)

# One row what a payment carries beside its claims (PLB); only ever added
provider_adjustment = Table(
    "provider_adjustment",
    metadata,
    _refers("payment_id", "payment.payment_id", key=True),
    _key("sequence_number"),
    _text("fiscal_date", required=True),
    _text("reason_code", required=True),
    _text("reference_number"),
    _number("adjustment_amount", required=True),
)

# One row a person's act on a payee's account, for the next cycle of the program; only ever added
payee_adjustment = Table(
    "payee_adjustment",
    metadata,
    _key("adjustment_number"),
    _text("program_code", required=True),
    _text("payee_id", required=True),
    _text("reason_code", required=True),
    _text("reference_number", required=True),
    _number("adjustment_amount", required=True),
    _text("made_date", required=True),
    _text("made_by", required=True),
    _text("note", required=True),
)

# One row money owed to or by a payee; only ever added. A claim has one entry of a kind at most:
# it is finalised once and voided once
ledger_entry = Table(
    "ledger_entry",
    metadata,
    _key("entry_id"),
    _refers("run_id", "run.run_id", required=True),
    _refers("claim_id", "claim.claim_id"),
    _refers("payment_id", "payment.payment_id"),
    _text("payee_id", required=True),
    _text("program_code", required=True),
    _text("kind", required=True),
    _number("entry_amount", required=True),
    _refers("by_claim_id", "claim.claim_id"),
    _text("remark_code"),
    Index("ledger_entry_claim_id", "claim_id", "kind", unique=True),
)

# One row what a claim added to (reversed: took from) a member's counters; only ever added
accumulator_entry = Table(
    "accumulator_entry",
    metadata,
    _refers("run_id", "run.run_id", required=True),
    _refers("claim_id", "claim.claim_id", required=True),
    _text("member_id", required=True),
    _text("family_id", required=True),
    _text("plan_code", required=True),
    _text("network_code", required=True),
    _text("benefit_year_start_date", required=True),
    _number("deductible_amount", required=True),
    _number("out_of_pocket_amount", required=True),
    Index("accumulator_entry_family_id", "family_id"),
)

# One row the visits a claim used up (reversed: gave back) of a referral on a day; only ever added
referral_visit = Table(
    "referral_visit",
    metadata,
    _refers("run_id", "run.run_id", required=True),
    _refers("claim_id", "claim.claim_id", required=True),
    _text("referral_number", required=True),
    _text("visit_date", required=True),
    _number("visit_count", required=True),
    Index("referral_visit_referral_number", "referral_number"),
    Index("referral_visit_claim_id", "claim_id"),
)

# One row the units a claim used up (reversed: gave back) of an authorization; only ever added
authorization_unit = Table(
    "authorization_unit",
    metadata,
    _refers("run_id", "run.run_id", required=True),
    _refers("claim_id", "claim.claim_id", required=True),
    _text("authorization_number", required=True),
    _number("unit_quantity", required=True),
    Index("authorization_unit_authorization_number", "authorization_number"),
    Index("authorization_unit_claim_id", "claim_id"),
)

# One row a visit or day of a claim that counted to a limit of the member's plan (reversed: given
# back); only ever added
benefit_use = Table(
    "benefit_use",
    metadata,
    _refers("run_id", "run.run_id", required=True),
    _refers("claim_id", "claim.claim_id", required=True),
    _text("member_id", required=True),
    _text("plan_code", required=True),
    _text("limit_code", required=True),
    _text("condition_code", required=True),
    _text("benefit_year_start_date", required=True),
    _text("use_date", required=True),
    _text("provider_number", required=True),
    _number("use_count", required=True),
    Index("benefit_use_member_id", "member_id"),
)

# One row a pend code of a claim on a night: what each night saw of it; only ever added
pend = Table(
    "pend",
    metadata,
    _refers("claim_id", "claim.claim_id", key=True),
    _refers("run_id", "run.run_id", key=True),
    Column("pend_code", String, primary_key=True),
    _text("state", required=True),
    _text("began_date", required=True),
    _text("owner"),
    _text("lapse_date"),
    Column("overdue", Integer, nullable=False),
)

# One row a provider's dispute of a claim, as it was received; only ever added
dispute = Table(
    "dispute",
    metadata,
    _key("dispute_number"),
    _refers("claim_id", "claim.claim_id", required=True),
    _text("kind", required=True),
    _text("received_date", required=True),
    _text("channel_code", required=True),
    _number("claim_count", required=True),
    Column("has_form", Integer, nullable=False),
    Column("has_letter", Integer, nullable=False),
    _text("eop_date"),
    _text("last_date"),
    Index("dispute_claim_id", "claim_id"),
)

# One row a document that came with a dispute; only ever added
dispute_document = Table(
    "dispute_document",
    metadata,
    _refers("dispute_number", "dispute.dispute_number", key=True),
    _key("document_number"),
    _text("document_kind", required=True),
    _text("document_date", required=True),
)

# One row what became of a dispute, with the letter that told of it; only ever added
dispute_event = Table(
    "dispute_event",
    metadata,
    _refers("dispute_number", "dispute.dispute_number", key=True),
    _key("event_number"),
    _text("event", required=True),
    _refers("run_id", "run.run_id"),
    _text("made_date", required=True),
    _text("made_by"),
    _text("note"),
    _text("reasons"),
    _text("letter"),
)

# One row a person's act on a claim, as the night that decides it reads it; only ever added
override = Table(
    "override",
    metadata,
    _key("override_number"),
    _refers("claim_id", "claim.claim_id", required=True),
    _text("act", required=True),
    _text("edit"),
    _text("pend_code"),
    _text("group_code"),
    _text("carc"),
    _text("rarc"),
    _text("made_date", required=True),
    _text("made_by", required=True),
    _text("note", required=True),
    _refers("dispute_number", "dispute.dispute_number"),
    Index("override_claim_id", "claim_id"),
)

# One row a file to publish
outbox = Table(
    "outbox",
    metadata,
    _refers("run_id", "run.run_id", key=True),
    Column("file_name", String, primary_key=True),
    _text("sha256", required=True),
    _number("byte_count", required=True),
    Column("published", Integer, nullable=False),  # 1 once renamed into place
)

# One row an act worth proving, chained by hash; only ever added. recorded_at stands outside
audit = Table(
    "audit",
    metadata,
    _key("sequence_number"),
    _refers("run_id", "run.run_id"),
    _text("what", required=True),
    _text("detail", required=True),
    _text("recorded_at"),
    _text("previous_hash", required=True),
    _text("hash", required=True),
)

# One row a version of the reference data; the one loaded last is in force
reference_version = Table(
    "reference_version",
    metadata,
    Column("version", String, primary_key=True),
    _number("load_number", required=True),
)

# One row a table of a version, by the digest of its content
reference_table = Table(
    "reference_table",
    metadata,
    Column("version", String, ForeignKey("reference_version.version"), primary_key=True),
    Column("table_name", String, primary_key=True),
    _text("sha256", required=True),
    _number("row_count", required=True),
)

# The content itself, Parquet in parts, kept once however many versions share it
reference_part = Table(
    "reference_part",
    metadata,
    Column("sha256", String, primary_key=True),
    _key("part_number"),
    Column("content", LargeBinary, nullable=False),
)

# Rows that are only ever added: triggers refuse UPDATE and DELETE
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

# Every sequence there is; each begins at 1
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
