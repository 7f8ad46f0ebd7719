"""The state of a fleet's numbers: what was applied to each, and what the accounts show now."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Collection, Mapping
from sys import intern
from typing import Final

import attrs
import orjson

from sigmamind_async.client import Client
from sigmamind_async.errors import APIStatusError, ConfigurationError, JournalError, NotFoundError
from sigmamind_async.fleet.spec import Cell, DesiredState, Fleet, FleetRow, Source
from sigmamind_async.fleet.vendors import AGENTS, VENDORS, RemoteNumber
from sigmamind_async.platforms.dialnexa.client import DialNexa
from sigmamind_async.platforms.dialnexa.models import GetAgent
from sigmamind_async.platforms.sigmamind.client import SigmaMind
from sigmamind_async.provisioning.journal.protocol import Journal
from sigmamind_async.provisioning.row import NEED_DECISION, UNSETTLED, Row, State
from sigmamind_async.values import Secret

INLINE_SECRET: Final = "***"  # noqa: S105 - stands for one
"""In a note, in place of a secret that was in the row itself."""


@attrs.frozen(kw_only=True)
class LastApplied:
    """The journal's note about a row: its `platform`, its number, and what was written to it."""

    platform: str
    record: str = ""
    """Empty before the number is created, and after it was released."""
    phone_number: str = ""
    """E.164; empty before the number is created."""
    source: str
    """Where the number came from: ``purchase``, ``import`` or ``existing``."""
    sequence: int
    """Counts the row's requests, so that each has its own id."""
    fields: Mapping[str, str | int | None] = attrs.field(
        hash=False, factory=dict[str, "str | int | None"]
    )
    """What was written last, by field; references of secrets."""
    shown: Mapping[str, str | None] = attrs.field(hash=False, factory=dict[str, "str | None"])
    """What the platform showed afterwards, where that is another value."""
    origin: str = ""
    """Of the fleet that listed the row last; empty if that is not known."""

    def dump(self) -> str:
        """Return it as JSON."""
        return orjson.dumps(attrs.asdict(self, recurse=False), default=dict).decode()

    @classmethod
    def load(cls, row_id: str, text: str) -> LastApplied:
        """Return the note about the row *row_id* that `dump` wrote as *text*.

        Raises `JournalError` for anything else.
        """
        try:
            note = orjson.loads(text)
            for parts in (note, note.get("fields", {}), note.get("shown", {})):
                # Rows, notes and listings repeat the same texts, a hundred thousand times over.
                parts |= {name: intern(v) for name, v in parts.items() if isinstance(v, str)}
            return cls(**note)
        except (ValueError, TypeError, AttributeError):
            pass
        raise JournalError(f"the journal's note about {row_id!r} cannot be read by this version")


async def read_last_applied(journal: Journal) -> dict[str, LastApplied]:
    """Return what was last applied to each row, as *journal* has noted it."""
    notes = {**await journal.last_applied()}
    # No text is kept longer than it is needed: together they are large.
    return {row_id: LastApplied.load(row_id, notes.pop(row_id)) for row_id in [*notes]}


def normalize_cell(cell: Cell) -> str | int | None:
    """Return *cell* as it is remembered: an inline secret as `INLINE_SECRET`, no text as `None`.

    Platforms show both an empty text and null as nothing.
    """
    if isinstance(cell, Secret):
        return INLINE_SECRET
    return None if cell == "" else cell


def creation_id(row_id: str, sequence: int) -> str:
    """Return the id of the operation that creates the number of a row."""
    return f"{row_id} #{sequence}"


@attrs.frozen(kw_only=True)
class PendingOperation:
    """An operation that creates the number of a row, and that no note knows yet."""

    sequence: int
    row: Row
    """The journal's."""

    @property
    def platform(self) -> str:
        """Where it creates the number."""
        return self.row.account.partition(":")[0]

    @property
    def completed(self) -> Row | None:
        """The journal's row, if the operation is over and has created a number."""
        is_over = self.row.state in {State.DONE, State.DUPLICATE}
        return self.row if is_over and self.row.record else None

    @property
    def is_under_way(self) -> bool:
        """True if it may still create a number, and continues when it is run again."""
        if self.row.state is State.PLANNED:
            return self.row.unconfirmed_since > 0.0
        return self.row.state in UNSETTLED

    @property
    def needs_decision(self) -> bool:
        """True if it does not continue before an operator has decided."""
        return self.completed is None and self.row.state in NEED_DECISION


@attrs.frozen(kw_only=True)
class FleetState:
    """All that a plan is made against."""

    numbers: Mapping[str, Mapping[str, RemoteNumber]] = attrs.field(hash=False)
    """What the accounts show, by platform and record."""
    last_applied: Mapping[str, LastApplied] = attrs.field(
        hash=False, factory=dict[str, LastApplied]
    )
    """By id of the row."""
    pending: Mapping[str, PendingOperation] = attrs.field(
        hash=False, factory=dict[str, PendingOperation]
    )
    """By id of the row; for rows whose number is not noted, or not in the account."""
    agents: Mapping[str, frozenset[str]] = attrs.field(
        hash=False, factory=dict[str, "frozenset[str]"]
    )
    """Those of the fleet's agents that exist, by platform; platforms that report agents only."""
    listed_at: float = attrs.field(default=math.inf, eq=False)
    """When the accounts began to be listed, in seconds since the epoch: *numbers* may lack what was
    bought since."""


async def refresh(fleet: Fleet, clients: Mapping[str, Client], journal: Journal) -> FleetState:
    """Return the state of *fleet*, after one listing of each account.

    Args:
        fleet: The rows.
        clients: One for each platform that the rows are on, or were on, by name.
        journal: What was applied; it is only read.

    Raises:
        ConfigurationError: A platform has no client.
        JournalError: The journal cannot be read.
        SigmaMindError: An account cannot be read.
    """
    applied = await read_last_applied(journal)
    # A row may have been removed, or renamed, before its number was noted; a note without a record
    # announces it. The number must be found, or it would be bought again.
    ids = fleet.ids
    removed = [row_id for row_id, note in applied.items() if row_id not in ids and not note.record]
    pending = await _pending_of(dict.fromkeys(removed, ""), applied, journal)
    for row_id, each in pending.items():
        if each.row.record:
            # As its run would have noted it.
            applied[row_id] = attrs.evolve(
                applied[row_id],
                record=each.row.record,
                phone_number=each.row.phone_number,
                sequence=each.sequence,
            )
    existing = Source.EXISTING, DesiredState.PRESENT
    creating = [row for row in fleet.rows if (row.source, row.state) != existing]
    unnoted = [row for row in creating if not _is_noted(row, applied)]
    pending |= await _pending_of({row.id: row.platform for row in unnoted}, applied, journal)
    platforms = platforms_of(fleet, applied) | {each.platform for each in pending.values()}
    if missing := sorted(platforms.difference(clients)):
        raise ConfigurationError(f"clients: there is none for {', '.join(missing)}")
    listed_at = time.time()
    accounts = {name: _read_account(clients[name], fleet) for name in sorted(platforms)}
    try:
        async with asyncio.TaskGroup() as tasks:
            reading = {name: tasks.create_task(account) for name, account in accounts.items()}
    except ExceptionGroup as group:
        raise group.exceptions[0] from None
    found = {name: task.result() for name, task in reading.items()}
    numbers = {name: listed for name, (listed, _) in found.items()}
    lost = {
        row.id: row.platform
        for row in creating
        if _is_noted(row, applied) and applied[row.id].record not in numbers[row.platform]
    }
    pending |= await _pending_of(lost, applied, journal)
    return FleetState(
        numbers=numbers,
        last_applied=applied,
        pending=pending,
        agents={name: agents for name, (_, agents) in found.items() if agents is not None},
        listed_at=listed_at,
    )


async def _read_account(
    client: Client, fleet: Fleet
) -> tuple[dict[str, RemoteNumber], frozenset[str] | None]:
    """Return the numbers of the account, and those of the fleet's agents that it has."""
    numbers = await list_numbers(client)
    agents = {
        agent
        for row in fleet.rows
        if row.platform == client.platform.name and row.state is DesiredState.PRESENT
        for name in AGENTS
        if isinstance(agent := row.fields.get(name), str) and agent
    }
    return numbers, await find_agents(client, agents) if agents else None


def platforms_of(fleet: Fleet, applied: Mapping[str, LastApplied]) -> set[str]:
    """Return the platforms whose accounts have to be read for *fleet*."""
    notes = (applied.get(row.id) for row in fleet.rows)
    return {
        *(row.platform for row in fleet.rows),
        *(note.platform for note in notes if note is not None and note.record),
    }


async def list_numbers(client: Client) -> dict[str, RemoteNumber]:
    """Return every number of the account of *client*, by record."""
    vendor = VENDORS[client.platform.name]
    listing = vendor.adapter.list_numbers(client)
    numbers = [vendor.read_number(record) async for record in listing]
    # Pages shift while numbers appear: the same number may come twice.
    return {number.record: number for number in numbers if number.record}


# --- operations that no note knows yet -------------------------------------------------------


async def _pending_of(
    rows: Mapping[str, str], applied: Mapping[str, LastApplied], journal: Journal
) -> dict[str, PendingOperation]:
    """Return the latest operation that creates the number of each row.

    *rows* are platforms by id, empty for a row that the fleet no longer has. An operation on the
    platform where the row was before counts if it may have had an effect.
    """
    pending: dict[str, PendingOperation] = {}
    for row_id, platform in rows.items():
        note = applied.get(row_id)
        found = await _find_pending(row_id, platform, note, journal) if platform else None
        if found is None and note is not None and note.platform != platform:
            found = await _find_pending(row_id, note.platform, note, journal)
            found = None if found is None or had_no_effect(found.row) else found
        if found is not None:
            pending[row_id] = found
    return pending


def _is_noted(row: FleetRow, applied: Mapping[str, LastApplied]) -> bool:
    """Return whether the journal has noted a number for *row* on its platform."""
    note = applied.get(row.id)
    return note is not None and note.record != "" and note.platform == row.platform


async def _find_pending(
    row_id: str, platform: str, applied: LastApplied | None, journal: Journal
) -> PendingOperation | None:
    """Return the latest operation that creates the number of a row, if one was begun."""
    sequence = 1 if applied is None else applied.sequence + 1
    stored = await journal.get(platform, creation_id(row_id, sequence))
    while stored is not None and had_no_effect(stored):
        later = await journal.get(platform, creation_id(row_id, sequence + 1))
        if later is None:
            break
        sequence, stored = sequence + 1, later
    return None if stored is None else PendingOperation(sequence=sequence, row=stored)


def had_no_effect(stored: Row) -> bool:
    """Return whether an operation did nothing and will do nothing, so that another may follow."""
    is_settled = stored.proven_absent or not stored.unconfirmed_since
    return stored.state in {State.FAILED, State.PLANNED} and is_settled


# --- agents ----------------------------------------------------------------------------------


async def find_agents(client: Client, ids: Collection[str]) -> frozenset[str] | None:
    """Return those of *ids* that exist, or `None` if the platform does not report that.

    A key may be allowed to change numbers and not to read agents. Verbex documents no agents: a
    wrong one is refused when it is written.
    """
    try:
        if isinstance(client, SigmaMind) and ids:
            agents = client.agents.list()
            return frozenset(ids).intersection([agent.agent_id async for agent in agents])
        if isinstance(client, DialNexa) and ids:
            return await _find_dialnexa_agents(client, ids)
    except APIStatusError:
        pass
    return None


async def _find_dialnexa_agents(client: DialNexa, ids: Collection[str]) -> frozenset[str]:
    existing: set[str] = set()
    values = [GetAgent(id=agent) for agent in ids]
    async for outcome in client.run_many(values):
        if outcome.status == "done":
            existing.add(values[outcome.index].id)
        elif not isinstance(outcome.error, NotFoundError) and outcome.error is not None:
            raise outcome.error
    return frozenset(existing)
