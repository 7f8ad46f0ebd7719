"""Comparing a record with what was sent: a 200 may have left a field as it was."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from sigmamind_async.convert import Record
from sigmamind_async.errors import ResponseDecodeError
from sigmamind_async.operation import Operation, Response
from sigmamind_async.paging import Page
from sigmamind_async.values import UNSET

T = TypeVar("T")


def ignored_fields(sent: object, record: Record, fields: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of the fields of *sent* that *record* shows with another value.

    *fields* maps each request field that can be read back to the record's field. Null, an empty
    text and a missing key all mean "none": platforms answer a cleared field with any of them.
    """
    names: tuple[str, ...] = ()
    for name, record_name in fields.items():
        wanted = getattr(sent, name)
        if wanted is UNSET:
            continue
        if (wanted or None) != (getattr(record, record_name, None) or None):
            names = (*names, name)
    return names


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
