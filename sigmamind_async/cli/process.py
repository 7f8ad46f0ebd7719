"""The process of a command: its standard streams, and the options that every command takes.

Those options, profile, colour and log file, are settings of the process: environment variables, and
a handler of the library's logger.

Standard output may take no more. A reader that went away, as in ``| head``, is no error; any other
failure, such as a full disk, is one: it is kept, and `check_stdout` raises it at the end.

Nothing here is imported before it is needed, as in `app`.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final, cast

from sigmamind_async.cli.errors import ArgumentError, CommandError
from sigmamind_async.errors import suggest

PLATFORM_PREFIXES: Final = ("SIGMAMIND", "VERBEX", "DIALNEXA")
VARIABLES: Final = (
    *(f"{prefix}_{name}" for prefix in PLATFORM_PREFIXES for name in ("API_KEY", "BASE_URL")),
    "SIGMAMIND_POSTGRES",
    "HTTPS_PROXY",
    "NO_PROXY",
)
"""What a profile may set."""
_REFERENCES: Final = ("_API_KEY", "_POSTGRES")
"""Ends of the names of variables that hold a secret: a profile names where it is."""
OPTIONS: Final = {"--profile": "NAME", "--color": "WHEN", "--log-file": "FILE"}
COLORS: Final = ("auto", "always", "never")

PROFILE_VARIABLE: Final = "SIGMAMIND_PROFILE"
"""The profile of a command that names none."""


def take_settings(words: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Return *words* without the options that are settings, and the values of those."""
    if words[:1] == ["explain"]:  # what follows may be the name of any option
        return [*words], {}
    rest: list[str] = []
    found: dict[str, str] = {}
    reading = iter(words)
    for word in reading:
        name, equals, value = word.partition("=")
        if word == "--":
            rest += [word, *reading]
        elif name not in OPTIONS:
            rest.append(word)
        else:
            value = value if equals else next(reading, "")
            if not value or (not equals and value.startswith("-")):
                raise ArgumentError(f"{name} needs a value: {name} {OPTIONS[name]}")
            found[name] = value
    return rest, found


def use_settings(found: Mapping[str, str]) -> None:
    """Set up this process as the settings say."""
    if color := found.get("--color"):
        if color not in COLORS:
            raise ArgumentError(f"--color {color}: must be one of {', '.join(COLORS)}")
        for name in ("NO_COLOR", "FORCE_COLOR"):
            os.environ.pop(name, None)
        if color != "auto":
            os.environ["FORCE_COLOR" if color == "always" else "NO_COLOR"] = "1"
    if name := found.get("--profile", os.environ.get(PROFILE_VARIABLE, "")):
        _use_profile(name)
        os.environ[PROFILE_VARIABLE] = name  # commands that are suggested name it too
    if file := found.get("--log-file"):
        _log_to(file)


def _log_to(file: str) -> None:
    """Append to *file* what the library logs: every attempt of every call, and no secret."""
    import logging

    class LogFile(logging.FileHandler):
        """Says once that it cannot be written; what the command does goes on."""

        def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802, ARG002 - its name
            logger.removeHandler(self)
            problem = getattr(sys.exception(), "strerror", None) or "it cannot be written"
            print(f"sigmamind: --log-file {file}: {problem}; the log ends here", file=sys.stderr)

        def _open(self) -> io.TextIOWrapper:
            # It holds numbers, labels and agents.
            def private(name: str, flags: int) -> int:
                return os.open(name, flags, 0o600)

            return open(self.baseFilename, "a", encoding="utf-8", opener=private)

    try:
        handler = LogFile(file)
    except OSError as error:
        raise CommandError(f"--log-file {file}: {error.strerror}") from None
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logger = logging.getLogger("sigmamind_async")
    logger.setLevel(logging.DEBUG)
    logger.addHandler(handler)


# ---------------------------------------------------------------- profiles


def profiles_file() -> str:
    """Return the name of the file with the profiles of this user."""
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.join(  # noqa: PTH118 - see the module
        os.path.expanduser("~"),  # noqa: PTH111
        ".config",
    )
    return os.path.join(home, "sigmamind", "profiles.toml")  # noqa: PTH118


def _use_profile(name: str) -> None:
    """Set the variables of the profile *name*, and unset the accounts that it does not name."""
    import tomllib

    file = profiles_file()
    try:
        with open(file, "rb") as stream:  # noqa: PTH123
            profiles = tomllib.load(stream)
    except FileNotFoundError:
        raise CommandError(f"--profile {name}: there is no {file}") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CommandError(f"{file}: {error}") from None
    if not isinstance(profiles.get(name), dict):
        hint = suggest(name, dict.fromkeys(profiles))
        raise CommandError(f"{file} has no profile {name!r}{hint}")
    profile = cast("dict[str, object]", profiles[name])
    values = {
        each: _checked_value(f"{file}: {name}", each, value) for each, value in profile.items()
    }
    # A command must reach no account and no journal that the profile does not name.
    for variable in VARIABLES[:-2]:  # a proxy is part of the network
        os.environ.pop(variable, None)
    os.environ.update(values)


def _checked_value(where: str, variable: str, value: object) -> str:
    if variable not in VARIABLES:
        hint = suggest(variable, dict.fromkeys(VARIABLES))
        raise CommandError(f"{where}: unknown variable {variable!r}{hint}")
    if not isinstance(value, str):
        raise CommandError(f"{where}: {variable} must be a text, in quotes")
    if not variable.endswith(_REFERENCES):
        return value
    from sigmamind_async.secret_references import SecretReferenceError, SecretResolver

    try:
        return SecretResolver().resolve(value).reveal()
    except SecretReferenceError as error:
        raise CommandError(f"{where}: {variable}: {error}") from None


# ---------------------------------------------------------------- standard streams

_failures: list[OSError] = []
"""Why standard output could not be written, unless its reader went away."""


def prepare_streams() -> None:
    """Open the streams that were closed, and let no character end a job that they lack."""
    # Otherwise the next file that is opened, a journal for instance, would be standard output.
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)  # noqa: FBT003
    os.close(descriptor)
    for number, (name, mode) in enumerate([("stdin", "r"), ("stdout", "w"), ("stderr", "w")]):
        if getattr(sys, name) is None:
            stream = open(number, mode, encoding="utf-8", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def write_stdout(content: bytes) -> None:
    """Write bytes to standard output; `check_stdout` raises what goes wrong."""
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    except OSError as error:
        give_up_stdout(error)


def give_up_stdout(error: OSError) -> None:
    """Keep why standard output takes no more, and send what it still holds nowhere."""
    if not isinstance(error, BrokenPipeError):
        _failures.append(error)
    with suppress(OSError, ValueError):  # or Python would complain as it exits
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def check_stdout() -> None:
    """Write what standard output holds; raise `CommandError` if anything could not be written."""
    try:
        sys.stdout.flush()
    except OSError as error:
        give_up_stdout(error)
    if _failures:
        failure = _failures[0]
        _failures.clear()
        raise CommandError(f"cannot write the output: {failure.strerror or type(failure).__name__}")
