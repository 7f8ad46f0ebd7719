"""Canaries: what is secret is neither kept nor told."""

import logging
from pathlib import Path

import aiohttp
import pytest

from sigmamind_async.sandbox import Fault, Faults, Sandbox
from tests.sandbox.support import DIALNEXA, SIGMAMIND, Json, Send, Vendor, every_vendor, turn_own

CANARY = "canary-9f1c-password"


@every_vendor
async def test_secrets_are_in_no_ledger_log_file_or_answer(
    vendor: Vendor,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Verbex documents that it tells them: there the switch that masks them is on."""
    caplog.set_level(logging.DEBUG)
    path = tmp_path / "state.jsonl"
    told: list[bytes] = []
    async with Sandbox(state_file=path, faults=Faults(hang=0.0, late=0.0)) as box:
        if vendor.name == "verbex":
            turn_own(box, vendor, secrets="masked")
        endpoint, (operation, target) = vendor.endpoint(box), vendor.bring
        script = [None, Fault.STATUS_500_AFTER_COMMIT, Fault.LATE_COMMIT]
        box.script(operation, script, platform=vendor.name)
        headers = vendor.headers(endpoint.api_key)
        async with aiohttp.ClientSession(endpoint.base_url, headers=headers) as session:
            record: Json = None
            for digit in range(5):
                body: dict[str, object] = {**vendor.trunk(digit, CANARY), "password": CANARY}
                if digit == 4:
                    body[vendor.fields["secret"]] = [CANARY]
                try:
                    async with session.post(target, json=body) as response:
                        told.append(await response.read())
                        record = record or await response.json()
                except aiohttp.ClientConnectionError:
                    pass
                if digit == 0:
                    renamed = {vendor.fields["label"]: "x", vendor.fields["secret"]: CANARY}
                    async with session.patch(vendor.path_of(record), json=renamed) as response:
                        told.append(await response.read())
            for admin in ("ledger", "stats", "faults", "switches"):
                async with session.get(f"/_sandbox/{admin}") as response:
                    told.append(await response.read())
        await box.settled()
        seen = [
            repr(box.ledger.commits),
            repr(box),
            repr(endpoint),
            box.ledger.verdict(),
            path.read_text(),
            caplog.text,
            *(answer.decode() for answer in told),
        ]
    assert len(box.ledger.of_kind("import")) == 4
    for text in seen:
        assert CANARY not in text
        assert endpoint.api_key not in text


@pytest.mark.parametrize("fault", [Fault.GARBAGE_BODY, Fault.WRONG_TYPES, Fault.CUT_BODY])
@pytest.mark.parametrize("vendor", [SIGMAMIND, DIALNEXA], ids=repr)
async def test_a_spoiled_answer_tells_no_secret(
    box: Sandbox,
    vendor: Vendor,
    send: Send,
    fault: Fault,
) -> None:
    operation, path = vendor.bring
    box.script(operation, [fault], platform=vendor.name)
    try:
        response = await send("POST", path, json=vendor.trunk(secret=CANARY))
        assert CANARY.encode() not in await response.read()
    except aiohttp.ClientPayloadError:
        assert fault is Fault.CUT_BODY
