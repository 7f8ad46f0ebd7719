"""The DialNexa client, in the vendor's words."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable
from typing import ClassVar, Literal, TypedDict, TypeVar, Unpack

from sigmamind_async.bulk import DEFAULT_STOP_ON, BulkResult, Progress, StopOn
from sigmamind_async.client import Client, Operations, RawResource, Resource, Row, Runner, raw
from sigmamind_async.engine import Engine
from sigmamind_async.operation import Platform
from sigmamind_async.paging import Listing, all_items, single_page
from sigmamind_async.platforms.dialnexa.models import (
    Agent,
    AvailableNumber,
    GetAgent,
    GetPhoneNumber,
    ImportSipTrunk,
    ListPhoneNumberPricing,
    ListPhoneNumbers,
    PhoneNumber,
    PhoneNumberPrice,
    PurchasePhoneNumber,
    ReleasePhoneNumber,
    SearchPhoneNumbers,
    UpdateAgent,
    UpdatePhoneNumber,
)
from sigmamind_async.platforms.dialnexa.operations import DIALNEXA, OPERATIONS
from sigmamind_async.values import UNSET, Secret, Unset, as_secret

NewNumber = TypeVar("NewNumber", bound="PurchasePhoneNumber | Row")
ImportedNumber = TypeVar("ImportedNumber", bound="ImportSipTrunk | Row")
ChangedNumber = TypeVar("ChangedNumber", bound="UpdatePhoneNumber | Row | str")


class DialNexa(Client):
    """DialNexa's phone numbers and their prices, and the agents that they are routed to.

    The settings are those of `sigmamind_async.client.Client`. ``DIALNEXA_API_KEY``, the whole of
    ``key_id:secret``, and ``DIALNEXA_BASE_URL`` are read from the environment.
    """

    platform: ClassVar[Platform] = DIALNEXA
    operations: ClassVar[Operations] = OPERATIONS

    phone_numbers: PhoneNumbers
    phone_number_pricing: PhoneNumberPricing
    agents: Agents

    def _bind(self, engine: Engine) -> None:
        super()._bind(engine)
        self.phone_numbers = PhoneNumbers(self._runner)
        self.phone_number_pricing = PhoneNumberPricing(self._runner)
        self.agents = Agents(self._runner)

    @property
    def with_raw_response(self) -> DialNexaRaw:
        """The same methods, each of which returns a `RawResponse`: status, headers, request id."""
        return DialNexaRaw(self._runner)


class PhoneNumberChange(TypedDict, total=False):
    """The fields of `UpdatePhoneNumber`, as keyword arguments."""

    agent_id: str | Unset | None
    nickname: str | Unset | None
    label: str | Unset


class PhoneNumbers(Resource):
    """https://dialnexa.com/docs, "Phone Numbers".

    Every method raises `InvalidRequestError` for a wrong argument, before anything is sent; the
    other errors are those of `sigmamind_async.errors`.
    """

    async def search(
        self,
        country_iso: str,
        *,
        type: str | Unset = UNSET,  # noqa: A002 - the vendor's word
    ) -> list[AvailableNumber]:
        """List the numbers on offer in a country, ISO 3166-1 alpha-2.

        *type* is ``local``, ``mobile`` or ``tollfree``.
        """
        return await self._runner.run(SearchPhoneNumbers(country_iso=country_iso, type=type))

    async def purchase(
        self,
        phone_number: str,
        *,
        telephony_provider_id: str | Unset = UNSET,
        country_iso: str | Unset = UNSET,
        provider: str | Unset = UNSET,
        older_body: bool = False,
    ) -> PhoneNumber:
        """Buy exactly *phone_number*, billed monthly from then on; it is sent at most once.

        `search` finds numbers on offer; ``client.phone_number_pricing.list()`` gives the
        *telephony_provider_id* and the price for their country.

        Without a readable answer, the number is looked up in the listing; if it is not there,
        `OutcomeUnknownError` says that it may have been bought. Two bodies are documented: see
        `PurchasePhoneNumber`.
        """
        return await self._runner.run(
            PurchasePhoneNumber(
                phone_number=phone_number,
                telephony_provider_id=telephony_provider_id,
                country_iso=country_iso,
                provider=provider,
                older_body=older_body,
            )
        )

    async def import_sip_trunk(
        self,
        phone_number: str,
        *,
        termination_uri: str,
        auth_mode: Literal["userpass", "ip"] | Unset = UNSET,
        sip_trunk_user_name: str | Unset = UNSET,
        sip_trunk_password: str | Secret | Unset = UNSET,
        nickname: str | Unset = UNSET,
    ) -> PhoneNumber:
        """Bring a number you own into DialNexa over a SIP trunk; nothing is bought.

        User name and password are needed, unless ``auth_mode="ip"``, which forbids them.
        """
        sip_trunk_password = as_secret(sip_trunk_password)
        return await self._runner.run(
            ImportSipTrunk(
                phone_number=phone_number,
                termination_uri=termination_uri,
                auth_mode=auth_mode,
                sip_trunk_user_name=sip_trunk_user_name,
                sip_trunk_password=sip_trunk_password,
                nickname=nickname,
            )
        )

    async def update(
        self,
        id: str,  # noqa: A002 - the vendor's word
        *,
        agent_id: str | Unset | None = UNSET,
        nickname: str | Unset | None = UNSET,
        label: str | Unset = UNSET,
    ) -> PhoneNumber:
        """Change a number: ``agent_id=None`` detaches the agent, ``nickname=None`` clears it.

        A 404 means that the number is unknown or that the platform has retired this route; the
        error says how to route the number with ``agents.update`` instead.
        """
        return await self._runner.run(
            UpdatePhoneNumber(id=id, agent_id=agent_id, nickname=nickname, label=label)
        )

    async def get(self, id: str) -> PhoneNumber:  # noqa: A002 - the vendor's word
        """Look up a number by its id."""
        return await self._runner.run(GetPhoneNumber(id=id))

    def list(
        self,
        *,
        page_size: int = 100,
        country_code: str | Unset = UNSET,
        type: str | Unset = UNSET,  # noqa: A002 - the vendor's word
    ) -> Listing[PhoneNumber]:
        """Yield every number of the workspace once, reading *page_size* (1 to 100) at a time.

        A number that the workspace holds throughout is yielded, whatever is changed, released and
        bought meanwhile. The first page's numbers come at once; then all pages are read before the
        next is yielded, about 1 kB a number. `ListPhoneNumbers` reads a single page.

        Raises `ResponseDecodeError` rather than ending before the workspace does.
        """
        return all_items(
            lambda page: self._runner.run(
                ListPhoneNumbers(page=page, limit=page_size, country_code=country_code, type=type)
            ),
            lambda number: number.id,
            size=page_size,
            first=1,
        )

    async def release(self, id: str) -> None:  # noqa: A002 - the vendor's word
        """Release a number, permanently; raises `ConflictError` while something uses it."""
        await self._runner.run(ReleasePhoneNumber(id=id))

    async def purchase_many(
        self,
        values: Iterable[NewNumber] | AsyncIterable[NewNumber],
        *,
        stop_on: StopOn | None = DEFAULT_STOP_ON,
        progress: Progress | None = None,
    ) -> BulkResult[NewNumber, PhoneNumber]:
        """Buy many numbers concurrently, each at most once.

        A mapping of fields is built when its row begins: a wrong one is a failed outcome.
        """
        return await self._runner.run_all(
            values, PurchasePhoneNumber, stop_on=stop_on, progress=progress
        )

    async def import_sip_trunk_many(
        self,
        values: Iterable[ImportedNumber] | AsyncIterable[ImportedNumber],
        *,
        stop_on: StopOn | None = DEFAULT_STOP_ON,
        progress: Progress | None = None,
    ) -> BulkResult[ImportedNumber, PhoneNumber]:
        """Import many numbers concurrently; *values* as in `purchase_many`."""
        return await self._runner.run_all(
            values, ImportSipTrunk, stop_on=stop_on, progress=progress
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

        *values* are `UpdatePhoneNumber` values or mappings of its fields, each with its own change,
        or plain ids, which all get the same *change*, given by keyword as in `update`. A *change*
        that no number can take raises before anything is sent.
        """
        return await self._runner.change_all(
            values, UpdatePhoneNumber, "id", change, stop_on=stop_on, progress=progress
        )


class PhoneNumberPricing(Resource):
    """https://dialnexa.com/docs, "List Phone Number Pricing"."""

    def list(self) -> Listing[PhoneNumberPrice]:
        """Yield the price of a number from each provider in each country, in credits."""
        return single_page(lambda: self._runner.run(ListPhoneNumberPricing()))


class Agents(Resource):
    """https://dialnexa.com/docs, "Agents": the newer way to route numbers."""

    async def get(self, id: str) -> Agent:  # noqa: A002 - the vendor's word
        """Look up an agent; `update` takes its `version_number`."""
        return await self._runner.run(GetAgent(id=id))

    async def update(
        self,
        id: str,  # noqa: A002 - the vendor's word
        *,
        version_number: int,
        inbound_phone_number_id: str | Unset = UNSET,
        outbound_phone_number_id: str | Unset = UNSET,
        is_published: bool | Unset = UNSET,
    ) -> Agent:
        """Route numbers to an agent; an empty text detaches one.

        *version_number* names a draft: a published version cannot be updated. Live calls follow
        only if ``is_published=True`` is in the same request.
        """
        return await self._runner.run(
            UpdateAgent(
                id=id,
                version_number=version_number,
                inbound_phone_number_id=inbound_phone_number_id,
                outbound_phone_number_id=outbound_phone_number_id,
                is_published=is_published,
            )
        )


# --- raw responses ---------------------------------------------------------------------------


class RawPhoneNumbers(RawResource):
    """The methods of `PhoneNumbers`."""

    search = raw(PhoneNumbers.search)
    purchase = raw(PhoneNumbers.purchase)
    import_sip_trunk = raw(PhoneNumbers.import_sip_trunk)
    update = raw(PhoneNumbers.update)
    get = raw(PhoneNumbers.get)
    release = raw(PhoneNumbers.release)


class RawAgents(RawResource):
    """The methods of `Agents`."""

    get = raw(Agents.get)
    update = raw(Agents.update)


class DialNexaRaw:
    """What ``client.with_raw_response`` is; see `DialNexa.with_raw_response`."""

    def __init__(self, runner: Runner) -> None:
        self.phone_numbers = RawPhoneNumbers(runner)
        self.agents = RawAgents(runner)
