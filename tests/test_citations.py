"""Every citation's words stand within its lines of the source document."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from adjudicator.edits import EDITS
from adjudicator.programs import load_programs
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
