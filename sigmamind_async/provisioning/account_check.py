"""Checks, before the first operation, that the journal belongs to the account.

A job repeated with another account's key would not find what it bought, and would buy it again. So
the journal stores a fingerprint of each API key that was used with it. An unknown key is either new
for the same account, or another account's. It is the same account if that owns a number which the
journal bought or imported there.
"""

from __future__ import annotations

import time

from sigmamind_async.errors import JournalError
from sigmamind_async.provisioning.context import AccountContext
from sigmamind_async.provisioning.fingerprint import key_fingerprint
from sigmamind_async.provisioning.row import State

CLOCK_TOLERANCE = 60.0
"""Seconds that the clock may be behind the journal's latest entry."""
_OWNS_NUMBERS = frozenset({State.DONE, State.DUPLICATE})
_MAY_HAVE_ACTED = frozenset(State) - {State.FAILED}


async def check_once(context: AccountContext) -> None:
    """Raise `JournalError` if the journal does not fit the clock or the account.

    Once it fits, it is not checked again.
    """
    if context.is_checked:
        return
    async with context.locks.hold("account"):
        if not context.is_checked:
            _check_clock(context)
            await _check_account(context)
            context.is_checked = True


def _check_clock(context: AccountContext) -> None:
    # With a clock set back, an unanswered request would be taken for lost too late or too early.
    behind = context.journal.latest - context.now()
    if behind > CLOCK_TOLERANCE:
        latest = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(context.journal.latest))
        raise JournalError(
            f"the clock is {_format_delay(behind)} behind the latest entry of the journal"
            f" ({latest}): set the clock right. Nothing has been sent."
        )


def _format_delay(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.0f} seconds"


async def _check_account(context: AccountContext) -> None:
    known = await context.journal.key_fingerprints(context.account)
    if await _fingerprint(context) in known:
        return
    if known and not await _owns_a_number_of_the_journal(context):
        raise JournalError(
            f"the journal was made with another API key for {context.account}, and this account"
            " owns none of its numbers: use that key, or another journal; if it is the same account"
            " with a new key, confirm that with accept_key(). Nothing has been sent."
        )
    await accept_key(context)


async def accept_key(context: AccountContext) -> None:
    """Remember the client's API key as one of the account's."""
    await context.journal.add_key_fingerprint(context.account, await _fingerprint(context))


async def _fingerprint(context: AccountContext) -> str:
    return key_fingerprint(
        context.journal.journal_id, await context.runner.engine.credentials.key()
    )


async def _owns_a_number_of_the_journal(context: AccountContext) -> bool:
    rows = await context.journal.in_states(context.account, _OWNS_NUMBERS)
    numbers = {row.phone_number for row in rows if row.phone_number}
    if not numbers:
        # No number to recognize the account by, which matters only if an attempt may have acted.
        rows = await context.journal.in_states(context.account, _MAY_HAVE_ACTED)
        return not any(row.state is not State.PLANNED or row.unconfirmed_since for row in rows)
    listing = await context.listings.newer_than(context.now())
    return not numbers.isdisjoint(listing.numbers)
