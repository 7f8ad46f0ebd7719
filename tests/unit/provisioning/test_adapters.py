"""What each platform means by a request, and what its records prove: one table, three platforms."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sigmamind_async import DialNexa, SigmaMind, Verbex
from sigmamind_async.client import Client
from sigmamind_async.convert import dump_json, structure
from sigmamind_async.errors import ConfigurationError, InvalidRequestError
from sigmamind_async.operation import Operation, Platform, Response
from sigmamind_async.platforms.dialnexa import models as dialnexa
from sigmamind_async.platforms.sigmamind import models as sigmamind
from sigmamind_async.platforms.verbex import models as verbex
from sigmamind_async.provisioning.adapter import Intent, Value
from sigmamind_async.provisioning.adapters.dialnexa import PurchaseAnyNumber
from sigmamind_async.provisioning.adapters.registry import adapter_of
from sigmamind_async.provisioning.fingerprint import rebuild_request, set_fields, split_secrets
from sigmamind_async.provisioning.row import Kind
from sigmamind_async.testing import FakeClock, ScriptedTransport, in_fake_time, reply
from sigmamind_async.transport import HttpRequest
from sigmamind_async.values import UNSET
from tests.unit.platforms.recorded import PLATFORMS
from tests.unit.provisioning.drawn import ADAPTERS, any_value

CLIENTS: Mapping[str, type[Client]] = {
    "sigmamind": SigmaMind,
    "verbex": Verbex,
    "dialnexa": DialNexa,
}
NUMBER = "+14155550100"
PASSWORD = "tr!nk"
ID = "a1"
NEWER: dict[str, Any] = {"telephony_provider_id": "tp_abc123xyz78", "country_iso": "US"}
TRUNK: dict[str, Any] = {"termination_uri": "sip.example.com", "sip_trunk_user_name": "u"}
TWILIO: dict[str, Any] = {"twilio_account_sid": "AC1", "twilio_auth_token": PASSWORD}


def platform_of(value: object) -> str:
    """Return the platform that *value* is a request of."""
    return next(
        name for name, adapter in ADAPTERS.items() if type(value) in adapter.requests.values()
    )


def intent(value: Value) -> Intent:
    return ADAPTERS[platform_of(value)].intent(value)


def agrees(value: Value, raw: dict[str, Any]) -> bool:
    """Return whether a listed record proves *value*, as a provisioner asks it."""
    adapter = ADAPTERS[platform_of(value)]
    return intent(value).agrees(adapter.owned(structure(raw, adapter.result)).source)


def told(each: object) -> str:
    """Name a case by platform and class, or leave it to pytest."""
    cls = each if isinstance(each, type) else type(each)
    parts = cls.__module__.split(".")
    return f"{parts[2]}-{cls.__name__}" if "platforms" in parts else ""


# ---------------------------------------------------------------- which platform


@pytest.mark.parametrize("name", CLIENTS)
def test_a_client_has_the_adapter_of_its_platform(name: str) -> None:
    assert adapter_of(CLIENTS[name]("sk-test")) is ADAPTERS[name]


def test_a_platform_without_an_adapter_is_refused() -> None:
    class Acme(SigmaMind):
        platform: ClassVar[Platform] = attrs.evolve(SigmaMind.platform, name="acme")

    with pytest.raises(ConfigurationError, match="not on acme"):
        adapter_of(Acme("sk-test"))


# ---------------------------------------------------------------- what is asked for

INTENTS: list[tuple[Value, Kind, str]] = [
    (sigmamind.CreatePhoneNumber(country_code="US"), Kind.PURCHASE, ""),
    (sigmamind.CreatePhoneNumber(phone_number=NUMBER), Kind.EXACT_PURCHASE, NUMBER),
    (sigmamind.ImportPhoneNumber(phone_number=NUMBER), Kind.IMPORT, NUMBER),
    (sigmamind.UpdatePhoneNumber(phone_number=NUMBER, friendly_name="a"), Kind.UPDATE, NUMBER),
    (sigmamind.DeletePhoneNumber(phone_number=NUMBER), Kind.RELEASE, NUMBER),
    (verbex.CreatePiaPhoneNumber(), Kind.PURCHASE, ""),
    (verbex.CreatePiaPhoneNumber(phone_number=NUMBER), Kind.EXACT_PURCHASE, NUMBER),
    (verbex.CreateSipPhoneNumber(phone_number=NUMBER), Kind.IMPORT, NUMBER),
    (verbex.CreateTwilioPhoneNumber(phone_number=NUMBER, **TWILIO), Kind.IMPORT, NUMBER),
    (verbex.UpdatePiaPhoneNumber(phone_number_id=ID, friendly_name="a"), Kind.UPDATE, ID),
    (verbex.UpdateSipPhoneNumber(phone_number_id=ID, friendly_name="a"), Kind.UPDATE, ID),
    (verbex.UpdateTwilioPhoneNumber(phone_number_id=ID, friendly_name="a"), Kind.UPDATE, ID),
    (verbex.UpdatePhoneNumber(phone_number_id=ID, friendly_name="a"), Kind.UPDATE, ID),
    (verbex.DeletePhoneNumber(phone_number_id=ID), Kind.RELEASE, ID),
    (PurchaseAnyNumber(**NEWER), Kind.EXACT_PURCHASE, ""),
    (dialnexa.PurchasePhoneNumber(phone_number=NUMBER, **NEWER), Kind.EXACT_PURCHASE, NUMBER),
    (
        dialnexa.PurchasePhoneNumber(phone_number=NUMBER, older_body=True),
        Kind.EXACT_PURCHASE,
        NUMBER,
    ),
    (
        dialnexa.ImportSipTrunk(phone_number=NUMBER, **TRUNK, sip_trunk_password=PASSWORD),
        Kind.IMPORT,
        NUMBER,
    ),
    (dialnexa.UpdatePhoneNumber(id=ID, nickname="a"), Kind.UPDATE, ID),
    (dialnexa.ReleasePhoneNumber(id=ID), Kind.RELEASE, ID),
]


@pytest.mark.parametrize(("value", "kind", "key"), INTENTS, ids=told)
def test_a_request_is_of_a_kind_and_about_a_number(value: Value, kind: Kind, key: str) -> None:
    found = intent(value)

    assert (found.kind, found.key) == (kind, key)


@pytest.mark.parametrize("name", ADAPTERS)
def test_every_request_of_an_adapter_is_looked_at_here(name: str) -> None:
    seen = {type(value) for value, _, _ in INTENTS if platform_of(value) == name}

    assert {cls.__name__: cls for cls in seen} == ADAPTERS[name].requests


@pytest.mark.parametrize(("value", "kind", "key"), INTENTS, ids=told)
def test_a_number_is_looked_up_where_the_platform_takes_numbers(
    value: Value, kind: Kind, key: str
) -> None:
    """Before it is bought; the others are read in the listing."""
    by_number = platform_of(value) == "sigmamind" and kind is Kind.EXACT_PURCHASE
    expected = sigmamind.GetPhoneNumber(phone_number=key) if by_number else None

    assert intent(value).lookup == expected


NO_NUMBER = {"CreateCall", "DeleteCall", "UpdateAgent"}
"""Requests that change something else than a number."""


@pytest.mark.parametrize("name", ADAPTERS)
def test_every_call_that_changes_a_number_can_be_provisioned(name: str) -> None:
    """Whoever adds one to a client is told to add it here."""
    values = PLATFORMS[name].values
    changing = {type(v).__name__ for at, v in values.items() if not operation(name, at).reads}
    made_of_two = {"PurchaseAnyNumber"}

    assert changing - NO_NUMBER == ADAPTERS[name].requests.keys() - made_of_two


def operation(name: str, at: str) -> Operation[Any]:
    return PLATFORMS[name].operation(at)


OTHERS = [
    (name, value)
    for name, recorded in PLATFORMS.items()
    for value in recorded.values.values()
    if type(value) not in ADAPTERS[name].requests.values()
]


@pytest.mark.parametrize(("name", "value"), OTHERS, ids=told)
def test_a_request_that_changes_no_number_is_refused(name: str, value: Value) -> None:
    with pytest.raises(InvalidRequestError, match=f"{type(value).__name__} changes no phone"):
        ADAPTERS[name].intent(value)


def test_a_class_that_the_client_would_refuse_is_refused() -> None:
    class Mine(sigmamind.CreatePhoneNumber):
        pass

    with pytest.raises(InvalidRequestError, match="Mine changes no phone number"):
        ADAPTERS["sigmamind"].intent(Mine(country_code="US"))


@given(value=any_value)
def test_an_intent_is_the_same_without_the_secrets(value: Value) -> None:
    """The journal has no secrets, and goes on from what it has."""
    asked, hidden = split_secrets(value)
    before, after = intent(value), intent(rebuild_request(type(value), asked, hidden))

    for name in ("kind", "key", "label", "lookup"):
        assert getattr(after, name) == getattr(before, name)


# ---------------------------------------------------------------- purchases that need a tag

TAGGED: list[tuple[Value, str]] = [
    (sigmamind.CreatePhoneNumber(country_code="US", area_code=415), ""),
    (sigmamind.CreatePhoneNumber(country_code="US", friendly_name=""), ""),
    (sigmamind.CreatePhoneNumber(country_code="US", friendly_name="Desk"), "Desk"),
    (verbex.CreatePiaPhoneNumber(inbound_agent_id="a"), ""),
    (verbex.CreatePiaPhoneNumber(friendly_name=None), ""),
    (verbex.CreatePiaPhoneNumber(friendly_name="Desk", outbound_agent_id=None), "Desk"),
]


@pytest.mark.parametrize(("value", "label"), TAGGED, ids=told)
def test_a_purchase_takes_another_label_and_stays_the_same(value: Value, label: str) -> None:
    found = intent(value)
    assert found.label == label

    tagged = attrs.evolve(value, **{found.label_field: "Desk [sm:AAAAAAAAAAAAA.1]"})

    fields = {**set_fields(value), "friendly_name": "Desk [sm:AAAAAAAAAAAAA.1]"}
    assert tagged == type(value)(**fields)
    assert intent(tagged).kind is Kind.PURCHASE


@pytest.mark.parametrize(("value", "kind", "key"), INTENTS, ids=told)
def test_what_has_no_number_of_its_own_is_told_apart_somehow(
    value: Value, kind: Kind, key: str
) -> None:
    """By a tag where the platform picks, by a search where there is one, else by its key."""
    found = intent(value)

    assert bool(found.label_field) is (kind is Kind.PURCHASE)
    assert (found.search is not None) is (kind is Kind.EXACT_PURCHASE and not key)


# ---------------------------------------------------------------- any number in a country


async def test_a_client_refuses_to_buy_any_number() -> None:
    """It is two calls, and a client makes one of a value."""
    transport = ScriptedTransport([])

    with pytest.raises(InvalidRequestError, match="PurchaseAnyNumber is not a request of dialnexa"):
        await DialNexa("sk-test", transport=transport).run(PurchaseAnyNumber(**NEWER))

    assert not transport.sent


@pytest.mark.parametrize(
    "wrong",
    [{"country_iso": "usa"}, {"type": 1}, {"telephony_provider_id": None}],
    ids=lambda wrong: next(iter(wrong)),
)
def test_any_number_is_asked_for_in_valid_words(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError, match=next(iter(wrong))):
        PurchaseAnyNumber(**{**NEWER, **wrong})


@pytest.mark.parametrize("kind", [UNSET, "local"])
def test_any_number_becomes_one_that_was_found(kind: Any) -> None:
    search = intent(PurchaseAnyNumber(**NEWER, type=kind)).search
    assert search is not None

    assert search.request == dialnexa.SearchPhoneNumbers(country_iso="US", type=kind)
    assert search.purchase(NUMBER) == dialnexa.PurchasePhoneNumber(phone_number=NUMBER, **NEWER)


@pytest.mark.parametrize(
    ("raw", "numbers"),
    [
        ({"number": "14155550100"}, [NUMBER]),
        ({"number": NUMBER, "voice_enabled": True}, [NUMBER]),
        ({"number": NUMBER, "voice_enabled": None}, [NUMBER]),
        ({"number": NUMBER, "voice_enabled": False}, []),
        ({"number": "(415) 555-0100"}, []),
        ({"number": "012345"}, []),
        ({"number": ""}, []),
        ({"number": "\u0664\u0661\u0665\u0665\u0665\u0665\u0660\u0661\u0660\u0660"}, []),
        ({}, []),
    ],
)
def test_numbers_on_offer_are_those_that_can_be_bought(
    raw: dict[str, Any], numbers: list[str]
) -> None:
    search = intent(PurchaseAnyNumber(**NEWER)).search
    assert search is not None
    last = structure({"number": "14155550199"}, dialnexa.AvailableNumber)

    offered = search.numbers([structure(raw, dialnexa.AvailableNumber), last])

    assert offered == [*numbers, "+14155550199"]
    assert all(search.purchase(number) for number in offered)


# ---------------------------------------------------------------- what a record proves

SIGMAMIND_SHOWS: dict[str, Any] = {
    "sipPhoneNumber": NUMBER,
    "friendlyName": "Desk",
    "inboundAgentId": "in",
    "outboundPhoneNumber": "+14155550199",
    "terminationSipURI": "sip.example.com",
}
VERBEX_SHOWS: dict[str, Any] = {
    "_id": ID,
    "provider": "sip",
    "phone_number": NUMBER,
    "friendly_name": "Desk",
    "sip_trunk_username": "u",
    "sip_trunk_password": PASSWORD,
    "sip_infra_region": "bd",
}
TWILIO_SHOWS: dict[str, Any] = {
    "_id": ID,
    "provider": "twilio",
    "phone_number": NUMBER,
    "twilio_account_sid": "AC1",
    "twilio_auth_token": PASSWORD,
}
DIALNEXA_SHOWS: dict[str, Any] = {
    "id": ID,
    "phone_number": NUMBER,
    "nickname": "Desk",
    "label": "7",
    "agent_id": "in",
}


def create(**fields: Any) -> Value:
    return sigmamind.CreatePhoneNumber(phone_number=NUMBER, **fields)


def import_(**fields: Any) -> Value:
    return sigmamind.ImportPhoneNumber(phone_number=NUMBER, **fields)


def update(**fields: Any) -> Value:
    return sigmamind.UpdatePhoneNumber(phone_number=NUMBER, **fields)


def create_pia(**fields: Any) -> Value:
    return verbex.CreatePiaPhoneNumber(phone_number=NUMBER, **fields)


def create_sip(**fields: Any) -> Value:
    return verbex.CreateSipPhoneNumber(phone_number=NUMBER, **fields)


def update_sip(**fields: Any) -> Value:
    return verbex.UpdateSipPhoneNumber(phone_number_id=ID, **fields)


def update_any(**fields: Any) -> Value:
    return verbex.UpdatePhoneNumber(phone_number_id=ID, **fields)


def import_trunk(**fields: Any) -> Value:
    return dialnexa.ImportSipTrunk(
        phone_number=NUMBER, **TRUNK, sip_trunk_password=PASSWORD, **fields
    )


def change(**fields: Any) -> Value:
    return dialnexa.UpdatePhoneNumber(id=ID, **fields)


def digits(raw: dict[str, Any]) -> dict[str, Any]:
    """Return *raw* as older answers of SigmaMind print it: numbers are integers."""
    return {key: int(text) if str(text).startswith("+") else text for key, text in raw.items()}


def without(raw: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: held for key, held in raw.items() if key not in keys}


PROOFS: list[tuple[Value, dict[str, Any], bool]] = [
    # Of a purchase, every field comes back.
    (create(), SIGMAMIND_SHOWS, True),
    (create(friendly_name="Desk", inbound_agent_id="in"), SIGMAMIND_SHOWS, True),
    (create(friendly_name="Other"), SIGMAMIND_SHOWS, False),
    (create(outbound_agent_id="out"), SIGMAMIND_SHOWS, False),
    (create(outbound_phone_number="+14155550199"), SIGMAMIND_SHOWS, True),
    (create(outbound_phone_number="+14155550199"), digits(SIGMAMIND_SHOWS), True),
    (create_pia(friendly_name="Desk"), {**VERBEX_SHOWS, "provider": "pia"}, True),
    (create_pia(friendly_name="Other"), {**VERBEX_SHOWS, "provider": "pia"}, False),
    (create_pia(inbound_agent_id=None), {**VERBEX_SHOWS, "provider": "pia"}, True),
    (dialnexa.PurchasePhoneNumber(phone_number=NUMBER, **NEWER), DIALNEXA_SHOWS, True),
    (PurchaseAnyNumber(**NEWER), DIALNEXA_SHOWS, True),
    # A trunk's credentials do not.
    (import_(friendly_name="Desk", termination_sip_uri="sip.example.com"), SIGMAMIND_SHOWS, True),
    (import_(), digits(SIGMAMIND_SHOWS), True),
    (import_(termination_sip_uri="other.example.com"), SIGMAMIND_SHOWS, False),
    (import_(trunk_password=PASSWORD), SIGMAMIND_SHOWS, False),
    (import_(trunk_username="u"), SIGMAMIND_SHOWS, False),
    (create_sip(sip_trunk_username="u", sip_infra_region="bd"), VERBEX_SHOWS, True),
    (create_sip(sip_trunk_username="other"), VERBEX_SHOWS, False),
    (create_sip(sip_trunk_password=PASSWORD), VERBEX_SHOWS, False),
    (create_sip(sip_trunk_password=None), VERBEX_SHOWS, False),
    (verbex.CreateTwilioPhoneNumber(phone_number=NUMBER, **TWILIO), TWILIO_SHOWS, False),
    # On DialNexa nobody could write them again, so they are not waited for.
    (import_trunk(), DIALNEXA_SHOWS, True),
    (import_trunk(nickname="Desk"), DIALNEXA_SHOWS, True),
    (import_trunk(nickname="Other"), DIALNEXA_SHOWS, False),
    (import_trunk(nickname="Other"), {**DIALNEXA_SHOWS, "nickname": None}, False),
    (import_trunk(nickname="Other"), without(DIALNEXA_SHOWS, "nickname"), True),
    # An update proves nothing by what it leaves alone.
    (update(friendly_name="Desk"), SIGMAMIND_SHOWS, True),
    (update(friendly_name="Other"), SIGMAMIND_SHOWS, False),
    (update(friendly_name="Desk", trunk_password=PASSWORD), SIGMAMIND_SHOWS, False),
    (update(friendly_name="Desk", trunk_username="u"), SIGMAMIND_SHOWS, False),
    (update(outbound_agent_id=None), SIGMAMIND_SHOWS, True),
    (update(outbound_agent_id=None), {**SIGMAMIND_SHOWS, "outboundAgentId": ""}, True),
    (update(outbound_agent_id=None), {**SIGMAMIND_SHOWS, "outboundAgentId": None}, True),
    (update(inbound_agent_id=None), SIGMAMIND_SHOWS, False),
    (update_sip(sip_trunk_username="u"), VERBEX_SHOWS, True),
    (update_sip(sip_trunk_username=None), VERBEX_SHOWS, False),
    (update_sip(friendly_name="Desk", sip_trunk_password=PASSWORD), VERBEX_SHOWS, False),
    (update_any(friendly_name="Desk"), VERBEX_SHOWS, True),
    (update_any(twilio_account_sid="AC1"), VERBEX_SHOWS, False),
    (update_any(twilio_account_sid="AC1"), TWILIO_SHOWS, True),
    (update_any(**TWILIO), TWILIO_SHOWS, False),
    (change(nickname="Desk", label="7", agent_id="in"), DIALNEXA_SHOWS, True),
    (change(nickname="Other"), DIALNEXA_SHOWS, False),
    (change(agent_id=None), DIALNEXA_SHOWS, False),
    (change(agent_id=None), {**DIALNEXA_SHOWS, "agent_id": None}, True),
    (change(agent_id="in"), {"id": ID, "inbound_agent_id": "in"}, True),
    (change(nickname=None), {**DIALNEXA_SHOWS, "nickname": ""}, True),
    # A record of a shape without the field is silent about it.
    (change(label="7"), without(DIALNEXA_SHOWS, "label"), False),
    (change(agent_id=None), without(DIALNEXA_SHOWS, "agent_id"), False),
    (change(nickname="Desk", label="7"), without(DIALNEXA_SHOWS, "label"), False),
]


@pytest.mark.parametrize(("value", "raw", "proven"), PROOFS, ids=told)
def test_a_record_proves_what_it_shows(value: Value, raw: dict[str, Any], proven: bool) -> None:
    assert agrees(value, raw) is proven


@attrs.frozen(kw_only=True)
class Updates:
    """How one platform's update is compared."""

    make: Callable[..., Value]
    key: dict[str, Any]
    """What every record has."""
    shown: dict[str, str]
    """Wire names of the fields that come back."""
    clearable: frozenset[str]
    silent: bool
    """Whether a record that lacks a field means that it has no value."""


UPDATES = {
    "sigmamind": Updates(
        make=update,
        key={"sipPhoneNumber": NUMBER},
        shown={
            "friendly_name": "friendlyName",
            "inbound_agent_id": "inboundAgentId",
            "outbound_agent_id": "outboundAgentId",
            "termination_sip_uri": "terminationSipURI",
        },
        clearable=frozenset({"inbound_agent_id", "outbound_agent_id"}),
        silent=True,
    ),
    "verbex": Updates(
        make=update_sip,
        key={"_id": ID, "provider": "sip", "phone_number": NUMBER},
        shown={name: name for name in ("friendly_name", "inbound_agent_id", "sip_trunk_username")},
        clearable=frozenset({"friendly_name", "inbound_agent_id", "sip_trunk_username"}),
        silent=True,
    ),
    "dialnexa": Updates(
        make=change,
        key={"id": ID, "phone_number": NUMBER},
        shown={name: name for name in ("agent_id", "nickname", "label")},
        clearable=frozenset({"agent_id", "nickname"}),
        silent=False,
    ),
}
WORDS = st.sampled_from(["one", "two", "three"])
MISSING = object()


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize("name", UPDATES)
@given(data=st.data())
def test_a_change_is_proven_by_each_of_its_fields(name: str, data: st.DataObject) -> None:
    """Shown as asked it is proven, in whatever way "none" is said; one other field, and it is not.

    Fields that were not asked for may show anything.
    """
    case = UPDATES[name]
    chosen = data.draw(
        st.dictionaries(st.sampled_from(sorted(case.shown)), WORDS, min_size=1), label="said"
    )
    cleared = data.draw(st.sets(st.sampled_from(sorted(case.clearable))), label="cleared")
    asked = {field: None if field in cleared else text for field, text in chosen.items()}
    none = st.sampled_from([None, "", MISSING] if case.silent else [None, ""])
    shown: dict[str, Any] = {
        wire: data.draw(none if asked.get(field, MISSING) is None else WORDS)
        for field, wire in case.shown.items()
    }
    shown |= {case.shown[field]: text for field, text in asked.items() if text is not None}
    raw = {**case.key, **{key: held for key, held in shown.items() if held is not MISSING}}

    assert agrees(case.make(**asked), raw)
    for field in asked:
        assert not agrees(case.make(**asked), {**raw, case.shown[field]: "another"})


# ---------------------------------------------------------------- what is written to a found number

REPAIRS: list[tuple[Value, Value | None]] = [
    (create(), None),
    (
        create(country_code="US", friendly_name="Desk", outbound_agent_id="out"),
        update(friendly_name="Desk", outbound_agent_id="out"),
    ),
    (import_(), None),
    (
        import_(
            friendly_name="Desk",
            termination_sip_uri="sip.example.com",
            trunk_username="u",
            trunk_password=PASSWORD,
            outbound_phone_number="+14155550199",
        ),
        update(
            friendly_name="Desk",
            termination_sip_uri="sip.example.com",
            trunk_username="u",
            trunk_password=PASSWORD,
            outbound_phone_number="+14155550199",
        ),
    ),
    (create_pia(), None),
    (
        create_pia(friendly_name=None, inbound_agent_id="in"),
        verbex.UpdatePiaPhoneNumber(phone_number_id=ID, friendly_name=None, inbound_agent_id="in"),
    ),
    (create_sip(sip_infra_region="bd"), None),
    (
        create_sip(sip_trunk_username="u", sip_trunk_password=PASSWORD, sip_infra_region="bd"),
        update_sip(sip_trunk_username="u", sip_trunk_password=PASSWORD),
    ),
    (
        verbex.CreateTwilioPhoneNumber(phone_number=NUMBER, **TWILIO),
        verbex.UpdateTwilioPhoneNumber(phone_number_id=ID, **TWILIO),
    ),
    (import_trunk(), None),
    (import_trunk(nickname="Desk"), change(nickname="Desk")),
]


@pytest.mark.parametrize(("value", "written"), REPAIRS, ids=told)
def test_what_a_number_can_be_changed_to_is_written_to_it(
    value: Value, written: Value | None
) -> None:
    repair = intent(value).repair
    assert repair is not None

    assert repair(NUMBER if platform_of(value) == "sigmamind" else ID) == written


def test_a_repair_carries_the_password() -> None:
    """The control of "equal" above: secrets are compared, and reach the body."""
    repair = intent(import_(trunk_password=PASSWORD)).repair
    assert repair is not None
    value = repair(NUMBER)

    assert value != update(trunk_password="other")
    assert value is not None
    body = SigmaMind("sk-test").runner.operation(value).request.json
    assert json.loads(dump_json(body)) == {"trunkPassword": PASSWORD}


@pytest.mark.parametrize(
    ("value", "kind", "key"), [case for case in INTENTS if case[1] is Kind.IMPORT], ids=told
)
def test_an_import_that_nothing_proves_can_be_repaired(value: Value, kind: Kind, key: str) -> None:
    """Otherwise one that is unconfirmed would stay so for ever."""
    found = intent(value)

    raw = {"sipPhoneNumber": key, "_id": ID, "id": ID, "phone_number": key}
    assert agrees(value, raw) or (found.repair is not None and found.repair(ID) is not None)


# ---------------------------------------------------------------- numbers of the account

OWNED: list[tuple[str, dict[str, Any], tuple[str, str, str | None]]] = [
    ("sigmamind", {"sipPhoneNumber": NUMBER, "friendlyName": "Desk"}, (NUMBER, NUMBER, "Desk")),
    ("sigmamind", {"sipPhoneNumber": "14155550100"}, (NUMBER, NUMBER, None)),
    ("sigmamind", {"sipPhoneNumber": 14155550100}, (NUMBER, NUMBER, None)),
    ("sigmamind", {"sipPhoneNumber": "\u0661\u0664"}, ("\u0661\u0664", "\u0661\u0664", None)),
    ("sigmamind", {}, ("", "", None)),
    ("verbex", VERBEX_SHOWS, (ID, NUMBER, "Desk")),
    ("verbex", {"id": ID, "phone_number": "14155550100"}, (ID, NUMBER, None)),
    ("dialnexa", DIALNEXA_SHOWS, (ID, NUMBER, "Desk")),
    ("dialnexa", {"id": ID, "phone_number": "14155550100"}, (ID, NUMBER, None)),
]


@pytest.mark.parametrize(("name", "raw", "expected"), OWNED)
def test_a_record_names_its_key_its_number_and_its_label(
    name: str, raw: dict[str, Any], expected: tuple[str, str, str | None]
) -> None:
    adapter = ADAPTERS[name]
    owned = adapter.owned(structure(raw, adapter.result))

    assert (owned.record, owned.phone_number, owned.label) == expected
    assert isinstance(owned.source, adapter.result)


WRITES: list[tuple[str, str, Value, Value]] = [
    (
        "sigmamind",
        NUMBER,
        sigmamind.DeletePhoneNumber(phone_number=NUMBER),
        update(friendly_name="Desk"),
    ),
    (
        "verbex",
        ID,
        verbex.DeletePhoneNumber(phone_number_id=ID),
        verbex.UpdatePiaPhoneNumber(phone_number_id=ID, friendly_name="Desk"),
    ),
    ("dialnexa", ID, dialnexa.ReleasePhoneNumber(id=ID), change(nickname="Desk")),
]


@pytest.mark.parametrize(("name", "record", "release", "relabel"), WRITES)
def test_a_record_is_released_and_labelled_by_its_key(
    name: str, record: str, release: Value, relabel: Value
) -> None:
    adapter = ADAPTERS[name]

    assert adapter.release(record) == release
    assert adapter.relabel(record, "Desk") == relabel
    assert adapter.intent(adapter.release(record)).kind is Kind.RELEASE


PAGES: Mapping[str, tuple[dict[str, str], dict[str, str]]] = {
    "sigmamind": ({"page": "0", "size": "1000"}, {"page": "1", "size": "1000"}),
    "verbex": ({"page_size": "100"}, {"page_size": "100", "page_token": "next"}),
    "dialnexa": ({"page": "1", "limit": "100"}, {"page": "2", "limit": "100"}),
}
"""What the two pages of an account are asked for with: the largest that can be had."""


def page_of(outgoing: HttpRequest, name: str) -> Response:
    asked = {key: held[0] for key, held in parse_qs(urlsplit(outgoing.url).query).items()}
    if asked not in PAGES[name]:  # a numbered listing looks behind what is called the last page
        return reply(json={"data": []})
    number = PAGES[name].index(asked)
    item = {"sipPhoneNumber": f"+1415555010{number}", "phone_number": f"+1415555010{number}"}
    around: dict[str, dict[str, object]] = {
        "sigmamind": {"page": number, "hasNext": not number},
        "verbex": {} if number else {"next_page_token": "next"},
        "dialnexa": {"meta": {"totalPages": 2}},
    }
    return reply(json={"data": [{"_id": f"{number}", "id": f"{number}", **item}], **around[name]})


@pytest.mark.parametrize("name", PAGES)
async def test_a_listing_reads_every_page(name: str, clock: FakeClock) -> None:
    transport = ScriptedTransport(lambda outgoing: page_of(outgoing, name))
    client = in_fake_time(CLIENTS[name]("sk-test", transport=transport), clock)
    adapter = adapter_of(client)

    numbers = [adapter.owned(record).phone_number async for record in adapter.list_numbers(client)]

    assert numbers == ["+14155550100", "+14155550101"]
