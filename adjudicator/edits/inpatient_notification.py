from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from adjudicator.edits.edit import edit
from adjudicator.edits.exempt import in_force
from adjudicator.pipeline import Batch
from adjudicator.reference import Reference
from schemas.program import Citation, NotificationTerms

LINE = ["claim_id", "line_number"]
NOTHING = pl.LazyFrame(schema={**dict.fromkeys(LINE, pl.Int64), "inputs": pl.Struct({})})
CARC = {"unknown_number": "284", "other_facility": "296"}


@edit(
    disposition="deny",
    group_code="CO",
    carc="197",
    other_codes=(("CO", "284"), ("CO", "296")),
    cites=Citation(
        document="001",
        lines=(1910, 1912),
        phrase="late or lack of inpatient notification applies to the hospital claims",
    ),
)
def inpatient_notification(batch: Batch, reference: Reference) -> pl.LazyFrame:
    """A facility's stay of which we were not told, or not in time.

    By the program's terms in force on the day of admission, else the statement's first [j]. A
    number on the claim must be that of a notice of this admission: of the member's at another
    facility that day, CO-296; of anything else, CO-284; but the number of an authorization of the
    member's is no notice's [j]. Without a number the notice is looked for by member, facility and
    day, and the earliest counts. None or a cancelled one: CO-197; after the last day: CO-197 N385
    [j]. The facility is the billing or the service facility's NPI [j].

    "Within one calendar day" (001:1886-1888) binds what was reported as outpatient care, by its
    codes; a stay that came through the emergency room has the two days of an emergency (001:1883),
    which else would bind nobody [j].

    Found are whole claims; of home health (001:1835) the lines after its first day, each of which
    needs a notice no later than itself [j]. Observation and surgical day care need none, as their
    bill types are not listed; accidents are no exception (001:2382); a professional claim is
    never denied for it (001:1911).
    """
    claims = batch.claims.filter(
        (pl.col("claim_type_code") == "I") & pl.col("member_id").is_not_null()
    ).select(
        "claim_id",
        "program_code",
        "member_id",
        "facility_code",
        "billing_npi",
        "facility_npi",
        "provider_id",
        "billing_taxonomy_code",
        "admission_type_code",
        "admission_source_code",
        notification_number=pl.col("prior_authorization_number").str.strip_chars(),
        admission_date=pl.coalesce("admission_date", "statement_from_date"),
    )
    if claims.is_empty():
        return NOTHING
    stays = [
        _stays(claims.filter(program_code=code), batch, reference, terms)
        for code, program in sorted(reference.programs.items())
        for terms in program.inpatient_notification
    ]
    if not any(each.height for each in stays):
        return NOTHING
    told = _told(pl.concat(stays), reference)
    whole = told.filter(~pl.col("home_health")).with_columns(
        line_number=pl.lit(None, dtype=pl.Int64)
    )
    home = told.filter("home_health")
    later = (
        batch.lines.select(*LINE, "decision_date")
        .filter(pl.col("claim_id").is_in(home["claim_id"].implode()))
        .join(home, on="claim_id")
        .filter(pl.col("decision_date") > pl.col("admission_date"))
        .with_columns(due_date="decision_date")
        .select(whole.columns)
    )
    late = pl.col("reason").is_null() & (pl.col("notified_date") > pl.col("due_date"))
    return (
        pl.concat([whole, later])
        .lazy()
        .with_columns(pl.when(late).then(pl.lit("late")).otherwise("reason").alias("reason"))
        .filter(pl.col("reason").is_not_null())
        .select(
            *LINE,
            pl.col("reason").replace_strict(CARC, default="197").alias("carc"),
            pl.when(reason="late").then(pl.lit("N385")).alias("rarc"),
            pl.struct(
                "reason",
                "notification_number",
                "admission_date",
                "admission_type_code",
                "notified_date",
                "due_date",
            ).alias("inputs"),
        )
    )


def _stays(
    claims: pl.DataFrame, batch: Batch, reference: Reference, terms: NotificationTerms
) -> pl.DataFrame:
    """The claims that need a notice by those terms, with the last day for it: ``due_date``, null
    where any notice on file will do, and ``home_health``."""
    of_terms = pl.col("admission_date") >= terms.start_date
    if terms.end_date is not None:
        of_terms &= pl.col("admission_date") <= terms.end_date
    partial = {
        "revenue": terms.partial_hospital_revenue_codes,
        "BG": terms.partial_hospital_condition_codes,
    }
    changed = {"revenue": terms.changed_revenue_codes, "BI": terms.changed_span_codes}
    coded = _coded(batch, [*partial["revenue"], *changed["revenue"]])
    turned = _carries(coded, changed) | pl.col("admission_source_code").is_in(
        terms.changed_source_codes
    )
    not_elective = (
        reference.tables["providers"]
        .filter(pl.col("taxonomy_code").is_in(terms.not_elective_taxonomy_codes))
        .select("provider_id", "start_date", "end_date")
    )
    admitted = claims.select("claim_id", "provider_id", decision_date="admission_date")
    on_file = in_force(admitted, not_elective, ["provider_id"])["claim_id"]
    exempt = (
        pl.col("facility_code").is_in(terms.not_elective_bill_types)
        | pl.col("billing_taxonomy_code").is_in(terms.not_elective_taxonomy_codes)
        | pl.col("claim_id").is_in(on_file.implode())
    ).fill_null(value=False)
    days = (
        pl.when(turned.fill_null(value=False))
        .then(terms.changed_days)
        .when(pl.col("admission_type_code").is_in(terms.urgent_admission_type_codes))
        .then(terms.urgent_days)
        .when(pl.col("admission_type_code").is_in(terms.elective_admission_type_codes) & ~exempt)
        .then(terms.elective_days)
    )
    return claims.filter(
        of_terms
        & (
            pl.col("facility_code").is_in([*terms.bill_types, *terms.home_health_bill_types])
            | _carries(coded, partial)
        )
    ).with_columns(
        due_date=pl.col("admission_date") + pl.duration(days=days),
        home_health=pl.col("facility_code").is_in(terms.home_health_bill_types),
    )


def _coded(batch: Batch, revenue_codes: list[str]) -> pl.DataFrame:
    """The claims' occurrences, and their revenue codes as far as they are among those."""
    lines = batch.lines.filter(pl.col("revenue_code").is_in(revenue_codes))
    return pl.concat(
        [
            batch.occurrences.select("claim_id", "qualifier_code", "code"),
            lines.select("claim_id", qualifier_code=pl.lit("revenue"), code="revenue_code"),
        ]
    )


def _carries(coded: pl.DataFrame, codes: Mapping[str, tuple[str, ...]]) -> pl.Expr:
    """Whether a claim carries one of the codes, by qualifier."""
    carried = pl.any_horizontal(
        (pl.col("qualifier_code") == qualifier) & pl.col("code").is_in(of_qualifier)
        for qualifier, of_qualifier in codes.items()
    )
    return pl.col("claim_id").is_in(coded.filter(carried)["claim_id"].unique().implode())


def _told(stays: pl.DataFrame, reference: Reference) -> pl.DataFrame:
    """The stays with the day we were told, and ``reason`` where no notice of theirs holds."""
    notices = reference.tables["notifications"].rename({"npi": "notice_npi"})
    here = (
        (pl.col("notice_npi") == pl.col("billing_npi"))
        | (pl.col("notice_npi") == pl.col("facility_npi"))
    ).fill_null(value=False)
    cancelled = pl.col("status_code") == "cancelled"
    authorized = stays.join(
        reference.tables["authorizations"],
        left_on=["member_id", "notification_number"],
        right_on=["member_id", "authorization_number"],
        how="semi",
    )["claim_id"]
    numbered = pl.col("notification_number").is_not_null() & ~pl.col("claim_id").is_in(
        authorized.implode()
    )
    day = pl.col("notice_admission_date")
    by_number = (
        stays.filter(numbered)
        .join(
            notices.rename({"admission_date": "notice_admission_date"}),
            # another member's notice is not looked at
            on=["notification_number", "member_id"],
            how="left",
        )
        .with_columns(
            reason=pl.when(day.ne_missing(pl.col("admission_date")))
            .then(pl.lit("unknown_number"))
            .when(~here)
            .then(pl.lit("other_facility"))
            .when(cancelled)
            .then(pl.lit("cancelled"))
        )
    )
    unnumbered = stays.filter(~numbered)
    known = (
        unnumbered.join(notices.drop("notification_number"), on=["member_id", "admission_date"])
        .filter(here)
        .sort("claim_id", cancelled, "notified_date")
        .unique("claim_id", keep="first", maintain_order=True)
        .select("claim_id", "notified_date", "status_code")
    )
    by_day = unnumbered.join(known, on="claim_id", how="left").with_columns(
        reason=pl.when(pl.col("status_code").is_null())
        .then(pl.lit("none"))
        .when(cancelled)
        .then(pl.lit("cancelled"))
    )
    columns = [*stays.columns, "notified_date", "reason"]
    return pl.concat([by_number.select(columns), by_day.select(columns)])
