"""Counting: what each line owes, of a plan's deductible, copay, coinsurance and maximum.

``count`` is the rule, line by line in receipt order. No line sees another family's counters, so
``count_together`` counts one line of every family at a time, by array arithmetic, to the same
cents; what is rare is left to the rule itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import repeat
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from adjudicator.money import Integers, percent_int, percent_ints
from adjudicator.other_payers import Group, owed_shares

Numbers = Sequence[int] | Integers

UNLIMITED = 2**62  # a limit the plan does not have: above every amount, within Int64
# what the count tells of a line, and what was left before it
OWED = {
    "deductible_amount": pl.Int64,
    "coinsurance_amount": pl.Int64,
    "copay_amount": pl.Int64,
    "copay_left": pl.Int64,
    "deductible_left": pl.Int64,
    "member_left": pl.Int64,
    "family_left": pl.Int64,
}
TOGETHER = 400  # lines that are counted at once, at least: fewer are counted sooner one by one


class Share(NamedTuple):
    """One cost share with its network's limits, ready to count with; cents, basis points."""

    copay: int
    basis_points: int
    member_deductible: int
    family_deductible: int
    member_maximum: int
    family_maximum: int


class Counters(NamedTuple):
    """Members' or families' counters for a run of lines, an entry a line; cents.

    A counter goes by the number of the first line that touches it, and stands there before.
    """

    number: Numbers
    deductible: Numbers
    out_of_pocket: Numbers


class Counted(NamedTuple):
    """A line of a group: its place in the count, its counters, and what they counted of it."""

    place: int
    member: int
    family: int
    deductible: int
    owed: int


class Released(NamedTuple):
    """What a reversed claim's counters get back, before a line of the count; a counter that no
    line touches is -1. Cents."""

    member: int
    family: int
    deductible: int
    out_of_pocket: int


class Coordinated(NamedTuple):
    """Which of the counted lines payers before us decided: of each line its group's place in
    ``groups``, or -1 where we pay alone."""

    number: Sequence[int]
    groups: Sequence[Group]


def count_together(
    members: Counters,
    families: Counters,
    allowed_amounts: Numbers,
    share_ids: Numbers,
    visits: Numbers,
    shares: Sequence[Share],
    coordinated: Coordinated | None = None,
    released: Mapping[int, Sequence[Released]] | None = None,
    copays_taken: Mapping[int, int] | None = None,
) -> tuple[dict[str, Integers], dict[int, tuple[int, int]]]:
    """``count``, with arrays for what it gives lists for, and for its sequences."""
    member, family, visit = (
        np.asarray(numbers, dtype=np.int64) for numbers in (members.number, families.number, visits)
    )
    lines = len(family)
    alone = np.zeros(lines, dtype=bool)  # by family: its lines are counted one by one
    of_group = np.asarray(coordinated.number if coordinated else (), dtype=np.int64)
    alone[family[: len(of_group)][of_group >= 0]] = True
    rank = _ranks(family)
    many = np.flatnonzero(np.append(np.bincount(rank), 0) < TOGETHER)[0]
    alone[family[rank >= many]] = True
    apart = alone[family]
    # a member or a visit in two families is told by none of this
    is_of_one = (family[member] == family).all() and (family[visit] == family).all()
    if released or copays_taken or not is_of_one:
        apart[:] = True
    owed = {name: np.zeros(lines, dtype=np.int64) for name in OWED}
    given_back: dict[int, tuple[int, int]] = {}
    if apart.any():
        at = np.flatnonzero(apart)
        columns, back = count(
            Counters(_renumbered(member, at), *(_listed(c, at) for c in members[1:])),
            Counters(_renumbered(family, at), *(_listed(c, at) for c in families[1:])),
            _listed(allowed_amounts, at),
            _listed(share_ids, at),
            _renumbered(visit, at),
            shares,
            coordinated and Coordinated(_listed(coordinated.number, at), coordinated.groups),
            released,
            copays_taken,
        )
        for name, column in columns.items():
            owed[name][at] = column
        given_back = {int(at[place]): amounts for place, amounts in back.items()}
    if not apart.all():
        allowed, share_id = (
            np.asarray(each, dtype=np.int64) for each in (allowed_amounts, share_ids)
        )
        rounds = _rounds(rank, ~apart)
        _count_rounds(owed, rounds, members, families, allowed, share_id, visit, shares)
    return owed, given_back


def _renumbered(numbers: Integers, at: Integers) -> list[int]:
    """The numbers of these lines, which are counted apart, among themselves."""
    found: list[int] = np.searchsorted(at, numbers[at]).tolist()
    return found


def _listed(values: Numbers, at: Integers) -> list[int]:
    found: list[int] = np.asarray(values, dtype=np.int64)[at].tolist()
    return found


def _ranks(numbers: Integers) -> Integers:
    """Of each line how many before it have its number."""
    order = np.argsort(numbers, kind="stable")
    ordered = numbers[order]
    first = np.flatnonzero(np.diff(ordered, prepend=-1))
    ranks = np.empty(len(numbers), dtype=np.int64)
    ranks[order] = np.arange(len(numbers)) - np.repeat(
        first, np.diff(np.append(first, len(numbers)))
    )
    return ranks


def _rounds(rank: Integers, which: npt.NDArray[np.bool_]) -> list[Integers]:
    """The first line of every family, the second, and so on."""
    lines = np.flatnonzero(which)
    order = lines[np.argsort(rank[lines], kind="stable")]
    return np.split(order, np.cumsum(np.bincount(rank[lines]))[:-1])


def _count_rounds(
    owed: Mapping[str, Integers],
    rounds: Sequence[Integers],
    members: Counters,
    families: Counters,
    allowed_amounts: Integers,
    share_ids: Integers,
    visits: Integers,
    shares: Sequence[Share],
) -> None:
    """Fills ``owed`` for the lines of ``rounds``, of which no round has two of one family."""
    member_number, member_deductible, member_out_of_pocket = map(_copied, members)
    family_number, family_deductible, family_out_of_pocket = map(_copied, families)
    terms = np.array(shares, dtype=np.int64).reshape(-1, len(Share._fields)).T
    copay_left = np.full(len(visits), -1, dtype=np.int64)  # of a visit none yet
    for lines in rounds:
        member, family, visit = member_number[lines], family_number[lines], visits[lines]
        allowed = allowed_amounts[lines]
        (
            full_copay,
            basis_points,
            member_limit,
            family_limit,
            member_maximum,
            family_maximum,
        ) = terms[:, share_ids[lines]]
        member_left = np.maximum(member_maximum - member_out_of_pocket[member], 0)
        family_left = np.maximum(family_maximum - family_out_of_pocket[family], 0)
        most = np.minimum(allowed, np.minimum(member_left, family_left))
        has_copay = full_copay != 0
        due = np.where(copay_left[visit] >= 0, copay_left[visit], full_copay)
        copay = np.where(has_copay, np.minimum(due, most), 0)
        copay_left[visit[has_copay]] = (due - copay)[has_copay]
        left = np.minimum(
            member_limit - member_deductible[member], family_limit - family_deductible[family]
        )
        left = np.where(has_copay, 0, np.maximum(left, 0))
        deductible = np.minimum(left, most)
        member_deductible[member] += deductible
        family_deductible[family] += deductible
        coinsurance = np.minimum(
            percent_ints(allowed - deductible, basis_points), most - deductible
        )
        coinsurance[has_copay] = 0
        member_out_of_pocket[member] += copay + deductible + coinsurance
        family_out_of_pocket[family] += copay + deductible + coinsurance
        owed["deductible_amount"][lines] = deductible
        owed["coinsurance_amount"][lines] = coinsurance
        owed["copay_amount"][lines] = copay
        owed["copay_left"][lines] = np.where(has_copay & (due != full_copay), due, UNLIMITED)
        owed["deductible_left"][lines] = left
        owed["member_left"][lines] = member_left
        owed["family_left"][lines] = family_left


def _copied(values: Numbers) -> Integers:
    return np.array(values, dtype=np.int64)


def count(
    members: Counters,
    families: Counters,
    allowed_amounts: Sequence[int],
    share_ids: Sequence[int],
    visits: Sequence[int],
    shares: Sequence[Share],
    coordinated: Coordinated | None = None,
    released: Mapping[int, Sequence[Released]] | None = None,
    copays_taken: Mapping[int, int] | None = None,
) -> tuple[dict[str, list[int]], dict[int, tuple[int, int]]]:
    """The counting pass: what every line owes, in the order of the lines; cents.

    A copay is one visit's: what one line is too small for, the visit's next lines owe; a visit is
    told by the place of its first line, and what an earlier night took of its copay by
    ``copays_taken``. After the
    last line of a group that payers before us decided, the counters get back what its lines
    don't owe beside them. Before the line whose place it names they get back what is
    ``released``: what a claim took whose place another takes, or that is voided.

    Returns a list a column: deductible, coinsurance and copay, and what was left before the line
    of the visit's copay (where some was taken), of the deductible and of the member's and the
    family's out-of-pocket maximum; and what was given back of a line by its place, of the
    deductible and of the out-of-pocket maximum.
    """
    member_deductible = list(members.deductible)
    member_out_of_pocket = list(members.out_of_pocket)
    family_deductible = list(families.deductible)
    family_out_of_pocket = list(families.out_of_pocket)
    copay_left = {
        visit: max(shares[share_ids[visit]].copay - taken, 0)
        for visit, taken in (copays_taken or {}).items()
    }
    columns: dict[str, list[int]] = {name: [] for name in OWED}
    append = [column.append for column in columns.values()]
    (
        add_deductible,
        add_coinsurance,
        add_copay,
        add_copay_left,
        add_left,
        add_member_left,
        add_family_left,
    ) = append
    groups = coordinated.groups if coordinated else ()
    of_groups = coordinated.number if coordinated else repeat(-1, len(visits))
    grouped: dict[int, list[Counted]] = {}
    given_back: dict[int, tuple[int, int]] = {}
    releases = map(released.get, range(len(visits))) if released else repeat(None, len(visits))
    for member, family, allowed, share_id, visit, group, before in zip(
        members.number, families.number, allowed_amounts, share_ids, visits, of_groups, releases,
        strict=True,
    ):  # fmt: skip
        if before:
            for back in before:
                if back.member >= 0:
                    member_deductible[back.member] -= back.deductible
                    member_out_of_pocket[back.member] -= back.out_of_pocket
                if back.family >= 0:
                    family_deductible[back.family] -= back.deductible
                    family_out_of_pocket[back.family] -= back.out_of_pocket
        copay, basis_points, member_limit, family_limit, member_maximum, family_maximum = shares[
            share_id
        ]
        member_left = max(member_maximum - member_out_of_pocket[member], 0)
        family_left = max(family_maximum - family_out_of_pocket[family], 0)
        most = min(allowed, member_left, family_left)
        deductible = coinsurance = left = 0
        due = UNLIMITED
        if copay:
            due = copay_left.get(visit, copay)
            copay = min(due, most)
            copay_left[visit] = due - copay
            if due == shares[share_id].copay:
                due = UNLIMITED  # nothing of it taken yet: no more to tell than the copay itself
        else:
            left = min(
                member_limit - member_deductible[member], family_limit - family_deductible[family]
            )
            if left > 0:
                deductible = min(left, most)
                member_deductible[member] += deductible
                family_deductible[family] += deductible
            else:
                left = 0
            if basis_points:
                coinsurance = percent_int(allowed - deductible, basis_points)
                coinsurance = min(coinsurance, most - deductible)
        owed = copay + deductible + coinsurance
        member_out_of_pocket[member] += owed
        family_out_of_pocket[family] += owed
        add_deductible(deductible)
        add_coinsurance(coinsurance)
        add_copay(copay)
        add_copay_left(due)
        add_left(left)
        add_member_left(member_left)
        add_family_left(family_left)
        if group >= 0:
            of_group = grouped.setdefault(group, [])
            place = len(columns["copay_amount"]) - 1
            of_group.append(Counted(place, member, family, deductible, owed))
            if len(of_group) == groups[group].size:
                after = owed_shares(groups[group], [line.owed for line in of_group])
                for line, still in zip(of_group, after, strict=True):
                    # of what is still owed the deductible is the first part [j]
                    less_deductible = line.deductible - min(line.deductible, still)
                    less = line.owed - still
                    member_deductible[line.member] -= less_deductible
                    family_deductible[line.family] -= less_deductible
                    member_out_of_pocket[line.member] -= less
                    family_out_of_pocket[line.family] -= less
                    given_back[line.place] = (less_deductible, less)
    return columns, given_back
