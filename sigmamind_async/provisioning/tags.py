"""Tags in labels: how a number that the platform picked is told from all others.

A purchase carries a tag behind the user's label, ``Support [sm:7Q2MX4KD9WPTB.1]``: a token of the
operation and the number of the attempt. Each attempt has a tag of its own, so that a late commit of
an earlier one is seen for what it is.
"""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Final

LABEL_CHARACTERS: Final = 128
"""Most characters of a label that carries a tag."""

_TAG = re.compile(r" ?\[sm:([A-Z2-7]{13})\.([1-9][0-9]{0,8})\]\Z", re.ASCII)
_CUT = "\u2026"


def operation_token(journal_id: str, account: str, op_id: str) -> str:
    """Return the token of an operation: 65 bits, the same for the same three texts.

    The journal's own id is part of it, so that two journals may use the same ``row-1``.
    """
    text = f"{journal_id}\x00{account}\x00{op_id}".encode(errors="surrogatepass")
    return base64.b32encode(hashlib.sha256(text).digest()[:10])[:13].decode()


def attempt_tag(token: str, attempt: int) -> str:
    """Return the tag of one attempt."""
    return f"[sm:{token}.{attempt}]"


def add_tag(label: str | None, tag: str) -> str:
    """Return *label* with *tag* behind it, at most `LABEL_CHARACTERS` long.

    The label is kept whole where it fits; where not, it is cut and an ellipsis shows it.
    """
    if not label:
        return tag
    room = LABEL_CHARACTERS - len(tag) - 1
    if len(label) > room:
        label = label[: room - len(_CUT)].rstrip() + _CUT
    return f"{label} {tag}"


def find_tag(label: str | None) -> tuple[str, int] | None:
    """Return token and attempt of the tag at the end of *label*, if it carries one."""
    found = _TAG.search(label or "")
    return (found[1], int(found[2])) if found else None


def remove_tag(label: str) -> str:
    """Return *label* without the tag at its end."""
    return _TAG.sub("", label)
