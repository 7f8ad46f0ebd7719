"""What happened, as records handed to observers, and as lines of the log.

An observer is any callable. It runs inside the call, in its task and with its context variables, so
it must not block. What it raises is logged and dropped: a broken observer must not cost a purchase
its answer.

The log is the standard library's, the logger ``sigmamind_async``. INFO has each call that failed or
is repeated, and each operation that needs attention; DEBUG has everything. No line holds a secret.
``SIGMAMIND_LOG=info`` or ``debug`` writes them to stderr where the program sets up no logging.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import logging
import os
from collections.abc import Callable, Hashable, Iterable
from typing import Any, Final, TypeAlias, cast

import attrs

from sigmamind_async.compiled import quick
from sigmamind_async.errors import Committed, ConfigurationError
from sigmamind_async.operation import Verdict

logger: Final = logging.getLogger("sigmamind_async")
is_logged: Final = logger.isEnabledFor

next_call_id: Final = itertools.count(1).__next__
"""Returns the number of a call, which no other call of this process has."""


@attrs.frozen
class CallEvent:
    """What happened to one call of a client."""

    operation: str
    """Name of the vendor call, such as ``sigmamind.update_phone_number``."""
    call: int = attrs.field(default=0, kw_only=True)
    """Number of the call in this process: all its events have the same."""
    subject: str | None = attrs.field(default=None, kw_only=True)
    """The number or record that it is about, where the request names one."""
    op_id: str | None = attrs.field(default=None, kw_only=True)
    """The caller's key of the operation, for a call of a `Provisioner`."""

    @property
    def level(self) -> int:
        """Level of its line in the log."""
        return logging.DEBUG

    def _line(self, what: str) -> str:
        parts = [f"call {self.call} {self.operation}", self.subject, self.op_id]
        return f"{' '.join(filter(None, parts))}: {what}"


@quick
@attrs.frozen
class CallStarted(CallEvent):
    """A call began; a `CallFinished` will follow."""

    def __str__(self) -> str:
        return self._line("started")


@quick
@attrs.frozen
class CallQueued(CallEvent):
    """A call has to wait for the gate before its next request."""

    attempt: int
    """The attempt that waits, from 1."""

    def __str__(self) -> str:
        return self._line(f"attempt {self.attempt} waits for the gate")


@quick
@attrs.frozen
class AttemptStarted(CallEvent):
    """A request is about to be sent."""

    attempt: int
    """1 for the first request of the call."""
    method: str
    """HTTP method, such as ``POST``."""
    url: str
    """Where it goes, percent-encoded; it may hold a phone number, and never a key."""
    waited: float
    """Seconds that it waited for the gate."""
    rate: float | None
    """Requests a second that the gate admits at present; `None` while it has no limit."""
    headers: dict[str, str] = attrs.field(factory=dict[str, str], eq=False, hash=False, repr=False)
    """Sent with this request if an observer sets any, such as ``traceparent``. One that the client
    sets itself is left out."""

    def __str__(self) -> str:
        wait = f" after {self.waited:.3f} s at the gate" if self.waited else ""
        return self._line(f"attempt {self.attempt}: {self.method} {self.url}{wait}")


@quick
@attrs.frozen
class AttemptFinished(CallEvent):
    """One request ended, in whatever way."""

    attempt: int
    """1 for the first request of the call."""
    verdict: Verdict
    """What it proved: whether the platform got the request, and what it did."""
    status: int | None
    """HTTP status, where one came."""
    elapsed: float
    """Seconds, without the wait at the gate."""
    request_id: str | None = None
    """The platform's id of the request, where it gives one."""

    def __str__(self) -> str:
        status = "no status" if self.status is None else str(self.status)
        request_id = f", request id {self.request_id}" if self.request_id else ""
        return self._line(
            f"attempt {self.attempt}: {status}, {self.verdict.value},"
            f" in {self.elapsed:.3f} s{request_id}"
        )


@attrs.frozen
class AttemptScheduled(CallEvent):
    """Another request of the same call will follow."""

    attempt: int
    """Number of the attempt to come, from 2."""
    delay: float
    """Seconds until it asks the gate for admission."""
    status: int | None = None
    """HTTP status of the attempt before, where one came."""

    @property
    def level(self) -> int:
        """Level of its line in the log; a pause of the gate, for all calls, has a line already."""
        return logging.DEBUG if self.status == 429 else logging.INFO

    def __str__(self) -> str:
        why = f"{self.status} was answered" if self.status else "no answer came"
        return self._line(f"{why}; attempt {self.attempt} follows in {self.delay:.3f} s")


@quick
@attrs.frozen
class CallFinished(CallEvent):
    """A call returned, raised, or was cancelled: every call that began ends with one."""

    attempts: int
    """Requests sent or tried."""
    elapsed: float
    """Seconds, including waits and pauses."""
    error: str | None
    """Name of the exception class, `None` on success."""
    adopted: bool = False
    """True when a lost answer was replaced by reading the record back."""
    committed: Committed = "unknown"
    """Evidence that the platform acted on the call; "no" for a call that only reads."""
    message: str = ""
    """The error's text, without secrets."""
    status: int | None = None
    """HTTP status of the error, where one came."""
    request_id: str | None = None
    """The platform's id of the request, where it gives one."""

    @property
    def level(self) -> int:
        """Level of its line in the log."""
        return logging.DEBUG if self.error is None else logging.INFO

    def __str__(self) -> str:
        times = "1 attempt" if self.attempts == 1 else f"{self.attempts} attempts"
        after = f"after {times} in {self.elapsed:.3f} s"
        request_id = f" (request id {self.request_id})" if self.request_id else ""
        if self.error is None:
            return self._line(f"done {after}{', by reading it back' if self.adopted else ''}")
        message = f": {' '.join(self.message.split())}" if self.message else ""
        return self._line(
            f"failed {after}, committed {self.committed}: {self.error}{message}{request_id}"
        )


@attrs.frozen
class FieldsIgnored(CallEvent):
    """A 200 shows fields with other values than were sent."""

    fields: tuple[str, ...]
    """Names of the fields, as in the request value."""

    @property
    def level(self) -> int:
        """Level of its line in the log."""
        return logging.INFO

    def __str__(self) -> str:
        return self._line(f"the platform did not set {', '.join(self.fields)}")


@attrs.frozen
class Throttled(CallEvent):
    """The platform rate-limited a request."""

    pause: float
    """Seconds for which the gate admits no request that shares the limit."""
    rate: float | None
    """Admitted requests a second from now on; `None` while that is not known."""

    def __str__(self) -> str:
        then = "" if self.rate is None else f" and then admits {self.rate:.3g} requests a second"
        return self._line(f"rate-limited; the gate pauses for {self.pause:.3f} s{then}")


@attrs.frozen(kw_only=True)
class OperationChanged:
    """The journal records a new state of an operation of a `Provisioner`."""

    op_id: str
    """The caller's key of the operation."""
    account: str
    """The account's name in the journal, such as ``sigmamind:production``."""
    kind: str
    """What it does: ``purchase``, ``exact purchase``, ``import``, ``update`` or ``release``."""
    state: str
    """The new state: ``planned``, ``unconfirmed``, ``done``, ``failed``, ``needs_decision``,
    ``duplicate`` or ``abandoned``."""
    before: str
    """The state before, such as ``sending``; empty for an operation that was just enqueued."""
    adopted: bool = False
    """True if it is done because its number was found in the account, without an answer."""
    subject: str | None = None
    """Its phone number or record, once known."""
    attempts: int = 0
    """Attempts so far."""
    error: str = ""
    """Why it is not done."""

    @property
    def level(self) -> int:
        """Level of its line in the log."""
        quiet = {"planned", "done"}
        return logging.DEBUG if self.state in quiet and not self.adopted else logging.INFO

    def __str__(self) -> str:
        state = self.state.replace("_", " ")
        parts = [self.account, self.op_id, self.subject]
        adopted = ", found in the account" if self.adopted else ""
        error = f": {' '.join(self.error.split())}" if self.error else ""
        return f"{' '.join(filter(None, parts))}: {self.kind} is {state}{adopted}{error}"


Event: TypeAlias = (
    CallStarted
    | CallQueued
    | AttemptStarted
    | AttemptFinished
    | AttemptScheduled
    | CallFinished
    | FieldsIgnored
    | Throttled
    | OperationChanged
)
Observer: TypeAlias = Callable[[Event], None]
Observers: TypeAlias = Observer | Iterable[Observer] | None


def as_observer(given: Observers) -> Observer | None:
    """Return one observer for all that are *given*, or `None` without any.

    Raises `ConfigurationError` for what cannot be one.
    """
    if given is None or given == []:
        return None
    several: Any = given
    is_one = callable(given) or isinstance(several, str) or not hasattr(several, "__iter__")
    observers: list[Any] = [several] if is_one else [*several]
    for each in observers:
        _check_observer(each)
    if len(observers) == 1:
        one: Observer = observers[0]
        return one

    def hand_to_each(event: Event) -> None:
        for each in observers:
            _hand(each, event)

    return hand_to_each


def _check_observer(given: object) -> None:
    if not callable(given) or isinstance(given, type):
        kind = given.__name__ if isinstance(given, type) else type(given).__name__
        what = "the class" if isinstance(given, type) else "of type"
        raise ConfigurationError(f"observer: must be a function of an event, not {what} {kind}")
    if any(map(inspect.iscoroutinefunction, (given, type(given).__call__))):
        raise ConfigurationError("observer: must be a plain function: nothing awaits it")


def notify(observer: Observer | None, event: Event) -> None:
    """Write *event* to the log and hand it to *observer*; log what it raises."""
    if is_logged(logging.INFO) and is_logged(event.level):
        logger.log(event.level, "%s", event, extra={"event": event})
    if observer is not None:
        _hand(observer, event)


def _hand(observer: Observer, event: Event) -> None:
    try:
        observer(event)
    except Exception:
        logger.exception("the observer failed on %s", type(event).__name__)


_SUBJECTS: Final = ("phone_number", "phone_number_id", "id", "call_id", "agent_id")


def subject_of(value: object) -> str | None:
    """Return the number or record that the request *value* is about, if it names one."""
    held = (getattr(value, name) for name in _subjects_of(cast("Hashable", type(value))))
    return next((each for each in held if isinstance(each, str)), None)


@functools.cache
def _subjects_of(kind: Any) -> tuple[str, ...]:  # noqa: ANN401 - a type
    """Return those of the fields of *kind*; to read another would make an error with a hint."""
    fields = {field.name for field in attrs.fields(kind)} if attrs.has(kind) else set[str]()
    return tuple(name for name in _SUBJECTS if name in fields)


# --- SIGMAMIND_LOG ---------------------------------------------------------------------------


class _Stderr(logging.StreamHandler[Any]):
    """Writes to stderr, unless the program has set up logging itself."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not logging.root.handlers and bool(super().filter(record))


def log_as(level: str) -> None:
    """Write the log from *level* on, ``info`` or ``debug``; anything else changes nothing."""
    levels = {"info": logging.INFO, "debug": logging.DEBUG}
    chosen = levels.get(level.strip().lower())
    if chosen is None or any(isinstance(each, _Stderr) for each in logger.handlers):
        return
    handler = _Stderr()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logger.addHandler(handler)
    logger.setLevel(chosen)


log_as(os.environ.get("SIGMAMIND_LOG", ""))
