"""``sigmamind status`` and ``sigmamind reconcile``: what a journal holds, and how it is settled."""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import TYPE_CHECKING, Annotated, TypeAlias, get_args

from cyclopts import Parameter

from sigmamind_async.cli.errors import Exit
from sigmamind_async.cli.options import (
    SETTLE_TIME,
    JournalOptions,
    Json,
    PlatformName,
    RequestOptions,
    Seconds,
    SettlementOptions,
    settle_words,
)

if TYPE_CHECKING:
    from sigmamind_async.cli.journal_location import JournalLocation
    from sigmamind_async.provisioning.journal.protocol import Counts
    from sigmamind_async.provisioning.row import Row, State

File: TypeAlias = Annotated[
    str | None, Parameter(help="The fleet file that was applied, or its journal.")
]
Platform: TypeAlias = Annotated[
    PlatformName | None,
    Parameter(name="--platform", help="Only rows of this platform. Default: all in the journal."),
]


def status(
    file: File = None,
    /,
    *,
    platform: Platform = None,
    settle_time: Seconds = SETTLE_TIME,
    rows: bool = False,
    journal: JournalOptions = JournalOptions(),
    json: Json = False,
) -> int:
    """Show what the journal of *file*, or in a database, holds.

    Args:
        settle_time: How long a purchase without an answer may still turn up.
        rows: List every row with its number, whether it is settled or not.
    """
    from sigmamind_async.cli.journal_location import find_journal
    from sigmamind_async.cli.output.console import Output
    from sigmamind_async.cli.output.events import JournalRows
    from sigmamind_async.cli.output.journal_status import journal_row_of, journal_status_of
    from sigmamind_async.provisioning.journal.protocol import SHOWN, Status
    from sigmamind_async.provisioning.row import State

    place = find_journal(file, journal)
    shown = Output(json=json)
    states = frozenset(State) if json or rows else None
    accounts, now = read_journal(place, _accounts_of(platform), states)
    is_settled = True
    for name, stored in used_accounts(accounts).items():
        found = Status.from_rows(name, accounts[name][0], stored, settle_time)
        is_settled = is_settled and found.is_settled
        shown.show(journal_status_of(found, place, name, now))
        # As JSON, the others are written with the status.
        listed = [row for row in stored if not json or row.state not in SHOWN]
        if listed and states:
            shown.show(
                JournalRows(tuple(journal_row_of(row, settle_time, place) for row in listed))
            )
    if shown.is_terminal and not rows:
        words = ("--rows", *settle_words(settle_time))
        shown.log()
        shown.log(f"To list every row: {place.command('status', platform, *words)}")
    return Exit.DONE if is_settled else Exit.UNKNOWN


Accounts: TypeAlias = "dict[str, tuple[Counts, list[Row]]]"
"""By name, what a journal counts of an account, and some of its rows."""


def _accounts_of(platform: PlatformName | None) -> list[str]:
    return [platform] if platform else list(get_args(PlatformName))


def used_accounts(accounts: Accounts) -> dict[str, list[Row]]:
    """Return the rows of the accounts that have any; of the first one if none has."""
    used = {name: rows for name, (counts, rows) in accounts.items() if counts.rows}
    return used or {name: [] for name in list(accounts)[:1]}


def read_journal(
    place: JournalLocation, names: Collection[str], states: Collection[State] | None
) -> tuple[Accounts, float]:
    """Return the counts of each account, its rows in *states*, and the time by its clock.

    Without *states* the rows are those that are not settled.
    """
    from sigmamind_async.cli.journal_location import FileJournal

    if isinstance(place, FileJournal):
        from sigmamind_async.provisioning.journal.sqlite.snapshot import read_accounts

        return read_accounts(place.path, names, states), time.time()
    from sigmamind_async.cli.loop import run

    return run(_read_database(place, names, states))


async def _read_database(
    place: JournalLocation, names: Collection[str], states: Collection[State] | None
) -> tuple[Accounts, float]:
    from sigmamind_async.provisioning.journal.protocol import clock_for

    async with place.opened(read_only=True) as journal:
        accounts = {
            name: (
                await journal.counts(name),
                await journal.unsettled(name)
                if states is None
                else await journal.in_states(name, states),
            )
            for name in names
        }
        return accounts, clock_for(journal, time.time)()


def reconcile(
    file: File = None,
    /,
    *,
    platform: Platform = None,
    only: Annotated[tuple[str, ...], Parameter(metavar="ROW")] = (),
    adopt: Annotated[str | None, Parameter(metavar="+NUMBER")] = None,
    abandon: bool = False,
    wait: bool = False,
    restored: bool = False,
    yes: bool = False,
    journal: JournalOptions = JournalOptions(),
    settlement: SettlementOptions = SettlementOptions(),
    request: RequestOptions = RequestOptions(),
    json: Json = False,
) -> int:
    """Settle what is unconfirmed in the journal of *file*, or carry out a decision.

    Args:
        only: Decide about the row with this id. May be repeated.
        adopt: Link this number of the account to the row.
        abandon: Stop working on the row. No number is released.
        wait: Look until nothing is unconfirmed.
        restored: Accept a journal that is an older copy of itself.
        yes: Release duplicates without asking.
    """
    from sigmamind_async.cli.accounts import client_of
    from sigmamind_async.cli.jobs.reconciliation import Decision, Reconciliation, accept_restored
    from sigmamind_async.cli.journal_location import find_journal
    from sigmamind_async.cli.loop import run
    from sigmamind_async.cli.output.console import Output
    from sigmamind_async.cli.prompts import Approval
    from sigmamind_async.provisioning.row import State

    place = find_journal(file, journal)
    decision = Decision(only=only, adopt=adopt, abandon=abandon, settlement=settlement, wait=wait)
    decision.check()
    if restored:
        run(accept_restored(place))
    accounts, _ = read_journal(place, _accounts_of(platform), frozenset(State) if only else None)
    chosen = used_accounts(accounts)
    if only:
        chosen = decision.choose([row for _, rows in accounts.values() for row in rows], place.name)
    clients = {name: client_of(name, request) for name in chosen}
    output = Output(json=json)
    if settlement.release_duplicates:
        records = [record for rows in chosen.values() for row in rows for record in row.duplicates]
        Approval(yes, output.can_ask).check_release(", ".join(records) or "duplicates")
    is_settled = True
    for name, rows in chosen.items():
        work = Reconciliation(place, decision, clients[name], output)
        is_settled = run(work.run([row.op_id for row in rows])) and is_settled
    return Exit.DONE if is_settled else Exit.UNKNOWN
