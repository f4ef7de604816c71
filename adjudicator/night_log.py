"""One line of JSON a step of a night, for whatever watches the nights. Without health
information: no file's, member's or claim's name or number, figures only."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


class NightLog:
    """Appends to a file of its owner's alone; each line is one write, whole.

    Every line has ``time`` (UTC), ``step`` and ``seconds`` since the command began.
    """

    def __init__(self, path: Path) -> None:
        self.descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self.began = time.monotonic()

    def write(self, step: str, facts: Mapping[str, Any] | None = None) -> None:
        line = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "step": step,
            "seconds": round(time.monotonic() - self.began, 3),
            **(facts or {}),
        }
        os.write(self.descriptor, (json.dumps(line) + "\n").encode())
