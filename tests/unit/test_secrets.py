"""Planted secrets, and every place from which one could escape: found in none.

The API key and a trunk's password are canaries. Each sink gives back what a log, a crash report, a
queue or another process would get to see.
"""

from __future__ import annotations

import asyncio
import base64
import copy
import csv
import html
import io
import json
import logging
import pickle
import pprint
import reprlib
import string
import traceback
from collections.abc import Awaitable, Callable, Iterator
from types import FrameType, TracebackType
from typing import Any, cast
from urllib.parse import quote

import attrs
import cattrs
import orjson
import pytest

from sigmamind_async import SigmaMind, sync
from sigmamind_async.bulk import BulkRun
from sigmamind_async.convert import body_of, dump_json, structure
from sigmamind_async.errors import OutcomeUnknownError, SigmaMindError
from sigmamind_async.events import Event
from sigmamind_async.operation import Response
from sigmamind_async.platforms.sigmamind.models import (
    ImportPhoneNumber,
    PhoneNumber,
    UpdatePhoneNumber,
)
from sigmamind_async.platforms.sigmamind.operations import import_phone_number
from sigmamind_async.testing import FakeClock, ScriptedTransport, fault, in_fake_time, reply
from sigmamind_async.transport import HttpRequest
from sigmamind_async.values import Secret

KEY = "sk-canary-0123456789"
PASSWORD = 'pw"canary\\9876543210'
"""With a quote and a backslash, which JSON spells otherwise."""
SPELLINGS = (
    KEY,
    PASSWORD,
    json.dumps(PASSWORD)[1:-1],
    repr(PASSWORD)[1:-1],
    PASSWORD.replace('"', '""'),  # as CSV doubles it
    base64.b64encode(f"user:{PASSWORD}".encode()).decode(),
    quote(PASSWORD),
    html.escape(PASSWORD),
)

NUMBER = "+14155552671"


def leaked(seen: object) -> bool:
    text = seen.decode(errors="replace") if isinstance(seen, bytes) else str(seen)
    return any(spelling in text for spelling in SPELLINGS)


# ---------------------------------------------------------------- a value outside the library


@attrs.frozen
class Careless:
    """What one would write without `Secret`."""

    trunk_password: str = attrs.field(repr=False)


def logged(value: object) -> str:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    logger = logging.getLogger("tests.sink")
    logger.addHandler(handler)
    logger.warning("%s %r", value, value)
    logger.removeHandler(handler)
    return stream.getvalue()


def written_as_csv(value: Any) -> str:
    stream = io.StringIO()
    csv.writer(stream).writerow(attrs.astuple(value))
    return stream.getvalue()


def crashed_with(value: Any) -> str:
    """Return a crash report that shows the locals of each frame."""

    def fail(held: object) -> None:
        raise RuntimeError("anything")

    try:
        fail(value.trunk_password)
    except RuntimeError as error:
        return "".join(
            traceback.TracebackException.from_exception(error, capture_locals=True).format()
        )
    raise AssertionError


VALUE_SINKS: dict[str, Callable[[Any], object]] = {
    "repr": repr,
    "str": str,
    "format": format,
    "f-string": lambda value: f"{value} {value!r} {value!s}",
    "percent": lambda value: f"{value!s:>9}" + "%s %r" % (value, value),  # noqa: UP031 - the case
    "template": lambda value: string.Template("$v").substitute(v=value),
    "reprlib": reprlib.repr,
    "pprint": pprint.pformat,
    "logging": logged,
    "repr of the field": lambda value: repr(value.trunk_password),
    "str of the field": lambda value: str(value.trunk_password),
    "format of the field": lambda value: f"{value.trunk_password:>40}",
    "attrs.asdict": attrs.asdict,
    "attrs.astuple": attrs.astuple,
    "attrs.asdict without recursion": lambda value: attrs.asdict(value, recurse=False),
    "cattrs": lambda value: cattrs.Converter().unstructure(value),
    "pickle": pickle.dumps,
    "pickle of the oldest protocol": lambda value: pickle.dumps(value, 0),
    "copy": lambda value: repr(copy.copy(value)),
    "deepcopy": lambda value: repr(copy.deepcopy(attrs.asdict(value))),
    "hash": lambda value: {value: 1},
    "json": lambda value: json.dumps(attrs.asdict(value)),
    "json with a default": lambda value: json.dumps(attrs.asdict(value), default=str),
    "orjson": lambda value: orjson.dumps(attrs.asdict(value)),
    "orjson with a default": lambda value: orjson.dumps(attrs.asdict(value), default=repr),
    "csv": written_as_csv,
    "vars": lambda value: vars(value.trunk_password),
    "a crash report with locals": crashed_with,
    "an exception's arguments": lambda value: repr(ValueError(value)),
}


def poured(value: object, sink: Callable[[Any], object]) -> object:
    """Return what comes out of *sink*, or what its refusal says."""
    try:
        return sink(value)
    except (TypeError, AttributeError) as refusal:
        return f"{refusal!r} {refusal.__context__!r}"


@pytest.mark.parametrize("sink", VALUE_SINKS)
def test_a_request_value_leaks_nothing(sink: str) -> None:
    for value in (
        ImportPhoneNumber(phone_number=NUMBER, trunk_password=PASSWORD),
        UpdatePhoneNumber(phone_number=NUMBER, trunk_password=Secret(PASSWORD)),
    ):
        assert not leaked(poured(value, VALUE_SINKS[sink]))


def test_the_control_a_text_that_is_only_hidden_from_repr_leaks_in_many() -> None:
    careless = Careless(PASSWORD)
    leaks = {name for name, sink in VALUE_SINKS.items() if leaked(poured(careless, sink))}

    assert leaks >= {"attrs.asdict", "attrs.astuple", "cattrs", "pickle", "json", "csv"}
    assert len(leaks) >= 12


def test_the_control_the_password_does_reach_the_platform() -> None:
    value = ImportPhoneNumber(phone_number=NUMBER, trunk_password=PASSWORD)

    assert leaked(dump_json(body_of(value)))


# ---------------------------------------------------------------- a call through the engine

ECHO = json.dumps({"message": f"bad key {KEY}", "error": PASSWORD, "input": [KEY, PASSWORD]})
SCRIPTS: dict[str, list[Any]] = {
    "rejected, key and password repeated": [Response(status=422, body=ECHO.encode())],
    "401, key repeated as text": [Response(status=401, body=f"{KEY} {PASSWORD}".encode())],
    "422, spelled in every way": [
        Response(
            status=422, body=json.dumps({"message": [*SPELLINGS], "error": SPELLINGS[-1]}).encode()
        )
    ],
    "500, key repeated": [Response(status=500, body=ECHO.encode()), reply(404)],
    "lost": [fault(), fault(), fault(), fault()],
    "lost, and then found otherwise": [fault(), reply(json={"sipPhoneNumber": "+1"})],
    "unreadable": [Response(status=201, body=ECHO.encode()[:-1]), reply(404)],
    "of a wrong type": [reply(201, {"sipPhoneNumber": [PASSWORD]}), reply(404)],
    "redirected": [Response(status=302, headers={"location": f"https://evil.test/{KEY}"})],
}


async def failed(script: list[Any], clock: FakeClock, seen: list[Event]) -> SigmaMindError:
    transport = ScriptedTransport(script)
    client = SigmaMind(KEY, transport=transport, observer=seen.append)
    with pytest.raises(SigmaMindError) as caught:
        await in_fake_time(client, clock).phone_numbers.import_(
            NUMBER, trunk_username="u", trunk_password=PASSWORD
        )
    return caught.value


def frames(error: BaseException) -> Iterator[FrameType]:
    """Give each frame that a crash reporter would look at: ours, not those of the test."""
    step: TracebackType | None = error.__traceback__
    while step is not None:
        if step.tb_frame.f_code.co_filename != __file__:
            yield step.tb_frame
        step = step.tb_next


def texts_in(held: object, depth: int = 4) -> Iterator[str]:
    """Give every text reachable from *held*, without asking a `Secret` for its own."""
    if isinstance(held, str | bytes):
        yield str(held)
    elif isinstance(held, Secret) or depth == 0:
        return
    elif isinstance(held, dict):
        for each in (*held.keys(), *held.values()):
            yield from texts_in(each, depth - 1)
    elif isinstance(held, list | tuple | set):
        for each in held:
            yield from texts_in(each, depth - 1)
    elif attrs.has(kind := cast("type[Any]", type(held))):
        for field in attrs.fields(kind):
            yield from texts_in(getattr(held, field.name, None), depth - 1)


ERROR_SINKS: dict[str, Callable[[BaseException], object]] = {
    "str": str,
    "repr": repr,
    "args": lambda error: error.args,
    "attributes": lambda error: list(texts_in(vars(error))),
    "notes": lambda error: getattr(error, "__notes__", ()),
    "pickle": pickle.dumps,
    "deepcopy": lambda error: repr(vars(copy.deepcopy(error))),
    "cause and context": lambda error: (error.__cause__, error.__context__),
    "traceback": lambda error: "".join(traceback.format_exception(error)),
    "crash report with locals": lambda error: "".join(
        traceback.TracebackException.from_exception(error, capture_locals=True, limit=-8).format()
    ),
    "locals of our frames": lambda error: [
        text for frame in frames(error) for text in texts_in(dict(frame.f_locals))
    ],
    "logging": logged,
}


@pytest.mark.parametrize("script", SCRIPTS)
async def test_an_error_leaks_nothing(script: str, clock: FakeClock) -> None:
    error = await failed(SCRIPTS[script], clock, [])

    assert [sink for sink, shown in ERROR_SINKS.items() if leaked(shown(error))] == []


@pytest.mark.parametrize("script", SCRIPTS)
async def test_events_and_their_log_leak_nothing(
    script: str, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[Event] = []
    with caplog.at_level(logging.DEBUG):
        await failed(SCRIPTS[script], clock, seen)

    assert seen
    assert len(caplog.records) >= len(seen)
    assert not leaked([*map(repr, seen), *map(str, seen), caplog.text])


def test_the_control_the_walk_over_frames_finds_what_is_there() -> None:
    def careless(password: str) -> None:
        raise OutcomeUnknownError(str(len(password)))

    with pytest.raises(OutcomeUnknownError) as caught:
        careless(PASSWORD)
    step = caught.value.__traceback__
    assert step is not None
    assert step.tb_next is not None

    assert leaked(list(texts_in(dict(step.tb_next.tb_frame.f_locals))))


# ---------------------------------------------------------------- settings, and blocking clients


def blocking_client() -> sync.SigmaMind:
    return sync.SigmaMind("sk-test", transport=ScriptedTransport([reply(422), reply(422)]))


def import_blocking(**fields: Any) -> None:
    blocking_client().phone_numbers.import_(NUMBER, trunk_username="u", **fields)


REFUSED: dict[str, Callable[[], object]] = {
    "key": lambda: SigmaMind(api_key=KEY, base_url="http://platform.example"),
    "key, unknown setting": lambda: cast("Any", SigmaMind)(api_key=KEY, wrong=1),
    "another key": lambda: SigmaMind("sk-test").with_options(api_key=KEY, deadline=-1),
    "key, blocking": lambda: sync.SigmaMind(KEY, base_url="http://platform.example"),
    "key, session, blocking": lambda: sync.SigmaMind(api_key=KEY, session=cast("Any", 1)),
    "another key, blocking": lambda: blocking_client().with_options(api_key=KEY, deadline=-1),
    "database, blocking": lambda: sync.PostgresJournal(f"postgresql://u:{KEY}@h/x", timeout=-1),
    "password, blocking": lambda: import_blocking(trunk_password=PASSWORD),
    "wrong password, blocking": lambda: import_blocking(trunk_password=f"{PASSWORD}\ud800"),
    "misspelled password, blocking": lambda: import_blocking(trunk_pasword=PASSWORD),
    "body, blocking": lambda: blocking_client().request("POST", "/v1/x", json={"pass": PASSWORD}),
}


@pytest.mark.parametrize("case", REFUSED)
def test_no_frame_holds_a_secret_that_was_passed(case: str) -> None:
    with pytest.raises((SigmaMindError, TypeError)) as caught:
        REFUSED[case]()

    ours = [*frames(caught.value)]
    assert ours
    assert not leaked([text for frame in ours for text in texts_in(dict(frame.f_locals))])


# ---------------------------------------------------------------- everything else that can be shown


def client_of(script: Any) -> SigmaMind:
    return SigmaMind(KEY, transport=ScriptedTransport(script))


def an_operation() -> object:
    value = ImportPhoneNumber(phone_number=NUMBER, trunk_password=PASSWORD)
    return import_phone_number(value)


async def a_request_under_way() -> object:
    class Hanging(ScriptedTransport):
        async def send(self, outgoing: HttpRequest, mark: Any, seconds: float) -> Any:
            mark.connected = True
            await asyncio.Event().wait()

    client = SigmaMind(KEY, transport=Hanging([]))
    call = client.phone_numbers.import_(NUMBER, trunk_password=PASSWORD)
    task = asyncio.ensure_future(call)
    await asyncio.sleep(0.1)
    shown = repr(task)
    task.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    return shown, caught.value.args, getattr(caught.value, "__notes__", ())


async def the_request_as_it_left() -> object:
    transport = ScriptedTransport([reply(json={"sipPhoneNumber": NUMBER})])
    await SigmaMind(KEY, transport=transport).phone_numbers.import_(NUMBER, trunk_password=PASSWORD)
    assert leaked(transport.sent[0].body)
    return repr(transport.sent)


async def outcomes_of_a_job() -> object:
    value = ImportPhoneNumber(phone_number=NUMBER, trunk_password=PASSWORD)
    result = await client_of([fault(), reply(404)]).phone_numbers.import_many([value])
    return repr(result), [list(texts_in(vars(each.error))) for each in result.outcomes]


async def a_job_that_was_left() -> object:
    value = ImportPhoneNumber(phone_number=NUMBER, trunk_password=PASSWORD)
    run: BulkRun[Any, Any] = client_of(lambda _: reply(json={})).run_many([value] * 50)
    async for _ in run:
        break
    await asyncio.sleep(0.1)
    return repr(run.undelivered)


async def a_record_that_repeats_the_password() -> object:
    number = structure({"sipPhoneNumber": NUMBER, "trunkPassword": PASSWORD}, PhoneNumber)
    return repr(number), repr(number.extra), attrs.asdict(number)


async def a_password_that_is_too_long() -> object:
    with pytest.raises(SigmaMindError) as caught:
        ImportPhoneNumber(phone_number=NUMBER, trunk_password=Secret(PASSWORD * 10))
    return [sink(caught.value) for sink in ERROR_SINKS.values()]


async def a_wrong_number_beside_a_password() -> object:
    with pytest.raises(SigmaMindError) as caught:
        await client_of([]).phone_numbers.import_("nonsense", trunk_password=PASSWORD)
    return [sink(caught.value) for sink in ERROR_SINKS.values()]


async def a_wrong_change_for_many() -> object:
    with pytest.raises(SigmaMindError) as caught:
        await client_of([]).phone_numbers.update_many(
            [NUMBER], trunk_password=PASSWORD, friendly_name="x" * 129
        )
    return [sink(caught.value) for sink in ERROR_SINKS.values()]


async def a_value_that_is_refused() -> object:
    """Made by the caller, from a plain text that no method of a client has wrapped."""
    with pytest.raises(SigmaMindError) as caught:
        UpdatePhoneNumber(phone_number=NUMBER, trunk_password=PASSWORD, friendly_name="x" * 129)
    return [sink(caught.value) for sink in ERROR_SINKS.values()]


async def a_misspelt_change_for_many() -> object:
    wrong: dict[str, Any] = {"freindly_name": "x"}
    with pytest.raises(TypeError) as caught:
        await client_of([]).phone_numbers.update_many([NUMBER], trunk_password=PASSWORD, **wrong)
    names = ("traceback", "crash report with locals", "locals of our frames")
    return [ERROR_SINKS[name](cast("SigmaMindError", caught.value)) for name in names]


async def a_wrong_key_for_many() -> object:
    result = await client_of([]).phone_numbers.update_many(["415"], trunk_password=PASSWORD)
    [outcome] = result.outcomes
    assert isinstance(outcome.error, SigmaMindError)
    return [sink(outcome.error) for sink in ERROR_SINKS.values()]


async def a_body_that_cannot_be_written() -> object:
    with pytest.raises(SigmaMindError) as caught:
        await client_of([]).phone_numbers.import_(NUMBER, trunk_password=PASSWORD + "\ud800")
    return [sink(caught.value) for sink in ERROR_SINKS.values()]


async def a_key_that_cannot_be_used() -> object:
    with pytest.raises(SigmaMindError) as caught:
        SigmaMind(f"{KEY}\n")
    return str(caught.value), repr(caught.value), vars(caught.value)


async def a_base_url_with_a_password() -> object:
    with pytest.raises(SigmaMindError) as caught:
        SigmaMind(KEY, base_url=f"https://user:{KEY}@proxy.test")
    return str(caught.value), repr(caught.value), vars(caught.value)


async def a_client() -> object:
    client = client_of([])
    engine = client._runner.engine  # noqa: SLF001 - what a crash report would reach
    return repr(client), repr(engine), repr(vars(client)), repr(an_operation())


OTHER_SINKS: list[Callable[[], Awaitable[object]]] = [
    a_request_under_way,
    the_request_as_it_left,
    outcomes_of_a_job,
    a_job_that_was_left,
    a_record_that_repeats_the_password,
    a_password_that_is_too_long,
    a_wrong_number_beside_a_password,
    a_wrong_change_for_many,
    a_value_that_is_refused,
    a_misspelt_change_for_many,
    a_wrong_key_for_many,
    a_body_that_cannot_be_written,
    a_key_that_cannot_be_used,
    a_base_url_with_a_password,
    a_client,
]


@pytest.mark.parametrize("sink", OTHER_SINKS)
async def test_nothing_else_leaks(sink: Callable[[], Awaitable[object]]) -> None:
    assert not leaked(await sink())


def test_there_are_many_sinks() -> None:
    assert len(VALUE_SINKS) + len(ERROR_SINKS) + len(OTHER_SINKS) >= 50
