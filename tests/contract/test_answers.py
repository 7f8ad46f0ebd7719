"""Hostile answers, rejected keys, throttling, and fields that were not taken."""

from __future__ import annotations

import asyncio
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sigmamind_async import (
    AuthenticationError,
    FieldsIgnoredError,
    OutcomeUnknownError,
    RateLimitError,
    ResponseDecodeError,
    SigmaMindError,
)
from sigmamind_async.events import AttemptFinished, Event, FieldsIgnored
from sigmamind_async.operation import Response, Verdict
from sigmamind_async.sandbox import BODY_FAULTS, Fault, Sandbox
from sigmamind_async.testing import ScriptedTransport
from tests.contract.conftest import QUICK, switched
from tests.contract.dialects import AGENT, DIALECTS, FOREIGN, Dialect
from tests.functional.support import KEY, ONCE, error_of

NUMBER = "+14155550100"


# --- answers that mean harm ------------------------------------------------------------------


@pytest.mark.parametrize("what", ["buying", "get", "update"])
@pytest.mark.parametrize("fault", sorted(BODY_FAULTS - {Fault.GZIP_BOMB}))
async def test_a_hostile_body_of_a_2xx_is_one_of_our_errors_and_no_rejection(
    fault: Fault, what: str, box: Sandbox, dialect: Dialect
) -> None:
    events: list[Event] = []
    async with dialect.connect(box, retry=ONCE, observer=events.append) as client:
        key = dialect.key_of(await client.run(dialect.import_("+14155550199")))
        values = {
            "buying": dialect.buy(NUMBER),
            "get": dialect.get(key),
            "update": dialect.label(key, "Support"),
        }
        box.list_lag = 60.0 if what == "buying" else 0.0
        operation = dialect.buying if what == "buying" else what
        box.script(operation, [fault], platform=dialect.name)
        error = await error_of(client.run(values[what]))
    reads = what == "get"
    assert type(error) is (ResponseDecodeError if reads else OutcomeUnknownError)
    page = fault is Fault.HTML_BODY
    assert error.committed == ("no" if reads else "unknown" if page else "yes")
    assert error.not_from_api is page
    assert Verdict.REJECTED not in _verdicts(events, dialect.operation(values[what]).name)


def _verdicts(events: list[Event], name: str) -> set[Verdict]:
    ended = (each for each in events if isinstance(each, AttemptFinished))
    return {each.verdict for each in ended if each.operation == name}


KEYS = st.sampled_from(["data", "items", "id", "_id", "provider", "phoneNumber", "x"]) | st.text()
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner),
    max_leaves=8,
)
BODIES = st.binary() | JSON.map(
    lambda value: repr(value).replace("'", '"').encode("utf-8", "replace")
)


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize("name", DIALECTS)
def test_no_body_of_a_2xx_is_too_strange(name: str) -> None:
    """It is read, or is one of our errors; a purchase was made, or may have been."""
    dialect = DIALECTS[name]
    values = [dialect.buy(NUMBER), dialect.label("+1415555", "x"), dialect.get(NUMBER)]

    @settings(max_examples=60)
    @given(BODIES, st.sampled_from([200, 201, 206]))
    def holds(body: bytes, status: int) -> None:
        transport = ScriptedTransport(lambda _: Response(status=status, body=body))
        client = dialect.client("sk", transport=transport, retry=ONCE)
        for value in values:
            reads = dialect.operation(value).reads
            try:
                runner.run(client.run(value))
            except SigmaMindError as error:
                changed = "unknown" if error.not_from_api else "yes"
                assert error.committed == ("no" if reads else changed)  # noqa: PT017 - some are read

    with asyncio.Runner() as runner:
        holds()


async def test_an_answer_read_without_care_would_raise_something_else(dialect: Dialect) -> None:
    def careless(response: Response) -> object:
        return response.body.decode()

    transport = ScriptedTransport([Response(status=201, body=b"\xff")])
    client: Any = dialect.client("sk", transport=transport)
    operation = attrs.evolve(dialect.operation(dialect.buy(NUMBER)), decode=careless)
    with pytest.raises(UnicodeDecodeError):
        await client._runner.engine.begin(operation).run()  # noqa: SLF001


# --- keys ------------------------------------------------------------------------------------


class Provider:
    """Gives an old key first, and the given one after."""

    def __init__(self, later: str) -> None:
        self._keys = [f"{KEY}-old", later]
        self.asked = 0

    async def __call__(self) -> str:
        self.asked += 1
        return self._keys[min(self.asked, 2) - 1]


async def test_a_rejected_key_is_asked_for_again(box: Sandbox, dialect: Dialect) -> None:
    """Once, and for a purchase too: 401 says that nothing was done."""
    provider = Provider(dialect.endpoint(box).api_key)
    async with dialect.connect(box, provider) as client:
        await asyncio.gather(*(client.run(dialect.buy(f"+1415555010{n}")) for n in range(5)))
    assert (provider.asked, len(box.ledger.purchases)) == (2, 5)


async def test_a_fixed_key_that_is_rejected_is_an_error(box: Sandbox, dialect: Dialect) -> None:
    async with dialect.connect(box, f"{KEY}-old") as client:
        error = await error_of(client.run(dialect.buy(NUMBER)))
    assert (type(error), error.attempts, error.committed) == (AuthenticationError, 1, "no")
    assert len(box.ledger) == 0


async def test_the_whole_key_stands_in_its_header(dialect: Dialect) -> None:
    transport = ScriptedTransport([Response(status=404)])
    await error_of(dialect.client("key_1:s3cret", transport=transport).run(dialect.get(NUMBER)))
    headers = {name.lower(): text for name, text in transport.sent[0].headers.items()}
    assert headers[dialect.key_header] in {"key_1:s3cret", "Bearer key_1:s3cret"}
    assert len({"x-api-key", "authorization"} & headers.keys()) == 1


# --- throttling ------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["get", "update"])
async def test_a_throttled_call_is_made_later(what: str, box: Sandbox, dialect: Dialect) -> None:
    async with dialect.connect(box) as client:
        key = dialect.key_of(await client.run(dialect.import_(NUMBER)))
        box.script(what, [Fault.STATUS_429] * 2, platform=dialect.name)
        value = dialect.get(key) if what == "get" else dialect.label(key, "x")
        assert dialect.number_of(await client.run(value)) == NUMBER
    assert dialect.endpoint(box).requests.by_operation[what] == 3


async def test_a_wait_that_is_too_long_is_an_error(box: Sandbox, dialect: Dialect) -> None:
    box.faults = attrs.evolve(QUICK, retry_after=60)
    box.script(dialect.buying, [Fault.STATUS_429], platform=dialect.name)
    async with dialect.connect(box) as client:
        error = await error_of(client.run(dialect.buy(NUMBER)))
    assert (type(error), error.retry_after, error.committed) == (RateLimitError, 60.0, "no")
    assert len(box.ledger) == 0


# --- what was sent, did it take? -------------------------------------------------------------


async def routed(client: Any, dialect: Dialect) -> str:
    """Return the key of a number whose calls go to an agent."""
    key = dialect.key_of(await client.run(dialect.import_(NUMBER)))
    await client.run(dialect.route(key, AGENT))
    return key


@pytest.mark.parametrize("clears", [True, False])
async def test_a_null_that_was_ignored_is_told(
    clears: bool, box: Sandbox, dialect: Dialect
) -> None:
    """As an event, and in the outcome of a row; not where it did clear."""
    events: list[Event] = []
    switched(box, dialect, null_clears=clears)
    async with dialect.connect(box, observer=events.append) as client:
        key = await routed(client, dialect)
        outcomes = [each async for each in client.run_many([dialect.route(key, None)])]
    expected = () if clears else (dialect.route_field,)
    assert [(each.status, each.ignored) for each in outcomes] == [("done", expected)]
    assert [each.fields for each in events if isinstance(each, FieldsIgnored)] == (
        [] if clears else [expected]
    )


@pytest.mark.parametrize("strict", [True, False])
async def test_a_strict_client_raises_for_it(strict: bool, box: Sandbox, dialect: Dialect) -> None:
    switched(box, dialect, null_clears=False)
    async with dialect.connect(box, strict=strict) as client:
        key = await routed(client, dialect)
        if not strict:
            await client.run(dialect.route(key, None))
            return
        error = await error_of(client.run(dialect.route(key, None)))
    assert (type(error), error.committed) == (FieldsIgnoredError, "yes")


@pytest.mark.parametrize("word", ["null", "empty", "absent"])
async def test_nothing_is_shown_in_any_of_three_ways(
    word: str, box: Sandbox, dialect: Dialect
) -> None:
    switched(box, dialect, unset_as=word)
    async with dialect.connect(box, strict=True) as client:
        key = await routed(client, dialect)
        await client.run(dialect.route(key, None))
    assert len(box.ledger.of_kind("update")) == 2


@pytest.mark.parametrize("name", FOREIGN)
async def test_a_field_of_another_kind_of_number_is_told(name: str) -> None:
    """Dropped without a word by the platform."""
    dialect = DIALECTS[name]
    value, field = FOREIGN[name]
    async with Sandbox(seed=1) as box, dialect.connect(box) as client:
        key = dialect.key_of(await client.run(dialect.buy(NUMBER)))
        outcomes = [each async for each in client.run_many([value(key)])]
        error = await error_of(client.with_options(strict=True).run(value(key)))
    assert [(each.status, each.ignored) for each in outcomes] == [("done", (field,))]
    assert isinstance(error, FieldsIgnoredError)
