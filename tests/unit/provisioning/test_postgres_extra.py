"""The extra that the journal in PostgreSQL needs, and what is said where it is not installed."""

from __future__ import annotations

import subprocess
import sys

import pytest

from sigmamind_async import provisioning
from tests.unit.test_import_cost import loaded_by, under

WITHOUT = """
import sys
sys.modules["psycopg"] = None  # as if it were not installed
import sigmamind_async.provisioning as provisioning
try:
    provisioning.PostgresJournal
except ImportError as error:
    print(error)
"""


def test_provisioning_alone_does_not_need_psycopg() -> None:
    loaded = loaded_by("from sigmamind_async.provisioning import SqliteJournal")
    assert not under("psycopg", loaded)


def test_whoever_has_no_psycopg_is_told_what_to_install() -> None:
    command = [sys.executable, "-c", WITHOUT]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert printed == (
        "PostgresJournal needs psycopg, which comes with the extra:"
        ' pip install "sigmamind-async[postgres]"\n'
    )


def test_other_names_are_refused() -> None:
    with pytest.raises(AttributeError, match="PostgresJurnal"):
        _ = getattr(provisioning, "PostgresJurnal")  # noqa: B009 - a type checker knows it is not there
