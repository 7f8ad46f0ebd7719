"""The three forms of a fleet file, and which of them a name ends in."""

from __future__ import annotations

from pathlib import PurePath
from typing import Final, Literal, TypeAlias

Format: TypeAlias = Literal["csv", "jsonl", "yaml"]

SUFFIXES: Final[dict[str, Format]] = {
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".yaml": "yaml",
    ".yml": "yaml",
}


def format_of(name: str) -> Format | None:
    """Return the form that a file of this *name* has."""
    return SUFFIXES.get(PurePath(name).suffix.lower())
