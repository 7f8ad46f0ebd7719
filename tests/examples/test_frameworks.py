"""Programs of web frameworks and task queues run against the sandbox, where they are installed."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sigmamind_async.sandbox import Sandbox, SandboxThread
from tests.harness import preloaded

FASTAPI = """
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Body, FastAPI, Request
from fastapi.testclient import TestClient

from sigmamind_async import SigmaMind
from sigmamind_async.platforms.sigmamind import CreatePhoneNumber, PhoneNumber


@asynccontextmanager
async def lifespan(app: FastAPI):
    async with SigmaMind() as client:
        app.state.client = client
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/numbers")
async def buy(request: Request, value: Annotated[CreatePhoneNumber, Body()]) -> PhoneNumber:
    return await request.app.state.client.run(value)


@app.get("/numbers")
async def numbers(request: Request) -> list[PhoneNumber]:
    return [number async for number in request.app.state.client.phone_numbers.list()]


with TestClient(app) as web:
    show(web.post("/numbers", json={"country_code": "US", "friendly_name": "Desk"}).json())
    show(web.get("/numbers").json()[0])
    assert web.post("/numbers", json={"country_code": "usa"}).status_code == 422
"""

FASTAPI_BLOCKING = """
from fastapi import FastAPI
from fastapi.testclient import TestClient

from sigmamind_async.platforms.sigmamind import PhoneNumber
from sigmamind_async.sync import SigmaMind

app = FastAPI()
client = SigmaMind()


@app.post("/numbers")
def buy(label: str) -> PhoneNumber:  # FastAPI calls a plain function in a thread
    return client.phone_numbers.create(country_code="US", friendly_name=label)


@app.get("/numbers")
def numbers() -> list[PhoneNumber]:
    return list(client.phone_numbers.list())


with TestClient(app) as web:
    show(web.post("/numbers", params={"label": "Desk"}).json())
    show(web.get("/numbers").json()[0])
"""

DJANGO_SETTINGS = """
import json
import django
from django.conf import settings
from django.http import JsonResponse
from django.urls import path

settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="example")
django.setup()
"""

DJANGO_ASYNC = f"""{DJANGO_SETTINGS}
import asyncio
from django.test import AsyncClient, Client
from sigmamind_async import SigmaMind

client = SigmaMind()


async def numbers(request):
    if request.method == "POST":
        label = json.loads(request.body)["label"]
        number = await client.phone_numbers.create(country_code="US", friendly_name=label)
        return JsonResponse(number.to_dict())
    found = [number.to_dict() async for number in client.phone_numbers.list()]
    return JsonResponse({{"numbers": found}})


urlpatterns = [path("numbers", numbers)]


async def ask():
    return await AsyncClient().post("/numbers", {{"label": "Desk"}}, "application/json")


show(asyncio.run(ask()).json())  # as under ASGI
show(Client().get("/numbers").json()["numbers"][0])  # as under WSGI
"""

DJANGO_SYNC = f"""{DJANGO_SETTINGS}
import asyncio
from django.test import AsyncClient, Client
from sigmamind_async.sync import SigmaMind

client = SigmaMind()


def numbers(request):
    if request.method == "POST":
        label = json.loads(request.body)["label"]
        number = client.phone_numbers.create(country_code="US", friendly_name=label)
        return JsonResponse(number.to_dict())
    return JsonResponse({{"numbers": [each.to_dict() for each in client.phone_numbers.list()]}})


urlpatterns = [path("numbers", numbers)]


async def ask():
    return await AsyncClient().get("/numbers")


show(Client().post("/numbers", {{"label": "Desk"}}, "application/json").json())
show(asyncio.run(ask()).json()["numbers"][0])
"""

FLASK = """
from concurrent.futures import ThreadPoolExecutor

from flask import Flask, jsonify, request

from sigmamind_async import SigmaMindError
from sigmamind_async.sync import SigmaMind

app = Flask(__name__)
client = SigmaMind()  # one for the process; its threads share it


@app.post("/numbers")
def buy():
    label = request.get_json()["label"]
    return client.phone_numbers.create(country_code="US", friendly_name=label).to_dict()


@app.get("/numbers/<number>")
def look_up(number):
    return client.phone_numbers.get(number).to_dict()


@app.errorhandler(SigmaMindError)
def answer(error):
    status = getattr(error, "status", None) or (503 if error.retryable else 500)
    return jsonify(error=str(error)), status


bought = app.test_client().post("/numbers", json={"label": "Desk"}).json
show(bought)
with ThreadPoolExecutor(4) as pool:
    for shown in pool.map(lambda _: app.test_client().get(
        f"/numbers/{bought['sip_phone_number']}").json, range(8)):
        assert shown == bought
show(shown)
assert app.test_client().get("/numbers/+14155550199").status_code == 404
"""

CELERY = """
from celery import Celery
from celery.contrib.testing.worker import start_worker

from sigmamind_async import OutcomeUnknownError
from sigmamind_async.platforms.sigmamind import CreatePhoneNumber
from sigmamind_async.sync import Provisioner, SigmaMind, SqliteJournal

app = Celery("orders", broker="memory://", backend="cache+memory://")
app.conf.task_acks_late = True
client = SigmaMind()


@app.task(bind=True, max_retries=30)
def buy(self, op_id, label):
    with SqliteJournal("orders.db", shared=True) as journal:
        value = CreatePhoneNumber(country_code="US", friendly_name=label)
        try:
            return Provisioner(client, journal, settle_time=0.0).run(op_id, value).to_dict()
        except OutcomeUnknownError as error:
            raise self.retry(countdown=0, exc=error)  # safe: the id is the same


with start_worker(app, pool="threads", concurrency=3, perform_ping_check=False):
    for result in [buy.delay("order-1042", "Desk") for _ in range(3)]:
        number = result.get(timeout=30)
        number["friendly_name"] = number["friendly_name"].partition(" ")[0]
    show(number)
    show(number)
"""

PRELUDE = """
import json

def show(number):
    print(json.dumps([number["sip_phone_number"], number["friendly_name"]]))
"""

PROGRAMS = {
    "fastapi": FASTAPI,
    "fastapi, plain functions": FASTAPI_BLOCKING,
    "django, async": DJANGO_ASYNC,
    "django, sync": DJANGO_SYNC,
    "flask": FLASK,
    "celery": CELERY,
}


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with SandboxThread(seed=1) as opened:
        yield opened


def run_program(program: str, box: Sandbox, folder: Path) -> list[object]:
    """Run a program in a process of its own; return what it shows."""
    (folder / "app.py").write_text(PRELUDE + program)
    end = box.sigmamind
    keys = {"SIGMAMIND_API_KEY": end.api_key, "SIGMAMIND_BASE_URL": end.base_url}
    done = preloaded.run(
        [sys.executable, "app.py"],
        cwd=folder,
        env={**os.environ, **keys},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_buys_once_and_shows_what_it_bought(
    name: str, box: Sandbox, tmp_path: Path
) -> None:
    pytest.importorskip(name.partition(",")[0])

    shown = run_program(PROGRAMS[name], box, tmp_path)

    [number] = box.ledger.owned()
    assert shown == [[number, "Desk"]] * 2
    assert len(box.ledger.purchases) == 1


def test_a_program_that_fails_would_be_found(box: Sandbox, tmp_path: Path) -> None:
    """The negative control."""
    pytest.importorskip("flask")
    with pytest.raises(AssertionError, match="no_such_method"):
        run_program(FLASK.replace("phone_numbers.create", "no_such_method"), box, tmp_path)
