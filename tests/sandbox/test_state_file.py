"""What survives a restart, and a restart in the middle of a line."""

import os
from pathlib import Path

import aiohttp
import pytest

from sigmamind_async.sandbox import Fault, Sandbox, StateFileError
from tests.sandbox.support import DIALNEXA, SIGMAMIND, Json, Vendor, every_vendor, number_at

NUMBERS = SIGMAMIND.numbers


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.jsonl"


async def run(
    path: Path,
    *requests: tuple[str, str, object],
    script: tuple[Fault, ...] = (),
    vendor: Vendor = SIGMAMIND,
) -> tuple[Sandbox, list[Json]]:
    """Send requests to a sandbox of its own; return it and the JSON of each answer."""
    answers: list[Json] = []
    async with Sandbox(seed=1, state_file=path) as box:
        endpoint = vendor.endpoint(box)
        box.script(vendor.purchase[0], script, platform=vendor.name)
        headers = vendor.headers(endpoint.api_key)
        async with aiohttp.ClientSession(endpoint.base_url, headers=headers) as session:
            for method, target, body in requests:
                async with session.request(method, target, json=body) as response:
                    answers.append(await response.json() if response.content_length else None)
    return box, answers


@every_vendor
async def test_numbers_and_ledger_survive(path: Path, vendor: Vendor) -> None:
    (_, buy), (_, bring) = vendor.purchase, vendor.bring
    _, (first, second, third) = await run(
        path,
        ("POST", buy, vendor.order(1)),
        ("POST", bring, vendor.trunk(2)),
        ("POST", bring, vendor.trunk(3)),
        vendor=vendor,
    )
    box, (renamed, *_) = await run(
        path,
        ("PATCH", vendor.path_of(second), {vendor.fields["label"]: "Renamed"}),
        ("DELETE", vendor.path_of(third), None),
        vendor=vendor,
    )
    again, (listed,) = await run(path, ("GET", vendor.numbers, None), vendor=vendor)
    assert again.ledger.commits == box.ledger.commits
    assert again.ledger.owned() == [number_at(1), number_at(2)]
    keys = [row[vendor.key_field] for row in listed[vendor.rows]]
    assert keys == [vendor.record(first)[vendor.key_field], renamed[vendor.key_field]]


async def test_calls_survive(path: Path) -> None:
    ends = {"fromPhoneNumber": "+14155552671", "toPhoneNumber": "+14155550100"}
    _, (_, call) = await run(
        path,
        ("POST", NUMBERS, {"phoneNumber": "+14155552671", "outboundAgentId": "agent_1"}),
        ("POST", "/v1/calls", ends),
    )
    _, (read,) = await run(path, ("GET", f"/v1/calls/{call['callId']}", None))
    assert read["callId"] == call["callId"]


async def test_routing_survives(path: Path) -> None:
    numbers = DIALNEXA.numbers
    _, (imported,) = await run(
        path,
        ("POST", f"{numbers}/sip-trunks", DIALNEXA.trunk()),
        vendor=DIALNEXA,
    )
    change = {
        "version_number": 1,
        "is_published": True,
        "inbound_phone_number_id": imported["id"],
    }
    await run(path, ("PATCH", "/v1/agents/agt_abc123", change), vendor=DIALNEXA)
    _, (number, agent) = await run(
        path,
        ("GET", f"{numbers}/{imported['id']}", None),
        ("GET", "/v1/agents/agt_abc123", None),
        vendor=DIALNEXA,
    )
    assert number["agent_id"] == "agt_abc123"
    assert agent["current_version_number"] == 2


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


FOREIGN: dict[str, bytes] = {
    "text": b"this is no state file\n",
    "text without an end": b"id,platform\na,sigmamind",
    "one byte": b"{",
    "a new line": b"\n",
    "binary": bytes(range(256)) * 100,
    "zeros": b"\0" * 4096,
    "an object": b'{"commit": {}}\n',
    "a list": b"[]\n",
    "another version": b'{"sigmamind_async.sandbox":2}\n',
    "a plan": b'{"kind": "sigmamind_async.plan", "version": 1}',
    "deep": b"[" * 100_000,
}


@pytest.mark.parametrize("content", FOREIGN.values(), ids=FOREIGN)
async def test_a_file_of_something_else_is_left_as_it_is(path: Path, content: bytes) -> None:
    """Its mode, too. Control: before, what had no end was cut off, here all but the first."""
    path.write_bytes(content)
    path.chmod(0o644)
    with pytest.raises(StateFileError, match="line 1 is not that of a sandbox's state file"):
        async with Sandbox(state_file=path):
            pass
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (content, 0o644)


async def test_a_link_to_something_else_is_left_as_it_is(path: Path) -> None:
    target = path.with_name("precious")
    target.write_text("precious")
    path.symlink_to(target)
    with pytest.raises(StateFileError):
        async with Sandbox(state_file=path):
            pass
    assert target.read_text() == "precious"


@pytest.mark.parametrize("kind", ["folder", "pipe", "nowhere"])
async def test_what_is_no_file_is_an_error(path: Path, kind: str) -> None:
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path = path / "state.jsonl"
    with pytest.raises(StateFileError, match=r"state\.jsonl: "):
        async with Sandbox(state_file=path):
            pass


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"[]",
        b"null",
        b"{}",
        b"\0\0\0",
        b'{"commit": 3, "state": {}}',
        b'{"delivered": "x"}',
        b'{"delivered": 99}',
        b'{"commit": {"sequence": 9}, "state": {}}',
        b"TWICE",
    ],
)
async def test_a_damaged_line_is_told_and_nothing_is_cut(path: Path, line: bytes) -> None:
    """Whatever lies behind it: a torn end too stays as it is."""
    await run(path, ("POST", NUMBERS, {"countryCode": "US"}))
    if line == b"TWICE":
        line = path.read_bytes().splitlines()[1]
    content = path.read_bytes() + line + b'\n{"torn'
    path.write_bytes(content)
    with pytest.raises(StateFileError, match="line 4 is damaged"):
        async with Sandbox(state_file=path):
            pass
    assert path.read_bytes() == content


async def test_a_file_that_was_cut_anywhere_is_a_beginning(path: Path) -> None:
    """As a full disk or a kill leaves it."""
    body = {"countryCode": "US"}
    await run(path, ("POST", NUMBERS, body), ("POST", NUMBERS, body))
    whole = path.read_bytes()
    for end in range(0, len(whole), 37):
        path.write_bytes(whole[:end])
        await run(path, ("POST", NUMBERS, body))
        box, _ = await run(path)
        assert 1 <= len(box.ledger) <= 3


async def test_an_unused_file_stays_empty(path: Path) -> None:
    await run(path)
    assert path.read_bytes() == b""


async def test_a_file_that_another_sandbox_has_open_is_left_as_it_is(path: Path) -> None:
    """Else the file has each commit's number twice, and is damaged for the next.

    Control: without the lock the second opens.
    """
    async with Sandbox(seed=1, state_file=path):
        with pytest.raises(StateFileError, match="another sandbox has it open"):
            await Sandbox(seed=1, state_file=path).__aenter__()
    await run(path)
