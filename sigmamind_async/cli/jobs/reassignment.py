"""``numbers reassign``: a fleet of the numbers of one agent, all of which get another one."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import attrs

from sigmamind_async.cli.accounts import AnyClient, client_of, describe_account
from sigmamind_async.cli.errors import CommandError, Exit
from sigmamind_async.cli.jobs.runner import PlanRunner
from sigmamind_async.cli.loop import new_loop
from sigmamind_async.cli.options import OutputOptions, PlatformName, RequestOptions
from sigmamind_async.cli.output.console import Output, Traffic
from sigmamind_async.cli.output.events import PlanView, Side
from sigmamind_async.cli.output.text import count_of
from sigmamind_async.cli.prompts import agree, is_interactive
from sigmamind_async.fleet.export import export
from sigmamind_async.fleet.load import fleet_of
from sigmamind_async.fleet.plan import Plan, plan
from sigmamind_async.fleet.spec import FleetRow
from sigmamind_async.fleet.state import (
    FleetState,
    LastApplied,
    find_agents,
    list_numbers,
    read_last_applied,
)
from sigmamind_async.fleet.vendors import VENDORS, RemoteNumber
from sigmamind_async.provisioning.journal.memory import MemoryJournal
from sigmamind_async.provisioning.journal.protocol import Journal
from sigmamind_async.provisioning.journal.sqlite import SqliteJournal
from sigmamind_async.provisioning.provisioner import Provisioner

_FIELDS: Final[Mapping[Side, tuple[str, ...]]] = {
    "inbound": ("inbound_agent_id",),
    "outbound": ("outbound_agent_id",),
    "both": ("inbound_agent_id", "outbound_agent_id"),
}


@attrs.frozen(kw_only=True)
class Reassignment:
    """Which fields of which numbers change, and to what."""

    platform: PlatformName
    from_agent: str
    to_agent: str
    side: Side

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of a number that name an agent of this side, on the platform."""
        taken = VENDORS[self.platform].update.takes
        return tuple(name for name in _FIELDS[self.side] if name in taken)

    def fields_of(self, number: RemoteNumber) -> list[str]:
        """Return the fields of *number* that name the agent."""
        return [name for name in self.fields if number.shown.get(name) == self.from_agent]

    async def plan(self, client: AnyClient, journal: Journal) -> tuple[Plan, FleetState]:
        """Read the account; return what changes, and the state that this was made against."""
        applied = await read_last_applied(journal)
        numbers = [each for each in (await list_numbers(client)).values() if self.fields_of(each)]
        rows = [self._row(row) for row in export(numbers, applied)]
        agents = await find_agents(client, {self.to_agent}) if rows else None
        seen = {
            row.id: self._last_applied(number, applied.get(row.id))
            for row, number in zip(rows, numbers, strict=True)
        }
        state = FleetState(
            numbers={self.platform: {number.record: number for number in numbers}},
            last_applied={**applied, **seen},
            agents={} if agents is None else {self.platform: agents},
        )
        return plan(fleet_of(rows), state), state

    def _row(self, row: FleetRow) -> FleetRow:
        """Return *row* with nothing but its number and the new agent."""
        changed = [name for name in self.fields if row.fields.get(name) == self.from_agent]
        fields = {"phone_number": row.phone_number, **dict.fromkeys(changed, self.to_agent)}
        return attrs.evolve(row, fields=fields)

    def _last_applied(self, number: RemoteNumber, applied: LastApplied | None) -> LastApplied:
        """Return the state of *number* with the agent as applied, or the change would be drift."""
        before = applied or LastApplied(
            platform=number.platform,
            record=number.record,
            phone_number=number.phone_number,
            source="existing",
            sequence=0,
        )
        agents = dict.fromkeys(self.fields_of(number), self.from_agent)
        return attrs.evolve(before, fields={**before.fields, **agents})


def reassign_numbers(
    reassignment: Reassignment,
    path: Path | None,
    *,
    dry_run: bool,
    yes: bool,
    request: RequestOptions,
    options: OutputOptions,
) -> int:
    """Show what changes, ask, and change it; the journal at *path* keeps up with it."""
    if reassignment.from_agent == reassignment.to_agent:
        raise CommandError("--from-agent and --to-agent are the same")
    if not reassignment.fields:
        raise CommandError(f"numbers on {reassignment.platform} have no {reassignment.side} agent")
    if path is not None and not path.exists():
        raise CommandError(f"there is no journal {path}")
    output = Output.for_process(**attrs.asdict(options))
    traffic = Traffic()
    client = client_of(reassignment.platform, request, observer=traffic)
    with new_loop() as loop:
        stack = AsyncExitStack()
        try:
            loop.run(stack.enter_async_context(client))
            journal = MemoryJournal() if path is None else SqliteJournal(path)
            loop.run(stack.enter_async_context(journal))
            todo, state = loop.run(reassignment.plan(client, journal))
            over = dry_run or todo.problems or not todo.writes
            if over or not output.json:
                title = f"numbers of {reassignment.from_agent} on {reassignment.platform}"
                output.show(PlanView(file=title, plan=todo))
            if over:
                return Exit.FAILED if todo.problems else Exit.DONE
            if not yes:
                _confirm(client, todo.writes, ask=not output.json and is_interactive())
                again, state = loop.run(reassignment.plan(client, journal))
                if again.steps != todo.steps:
                    raise CommandError("the numbers have changed since; nothing was sent")
            runner = PlanRunner(
                plan=todo,
                output=output,
                traffic=traffic,
                gates=[client.gate],
                patience=request.deadline,
            )
            summary = loop.run(runner.carry_out([Provisioner(client, journal)], state=state))
        finally:
            loop.run(stack.aclose())
    code = runner.conclude(summary)
    if summary.unconfirmed or summary.skipped:
        output.log("to continue, run the same command again: it reads the account again")
    return code


def _confirm(client: AnyClient, count: int, *, ask: bool) -> None:
    """Raise `CommandError` unless changing *count* numbers is agreed to."""
    if not ask:
        raise CommandError(
            f"this changes {count_of(count, 'number')}: agree with --yes; nothing was sent"
        )
    agree(f"changes {count_of(count, 'number')} on {describe_account(client)}", count, "change")
