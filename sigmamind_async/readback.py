"""Whether what was sent took effect: a platform may answer 200 and leave a field as it was."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from sigmamind_async.convert import Record
from sigmamind_async.errors import ResponseDecodeError
from sigmamind_async.operation import Operation, Response
from sigmamind_async.paging import Page
from sigmamind_async.values import UNSET

T = TypeVar("T")


def find_ignored_fields(sent: object, shown: Record, fields: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of the fields of *sent* that *shown* holds with another value.

    *fields* gives the record's field for each request field that can be read back. Null, an empty
    text and a missing key all mean "none": platforms show a cleared field as any of them.
    """
    names: tuple[str, ...] = ()
    for name, place in fields.items():
        wanted, held = getattr(sent, name), getattr(shown, place, None)
        if wanted == held or wanted is UNSET:
            continue
        if (wanted or None) != (held or None):
            names = (*names, name)
    return names


def find_on_first_page(listing: Operation[Page[T]], matches: Callable[[T], bool]) -> Operation[T]:
    """Return the look-up of one record on a platform that only lists; it reads one page.

    A record further back is not found, and the outcome of the call stays unknown.
    """

    def decode(response: Response) -> T:
        for item in listing.decode(response).items:
            if matches(item):
                return item
        raise ResponseDecodeError("the record is not on the first page of the listing")

    return Operation(name=listing.name, request=listing.request, decode=decode, repeatable=True)
