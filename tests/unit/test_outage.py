"""Jobs whose platform is away for a while, behind a front that says so: in virtual time.

The front answers 502 at once, as nginx does for an upstream whose port is closed, while requests
that it handed on before take up to 1.6 s and succeed: that is what an outage looks like.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import attrs
import pytest

from sigmamind_async import SigmaMind, StopOn
from sigmamind_async.bulk import BulkResult
from sigmamind_async.convert import load_json
from sigmamind_async.engine import Engine
from sigmamind_async.errors import (
    APIConnectionError,
    CircuitOpenError,
    RateLimitError,
    ServerError,
)
from sigmamind_async.limiter.gate import Admission, Gate
from sigmamind_async.operation import ConnectionFlag, Fault, FaultKind, Response
from sigmamind_async.platforms.sigmamind import CreatePhoneNumber
from sigmamind_async.responses.verdict import AttemptResult
from sigmamind_async.testing import fault, reply
from sigmamind_async.transport import HttpRequest

Answer = Response | Fault
UNREACHED = fault(FaultKind.CONNECT)
BROKEN = fault(FaultKind.DROPPED)
CLOSED = reply(503, headers={"retry-after": "5"})


def now() -> float:
    return asyncio.get_running_loop().time()


def numbers(count: int) -> list[str]:
    return [f"+1415555{number:04}" for number in range(count)]


class Front:
    """A gateway before a platform; *trouble* gives its own answer, if any, for a request."""

    def __init__(self, trouble: Callable[[HttpRequest], Answer | None]) -> None:
        self.trouble = trouble
        self.sent: list[tuple[float, str]] = []
        self.bought = 0
        self._chance = random.Random(4)

    async def send(self, outgoing: HttpRequest, mark: ConnectionFlag, seconds: float) -> Answer:
        self.sent.append((now(), outgoing.method))
        answer = self.trouble(outgoing)
        mark.connected = answer is not UNREACHED
        if answer is not None:
            await asyncio.sleep(0.002)
            return answer
        await asyncio.sleep(self._chance.uniform(0.05, 1.6))
        return reply(json=self._record(outgoing))

    def _record(self, outgoing: HttpRequest) -> dict[str, Any]:
        self.bought += outgoing.method == "POST"
        said: Any = load_json(outgoing.body) if outgoing.body else {}
        number = "+" + outgoing.url.rsplit("%2B", 1)[-1]
        if outgoing.method == "POST":
            number = f"+1415556{self.bought:04}"
        return {"sipPhoneNumber": number, "active": True, **said}

    async def aclose(self) -> None:
        pass


def away(begins: float, ends: float, answer: Answer) -> Callable[[HttpRequest], Answer | None]:
    return lambda _: answer if begins <= now() < ends else None


def limiting(most: int, window: float, answer: Answer) -> Callable[[HttpRequest], Answer | None]:
    """Let *most* pass in each *window*; answer what is over."""
    passed: Counter[int] = Counter()

    def trouble(_: HttpRequest) -> Answer | None:
        passed[int(now() // window)] += 1
        return answer if passed[int(now() // window)] > most else None

    return trouble


def client(front: Front, gate: Gate | None = None, **settings: Any) -> SigmaMind:
    """Return a client on the loop's virtual time."""
    made = SigmaMind(
        "sk",
        transport=front,
        gate=gate or Gate(clock=now, jitter=random.Random(6).random),
        **settings,
    )
    chance = random.Random(7).random
    return bound(made, clock=now, sleep=asyncio.sleep, jitter=chance)


def bound(made: SigmaMind, **changed: Any) -> SigmaMind:
    """Change what no public setting changes."""
    made._bind(attrs.evolve(made.runner.engine, **changed))  # noqa: SLF001
    return made


async def updated(front: Front, rows: int, **settings: Any) -> tuple[BulkResult[Any, Any], float]:
    began = now()
    numbers_of = client(front, **settings).phone_numbers
    result = await numbers_of.update_many(numbers(rows), friendly_name="x")
    return result, now() - began


def statuses(result: BulkResult[Any, Any]) -> dict[str, int]:
    return dict(Counter(outcome.status for outcome in result.outcomes))


# ---------------------------------------------------------------- short outages


@pytest.mark.parametrize(
    "answer", [reply(502), reply(503), reply(504), reply(521), BROKEN, UNREACHED]
)
@pytest.mark.parametrize("seconds", [3.0, 20.0, 58.0])
async def test_an_outage_that_a_job_can_wait_out_fails_no_row(
    seconds: float, answer: Answer
) -> None:
    """600 updates, most of them before and after."""
    front = Front(away(1.0, 1.0 + seconds, answer))
    result, took = await updated(front, 600)
    during = [at for at, _ in front.sent if 1.2 <= at < 1.0 + seconds]

    assert statuses(result) == {"done": 600}
    assert took < 2.5 * seconds + 40.0
    assert len(during) < 200


async def test_a_circuit_that_any_late_answer_closes_does_not_slow_a_job_down(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The control: answers to what was sent before an outage come in while it lasts."""
    original = Admission._close_after  # noqa: SLF001

    def by_any(self: Admission, ticket: Any) -> None:
        original(self, (self.failing_since, *ticket[1:]))

    monkeypatch.setattr(Admission, "_close_after", by_any)
    front = Front(away(1.0, 4.0, reply(502)))
    await updated(front, 600)
    during = [at for at, _ in front.sent if 1.2 <= at < 4.0]

    assert len(during) > 200


async def test_a_row_that_is_not_patient_fails_in_an_outage() -> None:
    """The control: a single call has its three attempts."""
    front = Front(away(0.0, 20.0, reply(502)))

    with pytest.raises(ServerError) as caught:
        await client(front).phone_numbers.update(numbers(1)[0], friendly_name="x")
    assert caught.value.attempts == 3


@pytest.mark.parametrize("bounded", [True, False], ids=["bounded", "the control"])
async def test_a_call_that_may_not_wait_long_does_not_by_being_repeated(
    monkeypatch: pytest.MonkeyPatch, *, bounded: bool
) -> None:
    """All its waits together are bounded; each alone was once, and they added up."""
    if not bounded:
        monkeypatch.setattr(Engine, "_admit_until", lambda _, call: call.deadline)
    front = Front(lambda _: reply(429))
    one = client(front, Gate(clock=now, jitter=random.Random(6).random, max_wait=2.0))
    with pytest.raises((RateLimitError, CircuitOpenError)):
        await one.phone_numbers.update(numbers(1)[0], friendly_name="x")
    assert len(front.sent) > 1
    assert (now() < 2.1) is bounded


@pytest.mark.parametrize("answer", [reply(502), reply(503), reply(504), BROKEN])
async def test_one_dead_server_of_two_fails_no_row(answer: Answer) -> None:
    turns = itertools.cycle([answer, None])
    result, took = await updated(Front(lambda _: next(turns)), 300)

    assert statuses(result) == {"done": 300}
    assert took < 120.0


@pytest.mark.parametrize(
    ("answer", "width"),
    [(reply(502), 1), (reply(502), 100), (reply(503), 100), (BROKEN, 1), (BROKEN, 100)],
)
async def test_a_row_that_fails_alone_ends_the_job_for_nobody_else(
    answer: Answer, width: int
) -> None:
    """It makes the platform answer 502 each time, while the others succeed."""
    poison = numbers(5)[4].removeprefix("+")
    front = Front(lambda outgoing: answer if outgoing.url.endswith(poison) else None)
    result, _ = await updated(front, 120, max_connections=width)

    assert statuses(result) == {"done": 119, "unconfirmed": 1}
    assert result.stopped == ""


# ---------------------------------------------------------------- outages that last


@pytest.mark.parametrize("rows", [2, 5, 300])
@pytest.mark.parametrize("answer", [reply(502), reply(503), BROKEN, UNREACHED, CLOSED])
async def test_a_front_that_is_dead_from_the_start_ends_a_job_in_time(
    rows: int, answer: Answer
) -> None:
    front = Front(lambda _: answer)
    result, took = await updated(front, rows)
    tried = statuses(result).get("failed", 0) + statuses(result).get("unconfirmed", 0)

    assert took <= 75.0
    assert "no request has succeeded for 6" in result.stopped
    assert statuses(result).get("skipped", 0) == rows - tried
    assert tried <= 100
    assert len(front.sent) < 200
    assert all(type(each.error) is not asyncio.CancelledError for each in result.outcomes)


async def test_what_stopped_a_job_is_the_outage_and_not_a_pause_before_it() -> None:
    """Rows that were refused at first wait for a probe, with that refusal as their latest error."""
    slow = reply(429, headers={"retry-after": "1"})
    front = Front(lambda _: slow if now() < 1.0 else UNREACHED)
    result, _ = await updated(front, 50)

    assert "no request has succeeded for 6" in result.stopped
    assert "429" not in result.stopped
    assert "429" in str(result.outcomes[0].error), "the control: the first that waits"


async def test_without_patience_a_job_waits_until_its_rows_fail() -> None:
    """The control."""
    front = Front(lambda _: reply(502))
    result = await client(front).phone_numbers.update_many(
        numbers(5), friendly_name="x", stop_on=StopOn(patience=None)
    )

    assert now() > 250.0
    assert statuses(result) == {"unconfirmed": 5}
    assert result.stopped == ""


async def test_an_outage_in_the_middle_that_lasts_stops_the_rest() -> None:
    front = Front(away(2.0, 10_000.0, UNREACHED))
    result, took = await updated(front, 600)
    found = statuses(result)

    assert took <= 2.0 + 75.0
    assert found["done"] > 0
    assert found["skipped"] == 600 - found["done"] - found["failed"]
    with pytest.raises(ExceptionGroup, match="were skipped: no request has succeeded"):
        result.raise_for_failures()


async def test_a_row_under_way_is_not_cut_when_the_job_stops() -> None:
    """What it ends with is known by then; the platform hangs, and answers after 70 s."""

    class Hanging(Front):
        async def send(self, outgoing: HttpRequest, mark: ConnectionFlag, seconds: float) -> Answer:
            if outgoing.url.endswith("0000"):
                mark.connected = True
                await asyncio.sleep(70.0)
                return reply(json=self._record(outgoing))
            return await super().send(outgoing, mark, seconds)

    front = Hanging(lambda _: UNREACHED)
    result, took = await updated(front, 50, attempt_timeout=90.0, deadline=90.0)

    assert result.outcomes[0].status == "done"
    assert took == pytest.approx(70.0, abs=2.0)


async def test_a_job_that_waits_for_its_own_values_is_not_stopped() -> None:
    """A failure, and then nothing to do for two minutes, is no outage."""
    front = Front(away(0.0, 0.1, reply(500)))

    async def slowly() -> Any:
        for number in numbers(3):
            yield number
            await asyncio.sleep(120.0)

    result = await client(front).phone_numbers.update_many(slowly(), friendly_name="x")
    assert statuses(result) == {"unconfirmed": 1, "done": 2}


@pytest.mark.parametrize("pause", [100.0, 250.0])
async def test_a_pause_that_the_platform_asks_for_is_no_outage(pause: float) -> None:
    """A 502 and then a 429: nothing passes for longer than the job's patience."""
    answers = iter([reply(502), reply(429, headers={"retry-after": str(pause)})])
    result, took = await updated(Front(lambda _: next(answers, None)), 5)

    assert statuses(result) == {"done": 5}
    assert took > pause


async def test_a_pause_that_goes_on_beyond_its_cap_stops_a_job() -> None:
    """Or each of 500 rows would be the one that tries, five minutes after the one before."""
    front = Front(lambda _: reply(429, headers={"retry-after": "86400"}))
    result, took = await updated(front, 500)

    assert took < 310.0
    assert "no request has succeeded for 30" in result.stopped
    assert statuses(result)["skipped"] >= 400


# ---------------------------------------------------------------- purchases


async def purchased(front: Front, rows: int) -> dict[str, int]:
    wanted = (CreatePhoneNumber(country_code="US") for _ in range(rows))
    run = client(front).run_many(wanted)
    return dict(Counter([outcome.status async for outcome in run]))


async def test_an_outage_costs_no_more_purchases_than_were_sent_as_it_began() -> None:
    """Those end unconfirmed; then reads find out when the platform is back."""
    front = Front(away(5.0, 25.0, reply(502)))
    found = await purchased(front, 1_000)
    risked = [at for at, method in front.sent if 5.0 <= at < 25.0 and method == "POST"]
    reads = [at for at, method in front.sent if method == "GET"]

    assert found["done"] + found["unconfirmed"] == 1_000
    assert found["unconfirmed"] == len(risked) < 110
    assert max(risked) < 5.5
    assert 3 <= len(reads) <= 8


async def test_without_a_read_to_send_each_probe_is_a_purchase_in_doubt() -> None:
    """The control."""
    front = Front(away(5.0, 25.0, reply(502)))
    made = client(front)
    bound(made, platform=attrs.evolve(made.runner.engine.platform, probe=None))
    wanted = (CreatePhoneNumber(country_code="US") for _ in range(1_000))
    async for _ in made.run_many(wanted):
        pass
    risked = [at for at, method in front.sent if 5.0 <= at < 25.0 and method == "POST"]

    assert max(risked) > 10.0


async def test_purchases_that_are_not_sent_wait_until_the_platform_can_be_reached() -> None:
    found = await purchased(Front(away(0.0, 20.0, UNREACHED)), 200)

    assert found == {"done": 200}


async def test_a_page_that_asks_to_come_back_later_costs_few_purchases(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A front that is closed says so with a wait; while each was obeyed, all were unconfirmed."""
    found = await purchased(Front(lambda _: CLOSED), 300)

    assert found.keys() == {"unconfirmed", "skipped"}
    assert found["unconfirmed"] < 30
    assert now() < 75.0

    # The control: a wait counts as a sign of life, whoever asks for it.
    monkeypatch.setattr(AttemptResult, "rate_limited", True)
    assert (await purchased(Front(lambda _: CLOSED), 300))["unconfirmed"] == 300


@pytest.mark.parametrize("wait", ["5", "50"])
async def test_a_limiter_that_says_503_with_a_wait_fails_no_row(wait: str) -> None:
    """Twenty in ten seconds; what is over is told to come back, and comes back."""
    front = Front(limiting(20, 10.0, reply(503, headers={"retry-after": wait})))
    result, _ = await updated(front, 100)

    assert statuses(result) == {"done": 100}
    assert result.stopped == ""


async def test_a_single_purchase_is_not_sent_to_see_whether_the_platform_is_back() -> None:
    front = Front(lambda _: reply(502))
    made = client(front, Gate(clock=now, admission=Admission(failures_to_open=1)))
    with pytest.raises(ServerError):
        await made.phone_numbers.get(numbers(1)[0])
    await asyncio.sleep(5.0)
    with pytest.raises(CircuitOpenError):
        await made.phone_numbers.create(country_code="US")
    assert [method for _, method in front.sent][-1] == "GET"

    front.trouble = lambda _: None
    await asyncio.sleep(5.0)
    await made.phone_numbers.create(country_code="US")
    assert [method for _, method in front.sent][-2:] == ["GET", "POST"]


async def test_what_has_stopped_a_job_is_an_error_that_a_caller_can_ask_for() -> None:
    """The command line has a word for it; nothing was sent of the rows that it is about."""
    run = client(Front(lambda _: UNREACHED)).run_many(
        CreatePhoneNumber(country_code="US") for _ in range(30)
    )
    async for _ in run:
        pass

    assert isinstance(run.stopped_by, APIConnectionError)
    assert (run.stopped_by.committed, str(run.stopped_by)) == ("no", run.stopped)
