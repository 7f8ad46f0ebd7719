"""``sigmamind numbers verify``: each number calls its test destination once, or says why not."""

from __future__ import annotations

import re
import signal
import subprocess
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from sigmamind_async.cli.jobs.verification import exit_for
from sigmamind_async.cli.output.events import (
    VerificationSummary,
)
from sigmamind_async.sandbox import Sandbox
from tests.cli.accounts import import_numbers
from tests.cli.test_terminal import ESCAPES, on_terminal

if TYPE_CHECKING:
    from tests.cli.conftest import Cli, Inside, Wait

A, B, C = "+14155550100", "+14155550101", "+14155550102"
PHONE, OTHER_PHONE = "+14155559900", "+14155559901"
CALLABLE = {"outbound_phone_number": PHONE, "outbound_agent_id": "agent_1"}


@attrs.frozen
class Account:
    """The sandbox's account, with numbers to call from."""

    cli: Cli

    @property
    def box(self) -> Sandbox:
        return self.cli.box

    def holds(self, numbers: dict[str, dict[str, Any]]) -> None:
        import_numbers(self.box, numbers)

    def turn(self, **switches: Any) -> None:
        """Say how calls go from now on."""
        self.box.switches = attrs.evolve(self.box.switches, **switches)

    @property
    def calls(self) -> list[tuple[str | None, object, object]]:
        """Who called whom, and who spoke, in the order in which the platform placed the calls."""
        return [
            (each.phone_number, each.body["toPhoneNumber"], each.body.get("agentId"))
            for each in self.box.ledger.of_kind("call")
        ]


@pytest.fixture
def account(cli: Cli) -> Account:
    """An account whose calls have ended as soon as they are placed."""
    account = Account(cli)
    account.turn(call_seconds=0.0)
    return account


# ---------------------------------------------------------------- what a call says


def test_a_call_that_was_answered_proves_the_trunk(account: Account, inside: Inside) -> None:
    account.holds({A: CALLABLE})
    done = inside("numbers", "verify", A, "--max-calls", 1, "--json")

    assert (done.code, done.err) == (0, "")
    assert account.calls == [(A, PHONE, None)]
    assert done.objects == [
        {
            "type": "verification",
            "version": 1,
            "phone_number": A,
            "status": "passed",
            "destination": PHONE,
            "call_id": done.rows[0]["call_id"],
            "call_status": "ended",
            "termination_reason": "agent_ended_call",
            "duration_ms": 0,
            "error": None,
            "note": "",
        },
        {
            "type": "verification_summary",
            "version": 1,
            "numbers": 1,
            "passed": 1,
            "failed": 0,
            "unconfirmed": 0,
            "skipped": 0,
            "stopped": None,
        },
    ]


@pytest.mark.parametrize(
    ("words", "says", "code"),
    [
        (("ended", "user_ended_call"), "passed", 0),
        (("ended", "busy"), "failed", 1),
        (("not-connected", None), "failed", 1),
        (("ended", None), "unconfirmed", 3),
    ],
)
def test_how_a_call_ends_is_the_exit_code(
    account: Account, inside: Inside, words: tuple[str, str | None], says: str, code: int
) -> None:
    status, reason = words
    account.holds({A: CALLABLE})
    account.turn(call_status=status, call_reason=reason)
    done = inside("numbers", "verify", "--max-calls", 1, "--json")

    assert (done.code, done.summary[says]) == (code, 1)
    assert (done.rows[0]["call_status"], done.rows[0]["termination_reason"]) == (status, reason)


def test_a_call_is_followed_to_its_end(account: Account, inside: Inside) -> None:
    account.holds({A: CALLABLE})
    account.turn(call_seconds=0.06)
    done = inside("numbers", "verify", "--max-calls", 1, "--json", "--poll-interval", 0.02)

    assert (done.code, done.rows[0]["call_status"]) == (0, "ended")


def test_a_call_that_never_ends_is_left_in_time(account: Account, inside: Inside) -> None:
    """It was placed, so it is unconfirmed, and where to look for it is told."""
    account.holds({A: CALLABLE})
    account.turn(call_seconds=3600.0)
    words = ("--max-calls", 1, "--json", "--poll-interval", 0.02, "--timeout", 0.1)
    [row] = inside("numbers", "verify", *words).rows

    assert (row["status"], row["call_status"], row["error"]["committed"]) == (
        "unconfirmed",
        "scheduled",
        "yes",
    )
    assert row["error"]["message"] == "the call was placed and has not ended within 0.1 s"
    assert row["call_id"].startswith("call_")


def test_a_look_that_hangs_ends_with_the_time_for_the_call(
    account: Account, inside: Inside
) -> None:
    """Without the timeout around all looks this one ends the call's deadline, and says so."""
    account.holds({A: CALLABLE})
    account.turn(call_seconds=3600.0)
    account.box.script("calls.get", ["hang_before_commit"] * 9)
    words = ("--max-calls", 1, "--json", "--timeout", 0.3, "--poll-interval", 0.02, "--deadline", 2)
    [row] = inside("numbers", "verify", *words).rows

    assert row["status"] == "unconfirmed"
    assert row["error"]["message"] == "the call was placed and has not ended within 0.3 s"


@pytest.mark.parametrize("fault", ["status_401", "garbage_body"])
def test_a_look_that_fails_leaves_a_call_unconfirmed(
    account: Account, inside: Inside, fault: str
) -> None:
    """The call was placed, so it has not failed; without the conversion of its errors it has."""
    account.holds({A: CALLABLE})
    account.turn(call_seconds=3600.0)
    account.box.script("calls.get", [fault] * 9)
    words = ("--max-calls", 1, "--json", "--poll-interval", 0.02)
    done = inside("numbers", "verify", *words)

    assert (done.code, done.rows[0]["status"], len(account.calls)) == (3, "unconfirmed", 1)
    assert done.rows[0]["error"]["message"].startswith("the call was placed and its end")
    assert done.rows[0]["call_id"]


# ---------------------------------------------------------------- never twice


@pytest.mark.parametrize("fault", ["reset_after_commit", "status_500_after_commit", "cut_body"])
def test_a_lost_answer_is_unconfirmed_and_never_called_again(
    account: Account, inside: Inside, fault: str
) -> None:
    """Negative control: the call as a repeatable operation rings twice, and reads "passed"."""
    account.holds({A: CALLABLE})
    account.box.script("calls.create", [fault])
    done = inside("numbers", "verify", "--max-calls", 1, "--json")

    assert (done.code, done.rows[0]["status"], done.rows[0]["call_id"]) == (3, "unconfirmed", None)
    assert done.rows[0]["error"]["type"] == "OutcomeUnknownError"
    assert account.calls == [(A, PHONE, None)]


def test_a_request_that_went_unanswered_before_it_was_read_is_unconfirmed_too(
    account: Account, inside: Inside
) -> None:
    """Nobody can tell from here; that nothing rang is luck."""
    account.holds({A: CALLABLE})
    account.box.script("calls.create", ["reset_before_commit"])
    done = inside("numbers", "verify", "--max-calls", 1)

    assert (done.code, account.calls) == (3, [])
    assert "it is not placed again; look for it on the platform" in done.out


def test_a_throttled_call_is_placed_later(account: Account, inside: Inside) -> None:
    """The control beside: what certainly did not ring is tried again, and rings once."""
    account.holds({A: CALLABLE})
    account.box.script("calls.create", ["status_429"])
    done = inside("numbers", "verify", "--max-calls", 1, "--json")

    assert (done.code, account.calls) == (0, [(A, PHONE, None)])


def test_a_refused_call_has_failed(account: Account, inside: Inside) -> None:
    account.holds({A: CALLABLE})
    account.turn(check_agents=True)
    done = inside("numbers", "verify", "--max-calls", 1, "--agent", "agent_nobody", "--json")

    assert (done.code, done.rows[0]["status"], account.calls) == (1, "failed", [])
    assert done.rows[0]["error"]["committed"] == "no"


def test_a_number_named_twice_is_called_from_once(account: Account, inside: Inside) -> None:
    account.holds({A: CALLABLE})

    assert inside("numbers", "verify", A, A, "--max-calls", 1).code == 0
    assert account.calls == [(A, PHONE, None)]


# ---------------------------------------------------------------- who is called


def test_numbers_that_cannot_call_are_skipped_with_the_way_out(
    account: Account, inside: Inside
) -> None:
    account.holds({A: CALLABLE, B: {}, C: {"outbound_phone_number": PHONE}})
    done = inside("numbers", "verify", "--max-calls", 1)
    lines = {line.split()[1]: line for line in done.out.splitlines()}

    assert (done.code, account.calls) == (0, [(A, PHONE, None)])
    assert lines[B].split()[0] == "skipped"
    assert lines[B].endswith(
        f"no test number; set one: sigmamind numbers update {B} --test-number NUMBER"
    )
    assert "no outbound agent; add --agent ID, or:" in lines[C]
    assert lines[A].split()[2:] == ["to", PHONE, "ended:", "agent_ended_call,", "0.0", "s"]


def test_an_agent_speaks_for_numbers_without_one(account: Account, inside: Inside) -> None:
    account.holds({C: {"outbound_phone_number": PHONE}})

    assert inside("numbers", "verify", "--max-calls", 1, "--agent", "agent_2").code == 0
    assert account.calls == [(C, PHONE, "agent_2")]


def test_a_number_that_is_not_there_fails_alone(account: Account, inside: Inside) -> None:
    account.holds({A: CALLABLE})
    done = inside("numbers", "verify", A, B, "4155550123", "--max-calls", 1, "--json")
    ends = {row["phone_number"]: row["status"] for row in done.rows}

    assert (done.code, ends) == (1, {A: "passed", B: "failed", "4155550123": "failed"})


@pytest.mark.parametrize(
    ("counts", "named", "code"),
    [
        ({"passed": 2}, False, 0),
        ({"passed": 1, "skipped": 1}, False, 0),
        ({"passed": 1, "skipped": 1}, True, 1),
        ({"skipped": 2}, False, 1),
        ({}, False, 1),
        ({"passed": 1, "failed": 1}, False, 1),
        ({"failed": 1, "unconfirmed": 1}, False, 3),
        ({"unconfirmed": 1, "stopped": "interrupted"}, False, 130),
    ],
)
def test_exit_codes(counts: dict[str, Any], named: bool, code: int) -> None:
    """A round that proved nothing is never 0, nor one that left out what was named."""
    assert exit_for(VerificationSummary(numbers=2, **counts), named=named) == code


def test_a_telephone_takes_one_call_at_a_time(account: Account, inside: Inside) -> None:
    """Negative control: with ``--max-per-destination 2`` two ring it at once."""
    account.holds({A: CALLABLE, B: CALLABLE})
    account.turn(call_seconds=0.3)

    assert inside("numbers", "verify", "--max-calls", 2, "--poll-interval", 0.02).code == 0
    first, second = (each.time for each in account.box.ledger.of_kind("call"))
    assert second >= first + 0.3


# ---------------------------------------------------------------- agreement


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            (),
            "each rings a telephone and costs money. Agree with --max-calls 2; nothing was sent",
        ),
        (
            ("--max-calls", 1),
            "this places 2 test calls from sigmamind at ",
        ),
        (("--max-calls", 1), "--max-calls allows 1; nothing was sent"),
        (("--timeout", 0), "timeout: must be"),
        (("--max-per-destination", 0), "--max-per-destination"),
        (("--platform", "verbex"), "verbex has no calls to verify a number with"),
    ],
)
def test_what_is_not_agreed_to_calls_nobody(
    account: Account, inside: Inside, words: tuple[object, ...], told: str
) -> None:
    account.holds({A: CALLABLE, B: {**CALLABLE, "outbound_phone_number": OTHER_PHONE}})
    done = inside("numbers", "verify", *words)

    assert (done.code, done.out, account.calls) == (2, "", [])
    assert done.err.startswith("sigmamind: ")
    assert done.error
    assert told in done.err


def test_nothing_to_call_needs_no_agreement(account: Account, inside: Inside) -> None:
    account.holds({A: {}})

    assert inside("numbers", "verify", A, "--json").code == 1


@pytest.mark.usefixtures("covered_processes")
@pytest.mark.parametrize(("typed", "code", "calls"), [("1\n", 0, 1), ("y\n", 2, 0)])
def test_on_a_terminal_the_count_is_typed(
    account: Account, typed: str, code: int, calls: int
) -> None:
    """Numbers that are left out for one reason are named together."""
    other = "+14155550299"
    account.holds({A: CALLABLE, B: {}, other: {}})
    got, seen = on_terminal(account.cli, ["numbers", "verify"], typed)
    text = ESCAPES.sub("", seen)

    assert (got, len(account.calls)) == (code, calls)
    assert "This places 1 test call from sigmamind at " in text
    assert "each rings a telephone and costs money." in " ".join(text.split())
    assert ("3 numbers: 1 passed, 2 skipped" in text) is (code == 0)
    assert (f"passed       {A}" in text) is (code == 0)
    assert (f"left out: {B}, {other}: no test number" in text) is (code == 0)


# ---------------------------------------------------------------- Ctrl-C

SIX = {f"+1415555020{place}": CALLABLE for place in range(6)}
TWO_AT_ONCE = ("--max-calls", 6, "--concurrency", 2, "--max-per-destination", 2)


def started(account: Account, until: Wait, *words: object) -> subprocess.Popen[bytes]:
    """Start a round of six calls, two at once, and wait for the first two."""
    account.holds(SIX)
    process = account.cli.start("numbers", "verify", *TWO_AT_ONCE, "--poll-interval", 0.02, *words)
    until(lambda: len(account.calls) == 2)
    return process


@pytest.mark.usefixtures("covered_processes")
def test_ctrl_c_follows_the_calls_under_way(account: Account, until: Wait) -> None:
    """What rings is seen to its end, what does not is left alone; each number is told of once."""
    account.turn(call_seconds=0.5)
    process = started(account, until, "--json")
    process.send_signal(signal.SIGINT)
    done = account.cli.ended(process)
    called = len(account.calls)

    assert (done.code, done.summary["stopped"]) == (130, "interrupted")
    assert 2 <= called < len(SIX)
    assert [row["status"] for row in done.rows].count("passed") == called
    assert [row["status"] for row in done.rows].count("skipped") == len(SIX) - called
    assert {row["phone_number"] for row in done.rows} == set(SIX)


@pytest.mark.usefixtures("covered_processes")
def test_a_second_ctrl_c_leaves_them(account: Account, until: Wait) -> None:
    """What rings may go on ringing, so it is unconfirmed; each number is told of once."""
    account.turn(call_seconds=3600.0)
    process = started(account, until)
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    assert process.stderr.readline().startswith(b"placing 6 test calls from sigmamind at http")
    assert b"stopping: settling requests under way" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    done = account.cli.ended(process)
    ends = [line.split()[:2] for line in done.out.splitlines()[:6]]

    assert (done.code, len(account.calls)) == (130, 2)
    assert sorted(name for _, name in ends) == sorted(SIX)
    assert [end for end, _ in ends].count("unconfirmed") == 2
    assert done.out.count("it is left alone and may still ring") == 2


def test_nobody_is_called_for_a_stdout_that_takes_no_more(account: Account) -> None:
    account.holds(SIX)
    account.box.latency = (0.1, 0.1)
    words = ("numbers", "verify", "--max-calls", 6, "--concurrency", 1)
    with open("/dev/full", "wb") as full:  # noqa: PTH123 - a device
        process = account.cli.start(*words, stdout=full)
        err = process.communicate(timeout=120)[1].decode()

    assert process.returncode == 130
    assert "stopping: standard output takes no more" in err
    assert len(account.calls) < len(SIX)


# ---------------------------------------------------------------- help and forms


def test_the_help_is_shown_and_its_example_runs(account: Account, inside: Inside) -> None:
    account.holds({A: CALLABLE})
    [example] = re.findall(r"Example: sigmamind (.+)", inside("numbers", "verify", "--help").out)

    assert inside(*example.split()).code == 0
