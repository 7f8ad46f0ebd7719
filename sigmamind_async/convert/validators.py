"""Checks of request fields, as attrs validators: what is wrong is said before anything is sent.

`UNSET` passes each of them, being "not said". `None` passes only what `or_null` allows it.
"""

from __future__ import annotations

import functools
import re
import reprlib
from collections.abc import Callable
from typing import Any, TypeAlias, cast

import attrs

from sigmamind_async.errors import InvalidRequestError
from sigmamind_async.values import (
    E164,
    UNSET,
    Secret,
    check_country_code,
    check_id,
    check_length,
    check_phone_number,
    check_range,
)

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


Validator: TypeAlias = Callable[[Any, "attrs.Attribute[Any]", Any], None]


@attrs.frozen(eq=False)
class Quick:
    """A validator beside a test, as source, that tells at once of most values that they pass."""

    validate: Validator
    """Applied to what does not pass the test: it passes all the same, or finds the words."""
    test: str
    """With ``{0}`` for the value."""

    def __call__(self, instance: object, field: attrs.Attribute[Any], value: object) -> None:
        """Check *value* without the test, as attrs asks a validator to."""
        self.validate(instance, field, value)


def said(check: Callable[[str, Any], None]) -> Validator:
    """Return the validator that applies *check*, given name and value, to what is not `UNSET`."""

    def validate(_: object, field: attrs.Attribute[Any], value: object) -> None:
        if value is not UNSET:
            check(field.name, value)

    return validate


def or_null(validator: Validator) -> Validator:
    """Return *validator* with ``None`` allowed: the platform documents null for the field."""

    def validate(instance: object, field: attrs.Attribute[Any], value: object) -> None:
        if value is not None:
            validator(instance, field, value)

    if isinstance(validator, Quick):
        return Quick(validate, f"({{0}} is None or {validator.test})")
    return validate


def text(most: int, *, least: int = 0) -> Validator:
    """Require *least* to *most* characters."""
    validate = said(lambda name, value: check_length(name, value, most, least=least))
    length = f"{least} <= len({{0}})" if least else "len({0})"
    return Quick(validate, f"type({{0}}) is str and {length} <= {most}")


def check_visible(name: str, value: str) -> None:
    """Refuse spaces of any kind, and characters that are not seen: they are pasted by accident."""
    if " " in value or not value.isprintable():
        raise InvalidRequestError(
            f"{name}: {reprlib.repr(value)} contains a space or an invisible character",
            name,
            "no spaces, no invisible characters",
        )


def visible(most: int = 10_000, *, least: int = 1) -> Validator:
    """Require *least* to *most* characters that are all seen, as in an id or the name of a host."""

    def check(name: str, value: object) -> None:
        if value == "" and least:
            raise InvalidRequestError(field=name, rule="must not be empty; leave it out instead")
        check_length(name, value, most, least=least)
        check_visible(name, str(value))

    length = f"{least} <= len({{0}}) <= {most}"
    return Quick(
        said(check), f"type({{0}}) is str and {length} and {{0}}.isprintable() and ' ' not in {{0}}"
    )


def _check_text(name: str, value: object) -> None:
    if not isinstance(value, str):
        raise InvalidRequestError(field=name, rule="must be text")


any_text: Validator = said(_check_text)
"""A text of any length, where the platform states none."""


def _check_word(name: str, value: object) -> None:
    _check_text(name, value)
    if not value:
        raise InvalidRequestError(field=name, rule="must not be empty; leave it out instead")


word: Validator = said(_check_word)
"""A word of a list that is open, or an id that is never part of a path: any text but the empty."""


def _check_flag(name: str, value: object) -> None:
    if type(value) is not bool:
        raise InvalidRequestError(field=name, rule="must be true or false")


flag: Validator = said(_check_flag)
"""True or false, and nothing that counts as either."""


def whole_number(least: int, most: int) -> Validator:
    """Require a whole number from *least* to *most*."""
    return said(lambda name, value: check_range(name, value, least, most))


def one_of(*words: str) -> Validator:
    """Require one of *words*."""

    def check(name: str, value: object) -> None:
        if value not in words:
            choice = ", ".join(words)
            raise InvalidRequestError(f"{name}: must be one of {choice}", name, f"one of {choice}")

    return said(check)


def secret(most: int = 10_000) -> Validator:
    """Require a `Secret` of at most *most* characters; one that is not known here passes.

    A mask, as some answers show in place of a secret, is refused: sent back, it would become one.
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

    return said(check)


def record_id(most: int = 128) -> Validator:
    """Require an opaque id that stays one segment of a path."""
    return said(lambda name, value: check_id(name, value, most))


phone_number: Validator = Quick(said(check_phone_number), "type({0}) is str and is_e164({0})")
"""Require an E.164 number with a leading plus."""


country_code: Validator = said(check_country_code)


def only_what_is_said(cls: type) -> None:
    """Give *cls* an ``__init__`` that does what attrs' own does, and does not check `UNSET`.

    Each validator that is called takes half a microsecond in a busy program, of which attrs' own
    calls eight in an update that says one field; and the tests of `Quick` stand in place. Classes
    with more than plain arguments, or none, keep what attrs has made.
    """
    fields = attrs.fields(cls)
    if not fields or not all(
        field.init and field.kw_only and _is_plain(field.default) for field in fields
    ):
        return
    given: dict[str, Any] = {"UNSET": UNSET, "is_e164": E164.fullmatch}
    arguments = ", ".join(
        field.name if field.default is attrs.NOTHING else f"{field.name}=default_{field.name}"
        for field in fields
    )
    lines = [f"def __init__(self, *, {arguments}):"]
    # All are written before one is checked: a crash reporter may show the object then.
    lines += [_writing(cls, field, given) for field in fields]
    lines += [_checking(field, given) for field in fields if field.validator is not None]
    if hasattr(cls, "__attrs_post_init__"):
        lines.append("self.__attrs_post_init__()")
    exec("\n    ".join(lines), given)  # noqa: S102 - of names of fields, as attrs writes its own
    init, own = given["__init__"], vars(cls)["__init__"]
    init.__annotations__, init.__qualname__ = own.__annotations__, own.__qualname__
    cls.__init__ = init  # type: ignore[misc]


_MADE_ANEW: type = type(attrs.Factory(list[str]))


def _is_plain(default: object) -> bool:
    return not isinstance(default, _MADE_ANEW)


def _writing(cls: type, field: attrs.Attribute[Any], given: dict[str, Any]) -> str:
    """Return the lines that convert and write one field; put what they need in *given*."""
    name, converter = field.name, cast("Any", field).converter
    given[f"default_{name}"], given[f"put_{name}"] = field.default, getattr(cls, name).__set__
    if converter is None:
        return f"put_{name}(self, {name})"
    given[f"convert_{name}"] = converter
    said = f"if {name} is not UNSET: " if field.default is UNSET else ""
    # Under the same name: no text that is to be a secret stays in the frame.
    return f"{said}{name} = convert_{name}({name})\n    put_{name}(self, {name})"


def _checking(field: attrs.Attribute[Any], given: dict[str, Any]) -> str:
    """Return the line that checks one field; put what it needs in *given*."""
    name, validator = field.name, cast("object", field.validator)
    given[f"check_{name}"], given[f"field_{name}"] = validator, field
    said = [f"{name} is not UNSET"] if field.default is UNSET else []
    odd = [f"not ({validator.test.format(name)})"] if isinstance(validator, Quick) else []
    condition = " and ".join([*said, *odd])
    check = f"check_{name}(self, field_{name}, {name})"
    return f"if {condition}: {check}" if condition else check


def require_change(value: object, *keys: str) -> None:
    """Refuse an update in which nothing but its *keys* is said."""
    kind: Any = type(value)
    for name in _field_names(kind):
        if name not in keys and getattr(value, name) is not UNSET:
            return
    raise InvalidRequestError(field="update", rule="names no field to change")


@functools.cache
def _field_names(cls: Any) -> tuple[str, ...]:
    return tuple(field.name for field in attrs.fields(cls))
