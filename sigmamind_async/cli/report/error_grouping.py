"""What many messages have in common, so that rows that failed alike stand together. Pure."""

from __future__ import annotations

import re
from typing import Final

DETAIL: Final = "\N{HORIZONTAL ELLIPSIS}"
"""Stands where messages of one cause differ."""

SHORTEST_ID: Final = 4
"""Fewest characters of an id that is looked for: a shorter one may be an ordinary word."""

_STATUS = r"(?P<status>(?:\A|(?<=answered )|(?<=HTTP )|(?<=status ))[1-5]\d\d(?!\w))"
_QUOTED = r"""(?P<quoted>(?<!\w)'[^']*'(?!\w)|"[^"]*"|`[^`]*`|“[^”]*”)"""
_WORD = r"(?P<word>[\w+@./:#-]+)"
_PARTS = re.compile(f"{_STATUS}|{_QUOTED}|{_WORD}")


def cause_of(message: str, row: str = "") -> str:
    """Return *message* without its details: the id *row*, what is quoted, and words with digits.

    An HTTP status is no detail: 409 and 503 are two causes.
    """
    if len(row) >= SHORTEST_ID:
        message = message.replace(row, DETAIL)
    return _PARTS.sub(_without_detail, message)


def _without_detail(found: re.Match[str]) -> str:
    text = found[0]
    if found["status"]:
        return text
    if found["quoted"]:
        return DETAIL
    bare = text.rstrip(".:/-")
    differs = any(character.isdigit() or character == "_" for character in bare)
    return DETAIL + text[len(bare) :] if differs else text
