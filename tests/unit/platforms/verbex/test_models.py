"""The request values check themselves; kinds of number do not mix.

https://docs.verbex.ai: "Update the configuration of an existing phone number" and "Create a new
phone number". No length or pattern of any field is stated there, the number's own apart.
"""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from sigmamind_async.convert import body_of, wire_names
from sigmamind_async.errors import InvalidRequestError
from sigmamind_async.platforms import verbex
from sigmamind_async.platforms.verbex.models import (
    CreatePiaPhoneNumber,
    CreateSipPhoneNumber,
    CreateTwilioPhoneNumber,
    DeletePhoneNumber,
    GetPhoneNumber,
    ListPhoneNumbers,
    UpdatePhoneNumber,
    UpdatePiaPhoneNumber,
    UpdateSipPhoneNumber,
    UpdateTwilioPhoneNumber,
    create_value,
)
from sigmamind_async.values import Secret

ID = "66f0c2a4e1b2c3d4e5f60718"
NUMBER = "+14155552671"
TWILIO = {"twilio_account_sid": "AC1", "twilio_auth_token": "t0ken"}

MAKERS: dict[str, Any] = {
    "create sip": lambda **given: CreateSipPhoneNumber(**{"phone_number": NUMBER, **given}),
    "create pia": lambda **given: CreatePiaPhoneNumber(**{"phone_number": NUMBER, **given}),
    "create twilio": lambda **given: CreateTwilioPhoneNumber(
        **{"phone_number": NUMBER, **TWILIO, **given}
    ),
    "update sip": lambda **given: UpdateSipPhoneNumber(phone_number_id=ID, **given),
    "update pia": lambda **given: UpdatePiaPhoneNumber(phone_number_id=ID, **given),
    "update twilio": lambda **given: UpdateTwilioPhoneNumber(phone_number_id=ID, **given),
    "update": lambda **given: UpdatePhoneNumber(phone_number_id=ID, **given),
}
ALL = list(MAKERS)
CREATES, ON_A_TRUNK = ALL[:3], ["create sip", "update sip", "update"]
OF_TWILIO = ["create twilio", "update twilio", "update"]

NULLABLE = [
    *((kind, field) for kind in ALL for field in ("friendly_name", "inbound_agent_id")),
    *((kind, "outbound_agent_id") for kind in ALL),
    *((kind, "sip_termination_uri") for kind in ON_A_TRUNK),
    *((kind, "sip_trunk_username") for kind in ON_A_TRUNK),
    *((kind, "sip_trunk_password") for kind in ON_A_TRUNK),
]
NEVER_NULL = [
    *((kind, "twilio_account_sid") for kind in OF_TWILIO),
    *((kind, "twilio_auth_token") for kind in OF_TWILIO),
    *((kind, "phone_number") for kind in CREATES),
    ("create sip", "sip_infra_region"),
]
NEVER_EMPTY = {"inbound_agent_id", "outbound_agent_id", "twilio_account_sid", "sip_infra_region"}
PLAIN = [(kind, field) for kind, field in [*NULLABLE, *NEVER_NULL] if field != "phone_number"]


@pytest.mark.parametrize(("kind", "field"), NULLABLE)
def test_null_is_said_where_it_is_documented(kind: str, field: str) -> None:
    assert body_of(MAKERS[kind](**{field: None}))[field] is None


@pytest.mark.parametrize(("kind", "field"), NEVER_NULL)
def test_null_is_refused_where_it_is_not_documented(kind: str, field: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        MAKERS[kind](**{field: None})

    assert caught.value.field == field


@pytest.mark.parametrize(("kind", "field"), PLAIN)
def test_any_text_is_sent_as_it_is(kind: str, field: str) -> None:
    """The long one too: no length is stated. An empty one is no id and no word of a list."""
    for text in ("x" * 1_000, "" if field not in NEVER_EMPTY else "x"):
        sent = body_of(MAKERS[kind](**{field: text}))[field]
        assert (sent.reveal() if isinstance(sent, Secret) else sent) == text


@pytest.mark.parametrize(("kind", "field"), [each for each in PLAIN if each[1] in NEVER_EMPTY])
def test_an_empty_id_or_word_is_refused(kind: str, field: str) -> None:
    with pytest.raises(InvalidRequestError, match="must not be empty") as caught:
        MAKERS[kind](**{field: ""})

    assert caught.value.field == field


def test_an_empty_page_token_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="page_token"):
        ListPhoneNumbers(page_token="")


@pytest.mark.parametrize(("kind", "field"), [*NULLABLE, *NEVER_NULL])
def test_what_is_no_text_is_refused(kind: str, field: str) -> None:
    values: list[Any] = [5, True, [], {}]
    for value in values:
        with pytest.raises(InvalidRequestError) as caught:
            MAKERS[kind](**{field: value})

        assert caught.value.field == field


@pytest.mark.parametrize("kind", ["update sip", "update pia", "update twilio", "update"])
def test_what_is_left_out_is_not_sent(kind: str) -> None:
    assert body_of(MAKERS[kind](friendly_name="x")) == {"friendly_name": "x"}
    with pytest.raises(InvalidRequestError, match="update: names no field to change"):
        MAKERS[kind]()


@pytest.mark.parametrize("kind", ["update sip", "update pia", "update twilio", "update"])
@pytest.mark.parametrize("field", ["phone_number", "provider", "sip_infra_region", "_id", "id"])
def test_what_cannot_be_updated_is_no_field(kind: str, field: str) -> None:
    names = wire_names(type(MAKERS[kind](friendly_name="x")))

    assert field not in {mark.name for mark in names.values()}


# ---------------------------------------------------------------- kinds


@pytest.mark.parametrize(
    ("cls", "word"),
    [
        (CreateSipPhoneNumber, "sip"),
        (CreatePiaPhoneNumber, "pia"),
        (CreateTwilioPhoneNumber, "twilio"),
    ],
)
def test_a_creation_names_its_kind(cls: Any, word: str) -> None:
    given = {"phone_number": NUMBER, **(TWILIO if word == "twilio" else {})}

    assert body_of(cls(**given))["provider"] == word
    with pytest.raises(TypeError, match="provider"):
        cls(**given, provider="pia")


def test_an_update_names_no_kind() -> None:
    assert "provider" not in {mark.name for mark in wire_names(UpdatePhoneNumber).values()}


SIP_FIELDS = {"sip_termination_uri", "sip_trunk_username", "sip_trunk_password"}


@pytest.mark.parametrize(
    ("cls", "missing"),
    [
        (UpdatePiaPhoneNumber, SIP_FIELDS | TWILIO.keys()),
        (UpdateSipPhoneNumber, TWILIO.keys()),
        (UpdateTwilioPhoneNumber, SIP_FIELDS),
        (CreatePiaPhoneNumber, SIP_FIELDS | TWILIO.keys() | {"sip_infra_region"}),
        (CreateSipPhoneNumber, TWILIO.keys()),
        (CreateTwilioPhoneNumber, SIP_FIELDS | {"sip_infra_region"}),
    ],
)
def test_a_kind_has_no_field_of_another(cls: Any, missing: set[str]) -> None:
    assert not missing & attrs.fields_dict(cls).keys()


@pytest.mark.parametrize("sip", sorted(SIP_FIELDS))
@pytest.mark.parametrize("twilio", sorted(TWILIO))
@pytest.mark.parametrize("value", ["x", None])
def test_an_update_of_no_kind_is_refused(sip: str, twilio: str, value: str | None) -> None:
    with pytest.raises(InvalidRequestError, match=f"no kind of number takes it with {sip}"):
        UpdatePhoneNumber(phone_number_id=ID, **{sip: value, twilio: "x"})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("provider", "given", "field", "rule"),
    [
        ("sip", {}, "phone_number", "a sip number needs it"),
        ("twilio", {"phone_number": NUMBER}, "twilio_account_sid", "a twilio number needs it"),
        ("sip", {"phone_number": NUMBER, **TWILIO}, "twilio_account_sid", "does not take it"),
        ("pia", {"sip_termination_uri": "x"}, "sip_termination_uri", "does not take it"),
        ("pia", {"sip_infra_region": "bd"}, "sip_infra_region", "does not take it"),
        ("twilio", {**TWILIO, "sip_trunk_username": "x"}, "sip_trunk_username", "not take it"),
        ("vonage", {}, "provider", "must be one of sip, pia, twilio"),
    ],
)
def test_a_creation_of_no_kind_is_refused(
    provider: str, given: dict[str, Any], field: str, rule: str
) -> None:
    with pytest.raises(InvalidRequestError, match=rule) as caught:
        create_value(provider, **given)

    assert caught.value.field == field


def test_a_number_that_the_platform_chooses_needs_nothing() -> None:
    assert body_of(create_value("pia")) == {"provider": "pia"}


@pytest.mark.parametrize("word", ["global", "bd", "bd_link3", "eu_new"])
def test_a_region_is_an_open_word(word: str) -> None:
    """The page's own description names fewer than its list does."""
    value = CreateSipPhoneNumber(phone_number=NUMBER, sip_infra_region=word)

    assert body_of(value)["sip_infra_region"] == word


def test_the_words_have_names() -> None:
    assert (verbex.GLOBAL, verbex.BANGLADESH, verbex.BANGLADESH_LINK3) == (
        "global",
        "bd",
        "bd_link3",
    )
    assert (verbex.SIP, verbex.PIA, verbex.TWILIO) == ("sip", "pia", "twilio")


# ---------------------------------------------------------------- keys, pages and secrets


@pytest.mark.parametrize("number", ["14155552671", "+0155552671", "+1 415", "+141555", ""])
@pytest.mark.parametrize("kind", CREATES)
def test_a_number_is_checked(kind: str, number: str) -> None:
    with pytest.raises(InvalidRequestError, match="phone_number"):
        MAKERS[kind](phone_number=number)


@pytest.mark.parametrize("cls", [GetPhoneNumber, DeletePhoneNumber])
@pytest.mark.parametrize("value", ["", "..", "a/b", "a?b", "%2e", None])
def test_an_id_in_a_path_is_checked(cls: Any, value: Any) -> None:
    with pytest.raises(InvalidRequestError, match="phone_number_id"):
        cls(phone_number_id=value)


@pytest.mark.parametrize("size", [0, 101, True, "10"])
def test_a_page_size_is_checked(size: Any) -> None:
    assert (ListPhoneNumbers(page_size=1).page_size, ListPhoneNumbers().page_size) == (1, 100)
    with pytest.raises(InvalidRequestError, match="page_size"):
        ListPhoneNumbers(page_size=size)


SECRETS = [
    *((kind, "sip_trunk_password") for kind in ON_A_TRUNK),
    *((kind, "twilio_auth_token") for kind in OF_TWILIO),
]


@pytest.mark.parametrize(("kind", "field"), SECRETS)
def test_a_secret_is_shown_to_nobody(kind: str, field: str) -> None:
    value = MAKERS[kind](**{field: "hunter2"})

    assert "hunter2" not in repr(value) + repr(attrs.asdict(value))
    assert body_of(value)[field] == Secret("hunter2")


@pytest.mark.parametrize(("kind", "field"), SECRETS)
@pytest.mark.parametrize("mask", ["********", "*", "\u2022\u2022\u2022\u2022"])
def test_a_mask_that_came_in_an_answer_is_not_sent_back(kind: str, field: str, mask: str) -> None:
    with pytest.raises(InvalidRequestError, match="is a mask") as caught:
        MAKERS[kind](**{field: mask})

    assert caught.value.field == field
