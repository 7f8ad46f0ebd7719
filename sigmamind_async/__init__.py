"""Phone numbers on SigmaMind, Verbex and DialNexa with asyncio.

A purchase is sent at most once for each call, and an unknown outcome is reported as unknown.

Names are imported when they are first used, so that importing the package costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sigmamind_async.bulk import BulkResult, Outcome, Progress, StopOn
    from sigmamind_async.convert.portable import json_default
    from sigmamind_async.engine import RawResponse
    from sigmamind_async.errors import (
        APIConnectionError,
        APIStatusError,
        APITimeoutError,
        AuthenticationError,
        BadRequestError,
        CircuitOpenError,
        ConfigurationError,
        ConflictError,
        FieldsIgnoredError,
        InsufficientFundsError,
        InvalidRequestError,
        JournalError,
        NotFoundError,
        OutcomeUnknownError,
        PermissionDeniedError,
        PlanError,
        RateLimitError,
        ResponseDecodeError,
        ServerError,
        SigmaMindError,
        SpendLimitError,
    )
    from sigmamind_async.limiter.gate import Gate, GateState
    from sigmamind_async.paging import Listing, Page
    from sigmamind_async.platforms.dialnexa.client import DialNexa
    from sigmamind_async.platforms.sigmamind.client import SigmaMind
    from sigmamind_async.platforms.verbex.client import Verbex
    from sigmamind_async.retry import RetryPolicy
    from sigmamind_async.values import UNSET, Secret, Unset

__all__ = [
    "APIConnectionError",
    "APIStatusError",
    "APITimeoutError",
    "AuthenticationError",
    "BadRequestError",
    "BulkResult",
    "CircuitOpenError",
    "ConfigurationError",
    "ConflictError",
    "DialNexa",
    "FieldsIgnoredError",
    "Gate",
    "GateState",
    "InsufficientFundsError",
    "InvalidRequestError",
    "JournalError",
    "Listing",
    "NotFoundError",
    "Outcome",
    "OutcomeUnknownError",
    "Page",
    "PermissionDeniedError",
    "PlanError",
    "Progress",
    "RateLimitError",
    "RawResponse",
    "ResponseDecodeError",
    "RetryPolicy",
    "Secret",
    "ServerError",
    "SigmaMind",
    "SigmaMindError",
    "SpendLimitError",
    "StopOn",
    "UNSET",
    "Unset",
    "Verbex",
    "json_default",
]

_HOMES = {
    "APIConnectionError": "errors",
    "APIStatusError": "errors",
    "APITimeoutError": "errors",
    "AuthenticationError": "errors",
    "BadRequestError": "errors",
    "BulkResult": "bulk",
    "CircuitOpenError": "errors",
    "ConfigurationError": "errors",
    "ConflictError": "errors",
    "DialNexa": "platforms.dialnexa.client",
    "FieldsIgnoredError": "errors",
    "Gate": "limiter.gate",
    "GateState": "limiter.gate",
    "InsufficientFundsError": "errors",
    "InvalidRequestError": "errors",
    "JournalError": "errors",
    "Listing": "paging",
    "NotFoundError": "errors",
    "Outcome": "bulk",
    "OutcomeUnknownError": "errors",
    "Page": "paging",
    "PermissionDeniedError": "errors",
    "PlanError": "errors",
    "Progress": "bulk",
    "RateLimitError": "errors",
    "RawResponse": "engine",
    "ResponseDecodeError": "errors",
    "RetryPolicy": "retry",
    "Secret": "values",
    "ServerError": "errors",
    "SigmaMind": "platforms.sigmamind.client",
    "SigmaMindError": "errors",
    "SpendLimitError": "errors",
    "StopOn": "bulk",
    "UNSET": "values",
    "Unset": "values",
    "Verbex": "platforms.verbex.client",
    "json_default": "convert.portable",
}


__version__: str


def __getattr__(name: str) -> object:
    if name == "__version__":
        return import_module("importlib.metadata").version("sigmamind-async")
    home = _HOMES.get(name)
    if home is None:
        hint = import_module(f"{__name__}.hints").name_hint(name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}{hint}")
    return getattr(import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return __all__
