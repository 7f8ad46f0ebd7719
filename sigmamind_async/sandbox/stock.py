"""Which numbers are for sale. Endless, deterministic by seed, and never the same one twice."""

from __future__ import annotations

from collections.abc import Container, Iterator
from itertools import chain, islice

import attrs

from sigmamind_async.sandbox.chance import draw_index


@attrs.frozen
class NumberingPlan:
    """How a country's numbers are made, as far as the sandbox sells them."""

    name: str
    """Of the country."""
    calling_code: str
    areas: tuple[int, ...]
    """Area codes in stock."""
    lowest: int = 2_000_000
    highest: int = 9_999_999
    """Subscriber numbers, all of one length."""

    @property
    def size(self) -> int:
        """Numbers for sale in one area."""
        return self.highest - self.lowest + 1


_SHORT = (100_000, 999_999)

NUMBERING_PLANS = {
    # North American numbers: the exchange, digits four to six, starts with 2 to 9.
    "US": NumberingPlan("United States", "1", (205, 212, 305, 312, 415, 512, 617, 702, 818, 917)),
    "CA": NumberingPlan("Canada", "1", (416, 514, 604, 780)),
    "GB": NumberingPlan("United Kingdom", "44", (113, 121, 131, 141, 151, 161)),
    "IN": NumberingPlan("India", "91", (124, 141, 265, 422, 484, 731), highest=4_999_999),
    "DE": NumberingPlan("Germany", "49", (201, 211, 221, 341, 511, 711)),
    "FR": NumberingPlan("France", "33", (140, 240, 340, 440, 540), *_SHORT),
    "ES": NumberingPlan("Spain", "34", (910, 930, 950, 960), *_SHORT),
    "AU": NumberingPlan("Australia", "61", (261, 280, 361, 731), *_SHORT),
}

# Coprime to every ``size`` above, so that stepping by it visits each subscriber number once.
_STEP = 1_299_709
SHARES = 3
"""Platforms among which the numbers of an area are divided: no two sell the same one."""


def country_of(phone_number: str) -> str | None:
    """Return the country a number belongs to, None where nothing is sold."""
    for country in ("CA", *NUMBERING_PLANS):
        plan = NUMBERING_PLANS[country]
        # Canada shares its calling code with the United States and is known by its areas.
        areas = plan.areas if country == "CA" else ("",)
        if phone_number.startswith(tuple(f"+{plan.calling_code}{area}" for area in areas)):
            return country
    return None


def on_offer(
    country: str, *, seed: int, count: int, taken: Container[str], share: int = 0
) -> list[str]:
    """Return the numbers a search finds first, at most *count*: the same until one is sold."""
    plan = NUMBERING_PLANS.get(country)
    if plan is None:
        return []
    by_area = (
        _unsold(country, area, seed=seed, first=0, taken=taken, share=share) for area in plan.areas
    )
    return list(islice(chain.from_iterable(zip(*by_area, strict=False)), count))


def nearest_area(areas: tuple[int, ...], wanted: int) -> int:
    """Return the area in stock closest to the wanted one, the lower of two equally close."""
    return min(areas, key=lambda area: (abs(area - wanted), area))


def choose_number(
    country: str,
    area_code: int | None,
    *,
    seed: int,
    count: int,
    taken: Container[str],
    share: int = 0,
) -> str | None:
    """Return the number the platform picks for its purchase numbered *count*.

    None means that nothing is sold in *country*. *taken* are the numbers ever sold: a released
    one is not sold again, so that a number names one purchase for the whole of a test. *share*
    tells the platform from others, which sell other numbers.
    """
    plan = NUMBERING_PLANS.get(country)
    if plan is None:
        return None
    if area_code is None:
        area = plan.areas[draw_index(seed, len(plan.areas), "area", country, count)]
    else:
        area = nearest_area(plan.areas, area_code)
    return next(_unsold(country, area, seed=seed, first=count, taken=taken, share=share), None)


def _unsold(
    country: str,
    area: int,
    *,
    seed: int,
    first: int,
    taken: Container[str],
    share: int,
) -> Iterator[str]:
    """Yield the numbers of an area that were never sold, from the one numbered *first*."""
    plan = NUMBERING_PLANS[country]
    start = draw_index(seed, plan.size, "subscriber", country, area)
    sold_here = plan.size // SHARES
    for offset in range(first, first + sold_here):
        place = offset % sold_here * SHARES + share
        subscriber = plan.lowest + (start + place * _STEP) % plan.size
        number = f"+{plan.calling_code}{area}{subscriber}"
        if number not in taken:
            yield number
