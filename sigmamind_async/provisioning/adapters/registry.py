"""Which adapter belongs to which platform."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sigmamind_async.client import Client
from sigmamind_async.errors import ConfigurationError
from sigmamind_async.provisioning.adapter import Adapter, Value, no_change
from sigmamind_async.provisioning.adapters.dialnexa import DIALNEXA
from sigmamind_async.provisioning.adapters.sigmamind import SIGMAMIND
from sigmamind_async.provisioning.adapters.verbex import VERBEX

_ADAPTERS: Final[Mapping[str, Adapter]] = {
    "sigmamind": SIGMAMIND,
    "verbex": VERBEX,
    "dialnexa": DIALNEXA,
}
PLATFORMS: Final = tuple(_ADAPTERS)
"""Names of the platforms."""


def adapter_for(value: Value) -> tuple[str, Adapter]:
    """Return the name of the platform that *value* is a request of, and its adapter.

    Raises `InvalidRequestError` for a request that changes no phone number.
    """
    name = type(value).__name__
    for platform, adapter in _ADAPTERS.items():
        if adapter.requests.get(name) is type(value):
            return platform, adapter
    raise no_change(value)


def adapter_of(client: Client) -> Adapter:
    """Return the adapter of the platform that *client* talks to.

    Raises `ConfigurationError` for a platform that has none.
    """
    name = client.platform.name
    adapter = _ADAPTERS.get(name)
    if adapter is None:
        known = ", ".join(_ADAPTERS)
        raise ConfigurationError(f"client: numbers are provisioned on {known}, not on {name}")
    return adapter
