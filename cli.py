"""The command line: adjudicate run, check, explain, reference load, db upgrade."""

from __future__ import annotations

import json
import os
import sys
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from adjudicator.night import Summary
    from schemas.config import Config

FAILED, USAGE, LOCKED = 1, 2, 75
TRACE = "ADJUDICATE_TRACE"

app = typer.Typer(
    name="adjudicate",
    help="Adjudicate health claims: 837 in, balanced 835 and an explanation of every cent out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
reference_app = typer.Typer(help="Reference data: members, providers, contracts, fees.",
                            no_args_is_help=True)  # fmt: skip
db_app = typer.Typer(help="The store.", no_args_is_help=True)
app.add_typer(reference_app, name="reference")
app.add_typer(db_app, name="db")

Db = Annotated[str | None, typer.Option("--db", help="Store URL; default sqlite:///adjudicator.db")]
ConfigFile = Annotated[Path | None, typer.Option("--config", help="Configuration, YAML")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table")]


def main() -> None:
    """Run the command line; every failure is one line on standard error."""
    try:
        code = app(standalone_mode=False, prog_name="adjudicate")
        raise SystemExit(code if isinstance(code, int) else 0)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(FAILED) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except Exception as fault:
        if hasattr(fault, "format_message"):  # an option or argument that is not as it should be
            told = " ".join(str(fault.format_message()).split())
            command = getattr(getattr(fault, "ctx", None), "command_path", "adjudicate")
            if told:  # else the help was asked for by saying nothing
                told = told if told.endswith(".") else f"{told}."
                typer.echo(f"adjudicate: {told} See '{command} --help'", err=True)
            raise SystemExit(USAGE) from None
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
        raise SystemExit(FAILED) from None


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


def _day(text: str | None, name: str) -> date | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        _fail(f"{name} {text!r} is not a date; write it as 2025-11-15", USAGE)


@app.command()
def run(
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
    as_json: AsJson = False,
) -> None:
    """Do one night: take the claims in, decide all that waits, publish 835s and reports."""
    from adjudicator.load import ReferenceDataError
    from adjudicator.night import LockedError, NightError, Order, run_night
    from adjudicator.programs import DataFileError
    from adjudicator.store import StoreError

    settings = _config(config, db, out)
    day = _day(business_date, "--business-date") or settings.business_date or date.today()
    order = Order(
        tuple(inputs), settings, day, _day(received, "--received") or day, accept_test=accept_test
    )
    try:
        summary = run_night(order, _progress)
    except LockedError as error:
        _fail(str(error), LOCKED)
    except (NightError, StoreError, DataFileError, ReferenceDataError) as error:
        _fail(str(error))
    except OSError as error:
        place = Path(str(error.filename)).name if error.filename else "the file system"
        _fail(f"{place}: {error.strerror}; nothing is published, mend it and run again")
    if as_json:
        typer.echo(json.dumps(summary.as_json(), indent=2, sort_keys=True))
    else:
        _print_summary(summary, settings.out)


def _progress(step: str) -> None:
    if sys.stderr.isatty():
        typer.echo(f"\r\033[K{step} …" if step != "publish" else "\r\033[K", err=True, nl=False)


def _print_summary(summary: Summary, out: Path) -> None:
    from adjudicator.explain import money

    typer.echo(f"Night of {summary.business_date} (run {summary.run_id})\n")
    typer.echo(f"  {'':<18}{'claims':>10}{'charges':>18}")
    for name, figures in summary.counts.items():
        typer.echo(
            f"  {name.replace('_', ' '):<18}{figures['count']:>10,}"
            f"{money(figures['charge_amount']):>18}"
        )
    typer.echo(f"\n  paid to providers {money(summary.paid_amount):>28}\n")
    for f in summary.files:
        extra = f", {f.rejected_count} rejected" if f.rejected_count else ""
        typer.echo(f"  {f.verdict:<9} {f.name}: {_claims(f.claim_count)}{extra}")
        for reason in f.reasons:
            typer.echo(_wrapped(reason))
    for plan in summary.illustrative:
        typer.echo(_wrapped(f"{plan} has illustrative figures: the source gives none", "  note"))
    typer.echo(f"\n  {len(summary.written)} files in {out / summary.folder}")


def _claims(count: int) -> str:
    return f"{count:,} claim" if count == 1 else f"{count:,} claims"


def _wrapped(text: str, lead: str = "") -> str:
    import textwrap

    return textwrap.fill(
        text, 80, initial_indent=f"{lead:<12}", subsequent_indent=" " * 12, break_on_hyphens=False
    )


@app.command()
def check(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="837 files")],
    as_json: AsJson = False,
) -> None:
    """Check syntax and mandatory fields: no store, nothing adjudicated. Exit 1: something found."""
    from adjudicator.check import check_files

    try:
        findings = check_files(files)
    except OSError as error:
        _fail(f"{error.filename}: can't be read: {error.strerror}")
    if as_json:
        typer.echo(json.dumps(findings.as_json(), indent=2))
    else:
        typer.echo(findings.as_text())
    if findings.rows:
        raise typer.Exit(FAILED)


@app.command()
def explain(
    claim: Annotated[str, typer.Argument(metavar="CLAIM", help="Claim number, or S<submission>")],
    line: Annotated[int | None, typer.Option("--line", help="One line only")] = None,
    db: Db = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Tell why a claim was decided as it was, with the sentence each decision rests on."""
    from adjudicator.explain import UnknownClaimError, as_text
    from adjudicator.explain import explain as tell
    from adjudicator.store import StoreError, open_store, reading

    settings = _config(config, db)
    try:
        with reading(open_store(settings.db, create=False)) as connection:
            told = tell(connection, claim, line)
    except (UnknownClaimError, StoreError) as error:
        _fail(str(error))
    typer.echo(json.dumps(told.as_json(), indent=2) if as_json else as_text(told))


@reference_app.command("load")
def reference_load(
    folder: Annotated[Path, typer.Argument(help="A folder of CSV, Parquet or CMS files")],
    db: Db = None,
    config: ConfigFile = None,
) -> None:
    """Load reference data: all of the folder or nothing."""
    from adjudicator.load import (
        ReferenceDataError,
        check_reference,
        load_reference,
        read_reference,
        unread_files,
    )
    from adjudicator.store import StoreError, open_store

    settings = _config(config, db)
    try:
        with open_store(settings.db).begin() as connection:
            version = load_reference(connection, folder)
            _, tables = read_reference(connection, version)
    except (ReferenceDataError, StoreError) as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"{error.filename}: can't be read: {error.strerror}")
    for name in unread_files(folder):
        typer.echo(f"note: {name} is no reference table and was not read", err=True)
    for problem in check_reference(tables):
        typer.echo(f"note: {problem}", err=True)
    rows = sum(table.height for table in tables.values())
    typer.echo(f"reference version {version[:12]} is in force: {rows:,} rows")


@db_app.command("upgrade")
def db_upgrade(db: Db = None, config: ConfigFile = None) -> None:
    """Bring the store to this program's revision."""
    from adjudicator.store import HEAD, StoreError, connect, upgrade

    try:
        upgrade(connect(_config(config, db).db))
    except StoreError as error:
        _fail(str(error))
    typer.echo(f"the store is at revision {HEAD}")


if __name__ == "__main__":
    main()
