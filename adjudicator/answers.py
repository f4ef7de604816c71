"""What the senders of a file are answered, and the proof that it says what was taken in."""

from __future__ import annotations

import re
import zlib
from collections.abc import Collection, Mapping
from dataclasses import replace

import polars as pl
from sqlalchemy import Connection

from adjudicator import store
from adjudicator.interchanges import Received
from edi.acks import Issue, acknowledge
from edi.read_file import FileReading

COMPRESSION = 1
# the sums of a set at 2200B: what was accepted and what was rejected, each where there is any
_TOTALS = re.compile(
    rb"~HL\*2\*1\*21\*[01]~NM1\*41[^~]*~TRN\*2\*[^~]*~STC[^~]*"
    rb"(?:~QTY\*90\*(?P<accepted>[0-9]+))?(?:~QTY\*AA\*(?P<rejected>[0-9]+))?"
    rb"(?:~AMT\*YU\*(?P<yu>[-.0-9]+))?(?:~AMT\*YY\*(?P<yy>[-.0-9]+))?"
)
_HEAD = b"~HL*2*1*21*"


class AnswerError(Exception):
    """An acknowledgement does not say what was taken in: a fault of the program."""


def answer(
    reading: FileReading,
    issue: Issue,
    findings: pl.DataFrame,
    claim_numbers: pl.DataFrame | None,
    refused_sets: Mapping[int, str],
    without: Collection[int],
) -> list[store.Answer]:
    """The acknowledgements of a file as they are kept. Pure: it may be made beside other work.

    ``findings`` and ``claim_numbers`` go by ``claim_id`` as read; ``without``: the interchanges
    that are given their first answers again; paper is answered by letters. Raises AnswerError where
    the sums that the 277CAs tell are not those of the claims, in counts and cents.
    """
    if not reading.envelope.interchanges:
        return []
    rejections = findings.filter(pl.col("disposition") == "reject")
    documents = acknowledge(
        reading, issue, rejections=rejections, claim_numbers=claim_numbers,
        refused_sets=refused_sets, without=without,
    )  # fmt: skip
    told = [0, 0, 0, 0]
    for one in documents:
        if one.kind == "277CA":
            told = [a + b for a, b in zip(told, sums(one.content), strict=True)]
    came = _sums_of_claims(reading, rejections)
    if tuple(told) != came:
        raise AnswerError(
            f"the 277CAs tell {told} where {list(came)} came (accepted, rejected; cents accepted, "
            "rejected); nothing of the file is taken in. This is a fault of the program: keep the "
            "file and report it"
        )
    return [
        store.Answer(
            one.name, one.position, one.kind, one.code, one.control_number,
            zlib.compress(one.content, COMPRESSION),
        )
        for one in documents
    ]  # fmt: skip


def sums(document: bytes) -> tuple[int, int, int, int]:
    """What the sets of a 277CA sum up to, from its bytes: claims accepted, claims rejected, and
    the cents of each. Raises AnswerError where a set has no such sums."""
    out = [0, 0, 0, 0]
    at = document.find(_HEAD)
    while at >= 0:
        found = _TOTALS.match(document, at)
        if found is None:
            raise AnswerError("a 277CA has no sums of its set; report it and keep the file")
        accepted, rejected, *amounts = found.groups(b"0")
        for place, value in enumerate((int(accepted), int(rejected), *map(_cents, amounts))):
            out[place] += value
        at = document.find(_HEAD, found.end())
    return out[0], out[1], out[2], out[3]


def _cents(text: bytes) -> int:
    whole, _, part = text.decode("ascii").lstrip("-").partition(".")
    size = int(whole or "0") * 100 + int(part.ljust(2, "0"))
    return -size if text.startswith(b"-") else size


def _sums_of_claims(reading: FileReading, rejections: pl.DataFrame) -> tuple[int, int, int, int]:
    if not reading.claim_count:
        return 0, 0, 0, 0
    claims = reading.frames["claims"].select("claim_id", "charge_amount")
    rejected = claims.filter(pl.col("claim_id").is_in(rejections["claim_id"].unique().implode()))
    charges, back = (int(f["charge_amount"].sum() or 0) for f in (claims, rejected))
    return claims.height - rejected.height, rejected.height, charges - back, back


def repeated_answers(connection: Connection, received: Collection[Received]) -> list[store.Answer]:
    """The first answers to interchanges that came again, named for their place in this file."""
    return [
        replace(one, position=r.position, name=f"{r.position + 1:03d}-{one.name.split('-', 1)[1]}")
        for r in received
        if r.first
        for one in store.answers_to(connection, r.first.file_id, r.first.position)
    ]
