"""``sigmamind numbers``: one number at a time."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from sigmamind_async.sandbox import Sandbox

if TYPE_CHECKING:
    from tests.cli.conftest import Cli, Inside

NUMBER = "+14155550123"


@pytest.fixture
def held(inside: Inside, cli: Cli) -> Sandbox:
    """An account with one number that an agent answers and one that none does."""
    rows = [
        {"action": "import", "phone_number": NUMBER, "inbound_agent_id": "a1"},
        {
            "action": "import",
            "phone_number": "+14155550124",
            "friendly_name": "Spare",
            "outbound_agent_id": "a3",
        },
    ]
    for place, row in enumerate(rows):  # one after the other, for their order is compared
        inside("apply", cli.write(f"held-{place}.jsonl", json.dumps(row)))
    return cli.box


@pytest.mark.usefixtures("held")
@pytest.mark.parametrize(
    ("words", "numbers"),
    [
        ((), [NUMBER, "+14155550124"]),
        (("--unassigned",), ["+14155550124"]),
        (("--agent", "a1"), [NUMBER]),
        (("--agent", "a2"), []),
        (("--agent", "a3"), ["+14155550124"]),
        (("--platform", "verbex"), []),
        (("--platform", "sigmamind", "--platform", "sigmamind"), [NUMBER, "+14155550124"]),
    ],
)
def test_list(inside: Inside, words: tuple[str, ...], numbers: list[str]) -> None:
    done = inside("numbers", "list", "--json", *words)

    assert done.code == 0
    assert [each["phone_number"] for each in done.objects] == numbers


@pytest.mark.usefixtures("held")
def test_a_plain_list_is_aligned(inside: Inside) -> None:
    headings, first, second, _, count = inside("numbers", "list").out.splitlines()

    assert headings.startswith("phone number")
    assert first.index("a1") == headings.index("inbound agent")
    assert second.endswith("Spare")
    assert count == "2 numbers"


@pytest.mark.usefixtures("held")
def test_an_agent_is_found_on_either_side(inside: Inside) -> None:
    """Whoever retires an agent needs the numbers it calls from, too."""
    inside("numbers", "update", NUMBER, "--outbound-agent-id", "a3")
    inside("numbers", "update", "+14155550124", "--inbound-agent-id", "a3")
    done = inside("numbers", "list", "--agent", "a3", "--json")
    headings = inside("numbers", "list", "--agent", "a3").out.splitlines()[0]

    sides = {each["phone_number"]: each["side"] for each in done.objects}
    assert sides == {NUMBER: "outbound", "+14155550124": "both"}
    assert "  side  " in headings


@pytest.mark.usefixtures("held")
def test_a_list_that_was_not_asked_for_it_names_neither_side_nor_platform(inside: Inside) -> None:
    done = inside("numbers", "list", "--json")

    assert (done.objects[0]["side"], done.objects[0]["platform"]) == (None, None)
    assert inside("numbers", "list").out.splitlines()[0].startswith("phone number  ")


BOTH = ("--platform", "sigmamind", "--platform", "verbex")


@pytest.fixture
def spread(inside: Inside, cli: Cli, held: Sandbox) -> Sandbox:
    """The same account, and one on Verbex with a number of its own."""
    row = '{"action": "create", "provider": "pia", "phone_number": "+14155550125"}'
    words = ("--platform", "verbex", "--max-purchases", 1, "--yes")
    assert inside("apply", cli.write("verbex.jsonl", row), *words).code == 0
    return held


@pytest.mark.usefixtures("spread")
def test_numbers_of_several_platforms_stand_together(inside: Inside) -> None:
    done = inside("numbers", "list", *BOTH, "--json")
    headings, *lines, _, count = inside("numbers", "list", *BOTH).out.splitlines()

    assert [(each["platform"], each["phone_number"]) for each in done.objects] == [
        ("sigmamind", NUMBER),
        ("sigmamind", "+14155550124"),
        ("verbex", "+14155550125"),
    ]
    assert "  platform  " in headings
    assert [line.split()[0] for line in lines] == [NUMBER, "+14155550124", "+14155550125"]
    assert "sigmamind" in lines[0]
    assert "verbex" in lines[2]
    assert count == "3 numbers"


def test_each_platform_needs_its_own_key(inside: Inside, cli: Cli) -> None:
    """Told before any of them is asked."""
    done = inside("numbers", "list", *BOTH, VERBEX_API_KEY="")

    assert (done.code, done.out) == (2, "")
    assert "set VERBEX_API_KEY in the environment" in done.err
    assert cli.box.sigmamind.requests.total == 0


@pytest.mark.usefixtures("held")
def test_get(cli: Cli) -> None:
    done = cli("numbers", "get", NUMBER)

    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[0].split() == ["phone_number", NUMBER]


@pytest.mark.usefixtures("held")
def test_update(inside: Inside) -> None:
    words = ("--clear-inbound-agent", "--friendly-name", "New", "--json")
    [number] = inside("numbers", "update", NUMBER, *words).objects

    assert (number["inbound_agent_id"], number["label"]) == (None, "New")


def test_release(inside: Inside, held: Sandbox) -> None:
    done = inside("numbers", "release", NUMBER, "--yes", "--json")

    assert (done.code, done.objects) == (
        0,
        [
            {
                "type": "number_released",
                "version": 1,
                "platform": None,
                "phone_number": NUMBER,
                "record_id": None,
            }
        ],
    )
    assert held.ledger.owned() == ["+14155550124"]


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("get", NUMBER), 1, "404: Phone number not found - the account does not hold"),
        (("get", "4155550123"), 2, "is not a phone number like '+14155550100'"),
        (("update", NUMBER), 2, "names no field to change"),
        (("update", NUMBER, "--trunk-password", "hunter2"), 2, "env:NAME or file:PATH"),
        (("update", NUMBER, "--trunk-password", "env:NOPE"), 2, "set the variable NOPE"),
        (
            ("update", NUMBER, "--inbound-agent-id", "a", "--clear-inbound-agent"),
            2,
            "exclude each other",
        ),
        (("list", "--unassigned", "--agent", "a"), 2, "exclude each other"),
        (("release", NUMBER), 2, "needs --yes where there is no terminal"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    inside: Inside, words: tuple[str, ...], code: int, told: str
) -> None:
    done = inside("numbers", *words)

    assert (done.code, done.out) == (code, "")
    assert done.err.startswith("sigmamind: ")
    assert told in done.err
    assert done.err.count("\n") == 1
    assert "hunter2" not in done.err


def test_a_refused_key_says_where_to_mend_it(inside: Inside) -> None:
    done = inside("numbers", "list", SIGMAMIND_API_KEY="canary-key")

    assert done.code == 2
    assert "check SIGMAMIND_API_KEY" in done.err
    assert "canary-key" not in done.err


def test_a_lost_release_is_in_doubt_or_done(inside: Inside, held: Sandbox) -> None:
    """A release is repeated after silence, and a 404 then means that it is done."""
    held.script("delete", ["reset_after_commit"])

    assert inside("numbers", "release", NUMBER, "--yes").code == 0


class Odd(BaseHTTPRequestHandler):
    """Says yes to everything, and in the body something else."""

    body = b""

    def do_DELETE(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    do_GET = do_DELETE  # noqa: N815 - the name that the base class looks for

    def log_message(self, *_: object) -> None:
        """Say nothing."""


# Seen to fail, with exit 0 and "released", where a removal takes any 2xx for a success.
@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{"success": false, "error": "it is in use"}', "reports a failure: it is in use"),
        (b'{"status": "queued"}', "removal is still pending"),
        (b"<title>Log in</title>", "a page titled 'Log in'"),
    ],
)
def test_a_release_that_is_not_confirmed_is_not_said_to_be_done(
    inside: Inside, body: bytes, told: str
) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Odd,), {"body": body})) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        done = inside("numbers", "release", NUMBER, "--yes", SIGMAMIND_BASE_URL=url)
        server.shutdown()

    assert (done.code, done.out) == (3, "")
    assert told in done.err


def test_nobody_at_home_is_exit_1(inside: Inside) -> None:
    done = inside("numbers", "list", "--deadline", "1", SIGMAMIND_BASE_URL="http://127.0.0.1:1")

    assert done.code == 1
    assert "nothing was sent" in done.err


@pytest.mark.parametrize("words", [(), ("--json",)])
def test_a_list_that_ends_before_the_account_does_is_an_error(
    inside: Inside, words: tuple[str, ...]
) -> None:
    """What was shown until then is a part, and the exit code says so."""
    body = json.dumps({"data": [{"sipPhoneNumber": NUMBER}], "totalCount": 250}).encode()
    with ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Odd,), {"body": body})) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        done = inside("numbers", "list", *words, SIGMAMIND_BASE_URL=url)
        server.shutdown()

    assert done.code == 1
    assert "records read: 1" in done.err
    assert "a total of 250" in done.err
