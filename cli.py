"""The command line: adjudicate run, check, explain, report, pends, dispute, payments, reference,
db."""

from __future__ import annotations

import gc
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from edi.memory import keep

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from sqlalchemy import Connection

    from adjudicator.night import Summary
    from edi.ahead import Ahead
    from edi.apart import Apart
    from edi.read_file import ReadChunk
    from schemas.config import Config
    from schemas.program import Program

FAILED, USAGE, LOCKED = 1, 2, 75
AGAIN = "nothing is published by halves; mend it and run again"
TRACE = "ADJUDICATE_TRACE"
DB_VARIABLE = "ADJUDICATOR_DB"
# PostgreSQL's, as `db roles` names them
OWNER_ROLE, APPLICATION_ROLE, READER_ROLE = "claims_owner", "claims_application", "claims_reader"
ALONE_BYTES = 1_500_000  # below it another process takes longer to start than it saves
# what the other process imports, which reads for these
READS_AHEAD = {"run": "edi.ahead", "check": "adjudicator.check"}
_BEGUN: list[Apart] = []  # one, before the command line is taken apart
# they close what they open: taking their frames apart at the end takes as long as a thousand claims
ENDS_AT_ONCE = ("run", "check")

# what a night's payments come to, where that is not just what it decided
CYCLE = {
    "waiting_amount": "waits for the payment day", "brought_forward_amount": "brought forward",
    "carried_forward_amount": "carried forward", "interest_amount": "interest",
    "case_management_amount": "case management", "recovered_amount": "recovered",
}  # fmt: skip

app = typer.Typer(
    name="adjudicate",
    help="Adjudicate health claims: 837 in, balanced 835 and an explanation of every cent out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
reference_app = typer.Typer(help="Reference data: members, providers, contracts, fees.",
                            no_args_is_help=True)  # fmt: skip
report_app = typer.Typer(help="Reports to providers, and the payment register.",
                         no_args_is_help=True)  # fmt: skip
pends_app = typer.Typer(help="Claims that wait: who looks after them, and what a person decides.",
                        no_args_is_help=True)  # fmt: skip
dispute_app = typer.Typer(help="Providers' disputes: taken in, looked at, decided, with letters.",
                          no_args_is_help=True)  # fmt: skip
payments_app = typer.Typer(help="Payments: what each payee was paid, and what is taken back.",
                           no_args_is_help=True)  # fmt: skip
db_app = typer.Typer(help="The store.", no_args_is_help=True)
app.add_typer(reference_app, name="reference")
app.add_typer(report_app, name="report")
app.add_typer(pends_app, name="pends")
app.add_typer(dispute_app, name="dispute")
app.add_typer(payments_app, name="payments")
app.add_typer(db_app, name="db")

Db = Annotated[
    str | None,
    typer.Option("--db", help=f"Store URL; default ${DB_VARIABLE}, then the configuration's"),
]
ConfigFile = Annotated[Path | None, typer.Option("--config", help="Configuration, YAML")]
LogFile = Annotated[Path | None, typer.Option("--log", help="Append a line of JSON a step here")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table")]
OfRun = Annotated[int | None, typer.Option("--run", help="Of that run; default the latest")]
From = Annotated[str | None, typer.Option("--from", help="With --to: of the nights of these days")]
To = Annotated[str | None, typer.Option("--to", help="Last day, which dates the report")]
Payee = Annotated[str | None, typer.Option("--payee", help="Of one payee; default all")]
ReportOut = Annotated[Path | None, typer.Option("--out", help="Where the report's folder goes")]
ClaimNumber = Annotated[str, typer.Argument(metavar="CLAIM", help="Claim number")]
Note = Annotated[str, typer.Option("--note", help="Why, in one line; kept for good")]
Who = Annotated[str, typer.Option("--who", help="Who decides it")]
Today = Annotated[str | None, typer.Option("--business-date", help="The day it is, YYYY-MM-DD")]
DisputeNumber = Annotated[str, typer.Argument(metavar="DISPUTE", help="As `dispute list` has it")]
DisputeKind = Annotated[
    str | None, typer.Option("--kind", help="filing, authorization, notification or payment")
]
LetterOut = Annotated[Path | None, typer.Option("--out", help="Where the letters' folder goes")]
Formats = Annotated[str | None, typer.Option("--format", help="Of pdf,csv,json; default all")]


def main() -> NoReturn:
    """Run the command line; every failure is one line on standard error."""
    gc.disable()  # a night makes millions of values and no cycles to look for among them
    keep()
    # numpy's threads for matrices, of which there are none, spin for a tenth of a second
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    code = _code()
    if sys.argv[1:2] and sys.argv[1] in ENDS_AT_ONCE:
        sys.stderr.flush()
        os._exit(code)
    raise SystemExit(code)


def _code() -> int:
    try:
        if sys.argv[1:2] and sys.argv[1] in READS_AHEAD:
            # what is no option's value is an input; what else is one, is known in time
            each = pairwise(sys.argv[1:])
            inputs = [Path(a) for before, a in each if "-" not in (before[:1], a[:1])]
            _BEGUN.extend(filter(None, [_begun(sys.argv[1], inputs)]))
        code = app(standalone_mode=False, prog_name="adjudicate")
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except KeyboardInterrupt:
        return 130
    except Exception as fault:
        if hasattr(fault, "format_message"):  # an option or argument that is not as it should be
            told = " ".join(str(fault.format_message()).split())
            command = getattr(getattr(fault, "ctx", None), "command_path", "adjudicate")
            if told:  # else the help was asked for by saying nothing
                told = told if told.endswith(".") else f"{told}."
                typer.echo(f"adjudicate: {told} See '{command} --help'", err=True)
            return USAGE
        if os.environ.get(TRACE):
            raise
        # the fault's own words may hold a member's data: only its kind and place are told
        last = fault.__traceback__
        while last is not None and last.tb_next is not None:
            last = last.tb_next
        place = (
            f" at {Path(last.tb_frame.f_code.co_filename).name}:{last.tb_lineno}" if last else ""
        )
        typer.echo(
            f"adjudicate: a fault of the program ({type(fault).__name__}{place}); nothing more was "
            f"written. Run again with {TRACE}=1 to see it whole, and report it",
            err=True,
        )
        return FAILED


def _fail(message: str, code: int = FAILED) -> NoReturn:
    typer.echo(f"adjudicate: {message}", err=True)
    raise typer.Exit(code)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import PackageNotFoundError, version

        try:
            typer.echo(version("adjudicator"))
        except PackageNotFoundError:
            typer.echo("unknown: run from a checkout that is not installed")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version")
    ] = False,
) -> None:
    del version


def _config(path: Path | None, db: str | None, out: Path | None = None) -> Config:
    import yaml
    from pydantic import ValidationError

    from schemas.config import Config

    values: dict[str, Any] = {}
    if path is not None:
        try:
            values = yaml.safe_load(path.read_text("utf-8")) or {}
        except OSError as error:
            _fail(f"{path}: can't be read: {error.strerror}", USAGE)
        except (yaml.YAMLError, UnicodeDecodeError):
            _fail(f"{path}: is not YAML; see docs/operate.md", USAGE)
    if not isinstance(values, dict):
        _fail(f"{path}: holds no keys; see docs/operate.md", USAGE)
    try:
        config = Config.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        _fail(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}", USAGE)
    beside = path.parent if path else Path()
    if db and _holds_password(db):
        _fail(
            "--db: a password on the command line can be read by every account: leave it out and "
            f"give it by PGPASSFILE, or the whole URL by {DB_VARIABLE}",
            USAGE,
        )
    db = db or os.environ.get(DB_VARIABLE)
    url = db or config.db
    if not db and url.startswith("sqlite:///") and not url.startswith("sqlite:////"):
        url = f"sqlite:///{beside / url.removeprefix('sqlite:///')}"
    return config.model_copy(
        update={
            "db": url,
            "out": out or beside / config.out,
            "programs": beside / config.programs if config.programs else None,
        }
    )


def _holds_password(url: str) -> bool:
    """Also where the URL is written so badly that it can't be taken apart."""
    _, _, rest = url.partition("://")
    return ":" in rest.rpartition("@")[0] or "password=" in rest.casefold()


def _day(text: str | None, name: str) -> date | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        _fail(f"{name} {text!r} is not a date; write it as 2025-11-15", USAGE)


def _programs(settings: Config) -> dict[str, Program]:
    from adjudicator.programs import DataFileError, load_programs

    try:
        return load_programs(settings.programs)
    except DataFileError as error:
        _fail(str(error))


@contextmanager
def _seeing(settings: Config) -> Iterator[Connection]:
    """A snapshot of the store; what can't be shown of it is told in one line."""
    from adjudicator.desk import DeskError
    from adjudicator.store import StoreError, open_store, reading

    try:
        with reading(open_store(settings.db, create=False)) as connection:
            yield connection
    except (StoreError, DeskError) as error:
        _fail(str(error))


@contextmanager
def _acting(
    settings: Config, lock: AbstractContextManager[None] | None = None
) -> Iterator[Connection]:
    """A transaction for what a person does, under the ``lock`` where there is one: kept whole, or
    not at all and told in one line."""
    from sqlalchemy.exc import OperationalError

    from adjudicator.desk import DeskError
    from adjudicator.load import ReferenceDataError
    from adjudicator.store import BusyError, StoreError, open_store

    try:
        engine = open_store(settings.db, create=False)
        with lock or nullcontext(), engine.begin() as connection:
            yield connection
    except (OperationalError, BusyError):
        _fail("the store is busy: a night is being committed; nothing is kept, try again", LOCKED)
    except (ReferenceDataError, StoreError, DeskError) as error:
        _fail(str(error))


def _said(settings: Config, note: str, who: str, business_date: str | None) -> dict[str, Any]:
    """Who does what a person does, when, and why."""
    from adjudicator.store import utc_now

    return {
        "note": note, "who": who,
        "made": _day(business_date, "--business-date") or settings.business_date or date.today(),
        "recorded_at": utc_now(),
    }  # fmt: skip


def _echo(as_json: bool, told: Callable[[], Any], text: Callable[[], str]) -> None:
    typer.echo(json.dumps(told(), indent=2) if as_json else text())


@app.command()
def run(
    ctx: typer.Context,
    inputs: Annotated[list[Path], typer.Argument(metavar="INPUT...", help="Files, folders or -")],
    db: Db = None,
    out: Annotated[Path | None, typer.Option("--out", help="Where the night's files go")] = None,
    config: ConfigFile = None,
    business_date: Annotated[
        str | None, typer.Option("--business-date", help="The night's date, YYYY-MM-DD")
    ] = None,
    received: Annotated[
        str | None, typer.Option("--received", help="Receipt date; default the business date")
    ] = None,
    accept_test: Annotated[
        bool, typer.Option("--accept-test", help="Adjudicate test files and others' files too")
    ] = False,
    approve: Annotated[
        bool, typer.Option("--approve", help="Go on with a night that is far off the usual")
    ] = False,
    log: LogFile = None,
    as_json: AsJson = False,
) -> None:
    """Do one night: take the claims in, decide all that waits, publish 835s and reports."""
    apart = _other_process(ctx, inputs)
    from edi.read_file import read_chunk

    ahead = _reading(ctx, apart, inputs, read_chunk, config)
    settings = _config(config, db, out)
    from adjudicator.night import Order, run_night

    day = _day(business_date, "--business-date") or settings.business_date or date.today()
    order = Order(
        tuple(inputs), settings, day, _day(received, "--received") or day, accept_test=accept_test,
        approve=approve,
    )  # fmt: skip
    tell = _night_log(log)
    with _failing_in_a_line(tell):
        summary = run_night(order, tell, ahead)
    tell("done", {"exit": 0, "run": summary.run_id, **summary.counts,
                  "paid_amount": summary.paid_amount})  # fmt: skip
    if as_json:
        typer.echo(json.dumps(summary.as_json(), indent=2, sort_keys=True))
    else:
        _print_summary(summary, settings.out)


@contextmanager
def _failing_in_a_line(tell: Callable[..., None]) -> Iterator[None]:
    """What stops a night is told in one line, and to its log."""
    from sqlalchemy.exc import DBAPIError, OperationalError

    from adjudicator.load import ReferenceDataError
    from adjudicator.night import LockedError, NightError
    from adjudicator.programs import DataFileError
    from adjudicator.store import StoreError

    try:
        yield
    except LockedError as error:
        tell("failed", {"exit": LOCKED})
        _fail(str(error), LOCKED)
    except (NightError, StoreError, DataFileError, ReferenceDataError) as error:
        tell("failed", {"exit": FAILED})
        _fail(str(error))
    except OSError as error:
        tell("failed", {"exit": FAILED})
        place = Path(str(error.filename)).name if error.filename else "the file system"
        _fail(f"{place}: {error.strerror}; {AGAIN}")
    except DBAPIError as error:
        if not isinstance(error, OperationalError):
            raise
        tell("failed", {"exit": FAILED})
        _fail(f"the store can't be read or written: {error.orig}; {AGAIN}")


def _other_process(ctx: typer.Context, inputs: list[Path]) -> Apart | None:
    """A process that is ready to read ahead, until the command ends; none for few claims."""
    apart = _BEGUN.pop() if _BEGUN else _begun(str(ctx.info_name), inputs)
    return apart and ctx.with_resource(apart)


def _reading(
    ctx: typer.Context,
    apart: Apart | None,
    inputs: list[Path],
    read: ReadChunk,
    config: Path | None,
) -> Ahead | None:
    """The files read ahead until the command ends; where no configuration says otherwise, before
    there is one: its models take as long as a thousand claims."""
    from adjudicator.reading import bounds_of, reading_ahead
    from edi.read_file import Bounds

    bounds = Bounds() if config is None else bounds_of(_config(config, None))
    return ctx.with_resource(reading_ahead(apart, inputs, bounds, read))


def _begun(command: str, inputs: Iterable[Path]) -> Apart | None:
    from edi.received import files_of

    try:
        size = sum(f.stat().st_size for f in files_of(inputs) if f.is_file())
        if size < ALONE_BYTES or (os.cpu_count() or 1) < 2:
            return None
        from edi.apart import Apart

        return Apart(READS_AHEAD[command])
    except OSError:
        return None  # what can't be read will be said; without another process it takes longer


def _night_log(path: Path | None) -> Callable[..., None]:
    """Tells each step on a terminal, and in ``path`` where there is one."""
    if path is None:
        return lambda step, _facts=None: _progress(step)
    from adjudicator.night_log import NightLog

    try:
        log = NightLog(path)
    except OSError as error:
        _fail(f"{path}: can't be written: {error.strerror}; give another --log", USAGE)

    def tell(step: str, facts: dict[str, Any] | None = None) -> None:
        _progress(step)
        log.write(step, facts)

    return tell


def _progress(step: str) -> None:
    if sys.stderr.isatty() and step not in ("done", "failed"):
        typer.echo(f"\r\033[K{step} …" if step != "publish" else "\r\033[K", err=True, nl=False)


def _print_summary(summary: Summary, out: Path) -> None:
    from adjudicator.explain import money
    from adjudicator.reports.text import counted

    typer.echo(f"Night of {summary.business_date} (run {summary.run_id})\n")
    typer.echo(f"  {'':<18}{'claims':>10}{'charges':>18}")
    for name, figures in summary.counts.items():
        typer.echo(
            f"  {name.replace('_', ' '):<18}{figures['count']:>10,}"
            f"{money(figures['charge_amount']):>18}"
        )
    cycle = summary.cycle or {}
    paid = cycle.get("payment_amount", summary.paid_amount)
    typer.echo(f"\n  paid to providers {money(paid):>28}")
    for name, words in CYCLE.items():
        if cycle.get(name):
            typer.echo(f"  {words:<28}{money(cycle[name]):>18}")
    typer.echo()
    plain = [f for f in summary.files if f.verdict == "read" and not f.rejected_count]
    plain = [f for f in plain if not f.reasons]
    if plain:
        claims = counted(sum(f.claim_count for f in plain), "claim")
        typer.echo(f"  {'read':<9} {counted(len(plain), 'file')} without a fault: {claims}")
    for f in (f for f in summary.files if f not in plain):
        extra = f", {f.rejected_count} rejected" if f.rejected_count else ""
        typer.echo(f"  {f.verdict:<9} {f.name}: {counted(f.claim_count, 'claim')}{extra}")
        for reason in f.reasons:
            typer.echo(_wrapped(reason))
    for plan in summary.illustrative:
        typer.echo(_wrapped(f"{plan} has illustrative figures: the source gives none", "  note"))
    for table in summary.coding_tables:
        typer.echo(_wrapped(table, "  coding"))
    typer.echo(f"\n  {len(summary.written)} files in {out / summary.folder}")


def _wrapped(text: str, lead: str = "", indent: int = 12) -> str:
    import textwrap

    return textwrap.fill(
        text, 80, initial_indent=f"{lead:<{indent}}", subsequent_indent=" " * indent,
        break_on_hyphens=False,
    )  # fmt: skip


@app.command()
def check(
    ctx: typer.Context,
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="837 or paper")],
    out: Annotated[
        Path | None, typer.Option("--out", help="Write the acknowledgements (TA1, 999, 277CA) here")
    ] = None,
    business_date: Annotated[
        str | None, typer.Option("--business-date", help="Their date; default today")
    ] = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Check syntax and mandatory fields: no store, nothing adjudicated. Exit 1: something found."""
    apart = _other_process(ctx, files)
    from adjudicator.check import check_files, checking
    from edi.threads import on_this_thread

    try:
        day = _day(business_date, "--business-date") or date.today()
        ahead = _reading(ctx, apart, files, checking(answered=out is not None), config)
        settings = _config(config, None)
        findings = on_this_thread(check_files, files, out, day, settings, ahead)
    except OSError as error:
        _fail(f"{error.filename}: can't be read or written: {error.strerror}")
    if as_json:
        typer.echo(json.dumps(findings.as_json(), indent=2))
    else:
        typer.echo(findings.as_text())
    if findings.rows:
        raise typer.Exit(FAILED)


@app.command()
def reprocess(
    claims: Annotated[list[str] | None, typer.Argument(metavar="[CLAIM]...",
                                                       help="Claim numbers")] = None,
    file: Annotated[list[Path] | None, typer.Option("--file", help="Corrected claims")] = None,
    pended: Annotated[bool, typer.Option("--pended", help="Whatever waits")] = False,
    disputes: Annotated[
        bool, typer.Option("--disputes", help="Claims of overturned disputes")
    ] = False,
    provider: Annotated[
        str | None, typer.Option("--provider", help="Claims of that NPI or payee")
    ] = None,
    first: Annotated[str | None, typer.Option("--from", help="With services from that day")] = None,
    last: Annotated[str | None, typer.Option("--to", help="With services to that day")] = None,
    edit: Annotated[str | None, typer.Option("--edit", help="That this edit found")] = None,
    plan: Annotated[str | None, typer.Option("--plan", help="Of that plan")] = None,
    cause: Annotated[
        str, typer.Option("--cause", help="Why: coverage, review, rate, dispute or other-payer")
    ] = "rate",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what it would come to; write nothing")
    ] = False,
    approve: Annotated[
        bool, typer.Option("--approve", help="Go on with a night that is far off the usual")
    ] = False,
    db: Db = None,
    out: Annotated[Path | None, typer.Option("--out", help="Where the night's files go")] = None,
    config: ConfigFile = None,
    business_date: Today = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Take claims back and decide them anew by today's data, in a night of their own."""
    from adjudicator.load import ReferenceDataError
    from adjudicator.night import LockedError, NightError
    from adjudicator.programs import DataFileError
    from adjudicator.reprocess import ReprocessError, Selection, claim_number
    from adjudicator.reprocess import reprocess as again
    from adjudicator.store import StoreError

    settings = _config(config, db, out)
    day = _day(business_date, "--business-date") or settings.business_date or date.today()
    criteria = {"provider": provider, "first": _day(first, "--from"), "last": _day(last, "--to"),
                "edit": edit, "plan": plan}  # fmt: skip
    chosen = [
        bool(claims),
        bool(file),
        pended,
        any(v is not None for v in criteria.values()),
        disputes,
    ]
    if sum(chosen) != 1:
        _fail("name claims, or give --file, --pended, --disputes or a selection (--provider, "
              "--from, --to, --edit, --plan): one of these", USAGE)  # fmt: skip
    try:
        selection = None
        if claims:
            selection = Selection(tuple(dict.fromkeys(map(claim_number, claims))))
        elif chosen[3]:
            selection = Selection(**criteria)  # type: ignore[arg-type]
        done = again(settings, day, selection=selection, files=tuple(file or ()),
                     disputes=disputes, cause=cause, dry_run=dry_run, approve=approve)  # fmt: skip
    except LockedError as error:
        _fail(str(error), LOCKED)
    except (NightError, ReprocessError, StoreError, DataFileError, ReferenceDataError) as error:
        _fail(str(error))
    except OSError as error:
        place = Path(str(error.filename)).name if error.filename else "the file system"
        _fail(f"{place}: {error.strerror}; nothing is published, mend it and run again")
    typer.echo(json.dumps(done.as_json(), indent=2) if as_json else done.as_text())


@app.command()
def explain(
    claim: Annotated[str, typer.Argument(metavar="CLAIM", help="Claim number, or S<submission>")],
    line: Annotated[int | None, typer.Option("--line", help="One line only")] = None,
    db: Db = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Tell why a claim was decided as it was, with the sentence each decision rests on."""
    from adjudicator.explain import as_text
    from adjudicator.explain import explain as tell

    settings = _config(config, db)
    with _seeing(settings) as connection:
        told = tell(connection, claim, line, _programs(settings))
    _echo(as_json, told.as_json, lambda: as_text(told))


@app.command()
def publish(
    runs: Annotated[
        list[int], typer.Argument(metavar="RUN...", help="Numbers of runs that are committed")
    ],
    out: Annotated[Path | None, typer.Option("--out", help="Where the nights are")] = None,
    db: Db = None,
    config: ConfigFile = None,
) -> None:
    """Put the files of nights in place as they were committed; what is gone is rendered again."""
    settings = _config(config, db, out)
    from adjudicator.night import publish_again

    for run in runs:
        with _failing_in_a_line(_night_log(None)):
            summary = publish_again(settings, run)
        typer.echo(f"{settings.out / summary.folder}: in place, {len(summary.written):,} files")


@app.command()
def verify(
    out: Annotated[Path | None, typer.Option("--out", help="Where the nights are")] = None,
    db: Db = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Check all that was published, booked and done against each other. Exit 1: a fault."""
    from sqlalchemy.exc import DatabaseError

    from adjudicator.store import StoreError, open_store, reading
    from adjudicator.verify import verify as look

    settings = _config(config, db, out)
    try:
        with reading(open_store(settings.db, create=False)) as connection:
            found = look(connection, settings.out)
    except StoreError as error:
        _fail(str(error))
    except DatabaseError as error:
        _fail(f"the store can't be read: {error.orig}; restore it from the backup")
    typer.echo(json.dumps(found.as_json(), indent=2) if as_json else found.as_text())
    if found.faults:
        raise typer.Exit(FAILED)


@reference_app.command("load")
def reference_load(
    folder: Annotated[Path, typer.Argument(help="A folder of CSV, Parquet or CMS files")],
    db: Db = None,
    config: ConfigFile = None,
) -> None:
    """Load reference data: all of the folder or nothing."""
    from adjudicator.load import (
        ReferenceDataError,
        load_reference,
        read_reference,
        unread_files,
        versions,
    )  # fmt: skip
    from adjudicator.programs import DataFileError, load_benefit_categories, load_programs
    from adjudicator.reference_check import check_reference
    from adjudicator.store import StoreError, open_store

    settings = _config(config, db)
    try:
        programs = load_programs(settings.programs)
        with open_store(settings.db).begin() as connection:
            version = load_reference(connection, folder)
            _, tables = read_reference(connection, version)
            rows = versions(connection)[0].row_count
    except (DataFileError, ReferenceDataError, StoreError) as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"{error.filename}: can't be read: {error.strerror}")
    for name in unread_files(folder):
        typer.echo(f"note: {name} is no reference table and was not read", err=True)
    categories = {rule.category for rule in load_benefit_categories()}
    for found in check_reference(tables, programs, categories):
        typer.echo(f"{found.severity}: {found.sentence()}", err=True)
    typer.echo(f"reference version {version[:12]} is in force: {rows:,} rows")


@reference_app.command("list")
def reference_list(
    every: Annotated[bool, typer.Option("--all", help="All versions, the last first")] = False,
    db: Db = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Show the tables of the version in force: rows, first and last day, digest."""
    from adjudicator.coded import coding_ages
    from adjudicator.load import ReferenceDataError, read_coding_tables, table_facts, versions
    from adjudicator.store import StoreError, open_store, reading

    settings = _config(config, db)
    day = settings.business_date or date.today()
    try:
        with reading(open_store(settings.db, create=False)) as connection:
            version, tables = table_facts(connection)
            known = versions(connection) if every else []
            coding = read_coding_tables(connection, version)
    except (ReferenceDataError, StoreError) as error:
        _fail(str(error))
    ages = coding_ages(coding, day)
    if as_json:
        told: dict[str, Any] = {
            "version": version, "tables": [t._asdict() for t in tables], "coding_tables": ages,
        }  # fmt: skip
        if every:
            told["versions"] = [v._asdict() for v in known]
        typer.echo(json.dumps(told, indent=2))
        return
    typer.echo(f"reference version {version[:12]} is in force\n")
    typer.echo(f"  {'table':<24}{'rows':>10}  {'first day':<10}  {'last day':<10}  digest")
    for t in tables:
        last = "open" if t.open_count else t.last_date or "-"
        typer.echo(
            f"  {t.table:<24}{t.row_count:>10,}  {t.first_date or '-':<10}  {last:<10}  "
            f"{t.sha256[:12]}"
        )
    if ages:
        typer.echo(f"\n  correct coding tables on {day}")
    for each in ages:
        typer.echo(_wrapped(each, "", indent=4))
    if every:
        typer.echo(f"\n  {'version':<12}{'tables':>8}{'rows':>12}  changed by the load")
    for v in known:
        lead = f"  {v.version[:12]}{v.table_count:>8}{v.row_count:>12,}  "
        typer.echo(_wrapped(", ".join(v.changed) or "nothing", lead, indent=36))


def _is_there(url: str) -> bool:
    """Whether there is a store at all: a folder can be checked before there is one."""
    from sqlalchemy import make_url

    place = make_url(url)
    return place.get_backend_name() != "sqlite" or Path(str(place.database)).is_file()


@reference_app.command("check")
def reference_check(
    folder: Annotated[
        Path | None, typer.Argument(help="Checked before it is loaded; default: what is in force")
    ] = None,
    db: Db = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Look for overlaps, gaps, names that lead nowhere and unknown codes. Exit 1: an error."""
    from adjudicator.load import ReferenceDataError, current_version, read_reference
    from adjudicator.programs import DataFileError, load_benefit_categories, load_programs
    from adjudicator.reference_check import check_folder, check_reference
    from adjudicator.reports.text import counted
    from adjudicator.store import StoreError, open_store, reading

    settings = _config(config, db)
    tables: Any = {}
    try:
        programs = load_programs(settings.programs)
        categories = {rule.category for rule in load_benefit_categories()}
        if folder is None or _is_there(settings.db):
            with reading(open_store(settings.db, create=False)) as connection:
                if folder is None or current_version(connection):
                    _, tables = read_reference(connection)
        if folder is None:
            found = check_reference(tables, programs, categories)
        else:
            tables, found = check_folder(folder, tables, programs, categories)
    except (DataFileError, ReferenceDataError, StoreError) as error:
        _fail(str(error))
    errors = sum(f.severity == "error" for f in found)
    held = [t.height for t in tables.values() if t.height]
    if as_json:
        typer.echo(json.dumps({
            "tables": len(held), "rows": sum(held), "errors": errors, "notes": len(found) - errors,
            "findings": [f.as_json() for f in found],
        }, indent=2))  # fmt: skip
    else:
        for f in found:
            typer.echo(_wrapped(f.sentence(), f"{f.severity:<7}", indent=7))
            if f.places:
                typer.echo(_wrapped(f.where(), " " * 7, indent=7))
        typer.echo(
            f"{len(held)} tables, {sum(held):,} rows: {counted(errors, 'error')}, "
            f"{counted(len(found) - errors, 'note')}"
        )
    if errors:
        raise typer.Exit(FAILED)


@report_app.command("eop")
def report_eop(
    run: OfRun = None, first: From = None, last: To = None, payee: Payee = None,
    out: ReportOut = None, formats: Formats = None, db: Db = None, config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Explanation of Payment: every claim of each payee that was paid, denied or is pended."""
    _report("eop", run, (first, last), payee, out, formats, db, config, as_json)


@report_app.command("in-process")
def report_in_process(
    run: OfRun = None, first: From = None, last: To = None, payee: Payee = None,
    out: ReportOut = None, formats: Formats = None, db: Db = None, config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Summary of Claims in Process: every claim of each payee that is received and pended."""
    _report("in-process", run, (first, last), payee, out, formats, db, config, as_json)


@report_app.command("register")
def report_register(
    run: OfRun = None, first: From = None, last: To = None, payee: Payee = None,
    out: ReportOut = None, formats: Formats = None, db: Db = None, config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Payment register: payee, trace number, method, date, amount, claims (CSV and JSON)."""
    _report("register", run, (first, last), payee, out, formats, db, config, as_json)


@report_app.command("disputes")
def report_disputes(
    business_date: Today = None, kind: DisputeKind = None, out: ReportOut = None,
    formats: Formats = None, db: Db = None, config: ConfigFile = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Disputes that wait for a decision, or to be carried out, with their age (CSV and JSON)."""
    from adjudicator import dispute_desk as desk
    from adjudicator.reports.disputes import publish_disputes
    from adjudicator.reports.text import counted

    settings, day = _config(config, db, out), _day(business_date, "--business-date")
    wanted = _formats(formats, ("csv", "json"))
    _dispute_kind(kind)
    with _seeing(settings) as connection:
        day = day or desk.last_day(connection)
        found = desk.dispute_list(connection, today=day, kind=kind)
    try:
        written = publish_disputes(found, day, settings.out, wanted)
    except OSError as error:
        place = Path(str(error.filename)).name if error.filename else "the file system"
        _fail(f"{place}: {error.strerror}; what is written is whole, mend it and run again")
    if as_json:
        told = {"disputes": desk.list_as_json(found), "written": [str(p) for p in written]}
        typer.echo(json.dumps(told, indent=2))
        return
    typer.echo(desk.list_as_text(found))
    typer.echo(f"\n{counted(len(written), 'file')} in {written[0].parent}")


def _formats(formats: str | None, known: tuple[str, ...]) -> tuple[str, ...]:
    wanted = tuple(dict.fromkeys(formats.lower().split(","))) if formats else known
    for each in wanted:
        if each not in known:
            _fail(f"--format {each!r}: this report is made as {', '.join(known)}", USAGE)
    return wanted


def _report(
    name: str, run: int | None, days: tuple[str | None, str | None], payee: str | None,
    out: Path | None, formats: str | None, db: str | None, config: Path | None, as_json: bool,
) -> None:  # fmt: skip
    from adjudicator.load import ReferenceDataError
    from adjudicator.programs import DataFileError
    from adjudicator.reports.figures import ReportError, period
    from adjudicator.reports.publish import FORMATS, publish_documents, publish_register
    from adjudicator.reports.screen import as_text
    from adjudicator.store import StoreError, open_store, reading

    settings = _config(config, db, out)
    first, last = _day(days[0], "--from"), _day(days[1], "--to")
    if (first is None) != (last is None):
        _fail("--from and --to go together: give the first and the last day", USAGE)
    if run is not None and first is not None:
        _fail("--run and --from exclude each other: give one", USAGE)
    known = FORMATS if name != "register" else tuple(f for f in FORMATS if f != "pdf")
    wanted = _formats(formats, known)
    try:
        with reading(open_store(settings.db, create=False)) as connection:
            nights = period(connection, run, first, last)
            done = (
                publish_register(connection, nights, settings.out, wanted, payee)
                if name == "register"
                else publish_documents(
                    connection, name, nights, settings.out, wanted, payee, settings.programs
                )
            )
    except (ReportError, StoreError, DataFileError, ReferenceDataError) as error:
        _fail(str(error))
    except OSError as error:
        place = Path(str(error.filename)).name if error.filename else "the file system"
        _fail(f"{place}: {error.strerror}; what is written is whole, mend it and run again")
    typer.echo(json.dumps(done.as_json(), indent=2) if as_json else as_text(done))


@pends_app.command("list")
def pends_list(
    code: Annotated[str | None, typer.Option("--code", help="Of one pend code")] = None,
    owner: Annotated[str | None, typer.Option("--owner", help="Of one work queue")] = None,
    overdue: Annotated[bool, typer.Option("--overdue", help="Past their last day")] = False,
    business_date: Today = None, db: Db = None, config: ConfigFile = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """List what waits: claim, pend, age in days, since when, last day, work queue."""
    from adjudicator import pend_desk as desk

    settings, day = _config(config, db), _day(business_date, "--business-date")
    with _seeing(settings) as connection:
        found = desk.pends_list(connection, today=day, code=code, owner=owner, overdue=overdue)
    _echo(as_json, lambda: desk.list_as_json(found), lambda: desk.list_as_text(found))


@pends_app.command("show")
def pends_show(
    claim: ClaimNumber, business_date: Today = None, db: Db = None, config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Show what one claim waits for, what may be decided of it, and what each night saw."""
    from adjudicator import pend_desk as desk

    settings, day = _config(config, db), _day(business_date, "--business-date")
    programs = _programs(settings)
    with _seeing(settings) as connection:
        shown = desk.pends_show(connection, claim, programs, day)
    _echo(as_json, shown.as_json, lambda: desk.show_as_text(shown))


@pends_app.command("release")
def pends_release(
    claim: ClaimNumber,
    finding: Annotated[str, typer.Option("--finding", help="The edit whose pend is passed")],
    note: Note, who: Who, business_date: Today = None, db: Db = None, config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Pass one edit's pend of a claim from the next night on; all others are asked again."""
    _act("release", claim, finding, note, who, business_date, db, config, as_json)


@pends_app.command("deny")
def pends_deny(
    claim: ClaimNumber,
    carc: Annotated[str, typer.Option("--carc", help="One that `pends show` lists")],
    note: Note, who: Who, business_date: Today = None, db: Db = None, config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Deny what waits of a claim from the next night on."""
    _act("deny", claim, carc, note, who, business_date, db, config, as_json)


def _act(
    name: str, claim: str, what: str, note: str, who: str, business_date: str | None,
    db: str | None, config: Path | None, as_json: bool,
) -> None:  # fmt: skip
    from adjudicator import pend_desk as desk

    settings = _config(config, db)
    said = _said(settings, note, who, business_date)
    act = desk.release if name == "release" else desk.deny
    programs = _programs(settings)
    with _acting(settings) as connection:
        done = act(connection, claim, what, programs=programs, **said)
    _echo(as_json, done.as_json, done.as_text)


@dispute_app.command("file")
def dispute_file(
    claim: ClaimNumber, note: Note, who: Who,
    kind: Annotated[
        str, typer.Option("--kind", help="filing, authorization, notification or payment")
    ],
    received: Annotated[
        str | None, typer.Option("--received", help="The day it came; default the business date")
    ] = None,
    form: Annotated[bool, typer.Option("--form", help="The review form came, completed")] = False,
    letter: Annotated[
        bool, typer.Option("--letter", help="A letter: why it was beyond the provider's control")
    ] = False,
    proof: Annotated[
        list[str] | None,
        typer.Option("--proof", metavar="KIND:DATE", help="A document and its date; repeatable"),
    ] = None,
    by: Annotated[str, typer.Option("--by", help="mail, email, online or edi")] = "mail",
    claims: Annotated[int, typer.Option("--claims", help="How many claims the form names")] = 1,
    business_date: Today = None, out: LetterOut = None, db: Db = None, config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Take a dispute of one claim in: received, or returned with all that is wrong with it."""
    from adjudicator import dispute_desk as desk
    from adjudicator.disputes import CHANNELS, Request

    _dispute_kind(kind)
    if by not in CHANNELS:
        _fail(f"--by {by!r}: give {', '.join(CHANNELS)}", USAGE)
    documents = []
    for each in proof or ():
        name, _, day = each.partition(":")
        documents.append((name, _day(day, f"--proof {name}:") or date.min))
    came = _day(received, "--received")

    def act(connection: Any, facts: dict[str, Any]) -> Any:
        request = Request(
            kind,
            came or facts["made"],
            form,
            letter,
            tuple(documents),
            by,
            claims,
        )
        return desk.file(connection, claim, request, **facts)

    _dispute(act, note, who, business_date, out, db, config, as_json)


@dispute_app.command("list")
def dispute_list(
    every: Annotated[bool, typer.Option("--all", help="Those that are closed too")] = False,
    kind: DisputeKind = None, business_date: Today = None, db: Db = None,
    config: ConfigFile = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """List disputes that wait for a decision, or to be carried out, the oldest first."""
    from adjudicator import dispute_desk as desk

    settings, day = _config(config, db), _day(business_date, "--business-date")
    _dispute_kind(kind)
    with _seeing(settings) as connection:
        found = desk.dispute_list(connection, today=day, every=every, kind=kind)
    _echo(as_json, lambda: desk.list_as_json(found), lambda: desk.list_as_text(found))


@dispute_app.command("show")
def dispute_show(
    dispute: DisputeNumber, business_date: Today = None, db: Db = None, config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Show one dispute: what it disputes, what came, what may be waived, what became of it."""
    from adjudicator import dispute_desk as desk

    settings, day = _config(config, db), _day(business_date, "--business-date")
    programs = _programs(settings)
    with _seeing(settings) as connection:
        shown = desk.dispute_show(connection, desk.read_number(dispute), programs, day)
    _echo(as_json, shown.as_json, lambda: desk.show_as_text(shown))


@dispute_app.command("uphold")
def dispute_uphold(
    dispute: DisputeNumber, note: Note, who: Who, business_date: Today = None,
    out: LetterOut = None, db: Db = None, config: ConfigFile = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """The claim stays as it was decided; the note stands in the letter."""
    from adjudicator import dispute_desk as desk

    def act(connection: Any, facts: dict[str, Any]) -> Any:
        return desk.uphold(connection, desk.read_number(dispute), **facts)

    _dispute(act, note, who, business_date, out, db, config, as_json)


@dispute_app.command("overturn")
def dispute_overturn(
    dispute: DisputeNumber, note: Note, who: Who,
    waive: Annotated[
        list[str] | None,
        typer.Option("--waive", metavar="EDIT", help="Passed; default what it disputes"),
    ] = None,
    business_date: Today = None, out: LetterOut = None, db: Db = None, config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """The claim is decided anew by the next `reprocess`; the note stands in the letter."""
    from adjudicator import dispute_desk as desk

    def act(connection: Any, facts: dict[str, Any]) -> Any:
        return desk.overturn(connection, desk.read_number(dispute), waive=waive or (), **facts)

    _dispute(act, note, who, business_date, out, db, config, as_json)


@dispute_app.command("letters")
def dispute_letters(
    dispute: DisputeNumber, out: LetterOut = None, db: Db = None, config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Write the letters of a dispute again, as they were."""
    from adjudicator import dispute_desk as desk
    from adjudicator.reports.dispute_letters import FOLDER, letter_pdf
    from adjudicator.reports.publish import write_files

    settings = _config(config, db, out)
    with _seeing(settings) as connection:
        found = desk.letters(connection, desk.read_number(dispute))
    try:
        written = write_files(settings.out / FOLDER, [(n, letter_pdf(x)) for n, x in found])
    except OSError as error:
        _fail(f"{settings.out / FOLDER}: {error.strerror}; mend it and run again")
    names = [str(path) for path in written]
    _echo(as_json, lambda: {"written": names}, lambda: "\n".join(names))


def _dispute_kind(kind: str | None) -> None:
    from adjudicator.disputes import KINDS

    if kind is not None and kind not in KINDS:
        _fail(f"--kind {kind!r}: give {', '.join(KINDS)}", USAGE)


def _dispute(
    act: Callable[[Any, dict[str, Any]], Any], note: str, who: str, business_date: str | None,
    out: Path | None, db: str | None, config: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """An act on a dispute, under the lock, and its letter once it is kept."""
    from adjudicator.load import read_reference
    from adjudicator.night import LockedError, holding
    from adjudicator.reports.dispute_letters import FOLDER, letter_pdf
    from adjudicator.reports.publish import write_files

    settings = _config(config, db, out)
    facts = _said(settings, note, who, business_date)
    facts["programs"] = _programs(settings)
    try:
        with _acting(settings, holding(settings.db)) as connection:
            facts["payees"] = read_reference(connection)[1]["payees"]
            done = act(connection, facts)
            letter = letter_pdf(done.letter)
    except LockedError as error:
        _fail(f"{error}; nothing is kept", LOCKED)
    try:
        write_files(settings.out / FOLDER, [(done.letter_name, letter)])
    except OSError as error:
        _fail(
            f"{settings.out / FOLDER}: {error.strerror}; the act is kept, `adjudicate dispute "
            f"letters D{done.dispute_number}` writes its letter"
        )
    _echo(as_json, done.as_json, done.as_text)


@payments_app.command("list")
def payments_list(
    payee: Payee = None,
    program: Annotated[str | None, typer.Option("--program", help="Of one program")] = None,
    run: Annotated[int | None, typer.Option("--run", help="Of one run; default all")] = None,
    db: Db = None, config: ConfigFile = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """List payments, the last first: brought forward, carried forward, paid; and what is open."""
    from adjudicator import payment_desk as desk

    with _seeing(_config(config, db)) as connection:
        found = desk.payments_list(connection, payee_id=payee, program_code=program, run_id=run)
    _echo(as_json, found.as_json, lambda: desk.list_as_text(found))


@payments_app.command("show")
def payments_show(
    payment: Annotated[str, typer.Argument(metavar="TRACE", help="Trace number")],
    db: Db = None, config: ConfigFile = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Show one payment: its claims, what it carries beside them, what it paid."""
    from adjudicator import payment_desk as desk

    with _seeing(_config(config, db)) as connection:
        shown = desk.payments_show(connection, payment)
    _echo(as_json, shown.as_json, lambda: desk.show_as_text(shown))


@payments_app.command("adjust")
def payments_adjust(
    payee: Annotated[str, typer.Argument(metavar="PAYEE", help="Payee, by its key")],
    amount: Annotated[str, typer.Argument(metavar="AMOUNT", help="To take, as 250.00")],
    note: Note, who: Who,
    reason: Annotated[
        str, typer.Option("--reason", help="WO: recovery of an overpayment; CS: another")
    ] = "WO",
    program: Annotated[
        str | None, typer.Option("--program", help="Whose money; needed where a payee has several")
    ] = None,
    reference: Annotated[
        str | None, typer.Option("--reference", help="What the payee is told it is about")
    ] = None,
    business_date: Today = None, db: Db = None, config: ConfigFile = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Take an amount from a payee's next payments, until all of it is recovered."""
    from adjudicator import payment_desk as desk
    from adjudicator.load import read_reference

    settings = _config(config, db)
    said = _said(settings, note, who, business_date)
    programs = _programs(settings)
    with _acting(settings) as connection:
        _, tables = read_reference(connection)
        done = desk.adjust(
            connection, payee, desk.amount_of(amount), reason=reason, programs=programs,
            payees=tables["payees"], contracts=tables["contracts"], program_code=program,
            reference=reference, **said,
        )  # fmt: skip
    _echo(as_json, done.as_json, done.as_text)


@db_app.command("upgrade")
def db_upgrade(db: Db = None, config: ConfigFile = None) -> None:
    """Bring the store to this program's revision."""
    from adjudicator.store import HEAD, StoreError, connect, upgrade

    try:
        upgrade(connect(_config(config, db).db))
    except StoreError as error:
        _fail(str(error))
    typer.echo(f"the store is at revision {HEAD}")


@db_app.command("roles")
def db_roles(
    owner: Annotated[str, typer.Option("--owner", help="Owns the tables; upgrades")] = OWNER_ROLE,
    application: Annotated[
        str, typer.Option("--application", help="Runs nights; changes no ledger or audit row")
    ] = APPLICATION_ROLE,
    reader: Annotated[str, typer.Option("--reader", help="Only reads")] = READER_ROLE,
) -> None:
    """Print the SQL that makes PostgreSQL's three roles and gives each its rights."""
    from adjudicator.store import StoreError
    from adjudicator.store.roles import roles_sql

    try:
        typer.echo(roles_sql(owner, application, reader), nl=False)
    except StoreError as error:
        _fail(str(error), USAGE)


if __name__ == "__main__":
    main()
