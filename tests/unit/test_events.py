"""Observers: told everything, able to break nothing; and the log, which says the same."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from sigmamind_async import Gate, SigmaMind, events
from sigmamind_async.engine import Engine
from sigmamind_async.errors import ConfigurationError, OutcomeUnknownError, SigmaMindError
from sigmamind_async.events import (
    AttemptFinished,
    AttemptScheduled,
    AttemptStarted,
    CallEvent,
    CallFinished,
    CallQueued,
    CallStarted,
    Event,
    FieldsIgnored,
    OperationChanged,
    as_observer,
    notify,
)
from sigmamind_async.operation import FaultKind
from sigmamind_async.platforms.sigmamind import CreatePhoneNumber
from sigmamind_async.provisioning import MemoryJournal, Provisioner
from sigmamind_async.testing import (
    FakeClock,
    ScriptedTransport,
    fault,
    in_fake_time,
    in_virtual_time,
    reply,
)
from sigmamind_async.testing.doubles import Script
from sigmamind_async.testing.virtual_time import loop_time

NUMBER = "+14155552671"
RECORD = {"sipPhoneNumber": NUMBER, "friendlyName": "Desk"}
LOST = fault(FaultKind.DROPPED)
FINISHED = CallFinished(operation="acme.buy", attempts=1, elapsed=0.5, error=None)


def observed(script: Script, **settings: Any) -> tuple[SigmaMind, list[Any], ScriptedTransport]:
    seen: list[Any] = []
    transport = ScriptedTransport(script)
    client = SigmaMind("sk-test-0123", transport=transport, observer=seen.append, **settings)
    return in_fake_time(client, FakeClock()), seen, transport


# ---------------------------------------------------------------- observers


def test_an_observer_is_handed_the_event() -> None:
    seen: list[Event] = []

    notify(seen.append, FINISHED)

    assert seen == [FINISHED]


def test_without_an_observer_nothing_happens() -> None:
    notify(None, FINISHED)


def test_an_observer_that_raises_is_logged_and_harmless(caplog: pytest.LogCaptureFixture) -> None:
    """A broken observer must not cost a purchase its answer, nor another observer its event."""
    seen: list[Event] = []

    def broken(event: Event) -> None:
        raise RuntimeError("mine")

    notify(as_observer([broken, seen.append]), FINISHED)

    [record] = caplog.records
    assert (record.name, record.levelname) == ("sigmamind_async", "ERROR")
    assert record.getMessage() == "the observer failed on CallFinished"
    assert seen == [FINISHED]


def test_an_observer_cannot_swallow_an_interrupt() -> None:
    def interrupted(event: Event) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        notify(interrupted, FINISHED)


class Awaited:
    async def __call__(self, event: Event) -> None:
        pass


async def awaited(event: Event) -> None:
    pass


@pytest.mark.parametrize("wrong", [awaited, Awaited(), Awaited, "log", 1, [awaited], [print, None]])
def test_what_cannot_observe_is_refused_when_the_client_is_made(wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match="observer: must be a"):
        SigmaMind("key", observer=wrong)
    with pytest.raises(ConfigurationError, match="observer: must be a"):
        SigmaMind("key").with_options(observer=wrong)
    with pytest.raises(ConfigurationError, match="observer: must be a"):
        Provisioner(SigmaMind("key"), MemoryJournal(), observer=wrong)


# ---------------------------------------------------------------- identity


async def test_every_event_of_a_call_names_it_and_its_number() -> None:
    client, seen, _ = observed([reply(503), reply(200, RECORD, {"x-request-id": "r-1"})] * 2)
    for _ in range(2):
        await client.phone_numbers.update(NUMBER, friendly_name="Desk")

    kinds = [CallStarted, AttemptStarted, AttemptFinished, AttemptScheduled]
    kinds += [AttemptStarted, AttemptFinished, CallFinished]
    assert list(map(type, seen)) == kinds * 2
    assert {event.subject for event in seen} == {NUMBER}
    first, second = seen[:7], seen[7:]
    assert len({event.call for event in first} | {event.call for event in second}) == 2
    assert (seen[1].method, seen[1].url) == (
        "PATCH",
        "https://api.sigmamind.ai/v1/phone-numbers/%2B14155552671",
    )
    assert [event.request_id for event in first[-2:]] == ["r-1", "r-1"]


async def test_a_call_that_fails_says_why() -> None:
    client, seen, _ = observed([reply(404, {"message": "Phone number not found"})])
    with pytest.raises(SigmaMindError):
        await client.phone_numbers.get(NUMBER)

    assert (seen[-1].error, seen[-1].status) == ("NotFoundError", 404)
    assert seen[-1].message == "404: Phone number not found"


# Seen to fail with an engine that reports only calls that return or raise an error.
async def test_a_call_that_is_cancelled_ends_too(make_engine: Callable[..., Engine]) -> None:
    """A purchase whose caller leaves, as a web handler may, is counted."""
    seen: list[Any] = []
    transport = ScriptedTransport([reply(201, RECORD)], latency=60.0)
    client = SigmaMind("key", transport=transport, observer=seen.append)
    task = asyncio.create_task(client.phone_numbers.create(country_code="US"))
    await asyncio.sleep(1.0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert list(map(type, seen)) == [CallStarted, AttemptStarted, AttemptFinished, CallFinished]
    assert (seen[-1].error, seen[-1].committed) == ("CancelledError", "unknown")
    assert len({event.call for event in seen}) == 1


async def test_a_call_that_waits_at_the_gate_says_so() -> None:
    seen: list[Any] = []
    transport = ScriptedTransport(lambda _: reply(200, RECORD))
    client = in_virtual_time(SigmaMind("key", transport=transport, observer=seen.append))
    client = client.with_options(gate=Gate(max_rate=1.0, burst=1, clock=loop_time))
    for _ in range(2):
        await client.phone_numbers.get(NUMBER)

    [queued] = [event for event in seen if isinstance(event, CallQueued)]
    waits = [event.waited for event in seen if isinstance(event, AttemptStarted)]
    assert (queued.attempt, queued.call) == (1, seen[-1].call)
    assert waits == [0.0, pytest.approx(1.0, abs=0.1)]


# ---------------------------------------------------------------- headers of observers


async def test_an_observer_may_add_headers_to_a_request() -> None:
    def trace(event: Event) -> None:
        if isinstance(event, AttemptStarted):
            event.headers["traceparent"] = f"00-{event.attempt}"
            event.headers["X-API-Key"] = "stolen"
            event.headers["x-bad"] = "a\r\nb: c"

    transport = ScriptedTransport([reply(503), reply(200, RECORD)] * 2)
    client = SigmaMind("sk-test", transport=transport, observer=[trace, print])
    await client.phone_numbers.get(NUMBER)
    await client.with_options(observer=None).phone_numbers.get(NUMBER)

    sent = [request.headers for request in transport.sent]
    assert [each.get("traceparent") for each in sent] == ["00-1", "00-2", None, None]
    assert {each["X-API-Key"] for each in sent} == {"sk-test"}
    assert not any("x-bad" in each for each in sent)


# ---------------------------------------------------------------- operations


async def test_a_purchase_that_is_found_after_a_lost_answer_is_reported_as_done() -> None:
    """An alert on its unanswered call would otherwise be false each time."""
    numbers: list[dict[str, Any]] = []

    def answer(request: Any) -> Any:
        if request.method == "POST":
            numbers.append({**json.loads(request.body), "sipPhoneNumber": NUMBER})
            return LOST
        return reply(json={"data": numbers, "total": len(numbers)})

    client, seen, _ = observed(answer)
    async with MemoryJournal() as journal:
        provisioner = Provisioner(client, journal)
        await provisioner.run("order-1", CreatePhoneNumber(country_code="US"))

    changes = [event for event in seen if isinstance(event, OperationChanged)]
    assert [(each.before, each.state, each.adopted) for each in changes] == [
        ("sending", "unconfirmed", False),
        ("unconfirmed", "done", True),
    ]
    assert (changes[-1].op_id, changes[-1].subject) == ("order-1", NUMBER)
    [failed] = [e for e in seen if isinstance(e, CallFinished) and e.error]
    assert (failed.op_id, failed.committed) == ("order-1", "unknown")


async def test_an_error_of_an_operation_names_it() -> None:
    client, _, _ = observed(lambda request: LOST if request.method == "POST" else reply(500))
    seen: list[Any] = []
    async with MemoryJournal() as journal:
        provisioner = Provisioner(client, journal, observer=seen.append)
        with pytest.raises(SigmaMindError) as caught:
            await provisioner.run("order-1", CreatePhoneNumber(country_code="US"))

    assert caught.value.op_id == "order-1"
    assert caught.value.to_dict()["op_id"] == "order-1"
    assert list(map(type, seen)) == [OperationChanged]


# ---------------------------------------------------------------- the log


async def test_the_log_has_failures_at_info_and_attempts_at_debug(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Without any observer."""
    script = [reply(503), reply(200, RECORD, {"x-request-id": "r-1"}), reply(404)]
    transport = ScriptedTransport(script)
    client = in_fake_time(SigmaMind("sk-test-0123", transport=transport), FakeClock())
    with caplog.at_level(logging.DEBUG, logger="sigmamind_async"):
        await client.phone_numbers.get(NUMBER)
        with pytest.raises(SigmaMindError):
            await client.phone_numbers.get(NUMBER)
    lines = [(record.levelname, record.getMessage()) for record in caplog.records]
    shown = [text.partition(": ")[2] for level, text in lines if level == "INFO"]

    assert shown[0].startswith("503 was answered; attempt 2 follows in ")
    assert shown[1].startswith("failed after 1 attempt in ")
    assert shown[1].endswith("committed no: NotFoundError: 404: the platform gave no reason")
    every = "\n".join(text for _, text in lines)
    assert "GET https://api.sigmamind.ai/v1/phone-numbers/%2B14155552671" in every
    assert "request id r-1" in every
    assert "sk-test" not in every
    assert all(isinstance(record.event, CallEvent) for record in caplog.records)  # type: ignore[attr-defined]


async def test_at_info_a_call_that_works_writes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    client = SigmaMind("key", transport=ScriptedTransport([reply(200, RECORD), LOST]))
    with caplog.at_level(logging.INFO, logger="sigmamind_async"):
        await client.phone_numbers.get(NUMBER)
        assert not caplog.records
        with pytest.raises(OutcomeUnknownError):
            await client.phone_numbers.create(country_code="US")

    assert "committed unknown: OutcomeUnknownError" in caplog.text


async def test_a_request_id_that_repeats_the_key_is_left_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    client, seen, _ = observed([reply(200, RECORD, {"x-request-id": "id-sk-test-0123"})])
    with caplog.at_level(logging.DEBUG, logger="sigmamind_async"):
        await client.phone_numbers.get(NUMBER)

    assert seen[-1].request_id is None
    assert "sk-test-0123" not in caplog.text


@pytest.mark.parametrize(
    ("setting", "prelude", "lines"),
    [
        ("debug", "", 4),
        ("INFO", "", 0),
        ("", "", 0),
        ("loud", "", 0),
        ("debug", "logging.basicConfig(stream=sys.stdout)", 0),
    ],
)
def test_the_environment_turns_the_log_on(setting: str, prelude: str, lines: int) -> None:
    """It writes to stderr, unless the program has set up logging itself."""
    program = f"""if True:
        import asyncio, logging, sys
        {prelude}
        from sigmamind_async import SigmaMind
        from sigmamind_async.testing import ScriptedTransport, reply
        client = SigmaMind("key", transport=ScriptedTransport([reply(json={RECORD})]))
        asyncio.run(client.phone_numbers.get("{NUMBER}"))
    """
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={"SIGMAMIND_LOG": setting},
    )

    assert len(done.stderr.splitlines()) == lines


@pytest.mark.parametrize(("word", "level"), [("info", logging.INFO), (" DEBUG ", logging.DEBUG)])
def test_a_word_turns_the_log_on_once(
    word: str, level: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the program has set up no logging of its own."""
    monkeypatch.setattr(logging.root, "handlers", [])
    monkeypatch.setattr(events.logger, "handlers", [])
    monkeypatch.setattr(events.logger, "level", logging.WARNING)
    events.logger.manager._clear_cache()  # type: ignore[attr-defined]  # noqa: SLF001
    try:
        for each in ("loud", word, word):
            events.log_as(each)
        assert len(events.logger.handlers) == 1
        assert events.logger.level == level
        events.logger.info("desk: %s", FieldsIgnored("update", ("label",)))
        line = capsys.readouterr().err
        assert "INFO sigmamind_async desk: " in line
        assert "the platform did not set label" in line
        monkeypatch.setattr(logging.root, "handlers", [logging.NullHandler()])
        events.logger.info("once more")
        assert capsys.readouterr().err == ""
    finally:
        events.logger.manager._clear_cache()  # type: ignore[attr-defined]  # noqa: SLF001
