"""What was sent, did it take? An answer that says 200 may have left a field as it was."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from sigmamind_async.convert import Record
from sigmamind_async.errors import ResponseDecodeError
from sigmamind_async.operation import Operation, Response
from sigmamind_async.paging import Page
from sigmamind_async.values import UNSET

T = TypeVar("T")


def ignored_fields(sent: object, shown: Record, fields: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of the fields of *sent* that *shown* holds with another value.

    *fields* names the record's field for each request field that can be read back. Null, an empty
    text and a missing key all mean "none": platforms answer a cleared field with any of them.
    """
    names: tuple[str, ...] = ()
    for name, place in fields.items():
        said, held = getattr(sent, name), getattr(shown, place, None)
        if said == held or said is UNSET:
            continue
        if (said or None) != (held or None):
            names = (*names, name)
    return names


def find_on_first_page(listing: Operation[Page[T]], is_it: Callable[[T], bool]) -> Operation[T]:
    """Return the look-up of one record where a platform only lists: it reads one page.

    A record further back is not found, which leaves the call that asked for it unknown.
    """

    def decode(response: Response) -> T:
        for item in listing.decode(response).items:
            if is_it(item):
                return item
        raise ResponseDecodeError("the record is not on the first page of the listing")

    return Operation(name=listing.name, request=listing.request, decode=decode, repeatable=True)
