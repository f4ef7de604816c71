"""The field tables of the claim forms: every box, when it must be filled, what a gap is called."""

from __future__ import annotations

import re
from typing import Any, Literal, NamedTuple

from pydantic import Field, model_validator

from schemas.program import Citation, Strict

CMS1500, UB04 = "CMS-1500", "UB-04"
FORMATS = {CMS1500: "CMS1500", UB04: "UB04"}  # the frames' source_format_code of paper
FORM = "form"  # instead of a loop, where a frame asks for one
COLUMN = re.compile(r"(?P<frame>[a-z_]+)(\[(?P<row>[A-Za-z0-9_]+)\])?(\.(?P<columns>[a-z_|]+))?")


class Place(NamedTuple):
    """Where a box is read into: a frame, which of a claim's rows in it, and the columns of which
    one must be filled (none: the row must be there)."""

    frame: str
    row: str
    columns: tuple[str, ...]


class FormField(Strict):
    """A box of UB-04 or CMS-1500, or a part of it, and the 837 element that is the same thing.

    ``column`` says where it is read into, from paper and 837 alike: ``claims.facility_code``;
    ``lines.charge_amount``, on every line; ``people[patient].city``, in the claim's row with that
    code (or under that name in ROWS of adjudicator/stages/validate.py);
    ``claim_providers[77].npi|other_number``, one of the two; ``claim_providers[77]``, the row
    itself. ``claims`` has counts of lines and diagnoses too. A box of which no frame has a column
    is read from paper into ``references``, with the box as its qualifier: ``references[11d]``.

    ``when`` names a predicate of adjudicator/stages/validate.py, ``wants`` a check there. By
    default a mandatory box must always be filled and the others are not looked at; ``because`` says
    why it is otherwise ([j]: where no source decides it). ``status_code`` is the claim status on a
    277CA, ``rarc`` the remark should the claim be adjudicated after all.
    """

    box: str
    name: str
    usage: Literal["M", "O", "N"] = Field(description="as the manual prints it; N stands for N/A")
    element: str = Field(default="", description="loop, segment, element; empty: on paper only")
    column: str = Field(default="", pattern=rf"^({COLUMN.pattern})?$")
    wants: str = "filled"
    when: str = "never"
    because: str = ""
    status_code: str = Field(default="", pattern=r"^(A[678]:\d+(:\w{2})?)?$")
    rarc: str = Field(default="", pattern=r"^((N|MA?)\d+)?$")
    lines: tuple[int, int]

    @model_validator(mode="before")
    @classmethod
    def _default_when(cls, facts: Any) -> Any:
        if isinstance(facts, dict) and "when" not in facts and facts.get("usage") == "M":
            return facts | {"when": "always"}
        return facts

    @model_validator(mode="after")
    def _whole(self) -> FormField:
        if self.checked and not (self.column and self.status_code and self.rarc):
            raise ValueError(f"box {self.box} is looked at: it needs column, status_code and rarc")
        if self.when != ("always" if self.usage == "M" else "never") and not self.because:
            raise ValueError(f"box {self.box}: say in because why it is not as its usage says")
        return self

    @property
    def checked(self) -> bool:
        return self.when != "never"

    @property
    def place(self) -> Place:
        """The parts of ``column``."""
        found = COLUMN.fullmatch(self.column)
        assert found is not None, self.column
        columns = found["columns"]
        return Place(
            found["frame"], found["row"] or "", tuple(columns.split("|")) if columns else ()
        )


class Form(Strict):
    form: Literal["cms1500", "ub04"]
    claim_type_code: Literal["P", "I"]
    citation: Citation
    fields: tuple[FormField, ...]
