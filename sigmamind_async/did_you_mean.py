"""What a word that nobody knows was meant to be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

_NONE: Final[Mapping[str, str]] = MappingProxyType({})


def suggestion(word: str, known: Iterable[str], meanings: Mapping[str, str] = _NONE) -> str:
    """Return ``; did you mean ...?`` if one of *known* is close to *word*, else what is known.

    *meanings* are words from elsewhere that look like none of *known*, each with its own word here.
    """
    import difflib  # wanted for a mistake only

    names = {plain(name): name for name in sorted(known)}
    meant = meanings.get(plain(word)) if plain(word) not in names else None
    close = [] if meant else difflib.get_close_matches(plain(word), names, n=1)
    if meant or close:
        return f"; did you mean {meant or names[close[0]]!r}?"
    return f"; known are {', '.join(names.values())}"


def plain(name: str) -> str:
    """Return what ``phoneNumber``, ``Phone Number`` and ``phone_number`` have in common."""
    return "".join(letter for letter in name.lower()[:64] if letter.isalnum())
