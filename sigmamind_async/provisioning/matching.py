"""Which records of a listing may be what an operation brought."""

from __future__ import annotations

from sigmamind_async.provisioning.adapter import Adapter, Intent, Owned, Value
from sigmamind_async.provisioning.fingerprint import rebuild_request, to_result
from sigmamind_async.provisioning.listing import Listing
from sigmamind_async.provisioning.messages import journal_error
from sigmamind_async.provisioning.row import Kind, Row
from sigmamind_async.provisioning.transitions import Listed, Match


def request_of(adapter: Adapter, row: Row) -> type[Value]:
    """Return the class of the request that *row* is about; raise `JournalError` for another's."""
    request = adapter.requests.get(row.request_type)
    if request is None:
        raise journal_error(
            row.op_id, f"the journal holds a {row.request_type}, which this version does not know"
        )
    return request


def intent_of(adapter: Adapter, row: Row) -> Intent:
    """Return what *row* asks for; its secrets are not known any more."""
    return adapter.intent(
        rebuild_request(request_of(adapter, row), row.request_fields, row.secret_fields)
    )


def listed(adapter: Adapter, row: Row, listing: Listing) -> Listed:
    """Return what *listing* says about *row*."""
    return Listed(began=listing.began, matches=_matches(adapter, row, listing))


def _matches(adapter: Adapter, row: Row, listing: Listing) -> list[Match]:
    if row.kind is Kind.PURCHASE:
        return [
            match_of(owned, attempt=attempt) for attempt, owned in listing.tagged.get(row.token, ())
        ]
    found = (listing.numbers if row.kind.owned_once else listing.records).get(row.key)
    if found is None:
        return []
    return [match_of(found, agrees=intent_of(adapter, row).agrees(found.source))]


def match_of(owned: Owned, *, attempt: int | None = None, agrees: bool = True) -> Match:
    """Return *owned* as a match."""
    return Match(
        record=owned.record,
        phone_number=owned.phone_number,
        attempt=attempt,
        agrees=agrees,
        result=to_result(owned.source),
    )
