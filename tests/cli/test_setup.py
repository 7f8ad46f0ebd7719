"""What an operator does first: `init`, `doctor`, `completion`, agents, and the common options."""

from __future__ import annotations

import asyncio
import logging
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from sigmamind_async import fleet
from sigmamind_async.cli.errors import CommandError
from sigmamind_async.cli.help import COMMANDS
from sigmamind_async.cli.jobs.doctor import _clock
from sigmamind_async.cli.process import (
    PLATFORM_PREFIXES,
    PROFILE_VARIABLE,
    VARIABLES,
    take_settings,
)
from sigmamind_async.provisioning import PostgresJournal
from sigmamind_async.workers import Queue, health
from tests.functional.workers import Database, database
from tests.harness.postgres import Server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cli.conftest import Cli, Inside

# ---------------------------------------------------------------- init


def test_init_writes_a_fleet_that_can_be_planned(cli: Cli, inside: Inside) -> None:
    """Negative control: it is not written over."""
    path = cli.folder / "fleet.yaml"
    done = inside("init", path)

    assert (done.code, done.out) == (
        0,
        f"Wrote {path}; edit it, then run: sigmamind plan {path}\n",
    )
    assert not fleet.load(path).problems
    assert "Plan: 1 to buy." in inside("plan", path).out
    assert inside("init", path).code == 2


@pytest.mark.parametrize("platform", ["sigmamind", "verbex", "dialnexa"])
def test_every_row_of_the_template_is_one(cli: Cli, inside: Inside, platform: str) -> None:
    """Those that are commented out as well."""
    path = cli.folder / "fleet.yaml"
    inside("init", path, "--platform", platform)
    lines = path.read_text().splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("- id"))
    rows = [line.removeprefix("# ") for line in lines[first:]]
    path.write_text("\n".join(rows))
    found = fleet.load(path)

    assert [str(problem) for problem in found.problems] == []
    assert [row.source.value for row in found.rows] == ["purchase", "existing", "import"]


def test_init_refuses_a_format_without_comments(inside: Inside) -> None:
    done = inside("init", "fleet.csv")

    assert done.code == 2
    assert "must end in .yaml" in done.err


# ---------------------------------------------------------------- doctor


def verdicts(inside: Inside, *words: object, **environment: str) -> tuple[int, dict[str, str]]:
    done = inside("doctor", *words, "--json", **environment)
    return done.code, {each["name"]: each["verdict"] for each in done.objects}


def test_all_is_well(cli: Cli, inside: Inside) -> None:
    path = cli.fleet(1)
    inside("apply", path, "--max-purchases", 1, "--yes")
    code, found = verdicts(inside, path)

    assert code == 0
    assert set(found.values()) == {"ok"}
    assert {"packages", "state", "sigmamind", "verbex", "dialnexa", "clock", "journal"} == {*found}


@pytest.mark.parametrize(
    ("variable", "value", "fix"),
    [
        ("VERBEX_API_KEY", "wrong-key-of-another", "check VERBEX_API_KEY"),
        ("VERBEX_BASE_URL", "http://127.0.0.1:9", "check VERBEX_BASE_URL"),
        ("VERBEX_BASE_URL", "{url}/v9", "check VERBEX_BASE_URL"),
        ("VERBEX_BASE_URL", "ftp://x", "BASE_URL"),
    ],
)
def test_what_is_wrong_with_an_account_has_a_fix(
    cli: Cli, inside: Inside, variable: str, value: str, fix: str
) -> None:
    done = inside("doctor", **{variable: value.format(url=cli.box.verbex.base_url)})

    assert done.code == 1
    assert "failed   verbex" in done.out
    assert fix in done.out
    assert "ok       sigmamind" in done.out


def test_an_account_without_a_key_is_skipped_and_none_at_all_is_a_failure(inside: Inside) -> None:
    code, found = verdicts(inside, VERBEX_API_KEY="", DIALNEXA_API_KEY="")
    assert (code, found["verbex"], "keys" in found) == (0, "skipped", False)

    no_keys = {f"{name}_API_KEY": "" for name in PLATFORM_PREFIXES}
    code, found = verdicts(inside, **no_keys)
    assert (code, found["keys"]) == (1, "failed")


def test_rows_that_are_not_settled_are_a_warning_with_the_command(cli: Cli, inside: Inside) -> None:
    cli.box.sigmamind.script("create", ["reset_before_commit"])
    path = cli.fleet(1)
    inside("apply", path, "--max-purchases", 1, "--yes", "--deadline", 2)
    done = inside("doctor", path)

    assert done.code == 0
    assert "warning  journal" in done.out
    assert f"sigmamind status {path}" in done.out


def test_a_file_that_was_not_applied_yet_is_no_failure(cli: Cli, inside: Inside) -> None:
    assert verdicts(inside, cli.fleet(1))[1]["journal"] == "skipped"
    assert verdicts(inside, "nowhere.csv") == (1, verdicts(inside, "nowhere.csv")[1])


def test_a_database_that_cannot_be_reached(inside: Inside) -> None:
    dsn = "postgresql://someone:canary@127.0.0.1:9/x"
    done = inside("doctor", SIGMAMIND_POSTGRES=dsn)

    assert done.code == 1
    assert "failed   database" in done.out
    assert "canary" not in done.out + done.err


@pytest.fixture
def queue(postgres: Server, cli: Cli) -> Iterator[Database]:
    """A database with a journal and a queue, named by the environment."""
    with database(postgres) as made:
        cli.environment["SIGMAMIND_POSTGRES"] = made.dsn
        asyncio.run(Queue(made.dsn).prepare())
        yield made


def about_the_queue(inside: Inside) -> dict[str, str]:
    names = {"queue", "autovacuum", "transaction"}
    found = inside("doctor", "--json").objects
    return {each["name"]: each["message"] + each["fix"] for each in found if each["name"] in names}


def test_a_database_without_and_with_a_queue(
    postgres: Server, cli: Cli, inside: Inside, queue: Database
) -> None:
    assert about_the_queue(inside) == {"queue": "0 jobs waiting, 0 failed"}
    with database(postgres) as made:
        cli.environment["SIGMAMIND_POSTGRES"] = made.dsn
        asyncio.run(_open_journal(made.dsn))
        assert about_the_queue(inside) == {}


async def _open_journal(dsn: str) -> None:
    async with PostgresJournal(dsn):
        pass


def test_what_makes_fetching_dearer_is_found(
    inside: Inside, queue: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is a warning with what to do. Negative control: the test above, in which none is."""
    monkeypatch.setattr(health, "LONG_TRANSACTION", 0.0)
    monkeypatch.setattr(health, "KEEP_FAILED", -1.0)
    job = "('sigmamind/sigmamind', 'x', 0, '{}', 'failed')"
    with psycopg.connect(queue.dsn, autocommit=True) as connection:
        connection.execute("ALTER TABLE procrastinate_events SET (autovacuum_enabled = off)")
        connection.execute("ALTER TABLE procrastinate_jobs RESET (autovacuum_vacuum_scale_factor)")
        columns = "(queue_name, task_name, priority, args, status)"
        connection.execute(f"INSERT INTO procrastinate_jobs {columns} VALUES {job}".encode())
        connection.execute(
            "INSERT INTO procrastinate_events (job_id, type, at)"
            " SELECT id, 'failed', now() - interval '9 days' FROM procrastinate_jobs"
        )
    with psycopg.connect(queue.dsn, application_name="a dump") as open_:
        open_.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        open_.execute("SELECT count(*) FROM procrastinate_jobs")
        found = about_the_queue(inside)
        pid = open_.info.backend_pid
        done = inside("doctor")

    assert found["queue"].startswith("0 jobs waiting, 1 failed, the first of them 9 days ago")
    assert "'a dump' has been open" in found["transaction"]
    assert f"pg_terminate_backend({pid})" in found["transaction"]
    assert done.code == 0
    warned = re.findall(r"warning +autovacuum +(\w+)", done.out)
    assert sorted(warned) == ["procrastinate_events", "procrastinate_jobs"]


@pytest.mark.parametrize(
    ("ahead", "verdict", "text"),
    [
        (0.3, "ok", "within 1.0 s of verbex's"),
        (-59.5, "ok", "within 1 min of verbex's"),
        (120.0, "failed", "2 min behind verbex's"),
        (-120.0, "failed", "2 min ahead of verbex's"),
    ],
)
def test_a_clock_that_is_off(ahead: float, verdict: str, text: str) -> None:
    found = _clock("verbex", ahead)

    assert (found.verdict, found.message) == (verdict, text)


# ---------------------------------------------------------------- agents, completion


def test_agents_are_listed_with_their_numbers(cli: Cli, inside: Inside) -> None:
    agent = "agent_D5D0p7TUs66TTAEAx"
    row = f"id,platform,source,country_code,inbound_agent_id\ndesk,sigmamind,purchase,US,{agent}\n"
    inside("apply", cli.write("fleet.csv", row), "--max-purchases", 1, "--yes")
    listed = inside("agents", "list", "--json").objects

    assert [each["numbers"] for each in listed] == [1, 0, 0]
    assert f"agent_id  {agent}" in inside("agents", "get", agent).out
    assert "3 agents" in inside("agents", "list").out


@pytest.mark.parametrize(
    ("platform", "told"),
    [("sigmamind", ": sigmamind agents list shows what it has"), ("dialnexa", "")],
)
def test_an_agent_that_there_is_not_is_looked_for_among_agents(
    inside: Inside, platform: str, told: str
) -> None:
    done = inside("agents", "get", "agent_none", "--platform", platform)

    assert done.code == 1
    assert f"Agent not found - the account does not have it{told}\n" in done.err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_script_knows_every_command(inside: Inside, shell: str) -> None:
    """The script is valid where its shell is installed."""
    script = inside("completion", shell).out

    assert all(word in script for name in COMMANDS for word in name.split())
    assert "--max-purchases" in script or "-l max-purchases" in script
    if program := shutil.which(shell):
        subprocess.run([program, "-n"], input=script.encode(), check=True)


# ---------------------------------------------------------------- options of every command


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give back what a profile sets in this process."""
    for name in (*VARIABLES, PROFILE_VARIABLE, "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.setenv(name, "")
    yield
    monkeypatch.undo()


PROFILE = """\
[work]
SIGMAMIND_API_KEY = "env:WORK_KEY"
SIGMAMIND_BASE_URL = "{url}"
[plain]
SIGMAMIND_API_KEY = "canary"
[typo]
SIGMAMIND_KEY = "env:WORK_KEY"
[bare]
SIGMAMIND_BASE_URL = 8000
"""


@pytest.fixture
def profile(cli: Cli, environment: None) -> dict[str, str]:
    """Return the environment in which there are profiles."""
    del environment
    (cli.folder / "sigmamind").mkdir()
    cli.write("sigmamind/profiles.toml", PROFILE.format(url=cli.box.sigmamind.base_url))
    return {"XDG_CONFIG_HOME": str(cli.folder), "WORK_KEY": cli.box.sigmamind.api_key}


@pytest.mark.parametrize("at_front", [False, True])
def test_a_profile_is_the_only_source_of_accounts(
    inside: Inside, profile: dict[str, str], at_front: bool
) -> None:
    """An account or a database in the environment that it does not name is not reached."""
    option = ("--profile", "work")
    words = (*option, "doctor", "--json") if at_front else ("doctor", "--json", *option)
    real = {"SIGMAMIND_POSTGRES": "postgresql://127.0.0.1:9/another"}
    found = {each["name"]: each["verdict"] for each in inside(*words, **profile, **real).objects}

    assert (found["sigmamind"], found["verbex"], found["profile"]) == ("ok", "skipped", "ok")
    assert "database" not in found


def test_the_command_to_go_on_with_names_the_profile(
    cli: Cli, inside: Inside, profile: dict[str, str]
) -> None:
    cli.box.sigmamind.script("create", ["reset_before_commit"])
    words = ("apply", cli.fleet(1), "--max-purchases", 1, "--yes", "--deadline", 2)
    done = inside(*words, "--profile", "work", **profile)

    assert "reconcile" in done.err
    commands = re.findall(r"^ .*sigmamind (?:status|apply|reconcile).*$", done.err, re.MULTILINE)
    assert all("--profile work" in command for command in commands)
    assert len(commands) == 3


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("wrk", "no profile 'wrk'; did you mean 'work'?"),
        ("plain", "plain: SIGMAMIND_API_KEY: is a secret and must not be in plain text"),
        ("typo", "unknown variable 'SIGMAMIND_KEY'; did you mean 'SIGMAMIND_API_KEY'?"),
        ("bare", "SIGMAMIND_BASE_URL must be a text, in quotes"),
    ],
)
def test_a_wrong_profile_is_refused(
    inside: Inside, profile: dict[str, str], name: str, message: str
) -> None:
    done = inside("numbers", "list", "--profile", name, **profile)

    assert done.code == 2
    assert message in done.err
    assert "canary" not in done.err


@pytest.mark.parametrize(
    ("text", "message"),
    [(None, "there is no"), ("[work", "profiles.toml: "), ("\udce9", "profiles.toml: ")],
    ids=["none", "no TOML", "no UTF-8"],
)
def test_profiles_that_cannot_be_read_are_refused(
    cli: Cli, inside: Inside, profile: dict[str, str], text: str | None, message: str
) -> None:
    path = cli.folder / "sigmamind" / "profiles.toml"
    path.unlink()
    if text is not None:
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
    done = inside("numbers", "list", "--profile", "work", **profile)

    assert (done.code, done.out) == (2, "")
    assert message in done.err


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize(
    ("when", "coloured"), [("always", True), ("never", False), ("auto", False)]
)
def test_colour_in_a_pipe(cli: Cli, inside: Inside, when: str, coloured: bool) -> None:
    path = cli.fleet(1)
    inside("apply", path, "--max-purchases", 1, "--yes")
    done = inside("status", path, "--color", when)

    assert ("\x1b[" in done.out) is coloured


def test_a_log_file_has_what_the_library_logs(cli: Cli, inside: Inside) -> None:
    log = cli.folder / "log.txt"
    logger = logging.getLogger("sigmamind_async")
    before = [*logger.handlers], logger.level
    try:
        assert inside("numbers", "list", "--log-file", log).code == 0
        logger.warning("told to the file")
    finally:
        for handler in set(logger.handlers) - set(before[0]):
            handler.close()
        logger.handlers[:] = before[0]
        logger.setLevel(before[1])  # which forgets what was enabled; setting the attribute does not

    assert "told to the file" in log.read_text()
    assert log.stat().st_mode & 0o777 == 0o600
    assert inside("numbers", "list", "--log-file", cli.folder).code == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a full disk")
def test_a_log_file_on_a_full_disk_ends_alone(cli: Cli) -> None:
    done = cli("numbers", "list", "--log-file", "/dev/full")

    assert done.code == 0
    assert done.err == (
        "sigmamind: --log-file /dev/full: No space left on device; the log ends here\n"
    )


def test_a_common_option_can_be_explained(inside: Inside) -> None:
    assert "Use the keys and addresses of a profile." in inside("explain", "--profile").out


def test_words_after_a_double_hyphen_are_no_settings() -> None:
    words = ["numbers", "get", "--", "--profile", "x"]

    assert take_settings(words) == (words, {})
    with pytest.raises(CommandError, match="--color needs a value"):
        take_settings(["plan", "--color"])
