"""What an ended test call says, which numbers can place one, and in which order."""

from __future__ import annotations

from typing import Any

import pytest

from sigmamind_async import ConfigurationError, Progress, SigmaMind
from sigmamind_async.platforms.sigmamind.models import Call, PhoneNumber
from sigmamind_async.platforms.sigmamind.verification import (
    spread_by_destination,
    status_of_call,
    verify_numbers,
)

PHONE = "+14155559900"


def number(name: str, rings: str | None = PHONE, agent: str | None = "a1") -> PhoneNumber:
    return PhoneNumber(sip_phone_number=name, outbound_phone_number=rings, outbound_agent_id=agent)


@pytest.mark.parametrize(
    ("status", "reason", "says"),
    [
        ("ended", "silence_timed_out", "passed"),
        ("completed", "customer_ended_call", "passed"),
        ("ended", "voicemail", "passed"),
        ("ended", "no-answer", "failed"),
        ("ended", "no_answer", "failed"),
        ("completed", "failed", "failed"),
        ("error", "agent_ended_call", "failed"),
        ("ended", "a_word_of_next_year", "unconfirmed"),
        ("completed", None, "unconfirmed"),
    ],
)
def test_only_a_documented_reason_is_a_pass(status: str, reason: str | None, says: str) -> None:
    """In every vocabulary of the platform; a new word is neither a pass nor a failure."""
    assert status_of_call(Call(status=status, termination_reason=reason)) == says


def test_numbers_with_one_destination_are_far_apart() -> None:
    given = [number("1", "x"), number("2", "x"), number("3", "x"), number("4", "y")]

    assert [each.sip_phone_number for each in spread_by_destination(given)] == ["1", "4", "2", "3"]


def test_the_number_of_calls_is_known_before_the_first() -> None:
    progress = Progress()
    given = [number("+14155550100"), number(""), number("+14155550101", rings=None)]
    run = verify_numbers(SigmaMind("key"), given, progress=progress)

    assert (run.calls, run.in_progress, progress.total) == (1, 0, 3)


def test_an_agent_of_the_call_speaks_for_numbers_without_one() -> None:
    given = [number("+14155550100", agent=None)]

    assert verify_numbers(SigmaMind("key"), given).calls == 0
    assert verify_numbers(SigmaMind("key"), given, agent_id="a2").calls == 1


@pytest.mark.parametrize(
    "setting",
    [{"timeout": 0.0}, {"poll_interval": -1.0}, {"concurrency": 0}, {"per_destination": 0}],
)
def test_a_setting_that_cannot_be_used_is_refused(setting: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(setting))):
        verify_numbers(SigmaMind("key"), [], **setting)
