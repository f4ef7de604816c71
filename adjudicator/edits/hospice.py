from __future__ import annotations

import polars as pl

from adjudicator.categories import benefit_category
from adjudicator.edits.edit import edit
from adjudicator.edits.services import OF_CLAIM, OF_LINE, told_by
from adjudicator.pipeline import Batch
from adjudicator.reference import Reference
from schemas.program import Citation, HospiceTerms

LINE = ["claim_id", "line_number"]
NOTHING = pl.LazyFrame(schema={**dict.fromkeys(LINE, pl.Int64), "inputs": pl.Struct({})})
TOLD = ["unrelated", "related", "supplemental"]
# of a line under an election: what asks for what; nothing is asked of a supplemental benefit
OUTCOMES = {
    "related": ("deny", "CO", "B9", None),
    "no_explanation": ("deny", "OA", "109", None),
    "explained": ("inform", None, None, None),
    "undecided": ("pend", None, None, "REVIEW"),
}


@edit(
    disposition="deny",
    group_code="OA",
    carc="109",
    pend_code="REVIEW",
    other_codes=(("CO", "B9"),),
    cites=Citation(
        document="001",
        lines=(3366, 3370),
        phrase="claims will continue to be paid by fee-for-service contractors (carrier/fiscal "
        "intermediary), as if the beneficiary were a fee-for-service beneficiary, until the first "
        "day of the month following the month in which hospice was revoked",
    ),
)
def hospice(batch: Batch, reference: Reference) -> pl.LazyFrame:
    """The member has elected hospice: Original Medicare or the hospice pays before us.

    From the election to the end of the month in which it was revoked (001:3366-3368). Related to
    the terminal illness: the hospice's, CO-B9 [j]. Unrelated: Original Medicare is to be billed,
    OA-109, unless its explanation came: then its cost share is ours (001:3375), which
    coordination reckons. A supplemental benefit of ours, which Medicare doesn't cover, is ours as
    ever (001:3387-3389) unless the claim tells that it is related.

    By which codes a claim tells is the program's data [j]: unrelated by modifier GW of the line
    or condition 07, related by modifier GV or a hospice's own bill and codes. What tells neither,
    or both, pends REVIEW, for the liability hangs on it. Original Medicare's explanation is its
    loop 2320 with a payment, an adjudication date or adjustments, or an attached document of its.
    """
    terms = {code: p.hospice for code, p in sorted(reference.programs.items()) if p.hospice}
    statuses = reference.tables["special_statuses"].filter(status_code="hospice")
    if not terms or statuses.is_empty():
        return NOTHING
    claims = batch.claims.filter(
        pl.col("member_id").is_in(statuses["member_id"].unique().implode())
        & pl.col("program_code").is_in([*terms])
    )
    lines = batch.lines.select(*LINE, *OF_LINE, "decision_date").join(
        claims.select("claim_id", "claim_number", "member_id", "program_code", *OF_CLAIM),
        on="claim_id",
        maintain_order="left",
    )
    elections = statuses.select(
        "member_id", election_date="start_date", revocation_date="end_date",
        until=pl.col("end_date").dt.month_end(),
    )  # fmt: skip
    lines = (
        lines.join(elections, on="member_id", maintain_order="left")
        .filter(
            (pl.col("decision_date") >= pl.col("election_date"))
            & (pl.col("until").is_null() | (pl.col("decision_date") <= pl.col("until")))
        )
        # revoked and elected again in one month: the later election speaks
        .sort(*LINE, "election_date")
        .unique(LINE, keep="last", maintain_order=True)
    )
    if lines.is_empty():
        return NOTHING
    explained = pl.concat(_explained(lines, batch, reference, code, t) for code, t in terms.items())
    lines = lines.with_columns(
        bill_type="facility_code",
        explained=pl.col("claim_id").is_in(explained.unique().implode()),
    ).with_columns(benefit_category=benefit_category(reference.benefit_categories))
    lines = lines.with_columns(
        pl.coalesce(
            pl.when(pl.col("program_code") == code).then(told_by(getattr(of_program, name), batch))
            for code, of_program in terms.items()
        ).alias(name)
        for name in TOLD
    )
    unrelated, related, supplemental = (pl.col(name).is_not_null() for name in TOLD)
    outcome = (
        pl.when(unrelated & related)
        .then(pl.lit("undecided"))
        .when(related)
        .then(pl.lit("related"))
        .when(supplemental)
        .then(None)
        .when(unrelated & pl.col("explained"))
        .then(pl.lit("explained"))
        .when(unrelated)
        .then(pl.lit("no_explanation"))
        .otherwise(pl.lit("undecided"))
    )
    facts = ("disposition", "group_code", "carc", "pend_code")
    return (
        lines.lazy()
        .with_columns(outcome=outcome)
        .filter(pl.col("outcome").is_not_null())
        .select(
            *LINE,
            *(
                pl.col("outcome")
                .replace_strict(
                    {name: values[place] for name, values in OUTCOMES.items()},
                    return_dtype=pl.String,
                )
                .alias(fact)
                for place, fact in enumerate(facts)
            ),
            inputs=pl.struct(
                "outcome", "decision_date", "election_date", "revocation_date", "unrelated",
                "related", "explained",
            ),
        )
    )  # fmt: skip


def _explained(
    lines: pl.DataFrame, batch: Batch, reference: Reference, code: str, terms: HospiceTerms
) -> pl.Series:
    """The program's claims for which Original Medicare's explanation came."""
    claims = lines.filter(program_code=code).select("claim_id", "claim_number").unique()
    payers = batch.other_payers.filter(
        pl.col("claim_filing_code").is_in(terms.medicare_filing_codes)
    ).join(claims, on="claim_id", how="semi")
    of_claim = payers.filter(
        pl.col("paid_amount").is_not_null() | pl.col("adjudication_date").is_not_null()
    )
    by_line = payers.join(batch.other_payer_lines, on=["claim_id", "payer_number"], how="semi")
    adjusted = payers.join(
        batch.other_payer_adjustments, on=["claim_id", "payer_sequence"], how="semi"
    )
    attached = claims.join(
        reference.tables["attachments"].filter(
            (pl.col("kind_code") == "eob")
            & pl.col("payer_number").is_in(terms.medicare_payer_numbers)
        ),
        on="claim_number",
        how="semi",
    )
    return pl.concat([each["claim_id"] for each in (of_claim, by_line, adjusted, attached)])
