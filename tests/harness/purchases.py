"""Numbers bought through faults and kill -9: how many twice, lost, unknown or invented.

``python -m benchmarks purchases`` runs a platform that misbehaves (`shop`) and a process that buys
from it through `Provisioner.run_many` and a SQLite journal (`buyer`). A share of all requests meets
one of 16 kinds of faults: refused, reset before and after the commit, answered with silence,
garbage, half a body, 429, 500 or 503 with and without a commit, committed seconds after the
connection broke. Again and again the buyer is killed with SIGKILL and started with the same
command, until it has bought everything. The judge is the platform's ledger, not the buyer.

The settle time is what makes it true. ``--settle-time 0`` takes a number that two listings do not
show for one that will never come: two runs bought 10 and 14 of 10,000 twice, two more with
``--count 1000 --kills 3`` 11 and 13 of 1,000 (a job settles what is unconfirmed at its end, so a
short one believes sooner).

``--in-memory`` buys without sockets, from a sandbox in this process whose time is virtual: requests
arrive up to a minute late, the settle time is the default one of 15 minutes, and what is measured
is processor time. Nothing is killed.

``--peers`` buys from the same platform, without killing anybody, with the published clients of
three other platforms as they are by default, but for a timeout as short as ours here. They are
installed apart: ``pip install retell-sdk telnyx vapi-server-sdk`` into the interpreter that
``--peers-python`` names.
"""

import asyncio
import json
import random
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

from sigmamind_async import SigmaMind
from sigmamind_async.platforms.sigmamind.models import CreatePhoneNumber
from sigmamind_async.provisioning import MemoryJournal, Provisioner, Row, SqliteJournal, State
from sigmamind_async.sandbox import REALISTIC_FAULTS, Commit, Faults, Ledger, Sandbox
from sigmamind_async.testing import VirtualLoop, in_virtual_time
from tests.harness import preloaded

HERE = Path(__file__).parent
LATE = 10.0
"""Seconds from a lost connection to the commit that follows it."""
LAG = 0.5
"""Seconds until the listing shows a number."""
MARGIN = 4.5
"""Seconds for what the platform has received and not begun to handle, being busy."""
SETTLE_TIME = LATE + LAG + MARGIN
"""Longer than the platform can take to carry out and to show what nobody waits for any more."""
RESTARTS = 40
"""Most starts of a buyer that ends by itself and has not bought everything."""
PATIENCE = 1200.0
"""Longest time in seconds that one buyer may take."""
PEER_TIMEOUT = 0.3
PEERS = {"retell": "retell-sdk", "telnyx": "telnyx", "vapi": "vapi-server-sdk"}
"""Packages by the name of their module."""


@attrs.frozen(kw_only=True)
class Plan:
    """What is bought, and what goes wrong meanwhile."""

    count: int = 10_000
    faults: float = 0.2
    """Share of the requests that go wrong."""
    kills: int = 12
    seed: int = 1
    width: int = 50
    """Purchases under way at once."""
    late: float = LATE
    lag: float = LAG
    settle_time: float = SETTLE_TIME


@attrs.frozen(kw_only=True)
class Verdict:
    """What the ledger says about the journal."""

    twice: int
    """Numbers bought beyond the first of an operation."""
    lost: int
    """Operations for which nothing was bought."""
    unknown: int
    """Numbers paid for that no row of the journal knows."""
    phantom: int
    """Numbers in the journal that were never sold."""

    @property
    def clean(self) -> bool:
        return not (self.twice or self.lost or self.unknown or self.phantom)


@attrs.frozen(kw_only=True)
class Report:
    """How a run went."""

    verdict: Verdict
    kills: int
    seconds: float
    """Of a clock; in memory, of the processor."""
    faults: dict[str, int]
    """Requests by the fault they met."""
    adopted: int
    """Numbers that nobody was told of, and that were found."""
    resent: int
    """Operations that were sent more than once."""


# --- the platform ----------------------------------------------------------------------------


@attrs.frozen
class Shop:
    """The platform's process, from outside."""

    url: str
    key: str

    def ask(self, name: str) -> Any:
        with urllib.request.urlopen(f"{self.url}/_sandbox/{name}") as answer:
            return json.load(answer)

    def stats(self) -> dict[str, Any]:
        stats: dict[str, Any] = self.ask("stats")["sigmamind"]
        return stats

    def requests(self) -> int:
        return int(self.stats()["requests"]["total"])

    def ledger(self) -> Ledger:
        """Wait until nothing is being handled, late commits included, and return the ledger."""
        while self.stats()["in_flight"]:
            time.sleep(0.1)
        ledger = Ledger()
        for commit in self.ask("ledger")["commits"]:
            ledger.append(Commit(**commit))
        return ledger


@contextmanager
def shop_process(plan: Plan) -> Iterator[Shop]:
    """Run the platform in a process of its own."""
    options = {"seed": plan.seed, "share": plan.faults, "late": plan.late, "lag": plan.lag}
    arguments = [text for name, value in options.items() for text in (f"--{name}", str(value))]
    process = preloaded.Popen(
        script("shop.py", *arguments), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        url, key = process.stdout.readline().split()
        yield Shop(url, key)
    finally:
        process.stdin.close()
        process.stdout.close()
        process.wait()


def script(name: str, *arguments: str) -> list[str]:
    # -P: modules beside the script must not stand for installed ones.
    return [sys.executable, "-P", str(HERE / name), *arguments]


# --- buying, and being killed ----------------------------------------------------------------


def run(plan: Plan, journal: Path) -> Report:
    """Buy everything that *plan* says into *journal*, and judge it."""
    began = time.perf_counter()
    with shop_process(plan) as shop:
        kills = buy_through_kills(plan, shop, journal)
        seconds = time.perf_counter() - began
        ledger, faults = shop.ledger(), shop.stats()["requests"]["by_fault"]
    rows = asyncio.run(rows_of(journal))
    return Report(
        verdict=judge(plan.count, ledger, rows),
        kills=kills,
        seconds=seconds,
        faults=faults,
        adopted=sum(row.adopted for row in rows),
        resent=sum(row.attempt > 1 for row in rows),
    )


def buy_through_kills(plan: Plan, shop: Shop, journal: Path) -> int:
    """Run the buyer until it has finished, killing it at every moment drawn; return the kills."""
    moments = deque(kill_moments(plan))
    kills = starts = 0
    while starts < RESTARTS:
        with buyer_process(plan, shop, "--journal", str(journal)) as buyer:
            if moments and reaches(buyer, shop, moments[0]):
                moments.popleft()
                kills += 1
            elif buyer.wait(PATIENCE) == 0:
                return kills
            else:
                starts += 1
    raise RuntimeError(f"the buyer has not bought everything in {starts} starts")


@attrs.frozen
class Moment:
    """When the buyer is killed: so many seconds after the platform has had so many requests."""

    requests: int
    seconds: float


def kill_moments(plan: Plan) -> list[Moment]:
    """Draw the moments: all that were asked for before the buyer can have finished, and more.

    The further ones, one for every four, come while it settles what is unconfirmed.
    """
    chance = random.Random(plan.seed)
    early = [chance.randrange(plan.count) for _ in range(plan.kills)]
    late = [plan.count + chance.randrange(plan.count // 10 + 1) for _ in range(-(-plan.kills // 4))]
    return [Moment(requests, chance.uniform(0, 0.3)) for requests in sorted(early + late)]


def reaches(buyer: subprocess.Popen[str], shop: Shop, moment: Moment) -> bool:
    """Wait for *moment*; return whether *buyer* is still running then."""
    while buyer.poll() is None:
        if shop.requests() >= moment.requests:
            time.sleep(moment.seconds)
            return buyer.poll() is None
        time.sleep(0.02)
    return False


@contextmanager
def buyer_process(plan: Plan, shop: Shop, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run the buyer in a process of its own; kill it at the end, should it still run."""
    command = script(
        "buyer.py",
        *(shop.url, shop.key),
        *("--count", str(plan.count)),
        *("--settle-time", str(plan.settle_time)),
        *("--width", str(plan.width)),
        *arguments,
    )
    process = preloaded.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


# --- in memory -------------------------------------------------------------------------------

LATE_IN_MEMORY = 60.0
SETTLE_TIME_IN_MEMORY = 900.0


def run_in_memory(plan: Plan) -> Report:
    """Buy everything that *plan* says in virtual time, and judge it."""
    began = time.process_time()
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        box, rows = runner.run(buy_in_memory(plan))
    return Report(
        verdict=judge(plan.count, box.ledger, rows),
        kills=0,
        seconds=time.process_time() - began,
        faults=dict(box.sigmamind.requests.by_fault),
        adopted=sum(row.adopted for row in rows),
        resent=sum(row.attempt > 1 for row in rows),
    )


async def buy_in_memory(plan: Plan) -> tuple[Sandbox, list[Row]]:
    faults = Faults(share=plan.faults, kinds=REALISTIC_FAULTS, hang=30.0, late=plan.late)
    box = Sandbox(seed=plan.seed, faults=faults, list_lag=plan.lag)
    client = in_virtual_time(SigmaMind(box.sigmamind.api_key, transport=box.transport()))
    journal = MemoryJournal()
    provisioner = Provisioner(client, journal, retry_unconfirmed=True, settle_time=plan.settle_time)
    values = [
        (name, CreatePhoneNumber(country_code="US", friendly_name=name))
        for name in (f"row-{number}" for number in range(plan.count))
    ]
    for _ in range(RESTARTS):
        ended = [outcome async for outcome in provisioner.run_many(values)]
        if all(outcome.status == "done" for outcome in ended):
            break
        await asyncio.sleep(plan.settle_time)
    await box.settled()
    await provisioner.sweep()
    return box, await journal.in_states("sigmamind", list(State))


# --- the judgement ---------------------------------------------------------------------------


async def rows_of(journal: Path) -> list[Row]:
    async with SqliteJournal(journal) as opened:
        rows: list[Row] = await opened.in_states("sigmamind", list(State))
    return rows


def judge(count: int, ledger: Ledger, rows: Sequence[Row]) -> Verdict:
    """Hold the journal's *rows* against the *ledger*, number by number."""
    sold = {
        (row_name(commit.friendly_name), commit.phone_number or "") for commit in ledger.purchases
    }
    known = {
        (row.op_id, number)
        for row in rows
        for number in (row.phone_number, *row.duplicates, *row.released)
        if number
    }
    names = [f"row-{number}" for number in range(count)]
    return Verdict(
        twice=sum(len(numbers) - 1 for numbers in ledger.bought_twice(by=row_name).values()),
        lost=len(ledger.missing(names, by=row_name)),
        unknown=len(sold - known),
        phantom=len(known - sold),
    )


def row_name(label: str | None) -> str:
    """Return the caller's own label, without the tag of the attempt: ``row-1 [sm:...]``."""
    return (label or "").partition(" [sm:")[0]


# --- beside other clients --------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Bargain:
    """What one client bought."""

    twice: int
    unknown: int
    """Numbers that were paid for, and nobody was told of."""
    lost: int
    seconds: float


def compare(plan: Plan, python: str) -> Iterator[tuple[str, Bargain | None]]:
    """Buy with each client from a platform of the same seed; `None` for one not installed."""
    yield "Provisioner, SqliteJournal", bargain(plan, buy_journaled)
    yield "SigmaMind alone", bargain(plan, buy_bare)
    for name, package in PEERS.items():
        version = version_of(python, name, package)
        if version is None:
            yield package, None
        else:
            command = [python, str(HERE / "peers.py"), name]
            yield f"{package} {version}", bargain(plan, peer(command))


Told = list[str]
"""Rows of which the caller was told that they are bought."""
Buying = Callable[[Plan, Shop], Told]


def bargain(plan: Plan, buy: Buying) -> Bargain:
    with shop_process(plan) as shop:
        began = time.perf_counter()
        told = set(buy(plan, shop))
        seconds = time.perf_counter() - began
        ledger = shop.ledger()
    sold = Counter(row_name(commit.friendly_name) for commit in ledger.purchases)
    return Bargain(
        twice=sum(number - 1 for number in sold.values()),
        unknown=sum(number - (name in told) for name, number in sold.items()),
        lost=plan.count - len(sold),
        seconds=seconds,
    )


def buy_journaled(plan: Plan, shop: Shop) -> Told:
    with tempfile.TemporaryDirectory() as folder:
        journal = Path(folder, "orders.db")
        buy_through_kills(attrs.evolve(plan, kills=0), shop, journal)
        return [row.op_id for row in asyncio.run(rows_of(journal)) if row.phone_number]


def buy_bare(plan: Plan, shop: Shop) -> Told:
    with buyer_process(plan, shop) as buyer:
        printed, _ = buyer.communicate(timeout=PATIENCE)
    return told_by(printed)


def peer(command: Sequence[str]) -> Buying:
    """Return how the client that *command* runs buys."""

    def buy(plan: Plan, shop: Shop) -> Told:
        arguments = [shop.url, shop.key, str(plan.count), str(plan.width), str(PEER_TIMEOUT)]
        ended = subprocess.run(
            [*command, *arguments],
            check=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=PATIENCE,
        )
        return told_by(ended.stdout)

    return buy


def told_by(printed: str | bytes) -> Told:
    told: Told = json.loads(printed)
    return told


def version_of(python: str, module: str, package: str) -> str | None:
    """Return the version of *package*, `None` where *python* has none."""
    code = f"import {module}; from importlib.metadata import version; print(version({package!r}))"
    found = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    return found.stdout.strip() if found.returncode == 0 else None
