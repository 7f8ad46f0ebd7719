"""What a provisioner refuses before anything is sent, and what a person may decide."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from sigmamind_async import (
    ConfigurationError,
    InvalidRequestError,
    JournalError,
    SigmaMind,
    SigmaMindError,
)
from sigmamind_async.platforms.sigmamind import CreatePhoneNumber, UpdatePhoneNumber
from sigmamind_async.provisioning import MemoryJournal, Provisioner, Row, SqliteJournal, State
from sigmamind_async.provisioning.journal.protocol import PutResult
from sigmamind_async.testing import FakeClock, ScriptedTransport, in_fake_time, reply
from sigmamind_async.transport import HttpRequest

VALUE = CreatePhoneNumber(country_code="US", friendly_name="Desk")


class Account:
    """Sells numbers, unless it is told to fail; enough of a platform for one process."""

    def __init__(self) -> None:
        self.numbers: dict[str, dict[str, Any]] = {}
        self.failing = False

    def __call__(self, outgoing: HttpRequest) -> Any:
        if outgoing.method == "GET":
            return reply(200, {"data": list(self.numbers.values())})
        if outgoing.method == "DELETE":
            del self.numbers["+" + outgoing.url.rpartition("%2B")[2]]
            return reply(204)
        if self.failing:
            return reply(503, {})
        assert outgoing.body is not None
        return reply(201, self.sell(json.loads(outgoing.body)))

    def sell(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        number = f"+1415555{len(self.numbers):04}"
        self.numbers[number] = {"sipPhoneNumber": number, "friendlyName": asked["friendlyName"]}
        return self.numbers[number]


@pytest.fixture
def account() -> Account:
    return Account()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def provisioner(account: Account, clock: FakeClock) -> Provisioner:
    client = SigmaMind("key", transport=ScriptedTransport(account))
    return Provisioner(in_fake_time(client, clock), MemoryJournal(), settle_time=1.0)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"settle_time": -1.0}, "settle_time: must be 0 seconds or more"),
        ({"settle_time": float("inf")}, "settle_time: must be 0 seconds or more"),
        ({"settle_time": "900"}, "settle_time: must be a number of seconds"),
        ({"settle_time": True}, "settle_time: must be a number of seconds"),
        ({"tag": "drop"}, "tag: must be 'keep' or 'strip'"),
        ({"max_purchases": -1}, "max_purchases: must be a whole number from 0"),
        ({"max_purchases": 1.5}, "max_purchases: must be a whole number from 0"),
        ({"max_purchases": True}, "max_purchases: must be a whole number from 0"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        Provisioner(SigmaMind("key"), MemoryJournal(), **options)


@pytest.mark.parametrize("op_id", ["", "x" * 201, "a\nb", "a\0b", "\ud800", 7, None])
async def test_an_id_that_cannot_be_kept_is_refused(provisioner: Provisioner, op_id: Any) -> None:
    with pytest.raises(InvalidRequestError, match="op_id: must be 1 to 200 printable characters"):
        await provisioner.run(op_id, VALUE)
    (outcome,) = [each async for each in provisioner.run_many([(op_id, VALUE)])]
    assert outcome.status == "failed"


async def test_an_operation_that_was_never_begun_cannot_be_decided(
    provisioner: Provisioner,
) -> None:
    for decide in (
        provisioner.abandon,
        provisioner.retry_unconfirmed,
        provisioner.release_duplicates,
    ):
        with pytest.raises(JournalError, match="row-1: the journal holds no such operation") as no:
            await decide("row-1")
        assert no.value.op_id == "row-1"


async def test_an_operation_that_is_done_leaves_nothing_to_decide(provisioner: Provisioner) -> None:
    await provisioner.run("row-1", VALUE)
    for decide in (provisioner.abandon, provisioner.retry_unconfirmed):
        with pytest.raises(JournalError, match="row-1: is done, so there is nothing to decide"):
            await decide("row-1")
    with pytest.raises(JournalError, match="row-1: has no duplicates, it is done"):
        await provisioner.release_duplicates("row-1")


async def in_doubt_for_good(provisioner: Provisioner, account: Account) -> None:
    """Leave an operation to a person: it went unanswered, and its number never appeared."""
    account.failing = True
    with pytest.raises(SigmaMindError, match="it needs a decision"):
        await provisioner.run("row-1", VALUE)
    account.failing = False


async def test_a_number_is_adopted_that_the_account_owns_and_nobody_else_bought(
    provisioner: Provisioner, account: Account, clock: FakeClock
) -> None:
    other = await provisioner.run("row-0", VALUE)
    await in_doubt_for_good(provisioner, account)
    with pytest.raises(JournalError, match=r"\+14155559999 is not in the account"):
        await provisioner.adopt("row-1", "+14155559999")
    with pytest.raises(JournalError, match="was bought by another operation"):
        await provisioner.adopt("row-1", other.sip_phone_number)
    bought_by_hand = account.sell({"friendlyName": "Desk"})["sipPhoneNumber"]
    clock.advance(1.0)
    row = await provisioner.adopt("row-1", bought_by_hand)
    assert (row.state, row.phone_number) == (State.DONE, bought_by_hand)
    assert (await provisioner.run("row-1", VALUE)).sip_phone_number == bought_by_hand


async def test_what_was_abandoned_is_not_sent_again_unless_somebody_says_so(
    provisioner: Provisioner, account: Account
) -> None:
    await in_doubt_for_good(provisioner, account)
    await provisioner.abandon("row-1")
    with pytest.raises(SigmaMindError, match="it was abandoned"):
        await provisioner.run("row-1", VALUE)
    assert not account.numbers
    await provisioner.retry_unconfirmed("row-1")
    await provisioner.run("row-1", VALUE)
    assert len(account.numbers) == 1


async def test_a_journal_keeps_the_accounts_of_one_platform_apart(account: Account) -> None:
    journal = MemoryJournal()
    for label in (None, "production", "staging"):
        client = SigmaMind("key", transport=ScriptedTransport(account))
        await Provisioner(client, journal, account=label).run("row-1", VALUE)
    assert len(account.numbers) == 3


class FullJournal(MemoryJournal):
    """Has room for *writes* of an operation."""

    def __init__(self, writes: int) -> None:
        super().__init__()
        self.writes = writes

    async def put(self, row: Row, **options: Any) -> PutResult:
        if row.version > self.writes:
            raise JournalError("the disk is full")
        return await super().put(row, **options)


@pytest.mark.parametrize(("writes", "committed"), [(0, "no"), (1, "unknown")])
async def test_a_journal_that_fails_between_two_requests_does_not_hide_the_first(
    clock: FakeClock, writes: int, committed: str
) -> None:
    """The platform may have acted on it. Control: one that fails before the first."""
    sent: list[HttpRequest] = []

    def answer(request: HttpRequest) -> Any:
        sent.append(request)
        return reply(503, {})

    client = in_fake_time(SigmaMind("key", transport=ScriptedTransport(answer)), clock)
    value = UpdatePhoneNumber(phone_number="+14155550100", friendly_name="Desk")
    with pytest.raises(JournalError, match="the disk is full") as failure:
        await Provisioner(client, FullJournal(writes)).run("row-1", value)
    assert (failure.value.committed, len(sent)) == (committed, writes)


@pytest.mark.parametrize(
    ("setting", "why"),
    [
        ({"account": 7}, "account: must be a str, not of type int"),
        ({"retry_unconfirmed": "false"}, "retry_unconfirmed: must be True or False"),
        ({"release_duplicates": 0}, "release_duplicates: must be True or False"),
        ({"tag": []}, "tag: must be 'keep' or 'strip'"),
        ({"client": SigmaMind}, "client: must be a Client, not SigmaMind"),
        ({"journal": "orders.db"}, "journal: must be a journal, such as SqliteJournal"),
    ],
)
def test_what_is_no_setting_is_refused(setting: dict[str, Any], why: str) -> None:
    """Any text is true: with "false" from the environment a purchase would be sent again."""
    settings: dict[str, Any] = {"client": SigmaMind("k"), "journal": MemoryJournal()}
    with pytest.raises(ConfigurationError, match=why):
        Provisioner(**settings | setting)


@pytest.mark.parametrize("name", ["read_only", "restored", "shared"])
def test_what_is_no_setting_of_a_journal_is_refused(name: str) -> None:
    wrong: dict[str, Any] = {name: "false"}
    with pytest.raises(ConfigurationError, match=f"{name}: must be True or False"):
        SqliteJournal("orders.db", **wrong)


@pytest.mark.parametrize("path", [None, b"orders.db", 3])
def test_a_journal_needs_a_path(path: Any) -> None:
    with pytest.raises(ConfigurationError, match="path: must be text or a path, not "):
        SqliteJournal(path)


def test_a_journal_is_no_path_with_a_zero_byte() -> None:
    """Opened, it would seem that something had been written and lost."""
    with pytest.raises(ConfigurationError, match="path: contains a zero byte"):
        SqliteJournal("a\0b.db")
