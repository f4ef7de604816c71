"""pyx12's verdict on X12 bytes, as a list: shared by the tests of what we write."""

from __future__ import annotations

import functools
import logging
import re
from io import StringIO
from typing import Any
from unittest import mock

import pyx12.map_if
import pyx12.params
from pyx12.x12n_document import x12n_document

# pyx12's map gives the 835's FOOTER loop one repeat and so refuses a second PLB, which the guide
# allows without limit.
SECOND_PLB = "Loop FOOTER exceeded max count"

_PARAMETERS = pyx12.params.params()
# pyx12's map of the 277CA demands what the guide leaves open: a status of the billing provider, and
# providers at all where a set is refused as a whole (HL04 0); published samples have neither
PATH_2000B = "/ISA_LOOP/GS_LOOP/ST_LOOP/DETAIL/2000A/2000B"
LEFT_OPEN = {"277.5010.X214.xml": (f"{PATH_2000B}/2000C/2200C/STC", f"{PATH_2000B}/2000C")}
_load = pyx12.map_if.load_map_file


@functools.cache
def _load_map(file: str, *arguments: object) -> Any:
    """A map, with what its guide leaves open left open. Reading one takes 0.2 s, and pyx12 reads it
    anew for every document."""
    root = _load(file, *arguments)
    for path in LEFT_OPEN.get(file, ()):
        root.getnodebypath(path).usage = "S"
    return root


class _Collector(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


def pyx12_errors(data: bytes, *, with_second_plb: bool = False) -> list[str]:
    """Every error pyx12 logs for these bytes (835, 837, 999, 277CA); empty: it accepts them.

    Interchanges are judged one by one, since pyx12 passes over one with other delimiters. Its
    boolean isn't asked: it says True beside logged errors. A crash and segments it never read are
    errors too. Its known false error about a second PLB is left out unless asked for.
    """
    text = data.decode("latin-1")
    errors = [error for one in _interchanges(text) for error in _errors(one)]
    return [e for e in errors if with_second_plb or SECOND_PLB not in e]


def _interchanges(text: str) -> list[str]:
    found: list[str] = []
    while text := text.lstrip("\r\n \ufeff"):
        if len(text) < 106:
            return [*found, text]
        element, terminator = re.escape(text[3]), re.escape(text[105])
        end = re.search(f"{terminator}[\r\n]*IEA{element}[^{terminator}]*{terminator}", text)
        cut = end.end() if end else len(text)
        found.append(text[:cut])
        text = text[cut:]
    return found


def _errors(text: str) -> list[str]:
    read = 0

    def count(*_: object) -> None:
        nonlocal read
        read += 1

    collector = _Collector()
    logger = logging.getLogger("pyx12")
    level, propagate = logger.level, logger.propagate
    logger.addHandler(collector)
    logger.setLevel(logging.ERROR)
    logger.propagate = False
    try:
        with mock.patch.object(pyx12.map_if, "load_map_file", _load_map):
            valid = x12n_document(_PARAMETERS, StringIO(text), None, None, callback=count)
    except Exception as error:
        return [*collector.messages, f"pyx12 crashed: {error!r}"]
    finally:
        logger.removeHandler(collector)
        logger.setLevel(level)
        logger.propagate = propagate
    errors = collector.messages
    if not valid and not errors:
        errors.append("pyx12 says invalid and logs nothing")
    terminator = text[105:106]
    written = len([s for s in text.split(terminator) if s.strip()]) if terminator else 0
    if read != written:
        errors.append(f"pyx12 read {read} of {written} segments")
    return errors
