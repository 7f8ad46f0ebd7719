"""One rate for several processes: real ones, with a real database and a platform on sockets."""

from __future__ import annotations

import asyncio
import bisect
import json
import math
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import psycopg
import pytest

from sigmamind_async import (
    APITimeoutError,
    CircuitOpenError,
    RateLimitError,
    SigmaMind,
)
from sigmamind_async.errors import JournalError
from sigmamind_async.limiter.gate import Gate
from sigmamind_async.provisioning import PostgresJournal
from sigmamind_async.provisioning.journal.postgres.schema import MIGRATIONS, migrate
from sigmamind_async.sandbox import RateLimit, Sandbox
from sigmamind_async.workers import rates as rules
from sigmamind_async.workers.rates import POLL, Event, RateReport, SharedRates
from sigmamind_async.workers.shared_gate import TTL, SharedGate
from tests.functional.faultserver import FaultServer, always, answer
from tests.functional.relay import relay_to
from tests.functional.support import NUMBER, client_of, error_of, record
from tests.harness import preloaded
from tests.harness.postgres import Server, schema_of

ACCOUNT = "sigmamind"
PROCESSES = 3

_PREAMBLE = """
import asyncio, json, sys, time

dsn, schema, account, skew, *rest = sys.argv[1:]
# Neither the time of day here nor where its seconds are counted from may matter.
right_time, right_seconds = time.time, time.monotonic
time.time = lambda: right_time() + 3600.0 * int(skew)

from sigmamind_async import SigmaMind, SigmaMindError
from sigmamind_async.provisioning import PostgresJournal
from sigmamind_async.workers.shared_gate import SharedGate

def a_journal():
    seconds = lambda: right_seconds() + 1000.0 * int(skew)
    return PostgresJournal(dsn, schema=schema, monotonic=seconds)

def say(value):
    print(json.dumps(value), flush=True)

async def main():
    async with a_journal() as journal:
        await work(SharedGate(account, journal), journal)

async def work(gate, journal):
"""


@attrs.frozen
class Place:
    """A schema of the database, and the processes that meet there."""

    server: Server
    folder: Path

    @asynccontextmanager
    async def process(
        self, script: str, *rest: object, account: str = ACCOUNT, skew: int = 0
    ) -> AsyncIterator[asyncio.subprocess.Process]:
        """Run the body of an async function, which has a gate and a journal, in another process."""
        body = "".join(f"    {line}\n" for line in script.strip("\n").splitlines())
        code = f"{_PREAMBLE}{body}\nasyncio.run(main())\n"
        said = (self.server.dsn(), schema_of(self.folder), account, skew, *rest)
        started = await preloaded.create_subprocess_exec(
            *(sys.executable, "-W", "error", "-c", code, *map(str, said)),
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            yield started
        finally:
            if started.returncode is None:
                started.kill()
            await started.wait()

    async def said_by(self, script: str, *rest: object, **options: Any) -> Any:
        """Return what a process says before it ends."""
        async with self.process(script, *rest, **options) as started:
            said, _ = await started.communicate()
            assert started.returncode == 0
        return json.loads(said)

    def journal(self, **options: Any) -> PostgresJournal:
        return self.server.journal(self.folder, **options)

    def row(self, columns: str) -> Any:
        [row] = self.server.asked(f'SELECT {columns} FROM "{schema_of(self.folder)}".rates')
        return row

    def poison(self, until: str) -> None:
        """Let all rows hold a pause until that moment."""
        table = f'"{schema_of(self.folder)}".rates'
        self.server.asked(f"UPDATE {table} SET paused_until = {until}")

    def slots(self) -> list[float]:
        """Return the times that are handed out and still to come."""
        _, model = json.loads(self.row("model")[0])
        return list(model["slots"])

    def know(self, rate: float, *accounts: str) -> None:
        """Let the rows of some accounts know a rate already."""
        table = f'"{schema_of(self.folder)}".rates'
        for account in accounts:
            self.server.asked(f"INSERT INTO {table} (account, rate) VALUES ('{account}', {rate})")


@pytest.fixture
async def place(postgres: Server, tmp_path: Path) -> Place:
    async with postgres.journal(tmp_path):
        return Place(postgres, tmp_path)


def worst_second(times: list[float]) -> int:
    ordered = sorted(times)
    return max(bisect.bisect_left(ordered, at + 1.0) - n for n, at in enumerate(ordered))


# ---------------------------------------------------------------- the rate

ENTER = """
async def call():
    permit = await gate.acquire(width=100, deadline=right_seconds() + 60.0)
    gate.release(permit)
    return journal.now()

say(await asyncio.gather(*(call() for _ in range(int(rest[0])))))
"""


async def test_three_processes_keep_to_one_rate_whatever_their_clocks_say(
    place: Place, unmeasured: None
) -> None:
    """By the database's clock. How exactly is measured by ``benchmarks/shared_rate.py``.

    The control, three times as many without a common row, is in the unit tests.
    """
    place.know(60.0, ACCOUNT)

    said = await asyncio.gather(*(place.said_by(ENTER, 60, skew=n - 1) for n in range(PROCESSES)))
    admitted = [at for some in said for at in some]

    assert len(admitted) == 180
    # What a process is late for by less than a twentieth of a second, it makes up for.
    assert worst_second(admitted) <= 90


JOB = """
url, key, rows = rest
async with SigmaMind(key, base_url=url, gate=gate) as client:
    numbers = [number.sip_phone_number async for number in client.phone_numbers.list()]
    result = await client.phone_numbers.update_many(numbers[:int(rows)], friendly_name="x")
    say([len(result.done), gate.admission.rate, gate.problem])
"""


async def test_three_jobs_do_all_their_rows_at_the_rate_of_the_platform(
    place: Place, unmeasured: None
) -> None:
    """No process is given the rate; the row knows it in the end, and few requests were refused."""
    async with Sandbox(seed=1) as box:
        async with SigmaMind(box.sigmamind.api_key, base_url=box.sigmamind.base_url) as client:
            for _ in range(60):
                await client.phone_numbers.create(country_code="US")
        box.rate_limit = RateLimit(per_second=50.0, burst=20)
        where = (box.sigmamind.base_url, box.sigmamind.api_key, 60)
        said = await asyncio.gather(*(place.said_by(JOB, *where) for _ in range(PROCESSES)))
        by_status = box.sigmamind.requests.by_status

    assert [(done, problem) for done, _, problem in said] == [(60, None)] * PROCESSES
    revision, rate, paused = place.row("revision, rate, paused_until")
    assert revision > 10
    assert rate > 10.0  # and how near, the unit tests say: here it is the machine that is measured
    assert paused > 0
    # Mostly of the first moment, when no process knows a rate: 3 processes, 10 at once and more.
    assert by_status[429] < by_status[200]


# ---------------------------------------------------------------- a common pause

SEND_ON = """
url, most = rest
async with SigmaMind("key", base_url=url, gate=gate, deadline=20.0) as client:
    for number in range(int(most)):
        try:
            await client.phone_numbers.get("+14155550100")
        except SigmaMindError as error:
            say([type(error).__name__, error.attempts])
            return
        if number == 10:
            say("sending")
        await asyncio.sleep(0.02)
    say("never stopped")
"""


async def told_to_pause(place: Place, *, account: str) -> object:
    """Pause this process for ten minutes; return what another says that is sending."""
    async with (
        FaultServer(always(answer(200, record()))) as healthy,
        FaultServer(always(answer(429, Retry_After="600"))) as full,
        place.process(SEND_ON, healthy.url, 150, account=account) as other,
        place.journal() as journal,
    ):
        assert other.stdout is not None
        assert json.loads(await other.stdout.readline()) == "sending"
        async with client_of(full.url, gate=SharedGate(ACCOUNT, journal)) as client:
            assert type(await error_of(client.phone_numbers.get(NUMBER))) is RateLimitError
        return json.loads(await other.stdout.readline())


async def test_a_pause_that_one_process_is_asked_for_holds_all(
    place: Place, unmeasured: None
) -> None:
    assert await told_to_pause(place, account=ACCOUNT) == ["CircuitOpenError", 0]


async def test_a_process_of_another_account_goes_on(place: Place, unmeasured: None) -> None:
    """The control: another row knows nothing of it."""
    assert await told_to_pause(place, account="another") == "never stopped"


async def test_a_pause_outlives_the_process_that_was_asked_for_it(place: Place) -> None:
    """A process that begins later keeps it, too."""
    async with place.journal() as journal:
        at = journal.now()
        told = Event(at, "refused", at, wait=600.0)
        await SharedRates(journal).exchange(
            ACCOUNT, RateReport(gate="one", events=[told], longest=600.0)
        )
    async with (
        FaultServer(always(answer(200, record()))) as server,
        place.journal() as journal,
        client_of(server.url, gate=SharedGate(ACCOUNT, journal)) as client,
    ):
        assert type(await error_of(client.phone_numbers.get(NUMBER))) is CircuitOpenError
        assert server.received == []


@pytest.mark.parametrize("until", ["1.7e12", "'Infinity'", "'NaN'"])
async def test_a_row_that_holds_a_pause_without_end_is_recovered_from(
    place: Place, until: str
) -> None:
    """Written by an earlier version, which believed every wait: the year 58882, for instance."""
    async with (
        FaultServer(always(answer(200, record()))) as server,
        place.journal() as journal,
        client_of(
            server.url, gate=SharedGate(ACCOUNT, journal, max_pause=1.5), deadline=30.0
        ) as client,
    ):
        place.know(50.0, ACCOUNT)
        place.poison(until)
        began = time.monotonic()
        report = RateReport(gate="another", wanted=1, longest=1.5)
        first = await SharedRates(journal).exchange(ACCOUNT, report)
        second = await SharedRates(journal).exchange(ACCOUNT, report)
        await client.phone_numbers.get(NUMBER)
        took = time.monotonic() - began
        third = await SharedRates(journal).exchange(ACCOUNT, report)

    assert first.paused_until == second.paused_until
    assert 1.0 < took < 15.0
    assert len(third.granted) == 1


BAD_VALUES = [
    *("rate = 'NaN'", "rate = 'Infinity'", "rate = -1", "rate = 0", "rate = 1e300"),
    *("model = '[0]'", "model = '[NaN, {}]'", "revision = -9", "paused_until = -1"),
]


@pytest.mark.parametrize("values", BAD_VALUES)
async def test_a_row_with_a_bad_value_stops_no_worker(place: Place, values: str) -> None:
    """The next exchange replaces it."""
    place.know(50.0, ACCOUNT)
    place.server.asked(f'UPDATE "{schema_of(place.folder)}".rates SET {values}')
    async with place.journal() as journal:
        gate = SharedGate(ACCOUNT, journal)
        for _ in range(20):
            await passes(gate)
        permit = await gate.acquire(width=10, deadline=math.inf)
        gate.throttled(permit, 0.2)
        gate.release(permit)
        for _ in range(20):
            await passes(gate)
        await asyncio.sleep(2 * POLL)

    rate = gate.admission.rate
    assert rate is not None
    assert 0.0 < rate < 1e6
    assert problem_of(gate) is None


# ---------------------------------------------------------------- processes that die

HOLD = """
await gate.acquire(width=100, deadline=right_seconds() + 60.0)
calls = [gate.acquire(width=100, deadline=right_seconds() + 60.0) for _ in range(100)]
tasks = [asyncio.ensure_future(call) for call in calls]
while not gate.admission.leased.grants:
    await asyncio.sleep(0)
say("holding")
time.sleep(600)
"""


async def held_by_the_killed(place: Place) -> float:
    """Kill a process that holds moments; return the seconds that the others must wait for them."""
    async with place.process(HOLD) as holder:
        assert holder.stdout is not None
        assert json.loads(await holder.stdout.readline()) == "holding"
        holder.send_signal(signal.SIGKILL)
        await holder.wait()
    slots = place.slots()
    return slots[-1] - slots[0] if slots else 0.0


async def test_a_process_that_is_killed_holds_up_no_other(place: Place, unmeasured: None) -> None:
    """What it has taken is over in a tenth of a second, however many were waiting."""
    place.know(50.0, ACCOUNT)

    assert await held_by_the_killed(place) <= 0.3
    async with place.journal() as journal:
        gate = SharedGate(ACCOUNT, journal)
        for _ in range(5):
            permit = await gate.acquire(width=1, deadline=asyncio.get_running_loop().time() + 30.0)
            gate.release(permit)


async def test_without_a_bound_one_process_could_hold_up_all(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control."""
    monkeypatch.setattr(rules, "BATCH_SECONDS", 100.0)
    place.know(50.0, ACCOUNT)
    async with place.journal() as journal:
        await SharedRates(journal).exchange(ACCOUNT, RateReport(gate="one", wanted=1_000))

    slots = place.slots()
    assert slots[-1] - slots[0] == pytest.approx(20.0, abs=0.5)


# ---------------------------------------------------------------- a database that fails


async def passes(gate: Gate, seconds: float = 30.0) -> None:
    permit = await gate.acquire(width=10, deadline=asyncio.get_running_loop().time() + seconds)
    gate.release(permit)


def problem_of(gate: SharedGate) -> str | None:
    """Return what a type checker must not remember."""
    return gate.problem


async def test_calls_go_on_without_the_database_and_follow_it_again(place: Place) -> None:
    place.know(200.0, ACCOUNT)
    async with (
        relay_to(place.server) as relay,
        PostgresJournal(relay.dsn, schema=schema_of(place.folder)) as journal,
    ):
        gate = SharedGate(ACCOUNT, journal)
        await passes(gate)
        assert problem_of(gate) is None
        relay.refusing = True
        place.server.asked(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'sigmamind-async'"
        )
        await asyncio.sleep(TTL)
        while "PostgreSQL database postgres on " not in str(problem_of(gate)):
            await passes(gate)
            await asyncio.sleep(0.05)
        relay.refusing = False
        while problem_of(gate) is not None:
            await passes(gate)
            await asyncio.sleep(0.05)
    assert gate.admission.rate == pytest.approx(200.0, rel=0.1)


async def test_a_locked_row_is_not_waited_for_past_a_deadline(
    place: Place,
) -> None:
    """And after a second not at all."""
    place.know(200.0, ACCOUNT)
    async with place.journal() as journal:
        with place.server.connected() as console, console.transaction():
            table = f'"{schema_of(place.folder)}".rates'
            console.execute(f"SELECT 1 FROM {table} FOR UPDATE".encode())
            gate = SharedGate(ACCOUNT, journal)
            assert type(await error_of(passes(gate, 0.1))) is APITimeoutError
            await passes(gate)
            assert problem_of(gate) is not None


async def test_a_journal_that_is_used_wrongly_is_an_error_before_anything_is_sent(
    place: Place,
) -> None:
    closed = place.journal()
    async with (
        FaultServer(always(answer(200, record()))) as server,
        place.journal(read_only=True) as looking,
    ):
        for journal, problem in [(closed, "is not open"), (looking, "read_only=True")]:
            async with client_of(server.url, gate=SharedGate(ACCOUNT, journal)) as client:
                error = await error_of(client.phone_numbers.get(NUMBER))
                assert type(error) is JournalError
                assert problem in str(error)
        assert server.received == []


# ---------------------------------------------------------------- the row


async def test_processes_that_store_at_once_lose_nothing(place: Place) -> None:
    """Each begins again where another was faster, so that the row holds what each was given."""
    place.know(500.0, ACCOUNT)
    async with place.journal() as one, place.journal() as other:
        replies = await asyncio.gather(
            *(
                SharedRates(journal).exchange(ACCOUNT, RateReport(gate=f"gate {n}", wanted=4))
                for n in range(8)
                for journal in (one, other)
            )
        )
    granted = sorted(at for reply in replies for at in reply.granted)
    to_come = place.slots()

    assert granted[len(granted) - len(to_come) :] == to_come
    assert place.row("revision") == (17,)


async def test_a_store_that_did_not_look_would_lose_what_another_has_stored(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control."""
    monkeypatch.setattr(rules, "_STORE", rules._STORE.replace("WHERE", "WHERE true OR"))  # noqa: SLF001
    with pytest.raises(AssertionError):
        await test_processes_that_store_at_once_lose_nothing(place)


async def test_a_journal_from_before_there_were_rates_is_brought_up_to_date(
    postgres: Server, tmp_path: Path
) -> None:
    schema = schema_of(tmp_path)
    async with await psycopg.AsyncConnection.connect(postgres.dsn(), autocommit=True) as earlier:
        await migrate(earlier, schema, migrations=MIGRATIONS[:1])
    async with postgres.journal(tmp_path) as journal:
        reply = await SharedRates(journal).exchange(ACCOUNT, RateReport(gate="one"))
    assert reply.version == 0
