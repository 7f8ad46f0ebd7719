"""A file that is there as a whole or not at all, made beside its name and put there at the end."""

from __future__ import annotations

import os
import secrets
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final

from sigmamind_async.cli.errors import CommandError

PRIVATE: Final = 0o600
"""For what only its owner may read."""
SHARED: Final = 0o666
"""As the user's mask has it."""


@contextmanager
def new_file(path: Path, mode: int = SHARED) -> Generator[IO[bytes]]:
    """Open what becomes *path* when the block ends, unless it raises.

    Raises `CommandError`, at once, where it could not.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        # Whoever may write to its folder would replace the device itself by a file.
        raise CommandError(f"{path}: is a device or a pipe; name a file; nothing was sent")
    path = path.resolve() if path.is_symlink() else path
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        if path.is_dir():
            raise CommandError(f"{path}: is a folder; nothing was sent")
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise CommandError(f"{path}: cannot be written: {why}; nothing was sent") from None
    try:
        with os.fdopen(handle, "wb") as stream:
            yield stream
        beside.replace(path)
    finally:
        with suppress(FileNotFoundError):
            beside.unlink()
