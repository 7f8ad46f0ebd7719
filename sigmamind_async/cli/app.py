"""The entry point: which command runs, how it ends, and what becomes of its standard streams.

Nothing is imported before it is needed: ``--version``, the root's help and an unknown command cost
little more than Python does.
"""

from __future__ import annotations

import errno
import gc
import io
import os
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from itertools import pairwise
from typing import TYPE_CHECKING, Final, cast

from sigmamind_async.cli.errors import (
    ArgumentError,
    CommandError,
    Exit,
    exit_for,
    more_about,
    page_of,
    sanitize,
    sentence_for,
    unexpected_sentence,
)
from sigmamind_async.cli.help import (
    COMMANDS,
    asks_for_help,
    command_help,
    fill,
    find_command,
    overview,
    split_at_dashes,
)
from sigmamind_async.cli.process import (
    check_stdout,
    give_up_stdout,
    prepare_streams,
    take_settings,
    use_settings,
)
from sigmamind_async.errors import SigmaMindError

if TYPE_CHECKING:
    from inspect import BoundArguments

    from cyclopts import App
    from cyclopts.argument import Argument
    from rich.console import Console

_EXTRA: Final = frozenset({"cyclopts", "jinja2", "rich", "yaml"})
"""Packages of the extra ``cli``."""
_MISSING_EXTRA: Final = (
    "sigmamind: the command line needs its extra: pip install 'sigmamind-async[cli]'"
)
_NO_CONSOLE: Final = cast("Console", io.StringIO())
"""For cyclopts, which would import rich's console even for an error that it does not print."""
_DESCRIPTION: Final = re.compile(r"^    (\w+): (.+(?:\n {8}.+)*)", re.MULTILINE)
"""What a docstring says about one argument."""
_PLAIN_HYPHEN: Final = "./-"
"""Another spelling of the file ``-``, which would be read as an option without a name."""


def main(tokens: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code."""
    if tokens is None:
        gc.disable()  # modules live to the end; `new_loop` turns it on again
    options, others = split_at_dashes(sys.argv[1:] if tokens is None else tokens)
    is_topic = options[:1] == ["explain"]
    words = [*(word for word in options if is_topic or word != "--debug"), *others]
    prepare_streams()
    code = _report(lambda: _run(words), options)
    # Unconfirmed rows matter more than output that could not be written.
    return max(code, _report(check_stdout, options))


def _report(work: Callable[[], object], words: Sequence[str]) -> int:
    """Return the exit code of *work*; what it raises is one line on stderr, and a page to read."""
    try:
        code = work()
        return code if isinstance(code, int) else Exit.DONE
    except CommandError as error:
        return _fail(error, str(error), error.code, words)
    except SigmaMindError as error:
        return _fail(error, sentence_for(error), exit_for(error), words)
    except BrokenPipeError as error:
        give_up_stdout(error)
        return Exit.DONE
    except KeyboardInterrupt as error:
        return _fail(error, "interrupted", Exit.INTERRUPTED, words)
    except OSError as error:
        return _fail(error, _os_text(error), Exit.USAGE, words)
    except Exception as error:  # noqa: BLE001 - the last line of defence: one line, no locals
        if isinstance(error, ImportError) and (error.name or "").partition(".")[0] in _EXTRA:
            print(_MISSING_EXTRA, file=sys.stderr)
            return Exit.USAGE
        if "--debug" in words:
            import traceback

            traceback.print_exception(error)
        return _fail(error, unexpected_sentence(error), Exit.FAILED, words)


def _fail(error: BaseException, message: str, code: int, words: Sequence[str]) -> int:
    """Report an error on stderr, and on stdout as what a program or a shell reads there."""
    page = page_of(error, _page_of_command(words))
    text = f"sigmamind: {sanitize(message, longest=None)}"
    lines = [fill(text) if sys.stderr.isatty() else text]
    if "--json" in words:
        pass  # the object has it
    elif isinstance(error, ArgumentError):
        lines.append(f"More: {' '.join(['sigmamind', *error.command.split(), '--help'])}")
    elif page:
        lines.append(more_about(page))
    with suppress(OSError):
        print("\n".join(lines), file=sys.stderr)
    if "--json" in words:
        from sigmamind_async.cli.output.events import CommandFailed, json_line

        is_usage = isinstance(error, CommandError) and code == Exit.USAGE
        failed = CommandFailed(
            error="UsageError" if is_usage else type(error).__name__,
            message=message,
            exit_code=code,
            committed=error.committed if isinstance(error, SigmaMindError) else "no",
            page=page,
        )
        with suppress(OSError):
            print(json_line(failed), flush=True)
    elif "--detach" in words:
        # `eval "$(...)"` sees no exit code: without this it would succeed on nothing.
        with suppress(OSError):
            print("false", flush=True)
    return code


def _page_of_command(words: Sequence[str]) -> str:
    """Return the page of the command that *words* begin with, or that of all commands."""
    with suppress(CommandError):
        name, _ = find_command(take_settings(words)[0])
        if name in COMMANDS:
            return COMMANDS[name].page
    return "command-line"


def _run(words: list[str]) -> object:
    """Run one command line; return its exit code, if that is not 0."""
    words, settings = take_settings(words)
    use_settings(settings)
    if words[:1] == ["help"]:
        words = [*words[1:], "--help"]
    if words[:1] in (["--version"], ["-V"], ["version"]):
        print(installed_version())
        return None
    name, rest = find_command(words)
    if name not in COMMANDS:
        if rest and not asks_for_help(rest):
            raise ArgumentError(f"{rest[0]!r}: options come after a command", name)
        print(overview(name))
        return None
    if asks_for_help(rest):
        print(command_help(name, arguments_of(name)))
        return None
    command, bound = bind(name, rest)
    return command(*bound.args, **bound.kwargs)


def bind(name: str, words: Sequence[str]) -> tuple[Callable[..., object], BoundArguments]:
    """Return the function of the command *name*, and the arguments that *words* are.

    Raises `CommandError` for words that the command does not take.
    """
    app = cyclopts_app(name)
    from cyclopts import CycloptsError
    from cyclopts.exceptions import MissingArgumentError

    from sigmamind_async.cli.options import (
        POSTGRES_OPTION,
        expand_bare_postgres,
        remember_command,
        without_passwords,
    )

    remember_command([*name.split(), *words])
    options, others = split_at_dashes(words)
    given = [_PLAIN_HYPHEN if word == "-" else word for word in expand_bare_postgres(options)]
    try:
        command, bound, _ = app.parse_args(
            [*given, *others], print_error=False, exit_on_error=False, error_console=_NO_CONSOLE
        )
    except MissingArgumentError as error:
        missing = error.argument.name if error.argument else "an argument"
        if error.keyword is not None:
            missing = f"a value for {error.keyword}"
        files = [after for word, after in pairwise(words) if word == POSTGRES_OPTION]
        if any(map(os.path.exists, files)):
            missing += (
                f"; {POSTGRES_OPTION} has taken {files[0]} for a database: put FILE before it"
            )
        raise ArgumentError(f"{name} needs {missing}", name) from None
    except CycloptsError as error:
        raise ArgumentError(without_passwords(str(error)), name) from None
    return command, bound


def cyclopts_app(name: str) -> App:
    """Return the command *name* as an app without other commands."""
    # Commands draw with rich: a missing one is reported before a command begins.
    import rich  # noqa: F401 # pyright: ignore[reportUnusedImport]
    from cyclopts import App, Parameter

    app = App(
        name=f"sigmamind {name}",
        help_flags=(),
        version_flags=(),
        default_parameter=Parameter(negative=()),
    )
    app.default(command_function(name))
    return app


def arguments_of(name: str) -> list[Argument]:
    """Return what the command *name* takes, with the help that docstrings have about it.

    cyclopts would find the same, after reading the source of every group, which takes as long as
    everything else.
    """
    from inspect import cleandoc

    from cyclopts import Parameter

    arguments = [*cyclopts_app(name).assemble_argument_collection()]
    groups = [each.hint for each in arguments if each.name == "*"]
    docstrings = [cleandoc(each.__doc__ or "") for each in (command_function(name), *groups)]
    texts = dict(_DESCRIPTION.findall("\n".join(docstrings)))
    for each in arguments:
        if each.parameter.help is None and (text := texts.get(each.field_info.name)):
            each.parameter = Parameter.combine(
                each.parameter, Parameter(help=" ".join(text.split()))
            )
    return arguments


def command_function(name: str) -> Callable[..., object]:
    """Return the function of the command *name*."""
    module, _, function = COMMANDS[name].function.partition(":")
    found = getattr(import_module(f"sigmamind_async.cli.commands.{module}"), function)
    return cast("Callable[..., object]", found)


def installed_version() -> str:
    """Return the version of the installed package."""
    # Reading it with importlib.metadata takes three times as long as starting Python.
    for folder in sys.path:
        with suppress(OSError):
            for entry in os.listdir(folder or "."):  # noqa: PTH208 - without importing pathlib
                name, _, version = entry.removesuffix(".dist-info").partition("-")
                if name == "sigmamind_async" and entry.endswith(".dist-info"):
                    return version
    from importlib.metadata import version as read_version

    return read_version("sigmamind-async")


_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})


def _os_text(error: OSError) -> str:
    text = error.strerror or type(error).__name__
    if error.filename is None and error.errno in _FULL:
        return f"cannot write the output: {text}"
    return f"{error.filename}: {text}" if error.filename else text
