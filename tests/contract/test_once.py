"""What buys, imports or creates is sent once, and its end is told; all else may be repeated."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from sigmamind_async import (
    APIStatusError,
    AuthenticationError,
    ConflictError,
    NotFoundError,
    OutcomeUnknownError,
    RetryPolicy,
)
from sigmamind_async.client import Client
from sigmamind_async.convert import RequestValue
from sigmamind_async.errors import Committed
from sigmamind_async.events import CallFinished, Event
from sigmamind_async.sandbox import BODY_FAULTS, Fault, Sandbox
from sigmamind_async.values import REDACTED, UNSET
from tests.contract.conftest import patience
from tests.contract.dialects import Dialect
from tests.functional.support import ONCE, error_of

NUMBER = "+14155550100"
SLOW = {Fault.GZIP_BOMB}
"""Left to the functional tests: 300 MB each."""


@attrs.frozen
class End:
    """What the caller is told, and how often the platform acted."""

    error: type[Exception]
    committed: Committed
    commits: int


ENDS: dict[Fault, End] = {
    **{
        fault: End(OutcomeUnknownError, "unknown", 1 if fault.commits else 0)
        for fault in (
            Fault.REFUSE,
            Fault.RESET_BEFORE_COMMIT,
            Fault.RESET_AFTER_COMMIT,
            Fault.CLOSE_AFTER_COMMIT,
            Fault.HANG_BEFORE_COMMIT,
            Fault.HANG_AFTER_COMMIT,
            Fault.LATE_COMMIT,
            Fault.GARBAGE_HEAD,
            Fault.STATUS_408_AFTER_COMMIT,
            Fault.STATUS_500_BEFORE_COMMIT,
            Fault.STATUS_500_AFTER_COMMIT,
            Fault.STATUS_503_BEFORE_COMMIT,
            Fault.STATUS_503_AFTER_COMMIT,
        )
    },
    **{
        fault: End(OutcomeUnknownError, "yes", 1)
        for fault in (
            Fault.SLOW_BODY,
            Fault.CUT_BODY,
            Fault.REDIRECT_303_AFTER_COMMIT,
            *(BODY_FAULTS - SLOW - {Fault.HTML_BODY}),
        )
    },
    Fault.HTML_BODY: End(OutcomeUnknownError, "unknown", 1),
    Fault.STATUS_401: End(AuthenticationError, "no", 0),
    Fault.CONFLICT_409: End(ConflictError, "no", 0),
    Fault.REDIRECT_307: End(APIStatusError, "no", 0),
}
LOST = sorted(fault for fault, end in ENDS.items() if end.commits)


def called(dialect: Dialect, what: str) -> tuple[RequestValue[Any], str]:
    """Return the request and the sandbox's name of its operation."""
    if what == "buy":
        return dialect.buy(NUMBER), dialect.buying
    return dialect.import_(NUMBER), dialect.importing


def commits(box: Sandbox, dialect: Dialect) -> int:
    made = [each for each in box.ledger.commits if each.kind in {"purchase", "import"}]
    assert {each.platform for each in made} <= {dialect.name}
    return len(made)


def test_every_fault_has_an_end() -> None:
    assert ENDS.keys() | SLOW | {Fault.STATUS_429} == set(Fault)


@pytest.mark.parametrize("what", ["buy", "import"])
@pytest.mark.parametrize("fault", sorted(ENDS))
async def test_it_is_sent_once_and_its_end_is_told(
    fault: Fault, what: str, box: Sandbox, dialect: Dialect
) -> None:
    """Where it cannot be looked up: the platform shows new numbers only later."""
    value, operation = called(dialect, what)
    box.list_lag = 60.0
    box.script(operation, [fault], platform=dialect.name)
    async with dialect.connect(box, attempt_timeout=patience(fault)) as client:
        error = await error_of(client.run(value))
    await box.settled()
    end = ENDS[fault]
    assert (type(error), error.committed) == (end.error, end.committed)
    assert (commits(box, dialect), error.retryable) == (end.commits, False)
    assert dialect.endpoint(box).requests.by_operation[operation] == 1


@pytest.mark.parametrize("what", ["buy", "import"])
@pytest.mark.parametrize("fault", [each for each in LOST if each is not Fault.LATE_COMMIT])
async def test_what_can_be_looked_up_is_adopted(
    fault: Fault, what: str, box: Sandbox, dialect: Dialect
) -> None:
    events: list[Event] = []
    value, operation = called(dialect, what)
    box.script(operation, [fault], platform=dialect.name)
    options = {"attempt_timeout": patience(fault), "observer": events.append}
    async with dialect.connect(box, **options) as client:
        found = await client.run(value)
    assert (dialect.number_of(found), commits(box, dialect)) == (NUMBER, 1)
    assert isinstance(events[-1], CallFinished)
    assert events[-1].adopted


async def test_an_unknown_end_keeps_the_value_without_its_secret(
    box: Sandbox, dialect: Dialect
) -> None:
    box.list_lag = 60.0
    box.script(dialect.importing, [Fault.RESET_AFTER_COMMIT], platform=dialect.name)
    async with dialect.connect(box) as client:
        error = await error_of(client.run(dialect.import_(NUMBER)))
    assert type(error.value) is type(dialect.import_(NUMBER))
    assert REDACTED in [getattr(error.value, each.name) for each in attrs.fields(type(error.value))]


@pytest.mark.parametrize("what", ["buy", "import"])
async def test_a_throttled_one_is_made_later(what: str, box: Sandbox, dialect: Dialect) -> None:
    """429 says that nothing was done."""
    value, operation = called(dialect, what)
    box.script(operation, [Fault.STATUS_429] * 2, platform=dialect.name)
    async with dialect.connect(box) as client:
        found = await client.run(value)
    assert (dialect.number_of(found), commits(box, dialect)) == (NUMBER, 1)
    assert dialect.endpoint(box).requests.by_operation[operation] == 3


async def test_what_was_not_sent_is_made_when_the_platform_is_back(
    box: Sandbox, dialect: Dialect
) -> None:
    patient = RetryPolicy(max_attempts=50, base=0.01, cap=0.02)
    async with dialect.connect(box, retry=patient) as client:
        box.refuse(0.05)
        found = await client.run(dialect.buy(NUMBER))
    assert (dialect.number_of(found), commits(box, dialect)) == (NUMBER, 1)


# --- the controls ----------------------------------------------------------------------------


def reckless(dialect: Dialect) -> type[Client]:
    """Return a client whose guard, `Operation.repeatable`, is turned the wrong way."""

    def careless(value: RequestValue[Any]) -> Any:
        return attrs.evolve(dialect.operation(value), repeatable=True, read_back=None)

    operations = dict.fromkeys(dialect.client.operations, careless)
    return type("Reckless", (dialect.client,), {"operations": operations})


@pytest.mark.parametrize("what", ["buy", "import"])
@pytest.mark.parametrize(
    "fault", [Fault.RESET_AFTER_COMMIT, Fault.STATUS_503_AFTER_COMMIT, Fault.CUT_BODY]
)
async def test_without_the_guard_it_would_be_made_again(
    fault: Fault, what: str, box: Sandbox, dialect: Dialect
) -> None:
    value, operation = called(dialect, what)
    box.script(operation, [fault] * 2, platform=dialect.name)
    careless = attrs.evolve(dialect, client=reckless(dialect))
    async with careless.connect(box) as client:
        await client.run(value)
    assert commits(box, dialect) == 3


@pytest.mark.parametrize("what", ["buy", "import"])
async def test_without_looking_its_end_would_stay_unknown(
    what: str, box: Sandbox, dialect: Dialect
) -> None:
    value, operation = called(dialect, what)
    box.script(operation, [Fault.RESET_AFTER_COMMIT], platform=dialect.name)
    async with dialect.connect(box) as client:
        unseeing = attrs.evolve(dialect.operation(value), read_back=None)
        error = await error_of(client._runner.engine.begin(unseeing).run())  # noqa: SLF001
    assert type(error) is OutcomeUnknownError


# --- updates ---------------------------------------------------------------------------------

AGAIN = [
    Fault.RESET_AFTER_COMMIT,
    Fault.CLOSE_AFTER_COMMIT,
    Fault.HANG_AFTER_COMMIT,
    Fault.GARBAGE_HEAD,
    Fault.CUT_BODY,
    Fault.STATUS_408_AFTER_COMMIT,
    Fault.STATUS_500_AFTER_COMMIT,
    Fault.STATUS_503_AFTER_COMMIT,
    Fault.HTML_BODY,
]
"""After these the platform has acted, and acting again changes nothing."""


@pytest.mark.parametrize("fault", AGAIN)
async def test_an_update_is_repeated(fault: Fault, box: Sandbox, dialect: Dialect) -> None:
    async with dialect.connect(box, attempt_timeout=patience(fault)) as client:
        key = dialect.key_of(await client.run(dialect.import_(NUMBER)))
        box.script("update", [fault] * 2, platform=dialect.name)
        shown = await client.run(dialect.label(key, "Support"))
        read = await client.run(dialect.get(key))
    updates = box.ledger.of_kind("update")
    assert (dialect.label_of(shown), dialect.label_of(read)) == ("Support", "Support")
    assert (len(updates), len({each.fingerprint for each in updates})) == (3, 1)


async def test_an_update_that_may_not_be_repeated_would_fail(
    box: Sandbox, dialect: Dialect
) -> None:
    async with dialect.connect(box, retry=ONCE) as client:
        key = dialect.key_of(await client.run(dialect.import_(NUMBER)))
        box.script("update", [Fault.RESET_AFTER_COMMIT], platform=dialect.name)
        error = await error_of(client.run(dialect.label(key, "Support")))
    assert (type(error), error.committed) == (OutcomeUnknownError, "unknown")


# --- removals --------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [*AGAIN[:4], *AGAIN[5:8]])
async def test_what_is_gone_after_a_lost_removal_was_removed(
    fault: Fault, box: Sandbox, dialect: Dialect
) -> None:
    """The second attempt is told 404, and that is the success of the first."""
    async with dialect.connect(box, attempt_timeout=patience(fault)) as client:
        key = dialect.key_of(await client.run(dialect.import_(NUMBER)))
        box.script(dialect.removing, [fault], platform=dialect.name)
        await client.run(dialect.remove(key))
    assert len(box.ledger.of_kind("release")) == 1
    assert box.ledger.owned() == []
    assert dialect.endpoint(box).requests.by_status[404] == 1


@pytest.mark.parametrize("body", [Fault.GARBAGE_BODY, Fault.EMPTY_BODY])
async def test_a_removal_needs_no_readable_body(
    body: Fault, box: Sandbox, dialect: Dialect
) -> None:
    async with dialect.connect(box) as client:
        key = dialect.key_of(await client.run(dialect.import_(NUMBER)))
        box.script(dialect.removing, [body], platform=dialect.name)
        await client.run(dialect.remove(key))
    assert dialect.endpoint(box).requests.by_operation[dialect.removing] == 1


async def test_a_page_ends_no_removal(box: Sandbox, dialect: Dialect) -> None:
    """It is asked for again: the 404 says that the first request was carried out."""
    async with dialect.connect(box) as client:
        key = dialect.key_of(await client.run(dialect.import_(NUMBER)))
        box.script(dialect.removing, [Fault.HTML_BODY], platform=dialect.name)
        await client.run(dialect.remove(key))
    assert dialect.endpoint(box).requests.by_operation[dialect.removing] == 2


async def test_what_was_never_there_is_an_error(box: Sandbox, dialect: Dialect) -> None:
    async with dialect.connect(box) as client:
        error = await error_of(client.run(dialect.remove(NUMBER)))
    assert (type(error), error.committed) == (NotFoundError, "no")


async def test_without_remembering_its_own_attempt_a_removal_would_fail(
    box: Sandbox, dialect: Dialect
) -> None:
    async with dialect.connect(box) as client:
        key = dialect.key_of(await client.run(dialect.import_(NUMBER)))
        box.script(dialect.removing, [Fault.RESET_AFTER_COMMIT], platform=dialect.name)
        forgetful = attrs.evolve(dialect.operation(dialect.remove(key)), on_not_found=UNSET)
        error = await error_of(client._runner.engine.begin(forgetful).run())  # noqa: SLF001
    assert type(error) is NotFoundError
