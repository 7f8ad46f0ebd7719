"""How a database is named on a command line, and hidden where that is repeated. Pure."""

from __future__ import annotations

import re
from typing import Final

VARIABLE: Final = "SIGMAMIND_POSTGRES"
DEFAULT: Final = f"env:{VARIABLE}"
"""What the option alone stands for."""
OPTION: Final = "--postgres"

_PASSWORDS: Final = re.compile(r"(?<=://)\S+(?=@)|(?<=password=)\S+")


def spelled_out(words: list[str]) -> list[str]:
    """Return a command line with the value that ``--postgres`` alone stands for."""
    following = [*words, "--"][1:]
    return [
        f"{OPTION}={DEFAULT}" if word == OPTION and after.startswith("-") else word
        for word, after in zip(words, following, strict=True)
    ]


def without_passwords(text: str) -> str:
    """Return *text*, which may repeat what was typed, without the password of a DSN."""
    return _PASSWORDS.sub("***", text)
