"""Listings that come in pages: one page as a value, and all of them as one iterator.

A listing yields the whole account or raises. Two things could end it early without an error: a
statement "there is more" that is not understood, and records that move onto a page that was read
before, because others on that page were removed meanwhile.

Against the first, `statement` reads what an envelope says in any common spelling, and every
statement counts: while one of them promises more, the listing goes on, or raises where it cannot.
Where a platform says nothing, numbered pages end at an empty page and at no other.

Against the second, nothing is yielded between two pages, whether numbered or reached by a token.
The first page is yielded as soon as it was read. Then all pages are read in a row, the first one
once more, and what was not yielded yet is yielded from memory: whatever the caller does to the
records meanwhile, nothing that is still to be read can shift. What others remove between two
requests shows in the totals; where no total is stated, the page before each is read again. Not
everything shows: records that others add and remove between neighbouring requests may hide one
another.
"""

from __future__ import annotations

import functools
import re
from collections import defaultdict
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Hashable,
    Iterable,
    Mapping,
)
from typing import Any, Final, Generic, TypeVar, cast

import attrs

from sigmamind_async.convert import load_json, structure_list
from sigmamind_async.errors import ResponseDecodeError
from sigmamind_async.operation import Response
from sigmamind_async.responses.confirmation import refuse_failure

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

PAGE_RECORDS: Final = 100_000
"""Most records of one page: a hundred times the largest page that can be asked for, because a
platform that does not page answers with the whole account."""


@attrs.frozen(kw_only=True)
class Page(Generic[T_co]):
    """One page of a listing."""

    items: list[T_co] = attrs.field(hash=False)
    more: bool | None = None
    """Whether the platform says that another page follows; `None` where it does not say."""
    total: int | None = None
    """How many records the whole listing has, where the platform says."""
    pages: int | None = None
    """How many pages it has, where the platform says."""
    token: str | None = None
    """What the next page is asked with, where pages are not numbered."""


def page_of(
    response: Response,
    cls: type[T],
    keys: Iterable[str],
    *,
    size: int,
    unwrap: Callable[[object], object] | None = None,
) -> Page[T]:
    """Read one page of a listing.

    Args:
        response: The answer: a bare array of *cls*, or an object with the array in it.
        cls: What the page holds.
        keys: Names under which the array may be.
        size: How many records were asked for.
        unwrap: Takes off what is around the page, such as ``{"statusCode": 200, "data": ...}``.

    Raises:
        ResponseDecodeError: There is no such array, a record cannot be read, the page holds more
            than `PAGE_RECORDS`, or it states a number that cannot be.
    """
    raw = load_page(response.body)
    items = items_of(raw if unwrap is None else unwrap(raw), cls, keys)
    said = statement(raw, response.headers, held=len(items), size=size)
    return Page(items=items, more=said.more, total=said.total, pages=said.pages, token=said.token)


def items_of(raw: object, cls: type[T], keys: Iterable[str]) -> list[T]:
    """Return the records of a page.

    *raw* is a parsed answer: a bare array, or an object with the array under one of *keys*.
    Raises `ResponseDecodeError` that names the place.
    """
    if isinstance(raw, dict):
        refuse_failure(cast("dict[str, Any]", raw))
    if isinstance(raw, list):
        return structure_list(_bounded(cast("object", raw)), cls)
    envelope = cast("dict[str, object]", raw) if isinstance(raw, dict) else {}
    for key in keys:
        if key in envelope:
            return structure_list(_bounded(envelope[key]), cls, at=key)
    raise ResponseDecodeError(f"the page holds no list under {' or '.join(keys)}")


def load_page(body: bytes) -> object:
    """Parse the JSON of a page as `load_json` does, but refuse a crowd of empty records unparsed.

    A million of them take 3 kB on the wire and become hundreds of megabytes of objects.
    """
    crowded = len(body) > _UNCOUNTED_BYTES and (
        body.count(b"{") + body.count(b"[") > 4 * PAGE_RECORDS
        or body.count(b",") > 40 * PAGE_RECORDS
    )
    if crowded:
        raise _too_many()
    return load_json(body)


_UNCOUNTED_BYTES: Final = 1 << 20
"""A body up to here holds too little to do harm, and counting would take its share of reading."""


def _bounded(raw: object) -> object:
    if isinstance(raw, list) and len(cast("list[object]", raw)) > PAGE_RECORDS:
        raise _too_many()
    return raw  # pyright: ignore[reportUnknownVariableType]  # narrowed to a list of anything


def _too_many() -> ResponseDecodeError:
    return ResponseDecodeError(f"the page holds more than {PAGE_RECORDS:,} records")


# --- what a page says about its listing ------------------------------------------------------


@attrs.frozen(kw_only=True)
class Statement:
    """What a page says about the listing that it is part of; `None` where it does not say."""

    more: bool | None = None
    """Whether another page follows."""
    total: int | None = None
    """Records of the whole listing."""
    pages: int | None = None
    """Pages of the whole listing."""
    token: str | None = None
    """What the next page is asked with."""


_SPELLINGS: Final = {
    "total": "total totalcount totalcounts totalelements totalitems totalrecords totalresults"
    " totalrows totalhits",
    "count": "count",
    "pages": "pages totalpages totalpage numberofpages",
    "last page": "lastpage",
    "more": "more hasmore hasmorepages hasmoreitems hasnext hasnextpage moreavailable",
    "last": "last islast islastpage",
    "next": "next nextpage nextpageurl nexturl nextlink nextpagelink nextoffset odatanextlink",
    "links": "links",
    "token": "nextpagetoken nexttoken nextcursor nextpagecursor continuationtoken",
    "cursor": "cursor",
}
_MEANINGS: Final = {
    name: meaning for meaning, names in _SPELLINGS.items() for name in names.split()
}
"""What a name means, by its letters in lower case."""
_AROUND: Final = frozenset(
    {"meta", "metadata", "pagination", "paging", "pageinfo", "pageinformation", "pager", "page"}
    | {
        "pages",
        "links",
        "cursor",
        "cursors",
        "data",
        "result",
        "results",
        "response",
        "list",
        "info",
    }
)
"""Names of the objects beside or around the array in which statements are made."""
_DEPTH: Final = 3
_MOST: Final = 10**12
_LINK_TO_NEXT: Final = re.compile(r';\s*rel\s*=\s*(?:"[^"]*\bnext\b[^"]*"|next\b)', re.IGNORECASE)
_WHOLE_NUMBER: Final = re.compile(r"-?[0-9]+(?:\.0+)?")
_FLAGS: Final = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def statement(raw: object, headers: Mapping[str, str], *, held: int, size: int) -> Statement:
    """Return what an answer says about its listing; of several statements the one that says more.

    Args:
        raw: The parsed body.
        headers: Read for a ``Link`` to the next page, and for ``X-Total-Count`` and its kind.
        held: How many records the page holds.
        size: How many were asked for.

    Raises:
        ResponseDecodeError: A number of records or pages is negative or absurd.
    """
    said: defaultdict[str, list[Any]] = defaultdict(list)
    if isinstance(raw, dict):
        _collect(cast("dict[str, object]", raw), said, _DEPTH)
    if headers:
        _collect(_header_fields(headers), said, 0)
    # A "count" is the records of this page, or the size that was asked for, or the total.
    totals = [*said["total"], *(each for each in said["count"] if each > held and each != size)]
    # A last page 1 may be the second of two, counted from 0.
    pages = [*said["pages"], *(each for each in said["last page"] if each > 1)]
    tokens = [str(each) for each in said["token"] or said["cursor"] if _is_token(each)]
    more = [*said["more"], *said["next"], *said["links"], *map(bool, said["token"])]
    more += [not last for last in said["last"]]
    return Statement(
        more=any(more) if more else None,
        total=max(totals, default=None),
        pages=max(pages, default=None),
        token=tokens[0] if tokens else None,
    )


def _collect(fields: Mapping[str, object], said: defaultdict[str, list[Any]], depth: int) -> None:
    """Add what *fields*, and the objects among them that hold statements, say."""
    for key, value in fields.items():
        meaning, around = _meaning(key)
        if meaning is not None:
            read = _READERS[meaning](key, value)
            if read is not None:
                said[meaning].append(read)
        if around and depth and isinstance(value, dict):
            _collect(cast("dict[str, object]", value), said, depth - 1)


@functools.lru_cache(maxsize=512)
def _meaning(key: str) -> tuple[str | None, bool]:
    """Return what a name means, and whether statements may be in an object with that name."""
    name = "".join(filter(str.isalnum, key)).lower()
    return _MEANINGS.get(name), name in _AROUND


def _header_fields(headers: Mapping[str, str]) -> dict[str, object]:
    fields: dict[str, object] = {}
    for key, text in headers.items():
        name = key.lower()
        if name == "link" and _LINK_TO_NEXT.search(text):
            fields["next"] = text
        elif name.startswith("x-"):
            fields[name[2:]] = text
    return fields


def _count(name: str, value: object) -> int | None:
    """Read a number of records or pages, also from a text; anything else is no statement."""
    number = value
    if isinstance(value, str) and _WHOLE_NUMBER.fullmatch(value.strip()):
        number = float(value) if len(value) > 18 else int(value.partition(".")[0])
    if type(number) is float and (number.is_integer() or abs(number) > _MOST):
        number = int(max(-1, min(number, _MOST + 1)))
    if type(number) is not int:
        return None
    if not 0 <= number <= _MOST:
        raise ResponseDecodeError(f"the page says {name}: {value!s:.40}; no listing has that many")
    return number


def _flag(_: str, value: object) -> bool | None:
    """Read a yes or no, also from a text or number; anything else is no statement."""
    if isinstance(value, str):
        return _FLAGS.get(value.strip().lower())
    return bool(value) if isinstance(value, bool | int) else None


def _last(name: str, value: object) -> bool | None:
    """Read whether this is the last page; a number or address is that of the last page."""
    words = isinstance(value, bool | str) and str(value).strip().lower() in {"true", "false"}
    return _flag(name, value) if words else None


def _link(_: str, value: object) -> bool:
    """Return whether a next page is named: by an address, a number, a token or an object."""
    if isinstance(value, dict):
        fields = cast("dict[str, object]", value)
        addresses = [fields[name] for name in ("href", "url") if name in fields]
        return any(addresses) if addresses else bool(fields)
    return bool(value)


def _links(_: str, value: object) -> bool | None:
    """Return whether a list of links has one to the next page."""
    if not isinstance(value, list):
        return None
    links = cast("list[object]", value)
    rels = [cast("dict[str, object]", link).get("rel") for link in links if isinstance(link, dict)]
    return True if "next" in rels else None


def _token(_: str, value: object) -> object:
    """Read a token; null, an empty text and 0 say that there is none, and so no next page."""
    return value or ""


def _is_token(value: object) -> bool:
    """Return whether a next page can be asked for with *value*; some platforms write numbers."""
    return type(value) in (str, int) and bool(value)


_READERS: Final[Mapping[str, Callable[[str, object], object]]] = {
    "total": _count,
    "count": _count,
    "pages": _count,
    "last page": _count,
    "more": _flag,
    "last": _last,
    "next": _link,
    "links": _links,
    "token": _token,
    "cursor": _token,
}


# --- all pages -------------------------------------------------------------------------------


async def all_items(
    fetch: Callable[[int], Awaitable[Page[T]]],
    key: Callable[[T], str | None],
    *,
    size: int,
    first: int = 0,
) -> AsyncGenerator[T, None]:
    """Yield every record of numbered pages, once.

    Args:
        fetch: Reads the page with a number.
        key: What tells one record from another; empty where a record has nothing of the kind.
        size: How many records a page is asked for.
        first: The number of the first page.

    Raises:
        ResponseDecodeError: The pages contradict their statements, or are not all there.
    """
    reading = _Reading(fetch, key, size, first)
    opening = await fetch(first)
    yielded: dict[Hashable, T] = {}
    if _promises(opening, 1, len(opening.items)):
        yielded = _identified(first, opening, key)
        for item in yielded.values():
            yield item
        # The caller may have removed what is on it.
        opening = await fetch(first)
    for identity, item in (await reading.finish(opening)).items():
        if identity not in yielded:
            yield item


class _Reading(Generic[T]):
    """One reading of all numbered pages, during which nothing is yielded."""

    def __init__(
        self,
        fetch: Callable[[int], Awaitable[Page[T]]],
        key: Callable[[T], str | None],
        size: int,
        first: int,
    ) -> None:
        self._fetch = fetch
        self._key = key
        self._size = size
        self._first = first
        self._found: dict[Hashable, T] = {}
        """By key, in the order in which they were read."""
        self._totals: set[int] = set()

    async def finish(self, opening: Page[T]) -> dict[Hashable, T]:
        """Return all records by key; *opening* is the first page, read just now."""
        least = await self._read_all(opening)
        known = 0
        # As many records as there should be, but some of them twice: they came in another order
        # each time, or they are there twice, which a reading that brings nothing new shows.
        while known < len(self._found) < least:
            known = len(self._found)
            least = await self._read_all(await self._fetch(self._first))
        return self._found

    async def _read_all(self, page: Page[T]) -> int:
        """Read every page once, *page* being the first; return how many records there were.

        What is there throughout is in every total, so the smallest one that was stated counts.
        """
        number, records, totals = self._first, len(page.items), {page.total}
        longest = records
        items, _ = self._take(number, page)
        while self._goes_on(page, number - self._first + 1, records, longest):
            number, before, items_before = number + 1, page, items
            page = await self._fetch(number)
            if self._are_alike(page, before) and await self._is_repeated(number, page):
                number -= 1
                break
            records, longest = records + len(page.items), max(longest, len(page.items))
            totals.add(page.total)
            items, new = self._take(number, page)
            if _may_have_shifted(before, page) and items.keys().isdisjoint(items_before):
                await self._read_back(number, new)
        least = min((total for total in totals if total is not None), default=0)
        _check_end(page, number - self._first + 1, records, least)
        return least

    def _goes_on(self, page: Page[T], pages: int, records: int, longest: int) -> bool:
        """Return whether to ask for the page after *page*, with which so much has been read."""
        held = len(page.items)
        if not held or _promises(page, pages, records):
            return held > 0
        if page.more is None and page.pages is None:
            # On some platforms the "total" is that of the page, which may be full by chance.
            return page.total is None or page.total == held == self._size
        # A platform that cuts pages down may count those it was asked for: they end too early,
        # with a page that is as long as the others.
        return page.total is None and pages > 1 and held == longest

    def _take(self, number: int, page: Page[T]) -> tuple[dict[Hashable, T], set[Hashable]]:
        """Keep what is on a page; return it, and the keys that were on no page before."""
        items = _identified(number, page, self._key)
        new = items.keys() - self._found.keys()
        self._found.update(items)
        return items, new

    def _are_alike(self, page: Page[T], other: Page[T]) -> bool:
        marks, others = ([self._key(item) or item for item in each.items] for each in (page, other))
        return bool(marks) and marks == others

    async def _is_repeated(self, number: int, page: Page[T]) -> bool:
        """Return whether a platform that does not page answers with *page* each time.

        Otherwise a whole page of new records has moved all others back by one page.
        """
        again = await self._fetch(number - 1)
        self._take(number - 1, again)
        return self._are_alike(page, again)

    async def _read_back(self, number: int, new: set[Hashable]) -> None:
        """Find what has moved from the page with *number* onto pages before it.

        Of those the nearest that holds a record which is not *new* holds the first that moved, or
        one of those after it does: removals keep the order.
        """
        while number > self._first:
            number -= 1
            items, unseen = self._take(number, await self._fetch(number))
            new |= unseen
            if not items.keys() <= new:
                return


def _identified(number: int, page: Page[T], key: Callable[[T], str | None]) -> dict[Hashable, T]:
    """Return the records of a page by key, and by place where they have none."""
    return {key(item) or (number, place): item for place, item in enumerate(page.items)}


def _promises(page: Page[Any], pages: int, records: int) -> bool:
    """Return whether *page* says that there are more pages or records than so many."""
    return bool(page.more) or (page.pages or 0) > pages or (page.total or 0) > records


def _may_have_shifted(before: Page[Any], page: Page[Any]) -> bool:
    """Return whether records may have been removed between the readings of two pages."""
    return page.total is None or page.total != before.total


def _check_end(page: Page[Any], pages: int, records: int, least: int) -> None:
    """Raise `ResponseDecodeError` where *page* cannot be the last, or records are missing.

    Args:
        page: The last page that can be asked for.
        pages: How many have been read.
        records: How many records they hold.
        least: The smallest total that was stated.
    """
    reported = (
        f"a total of {least}" if least > records else "",
        f"{page.pages} pages" if (page.pages or 0) > pages else "",
        "that more follow" if page.more else "",
    )
    if any(reported):
        raise ResponseDecodeError(
            f"the listing ends at page {pages} (records read: {records}), but the platform"
            f" reports {' and '.join(filter(None, reported))}"
        )


async def all_items_by_token(
    fetch: Callable[[str | None, int], Awaitable[Page[T]]],
    key: Callable[[T], str | None],
    *,
    size: int,
) -> AsyncGenerator[T, None]:
    """Yield every record of pages that name the token of the next one.

    Args:
        fetch: Reads the page that a token leads to, `None` for the first, with so many records.
        key: What tells one record from another; empty where a record has nothing of the kind.
        size: How many records to ask for.

    Raises:
        ResponseDecodeError: The pages contradict their statements, or lead in a circle.
    """
    opening = await fetch(None, size)
    await _check_lone_page(fetch, opening, size)
    yielded = _identified(0, opening, key)
    for item in yielded.values():
        yield item
    if opening.token is not None:
        # A token may count, in whatever spelling, and then leads elsewhere once the caller has
        # removed records: read ahead, as with numbered pages.
        opening = await fetch(None, size)
    pages = [opening, *[page async for page in _pages_after(fetch, opening, size)]]
    found: dict[Hashable, T] = {}
    for number, page in enumerate(pages):
        found.update(_identified(number, page, key))
    for identity, item in found.items():
        if identity not in yielded:
            yield item


async def _pages_after(
    fetch: Callable[[str | None, int], Awaitable[Page[T]]], opening: Page[T], size: int
) -> AsyncGenerator[Page[T], None]:
    page, pages, records = opening, 1, len(opening.items)
    totals = [opening.total]
    used: set[str] = set()
    while page.token:
        if page.token in used:
            raise ResponseDecodeError("the listing leads back to a page that was read before")
        used.add(page.token)
        before, page = page, await fetch(page.token, size)
        if page.items and page.items == before.items:
            raise ResponseDecodeError("a page of the listing repeats the page before it")
        pages, records = pages + 1, records + len(page.items)
        totals.append(page.total)
        yield page
    least = min((total for total in totals if total is not None), default=0)
    _check_end(page, pages, records, least)


async def _check_lone_page(
    fetch: Callable[[str | None, int], Awaitable[Page[Any]]], page: Page[Any], size: int
) -> None:
    """Raise `ResponseDecodeError` where a page that says nothing is a part of the listing.

    Asked for one record less, a platform that gives one less cuts listings into pages. It names
    the next page then, or there is no way to the rest.
    """
    records = len(page.items)
    said = (page.token, page.more, page.pages, page.total)
    if not 2 <= records <= size or any(each is not None for each in said):
        return
    shorter = await fetch(None, records - 1)
    if len(shorter.items) < records and not shorter.token and shorter.more is not False:
        raise ResponseDecodeError(
            f"the platform cuts the listing into pages, of {records} records and of"
            f" {len(shorter.items)}, and names no token of the next"
        )
