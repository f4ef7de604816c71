"""The pages of docs/ that are made from the program itself.

    python -m tests.docs

writes docs/reference-files.md, docs/data-dictionary.md, docs/edits.md, docs/forms.md, docs/snip.md,
docs/paper.md and docs/paper.schema.json anew; tests/test_docs.py fails where one of them no longer
says what the program does.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Annotated

import dataframely as dy
import polars as pl
from pydantic import Field, TypeAdapter
from sqlalchemy import Table

from adjudicator import load
from adjudicator.cms import CMS_FILES
from adjudicator.cms_coding import AOC_NAME, MUE_NAME, PTP_NAME
from adjudicator.edits import EDITS, Edit
from adjudicator.explain import EXCLUDED
from adjudicator.fate import STANDING_PENDS
from adjudicator.pends import codes_of
from adjudicator.programs import (
    load_adjustment_codes,
    load_forms,
    load_message_codes,
    load_programs,
)
from adjudicator.snip import RULES
from adjudicator.stages.validate import CHECKS, CONDITIONS, PAPER_ONLY
from adjudicator.store import tables as store_tables
from edi.acks import UNPLACED
from edi.read_paper import RECORD_BYTES
from edi.syntax import (
    CHILD_FLAG,
    ELEMENT_ERRORS,
    SEGMENT_ERRORS,
    SELF_WITH_DEPENDENT,
    snip_level,
)
from schemas import frames, reference
from schemas.form import Form, FormField
from schemas.paper import RECORDS, CMS1500Record, UB04Record, places
from schemas.program import Citation, Program
from tests import protections
from tests.edit_cases import shown
from tests.test_reference_load import CSV, MORE

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
FIXTURES = ROOT / "fixtures" / "reference"
MADE = "<!-- made by `make docs`; a test fails where it is stale -->"
UNITS = ("cents", "basis points", "ten-thousandths", "thousandths", "hundredths", "days")


# ---- markdown --------------------------------------------------------------------------------


def grid(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table, a line a row."""
    lines = [headings, ["---"] * len(headings), *rows]
    return ["| " + " | ".join(str(c).replace("|", "\\|") for c in line) + " |" for line in lines]


def link(name: str) -> str:
    return f"[{name}](#{name.lower().replace(' ', '-').replace(',', '')})"


def code(names: Sequence[str], between: str = ", ") -> str:
    return between.join(f"`{name}`" for name in names)


def told(text: str) -> str:
    """A docstring's paragraphs, a line each."""
    return "\n\n".join(" ".join(p.split()) for p in inspect.cleandoc(text).split("\n\n"))


def sections(module: ModuleType, first: str) -> list[tuple[str, list[type[dy.Schema]]]]:
    """A module's contracts as its headings group them, in the order written."""
    text = Path(str(module.__file__)).read_text("utf-8")
    heads = [(m.start(), m.group(1)) for m in re.finditer(r"^# ---- (.+?) -+$", text, re.M)]
    found: list[tuple[str, list[type[dy.Schema]]]] = [(first, []), *((h, []) for _, h in heads)]
    for match in re.finditer(r"^class (\w+)\(", text, re.M):
        schema = getattr(module, match.group(1))
        if schema.columns():
            place = sum(start < match.start() for start, _ in heads)
            found[place][1].append(schema)
    return [(title, schemas) for title, schemas in found if schemas]


def meaning(column: dy.Column) -> tuple[str, str]:
    """What a column means, and its unit where it has one."""
    text = column.description or ""
    head, _, unit = text.rpartition("; ")
    return (head, unit) if unit in UNITS else (text, "")


# ---- reference files -------------------------------------------------------------------------

REFERENCE_INTRO = f"""# Reference files

{MADE}

What a payer loads: members, providers, contracts, fees, and what was asked for beforehand.
Decisions rest on nothing else but the claims and the [programs](../schemas/programs).

    adjudicate reference check FOLDER    # before loading: overlaps, gaps, names that lead nowhere
    adjudicate reference load FOLDER     # all of the folder or nothing
    adjudicate reference list            # what is in force

A folder holds one file a table, named after it: `members.csv` or `members.parquet`. The tables of
a folder replace those loaded before; the others stay. A file with a header and no row empties its
table. A wrong row is named by file, line, column and the form that is wanted, and nothing is
loaded.

## How values are written

| | in CSV | in Parquet |
| --- | --- | --- |
| text | UTF-8, no control characters; blanks around it are dropped | String |
| date | 2025-01-31 | Date |
| amount | dollars and cents, 125.00, below 100,000,000 | whole cents, an integer |
| number | whole, not negative, in the unit its column states | an integer |
| yes or no | true or false | Boolean |
| nothing | an empty value | null |

A CSV is comma-separated; its header names the columns, in any order. Columns that may be empty may
be absent; a column the table does not have is refused. Basis points are hundredths of a percent:
10000 is all of it.

**Days.** Where a table has `start_date` and `end_date`, a row holds from the one to the other, both
included; no `end_date` means still in force. A claim is decided by the row in force on its day,
never by another day's. The *key* of a table may stand once on any one day; two rows of one key
whose days overlap are refused.
"""

CMS_INTRO = """## CMS's own files

These tables are also read from the files that CMS publishes, under the names they come with. What
they hold from when to when is read from their content, and from their name only where the content
doesn't tell:

- Procedure pairs (PTP, all parts of an edition) hold from each pair's effective to its deletion
  date, and what isn't deleted to the end of the edition's quarter: the edition of one quarter
  serves every day before it too, and is replaced by the next. The version in the name tells the
  quarter: v302 is 30.2, the third quarter of 2024.
- Unit limits (MUE) hold for the quarter that begins on the day in their name; load those of several
  quarters together.
- Add-on codes (AOC) hold as procedure pairs do; the name tells the quarter.

On a day for which a loaded table doesn't hold, what it would find is not looked for, and each claim
of that day says so. `adjudicate reference list` and the summary of each night tell how old these
tables are. A night reads only the rows of its own procedure codes.

"""


def reference_files() -> str:
    groups = sections(reference, "members, providers, contracts and fees")
    names = {schema: name for name, schema in reference.TABLES.items()}
    groups = [(title, [s for s in schemas if s in names]) for title, schemas in groups]
    out = [REFERENCE_INTRO, "## The tables", ""]
    for title, schemas in groups:
        rows = [(link(names[s]), _grain(s)) for s in schemas]
        out += [f"**{title[0].upper()}{title[1:]}**", "", *grid(("table", "one row is"), rows), ""]
    for _, schemas in groups:
        for schema in schemas:
            out += _reference_table(names[schema], schema)
    out.append(CMS_INTRO + "\n".join(grid(("file", "table"), _cms_rows())))
    return "\n".join(out) + "\n"


# names of files, as a person reads them
CODING_FILES = {
    PTP_NAME: "ccipra-v302r0-f1.txt`, `ccioph-v302r0-f1.txt",
    MUE_NAME: "MCR_MUE_PractitionerServices_Eff_07-01-2024.csv`, `…OutpatientHospital…`, "
    "`…DMESupplier…",
    AOC_NAME: "AOC_V2024Q3-F-MCR.txt",
}


def _cms_rows() -> Iterator[tuple[str, str]]:
    for pattern, (table, _) in CMS_FILES.items():
        shown = pattern.replace(r"\.", ".").replace(".*", "…").replace(r"\d{4}", "2025")
        yield f"`{CODING_FILES.get(pattern, shown)}`", link(table)


def _grain(schema: type[dy.Schema]) -> str:
    """The grain as its docstring tells it, without the words every one begins with."""
    first = told(schema.__doc__ or "").split("\n\n")[0]
    return first.removeprefix("One row ").rstrip(".")


def _reference_table(name: str, schema: type[dy.Schema]) -> Iterator[str]:
    yield f"### {name}\n"
    yield f"{told(schema.__doc__ or '')}\n"
    columns = schema.columns()
    rows = []
    last = [c for c in columns if c in ("start_date", "end_date")]  # as people write them
    for column_name in [*(c for c in columns if c not in last), *last]:
        column = columns[column_name]
        text, unit = meaning(column)
        kind, form = _kind(name, column_name, column)
        rows.append((
            f"`{column_name}`", unit if kind == "number" and unit else kind,
            "" if column.nullable else "yes", text + (f" ({form})" if form else ""),
        ))  # fmt: skip
    yield from grid(("column", "type", "required", "meaning"), rows)
    yield ""
    dated = "start_date" in columns
    when = "on any one day" if dated else "in the table"
    for keys in load.KEYS[name]:
        yield f"- Key, once {when}: {code(keys, ' + ')}"
    if not load.KEYS[name]:
        yield "- No key: any row may stand beside any other."
    for table, column, value, needed in load.NEEDS:
        if table == name:
            yield f"- `{column}` {value} needs `{needed}`"
    for table, either in load.EITHER:
        if table == name:
            yield f"- One of {code(either, ' and ')} at least"
    for first, last in load.RANGES:
        if first in columns and first != "start_date":
            yield f"- `{last}` not before `{first}`, and of its length; both or neither"
    yield f"\n```csv\n{_example(name)}\n```\n"


def _kind(table: str, name: str, column: dy.Column) -> tuple[str, str]:
    """The type a person writes, and the form of its text where there is one."""
    kinds = {pl.Date: "date", pl.Boolean: "yes or no", pl.String: "text"}
    if column.dtype == pl.Int64:
        kinds_of_number = {"_amount": "amount", "_basis_points": "basis points"}
        return next((k for end, k in kinds_of_number.items() if name.endswith(end)), "number"), ""
    kind = next(text for dtype, text in kinds.items() if column.dtype == dtype)
    form = load.FORMS.get(f"{table}.{name}") or load.FORMS.get(name)
    if kind != "text" or form is None:
        return kind, ""
    return kind, "" if _said(form[1], column) else form[1]


def _said(words: str, column: dy.Column) -> bool:
    """Whether the column's own words say it already."""
    return {*re.findall(r"\w+", words)} <= {*re.findall(r"\w+", column.description or ""), "or"}


def _example(name: str) -> str:
    """The header and first row of the fixture, else of the tests."""
    file = FIXTURES / f"{name}.csv"
    text = file.read_text("utf-8") if file.is_file() else {**CSV, **MORE}[name]
    return "\n".join(text.splitlines()[:2])


# ---- data dictionary -------------------------------------------------------------------------

DICTIONARY_INTRO = f"""# Data dictionary

{MADE}

Every frame that crosses a stage, as `schemas/frames.py` contracts it, and every table of the
store. What a payer loads is in [reference-files.md](reference-files.md).

Money is whole cents, a percentage basis points (10000 is all of it), a quantity thousandths of its
unit. A claim is known by `claim_id`, its submission number, and its lines by `line_number`, from 1.
Elements are named as X12 names them: CLM05-1 is the first component of the fifth element of CLM.
"""

DTYPES = {pl.Int64: "number", pl.String: "text", pl.Date: "date", pl.Boolean: "yes or no"}


def data_dictionary() -> str:
    groups = sections(frames, "")
    tables = list(store_tables.metadata.tables.values())
    comments = _store_comments()
    out = [DICTIONARY_INTRO, "## Contents", ""]
    for title, schemas in groups:
        rows = [(link(s.__name__), _grain(s)) for s in schemas]
        out += [f"**{title[0].upper()}{title[1:]}**", "", *grid(("frame", "one row is"), rows), ""]
    out += ["**The store**", ""]
    rows = ((link(f"table {t.name}"), comments[t.name].removeprefix("One row ")) for t in tables)
    out += [*grid(("table", "one row is"), rows), ""]
    out += ["## Frames", ""]
    for _, schemas in groups:
        for schema in schemas:
            out += _frame(schema)
    out += [
        "## Tables of the store", "",
        "Dates are ISO text, amounts cents, quantities thousandths, JSON text. Rows of "
        f"{code(store_tables.APPEND_ONLY)} are only ever added: the database refuses "
        "to change or delete them.", "",
    ]  # fmt: skip
    for table in tables:
        out += _store_table(table, comments[table.name])
    return "\n".join(out).rstrip() + "\n"


def _frame(schema: type[dy.Schema]) -> Iterator[str]:
    yield f"### {schema.__name__}\n"
    yield f"{told(schema.__doc__ or '')}\n"
    parents = [base for base in schema.__bases__ if base.columns()]  # type: ignore[attr-defined]
    inherited = {name for base in parents for name in base.columns()}  # type: ignore[attr-defined]
    for base in parents:
        yield f"All columns of {link(base.__name__)}, and:\n"
    rows = []
    for name, column in schema.columns().items():
        if name in inherited:
            continue
        text, unit = meaning(column)
        pattern = getattr(column, "regex", None) or ""
        values = re.findall(r"\w+", pattern)
        if "|" in pattern and not _said(" ".join(values), column):
            text += f" ({', '.join(values[:-1])} or {values[-1]})"
        role = "key" if column.primary_key else "" if column.nullable else "required"
        rows.append((f"`{name}`", unit or DTYPES[type(column.dtype)], role, text))
    yield from grid(("column", "type", "", "meaning"), rows)
    yield ""


# what the store's columns mean where no frame has a column of that name
STORE_FRAMES: dict[str, tuple[type[dy.Schema], ...]] = {
    "claim": (frames.DecidedClaims, frames.ClaimSources, frames.IdentifiedClaims),
    "line": (frames.DecidedLines,),
    "finding": (frames.Findings,),
    "payment": (frames.RemittancePayments,),
    "provider_adjustment": (frames.RemittanceProviderAdjustments,),
    "accumulator_entry": (frames.AccumulatorEntries,),
    "referral_visit": (frames.ReferralVisitEntries,),
    "authorization_unit": (frames.AuthorizationUnitEntries,),
    "benefit_use": (frames.BenefitUseEntries,),
    "pend": (frames.Pends,),
    "override": (frames.Overrides,),
}
STORE_MEANINGS = {
    "sequence.name": "what is numbered",
    "sequence.next_value": "the number that is handed out next",
    "run_id": "the night",
    "run.business_date": "the night's date",
    "run.manifest_digest": "SHA-256 of the input files' names and digests",
    "run.reference_version": "digest of reference data, programs, forms and edits",
    "run.configuration_digest": "SHA-256 of what else decisions depend on",
    "run.state": "intake, decided or published",
    "run.ledger_head": "the ledger's last entry after its commit",
    "run.started_at": "UTC; outside every hash and published file",
    "run.finished_at": "UTC; outside every hash and published file",
    "file_id": "the stored file",
    "file.receipt_position": "its place among the night's files, from 0",
    "file.name": "as it was called",
    "sha256": "SHA-256 of the content",
    "byte_count": "how many bytes",
    "file.received_date": "day of receipt",
    "file.verdict": "read, repeated, test or refused",
    "file.reason": "why, a line each",
    "file.answered_run_id": "the night that published what its senders are answered",
    "part_number": "from 1",
    "reference_part.part_number": "from 1; 0: what a table holds that is read by code, as JSON",
    "file_part.raw_offset": "first byte of the file that the part holds",
    "file_part.raw_byte_count": "how many bytes of the file it holds",
    "content": "the bytes",
    "interchange.position": "its place in the file, from 0",
    "interchange.sender_number": "ISA06",
    "interchange.receiver_number": "ISA08",
    "interchange.control_number": "ISA13",
    "interchange.verdict": "read, repeated, test, misdirected (to another payer) or refused",
    "acknowledgement.name": "its file name, unique among the answers to a file",
    "acknowledgement.position": "the interchange it answers, by its place in the file, from 0",
    "acknowledgement.kind": "TA1, 999 or 277CA",
    "acknowledgement.code": "TA104 or AK901; of a 277CA WQ where a claim was accepted, else U",
    "acknowledgement.control_number": "its own ISA13",
    "acknowledgement.content": "the document, compressed by zlib",
    "claim_id": "the claim's submission number",
    "claim.version_number": "1; a corrected claim counts on",
    "claim.predecessor_claim_id": "the claim it takes the place of; of late charges, that they add "
    "to",
    "claim.reopened_code": "RARC of the reversal, of a version that we opened ourselves",
    "claim.disposition": "rejected, pended, denied, paid or voided; null until a night decides it",
    "claim.provider_number": "of an institutional claim its billing NPI; else rendering NPI, else "
    "billing NPI",
    "claim.decided_run_id": "the night that decided it last",
    "claim.payment_id": "the payment it is in",
    "claim.plan_code": "the plan of its lines",
    "line.member_amount": "what the member owes: Σ PR; cents",
    "decided_part.kind": "lines (frame DecidedLines) or adjustments (frame Adjustments); and of "
    "claims that wait for their payment remittance_claims, remittance_lines and "
    "remittance_adjustments (frames Remittance…)",
    "decided_part.first_claim_id": "the first claim the part holds",
    "decided_part.last_claim_id": "the last claim it holds; one may stand across two parts",
    "line.provider_number": "rendering NPI of the line, else of the claim, else billing NPI",
    "payment.file_name": "the 835 it is in",
    "payment_cycle.program_code": "the program that paid",
    "payment_cycle.payment_date": "BPR16 of its payments",
    "payment_cycle.first_entry_id": "the first entry of the ledger it paid",
    "payment_cycle.last_entry_id": "the last: those between that are the program's own",
    "payment_cycle.last_adjustment_number": "the last act on an account it took",
    "payee_adjustment.adjustment_number": "the act, in the order made",
    "payee_adjustment.program_code": "whose money",
    "payee_adjustment.payee_id": "whose account",
    "payee_adjustment.reason_code": "PLB03-1: WO or CS",
    "payee_adjustment.reference_number": "PLB03-2",
    "payee_adjustment.adjustment_amount": "taken from the payee; negative: given to it; cents",
    "payee_adjustment.made_date": "the day it was made",
    "payee_adjustment.made_by": "who made it",
    "payee_adjustment.note": "why",
    "ledger_entry.entry_id": "its place in the ledger",
    "ledger_entry.payment_id": "the payment that carries it; null: that of its payee in the first "
    "payment_cycle from its night on",
    "ledger_entry.payee_id": "whose account",
    "ledger_entry.program_code": "whose money",
    "ledger_entry.kind": "what the money is for: claim; reversal: of a claim, taken back; "
    "interest, case_management or adjustment",
    "ledger_entry.by_claim_id": "reversal: the claim that takes its place, or voids it",
    "ledger_entry.remark_code": "reversal: RARC that tells why",
    "ledger_entry.entry_amount": "owed to the payee; negative: owed by it; cents",
    "dispute_number": "the dispute, counted from 1",
    "dispute.kind": "filing, authorization, notification or payment",
    "dispute.received_date": "the day it came",
    "dispute.channel_code": "mail, email, online or edi",
    "dispute.claim_count": "how many claims its form names",
    "dispute.has_form": "1: the review form came, completed",
    "dispute.has_letter": "1: a letter on what was beyond the provider's control came",
    "dispute.eop_date": "date of the EOP that first told of the denial; null: no EOP told of the "
    "claim yet",
    "dispute.last_date": "the last day on which it could come; null: no limit",
    "dispute_document.document_number": "order of the documents, from 1",
    "dispute_document.document_kind": "its kind, as the program's terms name it",
    "dispute_document.document_date": "its date",
    "dispute_event.event_number": "order of the dispute's events, from 1; its state is the last",
    "dispute_event.event": "received, returned, upheld, overturned or carried_out",
    "dispute_event.run_id": "carried_out: the run that decided the claim anew",
    "dispute_event.made_date": "the day of it",
    "dispute_event.made_by": "who decided it; null: a run",
    "dispute_event.note": "why, in that person's words",
    "dispute_event.reasons": "returned: what is wrong and what mends it, JSON",
    "dispute_event.letter": "what the letter says, JSON, from which it is made again",
    "override.dispute_number": "the dispute that was decided so",
    "outbox.file_name": "path within the night's folder",
    "outbox.published": "1 once renamed into place",
    "audit.sequence_number": "its place in the chain, from 1",
    "audit.what": "which act",
    "audit.detail": "the act's facts as JSON",
    "audit.recorded_at": "UTC; outside the chain",
    "audit.previous_hash": "hash of the row before",
    "audit.hash": "SHA-256 of this row and the hash before it",
    "version": "SHA-256 over the digests of its tables",
    "reference_version.load_number": "which load put it in force; the highest is in force",
    "reference_table.table_name": "a table of reference-files.md",
    "reference_table.row_count": "how many rows",
}


def _store_comments() -> dict[str, str]:
    """The comment over each table."""
    text = Path(str(store_tables.__file__)).read_text("utf-8")
    found = {}
    for match in re.finditer(r"((?:^# .*\n)+)^\w+ = Table\(\s*\"(\w+)\"", text, re.M):
        words = " ".join(line.removeprefix("# ") for line in match.group(1).splitlines())
        found[match.group(2)] = words.rstrip(".")
    return found


def store_meaning(table: str, column: str) -> str:
    """What a column of the store means; empty where nobody has said it."""
    own = STORE_MEANINGS.get(f"{table}.{column}")
    of_frames = (
        schema.columns()[column].description or ""
        for schema in STORE_FRAMES.get(table, ())
        if column in schema.columns()
    )
    return own or next(of_frames, "") or STORE_MEANINGS.get(column, "")


def _store_table(table: Table, comment: str) -> Iterator[str]:
    yield f"### Table {table.name}\n"
    yield f"{comment}.\n"
    rows = []
    for column in table.columns:
        refers = [f"→ {key.target_fullname}" for key in column.foreign_keys]
        role = "key" if column.primary_key else "" if column.nullable else "required"
        kind = {"BIGINT": "number", "INTEGER": "number", "VARCHAR": "text", "BLOB": "bytes"}[
            str(column.type)
        ]
        text = store_meaning(table.name, column.name)
        rows.append((f"`{column.name}`", kind, ", ".join([role, *refers]).strip(", "), text))
    yield from grid(("column", "type", "", "meaning"), rows)
    yield ""


# ---- edits -----------------------------------------------------------------------------------

EDITS_INTRO = f"""# Edits

{MADE}

Every check a claim meets, in the order that decides who takes the money, with the sentence of the
source it rests on. To see which of them spoke on a claim, and with which figures:

    adjudicate explain CLAIM

**How findings become a fate.** Every edit looks at every line of the programs that list it, and
every finding is kept. On one line the first edit of this order that denies takes the money; the
others stay as findings. A deny beats a pend, except that a pend for want of something without
which the liability itself is unknown ({", ".join(STANDING_PENDS)}) stands against a denial of a
later edit. A claim pends when one of its lines keeps a pend; it is denied when every line is; else
it is paid, line by line.

**Liability** is CO, the provider's, unless the edit says otherwise; PR is the member's.

**Sources** are cited by document and line; 001:2039 is line 2039 of document 001. **[j]** marks a
judgement: the source leaves the point open, and the reading chosen is ours. An edit that is a
judgement as a whole says so, and the sentence it shows is the nearest rule.
"""

DOCUMENTS = {
    "000": "CT Partnership Plan, benefits",
    "001": "CarePartners of Connecticut, provider manual",
    "002": "CarePartners of Connecticut, payment policies new and updated",
    "003": "CarePartners of Connecticut, referral, authorization and notification",
    "004": "HUSKY Health, primary care",
}


def edits_catalogue() -> str:
    programs = load_programs()
    codes = {number: found.words for number, found in load_adjustment_codes().items()}
    pends = {number: m.words for number, m in load_message_codes().items() if m.kind == "pend"}
    codes |= pends
    out = [EDITS_INTRO, *grid(("document", ""), DOCUMENTS.items()), ""]
    out += ["## In the written order", ""]
    rows = []
    for place, each in enumerate(EDITS, 1):
        lists = [name for name, program in programs.items() if each.name in program.edits]
        asks = f"{each.disposition} {', '.join(_outcomes(each))}"
        rows.append((str(place), link(each.name), _first(each), asks, ", ".join(lists) or "none"))
    out += [*grid(("", "edit", "finds", "asks for", "programs"), rows), ""]
    for each in EDITS:
        out += _edit(each, codes, [p.name for p in programs.values() if each.name in p.edits])
    rows = [(f"`{number}`", words) for number, words in sorted(pends.items())]
    out += ["## What a pend waits for", "", *grid(("pend", "the reports say"), rows), ""]
    out += [*_lives(programs), *_plans(programs)]
    return "\n".join([*out, *_validations()]).rstrip() + "\n"


LIVES_INTRO = """### Who looks after it, and until when

As `pends` in a program's `program.yaml` says. A pend's last day is so many days after the first of
the unbroken nights that found it; then it lapses into the denial shown, the first that fits, or
stays and is overdue. A person may deny it with any of the codes listed, or pass it
(`adjudicate pends`).
"""


def _lives(programs: Mapping[str, Program]) -> Iterator[str]:
    yield LIVES_INTRO
    rows = []
    for code, program in programs.items():
        for each in program.pends:
            lapses = [
                f"{codes_of(d)}{f' ({d.because})' if d.because else ''}"
                for d in each.denials
                if d.at_lapse
            ]
            days = f"{each.days or ''}{' [j]' if each.judgement else ''}"
            rows.append((
                f"`{each.pend_code}`", code, each.owner, each.next_action, days,
                ", ".join(lapses) or "nothing", ", ".join(codes_of(d) for d in each.denials),
            ))  # fmt: skip
    headings = ("pend", "program", "queue", "does next", "days", "lapses into", "may be denied")
    yield from grid(headings, sorted(rows))
    yield ""


PLANS_INTRO = f"""## What a plan excludes and limits

Asked of each line when its price is known, after every edit above; an edit that denies the line
comes first.

- `plan_exclusion` denies **CO-96 N130** what the plan's terms don't cover, or PR-96 N130 where they
  say that the member bears it: "{EXCLUDED.phrase}" (001:{EXCLUDED.lines[0]}).
- `plan_limit` denies **PR-119** what comes after the visits or days that the plan pays for in a
  benefit year. They are counted in order of receipt, only by lines that nothing denies on claims
  that don't pend, and given back by a void. A visit is a day with one provider, a day a day,
  however many lines and claims tell of it [j]; a line counts under the first limit that takes it.
"""


def _plans(programs: Mapping[str, Program]) -> Iterator[str]:
    yield PLANS_INTRO
    rows = []
    for program in programs.values():
        for plan in program.plans.values():
            for terms in plan.terms:
                for limit in terms.limits:
                    scope = " or ".join(limit.network_codes)
                    count = f"{limit.maximum} {limit.unit}{'s' * (limit.maximum > 1)}"
                    rows.append((
                        plan.name, f"`{limit.limit_code}`", scope,
                        f"{count}{' a condition' if limit.per_condition else ''}",
                        str(terms.start_date), _lines(limit.citation) if limit.citation else "",
                    ))  # fmt: skip
    yield from grid(("plan", "limit", "network", "a year", "terms from", "source"), rows)
    yield ""
    yield PLANS_DIFFER


PLANS_DIFFER = """Where the source says otherwise than a summary of it might: the thirty visits of
speech therapy in the network stand only with therapy "resulting from other causes" (000:148-152,
000:182-184), so that for autism, stroke, removal of a tumor, injury and congenital anomalies of the
oropharynx none are counted in the network; outside it all of them are.
"""


def _first(each: Edit) -> str:
    return told(each.find.__doc__ or "").split("\n\n")[0].rstrip(".")


def _outcomes(each: Edit) -> list[str]:
    """What it puts on the 835 or waits for: its own first, then what single outcomes put."""
    own = "-".join(part for part in (each.group_code, each.carc) if part)
    own += f" {each.rarc}" if each.rarc else ""
    others = [f"{group}-{carc}" for group, carc in each.other_codes]
    return [text for text in (own or each.pend_code or "", *others) if text]


def _edit(each: Edit, codes: dict[str, str], lists: Sequence[str]) -> Iterator[str]:
    yield f"### {each.name}\n"
    yield f"{told(each.find.__doc__ or '')}\n"
    yield f"> {each.cites.phrase}\n>\n> *{_lines(each.cites)}*\n"
    for outcome in _outcomes(each):
        words = [codes[part] for part in re.split("[- ]", outcome) if part in codes]
        asks = "pend" if outcome == each.pend_code else "deny"
        yield f"- {asks} **{outcome}**" + (f": {'; '.join(words)}" if words else "")
    if each.pend_code and each.carc:
        yield f"- or pend **{each.pend_code}**: {codes[each.pend_code]}"
    if each.across_night:
        yield "- looks across the night, after the edits that look at one line by itself"
    for program in load_programs().values():
        for policy in getattr(program.policies, each.name, ()):
            until = f" to {policy.end_date}" if policy.end_date else ""
            where = f"{program.name}, from {policy.start_date}{until}"
            yield f"- policy ({where}; {_lines(policy.citation)}): {policy.words}"
    if each.judgement:
        yield "- a judgement [j]: no source decides it"
    if of_edit := shown()[each.name]:
        case, hit, miss = of_edit[0]
        folder = f"[{case}](../fixtures/claims/{case}/README.md)"
        yield f"- finds `{hit}` and lets `{miss}` pass in the worked example {folder}"
    yield f"- programs: {', '.join(lists) or 'none yet'}\n"


def _lines(cites: Citation) -> str:
    first, last = cites.lines
    where = f"line {first}" if first == last else f"lines {first}–{last}"
    return f"document {cites.document}, {where}"


VALIDATIONS_INTRO = """## Validations

What is asked before any edit. A gap rejects the claim: it goes back, is never adjudicated and
stands on no 835. Box by box: [forms.md](forms.md); by SNIP level: [snip.md](snip.md). What the X12
guides themselves refuse is reported as `syntax`, with segment, element and the guide's own error
code; a claim that names another payer as `another_payer`, with the element that names it; what
can't be read on paper as `unreadable_box`, with the file's line and the box ([paper.md](paper.md)).
"""


def _validations() -> Iterator[str]:
    yield VALIDATIONS_INTRO
    rows: dict[str, dict[str, list[str]]] = {}
    for form in load_forms():
        for field in form.fields:
            check = CHECKS[field.wants]
            if field.checked and check.edit != "mandatory_field":
                told_of = rows.setdefault(check.edit, {})
                told_of.setdefault(f"{field.name} {check.says}", []).append(
                    f"{field.box} ({FORM_NAMES[form.form]})"
                )
    yield from grid(
        ("check", "finds", "boxes"),
        [
            ("`mandatory_field`", "a box that must be filled is empty", "[all](forms.md)"),
            *(
                (f"`{edit}`", finds, ", ".join(boxes))
                for edit, its in sorted(rows.items())
                for finds, boxes in its.items()
            ),
        ],
    )


# ---- the claim forms -------------------------------------------------------------------------

FORM_NAMES = {"cms1500": "CMS-1500", "ub04": "UB-04"}
FORM_TITLES = {"cms1500": "CMS-1500 and 837P", "ub04": "UB-04 and 837I"}
FORMS_INTRO = f"""# Boxes of the claim forms

{MADE}

Every box of UB-04 and CMS-1500 as the provider manual lists it, with the 837 element that is the
same thing, and whether it is looked at. Paper and 837 are read into the same columns, so that one
table checks both:

    adjudicate check FILE...

What is found rejects the claim: it goes back with the claim status shown (277CA; on paper a
letter), is never adjudicated and stands on no 835. Had it been adjudicated after all, CARC 16 and
the remark would explain it.

- **usage**, as the manual prints it: M mandatory, O optional, N not applicable.
- **asked**: whether and when we look at the box. Where that is not what its usage says, *why*
  tells the reason; **[j]** marks a judgement that no source decides.
- **read into**: the column of [data-dictionary.md](data-dictionary.md). In brackets stands which of
  a claim's rows is meant; a bar between columns means that one of them will do.
- Lines are those of document 001.
"""


def forms_page() -> str:
    out = [FORMS_INTRO]
    for form in load_forms():
        out += _form(form)
    return "\n".join(out).rstrip() + "\n"


def _form(form: Form) -> Iterator[str]:
    yield f"## {FORM_TITLES[form.form]}\n"
    yield f"*{_lines(form.citation)}*\n"
    rows = []
    for field in form.fields:
        first, last = field.lines
        rows.append((
            field.box, field.name, field.element or PAPER_ONLY, field.usage, _asked(field),
            field.because, f"`{field.column}`" if field.column else "", field.status_code,
            field.rarc, f"{first}" if first == last else f"{first}–{last}",
        ))  # fmt: skip
    headings = ("box", "holds", "element", "usage", "asked", "why", "read into", "claim status",
                "remark", "lines")  # fmt: skip
    yield from grid(headings, rows)
    yield ""


def _asked(field: FormField) -> str:
    if not field.checked:
        return "not looked at"
    check, when = CHECKS[field.wants], CONDITIONS[field.when].words
    if check.wrong is not None:
        return f"refused where it {check.says}"
    return f"must be filled {when}".rstrip()


# ---- paper -----------------------------------------------------------------------------------

PAPER_INTRO = f"""# Paper claims

{MADE}

UB-04 and CMS-1500 forms that were keyed or read by OCR come in as JSON Lines, a claim a line,
beside 837 files:

    adjudicate check claims.jsonl
    adjudicate run inbox

Paper is known by its content, whatever the file is called. The same boxes are asked for as of 837
claims, and of paper some more: [forms.md](forms.md). [paper.schema.json](paper.schema.json) is the
same as this page for a program.

```json
{{"form": "CMS-1500", "received_date": "2025-11-14",
 "boxes": {{"1a": "CPC20009101", "2": "MARSHWOOD, ODELL, J", "4": "SAME",
           "3": {{"birth_date": "06 15 1950", "sex": "M"}},
           "21": {{"A": "I10"}},
           "24": [{{"24a": {{"from": "110325"}}, "24b": "11", "24d": {{"code": "99213"}},
                   "24e": "A", "24f": "140 00", "24g": "1"}}],
           "28": "140 00"}},
 "attachments": [{{"kind": "eob", "date": "10/02/2025", "payer": "Old Seaport Mutual"}}]}}
```

It is one line in a file; whole forms stand in
[paper-professional](../fixtures/claims/paper-professional) and
[paper-returned](../fixtures/claims/paper-returned).

## A record

- **form** is `CMS-1500` or `UB-04`.
- **boxes** are keyed as the manual names them. A box of several parts is an object. One that is
  printed several times (`50a-c`, `31-34`) is a list in the order printed: an empty text keeps a
  blank one's place. The rows of services are the lists `24` and `42-49`; of UB-04, revenue code
  0001 is the row of totals.
- **A value** is text as printed, in quotes. A blank box is left out, null or empty. Blanks around a
  value don't count.
- **Dates** are MMDDYY or MMDDCCYY, with or without blanks, slashes or hyphens, or CCYY-MM-DD. A
  year of two digits is of this century; a birth date has four.
- **Amounts** are dollars and cents: 120.00 or 120 00. 12000 could be either, and is not read.
- **Names** are LAST, FIRST, MIDDLE. Without commas the first word is the last name.
- **received_date** is the day stamped on the paper, and counts for filing deadlines; without it,
  or where it is later, the night's day of receipt does.
- **Our row on UB-04** is the one of 50a-c and 51 that has the program's name or payer number, or
  one of its receiver numbers. Every other name there is another payer's, so that a name written
  otherwise makes the claim wait for a person instead of being paid as if nobody else did.
- **CMS-1500.** SAME for the insured's address goes into the street of box 7. YES in 11d says that
  the other plan pays before us. A blank box 22 means frequency 1. Box 24e has the letters of
  box 21.

## Attachments

What came with the claim: kind, date, and whose it is.

@attachments@

They count from the night the claim comes in. A document that comes later goes into the table
[attachments](reference-files.md#attachments), under the claim's number. A PWK of an 837 only
announces one.

## What a mistake costs

@mistakes@

Neighbours go on. What is told never holds what a box says.

## What comes back

Nothing for a claim that is taken in: no TA1, 999 or 277CA. A claim that goes back does so with a
letter: `letters/S<submission>.pdf` in the night's folder names every box that is missing or wrong,
what to do, and by when a new claim must be there. It has no claim number and stands on no 835. The
record is kept as it came.
"""


PAPER_TABLES = {
    "@attachments@": grid(
        ("kind", "what it is", "what it does"),
        [
            ("eob", "another payer's explanation", "its date is when that payer decided (box 9 or "
             "50): the filing deadline counts from it, and box 29 or 54 must say what was paid"),
            ("auto_notice", "the auto insurer's denial, or notice that its benefits are used up",
             "after a car accident the filing deadline counts from its date"),
            ("description", "of an unlisted service", "kept"),
            ("notes", "operative or medical notes", "kept"),
        ],
    ),
    "@mistakes@": grid(
        ("mistake", "costs"),
        [
            (f"a line that is no JSON object, names no form that is read here, has no `boxes`, or "
             f"is longer than {RECORD_BYTES:,} bytes", "that line: the summary tells file, line, "
             "cause and mend; send the line anew in another file"),
            ("a box or part that the form hasn't, or a value that isn't as printed",
             "its claim, which goes back; all else that is wrong with it is told at the same time"),
            ("a box that must be filled and is blank", "its claim"),
        ],
    ),
}  # fmt: skip


def paper_page() -> str:
    intro = PAPER_INTRO
    for place, table in PAPER_TABLES.items():
        intro = intro.replace(place, "\n".join(table))
    out = [intro]
    for form in RECORDS:
        asked: dict[str, list[FormField]] = {}
        for field in next(f for f in load_forms() if FORM_NAMES[f.form] == form).fields:
            asked.setdefault(field.box, []).append(field)
        rows = []
        for place in places(form):
            usages = list(dict.fromkeys(f.usage for f in asked.get(place.box, ())))
            written = place.kind.words if place.kind else "its parts follow"
            written = f"list: {written}" if place.many else written
            keys = " → ".join(f"`{key}`" for key in place.path)
            rows.append((keys, place.name, written, ", ".join(usages)))
        out += [f"## {form}", "", *grid(("box, part", "holds", "written as", "usage"), rows), ""]
    return "\n".join(out).rstrip() + "\n"


def paper_schema() -> str:
    """JSON Schema (2020-12) of one line."""
    record = Annotated[CMS1500Record | UB04Record, Field(discriminator="form")]
    schema = TypeAdapter(record).json_schema(by_alias=True)
    whole = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
    return json.dumps(whole, indent=1) + "\n"


# ---- SNIP levels -----------------------------------------------------------------------------

SNIP_INTRO = f"""# What a claim is checked for

{MADE}

Every check between arrival and adjudication, by WEDI's SNIP types. Type 6 (kinds of service) asks
nothing of its own here.

    adjudicate check FILE...           # a table of what was found, and how many of each level
    adjudicate check FILE... --json    # level, place, claim, line, code and text of each

The **code** is what its sender gets: IK304 and IK403 on the 999, STC on the 277CA, TA105, AK905 and
IK502 where an envelope is at fault ([acknowledgements.md](acknowledgements.md)). A finding that
**rejects** sends the claim back; one that is **noted** stands on no acknowledgement and stops
nothing. `check` has no store, so that of the loaded lists (code_sets) it knows none.
"""

LEVEL_5 = """Three kinds of proof. A code's *form*: one that no release ever had rejects. *Our own
lists* (schemas/codes/code_lists.yaml, codes and days alone). *Loaded lists*: the reference table
[code_sets](reference-files.md#code_sets) by the day of service. A code that is absent from the
release in force on that day rejects; where only other releases are loaded, one that none of them
has is noted; where no list is loaded nothing is said.

Country and state codes and places of service on 837 are also held against pyx12's lists, which have
no days, at level 2. Remark codes are not: pyx12's list ends in 2014 ([pyx12.md](pyx12.md)).

| code set | comes with the program | is loaded | dated by |
| --- | --- | --- | --- |
| NPI | its check digit; which are assigned nobody loads | | |
| states, bill types, revenue categories | whole, without days | | |
| places of service | whole, with the days they began | | day of the line |
| ICD-10-CM, ICD-10-PCS | form | code_sets ICD10CM, ICD10PCS | last day of the bill, or the line |
| HCPCS, CPT, CDT | form | code_sets HCPCS, CPT, CDT | day of the line |
| provider taxonomy | form | code_sets TAXONOMY | day of service |
| adjustment reasons of other payers (CARC) | form | code_sets CARC | day that payer decided |
| remark codes of other payers (RARC) | form | code_sets RARC | day that payer decided |
| modifiers; occurrence, value and condition codes | length, at level 2 | | |

None of the large lists comes with the program. So until a payer has loaded a release, level 5 says
of these sets no more than that a code has their form; on a day that no loaded release covers, it
only notes, which stands on no acknowledgement."""


def snip_page() -> str:
    out = [SNIP_INTRO, "## Level 1 and 2: X12's syntax, the guide", ""]
    codes = [("IK403", "8", c, w) for c, w in ELEMENT_ERRORS.items()]
    codes += [("IK304", c, c, w) for c, w in SEGMENT_ERRORS.items() if c not in ("8", "E")]
    rows = [
        (str(snip_level(segment, number, words)), words, f"{name} {UNPLACED.get(number, number)}"
         if name == "IK304" else f"{name} {number}", "rejects", "pyx12's map of the guide")
        for name, segment, number, words in codes
        if number != "I13"
    ]  # fmt: skip
    page = "[acknowledgements.md](acknowledgements.md)"
    told_by = "TA105, AK905, IK502"
    rows.append(("1", "an envelope or a count is wrong", told_by, "refuses what it holds", page))
    out += [*grid(("level", "finds", "code", "", "source"), sorted(rows)), ""]
    out += ["## Level 3: balancing", "", *_snip_rules(3), ""]
    out += ["## Level 4: situations", "", *_snip_rules(4), ""]
    out += ["## Level 5: code sets", "", LEVEL_5, "", *_snip_rules(5), ""]
    out += ["## Level 7: the payer's own", ""]
    out += ["Box by box, with conditions and sources: [forms.md](forms.md).", "", *_snip_rules(7)]
    return "\n".join(out) + "\n"


def _snip_rules(level: int) -> list[str]:
    rows = [
        (f"`{each.name}`", told(each.find.__doc__ or "").split("\n\n")[0].rstrip("."),
         each.element, ", ".join([each.status_code, *each.other_codes]),
         "rejects, or is noted" if each.informs else "rejects", each.source)
        for each in RULES
        if each.level == level
    ]  # fmt: skip
    if level == 4:
        rows += [
            ("`syntax`", CHILD_FLAG, "2000B HL04", "IK403 7, A7:21", "rejects",
             "005010X222A1 and 005010X223A2, 2000B HL04"),
            ("`syntax`", SELF_WITH_DEPENDENT, "2000B SBR02", "IK403 I13, A7:21", "rejects",
             "005010X222A1 and 005010X223A2, 2000B SBR02"),
        ]  # fmt: skip
    of_boxes: dict[tuple[str, str], list[FormField]] = {}
    for form in load_forms():
        for field in form.fields:
            check = CHECKS[field.wants]
            if field.checked and check.level == level:
                name = "a box" if check.edit == "mandatory_field" and level == 7 else field.name
                of_boxes.setdefault((check.edit, f"{name} {check.says}"), []).append(field)
    for (edit, says), fields in of_boxes.items():
        elements = sorted({field.element for field in fields if field.element})
        codes = sorted({field.status_code for field in fields})
        many = len(fields) > 6
        rows.append((
            f"`{edit}`", says, "[all](forms.md)" if many else ", ".join(elements),
            "A6 of the box" if many else ", ".join(codes), "rejects", "[forms.md](forms.md)",
        ))  # fmt: skip
    return grid(("check", "finds", "element", "code (STC)", "", "source"), rows)


PAGES: dict[str, Callable[[], str]] = {
    "reference-files.md": reference_files,
    "data-dictionary.md": data_dictionary,
    "edits.md": edits_catalogue,
    "forms.md": forms_page,
    "paper.md": paper_page,
    "snip.md": snip_page,
    "faults.md": protections.page,
}
SCHEMAS: dict[str, Callable[[], str]] = {"paper.schema.json": paper_schema}


if __name__ == "__main__":
    for name, page in (PAGES | SCHEMAS).items():
        (DOCS / name).write_text(page(), "utf-8")
