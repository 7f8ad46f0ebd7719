"""The program of every recipe of the guide runs unchanged, where what it needs is installed."""

from __future__ import annotations

import ast
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sigmamind_async.sandbox import Sandbox, SandboxThread
from tests.functional.postgres import Server
from tests.functional.workers import prepared

FOLDER = Path(__file__).parents[2] / "sigmamind_async/docs/recipes"
NAMES = sorted(path.stem for path in FOLDER.iterdir())


def program_of(name: str) -> str:
    """Return the only program of a page."""
    text = (FOLDER / f"{name}.md").read_text(encoding="utf-8")
    [program] = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return str(program)


def output_of(program: str, folder: Path, box: Sandbox, **environment: str) -> str:
    """Run a program as a file in *folder*; return what it prints."""
    (folder / "page.py").write_text(program)
    end = box.sigmamind
    keys = {"SIGMAMIND_API_KEY": end.api_key, "SIGMAMIND_BASE_URL": end.base_url}
    done = subprocess.run(
        [sys.executable, "page.py"],
        cwd=folder,
        env={**os.environ, **keys, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with SandboxThread(seed=1) as opened:
        yield opened


def test_every_page_has_a_test() -> None:
    assert NAMES == ["aiohttp", "procrastinate", "redis-streams", "taskiq"]


WEB = """

import asyncio
from aiohttp.test_utils import TestClient, TestServer

async def try_it():
    async with SigmaMind() as client:
        bought = await client.phone_numbers.create(country_code="US")
    async with TestClient(TestServer(make_app())) as web_client:
        for number in (bought.sip_phone_number, "+14155550100", "no number"):
            answer = await web_client.put(f"/numbers/{number}/agent", json={"agent": "agent_1"})
            print(answer.status, sorted(await answer.json()))

asyncio.run(try_it())
"""


def test_the_web_app_answers(box: Sandbox, tmp_path: Path) -> None:
    program, start, _ = program_of("aiohttp").partition('if __name__ == "__main__":')
    assert start

    output = output_of(program + WEB, tmp_path, box)

    assert output.splitlines() == ["200 ['agent']", "404 ['error']", "400 ['error']"]


async def test_the_procrastinate_worker_buys_once(
    box: Sandbox, postgres: Server, tmp_path: Path
) -> None:
    async with prepared(postgres) as base:
        output = output_of(program_of("procrastinate"), tmp_path, box, DATABASE_URL=base.dsn)

    assert ast.literal_eval(output) == [("order-1042", number) for number in box.ledger.owned()]
    assert len(box.ledger.purchases) == 1


def test_the_taskiq_task_buys_once(box: Sandbox, tmp_path: Path) -> None:
    pytest.importorskip("taskiq")

    output = output_of(program_of("taskiq"), tmp_path, box)

    [number] = ast.literal_eval(output)
    assert [number] == list(box.ledger.owned())


@contextmanager
def redis_url() -> Iterator[str]:
    """Start a server, or take the one that ``REDIS_URL`` names; skip where there is neither."""
    pytest.importorskip("redis")
    if "REDIS_URL" in os.environ:
        yield os.environ["REDIS_URL"]
        return
    server = shutil.which("redis-server")
    if server is None:
        pytest.skip("needs redis-server, or a REDIS_URL")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen([server, "--port", str(port), "--save", ""])
    try:
        yield f"redis://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def test_the_redis_consumer_buys_once(box: Sandbox, tmp_path: Path) -> None:
    with redis_url() as url:
        output = output_of(program_of("redis-streams"), tmp_path, box, REDIS_URL=url)

    assert len(output.splitlines()) == 2
    assert len(set(output.splitlines())) == 1
    assert len(box.ledger.purchases) == 1


def test_a_broken_program_would_be_found(box: Sandbox, tmp_path: Path) -> None:
    """The negative control."""
    program = program_of("aiohttp").replace("web.AppKey", "web.AppLock")

    with pytest.raises(AssertionError, match="AppLock"):
        output_of(program, tmp_path, box)
