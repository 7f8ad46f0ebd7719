"""How a command ends: exit codes, and the message about an error. Pure."""

from __future__ import annotations

import enum
import re
import reprlib
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from sigmamind_async import errors
from sigmamind_async.errors import SigmaMindError

if TYPE_CHECKING:
    from sigmamind_async.cli.output.events import Summary


class Exit(enum.IntEnum):
    """Exit codes."""

    DONE = 0
    FAILED = 1
    """Something failed, or was left out."""
    USAGE = 2
    """The command line, the environment, a file or a journal is wrong; a refused key is too."""
    UNKNOWN = 3
    """Something is unconfirmed, or needs a decision."""
    CHANGES = 4
    """``plan --detailed-exitcode``: there is something to change."""
    INTERRUPTED = 130


class CommandError(Exception):
    """Ends the command with one line on stderr."""

    def __init__(self, message: str, code: int = Exit.USAGE, *, page: str | None = None) -> None:
        """*page* is the page about it: empty where nothing helps, `None` for that of its words."""
        super().__init__(message)
        self.code = code
        self.page = page


class ArgumentError(CommandError):
    """What was typed is no command, or not what the command takes: its help says what is."""

    def __init__(self, message: str, command: str = "") -> None:
        super().__init__(message)
        self.command = command


LOOK_UP = "look it up before trying again"

_ADVICE: dict[type[SigmaMindError], str] = {
    errors.APIConnectionError: (
        "check {prefix}_BASE_URL if it is set, or run it again when the platform can be reached"
    ),
    errors.AuthenticationError: (
        "check {prefix}_API_KEY, and that {prefix}_BASE_URL, if set, is the platform that issued it"
    ),
    errors.BadRequestError: "fix the request, then run it again",
    errors.CircuitOpenError: "run it again when the platform has recovered",
    errors.ConfigurationError: "",
    errors.ConflictError: "look the number up: it may be yours already",
    errors.InsufficientFundsError: "add funds to the account, then run it again",
    errors.InvalidRequestError: "",
    errors.NotFoundError: "the account does not have it: sigmamind numbers list shows what it has",
    errors.OutcomeUnknownError: LOOK_UP,
    errors.PermissionDeniedError: "this API key has no permission for it: use one that has",
    errors.RateLimitError: "nothing was changed: run it again later",
    errors.ResponseDecodeError: (
        "nothing was changed: run it again; if it persists, check {prefix}_BASE_URL"
    ),
    errors.ServerError: "the platform failed: run it again later",
    errors.SpendLimitError: "raise --max-purchases to buy more",
}


def advice_for(error: BaseException | None) -> str:
    """Return what to do about *error*, in one clause; empty where its message says it."""
    if not isinstance(error, SigmaMindError):
        return ""
    if isinstance(error, errors.OutcomeUnknownError):
        return LOOK_UP
    if isinstance(error, errors.APIConnectionError) and not error.retryable:
        return ""  # its message says what to change
    if error.committed != "no":
        return f"may have been carried out: {LOOK_UP}"
    advice = next((_ADVICE[kind] for kind in type(error).__mro__ if kind in _ADVICE), "")
    operation = error.operation or ""
    if isinstance(error, errors.NotFoundError) and ".list_" in operation:
        advice = "there is no platform at that address: check {prefix}_BASE_URL"
    elif isinstance(error, errors.NotFoundError) and operation.endswith("_agent"):
        is_listed = operation.startswith("sigmamind.")  # no other platform can list its agents
        advice = "the account does not have it"
        advice += ": sigmamind agents list shows what it has" if is_listed else ""
    return advice.format(prefix=platform_prefix(error))


def platform_prefix(error: SigmaMindError) -> str:
    """Return how the platform's variables begin: as the names of its calls do."""
    return (error.operation or "sigmamind").partition(".")[0].upper()


_WORDS: Final = (
    (
        r"^api_key: give one, or set (\w+) in the environment$",
        r"there is no API key: set \1; the platform's dashboard shows it",
    ),
    (r"^api_key: the key ", "the API key "),
    (r"^(deadline|attempt_timeout|settle_time|max_purchases|proxy): ", r"--\1: "),
    (r"accept_key\(\)", "--accept-key"),
    (r"open this with restored=True:", "run `sigmamind reconcile FILE --restored`:"),
    (r", or open it with shared=True everywhere", ""),
)
"""What the library's own messages call by names of its Python interface."""


def message_of(error: SigmaMindError) -> str:
    """Return the message on one line, in the words of the command line."""
    text = str(error).removeprefix(f"{error.operation}: ")
    if isinstance(error, errors.ResponseDecodeError) and error.operation and not error.not_from_api:
        text = f"cannot read what {error.operation.partition('.')[0]} answered: {text}"
    text = " ".join(text.splitlines())
    for pattern, words in _WORDS:
        text = re.sub(pattern, words, text)
    return re.sub(r"^--\w+", lambda option: option[0].replace("_", "-"), text)


def sentence_for(error: SigmaMindError) -> str:
    """Return *error* as one line: what happened, and what to do."""
    what, advice = message_of(error), advice_for(error)
    return f"{what} - {advice}" if advice else what


_USAGE_ERRORS = (
    errors.AuthenticationError,
    errors.ConfigurationError,
    errors.InvalidRequestError,
    errors.JournalError,
)


def exit_for(error: SigmaMindError) -> Exit:
    """Return the exit code of a command that did one thing and met *error*."""
    if isinstance(error, _USAGE_ERRORS) and error.committed == "no":
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
    # An operator abandoned those rows: they must not fail every later run.
    left_out = summary.skipped - summary.abandoned
    return Exit.FAILED if summary.failed or left_out else Exit.DONE


# ---------------------------------------------------------------- pages of the guide

PAGES: Final[Mapping[type[BaseException], str]] = {
    errors.JournalError: "journal",
    KeyboardInterrupt: str(Exit.INTERRUPTED.value),
    errors.PlanError: "plans",
    errors.SpendLimitError: "plans",
}
"""Where an error has a better page than the section of its class."""
PAGES_OF_WORDS: Final[Mapping[str, str]] = {
    "cannot write the output": "exit-codes",
    "profiles.toml": "profiles",
    "--log-file": "logs",
    "_API_KEY": "environment",
    "_BASE_URL": "environment",
    "--proxy": "connections",
    "cannot be applied as it is": "fleet-columns",
    "saved plan": "plans",
    "--allow-release": "plans",
    "--max-purchases": "plans",
    "--order": "numbers",
    "--workers": "workers",
    "--allow-secret": "workers",
    "--allow-inline-secrets": "secrets",
    "env:NAME": "secrets",
    "--only": "unconfirmed",
    "duplicates": "unconfirmed",
    "--max-calls": "numbers",
    "--journal": "journal",
    "--postgres": "journal",
    "journal": "journal",
}
"""Words of a command's own message, and the page about them: the first one counts."""


def page_of(error: BaseException, command_page: str) -> str:
    """Return what `sigmamind explain` is to be given about *error*; empty where nothing helps.

    *command_page* is the page of the command that met it.
    """
    if type(error) in PAGES:
        return PAGES[type(error)]
    if isinstance(error, SigmaMindError) and not isinstance(error, errors.ConfigurationError):
        kinds = type(error).__mro__
        return next(kind.__name__ for kind in kinds if kind.__module__ == errors.__name__)
    if isinstance(error, OSError):
        return "exit-codes" if error.filename is None else command_page  # a stream has no name
    if not isinstance(error, CommandError | errors.ConfigurationError):
        return "--debug"
    if isinstance(error, ArgumentError):
        return command_page
    if isinstance(error, CommandError) and error.page is not None:
        return error.page
    if isinstance(error, CommandError) and error.code == Exit.UNKNOWN:
        return "needs_decision"
    text = message_of(error) if isinstance(error, errors.ConfigurationError) else str(error)
    return next((page for words, page in PAGES_OF_WORDS.items() if words in text), command_page)


def page_of_job(summary: Summary, failures: Counter[str]) -> str:
    """Return the same about a job of many rows; *failures* counts the types of their errors."""
    if summary.needs_decision:
        return "needs_decision"
    if summary.unconfirmed:
        return "unconfirmed"
    code = exit_for_job(summary)
    if code is Exit.FAILED:
        known = (name for name, _ in failures.most_common() if hasattr(errors, name))
        return next(known, str(code.value))
    return "" if code is Exit.DONE else str(code.value)


def more_about(page: str) -> str:
    """Return the line that names *page*."""
    return f"More: sigmamind explain {page}"


def unexpected_sentence(error: BaseException) -> str:
    """Return one line for a fault of our own; its text may be anything and is cut."""
    if isinstance(error, ImportError) and error.name:
        return f"cannot import {error.name}: the installation is incomplete (--debug shows where)"
    return f"unexpected {type(error).__name__}: {reprlib.repr(str(error))} (--debug shows where)"


LONGEST_SHOWN: Final = 300
"""Most characters of one text that came from elsewhere."""


def sanitize(text: str, longest: int | None = LONGEST_SHOWN) -> str:
    """Return *text* fit for a terminal: on one line, without control or direction characters."""
    if not (text.isascii() and text.isprintable()):
        # Imports the core, which --version and --help do without.
        from sigmamind_async.responses.error_body import is_control

        text = "".join("\N{REPLACEMENT CHARACTER}" if is_control(c) else c for c in text)
    return text if longest is None or len(text) <= longest else text[: longest - 3] + "..."
