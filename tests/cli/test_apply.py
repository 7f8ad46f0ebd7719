"""``sigmamind apply`` as a person or a script meets it."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from typing import TYPE_CHECKING

import pytest

from sigmamind_async.sandbox import Sandbox, Switches

if TYPE_CHECKING:
    from tests.cli.conftest import Cli, Inside

pytestmark = pytest.mark.usefixtures("covered_processes")

HEADER = (
    "id,action,phone_number,country_code,area_code,friendly_name,inbound_agent_id,"
    "trunk_username,trunk_password,termination_sip_uri\n"
)
MIXED = (
    HEADER
    + """\
buy,create,,US,415,Support,agent_1,,,
own,import,+14155550123,,,Own,,user,env:TRUNK_PASSWORD,sip.telnyx.com
open,import,+14155550124,,,,,user,hunter2,sip.telnyx.com
short,update,+1415,,,x,,,,
typo,crate,,US,,,,,,
three,create,,USA,4x,,null,,,
gone,update,+14155550199,,,x,,,,
"torn,create,,US,,,,,,
few,create,,US
"""
)
BUY = ("--max-purchases", "1", "--yes")
HASTE = ("--deadline", "0.5")


def test_a_bad_row_fails_alone(cli: Cli) -> None:
    """The rows around it are carried out, and each failure says where and what."""
    done = cli("apply", cli.write("a.csv", MIXED), *BUY)

    assert done.code == 1
    for text in (
        "trunk_password: is a secret",
        "env:NAME or file:PATH",
        "phone_number: '+1415' is not a phone number like '+14155550100'",
        "did you mean 'create'?",
        "country_code:",
        "404",
        "is not CSV",
        "has 4 cells, the header names 10",
    ):
        assert text in done.out
    assert len(cli.box.ledger.purchases) == 1
    assert "hunter2" not in done.out + done.err


def test_the_end_is_a_sentence(cli: Cli, inside: Inside) -> None:
    done = inside("apply", cli.write("a.csv", MIXED), *BUY)

    counts, requests = done.out.splitlines()[-2:]
    assert counts.startswith("9 rows in ")
    assert counts.endswith(" s: 2 done, 7 failed")
    assert requests == "3 requests"


def test_json_is_one_object_a_line(cli: Cli) -> None:
    done = cli("apply", cli.write("a.csv", MIXED), *BUY, "--json")

    bought = next(row for row in done.rows if row["id"] == "buy")
    missing = next(row for row in done.rows if row["id"] == "gone")
    assert (done.code, len(done.rows), done.err) == (1, 9, "")
    assert (bought["status"], bought["line"], bought["attempts"]) == ("done", 2, 1)
    assert missing["error"] == {
        "type": "NotFoundError",
        "message": "404: Phone number not found",
        "committed": "no",
        "status": 404,
        "retry_after": None,
        "hint": "the account does not hold this number: check it",
    }
    assert (done.summary["done"], done.summary["failed"]) == (2, 7)


def test_all_done_is_exit_0(cli: Cli, inside: Inside) -> None:
    done = inside("apply", cli.purchases(30), "--max-purchases", 30, "--yes")

    assert (done.code, done.err) == (0, "")
    assert len(cli.box.ledger.purchases) == 30


def test_an_empty_file_of_rows_is_done(cli: Cli, inside: Inside) -> None:
    assert inside("apply", cli.write("a.csv", HEADER)).code == 0


def test_stdin_is_json_lines(cli: Cli) -> None:
    path = cli.purchases(3)
    words = ("--max-purchases", 3, "--yes", "--journal", "stdin.db")
    done = cli("apply", "-", *words, stdin=path.read_text())

    assert done.code == 0
    assert len(cli.box.ledger.purchases) == 3


def test_what_is_left_of_stdin_is_its_journal(cli: Cli) -> None:
    cli.box.script("create", ["reset_before_commit"])
    words = (*BUY, *HASTE, "--journal", "stdin.db")
    done = cli("apply", "-", *words, stdin='{"action": "create", "country_code": "US"}')

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
    assert done.code == 0
    assert len(cli.box.ledger.purchases) == 2


# ---------------------------------------------------------------- refused before anything is sent


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("missing.csv", None, "missing.csv: No such file"),
        ("rows.txt", b"", "ends in .csv, .jsonl or .ndjson"),
        ("a.csv", b"", "there is no header"),
        ("a.csv", b"action;phone_number\n", "separated by commas"),
        ("a.csv", b"action,phoneNumber\n", "did you mean 'phone_number'?"),
        ("a.csv", b"action,frendly_name\n", "did you mean 'friendly_name'?"),
        ("a.csv", b"action,color\n", "unknown column 'color'; known are"),
        ("a.csv", b"phone_number\n", "there is no column 'action'"),
        ("a.csv", b"action,id,id\n", "column 'id' is there twice"),
        ("a.csv", b"action,,id\n", "column 2 has no name"),
        ("a.csv", b"action,friendly_name\nupdate,caf\xe9\n", "a.csv, line 2: byte 11 is not UTF-8"),
        ("a.jsonl", b'{"a": "\xff"}\n', "a.jsonl, line 1: byte 8 is not UTF-8"),
    ],
)
def test_a_file_that_cannot_be_used_stops_everything(
    cli: Cli, inside: Inside, name: str, content: bytes | None, told: str
) -> None:
    if content is not None:
        (cli.folder / name).write_bytes(content)
    done = inside("apply", name)

    assert (done.code, done.out) == (2, "")
    assert told in done.err
    assert done.err.startswith("sigmamind: ")
    assert done.err.count("\n") == 1
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
    done = inside("apply", cli.purchases(3), *words)

    assert (done.code, done.out) == (2, "")
    assert told in done.err
    assert cli.box.sigmamind.requests.total == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("apply",), "requires an argument"),
        (("apply", "a.csv", "--max-purchase", "1"), "--max-purchase"),
        (("apply", "a.csv", "--deadline", "soon"), "--deadline"),
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


def test_an_id_that_is_there_twice_fails_the_second_time(cli: Cli, inside: Inside) -> None:
    """Nobody could tell two such rows apart; the second is not sent."""
    rows = [
        {"id": name, "action": "create", "country_code": "US", "friendly_name": str(place)}
        for place, name in enumerate(["a", 7, "b", "a", "7", "c"])
    ]
    path = cli.write("a.jsonl", "\n".join(map(json.dumps, rows)))
    done = inside("apply", path, "--max-purchases", 4, "--yes", "--json")

    failed = {row["line"]: row["error"]["message"] for row in done.rows if row["error"]}
    assert failed == {
        4: "id: line 1 has the same; each row needs its own",
        5: "id: line 2 has the same; each row needs its own",
    }
    assert cli.labels() == ["0", "1", "2", "5"]


def test_a_negative_deadline_is_refused(cli: Cli, inside: Inside) -> None:
    done = inside("apply", cli.purchases(1), *BUY, "--deadline", "0")

    assert done.code == 2
    assert "deadline: must be more than 0" in done.err


def test_no_key_is_a_message(cli: Cli, inside: Inside) -> None:
    done = inside("apply", cli.purchases(1), *BUY, SIGMAMIND_API_KEY="")

    assert (done.code, done.out) == (2, "")
    assert "set SIGMAMIND_API_KEY" in done.err


# ---------------------------------------------------------------- what the platform does


def test_a_wrong_key_ends_the_job_early(cli: Cli) -> None:
    """Five hundred rows are not five hundred refusals."""
    path = cli.purchases(500)
    done = cli(
        "apply", path, "--max-purchases", 500, "--yes", "--json", SIGMAMIND_API_KEY="canary-key"
    )

    assert done.code == 2
    assert done.summary["stopped"] == "key_refused"
    assert done.summary["skipped"] >= 300
    assert done.summary["rows"] == len(done.rows) == 500
    assert "canary-key" not in done.out + done.err


def test_a_wrong_key_is_told_with_where_to_mend_it(cli: Cli, inside: Inside) -> None:
    done = inside("apply", cli.purchases(3), "--max-purchases", 3, "--yes", SIGMAMIND_API_KEY="no")

    assert done.code == 2
    assert "check SIGMAMIND_API_KEY" in done.out
    assert "the platform refuses the key, see SIGMAMIND_API_KEY" in done.err


def test_a_lost_answer_is_found(cli: Cli) -> None:
    """It was bought, and nobody was told: the tag in its label tells."""
    cli.box.script("create", ["reset_after_commit"])
    done = cli("apply", cli.purchases(1), *BUY)

    [bought] = cli.box.ledger.purchases
    assert done.code == 0
    assert str(bought.phone_number) in done.out


def test_what_cannot_be_found_is_unconfirmed(cli: Cli) -> None:
    """It may still come: that is said, and with which commands to go on."""
    cli.box.script("create", ["reset_before_commit"])
    done = cli("apply", cli.purchases(1), *BUY, *HASTE)

    assert done.code == 3
    assert "unconfirmed  create  buy-0" in done.out
    assert "it may have been carried out" in done.out
    assert "unconfirmed, may have been carried out: line 1" in done.err
    assert "sigmamind reconcile" in done.err
    assert "run the same command again" in done.err


def test_unconfirmed_counts_more_than_failed(cli: Cli, inside: Inside) -> None:
    cli.box.script("create", ["reset_before_commit"])
    text = '{"action": "create", "country_code": "US"}\nno row\n'

    assert inside("apply", cli.write("a.jsonl", text), *BUY, *HASTE).code == 3


def test_a_number_named_exactly_is_looked_up(cli: Cli, inside: Inside) -> None:
    cli.box.script("import", ["reset_after_commit"])
    row = {"action": "import", "phone_number": "+14155550123", "friendly_name": "Own"}

    assert inside("apply", cli.write("a.jsonl", json.dumps(row))).code == 0


def test_an_agent_is_cleared_by_null_and_kept_by_blank(cli: Cli, inside: Inside) -> None:
    own = "id,action,phone_number,inbound_agent_id,outbound_agent_id,friendly_name\n"
    inside("apply", cli.write("a.csv", own + "1,import,+14155550123,a_in,a_out,Own\n"))
    inside("apply", cli.write("b.csv", own + "1,update,+14155550123,null,,New\n"))
    done = inside("numbers", "get", "+14155550123", "--json")

    [number] = done.objects
    assert number["inbound_agent_id"] is None
    assert (number["outbound_agent_id"], number["label"]) == ("a_out", "New")


@pytest.mark.parametrize("secret", ["env:TRUNK_PASSWORD", "file:trunk.txt"])
def test_a_secret_is_taken_from_where_it_is_kept(cli: Cli, inside: Inside, secret: str) -> None:
    """It arrives, and is in no output, even from a platform that repeats it."""
    cli.write("trunk.txt", cli.trunk_password + "\n")
    cli.box.switches = Switches(echo_secrets=True)
    row = {"action": "import", "phone_number": "+14155550123", "trunk_password": secret}
    done = inside("apply", cli.write("a.jsonl", json.dumps(row)), "--json")
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
    row = {"action": "import", "phone_number": "+14155550123", "trunk_password": "hunter2"}
    path = cli.write("a.jsonl", json.dumps(row))
    refused = inside("apply", path)
    taken = inside("apply", path, "--allow-inline-secrets")

    assert (refused.code, taken.code) == (1, 0)
    assert "hunter2" not in refused.out + refused.err + taken.out + taken.err
    assert passwords(cli.box) == {"+14155550123": "hunter2"}
