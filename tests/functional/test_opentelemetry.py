"""Spans and metrics as OpenTelemetry's own SDK records them, over real sockets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import attrs
import pytest

from sigmamind_async import Gate, RetryPolicy, SigmaMind
from sigmamind_async.errors import NotFoundError, OutcomeUnknownError, RateLimitError
from sigmamind_async.operation import FaultKind
from sigmamind_async.platforms.sigmamind import CreatePhoneNumber
from sigmamind_async.provisioning import MemoryJournal, Provisioner
from sigmamind_async.sandbox import Sandbox
from sigmamind_async.testing import FakeClock, ScriptedTransport, fault, in_fake_time, reply

pytest.importorskip("opentelemetry.sdk")

from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from sigmamind_async.integrations.opentelemetry import OpenTelemetryObserver

NUMBER = "+14155552671"
RECORD = {"sipPhoneNumber": NUMBER, "friendlyName": "Desk"}


@attrs.define
class Recorded:
    """What an observer has recorded."""

    tracers: TracerProvider
    exporter: InMemorySpanExporter
    meters: MeterProvider
    reader: InMemoryMetricReader

    def observer(self, **options: Any) -> OpenTelemetryObserver:
        return OpenTelemetryObserver(
            tracer_provider=self.tracers, meter_provider=self.meters, **options
        )

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self.exporter.get_finished_spans())

    def points(self, name: str) -> list[tuple[dict[str, Any], Any]]:
        """Return attributes and value of each point; of a histogram, how many were recorded."""
        data = self.reader.get_metrics_data()
        return [
            (
                dict(point.attributes or {}),
                getattr(point, "value", None) or getattr(point, "count", 0),
            )
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]


@pytest.fixture
def recorded() -> Iterator[Recorded]:
    exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
    tracers, meters = TracerProvider(), MeterProvider([reader])
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    yield Recorded(tracers, exporter, meters, reader)
    tracers.shutdown()
    meters.shutdown()


def scripted(observer: OpenTelemetryObserver, script: Any) -> tuple[SigmaMind, ScriptedTransport]:
    transport = ScriptedTransport(script)
    client = SigmaMind("sk-test-0123", transport=transport, observer=observer)
    return in_fake_time(client, FakeClock()), transport


# ---------------------------------------------------------------- traces


async def test_a_call_is_a_span_and_its_attempts_are_its_children(recorded: Recorded) -> None:
    client, transport = scripted(
        recorded.observer(), [reply(503), reply(200, RECORD, {"x-request-id": "r-1"})]
    )
    with recorded.tracers.get_tracer("app").start_as_current_span("handler") as handler:
        await client.phone_numbers.update(NUMBER, friendly_name="Desk")

    first, second, call, _ = recorded.spans
    assert (call.name, first.name, second.name) == (
        "sigmamind.update_phone_number",
        "PATCH",
        "PATCH",
    )
    assert call.parent == handler.get_span_context()
    assert first.parent == second.parent == call.context
    assert first.kind is second.kind is trace.SpanKind.CLIENT
    sent = [request.headers["traceparent"] for request in transport.sent]
    ids = [each.context for each in (first, second)]
    expected = [f"00-{each.trace_id:032x}-{each.span_id:016x}" for each in ids]
    assert [each.rpartition("-")[0] for each in sent] == expected


async def test_an_attempt_follows_the_conventions_and_shows_no_number(recorded: Recorded) -> None:
    """https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-client-span."""
    answers = [reply(503), reply(200, RECORD, {"x-request-id": "r-1"})]
    client, _ = scripted(recorded.observer(), answers * 2)
    await client.phone_numbers.get(NUMBER)

    first, second, call = recorded.spans
    common = {
        "http.request.method": "GET",
        "server.address": "api.sigmamind.ai",
        "server.port": 443,
        "url.full": "https://api.sigmamind.ai/v1/phone-numbers/REDACTED",
    }
    assert first.attributes == {**common, "http.response.status_code": 503, "error.type": "503"}
    assert second.attributes == {
        **common,
        "http.request.resend_count": 1,
        "http.response.status_code": 200,
        "http.response.header.x-request-id": ("r-1",),
    }
    assert [span.status.is_ok for span in (first, second, call)] == [False, True, True]
    assert NUMBER[1:] not in str([span.to_json() for span in recorded.spans])
    assert "sk-test" not in str([span.to_json() for span in recorded.spans])

    await client.with_options(observer=recorded.observer(phone_numbers=True)).phone_numbers.get(
        NUMBER
    )
    assert str(recorded.spans[-2].attributes["url.full"]).endswith("%2B14155552671")  # type: ignore[index]


async def test_a_call_that_fails_is_marked(recorded: Recorded) -> None:
    client, _ = scripted(recorded.observer(), [reply(404, {"message": f"{NUMBER} is unknown"})])
    with pytest.raises(NotFoundError):
        await client.phone_numbers.get(NUMBER)

    attempt, call = recorded.spans
    assert attempt.attributes is not None
    assert call.attributes is not None
    assert (attempt.attributes["error.type"], call.attributes["error.type"]) == (
        "404",
        "NotFoundError",
    )
    assert call.status.description == "404: REDACTED is unknown"


async def test_calls_over_sockets_carry_their_context(recorded: Recorded) -> None:
    async with (
        Sandbox(seed=1) as box,
        SigmaMind(
            box.sigmamind.api_key, base_url=box.sigmamind.base_url, observer=recorded.observer()
        ) as client,
    ):
        number = await client.phone_numbers.create(country_code="US")
        listed = [each async for each in client.phone_numbers.list()]

    assert [each.sip_phone_number for each in listed] == [number.sip_phone_number]
    assert [span.name for span in recorded.spans[:2]] == ["POST", "sigmamind.create_phone_number"]
    assert all(span.end_time for span in recorded.spans)


# ---------------------------------------------------------------- metrics


async def test_requests_calls_and_429s_are_counted(recorded: Recorded) -> None:
    script = [reply(200, RECORD), reply(404), reply(429, headers={"retry-after": "1"})]
    client, _ = scripted(recorded.observer(), script)
    once = client.with_options(retry=RetryPolicy(max_attempts=1), deadline=0.5)
    await once.phone_numbers.get(NUMBER)
    for error in (NotFoundError, RateLimitError):
        with pytest.raises(error):
            await once.phone_numbers.get(NUMBER)

    get = {"operation": "sigmamind.get_phone_number"}
    assert recorded.points("sigmamind_async.calls") == [
        ({**get, "committed": "no"}, 1),
        ({**get, "committed": "no", "error.type": "NotFoundError"}, 1),
        ({**get, "committed": "no", "error.type": "RateLimitError"}, 1),
    ]
    assert recorded.points("sigmamind_async.attempts") == [
        ({**get, "verdict": "confirmed"}, 1),
        ({**get, "verdict": "rejected"}, 2),
    ]
    assert recorded.points("sigmamind_async.rate_limited") == [(get, 1)]
    assert recorded.points("sigmamind_async.calls.active") == [(get, 0)]
    assert recorded.points("sigmamind_async.gate.wait") == [(get, 3)]
    durations = recorded.points("http.client.request.duration")
    assert {point["http.response.status_code"] for point, _ in durations} == {200, 429, 404}
    assert NUMBER[1:] not in str(durations)


async def test_the_rate_that_the_gate_admits_is_a_gauge(recorded: Recorded) -> None:
    transport, gate = ScriptedTransport([reply(200, RECORD)]), Gate(max_rate=5.0)
    client = SigmaMind("key", transport=transport, gate=gate, observer=recorded.observer())
    await client.phone_numbers.get(NUMBER)

    assert recorded.points("sigmamind_async.gate.rate") == [({"platform": "sigmamind"}, 5.0)]


async def test_purchases_are_counted_by_outcome(recorded: Recorded) -> None:
    lost = fault(FaultKind.DROPPED)
    client, _ = scripted(recorded.observer(), [reply(201, RECORD), lost, reply(402)])
    await client.phone_numbers.create(country_code="US")
    for error in (OutcomeUnknownError, Exception):
        with pytest.raises(error):
            await client.phone_numbers.create(country_code="US")

    points = recorded.points("sigmamind_async.purchases")
    assert {(point["outcome"], count) for point, count in points} == {
        ("done", 1),
        ("unconfirmed", 1),
        ("failed", 1),
    }


async def test_what_is_unconfirmed_now_is_counted(recorded: Recorded) -> None:
    made: list[dict[str, Any]] = []
    listed: list[dict[str, Any]] = []

    def answer(request: Any) -> Any:
        if request.method == "POST":
            made.append({**RECORD, **json.loads(request.body)})
            return fault(FaultKind.DROPPED)
        return reply(json={"data": listed, "total": len(listed)})

    client, _ = scripted(recorded.observer(), answer)
    async with MemoryJournal() as journal:
        provisioner = Provisioner(client, journal)
        with pytest.raises(OutcomeUnknownError):
            await provisioner.run("order-1", CreatePhoneNumber(country_code="US"))
        before = recorded.points("sigmamind_async.unconfirmed")
        listed += made
        await provisioner.reconcile()

    assert before == [({"account": "sigmamind"}, 1)]
    assert recorded.points("sigmamind_async.unconfirmed") == [({"account": "sigmamind"}, 0)]
    assert recorded.points("sigmamind_async.purchases") == [
        ({"platform": "sigmamind", "outcome": "done"}, 1)
    ]


async def test_no_spelling_of_a_number_or_an_id_is_in_a_span(recorded: Recorded) -> None:
    """A platform may write numbers without the plus; a call without a method names no subject."""
    answer = reply(404, {"message": f"{NUMBER[1:]} is unknown"}, {"x-request-id": NUMBER[1:]})
    client = SigmaMind(
        "sk-test", transport=ScriptedTransport([answer] * 3), observer=recorded.observer()
    )
    for path in (f"/v1/phone-numbers/{NUMBER[1:]}", "/v1/calls/call_12/log"):
        with pytest.raises(NotFoundError):
            await client.request("GET", path)
    with pytest.raises(NotFoundError):
        await client.phone_numbers.get(NUMBER)

    shown = str([(span.attributes, span.status.description) for span in recorded.spans])
    assert NUMBER[1:] not in shown
    assert "call_12" not in shown
    assert "/v1/calls/REDACTED/log" in shown
