"""An operation under an id is carried out once on every platform, whatever becomes of answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import attrs
import pytest

from sigmamind_async import (
    CircuitOpenError,
    InvalidRequestError,
    JournalError,
    OutcomeUnknownError,
    SigmaMindError,
    SpendLimitError,
)
from sigmamind_async.platforms import sigmamind, verbex
from sigmamind_async.provisioning import MemoryJournal, Provisioner, PurchaseAnyNumber, State
from sigmamind_async.provisioning.claim import Claim, SendAborted
from sigmamind_async.provisioning.conflicts import Conflicts
from sigmamind_async.provisioning.journal.protocol import PutResult
from sigmamind_async.provisioning.tags import find_tag, remove_tag
from sigmamind_async.sandbox import Fault, Sandbox
from tests.contract.conftest import patience
from tests.contract.dialects import DIALECTS, Dialect, Value, numbers
from tests.contract.test_once import LOST

NUMBER = "+14155550100"
ANY: dict[str, Callable[[str], Value]] = {
    "sigmamind": lambda label: sigmamind.CreatePhoneNumber(country_code="US", friendly_name=label),
    "verbex": lambda label: verbex.CreatePiaPhoneNumber(friendly_name=label),
}
"""Purchases of a number that the platform picks; DialNexa is searched instead."""
PICKED = pytest.mark.parametrize("dialect", sorted(ANY), indirect=True)


def only(name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("dialect", [name], indirect=True)


class Kit:
    """A provisioner of one platform's sandbox, made anew as after a restart."""

    def __init__(self, dialect: Dialect, box: Sandbox, attempt_timeout: float = 5.0) -> None:
        self.dialect, self.box = dialect, box
        self.journal = MemoryJournal()
        self.clients: list[Any] = []
        self.reconnect(attempt_timeout=attempt_timeout)

    @property
    def client(self) -> Any:
        return self.clients[-1]

    def reconnect(self, **options: Any) -> None:
        """Use another client from now on; the earlier ones are kept until the loop ends."""
        self.clients.append(self.dialect.connect(self.box, **options))

    def provisioner(self, **options: Any) -> Provisioner:
        return Provisioner(self.client, self.journal, **{"settle_time": 0.5, **options})

    async def run(self, op_id: str, value: Value, **options: Any) -> Any:
        return await self.provisioner(**options).run(op_id, value)

    def sent(self, operation: str) -> int:
        return self.dialect.endpoint(self.box).requests.by_operation[operation]

    def owned(self) -> list[str]:
        return self.box.ledger.owned(self.dialect.name)


@pytest.fixture
async def kit(dialect: Dialect, box: Sandbox) -> Kit:
    return Kit(dialect, box)


# --- what comes back -------------------------------------------------------------------------


async def test_the_same_id_again_returns_the_stored_result_and_sends_nothing(kit: Kit) -> None:
    first = await kit.run("order-1", kit.dialect.buy(NUMBER))
    again = await kit.run("order-1", kit.dialect.buy(NUMBER))
    assert kit.dialect.number_of(first) == NUMBER
    assert again == first
    assert kit.sent(kit.dialect.buying) == 1


async def test_ten_deliveries_at_once_are_one_purchase(kit: Kit) -> None:
    provisioner = kit.provisioner()
    value = kit.dialect.buy(NUMBER)
    results = await asyncio.gather(*(provisioner.run("order-1", value) for _ in range(10)))
    assert {kit.dialect.number_of(each) for each in results} == {NUMBER}
    assert len(kit.box.ledger.purchases) == 1
    assert kit.sent(kit.dialect.buying) == 1


async def test_another_request_under_the_same_id_is_refused(kit: Kit) -> None:
    await kit.run("order-1", kit.dialect.buy(NUMBER))
    with pytest.raises(JournalError, match=r"order-1: the journal holds another request"):
        await kit.run("order-1", kit.dialect.buy("+14155550199"))
    assert kit.owned() == [NUMBER]


async def test_what_changes_nothing_is_no_operation(kit: Kit) -> None:
    key = NUMBER if kit.dialect.name == "sigmamind" else "abc"
    with pytest.raises(InvalidRequestError, match="changes no phone number"):
        await kit.run("order-1", kit.dialect.get(key))


# --- lost answers ----------------------------------------------------------------------------


@pytest.mark.parametrize("fault", LOST)
async def test_a_lost_purchase_of_a_chosen_number_is_found(
    dialect: Dialect, box: Sandbox, fault: Fault
) -> None:
    kit = Kit(dialect, box, patience(fault))
    box.script(dialect.buying, [fault], platform=dialect.name)
    bought = await kit.run("order-1", dialect.buy(NUMBER))
    assert dialect.number_of(bought) == NUMBER
    await box.settled()
    assert [commit.phone_number for commit in box.ledger.purchases] == [NUMBER]


@PICKED
@pytest.mark.parametrize("fault", LOST)
async def test_a_lost_purchase_of_any_number_is_found_by_its_tag(
    dialect: Dialect, box: Sandbox, fault: Fault
) -> None:
    kit = Kit(dialect, box, patience(fault))
    box.script(dialect.buying, [fault], platform=dialect.name)
    bought = await kit.run("order-1", ANY[dialect.name]("Support"))
    await box.settled()
    assert kit.owned() == [dialect.number_of(bought)]
    label = dialect.label_of(bought)
    assert label is not None
    assert remove_tag(label) == "Support"
    assert find_tag(label) is not None


@PICKED
@pytest.mark.parametrize(
    "fault", [Fault.RESET_BEFORE_COMMIT, Fault.HANG_BEFORE_COMMIT, Fault.STATUS_503_BEFORE_COMMIT]
)
async def test_what_stays_absent_needs_a_decision_unless_retrying_is_allowed(
    dialect: Dialect, box: Sandbox, fault: Fault
) -> None:
    kit = Kit(dialect, box, patience(fault))
    box.script(dialect.buying, [fault], platform=dialect.name)
    with pytest.raises(OutcomeUnknownError, match=r"order-1: .* it needs a decision"):
        await kit.run("order-1", ANY[dialect.name]("Support"))
    status = await kit.provisioner().status()
    assert [row.op_id for row in status.need_decision] == ["order-1"]
    assert not kit.owned()

    box.script(dialect.buying, [fault], platform=dialect.name)
    bought = await kit.run("order-2", ANY[dialect.name]("Support"), retry_unconfirmed=True)
    assert kit.owned() == [dialect.number_of(bought)]

    await kit.provisioner().retry_unconfirmed("order-1")
    bought = await kit.run("order-1", ANY[dialect.name]("Support"))
    assert dialect.number_of(bought) in kit.owned()
    assert len(kit.owned()) == 2


async def test_a_chosen_number_that_did_not_come_is_asked_for_again(kit: Kit) -> None:
    """It can be owned only once, so that asking again can do no harm."""
    kit.reconnect(attempt_timeout=0.5)
    kit.box.script(kit.dialect.buying, [Fault.RESET_BEFORE_COMMIT], platform=kit.dialect.name)
    bought = await kit.run("order-1", kit.dialect.buy(NUMBER), settle_time=900.0)
    assert kit.dialect.number_of(bought) == NUMBER
    assert kit.sent(kit.dialect.buying) == 2
    assert kit.owned() == [NUMBER]


@PICKED
async def test_nothing_is_sent_again_before_the_settle_time_is_over(kit: Kit) -> None:
    kit.reconnect(deadline=0.6)
    kit.box.script(kit.dialect.buying, [Fault.RESET_BEFORE_COMMIT], platform=kit.dialect.name)
    value = ANY[kit.dialect.name]("Support")
    for _ in range(3):
        with pytest.raises(OutcomeUnknownError, match="reconcile"):
            await kit.run("order-1", value, settle_time=900.0, retry_unconfirmed=True)
    assert kit.sent(kit.dialect.buying) == 1
    # The guard at work: with no settle time the same call buys.
    assert await kit.run("order-1", value, settle_time=0.0, retry_unconfirmed=True)
    assert kit.sent(kit.dialect.buying) == 2


async def test_an_import_that_was_lost_has_its_password_written_again(kit: Kit) -> None:
    kit.box.script(kit.dialect.importing, [Fault.CLOSE_AFTER_COMMIT], platform=kit.dialect.name)
    imported = await kit.run("row-1", kit.dialect.import_(NUMBER))
    assert kit.dialect.number_of(imported) == NUMBER
    assert kit.sent(kit.dialect.importing) == 1
    if kit.dialect.name != "dialnexa":  # whose credentials cannot be changed
        assert kit.sent("update") == 1


@pytest.mark.parametrize("fault", LOST)
async def test_a_change_arrives_whatever_becomes_of_its_answers(
    dialect: Dialect, box: Sandbox, fault: Fault
) -> None:
    kit = Kit(dialect, box, patience(fault))
    key = dialect.key_of(await kit.run("buy", dialect.buy(NUMBER)))
    box.script("update", [fault] * 3, platform=dialect.name)
    changed = await kit.run("label", dialect.label(key, "Desk"))
    assert dialect.label_of(changed) == "Desk"


async def test_a_release_whose_answer_was_lost_is_done(kit: Kit) -> None:
    key = kit.dialect.key_of(await kit.run("buy", kit.dialect.buy(NUMBER)))
    kit.box.script(kit.dialect.removing, [Fault.CLOSE_AFTER_COMMIT] * 3, platform=kit.dialect.name)
    assert await kit.run("release", kit.dialect.remove(key)) is None
    assert not kit.owned()
    assert await kit.run("release", kit.dialect.remove(key)) is None


async def test_a_call_that_was_cancelled_is_taken_up_where_it_was(
    dialect: Dialect, box: Sandbox
) -> None:
    kit = Kit(dialect, box)
    box.script(dialect.buying, [Fault.HANG_AFTER_COMMIT], platform=dialect.name)
    running = asyncio.create_task(kit.run("order-1", dialect.buy(NUMBER)))
    async with asyncio.timeout(10):
        while not box.ledger.purchases:  # noqa: ASYNC110 - the sandbox has no event for it
            await asyncio.sleep(0.01)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    bought = await kit.run("order-1", dialect.buy(NUMBER))
    assert dialect.number_of(bought) == NUMBER
    assert len(box.ledger.purchases) == 1


# --- guards ----------------------------------------------------------------------------------


async def test_a_number_that_is_owned_is_not_bought_again(kit: Kit) -> None:
    """The sandbox sells it as often as it is asked: the client alone prevents it."""
    await kit.client.run(kit.dialect.buy(NUMBER))
    with pytest.raises(InvalidRequestError, match="belongs to the account already"):
        await kit.run("order-1", kit.dialect.buy(NUMBER))
    assert len(kit.box.ledger.purchases) == 1


async def test_no_more_is_bought_than_is_allowed_over_all_runs(kit: Kit) -> None:
    for index, number in enumerate(numbers(2)):
        await kit.run(f"order-{index}", kit.dialect.buy(number), max_purchases=2)
    with pytest.raises(SpendLimitError, match="order-9: not sent"):
        await kit.run("order-9", kit.dialect.buy(NUMBER), max_purchases=2)
    assert await kit.run("order-0", kit.dialect.buy(numbers(1)[0]), max_purchases=2)
    assert len(kit.box.ledger.purchases) == 2


# --- many ------------------------------------------------------------------------------------


async def test_a_job_settles_what_is_in_doubt_with_few_listings(
    dialect: Dialect, box: Sandbox
) -> None:
    kit = Kit(dialect, box)
    lost = [Fault.CLOSE_AFTER_COMMIT, None, Fault.STATUS_500_AFTER_COMMIT, Fault.GARBAGE_BODY] * 10
    box.script(dialect.buying, lost, platform=dialect.name)
    buy = ANY.get(dialect.name) or dialect.buy
    names = [f"Row {index}" for index in range(40)] if dialect.name in ANY else numbers(40)
    job = kit.provisioner().run_many((f"row-{name}", buy(name)) for name in names)
    outcomes = [outcome async for outcome in job]
    assert [outcome.status for outcome in outcomes] == ["done"] * 40
    assert {outcome.op_id for outcome in outcomes} == {f"row-{name}" for name in names}
    assert job.progress.done == 40
    assert len(set(kit.owned())) == len(box.ledger.purchases) == 40
    assert kit.sent("list") <= 6


@only("sigmamind")
async def test_two_platforms_may_use_the_same_id(box: Sandbox) -> None:
    journal = MemoryJournal()
    for dialect in DIALECTS.values():
        async with dialect.connect(box) as client:
            bought = await Provisioner(client, journal).run("row-1", dialect.buy(NUMBER))
            assert dialect.number_of(bought) == NUMBER


@only("dialnexa")
async def test_any_number_is_picked_and_then_bought_exactly(kit: Kit, box: Sandbox) -> None:
    value = PurchaseAnyNumber(country_iso="US", telephony_provider_id="tp_abc123xyz78")
    box.script("purchase", [Fault.CLOSE_AFTER_COMMIT, Fault.CONFLICT_409], platform="dialnexa")
    job = kit.provisioner().run_many((f"row-{index}", value) for index in range(5))
    outcomes = [outcome async for outcome in job]
    assert [outcome.status for outcome in outcomes] == ["done"] * 5
    assert len(set(kit.owned())) == len(box.ledger.purchases) == 5


@only("dialnexa")
async def test_a_number_in_doubt_is_not_picked_by_another_operation(kit: Kit, box: Sandbox) -> None:
    """After a restart only the journal remembers what was picked; it is still on offer."""
    value = PurchaseAnyNumber(country_iso="US", telephony_provider_id="tp_abc123xyz78")
    box.script("purchase", [Fault.RESET_BEFORE_COMMIT], platform="dialnexa")
    kit.reconnect(deadline=0.3)
    with pytest.raises(OutcomeUnknownError):
        await kit.run("row-1", value, settle_time=900.0)
    stored = await kit.journal.get("dialnexa", "row-1")

    kit.reconnect()
    bought = await kit.run("row-2", value)
    assert stored is not None
    assert (stored.key != "", bought.phone_number != stored.key) == (True, True)


@only("dialnexa")
@pytest.mark.parametrize("forgets", [True, False])
@pytest.mark.parametrize("why", ["limit", "journal", "platform"])
async def test_a_number_that_was_not_sent_for_can_be_picked_again(
    kit: Kit, box: Sandbox, monkeypatch: pytest.MonkeyPatch, why: str, forgets: bool
) -> None:
    """However often: what is on offer is not used up by operations that sent nothing.

    Without the forgetting, which is the control, the platform is soon said to offer nothing.
    """
    if not forgets:
        monkeypatch.setattr(Conflicts, "cancel_reservation", lambda *_: None)
    value = PurchaseAnyNumber(country_iso="US", telephony_provider_id="tp_abc123xyz78")
    provisioner = kit.provisioner(max_purchases=0 if why == "limit" else None)
    with monkeypatch.context() as patched:
        if why == "journal":
            patched.setattr(type(kit.journal), "put", _put_fails)
        elif why == "platform":
            patched.setattr(Claim, "__call__", _is_withheld)
        ended = {type(await _error(provisioner.run("row-1", value))) for _ in range(30)}
    told = {"limit": SpendLimitError, "journal": JournalError, "platform": CircuitOpenError}[why]
    assert ended == ({told} if forgets else {told, InvalidRequestError})
    assert box.ledger.purchases == []


async def _error(work: Awaitable[object]) -> BaseException:
    with pytest.raises(SigmaMindError) as caught:
        await work
    return caught.value


async def _put_fails(*_: object, **__: object) -> PutResult:
    raise JournalError("the disk is full")


async def _is_withheld(_: Claim) -> None:
    raise SendAborted(CircuitOpenError("the platform keeps failing"))


# --- late commits ----------------------------------------------------------------------------


@only("sigmamind")
async def test_a_sweep_finds_what_a_superseded_request_bought(kit: Kit, box: Sandbox) -> None:
    box.faults = attrs.evolve(box.faults, late=1.5)
    box.script("create", [Fault.LATE_COMMIT])
    # A settle time shorter than the platform takes: the only way to be bought twice.
    bought = await kit.run(
        "order-1", ANY["sigmamind"]("Desk"), settle_time=0.2, retry_unconfirmed=True
    )
    await box.settled()
    assert len(kit.owned()) == 2

    status = await kit.provisioner().sweep()
    (row,) = status.need_decision
    assert row.state is State.DUPLICATE
    assert row.phone_number == bought.sip_phone_number
    assert status.purchase_count == 2

    row = await kit.provisioner().release_duplicates("order-1")
    assert row.state is State.DONE
    assert kit.owned() == [bought.sip_phone_number]
    assert (await kit.provisioner().sweep()).is_settled


@only("sigmamind")
async def test_tags_are_stripped_after_the_horizon(kit: Kit) -> None:
    bought = await kit.run("order-1", ANY["sigmamind"]("Desk"))
    provisioner = kit.provisioner(tag="strip")
    await provisioner.sweep()
    assert (await kit.client.phone_numbers.get(bought.sip_phone_number)).friendly_name != "Desk"
    await asyncio.sleep(1.0)
    await provisioner.sweep(horizon=0.0)
    assert (await kit.client.phone_numbers.get(bought.sip_phone_number)).friendly_name == "Desk"
    before = kit.sent("update")
    await provisioner.sweep(horizon=0.0)
    assert kit.sent("update") == before


# --- the journal and the account -------------------------------------------------------------


async def test_a_new_key_of_the_same_account_is_recognised(kit: Kit, box: Sandbox) -> None:
    await kit.run("order-1", kit.dialect.buy(NUMBER))
    kit.dialect.endpoint(box).api_key = "another-key-of-ours"
    kit.reconnect()
    again = await kit.run("order-1", kit.dialect.buy(NUMBER))
    assert kit.dialect.number_of(again) == NUMBER
    assert len(box.ledger.purchases) == 1


async def test_another_account_is_refused_before_anything_is_sent(kit: Kit, box: Sandbox) -> None:
    await kit.run("order-1", kit.dialect.buy(NUMBER))
    box.reset()
    kit.dialect.endpoint(box).api_key = "a-key-of-somebody-else"
    kit.reconnect()
    for op_id in ("order-1", "order-2"):
        with pytest.raises(JournalError, match="another API key"):
            await kit.run(op_id, kit.dialect.buy("+14155550155"))
    assert not kit.owned()
    # The guard at work: who says that it is the same account is believed.
    await kit.provisioner().accept_key()
    await kit.run("order-2", kit.dialect.buy("+14155550155"))
    assert kit.owned() == ["+14155550155"]


async def test_a_clock_that_was_set_back_is_refused(kit: Kit, box: Sandbox) -> None:
    await kit.run("order-1", kit.dialect.buy(NUMBER))
    engine = kit.client.runner.engine
    for behind, refused in ((30.0, False), (3_600.0, True)):
        wall = engine.wall_clock() - behind
        kit.client._bind(attrs.evolve(engine, wall_clock=lambda wall=wall: wall))  # noqa: SLF001
        if refused:
            with pytest.raises(JournalError, match=r"the clock is 60 minutes behind"):
                await kit.run("order-2", kit.dialect.buy("+14155550155"))
        else:
            await kit.run("order-1", kit.dialect.buy(NUMBER))
    assert kit.owned() == [NUMBER]


# --- changes of one number -------------------------------------------------------------------


async def test_a_newer_change_waits_for_an_older_one_that_is_in_doubt(kit: Kit) -> None:
    """A late arrival of the older one would undo the newer one."""
    key = kit.dialect.key_of(await kit.run("buy", kit.dialect.buy(NUMBER)))
    kit.reconnect(deadline=0.5)
    lost = [Fault.RESET_BEFORE_COMMIT] * 3
    kit.box.script("update", lost, platform=kit.dialect.name)
    with pytest.raises(OutcomeUnknownError):
        await kit.run("older", kit.dialect.label(key, "Old"), settle_time=900.0)
    before = kit.sent("update")
    with pytest.raises(JournalError, match=r"newer: not sent, because older") as refused:
        await kit.run("newer", kit.dialect.label(key, "New"), settle_time=900.0)
    assert refused.value.retryable
    assert kit.sent("update") == before
    # The guard at work: once the settle time is over, it goes.
    changed = await kit.run("newer", kit.dialect.label(key, "New"), settle_time=0.0)
    assert kit.dialect.label_of(changed) == "New"


async def test_changes_of_one_number_in_a_job_are_made_one_after_the_other(kit: Kit) -> None:
    key = kit.dialect.key_of(await kit.run("buy", kit.dialect.buy(NUMBER)))
    rows = [(f"row-{index}", kit.dialect.label(key, f"Label {index}")) for index in range(8)]
    kit.box.script("update", [Fault.CLOSE_AFTER_COMMIT, None] * 4, platform=kit.dialect.name)
    job = kit.provisioner().run_many(rows, ordered=True)
    outcomes = [outcome async for outcome in job]
    assert [outcome.op_id for outcome in outcomes] == [op_id for op_id, _ in rows]
    assert [outcome.status for outcome in outcomes] == ["done"] * 8
