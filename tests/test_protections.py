"""The table of protections is of this program: what is taken out stands there, the tests exist."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.protections import FAULTS, ROOT, Protection

PROTECTIONS = [one for fault in FAULTS for one in fault.protections]


def test_every_fault_has_a_protection() -> None:
    assert len(FAULTS) == 14
    assert all(fault.protections for fault in FAULTS)


@pytest.mark.parametrize("one", PROTECTIONS, ids=[one.what for one in PROTECTIONS])
def test_what_is_taken_out_stands_once_and_its_tests_exist(one: Protection) -> None:
    name, old, new = one.out
    assert (ROOT / name).read_text("utf-8").count(old) == 1
    assert old != new
    for test in one.tests:
        file, _, function = test.partition("::")
        tree = ast.parse((Path(__file__).parent / file).read_text("utf-8"))
        names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        assert not function or function.partition("[")[0] in names
