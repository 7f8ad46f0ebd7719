"""The DialNexa client: what a caller can ask for, in the vendor's words."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Iterable
from typing import ClassVar, Literal, TypedDict, Unpack

from sigmamind_async.bulk import DEFAULT_STOP_ON, BulkResult, Progress, StopOn
from sigmamind_async.client import Client, Operations, Resource
from sigmamind_async.engine import Engine
from sigmamind_async.operation import Platform
from sigmamind_async.paging import Page, all_items
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


class DialNexa(Client):
    """DialNexa's phone numbers, and the agents' side of their routing.

    Settings are those of `sigmamind_async.client.Client`; the environment variables are
    ``DIALNEXA_API_KEY``, the whole of ``key_id:secret``, and ``DIALNEXA_BASE_URL``.
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


class PhoneNumberChange(TypedDict, total=False):
    """The fields of `UpdatePhoneNumber`, as keyword arguments."""

    agent_id: str | Unset | None
    nickname: str | Unset | None
    label: str | Unset


class PhoneNumbers(Resource):
    """https://dialnexa.com/docs, "Phone Numbers".

    Every method may raise `InvalidRequestError` before anything is sent, and any other class of
    `sigmamind_async.errors` after.
    """

    async def search(
        self,
        country_iso: str,
        *,
        type: str | Unset = UNSET,  # noqa: A002 - the vendor's word
    ) -> list[AvailableNumber]:
        """List numbers that can be bought in a country, ISO 3166-1 alpha-2.

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
        """Buy exactly *phone_number*; billed monthly from then on, and sent at most once.

        `search` finds numbers on offer, and ``client.phone_number_pricing.list()`` the
        *telephony_provider_id* and price for their country.

        When no readable answer comes, the number is looked for in the listing; if it is not found
        there, `OutcomeUnknownError` says that it may have been bought. Two bodies are documented:
        see `PurchasePhoneNumber`.
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
        """Change a number: ``agent_id=None`` detaches routing, ``nickname=None`` clears it.

        A 404 means that the number is unknown or that the platform has retired this route; the
        error says how to route from the agent's side then.
        """
        return await self._runner.run(
            UpdatePhoneNumber(id=id, agent_id=agent_id, nickname=nickname, label=label)
        )

    async def get(self, id: str) -> PhoneNumber:  # noqa: A002 - the vendor's word
        """Look one number up by its id."""
        return await self._runner.run(GetPhoneNumber(id=id))

    async def list(
        self,
        *,
        page_size: int = 100,
        country_code: str | Unset = UNSET,
        type: str | Unset = UNSET,  # noqa: A002 - the vendor's word
    ) -> AsyncGenerator[PhoneNumber, None]:
        """Yield every number of the workspace once, reading *page_size* (1 to 100) at a time.

        Numbers may be changed, released and bought meanwhile: each that the workspace holds from
        beginning to end is yielded. Those of the first page come at once; then all pages are read
        before the next is yielded, about 1 kB a number. `ListPhoneNumbers` reads a single page.

        Raises `ResponseDecodeError` rather than ending before the workspace does.
        """

        async def fetch(page: int) -> Page[PhoneNumber]:
            return await self._runner.run(
                ListPhoneNumbers(page=page, limit=page_size, country_code=country_code, type=type)
            )

        async for number in all_items(fetch, lambda number: number.id, size=page_size, first=1):
            yield number

    async def release(self, id: str) -> None:  # noqa: A002 - the vendor's word
        """Give a number up, irreversibly; `ConflictError` while something uses it."""
        await self._runner.run(ReleasePhoneNumber(id=id))

    async def purchase_many(
        self,
        values: Iterable[PurchasePhoneNumber] | AsyncIterable[PurchasePhoneNumber],
        *,
        stop_on: StopOn | None = DEFAULT_STOP_ON,
        progress: Progress | None = None,
    ) -> BulkResult[PurchasePhoneNumber, PhoneNumber]:
        """Buy many numbers concurrently, each at most once."""
        return await self._runner.run_all(
            values, PurchasePhoneNumber, stop_on=stop_on, progress=progress
        )

    async def import_sip_trunk_many(
        self,
        values: Iterable[ImportSipTrunk] | AsyncIterable[ImportSipTrunk],
        *,
        stop_on: StopOn | None = DEFAULT_STOP_ON,
        progress: Progress | None = None,
    ) -> BulkResult[ImportSipTrunk, PhoneNumber]:
        """Import many numbers concurrently."""
        return await self._runner.run_all(
            values, ImportSipTrunk, stop_on=stop_on, progress=progress
        )

    async def update_many(
        self,
        values: Iterable[UpdatePhoneNumber | str] | AsyncIterable[UpdatePhoneNumber | str],
        *,
        stop_on: StopOn | None = DEFAULT_STOP_ON,
        progress: Progress | None = None,
        **change: Unpack[PhoneNumberChange],
    ) -> BulkResult[UpdatePhoneNumber | str, PhoneNumber]:
        """Change many numbers concurrently.

        *values* are `UpdatePhoneNumber` values, each with its own change; or plain ids, which all
        get the same *change*, given by keyword as in `update`. What no number can
        take raises before anything is sent.
        """
        return await self._runner.change_all(
            values, UpdatePhoneNumber, "id", change, stop_on=stop_on, progress=progress
        )


class PhoneNumberPricing(Resource):
    """https://dialnexa.com/docs, "List Phone Number Pricing"."""

    async def list(self) -> AsyncGenerator[PhoneNumberPrice, None]:
        """Yield what a number costs with each provider in each country, in credits."""
        for price in await self._runner.run(ListPhoneNumberPricing()):
            yield price


class Agents(Resource):
    """https://dialnexa.com/docs, "Agents": the newer way of routing numbers."""

    async def get(self, id: str) -> Agent:  # noqa: A002 - the vendor's word
        """Look one agent up; its `version_number` is the one that `update` takes."""
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
        """Route numbers to an agent; an empty text detaches.

        *version_number* names a draft: published versions take no update. Live calls follow only
        if ``is_published=True`` is in the same request.
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
