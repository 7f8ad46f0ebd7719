"""How answers are made, whoever's they are."""

from __future__ import annotations

from datetime import UTC, datetime

import orjson

from sigmamind_async.sandbox.messages import Answer
from sigmamind_async.sandbox.refusals import Refusal
from sigmamind_async.sandbox.switches import Switches

Json = dict[str, object]

_UNSET = {"null": None, "empty": ""}
_EXTRA: Json = {"complianceState": "approved", "tags": ["sandbox"], "monthlyCost": {"usd": 1.15}}


def timestamp(seconds: float) -> str:
    """Return epoch seconds as ISO 8601 in UTC with milliseconds and ``Z``."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def json_answer(status: int, content: object) -> Answer:
    """Return *content* as a JSON answer."""
    return Answer(status=status, body=orjson.dumps(content))


def error_answer(refusal: Refusal, content: object, switches: Switches) -> Answer:
    """Return an error: *content* as JSON, or the plain text or nothing switched to."""
    if switches.error_body == "empty":
        return Answer(status=refusal.status)
    if switches.error_body == "text":
        message = refusal.message.encode()
        return Answer(status=refusal.status, body=message, content_type="text/plain")
    return json_answer(refusal.status, content)


def finished(view: Json, switches: Switches) -> Json:
    """Return a record with the keys nobody documented, and what is unset said as switched."""
    whole = view | _EXTRA if switches.extra_keys else view
    if switches.unset_as == "absent":
        return {name: value for name, value in whole.items() if value is not None}
    unset = _UNSET[switches.unset_as]
    return {name: unset if value is None else value for name, value in whole.items()}
