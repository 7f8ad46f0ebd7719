"""What names of other SDKs are called here, for the messages of `AttributeError` and `TypeError`.

Imported only when a name was not found.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

NAMES: Final[Mapping[str, str]] = {
    # Clients and results.
    "AsyncClient": "SigmaMind, Verbex or DialNexa",
    "AsyncDialNexa": "DialNexa",
    "AsyncSigmaMind": "SigmaMind",
    "AsyncVerbex": "Verbex",
    "Client": "SigmaMind, Verbex or DialNexa",
    "Retell": "SigmaMind, Verbex or DialNexa",
    "Telnyx": "SigmaMind, Verbex or DialNexa",
    "Vapi": "SigmaMind, Verbex or DialNexa",
    "APIResponse": "client.with_raw_response",
    "AsyncPage": "client.phone_numbers.list().pages()",
    "RequestOptions": "client.with_options(...)",
    "Timeout": "a client's deadline=, attempt_timeout= and connect_timeout=, in seconds",
    "DEFAULT_MAX_RETRIES": "RetryPolicy(max_attempts=...)",
    "DEFAULT_TIMEOUT": "a client's deadline= and attempt_timeout=, in seconds",
    "NOT_GIVEN": "UNSET",
    "NotGiven": "Unset",
    "OMIT": "UNSET",
    "Omit": "Unset",
    "omit": "UNSET",
    # Errors.
    "APIError": "SigmaMindError, or APIStatusError for those with a status",
    "ApiError": "SigmaMindError, or APIStatusError for those with a status",
    "APIResponseValidationError": "ResponseDecodeError",
    "InternalServerError": "ServerError",
    "InvalidRequestException": "InvalidRequestError",
    "RestException": "APIStatusError",
    "TimeoutException": "APITimeoutError, or OutcomeUnknownError for a call that changes something",
    "TwilioRestException": "APIStatusError",
    "UnauthorizedError": "AuthenticationError",
    "UnprocessableEntityError": "BadRequestError, which is for 400 and 422",
}
"""Names of the package."""

ARGUMENTS: Final[Mapping[str, str]] = {
    "access_token": "api_key=",
    "account_sid": "api_key=",
    "api_base": "base_url=",
    "api_token": "api_key=",
    "auth_token": "api_key=",
    "backoff": "retry=RetryPolicy(base=..., cap=...)",
    "concurrency": "max_connections=",
    "connector": "session=aiohttp.ClientSession(connector=...)",
    "custom_headers": "headers=",
    "default_headers": "headers=",
    "default_query": "client.with_options(query=...)",
    "environment": "base_url=",
    "event_hooks": "observer=",
    "extra_body": "client.with_options(body=...)",
    "extra_headers": "headers=, or client.with_options(headers=...) for some calls",
    "extra_query": "client.with_options(query=...)",
    "follow_redirects": "base_url=; a redirect is never followed",
    "hooks": "observer=",
    "host": "base_url=",
    "http_client": "session= for an aiohttp session, or transport=",
    "httpx_client": "session= for an aiohttp session, or transport=",
    "key": "api_key=",
    "limits": "max_connections=, or gate=Gate(max_rate=...)",
    "logger": "observer=, or SIGMAMIND_LOG=debug in the environment",
    "max_concurrency": "max_connections=",
    "max_rate": "gate=Gate(max_rate=...)",
    "max_retries": "retry=RetryPolicy(max_attempts=...), the first attempt included",
    "middleware": "observer=, or transport=",
    "proxies": "proxy=",
    "rate_limit": "gate=Gate(max_rate=...); without it the rate is learned",
    "request_options": "client.with_options(...)",
    "requests_per_second": "gate=Gate(max_rate=...)",
    "retries": "retry=RetryPolicy(max_attempts=...), the first attempt included",
    "secret": "api_key=",
    "timeout": "deadline= for the whole call, attempt_timeout= for one attempt, in seconds",
    "token": "api_key=",
    "username": "api_key=",
    "verify": "ssl=, an ssl.SSLContext",
    "verify_ssl": "ssl=, an ssl.SSLContext",
}
"""Arguments of the clients and of `with_options`."""

_LIMIT: Final = "`break` to end a listing early"
_PAGES: Final = "list().pages()"
_WIDTH: Final = "the client's max_connections="
_RETRY: Final = "client.with_options(retry=RetryPolicy(max_attempts=...))"

CALL_ARGUMENTS: Final[Mapping[str, str]] = {
    "after": _PAGES,
    "api_key": "client.with_options(api_key=...)",
    "attempt_timeout": "client.with_options(attempt_timeout=...)",
    "body": "client.with_options(body=...)",
    "concurrency": _WIDTH,
    "count": "create_many() for several numbers, or `break` to end a listing early",
    "cursor": _PAGES,
    "deadline": "client.with_options(deadline=...)",
    "extra_body": "client.with_options(body=...)",
    "extra_headers": "client.with_options(headers=...)",
    "extra_query": "client.with_options(query=...)",
    "gate": "client.with_options(gate=...)",
    "headers": "client.with_options(headers=...)",
    "idempotency_key": "Provisioner.run(op_id, value), which carries each op_id out once",
    "limit": _LIMIT,
    "max_concurrency": _WIDTH,
    "max_items": _LIMIT,
    "max_retries": _RETRY,
    "max_workers": _WIDTH,
    "observer": "client.with_options(observer=...)",
    "options": "client.with_options(...)",
    "page": _PAGES,
    "page_number": _PAGES,
    "params": "client.with_options(query=...)",
    "query": "client.with_options(query=...)",
    "request_options": "client.with_options(...)",
    "retries": _RETRY,
    "retry": "client.with_options(retry=...)",
    "starting_after": _PAGES,
    "strict": "client.with_options(strict=...)",
    "timeout": "client.with_options(deadline=...), in seconds for the whole call",
}
"""Arguments of single calls."""

ATTRIBUTES: Final[Mapping[str, str]] = {
    # Of clients.
    "aclose": "close",
    "api_key": "with_options",
    "copy": "with_options",
    "delete": "release request",
    "disconnect": "close",
    "incoming_phone_numbers": "phone_numbers",
    "numbers": "phone_numbers",
    "phone_number": "phone_numbers sip_phone_number",
    "patch": "update request",
    "post": "create request",
    "put": "update request",
    "timeout": "with_options",
    "with_streaming_response": "with_raw_response",
    # Of resources.
    "acquire": "create purchase",
    "all": "list",
    "available": "search",
    "available_phone_numbers": "search",
    "buy": "create purchase",
    "create": "purchase",
    "edit": "update",
    "fetch": "get",
    "find": "get",
    "import": "import_ import_sip_trunk create",
    "import_number": "import_ import_sip_trunk create",
    "import_phone_number": "import_ import_sip_trunk create",
    "iter": "list",
    "modify": "update",
    "order": "create purchase",
    "provision": "create purchase",
    "purchase": "create",
    "read": "get",
    "release": "delete",
    "remove": "delete release",
    "retrieve": "get",
    "stream": "list",
    # Of listings and pages.
    "auto_paging_iter": "pages",
    "data": "items pages",
    "get_next_page": "pages",
    "has_more": "more pages",
    "has_next_page": "more pages",
    "iter_pages": "pages",
    # Of records.
    "agent_id": "inbound_agent_id",
    "as_dict": "to_dict",
    "dict": "to_dict",
    "friendly_name": "nickname label",
    "id": "sip_phone_number phone_number",
    "json": "to_json",
    "label": "friendly_name",
    "model_dump": "to_dict",
    "model_dump_json": "to_json",
    "model_extra": "extra",
    "name": "friendly_name nickname agent_name label",
    "nickname": "friendly_name",
    "number": "sip_phone_number phone_number",
    "phone_number_id": "id sip_phone_number phone_number",
    "sid": "id sip_phone_number phone_number phone_number_id",
    "sip_phone_number": "phone_number",
    # Arguments of calls.
    "page_limit": "page_size",
    "params": "query",
    "per_page": "page_size",
    "size": "page_size",
    # Of errors.
    "error_code": "code",
    "http_body": "body",
    "http_status": "status",
    "msg": "message",
    "request": "operation",
    "response": "body",
    "status_code": "status",
}
"""Attributes and arguments; of several, the first that there is is meant."""


def name_hint(name: str) -> str:
    """Return what to add to a message about an unknown *name* of the package; may be empty."""
    return _sentence(NAMES.get(name))


def argument_hint(name: str, known: Collection[str]) -> str:
    """Return what to add to a message about an unknown argument *name*; may be empty.

    *known* are the arguments that there are. One in another spelling, such as ``friendlyName``, is
    found as well.
    """
    found = _find(name, {_plain(each): each for each in known})
    if found:
        return _sentence(f"{found}=")
    return _sentence((ARGUMENTS if "deadline" in known else CALL_ARGUMENTS).get(name))


def attribute_hint(thing: object, name: str) -> str:
    """Return what to add to a message about an unknown attribute of *thing*; may be empty.

    A known one in another spelling, such as ``friendlyName``, is found as well.
    """
    known = {_plain(each): each for each in dir(thing) if not each.startswith("_")}
    meant = _find(name, known)
    is_method = meant and callable(getattr(type(thing), meant, None))
    return _sentence(f"{meant}()" if is_method else meant)


def _find(name: str, known: Mapping[str, str]) -> str | None:
    """Return what *name* means of *known*, in which each name's plain form leads to it."""
    meant = next((known[each] for each in _MEANINGS.get(_plain(name), ()) if each in known), None)
    return known.get(_plain(name), meant)


def _sentence(meant: str | None) -> str:
    return f". Use {meant}" if meant else ""


def _plain(name: str) -> str:
    return name.replace("_", "").lower()


_MEANINGS: Final = {
    _plain(name): tuple(map(_plain, meant.split())) for name, meant in ATTRIBUTES.items()
}
