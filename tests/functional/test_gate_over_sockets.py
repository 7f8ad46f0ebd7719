"""The gate against a platform that counts: nearly everything passes, a dead one is left alone."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter

import attrs
import pytest

from sigmamind_async import (
    APIConnectionError,
    CircuitOpenError,
    Gate,
    RateLimitError,
    RetryPolicy,
    ServerError,
)
from sigmamind_async.limiter.gate import Admission
from sigmamind_async.platforms.sigmamind import CreatePhoneNumber
from tests.functional.faultserver import Exchange, FaultServer, always, answer, in_turn, response
from tests.functional.support import NUMBER, ONCE, client_of, error_of, record, record_at
from tests.harness.ports import closed_port


@attrs.define
class Limited:
    """A platform that admits *rate* requests a second after a first *burst*."""

    rate: float
    burst: float
    wait: str | None
    """Its ``Retry-After``, in seconds."""
    status: int = 429
    passed: int = 0
    refused: int = 0
    tokens: float = attrs.field(default=attrs.Factory(lambda self: self.burst, takes_self=True))
    seen: float = attrs.field(factory=time.monotonic)

    async def treat(self, exchange: Exchange) -> None:
        request = await exchange.read()
        now = time.monotonic()
        self.tokens = min(self.burst, self.tokens + (now - self.seen) * self.rate)
        self.seen = now
        if self.tokens < 1:
            self.refused += 1
            told = {} if self.wait is None else {"Retry_After": self.wait}
            await exchange.write(response(self.status, b"{}", **told))
            return
        self.tokens -= 1
        self.passed += request.method != "GET"  # a look whether it is back buys nothing
        await exchange.write(response(200, record_at(request.path)))


async def updates(platform: Limited, count: int) -> None:
    """Make *count* updates at once; none may fail."""
    async with (
        FaultServer(always(platform.treat)) as server,
        client_of(server.url, deadline=60.0) as client,
    ):
        numbers = client.phone_numbers
        calls = (numbers.update(f"+1415555{n:04}", friendly_name="x") for n in range(count))
        await asyncio.gather(*calls)


async def test_a_burst_of_updates_passes_with_few_refusals() -> None:
    """300 at once where 50 a second are allowed: all succeed, after one burst of refusals."""
    platform = Limited(rate=50, burst=50, wait="1")
    await updates(platform, 300)
    assert platform.passed == 300
    assert platform.refused <= platform.passed / 2


async def test_a_gate_that_learns_nothing_is_refused_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Admission, "throttled", lambda *_, **__: 0.0)
    platform = Limited(rate=50, burst=50, wait="0.1")
    await updates(platform, 150)
    assert platform.refused > platform.passed / 2


async def test_a_job_outlasts_a_platform_that_sheds_load_with_503() -> None:
    """However often one row meets it; a single call would fail after three."""
    platform = Limited(rate=100, burst=1, wait=None, status=503)
    quick = RetryPolicy(max_attempts=1, base=0.01, throttle_base=0.05)
    async with (
        FaultServer(always(platform.treat)) as server,
        client_of(server.url, retry=quick) as client,
    ):
        numbers = [f"+1415555{n:04}" for n in range(40)]
        result = await client.phone_numbers.update_many(numbers, friendly_name="x")
    assert len(result.done) == 40
    assert platform.refused > 0


@pytest.mark.parametrize(
    ("refusals", "unconfirmed"), [({429, 503}, False), ({429}, True)], ids=["told", "the control"]
)
async def test_purchases_pass_a_limiter_that_says_503(
    refusals: set[int], *, unconfirmed: bool
) -> None:
    """One that hands nothing on; without being told so, nobody may send a purchase again."""
    platform = Limited(rate=50, burst=5, wait=None, status=503)
    wanted = (CreatePhoneNumber(country_code="US") for _ in range(60))
    async with (
        FaultServer(always(platform.treat)) as server,
        client_of(server.url, gate=Gate(refusal_statuses=refusals), deadline=60.0) as client,
    ):
        found = Counter([outcome.status async for outcome in client.run_many(wanted)])
    assert platform.refused > 0
    assert found.total() == 60
    assert (found["unconfirmed"] > 0) is unconfirmed
    probes = server.methods["GET"]  # as a circuit sends that has opened
    assert found["done"] <= platform.passed <= found["done"] + probes


@pytest.mark.parametrize("prefix", ["X-RateLimit", "x-ratelimit", "RateLimit"])
async def test_a_reported_window_is_kept_to_however_its_headers_are_spelled(prefix: str) -> None:
    told = {f"{prefix}-Limit": "100", f"{prefix}-Remaining": "50", f"{prefix}-Reset": "10"}
    async with (
        FaultServer(always(answer(200, record(), **told))) as server,
        client_of(server.url) as client,
    ):
        assert client.gate.state.rate is None
        await client.phone_numbers.get(NUMBER)
        assert client.gate.state.rate == pytest.approx(5.0, rel=0.05)


@pytest.mark.parametrize("status", [200, 429])
async def test_a_stated_policy_is_the_rate_and_the_burst_from_the_first_answer_on(
    status: int,
) -> None:
    told = {"RateLimit-Policy": '"default";q=100;w=50', "RateLimit": '"default";r=50;t=30'}
    async with (
        FaultServer(always(answer(status, record(), **told))) as server,
        client_of(server.url, deadline=5.0) as client,
    ):
        with contextlib.suppress(CircuitOpenError, RateLimitError):
            await client.phone_numbers.get(NUMBER)
        assert client.gate.state.rate == pytest.approx(2.0)
        assert client.gate.state.burst == 100.0


async def test_the_circuit_opens_before_a_dead_platform() -> None:
    """Whoever comes after is told at once that nothing was sent."""
    gate = Gate(admission=Admission(failures_to_open=5, probe_every=60.0))
    async with (
        FaultServer(always(answer(500))) as server,
        client_of(server.url, gate=gate, retry=ONCE) as client,
    ):
        for _ in range(5):
            assert type(await error_of(client.phone_numbers.get(NUMBER))) is ServerError
        error = await error_of(client.phone_numbers.create(country_code="US"))
    assert (type(error), error.committed, error.attempts) == (CircuitOpenError, "no", 0)
    assert 0 < error.retry_after <= 60.0
    assert server.methods == {"GET": 5}


async def test_without_a_circuit_a_dead_platform_is_asked_on_and_on() -> None:
    gate = Gate(admission=Admission(failures_to_open=1_000_000))
    async with (
        FaultServer(always(answer(500))) as server,
        client_of(server.url, gate=gate, retry=ONCE) as client,
    ):
        for _ in range(30):
            await error_of(client.phone_numbers.get(NUMBER))
    assert server.methods == {"GET": 30}


async def test_the_circuit_opens_before_a_closed_port() -> None:
    gate = Gate(admission=Admission(failures_to_open=5, probe_every=60.0))
    async with client_of(f"http://127.0.0.1:{closed_port()}", gate=gate) as client:
        errors = [await error_of(client.phone_numbers.get(NUMBER)) for _ in range(4)]
    kinds = [type(error) for error in errors]
    assert kinds[0] is APIConnectionError
    assert kinds[-1] is CircuitOpenError
    assert sum(error.attempts for error in errors) == 5


async def test_a_probe_closes_the_circuit() -> None:
    ahead = 0.0
    gate = Gate(
        admission=Admission(failures_to_open=2, probe_every=30.0),
        clock=lambda: time.monotonic() + ahead,
    )
    script = in_turn(answer(500), answer(500), answer(200, record()))
    async with (
        FaultServer(script) as server,
        client_of(server.url, gate=gate, retry=ONCE, deadline=60.0) as client,
    ):
        for _ in range(2):
            await error_of(client.phone_numbers.get(NUMBER))
        assert type(await error_of(client.phone_numbers.get(NUMBER))) is CircuitOpenError
        ahead = 31.0
        assert (await client.phone_numbers.get(NUMBER)).active
        assert (await client.phone_numbers.get(NUMBER)).active
    assert len(server.received) == 4


async def test_who_cannot_wait_is_refused_at_once() -> None:
    """`max_wait` is for handlers that must answer now; nothing more reaches the platform."""
    async with (
        FaultServer(always(answer(429, Retry_After="30"))) as server,
        client_of(server.url, gate=Gate(max_wait=1.0), deadline=20.0) as client,
    ):
        assert type(await error_of(client.phone_numbers.get(NUMBER))) is RateLimitError
        error = await error_of(client.phone_numbers.get(NUMBER))
    assert (type(error), error.committed, error.attempts) == (CircuitOpenError, "no", 0)
    assert error.retry_after == pytest.approx(30.0, abs=5.0)
    assert len(server.received) == 1


async def test_who_has_no_time_left_in_the_queue_sent_nothing() -> None:
    async with (
        FaultServer(always(answer(429, Retry_After="30"))) as server,
        client_of(server.url, deadline=0.2) as client,
    ):
        assert type(await error_of(client.phone_numbers.get(NUMBER))) is RateLimitError
        error = await error_of(client.phone_numbers.create(country_code="US"))
    assert (type(error), error.committed, error.attempts) == (CircuitOpenError, "no", 0)
    assert server.methods == {"GET": 1}
