"""Applies a fleet: reads the accounts, shows the plan, asks, and carries out what was shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from sigmamind_async import fleet
from sigmamind_async.cli.database import Database, missing
from sigmamind_async.cli.errors import CommandError, Exit
from sigmamind_async.cli.fleet_input import STDIN_NAME, FleetInput
from sigmamind_async.cli.jobs.plan import make_plan, platforms_in, show_warnings
from sigmamind_async.cli.jobs.results import NextSteps
from sigmamind_async.cli.jobs.runner import JobRunner, run_plan
from sigmamind_async.cli.journal_location import FileJournal
from sigmamind_async.cli.options import (
    ChangeOptions,
    OutputOptions,
    RequestOptions,
    SettlementOptions,
    SpendingOptions,
    given_options,
)
from sigmamind_async.cli.other_journals import (
    check_other_journals,
    gone_text,
    is_chosen,
    is_gone,
    remember_journal,
)
from sigmamind_async.cli.output.console import Output
from sigmamind_async.cli.output.events import PlanView, ProblemList
from sigmamind_async.cli.output.text import count_of, one_line_summary, plain, render
from sigmamind_async.cli.prompts import Approval, is_interactive
from sigmamind_async.cli.report.writer import PageFile, page_file
from sigmamind_async.cli.runtime import Accounts, new_loop, new_provisioner
from sigmamind_async.cli.vendors import describe_account
from sigmamind_async.errors import JournalError, SigmaMindError
from sigmamind_async.fleet import Action, FleetState, Plan
from sigmamind_async.fleet.blockers import RELEASE_NOT_ALLOWED
from sigmamind_async.provisioning.journal.memory import MemoryJournal
from sigmamind_async.provisioning.journal.protocol import Journal
from sigmamind_async.provisioning.provisioner import Provisioner
from sigmamind_async.values import SecretReference

if TYPE_CHECKING:  # it needs an extra
    from sigmamind_async.workers import WorkerProvisioner

MOST_PLAN_LINES = 60
_NOUNS = {action.value: action.value for action in Action} | {"adopt": "adoption"}
"""What the actions of a plan are called when they are counted."""
"""Lines of a plan above a question: what is asked stays on the screen."""


@attrs.frozen(kw_only=True)
class ApplyOptions:
    """What a fleet is applied with."""

    spending: SpendingOptions = attrs.field(factory=SpendingOptions)
    settlement: SettlementOptions = attrs.field(factory=SettlementOptions)
    changes: ChangeOptions = attrs.field(factory=ChangeOptions)
    request: RequestOptions = attrs.field(factory=RequestOptions)
    output: OutputOptions = attrs.field(factory=OutputOptions)
    skip_bad: bool = False
    report: Path | None = None
    """File of the HTML report."""
    resume: str = ""
    """The command that goes on with the job."""
    workers: bool = False
    """Whether the steps are handed to workers."""


def apply_fleet(given: FleetInput, options: ApplyOptions) -> int:
    """Make the numbers as *given* says, and return the exit code."""
    screen = Output.for_process(**attrs.asdict(options.output))
    _check_saved(given, options)
    if options.workers:  # they resolve the references
        given = attrs.evolve(given, references=SecretReference)
    with page_file(options.report) as page, new_loop() as loop:
        job = Application(given=given, options=options, output=screen, page=page)
        show_warnings(given, screen)
        job.check_problems(given.fleet)
        try:
            loop.run(job.prepare())
            job.approve()
            return loop.run(job.carry_out())
        finally:
            loop.run(job.close())


def _check_saved(given: FleetInput, options: ApplyOptions) -> None:
    """Raise `CommandError` where a saved plan is to be carried out otherwise than it was shown."""
    if given.plan is None:
        return
    refused = given_options(attrs.evolve(options.changes, allow_release=False))
    if refused:
        raise CommandError(
            f"{given.name} is a saved plan: {' and '.join(refused)} must be given to sigmamind"
            " plan; nothing was sent"
        )
    if _releases(given.plan) and not options.changes.allow_release:
        raise CommandError(f"{given.name}: {RELEASE_NOT_ALLOWED}, here as well; nothing was sent")


def _releases(plan: Plan) -> list[str]:
    """Return the numbers that *plan* releases."""
    actions = {Action.RELEASE, Action.MOVE}
    return [step.phone_number for step in plan.steps if step.writes and step.action in actions]


@attrs.define(kw_only=True)
class Application:
    """One run of ``apply``."""

    given: FleetInput
    options: ApplyOptions
    output: Output
    page: PageFile
    _stack: AsyncExitStack = attrs.field(factory=AsyncExitStack)
    # --- once it is prepared
    is_new: bool = attrs.field(init=False)
    """True if the journal holds no operation yet."""
    journal: Journal = attrs.field(init=False)
    accounts: Accounts = attrs.field(init=False)
    state: FleetState = attrs.field(init=False)
    asked: bool = attrs.field(init=False, default=False)
    """Whether a person took time to answer, in which anything may have happened."""
    plan: Plan = attrs.field(init=False)
    bought: Mapping[str, int] = attrs.field(init=False)
    """Numbers that the journal counts as bought, by platform."""
    to_buy: Mapping[str, int] = attrs.field(init=False)
    """Numbers that the plan buys beyond those, by platform."""
    limit: int = attrs.field(init=False, default=0)
    """Most numbers that the journal may count as bought, all platforms together."""

    # --- before anything is sent -------------------------------------------------------------

    async def prepare(self) -> None:
        """Settle what earlier runs left unconfirmed, read the accounts, and make the plan."""
        given, options = self.given, self.options
        gone = is_gone(given.place) and not is_chosen(given.place)
        # Nothing takes its place before the user has said so.
        opened = MemoryJournal() if gone else given.place.opened()
        self.journal = journal = await self._stack.enter_async_context(opened)
        platforms = await platforms_in(given, journal)
        self.accounts = Accounts.of(platforms, options.request, self.page)
        await self.accounts.open(self._stack)
        if options.settlement.accept_key:
            for provisioner in self._provisioners({}):
                await provisioner.accept_key()
        await self._reconcile()
        self.state, self.plan = await make_plan(
            given, self.accounts.clients, journal, options.changes
        )
        self.check_problems(self.plan)
        counts = {name: await journal.counts(name) for name in platforms}
        self.is_new = not any(each.rows for each in counts.values())
        self.bought = {name: each.purchase_count for name, each in counts.items()}
        self.to_buy = await fleet.count_new_purchases(self.plan, journal)
        if sum(self.to_buy.values()):
            await check_other_journals(given, self.plan, self.state, journal)
        if gone:
            raise CommandError(gone_text(given))

    def check_problems(self, found: fleet.Fleet | Plan) -> None:
        """Show all problems; raise `CommandError` unless the sound rows are to be applied."""
        if found.problems and not self.options.skip_bad:
            self.output.show(ProblemList(tuple(found.problems)))
            undecided = all(problem.needs_decision for problem in found.problems)
            raise CommandError(
                f"{self.given.name} cannot be applied as it is; nothing was sent",
                Exit.UNKNOWN if undecided else Exit.FAILED,
            )

    def approve(self) -> None:
        """Show what is done, and ask; raise `CommandError` where that is not agreed to."""
        plan, name, spending = self.plan, self.given.name, self.options.spending
        from_stdin = name == STDIN_NAME
        ask = not self.options.output.json and not from_stdin and is_interactive()
        approval = Approval.of(spending, ask=ask)
        if plan.problems:
            self.output.show(ProblemList(tuple(plan.problems)))
        to_buy, releases = sum(self.to_buy.values()), _releases(plan)
        self.limit = approval.check_limit(name, to_buy, sum(self.bought.values()))
        self.asked = bool(to_buy or releases) and not spending.yes
        self._show_plan(whole=self.asked and ask)
        approval.check_purchases(to_buy)
        approval.check_releases(name, releases)
        if self.options.settlement.release_duplicates:
            approval.check_release("duplicates")

    def _show_plan(self, *, whole: bool) -> None:
        """Show what is done and where; *whole*, row by row, above a question."""
        name, plan = self.given.name, self.plan
        lines = [f"{name}: {one_line_summary(plan)}"]
        if whole:
            lines = [plain(line) for line in render(PlanView(file=name, plan=plan), None)]
        for line in lines[:MOST_PLAN_LINES]:
            self.output.log(line.rstrip())
        if rest := len(lines[MOST_PLAN_LINES:]):
            self.output.log(f"... and {rest:,} more lines; sigmamind plan shows them all")
        if plan.writes:
            for line in self._where():
                self.output.log(f"  {line}")

    def _where(self) -> Iterator[str]:
        """Yield platform, address, key and counts of each account, and a journal that is new."""
        counts: dict[str, Counter[str]] = {}
        for step in self.plan.steps:
            if step.writes:
                counts.setdefault(step.platform, Counter())[step.action.value] += 1
        for platform, actions in counts.items():
            done = ", ".join(count_of(count, _NOUNS[action]) for action, count in actions.items())
            yield f"{describe_account(self.accounts.clients[platform])}: {done}"
        if self.is_new:
            yield f"{'journal':<9}  {self.given.place.name} (new)"

    # --- carrying it out ---------------------------------------------------------------------

    async def carry_out(self) -> int:
        """Carry out the plan, show how each step ended, and return the exit code."""
        options, plan = self.options, self.plan.skip_problems()
        if self.asked:
            plan = await self._check_again(plan)
        if sum(self.to_buy.values()) and isinstance(self.given.place, FileJournal):
            remember_journal(self.given.place.path)
        limits = {name: self.bought[name] + self.to_buy.get(name, 0) for name in self.bought}
        runner = JobRunner(
            output=self.output,
            next_steps=NextSteps(place=self.given.place, resume=options.resume),
            page=self.page,
            admissions=self.accounts.admissions,
            patience=options.request.deadline,
        )
        summary = await run_plan(
            plan,
            self._provisioners(limits),
            runner,
            state=self.state,
            secrets=self.given.references,
            workers=options.workers,
            verbose=options.output.verbose,
            invalid=len({(problem.id, problem.line) for problem in self.plan.problems}),
        )
        self.page.write(
            summary,
            file=self.given.name,
            journal=self.given.place.name,
            accounts=[
                (name, client.runner.engine.base_url)
                for name, client in self.accounts.clients.items()
            ],
            resume=options.resume,
            bought=await self._count_bought(),
            max_purchases=self.limit if sum(self.to_buy.values()) else None,
        )
        return runner.conclude(summary)

    async def _reconcile(self) -> None:
        """Settle what earlier runs left; raise `JournalError` for a journal of another account."""
        for provisioner in self._provisioners({}):
            try:
                await provisioner.reconcile()
            except JournalError:
                raise
            except SigmaMindError:
                pass  # the listing that comes next says why

    async def _check_again(self, agreed: Plan) -> Plan:
        """Return what is left to do of *agreed*; raise an error where that has moved.

        Meanwhile another run may have bought the same numbers, with this journal or another one.
        """
        await self._reconcile()
        left, self.state = await fleet.recheck(agreed, self.accounts.clients, self.journal)
        if sum((await fleet.count_new_purchases(left, self.journal)).values()):
            await check_other_journals(self.given, left, self.state, self.journal)
        return left

    async def close(self) -> None:
        """Close clients and journal."""
        await self._stack.aclose()

    def _provisioners(self, limits: Mapping[str, int]) -> Sequence[Provisioner | WorkerProvisioner]:
        settlement = self.options.settlement
        if self.options.workers:
            return self._worker_provisioners()
        return [
            new_provisioner(client, self.journal, settlement, limits.get(name))
            for name, client in self.accounts.clients.items()
        ]

    def _worker_provisioners(self) -> list[WorkerProvisioner]:
        """Return what hands operations to the workers of the database."""
        try:
            from sigmamind_async.provisioning.journal.postgres import PostgresJournal
            from sigmamind_async.workers import WorkerProvisioner
        except ImportError as error:
            raise missing(error) from None
        place, journal = self.given.place, self.journal
        assert isinstance(place, Database)  # noqa: S101 - `--workers` needs `--postgres`
        assert isinstance(journal, PostgresJournal)  # noqa: S101 - a `Database` opens no other
        return [
            WorkerProvisioner(client, place.queue(), journal, on_idle=partial(self._say_idle, name))
            for name, client in self.accounts.clients.items()
        ]

    def _say_idle(self, platform: str) -> None:
        self.output.log(
            f"nothing has happened for 10 s: check that a worker serves {platform} and reaches it;"
            " Ctrl-C leaves the rest to the workers"
        )

    async def _count_bought(self) -> int:
        try:
            counts = [await self.journal.counts(account) for account in self.bought]
        except JournalError:  # what ended the job; the report says what was bought before
            return sum(self.bought.values())
        return sum(each.purchase_count for each in counts)
