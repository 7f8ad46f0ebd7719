"""What a vendor call is, without sending it: the request, and how to read the answer."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from typing import Any, Generic, Literal, TypeVar

import attrs

from sigmamind_async.values import UNSET, Secret, Unset

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

RECORD_BYTES = 4 << 20
"""Most bytes of an answer that holds one record, counted after decompression."""
PAGE_BYTES = 64 << 20
"""Most bytes of one page of a listing, counted after decompression."""

Method = Literal["GET", "POST", "PATCH", "PUT", "DELETE"]


@attrs.define
class Request:
    """One HTTP request in the vendor's words, without origin, key or encoding."""

    method: Method
    path: str
    """Path with its query, percent-encoded, beginning with a slash."""
    json: Mapping[str, object] | None = attrs.field(default=None)
    """Body by wire names; a `Secret` in it stays one until the bytes are written."""
    alias: str | None = None
    """Another spelling of the path: a 307 or 308 that leads to it, on the same origin, is followed
    once, with method, body and key. No other redirect ever is."""
    max_bytes: int = RECORD_BYTES
    """Most bytes of the answer's body, counted after decompression."""


class FaultKind(enum.Enum):
    """Why no whole answer came."""

    CONNECT = "could not connect"
    CONNECT_TIMEOUT = "no connection in time"
    TIMEOUT = "no whole answer in time"
    DROPPED = "the connection broke"
    UNPARSABLE = "the answer is not HTTP"
    TOO_LARGE = "the answer is larger than allowed"


@attrs.frozen(kw_only=True)
class Fault:
    """Why an attempt brought no status line, or no whole body after it."""

    kind: FaultKind
    detail: str = ""
    """One line for a person; never text that the platform or the caller wrote."""
    cause: OSError | None = attrs.field(default=None, eq=False)
    """What the system said, made anew: no frame and no secret hangs on it."""
    permanent: bool = False
    """Whether another attempt would end the same: a certificate or a proxy refuses."""


@attrs.frozen
class Response:
    """An answer whose status line and headers were read whole."""

    status: int
    headers: Mapping[str, str] = attrs.field(factory=dict[str, str], repr=False, hash=False)
    """Headers by lower-case name."""
    body: bytes = attrs.field(default=b"", repr=False)
    cut: Fault | None = None
    """Why the body ends early, where it does."""


class ConnectionFlag:
    """Whether an attempt was given a connection: from then on bytes may have left.

    A transport sets it to false before it connects and to true before it sends. One that leaves it
    at `None` cannot tell, so the request may have left.
    """

    connected: bool | None = None

    @property
    def may_have_left(self) -> bool:
        """False only where the transport says that it did not connect."""
        return self.connected is not False


class Verdict(enum.Enum):
    """What one attempt proved about the platform."""

    NOT_SENT = "not sent"
    REJECTED = "rejected"
    CONFIRMED = "confirmed"
    COMMITTED_UNREAD = "committed, answer unreadable"
    AMBIGUOUS = "ambiguous"


@attrs.frozen(kw_only=True)
class ReadBack(Generic[T]):
    """How to look up what an unanswered call may have done."""

    operation: Operation[T]
    agrees: Callable[[T], bool]
    """Whether the record found shows every field that was sent and can be read back."""


_NO_HINTS: Mapping[int, str] = {}


@attrs.define
class Operation(Generic[T_co]):
    """One vendor call: what to send and how to read the answer."""

    name: str
    request: Request
    decode: Callable[[Response], T_co]
    """Read a 2xx answer; raises `ResponseDecodeError` for one that is no success."""
    repeatable: bool
    """True when sending it twice leaves the platform as sending it once does."""
    value: object = attrs.field(default=None)
    """The request value it was made from."""
    find_ignored: Callable[[Any], tuple[str, ...]] | None = None
    """Given the result, the names of the sent fields that it shows with another value."""
    read_back: ReadBack[T_co] | None = None
    """The look-up after an ambiguous attempt; `None` where no exact key exists."""
    hints: Mapping[int, str] = attrs.field(default=_NO_HINTS)
    """What to add to the message of an error status that means more than it says."""
    when_gone: T_co | Unset = attrs.field(default=UNSET)
    """The result of a 404 that follows our own ambiguous attempt; `UNSET` where it is an error."""

    @property
    def reads(self) -> bool:
        """True for a call that cannot change anything."""
        return self.request.method == "GET"


def get_operation(
    name: str,
    path: str,
    decode: Callable[[Response], T],
    value: object,
    *,
    alias: str | None = None,
    max_bytes: int = RECORD_BYTES,
) -> Operation[T]:
    """Return a call that only reads."""
    request = Request("GET", path, alias=alias, max_bytes=max_bytes)
    return Operation(name, request, decode, repeatable=True, value=value)


def post_operation(
    name: str,
    path: str,
    body: Mapping[str, object],
    decode: Callable[[Response], T],
    *,
    value: object,
    read_back: ReadBack[T] | None = None,
    find_ignored: Callable[[T], tuple[str, ...]] | None = None,
    alias: str | None = None,
) -> Operation[T]:
    """Return a call that creates a record, which no platform promises to do only once."""
    return Operation(
        name,
        Request("POST", path, body, alias),
        decode,
        repeatable=False,
        value=value,
        find_ignored=find_ignored,
        read_back=read_back,
    )


def patch_operation(
    name: str,
    path: str,
    body: Mapping[str, object],
    decode: Callable[[Response], T],
    *,
    value: object,
    find_ignored: Callable[[T], tuple[str, ...]],
    hints: Mapping[int, str] = _NO_HINTS,
) -> Operation[T]:
    """Return a call that sets fields of a record: made twice, it leaves them as made once."""
    # By position: keyword arguments double the time that making an object takes.
    request = Request("PATCH", path, body)
    return Operation(name, request, decode, True, value, find_ignored, None, hints)  # noqa: FBT003


def delete_operation(
    name: str, path: str, decode: Callable[[Response], None], value: object
) -> Operation[None]:
    """Return a call that removes a record permanently.

    A 404 also means success after an attempt of ours that went unanswered.
    """
    request = Request("DELETE", path)
    return Operation(name, request, decode, repeatable=True, value=value, when_gone=None)


@attrs.frozen(kw_only=True)
class Platform:
    """The vendor facts that the engine needs and cannot know."""

    name: str
    """Name in operations and messages, such as ``sigmamind``."""
    base_url: str
    env_prefix: str
    """Environment variables are ``<prefix>_API_KEY`` and ``<prefix>_BASE_URL``."""
    authorize: Callable[[Secret], dict[str, str]]
    """The headers that carry the key."""
    explain: Callable[[Response], ErrorDetail]
    """Read an error answer of whatever shape; never raises."""
    probe: str | None = None
    """Path of a read that costs the platform little. After repeated failures it is sent in place of
    a purchase to see whether the platform is back; `None` lets the purchase see."""


@attrs.frozen(kw_only=True)
class ErrorDetail:
    """What an error answer says in words."""

    message: str
    code: str | None = None
    request_id: str | None = None
