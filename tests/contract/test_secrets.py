"""Neither key nor password leaves for another address, or is in anything that is raised or logged.

`error_of` searches every error of this suite, its frames included.
"""

from __future__ import annotations

import copy
import logging
import pickle
import traceback

import aiohttp
import attrs
import pytest

from sigmamind_async.convert import dump_json
from sigmamind_async.errors import SigmaMindError
from sigmamind_async.events import Event
from sigmamind_async.operation import Response
from sigmamind_async.sandbox import Fault, Sandbox
from sigmamind_async.testing import ScriptedTransport
from sigmamind_async.transport import HttpRequest
from tests.contract.conftest import QUICK, patience, switched
from tests.contract.dialects import WITH_SECRET, Dialect, Value
from tests.functional.faultserver import OK, FaultServer, always
from tests.functional.support import FAST, KEY, PASSWORD, error_of, leaks

NUMBER = "+14155550100"


def shows_secret(text: str) -> bool:
    return KEY in text or PASSWORD in text


# --- redirects -------------------------------------------------------------------------------

CALLS = ["buying", "importing", "update", "get", "list", "removing"]
REDIRECTS = [Fault.REDIRECT_307, Fault.REDIRECT_303_AFTER_COMMIT]


def update(dialect: Dialect) -> Value:
    """Return an update, with a secret where there is such a one."""
    if dialect.name in WITH_SECRET:
        return WITH_SECRET[dialect.name](NUMBER)
    return dialect.label(NUMBER, "x")


async def call(client: object, dialect: Dialect, what: str) -> None:
    values = {
        "buying": dialect.buy(NUMBER),
        "importing": dialect.import_(NUMBER),
        "update": update(dialect),
        "get": dialect.get(NUMBER),
        "removing": dialect.remove(NUMBER),
    }
    if what == "list":
        async for _ in dialect.list(client, 10):
            pass
    else:
        await client.run(values[what])  # type: ignore[attr-defined]


@pytest.mark.parametrize("what", CALLS)
@pytest.mark.parametrize("fault", REDIRECTS)
async def test_another_origin_receives_nothing(
    fault: Fault, what: str, box: Sandbox, dialect: Dialect
) -> None:
    box.list_lag = 60.0
    operation = getattr(dialect, what) if what.endswith("ing") else what
    async with FaultServer(always(OK)) as other, dialect.connect(box) as client:
        box.faults = attrs.evolve(QUICK, redirect_to=other.url)
        box.script(operation, [fault], platform=dialect.name)
        error = await error_of(call(client, dialect, what))
    assert other.connections == 0
    assert error.status == (307 if fault is Fault.REDIRECT_307 else 303)


async def test_a_client_that_follows_takes_the_secret_along(box: Sandbox, dialect: Dialect) -> None:
    request = dialect.operation(dialect.import_(NUMBER)).request
    endpoint = dialect.endpoint(box)
    key = {"X-API-Key": endpoint.api_key} | {"Authorization": f"Bearer {endpoint.api_key}"}
    async with FaultServer(always(OK)) as other, aiohttp.ClientSession() as session:
        box.faults = attrs.evolve(QUICK, redirect_to=other.url)
        box.script(dialect.importing, [Fault.REDIRECT_307], platform=dialect.name)
        url, body = endpoint.base_url + request.path, dump_json(request.json)
        await session.post(url, headers={**key, "Content-Type": "application/json"}, data=body)
    assert PASSWORD.encode() in other.received[0].body
    assert other.received[0].headers["x-api-key"] == endpoint.api_key


# --- errors ----------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", sorted(set(Fault) - {Fault.GZIP_BOMB, Fault.STATUS_429}))
async def test_no_error_event_or_log_carries_a_secret(
    fault: Fault, box: Sandbox, dialect: Dialect, caplog: pytest.LogCaptureFixture
) -> None:
    """Nor does its copy, its pickle or its traceback."""
    seen: list[Event] = []
    box.list_lag = 60.0
    box.script(dialect.importing, [fault], platform=dialect.name)
    with caplog.at_level(logging.DEBUG):
        async with dialect.connect(
            box, attempt_timeout=patience(fault), observer=seen.append
        ) as client:
            error = await error_of(client.run(dialect.import_(NUMBER)))
    shown = "".join(traceback.format_exception(error)) + repr(seen) + caplog.text + repr(client)
    assert isinstance(error, SigmaMindError)
    assert seen
    assert not shows_secret(shown)
    for twin in (copy.deepcopy(error), pickle.loads(pickle.dumps(error))):
        assert leaks(twin) == []


@pytest.mark.parametrize("status", [200, 400, 401, 404, 409, 422, 500])
async def test_an_answer_that_repeats_the_request_is_masked(status: int, dialect: Dialect) -> None:
    """As some debug pages do, with the key and the body."""

    def echo(sent: HttpRequest) -> Response:
        echo = f"{dict(sent.headers)} {(sent.body or b'').decode()}"
        return Response(status=status, body=echo.encode())

    transport = ScriptedTransport(echo)
    client = dialect.client(f"{KEY}:s3cret", transport=transport, retry=FAST)
    await error_of(client.run(dialect.import_(NUMBER)))
    if dialect.name in WITH_SECRET:
        await error_of(client.run(WITH_SECRET[dialect.name](NUMBER)))
    assert shows_secret(f"{transport.sent[0].headers}")


async def test_a_secret_that_comes_back_is_never_shown(box: Sandbox, dialect: Dialect) -> None:
    switched(box, dialect, echo_secrets=True)
    async with dialect.connect(box) as client:
        made = await client.run(dialect.import_(NUMBER))
        read = await client.run(dialect.get(dialect.key_of(made)))
        listed = [each async for each in dialect.list(client, 10)]
    assert not shows_secret(repr([made, read, listed, attrs.asdict(read), read.extra]))


# --- the control -----------------------------------------------------------------------------


async def test_the_search_finds_what_another_library_raises(box: Sandbox, dialect: Dialect) -> None:
    endpoint = dialect.endpoint(box)
    headers = dialect.client.platform.authorize(_Plain(endpoint.api_key + "x"))  # type: ignore[arg-type]
    async with aiohttp.ClientSession(raise_for_status=True) as session:
        path = dialect.operation(dialect.get(NUMBER)).request.path
        with pytest.raises(aiohttp.ClientResponseError) as caught:
            await session.get(endpoint.base_url + path, headers=headers)
    assert leaks(caught.value) != []


@attrs.frozen
class _Plain:
    text: str

    def reveal(self) -> str:
        return self.text
