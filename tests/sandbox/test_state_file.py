"""What survives a restart, and a restart in the middle of a line."""

from pathlib import Path
from typing import Any

import aiohttp
import pytest

from sigmamind_async.sandbox import Fault, Sandbox

NUMBERS = "/v1/phone-numbers"
Json = Any


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.jsonl"


async def run(
    path: Path, *requests: tuple[str, str, object], script: tuple[Fault, ...] = ()
) -> tuple[Sandbox, list[Json]]:
    """Send requests to a sandbox of its own; return it and the JSON of each answer."""
    answers: list[Json] = []
    async with Sandbox(seed=1, state_file=path) as box:
        box.script("create", script)
        headers = {"X-API-Key": box.sigmamind.api_key}
        async with aiohttp.ClientSession(box.sigmamind.base_url, headers=headers) as session:
            for method, target, body in requests:
                async with session.request(method, target, json=body) as response:
                    answers.append(await response.json() if response.content_length else None)
    return box, answers


async def test_numbers_calls_and_ledger_survive(path: Path) -> None:
    agent = {"outboundAgentId": "agent_1"}
    box, (first, second, call, _) = await run(
        path,
        ("POST", NUMBERS, {"countryCode": "US", "friendlyName": "order-1"}),
        ("POST", NUMBERS + "/import", {"phoneNumber": "+14155552671", **agent}),
        ("POST", "/v1/calls", {"fromPhoneNumber": "+14155552671", "toPhoneNumber": "+14155550100"}),
        ("PATCH", f"{NUMBERS}/+14155552671", {"friendlyName": "Renamed"}),
    )
    again, (listed, read) = await run(
        path,
        ("GET", NUMBERS, None),
        ("GET", f"/v1/calls/{call['callId']}", None),
    )
    assert again.ledger.commits == box.ledger.commits
    assert again.ledger.owned() == [first["sipPhoneNumber"], second["sipPhoneNumber"]]
    assert [row["friendlyName"] for row in listed["data"]] == ["order-1", "Renamed"]
    assert read["callId"] == call["callId"]


async def test_a_restarted_sandbox_sells_other_numbers(path: Path) -> None:
    body = {"countryCode": "US"}
    _, (first,) = await run(path, ("POST", NUMBERS, body))
    await run(path, ("DELETE", f"{NUMBERS}/{first['sipPhoneNumber']}", None))
    box, (second,) = await run(path, ("POST", NUMBERS, body))
    assert second["sipPhoneNumber"] != first["sipPhoneNumber"]
    assert box.ledger.owned() == [second["sipPhoneNumber"]]


async def test_delivery_survives(path: Path) -> None:
    body = {"countryCode": "US"}
    script = (Fault.STATUS_503_AFTER_COMMIT,)
    await run(path, ("POST", NUMBERS, body), ("POST", NUMBERS, body), script=script)
    box, _ = await run(path)
    assert [commit.delivered for commit in box.ledger.commits] == [False, True]


async def test_a_torn_last_line_is_cut_off(path: Path) -> None:
    body = {"countryCode": "US"}
    await run(path, ("POST", NUMBERS, body))
    with path.open("ab") as file:
        file.write(b'{"commit":{"sequence":2,"ti')
    box, _ = await run(path, ("POST", NUMBERS, body))
    assert len(box.ledger) == 2
    box, _ = await run(path)
    assert len(box.ledger) == 2


async def test_the_file_is_for_its_owner_alone(path: Path) -> None:
    path.touch(mode=0o644)
    await run(path)
    assert path.stat().st_mode & 0o777 == 0o600


async def test_a_reset_empties_the_file(path: Path) -> None:
    await run(path, ("POST", NUMBERS, {"countryCode": "US"}))
    async with Sandbox(state_file=path) as box:
        box.reset()
    assert path.read_bytes() == b""


async def test_a_file_of_something_else_is_an_error(path: Path) -> None:
    path.write_text("this is no state file\n")
    with pytest.raises(ValueError, match="line 1"):
        async with Sandbox(state_file=path):
            pass
