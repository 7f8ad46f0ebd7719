"""What commands have to say, as records. How it looks is up to the three renderers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import attrs

from sigmamind_async.bulk import Status
from sigmamind_async.errors import Committed

Stopped = Literal["interrupted", "key refused", "platform unreachable", "output closed"]
"""Why a job ended before its rows did."""


@attrs.frozen(kw_only=True)
class Fault:
    """Why a row was not carried out, or is in doubt."""

    kind: str
    """Name of the exception class; ``BadRow`` for a row that could not be read."""
    message: str
    committed: Committed
    status: int | None = None
    """HTTP status, where one came."""
    retry_after: float | None = None
    advice: str = ""


@attrs.frozen(kw_only=True)
class RowResult:
    """How one row of a file ended."""

    line: int
    id: str | None
    action: str
    """Empty where the row does not say a known one."""
    status: Status
    phone_number: str | None = None
    record_id: str | None = None
    """What the platform knows the number by, where that is not the number itself."""
    fault: Fault | None = None
    attempts: int = 0
    elapsed: float = 0.0
    """Seconds."""


@attrs.frozen(kw_only=True)
class Summary:
    """How a job over many rows ended."""

    asked: int
    done: int = 0
    failed: int = 0
    unknown: int = 0
    skipped: int = 0
    requests: int = 0
    throttled: int = 0
    """Answers that said "one request too many"."""
    seconds: float = 0.0
    stopped: Stopped | None = None

    @property
    def rate(self) -> float:
        """Rows carried out or tried, a second."""
        tried = self.done + self.failed + self.unknown
        return tried / self.seconds if self.seconds > 0 else 0.0


@attrs.frozen(kw_only=True)
class NumberRecord:
    """A phone number of the account."""

    phone_number: str | None
    record_id: str | None = None
    """What the platform knows it by, where that is not the number itself."""
    provider: str | None
    friendly_name: str | None
    """The label, whatever the platform calls it."""
    inbound_agent_id: str | None
    """Who takes its calls, whatever the platform calls that."""
    outbound_agent_id: str | None = None
    outbound_phone_number: str | None = None
    termination_sip_uri: str | None = None
    active: bool | None = None


@attrs.frozen
class NumberList:
    """Many numbers, to be shown together."""

    numbers: tuple[NumberRecord, ...]


@attrs.frozen(kw_only=True)
class Released:
    """A number was given up: one or the other name of it."""

    phone_number: str | None = None
    record_id: str | None = None


@attrs.frozen(kw_only=True)
class Entrance:
    """Where a platform of a sandbox listens, and the key made up for it."""

    platform: str
    base_url: str
    api_key: str
    environment: Mapping[str, str]
    """The variables that lead a client there."""


@attrs.frozen
class SandboxReady:
    """A sandbox listens."""

    entrances: tuple[Entrance, ...]


@attrs.frozen(kw_only=True)
class Verdict:
    """What the ledger of the platform says about what the rows were told."""

    asked_to_buy: int
    bought: int
    bought_twice: int = 0
    """Rows for which more than one number was bought."""
    told_wrong: int = 0
    """Rows said to be done that are not, or the other way round."""
    unaccounted: int = 0
    """Rows nobody can say anything about."""

    @property
    def holds(self) -> bool:
        """Whether nothing was bought twice, and every row is accounted for."""
        return not (self.bought_twice or self.told_wrong or self.unaccounted)


@attrs.frozen(kw_only=True)
class Settlement:
    """Rows in doubt, after looking at the platform."""

    unknown: int
    carried_out: int
    not_carried_out: int


Record = (
    NumberList | NumberRecord | Released | RowResult | SandboxReady | Settlement | Summary | Verdict
)
