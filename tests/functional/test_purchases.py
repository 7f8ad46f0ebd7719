"""One call, at most one purchase, whatever becomes of the answer; and an error that says so."""

from __future__ import annotations

import asyncio
from typing import ClassVar

import attrs
import pytest

from sigmamind_async import (
    APIConnectionError,
    APIStatusError,
    BadRequestError,
    ConflictError,
    InsufficientFundsError,
    OutcomeUnknownError,
    SigmaMind,
)
from sigmamind_async.client import Operations
from sigmamind_async.errors import Committed
from sigmamind_async.events import AttemptScheduled, CallFinished, Event
from sigmamind_async.operation import Operation
from sigmamind_async.platforms.sigmamind import CreatePhoneNumber, ImportPhoneNumber, PhoneNumber
from sigmamind_async.platforms.sigmamind import operations as vendor
from sigmamind_async.values import REDACTED
from tests.functional.faultserver import (
    FaultServer,
    Treatment,
    always,
    answer,
    breaking_off,
    close_when_read,
    hang,
    in_turn,
    reset_when_read,
    response,
    stalling,
)
from tests.functional.support import FAST, KEY, NUMBER, PASSWORD, client_of, error_of, record
from tests.harness.ports import closed_port, free_port

ANY_NUMBER = CreatePhoneNumber(country_code="US")
THIS_NUMBER = CreatePhoneNumber(phone_number=NUMBER, friendly_name="Support")
CUT = response(201, record())[:-5]


@attrs.frozen
class End:
    """What the caller is told."""

    error: type[Exception]
    committed: Committed
    status: int | None = None


LOST = End(OutcomeUnknownError, "unknown")


def unread(status: int = 201) -> End:
    return End(OutcomeUnknownError, "yes", status)


def doubtful(status: int) -> End:
    return End(OutcomeUnknownError, "unknown", status)


ENDS: dict[str, tuple[Treatment, End]] = {
    "closed": (close_when_read, LOST),
    "reset": (reset_when_read, LOST),
    "silent": (hang, LOST),
    "garbage": (breaking_off(b"\x00\x01\x02\r\n\r\n"), LOST),
    "half a head": (breaking_off(b"HTTP/1.1 201 Cr"), LOST),
    "408": (answer(408), doubtful(408)),
    "499": (answer(499), doubtful(499)),
    "500": (answer(500), doubtful(500)),
    "502": (answer(502), doubtful(502)),
    "503": (answer(503), doubtful(503)),
    "503 with a wait": (answer(503, Retry_After="0"), doubtful(503)),
    "504": (answer(504), doubtful(504)),
    "303": (answer(303, Location="/elsewhere"), unread(303)),
    "201 cut": (breaking_off(CUT), unread()),
    "201 stalls": (stalling(CUT), unread()),
    "201 empty": (answer(201, b""), unread()),
    "201 HTML": (answer(201, b"<html>", Content_Type="text/html"), doubtful(201)),
    "201 too large": (answer(201, b" " * (5 << 20)), unread()),
    "201 no object": (answer(201, b"[]"), unread()),
    "201 wrong type": (answer(201, record(sipPhoneNumber=[])), unread()),
    "200 null": (answer(200, b"null"), unread(200)),
    "204": (answer(204, b""), unread(204)),
    "400": (answer(400), End(BadRequestError, "no", 400)),
    "402": (answer(402), End(InsufficientFundsError, "no", 402)),
    "409": (answer(409), End(ConflictError, "no", 409)),
    "307": (answer(307, Location="/elsewhere"), End(APIStatusError, "no", 307)),
}


def patience(name: str) -> float:
    """Return the seconds an attempt may take: few only where nothing comes."""
    return 0.5 if name in {"silent", "201 stalls"} else 30.0


@pytest.mark.parametrize("name", ENDS)
async def test_a_purchase_is_sent_once_and_its_end_is_told(name: str) -> None:
    """One request; the class, `committed`, `status`, `value` and `retryable` of the error."""
    treatment, end = ENDS[name]
    async with (
        FaultServer(always(treatment)) as server,
        client_of(server.url, attempt_timeout=patience(name)) as client,
    ):
        error = await error_of(client.run(ANY_NUMBER))
    assert server.methods == {"POST": 1}
    status = getattr(error, "status", None)
    assert (type(error), error.committed, status) == (end.error, end.committed, end.status)
    assert (error.retryable, error.attempts) == (False, 1)
    assert getattr(error, "value", ANY_NUMBER) == ANY_NUMBER


async def test_an_import_of_unknown_end_keeps_no_password() -> None:
    value = ImportPhoneNumber(phone_number=NUMBER, trunk_password=PASSWORD)
    async with (
        FaultServer(always(close_when_read)) as server,
        client_of(server.url) as client,
    ):
        error = await error_of(client.run(value))
    assert server.methods["POST"] == 1
    assert error.value.trunk_password is REDACTED
    assert PASSWORD.encode() in server.received[0].body


async def test_a_cancelled_purchase_was_sent_once() -> None:
    async with FaultServer(always(hang)) as server, client_of(server.url) as client:
        task = asyncio.create_task(client.run(ANY_NUMBER))
        await server.arrival.wait()
        task.cancel()
        assert isinstance(await error_of(task), asyncio.CancelledError)
    assert server.methods == {"POST": 1}


def called_repeatable(value: CreatePhoneNumber) -> Operation[PhoneNumber]:
    return attrs.evolve(vendor.create_phone_number(value), repeatable=True)


class Reckless(SigmaMind):
    operations: ClassVar[Operations] = {CreatePhoneNumber: called_repeatable}


@pytest.mark.parametrize("name", ["closed", "reset", "silent", "500", "503", "408", "201 cut"])
async def test_a_purchase_called_repeatable_is_made_again(name: str) -> None:
    """The guard is `Operation.repeatable`: turned the wrong way, it buys three times."""
    async with (
        FaultServer(always(ENDS[name][0])) as server,
        Reckless(KEY, base_url=server.url, attempt_timeout=patience(name), retry=FAST) as client,
    ):
        await error_of(client.run(ANY_NUMBER))
    assert server.methods["POST"] == 3


# --- what may be sent again ------------------------------------------------------------------


async def test_a_refused_connection_is_tried_again() -> None:
    async with client_of(f"http://127.0.0.1:{closed_port()}") as client:
        error = await error_of(client.run(ANY_NUMBER))
    assert (type(error), error.committed) == (APIConnectionError, "no")
    assert (error.retryable, error.attempts) == (True, 3)


async def test_a_purchase_that_was_not_sent_is_made_when_the_platform_is_back() -> None:
    """Nothing listens at first; what was not sent may be sent."""
    port = free_port()
    refused, platforms = asyncio.Event(), list[FaultServer]()

    def listen(event: Event) -> None:
        if isinstance(event, AttemptScheduled) and not platforms:
            platforms.append(FaultServer(always(answer(201, record())), port=port))
            refused.set()

    async with client_of(f"http://127.0.0.1:{port}", observer=listen) as client:
        purchase = asyncio.create_task(client.run(ANY_NUMBER))
        await refused.wait()
        async with platforms[0] as server:
            assert (await purchase).active
    assert server.methods == {"POST": 1}


async def test_a_throttled_purchase_is_made_later() -> None:
    """429 says that nothing was done."""
    script = in_turn(answer(429, Retry_After="0"), answer(429), answer(201, record()))
    async with FaultServer(script) as server, client_of(server.url) as client:
        assert (await client.run(ANY_NUMBER)).active
    assert server.methods == {"POST": 3}


# --- reading back ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["closed", "reset", "silent", "500", "503", "201 cut", "201 HTML"])
async def test_an_exact_number_is_read_back_and_adopted(name: str) -> None:
    """The answer is lost, the number is there with every field that was sent: it is the result."""
    events: list[Event] = []
    found = record(friendlyName="Support")
    async with (
        FaultServer(in_turn(ENDS[name][0], answer(200, found))) as server,
        client_of(server.url, attempt_timeout=patience(name), observer=events.append) as client,
    ):
        number = await client.run(THIS_NUMBER)
    assert (number.sip_phone_number, number.friendly_name) == (NUMBER, "Support")
    assert [request.method for request in server.received] == ["POST", "GET"]
    assert isinstance(events[-1], CallFinished)
    assert events[-1].adopted


NOT_OURS: dict[str, Treatment] = {
    "another label": answer(200, record(friendlyName="Sales")),
    "no label": answer(200, record()),
    "another number": answer(200, record(sipPhoneNumber="+14155550199", friendlyName="Support")),
    "not there": answer(404),
    "no answer": close_when_read,
    "garbage": answer(200, b"<html>"),
}


@pytest.mark.parametrize("name", NOT_OURS)
async def test_what_is_not_what_was_asked_for_is_not_adopted(name: str) -> None:
    async with (
        FaultServer(in_turn(close_when_read, NOT_OURS[name])) as server,
        client_of(server.url) as client,
    ):
        error = await error_of(client.run(THIS_NUMBER))
    assert server.methods["POST"] == 1
    assert (type(error), error.committed, error.value) == (
        OutcomeUnknownError,
        "unknown",
        THIS_NUMBER,
    )


async def test_without_the_comparison_another_purchase_would_be_adopted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(vendor, "differing_fields", lambda value, found, fields: ())
    script = in_turn(close_when_read, NOT_OURS["another label"])
    async with FaultServer(script) as server, client_of(server.url) as client:
        assert (await client.run(THIS_NUMBER)).friendly_name == "Sales"


async def test_a_number_of_the_platforms_choosing_cannot_be_read_back() -> None:
    async with FaultServer(always(close_when_read)) as server, client_of(server.url) as client:
        await error_of(client.run(ANY_NUMBER))
    assert server.methods == {"POST": 1}


async def test_a_rejected_purchase_is_not_read_back() -> None:
    """Somebody else's number of that name would be mistaken for a purchase."""
    script = in_turn(answer(409), answer(200, record(friendlyName="Support")))
    async with FaultServer(script) as server, client_of(server.url) as client:
        assert type(await error_of(client.run(THIS_NUMBER))) is ConflictError
    assert server.methods == {"POST": 1}


# --- deletions -------------------------------------------------------------------------------


async def test_a_number_that_is_gone_after_a_lost_deletion_was_deleted() -> None:
    script = in_turn(close_when_read, answer(404))
    async with FaultServer(script) as server, client_of(server.url) as client:
        await client.phone_numbers.delete(NUMBER)
    assert server.methods == {"DELETE": 2}


async def test_a_number_that_was_never_there_is_an_error() -> None:
    async with FaultServer(always(answer(404))) as server, client_of(server.url) as client:
        error = await error_of(client.phone_numbers.delete(NUMBER))
    assert (error.status, error.committed) == (404, "no")
