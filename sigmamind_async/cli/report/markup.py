"""HTML from nested calls: what is opened is closed, text is escaped unless it is markup. Pure."""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import Final

from sigmamind_async.cli.errors import LONGEST_SHOWN, sanitize

_VOID: Final = {"meta"}


class Markup(str):
    """Text that is markup already: it is not escaped again."""

    __slots__ = ()


def escaped(text: str) -> Markup:
    """Return *text* as markup, its control and direction characters replaced."""
    if isinstance(text, Markup):
        return text
    # In pieces, because `clean` cuts what is longer; how much is shown is not decided here.
    pieces = range(0, len(text), LONGEST_SHOWN)
    return Markup(html.escape("".join(sanitize(text[at : at + LONGEST_SHOWN]) for at in pieces)))


def joined(parts: Iterable[str]) -> Markup:
    """Return *parts* as markup, one after the other."""
    return Markup("".join(map(escaped, parts)))


def element(name: str, /, *children: str, **attributes: str | float) -> Markup:
    """Return an element; an attribute is written with ``_`` for ``-``, ``class_`` for ``class``."""
    said = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escaped(_attribute(value))}"'
        for key, value in attributes.items()
    )
    if name in _VOID:
        return Markup(f"<{name}{said}>")
    return Markup(f"<{name}{said}>{joined(children)}</{name}>")


def _attribute(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.6g}"
