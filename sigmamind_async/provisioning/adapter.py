"""What a provisioner must know of a platform: what a request means, and what a record shows."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, TypeAlias

import attrs

from sigmamind_async.client import Client
from sigmamind_async.convert import Record, RequestValue
from sigmamind_async.errors import InvalidRequestError
from sigmamind_async.provisioning.row import Kind

Value: TypeAlias = RequestValue[Any]


def _shows_all(_: Record) -> bool:
    return True


@attrs.frozen(kw_only=True)
class Choice:
    """How a request for any number becomes one for exactly one number."""

    search: Value
    """The request that lists what can be bought."""
    numbers: Callable[[Any], list[str]]
    """The numbers (E.164) in its result."""
    exact: Callable[[str], Value]
    """The request that buys one of them."""


@attrs.frozen(kw_only=True)
class Intent:
    """What a request value asks for, as far as its safety goes."""

    kind: Kind
    key: str = ""
    """The number (E.164), or the record's id where the platform takes that; empty for a purchase
    of a number that the platform picks."""
    agrees: Callable[[Any], bool] = _shows_all
    """Whether a record shows every field that was asked for and can be read back. False where a
    field that was asked for can never be read back, such as a password."""
    label: str | None = None
    """The user's own label of a number that the platform picks."""
    with_label: Callable[[str], Value] | None = None
    """The same request with another label; for a `Kind.PURCHASE`, which needs a tag."""
    repair: Callable[[str], Value | None] | None = None
    """Given a record's key, the update that writes to it what was asked for; `None`, or returning
    `None`, where there is nothing to write."""
    look_up: Value | None = None
    """The request that reads exactly this number, where the platform has one; 404 means that the
    account does not own it."""
    choice: Choice | None = None
    """For a request of any number on a platform that can be searched: `kind` is then
    `Kind.EXACT_PURCHASE`, and `key` is empty until a number has been chosen."""


@attrs.frozen(kw_only=True)
class Owned:
    """A phone number as every platform has it."""

    record: str
    """Its key in later calls: the number itself, or the record's id."""
    phone_number: str
    """E.164."""
    label: str | None
    source: Any
    """The platform's own record."""


@attrs.frozen(kw_only=True)
class Adapter:
    """The dealings of one platform."""

    intent: Callable[[Value], Intent]
    """Raises `InvalidRequestError` for a value that changes nothing, such as a listing."""
    requests: Mapping[str, type[Value]] = attrs.field(hash=False)
    """Every request class that `intent` takes, by its name."""
    listing: Callable[[Client], AsyncIterator[Any]]
    """Reads all numbers of the account, page after page."""
    owned: Callable[[Any], Owned]
    """Reads a record of the listing."""
    result: type[Record]
    """Class of the records."""
    release: Callable[[str], Value]
    """The request that gives up the record with a key."""
    relabel: Callable[[str, str], Value]
    """The request that gives the record with a key another label."""


def no_change(value: object) -> InvalidRequestError:
    """Return the error for a value that is no operation on phone numbers."""
    kind = type(value).__name__
    return InvalidRequestError(field="value", rule=f"{kind} changes no phone number")
