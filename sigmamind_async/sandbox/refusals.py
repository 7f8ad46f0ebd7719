"""Why a request is answered with an error, before a vendor has found the words for it."""

from __future__ import annotations

from typing import Literal

import attrs

ProblemKind = Literal[
    "media_type",
    "malformed",
    "not_object",
    "unknown",
    "missing",
    "string",
    "integer",
    "boolean",
    "object",
    "pattern",
    "short",
    "long",
    "choice",
    "range",
]
"""What is wrong: with the body as a whole, with a name, with a type, with a value."""


@attrs.frozen(kw_only=True)
class Problem:
    """One thing wrong with a request."""

    kind: ProblemKind
    name: str = ""
    """The field or query parameter; empty for the body as a whole."""
    said: str
    """What follows the name in a sentence; for the body as a whole, the sentence. It never repeats
    the value, which may be a secret."""
    value: object = attrs.field(default=None, repr=False)
    """What was given there, or what lacks the field: some frameworks repeat it."""
    place: Literal["body", "query"] = "body"

    @property
    def sentence(self) -> str:
        """The whole of it."""
        return f"{self.name} {self.said}" if self.name else self.said


@attrs.frozen
class Refusal:
    """An error before it is worded."""

    status: int
    message: str
    problems: tuple[Problem, ...] = ()
    """Set when it is the form of the request that is refused."""


class RefusedError(Exception):
    """The request is answered with an error; says which."""

    def __init__(self, status: int, message: str = "", *problems: Problem) -> None:
        """Take the status and the sentence; without one, that of the first problem is used."""
        self.refusal: Refusal = Refusal(status, message or problems[0].sentence, problems)
        super().__init__(self.refusal.message)
