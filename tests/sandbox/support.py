"""The three platforms as a test sees them: what to send and where to look in the answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal

import aiohttp
import attrs
import pytest

from sigmamind_async.sandbox import Sandbox
from sigmamind_async.sandbox.endpoint import Endpoint

Json = Any
Send = Callable[..., Awaitable[aiohttp.ClientResponse]]


@attrs.frozen(kw_only=True)
class Vendor:
    """One platform."""

    name: Literal["sigmamind", "verbex", "dialnexa"]
    numbers: str
    """Path of the list."""
    purchase: tuple[str, str]
    """Operation and path."""
    bring: tuple[str, str]
    """Operation and path of an import."""
    release: str
    """Operation."""
    fields: Mapping[str, str]
    """Field names for ``number``, ``label``, ``agent``, ``secret``."""
    purchase_fields: Mapping[str, object] = {}
    """What a purchase needs beside the number."""
    bring_fields: Mapping[str, object] = {}
    """What an import needs beside number, label and secret."""
    labels_purchases: bool = True
    key_field: str
    shown_number: str
    """Field of the number in records."""
    rows: str
    """Field of the rows in a page."""
    inside: str | None = None
    """Field of the record in the answer to a purchase."""
    refusal: int = 400
    """Status for a request of the wrong form."""
    error_message: str
    """Field of an error that holds its sentence."""

    def __repr__(self) -> str:
        return self.name

    def endpoint(self, box: Sandbox) -> Endpoint:
        found: Endpoint = getattr(box, self.name)
        return found

    def headers(self, api_key: str) -> dict[str, str]:
        if self.name == "sigmamind":
            return {"X-API-Key": api_key}
        return {"Authorization": f"Bearer {api_key}"}

    def order(self, position: int = 0, label: str | None = "order-1") -> dict[str, object]:
        """Return the body of a purchase of the number at *position*."""
        body = {self.fields["number"]: number_at(position), **self.purchase_fields}
        return body | {self.fields["label"]: label} if label and self.labels_purchases else body

    def trunk(self, position: int = 0, secret: str = "pw", **fields: str) -> dict[str, object]:
        """Return the body of an import of the number at *position*; *fields* go by our names."""
        named = {self.fields[name]: value for name, value in fields.items()}
        number, password = self.fields["number"], self.fields["secret"]
        return {number: number_at(position), password: secret, **self.bring_fields, **named}

    def path_of(self, record: Json) -> str:
        return f"{self.numbers}/{record[self.key_field]}"

    def record(self, answer: Json) -> Json:
        """Return the record in the answer to a purchase."""
        return answer[self.inside] if self.inside else answer


def number_at(position: int) -> str:
    return f"+1415555{position:04}"


SIGMAMIND = Vendor(
    name="sigmamind",
    numbers="/v1/phone-numbers",
    purchase=("create", "/v1/phone-numbers"),
    bring=("import", "/v1/phone-numbers/import"),
    release="delete",
    fields={
        "number": "phoneNumber",
        "label": "friendlyName",
        "agent": "inboundAgentId",
        "secret": "trunkPassword",
    },
    key_field="sipPhoneNumber",
    shown_number="sipPhoneNumber",
    rows="data",
    error_message="message",
)
VERBEX = Vendor(
    name="verbex",
    numbers="/v1/phone-numbers",
    purchase=("create", "/v1/phone-numbers"),
    bring=("create", "/v1/phone-numbers"),
    release="delete",
    fields={
        "number": "phone_number",
        "label": "friendly_name",
        "agent": "inbound_agent_id",
        "secret": "sip_trunk_password",
    },
    purchase_fields={"provider": "pia"},
    bring_fields={"provider": "sip"},
    key_field="_id",
    shown_number="phone_number",
    rows="phone_numbers",
    error_message="detail",
    refusal=422,
)
DIALNEXA = Vendor(
    name="dialnexa",
    numbers="/v1/organization-phone-numbers",
    purchase=("purchase", "/v1/organization-phone-numbers/purchase"),
    bring=("import", "/v1/organization-phone-numbers/sip-trunks"),
    release="release",
    fields={
        "number": "phoneNumber",
        "label": "nickname",
        "agent": "agent_id",
        "secret": "sipTrunkPassword",
    },
    purchase_fields={"telephonyProviderId": "tp_abc123xyz789", "countryISO": "US"},
    bring_fields={"terminationUri": "sip.example.com:5060", "sipTrunkUserName": "user"},
    labels_purchases=False,
    key_field="id",
    shown_number="phone_number",
    rows="items",
    error_message="message",
    inside="organizationPhoneNumber",
)
VENDORS = (SIGMAMIND, VERBEX, DIALNEXA)

every_vendor = pytest.mark.parametrize("vendor", VENDORS, ids=repr)


async def json_of(answer: Awaitable[aiohttp.ClientResponse]) -> Json:
    return await (await answer).json()


def turn(box: Sandbox, **switches: Json) -> None:
    """Set common switches and SigmaMind's."""
    box.switches = attrs.evolve(box.switches, **switches)


def turn_own(box: Sandbox, vendor: Vendor, **switches: Json) -> None:
    """Set switches of one vendor."""
    own: Any = getattr(box.switches, vendor.name)
    turn(box, **{vendor.name: attrs.evolve(own, **switches)})
