"""The rows that a YAML text says, each name with its place, before anything is made of them."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from sigmamind_async.errors import suggest
from sigmamind_async.fleet.files.fields import KNOWN, CellError, Oddity
from sigmamind_async.fleet.files.yaml_tokens import Token, YamlError

ROWS, DEFAULTS = "numbers", "defaults"


@attrs.frozen
class Said:
    """What one mapping says."""

    line: int
    cells: dict[str, object] = attrs.field(hash=False, factory=dict[str, object])
    places: dict[str, tuple[int, int]] = attrs.field(hash=False, factory=dict[str, tuple[int, int]])


@attrs.frozen
class Sheet:
    """What a text says; what was read before a `YamlError` stays."""

    rows: list[Said] = attrs.field(hash=False, factory=list[Said])
    defaults: list[Said] = attrs.field(hash=False, factory=list[Said])
    """None or one."""
    errors: list[YamlError] = attrs.field(hash=False, factory=list[YamlError])


def sheet_of(tokens: Iterator[Token]) -> Sheet:
    """Return all rows of the text, and what is wrong with it as a whole."""
    sheet = Sheet()
    try:
        _read_tokens(tokens, sheet)
    except YamlError as error:
        sheet.errors.append(error)
    return sheet


def _read_tokens(tokens: Iterator[Token], sheet: Sheet) -> None:
    if next(tokens, None) is None:
        raise YamlError(f"is empty; it is a list of rows, or a mapping with {ROWS!r}")
    first = next(tokens)
    if first.kind == "list":
        _read_rows(first, tokens, sheet)
    elif first.kind == "mapping":
        _read_parts(first, tokens, sheet)
    else:
        raise _error(first, f"is neither a list of rows nor a mapping with {ROWS!r}")
    another = next(tokens, None)
    if another is not None:
        raise _error(another, "holds a second document; a file holds one")


def _read_parts(first: Token, tokens: Iterator[Token], sheet: Sheet) -> None:
    _note(first, sheet)
    names: set[object] = set()
    for key, value in _pairs(tokens):
        name = key.value
        part = (name, value.kind) if name not in names else None
        if part == (ROWS, "list"):
            _read_rows(value, tokens, sheet)
        elif part == (DEFAULTS, "mapping"):
            sheet.defaults.append(_mapping(value, tokens))
        else:
            why = f"{name!r} is there twice" if name in names else _wrong_part(name)
            sheet.errors.append(_error(key, why))
            _skip(value, tokens)
        names.add(name)
    if ROWS not in names:
        sheet.errors.append(_error(first, f"there is no {ROWS!r}, the list of rows"))


def _wrong_part(name: object) -> str:
    wanted = {ROWS: "a list of rows", DEFAULTS: "a mapping, merged under each row"}
    if isinstance(name, str) and name in wanted:
        return f"{name!r} must be {wanted[name]}"
    word = name if isinstance(name, str) else ""
    return f"unknown key {word[:64]!r}{suggest(word, wanted)}"


def _read_rows(first: Token, tokens: Iterator[Token], sheet: Sheet) -> None:
    _note(first, sheet)
    for token in tokens:
        if token.kind == "end":
            return
        if token.kind == "mapping":
            sheet.rows.append(_mapping(token, tokens))
        else:
            sheet.errors.append(_error(token, "is not a row, which is a mapping of names"))
            _skip(token, tokens)


def _mapping(first: Token, tokens: Iterator[Token]) -> Said:
    said = Said(first.line)
    if isinstance(first.value, CellError):
        _say(said, "", first, first.value)
    for key, value in _pairs(tokens):
        if isinstance(key.value, str) and key.kind == "value":
            twice = key.value in said.cells
            cell = CellError("is said twice") if twice else _token_cell(value)
            _say(said, key.value, value if key.value in KNOWN and not twice else key, cell)
        else:
            _say(said, "", key, CellError("has a name that is not text"))
        _skip(value, tokens)
    return said


def _say(said: Said, name: str, at: Token, cell: object) -> None:
    said.cells[name] = cell
    said.places[name] = (at.line, at.column)


def _token_cell(token: Token) -> object:
    kinds = {"list": Oddity("a list"), "mapping": Oddity("a mapping")}
    return token.value if token.value is not None else kinds.get(token.kind)


def _pairs(tokens: Iterator[Token]) -> Iterator[tuple[Token, Token]]:
    """Yield each key with the start of its value, up to the end of the mapping.

    Whoever takes a pair reads the value to its end, or skips it.
    """
    for key in tokens:
        if key.kind == "end":
            return
        _skip(key, tokens)
        yield key, next(tokens)


def _skip(token: Token, tokens: Iterator[Token]) -> None:
    """Read on to the end of what *token* begins, however deep that goes."""
    depth = int(token.kind in {"list", "mapping"})
    while depth:
        kind = next(tokens).kind
        depth += (kind in {"list", "mapping"}) - (kind == "end")


def _note(token: Token, sheet: Sheet) -> None:
    if isinstance(token.value, CellError):
        sheet.errors.append(_error(token, token.value.message))


def _error(token: Token, message: str) -> YamlError:
    return YamlError(message, token.line, token.column)
