"""The doubles that are shipped keep the protocols they stand for."""

import asyncio

import pytest

from sigmamind_async.errors import CircuitOpenError
from sigmamind_async.operation import ConnectionFlag, Fault, FaultKind, Response
from sigmamind_async.testing import FakeClock, ScriptedTransport, fault, reply
from sigmamind_async.transport import HttpRequest

OUT = HttpRequest(method="GET", url="https://acme.test/v1", headers={}, max_bytes=10)


async def test_answers_come_in_their_order_and_requests_are_kept() -> None:
    transport = ScriptedTransport([reply(201), reply(404)])

    assert await transport.send(OUT, ConnectionFlag(), 1.0) == reply(201)
    assert await transport.send(OUT, ConnectionFlag(), 1.0) == reply(404)
    assert list(transport.sent) == [OUT, OUT]


async def test_a_script_that_has_ended_fails_the_test() -> None:
    with pytest.raises(AssertionError, match=r"no answer for GET https://acme\.test/v1"):
        await ScriptedTransport([]).send(OUT, ConnectionFlag(), 1.0)


async def test_a_function_may_answer() -> None:
    transport = ScriptedTransport(lambda sent: reply(json=sent.url))

    assert await transport.send(OUT, ConnectionFlag(), 1.0) == reply(json="https://acme.test/v1")


@pytest.mark.parametrize("kind", FaultKind)
async def test_an_attempt_is_connected_unless_connecting_failed(kind: FaultKind) -> None:
    mark = ConnectionFlag()
    await ScriptedTransport([fault(kind)]).send(OUT, mark, 1.0)

    assert mark.connected is (kind not in {FaultKind.CONNECT, FaultKind.CONNECT_TIMEOUT})


async def test_latency_passes_on_the_clock_and_may_be_too_long(clock: FakeClock) -> None:
    transport = ScriptedTransport([reply(), reply()], latency=3.0, sleep=clock.sleep)

    assert isinstance(await transport.send(OUT, ConnectionFlag(), 5.0), Response)
    assert await transport.send(OUT, ConnectionFlag(), 2.0) == fault(FaultKind.TIMEOUT)
    assert clock.slept == [3.0, 2.0]


async def test_a_slow_connection_that_fails_is_one_that_was_not_had(clock: FakeClock) -> None:
    script = [fault(FaultKind.CONNECT)]
    transport = ScriptedTransport(script, latency=3.0, sleep=clock.sleep)
    answer = await transport.send(OUT, ConnectionFlag(), 1.0)

    assert isinstance(answer, Fault)
    assert answer.kind is FaultKind.CONNECT_TIMEOUT


async def test_only_so_many_requests_are_remembered() -> None:
    transport = ScriptedTransport(lambda _: reply(), remember=2)
    for _ in range(5):
        await transport.send(OUT, ConnectionFlag(), 1.0)

    assert len(transport.sent) == 2


async def test_a_clock_moves_only_when_told(clock: FakeClock) -> None:
    began = clock()
    clock.advance(1.5)
    await clock.sleep(2.0)

    assert clock() - began == 3.5
    assert clock.slept == [2.0]


async def test_sleeping_lets_others_have_their_turn(clock: FakeClock) -> None:
    order: list[str] = []

    async def other() -> None:
        order.append("other")

    task = asyncio.create_task(other())
    await clock.sleep(1.0)
    order.append("sleeper")

    assert order == ["other", "sleeper"]
    await task


async def test_a_gate_on_a_fake_clock_moves_it_on(clock: FakeClock) -> None:
    gate, began = clock.gate(), clock()
    gate.throttled((clock(), 1, ""), 30.0)
    await gate.acquire(width=1, deadline=clock() + 60.0)

    assert clock() - began == 30.0


async def test_a_gate_on_a_fake_clock_refuses_a_pause_past_the_deadline(clock: FakeClock) -> None:
    gate, began = clock.gate(), clock()
    gate.throttled((clock(), 1, ""), 90.0)
    with pytest.raises(CircuitOpenError, match="ends too late"):
        await gate.acquire(width=1, deadline=clock() + 60.0)

    assert clock() == began


async def test_a_gate_on_a_fake_clock_refuses_like_any_other(clock: FakeClock) -> None:
    gate, began = clock.gate(max_wait=5.0), clock()
    gate.throttled((clock(), 1, ""), 30.0)
    with pytest.raises(Exception, match="admits no more"):
        await gate.acquire(width=1, deadline=clock() + 60.0)

    assert clock() == began


async def test_a_broken_circuit_is_waited_out_by_the_patient_alone(clock: FakeClock) -> None:
    gate, began = clock.gate(), clock()
    for _ in range(20):
        gate.failed((clock(), 1, ""))
    with pytest.raises(Exception, match="keeps failing"):
        await gate.acquire(width=1, deadline=clock() + 60.0)
    assert clock() == began

    await gate.acquire(width=1, deadline=clock() + 60.0, unbounded=True)
    assert clock() > began
