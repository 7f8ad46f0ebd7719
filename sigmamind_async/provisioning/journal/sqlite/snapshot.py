"""The rows of a journal's file, read without an event loop.

A command that only shows them would spend a third of its processor time on importing asyncio.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection
from contextlib import closing
from pathlib import Path

from sigmamind_async.errors import JournalError
from sigmamind_async.provisioning.journal.protocol import Counts
from sigmamind_async.provisioning.journal.sql import SQLITE, read_counts, read_rows
from sigmamind_async.provisioning.journal.sqlite.explanation import explain_error
from sigmamind_async.provisioning.journal.sqlite.file import JournalFile
from sigmamind_async.provisioning.row import Row, State


def read_accounts(
    path: str | os.PathLike[str], accounts: Collection[str], states: Collection[State] | None = None
) -> dict[str, tuple[Counts, list[Row]]]:
    """Return the counts of each of *accounts*, and its rows in *states*, oldest first.

    Without *states* they are its unsettled ones. All are of one moment; other processes may write
    meanwhile. Raises `JournalError` if there is no journal, or it cannot be read.
    """
    file = JournalFile(Path(path), shared=False, read_only=True, restored=False)
    words = json.dumps([state.value for state in states or ()])
    try:
        with closing(file.open()) as database:
            database.execute("BEGIN")
            return {
                account: (
                    read_counts(database.execute(SQLITE.counts, (account,)).fetchall()),
                    read_rows(database.execute(SQLITE.unsettled, (account,)).fetchall())
                    if states is None
                    else read_rows(database.execute(SQLITE.in_states, (account, words)).fetchall()),
                )
                for account in accounts
            }
    except Exception as error:  # noqa: BLE001 - whatever it is, it is explained as the journal does
        raise JournalError(f"{path}: {explain_error(error)}") from None
