"""Ordinary handling of a file buys nothing twice, and nothing that was not shown.

The sandbox's ledger is the judge. Each guard was broken once, and the test beside it failed; where
the guard is in place of an option, the option is the negative control in the test itself.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sigmamind_async.cli.fleet_input import read_once
from sigmamind_async.cli.other_journals import MOST_REMEMBERED, known_journals
from sigmamind_async.provisioning.tags import remove_tag
from tests.cli.conftest import Terminal
from tests.cli.test_terminal import ESCAPES
from tests.functional.workers import database

if TYPE_CHECKING:
    from tests.cli.conftest import Cli, Done, Inside, Wait
    from tests.harness.postgres import Server

HEADER = "id,platform,source,country_code,label\n"
ROWS = HEADER + "desk,sigmamind,purchase,US,Desk\nnight,sigmamind,purchase,US,Night\n"
BUY = ("--max-purchases", 9, "--yes")


def bought(cli: Cli) -> list[str]:
    """Return the labels that were bought, one for each purchase."""
    return sorted(remove_tag(each.friendly_name or "") for each in cli.box.ledger.purchases)


@pytest.fixture
def applied(cli: Cli, inside: Inside) -> Path:
    """A fleet whose two numbers were bought."""
    path = cli.write("fleet.csv", ROWS)
    assert inside("apply", path, *BUY).code == 0
    return path


def check_stopped(cli: Cli, done: Done, journal: Path | str) -> None:
    """Check that *done* bought nothing, and named the journal to go on with."""
    assert done.code == 2, done
    assert f"{journal} has bought numbers for these rows" in done.err
    assert "already: desk, night. To continue with that journal" in done.err
    assert bought(cli) == ["Desk", "Night"]


# ---------------------------------------------------------------- another file, the same rows

AS_YAML = """\
- {id: desk, platform: sigmamind, source: purchase, country_code: US, label: Desk}
- {id: night, platform: sigmamind, source: purchase, country_code: US, label: Night}
"""


@pytest.mark.parametrize(
    ("name", "content"), [("fleet (1).csv", ROWS), ("fleet.yaml", AS_YAML), ("other.csv", ROWS)]
)
def test_a_copy_of_a_fleet_stops(
    cli: Cli, inside: Inside, applied: Path, name: str, content: str
) -> None:
    copy = cli.write(name, content)
    check_stopped(cli, inside("apply", copy, *BUY), f"{applied}.journal.db")

    own = f"{copy}.journal.db"
    goes_on = inside("apply", copy, *BUY, "--journal", f"{applied}.journal.db")
    assert (goes_on.code, bought(cli)) == (0, ["Desk", "Night"])
    assert inside("apply", copy, *BUY, "--journal", own).code == 0
    assert len(bought(cli)) == 4, "negative control: said explicitly, it is bought again"


@pytest.mark.parametrize("change", ["ids", "labels", "order"])
def test_a_copy_that_was_edited_stops(cli: Cli, inside: Inside, applied: Path, change: str) -> None:
    """A row is known by its id, or by its fields where a label tells it from others."""
    content = {
        "ids": ROWS.replace("desk", "d1").replace("night", "n1"),
        "labels": ROWS.replace("Desk", "Help").replace("Night", "Late"),
        "order": HEADER + "".join(reversed(ROWS.splitlines(keepends=True)[1:])),
    }[change]
    done = inside("apply", cli.write("copy.csv", content), *BUY)

    assert (done.code, bought(cli)) == (2, ["Desk", "Night"])
    assert f"{applied}.journal.db has bought numbers" in done.err


def test_a_fleet_with_a_journal_of_its_own_is_not_bought_again_by_a_database(
    cli: Cli, inside: Inside, applied: Path, postgres: Server
) -> None:
    """The journal moved from the file's side into a database that knows nothing of it."""
    with database(postgres) as home:
        words = ("apply", applied, *BUY, "--postgres")
        done = inside(*words, SIGMAMIND_POSTGRES=home.dsn)
        assert (done.code, bought(cli)) == (2, ["Desk", "Night"])
        assert f"{applied}.journal.db has bought numbers for these rows" in done.err
        assert "already: desk, night. To continue with it, leave --postgres out" in done.err

        Path(f"{applied}.journal.db").rename(cli.folder / "gone.db")
        assert inside(*words, SIGMAMIND_POSTGRES=home.dsn).code == 0
        assert len(bought(cli)) == 4, "negative control: the journal is what stops it"


def test_other_rows_beside_a_fleet_are_bought(cli: Cli, inside: Inside, applied: Path) -> None:
    """Negative control: another fleet in the same folder is no copy."""
    rows = HEADER + "x,sigmamind,purchase,US,Sales\ny,sigmamind,purchase,US,\n"
    done = inside("apply", cli.write("sales.csv", rows), *BUY)

    assert (done.code, len(bought(cli))) == (0, 4)
    assert f"journal    {cli.folder}/sales.csv.journal.db (new)\n" in done.err


def test_the_same_bytes_in_another_folder_stop(cli: Cli, inside: Inside, applied: Path) -> None:
    """The user's own list of journals tells; without it, the labels in the account do."""
    (cli.folder / "b").mkdir()
    copy = cli.write("b/fleet.csv", ROWS)
    check_stopped(cli, inside("apply", copy, *BUY), f"{applied}.journal.db")
    elsewhere = {"XDG_STATE_HOME": str(cli.folder / "nothing")}
    done = inside("apply", copy, *BUY, **elsewhere)

    assert (done.code, bought(cli)) == (2, ["Desk", "Night"])
    assert "the account has numbers with the labels of its rows" in done.err
    words = ("apply", copy, *BUY, "--journal", f"{copy}.journal.db")
    assert inside(*words, **elsewhere).code == 0
    assert len(bought(cli)) == 4


@pytest.mark.parametrize("name", ["old.db", "fleet.csv.journal.db.bak", "x.csv.journal.db"])
def test_a_renamed_journal_is_found(cli: Cli, inside: Inside, applied: Path, name: str) -> None:
    """By what is in it, and not by its name."""
    for beside in ("", "-lock", "-wal", "-shm"):
        path = Path(f"{applied}.journal.db{beside}")
        if path.exists():
            path.rename(cli.folder / f"{name}{beside}")
    check_stopped(cli, inside("apply", applied, *BUY), cli.folder / name)


def test_a_renamed_file_stops(cli: Cli, inside: Inside, applied: Path) -> None:
    renamed = applied.rename(cli.folder / "numbers.csv")

    check_stopped(cli, inside("apply", renamed, *BUY), f"{applied}.journal.db")


def test_a_journal_that_is_gone_stops_by_the_labels(
    cli: Cli, inside: Inside, applied: Path
) -> None:
    """On another machine, or in a container that kept the file and not its journal."""
    for path in cli.folder.glob("fleet.csv.journal.db*"):
        path.unlink()
    done = inside("apply", applied, *BUY, XDG_STATE_HOME=str(cli.folder / "nothing"))

    assert (done.code, bought(cli)) == (2, ["Desk", "Night"])
    assert "desk (+1" in done.err
    assert "name its journal with --journal" in done.err


def test_a_journal_that_is_gone_stops_whatever_the_rows_say_by_now(
    cli: Cli, inside: Inside, applied: Path
) -> None:
    """The user's own list of journals tells, also when it is asked a second time."""
    for path in cli.folder.glob("fleet.csv.journal.db*"):
        path.unlink()
    applied.write_text(ROWS.replace("Desk", "Help").replace("Night", "Late"))
    for _ in range(2):
        done = inside("apply", applied, *BUY)
        assert (done.code, bought(cli)) == (2, ["Desk", "Night"])
        assert f"bought for {applied} before, and there is no {applied}.journal.db" in done.err
    words = ("apply", applied, *BUY, "--journal", f"{applied}.journal.db")

    assert inside(*words).code == 0
    assert len(bought(cli)) == 4, "negative control: said explicitly, it is bought again"


def test_a_run_that_was_not_agreed_to_leaves_no_journal_that_could_be_gone(
    cli: Cli, inside: Inside
) -> None:
    path = cli.write("fleet.csv", ROWS)
    assert inside("apply", path).code == 2
    for each in cli.folder.glob("fleet.csv.journal.db*"):
        each.unlink()

    assert (inside("apply", path, *BUY).code, bought(cli)) == (0, ["Desk", "Night"])


@pytest.mark.usefixtures("covered_processes")
def test_two_copies_applied_at_once_buy_once(cli: Cli) -> None:
    """Neither journal has a row yet when the other run looks.

    With the announcements left out, two of five runs bought four numbers.
    """
    paths = [cli.write(name, ROWS) for name in ("fleet.csv", "copy.csv")]
    processes = [cli.start("apply", path, *BUY) for path in paths]
    done = sorted((cli.ended(each) for each in processes), key=lambda each: each.code)

    assert bought(cli) == ["Desk", "Night"]
    assert [each.code for each in done] == [0, 2]
    assert re.search(r"another run, with the journal|has bought numbers for", done[1].err)
    assert not [*cli.folder.glob("*-buying")]


def test_an_announcement_is_not_written_through_a_link(cli: Cli, inside: Inside) -> None:
    path, other = cli.write("fleet.csv", ROWS), cli.write("other.txt", "kept")
    link = Path(f"{path}.journal.db-buying")
    link.symlink_to(other)
    done = inside("apply", path, *BUY)

    assert (done.code, bought(cli), link.is_symlink()) == (2, [], True)
    assert other.read_text() == "kept"


def test_the_list_of_journals_is_pruned(cli: Cli, inside: Inside, applied: Path) -> None:
    """Those whose folder is gone leave it first, and the latest ones stay."""
    known = cli.folder / "state" / "sigmamind" / "journals"
    lines = [f"/nowhere/{place}/fleet.csv.journal.db\n" for place in range(MOST_REMEMBERED)]
    known.write_text("".join(lines) + f"{applied}.journal.db\n")
    path = cli.write("other.csv", ROWS.replace("Desk", "A").replace("Night", "B"))
    inside("apply", path, *BUY, "--journal", cli.folder / "other.db")
    found = known.read_text().splitlines()

    assert len(found) == MOST_REMEMBERED
    assert found[-2:] == [f"{applied}.journal.db", f"{cli.folder}/other.db"]
    assert f"/nowhere/{MOST_REMEMBERED - 1}/fleet.csv.journal.db" in found


@pytest.mark.usefixtures("covered_processes")
@pytest.mark.parametrize("name", ["copy.csv", "fleet.csv"])
def test_what_was_bought_before_the_answer_is_not_bought_again(cli: Cli, name: str) -> None:
    """A copy that another window applies meanwhile. Negative control: unasked, as a new fleet."""
    path, copy = cli.write("fleet.csv", ROWS), cli.folder / name
    copy.write_text(ROWS)
    with Terminal(cli, "apply", path) as terminal:
        terminal.read_until("cancel: ")
        assert cli("apply", copy, *BUY).code == (0 if name == "copy.csv" else 2)
        terminal.type("2\n")
    text = " ".join(ESCAPES.sub("", terminal.seen).split())

    assert bought(cli) == ["Desk", "Night"]
    assert terminal.code == (2 if name == "copy.csv" else 0)
    assert ("has bought numbers for these rows" in text) == (name == "copy.csv")


def test_the_journal_of_another_account_does_not_count(
    cli: Cli, inside: Inside, applied: Path
) -> None:
    """Negative control: the numbers that it has bought are not in this account."""
    cli.box.sigmamind.backend.account.clear()
    done = inside("apply", cli.write("copy.csv", ROWS), *BUY)

    assert (done.code, len(bought(cli))) == (0, 4)


def test_a_killed_run_is_found_from_a_copy(cli: Cli, inside: Inside, until: Wait) -> None:
    """Its journal may be all in SQLite's log, and its purchases without an answer."""
    cli.box.latency = (3.0, 3.0)
    process = cli.start("apply", cli.write("fleet.csv", ROWS), *BUY)
    until(lambda: cli.box.sigmamind.in_flight == 2)
    process.kill()
    process.communicate()
    cli.box.latency = (0.0, 0.0)
    until(lambda: cli.box.sigmamind.in_flight == 0)
    done = inside("apply", cli.write("copy.csv", ROWS), *BUY)

    assert done.code == 2
    assert "fleet.csv.journal.db has bought numbers" in done.err
    assert len(bought(cli)) <= 2


def test_a_saved_plan_of_a_copy_stops(cli: Cli, inside: Inside, applied: Path) -> None:
    copy = cli.write("copy.csv", ROWS)
    inside("plan", copy, "--out", "copy.json")

    check_stopped(cli, inside("apply", "copy.json", *BUY), f"{applied}.journal.db")


def test_the_list_of_journals_names_no_secret_and_no_journal_twice(
    cli: Cli, inside: Inside, applied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli.write("fleet.csv", ROWS + "more,sigmamind,purchase,US,More\n")
    inside("apply", applied, *BUY)
    monkeypatch.setenv("XDG_STATE_HOME", cli.environment["XDG_STATE_HOME"])

    assert known_journals() == [Path(f"{applied}.journal.db")]
    mode = (cli.folder / "state/sigmamind/journals").stat().st_mode
    assert mode & 0o077 == 0


def test_a_home_that_cannot_be_written_costs_nothing(cli: Cli, inside: Inside) -> None:
    home = cli.write("state", "a file, and no folder")
    done = inside("apply", cli.write("fleet.csv", ROWS), *BUY, XDG_STATE_HOME=str(home))

    assert (done.code, len(bought(cli))) == (0, 2)


# ---------------------------------------------------------------- the file is read once


@pytest.mark.usefixtures("covered_processes")
def test_what_was_shown_is_bought_whatever_the_file_says_by_then(cli: Cli) -> None:
    """Saved in place between the question and the answer."""
    path = cli.write("fleet.csv", ROWS)
    with Terminal(cli, "apply", path) as terminal:
        terminal.read_until("cancel: ")
        path.write_text(ROWS.replace("Desk", "Changed") + "more,sigmamind,purchase,US,More\n")
        terminal.type("2\n")
    text = ESCAPES.sub("", terminal.seen)

    assert (terminal.code, bought(cli)) == (0, ["Desk", "Night"])
    assert text.index("label 'Desk'") < text.index("Type 2 to buy them")


@pytest.mark.usefixtures("covered_processes")
def test_an_account_that_changed_before_the_answer_stops(
    cli: Cli, inside: Inside, applied: Path
) -> None:
    """What was shown is what is sent, or nothing is."""
    number = cli.box.ledger.owned("sigmamind")[0]
    more = "more,sigmamind,purchase,US,More\n"
    cli.write("fleet.csv", ROWS.replace("Desk", "Help").replace("Night", "Late") + more)
    with Terminal(cli, "apply", applied) as terminal:
        terminal.read_until("cancel: ")
        assert inside("numbers", "update", number, "--label", "Theirs").code == 0
        terminal.type("1\n")

    assert (terminal.code, bought(cli)) == (1, ["Desk", "Night"])
    assert "the state has changed since the plan was made" in terminal.seen


@pytest.mark.usefixtures("covered_processes")
@pytest.mark.parametrize("how", ["in place", "replaced", "removed"])
def test_a_file_that_is_saved_while_it_is_applied_changes_nothing(
    cli: Cli, until: Wait, how: str
) -> None:
    cli.box.latency = (0.2, 0.2)
    rows = [f"r{place},sigmamind,purchase,US,n{place}\n" for place in range(60)]
    path = cli.write("fleet.csv", HEADER + "".join(rows))
    process = cli.start("apply", path, "--max-purchases", 60, "--yes")
    until(lambda: len(cli.box.ledger.purchases) >= 5)
    other = HEADER + "".join(rows).replace(",n", ",m")
    if how == "in place":
        path.write_text(other)
    elif how == "replaced":
        cli.write("new.csv", other).replace(path)
    else:
        path.unlink()
    done = cli.ended(process)

    assert done.code == 0
    assert bought(cli) == sorted(f"n{place}" for place in range(60))


@pytest.mark.usefixtures("covered_processes")
@pytest.mark.parametrize("kind", ["stdin", "fifo", "symlink"])
def test_what_can_be_read_once_is_read_once(cli: Cli, kind: str) -> None:
    same = {"platform": "sigmamind", "source": "purchase", "country_code": "US"}
    rows = "".join(json.dumps({"id": id_, **same, "label": id_}) + "\n" for id_ in ("a", "b"))
    words = (*BUY, "--journal", "once.db")
    if kind == "stdin":
        plan = cli("plan", "-", "--journal", "once.db", stdin=rows)
        done = cli("apply", "-", *words, stdin=rows)
    elif kind == "symlink":
        (cli.folder / "link.jsonl").symlink_to(cli.write("rows.jsonl", rows))
        plan, done = cli("plan", "link.jsonl"), cli("apply", "link.jsonl", *words)
    else:
        plan = _from_fifo(cli, rows, "plan", "--journal", "once.db")
        done = _from_fifo(cli, rows, "apply", *words)

    assert (plan.code, done.code, bought(cli)) == (0, 0, ["a", "b"])
    assert "Plan: 2 to buy." in plan.out


def _from_fifo(cli: Cli, rows: str, command: str, *words: object) -> Done:
    fifo = cli.folder / "pipe.jsonl"
    os.mkfifo(fifo)
    process = cli.start(command, fifo, *words)
    with fifo.open("w") as stream:
        stream.write(rows)
    done = cli.ended(process)
    fifo.unlink()
    return done


def test_a_file_that_is_written_while_it_is_read_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of its rows would be another fleet. Without the second look, half is what is read."""
    path = tmp_path / "fleet.csv"
    path.write_text(HEADER)
    stat, looks = os.fstat, list[int]()

    def looked(descriptor: int) -> os.stat_result:
        looks.append(descriptor)
        if len(looks) == 2:  # it has been read by now
            path.write_text(ROWS)
        return stat(descriptor)

    monkeypatch.setattr(os, "fstat", looked)

    assert read_once(str(path)) == ROWS.encode()


# ---------------------------------------------------------------- what is shown before


@pytest.mark.usefixtures("covered_processes")
def test_the_question_shows_where_and_what(cli: Cli) -> None:
    """Platform, address, the end of the key, counts by action, and the plan."""
    path = cli.write(
        "fleet.csv", ROWS.replace("night,sigmamind,purchase,US", "night,verbex,purchase,")
    )
    with Terminal(cli, "apply", path) as terminal:
        terminal.read_until("cancel: ")
        terminal.type("\n")
    text = ESCAPES.sub("", terminal.seen)

    assert (terminal.code, bought(cli)) == (2, [])
    for box in (cli.box.sigmamind, cli.box.verbex):
        assert f"  {box.base_url}, key ...{box.api_key[-4:]}: 1 purchase" in text
        assert box.api_key not in text
    assert re.search(rf"  journal\s+{path}.journal.db \(new\)", text)
    assert "This buys 2 numbers and costs money.\r\nType 2 to buy them, or press Enter" in text
    assert "not confirmed; nothing was sent" in text


@pytest.mark.usefixtures("covered_processes")
def test_a_terminal_shows_which_numbers_were_bought(cli: Cli) -> None:
    """Twenty of them, and where the others are."""
    with Terminal(cli, "apply", cli.fleet(23)) as terminal:
        terminal.read_until("cancel: ")
        terminal.type("23\n")
    text = ESCAPES.sub("", terminal.seen)

    assert terminal.code == 0
    assert text.count("  +1") == 20
    assert "and 3 more rows done; all of them: sigmamind status" in text


def test_a_terminal_is_never_asked_for_json(cli: Cli) -> None:
    with Terminal(cli, "apply", cli.fleet(1), "--json") as terminal:
        pass

    assert terminal.code == 2
    assert "agree with --max-purchases 1 --yes" in terminal.seen


@pytest.mark.usefixtures("covered_processes")
@pytest.mark.parametrize("name", ["/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"])
def test_a_journal_is_not_put_among_devices(cli: Cli, name: str) -> None:
    """What is redirected to standard input may be a regular file."""
    path = cli.write("fleet.csv", ROWS)
    with path.open("rb") as stream:
        process = cli.start("apply", name, "--format", "csv", *BUY, stdin=stream.fileno())
        done = cli.ended(process)

    assert (done.code, bought(cli)) == (2, [])
    assert "need --journal FILE" in done.err
    assert not list(Path("/dev").glob("*.journal.db*"))
