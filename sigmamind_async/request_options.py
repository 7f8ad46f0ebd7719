"""What a caller adds to every request of a client: headers, query parameters, fields of the body.

Nothing that is added can change what a request says without it: a name that the request itself
sets is refused, so that a purchase cannot lose its tag nor an update go to another number.
"""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any, Final, TypeAlias, cast, get_args
from urllib.parse import quote, unquote, urlencode

import attrs

from sigmamind_async.convert.json_codec import importing, load_json
from sigmamind_async.errors import ConfigurationError, InvalidRequestError
from sigmamind_async.operation import PAGE_BYTES, Method, Operation, Request, Response
from sigmamind_async.responses.confirmation import require_no_failure
from sigmamind_async.values import UNSET, Secret, is_finite, secrets_in

HeaderMap: TypeAlias = Mapping[str, "str | Secret"]
QueryMap: TypeAlias = Mapping[str, "str | int | float | bool"]

_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""What RFC 9110 allows as the name of a header."""
_OURS: Final = {
    *("accept", "connection", "content-encoding", "content-length", "content-type", "expect"),
    *("host", "keep-alive", "proxy-authorization", "te", "trailer", "transfer-encoding"),
    *("upgrade", "user-agent"),
}
"""Headers that the client sets, or that frame the request."""
_ADVICE: Final = {"user-agent": "; use user_agent_suffix", "proxy-authorization": "; use proxy"}


@attrs.frozen(kw_only=True)
class RequestOptions:
    """Headers, query parameters and fields of the body that are added to each request."""

    headers: HeaderMap = attrs.field(factory=dict[str, Any], hash=False, repr=False)
    query: QueryMap = attrs.field(factory=dict[str, Any], hash=False, repr=False)
    body: Mapping[str, Any] = attrs.field(factory=dict[str, Any], hash=False, repr=False)

    def merge(
        self,
        headers: HeaderMap | None = None,
        query: QueryMap | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> RequestOptions:
        """Return these and those given, which replace what has the same name.

        Raises `ConfigurationError` for what cannot be sent.
        """
        given = _check_names("headers", headers)
        if not is_finite(body):
            raise ConfigurationError("body: holds NaN or an infinite number: no JSON form")
        return RequestOptions(
            # Names in any case are one header, which is sent once: the last one given.
            headers=_check_headers({**self.headers, **given}),
            query={**self.query, **_check_names("query", query)},
            body={**self.body, **_check_names("body", body)},
        )

    @property
    def changes_requests(self) -> bool:
        """True if there is more than headers, which are the same for all requests."""
        return bool(self.query or self.body)

    def path(self, path: str) -> str:
        """Return *path* with the query parameters added."""
        if not self.query:
            return path
        added = encode_query(self.query)
        present = path.partition("?")[2]
        for name in self.query:
            if any(each.partition("=")[0] == quote(name) for each in present.split("&")):
                raise InvalidRequestError(field="query", rule=f"{name!r} is set by the call itself")
        return f"{path}{'&' if present else '?'}{added}"

    def json(self, json: Mapping[str, object] | None) -> Mapping[str, object] | None:
        """Return the body *json* with the fields added; a request without one stays without."""
        if json is None or not self.body:
            return json
        for name in self.body:
            if name in json:
                raise InvalidRequestError(field="body", rule=f"{name!r} is set by the call itself")
        return {**json, **self.body}

    @property
    def secrets(self) -> list[Secret]:
        """The secrets in it, which the platform may repeat."""
        return [*secrets_in(self.headers), *secrets_in(self.body)]


NO_OPTIONS: Final = RequestOptions()


def _check_headers(headers: HeaderMap) -> HeaderMap:
    """Return *headers*, each once; raise `ConfigurationError`, which shows no value."""
    by_name: dict[str, tuple[str, str | Secret]] = {}
    for name, value in headers.items():
        if not _TOKEN.fullmatch(name):
            raise ConfigurationError("headers: a name may hold letters, digits and dashes only")
        text: object = value.reveal() if isinstance(value, Secret) and value.known else value
        if not isinstance(text, str) or not text.isascii() or not text.isprintable():
            raise ConfigurationError(f"headers: {name} must be printable ASCII text")
        by_name[name.lower()] = (name, value)
    return dict(by_name.values())


def combine_headers(added: HeaderMap, ours: Mapping[str, str]) -> dict[str, str]:
    """Return *ours* and those *added* that can be sent and that are none of them."""
    taken = {*_OURS, *map(str.lower, ours)}
    combined = dict(ours)
    for name, value in added.items():
        try:
            checked = _check_headers({name: value})
        except (ConfigurationError, TypeError):
            continue
        if name.lower() not in taken:
            combined |= reveal_headers(checked)
    return combined


def reveal_headers(headers: HeaderMap) -> dict[str, str]:
    """Return *headers* with the text of each `Secret`."""
    return {
        name: value.reveal() if isinstance(value, Secret) else value
        for name, value in headers.items()
    }


def check_header_names(headers: Iterable[str], authorization: Iterable[str]) -> None:
    """Raise `ConfigurationError` for a header that the client sets, as *authorization* names."""
    ours = {*_OURS, *map(str.lower, authorization)}
    for name in headers:
        if name.lower() in ours:
            advice = _ADVICE.get(name.lower(), "")
            raise ConfigurationError(f"headers: {name} is set by the client{advice}")


def check_user_agent_suffix(suffix: object) -> str:
    """Return *suffix* if it can be a part of a header."""
    if isinstance(suffix, str) and suffix.isascii() and suffix.isprintable():
        return suffix.strip()
    raise ConfigurationError("user_agent_suffix: must be printable ASCII text, such as 'app/1.2'")


def encode_query(query: Mapping[str, Any]) -> str:
    """Return *query* percent-encoded; raise `InvalidRequestError` for what it cannot hold."""
    fields: dict[str, str] = {}
    for name, value in query.items():
        # Neither NaN nor an int that is larger than every float.
        is_number = isinstance(value, int | float) and abs(value) <= sys.float_info.max
        if not isinstance(value, str) and not is_number:
            rule = f"{name}: must be text or a finite number"
            raise InvalidRequestError(field="query", rule=rule)
        fields[name] = str(value).lower() if isinstance(value, bool) else str(value)
    try:
        return urlencode(fields, quote_via=quote)
    except UnicodeEncodeError:
        pass  # it shows the text
    raise InvalidRequestError(field="query", rule="must be text that can be encoded as UTF-8")


def _check_names(option: str, given: object) -> dict[str, Any]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise ConfigurationError(f"{option}: must be a mapping, or None")
    fields = cast("Mapping[object, Any]", given)
    if not all(isinstance(name, str) and name for name in fields):
        raise ConfigurationError(f"{option}: a name must be text")
    return cast("dict[str, Any]", dict(fields))


def _check_query(query: object) -> QueryMap:
    try:
        return _check_names("query", query)
    except ConfigurationError as error:
        rule = str(error).removeprefix("query: ")
    raise InvalidRequestError(field="query", rule=rule)


_PATH: Final = r"(?:/[^/?#\s\\\ud800-\udfff]+)+/?"
_METHODS: Final = get_args(Method)
_REPEATABLE: Final = frozenset({"GET", "PUT", "DELETE"})


def request_operation(
    name: str,
    method: Method,
    path: str,
    *,
    json: Mapping[str, Any] | None = None,
    query: QueryMap | None = None,
) -> Operation[Any]:
    """Return a call of an endpoint that this package does not know.

    Raises `InvalidRequestError`.
    """
    if method not in _METHODS:
        raise InvalidRequestError(
            field="method", rule=f"must be one of {', '.join(get_args(Method))}"
        )
    if not re.fullmatch(_PATH, str(path)) or ".." in unquote(path):
        rule = "must begin with a slash and hold neither a host, a query, blanks nor '..'"
        raise InvalidRequestError(field="path", rule=rule)
    if json is not None and not isinstance(json, Mapping):
        raise InvalidRequestError(field="json", rule="must be a mapping")
    if not is_finite(json):
        rule = "holds NaN or an infinite number, which have no JSON form"
        raise InvalidRequestError(field="json", rule=rule)
    if json is not None and method == "GET":
        raise InvalidRequestError(field="json", rule="a GET has no body")
    # A plus is escaped, because some servers read it as a blank.
    target = RequestOptions(query=_check_query(query)).path(quote(path, safe="/:@!$&'()*,;=-._~%"))

    def decode(response: Response) -> object:
        if not response.body.strip():
            return None
        content: Any = load_json(response.body)
        if method != "GET" and isinstance(content, dict):
            require_no_failure(cast("dict[str, object]", content))
        return cast("object", content)

    return Operation(
        name,
        Request(method, target, json, max_bytes=PAGE_BYTES),
        decode,
        repeatable=method in _REPEATABLE,
        on_not_found=None if method == "DELETE" else UNSET,
    )


class Headers:
    """The headers of every request, built once for each key, with a body and without.

    No attrs class, because a `repr` would show the key.
    """

    def __init__(
        self,
        authorize: Callable[[Secret], dict[str, str]],
        added: HeaderMap,
        user_agent_suffix: str = "",
    ) -> None:
        self._authorize = authorize
        self._added = added
        self._suffix = user_agent_suffix
        self._key: Secret | None = None
        self._without_body: dict[str, str] = {}
        self._with_body: dict[str, str] = {}

    def get(self, key: Secret, body: bytes | None) -> Mapping[str, str]:
        """Return the headers that carry *key*, with a content type if there is a *body*."""
        if key is not self._key:
            # A second attempt and an error need them, so that they must be importable before the
            # first request is sent; they are a tenth of the time a first client takes.
            with importing():
                import_module("tenacity")
                import_module("html")
            self._without_body = self._build(key)
            # Fastify answers 400 to a content type without content.
            self._with_body = {**self._without_body, "Content-Type": "application/json"}
            self._key = key
        return self._without_body if body is None else self._with_body

    def _build(self, key: Secret) -> dict[str, str]:
        agent = " ".join(filter(None, (_user_agent(), self._suffix)))
        return {
            "Accept": "application/json",
            "User-Agent": agent,
            **reveal_headers(self._added),
            **self._authorize(key),
        }


def _user_agent() -> str:
    agent = "sigmamind-async"
    # Without a free descriptor the version cannot be read, and is left out.
    with contextlib.suppress(OSError, ImportError):
        from importlib.metadata import version  # a tenth of the time a first client takes

        agent = f"{agent}/{version(agent)}"
    return agent
