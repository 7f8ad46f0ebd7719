"""Does this journal belong to this account? Asked once, before the first operation.

A job that is run again under another account's key would not find what it bought, and would buy it
again. The journal therefore remembers a seal of each API key it was used with. A key that it does
not know is either a new key of the same account or another account: if the account owns a number
that the journal has bought or imported there, it is the same one.
"""

from __future__ import annotations

import time

from sigmamind_async.errors import JournalError
from sigmamind_async.provisioning.context import AccountContext
from sigmamind_async.provisioning.fingerprint import key_fingerprint
from sigmamind_async.provisioning.row import State

CLOCK_TOLERANCE = 60.0
"""Seconds by which the clock may be behind the journal's latest entry."""
_HOLDS = frozenset({State.DONE, State.DUPLICATE})
_MAY_HAVE_ACTED = frozenset(State) - {State.FAILED}


async def check_once(context: AccountContext) -> None:
    """Raise `JournalError` if the journal does not fit the clock or the account; ask only once."""
    if context.is_checked:
        return
    async with context.locks.hold("account"):
        if not context.is_checked:
            _check_clock(context)
            await _check_account(context)
            context.is_checked = True


def _check_clock(context: AccountContext) -> None:
    """Raise `JournalError` where the clock has been set back since the latest entry.

    Times in the journal say when an unanswered request can be taken for lost.
    """
    behind = context.journal.latest - context.now()
    if behind > CLOCK_TOLERANCE:
        latest = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(context.journal.latest))
        raise JournalError(
            f"the clock is {_span(behind)} behind the latest entry of the journal ({latest}):"
            " set the clock right. Nothing has been sent."
        )


def _span(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.0f} seconds"


async def _check_account(context: AccountContext) -> None:
    """Raise `JournalError` where the journal is of another account, before anything is changed."""
    known = await context.journal.key_fingerprints(context.account)
    if await _seal(context) in known:
        return
    if known and not await _owns_what_it_brought(context):
        raise JournalError(
            f"the journal was made with another API key for {context.account}, and this account"
            " owns none of its numbers: use the key that it was made with, or another journal; if"
            " it is the same account with a new key, say so with accept_key(). Nothing has been"
            " sent."
        )
    await accept_key(context)


async def accept_key(context: AccountContext) -> None:
    """Remember the client's API key as one of the account's."""
    await context.journal.add_key_fingerprint(context.account, await _seal(context))


async def _seal(context: AccountContext) -> str:
    return key_fingerprint(
        context.journal.journal_id, await context.runner.engine.credentials.key()
    )


async def _owns_what_it_brought(context: AccountContext) -> bool:
    rows = await context.journal.in_states(context.account, _HOLDS)
    brought = {row.phone_number for row in rows if row.phone_number}
    if not brought:
        # Nothing to tell the account by: fine, unless an attempt may have done something there.
        rows = await context.journal.in_states(context.account, _MAY_HAVE_ACTED)
        return not any(row.state is not State.PLANNED or row.unconfirmed_since for row in rows)
    listing = await context.listings.newer_than(context.now())
    return not brought.isdisjoint(listing.numbers)
