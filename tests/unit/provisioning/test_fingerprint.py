"""What the journal remembers of a request: enough to know it again, and no secret."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Iterable
from typing import Annotated, Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sigmamind_async.convert import (
    Record,
    RequestValue,
    as_object,
    body_of,
    dump_json,
    dump_record,
    structure,
    wire,
)
from sigmamind_async.errors import InvalidRequestError, JournalError
from sigmamind_async.platforms.dialnexa.models import PurchasePhoneNumber
from sigmamind_async.platforms.sigmamind.models import ImportPhoneNumber
from sigmamind_async.platforms.verbex.models import PhoneNumber
from sigmamind_async.provisioning.adapter import Value
from sigmamind_async.provisioning.fingerprint import (
    digests_differ,
    drop_secrets,
    from_result,
    key_fingerprint,
    rebuild_request,
    secret_digest,
    set_fields,
    split_secrets,
)
from sigmamind_async.values import REDACTED, Secret, redacted
from tests.unit.platforms.recorded import CASES, PLATFORMS, read_sample, records_in
from tests.unit.provisioning.drawn import (
    ADAPTERS,
    REQUESTS,
    SECRETS,
    any_value,
    pairs_of,
    values_of,
)

NUMBER = "+14155550100"
CANARY = "pw-canary-4711"
JOURNAL = "2f6c"
KEY = Secret("sk-live-5b1f0c7a9e")


def imported(password: str = CANARY) -> ImportPhoneNumber:
    return ImportPhoneNumber(phone_number=NUMBER, trunk_username="u", trunk_password=password)


# ---------------------------------------------------------------- requests

each_request = pytest.mark.parametrize(
    "cls", REQUESTS, ids=lambda cls: f"{cls.__module__.split('.')[2]}-{cls.__name__}"
)
few = settings(max_examples=20)
"""There are many classes."""


@pytest.mark.long
@each_request
@few
@given(data=st.data())
def test_a_request_comes_back_from_json_without_its_secrets(
    cls: type[Value], data: st.DataObject
) -> None:
    value = data.draw(values_of(cls))
    asked, hidden = split_secrets(value)

    assert rebuild_request(cls, json.loads(json.dumps(asked)), hidden) == redacted(value)


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.long
@each_request
@few
@given(data=st.data())
def test_a_request_is_known_again_and_no_other_is(cls: type[Value], data: st.DataObject) -> None:
    """Fields and seal together tell two requests apart exactly when they are two."""
    one, other = data.draw(pairs_of(cls))
    same = split_secrets(one) == split_secrets(other) and not digests_differ(
        secret_digest(JOURNAL, KEY, one), secret_digest(JOURNAL, KEY, other)
    )

    assert same is (one == other)


@given(value=any_value)
def test_no_secret_is_among_what_is_asked(value: Value) -> None:
    asked, hidden = split_secrets(value)
    secrets = {name for name, held in set_fields(value).items() if isinstance(held, Secret)}

    assert set(hidden) == secrets
    assert asked.keys() | secrets == set_fields(value).keys()


def test_what_is_asked_holds_no_password() -> None:
    asked = split_secrets(imported())

    assert asked == ({"phone_number": NUMBER, "trunk_username": "u"}, ("trunk_password",))


def test_a_default_that_says_something_is_not_asked() -> None:
    """So a later version may add one, and the same request still looks the same."""
    value = PurchasePhoneNumber(
        phone_number=NUMBER, telephony_provider_id="tp_abc123xyz78", country_iso="US"
    )

    assert "older_body" not in split_secrets(value)[0]


def test_a_request_from_the_journal_cannot_be_sent_without_its_secrets() -> None:
    asked, hidden = split_secrets(imported())

    with pytest.raises(InvalidRequestError, match="give it again"):
        dump_json(body_of(rebuild_request(ImportPhoneNumber, asked, hidden)))


@pytest.mark.parametrize("asked", [{}, {"phone_number": "1"}, {"phone_number": NUMBER, "new": 1}])
def test_a_request_that_this_version_does_not_know_is_refused(asked: dict[str, Any]) -> None:
    with pytest.raises(JournalError, match="holds a ImportPhoneNumber that this version cannot"):
        rebuild_request(ImportPhoneNumber, asked, ())


def test_half_a_surrogate_pair_is_refused_before_it_is_written() -> None:
    with pytest.raises(InvalidRequestError, match="JSON"):
        split_secrets(ImportPhoneNumber(phone_number=NUMBER, friendly_name="\ud800"))


@attrs.frozen(kw_only=True)
class Nested(RequestValue[Record]):
    variables: Any
    first: Secret = REDACTED
    second: Secret = REDACTED


def test_a_secret_that_stands_deeper_is_refused() -> None:
    """The control: as a body, the same value is written with its secret."""
    value = Nested(variables={"password": Secret(CANARY)})
    assert CANARY.encode() in dump_json(value.variables)

    with pytest.raises(InvalidRequestError, match="JSON") as caught:
        split_secrets(value)

    assert caught.value.__suppress_context__


# ---------------------------------------------------------------- seals


def test_the_same_secrets_have_the_same_seal() -> None:
    assert secret_digest(JOURNAL, KEY, imported()) == secret_digest(JOURNAL, KEY, imported())


def test_seals_stay_what_they_are() -> None:
    """Written by one version and compared by the next: these must never change."""
    assert key_fingerprint(JOURNAL, KEY) == "84fbc04db65480d0b28e877ee19f17bf"
    assert secret_digest(JOURNAL, KEY, imported()) == (
        "84fbc04db65480d0b28e877ee19f17bf:266dee10a0da6a69ebb171a4259d4ec7"
    )


def test_a_seal_does_not_depend_on_the_order_of_the_fields() -> None:
    """So a later version may move them."""

    @attrs.frozen(kw_only=True)
    class Moved(RequestValue[Record]):
        second: Secret
        first: Secret

    secrets = {"first": Secret("a"), "second": Secret("b")}

    assert secret_digest(JOURNAL, KEY, Moved(**secrets)) == secret_digest(
        JOURNAL, KEY, Nested(variables=None, **secrets)
    )


def test_half_a_surrogate_pair_is_sealed() -> None:
    """An error about it would hold the password."""
    one, other = imported("\ud800"), imported("\ud801")

    assert digests_differ(secret_digest(JOURNAL, KEY, one), secret_digest(JOURNAL, KEY, other))


def test_a_request_without_secrets_has_no_seal() -> None:
    assert secret_digest(JOURNAL, KEY, ImportPhoneNumber(phone_number=NUMBER)) == ""


def test_another_secret_makes_seals_differ() -> None:
    assert digests_differ(
        secret_digest(JOURNAL, KEY, imported()), secret_digest(JOURNAL, KEY, imported("other"))
    )


@pytest.mark.parametrize("password", [CANARY, "other"])
def test_seals_under_two_api_keys_prove_nothing(password: str) -> None:
    rotated = Secret("sk-live-another")

    assert not digests_differ(
        secret_digest(JOURNAL, KEY, imported()), secret_digest(JOURNAL, rotated, imported(password))
    )


def test_one_secret_looks_different_in_every_journal() -> None:
    ours, theirs = (
        secret_digest(JOURNAL, KEY, imported()),
        secret_digest("another", KEY, imported()),
    )

    assert set(ours.split(":")).isdisjoint(theirs.split(":"))


TWO = st.fixed_dictionaries({}, optional={"first": SECRETS, "second": SECRETS})


@given(one=TWO, other=TWO)
def test_no_two_sets_of_secrets_are_written_alike(
    one: dict[str, str], other: dict[str, str]
) -> None:
    def sealed(texts: dict[str, str]) -> str:
        secrets = {name: Secret(text) for name, text in texts.items()}
        return secret_digest(JOURNAL, KEY, Nested(variables=None, **secrets))

    assert (sealed(one) == sealed(other)) is (one == other)


@pytest.mark.parametrize(
    "other",
    [
        {"first": "yx", "second": "z"},
        {"first": "x", "second": "yz"},
        {"first": "z", "second": "xy"},
        {"first": "xyz"},
        {"second": "xyz"},
        {"first": "", "second": "xyz"},
    ],
)
def test_a_text_does_not_slip_from_one_secret_into_the_next(other: dict[str, str]) -> None:
    """The control: written one after the other, several of these are the same."""

    def sealed(texts: dict[str, str]) -> str:
        secrets = {name: Secret(text) for name, text in texts.items()}
        return secret_digest(JOURNAL, KEY, Nested(variables=None, **secrets))

    assert digests_differ(sealed({"first": "xy", "second": "z"}), sealed(other))


def test_a_secret_that_was_removed_cannot_be_compared() -> None:
    """Otherwise the value of an error, run again, would pass for the same request."""
    with pytest.raises(InvalidRequestError, match="give it again"):
        secret_digest(JOURNAL, KEY, attrs.evolve(imported(), trunk_password=REDACTED))


# ---------------------------------------------------------------- what a stolen journal gives away

PIN = "4711"
PINS = [str(pin) for pin in range(4_000, 5_000)]
"""A trunk's password is often no longer than this; a thief tries them all."""


def guessed(stolen: str, make: Callable[[str], str], words: Iterable[str] = PINS) -> str | None:
    return next((word for word in words if make(word) in stolen), None)


def under(key: str) -> Callable[[str], str]:
    """Return what a thief computes who takes *key* for the one that was used."""
    return lambda word: secret_digest(JOURNAL, Secret(key), imported(word)).partition(":")[2]


def test_a_short_password_is_not_found_by_trying_all() -> None:
    sealed = secret_digest(JOURNAL, KEY, imported(PIN))
    # Everything else that stands in the journal, tried as a key.
    known = [JOURNAL, key_fingerprint(JOURNAL, KEY), sealed, NUMBER]
    for key in known:
        assert guessed(sealed, under(key)) is None
    plain: list[Callable[[str], str]] = [
        lambda word: hashlib.sha256(word.encode()).hexdigest()[:16],
        lambda word: hmac.digest(JOURNAL.encode(), word.encode(), "sha256").hex()[:16],
    ]
    for make in plain:
        assert guessed(sealed, make) is None


def test_an_unkeyed_digest_would_give_it_away() -> None:
    """The control: the same search finds what a digest without a key, or with a stored one, is."""
    digest = hashlib.sha256(PIN.encode()).hexdigest()
    salted = hmac.digest(JOURNAL.encode(), PIN.encode(), "sha256").hex()

    assert guessed(digest, lambda word: hashlib.sha256(word.encode()).hexdigest()) == PIN
    assert (
        guessed(salted, lambda word: hmac.digest(JOURNAL.encode(), word.encode(), "sha256").hex())
        == PIN
    )


def test_who_has_the_api_key_could_try_all() -> None:
    """The control: the search above fails for want of the key alone."""
    assert guessed(secret_digest(JOURNAL, KEY, imported(PIN)), under(KEY.reveal())) == PIN


def test_seals_hold_neither_key_nor_password() -> None:
    sealed = secret_digest(JOURNAL, KEY, imported())

    assert KEY.reveal() not in sealed
    assert CANARY not in sealed
    assert [len(part) * 4 for part in sealed.split(":")] == [128, 128]


def test_a_key_has_a_seal_of_its_own() -> None:
    assert key_fingerprint(JOURNAL, KEY) != key_fingerprint(JOURNAL, Secret("sk-live-another"))
    assert (
        key_fingerprint(JOURNAL, KEY) == secret_digest(JOURNAL, KEY, imported()).partition(":")[0]
    )


# ---------------------------------------------------------------- results

RECORDS = [
    (platform, name, index)
    for platform, name in CASES
    if (body := read_sample(platform, name)["response"]["json"]) is not None
    for index, record in enumerate(records_in(PLATFORMS[platform].decoded(name, body)))
    if isinstance(record, ADAPTERS[platform].result)
]
"""Every phone number in the recorded answers."""


def record_of(platform: str, name: str, index: int) -> Record:
    body = read_sample(platform, name)["response"]["json"]
    return records_in(PLATFORMS[platform].decoded(name, body))[index]


def bared(record: Record) -> Record:
    """Return *record* as if the platform had not repeated its secrets."""
    fields: tuple[attrs.Attribute[Any], ...] = attrs.fields(type(record))
    blank: dict[str, Any] = {
        field.name: None for field in fields if isinstance(getattr(record, field.name), Secret)
    }
    return attrs.evolve(record, **blank)


@pytest.mark.parametrize("at", RECORDS, ids=lambda at: "-".join(map(str, at)))
def test_a_result_comes_back_from_json_without_its_secrets(at: tuple[str, str, int]) -> None:
    record = record_of(*at)
    text = json.dumps(drop_secrets(as_object(record)))

    assert from_result(json.loads(text), ADAPTERS[at[0]].result) == bared(record)


def test_some_recorded_answers_hold_secrets() -> None:
    """The control of the test above."""
    assert {at[0] for at in RECORDS if record_of(*at) != bared(record_of(*at))} == {"verbex"}


@attrs.frozen(kw_only=True)
class Trunk(Record):
    password: Annotated[Secret | None, wire("password")] = None


@attrs.frozen(kw_only=True)
class Account(Record):
    number: Annotated[str | None, wire("phone_number")] = None
    trunk: Annotated[Trunk | None, wire("trunk")] = None
    trunks: Annotated[list[Trunk] | None, wire("trunks")] = None


@pytest.mark.parametrize(
    ("cls", "raw"),
    [
        (PhoneNumber, {"provider": "sip", "sip_trunk_password": CANARY}),
        (PhoneNumber, {"provider": "twilio", "twilio_auth_token": CANARY}),
        (PhoneNumber, {"provider": "carrier-pigeon", "sip_trunk_password": CANARY}),
        (PhoneNumber, {"provider": "sip", "webhook_secret": CANARY}),
        (PhoneNumber, {"provider": "sip", "trunk": {"host": "h", "password": CANARY}}),
        (PhoneNumber, {"trunks": [{"password": CANARY}, {"api_key": [CANARY, 1]}]}),
        (Account, {"trunk": {"password": CANARY}}),
        (Account, {"trunks": [{"password": CANARY, "old_password": CANARY}]}),
    ],
)
def test_no_secret_is_in_a_result(cls: type[Record], raw: dict[str, Any]) -> None:
    record = structure({"phone_number": NUMBER, **raw}, cls)
    text = json.dumps(drop_secrets(as_object(record)))

    assert CANARY not in text
    assert NUMBER in text
    # The control: it is there until it is left out.
    assert CANARY in json.dumps(dump_record(record))


def test_a_null_in_an_answer_stays_one() -> None:
    raw = {"_id": "a1", "provider": "sip", "phone_number": NUMBER, "sip_trunk_password": None}

    assert drop_secrets(as_object(structure(raw, PhoneNumber))) == raw


def test_a_result_that_this_version_cannot_read_is_refused() -> None:
    with pytest.raises(JournalError, match="holds a PhoneNumber that this version cannot read"):
        from_result({"phone_number": ["+1"]}, PhoneNumber)
