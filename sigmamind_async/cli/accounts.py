"""The platforms, as the commands see them, and accounts on them, reached as the environment says.

Nothing else asks which platform it is.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeAlias

import attrs

from sigmamind_async.cli.errors import CommandError
from sigmamind_async.cli.options import RequestOptions, SettlementOptions
from sigmamind_async.cli.output.events import NumberRecord
from sigmamind_async.convert import RequestValue
from sigmamind_async.events import Observers
from sigmamind_async.fleet.vendors import VENDORS, VendorSchema
from sigmamind_async.limiter.gate import Gate
from sigmamind_async.paging import Page
from sigmamind_async.platforms.dialnexa import models as dialnexa
from sigmamind_async.platforms.dialnexa.client import DialNexa
from sigmamind_async.platforms.sigmamind import models as sigmamind
from sigmamind_async.platforms.sigmamind.client import SigmaMind
from sigmamind_async.platforms.verbex import models as verbex
from sigmamind_async.platforms.verbex.client import Verbex
from sigmamind_async.provisioning.journal.protocol import Journal
from sigmamind_async.provisioning.provisioner import Provisioner
from sigmamind_async.retry import RetryPolicy

AnyClient: TypeAlias = SigmaMind | Verbex | DialNexa

ATTEMPTS: Final = 8
"""Attempts of one call. A person at a terminal can wait longer for them than a program can."""
SHOWN_OF_KEY: Final = 4
SHORTEST_KEY: Final = 16
"""Of a shorter key no character is shown."""


@attrs.frozen(kw_only=True, eq=False)
class Platform:
    """One platform, as the commands see it."""

    client: type[SigmaMind | Verbex | DialNexa]
    page: type[RequestValue[Page[Any]]]
    """Lists numbers."""
    is_active: Callable[[Any], bool | None] = lambda _: None
    """Returns whether a record is in service; `None` where records do not show it."""

    @property
    def name(self) -> str:
        """Its name on the command line."""
        return self.client.platform.name

    @property
    def key_variable(self) -> str:
        """The environment variable that holds the API key."""
        return f"{self.client.platform.env_prefix}_API_KEY"

    @property
    def schema(self) -> VendorSchema:
        """What the platform takes and shows, in the words of a fleet."""
        return VENDORS[self.name]

    @property
    def keyed_by_number(self) -> bool:
        """True if requests name a number by the number itself, and not by an id of its record."""
        return self.schema.key == "phone_number"

    def number(self, record: Any) -> NumberRecord:  # noqa: ANN401 - a record of any platform
        """Return what is shown of *record*: known fields only, because others may hold secrets."""
        found = self.schema.read_number(record)
        shown = found.shown.get
        return NumberRecord(
            platform=self.name,
            phone_number=found.phone_number or None,
            record_id=None if self.keyed_by_number else found.record,
            provider=record.provider,
            active=self.is_active(record),
            label=shown("label"),
            inbound_agent_id=shown("inbound_agent_id"),
            outbound_agent_id=shown("outbound_agent_id"),
            test_number=shown("test_number"),
            termination_uri=shown("termination_uri"),
        )


PLATFORMS: Final[Mapping[str, Platform]] = {
    platform.name: platform
    for platform in (
        Platform(
            client=SigmaMind,
            page=sigmamind.ListPhoneNumbers,
            is_active=lambda record: record.active,
        ),
        Platform(client=Verbex, page=verbex.ListPhoneNumbers),
        Platform(
            client=DialNexa,
            page=dialnexa.ListPhoneNumbers,
            is_active=lambda record: (
                None if record.status is None else record.status == dialnexa.ACTIVE
            ),
        ),
    )
}


def address_of(client: AnyClient) -> str:
    """Return the base URL of *client*, and the end of the key: what tells accounts apart."""
    key = os.environ.get(PLATFORMS[client.platform.name].key_variable, "")
    end = f"...{key[-SHOWN_OF_KEY:]}" if len(key) >= SHORTEST_KEY else "***"
    return f"{client.runner.engine.base_url}, key {end}"


def describe_account(client: AnyClient) -> str:
    """Return the platform of *client* and its address: what to agree to."""
    return f"{client.platform.name} at {address_of(client)}"


def choose_platforms(names: Iterable[str]) -> list[str]:
    """Return *names*, each once; without any, the platforms whose API key is set."""
    platforms = [each for each in PLATFORMS.values() if os.environ.get(each.key_variable)]
    found = [*dict.fromkeys(names)] or [each.name for each in platforms]
    if not found:
        *others, last = [each.key_variable for each in PLATFORMS.values()]
        raise CommandError(f"no API key: set {', '.join(others)} or {last} in the environment")
    return found


def client_of(
    platform: str,
    request: RequestOptions,
    *,
    gate: Gate | None = None,
    observer: Observers = None,
) -> AnyClient:
    """Return a client of *platform* whose key and base URL come from the environment alone.

    So does its proxy, where *request* names none. Raises `ConfigurationError` where the key is
    missing, which names the variable.
    """
    return PLATFORMS[platform].client(
        deadline=request.deadline,
        attempt_timeout=request.attempt_timeout,
        proxy=request.proxy,
        trust_env=True,
        retry=RetryPolicy(max_attempts=ATTEMPTS),
        gate=gate or Gate(refusal_statuses=request.refusal_status),
        observer=observer,
    )


def new_provisioner(
    client: AnyClient,
    journal: Journal,
    settlement: SettlementOptions,
    max_purchases: int | None = None,
) -> Provisioner:
    """Return what carries out the operations of one account."""
    return Provisioner(
        client,
        journal,
        settle_time=settlement.settle_time,
        retry_unconfirmed=settlement.retry_unconfirmed,
        release_duplicates=settlement.release_duplicates,
        max_purchases=max_purchases,
    )
