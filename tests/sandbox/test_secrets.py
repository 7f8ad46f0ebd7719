"""Canaries: what is secret is neither kept nor told."""

import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest

from sigmamind_async.sandbox import Fault, Faults, Sandbox

Send = Callable[..., Awaitable[aiohttp.ClientResponse]]

NUMBERS = "/v1/phone-numbers"
CANARY = "canary-9f1c-password"


async def test_secrets_are_in_no_ledger_log_file_or_answer(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    path = tmp_path / "state.jsonl"
    told: list[bytes] = []
    async with Sandbox(state_file=path, faults=Faults(hang=0.0, late=0.0)) as box:
        url, key = box.sigmamind.base_url, box.sigmamind.api_key
        box.script("import", [None, Fault.STATUS_500_AFTER_COMMIT, Fault.LATE_COMMIT])
        async with aiohttp.ClientSession(url, headers={"X-API-Key": key}) as session:
            for digit in range(5):
                body = {
                    "phoneNumber": f"+1415555267{digit}",
                    "trunkPassword": CANARY if digit < 4 else CANARY * 10,
                    "password": CANARY,
                }
                try:
                    async with session.post(NUMBERS + "/import", json=body) as response:
                        told.append(await response.read())
                except aiohttp.ClientConnectionError:
                    pass
            change = {"trunkPassword": CANARY}
            async with session.patch(f"{NUMBERS}/+14155552670", json=change) as response:
                told.append(await response.read())
            for admin in ("ledger", "stats", "faults", "switches"):
                async with session.get(f"/_sandbox/{admin}") as response:
                    told.append(await response.read())
        await box.settled()
        seen = [
            repr(box.ledger.commits),
            repr(box),
            repr(box.sigmamind),
            box.ledger.verdict(),
            path.read_text(),
            caplog.text,
            *(answer.decode() for answer in told),
        ]
    assert len(box.ledger.of_kind("import")) == 4
    for text in seen:
        assert CANARY not in text
        assert key not in text


@pytest.mark.parametrize("fault", [Fault.GARBAGE_BODY, Fault.WRONG_TYPES, Fault.CUT_BODY])
async def test_a_spoiled_answer_tells_no_secret(box: Sandbox, send: Send, fault: Fault) -> None:
    box.script("import", [fault])
    body = {"phoneNumber": "+14155552671", "trunkPassword": CANARY}
    try:
        response = await send("POST", NUMBERS + "/import", json=body)
        assert CANARY.encode() not in await response.read()
    except aiohttp.ClientPayloadError:
        assert fault is Fault.CUT_BODY
