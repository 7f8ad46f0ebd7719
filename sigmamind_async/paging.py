"""Listings that come in pages: one page as a value, and all of them as one iterator."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Generic, TypeVar

import attrs

from sigmamind_async.errors import ResponseDecodeError

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@attrs.frozen(kw_only=True)
class Page(Generic[T_co]):
    """One page of a listing."""

    items: list[T_co]
    more: bool | None = None
    """Whether another page follows; `None` where the platform does not say."""


async def all_items(
    fetch: Callable[[int], Awaitable[Page[T]]], size: int
) -> AsyncGenerator[T, None]:
    """Yield the items of every page, asking *fetch* for pages 0, 1, 2 ... of *size* items.

    Ends where the platform says so, or at an empty page; where it says nothing, at a page of
    another size than was asked for, or one that repeats the page before (a platform that does not
    page answers with everything, each time). Raises `ResponseDecodeError` rather than ending early
    or running in circles.
    """
    before: list[T] = []
    number = 0
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
