"""What the sandbox delivers is what the client takes for genuine, though they share no code."""

from __future__ import annotations

import time

import pytest

from sigmamind_async.errors import InvalidRequestError
from sigmamind_async.platforms.dialnexa import webhooks as of_dialnexa
from sigmamind_async.platforms.sigmamind import webhooks as of_sigmamind
from sigmamind_async.platforms.verbex import webhooks as of_verbex
from sigmamind_async.sandbox import Sandbox
from sigmamind_async.sandbox.webhooks import Signed


@pytest.mark.parametrize("event", ["call_started", "call_ended", "call_transferred"])
def test_a_delivery_of_dialnexa_is_genuine(event: str) -> None:
    sent = Sandbox().dialnexa.webhook(event, call_id="call_7")
    read = of_dialnexa.verify_webhook(sent.body, sent.headers, sent.secret)

    assert read.call_id == "call_7"


@pytest.mark.parametrize("signed", ["body", "timestamp_and_body"])
def test_a_delivery_of_verbex_is_genuine_and_new(signed: Signed) -> None:
    sent = Sandbox().verbex.webhook("call_ended", signed=signed, secret="whsec_mine", agent_id="a")
    rule = of_verbex.body_alone if signed == "body" else of_verbex.timestamp_and_body
    read = of_verbex.verify_webhook(sent.body, sent.headers, "whsec_mine", signed=rule)

    assert read.event_name == "CallHandler.CallEnded"
    assert read.payload == {"call_id": "call_1", "agent_id": "a", "status": "ended"}
    assert abs((read.timestamp or 0.0) - time.time()) < 60


def test_the_inbound_call_of_sigmamind_is_read() -> None:
    sent = Sandbox().sigmamind.webhook("inbound_call", agent_id="agent_1")
    read = of_sigmamind.read_inbound_call(sent.body)

    assert (read.event, read.agent_id, sent.secret) == ("inbound_call", "agent_1", "")


def test_another_secret_makes_it_a_forgery() -> None:
    """The control."""
    sent = Sandbox().dialnexa.webhook("call_ended", secret="theirs")

    with pytest.raises(InvalidRequestError):
        of_dialnexa.verify_webhook(sent.body, sent.headers, "ours")


def test_an_event_that_a_platform_lacks_is_an_error() -> None:
    with pytest.raises(ValueError, match="sigmamind has no event 'call_ended'; it has inb"):
        Sandbox().sigmamind.webhook("call_ended")
