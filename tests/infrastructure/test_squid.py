"""Through a real squid: what it logs of a tunnel, and what its refusals come to.

Skipped, with a line that says so, where Debian's package ``squid`` is not installed.
"""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import attrs
import pytest

from sigmamind_async import APIConnectionError, DialNexa, SigmaMind, SigmaMindError, Verbex
from tests.functional.conftest import Certificates, certificates  # noqa: F401 - a fixture
from tests.functional.faultserver import FaultServer, always, answer
from tests.functional.support import KEY, ONCE, error_of
from tests.harness.ports import closed_port, free_port

SQUID = shutil.which("squid") or shutil.which("squid", path="/usr/sbin")
ACCEPTS_ANYBODY = Path("/usr/lib/squid/basic_fake_auth")

pytestmark = pytest.mark.skipif(
    SQUID is None or not ACCEPTS_ANYBODY.exists(),
    reason="NOT TESTED against a real proxy: install Debian's package squid",
)

CONFIGURATION = """
http_port 127.0.0.1:{port}
auth_param basic program {helper}
auth_param basic children 1
acl known proxy_auth REQUIRED
acl guests myportname guests
acl forbidden dstdomain forbidden.example
http_port 127.0.0.1:{guests} name=guests
http_access deny forbidden
http_access allow guests
http_access allow known
http_access deny all
log_mime_hdrs on
access_log stdio:{folder}/access.log
cache_log {folder}/cache.log
cache_store_log none
cache deny all
pid_filename {folder}/squid.pid
coredump_dir {folder}
cache_effective_user {user}
shutdown_lifetime 0 seconds
connect_timeout 5 seconds
forward_max_tries 1
netdb_filename none
pinger_enable off
visible_hostname test.invalid
"""
CLIENTS: tuple[type[SigmaMind | Verbex | DialNexa], ...] = (SigmaMind, Verbex, DialNexa)


@attrs.frozen(kw_only=True)
class Squid:
    folder: Path
    port: int
    """Wants user name and password."""
    guests: int
    """Lets anybody through."""

    def log(self, word: str) -> str:
        """Return what was logged once *word* is in it: squid writes a little later."""
        for _ in range(200):
            text = (self.folder / "access.log").read_text(errors="replace")
            if word in text:
                return text
            time.sleep(0.05)
        raise AssertionError(f"{word} is not in the log")


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Return a folder that another user reaches, which squid becomes when root starts it."""
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o777)
        yield Path(made)


@pytest.fixture(scope="module")
def squid(folder: Path) -> Iterator[Squid]:
    assert SQUID is not None
    root = os.geteuid() == 0
    made = Squid(folder=folder, port=free_port(), guests=free_port())
    configuration = folder / "squid.conf"
    configuration.write_text(
        CONFIGURATION.format(
            port=made.port,
            guests=made.guests,
            helper=ACCEPTS_ANYBODY,
            folder=folder,
            user="proxy" if root else getpass.getuser(),
        )
    )
    # Of two with one name, one ends: it names what they have in common memory, with -N as well.
    name = f"test{os.getpid()}"
    process = subprocess.Popen(
        [SQUID, "-N", "-n", name, "-f", configuration],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(made, process)
        yield made
    finally:
        process.kill()
        process.wait()
        for left in Path("/dev/shm").glob(f"{name}-*"):
            left.unlink()


def _wait_for(made: Squid, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", made.guests)):
            return
        time.sleep(0.1)
    raise AssertionError((made.folder / "cache.log").read_text(errors="replace"))


async def ask(make: Any, url: str, **options: Any) -> None:
    async with make(KEY, base_url=url, retry=ONCE, **options) as client:
        async for _ in client.phone_numbers.list():
            pass


EMPTY = answer(200, b'{"data": [], "totalCount": 0}')


@pytest.mark.parametrize("user", ["", "clerk:p%40ss%3Aw%2Frd@"], ids=["open", "with credentials"])
@pytest.mark.parametrize("make", CLIENTS)
async def test_squid_is_not_told_the_key(
    squid: Squid,
    certificates: Certificates,  # noqa: F811 - the fixture
    make: Any,
    user: str,
) -> None:
    port = squid.port if user else squid.guests
    async with FaultServer(always(EMPTY), ssl=certificates.good) as server:
        with suppress(SigmaMindError):  # not every platform's pages look like this one
            proxy = f"http://{user}127.0.0.1:{port}"
            await ask(make, server.url, ssl=certificates.trusting, proxy=proxy)
        assert KEY in str(server.received[0].headers)
    place = f"127.0.0.1:{server.port}"
    log = "".join(line for line in squid.log(place).splitlines() if place in line)
    assert "User-Agent" in log  # it does log headers
    assert KEY not in log


async def test_squids_log_would_show_the_key(
    squid: Squid,
    certificates: Certificates,  # noqa: F811 - the fixture
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The control: among the headers of the session, the key is logged."""
    telling = partial(aiohttp.ClientSession, headers={"X-API-Key": KEY})
    monkeypatch.setattr(aiohttp, "ClientSession", telling)
    async with FaultServer(always(EMPTY), ssl=certificates.good) as server:
        proxy = f"http://127.0.0.1:{squid.guests}"
        with suppress(SigmaMindError):
            await ask(SigmaMind, server.url, ssl=certificates.trusting, proxy=proxy)
    assert KEY in squid.log(f"127.0.0.1:{server.port}")


async def test_squids_refusals_say_what_to_do(squid: Squid) -> None:
    down = closed_port()
    cases = {
        (squid.port, "https://api.example.com"): ("407", "user name and password", False),
        (squid.guests, "https://forbidden.example"): ("403", "allow this host", False),
        (squid.guests, f"https://127.0.0.1:{down}"): ("503", "cannot reach", True),
    }
    for (port, url), (status, words, retryable) in cases.items():
        error = await error_of(ask(SigmaMind, url, proxy=f"http://127.0.0.1:{port}"))
        assert (type(error), error.committed) == (APIConnectionError, "no")
        assert error.retryable is retryable
        assert f"the proxy 127.0.0.1:{port} answered {status} " in str(error)
        assert words in str(error)


async def test_a_job_ends_where_the_proxy_refuses_it(squid: Squid) -> None:
    proxy = f"http://127.0.0.1:{squid.port}"
    async with SigmaMind(
        KEY, base_url="https://api.example.com", proxy=proxy, retry=ONCE
    ) as client:
        numbers = [f"+1415555{n:04}" for n in range(300)]
        result = await client.phone_numbers.update_many(numbers, friendly_name="x")

    assert len(result.skipped) > 150
    assert "407" in result.stopped
