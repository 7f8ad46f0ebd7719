"""SigmaMind as the sandbox offers it: paths, key, error form, and the account behind them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from importlib import resources
from urllib.parse import unquote

import attrs

from sigmamind_async.sandbox.sigmamind import calls, numbers
from sigmamind_async.sandbox.sigmamind.account import Account
from sigmamind_async.sandbox.sigmamind.rules import RefusedError
from sigmamind_async.sandbox.sigmamind.views import error_answer
from sigmamind_async.sandbox.switches import Switches
from sigmamind_async.sandbox.tower import Answer, Call, NoRoute, Outcome, Route

Operation = Callable[[Account, Call, int], Outcome]

OPERATIONS: Mapping[str, Operation] = {
    "create": numbers.create_number,
    "import": numbers.import_number,
    "update": numbers.update_number,
    "get": numbers.get_number,
    "list": numbers.list_numbers,
    "delete": numbers.delete_number,
    "agents.list": calls.list_agents,
    "agents.get": calls.get_agent,
    "calls.create": calls.create_call,
    "calls.get": calls.get_call,
    "calls.list": calls.list_calls,
    "calls.delete": calls.delete_call,
}

# https://docs.sigmamind.ai/api-reference: method and path of every page.
_PHONE_NUMBERS = "/v1/phone-numbers"
_COLLECTIONS: Mapping[str, Mapping[str, str]] = {
    _PHONE_NUMBERS: {"POST": "create", "GET": "list"},
    f"{_PHONE_NUMBERS}/import": {"POST": "import"},
    "/v1/agents": {"GET": "agents.list"},
    "/v1/calls": {"POST": "calls.create", "GET": "calls.list"},
}
_ITEMS: Mapping[str, Mapping[str, str]] = {
    _PHONE_NUMBERS: {"GET": "get", "PATCH": "update", "DELETE": "delete"},
    "/v1/agents": {"GET": "agents.get"},
    "/v1/calls": {"GET": "calls.get", "DELETE": "calls.delete"},
}
_RETIRED = "/v1/phone-number"


@attrs.define
class SigmaMindApi:
    """The SigmaMind tower."""

    seed: int
    account: Account = attrs.field(factory=Account)

    @property
    def name(self) -> str:
        """The platform's name."""
        return "sigmamind"

    @property
    def openapi(self) -> bytes:
        """The OpenAPI document of the well-behaved API."""
        return (
            resources.files("sigmamind_async.sandbox.sigmamind")
            .joinpath("openapi.json")
            .read_bytes()
        )

    @property
    def operations(self) -> Collection[str]:
        """The names of everything it can do."""
        return OPERATIONS.keys()

    def find(self, method: str, path: str, switches: Switches) -> Route | NoRoute:
        """Return what a request line means; *path* is still percent-encoded."""
        collection, methods, key = _split(_current(path, switches))
        if method in methods:
            return Route(operation=methods[method], path=collection, key=key)
        return NoRoute(path=collection, allowed=tuple(methods))

    def is_authorized(self, headers: Mapping[str, str], api_key: str) -> bool:
        """Return whether ``X-API-Key`` holds the key."""
        return headers.get("X-API-Key") == api_key

    def refuse(self, status: int, message: str, *, path: str, now: float, body: str) -> Answer:
        """Return the documented error body, or the form *body* switches to."""
        return error_answer(status, message, path=path, now=now, body=body)

    def process(self, call: Call) -> Outcome:
        """Do what the request asks, entirely or not at all."""
        try:
            outcome = OPERATIONS[call.route.operation](self.account, call, self.seed)
        except RefusedError as refusal:
            return Outcome(answer=self._refused(refusal, call))
        if outcome.change is not None:
            self.account.apply(outcome.change.state)
            self.account.keep_passwords(outcome.change.secrets)
        return outcome

    def replay(self, state: Mapping[str, object]) -> None:
        """Make a change again that an earlier run made."""
        self.account.apply(state)

    def clear(self) -> None:
        """Empty the account."""
        self.account.clear()

    def _refused(self, refusal: RefusedError, call: Call) -> Answer:
        return error_answer(
            refusal.status,
            refusal.message,
            path=call.route.path,
            now=call.now,
            body=call.switches.error_body,
        )


def _current(path: str, switches: Switches) -> str:
    retired = path == _RETIRED or path.startswith(_RETIRED + "/")
    if retired and switches.serve_retired_routes:
        return _PHONE_NUMBERS + path.removeprefix(_RETIRED)
    return path


def _split(path: str) -> tuple[str, Mapping[str, str], str | None]:
    """Return the path to name in errors, the methods it has, and its key."""
    if path in _COLLECTIONS:
        return path, _COLLECTIONS[path], None
    collection, _, segment = path.rpartition("/")
    if segment and collection in _ITEMS:
        return collection, _ITEMS[collection], unquote(segment)
    return path, {}, None
