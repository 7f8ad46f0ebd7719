"""Traces and metrics for OpenTelemetry: an observer, which a client is given.

    from sigmamind_async.integrations.opentelemetry import OpenTelemetryObserver

    client = SigmaMind(observer=OpenTelemetryObserver())

Each call is a span, with the attempts as its children: spans of an HTTP client by the semantic
conventions, https://opentelemetry.io/docs/specs/semconv/http/. An attempt's request carries its
context on, as ``traceparent``. Metrics are those of the conventions and those listed at
`OpenTelemetryObserver`. Needs the extra ``otel``; where the application sets up no SDK, nothing is
recorded.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote, urlsplit, urlunsplit

import attrs

from sigmamind_async.events import (
    AttemptFinished,
    AttemptStarted,
    CallFinished,
    CallStarted,
    Event,
    OperationChanged,
    Throttled,
)
from sigmamind_async.operation import Verdict

try:
    from opentelemetry import metrics, propagate, trace
    from opentelemetry.trace import Span, SpanKind, StatusCode
    from opentelemetry.util.types import AttributeValue
except ImportError as error:
    raise ImportError(
        "sigmamind_async.integrations.opentelemetry needs opentelemetry-api, which comes with the"
        ' extra: pip install "sigmamind-async[otel]"',
        name=error.name or "opentelemetry",
    ) from None

_NAME: Final = "sigmamind_async"
_SECONDS: Final = (
    *(0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
    *(30.0, 60.0),
)
"""Buckets of durations: those of the conventions, and two that reach a call's deadline."""
_PURCHASES: Final = frozenset({"sigmamind.create_phone_number", "dialnexa.purchase_phone_number"})
_UNCONFIRMED: Final = frozenset({"unconfirmed", "needs_decision"})
_ENDS: Final = frozenset({"done", "failed", "needs_decision", "duplicate", "abandoned"})
_NUMBER: Final = re.compile(
    r"(?:%2B|\+)[0-9]{7,15}|(?<![0-9A-Za-z])[0-9]{10,15}(?![0-9A-Za-z])", re.IGNORECASE
)
"""A phone number; some platforms write it without the plus."""
_ID: Final = re.compile(r"(?<=/)(?!v[0-9]+/)[^/]*[0-9][^/]*")
"""A part of a path that may be the id of a record: a call without a method names no subject."""
_HIDDEN: Final = "REDACTED"

_Attributes = dict[str, AttributeValue]


@attrs.define
class _Running:
    """The spans of one call."""

    call: Span
    attempt: Span | None = None
    attributes: _Attributes = attrs.field(factory=dict[str, AttributeValue])
    """Those of the attempt that its metrics have too."""


class OpenTelemetryObserver:
    """Turns the events of clients, provisioners and workers into spans and metrics.

    One serves any number of clients, loops and threads. Metrics, beside
    ``http.client.request.duration``, which counts requests by status and error:

    ========================================  =====================================================
    ``sigmamind_async.calls``                 calls by operation, committed and error
    ``sigmamind_async.calls.active``          calls under way
    ``sigmamind_async.call.duration``         seconds of a call, with waits and pauses
    ``sigmamind_async.attempts``              requests by operation and verdict
    ``sigmamind_async.rate_limited``          requests that were answered 429
    ``sigmamind_async.gate.wait``             seconds that a request waited for the gate
    ``sigmamind_async.gate.rate``             requests a second that the gate admits, by platform
    ``sigmamind_async.purchases``             purchases by outcome: done, failed, unconfirmed, ...
    ``sigmamind_async.unconfirmed``           operations of a journal that are unconfirmed now
    ========================================  =====================================================

    Args:
        tracer_provider: Where spans go; by default the global provider.
        meter_provider: Where metrics go; by default the global provider.
        phone_numbers: Let spans show phone numbers, record ids and queries. Metrics never do.
    """

    def __init__(
        self,
        *,
        tracer_provider: trace.TracerProvider | None = None,
        meter_provider: metrics.MeterProvider | None = None,
        phone_numbers: bool = False,
    ) -> None:
        self._shows_numbers = phone_numbers
        self._tracer = trace.get_tracer(_NAME, tracer_provider=tracer_provider)
        self._running: dict[int, _Running] = {}
        meter = metrics.get_meter(_NAME, meter_provider=meter_provider)

        def seconds(name: str, what: str) -> metrics.Histogram:
            return meter.create_histogram(
                name, "s", what, explicit_bucket_boundaries_advisory=_SECONDS
            )

        self._requests = seconds("http.client.request.duration", "Duration of HTTP requests.")
        self._durations = seconds(f"{_NAME}.call.duration", "Duration of calls.")
        self._waits = seconds(f"{_NAME}.gate.wait", "Wait of a request for the gate.")
        self._calls = meter.create_counter(f"{_NAME}.calls", "{call}", "Calls that ended.")
        self._attempts = meter.create_counter(f"{_NAME}.attempts", "{request}", "Requests.")
        self._limited = meter.create_counter(
            f"{_NAME}.rate_limited", "{request}", "Requests that were rate-limited."
        )
        self._purchases = meter.create_counter(
            f"{_NAME}.purchases", "{purchase}", "Purchases by outcome."
        )
        self._active = meter.create_up_down_counter(
            f"{_NAME}.calls.active", "{call}", "Calls under way."
        )
        self._unconfirmed = meter.create_up_down_counter(
            f"{_NAME}.unconfirmed", "{operation}", "Operations that are unconfirmed now."
        )
        self._rate = meter.create_gauge(
            f"{_NAME}.gate.rate", "{request}/s", "Requests a second that the gate admits."
        )

    def __call__(self, event: Event) -> None:
        """Record *event*."""
        match event:
            case CallStarted():
                self._start_call(event)
            case AttemptStarted():
                self._start_attempt(event)
            case AttemptFinished():
                self._end_attempt(event)
            case CallFinished():
                self._end_call(event)
            case Throttled():
                self._limited.add(1, {"operation": event.operation})
                self._set_rate(event)
            case OperationChanged():
                self._count_operation(event)
            case _:
                pass

    # --- calls -------------------------------------------------------------------------------

    def _start_call(self, event: CallStarted) -> None:
        self._active.add(1, {"operation": event.operation})
        attributes: _Attributes = {f"{_NAME}.call": event.call}
        if event.op_id is not None:
            attributes[f"{_NAME}.op_id"] = event.op_id
        if event.subject is not None and self._shows_numbers:
            attributes[f"{_NAME}.subject"] = event.subject
        span = self._tracer.start_span(event.operation, attributes=attributes)
        self._running[event.call] = _Running(span)

    def _end_call(self, event: CallFinished) -> None:
        kind: _Attributes = {"operation": event.operation}
        result: _Attributes = {**kind, "committed": event.committed}
        if event.error is not None:
            result["error.type"] = event.error
        running = self._running.pop(event.call, None)
        if running is not None:  # the observer may have been added while the call ran
            self._active.add(-1, kind)
            self._end_call_span(running, event)
        self._calls.add(1, result)
        self._durations.record(event.elapsed, result)
        if event.operation in _PURCHASES and event.op_id is None:
            refused = event.committed == "no"
            outcome = "done" if event.error is None else "failed" if refused else "unconfirmed"
            self._purchases.add(1, {"platform": _platform_of(event.operation), "outcome": outcome})

    def _end_call_span(self, running: _Running, event: CallFinished) -> None:
        span = running.call
        span.set_attribute(f"{_NAME}.committed", event.committed)
        span.set_attribute(f"{_NAME}.attempts", event.attempts)
        if event.adopted:
            span.set_attribute(f"{_NAME}.adopted", event.adopted)
        if event.error is not None:
            span.set_attribute("error.type", event.error)
            span.set_status(StatusCode.ERROR, self._hide(event.message, event.subject))
        span.end()

    # --- attempts ----------------------------------------------------------------------------

    def _start_attempt(self, event: AttemptStarted) -> None:
        self._waits.record(event.waited, {"operation": event.operation})
        self._set_rate(event)
        running = self._running.get(event.call)
        if running is None:
            return
        url = urlsplit(event.url)
        running.attributes = {
            "http.request.method": event.method,
            "server.address": url.hostname or "",
            "server.port": url.port or (443 if url.scheme == "https" else 80),
        }
        shown = event.url
        if not self._shows_numbers:
            query = _HIDDEN if url.query else ""
            path = _ID.sub(_HIDDEN, self._hide(url.path, event.subject))
            shown = urlunsplit((url.scheme, url.netloc, path, query, ""))
        attributes: _Attributes = {**running.attributes, "url.full": shown}
        if event.attempt > 1:
            attributes["http.request.resend_count"] = event.attempt - 1
        parent = trace.set_span_in_context(running.call)
        running.attempt = self._tracer.start_span(
            event.method, parent, kind=SpanKind.CLIENT, attributes=attributes
        )
        propagate.inject(event.headers, trace.set_span_in_context(running.attempt))

    def _end_attempt(self, event: AttemptFinished) -> None:
        self._attempts.add(1, {"operation": event.operation, "verdict": event.verdict.value})
        running = self._running.get(event.call)
        if running is None or running.attempt is None:
            return
        span, running.attempt = running.attempt, None
        attributes = running.attributes
        if event.status is not None:
            attributes["http.response.status_code"] = event.status
        failed = event.status is None or event.status >= 400
        if failed or event.verdict is not Verdict.CONFIRMED:
            attributes["error.type"] = str(event.status) if failed and event.status else "_OTHER"
            span.set_status(StatusCode.ERROR, event.verdict.value)
        span.set_attributes(attributes)
        if event.request_id is not None:
            shown = self._hide(event.request_id, event.subject)
            span.set_attribute("http.response.header.x-request-id", [shown])
        span.end()
        self._requests.record(event.elapsed, attributes)

    def _set_rate(self, event: AttemptStarted | Throttled) -> None:
        if event.rate is not None:
            self._rate.set(event.rate, {"platform": _platform_of(event.operation)})

    def _hide(self, text: str, subject: str | None) -> str:
        """Return *text* without phone numbers and the record's id, unless spans may show them."""
        if self._shows_numbers:
            return text
        for name in filter(None, (subject, quote(subject or "", safe=""))):
            text = text.replace(name, _HIDDEN)
        return _NUMBER.sub(_HIDDEN, text)

    # --- operations of a journal -------------------------------------------------------------

    def _count_operation(self, event: OperationChanged) -> None:
        change = (event.state in _UNCONFIRMED) - (event.before in _UNCONFIRMED)
        if change:
            self._unconfirmed.add(change, {"account": event.account})
        if "purchase" in event.kind and event.state in _ENDS:
            platform = event.account.partition(":")[0]
            self._purchases.add(1, {"platform": platform, "outcome": event.state})


def _platform_of(operation: str) -> str:
    return operation.partition(".")[0]
