"""What goes into a platform's backend and comes out of it: requests, answers, changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

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
    """Plain JSON that `Backend.replay` turns into the same change. No secret in it."""
    secrets: Mapping[str, str | None] = attrs.field(factory=dict[str, str | None], repr=False)
    """Secrets by what they belong to, None for one that was cleared. For the account's memory;
    never written down."""


@attrs.frozen(kw_only=True)
class Outcome:
    """The answer to a processed request and the change it made, if any."""

    answer: Answer
    change: Change | None = None
