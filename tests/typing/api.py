"""Type-checked, never run: what a caller's type checker knows about the public names."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, assert_type

from tenacity import stop_after_attempt, wait_random_exponential

from sigmamind_async import (
    UNSET,
    BulkResult,
    DialNexa,
    Gate,
    Listing,
    Outcome,
    OutcomeUnknownError,
    Page,
    Progress,
    RateLimitError,
    RawResponse,
    RetryPolicy,
    Secret,
    SigmaMind,
    StopOn,
    Unset,
    Verbex,
    fleet,
    sync,
)
from sigmamind_async.bulk import BulkRun
from sigmamind_async.convert import RequestValue
from sigmamind_async.platforms import dialnexa, verbex
from sigmamind_async.platforms.sigmamind import (
    Agent,
    Call,
    CreatePhoneNumber,
    DeletePhoneNumber,
    GetPhoneNumber,
    ImportPhoneNumber,
    ListPhoneNumbers,
    PhoneNumber,
)
from sigmamind_async.platforms.sigmamind.verification import VerificationResult, verify_numbers
from sigmamind_async.provisioning import PostgresJournal, Provisioner, SqliteJournal, Status
from sigmamind_async.testing import FakeClock, ScriptedTransport, in_fake_time, reply
from sigmamind_async.values import SecretReference
from sigmamind_async.workers import Queue, WorkerProvisioner

GET = GetPhoneNumber(phone_number="+14155550100")


def made() -> SigmaMind:
    async def provider() -> str:
        return "sk"

    SigmaMind()
    SigmaMind(Secret("sk"), gate=Gate(max_wait=1.0), retry=RetryPolicy(max_attempts=1))
    RetryPolicy(wait=wait_random_exponential(max=8), stop=stop_after_attempt(4))
    RetryPolicy(wait=lambda state: 0.5 * state.attempt_number)
    SigmaMind(b"sk")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    return assert_type(SigmaMind(provider), SigmaMind)


async def phone_numbers(client: SigmaMind) -> None:
    async with client as entered:
        assert_type(entered, SigmaMind)
    numbers = client.phone_numbers
    bought = assert_type(await numbers.create(country_code="US", area_code=415), PhoneNumber)
    assert_type(await numbers.import_("+14155550100", trunk_password="pw"), PhoneNumber)
    assert_type(await numbers.update(bought.sip_phone_number, inbound_agent_id=None), PhoneNumber)
    assert_type(await numbers.update("+1", friendly_name=UNSET, trunk_password=UNSET), PhoneNumber)
    assert_type(await numbers.get("+14155550100"), PhoneNumber)
    await numbers.delete("+14155550100")
    assert_type(numbers.list(page_size=10), Listing[PhoneNumber])
    assert_type(await numbers.test_call(bought), Call)
    assert_type(bought.sip_phone_number, str)
    assert_type(bought.active, bool | None)


async def test_calls(client: SigmaMind, number: PhoneNumber) -> None:
    run = verify_numbers(client, [number], per_destination=2)
    assert_type(run.calls, int)
    async for result in run:
        assert_type(result, VerificationResult)
        assert_type(result.call, Call | None)
    assert_type(run.undelivered, list[VerificationResult])


async def other_platforms(verbex_client: Verbex, dialnexa_client: DialNexa) -> None:
    held = verbex_client.phone_numbers
    made = await held.create(provider="pia", phone_number="+14155550100")
    assert_type(made, verbex.PhoneNumber)
    assert_type(made.id, str)
    assert_type(await held.update(made.id, sip_trunk_password=None), verbex.PhoneNumber)
    assert_type(held.list(), Listing[verbex.PhoneNumber])
    await held.create(provider="sim")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

    numbers = dialnexa_client.phone_numbers
    assert_type(await numbers.search("US"), list[dialnexa.AvailableNumber])
    prices = [price async for price in dialnexa_client.phone_number_pricing.list()]
    assert_type(prices, list[dialnexa.PhoneNumberPrice])
    listed = await dialnexa_client.run(dialnexa.ListPhoneNumberPricing())
    assert_type(listed, list[dialnexa.PhoneNumberPrice])
    assert_type(await numbers.purchase("+14155550100"), dialnexa.PhoneNumber)
    assert_type(await numbers.update("phn_1", agent_id=None), dialnexa.PhoneNumber)
    assert_type(await dialnexa_client.run(dialnexa.GetAgent(id="agt_1")), dialnexa.Agent)


async def raw_responses(client: SigmaMind, nexa: DialNexa) -> None:
    numbers = client.with_options(headers={"x-tenant": "a"}).with_raw_response.phone_numbers
    answer = assert_type(await numbers.get("+14155550100"), RawResponse[PhoneNumber])
    assert_type(answer.parse(), PhoneNumber)
    assert_type(answer.request_id, str | None)
    assert_type(await numbers.create(country_code="US", area_code=415), RawResponse[PhoneNumber])
    assert_type(await numbers.delete("+14155550100"), RawResponse[None])
    assert_type(await nexa.with_raw_response.agents.get("agt_1"), RawResponse[dialnexa.Agent])
    await numbers.get()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await numbers.create(area_code="415")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert_type(await client.request("PUT", "/v1/x", json={"a": 1}), RawResponse[Any])
    async for page in client.phone_numbers.list().pages():
        assert_type(page, Page[PhoneNumber])


async def wrong_arguments(client: SigmaMind) -> None:
    numbers = client.phone_numbers
    await numbers.create("US")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await numbers.create(area_code="415")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await numbers.create(inbound_agent_id=None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await numbers.update("+1", friendly_name=None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await numbers.import_()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await numbers.update("+1", terminationSipUri="a")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def agents_and_calls(client: SigmaMind) -> None:
    assert_type(await client.agents.get("agent_1"), Agent)
    assert_type(client.agents.list(), Listing[Agent])
    call = await client.calls.create(from_phone_number="+1", to_phone_number="+1")
    assert_type(call, Call)
    assert_type(call.phone_number, PhoneNumber | str | None)
    assert_type(await client.calls.wait(call), Call)
    await client.calls.delete("call_1")


async def values(client: SigmaMind) -> None:
    assert_type(await client.run(GET), PhoneNumber)
    assert_type(await client.run(CreatePhoneNumber(country_code="US")), PhoneNumber)
    assert_type(await client.run(ListPhoneNumbers()), Page[PhoneNumber])
    deletion: RequestValue[None] = DeletePhoneNumber(phone_number="+1")
    await client.run(deletion)
    raw = assert_type(await client.run_raw(GET), RawResponse[PhoneNumber])
    assert_type(raw.parse(), PhoneNumber)
    await client.run("+1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def many(client: SigmaMind, later: AsyncIterator[GetPhoneNumber]) -> None:
    run = client.run_many([GET], ordered=True, stop_on=StopOn(count=1), progress=Progress())
    assert_type(run, BulkRun[RequestValue[PhoneNumber], PhoneNumber])
    async for outcome in run:
        assert_type(outcome, Outcome[RequestValue[PhoneNumber], PhoneNumber])
        assert_type(outcome.result, PhoneNumber | None)
    client.run_many(later)
    numbers = client.phone_numbers
    assert_type(
        await numbers.create_many(
            [CreatePhoneNumber(country_code="US")], stop_on=None, progress=Progress()
        ),
        BulkResult[CreatePhoneNumber, PhoneNumber],
    )
    assert_type(
        await numbers.import_many([ImportPhoneNumber(phone_number="+1")]),
        BulkResult[ImportPhoneNumber, PhoneNumber],
    )
    changed = await numbers.update_many(["+1"], inbound_agent_id=None)
    assert_type(changed, BulkResult[str, PhoneNumber])
    await numbers.update_many(["+1"], phone_number="+1")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def once_among_many(client: SigmaMind) -> None:
    async with PostgresJournal("postgresql://db.example/orders", schema="numbers") as journal:
        await Provisioner(client, journal).run("order-1", CreatePhoneNumber(country_code="US"))


async def once(client: SigmaMind, journal: SqliteJournal) -> None:
    provisioner = Provisioner(client, journal, max_purchases=1, tag="strip")
    bought = await provisioner.run("order-1", CreatePhoneNumber(country_code="US"))
    assert_type(bought, PhoneNumber)
    released: RequestValue[None] = DeletePhoneNumber(phone_number="+1")
    await provisioner.run("order-2", released)
    async for outcome in provisioner.run_many([("row-1", GET)], ordered=True):
        assert_type(outcome.result, PhoneNumber | None)
    assert_type(await provisioner.reconcile(), Status)
    Provisioner(client, journal, tag="drop")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def fleets(
    client: SigmaMind, journal: SqliteJournal, queue: Queue, shared: PostgresJournal
) -> None:
    wanted = fleet.load("fleet.csv")
    state = await fleet.refresh(wanted, {"sigmamind": client}, journal)
    todo = fleet.plan(wanted, state, fleet.PlanOptions(allow_release=True))
    run: fleet.FleetRun = fleet.apply(todo, [Provisioner(client, journal)], state=state)
    assert_type(await run, fleet.Result)
    handed_on: fleet.StepProvisioner = WorkerProvisioner(client, queue, shared)
    await fleet.apply(todo, [handed_on], secrets=SecretReference)
    await fleet.apply(todo, [client])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]


def small_values(value: CreatePhoneNumber, error: OutcomeUnknownError) -> None:
    assert_type(value.area_code, int | Unset)
    if value.area_code is not UNSET:
        assert_type(value.area_code, int)
    assert_type(error.status, int | None)
    assert_type(RateLimitError().retry_after, float | None)
    value.area_code = 1  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


def copies(client: SigmaMind) -> None:
    assert_type(client.with_options(deadline=1.0), SigmaMind)


def doubles(client: SigmaMind) -> None:
    transport = ScriptedTransport([reply(json={})])
    SigmaMind("sk", transport=transport)
    assert_type(in_fake_time(client, FakeClock()), SigmaMind)


def every_platform(value: RequestValue[Any]) -> None:
    """A request value of any result can be held."""


def blocking() -> None:
    with sync.SigmaMind(deadline=5.0) as client, sync.SqliteJournal("orders.db") as journal:
        assert_type(client, sync.SigmaMind)
        assert_type(client.with_options(strict=True), sync.SigmaMind)
        assert_type(client.phone_numbers.get("+14155550100"), PhoneNumber)
        assert_type(client.phone_numbers.delete("+14155550100"), None)
        assert_type(client.with_raw_response.agents.get("a"), RawResponse[Agent])
        assert_type(client.request("GET", "/v1/agents"), RawResponse[Any])
        assert_type(client.run(GET), PhoneNumber)
        for number in client.phone_numbers.list(page_size=10):
            assert_type(number, PhoneNumber)
        for page in client.phone_numbers.list().pages():
            assert_type(page, Page[PhoneNumber])
        for outcome in client.run_many([GET]):
            assert_type(outcome, Outcome[RequestValue[PhoneNumber], PhoneNumber])
        provisioner = sync.Provisioner(client, journal, max_purchases=1)
        assert_type(provisioner.run("order-1", GET), PhoneNumber)
        assert_type(provisioner.status(), Status)

        client.phone_numbers.get(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        client.phone_numbers.create(country="US")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
        client.phone_numbers.retrieve("x")  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
        sync.SigmaMind(timeout=5.0)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
        sync.Provisioner(SigmaMind(), journal)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
