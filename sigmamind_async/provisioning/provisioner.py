"""Operations that are carried out once, whatever happens to the process that asked for them."""

from __future__ import annotations

import math
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
from typing import Final, Literal, TypeAlias, TypeVar

from sigmamind_async.bulk import BY_DEFAULT, Progress, StopOn
from sigmamind_async.client import Client
from sigmamind_async.convert import RequestValue
from sigmamind_async.errors import ConfigurationError
from sigmamind_async.provisioning.account_check import accept_key, check_once
from sigmamind_async.provisioning.adapter import Value
from sigmamind_async.provisioning.adapters import adapter_of
from sigmamind_async.provisioning.bulk import ProvisioningRun
from sigmamind_async.provisioning.conflicts import Conflicts
from sigmamind_async.provisioning.context import AccountContext, clock_for, steady_clock
from sigmamind_async.provisioning.events import (
    AbandonApproved,
    AdoptApproved,
    Event,
    RefusedLocally,
    RetryApproved,
    TagRemoved,
)
from sigmamind_async.provisioning.execution import Execution
from sigmamind_async.provisioning.journal.protocol import Journal
from sigmamind_async.provisioning.listing import ListingCache
from sigmamind_async.provisioning.messages import journal_error
from sigmamind_async.provisioning.reconcile import (
    apply_listing,
    match_of,
    reconcile_row,
    release_duplicate,
    stored_intent,
)
from sigmamind_async.provisioning.row import Row, State, account_name, check_op_id
from sigmamind_async.provisioning.status import Status, open_rows
from sigmamind_async.provisioning.tags import find_tag, remove_tag
from sigmamind_async.provisioning.transitions import SETTLE_TIME, Policy

T = TypeVar("T")

HORIZON: Final = 86_400.0
"""Seconds after which `Provisioner.sweep` takes a tag from its label, where it should."""
_CHUNK: Final = 500
"""Tags to look up in the journal at once."""


Recall: TypeAlias = Callable[[Row], Awaitable[Value | None] | Value | None]


class Provisioner:
    """Buys, imports, changes and releases numbers of one account, each operation once.

    What an operation did is written to the journal before and after each request, so the same
    ``op_id`` may be run again at any time: after a crash, in another process, by a queue that
    delivers twice. It is carried out once, and its result is returned every time.

    One thing can be detected and undone, but not prevented by any client: a process that is frozen
    by its machine between its last look at the journal and its next request sends that request
    when it wakes, perhaps long after somebody else has taken the operation for lost and has
    carried it out. `sweep` finds what such a request bought.

    Args:
        client: Client of the account.
        journal: Where operations are remembered; it must be open.
        settle_time: Seconds during which a number that an unanswered request may have bought is
            still waited for. It must exceed the longest time that the platform may take to carry
            out a request, and to show the result in its listing. A purchase of a number of your
            own choosing, which can be owned only once, is waited for no longer than one attempt
            may take, and then sent again.
        retry_unconfirmed: Send a purchase of a number that the platform picks again when it is
            still not in the account after the settle time. Otherwise a person decides.
        tag: ``keep`` the tag in labels of numbers that the platform picked, or ``strip`` it in
            the first `sweep` after a day.
        max_purchases: Most purchases that the journal may ever hold for this account.
        release_duplicates: Let `reconcile` and `sweep` release duplicates. Otherwise a person
            decides.
        account: Label that tells several accounts of one platform apart in one journal.

    Raises:
        ConfigurationError: A setting cannot be used.

    It tells its `client` and `journal`, as `account` what the journal calls the account, and as
    `policy` what it may decide by itself.
    """

    def __init__(
        self,
        client: Client,
        journal: Journal,
        *,
        settle_time: float = SETTLE_TIME,
        retry_unconfirmed: bool = False,
        tag: Literal["keep", "strip"] = "keep",
        max_purchases: int | None = None,
        release_duplicates: bool = False,
        account: str | None = None,
    ) -> None:
        _check(settle_time, tag, max_purchases)
        platform = client.platform.name
        engine = client.runner.engine
        policy = Policy(
            settle_time=settle_time,
            exact_settle_time=min(settle_time, engine.limits.attempt_timeout),
            retry_unconfirmed=retry_unconfirmed,
            release_duplicates=release_duplicates,
        )
        now = clock_for(journal, steady_clock(engine.clock, engine.wall_clock))
        adapter = adapter_of(client)
        self.client = client
        self.journal = journal
        self.policy = policy
        self.account = account_name(platform, account)
        self._strips = tag == "strip"
        self._context = AccountContext(
            runner=client.runner,
            adapter=adapter,
            journal=journal,
            account=self.account,
            policy=policy,
            now=now,
            listings=ListingCache(adapter, client, now),
            max_purchases=max_purchases,
        )
        self._conflicts = Conflicts(self._context)

    # --- operations ------------------------------------------------------------------------

    async def run(self, op_id: str, value: RequestValue[T]) -> T:
        """Carry *value* out once under *op_id*, and return what it brought.

        This is what a queue's consumer calls: called again, at the same time or later, by this
        process or another one on the same journal, it returns the stored result (without secrets
        that the platform may have answered with).

        Raises:
            OutcomeUnknownError: A request went unanswered and the client's deadline has passed
                before it was settled. Call again later, with the same *op_id*.
            JournalError: The journal cannot be used, holds another request under *op_id*, or
                another operation may still change the same number. Nothing was sent, unless
                `committed` says otherwise.
            SpendLimitError: It would be one purchase too many. Nothing was sent.
            InvalidRequestError: The value changes no number, or buys one that the account owns.
            SigmaMindError: The platform refused, as in a call of the client. Called again, the
                operation is tried again.
        """
        return await self._execution(op_id, value, in_bulk=False).run()

    async def send(self, op_id: str, value: RequestValue[T]) -> T:
        """Do as `run` does, and leave to `reconcile` what goes unanswered.

        For a process that carries out many operations, each at its own time: one listing settles
        all of them. Waits for the platform's rate as long as it takes.

        Raises:
            OutcomeUnknownError: The request went unanswered, or somebody else is sending it. Call
                again once `reconcile` has settled it.
        """
        return await self._execution(op_id, value, in_bulk=True).run()

    def run_many(
        self,
        operations: Iterable[tuple[str, RequestValue[T]]]
        | AsyncIterable[tuple[str, RequestValue[T]]],
        *,
        ordered: bool = False,
        stop_on: StopOn | None = BY_DEFAULT,
        progress: Progress | None = None,
    ) -> ProvisioningRun[T]:
        """Carry out many operations concurrently; iterate the result with ``async for``.

        Args:
            operations: Pairs of op_id and value; read lazily.
            ordered: Hand outcomes over in the order of the operations, instead of as they end.
            stop_on: When to take up no more of them and skip the rest, as in `Client.run_many`.
            progress: Counts, rate and estimated time, kept up to date while the job runs.

        Returns:
            A job that yields one `Outcome` an operation, with its ``op_id``. What is in doubt is
            settled at the end, all of it with the same listings, for as long as that makes
            headway; what then is still in doubt is ``unknown``. Where it ended early, its
            `stopped` says why.
        """
        return ProvisioningRun(
            self._context,
            lambda op_id, value: self._execution(op_id, value, in_bulk=True),
            operations,
            ordered=ordered,
            stop_on=stop_on,
            progress=progress,
        )

    def _execution(self, op_id: str, value: RequestValue[T], *, in_bulk: bool) -> Execution[T]:
        check_op_id(op_id)
        return Execution(self._context, self._conflicts, op_id, value, in_bulk=in_bulk)

    # --- looking after them ----------------------------------------------------------------

    async def reconcile(self, recall: Recall | None = None) -> Status:
        """Settle what is in doubt, with one listing of the account, and say what is left.

        What was found is done. What was not found stays in doubt until the settle time is over;
        then it may be sent again by the next run, or waits for a person. Nothing is sent from
        here, except what mends or releases numbers that were found.

        Args:
            recall: Returns the request of a row with its secrets, where it can be had, or awaits
                it. Without them an import that went unanswered stays in doubt until it is run
                again, because its password can neither be read back nor be written anew.
        """
        await check_once(self._context)
        now = self._context.now()
        rows = [
            row
            for row in await open_rows(self.journal, self.account)
            if row.state is not State.SENDING or now >= row.lease_until
        ]
        if rows:
            listing = await self._context.listings.newer_than(now)
            for row in rows:
                value = recall(row) if recall is not None and row.secret_fields else None
                if isinstance(value, Awaitable):
                    value = await value
                await reconcile_row(self._context, row, listing, value)
        return await self.status()

    async def sweep(self, horizon: float = HORIZON) -> Status:
        """Find what late requests have bought, and take old tags from labels where that is wanted.

        Reads the whole account once: run it every hour, say, as long as purchases are made.

        Args:
            horizon: Seconds for which a tag is kept when tags are to be stripped.
        """
        await check_once(self._context)
        listing = await self._context.listings.newer_than(self._context.now())
        tokens = list(listing.tagged)
        for start in range(0, len(tokens), _CHUNK):
            some = tokens[start : start + _CHUNK]
            for row in await self.journal.with_tokens(self.account, some):
                await apply_listing(self._context, row, listing)
        if self._strips:
            before = self._context.now() - horizon
            for row in await self.journal.tagged_before(self.account, before):
                if row.record in listing.records:
                    await self._strip(row, listing.records[row.record].label or "")
        return await self.status()

    async def status(self) -> Status:
        """Return how many operations are in which state, and those that are not settled.

        Asks the journal only.
        """
        return await Status.of(self.journal, self.account, self.policy.settle_time)

    async def refuse(self, op_id: str, reason: str) -> Row:
        """Write down why an operation that was only planned is not carried out: it has failed.

        One that may have been sent stays as it is. Called again, it is tried again.
        """
        row = await self._context.read(op_id)
        move = await self._context.apply(row, RefusedLocally(reason))
        return row if move is None else move.row

    @property
    def lease(self) -> float:
        """Seconds after which a process that began to send and wrote no more is taken for gone."""
        return self._context.lease

    # --- a person's decisions --------------------------------------------------------------

    async def adopt(self, op_id: str, phone_number: str) -> Row:
        """Take *phone_number*, which the account owns, for what the operation brought."""
        row = await self._row(op_id)
        found = (await self._context.listings.newer_than(self._context.now())).numbers.get(
            phone_number
        )
        if found is None:
            raise journal_error(op_id, f"{phone_number} is not in the account")
        tag = find_tag(found.label)
        if tag is not None and tag[0] != row.token:
            raise journal_error(op_id, f"{phone_number} was bought by another operation")
        return await self._decided(row, AdoptApproved(match_of(found)))

    async def retry_unconfirmed(self, op_id: str) -> Row:
        """Let the next run send the operation again, at the risk that the first request comes late.

        `sweep` finds it, should it come.
        """
        return await self._decided(await self._row(op_id), RetryApproved())

    async def abandon(self, op_id: str) -> Row:
        """Leave the operation as it is: it is not sent again."""
        return await self._decided(await self._row(op_id), AbandonApproved())

    async def release_duplicates(self, op_id: str) -> Row:
        """Give up the numbers that the operation bought one too many, for good."""
        row = await self._row(op_id)
        if row.state is not State.DUPLICATE:
            raise journal_error(op_id, f"nothing was bought one too many, it is {row.state.value}")
        for record in row.duplicates:
            row = await release_duplicate(self._context, row, record)
        return row

    async def accept_key(self) -> None:
        """Take the client's API key for a new one of the account that the journal is about.

        A key that the journal does not know is otherwise taken for another account's, unless the
        account owns a number that the journal brought. Only the caller can know better: under
        another account's key nothing that was bought is found, and it would be bought again.
        """
        await accept_key(self._context)

    async def _decided(self, row: Row, event: Event) -> Row:
        move = await self._context.apply(row, event)
        if move is None:
            raise journal_error(row.op_id, f"is {row.state.value}, so there is nothing to decide")
        return move.row

    async def _row(self, op_id: str) -> Row:
        await check_once(self._context)
        return await self._context.read(op_id)

    async def _strip(self, row: Row, label: str) -> None:
        """Give the number of *row* the label that was asked for, or its number."""
        wanted = stored_intent(self._context.adapter, row).label or row.phone_number
        if remove_tag(label) != label:
            await self.client.run(self._context.adapter.relabel(row.record, wanted))
        await self._context.apply(row, TagRemoved())


def _check(settle_time: object, tag: object, max_purchases: object) -> None:
    if isinstance(settle_time, bool) or not isinstance(settle_time, (int, float)):
        raise ConfigurationError("settle_time: must be a number of seconds")
    if not 0 <= settle_time < math.inf:
        raise ConfigurationError("settle_time: must be 0 seconds or more, and finite")
    if tag not in {"keep", "strip"}:
        raise ConfigurationError("tag: must be 'keep' or 'strip'")
    if max_purchases is None:
        return
    if isinstance(max_purchases, bool) or not isinstance(max_purchases, int) or max_purchases < 0:
        raise ConfigurationError("max_purchases: must be a whole number from 0")
