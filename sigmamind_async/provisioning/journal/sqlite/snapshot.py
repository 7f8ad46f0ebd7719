"""The status of a journal's file, read without an event loop.

A command that only shows it would spend a third of its processor time on importing asyncio.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from sigmamind_async.errors import JournalError
from sigmamind_async.provisioning.journal.protocol import SHOWN, Status
from sigmamind_async.provisioning.journal.sql import SQLITE, read_counts, read_rows
from sigmamind_async.provisioning.journal.sqlite.explanation import explain_error
from sigmamind_async.provisioning.journal.sqlite.file import JournalFile

_SHOWN = json.dumps([state.value for state in SHOWN])


def read_statuses(
    path: str | os.PathLike[str], accounts: Iterable[str], settle_time: float
) -> list[Status]:
    """Return the status of each of *accounts* at one moment, while other processes may write.

    Raises `JournalError` if there is no journal, or it cannot be read.
    """
    file = JournalFile(Path(path), shared=False, read_only=True, restored=False)
    try:
        with closing(file.open()) as database:
            database.execute("BEGIN")
            return [
                Status.from_rows(
                    account,
                    read_counts(database.execute(SQLITE.counts, (account,)).fetchall()),
                    read_rows(database.execute(SQLITE.in_states, (account, _SHOWN)).fetchall()),
                    settle_time,
                )
                for account in accounts
            ]
    except Exception as error:  # noqa: BLE001 - whatever it is, it is explained as the journal does
        raise JournalError(f"{path}: {explain_error(error)}") from None
