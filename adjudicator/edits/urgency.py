"""Whether care was an emergency or urgent, as far as a claim tells."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from schemas.program import CareCodes, Program

URGENCY_COLUMNS = [
    "emergency_code",
    "place_of_service_code",
    "revenue_code",
    "procedure_code",
]


def urgency(programs: Mapping[str, Program]) -> pl.Expr:
    """``emergency``, ``urgent`` or null, of lines with their claim's ``program_code``,
    ``claim_type_code`` and ``admission_type_code`` beside them.

    By the codes of the line's program, and SV109 of the line. On an institutional claim the place
    of service is a bill type and tells nothing; only there is there an admission type.
    """
    emergency, urgent = (
        pl.any_horizontal(
            pl.lit(value=False),
            *(
                (pl.col("program_code") == code) & _tells(getattr(program, kind))
                for code, program in sorted(programs.items())
            ),
        )
        for kind in ("emergency", "urgent")
    )
    return (
        pl.when(pl.col("emergency_code").eq_missing("Y") | emergency)
        .then(pl.lit("emergency"))
        .when(urgent)
        .then(pl.lit("urgent"))
    )


def _tells(codes: CareCodes) -> pl.Expr:
    institutional = pl.col("claim_type_code") == "I"
    return (
        (institutional & pl.col("admission_type_code").is_in(codes.admission_type_codes))
        | (~institutional & pl.col("place_of_service_code").is_in(codes.places_of_service))
        | pl.col("revenue_code").is_in(codes.revenue_codes)
        | pl.col("procedure_code").is_in(codes.procedure_codes)
    ).fill_null(value=False)
