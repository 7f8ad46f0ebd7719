"""Rows of named cells with their places, and the damage that a text can show. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cached_property
from importlib import import_module
from typing import Any, Final, TypeAlias

import attrs

from sigmamind_async.errors import ConfigurationError, normalize_word, suggest

Place: TypeAlias = tuple[int, int]
"""Line and column, from 1; column 0 where it is not known."""


LONGEST_LINE: Final = 1 << 16
"""Most bytes of one row of CSV or JSON Lines."""

Line: TypeAlias = "tuple[int, str | FileError]"
"""Number from 1, and text without its end, or why there is none."""
Words: TypeAlias = Mapping[str, "str | int | None"]
"""What is written of a row, by column."""


@attrs.frozen
class CellError:
    """What is wrong with one cell; it never repeats the text of the cell."""

    message: str


class FileError(ValueError):
    """A row that cannot be parsed, or a file that cannot be read any further."""

    def __init__(self, message: str, line: int = 0, column: int = 0) -> None:
        super().__init__(message, line, column)
        self.message: str = message
        self.line: int = line
        self.column: int = column


@attrs.frozen(kw_only=True)
class Header:
    """The first row of a table."""

    line: int
    names: Sequence[str]
    """In order: the vocabulary's, or the file's own word where the vocabulary has none."""
    errors: Sequence[FileError] = ()


@attrs.frozen(kw_only=True)
class FileRow:
    """One row. A cell is a text, a whole number, `None`, a `CellError`, or what no row can hold."""

    line: int
    cells: Mapping[str, object]
    """By the vocabulary's name, or by the file's own where the vocabulary has none. A `CellError`
    under the empty name is about the row as a whole."""
    place: Callable[[str], Place]
    """Where the cell of a name is."""
    shared: Collection[str] = ()
    """Names of cells that other rows have from the same place."""


@attrs.frozen(kw_only=True, slots=False)
class Vocabulary:
    """The names that columns and keys have, in the order of columns."""

    names: Sequence[str]
    synonyms: Mapping[str, str]
    """The name that another word stands for, by `normalize_word` of that."""
    hints: Mapping[str, str]
    """What other words probably mean, likewise: for messages only."""
    key: str
    """The column that tells rows apart."""
    leading: Sequence[str]
    """Columns that a table written by `write_rows` begins with."""
    verbatim: Collection[str]
    """Columns in which blanks around a text belong to it."""

    @cached_property
    def _found(self) -> Mapping[str, str]:
        return {**self.synonyms, **{normalize_word(name): name for name in self.names}}

    def find(self, word: str) -> str | None:
        """Return the name that *word* stands for: ``Phone Number`` is ``phone_number``."""
        if word in self.names:
            return word
        return self._found.get(normalize_word(word)) if _WORD.fullmatch(word) else None

    def unknown(self, kind: str, word: str) -> str:
        """Return the message about a *kind* of *word* that stands for nothing."""
        return f"unknown {kind} {word[:64]!r}{suggest(word, self.names, self.hints)}"

    def name_cells(self, pairs: Iterable[tuple[str, object]]) -> dict[str, object]:
        """Return the cells of one row by name; a name that is set twice is an error."""
        cells: dict[str, object] = {}
        words: dict[str, str] = {}
        for word, value in pairs:
            name = self.find(word) or word
            first = words.setdefault(name, word)
            how = "" if first == word else f", as {first!r} and as {word!r}"
            twice = CellError(f"is set twice{how}; keep one")
            cells[name] = twice if name in cells else value
        return cells


_WORD: Final = re.compile(r"\s*[^\W\d_][\w\s.-]{0,63}")


def optional_library(module: str, why: str) -> Any:  # noqa: ANN401 - the module
    """Return *module*; raise `ConfigurationError` with *why* if it is not installed."""
    try:
        return import_module(module)
    except ImportError:
        raise ConfigurationError(why) from None


# ---------------------------------------------------------------- what other programs leave behind

_SHORTENED: Final = re.compile(r"[+-]?[0-9]{1,15}(?:[.,][0-9]{1,15})?[eE][+-]?[0-9]{1,3}", re.ASCII)
_SHEET_ERROR: Final = re.compile(
    r"#[¡¿]?[^\W\d_][\w/]{1,19}[!?]|#[NI\u041d]/[^\W\d_]{1,4}|#N[A-Z]|#{2,}|Err:[0-9]{3}"
    r"|#GETTING_DATA|#YOK|#SAKNAS!?|#HIÁNYZIK"
)
"""In capitals, in the languages of spreadsheets."""
_PLACEHOLDER: Final = re.compile(
    # What one begins with in a template, a name in braces, other marks around a name,
    r"[$#]\{|\$\(|\$\[\w|\{\{|\[\[|\{[%#]|\{\$[A-Za-z_]|\[%\s|<%"
    r"|\{\s*(?:[A-Za-z_][\w.\[\]]*|\d*)\s*(?:![rsa])?(?::[^{}\s]*)?\}"
    r"|%(?:\([A-Za-z_]\w*\)|<\w+>)s|%[A-Z][A-Z0-9_]+%|«[^«»]+»"
    # and what is one only if it is all of the text.
    r"|\A(?:\$[A-Za-z_][\w:]*|<{1,2}[^<>]+>{1,2}|(__|@@?|\$\$?|##?|%)[A-Za-z]\w*\1|%[sd])\Z"
)
_PLACEHOLDER_TEXT: Final = re.compile(r"[$#{<%[«]+[^})>%\]»]*[})>%\]»]+s?")
_ENCODED: Final = re.compile(
    r"&(?:#\w{1,8}|amp|[lg]t|quot|apos|nbsp|szlig|[A-Za-z](?:uml|acute|grave|circ|tilde|ring|cedil));"
    "|[ÂÃ][\u00a1-\u00bf\u0152\u0153\u0160\u0161\u0178\u017d\u017e\u0192\u02c6]|â€|ï»¿|ï¿½"
)
"""Entities of HTML, and what remains of UTF-8 that was read as another encoding."""
_UNSEEN: Final = frozenset({"Cc", "Cf", "Zl", "Zp"})
_BLANK_LETTERS: Final = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u2800\u3164\uffa0"
)
"""They print as nothing, and Unicode calls them letters or marks."""


_COMMENT_MARK: Final = re.compile(r"\s*(#|//|/\*|;|--|<!--)")


def comment_problem(text: str) -> str:
    """Return why a row that begins with *text* is refused, if that is the mark of a comment."""
    mark = _COMMENT_MARK.match(text)
    how = "and rows cannot be commented out; delete the row instead"
    return f"starts with {mark[1]!r}, {how}" if mark else ""


def text_problem(text: str) -> str:
    """Return what damage *text* shows; empty where it shows none."""
    is_ascii = text.isascii()
    if not is_ascii and any("\ud800" <= letter <= "\udfff" for letter in text):
        return "contains half of a character; write the character itself"
    if "\ufffd" in text:
        return "contains U+FFFD, in place of a character that was lost; write the character itself"
    if unseen := _find_unseen(text):
        return unseen
    bare = text.strip()
    if (not is_ascii or "&" in bare) and (found := _ENCODED.search(bare)):
        return f"{found[0]!r} stands for another character; write the character itself"
    bare = bare if is_ascii else unicodedata.normalize("NFKC", bare)
    if _SHORTENED.fullmatch(bare):
        return (
            f"{bare!r} is a number in short form, as spreadsheets write it; its digits may be lost:"
            " write all of it as text"
        )
    if _SHEET_ERROR.fullmatch(bare) and (bare == bare.upper() or bare.startswith("Err:")):
        return f"{bare!r} is an error of a spreadsheet; fix its formula, or write the value itself"
    if found := _PLACEHOLDER.search(bare):
        whole = _PLACEHOLDER_TEXT.match(bare, found.start(), found.start() + 40)
        shown = whole[0] if whole else found[0]
        return f"{shown!r} is a placeholder that was not filled in; write the value itself"
    return ""


def _find_unseen(text: str) -> str:
    if text.isprintable() and _BLANK_LETTERS.isdisjoint(text):
        return ""
    for at, letter in enumerate(text, 1):
        if letter in _BLANK_LETTERS or unicodedata.category(letter) in _UNSEEN:
            kind = "a line end" if letter in "\r\n" else "an invisible character"
            return f"contains {kind}, U+{ord(letter):04X}, as character {at}; delete it"
    return ""
