"""What a platform is to the sandbox: values in, values out.

A tower knows one vendor's paths, records and error bodies and holds that vendor's account. It
knows nothing of sockets, faults, limits or the ledger: the endpoint asks it what a request
means, tells it when to process one, and does with the answer whatever the weather demands.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

import attrs

from sigmamind_async.sandbox.ledger import ChangeKind
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


@attrs.frozen(kw_only=True)
class Call:
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
    phone_number: str | None
    friendly_name: str | None
    body: Mapping[str, object]
    """The request without secrets."""
    state: Mapping[str, object]
    """Plain JSON that ``Tower.replay`` turns into the same change. No secret in it."""
    secrets: Mapping[str, str] = attrs.field(factory=dict[str, str], repr=False)
    """Secrets by what they belong to. For the account's memory; never written down."""


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

    def find(self, method: str, path: str, switches: Switches) -> Route | NoRoute:
        """Return what a request line means; *path* is still percent-encoded."""
        ...

    def is_authorized(self, headers: Mapping[str, str], api_key: str) -> bool:
        """Return whether the request carries the key."""
        ...

    def refuse(self, status: int, message: str, *, path: str, now: float, body: str) -> Answer:
        """Return the error answer in the vendor's form, or the form *body* switches to."""
        ...

    def process(self, call: Call) -> Outcome:
        """Do what the request asks, at once and entirely or not at all."""
        ...

    def replay(self, state: Mapping[str, object]) -> None:
        """Make a change again that an earlier run made."""
        ...

    def clear(self) -> None:
        """Empty the account."""
        ...
