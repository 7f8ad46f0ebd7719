"""Checks of request fields, written beside their types; see `RequestValue`."""

from __future__ import annotations

import functools
import re
import reprlib
from collections.abc import Callable, Mapping
from typing import Any, cast

import attrs

from sigmamind_async.convert.fields import Check
from sigmamind_async.errors import InvalidRequestError
from sigmamind_async.values import E164, UNSET, Secret, is_finite

_short = reprlib.repr
_is_phone_number = E164.fullmatch
_COUNTRY_CODE = re.compile(r"[A-Z]{2}", re.ASCII)
_ID = re.compile(r"[A-Za-z0-9_.~:@+-]+", re.ASCII)


def phone_number(name: str, value: object) -> None:
    """Require an E.164 number with a leading plus: ``+`` and 7 to 15 digits."""
    if (type(value) is not str and not isinstance(value, str)) or not _is_phone_number(value):
        problem = (
            f"{_short(value)} is not a phone number like '+14155550100' ('+', then 7 to 15 digits,"
            " no spaces)"
        )
        raise _refusal(name, problem, "E.164 with a leading plus")


def country_code(name: str, value: object) -> None:
    """Require an ISO 3166-1 alpha-2 code in capitals, such as ``US``."""
    if not isinstance(value, str) or not _COUNTRY_CODE.fullmatch(value):
        problem = f"{_short(value)} is not a two-letter country code like 'US'"
        raise _refusal(name, problem, "two capital letters")


def text(most: int, *, least: int = 0, all_visible: bool = False) -> Check:
    """Require a text of *least* to *most* characters, *all_visible* or any.

    Only one with an invisible character is ever repeated.
    """

    def check(name: str, value: Any) -> None:
        if type(value) is not str and not isinstance(value, str):
            raise InvalidRequestError(field=name, rule="must be text")
        if not least <= len(value) <= most:
            if all_visible and not value:
                raise InvalidRequestError(field=name, rule=_EMPTY)
            problem = f"has {len(value)} characters, allowed are {least} to {most}"
            raise _refusal(name, problem, f"{least} to {most} characters")
        if all_visible and (" " in value or not value.isprintable()):  # pasted by accident
            problem = f"{_short(value)} contains a space or an invisible character"
            raise _refusal(name, problem, "no spaces, no invisible characters")

    return check


def visible(most: int = 10_000, *, least: int = 1) -> Check:
    """Require *least* to *most* visible characters, as in an id or the name of a host."""
    return text(most, least=least, all_visible=True)


_EMPTY = "must not be empty; leave it out instead"


def any_text(name: str, value: object) -> None:
    """Require a text of any length, where the platform states no limit."""
    if not isinstance(value, str):
        raise InvalidRequestError(field=name, rule="must be text")
    try:
        value.encode()
    except UnicodeEncodeError:
        rule = "must be text that can be encoded as UTF-8"
    else:
        return
    raise InvalidRequestError(field=name, rule=rule)


def word(name: str, value: object) -> None:
    """Require a text that is not empty: a word of an open list, or an id outside a path."""
    any_text(name, value)
    if not value:
        raise InvalidRequestError(field=name, rule=_EMPTY)


def json_object(name: str, value: object) -> None:
    """Require a mapping of JSON values; NaN and the infinities are none."""
    if not isinstance(value, Mapping) or not is_finite(cast("object", value)):
        raise InvalidRequestError(field=name, rule="must be a mapping of finite JSON values")


def flag(name: str, value: object) -> None:
    """Require true or false; 1 and 0 are neither."""
    if type(value) is not bool:
        raise InvalidRequestError(field=name, rule="must be true or false")


def whole_number(least: int, most: int) -> Check:
    """Require a whole number from *least* to *most*."""

    def check(name: str, value: object) -> None:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            problem = f"{_short(value)} is not a whole number from {least} to {most}"
            raise _refusal(name, problem, f"{least} to {most}")

    return check


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
        # Not `text`: its frame would hold the text while the error passes through.
        if len(value.reveal()) > most:
            raise InvalidRequestError(field=name, rule=f"at most {most} characters")
        if is_mask(value.reveal()):
            raise InvalidRequestError(field=name, rule="is a mask; give the secret itself")

    return check


def record_id(most: int = 128) -> Check:
    """Require an opaque id: letters, digits and ``_.~:@+-``, neither empty nor only dots."""

    def check(name: str, value: object) -> None:
        is_id = isinstance(value, str) and len(value) <= most and _ID.fullmatch(value)
        if not is_id or value in {".", ".."}:
            problem = f"{_short(value)} is not an id (1 to {most} letters, digits or _.~:@+-)"
            raise _refusal(name, problem, "an id that cannot change the path")

    return check


def require_any_field(*keys: str) -> Callable[[Any], None]:
    """Refuse an update that sets nothing but its *keys*; a ``_check_combination``."""

    def check(value: Any) -> None:
        fields: tuple[attrs.Attribute[Any], ...] = value.__attrs_attrs__
        for field in fields:
            if field.name not in keys and getattr(value, field.name) is not UNSET:
                return
        raise InvalidRequestError(field="update", rule="names no field to change")

    return check


def _refusal(name: str, problem: str, rule: str) -> InvalidRequestError:
    return InvalidRequestError(f"{name}: {problem}", name, rule)


_DOTS = "*\uff0a\u2022\u2219\u25aa\u25cf\u2588\u2026"
_DOT = f"[{_DOTS}]"
_LEAD = r"(?:[A-Za-z]{1,10}[_-])"
_MASK = rf"""{_DOT}+                                               # ****
    | {_LEAD}*[A-Za-z0-9]{{0,4}}{_DOT}{{3,}}[A-Za-z0-9]{{0,4}} # sk****EA, key_****12
    | {_LEAD}+\.{{3,}}[A-Za-z0-9]{{0,4}}                       # sk-...EA
    | (?:\w+\.)*\w*Secret\w*\(.*\)                           # Secret('***')
    | [\[<({{*_\s]*redacted[\])>}}*_\s]*
    | [\[<({{*]+(?:masked|hidden|filtered|removed|secret|password|sensitive|scrubbed
        |obfuscated|withheld|protected|encrypted|omitted)[\])>}}*]+"""
"""What answers, logs and settings show in place of a secret.

Asterisks or dots alone; three or more of them in a row, with at most four letters or digits before
and after; the `repr` of a secret; *redacted*, and other such words in brackets. A password may hold
asterisks otherwise: ``a*b**c`` and ``correct***horse`` are none of these.
"""


_SIGNS = frozenset(f"{_DOTS}.([<{{")
"""Each mask holds one of these, or the word *redacted*."""


def is_mask(text: str) -> bool:
    """Return whether *text* is a mask that replaced a secret."""
    # The pattern alone takes 18,000 instructions for a password: 4 % of an import.
    if _SIGNS.isdisjoint(text) and "redacted" not in text.lower():
        return False
    return _mask().fullmatch(text.strip(" \t\r\n'\"`")) is not None


@functools.cache
def _mask() -> re.Pattern[str]:
    # To compile it takes longer than to make a client.
    return re.compile(_MASK, re.VERBOSE | re.IGNORECASE | re.DOTALL)
