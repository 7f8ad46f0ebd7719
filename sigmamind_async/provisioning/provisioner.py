"""Operations that are carried out once, whatever happens to the process that requested them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, Final, Literal, TypeAlias, TypeVar
from uuid import uuid4

from sigmamind_async.bulk import DEFAULT_STOP_ON, Progress, StopOn
from sigmamind_async.client import Client
from sigmamind_async.convert import RequestValue
from sigmamind_async.errors import ConfigurationError, JournalError, SigmaMindError
from sigmamind_async.events import Observers, as_observer
from sigmamind_async.provisioning.adapter import Value
from sigmamind_async.provisioning.adapters.registry import adapter_of
from sigmamind_async.provisioning.bulk import ProvisioningRun
from sigmamind_async.provisioning.conflicts import Conflicts
from sigmamind_async.provisioning.context import (
    LEASE_MARGIN,
    AccountContext,
    ListingCache,
    accept_key,
    check_once,
    steady_clock,
)
from sigmamind_async.provisioning.events import (
    AbandonApproved,
    AdoptApproved,
    Event,
    RefusedLocally,
    RetryApproved,
    TagRemoved,
)
from sigmamind_async.provisioning.execution import Execution
from sigmamind_async.provisioning.journal.protocol import Journal, Status, clock_for
from sigmamind_async.provisioning.messages import journal_error
from sigmamind_async.provisioning.reconcile import (
    apply_listing,
    reconcile_rows,
    release_duplicate,
    stored_intent,
)
from sigmamind_async.provisioning.row import Row, State, account_name
from sigmamind_async.provisioning.tags import find_tag, remove_tag
from sigmamind_async.provisioning.transitions import SETTLE_TIME, Policy
from sigmamind_async.values import check_count, check_flag, check_seconds, check_type

T = TypeVar("T")

log: Final = logging.getLogger(__name__)

HORIZON: Final = 86_400.0
"""Seconds for which `Provisioner.sweep` leaves a tag in its label, if it removes tags."""
LEASE_INTERVALS: Final = 2.5
"""Intervals of `Provisioner.upkeep` for which its process holds the account's lease."""
_CHUNK: Final = 500
"""Tags to look up in the journal at once."""

Recall: TypeAlias = Callable[[Row], Awaitable[Value | None] | Value | None]


class Provisioner:
    """Buys, imports, changes and releases numbers of one account, each operation once.

    The journal is written before and after each request, so the same ``op_id`` may be run again at
    any time: after a crash, in another process, by a queue that delivers twice. The operation is
    carried out once, and every run returns its result.

    No client can prevent, but this one detects, the following: a machine freezes a process between
    its last look at the journal and its next request, and the process sends that request when it
    wakes up, perhaps long after another one has carried the operation out. `sweep` finds what such
    a request bought.

    Args:
        client: Client of the account.
        journal: Remembers the operations; it must be open.
        settle_time: Seconds for which an unanswered request may still take effect. It must exceed
            the longest time that the platform takes to carry out a request and to show the result
            in its listing. A purchase of a number that you choose, which can be owned only once, is
            sent again as soon as one attempt's time is over.
        retry_unconfirmed: Send a purchase again if the platform picks its number and the account
            does not have it after the settle time. Otherwise an operator decides.
        tag: ``keep`` the tag in labels of numbers that the platform picked, or ``strip`` it in
            the first `sweep` after a day.
        max_purchases: Most purchases that the journal may ever hold for this account, unconfirmed
            ones included. With `None` there is no limit.
        release_duplicates: Let `reconcile` and `sweep` release duplicates. Otherwise an operator
            decides.
        account: Label that distinguishes several accounts of one platform in one journal; `None` if
            there is one.
        observer: Called with an `OperationChanged` for each new state of an operation, one function
            or several; by default what the client was given.

    Raises:
        ConfigurationError: A setting cannot be used.

    Attributes: `client`, `journal`, `account` (its name in the journal) and `policy`.
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
        observer: Observers = None,
    ) -> None:
        check_seconds("settle_time", settle_time, zero=True)
        if max_purchases is not None:
            check_count("max_purchases", max_purchases, least=0)
        check_flag("retry_unconfirmed", retry_unconfirmed)
        check_flag("release_duplicates", release_duplicates)
        check_type("client", client, Client)
        if not callable(getattr(journal, "put", None)):
            raise ConfigurationError("journal: must be a journal, such as SqliteJournal(path)")
        if tag not in ("keep", "strip"):
            raise ConfigurationError("tag: must be 'keep' or 'strip'")
        engine = client.runner.engine
        if engine.options.query:
            # Read back without some of its numbers, the account would be sold them again.
            raise ConfigurationError(
                "client: adds query parameters, which may leave numbers out of the account's"
                " listing; give one without with_options(query=...)"
            )
        self.client = client
        self.journal = journal
        self.account: str = account_name(client.platform.name, account)
        self.policy: Policy = Policy(
            settle_time=settle_time,
            exact_settle_time=min(settle_time, engine.limits.attempt_timeout),
            retry_unconfirmed=retry_unconfirmed,
            release_duplicates=release_duplicates,
        )
        self._strips_tags = tag == "strip"
        adapter = adapter_of(client)
        now = clock_for(journal, steady_clock(engine.clock, engine.wall_clock))
        self._context = AccountContext(
            runner=client.runner,
            adapter=adapter,
            journal=journal,
            account=self.account,
            policy=self.policy,
            now=now,
            listings=ListingCache(adapter, client, now),
            lease=engine.limits.attempt_timeout + LEASE_MARGIN,
            max_purchases=max_purchases,
            observer=engine.observer if observer is None else as_observer(observer),
        )
        self._conflicts = Conflicts(self._context)

    # --- operations ------------------------------------------------------------------------

    async def run(self, op_id: str, value: RequestValue[T]) -> T:
        """Carry *value* out once under *op_id*, and return its result.

        Call it from a queue's consumer: called again, at the same time or later, by this process or
        another one on the same journal, it returns the stored result (without any secrets that the
        platform may have sent).

        Raises:
            OutcomeUnknownError: A request went unanswered, and the client's deadline passed before
                its outcome was known. Call again later, with the same *op_id*.
            JournalError: The journal cannot be used, holds another request under *op_id*, or
                another operation may still change the same number. Nothing was sent, unless
                `committed` says otherwise.
            SpendLimitError: It would exceed *max_purchases*. Nothing was sent.
            InvalidRequestError: The value changes no number, or buys one that the account owns.
            SigmaMindError: The platform rejected it, as in a call of the client. Called again, the
                operation is tried again.
        """
        return await Execution(self._context, self._conflicts, op_id, value).run()

    async def send(self, op_id: str, value: RequestValue[T], *, stored: Row | None = None) -> T:
        """Do as `run` does, but leave an unknown outcome to `reconcile`.

        For a process that carries out many operations, each at its own time: one listing settles
        all of them. Waits for the platform's rate as long as it takes.

        Args:
            op_id: The caller's key of the operation.
            value: The request.
            stored: The row of the operation, if the caller has just read it; it is then not read
                again. One that is out of date is noticed before anything is sent.

        Raises:
            OutcomeUnknownError: The request went unanswered, or another process is sending it. Call
                again after `reconcile`.
        """
        return await self._bulk_execution(op_id, value, stored).run()

    def run_many(
        self,
        operations: Iterable[tuple[str, RequestValue[T] | Mapping[str, Any]]]
        | AsyncIterable[tuple[str, RequestValue[T] | Mapping[str, Any]]],
        *,
        kind: type[RequestValue[T]] | None = None,
        ordered: bool = False,
        stop_on: StopOn | None = DEFAULT_STOP_ON,
        progress: Progress | None = None,
    ) -> ProvisioningRun[T]:
        """Carry out many operations concurrently; iterate the result with ``async for``.

        Args:
            operations: Pairs of op_id and value, read lazily. What is no pair fails alone.
            kind: The class of all requests; one of another class fails. A value that is a mapping
                of its fields is built once its turn comes, and fails if it is wrong.
            ordered: Yield outcomes in the order of the operations, instead of as they end.
            stop_on: When to start no more of them and skip the rest, as in `Client.run_many`.
            progress: Counts, rate and estimated time, kept up to date while the job runs.

        Returns:
            A job that yields one `Outcome` per operation, with its ``op_id``. Unconfirmed
            operations are reconciled at the end, all with the same listings, for as long as that
            settles more of them; the rest is ``unconfirmed``. If the job ended early, its `stopped`
            says why.

        Raises:
            InvalidRequestError: *operations* is no iterable, or *kind* no class of requests.
        """
        return ProvisioningRun(
            self._context,
            self._bulk_execution,
            operations,
            kind=kind,
            ordered=ordered,
            stop_on=stop_on,
            progress=progress,
        )

    def _bulk_execution(
        self, op_id: str, value: RequestValue[T], stored: Row | None = None
    ) -> Execution[T]:
        return Execution(self._context, self._conflicts, op_id, value, in_bulk=True, stored=stored)

    # --- maintenance -----------------------------------------------------------------------

    async def reconcile(self, recall: Recall | None = None) -> Status:
        """Compare unconfirmed operations with one listing of the account; return what is left.

        Those that are found are done. The others stay unconfirmed until the settle time is over;
        then the next run may send them again, or an operator decides. This sends nothing except
        what repairs or releases numbers that were found.

        Args:
            recall: Returns the request of a row with its secrets, if it can be had, or awaits it.
                Without them an unanswered import stays unconfirmed until it is run again, because
                its password can neither be read back nor be written again.

        Raises:
            JournalError: The journal cannot be used, or belongs to another account.
            SigmaMindError: The account could not be listed.
        """
        await check_once(self._context)
        now = self._context.now()
        rows = [
            row
            for row in await self.journal.unsettled(self.account)
            if row.is_open and (row.state is not State.SENDING or now >= row.lease_until)
        ]
        if rows:
            listing = await self._context.listings.newer_than(now)
            await reconcile_rows(self._context, rows, listing, partial(_recall, recall))
        return await self.status()

    async def sweep(self, horizon: float = HORIZON) -> Status:
        """Find what late requests have bought, and remove old tags if they are not to be kept.

        Lists the whole account once. Run it about every hour while purchases are made.

        Args:
            horizon: Seconds for which a tag is kept, if tags are removed.

        Raises:
            JournalError: The journal cannot be used, or belongs to another account.
            SigmaMindError: The account could not be listed, or a label not be changed.
        """
        await check_once(self._context)
        listing = await self._context.listings.newer_than(self._context.now())
        tokens = list(listing.tagged)
        for start in range(0, len(tokens), _CHUNK):
            some = tokens[start : start + _CHUNK]
            for row in await self.journal.with_tokens(self.account, some):
                await apply_listing(self._context, row, listing)
        if self._strips_tags:
            before = self._context.now() - horizon
            for row in await self.journal.tagged_before(self.account, before):
                if row.record in listing.records:
                    await self._strip_tag(row, listing.records[row.record].label or "")
        return await self.status()

    @asynccontextmanager
    async def upkeep(
        self, *, reconcile_every: float = 60.0, sweep_every: float = 3600.0
    ) -> AsyncGenerator[None]:
        """Reconcile and sweep at intervals, for as long as the block runs.

            async with provisioner.upkeep():
                await serve()  # a web application, say

        Any number of processes may do this with one journal: one of them holds a lease for the
        account and does the work, the others stand by. If it ends, another one takes over at its
        next look; if it is killed, within three intervals. A failure, of the platform or the
        journal, is logged and left to the next interval. Workers do all this themselves.

        Args:
            reconcile_every: Seconds between two calls of `reconcile`, and two looks at the lease.
            sweep_every: Seconds between two calls of `sweep`.

        Raises:
            ConfigurationError: An interval is not a positive number.
        """
        check_seconds("reconcile_every", reconcile_every)
        check_seconds("sweep_every", sweep_every)
        holder = uuid4().hex
        work = asyncio.create_task(self._look_after(holder, reconcile_every, sweep_every))
        try:
            yield
        finally:
            work.cancel()
            await asyncio.wait({work})
            with suppress(JournalError):  # another one takes over when it ends
                await self._hold_lease(holder, 0.0)

    async def _look_after(self, holder: str, reconcile_every: float, sweep_every: float) -> None:
        sweep_at = 0.0
        while True:
            try:
                if await self._hold_lease(holder, LEASE_INTERVALS * reconcile_every):
                    await self.reconcile()
                    if self._context.now() >= sweep_at:
                        await self.sweep()
                        sweep_at = self._context.now() + sweep_every
                else:
                    sweep_at = 0.0  # its holder may have ended before its next one
            except SigmaMindError as error:
                log.warning("%s: upkeep failed and is tried again: %s", self.account, error)
            await self._context.sleep(reconcile_every)

    async def _hold_lease(self, holder: str, seconds: float) -> bool:
        """Hold the account's lease for so long; return False if another process has it."""
        now = self._context.now()
        name = f"upkeep of {self.account}"
        return await self.journal.acquire_lease(name, holder, now, now + seconds)

    async def _strip_tag(self, row: Row, label: str) -> None:
        """Give the number of *row* the label that was requested, or its number."""
        wanted = stored_intent(self._context.adapter, row).label or row.phone_number
        if remove_tag(label) != label:
            await self.client.run(self._context.adapter.relabel(row.record, wanted))
        await self._context.apply(row, TagRemoved())

    async def status(self) -> Status:
        """Return how many operations are in which state, and those that are not settled.

        Reads the journal only.
        """
        return await Status.of(self.journal, self.account, self.policy.settle_time)

    async def refuse(self, op_id: str, reason: str) -> Row:
        """Record the *reason* why a planned operation is not carried out: it has failed.

        One that may have been sent stays as it is. Run again, it is tried again. Raises
        `JournalError` if there is no such operation.
        """
        row = await self._context.read(op_id)
        transition = await self._context.apply(row, RefusedLocally(reason))
        return row if transition is None else transition.row

    @property
    def lease(self) -> float:
        """Seconds after which a process that began to send, and wrote no more, is lost."""
        return self._context.lease

    # --- an operator's decisions -----------------------------------------------------------

    async def adopt(self, op_id: str, phone_number: str) -> Row:
        """Take *phone_number*, which the account owns, as the result of the operation.

        Raises `JournalError` if the account does not own it, if another operation bought it, or if
        there is nothing to decide.
        """
        row = await self._read_checked(op_id)
        listing = await self._context.listings.newer_than(self._context.now())
        found = listing.numbers.get(phone_number)
        if found is None:
            raise journal_error(op_id, f"{phone_number} is not in the account")
        tag = find_tag(found.label)
        if tag is not None and tag[0] != row.token:
            raise journal_error(op_id, f"{phone_number} was bought by another operation")
        return await self._decide(row, AdoptApproved(self._context.adapter.match(found.source)))

    async def retry_unconfirmed(self, op_id: str) -> Row:
        """Let the next run send the operation again, although the first request may still succeed.

        If it does, `sweep` finds the duplicate. Raises `JournalError` if there is nothing to
        decide.
        """
        return await self._decide(await self._read_checked(op_id), RetryApproved())

    async def abandon(self, op_id: str) -> Row:
        """Leave the operation as it is: it is not sent again, and no number is released.

        Raises `JournalError` if there is nothing to decide.
        """
        return await self._decide(await self._read_checked(op_id), AbandonApproved())

    async def release_duplicates(self, op_id: str) -> Row:
        """Release the duplicates of the operation, permanently.

        Raises `JournalError` if it has none, and what the platform's refusal raises.
        """
        row = await self._read_checked(op_id)
        if row.state is not State.DUPLICATE:
            raise journal_error(op_id, f"has no duplicates, it is {row.state.value}")
        for record in row.duplicates:
            row = await release_duplicate(self._context, row, record)
        return row

    async def accept_key(self) -> None:
        """Accept the client's API key as a new key of the journal's account.

        An unknown key otherwise counts as another account's, unless the account owns a number that
        the journal brought. Only the caller can know better: under another account's key nothing
        that was bought is found, and it would be bought again.
        """
        await accept_key(self._context)

    async def _read_checked(self, op_id: str) -> Row:
        await check_once(self._context)
        return await self._context.read(op_id)

    async def _decide(self, row: Row, event: Event) -> Row:
        transition = await self._context.apply(row, event)
        if transition is None:
            raise journal_error(row.op_id, f"is {row.state.value}, so there is nothing to decide")
        return transition.row


async def _recall(recall: Recall | None, row: Row) -> Value | None:
    """Return the request of *row* with its secrets, if it has any and *recall* brings them."""
    value = recall(row) if recall is not None and row.secret_fields else None
    return await value if isinstance(value, Awaitable) else value
