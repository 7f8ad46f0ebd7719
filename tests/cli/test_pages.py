"""Each error that a command prints ends with the page of the guide that says more about it."""

from __future__ import annotations

import inspect
import shlex
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from sigmamind_async import errors
from sigmamind_async.cli import main
from sigmamind_async.cli.errors import (
    PAGES_OF_WORDS,
    ArgumentError,
    CommandError,
    Exit,
    exit_for_job,
    page_of,
    page_of_job,
)
from sigmamind_async.cli.help import COMMANDS
from sigmamind_async.cli.output.events import Summary
from tests.cli.conftest import Terminal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cli.conftest import Cli, Inside

ERRORS = {
    cls.__name__: cls("")
    for cls in vars(errors).values()
    if inspect.isclass(cls) and issubclass(cls, errors.SigmaMindError)
}
OTHERS = (KeyboardInterrupt(), OSError(2, "No such file"), ZeroDivisionError("x"))
JOBS = (
    Summary(rows=1, unconfirmed=1),
    Summary(rows=1, unconfirmed=1, needs_decision=1),
    Summary(rows=1, failed=1),
    Summary(rows=1, skipped=1),
    Summary(rows=1, stopped="interrupted"),
    Summary(rows=1, failed=1, stopped="key_refused"),
)
FAILURES = (Counter[str](), Counter({"ConflictError": 1}), Counter({"Refused": 1}))


def pages() -> Iterator[str]:
    """Yield every page that an error may name."""
    yield from (command.page for command in COMMANDS.values() if command.page)
    yield from PAGES_OF_WORDS.values()
    for error in (*ERRORS.values(), *OTHERS, CommandError("x", Exit.UNKNOWN)):
        yield page_of(error, "numbers")
    for job in JOBS:
        yield from (page_of_job(job, failures) for failures in FAILURES)


@pytest.mark.parametrize("page", sorted({*pages()}))
def test_every_page_exists(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Negative control: a page that is not there."""
    assert main(["explain", page]) == 0
    assert capsys.readouterr().out.startswith("#")
    assert main(["explain", f"{page}-elsewhere"]) == 2


def test_every_exit_but_success_has_a_page() -> None:
    """`Exit.CHANGES` is no error, and a job ends with no other."""
    codes = {exit_for_job(job): {page_of_job(job, each) for each in FAILURES} for job in JOBS}

    assert set(codes) == {Exit.FAILED, Exit.USAGE, Exit.UNKNOWN, Exit.INTERRUPTED}
    assert all("" not in named for named in codes.values())
    assert page_of_job(Summary(rows=1, done=1), Counter()) == ""


@pytest.mark.parametrize(
    ("error", "page"),
    [
        (ERRORS["AuthenticationError"], "AuthenticationError"),
        (ERRORS["APITimeoutError"], "APITimeoutError"),
        (ERRORS["JournalError"], "journal"),
        (errors.ConfigurationError("VERBEX_BASE_URL: needs https"), "environment"),
        (errors.ConfigurationError("deadline: must be more than 0"), "numbers"),
        (errors.ConfigurationError("proxy: has no scheme"), "connections"),
        (CommandError("agree with --max-purchases 3 --yes"), "plans"),
        (CommandError("not in the account"), "numbers"),
        (OSError(13, "Permission denied", "fleet.csv"), "numbers"),
        (OSError(28, "No space left on device"), "exit-codes"),
        (ArgumentError("unknown option --journal"), "numbers"),
        (CommandError("not confirmed", page=""), ""),
        (ZeroDivisionError(), "--debug"),
    ],
    ids=lambda each: each if isinstance(each, str) else type(each).__name__,
)
def test_the_page_of_an_error(error: BaseException, page: str) -> None:
    assert page_of(error, "numbers") == page


@pytest.mark.parametrize(
    "words",
    [
        "aply",
        "numbers lst",
        "apply",
        "--nonsense apply",
        "plan fleet.csv --color pink",
        "plan fleet.csv --profile work",
        "plan fleet.csv --colour",
        "plan nowhere.csv",
        "plan wrong.csv",
        "apply wrong.csv",
        "apply fleet.csv",
        "status fleet.csv",
        "status --postgres",
        "numbers get +14155550199",
        "numbers verify --platform verbex",
        "numbers buy --country US",
        "sandbox --detach -- true",
        "sandbox -- no-such-command",
    ],
)
def test_the_line_under_an_error_is_a_command_that_works(
    cli: Cli, inside: Inside, words: str
) -> None:
    cli.write("fleet.csv", "id,platform,source,country_code\na,sigmamind,purchase,US\n")
    cli.write("wrong.csv", "id,platform,source,country_code\na,sigmind,purchase,US\n")
    done = inside(*words.split())
    last = done.err.splitlines()[-1]

    assert done.code in {1, 2, 127}
    assert last.startswith("More: sigmamind ")
    assert inside(*shlex.split(last)[2:]).code == 0


def test_a_program_gets_the_page_as_a_field(inside: Inside) -> None:
    done = inside("status", "nowhere.csv", "--json")

    assert done.objects[-1]["page"] == "journal"
    assert "More:" not in done.err


@pytest.mark.parametrize(("fault", "page"), [("reset_before_commit", "unconfirmed"), (None, "")])
def test_a_job_ends_with_the_page_of_the_worst(
    cli: Cli, inside: Inside, fault: str | None, page: str
) -> None:
    cli.box.sigmamind.script("create", [fault])
    done = inside("apply", cli.fleet(1), "--max-purchases", 1, "--yes", "--deadline", 2)

    assert done.err.endswith(f"More: sigmamind explain {page}\n") is bool(page)


def test_who_does_not_agree_is_not_lectured(cli: Cli) -> None:
    with Terminal(cli, "apply", cli.fleet(1)) as terminal:
        terminal.read_until("cancel: ")
        terminal.type("no\n")

    assert "not confirmed; nothing was sent" in terminal.seen
    assert "More:" not in terminal.seen
