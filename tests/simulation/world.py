"""One seed: some operations, some processes, much trouble; and what must be true in the end.

    chaos     processes carry operations out, die, start again and get in each other's way, while
              requests and journal fail as the seed has it; an operator decides now and then
    calm      nothing fails any more; once the settle time is over, every late commit has come
    heal      everything unconfirmed is reconciled: nothing may be left unconfirmed after that
    again     every operation is asked for again until it is done
    sweep     and late commits are looked for
    judgment  the platform's ledger against the journal, and against what callers were told

Some promises are looked after all the time: nothing leaves that the journal does not say is being
sent, nobody takes a request for abandoned while it is under way, the spending limit holds.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import attrs

from sigmamind_async.convert import RequestValue
from sigmamind_async.errors import (
    InvalidRequestError,
    JournalError,
    SigmaMindError,
    SpendLimitError,
)
from sigmamind_async.platforms.sigmamind import (
    CreatePhoneNumber,
    DeletePhoneNumber,
    ImportPhoneNumber,
    PhoneNumber,
    UpdatePhoneNumber,
)
from sigmamind_async.provisioning import Kind, MemoryJournal, Row, State
from sigmamind_async.provisioning.row import UNSETTLED
from sigmamind_async.transport import HttpRequest
from sigmamind_async.values import UNSET, Secret
from tests.simulation.provider import BEYOND, Number, Provider, Trouble, Weather, key_of, tag_of
from tests.simulation.virtual import SeededLoop
from tests.simulation.worker import DEADLINE, KilledError, Worker

ACCOUNT = "sigmamind"
SETTLE_TIME = 120.0
MOST_TURNS = 400_000
"""KeyedLock of the loop after which a seed counts as running in circles."""
_COMMON = tuple(trouble for trouble in Trouble if trouble not in BEYOND)


class Violation(AssertionError):  # noqa: N818 - what was found, in the words of the checker
    """A promise was broken."""


@attrs.define(eq=False, kw_only=True)
class Op:
    """One operation that somebody wants."""

    op_id: str
    value: RequestValue[Any]
    kind: Kind
    key: str = ""
    after: Op | None = None
    """The operation on the same number that has to be done before."""
    results: list[Any] = attrs.field(factory=list[Any])
    over_limit: bool = False
    """Whether the spending limit has stood in its way."""
    abandoned: bool = False
    owned_already: bool = False
    """Whether it was refused, when it was last asked for, because the account owns its number."""

    @property
    def done(self) -> bool:
        return bool(self.results)


@attrs.define(eq=False, kw_only=True)
class World:
    """Everything that happens under one seed."""

    seed: int
    beyond: bool = False
    """Whether commits may come after the settle time."""
    weather: Weather = attrs.field(factory=Weather)
    trace: list[str] = attrs.field(factory=list[str])
    rows: dict[str, Row] = attrs.field(factory=dict[str, Row])
    ended: dict[str, list[Op]] = attrs.field(factory=dict[str, list[Op]])
    """Operations by number, in the order in which they were done."""
    ops: dict[str, Op] = attrs.field(factory=dict[str, Op])
    broken: list[str] = attrs.field(factory=list[str])
    resent: dict[str, int] = attrs.field(factory=dict[str, int])
    """Attempts up to which a person has allowed another one, by token."""
    workers: list[Worker] = attrs.field(factory=list[Worker])
    started: int = 0
    policy: dict[str, Any] = attrs.field(factory=dict[str, Any])
    random: Random = attrs.field(init=False)
    journal: MemoryJournal = attrs.field(init=False)
    provider: Provider = attrs.field(init=False)
    _under_way: set[str] = attrs.field(factory=set[str])

    def __attrs_post_init__(self) -> None:
        self.random = Random(f"workload {self.seed}")
        self.journal = MemoryJournal()
        self.journal.journal_id = f"simulated {self.seed}"
        self.provider = Provider(
            Random(f"platform {self.seed}"),
            self.weather,
            self.note,
            page_size=self.random.randint(3, 6),
        )

    # --- what is watched ---------------------------------------------------------------------

    def note(self, who: str, what: str) -> None:
        now = asyncio.get_running_loop().time()
        self.trace.append(f"{now:10.3f}  {who:8}  {what}")

    def violation(self, what: str) -> None:
        self.note("JUDGE", what)
        self.broken.append(what)

    def leaving(self, worker: str, outgoing: HttpRequest) -> str:
        """Nothing leaves that the journal does not say is being sent, under a tag of its own."""
        tag, key = tag_of(outgoing), key_of(outgoing)
        for row in self.rows.values():
            if tag is not None and row.token == tag[0]:
                self._look_at_purchase(row, tag)
                return self._depart(row)
            if tag is None and key and row.key == key and row.state is State.SENDING:
                return self._depart(row)
        for row in self.rows.values():
            unconfirmed = row.state in {State.UNCONFIRMED, State.PLANNED} and row.unconfirmed_since
            repairs = outgoing.method == "PATCH" and row.key == key and unconfirmed
            releases = outgoing.method == "DELETE" and key in row.duplicates
            if repairs or releases:
                return ""
        self.violation(f"{outgoing.method} {tag or key}: sent, and no row says so")
        return ""

    def _look_at_purchase(self, row: Row, tag: tuple[str, int]) -> None:
        if row.state is not State.SENDING or row.attempt != tag[1]:
            self.violation(f"{row.op_id}.{tag[1]}: sent while {row.state.value} {row.attempt}")
        yes = self.provider.said_yes.get(tag[0], 0)
        if yes and self.resent.get(row.op_id, 0) < yes:
            self.violation(f"{row.op_id}: sent again although attempt {yes} was told yes")

    def _depart(self, row: Row) -> str:
        self._under_way.add(row.op_id)
        return row.op_id

    def landed(self, op_id: str) -> None:
        self._under_way.discard(op_id)

    def written(self, worker: str, row: Row) -> None:
        before = self.rows.get(row.op_id)
        self.rows[row.op_id] = row
        number = f" {row.phone_number}" if row.phone_number else ""
        self.note(worker, f"{row.op_id}.{row.attempt} {row.state.value}{number} #{row.version}")
        if row.version != (0 if before is None else before.version) + 1:
            self.violation(f"{row.op_id}: written over somebody else's row")
        if row.op_id in self._under_way and not self.beyond:
            self.violation(f"{row.op_id}: taken for ended while it is under way")
        if row.state is State.DONE and (before is None or before.state is not State.DONE):
            self.ended.setdefault(row.key, []).append(self.ops[row.op_id])
        most = self.policy.get("max_purchases")
        if most is not None and not self.beyond:
            bought = sum(other.purchase_count for other in self.rows.values())
            if bought > most:
                self.violation(f"{row.op_id}: the journal counts {bought} of {most} purchases")

    # --- the course --------------------------------------------------------------------------

    async def run(self) -> None:
        self._prepare()
        await self._chaos()
        await self._calm()
        await self._heal()
        await self._again()
        await self._sweep()
        self._judge()

    def _prepare(self) -> None:
        draw = self.random
        for index in range(draw.randint(0, 9)):
            self.provider.own(f"+1202555{index:04d}")
        makers = [self._purchases, self._exact_chain, self._import_chain, self._updates]
        for maker in draw.sample(makers, draw.randint(1, len(makers))):
            maker()
        purchases = sum(op.kind.costs for op in self.ops.values())
        self.policy = {
            "settle_time": SETTLE_TIME,
            "retry_unconfirmed": draw.random() < 0.7,
            "release_duplicates": self.beyond,
        }
        if draw.random() < 0.3:
            self.policy["max_purchases"] = draw.randint(1, max(1, purchases))

    def _add(
        self,
        name: str,
        kind: Kind,
        value: RequestValue[Any],
        key: str = "",
        after: Op | None = None,
    ) -> Op:
        op_id = f"{name}-{len(self.ops)}"
        self.ops[op_id] = op = Op(op_id=op_id, value=value, kind=kind, key=key, after=after)
        return op

    def _purchases(self) -> None:
        for _ in range(self.random.randint(1, 5)):
            label = "Support" if self.random.random() < 0.5 else UNSET
            value = CreatePhoneNumber(country_code="US", friendly_name=label)
            self._add("buy", Kind.PURCHASE, value)

    def _agent(self) -> str:
        return self.random.choice(["amy", "bob"])

    def _chain(self, key: str, op: Op) -> None:
        """Do to a number what is done to numbers, one after the other."""
        for _ in range(self.random.randint(0, 3)):
            if op.kind is Kind.RELEASE:
                again = CreatePhoneNumber(phone_number=key, inbound_agent_id=self._agent())
                op = self._add("rebuy", Kind.EXACT_PURCHASE, again, key, op)
            elif self.random.random() < 0.4:
                op = self._add("drop", Kind.RELEASE, DeletePhoneNumber(phone_number=key), key, op)
            else:
                change = UpdatePhoneNumber(phone_number=key, inbound_agent_id=self._agent())
                op = self._add("change", Kind.UPDATE, change, key, op)

    def _exact_chain(self) -> None:
        for index in range(self.random.randint(1, 2)):
            key = f"+1303555{index:04d}"
            value = CreatePhoneNumber(phone_number=key, inbound_agent_id=self._agent())
            self._chain(key, self._add("exact", Kind.EXACT_PURCHASE, value, key))

    def _import_chain(self) -> None:
        key = "+14045550000"
        secret = Secret("hush-hush") if self.random.random() < 0.5 else UNSET
        value = ImportPhoneNumber(
            phone_number=key, inbound_agent_id=self._agent(), trunk_password=secret
        )
        self._chain(key, self._add("import", Kind.IMPORT, value, key))

    def _updates(self) -> None:
        key = "+15055550000"
        self.provider.own(key, agent=self._agent())
        for _ in range(self.random.randint(2, 4)):
            change = UpdatePhoneNumber(phone_number=key, inbound_agent_id=self._agent())
            self._add("update", Kind.UPDATE, change, key)

    def _start(self, *, mortal: bool) -> Worker:
        self.started += 1
        worker = Worker(
            f"w{self.started}",
            seed=str(self.seed),
            provider=self.provider,
            journal=self.journal,
            watch=self,
            note=self.note,
            kill_at=self.random.randint(1, 150) if mortal and self.random.random() < 0.6 else None,
            **self.policy,
        )
        self.note(worker.name, "started")
        return worker

    # --- chaos -------------------------------------------------------------------------------

    async def _chaos(self) -> None:
        draw = self.random
        width = draw.randint(1, 2)
        self.workers = [self._start(mortal=True) for _ in range(width)]
        until = asyncio.get_running_loop().time() + draw.uniform(60.0, 8 * SETTLE_TIME)
        callers: list[Callable[[], Awaitable[None]]] = [
            self._watch_over,
            self._look_after,
            self._operate,
        ]
        singles = [op for op in self.ops.values() if op.kind is Kind.PURCHASE]
        if draw.random() < 0.3:
            callers.append(lambda: self._in_bulk(singles))
        else:
            callers += [lambda op=op: self._call_for(op) for op in singles]  # type: ignore[misc]
        callers += [
            lambda op=op: self._call_for(op)  # type: ignore[misc]
            for op in self.ops.values()
            if op.kind is not Kind.PURCHASE
        ]
        tasks = [asyncio.ensure_future(caller()) for caller in callers]
        await asyncio.sleep(until - asyncio.get_running_loop().time())
        for worker in self.workers:
            worker.kill()
        for task in tasks:
            task.cancel()
        for ended in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(ended, Exception) and not isinstance(ended, KilledError):
                raise ended

    async def _watch_over(self) -> None:
        """Start again what has died; now and then kill what has not."""
        while True:
            await asyncio.sleep(self.random.expovariate(1 / 15.0))
            for place, worker in enumerate(self.workers):
                if not worker.alive:
                    self.workers[place] = self._start(mortal=True)
                elif self.random.random() < 0.05:
                    worker.kill()

    async def _look_after(self) -> None:
        while True:
            await asyncio.sleep(self.random.expovariate(1 / 60.0))
            provisioner = (worker := self.random.choice(self.workers)).provisioner
            look = provisioner.reconcile if self.random.random() < 0.6 else provisioner.sweep
            await self._try(worker, look)

    async def _operate(self) -> None:
        while True:
            await asyncio.sleep(self.random.expovariate(1 / 100.0))
            worker = self.random.choice(self.workers)
            for row in list(self.rows.values()):
                if row.state is State.NEEDS_DECISION:
                    await self._decide(worker, row)

    async def _decide(self, worker: Worker, row: Row) -> None:
        """Decide as a person does who sees what the account shows."""
        draw = self.random.random()
        if draw < 0.5:
            await self._send_again(worker, row)
        elif draw < 0.6 and row.kind is Kind.PURCHASE:
            self.ops[row.op_id].abandoned = True
            await self._try(worker, lambda: worker.provisioner.abandon(row.op_id))
        elif found := self._visible(row):
            await self._try(worker, lambda: worker.provisioner.adopt(row.op_id, found.phone_number))

    async def _send_again(self, worker: Worker, row: Row) -> None:
        self.resent[row.op_id] = row.attempt
        await self._try(worker, lambda: worker.provisioner.retry_unconfirmed(row.op_id))

    def _visible(self, row: Row) -> Number | None:
        owned = self.provider.owned.values()
        return next((number for number in owned if number.token == row.token), None)

    async def _call_for(self, op: Op) -> None:
        """Be a caller who asks until there is an answer, and a queue that delivers twice."""
        draw = self.random
        await asyncio.sleep(draw.expovariate(1 / 20.0))
        while op.after is not None and not op.after.done:  # noqa: ASYNC110 - time is virtual
            await asyncio.sleep(5.0)
        for _ in range(12):
            copies = 2 if draw.random() < 0.15 else 1
            patience = draw.uniform(0.0, DEADLINE) if draw.random() < 0.15 else None
            asked = (self._ask(draw.choice(self.workers), op, patience) for _ in range(copies))
            await asyncio.gather(*asked)
            if op.abandoned or (op.done and draw.random() < 0.8):
                return
            await asyncio.sleep(draw.expovariate(1 / (SETTLE_TIME / 3)))

    async def _ask(self, worker: Worker, op: Op, patience: float | None = None) -> None:
        result = await self._try(
            worker, lambda: worker.provisioner.run(op.op_id, op.value), patience, op
        )
        if result is not _NOTHING:
            self._told(op, result)

    def _told(self, op: Op, result: object) -> None:
        shown = result.sip_phone_number if isinstance(result, PhoneNumber) else result
        self.note(op.op_id, f"= {shown}")
        op.results.append(result)

    async def _in_bulk(self, ops: list[Op]) -> None:
        async def run(worker: Worker) -> None:
            pairs = [(op.op_id, op.value) for op in ops]
            async for outcome in worker.provisioner.run_many(pairs):
                op = self.ops[outcome.op_id or ""]
                if outcome.status == "done":
                    self._told(op, outcome.result)
                elif isinstance(outcome.error, SigmaMindError):
                    self._refused(op, outcome.error)
                elif outcome.error is not None:
                    raise outcome.error

        for _ in range(6):
            worker = self.random.choice(self.workers)
            await self._try(worker, lambda worker=worker: run(worker))  # type: ignore[misc]
            await asyncio.sleep(self.random.expovariate(1 / SETTLE_TIME))

    def _refused(self, op: Op, error: SigmaMindError) -> None:
        self.note(op.op_id, f"! {type(error).__name__}: {error}")
        op.owned_already = isinstance(error, InvalidRequestError)
        if isinstance(error, SpendLimitError):
            op.over_limit = True

    async def _try(
        self,
        worker: Worker,
        what: Callable[[], Any],
        patience: float | None = None,
        op: Op | None = None,
    ) -> Any:
        """Return what comes of asking *worker*; whatever ends it must be an error of ours."""
        try:
            async with asyncio.timeout(patience):
                return await worker.do(what())
        except KilledError:
            return _NOTHING
        except TimeoutError:
            return _NOTHING
        except SigmaMindError as error:
            if op is not None:
                self._refused(op, error)
            elif not isinstance(error, JournalError) or self.trace:
                self.note(worker.name, f"! {type(error).__name__}: {error}")
            return _NOTHING

    # --- after that --------------------------------------------------------------------------

    async def _calm(self) -> None:
        self.note("", "calm")
        self.weather.rate = 0.0
        await asyncio.sleep(SETTLE_TIME * (7.0 if self.beyond else 1.0) + self.weather.lag + 15.0)
        if self.provider.pending:
            raise Violation("the model still has something to commit")
        self.workers = [self._start(mortal=False)]

    async def _heal(self) -> None:
        worker = self.workers[0]
        for _ in range(3):
            await self._must(worker, worker.provisioner.reconcile)
            await asyncio.sleep(1.0)
        for row in self.rows.values():
            waits_for_secret = bool(row.secret_fields) and row.state is State.UNCONFIRMED
            if row.state in UNSETTLED and not waits_for_secret:
                self.violation(f"{row.op_id}: still {row.state.value} after the settle time")

    async def _must(self, worker: Worker, what: Callable[[], Any]) -> Any:
        result = await self._try(worker, what)
        if result is _NOTHING:
            self.violation(f"{what}: fails although nothing is wrong any more")
        return result

    async def _again(self) -> None:
        """Ask for everything until it is done: first come the first of each number."""
        worker = self.workers[0]
        for op in self.ops.values():
            for _ in range(8):
                row = self.rows.get(op.op_id)
                if row is not None and row.state is State.NEEDS_DECISION:
                    await self._send_again(worker, row)
                op.over_limit = False
                if (
                    op.abandoned
                    and row is not None
                    and row.state
                    in {
                        State.ABANDONED,
                        State.DUPLICATE,
                    }
                ):
                    break
                before = len(op.results)
                await self._ask(worker, op)
                if len(op.results) > before or op.over_limit:
                    break
                await asyncio.sleep(SETTLE_TIME + 1.0)

    async def _sweep(self) -> None:
        worker = self.workers[0]
        await asyncio.sleep(SETTLE_TIME)
        for _ in range(3):
            await self._must(worker, worker.provisioner.reconcile)
            await self._must(worker, worker.provisioner.sweep)
            await asyncio.sleep(1.0)

    # --- judgment ----------------------------------------------------------------------------

    def _judge(self) -> None:
        for op in self.ops.values():
            row = self.rows.get(op.op_id)
            if op.kind is Kind.PURCHASE:
                self._judge_purchase(op, row)
            if row is None or row.state is not State.DONE:
                stopped = op.over_limit or op.abandoned or self._waits(op)
                state = "not in the journal" if row is None else row.state.value
                # A release that comes later than the settle time takes what was bought since.
                gone = self.beyond and op.kind is Kind.UPDATE and state == State.FAILED.value
                # A purchase or an import that comes later brings back what was released since.
                back = self.beyond and op.kind is Kind.EXACT_PURCHASE and op.owned_already
                if not (stopped or gone or back):
                    self.violation(f"{op.op_id}: is {state} in the end")
            elif any(not self._same(row, result) for result in op.results):
                self.violation(f"{op.op_id}: callers were told other things than {row.result}")
        for key, ended in self.ended.items():
            if key and not self.beyond:
                self._judge_number(key, ended[-1])
        most = self.policy.get("max_purchases")
        if most is not None and len(self.provider.purchases) > most and not self.beyond:
            self.violation(f"{len(self.provider.purchases)} numbers were bought, {most} allowed")

    def _waits(self, op: Op) -> bool:
        """Return whether *op* follows one that the spending limit has stopped."""
        before = op.after
        return before is not None and (before.over_limit or self._waits(before))

    def _same(self, row: Row, result: object) -> bool:
        if row.kind is Kind.RELEASE:
            return result is None
        return isinstance(result, PhoneNumber) and result.sip_phone_number == row.phone_number

    def _judge_purchase(self, op: Op, row: Row | None) -> None:
        token = "" if row is None else row.token
        owned = [
            number.phone_number for number in self.provider.owned.values() if number.token == token
        ]
        known = {*row.duplicates, row.phone_number} if row is not None else set[str]()
        unknown = [number for number in owned if number not in known]
        if token and unknown:
            self.violation(f"{op.op_id}: {unknown} are paid for, and nobody knows")
        if row is None or op.abandoned:
            return
        wanted = 1 if row.state is State.DONE else 0
        if len(owned) != wanted:
            self.violation(f"{op.op_id}: {row.state.value} with {owned}")
        bought = [sold for sold in self.provider.purchases if sold.token == token]
        if len(bought) > 1 and not self.beyond:
            self.violation(f"{op.op_id}: bought {[sold.phone_number for sold in bought]}")

    def _judge_number(self, key: str, last: Op) -> None:
        """Look whether a number is as the operation that was done last has left it."""
        number = self.provider.owned.get(key)
        if last.kind is Kind.RELEASE:
            if number is not None:
                self.violation(f"{last.op_id}: done, and {key} is owned")
            return
        if number is None:
            self.violation(f"{last.op_id}: done, and {key} is not owned")
            return
        wanted: Any = last.value
        if number.agent != wanted.inbound_agent_id:
            self.violation(f"{key}: {last.op_id} was the last, and {number.agent} answers")
        password = getattr(wanted, "trunk_password", UNSET)
        if isinstance(password, Secret) and number.password != password.reveal():
            self.violation(f"{key}: {last.op_id} was the last, and its password is not set")


_NOTHING = object()


@attrs.frozen
class Report:
    """How one seed ended."""

    seed: int
    broken: list[str]
    trace: list[str]
    weather: Weather
    purchases: int
    turns: int

    @property
    def digest(self) -> str:
        """A digest of everything that happened, in its order."""
        return hashlib.sha256("\n".join(self.trace).encode()).hexdigest()


def weather_of(seed: int, *, beyond: bool) -> Weather:
    draw = Random(f"weather {seed}")
    kinds = draw.sample(_COMMON, draw.choice([1, 2, 4, 8, len(_COMMON)]))
    if beyond:
        kinds += draw.sample(sorted(BEYOND, key=lambda kind: kind.value), draw.randint(1, 3))
    return Weather(
        kinds=tuple(kinds),
        rate=draw.choice([0.05, 0.2, 0.5]),
        lag=draw.choice([1.0, 5.0, 30.0]) if Trouble.LAG in kinds else 0.0,
        settle_time=SETTLE_TIME,
    )


def simulate(seed: int) -> Report:
    """Run one seed; every tenth has commits that come after the settle time."""
    beyond = seed % 10 == 9
    weather = weather_of(seed, beyond=beyond)
    loop = SeededLoop(seed, MOST_TURNS)
    world = World(seed=seed, beyond=beyond, weather=weather)
    loop.set_exception_handler(lambda _, context: world.broken.append(str(context)))
    try:
        loop.run_until_complete(world.run())
    except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
        world.broken.append(f"{type(error).__name__}: {error}")
    finally:
        loop.finish()
    return Report(
        seed, world.broken, world.trace, weather, len(world.provider.purchases), loop.turns
    )
