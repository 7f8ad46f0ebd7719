"""An old copy of a journal, put back with all that knows better: the account knows best.

What carries a tag of the journal's operations is adopted, and never bought beside.
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from sigmamind_async import SigmaMind, Verbex
from sigmamind_async.client import Client
from sigmamind_async.errors import InvalidRequestError, ServerError
from sigmamind_async.platforms.sigmamind import CreatePhoneNumber
from sigmamind_async.platforms.verbex import CreatePiaPhoneNumber
from sigmamind_async.provisioning import Provisioner, SqliteJournal
from sigmamind_async.provisioning.journal.memory import MemoryJournal
from sigmamind_async.provisioning.journal.protocol import Journal
from sigmamind_async.provisioning.row import State
from sigmamind_async.sandbox import Fault, Sandbox, Switches
from tests.functional.support import error_of
from tests.harness.postgres import Server, schema_of


@attrs.frozen
class Vendor:
    client: type[Client]
    value: Any


VENDORS = {
    "sigmamind": Vendor(SigmaMind, CreatePhoneNumber(country_code="US", friendly_name="Desk")),
    "verbex": Vendor(Verbex, CreatePiaPhoneNumber(friendly_name="Desk")),
}


@pytest.fixture
async def box() -> AsyncIterator[Sandbox]:
    async with Sandbox(seed=1, switches=Switches(duplicates="accept")) as box:
        yield box


@pytest.fixture(params=VENDORS)
def vendor(request: pytest.FixtureRequest) -> Vendor:
    return VENDORS[request.param]


@pytest.fixture
def client(box: Sandbox, vendor: Vendor) -> Client:
    place = box.sigmamind if vendor.client is SigmaMind else box.verbex
    return vendor.client(place.api_key, base_url=place.base_url)


async def bought(client: Client, vendor: Vendor, journal: Journal, count: int) -> dict[str, str]:
    """Run the first *count* operations as a job; return the number that each brought."""
    brought: dict[str, str] = {}
    operations = [(f"order-{n}", vendor.value) for n in range(count)]
    async for outcome in Provisioner(client, journal).run_many(operations):
        assert outcome.status == "done", outcome.error
        row = await journal.get(client.platform.name, outcome.op_id or "")
        assert row is not None
        brought[row.op_id] = row.phone_number
    return brought


def copied(path: Path, folder: Path) -> None:
    """Copy the whole folder of a journal, its lock file with it."""
    shutil.copytree(path.parent, folder)


def put_back(folder: Path, path: Path) -> None:
    shutil.rmtree(path.parent)
    shutil.copytree(folder, path.parent)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "journal").mkdir()
    return tmp_path / "journal" / "orders.db"


@pytest.mark.parametrize("guarded", [True, False])
async def test_an_old_copy_with_its_lock_file_buys_nothing_twice(  # noqa: PLR0917 - fixtures
    box: Sandbox,
    client: Client,
    vendor: Vendor,
    path: Path,
    guarded: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever lies beside it agrees with it; 16 is the control, without a look at the account."""
    old = path.parent.with_name("old")
    async with client:
        async with SqliteJournal(path) as journal:
            await bought(client, vendor, journal, 4)
        copied(path, old)
        async with SqliteJournal(path) as journal:
            before = await bought(client, vendor, journal, 10)
        put_back(old, path)
        if not guarded:
            monkeypatch.setattr(SqliteJournal, "may_be_a_copy", False)
        async with SqliteJournal(path) as journal:
            after = await bought(client, vendor, journal, 10)
            counts = await journal.counts(client.platform.name)
    assert len(box.ledger.purchases) == (10 if guarded else 16)
    assert (after == before) is guarded
    assert counts.rows == {State.DONE: 10}
    assert counts.purchase_count == 10


async def test_what_is_left_of_a_journal_buys_nothing_twice(
    box: Sandbox, client: Client, vendor: Vendor, path: Path
) -> None:
    """RefusedLocally at first, and then opened all the same, as the message says."""
    empty = path.parent.with_name("empty")
    async with client:
        async with SqliteJournal(path):
            pass
        copied(path, empty)
        async with SqliteJournal(path) as journal:
            before = await bought(client, vendor, journal, 6)
        shutil.copy(empty / path.name, path)
        assert "holds only" in str(await error_of(SqliteJournal(path).open()))
        async with SqliteJournal(path, restored=True) as journal:
            assert await bought(client, vendor, journal, 6) == before
    assert len(box.ledger.purchases) == 6


@pytest.mark.parametrize("restored", [True, False])
async def test_a_database_that_was_restored_buys_nothing_twice(  # noqa: PLR0917 - fixtures
    box: Sandbox,
    client: Client,
    vendor: Vendor,
    postgres: Server,
    tmp_path: Path,
    restored: bool,
) -> None:
    """It is another database than the journal was made in; the control is the same, emptied."""
    async with client:
        async with postgres.journal(tmp_path) as journal:
            before = await bought(client, vendor, journal, 6)
        postgres.empty(tmp_path)
        if restored:
            postgres.asked(f"UPDATE {schema_of(tmp_path)}.journal SET incarnation = 'another'")
        async with postgres.journal(tmp_path) as journal:
            assert (await bought(client, vendor, journal, 6) == before) is restored
    assert len(box.ledger.purchases) == (6 if restored else 12)


async def test_a_single_call_adopts_what_was_bought(
    box: Sandbox, client: Client, vendor: Vendor, path: Path
) -> None:
    """Its result is what the account shows, with the caller's own label."""
    old = path.parent.with_name("old")
    async with client:
        async with SqliteJournal(path):
            pass
        copied(path, old)
        async with SqliteJournal(path) as journal:
            (number,) = (await bought(client, vendor, journal, 1)).values()
        put_back(old, path)
        async with SqliteJournal(path) as journal:
            record = await Provisioner(client, journal).run("order-0", vendor.value)
            row = await journal.get(client.platform.name, "order-0")
    assert row is not None
    assert (row.phone_number, row.adopted, row.state) == (number, True, State.DONE)
    assert number in str(record)
    assert len(box.ledger.purchases) == 1


async def test_numbers_that_were_bought_twice_before_are_told(
    box: Sandbox, client: Client, vendor: Vendor, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By an earlier version, which bought beside them: one is kept, the other is duplicate."""
    old = path.parent.with_name("old")
    async with client:
        async with SqliteJournal(path):
            pass
        copied(path, old)
        async with SqliteJournal(path) as journal:
            await bought(client, vendor, journal, 1)
        put_back(old, path)
        with monkeypatch.context() as patched:
            patched.setattr(SqliteJournal, "may_be_a_copy", False)
            async with SqliteJournal(path) as journal:
                await bought(client, vendor, journal, 1)
        put_back(old, path)
        async with SqliteJournal(path) as journal:
            await Provisioner(client, journal).run("order-0", vendor.value)
            counts = await journal.counts(client.platform.name)
    assert counts.rows == {State.DUPLICATE: 1}
    assert len(box.ledger.purchases) == 2


def listings(box: Sandbox) -> int:
    return box.sigmamind.requests.by_operation["list"]


async def test_it_costs_one_listing_for_each_opening_and_none_for_the_first(
    box: Sandbox, path: Path
) -> None:
    vendor = VENDORS["sigmamind"]
    async with SigmaMind(box.sigmamind.api_key, base_url=box.sigmamind.base_url) as client:
        for count, listed in ((5, 0), (10, 1), (10, 1), (15, 2)):
            async with SqliteJournal(path) as journal:
                await bought(client, vendor, journal, count)
            assert listings(box) == listed


async def test_nothing_is_bought_while_the_account_cannot_be_read(
    box: Sandbox, client: Client, vendor: Vendor, path: Path
) -> None:
    async with client:
        async with SqliteJournal(path):
            pass
        async with SqliteJournal(path) as journal:
            box.script("list", [Fault.STATUS_500_BEFORE_COMMIT] * 10, platform=client.platform.name)
            provisioner = Provisioner(client, journal)
            error = await error_of(provisioner.run("order-0", vendor.value))
            assert isinstance(error, ServerError)
            assert (error.committed, error.retryable) == ("no", True)
            assert box.ledger.purchases == []
            box.script("list", [], platform=client.platform.name)


async def test_a_number_of_ones_own_choice_is_not_bought_beside_either(
    box: Sandbox, client: Client, vendor: Vendor, path: Path
) -> None:
    if vendor.client is not SigmaMind:
        pytest.skip("sells no number of the caller's choice")
    old, value = path.parent.with_name("old"), CreatePhoneNumber(phone_number="+14155550100")
    async with client:
        async with SqliteJournal(path):
            pass
        copied(path, old)
        async with SqliteJournal(path) as journal:
            await Provisioner(client, journal).run("order-0", value)
        put_back(old, path)
        async with SqliteJournal(path) as journal:
            error = await error_of(Provisioner(client, journal).run("order-0", value))
    assert isinstance(error, InvalidRequestError)
    assert "belongs to the account already" in str(error)
    assert len(box.ledger.purchases) == 1


async def test_a_journal_in_memory_is_always_new(box: Sandbox) -> None:
    vendor = VENDORS["sigmamind"]
    async with SigmaMind(box.sigmamind.api_key, base_url=box.sigmamind.base_url) as client:
        await bought(client, vendor, MemoryJournal(), 3)
    assert listings(box) == 0
