"""``sigmamind status`` and ``sigmamind reconcile``: what is known, and every way out of it."""

from __future__ import annotations

import json
import re
import shlex
import signal
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sigmamind_async.sandbox import Faults

if TYPE_CHECKING:
    from tests.cli.conftest import Cli, Done, Inside, Wait

BUY = ("--max-purchases", 9, "--yes", "--deadline", 0.5)
NOBODY = {"SIGMAMIND_API_KEY": "", "SIGMAMIND_BASE_URL": "http://127.0.0.1:1"}
"""Neither a key nor a platform to ask."""


@pytest.fixture
def lost(cli: Cli, inside: Inside) -> Path:
    """A file of which one row was bought and one went unanswered, and was not bought."""
    cli.box.sigmamind.script("create", [None, "reset_before_commit"])
    path = cli.fleet(2)
    assert inside("apply", path, *BUY).code == 3
    return path


@pytest.fixture
def undecided(inside: Inside, lost: Path) -> Path:
    """The same, and nobody but a person can go on with it."""
    assert inside("reconcile", lost, "--settle-time", 0, "--wait").code == 3
    return lost


@pytest.fixture
def duplicates(cli: Cli, inside: Inside) -> Path:
    """A file of which one row has bought two numbers: the lost request came late after all."""
    cli.box.faults = Faults(late=0.8)
    cli.box.sigmamind.script("create", ["late_commit"])
    path = cli.fleet(1)
    assert inside("apply", path, *BUY, "--settle-time", 0, "--retry-unconfirmed").code == 0
    return path


@pytest.fixture
def two(inside: Inside, cli: Cli, duplicates: Path, until: Wait) -> Path:
    until(lambda: len(cli.box.ledger.purchases) == 2)
    assert inside("reconcile", duplicates).code == 3
    return duplicates


def doubtful_id(inside: Inside, path: Path) -> str:
    [row] = inside("status", path, "--json").open_rows
    return str(row["row"])


# ---------------------------------------------------------------- status


def test_all_settled_is_exit_0(cli: Cli, inside: Inside) -> None:
    """Without a key, and with nobody at the other end."""
    path = cli.fleet(3)
    inside("apply", path, *BUY)
    done = inside("status", path, **NOBODY)

    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        f"{path}.journal.db (sigmamind): all settled",
        "",
        "      3  done",
        "      3  numbers bought",
    ]


def test_what_is_in_doubt_is_told_with_when_it_can_be_believed(inside: Inside, lost: Path) -> None:
    done = inside("status", lost, "--settle-time", 600, **NOBODY)

    assert done.code == 3
    assert "(sigmamind): 1 row unconfirmed" in done.out
    assert "request: buy any number" in done.out
    assert "the connection to 127.0.0.1:" in done.out
    assert 'safe to conclude "not bought" after 20' in done.out
    assert f"sigmamind reconcile {lost} --wait --settle-time 600s\n" in done.out
    assert "sigmamind.create" not in done.out


def test_the_end_of_the_settle_time_is_told(inside: Inside, lost: Path) -> None:
    assert 'safe to conclude "not bought" now' in inside("status", lost, "--settle-time", 0).out


def test_who_has_to_decide_is_told_how(inside: Inside, undecided: Path) -> None:
    """What happened, then each command as it has to be typed."""
    applied = inside("apply", undecided, *BUY)
    done = inside("status", undecided, **NOBODY)
    row = doubtful_id(inside, undecided)

    assert applied.code == done.code == 3
    assert "needs a decision" in applied.out + applied.err
    assert done.out.startswith(f"{undecided}.journal.db (sigmamind): 1 row needs a decision\n")
    for way in ("--adopt +NUMBER", "--retry-unconfirmed", "--abandon"):
        assert f"    sigmamind reconcile {undecided} --only {row} {way}\n" in done.out
    assert "version" not in done.out
    assert "lease" not in done.out


def test_status_as_json(inside: Inside, undecided: Path) -> None:
    done = inside("status", undecided, "--json", **NOBODY)
    head, [row] = done.objects[0], done.open_rows

    assert head == {
        "type": "journal_status",
        "version": 1,
        "journal": f"{undecided}.journal.db",
        "platform": "sigmamind",
        "now": head["now"],
        "counts": {"done": 1, "needs_decision": 1},
        "purchased": 2,
        "is_settled": False,
        "reconcile_command": f"sigmamind reconcile {undecided} --wait",
        "sender": "the next apply",
    }
    assert row["state"] == "needs_decision"
    assert row["unsettled"]["settles_at"] is None
    assert [way["command"].split(" --")[-1] for way in row["unsettled"]["resolutions"]] == [
        "adopt +NUMBER",
        "retry-unconfirmed",
        "abandon",
    ]


def test_every_row_is_shown_with_its_number_if_that_is_wanted(
    cli: Cli, inside: Inside, undecided: Path
) -> None:
    number = cli.box.ledger.purchases[0].phone_number or ""
    some = inside("status", undecided)
    done = inside("status", undecided, "--rows")
    found = inside("status", undecided, "--json").objects

    assert number not in some.out
    assert re.search(rf"^buy-[01] +\{number} +buy +done$", done.out, re.MULTILINE)
    assert number in [each.get("phone_number") for each in found]


@pytest.mark.parametrize("time", ["2h", "120m", "7200s", "7200"])
def test_a_time_may_have_a_unit(inside: Inside, lost: Path, time: str) -> None:
    [row] = inside("status", lost, "--settle-time", time, "--json").open_rows
    since, until = (
        datetime.fromisoformat(row["unsettled"][name]) for name in ("since", "settles_at")
    )

    assert (until - since).total_seconds() == pytest.approx(7200, abs=1)


def test_the_journal_itself_can_be_named(cli: Cli, inside: Inside, lost: Path) -> None:
    journal = f"{lost}.journal.db"
    by_name = inside("status", journal)
    moved = cli.folder / "elsewhere.db"
    Path(journal).rename(moved)
    chosen = inside("status", lost, "--journal", moved)

    assert f"sigmamind reconcile {journal} --wait" in by_name.out
    assert f"sigmamind reconcile {lost} --journal {moved} --wait" in chosen.out


def test_status_while_a_job_runs_and_after_its_death(cli: Cli, inside: Inside, until: Wait) -> None:
    cli.box.latency = (5.0, 5.0)
    path = cli.fleet(4)
    process = cli.start("apply", path, *BUY[:3])
    until(lambda: cli.box.sigmamind.in_flight == 4)
    running = inside("status", path, **NOBODY)
    process.send_signal(signal.SIGKILL)
    cli.ended(process)
    dead = inside("status", path, **NOBODY)

    for done in (running, dead):
        assert done.code == 3
        assert "4 rows unconfirmed" in done.out
        assert "still in progress, or its process was killed" in done.out


def test_a_file_that_was_never_applied_is_told(cli: Cli, inside: Inside) -> None:
    done = inside("status", cli.fleet(1))

    assert (done.code, done.out) == (2, "")
    assert "nothing has been applied from" in done.err


@pytest.mark.parametrize("command", ["status", "reconcile", "apply"])
def test_a_journal_that_is_gone_is_not_one_that_never_was(
    cli: Cli, inside: Inside, command: str
) -> None:
    """Its lock file is still there. Control: where that goes too, *status* finds nothing."""
    path = cli.fleet(1)
    assert inside("apply", path, *BUY).code == 0
    Path(f"{path}.journal.db").unlink()
    done = inside(command, path)

    assert (done.code, done.out) == (2, "")
    assert "is gone or empty, and its lock file records a journal" in done.err
    Path(f"{path}.journal.db-lock").unlink()
    assert "nothing has been applied from" in inside("status", path).err


def test_rows_of_every_platform_are_shown(cli: Cli, inside: Inside) -> None:
    words = ("--journal", "all.db")
    inside("apply", cli.fleet(1, "a.jsonl"), *BUY, *words)
    row = {"id": "verbex-1", "platform": "verbex", "source": "purchase"}
    inside("apply", cli.write("b.jsonl", json.dumps(row)), *BUY, *words)
    done = inside("status", "all.db")
    one = inside("status", "all.db", "--platform", "verbex")

    assert done.code == 0
    assert [line for line in done.out.splitlines() if line.startswith("all.db")] == [
        "all.db (sigmamind): all settled",
        "all.db (verbex): all settled",
    ]
    assert "sigmamind" not in one.out


# ---------------------------------------------------------------- reconcile


def test_reconcile_shows_what_it_found(cli: Cli, inside: Inside) -> None:
    cli.box.sigmamind.script("create", ["reset_after_commit"])
    cli.box.list_lag = 3600.0
    path = cli.fleet(1)
    inside("apply", path, *BUY)
    cli.box.list_lag = 0.0
    done = inside("reconcile", path)
    number = cli.box.ledger.purchases[0].phone_number

    assert done.code == 0
    assert done.out.splitlines()[:2] == [
        f"buy-0: unconfirmed -> done (found {number} by its tag)",
        f"{path}.journal.db (sigmamind): all settled",
    ]


def test_reconcile_sends_nothing(cli: Cli, inside: Inside, lost: Path) -> None:
    """Not even what may be sent again: that is up to the next apply."""
    done = inside("reconcile", lost, "--wait", "--settle-time", 0, "--retry-unconfirmed", "--json")
    change = done.objects[0]
    before = len(cli.box.ledger.purchases)
    again = inside("apply", lost, *BUY)

    assert (done.code, before) == (0, 1)
    assert (change["before"], change["after"]) == ("unconfirmed", "planned")
    assert again.code == 0
    assert cli.labels() == ["n0", "n1"]


def test_waiting_ends_with_the_settle_time(inside: Inside, lost: Path) -> None:
    done = inside("reconcile", lost, "--wait", "--settle-time", 2)

    assert done.code == 3
    assert "unconfirmed -> needs a decision" in done.out
    assert "1 row is unconfirmed; the settle time ends at 20" in done.err
    assert done.err.count("\n") == 1


def test_waiting_outlives_a_platform_that_fails(cli: Cli, inside: Inside, lost: Path) -> None:
    cli.box.sigmamind.script("list", [*[None] * 2, *["status_500_before_commit"] * 6])
    words = ("--settle-time", 3, "--deadline", 0.3)
    done = inside("reconcile", lost, "--wait", *words)

    assert "needs a decision" in done.out
    assert "; looking again" in done.err


def test_ctrl_c_while_waiting_loses_nothing(cli: Cli, inside: Inside, lost: Path) -> None:
    process = cli.start("reconcile", lost, "--wait")
    assert process.stderr is not None
    assert b"Ctrl-C loses nothing" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    done = cli.ended(process)

    assert done.code == 130
    assert inside("status", lost).code == 3


# ---------------------------------------------------------------- each way out

Follow = Callable[..., "Done"]


@pytest.fixture
def follow(inside: Inside) -> Follow:
    """Type the command that ``status`` shows for a decision."""

    def type_it(path: Path, option: str, *more: object, number: str = "") -> Done:
        [row] = inside("status", path, "--json").open_rows
        [command] = [
            way["command"] for way in row["unsettled"]["resolutions"] if option in way["command"]
        ]
        words = shlex.split(command.replace("+NUMBER", number))
        assert words[0] == "sigmamind"
        return inside(*words[1:], *more)

    return type_it


def test_adopt(cli: Cli, inside: Inside, undecided: Path, follow: Follow) -> None:
    """A number that somebody bought by hand in the meantime."""
    number = "+14155550123"
    row = {"id": "hand", "platform": "sigmamind", "source": "import", "phone_number": number}
    assert inside("apply", cli.write("hand.jsonl", json.dumps(row))).code == 0
    done = follow(undecided, "--adopt", number=number)
    again = inside("apply", undecided, *BUY, "--json")

    assert done.code == 0
    assert f"needs a decision -> done (operator's decision: adopted {number})" in done.out
    assert (again.code, again.summary["failed"]) == (0, 0)
    assert number in [row["phone_number"] for row in again.rows]
    assert len(cli.box.ledger.purchases) == 1


def test_a_number_of_another_row_cannot_be_adopted(
    cli: Cli, inside: Inside, undecided: Path, follow: Follow
) -> None:
    number = cli.box.ledger.purchases[0].phone_number or ""
    done = follow(undecided, "--adopt", number=number)

    assert (done.code, done.out) == (2, "")
    assert number in done.err
    assert inside("status", undecided).code == 3


def test_a_number_that_is_not_there_cannot_be_adopted(
    inside: Inside, undecided: Path, follow: Follow
) -> None:
    done = follow(undecided, "--adopt", number="+14155550199")

    assert (done.code, done.out) == (2, "")
    assert "+14155550199 is not in the account" in done.err
    assert inside("status", undecided).code == 3


def test_a_rule_does_not_decide_and_says_so(cli: Cli, inside: Inside, undecided: Path) -> None:
    done = inside("reconcile", undecided, "--retry-unconfirmed")

    assert done.code == 3
    assert "name each with --only ROW" in done.err
    assert len(cli.box.ledger.purchases) == 1
    assert "--only ROW" not in inside("reconcile", undecided).err


def test_retry_unconfirmed(cli: Cli, inside: Inside, undecided: Path, follow: Follow) -> None:
    done = follow(undecided, "--retry-unconfirmed")
    before = len(cli.box.ledger.purchases)
    again = inside("apply", undecided, *BUY)

    assert (done.code, before) == (0, 1)
    assert "is sent by the next sigmamind apply, not by this" in done.err
    assert again.code == 0
    assert cli.labels() == ["n0", "n1"]


def test_abandon(cli: Cli, inside: Inside, undecided: Path, follow: Follow) -> None:
    """Nothing is sent for the row by any later run, and none fails because of it."""
    done = follow(undecided, "--abandon")
    again = inside("apply", undecided, *BUY)

    assert (done.code, again.code) == (0, 0)
    assert "an operator abandoned it" in again.out
    assert len(cli.box.ledger.purchases) == 1


def test_release_duplicates(cli: Cli, inside: Inside, two: Path, follow: Follow) -> None:
    """The second number is paid for, and given back; only after a yes."""
    refused = follow(two, "--release-duplicates")
    assert len(cli.box.ledger.owned()) == 2
    done = follow(two, "--release-duplicates", "--yes")

    assert (refused.code, refused.out) == (2, "")
    assert "permanently. Agree with --yes; nothing was sent" in refused.err
    assert done.code == 0
    assert len(cli.box.ledger.owned()) == 1
    assert inside("apply", two, *BUY).code == 0


def test_keep_the_duplicates(cli: Cli, inside: Inside, two: Path, follow: Follow) -> None:
    done = follow(two, "--abandon")
    again = inside("apply", two, *BUY, "--json")

    assert (done.code, again.code) == (0, 0)
    assert len(cli.box.ledger.owned()) == 2
    assert inside("reconcile", two).code == 0


def test_duplicates_are_released_by_a_rule(
    cli: Cli, inside: Inside, duplicates: Path, until: Wait
) -> None:
    """Without a row: whatever is found."""
    until(lambda: len(cli.box.ledger.purchases) == 2)
    done = inside("reconcile", duplicates, "--release-duplicates", "--yes")

    assert done.code == 0
    assert len(cli.box.ledger.owned()) == 1


def test_what_turned_up_makes_a_decision_void(cli: Cli, inside: Inside, until: Wait) -> None:
    """Nothing is sent again that came in the meantime."""
    cli.box.faults = Faults(late=1.5)
    cli.box.sigmamind.script("create", ["late_commit"])
    path = cli.fleet(1)
    inside("apply", path, *BUY)
    inside("reconcile", path, "--wait", "--settle-time", 0)
    until(lambda: len(cli.box.ledger.purchases) == 1)
    done = inside("reconcile", path, "--only", "buy-0", "--retry-unconfirmed")

    assert done.code == 0
    assert "it has turned up, so there is nothing to decide" in done.err
    assert "done (found" in done.out


# ---------------------------------------------------------------- what makes no sense


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--only", "buy-0"), "--only ROW needs one of --adopt NUMBER, --retry-unconfirmed"),
        (("--only", "buy-0", "--retry-unconfirmed", "--abandon"), "--only ROW needs one of"),
        (("--abandon",), "name it with --only ROW"),
        (("--adopt", "+1"), "name it with --only ROW"),
        (("--only", "a", "--only", "b", "--adopt", "+1"), "name a single --only ROW"),
        (("--only", "a", "--retry-unconfirmed", "--wait"), "exclude each other"),
        (
            ("--only", "nobody", "--retry-unconfirmed"),
            "has no row 'nobody'; known are buy-0, buy-1",
        ),
        (("--only", "bu-1", "--abandon"), "has no row 'bu-1'; did you mean 'buy-1'?"),
        (("--settle-time", "-1"), "--settle-time"),
        (("--settle-time", "soon"), "'soon' is not a duration; write 90, 90s, 15m or 1h"),
    ],
)
def test_a_decision_that_makes_no_sense_is_told(
    inside: Inside, lost: Path, words: tuple[str, ...], told: str
) -> None:
    done = inside("reconcile", lost, *words)

    assert (done.code, done.out) == (2, "")
    assert told in done.err
    assert done.error


def test_a_row_is_named_as_in_the_file_or_as_in_the_journal(
    inside: Inside, undecided: Path
) -> None:
    row = doubtful_id(inside, undecided)
    done = inside("reconcile", undecided, "--only", f"{row} #1", "--retry-unconfirmed")
    again = inside("reconcile", undecided, "--only", row, "--retry-unconfirmed")

    assert done.code == 0
    assert done.out.startswith(f"{row}: needs a decision -> planned")
    assert again.error.endswith(f"{row} is planned, so there is nothing to decide")


def test_what_may_still_turn_up_is_not_sent_again(inside: Inside, lost: Path) -> None:
    done = inside("reconcile", lost, "--only", doubtful_id(inside, lost), "--retry-unconfirmed")

    assert (done.code, done.out) == (2, "")
    assert "may still turn up until 20" in done.err
    assert f"sigmamind reconcile {lost} --wait" in done.err


def test_what_is_done_needs_no_decision(cli: Cli, inside: Inside) -> None:
    path = cli.fleet(1)
    inside("apply", path, *BUY)
    done = inside("reconcile", path, "--only", "buy-0", "--abandon")

    assert (done.code, done.out) == (2, "")
    assert "is done, so there is nothing to decide" in done.err
