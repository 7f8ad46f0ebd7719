"""Makes the plan of a fleet from what the accounts and the journal hold now."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import attrs

from sigmamind_async import fleet
from sigmamind_async.cli.errors import CommandError, Exit
from sigmamind_async.cli.fleet_input import FleetInput, save_plan
from sigmamind_async.cli.journal_location import FileJournal, open_to_read
from sigmamind_async.cli.options import ChangeOptions, RequestOptions
from sigmamind_async.cli.output.console import Output
from sigmamind_async.cli.output.events import PlanView
from sigmamind_async.cli.runtime import Accounts, run
from sigmamind_async.cli.vendors import AnyClient
from sigmamind_async.fleet import FleetState, LastApplied, Plan, PlanOptions
from sigmamind_async.fleet.refresh import platforms_of
from sigmamind_async.provisioning.journal.protocol import Journal


def show_warnings(given: FleetInput, output: Output) -> None:
    """Show what may be wrong with the rows, which stops nothing."""
    for warning in given.fleet.warnings:
        output.log(f"warning: {warning}")


async def platforms_in(given: FleetInput, journal: Journal) -> set[str]:
    """Return the platforms that have to be asked about a fleet."""
    notes = await journal.last_applied()
    ids = {row.id for row in given.fleet.rows}
    applied = {name: LastApplied.load(name, text) for name, text in notes.items() if name in ids}
    return platforms_of(given.fleet, applied)


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


def show_plan(
    file: str,
    given: FleetInput,
    *,
    changes: ChangeOptions,
    request: RequestOptions,
    json: bool,
    skip_bad: bool,
    out: Path | None,
) -> tuple[Plan, Exit]:
    """Show the plan of *given*, which is *file*, and save it where that was asked for."""
    if given.plan is not None:
        raise CommandError(f"{file} is a saved plan; plan the file that it is from")
    screen = Output.for_process(json=json)
    place = given.place
    if isinstance(place, FileJournal) and place.chosen is not None and not place.exists():
        screen.log(f"there is no journal {place.name} yet: planned as if nothing was applied")
    show_warnings(given, screen)
    todo = run(_plan(given, request, changes))
    screen.show(PlanView(file=given.name, plan=todo))
    if out is not None:
        sound = todo.skip_problems() if skip_bad else todo
        if sound.problems:
            raise CommandError(f"{out}: not saved, because of the problems", Exit.FAILED)
        save_plan(sound, given, file, out)
    return todo, Exit.FAILED if todo.problems else Exit.DONE


async def _plan(given: FleetInput, request: RequestOptions, changes: ChangeOptions) -> Plan:
    async with AsyncExitStack() as stack:
        journal = await open_to_read(given.place, stack)
        accounts = Accounts.of(await platforms_in(given, journal), request)
        await accounts.open(stack)
        _, todo = await make_plan(given, accounts.clients, journal, changes)
        return todo
