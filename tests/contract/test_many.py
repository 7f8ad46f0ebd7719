"""Listings over pages and envelopes, jobs of many rows, and answers as they came."""

from __future__ import annotations

from itertools import chain
from typing import Any

import attrs
import pytest

from sigmamind_async.sandbox import REALISTIC_FAULTS, Fault, Faults, Sandbox
from tests.contract.conftest import switched
from tests.contract.dialects import DIALECTS, Dialect, numbers
from tests.contract.test_once import reckless

# --- listings --------------------------------------------------------------------------------

ENVELOPES = {
    "sigmamind": ["page", "older_page", "array"],
    "verbex": ["phone_numbers", "data", "items", "array"],
    "dialnexa": ["items", "data", "array", "wrapped_data", "wrapped_items"],
}
VIEWS: dict[str, list[dict[str, Any]]] = {
    "sigmamind": [{}, {"numeric_numbers": True}, {"extra_keys": True, "provider_word": "new"}],
    "verbex": [
        {"id_key": "id"},
        {"show_provider": False},
        {"provider_word": "new", "extra_keys": True},
        {"collection_path": "slash"},
        {"collection_path": "slash", "slash_redirect": 308},
    ],
    "dialnexa": [
        {"record_wrapper": wrapper, "record_shape": shape, "purchase_answer": answer}
        for wrapper in ("none", "data", "status_code")
        for shape in ("schema", "narrative", "newer")
        for answer in ("envelope", "record")
    ],
}


async def filled(client: Any, dialect: Dialect, count: int) -> None:
    async for outcome in client.run_many([dialect.buy(each) for each in numbers(count)]):
        assert outcome.status == "done", outcome


async def listed(client: Any, dialect: Dialect, size: int) -> list[str]:
    return sorted([dialect.number_of(each) async for each in dialect.list(client, size)])


@pytest.mark.parametrize("most", [None, 7])
@pytest.mark.parametrize(
    ("name", "envelope"), [(name, each) for name, several in ENVELOPES.items() for each in several]
)
async def test_a_listing_reads_every_page(name: str, envelope: str, most: int | None) -> None:
    """In any envelope, though the platform cuts large pages down."""
    dialect = DIALECTS[name]
    async with Sandbox(seed=1) as box, dialect.connect(box) as client:
        switched(box, dialect, list_envelope=envelope, max_page_size=most)
        await filled(client, dialect, 25)
        for size in (5, 10, 25, 100):
            assert await listed(client, dialect, size) == numbers(25)


async def test_one_page_would_not_be_all(box: Sandbox, dialect: Dialect) -> None:
    async with dialect.connect(box) as client:
        await filled(client, dialect, 25)
        seen = [each async for each in _first(dialect.list(client, 10), 10)]
    assert len(seen) == 10
    assert dialect.endpoint(box).requests.by_operation["list"] == 1


@pytest.mark.parametrize("share", [1, 3])
@pytest.mark.parametrize(
    ("name", "envelope"), [(name, each) for name, several in ENVELOPES.items() for each in several]
)
async def test_numbers_may_be_removed_while_they_are_listed(
    name: str, envelope: str, share: int
) -> None:
    """All of them, or every third; what comes later on is reached, and nothing twice."""
    dialect = DIALECTS[name]
    async with Sandbox(seed=1) as box, dialect.connect(box) as client:
        switched(box, dialect, list_envelope=envelope)
        await filled(client, dialect, 25)
        seen: list[str] = []
        async for each in dialect.list(client, 5):
            if len(seen) % share == 0:
                key = dialect.key_of(each)
                await client.run(dialect.remove(key))
            seen.append(dialect.number_of(each))
    assert sorted(seen) == numbers(25)
    assert sorted(box.ledger.owned(name)) == sorted(set(seen) - set(seen[::share]))


async def test_numbers_may_be_changed_while_they_are_listed(box: Sandbox, dialect: Dialect) -> None:
    async with dialect.connect(box) as client:
        await filled(client, dialect, 25)
        seen: list[str] = []
        async for each in dialect.list(client, 5):
            await client.run(dialect.label(dialect.key_of(each), "Desk"))
            seen.append(dialect.number_of(each))
    assert sorted(seen) == numbers(25)


async def _first(rows: Any, count: int) -> Any:
    for _ in range(count):
        yield await anext(rows)
    await rows.aclose()


@pytest.mark.parametrize(
    ("name", "view"), [(name, view) for name, views in VIEWS.items() for view in views]
)
async def test_a_number_is_bought_read_changed_and_removed_in_any_view(
    name: str, view: dict[str, Any]
) -> None:
    dialect = DIALECTS[name]
    async with Sandbox(seed=1) as box, dialect.connect(box) as client:
        switched(box, dialect, **view)
        bought = await client.run(dialect.buy("+14155550100"))
        key = dialect.key_of(bought)
        assert await listed(client, dialect, 10) == [dialect.number_of(bought)]
        read = await client.run(dialect.get(f"+{key}" if key.startswith("1") else key))
        assert dialect.number_of(read) == dialect.number_of(bought)
    assert len(box.ledger.purchases) == 1


# --- jobs ------------------------------------------------------------------------------------

WEATHER = Faults(share=0.4, kinds=REALISTIC_FAULTS - {Fault.STATUS_429}, hang=0.2, late=0.02)
"""Throttling apart, which would slow the job down as it should."""


async def run_job(box: Sandbox, dialect: Dialect) -> dict[str, list[str]]:
    """Buy sixty numbers in bad weather; return the numbers by how their row ended."""
    box.faults = attrs.evolve(WEATHER, only={dialect.buying})
    ended: dict[str, list[str]] = {}
    wanted = numbers(60)
    values = [dialect.buy(each) for each in wanted]
    async with dialect.connect(box, attempt_timeout=0.1, max_connections=20) as client:
        async for outcome in client.run_many(values):
            ended.setdefault(outcome.status, []).append(wanted[outcome.index])
    await box.settled()
    return ended


def bought(box: Sandbox) -> list[str]:
    return sorted(each.phone_number or "" for each in box.ledger.purchases)


@pytest.mark.parametrize("lag", [0.0, 60.0])
async def test_a_job_in_bad_weather_accounts_for_every_row(
    lag: float, box: Sandbox, dialect: Dialect
) -> None:
    """Nothing is bought twice, and what is called failed was not bought."""
    box.list_lag = lag
    ended = await run_job(box, dialect)
    made = bought(box)
    assert sorted(chain.from_iterable(ended.values())) == numbers(60)
    assert len(made) == len(set(made))
    assert set(ended["done"]) <= set(made)
    assert not set(ended.get("failed", [])) & set(made)
    assert set(made) <= {*ended["done"], *ended.get("unconfirmed", [])}


async def test_a_reckless_job_buys_twice(box: Sandbox, dialect: Dialect) -> None:
    await run_job(box, attrs.evolve(dialect, client=reckless(dialect)))
    assert len(bought(box)) > len(set(bought(box)))


# --- run and run_raw -------------------------------------------------------------------------


async def test_an_answer_is_had_as_it_came(box: Sandbox, dialect: Dialect) -> None:
    async with dialect.connect(box) as client:
        made = await client.run(dialect.import_("+14155550100"))
        raw = await client.run_raw(dialect.get(dialect.key_of(made)))
        read = await client.run(dialect.get(dialect.key_of(made)))
    assert (raw.status, raw.headers["content-type"]) == (200, "application/json")
    assert b"+14155550100" in raw.body
    assert raw.parse() == read
    assert "14155550100" not in repr(raw)


async def test_a_request_of_another_platform_is_refused(box: Sandbox, dialect: Dialect) -> None:
    other = next(each for each in DIALECTS.values() if each is not dialect)
    async with dialect.connect(box) as client:
        with pytest.raises(ValueError, match=f"is not a request of {dialect.name}"):
            await client.run(other.get("+14155550100"))
    assert dialect.endpoint(box).requests.total == 0
