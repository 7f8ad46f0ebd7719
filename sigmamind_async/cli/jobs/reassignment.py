"""``numbers reassign``: a fleet of the numbers of one agent, all of which get another one."""

from __future__ import annotations

from contextlib import AsyncExitStack
from functools import partial

import attrs

from sigmamind_async import fleet
from sigmamind_async.cli.accounts import client_of, describe_account
from sigmamind_async.cli.errors import CommandError, Exit
from sigmamind_async.cli.jobs.runner import PlanRunner
from sigmamind_async.cli.loop import new_loop
from sigmamind_async.cli.options import ReassignOptions
from sigmamind_async.cli.output.console import Output, Traffic
from sigmamind_async.cli.output.events import PlanView
from sigmamind_async.cli.output.text import count_of
from sigmamind_async.cli.prompts import Approval
from sigmamind_async.provisioning.journal.memory import MemoryJournal
from sigmamind_async.provisioning.journal.sqlite import SqliteJournal
from sigmamind_async.provisioning.provisioner import Provisioner


def reassign_numbers(options: ReassignOptions) -> int:
    """Show what changes, ask, and change it; the journal keeps up with it."""
    agents = {"from_agent": options.from_agent, "to_agent": options.to_agent}
    path = options.journal
    if options.from_agent == options.to_agent:
        raise CommandError("--from-agent and --to-agent are the same")
    if path is not None and not path.exists():
        raise CommandError(f"there is no journal {path}")
    output = Output(**attrs.asdict(options.output))
    traffic = Traffic()
    client = client_of(options.platform, options.request, observer=traffic)
    with new_loop() as loop:
        stack = AsyncExitStack()
        try:
            loop.run(stack.enter_async_context(client))
            journal = MemoryJournal() if path is None else SqliteJournal(path)
            loop.run(stack.enter_async_context(journal))
            read = partial(fleet.plan_reassignment, client, journal, side=options.side, **agents)
            todo, state = loop.run(read())
            over = options.dry_run or todo.problems or not todo.writes
            if over or not output.json:
                title = f"numbers of {options.from_agent} on {options.platform}"
                output.show(PlanView(file=title, plan=todo))
            if over:
                return Exit.FAILED if todo.problems else Exit.DONE
            if not options.yes:
                numbers = count_of(todo.writes, "number")
                what = f"changes {numbers} on {describe_account(client)}"
                Approval(yes=False, ask=output.can_ask).check_count(what, todo.writes, "change")
                again, state = loop.run(read())
                if again.steps != todo.steps:
                    raise CommandError("the numbers have changed since; nothing was sent")
            runner = PlanRunner(
                plan=todo,
                output=output,
                traffic=traffic,
                gates=[client.gate],
                patience=options.request.deadline,
            )
            summary = loop.run(runner.carry_out([Provisioner(client, journal)], state=state))
        finally:
            loop.run(stack.aclose())
    code = runner.conclude(summary)
    if summary.unconfirmed or summary.skipped:
        output.log("to continue, run the same command again: it reads the account again")
    return code
