"""Signed deliveries: genuine ones pass, all others are refused, and no secret is shown."""

from __future__ import annotations

import base64
import email
import hashlib
import hmac
import math
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from typing import Annotated, Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from sigmamind_async import webhook_signatures
from sigmamind_async.convert import Record, wire
from sigmamind_async.errors import ConfigurationError, InvalidRequestError
from sigmamind_async.platforms.dialnexa import webhooks as dialnexa
from sigmamind_async.platforms.verbex import webhooks as verbex
from sigmamind_async.values import REDACTED, Secret
from sigmamind_async.webhook_signatures import (
    MAX_BYTES,
    as_secrets,
    check_body,
    check_signature,
    header,
    read_delivery,
)

BODY = b'{"event": "call_ended"}'
SECRET = "whsec_canary"


def digest(secret: str = SECRET, body: bytes = BODY) -> bytes:
    return hmac.new(secret.encode(errors="surrogatepass"), body, hashlib.sha256).digest()


GENUINE = digest().hex()


# ---------------------------------------------------------------- genuine


@pytest.mark.parametrize(
    "written",
    [GENUINE, GENUINE.upper(), f" {GENUINE}\n", base64.b64encode(digest()).decode()],
    ids=["hex", "capitals", "blanks", "base64"],
)
def test_a_signature_is_hexadecimal_or_base64(written: str) -> None:
    check_signature(BODY, [written], SECRET)


@pytest.mark.parametrize(
    "secrets",
    [SECRET, Secret(SECRET), ["another", SECRET], (SECRET, "another"), {SECRET: 1}],
    ids=["text", "secret", "second", "first", "any iterable"],
)
def test_any_of_several_secrets_will_do(secrets: str | Secret | list[str | Secret]) -> None:
    check_signature(BODY, [GENUINE], secrets)


def test_any_of_several_signatures_will_do() -> None:
    check_signature(BODY, ["", "zz", digest("another").hex(), GENUINE], SECRET)


def test_secrets_and_signatures_may_be_read_once() -> None:
    check_signature(BODY, iter([GENUINE]), iter(["another", SECRET]))


# ---------------------------------------------------------------- refused

WRONG = {
    "none": [],
    "empty": [""],
    "another secret": [digest("another").hex()],
    "another body": [digest(body=BODY + b" ").hex()],
    "half": [GENUINE[:32]],
    "twice": [GENUINE * 2],
    "no digits": ["x" * 64],
    "cut base64": [base64.b64encode(digest()).decode()[:-2]],
    "the body": [BODY.decode()],
    "letters outside ASCII": ["\u0661" * 64, "\udcff" * 44],
}


@pytest.mark.parametrize("name", WRONG)
def test_any_other_signature_is_refused(name: str) -> None:
    """In the same words, whatever is wrong with it."""
    with pytest.raises(InvalidRequestError) as caught:
        check_signature(BODY, WRONG[name], SECRET)

    assert str(caught.value) == ("signature: is missing, or matches none of the secrets")


@pytest.mark.parametrize("secrets", ["", [], [""], [SECRET, ""], Secret(""), ["", SECRET]])
def test_an_empty_secret_is_refused_though_it_signed(secrets: str | Secret | list[str]) -> None:
    """Anyone can sign with it, so an empty setting must be reported."""
    with pytest.raises(InvalidRequestError, match="give at least one, and none of them empty"):
        check_signature(BODY, [digest("").hex(), GENUINE], secrets)


@pytest.mark.parametrize("secrets", [5, [5], [None], REDACTED])
def test_what_is_no_secret_is_refused(secrets: str) -> None:
    with pytest.raises((InvalidRequestError, TypeError)):
        check_signature(BODY, [GENUINE], secrets)


def test_a_body_is_measured() -> None:
    check_body(b"x" * MAX_BYTES)
    check_body(b"xyz", 3)
    with pytest.raises(InvalidRequestError, match="has 4 bytes, allowed are 3") as caught:
        check_body(b"wxyz", 3)

    assert (caught.value.field, caught.value.rule) == ("body", "at most 3 bytes")


def test_signatures_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every candidate with every secret, by `hmac.compare_digest`, also after a match."""
    compared: list[tuple[bytes, bytes]] = []

    def compare(ours: bytes, theirs: bytes) -> bool:
        compared.append((ours, theirs))
        return ours == theirs

    monkeypatch.setattr(hmac, "compare_digest", compare)
    check_signature(BODY, [GENUINE, "00" * 32], [SECRET, "another"])

    theirs = [digest(), bytes(32)]
    assert compared == [(ours, each) for ours in (digest(), digest("another")) for each in theirs]


# ---------------------------------------------------------------- nothing leaks


def frames_of(error: BaseException) -> Iterator[str]:
    step = error.__traceback__
    while step is not None:
        if step.tb_frame.f_code.co_filename == webhook_signatures.__file__:
            yield repr(step.tb_frame.f_locals)
        step = step.tb_next


@pytest.mark.parametrize("secrets", [SECRET, [SECRET], [SECRET, ""], (SECRET, "\ud800")])
def test_a_refusal_shows_neither_secret_nor_expected_signature(secrets: str | list[str]) -> None:
    """Nor do our frames, which a crash report may show."""
    with pytest.raises(InvalidRequestError) as caught:
        check_signature(BODY, ["00"], secrets)

    shown = "".join([*frames_of(caught.value), *traceback.format_exception(caught.value)])
    shown += repr(caught.value) + repr(vars(caught.value))
    assert caught.value.__context__ is None
    assert not any(text in shown for text in (SECRET, GENUINE, repr(digest())))


def test_the_control_frames_of_ours_would_be_seen() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        check_signature(BODY, ["visible"], SECRET)

    assert "visible" in "".join(frames_of(caught.value))


def test_secrets_are_wrapped() -> None:
    assert as_secrets(["a", Secret("b")]) == [Secret("a"), Secret("b")]


# ---------------------------------------------------------------- reading


@attrs.frozen(kw_only=True)
class Delivery(Record):
    event: Annotated[str | None, wire("event", strict=True)] = None


def test_a_delivery_is_read() -> None:
    assert read_delivery(BODY, Delivery) == Delivery(event="call_ended")


@pytest.mark.parametrize(
    ("body", "rule"),
    [
        (b"", "the body is empty"),
        (b"event=call", "the body is not JSON"),
        (b"[]", "the body: expected an object, got an array"),
        (b'{"event": []}', "event: expected text, got an array"),
    ],
)
def test_what_is_no_delivery_is_refused(body: bytes, rule: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        read_delivery(body, Delivery)

    assert (caught.value.field, caught.value.rule) == ("body", rule)
    assert caught.value.__context__ is None


@pytest.mark.parametrize("name", ["x-signature", "X-Signature", "X-SIGNATURE"])
def test_a_header_is_found_in_any_case(name: str) -> None:
    assert header({"other": "1", name: "2"}, "x-signature") == "2"
    assert header({}, "x-signature") == ""


VALUE = "sha256=1"
FORMS: dict[str, Any] = {
    "a mapping": {"X-Signature": VALUE},
    "a mapping in capitals": {"X-SIGNATURE": VALUE},
    "bytes": {b"x-signature": VALUE.encode()},
    "ASGI": [(b"host", b"a"), (b"x-signature", VALUE.encode())],
    "ASGI as lists": [[b"x-signature", VALUE.encode()]],
    "WSGI": {"wsgi.input": object(), "HTTP_X_SIGNATURE": VALUE, "SERVER_PORT": 80},
    "aiohttp": CIMultiDict({"X-Signature": VALUE}),
    "a message of email": email.message_from_string(f"X-Signature: {VALUE}\n\n"),
    "several values": {"x-signature": [VALUE], "y": None},
    "none beside one": [("x-signature", None), ("x-signature", VALUE), ("y", 7)],
    "pairs that are read once": iter([("X-Signature", VALUE)]),
}


@pytest.mark.parametrize("form", FORMS)
def test_headers_have_the_form_that_frameworks_give_them(form: str) -> None:
    assert header(FORMS[form], "x-signature") == VALUE


def test_a_header_that_is_there_twice_has_both_values() -> None:
    assert header(CIMultiDict([("X-A", "1"), ("x-a", "2")]), "x-a") == "1,2"
    assert header({"x-a": ["1", "2"], "y": "3"}, "x-a") == "1,2"


@pytest.mark.parametrize("headers", [None, 5, "x-a: 1", b"x-a: 1", [1], ["ab"], [("x",)], [None]])
def test_what_holds_no_headers_is_refused(headers: Any) -> None:
    with pytest.raises(InvalidRequestError, match="headers: must be a mapping, or a list of"):
        header(headers, "x-a")


@pytest.mark.parametrize("body", ["text", None, 5, {"a": 1}, ["a"], object()])
def test_a_body_must_be_raw_bytes(body: Any) -> None:
    with pytest.raises(InvalidRequestError, match="body: must be the raw bytes as received"):
        check_body(body)


VERIFIERS: dict[str, Callable[..., object]] = {
    "dialnexa": dialnexa.verify_webhook,
    "verbex": partial(verbex.verify_webhook, signed=verbex.body_alone),
}
STRANGE: list[tuple[Any, Any]] = [
    ("text", {}),
    (None, {}),
    ({"parsed": 1}, {}),
    (BODY, None),
    (BODY, 5),
    (BODY, [("a",)]),
    (BODY, {"x-webhook-signature": None, "x-nexa-signature": None}),
    (BODY, {"x-webhook-signature": ["v1=00"], "x-nexa-signature": ["00"]}),
    (BODY, [(b"x-webhook-signature", b"v1=\xff")]),
]
KEYS: list[Any] = [
    SECRET,
    SECRET.encode(),
    bytearray(SECRET.encode()),
    [SECRET],
    (SECRET, SECRET.encode()),
    {SECRET: 1},
    [SECRET, None],
    [SECRET, 5],
]


@pytest.mark.parametrize("platform", VERIFIERS)
@pytest.mark.parametrize("keys", KEYS, ids=repr)
@pytest.mark.parametrize("strange", STRANGE, ids=lambda each: repr(each)[:40])
def test_what_is_not_genuine_is_refused_by_us_and_shows_no_secret(
    platform: str, keys: Any, strange: tuple[Any, Any]
) -> None:
    """Nor do our frames. Control: `test_the_control_frames_of_ours_would_be_seen`."""
    with pytest.raises(InvalidRequestError) as caught:
        VERIFIERS[platform](*strange, keys)
    report = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    shown = [str(each.locals) for each in report.stack if each.filename != __file__]

    assert len(shown) >= 2
    assert SECRET not in "".join([*shown, str(caught.value), repr(vars(caught.value))])


@pytest.mark.parametrize("platform", VERIFIERS)
@pytest.mark.parametrize("wrong", [SECRET, SECRET.encode(), [SECRET], {SECRET}])
def test_a_secret_in_the_place_of_the_headers_is_in_no_frame_of_ours(
    platform: str, wrong: Any
) -> None:
    """Control: with `header_pairs` as `lambda headers: headers`, each is seen."""
    with pytest.raises(InvalidRequestError, match="headers: must be a mapping") as caught:
        VERIFIERS[platform](BODY, wrong, SECRET)
    report = traceback.TracebackException.from_exception(caught.value, capture_locals=True)

    assert SECRET not in "".join(str(each.locals) for each in report.stack[1:])


OPTIONS: dict[str, list[Any]] = {
    "max_bytes": [None, "1", b"1", [], True, -1, math.nan, object()],
    "tolerance": ["300", b"1", [], True, -1, math.nan, object()],
    "signed": [None, 5, "timestamp_and_body"],
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in OPTIONS.items() for value in values]
)
def test_an_option_of_a_wrong_type_is_no_fault_of_the_delivery(name: str, value: Any) -> None:
    options: dict[str, Any] = {"signed": verbex.body_alone, name: value}
    headers = {"x-webhook-signature": f"v1={GENUINE}", "x-webhook-timestamp": "0"}
    with pytest.raises(ConfigurationError, match=f"{name}: must be"):
        verbex.verify_webhook(BODY, headers, SECRET, **options)


# ---------------------------------------------------------------- keys of bytes


def test_the_vector_of_standard_webhooks_is_genuine() -> None:
    """https://github.com/standard-webhooks/standard-webhooks, the libraries' common vector."""
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signed = b'msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{"test": 2432232314}'
    written = "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

    for keys in (key, bytearray(key), [b"another", key]):
        check_signature(signed, [written], keys)
    with pytest.raises(InvalidRequestError):
        check_signature(signed, [written], "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")


@given(st.binary(min_size=1))
def test_any_bytes_are_a_key(key: bytes) -> None:
    check_signature(BODY, [hmac.new(key, BODY, hashlib.sha256).hexdigest()], key)


@pytest.mark.parametrize("keys", [b"", [b""], [SECRET, b""], bytearray(), None, 5, [5], [None]])
def test_an_empty_key_or_none_is_refused(keys: Any) -> None:
    with pytest.raises(InvalidRequestError, match="give at least one, and none of them empty"):
        check_signature(BODY, [hmac.new(b"", BODY, hashlib.sha256).hexdigest(), GENUINE], keys)


# ---------------------------------------------------------------- anything at all

# Servers hand bytes of a header that are no text over as halves of surrogate pairs.
TEXTS = st.text(st.characters())


@given(st.binary(), st.lists(TEXTS), st.lists(TEXTS) | TEXTS)
def test_no_input_is_too_strange(body: bytes, given_: list[str], secrets: list[str] | str) -> None:
    try:
        check_signature(body, given_, secrets)
    except InvalidRequestError:
        return
    raise AssertionError("a random signature was accepted")


@given(st.binary(max_size=200), TEXTS.filter(bool))
def test_what_was_signed_is_genuine(body: bytes, secret: str) -> None:
    check_signature(body, [digest(secret, body).hex()], secret)


OBJECTS = st.text('[]{}"1,:').map(lambda text: f'{{"event": {text}}}'.encode())


@given(st.binary() | OBJECTS)
def test_no_body_is_too_strange(body: bytes) -> None:
    try:
        read_delivery(body, Delivery)
    except InvalidRequestError as refusal:
        assert refusal.field == "body"  # noqa: PT017 - most bodies raise, some do not
