"""The SigmaMind client, in the vendor's words."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable, Mapping
from typing import Any, ClassVar, Final, TypedDict, TypeVar, Unpack

from sigmamind_async.bulk import DEFAULT_STOP_ON, BulkResult, Progress, StopOn
from sigmamind_async.client import Client, Operations, RawResource, Resource, Row, Runner, raw
from sigmamind_async.engine import Engine
from sigmamind_async.errors import InvalidRequestError, OutcomeUnknownError
from sigmamind_async.operation import Platform
from sigmamind_async.paging import Listing, all_items
from sigmamind_async.platforms.sigmamind.models import (
    Agent,
    Call,
    CallStatus,
    CreateCall,
    CreatePhoneNumber,
    DeleteCall,
    DeletePhoneNumber,
    GetAgent,
    GetCall,
    GetPhoneNumber,
    ImportPhoneNumber,
    ListAgents,
    ListCalls,
    ListPhoneNumbers,
    PhoneNumber,
    UpdatePhoneNumber,
)
from sigmamind_async.platforms.sigmamind.operations import OPERATIONS, SIGMAMIND
from sigmamind_async.values import UNSET, Secret, Unset, as_secret, check_seconds

NewNumber = TypeVar("NewNumber", bound="CreatePhoneNumber | Row")
ImportedNumber = TypeVar("ImportedNumber", bound="ImportPhoneNumber | Row")
ChangedNumber = TypeVar("ChangedNumber", bound="UpdatePhoneNumber | Row | str")


class SigmaMind(Client):
    """SigmaMind's phone numbers, agents and calls.

    The methods are those of its attributes ``phone_numbers``, ``agents`` and ``calls``. The
    constructor explains its settings. ``SIGMAMIND_API_KEY`` and ``SIGMAMIND_BASE_URL`` are read
    from the environment.
    """

    platform: ClassVar[Platform] = SIGMAMIND
    operations: ClassVar[Operations] = OPERATIONS

    phone_numbers: PhoneNumbers
    agents: Agents
    calls: Calls

    def _bind(self, engine: Engine) -> None:
        super()._bind(engine)
        self.phone_numbers = PhoneNumbers(self._runner)
        self.agents = Agents(self._runner)
        self.calls = Calls(self._runner)

    @property
    def with_raw_response(self) -> SigmaMindRaw:
        """The same methods, each of which returns a `RawResponse`: status, headers, request id."""
        return SigmaMindRaw(self._runner)


class PhoneNumberChange(TypedDict, total=False):
    """The fields of `UpdatePhoneNumber`, as keyword arguments."""

    friendly_name: str | Unset
    inbound_agent_id: str | Unset | None
    outbound_agent_id: str | Unset | None
    termination_sip_uri: str | Unset
    trunk_username: str | Unset
    trunk_password: str | Secret | Unset
    outbound_phone_number: str | Unset


class PhoneNumbers(Resource):
    """https://docs.sigmamind.ai/api-reference/phone-numbers.

    Every method raises `InvalidRequestError` for a wrong argument, before anything is sent; the
    other errors are those of `sigmamind_async.errors`.
    """

    async def create(
        self,
        *,
        friendly_name: str | Unset = UNSET,
        country_code: str | Unset = UNSET,
        area_code: int | Unset = UNSET,
        phone_number: str | Unset = UNSET,
        inbound_agent_id: str | Unset = UNSET,
        outbound_agent_id: str | Unset = UNSET,
        outbound_phone_number: str | Unset = UNSET,
    ) -> PhoneNumber:
        """Buy a number: exactly *phone_number*, or one in *country_code* near *area_code*.

        It costs money and is sent at most once. Without a readable answer, *phone_number* is looked
        up; if none was given, `OutcomeUnknownError` says that a number may have been bought.

        Args:
            friendly_name: Label shown in listings, at most 128 characters; by default the number.
            country_code: ISO 3166-1 alpha-2, such as ``US``; needed without *phone_number*, ignored
                with it.
            area_code: Whole number, 100 to 99999. With none in stock there, the nearest match is
                bought.
            phone_number: Buy exactly this number, E.164.
            inbound_agent_id: Agent that takes calls to the number, 1 to 64 characters.
            outbound_agent_id: Agent that calls from the number, 1 to 64 characters.
            outbound_phone_number: The number that test calls ring, E.164.

        Returns:
            The number; its ``sip_phone_number`` is the key of later calls.

        Raises:
            OutcomeUnknownError: A number may have been bought.
            InsufficientFundsError: The account cannot pay for it.
        """
        return await self._runner.run(
            CreatePhoneNumber(
                friendly_name=friendly_name,
                country_code=country_code,
                area_code=area_code,
                phone_number=phone_number,
                inbound_agent_id=inbound_agent_id,
                outbound_agent_id=outbound_agent_id,
                outbound_phone_number=outbound_phone_number,
            )
        )

    async def import_(
        self,
        phone_number: str,
        *,
        friendly_name: str | Unset = UNSET,
        inbound_agent_id: str | Unset = UNSET,
        outbound_agent_id: str | Unset = UNSET,
        trunk_username: str | Unset = UNSET,
        trunk_password: str | Secret | Unset = UNSET,
        termination_sip_uri: str | Unset = UNSET,
        outbound_phone_number: str | Unset = UNSET,
    ) -> PhoneNumber:
        """Bring a number you own into SigmaMind over a SIP trunk; nothing is bought.

        Outbound calls need the trunk's username, password and termination URI.

        Args:
            phone_number: The number, E.164.
            friendly_name: Label shown in listings, at most 128 characters.
            inbound_agent_id: Agent that takes calls to the number, 1 to 64 characters.
            outbound_agent_id: Agent that calls from the number, 1 to 64 characters.
            trunk_username: At most 128 characters.
            trunk_password: At most 128 characters; never returned.
            termination_sip_uri: The carrier's host, such as ``sip.telnyx.com``; at most 253
                characters.
            outbound_phone_number: The number that test calls ring, E.164.

        Raises:
            OutcomeUnknownError: The number may have been imported.
        """
        trunk_password = as_secret(trunk_password)
        return await self._runner.run(
            ImportPhoneNumber(
                phone_number=phone_number,
                friendly_name=friendly_name,
                inbound_agent_id=inbound_agent_id,
                outbound_agent_id=outbound_agent_id,
                trunk_username=trunk_username,
                trunk_password=trunk_password,
                termination_sip_uri=termination_sip_uri,
                outbound_phone_number=outbound_phone_number,
            )
        )

    async def update(
        self,
        phone_number: str,
        *,
        friendly_name: str | Unset = UNSET,
        inbound_agent_id: str | Unset | None = UNSET,
        outbound_agent_id: str | Unset | None = UNSET,
        termination_sip_uri: str | Unset = UNSET,
        trunk_username: str | Unset = UNSET,
        trunk_password: str | Secret | Unset = UNSET,
        outbound_phone_number: str | Unset = UNSET,
    ) -> PhoneNumber:
        """Change a number; a field left out stays as it is, ``None`` removes an agent.

        Args:
            phone_number: The number to change, E.164.
            friendly_name: Label shown in listings, at most 128 characters.
            inbound_agent_id: Agent that takes calls to the number, 1 to 64 characters.
            outbound_agent_id: Agent that calls from the number, 1 to 64 characters.
            termination_sip_uri: The carrier's host, at most 253 characters. Like the trunk's other
                fields, it affects imported numbers only.
            trunk_username: At most 128 characters.
            trunk_password: At most 128 characters; never returned.
            outbound_phone_number: The number that test calls ring, E.164.

        Raises:
            NotFoundError: The account does not hold the number.
        """
        trunk_password = as_secret(trunk_password)
        return await self._runner.run(
            UpdatePhoneNumber(
                phone_number=phone_number,
                friendly_name=friendly_name,
                inbound_agent_id=inbound_agent_id,
                outbound_agent_id=outbound_agent_id,
                termination_sip_uri=termination_sip_uri,
                trunk_username=trunk_username,
                trunk_password=trunk_password,
                outbound_phone_number=outbound_phone_number,
            )
        )

    async def get(self, phone_number: str) -> PhoneNumber:
        """Look up *phone_number*, E.164; raises `NotFoundError` if the account does not hold it."""
        return await self._runner.run(GetPhoneNumber(phone_number=phone_number))

    def list(self, *, page_size: int = 100) -> Listing[PhoneNumber]:
        """Yield every number of the account once.

        A number that the account holds throughout is yielded, whatever is changed, deleted and
        bought meanwhile. The first page's numbers come at once; then all pages are read before the
        next is yielded, about 1 kB a number. `ListPhoneNumbers` reads a single page.

        Args:
            page_size: Numbers to read at a time, 1 to 1,000.

        Raises:
            ResponseDecodeError: The listing ends before the account does.
        """
        return all_items(
            lambda page: self._runner.run(ListPhoneNumbers(page=page, size=page_size)),
            lambda number: number.sip_phone_number,
            size=page_size,
        )

    async def delete(self, phone_number: str) -> None:
        """Release *phone_number*, E.164, permanently: it may not be available again.

        Raises `NotFoundError` if the account does not hold it.
        """
        await self._runner.run(DeletePhoneNumber(phone_number=phone_number))

    async def create_many(
        self,
        values: Iterable[NewNumber] | AsyncIterable[NewNumber],
        *,
        stop_on: StopOn | None = DEFAULT_STOP_ON,
        progress: Progress | None = None,
    ) -> BulkResult[NewNumber, PhoneNumber]:
        """Buy many numbers concurrently, each at most once.

        Args:
            values: `CreatePhoneNumber` values, or mappings of its fields, which are read when their
                row begins: a wrong one is a failed outcome.
            stop_on: When to start no more rows and skip the rest, as in `Client.run_many`.
            progress: Counts, rate and estimated time, updated while the job runs.

        Returns:
            The outcome of every row, in the order of *values*.
        """
        return await self._runner.run_all(
            values, CreatePhoneNumber, stop_on=stop_on, progress=progress
        )

    async def import_many(
        self,
        values: Iterable[ImportedNumber] | AsyncIterable[ImportedNumber],
        *,
        stop_on: StopOn | None = DEFAULT_STOP_ON,
        progress: Progress | None = None,
    ) -> BulkResult[ImportedNumber, PhoneNumber]:
        """Import many numbers concurrently.

        Args:
            values: `ImportPhoneNumber` values, or mappings of its fields, as in `create_many`.
            stop_on: When to start no more rows and skip the rest, as in `Client.run_many`.
            progress: Counts, rate and estimated time, updated while the job runs.

        Returns:
            The outcome of every row, in the order of *values*.
        """
        return await self._runner.run_all(
            values, ImportPhoneNumber, stop_on=stop_on, progress=progress
        )

    async def update_many(
        self,
        values: Iterable[ChangedNumber] | AsyncIterable[ChangedNumber],
        *,
        stop_on: StopOn | None = DEFAULT_STOP_ON,
        progress: Progress | None = None,
        **change: Unpack[PhoneNumberChange],
    ) -> BulkResult[ChangedNumber, PhoneNumber]:
        """Change many numbers concurrently.

        Args:
            values: `UpdatePhoneNumber` values or mappings of its fields, each with its own change,
                or plain numbers, which all get the same *change*.
            stop_on: When to start no more rows and skip the rest, as in `Client.run_many`.
            progress: Counts, rate and estimated time, updated while the job runs.
            **change: Fields as in `update`. One that no number can take raises before anything is
                sent.

        Returns:
            The outcome of every row, in the order of *values*.
        """
        if "trunk_password" in change:
            change["trunk_password"] = as_secret(change["trunk_password"])
        return await self._runner.change_all(
            values, UpdatePhoneNumber, "phone_number", change, stop_on=stop_on, progress=progress
        )

    async def test_call(
        self,
        number: str | PhoneNumber,
        *,
        timeout: float = 120.0,  # noqa: ASYNC109 - it times the phone call
        poll_every: float = 1.0,
    ) -> Call:
        """Test a number's trunk: ring its ``outbound_phone_number`` and wait for the call's end.

        Args:
            number: The number, or its record, which saves a look-up.
            timeout: Seconds to wait for the end.
            poll_every: Seconds between two look-ups.

        Returns:
            The ended call, with its ``termination_reason``.

        Raises:
            InvalidRequestError: It is no number, or has no destination for test calls.
            OutcomeUnknownError: The call may have been placed, or was placed and has not ended in
                time.
            ConfigurationError: A number of seconds cannot be used; no call was placed.
        """
        check_seconds("timeout", timeout)
        check_seconds("poll_every", poll_every)
        if isinstance(number, str):
            number = await self.get(number)
        _check_record("number", number, PhoneNumber)
        if not number.sip_phone_number or not number.outbound_phone_number:
            raise InvalidRequestError(
                field="outbound_phone_number",
                rule="the number has no destination for test calls; set one with update()",
            )
        calls = Calls(self._runner)
        call = await calls.create(
            from_phone_number=number.sip_phone_number, to_phone_number=number.outbound_phone_number
        )
        return await calls.wait(call, timeout=timeout, poll_every=poll_every)


class Agents(Resource):
    """https://docs.sigmamind.ai/api-reference/agents.

    Every method raises as those of `PhoneNumbers` do.
    """

    async def get(self, agent_id: str) -> Agent:
        """Look up the agent *agent_id*; raises `NotFoundError` if there is none."""
        return await self._runner.run(GetAgent(agent_id=agent_id))

    def list(self, *, page_size: int = 100) -> Listing[Agent]:
        """Yield every agent of the account once, as `PhoneNumbers.list` does numbers.

        Args:
            page_size: Agents to read at a time, 1 to 1,000.
        """
        return all_items(
            lambda page: self._runner.run(ListAgents(page=page, size=page_size)),
            lambda agent: agent.agent_id,
            size=page_size,
        )


class Calls(Resource):
    """https://docs.sigmamind.ai/api-reference/calls.

    Every method raises as those of `PhoneNumbers` do.
    """

    async def create(
        self,
        *,
        from_phone_number: str,
        to_phone_number: str,
        agent_id: str | Unset = UNSET,
        dynamic_variables: Mapping[str, Any] | Unset = UNSET,
    ) -> Call:
        """Place a call to *to_phone_number*, at most once.

        Args:
            from_phone_number: A number of the account, E.164.
            to_phone_number: The number to ring, E.164.
            agent_id: The agent that speaks, 1 to 64 characters; may be left out if
                *from_phone_number* has an outbound agent.
            dynamic_variables: Values for the variables in the agent's instructions.

        Returns:
            The call, which has only begun: `wait` returns it when it has ended.

        Raises:
            OutcomeUnknownError: The call may have been placed.
        """
        return await self._runner.run(
            CreateCall(
                from_phone_number=from_phone_number,
                to_phone_number=to_phone_number,
                agent_id=agent_id,
                dynamic_variables=dynamic_variables,
            )
        )

    async def get(self, call_id: str) -> Call:
        """Look up the call *call_id*; raises `NotFoundError` if there is none."""
        return await self._runner.run(GetCall(call_id=call_id))

    def list(self, *, status: CallStatus | Unset = UNSET, page_size: int = 100) -> Listing[Call]:
        """Yield every call, as `PhoneNumbers.list` does numbers.

        Args:
            status: Only calls with this status: ``scheduled``, ``in_progress`` or ``ended``.
            page_size: Calls to read at a time, 1 to 1,000.
        """
        return all_items(
            lambda page: self._runner.run(ListCalls(status=status, page=page, size=page_size)),
            lambda call: call.call_id,
            size=page_size,
        )

    async def delete(self, call_id: str) -> None:
        """Delete the record of the call *call_id*; raises `NotFoundError` if there is none."""
        await self._runner.run(DeleteCall(call_id=call_id))

    async def wait(
        self,
        call: Call,
        *,
        timeout: float = 120.0,  # noqa: ASYNC109 - it times the phone call
        poll_every: float = 1.0,
    ) -> Call:
        """Look *call* up until it has ended, and return it.

        Args:
            call: The call, as `create` returned it.
            timeout: Seconds to wait for the end.
            poll_every: Seconds between two look-ups.

        Raises:
            InvalidRequestError: What is given is no call: `get` looks one up by its id.
            OutcomeUnknownError: It has not ended in time; the call is its `value`.
            ConfigurationError: A number of seconds cannot be used.
        """
        check_seconds("timeout", timeout)
        check_seconds("poll_every", poll_every)
        _check_record("call", call, Call)
        engine = self._runner.engine
        deadline = engine.clock() + timeout
        while not call.has_ended:
            if not call.call_id or engine.clock() + poll_every > deadline:
                raise _still_running(call, timeout)
            await engine.sleep(poll_every)
            call = await self.get(call.call_id)
        return call


def _check_record(name: str, given: object, kind: type) -> None:
    if not isinstance(given, kind):
        rule = f"must be a {kind.__name__} record, not of type {type(given).__name__}"
        raise InvalidRequestError(field=name, rule=rule)


def _still_running(call: Call, seconds: float) -> OutcomeUnknownError:
    error = OutcomeUnknownError(
        f"call {call.call_id or '(no id)'} was placed and has not ended within {seconds:g} s;"
        " look it up later with calls.get()"
    )
    error.committed = "yes"
    error.value = call
    return error


# --- raw responses ---------------------------------------------------------------------------


class RawPhoneNumbers(RawResource):
    """The methods of `PhoneNumbers`."""

    create: Final = raw(PhoneNumbers.create)
    import_: Final = raw(PhoneNumbers.import_)
    update: Final = raw(PhoneNumbers.update)
    get: Final = raw(PhoneNumbers.get)
    delete: Final = raw(PhoneNumbers.delete)


class RawAgents(RawResource):
    """The methods of `Agents`."""

    get: Final = raw(Agents.get)


class RawCalls(RawResource):
    """The methods of `Calls`."""

    create: Final = raw(Calls.create)
    get: Final = raw(Calls.get)
    delete: Final = raw(Calls.delete)


class SigmaMindRaw:
    """What ``client.with_raw_response`` is; see `SigmaMind.with_raw_response`."""

    def __init__(self, runner: Runner) -> None:
        self.phone_numbers: RawPhoneNumbers = RawPhoneNumbers(runner)
        self.agents: RawAgents = RawAgents(runner)
        self.calls: RawCalls = RawCalls(runner)
