"""Workers and jobs under what starts them elsewhere: a container, a cron table, a supervisor."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.functional.workers import Database, database
from tests.harness.postgres import Server, running

if TYPE_CHECKING:
    from tests.cli.conftest import Cli, Wait

ROWS = 40
WORKER = ("worker", "--postgres", "--platform", "sigmamind", "--max-purchases", ROWS)


@pytest.fixture
def home(postgres: Server, cli: Cli) -> Iterator[Database]:
    """A new database, named by the environment of all commands."""
    with database(postgres) as made:
        cli.environment["SIGMAMIND_POSTGRES"] = made.dsn
        yield made


def needs(*programs: str) -> pytest.MarkDecorator:
    missing = [name for name in programs if shutil.which(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed here: {', '.join(missing)}")


def bare(cli: Cli) -> dict[str, str]:
    """Return what cron leaves of the environment, and what the command cannot do without."""
    names = ("SIGMAMIND_API_KEY", "SIGMAMIND_BASE_URL", "SIGMAMIND_POSTGRES")
    return {name: cli.environment[name] for name in names if name in cli.environment}


def children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(each) for each in found]


def hand_over(cli: Cli) -> subprocess.Popen[bytes]:
    """Have workers carry out the rows of a file, and follow them."""
    path = cli.fleet(ROWS)
    words = ("--postgres", "--workers", "--max-purchases", ROWS, "--yes", "--json")
    return cli.start("apply", path, *words)


# ---------------------------------------------------------------- a worker, and its end

STARTERS: dict[str, tuple[list[str], int]] = {
    "itself": ([], 0),
    "setsid": (["setsid", "--wait"], 0),
    "timeout": (["timeout", "--preserve-status", "300"], 0),
    "a bare environment": (["env", "-i"], 0),
}


@pytest.mark.parametrize("name", STARTERS)
def test_a_worker_serves_and_settles_whoever_starts_it(
    cli: Cli, home: Database, until: Wait, name: str
) -> None:
    """SIGTERM in the middle of purchases: what was sent is settled, and another goes on."""
    before, code = STARTERS[name]
    if before and shutil.which(before[0]) is None:
        pytest.skip(f"{before[0]} is not installed here")
    cli.box.latency = (0.2, 0.2)
    if name == "a bare environment":
        before = [*before, *(f"{key}={text}" for key, text in bare(cli).items())]
    first = cli.start(*WORKER, "--concurrency", 5, before=before)
    following = hand_over(cli)
    until(lambda: len(cli.box.ledger.purchases) >= 10)
    _terminate(first, deep=name == "setsid")
    ended = cli.ended(first)
    assert ended.code == code, ended.err
    assert "stopping: settling requests under way" in ended.err
    assert home.server.asked(_SENDING, database=home.name) == [(0,)]

    cli.box.latency = (0.0, 0.0)
    second = cli.start(*WORKER)
    done = cli.ended(following)
    second.send_signal(signal.SIGTERM)
    assert cli.ended(second).code == 0
    assert (done.code, done.summary["done"]) == (0, ROWS)
    assert len(cli.box.ledger.purchases) == ROWS


_SENDING = "SELECT count(*) FROM sigmamind.operations WHERE state = 'sending'"


def _terminate(process: subprocess.Popen[bytes], *, deep: bool) -> None:
    """End *process*, or the one that it has started."""
    started = children(process.pid) if deep else []
    os.kill(started[0] if started else process.pid, signal.SIGTERM)


NAMESPACE = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]


def _can_unshare() -> bool:
    if shutil.which("unshare") is None or not hasattr(os, "geteuid") or os.geteuid() != 0:
        return False
    return subprocess.run([*NAMESPACE, "true"], check=False, capture_output=True).returncode == 0


@pytest.mark.skipif(not _can_unshare(), reason="only root makes a process the first of its own")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_worker_that_is_process_1_settles(
    cli: Cli, home: Database, until: Wait, number: signal.Signals
) -> None:
    """The first process of a container gets no signal that it has no handler for."""
    cli.box.latency = (0.2, 0.2)
    worker = cli.start(*WORKER, "--concurrency", 5, before=NAMESPACE)
    following = hand_over(cli)
    until(lambda: len(cli.box.ledger.purchases) >= 10)
    [inner] = children(worker.pid)
    os.kill(inner, number)
    ended = cli.ended(worker)
    following.send_signal(signal.SIGINT)
    cli.ended(following)

    assert ended.code == 0, ended.err
    assert "stopping: settling requests under way" in ended.err
    assert home.server.asked(_SENDING, database=home.name) == [(0,)]
    assert 10 <= len(cli.box.ledger.purchases) < ROWS


# ---------------------------------------------------------------- a job

JOBS: list[tuple[str, list[str]]] = [
    ("cron", ["env", "-i"]),
    ("nice and nohup", ["nice", "nohup"]),
]


@pytest.mark.parametrize(("name", "before"), JOBS)
def test_a_job_needs_nothing_but_its_key(cli: Cli, name: str, before: Sequence[str]) -> None:
    """No HOME, no TERM, no PATH; nothing to read from."""
    if name == "cron":
        before = [*before, *(f"{key}={text}" for key, text in bare(cli).items())]
    done = cli.ended(
        cli.start(
            *("apply", cli.fleet(3), "--max-purchases", 3, "--yes", "--report", "page.html"),
            before=before,
        )
    )

    assert (done.code, len(cli.box.ledger.purchases)) == (0, 3), done.err
    assert "bought" in (cli.folder / "page.html").read_text("utf-8")


@needs("timeout")
def test_a_job_that_is_timed_out_goes_on_another_time(cli: Cli) -> None:
    """Killed a second after it was asked to end, unless its requests are settled by then."""
    cli.box.sigmamind.script("create", ["hang_before_commit"] * ROWS)
    words = ("apply", cli.fleet(ROWS), "--max-purchases", ROWS, "--yes")
    cut = cli.ended(cli.start(*words, before=["timeout", "-k", "1", "5"]))
    bought = len(cli.box.ledger.purchases)
    done = cli(*words, "--settle-time", "1")

    assert cut.code in {124, 137, -signal.SIGKILL}
    assert bought <= ROWS
    assert done.code in {0, 3}
    assert len(set(cli.labels())) == len(cli.labels()), "bought twice"


# ---------------------------------------------------------------- a database that goes away


@pytest.mark.long
def test_a_worker_waits_for_its_database_and_says_so_once(cli: Cli, until: Wait) -> None:
    """Then it goes on: what was enqueued meanwhile is carried out, once."""
    with running() as server, database(server) as home:
        cli.environment["SIGMAMIND_POSTGRES"] = home.dsn
        worker = cli.start(*WORKER)
        words = ("--postgres", "--workers", "--max-purchases", 1, "--yes")
        assert cli("apply", cli.fleet(1), *words).code == 0
        server.stop()
        time.sleep(5.0)  # no limit: several of its parts ask each second
        server.start()
        done = cli.ended(hand_over(cli))
        worker.send_signal(signal.SIGTERM)
        ended = cli.ended(worker)

    away = [line for line in ended.err.splitlines() if "cannot" in line or "rror" in line]
    assert (done.code, ended.code) == (0, 0), f"{done.err}{ended.err}"
    assert len(away) == 1, ended.err
    assert away[0].startswith("PostgreSQL database")
    assert away[0].endswith("Retrying.")
    assert len(cli.box.ledger.purchases) == ROWS
