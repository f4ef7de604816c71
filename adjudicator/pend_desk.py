"""What people see of pended claims and decide of them: the work lists, one claim, release, denial.

An act is a row of data and a row of the audit trail; the next night decides by it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

import polars as pl
from sqlalchemy import Connection

from adjudicator import store
from adjudicator.arithmetic import listed, money
from adjudicator.desk import DeskError, fact, filled, last_night, said
from adjudicator.edits import EDITS
from adjudicator.explain import Explanation, explain
from adjudicator.pends import codes_of, pend_terms
from adjudicator.programs import load_adjustment_codes
from adjudicator.reports.text import counted
from schemas.program import PendDenial, Program

ITEM = {
    "claim_number": pl.String, "claim_id": pl.Int64, "program_code": pl.String,
    "received_date": pl.Date, "charge_amount": pl.Int64, "pend_code": pl.String,
    "began_date": pl.Date, "owner": pl.String, "lapse_date": pl.Date, "overdue": pl.Boolean,
}  # fmt: skip
NOBODY = "nobody"
WAYS = {"released": "passes", "denied": "denies"}


class PendError(DeskError):
    """The act can't be done: the message names the claim's number, the cause and the mend."""


@dataclass(frozen=True)
class Act:
    """What was decided of a claim, for the nights to come."""

    override_number: int
    claim_number: str
    act: str
    edit: str | None
    pend_code: str | None
    denial: str | None
    line_numbers: list[int]
    made_date: str
    made_by: str
    note: str

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def as_text(self) -> str:
        lines = (
            f"line{'s' * (len(self.line_numbers) > 1)} {listed(list(map(str, self.line_numbers)))}"
            if self.line_numbers
            else "the whole claim"
        )
        what = f"{self.edit} is passed" if self.edit else f"{self.pend_code} becomes {self.denial}"
        return filled(
            f"claim {self.claim_number}, {lines}: {what} from the next night on (act "
            f"{self.override_number}, {self.made_by}, {self.made_date})"
        )


# ---- the lists -------------------------------------------------------------------------------


def pends_list(
    connection: Connection, *, today: date | None = None, code: str | None = None,
    owner: str | None = None, overdue: bool = False,
) -> pl.DataFrame:  # fmt: skip
    """One row a claim and what it waits for since the last night, the oldest claim first.

    ``age_days``: from the day of receipt to ``today``, by default the last night's date, by which
    ``overdue`` is told too.
    """
    day = today or last_night(connection)
    found = store.read_frame(
        connection,
        "SELECT c.claim_number, c.claim_id, c.program_code, c.received_date, c.charge_amount, "
        "p.pend_code, p.began_date, p.owner, p.lapse_date, p.overdue FROM claim AS c "
        "JOIN pend AS p ON p.claim_id = c.claim_id AND p.run_id = c.decided_run_id "
        "WHERE c.disposition = 'pended' AND p.state = 'waits'",
        ITEM,
    )
    wanted = [pl.lit(value=True)]
    wanted += [pl.col("pend_code") == code.upper()] if code else []
    wanted += [pl.col("owner") == owner] if owner else []
    wanted += [pl.col("overdue")] if overdue else []
    return (
        found.with_columns(
            owner=pl.col("owner").fill_null(NOBODY),
            overdue=(pl.col("lapse_date") <= day).fill_null(value=False),
            age_days=(pl.lit(day) - pl.col("received_date")).dt.total_days(),
        )
        .filter(*wanted)
        .sort("received_date", "claim_id", "pend_code")
    )


def list_as_text(found: pl.DataFrame) -> str:
    """At 80 columns: claim, pend, age, since, last day (an exclamation mark: overdue), owner."""
    out = [
        f"{'claim':<12}  {'pend':<10}  {'age':>4}  {'since':<10}  {'last day':<11}  {'owner':<24}"
    ]
    for row in found.iter_rows(named=True):
        last = f"{row['lapse_date'] or '-'}{'!' * row['overdue']}"
        out.append(
            f"{row['claim_number']:<12}  {row['pend_code']:<10}  {row['age_days']:>4}  "
            f"{row['began_date']}  {last:<11}  {row['owner'][:24]:<24}".rstrip()
        )
    claims = found.unique("claim_id")
    late = int(found["overdue"].sum())
    out += [
        "",
        f"{counted(claims.height, 'claim')}, charges "
        f"{money(int(claims['charge_amount'].sum()))}; {late:,} overdue",
    ]
    return "\n".join(line.rstrip() for line in out)


def list_as_json(found: pl.DataFrame) -> list[dict[str, Any]]:
    return found.with_columns(pl.col(pl.Date).cast(pl.String)).to_dicts()


# ---- one claim -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Shown:
    """A claim that waits or waited, as data: its pends, what may be decided, nights and acts."""

    claim_number: str
    disposition: str | None
    received_date: str
    age_days: int
    charge_amount: int
    waits_for: list[dict[str, Any]]
    may_release: list[str]
    may_deny: list[str]
    nights: list[dict[str, Any]]
    acts: list[dict[str, Any]]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def pends_show(
    connection: Connection, number: str, programs: Mapping[str, Program], today: date | None = None
) -> Shown:
    """What a claim waits for, what a person may decide of it, and what each night saw.

    Raises UnknownClaimError.
    """
    told = explain(connection, number, programs=programs)
    claim = told.claim
    received = date.fromisoformat(claim["received_date"])
    history = store.pend_history(connection, claim["claim_id"])
    acts = store.overrides(connection, [claim["claim_id"]])
    says = {(f["edit"], f["line_number"], f["pend_code"]): f["says"] for f in told.findings}
    return Shown(
        claim["claim_number"], claim["disposition"], claim["received_date"],
        ((today or last_night(connection)) - received).days, claim["charge_amount"],
        [
            {**w, "says": says.get((w["edit"], w["line_number"], w["pend_code"]))}
            for w in told.waits_for
        ],
        sorted({w["edit"] for w in told.waits_for} & _releasable()),
        list(dict.fromkeys(codes_of(d) for _, d in _denials(told, programs))),
        history.drop("claim_id").with_columns(pl.col(pl.Date).cast(pl.String)).to_dicts(),
        acts.drop("claim_id").with_columns(pl.col(pl.Date).cast(pl.String)).to_dicts(),
    )  # fmt: skip


def show_as_text(shown: Shown) -> str:
    """At 80 columns."""
    words = {code: found.words for code, found in load_adjustment_codes().items()}
    out = [
        filled(
            f"Claim {shown.claim_number}, {shown.disposition or 'not decided yet'}: charge "
            f"{money(shown.charge_amount)}, received {shown.received_date}, {shown.age_days} days "
            "old"
        )
    ]
    for each in shown.waits_for:
        line = f", line {each['line_number']}" if each["line_number"] else ""
        out += ["", filled(f"{each['pend_code']} ({each['edit']}{line}): {each['says']}")]
        rows = {
            "since": each["began_date"],
            "owner": each["owner"] or NOBODY,
            "next": each["next_action"],
            "ends by": each["released_by"],
            "last day": each["lapse_date"]
            and (
                f"{each['lapse_date']}, then {each['lapses_into']}"
                if each["lapses_into"]
                else f"{each['lapse_date']}{', overdue' * each['overdue']}"
            ),
        }
        out += [fact(name, text) for name, text in rows.items() if text]
    if shown.waits_for:
        out += [
            "",
            fact("release", listed(shown.may_release) if shown.may_release else
                 "nothing here: what is missing must be mended"),
            *(
                fact("deny", f"{codes}: {words.get(codes.split()[0].split('-')[1], '')}")
                for codes in shown.may_deny
            ),
        ]  # fmt: skip
    if shown.nights:
        out += ["", "Nights"]
        out += [
            fact(night["business_date"], f"{night['pend_code']} {night['state']}"
                 f"{', overdue' * bool(night['overdue'])}")
            for night in shown.nights
        ]  # fmt: skip
    if shown.acts:
        out += ["", "Acts"]
        out += [
            fact(act["made_date"], f"{act['act']} {act['edit'] or act['pend_code']}"
                 f"{' ' + _codes(act) if act['carc'] else ''} by {act['made_by']}: {act['note']}")
            for act in shown.acts
        ]  # fmt: skip
    return "\n".join(out)


# ---- acts ------------------------------------------------------------------------------------


def release(
    connection: Connection, number: str, edit: str, *, note: str, who: str, made: date,
    programs: Mapping[str, Program], recorded_at: str | None = None,
) -> Act:  # fmt: skip
    """That edit's pends of this claim are passed from the next night on; every other edit is
    asked again.

    Raises PendError (UnknownClaimError) where the claim doesn't wait for it, or nothing can be
    decided without what it lacks.
    """
    told = _pended(connection, number, programs)
    waits = [w for w in told.waits_for if w["edit"] == edit]
    may = sorted({w["edit"] for w in told.waits_for} & _releasable())
    if not waits:
        known = listed(may) if may else "nothing that can be released"
        raise PendError(f"{_name(told)} does not wait for {edit!r}; it waits for {known}")
    if edit not in may:
        raise PendError(
            f"{_name(told)}: {edit} can't be released: nothing is decided without what it lacks; "
            f"what ends it: {waits[0]['released_by'] or 'a mend of the program'}"
        )
    facts = {"edit": edit}
    return _keep(connection, told, "released", waits, facts, note, who, made, recorded_at)


def deny(
    connection: Connection, number: str, carc: str, *, note: str, who: str, made: date,
    programs: Mapping[str, Program], recorded_at: str | None = None,
) -> Act:  # fmt: skip
    """What waits of this claim for the pend that this CARC may end is denied from the next night
    on; its other lines are decided as ever.

    Raises PendError (UnknownClaimError) where the claim doesn't wait, or its program gives its
    pends no such denial.
    """
    told = _pended(connection, number, programs)
    may = _denials(told, programs)
    chosen = [(code, d) for code, d in may if d.carc == carc.upper()]
    if not chosen:
        known = ", ".join(dict.fromkeys(codes_of(d) for _, d in may))
        raise PendError(
            f"{_name(told)} can't be denied {carc}; "
            + (f"its program allows {known}" if known else "its program allows no denial of its "
               "pends (pends in program.yaml)")
        )  # fmt: skip
    pend_code, denial = chosen[0]
    waits = [w for w in told.waits_for if w["pend_code"] == pend_code]
    facts = {"pend_code": pend_code, "group_code": denial.group_code, "carc": denial.carc,
             "rarc": denial.rarc}  # fmt: skip
    return _keep(connection, told, "denied", waits, facts, note, who, made, recorded_at)


def _keep(
    connection: Connection, told: Explanation, act: str, waits: Sequence[Mapping[str, Any]],
    facts: Mapping[str, str | None], note: str, who: str, made: date, recorded_at: str | None,
) -> Act:  # fmt: skip
    note, who = said(note, who)
    claim = told.claim
    before = store.overrides(connection, [claim["claim_id"]]).filter(
        pl.col("act") == act, *(pl.col(c).eq_missing(pl.lit(v)) for c, v in facts.items())
    )
    if not before.is_empty():
        done = before.row(-1, named=True)
        raise PendError(
            f"{_name(told)} was {act} so on {done['made_date']} (act {done['override_number']}); "
            "the next night decides by it"
        )
    number = store.insert_override(
        connection, claim["claim_id"], claim["claim_number"], act, facts, made_date=made,
        made_by=who, note=note, recorded_at=recorded_at,
    )  # fmt: skip
    lines = sorted({w["line_number"] for w in waits if w["line_number"]})
    return Act(
        number, claim["claim_number"], act, facts.get("edit"), facts.get("pend_code"),
        _codes(facts) if facts.get("carc") else None,
        lines if all(w["line_number"] for w in waits) else [], made.isoformat(), who, note,
    )  # fmt: skip


def _pended(connection: Connection, number: str, programs: Mapping[str, Program]) -> Explanation:
    told = explain(connection, number, programs=programs)
    if told.claim["disposition"] != "pended":
        raise PendError(
            f"{_name(told)} does not wait: it is {told.claim['disposition'] or 'not decided yet'}"
        )
    return told


def _denials(told: Explanation, programs: Mapping[str, Program]) -> list[tuple[str, PendDenial]]:
    """In what the program lets what the claim waits for end, by pend code."""
    program = programs.get(told.claim["program_code"])
    began = {w["pend_code"]: w["began_date"] for w in told.waits_for if w["began_date"]}
    found = ((code, pend_terms(program, code, date.fromisoformat(day)))
             for code, day in began.items())  # fmt: skip
    return [(code, denial) for code, terms in found if terms for denial in terms.denials]


def _releasable() -> set[str]:
    return {each.name for each in EDITS if not each.must_be_mended}


# ---- words -----------------------------------------------------------------------------------


def _name(told: Explanation) -> str:
    return f"claim {told.claim['claim_number'] or 'S' + str(told.claim['claim_id'])}"


def _codes(facts: Mapping[str, str | None]) -> str:
    told = f"{facts['group_code']}-{facts['carc']}"
    return f"{told} {facts['rarc']}" if facts.get("rarc") else told
