"""``sigmamind apply`` of rows that say what should be."""

from __future__ import annotations

import json
import re
import shlex
import signal
from typing import TYPE_CHECKING

import attrs
import pytest

from sigmamind_async.provisioning.tags import remove_tag
from tests.cli.conftest import TRUNK_PASSWORD
from tests.cli.test_plan import FLEET, HEADER
from tests.cli.test_terminal import ESCAPES, on_terminal

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Cli, Done, Inside, Wait

BUY = ("--max-purchases", "2", "--yes")
JSON_LINES = "".join(
    json.dumps(dict(zip(HEADER.rstrip().split(","), line.split(","), strict=True))) + "\n"
    for line in FLEET.splitlines()[1:]
)


def said(text: str) -> str:
    """Return rows of JSON Lines without their empty fields."""
    rows = (json.loads(line) for line in text.splitlines())
    full = ({name: cell for name, cell in row.items() if cell} for row in rows)
    return "".join(json.dumps(_typed(row)) + "\n" for row in full)


def _typed(row: dict[str, str]) -> dict[str, str | int]:
    return {name: int(cell) if name == "area_code" else cell for name, cell in row.items()}


def ends(done: Done) -> dict[str, str]:
    return {row["id"]: f"{row['status']} {row['action']}" for row in done.rows if "id" in row}


FORMS = {"fleet.csv": FLEET, "fleet.jsonl": said(JSON_LINES), "fleet.yaml": ""}
FORMS["fleet.yaml"] = "".join(f"- {line}\n" for line in FORMS["fleet.jsonl"].splitlines())


@pytest.mark.parametrize("name", FORMS)
def test_a_second_apply_writes_nothing(cli: Cli, inside: Inside, name: str) -> None:
    """Of any form, over three platforms, by the platforms' own ledger."""
    path = cli.write(name, FORMS[name])
    first = inside("apply", path, *BUY, "--json")
    commits = len(cli.box.ledger)
    second = inside("apply", path, "--json")

    assert (first.code, second.code) == (0, 0)
    assert ends(first) == {
        "desk": "done purchase",
        "night": "done purchase",
        "own": "done import",
    }
    assert set(ends(second).values()) == {"done unchanged"}
    assert (second.summary["done"], second.summary["unchanged"]) == (0, 3)
    assert len(cli.box.ledger) == commits == 3


def test_a_fleet_on_stdin(cli: Cli) -> None:
    done = cli("apply", "-", "--journal", "fleet.db", *BUY, stdin=FORMS["fleet.jsonl"])

    assert (done.code, len(cli.box.ledger.purchases)) == (0, 2)
    assert "buy     desk" in done.out


def test_what_is_as_it_should_be_is_only_counted(cli: Cli, inside: Inside) -> None:
    path = cli.write("fleet.csv", FLEET)
    inside("apply", path, *BUY)
    cli.write("fleet.csv", FLEET.replace("Support", "Help"))
    done = inside("apply", path)
    verbose = inside("apply", path, "--verbose")

    assert done.out.splitlines()[0].split() == [
        *("done", "sigmamind", "change", "desk"),
        cli.box.ledger.owned("sigmamind")[0],
    ]
    assert done.out.splitlines()[1].endswith(": 1 done, 2 unchanged")
    assert len(done.out.splitlines()) == 3
    assert f"{path}: 1 to change, 2 unchanged\n" in done.err
    assert verbose.out.count("done  ") == 3


# ---------------------------------------------------------------- before anything is sent

BAD = FLEET + "bad,sigmamind,import,,+14155550123,,x1,,,,\n"


def test_one_problem_keeps_everything_from_being_sent(cli: Cli, inside: Inside) -> None:
    done = inside("apply", cli.write("fleet.csv", BAD), *BUY)

    assert done.code == 1
    assert "bad area_code: must be a whole number" in done.out
    assert done.error.endswith("nothing was sent; --skip-bad applies the other rows")
    assert len(cli.box.ledger) == 0


def test_sound_rows_may_go_on_without_the_bad(cli: Cli, inside: Inside) -> None:
    done = inside("apply", cli.write("fleet.csv", BAD), *BUY, "--skip-bad", "--json")

    assert done.code == 1
    assert [each["id"] for each in done.objects if each["type"] == "file_problem"] == ["bad"]
    assert (done.summary["done"], done.summary["skipped"]) == (3, 1)


def test_what_is_done_without_the_bad_rows_is_shown_without_them(cli: Cli, inside: Inside) -> None:
    """Their problems are shown once, and nothing says that the file cannot be applied."""
    done = inside("apply", cli.write("fleet.csv", BAD), *BUY, "--skip-bad")

    assert (done.out + done.err).count("bad area_code: must be a whole number") == 1
    assert "fleet.csv: 3 changes\n" in done.err
    assert "cannot be applied" not in done.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "buys 2 numbers: agree with --max-purchases 2 --yes; nothing was sent"),
        (("--yes",), "buys 2 numbers: agree with --max-purchases 2 --yes; nothing was sent"),
        (("--max-purchases", "1", "--yes"), "--max-purchases allows 1; nothing was sent"),
    ],
)
def test_purchases_must_be_agreed_to(
    cli: Cli, inside: Inside, words: tuple[str, ...], told: str
) -> None:
    """On all platforms together."""
    done = inside("apply", cli.write("fleet.csv", FLEET), *words)

    assert (done.code, done.out) == (2, "")
    assert told in done.err
    assert len(cli.box.ledger) == 0


def test_a_missing_secret_is_a_problem_before_anything_is_sent(cli: Cli, inside: Inside) -> None:
    done = inside("apply", cli.write("fleet.csv", FLEET), *BUY, TRUNK_PASSWORD="")

    assert (done.code, len(cli.box.ledger)) == (1, 0)
    assert "own trunk_password: env:TRUNK_PASSWORD: set the variable" in done.out


# ---------------------------------------------------------------- giving numbers up


@pytest.fixture
def applied(cli: Cli, inside: Inside) -> Path:
    """A fleet that is as it should be."""
    path = cli.write("fleet.csv", FLEET)
    assert inside("apply", path, *BUY).code == 0
    return path


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ((), 1),
        (("--yes",), 1),
        (("--allow-release",), 2),
        (("--allow-release", "--yes"), 0),
    ],
)
def test_a_release_needs_two_words(
    cli: Cli, inside: Inside, applied: Path, words: tuple[str, ...], code: int
) -> None:
    """Negative control: with both the number is gone."""
    cli.write("fleet.csv", FLEET.replace("own,dialnexa,import,", "own,dialnexa,import,absent"))
    done = inside("apply", applied, *words)

    assert done.code == code
    assert len(cli.box.ledger.owned()) == (2 if code == 0 else 3)
    told = "left out: own: releasing a number is permanent, and needs --allow-release"
    assert (told in done.err) is (code == 1)


@pytest.mark.usefixtures("covered_processes")
@pytest.mark.parametrize(("typed", "code", "left"), [("1\n", 0, 2), ("yes\n", 2, 3)])
def test_a_release_is_confirmed_by_its_count(
    cli: Cli, applied: Path, typed: str, code: int, left: int
) -> None:
    cli.write("fleet.csv", FLEET.replace("own,dialnexa,import,", "own,dialnexa,import,absent"))
    got, seen = on_terminal(cli, ["apply", applied, "--allow-release"], typed)

    assert (got, len(cli.box.ledger.owned())) == (code, left)
    text = ESCAPES.sub("", seen)
    assert "releases 1 number, permanently: +14155550188." in text
    assert "Type 1 to release it, or press Enter to cancel:" in text


# ---------------------------------------------------------------- saved plans


def test_a_saved_plan_is_applied_under_the_journal_of_its_file(cli: Cli, inside: Inside) -> None:
    path = cli.write("fleet.csv", FLEET)
    inside("plan", path, "--out", "fleet.json")
    done = inside("apply", "fleet.json", *BUY)

    assert (done.code, len(cli.box.ledger.purchases)) == (0, 2)
    assert inside("apply", path).code == 0
    assert inside("apply", "fleet.json").code == 0
    assert len(cli.box.ledger) == 3
    assert inside("status", path).code == 0


def test_a_saved_plan_is_refused_once_the_state_has_moved(
    cli: Cli, inside: Inside, applied: Path
) -> None:
    cli.write("fleet.csv", FLEET.replace("Support", "Help"))
    inside("plan", applied, "--out", "fleet.json")
    cli.write("fleet.csv", FLEET.replace("Support", "Sales"))
    inside("apply", applied)
    commits = len(cli.box.ledger)
    done = inside("apply", "fleet.json")

    assert (done.code, len(cli.box.ledger)) == (1, commits)
    assert "the state has changed since the plan was made, so nothing was sent" in done.err


def test_a_saved_release_is_allowed_once_more(cli: Cli, inside: Inside, applied: Path) -> None:
    cli.write("fleet.csv", FLEET.replace("own,dialnexa,import,", "own,dialnexa,import,absent"))
    inside("plan", applied, "--allow-release", "--out", "fleet.json")
    refused = inside("apply", "fleet.json", "--yes")

    assert (refused.code, len(cli.box.ledger.owned())) == (2, 3)
    assert "needs --allow-release, here as well" in refused.err
    assert inside("apply", "fleet.json", "--yes", "--allow-release").code == 0
    assert len(cli.box.ledger.owned()) == 2


@pytest.mark.parametrize(
    "content", ['{"kind":"sigmamind_async.plan"}', '{"kind":"sigmamind_async.plan","version":9}']
)
def test_a_plan_that_cannot_be_read_is_told(cli: Cli, inside: Inside, content: str) -> None:
    done = inside("apply", cli.write("fleet.json", content))

    assert (done.code, done.out) == (2, "")
    assert "make the plan again" in done.err


@pytest.mark.parametrize("content", ["", "{", "null", '{"kind":"sigma', "\0\1\2", "[" * 100_000])
def test_a_plan_that_was_cut_off_or_overwritten_is_told(
    cli: Cli, inside: Inside, content: str
) -> None:
    done = inside("apply", cli.write("fleet.plan", content))

    assert (done.code, done.out) == (2, "")
    assert "fleet.plan: is neither a fleet file nor an intact saved plan" in done.err


def test_a_folder_in_the_place_of_a_file_is_told(cli: Cli, inside: Inside) -> None:
    (cli.folder / "rows.csv").mkdir()
    done = inside("apply", "rows.csv")

    assert (done.code, done.out) == (2, "")
    assert "rows.csv: is a folder; name a file" in done.err


# ---------------------------------------------------------------- when it goes wrong


def many(cli: Cli, count: int) -> Path:
    rows = (f"r{i},sigmamind,purchase,,,US,,n{i},,,\n" for i in range(count))
    return cli.write("many.csv", HEADER + "".join(rows))


def test_what_is_in_doubt_is_told_and_settled_by_the_commands_that_are_shown(
    cli: Cli, inside: Inside
) -> None:
    path = cli.write("fleet.csv", FLEET)
    cli.box.script("create", ["reset_before_commit"], platform="verbex")
    done = inside("apply", path, *BUY, "--deadline", "2")
    standing = inside("status", path)

    assert done.code == 3
    assert "unconfirmed  verbex     buy     night" in done.out
    assert f"  sigmamind reconcile {path} --wait\n" in done.err.replace("wait until settled:", " ")
    assert "to continue, run the same command again" in done.err
    assert standing.code == 3
    assert f"sigmamind reconcile {path} --platform verbex --wait" in standing.out
    assert inside("reconcile", path).code == 3
    assert inside("reconcile", path, "--only", "night #1", "--abandon").code == 0
    assert inside("status", path).code == 0


def test_a_row_that_fails_is_told_without_the_ids_of_operations(
    cli: Cli, inside: Inside, applied: Path
) -> None:
    cli.write("fleet.csv", FLEET.replace("Support", "Help"))
    cli.box.sigmamind.script("update", ["conflict_409"])
    done = inside("apply", applied)

    [row, *_] = done.out.splitlines()
    assert done.code == 1
    assert row.split()[:4] == ["failed", "sigmamind", "change", "desk"]
    assert "409" in row
    assert "#" not in row


@pytest.mark.usefixtures("covered_processes")
def test_the_first_ctrl_c_settles_and_the_same_command_goes_on(
    cli: Cli, inside: Inside, until: Wait
) -> None:
    cli.box.latency = (0.3, 0.3)
    path, buy = many(cli, 200), ("--max-purchases", 200, "--yes", "--json")
    process = cli.start("apply", path, *buy, "--report", "page.html")
    until(lambda: len(cli.box.ledger.purchases) >= 20)
    process.send_signal(signal.SIGINT)
    done = cli.ended(process)
    cli.box.latency = (0.0, 0.0)
    page = (cli.folder / "page.html").read_text(encoding="utf-8")

    assert done.code == 130
    assert len(done.rows) == 200
    assert (done.summary["stopped"], done.summary["unconfirmed"]) == ("interrupted", 0)
    assert done.summary["done"] == len(cli.box.ledger.purchases) < 200
    assert "Stopped early: interrupted." in page
    assert inside("apply", path, *buy).code == 0
    assert len(cli.box.ledger.purchases) == 200
    assert cli.box.ledger.bought_twice(remove_tag) == {}


def test_the_second_ctrl_c_leaves_rows_in_doubt(cli: Cli, until: Wait) -> None:
    cli.box.sigmamind.script("create", ["hang_before_commit"] * 120)
    process = cli.start("apply", many(cli, 120), "--max-purchases", 120, "--yes")
    # As many as the gate begins with.
    until(lambda: cli.box.sigmamind.in_flight >= 10)
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    while not (line := process.stderr.readline()).startswith(b"stopping:"):
        assert line
    process.send_signal(signal.SIGINT)
    done = cli.ended(process)

    assert done.code == 130
    assert done.out.count("unconfirmed  buy") == 10
    assert done.out.count("skipped      buy") == 110


def test_a_key_that_is_refused_midway_names_its_variable(cli: Cli, until: Wait) -> None:
    cli.box.latency = (0.1, 0.1)
    process = cli.start("apply", many(cli, 400), "--max-purchases", 400, "--yes")
    until(lambda: len(cli.box.ledger.purchases) >= 20)
    cli.box.sigmamind.api_key = "another"
    done = cli.ended(process)

    assert done.code == 1
    assert "the platform refused the API key in SIGMAMIND_API_KEY" in done.err
    assert "not sent: r" in done.err


def test_an_account_that_cannot_pay_ends_the_job(cli: Cli) -> None:
    """What was bought is kept, the rest is skipped, and the same command goes on later."""
    cli.box.switches = attrs.evolve(cli.box.switches, max_purchases=10)
    words = ("apply", many(cli, 300), "--max-purchases", 300, "--yes")
    told, again = cli(*words), cli(*words, "--json")
    cli.box.switches = attrs.evolve(cli.box.switches, max_purchases=None)
    paid = cli(*words)

    assert (told.code, again.code, again.summary["stopped"]) == (1, 1, "cannot_pay")
    assert "stopping: the account cannot pay. 3 rows in" in told.err
    assert "402: The balance does not cover this purchase" in told.err
    assert "not sent: r" in told.err
    assert (again.summary["unchanged"], again.summary["rows"]) == (10, 300)
    assert again.summary["skipped"] > 150
    assert (paid.code, len(cli.box.ledger.purchases)) == (0, 300)


def test_a_journal_that_takes_no_more_ends_the_job(cli: Cli) -> None:
    """A full disk: nothing is sent that could not be written down, and every row is told of."""
    limit = f'ulimit -f {1024 * 200 // 512}; trap "" XFSZ; exec "$@"'
    words = ("apply", many(cli, 400), "--max-purchases", 400, "--yes", "--json")
    cli.box.latency = (0.2, 0.2)
    process = cli.start(*words, before=["sh", "-c", limit, "sh"])
    done = cli.ended(process)
    told = {row["id"] for row in done.rows if row["status"] in {"done", "unconfirmed"}}
    labels = {label.replace("n", "r") for label in cli.labels()}

    assert done.summary["stopped"] == "journal_unusable"
    assert len(done.rows) == 400
    assert labels <= told


# ---------------------------------------------------------------- the page


def test_a_page_tells_how_it_went(cli: Cli, inside: Inside) -> None:
    """Without any secret."""
    done = inside("apply", cli.write("fleet.csv", FLEET), *BUY, "--report", "fleet.html")
    page = (cli.folder / "fleet.html").read_text("utf-8")

    assert "report: fleet.html" in done.err
    assert page.lower().startswith("<!doctype html>")
    assert "desk" in page
    assert TRUNK_PASSWORD not in page
    assert not [path.name for path in cli.folder.iterdir() if path.name.startswith(".")]


def test_a_page_that_cannot_be_written_is_told_before_anything_is_sent(
    cli: Cli, inside: Inside
) -> None:
    path = cli.write("fleet.csv", FLEET)
    done = inside("apply", path, *BUY, "--report", "nowhere/page.html")

    assert done.code == 2
    assert "nowhere/page.html: cannot be written" in done.err
    assert cli.box.sigmamind.requests.total == 0


def test_a_refused_apply_leaves_no_page(cli: Cli, inside: Inside) -> None:
    (cli.folder / "page.html").write_text("earlier")
    inside("apply", cli.write("fleet.csv", FLEET), "--report", "page.html")

    assert (cli.folder / "page.html").read_text() == "earlier"


# ---------------------------------------------------------------- on a terminal


@pytest.mark.usefixtures("covered_processes")
def test_a_terminal_shows_counts_bar_and_table(cli: Cli) -> None:
    cli.box.latency = (0.2, 0.2)
    code, seen = on_terminal(cli, ["apply", cli.write("fleet.csv", FLEET)], "2\n")
    text = ESCAPES.sub("", seen)

    assert code == 0
    assert "Plan: 2 to buy" in text
    assert (
        "This buys 2 numbers and costs money.\r\nType 2 to buy them, or press Enter to cancel:"
        in text
    )
    assert "0/3" in text
    assert ": 3 done" in text


# ---------------------------------------------------------------- what somebody else changed


@pytest.fixture
def drifted(applied: Path, inside: Inside) -> Path:
    """A fleet of which somebody else has changed a label."""
    number = inside("numbers", "list", "--json").objects[0]["phone_number"]
    assert inside("numbers", "update", number, "--label", "Theirs").code == 0
    return applied


@pytest.mark.parametrize(
    ("words", "code", "label"),
    [
        ((), 1, "Theirs"),
        (("--on-drift", "keep"), 0, "Theirs"),
        (("--on-drift", "overwrite"), 0, "Support"),
    ],
)
def test_what_somebody_else_changed_is_kept_or_written_over_as_was_said(
    inside: Inside, drifted: Path, words: tuple[str, ...], code: int, label: str
) -> None:
    planned = inside("plan", drifted, *words)
    done = inside("apply", drifted, *words)

    assert (planned.code, done.code) == (code, code)
    assert "Theirs" in planned.out
    assert inside("numbers", "list", "--json").objects[0]["label"] == label


def test_a_number_moves_to_another_platform(cli: Cli, inside: Inside, applied: Path) -> None:
    """Imported there before it is released here, and only where that is agreed to."""
    moved = FLEET.replace("own,dialnexa", "own,sigmamind")
    cli.write("fleet.csv", moved)
    asked = inside("apply", applied, "--allow-release")
    done = inside("apply", applied, "--allow-release", "--yes")

    assert (asked.code, done.code) == (2, 0)
    assert "releases 1 number, permanently: +14155550188. Agree with --allow-release" in asked.err
    assert [commit.kind for commit in cli.box.ledger.commits[-2:]] == ["import", "release"]
    assert cli.box.ledger.owned("dialnexa") == []
    assert inside("apply", applied).code == 0


@pytest.mark.usefixtures("covered_processes")
def test_ctrl_c_at_the_question_sends_nothing(cli: Cli) -> None:
    words = ["apply", cli.write("fleet.csv", FLEET)]
    code, seen = on_terminal(cli, words, interrupt_at="cancel: ")

    assert (code, len(cli.box.ledger)) == (130, 0)
    assert "interrupted; nothing was sent" in seen
    assert "Traceback" not in seen


# ---------------------------------------------------------------- examples


@pytest.mark.parametrize("command", ["plan", "apply"])
def test_the_example_runs(cli: Cli, inside: Inside, command: str) -> None:
    [example] = re.findall(r"Example: sigmamind (.+)", inside(command, "--help").out)
    cli.write("fleet.csv", FLEET)

    assert inside(*shlex.split(example)).code == 0
