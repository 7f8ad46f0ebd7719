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
    AccountOptions,
    CallOptions,
    JobOptions,
    Json,
    ListOptions,
    OnePlatform,
    ReassignOptions,
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
    """What is written to a number of any kind.

    Attributes:
        label: Label of the number.
        inbound_agent_id: Agent that answers its calls.
        outbound_agent_id: Agent that makes its calls; not on DialNexa.
        test_number: Number that a test call rings; SigmaMind only.
    """

    label: str | None = None
    inbound_agent_id: str | None = None
    outbound_agent_id: str | None = None
    test_number: str | None = None


@Parameter(name="*", group=Group("SIP trunk", sort_key=2))
@attrs.frozen(kw_only=True)
class TrunkOptions:
    """How a number that you own is reached.

    Attributes:
        termination_uri: SIP URI of the trunk, such as sip.example.com.
        trunk_username: User name at the trunk.
        trunk_password: Password at the trunk: env:NAME or file:PATH, not the text.
    """

    termination_uri: str | None = None
    trunk_username: str | None = None
    trunk_password: str | None = attrs.field(default=None, repr=False)


@Parameter(name="*", group=Group("Number", sort_key=1))
@attrs.frozen(kw_only=True)
class OfferOptions:
    """Which numbers are bought.

    Attributes:
        country_code: Country of the numbers, such as US; not on Verbex.
        area_code: Area code of the numbers, such as 415; SigmaMind only.
        phone_number: This number, in place of any in a country.
        telephony_provider_id: Provider of the numbers; DialNexa only.
        type: Kind of numbers, such as local; DialNexa only.
    """

    country_code: Annotated[str | None, Parameter(name="--country")] = None
    area_code: str | None = None
    phone_number: str | None = None
    telephony_provider_id: str | None = None
    type: str | None = None


def list_(*, options: ListOptions = ListOptions()) -> int:
    """List numbers."""
    from sigmamind_async.cli.jobs.numbers import show_numbers

    return show_numbers(options)


def get(
    number: PhoneNumber,
    /,
    *,
    account: AccountOptions = AccountOptions(),
) -> int:
    """Show one number."""
    from sigmamind_async.cli.jobs.numbers import AccountNumbers

    return AccountNumbers.of(account).show(number)


def buy(
    *,
    count: Annotated[WholeNumber, Parameter(validator=Number(gte=1, lte=MOST_NUMBERS))] = 1,
    platform: OnePlatform = "sigmamind",
    order: str | None = None,
    offer: OfferOptions = OfferOptions(),
    number: NumberOptions = NumberOptions(),
    job: JobOptions = JobOptions(),
) -> int:
    """Buy numbers.

    Args:
        count: How many.
        order: Name of the order. Give the same name again to continue that order; nothing is bought
            twice. Default: a new name.
    """
    from sigmamind_async.cli.jobs.apply import ApplyOptions
    from sigmamind_async.cli.jobs.orders import Order, buy_numbers

    given = Order.of(platform, count, attrs.asdict(offer) | attrs.asdict(number))
    return buy_numbers(given, order, ApplyOptions(job=job))


def import_(
    number: str,
    /,
    *,
    account: AccountOptions = AccountOptions(),
    fields: NumberOptions = NumberOptions(),
    trunk: TrunkOptions = TrunkOptions(),
    auth_mode: Annotated[str | None, Parameter(group="SIP trunk")] = None,
    journal: Annotated[Path, Parameter(group="Journal")] = Path("imports.journal.db"),
) -> int:
    """Import one number.

    Args:
        number: A number that you own, such as +14155550100.
        auth_mode: How the trunk authenticates: userpass or ip; DialNexa only.
        journal: Journal of what was imported.
    """
    from sigmamind_async.cli.jobs.orders import import_number

    given = attrs.asdict(fields) | attrs.asdict(trunk) | {"auth_mode": auth_mode}
    return import_number(number, account, given, journal)


def update(
    number: PhoneNumber,
    /,
    *,
    account: AccountOptions = AccountOptions(),
    clear_inbound_agent: bool = False,
    clear_outbound_agent: bool = False,
    fields: NumberOptions = NumberOptions(),
    trunk: TrunkOptions = TrunkOptions(),
) -> int:
    """Change one number.

    Args:
        clear_inbound_agent: Detach the inbound agent.
        clear_outbound_agent: Detach the outbound agent.
    """
    from sigmamind_async.cli.jobs.numbers import AccountNumbers

    given = attrs.asdict(fields) | attrs.asdict(trunk)
    clear = {"inbound_agent_id": clear_inbound_agent, "outbound_agent_id": clear_outbound_agent}
    return AccountNumbers.of(account).update(number, given, clear)


def reassign(*, options: ReassignOptions) -> int:
    """Point the numbers of one agent to another."""
    from sigmamind_async.cli.jobs.reassignment import reassign_numbers

    return reassign_numbers(options)


def release(
    number: PhoneNumber,
    /,
    *,
    account: AccountOptions = AccountOptions(),
    yes: Yes = False,
) -> int:
    """Release one number."""
    from sigmamind_async.cli.jobs.numbers import AccountNumbers

    return AccountNumbers.of(account).release(number, yes=yes)


def agents_list(
    *,
    request: RequestOptions = RequestOptions(),
    json: Json = False,
) -> int:
    """List agents, and how many numbers each has."""
    from sigmamind_async.cli.jobs.numbers import show_account_agents

    return show_account_agents(request, json=json)


def agents_get(
    agent: str,
    /,
    *,
    platform: Literal["sigmamind", "dialnexa"] = "sigmamind",
    request: RequestOptions = RequestOptions(),
    json: Json = False,
) -> int:
    """Show one agent.

    Args:
        agent: Id of the agent.
        platform: Platform of the account.
    """
    from sigmamind_async.cli.jobs.numbers import show_one_agent

    return show_one_agent(agent, platform, request, json=json)


def verify(
    *numbers: str,
    account: AccountOptions = AccountOptions(),
    max_calls: Annotated[WholeNumber | None, Parameter(validator=Number(gte=0))] = None,
    calls: CallOptions = CallOptions(),
) -> int:
    """Place a test call from each number.

    Args:
        numbers: Numbers, such as +14155550100. Default: all of the account.
        max_calls: Most calls to place; with it, nothing is asked.
    """
    from sigmamind_async.cli.jobs.verification import verify

    return verify(numbers, account, calls, max_calls)
