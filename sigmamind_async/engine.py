"""From an operation to its result: gate, transport, verdict, decoding, and what follows.

The engine knows no vendor. One call has one deadline over all its attempts, pauses and queueing;
each attempt has a timeout inside it. The first attempt runs as plain code: only a call that needs
a second one pays for tenacity.

Errors are raised in one place, `Engine.run`, with no other exception attached, so that no
frame or context that held a header or a body travels with them.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import partial
from logging import DEBUG, INFO, WARNING
from random import random
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

import attrs

from sigmamind_async.convert import dump_json
from sigmamind_async.credentials import Credentials
from sigmamind_async.errors import (
    Committed,
    FieldsIgnoredError,
    ResponseDecodeError,
    SigmaMindError,
)
from sigmamind_async.events import (
    AttemptFinished,
    AttemptScheduled,
    AttemptStarted,
    CallFinished,
    CallQueued,
    CallStarted,
    FieldsIgnored,
    Observer,
    Throttled,
    is_logged,
    logger,
    next_call_id,
    notify,
    subject_of,
)
from sigmamind_async.limiter.gate import STALL_TIMEOUT, Gate, Permit
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
from sigmamind_async.request_options import (
    NO_OPTIONS,
    Headers,
    RequestOptions,
    combine_headers,
)
from sigmamind_async.responses.error_body import request_id
from sigmamind_async.responses.headers import BUCKET, policy, remaining
from sigmamind_async.responses.verdict import (
    AttemptResult,
    classify_attempt,
    classify_unreadable,
    committed_by,
    error_for,
    is_alias_redirect,
    is_retryable,
    is_success,
)
from sigmamind_async.retry import NoResult, Retry, RetryPolicy, RetryQuota, retrying
from sigmamind_async.transport import HttpRequest, Transport
from sigmamind_async.values import Secret, Unset, secrets_in

if TYPE_CHECKING:
    from tenacity import RetryCallState

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

MAX_OUTAGES = 18
"""Failures of a kind that outages bring, such as a 502, after which an unbounded call fails.

Earlier ones, over about half a minute, are attributed to the platform and not to this request; with
one of two servers dead, one row in 260,000 meets as many. None is counted while the circuit is
open: it opens where nothing else passes either.
"""
MAX_OUTAGE_PAUSE = 5.0
"""Most seconds between two attempts of an unbounded call in an outage, so that both its end and the
end of the job's patience are noticed soon."""


@attrs.frozen(kw_only=True)
class Limits:
    """Times of one call, in seconds, and how many calls may run at once in one loop."""

    deadline: float = 60.0
    attempt_timeout: float = 20.0
    max_connections: int = 100


@attrs.frozen(kw_only=True)
class RawResponse(Generic[T]):
    """A response as it came: a 2xx, or the 404 that shows an earlier removal succeeded.

    It is made by ``with_raw_response`` and `Client.request`.
    """

    status: int
    """HTTP status."""
    headers: dict[str, str] = attrs.field(hash=False, repr=False)
    """By lower-case name."""
    body: bytes = attrs.field(repr=False)
    """Decompressed; at most 4 MiB, or 64 MiB of a page."""
    request_id: str | None
    """The platform's id of the request, where it gives one."""
    attempts: int
    """Requests sent or tried for the call; this is the answer to the last."""
    elapsed: float
    """Seconds, including waits and pauses."""
    decode: Callable[[Response], T] = attrs.field(repr=False, eq=False)

    def parse(self) -> T:
        """Read the body as the typed call would.

        Raises `ResponseDecodeError` for what cannot be read, and for a 2xx that is no success.
        """
        return self.decode(Response(status=self.status, headers=self.headers, body=self.body))


class Call(Generic[T_co]):
    """One call while it runs: its operation, and what is known of its attempts so far.

    The caller may read it while it runs, and before that set what is not an argument of
    `Engine.begin`.
    """

    # Defaults are on the class: one call seldom sets more than four of these.
    attempts: int = 0
    failures: int = 0
    throttles: int = 0
    outages: int = 0
    """Failures of an unbounded call that were attributed to the platform."""
    ambiguous: bool = False
    """True once an attempt ended without showing whether the platform acted."""
    prior_attempt: bool = False
    """True if an earlier call for the same thing may have acted; set by the caller."""
    verdict: Verdict | None = None
    """What the latest attempt proved."""
    failure: tuple[AttemptResult, Secret] | None = None
    """The latest attempt that brought no result, and the key it was made with."""
    flag: ConnectionFlag | None = None
    """That of an attempt until it is judged; one that was cancelled leaves nothing else."""
    headers: Mapping[str, str] | None = None
    """Those of the latest response."""
    op_id: str | None = None
    """The caller's key of the operation that this is a call of; set by the caller."""
    identity: dict[str, Any] | None = None
    """What its events name it by; `None` before the first."""
    queued_at: float | None = None
    """When it began to wait for the gate, if it is observed and had to."""
    not_found: Response | None = None
    """The 404 that was taken for a removal's success."""
    cost: int | None = None
    """What the latest repetition took from the quota."""
    key_refreshed: bool = False
    redirected: bool = False
    """True once the platform has redirected to the other spelling of the path."""
    adopted: bool = False
    """True when a lost answer was replaced by reading the record back."""
    ignored: tuple[str, ...] = ()
    """Fields that were sent and that the answer shows with other values."""
    reads_back: bool = True
    """False if an unanswered call is not to be looked up."""
    before_send: Callable[[], Awaitable[None]] | None = None
    """Awaited before each request, once the gate has admitted it. What it raises ends the call
    with nothing sent, and reaches the caller."""
    before_pause: Callable[[], Awaitable[None]] | None = None
    """Awaited before a pause after which the same request is sent again, if the platform has
    certainly not acted on it."""

    def __init__(
        self,
        engine: Engine,
        operation: Operation[T_co],
        started: float,
        deadline: float,
        unbounded: bool,  # noqa: FBT001 - by name it takes twice as long
    ) -> None:
        self.engine = engine
        self.operation = operation
        self.started = started
        self.deadline = deadline
        """On the engine's clock; infinite while an unbounded call waits to be admitted."""
        self.unbounded = unbounded
        self.is_observed: bool = engine.observer is not None or is_logged(DEBUG)
        """True if each step is reported, to an observer or the log."""

    @property
    def may_be_own_echo(self) -> bool:
        """True if a 409 or 404 may only show that an earlier attempt succeeded."""
        return self.ambiguous or self.prior_attempt

    @property
    def may_have_acted(self) -> bool:
        """True if the platform may have acted on what was sent so far."""
        if self.operation.reads:
            return False
        return self.ambiguous or (self.flag is not None and self.flag.may_have_left)

    @property
    def request_id(self) -> str | None:
        """The platform's id of the latest request that was answered, where it gives one."""
        return None if self.headers is None else self.engine.request_id_in(self.headers, self)

    @property
    def waits(self) -> bool:
        """True between two attempts."""
        return self.attempts > 0 and self.flag is None

    def run(self) -> Coroutine[Any, Any, T_co]:
        """Run the call; see `Engine.run`."""
        return self.engine.run(self)

    def ending(self) -> SigmaMindError | None:
        """Return the error it ends with if it is not tried again; see `Engine.ending`."""
        return self.engine.ending(self)


@attrs.define
class Failed(NoResult):
    """The error that ends a call. A value until `Engine.run` raises it."""

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
    """True if an answer that shows a field was ignored is an error."""
    observer: Observer | None = None
    options: RequestOptions = NO_OPTIONS
    user_agent_suffix: str = ""
    clock: Callable[[], float] = time.monotonic
    wall_clock: Callable[[], float] = time.time
    jitter: Callable[[], float] = random
    """Random numbers from 0 to 1 for the default pauses."""
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    _headers: Headers = attrs.field(
        default=attrs.Factory(
            lambda self: Headers(
                self.platform.authorize, self.options.headers, self.user_agent_suffix
            ),
            takes_self=True,
        ),
        init=False,
        repr=False,
    )
    _added: RequestOptions | None = attrs.field(
        default=attrs.Factory(
            lambda self: self.options if self.options.changes_requests else None, takes_self=True
        ),
        init=False,
        repr=False,
    )
    """The options if a request is to be changed, which few clients ask for."""

    def begin(self, operation: Operation[T], *, unbounded: bool = False) -> Call[T]:
        """Return a new call, which nothing has been sent for.

        An *unbounded* one, as a bulk job makes, waits for the platform's rate without limit: its
        deadline starts when the gate admits it, and again after a 429.
        """
        now = self.clock()
        deadline = math.inf if unbounded else now + self.limits.deadline
        return Call(self, operation, now, deadline, unbounded)

    async def exchange(self, operation: Operation[T]) -> RawResponse[T]:
        """Run *operation* and return its answer as it came.

        That is a 2xx, or the 404 after a removal that went unanswered.
        """
        call = self.begin(_without_decoding(operation))
        response = await self.run(call)
        back = operation.read_back if call.adopted else None
        parse = partial(_parse_answer, operation if back is None else back.operation)
        if call.not_found is not None:
            response, parse = call.not_found, partial(_result_of_removal, operation)
        headers = {name.lower(): text for name, text in response.headers.items()}
        return RawResponse(
            status=response.status,
            headers=headers,
            body=response.body,
            request_id=self.request_id_in(headers, call),
            attempts=call.attempts,
            elapsed=self.clock() - call.started,
            decode=parse,
        )

    async def run(self, call: Call[T]) -> T:
        """Run *call* to its end and return what its answer decodes to."""
        if call.is_observed:
            notify(self.observer, CallStarted(call.operation.name, **_identity(call)))
        try:
            end = await self._attempt(call)
            if isinstance(end, NoResult):
                end = await self._recover(call, end)
        except BaseException as interruption:
            self._report_interruption(call, interruption)
            raise
        if isinstance(end, Failed):
            error = _annotate(end.error, call, self.clock() - call.started)
            if call.is_observed or is_logged(INFO):
                self._notify_finished(call, error, error.committed)
            raise error
        if call.is_observed:
            self._notify_finished(call, None, "no" if call.operation.reads else "yes")
        self.quota.refund(call.cost)
        return end

    async def _attempt(self, call: Call[T]) -> T | Failed | Retry:  # noqa: C901 - as follows
        """Send once; return the result, the error that ends the call, or why to send again."""
        # One long function: each coroutine cut from it would cost every call a microsecond.
        operation = call.operation
        try:
            key = self.credentials.known or await self.credentials.key(self._time_left(call))
            permit = self.gate.try_acquire(
                self.limits.max_connections, operation.request.method
            ) or await self._admit(call, self._admit_until(call))
            if not operation.repeatable and self._is_probe(permit):
                permit = await self._probe_until_back(call, key, permit)
            began = permit[0]  # the gate goes by the same clock
            try:
                if call.before_send is not None:
                    await call.before_send()
                seconds = self._start(call, began)
                request = self._http_request(call, operation.request, key, operation.repeatable)
                if call.is_observed:
                    self._announce(call, request, began)
                call.flag = flag = ConnectionFlag()
                answer = await self.transport.send(request, flag, seconds)
                if is_success(answer):
                    flag.connected = True
                    call.headers = headers = answer.headers
                    if BUCKET in headers:
                        self.gate.name_bucket(permit, headers[BUCKET])
                    self.gate.complete(permit, remaining(headers, self.wall_clock))
                    proof: Response | AttemptResult = answer
                else:
                    proof = self._judge(call, answer, permit)
            except BaseException:
                self._abandon(call, permit, began)
                raise
        except SigmaMindError as refusal:
            # Nothing was sent: no usable key, no admission, or no JSON form of the body. What the
            # platform answered before is the better reason.
            return Failed(self._error(call) if call.failure else refusal.with_traceback(None))
        end = proof if isinstance(proof, AttemptResult) else _read(operation, proof)
        if isinstance(end, AttemptResult):
            return await self._next_step(call, end, key, began)
        call.verdict = Verdict.CONFIRMED
        if call.is_observed:
            self._notify_attempt(call, Verdict.CONFIRMED, answer, began)
        if operation.ignored_fields is not None:
            call.ignored = operation.ignored_fields(end)
            if call.ignored:
                return self._handle_ignored(call, end)
        return end

    # --- before an attempt ---------------------------------------------------------------------

    def _time_left(self, call: Call[object]) -> float:
        return min(call.deadline - self.clock(), self.limits.deadline)

    def _admit_until(self, call: Call[object]) -> float:
        """Return when the latest attempt of *call* has to be admitted."""
        most = self.gate.max_wait
        if most is None or call.unbounded or not call.throttles:
            return call.deadline
        return min(call.deadline, call.started + most)

    def _admit(self, call: Call[object], deadline: float) -> Awaitable[Permit]:
        if call.is_observed:
            if call.queued_at is None:
                call.queued_at = self.clock()
            queued = CallQueued(call.operation.name, call.attempts + 1, **_identity(call))
            notify(self.observer, queued)
        return self.gate.acquire(
            width=self.limits.max_connections,
            deadline=deadline,
            unbounded=call.unbounded,
            kind=call.operation.request.method,
        )

    def _start(self, call: Call[object], began: float) -> float:
        """Count an attempt that the gate has admitted; return the seconds it may take."""
        if call.deadline == math.inf:
            call.deadline = began + self.limits.deadline
        call.attempts += 1
        left, most = call.deadline - began, self.limits.attempt_timeout
        return left if left < most else most  # noqa: FURB136 - for each call; `min` is a call more

    def _http_request(
        self,
        call: Call[object],
        request: Request,
        key: Secret,
        may_reuse: bool,  # noqa: FBT001 - by name it takes twice as long
    ) -> HttpRequest:
        path = request.alias if call.redirected and request.alias is not None else request.path
        json = request.json
        if self._added is not None:
            path, json = self._added.path(path), self._added.json(json)
        body = None if json is None else dump_json(json)
        return HttpRequest(
            request.method,
            self.base_url + path,
            self._headers.get(key, body),
            request.max_bytes,
            body,
            not may_reuse,
        )

    def _is_probe(self, permit: Permit) -> bool:
        """True if the circuit is open and a probe is to be sent instead of a purchase."""
        return self.platform.probe is not None and self.gate.is_probe(permit)

    async def _probe_until_back(self, call: Call[object], key: Secret, permit: Permit) -> Permit:
        """Let reads find out when the platform is back, then return a permit for a purchase.

        A purchase sent into an outage to find that out would end unconfirmed.
        """
        while self._is_probe(permit):
            await self._send_probe(call, key, permit)
            permit = await self._admit(call, call.deadline)
        return permit

    async def _send_probe(self, call: Call[object], key: Secret, permit: Permit) -> None:
        request, flag = Request("GET", self.platform.probe or ""), ConnectionFlag()
        seconds = min(call.deadline - self.clock(), self.limits.attempt_timeout)
        try:
            outgoing = self._http_request(call, request, key, True)  # noqa: FBT003 - as above
            answer = await self.transport.send(outgoing, flag, seconds)
        except BaseException:
            self.gate.abandoned(permit)
            self.gate.release(permit)
            raise
        self._report(call, self._classify(answer, flag, may_be_echo=False), permit)
        self.gate.release(permit)

    # --- after an attempt ----------------------------------------------------------------------

    def _classify(
        self, answer: Response | Fault, flag: ConnectionFlag, *, may_be_echo: bool
    ) -> AttemptResult:
        return classify_attempt(
            answer,
            flag,
            may_be_echo=may_be_echo,
            wall_clock=self.wall_clock,
            refusal_statuses=self.gate.refusal_statuses,
        )

    def _judge(self, call: Call[object], answer: Response | Fault, permit: Permit) -> AttemptResult:
        """Judge an attempt without a confirmation, and give its permit back."""
        flag = cast("ConnectionFlag", call.flag)
        call.headers = answer.headers if isinstance(answer, Response) else None
        if call.headers and BUCKET in call.headers:
            self.gate.name_bucket(permit, call.headers[BUCKET])
        if call.headers and (stated := policy(call.headers)):
            self.gate.follow(permit, stated)
        result = self._classify(answer, flag, may_be_echo=call.may_be_own_echo)
        self._report(call, result, permit)
        # Last, because after any exception before it `_abandon` gives the permit back.
        self.gate.release(permit)
        return result

    def _report(self, call: Call[object], result: AttemptResult, permit: Permit) -> None:
        """Let the gate learn from an attempt without a confirmation."""
        if result.throttled:
            pause = self.gate.throttled(permit, result.retry_after, refused=result.rate_limited)
            self._log_pause(call, result, permit, pause)
            rate = self.gate.admission.rate
            notify(self.observer, Throttled(call.operation.name, pause, rate, **_identity(call)))
        elif result.is_definite and isinstance(result.answer, Response):
            self.gate.succeeded(permit, remaining(result.answer.headers, self.wall_clock))
        else:
            self.gate.failed(permit, overloaded=result.status == 503)

    def _log_pause(
        self, call: Call[object], result: AttemptResult, permit: Permit, pause: float
    ) -> None:
        """Log each pause once: what pauses, until when, and why."""
        if not pause or not self.gate.announces(permit[2], pause):
            return
        asked, capped = result.retry_after or 0.0, (result.retry_after or 0.0) > self.gate.max_pause
        own = permit[2] in self.gate.admission.rates.separate
        logger.log(
            WARNING if capped else INFO,
            "%s: %s pause for %.1f s, until %s UTC: %s was answered %s%s",
            self.platform.name,
            f"{permit[2]} requests" if own else "all requests",
            pause,
            time.strftime("%H:%M:%S", time.gmtime(self.wall_clock() + pause)),
            call.operation.name,
            result.status,
            f" with a wait of {asked:.0f} s; one request tries then" if capped else "",
        )

    def _abandon(self, call: Call[object], permit: Permit, began: float) -> None:
        """Give back the permit of an attempt that was cancelled, or never made."""
        with contextlib.suppress(RuntimeError):  # its loop is over, and that loop's permits with it
            self.gate.abandoned(permit)
            self.gate.release(permit)
        if call.flag is not None and call.is_observed:
            verdict = Verdict.AMBIGUOUS if call.flag.may_have_left else Verdict.NOT_SENT
            self._notify_attempt(call, verdict, None, began)

    def _report_interruption(self, call: Call[object], interruption: BaseException) -> None:
        """Report the end of a call that was cancelled, in whatever way."""
        name = call.operation.name
        if call.may_have_acted:
            interruption.add_note(f"{name} was under way: it may have been carried out")
        if call.is_observed or is_logged(INFO):
            committed: Committed = "unknown" if call.may_have_acted else "no"
            reason = getattr(interruption, "error", None)  # of what a `before_send` raises
            known = isinstance(reason, SigmaMindError)
            self._notify_finished(call, reason if known else interruption, committed)

    def _handle_ignored(self, call: Call[T], result: T) -> T | Failed:
        notify(self.observer, FieldsIgnored(call.operation.name, call.ignored, **_identity(call)))
        if not self.strict:
            return result
        names = ", ".join(call.ignored)
        error = FieldsIgnoredError(
            f"{call.operation.name}: the platform answered 200 but did not set: {names}"
        )
        error.fields = call.ignored
        return Failed(error)

    async def _next_step(
        self, call: Call[T], result: AttemptResult, key: Secret, began: float
    ) -> T | Failed | Retry:
        """Decide what follows an attempt that brought no result."""
        call.verdict = result.verdict
        if call.is_observed:
            self._notify_attempt(call, result.verdict, result.answer, began)
        gone = call.operation.on_not_found
        if not isinstance(gone, Unset) and _shows_own_removal(call, result):
            call.not_found = cast("Response", result.answer)
            return gone
        call.failure = (result, key)
        if result.verdict in {Verdict.AMBIGUOUS, Verdict.COMMITTED_UNREAD}:
            call.ambiguous = True
        call.flag = None
        try:
            if await self._refresh_or_redirect(call, result, key):
                return Retry(result.status, at_once=True)
        except SigmaMindError as refusal:
            return Failed(refusal.with_traceback(None))
        if is_retryable(call.operation, result):
            return _retry_for(call, result)
        return Failed(self._error(call))

    async def _refresh_or_redirect(
        self, call: Call[object], result: AttemptResult, key: Secret
    ) -> bool:
        """Return whether a new key, after a 401, or the one redirect may help; each once."""
        if result.status == 401 and not call.key_refreshed:
            call.key_refreshed = True
            if await self.credentials.refresh(key, self._time_left(call)):
                return True
        alias = call.operation.request.alias
        if alias is not None and self._added is not None:
            alias = self._added.path(alias)
        if not call.redirected and is_alias_redirect(alias, result, self.base_url):
            call.redirected = True
            return True
        return False

    # --- further attempts ----------------------------------------------------------------------

    async def _recover(self, call: Call[T], first: NoResult) -> T | Failed:
        """Do what follows a first attempt that brought no result."""
        end: T | NoResult = await self._retry(call, first) if isinstance(first, Retry) else first
        if isinstance(end, Failed) and call.ambiguous:
            return await self._read_back(call, end)
        return cast("T | Failed", end)

    async def _retry(self, call: Call[T], first: Retry) -> T | Failed:
        """Send again until there is a result or a reason to stop; *first* is why to retry."""
        pending = [first]

        async def attempt() -> T | Failed | Retry:
            return pending.pop() if pending else await self._attempt(call)

        attempts = retrying(
            wait=partial(self._pause, call),
            stop=partial(self._must_stop, call),
            before_sleep=partial(self._prepare_pause, call),
            retry_error_callback=lambda _: Failed(self._error(call)),
            sleep=self.sleep,
        )
        return cast("T | Failed", await attempts(attempt))

    def _pause(self, call: Call[object], state: RetryCallState) -> float:
        """Return the seconds before the next attempt: the policy's, and at least the platform's."""
        retry = _retry_in(state)
        if retry.at_once:
            return 0.0
        if retry.throttled or retry.outage:
            call.throttles += 1
            call.outages += retry.outage and self.gate.admission.open_until is None
            state.attempt_number = call.throttles
        else:
            call.failures += 1
            state.attempt_number = call.failures
        state.start_time, state.outcome_timestamp = call.started, self.clock()
        pause = self.policy.pause(state, self.jitter)
        if retry.outage:
            pause = min(pause, MAX_OUTAGE_PAUSE)
        return max(pause, min(retry.retry_after or 0.0, self.gate.max_pause))

    def _must_stop(self, call: Call[object], state: RetryCallState) -> bool:
        """True if policy, quota or deadline rule out the attempt that `_pause` has timed."""
        retry = _retry_in(state)
        if retry.at_once:
            return False
        state.attempt_number = call.failures  # to be throttled is no failure
        if self.policy.must_stop(state):
            return True
        resumes = self.clock() + state.upcoming_sleep
        if call.unbounded and (retry.throttled or retry.outage):
            if self._is_hopeless(call):
                return True
            call.deadline = math.inf
        too_late = retry.throttled and resumes > self._admit_until(call)
        if too_late or resumes >= call.deadline:
            return True
        call.cost = None if retry.outage else self.quota.spend(throttled=retry.throttled)
        return call.cost is None and not (retry.throttled or retry.outage)

    def _is_hopeless(self, call: Call[object]) -> bool:
        """True if nothing has been admitted for long, or this call has failed too often."""
        progress = max(call.started, self.gate.admission.last_success or 0.0)
        return self.clock() - progress >= STALL_TIMEOUT or call.outages >= MAX_OUTAGES

    async def _prepare_pause(self, call: Call[object], state: RetryCallState) -> None:
        """Announce the next attempt, and hold no long answer until it is made."""
        retry = _retry_in(state)
        if not retry.at_once and (call.is_observed or is_logged(INFO)):
            scheduled = AttemptScheduled(
                call.operation.name,
                call.attempts + 1,
                state.upcoming_sleep,
                retry.status,
                **_identity(call),
            )
            notify(self.observer, scheduled)
        if call.failure is not None:
            result, key = call.failure
            call.failure = (result.trimmed(), key)
        if call.before_pause is not None and not call.ambiguous:
            await call.before_pause()

    async def _read_back(self, call: Call[T], failed: Failed) -> T | Failed:
        """Adopt the record that an unanswered call made, if it is there as it was requested."""
        read_back = call.operation.read_back
        if read_back is None or not call.reads_back:
            return failed
        lookup = self.begin(read_back.operation)
        lookup.deadline = min(lookup.deadline, call.deadline)
        try:
            found = await self.run(lookup)
        except SigmaMindError:
            return failed
        if not read_back.agrees(found):
            return failed
        call.adopted = True
        return found

    # --- errors and events ---------------------------------------------------------------------

    def ending(self, call: Call[object]) -> SigmaMindError | None:
        """Return the error that *call* ends with if it is not tried again.

        That is the error of its latest attempt; `None` before the first has ended, and while
        another is under way.
        """
        if call.failure is None or not call.waits:
            return None
        return _annotate(self._error(call), call, self.clock() - call.started)

    def _error(self, call: Call[object]) -> SigmaMindError:
        """Return the error of the latest attempt.

        It is made only when it is handed out: to mask a page takes milliseconds, and in an outage
        a hundred calls may repeat their attempts at once.
        """
        assert call.failure is not None  # noqa: S101 - only called after one
        result, key = call.failure
        # The platform may repeat any secret of the request in its answer.
        secrets = [key, *secrets_in(call.operation.request.json), *self.options.secrets]
        return error_for(call.operation, result, secrets, base_url=self.base_url)

    def _announce(self, call: Call[object], request: HttpRequest, began: float) -> None:
        """Report that *request* is about to be sent, and add what observers set as headers."""
        waited = 0.0 if call.queued_at is None else began - call.queued_at
        call.queued_at = None
        event = AttemptStarted(
            call.operation.name,
            call.attempts,
            request.method,
            request.url,
            waited,
            self.gate.admission.rate,
            **_identity(call),
        )
        notify(self.observer, event)
        if event.headers:
            request.headers = combine_headers(event.headers, request.headers)

    def _notify_attempt(
        self, call: Call[object], verdict: Verdict, answer: Response | Fault | None, began: float
    ) -> None:
        status = answer.status if isinstance(answer, Response) else None
        event = AttemptFinished(
            call.operation.name,
            call.attempts,
            verdict,
            status,
            self.clock() - began,
            call.request_id,
            **_identity(call),
        )
        notify(self.observer, event)

    def _notify_finished(
        self, call: Call[object], error: BaseException | None, committed: Committed
    ) -> None:
        event = CallFinished(
            call.operation.name,
            call.attempts,
            self.clock() - call.started,
            None if error is None else type(error).__name__,
            call.adopted,
            committed,
            # Of another exception the text is not known to be free of secrets.
            str(error) if isinstance(error, SigmaMindError) else "",
            getattr(error, "status", None),
            call.request_id,
            **_identity(call),
        )
        notify(self.observer, event)

    def request_id_in(self, headers: Mapping[str, str], call: Call[object]) -> str | None:
        """Return the platform's id of the request, unless it repeats a secret."""
        found = request_id(headers)
        if found is None:
            return None
        known = self.credentials.known
        secrets = [*([known] if known else []), *secrets_in(call.operation.request.json)]
        texts = [each.reveal() for each in (*secrets, *self.options.secrets) if each.known]
        return None if any(text in found for text in texts) else found


def _identity(call: Call[object]) -> dict[str, Any]:
    """Return which call an event is about."""
    if call.identity is None:
        subject = subject_of(call.operation.value)
        call.identity = {"call": next_call_id(), "subject": subject, "op_id": call.op_id}
    return call.identity


def _shows_own_removal(call: Call[object], result: AttemptResult) -> bool:
    """True for a 404 that may come from the success of an earlier, unanswered attempt."""
    return result.status == 404 and call.may_be_own_echo and not result.is_not_from_api


def _retry_for(call: Call[object], result: AttemptResult) -> Retry:
    """Return why *call*, whose operation allows it, may be sent again."""
    # Only an unbounded call waits until an outage is over.
    outage = call.unbounded and not result.throttled and result.is_outage
    # A 503 without a wait may be shed load, so its backoff is slower than that after a 502.
    throttled = result.throttled or (outage and result.status == 503)
    wait = result.retry_after
    return Retry(result.status, throttled=throttled, outage=outage, retry_after=wait)


def _retry_in(state: RetryCallState) -> Retry:
    return cast("Retry", state.outcome.result() if state.outcome else None)


def _read(operation: Operation[T], answer: Response) -> T | AttemptResult:
    """Read a confirmed answer; the less an answer that is no success holds, the less it proves."""
    try:
        return operation.decode(answer)
    except ResponseDecodeError as error:
        unreadable = error.with_traceback(None)
    return classify_unreadable(answer, unreadable)


def _parse_answer(operation: Operation[T], response: Response) -> T:
    end = _read(operation, response)
    if not isinstance(end, AttemptResult):
        return end
    error = cast("ResponseDecodeError", end.decode_error)
    error.committed = committed_by(operation, end.verdict)
    raise error


def _result_of_removal(operation: Operation[T], _: Response) -> T:
    return cast("T", operation.on_not_found)


def _keep_response(response: Response) -> Response:
    return response


def _without_decoding(operation: Operation[object]) -> Operation[Response]:
    """Return *operation* with its answer as the result; what is no 2xx is treated as before."""
    gone = operation.on_not_found
    return attrs.evolve(
        cast("Operation[Any]", operation),
        decode=_keep_response,
        ignored_fields=None,
        read_back=operation.read_back and _lookup_without_decoding(operation.read_back),
        # In place of the 404 itself, which is in `Call.not_found`.
        on_not_found=gone if isinstance(gone, Unset) else Response(404),
    )


def _lookup_without_decoding(back: ReadBack[T]) -> ReadBack[Response]:
    operation = back.operation
    read = operation.decode

    def decode(response: Response) -> Response:
        read(response)  # a record that cannot be read counts as not found
        return response

    undecoded = attrs.evolve(cast("Operation[Any]", operation), decode=decode)
    return ReadBack(lambda: undecoded, lambda response: back.agrees(read(response)))


def _annotate(error: SigmaMindError, call: Call[object], elapsed: float) -> SigmaMindError:
    """Add to *error* what the whole call adds to its last attempt."""
    error.operation, error.attempts, error.elapsed = call.operation.name, call.attempts, elapsed
    if call.op_id is not None:
        error.op_id = call.op_id
    if call.may_have_acted and error.committed == "no":
        error.committed = "unknown"
    if call.attempts > 1:
        error.add_note(f"after {call.attempts} attempts in {elapsed:.1f} s")
    return error
