"""``sigmamind numbers``: the numbers of the account, one at a time."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Annotated, Any

import attrs
from cyclopts import Parameter

from sigmamind_async.cli.columns import Value
from sigmamind_async.cli.errors import CommandError, Exit
from sigmamind_async.cli.output.console import Output
from sigmamind_async.cli.output.events import NumberList, NumberRecord, Side
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
from sigmamind_async.cli.vendors import (
    DEFAULT,
    PLATFORMS,
    AnyClient,
    Platform,
    PlatformName,
    PlatformOption,
)
from sigmamind_async.secret_references import SecretReferenceError, SecretResolver
from sigmamind_async.values import UNSET, Unset

Number = Annotated[
    str,
    Parameter(
        help="With its plus, such as +14155550100; on Verbex and DialNexa the id of its record."
    ),
]


def list_(
    *,
    platform: Annotated[
        tuple[PlatformName, ...],
        Parameter(
            help="Whose numbers; may be given several times, each platform with its own key."
        ),
    ] = (DEFAULT,),
    unassigned: Annotated[bool, Parameter(help="Only numbers that no agent answers.")] = False,
    agent: Annotated[
        str | None,
        Parameter(
            help="Only numbers of this agent, and on which side: it answers their calls (inbound),"
            " makes them (outbound), or both."
        ),
    ] = None,
    json: Json = False,
    deadline: Deadline = DEADLINE,
    attempt_timeout: AttemptTimeout = ATTEMPT_TIMEOUT,
    proxy: Proxy = None,
    refusal_status: RefusalStatus = (),
) -> int:
    """Show the numbers of the account."""
    if unassigned and agent is not None:
        raise CommandError("--unassigned and --agent exclude each other")
    times = Times(deadline=deadline, attempt=attempt_timeout, proxy=proxy, refusals=refusal_status)
    accounts = [
        (PLATFORMS[name], client_of_environment(PLATFORMS[name], times))
        for name in dict.fromkeys(platform)
    ]
    output = Output.for_process(json=json)
    run(_list(_wanted(accounts, _choose_view(unassigned=unassigned, agent=agent)), output))
    return Exit.DONE


View = Callable[[NumberRecord], NumberRecord | None]
"""What is shown of a number: `None` where it is left out."""


def _choose_view(*, unassigned: bool, agent: str | None) -> View:
    if unassigned:
        return lambda number: None if number.inbound_agent_id else number
    if agent is None:
        return lambda number: number
    return lambda number: _beside(agent, number)


_SIDES: dict[tuple[bool, bool], Side] = {
    (True, False): "inbound",
    (False, True): "outbound",
    (True, True): "both",
}


def _beside(agent: str, number: NumberRecord) -> NumberRecord | None:
    """Return *number* with the side on which *agent* stands there."""
    side = _SIDES.get((number.inbound_agent_id == agent, number.outbound_agent_id == agent))
    return None if side is None else attrs.evolve(number, side=side)


async def _wanted(
    accounts: Sequence[tuple[Platform, AnyClient]], view: View
) -> AsyncGenerator[NumberRecord]:
    """Yield what is shown of the numbers of all *accounts*, one account after the other."""
    for platform, client in accounts:
        name = platform.name if len(accounts) > 1 else None
        async with client:
            async for number in client.phone_numbers.list(page_size=platform.page_size):
                shown = view(platform.shown(number))
                if shown is not None:
                    yield attrs.evolve(shown, platform=name)


async def _list(numbers: AsyncGenerator[NumberRecord], output: Output) -> None:
    async with aclosing(numbers):
        if output.json:
            await _stream(numbers, output)
        else:
            output.show(NumberList(tuple([number async for number in numbers])))


async def _stream(numbers: AsyncGenerator[NumberRecord], output: Output) -> None:
    async for number in numbers:
        output.show(number)
        if output.closed:
            return


def get(
    number: Number,
    /,
    *,
    platform: PlatformOption = DEFAULT,
    json: Json = False,
    deadline: Deadline = DEADLINE,
    attempt_timeout: AttemptTimeout = ATTEMPT_TIMEOUT,
    proxy: Proxy = None,
    refusal_status: RefusalStatus = (),
) -> int:
    """Show one number."""
    theirs, times = (
        PLATFORMS[platform],
        Times(deadline=deadline, attempt=attempt_timeout, proxy=proxy, refusals=refusal_status),
    )
    value = _about(theirs, theirs.get, number)
    output = Output.for_process(json=json)
    output.show(theirs.shown(run(_run_one(theirs, times, value))))
    return Exit.DONE


def update(
    number: Number,
    /,
    *,
    platform: PlatformOption = DEFAULT,
    friendly_name: Annotated[
        str | None, Parameter(help="The label that people see; DialNexa's nickname.")
    ] = None,
    inbound_agent_id: Annotated[str | None, Parameter(help="Who answers.")] = None,
    clear_inbound_agent: bool = False,
    outbound_agent_id: Annotated[str | None, Parameter(help="Not on DialNexa.")] = None,
    clear_outbound_agent: bool = False,
    outbound_phone_number: Annotated[
        str | None, Parameter(help="Whom a test call rings; SigmaMind only.")
    ] = None,
    termination_sip_uri: Annotated[
        str | None, Parameter(help="Imported numbers only, not on DialNexa.")
    ] = None,
    trunk_username: Annotated[str | None, Parameter(help="Likewise.")] = None,
    trunk_password: Annotated[
        str | None, Parameter(help="Likewise. A reference: env:NAME or file:PATH.")
    ] = None,
    json: Json = False,
    deadline: Deadline = DEADLINE,
    attempt_timeout: AttemptTimeout = ATTEMPT_TIMEOUT,
    proxy: Proxy = None,
    refusal_status: RefusalStatus = (),
) -> int:
    """Change one number; what is not named stays as it is."""
    theirs, times = (
        PLATFORMS[platform],
        Times(deadline=deadline, attempt=attempt_timeout, proxy=proxy, refusals=refusal_status),
    )
    try:
        password = UNSET if trunk_password is None else SecretResolver().resolve(trunk_password)
    except SecretReferenceError as error:
        raise CommandError(f"--trunk-password: {error}") from None
    fields = _update_fields(
        theirs,
        friendly_name=_given_options(friendly_name),
        inbound_agent_id=_agent("inbound", inbound_agent_id, clear=clear_inbound_agent),
        outbound_agent_id=_agent("outbound", outbound_agent_id, clear=clear_outbound_agent),
        outbound_phone_number=_given_options(outbound_phone_number),
        termination_sip_uri=_given_options(termination_sip_uri),
        trunk_username=_given_options(trunk_username),
        trunk_password=password,
    )
    value = _about(theirs, theirs.update, number, **fields)
    output = Output.for_process(json=json)
    output.show(theirs.shown(run(_run_one(theirs, times, value))))
    return Exit.DONE


def _update_fields(platform: Platform, **options: object) -> dict[str, object]:
    """Return the fields of an update under the platform's own names."""
    said = {name: text for name, text in options.items() if text is not UNSET}
    for name in said:
        if name not in platform.options:
            taken = ", ".join(f"--{each.replace('_', '-')}" for each in platform.options)
            words = name.replace("_", " ")
            raise CommandError(f"an update on {platform.name} takes no {words}; it takes {taken}")
    return {platform.options[name]: text for name, text in said.items()}


def _about(platform: Platform, kind: type[Value], key: str, **fields: object) -> Value:
    """Return the request about the number that goes by *key* there."""
    if key.startswith("+") and not platform.keyed_by_number:
        raise CommandError(
            f"{platform.name} knows a number by the id of its record, which is shown by"
            f" sigmamind numbers list{platform.flag}"
        )
    return platform.request(kind, key, **fields)


def _given_options(text: str | None) -> str | Unset:
    return UNSET if text is None else text


def _agent(side: str, agent_id: str | None, *, clear: bool) -> str | Unset | None:
    if clear and agent_id is not None:
        raise CommandError(f"--{side}-agent-id and --clear-{side}-agent exclude each other")
    return None if clear else _given_options(agent_id)


def release(
    number: Number,
    /,
    *,
    platform: PlatformOption = DEFAULT,
    yes: Annotated[bool, Parameter(help="Do not ask.")] = False,
    json: Json = False,
    deadline: Deadline = DEADLINE,
    attempt_timeout: AttemptTimeout = ATTEMPT_TIMEOUT,
    proxy: Proxy = None,
    refusal_status: RefusalStatus = (),
) -> int:
    """Release one number, permanently."""
    theirs, times = (
        PLATFORMS[platform],
        Times(deadline=deadline, attempt=attempt_timeout, proxy=proxy, refusals=refusal_status),
    )
    value = _about(theirs, theirs.release, number)
    if not yes:
        _confirm(number)
    output = Output.for_process(json=json)
    run(_run_one(theirs, times, value))
    output.show(theirs.released(number))
    return Exit.DONE


def _confirm(number: str) -> None:
    if not can_ask():
        raise CommandError(f"releasing {number} needs --yes where there is no terminal")
    question = f"Releasing {number} is permanent. Type {number} to go on: "
    if typed(question) != number:
        raise CommandError("not confirmed; nothing was sent")


async def _run_one(platform: Platform, times: Times, value: Value) -> Any:  # noqa: ANN401 - a record of any platform
    async with client_of_environment(platform, times) as client:
        return await client.run(value)
