"""The inbound-call webhook of SigmaMind: what it asks, and what it is told."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sigmamind_async.convert import dump_record
from sigmamind_async.errors import InvalidRequestError
from sigmamind_async.platforms.sigmamind.webhooks import (
    InboundCall,
    InboundCallReply,
    read_inbound_call,
)

ASKED = {
    "event": "inbound_call",
    "from_number": "+14155552671",
    "to_number": "+14155552672",
    "agent_id": "agent_1",
}


def test_a_request_is_read_and_dumped_back() -> None:
    """The keys are written otherwise here than in the rest of the API."""
    call = read_inbound_call(json.dumps(ASKED).encode())

    assert call == InboundCall(
        event="inbound_call",
        from_number="+14155552671",
        to_number="+14155552672",
        agent_id="agent_1",
    )
    assert dump_record(call) == ASKED


@pytest.mark.parametrize(
    "body", [{}, {"agent_id": None}, {"event": "inbound_sms"}, {"caller": {"name": "Ada"}}]
)
def test_what_is_missing_or_new_is_no_error(body: dict[str, Any]) -> None:
    assert dump_record(read_inbound_call(json.dumps(body).encode())) == body


def test_a_number_without_plus_or_quotes_is_read() -> None:
    assert read_inbound_call(b'{"from_number": 14155552671}').from_number == "+14155552671"


@pytest.mark.parametrize("body", [b"", b"[]", b"no", b'{"event": []}', b'"inbound_call"'])
def test_what_is_no_request_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        read_inbound_call(body)

    assert caught.value.field == "body"


def test_a_large_request_is_refused_unread() -> None:
    with pytest.raises(InvalidRequestError, match="has 5 bytes, allowed are 4"):
        read_inbound_call(b"12345", max_bytes=4)


@pytest.mark.parametrize(
    ("reply", "body"),
    [
        (InboundCallReply(), {"dynamic_variables": {}}),
        (
            InboundCallReply(dynamic_variables={"name": "Ada", "visits": 3, "more": {"a": None}}),
            {"dynamic_variables": {"name": "Ada", "visits": 3, "more": {"a": None}}},
        ),
        (
            InboundCallReply(override_agent_id="agent_2"),
            {"dynamic_variables": {}, "override_agent_id": "agent_2"},
        ),
    ],
)
def test_a_reply_says_variables_and_perhaps_an_agent(
    reply: InboundCallReply, body: dict[str, Any]
) -> None:
    assert json.loads(reply.body()) == body


@pytest.mark.parametrize("agent", ["", "x" * 65, None, 7])
def test_an_agent_for_one_call_is_checked(agent: Any) -> None:
    with pytest.raises(InvalidRequestError, match="override_agent_id"):
        InboundCallReply(override_agent_id=agent)


@pytest.mark.parametrize("value", [object(), {1: 2}, "\ud800", 2**70])
def test_a_variable_that_has_no_json_form_is_refused(value: Any) -> None:
    with pytest.raises(InvalidRequestError, match="cannot be written"):
        InboundCallReply(dynamic_variables={"name": value}).body()


@given(st.binary())
def test_no_request_is_too_strange(body: bytes) -> None:
    try:
        read_inbound_call(body)
    except InvalidRequestError as refusal:
        assert refusal.field == "body"  # noqa: PT017 - most bodies raise, some do not
