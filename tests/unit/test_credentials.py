"""The API key: fixed or supplied, checked, and asked for again once it is rejected."""

import asyncio
import traceback
from collections.abc import Awaitable, Callable
from functools import partial
from typing import cast

import pytest

from sigmamind_async.credentials import Credentials, KeyProvider, check_key
from sigmamind_async.errors import APITimeoutError, ConfigurationError
from sigmamind_async.values import REDACTED, Secret


class Provider:
    """Supplies keys in their order and counts how often it was asked."""

    def __init__(self, *keys: str | Secret, seconds: float = 0.0) -> None:
        self.keys = list(keys)
        self.seconds = seconds
        self.asked = 0

    async def __call__(self) -> str | Secret:
        self.asked += 1
        await asyncio.sleep(self.seconds)
        return self.keys[min(self.asked, len(self.keys)) - 1]


async def test_a_fixed_key_is_handed_out_and_cannot_be_refreshed() -> None:
    key = Secret("sk-1")
    credentials = Credentials(key)

    assert await credentials.key() is key
    assert not await credentials.refresh(key)


@pytest.mark.parametrize("given", ["sk-1", Secret("sk-1")])
async def test_a_supplied_key_is_asked_for_once(given: str | Secret) -> None:
    provider = Provider(given)
    credentials = Credentials(provider)

    assert provider.asked == 0
    assert (await credentials.key()).reveal() == "sk-1"
    assert await credentials.key() is await credentials.key()
    assert provider.asked == 1


async def test_callers_that_come_together_ask_once() -> None:
    provider = Provider("sk-1", seconds=1.0)
    credentials = Credentials(provider)

    keys = await asyncio.gather(*(credentials.key() for _ in range(50)))

    assert provider.asked == 1
    assert len({id(key) for key in keys}) == 1


async def test_a_rejected_key_is_replaced_once_for_all_rejected_callers() -> None:
    provider = Provider("old", "new", seconds=1.0)
    credentials = Credentials(provider)
    old = await credentials.key()

    refreshed = await asyncio.gather(*(credentials.refresh(old) for _ in range(50)))

    assert refreshed == [True] * 50
    assert provider.asked == 2
    assert (await credentials.key()).reveal() == "new"


async def test_a_key_that_was_replaced_meanwhile_is_not_asked_for_again() -> None:
    provider = Provider("old", "new")
    credentials = Credentials(provider)
    old = await credentials.key()

    assert await credentials.refresh(old)
    assert await credentials.refresh(old)
    assert provider.asked == 2


@pytest.mark.parametrize(
    "text", ["", " ", "sk 1", "sk-1\n", "sk-1\r\nX-Evil: 1", "\tsk", "sk-é", "sk-\x7f", "“sk”"]
)
def test_a_key_that_does_not_fit_a_header_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(
        ConfigurationError, match="api_key: the key is empty, quoted, or holds"
    ) as caught:
        check_key(Secret(text))

    assert not text.strip() or text not in str(caught.value)


async def test_a_supplied_key_is_checked_too() -> None:
    with pytest.raises(ConfigurationError, match="line break"):
        await Credentials(Provider("sk-1\n")).key()


async def test_what_a_provider_raises_comes_through_and_it_is_asked_again() -> None:
    class Vault(Exception):  # noqa: N818 - a stranger's
        pass

    answers: list[Callable[[], str]] = [lambda: "sk-1"]

    async def provider() -> str:
        if len(answers) == 1:
            answers.append(answers[0])
            raise Vault
        return answers[0]()

    credentials = Credentials(provider)
    with pytest.raises(Vault):
        await credentials.key()

    assert (await credentials.key()).reveal() == "sk-1"


async def test_a_cancelled_question_does_not_block_the_next() -> None:
    provider = Provider("sk-1", seconds=10.0)
    credentials = Credentials(provider)
    first = asyncio.create_task(_text(credentials.key()))
    await asyncio.sleep(1.0)

    first.cancel()

    assert await _text(credentials.key()) == "sk-1"
    assert provider.asked == 2


@pytest.mark.parametrize(
    "returned",
    [None, b"sk-canary", bytearray(b"sk-canary"), 7, ["sk-canary"], {"key": "sk-canary"}],
)
async def test_a_provider_that_returns_no_text_is_named_and_its_answer_is_not(
    returned: object,
) -> None:
    async def vault() -> str:
        return cast("str", returned)

    with pytest.raises(ConfigurationError, match=r"vault returned \w+; it must be") as caught:
        await Credentials(vault).key()

    assert type(returned).__name__ in str(caught.value)
    assert "canary" not in shown_by(caught.value)


@pytest.mark.parametrize("returned", ["", "sk canary", "sk-canary\n", "sk-cänary", REDACTED])
async def test_a_provider_whose_key_fits_no_header_is_named(returned: str | Secret) -> None:
    async def vault() -> str | Secret:
        return returned

    with pytest.raises(
        ConfigurationError, match="vault returned is empty, quoted, or holds"
    ) as caught:
        await Credentials(partial(vault)).key()

    assert "nary" not in shown_by(caught.value)


async def test_a_provider_that_is_no_coroutine_function_is_named() -> None:
    def vault() -> str:
        return "sk-canary"

    with pytest.raises(ConfigurationError, match="vault returned Secret; it must be an async"):
        await Credentials(cast("KeyProvider", vault)).key()


@pytest.mark.parametrize("source", [b"sk-canary", 7, ["sk-canary"]])
def test_a_key_of_another_type_is_refused(source: object) -> None:
    with pytest.raises(ConfigurationError, match="api_key: must be text or an async function"):
        Credentials(cast("Secret", source))


def shown_by(error: BaseException) -> str:
    """Return a crash report with the locals of our frames."""
    report = traceback.TracebackException.from_exception(error, capture_locals=True)
    return "".join(str(frame.locals) for frame in report.stack if frame.filename != __file__) + str(
        error
    )


async def test_a_provider_that_hangs_ends_with_the_deadline() -> None:
    """Control: without the timeout this waits for ever."""
    provider = Provider("old", "new", seconds=1_000.0)
    credentials = Credentials(provider, 5.0)
    clock = asyncio.get_running_loop().time
    began = clock()

    with pytest.raises(APITimeoutError, match="before Provider returned a key"):
        await credentials.key()
    with pytest.raises(APITimeoutError):
        await credentials.key(2.0)
    with pytest.raises(APITimeoutError):
        await credentials.refresh(Secret("old"), 3.0)

    assert clock() - began == pytest.approx(10.0)


async def test_a_caller_that_waits_for_anothers_question_waits_no_longer_than_allowed() -> None:
    credentials = Credentials(Provider("sk-1", seconds=100.0), 200.0)
    first = asyncio.create_task(_text(credentials.key()))
    await asyncio.sleep(1.0)
    with pytest.raises(APITimeoutError):
        await credentials.key(2.0)

    assert await first == "sk-1"


async def test_a_caller_that_stops_waiting_does_not_take_the_key_from_the_others() -> None:
    provider = Provider("sk-1", seconds=10.0)
    credentials = Credentials(provider)
    first, *others = [asyncio.create_task(_text(credentials.key())) for _ in range(5)]
    await asyncio.sleep(5.0)
    first.cancel()

    assert await asyncio.gather(*others) == ["sk-1"] * 4
    assert provider.asked == 2


async def test_a_timeout_of_the_providers_own_comes_through() -> None:
    async def vault() -> str:
        raise TimeoutError("the vault's")

    with pytest.raises(TimeoutError, match="the vault's") as caught:
        await Credentials(vault).key()

    assert not isinstance(caught.value, APITimeoutError)


async def _text(key: Awaitable[Secret]) -> str:
    return (await key).reveal()
