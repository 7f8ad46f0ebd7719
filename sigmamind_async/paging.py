"""Listings that come in pages: one page as a value, and all of them as one iterator.

A listing yields the whole account or raises. Two things could end it early without an error: a
statement "there is more" that is not understood, and records that move onto a page that was read
before, because others on that page were removed meanwhile.

Against the first, every common spelling of such a statement is understood, and every statement
counts: while one of them promises more, the listing goes on, or raises where it cannot. Where a
platform states nothing, numbered pages end at an empty page and at no other.

Against the second, nothing is yielded between two pages, whether numbered or reached by a token.
The first page is yielded as soon as it was read. Then all pages are read in a row, the first one
again, and the rest is yielded from memory: whatever the caller does to the records meanwhile,
nothing that is still to be read can shift. What others remove between two requests shows in the
totals; where no total is stated, the page before each is read again. Not everything shows: records
that others add and remove between neighbouring requests may hide one another.

Meanwhile two neighbouring pages are requested at the same time, if the total says that both are
there. The platform may answer the later one first, and what is added in between is then on neither.
So that page counts only if it states the same total; otherwise it is read again, after the first.
"""

from __future__ import annotations

import asyncio
import functools
import re
from collections import defaultdict
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Hashable,
    Iterable,
    Mapping,
)
from itertools import filterfalse
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast

import attrs

from sigmamind_async.convert.conversion import structure_list
from sigmamind_async.convert.json_codec import load_json
from sigmamind_async.errors import (
    ConfigurationError,
    ResponseDecodeError,
    SigmaMindError,
    missing_attribute,
)
from sigmamind_async.operation import Operation, Response
from sigmamind_async.responses.confirmation import require_no_failure

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

PAGE_RECORDS: Final = 100_000
"""Most records of one page: a hundred times the largest page that can be asked for, because a
platform that does not page answers with the whole account."""
_MOST_READINGS: Final = 20
"""Times that a listing is read again whose order changes while it is read."""
_MOST_REPEATED: Final = 100
"""Pages in a row that were read before, beyond as many as there are."""
_UNCOUNTED_BYTES: Final = 1 << 20
"""A body up to here holds too little to do harm; counting would take its share of the reading."""


@attrs.frozen(kw_only=True)
class Page(Generic[T_co]):
    """One page of a listing, and what it states; `None` where it states nothing."""

    items: list[T_co] = attrs.field(hash=False)
    """The records of this page, in the platform's order."""
    more: bool | None = None
    """True if another page follows."""
    total: int | None = None
    """How many records the whole listing has."""
    pages: int | None = None
    """How many pages it has."""
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
    """Read one page of a listing: an array of *cls*, bare or under one of *keys*.

    *size* is how many records were asked for. *unwrap* removes what is around the page, such as
    ``{"statusCode": 200, "data": ...}``. Raises `ResponseDecodeError` where there is no such array,
    a record cannot be read, or the page has too many records or states an impossible number.
    """
    raw = load_page(response.body)
    items = items_of(raw if unwrap is None else unwrap(raw), cls, keys)
    return page_with_statements(items, raw, response.headers, size)


def items_of(raw: object, cls: type[T], keys: Iterable[str]) -> list[T]:
    """Return the records of a page; raise `ResponseDecodeError` that names the place."""
    rows: object = raw
    at = ""
    if isinstance(raw, dict):
        fields = cast("dict[str, Any]", raw)
        require_no_failure(fields)
        at = next((key for key in keys if key in fields), "")
        rows = fields[at] if at else None
    if isinstance(rows, list):
        rows = cast("list[object]", rows)
        if len(rows) > PAGE_RECORDS:
            raise _too_many()
    elif not at:
        raise ResponseDecodeError(f"the page holds no list under {' or '.join(keys)}")
    return structure_list(rows, cls, at=at)


def load_page(body: bytes) -> object:
    """Parse the JSON of a page, but refuse a crowd of empty records unparsed.

    A million of them take 3 kB on the wire and become hundreds of megabytes of objects.
    """
    crowded = len(body) > _UNCOUNTED_BYTES and (
        body.count(b"{") + body.count(b"[") > 4 * PAGE_RECORDS
        or body.count(b",") > 40 * PAGE_RECORDS
    )
    if crowded:
        raise _too_many()
    return load_json(body)


def _too_many() -> ResponseDecodeError:
    return ResponseDecodeError(f"the page holds more than {PAGE_RECORDS:,} records")


def find_on_first_page(listing: Operation[Page[T]], is_it: Callable[[T], bool]) -> Operation[T]:
    """Return the look-up of one record where a platform only lists: it reads one page.

    A record further back is not found, and the call that asked for it stays unconfirmed.
    """

    def decode(response: Response) -> T:
        for item in listing.decode(response).items:
            if is_it(item):
                return item
        raise ResponseDecodeError("the record is not on the first page of the listing")

    return Operation(listing.name, listing.request, decode, repeatable=True)


# --- what a page states about its listing ----------------------------------------------------


def page_with_statements(
    items: list[T], raw: object, headers: Mapping[str, str], size: int
) -> Page[T]:
    """Return a page of *items* with what the body and the headers state about the listing.

    Of several statements the one that promises more counts. Raises `ResponseDecodeError` where a
    number of records or pages is negative or absurd.
    """
    found: defaultdict[str, list[Any]] = defaultdict(list)
    if isinstance(raw, dict):
        _collect(cast("dict[str, object]", raw), found, _DEPTH)
    if headers:
        _collect(_header_fields(headers), found, 0)
    # A "count" is the records of this page, or the size that was asked for, or the total.
    totals = found["total"] + [n for n in found["count"] if n > len(items) and n != size]
    # A last page 1 may be the second of two, counted from 0.
    pages = found["pages"] + [n for n in found["last page"] if n > 1]
    # Some platforms write tokens as numbers.
    tokens = [str(t) for t in found["token"] or found["cursor"] if t and type(t) in (str, int)]
    more = [*found["more"], *map(bool, found["token"])]
    return Page(
        items=items,
        more=any(more) if more else None,
        total=max(totals, default=None),
        pages=max(pages, default=None),
        token=tokens[0] if tokens else None,
    )


def _collect(fields: Mapping[str, object], found: defaultdict[str, list[Any]], depth: int) -> None:
    """Add what *fields* state, and the objects among them that hold statements."""
    for key, value in fields.items():
        meaning, is_around = _meaning(key)
        if meaning is not None:
            name, read = meaning
            stated = read(value)
            if read is _read_count and stated is not None and not 0 <= stated <= _MAX_COUNT:
                message = f"the page says {key}: {value!s:.40}; no listing has that many"
                raise ResponseDecodeError(message)
            if stated is not None:
                found[name].append(stated)
        if is_around and depth and isinstance(value, dict):
            _collect(cast("dict[str, object]", value), found, depth - 1)


def _header_fields(headers: Mapping[str, str]) -> dict[str, object]:
    fields: dict[str, object] = {}
    for key, text in headers.items():
        name = key.lower()
        if name == "link" and _LINK_TO_NEXT.search(text):
            fields["next"] = text
        elif name.startswith("x-"):
            fields[name[2:]] = text
    return fields


# Each of these reads one kind of statement; `None` is none.


def _read_count(value: object) -> int | None:
    """Read a number of records or pages, also from a text."""
    number = value
    if isinstance(value, str) and _WHOLE_NUMBER.fullmatch(value.strip()):
        number = float(value) if len(value) > 18 else int(value.partition(".")[0])
    if type(number) is float and (number.is_integer() or abs(number) > _MAX_COUNT):
        number = int(max(-1, min(number, _MAX_COUNT + 1)))
    return number if type(number) is int else None


def _read_flag(value: object) -> bool | None:
    """Read a yes or no, also from a text or number."""
    if isinstance(value, str):
        return _FLAGS.get(value.strip().lower())
    return bool(value) if isinstance(value, bool | int) else None


def _read_not_last(value: object) -> bool | None:
    """Read whether this is not the last page; a number or address is that of the last page."""
    is_last = str(value).strip().lower() if isinstance(value, bool | str) else ""
    return {"true": False, "false": True}.get(is_last)


def _read_link(value: object) -> bool:
    """Read whether a next page is named: by an address, a number, a token or an object."""
    if isinstance(value, dict):
        fields = cast("dict[str, object]", value)
        addresses = [fields[name] for name in ("href", "url") if name in fields]
        return any(addresses) if addresses else bool(fields)
    return bool(value)


def _read_links(value: object) -> bool | None:
    """Read whether a list of links has one to the next page."""
    links = cast("list[object]", value) if isinstance(value, list) else []
    rels = [cast("dict[str, object]", link).get("rel") for link in links if isinstance(link, dict)]
    return True if "next" in rels else None


def _read_token(value: object) -> object:
    """Read a token; null, an empty text and 0 mean that no page follows."""
    return value or ""


_Reader = Callable[[object], Any]
_SPELLINGS: Final[Mapping[str, tuple[str, _Reader]]] = {
    "total totalcount totalcounts totalelements totalitems totalrecords totalresults"
    " totalrows totalhits": ("total", _read_count),
    "count": ("count", _read_count),
    "pages totalpages totalpage numberofpages": ("pages", _read_count),
    "lastpage": ("last page", _read_count),
    "more hasmore hasmorepages hasmoreitems hasnext hasnextpage moreavailable": (
        "more",
        _read_flag,
    ),
    "last islast islastpage": ("more", _read_not_last),
    "next nextpage nextpageurl nexturl nextlink nextpagelink nextoffset odatanextlink": (
        "more",
        _read_link,
    ),
    "links": ("more", _read_links),
    "nextpagetoken nexttoken nextcursor nextpagecursor continuationtoken": ("token", _read_token),
    "cursor": ("cursor", _read_token),
}
_MEANINGS: Final[Mapping[str, tuple[str, _Reader]]] = {
    name: meaning for names, meaning in _SPELLINGS.items() for name in names.split()
}
"""What each name means, by its letters in lower case, and how its value is read."""
_ENVELOPES: Final = (
    "meta metadata pagination paging pageinfo pageinformation pager page pages links cursor cursors"
    " data result results response list info"
)
_AROUND: Final = frozenset(_ENVELOPES.split())
"""Names of the objects beside or around the array in which statements are made."""
_DEPTH: Final = 3
_MAX_COUNT: Final = 10**12
_LINK_TO_NEXT: Final = re.compile(r';\s*rel\s*=\s*(?:"[^"]*\bnext\b[^"]*"|next\b)', re.IGNORECASE)
_WHOLE_NUMBER: Final = re.compile(r"-?[0-9]+(?:\.0+)?")
_FLAGS: Final = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@functools.lru_cache(maxsize=512)
def _meaning(key: str) -> tuple[tuple[str, _Reader] | None, bool]:
    """Return what a name means, and whether statements may be in an object with that name."""
    name = "".join(filter(str.isalnum, key)).lower()
    return _MEANINGS.get(name), name in _AROUND


# --- all pages -------------------------------------------------------------------------------


def already_read() -> ConfigurationError:
    """Return the error of a listing that is iterated again."""
    return ConfigurationError("the listing has ended, and is read once; call list() again")


class Listing(Generic[T]):
    """All records of a listing: iterate once with ``async for``, or over its `pages`.

    It is made by ``list()``.
    """

    def __init__(
        self, items: AsyncGenerator[T, None], pages: Callable[[], AsyncGenerator[Page[T], None]]
    ) -> None:
        self._items = items
        self._pages = pages

    def __aiter__(self) -> AsyncIterator[T]:
        """Yield every record once; raise `ResponseDecodeError` rather than end too early.

        Raises `ConfigurationError` once it has ended: no record would come, as of an empty account.
        """
        if getattr(self._items, "ag_frame", self) is None:  # it has ended, or was closed
            raise already_read()
        return self._items

    async def __anext__(self) -> T:
        """Return the next record."""
        return await anext(self._items)

    if not TYPE_CHECKING:

        def __await__(self) -> object:
            raise TypeError("a listing cannot be awaited; iterate over it with 'async for'")

        def __getattr__(self, name: str) -> object:
            raise missing_attribute(self, name)

    async def aclose(self) -> None:
        """End the iteration over records."""
        await self._items.aclose()

    def pages(self) -> AsyncGenerator[Page[T], None]:
        """Yield each `Page` as soon as it was read, with one request for each.

        Raises `ResponseDecodeError` where the pages end before the platform says they do. What is
        removed while they are read may move records from one page to the one before, which has been
        yielded already: iterate over the listing itself where none may be missed.
        """
        return self._pages()


def all_items(
    fetch: Callable[[int], Awaitable[Page[T]]],
    key: Callable[[T], str | None],
    *,
    size: int,
    first: int = 0,
) -> Listing[T]:
    """Return the listing of numbered pages.

    Args:
        fetch: Reads the page with a number.
        key: Identifies a record; empty where it has nothing to identify it.
        size: How many records a page is asked for.
        first: The number of the first page.

    Raises, when it is read:
        ResponseDecodeError: The pages contradict their statements, or are not all there.
    """
    reading = _NumberedReading(lambda index: fetch(first + index), key, size)
    return Listing(_all_records(lambda: fetch(first), reading.read, key), reading.pages)


def all_items_by_token(
    fetch: Callable[[str | None, int], Awaitable[Page[T]]],
    key: Callable[[T], str | None],
    *,
    size: int,
) -> Listing[T]:
    """Do as `all_items` does for pages that name the token of the next one.

    *fetch* reads the page that a token leads to, `None` for the first, with so many records.
    """
    read = functools.partial(_read_by_token, fetch, key, size)
    pages = functools.partial(_pages_by_token, fetch, size)
    return Listing(_all_records(lambda: fetch(None, size), read, key), pages)


def single_page(fetch: Callable[[], Awaitable[list[T]]]) -> Listing[T]:
    """Return a listing that comes as a whole."""

    async def pages() -> AsyncGenerator[Page[T], None]:
        yield Page(items=await fetch())

    async def items() -> AsyncGenerator[T, None]:
        for item in await fetch():
            yield item

    return Listing(items(), pages)


_Found = dict[Hashable, T]
"""Records by key, and by place where they have none, in the order in which they were read."""


async def _all_records(
    fetch_first: Callable[[], Awaitable[Page[T]]],
    read: Callable[[Page[T]], Awaitable[_Found[T]]],
    key: Callable[[T], str | None],
) -> AsyncGenerator[T, None]:
    """Yield the first page, then what *read* finds from there on and was not yielded yet."""
    opening = await fetch_first()
    yielded: _Found[T] = {}
    if opening.token or _Tally.of(opening).promises_more(opening):
        yielded = _by_key(0, opening, key)
        for item in yielded.values():
            yield item
        # The caller may have removed what is on it. A token may count, in whatever spelling, and
        # then leads elsewhere as well.
        opening = await fetch_first()
    for identity, item in (await read(opening)).items():
        if identity not in yielded:
            yield item


def _by_key(index: int, page: Page[T], key: Callable[[T], str | None]) -> _Found[T]:
    return {key(item) or (index, place): item for place, item in enumerate(page.items)}


@attrs.define
class _Tally:
    """How much of a listing has been read."""

    pages: int = 0
    records: int = 0
    longest: int = 0
    """Records of the longest page."""
    total: int | None = None
    """The smallest total that was stated: what is there throughout is in every one."""

    @classmethod
    def of(cls, page: Page[Any]) -> _Tally:
        tally = cls()
        tally.add(page)
        return tally

    def add(self, page: Page[Any]) -> None:
        self.pages += 1
        self.records += len(page.items)
        self.longest = max(self.longest, len(page.items))
        if page.total is not None:
            self.total = page.total if self.total is None else min(self.total, page.total)

    def promises_more(self, page: Page[Any]) -> bool:
        """Return whether *page* states more pages or records than were read."""
        more_pages, more_records = (page.pages or 0) > self.pages, (page.total or 0) > self.records
        return bool(page.more) or more_pages or more_records

    def promises_two_more(self, page: Page[Any]) -> bool:
        """Return whether records are left for the page after the next, however long that is."""
        return (page.total or 0) > self.records + self.longest

    def check_end(self, last: Page[Any]) -> None:
        """Raise `ResponseDecodeError` if *last* cannot be the last page, or records are missing."""
        reported = (
            f"a total of {self.total}" if (self.total or 0) > self.records else "",
            f"{last.pages} pages" if (last.pages or 0) > self.pages else "",
            "that more follow" if last.more else "",
        )
        if any(reported):
            raise ResponseDecodeError(
                f"the listing ends at page {self.pages} (records read: {self.records}), but the"
                f" platform reports {' and '.join(filter(None, reported))}"
            )


class _Laps(Generic[T]):
    """Notices that a platform answers with pages that were read before, round and round."""

    def __init__(self, key: Callable[[T], str | None], page: Page[T]) -> None:
        self._key = key
        self._known: set[tuple[str, str]] = set()
        """The first and the last record of each page."""
        self._repeated = 0
        self.add(page)

    def add(self, page: Page[T]) -> None:
        """Raise `ResponseDecodeError` if all pages there are have come once more."""
        if not page.items:
            return
        first, last = (self._key(item) or repr(item) for item in (page.items[0], page.items[-1]))
        self._repeated = self._repeated + 1 if (first, last) in self._known else 0
        self._known.add((first, last))
        # A page of few records comes again, too, while others are added before them.
        if self._repeated > len(self._known) + _MOST_REPEATED:
            raise ResponseDecodeError("the listing leads back to pages that were read before")


class _NumberedReading(Generic[T]):
    """One reading of all numbered pages, during which nothing is yielded."""

    def __init__(
        self,
        fetch: Callable[[int], Awaitable[Page[T]]],
        key: Callable[[T], str | None],
        size: int,
    ) -> None:
        self._fetch = fetch
        self._key = key
        self._size = size
        self._found: _Found[T] = {}

    async def pages(self) -> AsyncGenerator[Page[T], None]:
        """Yield one page after the other."""
        index, page = 0, await self._fetch(0)
        tally, laps = _Tally.of(page), _Laps(self._key, page)
        yield page
        while self._goes_on(page, tally):
            index, before = index + 1, page
            page = await self._fetch(index)
            laps.add(page)
            if self._are_alike(page, before):
                break  # it does not page, and answers with the same each time
            tally.add(page)
            yield page
        tally.check_end(page)

    async def read(self, opening: Page[T]) -> _Found[T]:
        """Return all records; *opening* is the first page, read just now."""
        total = await self._read_once(opening)
        found = latest = self._found
        # As many records as there should be, but some of them twice: they arrived in another order
        # each time, or they are there twice, which a reading that finds the very same shows.
        for _ in range(_MOST_READINGS):
            if len(found) >= total:
                return found
            before, self._found = latest, {}
            total = await self._read_once(await self._fetch(0))
            latest = self._found
            found = found | latest
            if latest.keys() == before.keys():
                return found
        raise ResponseDecodeError(
            f"the listing comes in another order each time (different records read: {len(found)}),"
            f" but the platform reports a total of {total}"
        )

    async def _read_once(self, page: Page[T]) -> int:
        """Read every page, *page* being the first; return the total that was stated."""
        index, tally, laps = 0, _Tally.of(page), _Laps(self._key, page)
        items, _ = self._take(index, page)
        ahead: Page[T] | None = None
        is_steady = True
        while self._goes_on(page, tally):
            index, before, items_before = index + 1, page, items
            if ahead is not None:
                page, ahead = ahead, None
            elif is_steady and tally.promises_two_more(page):
                page, ahead = await self._fetch_two(index)
            else:
                page = await self._fetch(index)
            laps.add(page)
            is_steady = not _may_have_shifted(before, page)
            if self._are_alike(page, before) and await self._is_repeated(index, page):
                break
            tally.add(page)
            items, new = self._take(index, page)
            if not is_steady and items.keys().isdisjoint(items_before):
                await self._read_back(index, new)
        tally.check_end(page)
        return tally.total or 0

    async def _fetch_two(self, index: int) -> tuple[Page[T], Page[T] | None]:
        """Read two pages at once; without the second if that may be out of step with the first."""

        async def fetch(index: int) -> Page[T] | SigmaMindError:
            try:
                return await self._fetch(index)
            except SigmaMindError as error:
                return error

        async with asyncio.TaskGroup() as tasks:
            first, second = (tasks.create_task(fetch(number)) for number in (index, index + 1))
        page, ahead = first.result(), second.result()
        if isinstance(page, SigmaMindError):
            raise page
        # One that could not be read may be gone by now; if it is still needed, it is read again.
        if isinstance(ahead, SigmaMindError) or _may_have_shifted(page, ahead):
            return page, None
        return page, ahead

    def _goes_on(self, page: Page[T], tally: _Tally) -> bool:
        """Return whether to ask for the page after *page*."""
        held = len(page.items)
        if not held or tally.promises_more(page):
            return held > 0
        if page.more is None and page.pages is None:
            # On some platforms the "total" is that of the page, which may be full by chance.
            # One that is less than what the page holds says nothing.
            return page.total is None or page.total < held or page.total == held == self._size
        # A platform that cuts pages down may count those it was asked for: they end too early,
        # with a page that is as long as the others.
        return page.total is None and tally.pages > 1 and held == tally.longest

    def _take(self, index: int, page: Page[T]) -> tuple[_Found[T], set[Hashable]]:
        """Keep what is on a page; return it, and the keys that were on no page before."""
        items = _by_key(index, page, self._key)
        # The difference of two views would go through all that was found, for every page anew.
        new = set(filterfalse(self._found.__contains__, items))
        self._found.update(items)
        return items, new

    def _are_alike(self, page: Page[T], other: Page[T]) -> bool:
        if not page.items or len(page.items) != len(other.items):
            return False
        marks, others = ([self._key(item) or item for item in each.items] for each in (page, other))
        return marks == others

    async def _is_repeated(self, index: int, page: Page[T]) -> bool:
        """Return whether a platform that does not page answers with *page* each time.

        Otherwise a whole page of new records has moved all others back by one page.
        """
        again = await self._fetch(index - 1)
        self._take(index - 1, again)
        return self._are_alike(page, again)

    async def _read_back(self, index: int, new: set[Hashable]) -> None:
        """Find what has moved from the page at *index* onto pages before it.

        Of those the nearest that holds a record which is not *new* holds the first that moved, or
        one of those after it does: removals keep the order.
        """
        while index > 0:
            index -= 1
            items, unseen = self._take(index, await self._fetch(index))
            new |= unseen
            if not items.keys() <= new:
                return


def _may_have_shifted(before: Page[Any], page: Page[Any]) -> bool:
    """Return whether records may have been removed between the readings of two pages."""
    return page.total is None or page.total != before.total


async def _read_by_token(
    fetch: Callable[[str | None, int], Awaitable[Page[T]]],
    key: Callable[[T], str | None],
    size: int,
    opening: Page[T],
) -> _Found[T]:
    """Return the records of *opening*, the first page, and of all that follow it."""
    found: _Found[T] = {}
    index = 0
    async for page in _pages_by_token(fetch, size, opening):
        found.update(_by_key(index, page, key))
        index += 1
    return found


async def _pages_by_token(
    fetch: Callable[[str | None, int], Awaitable[Page[T]]],
    size: int,
    opening: Page[T] | None = None,
) -> AsyncGenerator[Page[T], None]:
    """Yield one page after the other, from *opening* on, the first one."""
    page = await fetch(None, size) if opening is None else opening
    await _check_lone_page(fetch, page, size)
    yield page
    tally, laps = _Tally.of(page), _Laps[T](lambda _: None, page)
    used: set[str] = set()
    while page.token:
        if page.token in used:
            raise ResponseDecodeError("the listing leads back to a page that was read before")
        used.add(page.token)
        before, page = page, await fetch(page.token, size)
        if page.items and page.items == before.items:
            raise ResponseDecodeError("a page of the listing repeats the page before it")
        laps.add(page)
        tally.add(page)
        yield page
    tally.check_end(page)


async def _check_lone_page(
    fetch: Callable[[str | None, int], Awaitable[Page[Any]]], page: Page[Any], size: int
) -> None:
    """Raise `ResponseDecodeError` where a page that states nothing is a part of the listing.

    Asked for one record less, a platform that gives one less cuts listings into pages. It names
    the next page then, or there is no way to the rest.
    """
    records = len(page.items)
    statements = (page.token, page.more, page.pages, page.total)
    if not 2 <= records <= size or any(each is not None for each in statements):
        return
    shorter = await fetch(None, records - 1)
    if len(shorter.items) < records and not shorter.token and shorter.more is not False:
        raise ResponseDecodeError(
            f"the platform cuts the listing into pages, of {records} records and of"
            f" {len(shorter.items)}, and gives no token for the next"
        )
