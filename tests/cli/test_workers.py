"""Fleets that workers carry out: ``worker``, and ``apply --workers`` and more with ``--postgres``.

The worker is a process of its own, the database a real one.
"""

from __future__ import annotations

import logging
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sigmamind_async.cli.jobs.worker_runner import WarningLog, cron_every
from sigmamind_async.cli.journal_location import database_of
from sigmamind_async.cli.options import expand_bare_postgres, without_passwords
from sigmamind_async.sandbox import Fault
from tests.functional.workers import Database, database
from tests.harness.postgres import PASSWORD, Server

if TYPE_CHECKING:
    from tests.cli.conftest import Cli, Done, Inside, Wait

pytestmark = pytest.mark.usefixtures("covered_processes")

BUY = ("--max-purchases", 9, "--yes")
WORKERS = ("--postgres", "--workers", *BUY)
IMPORT = (
    '{"id": "own", "platform": "sigmamind", "source": "import", "phone_number": "+14155550177",'
    ' "trunk_username": "u", "trunk_password": "env:TRUNK_PASSWORD",'
    ' "termination_uri": "sip.example.com"}\n'
)
SPELLED = "--postgres=env:SIGMAMIND_POSTGRES"
NOBODY = {"SIGMAMIND_API_KEY": "", "SIGMAMIND_BASE_URL": "http://127.0.0.1:1"}
"""Neither a key nor a platform to ask."""
TABLES = "SELECT 1 FROM pg_tables WHERE tablename = 'procrastinate_jobs'"


@pytest.fixture
def home(postgres: Server, cli: Cli) -> Iterator[Database]:
    """A new database, named by the environment of all commands."""
    with database(postgres) as made:
        cli.environment["SIGMAMIND_POSTGRES"] = made.dsn
        yield made


def discreet(done: Done) -> Done:
    """Return *done*, which shows no password of the database."""
    assert PASSWORD not in done.out + done.err
    return done


# ---------------------------------------------------------------- workers


@pytest.fixture
def worker(cli: Cli, inside: Inside, home: Database) -> Iterator[subprocess.Popen[bytes]]:
    """A worker as its help shows it, which is impatient and serves already."""
    [example] = re.findall(r"Example: sigmamind (.+)", inside("worker", "--help").out)
    process = cli.start(*shlex.split(example), "--attempt-timeout", 1, "--upkeep", 1)
    try:
        assert process.stdout is not None
        assert process.stdout.readline().decode() == (
            "Serving sigmamind, verbex, dialnexa from PostgreSQL"
            f" database {home.name} on {home.server.folder}, schema sigmamind,"
            " up to 50 operations at once\n"
        )
        yield process
    finally:
        process.kill()
        process.communicate()


def test_workers_carry_out_what_apply_hands_over(
    cli: Cli, inside: Inside, home: Database, worker: subprocess.Popen[bytes]
) -> None:
    """Rows end as they would without, a second apply sends nothing, and no secret is stored."""
    path = cli.fleet(2)
    with path.open("a") as file:
        file.write(IMPORT)
    apply = ("apply", path, *WORKERS)
    first = discreet(inside(*apply, "--json", TRUNK_PASSWORD=""))
    again = discreet(inside(*apply))

    assert first.code == again.code == 0
    ends = {row["id"]: (row["status"], row["action"]) for row in first.rows}
    assert ends == {
        "buy-0": ("done", "purchase"),
        "buy-1": ("done", "purchase"),
        "own": ("done", "import"),
    }
    assert first.summary["done"] == 3
    assert cli.labels() == ["n0", "n1"]
    assert "+14155550177" in cli.box.ledger.owned("sigmamind")
    assert "env:TRUNK_PASSWORD" in home.dumped()
    assert cli.trunk_password not in home.dumped()
    assert inside("status", "--postgres", **NOBODY).code == 0

    worker.send_signal(signal.SIGTERM)
    ended = discreet(cli.ended(worker))
    assert ended.code == 0
    assert "stopping: settling requests under way" in ended.err
    assert "#1" not in ended.out
    assert sorted(line.split()[:4] for line in ended.out.splitlines()[:3]) == [
        ["done", "sigmamind", "buy", "buy-0"],
        ["done", "sigmamind", "buy", "buy-1"],
        ["done", "sigmamind", "import", "own"],
    ]
    assert re.search(r"^3 rows in .* s: 3 done", ended.out, re.MULTILINE), ended.out


@pytest.mark.usefixtures("worker")
def test_a_row_without_an_answer_is_left_to_be_settled(cli: Cli, inside: Inside) -> None:
    """As alone: exit 3 after the deadline, with the commands that settle it."""
    cli.box.sigmamind.script("create", [None, Fault.RESET_BEFORE_COMMIT])
    path = cli.fleet(2)
    done = discreet(inside("apply", path, *WORKERS, "--deadline", 2))

    assert done.code == 3
    assert re.search(r"unconfirmed, may have been carried out: buy-[01]$", done.err, re.MULTILINE)
    assert "  see what is known:  sigmamind status --postgres\n" in done.err
    assert "  wait until settled: sigmamind reconcile --postgres --wait\n" in done.err

    [open_row] = discreet(inside("status", "--postgres", "--json", **NOBODY)).open_rows
    assert open_row["state"] == "unconfirmed"
    assert inside("reconcile", "--postgres", "--settle-time", 0, "--wait").code == 3
    decided = inside("reconcile", "--postgres", "--only", open_row["row"], "--abandon")
    assert decided.code == 0
    again = inside("apply", path, *WORKERS)
    assert again.code == 0
    assert "an operator abandoned it; to get a number after all, give the row a new id" in again.out
    assert len(cli.labels()) == 1


def test_a_row_that_the_platform_refuses_is_failed_here_and_there(
    cli: Cli, inside: Inside, worker: subprocess.Popen[bytes]
) -> None:
    """What it answered comes back through the journal, with its status."""
    path = cli.fleet(1)
    with path.open("a") as file:
        file.write(
            '{"id": "gone", "platform": "sigmamind", "source": "purchase", "country_code": "XX",'
            ' "label": "gone"}\n'
        )
    done = discreet(inside("apply", path, *WORKERS, "--json"))
    worker.send_signal(signal.SIGTERM)
    ended = discreet(cli.ended(worker))

    failed = next(row for row in done.rows if row["id"] == "gone")
    assert (done.code, failed["status"], failed["attempts"]) == (1, "failed", 1)
    assert (failed["error"]["type"], failed["error"]["status"]) == ("BadRequestError", 400)
    assert failed["error"]["committed"] == "no"
    line = re.search(r"^failed .* gone .*$", ended.out, re.MULTILINE)
    assert line is not None, ended.out
    assert line[0].endswith(failed["error"]["message"])
    assert cli.labels() == ["n0"]


@pytest.mark.usefixtures("worker")
def test_an_apply_that_was_killed_goes_on_with_the_same_command(
    cli: Cli, inside: Inside, home: Database, until: Wait
) -> None:
    """``kill -9``: what was handed over is bought, the rest is when it is run again, none twice.

    Control: `test_workers_kill` gives the operations new ids at each start, and buys some twice.
    """
    path = cli.fleet(9)
    process = cli.start("apply", path, *WORKERS)
    until(lambda: len(cli.labels()) >= 1)
    process.kill()
    process.communicate()
    again = discreet(inside("apply", path, *WORKERS))

    assert again.code == 0
    assert cli.labels() == [f"n{each}" for each in range(9)]
    assert "no changes" in inside("plan", path, "--postgres").out
    assert len(home.asked("SELECT 1 FROM sigmamind.last_applied")) == 9


# ---------------------------------------------------------------- without a worker


def test_ctrl_c_ends_the_following_and_loses_nothing(
    cli: Cli, inside: Inside, home: Database, until: Wait
) -> None:
    process = cli.start("apply", cli.fleet(3), *WORKERS)
    until(lambda: bool(home.asked(TABLES)) and len(home.jobs) == 3)
    process.send_signal(signal.SIGINT)
    done = discreet(cli.ended(process))

    assert done.code == 130
    assert "still with the workers, which carry on: buy-0, buy-1, buy-2" in done.err
    assert "  how far they are: sigmamind status --postgres" in done.err
    assert "to continue, run the same command again" in done.err
    for line, name in zip(done.out.splitlines(), ["buy-0", "buy-1", "buy-2"], strict=False):
        assert {"unconfirmed", "buy", name, "still"} <= {*line.split()}
    standing = inside("status", "--postgres", **NOBODY)
    assert (standing.code, cli.box.ledger.purchases) == (0, [])
    assert "      3  planned\n" in standing.out
    assert "A worker sends planned rows" in standing.out


# ---------------------------------------------------------------- fleets

FLEET = "id,platform,source,label,country_code\ndesk,sigmamind,purchase,Desk,US\n"


def test_a_fleet_is_applied_from_here_with_the_journal_there(
    cli: Cli, inside: Inside, home: Database
) -> None:
    """Without a worker; planned and applied again, nothing changes."""
    path = cli.write("fleet.csv", FLEET)
    first = discreet(inside("apply", path, "--postgres", *BUY))
    again = inside("apply", path, "--postgres", *BUY)
    planned = inside("plan", path, "--postgres", "--out", "later.plan")
    other = inside("apply", "later.plan")

    assert first.code == again.code == planned.code == 0
    assert cli.labels() == ["Desk"]
    assert other.code == 2
    assert f"PostgreSQL database {home.name} on " in other.err
    assert "with --postgres; nothing was sent" in other.err
    assert inside("apply", "later.plan", "--postgres").code == 0
    assert "desk,sigmamind," in inside("export", "--postgres").out
    assert not Path(f"{path}.journal.db").exists()


@pytest.mark.usefixtures("home")
def test_what_a_database_has_bought_is_not_bought_without_it(cli: Cli, inside: Inside) -> None:
    """Not even rows that no label tells from others. Negative control: an explicit journal."""
    path = cli.write("fleet.csv", FLEET.replace(",Desk,", ",,"))
    first = discreet(inside("apply", path, "--postgres", *BUY))
    without = inside("apply", path, *BUY)
    again = inside("apply", path, "--postgres", *BUY)

    assert (first.code, without.code, again.code, len(cli.labels())) == (0, 2, 0, 1)
    assert "with --journal or --postgres" in without.err
    assert inside("apply", path, *BUY, "--journal", f"{path}.journal.db").code == 0
    assert len(cli.labels()) == 2


@pytest.mark.usefixtures("home")
def test_files_share_the_database(cli: Cli, inside: Inside) -> None:
    """A second file, and a row added to the first. The control: a row that was renamed."""
    row = "{},sigmamind,purchase,{},US\n".format
    for name, rows in (
        ("eu.csv", row("eu-1", "Desk")),
        ("us.csv", row("us-1", "Hall")),
        ("eu.csv", row("eu-1", "Desk") + row("eu-2", "Door")),
    ):
        path = cli.write(name, FLEET.splitlines(keepends=True)[0] + rows)
        assert inside("apply", path, "--postgres", *BUY).code == 0
    assert len(cli.box.ledger.purchases) == 3
    renamed = FLEET.splitlines(keepends=True)[0] + row("eu-1", "Desk") + row("new", "Lift")
    assert inside("apply", cli.write("eu.csv", renamed), "--postgres", *BUY).code == 1
    assert len(cli.box.ledger.purchases) == 3


# ---------------------------------------------------------------- what cannot be


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["status"], "name the FILE that was applied, or --postgres DSN"),
        (["status", "--postgres"], "give --postgres DSN, or set SIGMAMIND_POSTGRES"),
        (["worker"], "give --postgres DSN, or set SIGMAMIND_POSTGRES"),
        (
            ["worker", "--postgres", "host=x", "--allow-secret", "TRUNK"],
            "must be env:NAME or file:FOLDER",
        ),
        (["status", "--postgres", "env:DB"], "--postgres env:DB: set the variable DB"),
        (["status", "--postgres", "no dsn"], "dsn: is not a PostgreSQL connection string"),
        (["status", "a.csv", "--postgres", "host=x"], "leave a.csv out"),
        (["status", f"postgresql://u:{PASSWORD}@h/d"], "name that with --postgres"),
        (["worker", f"postgresql://u:{PASSWORD}@h/d"], "postgresql://***@h/d"),
        (["status", "--postgres", "host=127.0.0.1 port=1"], "cannot be reached: "),
        (["worker", "--postgres", "host=127.0.0.1 port=1"], "Check that the server runs there"),
        (["demo", "--postgres", "host=x"], "say how many, --workers 3"),
        (["plan", "o.csv", "--journal", "j", "--postgres", "host=x"], "exclude each other"),
        (["export", "--journal", "j", "--postgres", "host=x"], "leave j out"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(
    cli: Cli, inside: Inside, words: list[str], told: str
) -> None:
    cli.write("o.csv", FLEET)
    cli.write("j", "")
    done = discreet(inside(*words))

    assert (done.code, done.out) == (2, "")
    assert told in done.err
    assert done.error


def test_a_wrong_password_is_told(inside: Inside, postgres: Server) -> None:
    dsn = postgres.dsn().replace(PASSWORD, "wrong-7301")
    done = inside("worker", "--postgres", dsn)

    assert done.code == 2
    assert "password authentication failed" in done.err
    assert "wrong-7301" not in done.err


@pytest.mark.usefixtures("home")
def test_a_worker_without_a_key_is_told_the_variables(inside: Inside) -> None:
    none = {f"{name}_API_KEY": "" for name in ("SIGMAMIND", "VERBEX", "DIALNEXA")}
    done = inside("worker", **none)
    named = inside("worker", "--platform", "verbex", **none)

    assert done.code == named.code == 2
    assert "set SIGMAMIND_API_KEY, VERBEX_API_KEY or DIALNEXA_API_KEY" in done.err
    assert "set VERBEX_API_KEY" in named.err


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--postgres", "--retry-unconfirmed"], "must be given to sigmamind worker"),
        (["--postgres", "--allow-inline-secrets"], "a secret must not reach the database"),
        ([], "--workers needs --postgres"),
        (["--postgres", "--max-purchases", "1", "--yes"], "--max-purchases allows 1"),
        (["--postgres"], "agree with --max-purchases 2 --yes; nothing was sent"),
    ],
)
def test_apply_refuses_what_workers_do_not_heed(
    cli: Cli, inside: Inside, words: list[str], told: str
) -> None:
    done = inside("apply", cli.fleet(2), "--workers", *words)

    assert (done.code, done.out) == (2, "")
    assert told in done.err
    assert cli.box.ledger.purchases == []


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--journal", "j.db"], "workers have their journal in PostgreSQL; give --postgres"),
        (["--accept-key"], "run sigmamind reconcile --postgres --accept-key once"),
        (["--release-duplicates"], "this releases duplicates, permanently. Agree with --yes"),
        (["--allow-secret", "TRUNK"], "--allow-secret TRUNK: must be env:NAME or file:FOLDER"),
    ],
)
def test_a_worker_refuses_what_does_not_apply(inside: Inside, words: list[str], told: str) -> None:
    done = inside("worker", "--postgres", *words)

    assert (done.code, done.out) == (2, "")
    assert told in done.err


def test_a_missing_extra_is_named(cli: Cli) -> None:
    code = (
        "import sys; sys.modules['psycopg'] = None;"
        " from sigmamind_async.cli import main; sys.exit(main(['worker', '--postgres', 'host=x']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, env=cli.environment, check=False
    )

    assert done.returncode == 2
    assert b'pip install "sigmamind-async[cli,postgres]"' in done.stderr
    assert b"Traceback" not in done.stderr


# ---------------------------------------------------------------- words


@pytest.mark.parametrize(
    ("words", "spelled"),
    [
        (["worker", "--postgres"], ["worker", SPELLED]),
        (["worker", "--postgres", "--json"], ["worker", SPELLED, "--json"]),
        (["status", "--postgres", "host=x"], ["status", "--postgres", "host=x"]),
        (["status"], ["status"]),
        ([], []),
    ],
)
def test_the_option_alone_stands_for_the_variable(words: list[str], spelled: list[str]) -> None:
    assert expand_bare_postgres(words) == spelled


@pytest.mark.parametrize(
    ("said", "again"),
    [
        ("host=db dbname=orders", "sigmamind status --postgres 'host=db dbname=orders'"),
        ("postgresql://me@db/orders", "sigmamind status --postgres postgresql://me@db/orders"),
        ("postgresql://me:pw@db/orders", "sigmamind status --postgres DSN"),
        ("host=db password=pw", "sigmamind status --postgres DSN"),
        ("env:DB", "sigmamind status --postgres env:DB"),
        ("env:SIGMAMIND_POSTGRES", "sigmamind status --postgres"),
    ],
)
def test_further_commands_name_the_database_and_no_password(
    monkeypatch: pytest.MonkeyPatch, said: str, again: str
) -> None:
    for name in ("DB", "SIGMAMIND_POSTGRES"):
        monkeypatch.setenv(name, "postgresql://me:pw@db/orders")
    named: Any = database_of(said)

    assert named.command("status", None) == again
    assert "pw" not in repr(named)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("'postgresql://u:p@w@h/d'", "'postgresql://***@h/d'"),
        ("host=h password=x dbname=d", "host=h password=*** dbname=d"),
        ("host=h password = x", "host=h password = ***"),
        (r"password='a\' b' port=1", "password=*** port=1"),
        ("Unknown option: --workr.", "Unknown option: --workr."),
    ],
)
def test_a_repeated_command_line_shows_no_password(text: str, shown: str) -> None:
    assert without_passwords(text) == shown


@pytest.mark.parametrize(
    ("seconds", "cron"),
    [(1, "* * * * * */1"), (59, "* * * * * */59"), (60, "*/1 * * * *"), (3540, "*/59 * * * *")],
)
def test_seconds_are_told_as_cron_has_them(seconds: int, cron: str) -> None:
    assert cron_every(seconds) == cron


def test_a_warning_is_shown_once_until_an_operation_has_ended() -> None:
    """In one line, and without the traceback that was logged with it."""
    shown: list[str] = []
    with WarningLog(shown.append) as warnings:
        for _ in range(2):
            logging.getLogger("psycopg.pool").warning("no connection\nis the server there?")
        warnings.reset()
        logging.getLogger("psycopg.pool").warning("no connection", exc_info=OSError())

    assert shown == ["no connection", "no connection"]
