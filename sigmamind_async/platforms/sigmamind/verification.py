"""Test calls from many numbers, to verify that their trunks work.

A call that was placed, or may have been, is never placed again: it rings a telephone and costs
money. Whatever goes wrong after that leaves its number unconfirmed, not failed, because the call
itself goes on.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from itertools import chain, zip_longest
from typing import Final, Literal, TypeAlias

import attrs

from sigmamind_async.bulk import (
    DEFAULT_STOP_ON,
    BulkRun,
    Outcome,
    PreparedCall,
    Progress,
    SingleUse,
    Status,
    StopOn,
)
from sigmamind_async.errors import OutcomeUnknownError, SigmaMindError
from sigmamind_async.platforms.sigmamind.client import SigmaMind
from sigmamind_async.platforms.sigmamind.models import Call, CreateCall, PhoneNumber
from sigmamind_async.values import UNSET, check_count, check_seconds

TestStatus: TypeAlias = Literal["passed", "failed", "unconfirmed", "skipped"]
"""``passed``: the call was answered; ``failed``: it was not, or was not placed; ``unconfirmed``: it
may ring, or how it ended is unknown; ``skipped``: no call was placed."""

SkipReason: TypeAlias = Literal["no number", "no test number", "no agent", "stopped"]

# https://docs.sigmamind.ai/api-reference/calls: three vocabularies, oldest to newest, are in
# public copies of the documentation. Only a reason that is known to follow an answer is a pass.
_ANSWERED: Final = frozenset(
    {
        "agent_ended_call",
        "customer_ended_call",
        "user_ended_call",
        "inactivity",
        "silence_timed_out",
        "voicemail",
    }
)
_UNANSWERED: Final = frozenset({"busy", "no_answer", "failed"})
_UNCONNECTED: Final = frozenset({"failed", "not_connected", "error"})
"""Statuses of an ended call that was never connected; it has no reason then."""


def status_of_call(call: Call) -> TestStatus:
    """Return what an ended *call* says about the trunk of the number that made it.

    A reason that is not documented yet is ``unconfirmed``.
    """
    reason = _normalized(call.termination_reason)
    if _normalized(call.status) in _UNCONNECTED or reason in _UNANSWERED:
        return "failed"
    return "passed" if reason in _ANSWERED else "unconfirmed"


def _normalized(word: str | None) -> str:
    return (word or "").replace("-", "_")


@attrs.frozen(kw_only=True)
class VerificationResult:
    """How the test call of one `number` ended; `skip_reason` says why none was placed."""

    number: PhoneNumber
    status: TestStatus
    """``passed``, ``failed``, ``unconfirmed`` or ``skipped``."""
    call: Call | None = None
    """The call as it was last seen; `None` if no response shows that it was placed."""
    error: BaseException | None = None
    """Why it was not placed, or why its end is unknown."""
    skip_reason: SkipReason | None = None


def verify_numbers(
    client: SigmaMind,
    numbers: Iterable[PhoneNumber],
    *,
    agent_id: str | None = None,
    timeout: float = 120.0,
    poll_interval: float = 1.0,
    concurrency: int = 5,
    per_destination: int = 1,
    stop_on: StopOn | None = DEFAULT_STOP_ON,
    progress: Progress | None = None,
) -> VerificationRun:
    """Call the ``outbound_phone_number`` of each of *numbers* once, and wait for the call's end.

    .. code-block:: python

        numbers = [number async for number in client.phone_numbers.list()]
        run = verify_numbers(client, numbers)
        print(run.calls, "calls will be placed")
        async for result in run:
            print(result.number.sip_phone_number, result.status)

    Args:
        client: Places the calls. It is left open.
        numbers: Records, as ``phone_numbers.list`` yields them. One that cannot make a test call is
            skipped, and its `skip_reason` says why.
        agent_id: The agent that speaks; by default the outbound agent of each number.
        timeout: Seconds to wait for the end of one call.
        poll_interval: Seconds between two look-ups of one call.
        concurrency: Most calls in progress at once.
        per_destination: Most calls in progress at once to one telephone, which is busy otherwise.
        stop_on: When to place no more calls, as in ``run_many``.
        progress: Counts to keep up to date; a call that passed counts as done.

    Raises:
        ConfigurationError: A setting cannot be used.
    """
    check_seconds("timeout", timeout)
    check_seconds("poll_interval", poll_interval)
    check_count("concurrency", concurrency)
    check_count("per_destination", per_destination)
    skipped: list[VerificationResult] = []
    callable_: list[PhoneNumber] = []
    for number in numbers:
        reason = _skip_reason(number, agent_id)
        if reason is None:
            callable_.append(number)
        else:
            skipped.append(_skipped(number, reason))
    lines = defaultdict[str | None, asyncio.Semaphore](lambda: asyncio.Semaphore(per_destination))
    calls = [
        _TestCall(
            client=client,
            number=number,
            agent_id=agent_id,
            timeout=timeout,
            poll_interval=poll_interval,
            line=lines[number.outbound_phone_number],
        )
        for number in spread_by_destination(callable_)
    ]
    return VerificationRun(
        calls, skipped, client=client, width=concurrency, stop_on=stop_on, progress=progress
    )


def spread_by_destination(numbers: Iterable[PhoneNumber]) -> list[PhoneNumber]:
    """Return *numbers* in an order in which those with one destination are far apart."""
    by_destination: defaultdict[str | None, list[PhoneNumber]] = defaultdict(list)
    for number in numbers:
        by_destination[number.outbound_phone_number].append(number)
    turns = chain.from_iterable(zip_longest(*by_destination.values()))
    return [number for number in turns if number is not None]


def _skip_reason(number: PhoneNumber, agent_id: str | None) -> SkipReason | None:
    if not number.sip_phone_number:
        return "no number"
    if not number.outbound_phone_number:
        return "no test number"
    return None if agent_id or number.outbound_agent_id else "no agent"


def _skipped(number: PhoneNumber, reason: SkipReason) -> VerificationResult:
    return VerificationResult(number=number, status="skipped", skip_reason=reason)


class VerificationRun(SingleUse):
    """Test calls from many numbers, made by `verify_numbers`; iterate over it once.

    When the consumer is cancelled or leaves early, calls that may ring are left alone, and every
    result that was not delivered is in `undelivered`.
    """

    def __init__(
        self,
        calls: list[_TestCall],
        skipped: list[VerificationResult],
        *,
        client: SigmaMind,
        width: int,
        stop_on: StopOn | None,
        progress: Progress | None,
    ) -> None:
        self.undelivered: list[VerificationResult] = []
        """After an early end: the results that were not delivered."""
        self._calls = calls
        self._skipped = iter(skipped)
        self._queue = iter(calls)
        self._bulk: BulkRun[_TestCall, Call] = client.runner.run_rows(
            self._queue, lambda call: call, stop_on=stop_on, progress=progress, width=width
        )
        self.progress.total = len(calls) + len(skipped)

    @property
    def calls(self) -> int:
        """The most calls that it places; known before it starts."""
        return len(self._calls)

    @property
    def in_progress(self) -> int:
        """Calls that were placed, or may have been, and are still waited for."""
        return sum(call.is_in_progress for call in self._calls)

    @property
    def progress(self) -> Progress:
        """Counts of the results so far."""
        return self._bulk.progress

    @property
    def stopped(self) -> str:
        """Why it places no more calls, as a sentence; empty while it does."""
        return self._bulk.stopped

    @property
    def stopped_by(self) -> SigmaMindError | None:
        """The error that stopped it, if later calls would have met the same."""
        return self._bulk.stopped_by

    def stop(self, why: str = "stop() was called") -> None:
        """Place no more calls; those in progress are waited for, other numbers are skipped.

        *why* becomes `stopped`.
        """
        self._bulk.stop(why)

    async def __aiter__(self) -> AsyncGenerator[VerificationResult, None]:
        """Place the calls; yield the `VerificationResult` of every number."""
        self._begin()
        try:
            for result in self._skipped:
                self.progress.count("skipped")
                yield result
            async with aclosing(aiter(self._bulk)) as outcomes:
                async for outcome in outcomes:
                    yield self._result(outcome)
        finally:
            self.undelivered = [
                *self._skipped,
                *(self._result(outcome) for outcome in self._bulk.undelivered),
                *(_skipped(call.number, "stopped") for call in self._queue),
            ]

    def _result(self, outcome: Outcome[_TestCall, Call]) -> VerificationResult:
        number, call = outcome.value.number, outcome.value.call
        if outcome.status == "skipped":
            return _skipped(number, "stopped")
        if outcome.error is not None:
            status: TestStatus = "failed" if outcome.status == "failed" else "unconfirmed"
            return VerificationResult(number=number, status=status, call=call, error=outcome.error)
        status = "unconfirmed" if call is None else status_of_call(call)
        if status in _NOT_PASSED:
            self.progress.recount("done", _NOT_PASSED[status])
        return VerificationResult(number=number, status=status, call=call)


_NOT_PASSED: Final[dict[TestStatus, Status]] = {"failed": "failed", "unconfirmed": "unconfirmed"}


@attrs.define(kw_only=True, eq=False)
class _TestCall:
    """One test call, as a row of a bulk job."""

    client: SigmaMind
    number: PhoneNumber
    agent_id: str | None
    timeout: float
    poll_interval: float
    line: asyncio.Semaphore
    """Taken by each call in progress to the same telephone."""
    call: Call | None = None
    """As it was last seen, once it is known to have been placed."""
    ignored: tuple[str, ...] = ()
    request_id: str | None = None
    _request: PreparedCall[Call] | None = None
    _over: bool = False

    @property
    def attempts(self) -> int:
        """Requests to place the call."""
        return 0 if self._request is None else self._request.attempts

    @property
    def may_have_acted(self) -> bool:
        """True if the telephone may ring."""
        return self.call is not None or (self._request is not None and self._request.may_have_acted)

    @property
    def is_in_progress(self) -> bool:
        """True if the telephone may ring and the end of the call is still waited for."""
        return self.may_have_acted and not self._over

    @property
    def waits(self) -> bool:
        """True between two attempts to place it."""
        return self.call is None and self._request is not None and self._request.waits

    def ending(self) -> SigmaMindError | None:
        """Return the error of an attempt to place it that is not repeated; see `PreparedCall`."""
        return None if self._request is None else self._request.ending()

    async def run(self) -> Call:
        """Place the call, once, and return it as it ended.

        Raises `OutcomeUnknownError` if it was placed, or may have been, and its end is not known;
        another error if nothing rings.
        """
        async with self.line:
            try:
                self.call = await self._place()
                self.call = await self._wait(self.call)
                return self.call
            finally:
                self._over = True

    async def _place(self) -> Call:
        self._request = self.client.runner.row(
            CreateCall(
                from_phone_number=self.number.sip_phone_number or "",
                to_phone_number=self.number.outbound_phone_number or "",
                agent_id=self.agent_id or UNSET,
            )
        )
        return await self._request.run()

    async def _wait(self, call: Call) -> Call:
        """Return *call* once it has ended."""
        try:
            # Beside the limit of `wait`, which a look-up that hangs would exceed.
            async with asyncio.timeout(self.timeout):
                return await self.client.calls.wait(
                    call, timeout=self.timeout, poll_every=self.poll_interval
                )
        except TimeoutError:
            raise _end_unknown(self._overdue(call)) from None
        except SigmaMindError as error:
            seen = getattr(error, "value", None)
            if not isinstance(seen, Call):
                raise _end_unknown(f"its end could not be read: {error}") from error
            self.call = seen
            raise _end_unknown(self._overdue(seen)) from None

    def _overdue(self, call: Call) -> str:
        if not call.call_id:
            return "the platform gave no id to follow it by"
        return f"has not ended within {self.timeout:g} s"


def _end_unknown(why: str) -> OutcomeUnknownError:
    error = OutcomeUnknownError(f"the call was placed and {why}")
    error.committed = "yes"
    return error
