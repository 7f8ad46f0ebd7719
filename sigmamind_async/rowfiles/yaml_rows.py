"""Rows of YAML: a list of them, or a mapping that holds the list and what they have in common.

    defaults:
      platform: sigmamind
      source: import
    numbers:
      - id: support-1
        phone_number: "+14155550100"

A row's own cell wins over a default, ``null`` included. Anchors, aliases and tags are refused: rows
need none, and each can make a short text into something large, or into something else than it
looks like.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from types import ModuleType
from typing import IO, Any, Final

import attrs
import orjson

from sigmamind_async.errors import suggest
from sigmamind_async.rowfiles.cells import (
    CellError,
    FileError,
    FileRow,
    Place,
    Vocabulary,
    Words,
    optional_library,
)

ROWS: Final = "numbers"
DEFAULTS: Final = "defaults"

_DEEPEST: Final = 8
"""Most lists and mappings inside one another; a row is two or three deep. Far more of them take a
parser very long."""

_TOO_DEEP: Final = "is nested too deeply"
_DEEP: Final = re.compile(rf"(?:[\[{{][^\[\]{{}}\n]*){{{_DEEPEST}}}[\[{{]")
_UNPRINTABLE: Final = re.compile(
    "[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
_WHOLE_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,99})", re.ASCII)
_JSON_NUMBER: Final = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?", re.ASCII)
_HALF_ESCAPE: Final = re.compile(r"\\u[dD][89a-fA-F]")


@attrs.define
class Node:
    """A piece of the text. Nothing is built from it before its kind is known."""

    kind: str
    """``list``, ``mapping`` or ``value``."""
    place: Place
    value: object = None
    """Of a value: what a cell holds. Of others: a `CellError`, or `None`."""
    children: list[Node] = attrs.field(factory=list["Node"])
    """Items; keys and values by turns in a mapping."""
    is_whole: bool = False

    @property
    def pairs(self) -> list[tuple[Node, Node]]:
        """Keys and values of a mapping."""
        return list(zip(self.children[::2], self.children[1::2], strict=False))


def read_yaml(text: str, vocabulary: Vocabulary) -> Iterator[FileRow | FileError]:
    """Yield the rows; those before an error are read."""
    documents: list[Node] = []
    unread = _compose(f"{text}\n", documents)
    try:
        rows, defaults = _find_parts(documents)
    except FileError as error:
        raise unread or error from None
    shared = _mapping_row(defaults, vocabulary)
    if vocabulary.key in shared.cells:
        error_ = CellError("cannot be the same for each row; leave it out")
        shared = attrs.evolve(shared, cells={**shared.cells, vocabulary.key: error_})
    for node in rows.children:
        if node.kind != "mapping":
            yield FileError("is not a row, which is a mapping of names", *node.place)
        elif node.is_whole:
            yield _with_defaults(_mapping_row(node, vocabulary), shared)
    if unread:
        raise unread


def _find_parts(documents: Sequence[Node]) -> tuple[Node, Node]:
    """Return the list of rows and the defaults."""
    if len(documents) > 1:
        raise FileError("a second document begins; keep one", *documents[1].place)
    top = documents[0] if documents else _NOTHING
    parts = {ROWS: top} if top.kind == "list" else {}
    for key, node in top.pairs if top.kind == "mapping" else ():
        name = key.value if isinstance(key.value, str) else ""
        if name not in _PARTS:
            raise FileError(f"unknown key {name[:64]!r}{suggest(name, _PARTS)}", *key.place)
        if name in parts or node.kind != _PARTS[name]:
            what = "appears twice; keep one" if name in parts else f"must be a {_PARTS[name]}"
            raise FileError(f"{name!r} {what}", *key.place)
        parts[name] = node
    if ROWS not in parts:
        what = f"is neither a list of rows nor a mapping with {ROWS!r}, the list of rows"
        raise FileError(what, *top.place)
    for node in (top, parts[ROWS]):
        if isinstance(node.value, CellError):
            raise FileError(node.value.message, *node.place)
    return parts[ROWS], parts.get(DEFAULTS, _NOTHING)


_PARTS: Final = {ROWS: "list", DEFAULTS: "mapping"}
_NOTHING: Final = Node("list", (0, 0))


def _with_defaults(row: FileRow, defaults: FileRow) -> FileRow:
    shared = defaults.cells.keys() - row.cells.keys()

    def place(name: str) -> Place:
        return (defaults if name in shared else row).place(name)

    return attrs.evolve(row, cells={**defaults.cells, **row.cells}, place=place, shared=shared)


def _mapping_row(node: Node, vocabulary: Vocabulary) -> FileRow:
    pairs: list[tuple[str, object]] = []
    places: dict[str, Place] = {}
    if isinstance(node.value, CellError):
        pairs.append(("", node.value))
        places[""] = node.place
    for key, value in node.pairs:
        word = key.value if isinstance(key.value, str) else ""
        name = vocabulary.find(word) or word
        at = value if name in vocabulary.names and name not in places else key
        places[name] = at.place
        pairs.append((word, value.value if word else CellError("has a name that is not text")))
    line = node.place[0]
    return FileRow(
        line=line,
        cells=vocabulary.name_cells(pairs),
        place=lambda name: places.get(name, (line, 0)),
    )


# ---------------------------------------------------------------- from the text to nodes


def _compose(text: str, documents: list[Node]) -> FileError | None:
    """Add what *text* holds to *documents*, up to the error that is returned."""
    yaml = optional_library("yaml", 'reading YAML needs PyYAML: pip install "sigmamind-async[cli]"')
    resolve = yaml.resolver.Resolver().resolve
    stack: list[Node] = []
    try:
        _require_printable(text)
        for event in yaml.parse(text, Loader=_loader(yaml, text)):
            kind = _KINDS.get(type(event).__name__)
            if kind == "end":
                stack.pop().is_whole = True
            elif kind:
                place = event.start_mark.line + 1, event.start_mark.column + 1
                node = Node(kind, place, _value(event, kind, yaml, resolve))
                (stack[-1].children if stack else documents).append(node)
                if kind != "value":
                    stack.append(node)
                if len(stack) > _DEEPEST:
                    return FileError(_TOO_DEEP, *place)
    except FileError as error:
        return error
    except yaml.YAMLError as error:
        return _translate(error, text)
    except (ValueError, OverflowError):
        return FileError("is not YAML: an escape names no character")
    return None


_KINDS: Final = {
    "SequenceStartEvent": "list",
    "MappingStartEvent": "mapping",
    "ScalarEvent": "value",
    "AliasEvent": "value",
    "SequenceEndEvent": "end",
    "MappingEndEvent": "end",
}


def _loader(yaml: ModuleType, text: str) -> Any:  # noqa: ANN401 - a class of PyYAML
    # The fast loader refuses the two escapes of a surrogate pair, which JSON writes.
    fast = yaml.SafeLoader if _HALF_ESCAPE.search(text) else getattr(yaml, "CSafeLoader", None)
    return fast or yaml.SafeLoader


def _require_printable(text: str) -> None:
    if found := _UNPRINTABLE.search(text):
        line = text.count("\n", 0, found.start()) + 1
        column = found.start() - text.rfind("\n", 0, found.start())
        raise FileError(f"is not YAML: the character {found[0]!a}", line, column)


def _translate(error: Any, text: str) -> FileError:  # noqa: ANN401 - PyYAML's, which has no common type
    mark = getattr(error, "problem_mark", None)
    problem = " ".join(str(getattr(error, "problem", None) or "unreadable").split())
    place = (mark.line + 1, mark.column + 1) if mark else (0, 0)
    # Some parsers have a limit of their own, and meet it first: they read a line ahead.
    start = text.rfind("\n", 0, mark.index) + 1 if mark else 0
    if mark and (deep := _DEEP.search(text, start, mark.index)):
        return FileError(_TOO_DEEP, place[0], deep.end() - start)
    return FileError(f"is not YAML: {problem}", *place)


def _value(event: Any, kind: str, yaml: ModuleType, resolve: Any) -> object:  # noqa: ANN401 - see above
    if type(event).__name__ == "AliasEvent":
        return CellError("is an alias; write the value itself")
    if getattr(event, "anchor", None):
        return CellError("has an anchor; leave it out, aliases are not read")
    if getattr(event, "tag", None):
        return CellError("has a tag; leave it out and write plain text")
    if kind != "value":
        return list[object]() if kind == "list" else dict[object, object]()
    if not event.implicit[0]:
        return _join_surrogates(event.value)
    tag = resolve(yaml.ScalarNode, event.value, (True, False))
    return _plain_scalar(event.value, tag.rpartition(":")[2])


def _join_surrogates(text: str) -> str:
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


def _plain_scalar(text: str, tag: str) -> object:
    """Return what a *text* without quotes is; a date or the like is the text that it looks like."""
    if not text:
        # A line that was left blank would clear the field without a word.
        return CellError("is empty; write null to clear it, or leave it out")
    if tag == "null":
        return None
    if tag == "int" and _WHOLE_NUMBER.fullmatch(text):
        return int(text)
    if tag in {"int", "float"} or _JSON_NUMBER.fullmatch(text):
        return 0.5
    return True if tag == "bool" else text


# ---------------------------------------------------------------- writing


def write_yaml(rows: Iterable[Words], stream: IO[bytes], columns: Sequence[str]) -> None:
    """Write *rows* as a list."""
    del columns
    empty = "[]\n"  # a file without rows must be a list as well
    for words in rows:
        lines = [f"  {name}: {_scalar(value)}\n" for name, value in words.items()]
        stream.write("".join(["- ", lines[0][2:], *lines[1:]]).encode())
        empty = ""
    stream.write(empty.encode())


def _scalar(value: str | int | None) -> str:
    """Return *value* for YAML: each text in quotes, because ``no`` and ``12`` are none without."""
    text = orjson.dumps(value).decode()
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
