"""What a vendor call is: the request, what carries it, and how to read the response."""

from __future__ import annotations

import enum
import functools
from collections.abc import Callable, Mapping
from typing import Any, Final, Generic, Literal, Protocol, TypeVar

import attrs

from sigmamind_async.compiled import compile_function, quick
from sigmamind_async.values import UNSET, Secret, Unset

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

RECORD_BYTES = 4 << 20
"""Most bytes of a response that holds one record, counted after decompression."""
PAGE_BYTES = 64 << 20
"""Most bytes of one page of a listing, counted after decompression."""

Method = Literal["GET", "POST", "PATCH", "PUT", "DELETE"]

# Classes of which each call makes an object are mutable unless users receive them: attrs takes
# three times as long to fill a frozen object.


@attrs.define
class Request:
    """One HTTP request in the vendor's words, without origin, key or encoding."""

    method: Method
    path: str
    """Path with its query, percent-encoded, beginning with a slash."""
    json: Mapping[str, object] | None = None
    """Body by wire names; a `Secret` in it stays one until the bytes are written."""
    alias: str | None = None
    """Another spelling of the path. A 307 or 308 that leads to it, on the same origin, is followed
    once, with method, body and key. No other redirect ever is."""
    max_bytes: int = RECORD_BYTES
    """Most bytes of the response body, counted after decompression."""


class FaultKind(enum.Enum):
    """Why no complete response came."""

    CONNECT = "could not connect"
    CONNECT_TIMEOUT = "no connection in time"
    TIMEOUT = "no complete response in time"
    DROPPED = "the connection broke"
    UNPARSABLE = "the answer is not HTTP"
    TOO_LARGE = "the answer is larger than allowed"


@attrs.frozen(kw_only=True)
class Fault:
    """Why an attempt brought no status line, or no complete body after it."""

    kind: FaultKind
    detail: str = ""
    """One line for a person; never text that the platform or the caller wrote."""
    cause: OSError | None = attrs.field(default=None, eq=False)
    """The system's reason, as a new exception: no frame and no secret hangs on it."""
    permanent: bool = False
    """True if another attempt would end the same way: a certificate or a proxy refuses."""


@quick
@attrs.frozen
class Response:
    """A response whose status line and headers were read completely."""

    status: int
    headers: Mapping[str, str] = attrs.field(factory=dict[str, str], repr=False, hash=False)
    """Headers by lower-case name."""
    body: bytes = attrs.field(default=b"", repr=False)
    cut: Fault | None = None
    """Why the body ends early, where it does."""


class ConnectionFlag:
    """Records whether an attempt was given a connection; from then on bytes may have left.

    A transport sets it to false before it connects and to true before it sends. One that leaves it
    at `None` does not report it, so the request may have left.
    """

    connected: bool | None = None

    @property
    def may_have_left(self) -> bool:
        """False only where the transport reported that it did not connect."""
        return self.connected is not False


@attrs.define
class HttpRequest:
    """One request as bytes, addressed and authorized."""

    method: str
    url: str
    """Absolute and percent-encoded."""
    headers: Mapping[str, str] = attrs.field(repr=False)
    max_bytes: int
    body: bytes | None = attrs.field(default=None, repr=False)
    fresh: bool = False
    """True if it must not be repeated, and so goes over a connection that is new or was in use a
    moment ago: a server may be closing one that has been idle."""


class Transport(Protocol):
    """Carries one request to a platform and one response back."""

    async def send(
        self, request: HttpRequest, flag: ConnectionFlag, seconds: float, /
    ) -> Response | Fault:
        """Return the response, or why there is none, within *seconds*.

        Set ``flag.connected`` to false before connecting, and to true before the first byte can
        leave. If it is never set, or a status line came, the request counts as sent whatever the
        fault, and a purchase is not repeated. Raise nothing but `asyncio.CancelledError`; the flag
        then shows whether the request may have left.
        """
        ...

    async def aclose(self) -> None:
        """Close what this transport opened; it can be used again afterwards."""
        ...


class Verdict(enum.Enum):
    """What one attempt proved about the platform."""

    NOT_SENT = "not sent"
    REJECTED = "rejected"
    CONFIRMED = "confirmed"
    COMMITTED_UNREAD = "committed, answer unreadable"
    AMBIGUOUS = "ambiguous"


@attrs.define
class ReadBack(Generic[T]):
    """How to look up what an unanswered call may have done."""

    look_up: Callable[[], Operation[T]]
    """Makes the operation that reads the record. Only a call without an answer needs it: to make
    one for each takes 20,000 instructions, 4 % of an import."""
    agrees: Callable[[T], bool]
    """True if the record that was found shows every field that was sent and can be read back."""

    @property
    def operation(self) -> Operation[T]:
        """The operation that reads the record."""
        return self.look_up()


def differing_fields(sent: object, record: object, fields: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of the fields of *sent* that *record* shows with another value.

    *fields* maps each request field that can be read back to the record's field. Null, an empty
    text and a missing key all mean "none": platforms answer a cleared field with any of them.
    """
    kind: Any = type(record)
    return _comparison(kind, tuple(fields.items()))(sent, record)


def comparison(fields: Mapping[str, str]) -> Callable[[object, object], tuple[str, ...]]:
    """Return `differing_fields` for *fields* that are the same for all records."""
    # To find it by all its fields takes 5,500 instructions, more than 1 % of an update.
    pairs = tuple(fields.items())

    @functools.cache
    def compiled(kind: Any) -> Callable[[object, object], tuple[str, ...]]:  # noqa: ANN401 - a type
        return _comparison(kind, pairs)

    def differing(sent: object, record: object) -> tuple[str, ...]:
        kind: Any = type(record)
        return compiled(kind)(sent, record)

    return differing


@functools.cache
def _comparison(
    kind: type, fields: tuple[tuple[str, str], ...]
) -> Callable[[object, object], tuple[str, ...]]:
    # A loop over the fields takes 4,500 instructions more, 1 % of an update.
    lines = ["names = ()"]
    for field, shown in fields:
        differs = f"held != value and (held or None) != (value or None): names += ({field!r},)"
        held = f"record.{shown}" if hasattr(kind, shown) else "None"
        lines += [f"value, held = sent.{field}, {held}"]
        lines += [f"if value is not UNSET and {differs}"]
    head = "differing(sent, record)"
    return compile_function(head, [*lines, "return names"], {"UNSET": UNSET})


_NO_HINTS: Final[Mapping[int, str]] = {}


@attrs.define
class Operation(Generic[T_co]):
    """One vendor call: what to send and how to read the response."""

    name: str
    request: Request
    decode: Callable[[Response], T_co]
    """Reads a 2xx; raises `ResponseDecodeError` for one that is no success."""
    repeatable: bool
    """True when sending it twice leaves the platform as sending it once does."""
    value: object = None
    """The request value it was made from."""
    ignored_fields: Callable[[Any], tuple[str, ...]] | None = None
    """Given the result, returns the names of the sent fields that it shows with another value."""
    read_back: ReadBack[T_co] | None = None
    """The look-up after an ambiguous attempt; `None` where no exact key exists."""
    hints: Mapping[int, str] = _NO_HINTS
    """What to add to the message of an error status, by status."""
    on_not_found: T_co | Unset = UNSET
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
    ignored_fields: Callable[[T], tuple[str, ...]] | None = None,
    read_back: ReadBack[T] | None = None,
    alias: str | None = None,
) -> Operation[T]:
    """Return a call that creates a record; no platform promises that two of them make one."""
    return Operation(
        name,
        Request("POST", path, body, alias),
        decode,
        repeatable=False,
        value=value,
        ignored_fields=ignored_fields,
        read_back=read_back,
    )


def patch_operation(
    name: str,
    path: str,
    body: Mapping[str, object],
    decode: Callable[[Response], T],
    *,
    value: object,
    ignored_fields: Callable[[T], tuple[str, ...]],
    hints: Mapping[int, str] = _NO_HINTS,
) -> Operation[T]:
    """Return a call that sets fields of a record, which may be made twice."""
    request = Request("PATCH", path, body)
    # Keyword arguments would take twice as long.
    return Operation(name, request, decode, True, value, ignored_fields, None, hints)  # noqa: FBT003


def delete_operation(
    name: str, path: str, value: object, decode: Callable[[Response], None]
) -> Operation[None]:
    """Return a call that removes a record permanently.

    A 404 also means success after an attempt of ours that went unanswered.
    """
    request = Request("DELETE", path)
    return Operation(name, request, decode, repeatable=True, value=value, on_not_found=None)


@attrs.frozen(kw_only=True)
class Platform:
    """The vendor facts that the engine needs and cannot know."""

    name: str
    """Name in operations and messages, such as ``sigmamind``."""
    base_url: str
    env_prefix: str
    """Environment variables are ``<prefix>_API_KEY`` and ``<prefix>_BASE_URL``."""
    authorize: Callable[[Secret], dict[str, str]]
    """Returns the headers that carry the key."""
    probe: str | None = None
    """Path of a cheap read. After repeated failures it is sent instead of a purchase to find out
    whether the platform is back; with `None` the purchase itself finds out."""
