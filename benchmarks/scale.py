"""How cost grows with the work: rows, purchases, enqueuing, listings, a second apply.

Each part runs in a process of its own, on an empty PostgreSQL server with ``fsync`` on or an empty
file, and ``--rounds`` times: a figure is the median, with the lowest and the highest. By default
the sizes are small; the goals are for ``--rows 1000000``. ``--publish`` keeps the figures in
``benchmarks/results/scale.json`` and shows them in the guide.
"""

import argparse
import asyncio
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import attrs
import orjson
import psycopg

from benchmarks.fleet import second_apply
from benchmarks.machine import machine
from benchmarks.publish import RESULTS
from benchmarks.server import SIGMAMIND, answer, request_size
from benchmarks.tables import markdown, short, table
from sigmamind_async import DialNexa, RetryPolicy, SigmaMind
from sigmamind_async.client import Client
from sigmamind_async.operation import Response
from sigmamind_async.platforms.sigmamind import CreatePhoneNumber
from sigmamind_async.provisioning import MemoryJournal, PostgresJournal, Provisioner, SqliteJournal
from sigmamind_async.provisioning.fingerprint import new_row
from sigmamind_async.provisioning.journal.sql import NAMES, to_columns
from sigmamind_async.provisioning.row import Kind, Row, State
from sigmamind_async.testing import ScriptedTransport, VirtualLoop, in_virtual_time
from sigmamind_async.transport import HttpRequest
from sigmamind_async.workers import Account, Queue, Worker
from tests.harness.postgres import Server, running

FILE = RESULTS / "scale.json"
PAGE = RESULTS.parent.parent / "sigmamind_async/docs/explanation/scale.md"
HEAD = ("", "", "median", "lowest to highest", "runs", "load")
MIB = 1024  # the system counts in KiB
ACCOUNT = "sigmamind"
SLOW_COMMIT = {"commit_delay": "5000", "commit_siblings": "0"}
"""A disk like a cloud's: a commit takes 5 ms."""
NO_SETTINGS: Mapping[str, str] = {}
SMALL = 20_000
COUNTED = 200
"""Purchases of which each statement is counted."""
SAMPLE_EVERY = 0.02
STATEMENT = re.compile(r"LOG:  (?:statement|execute [^:]*): (?!SELECT wait_event|SELECT 1 FROM)")
"""In the server's log; not those of this module."""

Figures = dict[str, float]
PAGE_SECONDS = 0.2
"""How long a platform takes for one page of a listing."""
PAGING: dict[str, tuple[type[Client], str, str, int]] = {
    "sigmamind": (SigmaMind, "size", "totalCount", 0),
    "dialnexa": (DialNexa, "limit", "total", 1),
}
"""Client, names of a page's size and of the total, and number of the first page."""


@attrs.frozen
class Place:
    """Where an account's operations are."""

    database: str = "postgres"
    schema: str = "sigmamind"
    label: str = ""

    @property
    def account(self) -> str:
        return f"{ACCOUNT}:{self.label}" if self.label else ACCOUNT


ALONE = (Place(),)
ONE_SCHEMA = (Place(label="a"), Place(label="b"))
TWO_SCHEMAS = (Place(schema="a", label="a"), Place(schema="b", label="b"))
TWO_DATABASES = (Place("a", label="a"), Place("b", label="b"))


# --- the parts, each in its own process ------------------------------------------------------


async def waiting(dsn: str, rows: str) -> Figures:
    """Look after an account whose queue holds many operations."""
    fill(dsn, int(rows))
    async with platform(listed=100) as url, client(url) as made, PostgresJournal(dsn) as journal:
        provisioner = Provisioner(made, journal)
        await journal.put(row_of(-1, State.UNCONFIRMED, journal.journal_id))
        await provisioner.accept_key()
        before = reset_peak()
        status = await timed(provisioner.status(), beside=journal)
        reconcile = await timed(provisioner.reconcile(), beside=journal)
    return {
        "status, s": status[0],
        "reconcile, s": reconcile[0],
        "memory, MiB": peak_mib() - before,
        "longest wait of another call, ms": 1000 * max(status[1], reconcile[1]),
    }


async def enqueue(dsn: str, rows: str) -> Figures:
    """Hand over many operations in one call."""
    queue = Queue(dsn)
    await queue.prepare()
    values = ((f"row-{n}", purchase(n)) for n in range(int(rows)))
    before, began = reset_peak(), time.perf_counter()
    await queue.enqueue_many(values)
    seconds = time.perf_counter() - began
    return {"operations a second": int(rows) / seconds, "memory, MiB": peak_mib() - before}


async def rotated_key(path: str, rows: str) -> Figures:
    """Begin a run with another API key of the same account."""
    async with SqliteJournal(path) as journal:
        for start in range(0, int(rows), 500):
            numbers = range(start, min(start + 500, int(rows)))
            done = [row_of(n, State.DONE, journal.journal_id) for n in numbers]
            await asyncio.gather(*map(journal.put, done))
        async with platform(listed=100) as url:
            async with client(url, "sk_old") as made:
                await Provisioner(made, journal).accept_key()
            async with client(url, "sk_new") as made:
                before, began = reset_peak(), time.process_time()
                await Provisioner(made, journal).reconcile()
                seconds = time.process_time() - began
    return {"seconds": seconds, "memory, MiB": peak_mib() - before}


async def work(dsn: str, url: str, width: str, schema: str, labels: str) -> Figures:
    """Carry out what is enqueued for the accounts with these labels, until stopped."""
    make = partial(SigmaMind, "sk_bench", base_url=url, retry=RetryPolicy())
    accounts = [Account(make, label=label or None) for label in labels.split(",")]
    await Worker(accounts, dsn, schema=schema, concurrency=int(width), polling=0.2).run()
    return {}


async def listing(platform: str, numbers: str) -> Figures:
    """Reconcile one purchase with an account of many numbers, in virtual time."""
    kind, size_name, total_name, first = PAGING[platform]

    def page(request: HttpRequest) -> Response:
        query = {
            name: int(value) for name, [value] in parse_qs(urlsplit(request.url).query).items()
        }
        start = (query["page"] - first) * query[size_name]
        items = [
            {"id": f"phn_{n}", "phone_number": f"+1415{n:07d}", **numbered(n)}
            for n in range(start, min(start + query[size_name], int(numbers)))
        ]
        return Response(status=200, body=orjson.dumps({"data": items, total_name: int(numbers)}))

    transport = ScriptedTransport(page, latency=PAGE_SECONDS, remember=0)
    made = in_virtual_time(kind("sk_bench", transport=transport))
    journal = MemoryJournal()
    unconfirmed = row_of(0, State.UNCONFIRMED, journal.journal_id)
    await journal.put(attrs.evolve(unconfirmed, account=platform))
    before, loop = reset_peak(), asyncio.get_running_loop()
    began, cpu = loop.time(), time.process_time()
    await Provisioner(made, journal).reconcile()
    return {
        "virtual seconds": loop.time() - began,
        "processor seconds": time.process_time() - cpu,
        "memory, MiB": peak_mib() - before,
    }


async def sell(listed: str) -> Figures:
    """Be the platform, until the input ends."""
    async with platform(listed=int(listed)) as url:
        print(url, flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    return {}


PARTS: dict[str, Callable[..., Coroutine[Any, Any, Figures]]] = {
    made.__name__: made for made in (waiting, enqueue, rotated_key, listing, work, sell)
}


# --- rows and the platform -------------------------------------------------------------------


def purchase(number: int) -> CreatePhoneNumber:
    return CreatePhoneNumber(country_code="US", friendly_name=f"row-{number}")


def row_of(number: int, state: State, journal_id: str) -> Row:
    row = new_row(
        f"row-{number}",
        purchase(number),
        kind=Kind.PURCHASE,
        key="",
        journal_id=journal_id,
        account=ACCOUNT,
    )
    unconfirmed = time.time() if state is State.UNCONFIRMED else 0.0
    phone_number = f"+1415{number:07d}" if state is State.DONE else ""
    return attrs.evolve(
        row,
        state=state,
        version=1,
        enqueued=True,
        unconfirmed_since=unconfirmed,
        phone_number=phone_number,
        record=phone_number,
        result={**SIGMAMIND, "sipPhoneNumber": phone_number} if phone_number else None,
    )


def fill(dsn: str, count: int) -> None:
    """Write so many waiting operations and their jobs, as enqueuing would have."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        values = to_columns(row_of(0, State.PLANNED, "0" * 32))
        marks = ", ".join(["%s"] * len(values))
        chosen = ", ".join(
            {"op_id": "'row-' || n", "token": "'T' || n"}.get(name, f"made.{name}")
            for name in NAMES.split(", ")
        )
        connection.execute("SET session_replication_role = replica")
        connection.execute(
            f"INSERT INTO sigmamind.operations ({NAMES}, write_id) SELECT {chosen},"
            f" gen_random_uuid() FROM (VALUES ({marks})) AS made ({NAMES}),"
            f" generate_series(1, {count}) AS n".encode(),
            values,
        )
        connection.execute(
            "INSERT INTO procrastinate_jobs (queue_name, task_name, queueing_lock, args)"
            " SELECT 'sigmamind/sigmamind', 'sigmamind:provision',"
            " 'sigmamind/sigmamind operation row-' || n,"
            " jsonb_build_object('account', 'sigmamind', 'op_id', 'row-' || n)"
            f" FROM generate_series(1, {count}) AS n".encode()
        )
        connection.execute("VACUUM ANALYZE")


def client(url: str, key: str = "sk_bench") -> SigmaMind:
    return SigmaMind(key, base_url=url)


class Selling(asyncio.Protocol):
    """Sells a number for every request to buy one, and lists some numbers."""

    sold = 0
    listed = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self._received = b""

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (size := request_size(self._received)) is not None:
            request, self._received = self._received[:size], self._received[size:]
            self._transport.write(self._answer(request))

    def _answer(self, request: bytes) -> bytes:
        if request.startswith(b"POST"):
            Selling.sold += 1
            label = json.loads(request.partition(b"\r\n\r\n")[2])["friendlyName"]
            return answer({**numbered(Selling.sold), "friendlyName": label})
        numbers = [numbered(n) for n in range(self.listed)]
        return answer(
            {
                "data": numbers,
                "page": 0,
                "size": 1000,
                "totalCount": len(numbers),
                "totalPages": 1,
                "hasNext": False,
                "hasPrevious": False,
            }
        )


def numbered(number: int) -> dict[str, object]:
    return {**SIGMAMIND, "sipPhoneNumber": f"+1415{number:07d}"}


class platform:  # noqa: N801 - used as a function
    """A platform in this loop; gives its base URL."""

    def __init__(self, *, listed: int) -> None:
        Selling.listed = listed

    async def __aenter__(self) -> str:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(Selling, "127.0.0.1", 0)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aexit__(self, *_: object) -> None:
        self._server.close()


# --- measuring -------------------------------------------------------------------------------


def reset_peak() -> float:
    """Forget the highest resident memory so far; return what it is now, in MiB."""
    # That of the process's start is its parent's.
    Path("/proc/self/clear_refs").write_text("5")
    return peak_mib()


def peak_mib() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / MIB


async def timed(work: Awaitable[object], *, beside: PostgresJournal) -> tuple[float, float]:
    """Return the seconds of *work*, and the longest of a call made meanwhile."""
    began, longest = time.perf_counter(), 0.0
    task = asyncio.ensure_future(work)
    while not task.done():
        asked = time.perf_counter()
        await beside.get(ACCOUNT, "row-1")
        longest = max(longest, time.perf_counter() - asked)
        await asyncio.sleep(0.002)
    await task
    return time.perf_counter() - began, longest


def child(part: str, *arguments: str) -> Figures:
    command = [sys.executable, "-m", "benchmarks.scale", part, *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    figures: Figures = json.loads(done.stdout)
    return figures


@contextmanager
def a_server(*places: Place, **settings: str) -> Generator[Server]:
    with running() as server:
        for name, value in {"fsync": "on", **settings}.items():
            server.asked(f"ALTER SYSTEM SET {name} = {value}")
        server.asked("SELECT pg_reload_conf()")
        for database in {place.database for place in places} - {"postgres"}:
            server.asked(f"CREATE DATABASE {database}")
        for place in places or ALONE:
            dsn = server.dsn(database=place.database)
            asyncio.run(Queue(dsn, schema=place.schema).prepare())
        yield server


def buy(
    count: int,
    workers: int,
    settings: Mapping[str, str] = NO_SETTINGS,
    *,
    width: int = 20,
    places: Sequence[Place] = ALONE,
) -> Figures:
    """Return how fast so many workers buy for the accounts of *places*, and what it takes."""
    with a_server(*places, **settings) as server:
        for place in places:
            operations = ((f"row-{n}", purchase(n)) for n in range(count // len(places)))
            queue = Queue(server.dsn(database=place.database), schema=place.schema)
            asyncio.run(queue.enqueue(operations, account=place.label or None))
        server.asked("SELECT pg_stat_reset_shared('io')")
        waits: Counter[str] = Counter()
        with sampling(server, waits):
            bought_at, cpu = _bought(server, places, workers, width)
        fsyncs = server.asked(
            "SELECT coalesce(sum(fsyncs), 0) FROM pg_stat_io"
            " WHERE object = 'wal' AND backend_type = 'client backend'"
        )[0][0]
        statements = len(STATEMENT.findall((server.folder / "log").read_text()))
    middle = bought_at[count // 10 : count - count // 10]
    print(f"    waits: {', '.join(f'{name} {n}' for name, n in waits.most_common(6)) or 'none'}")
    row_locks = waits["Lock:transactionid"] + waits["Lock:tuple"]
    counted = {"statements each": statements / count} if "log_statement" in settings else {}
    return {
        "purchases a second": (len(middle) - 1) / (middle[-1] - middle[0]),
        "worker CPU, ms each": 1000 * cpu / count,
        "durable commits each": int(fsyncs) / count,
        "waits that are for a row, %": 100 * row_locks / max(1, waits.total()),
        **counted,
    }


def _bought(
    server: Server, places: Sequence[Place], workers: int, width: int
) -> tuple[list[float], float]:
    """Run workers until all is bought; return when each was, and their processor seconds."""
    start = [sys.executable, "-m", "benchmarks.scale"]
    shop = subprocess.Popen(
        [*start, "sell", "0"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert shop.stdin is not None
    assert shop.stdout is not None
    url = shop.stdout.readline().strip()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    crew: list[subprocess.Popen[bytes]] = []
    schemas = list(dict.fromkeys((place.database, place.schema) for place in places))
    for number in range(workers):
        database, schema = schemas[number % len(schemas)]
        labels = ",".join(
            place.label for place in places if (place.database, place.schema) == (database, schema)
        )
        command = [*start, "work", server.dsn(database=database), url, str(width), schema, labels]
        crew.append(subprocess.Popen(command, stdout=subprocess.DEVNULL))

    def ask(statement: str) -> list[Any]:
        return [
            found
            for database, schema in schemas
            for found in server.asked(statement.format(schema), database=database)
        ]

    while ask("SELECT 1 FROM {}.operations WHERE state <> 'done' LIMIT 1"):
        time.sleep(0.2)
    for process in crew:
        process.terminate()
        process.wait()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    shop.stdin.close()
    shop.wait()
    moments = ask("SELECT updated_at FROM {}.operations")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return sorted(moment for (moment,) in moments), cpu


@contextmanager
def sampling(server: Server, waits: Counter[str]) -> Generator[None]:
    """Count in *waits* what busy connections of the server wait for, client and timeouts aside."""
    ended = threading.Event()

    def sample() -> None:
        with server.connected() as connection:
            while not ended.wait(SAMPLE_EVERY):
                waits.update(
                    f"{kind}:{event}"
                    for kind, event in connection.execute(
                        "SELECT wait_event_type, wait_event FROM pg_stat_activity"
                        " WHERE state = 'active' AND backend_type = 'client backend'"
                        " AND wait_event IS NOT NULL AND pid <> pg_backend_pid()"
                    )
                )

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


# --- from the command line -------------------------------------------------------------------


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rows", type=int, default=SMALL, help="waiting operations")
    parser.add_argument("--purchases", type=int, default=3000, help="for each rate")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each part")
    parser.add_argument("--only", metavar="PART", help="measure the parts whose name contains this")
    parser.add_argument("--publish", action="store_true", help="show them in the guide")


def measure(chosen: argparse.Namespace, figures: dict[str, object]) -> bool:
    """Measure all parts, print them and add them to *figures*."""
    for name, part in _parts(chosen.rows, chosen.purchases).items():
        if chosen.only and chosen.only not in name:
            continue
        print(f"\n{name}")
        found = spreads([part() for _ in range(chosen.rounds)])
        figures[name] = {"machine": machine(), "figures": found}
        table(("", "median", "lowest to highest"), map(cells, found.items()))
        sys.stdout.flush()
        if chosen.publish:
            publish({name: figures[name]})
    return True


def spreads(runs: Sequence[Figures]) -> dict[str, dict[str, float]]:
    """Return the median, the lowest and the highest of each figure."""
    return {
        what: {
            "median": statistics.median(run[what] for run in runs),
            "low": min(run[what] for run in runs),
            "high": max(run[what] for run in runs),
            "runs": len(runs),
        }
        for what in runs[0]
    }


def cells(figure: tuple[str, Mapping[str, float]]) -> tuple[str, str, str]:
    what, spread = figure
    return what, short(spread["median"]), f"{short(spread['low'])} to {short(spread['high'])}"


def publish(measured: Mapping[str, object]) -> None:
    """Keep *measured* in place of earlier figures of the same parts, and show all in the guide."""
    kept: dict[str, Any] = {**(json.loads(FILE.read_text()) if FILE.exists() else {}), **measured}
    FILE.write_text(json.dumps(kept, indent=1) + "\n")
    PAGE.write_text(with_table(PAGE.read_text(), kept))


def with_table(page: str, results: Mapping[str, Any]) -> str:
    """Return *page* with the table of *results* between its markers."""
    lines = list(markdown(HEAD, _rows(results)))
    machines = sorted({part["machine"].partition(", load")[0] for part in results.values()})
    shown = "\n".join([*lines, "", f"Measured on {'; '.join(machines)}."])
    marked = re.compile("(<!-- scale -->\n).*?(<!-- /scale -->)", re.DOTALL)
    assert marked.search(page), "the page has no place for the figures"
    return marked.sub(lambda found: f"{found[1]}{shown}\n{found[2]}", page)


def _rows(results: Mapping[str, Any]) -> Generator[tuple[str, ...]]:
    for name, part in results.items():
        load = part["machine"].partition(", load ")[2]
        for place, figure in enumerate(part["figures"].items()):
            runs = str(int(figure[1]["runs"]))
            yield (name if place == 0 else "", *cells(figure), runs, load if place == 0 else "")


def _parts(rows: int, purchases: int) -> dict[str, Callable[[], Figures]]:
    def on_server(part: str) -> Figures:
        with a_server() as server:
            return child(part, server.dsn(), str(rows))

    def in_file() -> Figures:
        with tempfile.TemporaryDirectory() as folder:
            return child("rotated_key", os.fspath(Path(folder, "j.db")), str(rows // 10))

    def two_accounts(places: Sequence[Place]) -> Callable[[], Figures]:
        return partial(buy, purchases, 2, places=places)

    return {
        f"{rows:,} operations waiting": partial(on_server, "waiting"),
        f"enqueue {rows:,} operations": partial(on_server, "enqueue"),
        f"a rotated key, {rows // 10:,} rows done": in_file,
        f"a second apply of {rows // 10:,} fleet rows": partial(second_apply, rows // 10),
        f"listing {rows // 2:,} numbers, 1,000 a page": partial(
            child, "listing", "sigmamind", str(rows // 2)
        ),
        f"listing {rows // 2:,} numbers, 100 a page": partial(
            child, "listing", "dialnexa", str(rows // 2)
        ),
        "counted: one worker, one job at a time": partial(
            buy, COUNTED, 1, {"log_statement": "'all'"}, width=1
        ),
        "one account, 1 worker": partial(buy, purchases, 1),
        "one account, 3 workers": partial(buy, purchases, 3),
        "one account, 3 workers, commits of 5 ms": partial(buy, purchases, 3, SLOW_COMMIT),
        "two accounts in one schema, 2 workers": two_accounts(ONE_SCHEMA),
        "two accounts in two schemas, 2 workers": two_accounts(TWO_SCHEMAS),
        "two accounts in two databases, 2 workers": two_accounts(TWO_DATABASES),
    }


if __name__ == "__main__":
    loop = VirtualLoop if sys.argv[1] == listing.__name__ else None
    with asyncio.Runner(loop_factory=loop) as runner:
        print(json.dumps(runner.run(PARTS[sys.argv[1]](*sys.argv[2:]))))
