"""One field of a row: from what a file says to what the row says, or to what is wrong. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

import attrs

from sigmamind_async.errors import suggest
from sigmamind_async.fleet.spec import FIELDS, OWN_NAMES, SECRETS, WHOLE_NUMBERS, Cell
from sigmamind_async.values import Secret

KNOWN: Final = (*OWN_NAMES, *FIELDS)
"""Every word that a row may say."""

PHONE_NUMBERS: Final = frozenset({"phone_number", "test_number"})

EXAMPLE: Final = '"+14155550100"'


@attrs.frozen
class CellError:
    """What is wrong with one cell, or with a row as a whole; it never repeats a secret."""

    message: str


@attrs.frozen
class Oddity:
    """What a file can say and a row cannot, such as a list."""

    kind: str


Cells: TypeAlias = Mapping[str, object]
"""What a file says of one row by name: a text, a whole number, `None`, or what no row can say. A
`CellError` stands for a cell that cannot even be read; under an empty name it is the row's own."""

MEANINGS: Final[Mapping[str, str]] = {
    # Words of the platforms themselves.
    "agentid": "inbound_agent_id",
    "countryiso": "country_code",
    "friendlyname": "label",
    "nickname": "label",
    "outboundphonenumber": "test_number",
    "provider": "source",
    "siptrunkpassword": "trunk_password",
    "siptrunkusername": "trunk_username",
    "sipphonenumber": "phone_number",
    "sipterminationuri": "termination_uri",
    "terminationsipuri": "termination_uri",
    # Words that people use.
    "action": "source",
    "agent": "inbound_agent_id",
    "authtoken": "twilio_auth_token",
    "accountsid": "twilio_account_sid",
    "country": "country_code",
    "name": "label",
    "number": "phone_number",
    "password": "trunk_password",
    "phone": "phone_number",
    "status": "state",
    "username": "trunk_username",
}
"""Likely other words for what a row says, without case and punctuation."""


def unknown(kind: str, name: str) -> CellError:
    """Return the fault of a *kind* (a column, a field) that has a *name* we do not know."""
    return CellError(f"unknown {kind} {name[:64]!r}{suggest(name, KNOWN, MEANINGS)}")


def field_of(name: str, value: object, *, allow_inline: bool) -> Cell | CellError:
    """Return what the row says of the field *name*, or why it cannot be that."""
    if name not in FIELDS:
        return value if isinstance(value, CellError) and not name else unknown("field", name)
    if value is None or isinstance(value, CellError):
        return value
    if name in WHOLE_NUMBERS:
        return _whole_number(value)
    if isinstance(value, Secret) and name in SECRETS:
        return value
    if not isinstance(value, str):
        example = f", {EXAMPLE}" if name in PHONE_NUMBERS else ", in quotes"
        return CellError(f"is {kind_of(value)} here; write it as text{example}")
    if not _is_unicode(value):
        return CellError("holds half of a character")
    if name in SECRETS:
        return _secret(value, allow_inline=allow_inline)
    return _phone_number(value) if name in PHONE_NUMBERS else value


def kind_of(value: object) -> str:
    """Return what *value* is, in plain words."""
    if isinstance(value, Oddity):
        return value.kind
    return _KINDS.get(type(value), "something else")


_KINDS: Final[Mapping[type[object], str]] = {
    bool: "true or false",
    int: "a number",
    float: "a number",
    list: "a list",
    dict: "an object",
    str: "text",
    Secret: "a secret",
}


def _is_unicode(text: str) -> bool:
    """Return whether *text* can be written as UTF-8: an escape in a file may be half a pair."""
    return text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text)


def _whole_number(value: object) -> int | CellError:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    quotes = ", without quotes" if isinstance(value, str) and value.strip().isdigit() else ""
    return CellError(f"must be a whole number{quotes}")


# ---------------------------------------------------------------- phone numbers

_BARE = re.compile(r"[0-9]{7,15}(?:\.0+)?", re.ASCII)
_SHORTENED = re.compile(r"[0-9](?:[.,][0-9]+)?[eE]\+?[0-9]{1,2}", re.ASCII)


def _phone_number(text: str) -> str | CellError:
    """Return *text* trimmed; a number that a spreadsheet has made of it is not guessed back."""
    number = text.strip()
    if _BARE.fullmatch(number):
        return CellError(
            f"has no plus; write it as text, plus and country code first, like {EXAMPLE}"
        )
    if _SHORTENED.fullmatch(number):
        return CellError(
            "was shortened by a spreadsheet and its last digits are lost;"
            f" write all of it as text, like {EXAMPLE}"
        )
    return number


# ---------------------------------------------------------------- secrets

RequestForm: TypeAlias = Callable[[str], "str | None"]


def _variable(name: str) -> str | None:
    wrong = not name or any(mark in name for mark in "= \t\0")
    return "env: needs the name of a variable, like env:TRUNK_PASSWORD" if wrong else None


def _path(name: str) -> str | None:
    wrong = not name or "\0" in name
    return "file: needs the path of a file, like file:trunk-password.txt" if wrong else None


_FORMS: Final[Mapping[str, RequestForm]] = {"env": _variable, "file": _path}


def _secret(text: str, *, allow_inline: bool) -> str | Secret | CellError:
    """Return a reference as it is, and what is none as a `Secret`, where that is allowed."""
    reference = text.strip()
    kind, colon, name = reference.partition(":")
    if colon and kind in _FORMS:
        problem = _FORMS[kind](name)
        return CellError(problem) if problem else reference
    if not reference:
        return CellError("is empty; write env:NAME or file:PATH")
    if allow_inline:
        return Secret(text)
    return CellError("is a secret and must not be in plain text; write env:NAME or file:PATH")
