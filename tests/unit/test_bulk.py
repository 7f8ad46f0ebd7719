"""Many calls from one iterator, in virtual time."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import attrs
import pytest

from sigmamind_async.bulk import BulkResult, BulkRun, Outcome, Progress, StopOn, collect
from sigmamind_async.errors import (
    APIConnectionError,
    AuthenticationError,
    ConfigurationError,
    InsufficientFundsError,
    InvalidRequestError,
    JournalError,
    NotFoundError,
    OutcomeUnknownError,
    PermissionDeniedError,
    SigmaMindError,
    status_error,
)
from sigmamind_async.testing import FakeClock


@attrs.define
class Row:
    """A prepared call that takes *seconds* and ends with *value*, or the error that it is."""

    value: Any
    seconds: float = 1.0
    attempts: int = 0
    may_have_acted: bool = False
    ignored: tuple[str, ...] = ()
    request_id: str | None = None
    waits: bool = False

    def ending(self) -> SigmaMindError | None:
        return None

    async def run(self) -> Any:
        self.attempts += 1
        await asyncio.sleep(self.seconds)
        if isinstance(self.value, BaseException):
            raise self.value
        return self.value


def committed(how: Any) -> SigmaMindError:
    error = OutcomeUnknownError("lost")
    error.committed = how
    return error


def job(
    values: Any, *, width: int = 4, prepare: Callable[[Any], Any] = Row, **settings: Any
) -> BulkRun[Any, Any]:
    return BulkRun(prepare, values, width=width, **settings)


async def statuses(run: BulkRun[Any, Any]) -> list[str]:
    return [each.status for each in (await collect(run)).outcomes]


def no_task_is_left() -> bool:
    return asyncio.all_tasks() == {asyncio.current_task()}


# ---------------------------------------------------------------- order


async def test_every_value_has_one_outcome_with_its_index() -> None:
    outcomes = (await collect(job("abcde"))).outcomes

    assert [(each.index, each.value, each.result) for each in outcomes] == [
        (index, letter, letter) for index, letter in enumerate("abcde")
    ]
    assert {(each.status, each.attempts, each.error) for each in outcomes} == {("done", 1, None)}


async def test_outcomes_come_as_they_end() -> None:
    run = job([3, 1, 2], prepare=lambda seconds: Row(seconds, seconds))

    assert [outcome.value async for outcome in run] == [1, 2, 3]


async def test_outcomes_come_in_order_if_ordered() -> None:
    run = job([3, 1, 2], prepare=lambda seconds: Row(seconds, seconds), ordered=True)

    assert [outcome.value async for outcome in run] == [3, 1, 2]


async def test_no_more_rows_than_the_width_are_under_way() -> None:
    under_way, most = 0, 0

    class Counted(Row):
        async def run(self) -> Any:
            nonlocal under_way, most
            under_way += 1
            most = max(most, under_way)
            await super().run()
            under_way -= 1

    began = asyncio.get_running_loop().time()
    await collect(job(range(40), prepare=Counted))

    assert most == 4
    assert asyncio.get_running_loop().time() - began == pytest.approx(10.0)


async def test_an_empty_job_ends() -> None:
    assert (await collect(job([]))).outcomes == []


async def test_few_values_make_few_workers() -> None:
    run = job([1], width=100)
    iterator = aiter(run)
    waiting = asyncio.ensure_future(anext(iterator))
    await asyncio.sleep(0.5)

    assert len(asyncio.all_tasks()) <= 4
    await waiting
    await iterator.aclose()


# ---------------------------------------------------------------- values


async def test_values_may_be_async() -> None:
    async def values() -> AsyncIterator[int]:
        for value in range(10):
            await asyncio.sleep(0.5)
            yield value

    assert [each.result for each in (await collect(job(values()))).outcomes] == list(range(10))


class Reader(Iterator[int]):
    """Counts how far it has been read; never ends."""

    def __init__(self) -> None:
        self.read = 0

    def __next__(self) -> int:
        self.read += 1
        return self.read


@pytest.mark.parametrize("ordered", [False, True])
async def test_values_are_read_as_they_are_needed_and_a_slow_consumer_slows_the_job(
    ordered: bool,
) -> None:
    """Memory stays bounded: at most four rows a worker are started and not yet delivered."""
    reader = Reader()
    iterator = aiter(job(reader, ordered=ordered))
    for _ in range(10):
        await anext(iterator)
    await asyncio.sleep(1_000.0)

    assert 10 <= reader.read <= 10 + 4 * 4
    await iterator.aclose()


async def test_a_row_that_hangs_keeps_an_ordered_job_within_its_bound() -> None:
    reader = Reader()
    run = job(reader, prepare=lambda v: Row(v, 1e6 if v == 1 else 1.0), ordered=True)
    iterator = aiter(run)
    waiting = asyncio.ensure_future(anext(iterator))
    await asyncio.sleep(1_000.0)

    assert reader.read == 4 * 4
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await iterator.aclose()


@pytest.mark.parametrize("make", [iter, "async"])
async def test_an_exception_of_the_iterator_comes_after_the_rows_before_it(make: Any) -> None:
    def values() -> Iterator[int]:
        yield 1
        yield 2
        raise OSError("the file broke off")

    async def async_values() -> AsyncIterator[int]:
        for value in values():
            yield value

    outcomes = aiter(job(values() if make is iter else async_values()))
    assert [(await anext(outcomes)).result for _ in range(2)] == [1, 2]

    with pytest.raises(OSError, match="broke off"):
        await anext(outcomes)
    assert no_task_is_left()


@pytest.mark.parametrize("is_async", [False, True])
async def test_rows_whose_source_is_cancelled_are_no_shorter_input(is_async: bool) -> None:
    """Unlike the job itself, which was not: the consumer would take what was read for all."""

    def rows() -> Iterator[str]:
        yield "ok"
        raise asyncio.CancelledError

    async def awaited() -> AsyncIterator[str]:
        yield "ok"
        query = asyncio.get_running_loop().create_future()
        query.cancel()
        await query

    outcomes = aiter(job(awaited() if is_async else rows()))
    assert (await anext(outcomes)).result == "ok"
    with pytest.raises(InvalidRequestError, match="values: reading them was cancelled"):
        await anext(outcomes)
    assert no_task_is_left()


# ---------------------------------------------------------------- bad rows


async def test_a_row_that_waits_for_something_cancelled_fails_and_the_job_goes_on() -> None:
    """With one worker, too: its rows would be left without an outcome."""
    rows = [1, asyncio.CancelledError(), asyncio.CancelledError(), 4]
    found = (await collect(job(rows, width=1))).outcomes

    assert [each.status for each in found] == ["done", "failed", "failed", "done"]
    assert str(found[1].error) == "what the call waited for was cancelled"


@pytest.mark.parametrize(
    ("error", "may_have_acted", "status"),
    [
        (NotFoundError("404"), False, "failed"),
        (NotFoundError("404"), True, "failed"),
        (committed("no"), True, "failed"),
        (committed("unknown"), True, "unconfirmed"),
        (committed("yes"), True, "unconfirmed"),
        (ValueError("a bug"), False, "failed"),
        (ValueError("a bug"), True, "unconfirmed"),
    ],
)
async def test_a_bad_row_is_an_outcome_and_the_job_goes_on(
    error: Exception, may_have_acted: bool, status: str
) -> None:
    run = job([1, error, 3], prepare=lambda value: Row(value, may_have_acted=may_have_acted))
    first, bad, last = (await collect(run)).outcomes

    assert (first.status, bad.status, last.status) == ("done", status, "done")
    assert (bad.error, bad.result, bad.attempts) == (error, None, 1)


async def test_a_value_that_cannot_be_prepared_fails_only_its_row() -> None:
    def prepare(value: int) -> Row:
        if value == 2:
            raise InvalidRequestError(field="phone_number", rule="E.164")
        return Row(value)

    outcomes = (await collect(job([1, 2, 3], prepare=prepare))).outcomes

    assert [each.status for each in outcomes] == ["done", "failed", "done"]
    assert (outcomes[1].attempts, str(outcomes[1].error)) == (0, "phone_number: E.164")


async def test_an_outcome_says_how_long_it_took() -> None:
    progress = Progress(clock=asyncio.get_running_loop().time)
    [outcome] = (await collect(job([1], progress=progress))).outcomes

    assert outcome.elapsed == pytest.approx(1.0)


# ---------------------------------------------------------------- stopping

BAD = NotFoundError("404")


async def test_a_job_stops_at_a_count_of_bad_rows_and_skips_the_rest() -> None:
    found = await statuses(job([1, BAD, BAD, 4, 5, 6], width=1, stop_on=StopOn(count=2)))

    assert found == ["done", "failed", "failed", "skipped", "skipped", "skipped"]


async def test_rows_under_way_are_finished_when_a_job_stops() -> None:
    run = job(
        [BAD, 2, 3, 4],
        width=2,
        prepare=lambda value: Row(value, 1.0 if value is BAD else 5.0),
        stop_on=StopOn(count=1),
    )

    assert await statuses(run) == ["failed", "done", "skipped", "skipped"]


async def test_a_job_stops_at_a_share_once_enough_rows_have_ended() -> None:
    rows = [BAD, BAD, 3, 4, BAD, 6]
    found = await statuses(job(rows, width=1, stop_on=StopOn(share=0.5, least=4)))

    assert found == ["failed", "failed", "done", "done", "skipped", "skipped"]


@pytest.mark.parametrize(
    ("stop_on", "counts", "reached"),
    [
        (StopOn(), {"failed": 1_000}, False),
        (StopOn(count=2), {"failed": 1}, False),
        (StopOn(count=2), {"failed": 1, "unconfirmed": 1}, True),
        (StopOn(share=0.1), {"failed": 19}, False),
        (StopOn(share=0.1), {"failed": 2, "done": 18}, True),
        (StopOn(share=0.1), {"failed": 1, "done": 19}, False),
        (StopOn(share=0.1), {"failed": 2, "skipped": 18}, False),
        (StopOn(share=0.0, least=1), {"done": 1}, True),
    ],
)
def test_when_a_job_stops(stop_on: StopOn, counts: dict[str, Any], reached: bool) -> None:
    assert stop_on.reached(Progress(**counts)) is reached


# What stops is judged by its class and status; the messages are those that a person is shown.


def answered(status: int) -> SigmaMindError:
    error = status_error(status)(f"{status}: no")
    error.status = status
    return error


def foreign() -> SigmaMindError:
    """Return the error for an answer that is not the API's."""
    error = OutcomeUnknownError("the answer is a page, 'Sign in to the hotel network'")
    error.not_from_api = True
    return error


def unsent(*, retryable: bool = True) -> SigmaMindError:
    error = APIConnectionError("could not connect")
    error.retryable = retryable
    return error


ABOUT_ALL = [
    AuthenticationError("401: no"),
    InsufficientFundsError("402: no"),
    PermissionDeniedError("403: no"),
    ConfigurationError("api_key: the provider returned None"),
    foreign(),
]


@pytest.mark.parametrize("error", ABOUT_ALL, ids=lambda error: type(error).__name__)
async def test_a_job_stops_where_several_rows_in_a_row_are_refused_alike(
    error: SigmaMindError,
) -> None:
    """The control is the same job with ``stop_on=None``, which meets the error in every row."""
    run = job([1, *([error] * 5)], width=1)
    assert await statuses(run) == ["done", "failed", "failed", "failed", "skipped", "skipped"] or (
        isinstance(error, OutcomeUnknownError)
    )
    assert run.stopped.startswith("3 rows in a row")
    assert str(error) in run.stopped
    assert run.stopped_by is error

    control = job([1, *([error] * 5)], width=1, stop_on=None)
    assert "skipped" not in await statuses(control)
    assert (control.stopped, control.stopped_by) == ("", None)


async def test_a_result_says_why_its_job_ended_early() -> None:
    result = await collect(job([foreign()] * 4, width=1))

    assert (len(result.unconfirmed), len(result.skipped)) == (3, 1)
    assert "Sign in to the hotel network" in result.stopped
    with pytest.raises(ExceptionGroup, match="1 were skipped: 3 rows in a row"):
        result.raise_for_failures()


BETWEEN: list[tuple[Any, bool]] = [
    (1, False),  # done
    (answered(404), False),
    (answered(409), False),
    (answered(500), True),
    (committed("unknown"), True),
    (unsent(), True),
    (InvalidRequestError(field="value", rule="no"), True),
]


@pytest.mark.parametrize(("between", "stops"), BETWEEN)
async def test_rows_in_a_row_are_those_without_another_answer_between(
    between: Any, stops: bool
) -> None:
    """A number of another's is refused for itself; a row without an answer proves nothing."""
    refused = answered(403)
    run = job([refused, refused, between, refused, 5, 6, 7], width=1)
    found = await statuses(run)

    assert ("skipped" in found) is stops
    assert bool(run.stopped) is stops


@pytest.mark.parametrize(
    ("error", "stops"),
    [
        (JournalError("the disk is full"), True),
        (unsent(retryable=False), True),
        (unsent(), False),
        (committed("no"), False),
    ],
)
async def test_an_error_that_no_row_can_avoid_stops_a_job_at_once(
    error: SigmaMindError, stops: bool
) -> None:
    run = job([1, error, 3, 4], width=1)
    assert await statuses(run) == ["done", "failed", *(["skipped" if stops else "done"] * 2)]

    control = job([1, error, 3, 4], width=1, stop_on=StopOn(in_a_row=None))
    assert (await statuses(control))[2:] == ["done", "done"]


async def test_a_journal_error_about_one_row_does_not_stop_the_job() -> None:
    about_one = JournalError("row-1: another request")
    about_one.op_id = "row-1"

    assert await statuses(job([about_one] * 5, width=1)) == ["failed"] * 5


@pytest.mark.parametrize(
    "options",
    [{"stop_on": 3}, {"stop_on": {"count": 1}}, {"progress": 5}, {"progress": Progress}],
)
def test_impossible_options_are_refused_before_the_first_row(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        job([1], **options)


@pytest.mark.parametrize(
    "options",
    [{"count": 0}, {"count": True}, {"in_a_row": 0}, {"in_a_row": 1.5}, {"share": 2}],
)
def test_an_impossible_stop_on_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        StopOn(**options)


async def test_a_job_can_be_stopped_by_the_caller() -> None:
    run = job(range(10), width=1)
    found = []
    async for outcome in run:
        found.append(outcome.status)
        if outcome.index == 1:
            run.stop()

    assert found[:2] == ["done", "done"]
    assert found[-7:] == ["skipped"] * 7


async def test_a_stop_skips_rows_that_wait_for_the_gate_and_finishes_those_sent() -> None:
    """Ctrl-C does not spend minutes on sending what has not been sent."""

    class Queued(Row):
        async def run(self) -> Any:
            await asyncio.sleep(60.0 if self.value else 0.0)
            return await super().run()

    run = job(range(6), width=4, prepare=lambda value: Queued(value, seconds=5.0))
    asyncio.get_running_loop().call_later(1.0, run.stop)
    ended = {outcome.index: outcome.status async for outcome in run}

    assert ended == {0: "done", **dict.fromkeys(range(1, 6), "skipped")}
    assert asyncio.get_running_loop().time() == pytest.approx(5.0)


async def test_a_stop_does_not_disturb_the_worker_that_waits_for_a_value() -> None:
    """Were the failed row still under way, the stop would cancel the reading and lose the rest."""
    more = asyncio.Event()

    async def values() -> AsyncIterator[int]:
        yield 1
        await more.wait()
        yield 2

    class Refused(Row):
        async def run(self) -> Any:
            raise InvalidRequestError(field="value", rule="is refused before it is sent")

    run = job(values(), prepare=Refused)
    ends: list[tuple[int, str]] = []
    async for outcome in run:
        ends.append((outcome.value, outcome.status))
        await asyncio.sleep(1)
        run.stop()
        more.set()

    assert ends == [(1, "failed"), (2, "skipped")]


# ---------------------------------------------------------------- progress


async def test_progress_counts_while_the_job_runs() -> None:
    progress = Progress(total=4)
    run = job([1, BAD, committed("unknown"), 4], width=1, progress=progress)
    finished = [progress.finished async for _ in run]

    assert finished == [1, 2, 3, 4]
    assert (progress.done, progress.failed, progress.unconfirmed, progress.skipped) == (2, 1, 1, 0)


def test_rate_and_estimate(clock: FakeClock) -> None:
    progress = Progress(total=100, clock=clock)
    assert (progress.rate, progress.eta) == (0.0, None)

    progress.started = clock()
    clock.advance(10.0)
    for _ in range(20):
        progress.count("done")

    assert (progress.rate, progress.eta) == (2.0, 40.0)


def test_without_a_total_there_is_no_estimate(clock: FakeClock) -> None:
    progress = Progress(clock=clock, started=clock(), done=5)
    clock.advance(1.0)

    assert progress.eta is None


def test_more_rows_than_expected_give_no_negative_estimate(clock: FakeClock) -> None:
    progress = Progress(total=1, clock=clock, started=clock(), done=5)
    clock.advance(1.0)

    assert progress.eta == 0.0


# ---------------------------------------------------------------- leaving early


async def test_leaving_early_ends_every_task_and_keeps_the_outcomes() -> None:
    run = job(range(100))
    iterator = aiter(run)
    first = await anext(iterator)
    await asyncio.sleep(0.5)
    await iterator.aclose()

    kept = [first, *run.undelivered]
    assert sorted(each.index for each in kept) == list(range(len(kept)))
    assert no_task_is_left()


async def test_a_break_out_of_the_loop_ends_every_task() -> None:
    run = job(range(100))
    async for _ in run:
        break
    await asyncio.sleep(0.1)

    assert no_task_is_left()
    assert run.undelivered


@pytest.mark.parametrize(("may_have_acted", "status"), [(True, "unconfirmed"), (False, "skipped")])
async def test_a_cancelled_consumer_loses_no_outcome(may_have_acted: bool, status: str) -> None:
    """Rows under way may have been carried out; those that ended and were not yet seen, too."""
    run = job(
        range(8),
        prepare=lambda value: Row(value, 1.0 if value == 0 else 9.0, may_have_acted=may_have_acted),
    )
    seen: list[int] = []

    async def consume() -> None:
        async for outcome in run:
            seen.append(outcome.index)  # noqa: PERF401 - kept when cancelled

    task = asyncio.create_task(consume())
    await asyncio.sleep(2.0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert seen == [0]
    assert {(each.index, each.status) for each in run.undelivered} == {
        (index, status) for index in (1, 2, 3, 4)
    }
    assert no_task_is_left()


async def test_a_consumer_cancelled_twice_keeps_the_outcomes_until_then() -> None:
    """The second time cuts short the waiting for rows that take their time to end."""

    class Slow(Row):
        async def run(self) -> Any:
            try:
                return await super().run()
            finally:
                await asyncio.sleep(5.0)

    rows = [Row(0, 60.0, may_have_acted=True), Slow(1, 60.0, may_have_acted=True)]
    run = job(range(2), prepare=rows.__getitem__)
    task = asyncio.create_task(collect(run))
    for _ in range(2):
        await asyncio.sleep(1.0)
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert [(each.index, each.status) for each in run.undelivered] == [(0, "unconfirmed")]
    await asyncio.sleep(10.0)
    assert no_task_is_left()


@pytest.mark.parametrize("ordered", [False, True])
async def test_cancelling_at_any_moment_accounts_for_every_row_started(ordered: bool) -> None:
    for moment in range(40):
        reader = Reader()
        run = job(reader, prepare=lambda v: Row(v, 0.3 + v % 3), ordered=ordered)
        seen: list[int] = []

        async def consume(run: BulkRun[Any, Any] = run, seen: list[int] = seen) -> None:
            async for outcome in run:
                seen.append(outcome.index)
                await asyncio.sleep(0.2)

        task = asyncio.create_task(consume())
        await asyncio.sleep(moment / 10)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        # A generator that is left while it is not running is closed by its loop, a moment later.
        await asyncio.sleep(0.1)

        accounted = seen + [each.index for each in run.undelivered]
        assert sorted(accounted) == list(range(reader.read))
        assert no_task_is_left()


# ---------------------------------------------------------------- results


def result() -> BulkResult[int, int]:
    rows: list[tuple[Any, BaseException | None]] = [
        ("done", None),
        ("failed", BAD),
        ("unconfirmed", committed("unknown")),
        ("skipped", None),
        ("unconfirmed", asyncio.CancelledError()),
    ]
    return BulkResult(
        outcomes=[
            Outcome(index=index, status=status, value=index, error=error)
            for index, (status, error) in enumerate(rows)
        ]
    )


def test_a_result_sorts_its_outcomes_by_how_they_ended() -> None:
    found = result()

    assert [
        len(group) for group in (found.done, found.failed, found.unconfirmed, found.skipped)
    ] == [
        1,
        1,
        2,
        1,
    ]


def test_failures_are_raised_together() -> None:
    with pytest.raises(ExceptionGroup, match="2 of 5 rows failed or are unconfirmed") as caught:
        result().raise_for_failures()

    assert [type(each) for each in caught.value.exceptions] == [NotFoundError, OutcomeUnknownError]


def test_a_good_result_raises_nothing() -> None:
    BulkResult(outcomes=result().done).raise_for_failures()


def test_an_outcome_can_be_copied() -> None:
    outcome = result().outcomes[1]

    assert copy.deepcopy(outcome).index == 1


# ---------------------------------------------------------------- the caller's own counts


class BrokenCounts(Progress):
    """Fails at the end of every row."""

    def __setattr__(self, name: str, value: object) -> None:
        if value == 1:
            raise ZeroDivisionError(name)
        super().__setattr__(name, value)


class BrokenStop(StopOn):
    def reached(self, progress: Progress) -> bool:
        raise ZeroDivisionError(progress)


BROKEN: dict[str, dict[str, Any]] = {
    "progress": {"progress": BrokenCounts()},
    "stop_on": {"stop_on": BrokenStop(count=9)},
}


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("what", BROKEN)
async def test_an_exception_in_counting_ends_the_job_and_costs_no_row_its_outcome(
    what: str, *, ordered: bool
) -> None:
    """The control: with a `Progress` that counts nothing is raised, in all other tests here."""
    run = job([1, NotFoundError("404"), *range(98)], ordered=ordered, **BROKEN[what])
    outcomes: list[Outcome[Any, Any]] = []

    async def consume() -> None:
        async for outcome in run:
            outcomes.append(outcome)  # noqa: PERF401 - kept where the job raises

    with pytest.raises(ZeroDivisionError):
        await consume()
    assert sorted(each.index for each in outcomes) == list(range(100))
    assert {each.status for each in outcomes if each.attempts} == {"done", "failed"}
    assert "ZeroDivisionError" in run.stopped
    assert no_task_is_left()


async def test_collect_notes_how_many_rows_had_ended() -> None:
    def values() -> Iterator[int]:
        yield from range(3)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as caught:
        await collect(job(values()))
    assert caught.value.__notes__ == ["3 rows had ended; run_many yields each as soon as it ends"]


async def test_a_job_is_iterated_once() -> None:
    """What an early end left is in `undelivered`; a second round would only begin somewhere."""
    run = job("abcde")
    async for _ in run:
        break

    with pytest.raises(ConfigurationError, match="can be iterated once"):
        [each async for each in run]

    whole = job("ab")
    assert len([each async for each in whole]) == 2
    with pytest.raises(ConfigurationError, match="can be iterated once"):
        [each async for each in whole]
