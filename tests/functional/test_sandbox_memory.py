"""The sandbox in memory: what a client meets there is what it meets over a socket."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeAlias, TypeVar

import attrs
import pytest

from sigmamind_async import DialNexa, RetryPolicy, SigmaMind, Verbex
from sigmamind_async.errors import (
    APIConnectionError,
    APIStatusError,
    OutcomeUnknownError,
    SigmaMindError,
)
from sigmamind_async.platforms.sigmamind.models import CreatePhoneNumber
from sigmamind_async.provisioning import MemoryJournal, Provisioner
from sigmamind_async.sandbox import (
    ALL_FAULTS,
    REALISTIC_FAULTS,
    Fault,
    Faults,
    RateLimit,
    Sandbox,
    Switches,
    VerbexSwitches,
)
from sigmamind_async.sandbox.spoil import gzip_bomb
from sigmamind_async.testing import FakeClock, VirtualLoop, in_fake_time, in_virtual_time

T = TypeVar("T")

Seen: TypeAlias = tuple[str, str | None, int | None, list[tuple[str, bool]]]
"""Class, committed and status of the error, and what the ledger holds: kind, and delivered."""

ONCE = RetryPolicy(max_attempts=1)
QUICK = Faults(hang=1.5, late=0.05, drip=0.05)
ENDLESS = {Fault.HANG_BEFORE_COMMIT, Fault.HANG_AFTER_COMMIT, Fault.SLOW_BODY}


def patience(fault: Fault, faults: Faults) -> float:
    """Return an attempt's timeout that decides only where an answer does not come to an end."""
    return 0.5 if fault in ENDLESS and faults is QUICK else 60.0


async def collect(client: SigmaMind) -> int:
    return len([number async for number in client.phone_numbers.list()])


async def buy(client: SigmaMind) -> object:
    return await client.phone_numbers.create(country_code="US", friendly_name="A")


CALLS: dict[str, Callable[[SigmaMind], Awaitable[object]]] = {"create": buy, "list": collect}


@pytest.fixture(autouse=True, scope="module")
def bomb() -> None:
    """Have the bomb ready: the first one takes longer than an attempt may."""
    gzip_bomb()


async def seen(box: Sandbox, client: SigmaMind, operation: str) -> Seen:
    try:
        await CALLS[operation](client)
        error: SigmaMindError | None = None
    except SigmaMindError as failure:
        error = failure
    await box.settled()
    ledger: list[tuple[str, bool]] = [
        (commit.kind, commit.delivered) for commit in box.ledger.commits
    ]
    if error is None:
        return "", None, None, ledger
    return type(error).__name__, error.committed, getattr(error, "status", None), ledger


async def over_a_socket(fault: Fault, operation: str, faults: Faults = QUICK) -> Seen:
    async with Sandbox(faults=faults) as box:
        box.sigmamind.script(operation, [fault])
        key, url = box.sigmamind.api_key, box.sigmamind.base_url
        wait = patience(fault, faults)
        async with SigmaMind(key, base_url=url, retry=ONCE, attempt_timeout=wait) as client:
            return await seen(box, client, operation)


async def in_memory(fault: Fault, operation: str, faults: Faults = QUICK) -> Seen:
    box = Sandbox(faults=faults)
    box.sigmamind.script(operation, [fault])
    wait = patience(fault, faults)
    client = SigmaMind(
        box.sigmamind.api_key, transport=box.transport(), retry=ONCE, attempt_timeout=wait
    )
    return await seen(box, client, operation)


@pytest.mark.parametrize("operation", CALLS)
@pytest.mark.parametrize("fault", sorted(ALL_FAULTS))
async def test_a_fault_is_the_same_in_memory_and_over_a_socket(
    fault: Fault, operation: str
) -> None:
    assert await in_memory(fault, operation) == await over_a_socket(fault, operation)


async def test_a_body_that_drips_to_its_end_is_whole() -> None:
    """In as many pieces as it has bytes, with no time between them."""
    drips = attrs.evolve(QUICK, drip=0.0)

    met = await in_memory(Fault.SLOW_BODY, "create", drips)
    assert met == await over_a_socket(Fault.SLOW_BODY, "create", drips)
    assert met[0] == "", "an error"


async def test_another_fault_is_seen_otherwise() -> None:
    """The control: the comparison can fail."""
    met = await in_memory(Fault.RESET_BEFORE_COMMIT, "create")

    assert met != await over_a_socket(Fault.RESET_AFTER_COMMIT, "create")


@pytest.mark.parametrize("platform", [SigmaMind, Verbex, DialNexa])
async def test_every_platform_answers_in_memory(
    platform: type[SigmaMind | Verbex | DialNexa],
) -> None:
    box = Sandbox()
    name = platform.platform.name
    [endpoint] = [each for each in box.endpoints if each.name == name]
    client = platform(endpoint.api_key, transport=box.transport(name))

    assert [number async for number in client.phone_numbers.list()] == []
    assert endpoint.requests.total == 1


async def test_a_redirect_leads_where_the_request_was_sent() -> None:
    """To the address of the platform itself, by which a client in memory knows it."""
    box = Sandbox(switches=Switches(verbex=VerbexSwitches(collection_path="slash")))
    client = Verbex(box.verbex.api_key, transport=box.transport("verbex"))

    assert [number async for number in client.phone_numbers.list()] == []
    assert box.verbex.requests.by_status == {307: 1, 200: 1}


async def test_a_body_that_is_too_large_is_refused_in_memory_too() -> None:
    box = Sandbox()
    client = SigmaMind(box.sigmamind.api_key, transport=box.transport())
    body = {"countryCode": "US", "filler": "x" * (1 << 20)}

    with pytest.raises(APIStatusError, match="413"):
        await client.request("POST", "/v1/phone-numbers", json=body)


async def test_a_platform_that_does_not_exist_has_no_transport() -> None:
    with pytest.raises(ValueError, match="no platform 'acme'"):
        Sandbox().transport("acme")


async def test_connections_can_be_refused_in_memory() -> None:
    box = Sandbox()
    client = SigmaMind(box.sigmamind.api_key, transport=box.transport(), retry=ONCE)
    box.refuse(60.0)

    with pytest.raises(APIConnectionError) as caught:
        await client.phone_numbers.create(country_code="US")
    assert (caught.value.committed, len(box.ledger)) == ("no", 0)


# ---------------------------------------------------------------- time


def virtually(main: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


def test_a_purchase_goes_on_when_its_caller_has_left() -> None:
    """As over a socket: who hangs up stops nothing."""
    box = Sandbox(latency=(0.05, 0.05))
    client = SigmaMind(box.sigmamind.api_key, transport=box.transport())

    async def leave() -> None:
        task = asyncio.create_task(client.phone_numbers.create(country_code="US"))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises((asyncio.CancelledError, OutcomeUnknownError)):
            await task
        await box.settled()

    virtually(leave())
    assert [commit.delivered for commit in box.ledger.purchases] == [False]


async def buy_many(count: int, seed: int, settle_time: float = 900.0) -> tuple[float, int]:
    """Buy *count* numbers through faults; return seconds passed, and how many are held twice."""
    box = Sandbox(seed=seed, faults=Faults(share=0.2, kinds=REALISTIC_FAULTS, hang=30.0, late=60.0))
    client = in_virtual_time(SigmaMind(box.sigmamind.api_key, transport=box.transport()))
    provisioner = Provisioner(
        client, MemoryJournal(), retry_unconfirmed=True, settle_time=settle_time
    )
    values = [
        (f"row-{index}", CreatePhoneNumber(country_code="US", friendly_name=f"L{index}"))
        for index in range(count)
    ]
    bought: dict[str, str] = {}
    while len(bought) < count:
        async for outcome in provisioner.run_many(values):
            if outcome.result is not None:
                bought[outcome.op_id or ""] = outcome.result.sip_phone_number
        await asyncio.sleep(900.0)
        await provisioner.reconcile()
    await box.settled()
    await provisioner.sweep()
    assert set(bought.values()) <= set(box.ledger.owned())
    return asyncio.get_running_loop().time(), len(box.ledger.owned_twice())


def test_a_settle_time_of_minutes_passes_in_virtual_time() -> None:
    """200 purchases with 20 % faults, 15 minutes of waiting for late requests: each bought once."""
    seconds, twice = virtually(buy_many(200, seed=3))

    assert seconds > 900.0
    assert twice == 0


def test_with_a_settle_time_that_is_too_short_some_are_held_twice() -> None:
    """The control: requests arrive up to a minute late."""
    assert virtually(buy_many(200, seed=3, settle_time=1.0))[1] > 0


async def test_in_fake_time_the_sandbox_waits_by_the_clock() -> None:
    """A hang of an hour ends the attempt, and takes no time."""
    clock = FakeClock()
    box = Sandbox(faults=Faults(hang=3600.0), clock=clock)
    box.sigmamind.script("list", [Fault.HANG_BEFORE_COMMIT])
    client = in_fake_time(
        SigmaMind(box.sigmamind.api_key, transport=box.transport(), deadline=10_000.0), clock
    )
    began = clock()

    assert await collect(client) == 0
    assert clock() - began > 3600.0


async def test_a_rate_limit_holds_in_memory() -> None:
    box = Sandbox(rate_limit=RateLimit(per_second=50.0, burst=2))
    client = SigmaMind(box.sigmamind.api_key, transport=box.transport())
    found = await asyncio.gather(*(collect(client) for _ in range(8)))

    assert set(found) == {0}
    assert box.sigmamind.requests.by_status[429] > 0
