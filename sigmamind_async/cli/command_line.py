"""The words of a command line: the database in them, and the same command to be run again."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from contextvars import ContextVar
from typing import Final

POSTGRES_OPTION: Final = "--postgres"
POSTGRES_VARIABLE: Final = "SIGMAMIND_POSTGRES"
POSTGRES_DEFAULT: Final = f"env:{POSTGRES_VARIABLE}"
"""What the option alone stands for."""
DEFAULT_PLATFORM: Final = "sigmamind"

_PASSWORDS: Final = re.compile(r"(?<=://)\S+(?=@)|(?<=password=)(?:'[^']*'|\S+)")

_WORDS: Final[ContextVar[tuple[str, ...]]] = ContextVar("_WORDS", default=())


def expand_bare_postgres(words: Sequence[str]) -> list[str]:
    """Return a command line with the value that ``--postgres`` alone stands for."""
    following = [*words, "--"][1:]
    return [
        f"{POSTGRES_OPTION}={POSTGRES_DEFAULT}"
        if word == POSTGRES_OPTION and after.startswith("-")
        else word
        for word, after in zip(words, following, strict=True)
    ]


def without_passwords(text: str) -> str:
    """Return *text*, which may repeat what was typed, without the password of a URL."""
    return _PASSWORDS.sub("***", text)


def remember_command(words: Sequence[str]) -> None:
    """Keep the *words* that this run was started with, for `resume_command`."""
    _WORDS.set(tuple(words))


def resume_command() -> str:
    """Return the command that this run was started with, without passwords."""
    return shlex.join(["sigmamind", *map(without_passwords, _WORDS.get())])


def platform_words(platform: str | None) -> tuple[str, ...]:
    """Return the option that names *platform* in a command; nothing for the default one."""
    return () if platform in {None, DEFAULT_PLATFORM} else ("--platform", str(platform))
