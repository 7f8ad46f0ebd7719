"""The bodies in ``tests/samples`` are what the sandbox takes and answers."""

import json
from pathlib import Path
from typing import cast

import attrs
import pytest

from sigmamind_async.sandbox import Sandbox
from tests.sandbox.support import DIALNEXA, VENDORS, Json, Send, Vendor, turn, turn_own

ROOT = Path(__file__).parents[1] / "samples"
NEWER = {"record_shape": "newer"}
SWITCHED: dict[str, dict[str, str]] = {
    "get_phone_number_narrative": {"record_shape": "narrative"},
    "get_phone_number_newer": NEWER,
    "get_phone_number_wrapped": {"record_wrapper": "status_code"},
    "import_sip_trunk": NEWER,
    "import_sip_trunk_by_address": NEWER,
    "list_phone_numbers": NEWER,
    "list_phone_numbers_bare": {"list_envelope": "array"},
    "list_phone_numbers_meta": {"list_envelope": "data", "record_shape": "narrative"},
    "list_phone_numbers_wrapped": {"list_envelope": "wrapped_items"},
    "purchase_phone_number": NEWER,
    "purchase_phone_number_outside": {"purchase_answer": "outside"},
    "purchase_phone_number_older": {"purchase_answer": "record"},
}
"""What DialNexa must be switched to, by the name of the sample."""


@attrs.frozen
class Sample:
    """One exchange with a platform about its numbers."""

    vendor: Vendor
    name: str
    content: Json

    def __repr__(self) -> str:
        return f"{self.vendor.name} {self.name}"

    def path(self, held: str) -> str:
        """Return the path to ask, which names the number at *held* where it names a record.

        A page or a filter of the sample would leave nothing of an account of one number.
        """
        asked: str = self.content["request"]["path"]
        path, _, query = asked.partition("?")
        if path == self.vendor.numbers:
            return path
        if query:
            return f"{path}?{query.partition('&')[0]}"
        return path if self.content["request"]["method"] == "POST" else held


def samples() -> list[Sample]:
    found: list[Sample] = []
    for vendor in VENDORS:
        for path in sorted((ROOT / vendor.name).glob("*.json")):
            content = json.loads(path.read_text())
            if content.get("request", {}).get("path", "").startswith(vendor.numbers):
                found.append(Sample(vendor, path.stem, content))
    return found


SAMPLES = samples()


def left_out(answer: Json, sample: Json, place: str = "") -> list[str]:
    """Return where *answer* lacks a name that *sample* has; of lists the first entries count."""
    if isinstance(sample, dict):
        members = cast("dict[str, Json]", sample)
        return [
            missing
            for name, member in members.items()
            for missing in (
                left_out(answer[name], member, f"{place}.{name}")
                if name in answer
                else [f"{place}.{name}"]
            )
        ]
    if isinstance(sample, list):
        return left_out(answer[0], sample[0], f"{place}[0]") if sample else []
    return []


async def hold(send: Send, sample: Sample) -> str:
    """Have the account hold a number of the kind that the sample is about; return its path."""
    vendor, body = sample.vendor, sample.vendor.trunk(label="held")
    if "pia" in sample.name:
        body = vendor.order()
    if "twilio" in sample.name:
        secret = {"twilio_account_sid": "AC1", "twilio_auth_token": "token"}
        body = {"provider": "twilio", "phone_number": "+14155550000", **secret}
    answer = await (await send("POST", vendor.bring[1], json=body)).json()
    return vendor.path_of(answer)


@pytest.mark.parametrize(
    ("vendor", "sample"),
    [(sample.vendor, sample) for sample in SAMPLES],
    ids=[repr(sample) for sample in SAMPLES],
)
async def test_a_sample_is_taken_and_answered(
    box: Sandbox,
    vendor: Vendor,
    send: Send,
    sample: Sample,
) -> None:
    held = await hold(send, sample)
    if vendor is DIALNEXA:
        turn_own(box, vendor, **SWITCHED.get(sample.name, {}))
    request, response = sample.content["request"], sample.content["response"]
    if request["method"] == "POST":
        turn(box, create_status=response["status"])
    answer = await send(request["method"], sample.path(held), json=request["json"])
    assert answer.status == response["status"]
    assert left_out(json.loads(await answer.read() or b"null"), response["json"]) == []
