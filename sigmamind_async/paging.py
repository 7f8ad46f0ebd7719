"""Listings that come in pages: one page as a value, and all of them as one iterator."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from typing import Any, Generic, TypeVar, cast

import attrs

from sigmamind_async.confirmation import refuse_failure
from sigmamind_async.convert import structure_list
from sigmamind_async.errors import ResponseDecodeError

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@attrs.frozen(kw_only=True)
class Page(Generic[T_co]):
    """One page of a listing."""

    items: list[T_co]
    more: bool | None = None
    """Whether another page follows; `None` where the platform does not say."""
    token: str | None = None
    """What the next page is asked with, where pages are not numbered."""


def items_of(raw: object, cls: type[T], keys: Iterable[str]) -> tuple[list[T], dict[str, Any]]:
    """Return the records of a page, and what stands around them.

    *raw* is a parsed answer: a bare array, or an object with the array under one of *keys*.
    Raises `ResponseDecodeError` that names the place.
    """
    if isinstance(raw, dict):
        refuse_failure(cast("dict[str, Any]", raw))
    if isinstance(raw, list):
        return structure_list(cast("list[object]", raw), cls), {}
    envelope = cast("dict[str, Any]", raw) if isinstance(raw, dict) else {}
    for key in keys:
        if key in envelope:
            around = {name: value for name, value in envelope.items() if name != key}
            return structure_list(envelope[key], cls, at=key), around
    raise ResponseDecodeError(f"the page holds no list under {' or '.join(keys)}")


async def all_items(
    fetch: Callable[[int], Awaitable[Page[T]]], size: int, *, first: int = 0
) -> AsyncGenerator[T, None]:
    """Yield the items of every page, asking *fetch* for page after page of *size* items.

    Pages are numbered from *first*.

    Ends where the platform says so, or at an empty page; where it says nothing, at a page of
    another size than was asked for, or one that repeats the page before (a platform that does not
    page answers with everything, each time). Raises `ResponseDecodeError` rather than ending early
    or running in circles.
    """
    before: list[T] = []
    number = first
    while True:
        page = await fetch(number)
        if page.items and page.items == before:
            if page.more is None:
                return
            raise ResponseDecodeError(f"page {number} of the listing repeats the page before it")
        for item in page.items:
            yield item
        if not page.items or page.more is False or (page.more is None and len(page.items) != size):
            return
        before = page.items
        number += 1


async def all_items_by_token(
    fetch: Callable[[str | None], Awaitable[Page[T]]],
) -> AsyncGenerator[T, None]:
    """Yield the items of every page, asking *fetch* with the token of the page before.

    Raises `ResponseDecodeError` when a token comes a second time, instead of running in circles.
    """
    seen: set[str] = set()
    token: str | None = None
    while True:
        page = await fetch(token)
        for item in page.items:
            yield item
        token = page.token
        if not token:
            return
        if token in seen:
            raise ResponseDecodeError("the listing leads back to a page that was read before")
        seen.add(token)
