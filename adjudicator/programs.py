"""The shipped programs, benefit categories and adjustment codes: YAML read and checked once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, TypeAdapter, ValidationError

from schemas.code_list import CodeLists
from schemas.form import Form
from schemas.policy import Policies
from schemas.program import (
    AdjustmentCode,
    BenefitCategoryRule,
    MessageCode,
    Plan,
    Program,
    Span,
)

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)


class DataFileError(ValueError):
    """A data file that cannot be used: which file, where in it, why, and the mend."""


def load_programs(folder: Path | None = None) -> dict[str, Program]:
    """Every program of ``folder`` by code, in the order of the codes; default: those shipped.

    A program is a folder named after its code: ``program.yaml`` and ``plans/<plan>.yaml``.
    Raises DataFileError for a file that is missing, not YAML or not of the contract
    (schemas/program.py), for a code that differs from its folder's or file's name, an edit or
    benefit category that does not exist, and terms or limits of one thing that overlap.
    """
    return dict(_shipped()) if folder is None else _of_folder(folder)


@cache
def _shipped() -> dict[str, Program]:
    return _of_folder(files("schemas") / "programs")


def _of_folder(root: Traversable) -> dict[str, Program]:
    categories = {rule.category for rule in load_benefit_categories()}
    programs = {
        entry.name: _program(entry, categories)
        for entry in sorted(root.iterdir(), key=lambda entry: entry.name)
        if entry.is_dir()
    }
    if not programs:
        raise DataFileError(f"{root}: no program; put each in a folder with a program.yaml")
    return programs


def own_names(programs: Mapping[str, Program]) -> frozenset[str]:
    """What a form may call the payers that we are: names and numbers."""
    return frozenset(
        name
        for program in programs.values()
        for name in (program.name, program.payer.name, program.payer.number,
                     *program.receiver_numbers)
    )  # fmt: skip


@cache
def load_benefit_categories() -> tuple[BenefitCategoryRule, ...]:
    """The rules that name a line's benefit category, in order; the last one takes the rest.

    A rule matches where all of its conditions hold. Ranges include both ends, compare codes of
    one length as text, and a bill type is its first two digits.
    """
    file = files("schemas") / "codes" / "benefit_categories.yaml"
    rules = _read(file, tuple[BenefitCategoryRule, ...])
    if not rules or rules[-1] != BenefitCategoryRule(category="other"):
        raise DataFileError(f"{file}: the last rule is not 'other' alone; end with it")
    return rules


@cache
def load_adjustment_codes() -> dict[str, AdjustmentCode]:
    """The CARCs and RARCs that we emit, by code."""
    file = files("schemas") / "codes" / "adjustment_codes.yaml"
    codes = _read(file, tuple[AdjustmentCode, ...])
    _refuse(file, "code", _twice(code.code for code in codes), "stands twice", "keep one")
    return {code.code: code for code in codes}


@cache
def load_message_codes() -> dict[str, MessageCode]:
    """What our reports say of adjustment groups, of claims and of what a claim waits for."""
    file = files("schemas") / "codes" / "message_codes.yaml"
    codes = _read(file, tuple[MessageCode, ...])
    _refuse(file, "code", _twice(code.code for code in codes), "stands twice", "keep one")
    return {code.code: code for code in codes}


@cache
def load_code_lists() -> CodeLists:
    """The small code sets that we keep: states, bill types, revenue categories, places."""
    return _read(files("schemas") / "codes" / "code_lists.yaml", CodeLists)


@cache
def load_forms() -> tuple[Form, ...]:
    """The field tables of the claim forms: CMS-1500 and UB-04."""
    folder = files("schemas") / "forms"
    return tuple(_read(folder / f"{name}.yaml", Form) for name in ("cms1500", "ub04"))


def _program(folder: Traversable, categories: set[str]) -> Program:
    # the edits read this module
    from adjudicator.edits import EDITS

    file = folder / "program.yaml"
    facts = _mapping(file)
    for part in ("plans", "policies"):
        if part in facts:
            raise DataFileError(f"{file}: {part}: these are files of their own; move it to {part}/")
    plans = {}
    plan_files = folder / "plans"
    for entry in sorted(plan_files.iterdir(), key=lambda e: e.name) if plan_files.is_dir() else ():
        if entry.name.endswith(".yaml"):
            plan = _checked(entry, Plan, _mapping(entry))
            _named(entry, "plan_code", plan.plan_code, entry.name.removesuffix(".yaml"))
            _refuse(entry, "terms", _overlaps(plan.terms), "overlap", "end one before the next")
            for terms in plan.terms:
                of_terms = f"terms from {terms.start_date}"
                shares = [(share.category, share.network_code) for share in terms.cost_shares]
                unknown = {category for category, _ in shares} - categories
                _refuse(
                    entry,
                    of_terms,
                    unknown,
                    "no such category",
                    "use one of schemas/codes/benefit_categories.yaml",
                )
                _refuse(entry, of_terms, _twice(shares), "two cost shares", "keep one")
                _refuse(
                    entry,
                    f"{of_terms}, limits",
                    {s.category for limit in terms.limits for s in limit.services} - categories,
                    "no such category",
                    "use one of schemas/codes/benefit_categories.yaml",
                )
            plans[plan.plan_code] = plan
    policies = _policies(folder / "policies", known := [edit.name for edit in EDITS])
    program = _checked(file, Program, facts | {"plans": plans, "policies": policies})
    _named(file, "program_code", program.program_code, folder.name)
    _refuse(
        file, "edits", set(program.edits) - set(known), "no such edit", f"use {', '.join(known)}"
    )
    exempt = program.referrals
    named = {
        *exempt.exempt_categories,
        *exempt.out_of_area_categories,
        *exempt.hospital_categories,
    }
    _refuse(
        file, "referrals", named - categories, "no such category",
        "use one of schemas/codes/benefit_categories.yaml",
    )  # fmt: skip
    told = [carved.told_by for carved in program.carve_outs]
    told.append(program.prior_authorization.exempt)
    if program.hospice:
        told += [program.hospice.unrelated, program.hospice.related, program.hospice.supplemental]
    named = {category for codes in told for category in codes.benefit_categories}
    _refuse(
        file, "carve_outs, hospice, prior_authorization", named - categories, "no such category",
        "use one of schemas/codes/benefit_categories.yaml",
    )  # fmt: skip
    for contracted in (True, False):
        limits = [limit for limit in program.filing_limits if limit.contracted == contracted]
        _refuse(file, "filing_limits", _overlaps(limits), "overlap", "end one before the next")
    _check_pends(file, program)
    for name in ("clean_claims", "payment_calendar", "interest", "case_management"):
        overlaps = _overlaps(getattr(program, name))
        _refuse(file, name, overlaps, "overlap", "end one before the next")
    _refuse(
        file, "clean_claims", {e for terms in program.clean_claims for e in terms.edits} - {*known},
        "no such edit", f"use {', '.join(known)}",
    )  # fmt: skip
    pends = {c for c, message in load_message_codes().items() if message.kind == "pend"}
    _refuse(
        file, "clean_claims", {c for t in program.clean_claims for c in t.pend_codes} - pends,
        "no such pend code", "use one of schemas/codes/message_codes.yaml",
    )  # fmt: skip
    disputes = _overlaps(program.filing_dispute_limits)
    _refuse(file, "filing_dispute_limits", disputes, "overlap", "end one before the next")
    _check_disputes(file, program, [edit.name for edit in EDITS if not edit.must_be_mended])
    return program


def _policies(folder: Traversable, edits: Collection[str]) -> Policies:
    """A program's payment policies: ``policies/<edit>.yaml``, each a list of versions."""
    found = {}
    files = sorted(folder.iterdir(), key=lambda e: e.name) if folder.is_dir() else ()
    for entry in (e for e in files if e.name.endswith(".yaml")):
        name = entry.name.removesuffix(".yaml")
        if name not in Policies.model_fields or name not in edits:
            known = ", ".join(sorted(Policies.model_fields))
            raise DataFileError(f"{entry}: no edit carries out such a policy; use {known}")
        read = _checked(entry, Policies, {name: _yaml(entry)})
        _refuse(entry, name, _overlaps(getattr(read, name)), "overlap", "end one before the next")
        found[name] = getattr(read, name)
    return Policies(**found)


def _check_disputes(file: Traversable, program: Program, may: list[str]) -> None:
    """A kind has one set of terms a day, and what it passes is an edit that may be passed."""
    for kind in dict.fromkeys(terms.kind for terms in program.disputes):
        of_kind = [terms for terms in program.disputes if terms.kind == kind]
        place = f"disputes, {kind}"
        _refuse(file, place, _overlaps(of_kind), "overlap", "end one before the next")
        named = {edit for terms in of_kind for edit in terms.edits}
        _refuse(file, place, named - set(may), "no edit that may be passed",
                f"use {', '.join(may)}")  # fmt: skip


def _check_pends(file: Traversable, program: Program) -> None:
    """What a pend may end in must be what an 835 may carry."""
    codes, pends = load_adjustment_codes(), load_message_codes()
    known = {code for code, message in pends.items() if message.kind == "pend"}
    named = [terms.pend_code for terms in program.pends]
    _refuse(file, "pends", set(named) - known, "no such pend", f"use {', '.join(sorted(known))}")
    for pend_code in dict.fromkeys(named):
        of_code = [terms for terms in program.pends if terms.pend_code == pend_code]
        place = f"pends, {pend_code}"
        _refuse(file, place, _overlaps(of_code), "overlap", "end one before the next")
        for denial in (denial for terms in of_code for denial in terms.denials):
            carc, rarc = codes.get(denial.carc), codes.get(denial.rarc or "")
            told = "-".join(filter(None, (denial.group_code, denial.carc, denial.rarc)))
            wrong = {
                "no such CARC": carc is None or carc.kind != "CARC",
                "no such RARC": bool(denial.rarc) and (rarc is None or rarc.kind != "RARC"),
                "this CARC needs a RARC that is no alert": carc is not None
                and carc.needs_remark
                and (rarc is None or rarc.is_alert),
                "this CARC stands in another group": carc is not None
                and carc.only_group is not None
                and denial.group_code not in carc.only_group.split(" or "),
            }
            for cause, holds in wrong.items():
                mend = "use one of schemas/codes/adjustment_codes.yaml as it says"
                _refuse(file, place, [told] if holds else [], cause, mend)
        for terms in of_code:
            twice = _twice(d.carc for d in terms.denials)
            _refuse(file, place, twice, "two denials with one CARC", "keep one")


# libyaml reads ten times as quick as yaml's own Python; where it wasn't built, that one reads
_BaseLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_BaseLoader):  # type: ignore[misc]
    """YAML in which a key that stands twice is an error: the first value would vanish."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        twice = _twice(key.value for key, _ in node.value)
        if twice:
            raise yaml.MarkedYAMLError(
                problem=f"{sorted(twice)} stands twice; keep one", problem_mark=node.start_mark
            )
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping


def _yaml(file: Traversable) -> Any:
    try:
        return yaml.load(file.read_text(encoding="utf-8"), _Loader)  # noqa: S506 (a SafeLoader)
    except FileNotFoundError:
        raise DataFileError(f"{file}: is missing; create it") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise DataFileError(f"{file}: line {line}: {error.problem}; mend the YAML") from None


def _mapping(file: Traversable) -> dict[str, Any]:
    facts = _yaml(file)
    if not isinstance(facts, dict):
        raise DataFileError(f"{file}: holds no mapping; write `name: value` lines")
    return facts


def _read(file: Traversable, kind: type[T]) -> T:
    try:
        return TypeAdapter(kind).validate_python(_yaml(file))
    except ValidationError as error:
        raise _one_line(file, error) from None


def _checked(file: Traversable, model: type[M], facts: Mapping[str, Any]) -> M:
    try:
        return model.model_validate(facts)
    except ValidationError as error:
        raise _one_line(file, error) from None


def _one_line(file: Traversable, error: ValidationError) -> DataFileError:
    first, *others = error.errors(include_url=False, include_input=False)
    place = ".".join(str(part) for part in first["loc"])
    more = f" (and {len(others)} more)" if others else ""
    return DataFileError(
        f"{file}: {place}: {first['msg'].lower()}{more}; correct it as schemas/program.py says"
    )


def _named(file: Traversable, place: str, code: str, name: str) -> None:
    if code != name:
        raise DataFileError(
            f"{file}: {place}: is {code!r} under the name {name!r}; make them the same"
        )


def _refuse(file: Traversable, place: str, wrong: Iterable[object], cause: str, mend: str) -> None:
    shown = sorted(map(str, wrong))
    if shown:
        raise DataFileError(f"{file}: {place}: {cause}: {', '.join(shown)}; {mend}")


def _twice(values: Iterable[T]) -> set[T]:
    return {value for value, count in Counter(values).items() if count > 1}


def _overlaps(spans: Iterable[Span]) -> list[str]:
    """The first days of the spans that begin before the one before them has ended."""
    ordered = sorted(spans, key=lambda span: span.start_date)
    return [
        f"from {later.start_date}"
        for earlier, later in pairwise(ordered)
        if earlier.end_date is None or earlier.end_date >= later.start_date
    ]
