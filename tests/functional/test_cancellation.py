"""A call that is cancelled at any turn of the loop tells the truth and leaves nothing behind."""

from __future__ import annotations

import asyncio
import gc

import aiohttp
import attrs
import pytest

from sigmamind_async.operation import ConnectionFlag
from sigmamind_async.transport import AiohttpTransport
from sigmamind_async.transport.connections import Connector
from tests.functional.conftest import Run
from tests.functional.faultserver import FaultServer, always, answer
from tests.functional.support import client_of, error_of, open_sockets, record, send

TURNS = range(61)


@attrs.frozen
class Cancelled:
    """What was found after one cancellation."""

    marked: bool
    arrived: int
    tasks: int
    """Tasks that outlived it."""


async def cancelled_after(
    turns: int, transport: AiohttpTransport, server: FaultServer
) -> Cancelled:
    before = len(server.received)
    mark = ConnectionFlag()
    task = asyncio.create_task(send(transport, server.url, mark=mark))
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    await transport.aclose()
    await asyncio.sleep(0.002)
    await server.all_served()
    left = asyncio.all_tasks() - {asyncio.current_task()}
    return Cancelled(bool(mark.connected), len(server.received) - before, len(left))


async def cancelled_at_every_turn(*, warm: bool) -> list[Cancelled]:
    found = []
    async with FaultServer(always(answer(201))) as server:
        for turns in TURNS:
            transport = AiohttpTransport()
            if warm:
                await send(transport, server.url)
            found.append(await cancelled_after(turns, transport, server))
    return found


@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
def test_no_cancelled_request_arrives_unmarked(run: Run[list[Cancelled]], *, warm: bool) -> None:
    """An unmarked attempt sent nothing, and some were cancelled on either side of that line."""
    found = run(cancelled_at_every_turn(warm=warm))
    assert [one for one in found if one.arrived and not one.marked] == []
    assert [one for one in found if one.arrived > 1 or one.tasks] == []
    assert {one.marked for one in found} == {False, True}


def test_without_the_mark_an_arrived_request_looks_unsent(
    run: Run[list[Cancelled]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Connector, "connect", aiohttp.TCPConnector.connect)
    found = run(cancelled_at_every_turn(warm=True))
    assert any(one.arrived and not one.marked for one in found)


@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
def test_no_socket_is_left_open(run: Run[list[Cancelled]], *, warm: bool) -> None:
    """Neither is a warning left, for the suite takes each for an error."""
    run(cancelled_at_every_turn(warm=warm))
    before = open_sockets()
    run(cancelled_at_every_turn(warm=warm))
    gc.collect()
    assert open_sockets() == before


def test_a_socket_that_is_left_open_is_seen() -> None:
    before = open_sockets()

    async def main() -> int:
        async with FaultServer(always(answer(201))):
            return open_sockets()

    assert asyncio.run(main()) > before == open_sockets()


@pytest.mark.parametrize("turns", range(0, 61, 4))
async def test_a_cancelled_purchase_is_made_at_most_once(turns: int) -> None:
    """`CancelledError` comes through, carries nothing, and the client goes on working."""
    async with (
        FaultServer(always(answer(201, record()))) as server,
        client_of(server.url) as client,
    ):
        task = asyncio.create_task(client.phone_numbers.create(country_code="US"))
        for _ in range(turns):
            await asyncio.sleep(0)
        if task.cancel():
            assert isinstance(await error_of(task), asyncio.CancelledError)
        await asyncio.sleep(0.002)
        assert server.methods["POST"] <= 1
        assert (await client.phone_numbers.create(country_code="US")).active
