"""What is logged of a database that is away: one line a minute, whoever meets it."""

from __future__ import annotations

import asyncio
import gc
import logging

import psycopg
import pytest

pytest.importorskip("procrastinate")

from procrastinate.exceptions import ConnectorException

from sigmamind_async.testing import FakeClock
from sigmamind_async.workers.connector import OutageLog

REFUSED = psycopg.OperationalError("connection failed: Connection refused")


def lost() -> ConnectorException:
    error = ConnectorException()
    error.__cause__ = REFUSED
    return error


def complain() -> None:
    """Say it as the packages do."""
    logging.getLogger("psycopg.pool").warning("error connecting in %r: %s", "pool-1", REFUSED)
    error = lost()
    logging.getLogger("procrastinate.utils").error("listener error: %r", error, exc_info=error)
    logging.getLogger("procrastinate.worker.worker").error("Side task failed", exc_info=error)


def test_a_database_that_is_away_is_one_line_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    """Without the filter, the control, there are three lines and two tracebacks a second."""
    clock = FakeClock()
    complain()
    assert len(caplog.messages) == 3
    caplog.clear()

    with OutageLog("PostgreSQL on db", clock).installed():
        for _ in range(150):
            complain()
            clock.advance(1.0)

    assert (
        caplog.messages
        == ["PostgreSQL on db: cannot be reached: Connection refused. Retrying."] * 3
    )
    assert not any(record.exc_info for record in caplog.records)


def test_everything_else_is_said_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    with OutageLog("PostgreSQL on db", FakeClock()).installed():
        for name in ("psycopg.pool", "procrastinate.utils", "procrastinate.worker"):
            logging.getLogger(name).error("a fault", exc_info=ValueError("ours"))
    complain()

    assert caplog.messages[:3] == ["a fault"] * 3
    assert len(caplog.messages) == 6, "and nothing is left of it afterwards"


@pytest.mark.parametrize(
    ("ending", "logged"),
    [
        (lost(), "PostgreSQL on db: cannot be reached: Connection refused. Retrying."),
        (REFUSED, "Task exception was never retrieved"),
        (ValueError("theirs"), "Task exception was never retrieved"),
    ],
    ids=["a job of the queue", "the program's database", "the program's own"],
)
async def test_what_no_task_waits_for(
    ending: Exception, logged: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The task of a job that cannot be written ends with an error that procrastinate leaves."""

    async def end() -> None:
        raise ending

    with OutageLog("PostgreSQL on db", FakeClock()).installed():
        task = asyncio.create_task(end())
        await asyncio.wait([task])
        del task
        gc.collect()

    assert [message.partition("\n")[0] for message in caplog.messages] == [logged]
