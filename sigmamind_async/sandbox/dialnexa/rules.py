"""What DialNexa accepts in a request body, field by field.

https://dialnexa.mintlify.app (update, and the purchase in snake case) and
https://dialnexa.com/docs (the purchase in camel case, the import and the agents).
"""

from __future__ import annotations

import re

from sigmamind_async.sandbox.fields import (
    COUNTRY_CODE,
    E164,
    INT32_MAX,
    Fields,
    Flag,
    Integer,
    Text,
    check_body,
    fits,
    parse_body,
    read_body,
)
from sigmamind_async.sandbox.messages import ApiRequest
from sigmamind_async.sandbox.refusals import RefusedError

# "host[:port]" without a scheme.
HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?", re.ASCII)

UPDATE: Fields = {
    "agent_id": Text(nullable=True),
    # The limit stands in the response alone.
    "nickname": Text(longest=255, nullable=True),
    "label": Text(nullable=True),
}
SNAKE_PURCHASE: Fields = {
    "phone_number": Text(pattern=E164, required=True),
    "provider": Text(),
}
CAMEL_PURCHASE: Fields = {
    "phoneNumber": Text(pattern=E164, required=True),
    # "14-char string", says the schema; the example of a purchase has 12, that of a price 15.
    "telephonyProviderId": Text(shortest=1, longest=64, required=True),
    "countryISO": Text(pattern=COUNTRY_CODE, required=True),
}
IMPORT: Fields = {
    "phoneNumber": Text(pattern=E164, required=True),
    "terminationUri": Text(pattern=HOST, required=True),
    "authMode": Text(choices=("userpass", "ip")),
    "sipTrunkUserName": Text(shortest=1),
    "sipTrunkPassword": Text(shortest=1, secret=True),
    "nickname": Text(longest=255),
}
AGENT: Fields = {
    "version_number": Integer(lowest=1, highest=INT32_MAX, required=True),
    "is_published": Flag(),
    # An empty string detaches, not null.
    "inbound_phone_number_id": Text(),
    "outbound_phone_number_id": Text(),
}

_CREDENTIALS = ("sipTrunkUserName", "sipTrunkPassword")


def read_purchase(call: ApiRequest) -> dict[str, object]:
    """Return the fields of a purchase, in whichever spelling; raises :class:`RefusedError`."""
    parsed = parse_body(call)
    spelling = call.switches.dialnexa.purchase_body
    snake = "phone_number" in parsed and not fits(parsed, CAMEL_PURCHASE)
    if spelling == "snake" or (spelling == "either" and snake):
        return check_body(call, parsed, SNAKE_PURCHASE)
    return check_body(call, parsed, CAMEL_PURCHASE)


def read_import(call: ApiRequest) -> dict[str, object]:
    """Return the fields of an import; raises :class:`RefusedError`.

    Name and password are both required for ``userpass`` and both forbidden for ``ip``.
    """
    body = read_body(call, IMPORT)
    given = body.keys() & _CREDENTIALS
    names = " and ".join(_CREDENTIALS)
    if body.get("authMode") == "ip" and given:
        raise RefusedError(400, f"{names} must be omitted when authMode=ip")
    if body.get("authMode") != "ip" and len(given) < len(_CREDENTIALS):
        raise RefusedError(400, f"{names} are required when authMode=userpass")
    return body
