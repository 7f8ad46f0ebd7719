"""One operation, from its row to its result: what `Provisioner.run` does.

The row is written before each request can leave, from inside the engine, once the gate has admitted
the call: an attempt that waits for the platform's rate has not been sent. If another process has
taken the row meanwhile, that write fails, and nothing is sent (see `claim`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from typing import Final, Generic, TypeVar, cast

import attrs

from sigmamind_async.convert import RequestValue
from sigmamind_async.engine import Call
from sigmamind_async.errors import (
    ConflictError,
    InvalidRequestError,
    JournalError,
    NotFoundError,
    RateLimitError,
    SigmaMindError,
)
from sigmamind_async.limiter.gate import STALL_TIMEOUT
from sigmamind_async.operation import Verdict
from sigmamind_async.provisioning.adapter import Value
from sigmamind_async.provisioning.claim import Claim, SendAborted, deadline_error
from sigmamind_async.provisioning.conflicts import Conflicts
from sigmamind_async.provisioning.context import POLL_BACKOFF, AccountContext, Listing, check_once
from sigmamind_async.provisioning.events import AttemptEnded, Listed, Match, OwnerLost
from sigmamind_async.provisioning.fingerprint import from_result, new_row, secret_digest
from sigmamind_async.provisioning.messages import (
    account_unreadable,
    already_owned,
    journal_error,
    outcome_unknown,
    request_mismatch,
)
from sigmamind_async.provisioning.reconcile import (
    reconcile_with_earlier_purchase,
    reconcile_with_new_listing,
)
from sigmamind_async.provisioning.row import Kind, Row, State, check_op_id
from sigmamind_async.provisioning.tags import add_tag
from sigmamind_async.provisioning.transitions import Transition
from sigmamind_async.values import UNSET, Unset

T = TypeVar("T")
R = TypeVar("R")

_NUMBERS_TRIED: Final = 5
"""Numbers to try to buy, if others buy those that a search returned first."""
_FRESH: Final = 60.0
"""Seconds for which a listing is good enough to prove that a number is not owned."""
_RETRACTIONS: Final = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
"""Seconds between attempts to retract a claim that the journal may still be about to store."""
_LAST_WRITE: Final = 1.0
"""Seconds, at least, for recording how a request ended, even after the deadline."""
_LAST_OF_JOB: Final = 5.0
"""Seconds for which a job that ends early waits for its rows to be recorded: the process may end
right after the job."""


class Execution(Generic[T]):
    """One operation under way; awaited once.

    Args:
        context: What it shares with the account's other operations.
        conflicts: Keeps them from changing its number.
        op_id: The caller's key of the operation.
        value: The request, with its secrets.
        in_bulk: Wait for the platform's rate as long as it takes, but end as soon as the outcome is
            unknown: the job reconciles all such operations together.
        stored: Its row, if the caller has just read it. A write to a row that has changed since is
            refused, and the row is then read.
    """

    def __init__(
        self,
        context: AccountContext,
        conflicts: Conflicts,
        op_id: str,
        value: RequestValue[T],
        *,
        in_bulk: bool = False,
        stored: Row | None = None,
    ) -> None:
        check_op_id(op_id)
        self.op_id = op_id
        self.call: Call[object] | None = None
        self._context = context
        self._conflicts = conflicts
        self._value = value
        self._intent = context.adapter.intent(value)
        self._in_bulk = in_bulk
        self._stored = stored
        self._engine = context.runner.engine
        self._ends_at = 0.0
        """When the deadline passes, by the engine's clock."""
        self._may_be_forgotten = False
        """True if the journal may have forgotten a purchase, being an old copy of itself."""
        self._numbers_tried = 0
        self._answer: T | Unset | None = UNSET

    # --- a `PreparedCall` of a job -----------------------------------------------------------

    @property
    def attempts(self) -> int:
        """Requests sent or tried so far."""
        return 0 if self.call is None else self.call.attempts

    @property
    def may_have_acted(self) -> bool:
        """True if the platform may have acted on it."""
        return self.call is not None and self.call.may_have_acted

    @property
    def ignored(self) -> tuple[str, ...]:
        """Fields that were sent and that the answer shows otherwise."""
        return () if self.call is None else self.call.ignored

    @property
    def request_id(self) -> str | None:
        """The platform's id of the latest request that was answered, where it gives one."""
        return None if self.call is None else self.call.request_id

    @property
    def waits(self) -> bool:
        """True if a request of it has ended and another is to follow."""
        return self.call is not None and self.call.waits

    def ending(self) -> SigmaMindError | None:
        """Return the error with which it ends while it `waits`; `None` at other times."""
        return None if self.call is None else self.call.ending()

    async def run(self) -> T:
        """Carry the operation out, or find out that it has been; return its result."""
        try:
            return await self._run()
        except SigmaMindError as error:
            # A `JournalError` without it is about the whole journal, and no other row succeeds.
            if not isinstance(error, JournalError):
                error.op_id = self.op_id
            raise

    async def _run(self) -> T:
        self._ends_at = self._engine.clock() + self._engine.limits.deadline
        async with self._context.locks.hold(f"op {self.op_id}", self._in_time):
            row = await self._in_time(self._load())
            while not (row.state is State.DONE or (row.state is State.DUPLICATE and row.record)):
                match row.state:
                    case State.PLANNED | State.FAILED:
                        row = await self._send(row)
                    case State.SENDING:
                        row = await self._wait_for_owner(row)
                    case State.UNCONFIRMED if row.kind.repeatable and self.call is None:
                        row = await self._send(row)
                    case State.UNCONFIRMED:
                        row = await self._reconcile(row)
                    case _:
                        raise outcome_unknown(row, self._value)
        if self._answer is not UNSET:
            return cast("T", self._answer)
        if row.result is None:
            return cast("T", None)
        return cast("T", from_result(row.result, self._context.adapter.result))

    async def _load(self) -> Row:
        """Return the stored row if it is about the same request, or a new row."""
        context = self._context
        if not context.journal_id:
            await check_once(context)
        self._may_be_forgotten = context.journal.may_be_a_copy
        row = new_row(
            self.op_id,
            self._value,
            kind=self._intent.kind,
            key=self._intent.key,
            journal_id=context.journal_id,
            account=context.account,
        )
        if row.secret_fields:
            key = await self._engine.credentials.key()
            digest = secret_digest(context.journal_id, key, self._value)
            row = attrs.evolve(row, secret_digest=digest)
        stored = self._stored or await context.journal.get(context.account, self.op_id)
        if stored is None:
            return row
        mismatch = request_mismatch(stored, row)
        if mismatch is not None:
            raise mismatch
        # The stored digest may have been made with an API key that is no longer in use.
        return attrs.evolve(stored, secret_digest=row.secret_digest)

    # --- before sending ----------------------------------------------------------------------

    async def _send(self, row: Row) -> Row:
        """Send one attempt, once no other operation can change the number."""
        if row.kind is Kind.PURCHASE and self._may_be_forgotten:
            found = await self._in_time(self._find_earlier_purchase(row))
            if found.version != row.version:
                return found
        if self._intent.search is not None:
            row = await self._in_time(self._choose_number(row))
        if not row.key:
            return await self._attempt(row)
        before = self.call
        try:
            async with self._context.locks.hold(f"number {row.key}", self._in_time):
                await self._in_time(self._require_free(row))
                return await self._attempt(row)
        finally:
            sent = self.call is not before and self.may_have_acted
            if self._intent.search is not None and not sent:
                self._conflicts.cancel_reservation(row.key)

    async def _require_free(self, row: Row) -> None:
        """Wait until no other operation can change the number of *row*; refuse to buy it twice."""
        seconds = 0.0 if self._in_bulk else self._left
        await self._conflicts.wait_until_free(row, seconds)
        first = row.kind is Kind.EXACT_PURCHASE and not row.unconfirmed_since
        if first and self._intent.search is None and await self._is_owned(row):
            # Another process may have bought it for this row: the claim finds that out.
            stored = await self._context.get(row.op_id)
            if (0 if stored is None else stored.version) == row.version:
                raise already_owned(row)

    async def _is_owned(self, row: Row) -> bool:
        """Return whether the account owns the number, so that this purchase would seem done."""
        if self._intent.lookup is None:
            for age in (_FRESH, 0.0):
                if row.key not in (await self._listing(self._context.now() - age)).numbers:
                    return False
            return True
        try:
            await self._read(self._intent.lookup)
        except NotFoundError as error:
            if error.not_from_api:
                raise
            return False
        return True

    async def _find_earlier_purchase(self, row: Row) -> Row:
        """Return *row* as the account shows it, if the journal may have forgotten a purchase."""
        try:
            if self._in_bulk:
                await self._listing(0.0)  # waits until the account can be read
            return await reconcile_with_earlier_purchase(self._context, row, self._value)
        except JournalError:
            raise
        except SigmaMindError as error:
            if not (self._in_bulk and error.retryable):
                raise
            refusal = account_unreadable(row, error)
        raise refusal  # retryable: the job runs the row again at its end

    async def _choose_number(self, row: Row) -> Row:
        """Choose a number that is on offer, unless one was chosen and not rejected."""
        search = self._intent.search
        assert search is not None  # noqa: S101 - the caller has looked
        if row.key and row.state is not State.FAILED:
            return row
        self._numbers_tried += 1
        for number in search.numbers(await self._read(search.request)):
            if await self._conflicts.reserve_number(number):
                return attrs.evolve(row, key=number)
        raise InvalidRequestError(
            f"{row.op_id}: the platform offers no such number at present", "value", "on offer"
        )

    async def _listing(self, moment: float) -> Listing:
        """Return a listing that began after *moment*; in a job, wait until the account is read."""
        (pause, longest), until = POLL_BACKOFF, self._engine.clock() + STALL_TIMEOUT
        while True:
            try:
                return await self._context.listings.newer_than(moment)
            except SigmaMindError as error:
                waits = self._in_bulk and error.retryable and self._engine.clock() < until
                if not waits:
                    raise
            await self._context.sleep(pause)
            pause = min(2 * pause, longest)

    async def _read(self, value: RequestValue[R]) -> R:
        """Read from the platform, as patiently as the operation itself is sent."""
        operation = self._context.runner.operation(value)
        call = self._engine.begin(operation, unbounded=self._in_bulk)
        call.op_id = self.op_id
        return await self._engine.run(call)

    # --- sending -----------------------------------------------------------------------------

    async def _attempt(self, row: Row) -> Row:
        """Send the request, and record how that ended."""
        engine = self._engine
        operation = self._context.runner.operation(self._request(row))
        claim = Claim(self._context, row, None if self._in_bulk else self._ends_at)
        call = engine.begin(operation, unbounded=self._in_bulk)
        if not self._in_bulk:
            call.deadline = min(call.deadline, self._ends_at)
        # An unanswered attempt is looked up in a listing that serves all of them.
        call.reads_back = False
        call.op_id = self.op_id
        call.before_send = claim
        call.before_pause = claim.mark_paused
        call.prior_attempt = bool(row.unconfirmed_since) and row.kind is not Kind.PURCHASE
        self.call = call
        failure: SigmaMindError | None = None
        refusal: SigmaMindError | None = None
        try:
            record = await engine.run(call)
        except SendAborted as aborted:
            refusal = aborted.error
        except SigmaMindError as error:
            failure = error.with_traceback(None)
        except BaseException:
            await self._interrupted(claim, call)
            raise
        else:
            return await self._confirmed(claim.row, call, record)
        # Outside of the handlers: an error raised inside would carry the first one along.
        if failure is not None:
            return await self._failed(claim, call, failure)
        return await self._aborted(claim, call, row, refusal)

    def _request(self, row: Row) -> Value:
        """Return the request to send, with the tag of the coming attempt if it needs one."""
        if self._intent.search is not None:
            return self._intent.search.purchase(row.key)
        if not self._intent.label_field:
            return self._value
        label = add_tag(self._intent.label, row.token, row.attempt + 1)
        return attrs.evolve(self._value, **{self._intent.label_field: label})

    # --- after sending -----------------------------------------------------------------------

    async def _confirmed(self, row: Row, call: Call[object], record: T) -> Row:
        """Record a success, which the caller learns of even if the journal fails."""
        match = None
        if record is not None:
            attempt = row.attempt if row.kind is Kind.PURCHASE else None
            match = self._context.adapter.match(record, attempt=attempt)
        unanswered = call.ambiguous and row.kind.repeatable
        event = AttemptEnded(Verdict.CONFIRMED, match=match, earlier_unanswered=unanswered)
        if match is not None and not (match.record or row.kind.repeatable):
            event = AttemptEnded(Verdict.COMMITTED_UNREAD, "the answer names no record")
        else:
            self._answer = record
        try:
            transition = await self._in_time(self._context.apply(row, event), sent=True)
            if transition is None:
                transition = await self._in_time(self._record_late(row, event), sent=True)
            if transition is not None:
                return transition.row
            return await self._in_time(self._confirmed_late(row, match), sent=True)
        except JournalError as error:
            brought = "" if match is None else f" ({match.phone_number})"
            lost = _unrecorded(row, f"it was carried out{brought}", error)
        lost.committed = "yes"
        raise lost

    async def _record_late(self, row: Row, event: AttemptEnded) -> Transition | None:
        """Record how an attempt ended whose row has changed; return `None` if it is another's now.

        A process that stands still for longer than its lease is taken for lost. What it learns then
        is still evidence, unless another attempt has begun.
        """
        stored = await self._context.read(row.op_id)
        return await self._context.apply(stored, event) if stored.owner == row.owner else None

    async def _confirmed_late(self, row: Row, match: Match | None) -> Row:
        """Record an answer that came after another process took the attempt for abandoned."""
        row = await self._context.read(row.op_id)
        if match is not None:
            event = Listed(began=self._context.now(), matches=[match])
            transition = await self._context.apply(row, event)
            row = row if transition is None else transition.row
        if match is None or row.record != match.record:
            self._answer = UNSET
        return row

    async def _failed(self, claim: Claim, call: Call[object], error: SigmaMindError) -> Row:
        """Record a failure; raise *error* unless the operation can continue."""
        if not claim.is_stored:
            raise error
        row = claim.row
        status: int | None = None if error.not_from_api else getattr(error, "status", None)
        verdict = _proven_by(row.kind, call, error)
        event = AttemptEnded(verdict, error.message, status=status or 0)
        try:
            transition = await self._in_time(self._context.apply(row, event), sent=True)
            if transition is None:
                transition = await self._in_time(self._record_late(row, event), sent=True)
        except JournalError as problem:
            unrecorded = problem
        else:
            return await self._after_failure(row.op_id, transition, error)
        if not call.ambiguous:
            error.add_note(f"the journal could not store it: {unrecorded.message}")
            raise error
        lost = _unrecorded(row, error.message, unrecorded)
        lost.committed = error.committed
        raise lost

    async def _after_failure(
        self, op_id: str, transition: Transition | None, error: SigmaMindError
    ) -> Row:
        """Return the row from which the operation continues, or raise *error*."""
        if transition is None:
            return await self._in_time(self._context.read(op_id), sent=True)
        if transition.row.state is State.UNCONFIRMED:
            if not self._in_bulk:
                return transition.row
            unknown = outcome_unknown(transition.row, self._value)
            unknown.not_from_api = error.not_from_api
            raise unknown
        taken = self._intent.search is not None and isinstance(
            error, (ConflictError, NotFoundError)
        )
        if taken and self._numbers_tried < _NUMBERS_TRIED:
            return transition.row
        raise error

    async def _aborted(
        self, claim: Claim, call: Call[object], row: Row, refusal: SigmaMindError | None
    ) -> Row:
        """Return the stored row of an attempt that could not be claimed, or raise *refusal*."""
        if claim.is_stored:
            verdict = Verdict.AMBIGUOUS if call.ambiguous else Verdict.NOT_SENT
            await self._retract(claim, AttemptEnded(verdict, "it may not be sent again"))
        if refusal is not None:
            if call.may_have_acted:  # by an earlier request of the same call
                refusal.committed = "unknown"
            raise refusal
        stored = await self._in_time(self._context.get(row.op_id))
        if stored is not None:
            return stored
        return attrs.evolve(row, key="") if self._intent.search is not None else row

    async def _interrupted(self, claim: Claim, call: Call[object]) -> None:
        """Record how far a cancelled call got."""
        if claim.is_stored:
            event = AttemptEnded(Verdict.NOT_SENT, "cancelled")
            if call.may_have_acted:
                event = AttemptEnded(Verdict.AMBIGUOUS, "cancelled before a response arrived")
            await self._retract(claim, event)

    async def _retract(self, claim: Claim, event: AttemptEnded) -> None:
        """Record *event* if possible: a row left in SENDING would be taken for unconfirmed.

        If the journal is slow, that goes on in the background, and this does not wait for it: not
        at all if the deadline has passed before the journal has even answered the claim.
        """

        async def record() -> None:
            with suppress(JournalError):
                for pause in _RETRACTIONS:
                    # A claim that is late may never be stored: then its version is another's, whose
                    # request may be under way.
                    if not claim.late or await self._holds(claim):
                        if await self._context.apply(claim.row, event) is None:
                            await self._record_late(claim.row, event)
                        return
                    await asyncio.sleep(pause)  # the claim may still be on its way

        patience = _LAST_OF_JOB if self._in_bulk else _LAST_WRITE
        if claim.late and not self._in_bulk:
            patience = min(patience, self._left)
        await asyncio.wait({asyncio.ensure_future(record())}, timeout=patience)

    async def _holds(self, claim: Claim) -> bool:
        """Return whether the stored row is the one that *claim* has asked for."""
        stored = await self._context.get(self.op_id)
        return stored is not None and stored.owner == claim.row.owner

    # --- waiting -----------------------------------------------------------------------------

    @property
    def _left(self) -> float:
        return max(0.0, self._ends_at - self._engine.clock())

    async def _in_time(self, work: Awaitable[R], *, sent: bool = False) -> R:
        """Return the result of *work*; raise `JournalError` at the deadline.

        Recording how a request that was *sent* ended always gets a second. A row of a job has no
        deadline.
        """
        if self._in_bulk:
            return await work
        least = _LAST_WRITE if sent else 0.0
        limit = asyncio.timeout(max(least, self._ends_at - self._engine.clock()))
        try:
            async with limit:
                return await work
        except TimeoutError:
            if not limit.expired():
                raise
        if sent:
            raise JournalError(
                "the journal gave no answer in time; another program may keep it locked"
            )
        error = deadline_error(self._context, self.op_id)
        if self.may_have_acted:
            error.committed = "unknown"
        raise error

    async def _reconcile(self, row: Row) -> Row:
        """Compare an unconfirmed row with listings until it is settled or time is up."""
        pause, longest = POLL_BACKOFF
        while not self._in_bulk:
            try:
                async with asyncio.timeout(self._left):
                    row = await reconcile_with_new_listing(self._context, row, self._value)
            except JournalError as error:
                error.committed = "yes" if row.accepted else "unknown"
                raise
            except (SigmaMindError, TimeoutError):
                pass  # the account cannot be read now, and there may be time left
            if row.state is not State.UNCONFIRMED:
                return row
            if pause >= self._left:
                break
            await self._context.sleep(pause)
            pause = min(2 * pause, longest)
        raise outcome_unknown(row, self._value)

    async def _wait_for_owner(self, row: Row) -> Row:
        """Wait until the process that is sending has recorded the outcome, or is gone."""
        pause, longest = POLL_BACKOFF
        while row.state is State.SENDING:
            seconds = row.lease_until - self._context.now()
            if seconds > 0:
                if self._in_bulk or not self._left:
                    raise outcome_unknown(row, self._value)
                await self._context.sleep(max(0.001, min(pause, seconds)))
                pause = min(2 * pause, longest)
                work = self._context.read(row.op_id)
            else:
                work = self._context.apply_or_read(row, OwnerLost())
            try:
                row = await self._in_time(work, sent=True)
            except JournalError as error:
                error.committed = "unknown"
                raise
        return row


def _unrecorded(row: Row, what: str, error: JournalError) -> JournalError:
    """Return the error for a request whose outcome could not be recorded."""
    return journal_error(
        row.op_id,
        f"{what}, and that could not be stored: {error.message}."
        " It stays unconfirmed until the next run finds it.",
    )


def _proven_by(kind: Kind, call: Call[object], error: SigmaMindError) -> Verdict:
    """Return what a call that ended with *error* proved about its attempt."""
    # A 2xx that ended in an error: fields were ignored, and the caller is strict about that.
    refused_by_us = call.verdict is Verdict.CONFIRMED
    if call.verdict is Verdict.COMMITTED_UNREAD or (refused_by_us and not kind.repeatable):
        return Verdict.COMMITTED_UNREAD
    echo = getattr(error, "status", None) == 409
    if echo and call.prior_attempt and not kind.repeatable:
        return Verdict.REJECTED  # because the earlier attempt succeeded, perhaps
    if call.ambiguous or (call.may_have_acted and not refused_by_us):
        return Verdict.AMBIGUOUS
    throttled = isinstance(error, RateLimitError)
    if refused_by_us or (call.verdict is Verdict.REJECTED and not throttled):
        return Verdict.REJECTED
    return Verdict.NOT_SENT
