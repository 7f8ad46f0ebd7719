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

PATIENCE = 10.0
HANG = 0.05
LATE = 0.05


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


def purchase(box: Sandbox, **body: object) -> bytes:
    content = json.dumps(body or {"countryCode": "US", "friendlyName": "order-1"}).encode()
    lines = [
        "POST /v1/phone-numbers HTTP/1.1",
        "Host: sandbox",
        f"X-API-Key: {box.sigmamind.api_key}",
        "Content-Type: application/json",
        f"Content-Length: {len(content)}",
        "Connection: close",
    ]
    return "\r\n".join([*lines, "\r\n"]).encode() + content


async def exchange(box: Sandbox, data: bytes, patience: float = PATIENCE) -> Reply:
    port = int(box.sigmamind.base_url.rpartition(":")[2])
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


async def met(box: Sandbox, fault: Fault, **body: object) -> Reply:
    box.faults = Faults(hang=HANG, late=LATE, drip=0.0001)
    box.script("create", [fault])
    return await exchange(box, purchase(box, **body))


@pytest.mark.parametrize("fault", sorted(ALL_FAULTS))
async def test_the_name_says_whether_it_commits(box: Sandbox, fault: Fault) -> None:
    await met(box, fault)
    await box.settled()
    assert len(box.ledger.purchases_labelled("order-1")) == int(fault.commits)
    assert [commit.fault for commit in box.ledger.commits] == [fault.value] * int(fault.commits)
    assert not any(commit.delivered for commit in box.ledger.commits)
    assert box.sigmamind.requests.by_fault == {fault.value: 1}


@pytest.mark.parametrize("fault", sorted(fault for fault in ALL_FAULTS if fault.commits))
async def test_a_request_that_breaks_a_rule_commits_nothing_under_any_fault(
    box: Sandbox,
    fault: Fault,
) -> None:
    await met(box, fault, friendlyName="no country and no number")
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
async def test_it_ends_without_a_byte(box: Sandbox, fault: Fault, end: str) -> None:
    assert await met(box, fault) == Reply(b"", end)  # type: ignore[arg-type]


async def test_a_refused_request_is_not_read(box: Sandbox) -> None:
    """The head is enough: the body announced here never comes."""
    box.script("create", [Fault.REFUSE])
    head = purchase(box).partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    assert (await exchange(box, head)).end == "reset"


@pytest.mark.parametrize("fault", [Fault.HANG_BEFORE_COMMIT, Fault.HANG_AFTER_COMMIT])
async def test_a_hanging_answer_holds_the_connection(box: Sandbox, fault: Fault) -> None:
    box.faults = Faults(hang=30.0)
    box.script("create", [fault])
    assert await exchange(box, purchase(box), patience=0.1) == Reply(b"", "open")


async def test_a_late_commit_comes_after_the_caller_was_cut_off(box: Sandbox) -> None:
    reply = await met(box, Fault.LATE_COMMIT)
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
async def test_it_answers_with_a_documented_error(box: Sandbox, fault: Fault, status: int) -> None:
    reply = await met(box, fault)
    assert reply.status == status
    assert json.loads(reply.body)["status"] == status
    assert box.sigmamind.requests.by_status == {status: 1}


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
    fault: Fault,
    said: str | None,
) -> None:
    box.faults = Faults(retry_after=7)
    box.script("create", [fault])
    assert (await exchange(box, purchase(box))).headers.get("retry-after") == said


@pytest.mark.parametrize(
    ("fault", "status"),
    [(Fault.REDIRECT_303_AFTER_COMMIT, 303), (Fault.REDIRECT_307, 307)],
)
async def test_a_redirect_points_to_another_origin(
    box: Sandbox,
    fault: Fault,
    status: int,
) -> None:
    box.faults = Faults(redirect_to="http://127.0.0.1:9/")
    box.script("create", [fault])
    reply = await exchange(box, purchase(box))
    assert reply.status == status
    assert reply.headers["location"] == "http://127.0.0.1:9/v1/phone-numbers"


async def test_garbage_for_a_head_is_not_http(box: Sandbox) -> None:
    reply = await met(box, Fault.GARBAGE_HEAD)
    assert not reply.data.startswith(b"HTTP/")
    assert reply.end == "closed"


async def test_a_cut_body_is_shorter_than_announced(box: Sandbox) -> None:
    reply = await met(box, Fault.CUT_BODY)
    assert (reply.status, reply.end) == (201, "closed")
    assert reply.missing > 0
    assert reply.body.startswith(b'{"sipPhoneNumber"')


async def test_a_slow_body_comes_in_the_end(box: Sandbox) -> None:
    box.faults = Faults(drip=0.0001, hang=30.0)
    box.script("create", [Fault.SLOW_BODY])
    reply = await exchange(box, purchase(box), patience=5.0)
    assert (reply.status, reply.missing) == (201, 0)
    assert json.loads(reply.body)["friendlyName"] == "order-1"


async def test_a_slow_body_is_given_up_in_the_end(box: Sandbox) -> None:
    box.faults = Faults(drip=0.01, hang=0.05)
    box.script("create", [Fault.SLOW_BODY])
    reply = await exchange(box, purchase(box))
    assert (reply.status, len(reply.body), reply.end) == (201, 5, "closed")


async def test_a_slow_body_stops_when_the_caller_leaves(box: Sandbox) -> None:
    box.faults = Faults(drip=0.01, hang=30.0)
    box.script("create", [Fault.SLOW_BODY])
    await exchange(box, purchase(box), patience=0.02)
    async with asyncio.timeout(1.0):
        await box.settled()


def is_not_json(body: bytes) -> bool:
    try:
        json.loads(body)
    except (ValueError, RecursionError):
        return True
    return False


def has_wrong_types(body: bytes) -> bool:
    number = json.loads(body)
    return not isinstance(number["sipPhoneNumber"], str) and not isinstance(number["active"], bool)


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
    box: Sandbox,
    fault: Fault,
    content_type: str,
    is_as_named: Callable[[bytes], bool],
) -> None:
    reply = await met(box, fault)
    assert (reply.status, reply.headers["content-type"]) == (201, content_type)
    assert reply.missing == 0
    assert is_as_named(reply.body)


async def test_a_bomb_is_small_until_it_is_unpacked(box: Sandbox) -> None:
    reply = await met(box, Fault.GZIP_BOMB)
    assert reply.headers["content-encoding"] == "gzip"
    assert len(reply.body) < 400_000
    unpacked = sum(len(block) for block in unpack(reply.body))
    assert unpacked == 300 * 1024 * 1024


def unpack(packed: bytes) -> list[bytes]:
    with gzip.open(io.BytesIO(packed)) as stream:
        return [stream.read(1 << 20) for _ in range(301)]


async def test_a_refused_request_keeps_its_status_under_a_body_fault(box: Sandbox) -> None:
    """A platform does not answer 201 to what it turned down."""
    assert (await met(box, Fault.GARBAGE_BODY, friendlyName="no country")).status == 400


async def test_a_script_is_used_up_entry_by_entry(box: Sandbox) -> None:
    box.script("create", [Fault.STATUS_503_AFTER_COMMIT, None, Fault.CONFLICT_409])
    replies = [await exchange(box, purchase(box)) for _ in range(4)]
    assert [reply.status for reply in replies] == [503, 201, 409, 201]


async def test_requests_without_a_key_use_up_no_entry(box: Sandbox) -> None:
    box.script("create", [Fault.STATUS_503_AFTER_COMMIT])
    data = purchase(box)
    key = box.sigmamind.api_key.encode()
    assert (await exchange(box, data.replace(key, b"other"))).status == 401
    assert (await exchange(box, data)).status == 503


async def test_a_script_for_an_unknown_operation_is_an_error(box: Sandbox) -> None:
    with pytest.raises(ValueError, match="no operation 'craete'"):
        box.script("craete", [Fault.REFUSE])
    with pytest.raises(ValueError, match="no platform"):
        box.script("create", [Fault.REFUSE], platform="other")


async def test_the_same_seed_gives_the_same_run() -> None:
    async def run() -> list[tuple[str | None, str | None]]:
        async with Sandbox(seed=7, faults=Faults(share=0.5, hang=0.0, late=0.0)) as box:
            for _ in range(30):
                await exchange(box, purchase(box))
                await box.settled()
            return [(commit.phone_number, commit.fault) for commit in box.ledger.commits]

    assert await run() == await run()


@pytest.mark.parametrize("fault", sorted(NETWORK_FAULTS - {Fault.SLOW_BODY}))
def test_connections_end_alike_on_uvloop(fault: Fault) -> None:
    async def ends() -> Reply:
        async with Sandbox(seed=1) as box:
            return await met(box, fault)

    uvloop = pytest.importorskip("uvloop")
    assert uvloop.run(ends()) == asyncio.run(ends())


async def test_an_honest_answer_is_delivered(box: Sandbox) -> None:
    await exchange(box, purchase(box))
    assert [commit.delivered for commit in box.ledger.commits] == [True]


async def test_a_caller_who_left_is_served_but_not_reached(box: Sandbox) -> None:
    """A platform does not stop halfway because nobody waits any more."""
    box.latency = (0.05, 0.05)
    await exchange(box, purchase(box), patience=0.01)
    await box.settled()
    assert [commit.delivered for commit in box.ledger.commits] == [False]


async def test_a_request_cut_off_halfway_is_not_processed(box: Sandbox) -> None:
    await exchange(box, purchase(box)[:-5], patience=0.05)
    await box.settled()
    assert len(box.ledger) == 0
