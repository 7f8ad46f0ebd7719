"""What a platform answers is what the next call takes: numbers, versions, providers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sigmamind_async import (
    BadRequestError,
    DialNexa,
    InvalidRequestError,
    OutcomeUnknownError,
    ResponseDecodeError,
    SigmaMind,
)
from sigmamind_async.operation import Response
from sigmamind_async.platforms import dialnexa
from sigmamind_async.provisioning import MemoryJournal, Provisioner
from sigmamind_async.sandbox import Fault, Sandbox, Switches
from sigmamind_async.sandbox.switches import DialNexaSwitches
from sigmamind_async.testing import ScriptedTransport
from tests.contract.dialects import DIALECTS, DIALNEXA, SIGMAMIND, Dialect
from tests.functional.support import ONCE, error_of

NUMBER = "+14155550100"
BARE = NUMBER.removeprefix("+")
RECORDS: dict[str, dict[str, object]] = {
    "sigmamind": {"sipPhoneNumber": NUMBER},
    "verbex": {"_id": "66f0c2a4e1b2c3d4e5f60718", "provider": "pia", "phone_number": NUMBER},
    "dialnexa": {"id": "phn_1", "phone_number": NUMBER},
}
"""The least that a platform says of a number."""
OTHERS: dict[str, dict[str, object]] = {
    "sigmamind": {"sipPhoneNumber": "+14155550101"},
    "verbex": {"_id": "66f0c2a4e1b2c3d4e5f60719", "phone_number": "+14155550101"},
    "dialnexa": {"id": "phn_2", "phone_number": "+14155550101"},
}
BOTH = [NUMBER, "+14155550101"]
KEYS: dict[str, str] = {"sigmamind": "sipPhoneNumber", "verbex": "_id", "dialnexa": "id"}
LABELS: dict[str, str] = {"sigmamind": "friendlyName", "verbex": "friendly_name"}
LABELS["dialnexa"] = "nickname"


def page(*rows: object) -> dict[str, object]:
    """Return a listing that says that it is whole."""
    return {"data": rows, "total": len(rows), "hasNext": False}


def answered(dialect: Dialect, body: object) -> tuple[Any, ScriptedTransport]:
    """Return a client of a platform that answers anything with *body*."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    transport = ScriptedTransport(lambda _: Response(status=200, body=raw))
    return dialect.client("key-1", transport=transport), transport


async def first(count: int, client: Any, dialect: Dialect) -> list[Any]:
    """Return so many numbers of the first page."""
    listing: Any = dialect.list(client, 100)
    read = [await anext(listing) for _ in range(count)]
    await listing.aclose()
    return read


def field_of_number(dialect: Dialect) -> str:
    return next(name for name, held in RECORDS[dialect.name].items() if held == NUMBER)


# --- numbers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("printed", [NUMBER, BARE, int(BARE)])
async def test_a_number_is_e164_however_it_is_printed(printed: object, dialect: Dialect) -> None:
    """Alone and in a listing; and it is the number that was asked for."""
    record = {**RECORDS[dialect.name], field_of_number(dialect): printed}
    client, _ = answered(dialect, record)
    assert dialect.number_of(await client.run(dialect.buy(NUMBER))) == NUMBER
    client, _ = answered(dialect, page(record))
    assert dialect.number_of((await first(1, client, dialect))[0]) == NUMBER


@pytest.mark.parametrize("printed", [NUMBER, BARE, int(BARE)])
async def test_a_number_without_a_plus_is_found_after_a_lost_answer(
    printed: object, dialect: Dialect
) -> None:
    record = {**RECORDS[dialect.name], field_of_number(dialect): printed}
    shown = record if dialect is SIGMAMIND else [record]
    lost = Response(status=504)
    found = Response(status=200, body=json.dumps(shown).encode())
    transport = ScriptedTransport([lost, found])
    bought = await dialect.client("key-1", transport=transport).run(dialect.buy(NUMBER))
    assert (dialect.number_of(bought), len(transport.sent)) == (NUMBER, 2)


async def test_the_control_another_number_is_not_taken_for_it(dialect: Dialect) -> None:
    record = {**RECORDS[dialect.name], field_of_number(dialect): f"{BARE[:-1]}9"}
    body = json.dumps(record if dialect is SIGMAMIND else [record]).encode()
    transport = ScriptedTransport([Response(status=504), *[Response(status=200, body=body)] * 3])
    error = await error_of(dialect.client("key-1", transport=transport).run(dialect.buy(NUMBER)))
    assert type(error) is OutcomeUnknownError


@pytest.mark.parametrize("lost", [[], [Fault.RESET_AFTER_COMMIT]])
async def test_what_was_bought_can_be_changed_where_numbers_are_integers(
    lost: list[Fault],
) -> None:
    box = Sandbox(seed=1, switches=Switches(numeric_numbers=True))
    async with box, SIGMAMIND.connect(box) as client:
        assert isinstance(client, SigmaMind)
        box.script("create", lost, platform="sigmamind")
        bought = await client.phone_numbers.create(phone_number=NUMBER)
        await client.phone_numbers.update(bought.sip_phone_number, inbound_agent_id="agent_1")
        found = [each async for each in client.phone_numbers.list()]
    assert [(each.sip_phone_number, each.inbound_agent_id) for each in found] == [
        (NUMBER, "agent_1")
    ]


async def test_what_was_found_can_be_bought() -> None:
    """Search and price list name what a purchase takes; the carrier prints bare digits."""
    async with Sandbox(seed=1) as box, DIALNEXA.connect(box) as client:
        assert isinstance(client, DialNexa)
        offer = (await client.phone_numbers.search("US"))[0]
        prices = [
            each async for each in client.phone_number_pricing.list() if each.country_iso == "US"
        ]
        bought = await client.phone_numbers.purchase(
            offer.number,
            telephony_provider_id=prices[0].telephony_provider_id,
            country_iso="US",
        )
    assert [each.phone_number for each in box.ledger.purchases] == [offer.number]
    assert bought.phone_number == offer.number


# --- odd records -----------------------------------------------------------------------------

ODD_LABELS: list[object] = [415, 1.5, True, [], ["Desk"], {"text": "Desk"}, {"$date": 1}]


@pytest.mark.parametrize("odd", ODD_LABELS)
async def test_an_odd_label_hides_no_record(odd: object, dialect: Dialect) -> None:
    rows = [RECORDS[dialect.name], {**OTHERS[dialect.name], LABELS[dialect.name]: odd}]
    client, transport = answered(dialect, page(*rows))
    read = [each async for each in dialect.list(client, 100)]
    assert [dialect.number_of(each) for each in read] == BOTH
    assert len(transport.sent) == 1
    label = dialect.label_of(read[1])
    assert label == str(odd) if type(odd) is int else label is None
    assert read[1].extra == ({} if type(odd) is int else {LABELS[dialect.name]: odd})


@pytest.mark.parametrize(
    "label", [rb"Desk \ud83d", rb"\udc00", b"Caf\xe9", b"\xf0\x9f\x98", b"a\tb"]
)
async def test_a_damaged_label_hides_no_record(label: bytes, dialect: Dialect) -> None:
    rows = [RECORDS[dialect.name], {**OTHERS[dialect.name], LABELS[dialect.name]: "LABEL"}]
    client, transport = answered(dialect, json.dumps(page(*rows)).encode().replace(b"LABEL", label))
    read = [each async for each in dialect.list(client, 100)]
    assert [dialect.number_of(each) for each in read] == BOTH
    assert "\N{REPLACEMENT CHARACTER}" in (dialect.label_of(read[1]) or "") or b"\t" in label
    assert len(transport.sent) == 1


async def test_a_damaged_error_is_explained(dialect: Dialect) -> None:
    body = rb'{"statusCode": 400, "message": "no such label: Desk \ud83d"}'
    transport = ScriptedTransport([Response(status=400, body=body)])
    error = await error_of(dialect.client("key-1", transport=transport).run(dialect.get(NUMBER)))
    assert str(error) == "400: no such label: Desk \N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize("key", [{"$oid": "66f0c2a4"}, 42])
async def test_a_key_in_another_spelling_is_read(key: object) -> None:
    for name in ("verbex", "dialnexa"):
        dialect = DIALECTS[name]
        client, _ = answered(dialect, {**RECORDS[name], KEYS[name]: key})
        read = await client.run(dialect.get("k"))
        assert dialect.key_of(read) == ("66f0c2a4" if isinstance(key, dict) else "42")


@pytest.mark.parametrize("key", [[], {}, True, {"value": "k"}])
async def test_a_key_that_cannot_be_read_is_told_after_one_request(
    key: object, dialect: Dialect
) -> None:
    """Not an account without that record, and not the same page three times."""
    odd = {**RECORDS[dialect.name], KEYS[dialect.name]: key}
    client, transport = answered(dialect, page(RECORDS[dialect.name], odd))
    with pytest.raises(ResponseDecodeError, match=rf"data\[1\].{KEYS[dialect.name]}: expected"):
        await anext(dialect.list(client, 100))
    assert len(transport.sent) == 1


# --- DialNexa --------------------------------------------------------------------------------


@pytest.mark.parametrize("shown", [False, True])
async def test_an_agent_is_rerouted_with_what_it_says_of_itself(shown: bool) -> None:
    """Again and again; `strict` raises for nothing that the answer does not tell about."""
    switches = Switches(dialnexa=DialNexaSwitches(show_routing=shown))
    box = Sandbox(seed=1, switches=switches)
    async with box, DIALNEXA.connect(box, strict=True) as client:
        assert isinstance(client, DialNexa)
        number = await client.run(DIALNEXA.import_(NUMBER))
        for wanted in (number.id, "", number.id):
            agent = await client.agents.get("agt_abc123")
            assert agent.version_number is not None
            assert (agent.name, agent.is_published) == ("Support", False)
            updated = await client.agents.update(
                agent.id,
                version_number=agent.version_number,
                inbound_phone_number_id=wanted,
                is_published=True,
            )
            assert (updated.version_number, updated.is_published) == (agent.version_number, True)
            assert updated.inbound_phone_number_id == ((wanted or None) if shown else None)
            routed = await client.phone_numbers.get(number.id)
            assert routed.routed_agent_id == ("agt_abc123" if wanted else None)


async def test_a_published_version_takes_no_update() -> None:
    async with Sandbox(seed=1) as box, DIALNEXA.connect(box, retry=ONCE) as client:
        await client.agents.update("agt_abc123", version_number=1, is_published=True)
        change = dialnexa.UpdateAgent(
            id="agt_abc123", version_number=1, inbound_phone_number_id="", is_published=True
        )
        error = await error_of(client.run(change))
    assert type(error) is BadRequestError
    assert "Published versions cannot be updated" in str(error)


@pytest.mark.parametrize("answer", ["envelope", "summary", "record", "outside"])
async def test_a_purchase_names_its_number_in_every_answer(answer: Any) -> None:
    """The record inside may hold nothing of it; then the acknowledgement around it does."""
    switches = Switches(dialnexa=DialNexaSwitches(purchase_answer=answer))
    async with Sandbox(seed=1, switches=switches) as box, DIALNEXA.connect(box) as client:
        bought = await client.run(DIALNEXA.buy(NUMBER))
        assert (bought.phone_number, bought.status) == (NUMBER, "active")
        async with MemoryJournal() as journal:
            provisioner = Provisioner(client, journal, settle_time=0.1)
            again = await number_of_order(provisioner, DIALNEXA.buy("+14155550101"))
    assert again == "+14155550101"
    assert [each.phone_number for each in box.ledger.purchases] == [NUMBER, "+14155550101"]


async def number_of_order(provisioner: Provisioner, value: Any) -> str:
    """Return the number that an operation brought, at once or once it was looked for."""
    try:
        found = await provisioner.run("order-1", value)
    except OutcomeUnknownError:
        await provisioner.reconcile()
        found = await provisioner.run("order-1", value)
    number: str = found.phone_number
    return number


# --- the control -----------------------------------------------------------------------------


@pytest.mark.parametrize("number", [BARE, BARE[:-1]])
async def test_a_number_without_its_plus_is_no_argument(number: str, dialect: Dialect) -> None:
    """Were it one, the tests of numbers above would prove nothing."""
    with pytest.raises(InvalidRequestError, match="is not a phone number"):
        dialect.buy(number)
