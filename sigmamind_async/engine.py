"""From an operation to its result: gate, transport, verdict, decoding, and what follows.

The engine knows no vendor. One call has one deadline over all its attempts, pauses and queueing;
each attempt has a timeout inside it. The first attempt runs as plain code; only a call that needs
a second one pays for tenacity.

Errors are raised from one place, `Engine.finish`, with no other exception attached, so that no
frame or context that held a header or a body travels with them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from random import random
from typing import Any, ClassVar, Generic, TypeAlias, TypeVar, cast

import attrs

from sigmamind_async import static
from sigmamind_async.convert import dump_json
from sigmamind_async.credentials import Credentials
from sigmamind_async.errors import Committed, ResponseDecodeError, SigmaMindError
from sigmamind_async.events import (
    AttemptFinished,
    AttemptScheduled,
    CallFinished,
    FieldsIgnored,
    Observer,
    Throttled,
    logger,
    notify,
)
from sigmamind_async.limiter.gate import PATIENCE, Gate, Place
from sigmamind_async.limiter.rate import Ticket
from sigmamind_async.operation import (
    ConnectionFlag,
    Fault,
    Operation,
    Platform,
    ReadBack,
    Request,
    Response,
    Verdict,
)
from sigmamind_async.responses.headers import remaining
from sigmamind_async.responses.verdict import (
    AttemptResult,
    classify_attempt,
    classify_unreadable,
    committed_by,
    error_for,
    fields_ignored_error,
    is_alias_redirect,
    is_retryable,
    is_success,
)
from sigmamind_async.retry import Again, RetryPolicy, RetryQuota, repeating
from sigmamind_async.transport import HttpRequest, Transport
from sigmamind_async.values import Secret, Unset, secrets_in

T = TypeVar("T")

_Kept: TypeAlias = tuple[Response, Callable[[Response], T]]
"""An answer as it came, and what reads it."""

OUTAGES = 18
"""The failure of a kind that outages bring, such as a 502, that a patient call takes for an answer.
Those before it, over about half a minute, are the platform's, and not the fault of this request;
with one dead server of two, one row in 260,000 meets as many. While the circuit is open, none is
counted: it opens where nothing else passes either."""
RETURN = 5.0
"""Most seconds between two attempts of a patient call in an outage: so soon it is found to be over,
or to last too long for the job."""


class Headers:
    """The headers of every request, made once for each key, with a body and without.

    No attrs class, because what it holds must not be shown.
    """

    def __init__(self, authorize: Callable[[Secret], dict[str, str]]) -> None:
        self._authorize = authorize
        self._key: Secret | None = None
        self._bare: dict[str, str] = {}
        self._with_body: dict[str, str] = {}

    def of(self, key: Secret, body: bytes | None) -> Mapping[str, str]:
        """Return the headers that carry *key*, and tell of a *body* where there is one."""
        if key is not self._key:
            self._bare = {**_common(), **self._authorize(key)}
            # Fastify answers 400 to a type of content where no content is.
            self._with_body = {**self._bare, "Content-Type": "application/json"}
            self._key = key
        return self._bare if body is None else self._with_body


def _common() -> dict[str, str]:
    agent = "sigmamind-async"
    # Without a descriptor to read it with, the version is left out.
    with contextlib.suppress(OSError, ImportError):
        from importlib.metadata import version  # a tenth of the time a first client takes

        agent = f"{agent}/{version(agent)}"
    return {"Accept": "application/json", "User-Agent": agent}


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
    outages: int = 0
    """How many failures of a patient call were taken for the platform's, and not its own."""
    ambiguous: bool = False
    """Whether a finished attempt may have acted without telling."""
    prior_attempt: bool = False
    """Whether an earlier call for the same thing may have; set by whoever began this one."""
    verdict: Verdict | None = None
    """What the latest attempt proved."""
    failure: tuple[AttemptResult, Secret] | None = None
    """What the latest attempt proved that brought no result, and the key it was made with."""
    mark: ConnectionFlag | None = None
    """The mark of an attempt until it is judged; one that was cancelled leaves nothing else."""
    gone: Response | None = None
    """The 404 that was taken for a removal's success."""
    cost: int | None = None
    """What the latest repetition took from the quota."""
    key_refreshed: bool = False
    """Whether the key has been asked for again."""
    redirected: bool = False
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

    @property
    def may_be_own_echo(self) -> bool:
        """Whether "there is one already", or "there is none", may be the echo of a success."""
        return self.ambiguous or self.prior_attempt

    @property
    def may_have_acted(self) -> bool:
        """Whether the platform may have acted on this call, as far as it got."""
        if self.reads:
            return False
        return self.ambiguous or (self.mark is not None and self.mark.may_have_left)

    @property
    def waits(self) -> bool:
        """Whether an attempt has ended, and another has not begun."""
        return self.attempts > 0 and self.mark is None


@attrs.define(eq=False)
class Done(Generic[T]):
    """A call's good end; not frozen, because one is made in every call and none is handed out."""

    result: T
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
        """Run *operation* and return the answer that ended it, as it came.

        It is a 2xx, or the 404 after a removal that went unanswered.
        """
        response, _ = await self.exchange_to_read(operation)
        return response

    async def exchange_to_read(self, operation: Operation[T]) -> _Kept[T]:
        """Run *operation*; return the answer that ended it, as it came, and what reads it."""
        call = self.begin(operation)
        response, decode = await self.finish(_unread(operation), call)
        if call.gone is not None and not isinstance(operation.when_gone, Unset):
            gone = operation.when_gone
            return call.gone, lambda _: gone
        return response, decode

    async def finish(self, operation: Operation[T], call: Call) -> T:
        """Run the *call* that was begun for *operation*."""
        try:
            end = await self._attempt(operation, call)
            if not isinstance(end, Done):
                end = await self._see_through(operation, call, end)
        except BaseException as interruption:
            self._interrupted(operation, call, interruption)
            raise
        if isinstance(end, Done):
            if self.observer is not None:
                committed: Committed = "no" if call.reads else "yes"
                self._notify_finished(operation, call, None, committed, adopted=end.adopted)
            self.quota.refund(call.cost)
            return end.result
        error = _stamped(end.error, operation, call, self.clock() - call.started)
        if self.observer is not None:
            self._notify_finished(operation, call, error, error.committed)
        raise error

    async def _see_through(
        self, operation: Operation[T], call: Call, end: Failed | Again
    ) -> Done[T] | Failed:
        """Do what follows a first attempt that brought no result."""
        final = await self._attempt_again(operation, call, end) if isinstance(end, Again) else end
        if isinstance(final, Failed) and call.ambiguous:
            return await self._look_up(operation, call, final)
        return final

    async def _attempt_again(
        self, operation: Operation[T], call: Call, again: Again
    ) -> Done[T] | Failed:
        """Send until there is a result, or a reason to stop."""
        while True:
            await self.sleep(again.delay)
            try:
                attempts = repeating(self.sleep)
            except (OSError, ImportError):
                # Without a descriptor not even the module can be read: until there is one again,
                # attempts go without it.
                end = await self._attempt(operation, call)
                if not isinstance(end, Again):
                    return end
                again = end
            else:
                return cast("Done[T] | Failed", await attempts(self._attempt, operation, call))

    async def _attempt(self, operation: Operation[T], call: Call) -> Done[T] | Failed | Again:
        """Send once, and say what follows."""
        try:
            key = self.credentials.known or await self.credentials.key(self._left(call))
            kind, width = operation.request.method, self.limits.max_connections
            place = self.gate.try_enter(width, kind) or await self.gate.enter(
                width=width, deadline=self._waits_until(call), patient=call.patient, kind=kind
            )
            if not operation.repeatable and self._probes(place):
                place = await self._admitted_for_sure(operation, call, key, place)
            began = self.clock()
            # Not a coroutine of its own: that would cost every call a microsecond.
            try:
                if call.before_send is not None:
                    await call.before_send()
                seconds = self._start(call, began)
                outgoing = self._outgoing(operation.request, call, key, not operation.repeatable)
                call.mark = mark = ConnectionFlag()
                answer = await self.transport.send(outgoing, mark, seconds)
                if is_success(answer):
                    mark.connected = True
                    self.gate.passed(place, remaining(answer.headers, self.wall_clock))
                    finding = None
                else:
                    finding = self._find(operation, call, answer, place)
            except BaseException:
                self._give_up(operation, call, place, began)
                raise
        except SigmaMindError as refusal:
            # Nothing was sent: no usable key, no admission, or no JSON form of the body. What the
            # platform said before tells more.
            before = self._error(operation, call) if call.failure else None
            return Failed(before or refusal.with_traceback(None))
        read = _read(operation, answer) if finding is None else finding
        call.verdict = read.verdict
        if self.observer is not None:
            self._notify_attempt(operation, call, read.verdict, answer, self.clock() - began)
        if isinstance(read, Done):
            if operation.not_shown is not None:
                call.ignored = operation.not_shown(read.result)
            return self._accept_less(operation, call, read) if call.ignored else read
        follows = await self._follow(operation, call, read, key)
        if isinstance(follows, Again):
            await self._prepare_to_wait(call, read, key)
        return follows

    async def _prepare_to_wait(self, call: Call, finding: AttemptResult, key: Secret) -> None:
        """Hold no long answer while *call* waits to be sent again; let its caller prepare, too."""
        call.failure = (finding.trimmed(), key)
        if call.before_pause is not None and not call.ambiguous:
            await call.before_pause()

    def _probes(self, place: Place) -> bool:
        """Return whether a request is to be sent in place of the one that was admitted."""
        return self.platform.probe is not None and self.gate.is_probe(place)

    async def _admitted_for_sure(
        self, operation: Operation[object], call: Call, key: Secret, place: Place
    ) -> Place:
        """Let reads find out when the platform is back, then return a place for a purchase.

        One that saw for itself would be sent into the outage, and end in doubt.
        """
        while self._probes(place):
            await self._see_whether_back(operation, call, key, place)
            place = await self.gate.enter(
                width=self.limits.max_connections,
                deadline=call.deadline,
                patient=call.patient,
                kind=operation.request.method,
            )
        return place

    async def _see_whether_back(
        self, operation: Operation[object], call: Call, key: Secret, place: Place
    ) -> None:
        """Send the platform's probe in a place that the gate has given for it."""
        request = Request("GET", self.platform.probe or "")
        mark = ConnectionFlag()
        seconds = min(call.deadline - self.clock(), self.limits.attempt_timeout)
        try:
            outgoing = self._outgoing(request, call, key, False)  # noqa: FBT003 - as above
            answer = await self.transport.send(outgoing, mark, seconds)
        except BaseException:
            self.gate.abandoned(place)
            self.gate.leave()
            raise
        finding = classify_attempt(
            answer,
            mark,
            may_be_echo=False,
            wall_clock=self.wall_clock,
            refusal_statuses=self.gate.refusal_statuses,
        )
        self._tell_of_trouble(operation, finding, place)
        self.gate.leave()

    def ending(self, operation: Operation[object], call: Call) -> SigmaMindError | None:
        """Return how a *call* ends if it is not tried again; `None` while that is not known.

        That is the error of its latest attempt. Before the first has ended there is none, and none
        while another is under way.
        """
        if call.failure is None or not call.waits:
            return None
        error = self._error(operation, call)
        return _stamped(error, operation, call, self.clock() - call.started)

    def _error(self, operation: Operation[object], call: Call) -> SigmaMindError:
        """Return the error of the latest attempt.

        Only one that is handed out is made: to mask a page takes milliseconds, and of a hundred
        calls that meet an outage each may repeat its attempt.
        """
        assert call.failure is not None  # noqa: S101 - whoever asks has seen one
        finding, key = call.failure
        return error_for(
            operation,
            finding,
            _secrets(operation, key),
            base_url=self.base_url,
        )

    def _accept_less(self, operation: Operation[T], call: Call, done: Done[T]) -> Done[T] | Failed:
        """Take what shows that a field was ignored for the result, or for an error."""
        if self.observer is not None:
            notify(self.observer, FieldsIgnored(operation=operation.name, fields=call.ignored))
        return Failed(fields_ignored_error(operation, call.ignored)) if self.strict else done

    def _left(self, call: Call) -> float:
        """Return the seconds that *call* has left to wait for what it needs."""
        return min(call.deadline - self.clock(), self.limits.deadline)

    def _waits_until(self, call: Call) -> float:
        """Return when the latest attempt of *call* has to be admitted."""
        most = self.gate.max_wait
        if most is None or call.patient or not call.throttles:
            return call.deadline
        return min(call.deadline, call.started + most)

    def _start(self, call: Call, began: float) -> float:
        """Count an attempt that the gate has admitted; return the seconds it may take."""
        if call.deadline == math.inf:
            call.deadline = began + self.limits.deadline
        call.attempts += 1
        return min(call.deadline - began, self.limits.attempt_timeout)

    def _give_up(
        self, operation: Operation[object], call: Call, place: Place, began: float
    ) -> None:
        """Give the place back of an attempt that was cancelled, or never made."""
        with contextlib.suppress(RuntimeError):  # its loop is over, and with it that loop's places
            self.gate.abandoned(place)
            self.gate.leave()
        if call.mark is not None and self.observer is not None:
            verdict = Verdict.AMBIGUOUS if call.mark.may_have_left else Verdict.NOT_SENT
            self._notify_attempt(operation, call, verdict, None, self.clock() - began)

    def _interrupted(
        self, operation: Operation[object], call: Call, interruption: BaseException
    ) -> None:
        """Tell of the end of a call that was cancelled, in whatever way."""
        if call.may_have_acted:
            interruption.add_note(f"{operation.name} was under way: it may be carried out")
        if self.observer is not None:
            committed: Committed = "unknown" if call.may_have_acted else "no"
            self._notify_finished(operation, call, interruption, committed)

    def _outgoing(self, request: Request, call: Call, key: Secret, fresh: bool) -> HttpRequest:  # noqa: FBT001 - by name it takes twice as long
        path = request.alias if call.redirected and request.alias is not None else request.path
        body = None if request.json is None else dump_json(request.json)
        # By place: to give them by name doubles the time that making an object takes.
        return _outgoing(
            request.method,
            self.base_url + path,
            self._headers.of(key, body),
            request.max_bytes,
            body,
            fresh,
        )

    def _find(
        self, operation: Operation[object], call: Call, answer: Response | Fault, place: Place
    ) -> AttemptResult:
        """Judge an attempt that brought no confirmation, and give its place back."""
        mark = cast("ConnectionFlag", call.mark)
        finding = classify_attempt(
            answer,
            mark,
            may_be_echo=call.may_be_own_echo,
            wall_clock=self.wall_clock,
            refusal_statuses=self.gate.refusal_statuses,
        )
        self._tell_of_trouble(operation, finding, place)
        # The last thing done: whatever fails before it gives the place back, too.
        self.gate.leave()
        return finding

    def _tell_of_trouble(
        self, operation: Operation[object], finding: AttemptResult, ticket: Ticket
    ) -> None:
        if finding.throttled:
            pause = self.gate.throttled(ticket, finding.retry_after, refused=finding.rate_limited)
            self._log_pause(operation, finding, ticket, pause)
            rate = self.gate.admission.rate or 0.0
            notify(self.observer, Throttled(operation=operation.name, pause=pause, rate=rate))
        elif finding.is_definite and isinstance(finding.answer, Response):
            said = remaining(finding.answer.headers, self.wall_clock)
            self.gate.succeeded(ticket, said)
        else:
            self.gate.failed(ticket, overloaded=finding.status == 503)

    def _log_pause(
        self, operation: Operation[object], finding: AttemptResult, ticket: Ticket, pause: float
    ) -> None:
        """Say once for each pause who pauses, until when, and why."""
        if not pause or not self.gate.announces(ticket[2], pause):
            return
        asked, capped = (
            finding.retry_after or 0.0,
            (finding.retry_after or 0.0) > self.gate.max_pause,
        )
        own = ticket[2] in self.gate.admission.lanes.own
        logger.log(
            logging.WARNING if capped else logging.INFO,
            "%s: %s pause for %.1f s, until %s UTC: %s was answered %s%s",
            self.platform.name,
            f"{ticket[2]} requests" if own else "all requests",
            pause,
            time.strftime("%H:%M:%S", time.gmtime(self.wall_clock() + pause)),
            operation.name,
            finding.status,
            f" with a wait of {asked:.0f} s; one request tries then" if capped else "",
        )

    async def _follow(
        self, operation: Operation[T], call: Call, finding: AttemptResult, key: Secret
    ) -> Done[T] | Failed | Again:
        """Say what follows an attempt that brought no result."""
        gone = finding.status == 404 and call.may_be_own_echo and not finding.is_not_from_api
        if gone and not isinstance(operation.when_gone, Unset):
            call.gone = cast("Response", finding.answer)
            return Done(operation.when_gone)
        call.failure = (finding, key)
        if finding.verdict in {Verdict.AMBIGUOUS, Verdict.COMMITTED_UNREAD}:
            call.ambiguous = True
        call.mark = None
        if finding.status == 401 and not call.key_refreshed:
            call.key_refreshed = True
            try:
                if await self.credentials.refresh(key, self._left(call)):
                    return Again(delay=0.0)
            except SigmaMindError as refusal:
                return Failed(refusal.with_traceback(None))
        if not call.redirected and is_alias_redirect(operation, finding, self.base_url):
            call.redirected = True
            return Again(delay=0.0)
        again = self._repeat(operation, call, finding) if is_retryable(operation, finding) else None
        return again or Failed(self._error(operation, call))

    def _repeat(
        self, operation: Operation[object], call: Call, finding: AttemptResult
    ) -> Again | None:
        """Grant another attempt, if policy, quota and deadline allow."""
        # Only what may be repeated comes here: a patient call waits until an outage is over.
        outage = call.patient and not finding.throttled and finding.is_outage
        # A 503 without a wait may be load that is shed, so it is met more slowly than a 502.
        throttled = finding.throttled or (outage and finding.status == 503)
        wait = (
            None if finding.retry_after is None else min(finding.retry_after, self.gate.max_pause)
        )
        if throttled or outage:
            call.throttles += 1
            call.outages += outage and self.gate.admission.open_until is None
            refused = call.patient and self._is_hopeless(call)
        else:
            call.failures += 1
            refused = call.failures >= self.policy.max_attempts
        delay = self.policy.delay(
            call.throttles if throttled or outage else call.failures,
            throttled=throttled,
            jitter=self.jitter(),
            retry_after=wait,
        )
        if outage:
            delay = max(wait or 0.0, min(delay, RETURN))
        if call.patient and (throttled or outage):
            call.deadline = math.inf
        elif throttled and self.gate.max_wait is not None:
            refused = self.clock() + delay > self._waits_until(call)
        if refused or self.clock() + delay >= call.deadline:
            return None
        call.cost = None if outage else self.quota.spend(throttled=throttled)
        if call.cost is None and not (throttled or outage):
            return None
        if self.observer is not None:
            scheduled = AttemptScheduled(
                operation=operation.name, attempt=call.attempts + 1, delay=delay
            )
            notify(self.observer, scheduled)
        return Again(delay=delay)

    def _is_hopeless(self, call: Call) -> bool:
        """Whether waiting on is no plan: nobody is admitted for so long, or this call never."""
        progress = max(call.started, self.gate.admission.last_success or 0.0)
        return self.clock() - progress >= PATIENCE or call.outages >= OUTAGES

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
        verdict: Verdict,
        answer: Response | Fault | None,
        elapsed: float,
    ) -> None:
        status = answer.status if isinstance(answer, Response) else None
        notify(
            self.observer,
            AttemptFinished(operation.name, call.attempts, verdict, status, elapsed),
        )

    def _notify_finished(
        self,
        operation: Operation[object],
        call: Call,
        error: BaseException | None,
        committed: Committed,
        *,
        adopted: bool = False,
    ) -> None:
        elapsed = self.clock() - call.started
        name = None if error is None else type(error).__name__
        notify(
            self.observer,
            CallFinished(operation.name, call.attempts, elapsed, name, adopted, committed),
        )


_outgoing = static.maker(HttpRequest)


def _read(operation: Operation[T], answer: Response | Fault) -> Done[T] | AttemptResult:
    """Read a confirmed answer; one that is no success proves the less, the less it says."""
    assert isinstance(answer, Response)  # noqa: S101 - CONFIRMED says so
    try:
        return Done(operation.decode(answer))
    except ResponseDecodeError as error:
        unreadable = error.with_traceback(None)
    return classify_unreadable(answer, unreadable)


def _unread(operation: Operation[T]) -> Operation[_Kept[T]]:
    """Return *operation* with its answer as the result, and beside it what reads it.

    All that follows from an answer which is no 2xx stays as it is.
    """
    back, gone = operation.read_back, operation.when_gone

    def read(response: Response) -> T:
        end = _read(operation, response)
        if isinstance(end, Done):
            return end.result
        error = cast("ResponseDecodeError", end.decode_error)
        error.committed = committed_by(operation, end.verdict)
        raise error

    return Operation(
        name=operation.name,
        request=operation.request,
        decode=lambda response: (response, read),
        repeatable=operation.repeatable,
        value=operation.value,
        read_back=None if back is None else _unread_look_up(back),
        hints=operation.hints,
        when_gone=gone if isinstance(gone, Unset) else (_NONE, operation.decode),
    )


def _unread_look_up(back: ReadBack[T]) -> ReadBack[_Kept[T]]:
    read = back.operation.decode

    def found(response: Response) -> _Kept[T]:
        read(response)  # what cannot be read was not found
        return response, read

    look = back.operation
    return ReadBack(
        operation=Operation(look.name, look.request, found, look.repeatable, look.value),
        agrees=lambda kept: back.agrees(read(kept[0])),
    )


_NONE = Response(status=0)
"""A placeholder for the 404 that is kept in `Call.gone`."""


def _secrets(operation: Operation[object], key: Secret) -> list[Secret]:
    """Return every secret of one request, for the platform may repeat them in its answer."""
    return [key, *secrets_in(operation.request.json)]


def _stamped(
    error: SigmaMindError, operation: Operation[object], call: Call, elapsed: float
) -> SigmaMindError:
    """Write on *error* what the whole call adds to its last attempt."""
    error.operation, error.attempts, error.elapsed = operation.name, call.attempts, elapsed
    if call.may_have_acted and error.committed == "no":
        error.committed = "unknown"
    if call.attempts > 1:
        error.add_note(f"after {call.attempts} attempts in {elapsed:.1f} s")
    return error
