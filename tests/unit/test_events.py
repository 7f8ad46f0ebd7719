"""Observers: told everything, able to break nothing."""

import logging

import pytest

from sigmamind_async.events import CallFinished, Event, log_event, notify

FINISHED = CallFinished(operation="acme.buy", attempts=1, elapsed=0.5, error=None)


def test_an_observer_is_handed_the_event() -> None:
    seen: list[Event] = []

    notify(seen.append, FINISHED)

    assert seen == [FINISHED]


def test_without_an_observer_nothing_happens() -> None:
    notify(None, FINISHED)


def test_an_observer_that_raises_is_logged_and_harmless(caplog: pytest.LogCaptureFixture) -> None:
    """A broken observer must not cost a purchase its answer."""

    def broken(event: Event) -> None:
        raise RuntimeError("mine")

    notify(broken, FINISHED)

    [record] = caplog.records
    assert (record.name, record.levelname) == ("sigmamind_async", "ERROR")
    assert record.getMessage() == "the observer failed on CallFinished"


def test_an_observer_cannot_swallow_an_interrupt() -> None:
    def interrupted(event: Event) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        notify(interrupted, FINISHED)


def test_events_can_be_written_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="sigmamind_async"):
        log_event(FINISHED)

    assert caplog.messages == [str(FINISHED)]
