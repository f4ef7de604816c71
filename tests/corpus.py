"""docs/corpus.md: what becomes of every file of the shared corpus. Nothing of a file is shown.

    python -m tests.corpus

writes the page anew; tests/test_corpus.py fails where it is stale.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import polars as pl

from adjudicator.check import read_checked
from edi.guide import GUIDES, Guide
from edi.read_file import FileReading
from schemas.config import Config
from tests.mutate import CORPUS

PAGE = Path(__file__).resolve().parents[1] / "docs" / "corpus.md"
HEAD = """\
# What becomes of real files

Files made by others, most of them samples of open-source projects, as `adjudicate check` reads
them: whether each is read, and why not. A claim is *accepted* where neither its syntax nor its
mandatory fields (docs/forms.md) have a fault, and *rejected* where one has; the claims of a set
that is refused as a whole are *refused* with it. Every claim is in one of the three, and a file
costs nothing of the files beside it.

Test files (ISA15 T) are read here like any other; `adjudicate run` refuses them without
`--accept-test`. Written by `python -m tests.corpus`.

"""
REASONS_SHOWN = 3


@dataclass(frozen=True)
class Told:
    """One file's row."""

    name: str
    kind: str
    claims: int
    accepted: int
    rejected: int
    refused: int
    reasons: tuple[str, ...]

    @property
    def verdict(self) -> str:
        if self.claims and self.accepted == self.claims:
            return "accepted"
        if self.accepted:
            return "in part"
        return "rejected" if self.rejected else "refused"


def files() -> list[Path]:
    """Every file of the corpus; not its lists."""
    return [p for p in sorted(CORPUS.rglob("*")) if p.is_file() and p.suffix != ".tsv"]


def tell(path: Path) -> Told:
    """What becomes of one file."""
    reading, findings, _ = read_checked(path, Config(), answered=False)
    findings = findings.filter(pl.col("disposition") == "reject")
    rejected = findings["claim_id"].n_unique()
    data = path.read_bytes()
    claims = sum(_claims_of(data, reading))
    reasons: Counter[str] = Counter()
    for o in reading.objections.iter_rows(named=True):
        where = f"{o['loop']} {o['reference'] or o['segment']}".strip()
        reasons[f"{where}: {o['text']}" if where else o["text"]] += 1
    for reason in reading.sets.filter(verdict="refused")["reason"]:
        reasons[_without_place(reason, reasons)] += 1
    if not claims and not reasons:
        reasons["it holds no claim"] += 1
    for text, edit in findings.select("inputs", "edit").iter_rows():
        inputs = json.loads(text)
        if edit != "syntax":
            reasons[inputs["cause"]] += 1
    return Told(
        _name(path), _kind(reading), claims, reading.claim_count - rejected, rejected,
        claims - reading.claim_count, tuple(reasons),
    )  # fmt: skip


def _claims_of(data: bytes, reading: FileReading) -> Iterator[int]:
    """CLM segments of each interchange, counted in the bytes: nothing read decides it."""
    found = reading.envelope.interchanges
    ends = [*(i.start for i in found[1:]), len(data)][: len(found)]
    for one, end in zip(found, ends, strict=True):
        text = data[one.start : end].decode("latin-1")
        pieces = text.split(one.delimiters.terminator)
        clm = f"CLM{one.delimiters.element}"
        yield sum(p.lstrip("\r\n").startswith(clm) for p in pieces)


def _without_place(reason: str, told: Counter[str]) -> str:
    """A set's reason in the words of the objection that it is made of, where there is one."""
    _, _, text = reason.partition(": ")
    return next((r for r in told if text and r.endswith(text)), reason)


def _name(path: Path) -> str:
    """Project and file name."""
    project = path.relative_to(CORPUS).parts[0].replace("__", "/")
    return f"{project}: {path.name}"


def _kind(reading: FileReading) -> str:
    codes = [g.guide_code for i in reading.envelope.interchanges for g in i.groups]
    kinds = [
        f"{GUIDES[c][0]} {c}" if c in GUIDES else c
        for c in dict.fromkeys(codes)
        if re.fullmatch("[0-9]{6}(X[0-9]{3}([A-Z][0-9])?)?", c)
    ]
    return ", ".join(kinds) or "-"


@cache
def everything() -> tuple[Told, ...]:
    return tuple(tell(path) for path in files())


def page() -> str:
    told = everything()
    counts = Counter(t.verdict for t in told)
    lines = [
        HEAD,
        "| verdict | files | claims | accepted | rejected | refused |\n",
        "| --- | ---: | ---: | ---: | ---: | ---: |\n",
    ]
    for verdict in ("accepted", "in part", "rejected", "refused"):
        of = [t for t in told if t.verdict == verdict]
        sums = (
            sum(getattr(t, n) for t in of) for n in ("claims", "accepted", "rejected", "refused")
        )
        lines.append(f"| {verdict} | {counts[verdict]} | {' | '.join(map(str, sums))} |\n")
    lines += [
        "\n| file | guide | verdict | claims | accepted | rejected | refused | why |\n",
        "| --- | --- | --- | ---: | ---: | ---: | ---: | --- |\n",
    ]
    lines += [
        f"| {t.name} | {t.kind} | {t.verdict} | {t.claims} | {t.accepted} | {t.rejected} "
        f"| {t.refused} | {_why(t.reasons)} |\n"
        for t in told
    ]
    return "".join(lines)


def _why(reasons: tuple[str, ...]) -> str:
    shown = "; ".join(reasons[:REASONS_SHOWN]).replace("|", "\\|")
    more = len(reasons) - REASONS_SHOWN
    return f"{shown}; and {more} more" if more > 0 else shown


if __name__ == "__main__":
    if not CORPUS.is_dir():
        sys.exit("docs/corpus.md is left as it is: there is no ../shared/corpus to read")
    Guide.remember = lambda _: None  # type: ignore[method-assign]
    PAGE.write_text(page(), "utf-8")
