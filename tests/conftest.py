"""What holds for every test: patience, the order they start in, and what is not measured."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from tests.functional.postgres import Server

# No time limit per example, since a busy machine is not a failing test.
settings.register_profile("patient", settings(), deadline=None)
settings.register_profile("brief", settings.get_profile("patient"), max_examples=20)
settings.load_profile("patient")


@pytest.fixture
def no_cover(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure neither the test, which pytest-cov leaves out for this name, nor its processes.

    For what does the same thing many times: measured, that takes twice as long and reaches little
    that other tests do not. The coverage gate only becomes harder to pass.
    """
    for name in [name for name in os.environ if name.startswith("COVERAGE_")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A PostgreSQL server for all tests of this process: made in a second, by the first of them."""
    from tests.functional.postgres import running

    with running() as server:
        yield server


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with what takes long, so that no worker is left alone with it in the end."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)
