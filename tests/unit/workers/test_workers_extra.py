"""The extra that workers need, and what is said where it is not installed or a setting is wrong."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from typing import Any, cast

import pytest

from sigmamind_async import ConfigurationError, SigmaMind
from sigmamind_async.workers import Account, Queue, Worker, WorkerContext

WITHOUT = """
import sys
sys.modules[sys.argv[1]] = None  # as if it were not installed
try:
    import sigmamind_async.workers
except ImportError as error:
    print(error)
"""
ACCOUNT = Account(partial(SigmaMind, "key"))


@pytest.mark.parametrize("package", ["procrastinate", "psycopg"])
def test_whoever_lacks_a_package_is_told_what_to_install(package: str) -> None:
    command = [sys.executable, "-c", WITHOUT, package]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert printed == (
        "sigmamind_async.workers needs procrastinate and psycopg, which come with the extra:"
        ' pip install "sigmamind-async[postgres]"\n'
    )


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"accounts": []}, "accounts: at least one is needed"),
        ({"accounts": [ACCOUNT, ACCOUNT]}, "account: sigmamind is given twice; give one a label"),
        (
            {"accounts": [Account(partial(SigmaMind, "key"), label="a" * 101)]},
            "account: must be at most 100 printable characters",
        ),
        ({"accounts": True}, "accounts: must be several, such as [Account(SigmaMind)]"),
        ({"gate": "x"}, "gate: must be a function that makes a gate"),
        ({"secrets": ["env:A"]}, "secrets: must be a SecretResolver, not of type list"),
        ({"on_settled": "print"}, "on_settled: must be a function that takes a Row"),
        ({"grace": "9"}, "grace: must be a number of seconds"),
        ({"sweep": True}, "sweep: must be a str, not of type bool"),
        ({"accounts": ACCOUNT}, "accounts: must be several, such as [Account(SigmaMind)]"),
        ({"accounts": [SigmaMind]}, "accounts: each must be an Account that makes its client"),
        ({"accounts": [Account(cast("Any", SigmaMind("k")))]}, "accounts: each must be an Account"),
        ({"dsn": None}, "dsn: must be text, not of type NoneType"),
        ({"schema": None}, "schema: must be a str, not of type NoneType"),
        ({"dsn": "u:secret@h/db"}, "dsn: is not a PostgreSQL connection string"),
        ({"schema": "Orders"}, "schema: must be 1 to 63 lower-case"),
        ({"concurrency": 0}, "concurrency: must be a whole number from 1"),
        ({"concurrency": True}, "concurrency: must be"),
        ({"heartbeat": 0}, "heartbeat: must be more than 0 seconds"),
        ({"heartbeat": float("nan")}, "heartbeat: must be more than 0 seconds"),
        ({"polling": float("inf")}, "polling: must be more than 0 seconds, and finite"),
        ({"polling": "1"}, "polling: must be a number of seconds"),
        ({"reconcile": "often"}, "reconcile: must be"),
    ],
)
def test_a_setting_that_cannot_be_used_is_refused(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Worker(**{"accounts": [ACCOUNT], **options})
    assert str(caught.value).startswith(problem)


def test_a_missing_key_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SIGMAMIND_API_KEY", raising=False)
    with pytest.raises(ConfigurationError, match="SIGMAMIND_API_KEY"):
        Worker([Account(SigmaMind)])


def test_whoever_enqueues_needs_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SIGMAMIND_API_KEY", raising=False)
    Queue("postgresql://u:secret@h/db")


def test_another_account_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="verbex is not served by this worker"):
        WorkerContext([ACCOUNT]).account("verbex")
