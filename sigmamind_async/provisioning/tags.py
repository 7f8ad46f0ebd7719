"""Tags in labels: which number a purchase brought, if the platform picked it.

A purchase appends a tag to the user's label, ``Support [sm:7Q2MX4KDJWPTB.1]``: a token of the
operation and the number of the attempt. Each attempt has its own tag, so a number bought late by an
earlier attempt is recognized as such.
"""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Final

LABEL_CHARACTERS: Final = 128
"""Most characters of a label with its tag."""

# A platform may change the case of labels, or put blanks around them: a number whose tag is not
# found may be bought again.
_TAG = re.compile(r" ?\[sm:([A-Z2-7]{13})\.([1-9][0-9]{0,8})\]\s*\Z", re.ASCII | re.IGNORECASE)
_CUT = "\u2026"


def operation_token(journal_id: str, account: str, op_id: str) -> str:
    """Return the token of an operation, 65 bits.

    The journal's id is part of it, so two journals may both have a ``row-1``.
    """
    text = f"{journal_id}\x00{account}\x00{op_id}".encode(errors="surrogatepass")
    return base64.b32encode(hashlib.sha256(text).digest()[:10])[:13].decode()


def add_tag(label: str, token: str, attempt: int) -> str:
    """Return *label* with the tag of one attempt, at most `LABEL_CHARACTERS` long.

    A label that is too long is cut, and ends with an ellipsis. Without one it is the tag alone.
    """
    tag = f"[sm:{token}.{attempt}]"
    if not label:
        return tag
    room = LABEL_CHARACTERS - len(tag) - 1
    if len(label) > room:
        label = label[: room - len(_CUT)].rstrip() + _CUT
    return f"{label} {tag}"


def find_tag(label: str | None) -> tuple[str, int] | None:
    """Return token and attempt of the tag at the end of *label*, if there is one."""
    found = _TAG.search(label or "")
    return (found[1].upper(), int(found[2])) if found else None


def remove_tag(label: str) -> str:
    """Return *label* without the tag at its end."""
    return _TAG.sub("", label)
