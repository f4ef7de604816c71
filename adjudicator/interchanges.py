"""What becomes of each interchange of a file, and why: nothing is taken in twice, nothing that is
not ours.

A verdict costs one interchange; its neighbours in the file go on. docs/acknowledgements.md tells
what each verdict is answered with.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import polars as pl

from adjudicator.store import KnownInterchange
from edi.envelope import Envelope, Interchange
from edi.read_file import REFUSING, FileReading, addenda, leave_out, refuse_interchange, sets_of
from edi.received import sha256
from schemas import frames

# Verdicts. Only what was read uses its control number up.
READ, TEST, MISDIRECTED, REFUSED, REPEATED = "read", "test", "misdirected", "refused", "repeated"
ANOTHER_PAYER = "A3:116"  # the 277CA's status of claims that were sent to the wrong payer
ANOTHER_PAYER_RANK = 5

Find = Callable[[str, str, str], Sequence[KnownInterchange]]


@dataclass(frozen=True)
class Received:
    """An interchange and its verdict. ``first``: of a repeated one, the arrival whose answers are
    given again. ``told``: why its claims were not taken in; empty where they were, or where an
    objection tells."""

    position: int
    sender_number: str
    receiver_number: str
    control_number: str
    verdict: str
    first: KnownInterchange | None = None
    told: str = ""

    @property
    def key(self) -> tuple[str, str, str]:
        return self.sender_number, self.receiver_number, self.control_number


def digests(data: bytes | mmap.mmap, envelope: Envelope) -> list[str]:
    """SHA-256 of the bytes of each interchange."""
    return [sha256(data, i.start, i.end) for i in envelope.interchanges]


def judge(
    reading: FileReading,
    digest: Callable[[int], str],
    find: Find,
    file_id: int,
    ours: Collection[str],
    accept_test: bool,
) -> list[Received]:
    """The verdict on each interchange of a file; the claims of those that are refused, another
    payer's or repeated leave the reading.

    ``digest``: an interchange's by its place, asked for only where its number came before.
    ``find``: earlier arrivals under a sender's, receiver's and control number. ``ours``: the
    numbers by which files are addressed to us.
    """
    received: list[Received] = []
    interchanges = reading.envelope.interchanges
    for at, interchange in enumerate(interchanges):
        key = (interchange.header[6], interchange.header[8], interchange.number)
        here = [
            KnownInterchange(file_id, r.position, digest(r.position), r.verdict)
            for r in received
            if r.key == key
        ]
        earlier = [*find(*key), *here]
        verdict, code, told = _verdict(interchange, ours, accept_test)
        used = next((e for e in earlier if e.verdict == READ), None)
        alike = used if used and used.sha256 == digest(at) else None
        if verdict == READ and used and not alike:
            verdict, code = REFUSED, "025"
            told = "ISA13 was used before by other bytes; send them under a number of their own"
        if verdict != READ and not alike:
            same = (e for e in earlier if e.verdict == verdict and e.sha256 == digest(at))
            alike = next(same, None)
        place = f"interchange {at + 1}: " if len(interchanges) > 1 else ""
        if code:
            refuse_interchange(reading, at, code, told)
        if alike:
            verdict, told = REPEATED, f"{place}its bytes came before; it is answered as it was then"
            leave_out(reading, at, told)
        elif verdict == TEST:
            told = f"{place}{told}"
        elif code:
            told = ""  # the objection tells
        received.append(Received(at, *key, verdict, alike, told))
    return received


def _verdict(
    interchange: Interchange, ours: Collection[str], accept_test: bool
) -> tuple[str, str, str]:
    """An interchange's verdict by itself, the TA105 that refuses it, and why."""
    if any(p.code in REFUSING["interchange"] for p in interchange.problems):
        return REFUSED, "", ""
    if not accept_test:
        named = [interchange.header[8], *(g.header[3] for g in interchange.groups)]
        if not any(_is_ours(number, ours) for number in named):
            told = (
                "ISA08 and GS03 name another receiver; files for us carry a number of "
                "receiver_numbers in program.yaml"
            )
            return MISDIRECTED, "008", told
        if interchange.is_test:
            told = "ISA15 is T: a test, checked and answered, not adjudicated (--accept-test)"
            return TEST, "", told
    return READ, "", ""


def _is_ours(number: str, ours: Collection[str]) -> bool:
    return number.strip().upper() in ours


def file_verdict(received: Sequence[Received], claim_count: int) -> str:
    """What became of a file, ``claim_count`` claims of which are taken in."""
    verdicts = {r.verdict for r in received}
    if claim_count:
        return READ
    if verdicts == {REPEATED}:
        return REPEATED
    return TEST if TEST in verdicts else REFUSED


def reasons(reading: FileReading, received: Sequence[Received], claim_count: int) -> list[str]:
    """What an operator is told of a file, each cause once: what was not taken in and why, and
    which addenda were read by the guide they belong to."""
    whole = reading.objections.filter(pl.col("level").is_in(["file", "interchange", "group"]))
    told = [f"byte {o['offset']}: {o['text']}" for o in whole.iter_rows(named=True)]
    told += reading.objections.filter(pl.col("level") == "record")["text"].to_list()
    told += [r.told for r in received if r.told]
    causes = {*whole["text"], *(r.told for r in received)}
    refused = reading.sets.filter(pl.col("verdict") == "refused")
    told += [
        f"set {number}: {reason}"
        for number, reason in refused.select("set_number", "reason").iter_rows()
        if reason not in causes
    ]
    told += addenda(reading)
    if not told and not claim_count:
        told.append("it holds no claim")
    return list(dict.fromkeys(told))


def claims_of(reading: FileReading, received: Sequence[Received], verdict: str) -> pl.Series:
    """The claims of the interchanges with a verdict, by claim_id as read."""
    sets = sets_of(reading, [r.position for r in received if r.verdict == verdict])
    if not sets or not reading.claim_count:
        return pl.Series("claim_id", [], dtype=pl.Int64)
    return reading.frames["sources"].filter(pl.col("set_index").is_in(sets))["claim_id"]


class Foreign(NamedTuple):
    """Claims that name another payer: by set_index the status of the sets that are refused whole,
    and a reject finding for each claim, of those sets too."""

    refused_sets: dict[int, str]
    findings: pl.DataFrame


def another_payers(reading: FileReading, ours: Collection[str]) -> Foreign:
    """The claims that GS03 (beside an ISA08 that isn't ours), 1000B NM109 or 2010BB NM109 sends to
    another payer; none where ``ours`` is empty: then all are taken. Paper names no receiver."""
    none = Foreign({}, frames.empty(frames.Findings))
    if not reading.claim_count or not ours or not reading.envelope.interchanges:
        return none
    claims = reading.frames["claims"].select("claim_id", "payer_number")
    numbers = claims["payer_number"].drop_nulls().unique()
    foreign = [number for number in numbers if number.strip() and not _is_ours(number, ours)]
    sets = _foreign_sets(reading, ours)
    if not foreign and not sets:
        return none
    found = reading.frames["sources"].select("claim_id", "set_index").join(
        claims.select("claim_id", wrong=pl.col("payer_number").is_in(foreign)), on="claim_id",
        maintain_order="left",
    ).with_columns(
        element=pl.col("set_index").replace_strict(sets, default=None, return_dtype=pl.String)
    )  # fmt: skip
    found = found.with_columns(
        element=pl.coalesce(
            "element", pl.when(pl.col("wrong").fill_null(value=False)).then(pl.lit("2010BB NM109"))
        )
    )
    whole = found.group_by("set_index").agg(pl.col("element").is_not_null().all())
    statuses = {
        index: ANOTHER_PAYER for index, wrong in whole.sort("set_index").iter_rows() if wrong
    }
    findings = found.drop_nulls("element").select(
        "claim_id", line_number=pl.lit(None, dtype=pl.Int64), edit=pl.lit("another_payer"),
        edit_rank=pl.lit(ANOTHER_PAYER_RANK, dtype=pl.Int64), disposition=pl.lit("reject"),
        group_code=pl.lit("CO"), carc=pl.lit("109"), rarc=pl.lit(None, dtype=pl.String),
        pend_code=pl.lit(None, dtype=pl.String), status_code=pl.lit(ANOTHER_PAYER),
        inputs=pl.struct(
            element="element", cause=pl.lit("it names another payer")
        ).struct.json_encode(),
    )  # fmt: skip
    return Foreign(statuses, findings)


def _foreign_sets(reading: FileReading, ours: Collection[str]) -> dict[int, str]:
    """The sets that are addressed to another payer, and the element that says so."""
    sets: dict[int, str] = {}
    for at, interchange in enumerate(reading.envelope.interchanges):
        if _is_ours(interchange.header[8], ours):
            continue
        receivers = [group.header[3] for group in interchange.groups for _ in group.sets]
        for index, receiver in zip(sets_of(reading, [at]), receivers, strict=True):
            if not _is_ours(receiver, ours):
                sets[index] = "GS03"
    for index, number in reading.submitters.select("set_index", "receiver_number").iter_rows():
        if number is not None and not _is_ours(number, ours):
            sets.setdefault(index, "1000B NM109")
    return sets
