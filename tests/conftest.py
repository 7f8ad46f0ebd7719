"""What holds for every test: patience, the order they start in, and what is not measured."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

# No time limit per example, since a busy machine is not a failing test.
settings.register_profile("patient", settings(), deadline=None)
settings.load_profile("patient")


@pytest.fixture
def no_cover(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure neither the test, which pytest-cov leaves out for this name, nor its processes.

    For what does the same thing many times: measured, that takes twice as long and reaches little
    that other tests do not. The coverage gate only becomes harder to pass.
    """
    for name in [name for name in os.environ if name.startswith("COVERAGE_")]:
        monkeypatch.delenv(name)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with what takes long, so that no worker is left alone with it in the end."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)
