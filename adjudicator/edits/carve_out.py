from __future__ import annotations

import polars as pl

from adjudicator.categories import benefit_category
from adjudicator.edits.edit import edit
from adjudicator.edits.services import (
    OF_CLAIM,
    OF_LINE,
    PROVIDER,
    told_by,
    with_specialties,
    within,
)
from adjudicator.pipeline import Batch
from adjudicator.reference import Reference
from schemas.program import CarveOut, Citation

LINE = ["claim_id", "line_number"]
NOTHING = pl.LazyFrame(schema={**dict.fromkeys(LINE, pl.Int64), "inputs": pl.Struct({})})


@edit(
    disposition="deny",
    group_code="OA",
    carc="109",
    cites=Citation(
        document="004",
        lines=(17, 17),
        phrase="Mental health and chemical dependency services in HUSKY are administered by the "
        "Connecticut Behavioral Health Partnership",
    ),
)
def carve_out(batch: Batch, reference: Reference) -> pl.LazyFrame:
    """The service belongs to another administrator, who is to be billed instead.

    HUSKY's behavioural (004:17) and dental care (004:35), the Partnership's dental and vision
    rider and its prescriptions (000:639-670). Which codes, and which specialties of the provider,
    tell that a line is of these is the program's data [j]; on a claim with a room of theirs all
    lines are. Neither the provider nor the member bears it: OA [j].
    """
    carved = [code for code, p in sorted(reference.programs.items()) if p.carve_outs]
    claims = (
        batch.claims.filter(pl.col("program_code").is_in(carved))
        if carved
        else batch.claims.clear()
    )
    if claims.is_empty():
        return NOTHING
    lines = (
        batch.lines.select(*LINE, *OF_LINE, "decision_date", of_line="rendering_npi")
        .join(
            claims.select("claim_id", "program_code", *OF_CLAIM, "billing_npi", "rendering_npi"),
            on="claim_id",
            maintain_order="left",
        )
        .with_columns(PROVIDER, bill_type="facility_code")
        .with_columns(benefit_category=benefit_category(reference.benefit_categories))
    )
    each = [
        (code, of_program) for code in carved for of_program in reference.programs[code].carve_outs
    ]
    if any(of_program.told_by.specialties for _, of_program in each):
        lines = with_specialties(lines, batch, reference)
    found = pl.coalesce(
        pl.when(pl.col("program_code") == code).then(_theirs(of_program, batch))
        for code, of_program in each
    )
    return (
        lines.lazy()
        .with_columns(found=found)
        .filter(pl.col("found").is_not_null())
        .select(
            *LINE,
            inputs=pl.struct(
                "decision_date",
                *(
                    pl.col("found").struct.field(f)
                    for f in ("services", "told_by", "administrator")
                ),
            ),
        )
    )


def _theirs(of_program: CarveOut, batch: Batch) -> pl.Expr:
    """``services``, ``told_by`` and ``administrator`` of a line that is of that carve-out."""
    day, room = pl.col("decision_date"), within("revenue_code", of_program.room_ranges)
    in_force = day >= of_program.start_date
    if of_program.end_date is not None:
        in_force &= day <= of_program.end_date
    rooms = pl.concat_str(
        pl.lit("revenue code "), pl.col("revenue_code").filter(room).first().over("claim_id")
    )
    of_kind = pl.coalesce(told_by(of_program.told_by, batch), rooms)
    return pl.when(in_force & of_kind.is_not_null()).then(
        pl.struct(
            services=pl.lit(of_program.services),
            told_by=of_kind,
            administrator=pl.lit(of_program.administrator),
        )
    )
