"""What every data file's contract begins from: no unknown key, a citation, a span of days."""

from __future__ import annotations

from datetime import date

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Citation(Strict):
    """A sentence of a source document: its number, its lines (from 1), words found there."""

    document: str = Field(pattern=r"^\d{3}$")
    lines: tuple[PositiveInt, PositiveInt]
    phrase: str


class Span(Strict):
    """Something in force from start_date to end_date, both included."""

    start_date: date
    end_date: date | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Span:
        if self.end_date is not None and self.end_date < self.start_date:
            raise ValueError("end_date lies before start_date")
        return self
