"""Signed deliveries: was this body signed with one of our secrets?

Framework-neutral: bytes and headers in, a value out. A body is measured before it is hashed, every
candidate is compared in constant time, and several secrets may be active while one is replaced.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from typing import TypeVar

from sigmamind_async.convert import Record, load_json, structure
from sigmamind_async.errors import InvalidRequestError, ResponseDecodeError
from sigmamind_async.values import Secret, concealed

R = TypeVar("R", bound=Record)

MAX_BYTES = 1 << 20
"""Most bytes of a delivery that are hashed, unless told otherwise."""


def check_size(body: bytes, most: int = MAX_BYTES) -> None:
    """Refuse a body of more than *most* bytes, before anything is done with it."""
    if len(body) > most:
        raise InvalidRequestError(
            f"body: has {len(body)} bytes, allowed are {most}", "body", f"at most {most} bytes"
        )


def check_signature(
    signed: bytes, signatures: Iterable[str], secrets: str | Secret | Iterable[str | Secret]
) -> None:
    """Require that one of *signatures* is the HMAC-SHA256 of *signed* under one of *secrets*.

    A signature is hexadecimal or base64. Raises `InvalidRequestError`, without saying which of
    them came close.
    """
    secrets = keys_of(secrets)
    if not secrets or not all(map(_is_usable, secrets)):
        raise InvalidRequestError(field="secrets", rule="give at least one, and none of them empty")
    given = [digest for text in signatures for digest in _digests(text)]
    if not _matches(signed, given, secrets):
        raise InvalidRequestError(
            field="signature", rule="is missing, or none of the secrets made it for this body"
        )


def read_delivery(body: bytes, cls: type[R]) -> R:
    """Read a delivery's JSON body as *cls*; raise `InvalidRequestError` if it is none."""
    try:
        return structure(load_json(body), cls)
    except ResponseDecodeError as error:
        problem = error.message
    raise InvalidRequestError(field="body", rule=problem)


def header(headers: Mapping[str, str], name: str) -> str:
    """Return a header's value whatever the case of its name; empty where there is none."""
    for key, value in headers.items():
        if key.lower() == name:
            return value
    return ""


def keys_of(secrets: str | Secret | Iterable[str | Secret]) -> list[Secret]:
    """Return one secret or several as a list of wrapped ones; nothing is checked.

    What verifies a delivery rebinds its secrets with this first, so that no frame of ours holds
    a plain text when an exception passes through it.
    """
    several = [secrets] if isinstance(secrets, (str, Secret)) else secrets
    return [concealed(key) for key in several]


def _is_usable(key: object) -> bool:
    return isinstance(key, Secret) and bool(key.reveal())


def _matches(signed: bytes, given: list[bytes], secrets: list[Secret]) -> bool:
    matches = False
    for secret in secrets:
        # Half a surrogate pair must not raise: a UnicodeEncodeError holds the text.
        key = secret.reveal().encode(errors="surrogatepass")
        expected = hmac.new(key, signed, hashlib.sha256).digest()
        for digest in given:
            # No early way out: the time taken tells nothing.
            matches |= hmac.compare_digest(expected, digest)
    return matches


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
