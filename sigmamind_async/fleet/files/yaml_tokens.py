"""What a YAML text is made of, with places, as the parser tells it: nothing is built from it.

Anchors, aliases and tags are refused here. A fleet needs none of them, and each is a way to make a
short text into something large or into something else than it looks like.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import ModuleType
from typing import Any, Final, Literal

import attrs

from sigmamind_async.errors import ConfigurationError
from sigmamind_async.fleet.files.fields import CellError, Oddity

_UNPRINTABLE = re.compile(
    "[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
_WHOLE_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})", re.ASCII)

Kind = Literal["document", "list", "mapping", "value", "end"]

DEEPEST: Final = 8
"""Most lists and mappings inside one another; a row is two or three deep. Far more of them take a
parser very long."""

_TOO_DEEP: Final = "is nested too deeply"

_KINDS: Final[dict[str, Kind]] = {
    "DocumentStartEvent": "document",
    "SequenceStartEvent": "list",
    "MappingStartEvent": "mapping",
    "ScalarEvent": "value",
    "AliasEvent": "value",
    "SequenceEndEvent": "end",
    "MappingEndEvent": "end",
}


@attrs.frozen
class Token:
    """One piece of the text; the first character is line 1, column 1."""

    kind: Kind
    line: int
    column: int
    value: object = None
    """Of a value: a text, a whole number, `None`, an `Oddity` or a `CellError`. Of the start of a
    list or mapping: a `CellError`, or `None`."""


class YamlError(ValueError):
    """The text is no YAML from some place on."""

    def __init__(self, message: str, line: int = 0, column: int = 0) -> None:
        super().__init__(message, line, column)
        self.message, self.line, self.column = message, line, column


def tokens(text: str) -> Iterator[Token]:
    """Yield the pieces of *text*; raise `YamlError` where it is no YAML, or one too deep.

    Raises `ConfigurationError` where PyYAML is not installed.
    """
    depth = 0
    for token in _parsed(text):
        depth += (token.kind in {"list", "mapping"}) - (token.kind == "end")
        if depth > DEEPEST:
            raise YamlError(_TOO_DEEP, token.line, token.column)
        yield token


def _parsed(text: str) -> Iterator[Token]:
    yaml = _library()
    _require_printable(text)
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    resolve = yaml.resolver.Resolver().resolve
    try:
        for event in yaml.parse(text, Loader=loader):
            kind = _KINDS.get(type(event).__name__)
            if kind is None:
                continue
            line, column = event.start_mark.line + 1, event.start_mark.column + 1
            yield Token(kind, line, column, _event_value(event, yaml, resolve))
    except yaml.YAMLError as error:
        raise _translated(error, text) from None
    except (ValueError, OverflowError):
        # An escape of a character that there is not.
        raise YamlError("is not YAML: an escape names no character") from None


def _library() -> ModuleType:
    try:
        import yaml
    except ImportError:
        raise ConfigurationError(
            'reading YAML needs PyYAML: pip install "sigmamind-async[cli]"'
        ) from None
    return yaml


def _require_printable(text: str) -> None:
    found = _UNPRINTABLE.search(text)
    if found:
        line = text.count("\n", 0, found.start()) + 1
        column = found.start() - text.rfind("\n", 0, found.start())
        raise YamlError(f"is not YAML: the character {found[0]!a}", line, column)


def _translated(error: Any, text: str) -> YamlError:  # noqa: ANN401 - PyYAML's, which has no common type
    mark = getattr(error, "problem_mark", None)
    problem = " ".join(str(getattr(error, "problem", None) or "unreadable").split())
    place = (mark.line + 1, mark.column + 1) if mark else (0, 0)
    if mark and _count_opened(text, mark.index) > DEEPEST:
        # Some parsers have a limit as well, and meet it first: they read a line ahead.
        return YamlError(_TOO_DEEP, *place)
    return YamlError(f"is not YAML: {problem}", *place)


def _count_opened(text: str, end: int) -> int:
    """Return how many lists and mappings the line opens, up to *end*, and does not close."""
    line = text[text.rfind("\n", 0, end) + 1 : end]
    opened, closed = map(line.count, "[{"), map(line.count, "]}")
    return sum(opened) - sum(closed)


def _event_value(event: Any, yaml: ModuleType, resolve: Any) -> object:  # noqa: ANN401 - see above
    name = type(event).__name__
    if name == "AliasEvent":
        return CellError("is an alias; write the value itself")
    if getattr(event, "anchor", None):
        return CellError("has an anchor; leave it out, aliases are not read")
    if getattr(event, "tag", None):
        return CellError("has a tag; leave it out and write plain text")
    if name != "ScalarEvent":
        return None
    if not event.implicit[0]:
        return event.value
    tag = resolve(yaml.ScalarNode, event.value, (True, False))
    return _plain_scalar(event.value, tag.rpartition(":")[2])


def _plain_scalar(text: str, tag: str) -> object:
    """Return what a *text* without quotes is; a date or the like is the text that it looks like."""
    if not text:
        # A line that was left blank would clear the field without a word.
        return CellError("says nothing; write null to clear it, or leave it out")
    if tag == "null":
        return None
    if tag == "int" and _WHOLE_NUMBER.fullmatch(text):
        return int(text)
    kinds = {"int": "a number", "float": "a number", "bool": "true or false"}
    return Oddity(kinds[tag]) if tag in kinds else text
