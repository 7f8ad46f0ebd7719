"""Small values that every module uses: `UNSET`, secrets, and checks of seconds and counts.

`UNSET` means "not set" and is left out of a request; `None` means "send null". A request field
therefore defaults to `UNSET`, so that leaving a field alone is never confused with clearing it.
"""

from __future__ import annotations

import copy
import enum
import hmac
import math
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Final, cast, overload
from urllib.parse import quote

import attrs

from sigmamind_async.errors import ConfigurationError, InvalidRequestError


class Unset(enum.Enum):
    """Type of `UNSET`: an enum, because type checkers narrow ``is UNSET`` and pickle keeps it."""

    UNSET = "UNSET"

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = Unset.UNSET


class Secret:
    """A *text* that only `reveal` shows; the library calls it while it writes a header or a body.

    `repr`, `str` and `format` give a mask. Pickle, hash and json refuse, because each would carry
    the text, or something it can be guessed from, out of the process. A deep copy is the object
    itself. `InvalidRequestError` is raised for anything but text.
    """

    __slots__ = ("_text",)
    # A hash of a short password can be guessed back.
    __hash__: ClassVar[None] = None  # type: ignore[assignment]  # pyright: ignore[reportIncompatibleMethodOverride]

    def __init__(self, text: str) -> None:
        if not isinstance(text, str):
            raise InvalidRequestError(field="secret", rule="must be text")
        self._text: str | None = text

    @property
    def known(self) -> bool:
        """True if `reveal` returns the text: not after redaction, nor for a mere reference."""
        return self._text is not None

    def reveal(self) -> str:
        """Return the text; raise `InvalidRequestError` if it has been redacted."""
        if self._text is None:
            raise InvalidRequestError(
                field="secret", rule="was removed when the value was stored; give it again"
            )
        return self._text

    def __repr__(self) -> str:
        return "Secret('***')"

    def __str__(self) -> str:
        return "***"

    def __format__(self, format_spec: str) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        """Compare in constant time; a redacted secret equals only itself."""
        if not isinstance(other, Secret):
            return NotImplemented
        if self._text is None or other._text is None:
            return self is other
        # Half a surrogate pair must not raise: a UnicodeEncodeError holds the text.
        ours, theirs = (each.encode(errors="surrogatepass") for each in (self._text, other._text))
        return hmac.compare_digest(ours, theirs)

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self

    def __reduce_ex__(self, protocol: object) -> str:
        if self is REDACTED:
            return "REDACTED"
        raise TypeError("a Secret cannot be pickled")


REDACTED: Final = Secret("")
"""Replaces a secret in values that leave the call they were made for."""
REDACTED._text = None  # noqa: SLF001 - the one secret that holds nothing


class SecretReference(Secret):
    """Where to find a secret, in place of the secret: a *reference*, ``env:NAME`` or ``file:PATH``.

    It may be shown, stored and sent to another machine, where a `SecretResolver` resolves it. It
    cannot be revealed itself, so a request that still holds one is not sent. Anything but a
    reference raises `InvalidRequestError`.
    """

    __slots__ = ("reference",)
    __hash__: ClassVar[None] = None

    def __init__(self, reference: str) -> None:
        kind, _, name = str(reference).partition(":")
        if kind not in {"env", "file"} or not name.isprintable() or not name:
            # The text is not repeated: it may be the secret itself.
            raise InvalidRequestError(field="reference", rule="must be env:NAME or file:PATH")
        self._text = None
        self.reference: str = reference

    def reveal(self) -> str:
        """Raise `InvalidRequestError`: only its place is known."""
        raise InvalidRequestError(
            field="secret", rule=f"is only a reference, {self.reference}; resolve it first"
        )

    def __repr__(self) -> str:
        return f"SecretReference({self.reference!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SecretReference):
            return NotImplemented
        return self.reference == other.reference

    def __reduce_ex__(self, protocol: object) -> tuple[type[SecretReference], tuple[str]]:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        return SecretReference, (self.reference,)


@overload
def as_secret(text: str | Secret) -> Secret: ...
@overload
def as_secret(text: str | Secret | Unset) -> Secret | Unset: ...
@overload
def as_secret(text: str | Secret | Unset | None) -> Secret | Unset | None: ...
def as_secret(text: str | Secret | Unset | None) -> Secret | Unset | None:
    """Wrap a plain text; return anything else as it is.

    Public methods rebind their secret arguments with this in their first line, so that no frame of
    ours holds the plain text when an exception passes through it.
    """
    return Secret(text) if isinstance(text, str) else text


def redacted(value: object) -> object:
    """Return an attrs *value* with each of its secrets replaced by `REDACTED`."""
    kind: type[Any] = type(value)
    if not attrs.has(kind):
        return value
    fields: tuple[attrs.Attribute[Any], ...] = attrs.fields(kind)
    hidden = [f.name for f in fields if isinstance(getattr(value, f.name), Secret)]
    if not hidden:
        return value
    twin = copy.copy(value)
    for name in hidden:
        # Bypasses `frozen` and the validators, which would ask the secret for its length.
        object.__setattr__(twin, name, REDACTED)
    return twin


def secrets_in(value: object) -> Iterator[Secret]:
    """Yield every secret in a request's body, at any depth."""
    if isinstance(value, Secret):
        yield value
    elif isinstance(value, Mapping):
        for each in cast("Mapping[object, object]", value).values():
            yield from secrets_in(each)
    elif isinstance(value, list | tuple):
        for each in cast("Sequence[object]", value):
            yield from secrets_in(each)


def is_finite(held: object, depth: int = 0) -> bool:
    """Return whether *held*, any JSON value, has no NaN and no infinity at any depth.

    orjson writes null for these, which would clear a field.
    """
    if depth > _DEEPEST:
        return True
    if isinstance(held, Mapping):
        parts = cast("Mapping[object, object]", held).values()
        return all(is_finite(each, depth + 1) for each in parts)
    if isinstance(held, list | tuple):
        return all(is_finite(each, depth + 1) for each in cast("Sequence[object]", held))
    return not isinstance(held, float) or math.isfinite(held)


_CREDENTIAL: Final = re.compile(
    r"pass|pasw|pwd|secret|token|credential|api.?key|authorization|cookie", re.IGNORECASE
)
_HARMLESS: Final = (
    r"(?i)(?:max|min|num|total|prompt|completion|input|output)"
    r"(?:[_-]?(?:new|prompt|completion|input|output|response))?[_-]?tokens"
    r"|tokens?[_-]?(?:used|usage|count|limit|budget|type|per[_-]?[a-z]+)"
    r"|tokeniz|bypass|compass|pass[_-]?(?:through|enger|ed|ive|age|rate)|secretary"
    r"|cookie[_-]?(?:consent|policy)"
)
"""What sounds like a credential and is none: counts of tokens above all. A text under such a name
is shown, and one of three digits does not withhold the whole body of an error."""
_DEEPEST: Final = 254
"""Levels of a body that can be written."""


def conceal(held: Any, name: str = "", depth: int = 0) -> Any:  # noqa: ANN401 - any JSON value
    """Return *held* with each text under a name that sounds like a credential as a `Secret`.

    That is at any depth, of names below such a name too. *name* is that of *held* itself.
    """
    if isinstance(held, str):
        return Secret(held) if _names_credential(name) else held
    if depth > _DEEPEST:
        return held
    if isinstance(held, Mapping):
        fields = cast("Mapping[object, object]", held)
        return {key: conceal(value, f"{name}.{key}", depth + 1) for key, value in fields.items()}
    if isinstance(held, list | tuple):
        return [conceal(each, name, depth + 1) for each in cast("Sequence[object]", held)]
    return held


def _names_credential(name: str) -> bool:
    return bool(_CREDENTIAL.search(name)) and bool(_CREDENTIAL.search(re.sub(_HARMLESS, " ", name)))


E164: Final = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII)


def path_segment(value: str) -> str:
    """Percent-encode a checked number or id so that it stays one segment of a path."""
    return quote(value, safe="")


def check_seconds(name: str, value: object, *, zero: bool = False) -> None:
    """Require a finite number of seconds: more than 0, or with *zero* also 0."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ConfigurationError(f"{name}: must be a number of seconds")
    # NaN is in no range. An int may exceed every float, and could not be added to a time.
    if not (value >= 0 if zero else value > 0) or value > sys.float_info.max:
        least = "0 seconds or more" if zero else "more than 0 seconds"
        raise ConfigurationError(f"{name}: must be {least}, and finite")


def check_flag(name: str, value: object) -> None:
    """Require ``True`` or ``False``: every text counts as true, "false" too."""
    if not isinstance(value, bool):
        raise ConfigurationError(f"{name}: must be True or False")


def check_type(name: str, value: object, kind: type) -> None:
    """Require an instance of *kind*."""
    if not isinstance(value, kind):
        found = value.__name__ if isinstance(value, type) else f"of type {type(value).__name__}"
        raise ConfigurationError(f"{name}: must be a {kind.__name__}, not {found}")


def check_count(name: str, value: object, *, least: int = 1) -> None:
    """Require a whole number of at least *least*."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigurationError(f"{name}: must be a whole number from {least}")
