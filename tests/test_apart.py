"""Work done in another process: its result, or a failure that is told."""

from __future__ import annotations

import os

import pytest

from edi.apart import Apart, ApartError


def test_a_result_comes_back_and_a_failure_is_told() -> None:
    with Apart(os.path.basename, "a/b") as apart:
        assert apart.result() == "b"
    with Apart(os.stat, "/no/such/file") as apart, pytest.raises(ApartError):
        apart.result()


def test_it_is_ended_with_its_context() -> None:
    with Apart(os.getpid) as apart:
        pass
    assert apart._process.poll() is not None
