"""Plans a fleet and applies it: reads the accounts, shows the plan, asks, and carries it out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, nullcontext
from functools import partial
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Final

import attrs

from sigmamind_async import fleet
from sigmamind_async.cli.accounts import (
    AnyClient,
    address_of,
    client_of,
    describe_account,
    new_provisioner,
)
from sigmamind_async.cli.errors import CommandError, Exit, more_about
from sigmamind_async.cli.fleet_input import STDIN_NAME, FleetInput, save_plan
from sigmamind_async.cli.jobs.results import NextSteps
from sigmamind_async.cli.jobs.runner import PlanRunner
from sigmamind_async.cli.journal_location import (
    Database,
    missing,
    open_to_read,
)
from sigmamind_async.cli.loop import new_loop, run
from sigmamind_async.cli.options import (
    POSTGRES_OPTION,
    ChangeOptions,
    JobOptions,
    OutputOptions,
    RequestOptions,
    given_options,
)
from sigmamind_async.cli.other_journals import (
    announce_purchases,
    check_other_journals,
    is_gone,
)
from sigmamind_async.cli.output.console import Output, Traffic, log_width
from sigmamind_async.cli.output.events import PlanView, ProblemList
from sigmamind_async.cli.output.text import (
    aligned,
    count_line,
    count_of,
    ids_text,
    line,
    prose,
    render,
)
from sigmamind_async.cli.prompts import Approval
from sigmamind_async.cli.report.model import Header
from sigmamind_async.errors import JournalError, SigmaMindError
from sigmamind_async.events import Observers
from sigmamind_async.fleet import Action, FleetState, Plan, PlanOptions
from sigmamind_async.fleet.blockers import RELEASE_NOT_ALLOWED
from sigmamind_async.fleet.state import platforms_of, read_last_applied
from sigmamind_async.provisioning.journal.memory import MemoryJournal
from sigmamind_async.provisioning.journal.protocol import Journal
from sigmamind_async.provisioning.provisioner import Provisioner
from sigmamind_async.values import SecretReference

if TYPE_CHECKING:  # they need an extra, or are for a report
    from sigmamind_async.cli.report.page import PageFile
    from sigmamind_async.workers import WorkerProvisioner

MOST_STEPS_TO_APPROVE: Final = 30
"""Steps of a plan above a question, so that what is asked stays on the screen."""
_NOUNS = {action.value: action.value for action in Action} | {"adopt": "adoption"}
"""What the actions of a plan are called when they are counted."""


@attrs.frozen(kw_only=True)
class ApplyOptions:
    """What a fleet is planned or applied with."""

    job: JobOptions
    changes: ChangeOptions = attrs.field(factory=ChangeOptions)
    skip_bad: bool = False
    report: Path | None = None
    """File of the HTML report."""
    resume: str = ""
    """The command that goes on with the job."""
    workers: bool = False
    """Whether the steps are handed to workers."""


async def open_clients(
    given: FleetInput,
    journal: Journal,
    request: RequestOptions,
    stack: AsyncExitStack,
    observer: Observers = None,
) -> dict[str, AnyClient]:
    """Return a client, open until *stack* is closed, for each platform that has to be asked."""
    platforms = sorted(platforms_of(given.fleet, await read_last_applied(journal)))
    clients = {name: client_of(name, request, observer=observer) for name in platforms}
    for client in clients.values():
        await stack.enter_async_context(client)
    return clients


async def make_plan(
    given: FleetInput, clients: Mapping[str, AnyClient], journal: Journal, changes: ChangeOptions
) -> tuple[FleetState, Plan]:
    """Return the state of the accounts after one listing of each, and the plan.

    A secret that cannot be resolved is a problem of the plan. A plan that was saved is checked
    against the state: `PlanError` where it has moved.
    """
    if given.plan is not None:
        todo, state = await fleet.recheck(given.plan, clients, journal)
    else:
        state = await fleet.refresh(given.fleet, clients, journal)
        todo = fleet.plan(given.fleet, state, PlanOptions(**attrs.asdict(changes)))
    todo = await fleet.check_secrets(todo, given.references)
    problems = [
        problem if problem.file else attrs.evolve(problem, file=given.name)
        for problem in todo.problems
    ]
    return state, attrs.evolve(todo, problems=tuple(problems))


def _open_output(options: OutputOptions, given: FleetInput) -> Output:
    """Return the output, with what may be wrong with the rows, which stops nothing."""
    output = Output(**attrs.asdict(options))
    for warning in given.fleet.warnings:
        output.log(f"warning: {warning}")
    return output


# ---------------------------------------------------------------- plan


def show_plan(
    file: str, given: FleetInput, options: ApplyOptions, out: Path | None
) -> tuple[Plan, Exit]:
    """Show the plan of *given*, which is *file*, and save it where that was asked for."""
    if given.plan is not None:
        raise CommandError(f"{file} is a saved plan; plan the file that it is from")
    screen, place = _open_output(options.job.output, given), given.place
    if place.chosen is not None and not place.exists():
        screen.log(f"there is no journal {place.name} yet: planned as if nothing was applied")

    async def make() -> Plan:
        async with AsyncExitStack() as stack:
            journal = await open_to_read(place, stack)
            clients = await open_clients(given, journal, options.job.request, stack)
            return (await make_plan(given, clients, journal, options.changes))[1]

    todo = run(make())
    screen.show(PlanView(file=given.name, plan=todo))
    if todo.problems:
        undecided = all(problem.needs_decision for problem in todo.problems)
        screen.log(more_about("needs_decision" if undecided else "fleet-columns"))
    if out is not None:
        sound = todo.skip_problems() if options.skip_bad else todo
        if sound.problems:
            raise CommandError(f"{out}: not saved, because of the problems", Exit.FAILED)
        save_plan(sound, given, file, out)
    return todo, Exit.FAILED if todo.problems else Exit.DONE


# ---------------------------------------------------------------- apply


def apply_fleet(given: FleetInput, options: ApplyOptions) -> int:
    """Make the numbers as *given* says, and return the exit code."""
    if given.plan is not None:
        _check_saved(given.name, given.plan, options.changes)
    if options.workers:  # they resolve the references
        given = attrs.evolve(given, references=SecretReference)
    output = _open_output(options.job.output, given)
    with _open_report(options.report) as page, new_loop() as loop:
        job = Application(given=given, options=options, output=output, page=page)
        job.check_problems(given.fleet)
        if given.plan is None and not given.fleet.rows:  # no row is sound, or there is none
            if not given.fleet.problems:
                return Exit.DONE
            output.show(ProblemList(tuple(given.fleet.problems)))
            return Exit.FAILED
        try:
            loop.run(job.prepare())
            job.approve()
            code = loop.run(job.carry_out())
        finally:
            loop.run(job.stack.aclose())
    if options.report is not None:
        output.log(f"report: {options.report}")
    return code


def _open_report(path: Path | None) -> AbstractContextManager[PageFile | None]:
    """Open the report at *path*, if one is wanted; raise `CommandError` if it cannot be written."""
    if path is None:
        return nullcontext()
    from sigmamind_async.cli.report.page import page_file

    return page_file(path)


def _check_saved(name: str, plan: Plan, changes: ChangeOptions) -> None:
    """Raise `CommandError` where a saved plan is to be carried out otherwise than it was shown."""
    if refused := given_options(attrs.evolve(changes, allow_release=False)):
        raise CommandError(
            f"{name} is a saved plan: {' and '.join(refused)} must be given to sigmamind plan;"
            " nothing was sent"
        )
    if _releases(plan) and not changes.allow_release:
        raise CommandError(f"{name}: {RELEASE_NOT_ALLOWED}, here as well; nothing was sent")


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
    page: PageFile | None
    """The report, if one is wanted."""
    traffic: Traffic = attrs.field(factory=Traffic)
    stack: AsyncExitStack = attrs.field(factory=AsyncExitStack)
    """Closes clients and journal."""
    # --- once it is prepared
    journal: Journal = attrs.field(init=False)
    clients: Mapping[str, AnyClient] = attrs.field(init=False)
    state: FleetState = attrs.field(init=False)
    asked: bool = attrs.field(init=False, default=False)
    """Whether a person took time to answer, in which anything may have happened."""
    plan: Plan = attrs.field(init=False)
    is_new: bool = attrs.field(init=False)
    """True if the journal holds no operation yet."""
    bought: Mapping[str, int] = attrs.field(init=False)
    """Numbers that the journal counts as bought, by platform."""
    to_buy: Mapping[str, int] = attrs.field(init=False)
    """Numbers that the plan buys beyond those, by platform."""
    limit: int = attrs.field(init=False)
    """Most numbers that the journal may count as bought, all platforms together."""

    # --- before anything is sent -------------------------------------------------------------

    async def prepare(self) -> None:
        """Settle what earlier runs left unconfirmed, read the accounts, and make the plan."""
        given, options = self.given, self.options
        gone = given.place.chosen is None and is_gone(given.place)
        # Nothing takes its place before the user has said so.
        self.journal = journal = (
            MemoryJournal() if gone else await self.stack.enter_async_context(given.place.opened())
        )
        observers = self.traffic if self.page is None else (self.traffic, self.page.timeline)
        self.clients = await open_clients(
            given, journal, options.job.request, self.stack, observers
        )
        if options.job.settlement.accept_key:
            for provisioner in self._provisioners({}):
                await provisioner.accept_key()
        await self._reconcile()
        self.state, self.plan = await make_plan(given, self.clients, journal, options.changes)
        self.check_problems(self.plan)
        counts = {name: await journal.counts(name) for name in self.clients}
        self.is_new = not any(each.rows for each in counts.values())
        self.bought = {name: each.purchase_count for name, each in counts.items()}
        self.to_buy = await fleet.count_new_purchases(self.plan, journal)
        # Where nothing is asked, that is looked at once, when it is announced what is bought.
        if sum(self.to_buy.values()) and (gone or not options.job.spending.yes):
            await check_other_journals(given, self.plan, self.state, journal)
        if gone:
            name = given.place.name
            raise CommandError(
                f"numbers were bought for {given.name} before, and there is no {name}: bring that"
                " journal back, or name another one that has bought them, with --journal or"
                f" {POSTGRES_OPTION}; to buy other numbers, add --journal {quote(name)}; nothing"
                " was sent"
            )

    def check_problems(self, found: fleet.Fleet | Plan) -> None:
        """Show all problems; raise `CommandError` unless the sound rows are to be applied."""
        if found.problems and not self.options.skip_bad:
            self.output.show(ProblemList(tuple(found.problems)))
            undecided = all(problem.needs_decision for problem in found.problems)
            others = "; --skip-bad applies the other rows" if found.rows else ""
            raise CommandError(
                f"{self.given.name} cannot be applied as it is; nothing was sent{others}",
                Exit.UNKNOWN if undecided else Exit.FAILED,
            )

    def approve(self) -> None:
        """Show what is done, and ask; raise `CommandError` where that is not agreed to."""
        plan, name, spending = self.plan, self.given.name, self.options.job.spending
        approval = Approval(spending.yes, self.output.can_ask and name != STDIN_NAME)
        if plan.problems:
            self.output.show(ProblemList(tuple(plan.problems)))
        to_buy, releases = sum(self.to_buy.values()), _releases(plan)
        self.limit = approval.check_limit(
            name, to_buy, sum(self.bought.values()), spending.max_purchases
        )
        needs_consent = bool(to_buy or releases)
        self.asked = needs_consent and not spending.yes
        self._show_plan(whole=needs_consent and not self.output.quiet)
        approval.check_count(f"buys {count_of(to_buy, 'number')} and costs money", to_buy, "buy")
        count = len(releases)
        what = f"releases {count_of(count, 'number')}, permanently: {ids_text(releases)}"
        approval.check_count(what, count, "release", "--allow-release --yes")
        if self.options.job.settlement.release_duplicates:
            approval.check_release("duplicates")

    def _show_plan(self, *, whole: bool) -> None:
        """Show what is done, *whole* that is row by row; then where it is done."""
        name, plan = self.given.name, self.plan.skip_problems()
        lines = prose(f"{name}: {count_line(plan)}", log_width())
        if whole:
            view = PlanView(file=name, plan=plan, most=MOST_STEPS_TO_APPROVE)
            lines = [*render(view, log_width()), line()]
        for each in lines:
            self.output.log_line(each)
        counts: dict[str, Counter[str]] = {}
        for step in plan.steps:
            if step.writes:
                counts.setdefault(step.platform, Counter())[step.action.value] += 1
        for platform, actions in counts.items():
            done = ", ".join(count_of(count, _NOUNS[action]) for action, count in actions.items())
            self._log_place(platform, f"{address_of(self.clients[platform])}: {done}")
        if counts and self.is_new:
            self._log_place("journal", f"{self.given.place.name} (new)")

    def _log_place(self, name: str, text: str) -> None:
        for each in aligned([(f"  {name}", len("  sigmamind"), "")], text, log_width()):
            self.output.log_line(each)

    # --- carrying it out ---------------------------------------------------------------------

    async def carry_out(self) -> int:
        """Carry out the plan, show how each step ended, and return the exit code."""
        given, options, problems = self.given, self.options, self.plan.problems
        plan = self.plan.skip_problems()
        if sum(self.to_buy.values()):
            # The key's end tells accounts apart as well as the prompt does.
            accounts = {name: describe_account(client) for name, client in self.clients.items()}
            rows = fleet.purchase_identities(plan, self.state)
            self.stack.enter_context(announce_purchases(given, rows, accounts))
        if self.asked:
            plan = await self._check_again(plan)
        if sum(self.to_buy.values()):
            await check_other_journals(given, plan, self.state, self.journal)
        runner = PlanRunner(
            plan=plan,
            output=self.output,
            page=self.page,
            traffic=self.traffic,
            next_steps=NextSteps(
                place=given.place,
                resume=options.resume,
                settle_time=options.job.settlement.settle_time,
            ),
            gates=[client.gate for client in self.clients.values()],
            patience=options.job.request.deadline,
            workers=options.workers,
            invalid=len({(problem.id, problem.line) for problem in problems}),
        )
        limits = {name: count + self.to_buy.get(name, 0) for name, count in self.bought.items()}
        summary = await runner.carry_out(
            self._provisioners(limits), state=self.state, secrets=given.references
        )
        if self.page is not None:
            header = Header(
                file=given.name,
                journal=given.place.name,
                accounts=tuple((name, address_of(each)) for name, each in self.clients.items()),
                started=self.page.started,
                summary=summary,
                resume=options.resume,
                bought=await self._count_bought(),
                max_purchases=self.limit if sum(self.to_buy.values()) else None,
            )
            self.page.write(header)
        return runner.conclude(summary)

    async def _check_again(self, agreed: Plan) -> Plan:
        """Return what is left to do of *agreed*; raise an error where that has moved.

        Meanwhile another run may have bought the same numbers, with this journal or another one.
        """
        await self._reconcile()
        left, self.state = await fleet.recheck(agreed, self.clients, self.journal)
        return left

    async def _reconcile(self) -> None:
        """Settle what earlier runs left; raise `JournalError` for a journal of another account."""
        for provisioner in self._provisioners({}):
            try:
                await provisioner.reconcile()
            except JournalError:
                raise
            except SigmaMindError:
                pass  # the listing that comes next says why

    def _provisioners(self, limits: Mapping[str, int]) -> Sequence[Provisioner | WorkerProvisioner]:
        if self.options.workers:
            return self._worker_provisioners()
        return [
            new_provisioner(client, self.journal, self.options.job.settlement, limits.get(name))
            for name, client in self.clients.items()
        ]

    def _worker_provisioners(self) -> list[WorkerProvisioner]:
        """Return what hands operations to the workers of the database."""
        try:
            from sigmamind_async.provisioning.journal.postgres import PostgresJournal
            from sigmamind_async.workers import WorkerProvisioner
        except ImportError as error:
            raise missing(error) from None
        place, journal, log = self.given.place, self.journal, self.output.log
        assert isinstance(place, Database)  # noqa: S101 - `--workers` needs `--postgres`
        assert isinstance(journal, PostgresJournal)  # noqa: S101 - a `Database` opens no other
        idle = (
            "nothing has happened for 10 s: check that a worker serves {} and reaches it;"
            " Ctrl-C leaves the rest to the workers"
        )
        return [
            WorkerProvisioner(
                client, place.queue(), journal, on_idle=partial(log, idle.format(name))
            )
            for name, client in self.clients.items()
        ]

    async def _count_bought(self) -> int:
        try:
            counts = [await self.journal.counts(account) for account in self.bought]
        except JournalError:  # what ended the job; the report says what was bought before
            return sum(self.bought.values())
        return sum(each.purchase_count for each in counts)
