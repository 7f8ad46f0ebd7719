"""Deliveries of DialNexa: both headers, both spellings, several secrets, and nothing forged."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sigmamind_async import webhook_signatures
from sigmamind_async.convert import dump_record
from sigmamind_async.errors import InvalidRequestError, ResponseDecodeError
from sigmamind_async.platforms.dialnexa import webhooks
from sigmamind_async.platforms.dialnexa.webhooks import verify_webhook
from sigmamind_async.values import Secret

SECRET = "canary-of-a-webhook"
BODY = json.dumps({"event_type": "call_ended", "call_id": "call_abc123"}).encode()


def signed(body: bytes = BODY, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


@pytest.mark.parametrize(
    "name", ["X-DialNexa-Signature", "x-dialnexa-signature", "x-nexa-signature"]
)
@pytest.mark.parametrize("prefix", ["sha256=", ""])
def test_a_genuine_delivery_is_read(name: str, prefix: str) -> None:
    event = verify_webhook(BODY, {name: prefix + signed()}, SECRET)

    assert (event.event_type, event.call_id) == ("call_ended", "call_abc123")


def test_the_recorded_delivery_is_read_and_dumped_back(
    sample: Callable[[str], dict[str, Any]],
) -> None:
    recorded = sample("webhook")["json"]
    body = json.dumps(recorded).encode()
    event = verify_webhook(body, {"x-nexa-signature": signed(body)}, SECRET)

    assert dump_record(event) == recorded
    assert event.extra == {"duration_seconds": 42, "metadata": {"name": "Ada"}}


@pytest.mark.parametrize(
    "word",
    ["call_initiated", "transfer_completed", "verification", "call.completed", "alert.triggered"],
)
def test_any_event_is_kept_as_it_is(word: str) -> None:
    body = json.dumps({"event_type": word}).encode()

    assert verify_webhook(body, {"x-nexa-signature": signed(body)}, SECRET).event_type == word


def test_any_of_several_secrets_will_do() -> None:
    headers = {"x-nexa-signature": signed()}

    assert verify_webhook(BODY, headers, ["newer", Secret(SECRET)]).call_id == "call_abc123"


def test_one_genuine_header_of_two_is_enough() -> None:
    headers = {"x-dialnexa-signature": "00" * 32, "x-nexa-signature": f"sha256={signed()}"}

    assert verify_webhook(BODY, headers, SECRET).event_type == "call_ended"


FORGED: dict[str, tuple[bytes, dict[str, str]]] = {
    "tampered body": (BODY.replace(b"ended", b"begun"), {"x-nexa-signature": signed()}),
    "one more byte": (BODY + b"\n", {"x-nexa-signature": signed()}),
    "another secret": (BODY, {"x-nexa-signature": signed(secret="another")}),
    "no header": (BODY, {}),
    "an empty header": (BODY, {"x-nexa-signature": ""}),
    "only the prefix": (BODY, {"x-nexa-signature": "sha256="}),
    "another header": (BODY, {"x-signature": signed()}),
    "another algorithm": (BODY, {"x-nexa-signature": "sha1=" + signed()}),
    "bytes that are no text": (BODY, {"x-nexa-signature": "\udcff" * 64}),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_delivery_that_is_not_genuine_is_refused(name: str) -> None:
    body, headers = FORGED[name]
    with pytest.raises(InvalidRequestError) as caught:
        verify_webhook(body, headers, SECRET)

    assert caught.value.field == "signature"


@pytest.mark.parametrize("secrets", ["", [], [SECRET, ""]])
def test_an_empty_secret_is_refused(secrets: str | list[str]) -> None:
    with pytest.raises(InvalidRequestError, match="secrets"):
        verify_webhook(BODY, {"x-nexa-signature": signed(secret="")}, secrets)


def test_a_large_body_is_refused_before_it_is_hashed(monkeypatch: pytest.MonkeyPatch) -> None:
    def hashed(*_: object) -> None:
        raise AssertionError

    headers = {"x-nexa-signature": signed()}
    monkeypatch.setattr(hmac, "new", hashed)
    with pytest.raises(InvalidRequestError, match="has 44 bytes, allowed are 43"):
        verify_webhook(b"x" * 44, headers, SECRET, max_bytes=43)
    with pytest.raises(InvalidRequestError, match="bytes, allowed are 1048576"):
        verify_webhook(b"x" * (1 << 20) + b"x", headers, SECRET)
    with pytest.raises(AssertionError):  # the control: a smaller one is hashed
        verify_webhook(BODY, headers, SECRET)


def test_a_genuine_body_that_is_no_event_is_told_from_a_forged_one() -> None:
    with pytest.raises(ResponseDecodeError, match="is genuine and cannot be read: the body is not"):
        verify_webhook(b"no", {"x-nexa-signature": signed(b"no")}, SECRET)
    with pytest.raises(InvalidRequestError, match="signature"):
        verify_webhook(b"no", {"x-nexa-signature": signed()}, SECRET)


@pytest.mark.parametrize("between", [",", ", ", " "])
def test_one_of_several_signatures_in_a_header_is_enough(between: str) -> None:
    parts = [f"sha256={signed(secret='older')}", f"sha256={signed()}"]

    joined = {"x-nexa-signature": between.join(parts)}
    twice = [(b"X-Nexa-Signature", part.encode()) for part in parts]

    assert verify_webhook(BODY, joined, SECRET) == verify_webhook(BODY, twice, SECRET)


def test_a_refusal_shows_no_secret() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        verify_webhook(BODY, {"x-nexa-signature": "00"}, [SECRET])
    shown, step = repr(caught.value) + repr(vars(caught.value)), caught.value.__traceback__
    while step is not None:
        if step.tb_frame.f_code.co_filename in {webhooks.__file__, webhook_signatures.__file__}:
            shown += repr(step.tb_frame.f_locals)
        step = step.tb_next

    assert SECRET not in shown
    assert signed() not in shown


TEXTS = st.text(st.characters())
NAMES = st.sampled_from(["x-nexa-signature", "X-DialNexa-Signature"]) | TEXTS


@given(st.binary(), st.dictionaries(NAMES, TEXTS), st.lists(TEXTS))
def test_no_input_is_too_strange(
    body: bytes, headers: dict[str, str], secrets: list[str | Secret]
) -> None:
    with pytest.raises(InvalidRequestError):
        verify_webhook(body, headers, secrets)
