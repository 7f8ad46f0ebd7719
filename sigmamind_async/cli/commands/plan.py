"""``sigmamind plan``: what `apply` would do about the rows of a fleet; sends and writes nothing."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated, Final

import attrs
from cyclopts import Parameter

from sigmamind_async.cli.accounts import Accounts, platforms_in
from sigmamind_async.cli.database import Postgres, database_of
from sigmamind_async.cli.errors import CommandError, Exit
from sigmamind_async.cli.fleet_input import Wanted, save, wanted
from sigmamind_async.cli.journal_location import JournalFile, looked_into
from sigmamind_async.cli.output.console import Output
from sigmamind_async.cli.output.events import PlanView
from sigmamind_async.cli.runtime import (
    ATTEMPT_TIMEOUT,
    DEADLINE,
    AttemptTimeout,
    Deadline,
    Json,
    Proxy,
    RefusalStatus,
    Times,
    run,
)
from sigmamind_async.cli.source import stream_of
from sigmamind_async.cli.vendors import PlatformName
from sigmamind_async.fleet.apply import missing_secrets
from sigmamind_async.fleet.plan import Plan
from sigmamind_async.fleet.plan import plan as planned
from sigmamind_async.fleet.refresh import refresh
from sigmamind_async.fleet.row_plan import OnDrift, PlanOptions
from sigmamind_async.fleet.state import FleetState
from sigmamind_async.provisioning.journal.protocol import Journal

RowsPlatform = Annotated[
    PlatformName | None,
    Parameter(name="--platform", help="Whose the rows are that do not say it."),
]
Drift = Annotated[
    OnDrift,
    Parameter(
        name="--on-drift",
        help="What becomes of a field that somebody else has changed since it was applied.",
    ),
]
AllowRelease = Annotated[
    bool,
    Parameter(help="Let numbers of rows that say absent, or that move, be released, permanently."),
]
RewriteSecrets = Annotated[
    bool, Parameter(help="Write passwords again: a new one behind the same reference goes unseen.")
]
SkipBad = Annotated[bool, Parameter(help="Leave rows with problems out, and go on with the rest.")]
InlineSecrets = Annotated[
    bool,
    Parameter(name="--allow-inline-secrets", help="Take a password that stands in FILE itself."),
]

FAIL: Final = "fail"


def plan(
    file: Annotated[
        str,
        Parameter(help="A .csv, .jsonl, .ndjson, .yaml or .yml file; - reads JSON Lines of stdin."),
    ],
    /,
    *,
    platform: RowsPlatform = None,
    journal: JournalFile = None,
    postgres: Postgres = None,
    on_drift: Drift = FAIL,
    allow_release: AllowRelease = False,
    rewrite_secrets: RewriteSecrets = False,
    skip_bad: SkipBad = False,
    out: Annotated[
        Path | None, Parameter(help="Save the plan here, for sigmamind apply to carry out.")
    ] = None,
    allow_inline_secrets: InlineSecrets = False,
    json: Json = False,
    deadline: Deadline = DEADLINE,
    attempt_timeout: AttemptTimeout = ATTEMPT_TIMEOUT,
    proxy: Proxy = None,
    refusal_status: RefusalStatus = (),
) -> int:
    """Show what `apply` would do."""
    rules = PlanOptions(
        on_drift=on_drift, allow_release=allow_release, rewrite_secrets=rewrite_secrets
    )
    times = Times(deadline=deadline, attempt=attempt_timeout, proxy=proxy, refusals=refusal_status)
    with stream_of(file) as stream:
        given = wanted(
            file,
            stream,
            journal=journal,
            database=database_of(postgres),
            platform=platform,
            allow_inline=allow_inline_secrets,
        )
    if given.plan is not None:
        raise CommandError(f"{file} is a saved plan; plan the file that it is from")
    output = Output.for_process(json=json)
    if journal is not None and not given.place.exists():
        output.log(f"there is no journal {journal} yet: planned as if nothing had been applied")
    found = run(_plan(given, times, rules))
    output.show(PlanView(file=given.name, plan=found))
    if out is not None:
        sound = attrs.evolve(found, problems=()) if skip_bad else found
        if sound.problems:
            raise CommandError(f"{out}: not saved, because of the problems", Exit.FAILED)
        save(sound, given, file, out)
    return Exit.FAILED if found.problems else Exit.DONE


async def _plan(given: Wanted, times: Times, rules: PlanOptions) -> Plan:
    async with AsyncExitStack() as stack:
        journal = await looked_into(given.place, stack)
        accounts = Accounts.of(await platforms_in(given.fleet, journal), times)
        await accounts.open(stack)
        _, found = await plan_of(given, accounts, journal, rules)
        return found


async def plan_of(
    given: Wanted, accounts: Accounts, journal: Journal, rules: PlanOptions
) -> tuple[FleetState, Plan]:
    """Return what is known of the rows of *given*, after one look at the accounts, and the plan."""
    known = await refresh(given.fleet, accounts.clients, journal)
    found = planned(given.fleet, known, rules)
    placed = [
        problem if problem.file else attrs.evolve(problem, file=given.name)
        for problem in found.problems
    ]
    return known, with_missing_secrets(attrs.evolve(found, problems=placed), given)


def with_missing_secrets(found: Plan, given: Wanted) -> Plan:
    """Return the plan *found* with a problem for each secret that it needs and that is missing."""
    missing = missing_secrets(found, given.references)
    broken = {problem.id for problem in missing}
    if not broken:
        return found
    return attrs.evolve(
        found,
        steps=tuple(step for step in found.steps if step.id not in broken),
        rows={id_: row for id_, row in found.rows.items() if id_ not in broken},
        problems=(
            *found.problems,
            *(attrs.evolve(problem, file=given.name) for problem in missing),
        ),
    )
