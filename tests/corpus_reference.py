"""Reference data made from claim files' own members, providers and codes.

    python -m tests.corpus_reference FOLDER FILE...

writes FOLDER/<table>.csv so that the claims of those files find their member, payee and a fee:
a made-up payer to which all of them belong. FOLDER/config/config.yaml names programs whose terms
hold from 1990: most such files are old.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterable
from datetime import date
from pathlib import Path

import polars as pl

from edi.read_file import read_file

SHIPPED = Path(__file__).parents[1] / "schemas" / "programs"
EVER = date(1990, 1, 1)
PROGRAM, PLAN, FEES = "carepartners", "careadvantage-preferred-hmo", "CORPUS"


def write_reference(folder: Path, files: Iterable[Path]) -> None:
    """Members, coverage, notifications, providers, payees, contracts and fees, as CSV."""
    claims, people, parties, lines = [], [], [], []
    for file in files:
        found = read_file(file.read_bytes()).frames
        if found:
            claims.append(found["claims"])
            people.append(found["people"])
            parties.append(found["claim_providers"])
            lines.append(found["lines"])
    folder.mkdir(parents=True, exist_ok=True)
    tables = {
        **_members(pl.concat(claims)),
        **_providers(pl.concat(parties)),
        **_fees(pl.concat(lines)),
    }
    for name, frame in tables.items():
        frame.write_csv(folder / f"{name}.csv")
    programs = folder / "config" / "programs"
    shutil.copytree(SHIPPED, programs, dirs_exist_ok=True)
    for file in programs.rglob("*.yaml"):
        text = file.read_text("utf-8")
        file.write_text(re.sub(r"start_date: 20\d\d-\d\d-\d\d", f"start_date: {EVER}", text))
    (folder / "config" / "config.yaml").write_text("programs: programs\n")


def _members(claims: pl.DataFrame) -> dict[str, pl.DataFrame]:
    known = (
        claims.filter(
            pl.col("subscriber_number").is_not_null() & pl.col("patient_birth_date").is_not_null()
        )
        .unique(["subscriber_number", "patient_birth_date", "patient_first_name"], keep="first",
                maintain_order=True)
        .with_row_index("n")
    )  # fmt: skip
    members = known.select(
        member_id=pl.format("M{}", "n"),
        family_id="subscriber_number",
        card_number="subscriber_number",
        last_name="patient_last_name",
        first_name=pl.col("patient_first_name").fill_null("X"),
        birth_date="patient_birth_date",
        sex_code="patient_sex_code",
    )
    coverage = members.select(
        "member_id", start_date=pl.lit(EVER), end_date=pl.lit(None, dtype=pl.Date),
        program_code=pl.lit(PROGRAM), plan_code=pl.lit(PLAN),
    )  # fmt: skip
    return {"members": members, "coverage": coverage, **_notifications(claims, known)}


def _notifications(claims: pl.DataFrame, known: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """A notice of long ago of every institutional claim, by its own number where it has one; of
    two claims with one number the first is told of."""
    who = ["subscriber_number", "patient_birth_date", "patient_first_name"]
    notices = (
        claims.filter((pl.col("claim_type_code") == "I") & pl.col("billing_npi").is_not_null())
        .join(known.select(*who, "n"), on=who, nulls_equal=True, maintain_order="left")
        .with_row_index("place")
        .select(
            notification_number=pl.coalesce(
                "prior_authorization_number", pl.format("NOTICE-{}", "place")
            ),
            member_id=pl.format("M{}", "n"),
            npi="billing_npi",
            admission_date=pl.coalesce("admission_date", "statement_from_date"),
            notified_date=pl.lit(EVER),
            status_code=pl.lit("active"),
        )
        .drop_nulls("admission_date")
        .unique("notification_number", keep="first", maintain_order=True)
    )
    return {"notifications": notices}


def _providers(parties: pl.DataFrame) -> dict[str, pl.DataFrame]:
    billing = (
        parties.filter((pl.col("role_code") == "85") & pl.col("npi").is_not_null())
        .unique("npi", keep="first", maintain_order=True)
        .with_row_index("n")
    )
    always = {"start_date": pl.lit(EVER), "end_date": pl.lit(None, dtype=pl.Date)}
    payee = pl.format("P{}", "n")
    return {
        "providers": billing.select(
            provider_id=payee, npi="npi", last_name="last_name", first_name="first_name",
            entity_type_code="entity_type_code", taxonomy_code="taxonomy_code",
            tax_number="tax_number", payee_id=payee, **always,
        ),
        "payees": billing.select(
            payee_id=payee, name="last_name", npi="npi",
            tax_number=pl.col("tax_number").fill_null("000000000"),
            address_line=pl.col("address_line").fill_null("1 MAIN ST"),
            city=pl.col("city").fill_null("HARTFORD"),
            state_code=pl.col("state_code").fill_null("CT"),
            zip_code=pl.col("zip_code").fill_null("06103"),
            payment_method_code=pl.lit("CHK"),
        ),
        "contracts": billing.select(
            contract_id=pl.format("C{}", "n"), payee_id=payee, program_code=pl.lit(PROGRAM),
            network_code=pl.lit("in"), pricing_method_code=pl.lit("fee_table"),
            rate_basis_points=pl.lit(None, dtype=pl.Int64), fee_table_code=pl.lit(FEES),
            lesser_of_charge=pl.lit(value=True), filing_limit_days=pl.lit(36_500), **always,
        ),
    }  # fmt: skip


def _fees(lines: pl.DataFrame) -> dict[str, pl.DataFrame]:
    codes = (
        pl.concat([lines["procedure_code"], lines["revenue_code"].alias("procedure_code")])
        .drop_nulls()
        .unique()
        .sort()
        .to_frame()
    )
    return {
        "fees": codes.select(
            fee_table_code=pl.lit(FEES), procedure_code="procedure_code",
            modifier_code=pl.lit(None, dtype=pl.String), fee_amount=pl.lit("10.00"),
            start_date=pl.lit(EVER), end_date=pl.lit(None, dtype=pl.Date),
        )
    }  # fmt: skip


if __name__ == "__main__":
    write_reference(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]])
