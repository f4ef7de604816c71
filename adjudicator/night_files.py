"""The files of a night, as they are written: when it is decided, and when it is rendered again."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import polars as pl

from adjudicator import store
from adjudicator.disk import sync
from adjudicator.remittance import Remittance
from edi.apart import Apart, ApartError
from edi.balance import check_files
from edi.write_835 import write_835

PIECES = 8  # in which a large night's 835s are written
PIECE_CLAIMS = 3_000  # below it a piece costs more to begin than is gained by checking it sooner
ALONE_CLAIMS = 3_000  # fewer are checked sooner than another process is begun


def file_names(payments: pl.DataFrame) -> dict[str, int]:
    """By the name of its 835 in the night's folder, each ``payment_id``."""
    return {
        f"835/{program}-{payment:09d}.835": payment
        for payment, program in payments.select("payment_id", "program_code").iter_rows()
    }


def balancing_apart(claim_count: int) -> AbstractContextManager[Apart | None]:
    """Another process to check 835s in: that is Python's work, and so is inserting."""
    if claim_count < ALONE_CLAIMS or (os.cpu_count() or 1) < 2:
        return nullcontext()
    return Apart("edi.balance")


def write_835s(
    folder: Path, remittances: Iterable[Remittance], names: Mapping[str, int], apart: Apart | None
) -> Mapping[str, Sequence[str]]:
    """Writes the 835s, and recomputes every total from the written bytes by independent code.
    Returns what is wrong."""
    files = {payment: (folder / name).resolve() for name, payment in names.items()}
    checking: list[tuple[list[Path], Future[dict[str, list[str]]] | None]] = []
    for remittance in remittances:
        # some are checked while the next are written
        count = min(remittance.claims.height // PIECE_CLAIMS, PIECES) if apart else 1
        for piece in remittance.in_pieces(count):
            written = []
            for payment, document in write_835(*vars(piece).values()).items():
                write(files[payment], document, synced=False)
                written.append(files[payment])
            checked = None if apart is None else apart.submit(check_files, written)
            checking.append((written, checked))
            for path in written:
                sync(path)
    wrong: dict[str, list[str]] = {}
    for written, checked in checking:
        try:
            wrong |= check_files(written) if checked is None else checked.result()
        except ApartError:  # then it is done here
            wrong |= check_files(written)
    return wrong


def answers_by_name(run_id: int, answers: Iterable[store.DueAnswer]) -> dict[str, store.DueAnswer]:
    """By their names in the night's folder, the answers to files of it and of earlier nights."""
    due = {}
    for one in answers:
        earlier = "" if one.run_id == run_id else f"run-{one.run_id:06d}-"
        due[f"acks/{earlier}{one.receipt_position + 1:04d}-{one.name}"] = one
    return due


def write_answers(folder: Path, answers: Mapping[str, store.DueAnswer]) -> None:
    """Writes what senders are answered."""
    for name, one in answers.items():
        write(folder / name, one.document())


def summary_text(told: Mapping[str, Any]) -> bytes:
    """A night's figures as ``summary.json``."""
    return _as_json(told)


def manifest_text(
    run_id: int, reference_version: str, trail: tuple[int, str], files: Sequence[store.Published]
) -> bytes:
    """``manifest.json`` over the other files. ``trail``: number and hash of the audit row that the
    night was decided with."""
    number, head = trail
    return _as_json(
        {
            "run_id": run_id,
            "reference": reference_version,
            "audit": {"sequence_number": number, "hash": head},
            "files": {f.name: f.sha256 for f in files},
        }
    )


def _as_json(told: Mapping[str, Any]) -> bytes:
    return (json.dumps(told, indent=2, sort_keys=True) + "\n").encode()


def write(path: Path, content: bytes, *, synced: bool = True) -> None:
    """Writes a file that is not there yet, and has it on disk where it is ``synced``; its folder is
    made."""
    if not path.parent.is_dir():  # an error of making it is one, then
        path.parent.mkdir(exist_ok=True)
    with path.open("xb") as handle:
        handle.write(content)
        handle.flush()
        if synced:
            os.fsync(handle.fileno())


def sync_folder(folder: Path) -> None:
    """Has the names of all files below a folder on disk."""
    for path in [folder, *(p for p in folder.rglob("*") if p.is_dir())]:
        sync(path)
