"""What the clients of all platforms share: settings, one engine, and running request values.

A client is cheap: it needs neither a network nor an event loop to be made. It may live as long as
the program does, be used from any loop and thread, and survive a fork.
"""

from __future__ import annotations

import inspect
import ipaddress
import os
import ssl as tls
from collections.abc import (
    AsyncIterable,
    Callable,
    Collection,
    Coroutine,
    Iterable,
    Mapping,
)
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Concatenate, Final, ParamSpec, Self, TypeVar, cast
from urllib.parse import SplitResult, urlsplit

import attrs

from sigmamind_async.bulk import (
    DEFAULT_STOP_ON,
    BulkResult,
    BulkRun,
    PreparedCall,
    Progress,
    StopOn,
    check_rows,
    collect,
    map_rows,
)
from sigmamind_async.convert import RequestValue, dump_json
from sigmamind_async.convert.portable import hide_secrets
from sigmamind_async.credentials import Credentials, KeyProvider
from sigmamind_async.engine import Engine, Limits, RawResponse
from sigmamind_async.errors import (
    ConfigurationError,
    InvalidRequestError,
    hint_at_arguments,
    missing_attribute,
    suggest,
)
from sigmamind_async.events import Observers, as_observer
from sigmamind_async.limiter.gate import Gate
from sigmamind_async.operation import Method, Operation, Platform
from sigmamind_async.request_options import (
    NO_OPTIONS,
    HeaderMap,
    QueryMap,
    RequestOptions,
    check_header_names,
    check_user_agent_suffix,
    request_operation,
)
from sigmamind_async.retry import RetryPolicy, RetryQuota
from sigmamind_async.transport import (
    AiohttpOptions,
    AiohttpTransport,
    Session,
    Transport,
    is_host,
    proxy_of_environment,
)
from sigmamind_async.values import (
    UNSET,
    Secret,
    Unset,
    as_secret,
    check_count,
    check_flag,
    check_seconds,
    check_type,
    conceal,
)

_GRACE_AFTER_ERROR = 5.0
"""Seconds that running requests get when an exception leaves the client's block."""

P = ParamSpec("P")
T = TypeVar("T")
V = TypeVar("V")
R = TypeVar("R", bound="RequestValue[Any] | Row")

Row = Mapping[str, Any]
"""A request by the names of its fields; a wrong one is the outcome of its row, not the end."""

_PLACEHOLDER_KEY: Final = "+12025550100"
"""Valid as a key on all platforms, for a request that is built to be checked and never sent."""

Operations = Mapping[type[RequestValue[Any]], Callable[[Any], Operation[Any]]]


@attrs.frozen
class Runner:
    """Runs the request values of one platform."""

    engine: Engine
    operations: Operations = attrs.field(hash=False)

    def run(self, value: RequestValue[T]) -> Coroutine[Any, Any, T]:
        """Run *value* and return what its method would."""
        # Not by `Call.run`: each function between a call and its transport is one to read.
        return self.engine.run(self.engine.begin(self.operation(value)))

    async def run_all(
        self,
        values: Iterable[R] | AsyncIterable[R],
        kind: type[RequestValue[T]],
        *,
        stop_on: StopOn | None,
        progress: Progress | None,
        build: Callable[[Mapping[str, Any]], RequestValue[T]] | None = None,
    ) -> BulkResult[R, T]:
        """Run *values*, each a request for the same call as *kind*, and keep every outcome.

        A mapping is built, by *build* or the kind's ``from_dict``, when its row begins. Any other
        value fails its row, so that no number is bought by mistake.
        """

        def make(value: R) -> RequestValue[T]:
            return self._require_kind(kind, value, build)

        return await self._collect(values, make, stop_on, progress)

    async def change_all(
        self,
        values: Iterable[V] | AsyncIterable[V],
        kind: type[RequestValue[T]],
        key: str,
        change: Mapping[str, Any],
        *,
        stop_on: StopOn | None,
        progress: Progress | None,
    ) -> BulkResult[V, T]:
        """Run *values*; for one that is a number's key, run the *kind* of request with *change*.

        A *change* that no number can take raises before the first request: `TypeError` for an
        unknown name, `InvalidRequestError` for a value.
        """
        if change:
            self._check_change(kind, key, change)
        elif (
            isinstance(values, Collection) and values and all(type(each) is str for each in values)
        ):
            raise InvalidRequestError(field="change", rule="nothing to change was given")

        def make(value: V) -> RequestValue[T]:
            if isinstance(value, str):
                return kind(**{key: value}, **change)
            return self._require_kind(kind, value)

        return await self._collect(values, make, stop_on, progress)

    async def _collect(
        self,
        values: Iterable[V] | AsyncIterable[V],
        make: Callable[[V], RequestValue[T]],
        stop_on: StopOn | None,
        progress: Progress | None,
    ) -> BulkResult[V, T]:
        rows = self.run_rows(
            map_rows(self._hide, values),
            lambda value: self.row(make(value)),
            stop_on=stop_on,
            progress=progress,
        )
        return await collect(rows)

    def _hide(self, value: V) -> V:
        """Return *value*; no outcome shows a secret of one that is a mapping."""
        return hide_secrets(value, self.operations)

    def _require_kind(
        self,
        kind: type[RequestValue[T]],
        value: object,
        build: Callable[[Mapping[str, Any]], RequestValue[T]] | None = None,
    ) -> RequestValue[T]:
        """Return *value*, or what a mapping builds, if it is a request for the same call as *kind*.

        Raises `InvalidRequestError` otherwise.
        """
        if isinstance(value, Mapping):
            return (build or kind.from_dict)(cast("Mapping[str, Any]", value))
        call: object = self.operations.get(cast("Any", type(value)))
        if call is not self.operations[kind]:
            rule = f"{type(value).__name__} given where {kind.__name__} is needed"
            raise InvalidRequestError(field="value", rule=rule)
        return cast("RequestValue[T]", value)

    def _check_change(
        self, kind: type[RequestValue[Any]], key: str, change: Mapping[str, Any]
    ) -> None:
        known = inspect.signature(kind).parameters.keys() - {key}
        for name in change:
            if name not in known:
                raise TypeError(f"{name!r} is not a field of {kind.__name__}{suggest(name, known)}")
        dump_json(self.operation(kind(**{key: _PLACEHOLDER_KEY}, **change)).request.json)

    def run_rows(
        self,
        values: Iterable[V] | AsyncIterable[V],
        prepare: Callable[[V], PreparedCall[T]],
        *,
        stop_on: StopOn | None,
        progress: Progress | None,
        ordered: bool = False,
        width: int | None = None,
    ) -> BulkRun[V, T]:
        """Return a job over any values that *prepare* turns into calls, *width* of them at once."""
        check_rows(values)
        return BulkRun(
            prepare,
            values,
            width=self.engine.limits.max_connections if width is None else width,
            ordered=ordered,
            stop_on=stop_on,
            progress=progress,
            gate=self.engine.gate,
        )

    def operation(self, value: RequestValue[T]) -> Operation[T]:
        """Return the vendor call for *value*."""
        build = self.operations.get(type(value))
        if build is None:
            kind, platform = type(value).__name__, self.engine.platform.name
            raise InvalidRequestError(field="value", rule=f"{kind} is not a request of {platform}")
        return build(value)

    def row(self, value: RequestValue[T]) -> PreparedCall[T]:
        """Return the call for *value* as one row of a job."""
        return self.engine.begin(self.operation(value), unbounded=True)


@attrs.frozen
class RawRunner(Runner):
    """Runs request values and returns each response as it came."""

    async def run(self, value: RequestValue[T]) -> Any:  # noqa: ANN401 - `raw` gives it its type
        """Run *value* and return a `RawResponse`."""
        return await self.engine.exchange(self.operation(value))


class Resource:
    """Base of a client's resources, such as ``client.phone_numbers``."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for name, method in list(vars(cls).items()):
            if inspect.isfunction(method) and not name.startswith("_"):
                setattr(cls, name, hint_at_arguments(method))

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> object:
            raise missing_attribute(self, name)


class RawResource:
    """Base of the resources of ``client.with_raw_response``: they return a `RawResponse`."""

    def __init__(self, runner: Runner) -> None:
        self._runner = RawRunner(runner.engine, runner.operations)


def raw(
    method: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, RawResponse[T]]]:
    """Return *method* of a resource as that of a `RawResource`, whose runner makes it one."""
    return cast("Callable[Concatenate[Any, P], Coroutine[Any, Any, RawResponse[T]]]", method)


class Client:
    """Base of the platforms' clients."""

    platform: ClassVar[Platform]
    operations: ClassVar[Operations]

    @hint_at_arguments
    def __init__(
        self,
        api_key: str | Secret | KeyProvider | None = None,
        *,
        base_url: str | None = None,
        deadline: float = 60.0,
        attempt_timeout: float = 20.0,
        connect_timeout: float = 5.0,
        retry: RetryPolicy | None = None,
        gate: Gate | None = None,
        max_connections: int = 100,
        session: Session | None = None,
        ssl: tls.SSLContext | None = None,
        proxy: str | Secret | None = None,
        trust_env: bool = False,
        headers: HeaderMap | None = None,
        user_agent_suffix: str = "",
        strict: bool = False,
        observer: Observers = None,
        transport: Transport | None = None,
    ) -> None:
        """Check the settings; nothing is opened before the first call.

        Args:
            api_key: The key, or an async callable that returns it and is asked again, once, after a
                401. By default ``<PLATFORM>_API_KEY`` of the environment.
            base_url: Origin with an optional path prefix; https, or http on loopback. By default
                ``<PLATFORM>_BASE_URL`` of the environment, or the platform's own address.
            deadline: Seconds for a whole call: all attempts, pauses and queueing.
            attempt_timeout: Seconds for one attempt.
            connect_timeout: Seconds for making a connection.
            retry: How often and how fast failed attempts are repeated; by default
                ``RetryPolicy()``.
            gate: Admits all calls of this client; pass one to share it, or to fail fast. By default
                a new one.
            max_connections: Most connections, and calls running at once, in one event loop.
            session: An aiohttp session to use and leave open. It works in its own loop only, and
                its middlewares do not run, because ours take their place. It keeps its own
                connections, so a purchase may go over one that was idle, unless its connector
                closes them (``TCPConnector(keepalive_timeout=0.1)``). Where it does not show its
                connections to aiohttp's traces, a request without an answer counts as sent.
            ssl: A context that verifies certificates and host names; by default aiohttp's.
            proxy: URL of an HTTP proxy, ``http://user:password@host:port``; special characters in
                user name and password are percent-encoded. The proxy never sees the key.
            trust_env: Without a *proxy*, use the one that ``HTTPS_PROXY`` names, except for the
                hosts in ``NO_PROXY``. Nothing else is read: no ``.netrc``.
            strict: Raise `FieldsIgnoredError` when a 200 shows a field with another value than was
                sent; otherwise that is an event, and part of the bulk outcome.
            headers: Sent with every request, in addition to the client's own; a value may be a
                `Secret`, and one whose name sounds like a credential becomes one.
            user_agent_suffix: Added to the ``User-Agent``, such as ``my-app/1.2``.
            observer: Called with what happens, one function or several; see
                `sigmamind_async.events`.
            transport: Carries the requests in place of aiohttp, in tests for instance.

        Raises:
            ConfigurationError: A setting cannot be used.
        """
        headers, proxy = conceal(headers), None if proxy is None else as_secret(proxy)
        api_key = _key_from_environment(self.platform) if api_key is None else api_key
        if isinstance(api_key, str):
            api_key = Secret(api_key)
        check_seconds("deadline", deadline)
        check_seconds("attempt_timeout", attempt_timeout)
        check_seconds("connect_timeout", connect_timeout)
        check_count("max_connections", max_connections)
        check_flag("trust_env", trust_env)
        _check_parts(retry, gate, strict=strict)
        _check_method("session", session, "request")
        _check_method("transport", transport, "send")
        url = _checked_base_url(self.platform, base_url)
        if proxy is None and trust_env:
            proxy = proxy_of_environment(url)
        options = AiohttpOptions(
            connect_timeout=connect_timeout, max_connections=max_connections, ssl=ssl, proxy=proxy
        )
        self._bind(
            Engine(
                platform=self.platform,
                base_url=url,
                credentials=Credentials(api_key, deadline),
                transport=transport or AiohttpTransport(options, session),
                gate=gate or Gate(),
                policy=retry or RetryPolicy(),
                quota=RetryQuota(),
                limits=Limits(
                    deadline=deadline,
                    attempt_timeout=attempt_timeout,
                    max_connections=max_connections,
                ),
                strict=strict,
                observer=as_observer(observer),
                options=_merged(self.platform, NO_OPTIONS, headers=headers),
                user_agent_suffix=check_user_agent_suffix(user_agent_suffix),
            )
        )

    def _bind(self, engine: Engine) -> None:
        """Use *engine*; platforms create their resources here."""
        self._runner = Runner(engine, self.operations)

    @property
    def gate(self) -> Gate:
        """What admits the calls of this client and of its `with_options` copies."""
        return self._runner.engine.gate

    @property
    def runner(self) -> Runner:
        """Runs the calls, for packages that build on a client."""
        return self._runner

    async def run(self, value: RequestValue[T]) -> T:
        """Run the request *value* and return what the method for it would.

        Raises what that method raises, and `InvalidRequestError` for another platform's request.
        """
        return await self._runner.run(value)

    async def run_raw(self, value: RequestValue[T]) -> RawResponse[T]:
        """Run the request *value*; return status, headers and body, and ``parse()`` to read it.

        Raises as `run` does, except for a 2xx that cannot be read.
        """
        return await self._runner.engine.exchange(self._runner.operation(value))

    @hint_at_arguments
    async def request(
        self,
        method: Method,
        path: str,
        *,
        json: Mapping[str, Any] | None = None,
        query: QueryMap | None = None,
    ) -> RawResponse[Any]:
        """Send a request that has no method here, under the same rules as all others.

        Args:
            method: ``GET``, ``PUT`` and ``DELETE`` are sent again after a failure that may have
                reached the platform; ``POST`` and ``PATCH`` are not.
            path: From ``/v1`` on, such as ``/v1/phone-numbers``.
            json: The body; a value may be a `Secret`, and a text under a name that sounds like a
                credential becomes one.
            query: Text, numbers or booleans. The log shows them, so no secrets.

        Returns:
            The response; its ``parse()`` returns the parsed JSON, ``None`` for an empty body.

        Raises:
            InvalidRequestError: Something in the request cannot be sent.
            SigmaMindError: As any call; an error status raises.
        """
        json = conceal(json)
        name = f"{self.platform.name}.request"
        return await self._runner.engine.exchange(
            request_operation(name, method, path, json=json, query=query)
        )

    @hint_at_arguments
    def run_many(
        self,
        values: Iterable[RequestValue[T]] | AsyncIterable[RequestValue[T]],
        *,
        ordered: bool = False,
        stop_on: StopOn | None = DEFAULT_STOP_ON,
        progress: Progress | None = None,
    ) -> BulkRun[RequestValue[T], T]:
        """Run many values concurrently; iterate the result with ``async for``.

        Args:
            values: Any iterable or async iterable; read lazily, so a million rows may stream.
            ordered: Yield outcomes in the order of the values, instead of as they end.
            stop_on: When to take no more rows and skip the rest. By default that is after three in
                a row that the platform refuses with 401, 402 or 403, and after a minute in which
                it answers nothing; with ``None`` it is never.
            progress: Counts, rate and estimated time, updated while the job runs.

        Returns:
            A job that yields one `Outcome` a row. A row that fails is an outcome; the job goes on.
            If it ended early, its `stopped` says why. A row's deadline starts when the gate admits
            it.
        """
        runner = self._runner
        return runner.run_rows(
            values, runner.row, ordered=ordered, stop_on=stop_on, progress=progress
        )

    @hint_at_arguments
    def with_options(
        self,
        *,
        deadline: float | Unset = UNSET,
        attempt_timeout: float | Unset = UNSET,
        retry: RetryPolicy | Unset | None = UNSET,
        strict: bool | Unset = UNSET,
        observer: Observers | Unset = UNSET,
        gate: Gate | Unset | None = UNSET,
        api_key: str | Secret | KeyProvider | Unset = UNSET,
        headers: HeaderMap | None = None,
        query: QueryMap | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> Self:
        """Return a copy with other options that shares this client's session, gate and quota.

        What is left out stays as it is.

        Args:
            deadline: Seconds for a whole call: all attempts, pauses and queueing.
            attempt_timeout: Seconds for one attempt.
            retry: How often and how fast failed attempts are repeated; with ``None``, as by
                default.
            strict: Raise `FieldsIgnoredError` where a field was ignored.
            observer: Called with what happens, in place of the present one; with ``None`` nothing
                is.
            gate: Admits the calls of the copy; with ``None`` a new one. Give another account its
                own.
            api_key: Another key. For another account pass a *gate* too: platforms limit accounts.
            headers: Sent with each request, in addition to those set before.
            query: Query parameters added to each request, listings included: a `Provisioner`
                refuses such a client.
            body: Fields added to the body of each request that has one, by the platform's names:
                ``client.with_options(body={"newField": 1})``.

        Raises:
            ConfigurationError: A value cannot be used. A call that sets one of *query* or *body*
                itself raises `InvalidRequestError`.
        """
        api_key = Secret(api_key) if isinstance(api_key, str) else api_key
        headers, body = conceal(headers), conceal(body)
        engine = self._runner.engine
        times = _given(deadline=deadline, attempt_timeout=attempt_timeout)
        for name, seconds in times.items():
            check_seconds(name, seconds)
        _check_parts(
            *(None if each is UNSET else each for each in (retry, gate)),
            strict=strict is not UNSET and strict,
        )
        changes = _given(
            policy=RetryPolicy() if retry is None else retry,
            strict=strict,
            observer=UNSET if isinstance(observer, Unset) else as_observer(observer),
            gate=Gate() if gate is None else gate,
        )
        limits = attrs.evolve(engine.limits, **times)
        if not isinstance(api_key, Unset):
            changes["credentials"] = Credentials(api_key, limits.deadline)
        if any(each is not None for each in (headers, query, body)):
            changes["options"] = _merged(
                self.platform, engine.options, headers=headers, query=query, body=body
            )
        twin = object.__new__(type(self))
        twin._bind(attrs.evolve(engine, limits=limits, **changes))
        return twin

    async def close(self, grace: float | None = None) -> None:
        """Close the connections of the running loop; a session that was passed in stays open.

        Running requests are waited for, so that no purchase is cut off, for *grace* seconds at
        most; by default for `attempt_timeout`, after which none can still be running. A call that
        is made later, or makes another attempt, opens connections again; the next `close` closes
        those, or the end of the loop. Raises `ConfigurationError` for a *grace* below 0.
        """
        if grace is not None:
            check_seconds("grace", grace, zero=True)
        transport, limits = self._runner.engine.transport, self._runner.engine.limits
        if not isinstance(transport, AiohttpTransport):
            await transport.aclose()
            return
        await transport.aclose(limits.attempt_timeout if grace is None else grace)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # An error, such as a Ctrl-C, must not wait for as long as a request may take.
        await self.close(grace=None if error is None else _GRACE_AFTER_ERROR)

    if not TYPE_CHECKING:

        def __enter__(self) -> Self:
            name = type(self).__name__
            raise TypeError(f"use 'async with', or {name} of sigmamind_async.sync without asyncio")

        def __exit__(self, *_: object) -> None: ...

        def __getattr__(self, name: str) -> object:
            raise missing_attribute(self, name)

    def __repr__(self) -> str:
        runner = vars(self).get("_runner")  # there is none where the constructor has failed
        url = f"base_url={runner.engine.base_url!r}" if runner else ""
        return f"{type(self).__name__}({url})"


def _check_parts(retry: object, gate: object, *, strict: object) -> None:
    if retry is not None:
        check_type("retry", retry, RetryPolicy)
    if gate is not None:
        check_type("gate", gate, Gate)
    check_flag("strict", strict)


def _check_method(name: str, part: object, method: str) -> None:
    if part is not None and not callable(getattr(part, method, None)):
        raise ConfigurationError(f"{name}: {type(part).__name__} has no method {method!r}")


def _given(**options: Any) -> dict[str, Any]:  # noqa: ANN401 - passed on as it is
    """Return the options that are not `UNSET`."""
    return {name: value for name, value in options.items() if value is not UNSET}


def _merged(platform: Platform, options: RequestOptions, **added: Any) -> RequestOptions:  # noqa: ANN401 - checked there
    """Return *options* and those *added*, of which none may carry the key."""
    merged = options.merge(**added)
    check_header_names(merged.headers, platform.authorize(Secret("-")))
    return merged


def _key_from_environment(platform: Platform) -> Secret:
    name = f"{platform.env_prefix}_API_KEY"
    text = os.environ.get(name)
    if not text:
        raise ConfigurationError(f"api_key: give one, or set {name} in the environment")
    return Secret(text)


def _checked_base_url(platform: Platform, given: str | None) -> str:
    """Return origin and prefix. A refused URL may hold a password and is not shown."""
    variable = f"{platform.env_prefix}_BASE_URL"
    text = given or os.environ.get(variable) or platform.base_url
    check_type("base_url", text, str)
    try:
        url = urlsplit(text)
        problem = _base_url_problem(url)
    except ValueError:
        url, problem = urlsplit(""), "is not a URL"
    if problem:
        name = "base_url" if given else variable
        raise ConfigurationError(
            f"{name}: {problem}; it is an origin such as {platform.base_url!r},"
            " with an optional path before /v1"
        )
    return f"{url.scheme}://{url.netloc}{url.path.rstrip('/')}"


_HOST_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789.-:")
_PATH_CHARACTERS = _HOST_CHARACTERS | frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ/_~%")


def _base_url_problem(url: SplitResult) -> str | None:
    host = url.hostname or ""
    rules = {
        "needs https, or http to a loopback address": (
            url.scheme == "https" or (url.scheme == "http" and _is_loopback(host))
        ),
        "holds a user name or password": "@" not in url.netloc,
        "has no host, or one with characters other than ASCII letters, digits, - and .": (
            # `hostname` is lowered, and the Kelvin sign lowers to "k".
            bool(host) and url.netloc.isascii() and _HOST_CHARACTERS.issuperset(host)
        ),
        "has a host that is not a valid name": is_host(host),
        "has port 0": url.port is None or url.port > 0,
        "has a query or a fragment": not url.query and not url.fragment,
        "has a path that is not a plain prefix": (
            _PATH_CHARACTERS.issuperset(url.path) and ".." not in url.path
        ),
        "ends with /v1, which every path begins with": not url.path.rstrip("/").endswith("/v1"),
    }
    return next((problem for problem, holds in rules.items() if not holds), None)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
