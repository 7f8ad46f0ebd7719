"""All pages of a listing as one iterator: the whole account, or an error."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from itertools import chain, cycle
from typing import Annotated, Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sigmamind_async import paging
from sigmamind_async.convert import Record, wire
from sigmamind_async.errors import ConfigurationError, ResponseDecodeError
from sigmamind_async.operation import Response
from sigmamind_async.paging import (
    PAGE_RECORDS,
    Page,
    all_items,
    all_items_by_token,
    items_of,
    page_of,
    page_with_statements,
)
from sigmamind_async.provisioning.transitions import SETTLE_TIME


def total(account: Account, page: Page[str]) -> dict[str, Any]:
    return {"total": len(account.records)}


def pages(account: Account, page: Page[str]) -> dict[str, Any]:
    return {"pages": -(-len(account.records) // account.size)}


def flag(account: Account, page: Page[str]) -> dict[str, Any]:
    return {"more": account.asked[-1] * account.size + len(page.items) < len(account.records)}


def nothing(account: Account, page: Page[str]) -> dict[str, Any]:
    return {}


SAYINGS = {"total": total, "pages": pages, "flag": flag, "nothing": nothing}


@attrs.define
class Account:
    """Records in numbered pages, counted from 0, that change while they are listed."""

    records: list[str]
    size: int = 2
    says: Callable[[Account, Page[str]], dict[str, Any]] = total
    before_page: Callable[[int], None] = lambda request: None
    """Called with the number of each request, from 0, before it is answered."""
    asked: list[int] = attrs.Factory(list)

    async def fetch(self, number: int) -> Page[str]:
        self.before_page(len(self.asked))
        self.asked.append(number)
        page = Page(items=self.records[number * self.size : (number + 1) * self.size])
        return attrs.evolve(page, **self.says(self, page))

    def listing(self) -> AsyncIterator[str]:
        return all_items(self.fetch, str, size=self.size)


def letters(count: int) -> list[str]:
    return [f"r{number}" for number in range(count)]


async def read(listing: AsyncIterator[str]) -> list[str]:
    return [item async for item in listing]


# ---------------------------------------------------------------- an account at rest


@pytest.mark.parametrize("says", SAYINGS)
@pytest.mark.parametrize("count", range(8))
async def test_every_record_is_listed_once(count: int, says: str) -> None:
    assert await read(Account(letters(count), says=SAYINGS[says]).listing()) == letters(count)


async def test_a_listing_that_has_ended_is_not_read_as_an_empty_account() -> None:
    """One that was left early goes on."""
    listing = Account(letters(3)).listing()
    async for first in listing:
        assert first == "r0"
        break

    assert await read(listing) == ["r1", "r2"]
    with pytest.raises(ConfigurationError, match="has ended, and is read once"):
        await read(listing)


async def test_a_listing_that_states_its_total_costs_one_page_more_than_it_has() -> None:
    several, one = Account(letters(6)), Account(letters(1))

    assert await read(several.listing()) == letters(6)
    assert await read(one.listing()) == letters(1)
    assert (several.asked, one.asked) == ([0, 0, 1, 2], [0])


async def test_the_first_page_is_all_that_is_read_for_what_is_on_it() -> None:
    account = Account(letters(6))
    listing = all_items(account.fetch, str, size=2)

    assert [await anext(listing), await anext(listing)] == letters(2)
    await listing.aclose()
    assert account.asked == [0]


async def test_a_short_page_is_no_end() -> None:
    """Of a listing that says nothing; the platform may have cut the page."""
    cuts = [["r0", "r1"], ["r2"], ["r3", "r4"], []]

    listing = all_items(lambda number: same(Page(items=cuts[number])), str, size=2)
    assert await read(listing) == letters(5)


@pytest.mark.parametrize("items", [["a"], ["a", "b"], ["a", "b", "c"], []])
async def test_a_platform_that_does_not_page_is_read_to_where_it_repeats_itself(
    items: list[str],
) -> None:
    """It answers with everything, whichever page is asked for, and says nothing about it."""
    assert await read(all_items(lambda number: same(Page(items=items)), str, size=2)) == items


@pytest.mark.parametrize("says", [{"more": True}, {"total": 3}, {"pages": 2}])
async def test_a_page_that_repeats_itself_and_promises_more_is_an_error(
    says: dict[str, Any],
) -> None:
    with pytest.raises(ResponseDecodeError, match=r"records read: 2.*(3|2 pages|more follow)"):
        await read(all_items(lambda number: same(Page(items=["a", "b"], **says)), str, size=2))


@pytest.mark.parametrize("says", [{"more": True}, {"total": 3}, {"pages": 3}])
async def test_an_empty_page_that_promises_more_is_an_error(says: dict[str, Any]) -> None:
    async def fetch(number: int) -> Page[str]:
        return Page(items=[] if number else ["a", "b"], **says)

    with pytest.raises(ResponseDecodeError, match="records read: 2"):
        await read(all_items(fetch, str, size=2))


async def test_what_one_statement_denies_another_may_promise() -> None:
    """``hasNext`` is false on every page, and the total is right."""
    says = {"more": False, "total": 5}
    account = Account(letters(5), says=lambda account, page: says)

    assert await read(account.listing()) == letters(5)


MISCOUNTED: dict[str, Callable[[int, int, int], dict[str, Any]]] = {
    "pages of the size asked for": lambda number, held, count: {"pages": -(-count // 4)},
    "a flag by the size asked for": lambda number, held, count: {"more": (number + 1) * 4 < count},
    "the last page, counted from 0": lambda number, held, count: {"pages": -(-count // 2) - 1},
    "the page's size for the total": lambda number, held, count: {"total": held},
    "no more on any page": lambda number, held, count: {"more": False, "total": count},
}


@pytest.mark.parametrize("count", range(5, 14))
@pytest.mark.parametrize("name", MISCOUNTED)
async def test_an_end_that_was_counted_wrongly_is_not_believed(name: str, count: int) -> None:
    """The platform cuts pages of 4 down to 2, and counts those it was asked for."""
    asked = 2 if "total" in name else 4

    async def fetch(number: int) -> Page[str]:
        items = letters(count)[number * 2 : number * 2 + 2]
        return Page(items=items, **MISCOUNTED[name](number, len(items), count))

    assert await read(all_items(fetch, str, size=asked)) == letters(count)


async def test_a_total_that_is_smaller_than_what_came_is_no_error() -> None:
    account = Account(letters(6), says=lambda account, page: {**flag(account, page), "total": 1})

    assert await read(account.listing()) == letters(6)


async def test_records_without_a_key_are_told_apart_by_their_places() -> None:
    account = Account(letters(5))

    assert await read(all_items(account.fetch, lambda record: None, size=2)) == letters(5)


async def test_an_order_that_is_another_each_time_is_read_until_all_have_been_seen() -> None:
    orders = [["a", "b", "c", "d"], ["a", "b", "b", "d"], ["a", "b", "c", "d"]]

    async def fetch(number: int) -> Page[str]:
        order = orders[min(len(asked) // 3, 2)]
        asked.append(number)
        return Page(items=order[2 * number : 2 * number + 2], total=4)

    asked: list[int] = [9, 9]
    assert sorted(await read(all_items(fetch, str, size=2))) == ["a", "b", "c", "d"]


async def test_a_reading_that_finds_less_than_the_one_before_ends_nothing() -> None:
    """The second finds nothing new: "d" is there all the same."""
    answers = iter(["ab", "ab", "ca", "ab", "ba", "cd", "ab"])
    listing = all_items(lambda _: same(Page(items=[*next(answers)], total=4)), str, size=2)

    assert sorted(await read(listing)) == ["a", "b", "c", "d"]


async def test_an_order_in_which_a_record_never_shows_is_an_error() -> None:
    answers = chain(["ab"], cycle(["ab", "ba", "bc", "cb"]))
    listing = all_items(lambda _: same(Page(items=[*next(answers)], total=4)), str, size=2)
    with pytest.raises(ResponseDecodeError, match=r"different records read: 3.* a total of 4"):
        await read(listing)


@pytest.mark.parametrize("laps", [2, 3])
async def test_pages_that_come_round_and_round_are_an_error(laps: int) -> None:
    async def fetch(number: int) -> Page[str]:
        return Page(items=[f"r{number % laps}"], more=True)

    with pytest.raises(ResponseDecodeError, match="leads back to pages that were read before"):
        await read(all_items(fetch, str, size=1))
    with pytest.raises(ResponseDecodeError, match="leads back to pages that were read before"):
        async for _ in all_items(fetch, str, size=1).pages():
            pass


async def test_tokens_without_end_that_lead_round_and_round_are_an_error() -> None:
    async def fetch(token: str | None, size: int) -> Page[str]:
        number = int(token or 0) + 1
        return Page(items=[f"r{number % 2}"], token=str(number))

    with pytest.raises(ResponseDecodeError, match="leads back to pages that were read before"):
        await read(all_items_by_token(fetch, str, size=1))


async def test_a_total_that_is_less_than_its_page_holds_ends_nothing() -> None:
    account = Account(letters(5), says=lambda account, page: {"total": 0 if page.items else None})

    assert await read(account.listing()) == letters(5)


async def test_a_record_that_is_there_twice_ends_no_listing() -> None:
    account = Account(["a", "b", "b", "c"], size=3)

    assert await read(account.listing()) == ["a", "b", "c"]


async def test_a_page_that_cannot_be_read_is_an_error_not_an_end() -> None:
    async def fetch(number: int) -> Page[str]:
        if number:
            raise ResponseDecodeError("data[3].active: expected a boolean, got text")
        return Page(items=["a", "b"], more=True)

    listing = all_items(fetch, str, size=2)
    assert [await anext(listing), await anext(listing)] == ["a", "b"]

    with pytest.raises(ResponseDecodeError, match="active"):
        await anext(listing)


async def test_pages_may_be_counted_from_one() -> None:
    account = Account(letters(5))
    listing = all_items(lambda number: account.fetch(number - 1), str, size=2, first=1)

    assert await read(listing) == letters(5)


async def same(page: Page[Any]) -> Page[Any]:
    return page


# ---------------------------------------------------------------- an account that changes


@pytest.mark.parametrize("says", SAYINGS)
@pytest.mark.parametrize("share", [1, 2, 3])
@pytest.mark.parametrize("size", [1, 2, 5, 100])
async def test_deleting_while_listing_reaches_every_record(
    size: int, share: int, says: str
) -> None:
    """Control: with `finish` reading on from the first page as it was, records are left over."""
    account = Account(letters(25), size, SAYINGS[says])
    seen: list[str] = []
    async for record in account.listing():
        seen.append(record)
        if int(record[1:]) % share == 0:
            account.records.remove(record)

    assert seen == letters(25)
    assert [int(record[1:]) % share for record in account.records].count(0) == 0


async def test_without_the_second_look_at_the_first_page_records_are_left_over() -> None:
    """The control of the one before: a caller deletes what is yielded, page after page."""
    account = Account(letters(25))
    number = 0
    while (page := await account.fetch(number)).items:
        for record in page.items:
            account.records.remove(record)
        number += 1

    assert len(account.records) == 12


async def test_replacing_each_record_ends() -> None:
    """What is bought meanwhile does not keep the listing going, and with it the buying."""
    account = Account(letters(25))
    seen: list[str] = []
    async for record in account.listing():
        seen.append(record)
        account.records.remove(record)
        account.records.append(f"new-{record}")

    assert seen[:25] == letters(25)
    assert len(seen) <= 25 + account.size


async def test_an_update_that_moves_records_to_the_front_hides_none() -> None:
    account = Account(letters(25))
    seen: list[str] = []
    async for record in account.listing():
        seen.append(record)
        account.records.remove(record)
        account.records.insert(0, record)

    assert sorted(seen) == sorted(letters(25))


@pytest.mark.parametrize("says", SAYINGS)
@pytest.mark.parametrize("request_number", range(2, 9))
@pytest.mark.parametrize("removed", [1, 2, 3, 7])
async def test_what_others_remove_between_two_pages_hides_no_record(
    removed: int, request_number: int, says: str
) -> None:
    account = Account(letters(12), says=SAYINGS[says])

    def remove(request: int) -> None:
        if request == request_number:
            del account.records[:removed]

    account.before_page = remove
    seen = await read(account.listing())

    assert set(letters(12)[removed:]) <= set(seen)
    assert len(seen) == len(set(seen))


async def test_without_reading_back_what_others_remove_hides_records(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The control of the one before."""
    monkeypatch.setattr(paging, "_may_have_shifted", lambda before, page: False)
    with pytest.raises(AssertionError):
        await test_what_others_remove_between_two_pages_hides_no_record(3, 2, "total")


changes = st.lists(st.tuples(st.booleans(), st.integers(0, 30), st.integers(1, 4)), max_size=30)


@settings(max_examples=400, deadline=None)
@given(
    count=st.integers(0, 30),
    size=st.integers(1, 7),
    says=st.sampled_from(sorted(SAYINGS)),
    others=changes,
    removing=st.booleans(),
    own=st.integers(0, 3),
)
async def test_what_is_there_throughout_is_yielded_once_or_it_is_an_error(
    *,
    count: int,
    size: int,
    says: str,
    others: list[tuple[bool, int, int]],
    removing: bool,
    own: int,
) -> None:
    """Others remove records between any two requests, or add some; the reader removes some too."""
    account = Account(letters(count), size, SAYINGS[says])
    gone: set[str] = set()

    def change(request: int) -> None:
        if request >= len(others):
            return
        at_front, place, several = others[request]
        for number in range(several):
            if removing and account.records:
                gone.add(account.records.pop(0 if at_front else place % len(account.records)))
            elif not removing:
                new = f"n{request}-{number}"
                account.records.insert(0 if at_front else len(account.records), new)

    account.before_page = change
    seen: list[str] = []
    try:
        async for record in account.listing():
            seen.append(record)
            if own and record in account.records and len(seen) % own == 0:
                account.records.remove(record)
    except ResponseDecodeError:
        return
    assert len(seen) == len(set(seen))
    assert set(letters(count)) - gone <= set(seen)


@settings(max_examples=200, deadline=None)
@given(
    count=st.integers(0, 30),
    size=st.integers(1, 7),
    says=st.sampled_from(sorted(SAYINGS)),
    added=st.lists(st.tuples(st.booleans(), st.integers(1, 3)), max_size=20),
)
async def test_an_account_that_grows_is_no_error(
    count: int, size: int, says: str, added: list[tuple[bool, int]]
) -> None:
    """Or none could be read while numbers are bought."""
    account = Account(letters(count), size, SAYINGS[says])

    def grow(request: int) -> None:
        if request < len(added):
            at_front, several = added[request]
            place = 0 if at_front else len(account.records)
            account.records[place:place] = [f"n{request}-{number}" for number in range(several)]

    account.before_page = grow
    assert set(letters(count)) <= set(await read(account.listing()))


# ---------------------------------------------------------------- two pages at once


@attrs.define
class SlowAccount(Account):
    """Answers requests in any order: each after so many turns of the loop."""

    turns: list[int] = attrs.Factory(list)
    under_way: int = 0
    most: int = 0

    async def fetch(self, number: int) -> Page[str]:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            for _ in range(self.turns.pop(0) if self.turns else 0):
                await asyncio.sleep(0)
            return await super().fetch(number)
        finally:
            self.under_way -= 1


async def test_no_page_is_asked_for_before_it_may_be_needed() -> None:
    """While records are yielded, none is; then two at most, and none behind the last."""
    account = SlowAccount(letters(11), turns=[3] * 9)
    listing = account.listing()
    first = [await anext(listing), await anext(listing)]
    assert account.asked == [0]
    assert first + [record async for record in listing] == letters(11)
    assert (account.asked, account.most) == ([0, 0, 1, 2, 3, 4, 5], 2)


async def test_a_listing_without_a_total_reads_one_page_at_a_time() -> None:
    account = SlowAccount(letters(9), says=flag, turns=[3] * 9)
    assert await read(account.listing()) == letters(9)
    assert account.most == 1


async def test_two_pages_at_once_take_half_the_time() -> None:
    """5,000 pages of 0.2 s each: less than a settle time. Time is virtual here."""

    async def fetch(number: int) -> Page[int]:
        await asyncio.sleep(0.2)
        return Page(items=[2 * number, 2 * number + 1], total=10_000)

    began = asyncio.get_running_loop().time()
    assert len([record async for record in all_items(fetch, str, size=2)]) == 10_000
    seconds = asyncio.get_running_loop().time() - began
    assert seconds == pytest.approx(0.2 * 2502)
    assert seconds < SETTLE_TIME


@pytest.mark.parametrize("requests", range(2, 8))
async def test_a_listing_that_is_left_leaves_nothing_behind(requests: int) -> None:
    """Cancelled while one or two pages are under way; then nothing more is asked for."""
    account = SlowAccount(letters(30), turns=[1] * requests + [1000] * 4)
    reading = asyncio.create_task(read(account.listing()))
    while len(account.asked) < requests:  # noqa: ASYNC110 - until the next ones are under way
        await asyncio.sleep(0)
    for _ in range(3):
        await asyncio.sleep(0)
    before = asyncio.all_tasks()
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert account.under_way == 0
    assert asyncio.all_tasks() == before - {
        task for task in before if task.done() or task is reading
    }


@pytest.mark.parametrize("gone", [1, 2, 5])
async def test_a_page_that_is_gone_before_it_is_read_is_no_error(gone: int) -> None:
    """Removed after the total promised it; this platform refuses a page behind the last."""
    account = SlowAccount(letters(12))

    async def fetch(number: int) -> Page[str]:
        page = await account.fetch(number)
        if number and not page.items:
            raise ResponseDecodeError("there is no such page")
        return page

    def remove(request: int) -> None:
        if request == 4:
            del account.records[-gone:]

    account.before_page = remove
    assert set(letters(12 - gone)) <= set(await read(all_items(fetch, str, size=2)))


steps = st.lists(
    st.tuples(st.booleans(), st.booleans(), st.integers(0, 30), st.integers(1, 4)), max_size=30
)


def drawn(count: int, size: int, turns: list[int], changes: Any) -> tuple[SlowAccount, set[str]]:
    """Return an account that others change between its answers, and what they remove."""
    account, gone = SlowAccount(letters(count), size, turns=list(turns)), set[str]()

    def change(request: int) -> None:
        if request >= len(changes):
            return
        removing, at_front, place, several = changes[request]
        for number in range(several):
            if not removing:
                at = 0 if at_front else len(account.records)
                account.records.insert(at, f"n{request}-{number}")
            elif account.records:
                gone.add(account.records.pop(0 if at_front else place % len(account.records)))

    account.before_page = change
    return account, gone


@settings(max_examples=400, deadline=None)
@given(
    count=st.integers(0, 30),
    size=st.integers(1, 5),
    turns=st.lists(st.integers(0, 3), max_size=20),
    changes=steps,
    removing=st.booleans(),
)
async def test_whichever_page_is_answered_first_nothing_is_hidden(
    *, count: int, size: int, turns: list[int], changes: Any, removing: bool
) -> None:
    """Others add records, or remove some: both within one reading may hide one another."""
    account, gone = drawn(count, size, turns, [(removing, *rest) for _, *rest in changes])
    try:
        seen = await read(account.listing())
    except ResponseDecodeError:
        return
    assert len(seen) == len(set(seen))
    assert set(letters(count)) - gone <= set(seen)


async def test_a_page_that_was_answered_too_early_is_read_again() -> None:
    """A record is added in front, and one at the end, between the answers of pages 2 and 1."""
    assert set(letters(8)) <= set(await read(answered_out_of_order().listing()))


async def test_without_reading_it_again_a_record_is_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control of the one before."""
    monkeypatch.setattr(paging, "_may_have_shifted", lambda before, page: False)
    assert not set(letters(8)) <= set(await read(answered_out_of_order().listing()))


def answered_out_of_order() -> SlowAccount:
    account = SlowAccount(letters(8), turns=[0, 0, 5, 0])

    def add(request: int) -> None:
        if request == 3:
            account.records[:] = ["new", *account.records, "late"]

    account.before_page = add
    return account


# ---------------------------------------------------------------- pages by token


async def by_token(*answers: Page[str], size: int = 1) -> tuple[list[str], list[str | None]]:
    asked: list[str | None] = []
    tokens = [None, *(page.token for page in answers)]

    async def fetch(token: str | None, size: int) -> Page[str]:
        asked.append(token)
        return answers[tokens.index(token)]

    return [item async for item in all_items_by_token(fetch, str, size=size)], asked


async def test_each_page_is_asked_for_with_the_token_of_the_one_before() -> None:
    items, asked = await by_token(
        Page(items=["1"], token="a"), Page(items=[], token="b"), Page(items=["2"])
    )

    assert items == ["1", "2"]
    assert asked == [None, None, "a", "b"]


async def test_a_token_that_comes_again_is_an_error_and_no_circle() -> None:
    with pytest.raises(ResponseDecodeError, match="leads back"):
        await by_token(Page(items=["1"], token="a"), Page(items=["2"], token="a"))


@pytest.mark.parametrize("says", [{"more": True}, {"total": 3}, {"pages": 3}])
async def test_a_promise_without_a_token_is_an_error(says: dict[str, Any]) -> None:
    with pytest.raises(ResponseDecodeError, match="records read: 1"):
        await by_token(Page(items=["1"], **says))
    with pytest.raises(ResponseDecodeError, match="records read: 2"):
        await by_token(Page(items=["1"], token="a"), Page(items=["2"], **says))


async def test_a_shrinking_total_is_no_error_by_token() -> None:
    items, _ = await by_token(Page(items=["1"], token="a", total=5), Page(items=["2"], total=2))

    assert items == ["1", "2"]


def cut(records: list[str], most: int, **says: Any) -> Any:
    """Return a platform that cuts pages and says no more than *says*."""

    async def fetch(token: str | None, size: int) -> Page[str]:
        return Page(items=records[: min(size, most)], **says)

    return fetch


@pytest.mark.parametrize("most", [3, 10, 100])
async def test_a_page_that_was_cut_and_names_no_token_is_an_error(most: int) -> None:
    """Of exactly the size asked for, or of a smaller one that the platform allows at most."""
    with pytest.raises(ResponseDecodeError, match="gives no token"):
        await read(all_items_by_token(cut(letters(250), most), str, size=10))


async def test_a_platform_that_answers_with_everything_is_read_whole_without_a_token() -> None:
    def everything(records: list[str]) -> Any:
        return lambda token, size: same(Page(items=records))

    for count in (0, 1, 2, 10, 250):
        listing = all_items_by_token(everything(letters(count)), str, size=10)
        assert await read(listing) == letters(count)


async def test_a_token_is_left_out_of_the_last_page_by_some() -> None:
    """They name one as soon as there is more, so that a page without one is the last."""

    async def fetch(token: str | None, size: int) -> Page[str]:
        return Page(items=letters(3)[:size], token="t" if size < 3 else None)

    assert await read(all_items_by_token(fetch, str, size=3)) == letters(3)


@pytest.mark.parametrize("every", [1, 2, 3])
@pytest.mark.parametrize("prefix", ["", "t", "page:", "b2Zmc2V0OjEw"])
async def test_deleting_while_listing_reaches_every_record_behind_a_token_that_counts(
    prefix: str, every: int
) -> None:
    """However it is spelt. The control: read page after page, every second page is left out."""
    records = letters(25)

    async def fetch(token: str | None, size: int) -> Page[str]:
        start = int(token.removeprefix(prefix)) if token else 0
        after = f"{prefix}{start + size}" if start + size < len(records) else None
        return Page(items=records[start : start + size], token=after, more=after is not None)

    seen: list[str] = []
    async for record in all_items_by_token(fetch, str, size=10):
        seen.append(record)
        if len(seen) % every == 0:
            records.remove(record)

    assert seen == letters(25)
    assert len(records) == 25 - 25 // every


# ---------------------------------------------------------------- what a page says

ROWS: list[object] = [{}] * 50

MORE: dict[str, object] = {
    "totalCount": {"data": ROWS, "totalCount": 250},
    "totalCounts": {"data": ROWS, "totalCounts": 250},
    "total": {"data": ROWS, "total": 250},
    "total as text": {"data": ROWS, "total": "250"},
    "total as float": {"data": ROWS, "total": 250.0},
    "total_count": {"data": ROWS, "total_count": 250},
    "total-count": {"data": ROWS, "total-count": " 250 "},
    "TotalRecords": {"data": ROWS, "TotalRecords": 250},
    "total_items": {"data": ROWS, "total_items": 250},
    "totalElements": {"data": ROWS, "page": {"totalElements": 250, "number": 0}},
    "total beside a false flag": {"data": ROWS, "total": 250, "hasNext": False},
    "total beside a smaller one": {"data": ROWS, "total": 50, "totalCount": 250},
    "count above what is there": {"data": ROWS, "count": 250},
    "totalPages": {"data": ROWS, "totalPages": 5},
    "total_pages as text": {"data": ROWS, "total_pages": "5"},
    "pages": {"data": ROWS, "pages": 5},
    "last_page": {"data": ROWS, "current_page": 1, "last_page": 5},
    "hasNext": {"data": ROWS, "hasNext": True},
    "hasNext as text": {"data": ROWS, "hasNext": "true"},
    "hasNext as number": {"data": ROWS, "hasNext": 1},
    "has_next": {"data": ROWS, "has_next": True},
    "has_more": {"data": ROWS, "has_more": True},
    "hasMore": {"data": ROWS, "hasMore": True},
    "hasNextPage": {"data": ROWS, "pageInfo": {"hasNextPage": True}},
    "last": {"data": ROWS, "last": False},
    "isLast": {"data": ROWS, "isLast": False},
    "next": {"data": ROWS, "next": "https://api.example/numbers?page=1"},
    "nextPage": {"data": ROWS, "nextPage": 2},
    "next_page": {"data": ROWS, "next_page": "2"},
    "next_page_url": {"data": ROWS, "next_page_url": "https://api.example/?page=2"},
    "nextPageToken": {"data": ROWS, "nextPageToken": "t"},
    "next_cursor": {"data": ROWS, "next_cursor": "c"},
    "links.next": {"data": ROWS, "links": {"next": "/numbers?page=1", "last": "/numbers?page=4"}},
    "_links.next.href": {"data": ROWS, "_links": {"next": {"href": "/numbers?page=1"}}},
    "next as object": {"data": ROWS, "pagination": {"next": {"page": 2, "limit": 50}}},
    "more as a number": {"data": ROWS, "more": 200},
    "links by rel": {"data": ROWS, "links": [{"rel": "next", "href": "/numbers?page=1"}]},
    "meta.pagination.total": {"data": ROWS, "meta": {"pagination": {"total": 250}}},
    "meta.total_pages": {"data": ROWS, "meta": {"total_pages": 5}},
    "pagination.hasNext": {"data": ROWS, "pagination": {"hasNext": True}},
    "paging.cursors": {"data": ROWS, "paging": {"cursors": {"next_cursor": "c"}}},
    "around a wrapper": {"data": {"items": ROWS}, "meta": {"total": 250}},
    "within a wrapper": {"statusCode": 200, "data": {"items": ROWS, "meta": {"total": 250}}},
}


def statement(raw: object, headers: dict[str, str], *, held: int, size: int) -> Page[None]:
    """Return what an answer with *held* records states, without them."""
    return attrs.evolve(page_with_statements([None] * held, raw, headers, size), items=[])


def promised(raw: object, headers: dict[str, str] | None = None) -> bool:
    page = statement(raw, headers or {}, held=50, size=100)
    return bool(page.more or (page.total or 0) > 50 or (page.pages or 0) > 1 or page.token)


@pytest.mark.parametrize("name", MORE)
def test_a_statement_that_there_is_more_is_understood(name: str) -> None:
    assert promised(MORE[name])


@pytest.mark.parametrize(
    "headers",
    [
        {"Link": '<https://api.example/?page=2>; rel="next"'},
        {"link": '<https://api.example/?page=2>; rel="next", <https://api.example/>; rel="last"'},
        {"link": "</?page=1,2>; title=x; rel=next"},
        {"Link": '</a>; rel="prev start", </b>; rel = "last next"'},
        {"X-Total-Count": "250"},
        {"x-total": "250"},
        {"x-total-pages": "5"},
        {"x-next-page": "2"},
    ],
)
def test_headers_make_statements_too(headers: dict[str, str]) -> None:
    assert promised(ROWS, headers)


@pytest.mark.parametrize(
    "around",
    [
        {},
        {"total": None},
        {"total": "many"},
        {"total": True},
        {"total": 250.5},
        {"total": [250]},
        {"count": 50},
        {"count": 100, "limit": 100},
        {"size": 250, "limit": 250, "page": 7, "perPage": 250},
        {"pages": [{"n": 1}]},
        {"last_page": 1},
        {"links": {"first": 0, "last": 0}},
        {"links": {"first": 1, "last": 1}},
        {"last": "https://api.example/?page=5"},
        {"hasNext": "maybe"},
        {"hasNext": None},
        {"billing": {"total": 250, "next": "2026-12-01"}},
        {"records": [{"total": 250}]},
    ],
)
def test_what_is_no_statement_is_none(around: dict[str, Any]) -> None:
    page = statement({"data": ROWS, **around}, {}, held=50, size=100)

    assert page == Page(items=[])


@pytest.mark.parametrize("headers", [{"Link": '</>; rel="prev"'}, {"x-request-id": "250"}])
def test_other_headers_are_no_statement(headers: dict[str, str]) -> None:
    assert statement(ROWS, headers, held=50, size=100) == Page(items=[])


@pytest.mark.parametrize(
    "around",
    [
        {"hasNext": False},
        {"last": True},
        {"next": None},
        {"next": ""},
        {"nextPage": None},
        {"nextPage": 0},
        {"next_page_token": None},
        {"links": {"next": None, "prev": "/"}},
    ],
)
def test_an_end_is_understood(around: dict[str, Any]) -> None:
    assert statement({"data": ROWS, **around}, {}, held=50, size=100).more is False


@pytest.mark.parametrize(
    "value", [-1, "-1", -250.0, 10**13, "9" * 5000, 1e300, "99999999999999999999"]
)
@pytest.mark.parametrize("name", ["total", "totalPages", "count"])
def test_a_number_that_cannot_be_is_an_error(name: str, value: object) -> None:
    with pytest.raises(ResponseDecodeError, match=f"the page says {name}: "):
        statement({"data": ROWS, name: value}, {}, held=50, size=100)


@pytest.mark.parametrize(
    ("around", "token"),
    [
        ({"next_page_token": "t"}, "t"),
        ({"nextPageToken": "t"}, "t"),
        ({"next_token": "t"}, "t"),
        ({"nextCursor": "t"}, "t"),
        ({"cursor": "t"}, "t"),
        ({"next_page_token": 7}, "7"),
        ({"pagination": {"next_page_token": "t"}}, "t"),
        ({"meta": {"pagination": {"nextToken": 7}}}, "7"),
        ({"next_page_token": None, "cursor": "this page's"}, None),
        ({"next_page_token": ""}, None),
        ({"next_page_token": 0}, None),
        ({"next_page_token": True}, None),
        ({"next_page_token": {"a": 1}}, None),
        ({"page_token": "this page's"}, None),
    ],
)
def test_a_token_has_several_names_and_places(around: dict[str, Any], token: str | None) -> None:
    assert statement({"data": ROWS, **around}, {}, held=50, size=100).token == token


@pytest.mark.parametrize("value", [True, {"a": 1}])
def test_a_token_that_cannot_be_used_promises_more(value: object) -> None:
    """So that the listing raises rather than ends."""
    assert statement({"next_page_token": value}, {}, held=50, size=100).more is True


NAMES = [
    "total",
    "count",
    "pages",
    "last_page",
    "hasNext",
    "last",
    "next",
    "nextPageToken",
    "cursor",
    "meta",
    "data",
    "links",
]


@settings(max_examples=300, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(0, 9) | st.floats(0, 9) | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner),
    )
)
def test_any_envelope_can_be_read(raw: object) -> None:
    statement(raw, {}, held=1, size=2)


# ---------------------------------------------------------------- what a page holds


@attrs.frozen(kw_only=True)
class Thing(Record):
    active: Annotated[bool | None, wire("active", strict=True)] = None


@pytest.mark.parametrize(
    "raw",
    [[{"active": True}], {"data": [{"active": True}], "page": 1}, {"items": [{"active": True}]}],
)
def test_records_are_in_an_array_or_under_a_key(raw: object) -> None:
    assert items_of(raw, Thing, ["data", "items"]) == [Thing(active=True)]


@pytest.mark.parametrize("raw", [{}, {"rows": []}, "text", None, 7])
def test_a_page_without_a_list_is_an_error(raw: object) -> None:
    with pytest.raises(ResponseDecodeError, match="no list under data or items"):
        items_of(raw, Thing, ["data", "items"])


def thing_page(body: bytes, unwrap: Any = None) -> Page[Thing]:
    return page_of(Response(status=200, body=body), Thing, ["data"], size=100, unwrap=unwrap)


def listed(crumb: bytes, count: int) -> bytes:
    return (crumb + b",") * (count - 1) + crumb


@pytest.mark.parametrize("body", [b"[%s]", b'{"data":[%s]}', b'{"total":1,"data":[%s],"x":1}'])
@pytest.mark.parametrize("count", [PAGE_RECORDS + 1, 1_000_000])
def test_a_crowd_of_records_is_refused_before_any_is_made(
    body: bytes, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Control: of the same body with as many as are allowed they are made."""

    def structure(*_: object, **__: object) -> list[Thing]:
        raise AssertionError("records were made")

    monkeypatch.setattr(paging, "structure_list", structure)
    with pytest.raises(ResponseDecodeError, match="more than 100,000 records"):
        thing_page(body % listed(b"{}", count))
    with pytest.raises(AssertionError, match="records were made"):
        thing_page(body % listed(b"{}", PAGE_RECORDS))


@pytest.mark.parametrize("crumb", [b"{}", b"[]", b"0", b'""', b"[[]]", b'{"a":{}}'])
def test_a_crowd_is_refused_unparsed(crumb: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """However it is packed: what is parsed is many times as large as the body."""

    def load(body: bytes) -> object:
        raise AssertionError("it was parsed")

    monkeypatch.setattr(paging, "load_json", load)
    with pytest.raises(ResponseDecodeError, match="more than 100,000 records"):
        thing_page(b'{"data":[' + listed(crumb, 5_000_000) + b"]}")


def test_a_large_account_on_one_page_is_no_crowd() -> None:
    row = {"phone_number": "+14155550100", "capabilities": ["voice", "sms"], "note": "x" * 200}
    body = json.dumps([{**row, "id": number} for number in range(50_000)]).encode()

    assert len(thing_page(body).items) == 50_000
