"""Every fault, seen from a bare socket: what arrives, how it ends, and what was committed."""

import asyncio
import gzip
import io
import json
from collections.abc import Callable
from typing import Literal

import attrs
import pytest

from sigmamind_async.sandbox import ALL_FAULTS, NETWORK_FAULTS, Fault, Faults, Sandbox
from sigmamind_async.sandbox.endpoint import Requests
from sigmamind_async.sandbox.spoil import gzip_bomb
from tests.sandbox.support import Vendor, every_vendor, number_at

pytestmark = every_vendor

PATIENCE = 10.0
HANG = 0.05
LATE = 0.05
PLANTED = "This answer is a fault of the sandbox"


@attrs.frozen
class Reply:
    """What a caller saw."""

    data: bytes
    end: Literal["closed", "reset", "open"]

    @property
    def status(self) -> int:
        return int(self.data.split(b" ", 2)[1])

    @property
    def headers(self) -> dict[str, str]:
        lines = self.data.partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
        return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}

    @property
    def body(self) -> bytes:
        return self.data.partition(b"\r\n\r\n")[2]

    @property
    def missing(self) -> int:
        return int(self.headers["content-length"]) - len(self.body)


@attrs.frozen
class Caller:
    """Buys numbers over a bare socket."""

    box: Sandbox
    vendor: Vendor

    @property
    def requests(self) -> Requests:
        return self.vendor.endpoint(self.box).requests

    def script(self, *faults: Fault | None) -> None:
        self.box.script(self.vendor.purchase[0], faults, platform=self.vendor.name)

    def purchase(self, position: int = 0, **body: object) -> bytes:
        content = json.dumps(body or self.vendor.order(position)).encode()
        ((name, key),) = self.vendor.headers(self.vendor.endpoint(self.box).api_key).items()
        lines = [
            f"POST {self.vendor.purchase[1]} HTTP/1.1",
            "Host: sandbox",
            f"{name}: {key}",
            "Content-Type: application/json",
            f"Content-Length: {len(content)}",
            "Connection: close",
        ]
        return "\r\n".join([*lines, "\r\n"]).encode() + content

    async def buy(self, position: int = 0, patience: float = PATIENCE) -> Reply:
        return await self.exchange(self.purchase(position), patience)

    async def met(self, fault: Fault, **body: object) -> Reply:
        self.box.faults = Faults(hang=HANG, late=LATE, drip=0.0001)
        self.script(fault)
        return await self.exchange(self.purchase(0, **body))

    async def exchange(self, data: bytes, patience: float = PATIENCE) -> Reply:
        port = int(self.vendor.endpoint(self.box).base_url.rpartition(":")[2])
        return await exchange(port, data, patience)


@pytest.fixture
def caller(box: Sandbox, vendor: Vendor) -> Caller:
    return Caller(box, vendor)


async def exchange(port: int, data: bytes, patience: float) -> Reply:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    received = b""
    end: Literal["closed", "reset", "open"] = "open"
    try:
        async with asyncio.timeout(patience):
            while chunk := await reader.read(1 << 20):
                received += chunk
            end = "closed"
    except ConnectionResetError:
        end = "reset"
    except TimeoutError:
        pass
    writer.transport.abort()
    return Reply(received, end)


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize("fault", sorted(ALL_FAULTS))
async def test_the_name_says_whether_it_commits(box: Sandbox, caller: Caller, fault: Fault) -> None:
    await caller.met(fault)
    await box.settled()
    assert len(box.ledger.purchases) == int(fault.commits)
    assert [commit.fault for commit in box.ledger.commits] == [fault.value] * int(fault.commits)
    assert not any(commit.delivered for commit in box.ledger.commits)
    assert caller.requests.by_fault == {fault.value: 1}


@pytest.mark.parametrize("fault", sorted(fault for fault in ALL_FAULTS if fault.commits))
async def test_a_request_that_breaks_a_rule_commits_nothing_under_any_fault(
    box: Sandbox,
    caller: Caller,
    fault: Fault,
) -> None:
    await caller.met(fault, phone="no number")
    await box.settled()
    assert len(box.ledger) == 0


@pytest.mark.parametrize(
    ("fault", "end"),
    [
        (Fault.REFUSE, "reset"),
        (Fault.RESET_BEFORE_COMMIT, "reset"),
        (Fault.RESET_AFTER_COMMIT, "reset"),
        (Fault.LATE_COMMIT, "reset"),
        (Fault.CLOSE_AFTER_COMMIT, "closed"),
        (Fault.HANG_BEFORE_COMMIT, "closed"),
        (Fault.HANG_AFTER_COMMIT, "closed"),
    ],
)
async def test_it_ends_without_a_byte(caller: Caller, fault: Fault, end: str) -> None:
    assert await caller.met(fault) == Reply(b"", end)  # type: ignore[arg-type]


async def test_a_refused_request_is_not_read(caller: Caller) -> None:
    """The head is enough: the body announced here never comes."""
    caller.script(Fault.REFUSE)
    head = caller.purchase().partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    assert (await caller.exchange(head)).end == "reset"


@pytest.mark.parametrize("fault", [Fault.HANG_BEFORE_COMMIT, Fault.HANG_AFTER_COMMIT])
async def test_a_hanging_answer_holds_the_connection(
    box: Sandbox, caller: Caller, fault: Fault
) -> None:
    box.faults = Faults(hang=30.0)
    caller.script(fault)
    assert await caller.buy(patience=0.1) == Reply(b"", "open")


async def test_a_late_commit_comes_after_the_caller_was_cut_off(
    box: Sandbox, caller: Caller
) -> None:
    reply = await caller.met(Fault.LATE_COMMIT)
    assert (reply.end, len(box.ledger)) == ("reset", 0)
    await box.settled()
    assert len(box.ledger) == 1


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (Fault.STATUS_401, 401),
        (Fault.STATUS_408_AFTER_COMMIT, 408),
        (Fault.STATUS_429, 429),
        (Fault.STATUS_500_BEFORE_COMMIT, 500),
        (Fault.STATUS_500_AFTER_COMMIT, 500),
        (Fault.STATUS_503_BEFORE_COMMIT, 503),
        (Fault.STATUS_503_AFTER_COMMIT, 503),
        (Fault.CONFLICT_409, 409),
    ],
)
async def test_it_answers_with_a_documented_error(
    caller: Caller, fault: Fault, status: int
) -> None:
    reply = await caller.met(fault)
    assert reply.status == status
    assert json.loads(reply.body)[caller.vendor.error_message] == PLANTED
    assert caller.requests.by_status == {status: 1}


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault.STATUS_429, "7"),
        (Fault.STATUS_503_AFTER_COMMIT, "7"),
        (Fault.STATUS_500_AFTER_COMMIT, None),
    ],
)
async def test_a_throttling_fault_can_say_how_long(
    box: Sandbox,
    caller: Caller,
    fault: Fault,
    said: str | None,
) -> None:
    box.faults = Faults(retry_after=7)
    caller.script(fault)
    assert (await caller.buy()).headers.get("retry-after") == said


@pytest.mark.parametrize(
    ("fault", "status"),
    [(Fault.REDIRECT_303_AFTER_COMMIT, 303), (Fault.REDIRECT_307, 307)],
)
async def test_a_redirect_points_to_another_origin(
    box: Sandbox,
    caller: Caller,
    fault: Fault,
    status: int,
) -> None:
    box.faults = Faults(redirect_to="http://127.0.0.1:9/")
    caller.script(fault)
    reply = await caller.buy()
    assert reply.status == status
    assert reply.headers["location"] == "http://127.0.0.1:9" + caller.vendor.purchase[1]


async def test_garbage_for_a_head_is_not_http(caller: Caller) -> None:
    reply = await caller.met(Fault.GARBAGE_HEAD)
    assert not reply.data.startswith(b"HTTP/")
    assert reply.end == "closed"


async def test_a_cut_body_is_shorter_than_announced(caller: Caller) -> None:
    reply = await caller.met(Fault.CUT_BODY)
    assert (reply.status, reply.end) == (201, "closed")
    assert reply.missing > 0
    assert reply.body.startswith(b'{"')


async def test_a_slow_body_comes_in_the_end(box: Sandbox, caller: Caller) -> None:
    box.faults = Faults(drip=0.0001, hang=30.0)
    caller.script(Fault.SLOW_BODY)
    reply = await caller.buy(patience=5.0)
    assert (reply.status, reply.missing) == (201, 0)
    record = caller.vendor.record(json.loads(reply.body))
    assert record[caller.vendor.shown_number] == number_at(0)


async def test_a_slow_body_is_given_up_in_the_end(box: Sandbox, caller: Caller) -> None:
    box.faults = Faults(drip=0.01, hang=0.05)
    caller.script(Fault.SLOW_BODY)
    reply = await caller.buy()
    assert (reply.status, len(reply.body), reply.end) == (201, 5, "closed")


async def test_a_slow_body_stops_when_the_caller_leaves(box: Sandbox, caller: Caller) -> None:
    box.faults = Faults(drip=0.01, hang=30.0)
    caller.script(Fault.SLOW_BODY)
    await caller.buy(patience=0.02)
    async with asyncio.timeout(1.0):
        await box.settled()


def is_not_json(body: bytes) -> bool:
    try:
        json.loads(body)
    except (ValueError, RecursionError):
        return True
    return False


def has_wrong_types(body: bytes) -> bool:
    return not isinstance(next(iter(json.loads(body).values())), str)


def has_nan(body: bytes) -> bool:
    value = json.loads(body)["active"]
    return b"NaN" in body or value != value  # noqa: PLR0124  (true of NaN alone)


@pytest.mark.parametrize(
    ("fault", "content_type", "is_as_named"),
    [
        (Fault.GARBAGE_BODY, "application/json", is_not_json),
        (Fault.EMPTY_BODY, "application/json", lambda body: body == b""),
        (Fault.HTML_BODY, "text/html", lambda body: b"<html>" in body),
        (Fault.WRONG_TYPES, "application/json", has_wrong_types),
        (Fault.NAN_BODY, "application/json", has_nan),
        (Fault.DEEP_BODY, "application/json", lambda body: body.startswith(b"[" * 100_000)),
        (Fault.OVERSIZED_BODY, "application/json", lambda body: len(body) == 5 * 1024 * 1024),
    ],
)
async def test_an_honest_status_with_a_spoiled_body(
    caller: Caller,
    fault: Fault,
    content_type: str,
    is_as_named: Callable[[bytes], bool],
) -> None:
    reply = await caller.met(fault)
    assert (reply.status, reply.headers["content-type"]) == (201, content_type)
    assert reply.missing == 0
    assert is_as_named(reply.body)


@pytest.mark.usefixtures("unmeasured")
async def test_a_bomb_is_small_until_it_is_unpacked(caller: Caller) -> None:
    await asyncio.to_thread(gzip_bomb)  # made once, and that may outlast the caller's patience
    reply = await caller.met(Fault.GZIP_BOMB)
    assert reply.headers["content-encoding"] == "gzip"
    assert len(reply.body) < 400_000
    with gzip.open(io.BytesIO(reply.body)) as stream:
        unpacked = sum(len(stream.read(1 << 20)) for _ in range(301))
    assert unpacked == 300 * 1024 * 1024


async def test_a_refused_request_keeps_its_status_under_a_body_fault(caller: Caller) -> None:
    """A platform does not answer 201 to what it turned down."""
    reply = await caller.met(Fault.GARBAGE_BODY, phone="no number")
    assert reply.status == caller.vendor.refusal


async def test_a_script_is_used_up_entry_by_entry(caller: Caller) -> None:
    caller.script(Fault.STATUS_503_AFTER_COMMIT, None, Fault.CONFLICT_409)
    replies = [await caller.buy(position) for position in range(4)]
    assert [reply.status for reply in replies] == [503, 201, 409, 201]


async def test_requests_without_a_key_use_up_no_entry(box: Sandbox, caller: Caller) -> None:
    caller.script(Fault.STATUS_503_AFTER_COMMIT)
    data = caller.purchase()
    key = caller.vendor.endpoint(box).api_key.encode()
    assert (await caller.exchange(data.replace(key, b"other"))).status == 401
    assert (await caller.exchange(data)).status == 503


async def test_a_script_for_an_unknown_operation_is_an_error(
    box: Sandbox,
    vendor: Vendor,
) -> None:
    with pytest.raises(ValueError, match=f"{vendor.name} has no operation 'craete'"):
        box.script("craete", [Fault.REFUSE], platform=vendor.name)
    with pytest.raises(ValueError, match="no platform 'other'"):
        box.script("create", [Fault.REFUSE], platform="other")
    with pytest.raises(ValueError, match="no platform has an operation 'craete'"):
        box.script("craete", [Fault.REFUSE])


async def test_the_same_seed_gives_the_same_run(vendor: Vendor) -> None:
    async def run() -> list[tuple[str | None, str | None]]:
        async with Sandbox(seed=7, faults=Faults(share=0.5, hang=0.0, late=0.0)) as box:
            for position in range(30):
                await Caller(box, vendor).buy(position)
                await box.settled()
            return [(commit.phone_number, commit.fault) for commit in box.ledger.commits]

    assert await run() == await run()


@pytest.mark.parametrize("fault", sorted(NETWORK_FAULTS - {Fault.SLOW_BODY}))
def test_connections_end_alike_on_uvloop(vendor: Vendor, fault: Fault) -> None:
    async def ends() -> Reply:
        async with Sandbox(seed=1) as box:
            return await Caller(box, vendor).met(fault)

    uvloop = pytest.importorskip("uvloop")
    assert uvloop.run(ends()) == asyncio.run(ends())


async def test_an_honest_answer_is_delivered(box: Sandbox, caller: Caller) -> None:
    await caller.buy()
    assert [commit.delivered for commit in box.ledger.commits] == [True]


async def test_a_caller_who_left_is_served_but_not_reached(box: Sandbox, caller: Caller) -> None:
    """A platform does not stop halfway because nobody waits any more."""
    box.latency = (0.05, 0.05)
    await caller.buy(patience=0.01)
    await box.settled()
    assert [commit.delivered for commit in box.ledger.commits] == [False]


async def test_a_request_cut_off_halfway_is_not_processed(box: Sandbox, caller: Caller) -> None:
    await caller.exchange(caller.purchase()[:-5], patience=0.05)
    await box.settled()
    assert len(box.ledger) == 0
