"""Three times that are apart: to connect, for one attempt, for the whole call."""

from __future__ import annotations

import asyncio
import time

import pytest

from sigmamind_async import (
    APITimeoutError,
    OutcomeUnknownError,
    RateLimitError,
    RetryPolicy,
    ServerError,
)
from sigmamind_async.events import AttemptFinished, AttemptScheduled, Event
from tests.functional.conftest import Certificates
from tests.functional.faultserver import (
    Exchange,
    FaultServer,
    Treatment,
    always,
    answer,
    hang,
    stalling,
)
from tests.functional.support import NUMBER, ONCE, client_of, error_of, record
from tests.functional.test_fault_matrix import black_hole

PATIENT = RetryPolicy(max_attempts=1_000, base=0.001)


async def test_a_connection_that_takes_too_long_was_not_sent_anything() -> None:
    with black_hole() as port:
        url = f"http://127.0.0.1:{port}"
        async with client_of(url, connect_timeout=0.05, retry=ONCE) as client:
            error = await error_of(client.phone_numbers.create(country_code="US"))
    assert (type(error), error.committed) == (APITimeoutError, "no")


async def test_the_connect_timeout_holds_for_the_handshake(certificates: Certificates) -> None:
    """A host that takes the connection and never speaks TLS was sent nothing, either."""
    async with FaultServer(always(hang)) as server:
        url = server.url.replace("http:", "https:")
        options = {"connect_timeout": 0.05, "retry": ONCE, "ssl": certificates.trusting}
        async with client_of(url, **options) as client:
            error = await error_of(client.phone_numbers.create(country_code="US"))
    assert (type(error), error.committed) == (APITimeoutError, "no")


async def test_the_connect_timeout_is_not_the_time_for_an_answer() -> None:
    async def answer_slowly(exchange: Exchange) -> None:
        await asyncio.sleep(0.1)
        await answer(200, record())(exchange)

    async with (
        FaultServer(always(answer_slowly)) as server,
        client_of(server.url, connect_timeout=0.05, retry=ONCE) as client,
    ):
        await client.phone_numbers.get(NUMBER)
    assert len(server.received) == 1


async def test_an_attempt_that_takes_too_long_is_followed_by_another() -> None:
    events: list[Event] = []
    async with (
        FaultServer(always(hang)) as server,
        client_of(server.url, attempt_timeout=0.3, observer=events.append) as client,
    ):
        error = await error_of(client.phone_numbers.get(NUMBER))
    assert (type(error), error.attempts, error.committed) == (APITimeoutError, 3, "no")
    assert len([one for one in events if isinstance(one, AttemptFinished)]) == 3
    assert server.methods == {"GET": 3}


@pytest.mark.parametrize(
    "treatment", [hang, stalling(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"), answer(500)]
)
async def test_no_call_outlives_its_deadline(treatment: Treatment) -> None:
    """However many attempts it might still have."""
    async with FaultServer(always(treatment)) as server:
        options = {"deadline": 1.0, "attempt_timeout": 0.3, "retry": PATIENT}
        async with client_of(server.url, **options) as client:
            began = time.monotonic()
            error = await error_of(client.phone_numbers.get(NUMBER))
            took = time.monotonic() - began
    assert error.attempts > 1
    assert took < 5.0


async def test_the_deadline_cuts_the_attempt_short() -> None:
    async with (
        FaultServer(always(hang)) as server,
        client_of(server.url, deadline=0.5, attempt_timeout=60) as client,
    ):
        error = await error_of(client.phone_numbers.create(country_code="US"))
    assert (type(error), error.attempts) == (OutcomeUnknownError, 1)
    assert error.elapsed < 5.0


@pytest.mark.parametrize(("status", "error_class"), [(429, RateLimitError), (503, ServerError)])
async def test_a_wait_that_does_not_fit_is_not_begun(
    status: int, error_class: type[Exception]
) -> None:
    """The error comes at once and says how long to wait."""
    events: list[Event] = []
    async with (
        FaultServer(always(answer(status, Retry_After="100"))) as server,
        client_of(server.url, deadline=50.0, observer=events.append) as client,
    ):
        error = await error_of(client.phone_numbers.get(NUMBER))
    assert (type(error), error.retry_after, error.retryable) == (error_class, 100.0, True)
    assert [one for one in events if isinstance(one, AttemptScheduled)] == []
    assert len(server.received) == 1


async def test_a_wait_that_fits_is_begun() -> None:
    events: list[Event] = []
    async with (
        FaultServer(always(answer(429, Retry_After="0.05"))) as server,
        client_of(server.url, deadline=1.5, observer=events.append) as client,
    ):
        error = await error_of(client.phone_numbers.get(NUMBER))
    waits = [one.delay for one in events if isinstance(one, AttemptScheduled)]
    assert type(error) is RateLimitError
    assert waits
    assert min(waits) >= 0.05
