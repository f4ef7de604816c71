"""Fate, member's share and counters of a night, one claim after the other, in plain dicts.

Written from the rules alone and without the engine's help: no frame, no money.py. A night is
``claims``, ``lines``, ``findings`` and ``counters`` as lists of dicts with the columns' names;
``terms`` are ``{plan: {"deductible": {network: (individual, family)}, "maximum": likewise,
"shares": {(category, network): {"copay", "basis_points", "deductible", "covered"}}}}``,
in force always.
"""

from __future__ import annotations

from fractions import Fraction
from math import floor, inf
from typing import Any

Row = dict[str, Any]


def half_up(amount: Fraction) -> int:
    return floor(amount + Fraction(1, 2))


def findings_of_line(line: Row, findings: list[Row], disposition: str) -> list[Row]:
    return [
        f
        for f in findings
        if f["claim_id"] == line["claim_id"]
        and f["line_number"] in (None, line["line_number"])
        and f["disposition"] == disposition
    ]


def denier(line: Row, findings: list[Row]) -> Row | None:
    """The finding that takes the line's money: the first in the written order."""
    denials = findings_of_line(line, findings, "deny")
    return min(denials, key=lambda f: f["edit_rank"]) if denials else None


def pend_stands(pend: Row, denial: Row | None) -> bool:
    if denial is None:
        return True
    blind = pend["pend_code"] in ("SYSTEM", "REFERENCE")
    return blind and bool(pend["edit_rank"] < denial["edit_rank"])


def claim_fate(lines: list[Row], findings: list[Row]) -> str:
    """Of one claim, by the sentences of the rules."""
    denied = [denier(line, findings) for line in lines]
    for line, denial in zip(lines, denied, strict=True):
        own = [p for p in findings_of_line(line, findings, "pend") if p["line_number"] is not None]
        if any(pend_stands(p, denial) for p in own):
            return "pended"
    for pend in findings:
        if pend["disposition"] == "pend" and pend["line_number"] is None:
            if any(denial is None for denial in denied):
                return "pended"
            if any(pend_stands(pend, denial) for denial in denied):
                return "pended"
    return "denied" if all(denied) else "paid"


def benefits(
    claims: list[Row],
    lines: list[Row],
    findings: list[Row],
    counters: list[Row],
    terms: dict[str, Any],
) -> Row:
    """``shares`` by (claim, line), ``fates`` by claim, ``added`` by (claim, member, plan, network,
    year) and the ``counters`` after the night by (member or family, plan, network, year)."""
    deductible_used: dict[Any, int] = {}
    pocket_used: dict[Any, int] = {}
    for row in counters:
        for who in (("member", row["member_id"]), ("family", row["family_id"])):
            at = (who, row["plan_code"], row["network_code"], row["benefit_year_start_date"].year)
            deductible_used[at] = deductible_used.get(at, 0) + row["deductible_amount"]
            pocket_used[at] = pocket_used.get(at, 0) + row["out_of_pocket_amount"]

    copays_due: dict[Any, int] = {}  # one copay a claim, day and cost share
    shares: dict[Any, Any] = {}
    fates: dict[int, str] = {}
    added: dict[Any, Any] = {}
    for claim in sorted(claims, key=lambda c: c["receipt_number"]):
        of_claim = sorted(
            (x for x in lines if x["claim_id"] == claim["claim_id"]), key=lambda x: x["line_number"]
        )
        found = [f for f in findings if f["claim_id"] == claim["claim_id"]]
        found += [f for line in of_claim for f in plan_findings(line, found, terms)]
        fate = claim_fate(of_claim, found)
        if fate != "pended":
            found += [f for line in of_claim for f in price_findings(line, found)]
            fate = claim_fate(of_claim, found)
        fates[claim["claim_id"]] = fate
        for line in of_claim:
            key = (line["claim_id"], line["line_number"])
            shares[key] = (0, 0, 0)
            if fate != "paid" or denier(line, found) is not None:
                continue
            plan, network = line["plan_code"], line["network_code"]
            year = line["decision_date"].year
            mine = (("member", claim["member_id"]), plan, network, year)
            ours = (("family", claim["family_id"]), plan, network, year)
            share = share_of(line, terms)
            assert share is not None
            limits = terms[plan]["deductible"][network]
            allowed = line["allowed_amount"] if line["charge_amount"] else 0
            pocket = left(terms[plan]["maximum"][network], pocket_used, mine, ours)
            deductible = coinsurance = copay = 0
            if share["copay"] > 0:
                visit = (line["claim_id"], plan, id(share), line["decision_date"])
                due = copays_due.get(visit, share["copay"])
                copay = int(min(due, allowed, pocket))
                copays_due[visit] = due - copay
            elif line["pricing_method_code"] != "capitated":  # prepaid: a copay and no more
                if share["deductible"] and limits != (None, None):
                    deductible = int(
                        min(allowed, left(limits, deductible_used, mine, ours), pocket)
                    )
                rest = Fraction(allowed - deductible) * share["basis_points"] / 10_000
                coinsurance = int(min(half_up(rest), pocket - deductible))
            owed = deductible + coinsurance + copay
            for at in (mine, ours):
                deductible_used[at] = deductible_used.get(at, 0) + deductible
                pocket_used[at] = pocket_used.get(at, 0) + owed
            shares[key] = (deductible, coinsurance, copay)
            if owed:
                entry = (claim["claim_id"], claim["member_id"], plan, network, year)
                before = added.get(entry, (0, 0))
                added[entry] = (before[0] + deductible, before[1] + owed)
    return {
        "shares": shares,
        "fates": fates,
        "added": added,
        "deductible_used": deductible_used,
        "pocket_used": pocket_used,
    }


def left(limits: tuple[int | None, int | None], used: dict[Any, int], *counters: Any) -> float:
    """Of the member's and the family's limit, whichever comes first; None is no limit."""
    return min(
        inf if limit is None else max(0, limit - used.get(at, 0))
        for limit, at in zip(limits, counters, strict=True)
    )


def share_of(line: Row, terms: dict[str, Any]) -> Row | None:
    shares = terms[line["plan_code"]]["shares"]
    share: Row | None = shares.get((line["benefit_category"], line["network_code"]))
    return share or shares.get(("other", line["network_code"]))


def plan_findings(line: Row, found: list[Row], terms: dict[str, Any]) -> list[Row]:
    """What the plan's terms say of a line that nothing denies."""
    if denier(line, found):
        return []
    at = {"claim_id": line["claim_id"], "line_number": line["line_number"]}
    share = share_of(line, terms) if line["plan_code"] in terms else None
    if share is None:
        return [at | {"disposition": "pend", "pend_code": "REFERENCE", "edit_rank": 910}]
    if not share["covered"]:
        return [at | {"disposition": "deny", "pend_code": None, "edit_rank": 920}]
    return []


def price_findings(line: Row, found: list[Row]) -> list[Row]:
    """What is wrong with the price of a line that stands and charges something."""
    if denier(line, found) or line["charge_amount"] == 0:
        return []
    at = {"claim_id": line["claim_id"], "line_number": line["line_number"], "disposition": "pend"}
    if line["allowed_amount"] is None:
        return [at | {"pend_code": "REFERENCE", "edit_rank": 910}]
    if line["allowed_amount"] == 0 and line["pricing_method_code"] is None:
        return [at | {"pend_code": "REVIEW", "edit_rank": 930}]
    return []
