"""What cannot succeed stops early: what every row would meet, and a change that none can take."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from sigmamind_async import (
    DialNexa,
    InvalidRequestError,
    Progress,
    SigmaMind,
    StopOn,
    Verbex,
)
from sigmamind_async.bulk import BulkResult
from sigmamind_async.platforms import dialnexa, sigmamind, verbex
from sigmamind_async.provisioning import MemoryJournal, Provisioner
from tests.functional.faultserver import Exchange, FaultServer, always, response
from tests.functional.support import FAST, KEY, record
from tests.harness import preloaded

NUMBERS = [f"+1415555{index:04}" for index in range(300)]


def answering(status: int, body: bytes = b'{"message": "no"}') -> FaultServer:
    async def answer(exchange: Exchange) -> None:
        await exchange.read()
        await exchange.write(response(status, body))

    return FaultServer(always(answer))


# Every convenience call: what it is called on, and with which rows.
CALLS: dict[str, tuple[type[Any], str, list[Any]]] = {
    "sigmamind create": (
        SigmaMind,
        "create_many",
        [sigmamind.CreatePhoneNumber(phone_number=number) for number in NUMBERS],
    ),
    "sigmamind import": (
        SigmaMind,
        "import_many",
        [sigmamind.ImportPhoneNumber(phone_number=number) for number in NUMBERS],
    ),
    "sigmamind update": (
        SigmaMind,
        "update_many",
        [sigmamind.UpdatePhoneNumber(phone_number=number, friendly_name="x") for number in NUMBERS],
    ),
    "verbex create": (
        Verbex,
        "create_many",
        [verbex.CreatePiaPhoneNumber(phone_number=number) for number in NUMBERS],
    ),
    "verbex update": (
        Verbex,
        "update_many",
        [
            verbex.UpdatePiaPhoneNumber(phone_number_id=f"pn{index}", friendly_name="x")
            for index in range(300)
        ],
    ),
    "dialnexa purchase": (
        DialNexa,
        "purchase_many",
        [
            dialnexa.PurchasePhoneNumber(
                phone_number=number, telephony_provider_id="tp_abc123xyz78", country_iso="US"
            )
            for number in NUMBERS
        ],
    ),
    "dialnexa import": (
        DialNexa,
        "import_sip_trunk_many",
        [
            dialnexa.ImportSipTrunk(
                phone_number=number, termination_uri="sip.example.com", auth_mode="ip"
            )
            for number in NUMBERS
        ],
    ),
    "dialnexa update": (
        DialNexa,
        "update_many",
        [dialnexa.UpdatePhoneNumber(id=f"phn_{index}", nickname="x") for index in range(300)],
    ),
}


def connected(kind: type[Any], url: str) -> Any:
    return kind(KEY, base_url=url, retry=FAST, deadline=30.0, max_connections=5)


@pytest.mark.parametrize("status", [401, 402, 403])
@pytest.mark.parametrize("name", CALLS)
async def test_every_convenience_call_stops_where_all_rows_are_refused(
    name: str, status: int
) -> None:
    """The control is the next test: with ``stop_on=None`` all 300 are sent."""
    kind, method, rows = CALLS[name]
    progress = Progress()
    async with answering(status) as server, connected(kind, server.url) as client:
        result: BulkResult[Any, Any] = await getattr(client.phone_numbers, method)(
            rows, progress=progress
        )

    assert 3 <= len(server.received) < 20
    assert len(result.failed) == progress.failed == len(server.received)
    assert len(result.skipped) == progress.skipped == 300 - progress.failed
    assert f"{status}: no" in result.stopped


@pytest.mark.parametrize("name", CALLS)
async def test_every_convenience_call_can_be_told_to_go_on(name: str) -> None:
    kind, method, rows = CALLS[name]
    async with answering(403) as server, connected(kind, server.url) as client:
        result = await getattr(client.phone_numbers, method)(rows[:30], stop_on=None)

    assert len(server.received) == len(result.failed) == 30
    assert not result.stopped


async def test_refusals_of_single_numbers_stop_nothing() -> None:
    """Every third number belongs to somebody else."""

    async def answer(exchange: Exchange) -> None:
        request = await exchange.read()
        number = int(request.path[-4:])
        if number % 3:
            await exchange.write(response(200, record(sipPhoneNumber=f"+1415555{number:04}")))
        else:
            await exchange.write(response(403, b'{"message": "not yours"}'))

    server = FaultServer(always(answer))
    async with server, SigmaMind(KEY, base_url=server.url, max_connections=1) as client:
        result = await client.phone_numbers.update_many(NUMBERS[:90], inbound_agent_id="agent_1")

    assert (len(result.done), len(result.failed), len(result.skipped)) == (60, 30, 0)


async def test_a_job_of_a_provisioner_stops_likewise() -> None:
    """The control is ``stop_on=None`` again."""
    operations = [
        (f"row-{index}", sigmamind.UpdatePhoneNumber(phone_number=number, friendly_name="x"))
        for index, number in enumerate(NUMBERS)
    ]
    journal = MemoryJournal()
    async with answering(402) as server, connected(SigmaMind, server.url) as client:
        provisioner = Provisioner(client, journal)
        run = provisioner.run_many(operations)
        ended = [outcome.status async for outcome in run]
        sent = len(server.received)
        control = [
            outcome.status async for outcome in provisioner.run_many(operations[:30], stop_on=None)
        ]

    assert 3 <= sent < 20
    assert (len(ended), ended.count("skipped")) == (300, 300 - ended.count("failed"))
    assert "402: no" in run.stopped
    assert control == ["failed"] * 30


HOTEL = b"<!DOCTYPE html><html><head><title>Sign in to Hotel WLAN</title></head></html>"


@pytest.mark.parametrize("status", [200, 201, 202, 400, 403, 404, 405])
@pytest.mark.parametrize("name", ["sigmamind create", "sigmamind update", "dialnexa purchase"])
async def test_a_page_in_place_of_the_api_stops_a_job(name: str, status: int) -> None:
    """A captive portal says 200 to everything, a web application at a wrong base URL 404.

    The control is a 404 of the API's, which is about one row: see the convenience calls above.
    """
    kind, method, rows = CALLS[name]
    async with answering(status, HOTEL) as server, connected(kind, server.url) as client:
        result = await getattr(client.phone_numbers, method)(rows)

    assert 3 <= len(result.unconfirmed) + len(result.failed) < 20
    assert not result.done
    assert len(result.skipped) > 250
    assert server.url in result.stopped
    assert "Sign in to Hotel WLAN" in result.stopped


async def test_a_page_in_place_of_the_api_stops_a_job_of_a_provisioner() -> None:
    """What was sent stays unconfirmed, and the rest is planned another time."""
    values = [sigmamind.CreatePhoneNumber(country_code="US") for _ in range(300)]
    operations = [(f"row-{index}", value) for index, value in enumerate(values)]
    server, journal = answering(200, HOTEL), MemoryJournal()
    async with server, connected(SigmaMind, server.url) as client:
        run = Provisioner(client, journal).run_many(operations)
        ended = [outcome.status async for outcome in run]

    assert ended.count("skipped") > 250
    assert "Sign in to Hotel WLAN" in run.stopped


FULL_DISK = """
import asyncio, resource, sys
from sigmamind_async import SigmaMind
from sigmamind_async.platforms.sigmamind import UpdatePhoneNumber
from sigmamind_async.provisioning import Provisioner, SqliteJournal

async def main(url, path):
    async with SigmaMind("key", base_url=url) as client, SqliteJournal(path) as journal:
        size = 1024 * 100  # of a file, from now on, as if the disk were full
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        values = (UpdatePhoneNumber(phone_number=f"+1415555{n:04}", friendly_name="x" * 60)
                  for n in range(3000))
        run = Provisioner(client, journal).run_many((str(n), each) for n, each in enumerate(values))
        async for _ in run:
            pass
        count = run.progress
        print(count.done, count.failed + count.unconfirmed, count.skipped, run.stopped)

import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
asyncio.run(main(*sys.argv[1:]))
"""


async def test_a_disk_that_fills_ends_the_job_at_the_first_row(tmp_path: Path) -> None:
    """Those under way may fail with it; 2,639 rows did, one by one."""

    async def answer(exchange: Exchange) -> None:
        request = await exchange.read()
        await exchange.write(response(200, record(sipPhoneNumber="+" + request.path[-11:])))

    async with FaultServer(always(answer)) as server:
        process = await preloaded.create_subprocess_exec(
            *(sys.executable, "-c", FULL_DISK, server.url, str(tmp_path / "orders.db")),
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await process.communicate()
    done, bad, skipped, why = out.decode().split(maxsplit=3)

    assert (int(done) > 0, int(bad) <= 100, int(skipped) > 1500) == (True, True, True), out
    assert int(done) + int(bad) + int(skipped) == 3000
    assert why.startswith("no other row would succeed")


# ---------------------------------------------------------------- a change that no row can take

UPDATES: dict[str, tuple[type[Any], str, dict[str, Any]]] = {
    "sigmamind": (SigmaMind, "inbound_agent_id", {"inbound_agent": "agent_1"}),
    "verbex": (Verbex, "friendly_name", {"freindly_name": "x"}),
    "dialnexa": (DialNexa, "nickname", {"nick_name": "x"}),
}
BAD_CHANGES: list[tuple[str, dict[str, Any]]] = [
    ("sigmamind", {"inbound_agent_id": 5}),
    ("sigmamind", {"friendly_name": "x" * 129}),
    ("sigmamind", {"friendly_name": "half \ud83d"}),
    ("sigmamind", {"outbound_phone_number": "4155550100"}),
    ("sigmamind", {"trunk_password": "****"}),
    ("verbex", {"friendly_name": 5}),
    ("verbex", {"sip_trunk_username": "u", "twilio_account_sid": "AC1"}),
    ("dialnexa", {"agent_id": ["agent_1"]}),
    ("dialnexa", {}),
    ("sigmamind", {}),
    ("verbex", {}),
]


def keys(name: str) -> list[str]:
    return NUMBERS if name == "sigmamind" else [f"rec{index}" for index in range(300)]


@pytest.mark.parametrize("name", UPDATES)
async def test_a_misspelt_field_raises_before_the_first_row(name: str) -> None:
    """The right spelling is suggested, and is the control: it is sent."""
    kind, right, wrong = UPDATES[name]
    async with answering(404) as server, connected(kind, server.url) as client:
        with pytest.raises(TypeError, match=f"did you mean '{right}'"):
            await client.phone_numbers.update_many(keys(name), **wrong)
        assert server.received == []

        await client.phone_numbers.update_many(keys(name)[:5], **{right: "x"})
        assert len(server.received) == 5


@pytest.mark.parametrize(("name", "change"), BAD_CHANGES)
async def test_a_value_that_no_number_can_have_raises_before_the_first_row(
    name: str, change: dict[str, Any]
) -> None:
    kind, _, _ = UPDATES[name]
    async with answering(404) as server, connected(kind, server.url) as client:
        with pytest.raises(InvalidRequestError):
            await client.phone_numbers.update_many(keys(name), **change)

    assert server.received == []


async def test_a_key_that_one_row_cannot_have_fails_that_row_alone() -> None:
    async with answering(404) as server, connected(SigmaMind, server.url) as client:
        result = await client.phone_numbers.update_many(
            [NUMBERS[0], "415", NUMBERS[1]], friendly_name="x"
        )

    assert [type(outcome.error).__name__ for outcome in result.outcomes] == [
        "NotFoundError",
        "InvalidRequestError",
        "NotFoundError",
    ]


@pytest.mark.parametrize("values", ["+14155550100", b"+14155550100", None, 5])
async def test_what_is_no_list_raises(values: Any) -> None:
    async with answering(404) as server, connected(SigmaMind, server.url) as client:
        with pytest.raises(InvalidRequestError, match="must be an iterable of rows"):
            await client.phone_numbers.update_many(values, friendly_name="x")
        with pytest.raises(InvalidRequestError, match="must be an iterable of rows"):
            await client.phone_numbers.create_many(values)

    assert server.received == []


async def test_rows_may_come_asynchronously_to_the_convenience_calls() -> None:
    async def numbers() -> AsyncIterator[str]:
        for number in NUMBERS[:10]:
            yield number

    async with answering(404) as server, connected(SigmaMind, server.url) as client:
        result = await client.phone_numbers.update_many(
            numbers(), friendly_name="x", stop_on=StopOn(count=100)
        )

    assert len(result.failed) == len(server.received) == 10


@pytest.mark.parametrize("name", CALLS)
async def test_a_request_of_another_kind_fails_its_row_unsent(name: str) -> None:
    """An import would be a purchase otherwise, and an update a release. The control is the last."""
    kind, method, rows = CALLS[name]
    others = [each[0] for other, (cls, _, each) in CALLS.items() if cls is kind and other != name]
    others.append(7)
    async with answering(404) as server, connected(kind, server.url) as client:
        result = await getattr(client.phone_numbers, method)([*others, rows[0]])

    assert [outcome.error.field for outcome in result.outcomes[:-1]] == ["value"] * len(others)
    assert len(server.received) == 1
