"""Signed deliveries: was this body signed with one of our secrets?

Framework-neutral: bytes and headers in, a value out. A body is measured before it is hashed, every
candidate is compared in constant time, and several secrets may be active while one is replaced.

A delivery that is not proven genuine is an `InvalidRequestError`; a genuine one whose body has an
unexpected form is a `ResponseDecodeError`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, ClassVar, TypeAlias, TypeVar, cast

from sigmamind_async.convert.conversion import structure
from sigmamind_async.convert.fields import Record
from sigmamind_async.convert.json_codec import load_json
from sigmamind_async.errors import ConfigurationError, InvalidRequestError, ResponseDecodeError
from sigmamind_async.values import REDACTED, Secret, as_secret

R = TypeVar("R", bound=Record)

MAX_BYTES = 1 << 20
"""Most bytes of a delivery that are hashed by default."""
_MIN_MILLISECONDS = 1e11
"""A time above this is not in seconds, unless it is after the year 5138."""


class KeyBytes(Secret):
    """A key that was given as bytes, which need not be text."""

    __slots__ = ()
    __hash__: ClassVar[None] = None

    def __init__(self, data: bytes | bytearray) -> None:
        super().__init__(bytes(data).decode("latin-1"))


Key: TypeAlias = str | bytes | bytearray | Secret
Headers: TypeAlias = Mapping[Any, Any] | Iterable[tuple[Any, Any]]
"""By name in any case, as any web framework has them: a mapping, one of several values for a name,
pairs of bytes (ASGI), or the environment of a WSGI application."""


# --- checks ----------------------------------------------------------------------------------


def check_body(body: bytes, max_bytes: int = MAX_BYTES) -> None:
    """Require raw bytes, and at most *max_bytes* of them, before anything is done with them."""
    given: object = body
    if not isinstance(given, bytes | bytearray):
        kind = type(given).__name__
        raise InvalidRequestError(
            f"body: must be the raw bytes as received, not {kind}", "body", "must be bytes"
        )
    if not _is_amount(max_bytes):
        raise ConfigurationError("max_bytes: must be a number of bytes")
    if len(body) > max_bytes:
        raise InvalidRequestError(
            f"body: has {len(body)} bytes, allowed are {max_bytes}",
            "body",
            f"at most {max_bytes} bytes",
        )


def check_signature(signed: bytes, signatures: Iterable[str], secrets: Key | Iterable[Key]) -> None:
    """Require that one of *signatures* is the HMAC-SHA256 of *signed* under one of *secrets*.

    A signature is hexadecimal or base64. Raises `InvalidRequestError`, without saying which of
    them came close.
    """
    secrets = as_secrets(secrets)
    if not secrets or not all(secret.known and secret.reveal() for secret in secrets):
        raise InvalidRequestError(field="secrets", rule="give at least one, and none of them empty")
    if not _is_signed(signed, [_digest_of(text) for text in signatures], secrets):
        raise InvalidRequestError(
            field="signature", rule="is missing, or matches none of the secrets"
        )


def _is_signed(signed: bytes, digests: list[bytes], secrets: list[Secret]) -> bool:
    matches = False
    for secret in secrets:
        expected = hmac.new(_bytes_of(secret), signed, hashlib.sha256).digest()
        for digest in digests:
            # No early way out: the time taken reveals nothing.
            matches |= hmac.compare_digest(expected, digest)
    return matches


def check_age(stamp: str, tolerance: float | None, now: float) -> None:
    """Require that *stamp*, ISO 8601 or seconds since 1970, is *tolerance* seconds from *now*.

    ``None`` for *tolerance* allows any age. A time without a zone is UTC.
    """
    if tolerance is None:
        return
    if not _is_amount(tolerance):
        raise ConfigurationError("tolerance: must be a number of seconds, or None for any age")
    at = _time_of(stamp)
    if at is None:
        raise InvalidRequestError(field="timestamp", rule="is missing, or is not a time")
    if not abs(now - at) <= tolerance:  # nor where one of them is NaN
        raise InvalidRequestError(
            field="timestamp", rule=f"is not within {tolerance:g} seconds of now"
        )


def _is_amount(given: object) -> bool:
    return isinstance(given, int | float) and not isinstance(given, bool) and given >= 0


def _time_of(stamp: str) -> float | None:
    with suppress(ValueError):
        seconds = float(stamp)
        return seconds / 1000 if seconds > _MIN_MILLISECONDS else seconds
    with suppress(ValueError, OverflowError):
        at = datetime.fromisoformat(stamp.strip())
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    return None


def _digest_of(signature: str) -> bytes:
    """Return the digest written as hexadecimal or base64; empty if it is neither."""
    text = signature.strip()
    with suppress(ValueError):
        if len(text) == 64:
            return bytes.fromhex(text)
        return base64.b64decode(text.encode(), validate=True)
    return b""


def _bytes_of(secret: Secret) -> bytes:
    # Half a surrogate pair must not raise: a UnicodeEncodeError holds the text.
    encoding = "latin-1" if isinstance(secret, KeyBytes) else "utf-8"
    return secret.reveal().encode(encoding, errors="surrogatepass")


# --- bodies ----------------------------------------------------------------------------------


def read_genuine(body: bytes, cls: type[R]) -> R:
    """Read the JSON of a genuine delivery as *cls*; raise `ResponseDecodeError` if it is none."""
    try:
        return structure(load_json(bytes(body)), cls)
    except ResponseDecodeError as error:
        problem, path = _about_body(error), error.path
    unreadable = ResponseDecodeError(f"the delivery is genuine and cannot be read: {problem}")
    unreadable.path = path
    raise unreadable


def read_delivery(body: bytes, cls: type[R]) -> R:
    """Read an unsigned JSON body as *cls*; raise `InvalidRequestError` if it is none."""
    try:
        return structure(load_json(bytes(body)), cls)
    except ResponseDecodeError as error:
        problem = _about_body(error)
    raise InvalidRequestError(field="body", rule=problem)


def _about_body(error: ResponseDecodeError) -> str:
    return error.message.replace("the answer", "the body", 1)


# --- headers and secrets ---------------------------------------------------------------------


def header(headers: Headers | None, name: str) -> str:
    """Return a header's value, by its name in lower case; empty where there is none.

    Several values are joined by commas. Raises `InvalidRequestError` for what holds no headers.
    """
    pairs = header_pairs(headers)
    if pairs is None:
        del headers
        raise InvalidRequestError(field="headers", rule="must be a mapping, or a list of pairs")
    return ",".join(text for key, text in pairs if key == name)


def header_pairs(headers: object) -> list[tuple[str, str]] | None:
    """Return each header with its name in lower case; ``None`` for what holds no headers.

    What verifies a delivery rebinds its headers with this, like its secrets with `as_secrets`: a
    secret that was given in their place would otherwise be in the frame that refuses it.
    """
    items = getattr(headers, "items", None)
    pairs: object = items() if callable(items) else headers
    if isinstance(pairs, str | bytes) or not isinstance(pairs, Iterable):
        return None
    found: list[tuple[str, str]] = []
    for pair in cast("Iterable[object]", pairs):
        several = cast("Sequence[object]", pair if isinstance(pair, list | tuple) else ())
        if len(several) != 2:
            return None
        key, value = several
        # A WSGI environment has HTTP_X_SIGNATURE for X-Signature.
        name = "".join(_texts_of(key)).lower().replace("_", "-").removeprefix("http-")
        found += [(name, text) for text in _texts_of(value)]
    return found


def _texts_of(value: object) -> Iterator[str]:
    """Yield the texts of a header's value: one, several, or none."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, bytes | bytearray):
        yield value.decode("latin-1")
    elif isinstance(value, list | tuple):
        for each in cast("Sequence[object]", value):
            yield from _texts_of(each)


def as_secrets(secrets: Key | Iterable[Key]) -> list[Secret]:
    """Return one secret or several as a list of wrapped ones; what is none is `REDACTED`.

    What verifies a delivery rebinds its secrets with this first, so that no frame of ours holds
    plain text when an exception passes through it. Nothing is refused here, for the same reason.
    """
    single = isinstance(secrets, str | bytes | bytearray | Secret)
    several = [secrets] if single or not isinstance(secrets, Iterable) else secrets
    return [_wrap_key(each) for each in several]


def _wrap_key(key: object) -> Secret:
    if isinstance(key, bytes | bytearray):
        return KeyBytes(key)
    return as_secret(key) if isinstance(key, str | Secret) else REDACTED
