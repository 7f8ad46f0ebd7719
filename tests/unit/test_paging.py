"""All pages of a listing as one iterator."""

from typing import Annotated

import attrs
import pytest

from sigmamind_async.convert import Record, wire
from sigmamind_async.errors import ResponseDecodeError
from sigmamind_async.paging import Page, all_items, all_items_by_token, items_of


class Listing:
    """Pages to fetch, and which of them were."""

    def __init__(self, *pages: Page[int]) -> None:
        self.pages = pages
        self.asked: list[int] = []

    async def fetch(self, number: int) -> Page[int]:
        self.asked.append(number)
        return self.pages[number]


async def read(listing: Listing, size: int = 2) -> list[int]:
    return [item async for item in all_items(listing.fetch, size)]


async def test_the_platform_says_where_the_listing_ends() -> None:
    listing = Listing(Page(items=[1, 2], more=True), Page(items=[3, 4], more=False))

    assert await read(listing) == [1, 2, 3, 4]
    assert listing.asked == [0, 1]


async def test_a_short_page_is_followed_when_the_platform_says_more() -> None:
    """A platform may cap the page size below what was asked for."""
    listing = Listing(Page(items=[1], more=True), Page(items=[2], more=False))

    assert await read(listing) == [1, 2]


async def test_an_empty_page_ends_the_listing_whatever_it_says() -> None:
    listing = Listing(Page(items=[1, 2], more=True), Page(items=[], more=True))

    assert await read(listing) == [1, 2]


async def test_a_silent_platform_ends_at_a_short_page() -> None:
    listing = Listing(Page(items=[1, 2]), Page(items=[3]))

    assert await read(listing) == [1, 2, 3]


async def test_a_silent_platform_ends_at_an_empty_page() -> None:
    listing = Listing(Page(items=[1, 2]), Page(items=[]))

    assert await read(listing) == [1, 2]


async def test_a_silent_platform_that_does_not_page_is_read_once() -> None:
    """It answers with everything each time; more than was asked for is all there is."""
    listing = Listing(Page(items=[1, 2, 3]))

    assert await read(listing) == [1, 2, 3]


async def test_a_silent_platform_that_repeats_itself_has_ended() -> None:
    """Everything happens to be exactly one page: only the repetition shows that it is all."""
    listing = Listing(Page(items=[1, 2]), Page(items=[1, 2]))

    assert await read(listing) == [1, 2]


async def test_a_platform_that_promises_more_and_repeats_itself_is_an_error() -> None:
    """Never an early end, never an endless one."""
    listing = Listing(Page(items=[1, 2], more=True), Page(items=[1, 2], more=True))

    with pytest.raises(ResponseDecodeError, match="page 1 of the listing repeats"):
        await read(listing)


async def test_a_page_that_cannot_be_read_is_an_error_not_an_end() -> None:
    async def fetch(number: int) -> Page[int]:
        if number:
            raise ResponseDecodeError("data[3].active: expected a boolean, got text")
        return Page(items=[1, 2])

    items = all_items(fetch, 2)
    assert [await anext(items), await anext(items)] == [1, 2]

    with pytest.raises(ResponseDecodeError, match="active"):
        await anext(items)


async def test_pages_are_fetched_only_as_they_are_needed() -> None:
    listing = Listing(Page(items=[1, 2], more=True))

    items = all_items(listing.fetch, 2)
    assert await anext(items) == 1
    await items.aclose()

    assert listing.asked == [0]


async def test_an_empty_account_has_an_empty_listing() -> None:
    assert await read(Listing(Page(items=[]))) == []


# ---------------------------------------------------------------- pages by token


async def by_token(*pages: Page[int]) -> tuple[list[int], list[str | None]]:
    asked: list[str | None] = []

    async def fetch(token: str | None) -> Page[int]:
        asked.append(token)
        return pages[len(asked) - 1]

    return [item async for item in all_items_by_token(fetch)], asked


async def test_each_page_is_asked_for_with_the_token_of_the_one_before() -> None:
    items, asked = await by_token(
        Page(items=[1], token="a"), Page(items=[], token="b"), Page(items=[2])
    )

    assert items == [1, 2]
    assert asked == [None, "a", "b"]


async def test_a_token_that_comes_again_is_an_error_and_no_circle() -> None:
    with pytest.raises(ResponseDecodeError, match="leads back"):
        await by_token(Page(items=[1], token="a"), Page(items=[2], token="a"))


async def test_pages_may_be_counted_from_one() -> None:
    listing = Listing(Page(items=[]), Page(items=[1, 2]), Page(items=[3]))

    assert [item async for item in all_items(listing.fetch, 2, first=1)] == [1, 2, 3]


# ---------------------------------------------------------------- what stands in a page


@attrs.frozen(kw_only=True)
class Thing(Record):
    active: Annotated[bool | None, wire("active", strict=True)] = None


@pytest.mark.parametrize(
    ("raw", "around"),
    [
        ([{"active": True}], {}),
        ({"data": [{"active": True}], "page": 1}, {"page": 1}),
        ({"items": [{"active": True}]}, {}),
    ],
)
def test_records_stand_in_an_array_or_under_a_key(raw: object, around: dict[str, object]) -> None:
    assert items_of(raw, Thing, ["data", "items"]) == ([Thing(active=True)], around)


@pytest.mark.parametrize(
    ("raw", "path"),
    [([{}, {"active": 1}], "[1].active"), ({"data": [{"active": 1}]}, "data[0].active")],
)
def test_a_record_that_cannot_be_read_is_named(raw: object, path: str) -> None:
    with pytest.raises(ResponseDecodeError) as caught:
        items_of(raw, Thing, ["data"])

    assert caught.value.path == path


@pytest.mark.parametrize("raw", [{}, {"rows": []}, "text", None, 7])
def test_a_page_without_a_list_is_an_error(raw: object) -> None:
    with pytest.raises(ResponseDecodeError, match="no list under data or items"):
        items_of(raw, Thing, ["data", "items"])
