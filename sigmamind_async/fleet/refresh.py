"""Reads all that a plan is made against: the accounts, the journal's notes, and its operations."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from typing import Any, TypeAlias, TypeVar

import attrs

from sigmamind_async.client import Client
from sigmamind_async.errors import ConfigurationError
from sigmamind_async.fleet.agents import agents_there
from sigmamind_async.fleet.spec import DesiredState, Fleet, FleetRow, Source
from sigmamind_async.fleet.state import FleetState, LastApplied, PendingOperation
from sigmamind_async.fleet.step import creation_id
from sigmamind_async.fleet.vendor_schema import RemoteNumber
from sigmamind_async.fleet.vendors import VENDORS
from sigmamind_async.provisioning.journal.protocol import Journal
from sigmamind_async.provisioning.row import Row, State

T = TypeVar("T")

Numbers: TypeAlias = Mapping[str, Mapping[str, RemoteNumber]]

_AGENTS = ("inbound_agent_id", "outbound_agent_id")


async def refresh(fleet: Fleet, clients: Mapping[str, Client], journal: Journal) -> FleetState:
    """Return what is known of *fleet*, after one listing of each account.

    Args:
        fleet: The rows.
        clients: One for each platform that the rows are on, or were on, by name.
        journal: What was applied; it is only read.

    Raises:
        ConfigurationError: A platform has no client.
        JournalError: The journal cannot be read.
        SigmaMindError: An account cannot be read.
    """
    applied = {
        row_id: LastApplied.load(row_id, text)
        for row_id, text in (await journal.last_applied()).items()
    }
    orphans = await _orphans(fleet, applied, journal)
    for row_id, orphan in orphans.items():
        if orphan.row is not None and orphan.row.record:
            applied[row_id] = _completed(applied[row_id], orphan.sequence, orphan.row)
    begun = await _begun(_not_noted(fleet, applied), applied, journal)
    platforms = sorted(
        platforms_of(fleet, applied) | {one.platform for one in begun.values()} - {""}
    )
    missing = [platform for platform in platforms if platform not in clients]
    if missing:
        raise ConfigurationError(f"clients: there is none for {', '.join(missing)}")
    found = await _of_each(platforms, lambda name: numbers_of(clients[name]))
    agents = await _of_each(
        platforms, lambda name: agents_there(clients[name], _agents_on(fleet, name))
    )
    return FleetState(
        found=found,
        applied=applied,
        begun={
            **orphans,
            **begun,
            **await _begun(_not_found(fleet, applied, found), applied, journal),
        },
        agents={name: there for name, there in agents.items() if there is not None},
    )


async def _of_each(
    names: Iterable[str], ask: Callable[[str], Coroutine[Any, Any, T]]
) -> dict[str, T]:
    """Return the answer of *ask* for each name, all asked at once; raises the first error."""
    try:
        async with asyncio.TaskGroup() as tasks:
            asked = {name: tasks.create_task(ask(name)) for name in names}
    except ExceptionGroup as group:
        raise group.exceptions[0] from None
    return {name: task.result() for name, task in asked.items()}


def platforms_of(fleet: Fleet, applied: Mapping[str, LastApplied]) -> set[str]:
    """Return the platforms that have to be asked about *fleet*."""
    platforms = {row.platform for row in fleet.rows}
    return platforms | {
        one.platform for row in fleet.rows if (one := applied.get(row.id)) and one.record
    }


async def numbers_of(client: Client) -> dict[str, RemoteNumber]:
    """Return every number of the account of *client*, by record."""
    capability = VENDORS[client.platform.name]
    numbers = capability.adapter.list_numbers(client)
    found = [capability.found(record) async for record in numbers]
    # Pages shift while numbers appear: a number may come twice, and is the same.
    return {one.record: one for one in found if one.record}


def _agents_on(fleet: Fleet, platform: str) -> set[str]:
    return {
        agent
        for row in fleet.rows
        if row.platform == platform and row.state is DesiredState.PRESENT
        for name in _AGENTS
        if isinstance(agent := row.fields.get(name), str) and agent
    }


async def _begun(
    rows: Iterable[FleetRow], applied: Mapping[str, LastApplied], journal: Journal
) -> dict[str, PendingOperation]:
    """Return the operations that bring the numbers which no note tells of."""
    return {row.id: await _begun_of(row, applied.get(row.id), journal) for row in rows}


def _not_noted(fleet: Fleet, applied: Mapping[str, LastApplied]) -> Iterator[FleetRow]:
    """Yield the rows that the journal has noted no number for, where they are now."""
    for row in fleet.rows:
        noted = applied.get(row.id)
        here = noted is not None and noted.record and noted.platform == row.platform
        if not here and not _is_there_already(row):
            yield row


def _not_found(
    fleet: Fleet, applied: Mapping[str, LastApplied], found: Numbers
) -> Iterator[FleetRow]:
    """Yield the rows whose number is noted, and not in the account."""
    for row in fleet.rows:
        noted = applied.get(row.id)
        if noted is None or not noted.record or noted.platform != row.platform:
            continue
        if noted.record not in found.get(row.platform, {}) and not _is_there_already(row):
            yield row


def _is_there_already(row: FleetRow) -> bool:
    return row.source is Source.EXISTING and row.state is DesiredState.PRESENT


async def _begun_of(
    row: FleetRow, applied: LastApplied | None, journal: Journal
) -> PendingOperation:
    """Return what was begun to bring the number of *row*, here or where the row was before."""
    here = await begun_for(row.id, row.platform, applied, journal)
    if here.row is not None or applied is None or applied.platform == row.platform:
        return here
    there = await begun_for(row.id, applied.platform, applied, journal)
    return here if there.row is None or did_nothing(there.row) else there


async def begun_for(
    row_id: str, platform: str, applied: LastApplied | None, journal: Journal
) -> PendingOperation:
    """Return the latest operation that was begun to bring the number of a row, or the first."""
    sequence = 1 if applied is None else applied.sequence + 1
    stored = await journal.get(platform, creation_id(row_id, sequence))
    while stored is not None and did_nothing(stored):
        later = await journal.get(platform, creation_id(row_id, sequence + 1))
        if later is None:
            break
        sequence, stored = sequence + 1, later
    return PendingOperation(sequence=sequence, row=stored)


def did_nothing(stored: Row) -> bool:
    """Return whether nothing came of an operation, nor will, so that another may take its place."""
    settled = stored.proven_absent or not stored.unconfirmed_since
    return stored.state in {State.FAILED, State.PLANNED} and settled


# --- rows that the fleet has no longer -----------------------------------------------------------


async def _orphans(
    fleet: Fleet, applied: Mapping[str, LastApplied], journal: Journal
) -> dict[str, PendingOperation]:
    """Return what was begun to bring the numbers of rows that the fleet has no longer.

    What brings a number is announced by a note without a record. A row may have been renamed
    before the next note could be written: its number must be seen, or it would be bought again.
    """
    ids = {row.id for row in fleet.rows} | {problem.id for problem in fleet.problems}
    ids |= {*fleet.skipped}
    begun = {
        row_id: await begun_for(row_id, one.platform, one, journal)
        for row_id, one in applied.items()
        if row_id not in ids and not one.record
    }
    return {
        row_id: one
        for row_id, one in begun.items()
        if one.row is not None and not did_nothing(one.row)
    }


def _completed(announced: LastApplied, sequence: int, stored: Row) -> LastApplied:
    """Return what would have been noted of a number, had the process not ended before."""
    return attrs.evolve(
        announced,
        record=stored.record,
        phone_number=stored.phone_number,
        sequence=sequence,
    )
