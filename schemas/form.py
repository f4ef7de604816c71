"""The field tables of the claim forms: which box is mandatory, when, and what a gap is called."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from schemas.program import Citation, Strict


class FormField(Strict):
    """One box of UB-04 or CMS-1500 and the 837 element that is the same thing.

    ``column`` is where it is read into: ``claims.…``, ``lines.…`` or ``diagnoses``. ``when`` names
    a predicate of adjudicator/stages/validate.py and says in words when the box is mandatory.
    ``status_code`` is the claim status that a 277CA carries for it, ``rarc`` the remark should the
    claim be adjudicated after all.
    """

    box: str
    name: str
    element: str
    column: str
    when: str = "always"
    because: str = ""
    status_code: str
    rarc: str = Field(pattern=r"^(N|MA?)\d+$")
    lines: tuple[int, int]


class Form(Strict):
    form: Literal["cms1500", "ub04"]
    claim_type_code: Literal["P", "I"]
    citation: Citation
    fields: tuple[FormField, ...]
