"""What a worker logs, heard by the command: which operations have ended, and what went wrong.

The queue tells with each job's end what it was, in fields of a log record
(https://procrastinate.readthedocs.io/en/stable/howto/production/logging.html). Everything else that
is a warning goes to the person as one line, without a traceback, and once a minute at most until an
operation has ended again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, Final, Self

import attrs

_LOGGERS: Final = ("procrastinate", "sigmamind_async.workers", "psycopg", "asyncio")
MINUTE: Final = 60.0
_ENDS: Final = frozenset({"job_success", "job_error", "job_aborted"})


@attrs.frozen
class Ended:
    """One run of an operation's job has ended."""

    account: str
    op_id: str
    seconds: float


class JobLog(logging.Handler):
    """Hears the loggers for as long as its block runs, in the loop that it was made in."""

    def __init__(self, warn: Callable[[str], None]) -> None:
        super().__init__(logging.INFO)
        self._warn = warn
        self._warned: dict[str, float] = {}
        """When each line was last written."""
        self._ends: asyncio.Queue[Ended | None] = asyncio.Queue()
        self._before: list[tuple[logging.Logger, int, bool]] = []

    def __enter__(self) -> Self:
        for logger in map(logging.getLogger, _LOGGERS):
            self._before.append((logger, logger.level, logger.propagate))
            logger.setLevel(logging.INFO)
            logger.propagate = False  # the root's last resort would print tracebacks
            logger.addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        for logger, level, propagate in self._before:
            logger.removeHandler(self)
            logger.setLevel(level)
            logger.propagate = propagate

    async def next(self) -> Ended | None:
        """Return the next operation whose job has ended, `None` after the last one."""
        return await self._ends.get()

    def close_queue(self) -> None:
        """Say that no more jobs end."""
        self._ends.put_nowait(None)

    def emit(self, record: logging.LogRecord) -> None:
        """Take up what is logged."""
        ended = _ended(record)
        if ended is not None:
            self._ends.put_nowait(ended)
            self._warned.clear()
        elif record.levelno >= logging.WARNING:
            self._tell(record.getMessage().partition("\n")[0].rstrip(": "))

    def _tell(self, text: str) -> None:
        now = time.monotonic()
        if now - self._warned.get(text, -MINUTE) >= MINUTE:
            self._warned[text] = now
            self._warn(text)


def _ended(record: logging.LogRecord) -> Ended | None:
    """Return the operation whose job's end *record* is, if it is one."""
    if getattr(record, "action", None) not in _ENDS:
        return None
    job: dict[str, Any] = getattr(record, "job", {})
    arguments: dict[str, Any] = job.get("task_kwargs", {})
    if "op_id" not in arguments:
        return None
    seconds: float = getattr(record, "duration", 0.0)
    return Ended(arguments["account"], arguments["op_id"], seconds)
