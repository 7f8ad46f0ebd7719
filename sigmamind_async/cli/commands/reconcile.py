"""``sigmamind reconcile``: settle what is unconfirmed, or write down what an operator decided."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Annotated, Final

import attrs
from cyclopts import Parameter

from sigmamind_async.cli.database import Postgres, database_of
from sigmamind_async.cli.errors import CommandError, Exit, told
from sigmamind_async.cli.journal_location import (
    AcceptKey,
    JournalFile,
    Place,
    Policy,
    ReleaseDuplicates,
    SettleTime,
    accept_restored,
    place_of,
)
from sigmamind_async.cli.output.console import Output
from sigmamind_async.cli.output.events import JournalRow, JournalStatus, StateChanged
from sigmamind_async.cli.output.journal_status import (
    journal_status_of,
    row_id_of,
    without_call,
)
from sigmamind_async.cli.output.text import format_timestamp
from sigmamind_async.cli.prompts import Consent, can_ask
from sigmamind_async.cli.runtime import (
    ATTEMPT_TIMEOUT,
    DEADLINE,
    AttemptTimeout,
    Deadline,
    Json,
    Proxy,
    RefusalStatus,
    Times,
    client_of_environment,
    run,
)
from sigmamind_async.cli.vendors import DEFAULT, PLATFORMS, AnyClient, Platform, PlatformName
from sigmamind_async.errors import SigmaMindError
from sigmamind_async.provisioning.context import clock_for
from sigmamind_async.provisioning.journal.protocol import Journal, Status
from sigmamind_async.provisioning.provisioner import Provisioner
from sigmamind_async.provisioning.row import UNSETTLED, Row, State
from sigmamind_async.provisioning.transitions import SETTLE_TIME

LOOK_EVERY: Final = (1.0, 30.0)
"""Shortest and longest pause between two listings while waiting, in seconds."""


def reconcile(
    file: Annotated[
        str | None, Parameter(help="The file that was applied, or its journal.")
    ] = None,
    /,
    *,
    platform: Annotated[
        PlatformName | None,
        Parameter(name="--platform", help="Only these numbers; all that the journal has rows of."),
    ] = None,
    journal: JournalFile = None,
    postgres: Postgres = None,
    only: Annotated[
        tuple[str, ...], Parameter(help="Decide about this row; may be given more than once.")
    ] = (),
    adopt: Annotated[
        str | None, Parameter(help="This number of the account is what the row brought.")
    ] = None,
    retry_unconfirmed: Annotated[
        bool, Parameter(help="Let the next apply send again what has not turned up.")
    ] = False,
    abandon: Annotated[bool, Parameter(help="Leave the row as it is.")] = False,
    release_duplicates: ReleaseDuplicates = False,
    wait: Annotated[bool, Parameter(help="Look until nothing is unconfirmed any more.")] = False,
    yes: Annotated[bool, Parameter(help="Release without asking.")] = False,
    settle_time: SettleTime = SETTLE_TIME,
    accept_key: AcceptKey = False,
    restored: Annotated[
        bool,
        Parameter(help="The journal is an old copy that was put back, or what is left of one."),
    ] = False,
    json: Json = False,
    deadline: Deadline = DEADLINE,
    attempt_timeout: AttemptTimeout = ATTEMPT_TIMEOUT,
    proxy: Proxy = None,
    refusal_status: RefusalStatus = (),
) -> int:
    """Settle what is unconfirmed among the rows of *file*, or in a database."""
    place = place_of(file, journal, database_of(postgres))
    times = Times(deadline=deadline, attempt=attempt_timeout, proxy=proxy, refusals=refusal_status)
    decision = Decision(
        only=only,
        adopt=adopt,
        retry_unconfirmed=retry_unconfirmed,
        abandon=abandon,
        release=release_duplicates,
    )
    decision.check(wait=wait)
    if restored:
        run(accept_restored(place))
    platforms = [PLATFORMS[platform]] if platform else run(_platforms(place, only))
    clients = [client_of_environment(theirs, times) for theirs in platforms]
    if release_duplicates:
        found = [what for theirs in platforms if (what := run(_duplicate(place, theirs, only)))]
        what = ", ".join(found) or "duplicates"
        Consent(max_purchases=None, yes=yes, ask=not json and can_ask()).check_release(what)
    looks = [
        Reconciliation(
            place=place,
            platform=theirs,
            output=Output.for_process(json=json),
            decision=decision,
            policy=Policy(
                settle_time=settle_time,
                retry_unconfirmed=retry_unconfirmed and not only,
                release_duplicates=release_duplicates and not only,
                accept_key=accept_key,
            ),
            wait=wait,
        )
        for theirs in platforms
    ]
    standings = [run(look.run(client)) for look, client in zip(looks, clients, strict=True)]
    return Exit.DONE if all(standing.is_settled for standing in standings) else Exit.UNKNOWN


async def _platforms(place: Place, only: Sequence[str]) -> list[Platform]:
    """Return the platforms that the journal has rows of, or the first with one that is named."""
    async with place.opened(read_only=True) as journal:
        has = _has_one if only else _has_any
        found = [each for each in PLATFORMS.values() if await has(journal, each, only)]
    # A journal without any row is one of the first platform.
    return (found[:1] if only else found) or [PLATFORMS[DEFAULT]]


async def _has_one(journal: Journal, platform: Platform, only: Sequence[str]) -> bool:
    return any([await journal.get(platform.name, row_id) for row_id in only])


async def _has_any(journal: Journal, platform: Platform, _: Sequence[str]) -> bool:
    return bool((await journal.counts(platform.name)).rows)


@attrs.frozen(kw_only=True)
class Decision:
    """What an operator decided: about some rows, or as a rule for all."""

    only: tuple[str, ...]
    adopt: str | None
    retry_unconfirmed: bool
    abandon: bool
    release: bool

    def check(self, *, wait: bool) -> None:
        """Raise `CommandError` unless that makes sense together."""
        said = sum((self.adopt is not None, self.retry_unconfirmed, self.abandon, self.release))
        if not self.only and (self.adopt is not None or self.abandon):
            raise CommandError("--adopt and --abandon are about one row: name it with --only ROW")
        if self.only and said != 1:
            raise CommandError(
                "--only ROW needs one of --adopt NUMBER, --retry-unconfirmed, --abandon,"
                " --release-duplicates"
            )
        if self.adopt is not None and len(self.only) > 1:
            raise CommandError("one number is adopted for one row: name a single --only ROW")
        if self.only and wait:
            raise CommandError("--only and --wait exclude each other: decide first, then wait")


async def _duplicate(place: Place, platform: Platform, only: Sequence[str]) -> str:
    """Return what would be released, as far as the journal knows it already."""
    async with place.opened(read_only=True) as journal:
        rows = await journal.in_states(platform.name, {State.DUPLICATE})
    wanted = [row for row in rows if not only or row.op_id in only]
    return ", ".join(record for row in wanted for record in row.duplicates)


@attrs.define(kw_only=True)
class Reconciliation:
    """One look after the rows of a journal."""

    place: Place
    platform: Platform
    output: Output
    decision: Decision
    policy: Policy
    wait: bool
    _said: str = ""
    _now: Callable[[], float] = time.time
    """The clock of the journal, where it has one."""

    async def run(self, client: AnyClient) -> JournalStatus:
        """Do it, show what changed and what is left, and return that."""
        asked = self.decision
        async with self.place.opened() as journal, client:
            self._now = clock_for(journal, time.time)
            provisioner = self.policy.provisioner(client, journal)
            if self.policy.accept_key:
                await provisioner.accept_key()
            if asked.only:
                for row_id in asked.only:
                    await self._decide(provisioner, journal, row_id)
            else:
                await self._settle(provisioner, journal)
            standing = self._standing(await provisioner.status())
        self.output.show(standing)
        return standing

    def _standing(self, status: Status) -> JournalStatus:
        return journal_status_of(status, self.place, self.platform.name, self._now())

    # --- what can be settled without a decision ----------------------------------------------

    async def _settle(self, provisioner: Provisioner, journal: Journal) -> None:
        status = await self._look(provisioner, journal)
        shortest, longest = LOOK_EVERY
        pause = shortest
        while self.wait and status.unconfirmed:
            rows = self._standing(status).unconfirmed
            until = max(self._settles_at(row) for row in rows)
            self._say_waiting(len(status.unconfirmed), until)
            await asyncio.sleep(min(pause, max(shortest, until - self._now())))
            pause = min(2 * pause, longest)
            try:
                status = await self._look(provisioner, journal)
            except SigmaMindError as error:
                if not error.retryable:
                    raise
                self.output.log(f"{told(error)}; looking again")

    def _settles_at(self, row: JournalRow) -> float:
        at = row.unsettled and row.unsettled.settles_at
        return at.timestamp() if at else 0.0

    async def _look(self, provisioner: Provisioner, journal: Journal) -> Status:
        """Read the account, and show which rows got further by that."""
        before = _open_rows(await provisioner.status())
        await provisioner.reconcile()
        status = await provisioner.sweep()
        await self._show_changes(journal, before, _open_rows(status))
        return status

    def _say_waiting(self, doubtful: int, until: float) -> None:
        """Say what is waited for, whenever that is something else."""
        when = format_timestamp(until)
        text = f"{doubtful} unconfirmed, to be settled soon after {when}; Ctrl-C loses nothing"
        if text != self._said:
            self.output.log(text)
            self._said = text

    async def _show_changes(
        self, journal: Journal, before: dict[str, Row], after: dict[str, Row]
    ) -> None:
        for row_id in dict.fromkeys((*before, *after)):
            now = after.get(row_id) or await journal.get(self.platform.name, row_id)
            was = before.get(row_id)
            if now is not None and (was is None or was.state is not now.state):
                self._show_change(State.DONE if was is None else was.state, now)

    def _show_change(self, before: State, row: Row) -> None:
        text = without_call(row.history[-1].text) if row.history else ""
        change = StateChanged(
            row=row_id_of(row.op_id), before=before, after=row.state, message=text
        )
        self.output.show(change)
        if row.state is State.PLANNED:
            sender = "a worker" if row.enqueued else "the next sigmamind apply"
            self.output.log(f"{row.op_id} is sent by {sender}, not by this")

    # --- what an operator decided ---------------------------------------------------------------

    async def _decide(self, provisioner: Provisioner, journal: Journal, row_id: str) -> None:
        asked, before = self.decision, await self._row(journal, row_id)
        if asked.adopt is not None:
            row = await provisioner.adopt(row_id, asked.adopt)
        elif asked.release:
            row = await provisioner.release_duplicates(row_id)
        else:
            # What has turned up in the meantime makes the decision void.
            await provisioner.sweep()
            row = await self._row(journal, row_id)
            if row.state is before.state:
                self._check_time(row)
                again = (
                    provisioner.retry_unconfirmed
                    if asked.retry_unconfirmed
                    else provisioner.abandon
                )
                row = await again(row_id)
            else:
                self.output.log(f"{row_id}: it has turned up, so there is nothing to decide")
        self._show_change(before.state, row)

    async def _row(self, journal: Journal, row_id: str) -> Row:
        row = await journal.get(self.platform.name, row_id)
        if row is None:
            raise CommandError(f"{self.place.name} has no row {row_id!r} of {self.platform.name}")
        return row

    def _check_time(self, row: Row) -> None:
        if row.state in UNSETTLED and self.decision.retry_unconfirmed:
            until = format_timestamp(row.unconfirmed_since + self.policy.settle_time)
            raise CommandError(
                f"{row.op_id} may still turn up until {until}:"
                f" wait for it with {self.place.command('reconcile', self.platform.name, '--wait')}"
            )


def _open_rows(status: Status) -> dict[str, Row]:
    return {row.op_id: row for row in (*status.unconfirmed, *status.need_decision)}
