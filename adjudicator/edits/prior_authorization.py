from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from adjudicator.edits.edit import edit
from adjudicator.edits.exempt import OF_CLAIM, OF_LINE, in_circumstances, in_force
from adjudicator.edits.permits import covers_service, fails, with_permits
from adjudicator.edits.services import PROVIDER, told_by
from adjudicator.edits.urgency import URGENCY_COLUMNS
from adjudicator.pipeline import Batch
from adjudicator.reference import Reference
from schemas.program import Citation, Program

LINE = ["claim_id", "line_number"]
NOTHING = pl.LazyFrame(schema={**dict.fromkeys(LINE, pl.Int64), "inputs": pl.Struct({})})
TOLD = {  # of an authorization that covers a line
    "authorization_number": pl.String,
    "start_date": pl.Date,
    "end_date": pl.Date,
    "unit_limit": pl.Int64,
}
# in what an authorization fails a line, and the CARC of the line where nothing else covers it
EXPIRED, EARLY, PROVIDER_FAILS, SERVICE = (
    "expired",
    "not yet begun",
    "other provider",
    "other service",
)
# one that the claim names: the first that is among its failings, [j]
BY_NUMBER = {SERVICE: "284", PROVIDER_FAILS: "296", "denied": "39", EXPIRED: "302"}
# one of the member's, no number given: the first by which alone one fails [j]
BY_SEARCH = {"denied": "39", EXPIRED: "302", PROVIDER_FAILS: "296"}
NONE = "197"
INPUTS = [
    "because", "decision_date", "code", "provider_number", "network_code", "authorization_number",
    "unit_quantity", "zip_code", "emergency_date", "coverage_start_date", "transition_days",
    "authorizations", "candidates",
]  # fmt: skip


@edit(
    disposition="deny",
    group_code="CO",
    carc="197",
    pend_code="REFERENCE",
    other_codes=(("PR", "197"), ("CO", "284"), ("CO", "296"), ("CO", "302"), ("CO", "39")),
    cites=Citation(
        document="001",
        lines=(1550, 1551),
        phrase="the treating provider is required to submit documentation of medical necessity for "
        "services requiring authorization",
    ),
)  # fmt: skip
def prior_authorization(batch: Batch, reference: Reference) -> pl.LazyFrame:
    """A service on the program's authorization list (001:1557-1559) without an authorization.

    On the list by the line's procedure or revenue code, its plan and date. The authorization is
    the one that line or claim names (REF G1; boxes 63 and 23), unless that number is a
    notification's or a referral's of the member's (001:2567-2568, 001:2837) [j]; where none is
    named, any of the member's: approved, to a provider on the claim or to anyone, for the line's
    code and date. None: 197. For another service 284, another provider 296, denied 39, expired
    302: of the one named the first of these that is so; of those found without a number 39, 302
    and 296, where one fails by that alone [j]. A number that is on no file of the member's, or
    cancelled, or not yet begun, is none [j].

    The provider bears it; where there is none (197) outside the network, whom the program says: the
    Partnership's member (000:221-222). None is needed for emergencies, the stay they lead to [j],
    urgent care (001:1258-1259), the program's exempt services (transplants, 001:3646-3647), its
    categories outside the service area (dialysis, 001:3325-3327) and an active treatment of a new
    member (001:748-750). Where dialysis would be exempt outside an area that isn't known, it pends
    REFERENCE.

    A line that an authorization covers, or that is exempt, is told as well: *benefits* counts the
    units, and denies 198 what they don't suffice for.
    """
    lines = _with_listed(batch, reference)
    if lines.is_empty():
        return NOTHING
    programs = reference.programs
    lines = in_circumstances(lines, batch, reference).filter(pl.col("code").is_not_null())
    outside = pl.col("area") == "outside"
    words = [
        (pl.col("emergency"), pl.lit("emergency")),
        (pl.col("emergency_date").is_not_null(), pl.lit("stay after an emergency")),
        (pl.col("urgent"), pl.lit("urgent")),
        *(
            (
                (pl.col("program_code") == code) & _exempt(program, batch).is_not_null(),
                pl.concat_str(pl.lit("exempt by "), _exempt(program, batch)),
            )
            for code, program in sorted(programs.items())
        ),
        (outside, pl.concat_str("benefit_category", pl.lit(" outside the service area"))),
        (pl.col("transition_days").is_not_null(), pl.lit("active treatment of a new member")),
    ]
    lines = lines.with_columns(
        because=pl.coalesce(pl.when(holds).then(word) for holds, word in words)
    ).with_columns(
        area_unknown=pl.col("asks_area") & pl.col("area").is_null() & pl.col("because").is_null()
    )
    lines = _with_authorizations(lines, reference)
    free = pl.col("because").is_not_null()
    covered = free | pl.col("authorizations").is_not_null()
    denied = ~covered & ~pl.col("area_unknown")
    return (
        lines.lazy()
        .with_columns(_reason())
        .select(
            *LINE,
            pl.when(covered)
            .then(pl.lit("inform"))
            .when("area_unknown")
            .then(pl.lit("pend"))
            .otherwise(pl.lit("deny"))
            .alias("disposition"),
            pl.when(denied).then(_liable(programs)).alias("group_code"),
            pl.when(denied).then(_carc()).alias("carc"),
            pl.when(~covered & pl.col("area_unknown")).then(pl.lit("REFERENCE")).alias("pend_code"),
            pl.struct(pl.coalesce("because", _story()).alias("because"), *INPUTS[1:]).alias(
                "inputs"
            ),
        )
    )


def _with_listed(batch: Batch, reference: Reference) -> pl.DataFrame:
    """All lines of the claims with a service on the list, with ``code``, the one that is on it."""
    entries = reference.tables["authorization_list"]
    if entries.is_empty():
        return pl.DataFrame()
    lines = batch.lines.select(*LINE, "procedure_code", "revenue_code", "decision_date",
                               "plan_code")  # fmt: skip
    kinds = ("procedure_code", "revenue_code")
    codes = pl.concat([lines.select(code=kind).unique() for kind in kinds]).unique().drop_nulls()
    named = codes.join(entries.rename({"plan_code": "of_plan"}), how="cross").filter(
        (pl.col("code") >= pl.col("first_procedure_code"))
        & (pl.col("code") <= pl.col("last_procedure_code"))
        & (pl.col("code").str.len_bytes() == pl.col("first_procedure_code").str.len_bytes())
    )
    if named.is_empty():
        return pl.DataFrame()
    of_codes = named["code"].unique().implode()
    few = lines.filter(pl.any_horizontal(pl.col(kind).is_in(of_codes) for kind in kinds)).join(
        batch.claims.select("claim_id", "program_code").filter(
            pl.col("program_code").is_in(entries["program_code"].unique().implode())
        ),
        on="claim_id",
    )
    spans = named.select("program_code", "of_plan", "code", "start_date", "end_date")
    on_list = pl.concat(
        in_force(few.with_columns(code=kind), spans, ["program_code", "code"])
        .filter(pl.col("of_plan").is_null() | (pl.col("of_plan") == pl.col("plan_code")))
        .select(*LINE, "code", place=pl.lit(place))
        for place, kind in enumerate(kinds)
    )
    listed = on_list.sort(*LINE, "place").unique(LINE, keep="first", maintain_order=True)
    claims = batch.claims.select(
        "claim_id", *OF_CLAIM, "billing_npi", "rendering_npi", "facility_npi", "payee_id",
        of_claim="prior_authorization_number",
    ).filter(
        pl.col("claim_id").is_in(listed["claim_id"].unique().implode())
        & pl.col("payee_id").is_not_null()
        & pl.col("member_id").is_not_null()
    )  # fmt: skip
    return (
        batch.lines.select(
            *LINE, *URGENCY_COLUMNS, *OF_LINE, "plan_code", "network_code", "unit_quantity",
            of_line="rendering_npi", line_number_given="prior_authorization_number",
        )
        .join(claims, on="claim_id", maintain_order="left")
        .join(listed.drop("place"), on=LINE, how="left", maintain_order="left")
        .with_columns(
            PROVIDER,
            authorization_number=pl.coalesce("line_number_given", "of_claim").str.strip_chars(),
        )
    )  # fmt: skip


def _exempt(program: Program, batch: Batch) -> pl.Expr:
    return told_by(program.prior_authorization.exempt, batch)


def _with_authorizations(lines: pl.DataFrame, reference: Reference) -> pl.DataFrame:
    """``authorizations`` that cover a line not exempt, and where there is none, ``candidates``."""
    number, who = "authorization_number", ["member_id", "authorization_number"]
    tables = reference.tables
    # boxes 23 and 63 carry notifications' and referrals' numbers too
    others = pl.concat(
        tables[name].select("member_id", authorization_number=column)
        for name, column in (
            ("notifications", "notification_number"),
            ("referrals", "referral_number"),
        )
    ).join(tables["authorizations"].select(who), on=who, how="anti")
    named = lines.select(who).unique().join(others.unique(), on=who)
    lines = lines.join(
        named.with_columns(other=True), on=who, how="left", maintain_order="left"
    ).with_columns(pl.when(pl.col("other").is_null()).then(number).alias(number))
    asked = lines.filter(pl.col("because").is_null()).select(
        *LINE, "member_id", "decision_date", number, "code", "billing_npi", "rendering_npi",
        "of_line", "facility_npi",
    )  # fmt: skip
    day = pl.col("decision_date")
    to_whom = pl.col("npi").is_null() | pl.any_horizontal(
        pl.col("npi").eq_missing(pl.col(role))
        for role in ("billing_npi", "rendering_npi", "of_line", "facility_npi")
    )
    in_what = [
        fails(SERVICE, covers_service()),
        fails(PROVIDER_FAILS, to_whom),
        pl.when(pl.col("status_code") != "approved").then("status_code"),
        fails(EARLY, day >= pl.col("start_date")),
        fails(EXPIRED, pl.col("end_date").is_null() | (day <= pl.col("end_date"))),
    ]
    return with_permits(
        lines, asked, tables["authorizations"], in_what,
        number=number, limit="unit_limit", into="authorizations",
    )  # fmt: skip


def _reason() -> pl.Expr:
    """``failing``: the word that decides; null where an authorization is not there at all."""
    fails_in = pl.col("candidates").list.eval(pl.element().struct.field("fails"))
    nearest = fails_in.list.first()
    return (
        pl.when(pl.col("authorization_number").is_not_null())
        .then(
            pl.coalesce(
                pl.when(nearest.str.contains(word, literal=True)).then(pl.lit(word))
                for word in BY_NUMBER
            )
        )
        .otherwise(
            pl.coalesce(
                pl.when(fails_in.list.contains(word)).then(pl.lit(word)) for word in BY_SEARCH
            )
        )
        .alias("failing")
    )


def _carc() -> pl.Expr:
    return pl.col("failing").replace_strict(BY_NUMBER, default=NONE, return_dtype=pl.String)


def _liable(programs: Mapping[str, Program]) -> pl.Expr:
    """Who bears the line's denial: the member only that there is no authorization at all."""
    members = [c for c, p in programs.items() if p.prior_authorization.outside_group_code == "PR"]
    outside = (pl.col("network_code") == "out") & pl.col("program_code").is_in(members)
    return pl.when(outside & (_carc() == NONE)).then(pl.lit("PR")).otherwise(pl.lit("CO"))


def _story() -> pl.Expr:
    """What became of the search for an authorization."""
    return pl.coalesce(
        pl.when(pl.col("authorizations").is_not_null()).then(pl.lit("an authorization covers it")),
        pl.when("area_unknown").then(pl.lit("service area not known")),
        "failing",
        pl.when(pl.col("candidates").is_not_null()).then(pl.lit("no authorization covers it")),
        pl.when(pl.col("authorization_number").is_not_null()).then(pl.lit("no such authorization")),
        pl.lit("no authorization"),
    )
