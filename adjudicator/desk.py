"""What the desks share, at which people see and decide: their notes, the day, 80 columns."""

from __future__ import annotations

import textwrap
from datetime import date

import polars as pl
from sqlalchemy import Connection

from adjudicator import store

WIDTH = 80
NOTE_LIMIT, NAME_LIMIT = 500, 80


class DeskError(Exception):
    """What is asked can't be done: the message names the place, the cause and the mend."""


def said(note: str, who: str) -> tuple[str, str]:
    """A person's note and name as they are kept; raises DeskError where they can't be."""
    note, who = note.strip(), who.strip()
    for name, text, limit in (("note", note, NOTE_LIMIT), ("who", who, NAME_LIMIT)):
        if not text or len(text) > limit or not text.isprintable():
            raise DeskError(f"--{name} must be 1 to {limit} characters in one line")
    return note, who


def last_night(connection: Connection) -> date:
    """The last decided night's date; raises DeskError before the first."""
    [day] = store.read_frame(
        connection,
        "SELECT max(business_date) AS day FROM run WHERE state IN ('decided', 'published')",
        {"day": pl.Date},
    )["day"]
    if day is None:
        raise DeskError("no night has been done in this store; `adjudicate run` does one")
    return day  # type: ignore[no-any-return]


def fact(name: str, text: str) -> str:
    """A row of what is shown: its name and its text."""
    return filled(text, f"  {name:<10}  ")


def filled(text: str, lead: str = "") -> str:
    """The text at 80 columns, further lines beneath it; what can't be seen is a blank."""
    seen = "".join(c if c.isprintable() else " " for c in text)
    return textwrap.fill(
        seen, WIDTH, initial_indent=lead, subsequent_indent=" " * (len(lead) or 2),
        break_on_hyphens=False,
    )  # fmt: skip
