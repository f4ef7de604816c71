"""Reports onto disk: each file whole or not at all, for its owner alone, the same each time."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, islice
from pathlib import Path
from typing import Any

import polars as pl
from sqlalchemy import Connection

from adjudicator.disk import sync, write_whole
from adjudicator.load import read_reference
from adjudicator.programs import load_adjustment_codes, load_message_codes, load_programs
from adjudicator.reports.documents import METHODS, Document, Setting, Words, as_csv, documents
from adjudicator.reports.figures import (
    REGISTER_BESIDE,
    Figures,
    Period,
    ReportError,
    claims_in_process,
    explanation_of_payment,
    payment_register,
)
from adjudicator.reports.pdf import as_pdf
from adjudicator.reports.text import csv_text
from edi.apart import Apart, ApartError

FORMATS = ("pdf", "csv", "json")
BATCH = 1_000  # documents held at once
APART_SIZE = 2_000_000  # of JSON; below it a second process costs more than it saves
TAGGED_LINES = 200  # a longer PDF is not tagged: 5 kB a line instead of 0.4
NO_PAYEE = "no-payee"

# the title stands at the top of the barred section (001:2175-2176)
REPORTS: dict[str, tuple[str, Callable[[Connection, Period, str | None], Figures]]] = {
    "eop": ("Explanation of Payment", explanation_of_payment),
    "in-process": ("Summary of Claims in Process", claims_in_process),
}


@dataclass
class Published:
    """What a report came to: counts, cents, and the files by their names in ``folder``."""

    report: str
    nights: Period
    folder: Path
    document_count: int = 0
    totals: dict[str, int] = field(default_factory=dict)
    written: list[str] = field(default_factory=list)
    payments: list[dict[str, Any]] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return {
            "report": self.report,
            "run_ids": list(self.nights.run_ids),
            "first_date": self.nights.first_date.isoformat(),
            "last_date": self.nights.last_date.isoformat(),
            "folder": str(self.folder),
            "document_count": self.document_count,
            **self.totals,
            **({"payments": self.payments} if self.report == "register" else {}),
            "written": self.written,
        }


def publish_documents(
    connection: Connection, report: str, nights: Period, out: Path, formats: Sequence[str],
    payee_id: str | None = None, programs: Path | None = None,
) -> Published:  # fmt: skip
    """Writes the ``report`` (eop or in-process) of every payee, or of one, into ``out``/report.

    Raises ReportError where the payee has nothing, or the figures don't add up.
    """
    title, figures_of = REPORTS[report]
    _, tables = read_reference(connection)
    words = Words(load_adjustment_codes(), load_message_codes())
    setting = Setting(title, nights, load_programs(programs), tables["payees"], words)
    figures = figures_of(connection, nights, payee_id)
    if payee_id is not None and not figures.claims.height and not figures.payments.height:
        raise ReportError(f"payee {payee_id} has no claim here; check its id in the payees table")
    done = Published(report, nights, out / report)
    folder = _made(done.folder)
    status = figures.claims["status"]
    done.totals = {
        "claim_count": figures.claims.height,
        **{f"{s}_count": int((status == s).sum()) for s in ("paid", "prepaid", "denied")},
        "pended_count": int((status == "pended").sum()),
        "paid_amount": int(figures.payments["payment_amount"].sum()),
    }
    seen: set[str] = set()
    made = documents(figures, setting)
    while batch := [(_stem(d, nights, seen), _json(d)) for d in islice(made, BATCH)]:
        _render_all(folder, batch, formats)
        done.document_count += len(batch)
        done.written += [f"{stem}.{kind}" for stem, _ in batch for kind in formats]
    sync(folder)
    return done


def publish_register(
    connection: Connection, nights: Period, out: Path, formats: Sequence[str],
    payee_id: str | None = None,
) -> Published:  # fmt: skip
    """Writes the payment register of the nights into ``out``/register: CSV, JSON."""
    payments = payment_register(connection, nights, payee_id)
    _, tables = read_reference(connection)
    named = payments.join(
        tables["payees"].select("payee_id", payee_name="name"), on="payee_id", how="left",
        maintain_order="left",
    ).select(
        "trace_number", "payee_id", "payee_name", "program_code", "payment_method_code",
        pl.col("payment_method_code").replace_strict(METHODS, default="").alias("payment_method"),
        "payment_date", "claim_count", "payment_amount", "file_name", "claims_amount",
        *REGISTER_BESIDE,
    )  # fmt: skip
    named = named.with_columns(pl.col("payment_date").cast(pl.String))
    done = Published("register", nights, out / "register", payments=named.to_dicts())
    done.totals = {
        "payment_count": named.height,
        "claim_count": int(named["claim_count"].sum()),
        "payment_amount": int(named["payment_amount"].sum()),
        **{name: int(named[name].sum()) for name in ("claims_amount", *REGISTER_BESIDE)},
    }
    document = {
        "report": "Payment Register",
        "run_ids": list(nights.run_ids),
        "first_date": nights.first_date.isoformat(),
        "last_date": nights.last_date.isoformat(),
        "payments": done.payments,
        "totals": done.totals,
    }
    folder, stem = _made(done.folder), f"payments-{nights.label}"
    contents = {"csv": lambda: csv_text(named), "json": lambda: _json(document).encode()}
    for kind in formats:
        write_whole(folder / f"{stem}.{kind}", contents[kind]())
        done.written.append(f"{stem}.{kind}")
    sync(folder)
    return done


# ---- documents -------------------------------------------------------------------------------


def _render_all(folder: Path, batch: Sequence[tuple[str, str]], formats: Sequence[str]) -> None:
    """Renders and writes; half of a large batch in a process of its own."""
    until = list(accumulate(len(text) for _, text in batch))
    half = sum(1 for size in until if 2 * size < until[-1])
    if until[-1] < APART_SIZE or "pdf" not in formats or (os.cpu_count() or 1) < 2:
        render(folder, batch, formats)
        return
    with Apart() as apart:
        rest = apart.submit(render, folder.resolve(), batch[half:], formats)
        render(folder, batch[:half], formats)
        try:
            rest.result()
        except ApartError:
            render(folder, batch[half:], formats)


def render(folder: Path, batch: Iterable[tuple[str, str]], formats: Sequence[str]) -> None:
    """Writes each document (file name without its end, JSON text) in each format."""
    for stem, text in batch:
        for kind, content in _contents(text, formats):
            write_whole(folder / f"{stem}.{kind}", content)


def _contents(text: str, formats: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    document = json.loads(text)
    parts = (*document["payments"], document["in_process"])
    line_count = sum(len(claim["lines"]) for part in parts for claim in part["claims"])
    for kind in formats:
        if kind == "pdf":
            yield kind, as_pdf(text, tagged=line_count <= TAGGED_LINES)
        else:
            yield kind, as_csv(document) if kind == "csv" else text.encode()


def _json(document: Document) -> str:
    return json.dumps(document, ensure_ascii=False) + "\n"


def _stem(document: Document, nights: Period, seen: set[str]) -> str:
    """A file's name without its end: program, payee and night. A payee's key is the payer's own
    and may hold anything: what isn't plain, or differs in its case alone, gets a digest."""
    key = document["payee"]["payee_id"]
    name = NO_PAYEE if key is None else re.sub(r"[^A-Za-z0-9-]", "_", key)[:40]
    plain = key is None or (name == key and key != NO_PAYEE)
    stem = f"{document['program_code']}-{name}"
    if not plain or stem.lower() in seen:
        stem += f"-{hashlib.sha256(str(key).encode()).hexdigest()[:8]}"
    seen.add(stem.lower())
    return f"{stem}-{nights.label}"


# ---- files -----------------------------------------------------------------------------------


def write_files(folder: Path, files: Iterable[tuple[str, bytes]]) -> list[Path]:
    """Writes files of these names and contents into a folder, which is made; their paths."""
    _made(folder)
    written = []
    for name, content in files:
        write_whole(folder / name, content)
        written.append(folder / name)
    sync(folder)
    return written


def _made(folder: Path) -> Path:
    os.umask(0o077)
    folder.mkdir(parents=True, exist_ok=True)
    return folder
