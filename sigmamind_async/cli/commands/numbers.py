"""``sigmamind numbers``: the phone numbers of your accounts, without a file.

Only the options are here: ``--help`` loads this module, and no platform with it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal

import attrs
from cyclopts import Group, Parameter
from cyclopts.validators import Number

from sigmamind_async.cli.options import (
    CallOptions,
    JobOptions,
    Json,
    OnePlatform,
    OutputOptions,
    PlatformName,
    RequestOptions,
    WholeNumber,
)

MOST_NUMBERS: Final = 1000
"""Numbers in one order."""

PhoneNumber = Annotated[
    str,
    Parameter(help="The number, such as +14155550100; on Verbex and DialNexa, or its record id."),
]
Yes = Annotated[bool, Parameter(help="Do not ask.")]


@Parameter(name="*", group=Group("Number", sort_key=1))
@attrs.frozen(kw_only=True)
class NumberOptions:
    """What is written to a number of any kind."""

    label: Annotated[str | None, Parameter(help="Label of the number.")] = None
    inbound_agent_id: Annotated[str | None, Parameter(help="Agent that answers its calls.")] = None
    outbound_agent_id: Annotated[
        str | None, Parameter(help="Agent that makes its calls; not on DialNexa.")
    ] = None
    test_number: Annotated[
        str | None, Parameter(help="Number that a test call rings; SigmaMind only.")
    ] = None


@Parameter(name="*", group=Group("SIP trunk", sort_key=2))
@attrs.frozen(kw_only=True)
class TrunkOptions:
    """How a number that you own is reached."""

    termination_uri: Annotated[
        str | None, Parameter(help="SIP URI of the trunk, such as sip.example.com.")
    ] = None
    trunk_username: Annotated[str | None, Parameter(help="User name at the trunk.")] = None
    trunk_password: Annotated[
        str | None, Parameter(help="Password at the trunk: env:NAME or file:PATH, not the text.")
    ] = attrs.field(default=None, repr=False)


@Parameter(name="*", group=Group("Number", sort_key=1))
@attrs.frozen(kw_only=True)
class OfferOptions:
    """Which numbers are bought."""

    country_code: Annotated[
        str | None,
        Parameter(name="--country", help="Country of the numbers, such as US; not on Verbex."),
    ] = None
    area_code: Annotated[
        str | None, Parameter(help="Area code of the numbers, such as 415; SigmaMind only.")
    ] = None
    phone_number: Annotated[
        str | None, Parameter(help="This number, in place of any in a country.")
    ] = None
    telephony_provider_id: Annotated[
        str | None, Parameter(help="Provider of the numbers; DialNexa only.")
    ] = None
    type: Annotated[
        str | None, Parameter(help="Kind of numbers, such as local; DialNexa only.")
    ] = None


def list_(
    *,
    platform: Annotated[
        tuple[PlatformName, ...],
        Parameter(
            negative=(),
            help="Platform of the account; may be repeated. Default: all whose API key is set.",
        ),
    ] = (),
    unassigned: Annotated[bool, Parameter(help="Only numbers without an inbound agent.")] = False,
    agent: Annotated[
        str | None, Parameter(help="Only numbers that this agent answers or calls from.")
    ] = None,
    request: RequestOptions = RequestOptions(),
    json: Json = False,
) -> int:
    """List numbers."""
    from sigmamind_async.cli.jobs.numbers import show_numbers

    return show_numbers(platform, unassigned=unassigned, agent=agent, request=request, json=json)


def get(
    number: PhoneNumber,
    /,
    *,
    platform: OnePlatform = "sigmamind",
    request: RequestOptions = RequestOptions(),
    json: Json = False,
) -> int:
    """Show one number."""
    from sigmamind_async.cli.jobs.numbers import AccountNumbers

    return AccountNumbers.of(platform, request, json=json).show(number)


def buy(
    *,
    count: Annotated[
        WholeNumber, Parameter(validator=Number(gte=1, lte=MOST_NUMBERS), help="How many.")
    ] = 1,
    platform: OnePlatform = "sigmamind",
    order: Annotated[
        str | None,
        Parameter(
            help="Name of the order. Give the same name again to continue that order; nothing is"
            " bought twice. Default: a new name."
        ),
    ] = None,
    offer: OfferOptions = OfferOptions(),
    number: NumberOptions = NumberOptions(),
    job: JobOptions = JobOptions(),
) -> int:
    """Buy numbers."""
    from sigmamind_async.cli.jobs.apply import ApplyOptions
    from sigmamind_async.cli.jobs.orders import Order, buy_numbers

    given = Order.of(platform, count, attrs.asdict(offer) | attrs.asdict(number))
    return buy_numbers(given, order, ApplyOptions(job=job))


def import_(
    number: Annotated[str, Parameter(help="A number that you own, such as +14155550100.")],
    /,
    *,
    platform: OnePlatform = "sigmamind",
    fields: NumberOptions = NumberOptions(),
    trunk: TrunkOptions = TrunkOptions(),
    auth_mode: Annotated[
        str | None,
        Parameter(
            group="SIP trunk",
            help="How the trunk authenticates: userpass or ip; DialNexa only.",
        ),
    ] = None,
    journal: Annotated[
        Path, Parameter(help="Journal of what was imported.", group="Journal")
    ] = Path("imports.journal.db"),
    request: RequestOptions = RequestOptions(),
    json: Json = False,
) -> int:
    """Import one number."""
    from sigmamind_async.cli.jobs.apply import ApplyOptions
    from sigmamind_async.cli.jobs.orders import import_number

    given = attrs.asdict(fields) | attrs.asdict(trunk) | {"auth_mode": auth_mode}
    options = ApplyOptions(job=JobOptions(request=request, output=OutputOptions(json=json)))
    return import_number(number, platform, given, journal, options)


def update(
    number: PhoneNumber,
    /,
    *,
    platform: OnePlatform = "sigmamind",
    clear_inbound_agent: Annotated[bool, Parameter(help="Detach the inbound agent.")] = False,
    clear_outbound_agent: Annotated[bool, Parameter(help="Detach the outbound agent.")] = False,
    fields: NumberOptions = NumberOptions(),
    trunk: TrunkOptions = TrunkOptions(),
    request: RequestOptions = RequestOptions(),
    json: Json = False,
) -> int:
    """Change one number."""
    from sigmamind_async.cli.jobs.numbers import AccountNumbers

    given = attrs.asdict(fields) | attrs.asdict(trunk)
    clear = {"inbound_agent_id": clear_inbound_agent, "outbound_agent_id": clear_outbound_agent}
    return AccountNumbers.of(platform, request, json=json).update(number, given, clear)


def reassign(
    *,
    from_agent: Annotated[str, Parameter(help="Agent that has the numbers.")],
    to_agent: Annotated[str, Parameter(help="Agent that gets them.")],
    platform: OnePlatform = "sigmamind",
    side: Annotated[
        Literal["inbound", "outbound", "both"],
        Parameter(help="Which calls: those that the agent answers, those it makes, or both."),
    ] = "both",
    dry_run: Annotated[bool, Parameter(help="Show what would change, and change nothing.")] = False,
    yes: Yes = False,
    journal: Annotated[
        Path | None,
        Parameter(help="Journal of the fleet that the numbers are in, to keep it up to date."),
    ] = None,
    request: RequestOptions = RequestOptions(),
    output: OutputOptions = OutputOptions(),
) -> int:
    """Point the numbers of one agent to another."""
    from sigmamind_async.cli.jobs.reassignment import Reassignment, reassign_numbers

    reassignment = Reassignment(
        platform=platform, from_agent=from_agent, to_agent=to_agent, side=side
    )
    return reassign_numbers(
        reassignment, journal, dry_run=dry_run, yes=yes, request=request, options=output
    )


def release(
    number: PhoneNumber,
    /,
    *,
    platform: OnePlatform = "sigmamind",
    yes: Yes = False,
    request: RequestOptions = RequestOptions(),
    json: Json = False,
) -> int:
    """Release one number."""
    from sigmamind_async.cli.jobs.numbers import AccountNumbers

    account = AccountNumbers.of(platform, request, json=json)
    return account.release(number, request, yes=yes)


def agents_list(
    *,
    request: RequestOptions = RequestOptions(),
    json: Json = False,
) -> int:
    """List agents, and how many numbers each has."""
    from sigmamind_async.cli.jobs.numbers import show_account_agents

    return show_account_agents(request, json=json)


def agents_get(
    agent: Annotated[str, Parameter(help="Id of the agent.")],
    /,
    *,
    platform: Annotated[
        Literal["sigmamind", "dialnexa"], Parameter(help="Platform of the account.")
    ] = "sigmamind",
    request: RequestOptions = RequestOptions(),
    json: Json = False,
) -> int:
    """Show one agent."""
    from sigmamind_async.cli.jobs.numbers import show_one_agent

    return show_one_agent(agent, platform, request, json=json)


def verify(
    *numbers: Annotated[
        str, Parameter(help="Numbers, such as +14155550100. Default: all of the account.")
    ],
    platform: OnePlatform = "sigmamind",
    max_calls: Annotated[
        WholeNumber | None,
        Parameter(validator=Number(gte=0), help="Most calls to place; with it, nothing is asked."),
    ] = None,
    calls: CallOptions = CallOptions(),
    request: RequestOptions = RequestOptions(),
    json: Json = False,
) -> int:
    """Place a test call from each number."""
    from sigmamind_async.cli.jobs.verification import verify

    return verify(numbers, platform, calls, max_calls, request=request, json=json)
