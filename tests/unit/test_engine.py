"""One call from its operation to its end, against a scripted platform and in fake time."""

from __future__ import annotations

import asyncio
import errno
import logging
import math
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import attrs
import pytest

from sigmamind_async.convert import load_json
from sigmamind_async.credentials import Credentials
from sigmamind_async.engine import MAX_OUTAGES, Engine, Limits
from sigmamind_async.errors import (
    APIConnectionError,
    AuthenticationError,
    BadRequestError,
    CircuitOpenError,
    ConfigurationError,
    InvalidRequestError,
    NotFoundError,
    OutcomeUnknownError,
    RateLimitError,
    ResponseDecodeError,
    ServerError,
    SigmaMindError,
)
from sigmamind_async.events import (
    AttemptFinished,
    AttemptScheduled,
    AttemptStarted,
    CallFinished,
    CallQueued,
    CallStarted,
    Event,
    FieldsIgnored,
    Throttled,
)
from sigmamind_async.limiter.gate import MAX_PAUSE, STALL_TIMEOUT
from sigmamind_async.operation import (
    Fault,
    FaultKind,
    Method,
    Operation,
    ReadBack,
    Request,
    Response,
    Verdict,
)
from sigmamind_async.responses.verdict import MAX_HELD, error_for
from sigmamind_async.retry import RetryPolicy, RetryQuota
from sigmamind_async.testing import FakeClock, ScriptedTransport, fault, reply
from sigmamind_async.transport import HttpRequest
from sigmamind_async.values import REDACTED, UNSET, Secret

Make = Callable[..., Engine]
LOST = fault(FaultKind.DROPPED)
UNREACHED = fault(FaultKind.CONNECT)


@attrs.frozen
class Order:
    password: Secret


def read_json(response: Response) -> object:
    return load_json(response.body)


def call(
    method: Method = "GET",
    *,
    repeatable: bool = True,
    on_not_found: Any = UNSET,
    read_back: ReadBack[object] | None = None,
    json: dict[str, object] | None = None,
) -> Operation[object]:
    return Operation(
        name="acme.call",
        request=Request(method=method, path="/v1/things/1", json=json),
        decode=read_json,
        repeatable=repeatable,
        on_not_found=on_not_found,
        read_back=read_back,
        value=Order(Secret("hunter2")),
    )


READ, UPDATE, DELETE = call(), call("PATCH"), call("DELETE", on_not_found="gone")
BUY = call("POST", repeatable=False)


def bought(*, agrees: bool = True) -> Operation[object]:
    """A purchase of a number of one's own choosing, which can be looked up."""
    look = attrs.evolve(READ, name="acme.look_up")
    return call("POST", repeatable=False, read_back=ReadBack(lambda: look, lambda _: agrees))


async def failure(engine: Engine, operation: Operation[object]) -> SigmaMindError:
    with pytest.raises(SigmaMindError) as caught:
        await engine.begin(operation).run()
    return caught.value


# ---------------------------------------------------------------- one attempt


async def test_a_call_that_works_is_sent_once(make_engine: Make, clock: FakeClock) -> None:
    transport = ScriptedTransport([reply(json={"id": 1})])

    assert await make_engine(transport).begin(READ).run() == {"id": 1}
    assert (len(transport.sent), clock.slept) == (1, [])


async def test_what_is_sent(make_engine: Make) -> None:
    transport = ScriptedTransport([reply(json={})])
    operation = call("POST", json={"label": "x", "trunkPassword": Secret("hunter2")})
    await make_engine(transport, base_url="https://proxy.test/acme").begin(operation).run()
    [sent] = transport.sent

    assert (sent.method, sent.url) == ("POST", "https://proxy.test/acme/v1/things/1")
    assert sent.body == b'{"label":"x","trunkPassword":"hunter2"}'
    assert sent.headers["X-API-Key"] == "sk-test"
    assert sent.headers["User-Agent"].startswith("sigmamind-async/")


async def test_a_rejection_is_not_repeated(make_engine: Make) -> None:
    error = await failure(make_engine(ScriptedTransport([reply(422, "no")])), BUY)

    assert isinstance(error, BadRequestError)
    assert (error.attempts, error.operation, error.committed) == (1, "acme.call", "no")
    assert not hasattr(error, "__notes__")


async def test_an_answer_comes_as_it_is_where_that_was_asked_for(make_engine: Make) -> None:
    engine = make_engine(ScriptedTransport([reply(201, "anything")]))

    answer = await engine.exchange(READ)

    assert (answer.status, answer.body, answer.attempts) == (201, b'"anything"', 1)


# Seen to fail with an `exchange` that hands on neither `on_not_found`, `read_back` nor `hints`.
async def test_a_raw_removal_that_is_gone_after_a_lost_one_is_a_success(make_engine: Make) -> None:
    """`run` returns what is said of it, and the raw answer is the 404."""
    said = reply(404, {"message": "none"})
    engine = make_engine(ScriptedTransport([LOST, said]))
    answer = await engine.exchange(DELETE)

    assert (answer.status, answer.body, answer.parse()) == (404, said.body, "gone")
    assert isinstance(await failure(make_engine(ScriptedTransport([said])), DELETE), NotFoundError)


async def test_a_raw_purchase_is_looked_up_like_any_other(make_engine: Make) -> None:
    found = reply(json={"id": 1})
    engine = make_engine(ScriptedTransport([LOST, found, LOST, found]))
    answer = await engine.exchange(bought())

    assert (answer.body, answer.parse()) == (found.body, {"id": 1})
    with pytest.raises(OutcomeUnknownError):
        await engine.exchange(bought(agrees=False))


async def test_a_raw_call_has_the_hints_of_its_operation(make_engine: Make) -> None:
    engine = make_engine(ScriptedTransport([reply(404)]))
    with pytest.raises(NotFoundError, match="assign it to the agent"):
        await engine.exchange(attrs.evolve(UPDATE, hints={404: "assign it to the agent"}))


# ---------------------------------------------------------------- what a 2xx says


@pytest.mark.parametrize("operation", [BUY, UPDATE, READ])
@pytest.mark.parametrize(
    ("answer", "verdict", "attempts"),
    [
        (reply(200, {"success": False, "error": "no"}), Verdict.AMBIGUOUS, 1),
        (reply(200, {}), Verdict.COMMITTED_UNREAD, 1),
        (Response(200, {}, b"<html>"), Verdict.AMBIGUOUS, 3),
        (Response(200, {}, b"{"), Verdict.COMMITTED_UNREAD, 1),
    ],
)
async def test_an_answer_that_is_no_success_proves_less(
    operation: Operation[object],
    answer: Response,
    verdict: Verdict,
    attempts: int,
    make_engine: Make,
) -> None:
    """What the API wrote, and came whole, is not asked for again; a page is."""
    seen: list[Event] = []
    transport = ScriptedTransport(lambda _: answer)
    careful = attrs.evolve(operation, decode=no_success)
    error = await failure(make_engine(transport, observer=seen.append), careful)

    assert {each.verdict for each in seen if isinstance(each, AttemptFinished)} == {verdict}
    assert len(transport.sent) == (attempts if operation.repeatable else 1)
    changed = "unknown" if verdict is Verdict.AMBIGUOUS else "yes"
    assert error.committed == ("no" if operation is READ else changed)


def no_success(response: Response) -> object:
    raise ResponseDecodeError("the answer is no success")


# ---------------------------------------------------------------- more attempts


@pytest.mark.parametrize("answer", [LOST, UNREACHED, reply(500), reply(503), reply(408)])
async def test_a_repeatable_call_is_sent_up_to_three_times(
    answer: Response, make_engine: Make, clock: FakeClock
) -> None:
    transport = ScriptedTransport([answer, answer, reply(json={"id": 1})])

    assert await make_engine(transport).begin(UPDATE).run() == {"id": 1}
    assert clock.slept == [0.05, 0.1]


@pytest.mark.parametrize("needed", ["tenacity", "html"])
async def test_nothing_is_sent_before_a_second_attempt_or_an_error_could_be_made(
    needed: str, make_engine: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a free descriptor neither can be read; that it is so is tested for real."""

    def full(*_: object) -> object:
        raise OSError(errno.EMFILE, "Too many open files")

    transport = ScriptedTransport([reply(500), reply(json={"id": 1})])
    engine = make_engine(transport)
    with monkeypatch.context() as patch:
        patch.delitem(sys.modules, needed, raising=False)
        patch.setattr(sys, "meta_path", [SimpleNamespace(find_spec=full)])
        error = await failure(engine, UPDATE)
    assert isinstance(error, APIConnectionError)
    assert (error.committed, len(transport.sent)) == ("no", 0)

    assert await engine.begin(UPDATE).run() == {"id": 1}


async def test_after_three_failures_the_last_error_comes_with_the_facts_of_all(
    make_engine: Make, clock: FakeClock
) -> None:
    transport = ScriptedTransport(
        [reply(500, "a"), reply(502, "b"), reply(503, "c")], latency=1.01, sleep=clock.sleep
    )
    error = await failure(make_engine(transport), READ)

    assert isinstance(error, ServerError)
    assert (error.status, error.attempts) == (503, 3)
    assert error.elapsed == pytest.approx(3.18)
    assert error.__notes__ == ["after 3 attempts in 3.2 s"]


async def test_an_error_is_made_only_for_a_call_that_ends_with_it(
    make_engine: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To mask a page takes milliseconds: a hundred calls in an outage would hold up the loop."""
    made: list[SigmaMindError] = []

    def counted(*given: Any, **options: Any) -> SigmaMindError:
        made.append(error_for(*given, **options))
        return made[-1]

    monkeypatch.setattr("sigmamind_async.engine.error_for", counted)
    transport = ScriptedTransport([reply(502), reply(429), reply(json={"id": 1})])
    await make_engine(transport).begin(UPDATE).run()
    assert made == []

    # The control: the last of three is raised, and only that is made.
    error = await failure(make_engine(ScriptedTransport([reply(502, "a")] * 3)), UPDATE)
    assert made == [error]


async def test_a_long_answer_is_not_held_while_a_call_waits(
    make_engine: Make, clock: FakeClock
) -> None:
    held: list[int] = []
    page = Response(status=502, body=b"<p>" + b"x" * (4 << 20))
    runner = make_engine(ScriptedTransport([page, reply(json={"id": 1})]))
    call = runner.begin(UPDATE)

    async def look(_: float) -> None:
        assert call.failure is not None
        held.append(len(cast("Response", call.failure[0].answer).body))
        assert "502" in str(call.ending())

    await attrs.evolve(runner, sleep=look, clock=clock).run(call)

    assert held == [MAX_HELD]


@pytest.mark.parametrize("answer", [LOST, reply(500), reply(303), reply(408), reply(200)])
async def test_a_purchase_is_never_sent_again_after_silence(
    answer: Response, make_engine: Make
) -> None:
    """The first promise, at the place that keeps it."""
    transport = ScriptedTransport([answer])
    error = await failure(make_engine(transport), BUY)

    assert isinstance(error, OutcomeUnknownError)
    assert len(transport.sent) == 1
    assert error.value == Order(REDACTED)


async def test_the_control_an_update_in_its_place_is_sent_again(make_engine: Make) -> None:
    transport = ScriptedTransport([LOST, reply(json={})])
    await make_engine(transport).begin(UPDATE).run()

    assert len(transport.sent) == 2


async def test_a_purchase_that_was_not_sent_is_sent_again(make_engine: Make) -> None:
    transport = ScriptedTransport([UNREACHED, reply(429), reply(201, {"id": 1})])

    assert await make_engine(transport).begin(BUY).run() == {"id": 1}


async def test_a_purchase_that_was_never_sent_says_so(make_engine: Make) -> None:
    error = await failure(make_engine(ScriptedTransport([UNREACHED] * 3)), BUY)

    assert isinstance(error, APIConnectionError)
    assert (error.attempts, error.committed, error.retryable) == (3, "no", True)


async def test_doubt_of_an_earlier_attempt_stays_on_the_last_error(make_engine: Make) -> None:
    """A refusal that follows a lost answer does not prove that nothing was done."""
    error = await failure(make_engine(ScriptedTransport([LOST, reply(422)])), UPDATE)

    assert isinstance(error, BadRequestError)
    assert error.committed == "unknown"


async def test_an_unreadable_answer_to_a_read_is_its_own_error(make_engine: Make) -> None:
    garbage = Response(status=200, body=b"<")
    error = await failure(make_engine(ScriptedTransport(lambda _: garbage)), READ)

    assert isinstance(error, ResponseDecodeError)
    assert (error.__cause__, error.__context__) == (None, None)
    assert (error.operation, error.attempts) == ("acme.call", 1)


async def test_a_body_that_came_whole_is_not_asked_for_again(make_engine: Make) -> None:
    """It would come the same way again, page after page, three times each."""
    transport = ScriptedTransport([Response(status=200, body=b"<"), reply(json=[])])
    await failure(make_engine(transport), READ)

    assert len(transport.sent) == 1


async def test_a_body_cut_by_a_break_is_asked_for_again(make_engine: Make) -> None:
    cut = Response(status=200, cut=Fault(kind=FaultKind.DROPPED))

    assert await make_engine(ScriptedTransport([cut, reply(json=[])])).begin(READ).run() == []


async def test_a_body_that_has_no_json_form_is_refused_before_anything_is_sent(
    make_engine: Make,
) -> None:
    transport = ScriptedTransport([])
    engine = make_engine(transport)
    error = await failure(engine, call("POST", json={"trunkPassword": REDACTED}))

    assert isinstance(error, InvalidRequestError)
    assert (error.operation, error.committed, len(transport.sent)) == ("acme.call", "no", 0)
    await asyncio.wait_for(engine.gate.acquire(width=1, deadline=math.inf), 1)


# ---------------------------------------------------------------- waits


async def test_a_wait_that_the_platform_asks_for_is_obeyed_in_full(
    make_engine: Make, clock: FakeClock
) -> None:
    transport = ScriptedTransport([reply(429, headers={"retry-after": "31"}), reply(json={})])
    await make_engine(transport).begin(READ).run()

    assert clock.slept == [31.0]


async def test_a_wait_that_does_not_fit_the_deadline_fails_at_once(
    make_engine: Make, clock: FakeClock
) -> None:
    """Sleeping first and failing afterwards would help nobody."""
    transport = ScriptedTransport([reply(429, headers={"retry-after": "61"})])
    error = await failure(make_engine(transport), READ)

    assert isinstance(error, RateLimitError)
    assert (error.retry_after, error.elapsed, clock.slept) == (61.0, 0.0, [])


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504, 529])
@pytest.mark.parametrize("operation", [READ, UPDATE, DELETE], ids=["get", "update", "release"])
async def test_the_end_of_a_window_does_not_cost_a_failure_its_retry(
    operation: Operation[object], status: int, make_engine: Make, clock: FakeClock
) -> None:
    """Fails if a reset is read as a wait here: 600 s do not fit into the deadline."""
    reset = {"x-ratelimit-reset": "600", "ratelimit": '"default";r=0;t=600'}
    transport = ScriptedTransport([reply(status, headers=reset), reply(json={})])

    await make_engine(transport).begin(operation).run()

    assert clock.slept == [0.05]


async def test_throttled_attempts_do_not_count_as_failures(
    make_engine: Make, clock: FakeClock
) -> None:
    transport = ScriptedTransport([reply(429)] * 5 + [reply(json={})])
    await make_engine(transport, policy=RetryPolicy(max_attempts=1)).begin(READ).run()

    assert clock.slept == [1.0, 2.0, 4.0, 8.0, 16.0]


async def test_throttling_ends_with_the_deadline(make_engine: Make, clock: FakeClock) -> None:
    error = await failure(make_engine(ScriptedTransport(lambda _: reply(429))), READ)

    assert isinstance(error, RateLimitError)
    assert clock.slept == [1.0, 2.0, 4.0, 8.0, 16.0, 20.0]
    assert error.elapsed == pytest.approx(51.0)


FOREVER = [
    {"retry-after": "86400"},
    {"retry-after": "1e9"},
    {"retry-after": "Fri, 31 Dec 9999 23:59:59 GMT"},
    {"retry-after-ms": "1e15"},
    {"x-ratelimit-reset": "999999"},
]
"""Waits that no platform means, each on a 429."""


@pytest.mark.parametrize("headers", FOREVER)
async def test_a_wait_without_end_is_reported_and_the_next_call_after_the_cap_is_sent(
    headers: dict[str, str], make_engine: Make, clock: FakeClock
) -> None:
    """Fails, for ever, if the gate believes the wait."""
    transport = ScriptedTransport([reply(429, headers=headers), reply(json={})])
    engine = make_engine(transport)
    error = await failure(engine, READ)
    assert isinstance(error, RateLimitError)
    assert MAX_PAUSE < (error.retry_after or 0.0) < math.inf

    clock.advance(60.0)
    refused = await failure(engine, READ)
    assert isinstance(refused, CircuitOpenError)
    assert refused.retry_after == pytest.approx(MAX_PAUSE - 60.0)

    clock.advance(MAX_PAUSE - 60.0)
    assert await engine.begin(READ).run() == {}


@pytest.mark.parametrize("headers", FOREVER)
async def test_a_row_of_a_job_tries_once_more_after_the_cap_and_then_takes_it_for_an_answer(
    headers: dict[str, str], make_engine: Make, clock: FakeClock
) -> None:
    engine = make_engine(ScriptedTransport([reply(429, headers=headers), reply(json={})]))
    assert await engine.run(engine.begin(READ, unbounded=True)) == {}
    assert clock.slept == [MAX_PAUSE]

    stuck = make_engine(ScriptedTransport(lambda _: reply(429, headers=headers)))
    with pytest.raises(RateLimitError) as caught:
        await stuck.run(stuck.begin(READ, unbounded=True))
    assert caught.value.attempts == 2


async def test_a_long_pause_is_told_in_the_log_once(
    make_engine: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """Who pauses, until when and why; the three that are told the same are not."""
    caplog.set_level(logging.INFO, "sigmamind_async")
    transport = ScriptedTransport(lambda _: reply(429, headers={"retry-after": "86400"}))
    engine = make_engine(transport)
    calls = (engine.begin(UPDATE).run() for _ in range(3))
    await asyncio.gather(*calls, return_exceptions=True)
    [record] = [each for each in caplog.records if "requests pause" in each.getMessage()]

    assert record.levelno == logging.WARNING
    assert record.getMessage() == (
        "acme: all requests pause for 300.0 s, until 22:18:20 UTC: acme.call was answered 429"
        " with a wait of 86400 s; one request tries then"
    )


async def test_a_short_pause_is_told_in_the_log_at_info(
    make_engine: Make, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "sigmamind_async")
    transport = ScriptedTransport([reply(429, headers={"retry-after": "7"}), reply(json={})])
    await make_engine(transport).begin(READ).run()
    [record] = caplog.records

    assert record.levelno == logging.INFO
    assert "acme: all requests pause for 7.0 s, until 22:13:27 UTC" in record.getMessage()


@pytest.mark.parametrize("max_wait", [0.2, None])
async def test_who_cannot_wait_is_put_off_by_nobody(
    max_wait: float | None, make_engine: Make, clock: FakeClock
) -> None:
    """A 429 would put another attempt off by a second; without a bound it is made, the control."""
    transport = ScriptedTransport([reply(429), reply(json={})])
    engine = make_engine(transport, gate=clock.gate(max_wait=max_wait))
    if max_wait is None:
        await engine.begin(READ).run()
        assert clock.slept == [1.0]
    else:
        assert isinstance(await failure(engine, READ), RateLimitError)
        assert clock.slept == []


async def test_a_patient_call_waits_for_the_rate_past_its_deadline(
    make_engine: Make, clock: FakeClock
) -> None:
    transport = ScriptedTransport([reply(429, headers={"retry-after": "200"}), reply(json={})])
    engine = make_engine(transport)

    await engine.run(engine.begin(READ, unbounded=True))

    assert clock.slept == [200.0]


async def test_even_a_patient_call_gives_up_when_nobody_is_admitted(
    make_engine: Make, clock: FakeClock
) -> None:
    transport = ScriptedTransport(lambda _: reply(429, headers={"retry-after": "100"}))
    engine = make_engine(transport)

    with pytest.raises(RateLimitError) as caught:
        await engine.run(engine.begin(READ, unbounded=True))

    assert STALL_TIMEOUT <= caught.value.elapsed <= STALL_TIMEOUT + 100.0


async def test_an_attempt_gets_its_own_time_and_never_more_than_the_calls(
    make_engine: Make, clock: FakeClock
) -> None:
    given: list[float] = []

    class Watched(ScriptedTransport):
        async def send(self, outgoing: HttpRequest, mark: Any, seconds: float) -> Any:
            given.append(seconds)
            return await super().send(outgoing, mark, seconds)

    transport = Watched(lambda _: LOST, latency=30.0, sleep=clock.sleep)
    limits = Limits(deadline=45.0, attempt_timeout=20.0)
    error = await failure(make_engine(transport, limits=limits), READ)

    assert given == pytest.approx([20.0, 20.0, 4.85])
    assert error.elapsed == pytest.approx(45.0)


async def test_a_503_with_a_wait_is_a_throttle(make_engine: Make, clock: FakeClock) -> None:
    transport = ScriptedTransport([reply(503, headers={"retry-after": "7"}), reply(json={})])
    await make_engine(transport, policy=RetryPolicy(max_attempts=1)).begin(READ).run()

    assert clock.slept == [7.0]


async def test_a_503_sheds_load_and_fails_no_row_of_a_job(
    make_engine: Make, clock: FakeClock
) -> None:
    """More of them than a call may fail, on an empty quota: they say no more than a 429 does."""
    transport = ScriptedTransport([*[reply(503)] * 5, reply(json={"id": 1})])
    engine = make_engine(transport, quota=RetryQuota(tokens=0))

    assert await engine.run(engine.begin(UPDATE, unbounded=True)) == {"id": 1}
    assert clock.slept == [1.0, 2.0, 4.0, 5.0, 5.0]


async def test_a_503_for_one_row_alone_ends_it_in_the_end(
    make_engine: Make, clock: FakeClock
) -> None:
    engine = make_engine(ScriptedTransport(lambda _: reply(503)))

    with pytest.raises(ServerError) as caught:
        await engine.run(engine.begin(UPDATE, unbounded=True))

    assert (caught.value.attempts, caught.value.committed) == (MAX_OUTAGES, "unknown")


async def test_a_purchase_in_a_job_is_not_sent_again_after_a_503(make_engine: Make) -> None:
    """A gateway gives one after the server behind it has bought the number."""
    transport = ScriptedTransport([reply(503), reply(json={})])
    engine = make_engine(transport)

    with pytest.raises(OutcomeUnknownError) as caught:
        await engine.run(engine.begin(BUY, unbounded=True))

    assert (caught.value.attempts, len(transport.sent)) == (1, 1)


@pytest.mark.parametrize("unbounded", [True, False])
@pytest.mark.parametrize("operation", [BUY, UPDATE, READ], ids=["buy", "update", "get"])
async def test_a_status_with_which_a_limiter_refuses_is_a_refusal(
    operation: Operation[object], unbounded: bool, make_engine: Make, clock: FakeClock
) -> None:
    """As of an nginx whose ``limit_req`` has its default: nothing was handed on to anybody."""
    refused = reply(503, headers={"x-ratelimit-reset": "7"})
    transport = ScriptedTransport([refused, reply(509), reply(json={"id": 1})])
    gate = clock.gate()
    gate.refusal_statuses = frozenset({429, 503, 509})
    engine = make_engine(transport, gate=gate, policy=RetryPolicy(max_attempts=1))

    assert await engine.run(engine.begin(operation, unbounded=unbounded)) == {"id": 1}
    assert clock.slept == [7.0, 2.0]


async def test_a_refusal_that_lasts_is_one_error_whatever_its_status(
    make_engine: Make, clock: FakeClock
) -> None:
    """It says that nothing was done, also of a purchase; without the setting nobody knows."""
    gate = clock.gate()
    gate.refusal_statuses = frozenset({429, 503})
    error = await failure(make_engine(ScriptedTransport(lambda _: reply(503)), gate=gate), BUY)
    assert isinstance(error, RateLimitError)
    assert (error.status, error.committed, error.retryable) == (503, "no", True)

    unknown = await failure(make_engine(ScriptedTransport([reply(503)])), BUY)
    assert isinstance(unknown, OutcomeUnknownError)
    assert unknown.committed == "unknown"


async def test_a_refusal_does_not_take_an_earlier_doubt_away(
    make_engine: Make, clock: FakeClock
) -> None:
    gate = clock.gate()
    gate.refusal_statuses = frozenset({429, 503})
    answers = iter([LOST])
    transport = ScriptedTransport(lambda _: next(answers, reply(503)))
    error = await failure(make_engine(transport, gate=gate), UPDATE)

    assert isinstance(error, RateLimitError)
    assert error.committed == "unknown"


async def test_a_500_in_a_job_is_a_failure_like_any_other(make_engine: Make) -> None:
    """The control: only a 503 speaks of load."""
    engine = make_engine(ScriptedTransport(lambda _: reply(500)))

    with pytest.raises(ServerError) as caught:
        await engine.run(engine.begin(UPDATE, unbounded=True))

    assert caught.value.attempts == 3


# ---------------------------------------------------------------- quota


@pytest.mark.parametrize(
    ("script", "left"),
    [
        ([200], 401),
        ([500, 200], 400),
        ([500, 500, 200], 386),
        ([500, 500, 500], 372),
        ([429, 200], 400),
        ([429, 500, 200], 395),
        ([404], 400),
        ([500, 404], 386),
    ],
)
async def test_the_quota_after_a_call(script: list[int], left: int, make_engine: Make) -> None:
    """Only an attempt that follows costs; a success gives back what its last attempt cost."""
    quota = RetryQuota(tokens=400)
    engine = make_engine(ScriptedTransport([reply(s, {}) for s in script]), quota=quota)
    try:
        await engine.begin(READ).run()
    except SigmaMindError:
        assert script[-1] != 200

    assert quota.tokens == left


async def test_an_empty_quota_ends_a_failing_call_at_once(make_engine: Make) -> None:
    engine = make_engine(ScriptedTransport([reply(500)]), quota=RetryQuota(tokens=13))

    assert (await failure(engine, READ)).attempts == 1
    assert engine.quota.tokens == 13


async def test_an_empty_quota_does_not_end_a_throttled_call(make_engine: Make) -> None:
    transport = ScriptedTransport([reply(429), reply(json={})])

    assert await make_engine(transport, quota=RetryQuota(tokens=0)).begin(READ).run() == {}


async def test_a_wait_that_does_not_fit_costs_nothing(make_engine: Make) -> None:
    transport = ScriptedTransport([reply(429, headers={"retry-after": "61"})])
    engine = make_engine(transport)
    await failure(engine, READ)

    assert engine.quota.tokens == 500


# ---------------------------------------------------------------- keys


class Vault:
    """Supplies ``key-1``, ``key-2`` and so on."""

    def __init__(self) -> None:
        self.asked = 0

    async def __call__(self) -> str:
        self.asked += 1
        return f"key-{self.asked}"


@pytest.mark.parametrize("operation", [READ, BUY])
async def test_a_rejected_key_is_asked_for_again_once(
    operation: Operation[object], make_engine: Make, clock: FakeClock
) -> None:
    """A 401 is definite: even a purchase may follow it."""
    transport = ScriptedTransport([reply(401), reply(json={})])
    await make_engine(transport, credentials=Credentials(Vault())).begin(operation).run()

    assert [sent.headers["X-API-Key"] for sent in transport.sent] == ["key-1", "key-2"]
    assert clock.slept == [0.0]


async def test_a_second_rejection_is_the_answer(make_engine: Make) -> None:
    vault = Vault()
    transport = ScriptedTransport([reply(401), reply(401)])
    error = await failure(make_engine(transport, credentials=Credentials(vault)), READ)

    assert isinstance(error, AuthenticationError)
    assert (vault.asked, error.attempts) == (2, 2)


async def test_a_fixed_key_is_not_tried_twice(make_engine: Make) -> None:
    assert (await failure(make_engine(ScriptedTransport([reply(401)])), READ)).attempts == 1


async def test_a_supplied_key_that_cannot_be_used_ends_the_call(make_engine: Make) -> None:
    async def provider() -> str:
        return "two words"

    engine = make_engine(ScriptedTransport([]), credentials=Credentials(provider))
    error = await failure(engine, READ)

    assert isinstance(error, ConfigurationError)
    assert (error.operation, error.attempts) == ("acme.call", 0)


# ---------------------------------------------------------------- after ambiguity


@pytest.mark.parametrize("lost", [LOST, reply(500), Response(status=201, body=b"<html>")])
async def test_a_purchase_that_is_found_as_asked_for_is_adopted(
    lost: Response, make_engine: Make
) -> None:
    transport = ScriptedTransport([lost, reply(json={"id": 7})])

    assert await make_engine(transport).begin(bought()).run() == {"id": 7}
    assert [sent.method for sent in transport.sent] == ["POST", "GET"]


@pytest.mark.parametrize("look", [reply(json={"id": 7}), reply(404), reply(401), LOST])
async def test_a_purchase_that_is_not_found_as_asked_for_stays_unknown(
    look: Response, make_engine: Make
) -> None:
    """Somebody else's record, none, or a look-up that fails: none of them is our result."""
    transport = ScriptedTransport([LOST, look, look, look])
    error = await failure(make_engine(transport), bought(agrees=False))

    assert isinstance(error, OutcomeUnknownError)
    assert (error.operation, error.attempts) == ("acme.call", 1)
    assert {sent.method for sent in list(transport.sent)[1:]} == {"GET"}


async def test_a_purchase_that_was_refused_is_not_looked_up(make_engine: Make) -> None:
    transport = ScriptedTransport([reply(409)])
    await failure(make_engine(transport), bought())

    assert len(transport.sent) == 1


async def test_a_look_up_stays_within_the_deadline_of_the_call(
    make_engine: Make, clock: FakeClock
) -> None:
    transport = ScriptedTransport(lambda _: LOST, latency=30.0, sleep=clock.sleep)
    limits = Limits(deadline=25.0, attempt_timeout=20.0)
    error = await failure(make_engine(transport, limits=limits), bought())

    assert error.elapsed == pytest.approx(25.0)


async def test_a_404_after_our_own_lost_delete_is_success(make_engine: Make) -> None:
    transport = ScriptedTransport([LOST, reply(404)])

    assert await make_engine(transport).begin(DELETE).run() == "gone"


async def test_a_first_404_of_a_delete_is_an_error(make_engine: Make) -> None:
    """Nobody of ours deleted it: the number may be misspelt."""
    error = await failure(make_engine(ScriptedTransport([reply(404)])), DELETE)

    assert isinstance(error, NotFoundError)


async def test_a_404_after_a_delete_that_was_not_sent_is_an_error(make_engine: Make) -> None:
    error = await failure(make_engine(ScriptedTransport([UNREACHED, reply(404)])), DELETE)

    assert isinstance(error, NotFoundError)


async def test_a_404_after_a_lost_update_is_an_error(make_engine: Make) -> None:
    error = await failure(make_engine(ScriptedTransport([LOST, reply(404)])), UPDATE)

    assert isinstance(error, NotFoundError)


async def test_a_409_after_ambiguity_proves_nothing(make_engine: Make) -> None:
    transport = ScriptedTransport([LOST, reply(409), reply(409)])
    error = await failure(make_engine(transport), UPDATE)

    assert (error.committed, error.attempts) == ("unknown", 3)


# ---------------------------------------------------------------- events


async def test_events_come_in_order(make_engine: Make) -> None:
    seen: list[Event] = []
    transport = ScriptedTransport([reply(429), LOST, reply(json={})])
    await make_engine(transport, observer=seen.append).begin(READ).run()

    # Whether the third attempt has to wait depends on how soon it comes after the refusal.
    assert [type(event) for event in seen if not isinstance(event, CallQueued)] == [
        CallStarted,
        AttemptStarted,
        Throttled,
        AttemptFinished,
        AttemptScheduled,
        AttemptStarted,
        AttemptFinished,
        AttemptScheduled,
        AttemptStarted,
        AttemptFinished,
        CallFinished,
    ]
    assert [e.verdict for e in seen if isinstance(e, AttemptFinished)] == [
        Verdict.REJECTED,
        Verdict.AMBIGUOUS,
        Verdict.CONFIRMED,
    ]
    assert [e.attempt for e in seen if isinstance(e, AttemptScheduled)] == [2, 3]


async def test_the_last_event_tells_how_it_ended(make_engine: Make) -> None:
    seen: list[Event] = []
    engine = make_engine(ScriptedTransport([LOST, reply(json={})]), observer=seen.append)
    await engine.begin(bought()).run()
    *_, last = seen
    assert isinstance(last, CallFinished)
    assert (last.error, last.adopted, last.attempts) == (None, True, 1)

    await failure(make_engine(ScriptedTransport([reply(404)]), observer=seen.append), READ)
    *_, last = seen
    assert isinstance(last, CallFinished)
    assert (last.error, last.adopted) == ("NotFoundError", False)


async def test_an_observer_that_raises_costs_no_answer(make_engine: Make) -> None:
    def broken(event: Event) -> None:
        raise RuntimeError("mine")

    transport = ScriptedTransport([reply(429), reply(json={"id": 1})])

    assert await make_engine(transport, observer=broken).begin(READ).run() == {"id": 1}


# ---------------------------------------------------------------- the end of every call


def finished(seen: list[Event]) -> tuple[CallFinished, list[AttemptFinished]]:
    [last] = [event for event in seen if isinstance(event, CallFinished)]
    assert seen[-1] is last
    return last, [event for event in seen if isinstance(event, AttemptFinished)]


@pytest.mark.parametrize(
    ("operation", "script", "committed"),
    [
        (READ, [reply(json={})], "no"),
        (UPDATE, [reply(json={})], "yes"),
        (BUY, [reply(201, {})], "yes"),
        (BUY, [LOST], "unknown"),
        (BUY, [reply(201)], "yes"),
        (BUY, [reply(402)], "no"),
        (BUY, [UNREACHED] * 3, "no"),
        (UPDATE, [LOST, reply(404)], "unknown"),
        (READ, [LOST] * 3, "no"),
    ],
)
async def test_the_end_tells_whether_anything_was_changed(
    operation: Operation[object], script: list[Any], committed: str, make_engine: Make
) -> None:
    """As the error says it, where there is one."""
    seen: list[Event] = []
    engine = make_engine(ScriptedTransport(script), observer=seen.append)
    [error] = await asyncio.gather(engine.begin(operation).run(), return_exceptions=True)

    last, attempts = finished(seen)
    assert (last.committed, len(attempts)) == (committed, len(script))
    if isinstance(error, SigmaMindError):
        assert (last.error, error.committed) == (type(error).__name__, committed)


@pytest.mark.parametrize(
    ("operation", "connects", "told"),
    [
        (BUY, True, ("unknown", Verdict.AMBIGUOUS)),
        (BUY, None, ("unknown", Verdict.AMBIGUOUS)),
        (BUY, False, ("no", Verdict.NOT_SENT)),
        (READ, True, ("no", Verdict.AMBIGUOUS)),
    ],
)
# Seen to fail with `_report_interruption` left out of `Engine.run`, and with one that says "no".
@pytest.mark.parametrize("way", [asyncio.CancelledError, KeyboardInterrupt, GeneratorExit])
def test_a_call_that_is_cancelled_has_an_end(
    operation: Operation[object],
    connects: bool | None,
    told: tuple[str, Verdict],
    way: type[BaseException],
    make_engine: Make,
) -> None:
    """Whatever reaches it where it waits, even after its loop has ended."""
    seen: list[Event] = []
    engine = make_engine(Hanging(connects=connects), observer=seen.append)
    call_ = engine.begin(operation)
    with asyncio.Runner() as runner:
        running = engine.run(call_)
        runner.run(one_step(running))
        with pytest.raises(way):
            running.throw(way)

    last, [attempt] = finished(seen)
    assert (last.error, last.attempts) == (way.__name__, 1)
    assert (last.committed, attempt.verdict) == told


async def one_step(coroutine: Any) -> None:
    coroutine.send(None)


async def test_a_call_that_is_cancelled_while_it_waits_has_an_end(make_engine: Make) -> None:
    """At the gate it is no attempt; in a pause it is as unclear as the attempt before was."""

    async def never(seconds: float) -> None:
        await asyncio.Event().wait()

    for script, committed in (([LOST], "unknown"), ([reply(429)], "no"), ([UNREACHED], "no")):
        seen: list[Event] = []
        engine = make_engine(ScriptedTransport(script), observer=seen.append, sleep=never)
        task = asyncio.create_task(engine.begin(UPDATE).run())
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        last, attempts = finished(seen)
        assert (last.error, last.committed, len(attempts)) == ("CancelledError", committed, 1)

    seen = []
    engine = make_engine(
        ScriptedTransport([]), limits=Limits(max_connections=1), observer=seen.append
    )
    await engine.gate.acquire(width=1, deadline=math.inf)
    task = asyncio.create_task(engine.begin(BUY).run())
    await asyncio.sleep(1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    last, attempts = finished(seen)
    assert (last.committed, last.attempts, attempts) == ("no", 0, [])


async def test_a_cancelled_look_up_leaves_the_purchase_unknown(make_engine: Make) -> None:
    """The look-up is a call too, and has an end of its own before that of the purchase."""
    seen: list[Event] = []
    engine = make_engine(Hanging(after=[LOST]), observer=seen.append)
    task = asyncio.create_task(engine.begin(bought()).run())
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    ends = [(e.operation, e.committed) for e in seen if isinstance(e, CallFinished)]

    assert ends == [("acme.look_up", "no"), ("acme.call", "unknown")]
    assert caught.value.__notes__ == ["acme.call was under way: it may have been carried out"]


async def test_a_call_that_is_refused_here_has_an_end(make_engine: Make) -> None:
    seen: list[Event] = []
    engine = make_engine(ScriptedTransport([]), observer=seen.append)
    await failure(engine, call("POST", json={"x": object()}))

    last, attempts = finished(seen)
    assert (last.error, last.committed, attempts) == ("InvalidRequestError", "no", [])


async def test_what_whoever_began_a_call_raises_is_its_end(make_engine: Make) -> None:
    async def refuse() -> None:
        raise LookupError

    seen: list[Event] = []
    engine = make_engine(ScriptedTransport([]), observer=seen.append)
    call_ = engine.begin(BUY)
    call_.before_send = refuse
    with pytest.raises(LookupError):
        await engine.run(call_)

    last, attempts = finished(seen)
    assert (last.error, last.committed, attempts) == ("LookupError", "no", [])


# ---------------------------------------------------------------- gate


async def test_the_gate_hears_of_every_attempt(make_engine: Make, clock: FakeClock) -> None:
    transport = ScriptedTransport([LOST, reply(500), reply(json={})])
    engine = make_engine(transport)
    seen: list[int] = []

    def look(event: Event) -> None:
        if not isinstance(event, CallStarted | AttemptStarted):
            seen.append(engine.gate.admission.failures)

    await attrs.evolve(engine, observer=look).begin(READ).run()

    assert seen == [1, 1, 2, 2, 0, 0]
    assert engine.gate.admission.last_success == clock.now


async def test_a_refusal_at_the_gate_is_an_error_of_the_call(
    make_engine: Make, clock: FakeClock
) -> None:
    gate = clock.gate()
    for _ in range(20):
        gate.failed((0.0, 1, "GET"))
    error = await failure(make_engine(ScriptedTransport([]), gate=gate), BUY)

    assert isinstance(error, CircuitOpenError)
    assert (error.operation, error.attempts, error.committed) == ("acme.call", 0, "no")


async def test_what_the_platform_said_tells_more_than_the_gate_after_it(
    make_engine: Make, clock: FakeClock
) -> None:
    gate = clock.gate(max_wait=0.01)
    for _ in range(19):
        gate.failed((0.0, 1, "GET"))
    error = await failure(make_engine(ScriptedTransport([reply(500, "why")]), gate=gate), READ)

    assert isinstance(error, ServerError)


async def test_no_place_is_held_during_a_backoff(make_engine: Make, clock: FakeClock) -> None:
    """A call that waits to be sent again does not keep another from being sent."""
    transport = ScriptedTransport([reply(500), reply(json="other"), reply(json="first")])

    async def sleep(seconds: float) -> None:
        clock.advance(seconds)
        if seconds == 0.05:
            assert await attrs.evolve(engine, sleep=clock.sleep).begin(READ).run() == "other"

    engine = make_engine(transport, limits=Limits(max_connections=1), sleep=sleep)

    assert await engine.begin(READ).run() == "first"


# ---------------------------------------------------------------- cancellation


class Hanging(ScriptedTransport):
    """Connects, or not, or does not say, and then never answers."""

    def __init__(
        self, *, connects: bool | None = True, after: list[Response | Fault] | None = None
    ) -> None:
        super().__init__([])
        self._connects = connects
        self._after = after or []

    async def send(self, outgoing: HttpRequest, mark: Any, seconds: float) -> Any:
        if self._connects is not None:
            mark.connected = self._connects
        if self._after:
            return self._after.pop(0)
        return await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("operation", "connects", "touched"),
    [(BUY, True, True), (BUY, False, False), (READ, True, False), (DELETE, True, True)],
)
async def test_a_cancelled_call_tells_whether_it_may_have_been_carried_out(
    operation: Operation[object], connects: bool, touched: bool, make_engine: Make
) -> None:
    engine = make_engine(Hanging(connects=connects))
    state = engine.begin(operation)
    task = asyncio.create_task(engine.run(state))
    await asyncio.sleep(1)
    task.cancel()

    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    assert state.may_have_acted is touched
    assert bool(getattr(caught.value, "__notes__", [])) is touched


async def test_a_cancelled_call_gives_its_place_back(make_engine: Make) -> None:
    engine = make_engine(Hanging(), limits=Limits(max_connections=1))
    task = asyncio.create_task(engine.begin(READ).run())
    await asyncio.sleep(1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    await asyncio.wait_for(engine.gate.acquire(width=1, deadline=math.inf), 1)


@pytest.mark.parametrize(
    "end",
    [
        reply(json={}),
        reply(200, "no JSON"),
        reply(302),
        reply(404),
        reply(500),
        LOST,
        # No transport should: the place must not be lost for that.
        Response(status=200, headers=cast("Any", None)),
        Response(status=500, headers=cast("Any", None)),
    ],
    ids=str,
)
async def test_every_end_gives_the_place_back_once(
    make_engine: Make, end: Response | Fault
) -> None:
    """Fails if an end gives it back twice, for then two get in, or never, for then none does."""
    engine = make_engine(ScriptedTransport([end]), policy=RetryPolicy(max_attempts=1))
    await asyncio.gather(engine.begin(BUY).run(), return_exceptions=True)

    one = await asyncio.wait_for(engine.gate.acquire(width=1, deadline=math.inf), 60)
    two = engine.gate.try_acquire(width=1)
    assert (one[1], two) == (1, None)


async def test_a_call_cancelled_before_it_is_sent_touched_nothing(make_engine: Make) -> None:
    engine = make_engine(ScriptedTransport([]), limits=Limits(max_connections=1))
    await engine.gate.acquire(width=1, deadline=math.inf)
    state = engine.begin(BUY)
    task = asyncio.create_task(engine.run(state))
    await asyncio.sleep(1)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert (state.may_have_acted, state.attempts) == (False, 0)


async def test_a_lost_attempt_and_then_a_cancelled_wait_is_touched(make_engine: Make) -> None:
    async def never(seconds: float) -> None:
        await asyncio.Event().wait()

    engine = make_engine(ScriptedTransport([LOST]), sleep=never)
    state = engine.begin(UPDATE)
    task = asyncio.create_task(engine.run(state))
    await asyncio.sleep(1)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert state.may_have_acted


# ---------------------------------------------------------------- fields that were not set


def updating(*ignored: str) -> Operation[object]:
    def find(_: object) -> tuple[str, ...]:
        return ignored

    return attrs.evolve(UPDATE, ignored_fields=find)


async def test_a_field_that_did_not_take_is_told_and_is_no_error(make_engine: Make) -> None:
    seen: list[Event] = []
    engine = make_engine(ScriptedTransport([reply(json={})]), observer=seen.append)
    operation = updating("label")
    state = engine.begin(operation)

    assert await engine.run(state) == {}
    [told] = [event for event in seen if isinstance(event, FieldsIgnored)]
    assert (told.operation, told.fields) == ("acme.call", ("label",))
    assert state.ignored == ("label",)


async def test_a_field_that_did_not_take_is_an_error_where_that_was_asked_for(
    make_engine: Make,
) -> None:
    engine = make_engine(ScriptedTransport([reply(json={})]), strict=True)
    error = await failure(engine, updating("label"))

    assert str(error) == "acme.call: the platform answered 200 but did not set: label"
    assert (error.committed, error.retryable) == ("yes", False)


async def test_where_every_field_took_nothing_is_told(make_engine: Make) -> None:
    seen: list[Event] = []
    engine = make_engine(ScriptedTransport([reply(json={})]), observer=seen.append, strict=True)
    await engine.begin(updating()).run()

    assert not [event for event in seen if isinstance(event, FieldsIgnored)]


# ---------------------------------------------------------------- the one redirect that is followed

ALIASED = attrs.evolve(UPDATE, request=attrs.evolve(UPDATE.request, alias="/v1/things/1/"))


@pytest.mark.parametrize("status", [307, 308])
@pytest.mark.parametrize(
    "location",
    [
        "/v1/things/1/",
        "https://api.acme.test/v1/things/1/",
        "http://API.acme.test:443/v1/things/1/",
        "http://things.internal:8080/v1/things/1/",
        "//evil.test/v1/things/1/",
    ],
)
async def test_a_redirect_to_the_other_spelling_is_followed_once(
    status: int, location: str, make_engine: Make
) -> None:
    """On the origin that was asked, whichever is named."""
    moved = reply(status, headers={"location": location})
    transport = ScriptedTransport([moved, reply(json={})])

    assert await make_engine(transport).begin(ALIASED).run() == {}
    assert transport.sent[1].url == "https://api.acme.test/v1/things/1/"


@pytest.mark.parametrize(
    ("status", "location"),
    [
        (302, "/v1/things/1/"),
        (303, "/v1/things/1/"),
        (308, "https://evil.test/v1/other"),
        (308, "https://api.acme.test/v1/things/1"),
        (308, "https://evil.test?/v1/things/1/"),
        (308, "/v1/other"),
        (308, ""),
    ],
)
async def test_no_other_redirect_is_followed(status: int, location: str, make_engine: Make) -> None:
    """It would carry the key, and the body with its password, to wherever it leads."""
    transport = ScriptedTransport([reply(status, headers={"location": location})])
    await failure(make_engine(transport), ALIASED)

    assert len(transport.sent) == 1


async def test_a_redirect_that_leads_back_ends(make_engine: Make) -> None:
    moved = reply(308, headers={"location": "/v1/things/1/"})
    transport = ScriptedTransport([moved, moved])
    await failure(make_engine(transport), ALIASED)

    assert len(transport.sent) == 2


async def test_a_hint_is_added_to_the_status_it_is_for(make_engine: Make) -> None:
    operation = attrs.evolve(READ, hints={404: "it may have been retired"})
    error = await failure(make_engine(ScriptedTransport([reply(404)])), operation)

    assert str(error) == "404: the platform gave no reason; it may have been retired"
