"""One platform on the wire: what happens to a request between its head and its end.

A request is matched, authorized and held against the rate limit; then it meets its fault or
none; then, if the fault lets it, the tower processes it and the change is entered in the books
before a byte of answer leaves. Processing itself never waits, so requests do not interleave.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, defaultdict, deque
from collections.abc import Awaitable, Callable, Iterable

import attrs
from aiohttp import web

from sigmamind_async.sandbox.books import Books
from sigmamind_async.sandbox.conditions import Conditions
from sigmamind_async.sandbox.counters import Requests
from sigmamind_async.sandbox.faults import (
    BODY_FAULTS,
    FAULT_STATUS,
    Fault,
    Faults,
    choose_fault,
)
from sigmamind_async.sandbox.ledger import Commit
from sigmamind_async.sandbox.limits import Limiter, limit_headers
from sigmamind_async.sandbox.presence import Presence
from sigmamind_async.sandbox.refusals import Refusal
from sigmamind_async.sandbox.spoil import gzip_bomb, spoil
from sigmamind_async.sandbox.tower import Answer, ApiRequest, Moved, NoRoute, Route, Tower
from sigmamind_async.sandbox.wire import ENDINGS, reset

_LOGGER = logging.getLogger(__name__)

OPENAPI_PATH = "/openapi.json"
ADMIN_PREFIX = "/_sandbox/"
NO_OPERATION = "none"
"""What requests to unknown paths are counted under."""

AdminHandler = Callable[[web.BaseRequest], Awaitable[web.Response]]


@attrs.frozen(kw_only=True)
class Exchange:
    """One request on its way."""

    request: web.BaseRequest
    route: Route
    headers: dict[str, str]
    """What the rate limit adds to the answer."""
    fault: Fault | None
    faults: Faults
    latency: float

    @property
    def transport(self) -> asyncio.Transport | None:
        """The connection; None once it is gone."""
        return self.request.transport


class Endpoint:
    """A tower with an address."""

    def __init__(self, tower: Tower, conditions: Conditions, books: Books) -> None:
        """Take what is this platform's own and what it shares with the others."""
        self.tower = tower
        self.api_key = tower.first_key
        """May be changed while it runs: requests with the old key are answered 401."""
        self.base_url = ""
        self.requests = Requests()
        self.admin: AdminHandler | None = None
        self._conditions = conditions
        self._books = books
        self._scripts: defaultdict[str, deque[Fault | None]] = defaultdict(deque)
        self._counts: Counter[str] = Counter()
        self._limiter: Limiter | None = None
        self._presence = Presence()

    def __repr__(self) -> str:
        return f"<Endpoint {self.tower.name} {self.base_url}>"

    @property
    def in_flight(self) -> int:
        """Requests being handled, late commits among them."""
        return self._presence.in_flight

    def is_busy(self, connection: object) -> bool:
        """Return whether a request of that aiohttp protocol is being handled."""
        return self._presence.is_busy(connection)

    def script(self, operation: str, faults: Iterable[Fault | str | None]) -> None:
        """Say what goes wrong with the next requests of *operation*, one after the other."""
        if operation not in self.tower.operations:
            message = f"{self.tower.name} has no operation {operation!r}"
            raise ValueError(message)
        entries = [None if fault is None else Fault(fault) for fault in faults]
        self._scripts[operation].extend(entries)

    def clear(self) -> None:
        """Start over: an empty account, counters at zero, no script."""
        self.tower.clear()
        self.requests = Requests()
        self._scripts.clear()
        self._counts.clear()
        self._limiter = None

    def close(self) -> None:
        """Wake whatever hangs or waits; a late commit still due is not made."""
        self._presence.close()

    async def settled(self) -> None:
        """Wait until no request is being handled and no late commit is due."""
        await self._presence.idle()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request: the sandbox's own, or one for the platform."""
        path = request.rel_url.raw_path
        with self._presence.connection(request.protocol):
            if path.startswith(ADMIN_PREFIX) and self.admin is not None:
                return await self.admin(request)
            if path == OPENAPI_PATH and request.method == "GET":
                return _response(Answer(status=200, body=self.tower.openapi))
            with self._presence.request():
                return await self._guarded(request, path)

    async def _guarded(self, request: web.BaseRequest, path: str) -> web.StreamResponse:
        try:
            return await self._handle(request, path)
        except ConnectionError:  # The caller left before the request was read.
            return web.Response(status=400)
        except web.HTTPRequestEntityTooLarge:
            return self._refused(413, "The request body is too large", path)
        except Exception:
            # Without the request: it holds keys and passwords.
            _LOGGER.exception("The sandbox failed on %s %s", request.method, path)
            return self._refused(500, "The sandbox itself failed", path)

    async def _handle(self, request: web.BaseRequest, path: str) -> web.StreamResponse:
        found = self.tower.find(request.method, path, self._conditions.switches)
        operation = found.operation if isinstance(found, Route) else NO_OPERATION
        self.requests.total += 1
        self.requests.by_operation[operation] += 1
        if isinstance(found, Moved):
            return self._moved(request, found)
        if not self.tower.is_authorized(request.headers, self.api_key):
            return self._refused(401, "Invalid or missing API key", found.path)
        if isinstance(found, NoRoute):
            return self._refused_route(found)
        headers, status = self._admit(operation)
        if status is not None:
            return self._refused(status, "Rate limit exceeded", found.path, headers)
        return await self._exchange(self._met(request, found, headers))

    def _refused_route(self, found: NoRoute) -> web.Response:
        if not found.allowed:
            return self._refused(404, found.message or "No such resource", found.path)
        headers = {"Allow": ", ".join(found.allowed)}
        return self._refused(405, found.message or "Method not allowed", found.path, headers)

    def _moved(self, request: web.BaseRequest, found: Moved) -> web.Response:
        query = request.rel_url.raw_query_string
        target = self.base_url + found.path + (f"?{query}" if query else "")
        return self._counted(Answer(status=found.status, headers={"Location": target}))

    def _admit(self, operation: str) -> tuple[dict[str, str], int | None]:
        """Return the headers the limit adds and the status it refuses with, if it does."""
        rate_limit = self._conditions.rate_limit
        if rate_limit is None:
            return {}, None
        if self._limiter is None or self._limiter.rule is not rate_limit:
            self._limiter = Limiter(rate_limit)
        rule, admission = self._limiter.admit(operation, time.monotonic())
        headers = limit_headers(rule, admission, time.time())
        return headers, None if admission.allowed else rule.status

    def _met(self, request: web.BaseRequest, route: Route, headers: dict[str, str]) -> Exchange:
        """Count the request and find out what goes wrong with it."""
        conditions, operation = self._conditions, route.operation
        self._counts[operation] += 1
        count = self._counts[operation]
        script = self._scripts[operation]
        if script:
            fault = script.popleft()
        else:
            fault = choose_fault(conditions.faults, conditions.seed, operation, count)
        if fault is not None:
            self.requests.by_fault[fault.value] += 1
        return Exchange(
            request=request,
            route=route,
            headers=headers,
            fault=fault,
            faults=conditions.faults,
            latency=conditions.latency_of(operation, count),
        )

    async def _exchange(self, exchange: Exchange) -> web.StreamResponse:
        fault = exchange.fault
        if fault is Fault.REFUSE:
            return await self._end(exchange, Answer(status=500))
        body = await exchange.request.read()
        if exchange.latency:
            await self._presence.pause(exchange.latency)
        if fault is Fault.LATE_COMMIT:
            return await self._commit_late(exchange, body)
        if fault is not None and not fault.commits:
            return await self._answer_faultily(exchange, fault, Answer(status=500))
        answer, commit = self._process(exchange, body)
        if fault is not None:
            return await self._answer_faultily(exchange, fault, answer)
        return await self._answer(exchange, answer, commit)

    def _process(self, exchange: Exchange, body: bytes) -> tuple[Answer, Commit | None]:
        """Let the tower act, and enter what it did."""
        request, conditions, now = exchange.request, self._conditions, time.time()
        call = ApiRequest(
            route=exchange.route,
            query=request.query,
            content_type=request.headers.get("Content-Type", ""),
            body=body,
            now=now,
            switches=conditions.switches,
            list_lag=conditions.list_lag,
        )
        outcome = self.tower.process(call)
        answer = attrs.evolve(
            outcome.answer,
            headers={**outcome.answer.headers, **exchange.headers},
        )
        if outcome.change is None:
            return answer, None
        commit = self._books.enter(
            outcome.change,
            platform=self.tower.name,
            operation=exchange.route.operation,
            fault=None if exchange.fault is None else exchange.fault.value,
            now=now,
        )
        return answer, commit

    async def _answer(
        self,
        exchange: Exchange,
        answer: Answer,
        commit: Commit | None,
    ) -> web.StreamResponse:
        response = self._counted(answer)
        if commit is None:
            return response
        # Sent here and not by the caller of the handler, to learn whether it left.
        try:
            await response.prepare(exchange.request)
            await response.write_eof()
        except ConnectionError:
            return response
        if exchange.transport is not None and not exchange.transport.is_closing():
            self._books.mark_delivered(commit.sequence)
        return response

    async def _answer_faultily(
        self,
        exchange: Exchange,
        fault: Fault,
        answer: Answer,
    ) -> web.StreamResponse:
        if fault in FAULT_STATUS:
            return self._refused(
                FAULT_STATUS[fault],
                "This answer is a fault of the sandbox",
                exchange.route.path,
                _fault_headers(exchange, fault),
            )
        if fault not in BODY_FAULTS:
            return await self._end(exchange, answer)
        if fault is Fault.GZIP_BOMB:
            await asyncio.to_thread(gzip_bomb)  # The first one takes most of a second.
        return self._counted(spoil(fault, answer, oversize=exchange.faults.oversize))

    async def _end(self, exchange: Exchange, answer: Answer) -> web.StreamResponse:
        """End the connection as the fault has it."""
        transport = exchange.transport
        if transport is not None and exchange.fault is not None:
            ending = ENDINGS[exchange.fault]
            await ending(transport, answer, exchange.faults, self._presence.pause)
        # Goes nowhere: the connection is closed.
        return web.Response(status=500)

    async def _commit_late(self, exchange: Exchange, body: bytes) -> web.StreamResponse:
        if exchange.transport is not None:
            reset(exchange.transport)
        await self._presence.pause(exchange.faults.late)
        if not self._presence.closing:
            self._process(exchange, body)
        return web.Response(status=500)

    def _counted(self, answer: Answer) -> web.Response:
        self.requests.by_status[answer.status] += 1
        return _response(answer)

    def _refused(
        self,
        status: int,
        message: str,
        path: str,
        headers: dict[str, str] | None = None,
    ) -> web.Response:
        refusal, switches = Refusal(status, message), self._conditions.switches
        answer = self.tower.refuse(refusal, path=path, now=time.time(), switches=switches)
        return self._counted(attrs.evolve(answer, headers=headers or {}))


def _fault_headers(exchange: Exchange, fault: Fault) -> dict[str, str]:
    if exchange.faults.retry_after is not None and FAULT_STATUS[fault] in {429, 503}:
        return {**exchange.headers, "Retry-After": str(exchange.faults.retry_after)}
    if fault in {Fault.REDIRECT_303_AFTER_COMMIT, Fault.REDIRECT_307}:
        target = exchange.faults.redirect_to.rstrip("/") + exchange.request.rel_url.raw_path
        return {**exchange.headers, "Location": target}
    return exchange.headers


def _response(answer: Answer) -> web.Response:
    headers = {"Content-Type": answer.content_type, **answer.headers}
    return web.Response(status=answer.status, body=answer.body, headers=headers)
