"""Why a claim was decided as it was, from the store: receipt, findings, price, share, payment."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

import polars as pl
from sqlalchemy import Connection

from adjudicator.arithmetic import (
    balance,
    effect_beside,
    money,
    owed_beside,
    payment_beside,
    price,
    quantity,
    share,
    total_paid,
)
from adjudicator.clean_claims import FINDING, clean_claims
from adjudicator.desk import DeskError
from adjudicator.edits import EDITS
from adjudicator.edits.payee_unknown import payee_unknown
from adjudicator.fate import STANDING_PENDS
from adjudicator.pends import RESOLUTION, codes_of, lapse_denial, pend_terms
from adjudicator.plan_limits import EDIT as PLAN_LIMIT
from adjudicator.programs import (
    load_adjustment_codes,
    load_forms,
    load_message_codes,
    load_programs,
)
from adjudicator.sentences import ended_by, says
from adjudicator.stages.price import CAPITATED
from adjudicator.store import decided, pend_history, read_frame
from adjudicator.store.dialect import marks
from adjudicator.store.tables import claim, file, finding, payment, run
from adjudicator.story import as_text
from adjudicator.version_story import versions_of
from schemas.program import BenefitLimit, Citation, CostShare, PlanTerms, Program, Span

__all__ = ["Explanation", "UnknownClaimError", "as_text", "explain", "money"]

SUBMISSION_PREFIX = "S"
DIGITS = 12
FIND_IT = "the night's claims.csv lists every claim by number and patient control number"

# a claim that is sent back: what its sender has left to do, and until when
RESUBMIT = Citation(
    document="001",
    lines=(2073, 2075),
    phrase="a clean electronic claim must be resubmitted no later than 60 days from the date of "
    "service",
)

# why a bill on condition is not paid
CONDITIONAL = Citation(
    document="001",
    lines=(2386, 2386),
    phrase="does not routinely compensate conditional bills",
)

# why a plan excludes what it excludes, where the plan's own terms name no source
EXCLUDED = Citation(
    document="001",
    lines=(2036, 2036),
    phrase="Covered in accordance with the applicable benefit document",
)

# what is told of a claim and of a line; who the member is stays in the store
CLAIM = (
    "claim_id", "claim_number", "receipt_number", "patient_control_number", "claim_type_code",
    "source_format_code", "received_date", "version_number", "program_code", "plan_code",
    "payee_id", "provider_number", "disposition", "pend_codes", "charge_amount", "allowed_amount",
    "member_amount", "paid_amount",
)  # fmt: skip
PLACE = ("interchange_number", "group_number", "set_number", "claim_start", "claim_end")
LINE = (
    "line_number", "revenue_code", "procedure_code", "modifier_codes", "unit_basis_code",
    "unit_quantity", "place_of_service_code", "service_from_date", "service_through_date",
    "decision_date", "coverage_code", "plan_code", "contract_id", "network_code",
    "share_network_code", "benefit_category", "pricing_method_code", "maximum_met",
    "charge_amount", "allowed_amount", "deductible_amount", "coinsurance_amount", "copay_amount",
    "paid_amount", "line_disposition", "pricing_inputs", "benefit_inputs", "coordination_inputs",
)  # fmt: skip


# reasons of adjustments: what payers before us took, what the member owes, and may not be asked for
OTHER_PAYER, UNCOLLECTABLE = "other_payer", "uncollectable"
OWED = ("deductible", "coinsurance", "copay", UNCOLLECTABLE)


class UnknownClaimError(DeskError):
    """No claim has that number, or it has no such line: the message says what there is."""


@dataclass(frozen=True)
class Explanation:
    """A claim's story as data; amounts in cents, quantities in thousandths. Prints through
    ``as_text``.

    ``clean``: whether it is a clean claim, which edits tell that it is none, ``cites``; None where
    its program does not say.
    ``findings``: each with its sentence (``says``), its source (``cites``) and, for each line it
    concerns, its effect and why it has none. ``found_nothing``: the program's other edits.
    ``lines``: with ``price`` and ``share`` (steps of arithmetic, ``cites``), where payers before
    us decided ``beside`` (likewise) and ``balance``.
    ``waits_for`` and ``to_mend``: what a pended or rejected claim needs. ``earlier``: the nights
    in which it waited. ``versions``: what it corrects and what corrects it, and how it was taken
    back (``versions_of``).
    """

    claim: dict[str, Any]
    clean: dict[str, Any] | None
    received: dict[str, Any]
    decided: dict[str, Any] | None
    earlier: list[dict[str, Any]]
    findings: list[dict[str, Any]]
    found_nothing: list[str]
    lines: list[dict[str, Any]]
    adjustments: list[dict[str, Any]]
    waits_for: list[dict[str, Any]]
    to_mend: list[dict[str, Any]]
    resubmit: list[dict[str, Any]]
    payment: dict[str, Any] | None
    versions: dict[str, Any] | None = None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def explain(
    connection: Connection,
    number: str,
    line_number: int | None = None,
    programs: Mapping[str, Program] | None = None,
) -> Explanation:
    """The story of the claim with that 12-digit number (leading zeros may be left out), or
    submission ``S<number>``; with ``line_number`` of that line alone.

    ``programs``: whose citations stand beside prices and shares; default: those shipped.
    Raises UnknownClaimError.
    """
    row = _claim(connection, number)
    programs = load_programs() if programs is None else programs
    program = programs.get(row["program_code"])
    claim_id, run_id = row["claim_id"], row["decided_run_id"]
    lines = [_line(r) for r in decided(connection, "lines", [claim_id]).to_dicts()]
    numbers = [r["line_number"] for r in lines]
    if line_number is not None and numbers and line_number not in numbers:
        has = f"lines {numbers[0]} to {numbers[-1]}" if len(numbers) > 1 else "one line, number 1"
        raise UnknownClaimError(f"the claim has no line {line_number}; it has {has}")
    adjustments = decided(connection, "adjustments", [claim_id]).drop("claim_id").to_dicts()
    every = sorted(
        _rows(connection, finding, "claim_id", claim_id),
        key=lambda f: (f["run_id"], f["edit_rank"], f["line_number"] or 0),
    )
    for each in every:
        each["inputs"] = json.loads(each["inputs"] or "{}")
    findings = [f for f in every if f["run_id"] == run_id]
    pends = {
        row["pend_code"]: row
        for row in pend_history(connection, claim_id).filter(run_id=run_id).to_dicts()
    } if run_id is not None and row["disposition"] == "pended" else {}  # fmt: skip
    of_findings = effects(findings, numbers)
    told = [
        {
            **{c: f[c] for c in f if c not in ("run_id", "claim_id")},
            "says": says(f),
            "cites": _cites(f, row, programs),
            "judgement": _is_judgement(f["edit"]),
            "effects": [e for e in of_lines if line_number in (None, e["line_number"])],
        }
        for f, of_lines in zip(findings, of_findings, strict=True)
        if line_number is None or f["line_number"] in (None, line_number)
    ]
    judged = row["disposition"] != "voided" or row["payment_id"] is not None
    asked = program.edits if program and lines and judged else ()
    silent = [name for name in asked if name not in {f["edit"] for f in findings}]
    for r in lines:
        r.update(_money(r, lines, adjustments, program))
    received = _rows(connection, file, "file_id", row["file_id"])[0]
    return Explanation(
        claim={c: row[c] for c in CLAIM},
        clean=_clean(row, every, program),
        received={
            "name": received["name"],
            "sha256": received["sha256"],
            "received_date": row["received_date"],
            **{c: row[c] for c in PLACE},
        },
        decided=_night(connection, run_id),
        earlier=_earlier(connection, every, run_id),
        findings=told,
        found_nothing=silent,
        lines=[r for r in lines if line_number in (None, r["line_number"])],
        adjustments=[
            _with_words(a) for a in adjustments if line_number in (None, a["line_number"])
        ],
        waits_for=_waits_for(row, told, pends, program),
        to_mend=_to_mend(row, told),
        resubmit=_sources(RESUBMIT) if row["disposition"] == "rejected" else [],
        payment=_payment(connection, row, lines),
        versions=versions_of(connection, row),
    )


# ---- what the store holds --------------------------------------------------------------------


def _claim(connection: Connection, number: str) -> dict[str, Any]:
    text = number.strip().upper()
    digits = text.removeprefix(SUBMISSION_PREFIX)
    if not (digits.isascii() and digits.isdigit() and len(digits) <= DIGITS):
        raise UnknownClaimError(
            f"that is no claim number: write its {DIGITS} digits (leading zeros may be left out) "
            f"or S and the submission's number, as S17; {FIND_IT}"
        )
    by_submission = digits != text
    found = (
        _rows(connection, claim, "claim_id", int(digits))
        if by_submission
        else _rows(connection, claim, "claim_number", digits.zfill(DIGITS))
    )
    if found:
        return found[0]
    known = read_frame(
        connection,
        "SELECT min(claim_id) AS first, max(claim_id) AS last, min(claim_number) AS least, "
        "max(claim_number) AS most FROM claim",
        {"first": pl.Int64, "last": pl.Int64, "least": pl.String, "most": pl.String},
    ).row(0, named=True)
    if known["last"] is None:
        raise UnknownClaimError("this store holds no claim yet; `adjudicate run` takes claims in")
    has = (
        f"submissions S{known['first']} to S{known['last']}"
        if by_submission
        else f"claims {known['least']} to {known['most']}"
        if known["most"]
        else f"no numbered claim, only rejected submissions to S{known['last']}"
    )
    raise UnknownClaimError(
        f"no {'submission' if by_submission else 'claim'} has this number; the store holds {has}. "
        f"{FIND_IT[0].upper()}{FIND_IT[1:]}"
    )


def _rows(connection: Connection, table: Any, column: str, key: object) -> list[dict[str, Any]]:
    schema = {
        c.name: pl.String if "CHAR" in str(c.type).upper() else pl.Int64 for c in table.columns
    }
    names, [mark] = ", ".join(schema), marks(connection, 1)
    return read_frame(
        connection, f"SELECT {names} FROM {table.name} WHERE {column} = {mark}", schema, (key,)
    ).to_dicts()


def _line(row: Mapping[str, Any]) -> dict[str, Any]:
    told = {
        name: value.isoformat() if isinstance(value, date) else value
        for name, value in row.items()
        if name in LINE
    }
    for column in ("pricing_inputs", "benefit_inputs", "coordination_inputs"):
        told[column] = json.loads(told[column] or "{}")
    return told


def _night(connection: Connection, run_id: int | None) -> dict[str, Any] | None:
    nights = _rows(connection, run, "run_id", run_id) if run_id is not None else []
    wanted = ("run_id", "business_date", "reference_version")
    return {c: nights[0][c] for c in wanted} if nights else None


def _clean(
    row: Mapping[str, Any], findings: Sequence[Mapping[str, Any]], program: Program | None
) -> dict[str, Any] | None:
    if row["disposition"] is None or program is None:
        return None
    claims = pl.DataFrame(
        {
            "claim_id": [row["claim_id"]], "program_code": [row["program_code"]],
            "received_date": [date.fromisoformat(row["received_date"])],
        }
    )  # fmt: skip
    of_claim = pl.DataFrame([{c: f[c] for c in FINDING} for f in findings], schema=FINDING)
    found = clean_claims(claims, of_claim, {program.program_code: program}).to_dicts()
    if not found:
        return None
    [terms] = [t for t in program.clean_claims if _holds(t, claims["received_date"][0])]
    edits = found[0]["unclean_edits"]
    return {
        "clean": found[0]["clean"],
        "edits": edits.split(" ") if edits else [],
        "cites": _sources(terms.citation),
    }


def _holds(terms: Span, day: date) -> bool:
    return terms.start_date <= day and (terms.end_date is None or day <= terms.end_date)


def _earlier(
    connection: Connection, findings: Sequence[Mapping[str, Any]], run_id: int | None
) -> list[dict[str, Any]]:
    """The nights before the last in which a pend was found, and for what."""
    nights: dict[int, list[str]] = {}
    for f in findings:
        if f["run_id"] != run_id and f["pend_code"] and f["disposition"] == "pend":
            nights.setdefault(f["run_id"], []).append(f["pend_code"])
    return [
        {**(_night(connection, night) or {}), "pend_codes": list(dict.fromkeys(codes))}
        for night, codes in nights.items()
    ]


def _payment(
    connection: Connection, row: Mapping[str, Any], lines: Sequence[Mapping[str, Any]]
) -> dict[str, Any] | None:
    if row["payment_id"] is None:
        return None
    [paid] = _rows(connection, payment, "payment_id", row["payment_id"])
    return {**paid, "sum": asdict(total_paid(lines)), "cites": _sources(payee_unknown.cites)}


# ---- findings --------------------------------------------------------------------------------


def effects(
    findings: Sequence[Mapping[str, Any]], numbers: Sequence[int]
) -> list[list[dict[str, Any]]]:
    """For each finding its effect on each line it concerns: rejects, pends, denies or none, and
    ``because`` why none. The reading of findings that *settle* rests on (adjudicator/fate.py)."""
    told: list[list[dict[str, Any]]] = [[] for _ in findings]
    places: list[int | None] = [*numbers] if numbers else [None]  # no line: told as a whole
    for n in places:
        mine = [
            (f, of_lines)
            for f, of_lines in zip(findings, told, strict=True)
            if n is None or f["line_number"] in (None, n)
        ]
        denials = [f for f, _ in mine if f["disposition"] == "deny"]
        denier = min(denials, key=_precedence, default=None)
        for f, of_lines in mine:
            effect, because = _effect(f, denier)
            number = f["line_number"] if n is None else n
            of_lines.append({"line_number": number, "effect": effect, "because": because})
    every = [e for of_lines in told for e in of_lines]
    for stops, why in (
        ("rejects", "the claim was sent back, and never adjudicated"),
        ("pends", "the claim waits, and nothing of it is settled yet"),
    ):
        if any(e["effect"] == stops for e in every):
            for e in every:
                if e["effect"] in {"pends", "denies"} - {stops}:
                    e |= {"effect": "none", "because": why}
    return told


def _effect(f: Mapping[str, Any], denier: Mapping[str, Any] | None) -> tuple[str, str | None]:
    """A finding's effect on a line that ``denier``, its first denial, denies."""
    if f["disposition"] == "reject":
        return "rejects", None
    if f["disposition"] == "inform":
        return "none", "noted only"
    if denier is f:
        return "denies", None
    if denier is None:
        return "pends", None
    if f["disposition"] == "pend":
        if f["pend_code"] in STANDING_PENDS and f["edit_rank"] < denier["edit_rank"]:
            return "pends", None
        return "none", f"a denial beats a pend, and {denier['edit']} denies the line"
    if f["edit"] == denier["edit"]:
        return "none", "another finding of the same edit comes first"
    return "none", f"an earlier edit, {denier['edit']}, denies the line"


def _precedence(f: Mapping[str, Any]) -> tuple[Any, ...]:
    codes = (f[c] or "" for c in ("edit", "carc", "group_code", "rarc"))
    return (f["edit_rank"], f["line_number"] is None, *codes)


def _is_judgement(name: str) -> bool:
    return any(e.judgement for e in EDITS if e.name == name)


def _source(cites: Citation) -> dict[str, Any]:
    return {"document": cites.document, "lines": list(cites.lines), "phrase": cites.phrase}


def _sources(*cites: Citation | None) -> list[dict[str, Any]]:
    return [_source(each) for each in cites if each is not None]


def _cites(
    f: Mapping[str, Any], row: Mapping[str, Any], programs: Mapping[str, Program]
) -> list[dict[str, Any]]:
    inputs, program = f["inputs"], programs.get(row["program_code"])
    if "box" in inputs:
        return [
            {"document": form.citation.document, "lines": list(box.lines), "phrase": None}
            for form in load_forms()
            for box in form.fields
            if form.claim_type_code == row["claim_type_code"]
            and (box.box, box.name) == (inputs.get("box"), inputs.get("field"))
        ]
    if f["edit"] == "plan_exclusion":
        terms = _terms(program, inputs.get("plan_code"), inputs.get("decision_date"))
        excluded = _cost_share(terms, inputs.get("benefit_category"), inputs.get("network_code"))
        return _sources((excluded.citation if excluded else None) or EXCLUDED)
    if f["edit"] == PLAN_LIMIT:
        terms = _terms(program, inputs.get("plan_code"), inputs.get("decision_date"))
        limit = _limit(terms, inputs.get("limit_code"))
        return _sources(limit.citation if limit else None)
    cites: list[Citation | None] = [e.cites for e in EDITS if e.name == f["edit"]]
    cites.append(_ended(f, program))
    if f["edit"] == "timely_filing" and program:
        # the edit cites the limit of those with a contract
        cites += [
            limit.citation
            for limit in program.filing_limits
            if not limit.contracted and limit.days == inputs.get("limit_days")
        ]
    if f["edit"] == "carve_out" and program:
        # the edit cites one of those there are
        carved = [c.citation for c in program.carve_outs if c.services == inputs.get("services")]
        cites = [*carved] or cites
    if f["edit"] == "prior_authorization" and program:
        asked = program.prior_authorization
        if f["group_code"] == "PR" and asked.citation:
            cites = [asked.citation]
        elif str(inputs.get("because")).startswith("exempt") and asked.exempt_citation:
            cites = [asked.exempt_citation]
    if inputs.get("conditional"):
        cites.append(CONDITIONAL)
    return _sources(*cites)


def _ended(f: Mapping[str, Any], program: Program | None) -> Citation | None:
    """The sentence on which the denial rests that a pend ended in, of itself or by a person."""
    if RESOLUTION not in f["inputs"] or program is None:
        return None
    found = (
        denial.citation
        for terms in program.pends
        if terms.pend_code == f["pend_code"]
        for denial in terms.denials
        if (denial.group_code, denial.carc) == (f["group_code"], f["carc"])
    )
    return next(found, None)


# ---- price, share, balance -------------------------------------------------------------------


def _money(
    line: Mapping[str, Any],
    lines: Sequence[Mapping[str, Any]],
    adjustments: Sequence[Mapping[str, Any]],
    program: Program | None,
) -> dict[str, Any]:
    """What is told of a line's ``price``, ``share``, ``beside`` other payers and ``balance``; None
    where there is none."""
    adjusted = [a for a in adjustments if a["line_number"] == line["line_number"]]
    priced, shared = price(line, lines), share(line)
    told: dict[str, Any] = {"price": None, "share": None, "beside": None, "balance": None}
    if priced:
        told["price"] = {
            "basis": f"by contract {line['contract_id']}"
            if line["contract_id"]
            else "without a contract",
            **asdict(priced),
            "agrees": priced.agrees,
            "cites": _price_sources(line, adjusted, program),
        }
    if shared:
        terms = _terms(program, line["plan_code"], line["benefit_inputs"].get("terms_start_date"))
        waived = _waives(terms, line) and not line["benefit_inputs"].get("deductible_applies")
        told["share"] = {
            "basis": _share_basis(line),
            **asdict(shared),
            "agrees": shared.agrees,
            "illustrative": line["benefit_inputs"].get("illustrative", False),
            "deductible_waived": waived,
            **_limits(terms, line),
            "uncollectable": any(a["reason"] == UNCOLLECTABLE for a in adjusted),
            "cites": _share_sources(terms, line),
        }
        if told["share"]["uncollectable"] and program:
            told["share"]["cites"] += _sources(program.uncollectable_citation)
    if line["coordination_inputs"]:
        told["beside"] = _beside(line, adjusted, program)
    if line["line_disposition"] not in ("pended", "voided"):
        told["balance"] = asdict(balance(line, adjusted))
    return told


def _beside(
    line: Mapping[str, Any], adjusted: Sequence[Mapping[str, Any]], program: Program | None
) -> dict[str, Any]:
    """What payers before us left of a line, and what comes of it; of a denied line the first."""
    inputs = line["coordination_inputs"]
    taken = {a["reason"]: a["adjustment_amount"] for a in adjusted}
    told: dict[str, Any] = {
        "by_line": inputs["by_line"],
        "other_payer_amount": taken.get(OTHER_PAYER, 0),
        "owed_amount": sum(taken.get(reason, 0) for reason in OWED),
        "effect": None, "payment": None, "owed": None, "given_back": 0, "judgement": True,
        "cites": [],
    }  # fmt: skip
    if "group_left_amount" in inputs:
        payment, owed = payment_beside(inputs), owed_beside(inputs)
        told |= {
            "effect": asdict(effect_beside(inputs)),
            "payment": {**asdict(payment), "agrees": payment.agrees},
            "owed": {**asdict(owed), "agrees": owed.agrees},
            "given_back": (inputs["group_share_amount"] - inputs["group_owed_amount"])
            * inputs["counts_owed"],
        }
        if inputs["cost_share_only"] and program and program.coordination:
            told["judgement"] = False
            told["cites"] = _sources(program.coordination.cost_share_citation)
    return told


def _price_sources(
    line: Mapping[str, Any], adjusted: Sequence[Mapping[str, Any]], program: Program | None
) -> list[dict[str, Any]]:
    if program is None:
        return []
    outside = program.out_of_network
    above = any(a["reason"] == "above_usual_charge" for a in adjusted)
    return _sources(
        program.contract_citation if line["contract_id"] else outside.citation,
        program.capitation_citation if line["pricing_method_code"] == CAPITATED else None,
        outside.balance_citation if above else None,
    )


def _terms(program: Program | None, plan_code: str | None, day: str | None) -> PlanTerms | None:
    plan = program.plans.get(plan_code or "") if program else None
    return next(
        (
            terms
            for terms in (plan.terms if plan and day else ())
            if terms.start_date.isoformat() <= str(day)
            and (terms.end_date is None or terms.end_date.isoformat() >= str(day))
        ),
        None,
    )


def _cost_share(
    terms: PlanTerms | None, category: str | None, network: str | None
) -> CostShare | None:
    """The cost share for a category, else that of whatever the terms don't name."""
    found: dict[tuple[str | None, str | None], CostShare] = {
        (s.category, s.network_code): s for s in (terms.cost_shares if terms else ())
    }
    return found.get((category, network), found.get(("other", network)))


def _limit(terms: PlanTerms | None, limit_code: str | None) -> BenefitLimit | None:
    limits = terms.limits if terms else ()
    return next((limit for limit in limits if limit.limit_code == limit_code), None)


def _counted_network(line: Mapping[str, Any]) -> str:
    return str(line["share_network_code"] or line["network_code"])


def _share_basis(line: Mapping[str, Any]) -> str:
    inputs = line["benefit_inputs"]
    where = "in" if line["network_code"] == "in" else "outside"
    as_if = ", shared as in it" if (where, line["share_network_code"]) == ("outside", "in") else ""
    referral = inputs.get("referral_number")
    category = inputs["category"].replace("_", " ") + " care" * (inputs["category"] == "other")
    visit = (
        f"; visit {inputs['visit']} of {inputs['visit_limit']} under referral {referral}"
        if referral
        else ""
    )
    authorization = inputs.get("authorization_number")
    units = (
        f"; {quantity(inputs['used_quantity'])} of {inputs['unit_limit']} units used under "
        f"authorization {authorization}"
        if authorization
        else ""
    )
    if limited := inputs.get("limit_code"):
        visit += (
            f"; {inputs['limit_unit']} {inputs['limit_use']} of {inputs['limit_maximum']} of "
            f"{limited.replace('_', ' ')} in {line['decision_date'][:4]}"
        )
    return (
        f"{category} {where} the network{as_if}, {line['plan_code']}, "
        f"terms from {inputs['terms_start_date']}{visit}{units}"
    )


def _limits(terms: PlanTerms | None, line: Mapping[str, Any]) -> dict[str, Any]:
    """A year's limits by the plan; null where it has none or isn't known."""
    told: dict[str, Any] = {}
    for name in ("deductible", "out_of_pocket"):
        of_network = getattr(terms, name).get(_counted_network(line)) if terms else None
        for who in ("individual", "family"):
            told[f"{name}_{who}_amount"] = getattr(of_network, f"{who}_amount", None)
    return told


def _waives(terms: PlanTerms | None, line: Mapping[str, Any]) -> bool:
    """Whether the plan takes the line's deductible only from households known not to comply."""
    network = _counted_network(line)
    shared = _cost_share(terms, line["benefit_inputs"]["category"], network)
    return bool(
        terms
        and shared
        and shared.deductible_applies
        and not shared.copay_amount
        and network in terms.deductible_waived
    )


def _share_sources(terms: PlanTerms | None, line: Mapping[str, Any]) -> list[dict[str, Any]]:
    shared = _cost_share(terms, line["benefit_inputs"]["category"], _counted_network(line))
    limit = _limit(terms, line["benefit_inputs"].get("limit_code"))
    return _sources(
        shared.citation if shared else None,
        terms.deductible_waiver_citation if terms and _waives(terms, line) else None,
        limit.citation if limit else None,
    )


def _with_words(adjustment: dict[str, Any]) -> dict[str, Any]:
    """An adjustment with our own words for its group and codes."""
    codes, messages = load_adjustment_codes(), load_message_codes()
    group, carc, rarc = (adjustment[c] for c in ("group_code", "carc", "rarc"))
    return {
        **adjustment,
        "group_words": messages[group].words if group in messages else None,
        "carc_words": codes[carc].words if carc in codes else None,
        "rarc_words": codes[rarc].words if rarc in codes else None,
    }


# ---- what a claim needs ----------------------------------------------------------------------


def _waits_for(
    row: Mapping[str, Any],
    findings: Sequence[Mapping[str, Any]],
    pends: Mapping[str, Mapping[str, Any]],
    program: Program | None,
) -> list[dict[str, Any]]:
    """The pends that stand: code, our words for it, which edit found it, what releases it, since
    when it waits, whose it is, what that queue does next, and its last day."""
    messages = load_message_codes()
    return [
        {
            "pend_code": f["pend_code"],
            "words": messages[f["pend_code"]].words if f["pend_code"] in messages else None,
            "edit": f["edit"],
            "line_number": f["line_number"],
            "released_by": ended_by(f),
            **pend_life(pends.get(f["pend_code"]), program, f),
        }
        for f in findings
        if row["disposition"] == "pended" and any(e["effect"] == "pends" for e in f["effects"])
    ]


def pend_life(
    pend: Mapping[str, Any] | None, program: Program | None, finding: Mapping[str, Any]
) -> dict[str, Any]:
    """Since when a pend waits, whose it is, what is done next, and its last day.

    ``lapses_into``: the denial of that day; null where it stays and is overdue.
    """
    began = pend["began_date"] if pend else None
    terms = pend_terms(program, finding["pend_code"], began) if began else None
    denial = lapse_denial(terms, finding["inputs"].get("because"))
    last = pend["lapse_date"] if pend else None
    return {
        "began_date": began and began.isoformat(),
        "owner": pend["owner"] if pend else None,
        "next_action": terms.next_action if terms else None,
        "lapse_date": last and last.isoformat(),
        "lapses_into": codes_of(denial) if denial else None,
        "overdue": bool(pend and pend["overdue"]),
    }


def _to_mend(row: Mapping[str, Any], findings: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            "edit": f["edit"],
            "line_number": f["line_number"],
            "mended_by": ended_by(f) or f"mend this: {f['says']}",
        }
        for f in findings
        if row["disposition"] == "rejected" and f["disposition"] == "reject"
    ]
