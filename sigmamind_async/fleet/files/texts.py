"""Texts as cells of CSV: safe to open in a spreadsheet, and the same when they are read back.

A spreadsheet takes a cell that begins with ``=``, ``+``, ``-`` or ``@`` for a formula. Such a text
is written with an apostrophe before it and read without. So is what would otherwise be read as
something else: the empty text, the text ``null``, one that begins or ends with a space, and one
that begins with an apostrophe before any of these. An exact E.164 number is no formula that does
anything, and other programs read it: it is written bare.
"""

from __future__ import annotations

import re

_E164 = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII)


def escaped(text: str) -> str:
    """Return *text* as it stands in a cell."""
    return f"'{text}" if _is_special(text) and not _E164.fullmatch(text) else text


def unescaped(cell: str) -> str:
    """Return the text of a *cell* that is neither blank nor ``null``; spaces around it go."""
    trimmed = cell.strip()
    if not trimmed.startswith("'"):
        return trimmed
    marked = [form[1:] for form in (cell, trimmed) if form[0] == "'" and _is_special(form[1:])]
    return marked[0] if marked else trimmed


def _is_special(text: str) -> bool:
    """Return whether an apostrophe before *text* is a mark and no part of it.

    It holds for a text with any number of apostrophes before it when it holds for the text, so
    that taking one away always undoes adding one.
    """
    rest = text.lstrip("'")
    return rest in {"", "null"} or rest[0] in "=+-@" or rest != rest.strip()
