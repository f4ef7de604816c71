"""What is answered to whoever sent an 837: TA1, 999 (005010X231A1) and 277CA (005010X214).

A TA1 answers an interchange, a 999 a functional group, a 277CA the claims of a set; each goes back
to the sender of what it answers, in an interchange of its own. docs/acknowledgements.md says what
every code here means and when it is used.

- Numbers, days and the hour are the caller's (``Issue``): the same reading gives the same bytes.
- Nothing of a torn segment is repeated. Of the data of an 837 a 999 shows only the sender's own
  claim number (CLM01), and a wrong code that can be nobody's name.
- Data: what could end an element or a segment, and what X12 has no character for, becomes a space.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache

import numpy as np
import polars as pl

from edi.envelope import ISA_CHECKS, Group, Interchange, TransactionSet
from edi.guide import GUIDES, Guide, guide_for
from edi.read_file import REFUSING, FileReading, group_refusal
from edi.syntax import SYNTAX_ELEMENT_CODES
from edi.text import (
    COMPONENT,
    ELEMENT,
    REPETITION,
    TERMINATOR,
    clean,
    day_text,
    decimal,
    fit,
    fit_codes,
    segment,
    where,
)

GUIDE_999, GUIDE_277CA = "005010X231A1", "005010X214"
GUIDE_CODE = re.compile("[0-9]{6}(X[0-9]{3}([A-Z][0-9]{1,2})?)?")  # nothing else is repeated
CODES_SHOWN = 5  # IK502 to IK506, AK905 to AK909
LAST_POSITION = 999_999  # IK302 takes six digits
REFERENCE_LENGTH = 35  # CTX01-2

UNPLACED = {"1": "2", "E": ""}  # what fits nowhere: IK304 where its segment is one of the guide's

ACCEPTED = "A2:20"
UNNAMED_REJECTION = "A7:21"
STATUS = r"^A[3678]:[0-9]{1,4}(:[0-9A-Z]{2,3})?$"
# entities that STC01-3 of a claim or a line may name
ENTITIES = [
    *("03", "1P", "1Z", "40", "41", "71", "72", "73", "77", "82", "85", "87", "DK", "DN", "DQ"),
    *("FA", "GB", "HK", "IL", "LI", "MSC", "PR", "PRP", "QB", "QC", "QD", "SEP", "TL", "TTP"),
    "TU",
]
PROCEDURE_QUALIFIERS = ["ER", "HC", "HP", "IV", "WK"]
STATUSES_A_SEGMENT = 3  # STC01, STC10 and STC11
TRACE_LENGTH = 50


# of the frames as read, what acknowledgements are made of
READ: Mapping[str, Sequence[str]] = {
    "claims": (
        "claim_id", "claim_type_code", "statement_from_date", "statement_through_date",
        "admission_date", "discharge_date", "submission_date", "patient_control_number",
        "patient_last_name", "patient_first_name", "subscriber_number", "clearinghouse_number",
        "facility_code", "frequency_code", "charge_amount",
    ),
    "people": ("claim_id", "role", "middle_name", "suffix"),
    "lines": (
        "claim_id", "line_number", "service_from_date", "service_through_date", "charge_amount",
        "unit_quantity", "procedure_qualifier_code", "modifier_codes", "procedure_code",
        "revenue_code", "line_control_number", "prescription_number",
    ),
    "claim_providers": (
        "claim_id", "role_code", "entity_type_code", "last_name", "first_name", "middle_name",
        "suffix", "npi", "tax_number", "other_number",
    ),
    "sources": (
        "claim_id", "set_index", "provider_start", "subscriber_start", "patient_start",
        "patient_end",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Issue:
    """What only the caller knows. The first document gets ``first_control_number``, each further
    one the next; ``time`` is HHMM."""

    first_control_number: int
    business_date: date
    received_date: date
    time: str = "0000"


@dataclass(frozen=True)
class Acknowledgement:
    """One interchange of ours. ``code`` is its TA104 or AK901; of a 277CA WQ where any claim was
    accepted, else U. ``name`` suggests a file name, unique within the file that is answered;
    ``position`` is the place there, from 0, of the interchange that it answers."""

    name: str
    kind: str
    code: str
    control_number: int
    content: bytes
    position: int


@dataclass(frozen=True)
class _Due:
    kind: str
    interchange: Interchange
    at: int
    group: Group | None = None
    group_at: int = 0
    sets: range = range(0)


def codes_told(reading: FileReading) -> list[tuple[str, str]]:
    """For each objection the element of its acknowledgement that tells of it, and the code there;
    empty where no acknowledgement does."""
    guides = dict(reading.sets.select("set_index", "guide_code").iter_rows())
    of_envelopes = {"interchange": "TA105", "group": "AK905", "set": "IK502"}
    told = []
    for level, index, name, code, segment_code in reading.objections.select(
        "level", "set_index", "segment", "code", "segment_code"
    ).iter_rows():
        guide = guide_for(guides.get(index, ""))
        if not segment_code:
            told.append((of_envelopes.get(level, ""), code if level in of_envelopes else ""))
        elif guide is None or name not in _segment_ids(guide):
            told.append(("IK502", "5"))  # RFI 1257
        elif segment_code == "8":
            told.append(("IK403", code))
        else:
            told.append(("IK304", UNPLACED.get(segment_code, segment_code)))
    return told


def acknowledgement_count(
    reading: FileReading,
    frames: Mapping[str, pl.DataFrame] | None = None,
    *,
    without: Collection[int] = (),
) -> int:
    """How many documents ``acknowledge`` will write: so many control numbers it takes."""
    return len(_due(reading, reading.frames if frames is None else frames, without))


def acknowledge(
    reading: FileReading,
    issue: Issue,
    *,
    frames: Mapping[str, pl.DataFrame] | None = None,
    rejections: pl.DataFrame | None = None,
    claim_numbers: pl.DataFrame | None = None,
    refused_sets: Mapping[int, str] | None = None,
    without: Collection[int] = (),
) -> list[Acknowledgement]:
    """Every TA1, 999 and 277CA that is due for a file, in file order.

    ``frames``: the claims as read, or the same renumbered; ``rejections`` and ``claim_numbers``
    go by its ``claim_id``. ``rejections``: one row a reason (claim_id, line_number or null,
    status_code as ``A7:178`` or ``A6:125:QC``); a claim without one is accepted.
    ``claim_numbers`` (claim_id, claim_number): our own numbers of accepted claims.
    ``refused_sets``: by set_index the status of sets that are refused as a whole, though they
    could be read. ``without``: places, from 0, of interchanges that are not answered here, since
    they were answered before.

    Raises ValueError where a control number isn't within 1 to 999999999.
    """
    frames = reading.frames if frames is None else frames
    due = _due(reading, frames, without)
    last = issue.first_control_number + len(due) - 1
    if due and not 0 < issue.first_control_number <= last <= 999_999_999:
        raise ValueError(f"control number {last} isn't within 1 to 999999999")
    numbered = list(enumerate(due, issue.first_control_number))
    notes = _notes(reading)
    with_claims = _with_claims(frames)
    places = {
        index: (number, place)
        for number, one in numbered
        if one.kind == "277CA"
        for place, index in enumerate((i for i in one.sets if i in with_claims), start=1)
    }
    status = write_277ca(
        reading, frames, places, issue, rejections=rejections, claim_numbers=claim_numbers,
        refused_sets=refused_sets,
    )  # fmt: skip
    out = []
    for number, one in numbered:
        if one.kind == "TA1":
            code, content = write_ta1(one.interchange, number, issue)
        elif one.kind == "999":
            code, content = _write_999(reading, one, number, issue, notes)
        else:
            sets = [status[index] for index in one.sets if index in status]
            code = "WQ" if any(accepted for accepted, _ in sets) else "U"
            texts = [text for _, text in sets]
            content = _in_group(one, number, issue, "HN", GUIDE_277CA, texts)
        out.append(Acknowledgement(_name(one), one.kind, code, number, content, one.at - 1))
    return out


def _due(
    reading: FileReading, frames: Mapping[str, pl.DataFrame], without: Collection[int]
) -> list[_Due]:
    """What must be written, in file order."""
    with_claims = _with_claims(frames)
    due: list[_Due] = []
    first = 0
    for at, interchange in enumerate(reading.envelope.interchanges, start=1):
        known = _sender_is_known(interchange) and at - 1 not in without
        if known and (interchange.problems or interchange.header[14] == "1"):
            due.append(_Due("TA1", interchange, at))
        for group_at, group in enumerate(interchange.groups, start=1):
            sets = range(first, first + len(group.sets))
            first = sets.stop
            if not known or _is_refused(interchange) or not group.is_answerable:
                continue
            place = (interchange, at, group, group_at, sets)
            due.append(_Due("999", *place))
            if with_claims.intersection(sets):
                due.append(_Due("277CA", *place))
    return due


def _with_claims(frames: Mapping[str, pl.DataFrame]) -> set[int]:
    """The sets that have claims."""
    return set(frames["sources"]["set_index"].unique()) if frames else set()


def _is_refused(interchange: Interchange) -> bool:
    return any(p.code in REFUSING["interchange"] for p in interchange.problems)


def _sender_is_known(interchange: Interchange) -> bool:
    """Whether ISA06 says whom to answer: of an ISA of another length, only where every element is
    still what it must be at its place."""
    right = _right_elements(interchange)
    whole = all(p.code != "022" for p in interchange.problems)
    return right[6] and (whole or all(right.values()))


def _right_elements(interchange: Interchange) -> dict[int, bool]:
    """By place, which elements of an ISA are what they must be."""
    return {
        at: re.fullmatch(pattern, interchange.header[at]) is not None
        for at, pattern, _, _ in ISA_CHECKS
    }


def _name(due: _Due) -> str:
    number = due.interchange.number if re.fullmatch("[0-9]{9}", due.interchange.number) else "x"
    group = f"-{due.group_at:03d}-{due.group.number}" if due.group else ""
    return f"{due.at:03d}-{number}{group}.{due.kind.lower()}"


# ---- envelopes -------------------------------------------------------------------------------


def _isa(interchange: Interchange, number: int, issue: Issue) -> str:
    """The ISA that goes back: sender and receiver change places, test stays test."""
    header, right = interchange.header, _right_elements(interchange)
    usage = header[15] if header[15] in ("P", "T") else "P"
    parties = ELEMENT.join(
        f"{header[at] if right[at] else 'ZZ'}{ELEMENT}{clean(header[at + 1], 15):15}"
        for at in (7, 5)
    )
    return (
        f"ISA*00*{'':10}*00*{'':10}*{parties}*{issue.business_date:%y%m%d}*{issue.time}"
        f"*{REPETITION}*00501*{number:09d}*0*{usage}*{COMPONENT}{TERMINATOR}"
    )


def _in_group(
    due: _Due, number: int, issue: Issue, kind: str, guide: str, sets: Sequence[str]
) -> bytes:
    """Sets in a group in an interchange."""
    assert due.group is not None
    receiver, sender = (clean(code, 15) for code in due.group.header[2:4])
    text = (
        f"{_isa(due.interchange, number, issue)}"
        f"GS*{kind}*{sender}*{receiver}*{issue.business_date:%Y%m%d}*{issue.time}*{number}*X*{guide}"
        f"{''.join(sets)}"
        f"~GE*{len(sets)}*{number}~IEA*1*{number:09d}~"
    )
    return text.encode("ascii")


# ---- TA1 -------------------------------------------------------------------------------------


def write_ta1(interchange: Interchange, number: int, issue: Issue) -> tuple[str, bytes]:
    """An interchange's TA104 and its TA1. The first problem that refuses it is told, else the
    first of all: a TA1 has room for one."""
    refusing = [p.code for p in interchange.problems if p.code in REFUSING["interchange"]]
    codes = [*refusing, *(p.code for p in interchange.problems), "000"]
    verdict = "R" if refusing else "E" if interchange.problems else "A"
    header, right = interchange.header, _right_elements(interchange)
    # what it calls itself; where that is no number, date or time, zeros and ours
    own = ((13, "0" * 9), (9, f"{issue.business_date:%y%m%d}"), (10, issue.time))
    told = [header[at] if right[at] else ours for at, ours in own]
    text = (
        f"{_isa(interchange, number, issue)}TA1*{ELEMENT.join(told)}*{verdict}*{codes[0]}~"
        f"IEA*0*{number:09d}~"
    )
    return verdict, text.encode("ascii")


# ---- 999 -------------------------------------------------------------------------------------


@dataclass
class _Notes:
    """What a 999 says of one set: its IK3 to IK4, and the IK502 they add up to."""

    text: str = ""
    syntax: bool = False
    guide: bool = False


def _write_999(
    reading: FileReading, due: _Due, number: int, issue: Issue, notes: Mapping[int, _Notes]
) -> tuple[str, bytes]:
    """A group's AK901 and its 999."""
    group = due.group
    assert group is not None
    verdicts = reading.sets["verdict"][due.sets.start : due.sets.stop].to_list()
    refused = group_refusal(due.interchange, group) is not None
    segments = ["~ST*999*0001*" + GUIDE_999]
    version = group.guide_code if GUIDE_CODE.fullmatch(group.guide_code) else "UNREADABLE"
    segments.append(f"~AK1*{group.header[1]}*{group.number}*{version}")
    accepted = with_errors = 0
    if not refused:
        for index, set_, verdict in zip(due.sets, group.sets, verdicts, strict=True):
            code, text = _set_response(group, set_, verdict == "read", notes.get(index, _Notes()))
            segments.append(text)
            accepted += code != "R"
            with_errors += code == "E"
    codes = [p.code for p in group.problems]
    if group.header[1] != "HC":
        codes.append("1")
    elif guide_for(group.guide_code) is None:
        codes.append("2")
    counted = len(group.sets)
    stated = group.stated_count if re.fullmatch("[0-9]{1,6}", group.stated_count) else counted
    answer = (
        "R" if not accepted
        else "P" if accepted < counted
        else "E" if with_errors or codes
        else "A"
    )  # fmt: skip
    segments.append(
        ELEMENT.join(["~AK9", answer, str(stated), str(counted), str(accepted), *_shown(codes)])
    )
    text = "".join(segments)
    text += f"~SE*{text.count(TERMINATOR) + 1}*0001"
    return answer, _in_group(due, number, issue, "FA", GUIDE_999, [text])


def _shown(codes: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(codes))[:CODES_SHOWN]


def _set_response(
    group: Group, set_: TransactionSet, is_read: bool, notes: _Notes
) -> tuple[str, str]:
    """A set's IK501, and AK2 to IK5."""
    codes = [p.code for p in set_.problems]
    if set_.type_code != "837":
        codes.append("1")
    else:
        known = GUIDES.get(set_.guide_code)
        # another guide, or one that is read by its base guide: RFI 1438
        if known is None or known[0] != GUIDES[group.guide_code][0] or not known[2]:
            codes.append("I6")
    codes += ["5"] * notes.syntax + ["I5"] * notes.guide
    verdict = ("E" if codes else "A") if is_read else "R"
    if verdict == "R" and not codes:
        codes = ["5"]
    convention = set_.sent_guide_code
    shown = [convention] if GUIDE_CODE.fullmatch(convention) else []
    head = ELEMENT.join(["~AK2", set_.type_code, set_.number, *shown])
    return verdict, head + notes.text + ELEMENT.join(["~IK5", verdict, *_shown(codes)])


def _notes(reading: FileReading) -> dict[int, _Notes]:
    """By set, what its objections come to: one IK3 a segment and kind of fault."""
    place = ["set_index", "segment_position", "loop", "segment", "segment_code"]
    found = (
        reading.objections.filter(
            pl.col("set_index").is_not_null() & pl.col("segment_position").is_not_null()
        )
        .group_by(*place, "reference", "code", "value", maintain_order=True)
        .agg(pl.col("claim_id").drop_nulls().unique().alias("claims"))
        .sort(*place[:2], maintain_order=True)
    )
    if found.is_empty():
        return {}
    claims = _nameable_claims(reading, found)
    guides = dict(reading.sets.select("set_index", "guide_code").iter_rows())
    notes: dict[int, _Notes] = {}
    last: tuple[object, ...] = ()
    for row in found.iter_rows(named=True):
        one = notes.setdefault(row["set_index"], _Notes())
        guide = guide_for(guides[row["set_index"]])
        assert guide is not None  # it was read by it
        element = row["segment_code"] == "8"
        code = UNPLACED.get(row["segment_code"], row["segment_code"])
        syntax = row["code"] in SYNTAX_ELEMENT_CODES if element else not code
        if code and row["segment"] not in _segment_ids(guide):
            code, syntax = "", True  # RFI 1257: only IK5 tells of it
        one.syntax |= syntax
        one.guide |= not syntax
        if not code:
            continue
        here = tuple(row[c] for c in place)
        if here != last:
            last = here
            one.text += _segment_note(row["segment"], row["segment_position"], row["loop"], code)
            if len(row["claims"]) == 1 and (number := claims.get(row["claims"][0])):
                one.text += f"~CTX*CLM01{COMPONENT}{number}"
        if element:
            one.text += _element_note(
                guide, row["segment"], row["reference"], row["code"], row["value"]
            )
    return notes


@cache
def _segment_ids(guide: Guide) -> frozenset[str]:
    return frozenset(node.segment for node in guide.nodes)


def _segment_note(name: str, position: int, loop: str, code: str) -> str:
    numbered = re.match("[0-9]{4}", loop)  # IK303 takes four characters: 2010AA is 2010
    shown = numbered.group() if numbered else ""
    return f"~IK3*{name}*{min(position, LAST_POSITION)}*{shown}*{code}"


def _element_note(guide: Guide, name: str, reference: str, code: str, value: str) -> str:
    """IK4 of a reference designator such as CLM02 or SV101-02; nothing where it names only a
    segment."""
    place = re.fullmatch(r"([0-9]{2})(?:-([0-9]{2}))?", reference.removeprefix(name))
    if place is None:
        return ""
    position, component = int(place[1]), int(place[2] or 0)
    at = f"{position}{COMPONENT}{component}" if component else str(position)
    number = guide.element_number(name, position, component)
    return ELEMENT.join(["~IK4", at, number, code, value]).rstrip(ELEMENT)


def _nameable_claims(reading: FileReading, found: pl.DataFrame) -> dict[int, str]:
    """CLM01 of the claims that have one to be shown: not where it is at fault itself, nor where
    its CLM is wrong in several places and may be torn."""
    if not reading.frames:
        return {}
    wanted = found["claims"].explode().drop_nulls().unique()
    at_fault = (
        found.filter(segment="CLM")
        .explode("claims")
        .group_by("claims")
        .agg(pl.len(), own=(pl.col("reference") == "CLM01").any())
        .filter((pl.col("len") > 1) | pl.col("own"))["claims"]
    )
    named = reading.frames["claims"].filter(
        pl.col("claim_id").is_in(wanted.implode()) & ~pl.col("claim_id").is_in(at_fault.implode())
    )
    numbers = fit(
        named.select("claim_id", "patient_control_number"),
        {"patient_control_number": (1, REFERENCE_LENGTH)},
    )
    return {claim: number for claim, number in numbers.iter_rows() if number}


# ---- 277CA -----------------------------------------------------------------------------------

SET_TEXT = {
    "submitter_last_name": (1, 60),
    "submitter_first_name": (1, 35),
    "submitter_middle_name": (1, 25),
    "submitter_number": (2, 80),
    "receiver_name": (1, 60),
    "receiver_number": (2, 80),
    "batch_reference": (1, TRACE_LENGTH),
}
PROVIDER_TEXT = {
    "last_name": (1, 60),
    "first_name": (1, 35),
    "middle_name": (1, 25),
    "suffix": (1, 10),
    "npi": (2, 80),
    "tax_number": (2, 80),
    "other_number": (2, 80),
}
CLAIM_TEXT = {
    "patient_control_number": (1, TRACE_LENGTH),
    "patient_last_name": (1, 60),
    "patient_first_name": (1, 35),
    "middle_name": (1, 25),
    "suffix": (1, 10),
    "subscriber_number": (2, 80),
    "clearinghouse_number": (1, 50),
    "facility_code": (1, 2),
    "frequency_code": (1, 1),
    "claim_number": (1, 50),
}
LINE_TEXT = {
    "procedure_code": (1, 48),
    "revenue_code": (1, 48),
    "line_control_number": (1, 50),
    "prescription_number": (1, 50),
}
LINE_CODES = {"modifier_codes": (r"[0-9A-Za-z]{2}", 4)}
UNKNOWN = "UNKNOWN"  # what the guide demands and the claim doesn't say
LINE_DAYS = ("first_date", "last_date")
NEVER = 2**31 - 1  # no day, in a column of days
_ORDERS = 4  # places of parts within a claim: provider, claim, lines


def write_277ca(
    reading: FileReading,
    frames: Mapping[str, pl.DataFrame],
    numbers: Mapping[int, tuple[int, int]],
    issue: Issue,
    *,
    rejections: pl.DataFrame | None = None,
    claim_numbers: pl.DataFrame | None = None,
    refused_sets: Mapping[int, str] | None = None,
) -> dict[int, tuple[int, str]]:
    """By set_index, how many of its claims are accepted, and its 277CA from ST to SE.

    ``numbers``: for each set to be answered its document's control number and its place in it.
    """
    if not numbers:
        return {}
    refused = pl.DataFrame(
        {"set_index": list(refused_sets or {}), "refusal": list((refused_sets or {}).values())},
        schema={"set_index": pl.Int64, "refusal": pl.String},
    )
    reasons = _reasons(rejections)
    claims = _claims(frames, reasons, claim_numbers, refused, issue)
    totals = claims.group_by("set_index", maintain_order=True).agg(*_TOTALS)
    sets = pl.DataFrame(
        [(index, number, place) for index, (number, place) in numbers.items()],
        schema={"set_index": pl.Int64, "number": pl.Int64, "place": pl.Int64},
        orient="row",
    )
    sets = (
        fit(sets.join(reading.submitters, on="set_index", how="left"), SET_TEXT)
        .join(totals, on="set_index")
        .join(refused, on="set_index", how="left")
        .join(_details(frames, claims, reasons, issue), on="set_index", how="left")
        .sort("set_index")
    )
    body = pl.concat_str(_set_header(issue), pl.col("detail").fill_null(""))
    texts = sets.with_columns(body.alias("text")).select(
        "set_index",
        "accepted_count",
        pl.concat_str(
            pl.col("text"),
            segment(
                "SE",
                (pl.col("text").str.count_matches(TERMINATOR, literal=True) + 1).cast(pl.String),
                pl.col("place").cast(pl.String).str.zfill(4),
            ),
        ),
    )
    return {index: (accepted, text) for index, accepted, text in texts.iter_rows()}


_REJECTED = pl.col("rejected")
_TOTALS = (
    pl.col("charge_amount").sum().alias("charge_amount"),
    (~_REJECTED).sum().cast(pl.Int64).alias("accepted_count"),
    _REJECTED.sum().cast(pl.Int64).alias("rejected_count"),
    pl.col("charge_amount").filter(~_REJECTED).sum().alias("accepted_amount"),
    pl.col("charge_amount").filter(_REJECTED).sum().alias("rejected_amount"),
)


def _totals(accepted: str, rejected: str) -> list[pl.Expr]:
    """QTY and AMT of what was accepted and of what was rejected, each where there is any."""
    return [
        pl.when(pl.col(count) > 0)
        .then(segment(tag, qualifier, value))
        .otherwise(pl.lit(""))
        for tag, qualifier, count, value in (
            ("QTY", accepted, "accepted_count", pl.col("accepted_count").cast(pl.String)),
            ("QTY", rejected, "rejected_count", pl.col("rejected_count").cast(pl.String)),
            ("AMT", "YU", "accepted_count", decimal(pl.col("accepted_amount"), 2)),
            ("AMT", "YY", "rejected_count", decimal(pl.col("rejected_amount"), 2)),
        )
    ]  # fmt: skip


def _reasons(rejections: pl.DataFrame | None) -> pl.DataFrame:
    """claim_id, line_number, status: each reason once, in the order given, fit for STC01."""
    columns = {"claim_id": pl.Int64, "line_number": pl.Int64, "status": pl.String}
    if rejections is None or rejections.is_empty():
        return pl.DataFrame(schema=columns)
    code = pl.col("status_code").fill_null("")
    entity = code.str.extract(r"^A[0-9]:[0-9]+:(.*)$")
    known = (
        pl.when(entity.is_in(ENTITIES) | entity.is_null())
        .then(code)
        .otherwise(code.str.replace(r":[^:]*$", ""))
    )
    return (
        rejections.select(
            "claim_id",
            "line_number",
            status=pl.when(code.str.contains(STATUS))
            .then(known)
            .otherwise(pl.lit(UNNAMED_REJECTION)),
        )
        .unique(maintain_order=True)
        .cast(columns)  # type: ignore[arg-type]
    )


def _claims(
    frames: Mapping[str, pl.DataFrame],
    reasons: pl.DataFrame,
    claim_numbers: pl.DataFrame | None,
    refused: pl.DataFrame,
    issue: Issue,
) -> pl.DataFrame:
    """One row a claim in file order: what a 277CA says of it, and where it stands in one."""
    patients = frames["people"].filter(role="patient").select("claim_id", "middle_name", "suffix")
    dates = _line_days(frames["lines"])
    sources = frames["sources"].select(
        "claim_id", "set_index", "provider_start", "subscriber_start",
        patient_start=pl.when(pl.col("patient_end") > pl.col("patient_start"))
        .then("patient_start").otherwise(-1),
    )  # fmt: skip
    claims = frames["claims"].select(
        "claim_id", "claim_type_code", "statement_from_date", "statement_through_date",
        "admission_date", "discharge_date", "submission_date", "patient_control_number",
        "patient_last_name", "patient_first_name", "subscriber_number", "clearinghouse_number",
        "facility_code", "frequency_code", pl.col("charge_amount").fill_null(0),
    )  # fmt: skip
    for other in (sources, patients, dates, claim_numbers):
        if other is None:
            claims = claims.with_columns(claim_number=pl.lit(None, dtype=pl.String))
        elif other["claim_id"].equals(claims["claim_id"]):
            claims = claims.hstack(other.drop("claim_id"))
        else:
            claims = claims.join(other, on="claim_id", how="left", maintain_order="left")
    rejected = pl.col("claim_id").is_in(reasons["claim_id"].unique().implode())
    whole = pl.col("set_index").is_in(refused["set_index"].implode())
    own = pl.col("statement_from_date").is_not_null()
    first = pl.when(own).then("statement_from_date").otherwise("first_date")
    last = pl.when(own).then("statement_through_date").otherwise("last_date")
    # where no day of service was sent, the next best: the guide demands one
    other_day = pl.coalesce(
        "admission_date", "discharge_date", "submission_date", pl.lit(issue.business_date)
    )
    claims = fit(claims, CLAIM_TEXT).with_columns(
        rejected=rejected | whole,
        whole_set_is_refused=whole,
        first_date=first.fill_null(other_day),
        last_date=last,
    )
    return _levelled(claims)


def _line_days(lines: pl.DataFrame) -> pl.DataFrame:
    """claim_id, first_date and last_date of the lines of each claim that has lines."""
    if not lines["claim_id"].is_sorted():
        lines = lines.sort("claim_id", maintain_order=True)
    if lines.is_empty():
        return pl.DataFrame(schema={"claim_id": pl.Int64} | dict.fromkeys(LINE_DAYS, pl.Date))
    runs = lines["claim_id"].rle().struct
    out = {"claim_id": runs.field("value")}
    starts = runs.field("len").cum_sum().shift(1, fill_value=0).to_numpy()
    first = lines["service_from_date"]
    last = lines.select(pl.coalesce("service_through_date", first)).to_series()
    extremes = ((first, np.minimum, NEVER), (last, np.maximum, -NEVER))
    for name, (day, extreme, none) in zip(LINE_DAYS, extremes, strict=True):
        found = pl.Series(extreme.reduceat(day.to_physical().fill_null(none).to_numpy(), starts))
        out[name] = found.set(found == none, None).cast(pl.Date)
    return pl.DataFrame(out)


def _levelled(claims: pl.DataFrame) -> pl.DataFrame:
    """Claims with their HL numbers: 1 and 2 are the payer's and the submitter's; from 3 on each
    billing provider and each patient has one, as they follow each other."""

    def differs(*columns: str) -> pl.Expr:
        """From the row before; the first row differs from none."""
        return pl.any_horizontal(pl.col(c).ne_missing(pl.col(c).shift(1)) for c in columns)

    claims = claims.with_columns(
        new_set=differs("set_index"),
        new_provider=differs("set_index", "provider_start"),
        new_patient=differs("set_index", "provider_start", "subscriber_start", "patient_start"),
    )
    steps = pl.col("new_provider").cast(pl.Int64) + pl.col("new_patient").cast(pl.Int64)
    before = steps.cum_sum() - steps
    level = 2 + steps.cum_sum() - pl.when("new_set").then(before).forward_fill()
    return claims.with_columns(
        level=level,
        provider_level=pl.when("new_provider").then(level - 1).forward_fill(),
        provider=pl.col("new_provider").cum_sum(),
        order=pl.int_range(pl.len(), dtype=pl.Int64) * _ORDERS,
    )


def _set_header(issue: Issue) -> pl.Expr:
    """ST to the end of 2200B."""
    day = f"{issue.business_date:%Y%m%d}"
    place = pl.col("place").cast(pl.String).str.zfill(4)
    trace = pl.col("number").cast(pl.String).str.zfill(9) + place
    organisation = pl.col("submitter_entity_type_code") == "2"
    status = pl.when(pl.col("refusal").is_null()).then(pl.lit("A1:19:PR")).otherwise("refusal")
    whole = pl.col("refusal").is_not_null()
    return pl.concat_str(
        segment("ST", "277", place, GUIDE_277CA),
        segment("BHT", "0085", "08", trace, day, issue.time, "TH"),
        segment("HL", "1", "", "20", "1"),
        segment(
            "NM1", "PR", "2", pl.col("receiver_name").fill_null(UNKNOWN), *[""] * 4, "46",
            pl.col("receiver_number").fill_null(UNKNOWN),
        ),
        segment("TRN", "1", trace),
        segment("DTP", "050", "D8", f"{issue.received_date:%Y%m%d}"),
        segment("DTP", "009", "D8", day),
        segment("HL", "2", "1", "21", pl.when(whole).then(pl.lit("0")).otherwise(pl.lit("1"))),
        segment(
            "NM1", "41",
            pl.when(organisation).then(pl.lit("2")).otherwise(pl.lit("1")),
            pl.col("submitter_last_name").fill_null(UNKNOWN),
            pl.when(~organisation).then("submitter_first_name"),
            pl.when(~organisation).then("submitter_middle_name"),
            "", "", "46", pl.col("submitter_number").fill_null(UNKNOWN),
        ),
        segment("TRN", "2", pl.col("batch_reference").fill_null("0")),
        segment(
            "STC", status, day, pl.when(whole).then(pl.lit("U")).otherwise(pl.lit("WQ")),
            decimal(pl.col("charge_amount"), 2),
        ),
        *_totals("90", "AA"),
    )  # fmt: skip


def _details(
    frames: Mapping[str, pl.DataFrame], claims: pl.DataFrame, reasons: pl.DataFrame, issue: Issue
) -> pl.DataFrame:
    """set_index, detail: 2000C to 2220D of every set that isn't refused as a whole."""
    claims = claims.filter(~pl.col("whole_set_is_refused"))
    reasons = reasons.join(claims.select("claim_id"), on="claim_id", how="semi")
    day = f"{issue.business_date:%Y%m%d}"
    parts = [_providers(frames, claims), claims.select("set_index", "order", text=_claim(day))]
    if reasons.height:
        rejected = _statuses(reasons, claims, day)
        parts[1] = claims.join(rejected, on="claim_id", how="left", maintain_order="left").select(
            "set_index", "order", text=_claim(day, pl.col("statuses"))
        )
        parts.append(_lines(frames, claims, reasons, day))
    return (
        pl.concat(parts)
        .sort("order", maintain_order=True)
        .group_by("set_index", maintain_order=True)
        .agg(pl.col("text").str.join("").alias("detail"))
    )


def _providers(frames: Mapping[str, pl.DataFrame], claims: pl.DataFrame) -> pl.DataFrame:
    """set_index, order, text: HL 19 to the end of 2200C, a row a billing provider of a set."""
    totals = claims.group_by("provider", maintain_order=True).agg(*_TOTALS)
    firsts = claims.filter("new_provider").select(
        "claim_id", "set_index", "order", "provider", "provider_level"
    )
    named = (
        frames["claim_providers"]
        .filter(role_code="85")
        .join(firsts, on="claim_id", how="semi", maintain_order="left")
        .unique("claim_id", keep="first", maintain_order=True)
    )
    rows = fit(
        firsts.join(named, on="claim_id", how="left", maintain_order="left"), PROVIDER_TEXT
    ).join(totals, on="provider", how="left", maintain_order="left")
    person = pl.col("entity_type_code").ne_missing("2")
    numbers = (("XX", "npi"), ("FI", "tax_number"), ("SV", "other_number"))
    qualifier = pl.coalesce(pl.when(pl.col(c).is_not_null()).then(pl.lit(q)) for q, c in numbers)
    text = pl.concat_str(
        segment("HL", pl.col("provider_level").cast(pl.String), "2", "19", "1"),
        segment(
            "NM1", "85",
            pl.when(person).then(pl.lit("1")).otherwise(pl.lit("2")),
            pl.col("last_name").fill_null(UNKNOWN),
            *(pl.when(person).then(c) for c in ("first_name", "middle_name")),
            "", pl.when(person).then("suffix"),
            qualifier.fill_null("FI"),
            pl.coalesce(*(c for _, c in numbers), pl.lit(UNKNOWN)),
        ),
        # 0: there is no trace number of a billing provider
        segment("TRN", "1", "0"),
        *_totals("QA", "QC"),
    )  # fmt: skip
    return rows.select("set_index", pl.col("order") - 1, text=text)


def _claim(day: str, statuses: pl.Expr | None = None) -> pl.Expr:
    """HL PT where the patient changes, and 2200D."""
    patient = pl.concat_str(
        segment("HL", *(pl.col(c).cast(pl.String) for c in ("level", "provider_level")), "PT"),
        segment(
            "NM1", "QC", "1", pl.col("patient_last_name").fill_null(UNKNOWN),
            pl.col("patient_first_name"), pl.col("middle_name"), "", pl.col("suffix"), "MI",
            pl.col("subscriber_number").fill_null(UNKNOWN),
        ),
    )  # fmt: skip
    accepted = segment("STC", ACCEPTED, day, "WQ", decimal(pl.col("charge_amount"), 2))
    bill_type = pl.col("facility_code") + pl.col("frequency_code")
    return pl.concat_str(
        pl.when("new_patient").then(patient).otherwise(pl.lit("")),
        # the guide asks for a zero where the claim brought no number
        segment("TRN", "2", pl.col("patient_control_number").fill_null("0")),
        accepted if statuses is None else pl.coalesce(statuses, accepted),
        pl.when(~_REJECTED & pl.col("claim_number").is_not_null())
        .then(segment("REF", "1K", pl.col("claim_number")))
        .otherwise(pl.lit("")),
        where("clearinghouse_number", segment("REF", "D9", pl.col("clearinghouse_number"))),
        pl.when((pl.col("claim_type_code") == "I") & bill_type.is_not_null())
        .then(segment("REF", "BLT", bill_type))
        .otherwise(pl.lit("")),
        _days("first_date", "last_date"),
    )


def _days(first: str, last: str) -> pl.Expr:
    """DTP 472 of one day or of a span."""
    one = pl.col(last).is_null() | (pl.col(last) == pl.col(first))
    day = day_text(pl.col(first))
    return (
        pl.when(one)
        .then(segment("DTP", "472", "D8", day))
        .otherwise(
            segment("DTP", "472", "RD8", pl.concat_str(day, pl.lit("-"), day_text(pl.col(last))))
        )
    )


def _statuses(reasons: pl.DataFrame, claims: pl.DataFrame, day: str) -> pl.DataFrame:
    """claim_id, statuses: the STC of each rejected claim, all its reasons, three a segment."""
    charges = claims.select("claim_id", "charge_amount")
    rows = (
        reasons.select("claim_id", "status")
        .unique(maintain_order=True)
        .join(charges, on="claim_id", how="left", maintain_order="left")
        .with_columns(at=pl.int_range(pl.len()).over("claim_id"))
    )
    opening = segment("STC", pl.col("status"), day, "U", decimal(pl.col("charge_amount"), 2))
    return (
        rows.select("claim_id", text=_packed(opening, 6))
        .group_by("claim_id", maintain_order=True)
        .agg(pl.col("text").str.join("").alias("statuses"))
    )


def _packed(opening: pl.Expr, gap: int) -> pl.Expr:
    """A status as STC01 of a segment of its own, as STC10 (``gap`` delimiters on) or as STC11."""
    slot = pl.col("at") % STATUSES_A_SEGMENT
    return (
        pl.when(slot == 0)
        .then(opening)
        .when(slot == 1)
        .then(pl.lit(ELEMENT * gap) + pl.col("status"))
        .otherwise(pl.lit(ELEMENT) + pl.col("status"))
    )


def _lines(
    frames: Mapping[str, pl.DataFrame], claims: pl.DataFrame, reasons: pl.DataFrame, day: str
) -> pl.DataFrame:
    """set_index, order, text: 2220D of the lines that made their claim be rejected (RFI 2203).

    A line with neither procedure nor revenue code can't be named; its reason is the claim's.
    """
    key = ["claim_id", "line_number"]
    own = (
        reasons.drop_nulls("line_number")
        .with_columns(at=pl.int_range(pl.len()).over(key))
        .filter(pl.col("at") < STATUSES_A_SEGMENT)
    )
    # one STC a line: STC04 to STC09 are not used, STC10 and STC11 hold a second and third reason
    statuses = (
        own.select(*key, text=_packed(segment("STC", pl.col("status"), day, "U"), 7))
        .group_by(key, maintain_order=True)
        .agg(pl.col("text").str.join("").alias("statuses"))
    )
    lines = frames["lines"].join(statuses, on=key, how="semi", maintain_order="left").select(
        *key, *LINE_TEXT, "procedure_qualifier_code", "modifier_codes", "charge_amount",
        "unit_quantity", "service_from_date", "service_through_date",
    )  # fmt: skip
    lines = (
        fit_codes(fit(lines, LINE_TEXT), LINE_CODES)
        .filter(pl.any_horizontal(pl.col("procedure_code", "revenue_code").is_not_null()))
        .join(statuses, on=key, how="left", maintain_order="left")
        .join(claims.select("claim_id", "set_index", "order"), on="claim_id", maintain_order="left")
        .sort("order", "line_number")
    )
    coded = pl.col("procedure_code").is_not_null()
    qualifier = pl.col("procedure_qualifier_code")
    service = (
        pl.when(coded)
        .then(
            pl.concat_str(
                pl.when(qualifier.is_in(PROCEDURE_QUALIFIERS))
                .then(qualifier)
                .otherwise(pl.lit("HC")),
                "procedure_code",
                "modifier_codes",
                separator=COMPONENT,
                ignore_nulls=True,
            )
        )
        .otherwise(pl.lit(f"NU{COMPONENT}") + pl.col("revenue_code"))
    )
    text = pl.concat_str(
        segment(
            "SVC", service, decimal(pl.col("charge_amount").fill_null(0), 2), "",
            pl.when(coded).then("revenue_code"), "", "", decimal(pl.col("unit_quantity"), 3),
        ),
        "statuses",
        # the line's place where its sender gave it no number of his own
        segment(
            "REF", "FJ", pl.coalesce("line_control_number", pl.col("line_number").cast(pl.String))
        ),
        where("prescription_number", segment("REF", "XZ", pl.col("prescription_number"))),
        where("service_from_date", _days("service_from_date", "service_through_date")),
    )  # fmt: skip
    return lines.select("set_index", pl.col("order") + 1, text=text)
