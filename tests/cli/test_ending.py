"""Exit codes, advice, and the rules by which a job ends early."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sigmamind_async.bulk import Progress
from sigmamind_async.cli import main
from sigmamind_async.cli.errors import (
    Exit,
    advice_for,
    exit_for,
    exit_for_job,
    sentence_for,
    unexpected_sentence,
)
from sigmamind_async.cli.jobs.results import row_error
from sigmamind_async.cli.jobs.runner import TICK, JobRunner, stop_reason
from sigmamind_async.cli.output.console import Output
from sigmamind_async.cli.output.events import StopReason, Summary
from sigmamind_async.errors import (
    APIConnectionError,
    APIStatusError,
    AuthenticationError,
    ConfigurationError,
    ConflictError,
    InsufficientFundsError,
    JournalError,
    NotFoundError,
    OutcomeUnknownError,
    PermissionDeniedError,
    SigmaMindError,
)
from tests.cli.conftest import Done

if TYPE_CHECKING:
    from tests.cli.conftest import Cli, Inside


@pytest.mark.parametrize(
    ("counts", "stopped", "code"),
    [
        ((3, 0, 0, 0), None, 0),
        ((0, 0, 0, 0), None, 0),
        ((2, 1, 0, 0), None, 1),
        ((2, 1, 1, 0), None, 3),
        ((2, 0, 1, 1), "platform_unreachable", 3),
        ((2, 0, 0, 1), "platform_unreachable", 1),
        ((0, 1, 0, 2), "key_refused", 2),
        ((1, 1, 0, 1), "key_refused", 1),
        ((0, 1, 0, 2), "journal_unusable", 2),
        ((1, 1, 0, 1), "journal_unusable", 1),
        ((0, 3, 0, 2), "not_the_api", 2),
        ((0, 0, 3, 2), "not_the_api", 3),
        ((0, 3, 0, 2), "cannot_pay", 1),
        ((2, 1, 1, 1), "interrupted", 130),
        ((2, 0, 0, 1), "output_closed", 130),
    ],
)
def test_exit_codes_of_a_job(
    counts: tuple[int, int, int, int], stopped: StopReason | None, code: int
) -> None:
    done, failed, unconfirmed, skipped = counts
    summary = Summary(
        rows=3, done=done, failed=failed, unconfirmed=unconfirmed, skipped=skipped, stopped=stopped
    )

    assert exit_for_job(summary) == code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigurationError("x"), Exit.USAGE),
        (AuthenticationError("x"), Exit.USAGE),
        (JournalError("x"), Exit.USAGE),
        (NotFoundError("x"), Exit.FAILED),
        (OutcomeUnknownError("x"), Exit.UNKNOWN),
    ],
)
def test_exit_codes_of_one_call(error: SigmaMindError, code: Exit) -> None:
    assert exit_for(error) == code


def test_an_error_is_told_without_the_name_of_the_call() -> None:
    error = OutcomeUnknownError("sigmamind.create: broke; it may have been carried out")
    error.operation = "sigmamind.create"

    assert (
        sentence_for(error)
        == "broke; it may have been carried out - look it up before trying again"
    )


def test_a_doubtful_rejection_is_looked_up() -> None:
    error = ConflictError("409: held")
    error.committed = "unknown"

    assert advice_for(error) == "may have been carried out: look it up before trying again"


def test_that_nothing_was_sent_is_said_once(inside: Inside) -> None:
    done = inside("numbers", "list", SIGMAMIND_BASE_URL="http://127.0.0.1:9")

    assert done.code == Exit.FAILED
    assert done.err.count("nothing was sent") == 1
    assert done.error.endswith("or run it again when the platform can be reached")


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (
            "api_key: give one, or set VERBEX_API_KEY in the environment",
            "there is no API key: set VERBEX_API_KEY; the platform's dashboard shows it",
        ),
        ("attempt_timeout: must be 0 or more", "--attempt-timeout: must be 0 or more"),
        ("proxy: must be a URL", "--proxy: must be a URL"),
        (
            "process 7 has it open.\nWait for it, or open it with shared=True everywhere.",
            "process 7 has it open. Wait for it.",
        ),
        (
            "Confirm that with accept_key(). Nothing has been sent.",
            "Confirm that with --accept-key. Nothing has been sent.",
        ),
    ],
)
def test_a_message_is_in_the_words_of_the_command_line(message: str, text: str) -> None:
    assert sentence_for(ConfigurationError(message)) == text


@pytest.mark.parametrize("vendor", ["SIGMAMIND", "VERBEX", "DIALNEXA"])
def test_a_wrong_address_names_its_variable(inside: Inside, vendor: str) -> None:
    words = ("numbers", "list", "--platform", vendor.lower())
    done = inside(*words, **{f"{vendor}_BASE_URL": "http://example.com"})

    assert done.code == Exit.USAGE
    assert done.err.startswith(f"sigmamind: {vendor}_BASE_URL: ")


@pytest.mark.parametrize("vendor", ["SIGMAMIND", "VERBEX", "DIALNEXA"])
def test_an_address_where_nothing_is_names_its_variable(
    cli: Cli, inside: Inside, vendor: str
) -> None:
    address = cli.environment[f"{vendor}_BASE_URL"]
    words = ("numbers", "list", "--platform", vendor.lower())
    done = inside(*words, **{f"{vendor}_BASE_URL": f"{address}/nowhere"})

    assert done.code == Exit.FAILED
    assert f"check {vendor}_BASE_URL" in done.err


def test_an_error_without_advice_is_told_as_it_is() -> None:
    assert sentence_for(JournalError("full.\nMake room.")) == "full. Make room."
    assert advice_for(None) == ""


def test_an_unexpected_error_is_one_short_line() -> None:
    line = unexpected_sentence(ValueError("x" * 500 + "\n"))

    assert line.startswith("unexpected ValueError")
    assert len(line) < 100
    assert "--debug" in line


def test_a_row_cut_off_is_in_doubt() -> None:
    fault = row_error(asyncio.CancelledError())

    assert (fault.type, fault.committed) == ("Interrupted", "unknown")


def test_a_fault_of_our_own_tells_no_value() -> None:
    assert row_error(ValueError("a secret")).message == "unexpected ValueError"


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (AuthenticationError("401"), "key_refused"),
        (PermissionDeniedError("403"), "key_refused"),
        (InsufficientFundsError("402"), "cannot_pay"),
        (APIConnectionError("407"), "platform_unreachable"),
        (JournalError("full"), "journal_unusable"),
    ],
)
def test_why_a_job_ended_early_is_one_word(error: SigmaMindError, word: StopReason) -> None:
    assert stop_reason(error) == word
    error.not_from_api = True
    assert (stop_reason(error) == "not_the_api") is isinstance(error, APIStatusError)


# ---------------------------------------------------------------- the front door


@pytest.mark.parametrize("word", ["--version", "-V", "version"])
def test_the_version_is_that_of_the_package(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([word]) == 0
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*\n", capsys.readouterr().out)


@pytest.mark.parametrize("package", ["cyclopts", "rich"])
def test_a_missing_extra_says_how_to_install_it(package: str) -> None:
    """Whichever part of it is missing, and before a command begins."""
    program = (
        f"import sys; sys.modules[{package!r}] = None; sys.argv[1:] = ['apply', 'a.csv']\n"
        "import runpy; runpy.run_module('sigmamind_async', run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True
    )

    assert done.returncode == 2
    assert done.stderr == (
        "sigmamind: the command line needs its extra: pip install 'sigmamind-async[cli]'\n"
    )


@pytest.mark.parametrize(("words", "traceback"), [((), False), (("--debug",), True)])
def test_an_unexpected_error_is_one_line(
    words: tuple[str, ...],
    traceback: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("by \x1b zero")

    monkeypatch.setattr("sigmamind_async.cli.commands.explain.page_names", broken)
    code = main(["explain", *words])
    err = capsys.readouterr().err

    assert code == 1
    assert err.splitlines()[-2].startswith("sigmamind: unexpected ZeroDivisionError")
    assert ("Traceback" in err) is traceback


async def test_a_job_that_takes_its_time_to_end_is_not_hurried() -> None:
    """Cancelled again by a third Ctrl-C, it would lose what it knows.

    Fails where `JobRunner.cancel` does not remember that it has cancelled.
    """
    job = SlowJob(Progress())
    runner = JobRunner(output=Output(json=True), progress=job.progress)
    for turn in range(1, 4):
        asyncio.get_running_loop().call_later(turn * TICK / 2, runner._interrupt)  # noqa: SLF001
    await runner.run(job, job)

    assert (runner.stopped, job.kept) == ("interrupted", ["what is known"])


class SlowJob:
    """A job that takes its time to end once it is cancelled."""

    unconfirmed = 0
    stopped = ""
    stopped_by = None

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.kept: list[str] = []

    def stop(self) -> None:
        """Start no more rows: there are none."""

    def __await__(self) -> Generator[Any, Any, None]:
        return self._run().__await__()

    async def _run(self) -> None:
        self.progress.started = self.progress.clock() - 60.0
        try:
            await asyncio.sleep(60.0)
        finally:
            await asyncio.sleep(4 * TICK)
            self.kept.append("what is known")


# ---------------------------------------------------------------- standard streams


WRITING = ["--version", "--help", "status --help", "explain plans", "numbers list"]
BUFFERED = {"PYTHONUNBUFFERED": ""}
"""The text comes to stdout at the command's end, as it does for users."""


@pytest.mark.parametrize("environment", [{}, BUFFERED], ids=["unbuffered", "buffered"])
@pytest.mark.parametrize("words", WRITING)
def test_output_that_cannot_be_written_is_an_error(
    cli: Cli, words: str, environment: dict[str, str]
) -> None:
    """Fails where `main` does not look at stdout once the command has ended."""
    with Path("/dev/full").open("w") as full:
        done = cli.ended(cli.start(*words.split(), stdout=full, environment=environment))

    assert done.code == Exit.USAGE
    assert done.error == "sigmamind: cannot write the output: No space left on device"


def test_a_full_disk_hides_no_unconfirmed_row(cli: Cli, inside: Inside) -> None:
    cli.box.sigmamind.script("create", ["reset_before_commit"])
    with Path("/dev/full").open("w") as full:
        words = ("--max-purchases", 1, "--yes", "--deadline", 2)
        done = cli.ended(cli.start("apply", cli.fleet(1), *words, stdout=full))

    assert done.code == Exit.UNKNOWN
    assert "cannot write the output" in done.err


@pytest.mark.parametrize("environment", [{}, BUFFERED], ids=["unbuffered", "buffered"])
@pytest.mark.parametrize("words", WRITING)
def test_a_reader_that_went_away_is_no_error(
    cli: Cli, words: str, environment: dict[str, str]
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    process = cli.start(*words.split(), stdout=writing, environment=environment)
    os.close(writing)

    assert cli.ended(process) == Done(0, "", "")


@pytest.mark.parametrize("stream", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_stream_that_was_closed_at_the_start_is_no_crash(cli: Cli, stream: str) -> None:
    """Nor is the journal opened in its place, so that what is printed would be written into it.

    Fails without `prepare_streams`: the lock file or the database becomes descriptor 1.
    """
    before = ("sh", "-c", f'exec "$@" {stream}', "sh")
    words = ("--max-purchases", 2, "--yes")
    done = cli.ended(cli.start("apply", cli.fleet(2), *words, before=before))
    again = cli("status", cli.folder / "fleet.jsonl")

    assert (done.code, again.code) == (0, 0)
    assert cli.labels() == ["n0", "n1"]


@pytest.mark.parametrize(
    ("words", "error", "code"),
    [
        (["status", "none.csv", "--json"], "UsageError", 2),
        (["status", "--jsn", "--json"], "UsageError", 2),
        (["numbers", "list", "--json"], "AuthenticationError", 2),
    ],
)
def test_an_error_is_an_object_too(inside: Inside, words: list[str], error: str, code: int) -> None:
    done = inside(*words, SIGMAMIND_API_KEY="wrong", VERBEX_API_KEY="", DIALNEXA_API_KEY="")
    failed = done.objects[-1]

    assert (done.code, failed["exit_code"]) == (code, code)
    assert (failed["type"], failed["error"]) == ("command_failed", error)
    assert done.err == f"sigmamind: {failed['message']}\n"
