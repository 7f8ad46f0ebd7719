"""What all jobs of one process share: the journal, and a client for each account."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Final, Literal, Self, TypeAlias

import attrs

from sigmamind_async.bulk import DEFAULT_STOP_ON, Streak
from sigmamind_async.client import Client
from sigmamind_async.errors import ConfigurationError, InvalidRequestError, SigmaMindError
from sigmamind_async.limiter.gate import Gate
from sigmamind_async.provisioning.adapter import Adapter, Value
from sigmamind_async.provisioning.adapters import adapter_of
from sigmamind_async.provisioning.journal.postgres import PostgresJournal
from sigmamind_async.provisioning.messages import journal_error
from sigmamind_async.provisioning.provisioner import Provisioner
from sigmamind_async.provisioning.reconcile import stored_request
from sigmamind_async.provisioning.row import Row, account_name
from sigmamind_async.provisioning.transitions import SETTLE_TIME
from sigmamind_async.secret_references import SecretReferenceError, SecretResolver
from sigmamind_async.values import Secret, as_secret
from sigmamind_async.workers.enqueue import check_account_name
from sigmamind_async.workers.retry import next_run
from sigmamind_async.workers.shared_gate import SharedGate

GateFor: TypeAlias = Callable[[str, PostgresJournal], Gate]
"""Returns the gate for the client of an account, given its name and the journal of the process."""


READABLE: Final = ("TRUNK_*",)
"""The variables that a request may name unless a worker is given other `SecretResolver`."""


@attrs.frozen
class Account:
    """One account; see `Provisioner` for all but the client."""

    client: Callable[..., Client]
    """Makes the client, once in each process: `SigmaMind`, or ``partial(SigmaMind, deadline=30)``.
    It is called without arguments to see whose it is, and with the ``gate`` of the account."""
    label: str | None = attrs.field(default=None, kw_only=True)
    """Tells several accounts of one platform apart."""
    settle_time: float = attrs.field(default=SETTLE_TIME, kw_only=True)
    retry_unconfirmed: bool = attrs.field(default=False, kw_only=True)
    tag: Literal["keep", "strip"] = attrs.field(default="keep", kw_only=True)
    max_purchases: int | None = attrs.field(default=None, kw_only=True)
    release_duplicates: bool = attrs.field(default=False, kw_only=True)


log = logging.getLogger(__name__)

FIRST: Final = 60.0
"""Seconds of the first rest; each that follows without a success between is twice as long."""
LONGEST: Final = 900.0


@attrs.define(kw_only=True)
class Rest:
    """One account's, in one process. All times in seconds, by one clock of the caller's."""

    account: str
    why: str = ""
    """The refusal because of which it rests; empty while it does not."""
    until: float = 0.0
    _streak: Streak = attrs.field(factory=Streak)
    _length: float = 0.0
    _asks: bool = False
    """Whether one of them is finding out."""

    def over(self, now: float) -> bool:
        """Return whether an operation may begin; the first after a rest is the only one."""
        if not self.why:
            return True
        if now < self.until:
            return False
        self.until, self._asks = now + self._length, True
        return True

    def done(self) -> None:
        """Take note of an operation that was carried out."""
        self.why, self._asks, self._streak.length = "", False, 0

    def failed(self, error: SigmaMindError, now: float) -> None:
        """Take note of one that was not."""
        self._streak.add(error)
        if not self._streak.length:
            self.done()
        elif self._streak.length >= (DEFAULT_STOP_ON.in_a_row or 1):
            self._begin(" ".join(str(error).split()), now)

    def _begin(self, why: str, now: float) -> None:
        if self.why and not self._asks:
            return  # it was under way when the rest began
        self._length = min(2 * self._length, LONGEST) if self.why else FIRST
        self.why, self.until, self._asks = why, now + self._length, False
        log.warning(
            "%s: %d operations in a row ended alike, so all others wait %.0f s: %s",
            self.account,
            self._streak.length,
            self._length,
            why,
        )


class Reschedule(Exception):  # noqa: N818 - no error: the job goes on at another time
    """The job is to be run again."""

    def __init__(self, at: float, reason: str) -> None:
        """Give the moment, in seconds since the epoch, and why."""
        super().__init__(reason)
        self.at = at


@attrs.frozen(eq=False)
class AccountWorker:
    """One account at work."""

    provisioner: Provisioner
    adapter: Adapter
    secrets: SecretResolver
    rest: Rest = attrs.field(
        default=attrs.Factory(lambda self: Rest(account=self.provisioner.account), takes_self=True)
    )

    async def provision(self, op_id: str, attempts: int = 0) -> None:
        """Carry out a planned operation, so far as it can be now.

        Raises `Reschedule` where it has to be looked at again, and what `Provisioner.run` raises
        where it has ended otherwise; the row then says why.
        """
        if not self.rest.over(self.now()):
            raise Reschedule(self.rest.until, self.rest.why)
        try:
            row = await self._row(op_id)
            await self.provisioner.send(op_id, await self._value(row))
        except SigmaMindError as error:
            failure = error
            self.rest.failed(error, self.now())
        else:
            self.rest.done()
            return
        at = await self._next_run(op_id, failure, attempts)
        if at is not None:
            raise Reschedule(at, failure.message)
        await self.provisioner.refuse(op_id, failure.message)
        raise failure

    async def recalled(self, row: Row) -> Value | None:
        """Return the request of *row* with its secrets, where those can be had here."""
        try:
            return await self._value(row)
        except SigmaMindError:
            return None

    async def _row(self, op_id: str) -> Row:
        row = await self._stored(op_id)
        if row is None:
            raise journal_error(op_id, "the journal holds no such operation")
        return row

    async def _stored(self, op_id: str) -> Row | None:
        return await self.provisioner.journal.get(self.provisioner.account, op_id)

    async def _value(self, row: Row) -> Value:
        """Return the request of *row*, its secrets resolved at this last moment."""
        value = stored_request(self.adapter, row)
        try:
            secrets = {name: await self._secret(row, name) for name in row.secret_fields}
            return attrs.evolve(value, **secrets)
        except SecretReferenceError as error:
            raise InvalidRequestError(str(error), "secret", "must be there") from None

    async def _secret(self, row: Row, name: str) -> Secret:
        reference = row.secret_references.get(name)
        if reference is None:
            raise journal_error(
                row.op_id, f"where its {name} is to be found was not said: enqueue it anew"
            )
        deadline = self.provisioner.client.runner.engine.limits.deadline
        return await self.secrets.fetch(reference, deadline)

    async def _next_run(self, op_id: str, error: SigmaMindError, attempts: int) -> float | None:
        try:
            row = await self._stored(op_id)
        except SigmaMindError:
            row = None
        return next_run(error, row, self.provisioner.policy, self.now(), attempts)

    def now(self) -> float:
        """Return the time by the clock of the journal, which is that of the queue too."""
        journal = self.provisioner.journal
        assert isinstance(journal, PostgresJournal)  # noqa: S101 - made by the office
        return journal.now()


class WorkerContext:
    """The journal and the clients of one worker process; open it with ``async with``.

    For a procrastinate application of your own: register ``blueprint(office)`` with it, and have
    the office open for as long as its worker runs. `Worker` does all that.

    Args:
        accounts: Those that are served; of each the API key must be had here.
        dsn: The database, as `PostgresJournal` takes it.
        schema: That of the journal.
        secrets: Resolves the references in requests: left out, variables ``TRUNK_*`` alone.
        gate: Returns what a client is given as its ``gate``, for the name of an account and
            the journal; left out, one that all processes share.
        connections: Most connections of the journal.

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
    ) -> None:
        dsn = as_secret(dsn)
        self.schema: Final = schema
        self.journal = PostgresJournal(dsn, schema=schema, connections=connections)
        self._secrets = secrets or SecretResolver(names=READABLE)
        self._gate = gate
        self.branches: Mapping[str, AccountWorker] = self._branches(accounts)

    @property
    def lease(self) -> float:
        """Seconds after which whoever began to send and wrote no more is taken for gone."""
        return max(branch.provisioner.lease for branch in self.branches.values())

    def branch(self, account: str) -> AccountWorker:
        """Return the account of a name; raise `ConfigurationError` for one that is not served."""
        if account not in self.branches:
            raise ConfigurationError(f"account: {account} is not served here")
        return self.branches[account]

    async def __aenter__(self) -> Self:
        await self.journal.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for branch in self.branches.values():
            await branch.provisioner.client.close()
        await self.journal.close()

    def _branches(self, accounts: Iterable[Account]) -> dict[str, AccountWorker]:
        branches: dict[str, AccountWorker] = {}
        for account in accounts:
            branch = self._branch(account)
            name = branch.provisioner.account
            check_account_name(name)
            if name in branches:
                raise ConfigurationError(f"account: {name} is there twice; give one a label")
            branches[name] = branch
        if not branches:
            raise ConfigurationError("accounts: at least one is needed")
        return branches

    def _branch(self, account: Account) -> AccountWorker:
        client = self._client(account)
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

    def _client(self, account: Account) -> Client:
        platform = account.client().platform.name
        gate = self._gate(account_name(platform, account.label), self.journal)
        return account.client(gate=gate)
