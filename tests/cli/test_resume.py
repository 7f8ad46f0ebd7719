"""``sigmamind apply`` again: after kill -9, beside itself, and with the wrong journal."""

from __future__ import annotations

import json
import signal
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sigmamind_async.provisioning.tags import remove_tag
from sigmamind_async.sandbox import Faults

if TYPE_CHECKING:
    from tests.cli.conftest import Cli, Inside, Wait

ROWS = 150


def buy(count: int) -> tuple[object, ...]:
    return ("--max-purchases", count, "--yes")


def labels(count: int) -> list[str]:
    return sorted(f"n{place}" for place in range(count))


# ---------------------------------------------------------------- the same command again


def test_a_second_run_sends_nothing(cli: Cli, inside: Inside) -> None:
    path = cli.fleet(3)
    first = inside("apply", path, *buy(3), "--json")
    second = inside("apply", path, *buy(3), "--json")

    numbers = {row["id"]: row["phone_number"] for row in first.rows}
    assert (first.code, second.code) == (0, 0)
    assert {row["id"]: row["phone_number"] for row in second.rows} == numbers
    assert [row["action"] for row in second.rows] == ["unchanged"] * 3
    assert (first.summary["unchanged"], second.summary["unchanged"]) == (0, 3)
    assert len(cli.box.ledger) == 3


def test_a_person_is_told_what_was_not_sent_again(cli: Cli, inside: Inside) -> None:
    path = cli.fleet(3)
    inside("apply", path, *buy(3))
    done = inside("apply", path)

    assert done.code == 0
    assert "3 unchanged" in done.out
    assert f"{path}: 3 unchanged\n" in done.err


def test_kill_9_and_again_buys_nothing_twice(cli: Cli, inside: Inside, until: Wait) -> None:
    """The promise: lost answers, late commits and the death of the process together."""
    cli.box.latency = (0.05, 0.2)
    cli.box.faults = Faults(share=0.15, hang=0.3, late=0.2)
    path = cli.fleet(ROWS)
    words = (
        "--settle-time",
        1,
        "--retry-unconfirmed",
        "--attempt-timeout",
        1,
        "--deadline",
        10,
        "--json",
    )
    process = cli.start("apply", path, *buy(ROWS), *words)
    until(lambda: len(cli.box.ledger.purchases) >= ROWS // 3 and cli.box.sigmamind.in_flight > 5)
    process.send_signal(signal.SIGKILL)
    cli.ended(process)
    standing = inside("status", path)
    cli.box.faults = Faults()
    again = inside("apply", path, *buy(ROWS), *words)

    assert process.returncode == -signal.SIGKILL
    assert standing.code == 3
    assert (again.code, again.summary["done"] + again.summary["unchanged"]) == (0, ROWS)
    assert again.summary["unchanged"] > 0
    assert cli.labels() == labels(ROWS)
    told = {row["phone_number"] for row in again.rows}
    assert told == {commit.phone_number for commit in cli.box.ledger.purchases}


def test_a_failed_row_is_tried_again(cli: Cli, inside: Inside) -> None:
    cli.box.sigmamind.script("create", ["conflict_409"])
    path = cli.fleet(2)
    first, second = inside("apply", path, *buy(2)), inside("apply", path, *buy(2))

    assert (first.code, second.code) == (1, 0)
    assert cli.labels() == labels(2)


def test_a_row_added_at_the_end_is_bought_alone(cli: Cli, inside: Inside) -> None:
    path = cli.fleet(2)
    inside("apply", path, *buy(2))
    refused = inside("apply", cli.fleet(3), *buy(2))
    done = inside("apply", path, *buy(3))

    assert refused.code == 2
    assert (
        "buys 1 number and its journal counts 2 numbers already, and --max-purchases allows 2"
        in (refused.err)
    )
    assert done.code == 0
    assert cli.labels() == labels(3)


# ---------------------------------------------------------------- rows and their ids


def test_rows_with_ids_may_change_their_order(cli: Cli, inside: Inside) -> None:
    path = cli.fleet(3)
    inside("apply", path, *buy(3))
    path.write_text("\n".join(reversed(path.read_text().splitlines())))
    done = inside("apply", path, *buy(3), "--json")

    assert (done.code, done.summary["unchanged"]) == (0, 3)


# ---------------------------------------------------------------- what may be spent


def test_the_limit_holds_over_all_runs(cli: Cli, inside: Inside) -> None:
    """Two files of one journal: what the first has bought counts for the second."""
    words = ("--journal", "all.db")
    inside("apply", cli.fleet(3, "a.jsonl"), *buy(3), *words)
    row = {"id": "more", "platform": "sigmamind", "source": "purchase", "country_code": "US"}
    more = cli.write("b.jsonl", json.dumps({**row, "label": "other"}))
    refused = inside("apply", more, *buy(3), *words)
    done = inside("apply", more, *buy(4), *words)

    assert (refused.code, done.code) == (2, 0)
    assert "agree" not in refused.err
    assert len(cli.box.ledger.purchases) == 4


def test_files_that_share_a_journal_do_not_ask_about_the_rows_of_each_other(
    cli: Cli, inside: Inside
) -> None:
    """The control: a row that was renamed, also after the file was, buys nothing."""
    words = ("--journal", "all.db", *buy(9), "--json")
    same = {"platform": "sigmamind", "source": "purchase", "country_code": "US"}

    def write(name: str, *ids: str) -> Path:
        return cli.write(name, "".join(json.dumps({"id": each, **same}) + "\n" for each in ids))

    for path in (write("eu.jsonl", "eu-1", "eu-2"), write("us.jsonl", "us-1")):
        assert inside("apply", path, *words).code == 0
    assert inside("apply", write("us.jsonl", "us-1", "us-2"), *words).code == 0
    assert len(cli.box.ledger.purchases) == 4
    for name in ("eu.jsonl", "./eu.jsonl", "eu-copy.jsonl"):
        renamed = inside("apply", write(name, "eu-1", "new"), *words)
        assert (renamed.code, "the row eu-2, which this fleet does not list" in renamed.out) == (
            1,
            True,
        )
    assert len(cli.box.ledger.purchases) == 4


# ---------------------------------------------------------------- journals that do not fit


def broken(path: Path, statement: str) -> None:
    database = sqlite3.connect(path)
    database.execute(statement)
    database.commit()
    database.close()


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("PRAGMA user_version = 99", "another version of sigmamind-async"),
        ("PRAGMA application_id = 1", "fleet.jsonl.journal.db"),
    ],
)
@pytest.mark.parametrize("command", ["apply", "status", "reconcile"])
def test_a_journal_of_somebody_else_stops_everything(
    cli: Cli, inside: Inside, command: str, statement: str, told: str
) -> None:
    path = cli.fleet(1)
    inside("apply", path, *buy(1))
    broken(Path(f"{path}.journal.db"), statement)
    sent = cli.box.sigmamind.requests.total
    done = inside(command, path)

    assert (done.code, done.out) == (2, "")
    assert told in done.err
    assert done.error
    assert cli.box.sigmamind.requests.total == sent


def test_an_old_journal_is_refused_until_it_is_accepted(cli: Cli, inside: Inside) -> None:
    """Then what it does not know is found in the account, and not bought again."""
    path = cli.fleet(4)
    journal = Path(f"{path}.journal.db")
    inside("apply", cli.write(path.name, path.read_text().splitlines()[0]), *buy(1))
    old = journal.read_bytes()
    inside("apply", cli.fleet(4), *buy(4))
    journal.write_bytes(old)
    refused = inside("apply", cli.fleet(4), *buy(8))
    looked = inside("status", path)
    accepted = inside("reconcile", path, "--restored")
    done = inside("apply", cli.fleet(4), *buy(8))

    assert (refused.code, looked.code) == (2, 2)
    assert "holds only" in refused.err
    assert "`sigmamind reconcile FILE --restored`" in looked.err
    assert (accepted.code, done.code) == (0, 0)
    assert len(cli.box.ledger.purchases) == 4


@pytest.mark.parametrize("content", ["action,id\n", "x" * 5000])
def test_a_file_that_is_no_journal_stops_everything(cli: Cli, inside: Inside, content: str) -> None:
    journal = cli.write("rows.txt", content)
    done = inside("apply", cli.fleet(1), *buy(1), "--journal", journal)

    assert (done.code, done.out) == (2, "")
    assert "rows.txt" in done.err
    assert journal.read_text() == content
    assert cli.box.sigmamind.requests.total == 0


def test_a_key_of_another_account_is_refused(cli: Cli, inside: Inside) -> None:
    """What is not in this account would be bought again there."""
    path = cli.fleet(2)
    inside("apply", cli.write(path.name, path.read_text().splitlines()[0]), *buy(1))
    other = {"SIGMAMIND_API_KEY": cli.box.verbex.api_key}
    cli.box.sigmamind.backend.account.clear()
    cli.box.sigmamind.api_key = cli.box.verbex.api_key
    refused = inside("apply", cli.fleet(2), *buy(2), **other)
    accepted = inside("apply", cli.fleet(2), *buy(2), "--accept-key", "--skip-bad", **other)

    assert (refused.code, refused.out) == (2, "")
    assert "made with another API key" in refused.err
    assert "confirm that with --accept-key" in refused.err
    assert accepted.code == 1, "the number of the other row is not in this account"
    assert len(cli.box.ledger.purchases) == 2


def test_a_wrong_key_can_be_put_right(cli: Cli, inside: Inside) -> None:
    path = cli.fleet(20)
    refused = inside("apply", path, *buy(20), SIGMAMIND_API_KEY="canary-key")
    done = inside("apply", path, *buy(20))

    assert (refused.code, done.code) == (2, 0)
    assert cli.labels() == labels(20)


def test_a_folder_that_cannot_be_written_to_is_told(cli: Cli, inside: Inside) -> None:
    done = inside("apply", cli.fleet(1), *buy(1), "--journal", "missing/j.db")

    assert (done.code, done.out) == (2, "")
    assert "missing/j.db" in done.err
    assert cli.box.sigmamind.requests.total == 0


def test_a_journal_that_takes_no_more_ends_the_job(cli: Cli, until: Wait) -> None:
    """A full disk: nothing is sent that could not be written down before."""
    cli.box.latency = (0.2, 0.2)
    path = cli.fleet(ROWS)
    # The largest file that the process may write, in blocks of 512 bytes.
    limit = f'ulimit -f {1024 * 150 // 512}; trap "" XFSZ; exec "$@"'
    limited = ["sh", "-c", limit, "sh"]
    process = cli.start("apply", path, *buy(ROWS), "--json", before=limited)
    done = cli.ended(process)

    assert done.summary["stopped"] == "journal_unusable"
    assert done.code in {1, 3}
    assert len(cli.box.ledger.purchases) < ROWS
    told = {row["phone_number"] for row in done.rows if row["status"] == "done"}
    assert told <= {commit.phone_number for commit in cli.box.ledger.purchases}
    assert not cli.box.ledger.bought_twice(remove_tag)


# ---------------------------------------------------------------- two at once


def test_a_second_apply_is_told_that_one_is_running(cli: Cli, inside: Inside, until: Wait) -> None:
    cli.box.latency = (8.0, 8.0)
    path = cli.fleet(5)
    first = cli.start("apply", path, *buy(5))
    until(lambda: cli.box.sigmamind.in_flight == 5)
    second = inside("apply", path, *buy(5))
    standing = inside("status", path, SIGMAMIND_API_KEY="")
    done = cli.ended(first)

    assert (second.code, second.out) == (2, "")
    assert f"process {first.pid}" in second.err or str(first.pid) in second.err
    assert standing.code == 3
    assert "5  sending" in standing.out
    assert done.code == 0
    assert cli.labels() == labels(5)


def test_the_journal_is_for_its_owner_alone(cli: Cli, inside: Inside) -> None:
    path = cli.fleet(1)
    inside("apply", path, *buy(1))

    assert Path(f"{path}.journal.db").stat().st_mode & 0o777 == 0o600
