"""The commands, and their help: a sentence, the options in groups, an example, a page of the guide.

The table is data, so that the root's help and an unknown command cost no import of cyclopts. The
help of one command needs its function, and nothing that the function needs to run.
"""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from sigmamind_async.cli.errors import ArgumentError
from sigmamind_async.errors import suggest

if TYPE_CHECKING:
    from cyclopts import Group
    from cyclopts.argument import Argument


class Command(NamedTuple):
    """One command."""

    function: str
    """Where it is, as ``module:name`` below `cli.commands`."""
    page: str
    """The page of the guide; empty for the list of pages."""
    example: str
    """What follows ``sigmamind``, and the command's own words."""
    sentence: str


# fmt: off
COMMANDS: Final[dict[str, Command]] = {
    "init": Command("setup:init", "fleet-files", "fleet.yaml",
        "Write a fleet file with comments, to be edited."),
    "doctor": Command("setup:doctor", "profiles", "fleet.csv",
        "Check keys, addresses, accounts, clock, journals and database."),
    "plan": Command("fleet:plan", "plans", "fleet.csv",
        "Show what apply would change; send and write nothing."),
    "apply": Command("fleet:apply", "fleet-files", "fleet.csv --max-purchases 20 --yes",
        "Make the accounts match FILE; nothing is bought twice."),
    "status": Command("journal:status", "journal", "fleet.csv",
        "Show what was bought, what is unconfirmed and what needs a decision."),
    "reconcile": Command("journal:reconcile", "unconfirmed",
        "fleet.csv --only desk-7 --adopt +14155550100",
        "Settle what is unconfirmed; buy nothing, and release only with --release-duplicates."),
    "export": Command("export:export", "fleet-files", "--platform sigmamind --out fleet.csv",
        "Write the numbers of accounts as a fleet file."),
    "numbers list": Command("numbers:list_", "numbers", "--platform dialnexa --unassigned --json",
        "List the numbers of your accounts."),
    "numbers get": Command("numbers:get", "numbers", "+14155550100", "Show one number."),
    "numbers buy": Command("numbers:buy", "numbers",
        "--country US --area-code 415 --count 20 --max-purchases 20",
        "Buy numbers without a file."),
    "numbers import": Command("numbers:import_", "numbers",
        "+14155550100 --termination-uri sip.example.com"
        " --trunk-username acme --trunk-password env:TRUNK_PASSWORD",
        "Import one number that you own over a SIP trunk."),
    "numbers update": Command("numbers:update", "numbers",
        "+14155550100 --inbound-agent-id agent_1",
        "Change one number; fields without an option stay as they are."),
    "numbers reassign": Command("numbers:reassign", "numbers",
        "--from-agent agent_1 --to-agent agent_2 --dry-run",
        "Point the numbers of one agent to another."),
    "numbers release": Command("numbers:release", "numbers", "+14155550100",
        "Release one number, permanently."),
    "numbers verify": Command("numbers:verify", "numbers", "+14155550100 --max-calls 1",
        "Place a test call from each number, to verify its trunk."),
    "agents list": Command("numbers:agents_list", "numbers", "",
        "List the agents of a SigmaMind account."),
    "agents get": Command("numbers:agents_get", "numbers", "agent_1", "Show one agent."),
    "worker": Command("fleet:worker", "workers", "--postgres --concurrency 50",
        "Carry out the operations of a PostgreSQL queue until SIGTERM or Ctrl-C."),
    "sandbox": Command("sandbox:sandbox", "test-your-code", "--faults 0.1 --rate 50",
        "Run copies of the platforms on this machine, for one command or until Ctrl-C."),
    "demo": Command("sandbox:demo", "test-your-code", "--seed 7",
        "Kill a job while it buys, resume it, and audit what was bought."),
    "completion": Command("setup:completion", "profiles",
        "bash > ~/.local/share/bash-completion/completions/sigmamind",
        "Print the script that completes commands in bash, zsh or fish."),
    "explain": Command("explain:explain", "", "fleet-files",
        "Show a page of the guide, or the list of pages."),
}
# fmt: on
"""In the order in which they are listed."""

GROUPS: Final = {
    "numbers": "Work with single numbers, without a file.",
    "agents": "Look at the agents that numbers are for.",
}
"""The first words of commands that have two."""

_ROOT: Final = (
    "Phone numbers on SigmaMind, Verbex and DialNexa: each bought exactly once, through crashes"
    " and lost replies."
)
_HELP_FLAGS: Final = frozenset({"--help", "-h"})
_INDENT: Final = 30
_WIDEST: Final = 100


def split_at_dashes(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return *words* before ``--``, where options are, and those from it on, which are none."""
    end = words.index("--") if "--" in words else len(words)
    return list(words[:end]), list(words[end:])


def asks_for_help(words: Sequence[str]) -> bool:
    """Return whether ``--help`` is among *words*, before a ``--``."""
    return not _HELP_FLAGS.isdisjoint(split_at_dashes(words)[0])


def find_command(words: Sequence[str]) -> tuple[str, list[str]]:
    """Return the name that *words* begin with, of a command or a group, and the other words.

    The name is empty if they begin with an option. Raises `ArgumentError` for an unknown one.
    """
    first, *rest = words or [""]
    if first in COMMANDS:
        return first, rest
    if not first or first.startswith("-"):
        return "", list(words)
    name, group = first, ""
    if first in GROUPS:
        if not rest or rest[0].startswith("-"):
            return first, rest
        name, group = f"{first} {rest.pop(0)}", f"{first} "
    if name not in COMMANDS:
        known = [each[len(group) :].split()[0] for each in COMMANDS if each.startswith(group)]
        word = name[len(group) :]
        hint = suggest(word, dict.fromkeys(known))
        raise ArgumentError(f"there is no command {name!r}{hint}", group)
    return name, rest


# ---------------------------------------------------------------- text


def overview(group: str = "") -> str:
    """Return the help of the root, or of a *group* of commands."""
    words = f"sigmamind {group}".strip()
    prefix = f"{group} " if group else ""
    names = [name for name in COMMANDS if name.startswith(prefix)]
    rows = [(name.removeprefix(prefix), COMMANDS[name].sentence) for name in names]
    parts = [
        fill(GROUPS.get(group, _ROOT)),
        f"Usage: {words} COMMAND",
        _section("Commands", rows),
    ]
    if not group:
        parts.append(_section("Options of every command", ROOT_OPTIONS))
    first = COMMANDS[names[0]]
    parts.append(_ends(f"sigmamind {names[0]} {first.example}", first.page if group else ""))
    return "\n\n".join(parts)


ROOT_OPTIONS: Final = (
    ("--help, -h", "Show this help, or that of a command."),
    ("--version, -V", "Show the version."),
    ("--profile NAME", "Use the keys and addresses of a profile."),
    ("--log-file FILE", "Append every request to FILE, without secrets."),
    ("--color WHEN", "auto, always or never. Default: auto, which heeds NO_COLOR."),
    ("--debug", "Show where an unexpected error happened."),
)
"""Those of every command."""


def command_help(name: str, arguments: Iterable[Argument]) -> str:
    """Return the help of the command *name*, which takes *arguments*."""
    command = COMMANDS[name]
    shown = [argument for argument in arguments if argument.show]
    positional = [argument for argument in shown if argument.index is not None]
    optional = [argument for argument in shown if argument.index is None]
    usage = [
        *(["[OPTIONS]"] if optional else []),
        *(_placeholder(argument) for argument in positional),
    ]
    parts = [fill(command.sentence), f"Usage: sigmamind {' '.join([name, *usage])}"]
    if positional:
        parts.append(_section("Arguments", map(_entry, positional)))
    parts += [_section(title, map(_entry, group)) for title, group in _groups(optional)]
    parts.append(_ends(f"sigmamind {name} {command.example}", command.page))
    return "\n\n".join(parts)


def _groups(arguments: Sequence[Argument]) -> list[tuple[str, list[Argument]]]:
    """Return options under the titles of their groups: first those of the command alone."""
    found: dict[str, list[Argument]] = {}
    places: dict[str, int] = {}
    for argument in arguments:
        group = cast("tuple[Group, ...]", argument.parameter.group)[0]
        title = "Options" if group.name == "Parameters" else group.name
        found.setdefault(title, []).append(argument)
        # Those of `options` have a place; the command's own come first.
        places[title] = group.sort_key if isinstance(group.sort_key, int) else 0
    return sorted(found.items(), key=lambda item: places[item[0]])


def _placeholder(argument: Argument) -> str:
    word = argument.parameter.metavar or argument.name.lstrip("-").upper()
    return word if argument.required else f"[{word}]"


def _entry(argument: Argument) -> tuple[str, str]:
    """Return what is typed, and what it means."""
    names = ", ".join(argument.names) if argument.index is None else _placeholder(argument)
    value = "" if argument.is_flag() or argument.index is not None else f" {_value_word(argument)}"
    help_ = argument.parameter.help or ""
    default = _default_text(argument)
    return f"{names}{value}", f"{help_} [default: {default}]" if default else help_


def _value_word(argument: Argument) -> str:
    if argument.parameter.metavar:
        return argument.parameter.metavar
    if choices := argument.get_choices():
        return "|".join(choices)
    hint = str(argument.hint)
    return "FILE" if "Path" in hint else "NUMBER" if "int" in hint or "float" in hint else "TEXT"


def _default_text(argument: Argument) -> str:
    value = argument.field_info.default
    if argument.required or not isinstance(value, str | int | float) or value in {False, ""}:
        return ""
    if isinstance(value, str) or argument.parameter.metavar != "TIME":
        return str(value)
    return f"{value / 60:g}m" if value >= 120 and value % 60 == 0 else f"{value:g}s"


def _section(title: str, entries: Iterable[tuple[str, str]]) -> str:
    """Return entries, of what is typed and what it means, in two columns."""
    entries, lines = list(entries), [f"{title}:"]
    indent = min(max(len(typed) for typed, _ in entries) + 4, _INDENT, _width() // 2)
    for typed, meaning in entries:
        first = f"  {typed}"
        if len(first) + 2 > indent:
            lines.append(first)
            first = ""
        lines.append(fill(meaning, first.ljust(indent), " " * indent))
    return "\n".join(lines)


def _ends(example: str, page: str) -> str:
    return f"Example: {example.rstrip()}\nGuide: {f'sigmamind explain {page}'.rstrip()}"


def fill(text: str, first: str = "", rest: str = "") -> str:
    """Return *text* in lines that fit the terminal; a long word stays in one piece."""
    return textwrap.fill(
        text,
        _width(),
        initial_indent=first,
        subsequent_indent=rest,
        break_on_hyphens=False,
        break_long_words=False,
    )


def _width() -> int:
    columns = os.environ.get("COLUMNS", "")
    if not columns.isdecimal():
        columns = "80"
        with suppress(OSError, ValueError):  # no terminal, or no descriptor
            columns = str(os.get_terminal_size(sys.stdout.fileno()).columns)
    return min(max(int(columns) or 80, 40), _WIDEST)
