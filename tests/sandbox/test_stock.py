"""Numbers the platform chooses."""

import re

import pytest

from sigmamind_async.sandbox.stock import (
    NUMBERING_PLANS,
    SHARES,
    NumberingPlan,
    choose_number,
    country_of,
    nearest_area,
    on_offer,
)


def sold(
    country: str, count: int, *, seed: int = 1, area_code: int | None = None, share: int = 0
) -> list[str]:
    taken: list[str] = []
    for number in range(count):
        chosen = choose_number(
            country, area_code, seed=seed, count=number, taken=set(taken), share=share
        )
        assert chosen is not None
        taken.append(chosen)
    return taken


@pytest.mark.parametrize("country", sorted(NUMBERING_PLANS))
def test_numbers_are_unique_valid_and_of_their_country(country: str) -> None:
    numbers = sold(country, 300)
    assert len(set(numbers)) == 300
    assert all(re.fullmatch(r"\+[1-9][0-9]{6,14}", number) for number in numbers)
    assert all(number[1:].startswith(NUMBERING_PLANS[country].calling_code) for number in numbers)


def test_the_seed_decides() -> None:
    assert sold("US", 20) == sold("US", 20)
    assert sold("US", 20) != sold("US", 20, seed=2)


def test_a_number_ever_sold_is_not_sold_again() -> None:
    first = choose_number("US", 415, seed=1, count=0, taken=())
    assert choose_number("US", 415, seed=1, count=0, taken={str(first)}) != first


@pytest.mark.parametrize(("wanted", "found"), [(415, 415), (400, 415), (100, 205), (99_999, 917)])
def test_the_nearest_area_in_stock_is_taken(wanted: int, found: int) -> None:
    assert nearest_area(NUMBERING_PLANS["US"].areas, wanted) == found
    assert sold("US", 1, area_code=wanted)[0].startswith(f"+1{found}")


def test_the_lower_of_two_equally_near_areas_is_taken() -> None:
    assert nearest_area((200, 300), 250) == 200


def test_nothing_is_sold_in_a_country_without_stock() -> None:
    assert choose_number("ZZ", None, seed=1, count=0, taken=()) is None


def test_a_country_is_sold_out_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Platforms divide its numbers: none is sold by two of them."""
    plan = NumberingPlan("Nowhere", "999", (100,), lowest=1_000, highest=1_011)
    monkeypatch.setitem(NUMBERING_PLANS, "XX", plan)
    shares = [sold("XX", 4, share=share) for share in range(SHARES)]
    taken = {number for share in shares for number in share}
    assert taken == {f"+999100{subscriber}" for subscriber in range(1_000, 1_012)}
    assert choose_number("XX", None, seed=1, count=4, taken=taken) is None


@pytest.mark.parametrize("country", sorted(NUMBERING_PLANS))
def test_a_number_tells_its_country(country: str) -> None:
    assert {country_of(number) for number in sold(country, 50)} == {country}


def test_a_number_from_elsewhere_has_no_country() -> None:
    assert country_of("+390612345678") is None


def test_an_offer_stands_until_it_is_sold() -> None:
    offered = on_offer("US", seed=1, count=15, taken=())
    assert offered == on_offer("US", seed=1, count=15, taken=())
    later = on_offer("US", seed=1, count=15, taken={offered[0]})
    assert len(set(later)) == 15
    assert set(offered) - set(later) == {offered[0]}
    assert on_offer("ZZ", seed=1, count=15, taken=()) == []
