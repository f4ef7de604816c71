"""Who is paid what by an 835, read from its bytes alone: to be held against the books.

Written apart from the writer and importing nothing of it, as edi/balance.py is.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from edi.balance import Cents


@dataclass
class Remitted:
    """One set: TRN02, BPR02, and by CLP07 the sum of CLP04; cents."""

    trace_number: str = ""
    paid_amount: int | None = None
    claims: dict[str, int] = field(default_factory=dict)


def remitted(data: bytes) -> list[Remitted]:
    """The sets of an 835 in their order; what is no amount counts 0. Never raises."""
    text = data.decode("latin-1")
    if len(text) < 106 or not text.startswith("ISA"):
        return []
    element, terminator = text[3], text[105]
    found: list[Remitted] = []
    cents = Cents()
    for segment in text.split(terminator):
        tag, *elements = segment.strip("\r\n").split(element)
        if tag == "ST":
            found.append(Remitted())
        elif found and tag == "BPR" and len(elements) > 1:
            found[-1].paid_amount = cents[elements[1]]
        elif found and tag == "TRN" and len(elements) > 1:
            found[-1].trace_number = elements[1]
        elif found and tag == "CLP" and len(elements) > 6:
            claims = found[-1].claims
            claims[elements[6]] = claims.get(elements[6], 0) + cents[elements[3]]
    return found
