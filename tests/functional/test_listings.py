"""Listings over sockets: the whole account or an error, in any envelope, and bought once."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import attrs
import orjson
import pytest

from sigmamind_async import (
    DialNexa,
    OutcomeUnknownError,
    ResponseDecodeError,
    SigmaMind,
    Verbex,
)
from sigmamind_async.fleet.state import list_numbers
from sigmamind_async.platforms.sigmamind import CreatePhoneNumber
from sigmamind_async.platforms.verbex import CreatePiaPhoneNumber
from sigmamind_async.provisioning import MemoryJournal, Provisioner
from tests.functional.faultserver import (
    Exchange,
    FaultServer,
    Received,
    Treatment,
    always,
    answer,
    response,
)
from tests.functional.support import FAST, KEY, error_of, run_script

COUNT = 250
MOST = 50
"""The platform cuts every page to this, whatever is asked for."""

Fields = Mapping[str, Any]
Style = Callable[[int, int], Fields]
"""The fields around a page, by its number from 0 and the number of all records."""


def _pages(total: int) -> int:
    return -(-total // MOST)


def _more(number: int, total: int) -> bool:
    return number + 1 < _pages(total)


def _next(number: int, total: int) -> str | None:
    return f"/numbers?page={number + 1}" if _more(number, total) else None


STYLES: dict[str, Style] = {
    "totalCount": lambda number, total: {"totalCount": total},
    "totalCounts": lambda number, total: {"totalCounts": total},
    "total as text": lambda number, total: {"total": str(total)},
    "total_count": lambda number, total: {"total_count": total},
    "totalElements": lambda number, total: {"page": {"number": number, "totalElements": total}},
    "totalItems": lambda number, total: {"totalItems": float(total)},
    "count of all": lambda number, total: {"count": total},
    "totalPages": lambda number, total: {"totalPages": _pages(total)},
    "pages as text": lambda number, total: {"pages": str(_pages(total))},
    "last_page": lambda number, total: {"last_page": _pages(total), "current_page": number + 1},
    "hasNext": lambda number, total: {"hasNext": _more(number, total)},
    "has_next as text": lambda number, total: {"has_next": str(_more(number, total))},
    "has_more": lambda number, total: {"has_more": _more(number, total)},
    "hasMore as number": lambda number, total: {"hasMore": int(_more(number, total))},
    "pageInfo": lambda number, total: {"pageInfo": {"hasNextPage": _more(number, total)}},
    "last": lambda number, total: {"last": not _more(number, total)},
    "next": lambda number, total: {"next": _next(number, total), "previous": None},
    "nextPage": lambda number, total: {"nextPage": number + 1 if _more(number, total) else None},
    "links.next": lambda number, total: {"links": {"next": _next(number, total)}},
    "_links": lambda number, total: {"_links": {"next": {"href": _next(number, total)}}},
    "meta.pagination": lambda number, total: {"meta": {"pagination": {"total": total}}},
    "meta": lambda number, total: {"meta": {"total_pages": _pages(total), "page": number}},
    "pagination": lambda number, total: {"pagination": {"hasNext": _more(number, total)}},
    "false flag, true total": lambda number, total: {"hasNext": False, "totalCount": total},
    "page count, true flag": lambda number, total: {"total": MOST, "hasNext": _more(number, total)},
}
HEADERS: dict[str, Style] = {
    "Link": lambda number, total: (
        {"Link": f'<{_next(number, total)}>; rel="next"'} if _more(number, total) else {}
    ),
    "X-Total-Count": lambda number, total: {"X_Total_Count": str(total)},
    "X-Next-Page": lambda number, total: {
        "X_Next_Page": str(number + 2) if _more(number, total) else ""
    },
}
TOKENS: dict[str, Style] = {
    "next_page_token": lambda number, total: {"next_page_token": _token(number, total)},
    "nextPageToken": lambda number, total: {"nextPageToken": _token(number, total) or ""},
    "next_token": lambda number, total: {"next_token": _token(number, total)},
    "next_cursor": lambda number, total: {"next_cursor": _token(number, total)},
    "cursor": lambda number, total: {"cursor": _token(number, total)},
    "a number": lambda number, total: {
        "next_page_token": number + 1 if _more(number, total) else None
    },
    "one level down": lambda number, total: {
        "pagination": {"next_page_token": _token(number, total)}
    },
    "two levels down": lambda number, total: {
        "meta": {"pagination": {"nextPageToken": _token(number, total)}}
    },
    "left out at the end": lambda number, total: (
        {"next_page_token": _token(number, total)} if _more(number, total) else {}
    ),
}


def _token(number: int, total: int) -> str | None:
    return f"t{number + 1}" if _more(number, total) else None


@attrs.frozen
class Vendor:
    """How one platform is asked for pages, and how it names them."""

    client: Callable[..., Any]
    key: str
    first: int
    row: Callable[[int], dict[str, Any]]

    def connect(self, server: FaultServer, deadline: float = 30.0) -> Any:
        key = f"{KEY}:s3cret"
        return self.client(key, base_url=server.url, retry=FAST, deadline=deadline)

    def number_of(self, request: Received) -> int:
        """Return the number of the page that *request* asks for, from 0."""
        query = parse_qs(urlsplit(request.path).query)
        if "page" in query:
            return int(query["page"][0]) - self.first
        return int(query.get("page_token", ["0"])[0].lstrip("t"))

    async def listed(self, server: FaultServer) -> list[str]:
        async with self.connect(server) as client:
            found = [number async for number in client.phone_numbers.list()]
        return [getattr(each, "sip_phone_number", None) or each.phone_number for each in found]


def phone(number: int) -> str:
    return f"+1415555{number:04}"


VENDORS = {
    "sigmamind": Vendor(SigmaMind, "data", 0, lambda row: {"sipPhoneNumber": phone(row)}),
    "dialnexa": Vendor(
        DialNexa, "items", 1, lambda row: {"id": f"phn_{row}", "phone_number": phone(row)}
    ),
    "verbex": Vendor(
        Verbex, "phone_numbers", 0, lambda row: {"_id": f"v{row}", "phone_number": phone(row)}
    ),
}
NUMBERED = [(name, style) for name in ("sigmamind", "dialnexa") for style in STYLES | HEADERS]
BY_TOKEN = [("verbex", style) for style in TOKENS]
ALL = [phone(row) for row in range(COUNT)]


def serving(
    vendor: Vendor, style: str, rows: list[dict[str, Any]], shown: Callable[[int], int]
) -> Treatment:
    """Answer with pages of *rows*; for each page that is asked for show the page *shown* says."""

    async def treat(exchange: Exchange) -> None:
        number = vendor.number_of(await exchange.read())
        page = rows[shown(number) * MOST : (shown(number) + 1) * MOST]
        around = STYLES | TOKENS | {"nothing": lambda number, total: {}}
        says = around[style](number, len(rows)) if style in around else {}
        headers = HEADERS[style](number, len(rows)) if style in HEADERS else {}
        await exchange.write(response(200, orjson.dumps({vendor.key: page, **says}), **headers))

    return treat


def server_of(name: str, style: str, shown: Callable[[int], int] = lambda number: number) -> Any:
    vendor = VENDORS[name]
    rows = [vendor.row(row) for row in range(COUNT)]
    return FaultServer(always(serving(vendor, style, rows, shown)))


# --- envelopes -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "style"), [*NUMBERED, *BY_TOKEN, ("sigmamind", "nothing"), ("dialnexa", "nothing")]
)
async def test_a_page_that_was_cut_is_followed_by_the_others(name: str, style: str) -> None:
    """Asked for 100 a page, the platform gives 50."""
    async with server_of(name, style) as server:
        assert await VENDORS[name].listed(server) == ALL


# What follows a statement of the first page: nothing, or the same page again.
ENDS = {"an empty page": lambda number: number and 9, "the same page": lambda number: 0}
UNFOLLOWED = [("verbex", style) for style in STYLES if style != "page count, true flag"]


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize(("name", "style"), [*NUMBERED, *UNFOLLOWED])
async def test_a_listing_that_ends_before_its_statements_is_an_error(
    name: str, style: str, end: str
) -> None:
    """Control: where the statement is left out, the same pages are the whole account."""
    async with server_of(name, style, ENDS[end]) as server:
        error = await error_of(VENDORS[name].listed(server))
    assert type(error) is ResponseDecodeError
    if "total" in style or "count" in style:
        assert f"records read: {MOST}" in str(error)


@pytest.mark.parametrize("style", TOKENS)
async def test_a_token_that_leads_to_the_same_page_is_an_error(style: str) -> None:
    async with server_of("verbex", style, lambda number: 0) as server:
        error = await error_of(VENDORS["verbex"].listed(server))
    assert type(error) is ResponseDecodeError


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("name", ["sigmamind", "dialnexa"])
async def test_without_a_statement_the_same_pages_are_the_account(name: str, end: str) -> None:
    async with server_of(name, "nothing", ENDS[end]) as server:
        assert await VENDORS[name].listed(server) == ALL[:MOST]


@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 250])
@pytest.mark.parametrize("name", VENDORS)
async def test_a_bare_array_of_everything_is_the_account(name: str, count: int) -> None:
    body = orjson.dumps([VENDORS[name].row(row) for row in range(count)])
    async with FaultServer(always(answer(200, body))) as server:
        assert await VENDORS[name].listed(server) == ALL[:count]


@pytest.mark.parametrize("name", ["sigmamind", "dialnexa"])
async def test_a_bare_array_of_exactly_the_page_size_may_be_a_page(name: str) -> None:
    vendor = VENDORS[name]

    async def treat(exchange: Exchange) -> None:
        number = vendor.number_of(await exchange.read())
        rows = [vendor.row(row) for row in range(COUNT)][number * 100 : (number + 1) * 100]
        await exchange.write(response(200, orjson.dumps(rows)))

    async with FaultServer(always(treat)) as server:
        assert await vendor.listed(server) == ALL


async def test_a_bare_array_that_was_cut_and_leads_nowhere_is_an_error() -> None:
    """On Verbex there is no way to the rest without a token."""

    async def treat(exchange: Exchange) -> None:
        query = parse_qs(urlsplit((await exchange.read()).path).query)
        rows = [VENDORS["verbex"].row(row) for row in range(int(query["page_size"][0]))]
        await exchange.write(response(200, orjson.dumps(rows)))

    async with FaultServer(always(treat)) as server:
        error = await error_of(VENDORS["verbex"].listed(server))
    assert type(error) is ResponseDecodeError


# --- pages that hold more than any account ---------------------------------------------------


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
@pytest.mark.parametrize("name", VENDORS)
async def test_a_crowd_of_empty_records_is_refused(name: str, encoding: str) -> None:
    body = b'{"%s":[%s]}' % (VENDORS[name].key.encode(), b",".join([b"{}"] * 150_000))
    if encoding == "gzip":
        body = gzip.compress(body)  # to a thousandth
    async with FaultServer(always(answer(200, body, Content_Encoding=encoding))) as server:
        error = await error_of(VENDORS[name].listed(server))
    assert type(error) is ResponseDecodeError
    assert "more than 100,000 records" in str(error)


GROWTH = """
import asyncio, re, sys
from pathlib import Path
from sigmamind_async import ResponseDecodeError, SigmaMind, paging
from sigmamind_async.platforms.sigmamind import ListPhoneNumbers
from sigmamind_async.testing import ScriptedTransport
from sigmamind_async.operation import Response

paging.PAGE_RECORDS = int(sys.argv[1])
body = b",".join([b"{}"] * 300_000)
answers = [Response(status=200, body=body.join([b"[", b"]"])), Response(status=200, body=b"[]")]
client = SigmaMind("key", transport=ScriptedTransport(answers[1:] + answers[:1] * 5))
kept = []

async def read():
    try:
        kept.append(await client.run(ListPhoneNumbers()))
    except ResponseDecodeError:
        pass

asyncio.run(read())
def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

before = peak()
asyncio.run(read())
print(peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system reports no peak")
async def test_a_crowd_of_empty_records_takes_no_memory() -> None:
    """Control: without the bound they take hundreds of megabytes."""
    assert int(await run_script(GROWTH, "100000", strict=False)) < 32 << 10  # KiB
    assert int(await run_script(GROWTH, "1000000000", strict=False)) > 64 << 10


# --- what is bought, planned and looked up by a listing --------------------------------------


@attrs.define
class Shop:
    """A platform that loses the answer of each purchase, and lists its account in part."""

    vendor: Vendor
    whole: bool
    rows: list[dict[str, Any]] = attrs.Factory(list)
    bought: int = 0

    async def treat(self, exchange: Exchange) -> None:
        request = await exchange.read()
        if request.method == "POST":
            self.bought += 1
            label = orjson.loads(request.body)
            self.rows.append({**self.vendor.row(len(self.rows)), **_label(label)})
            exchange.close()
            return
        number = self.vendor.number_of(request)
        page = self.rows[number * MOST : (number + 1) * MOST] if self.whole or not number else []
        says = {"total": len(self.rows)}
        if self.whole and self.vendor.key == "phone_numbers":
            says |= {"next_page_token": _token(number, len(self.rows))}  # type: ignore[dict-item]
        await exchange.write(response(200, orjson.dumps({self.vendor.key: page, **says})))


def _label(sent: dict[str, Any]) -> dict[str, Any]:
    return {name: sent[name] for name in ("friendlyName", "friendly_name") if name in sent}


BUYING = {
    "sigmamind": CreatePhoneNumber(country_code="US", friendly_name="Desk"),
    "verbex": CreatePiaPhoneNumber(friendly_name="Desk"),
}


async def provisioned(name: str, shop: Shop) -> object:
    """Buy one number that the platform picks, and send again what is in no listing."""
    async with (
        FaultServer(always(shop.treat)) as server,
        VENDORS[name].connect(server, deadline=4.0) as client,
    ):
        provisioner = Provisioner(client, MemoryJournal(), settle_time=0.0, retry_unconfirmed=True)
        return await provisioner.run("order-1", BUYING[name])


def shop_of(name: str, *, whole: bool) -> Shop:
    vendor = VENDORS[name]
    return Shop(vendor, whole, [vendor.row(row) for row in range(120)])


@pytest.mark.parametrize("name", BUYING)
async def test_a_purchase_beyond_a_listing_that_ends_early_is_not_made_again(name: str) -> None:
    shop = shop_of(name, whole=False)
    error = await error_of(provisioned(name, shop))

    assert shop.bought == 1
    assert error.committed != "no"
    assert isinstance(error, ResponseDecodeError | OutcomeUnknownError)


@pytest.mark.parametrize("name", BUYING)
async def test_with_the_whole_listing_it_is_found(name: str) -> None:
    shop = shop_of(name, whole=True)
    assert await provisioned(name, shop)
    assert shop.bought == 1


@pytest.mark.parametrize("name", BUYING)
async def test_if_the_early_end_were_believed_it_would_be_bought_twice(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control of the two before."""
    monkeypatch.setattr("sigmamind_async.paging._Tally.check_end", lambda *_: None)
    shop = shop_of(name, whole=False)
    with pytest.raises(OutcomeUnknownError):
        await provisioned(name, shop)
    assert shop.bought > 1


@pytest.mark.parametrize("name", VENDORS)
async def test_no_plan_is_made_against_a_part_of_the_account(name: str) -> None:
    vendor = VENDORS[name]
    async with (
        FaultServer(always(shop_of(name, whole=False).treat)) as server,
        vendor.connect(server) as client,
    ):
        error = await error_of(list_numbers(client))
    assert type(error) is ResponseDecodeError


@pytest.mark.parametrize("resource_name", ["agents", "calls"])
async def test_agents_and_calls_are_listed_whole_or_not_at_all(resource_name: str) -> None:
    def rows(start: int, end: int) -> list[dict[str, Any]]:
        return [{"agentId": f"a{row}", "callId": f"c{row}"} for row in range(start, end)]

    async def treat(exchange: Exchange) -> None:
        number = VENDORS["sigmamind"].number_of(await exchange.read())
        start, end = number * MOST, min(total[0], (number + 1) * MOST)
        body = {"data": rows(start, end), "totalCount": COUNT}
        await exchange.write(response(200, orjson.dumps(body)))

    total = [COUNT]
    async with FaultServer(always(treat)) as server:
        async with VENDORS["sigmamind"].connect(server) as client:
            listed: AsyncIterator[Any] = getattr(client, resource_name).list()
            assert len([each async for each in listed]) == COUNT
        total[0] = 120
        async with VENDORS["sigmamind"].connect(server) as client:
            listed = getattr(client, resource_name).list()
            error = await error_of(anext(_last(listed)))
    assert type(error) is ResponseDecodeError


async def _last(listed: AsyncIterator[Any]) -> AsyncIterator[Any]:
    yield [each async for each in listed][-1]
