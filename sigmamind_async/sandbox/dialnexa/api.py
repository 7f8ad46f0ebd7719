"""DialNexa as the sandbox offers it: paths, key, error form, and the account behind them."""

from __future__ import annotations

from sigmamind_async.sandbox.backend import Backend, Routes
from sigmamind_async.sandbox.chance import draw_token
from sigmamind_async.sandbox.dialnexa import agents, numbers
from sigmamind_async.sandbox.dialnexa.account import DialNexaAccount
from sigmamind_async.sandbox.dialnexa.views import refused
from sigmamind_async.sandbox.messages import Answer, Moved, NoRoute, Route
from sigmamind_async.sandbox.refusals import Refusal
from sigmamind_async.sandbox.switches import Switches

OPERATIONS = {
    "search": numbers.search_numbers,
    "pricing": numbers.list_pricing,
    "countries": numbers.list_countries,
    "destinations": numbers.list_destinations,
    "purchase": numbers.purchase_number,
    "import": numbers.import_number,
    "update": numbers.update_number,
    "get": numbers.get_number,
    "list": numbers.list_numbers,
    "release": numbers.release_number,
    "agents.list": agents.show_agents,
    "agents.get": agents.show_agent,
    "agents.update": agents.update_agent,
}

# https://dialnexa.com/docs; the update alone is on https://dialnexa.mintlify.app.
_PHONE_NUMBERS = "/v1/organization-phone-numbers"
ROUTES = Routes(
    collections={
        _PHONE_NUMBERS: {"GET": "list"},
        f"{_PHONE_NUMBERS}/purchase": {"POST": "purchase"},
        f"{_PHONE_NUMBERS}/plivo-numbers": {"GET": "search"},
        f"{_PHONE_NUMBERS}/sip-trunks": {"POST": "import"},
        "/v1/phone-number-pricing": {"GET": "pricing"},
        "/v1/phone-country-rules/countries": {"GET": "countries"},
        "/v1/phone-country-rules/enabled-network-groups": {"GET": "destinations"},
        "/v1/agents": {"GET": "agents.list"},
    },
    items={
        _PHONE_NUMBERS: {"GET": "get", "PATCH": "update", "DELETE": "release"},
        "/v1/agents": {"GET": "agents.get", "PATCH": "agents.update"},
    },
)


class DialNexaApi(Backend[DialNexaAccount]):
    """The DialNexa backend."""

    def __init__(self, seed: int) -> None:
        """Open an empty account."""
        super().__init__("dialnexa", DialNexaAccount.empty(seed), OPERATIONS, ROUTES)

    @property
    def first_key(self) -> str:
        """The API key it starts with: an id and a secret with a colon between them."""
        return (
            f"key_{draw_token(self.account.seed, 12, 'api-key-id', self.name)}:{super().first_key}"
        )

    def find(self, method: str, path: str, switches: Switches) -> Route | NoRoute | Moved:
        """Return what a request line means; another method answers 404 like another path."""
        found = super().find(method, path, switches)
        retired = isinstance(found, Route) and found.operation == "update"
        if isinstance(found, NoRoute) or (retired and not switches.dialnexa.serve_update):
            return NoRoute(path=path, message=f"Cannot {method} {path}")
        return found

    def refuse(self, refusal: Refusal, *, path: str, now: float, switches: Switches) -> Answer:
        """Return the documented error body, or the form switched to."""
        del path, now
        return refused(refusal, switches)
