"""The operator's configuration: one YAML file, every key optional."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from pydantic import Field, PositiveInt

from schemas.program import Strict


class Config(Strict):
    """What a payer sets once. Paths are relative to the configuration file."""

    db: str = "sqlite:///adjudicator.db"
    out: Path = Path("out")
    programs: Path | None = Field(
        default=None, description="a folder of programs; absent: those that are shipped"
    )
    business_date: date | None = None
    file_bytes_limit: PositiveInt = 4_000_000_000
    segment_bytes_limit: PositiveInt = 10_000
    claim_bytes_limit: PositiveInt = 5_000_000
    chunk_bytes: PositiveInt = 12_000_000
    part_bytes: PositiveInt = Field(
        default=80_000_000,
        description="a night of twice as many received bytes or more is decided in parts of so "
        "many, to the same result: less memory, a little more time",
    )
    system_pends_limit: PositiveInt = Field(
        default=100, description="more claims than this that fail inside stop the night"
    )
    usual_nights: PositiveInt = Field(
        default=20, description="so many nights, the last ones, tell what is usual"
    )
    usual_nights_least: PositiveInt = Field(
        default=5, description="with fewer nights nothing is abnormal yet"
    )
    abnormal_times: PositiveInt = Field(
        default=3, description="a night is abnormal above so many times the median"
    )
    abnormal_claim_count: PositiveInt = Field(
        default=1_000, description="a night with no more claims received is never abnormal for them"
    )
    abnormal_paid_amount: PositiveInt = Field(
        default=10_000_000, description="cents; a night that pays no more is never abnormal for it"
    )
