"""What can go wrong with one request, and which request it goes wrong for. Pure.

A fault says two things: what the caller sees, and whether the platform acted. The second is
in the name wherever both are possible. Body faults follow an honest status line, so they
commit whatever the request would have committed: a 400 stays a 400 with a spoiled body.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import Annotated, TypeVar

import attrs

from sigmamind_async.sandbox.chance import draw, draw_index
from sigmamind_async.sandbox.settings import Bounds, Count, Seconds, Setting

T = TypeVar("T")


class Fault(enum.StrEnum):
    """One way in which a request goes wrong."""

    REFUSE = "refuse"
    """Reset as soon as the request line is seen; the body is not read, nothing is processed.

    A listening server cannot refuse one connection of many: this is the nearest thing. For a
    real ``ECONNREFUSED`` use :meth:`Sandbox.refuse`, which closes the listening socket.
    """
    RESET_BEFORE_COMMIT = "reset_before_commit"
    RESET_AFTER_COMMIT = "reset_after_commit"
    CLOSE_AFTER_COMMIT = "close_after_commit"
    """Committed, then an orderly end of the connection (FIN) without a byte of answer."""
    HANG_BEFORE_COMMIT = "hang_before_commit"
    """Silent for ``Faults.hang`` seconds, then closed; never processed."""
    HANG_AFTER_COMMIT = "hang_after_commit"
    LATE_COMMIT = "late_commit"
    """Reset at once; committed ``Faults.late`` seconds after the caller saw it fail."""
    GARBAGE_HEAD = "garbage_head"
    """Committed, then bytes that are not HTTP."""
    SLOW_BODY = "slow_body"
    """Committed; the honest body one byte per ``Faults.drip`` seconds, ``Faults.hang`` at most."""
    CUT_BODY = "cut_body"
    """Committed; a ``Content-Length`` larger than what is sent before the connection closes."""

    STATUS_401 = "status_401"
    STATUS_408_AFTER_COMMIT = "status_408_after_commit"
    STATUS_429 = "status_429"
    STATUS_500_BEFORE_COMMIT = "status_500_before_commit"
    STATUS_500_AFTER_COMMIT = "status_500_after_commit"
    STATUS_503_BEFORE_COMMIT = "status_503_before_commit"
    STATUS_503_AFTER_COMMIT = "status_503_after_commit"
    CONFLICT_409 = "conflict_409"
    """A 409 for a request that was not processed."""
    REDIRECT_303_AFTER_COMMIT = "redirect_303_after_commit"
    REDIRECT_307 = "redirect_307"
    """To ``Faults.redirect_to``, another origin; not processed here."""

    GARBAGE_BODY = "garbage_body"
    EMPTY_BODY = "empty_body"
    HTML_BODY = "html_body"
    WRONG_TYPES = "wrong_types"
    """The honest JSON with the type of every value changed."""
    NAN_BODY = "nan_body"
    DEEP_BODY = "deep_body"
    """100,000 nested arrays."""
    OVERSIZED_BODY = "oversized_body"
    """``Faults.oversize`` bytes of JSON."""
    GZIP_BOMB = "gzip_bomb"
    """About 300 KB that unpack to 300 MB."""

    @property
    def commits(self) -> bool:
        """True when the request is processed, now or (``LATE_COMMIT``) later."""
        return self not in _NOT_PROCESSED


_NOT_PROCESSED = frozenset(
    {
        Fault.REFUSE,
        Fault.RESET_BEFORE_COMMIT,
        Fault.HANG_BEFORE_COMMIT,
        Fault.STATUS_401,
        Fault.STATUS_429,
        Fault.STATUS_500_BEFORE_COMMIT,
        Fault.STATUS_503_BEFORE_COMMIT,
        Fault.CONFLICT_409,
        Fault.REDIRECT_307,
    },
)

FAULT_STATUS = {
    Fault.STATUS_401: 401,
    Fault.STATUS_408_AFTER_COMMIT: 408,
    Fault.STATUS_429: 429,
    Fault.STATUS_500_BEFORE_COMMIT: 500,
    Fault.STATUS_500_AFTER_COMMIT: 500,
    Fault.STATUS_503_BEFORE_COMMIT: 503,
    Fault.STATUS_503_AFTER_COMMIT: 503,
    Fault.CONFLICT_409: 409,
    Fault.REDIRECT_303_AFTER_COMMIT: 303,
    Fault.REDIRECT_307: 307,
}
STATUS_FAULTS = frozenset(FAULT_STATUS)
BODY_FAULTS = frozenset(
    {
        Fault.GARBAGE_BODY,
        Fault.EMPTY_BODY,
        Fault.HTML_BODY,
        Fault.WRONG_TYPES,
        Fault.NAN_BODY,
        Fault.DEEP_BODY,
        Fault.OVERSIZED_BODY,
        Fault.GZIP_BOMB,
    },
)
ALL_FAULTS = frozenset(Fault)
NETWORK_FAULTS = ALL_FAULTS - STATUS_FAULTS - BODY_FAULTS

REALISTIC_FAULTS = frozenset(
    {
        Fault.REFUSE,
        Fault.RESET_BEFORE_COMMIT,
        Fault.RESET_AFTER_COMMIT,
        Fault.CLOSE_AFTER_COMMIT,
        Fault.HANG_BEFORE_COMMIT,
        Fault.HANG_AFTER_COMMIT,
        Fault.LATE_COMMIT,
        Fault.CUT_BODY,
        Fault.STATUS_429,
        Fault.STATUS_500_BEFORE_COMMIT,
        Fault.STATUS_500_AFTER_COMMIT,
        Fault.STATUS_503_BEFORE_COMMIT,
        Fault.STATUS_503_AFTER_COMMIT,
        Fault.GARBAGE_BODY,
        Fault.HTML_BODY,
        Fault.GARBAGE_HEAD,
    },
)
"""What a client meets on a bad day: no bombs, and nothing that says the request was refused
for its content."""


def _sorted_kinds(kinds: Iterable[Fault | str]) -> tuple[Fault, ...]:
    wanted = {Fault(kind) for kind in as_list(kinds, "kinds")}
    # Definition order: iterating a set would make the choice depend on the process.
    return tuple(fault for fault in Fault if fault in wanted)


def _names(operations: Iterable[str] | None) -> frozenset[str] | None:
    return None if operations is None else frozenset(as_list(operations, "only"))


def as_list(names: Iterable[T], field: str) -> list[T]:
    """Return *names* of *field* as a list; raise `ValueError` for one name, or another value."""
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise ValueError(f"{field} must be a list, not {names!r:.80}")  # noqa: TRY004 - a value
    return list(names)


@attrs.frozen(kw_only=True)
class Faults(Setting):
    """How often requests go wrong, and how."""

    share: Annotated[float, Bounds(0, 1)] = 0.0
    """Part of the requests that meet a fault, 0 to 1."""
    kinds: tuple[Fault, ...] = attrs.field(
        default=_sorted_kinds(REALISTIC_FAULTS),
        converter=_sorted_kinds,
    )
    """Any iterable of faults; each is equally likely."""
    only: frozenset[str] | None = attrs.field(default=None, converter=_names)
    """Operations that may go wrong; None means all."""
    hang: Seconds = 2.0
    """Seconds a hanging or dripping answer keeps its connection open."""
    late: Seconds = 0.5
    """Seconds between a lost connection and the commit that follows it."""
    drip: Seconds = 0.05
    """Seconds between two bytes of a slow body."""
    oversize: Annotated[int, Bounds(1, 1 << 30)] = 5 * 1024 * 1024
    """Bytes of an oversized body."""
    retry_after: Count | None = None
    """Seconds that a 429 or 503 fault asks the caller to wait; None says nothing."""
    redirect_to: str = "https://elsewhere.invalid"
    """Origin that redirects point to; the path of the request is appended."""


NO_FAULTS = Faults()


def choose_fault(faults: Faults, seed: int, operation: str, count: int) -> Fault | None:
    """Return what goes wrong with the request numbered *count* of *operation*, if anything."""
    if not faults.share or not faults.kinds:
        return None
    if faults.only is not None and operation not in faults.only:
        return None
    if draw(seed, "fault", operation, count) >= faults.share:
        return None
    return faults.kinds[draw_index(seed, len(faults.kinds), "kind", operation, count)]
