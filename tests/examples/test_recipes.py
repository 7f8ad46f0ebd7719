"""The program of every recipe of the guide runs unchanged, where what it needs is installed."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from sigmamind_async.cli.app import bind
from sigmamind_async.cli.help import find_command
from sigmamind_async.sandbox import Sandbox, SandboxThread
from tests.functional.workers import prepared
from tests.harness import preloaded
from tests.harness.ports import free_port
from tests.harness.postgres import Server

FOLDER = Path(__file__).parents[2] / "sigmamind_async/docs/recipes"
NAMES = sorted(path.stem for path in FOLDER.iterdir())
TWICE = {"notebooks", "procrastinate"}
"""Pages with two programs."""


def program_of(name: str, index: int = 0) -> str:
    """Return a program of a page, by default the first."""
    text = (FOLDER / f"{name}.md").read_text(encoding="utf-8")
    programs = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert len(programs) == (2 if name in TWICE else 1)
    return str(programs[index])


def output_of(program: str, folder: Path, box: Sandbox, **environment: str) -> str:
    """Run a program as a file in *folder*; return what it prints."""
    (folder / "page.py").write_text(program)
    return output_of_command(["page.py"], folder, box, **environment)


def output_of_command(command: list[str], folder: Path, box: Sandbox, **environment: str) -> str:
    """Run Python with *command* in *folder*; return what it prints."""
    done: subprocess.CompletedProcess[str] = preloaded.run(
        [sys.executable, *command],
        cwd=folder,
        env=environment_of(box, **environment),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def environment_of(box: Sandbox, **more: str) -> dict[str, str]:
    end = box.sigmamind
    keys = {"SIGMAMIND_API_KEY": end.api_key, "SIGMAMIND_BASE_URL": end.base_url}
    return {**os.environ, **keys, "PYTHONUNBUFFERED": "1", **more}


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with SandboxThread(seed=1) as opened:
        yield opened


def test_every_page_has_a_test() -> None:
    alone = {"aiohttp", "kubernetes", "notebooks", "procrastinate", "redis-streams"}

    assert {*NAMES} == {*RECIPES} | alone


AIOHTTP = """

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

    output = output_of(program + AIOHTTP, tmp_path, box)

    assert output.splitlines() == ["200 ['agent']", "404 ['error']", "400 ['error']"]


BUY = """
import asyncio
from sigmamind_async import SigmaMind

async def buy_one():
    async with SigmaMind() as client:
        return (await client.phone_numbers.create(country_code="US")).sip_phone_number

number = asyncio.run(buy_one())
"""

FASTAPI = f"""{BUY}
from fastapi.testclient import TestClient
from sigmamind_async.sandbox import Sandbox

async def delivery():
    async with Sandbox() as box:
        return box.dialnexa.webhook("call_ended")

with TestClient(app) as web_client:
    for each in (number, "+14155550100", "no number"):
        answer = web_client.put(f"/numbers/{{each}}/agent", json={{"agent": "agent_1"}})
        print(answer.status_code, answer.json().get("inbound_agent_id"))
    genuine = asyncio.run(delivery())
    for headers in (genuine.headers, {{"X-DialNexa-Signature": "0"}}):
        answer = web_client.post("/webhooks/dialnexa", content=genuine.body, headers=headers)
        print(answer.status_code)
"""

LITESTAR = f"""{BUY}
from litestar.testing import TestClient

with TestClient(app) as web_client:
    print(len(web_client.get("/numbers").json()))
    for each in (number, "+14155550100"):
        answer = web_client.put(f"/numbers/{{each}}/agent", json={{"agent": "agent_1"}})
        print(answer.status_code, answer.json().get("inbound_agent_id"))
"""

DJANGO = f"""{BUY}
from django.test import AsyncClient, Client

async def look():
    print((await AsyncClient().get("/numbers")).status_code)

asyncio.run(look())
for each in (number, "+14155550100"):
    answer = Client().put(f"/numbers/{{each}}/agent", {{"agent": "agent_1"}}, "application/json")
    print(answer.status_code, answer.json().get("inbound_agent_id"))
"""

FLASK = f"""{BUY}
web_client = app.test_client()
print(len(web_client.get("/numbers").json))
for each in (number, "+14155550100"):
    answer = web_client.put(f"/numbers/{{each}}/agent", json={{"agent": "agent_1"}})
    print(answer.status_code, answer.json.get("inbound_agent_id"))
"""

LAMBDA = f"""{BUY}
for _ in range(2):
    print(handler({{"number": number, "agent": "agent_1"}}, None)["inbound_agent_id"])
loop.run_until_complete(client.close())
"""

NUMBER = r"\+1\d{10}"

RECIPES = {
    "arq": (["arq"], "", rf"\{{'{NUMBER}'\}}"),
    "aws-lambda": ([], LAMBDA, "agent_1\nagent_1"),
    "celery": (["celery"], "", rf"\{{'{NUMBER}'\}}"),
    "django": (["django"], DJANGO, "200\n200 agent_1\n404 None"),
    "fastapi": (
        ["fastapi"],
        FASTAPI,
        "200 agent_1\n404 None\n400 None\nevent: call_ended\n204\n400",
    ),
    "faststream": (["faststream.redis"], "", rf"(order-1042 {NUMBER})\n\1"),
    "flask": (["flask"], FLASK, "1\n200 agent_1\n404 None"),
    "litestar": (["litestar"], LITESTAR, "1\n200 agent_1\n404 None"),
    "moving": ([], "", r"(Desk \d done\n?){10}"),
    "opentelemetry": (
        ["opentelemetry.sdk", "sigmamind_async.integrations.opentelemetry"],
        "",
        r"POST.* child\nsigmamind.create_phone_number root",
    ),
    "prometheus": (
        ["prometheus_client"],
        "",
        r'(?s).*calls_total\{operation="sigmamind.create_phone_number",result="done"\} 1\.0.*',
    ),
    "sentry": (["sentry_sdk"], "", r"fatal \['OutcomeUnknownError', '.*'\] unknown"),
    "taskiq": (["taskiq"], "", rf"\{{'{NUMBER}'\}}"),
    "tenants": ([], "", "2 numbers for 2 tenants"),
}
"""By page: what it needs, what a test adds to its program, and what that prints."""

DELIVERED_AGAIN = {"arq", "celery", "faststream", "taskiq"}
"""Pages whose program delivers one order several times."""


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_does_what_it_says(name: str, box: Sandbox, tmp_path: Path) -> None:
    packages, addition, expected = RECIPES[name]
    for package in packages:
        pytest.importorskip(package)

    output = output_of(program_of(name) + addition, tmp_path, box)

    assert re.fullmatch(expected, output.strip())
    if name in DELIVERED_AGAIN:
        assert len(box.ledger.purchases) == 1


def test_a_cell_of_a_notebook_may_await(box: Sandbox, tmp_path: Path) -> None:
    cell = (
        "import ast, asyncio\n"
        f"code = compile({program_of('notebooks')!r}, 'cell', 'exec',"
        " ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)\n"
        "asyncio.run(eval(code))\n"
    )

    assert output_of(cell, tmp_path, box) == "0 numbers, 0 without agent\n"


def test_a_data_frame_becomes_a_fleet(box: Sandbox, tmp_path: Path) -> None:
    for package in ("pandas", "polars"):
        pytest.importorskip(package)

    output = output_of(program_of("notebooks", 1), tmp_path, box)

    assert re.fullmatch(r"\{'Support': 3\}\n3 rows for: .*\n", output)


MANIFESTS = {"recipes/kubernetes": "manifest", "how-to/scripts": "workflow"}


@pytest.mark.parametrize("name", MANIFESTS)
def test_the_manifests_are_yaml_and_their_commands_are_ours(name: str) -> None:
    text = (FOLDER.parent / f"{name}.md").read_text(encoding="utf-8")
    [block] = re.findall(rf"^```yaml {MANIFESTS[name]}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    manifest = yaml.safe_load(block)
    if name == "recipes/kubernetes":
        [container] = manifest["spec"]["template"]["spec"]["containers"]
        _, *words = container["command"]
    else:
        line = manifest["jobs"]["plan"]["steps"][-1]["run"]
        _, *words = shlex.split(line.partition(">")[0])

    command, rest = find_command(words)
    bind(command, rest)


async def test_the_procrastinate_worker_buys_once(
    box: Sandbox, postgres: Server, tmp_path: Path
) -> None:
    async with prepared(postgres) as base:
        output = output_of(program_of("procrastinate"), tmp_path, box, DATABASE_URL=base.dsn)

    [number] = box.ledger.owned()
    assert output == f"order-1042 done {number}\n"
    assert len(box.ledger.purchases) == 1


async def test_the_procrastinate_app_carries_out_both_kinds_of_tasks(
    box: Sandbox, postgres: Server, tmp_path: Path
) -> None:
    async with prepared(postgres) as base:
        program = program_of("procrastinate", 1)
        output = output_of(program, tmp_path, box, DATABASE_URL=base.dsn)

    [number] = box.ledger.owned()
    assert output.splitlines() == ["welcome acme", f"order-1042 done {number}"]


@contextmanager
def redis_url() -> Iterator[str]:
    """Start a server of this test alone; skip where none is installed."""
    pytest.importorskip("redis")
    server = shutil.which("redis-server")
    if server is None:
        pytest.skip("needs redis-server")
    port = free_port()
    process = subprocess.Popen([server, "--bind", "127.0.0.1", "--port", str(port), "--save", ""])
    try:
        while process.poll() is None and not is_open(port):
            time.sleep(0.02)
        yield f"redis://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_the_redis_consumer_buys_once(box: Sandbox, tmp_path: Path) -> None:
    with redis_url() as url:
        output = output_of(program_of("redis-streams"), tmp_path, box, REDIS_URL=url)

    assert len(output.splitlines()) == 2
    assert len(set(output.splitlines())) == 1
    assert len(box.ledger.purchases) == 1


# ---------------------------------------------------------------- queues on a real Redis

ENQUEUE = """
import asyncio, os
from arq import create_pool
from arq.connections import RedisSettings

async def main():
    redis = await create_pool(RedisSettings.from_dsn(os.environ["REDIS_URL"]))
    for n in range(2):
        await redis.enqueue_job("buy", "order-1042", "US", _job_id=f"job-{n}")

asyncio.run(main())
"""


def test_an_arq_worker_buys_once(box: Sandbox, tmp_path: Path) -> None:
    pytest.importorskip("arq")
    (tmp_path / "page.py").write_text(program_of("arq"))
    worker = ["-m", "arq", "page.WorkerSettings", "--burst"]
    with redis_url() as url:
        output_of_command(["-c", ENQUEUE], tmp_path, box, REDIS_URL=url)
        output_of_command(worker, tmp_path, box, REDIS_URL=url)
        left = output_of_command(["-c", LEFT.format("arq:queue")], tmp_path, box, REDIS_URL=url)

    assert left == "0\n"
    assert len(box.ledger.purchases) == 1


LEFT = """
import os
from redis import Redis
print(Redis.from_url(os.environ["REDIS_URL"]).zcard("{}"))
"""


PUBLISH = """
import asyncio, os, page
from redis.asyncio import Redis

async def main():
    redis = Redis.from_url(os.environ["REDIS_URL"])
    while not await redis.exists("orders") or not await redis.xinfo_groups("orders"):
        await asyncio.sleep(0.05)
    async with page.RedisBroker(os.environ["REDIS_URL"]) as broker:
        for _ in range(2):
            await broker.publish({"id": "order-1042", "country": "US"}, stream="orders")
    await redis.aclose()

asyncio.run(main())
"""


def test_a_faststream_subscriber_buys_once(box: Sandbox, tmp_path: Path) -> None:
    pytest.importorskip("faststream.redis")
    (tmp_path / "page.py").write_text(program_of("faststream"))
    run = "import asyncio, page; asyncio.run(page.app.run())"
    with redis_url() as url, serving(["-c", run], tmp_path, box, url) as worker:
        output_of_command(["-c", PUBLISH], tmp_path, box, REDIS_URL=url)
        assert worker.stdout is not None
        lines = (line for line in worker.stdout if line.startswith("order-1042"))
        first, second = next(lines), next(lines)

    assert first == second
    assert len(box.ledger.purchases) == 1


def test_a_taskiq_worker_buys_once(box: Sandbox, tmp_path: Path) -> None:
    pytest.importorskip("taskiq_redis")
    program = program_of("taskiq").replace(
        "broker = InMemoryBroker()",
        "import os\nfrom taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker\n"
        "url = os.environ['REDIS_URL']\n"
        "broker = RedisStreamBroker(url).with_result_backend(RedisAsyncResultBackend(url))",
    )
    (tmp_path / "page.py").write_text(program)
    worker = ["-m", "taskiq", "worker", "page:broker", "--workers", "1"]
    with redis_url() as url, serving(worker, tmp_path, box, url):
        output = output_of(program, tmp_path, box, REDIS_URL=url)

    assert re.fullmatch(rf"\{{'{NUMBER}'\}}\n", output)
    assert len(box.ledger.purchases) == 1


@contextmanager
def serving(
    command: list[str], folder: Path, box: Sandbox, url: str
) -> Iterator[subprocess.Popen[str]]:
    """Run Python with *command* until the block ends."""
    with preloaded.Popen(
        [sys.executable, *command],
        cwd=folder,
        env=environment_of(box, REDIS_URL=url),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.terminate()


def test_a_broken_program_would_be_found(box: Sandbox, tmp_path: Path) -> None:
    """The negative control."""
    program = program_of("aiohttp").replace("web.AppKey", "web.AppLock")

    with pytest.raises(AssertionError, match="AppLock"):
        output_of(program, tmp_path, box)
