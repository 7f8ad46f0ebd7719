"""SigmaMind as the sandbox offers it: paths, key, error form, and the account behind them."""

from __future__ import annotations

from collections.abc import Mapping

from sigmamind_async.sandbox.backend import Backend, Routes
from sigmamind_async.sandbox.messages import Answer, Moved, NoRoute, Route
from sigmamind_async.sandbox.refusals import Refusal
from sigmamind_async.sandbox.sigmamind import calls, numbers
from sigmamind_async.sandbox.sigmamind.account import SigmaMindAccount
from sigmamind_async.sandbox.sigmamind.views import refused
from sigmamind_async.sandbox.switches import Switches

OPERATIONS = {
    "create": numbers.create_number,
    "import": numbers.import_number,
    "update": numbers.update_number,
    "get": numbers.get_number,
    "list": numbers.list_numbers,
    "delete": numbers.delete_number,
    "agents.list": calls.list_agents,
    "agents.get": calls.show_agent,
    "calls.create": calls.create_call,
    "calls.get": calls.get_call,
    "calls.list": calls.list_calls,
    "calls.delete": calls.delete_call,
}

# https://docs.sigmamind.ai/api-reference: method and path of every page.
_PHONE_NUMBERS = "/v1/phone-numbers"
ROUTES = Routes(
    collections={
        _PHONE_NUMBERS: {"POST": "create", "GET": "list"},
        f"{_PHONE_NUMBERS}/import": {"POST": "import"},
        "/v1/agents": {"GET": "agents.list"},
        "/v1/calls": {"POST": "calls.create", "GET": "calls.list"},
    },
    items={
        _PHONE_NUMBERS: {"GET": "get", "PATCH": "update", "DELETE": "delete"},
        "/v1/agents": {"GET": "agents.get"},
        "/v1/calls": {"GET": "calls.get", "DELETE": "calls.delete"},
    },
)
_RETIRED = "/v1/phone-number"


class SigmaMindApi(Backend[SigmaMindAccount]):
    """The SigmaMind backend."""

    def __init__(self, seed: int) -> None:
        """Open an empty account."""
        super().__init__("sigmamind", SigmaMindAccount.empty(seed), OPERATIONS, ROUTES)

    def find(self, method: str, path: str, switches: Switches) -> Route | NoRoute | Moved:
        """Return what a request line means; a path documented once may be served again."""
        return super().find(method, _current(path, switches), switches)

    def is_authorized(self, headers: Mapping[str, str], api_key: str) -> bool:
        """Return whether ``X-API-Key`` holds the key."""
        return headers.get("X-API-Key") == api_key

    def refuse(self, refusal: Refusal, *, path: str, now: float, switches: Switches) -> Answer:
        """Return the documented error body, or the form switched to."""
        return refused(refusal, path=path, now=now, switches=switches)


def _current(path: str, switches: Switches) -> str:
    retired = path == _RETIRED or path.startswith(_RETIRED + "/")
    if retired and switches.serve_retired_routes:
        return _PHONE_NUMBERS + path.removeprefix(_RETIRED)
    return path
