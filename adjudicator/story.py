"""A claim's explanation as text, at 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from adjudicator.arithmetic import listed, money, quantity
from adjudicator.sentences import resolution
from adjudicator.version_story import told_versions

if TYPE_CHECKING:
    from adjudicator.explain import Explanation

WIDTH = 80
METHODS = {"CHK": "check", "ACH": "transfer", "NON": "no money moves"}
VERBS = {"deny": "deny", "pend": "pend", "inform": "note", "reject": "send back"}
# a counter, and the year's limits it is of: the member's, then the family's
COUNTERS = {
    "deductible_remaining": (
        "deductible",
        {"deductible_individual_amount": "{}", "deductible_family_amount": "family {}"},
    ),
    "member_out_of_pocket_remaining": (
        "member's maximum",
        {"out_of_pocket_individual_amount": "{}"},
    ),
    "family_out_of_pocket_remaining": (
        "family's maximum",
        {"out_of_pocket_family_amount": "{}"},
    ),
}
TIED = "\N{NO-BREAK SPACE}"

Part = Mapping[str, Any]
Told = set[str]  # the phrases of sources that were told already


def as_text(told: Explanation) -> str:
    """The story at 80 columns; a source is quoted where it is named first."""
    c, received = told.claim, told.received
    quoted: Told = set()
    out = _wrapped(
        0,
        f"Claim {c['claim_number'] or 'without a number'} (submission S{c['claim_id']}), patient "
        f"control number {c['patient_control_number']}",
    )
    out += _wrapped(2, _fate(c))
    if told.decided:
        out += _wrapped(
            2,
            f"decided in {_night(told.decided)}, reference version "
            f"{told.decided['reference_version'][:12]}",
        )
    if told.clean:
        out += _wrapped(2, _clean(told))
    for night in told.earlier:
        out += _wrapped(2, f"in {_night(night)} it waited for {listed(night['pend_codes'])}")
    out += ["", "RECEIVED"]
    out += _wrapped(
        2,
        f"{received['received_date']} in {received['name']}, {c['source_format_code']}, charge "
        f"{money(c['charge_amount'])}: {_envelope(received)}bytes "
        f"{received['claim_start']} to {received['claim_end']}",
    )
    if told.versions:
        out += ["", "VERSIONS"]
        for each in told_versions(c, told.versions):
            out += _wrapped(2, each)
    numbers = [r["line_number"] for r in told.lines]
    whole = [f for f in told.findings if f["line_number"] not in numbers]
    if whole:
        out += ["", "WHOLE CLAIM" if numbers else "FINDINGS"]
        for f in whole:
            out += _finding(f, quoted)
    for row in told.lines:
        out += ["", *_line(told, row, quoted)]
    if told.found_nothing:
        count = len(told.found_nothing)
        what = f"{'other ' if told.findings else ''}edit{'s' * (count != 1)}"
        out += ["", *_wrapped(0, f"{count} {what} found nothing: {listed(told.found_nothing)}")]
    for part in (_pended(told), _rejected(told, quoted), _paid(told, quoted)):
        if part:
            out += ["", *part]
    return "\n".join(out)


def _wrapped(indent: int, text: str, hanging: int = 2) -> list[str]:
    """Text of whatever origin, every character seen, in lines of WIDTH columns."""
    seen = "".join(c if c.isprintable() else " " for c in text).replace(" = ", f" ={TIED}")
    lines = textwrap.wrap(
        seen, WIDTH, initial_indent=" " * indent, subsequent_indent=" " * (indent + hanging),
        break_on_hyphens=False,
    )  # fmt: skip
    return [line.replace(TIED, " ") for line in lines]


def _envelope(received: Part) -> str:
    """Where it stood in X12's envelopes; nothing of paper, which has none."""
    if received["interchange_number"] is None:
        return ""
    return (
        f"interchange {received['interchange_number']}, group {received['group_number']}, set "
        f"{received['set_number']}, "
    )


def _night(night: Part) -> str:
    return f"the night of {night['business_date']} (run {night['run_id']})"


def _fate(c: Part) -> str:
    if c["disposition"] is None:
        return "accepted, not decided yet"
    if c["disposition"] == "pended":
        return f"pended: waits for {listed((c['pend_codes'] or 'nobody knows what').split(','))}"
    if c["disposition"] == "rejected":
        return "rejected: sent back, never adjudicated, on no 835"
    if c["disposition"] == "voided" and not c["allowed_amount"] and not c["paid_amount"]:
        return f"voided: charge {money(c['charge_amount'])}, nothing of it stands"
    fate = "voided, once" if c["disposition"] == "voided" else c["disposition"]
    return (
        f"{fate}: charge {money(c['charge_amount'])}, allowed "
        f"{money(c['allowed_amount'])}, member {money(c['member_amount'])}, paid "
        f"{money(c['paid_amount'])}"
    )


def _clean(told: Explanation) -> str:
    """Whether it is a clean claim, and how old it was when the last night looked at it."""
    clean = told.clean or {}
    said = "a clean claim" if clean["clean"] else f"no clean claim: {listed(clean['edits'])}"
    said += f" (source {clean['cites'][0]['document']}, line {clean['cites'][0]['lines'][0]})"
    if told.decided is None:
        return said
    night, received = told.decided["business_date"], told.received["received_date"]
    days = (date.fromisoformat(night) - date.fromisoformat(received)).days
    return f"{said}, {days} day{'s' * (days != 1)} old that night"


# ---- findings --------------------------------------------------------------------------------


def _finding(f: Part, quoted: Told) -> list[str]:
    codes = "-".join(x for x in (f["group_code"], f["carc"]) if x)
    codes += f" {f['rarc']}" if f["rarc"] else ""
    code = {"deny": codes, "pend": f["pend_code"], "reject": f["status_code"]}.get(f["disposition"])
    line = f", line {f['line_number']}" if f["disposition"] == "reject" and f["line_number"] else ""
    asks = f"{VERBS[f['disposition']]} {code or ''}".rstrip()
    out = _wrapped(2, f"{f['edit']}{line}, {asks}: {f['says']}")
    if ended := resolution(f):
        out += _wrapped(4, ended)
    without: dict[str, list[str]] = {}
    for e in f["effects"]:
        if e["effect"] == "none":
            without.setdefault(e["because"], []).append(str(e["line_number"]))
    for because, numbers in without.items():
        every = len(numbers) == len(f["effects"])
        where = "" if every else f" on line{'s' * (len(numbers) > 1)} {listed(numbers)}"
        out += _wrapped(4, f"decides nothing{where}: {because}")
    return out + _cited(f["cites"], quoted, judgement=f["judgement"])


def _cited(cites: Sequence[Part], quoted: Told, *, judgement: bool = False) -> list[str]:
    out = []
    for each in cites:
        first, last = each["lines"]
        where = f"line {first}" if first == last else f"lines {first}-{last}"
        text = f"source {each['document']}, {where}"
        if each["phrase"] and text not in quoted:
            quoted.add(text)
            text = f'{text}: "{each["phrase"]}"'
        ours = "our judgement; the nearest rule is in " if judgement else ""
        out += _wrapped(4, f"{ours}{text}")
    return out


# ---- lines -----------------------------------------------------------------------------------


def _line(told: Explanation, row: Part, quoted: Told) -> list[str]:
    revenue = f"revenue {row['revenue_code']}" if row["revenue_code"] else ""
    modifiers = f":{row['modifier_codes']}" if row["modifier_codes"] else ""
    procedure = f"{row['procedure_code']}{modifiers}" if row["procedure_code"] else ""
    code = ", ".join(filter(None, (procedure, revenue))) or "no code"
    units = quantity(row["unit_quantity"])
    out = _wrapped(
        0,
        f"LINE {row['line_number']}, {row['line_disposition']}: {code} on "
        f"{row['decision_date'] or 'no date'}, {units} unit{'s' * (units != '1')}, charge "
        f"{money(row['charge_amount'])}",
    )
    for f in told.findings:
        if f["line_number"] == row["line_number"]:
            out += _finding(f, quoted)
    if priced := row["price"]:
        so_far = ", as far as it goes while the claim waits" * (row["line_disposition"] == "pended")
        out += _wrapped(2, f"price, {priced['basis']}{so_far}: {priced['says']}")
        out += _cited(priced["cites"], quoted)
        out += [*_steps(priced), *_end(priced, "allowed")]
    beside = row["beside"]
    if shared := row["share"]:
        out += _share(shared, quoted, alone=beside is not None)
    if beside:
        out += _beside(beside, row, quoted)
    if row["balance"]:
        out += _balance(told, row)
    return out


def _share(shared: Part, quoted: Told, *, alone: bool) -> list[str]:
    mark = " (illustrative figures: the source gives none)" * shared["illustrative"]
    out = _wrapped(2, f"share, {shared['basis']}{mark}")
    out += _cited(shared["cites"], quoted)
    out += _wrapped(4, shared["says"])
    if shared["deductible_waived"]:
        out += _wrapped(
            4, "no deductible: the household is not known to fall short of its health programme"
        )
    out += _steps(shared)
    if shared["steps"] or shared["amount"]:
        out += _end(shared, "alone the member would owe" if alone else "the member owes")
    if shared["uncollectable"]:
        out += _wrapped(4, "by the member's status it may not be asked of the member")
    for step in shared["counters"]:
        name, limits = COUNTERS[step["result"]["name"]]
        amounts = ", ".join(
            words.format(money(shared[limit]))
            for limit, words in limits.items()
            if shared[limit] is not None
        )
        out += _wrapped(
            4, f"{name}{f' ({amounts} a year)' if amounts else ''}: {step['says']} left"
        )
    return out


def _beside(beside: Part, row: Part, quoted: Told) -> list[str]:
    """What payers before us left, our payment and the member's share beside them."""
    told = "told line by line" if beside["by_line"] else "told of the claim as a whole"
    out = _wrapped(2, f"beside the payers before us, {told}:")
    if beside["effect"] is None:
        taken = money(beside["other_payer_amount"])
        return out + _wrapped(4, f"they took {taken} of the charge; the denial takes the rest")
    basis = "by our judgement, as 42 CFR 411.33(a) has it" * beside["judgement"]
    out += _wrapped(4, basis) if basis else []
    out += _cited(beside["cites"], quoted)
    out += _wrapped(4, f"they took: {beside['effect']['says']}")
    for part, end in ((beside["payment"], "we pay"), (beside["owed"], "the member owes")):
        out += _wrapped(4, part["says"]) if part["says"] else []
        out += [*_steps(part), *_end(part, end)]
    if beside["given_back"]:
        out += _wrapped(4, f"the counters above get back {money(beside['given_back'])}")
    if not beside["by_line"]:
        out += _wrapped(
            4,
            f"of which this line has {money(beside['other_payer_amount'])} taken, "
            f"{money(row['paid_amount'])} paid and {money(beside['owed_amount'])} owed",
        )
    return out


def _steps(part: Part) -> list[str]:
    return [line for step in part["steps"] for line in _wrapped(4, step["says"])]


def _end(part: Part, what: str) -> list[str]:
    end = f"{what} {money(part['amount'])}"
    return _wrapped(
        4, end if part["agrees"] else f"{end} was kept, which is not what these figures come to"
    )


def _balance(told: Explanation, row: Part) -> list[str]:
    out = [f"  {money(row['charge_amount']):>14} charged"]
    for a in told.adjustments:
        if a["line_number"] != row["line_number"]:
            continue
        words = f" {a['carc_words']}" if a["carc_words"] else ""
        remark = f"; {a['rarc']} {a['rarc_words'] or ''}".rstrip() if a["rarc"] else ""
        out += _wrapped(
            2,
            f"{money(-a['adjustment_amount']):>14} {a['group_code']}-{a['carc']}{words}{remark} "
            f"[{a['reason']}]",
            hanging=17,
        )
    return [*out, f"  {money(row['paid_amount']):>14} paid"]


# ---- what comes of it ------------------------------------------------------------------------


def _pended(told: Explanation) -> list[str]:
    if not told.waits_for:
        return []
    out = ["WAITS FOR"]
    for each in told.waits_for:
        where = f" (line {each['line_number']})" if each["line_number"] else ""
        out += _wrapped(2, f"{each['pend_code']}{where}: {each['words'] or each['edit']}")
        if each["released_by"]:
            out += _wrapped(4, f"released by {each['released_by']}")
        if each["began_date"]:
            out += _wrapped(4, _life(each))
    return [*out, *_wrapped(2, "every night decides the claim again")]


def _life(each: Part) -> str:
    """Since when, whose, what next, until when."""
    words = f"since {each['began_date']}, with {each['owner'] or 'nobody'}"
    if each["next_action"]:
        words += f", to {each['next_action']}"
    if not each["lapse_date"]:
        return words
    end = (
        f"lapses on {each['lapse_date']} into {each['lapses_into']}"
        if each["lapses_into"]
        else f"{'overdue since' if each['overdue'] else 'due by'} {each['lapse_date']}"
    )
    return f"{words}; {end}"


def _rejected(told: Explanation, quoted: Told) -> list[str]:
    if not told.to_mend:
        return []
    out = ["TO MEND"]
    for each in told.to_mend:
        where = f"line {each['line_number']}: " if each["line_number"] else ""
        out += _wrapped(2, f"{where}{each['mended_by']}")
    out += _wrapped(2, "then send the whole claim anew; the filing limit runs on meanwhile")
    return [*out, *_cited(told.resubmit, quoted)]


def _paid(told: Explanation, quoted: Told) -> list[str]:
    p = told.payment
    if p is None:
        if told.claim["disposition"] not in ("paid", "denied"):
            return []
        return ["PAYMENT", *_wrapped(2, "waits for the program's next payment day")]
    out = ["PAYMENT"]
    if len(p["sum"]["terms"]) > 1:
        out += _wrapped(2, f"the lines: {p['sum']['says']}")
    method = METHODS.get(p["payment_method_code"], p["payment_method_code"])
    mine, whole = told.claim["paid_amount"], p["payment_amount"]
    number = f"payment {p['trace_number']} of {p['payment_date']}"
    amount = (
        f"{money(mine)} of {money(whole)} in {number}"
        if mine <= whole
        else f"{money(mine)} in {number}, which comes to {money(whole)} with what it takes back"
    )
    out += _wrapped(2, f"{amount} ({method}) to payee {p['payee_id']}, in {p['file_name']}")
    out += _cited(p["cites"], quoted)
    groups = {a["group_code"]: a["group_words"] for a in told.adjustments if a["group_words"]}
    for code, words in groups.items():
        out += _wrapped(2, f"{code}: {words}")
    return out
