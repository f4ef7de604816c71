"""Small outside code sets, as codes and days alone."""

from __future__ import annotations

from datetime import date

from pydantic import Field, model_validator

from schemas.program import Strict


class DatedCode(Strict):
    """A code and the days on which it may be used: none is open."""

    code: str = Field(pattern="^[0-9A-Z]+$")
    start_date: date | None = None
    end_date: date | None = None


class CodeLists(Strict):
    """``revenue_categories``: the first three digits of a revenue code; ``bill_types``: the first
    two of a type of bill without its leading zero."""

    states: tuple[str, ...]
    bill_types: tuple[str, ...]
    revenue_categories: tuple[str, ...]
    places_of_service: tuple[DatedCode, ...]

    @model_validator(mode="after")
    def _once(self) -> CodeLists:
        places = tuple(place.code for place in self.places_of_service)
        for codes in (self.states, self.bill_types, self.revenue_categories, places):
            if list(codes) != sorted(set(codes)):
                raise ValueError("codes stand in order, each once")
        return self
