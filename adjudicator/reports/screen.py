"""What a report says on a terminal: counts and amounts, no member."""

from __future__ import annotations

from adjudicator.explain import money
from adjudicator.reports.publish import Published
from adjudicator.reports.text import counted

TITLES = {
    "eop": "Explanation of Payment",
    "in-process": "Summary of Claims in Process",
    "register": "Payment register",
}

# beside a payment's claims, in words
BESIDE = {
    "brought_forward_amount": "{} brought forward from an earlier payment",
    "interest_amount": "{} interest on claims paid late",
    "case_management_amount": "{} case management",
    "recovered_amount": "{} recovered",
    "carried_forward_amount": "{} carried forward to the next payment",
}


def as_text(done: Published) -> str:
    """At 80 columns, but for payees whose keys are long."""
    totals, nights = done.totals, done.nights
    of = (
        f"night of {nights.date} (run {nights.last_run})"
        if nights.of_one_run
        else f"{nights.first_date} to {nights.last_date} ({counted(len(nights.run_ids), 'run')})"
    )
    out = [f"{TITLES[done.report]}, {of}", ""]
    if done.report == "register":
        out += _payments(done)
    else:
        shown = ("paid", "prepaid", "denied") if done.report == "eop" else ()
        fates = [f"{totals[f'{s}_count']:,} {s}" for s in shown if totals[f"{s}_count"]]
        fates.append(f"{totals['pended_count']:,} in process")
        out.append(
            f"  {counted(done.document_count, 'document')}, "
            f"{counted(totals['claim_count'], 'claim')}: {', '.join(fates)}"
        )
        if done.report == "eop":
            out.append(f"  paid to providers {money(totals['paid_amount'])}")
    out.append(f"  {counted(len(done.written), 'file')} in {done.folder}")
    return "\n".join(out)


def _payments(done: Published) -> list[str]:
    names = {
        column: max([len(str(p[column])) for p in done.payments] + [len(title)])
        for column, title in (("payee_id", "payee"), ("program_code", "program"))
    }
    payee, program = names.values()
    totals = done.totals
    claims = max(len(f"{totals['claim_count']:,}"), len("claims")) + 2
    amount = max(len(money(totals["payment_amount"])), len("amount")) + 2
    out = [
        f"  {'trace':<9}  {'payee':<{payee}}  {'program':<{program}}  method  {'date':<10}"
        f"{'claims':>{claims}}{'amount':>{amount}}"
    ]
    out += [
        f"  {p['trace_number']:<9}  {p['payee_id']:<{payee}}  {p['program_code']:<{program}}  "
        f"{p['payment_method_code']:<6}  {p['payment_date']}{p['claim_count']:>{claims},}"
        f"{money(p['payment_amount']):>{amount}}"
        for p in done.payments
    ]
    payments = counted(done.totals["payment_count"], "payment")
    width = len(out[0]) - 2 - claims - amount
    out.append(
        f"  {payments:<{width}}{totals['claim_count']:>{claims},}"
        f"{money(totals['payment_amount']):>{amount}}"
    )
    for p in done.payments:
        out += [
            f"  {p['trace_number']:<9}  {words.format(money(p[name]))}"
            for name, words in BESIDE.items()
            if p[name]
        ]
    return [*out, ""]
