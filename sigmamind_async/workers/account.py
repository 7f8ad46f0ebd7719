"""An account that a worker serves: whose client it makes, and what it may do there by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import attrs

from sigmamind_async.client import Client
from sigmamind_async.provisioning.transitions import SETTLE_TIME


@attrs.frozen
class Account:
    """One account; see `Provisioner` for all but the client."""

    client: Callable[..., Client]
    """Makes the client, once in each process: `SigmaMind`, or ``partial(SigmaMind, deadline=30)``.
    It is called without arguments to see whose it is, and with the ``gate`` of the account."""
    label: str | None = attrs.field(default=None, kw_only=True)
    """Tells several accounts of one platform apart."""
    settle_time: float = attrs.field(default=SETTLE_TIME, kw_only=True)
    retry_unconfirmed: bool = attrs.field(default=False, kw_only=True)
    tag: Literal["keep", "strip"] = attrs.field(default="keep", kw_only=True)
    max_purchases: int | None = attrs.field(default=None, kw_only=True)
    release_duplicates: bool = attrs.field(default=False, kw_only=True)
