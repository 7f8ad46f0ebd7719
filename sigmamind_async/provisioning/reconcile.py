"""What a listing settles: rows in doubt, late commits, and numbers bought one too many."""

from __future__ import annotations

import attrs

from sigmamind_async.client import Client
from sigmamind_async.errors import NotFoundError, SigmaMindError
from sigmamind_async.provisioning.account_journal import AccountJournal
from sigmamind_async.provisioning.adapter import Adapter, Value
from sigmamind_async.provisioning.fingerprint import to_result
from sigmamind_async.provisioning.listing import Listing
from sigmamind_async.provisioning.matching import intent_of, listed
from sigmamind_async.provisioning.row import Row
from sigmamind_async.provisioning.transitions import (
    DuplicateReleased,
    Event,
    Match,
    Release,
    Repair,
    RepairDone,
    RepairRefused,
    RepairStarted,
)


class _OvertakenError(Exception):
    """Somebody else has moved the row meanwhile."""


@attrs.frozen
class Reconciler:
    """Draws the conclusions from listings, and does what follows from them."""

    client: Client
    adapter: Adapter
    books: AccountJournal

    async def settle(self, row: Row, listing: Listing, value: Value | None = None) -> Row:
        """Return *row* as it is after *listing* has been taken into account.

        *value* is the request with its secrets, where the caller has it.
        """
        move = await self.books.move(row, listed(self.adapter, row, listing))
        if move is None:
            return await self.books.read(row.op_id)
        row = move.row
        for action in move.actions:
            match action:
                case Repair(found):
                    row = await self._repair(row, found, value)
                case Release(record):
                    row = await self.release(row, record)
        return row

    async def release(self, row: Row, record: str) -> Row:
        """Give the duplicate *record* of *row* up, for good."""
        try:
            await self.client.run(self.adapter.release(record))
        except NotFoundError as error:  # it is gone already, if that was the API's answer
            if error.not_from_api:
                raise
        move = await self.books.move(row, DuplicateReleased(record))
        return move.row if move is not None else await self.books.read(row.op_id)

    async def _repair(self, row: Row, found: Match, value: Value | None) -> Row:
        """Write what was asked for to a record that shows something else, or cannot show it all."""
        if value is not None:
            intent = self.adapter.intent(value)
        elif not row.secret_fields:
            intent = intent_of(self.adapter, row)
        else:
            return row  # whoever asks again brings the secrets
        change = intent.repair(found.record) if intent.repair is not None else None
        event: Event = RepairDone(match=attrs.evolve(found, agrees=True))
        if change is not None:
            mending = await self.books.move(row, RepairStarted())
            if mending is None:
                return await self.books.read(row.op_id)
            row = mending.row
            try:
                event = await self._written(row, found, change)
            except _OvertakenError:
                return await self.books.read(row.op_id)
            except SigmaMindError as error:
                if error.committed != "no" or error.retryable:
                    return row  # it is there, and may be written to later
                event = RepairRefused(found, error.message)
        move = await self.books.move(row, event)
        return move.row if move is not None else await self.books.read(row.op_id)

    async def _written(self, row: Row, found: Match, change: Value) -> RepairDone:
        """Send *change* while *row* is in doubt: after that its number is others' to change."""

        async def look() -> None:
            if (await self.books.read(row.op_id)).version != row.version:
                raise _OvertakenError

        engine = self.client.runner.engine
        operation = self.client.runner.operation(change)
        call = engine.begin(operation)
        call.before_send = look
        record = await engine.finish(call)
        mended = attrs.evolve(found, result=to_result(record), agrees=True)
        return RepairDone(match=mended, doubtful=call.ambiguous)
