"""``sigmamind numbers move``: the numbers of one agent, given to another."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated, Final

import attrs
from cyclopts import Parameter

from sigmamind_async.bulk import Progress
from sigmamind_async.cli.accounts import Accounts
from sigmamind_async.cli.errors import CommandError, Exit, exit_for_job
from sigmamind_async.cli.jobs.fleet import FleetJob
from sigmamind_async.cli.output.console import Output
from sigmamind_async.cli.output.events import PlanView, RowResult, Side, Summary
from sigmamind_async.cli.output.progress import Traffic
from sigmamind_async.cli.output.text import Widths
from sigmamind_async.cli.prompts import can_ask, typed
from sigmamind_async.cli.runtime import (
    ATTEMPT_TIMEOUT,
    DEADLINE,
    AttemptTimeout,
    Deadline,
    Json,
    Proxy,
    RefusalStatus,
    Times,
    runner,
)
from sigmamind_async.cli.vendors import DEFAULT, PlatformOption
from sigmamind_async.fleet.apply import Crew
from sigmamind_async.fleet.export import export
from sigmamind_async.fleet.load import fleet_of
from sigmamind_async.fleet.plan import Plan, plan
from sigmamind_async.fleet.refresh import find_agents, list_numbers
from sigmamind_async.fleet.spec import FleetRow
from sigmamind_async.fleet.state import FleetState, LastApplied
from sigmamind_async.fleet.vendor_schema import RemoteNumber
from sigmamind_async.fleet.vendors import VENDORS
from sigmamind_async.provisioning.journal.memory import MemoryJournal
from sigmamind_async.provisioning.journal.protocol import Journal
from sigmamind_async.provisioning.journal.sqlite import SqliteJournal
from sigmamind_async.provisioning.provisioner import Provisioner
from sigmamind_async.secret_references import SecretResolver

_FIELDS: Final[Mapping[Side, tuple[str, ...]]] = {
    "inbound": ("inbound_agent_id",),
    "outbound": ("outbound_agent_id",),
    "both": ("inbound_agent_id", "outbound_agent_id"),
}


def move(
    *,
    from_agent: Annotated[str, Parameter(help="Whose numbers.")],
    to_agent: Annotated[str, Parameter(help="Who gets them.")],
    platform: PlatformOption = DEFAULT,
    side: Annotated[
        Side, Parameter(help="Only where the agent answers calls (inbound), or makes them.")
    ] = "both",
    dry_run: Annotated[bool, Parameter(help="Show what would change, and change nothing.")] = False,
    yes: Annotated[bool, Parameter(help="Do not ask.")] = False,
    journal: Annotated[
        Path | None,
        Parameter(help="The journal of a fleet that the numbers are in, to be kept up to date."),
    ] = None,
    json: Json = False,
    deadline: Deadline = DEADLINE,
    attempt_timeout: AttemptTimeout = ATTEMPT_TIMEOUT,
    proxy: Proxy = None,
    refusal_status: RefusalStatus = (),
) -> int:
    """Give the numbers of one agent to another."""
    if from_agent == to_agent:
        raise CommandError("--from-agent and --to-agent are the same")
    if journal is not None and not journal.exists():
        raise CommandError(f"there is no journal {journal}")
    relay = Relay(
        platform=platform,
        before=from_agent,
        after=to_agent,
        fields=_agent_fields(platform, side),
        output=Output.for_process(json=json),
        traffic=Traffic(),
        times=Times(
            deadline=deadline, attempt=attempt_timeout, proxy=proxy, refusals=refusal_status
        ),
        path=journal,
    )
    with runner() as loop:
        try:
            accounts, held = loop.run(relay.open())
            prospect = loop.run(relay.look(accounts, held))
            over = dry_run or prospect.plan.problems or not prospect.plan.writes
            if over or not relay.output.json:
                relay.output.show(PlanView(file=relay.title, plan=prospect.plan))
            if over:
                return Exit.FAILED if prospect.plan.problems else Exit.DONE
            if _agree(prospect.plan.writes, yes=yes, ask=not json and can_ask()):
                loop.run(relay.check(prospect))
            summary = loop.run(relay.carry_out(prospect))
        finally:
            loop.run(relay.close())
    relay.output.show(summary)
    if summary.unconfirmed or summary.skipped:
        relay.output.log("to go on, run the same command again: it looks at what is there")
    return exit_for_job(summary)


def _agent_fields(platform: str, side: Side) -> tuple[str, ...]:
    taken = VENDORS[platform].update.takes
    fields = tuple(name for name in _FIELDS[side] if name in taken)
    if not fields:
        raise CommandError(f"numbers on {platform} have no {side} agent")
    return fields


def _agree(count: int, *, yes: bool, ask: bool) -> bool:
    """Return whether a person had to be asked about changing *count* numbers.

    Raises `CommandError` unless it is agreed to.
    """
    if yes:
        return False
    numbers = f"{count} {'number' if count == 1 else 'numbers'}"
    if not ask:
        raise CommandError(f"this changes {numbers}: agree with --yes; nothing was sent")
    if typed(f"This changes {numbers}. Type {count} to go on: ") != str(count):
        raise CommandError("not confirmed; nothing was sent")
    return True


@attrs.frozen(kw_only=True)
class Prospect:
    """What was found out before anything is sent."""

    accounts: Accounts
    journal: Journal
    known: FleetState
    plan: Plan


@attrs.define(kw_only=True)
class Relay:
    """One move of an agent's numbers."""

    platform: str
    before: str
    after: str
    fields: tuple[str, ...]
    """Those that name an agent, and are looked at."""
    output: Output
    traffic: Traffic
    times: Times
    path: Path | None
    _stack: AsyncExitStack = attrs.field(factory=AsyncExitStack)

    @property
    def title(self) -> str:
        """What it is called where a plan is shown."""
        return f"numbers of {self.before} on {self.platform}"

    async def open(self) -> tuple[Accounts, Journal]:
        """Open client and journal."""
        accounts = Accounts.of([self.platform], self.times, self.traffic)
        journal = await self._journal()
        await accounts.open(self._stack)
        return accounts, journal

    async def look(self, accounts: Accounts, journal: Journal) -> Prospect:
        """Read the account, and return what is to be done."""
        client = accounts.clients[self.platform]
        notes = (await journal.last_applied()).items()
        applied = {row_id: LastApplied.load(row_id, text) for row_id, text in notes}
        theirs = [number for number in (await list_numbers(client)).values() if self._names(number)]
        rows = [self._row(row) for row in export(theirs, applied)]
        agents = await find_agents(client, {self.after}) if rows else None
        seen = {
            row.id: self._seen(number, applied.get(row.id))
            for row, number in zip(rows, theirs, strict=True)
        }
        known = FleetState(
            numbers={self.platform: {number.record: number for number in theirs}},
            last_applied={**applied, **seen},
            agents={} if agents is None else {self.platform: agents},
        )
        todo = plan(fleet_of(rows), known)
        return Prospect(accounts=accounts, journal=journal, known=known, plan=todo)

    async def check(self, prospect: Prospect) -> None:
        """Raise `CommandError` where the account is not as it was when a person was asked."""
        now = await self.look(prospect.accounts, prospect.journal)
        if now.plan.steps != prospect.plan.steps:
            raise CommandError("the numbers have changed meanwhile; nothing was sent")

    async def carry_out(self, prospect: Prospect) -> Summary:
        """Change the numbers, and return how that ended."""
        todo, client = prospect.plan, prospect.accounts.clients[self.platform]
        provisioners = {self.platform: Provisioner(client, prospect.journal)}
        self.output.widths = Widths.of(todo.rows, {step.action.value for step in todo.steps})
        job = FleetJob(
            plan=todo,
            known=prospect.known,
            crew=Crew(provisioners, prospect.journal),
            references=SecretResolver(),
            output=self.output,
            report=self._report,
            admissions=prospect.accounts.admissions,
            patience=self.times.deadline,
            progress=Progress(total=len(todo.steps)),
        )
        began = time.monotonic()
        with self.output.progress(job.progress, self.traffic):
            await job.run()
        return job.summary(self.traffic, time.monotonic() - began)

    async def close(self) -> None:
        """Close client and journal."""
        await self._stack.aclose()

    async def _journal(self) -> Journal:
        if self.path is None:
            return MemoryJournal()
        return await self._stack.enter_async_context(SqliteJournal(self.path))

    def _names(self, number: RemoteNumber) -> list[str]:
        """Return the fields of *number* that name the agent."""
        return [name for name in self.fields if number.shown.get(name) == self.before]

    def _row(self, row: FleetRow) -> FleetRow:
        """Return the row that says of a number nothing but who is to have it."""
        fields = {"phone_number": row.phone_number}
        fields |= {name: self.after for name in self.fields if row.fields.get(name) == self.before}
        return attrs.evolve(row, fields=fields)

    def _seen(self, number: RemoteNumber, applied: LastApplied | None) -> LastApplied:
        """Return *number* as if the agent had been applied to it: what else it shows is drift."""
        told = applied or LastApplied(
            platform=number.platform,
            record=number.record,
            phone_number=number.phone_number,
            source="existing",
            sequence=0,
        )
        agents = dict.fromkeys(self._names(number), self.before)
        return attrs.evolve(told, fields={**told.fields, **agents})

    def _report(self, result: RowResult) -> None:
        self.output.show(result)
