"""A job that ends early knows what became of every row the platform has seen."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from sigmamind_async.bulk import BulkRun, Outcome
from sigmamind_async.convert import RequestValue
from sigmamind_async.platforms.sigmamind import PhoneNumber, UpdatePhoneNumber
from tests.functional.faultserver import Exchange, FaultServer, always, response
from tests.functional.support import client_of, record_at

Run = BulkRun[RequestValue[PhoneNumber], PhoneNumber]
Found = Outcome[RequestValue[PhoneNumber], PhoneNumber]


async def take_a_while(exchange: Exchange) -> None:
    request = await exchange.read()
    await asyncio.sleep(0.002 * (len(exchange.server.received) % 4))
    await exchange.write(response(200, record_at(request.path, friendlyName=request.path)))


def values(count: int = 500) -> Iterator[UpdatePhoneNumber]:
    for index in range(count):
        yield UpdatePhoneNumber(phone_number=f"+1415555{index:04}", friendly_name="x")


def path_of(outcome: Found) -> str:
    assert isinstance(outcome.value, UpdatePhoneNumber)
    return f"/v1/phone-numbers/%2B{outcome.value.phone_number[1:]}"


def unaccounted(server: FaultServer, outcomes: list[Found]) -> set[str]:
    """Return what the platform has seen and no outcome calls done or unconfirmed."""
    known = {path_of(one) for one in outcomes if one.status in {"done", "unconfirmed"}}
    return {request.path for request in server.received} - known


def others() -> set[asyncio.Task[object]]:
    """Return the running tasks that are not a server's."""
    running = asyncio.all_tasks() - {asyncio.current_task()}
    servers = ("FaultServer", "_accept_connection")
    return {task for task in running if not any(name in repr(task) for name in servers)}


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("taken", [1, 7, 60])
async def test_leaving_early_loses_no_row(taken: int, *, ordered: bool) -> None:
    delivered: list[Found] = []
    async with (
        FaultServer(always(take_a_while)) as server,
        client_of(server.url, max_connections=20) as client,
    ):
        run = client.run_many(values(), ordered=ordered)
        rows = aiter(run)
        async for outcome in rows:
            delivered.append(outcome)
            if len(delivered) == taken:
                break
        await rows.aclose()
        assert others() == set()
        await client.close()
        await server.all_served()
    assert unaccounted(server, delivered + run.undelivered) == set()
    indexes = [one.index for one in delivered + run.undelivered]
    assert len(set(indexes)) == len(indexes) < 500


@pytest.mark.parametrize("turns", [0, 1, 5, 20, 50, 120, 300])
async def test_cancelling_the_consumer_loses_no_row(turns: int) -> None:
    delivered: list[Found] = []
    async with (
        FaultServer(always(take_a_while)) as server,
        client_of(server.url, max_connections=20) as client,
    ):
        run = client.run_many(values())
        task = asyncio.create_task(consume(run, delivered))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled() or len(delivered) == 500
        assert others() == set()
        await client.close()
        await server.all_served()
    assert unaccounted(server, delivered + run.undelivered) == set()


async def consume(run: Run, delivered: list[Found]) -> None:
    async for outcome in run:
        delivered.append(outcome)  # noqa: PERF401 - what came before a cancellation stays


async def test_plain_tasks_lose_what_was_under_way() -> None:
    """The same eyes on a gather that is cancelled: the platform has seen rows nobody knows of."""
    done: list[str] = []
    enough = asyncio.Event()
    async with (
        FaultServer(always(take_a_while)) as server,
        client_of(server.url, max_connections=20) as client,
    ):

        async def update(value: UpdatePhoneNumber) -> None:
            done.append(str((await client.run(value)).friendly_name))
            enough.set()

        calls = asyncio.gather(*map(update, values()))
        await enough.wait()
        calls.cancel()
        await asyncio.wait([calls])
        await client.close()
        await server.all_served()
    assert {request.path for request in server.received} - set(done)


async def test_every_row_has_its_own_outcome() -> None:
    """Some fail, some are refused here, the rest is done; the counts agree with the platform."""

    async def refuse_every_tenth(exchange: Exchange) -> None:
        request = await exchange.read()
        refused = request.path.endswith("7")
        said = record_at(request.path, friendlyName=request.path)
        await exchange.write(response(422 if refused else 200, said))

    async with (
        FaultServer(always(refuse_every_tenth)) as server,
        client_of(server.url, max_connections=20) as client,
    ):
        run = client.run_many(values(300), ordered=True)
        outcomes = [outcome async for outcome in run]
    assert [one.index for one in outcomes] == list(range(300))
    assert (run.progress.done, run.progress.failed, run.undelivered) == (270, 30, [])
    assert all(one.result.friendly_name == path_of(one) for one in outcomes if one.result)
    assert len(server.received) == 300
