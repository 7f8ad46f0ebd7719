"""What the tests of journals share: rows, and processes to kill."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

from sigmamind_async.provisioning.row import Kind, Row, State
from tests.harness import preloaded

ACCOUNT = "sigmamind:test"


def a_row(op_id: str = "order-1", state: State = State.PLANNED, **changed: Any) -> Row:
    """Return the first write of an operation."""
    row = Row(
        op_id=op_id,
        account=ACCOUNT,
        kind=Kind.PURCHASE,
        request_type="CreatePhoneNumber",
        request_fields={"country_code": "US"},
        token=f"TOKEN{op_id}",
        state=state,
        version=1,
        updated_at=1_000.0,
    )
    return attrs.evolve(row, **changed)


def after(row: Row, **changed: Any) -> Row:
    """Return the write that follows *row*."""
    return attrs.evolve(row, version=row.version + 1, **changed)


# ---------------------------------------------------------------- other processes

_PREAMBLE = """
import asyncio, os, signal, sys, time
from pathlib import Path
from sigmamind_async.errors import JournalError
from sigmamind_async.provisioning.journal.sqlite import journal as sqlite
from sigmamind_async.provisioning.journal.sql import to_columns
from sigmamind_async.provisioning.journal.protocol import PutResult
from sigmamind_async.provisioning.row import State
from sigmamind_async.provisioning.journal.sqlite import SqliteJournal
from tests.functional.journals import ACCOUNT, a_row, after

path = Path(sys.argv[1])

def say(text):
    print(text, flush=True)
"""


@contextmanager
def process(script: str, *arguments: object) -> Generator[subprocess.Popen[str]]:
    """Run the body of an async function in a Python of its own; it ends with the block."""
    body = "".join(f"    {line}\n" for line in script.strip("\n").splitlines())
    code = f"{_PREAMBLE}\nasync def main():\n{body}\nasyncio.run(main())\n"
    command = [sys.executable, "-W", "error", "-c", code, *map(str, arguments)]
    with preloaded.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as started:
        try:
            yield started
        finally:
            started.kill()


def said_by(script: str, *arguments: object) -> list[str]:
    """Return the lines that a process prints until it ends by itself."""
    with process(script, *arguments) as started:
        printed, _ = started.communicate(timeout=60)
        assert started.returncode == 0
    return printed.splitlines()
