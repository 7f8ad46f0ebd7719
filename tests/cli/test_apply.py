"""``sigmamind apply`` as a person or a script meets it."""

from __future__ import annotations

import html
import json
import re
import shlex
import subprocess
import urllib.request
from typing import TYPE_CHECKING

import pytest

from sigmamind_async.cli.options import remember_command, resume_command
from sigmamind_async.sandbox import Sandbox, Switches

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.cli.conftest import Cli, Inside

pytestmark = pytest.mark.usefixtures("covered_processes")

HEADER = "id,platform,source,phone_number,country_code,label,trunk_username,trunk_password\n"
BUY = ("--max-purchases", "1", "--yes")
AGENT = "agent_D5D0p7TUs66TTAEAx"
HASTE = ("--deadline", "2")
OWN = {
    "id": "own",
    "platform": "sigmamind",
    "source": "import",
    "phone_number": "+14155550123",
    "termination_uri": "sip.example.com",
    "trunk_username": "user",
}


def written(cli: Cli, name: str, *rows: Mapping[str, object]) -> Path:
    return cli.write(name, "".join(json.dumps(row) + "\n" for row in rows))


def test_all_done_is_exit_0(cli: Cli, inside: Inside) -> None:
    done = inside("apply", cli.fleet(30), "--max-purchases", 30, "--yes")

    assert (done.code, len(cli.box.ledger.purchases)) == (0, 30)


def test_json_is_one_object_a_line(cli: Cli, inside: Inside) -> None:
    cli.box.sigmamind.script("create", ["conflict_409"])
    done = inside("apply", cli.fleet(2), "--max-purchases", 2, "--yes", "--json")

    [failed] = [row for row in done.rows if row["status"] == "failed"]
    assert (done.code, len(done.rows), done.err) == (1, 2, "")
    assert (failed["action"], failed["attempts"]) == ("purchase", 1)
    assert (failed["error"]["type"], failed["error"]["status"]) == ("ConflictError", 409)
    assert failed["error"]["committed"] == "no"
    assert (done.summary["done"], done.summary["failed"]) == (1, 1)


def test_stdin_is_json_lines(cli: Cli) -> None:
    words = ("--max-purchases", 3, "--yes", "--journal", "stdin.db")
    done = cli("apply", "-", *words, stdin=cli.fleet(3).read_text())

    assert (done.code, len(cli.box.ledger.purchases)) == (0, 3)


def test_stdin_has_the_format_that_is_named(cli: Cli) -> None:
    rows = HEADER + "a,sigmamind,purchase,,US,A,,\n"
    done = cli("apply", "-", *BUY, "--journal", "stdin.db", "--format", "csv", stdin=rows)

    assert (done.code, cli.labels()) == (0, ["A"])


def test_what_is_left_of_stdin_is_its_journal(cli: Cli) -> None:
    cli.box.sigmamind.script("create", ["reset_before_commit"])
    words = (*BUY, *HASTE, "--journal", "stdin.db")
    done = cli("apply", "-", *words, stdin=cli.fleet(1).read_text())

    assert done.code == 3
    assert "sigmamind reconcile stdin.db --wait\n" in done.err


def test_what_is_read_once_needs_a_named_journal(cli: Cli, inside: Inside) -> None:
    """Without one nothing could be resumed."""
    done = inside("apply", "-", *BUY)

    assert (done.code, done.out) == (2, "")
    assert "need --journal FILE" in done.err


def test_a_fifo_can_be_read(cli: Cli) -> None:
    """``apply <(make-rows)`` gives a file that can be read once only."""
    path = cli.fleet(2)
    fifo = cli.folder / "pipe.jsonl"
    words = f"mkfifo {fifo}; cat {path} > {fifo} &"
    with subprocess.Popen(["sh", "-c", words]) as shell:
        shell.wait()
        done = cli("apply", fifo, "--max-purchases", 2, "--yes", "--journal", "pipe.db")

    assert (done.code, len(cli.box.ledger.purchases)) == (0, 2)


# ---------------------------------------------------------------- refused before anything is sent


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("missing.csv", None, "missing.csv: No such file"),
        ("rows.txt", b"", "or give --format"),
        ("a.csv", b"", "a.csv"),
        ("a.csv", b"id,frendly_name\n", "a.csv"),
        ("a.csv", b"id,action,country_code\nx,create,US\n", "action"),
        ("a.jsonl", b'{"action": "create", "country_code": "US"}\n', "action"),
        ("a.jsonl", b'{"a": "\xff"}\n', "a.jsonl:1"),
    ],
)
def test_a_file_that_cannot_be_used_stops_everything(
    cli: Cli, inside: Inside, name: str, content: bytes | None, told: str
) -> None:
    """A list of operations, column `action`, is such a file."""
    if content is not None:
        (cli.folder / name).write_bytes(content)
    done = inside("apply", name, *BUY)

    assert done.code in {1, 2}
    assert told in done.out + done.err
    assert cli.box.sigmamind.requests.total == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "buys 3 numbers: agree with --max-purchases 3 --yes"),
        (("--yes",), "agree with --max-purchases 3 --yes"),
        (("--max-purchases", "3"), "agree with --max-purchases 3 --yes"),
        (("--max-purchases", "2", "--yes"), "--max-purchases allows 2; nothing was sent"),
    ],
)
def test_purchases_must_be_agreed_to(
    cli: Cli, inside: Inside, words: tuple[str, ...], told: str
) -> None:
    done = inside("apply", cli.fleet(3), *words)

    assert (done.code, done.out) == (2, "")
    assert told in done.err
    assert len(cli.box.ledger) == 0


def test_one_number_is_one_number(cli: Cli, inside: Inside) -> None:
    done = inside("apply", cli.fleet(1))

    assert "buys 1 number: agree with --max-purchases 1 --yes" in done.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("apply",), "apply needs FILE\nMore: sigmamind apply --help"),
        (("apply", "a.csv", "--deadline"), "apply needs a value for --deadline"),
        (("apply", "--postgres", "a.csv"), "apply needs FILE\n"),
        (("apply", "--postgres", "/"), "has taken / for a database: put FILE before it"),
        (("apply", "a.csv", "--max-purchase", "1"), "--max-purchase"),
        (("apply", "a.csv", "--max-purchases", "-1"), "--max-purchases"),
        (("apply", "a.csv", "--deadline", "soon"), "'soon' is not a duration; write 90, 90s, 15m"),
        (("apply", "--max-purchase", "1", "a.csv"), "Unknown option: --max-purchase."),
        (("apply", "--yess", "a.csv"), "Unknown option: --yess. Did you mean --yes?"),
        (("apply", "--yess=1", "-"), "Unknown option: --yess"),
        (("apply", "-x", "a.csv"), "Unknown option: -x"),
        (("apply", "a.csv", "--platform", "verbx"), "--platform"),
        (("aply", "a.csv"), "apply"),
    ],
)
def test_a_wrong_command_line_is_exit_2(inside: Inside, words: tuple[str, ...], told: str) -> None:
    done = inside(*words)

    assert (done.code, done.out) == (2, "")
    assert told in done.err
    assert done.err.startswith("sigmamind: ")


SAVED = [
    ("--platform", "verbex"),
    ("--format", "csv"),
    ("--skip-bad",),
    ("--allow-inline-secrets",),
    ("--on-drift", "keep"),
    ("--rewrite-secrets",),
    ("--allow-unlisted",),
]


@pytest.mark.parametrize("words", SAVED, ids=lambda words: words[0])
def test_a_saved_plan_refuses_what_it_was_made_with(
    cli: Cli, inside: Inside, words: tuple[str, ...]
) -> None:
    """Without the option the same plan buys: the negative control."""
    inside("plan", cli.fleet(1), "--out", "fleet.plan.json")
    done = inside("apply", "fleet.plan.json", *BUY, *words)

    assert (done.code, done.out, len(cli.box.ledger)) == (2, "", 0)
    assert f"is a saved plan: {words[0]} must be given to sigmamind plan" in done.err
    assert inside("apply", "fleet.plan.json", *BUY).code == 0
    assert len(cli.box.ledger.purchases) == 1


OF_WORKERS = [
    ("--settle-time", "5"),
    ("--retry-unconfirmed",),
    ("--release-duplicates",),
    ("--attempt-timeout", "5s"),
    ("--proxy", "http://127.0.0.1:1"),
    ("--refusal-status", "503"),
]


@pytest.mark.parametrize("words", OF_WORKERS, ids=lambda words: words[0])
def test_options_of_requests_are_the_workers_own(
    cli: Cli, inside: Inside, words: tuple[str, ...]
) -> None:
    done = inside("apply", cli.fleet(1), *BUY, "--postgres", "dbname=x", "--workers", *words)

    assert (done.code, done.out) == (2, "")
    assert f"with --workers, {words[0]} must be given to sigmamind worker" in done.err


def test_workers_need_a_database(cli: Cli, inside: Inside) -> None:
    done = inside("apply", cli.fleet(1), *BUY, "--workers")

    assert (done.code, done.out) == (2, "")
    assert "--workers needs --postgres" in done.err


@pytest.mark.parametrize(("change", "code"), [(False, 0), (True, 4)])
def test_plan_tells_by_its_exit_code_whether_anything_changes(
    cli: Cli, inside: Inside, *, change: bool, code: int
) -> None:
    path = cli.fleet(2)
    inside("apply", path, "--max-purchases", 2, "--yes")
    if change:
        cli.write(path.name, path.read_text().replace('"n0"', '"other"'))

    assert inside("plan", path, "--detailed-exitcode").code == code
    assert inside("plan", path).code == 0


def test_plan_with_problems_is_1_whatever_would_change(cli: Cli, inside: Inside) -> None:
    path = written(cli, "a.jsonl", {**OWN, "phone_number": "+1"})

    assert inside("plan", path, "--detailed-exitcode").code == 1


def test_a_negative_deadline_is_refused(cli: Cli, inside: Inside) -> None:
    done = inside("apply", cli.fleet(1), *BUY, "--deadline", "0")

    assert done.code == 2
    assert "deadline: must be more than 0" in done.err


def test_no_key_is_a_message(cli: Cli, inside: Inside) -> None:
    done = inside("apply", cli.fleet(1), *BUY, SIGMAMIND_API_KEY="")

    assert (done.code, done.out) == (2, "")
    assert "SIGMAMIND_API_KEY" in done.err


def test_a_wrong_key_is_told_after_one_listing(cli: Cli, inside: Inside) -> None:
    """Five hundred rows are not five hundred refusals."""
    path = cli.fleet(500)
    done = inside("apply", path, "--max-purchases", 500, "--yes", SIGMAMIND_API_KEY="canary-key")

    assert (done.code, done.out) == (2, "")
    assert "check SIGMAMIND_API_KEY" in done.err
    assert "canary-key" not in done.err
    assert cli.box.sigmamind.requests.total <= 3


# ---------------------------------------------------------------- what the platform does


def test_a_lost_answer_is_found(cli: Cli) -> None:
    """It was bought, and the reply was lost: the tag in its label tells."""
    cli.box.sigmamind.script("create", ["reset_after_commit"])
    done = cli("apply", cli.fleet(1), *BUY)

    [bought] = cli.box.ledger.purchases
    assert done.code == 0
    assert str(bought.phone_number) in done.out


def test_what_cannot_be_found_is_unconfirmed(cli: Cli) -> None:
    """It may still come: that is said, and with which commands to go on."""
    cli.box.sigmamind.script("create", ["reset_before_commit"])
    path = cli.fleet(1)
    done = cli("apply", path, *BUY, *HASTE)

    assert done.code == 3
    assert "unconfirmed  buy  buy-0" in done.out
    assert "it may have been carried out" in done.out
    assert "unconfirmed, may have been carried out: buy-0" in done.err
    assert f"sigmamind reconcile {path}" in done.err
    assert f"  sigmamind apply {path} {' '.join((*BUY, *HASTE))}\n" in done.err


def test_unconfirmed_counts_more_than_failed(cli: Cli, inside: Inside) -> None:
    cli.box.sigmamind.script("create", ["reset_before_commit", "conflict_409"])
    done = inside("apply", cli.fleet(2), "--max-purchases", 2, "--yes", *HASTE)

    assert done.code == 3


def test_a_number_named_exactly_is_looked_up(cli: Cli, inside: Inside) -> None:
    cli.box.sigmamind.script("import", ["reset_after_commit"])

    assert inside("apply", written(cli, "a.jsonl", OWN)).code == 0
    assert [commit.kind for commit in cli.box.ledger.commits].count("import") == 1


def test_an_agent_is_cleared_by_null_and_kept_by_blank(cli: Cli, inside: Inside) -> None:
    header = "id,platform,source,country_code,inbound_agent_id,outbound_agent_id,label\n"
    path = cli.write("a.csv", f"{header}1,sigmamind,purchase,US,{AGENT},{AGENT},Own\n")
    assert inside("apply", path, *BUY).code == 0, "with both agents"
    cli.write("a.csv", f"{header}1,sigmamind,purchase,US,null,,New\n")
    assert inside("apply", path).code == 0
    [number] = inside("numbers", "list", "--json").objects

    assert number["inbound_agent_id"] is None
    assert (number["outbound_agent_id"], number["label"]) == (AGENT, "New")


# ---------------------------------------------------------------- secrets


@pytest.mark.parametrize("secret", ["env:TRUNK_PASSWORD", "file:trunk.txt"])
def test_a_secret_is_taken_from_where_it_is_kept(cli: Cli, inside: Inside, secret: str) -> None:
    """It arrives, and is in no output, even from a platform that repeats it."""
    cli.write("trunk.txt", cli.trunk_password + "\n")
    cli.box.switches = Switches(echo_secrets=True)
    path = written(cli, "a.jsonl", {**OWN, "trunk_password": secret})
    done = inside("apply", path, "--json", "--report", "page.html")
    listed = inside("numbers", "list", "--json")

    assert done.code == listed.code == 0
    assert passwords(cli.box) == {"+14155550123": cli.trunk_password}


def passwords(box: Sandbox) -> dict[str, str]:
    """Ask a platform that repeats secrets which ones it was given."""
    box.switches = Switches(echo_secrets=True)
    request = urllib.request.Request(
        f"{box.sigmamind.base_url}/v1/phone-numbers",
        headers={"X-API-Key": box.sigmamind.api_key},
    )
    with urllib.request.urlopen(request) as answer:
        records = json.load(answer)["data"]
    return {record["sipPhoneNumber"]: record["trunkPassword"] for record in records}


def test_an_inline_secret_must_be_allowed(cli: Cli, inside: Inside) -> None:
    path = written(cli, "a.jsonl", {**OWN, "trunk_password": "hunter2"})
    refused = inside("apply", path)
    taken = inside("apply", path, "--allow-inline-secrets")

    assert (refused.code, taken.code) == (1, 0)
    assert "hunter2" not in refused.out + refused.err + taken.out + taken.err


# ---------------------------------------------------------------- the command to go on


def test_the_command_to_go_on_is_the_run_s_own(cli: Cli, inside: Inside) -> None:
    """All of it, on the report as well: what was left out once did something else."""
    cli.box.sigmamind.script("create", ["conflict_409"])
    cli.box.sigmamind.script("import", ["conflict_409"])
    own = {**OWN, "trunk_password": "hunter2"}
    words = ["apply", str(written(cli, "a b.jsonl", own)), "--allow-inline-secrets"]
    words += ["--rewrite-secrets", "--settle-time", "15m", "--deadline", "30s"]
    words += ["--report", "page.html"]
    done = inside(*words)
    page = html.unescape((cli.folder / "page.html").read_text("utf-8"))
    shown = " ".join(re.sub("<[^>]+>", "", page).split())

    assert done.code == 1
    assert shlex.join(["sigmamind", *words]) in shown


@pytest.mark.parametrize(
    ("word", "shown"),
    [
        ("postgresql://clerk:hunter2@db/orders", "'postgresql://***@db/orders'"),
        ("host=db password=hunter2 user=clerk", "'host=db password=*** user=clerk'"),
        ("host=db password='hunter2 3' user=clerk", "'host=db password=*** user=clerk'"),
        ("http://clerk:hunter2@proxy:3128", "'http://***@proxy:3128'"),
    ],
)
def test_the_command_to_go_on_shows_no_password(word: str, shown: str) -> None:
    remember_command(["apply", "fleet.csv", "--postgres", word])

    assert resume_command() == f"sigmamind apply fleet.csv --postgres {shown}"
