"""What a platform is to the sandbox: values in, values out.

A tower knows one vendor's paths, records and error bodies and holds that vendor's account. It
knows nothing of sockets, faults, limits or the ledger: the endpoint asks it what a request
means, tells it when to process one, and does with the answer whatever the weather demands.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Literal, Protocol

import attrs

from sigmamind_async.sandbox.ledger import ChangeKind
from sigmamind_async.sandbox.refusals import Refusal
from sigmamind_async.sandbox.switches import Switches

JSON = "application/json"


@attrs.frozen(kw_only=True)
class Route:
    """What a method and a path mean."""

    operation: str
    """As in the ledger, the faults and the limits: ``create``, ``calls.list``."""
    path: str
    """The path as error bodies name it."""
    key: str | None = None
    """The decoded last segment, where the path has one."""


@attrs.frozen(kw_only=True)
class NoRoute:
    """The path is unknown, or known with other methods."""

    path: str
    allowed: tuple[str, ...] = ()
    """Methods the path does have; empty means the path is unknown."""
    message: str | None = None
    """What the vendor says; None leaves it to the endpoint."""


@attrs.frozen(kw_only=True)
class Moved:
    """The path is another spelling of one that is served: the caller is sent there."""

    path: str
    status: Literal[307, 308]


@attrs.frozen(kw_only=True)
class ApiRequest:
    """One request, read whole, at the moment it is processed."""

    route: Route
    query: Mapping[str, str]
    content_type: str
    body: bytes
    now: float
    """Epoch seconds."""
    switches: Switches
    list_lag: float
    """Seconds until reads show a new number."""


@attrs.frozen(kw_only=True)
class Answer:
    """One response."""

    status: int
    body: bytes = b""
    content_type: str = JSON
    headers: Mapping[str, str] = attrs.field(factory=dict[str, str])


@attrs.frozen(kw_only=True)
class Change:
    """What processing a request changed: enough for the ledger, and to do it again."""

    kind: ChangeKind
    record_id: str | None = None
    """None where the platform knows a number by itself."""
    phone_number: str | None
    friendly_name: str | None
    body: Mapping[str, object]
    """The request without secrets."""
    state: Mapping[str, object]
    """Plain JSON that ``Tower.replay`` turns into the same change. No secret in it."""
    secrets: Mapping[str, str | None] = attrs.field(factory=dict[str, str | None], repr=False)
    """Secrets by what they belong to, None for one that was cleared. For the account's memory;
    never written down."""


@attrs.frozen(kw_only=True)
class Outcome:
    """The answer to a processed request and the change it made, if any."""

    answer: Answer
    change: Change | None = None


class Tower(Protocol):
    """One vendor's API and account."""

    @property
    def name(self) -> str:
        """The platform's name in the ledger and on the sandbox."""
        ...

    @property
    def openapi(self) -> bytes:
        """The OpenAPI document of the well-behaved API."""
        ...

    @property
    def operations(self) -> Collection[str]:
        """The names of everything it can do."""
        ...

    @property
    def first_key(self) -> str:
        """The API key it starts with."""
        ...

    def find(self, method: str, path: str, switches: Switches) -> Route | NoRoute | Moved:
        """Return what a request line means; *path* is still percent-encoded."""
        ...

    def is_authorized(self, headers: Mapping[str, str], api_key: str) -> bool:
        """Return whether the request carries the key."""
        ...

    def refuse(self, refusal: Refusal, *, path: str, now: float, switches: Switches) -> Answer:
        """Return the error answer in the vendor's form, or the form switched to."""
        ...

    def process(self, call: ApiRequest) -> Outcome:
        """Do what the request asks, at once and entirely or not at all."""
        ...

    def replay(self, state: Mapping[str, object]) -> None:
        """Make a change again that an earlier run made."""
        ...

    def clear(self) -> None:
        """Empty the account."""
        ...
