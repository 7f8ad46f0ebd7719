"""What the clients share: settings, checked when the client is made, and running values."""

from __future__ import annotations

import asyncio
import copy
import inspect
import pickle
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from yarl import URL

from sigmamind_async import Gate, RetryPolicy, Secret, SigmaMind
from sigmamind_async.errors import (
    AuthenticationError,
    ConfigurationError,
    InvalidRequestError,
    ResponseDecodeError,
    ServerError,
)
from sigmamind_async.events import CallFinished, Event
from sigmamind_async.operation import ConnectionFlag
from sigmamind_async.platforms.sigmamind.models import GetPhoneNumber, PhoneNumber
from sigmamind_async.testing import FakeClock, ScriptedTransport, in_fake_time, reply
from sigmamind_async.testing.doubles import Script
from sigmamind_async.transport import HttpRequest

NUMBER = "+14155552671"
GET = GetPhoneNumber(phone_number=NUMBER)


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SIGMAMIND_API_KEY", "SIGMAMIND_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


def client(script: Script = (), **settings: Any) -> tuple[SigmaMind, ScriptedTransport]:
    transport = ScriptedTransport(script)
    return SigmaMind("sk-test", transport=transport, **settings), transport


# ---------------------------------------------------------------- key


async def test_the_key_comes_from_the_environment_where_none_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SIGMAMIND_API_KEY", "sk-environment")
    transport = ScriptedTransport([reply(json={"sipPhoneNumber": NUMBER})])
    await SigmaMind(transport=transport).run(GET)

    assert transport.sent[0].headers["X-API-Key"] == "sk-environment"


@pytest.mark.parametrize("key", ["sk-given", Secret("sk-given")])
async def test_a_given_key_comes_before_the_environment(
    key: str | Secret, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGMAMIND_API_KEY", "sk-environment")
    transport = ScriptedTransport([reply(json={"sipPhoneNumber": NUMBER})])
    await SigmaMind(key, transport=transport).run(GET)

    assert transport.sent[0].headers["X-API-Key"] == "sk-given"


async def test_a_key_may_be_supplied_and_is_asked_for_again_after_a_401() -> None:
    keys = iter(["old", "new"])

    async def provider() -> str:
        return next(keys)

    transport = ScriptedTransport([reply(401), reply(json={"sipPhoneNumber": NUMBER})])
    await SigmaMind(provider, transport=transport).run(GET)

    assert [sent.headers["X-API-Key"] for sent in transport.sent] == ["old", "new"]


@pytest.mark.parametrize("text", ["", None])
def test_without_a_key_there_is_no_client(
    text: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if text is not None:
        monkeypatch.setenv("SIGMAMIND_API_KEY", text)
    with pytest.raises(ConfigurationError, match="set SIGMAMIND_API_KEY in the environment"):
        SigmaMind()


@pytest.mark.parametrize(
    "key", ["sk-1\n", "sk\r\nX-Evil: 1", " sk-1", "", "sk-é", "'sk-1'", '"sk-1"']
)
def test_a_key_that_cannot_stand_in_a_header_is_refused_and_not_repeated(key: str) -> None:
    with pytest.raises(ConfigurationError, match="api_key") as caught:
        SigmaMind(key)

    assert "sk" not in str(caught.value)


# ---------------------------------------------------------------- base URL


@pytest.mark.parametrize(
    ("given", "used"),
    [
        (None, "https://api.sigmamind.ai"),
        ("", "https://api.sigmamind.ai"),
        ("https://proxy.test", "https://proxy.test"),
        ("https://proxy.test/", "https://proxy.test"),
        ("https://proxy.test:8443/acme/", "https://proxy.test:8443/acme"),
        ("https://Proxy.Test/Acme~1/a_b-c.d", "https://Proxy.Test/Acme~1/a_b-c.d"),
        ("https://proxy.test/a%20b", "https://proxy.test/a%20b"),
        ("https://proxy.test/v10", "https://proxy.test/v10"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://127.8.9.1", "http://127.8.9.1"),
        ("http://[::1]:8080/x", "http://[::1]:8080/x"),
        ("http://localhost", "http://localhost"),
        ("HTTPS://proxy.test", "https://proxy.test"),
    ],
)
def test_a_base_url_is_an_origin_with_an_optional_prefix(given: str | None, used: str) -> None:
    assert repr(SigmaMind("sk", base_url=given)) == f"SigmaMind(base_url={used!r})"


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("http://api.sigmamind.ai", "needs https"),
        ("http://10.0.0.1", "needs https"),
        ("http://0x7f000001", "needs https"),
        ("http://2130706433", "needs https"),
        ("http://127.1", "needs https"),
        ("http://127.0.0.1.evil.test", "needs https"),
        ("http://localhost.evil.test", "needs https"),
        ("http://[::2]", "needs https"),
        ("ftp://proxy.test", "needs https"),
        ("file:///etc/passwd", "needs https"),
        ("proxy.test", "needs https"),
        ("//proxy.test", "needs https"),
        ("https://proxy..test", "that is not a valid name"),
        ("https://.proxy.test", "that is not a valid name"),
        (f"https://{'p' * 64}.test", "that is not a valid name"),
        ("https://user:hunter2@proxy.test", "user name or password"),
        ("https://user@proxy.test", "user name or password"),
        ("https://@proxy.test", "user name or password"),
        ("https://proxy.test\\@evil.test", "user name or password"),
        ("https://", "has no host"),
        ("https:///v2", "has no host"),
        ("https://api.sigmаmind.ai", "ASCII letters"),  # noqa: RUF001 - a Cyrillic "a"
        ("https://api.sigmamind\u3002ai", "ASCII letters"),
        ("https://\u212a.test", "ASCII letters"),
        ("https://proxy_test", "ASCII letters"),
        ("https://proxy test", "ASCII letters"),
        ("https://proxy.test:0", "port"),
        ("https://proxy.test?key=hunter2", "query or a fragment"),
        ("https://proxy.test/?key=hunter2", "query or a fragment"),
        ("https://proxy.test/#hunter2", "query or a fragment"),
        ("https://proxy.test/a/../b", "not a plain prefix"),
        ("https://proxy.test/a b", "not a plain prefix"),
        ("https://proxy.test/a;b", "not a plain prefix"),
        ("https://proxy.test/é", "not a plain prefix"),
        ("https://proxy.test/v1", "ends with /v1"),
        ("https://proxy.test/acme/v1/", "ends with /v1"),
        ("https://proxy.test:99999", "is not a URL"),
        ("https://proxy.test:port", "is not a URL"),
        ("https://[::1", "is not a URL"),
        ("https://proxy.test\uff0fevil", "is not a URL"),
    ],
)
def test_any_other_base_url_is_refused_and_not_repeated(given: str, why: str) -> None:
    """A refused URL may hold a password, so the message shows only a good one."""
    with pytest.raises(ConfigurationError, match=f"base_url: .*{why}") as caught:
        SigmaMind("sk", base_url=given)

    assert "hunter2" not in str(caught.value)


def test_the_base_url_comes_from_the_environment_where_none_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SIGMAMIND_BASE_URL", "https://proxy.test")

    assert "proxy.test" in repr(SigmaMind("sk"))
    assert "other.test" in repr(SigmaMind("sk", base_url="https://other.test"))


def test_a_bad_base_url_of_the_environment_is_refused_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGMAMIND_BASE_URL", "http://proxy.test")
    with pytest.raises(ConfigurationError, match="needs https"):
        SigmaMind("sk")


# ---------------------------------------------------------------- other settings


@pytest.mark.parametrize("name", ["deadline", "attempt_timeout", "connect_timeout"])
@pytest.mark.parametrize("value", [0, -1, float("inf"), float("nan"), "5", None, True])
def test_times_are_finite_and_more_than_nothing(name: str, value: Any) -> None:
    fitting: dict[str, Any] = {name: 0.5}
    SigmaMind("sk", **fitting)
    with pytest.raises(ConfigurationError, match=f"{name}: must be"):
        SigmaMind("sk", **{name: value})


@pytest.mark.parametrize("value", [0, -1, 1.5, "3", None])
def test_connections_are_a_whole_number_from_1(value: Any) -> None:
    SigmaMind("sk", max_connections=1)
    with pytest.raises(ConfigurationError, match="max_connections"):
        SigmaMind("sk", max_connections=value)


@pytest.mark.parametrize(
    ("setting", "why"),
    [
        ({"base_url": URL("https://api.example")}, "base_url: must be a str, not of type URL"),
        ({"retry": 3}, "retry: must be a RetryPolicy, not of type int"),
        ({"retry": 0}, "retry: must be a RetryPolicy, not of type int"),
        ({"gate": Gate}, "gate: must be a Gate, not Gate"),
        ({"session": "shared"}, "session: str has no method 'request'"),
        ({"transport": object()}, "transport: object has no method 'send'"),
        ({"strict": "false"}, "strict: must be True or False"),
        ({"trust_env": "0"}, "trust_env: must be True or False"),
    ],
)
def test_a_setting_of_another_type_is_refused_before_the_first_call(
    setting: dict[str, Any], why: str
) -> None:
    with pytest.raises(ConfigurationError, match=f"^{why}$"):
        SigmaMind("sk", **setting)
    if setting.keys() <= {"retry", "gate", "strict"}:
        with pytest.raises(ConfigurationError, match=f"^{why}$"):
            client()[0].with_options(**setting)


def test_a_context_that_does_not_verify_is_refused() -> None:
    SigmaMind("sk", ssl=ssl.create_default_context())
    context = ssl.create_default_context()
    context.check_hostname = False
    with pytest.raises(ConfigurationError, match="must verify certificates"):
        SigmaMind("sk", ssl=context)


def test_a_client_is_made_without_loop_and_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("touched the network")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(asyncio, "get_running_loop", refuse)

    SigmaMind("sk").with_options(deadline=1.0)


def test_showing_a_client_shows_no_key() -> None:
    assert "sk-canary" not in repr(SigmaMind("sk-canary"))


def test_importing_names_from_the_package_gives_the_public_client() -> None:
    assert SigmaMind.__module__ == "sigmamind_async.platforms.sigmamind.client"


# ---------------------------------------------------------------- copies


async def test_a_copy_shares_transport_and_gate() -> None:
    gate = Gate(max_wait=1.0)
    first, transport = client([reply(429, headers={"retry-after": "30"})], gate=gate, deadline=5.0)
    second = first.with_options(deadline=60.0)
    with pytest.raises(Exception, match="429"):
        await first.run(GET)

    with pytest.raises(Exception, match="admits no more requests"):
        await second.run(GET)
    assert len(transport.sent) == 1


async def test_a_copy_has_the_options_it_was_given() -> None:
    seen: list[Event] = []
    first, transport = client([reply(500), reply(500)])
    once = first.with_options(retry=RetryPolicy(max_attempts=1), observer=seen.append)
    with pytest.raises(ServerError):
        await once.run(GET)

    assert len(transport.sent) == 1
    assert isinstance(seen[-1], CallFinished)


def test_options_of_a_copy_are_checked() -> None:
    with pytest.raises(ConfigurationError, match="deadline"):
        client()[0].with_options(deadline=0.0)
    with pytest.raises(ConfigurationError, match="attempt_timeout"):
        client()[0].with_options(attempt_timeout=-1.0)


@pytest.mark.parametrize("take", [pickle.dumps, copy.deepcopy])
def test_a_client_stays_in_its_process(take: Callable[[object], object]) -> None:
    """As a process pool would find out, from whatever in it has no such form."""
    made, _ = client()
    with pytest.raises(TypeError, match=r"^a SigmaMind cannot be pickled or deeply copied; make"):
        take(made)
    assert copy.copy(made).gate is made.gate


async def test_leaving_the_client_closes_its_connections() -> None:
    made, transport = client()
    async with made as entered:
        assert entered is made

    assert transport.closed == 1


# ---------------------------------------------------------------- running values


async def test_run_gives_what_the_method_would() -> None:
    made, _ = client([reply(json={"sipPhoneNumber": NUMBER})] * 2)

    assert await made.run(GET) == await made.phone_numbers.get(NUMBER)


async def test_run_raw_gives_the_answer_as_it_came_and_reads_it_later() -> None:
    made, _ = client([reply(200, {"sipPhoneNumber": NUMBER, "x": 1}, {"X-Request-Id": "r-1"})])
    raw = await made.run_raw(GET)

    assert (raw.status, raw.headers["x-request-id"], raw.request_id) == (200, "r-1", "r-1")
    assert raw.body == b'{"sipPhoneNumber":"+14155552671","x":1}'
    assert raw.parse() == PhoneNumber(sip_phone_number=NUMBER, extra={"x": 1})


async def test_run_raw_does_not_read_what_cannot_be_read() -> None:
    made, _ = client([reply(200, "text")])
    raw = await made.run_raw(GET)

    with pytest.raises(ResponseDecodeError):
        raw.parse()


async def test_run_raw_raises_for_an_error_status() -> None:
    made, _ = client([reply(401)])
    with pytest.raises(AuthenticationError):
        await made.run_raw(GET)


@pytest.mark.parametrize("run", [SigmaMind.run, SigmaMind.run_raw])
async def test_a_strange_value_is_refused(run: Callable[..., Any]) -> None:
    with pytest.raises(InvalidRequestError, match="dict is not a request of sigmamind"):
        await run(client()[0], {"phone_number": NUMBER})


@pytest.mark.parametrize("ordered", [False, True])
async def test_run_many_runs_a_stream_of_values(ordered: bool) -> None:
    async def values() -> AsyncIterator[GetPhoneNumber]:
        for index in range(50):
            yield GetPhoneNumber(phone_number=f"+1415555{index:04}")

    made, transport = client(lambda _: reply(json={"sipPhoneNumber": NUMBER}), max_connections=5)
    outcomes = [outcome async for outcome in made.run_many(values(), ordered=ordered)]

    assert sorted(outcome.index for outcome in outcomes) == list(range(50))
    assert {(outcome.status, outcome.attempts) for outcome in outcomes} == {("done", 1)}
    assert len(transport.sent) == 50


async def test_a_strange_value_among_many_is_an_outcome() -> None:
    made, _ = client(lambda _: reply(json={"sipPhoneNumber": NUMBER}))
    rows: list[Any] = [GET, "text", GET]
    outcomes = [outcome async for outcome in made.run_many(rows, ordered=True)]

    assert [outcome.status for outcome in outcomes] == ["done", "failed", "done"]


async def test_waiting_for_the_rate_fails_no_row() -> None:
    """500 rows at 20 a second take 25 s; each has a deadline of 2."""
    now = asyncio.get_running_loop().time
    tokens, at = 20.0, now()

    def bucket(_: object) -> Any:
        nonlocal tokens, at
        tokens, at = min(20.0, tokens + (now() - at) * 20.0), now()
        if tokens < 1:
            return reply(429)
        tokens -= 1
        return reply(json={"sipPhoneNumber": NUMBER})

    transport = ScriptedTransport(bucket, latency=0.1)
    made = SigmaMind(
        "sk", transport=transport, deadline=2.0, attempt_timeout=2.0, gate=Gate(clock=now)
    )
    outcomes = [outcome async for outcome in made.run_many([GET] * 500)]

    assert {outcome.status for outcome in outcomes} == {"done"}


async def test_a_client_in_fake_time_waits_without_waiting(clock: FakeClock) -> None:
    made, transport = client(
        [
            reply(429, headers={"retry-after": "30"}),
            reply(500),
            reply(json={"sipPhoneNumber": NUMBER}),
        ]
    )
    await in_fake_time(made, clock).run(GET)

    assert clock.slept == [30.0, 0.05]
    assert len(transport.sent) == 3


# ---------------------------------------------------------------- proxy


@pytest.mark.parametrize(
    "proxy",
    [
        "http://proxy.example:3128",
        "http://proxy",
        "HTTP://10.0.0.7:3128/",
        "http://[::1]:3128",
        "https://my_proxy:443",
        "http://clerk:p%40ss%3Aw%2Frd@proxy:3128",
    ],
)
def test_a_proxy_is_the_url_of_an_http_proxy(proxy: str) -> None:
    SigmaMind("sk", proxy=proxy)


@pytest.mark.parametrize(
    ("proxy", "why"),
    [
        ("", "is empty"),
        (" ", "contains blanks"),
        ("http://hunter2@proxy:3128\n", "control characters"),
        ("http://pro xy:3128", "contains blanks"),
        ("\thttp://proxy", "control characters"),
        ("http://", "no valid host"),
        ("http://:3128", "no valid host|is not a URL"),
        ("http://clerk:hunter2@", "no valid host|is not a URL"),
        ("http://a..b:3128", "no valid host"),
        ("proxy:3128", "has no scheme"),
        ("127.0.0.1:3128", "has no scheme"),
        ("//proxy:3128", "has no scheme"),
        ("://proxy", "neither http nor https"),
        ("socks5://clerk:hunter2@proxy:1080", "neither http nor https"),
        ("SOCKS5H://proxy:1080", "neither http nor https"),
        ("socks4://proxy", "neither http nor https"),
        ("ftp://proxy", "neither http nor https"),
        ("http://proxy:0", "no valid port"),
        ("http://proxy:99999", "is not a URL"),
        ("http://proxy:hunter2", "is not a URL"),
        ("http://proxy:3128/path", "more than a host"),
        ("http://proxy:3128?hunter2=1", "more than a host"),
        ("http://clerk:hunter2/3@proxy:3128", "more than a host|is not a URL"),
        (b"http://proxy:3128", "is not text"),
        (3128, "is not text"),
        (False, "is not text"),
    ],
)
def test_any_other_proxy_is_refused_and_not_repeated(proxy: Any, why: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^proxy: .*({why})") as caught:
        SigmaMind("sk", proxy=proxy)
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in repr(caught.value.args)


# ---------------------------------------------------------------- headers


async def test_a_content_type_is_told_where_there_is_content() -> None:
    """Fastify answers 400 to every DELETE that says "application/json" and brings nothing."""
    record = {"sipPhoneNumber": NUMBER, "active": True}
    one, transport = client([reply(json=record), reply(204), reply(json=record)])
    await one.phone_numbers.get(NUMBER)
    await one.phone_numbers.delete(NUMBER)
    await one.phone_numbers.update(NUMBER, friendly_name="Desk")

    assert [sent.headers.get("Content-Type") for sent in transport.sent] == [
        None,
        None,
        "application/json",
    ]


async def test_what_must_not_be_repeated_takes_no_idle_connection() -> None:
    record = {"sipPhoneNumber": NUMBER, "active": True}
    one, transport = client([reply(json=record)] * 3)
    await one.phone_numbers.get(NUMBER)
    await one.phone_numbers.update(NUMBER, friendly_name="Desk")
    await one.phone_numbers.create(country_code="US")

    assert [sent.fresh for sent in transport.sent] == [False, False, True]


# ---------------------------------------------------------------- the way to the transport


class Onlooker(ScriptedTransport):
    """Notes which functions of ours wait for it."""

    def __init__(self) -> None:
        super().__init__([reply(json={"sipPhoneNumber": NUMBER, "friendlyName": "Support"})])
        self.waiting: list[str] = []

    async def send(self, outgoing: HttpRequest, mark: ConnectionFlag, seconds: float) -> Any:
        frame = inspect.currentframe()
        while frame is not None:
            if "/sigmamind_async/" in frame.f_code.co_filename:
                self.waiting.append(frame.f_code.co_name)
            frame = frame.f_back
        return await super().send(outgoing, mark, seconds)


async def test_a_reader_meets_the_transport_after_three_functions_that_wait() -> None:
    """`Runner.run` is the fourth: it makes the call, and waits for nothing."""
    transport = Onlooker()
    client = SigmaMind("sk", transport=transport)
    await client.phone_numbers.update(NUMBER, friendly_name="Support")

    assert transport.waiting == ["_attempt", "run", "update"]


def test_a_client_shows_its_gate() -> None:
    """The one that was given, or its own; copies share it."""
    gate = Gate(max_rate=10)

    assert SigmaMind("key", gate=gate).gate is gate
    own = SigmaMind("key")
    assert own.gate is own.with_options(deadline=1).gate
    assert own.gate.state.rate is None
