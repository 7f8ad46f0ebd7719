"""What tests and benchmarks share is in `tests.harness`; apart from it, neither needs the other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OWN = ROOT / "tests" / "benchmarks"
"""Tests of the benchmarks, which may import them."""
TESTS = r"tests(?!\.harness\b)"
TREES = [("tests", "benchmarks"), ("benchmarks", TESTS), ("tests/harness", f"benchmarks|{TESTS}")]


def imports(text: str, others: str) -> bool:
    return re.search(rf"^\s*(from|import) ({others})\b", text, re.MULTILINE) is not None


@pytest.mark.parametrize(("tree", "others"), TREES)
def test_it_does_not_import_the_others(tree: str, others: str) -> None:
    files = [path for path in (ROOT / tree).rglob("*.py") if OWN not in path.parents]

    assert files
    assert [path.name for path in files if imports(path.read_text("utf-8"), others)] == []


def test_an_import_would_be_found() -> None:
    """The control."""
    assert imports("def f():\n    from benchmarks.goals import GOALS\n", "benchmarks")
    assert imports("from tests.ledgers import ledger\n", TESTS)
    assert not imports("from tests.harness.ports import free_port\n", TESTS)
