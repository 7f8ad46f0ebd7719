"""One operation, from its row to its result: the course that `Provisioner.run` takes.

The row is written before each request may leave, from inside the engine, after the gate has
admitted the call: an attempt that waits for the platform's rate is not yet one that may have been
sent. Whoever lost the row meanwhile finds out in that very write, and sends nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from typing import Generic, TypeVar, cast

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
from sigmamind_async.provisioning.adapter import Intent, Value
from sigmamind_async.provisioning.claim import Claim, Withheld
from sigmamind_async.provisioning.context import PAUSES, AccountContext
from sigmamind_async.provisioning.fingerprint import from_result
from sigmamind_async.provisioning.listing import Listing
from sigmamind_async.provisioning.matching import match_of
from sigmamind_async.provisioning.messages import (
    account_unreadable,
    already_owned,
    journal_error,
    outcome_unknown,
    request_mismatch,
)
from sigmamind_async.provisioning.row import Kind, Row, State
from sigmamind_async.provisioning.tags import add_tag, attempt_tag
from sigmamind_async.provisioning.transitions import (
    Confirmed,
    Event,
    Listed,
    Match,
    Move,
    NotSent,
    OwnerLost,
    Rejected,
    Unanswered,
    Unreadable,
)
from sigmamind_async.values import UNSET, Unset

T = TypeVar("T")
R = TypeVar("R")

_PICKS = 5
"""Numbers to try where the platform is searched and somebody else buys faster."""
_FRESH = 60.0
"""Seconds for which a listing is good enough to say that a number is not owned."""
_AFTERWARDS = (0.5, 1.0, 2.0, 4.0)
"""Seconds between two attempts to take a claim back that was given to the journal too late."""
_LAST_WRITE = 1.0
"""Seconds, at least, for writing down how a request ended, whatever the deadline."""


class Execution(Generic[T]):
    """One operation under way; awaited once.

    Args:
        desk: What it shares with all others.
        op_id: The caller's key of the operation.
        value: The request, with its secrets.
        in_bulk: Whether to end at the first doubt, because the job settles all of them together,
            and to wait for the platform's rate as long as it takes.
    """

    def __init__(
        self, desk: AccountContext, op_id: str, value: RequestValue[T], *, in_bulk: bool = False
    ) -> None:
        self.op_id = op_id
        self.call: Call[object] | None = None
        self._desk = desk
        self._books = desk.books
        self._value = value
        self._intent: Intent = desk.adapter.intent(value)
        self._in_bulk = in_bulk
        self._until = 0.0
        self._picks = 0
        self._answer: T | Unset | None = UNSET

    @property
    def attempts(self) -> int:
        """Requests sent or tried so far."""
        return 0 if self.call is None else self.call.attempts

    @property
    def may_have_acted(self) -> bool:
        """Whether the platform may have acted on it, as far as it got."""
        return self.call is not None and self.call.may_have_acted

    @property
    def ignored(self) -> tuple[str, ...]:
        """Fields that were sent and that the answer shows otherwise."""
        return () if self.call is None else self.call.ignored

    @property
    def waits(self) -> bool:
        """Whether a request of it has ended and another is to follow."""
        return self.call is not None and self.call.waits

    def ending(self) -> SigmaMindError | None:
        """Return the error with which it ends while it `waits`; `None` at other times."""
        return None if self.call is None else self.call.ending()

    async def run(self) -> T:
        """Carry it out, or find out that it has been, and return what it brought."""
        self._until = self._books.now() + self._desk.patience
        async with self._desk.locks.hold(f"op {self.op_id}", self._in_time):
            row = await self._in_time(self._row())
            while not (row.state is State.DONE or (row.state is State.DUPLICATE and row.record)):
                row = await self._step(row)
            return self._result(row)

    async def _row(self) -> Row:
        """Return the stored row, if it is about the same request, or a new one."""
        await self._desk.ready()
        asked = await self._desk.planned(self.op_id, self._value, self._intent)
        stored = await self._books.get(self.op_id)
        if stored is None:
            return asked
        difference = request_mismatch(stored, asked)
        if difference is not None:
            raise difference
        # The stored seal may have been made under an API key that is in use no more.
        return attrs.evolve(stored, secret_digest=asked.secret_digest)

    async def _step(self, row: Row) -> Row:
        """Take the next step from the state that *row* is in."""
        match row.state:
            case State.PLANNED | State.FAILED:
                return await self._send(row)
            case State.SENDING:
                return await self._wait_for_owner(row)
            case State.UNCONFIRMED:
                if row.kind.repeatable and self.call is None:
                    return await self._send(row)
                return await self._settle(row)
            case _:
                raise outcome_unknown(row, self._value)

    def _result(self, row: Row) -> T:
        if self._answer is not UNSET:
            return cast("T", self._answer)
        if row.result is None:
            return cast("T", None)
        return cast("T", from_result(row.result, self._desk.adapter.result))

    # --- sending ---------------------------------------------------------------------------

    async def _send(self, row: Row) -> Row:
        """Send one attempt, once nothing else on the same number is under way."""
        if row.kind is Kind.PURCHASE and self._books.journal.may_be_a_copy:
            found = await self._in_time(self._bought_before(row))
            if found.version != row.version:
                return found
        if self._intent.choice is not None:
            row = await self._in_time(self._with_a_number(row))
        before = self.call
        try:
            async with self._desk.locks.hold(row.key and f"number {row.key}", self._in_time):
                if row.key:
                    await self._in_time(self._free(row))
                return await self._attempt(row)
        finally:
            sent = self.call is not before and self.may_have_acted
            if self._intent.choice is not None and not sent:
                self._desk.unpick(row.key)

    async def _free(self, row: Row) -> None:
        """Wait until the number of *row* is nobody else's, and refuse to buy it twice."""
        await self._desk.free(row, self._books.now() if self._in_bulk else self._until)
        if row.kind is Kind.EXACT_PURCHASE and not row.unconfirmed_since:
            await self._refuse_owned(row)

    async def _bought_before(self, row: Row) -> Row:
        try:
            if self._in_bulk and self._books.journal.may_be_a_copy:
                await self._listing(0.0)  # in a job, a row waits until the account can be read
            return await self._desk.bought_before(row, self._value)
        except JournalError:
            raise
        except SigmaMindError as error:
            if not (self._in_bulk and error.retryable):
                raise
            refusal = account_unreadable(row, error)
        raise refusal  # a job takes the row up again at its end

    async def _with_a_number(self, row: Row) -> Row:
        """Pick a number that is on offer, unless one has been picked and not refused."""
        choice = self._intent.choice
        assert choice is not None  # noqa: S101 - the caller has looked
        if row.key and row.state is not State.FAILED:
            return row
        self._picks += 1
        offered = choice.numbers(await self._read(choice.search))
        for number in offered:
            if await self._desk.pick(number):
                return attrs.evolve(row, key=number)
        raise InvalidRequestError(
            f"{row.op_id}: the platform offers no such number at present", "value", "on offer"
        )

    async def _refuse_owned(self, row: Row) -> None:
        """Refuse to buy what the account owns: it could not be told from what this would bring."""
        intent = self._intent
        if intent.choice is not None:
            return
        if intent.look_up is not None:
            try:
                await self._read(intent.look_up)
            except NotFoundError as error:
                if error.not_from_api:
                    raise
                return
            await self._refuse_unless_ours(row)
            return
        for moment in (self._books.now() - _FRESH, self._books.now()):
            if row.key not in (await self._listing(moment)).numbers:
                return
        await self._refuse_unless_ours(row)

    async def _listing(self, moment: float) -> Listing:
        """Return a listing that began after *moment*; in a job, wait until the account is read."""
        (pause, longest), until = PAUSES, self._books.now() + STALL_TIMEOUT
        while True:
            try:
                return await self._desk.census.after(moment)
            except SigmaMindError as error:
                if not (self._in_bulk and error.retryable) or self._books.now() >= until:
                    raise
            await self._desk.sleep(pause)
            pause = min(2 * pause, longest)

    async def _read(self, value: RequestValue[T]) -> T:
        """Read from the platform; in a job, wait for it as the operation itself does."""
        runner = self._desk.client.runner
        operation = runner.operation(value)
        call = runner.engine.begin(operation, patient=self._in_bulk)
        return await runner.engine.finish(call)

    async def _refuse_unless_ours(self, row: Row) -> None:
        """Refuse to buy an owned number, unless somebody else has just bought it for *row*.

        The claim finds out then, and the stored row is read again.
        """
        stored = await self._books.get(row.op_id)
        if (0 if stored is None else stored.version) == row.version:
            raise already_owned(row)

    async def _attempt(self, row: Row) -> Row:
        engine = self._desk.client.runner.engine
        operation = self._desk.client.runner.operation(self._outgoing(row))
        claim = Claim(self._desk, row, None if self._in_bulk else self._in_time)
        call = engine.begin(operation, patient=self._in_bulk)
        if not self._in_bulk:
            call.deadline = min(call.deadline, engine.clock() + self._left)
        # What is in doubt is looked up by one listing for all, not by each for itself.
        call.reads_back = False
        call.before_send = claim
        call.before_pause = claim.rest
        call.prior_attempt = bool(row.unconfirmed_since) and row.kind is not Kind.PURCHASE
        self.call = call
        failure: SigmaMindError | None = None
        refusal: SigmaMindError | None = None
        try:
            record = await engine.finish(call)
        except Withheld as withheld:
            refusal = withheld.error
        except SigmaMindError as error:
            failure = error.with_traceback(None)
        except BaseException:
            await self._interrupted(claim, call)
            raise
        else:
            return await self._confirmed(claim.row, call, record)
        # Not from within: what is raised there would carry the first error along.
        if failure is not None:
            return await self._failed(claim, call, failure)
        return await self._withheld(claim, call, row, refusal)

    @property
    def _left(self) -> float:
        return max(0.0, self._until - self._books.now())

    def _outgoing(self, row: Row) -> Value:
        """Return the request as it leaves, with the tag of the coming attempt if it needs one."""
        if self._intent.choice is not None:
            return self._intent.choice.exact(row.key)
        if self._intent.with_label is None:
            return self._value
        tag = attempt_tag(row.token, row.attempt + 1)
        return self._intent.with_label(add_tag(self._intent.label, tag))

    async def _confirmed(self, row: Row, call: Call[object], record: T) -> Row:
        """Write a good end down; what the platform said is known whatever becomes of that."""
        match = None
        if record is not None:
            attempt = row.attempt if row.kind is Kind.PURCHASE else None
            match = match_of(self._desk.adapter.owned(record), attempt=attempt)
        event: Event = Confirmed(match=match, doubtful=call.ambiguous and row.kind.repeatable)
        if match is not None and not (match.record or row.kind.repeatable):
            event = Unreadable("the answer names no record")
        else:
            self._answer = record
        brought = "" if match is None else f" ({match.phone_number})"
        try:
            return await self._noted(self._confirmed_as(row, match, event))
        except JournalError as error:
            lost = _unwritten(row, f"it was carried out{brought}", error)
        lost.committed = "yes"
        raise lost

    async def _confirmed_as(self, row: Row, match: Match | None, event: Event) -> Row:
        move = await self._books.move(row, event)
        return move.row if move is not None else await self._confirmed_late(row, match)

    async def _confirmed_late(self, row: Row, match: Match | None) -> Row:
        """Bring in an answer that came after somebody else had taken the attempt for abandoned."""
        row = await self._books.read(row.op_id)
        if match is not None:
            move = await self._books.move(row, Listed(began=self._books.now(), matches=[match]))
            row = row if move is None else move.row
        if match is None or row.record != match.record:
            self._answer = UNSET
        return row

    async def _failed(self, claim: Claim, call: Call[object], error: SigmaMindError) -> Row:
        """Write a bad end down, and raise it unless it can be settled from here."""
        if not claim.sent:
            raise error
        try:
            move = await self._noted(
                self._books.move(claim.row, _event(claim.row.kind, call, error))
            )
        except JournalError as problem:
            unwritten = problem
        else:
            return await self._followed(claim.row.op_id, move, error)
        if not call.ambiguous:
            error.add_note(f"the journal could not write it down: {unwritten.message}")
            raise error
        lost = _unwritten(claim.row, error.message, unwritten)
        lost.committed = error.committed
        raise lost

    async def _followed(self, op_id: str, move: Move | None, error: SigmaMindError) -> Row:
        """Return what a bad end that is written down leaves to do, or raise it."""
        if move is None:
            return await self._noted(self._books.read(op_id))
        if move.row.state is State.UNCONFIRMED and not self._in_bulk:
            return move.row
        if move.row.state is State.UNCONFIRMED:
            doubt = outcome_unknown(move.row, self._value)
            doubt.not_from_api = error.not_from_api
            raise doubt
        taken = isinstance(error, (ConflictError, NotFoundError))
        if self._intent.choice is not None and taken and self._picks < _PICKS:
            return move.row
        raise error

    async def _withheld(
        self, claim: Claim, call: Call[object], row: Row, refusal: SigmaMindError | None
    ) -> Row:
        """Take another look at a row that may not be sent as it is."""
        if claim.sent:
            reason = "it may not be sent again"
            await self._written(claim, Unanswered(reason) if call.ambiguous else NotSent(reason))
        if refusal is not None:
            raise refusal
        stored = await self._in_time(self._books.get(row.op_id))
        if stored is not None:
            return stored
        return attrs.evolve(row, key="") if self._intent.choice is not None else row

    async def _interrupted(self, claim: Claim, call: Call[object]) -> None:
        """Write down how far a call got that was cancelled."""
        if claim.sent:
            reason = "cancelled before an answer came"
            await self._written(
                claim, Unanswered(reason) if call.may_have_acted else NotSent("cancelled")
            )

    async def _written(self, claim: Claim, event: Event) -> None:
        """Write *event* down if possible: a row that stays SENDING is taken for doubtful.

        Where the journal is held up that goes on behind this, which does not wait for it: not at
        all where the claim itself has come to nothing yet.
        """

        async def write() -> None:
            with suppress(JournalError):
                for pause in _AFTERWARDS:
                    if await self._books.move(claim.row, event) is not None or not claim.late:
                        return
                    await asyncio.sleep(pause)  # the claim may still be on its way

        patience = 0.0 if claim.late else _LAST_WRITE
        await asyncio.wait({asyncio.ensure_future(write())}, timeout=patience)

    # --- deadlines -------------------------------------------------------------------------

    async def _in_time(self, work: Awaitable[R]) -> R:
        """Return what *work* brings before the deadline, and before anything is sent.

        Raises `JournalError` at the deadline. A row of a job has none before it is sent.
        """
        if self._in_bulk:
            return await work
        deadline = asyncio.timeout(self._left)
        try:
            async with deadline:
                return await work
        except TimeoutError:
            if not deadline.expired():
                raise
        error = journal_error(
            self.op_id,
            f"not sent, because the deadline of {self._desk.patience:g} s passed before the journal"
            " had answered, or the account had been compared with it; another program may keep the"
            " journal locked",
        )
        error.retryable = True
        if self.may_have_acted:
            error.committed = "unknown"
        raise error

    async def _noted(self, work: Awaitable[R]) -> R:
        """Return what *work* brings that writes down how a request ended; or `JournalError`."""
        if self._in_bulk:
            return await work
        deadline = asyncio.timeout(max(_LAST_WRITE, self._left))
        try:
            async with deadline:
                return await work
        except TimeoutError:
            if not deadline.expired():
                raise
        raise JournalError("the journal gave no answer in time; another program may keep it locked")

    # --- waiting and settling --------------------------------------------------------------

    async def _settle(self, row: Row) -> Row:
        """Look in listings for what is in doubt, until it is settled or time is up."""
        pause, longest = PAUSES
        while row.state is State.UNCONFIRMED and not self._in_bulk:
            try:
                async with asyncio.timeout(self._left):
                    row = await self._desk.look(row, self._value)
            except JournalError as error:
                error.committed = "yes" if row.accepted else "unknown"
                raise
            except (SigmaMindError, TimeoutError):
                pass  # the platform cannot be read now, and there may be time left
            if row.state is not State.UNCONFIRMED:
                return row
            if pause >= self._left:
                break
            await self._desk.sleep(pause)
            pause = min(2 * pause, longest)
        raise outcome_unknown(row, self._value)

    async def _wait_for_owner(self, row: Row) -> Row:
        """Wait until whoever is sending has written down what came of it, or is gone."""
        pause, longest = PAUSES
        while row.state is State.SENDING:
            now = self._books.now()
            abandoned = now >= row.lease_until
            if not abandoned and (self._in_bulk or not self._left):
                raise outcome_unknown(row, self._value)
            if not abandoned:
                await self._desk.sleep(max(0.001, min(pause, row.lease_until - now)))
                pause = min(2 * pause, longest)
            try:
                row = await self._noted(self._taken_up(row) if abandoned else self._again(row))
            except JournalError as error:
                error.committed = "unknown"
                raise
        return row

    async def _taken_up(self, row: Row) -> Row:
        """Return *row* after its sender is known to be gone."""
        move = await self._books.move(row, OwnerLost())
        return move.row if move is not None else await self._again(row)

    async def _again(self, row: Row) -> Row:
        return await self._books.read(row.op_id)


def _unwritten(row: Row, what: str, error: JournalError) -> JournalError:
    """Return the error for a request whose end could not be written down."""
    return journal_error(
        row.op_id,
        f"{what}, and that could not be written down: {error.message}."
        " It stays in doubt until the next run finds it.",
    )


def _event(kind: Kind, call: Call[object], error: SigmaMindError) -> Event:
    """Return what a call that ended with *error* means for its row."""
    unreadable = call.verdict is Verdict.COMMITTED_UNREAD
    # A 2xx that ended in an error: fields were ignored, and the caller is strict about that.
    refused_by_us = call.verdict is Verdict.CONFIRMED
    if unreadable or (refused_by_us and not kind.repeatable):
        return Unreadable(error.message)
    echo = getattr(error, "status", None) == 409
    if echo and call.prior_attempt and not kind.repeatable:
        return Rejected(error.message)  # by its first success, perhaps: the listing will tell
    if call.ambiguous or (call.may_have_acted and not refused_by_us):
        return Unanswered(error.message)
    throttled = isinstance(error, RateLimitError)
    if refused_by_us or (call.verdict is Verdict.REJECTED and not throttled):
        return Rejected(error.message)
    return NotSent(error.message)
