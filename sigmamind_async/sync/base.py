"""What the generated classes have in common: how they are made, and what has no async method."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, ClassVar, Concatenate, ParamSpec, cast

from sigmamind_async import client as source
from sigmamind_async.errors import ConfigurationError
from sigmamind_async.limiter.gate import Gate
from sigmamind_async.provisioning import provisioner
from sigmamind_async.provisioning.journal.protocol import Journal
from sigmamind_async.sync.blocking import Blocking, BlockingContext, constructing
from sigmamind_async.sync.event_loop import EVENT_LOOP

P = ParamSpec("P")


class _Connections:
    """Closes the connections of a client that was left open, once nothing uses them any more.

    The garbage collector would take them in any thread, and not close them in their loop.
    """

    def __init__(self, client: source.Client) -> None:
        closing = weakref.finalize(self, lambda: EVENT_LOOP.begin(client.close()))
        closing.atexit = False  # the loop closes them then


class ClientBase(BlockingContext):
    """Base of the blocking clients, with the settings of the async ones.

    Observers, key providers and transports are called in the event loop's thread. *session* is
    refused: an aiohttp session works only in the loop that it was made in.
    """

    _async_class: ClassVar[Callable[..., source.Client]]

    @constructing(source.Client.__init__)
    def __init__(self, *args: Any, **settings: Any) -> None:
        try:
            if settings.get("session") is not None:
                raise ConfigurationError("session: a blocking client opens its own; leave it out")
            self._wrapped = self._async_class(*args, **settings)
        finally:
            del args, settings  # the key is a secret, which no frame of a traceback holds
        self._connections = _Connections(self._wrapped)

    @property
    def gate(self) -> Gate:
        """What admits the calls of this client and of its `with_options` copies."""
        return cast("Gate", self._wrapped.gate)


class JournalBase(BlockingContext):
    """Base of the blocking journals: open one with ``with``, and pass it to a `Provisioner`."""


def _constructing(
    method: Callable[Concatenate[Any, source.Client, Journal, P], None],
) -> Callable[[Callable[..., None]], Callable[Concatenate[Any, ClientBase, JournalBase, P], None]]:
    decorate: Any = constructing(method)
    return decorate  # type: ignore[no-any-return]  # the first two are blocking ones


class ProvisionerBase(Blocking):
    """Base of the blocking provisioner."""

    @_constructing(provisioner.Provisioner.__init__)
    def __init__(self, client: ClientBase, journal: JournalBase, **settings: Any) -> None:
        self._wrapped = provisioner.Provisioner(client._wrapped, journal._wrapped, **settings)
        self._connections = client._connections

    @property
    def account(self) -> str:
        """The name of the account in the journal."""
        return cast("str", self._wrapped.account)
