"""What Verbex accepts in a request body, variant by variant.

https://docs.verbex.ai states no length, pattern or format for any field; a phone number is
"in E.164 format".
"""

from __future__ import annotations

from collections.abc import Mapping

from sigmamind_async.sandbox.fields import E164, Fields, Text, check_body, fits, parse_body
from sigmamind_async.sandbox.messages import ApiRequest
from sigmamind_async.sandbox.refusals import Problem, RefusedError
from sigmamind_async.sandbox.verbex.records import Variant

_OPTIONAL = Text(nullable=True)
_SECRET = Text(nullable=True, secret=True)
_LABELS: Fields = {
    "friendly_name": _OPTIONAL,
    "inbound_agent_id": _OPTIONAL,
    "outbound_agent_id": _OPTIONAL,
}
_TRUNK: Fields = {
    "sip_termination_uri": _OPTIONAL,
    "sip_trunk_username": _OPTIONAL,
    "sip_trunk_password": _SECRET,
}

CREATE: Mapping[Variant, Fields] = {
    "sip": {
        "provider": Text(choices=("sip",)),
        "phone_number": Text(pattern=E164, required=True),
        **_LABELS,
        **_TRUNK,
        "sip_infra_region": Text(choices=("global", "bd", "bd_link3")),
    },
    "pia": {
        "provider": Text(choices=("pia",)),
        # Not among the fields marked required: without one the platform chooses.
        "phone_number": Text(pattern=E164, nullable=True),
        **_LABELS,
    },
    "twilio": {
        "provider": Text(choices=("twilio",)),
        "phone_number": Text(pattern=E164, required=True),
        **_LABELS,
        "twilio_account_sid": Text(required=True),
        "twilio_auth_token": Text(required=True, secret=True),
    },
}
UPDATE: Mapping[Variant, Fields] = {
    "sip": {**_LABELS, **_TRUNK},
    "pia": _LABELS,
    "twilio": {
        **_LABELS,
        "twilio_account_sid": Text(),
        "twilio_auth_token": Text(secret=True),
    },
}
_ALL_UPDATES: Fields = {**UPDATE["sip"], **UPDATE["twilio"]}


def read_creation(call: ApiRequest) -> tuple[Variant, dict[str, object]]:
    """Return which variant a body creates and its fields; raises :class:`RefusedError`."""
    parsed = parse_body(call)
    variant = _variant(parsed)
    return variant, check_body(call, parsed, CREATE[variant])


def read_update(call: ApiRequest, variant: Variant) -> dict[str, object]:
    """Return the fields of an update that a number of *variant* has.

    The body does not say which variant it is for, so that any of their fields may come.
    Raises :class:`RefusedError`.
    """
    known = check_body(call, parse_body(call), _ALL_UPDATES)
    own = UPDATE[variant]
    if call.switches.verbex.foreign_fields == "reject" and (foreign := known.keys() - own.keys()):
        raise RefusedError(422, "", *(_foreign(name) for name in sorted(foreign)))
    return {name: value for name, value in known.items() if name in own}


def _variant(parsed: Mapping[str, object]) -> Variant:
    """Return the variant a body names or, as the schema does not require the word, fits."""
    provider = parsed.get("provider")
    for variant in CREATE:
        if provider == variant:
            return variant
    if "provider" in parsed:
        said = f"must be one of {', '.join(CREATE)}"
        raise RefusedError(
            422, "", Problem(kind="choice", name="provider", said=said, value=provider)
        )
    return "twilio" if fits(parsed, CREATE["twilio"]) else "sip"


def _foreign(name: str) -> Problem:
    return Problem(kind="unknown", name=name, said="is not a field of this kind of number")
