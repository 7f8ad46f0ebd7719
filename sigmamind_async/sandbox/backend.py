"""What a platform is to the sandbox: values in, values out.

A backend knows one vendor's paths, records and error bodies and holds that vendor's account. It
knows nothing of sockets, faults, limits or the ledger: the endpoint asks it what a request means
and tells it when to process one. Routes are tables, operations are functions of an account.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from importlib import resources
from typing import Any, Generic, TypeVar
from urllib.parse import unquote

import attrs

from sigmamind_async.sandbox.account import Account
from sigmamind_async.sandbox.chance import draw_token
from sigmamind_async.sandbox.messages import Answer, ApiRequest, Moved, NoRoute, Outcome, Route
from sigmamind_async.sandbox.refusals import Refusal, RefusedError
from sigmamind_async.sandbox.switches import Switches

AccountT = TypeVar("AccountT", bound=Account[Any])

Methods = Mapping[str, str]
"""Operations by HTTP method."""


@attrs.frozen(kw_only=True)
class Routes:
    """The paths of one platform."""

    collections: Mapping[str, Methods]
    """Paths as they stand."""
    items: Mapping[str, Methods]
    """Paths below which one segment more names a record."""
    serves_head: bool = True
    """False: ``HEAD`` is refused where ``GET`` is not."""

    def find(self, method: str, path: str) -> Route | NoRoute:
        """Return what a request line means; *path* is still percent-encoded."""
        named, methods, key = self._split(path)
        if self.serves_head and "GET" in methods:
            methods = {**methods, "HEAD": methods["GET"]}
        if method in methods:
            return Route(operation=methods[method], path=named, key=key)
        return NoRoute(path=named, allowed=tuple(methods))

    def _split(self, path: str) -> tuple[str, Methods, str | None]:
        """Return the path to name in errors, the methods it has, and its key."""
        if path in self.collections:
            return path, self.collections[path], None
        collection, _, segment = path.rpartition("/")
        if segment and collection in self.items:
            return collection, self.items[collection], unquote(segment)
        return path, {}, None


class Backend(ABC, Generic[AccountT]):
    """One platform: an account, a table of routes and a table of operations."""

    def __init__(
        self,
        name: str,
        account: AccountT,
        operations: Mapping[str, Callable[[AccountT, ApiRequest], Outcome]],
        routes: Routes,
    ) -> None:
        """Take what sets one vendor apart; *name* is also the folder of its OpenAPI document."""
        self.name = name
        self.account = account
        self._operations = operations
        self._routes = routes

    @property
    def openapi(self) -> bytes:
        """The OpenAPI document of the well-behaved API."""
        folder = resources.files(f"sigmamind_async.sandbox.{self.name}")
        return folder.joinpath("openapi.json").read_bytes()

    @property
    def operations(self) -> Collection[str]:
        """The names of everything it can do."""
        return self._operations.keys()

    @property
    def first_key(self) -> str:
        """The API key it starts with."""
        return "sandbox-" + draw_token(self.account.seed, 32, "api-key", self.name)

    def find(self, method: str, path: str, switches: Switches) -> Route | NoRoute | Moved:
        """Return what a request line means; *path* is still percent-encoded."""
        del switches
        return self._routes.find(method, path)

    def is_authorized(self, headers: Mapping[str, str], api_key: str) -> bool:
        """Return whether the request carries the key as a bearer token."""
        scheme, _, token = headers.get("Authorization", "").partition(" ")
        return scheme.lower() == "bearer" and token.lstrip(" ") == api_key

    @abstractmethod
    def refuse(self, refusal: Refusal, *, path: str, now: float, switches: Switches) -> Answer:
        """Return the error answer in the vendor's form."""

    def process(self, call: ApiRequest) -> Outcome:
        """Do what the request asks, entirely or not at all."""
        try:
            outcome = self._operations[call.route.operation](self.account, call)
        except RefusedError as error:
            path, switches = call.route.path, call.switches
            answer = self.refuse(error.refusal, path=path, now=call.now, switches=switches)
            return Outcome(answer=answer)
        if outcome.change is not None:
            self.account.apply(outcome.change)
        return outcome

    def replay(self, state: Mapping[str, object]) -> None:
        """Make a change again that an earlier run made."""
        self.account.replay(state)

    def clear(self) -> None:
        """Empty the account."""
        self.account.clear()
