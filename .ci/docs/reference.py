"""Write the guide's reference pages from the code; ``--check`` says which of them are stale.

What the code knows is read from it: commands and their options, columns, JSON objects, classes,
states. What only people need to know is in the tables below; one that lacks an entry for something
in the code, or has one too many, is an error.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import itertools
import json
import os
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from sigmamind_async import errors
from sigmamind_async.cli.accounts import PLATFORMS
from sigmamind_async.cli.app import arguments_of
from sigmamind_async.cli.errors import PAGES as PAGES_OF_ERRORS
from sigmamind_async.cli.errors import Exit, exit_for
from sigmamind_async.cli.help import COMMANDS, ROOT_OPTIONS, _entry, command_help
from sigmamind_async.cli.options import POSTGRES_VARIABLE
from sigmamind_async.client import Client
from sigmamind_async.convert import wire_names
from sigmamind_async.fleet.spec import FIELDS, OWN_NAMES, SECRETS
from sigmamind_async.fleet.vendors import VENDORS, RequestForm, VendorSchema
from sigmamind_async.provisioning.row import State

ROOT: Final = Path(__file__).parents[2]
PACKAGE: Final = ROOT / "sigmamind_async"
PAGES: Final = PACKAGE / "docs" / "reference"
WIDTH: Final = 96
"""Columns of the help texts on the page of commands."""

# ---------------------------------------------------------------- what only people need to know

WHAT_TO_DO: Final[Mapping[str, str]] = {
    "SigmaMindError": "Catch it to catch everything that this package raises on purpose.",
    "ConfigurationError": "Correct the option or the environment variable that the message names.",
    "InvalidRequestError": "Correct `field`; `rule` is the rule that it breaks.",
    "APIConnectionError": "Make the call again later. If `retryable` is False, first change what"
    " the message names: a certificate, a proxy, a host name.",
    "APITimeoutError": "Make the call again, or allow more time with `deadline`.",
    "OutcomeUnknownError": "Look the number up before you make the call again: see [handle"
    " errors](../how-to/handle-errors.md). A journal does that for you: see [buy exactly"
    " once](../how-to/buy-once.md).",
    "APIStatusError": "Read `status`, `code` and the message. The platform did not accept the"
    " call.",
    "BadRequestError": "Correct the values; the message is the platform's.",
    "AuthenticationError": "Check the API key, and that the base URL is that of the platform that"
    " issued it.",
    "InsufficientFundsError": "Add funds to the account.",
    "PermissionDeniedError": "Use a key that has the permission.",
    "NotFoundError": "List the account: it has no such record.",
    "ConflictError": "Read the record: it may be yours already, or in use.",
    "RateLimitError": "Nothing to do in most cases: the client waited and repeated the call until"
    " its deadline. Allow more time, or call again after `retry_after` seconds.",
    "ServerError": "Make the call again if `retryable`; look the number up first if `committed` is"
    ' not "no".',
    "FieldsIgnoredError": "The call was carried out, but for `fields`: read what the platform's"
    " documentation says about them. Without `strict=True` they are only reported.",
    "ResponseDecodeError": "Nothing was changed: the call only reads. Update the package; if that"
    " does not help, report `path`, the place in the answer that does not fit. `with_raw_response`"
    " returns the answer as it came.",
    "CircuitOpenError": "Call again after `retry_after` seconds. The client itself looks whether"
    " the platform is back.",
    "JournalError": "Do what the message says: the journal is locked, is damaged, belongs to"
    " another account, or has another request under this id.",
    "PlanError": "Plan again: the file, the account or the journal is not what the plan was made"
    " for.",
    "SpendLimitError": "Nothing was sent. The limit counts all purchases of the journal,"
    " unconfirmed ones included: raise `max_purchases` (`--max-purchases`) if more are wanted.",
}

STATES: Final[Mapping[State, tuple[str, str]]] = {
    State.PLANNED: (
        ("The operation is recorded. Nothing has been sent, or a rate limit refused what was."),
        "Run `apply` again, or `Provisioner.run` with the same id.",
    ),
    State.SENDING: (
        (
            "A request is under way, or the process that sent it was killed. The state is stored"
            " before the first byte can leave."
        ),
        "Wait, or run the same command again: it finds out which of the two it is.",
    ),
    State.UNCONFIRMED: (
        (
            "A request was sent and no readable answer came back. The platform may have carried it"
            " out, or may still do so."
        ),
        "Run `sigmamind reconcile FILE --wait`; see [unconfirmed](../how-to/unconfirmed.md).",
    ),
    State.DONE: (
        "The platform carried the operation out, and the journal has the result.",
        "Nothing. The same id returns the stored result and sends nothing.",
    ),
    State.FAILED: (
        "The platform refused the operation and did nothing, or it was refused locally.",
        "Fix the cause, which `sigmamind status FILE` shows, and run `apply` again.",
    ),
    State.DUPLICATE: (
        "More numbers were bought for the operation than the one that is kept; you pay for each.",
        (
            "`sigmamind status FILE` shows them, and prints the commands: `--release-duplicates`"
            " releases the others, permanently, and `--abandon` keeps them. See"
            " [unconfirmed](../how-to/unconfirmed.md)."
        ),
    ),
    State.NEEDS_DECISION: (
        "The settle time is over, and nothing in the account shows what happened.",
        (
            "Look into the platform's dashboard. If the number is there, `--adopt` it; if nothing"
            " was bought, `--retry-unconfirmed`; to leave it, `--abandon`. `sigmamind status FILE`"
            " shows what happened and prints the commands. See"
            " [unconfirmed](../how-to/unconfirmed.md)."
        ),
    ),
    State.ABANDONED: (
        "An operator has stopped work on the operation. No number was released for it.",
        "Nothing; `--adopt` and `--retry-unconfirmed` take it up again.",
    ),
}

EXITS: Final[Mapping[Exit, tuple[str, str]]] = {
    Exit.DONE: (
        "Done, or there was nothing to do.",
        "A reader that stops early, as in `sigmamind numbers list | head`, is not an error.",
    ),
    Exit.FAILED: (
        "Something failed or was left out: a row that the platform refused, a problem in the file.",
        "Fix what the messages name and run the same command again.",
    ),
    Exit.USAGE: (
        (
            "The command cannot be run as it is: the command line, the environment, the API key, a"
            " file or a journal is wrong, a question was not confirmed, or the output could not be"
            " written."
        ),
        "Correct what the message names. Where it says that nothing was sent, nothing was.",
    ),
    Exit.UNKNOWN: (
        "Something is unconfirmed or needs a decision.",
        (
            "`sigmamind status FILE` shows what, `sigmamind reconcile FILE --wait` settles what it"
            " can. Running the same command again is safe; buying the numbers in another way is"
            " not."
        ),
    ),
    Exit.CHANGES: ("`plan --detailed-exitcode`: there are changes.", "Run `apply`."),
    Exit.INTERRUPTED: (
        "Interrupted by Ctrl-C or SIGTERM, after the requests under way had ended.",
        "Run the same command again to finish the rest.",
    ),
}

COLUMNS: Final[Mapping[str, str]] = {
    "id": "Your name for the row, 1 to 128 printable characters. The journal knows the number by"
    " it: never change it, and never give it to another row.",
    "platform": "`sigmamind`, `verbex` or `dialnexa`. `--platform` names the one for rows that name"
    " none.",
    "source": "`purchase` buys the number, `import` brings one that you own over a SIP trunk or"
    " from a carrier, `existing` is in the account already.",
    "state": "`present` (the default), or `absent`: the number is released if `--allow-release` is"
    " given.",
    "phone_number": "In E.164, such as `+14155550188`. Leave it blank for a purchase if the"
    " platform picks the number.",
    "country_code": "Country in which to buy, such as `US`.",
    "area_code": "Area in which to buy, such as `415`.",
    "label": "The name that people see in the platform's dashboard.",
    "inbound_agent_id": "The agent that answers calls to the number.",
    "outbound_agent_id": "The agent that places calls from the number.",
    "test_number": "The telephone that a test call rings.",
    "termination_uri": "The carrier's SIP host, with an optional port.",
    "trunk_username": "User name of the SIP trunk.",
    "trunk_password": "Password of the SIP trunk.",
    "sip_infra_region": "Region of the platform's SIP servers.",
    "twilio_account_sid": "Account of a number that is at Twilio.",
    "twilio_auth_token": "Token of that account.",
    "telephony_provider_id": "Carrier to buy from: `phone_number_pricing.list()` lists them with"
    " their prices.",
    "type": "Kind of number to buy, such as `local`.",
    "auth_mode": "How the trunk authenticates.",
    "accounting_label": "A label for internal accounting.",
}

OPTIONS_OF_PAGES: Final[Mapping[str, frozenset[str]]] = {
    page: frozenset(f"--{option}" for option in options.split())
    for page, options in {
        "plans": "on-drift allow-release max-purchases yes out detailed-exitcode",
        "fleet-files": "allow-unlisted skip-bad format force",
        "secrets": "rewrite-secrets accept-key allow-inline-secrets trunk-password",
        "unconfirmed": "settle-time retry-unconfirmed adopt abandon release-duplicates only wait",
        "journal": "journal postgres restored",
        "workers": "workers concurrency upkeep allow-secret",
        "numbers": "order count max-calls max-per-destination dry-run from-agent to-agent side",
        "timeouts-and-retries": "deadline attempt-timeout",
        "rate-limits": "refusal-status",
        "connections": "proxy",
        "test-your-code": "faults rate seed detach keep state port",
        "profiles": "profile",
        "logs": "log-file",
        "json-output": "json",
    }.items()
}
"""By page: the options that it is about."""

_KEY: Final = "API key of the account. The client and every command take it from here."
_URL: Final = "An address to use instead of the platform's own, such as a sandbox's."
VARIABLES: Final[Mapping[str, str]] = {
    **{
        f"{platform.upper()}_{word}": meaning
        for platform in PLATFORMS
        for word, meaning in [("API_KEY", _KEY), ("BASE_URL", _URL)]
    },
    POSTGRES_VARIABLE: "DSN of the database that `--postgres` alone means.",
    "XDG_STATE_HOME": "Folder that holds the list of journals you have bought with, in place of"
    " `~/.local/state`.",
    "XDG_CONFIG_HOME": "Folder with `sigmamind/profiles.toml`, in place of `~/.config`.",
    "SIGMAMIND_PROFILE": "Profile of a command that names none with `--profile`.",
    "SIGMAMIND_LOG": "`info` or `debug`: the library logs to standard error.",
    "COLUMNS": "Width of tables and help texts, in place of the terminal's.",
    "PGHOST": "As usual with PostgreSQL, what a DSN leaves out is read from the environment.",
    "PGPORT": "See `PGHOST`.",
    "PGDATABASE": "See `PGHOST`.",
    "PGSERVICE": "See `PGHOST`.",
    "PGPASSWORD": "See `PGHOST`. It is never shown.",
}
ELSEWHERE: Final[Mapping[str, str]] = {
    "HTTPS_PROXY": "HTTP proxy of the command line and of workers, unless `--proxy` names one. A"
    " client in Python uses it only with `trust_env=True`.",
    "NO_PROXY": "Hosts that are reached without the proxy.",
    "SSL_CERT_FILE": "Certificates to trust, in PEM, in place of the system's.",
    "NO_COLOR": "If it is set, output has no colors.",
    "FORCE_COLOR": "If it is set, output has colors in a pipe too.",
}
"""Variables that other packages read."""
INTERNAL: Final = frozenset({"PYTHONPATH"})
"""Variables that are only handed on."""


# ---------------------------------------------------------------- pages


def command_line() -> Iterator[str]:
    yield "# Commands"
    yield "Every command with its options, as `sigmamind COMMAND --help` shows them."
    for name in COMMANDS:
        yield f"## `sigmamind {name}`"
        shown = command_help(name, arguments_of(name))
        yield f"```text\n{shown}\n```"


def options() -> Iterator[str]:
    yield "# Options"
    yield "Every option of the command line, and the commands that take it."
    yield (
        "A duration is written `90`, `90s`, `15m` or `1h`. An option that does not apply to a"
        " command is refused. Where two commands describe an option differently, both are given."
    )
    found: dict[tuple[str, ...], dict[tuple[str, str], list[str]]] = {}
    for command in COMMANDS:
        for argument in arguments_of(command):
            if argument.show and argument.index is None:
                typed, text = _entry(argument)
                meaning = (typed.removeprefix(", ".join(argument.names)).strip(), text)
                found.setdefault(argument.names, {}).setdefault(meaning, []).append(command)
    for typed, text in ROOT_OPTIONS:
        option, _, value = typed.partition(" ") if "," not in typed else (typed, "", "")
        takers = [""] if option.startswith("--version") else [*COMMANDS]
        found[tuple(option.split(", "))] = {(value, text): takers}
    for names, meanings in sorted(found.items()):
        yield f"## {_codes(names)}"
        for (value, text), commands in meanings.items():
            takes = f" Value: `{value}`." if value else ""
            everywhere = "every command" if len(commands) == len(COMMANDS) else ""
            where = everywhere or ", ".join(f"`{f'sigmamind {each}'.strip()}`" for each in commands)
            yield f"{text}{takes} Taken by {where}."
        for page in (page for page, options in OPTIONS_OF_PAGES.items() if names[0] in options):
            yield f"See [{page}]({_path_of(page)})."


def fleet_columns() -> Iterator[str]:
    yield "# Fleet columns"
    yield "Every column of a fleet file, with the platforms and sources that take it."
    yield (
        "A blank cell leaves a field as it is in the account; the word `null` clears it where the"
        " table says so. In the tables, *purchase*, *import* and *change* are the requests that"
        " take the field, with the platform's own name for it."
    )
    yield from _table(
        ["Column", *VENDORS],
        (
            [f"`{name}`", *(_summary(name, vendor) for vendor in VENDORS.values())]
            for name in FIELDS
        ),
    )
    for name in (*OWN_NAMES, *FIELDS):
        yield f"## `{name}`"
        yield COLUMNS[name]
        if name in SECRETS:
            yield "Give a reference to it: see [secrets](../how-to/secrets.md)."
        if name in FIELDS:
            yield from _table(
                ["Platform", "Request", "The platform's field", "Required", "Can be cleared"],
                (row for vendor in VENDORS.values() for row in _uses(name, vendor)),
            )


def _forms(vendor: VendorSchema) -> Iterator[tuple[str, RequestForm]]:
    yield from (("purchase", form) for form in vendor.purchases)
    yield from (("import", form) for form in vendor.imports)
    yield "change", vendor.update


def _summary(name: str, vendor: VendorSchema) -> str:
    return ", ".join(dict.fromkeys(word for word, form in _forms(vendor) if name in form.takes))


def _uses(name: str, vendor: VendorSchema) -> Iterator[list[str]]:
    for word in ("purchase", "import", "change"):
        forms = [form for each, form in _forms(vendor) if each == word and name in form.takes]
        alike = [form for each, form in _forms(vendor) if each == word]
        if forms:
            attributes = [(wire_names(form.value), form.takes[name]) for form in forms]
            names = {wires[each].name: None for wires, each in attributes if each in wires}
            needed = [name in form.needs for form in alike]
            required = "yes" if all(needed) else "in some cases" if any(needed) else "no"
            cleared = "yes" if any(name in form.clears for form in forms) else "no"
            yield [vendor.platform, word, _codes(names) or "none", required, cleared]


def json_output() -> Iterator[str]:
    schema = json.loads((PACKAGE / "cli/output/schema.json").read_text(encoding="utf-8"))
    yield "# JSON output"
    yield "What `--json` writes: one object a line, each with a `type` and a `version`."
    yield schema["description"]
    yield (
        "Times are in UTC, durations in milliseconds. The schema is in the package,"
        " `sigmamind_async/cli/output/schema.json`, and the tests validate all output against it."
        " An error is the last object, `command_failed`; its sentence is on standard error too."
    )
    for name, definition in schema["$defs"].items():
        yield f"## `{name}`"
        yield definition.get("description", "Part of another object.")
        yield from _table(
            ["Field", "Type", "Meaning"],
            (
                [f"`{field}`", _type_of(each), each.get("description", "").replace("|", "\\|")]
                for field, each in definition["properties"].items()
                if field not in {"type", "version"} or "const" not in each
            ),
        )


def _type_of(schema: Mapping[str, Any]) -> str:
    match schema:
        case {"enum": words}:
            return ", ".join("null" if word is None else f"`{word}`" for word in words)
        case {"anyOf": kinds}:
            return " or ".join(map(_type_of, kinds))
        case {"$ref": path}:
            return f"`{path.rpartition('/')[2]}`"
        case {"type": "array", "items": each}:
            return f"list of {_type_of(each)}"
        case {"type": "object", "additionalProperties": each}:
            return f"object of {_type_of(each)}"
        case {"type": str(kind)}:
            return f"{kind}, a time" if schema.get("format") == "date-time" else kind
        case {"type": kinds}:
            return " or ".join(kinds)
        case _:
            raise ValueError(f"no word for {schema}")


def error_classes() -> Iterator[str]:
    yield "# Errors"
    yield "Every exception of the package, and what to do about it."
    _, tree, *_ = (inspect.getdoc(errors) or "").split("\n\n")
    yield f"```text\n{textwrap.dedent(tree)}\n```"
    yield (
        '`committed` is the evidence that the platform acted on the call: "no", "yes" or'
        ' "unknown". `retryable` is True if the same call may succeed later, unchanged, and is'
        " safe to make again. Both may differ from the values below for a single error. The exit"
        " code is that of a command that did one thing and met the error."
    )
    for name, cls in _error_classes().items():
        statuses = [str(status) for status in range(400, 600) if errors.status_error(status) is cls]
        few = statuses if len(statuses) < 5 else []
        yield f"## {_codes([name, *few])}"
        yield from (inspect.getdoc(cls) or "").split("\n\n")
        yield WHAT_TO_DO[name]
        if page := PAGES_OF_ERRORS.get(cls):
            yield f"See [{page}]({_path_of(page)})."
        example = cls("")
        base = cls.__mro__[1].__name__
        yield "\n".join(
            [
                f"- `committed`: {example.committed}",
                f"- `retryable`: {example.retryable}",
                f"- Exit code: {exit_for(example).value}",
                *([f"- Base: `{base}`"] if base.endswith("Error") else []),
            ]
        )
        yield from _table(
            ["Attribute", "Meaning"],
            ([f"`{field}`", text] for field, text in _documented(PACKAGE / "errors.py", name)),
        )


def _path_of(page: str) -> str:
    [path] = PACKAGE.joinpath("docs").glob(f"*/{page}.md")
    return f"../{path.parent.name}/{path.name}" if path.parent != PAGES else path.name


def _error_classes() -> dict[str, type[errors.SigmaMindError]]:
    return {
        name: cls
        for name, cls in vars(errors).items()
        if inspect.isclass(cls) and issubclass(cls, errors.SigmaMindError)
    }


def states() -> Iterator[str]:
    yield "# States"
    yield "How far an operation got, in one word: the same in Python, the journal, and all output."
    for state, (meaning, what_to_do) in STATES.items():
        yield f"## `{state.value}`"
        yield meaning
        yield f"What to do: {what_to_do}"


def exit_codes() -> Iterator[str]:
    yield "# Exit codes"
    yield "How a command of `sigmamind` ends."
    yield from _table(
        ["Code", "Meaning"], ([f"`{code.value}`", text] for code, (text, _) in EXITS.items())
    )
    for code, (meaning, what_to_do) in EXITS.items():
        yield f"## `{code.value}`"
        yield meaning
        yield what_to_do


def environment() -> Iterator[str]:
    yield "# Environment variables"
    yield "Every variable of the environment that changes what the package does."
    for name, meaning in {**VARIABLES, **ELSEWHERE}.items():
        yield f"## `{name}`"
        yield meaning


def client_options() -> Iterator[str]:
    yield "# Client options"
    yield "What `SigmaMind(...)`, `Verbex(...)` and `DialNexa(...)` take."
    text = inspect.getdoc(Client.__init__) or ""
    arguments = text.partition("Args:\n")[2].partition("\n\n")[0]
    meanings = dict(re.findall(r"^    (\w+): (.*(?:\n        .*)*)", arguments, re.MULTILINE))
    parameters = inspect.signature(Client).parameters
    _compare(meanings, parameters, "arguments in the docstring of Client")
    for name, parameter in parameters.items():
        yield f"## `{name}`"
        default = parameter.default
        shown = f" Default: `{default}`." if isinstance(default, int | float) else ""
        yield re.sub(r"\s+", " ", meanings[name]).replace("``", "`") + shown


PAGE: Final[Mapping[str, Callable[[], Iterator[str]]]] = {
    "command-line": command_line,
    "options": options,
    "client-options": client_options,
    "fleet-columns": fleet_columns,
    "json-output": json_output,
    "errors": error_classes,
    "states": states,
    "exit-codes": exit_codes,
    "environment": environment,
}


# ---------------------------------------------------------------- reading the code


def _documented(path: Path, name: str) -> Iterator[tuple[str, str]]:
    """Yield the attributes of a class that have a string below them, and those strings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    [body] = [
        node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name
    ]
    for field, below in itertools.pairwise(body):
        match field, below:
            case (
                ast.AnnAssign(target=ast.Name(id=attribute)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                yield attribute, " ".join(text.replace("``", "`").split())


def _option_names(command: str) -> Iterator[str]:
    for argument in arguments_of(command):
        yield from argument.names


def _variables_read() -> set[str]:
    """Return the variables that the package reads under a name that is written out."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case (
                    ast.Call(
                        func=ast.Attribute(value=ast.Attribute(attr="environ"), attr="get"),
                        args=[ast.Constant(value=str(name)), *_],
                    )
                    | ast.Subscript(
                        value=ast.Attribute(attr="environ"), slice=ast.Constant(value=str(name))
                    )
                ):
                    found.add(name)
    return found - INTERNAL


def _compare(described: Iterable[object], known: Iterable[object], what: str) -> None:
    """Raise unless both are the same set."""
    if odd := set(described) ^ set(known):
        raise SystemExit(f"{what}: {', '.join(sorted(map(str, odd)))} is only in one of both")


def check_tables() -> None:
    """Raise unless the tables above describe what the code has."""
    _compare(WHAT_TO_DO, _error_classes(), "WHAT_TO_DO and sigmamind_async.errors")
    _compare(STATES, State, "STATES and State")
    _compare(EXITS, Exit, "EXITS and Exit")
    for page in OPTIONS_OF_PAGES:
        _path_of(page)
    known = {name for command in COMMANDS for name in _option_names(command)}
    known |= {typed.split()[0].rstrip(",") for typed, _ in ROOT_OPTIONS}
    if unknown := {each for one in OPTIONS_OF_PAGES.values() for each in one} - known:
        raise SystemExit(f"OPTIONS_OF_PAGES: {', '.join(sorted(unknown))} is no option")
    _compare(COLUMNS, [*OWN_NAMES, *FIELDS], "COLUMNS and the columns of a fleet")
    if unknown := _variables_read() - VARIABLES.keys() - ELSEWHERE.keys():
        raise SystemExit(f"VARIABLES: {', '.join(sorted(unknown))} is read and not described")


# ---------------------------------------------------------------- writing


def _codes(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _table(head: list[str], rows: Iterable[list[str]]) -> Iterator[str]:
    lines = [f"| {' | '.join(row)} |" for row in rows]
    if lines:
        yield "\n".join([f"| {' | '.join(head)} |", "|---" * len(head) + "|", *lines])


def render(paragraphs: Iterable[str]) -> str:
    """Return the text of a page."""
    return "\n\n".join(map(_wrap, paragraphs)) + "\n"


def _wrap(paragraph: str) -> str:
    if paragraph.startswith(("#", "|", "-", "```")):
        return paragraph
    return textwrap.fill(paragraph, 100, break_long_words=False, break_on_hyphens=False)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing")
    parser.add_argument("--to", type=Path, default=PAGES, help="folder of the pages")
    given = parser.parse_args()
    os.environ["COLUMNS"] = str(WIDTH)
    check_tables()
    stale = []
    for name, paragraphs in PAGE.items():
        path, text = given.to / f"{name}.md", render(paragraphs())
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
            if not given.check:
                path.write_text(text, encoding="utf-8")
    print(f"{'stale' if given.check else 'written'}: {', '.join(stale) or 'none'}")
    return int(given.check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
