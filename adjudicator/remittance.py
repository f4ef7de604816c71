"""A decided night as payments: what the 835 writer reads, joined with names and addresses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import polars as pl

from adjudicator.edits.accident_primary import accident_primary
from adjudicator.edits.other_payer_unbilled import other_payer_unbilled
from adjudicator.pipeline import Batch
from adjudicator.reference import Reference
from schemas import frames

FINAL = ("paid", "denied")
# CLP02 by our position among the payers (X12.md, 835 rule 10); 4 only where nobody is recognised
POSITION_STATUS = {"P": "1", "S": "2", **dict.fromkeys("TABCDEFGH", "3")}
# edits whose denial says that another pays first, whatever the claim says of our position
NOT_FIRST = (other_payer_unbilled.name, accident_primary.name)
UNKNOWN_PATIENT = "4"


@dataclass(frozen=True)
class Remittance:
    """The frames of one night's 835s; see the Remittance… contracts of schemas/frames.py."""

    payments: pl.DataFrame
    claims: pl.DataFrame
    lines: pl.DataFrame
    adjustments: pl.DataFrame
    provider_adjustments: pl.DataFrame

    def in_pieces(self, count: int) -> Iterator[Remittance]:
        """At most so many, one after the other, of some payments each and about as many claims."""
        if count < 2 or self.claims.is_empty():
            yield self
            return
        claims = self.claims["payment_id"]
        ends = (
            claims.gather([self.claims.height * at // count for at in range(1, count)])
            .unique()
            .sort()
        )
        place = ends.search_sorted(self.payments["payment_id"])
        for at in place.unique(maintain_order=True):
            here = pl.col("payment_id").is_in(
                self.payments["payment_id"].filter(place == at).implode()
            )
            yield Remittance(*(frame.filter(here) for frame in vars(self).values()))


def payees_to_pay(batch: Batch) -> pl.DataFrame:
    """Who gets a remittance tonight: one row a payee and program, with the sum of what is paid
    and taken back; sorted."""
    columns = ["program_code", "payee_id", "paid_amount"]
    final = (
        batch.decisions.filter(pl.col("disposition").is_in(FINAL))
        .join(batch.claims.select("claim_id", "payee_id", "program_code"), on="claim_id")
        .filter(pl.col("payee_id").is_not_null())
        .select(columns)
    )
    if batch.reversals.height:
        final = pl.concat([final, batch.reversals.select(columns)])
    return (
        final.group_by("program_code", "payee_id")
        .agg(payment_amount=pl.col("paid_amount").sum(), claim_count=pl.len().cast(pl.Int64))
        .sort("program_code", "payee_id")
    )


def remit(batch: Batch, reference: Reference, payments: pl.DataFrame) -> Remittance:
    """The remittances of every payee with a finalised claim, paid or denied, zero or not.

    ``payments`` is ``payments_due``'s; a claim of a payee without one is left out. A claim of a
    payee nobody knows is never final, so each final claim is in exactly one payment.
    """
    final = batch.decisions.filter(pl.col("disposition").is_in(FINAL))
    # lazily throughout: few of the batch's columns travel
    keys = (
        final.lazy()
        .select("claim_id")
        .join(
            batch.claims.lazy().select("claim_id", "payee_id", "program_code"),
            on="claim_id", maintain_order="left",
        )
        .join(
            payments.lazy().select("payment_id", "payee_id", "program_code"),
            on=("payee_id", "program_code"), maintain_order="left",
        )
        .select("payment_id", "claim_id", reversal_code=pl.lit("N"))
        .sort("payment_id", "claim_id")
        .collect()
    )  # fmt: skip
    claims = (
        keys.lazy()
        .join(final.lazy(), on="claim_id", maintain_order="left")
        .join(batch.claims.lazy().drop("charge_amount"), on="claim_id", maintain_order="left")
        .join(payments.lazy().select("payment_id", "payee_npi"), on="payment_id",
              maintain_order="left")
    )  # fmt: skip
    lines = keys.lazy().join(batch.lines.lazy(), on="claim_id", maintain_order="left_right")
    remarks = (
        batch.adjustments.lazy()
        .filter(pl.col("rarc").is_not_null())
        .group_by("claim_id", "line_number", maintain_order=True)
        .agg(remark_codes=pl.col("rarc").unique(maintain_order=True).str.join(":"))
    )
    return Remittance(
        payments.select(frames.RemittancePayments.column_names()),
        _claims(claims, batch, reference),
        lines.join(remarks, on=("claim_id", "line_number"), how="left", maintain_order="left")
        .with_columns(
            procedure_qualifier_code=pl.when(pl.col("procedure_code").is_null())
            .then(pl.lit("NU")).otherwise("procedure_qualifier_code"),
            procedure_code=pl.coalesce("procedure_code", "revenue_code"),
            revenue_code=pl.when(pl.col("procedure_code").is_not_null()).then("revenue_code"),
            allowed_amount=pl.when(pl.col("line_disposition") == "paid").then("allowed_amount"),
            service_from_date=pl.coalesce("service_from_date", "decision_date"),
        )
        .select(frames.RemittanceLines.column_names())
        .collect(),
        keys.lazy()
        .join(batch.adjustments.lazy(), on="claim_id", maintain_order="left_right")
        .with_columns(adjustment_quantity=pl.lit(None, dtype=pl.Int64))
        .select(frames.RemittanceAdjustments.column_names())
        .collect(),
        frames.empty(frames.RemittanceProviderAdjustments),
    )  # fmt: skip


def nothing_remitted(payments: pl.DataFrame) -> Remittance:
    """Remittances without a claim: what else the payments carry is to be added."""
    return Remittance(
        payments.select(frames.RemittancePayments.column_names()),
        frames.empty(frames.RemittanceClaims),
        frames.empty(frames.RemittanceLines),
        frames.empty(frames.RemittanceAdjustments),
        frames.empty(frames.RemittanceProviderAdjustments),
    )


def payments_due(
    due: pl.DataFrame, reference: Reference, first_payment: int, payment_date: date
) -> pl.DataFrame:
    """The payments of ``payees_to_pay``, numbered from ``first_payment`` in its order: one row a
    payment, with the columns of RemittancePayments."""
    due = due.with_columns(payment_id=pl.int_range(pl.len(), dtype=pl.Int64) + first_payment)
    payers = pl.DataFrame(
        [
            {
                "program_code": code,
                "payer_name": p.payer.name, "payer_number": p.payer.number,
                "payer_tax_number": p.payer.tax_number,
                "payer_address_line": p.payer.address_line, "payer_city": p.payer.city,
                "payer_state_code": p.payer.state_code, "payer_zip_code": p.payer.zip_code,
                "payer_contact_name": p.payer.contact_name,
                "payer_contact_phone": p.payer.contact_phone,
            }
            for code, p in reference.programs.items()
        ]
    )  # fmt: skip
    payees = reference.tables["payees"].rename(
        {"name": "payee_name", "npi": "payee_npi", "tax_number": "payee_tax_number",
         "address_line": "payee_address_line", "city": "payee_city",
         "state_code": "payee_state_code", "zip_code": "payee_zip_code",
         "payment_method_code": "method"}
    )  # fmt: skip
    number = pl.col("payment_id").cast(pl.String).str.zfill(9)
    return (
        due.join(payers, on="program_code", maintain_order="left")
        .join(payees, on="payee_id", maintain_order="left")
        .with_columns(
            trace_number=number,
            payment_method_code=pl.when(pl.col("payment_amount") == 0)
            .then(pl.lit("NON"))
            .otherwise("method"),
            payment_date=pl.lit(payment_date),
            control_number="payment_id",
            receiver_number=pl.coalesce("payee_npi", "payee_tax_number"),
        )
        .sort("payment_id")
    )


def _claims(claims: pl.LazyFrame, batch: Batch, reference: Reference) -> pl.DataFrame:
    people = batch.people.lazy()
    patient = people.filter(pl.col("role") == "patient").select(
        "claim_id", patient_middle_name="middle_name"
    )
    insured = people.filter(pl.col("role") == "subscriber").select(
        "claim_id",
        insured_last_name="last_name",
        insured_first_name="first_name",
        insured_entity_type_code="entity_type_code",
    )
    patients_own = pl.col("relationship_code") == "18"
    rendering = (
        batch.claim_providers.lazy()
        .filter((pl.col("role_code") == "82") & pl.col("line_number").is_null())
        .unique("claim_id", keep="first", maintain_order=True)
        .select(
            "claim_id",
            rendering_last_name="last_name",
            rendering_first_name="first_name",
            rendering_entity_type_code="entity_type_code",
        )
    )
    days = (
        batch.lines.lazy()
        .group_by("claim_id")
        .agg(_first=pl.col("service_from_date").min(), _last=pl.col("service_through_date").max())
    )
    filing = {code: p.payer.claim_filing_code for code, p in reference.programs.items()}
    unknown = pl.col("member_match_code") == "none"
    not_first = batch.findings.filter(
        pl.col("edit").is_in(NOT_FIRST) & (pl.col("disposition") == "deny")
    )["claim_id"].unique()
    told = pl.col("responsibility_code").replace_strict(
        POSITION_STATUS, default=POSITION_STATUS["P"], return_dtype=pl.String
    )
    second = (told == POSITION_STATUS["P"]) & pl.col("claim_id").is_in(not_first.implode())
    return (
        claims.join(patient, on="claim_id", how="left", maintain_order="left")
        .join(insured, on="claim_id", how="left", maintain_order="left")
        .join(rendering, on="claim_id", how="left", maintain_order="left")
        .join(days, on="claim_id", how="left", maintain_order="left")
        .with_columns(
            reversal_code=pl.lit("N"),
            status_code=pl.when(unknown)
            .then(pl.lit(UNKNOWN_PATIENT))
            .when(second)
            .then(pl.lit(POSITION_STATUS["S"]))
            .otherwise(told),
            claim_filing_code=pl.col("program_code").replace_strict(
                filing, return_dtype=pl.String
            ),
            member_number="subscriber_number",
            insured_last_name=pl.when(~patients_own).then("insured_last_name"),
            rendering_npi=pl.when(pl.col("rendering_npi") != pl.col("payee_npi").fill_null(""))
            .then("rendering_npi"),
            statement_from_date=pl.coalesce("statement_from_date", "_first"),
            statement_through_date=pl.coalesce("statement_through_date", "_last"),
            remark_codes=pl.lit(None, dtype=pl.String),
            interest_amount=pl.lit(None, dtype=pl.Int64),
        )
        .select(frames.RemittanceClaims.column_names())
        .collect()
    )  # fmt: skip
