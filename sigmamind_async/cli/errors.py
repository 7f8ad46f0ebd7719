"""How a command ends: exit codes, and what is told to a person when it fails. Pure."""

from __future__ import annotations

import enum
import reprlib
from typing import Final

from sigmamind_async.cli.output.events import Summary
from sigmamind_async.errors import (
    APIConnectionError,
    AuthenticationError,
    BadRequestError,
    CircuitOpenError,
    ConfigurationError,
    ConflictError,
    InsufficientFundsError,
    InvalidRequestError,
    JournalError,
    NotFoundError,
    OutcomeUnknownError,
    PermissionDeniedError,
    RateLimitError,
    ServerError,
    SigmaMindError,
    SpendLimitError,
)


class Exit(enum.IntEnum):
    """What the shell is told."""

    DONE = 0
    FAILED = 1
    """Something was not carried out."""
    USAGE = 2
    """The command line, the environment, a file or a journal is wrong; a refused key is too."""
    UNKNOWN = 3
    """Something may have been carried out."""
    CHANGES = 4
    """Of `plan --detailed-exitcode`: something would change."""
    INTERRUPTED = 130


class CommandError(Exception):
    """Ends the command with one line on stderr."""

    def __init__(self, message: str, code: Exit = Exit.USAGE) -> None:
        super().__init__(message)
        self.code = code


LOOK_UP = "look it up before trying again"

_ADVICE: dict[type[SigmaMindError], str] = {
    APIConnectionError: "run it again when the platform can be reached",
    AuthenticationError: (
        "check {prefix}_API_KEY, and that {prefix}_BASE_URL, where it is set, is the platform"
        " that gave out the key"
    ),
    BadRequestError: "mend the row, then run it again",
    CircuitOpenError: "run it again when the platform has recovered",
    ConfigurationError: "",
    ConflictError: "look the number up: it may be yours already",
    InsufficientFundsError: "pay into the account, then run it again",
    InvalidRequestError: "",
    NotFoundError: "the account does not hold this number: check it",
    OutcomeUnknownError: LOOK_UP,
    PermissionDeniedError: "this key may not do that: use one that may",
    RateLimitError: "nothing was done: run it again later",
    ServerError: "the platform has a fault: run it again later",
    SpendLimitError: "raise --max-purchases to buy more",
}


def advice_for(error: BaseException | None) -> str:
    """Return what to do about *error*, in one clause; empty where its message says it."""
    if not isinstance(error, SigmaMindError):
        return ""
    if isinstance(error, OutcomeUnknownError):
        return LOOK_UP
    if isinstance(error, APIConnectionError) and not error.retryable:
        return ""  # its message says what to change
    if error.committed != "no":
        return f"may have been carried out: {LOOK_UP}"
    advice = next((_ADVICE[kind] for kind in type(error).__mro__ if kind in _ADVICE), "")
    return advice.format(prefix=_prefix(error))


def _prefix(error: SigmaMindError) -> str:
    """Return how the platform's variables begin: as the names of its calls do."""
    return (error.operation or "sigmamind").partition(".")[0].upper()


_OPTIONS: Final = {
    "accept_key()": "--accept-key",
    "restored=True": "`sigmamind reconcile FILE --restored`",
}
"""What the library's own messages call by other names."""


def message_of(error: SigmaMindError) -> str:
    """Return the message on one line, in the words of the command line."""
    text = str(error).removeprefix(f"{error.operation}: ")
    text = " ".join(text.splitlines())
    for name, option in _OPTIONS.items():
        text = text.replace(name, option)
    return text


def told(error: SigmaMindError) -> str:
    """Return *error* as one line: what happened, and what to do."""
    what, advice = message_of(error), advice_for(error)
    return f"{what} - {advice}" if advice else what


_MENDED_HERE = (AuthenticationError, ConfigurationError, InvalidRequestError, JournalError)


def exit_for(error: SigmaMindError) -> Exit:
    """Return the exit code of a command that did one thing and met *error*."""
    if isinstance(error, _MENDED_HERE) and error.committed == "no":
        return Exit.USAGE
    return Exit.FAILED if error.committed == "no" else Exit.UNKNOWN


def exit_for_job(summary: Summary) -> Exit:
    """Return the exit code of a job over many rows."""
    if summary.stopped in {"interrupted", "output_closed"}:
        return Exit.INTERRUPTED
    if summary.unconfirmed:
        return Exit.UNKNOWN
    if summary.stopped in {"key_refused", "not_the_api", "journal_unusable"} and not summary.done:
        return Exit.USAGE
    return Exit.FAILED if summary.failed or summary.skipped else Exit.DONE


def unexpected(error: BaseException) -> str:
    """Return one line for a fault of our own; its text may be anything and is cut."""
    return f"unexpected {type(error).__name__}: {reprlib.repr(str(error))} (--debug shows where)"
