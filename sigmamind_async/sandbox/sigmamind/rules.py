"""What SigmaMind accepts in a request body, field by field.

https://docs.sigmamind.ai/api-reference/phone-numbers/create-phone-number
https://docs.sigmamind.ai/api-reference/phone-numbers/import-phone-number
https://docs.sigmamind.ai/api-reference/phone-numbers/update-phone-number
"""

from __future__ import annotations

from sigmamind_async.sandbox.fields import (
    COUNTRY_CODE,
    E164,
    Fields,
    Integer,
    Mapped,
    Text,
    check_body,
    parse_body,
)
from sigmamind_async.sandbox.messages import ApiRequest

_LABEL = Text(longest=128)
_AGENT = Text(longest=64)
_NUMBER = Text(pattern=E164)

CREATE: Fields = {
    "friendlyName": _LABEL,
    "countryCode": Text(pattern=COUNTRY_CODE),
    "areaCode": Integer(lowest=100, highest=99_999),
    "phoneNumber": _NUMBER,
    "inboundAgentId": _AGENT,
    "outboundAgentId": _AGENT,
    "outboundPhoneNumber": _NUMBER,
}
IMPORT: Fields = {
    "friendlyName": _LABEL,
    # Nothing is marked required in the newest schema; an import without a number is nothing.
    "phoneNumber": Text(pattern=E164, required=True),
    "inboundAgentId": _AGENT,
    "outboundAgentId": _AGENT,
    "trunkUsername": Text(longest=128),
    "trunkPassword": Text(longest=128, secret=True),
    "terminationSipURI": Text(longest=253),
    "outboundPhoneNumber": _NUMBER,
}
UPDATE: Fields = {
    "friendlyName": _LABEL,
    "inboundAgentId": Text(longest=64, nullable=True),
    "outboundAgentId": Text(longest=64, nullable=True),
    # Spelled ``Uri`` here and ``URI`` in the import body and in every response.
    "terminationSipUri": Text(longest=253),
    "trunkUsername": Text(longest=128),
    "trunkPassword": Text(longest=128, secret=True),
    "outboundPhoneNumber": _NUMBER,
}
CREATE_CALL: Fields = {
    "fromPhoneNumber": Text(pattern=E164, required=True),
    "toPhoneNumber": Text(pattern=E164, required=True),
    "agentId": _AGENT,
    "dynamicVariables": Mapped(),
}


def read_creation(call: ApiRequest) -> dict[str, object]:
    """Return the fields of a purchase; raises :class:`RefusedError`."""
    parsed = parse_body(call)
    if "phoneNumber" in parsed:
        # "Ignored when phoneNumber is explicitly specified": also one that breaks its rule.
        parsed = {
            key: value for key, value in parsed.items() if key not in {"countryCode", "areaCode"}
        }
    return check_body(call, parsed, CREATE)
