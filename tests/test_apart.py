"""Work done in another process: its result, or a failure that is told."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from edi.apart import Apart, ApartError


def test_results_come_back_in_order_and_a_failure_is_told() -> None:
    with Apart() as apart:
        base, missing, here = (
            apart.ask(os.path.basename, "a/b"),
            apart.ask(os.stat, "/no/such/file"),
            apart.ask(os.getpid),
        )
        assert base.result() == "b"
        with pytest.raises(ApartError, match="FileNotFoundError"):
            missing.result()
        assert here.result() == apart._process.pid
        assert apart.due_count == 0


def test_what_is_asked_of_one_that_has_ended_is_told() -> None:
    with Apart() as apart:
        waiting = apart.ask(time.sleep, 60)
        apart._process.kill()
        with pytest.raises(ApartError, match="has ended"):
            waiting.result()
        apart._process.wait()
        with pytest.raises(ApartError, match="has ended"):
            apart.ask(os.getpid).result()


def test_its_files_are_its_owners_alone(tmp_path: Path) -> None:
    with Apart() as apart:
        apart.ask(Path.write_bytes, tmp_path / "f", b"x").result()
    assert (tmp_path / "f").stat().st_mode & 0o777 == 0o600


def test_it_is_ended_with_its_context() -> None:
    with Apart() as apart:
        apart.ask(time.sleep, 60)
    assert apart._process.poll() is not None
