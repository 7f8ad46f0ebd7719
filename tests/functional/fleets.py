"""What the tests of fleets share: rows, an operator who applies them, and ends at any moment."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Final, Self

import attrs

from sigmamind_async import DialNexa, RetryPolicy, SigmaMind, Verbex
from sigmamind_async.bulk import DEFAULT_STOP_ON, Progress
from sigmamind_async.client import Client
from sigmamind_async.fleet.apply import Executor
from sigmamind_async.fleet.dispatcher import Dispatcher, StepOutcome
from sigmamind_async.fleet.plan import Plan, PlanOptions, plan
from sigmamind_async.fleet.requests import RequestBuilder
from sigmamind_async.fleet.spec import Cell, DesiredState, Fleet, FleetRow, Source
from sigmamind_async.fleet.state import FleetState, LastApplied, list_numbers, refresh
from sigmamind_async.operation import ConnectionFlag, Fault, Response
from sigmamind_async.provisioning import MemoryJournal, Provisioner, Row
from sigmamind_async.provisioning.journal.protocol import Journal, PutResult
from sigmamind_async.sandbox import Sandbox
from sigmamind_async.secret_references import SecretReferenceError
from sigmamind_async.testing import FakeClock, in_fake_time
from sigmamind_async.transport import HttpRequest, Transport
from sigmamind_async.values import Secret

CLIENTS: Final[Mapping[str, type[Client]]] = {
    "sigmamind": SigmaMind,
    "verbex": Verbex,
    "dialnexa": DialNexa,
}
LATER: Final = 4_000_000_000.0
"""Epoch seconds at which fake time begins: a journal on disk must not be from the future."""
PROVIDER: Final = "tp_abc123xyz78"
AGENTS: Final = {
    "sigmamind": ("agent_D5D0p7TUs66TTAEAx", "agent_Kq27RmBxT9wYcV4Le"),
    "verbex": ("agt_abc123", "agt_k7m2nq9xw4p8"),
    "dialnexa": ("agt_abc123", "agt_k7m2nq9xw4p8"),
}
"""Two of each account."""
QUICK: Final = RetryPolicy(base=0.001, throttle_base=0.01)
READS: Final = frozenset({"list", "get", "search", "agents.list", "agents.get"})
"""Operations of the sandbox that change nothing."""

Fields = Mapping[str, Cell]

# --- rows ------------------------------------------------------------------------------------


def row(name: str, platform: str, source: str, **fields: Cell) -> FleetRow:
    """Return a row that wants its number."""
    return FleetRow(id=name, platform=platform, source=Source(source), fields=fields)


def absent(known: FleetRow) -> FleetRow:
    """Return *known* as a row that wants its number gone."""
    number = {name: cell for name, cell in known.fields.items() if name == "phone_number"}
    return attrs.evolve(known, state=DesiredState.ABSENT, fields=number)


def saying(known: FleetRow, **fields: Cell) -> FleetRow:
    """Return *known* with other *fields*."""
    return attrs.evolve(known, fields={**known.fields, **fields})


PURCHASES: Final[Mapping[str, Fields]] = {
    "sigmamind": {"country_code": "US", "area_code": 415, "label": "Desk"},
    "verbex": {"label": "Desk", "inbound_agent_id": AGENTS["verbex"][0]},
    "dialnexa": {
        "country_code": "US",
        "telephony_provider_id": PROVIDER,
        "label": "Desk",
        "inbound_agent_id": AGENTS["dialnexa"][0],
        "accounting_label": "Cost 7",
    },
}
"""What a purchase says, by platform; DialNexa's takes two of the five fields."""
TRUNK: Final[Fields] = {
    "termination_uri": "trunk.example.com",
    "trunk_username": "u",
    "trunk_password": "env:TRUNK",
    "label": "Trunk",
}


def bought(name: str, platform: str, **fields: Cell) -> FleetRow:
    """Return a row whose number the platform picks."""
    return row(name, platform, "purchase", **{**PURCHASES[platform], **fields})


def imported(name: str, platform: str, number: str, **fields: Cell) -> FleetRow:
    """Return a row whose number is one's own."""
    return row(name, platform, "import", phone_number=number, **{**TRUNK, **fields})


# --- ends ------------------------------------------------------------------------------------


class Life:
    """Counts what a process writes and sends, and ends with one of them, as ``kill -9`` does.

    From then on nothing is written or sent any more, whatever the code tries while it unwinds.
    """

    def __init__(self, last: int | None = None, *, answer_to: str = "") -> None:
        self.count = 0
        self.last = last
        """Event that it ends with; `None` for a life that does not end."""
        self.answer_to = answer_to
        """It ends when the first answer to a request of this method comes."""
        self.over = False
        self.task: asyncio.Task[Any] | None = None

    def step(self) -> None:
        """Count one event; end with the last one, before it happens."""
        if self.over or self.count == self.last:
            self.over = True
            if self.task is not None:
                self.task.cancel()
            raise asyncio.CancelledError
        self.count += 1


class Moment(Life):
    """Does something at one event, and goes on."""

    def __init__(self, last: int | None, act: Callable[[], object]) -> None:
        super().__init__(last)
        self.act = act

    def step(self) -> None:
        """Count one event."""
        if self.count == self.last:
            self.over = True
            self.act()
        self.count += 1


class MortalJournal(MemoryJournal):
    """A journal whose writes end with a life."""

    def __init__(self, life: Life, before: MemoryJournal | None = None) -> None:
        super().__init__()
        self.life = life
        if before is not None:
            self.journal_id, self.latest = before.journal_id, before.latest
            self._rows, self._applied = {**before._rows}, {**before._applied}  # noqa: SLF001
            self._fingerprints = {**before._fingerprints}  # noqa: SLF001

    async def put(
        self, row: Row, *, max_purchases: int | None = None, durable: bool = True
    ) -> PutResult:
        self.life.step()
        return await super().put(row, max_purchases=max_purchases, durable=durable)

    async def set_last_applied(self, row_id: str, text: str | None) -> None:
        self.life.step()
        await super().set_last_applied(row_id, text)

    async def add_key_fingerprint(self, account: str, fingerprint: str) -> None:
        self.life.step()
        await super().add_key_fingerprint(account, fingerprint)


@attrs.frozen
class MortalTransport:
    """A transport that ends with a life: before a request leaves, or before its answer is read."""

    life: Life
    inner: Transport

    async def send(
        self, outgoing: HttpRequest, mark: ConnectionFlag, seconds: float
    ) -> Response | Fault:
        self.life.step()
        answer = await self.inner.send(outgoing, mark, seconds)
        if outgoing.method == self.life.answer_to:
            self.life.last = self.life.count
        self.life.step()
        return answer

    async def aclose(self) -> None:
        await self.inner.aclose()


# --- the operator ----------------------------------------------------------------------------


class Operator:
    """Applies fleets to a sandbox, over sockets and in fake time, with a journal of its own."""

    def __init__(
        self,
        box: Sandbox,
        journal: Journal | None = None,
        *,
        clock: FakeClock | None = None,
        life: Life | None = None,
        real_time: bool = False,
        settle_time: float = 900.0,
        **options: Any,
    ) -> None:
        self.box = box
        self.journal = journal or MemoryJournal()
        self.clock = clock or FakeClock(LATER)
        self.secrets = {"env:TRUNK": "s3cret-of-the-trunk"}
        self.plan: Plan | None = None
        self.known: FleetState | None = None
        self.dispatcher: Dispatcher | None = None
        self.told: list[StepOutcome] = []
        self._closing = AsyncExitStack()
        self.clients: dict[str, Client] = {}
        for endpoint in box.endpoints:
            name = endpoint.name
            client = CLIENTS[name](
                endpoint.api_key, base_url=endpoint.base_url, retry=QUICK, **options
            )
            self._closing.push_async_callback(client.close)
            self.clients[name] = client if real_time else self._timed(client)
            if life is not None:
                self._shorten(self.clients[name], life)
        self.provisioners = {
            name: Provisioner(client, self.journal, settle_time=settle_time, retry_unconfirmed=True)
            for name, client in self.clients.items()
        }

    def _timed(self, client: Client) -> Client:
        twin = in_fake_time(client, self.clock)
        twin._bind(attrs.evolve(twin.runner.engine, wall_clock=self.clock))  # noqa: SLF001
        return twin

    def _shorten(self, client: Client, life: Life) -> None:
        engine = client.runner.engine
        client._bind(  # noqa: SLF001
            attrs.evolve(engine, transport=MortalTransport(life, engine.transport))
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._closing.aclose()

    def resolve(self, reference: str) -> Secret:
        """Return what a reference of the fleet means."""
        if reference not in self.secrets:
            raise SecretReferenceError(f"{reference}: is missing")
        return Secret(self.secrets[reference])

    async def planned(self, rows: Sequence[FleetRow], **rules: Any) -> Plan:
        """Look at the accounts, and plan."""
        fleet = Fleet(rows=rows)
        self.known = await refresh(fleet, self.clients, self.journal)
        self.plan = plan(fleet, self.known, PlanOptions(**rules))
        return self.plan

    def running(
        self,
        made: Plan,
        report: Callable[[StepOutcome], None],
        errands: type[RequestBuilder] = RequestBuilder,
    ) -> Executor:
        """Return the run of a plan that `planned` made, or of what became of it since."""
        assert self.known is not None
        provisioners = {
            name: each for name, each in self.provisioners.items() if name in self.clients
        }
        requests = errands(made, self.journal, self.resolve)
        self.dispatcher = Dispatcher(provisioners, report, Progress(), DEFAULT_STOP_ON)
        return Executor(made, self.known, self.journal, requests, self.dispatcher)

    async def carry_out(
        self, made: Plan, errands: type[RequestBuilder] = RequestBuilder
    ) -> list[StepOutcome]:
        """Carry a plan out, and return what was reported; however it ends, each step is once."""
        self.told = told = list[StepOutcome]()
        try:
            await self.running(made, told.append, errands).carry_out()
        finally:
            assert sorted(one.step.id for one in told) == sorted(step.id for step in made.steps)
        return told

    async def apply(self, rows: Sequence[FleetRow], **rules: Any) -> dict[str, str]:
        """Plan and carry out; return how each row ended, a problem being ``problem``."""
        made = await self.planned(rows, **rules)
        told = await self.carry_out(made)
        broken = {problem.id: "problem" for problem in made.problems}
        return {**broken, **{one.step.id: one.status for one in told}}

    async def settle(self, rows: Sequence[FleetRow], most: int = 12, **rules: Any) -> None:
        """Apply again and again, hours apart, until nothing is left to do."""
        ends: dict[str, str] = {}
        for _ in range(most):
            self.clock.advance(7_200.0)
            ends = await self.apply(rows, **rules)
            assert self.plan is not None
            if set(ends.values()) <= {"done"} and not self.plan.writes:
                return
        assert self.plan is not None
        errors = [str(one.error) for one in self.told if one.error]
        raise AssertionError(f"not quiet: {ends} {errors} {self.plan.problems}")

    # --- what is there now ---------------------------------------------------------------

    async def notes(self) -> dict[str, LastApplied]:
        """Return the journal's notes, by row."""
        return {
            name: LastApplied.load(name, text)
            for name, text in (await self.journal.last_applied()).items()
        }

    async def state(self) -> State:
        """Return what the accounts show, and what is noted, without keys and counters."""
        numbers = {
            (name, found.phone_number): dict(found.shown)
            for name, client in self.clients.items()
            for found in (await list_numbers(client)).values()
        }
        notes = {
            name: attrs.evolve(one, record="it" if one.record else "", sequence=0)
            for name, one in (await self.notes()).items()
        }
        return State(numbers, notes)


@attrs.frozen
class State:
    """All that an apply can change."""

    numbers: Mapping[tuple[str, str], Mapping[str, str | None]]
    notes: Mapping[str, LastApplied]


def sent(box: Sandbox, platform: str | None = None) -> dict[str, int]:
    """Return how often each changing operation was asked for."""
    counts: dict[str, int] = {}
    for endpoint in box.endpoints:
        if platform in {None, endpoint.name}:
            for name, count in endpoint.requests.by_operation.items():
                if name not in READS:
                    counts[name] = counts.get(name, 0) + count
    return counts


def commits(box: Sandbox, since: int = 0) -> list[tuple[str, str]]:
    """Return platform and kind of each change that was made, oldest first."""
    return [(commit.platform, commit.kind) for commit in box.ledger.commits[since:]]
