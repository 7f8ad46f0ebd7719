"""Verbex as the sandbox offers it: paths, key, error form, and the account behind them."""

from __future__ import annotations

import attrs

from sigmamind_async.sandbox.account import Account
from sigmamind_async.sandbox.backend import Backend, Routes
from sigmamind_async.sandbox.messages import Answer, Moved, NoRoute, Route
from sigmamind_async.sandbox.refusals import Refusal
from sigmamind_async.sandbox.switches import Switches
from sigmamind_async.sandbox.verbex import numbers
from sigmamind_async.sandbox.verbex.records import PhoneNumber
from sigmamind_async.sandbox.verbex.views import refused

OPERATIONS = {
    "create": numbers.create_number,
    "update": numbers.update_number,
    "get": numbers.get_number,
    "list": numbers.list_numbers,
    "delete": numbers.delete_number,
}

# https://docs.verbex.ai: method and path of every page about phone numbers.
_PHONE_NUMBERS = "/v1/phone-numbers"
ROUTES = Routes(
    collections={_PHONE_NUMBERS: {"POST": "create", "GET": "list"}},
    items={_PHONE_NUMBERS: {"GET": "get", "PATCH": "update", "DELETE": "delete"}},
    serves_head=False,  # FastAPI answers 405; Spring and NestJS, of the other two, as to a GET
)


class VerbexApi(Backend[Account[PhoneNumber]]):
    """The Verbex backend."""

    def __init__(self, seed: int) -> None:
        """Open an empty account."""
        super().__init__("verbex", Account(PhoneNumber, seed, share=1), OPERATIONS, ROUTES)

    def find(self, method: str, path: str, switches: Switches) -> Route | NoRoute | Moved:
        """Return what a request line means; only one of two spellings of a path is served."""
        bare = path.removesuffix("/")
        found = super().find(method, bare, switches)
        served, status = _served(bare, switches), switches.verbex.slash_redirect
        is_known = not isinstance(found, NoRoute) or found.allowed
        if path != served and is_known:
            if status is not None:
                return Moved(path=served, status=status)
            found = NoRoute(path=path)
        if isinstance(found, NoRoute):  # the words of Starlette, below FastAPI
            said = "Method Not Allowed" if found.allowed else "Not Found"
            return attrs.evolve(found, message=said)
        return found

    def refuse(self, refusal: Refusal, *, path: str, now: float, switches: Switches) -> Answer:
        """Return an error body as FastAPI words it, or the form switched to."""
        del path, now
        return refused(refusal, switches)


def _served(bare: str, switches: Switches) -> str:
    slash = bare == _PHONE_NUMBERS and switches.verbex.collection_path == "slash"
    return bare + "/" if slash else bare
