"""What the jobs of one process share: the journal, and a client for each account."""

from __future__ import annotations

import logging
import os
import platform
from collections.abc import Awaitable, Callable, Iterable, Mapping
from types import TracebackType
from typing import Final, Literal, Self, TypeAlias, cast

import attrs

from sigmamind_async.bulk import DEFAULT_STOP_ON, Streak
from sigmamind_async.client import Client
from sigmamind_async.errors import (
    ConfigurationError,
    InvalidRequestError,
    JournalError,
    OutcomeUnknownError,
    SigmaMindError,
)
from sigmamind_async.events import Observers, as_observer
from sigmamind_async.limiter.gate import MAX_PAUSE, Gate
from sigmamind_async.provisioning.adapter import Adapter, Value
from sigmamind_async.provisioning.adapters.registry import adapter_of
from sigmamind_async.provisioning.journal.postgres import PostgresJournal
from sigmamind_async.provisioning.messages import journal_error
from sigmamind_async.provisioning.provisioner import Provisioner
from sigmamind_async.provisioning.reconcile import stored_request
from sigmamind_async.provisioning.row import Row, State, account_name
from sigmamind_async.provisioning.transitions import SETTLE_TIME, Policy
from sigmamind_async.secret_references import SecretReferenceError, SecretResolver
from sigmamind_async.values import Secret, as_secret, check_type
from sigmamind_async.workers.enqueue import check_account_name
from sigmamind_async.workers.shared_gate import SharedGate

log: Final = logging.getLogger(__name__)

OnSettled: TypeAlias = Callable[[Row], Awaitable[object] | None]
"""Called with the row of an operation that has ended: done, failed, or for an operator to decide.
After a crash it may be called again."""
GateFor: TypeAlias = Callable[[str, PostgresJournal], Gate]
"""Returns the gate of an account's client, given the account's name and the journal."""

DEFAULT_VARIABLES: Final = ("TRUNK_*",)
"""Environment variables that a request may name unless the worker is given a `SecretResolver`."""
FIRST_PAUSE: Final = 60.0
"""Seconds of an account's first pause; each further one without a success is twice as long."""
LONGEST_PAUSE: Final = 900.0
FIRST_DELAY: Final = 1.0
"""Seconds until a job is first run again; each further delay is twice as long."""
MAX_DELAY: Final = 60.0

_WAITS_FOR_DECISION: Final = frozenset({State.NEEDS_DECISION, State.ABANDONED})


@attrs.frozen
class Account:
    """An account that a worker serves.

    `settle_time`, in seconds, `retry_unconfirmed`, `tag`, `max_purchases`, the most purchases, and
    `release_duplicates` are those of `Provisioner`.
    """

    client: Callable[..., Client]
    """Makes the client: `SigmaMind`, or ``partial(SigmaMind, deadline=30)``. It is called twice in
    each process: without arguments to learn the platform, and with the account's ``gate``."""
    label: str | None = attrs.field(default=None, kw_only=True)
    """Distinguishes several accounts of one platform; the *account* of `Provisioner`."""
    settle_time: float = attrs.field(default=SETTLE_TIME, kw_only=True)
    retry_unconfirmed: bool = attrs.field(default=False, kw_only=True)
    tag: Literal["keep", "strip"] = attrs.field(default="keep", kw_only=True)
    max_purchases: int | None = attrs.field(default=None, kw_only=True)
    release_duplicates: bool = attrs.field(default=False, kw_only=True)


@attrs.define(kw_only=True)
class AccountPause:
    """Pauses an account while the platform refuses all of its operations, as with no money left.

    A bulk job stops there. A worker continues: once the pause is over, one operation finds out
    whether the account is accepted again. All times are in seconds of the caller's clock.
    """

    account: str
    reason: str = ""
    """The refusal that began the pause; empty while there is none."""
    until: float = 0.0
    _streak: Streak = attrs.field(factory=Streak)
    _length: float = 0.0
    _is_probing: bool = False

    def admits(self, now: float) -> bool:
        """Return whether an operation may begin; after a pause a single one may."""
        if not self.reason:
            return True
        if now < self.until:
            return False
        self.until, self._is_probing = now + self._length, True
        return True

    def succeeded(self) -> None:
        """Record an operation that the platform accepted."""
        self.reason, self._is_probing, self._streak.length = "", False, 0

    def failed(self, error: SigmaMindError, now: float) -> None:
        """Record an operation that ended with *error*."""
        self._streak.add(error)
        if not self._streak.length:
            self.succeeded()
        elif self._streak.length >= (DEFAULT_STOP_ON.in_a_row or 1):
            self._begin(" ".join(str(error).split()), now)

    def _begin(self, reason: str, now: float) -> None:
        if self.reason and not self._is_probing:
            return  # it was under way when the pause began
        self._length = min(2 * self._length, LONGEST_PAUSE) if self.reason else FIRST_PAUSE
        self.reason, self.until, self._is_probing = reason, now + self._length, False
        log.warning(
            "%s: %d operations in a row were refused, so the others wait %.0f s: %s",
            self.account,
            self._streak.length,
            self._length,
            reason,
        )


class Reschedule(Exception):  # noqa: N818 - no error: the job goes on at another time
    """The job is to be run again."""

    def __init__(self, at: float, reason: str) -> None:
        """Take the time, in seconds since the epoch, and the reason."""
        super().__init__(reason)
        self.at = at


@attrs.frozen(eq=False)
class AccountWorker:
    """Carries out the operations of one account."""

    provisioner: Provisioner
    adapter: Adapter
    secrets: SecretResolver
    pause: AccountPause = attrs.field(
        default=attrs.Factory(
            lambda self: AccountPause(account=self.provisioner.account), takes_self=True
        )
    )

    async def provision(self, op_id: str, attempts: int = 0, stored: Row | None = None) -> None:
        """Carry out a planned operation, unless it has to wait; *stored* is its row, if known.

        Raises `Reschedule` if the job is to be run again, else what `Provisioner.run` raises; the
        row then holds the reason.
        """
        if not self.pause.admits(self.now()):
            raise Reschedule(self.pause.until, self.pause.reason)
        try:
            row = stored or await self._read_row(op_id)
            await self.provisioner.send(op_id, await self._restore(row), stored=row)
        except SigmaMindError as error:
            failure = error
            self.pause.failed(error, self.now())
        else:
            self.pause.succeeded()
            return
        at = await self._next_attempt_at(op_id, failure, attempts)
        if at is not None:
            raise Reschedule(at, failure.message)
        await self.provisioner.refuse(op_id, failure.message)
        raise failure

    async def recall(self, row: Row) -> Value | None:
        """Return the request of *row* with its secrets; `None` if they cannot be resolved."""
        try:
            return await self._restore(row)
        except SigmaMindError:
            return None

    def now(self) -> float:
        """Return the time by the clock of the database, which the queue goes by too."""
        journal = self.provisioner.journal
        assert isinstance(journal, PostgresJournal)  # noqa: S101 - `WorkerContext` makes no other
        return journal.now()

    async def _read_row(self, op_id: str) -> Row:
        row = await self.provisioner.journal.get(self.provisioner.account, op_id)
        if row is None:
            raise journal_error(op_id, "the journal holds no such operation")
        return row

    async def _restore(self, row: Row) -> Value:
        """Return the request of *row*; its secrets are resolved now, as late as possible."""
        value = stored_request(self.adapter, row)
        try:
            secrets = {name: await self._fetch_secret(row, name) for name in row.secret_fields}
            return attrs.evolve(value, **secrets)
        except SecretReferenceError as error:
            raise InvalidRequestError(str(error), "secret", "must be there") from None

    async def _fetch_secret(self, row: Row, name: str) -> Secret:
        reference = row.secret_references.get(name)
        if reference is None:
            raise journal_error(
                row.op_id, f"its row has no reference for {name}: enqueue it again with one"
            )
        deadline = self.provisioner.client.runner.engine.limits.deadline
        return await self.secrets.fetch(reference, deadline)

    async def _next_attempt_at(
        self, op_id: str, error: SigmaMindError, attempts: int
    ) -> float | None:
        try:
            row = await self.provisioner.journal.get(self.provisioner.account, op_id)
        except SigmaMindError:
            row = None
        return next_attempt_at(error, row, self.provisioner.policy, self.now(), attempts)


class WorkerContext:
    """The journal and the clients of one worker process; open it with ``async with``.

    `Worker` does that. For a procrastinate app of your own, register ``blueprint(context)`` with it
    and keep the context open while its worker runs.

    Args:
        accounts: The accounts to serve; the API key of each must be available here.
        dsn: The database, as `PostgresJournal` takes it.
        schema: The journal's schema.
        secrets: Resolves the references in requests; by default only variables ``TRUNK_*``.
        gate: Returns the ``gate`` of an account's client, given the account's name and the
            journal; by default one that all processes share.
        connections: Most connections of the journal.
        on_settled: Called with the row of each operation that has ended here, as `Worker` takes it.
        observer: Called with what happens, as `Worker` takes it.

    Raises:
        ConfigurationError: A setting cannot be used, or an account's key is missing.
    """

    def __init__(
        self,
        accounts: Iterable[Account],
        dsn: str | Secret = "",
        *,
        schema: str = "sigmamind",
        secrets: SecretResolver | None = None,
        gate: GateFor = SharedGate,
        connections: int = 8,
        on_settled: OnSettled | None = None,
        observer: Observers = None,
    ) -> None:
        dsn = as_secret(dsn)
        self._observer = as_observer(observer)
        self.name: Final = f"{platform.node()}:{os.getpid()}"
        """Names this process in the log."""
        self.schema: Final = schema
        self.on_settled: Final = on_settled
        self.journal: PostgresJournal = PostgresJournal(dsn, schema=schema, connections=connections)
        self._secrets = secrets or SecretResolver(names=DEFAULT_VARIABLES)
        if secrets is not None:
            check_type("secrets", secrets, SecretResolver)
        if not callable(on_settled or print):
            raise ConfigurationError("on_settled: must be a function that takes a Row")
        if not callable(gate):
            raise ConfigurationError("gate: must be a function that makes a gate, as SharedGate is")
        self._gate = gate
        self.accounts: Mapping[str, AccountWorker] = self._open_accounts(accounts)

    @property
    def lease(self) -> float:
        """Seconds without a write after which a sending process counts as dead."""
        return max(account.provisioner.lease for account in self.accounts.values())

    def account(self, name: str) -> AccountWorker:
        """Return the account *name*; raise `ConfigurationError` if it is not served."""
        if name not in self.accounts:
            raise ConfigurationError(f"account: {name} is not served by this worker")
        return self.accounts[name]

    async def __aenter__(self) -> Self:
        await self.journal.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for account in self.accounts.values():
            await account.provisioner.client.close()
        await self.journal.close()

    def _open_accounts(self, accounts: Iterable[Account]) -> dict[str, AccountWorker]:
        opened: dict[str, AccountWorker] = {}
        if isinstance(accounts, Account) or not isinstance(cast("object", accounts), Iterable):
            raise ConfigurationError("accounts: must be several, such as [Account(SigmaMind)]")
        for account in accounts:
            _check_account(account)
            worker = self._open_account(account)
            name = worker.provisioner.account
            check_account_name(name)
            if name in opened:
                raise ConfigurationError(f"account: {name} is given twice; give one a label")
            opened[name] = worker
        if not opened:
            raise ConfigurationError("accounts: at least one is needed")
        return opened

    def _open_account(self, account: Account) -> AccountWorker:
        name = account_name(account.client().platform.name, account.label)
        client = account.client(gate=self._gate(name, self.journal))
        if self._observer is not None:
            both = filter(None, (client.runner.engine.observer, self._observer))
            client = client.with_options(observer=list(both))
        provisioner = Provisioner(
            client,
            self.journal,
            settle_time=account.settle_time,
            retry_unconfirmed=account.retry_unconfirmed,
            tag=account.tag,
            max_purchases=account.max_purchases,
            release_duplicates=account.release_duplicates,
            account=account.label,
        )
        return AccountWorker(provisioner, adapter_of(client), self._secrets)


def _check_account(given: object) -> None:
    if not isinstance(given, Account) or not callable(cast("object", given.client)):
        raise ConfigurationError(
            "accounts: each must be an Account that makes its client, such as Account(SigmaMind) or"
            " Account(partial(SigmaMind, deadline=30))"
        )


def next_attempt_at(
    error: SigmaMindError, row: Row | None, policy: Policy, now: float, attempts: int
) -> float | None:
    """Return when the job may be run again; `None` if it has ended.

    Unconfirmed operations are settled by `reconcile`, all of them with one listing. The job of one
    runs again when waiting can have helped: at the end of the sender's lease, or of the settle
    time. A job whose request was not sent runs again soon, and then ever more rarely. A job that
    was refused, or needs a decision, does not run again.

    Args:
        error: How it ended this time.
        row: The operation as it is now; `None` if it cannot be read.
        policy: The policy of its account.
        now: Seconds since the epoch.
        attempts: How often the job was run before.
    """
    soon = now + min(FIRST_DELAY * 2.0 ** min(attempts, 16), MAX_DELAY)
    match error:
        case JournalError(op_id=None):
            return soon  # the database is away
        case OutcomeUnknownError() | JournalError(committed="yes"):
            return soon if row is None else _when_settled(row, policy, now, soon)
        case SigmaMindError(retryable=True):
            retry_after: float | None = getattr(error, "retry_after", None)
            # It is stored as a date, and no date that a platform names may stop a job for years.
            return max(soon, now + min(retry_after or 0.0, MAX_PAUSE))
        case _:
            return None


def _when_settled(row: Row, policy: Policy, now: float, soon: float) -> float | None:
    """Return when *row*, which was unconfirmed when its job ended, may be settled."""
    if row.state in _WAITS_FOR_DECISION or (row.state is State.DUPLICATE and not row.record):
        return None
    if row.state is State.SENDING:
        return max(now, row.lease_until)
    if row.state is State.UNCONFIRMED and row.kind.repeatable:
        return soon  # it is sent again
    if row.state is not State.UNCONFIRMED:
        return now  # another process has settled it meanwhile
    once = row.kind.owned_once and not (row.accepted or row.rejection)
    due = row.unconfirmed_since + (policy.exact_settle_time if once else policy.settle_time)
    # An overdue row waits for the next reconciliation: the longer overdue, the longer.
    return due if due > now else now + min(max(FIRST_DELAY, now - due), MAX_DELAY)
