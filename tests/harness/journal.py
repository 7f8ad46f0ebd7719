"""A journal of a few rows, as a job leaves it."""

from pathlib import Path

from sigmamind_async.provisioning import Kind, Row, SqliteJournal, State


async def write_journal(path: Path) -> None:
    """Write a journal of 20 rows, of which one needs a decision."""
    async with SqliteJournal(path) as journal:
        for number in range(20):
            await journal.put(
                Row(
                    op_id=f"desk-{number} #1",
                    account="sigmamind",
                    kind=Kind.PURCHASE,
                    request_type="CreatePhoneNumber",
                    request_fields={"country_code": "US"},
                    token=f"TOKEN{number}",
                    state=State.DONE if number else State.NEEDS_DECISION,
                    phone_number=f"+1415555{number:04}" if number else "",
                    version=1,
                )
            )
