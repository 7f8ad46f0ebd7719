"""What happened, as records handed to an `Observer` while a call runs.

An observer is any callable. It runs inside the call, so it must not block. What it raises is logged
and dropped: a broken observer must not cost a purchase its answer.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import attrs

from sigmamind_async.compiled import quick
from sigmamind_async.errors import Committed
from sigmamind_async.operation import Verdict

logger = logging.getLogger("sigmamind_async")


@quick
@attrs.frozen
class AttemptFinished:
    """One request ended, in whatever way."""

    operation: str
    attempt: int
    """1 for the first request of the call."""
    verdict: Verdict
    status: int | None
    """HTTP status, where one came."""
    elapsed: float
    """Seconds, without the wait at the gate."""


@attrs.frozen
class AttemptScheduled:
    """Another request of the same call will follow."""

    operation: str
    attempt: int
    """The attempt to come, from 2."""
    delay: float
    """Seconds until it asks the gate for admission."""


@quick
@attrs.frozen
class CallFinished:
    """A call returned, raised, or was cancelled: every call that began ends with one."""

    operation: str
    attempts: int
    elapsed: float
    """Seconds, including waits and pauses."""
    error: str | None
    """Name of the exception class, `None` on success."""
    adopted: bool = False
    """True when a lost answer was replaced by reading the record back."""
    committed: Committed = "unknown"
    """Evidence that the platform acted on the call; "no" for a call that only reads."""


@attrs.frozen
class FieldsIgnored:
    """A 200 shows fields with other values than were sent."""

    operation: str
    fields: tuple[str, ...]
    """Names of the fields, as in the request value."""


@attrs.frozen
class Throttled:
    """The platform rate-limited a request."""

    operation: str
    pause: float
    """Seconds for which the gate admits no request that shares the limit."""
    rate: float
    """Admitted requests a second from now on."""


Event = AttemptFinished | AttemptScheduled | CallFinished | FieldsIgnored | Throttled
Observer = Callable[[Event], None]


def notify(observer: Observer | None, event: Event) -> None:
    """Hand *event* to *observer*; log what it raises."""
    if observer is None:
        return
    try:
        observer(event)
    except Exception:
        logger.exception("the observer failed on %s", type(event).__name__)


def log_event(event: Event) -> None:
    """Write *event* to the ``sigmamind_async`` logger at DEBUG; to be passed as ``observer``."""
    logger.debug("%s", event)
