"""Deliveries of Verbex: one or two signatures, and a signed text that the caller names."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sigmamind_async import webhook_signatures
from sigmamind_async.convert import dump_record
from sigmamind_async.errors import InvalidRequestError, ResponseDecodeError
from sigmamind_async.platforms.verbex import webhooks
from sigmamind_async.platforms.verbex.webhooks import (
    SignedString,
    body_alone,
    timestamp_and_body,
    verify_webhook,
)
from sigmamind_async.values import Secret

SECRET = "whsec_canary"
STAMP = "2026-05-05T10:06:43Z"
BODY = json.dumps({"eventName": "CallHandler.CallEnded", "traceId": "trace-1"}).encode()


def signature(said: bytes = BODY, secret: str = SECRET) -> bytes:
    return hmac.new(secret.encode(), said, hashlib.sha256).digest()


def headers(*parts: str, between: str = ",") -> dict[str, str]:
    return {"X-Webhook-Signature": between.join(parts), "X-Webhook-Timestamp": STAMP}


def verified(  # noqa: PLR0917 - those of `verify_webhook`, most of them left out
    given_headers: dict[str, str],
    secrets: Any = SECRET,
    body: bytes = BODY,
    signed: SignedString = body_alone,
    tolerance: float | None = None,
    now: float = 0.0,
) -> webhooks.WebhookEvent:
    return verify_webhook(
        body, given_headers, secrets, signed=signed, tolerance=tolerance, clock=lambda: now
    )


GENUINE = f"v1={signature().hex()}"
OLDER = f"v1={signature(secret='whsec_older').hex()}"


@pytest.mark.parametrize("written", [signature().hex(), base64.b64encode(signature()).decode()])
def test_a_genuine_delivery_is_read_in_either_writing(written: str) -> None:
    event = verified(headers(f"v1={written}"))

    assert (event.event_name, event.trace_id) == ("CallHandler.CallEnded", "trace-1")


@pytest.mark.parametrize("between", [",", ", ", " ", "\t"])
@pytest.mark.parametrize("parts", [(GENUINE, OLDER), (OLDER, GENUINE)])
def test_one_of_two_parts_is_enough(parts: tuple[str, str], between: str) -> None:
    """For 72 hours after a secret was replaced each delivery carries both."""
    for secrets in (SECRET, "whsec_older", [SECRET, "whsec_older"], Secret(SECRET)):
        assert verified(headers(*parts, between=between), secrets).trace_id == "trace-1"


@pytest.mark.parametrize(
    ("signed", "said"),
    [
        (body_alone, BODY),
        (timestamp_and_body, STAMP.encode() + b"." + BODY),
        (lambda stamp, body: body + stamp.encode(), BODY + STAMP.encode()),
    ],
)
def test_the_caller_says_what_is_signed(signed: SignedString, said: bytes) -> None:
    part = f"v1={signature(said).hex()}"

    assert verified(headers(part), signed=signed).trace_id == "trace-1"
    with pytest.raises(InvalidRequestError, match="signature"):
        verified(headers(f"v1={signature(said + b'.').hex()}"), signed=signed)


def test_the_caller_must_say_what_is_signed() -> None:
    """Nothing is documented, so there is no default to trust."""
    with pytest.raises(TypeError, match="signed"):
        verify_webhook(BODY, headers(GENUINE), SECRET)  # type: ignore[call-arg]


def test_the_recorded_delivery_is_read_and_dumped_back(
    sample: Callable[[str], dict[str, Any]],
) -> None:
    recorded = sample("webhook")
    body = json.dumps(recorded["json"]).encode()
    given_headers = {**recorded["headers"], "x-webhook-signature": f"v1={signature(body).hex()}"}
    event = verified(given_headers, body=body)

    assert dump_record(event) == recorded["json"]
    assert event == webhooks.WebhookEvent(
        event_name="CallHandler.CallEnded",
        trace_id="trace-1",
        organization_id="org-1",
        timestamp=1777975603.5,
        payload={
            "call_id": "call-1",
            "agent_id": "agent_in_1",
            "status": "ended",
            "reason": "user_hangup",
            "timestamp": 1777975603500,
        },
    )


FORGED: dict[str, tuple[bytes, dict[str, str]]] = {
    "tampered body": (BODY.replace(b"Ended", b"Begun"), headers(GENUINE)),
    "another secret": (BODY, headers(OLDER)),
    "no version": (BODY, headers(signature().hex())),
    "another version": (BODY, headers(f"v2={signature().hex()}")),
    "an empty part": (BODY, headers("v1=")),
    "an empty header": (BODY, headers("")),
    "no header": (BODY, {}),
    "bytes that are no text": (BODY, headers("v1=" + "\udcff" * 64)),
}


@pytest.mark.parametrize("name", FORGED)
@pytest.mark.parametrize("signed", [body_alone, timestamp_and_body])
def test_a_delivery_that_is_not_genuine_is_refused(name: str, signed: SignedString) -> None:
    body, given_headers = FORGED[name]
    with pytest.raises(InvalidRequestError) as caught:
        verified(given_headers, body=body, signed=signed)

    assert caught.value.field == "signature"


def test_another_timestamp_is_refused_where_it_is_signed() -> None:
    part = f"v1={signature(STAMP.encode() + b'.' + BODY).hex()}"
    late = {**headers(part), "X-Webhook-Timestamp": "2030-01-01T00:00:00Z"}
    with pytest.raises(InvalidRequestError, match="signature"):
        verified(late, signed=timestamp_and_body)


@pytest.mark.parametrize("secrets", ["", [], [SECRET, ""]])
def test_an_empty_secret_is_refused(secrets: str | list[str]) -> None:
    with pytest.raises(InvalidRequestError, match="secrets"):
        verified(headers(f"v1={signature(secret='').hex()}"), secrets)


MINUTES = datetime(2026, 5, 5, 10, 6, 43, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    "stamp",
    [
        STAMP,
        "2026-05-05T10:06:43",
        "2026-05-05T10:06:43.123456789Z",
        "2026-05-05T12:06:43+02:00",
        "20260505T100643Z",
        "1777975603",
        "1777975603.25",
        "1777975603250",
    ],
)
def test_a_delivery_has_a_greatest_age(stamp: str) -> None:
    """Before and after: a clock may be wrong either way. Control: ``None`` takes any."""

    def at(now: float, tolerance: float | None = 300.0) -> webhooks.WebhookEvent:
        return verified(stamped, signed=timestamp_and_body, tolerance=tolerance, now=now)

    part = f"v1={signature(stamp.encode() + b'.' + BODY).hex()}"
    stamped = {**headers(part), "X-Webhook-Timestamp": stamp}

    assert at(MINUTES + 299.0) == at(MINUTES - 299.0)
    for now in (MINUTES + 302.0, MINUTES - 302.0, 0.0, math.nan):
        with pytest.raises(InvalidRequestError, match="timestamp: is not within 300 s") as caught:
            at(now)
        assert caught.value.field == "timestamp"
    assert at(MINUTES + 1e9, None) == at(MINUTES)


@pytest.mark.parametrize(
    "stamp", ["", "yesterday", "nan", "inf", "-inf", "\udcff", "1e999", "0001-01-01T00:00:00+23:59"]
)
def test_a_delivery_without_a_time_is_refused_though_it_is_genuine(stamp: str) -> None:
    stamped = {**headers(GENUINE), "X-Webhook-Timestamp": stamp}
    with pytest.raises(InvalidRequestError, match="timestamp: "):
        verified(stamped, tolerance=300.0, now=MINUTES)


def test_the_age_is_five_minutes_by_the_wall_clock_where_nothing_is_said() -> None:
    now = datetime.now(UTC)
    fresh = {**headers(GENUINE), "X-Webhook-Timestamp": now.isoformat()}
    stale = {**fresh, "X-Webhook-Timestamp": (now - timedelta(minutes=6)).isoformat()}

    assert verify_webhook(BODY, fresh, SECRET, signed=body_alone).trace_id == "trace-1"
    with pytest.raises(InvalidRequestError, match="within 300 seconds"):
        verify_webhook(BODY, stale, SECRET, signed=body_alone)


def test_a_forged_delivery_is_called_forged_however_old_it_is() -> None:
    with pytest.raises(InvalidRequestError, match="signature"):
        verified(headers(OLDER), tolerance=300.0, now=0.0)


def test_a_genuine_delivery_of_another_form_is_told_from_a_forged_one() -> None:
    body = b'{"eventName": []}'
    with pytest.raises(ResponseDecodeError, match="is genuine and cannot be read: eventName") as c:
        verified(headers(f"v1={signature(body).hex()}"), body=body)

    assert (c.value.path, c.value.committed) == ("eventName", "no")
    with pytest.raises(InvalidRequestError):
        verified(headers(GENUINE), body=body)


@pytest.mark.parametrize("returned", ["text", None, 7])
def test_what_is_signed_must_be_bytes(returned: Any) -> None:
    with pytest.raises(InvalidRequestError, match="signed: must return bytes"):
        verified(headers(GENUINE), signed=lambda *_: returned)


def test_a_delivery_signed_as_standard_webhooks_are_is_verified() -> None:
    """The key is what the secret stands for, and the id is signed too."""
    key, stamp = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), "1614265330"
    body = b'{"test": 2432232314}'
    sent = {
        "X-Webhook-Signature": "v1=g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        "X-Webhook-Timestamp": stamp,
    }

    def signed(stamp: str, body: bytes) -> bytes:
        return b".".join([b"msg_p5jXN8AQM9LWM0D4loKWxJek", stamp.encode(), body])

    assert verified(sent, key, body, signed, 300.0, 1614265400.0).event_name is None
    with pytest.raises(InvalidRequestError, match="signature"):
        verified(sent, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", body, signed)


def test_a_large_body_is_refused_before_it_is_hashed() -> None:
    asked: list[str] = []

    def signed(stamp: str, body: bytes) -> bytes:
        asked.append(stamp)
        return body

    with pytest.raises(InvalidRequestError, match="bytes, allowed are 1048576"):
        verified(headers(GENUINE), body=b"x" * ((1 << 20) + 1), signed=signed)
    assert asked == []
    verified(headers(GENUINE), signed=signed)
    assert asked == [STAMP]


def test_a_refusal_shows_no_secret() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        verified(headers("v1=00"), [SECRET])
    shown, step = repr(caught.value) + repr(vars(caught.value)), caught.value.__traceback__
    while step is not None:
        if step.tb_frame.f_code.co_filename in {webhooks.__file__, webhook_signatures.__file__}:
            shown += repr(step.tb_frame.f_locals)
        step = step.tb_next

    assert SECRET not in shown


TEXTS = st.text(st.characters())
NAMES = st.sampled_from(["x-webhook-signature", "X-Webhook-Timestamp"]) | TEXTS
PARTS = st.lists(TEXTS).map(lambda parts: ",".join(f"v1={part}" for part in parts))


@pytest.mark.parametrize("signed", [body_alone, timestamp_and_body])
@given(st.binary(), st.dictionaries(NAMES, TEXTS | PARTS), st.lists(TEXTS))
def test_no_input_is_too_strange(
    signed: SignedString, body: bytes, given_headers: dict[str, str], secrets: list[str]
) -> None:
    with pytest.raises(InvalidRequestError):
        verified(given_headers, secrets, body, signed)
