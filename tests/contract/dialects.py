"""One table row a platform: how each of them says what the claims of this suite speak of."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import attrs

from sigmamind_async import DialNexa, SigmaMind, Verbex
from sigmamind_async.client import Client
from sigmamind_async.convert import RequestValue
from sigmamind_async.platforms import dialnexa, sigmamind, verbex
from sigmamind_async.sandbox import Sandbox
from sigmamind_async.sandbox.endpoint import Endpoint
from sigmamind_async.testing import VirtualLoop, in_virtual_time
from tests.functional.support import FAST, PASSWORD

Value = RequestValue[Any]


@attrs.frozen(kw_only=True)
class Dialect:
    """How one platform is spoken to; operations are named as the sandbox names them."""

    name: str
    client: type[Client]
    key_header: str
    buy: Callable[[str], Value]
    """Buys exactly the number that is given."""
    buying: str
    import_with: Callable[[str, str], Value]
    """Imports the number, with that for a secret."""
    importing: str
    label: Callable[[str, str], Value]
    """Gives the record with that key a label."""
    label_of: Callable[[Any], str | None]
    route: Callable[[str, str | None], Value]
    """Sends the record's calls to an agent, or to none."""
    route_field: str
    get: Callable[[str], Value]
    remove: Callable[[str], Value]
    removing: str
    list: Callable[[Any, int], AsyncIterator[Any]]
    key_of: Callable[[Any], str]
    """What later calls name a record by."""
    number_of: Callable[[Any], str]

    def import_(self, number: str) -> Value:
        """Return the import of *number* with a secret that every sink is searched for."""
        return self.import_with(number, PASSWORD)

    def endpoint(self, box: Sandbox) -> Endpoint:
        return next(each for each in box.endpoints if each.name == self.name)

    def connect(self, box: Sandbox, api_key: Any = None, **options: Any) -> Any:
        """Return a client of the sandbox that wastes no time; one in memory goes by its loop's."""
        endpoint = self.endpoint(box)
        key, given = api_key or endpoint.api_key, {"retry": FAST, "deadline": 10.0, **options}
        if isinstance(asyncio.get_running_loop(), VirtualLoop):
            given = {"transport": box.transport(self.name), **given}
            return in_virtual_time(self.client(key, **given))
        return self.client(key, **{"base_url": endpoint.base_url, **given})

    def operation(self, value: Value) -> Any:
        return self.client.operations[type(value)](value)


AGENT = "agt_abc123"
"""An agent that every platform's account has, or takes."""

SIGMAMIND = Dialect(
    name="sigmamind",
    client=SigmaMind,
    key_header="x-api-key",
    buy=lambda number: sigmamind.CreatePhoneNumber(phone_number=number),
    buying="create",
    import_with=lambda number, password: sigmamind.ImportPhoneNumber(
        phone_number=number, trunk_username="u", trunk_password=password
    ),
    importing="import",
    label=lambda key, label: sigmamind.UpdatePhoneNumber(phone_number=key, friendly_name=label),
    label_of=lambda record: record.friendly_name,
    route=lambda key, agent: sigmamind.UpdatePhoneNumber(phone_number=key, inbound_agent_id=agent),
    route_field="inbound_agent_id",
    get=lambda key: sigmamind.GetPhoneNumber(phone_number=key),
    remove=lambda key: sigmamind.DeletePhoneNumber(phone_number=key),
    removing="delete",
    list=lambda client, size: client.phone_numbers.list(page_size=size),
    key_of=lambda record: record.sip_phone_number,
    number_of=lambda record: record.sip_phone_number,
)

VERBEX = Dialect(
    name="verbex",
    client=Verbex,
    key_header="authorization",
    buy=lambda number: verbex.CreatePiaPhoneNumber(phone_number=number),
    buying="create",
    import_with=lambda number, password: verbex.CreateTwilioPhoneNumber(
        phone_number=number, twilio_account_sid="AC1", twilio_auth_token=password
    ),
    importing="create",
    label=lambda key, label: verbex.UpdatePhoneNumber(phone_number_id=key, friendly_name=label),
    label_of=lambda record: record.friendly_name,
    route=lambda key, agent: verbex.UpdatePhoneNumber(phone_number_id=key, inbound_agent_id=agent),
    route_field="inbound_agent_id",
    get=lambda key: verbex.GetPhoneNumber(phone_number_id=key),
    remove=lambda key: verbex.DeletePhoneNumber(phone_number_id=key),
    removing="delete",
    list=lambda client, size: client.phone_numbers.list(page_size=size),
    key_of=lambda record: record.id,
    number_of=lambda record: record.phone_number,
)

DIALNEXA = Dialect(
    name="dialnexa",
    client=DialNexa,
    key_header="authorization",
    buy=lambda number: dialnexa.PurchasePhoneNumber(
        phone_number=number, telephony_provider_id="tp_abc123xyz78", country_iso="US"
    ),
    buying="purchase",
    import_with=lambda number, password: dialnexa.ImportSipTrunk(
        phone_number=number,
        termination_uri="sip.example.com",
        sip_trunk_user_name="u",
        sip_trunk_password=password,
    ),
    importing="import",
    label=lambda key, label: dialnexa.UpdatePhoneNumber(id=key, nickname=label),
    label_of=lambda record: record.nickname,
    route=lambda key, agent: dialnexa.UpdatePhoneNumber(id=key, agent_id=agent),
    route_field="agent_id",
    get=lambda key: dialnexa.GetPhoneNumber(id=key),
    remove=lambda key: dialnexa.ReleasePhoneNumber(id=key),
    removing="release",
    list=lambda client, size: client.phone_numbers.list(page_size=size),
    key_of=lambda record: record.id,
    number_of=lambda record: record.phone_number,
)

DIALECTS = {each.name: each for each in (SIGMAMIND, VERBEX, DIALNEXA)}
WITH_SECRET: dict[str, Callable[[str], Value]] = {
    "sigmamind": lambda key: sigmamind.UpdatePhoneNumber(phone_number=key, trunk_password=PASSWORD),
    "verbex": lambda key: verbex.UpdatePhoneNumber(phone_number_id=key, twilio_auth_token=PASSWORD),
}
"""Updates that carry a secret; DialNexa has none."""


FOREIGN: dict[str, tuple[Callable[[str], Value], str]] = {
    "sigmamind": (
        lambda key: sigmamind.UpdatePhoneNumber(phone_number=key, termination_sip_uri="a.example"),
        "termination_sip_uri",
    ),
    "verbex": (
        lambda key: verbex.UpdatePhoneNumber(phone_number_id=key, sip_trunk_username="u"),
        "sip_trunk_username",
    ),
}
"""Updates of a bought number with a field that only imported ones have; DialNexa has none."""


def numbers(count: int) -> list[str]:
    """Return so many numbers."""
    return [f"+1415555{index:04}" for index in range(count)]
