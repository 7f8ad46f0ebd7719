"""What SigmaMind accepts in a request body, field by field, and what it says otherwise.

https://docs.sigmamind.ai/api-reference/phone-numbers/create-phone-number
https://docs.sigmamind.ai/api-reference/phone-numbers/import-phone-number
https://docs.sigmamind.ai/api-reference/phone-numbers/update-phone-number
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import cast

import attrs
import orjson

from sigmamind_async.sandbox.tower import JSON, Call

E164 = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII)
COUNTRY_CODE = re.compile(r"[A-Z]{2}", re.ASCII)


class RefusedError(Exception):
    """The request is answered with an error; says which."""

    def __init__(self, status: int, message: str) -> None:
        """Take the status and the sentence of the error body."""
        super().__init__(message)
        self.status = status
        self.message = message


@attrs.frozen(kw_only=True)
class Text:
    """A string."""

    longest: int | None = None
    pattern: re.Pattern[str] | None = None
    nullable: bool = False
    required: bool = False
    secret: bool = False

    def problem(self, value: object) -> str | None:
        """Return what is wrong with *value*; never repeats it, it may be a secret."""
        if not isinstance(value, str):
            return "must be a string"
        if self.longest is not None and len(value) > self.longest:
            return f"must be at most {self.longest} characters"
        if self.pattern is not None and not self.pattern.fullmatch(value):
            return f"must match ^{self.pattern.pattern}$"
        return None


@attrs.frozen(kw_only=True)
class Integer:
    """A whole number."""

    lowest: int
    highest: int
    nullable: bool = False
    required: bool = False
    secret: bool = False

    def problem(self, value: object) -> str | None:
        """Return what is wrong with *value*."""
        # JSON has one kind of number: 415.0 is an integer, true is not.
        if isinstance(value, bool) or not isinstance(value, int | float) or value % 1:
            return "must be an integer"
        if not self.lowest <= value <= self.highest:
            return f"must be between {self.lowest} and {self.highest}"
        return None


@attrs.frozen(kw_only=True)
class Mapped:
    """An object of any content."""

    nullable: bool = False
    required: bool = False
    secret: bool = False

    def problem(self, value: object) -> str | None:
        """Return what is wrong with *value*."""
        return None if isinstance(value, dict) else "must be an object"


Fields = Mapping[str, Text | Integer | Mapped]

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


def read_body(call: Call, fields: Fields) -> dict[str, object]:
    """Return the known fields of a request body.

    Raises :class:`RefusedError` when it is not a JSON object or breaks a rule.
    """
    parsed = _parse(call.body, call.content_type)
    unknown = sorted(parsed.keys() - fields.keys())
    if unknown and call.switches.unknown_keys == "reject":
        raise RefusedError(400, f"Unknown field: {unknown[0][:64]}")
    known = {name: value for name, value in parsed.items() if name in fields}
    for name, rule in fields.items():
        if problem := _problem(name, rule, known):
            raise RefusedError(400, f"{name} {problem}")
    return known


def _parse(body: bytes, content_type: str) -> dict[str, object]:
    if content_type.partition(";")[0].strip().lower() != JSON:
        raise RefusedError(415, f"Content-Type must be {JSON}")
    try:
        parsed: object = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise RefusedError(400, "Malformed JSON request") from None
    if not isinstance(parsed, dict):
        raise RefusedError(400, "The request body must be a JSON object")
    return cast("dict[str, object]", parsed)


def _problem(name: str, rule: Text | Integer | Mapped, known: Mapping[str, object]) -> str | None:
    if name not in known:
        return "is required" if rule.required else None
    if known[name] is None and rule.nullable:
        return None
    return rule.problem(known[name])


def without_secrets(known: Mapping[str, object], fields: Fields) -> dict[str, object]:
    """Return what may be written down of a request."""
    return {name: value for name, value in known.items() if not fields[name].secret}


def text(known: Mapping[str, object], name: str) -> str | None:
    """Return a text field that has passed its rule, None when it is left out."""
    return cast("str | None", known.get(name))
