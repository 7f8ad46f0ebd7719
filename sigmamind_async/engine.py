"""From an operation to its result: gate, transport, verdict, decoding, and what follows.

The engine knows no vendor. One call has one deadline over all its attempts, pauses and queueing;
each attempt has a timeout inside it. The first attempt runs as plain code; only a call that needs
a second one pays for tenacity.

Errors are raised from one place, `Engine.finish`, with no other exception attached, so that no
frame or context that held a header or a body travels with them.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from random import random
from typing import Any, ClassVar, Generic, TypeVar, cast

import attrs

from sigmamind_async import static
from sigmamind_async.allowance import remaining
from sigmamind_async.convert import dump_json
from sigmamind_async.credentials import Credentials
from sigmamind_async.errors import ResponseDecodeError, SigmaMindError
from sigmamind_async.events import (
    AttemptFinished,
    AttemptScheduled,
    CallFinished,
    FieldsIgnored,
    Observer,
    Throttled,
    notify,
)
from sigmamind_async.finding import (
    Finding,
    confirms,
    error_for,
    find,
    ignored_error,
    leads_to_alias,
    may_repeat,
)
from sigmamind_async.gate import PATIENCE, Gate, Place
from sigmamind_async.operation import (
    Fault,
    Mark,
    Operation,
    Platform,
    Request,
    Response,
    Verdict,
)
from sigmamind_async.pace import Ticket
from sigmamind_async.retry import Again, RetryPolicy, RetryQuota, repeating
from sigmamind_async.transport import Outgoing, Transport
from sigmamind_async.values import Secret, Unset, secrets_in

T = TypeVar("T")

SHED = 12
"""The 503 without a wait that a patient call takes for an answer. Those before it, over about 90
seconds, are load that is shed; a platform that gives this one record nothing else is believed."""


class Headers:
    """The headers of every request, made once for each key.

    No attrs class, because what it holds must not be shown; and one mapping for each key, by which
    the transport sees that nothing has changed.
    """

    def __init__(self, authorize: Callable[[Secret], dict[str, str]]) -> None:
        self._authorize = authorize
        self._key: Secret | None = None
        self._made: dict[str, str] = {}

    def of(self, key: Secret) -> Mapping[str, str]:
        """Return the headers that carry *key*."""
        if key is not self._key:
            self._key, self._made = key, {**_common(), **self._authorize(key)}
        return self._made


def _common() -> dict[str, str]:
    from importlib.metadata import version  # a tenth of the time it takes to make a first client

    return {
        "Accept": "application/json",
        "Content-Type": "application/json",
        "User-Agent": f"sigmamind-async/{version('sigmamind-async')}",
    }


@attrs.frozen(kw_only=True)
class Limits:
    """Times of one call, in seconds, and how many calls may be under way in one loop."""

    deadline: float = 60.0
    attempt_timeout: float = 20.0
    max_connections: int = 100


class Call:
    """What is known of one call while it runs; shared with whoever began it."""

    # Defaults stand on the class: of these one call seldom sets more than four.
    attempts: int = 0
    failures: int = 0
    throttles: int = 0
    sheds: int = 0
    """How often a patient call took a 503 without a wait for load that is shed."""
    doubtful: bool = False
    """Whether a finished attempt may have acted without telling."""
    earlier: bool = False
    """Whether an earlier call for the same thing may have; set by whoever began this one."""
    verdict: Verdict | None = None
    """What the latest attempt proved."""
    last_error: SigmaMindError | None = None
    cost: int | None = None
    """What the latest repetition took from the quota."""
    renewed: bool = False
    """Whether the key has been asked for again."""
    moved: bool = False
    """Whether the platform led to the other spelling of the path."""
    ignored: tuple[str, ...] = ()
    """Fields that were sent and that the answer shows otherwise."""
    reads_back: bool = True
    """Whether an unanswered call is looked up, where its operation says how."""
    before_send: Callable[[], Awaitable[None]] | None = None
    """Awaited before each request, once the gate has admitted it; what it raises ends the call
    with nothing sent, and reaches whoever began it."""
    before_pause: Callable[[], Awaitable[None]] | None = None
    """Awaited when a request is to be made again of which the platform has done nothing."""

    def __init__(self, reads: bool, started: float, deadline: float, patient: bool) -> None:  # noqa: FBT001 - by name it takes twice as long
        self.reads = reads
        """Whether it cannot change anything."""
        self.started = started
        self.deadline = deadline
        """On the engine's clock; infinite while a patient call waits to be admitted."""
        self.patient = patient
        self.mark = Mark()
        """The mark of the latest attempt; an attempt that was cancelled leaves nothing else."""

    @property
    def may_echo(self) -> bool:
        """Whether "there is one already", or "there is none", may be the echo of a success."""
        return self.doubtful or self.earlier

    @property
    def touched(self) -> bool:
        """Whether the platform may have acted on this call, as far as it got."""
        return not self.reads and (self.doubtful or self.mark.connected)


@static.frozen
class Done(Generic[T]):
    """A call's good end."""

    result: T = attrs.field(hash=False)
    adopted: bool = False
    verdict: ClassVar[Verdict] = Verdict.CONFIRMED


@static.frozen(eq=False)
class Failed:
    """A call's bad end."""

    error: SigmaMindError


@attrs.frozen(kw_only=True)
class Engine:
    """Runs operations of one platform."""

    platform: Platform
    base_url: str
    """Origin and path prefix, without a slash at the end."""
    credentials: Credentials
    transport: Transport
    gate: Gate
    policy: RetryPolicy
    quota: RetryQuota
    limits: Limits
    strict: bool = False
    """Whether an answer that shows a field was ignored is an error."""
    observer: Observer | None = None
    clock: Callable[[], float] = time.monotonic
    wall_clock: Callable[[], float] = time.time
    jitter: Callable[[], float] = random
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    _headers: Headers = attrs.field(
        default=attrs.Factory(lambda self: Headers(self.platform.authorize), takes_self=True),
        init=False,
        repr=False,
    )

    def begin(self, operation: Operation[object], *, patient: bool = False) -> Call:
        """Return the state of a new call.

        A *patient* one, as a bulk job makes, waits for the platform's rate as long as it takes:
        its deadline starts when the gate admits it, and anew after it was throttled.
        """
        now = self.clock()
        deadline = math.inf if patient else now + self.limits.deadline
        return Call(operation.reads, now, deadline, patient)

    def run(self, operation: Operation[T]) -> Coroutine[Any, Any, T]:
        """Run *operation* to its end and return what its answer decodes to."""
        return self.finish(operation, self.begin(operation))

    async def exchange(self, operation: Operation[object]) -> Response:
        """Run *operation* and return its 2xx answer as it came."""
        return await self.run(
            Operation(
                name=operation.name,
                request=operation.request,
                decode=lambda response: response,
                repeatable=operation.repeatable,
                value=operation.value,
            )
        )

    async def finish(self, operation: Operation[T], call: Call) -> T:
        """Run the *call* that was begun for *operation*."""
        end = await self._attempt(operation, call)
        if not isinstance(end, Done):
            end = await self._see_through(operation, call, end)
        if self.observer is not None:
            self._notify_finished(operation, call, end)
        if isinstance(end, Done):
            self.quota.refund(call.cost)
            return end.result
        raise _stamped(end.error, operation, call, self.clock() - call.started)

    async def _see_through(
        self, operation: Operation[T], call: Call, end: Failed | Again
    ) -> Done[T] | Failed:
        """Do what follows a first attempt that brought no result."""
        final = await self._attempt_again(operation, call, end) if isinstance(end, Again) else end
        if isinstance(final, Failed) and call.doubtful:
            return await self._look_up(operation, call, final)
        return final

    async def _attempt_again(
        self, operation: Operation[T], call: Call, again: Again
    ) -> Done[T] | Failed:
        """Send until there is a result, or a reason to stop."""
        await self.sleep(again.delay)
        attempts = repeating(self.sleep)
        return cast("Done[T] | Failed", await attempts(self._attempt, operation, call))

    async def _attempt(self, operation: Operation[T], call: Call) -> Done[T] | Failed | Again:
        """Send once, and say what follows."""
        try:
            key = self.credentials.known or await self.credentials.key(self._left(call))
            kind, width = operation.request.method, self.limits.max_connections
            place = self.gate.try_enter(width, kind) or await self.gate.enter(
                width=width, deadline=call.deadline, patient=call.patient, kind=kind
            )
            began = self.clock()
            # Not a coroutine of its own: that would cost every call a microsecond.
            try:
                if call.before_send is not None:
                    await call.before_send()
                seconds = self._start(call, began)
                outgoing = self._outgoing(operation.request, call, key)
                answer = await self.transport.send(outgoing, call.mark, seconds)
                if confirms(answer, call.mark.connected):
                    self.gate.passed(place, remaining(answer.headers, self.wall_clock))
                    finding = None
                else:
                    finding = self._find(operation, call, answer, place)
            except BaseException as interruption:
                self._give_up(operation, call, interruption)
                raise
        except SigmaMindError as refusal:
            # Nothing was sent: no usable key, no admission, or no JSON form of the body. What the
            # platform said before tells more.
            return Failed(call.last_error or refusal.with_traceback(None))
        read = _read(operation, answer) if finding is None else finding
        call.verdict = read.verdict
        if self.observer is not None:
            self._notify_attempt(operation, call, answer, self.clock() - began)
        if isinstance(read, Done):
            if operation.not_shown is not None:
                call.ignored = operation.not_shown(read.result)
            return self._accept_less(operation, call, read) if call.ignored else read
        follows = await self._follow(operation, call, read, key)
        if call.before_pause is not None and isinstance(follows, Again) and not call.doubtful:
            await call.before_pause()
        return follows

    def _accept_less(self, operation: Operation[T], call: Call, done: Done[T]) -> Done[T] | Failed:
        """Take what shows that a field was ignored for the result, or for an error."""
        if self.observer is not None:
            notify(self.observer, FieldsIgnored(operation=operation.name, fields=call.ignored))
        return Failed(ignored_error(operation, call.ignored)) if self.strict else done

    def _left(self, call: Call) -> float:
        """Return the seconds that *call* has left to wait for what it needs."""
        return min(call.deadline - self.clock(), self.limits.deadline)

    def _start(self, call: Call, began: float) -> float:
        """Count an attempt that the gate has admitted; return the seconds it may take."""
        if call.deadline == math.inf:
            call.deadline = began + self.limits.deadline
        if call.attempts:
            call.mark = Mark()
        call.attempts += 1
        return min(call.deadline - began, self.limits.attempt_timeout)

    def _give_up(
        self, operation: Operation[object], call: Call, interruption: BaseException
    ) -> None:
        """Give the place back of an attempt that was cancelled, or never made."""
        self.gate.abandoned()
        self.gate.leave()
        if call.touched:
            interruption.add_note(f"{operation.name} was under way: it may be carried out")

    def _outgoing(self, request: Request, call: Call, key: Secret) -> Outgoing:
        path = request.alias if call.moved and request.alias is not None else request.path
        body = None if request.json is None else dump_json(request.json)
        return Outgoing(
            request.method, self.base_url + path, self._headers.of(key), request.max_bytes, body
        )

    def _find(
        self, operation: Operation[object], call: Call, answer: Response | Fault, place: Place
    ) -> Finding:
        """Judge an attempt that brought no confirmation, and give its place back."""
        finding = find(answer, call.mark, doubtful=call.may_echo, wall_clock=self.wall_clock)
        self._tell_of_trouble(operation, finding, place)
        # The last thing done: whatever fails before it gives the place back, too.
        self.gate.leave()
        return finding

    def _tell_of_trouble(
        self, operation: Operation[object], finding: Finding, ticket: Ticket
    ) -> None:
        if finding.throttled:
            pause = self.gate.throttled(ticket, finding.wait)
            rate = self.gate.admission.rate or 0.0
            notify(self.observer, Throttled(operation=operation.name, pause=pause, rate=rate))
        elif finding.healthy and isinstance(finding.answer, Response):
            said = remaining(finding.answer.headers, self.wall_clock)
            self.gate.succeeded(ticket, said)
        else:
            self.gate.failed(ticket, overloaded=finding.status == 503)

    async def _follow(
        self, operation: Operation[T], call: Call, finding: Finding, key: Secret
    ) -> Done[T] | Failed | Again:
        """Say what follows an attempt that brought no result."""
        if finding.status == 404 and call.may_echo and not isinstance(operation.when_gone, Unset):
            return Done(operation.when_gone)
        error = error_for(operation, finding, self.platform.explain, _secrets(operation, key))
        call.last_error = error
        if finding.verdict in {Verdict.AMBIGUOUS, Verdict.COMMITTED_UNREAD}:
            call.doubtful = True
        if finding.status == 401 and not call.renewed:
            call.renewed = True
            try:
                if await self.credentials.renewed(key, self._left(call)):
                    return Again(delay=0.0)
            except SigmaMindError as refusal:
                return Failed(refusal.with_traceback(None))
        if not call.moved and leads_to_alias(operation, finding, self.base_url):
            call.moved = True
            return Again(delay=0.0)
        if not may_repeat(operation, finding):
            return Failed(error)
        return self._repeat(operation, call, finding, error)

    def _repeat(
        self, operation: Operation[object], call: Call, finding: Finding, error: SigmaMindError
    ) -> Failed | Again:
        """Grant another attempt, if policy, quota and deadline allow."""
        # Only what may be repeated comes here: to a patient call a 503 is load that is shed.
        shed = call.patient and finding.status == 503 and not finding.throttled
        throttled = finding.throttled or shed
        if throttled:
            call.throttles += 1
            call.sheds += shed
            refused = call.patient and self._is_hopeless(call, finding.wait or 0.0)
        else:
            call.failures += 1
            refused = call.failures >= self.policy.max_attempts
        delay = self.policy.delay(
            call.throttles if throttled else call.failures,
            throttled=throttled,
            jitter=self.jitter(),
            retry_after=finding.wait,
        )
        if call.patient and throttled:
            call.deadline = math.inf
        if refused or self.clock() + delay >= call.deadline:
            return Failed(error)
        call.cost = self.quota.spend(throttled=throttled)
        if call.cost is None and not throttled:
            return Failed(error)
        if self.observer is not None:
            scheduled = AttemptScheduled(
                operation=operation.name, attempt=call.attempts + 1, delay=delay
            )
            notify(self.observer, scheduled)
        return Again(delay=delay)

    def _is_hopeless(self, call: Call, wait: float) -> bool:
        """Whether waiting on is no plan: nobody is admitted for so long, or this call never."""
        progress = max(call.started, self.gate.admission.last_success or 0.0)
        return max(wait, self.clock() - progress) > PATIENCE or call.sheds >= SHED

    async def _look_up(
        self, operation: Operation[T], call: Call, failed: Failed
    ) -> Done[T] | Failed:
        """Adopt the record that an unanswered call made, if it is there as it was asked for."""
        read_back = operation.read_back
        if read_back is None or not call.reads_back:
            return failed
        reading = self.begin(read_back.operation)
        reading.deadline = min(reading.deadline, call.deadline)
        try:
            found = await self.finish(read_back.operation, reading)
        except SigmaMindError:
            return failed
        return Done(found, adopted=True) if read_back.agrees(found) else failed

    def _notify_attempt(
        self,
        operation: Operation[object],
        call: Call,
        answer: Response | Fault,
        elapsed: float,
    ) -> None:
        assert call.verdict is not None  # noqa: S101 - the attempt was judged
        status = answer.status if isinstance(answer, Response) else None
        notify(
            self.observer,
            AttemptFinished(operation.name, call.attempts, call.verdict, status, elapsed),
        )

    def _notify_finished(self, operation: Operation[T], call: Call, end: Done[T] | Failed) -> None:
        elapsed = self.clock() - call.started
        error = type(end.error).__name__ if isinstance(end, Failed) else None
        adopted = isinstance(end, Done) and end.adopted
        notify(
            self.observer,
            CallFinished(operation.name, call.attempts, elapsed, error, adopted),
        )


def _read(operation: Operation[T], answer: Response | Fault) -> Done[T] | Finding:
    """Read a confirmed answer; one that cannot be read is committed all the same."""
    assert isinstance(answer, Response)  # noqa: S101 - CONFIRMED says so
    try:
        return Done(operation.decode(answer))
    except ResponseDecodeError as error:
        unreadable = error.with_traceback(None)
    return Finding(answer, Verdict.COMMITTED_UNREAD, unreadable=unreadable)


def _secrets(operation: Operation[object], key: Secret) -> list[Secret]:
    """Return every secret of one request, for the platform may repeat them in its answer."""
    return [key, *secrets_in(operation.request.json)]


def _stamped(
    error: SigmaMindError, operation: Operation[object], call: Call, elapsed: float
) -> SigmaMindError:
    """Write on *error* what the whole call adds to its last attempt."""
    error.operation, error.attempts, error.elapsed = operation.name, call.attempts, elapsed
    if call.doubtful and not call.reads and error.committed == "no":
        error.committed = "unknown"
    if call.attempts > 1:
        error.add_note(f"after {call.attempts} attempts in {elapsed:.1f} s")
    return error
