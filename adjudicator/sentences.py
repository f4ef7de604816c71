"""Findings in plain words: what was found, what releases a pend, what mends a rejected claim.

A sentence is made from the finding's own facts and inputs alone. A finding that has none here is
told by its edit's docstring and its inputs, so that an edit may be added without this file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, NamedTuple

from adjudicator.arithmetic import figure, money, quantity
from adjudicator.edits import EDITS
from adjudicator.snip import RULES

Facts = Mapping[str, Any]  # a finding's columns and, beside them, its inputs
Tell = Callable[[Facts], str]


class Words(NamedTuple):
    """How a finding is told, and what ends it: releases its pend, or mends its rejection."""

    says: str | Tell
    ended_by: str | Tell = ""


def says(finding: Facts) -> str:
    """The finding in one sentence, without its codes and without its end."""
    words = TELLS.get(finding["edit"])
    return (words and _filled(words.says, finding)) or _by_docstring(finding)


def ended_by(finding: Facts) -> str:
    """What releases the pend or mends the rejection; empty where nothing here tells."""
    words = TELLS.get(finding["edit"])
    return _filled(words.ended_by, finding) if words else ""


def _filled(words: str | Tell, finding: Facts) -> str:
    facts = {**finding["inputs"], **finding}
    try:
        return words.format_map(facts) if isinstance(words, str) else words(facts)
    except (KeyError, TypeError, ValueError):
        return ""  # kept by a release whose inputs were others


def figures(values: Facts) -> str:
    """Named values for a reader, those that are null left out: fee table code OFFICE, days 61."""
    return ", ".join(
        f"{_name(name)} {_value(name, value)}"
        for name, value in values.items()
        if value is not None and value not in ("", [], {})
    )


def _name(name: str) -> str:
    return name.removesuffix("_amount").removesuffix("_basis_points").replace("_", " ")


def _value(name: str, value: Any) -> str:
    if isinstance(value, Mapping):
        return f"({figures(value)})"
    if isinstance(value, list):
        return "; ".join(_value(name, each) for each in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        if name.endswith(("_amount", "_remaining")):
            return money(value)
        if name.endswith("_basis_points"):
            return figure(value, "basis_points")
        if name.endswith("_quantity"):
            return quantity(value)
    return str(value)


def _by_docstring(finding: Facts) -> str:
    edit = next((each for each in EDITS if each.name == finding["edit"]), None)
    found = figures(finding["inputs"])
    if edit is None or not edit.find.__doc__:
        return found or finding["edit"].replace("_", " ")
    first = " ".join(edit.find.__doc__.split("\n\n")[0].split())
    first = first.removesuffix(".").removesuffix(" [j]")
    return f"{first[0].lower()}{first[1:]} ({found})" if found else first


# ---- small words -----------------------------------------------------------------------------


def _days(count: int) -> str:
    return "one day" if count == 1 else f"{count} days"


def _after(day: str, limit: str) -> str:
    return f"{_days((date.fromisoformat(day) - date.fromisoformat(limit)).days)} late"


def _span(found: Facts) -> str:
    if found.get("start_date") is None:
        return ""
    return f"{found['start_date']} to {found['end_date']}" if found.get("end_date") else (
        f"from {found['start_date']}"
    )  # fmt: skip


def _in_brackets(*words: str | None) -> str:
    told = ", ".join(word for word in words if word)
    return f" ({told})" if told else ""


def _by(column: str, sentences: Mapping[str | None, str]) -> Tell:
    """One of the sentences by the value of a column; each is filled from the facts."""
    return lambda f: sentences[f[column]].format_map(f)


# ---- edits -----------------------------------------------------------------------------------

CORRECTS = {
    "5": "adds late charges to", "7": "replaces", "8": "voids", "R": "decides anew",
}  # fmt: skip


CORRECTIONS = {
    "none": "no claim of this payee has that number",
    "voided": "that claim was voided before",
    "several": "several claims of this payee could be meant, or the one meant can't be read now",
    "gains_nothing": "its contract pays the stay whole, whatever is charged for it",
}


def _correction(f: Facts) -> str:
    because = f.get("because")
    if because == "corrected":
        return f"claim {f['corrected_by_claim_number']} corrects this one, which waits for it"
    which = f.get("predecessor_claim_number") or f["original_claim_number"]
    does = CORRECTS[f["frequency_code"]]
    told = f"the claim {does} {f'claim {which}' if which else 'a claim that it does not name'}"
    return f"{told}; {CORRECTIONS[because]}" if because in CORRECTIONS else told


def _original_awaited(f: Facts) -> str:
    if f.get("because") == "corrected":
        return "the decision of the claim that corrects it"
    return "a correction with all twelve digits of the number, or its denial"


MATCHES: Mapping[str | None, str] = {
    "none": "no member has the card number and birth date of the claim",
    "name": "a member has the card number and birth date of the claim, but another name",
    "several": "several members have the card number and birth date of the claim",
}

COVERAGE: Mapping[str | None, str] = {
    None: "the line has no date, so nobody can say whether the member was covered",
    "before": "{coverage_date} lies before the member's coverage by {program_code} began",
    "after": "{coverage_date} lies after the member's coverage by {program_code} ended",
    "gap": "{coverage_date} lies in a gap of the member's coverage by {program_code}",
}


def _coverage(f: Facts) -> str:
    if f["carc"] == "109":
        return (
            f"the stay began on {f['coverage_date']}, before our coverage, and reaches into it: "
            "it belongs whole to the payer of the day it began"
        )
    return COVERAGE[f["coverage_code"]].format_map(f)


INELIGIBLE: Mapping[str | None, str] = {
    "not_eligible": "Medicare pays NPI {npi} nothing for services of {decision_date}",
    "not_credentialed": "NPI {npi} is in the network, but was not credentialed on {decision_date}",
    "opted_out": "NPI {npi} had opted out of Medicare on {decision_date}, and this was neither "
    "an emergency nor urgent",
}

CLOCKS = {
    "service": "service",
    "discharge": "discharge",
    "primary_payer": "the earlier payer's decision",
    "auto_insurer": "the auto insurer's notice",
}


def _timely_filing(f: Facts) -> str:
    clock = CLOCKS[f["clock"]]
    if f["limit_days"] is None:
        return f"the program has no filing limit in force on {f['clock_date']} ({clock})"
    return (
        f"received {f['received_date']}, {_days(f['days'])} after {f['clock_date']} ({clock}); "
        f"the limit is {f['limit_days']}: {_days(f['days'] - f['limit_days'])} late"
    )


REFERRALS = {
    "referral": "{who}; referral {covering} covers it",
    "visits used up": "{who}; too few visits are left for this claim: {used}",
    "service area not known": "{who}; outside the service area no referral is needed, but whether "
    "{place} lies in it is not known",
    "no referral covers it": "{who}, and no referral covers it: {fails}",
    "no such referral": "{who}; the claim names referral {referral_number}, and there is none",
    "no referral": "{who}; it needs a referral, and the member has none",
}
EXEMPT = "{who}; no referral is needed: {because}{details}"


def _referral(f: Facts) -> str:
    specialties = (f.get("specialty_codes") or "").replace(":", ", ")
    referrals, zip_code, days = f["referrals"] or (), f.get("zip_code"), f.get("transition_days")
    facts = {
        **f,
        "who": f"NPI {f['provider_number']}{_in_brackets(specialties)} is outside the network on "
        f"{f['decision_date']}",
        "covering": " or ".join(map(_a_referral, referrals)),
        "used": "; ".join(f"{_a_referral(r)}, {r['visits_used']} used" for r in referrals)
        if f["because"] == "visits used up"
        else "",
        "fails": "; ".join(
            f"{_a_referral(c)} fails by {c['fails']}" for c in f.get("candidates") or ()
        ),
        "place": f"ZIP code {zip_code}" if zip_code else "a place without ZIP code",
        "details": _in_brackets(
            f.get("emergency_date") and f"on {f['emergency_date']}",
            zip_code and f"ZIP code {zip_code}",
            days and f"for {days} days from {f['coverage_start_date']}",
        ),
    }
    return REFERRALS.get(f["because"], EXEMPT).format_map(facts)


AREA = "the program's service area (table service_area), and a ZIP code of the service"


def _referral_end(f: Facts) -> str:
    if f["pend_code"] == "REFERENCE":
        return AREA
    return (
        "a referral of the member (table referrals) to the provider or its specialty, for that "
        "date and service, with visits left"
    )


def _a_referral(found: Facts) -> str:
    limit = found.get("visit_limit")
    visits = limit and ("one visit" if limit == 1 else f"{limit} visits")
    return f"{found['referral_number']}{_in_brackets(_span(found), visits)}"


AUTHORIZATIONS = {
    "an authorization covers it": "{what}; authorization {covering} covers it",
    "units used up": "{what} for {units}; too few are left: {used}",
    "service area not known": "{what}; outside the service area none is needed, but whether "
    "{place} lies in it is not known",
    "no such authorization": "{what}; the claim names authorization {authorization_number}, and "
    "the member has no such one",
    "no authorization": "{what}, and the member has none",
}
NOT_AUTHORIZED = "{what}, and none covers it: {fails}"
AUTHORIZED_OTHERWISE = "{what}; none is asked of this line: {because}{details}"


def _prior_authorization(f: Facts) -> str:
    code, zip_code, days = f.get("code"), f.get("zip_code"), f.get("transition_days")
    permits = f.get("authorizations") or ()
    facts = {
        **f,
        "what": f"{code or 'it'} needs an authorization on {f['decision_date']}",
        "units": _units(f.get("unit_quantity")),
        "covering": " or ".join(map(_an_authorization, permits)),
        "used": "; ".join(
            f"{_an_authorization(each)}, {quantity(each.get('used_quantity') or 0)} used"
            for each in permits
        ),
        "fails": "; ".join(
            f"{_an_authorization(c)} fails by {c['fails']}" for c in f.get("candidates") or ()
        ),
        "place": f"ZIP code {zip_code}" if zip_code else "a place without ZIP code",
        "details": _in_brackets(
            f.get("emergency_date") and f"on {f['emergency_date']}",
            zip_code and f"ZIP code {zip_code}",
            days and f"for {days} days from {f['coverage_start_date']}",
        ),
    }
    if f.get("candidates"):
        return NOT_AUTHORIZED.format_map(facts)
    return AUTHORIZATIONS.get(f["because"], AUTHORIZED_OTHERWISE).format_map(facts)


def _units(thousandths: int | None) -> str:
    return f"{quantity(thousandths)} units" if thousandths not in (None, 1_000) else "one unit"


def _an_authorization(found: Facts) -> str:
    limit = found.get("unit_limit")
    units = limit and ("one unit" if limit == 1 else f"{limit} units")
    return f"{found['authorization_number']}{_in_brackets(_span(found), units)}"


HOSPICE: Mapping[str | None, str] = {
    "related": "{elected}; {related} tells that it is related to the terminal illness, so it is "
    "the hospice's",
    "no_explanation": "{elected}; {unrelated} tells that it is unrelated to the terminal illness: "
    "Original Medicare is to be billed first, and its explanation did not come",
    "explained": "{elected}; {unrelated} tells that it is unrelated to the terminal illness, and "
    "Original Medicare has explained what it left",
    "undecided": "{elected}; whether it is related to the terminal illness the claim tells {how}",
}


def _hospice(f: Facts) -> str:
    revoked = f["revocation_date"]
    elected = f"the member elected hospice on {f['election_date']}" + (
        f" and revoked it on {revoked}, which holds to the end of that month" if revoked else ""
    )
    both = f["unrelated"] and f["related"]
    how = f"both ways, by {f['unrelated']} and by {f['related']}" if both else "neither way"
    return HOSPICE[f["outcome"]].format_map({**f, "elected": elected, "how": how})


URGENT: Mapping[str | None, str] = {
    "inside": "urgent care by NPI {provider_number}, outside the network, at ZIP code {zip_code} "
    "in the service area on {decision_date}; {plan_code} pays for it elsewhere only",
    None: "urgent care by NPI {provider_number}, outside the network; {plan_code} pays for it "
    "outside the service area only, and whether this was is not known",
}

NOTICES = {
    "none": "nobody told us of the admission of {admission_date}",
    "cancelled": "the notice of the admission of {admission_date} was cancelled",
    "unknown_number": "number {notification_number} on the claim is that of no notice of the "
    "admission of {admission_date}",
    "other_facility": "number {notification_number} on the claim is that of a notice by another "
    "facility",
}


def _inpatient_notification(f: Facts) -> str:
    due = f["due_date"]
    if f["reason"] == "late":
        return (
            f"we were told on {f['notified_date']} of the admission of {f['admission_date']}, "
            f"which was due by {due}: {_after(f['notified_date'], due)}"
        )
    told = NOTICES[f["reason"]].format_map(f)
    return f"{told}; it was due by {due}" if due and f["reason"] == "none" else told


def _approved_facility(f: Facts) -> str:
    if f["because"] == "no list in force":
        return (
            f"no list of facilities approved for {f['service']} is in force on "
            f"{f['decision_date']}, so that it is not judged"
        )
    return (
        f"{f['service']} on {f['decision_date']} at NPI {f['facility_number']}, which is not on "
        "the list of facilities approved for it"
    )


def _serious_event(f: Facts) -> str:
    if not f.get("conditions"):
        return f"modifier {f['modifier_codes']} tells of a serious event on {f['decision_date']}"
    told = "; ".join(f"{c['condition']} ({c['diagnosis_code']})" for c in f["conditions"])
    return f"not present when the patient was admitted on {f['decision_date']}: {told}"


DETERMINATIONS = {"ncd": "national", "lcd": "local"}


def _necessity(f: Facts) -> str:
    return (
        f"{DETERMINATIONS[f['kind_code']]} coverage determination {f['determination_number']} does "
        f"not cover {f['procedure_code']} on {f['decision_date']} for {f['diagnosis_codes']}"
    )


def _unlisted_code(f: Facts) -> str:
    what = f"{f['procedure_code']} names no service in particular"
    if f["lacks"]:
        return f"{what}, and the claim came without {LACKS[f['lacks']]}"
    told = [n for n, holds in (("a description", f["described"]), ("notes", f["noted"])) if holds]
    return f"{what}; it came with {' and '.join(told)}"


LACKS = {"description": "description or notes", "notes": "notes or a document"}
STAYS = {"inpatient": "an inpatient stay", "outpatient": "an outpatient stay"}


def _ambulance_in_stay(f: Facts) -> str:
    return (
        f"an ambulance on {f['decision_date']} that was no emergency, during {STAYS[f['kind']]} "
        f"from {f['first_date']} to {f['last_date']} (claim {f['stay_claim']})"
    )


OBSERVED: Mapping[str | None, str] = {
    "admitted on the same day": "both the observation and the admission (claim {other_claim}) "
    "began on {admission_date}: only the admission is paid",
    "admitted on a later day": "the observation from {observed_from} to {observed_to} led to the "
    "admission of {admission_date} (claim {other_claim}): not both are paid in full",
    "the admission waits": "the observation from {observed_from} to {observed_to} led to the "
    "admission of {admission_date} (claim {other_claim}), which is not decided yet",
    "the observation was paid": "the observation from {observed_from} to {observed_to} (claim "
    "{other_claim}) that led to this admission was paid already, and reversing it is not carried "
    "out yet",
}
OBSERVED_END: Mapping[str | None, str] = {
    "admitted on a later day": "a person who decides what of the observation is paid",
    "the admission waits": "a decision of claim {other_claim}",
    "the observation was paid": "the observation's payment (claim {other_claim}) taken back",
}


def _ncci(f: Facts) -> str:
    rule, day = f["rule"], f["decision_date"]
    other = f" (line {f['other_line']}" if f.get("other_line") else ""
    other += f" of claim {f['other_claim']})" if f.get("other_claim") else ")" if other else ""
    if rule == "pair":
        why = INDICATORS[f["modifier_indicator_code"]]
        return (
            f"{f['procedure_code']} is not paid beside {f['other_code']}{other} on {day}: a pair "
            f"of the {f['table']} table, {why}"
        )
    if rule == "pair paid before":
        return (
            f"beside {f['procedure_code']} on {day}, {f['other_code']}{other} is not paid, but it "
            "was already, and reversing it is not carried out yet"
        )
    if rule == "units":
        per = "a line" if f["adjudication_indicator_code"] == "1" else "a day"
        before = f["earlier_quantity"]
        sum_of = f" and {quantity(before)} before" if before else ""
        return (
            f"{quantity(f['billed_quantity'])} units of {f['procedure_code']}{sum_of} on {day}; "
            f"the {f['table']} table takes {f['unit_limit']:,} for {per} at most"
        )
    if rule == "add-on":
        listed = f["primary_codes"]
        beside = f"such a one as {listed}" if listed else "another procedure"
        return f"{f['procedure_code']} is paid only beside {beside}, and none stands on {day}"
    told = "; ".join(
        f"{_plain(t['table'])} holds from {t['first_day']}"
        + (f" to {t['last_day']}" if t["last_day"] else "")
        for t in f["tables"]
    )
    return f"the correct coding edits were not asked for {day}: {told}"


def _ncci_end(f: Facts) -> str:
    if f["rule"] != "pair paid before":
        return ""
    return f"the payment of line {f['other_line']} of claim {f['other_claim']} taken back"


INDICATORS = {
    "0": "which no modifier sets apart",
    "1": "and no modifier sets the two apart",
}
UNBILLED = {
    "undecided": "{payer} comes before us, and its decision is not on the claim",
    "nobody_named": "the claim makes us second and names nobody before us",
    "member_file": "on {decision_date} {payer} paid before us by the member's file, and its "
    "decision is not on the claim",
}
FILE_KINDS = {
    "group_health": "a group health plan",
    "medicare": "Medicare",
    "working_aged": "the employer's plan of a Working Aged member",
}


def _other_payer_unbilled(f: Facts) -> str:
    kind = FILE_KINDS.get(f["kind_code"] or "", _plain(f["kind_code"]) or "another payer")
    name = f["payer_name"]
    payer = f"{kind} ({name})" if name and f["kind_code"] else name or kind
    return UNBILLED[f["because"]].format_map({**f, "payer": payer})


def _accident_primary(f: Facts) -> str:
    named = _in_brackets(f["payer_name"])
    if f["insurer"] == "work":
        return (
            f"what was treated is of work: workers' compensation{named} pays first"
            if f["carc"]
            else "what was treated is of work, and nobody knows who insures that"
        )
    asks = ", and the bill asks for payment on condition" * f["conditional"]
    return (
        "what was treated is of a motor accident, and no dated notice tells that the auto "
        f"insurer{named} has paid, denied or used up its benefits{asks}"
    )


POSITIONS = {"P": "first", "S": "second", "T": "third"}
UNTOLD = {
    "position": "who pays first is not told: the claim makes us {place}",
    "later_payer_paid": "a payer after us has paid already",
    "document_alone": "another payer's explanation came as a document; its figures are not on the "
    "claim",
    "unbilled": "a payer before us has not decided",
    "no_terms": "the program has no terms for what another payer decided",
    "unknown_payer": "a line is decided by a payer that is not on the claim, or there twice",
    "undecided": "a payer before us has not decided: it wants something first, or says that "
    "another pays first",
    "no_figures": "a payer before us tells what it paid, and not what became of the rest",
    "unbalanced": "what a payer before us paid and adjusted is not what was charged",
    "earlier_missing": "the first payer tells of one before it that is not on the claim",
    "contradictory": "what the payers before us paid and wrote off is more than was charged",
}


def _coordination(f: Facts) -> str:
    count, place = f["other_payer_count"], POSITIONS.get(f["responsibility_code"], "no certain one")
    others = "no other payer" if not count else (
        "one other payer" if count == 1 else f"{count} other payers"
    )  # fmt: skip
    return f"{UNTOLD[f['because']].format(place=place)}; the claim names {others}"


# ---- what stages find ------------------------------------------------------------------------


def _missing_reference(f: Facts) -> str:
    if "missing" in f:
        return "; ".join(map(_missing, f["missing"]))
    where = {n: f[n] for n in ("plan_code", "benefit_category", "network_code", "decision_date")}
    return f"no {f['problem']}{_in_brackets(figures(where))}"


def _missing(item: Facts) -> str:
    day = f" on {item['date']}" if item["date"] else ""
    return f"table {item['table']}{_in_brackets(figures(item['key']))}{day}: {item['reason']}"


def _missing_end(f: Facts) -> str:
    if "missing" not in f:
        return f"the plan's terms with it (program {f['program_code']})"
    return "; ".join(
        dict.fromkeys(
            f"a row of table {item['table']} that holds on {item['date']}"
            if item["reason"] == "no row in force"
            else f"a person, or a mend of this: {item['reason']}"
            for item in f["missing"]
        )
    )


NETWORKS = {"in": "in the network", "out": "outside the network"}


def _plain(name: str | None) -> str:
    return (name or "").replace("_", " ")


def _plan_exclusion(f: Facts) -> str:
    return (
        f"{f['plan_code']} does not cover {_plain(f['benefit_category'])} "
        f"{NETWORKS[f['network_code']]} on {f['decision_date']}"
    )


def _plan_limit(f: Facts) -> str:
    count, unit = f["limit_maximum"], f["limit_unit"]
    condition = f.get("condition_code")
    return (
        f"{f['plan_code']} pays for {'one' if count == 1 else count} {unit}{'s' * (count != 1)} of "
        f"{_plain(f['limit_code'])} in {f['benefit_year_start_date'][:4]}"
        f"{f' for condition {condition}' if condition else ''}; {f['used']} "
        f"{'was' if f['used'] == 1 else 'were'} counted before {f['decision_date']} came"
    )


def resolution(f: Facts) -> str:
    """Who or what ended a pend, in one sentence; empty where nothing did."""
    end = f["inputs"].get("resolution")
    if not end:
        return ""
    if end["act"] == "lapsed":
        return (
            f"it waited for {f['pend_code']} since {end['began_date']} and lapsed on "
            f"{end['date']}, {_days(end['days'])} later"
        )
    return f"{end['act']} by {end['by']} on {end['date']}: {end['note']}"


def _syntax(f: Facts) -> str:
    loop = f"loop {f['loop']}" if f["loop"] else ""
    element = f["element"] if f["element"] != f["segment"] else ""
    return (
        f"segment {f['position']}, {f['segment'] or 'none'}{_in_brackets(loop, element)}: "
        f"{f['cause']}"
    )


# words for what an edit or stage found, and for what ends it, each filled from the finding
TELLS: Mapping[str, Words] = {
    # the claim as received: ended by what its sender does
    "syntax": Words(
        _syntax, "write segment {position}, {segment}, as the implementation guide wants it"
    ),
    "another_payer": Words("{element}: {cause}", "send it to the payer that it names"),
    "unreadable_box": Words(
        "line {position} of the file: {cause}", "write it as docs/paper.md shows it"
    ),
    "mandatory_field": Words(
        "box {box}, {field} ({element}), is empty", "fill in box {box}, {field} ({element})"
    ),
    "interim_bill": Words("{element}: {cause}", "send one bill for the whole stay"),
    "frequency": Words("{element}: {cause}", "use a claim frequency of 0, 1, 5, 7, 8 or 9"),
    "original_number": Words("{element}: {cause}", "add the number of the claim that it corrects"),
    "no_lines": Words("{element}: {cause}", "add the services, a line each"),
    "total_charge": Words("{element}: {cause}", "make the total the sum of its lines"),
    "negative_amount": Words("{element}: {cause}", "send amounts and counts of nothing or more"),
    "date_range": Words("{element}: {cause}", "send a line for each day"),
    "diagnosis_count": Words("{element}: {cause}", "send the twelve that matter most"),
    "diagnosis_pointer": Words(
        "{element}: {cause}", "point each line to at most four diagnoses of the claim"
    ),
    **{each.name: Words("{element}: {cause}", each.mend) for each in RULES},
    # edits: ended by what a payer loads or somebody decides
    "correction": Words(_correction, _original_awaited),
    "payee_unknown": Words(
        "the provider file names no payee for NPI {billing_npi}, or several",
        "rows of table providers that give NPI {billing_npi} one payee on the claim's date",
    ),
    "member_unknown": Words(
        _by("member_match_code", MATCHES),
        "table members, mended where it is wrong, or a claim with the name as enrolled",
    ),
    "coverage": Words(_coverage, "a claim that dates the service"),
    "provider_ineligible": Words(_by("reason", INELIGIBLE)),
    "provider_under_review": Words(
        "NPI {npi} is under investigation for fraud",
        "an end of the flag under_review of NPI {npi} (table provider_flags)",
    ),
    "carve_out": Words(
        "{services} ({told_by}) on {decision_date} belongs to another administrator: bill "
        "{administrator}"
    ),
    "hospice": Words(
        _hospice,
        "a claim that tells by modifier GW or condition 07 that it is unrelated, or a person who "
        "finds out",
    ),
    "exact_duplicate": Words(
        "it repeats line {duplicate_of_line} of claim {duplicate_of_claim}: same member, "
        "provider, dates, code, modifiers, units and charge"
    ),
    "suspected_duplicate": Words(
        "it is line {duplicate_of_line} of claim {duplicate_of_claim} again, but for the {differs}",
        "line {duplicate_of_line} of claim {duplicate_of_claim} denied, or a person who tells the "
        "two apart",
    ),
    "timely_filing": Words(
        _timely_filing, "a filing limit of the program that holds on {clock_date}"
    ),
    "referral": Words(_referral, _referral_end),
    "urgent_out_of_network": Words(_by("area", URGENT), AREA),
    "prior_authorization": Words(_prior_authorization, AREA),
    "inpatient_notification": Words(_inpatient_notification),
    "approved_facility": Words(_approved_facility),
    "serious_event": Words(
        _serious_event, "a person who finds out what the condition cost beyond the rest"
    ),
    "necessity": Words(_necessity),
    "unlisted_code": Words(_unlisted_code, "a person who prices the service"),
    "ambulance_in_stay": Words(_ambulance_in_stay),
    "urgent_care": Words(
        "{service} ({procedure_code}) on {decision_date} is not paid to NPI {provider_number} as "
        "urgent care"
    ),
    "nutrition": Words("{service} ({procedure_code}) on {decision_date} is not paid for"),
    "observation": Words(_by("because", OBSERVED), _by("because", OBSERVED_END)),
    "ncci": Words(_ncci, _ncci_end),
    "other_payer_unbilled": Words(_other_payer_unbilled),
    "accident_primary": Words(
        _accident_primary,
        "coverage of workers' compensation (table other_coverage), its decision on the claim, or "
        "a person who says that it is not of work",
    ),
    "coordination": Words(
        _coordination,
        "a claim whose other payers add up to the cent, or a person who says that we pay first",
    ),
    # stages
    "missing_reference": Words(_missing_reference, _missing_end),
    "plan_exclusion": Words(_plan_exclusion),
    "plan_limit": Words(_plan_limit),
    "allowed_zero": Words(
        "nothing is allowed for what was charged on {decision_date}", "a price above nothing"
    ),
    "system": Words("{cause}", "a mend of the program"),
}
