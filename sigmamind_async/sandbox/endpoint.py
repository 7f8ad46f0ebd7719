"""One platform: what happens to a request between its head and its end.

A request is matched, authorized and held against the rate limit; then it meets its fault or
none; then, if the fault lets it, the backend processes it and the change is logged before a byte of
answer leaves. Processing itself never waits, so requests do not interleave.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, defaultdict, deque
from collections.abc import Iterable
from typing import Any

import attrs

from sigmamind_async.sandbox.backend import Backend
from sigmamind_async.sandbox.commit_log import CommitLog
from sigmamind_async.sandbox.conditions import Conditions
from sigmamind_async.sandbox.connection import ENDINGS, BodyTooLargeError, Connection, Incoming
from sigmamind_async.sandbox.faults import (
    BODY_FAULTS,
    FAULT_STATUS,
    Fault,
    Faults,
    as_list,
    choose_fault,
)
from sigmamind_async.sandbox.ledger import Commit
from sigmamind_async.sandbox.limits import Limiter, limit_headers
from sigmamind_async.sandbox.messages import Answer, ApiRequest, Moved, NoRoute, Route
from sigmamind_async.sandbox.presence import Presence
from sigmamind_async.sandbox.refusals import Refusal
from sigmamind_async.sandbox.spoil import gzip_bomb, spoil
from sigmamind_async.sandbox.webhooks import Signed, WebhookDelivery, delivery

_LOGGER = logging.getLogger(__name__)

NO_OPERATION = "none"
"""What requests to unknown paths are counted under."""


@attrs.define
class Requests:
    """How often the platform was asked; requests that were refused count too."""

    total: int = 0
    by_operation: Counter[str] = attrs.field(factory=Counter[str])
    by_status: Counter[int] = attrs.field(factory=Counter[int])
    """Answers by status; a request that got no HTTP answer is in none of them."""
    by_fault: Counter[str] = attrs.field(factory=Counter[str])

    def as_json(self) -> dict[str, object]:
        """Return the counters as plain values."""
        return {
            "total": self.total,
            "by_operation": dict(self.by_operation),
            "by_status": {str(status): count for status, count in self.by_status.items()},
            "by_fault": dict(self.by_fault),
        }


@attrs.frozen(kw_only=True)
class Exchange:
    """One request on its way."""

    request: Incoming
    connection: Connection
    route: Route
    headers: dict[str, str]
    """What the rate limit adds to the answer."""
    fault: Fault | None
    faults: Faults
    latency: float


class Endpoint:
    """A backend with an address."""

    def __init__(self, backend: Backend[Any], conditions: Conditions, log: CommitLog) -> None:
        """Take what is this platform's own and what it shares with the others."""
        self.backend: Backend[Any] = backend
        self.api_key: str = backend.first_key
        """May be changed while it runs: requests with the old key are answered 401."""
        self.base_url: str = f"https://{backend.name}.sandbox.invalid"
        """Where it listens; in memory, an address that leads nowhere."""
        self.requests: Requests = Requests()
        self._conditions = conditions
        self._log = log
        self._scripts: defaultdict[str, deque[Fault | None]] = defaultdict(deque)
        self._counts: Counter[str] = Counter()
        self._limiter: Limiter | None = None
        self._presence = Presence(conditions)

    def __repr__(self) -> str:
        return f"<Endpoint {self.name} {self.base_url}>"

    @property
    def name(self) -> str:
        """The platform: ``sigmamind``, ``verbex`` or ``dialnexa``."""
        return self.backend.name

    @property
    def environment(self) -> dict[str, str]:
        """The variables that lead a client here whose key and address come from the environment.

        A profile of the command line would lead to the platform itself, and a database of the
        environment to its journal: both are set to nothing.
        """
        name = self.name.upper()
        return {
            f"{name}_BASE_URL": self.base_url,
            f"{name}_API_KEY": self.api_key,
            "SIGMAMIND_PROFILE": "",
            "SIGMAMIND_POSTGRES": "",
        }

    @property
    def in_flight(self) -> int:
        """Requests being handled, late commits among them."""
        return self._presence.in_flight

    def script(self, operation: str, faults: Iterable[Fault | str | None]) -> None:
        """Say what goes wrong with the next requests of *operation*, one after the other."""
        if operation not in self.backend.operations:
            message = f"{self.name} has no operation {operation!r}"
            raise ValueError(message)
        entries = [None if fault is None else Fault(fault) for fault in as_list(faults, "faults")]
        self._scripts[operation].extend(entries)

    def webhook(
        self,
        event: str,
        *,
        secret: str = "whsec_sandbox",
        signed: Signed = "body",
        **fields: object,
    ) -> WebhookDelivery:
        """Return a delivery of *event* as the platform sends it, for the application under test.

        Verbex has ``call_started``, ``call_ended``, ``call_transferred`` and ``call_analyzed``,
        DialNexa ``call_started``, ``call_ended``, ``call_transferred`` and ``verification``,
        SigmaMind ``inbound_call``. *fields* replace what is made up in the event; *signed* is what
        Verbex signs, which it does not document.
        """
        now = self._conditions.wall_clock()
        return delivery(self.name, event, fields, secret=secret, now=now, signed=signed)

    def clear(self) -> None:
        """Start over: an empty account, counters at zero, no script."""
        self.backend.clear()
        self.requests = Requests()
        self._scripts.clear()
        self._counts.clear()
        self._limiter = None

    def close(self) -> None:
        """Wake whatever hangs or waits; a late commit still due is not made."""
        self._presence.close()

    async def settled(self) -> None:
        """Wait until whatever the requests so far commit is in the ledger."""
        await self._presence.settled()

    async def idle(self) -> None:
        """Wait until no request is being handled."""
        await self._presence.idle()

    async def handle(self, request: Incoming, connection: Connection) -> Answer | None:
        """Return the answer to *request*; None if it has gone out, or the connection has ended."""
        with self._presence.request():
            try:
                return await self._handle(request, connection)
            except ConnectionError:  # The caller left before the request was read.
                return Answer(status=400)
            except BodyTooLargeError:
                return self._refused(413, "The request body is too large", request.path)
            except Exception:
                # Without the request: it holds keys and passwords.
                _LOGGER.exception("The sandbox failed on %s %s", request.method, request.path)
                return self._refused(500, "The sandbox itself failed", request.path)

    async def _handle(self, request: Incoming, connection: Connection) -> Answer | None:
        found = self.backend.find(request.method, request.path, self._conditions.switches)
        operation = found.operation if isinstance(found, Route) else NO_OPERATION
        self.requests.total += 1
        self.requests.by_operation[operation] += 1
        if isinstance(found, Moved):
            return self._moved(request, found)
        if not self.backend.is_authorized(request.headers, self.api_key):
            # The words of DialNexa, the only ones that are documented.
            return self._refused(401, "API key is missing or invalid", found.path)
        if isinstance(found, NoRoute):
            return self._refused_route(found)
        headers, status = self._admit(operation)
        if status is not None:
            return self._refused(status, "Rate limit exceeded", found.path, headers)
        return await self._exchange(self._met(request, connection, found, headers))

    def _refused_route(self, found: NoRoute) -> Answer:
        if not found.allowed:
            return self._refused(404, found.message or "No such resource", found.path)
        headers = {"Allow": ", ".join(found.allowed)}
        return self._refused(405, found.message or "Method not allowed", found.path, headers)

    def _moved(self, request: Incoming, found: Moved) -> Answer:
        query = request.query_string
        target = request.origin + found.path + (f"?{query}" if query else "")
        return self._count(Answer(status=found.status, headers={"Location": target}))

    def _admit(self, operation: str) -> tuple[dict[str, str], int | None]:
        """Return the headers the limit adds and the status it refuses with, if it does."""
        rate_limit = self._conditions.rate_limit
        if rate_limit is None:
            return {}, None
        if self._limiter is None or self._limiter.rule is not rate_limit:
            self._limiter = Limiter(rate_limit)
        rule, admission = self._limiter.admit(operation, self._conditions.now())
        headers = limit_headers(rule, admission, self._conditions.wall_clock())
        return headers, None if admission.allowed else rule.status

    def _met(
        self, request: Incoming, connection: Connection, route: Route, headers: dict[str, str]
    ) -> Exchange:
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
            connection=connection,
            route=route,
            headers=headers,
            fault=fault,
            faults=conditions.faults,
            latency=conditions.latency_of(operation, count),
        )

    async def _exchange(self, exchange: Exchange) -> Answer | None:
        fault = exchange.fault
        if fault is Fault.REFUSE:
            await self._end(exchange, Answer(status=500))
            return None
        body = await exchange.request.read()
        if exchange.latency:
            await self._presence.pause(exchange.latency)
        if fault is Fault.LATE_COMMIT:
            await self._commit_late(exchange, body)
            return None
        if fault is not None and not fault.commits:
            return await self._answer_faultily(exchange, fault, Answer(status=500))
        answer, commit = self._process(exchange, body)
        if fault is not None:
            return await self._answer_faultily(exchange, fault, answer)
        return await self._answer(exchange, answer, commit)

    def _process(self, exchange: Exchange, body: bytes) -> tuple[Answer, Commit | None]:
        """Let the backend act, and log what it did."""
        request, conditions, now = exchange.request, self._conditions, self._conditions.wall_clock()
        call = ApiRequest(
            route=exchange.route,
            query=request.query,
            content_type=request.headers.get("Content-Type", ""),
            body=body,
            now=now,
            switches=conditions.switches,
            list_lag=conditions.list_lag,
        )
        outcome = self.backend.process(call)
        answer = attrs.evolve(
            outcome.answer,
            headers={**outcome.answer.headers, **exchange.headers},
        )
        if outcome.change is None:
            return answer, None
        commit = self._log.enter(
            outcome.change,
            platform=self.name,
            operation=exchange.route.operation,
            fault=None if exchange.fault is None else exchange.fault.value,
            now=now,
        )
        return answer, commit

    async def _answer(
        self, exchange: Exchange, answer: Answer, commit: Commit | None
    ) -> Answer | None:
        self._count(answer)
        if commit is None:
            return answer
        # Sent here and not by the caller, to learn whether it left.
        if await exchange.connection.answer(answer):
            self._log.mark_delivered(commit.sequence)
        return None

    async def _answer_faultily(
        self,
        exchange: Exchange,
        fault: Fault,
        answer: Answer,
    ) -> Answer | None:
        if fault in FAULT_STATUS:
            return self._refused(
                FAULT_STATUS[fault],
                "This answer is a fault of the sandbox",
                exchange.route.path,
                _fault_headers(exchange, fault),
            )
        if fault not in BODY_FAULTS:
            await self._end(exchange, answer)
            return None
        if fault is Fault.GZIP_BOMB:
            await asyncio.to_thread(gzip_bomb)  # The first one takes most of a second.
        return self._count(spoil(fault, answer, oversize=exchange.faults.oversize))

    async def _end(self, exchange: Exchange, answer: Answer) -> None:
        """End the connection as the fault has it."""
        if exchange.fault is not None:
            ending = ENDINGS[exchange.fault]
            with self._presence.ending():
                await ending(exchange.connection, answer, exchange.faults, self._presence.pause)

    async def _commit_late(self, exchange: Exchange, body: bytes) -> None:
        exchange.connection.reset()
        await self._presence.pause(exchange.faults.late)
        if not self._presence.closing:
            self._process(exchange, body)

    def _count(self, answer: Answer) -> Answer:
        self.requests.by_status[answer.status] += 1
        return answer

    def _refused(
        self,
        status: int,
        message: str,
        path: str,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        refusal, switches = Refusal(status, message), self._conditions.switches
        answer = self.backend.refuse(
            refusal, path=path, now=self._conditions.wall_clock(), switches=switches
        )
        return self._count(attrs.evolve(answer, headers=headers or {}))


def _fault_headers(exchange: Exchange, fault: Fault) -> dict[str, str]:
    if exchange.faults.retry_after is not None and FAULT_STATUS[fault] in {429, 503}:
        return {**exchange.headers, "Retry-After": str(exchange.faults.retry_after)}
    if fault in {Fault.REDIRECT_303_AFTER_COMMIT, Fault.REDIRECT_307}:
        target = exchange.faults.redirect_to.rstrip("/") + exchange.request.path
        return {**exchange.headers, "Location": target}
    return exchange.headers
