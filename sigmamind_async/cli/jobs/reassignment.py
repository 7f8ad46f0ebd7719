"""``numbers reassign``: a fleet of the numbers of one agent, all of which get another one."""

from __future__ import annotations

from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import attrs

from sigmamind_async import fleet
from sigmamind_async.cli.accounts import client_of, describe_account
from sigmamind_async.cli.errors import CommandError, Exit
from sigmamind_async.cli.jobs.runner import PlanRunner
from sigmamind_async.cli.loop import new_loop
from sigmamind_async.cli.options import OutputOptions, PlatformName, RequestOptions
from sigmamind_async.cli.output.console import Output, Traffic
from sigmamind_async.cli.output.events import PlanView, Side
from sigmamind_async.cli.output.text import count_of
from sigmamind_async.cli.prompts import Approval
from sigmamind_async.provisioning.journal.memory import MemoryJournal
from sigmamind_async.provisioning.journal.sqlite import SqliteJournal
from sigmamind_async.provisioning.provisioner import Provisioner


def reassign_numbers(
    platform: PlatformName,
    path: Path | None,
    *,
    from_agent: str,
    to_agent: str,
    side: Side,
    dry_run: bool,
    yes: bool,
    request: RequestOptions,
    options: OutputOptions,
) -> int:
    """Show what changes, ask, and change it; the journal at *path* keeps up with it."""
    if from_agent == to_agent:
        raise CommandError("--from-agent and --to-agent are the same")
    if path is not None and not path.exists():
        raise CommandError(f"there is no journal {path}")
    output = Output.for_process(**attrs.asdict(options))
    traffic = Traffic()
    client = client_of(platform, request, observer=traffic)
    with new_loop() as loop:
        stack = AsyncExitStack()
        try:
            loop.run(stack.enter_async_context(client))
            journal = MemoryJournal() if path is None else SqliteJournal(path)
            loop.run(stack.enter_async_context(journal))
            read = partial(
                fleet.plan_reassignment,
                client,
                journal,
                from_agent=from_agent,
                to_agent=to_agent,
                side=side,
            )
            todo, state = loop.run(read())
            over = dry_run or todo.problems or not todo.writes
            if over or not output.json:
                title = f"numbers of {from_agent} on {platform}"
                output.show(PlanView(file=title, plan=todo))
            if over:
                return Exit.FAILED if todo.problems else Exit.DONE
            if not yes:
                numbers = count_of(todo.writes, "number")
                Approval(yes, output.can_ask).check_count(
                    f"changes {numbers} on {describe_account(client)}", todo.writes, "change"
                )
                again, state = loop.run(read())
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
