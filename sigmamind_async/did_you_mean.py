"""The end of a message about an unknown word: what it was probably meant to be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

_NONE: Final[Mapping[str, str]] = MappingProxyType({})


def suggest(word: str, known: Iterable[str], meanings: Mapping[str, str] = _NONE) -> str:
    """Return ``; did you mean ...?`` if one of *known* is close to *word*, else list them all.

    *meanings* gives the known word for unknown ones that look like none of *known*.
    """
    import difflib  # needed only after a mistake

    names = {normalize(name): name for name in sorted(known)}
    spelled = normalize(word)
    meant = None if spelled in names else meanings.get(spelled)
    close = [] if meant else difflib.get_close_matches(spelled, names, n=1)
    if meant or close:
        return f"; did you mean {meant or names[close[0]]!r}?"
    return f"; known are {', '.join(names.values())}"


def normalize(name: str) -> str:
    """Return what ``phoneNumber``, ``Phone Number`` and ``phone_number`` have in common."""
    return "".join(letter for letter in name.lower()[:64] if letter.isalnum())
