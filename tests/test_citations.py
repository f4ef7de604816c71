"""Every citation's words stand within its lines of the source document."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from adjudicator.edits import EDITS
from adjudicator.programs import load_forms, load_programs
from schemas.form import FormField
from schemas.program import Citation

SEEDS = Path(__file__).parents[1].parent / "shared" / "seeds"


def citations_in(value: Any, place: str) -> Iterator[tuple[str, Citation]]:
    if isinstance(value, Citation):
        yield place, value
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from citations_in(getattr(value, name), f"{place}.{name}")
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from citations_in(each, f"{place}.{key}")
    elif isinstance(value, tuple):
        for number, each in enumerate(value):
            yield from citations_in(each, f"{place}[{number}]")


CITATIONS = [(edit.name, edit.cites) for edit in EDITS] + [
    found for code, program in load_programs().items() for found in citations_in(program, code)
]
CITATIONS += [(form.form, form.citation) for form in load_forms()]


BOXES = [
    (form.form, form.citation.document, field) for form in load_forms() for field in form.fields
]


@pytest.mark.parametrize(("form", "document", "field"), BOXES)
def test_a_box_stands_in_its_lines(form: str, document: str, field: FormField) -> None:
    """The first of a field's lines begins with its box; 33 stands for 33a, 67a-q for 67."""
    found = sorted(SEEDS.glob(f"{document}_*.txt"))
    if not found:
        pytest.skip(f"source document {document} is not here (../shared/seeds)")
    lines = found[0].read_text(encoding="utf-8").split("\n")
    first = lines[field.lines[0] - 1].strip()
    box = field.box.rstrip("a") if field.box == "33a" else field.box
    assert re.match(rf"{box}\b|{box}[a-z:,]", first), f"{form} {field.box}"
    assert not any(re.match(rf"{box}\d", line.strip()) for line in [first])


def plain(words: str) -> str:
    return " ".join(words.split())


def test_programs_cite() -> None:
    cited = [place for place, _ in CITATIONS]
    assert "carepartners.filing_limits[0].citation" in cited
    assert "carepartners.out_of_network.citation" in cited
    assert "ct-partnership.plans.state-bluecare-pos.terms[0].cost_shares[0].citation" in cited


@pytest.mark.parametrize(("place", "citation"), CITATIONS, ids=[place for place, _ in CITATIONS])
def test_phrase_stands_in_its_lines(place: str, citation: Citation) -> None:
    documents = sorted(SEEDS.glob(f"{citation.document}_*.txt"))
    if not documents:
        pytest.skip(f"source document {citation.document} is not here (../shared/seeds)")
    # not splitlines(): it also splits at form feeds, and the numbers are those of newlines
    lines = documents[0].read_text(encoding="utf-8").split("\n")
    first, last = citation.lines
    assert 1 <= first <= last <= len(lines)
    assert plain(citation.phrase) in plain(" ".join(lines[first - 1 : last]))
