"""Secrets that a row or an option only refers to: ``env:NAME`` or ``file:PATH``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import attrs

from sigmamind_async.values import Secret

LARGEST = 4096
"""Most bytes of a file that holds one secret."""


class SecretReferenceError(ValueError):
    """A secret cannot be had; the message names the reference and never a value."""


@attrs.frozen
class References:
    """Resolves references, each once: ten thousand rows may share one trunk."""

    folder: Path = Path()
    """What a relative PATH is relative to."""
    allow_inline: bool = False
    """Whether a text that is no reference is taken for the secret itself."""
    environment: Mapping[str, str] = attrs.field(factory=lambda: os.environ, repr=False)
    _known: dict[str, Secret] = attrs.field(factory=dict[str, Secret], init=False, repr=False)

    def resolve(self, text: str) -> Secret:
        """Return the secret that *text* refers to, or raise `SecretReferenceError`."""
        kind, colon, name = text.partition(":")
        if not colon or kind not in {"env", "file"}:
            if self.allow_inline:
                return Secret(text)
            raise SecretReferenceError(
                "is a secret and must not stand in the open: write env:NAME or file:PATH"
            )
        if text not in self._known:
            self._known[text] = self._variable(name) if kind == "env" else self._content(name)
        return self._known[text]

    def _variable(self, name: str) -> Secret:
        value = self.environment.get(name)
        if not value:
            raise SecretReferenceError(
                f"env:{name}: set the variable {name}, it is missing or empty"
            )
        return Secret(value)

    def _content(self, name: str) -> Secret:
        try:
            with (self.folder / name).open("rb") as file:
                content = file.read(LARGEST + 1)
            text = content.decode().strip("\r\n")
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "not UTF-8 text"
            raise SecretReferenceError(f"file:{name}: cannot be read: {reason}") from None
        if not text or len(content) > LARGEST:
            raise SecretReferenceError(f"file:{name}: must hold one secret, 1 to {LARGEST} bytes")
        return Secret(text)
