"""The rows of a journal's file, read without an event loop."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import attrs
import pytest

from sigmamind_async.errors import JournalError
from sigmamind_async.provisioning.journal.protocol import Status
from sigmamind_async.provisioning.journal.sqlite import SqliteJournal
from sigmamind_async.provisioning.journal.sqlite.snapshot import read_accounts
from sigmamind_async.provisioning.row import Kind, Row, State

ROW = Row(
    op_id="a",
    account="sigmamind",
    kind=Kind.PURCHASE,
    request_type="CreatePhoneNumber",
    request_fields={"country_code": "US"},
    token="7Q2MX4KDJWPTB",
    version=1,
)
STATES = (State.DONE, State.UNCONFIRMED, State.PLANNED, State.NEEDS_DECISION, State.DUPLICATE)


async def test_it_reads_what_the_journal_reads_while_that_is_open(tmp_path: Path) -> None:
    """Every state, and an account without a row."""
    async with SqliteJournal(tmp_path / "j.db") as journal:
        for state in STATES:
            await journal.put(attrs.evolve(ROW, op_id=state.value, state=state))
        accounts = ["sigmamind", "verbex"]
        expected = {
            account: (await journal.counts(account), await journal.in_states(account, set(State)))
            for account in accounts
        }
        status = await Status.of(journal, "sigmamind", 900.0)

        assert read_accounts(tmp_path / "j.db", accounts, set(State)) == expected
        [shown] = read_accounts(tmp_path / "j.db", ["sigmamind"]).values()
    assert Status.from_rows("sigmamind", *shown, 900.0) == status
    assert (len(status.need_decision), len(status.unconfirmed)) == (2, 1)


@pytest.mark.parametrize("text", [b"", b"id,platform\n" * 200, None])
def test_a_file_that_is_no_journal_is_explained(tmp_path: Path, text: bytes | None) -> None:
    path = tmp_path / "j.db"
    if text is not None:
        path.write_bytes(text)

    with pytest.raises(JournalError, match=r"j\.db: (is|there is)"):
        read_accounts(path, ["sigmamind"])


def test_it_takes_no_event_loop() -> None:
    program = (
        "import sys, sigmamind_async.provisioning.journal.sqlite.snapshot;"
        "sys.exit('asyncio' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
