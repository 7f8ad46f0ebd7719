"""Checks of request fields, written beside their types; see `RequestValue`."""

from __future__ import annotations

import functools
import re
import reprlib
from typing import Any

import attrs

from sigmamind_async.convert.fields import Check
from sigmamind_async.errors import InvalidRequestError
from sigmamind_async.values import (
    UNSET,
    Secret,
    check_country_code,
    check_id,
    check_length,
    check_phone_number,
    check_range,
)

phone_number: Check = check_phone_number
"""An E.164 number with a leading plus."""

country_code: Check = check_country_code
"""Two capital letters, such as ``US``."""


def text(most: int) -> Check:
    """Require at most *most* characters."""
    return functools.partial(check_length, most=most)


def visible(most: int = 10_000, *, least: int = 1) -> Check:
    """Require *least* to *most* visible characters, as in an id or the name of a host."""

    def check(name: str, value: Any) -> None:
        if value == "" and least:
            raise InvalidRequestError(field=name, rule=_EMPTY)
        check_length(name, value, most, least=least)
        check_visible(name, value)

    return check


_EMPTY = "must not be empty; leave it out instead"


def check_visible(name: str, value: str) -> None:
    """Refuse spaces of any kind and invisible characters: they are pasted by accident."""
    if " " in value or not value.isprintable():
        raise InvalidRequestError(
            f"{name}: {reprlib.repr(value)} contains a space or an invisible character",
            name,
            "no spaces, no invisible characters",
        )


def any_text(name: str, value: object) -> None:
    """Require a text of any length, where the platform states no limit."""
    if not isinstance(value, str):
        raise InvalidRequestError(field=name, rule="must be text")


def word(name: str, value: object) -> None:
    """Require a text that is not empty: a word of an open list, or an id outside a path."""
    any_text(name, value)
    if not value:
        raise InvalidRequestError(field=name, rule=_EMPTY)


def flag(name: str, value: object) -> None:
    """Require true or false; 1 and 0 are neither."""
    if type(value) is not bool:
        raise InvalidRequestError(field=name, rule="must be true or false")


def whole_number(least: int, most: int) -> Check:
    """Require a whole number from *least* to *most*."""
    return functools.partial(check_range, least=least, most=most)


def one_of(*words: str) -> Check:
    """Require one of *words*."""

    def check(name: str, value: object) -> None:
        if value not in words:
            choice = ", ".join(words)
            raise InvalidRequestError(f"{name}: must be one of {choice}", name, f"one of {choice}")

    return check


def secret(most: int = 10_000) -> Check:
    """Require a `Secret` of at most *most* characters; one whose text is not here passes.

    A mask, as some answers show in place of a secret, is refused: sent back, it would become the
    secret.
    """

    def check(name: str, value: object) -> None:
        if not isinstance(value, Secret):
            raise InvalidRequestError(field=name, rule="must be text")
        if not value.known:
            return
        # Not `check_length`: its frame would hold the text while the error passes through.
        if len(value.reveal()) > most:
            raise InvalidRequestError(field=name, rule=f"at most {most} characters")
        if is_mask(value.reveal()):
            raise InvalidRequestError(field=name, rule="is a mask; give the secret itself")

    return check


def record_id(most: int = 128) -> Check:
    """Require an opaque id that stays one segment of a path."""
    return functools.partial(check_id, most=most)


def require_any_field(value: object, *keys: str) -> None:
    """Refuse an update that sets nothing but its *keys*."""
    kind: Any = type(value)
    for name in _field_names(kind):
        if name not in keys and getattr(value, name) is not UNSET:
            return
    raise InvalidRequestError(field="update", rule="names no field to change")


@functools.cache
def _field_names(cls: Any) -> tuple[str, ...]:
    return tuple(field.name for field in attrs.fields(cls))


_DOT = r"[*\uff0a\u2022\u2219\u25aa\u25cf\u2588\u2026]"
_LEAD = r"(?:[A-Za-z]{1,10}[_-])"
_MASK = re.compile(
    rf"""{_DOT}+                                               # ****
    | {_LEAD}*[A-Za-z0-9]{{0,4}}{_DOT}{{3,}}[A-Za-z0-9]{{0,4}} # sk****EA, key_****12
    | {_LEAD}+\.{{3,}}[A-Za-z0-9]{{0,4}}                       # sk-...EA
    | (?:\w+\.)*\w*Secret\w*\(.*\)                           # Secret('***')
    | [\[<({{*_\s]*redacted[\])>}}*_\s]*
    | [\[<({{*]+(?:masked|hidden|filtered|removed|secret|password|sensitive|scrubbed
        |obfuscated|withheld|protected|encrypted|omitted)[\])>}}*]+""",
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)
"""What answers, logs and settings show in place of a secret.

Asterisks or dots alone; three or more of them in a row, with at most four letters or digits before
and after; the `repr` of a secret; *redacted*, and other such words in brackets. A password may hold
asterisks otherwise: ``a*b**c`` and ``correct***horse`` are none of these.
"""


def is_mask(text: str) -> bool:
    """Return whether *text* is a mask that replaced a secret."""
    return _MASK.fullmatch(text.strip(" \t\r\n'\"`")) is not None
