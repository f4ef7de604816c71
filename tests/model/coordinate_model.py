"""What is paid and owed beside payers before us, one claim at a time, in plain ints and dicts.

Written from the rule (42 CFR 411.33(a) as the programs' terms read it) without the engine's help:
no frame, no money.py. A claim is ``lines`` (dicts with ``charge``, ``allowed``, ``shares`` alone
as [deductible, coinsurance, copay], ``fate`` paid, denied or duplicate, ``method``) and ``payers``
(dicts with ``paid``, ``cas`` [(group, reason, amount)], and ``lines``: such dicts by line, or
None where told of the claim).
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

Row = dict[str, Any]

SHARE = {"1", "2", "3", "66", "122", "247", "248"}
UNCOVERED = {"26", "27", "31", "32", "33", "34", "35", "49", "51", "96", "119", "149", "200", "204"}


def parts(total: int, weights: list[int]) -> list[int]:
    """By the largest remainder, of equal ones the first."""
    if not sum(weights):
        return [0 for _ in weights]
    exact = [Fraction(total * w, sum(weights)) for w in weights]
    given = [e.numerator // e.denominator for e in exact]
    while sum(given) < total:
        most = max(range(len(weights)), key=lambda n: (exact[n] - given[n], -n))
        given[most] += 1
    return given


def left_of(charge: int, told: list[Row]) -> Row:
    """Of one charge, what payers before us paid, allow at most, and left."""
    may_collect = []
    for payer in told:
        written = 0
        for group, reason, amount in payer["cas"]:
            if group == "PR" or reason in UNCOVERED or (group, reason) == ("OA", "23"):
                continue
            written += amount
        may_collect.append(charge - written)
    paid = sum(payer["paid"] for payer in told)
    allowed = [
        payer["paid"] + sum(a for g, r, a in payer["cas"] if g == "PR" and r in SHARE)
        for payer in told
    ]
    return {"paid": paid, "allowed": max(allowed), "left": min(min(may_collect) - paid, charge)}


def coordinate(claim: Row) -> list[Row]:
    """Of each line ``taken`` (OA-23), ``paid``, ``owed`` and ``denied``; ``None`` for the rest of a
    duplicate."""
    lines, payers = claim["lines"], claim["payers"]
    if all(payer["lines"] is not None and not payer["cas"] for payer in payers):
        figures = [
            left_of(line["charge"], [payer["lines"][n] for payer in payers])
            for n, line in enumerate(lines)
        ]
        groups = [[n] for n, line in enumerate(lines) if line["fate"] == "paid"]
    else:
        charges = [line["charge"] for line in lines]
        whole = left_of(
            sum(charges),
            [
                {
                    "paid": p["paid"],
                    "cas": p["cas"] + [c for x in p["lines"] or [] for c in x["cas"]],
                }
                for p in payers
            ],
        )
        split = {name: parts(amount, charges) for name, amount in whole.items()}
        figures = [{name: split[name][n] for name in split} for n in range(len(lines))]
        groups = [
            [n for n, x in enumerate(lines) if x["fate"] == "paid" and prepaid(x) == kind]
            for kind in (False, True)
        ]
    out: list[Row] = [{"taken": 0, "paid": 0, "owed": 0, "denied": 0} for _ in lines]
    for n, line in enumerate(lines):
        if line["fate"] == "denied":
            out[n]["taken"] = line["charge"] - figures[n]["left"]
            out[n]["denied"] = figures[n]["left"]
        elif line["fate"] == "duplicate":
            out[n]["denied"] = line["charge"]
    for group in filter(None, groups):
        beside(group, lines, figures, out)
    return out


def prepaid(line: Row) -> bool:
    return bool(line["method"] == "capitated")


def beside(group: list[int], lines: list[Row], figures: list[Row], out: list[Row]) -> None:
    charge = sum(lines[n]["charge"] for n in group)
    left, paid, theirs = (sum(figures[n][f] for n in group) for f in ("left", "paid", "allowed"))
    shares = [sum(lines[n]["shares"]) for n in group]
    alone = [
        0 if prepaid(lines[n]) else lines[n]["allowed"] - share
        for n, share in zip(group, shares, strict=True)
    ]
    ours = sum(lines[n]["allowed"] for n in group)
    pay = max(0, min(left, charge - paid, sum(alone), max(ours, theirs) - paid))
    owed = min(left - pay, sum(shares))
    for n, p, o in zip(group, parts(pay, alone), parts(owed, shares), strict=True):
        out[n] |= {"paid": p, "owed": o}
    rests = [max(0, lines[n]["charge"] - out[n]["paid"] - out[n]["owed"]) for n in group]
    bare = [
        int(rest > 0 and not out[n]["paid"] and not out[n]["owed"])
        for n, rest in zip(group, rests, strict=True)
    ]
    if sum(bare) > charge - left:
        bare = [0 for _ in group]
    more = parts(charge - left - sum(bare), [r - b for r, b in zip(rests, bare, strict=True)])
    for n, first, rest in zip(group, bare, more, strict=True):
        out[n]["taken"] = first + rest
