"""A platform behind nginx: what it refuses, closes and answers in the platform's place."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sigmamind_async import (
    OutcomeUnknownError,
    Progress,
    ServerError,
    SigmaMind,
    SigmaMindError,
    StopOn,
)
from sigmamind_async.platforms.sigmamind import CreatePhoneNumber, UpdatePhoneNumber
from sigmamind_async.sandbox import Sandbox, SandboxThread
from sigmamind_async.transport import connections as connections_module
from tests.functional.support import ONCE, error_of
from tests.harness.ports import free_port
from tests.infrastructure.servers import nginx

pytestmark = pytest.mark.usefixtures("unmeasured")  # what it runs, others measure

NUMBERS = [f"+1415555{index:04}" for index in range(150)]


@contextmanager
def in_front(folder: Path, rules: str = "", server: str = "") -> Iterator[tuple[Sandbox, Any]]:
    """Yield a sandbox, and how a client is made that reaches it through nginx."""
    port = free_port()
    with SandboxThread(seed=1) as box:
        upstream = box.sigmamind.base_url.removeprefix("http://")
        http = (
            f"upstream platform {{ server {upstream}; keepalive 64; }}\n{rules}\n"
            f"server {{ listen 127.0.0.1:{port}; {server}\n"
            " location / { proxy_pass http://platform; proxy_http_version 1.1;"
            " proxy_set_header Connection ''; } }"
        )
        with nginx(folder, http, port) as requests:
            yield (
                box,
                lambda **options: SigmaMind(
                    box.sigmamind.api_key, base_url=f"http://127.0.0.1:{port}", **options
                ),
            )
    assert requests.read_text()


def statuses(folder: Path) -> Counter[str]:
    return Counter(line.split()[2] for line in (folder / "requests.log").read_text().splitlines())


@pytest.mark.long
@pytest.mark.parametrize("burst", ["", "burst=20", "burst=20 nodelay"])
async def test_a_job_gets_through_a_rate_limit(tmp_path: Path, burst: str) -> None:
    """Twenty requests a second, and a 429 without a word of how long to wait."""
    rules = "limit_req_zone $binary_remote_addr zone=z:1m rate=20r/s; limit_req_status 429;"
    with in_front(tmp_path, rules, f"limit_req zone=z {burst};") as (box, client_of):
        values = [CreatePhoneNumber(phone_number=number) for number in NUMBERS]
        async with client_of() as client:
            result = await client.phone_numbers.create_many(values)

    assert len(result.done) == len(box.ledger.purchases) == len(NUMBERS)
    assert statuses(tmp_path)["429"] > 0, "the limit was never met"


async def test_a_job_at_full_speed_outlives_connections_that_are_closed(tmp_path: Path) -> None:
    """After seven requests each, by the server."""
    server = "keepalive_requests 7;"
    with in_front(tmp_path, server=server) as (box, client_of):
        values = [CreatePhoneNumber(phone_number=number) for number in NUMBERS]
        async with client_of() as client:
            result = await client.phone_numbers.create_many(values)

    connections = {line.split()[0] for line in (tmp_path / "requests.log").read_text().splitlines()}
    assert len(result.done) == len(box.ledger.purchases) == len(NUMBERS)
    assert len(connections) >= len(NUMBERS) // 7


async def test_a_page_of_nginx_is_told_by_its_title(tmp_path: Path) -> None:
    """One line, and not the page: nobody listens where the platform should."""
    gone, port = free_port(), free_port()
    http = (
        f"server {{ listen 127.0.0.1:{port};"
        f" location / {{ proxy_pass http://127.0.0.1:{gone}; }}"
        f" location /old/ {{ return 301 https://elsewhere.example/new; }} }}"
    )
    with nginx(tmp_path, http, port):
        async with SigmaMind("key", base_url=f"http://127.0.0.1:{port}", retry=ONCE) as client:
            error = await error_of(client.phone_numbers.get(NUMBERS[0]))
            bought = await error_of(client.phone_numbers.create(phone_number=NUMBERS[0]))

    assert isinstance(error, ServerError)
    assert str(error).endswith("502 Bad Gateway")
    for each in (error, bought):
        assert "<" not in str(each)
        assert "\n" not in str(each)


async def test_an_upstream_that_acts_and_is_cut_off_is_looked_up(tmp_path: Path) -> None:
    """A 504 after the platform went on: everything was bought, once, and found again."""
    with in_front(tmp_path, server="proxy_read_timeout 1s;") as (box, client_of):
        box.sigmamind.script("create", ["hang_after_commit"] * 3)
        async with client_of() as client:
            values = [CreatePhoneNumber(phone_number=number) for number in NUMBERS[:20]]
            result = await client.phone_numbers.create_many(values)

    assert len(result.done) == len(box.ledger.purchases) == 20
    assert statuses(tmp_path)["504"] == 3


async def test_a_server_that_speaks_http_2_only_is_no_answer(tmp_path: Path) -> None:
    port = free_port()
    http = f"server {{ listen 127.0.0.1:{port} http2; return 200; }}"
    with nginx(tmp_path, http, port):
        async with SigmaMind("key", base_url=f"http://127.0.0.1:{port}", retry=ONCE) as client:
            error: SigmaMindError = await error_of(client.phone_numbers.get(NUMBERS[0]))

    assert error.committed == "no"
    assert "HTTP/2" in str(error)


async def test_updates_go_on_while_one_request_in_ten_is_a_502(tmp_path: Path) -> None:
    """The control of what follows a 502: a job that took each for final would fail 15 rows."""
    rules = "split_clients $request_id $bad { 10% 1; * 0; }"
    with in_front(tmp_path, rules, "if ($bad) { return 502; }") as (box, client_of):
        async with client_of() as client:
            values = [CreatePhoneNumber(phone_number=number) for number in NUMBERS]
            bought = [o async for o in client.run_many(values) if o.status == "done"]
            change = [
                UpdatePhoneNumber(phone_number=o.value.phone_number, friendly_name="x")
                for o in bought
            ]
            result = await client.phone_numbers.update_many(change)

    assert len(result.done) == len(change) > 0
    assert not box.ledger.bought_twice()


# ---------------------------------------------------------------- a platform that is gone


@pytest.mark.long
@pytest.mark.parametrize("seconds", [3.0, 20.0])
async def test_updates_wait_out_a_platform_that_is_gone(tmp_path: Path, seconds: float) -> None:
    """All that while nginx answers 502 in its place: 522 of 600 updates failed of 3 s once."""
    numbers = [f"+1415555{index:04}" for index in range(600)]
    with in_front(tmp_path) as (box, client_of):
        async with client_of() as client:
            bought = await client.phone_numbers.create_many(
                [CreatePhoneNumber(phone_number=number) for number in numbers]
            )
            assert len(bought.done) == 600
            box.latency = (0.05, 0.2)
            progress = Progress()
            job = asyncio.create_task(
                client.phone_numbers.update_many(numbers, friendly_name="x", progress=progress)
            )
            while progress.done < 50:  # noqa: ASYNC110 - a count is no event
                await asyncio.sleep(0.01)
            box.refuse(seconds)
            result = await job

    assert (len(result.done), result.stopped) == (600, "")
    assert statuses(tmp_path)["502"] > 0, "the outage was never met"


@pytest.mark.parametrize("front", ["nginx", "nothing"])
async def test_a_platform_that_is_dead_from_the_start_ends_a_job(
    tmp_path: Path, front: str
) -> None:
    """After its patience: what was never sent is skipped, or failed where it was tried.

    Behind nginx a 502 leaves open what the platform has done, so those few rows are unconfirmed.
    """
    gone, port = free_port(), free_port()
    http = (
        f"server {{ listen 127.0.0.1:{port};"
        f" location / {{ proxy_pass http://127.0.0.1:{gone}; }} }}"
    )
    with nginx(tmp_path, http, port):
        url = f"http://127.0.0.1:{port if front == 'nginx' else gone}"
        async with SigmaMind("key", base_url=url) as client:
            numbers = [f"+1415555{index:04}" for index in range(300)]
            began = time.monotonic()
            result = await client.phone_numbers.update_many(
                numbers, friendly_name="x", stop_on=StopOn(patience=3.0)
            )
            took = time.monotonic() - began

    found = Counter(outcome.status for outcome in result.outcomes)
    tried = found["unconfirmed" if front == "nginx" else "failed"]
    assert found["skipped"] == 300 - tried
    assert tried <= 100
    assert took <= 45.0
    assert "no request has succeeded" in result.stopped
    assert all("nothing was sent" in str(each.error) for each in result.failed)


@pytest.mark.long
async def test_one_dead_server_of_two_fails_no_row(tmp_path: Path) -> None:
    """Every second request is a 502, and every other one a success between."""
    dead, port = free_port(), free_port()
    with SandboxThread(seed=1) as box:
        alive = box.sigmamind.base_url.removeprefix("http://")
        http = (
            f"upstream platform {{ server {alive} max_fails=0; server 127.0.0.1:{dead}"
            f" max_fails=0; }}\nserver {{ listen 127.0.0.1:{port}; proxy_next_upstream off;"
            " location / { proxy_pass http://platform; } }"
        )
        key, direct = box.sigmamind.api_key, box.sigmamind.base_url
        async with SigmaMind(key, base_url=direct) as client:
            await client.phone_numbers.create_many(
                [CreatePhoneNumber(phone_number=number) for number in NUMBERS]
            )
        with nginx(tmp_path, http, port):
            async with SigmaMind(key, base_url=f"http://127.0.0.1:{port}") as client:
                result = await client.phone_numbers.update_many(NUMBERS, friendly_name="x")

    assert len(result.done) == len(NUMBERS)
    assert statuses(tmp_path)["502"] > 20


# ---------------------------------------------------------------- a connection closed when idle


@pytest.mark.long
@pytest.mark.parametrize("careful", [True, False], ids=["careful", "the control"])
async def test_purchases_at_the_pace_of_the_keep_alive_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, careful: bool
) -> None:
    """Nginx closes what is idle as each of them goes; the control takes any open connection.

    The loop stands still at that moment, so that it has not read of the end yet.
    """
    if not careful:
        monkeypatch.setattr(connections_module, "FRESH", 60.0)
        monkeypatch.setattr(connections_module, "DISTRUST", 0.0)
        monkeypatch.setattr(connections_module, "_poll_of", lambda _: None)

    async def buyer(client: SigmaMind) -> Counter[str]:
        ends: Counter[str] = Counter()
        for _ in range(14):
            try:
                await client.phone_numbers.create(country_code="US")
            except OutcomeUnknownError:
                ends["unconfirmed"] += 1
            else:
                ends["done"] += 1
            await asyncio.sleep(0.994)
            time.sleep(0.01)
        return ends

    with in_front(tmp_path, server="keepalive_timeout 1s;") as (box, client_of):
        async with client_of() as client:
            found = sum(await asyncio.gather(*(buyer(client) for _ in range(10))), Counter())

    if careful:
        assert found == {"done": 140}
        assert len(box.ledger.purchases) == 140
    else:
        assert found["unconfirmed"] > 0
