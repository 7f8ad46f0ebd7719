"""A read changes nothing: whatever happens to it, no error leaves that open.

Seen to fail for each silent read with an error that `OutcomeUnknownError` is, and for each timeout
with one that is no `TimeoutError`.
"""

from __future__ import annotations

from typing import Any

import pytest

from sigmamind_async import DialNexa, RetryPolicy, SigmaMind, Verbex
from sigmamind_async.errors import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    OutcomeUnknownError,
    ResponseDecodeError,
    SigmaMindError,
)
from sigmamind_async.operation import Fault, FaultKind, Response
from sigmamind_async.platforms import dialnexa, sigmamind, verbex
from sigmamind_async.testing import FakeClock, ScriptedTransport, fault, in_fake_time, reply

NUMBER = "+14155552671"
READS: list[tuple[type[Any], Any]] = [
    (SigmaMind, sigmamind.GetPhoneNumber(phone_number=NUMBER)),
    (SigmaMind, sigmamind.ListPhoneNumbers()),
    (SigmaMind, sigmamind.GetAgent(agent_id="agent_1")),
    (SigmaMind, sigmamind.GetCall(call_id="call_1")),
    (Verbex, verbex.GetPhoneNumber(phone_number_id="n_1")),
    (Verbex, verbex.ListPhoneNumbers()),
    (DialNexa, dialnexa.GetPhoneNumber(id="phn_1")),
    (DialNexa, dialnexa.ListPhoneNumbers()),
    (DialNexa, dialnexa.SearchPhoneNumbers(country_iso="US")),
    (DialNexa, dialnexa.ListPhoneNumberPricing()),
]
CUT = Response(200, {}, b'{"sip', cut=Fault(kind=FaultKind.TIMEOUT))
ANSWERS = {
    **{kind.name: fault(kind) for kind in FaultKind},
    **{str(status): reply(status, {}) for status in (303, 307, 400, 401, 404, 408, 409, 499)},
    **{str(status): reply(status, {}) for status in (429, 500, 502, 503)},
    "a page": Response(200, {}, b"<html><title>Portal</title>"),
    "cut": CUT,
    "empty": Response(200, {}, b""),
    "no JSON": Response(200, {}, b"{"),
    "a failure": reply(200, {"success": False, "message": "no"}),
}


async def error_of(platform: type[Any], value: Any, answer: Response | Fault) -> SigmaMindError:
    transport = ScriptedTransport(lambda _: answer)
    client = platform("id:key-0123", transport=transport, retry=RetryPolicy(max_attempts=2))
    with pytest.raises(SigmaMindError) as caught:
        await in_fake_time(client, FakeClock()).run(value)
    return caught.value


@pytest.mark.parametrize(
    ("platform", "value"), READS, ids=[f"{p.__name__}-{type(v).__name__}" for p, v in READS]
)
async def test_no_error_of_a_read_leaves_open_what_happened(
    platform: type[Any], value: Any
) -> None:
    for name, answer in ANSWERS.items():
        error = await error_of(platform, value, answer)

        assert error.committed == "no", name
        assert not isinstance(error, OutcomeUnknownError), name
        assert isinstance(error, APIConnectionError | APIStatusError | ResponseDecodeError), name


@pytest.mark.parametrize("name", ["TIMEOUT", "CONNECT_TIMEOUT", "cut"])
@pytest.mark.parametrize(("platform", "value"), READS[::3])
async def test_a_read_that_takes_too_long_is_a_timeout(
    platform: type[Any], value: Any, name: str
) -> None:
    error = await error_of(platform, value, ANSWERS[name])

    assert isinstance(error, APITimeoutError)
    assert isinstance(error, TimeoutError)
    assert error.retryable
