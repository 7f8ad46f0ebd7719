"""What a provisioner must know about a platform: the meaning of its requests and records."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping
from operator import attrgetter
from typing import Any, Protocol, TypeAlias, cast

import attrs

from sigmamind_async.convert import Record, RequestValue, as_object
from sigmamind_async.errors import InvalidRequestError
from sigmamind_async.operation import Operation
from sigmamind_async.provisioning.events import Match
from sigmamind_async.provisioning.fingerprint import drop_secrets, set_fields
from sigmamind_async.provisioning.row import Kind
from sigmamind_async.values import Unset

Value: TypeAlias = RequestValue[Any]


def _shows_all(_: Record) -> bool:
    return True


@attrs.frozen(kw_only=True)
class StockSearch:
    """How a request for any number becomes one for one exact number."""

    request: Value
    """Lists the numbers that can be bought."""
    numbers: Callable[[Any], list[str]]
    """Returns the numbers (E.164) in its result."""
    purchase: Callable[[str], Value]
    """Returns the request that buys a number."""


@attrs.frozen(kw_only=True)
class Intent:
    """The part of a request that decides how it can be carried out safely."""

    kind: Kind
    key: str = ""
    """The number (E.164), or the record's id where the platform takes that; empty for a purchase
    of a number that the platform picks."""
    agrees: Callable[[Any], bool] = _shows_all
    """True if a record shows every field that the request sets. False if it sets one that can never
    be read back, such as a password."""
    label: str = ""
    """The user's own label of a number that the platform picks; empty if there is none."""
    label_field: str = ""
    """Field of the request that holds the label; for a `Kind.PURCHASE`, which needs a tag."""
    repair: Callable[[str], Value | None] | None = None
    """Given a record's key, the update that writes the requested fields to it; `None`, or returning
    `None`, if there is nothing to write."""
    lookup: Value | None = None
    """The request that reads exactly this number, where the platform has one; 404 means that the
    account does not own it."""
    search: StockSearch | None = None
    """For a request of any number on a platform that can be searched: `kind` is then
    `Kind.EXACT_PURCHASE`, and `key` is empty until a number has been chosen."""


@attrs.frozen(kw_only=True)
class OwnedNumber:
    """A phone number as every platform has it."""

    record: str
    """Its key in later calls: the number itself, or the record's id."""
    phone_number: str
    """E.164."""
    label: str | None
    source: Any
    """The platform's own record."""


class _PhoneNumbers(Protocol):
    def list(self, *, page_size: int) -> AsyncIterator[Record]: ...


class _Purchase(Protocol):
    @property
    def phone_number(self) -> str | Unset | None: ...


class _NumbersClient(Protocol):
    @property
    def phone_numbers(self) -> _PhoneNumbers: ...


@attrs.frozen(kw_only=True)
class Adapter:
    """One platform, as a provisioner sees it."""

    intents: Mapping[type[Value], Callable[[Any], Intent]] = attrs.field(hash=False)
    """What each request means, by its class; a release needs no entry."""
    page_size: int
    """Numbers in one page of the listing."""
    result: type[Record]
    """Class of the records."""
    record_fields: tuple[str, str, str]
    """Attributes of a record: its key in later calls, its number and its label."""
    release_request: type[Value]
    update_request: type[Value]
    """The request that changes the label."""
    key_field: str
    """Attribute of both requests that names the record."""
    purchase_request: type[Value] | None = None
    """The request that buys any number if it names none; its label takes the tag."""
    requests: Mapping[str, type[Value]] = attrs.field(
        default=attrs.Factory(lambda self: self._requests_by_name(), takes_self=True),
        hash=False,
        init=False,
    )
    """All request classes, by name."""

    def _requests_by_name(self) -> dict[str, type[Value]]:
        return {cls.__name__: cls for cls in (*self.intents, self.release_request)}

    def intent(self, value: Value) -> Intent:
        """Return the intent of *value*.

        Raises `InvalidRequestError` for a value that changes nothing, such as a listing.
        """
        request = type(value)
        if request is self.purchase_request and not isinstance(
            cast("_Purchase", value).phone_number, str
        ):
            field = self.record_fields[2]
            label = getattr(value, field)
            return Intent(
                kind=Kind.PURCHASE,
                label=label if isinstance(label, str) else "",
                label_field=field,
            )
        if request is self.release_request:
            return Intent(kind=Kind.RELEASE, key=getattr(value, self.key_field))
        read = self.intents.get(request)
        if read is None:
            raise no_change(value)
        return read(value)

    def list_numbers(self, client: object) -> AsyncIterator[Record]:
        """Read all numbers of the account of *client*, a client of this platform."""
        return cast("_NumbersClient", client).phone_numbers.list(page_size=self.page_size)

    def owned(self, record: Any) -> OwnedNumber:  # noqa: ANN401 - a record of any platform
        """Return a record of the listing as every platform has it."""
        key, number, label = attrgetter(*self.record_fields)(record)
        return OwnedNumber(record=key, phone_number=number, label=label, source=record)

    def match(self, record: Any, *, attempt: int | None = None, agrees: bool = True) -> Match:  # noqa: ANN401 - a record of any platform
        """Return a record as the possible result of an operation."""
        key, number, _ = attrgetter(*self.record_fields)(record)
        result = drop_secrets(as_object(record))
        return Match(record=key, phone_number=number, attempt=attempt, agrees=agrees, result=result)

    def release(self, record: str) -> Value:
        """Return the request that releases the record with this key."""
        return self.release_request(**{self.key_field: record})

    def relabel(self, record: str, label: str) -> Value:
        """Return the request that gives the record with this key another label."""
        return self.update_request(**{self.key_field: record, self.record_fields[2]: label})


def no_change(value: object) -> InvalidRequestError:
    """Return the error for a value that is no operation on phone numbers."""
    kind = type(value).__name__
    return InvalidRequestError(field="value", rule=f"{kind} changes no phone number")


def confirms_request(
    operation: Operation[Any], unreadable: Collection[str] = ()
) -> Callable[[Any], bool]:
    """Return whether a record shows what *operation* sent, by the operation's own comparison.

    If it set one of the *unreadable* fields, no record does: nothing proves that it was stored.
    """
    if not set_fields(cast("Value", operation.value)).keys().isdisjoint(unreadable):
        return lambda _: False
    if operation.read_back is not None:
        return operation.read_back.agrees
    differing = operation.ignored_fields
    assert differing is not None  # noqa: S101 - a call that sends fields has one or the other
    return lambda record: not differing(record)


def repair_update(value: Value, update: type[Value], key: str) -> Callable[[str], Value | None]:
    """Return the `Intent.repair` of *value*: an *update* with those of its fields that it accepts.

    *key* names the field of *update* that holds the record's key.
    """
    takes: tuple[attrs.Attribute[Any], ...] = attrs.fields(update)
    names = {field.name for field in takes} - {key}
    fields = {name: held for name, held in set_fields(value).items() if name in names}

    def repair(record: str) -> Value | None:
        return update(**{key: record}, **fields) if fields else None

    return repair
