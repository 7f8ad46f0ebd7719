"""The API key: fixed or supplied, checked, and asked for again once it is rejected."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from sigmamind_async.credentials import Credentials, checked_key
from sigmamind_async.errors import ConfigurationError
from sigmamind_async.values import Secret


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


async def test_a_fixed_key_is_handed_out_and_cannot_be_renewed() -> None:
    key = Secret("sk-1")
    credentials = Credentials(key)

    assert await credentials.key() is key
    assert not await credentials.renewed(key)


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


async def test_a_rejected_key_is_replaced_once_for_all_who_were_rejected() -> None:
    provider = Provider("old", "new", seconds=1.0)
    credentials = Credentials(provider)
    old = await credentials.key()

    renewed = await asyncio.gather(*(credentials.renewed(old) for _ in range(50)))

    assert renewed == [True] * 50
    assert provider.asked == 2
    assert (await credentials.key()).reveal() == "new"


async def test_a_key_that_was_replaced_meanwhile_is_not_asked_for_again() -> None:
    provider = Provider("old", "new")
    credentials = Credentials(provider)
    old = await credentials.key()

    assert await credentials.renewed(old)
    assert await credentials.renewed(old)
    assert provider.asked == 2


@pytest.mark.parametrize(
    "text", ["", " ", "sk 1", "sk-1\n", "sk-1\r\nX-Evil: 1", "\tsk", "sk-é", "sk-\x7f", "“sk”"]
)
def test_a_key_that_cannot_stand_in_a_header_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(ConfigurationError, match="api_key: the key is empty, or holds") as caught:
        checked_key(Secret(text))

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


async def _text(key: Awaitable[Secret]) -> str:
    return (await key).reveal()
