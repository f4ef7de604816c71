"""The life of a pend: how long it waits, into what it lapses, what a person decides of it.

A pend ends where its cause is no longer found. Before that a person may pass it or deny it, or it
lapses on its last day: its finding then denies, or is noted only, in its edit's own place of the
written order, and keeps its pend code to tell what it was. An edit that is waived after a dispute
passes its denials too.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import polars as pl

from adjudicator.pipeline import Batch
from adjudicator.reference import Reference, as_of
from schemas import frames
from schemas.program import PendDenial, PendTerms, Program

RESOLUTION = "resolution"  # among a finding's inputs: who or what ended its pend
UNREADABLE = "SYSTEM"  # what a claim waited for before our own failure it still waits for
CODES = ["group_code", "carc", "rarc"]
TERMS = {
    "program_code": pl.String, "pend_code": pl.String, "start_date": pl.Date, "end_date": pl.Date,
    "owner": pl.String, "days": pl.Int64,
}  # fmt: skip
LAPSES = {
    **TERMS, "place": pl.Int64, "group_code": pl.String, "carc": pl.String, "rarc": pl.String,
    "asked_because": pl.String,
}  # fmt: skip


def resolved(findings: pl.DataFrame, batch: Batch, reference: Reference) -> pl.DataFrame:
    """Findings (of the batch's claims) with the pends in them that a person or their last day ends.

    A person's last act comes first: a pend released is noted only, one denied denies with the
    codes chosen; where an edit is waived, its denials are noted only too. Else a pend on or after
    its last day, counted from the first of the unbroken nights it was found, denies as its program
    says (``PendTerms``). Rows and their order stay.
    """
    if batch.open_pends.is_empty() and batch.overrides.is_empty():
        return findings
    known = pl.concat([batch.open_pends["claim_id"], batch.overrides["claim_id"]]).unique()
    rows = findings.with_row_index("row")
    stops = (pl.col("disposition") == "pend") & pl.col("claim_id").is_in(known.implode())
    passed = batch.overrides.filter(act="waived")["claim_id"] if batch.overrides.height else ()
    if len(passed):
        stops |= (pl.col("disposition") == "deny") & pl.col("claim_id").is_in(list(passed))
    asked = rows.filter(stops).select(
        "row", "claim_id", "edit", "pend_code", "inputs", pends=pl.col("disposition") == "pend"
    )
    if asked.is_empty():
        return findings
    acts = _acts(asked, batch.overrides)
    lapses = _lapses(asked.filter("pends"), batch, reference)
    ends = pl.concat([acts, lapses]).unique("row", keep="first", maintain_order=True)
    if ends.is_empty():
        return findings
    inputs = pl.col("inputs").fill_null("{}").str.head(-1)
    ended = pl.col(RESOLUTION).is_not_null()
    return (
        rows.join(ends.select("row", RESOLUTION, "of", *(f"of_{c}" for c in CODES)), on="row",
                  how="left", maintain_order="left")
        .with_columns(
            disposition=pl.coalesce("of", "disposition"),
            inputs=pl.when(ended)
            .then(
                pl.concat_str(
                    inputs, pl.when(inputs == "{").then(pl.lit("")).otherwise(pl.lit(",")),
                    pl.lit(f'"{RESOLUTION}":'), RESOLUTION, pl.lit("}"),
                )
            )
            .otherwise("inputs"),
            **{c: pl.when(ended).then(f"of_{c}").otherwise(c) for c in CODES},
        )
        .select(findings.columns)
    )  # fmt: skip


def waiting(batch: Batch, reference: Reference) -> pl.DataFrame:
    """Pends: what each claim carried forward tonight waits for, and what ended of the rest.

    Also what a person or the last day has ended on a claim that still waits for something else,
    so that the day on which it began is not forgotten. By claim and code.
    """
    schema = frames.empty(frames.Pends).schema
    carried = batch.decisions.filter(disposition="pended")
    if carried.is_empty() and batch.open_pends.is_empty():
        return frames.empty(frames.Pends)
    key = ["claim_id", "pend_code"]
    standing = carried.select("claim_id", pl.col("pend_codes").str.split(",")).explode("pend_codes")
    acts = (
        batch.findings.filter((pl.col("disposition") != "pend") & pl.col("pend_code").is_not_null())
        .select(*key, state=pl.col("inputs").str.json_path_match(f"$.{RESOLUTION}.act"))
        .drop_nulls("state")
    )
    unreadable = carried.filter(pend_codes=UNREADABLE)["claim_id"]
    before = batch.open_pends.select(
        *key,
        state=pl.when(pl.col("claim_id").is_in(unreadable.implode()))
        .then(pl.lit("waits"))
        .otherwise(pl.lit("ended")),
    )
    found = (
        pl.concat(
            [
                standing.select("claim_id", pend_code="pend_codes", state=pl.lit("waits")),
                acts.sort(*key, "state"),
                before,
            ]
        )
        .unique(key, keep="first", maintain_order=True)
        .join(batch.open_pends, on=key, how="left")
        .join(batch.claims.select("claim_id", "program_code"), on="claim_id", how="left")
        .with_columns(pl.col("began_date").fill_null(reference.business_date))
    )
    return (
        as_of(found, _terms(reference.programs), on="began_date", by=["program_code", "pend_code"])
        .with_columns(lapse_date=pl.col("began_date") + pl.duration(days="days"))
        .with_columns(
            overdue=(
                (pl.col("state") == "waits") & (pl.col("lapse_date") <= reference.business_date)
            ).fill_null(value=False)
        )
        .select(schema.names())
        .cast(schema)
        .sort(key)
    )


def pend_terms(program: Program | None, pend_code: str, began: date) -> PendTerms | None:
    """The program's terms for a pend that began that day."""
    return next(
        (
            terms
            for terms in (program.pends if program else ())
            if terms.pend_code == pend_code
            and terms.start_date <= began
            and (terms.end_date is None or began <= terms.end_date)
        ),
        None,
    )


def waived(overrides: pl.DataFrame, edit: str) -> dict[int, dict[str, str]]:
    """By claim on which this edit is waived, the last such act as a finding's inputs tell it."""
    found = overrides.filter(act="waived", edit=edit).sort("override_number")
    return {
        row["claim_id"]: {"act": row["act"], "date": row["made_date"].isoformat(),
                          "by": row["made_by"], "note": row["note"]}
        for row in found.iter_rows(named=True)
    }  # fmt: skip


def lapse_denial(terms: PendTerms | None, because: str | None) -> PendDenial | None:
    """Into what a pend lapses of which the edit said ``because``; None: it stays."""
    return next(
        (
            denial
            for denial in (terms.denials if terms else ())
            if denial.at_lapse and denial.because in (None, because)
        ),
        None,
    )


def codes_of(denial: PendDenial) -> str:
    """As reports write it: CO-22 MA04."""
    told = f"{denial.group_code}-{denial.carc}"
    return f"{told} {denial.rarc}" if denial.rarc else told


def _acts(asked: pl.DataFrame, overrides: pl.DataFrame) -> pl.DataFrame:
    """The last act on each pend that a person decided; ``of`` is what the finding becomes."""
    told = overrides.select(
        "claim_id", "override_number", "edit", "pend_code", waives=pl.col("act") == "waived",
        of=pl.when(pl.col("act") == "denied").then(pl.lit("deny")).otherwise(pl.lit("inform")),
        **{f"of_{c}": c for c in CODES},
        resolution=pl.struct(
            "act", pl.col("made_date").dt.to_string("iso").alias("date"), by="made_by", note="note"
        ).struct.json_encode(),
    )  # fmt: skip
    found = pl.concat(
        [
            asked.join(told.drop("pend_code"), on=["claim_id", "edit"]),
            asked.join(told.drop("edit"), on=["claim_id", "pend_code"]),
        ],
        how="diagonal",
    )
    return (
        found.filter(pl.col("pends") | pl.col("waives"))
        .sort("row", "override_number")
        .unique("row", keep="last", maintain_order=True)
        .select("row", "of", *(f"of_{c}" for c in CODES), RESOLUTION)
    )


def _lapses(asked: pl.DataFrame, batch: Batch, reference: Reference) -> pl.DataFrame:
    """The pends whose last day has come and that their program lets lapse into a denial."""
    began, today = pl.col("began_date"), reference.business_date
    last_day = began + pl.duration(days="days")
    return (
        asked.join(batch.open_pends, on=["claim_id", "pend_code"])
        .join(batch.claims.select("claim_id", "program_code"), on="claim_id")
        .join(_denials(reference.programs), on=["program_code", "pend_code"])
        .filter(
            (pl.col("start_date") <= began)
            & (pl.col("end_date").is_null() | (pl.col("end_date") >= began))
            & (last_day <= today)
            & (
                pl.col("asked_because").is_null()
                | (pl.col("asked_because") == pl.col("inputs").str.json_path_match("$.because"))
            )
        )
        .sort("row", "place")
        .unique("row", keep="first", maintain_order=True)
        .select(
            "row",
            of=pl.lit("deny"),
            **{f"of_{c}": c for c in CODES},
            resolution=pl.struct(
                pl.lit("lapsed").alias("act"),
                last_day.dt.to_string("iso").alias("date"),
                began_date=began.dt.to_string("iso"),
                days="days",
            ).struct.json_encode(),
        )
    )


def _terms(programs: Mapping[str, Program]) -> pl.DataFrame:
    rows = [
        (code, t.pend_code, t.start_date, t.end_date, t.owner, t.days)
        for code, program in sorted(programs.items())
        for t in program.pends
    ]
    return pl.DataFrame(rows, schema=TERMS, orient="row")


def _denials(programs: Mapping[str, Program]) -> pl.DataFrame:
    """Into what pends lapse, in the order in which a program asks."""
    rows = [
        (
            code, t.pend_code, t.start_date, t.end_date, t.owner, t.days, place,
            d.group_code, d.carc, d.rarc, d.because,
        )
        for code, program in sorted(programs.items())
        for t in program.pends
        for place, d in enumerate(t.denials)
        if d.at_lapse
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=LAPSES, orient="row")
