"""Signed deliveries: genuine ones pass, all others are refused, and nobody learns a secret."""

from __future__ import annotations

import base64
import hashlib
import hmac
import traceback
from collections.abc import Iterator
from typing import Annotated

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sigmamind_async import signatures
from sigmamind_async.convert import Record, wire
from sigmamind_async.errors import InvalidRequestError
from sigmamind_async.signatures import (
    MAX_BYTES,
    check_signature,
    check_size,
    header,
    keys_of,
    read_delivery,
)
from sigmamind_async.values import REDACTED, Secret

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

    assert str(caught.value) == (
        "signature: is missing, or none of the secrets made it for this body"
    )


@pytest.mark.parametrize("secrets", ["", [], [""], [SECRET, ""], Secret(""), ["", SECRET]])
def test_an_empty_secret_is_refused_though_it_signed(secrets: str | Secret | list[str]) -> None:
    """Everybody knows it: whoever left the setting empty must hear of it."""
    with pytest.raises(InvalidRequestError, match="give at least one, and none of them empty"):
        check_signature(BODY, [digest("").hex(), GENUINE], secrets)


@pytest.mark.parametrize("secrets", [5, [5], [None], REDACTED])
def test_what_is_no_secret_is_refused(secrets: str) -> None:
    with pytest.raises((InvalidRequestError, TypeError)):
        check_signature(BODY, [GENUINE], secrets)


def test_a_body_is_measured() -> None:
    check_size(b"x" * MAX_BYTES)
    check_size(b"xyz", 3)
    with pytest.raises(InvalidRequestError, match="has 4 bytes, allowed are 3") as caught:
        check_size(b"wxyz", 3)

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
        if step.tb_frame.f_code.co_filename == signatures.__file__:
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
    assert keys_of(["a", Secret("b")]) == [Secret("a"), Secret("b")]


# ---------------------------------------------------------------- reading


@attrs.frozen(kw_only=True)
class Delivery(Record):
    event: Annotated[str | None, wire("event", strict=True)] = None


def test_a_delivery_is_read() -> None:
    assert read_delivery(BODY, Delivery) == Delivery(event="call_ended")


@pytest.mark.parametrize(
    ("body", "rule"),
    [
        (b"", "the answer is empty"),
        (b"event=call", "the answer is not JSON"),
        (b"[]", "the answer: expected an object, got an array"),
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


# ---------------------------------------------------------------- anything at all

# Servers hand bytes of a header that are no text over as halves of surrogate pairs.
TEXTS = st.text(st.characters())


@given(st.binary(), st.lists(TEXTS), st.lists(TEXTS) | TEXTS)
def test_no_input_is_too_strange(body: bytes, given_: list[str], secrets: list[str] | str) -> None:
    try:
        check_signature(body, given_, secrets)
    except InvalidRequestError:
        return
    raise AssertionError("nobody guesses a signature")


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
