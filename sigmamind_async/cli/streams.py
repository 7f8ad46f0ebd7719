"""The standard streams of the process: closed ones, characters that they lack, a full disk.

Standard output may take no more. A reader that went away, as in ``| head``, is no error; any other
failure, such as a full disk, is one: it is kept, and `check_stdout` raises it at the end.
"""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress

from sigmamind_async.cli.errors import CommandError

_failures: list[OSError] = []
"""Why standard output could not be written, unless its reader went away."""


def prepare() -> None:
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
