"""``sigmamind apply`` of a fleet: the numbers of the accounts made as the rows of a file say."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import IO

import attrs

from sigmamind_async.bulk import Progress
from sigmamind_async.cli.accounts import Accounts, platforms_in
from sigmamind_async.cli.commands.plan import plan_of, with_missing_secrets
from sigmamind_async.cli.errors import CommandError, Exit, exit_for_job
from sigmamind_async.cli.fleet_input import Wanted, wanted
from sigmamind_async.cli.jobs.fleet import FleetJob, is_routine
from sigmamind_async.cli.jobs.next_steps import Aftermath
from sigmamind_async.cli.journal_location import bought_by, look_after_earlier_runs
from sigmamind_async.cli.orders import Orders
from sigmamind_async.cli.output.console import Output
from sigmamind_async.cli.output.events import ProblemList, RowResult, Summary
from sigmamind_async.cli.output.plan_text import one_line_summary
from sigmamind_async.cli.output.text import Widths
from sigmamind_async.cli.prompts import Outlook
from sigmamind_async.cli.report.writer import PageFile, page_file
from sigmamind_async.cli.runtime import runner
from sigmamind_async.cli.source import Survey
from sigmamind_async.fleet.apply import Crew, checked
from sigmamind_async.fleet.blockers import NOT_ALLOWED
from sigmamind_async.fleet.plan import Plan
from sigmamind_async.fleet.row_plan import PlanOptions
from sigmamind_async.fleet.spec import Problem
from sigmamind_async.fleet.state import FleetState
from sigmamind_async.fleet.step import Action
from sigmamind_async.provisioning.journal.protocol import Journal
from sigmamind_async.provisioning.provisioner import Provisioner


def apply_fleet(orders: Orders, stream: IO[bytes]) -> int:
    """Make the numbers as *stream*, which is the file of *orders*, says."""
    given = wanted(
        orders.file,
        stream,
        journal=orders.journal,
        database=orders.database,
        platform=orders.platform,
        allow_inline=orders.allow_inline,
    )
    output = Output.for_process(json=orders.json, verbose=orders.verbose)
    _check_saved(given, orders)
    _check_problems(given.fleet.problems, given, orders, output)
    with page_file(orders.report) as page, runner() as loop:
        application = FleetApplication(orders=orders, given=given, output=output, page=page)
        try:
            prospect = loop.run(application.prepare())
            terms = application.agree(prospect)
            summary = loop.run(application.carry_out(prospect, terms))
        finally:
            loop.run(application.close())
    output.show(summary)
    application.aftermath.say(output.log, summary.stopped)
    return exit_for_job(summary)


def _check_saved(given: Wanted, orders: Orders) -> None:
    """Raise `CommandError` where a saved plan is to be carried out otherwise than it was shown."""
    if given.plan is None:
        return
    if attrs.evolve(orders.rules, allow_release=False) != PlanOptions():
        raise CommandError(
            f"{given.name} was made under rules of its own: --on-drift and --rewrite-secrets are"
            " for sigmamind plan"
        )
    if _releases(given.plan) and not orders.rules.allow_release:
        raise CommandError(f"{given.name}: {NOT_ALLOWED}, here as well; nothing was sent")


def _check_problems(
    problems: Sequence[Problem], given: Wanted, orders: Orders, output: Output
) -> None:
    """Show all *problems*; raise `CommandError` unless the sound rows are to be carried out."""
    if not problems or orders.skip_bad:
        return
    output.show(ProblemList(tuple(problems)))
    raise CommandError(f"{given.name} cannot be applied as it is; nothing was sent", Exit.FAILED)


def _releases(plan: Plan) -> list[str]:
    """Return the numbers that *plan* releases."""
    leaving = {Action.RELEASE, Action.MOVE}
    return [step.phone_number for step in plan.steps if step.writes and step.action in leaving]


@attrs.frozen(kw_only=True)
class Prospect:
    """What was found out before anything is sent."""

    journal: Journal
    accounts: Accounts
    known: FleetState
    plan: Plan
    bought: Mapping[str, int]
    """Numbers that the journal counts as bought, by platform."""
    to_buy: Mapping[str, int]
    """Numbers that the plan buys beyond those, likewise."""

    @property
    def limits(self) -> dict[str, int]:
        """Most numbers that the journal may count as bought once the plan is carried out."""
        return {name: count + self.to_buy.get(name, 0) for name, count in self.bought.items()}


@attrs.frozen(kw_only=True)
class Terms:
    """What was agreed to."""

    limit: int
    """Most numbers that the journal may count as bought, all platforms together."""
    asked: bool
    """Whether a person took time to answer, in which anything may have happened."""


@attrs.define(kw_only=True)
class FleetApplication:
    """One application of a fleet: what is shown and counted of it."""

    orders: Orders
    given: Wanted
    output: Output
    page: PageFile
    aftermath: Aftermath = attrs.field(
        default=attrs.Factory(
            lambda self: Aftermath(place=self.given.place, platform=None), takes_self=True
        )
    )
    _stack: AsyncExitStack = attrs.field(factory=AsyncExitStack)

    # --- before anything is sent -------------------------------------------------------------

    async def prepare(self) -> Prospect:
        """Settle what earlier runs left unconfirmed, read the accounts, and make the plan."""
        given, orders = self.given, self.orders
        journal = await self._stack.enter_async_context(given.place.opened())
        platforms = await platforms_in(given.fleet, journal)
        accounts = Accounts.of(platforms, orders.times, self.page)
        await accounts.open(self._stack)
        crew = Crew(self._provisioners(accounts, journal, {}), journal)
        for provisioner in crew.provisioners.values():
            if orders.policy.accept_key:
                await provisioner.accept_key()
            await look_after_earlier_runs(provisioner)
        if given.plan is None:
            known, plan = await plan_of(given, accounts, journal, orders.rules)
        else:
            left, known = await checked(given.plan, crew)
            plan = with_missing_secrets(left, given)
        _check_problems(plan.problems, given, orders, self.output)
        return Prospect(
            journal=journal,
            accounts=accounts,
            known=known,
            plan=plan,
            bought={name: (await journal.counts(name)).purchase_count for name in platforms},
            to_buy=await _to_buy(plan, journal),
        )

    def agree(self, prospect: Prospect) -> Terms:
        """Return what was agreed to; raise `CommandError` where it does not suffice."""
        plan, name, consent = prospect.plan, self.given.name, self.orders.consent
        if plan.problems:
            self.output.show(ProblemList(tuple(plan.problems)))
        self.output.log(f"{name}: {one_line_summary(plan)}")
        to_buy, releases = sum(prospect.to_buy.values()), _releases(plan)
        found = Survey(rows=len(plan.rows) + _bad(plan), bad=_bad(plan))
        limit = consent.limit(
            name, Outlook(found=found, bought=sum(prospect.bought.values()), to_buy=to_buy)
        )
        consent.check_releases(name, releases)
        if self.orders.policy.release_duplicates:
            consent.check_release("duplicates")
        return Terms(limit=limit, asked=bool(to_buy or releases) and not consent.yes)

    # --- carrying it out ---------------------------------------------------------------------

    async def carry_out(self, prospect: Prospect, terms: Terms) -> Summary:
        """Carry out the plan, show how each step ended, and return the sum of it."""
        plan, orders = prospect.plan, self.orders
        provisioners = self._provisioners(prospect.accounts, prospect.journal, prospect.limits)
        crew = Crew(provisioners, prospect.journal)
        known = prospect.known
        if terms.asked:
            plan, known = await checked(plan, crew)
        self.output.widths = _widths(plan)
        job = FleetJob(
            plan=plan,
            known=known,
            crew=crew,
            references=self.given.references,
            output=self.output,
            report=self._report,
            admissions=prospect.accounts.admissions,
            patience=orders.times.deadline,
            progress=Progress(total=len(plan.steps)),
        )
        began = time.monotonic()
        with self.output.progress(job.progress, self.page.traffic):
            await job.run()
        seconds = time.monotonic() - began
        summary = job.summary(self.page.traffic, seconds, bad=_bad(prospect.plan))
        await self._write_page(summary, prospect, terms)
        return summary

    async def close(self) -> None:
        """Close clients and journal."""
        await self._stack.aclose()

    def _provisioners(
        self, accounts: Accounts, journal: Journal, limits: Mapping[str, int]
    ) -> dict[str, Provisioner]:
        policy = self.orders.policy
        return {
            name: attrs.evolve(policy, max_purchases=limits.get(name)).provisioner(client, journal)
            for name, client in accounts.clients.items()
        }

    def _report(self, result: RowResult) -> None:
        shown = self.orders.verbose or self.output.json
        if shown or not is_routine(result):
            self.output.show(result)
        self.aftermath.add(result)
        self.page.add(result, result.platform or "", self.aftermath.commands_for(result))

    async def _write_page(self, summary: Summary, prospect: Prospect, terms: Terms) -> None:
        bought = prospect.bought
        self.page.write(
            summary,
            file=self.given.name,
            journal=self.given.place.name,
            resume=self.orders.again,
            bought=await bought_by(prospect.journal, bought, sum(bought.values())),
            max_purchases=terms.limit if sum(prospect.to_buy.values()) else None,
        )


def _bad(plan: Plan) -> int:
    """Return how many rows have problems."""
    return len({(problem.id, problem.line) for problem in plan.problems})


def _widths(plan: Plan) -> Widths:
    actions = {step.action.value for step in plan.steps}
    return Widths.of(plan.rows, actions, {step.platform for step in plan.steps})


async def _to_buy(plan: Plan, journal: Journal) -> Mapping[str, int]:
    """Return how many numbers *plan* buys that *journal* does not count yet, by platform."""
    counts: Counter[str] = Counter()
    for step in plan.steps:
        if step.writes and step.action is Action.PURCHASE:
            entry = await journal.get(step.platform, step.op_id)
            counts[step.platform] += entry is None or not entry.purchase_count
    return counts
