"""``numbers buy`` and ``numbers import``: each order buys its numbers once, whatever ends a run."""

from __future__ import annotations

import json
import re
import shlex
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import pytest

from sigmamind_async.provisioning.tags import remove_tag
from sigmamind_async.sandbox import Faults
from tests.cli.test_terminal import ESCAPES, on_terminal

if TYPE_CHECKING:
    from tests.cli.conftest import Cli, Inside, Wait

pytestmark = pytest.mark.usefixtures("covered_processes")

BUY = ("numbers", "buy", "--country", "US", "--area-code", "415", "--count", "20")
AGREED = ("--max-purchases", "20", "--yes")
SETTLED = (
    *("--settle-time", "1", "--retry-unconfirmed"),
    *("--attempt-timeout", "1", "--deadline", "10"),
)
"""What the death of a process left without an answer is settled by the next run."""
NUMBER = "+14155550123"


@pytest.fixture(autouse=True)
def state_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the list of this user's journals in the test's folder."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def bought(cli: Cli) -> int:
    return len(cli.box.ledger.purchases)


def orders(cli: Cli) -> list[Path]:
    return sorted(cli.folder.glob("order-*.jsonl"))


# ---------------------------------------------------------------- one order


def test_an_order_is_a_fleet_file_with_a_name(cli: Cli, inside: Inside) -> None:
    done = inside(*BUY, *AGREED, "--label", "Desk", "--json")
    order = done.objects[0]
    [file] = orders(cli)
    rows = [json.loads(line) for line in file.read_text().splitlines()]

    assert (done.code, order["type"], order["count"]) == (0, "order_placed", 20)
    assert file.name == order["file"] == f"order-{order['name']}.jsonl"
    assert [row["id"] for row in rows] == [f"{order['name']}-{place}" for place in range(1, 21)]
    assert {row["area_code"] for row in rows} == {415}
    assert cli.labels() == ["Desk"] * 20


def test_what_was_bought_is_managed_as_a_fleet(cli: Cli, inside: Inside) -> None:
    inside(*BUY, *AGREED)
    [file] = orders(cli)
    words = (file.name, "--journal", f"{file.name}.journal.db")

    assert inside("plan", *words, "--detailed-exitcode").code == 0
    assert inside("status", *words).code == 0
    assert inside("apply", *words).code == 0
    assert bought(cli) == 20


def test_one_exact_number_is_bought(cli: Cli, inside: Inside) -> None:
    words = ("numbers", "buy", "--phone-number", NUMBER, "--max-purchases", "1", "--yes")

    assert inside(*words).code == 0
    assert [each.phone_number for each in cli.box.ledger.purchases] == [NUMBER]


def test_an_order_says_how_many_are_agreed_to(cli: Cli, inside: Inside) -> None:
    """Its count is the limit, over all of its runs. Control: a lower limit that was given holds."""
    refused = inside(*BUY, "--yes", "--max-purchases", "19", "--order", "march")
    first = inside(*BUY, "--yes", "--order", "march")
    second = inside(*BUY, "--yes", "--order", "march")

    assert (refused.code, first.code, second.code, bought(cli)) == (2, 0, 0, 20)
    assert "Order march: 20 numbers on sigmamind" in first.out


def test_an_order_that_is_named_is_placed_once(cli: Cli, inside: Inside) -> None:
    first = inside(*BUY, *AGREED, "--order", "march")
    sent = cli.box.sigmamind.requests.total
    second = inside(*BUY, *AGREED, "--order=march")

    assert (first.code, second.code, bought(cli)) == (0, 0, 20)
    assert cli.box.sigmamind.requests.total - sent <= 2  # it reads the account


@pytest.mark.parametrize(
    "words",
    [("--country", "CA", "--count", "20"), ("--country", "US", "--count", "21")],
)
def test_a_name_is_of_one_order(cli: Cli, inside: Inside, words: tuple[str, ...]) -> None:
    inside(*BUY, *AGREED, "--order", "march")
    other = ("numbers", "buy", *words, "--order", "march", "--max-purchases", "50", "--yes")
    done = inside(*other)

    assert (done.code, bought(cli)) == (2, 20)
    assert "order-march.jsonl is another order" in done.err


# ---------------------------------------------------------------- kill -9


@pytest.mark.parametrize("after", [1, 7, 19])
def test_a_killed_order_goes_on_as_printed(
    cli: Cli, inside: Inside, until: Wait, after: int
) -> None:
    """With lost responses and late commits. Negative control: ids that each run makes anew fail."""
    cli.box.latency = (0.02, 0.1)
    cli.box.faults = Faults(share=0.2, late=0.2)
    process = cli.start(*BUY, *AGREED, *SETTLED, "--json")
    until(lambda: bought(cli) >= after)
    process.send_signal(signal.SIGKILL)
    killed = cli.ended(process)
    cli.box.faults = Faults()
    cli.box.latency = (0.0, 0.0)
    resume = shlex.split(killed.objects[0]["resume_command"])[1:]
    codes = [inside(*resume).code for _ in range(2)]

    assert codes == [0, 0]
    assert bought(cli) == 20


def test_an_order_that_is_killed_again_and_again_is_bought_once(
    cli: Cli, inside: Inside, until: Wait
) -> None:
    """Each run is killed a few purchases further; every number is of one row."""
    cli.box.latency = (0.02, 0.1)
    words = (*BUY, *AGREED, *SETTLED, "--order", "storm", "--json")
    for count in range(2, 20, 4):
        process = cli.start(*words)
        until(lambda: bought(cli) >= count or process.poll() is not None)  # noqa: B023 - used now
        process.send_signal(signal.SIGKILL)
        cli.ended(process)
    cli.box.latency = (0.0, 0.0)
    last = [inside(*words) for _ in range(2)][-1]
    numbers = [each["phone_number"] for each in last.objects if each["type"] == "row_result"]

    assert (last.code, bought(cli)) == (0, 20)
    assert sorted(numbers) == sorted(str(each.phone_number) for each in cli.box.ledger.purchases)


def test_the_same_command_again_stops_and_says_both_ways(
    cli: Cli, inside: Inside, until: Wait
) -> None:
    """It could mean either. Negative control: without the look at begun orders, it goes on."""
    cli.box.latency = (0.05, 0.1)
    process = cli.start(*BUY, *AGREED)
    until(lambda: bought(cli) >= 3)
    process.send_signal(signal.SIGKILL)
    cli.ended(process)
    until(lambda: cli.box.sigmamind.in_flight == 0)
    cli.box.latency = (0.0, 0.0)
    before = bought(cli)
    again = inside(*BUY, *AGREED)
    [file] = orders(cli)
    old, new = re.findall(r"--order (\w+)", again.err)

    assert (again.code, bought(cli)) == (2, before)
    assert f"{file.name} is the same order" in again.err
    assert inside(*BUY, *AGREED, *SETTLED, "--order", old).code == 0
    assert bought(cli) == 20
    assert [inside(*BUY, *AGREED, "--order", new).code for _ in range(2)] == [0, 0]
    assert bought(cli) == 40


def test_a_finished_order_is_not_placed_again_either(cli: Cli, inside: Inside) -> None:
    inside(*BUY, *AGREED)
    done = inside(*BUY, *AGREED)

    assert (done.code, bought(cli)) == (2, 20)
    assert "20 of its 20 numbers are bought" in done.err


def test_the_same_command_in_another_folder_stops_too(cli: Cli, inside: Inside) -> None:
    """A user's orders are known wherever they are. Negative control: without that look, 40."""
    inside(*BUY, *AGREED)
    other = cli.folder / "other"
    other.mkdir()
    done = attrs.evolve(cli, folder=other)(*BUY, *AGREED)

    assert (done.code, bought(cli)) == (2, 20)
    assert f"run this command in {cli.folder} with --order" in done.err


def test_an_order_that_was_not_agreed_to_is_taken_up(cli: Cli, inside: Inside) -> None:
    """Nothing of it was sent, so it is the one that is meant."""
    refused = inside(*BUY)
    done = inside(*BUY, *AGREED)

    assert (refused.code, done.code) == (2, 0)
    assert "--max-purchases 20 --yes" in refused.err
    assert (len(orders(cli)), bought(cli)) == (1, 20)


def test_an_order_without_its_journal_stops(cli: Cli, inside: Inside) -> None:
    """Nothing else knows what it has bought. Negative control: without the check, it buys again."""
    inside(*BUY, *AGREED, "--order", "march")
    for path in cli.folder.glob("order-march.jsonl.journal.db*"):
        path.unlink()
    done = inside(*BUY, *AGREED, "--order", "march")

    assert (done.code, bought(cli)) == (2, 20)
    assert "order-march.jsonl.journal.db, the journal of this order, is gone" in done.err
    done = inside(*BUY, *AGREED)
    assert (done.code, bought(cli)) == (2, 20), "nor without its name"
    assert "order-march.jsonl.journal.db, the journal of this order, is gone" in done.err


def test_an_order_that_was_named_is_found_from_another_folder(cli: Cli, inside: Inside) -> None:
    """Negative control: other numbers under the same name are another order."""
    inside(*BUY, *AGREED, "--order", "march")
    other = cli.folder / "other"
    other.mkdir()
    elsewhere = attrs.evolve(cli, folder=other)
    done = elsewhere(*BUY, *AGREED, "--order", "march")

    assert (done.code, bought(cli)) == (2, 20)
    assert f"{cli.folder}/order-march.jsonl is the same order, and 20 of its 20" in done.err
    words = ("numbers", "buy", "--country", "US", "--max-purchases", "1", "--yes")
    assert elsewhere(*words, "--order", "march").code == 0
    assert bought(cli) == 21


@pytest.mark.parametrize(("typed", "code", "count"), [("20\n", 0, 20), ("y\n", 2, 0)])
def test_a_person_sees_what_is_bought_where_before_it_is(
    cli: Cli, typed: str, code: int, count: int
) -> None:
    got, seen = on_terminal(cli, BUY, typed)
    text = ESCAPES.sub("", seen)
    before, _, _ = text.partition("Type 20")

    assert (got, bought(cli)) == (code, count)
    assert "20 numbers on sigmamind, kept in order-" in before
    assert f"  sigmamind  {cli.box.sigmamind.base_url}, key ..." in before
    assert "This buys 20 numbers and costs money." in before


def test_several_at_once_buy_one_order(cli: Cli) -> None:
    """The name follows from the order, so all of them make the same one."""
    cli.box.latency = (0.01, 0.05)
    several = [cli.start(*BUY, *AGREED) for _ in range(4)]
    codes = [cli.ended(process).code for process in several]

    assert bought(cli) == (20 if 0 in codes else 0)
    assert len(orders(cli)) == 1


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--country", "US", "--count", "0"), "--count"),
        (("--country", "US", "--count", "1001"), "--count"),
        (("--country", "US", "--count", "3.5"), "--count: '3.5' is not a whole number"),
        (("--country", "US", "--count", "0x3"), "--count: '0x3' is not a whole number"),
        (("--country", "US", "--area-code", "0415"), "--area-code: must be digits"),
        (("--country", "US", "--area-code", "4e2"), "--area-code: must be digits"),
        (("--country", "USA"), "--country: "),
        ((), "needs --phone-number or --country"),
        (("--phone-number", NUMBER, "--count", "2"), "--phone-number is one number"),
        (("--country", "US", "--order", "1E5"), "--order: '1E5' cannot name"),
        (("--country", "US", "--order", "../x"), "--order: '../x' cannot name"),
        (("--country", "US", "--type", "local"), "--type: "),
        (("--country", "US", "--label", "a\u200bb"), "--label: "),
        (("--platform", "verbex", "--country", "US"), "--country: "),
    ],
)
def test_what_cannot_be_bought_is_refused_before_anything_is_written(
    cli: Cli, inside: Inside, words: tuple[str, ...], says: str
) -> None:
    done = inside("numbers", "buy", *words, "--max-purchases", "9999", "--yes")

    assert (done.code, cli.box.sigmamind.requests.total) == (2, 0)
    assert says in done.err
    assert orders(cli) == []


def test_no_more_is_bought_than_is_allowed(cli: Cli, inside: Inside) -> None:
    done = inside(*BUY, "--max-purchases", "19", "--yes")

    assert (done.code, bought(cli)) == (2, 0)
    assert "--max-purchases allows 19" in done.err


@pytest.mark.parametrize("number", ["19.5", "2e1", "0x14", "20.0"])
def test_a_limit_is_not_rounded(cli: Cli, inside: Inside, number: str) -> None:
    """Negative control: cyclopts itself reads 19.5 as 20."""
    done = inside(*BUY, "--max-purchases", number, "--yes")

    assert (done.code, bought(cli)) == (2, 0)
    assert f"--max-purchases: '{number}' is not a whole number" in done.err


@pytest.mark.parametrize(
    ("platform", "words"),
    [
        ("verbex", ()),
        ("dialnexa", ("--country", "US", "--telephony-provider-id", "tp_twilio")),
    ],
)
def test_other_platforms_sell_too(
    cli: Cli, inside: Inside, platform: str, words: tuple[str, ...]
) -> None:
    done = inside(
        "numbers",
        "buy",
        "--platform",
        platform,
        *words,
        "--count",
        "2",
        "--max-purchases",
        "2",
        "--yes",
    )

    assert (done.code, bought(cli)) == (0, 2), done.err


# ---------------------------------------------------------------- numbers that you own

IMPORT = (
    "numbers",
    "import",
    NUMBER,
    "--termination-uri",
    "sip.example.com",
    "--trunk-username",
    "acme",
    "--trunk-password",
    "env:TRUNK_PASSWORD",
)


def imports(cli: Cli) -> int:
    return len(cli.box.ledger.of_kind("import"))


def test_a_number_is_imported_once(cli: Cli, inside: Inside) -> None:
    """Asks for nothing: it costs nothing."""
    first = inside(*IMPORT, "--label", "Mine")
    second = inside(*IMPORT, "--label", "Mine")
    [number] = inside("numbers", "list", "--json").objects

    assert (first.code, second.code, imports(cli)) == (0, 0, 1)
    assert (number["phone_number"], number["label"]) == (NUMBER, "Mine")


def test_a_number_that_is_there_is_left_as_it_is(cli: Cli, inside: Inside) -> None:
    """In another folder, with another label: nothing is sent, and it says so."""
    inside(*IMPORT, "--label", "Mine")
    (cli.folder / "imports.journal.db").unlink()
    (cli.folder / "imports.journal.db-lock").unlink()
    done = inside(*IMPORT, "--label", "Other")
    [number] = inside("numbers", "list", "--json").objects

    assert (done.code, imports(cli), number["label"]) == (0, 1, "Mine")
    assert f"{NUMBER} is in the sigmamind account already; nothing was sent" in done.err


def test_one_number_in_two_spellings_is_one_import(cli: Cli, inside: Inside) -> None:
    first = inside("numbers", "import", "+1 (415) 555-0100", *IMPORT[3:])
    again = inside("numbers", "import", "+14155550100", *IMPORT[3:])

    assert (first.code, again.code, imports(cli)) == (0, 0, 1)
    assert "sigmamind:+14155550100" in first.out
    assert "1 unchanged" in again.out


def test_a_killed_import_is_finished(cli: Cli, inside: Inside, until: Wait) -> None:
    """The response is lost with the process, and the number is imported once."""
    cli.box.sigmamind.script("import", ["hang_after_commit"])
    process = cli.start(*IMPORT, "--label", "Mine")
    until(lambda: imports(cli) == 1)
    process.send_signal(signal.SIGKILL)
    cli.ended(process)

    assert inside(*IMPORT, "--label", "Mine").code == 0
    assert imports(cli) == 1


def test_one_number_on_two_platforms_is_two_imports(cli: Cli, inside: Inside) -> None:
    """Not a number that moves: both platforms have it."""
    assert inside(*IMPORT).code == inside(*IMPORT, "--platform", "verbex").code == 0
    listed = inside("numbers", "list", "--json").objects

    assert {(each["platform"], each["phone_number"]) for each in listed} == {
        ("sigmamind", NUMBER),
        ("verbex", NUMBER),
    }


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("4155550123",), "NUMBER: "),
        ((NUMBER, "--trunk-password", "hunter2"), "--trunk-password: "),
        ((NUMBER, "--trunk-password", "env:NOPE", "--termination-uri", "x.example"), "NOPE"),
        ((NUMBER, "--platform", "dialnexa", "--test-number", "+14155550100"), "--test-number: "),
    ],
)
def test_an_import_that_cannot_be_sent_is_refused(
    cli: Cli, inside: Inside, words: tuple[str, ...], says: str
) -> None:
    done = inside("numbers", "import", *words)

    assert (done.code in {1, 2}, imports(cli)) == (True, 0)
    assert says in done.err + done.out
    assert "hunter2" not in done.err


def test_labels_have_no_tag(cli: Cli, inside: Inside) -> None:
    """That of a purchase is for the journal, not for a person."""
    inside("numbers", "buy", "--country", "US", "--label", "Desk", "--max-purchases", "1", "--yes")
    [number] = inside("numbers", "list", "--json").objects
    [purchase] = cli.box.ledger.purchases

    assert (number["label"], remove_tag(purchase.friendly_name or "")) == ("Desk", "Desk")
