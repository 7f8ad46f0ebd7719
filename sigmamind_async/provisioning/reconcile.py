"""What a listing proves: unconfirmed rows, purchases that came late, and duplicates."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, TypeAlias

import attrs

from sigmamind_async.convert import as_object
from sigmamind_async.errors import NotFoundError, SigmaMindError
from sigmamind_async.provisioning.adapter import Adapter, Intent, Value
from sigmamind_async.provisioning.context import AccountContext, Listing
from sigmamind_async.provisioning.events import (
    DuplicateReleased,
    Event,
    Listed,
    Match,
    OwnerLost,
    RepairDone,
    RepairRefused,
    RepairStarted,
)
from sigmamind_async.provisioning.fingerprint import drop_secrets, rebuild_request
from sigmamind_async.provisioning.messages import journal_error, record_without_key
from sigmamind_async.provisioning.row import Kind, Row, State
from sigmamind_async.provisioning.transitions import Release, Repair

RequestOf: TypeAlias = Callable[[Row], Awaitable[Value | None]]

_AT_ONCE: Final = 50
"""Rows that are reconciled at once."""


class _RowChangedError(Exception):
    """Another process has written the row."""


# --- rows ------------------------------------------------------------------------------------


async def reconcile_rows(
    context: AccountContext, rows: Iterable[Row], listing: Listing, request_of: RequestOf
) -> list[Row]:
    """Return *rows* as they are after *listing*; several are written at once, to share commits.

    *request_of* returns the request of a row with its secrets, if the caller has it. The first
    error ends all of it.
    """
    left, reconciled = iter(rows), list[Row]()

    async def reconcile_some() -> None:
        for row in left:
            value = await request_of(row)
            reconciled.append(await reconcile_row(context, row, listing, value))

    try:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(_AT_ONCE):
                tasks.create_task(reconcile_some())
    except ExceptionGroup as group:
        raise group.exceptions[0] from None
    return reconciled


async def reconcile_row(
    context: AccountContext, row: Row, listing: Listing, value: Value | None = None
) -> Row:
    """Return *row* as it is after *listing*, if a listing can still change it.

    *value* is the request with its secrets, if the caller has it.
    """
    row = await expire_lease(context, row)
    if row.state is State.SENDING or not row.is_open:
        return row
    return await apply_listing(context, row, listing, value)


async def expire_lease(context: AccountContext, row: Row) -> Row:
    """Return *row* as unconfirmed if the process that was sending it is gone."""
    if row.state is State.SENDING and context.now() >= row.lease_until:
        return await context.apply_or_read(row, OwnerLost())
    return row


async def reconcile_with_new_listing(
    context: AccountContext, row: Row, value: Value | None = None
) -> Row:
    """Return *row* after a listing that it has not been compared with."""
    listing = await context.listings.newer_than(max(row.unconfirmed_since, row.listed_at))
    return await apply_listing(context, row, listing, value)


async def reconcile_with_earlier_purchase(context: AccountContext, row: Row, value: Value) -> Row:
    """Return *row* after a check whether the account owns a number that carries its tag.

    A journal that was restored from a copy has forgotten what was bought since. The account has
    not, so it is listed once before the first purchase.
    """
    listing = await context.listings.newer_than(0.0)
    bought = listing.tagged.get(row.token, ())
    if not all(owned.record for _, owned in bought):
        raise record_without_key(row)
    return await apply_listing(context, row, listing, value) if bought else row


async def apply_listing(
    context: AccountContext, row: Row, listing: Listing, value: Value | None = None
) -> Row:
    """Return *row* as it is after *listing*, and do what follows from that.

    *value* is the request with its secrets, if the caller has it.
    """
    matches = _matches(context.adapter, row, listing)
    transition = await context.apply(row, Listed(began=listing.began, matches=matches))
    if transition is None:
        return await context.read(row.op_id)
    row = transition.row
    for action in transition.actions:
        match action:
            case Repair(found):
                row = await _repair(context, row, found, value)
            case Release(record):
                row = await release_duplicate(context, row, record)
    return row


async def release_duplicate(context: AccountContext, row: Row, record: str) -> Row:
    """Release the duplicate *record* of *row*, permanently."""
    try:
        await context.runner.run(context.adapter.release(record))
    except NotFoundError as error:  # it is gone already, if that was the API's answer
        if error.not_from_api:
            raise
    return await context.apply_or_read(row, DuplicateReleased(record))


async def _repair(context: AccountContext, row: Row, found: Match, value: Value | None) -> Row:
    """Write the requested fields to a record that shows other values, or cannot show them all."""
    if value is not None:
        intent = context.adapter.intent(value)
    elif not row.secret_fields:
        intent = stored_intent(context.adapter, row)
    else:
        return row  # until a caller brings the secrets
    change = intent.repair(found.record) if intent.repair is not None else None
    event: Event = RepairDone(match=attrs.evolve(found, agrees=True))
    if change is not None:
        started = await context.apply(row, RepairStarted())
        if started is None:
            return await context.read(row.op_id)
        row = started.row
        try:
            event = await _send_repair(context, row, found, change)
        except _RowChangedError:
            return await context.read(row.op_id)
        except SigmaMindError as error:
            if error.committed != "no" or error.retryable:
                return row  # the next listing shows whether to write once more
            event = RepairRefused(found, error.message)
    return await context.apply_or_read(row, event)


async def _send_repair(
    context: AccountContext, row: Row, found: Match, change: Value
) -> RepairDone:
    """Send *change* while *row* is unconfirmed: after that, others may change its number."""

    async def require_unchanged() -> None:
        if (await context.read(row.op_id)).version != row.version:
            raise _RowChangedError

    operation = context.runner.operation(change)
    call = context.runner.engine.begin(operation)
    call.before_send = require_unchanged
    record = await context.runner.engine.run(call)
    written = attrs.evolve(found, result=drop_secrets(as_object(record)), agrees=True)
    return RepairDone(match=written, earlier_unanswered=call.ambiguous)


# --- records ---------------------------------------------------------------------------------


def stored_request(adapter: Adapter, row: Row) -> Value:
    """Return the request that *row* is about, with `REDACTED` for its secrets.

    Raises `JournalError` for a request of another version.
    """
    request = adapter.requests.get(row.request_type)
    if request is None:
        raise journal_error(
            row.op_id, f"the journal holds a {row.request_type}, which this version does not know"
        )
    return rebuild_request(request, row.request_fields, row.secret_fields)


def stored_intent(adapter: Adapter, row: Row) -> Intent:
    """Return the intent of the request that *row* is about."""
    return adapter.intent(stored_request(adapter, row))


def _matches(adapter: Adapter, row: Row, listing: Listing) -> list[Match]:
    """Return the records of *listing* that *row* may have brought."""
    if row.kind is Kind.PURCHASE:
        return [
            adapter.match(owned.source, attempt=attempt)
            for attempt, owned in listing.tagged.get(row.token, ())
        ]
    by_number = row.kind in {Kind.EXACT_PURCHASE, Kind.IMPORT}
    found = (listing.numbers if by_number else listing.records).get(row.key)
    if found is None:
        return []
    return [adapter.match(found.source, agrees=stored_intent(adapter, row).agrees(found.source))]
