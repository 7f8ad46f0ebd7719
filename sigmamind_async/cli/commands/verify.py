"""``sigmamind numbers verify``: a test call from each number, to prove that its trunk works."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Annotated, cast

import attrs
from cyclopts import Parameter

from sigmamind_async.cli.errors import CommandError, Exit
from sigmamind_async.cli.jobs.operations import fault_of
from sigmamind_async.cli.jobs.test_call import CallTerms, obstacle, skipped
from sigmamind_async.cli.jobs.verification import Examination, trials_of
from sigmamind_async.cli.output.console import Output
from sigmamind_async.cli.output.events import Verification, VerificationSummary
from sigmamind_async.cli.output.progress import Traffic
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
    client_of_environment,
    run,
)
from sigmamind_async.cli.vendors import DEFAULT, PLATFORMS, PlatformOption
from sigmamind_async.errors import NotFoundError
from sigmamind_async.platforms.sigmamind.client import SigmaMind
from sigmamind_async.platforms.sigmamind.models import GetPhoneNumber, PhoneNumber


def verify(
    *numbers: Annotated[
        str, Parameter(help="With its plus, such as +14155550100; left out, all of the account.")
    ],
    platform: PlatformOption = DEFAULT,
    max_calls: Annotated[
        int | None, Parameter(help="Most calls that may be placed; more are refused, all of them.")
    ] = None,
    agent: Annotated[
        str | None, Parameter(help="Who speaks; left out, the outbound agent of each number.")
    ] = None,
    timeout: Annotated[float, Parameter(help="Seconds to wait for the end of one call.")] = 120.0,
    poll_every: Annotated[float, Parameter(help="Seconds between two looks at a call.")] = 1.0,
    concurrency: Annotated[int, Parameter(help="Most calls under way at once.")] = 5,
    per_destination: Annotated[
        int, Parameter(help="Most calls under way to one telephone, which else is busy.")
    ] = 1,
    json: Json = False,
    deadline: Deadline = DEADLINE,
    attempt_timeout: AttemptTimeout = ATTEMPT_TIMEOUT,
    proxy: Proxy = None,
    refusal_status: RefusalStatus = (),
) -> int:
    """Place a test call from each of *numbers*."""
    _check_seconds(timeout=timeout, poll_every=poll_every)
    _check_counts(concurrency=concurrency, per_destination=per_destination)
    theirs, traffic = PLATFORMS[platform], Traffic()
    if theirs.client is not SigmaMind:
        raise CommandError(f"{platform} offers no calls to verify a number with; sigmamind does")
    times = Times(deadline=deadline, attempt=attempt_timeout, proxy=proxy, refusals=refusal_status)
    client = cast("SigmaMind", client_of_environment(theirs, times, observer=traffic))
    prospects = run(_prospects(client, numbers, agent))
    _agree(prospects, max_calls, ask=not json and can_ask())
    examination = Examination(
        trials=trials_of(
            client,
            prospects.callable,
            CallTerms(agent_id=agent, timeout=timeout, poll_every=poll_every),
            per_destination,
        ),
        output=Output.for_process(json=json),
        width=concurrency,
        traffic=traffic,
    )
    for result in prospects.settled:
        examination.report(result)
    run(_called(client, examination))
    return exit_for(examination.conclude(), named=bool(numbers))


async def _called(client: SigmaMind, examination: Examination) -> None:
    async with client:
        await examination.carry_out()


def _check_seconds(**options: float) -> None:
    for name, seconds in options.items():
        if not 0 < seconds < math.inf:
            raise CommandError(f"{_option(name)}: must be more than 0 seconds and finite")


def _check_counts(**options: int) -> None:
    for name, count in options.items():
        if count < 1:
            raise CommandError(f"{_option(name)}: must be at least 1")


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def exit_for(summary: VerificationSummary, *, named: bool) -> Exit:
    """Return the exit code of a round: what is *named* is to be proven, and something at all."""
    if summary.stopped is not None:
        return Exit.INTERRUPTED
    if summary.unconfirmed:
        return Exit.UNKNOWN
    if summary.failed or not summary.passed or (named and summary.skipped):
        return Exit.FAILED
    return Exit.DONE


# ---------------------------------------------------------------- before the first call


@attrs.frozen
class Prospects:
    """The numbers of a round: those to be called from, and those about which all is said."""

    callable: tuple[PhoneNumber, ...]
    settled: tuple[Verification, ...]


async def _prospects(client: SigmaMind, names: Sequence[str], agent_id: str | None) -> Prospects:
    """Look up the numbers with these *names*, all of the account where there are none."""
    async with client:
        if names:
            return await _named_prospects(client, names, agent_id)
        numbers = [number async for number in client.phone_numbers.list(page_size=1000)]
    return sorted_out(numbers, agent_id)


async def _named_prospects(
    client: SigmaMind, names: Sequence[str], agent_id: str | None
) -> Prospects:
    values = [GetPhoneNumber(phone_number=name) for name in dict.fromkeys(names)]
    found: list[PhoneNumber] = []
    missing: list[Verification] = []
    async for outcome in client.run_many(values, ordered=True):
        if outcome.result is not None:
            found.append(outcome.result)
        elif isinstance(outcome.error, NotFoundError):
            name, fault = (
                cast("GetPhoneNumber", outcome.value).phone_number,
                fault_of(outcome.error),
            )
            missing.append(Verification(phone_number=name, status="failed", error=fault))
        elif outcome.error is not None:
            raise outcome.error
    prospects = sorted_out(found, agent_id)
    return attrs.evolve(prospects, settled=(*missing, *prospects.settled))


def sorted_out(numbers: Iterable[PhoneNumber], agent_id: str | None) -> Prospects:
    """Part *numbers* into those that can be called from, and the rest, with the reason."""
    fit: list[PhoneNumber] = []
    unfit: list[Verification] = []
    for number in numbers:
        if why := obstacle(number, agent_id):
            unfit.append(skipped(number, why))
        else:
            fit.append(number)
    return Prospects(tuple(fit), tuple(unfit))


def _agree(prospects: Prospects, max_calls: int | None, *, ask: bool) -> None:
    """Raise `CommandError` unless every call to be placed is agreed to."""
    calls = len(prospects.callable)
    if not calls:
        return
    what = f"test calls to place: {calls}; each rings a telephone and costs money"
    if max_calls is not None:
        if calls > max_calls:
            raise CommandError(f"{what}. --max-calls allows {max_calls}; nobody was called")
        return
    if not ask:
        raise CommandError(f"{what}. Agree with --max-calls {calls}; nobody was called")
    if typed(f"{what[0].upper()}{what[1:]}. Type {calls} to go on: ") != str(calls):
        raise CommandError("not confirmed; nobody was called")
