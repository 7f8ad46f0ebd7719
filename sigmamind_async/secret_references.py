"""Secrets that a row or an option only refers to: ``env:NAME`` or ``file:PATH``."""

from __future__ import annotations

import asyncio
import os
import stat
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final, TypeVar

import attrs

from sigmamind_async.convert.validators import is_mask
from sigmamind_async.errors import APITimeoutError, ConfigurationError
from sigmamind_async.values import Secret, check_flag

T = TypeVar("T")

MAX_BYTES = 4096
"""Most bytes of a file that holds one secret."""
_BOM = "\ufeff"


class SecretReferenceError(ValueError):
    """A secret cannot be read; the message names the reference and never a value."""


_FLAGS: Final = os.O_RDONLY | sum(
    getattr(os, name, 0)  # not every system has each of them
    for name in ("O_NONBLOCK", "O_NOCTTY", "O_CLOEXEC", "O_BINARY")
)


def _as_texts(several: str | Path | Iterable[str | Path] | None) -> tuple[str, ...] | None:
    if several is None:
        return None
    if not isinstance(several, Iterable):
        raise ConfigurationError("names, folders: must be texts, such as ['TRUNK_PASSWORD']")
    return tuple(map(str, [several] if isinstance(several, str | Path) else several))


@attrs.frozen
class SecretResolver:
    """Resolves references, each once: ten thousand rows may share one trunk.

    Callers that enqueue for a worker choose what it reads, so a worker lists what they may name:

        SecretResolver(names=["TRUNK_PASSWORD", "TWILIO_*"], folders=["/run/secrets/trunks"])

    With one of the two given, what neither of them lists is refused.
    """

    folder: Path = Path()
    """What a relative PATH is relative to."""
    allow_inline: bool = attrs.field(
        default=False, validator=lambda _, field, value: check_flag(field.name, value)
    )
    """True if a text that is no reference is taken for the secret itself."""
    environment: Mapping[str, str] = attrs.field(factory=lambda: os.environ, repr=False)
    """Where variables are read; by default the process's own environment."""
    names: tuple[str, ...] | None = attrs.field(default=None, converter=_as_texts, kw_only=True)
    """The variables that may be read; ``*`` stands for any letters."""
    folders: tuple[str, ...] | None = attrs.field(default=None, converter=_as_texts, kw_only=True)
    """The folders whose files, at any depth, may be read."""
    _known: dict[str, Secret] = attrs.field(factory=dict[str, Secret], init=False, repr=False)

    def resolve(self, text: str) -> Secret:
        """Return the secret that *text* refers to, or raise `SecretReferenceError`."""
        kind, colon, name = text.partition(":")
        if not colon or kind not in {"env", "file"}:
            if self.allow_inline:
                return Secret(text)
            raise SecretReferenceError(
                "is a secret and must not be in plain text; write env:NAME or file:PATH"
            )
        if text not in self._known:
            read = self._read_variable if kind == "env" else self._read_file
            self._known[text] = _one_secret(text, read(name))
        return self._known[text]

    async def fetch(self, text: str, seconds: float) -> Secret:
        """Do as `resolve` does for *text*, and read a file in another thread.

        Raises `APITimeoutError` after *seconds*: a file on another machine may never arrive.
        """
        if text in self._known or not text.startswith("file:"):
            return self.resolve(text)
        return await in_thread(lambda: self.resolve(text), seconds)

    @property
    def _is_limited(self) -> bool:
        return self.names is not None or self.folders is not None

    def _read_variable(self, name: str) -> str:
        if self._is_limited and not any(fnmatchcase(name, each) for each in self.names or ()):
            raise _not_allowed(f"env:{name}", "variable")
        value = self.environment.get(name)
        if not value:
            raise SecretReferenceError(
                f"env:{name}: set the variable {name}; it is missing or empty"
            )
        return value

    def _read_file(self, name: str) -> str:
        try:
            # Links are followed first, so that none leads out of the folders.
            path = (self.folder / name).resolve(strict=not self._is_limited)
            if self._is_limited and not self._may_read(path):
                raise _not_allowed(f"file:{name}", "folder")
            return _read_bytes(path).decode()
        except SecretReferenceError:
            raise
        except OSError as error:
            reason = error.strerror or "it cannot be reached"
        except RuntimeError:  # of Python before 3.13, which has an OSError for it
            reason = "its symbolic links lead to each other"
        except ValueError:
            # Not the error itself: it holds what was read.
            reason = "not UTF-8 text"
        raise SecretReferenceError(f"file:{name}: cannot be read: {reason}")

    def _may_read(self, path: Path) -> bool:
        return any(path.is_relative_to(Path(each).resolve()) for each in self.folders or ())


def _not_allowed(reference: str, kind: str) -> SecretReferenceError:
    return SecretReferenceError(
        f"{reference}: this {kind} is not among those that may be read here; add it to `names` or"
        " `folders` of SecretResolver, or to --allow-secret of a worker"
    )


def _read_bytes(path: Path) -> bytes:
    """Return the bytes of a regular file of moderate size; anything else is an `OSError`.

    A pipe would wait for a writer, and a terminal for input.
    """
    handle = os.open(path, _FLAGS)
    with open(handle, "rb") as file:  # noqa: PTH123 - a handle, not a path
        mode = os.fstat(handle).st_mode
        if stat.S_ISDIR(mode):
            raise OSError(0, "Is a directory")
        if not stat.S_ISREG(mode):
            raise OSError(0, "it is not a regular file")
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise OSError(0, f"it must hold one secret, of at most {MAX_BYTES} bytes")
    return content


def _one_secret(reference: str, text: str) -> Secret:
    """Return the one secret in *text*, without byte order mark and line end."""
    text = text.removeprefix(_BOM).removesuffix("\n").removesuffix("\r")
    if not text:
        problem = f"must hold one secret, 1 to {MAX_BYTES} bytes"
    elif text.splitlines() != [text] or "\0" in text:
        problem = "must hold one secret, on one line"
    elif is_mask(text):
        problem = "holds a mask; put the secret itself there"
    else:
        return Secret(text)
    del text
    raise SecretReferenceError(f"{reference}: {problem}")


async def in_thread(work: Callable[[], T], seconds: float) -> T:
    """Return what *work* returns, called in a thread that keeps neither loop nor process alive.

    Raises `APITimeoutError` after *seconds*, and what *work* raises.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def give(settle: Callable[..., None], what: object) -> None:
        if not done.done():
            settle(what)

    def run() -> None:
        settle: Callable[..., None] = done.set_result
        try:
            what: object = work()
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            settle, what = done.set_exception, error
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(give, settle, what)

    threading.Thread(target=run, name="secrets", daemon=True).start()
    timeout = asyncio.timeout(seconds)
    try:
        async with timeout:
            return await done
    except TimeoutError:
        if not timeout.expired():
            raise
    raise APITimeoutError(f"a secret could not be read within {seconds:.1f} s")
