"""Signed deliveries: was this body signed with one of our secrets?

Framework-neutral: bytes and headers in, a value out. A body is measured before it is hashed, every
candidate is compared in constant time, and several secrets may be active while one is replaced.

A delivery that is not known to be genuine is an `InvalidRequestError`; a genuine one whose body has
an unexpected form is a `ResponseDecodeError`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, TypeAlias, TypeVar, cast

from sigmamind_async.convert import Record, load_json, structure
from sigmamind_async.errors import ConfigurationError, InvalidRequestError, ResponseDecodeError
from sigmamind_async.values import REDACTED, Secret, as_secret

R = TypeVar("R", bound=Record)

MAX_BYTES = 1 << 20
"""Most bytes of a delivery that are hashed, unless told otherwise."""


class KeyBytes(Secret):
    """A key that was given as bytes, which need not be a text."""

    __slots__ = ()
    __hash__ = None

    def __init__(self, data: bytes | bytearray) -> None:
        super().__init__(bytes(data).decode("latin-1"))


Key: TypeAlias = str | bytes | bytearray | Secret
Headers: TypeAlias = Mapping[Any, Any] | Iterable[tuple[Any, Any]]
"""By name in any case, as any web framework has them: a mapping, one of several values for a name,
pairs of bytes (ASGI), or the environment of a WSGI application."""


def check_body(body: bytes, most: int = MAX_BYTES) -> None:
    """Require the raw bytes of a body, and at most *most* of them, before anything is done."""
    given: object = body
    if not isinstance(given, bytes | bytearray):
        kind = type(given).__name__
        raise InvalidRequestError(
            f"body: must be the raw bytes as they came, not {kind}", "body", "must be bytes"
        )
    check_size(body, most)


def check_size(body: bytes, most: int = MAX_BYTES) -> None:
    """Refuse a body of more than *most* bytes, before anything is done with it."""
    if not _is_number(most):
        raise ConfigurationError("max_bytes: must be a number of bytes")
    if len(body) > most:
        raise InvalidRequestError(
            f"body: has {len(body)} bytes, allowed are {most}", "body", f"at most {most} bytes"
        )


def check_signature(signed: bytes, signatures: Iterable[str], secrets: Key | Iterable[Key]) -> None:
    """Require that one of *signatures* is the HMAC-SHA256 of *signed* under one of *secrets*.

    A signature is hexadecimal or base64. Raises `InvalidRequestError`, without saying which of
    them came close.
    """
    secrets = as_secrets(secrets)
    if not secrets or not all(map(_is_usable, secrets)):
        raise InvalidRequestError(field="secrets", rule="give at least one, and none of them empty")
    given = [digest for text in signatures for digest in _digests(text)]
    if not _matches(signed, given, secrets):
        raise InvalidRequestError(
            field="signature", rule="is missing, or none of the secrets made it for this body"
        )


def check_age(stamp: str, tolerance: float | None, now: float) -> None:
    """Require that *stamp*, ISO 8601 or seconds since 1970, is *tolerance* seconds from *now*.

    ``None`` for *tolerance* allows any. A time without a zone is UTC.
    """
    if tolerance is None:
        return
    if not _is_number(tolerance):
        raise ConfigurationError("tolerance: must be a number of seconds, or None for any age")
    at = _time_of(stamp)
    if at is None:
        raise InvalidRequestError(field="timestamp", rule="is missing, or is no time")
    if not abs(now - at) <= tolerance:  # nor where one of them is no number
        raise InvalidRequestError(
            field="timestamp", rule=f"is not within {tolerance:g} seconds of now"
        )


def _is_number(given: object) -> bool:
    return isinstance(given, int | float) and not isinstance(given, bool) and given >= 0


def _time_of(stamp: str) -> float | None:
    with suppress(ValueError):
        seconds = float(stamp)
        return seconds / 1000 if seconds > _MILLISECONDS else seconds
    with suppress(ValueError, OverflowError):
        at = datetime.fromisoformat(stamp.strip())
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    return None


_MILLISECONDS = 1e11
"""What is larger is no number of seconds, unless it is after the year 5138."""


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


def header(headers: Headers | None, name: str) -> str:
    """Return a header's value whatever the case of its name; empty where there is none.

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
        name = "".join(_texts(key)).lower().replace("_", "-").removeprefix("http-")
        found += [(name, text) for text in _texts(value)]
    return found


def _texts(value: object) -> Iterator[str]:
    """Give the texts of a header's value: one, several of them, or none."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, bytes | bytearray):
        yield value.decode("latin-1")
    elif isinstance(value, list | tuple):
        for each in cast("Sequence[object]", value):
            yield from _texts(each)


def as_secrets(secrets: Key | Iterable[Key]) -> list[Secret]:
    """Return one secret or several as a list of wrapped ones; what is none is `REDACTED`.

    What verifies a delivery rebinds its secrets with this first, so that no frame of ours holds
    a plain text when an exception passes through it. Nothing is refused here, for the same reason.
    """
    single = isinstance(secrets, str | bytes | bytearray | Secret)
    several = [secrets] if single or not isinstance(secrets, Iterable) else secrets
    return [_key_of(each) for each in several]


def _key_of(key: object) -> Secret:
    if isinstance(key, bytes | bytearray):
        return KeyBytes(key)
    return as_secret(key) if isinstance(key, str | Secret) else REDACTED


def _is_usable(key: Secret) -> bool:
    return key.known and bool(key.reveal())


def _matches(signed: bytes, given: list[bytes], secrets: list[Secret]) -> bool:
    matches = False
    for secret in secrets:
        expected = hmac.new(_bytes_of(secret), signed, hashlib.sha256).digest()
        for digest in given:
            # No early way out: the time taken tells nothing.
            matches |= hmac.compare_digest(expected, digest)
    return matches


def _bytes_of(secret: Secret) -> bytes:
    if isinstance(secret, KeyBytes):
        return secret.reveal().encode("latin-1")
    # Half a surrogate pair must not raise: a UnicodeEncodeError holds the text.
    return secret.reveal().encode(errors="surrogatepass")


def _digests(text: str) -> list[bytes]:
    """Return the digest that *text* writes, as hexadecimal or as base64; none if it is neither."""
    text = text.strip()
    if len(text) == 64:
        try:
            return [bytes.fromhex(text)]
        except ValueError:
            return []
    try:
        return [base64.b64decode(text.encode(), validate=True)]
    except ValueError:
        return []
