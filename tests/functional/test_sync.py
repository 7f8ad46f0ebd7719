"""The blocking clients, over sockets: results, errors, threads, forks, interruptions, jobs."""

import asyncio
import gc
import os
import signal
import sqlite3
import sys
import threading
import time
import traceback
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from itertools import count, islice
from pathlib import Path
from queue import SimpleQueue

import pytest

from sigmamind_async import (
    ConfigurationError,
    InvalidRequestError,
    NotFoundError,
    OutcomeUnknownError,
)
from sigmamind_async.platforms.sigmamind.models import CreatePhoneNumber
from sigmamind_async.sandbox import Fault, Faults, Sandbox, SandboxThread
from sigmamind_async.sync import (
    DialNexa,
    MemoryJournal,
    PostgresJournal,
    Provisioner,
    SigmaMind,
    SqliteJournal,
    Verbex,
    event_loop,
)
from sigmamind_async.sync.blocking import Blocking, blocking, iterate
from sigmamind_async.sync.event_loop import EVENT_LOOP, EventLoopThread, poll_interval
from tests.functional.support import run_script
from tests.harness import preloaded


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with SandboxThread(seed=1) as opened:
        yield opened


@pytest.fixture
def client(box: Sandbox) -> Iterator[SigmaMind]:
    with SigmaMind(box.sigmamind.api_key, base_url=box.sigmamind.base_url) as opened:
        yield opened


# --- calls -----------------------------------------------------------------------------------


def test_the_calls_of_sigmamind(client: SigmaMind, box: Sandbox) -> None:
    bought = client.phone_numbers.create(country_code="US", friendly_name="Desk")
    number = bought.sip_phone_number
    changed = client.phone_numbers.update(number, inbound_agent_id="agent_1")
    listed = [each.sip_phone_number for each in client.phone_numbers.list(page_size=1)]
    client.phone_numbers.delete(number)

    assert (listed, changed.inbound_agent_id) == ([number], "agent_1")
    assert box.ledger.owned() == []


def test_the_calls_of_verbex(box: Sandbox) -> None:
    with Verbex(box.verbex.api_key, base_url=box.verbex.base_url) as client:
        made = client.phone_numbers.create(provider="pia", phone_number="+14155550123")
        [listed] = client.phone_numbers.list()

    assert made.id == listed.id


def test_the_calls_of_dialnexa(box: Sandbox) -> None:
    with DialNexa(box.dialnexa.api_key, base_url=box.dialnexa.base_url) as client:
        offer = client.phone_numbers.search("US")[0]
        price = next(iter(client.phone_number_pricing.list()))
        bought = client.phone_numbers.purchase(
            offer.number,
            telephony_provider_id=price.telephony_provider_id,
            country_iso="US",
        )

    assert box.ledger.owned() == [bought.phone_number]


def test_a_listing_that_has_ended_is_not_read_as_an_empty_account(client: SigmaMind) -> None:
    listing = client.phone_numbers.list()
    assert list(listing) == []

    with pytest.raises(ConfigurationError, match="has ended, and is read once"):
        list(listing)


def test_copies_share_the_gate_and_have_their_own_options(client: SigmaMind) -> None:
    copy = client.with_options(deadline=5.0)

    assert type(copy) is SigmaMind
    assert copy.gate is client.gate
    assert list(copy.phone_numbers.list()) == []


def test_raw_responses_and_free_requests(client: SigmaMind) -> None:
    response = client.with_raw_response.phone_numbers.create(country_code="US")
    number = response.parse().sip_phone_number
    body = client.request("GET", f"/v1/phone-numbers/{number}").parse()

    assert response.status == 201
    assert body["sipPhoneNumber"] == number


def test_an_error_has_a_traceback_from_the_call_to_its_cause(client: SigmaMind) -> None:
    with pytest.raises(NotFoundError) as caught:
        client.phone_numbers.get("+14155550199")

    frames = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert frames[0] == "test_an_error_has_a_traceback_from_the_call_to_its_cause"
    assert "get" in frames
    assert len(frames) < 9
    assert caught.value.__context__ is None


def test_a_wrong_argument_is_refused_before_anything_is_sent(
    client: SigmaMind, box: Sandbox
) -> None:
    with pytest.raises(InvalidRequestError, match="area_code"):
        client.phone_numbers.create(country_code="US", area_code=1)
    with pytest.raises(TypeError, match="countrycode"):
        client.phone_numbers.create(countrycode="US")  # type: ignore[call-arg]
    assert len(box.ledger) == 0


async def test_inside_a_running_loop_it_raises_at_once(box: Sandbox) -> None:
    """In its own loop it would wait for itself forever; any other it would block."""
    client = SigmaMind(box.sigmamind.api_key, base_url=box.sigmamind.base_url)

    with pytest.raises(RuntimeError, match="inside a running event loop"):
        client.phone_numbers.create(country_code="US")
    with pytest.raises(RuntimeError, match="inside a running event loop"):
        next(client.phone_numbers.list())
    bought = await asyncio.to_thread(client.phone_numbers.create, country_code="US")

    assert box.ledger.owned() == [bought.sip_phone_number]


def test_an_observer_that_calls_the_client_raises_and_does_not_hang(box: Sandbox) -> None:
    errors: list[RuntimeError] = []

    def look_up(_event: object) -> None:
        try:
            opened.phone_numbers.get("+14155550199")
        except RuntimeError as error:
            errors.append(error)

    with SigmaMind(
        box.sigmamind.api_key, base_url=box.sigmamind.base_url, observer=look_up
    ) as opened:
        opened.phone_numbers.create(country_code="US")

    assert errors


def test_a_session_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="session"):
        SigmaMind("key", session=object())  # type: ignore[arg-type]


def test_a_call_has_the_context_of_its_caller(box: Sandbox) -> None:
    """As a tracer needs it."""
    request: ContextVar[str] = ContextVar("request", default="none")
    seen: set[str] = set()
    with SigmaMind(
        box.sigmamind.api_key,
        base_url=box.sigmamind.base_url,
        observer=lambda _: seen.add(request.get()),
    ) as client:
        request.set("request 17")
        client.phone_numbers.create(country_code="US")

    assert seen == {"request 17"}


# --- jobs ------------------------------------------------------------------------------------


def test_rows_are_read_in_the_callers_thread(client: SigmaMind, box: Sandbox) -> None:
    """SQLite refuses any other, and a Django query would open a connection there."""
    database = sqlite3.connect(":memory:")
    labels = database.execute(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION SELECT i + 1 FROM n WHERE i < 20) SELECT i FROM n"
    )
    rows = (CreatePhoneNumber(country_code="US", friendly_name=f"row {i}") for (i,) in labels)

    outcomes = list(client.run_many(rows))
    database.close()

    assert sorted(outcome.index for outcome in outcomes) == list(range(20))
    assert {outcome.status for outcome in outcomes} == {"done"}
    assert len(box.ledger.purchases) == 20


def test_the_everyday_forms_take_lists_and_generators(client: SigmaMind) -> None:
    bought = client.phone_numbers.create_many(
        CreatePhoneNumber(country_code="US") for _ in range(3)
    )
    numbers = [outcome.result.sip_phone_number for outcome in bought.done if outcome.result]
    changed = client.phone_numbers.update_many(numbers, friendly_name="Desk")

    assert [len(bought.done), len(changed.done)] == [3, 3]
    assert {number.friendly_name for number in client.phone_numbers.list()} == {"Desk"}


def test_an_error_of_the_rows_comes_after_those_before_it(client: SigmaMind) -> None:
    def rows() -> Iterator[CreatePhoneNumber]:
        yield CreatePhoneNumber(country_code="US")
        raise LookupError("no more")

    outcomes = iter(client.run_many(rows()))

    assert next(outcomes).status == "done"
    with pytest.raises(LookupError, match="no more"):
        next(outcomes)


def test_leaving_a_job_ends_its_rows_and_loses_no_outcome(client: SigmaMind, box: Sandbox) -> None:
    values = (CreatePhoneNumber(country_code="US") for _ in count())
    run = client.run_many(values)
    delivered = list(islice(run, 3))

    known = [*delivered, *run.undelivered]
    assert len(delivered) == 3
    assert sum(outcome.status == "done" for outcome in known) >= 3
    assert {outcome.status for outcome in known} <= {"done", "unconfirmed", "skipped"}
    possible = [outcome for outcome in known if outcome.status != "skipped"]
    assert len(box.ledger.purchases) <= len(possible)


def test_rows_may_be_given_by_name(client: SigmaMind) -> None:
    rows = (CreatePhoneNumber(country_code="US") for _ in range(3))

    assert len(list(client.run_many(values=rows))) == 3


def test_stop_skips_the_rest(client: SigmaMind) -> None:
    run = client.run_many([CreatePhoneNumber(country_code="US")] * 500)
    outcomes = []
    for outcome in run:
        outcomes.append(outcome)
        run.stop()

    assert run.stopped == "stop() was called"
    assert run.stopped_by is None
    assert len(outcomes) == 500 == run.progress.finished
    assert outcomes[-1].status == "skipped"


def test_a_listing_can_be_left(client: SigmaMind, box: Sandbox) -> None:
    client.phone_numbers.create_many([CreatePhoneNumber(country_code="US")] * 5)
    numbers = client.phone_numbers.list(page_size=1)

    first = next(numbers)
    numbers.close()

    assert first.sip_phone_number in box.ledger.owned()
    assert next(numbers, None) is None


def test_a_listing_has_pages(client: SigmaMind) -> None:
    client.phone_numbers.create_many([CreatePhoneNumber(country_code="US")] * 5)

    pages = list(client.phone_numbers.list(page_size=2).pages())

    assert [len(page.items) for page in pages] == [2, 2, 1]


async def test_a_listing_that_is_collected_inside_a_loop_waits_for_nothing(box: Sandbox) -> None:
    def begin() -> None:
        client = SigmaMind(box.sigmamind.api_key, base_url=box.sigmamind.base_url)
        client.phone_numbers.create_many([CreatePhoneNumber(country_code="US")] * 3)
        numbers.append(client.phone_numbers.list(page_size=1))
        next(numbers[0])

    numbers: list[Iterator[object]] = []
    await asyncio.to_thread(begin)
    numbers.clear()
    gc.collect()


def test_a_client_that_is_collected_has_closed_its_connections(box: Sandbox) -> None:
    """Without `_Connections` the session would stay open, and aiohttp warn of it."""

    async def wait_until_closed() -> bool:
        for _ in range(200):
            if session.is_open:
                await asyncio.sleep(0.01)
        return not session.is_open

    numbers = SigmaMind(box.sigmamind.api_key, base_url=box.sigmamind.base_url).phone_numbers
    numbers.create_many([CreatePhoneNumber(country_code="US")] * 3)
    [session] = numbers._wrapped._runner.engine.transport._own.values()  # noqa: SLF001
    listing = numbers.list(page_size=1)
    del numbers
    gc.collect()
    assert next(listing).sip_phone_number in box.ledger.owned()
    assert session.is_open
    del listing
    gc.collect()
    assert EVENT_LOOP.run(wait_until_closed())


# --- provisioning ----------------------------------------------------------------------------


def test_an_order_is_carried_out_once(client: SigmaMind, box: Sandbox, tmp_path: Path) -> None:
    value = CreatePhoneNumber(country_code="US", friendly_name="Desk")
    numbers = []
    for _ in range(2):
        with SqliteJournal(tmp_path / "orders.db") as journal:
            provisioner = Provisioner(client, journal, max_purchases=1)
            numbers.append(provisioner.run("order-1042", value).sip_phone_number)

    assert numbers == box.ledger.owned() * 2
    assert len(box.ledger.purchases) == 1


def test_an_order_is_kept_in_postgres(
    client: SigmaMind, box: Sandbox, request: pytest.FixtureRequest
) -> None:
    server = request.getfixturevalue("postgres")
    value = CreatePhoneNumber(country_code="US", friendly_name="Desk")
    for _ in range(2):
        with PostgresJournal(server.dsn(), schema="of_blocking_clients") as journal:
            Provisioner(client, journal).run("order-1042", value)

    assert len(box.ledger.purchases) == 1


def test_upkeep_settles_what_was_left(client: SigmaMind, box: Sandbox) -> None:
    box.script("create", [Fault.RESET_AFTER_COMMIT], platform="sigmamind")
    with MemoryJournal() as journal:
        provisioner = Provisioner(client, journal)
        with suppress(OutcomeUnknownError):
            provisioner.send("order-1042", CreatePhoneNumber(country_code="US"))
        with provisioner.upkeep():
            while not provisioner.status().is_settled:
                time.sleep(0.01)

    assert len(box.ledger.purchases) == 1


def test_orders_of_a_job(client: SigmaMind, box: Sandbox) -> None:
    box.sigmamind.script("create", [Fault.RESET_AFTER_COMMIT])
    with MemoryJournal() as journal:
        provisioner = Provisioner(client, journal)
        rows = ((f"row-{i}", CreatePhoneNumber(country_code="US")) for i in range(5))
        outcomes = list(provisioner.run_many(rows))
        status = provisioner.status()

    assert {outcome.op_id for outcome in outcomes} == {f"row-{i}" for i in range(5)}
    assert (status.is_settled, status.purchase_count, len(box.ledger.purchases)) == (True, 5, 5)
    assert provisioner.account == "sigmamind"


@asynccontextmanager
async def watch(seen: list[object]) -> AsyncGenerator[asyncio.AbstractEventLoop]:
    try:
        yield asyncio.get_running_loop()
    except LookupError as error:
        seen.append(str(error))
        raise
    finally:
        seen.append(asyncio.get_running_loop())


def test_a_context_is_entered_and_left_in_the_loop() -> None:
    seen: list[object] = []

    with blocking(watch)(Blocking.wrap(seen, None)) as loop:
        assert seen == []

    assert seen == [loop]


def test_a_context_hears_of_an_error_in_its_block() -> None:
    seen: list[object] = []

    with pytest.raises(LookupError), blocking(watch)(Blocking.wrap(seen, None)) as loop:
        raise LookupError("planned")

    assert seen == ["planned", loop]


# --- threads, processes, interruptions -------------------------------------------------------


def test_any_number_of_threads_share_a_client(client: SigmaMind, box: Sandbox) -> None:
    def buy(_: int) -> str:
        return client.phone_numbers.create(country_code="US").sip_phone_number

    with ThreadPoolExecutor(16) as pool:
        bought = list(pool.map(buy, range(64)))

    assert sorted(bought) == sorted(box.ledger.owned())
    assert sum(thread.name == "sigmamind_async.sync" for thread in threading.enumerate()) == 1


PREAMBLE = """
import os, signal, sys, threading
from sigmamind_async.sync import SigmaMind
from sigmamind_async.platforms.sigmamind.models import CreatePhoneNumber

client = SigmaMind(sys.argv[2], base_url=sys.argv[1])
"""

FORK = """
warnings.simplefilter("ignore", DeprecationWarning)  # a fork beside a thread, from 3.12 on
print(client.phone_numbers.create(country_code="US").sip_phone_number, flush=True)
child = os.fork()
print(client.phone_numbers.create(country_code="US").sip_phone_number, flush=True)
if child:
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    print(client.phone_numbers.create(country_code="US").sip_phone_number, flush=True)
"""

LEFT_OPEN = """
client.phone_numbers.create(country_code="US")
print(next(client.phone_numbers.list()).sip_phone_number)
"""

DAEMON = """
import logging
from sigmamind_async.sync import event_loop
logging.basicConfig(stream=sys.stdout, level="INFO")
begun = threading.Event()

def buy():
    with client.with_options(observer=lambda event: begun.set()) as buyer:
        buyer.phone_numbers.create(country_code="US")

thread = threading.Thread(target=buy, daemon=True)
thread.start()
begun.wait(10)
event_loop.EVENT_LOOP.stop()  # as at the end, which may come before the thread has written
thread.join(10)
"""

FINALIZED = """
print(client.phone_numbers.create(country_code="US").sip_phone_number)

class Late:
    def __del__(self):
        try:
            client.phone_numbers.create(country_code="US")
        except RuntimeError as error:
            print(str(error).partition(",")[0])

late = Late()
"""

CTRL_C = """
def interrupt(signal_number, frame):
    raise KeyboardInterrupt

signal.signal(signal.SIGINT, interrupt)
print("ready", flush=True)
try:
    for outcome in client.run_many([CreatePhoneNumber(country_code="US")]) if JOB else [
        client.phone_numbers.create(country_code="US")
    ]:
        print(outcome)
except KeyboardInterrupt as interruption:
    print("interrupted", *getattr(interruption, "__notes__", ()), flush=True)
"""


async def run_against(box: Sandbox, script: str) -> list[str]:
    """Run a program that uses *box* and may give no warning; return the lines it prints."""
    end = box.sigmamind
    script = f"import warnings\nwarnings.simplefilter('error')\n{PREAMBLE}{script}"
    printed = await run_script(script, end.base_url, end.api_key, strict=False)
    return printed.splitlines()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="has no fork")
async def test_a_forked_process_and_its_parent_both_go_on(box: Sandbox) -> None:
    numbers = await run_against(box, FORK)

    assert len(numbers) == 4
    assert sorted(numbers) == sorted(box.ledger.owned())


async def test_a_client_that_is_left_open_ends_with_the_process(box: Sandbox) -> None:
    """Without a warning, also where an iterator was left in the middle."""
    assert await run_against(box, LEFT_OPEN) == box.ledger.owned()


async def test_a_daemon_thread_ends_with_the_process_without_a_traceback(box: Sandbox) -> None:
    """Also where its call has begun; what that may have done is in the log."""
    box.latency = (30.0, 30.0)
    [line] = await run_against(box, DAEMON)
    assert "create_phone_number: failed after 1 attempt in" in line


async def test_a_call_while_the_interpreter_shuts_down_is_refused(box: Sandbox) -> None:
    """The loop's thread has stopped by then: without a refusal the process never ends."""
    lines = await run_against(box, FINALIZED)
    assert lines == [*box.ledger.owned(), "the interpreter is shutting down"]


@pytest.mark.skipif(sys.platform == "win32", reason="sends a signal to a process")
@pytest.mark.parametrize("job", [False, True], ids=["call", "job"])
async def test_ctrl_c_ends_a_call_and_says_what_may_have_happened(job: bool) -> None:
    with SandboxThread(seed=1, faults=Faults(hang=60.0)) as box:
        box.sigmamind.script("create", [Fault.HANG_AFTER_COMMIT])
        end = box.sigmamind
        process = await preloaded.create_subprocess_exec(
            *(sys.executable, "-W", "error", "-c", f"JOB = {job}\n{PREAMBLE}{CTRL_C}"),
            *(end.base_url, end.api_key),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        while not box.ledger.purchases:  # noqa: ASYNC110 - another process makes it
            await asyncio.sleep(0.01)
        process.send_signal(signal.SIGINT)
        printed, complaints = await process.communicate()

    interrupted = printed.decode().splitlines()[-1]
    assert (process.returncode, complaints) == (0, b"")
    assert interrupted.startswith("interrupted")
    assert job or "may have been carried out" in interrupted
    assert len(box.ledger.purchases) == 1


def interrupt() -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("ending", "note"),
    [
        (lambda: "+14155550123", "the call had succeeded: '+14155550123'"),
        (lambda: 1 / 0, "the call ended with ZeroDivisionError('division by zero')"),
        (lambda: asyncio.sleep(60), "the call had not ended 0.05 s later"),
    ],
    ids=["succeeds", "fails", "goes on"],
)
def test_an_interruption_reports_how_the_call_ended(
    ending: Callable[[], object], note: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A number that was bought in the grace is in the note."""
    monkeypatch.setattr(event_loop, "GRACE", 0.05)
    inbox: event_loop.Inbox = SimpleQueue()
    loop = EventLoopThread()

    async def ignore_cancellation() -> object:
        inbox.put(interrupt)
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        result = ending()
        return await result if isinstance(result, Coroutine) else result

    with pytest.raises(KeyboardInterrupt) as caught:
        loop.run(ignore_cancellation(), inbox)
    loop.stop()

    assert caught.value.__notes__ == [note]


def test_an_interruption_takes_over_what_is_noted_at_a_cancellation() -> None:
    inbox: event_loop.Inbox = SimpleQueue()

    async def note() -> None:
        inbox.put(interrupt)
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError as cancelled:
            cancelled.add_note("it may have been carried out")
            raise

    with pytest.raises(KeyboardInterrupt) as caught:
        EVENT_LOOP.run(note(), inbox)

    assert caught.value.__notes__ == ["it may have been carried out"]


def test_an_error_is_part_of_no_reference_cycle() -> None:
    """Else each error would keep its frames, and what they hold, until the next collection."""

    class Lost(Exception):  # noqa: N818 - a name that only this test has
        pass

    async def fail() -> None:
        raise Lost

    gc.disable()
    try:
        with suppress(Lost):
            EVENT_LOOP.run(fail())
        EVENT_LOOP.run(asyncio.sleep(0))  # now the loop has let go of the task, too
        left = [each for each in gc.get_objects() if type(each) is Lost]
    finally:
        gc.enable()

    assert left == []


def test_a_step_that_goes_on_after_the_grace_keeps_the_interruption(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(event_loop, "GRACE", 0.05)
    inbox: event_loop.Inbox = SimpleQueue()
    release = asyncio.Event()

    async def steps() -> AsyncGenerator[int, None]:
        inbox.put(interrupt)
        while not release.is_set():
            with suppress(asyncio.CancelledError):
                await release.wait()
        yield 1

    with pytest.raises(KeyboardInterrupt):
        next(iterate(steps(), inbox, None))
    EVENT_LOOP.call_soon(release.set)


def test_where_a_signal_wakes_no_thread_it_looks_for_one() -> None:
    """As on Windows, simulated: the wait for the result is made of short ones."""
    assert poll_interval("win32") is not None
    assert poll_interval("linux") is poll_interval("darwin") is None
    loop = EventLoopThread("win32")
    loop._poll = 0.001  # noqa: SLF001 - so that the test is short

    async def last() -> str:
        await asyncio.sleep(0.05)
        return "done"

    try:
        assert loop.run(last()) == "done"
    finally:
        loop.stop()


def test_it_starts_again_after_it_was_stopped(client: SigmaMind) -> None:
    assert list(client.phone_numbers.list()) == []
    EVENT_LOOP.stop()
    EVENT_LOOP.stop()
    assert list(client.phone_numbers.list()) == []


@pytest.mark.parametrize("began", [False, True])
def test_an_interrupt_while_a_call_begins_does_not_leave_it_behind(began: bool) -> None:
    """It would buy after the program has been told that it was interrupted."""
    events: list[str] = []

    class Interrupted(EventLoopThread):
        def call_soon(self, function: Callable[[], object]) -> None:
            is_first = not events
            events.append("call_soon")
            if began or not is_first:
                super().call_soon(function)
            if is_first:
                threading.Event().wait(0.1)
                raise KeyboardInterrupt

    async def buy() -> None:
        try:
            events.append("began")
            await asyncio.sleep(0.5)
            events.append("bought")
        finally:
            events.append("ended")

    loop = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        loop.run(buy())
    then = [*events]
    threading.Event().wait(0.6)
    loop.stop()

    assert events == then == ["call_soon", *(["began"] * began), "call_soon", *(["ended"] * began)]
