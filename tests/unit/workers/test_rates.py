"""The model that several processes share: stored by one of them, read by another."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sigmamind_async.responses.headers import Policy
from sigmamind_async.workers.rates import Event, RateReport, SharedModel

NOTHING = RateReport(gate="a")


def restored(text: str, *, now: float = 10.0, rate: float | None = 40.0) -> SharedModel:
    return SharedModel.restore(now, 7, rate, 0.0, text)


def after(model: SharedModel, now: float, report: RateReport = NOTHING) -> tuple[str, SharedModel]:
    """Return what is stored after a report, and what is read from it."""
    text, reply = model.exchange(now, report)
    return text, SharedModel.restore(now, 7, reply.rate, reply.paused_until, text)


def learned() -> SharedModel:
    """Return a model that was refused after a hundred requests, with some slots handed out."""
    model = SharedModel()
    went = [0.01 * count for count in range(100)]
    events = [Event(at, "sent", at) for at in went]
    events += [Event(at + 0.05, "passed", at, level=5) for at in went]
    events += [Event(1.0 + 0.01 * n, "refused", went[-1 - n], level=5, wait=2.0) for n in range(3)]
    return after(model, 1.1, RateReport(gate="a", events=events))[1]


def known_times(model: SharedModel) -> set[float]:
    return set(model.rate._record.times(math.inf))  # noqa: SLF001 - nothing else shows it


def busy(gates: int, seconds: float) -> float:
    """Let some gates send all that they may for a while; return the rate then."""
    model = restored("", now=0.0, rate=10.0)
    waiting: dict[str, list[float]] = {f"gate {n}": [] for n in range(gates)}
    for step in range(int(40 * seconds)):
        now, gate = step / 40, f"gate {step % gates}"
        due = [at for at in waiting[gate] if at < now - 0.05]
        waiting[gate] = [at for at in waiting[gate] if at >= now - 0.05]
        events = [Event(at + 0.05, "passed", at, 3, model.version) for at in due]
        text, reply = model.exchange(now, RateReport(gate=gate, wanted=20, events=events))
        waiting[gate] += reply.granted
        model = SharedModel.restore(now, 7, reply.rate, reply.paused_until, text)
    assert model.rate.rate is not None
    return model.rate.rate


def test_what_is_stored_is_what_is_read() -> None:
    model = learned()
    first, read = after(model, 1.2)
    second, _ = after(read, 1.2)

    assert first == second
    assert read.version == 1
    assert read.rate.paused_until == pytest.approx(3.02)


def test_what_a_platform_states_holds_for_all() -> None:
    policy = Policy("one", 7.0, 20.0)
    stated = Event(1.0, "stated", 1.0, level=5, policy=policy)
    _, read = after(SharedModel(), 1.0, RateReport(gate="a", events=[stated]))

    assert (read.version, read.rate.rate, read.rate.bucket.burst) == (1, 7.0, 20.0)
    _, again = after(read, 1.1, RateReport(gate="b", events=[stated._replace(version=1)]))
    assert again.version == 1


def test_what_is_planned_has_not_been_learned_yet() -> None:
    """The model runs ahead to plan; what is stored does not know of requests still to come."""
    model = learned()
    idle, _ = after(learned(), 2.9)
    text, reply = model.exchange(2.9, RateReport(gate="a", wanted=3))

    before, now = json.loads(idle)[1], json.loads(text)[1]
    assert reply.granted
    assert now["rate"] | {"_jitter": 0} == before["rate"] | {"_jitter": 0}
    assert now["slots"] == list(reply.granted)


@pytest.mark.parametrize("outcome", ["passed", "refused"])
def test_what_was_sent_before_a_cut_teaches_nothing(outcome: str) -> None:
    """By the version that its gate knew: it may have gone after the cut."""
    model = learned()
    late = [Event(1.2 + 0.001 * n, outcome, 1.15, 3, version=0) for n in range(50)]
    _, read = after(model, 1.3, RateReport(gate="b", events=late))

    assert read.version == 1
    assert read.rate.cut == model.rate.cut
    assert read.rate.progress == 0


def test_a_refusal_of_this_version_is_a_cut() -> None:
    """The control."""
    model = learned()
    _, read = after(model, 5.0, RateReport(gate="b", wanted=1))
    _, read = after(read, 5.5)
    sent = Event(5.6, "refused", 5.0, 3, version=1, wait=1.0)
    _, read = after(read, 5.7, RateReport(gate="b", events=[sent]))

    assert read.version == 2


def test_the_rate_grows_once_for_all_and_not_once_for_each() -> None:
    assert busy(5, 10.0) == pytest.approx(busy(1, 10.0), rel=0.2)


def test_a_slot_that_was_not_used_was_not_sent() -> None:
    text, reply = learned().exchange(2.9, RateReport(gate="a", wanted=3))
    sent, kept = restored(text, now=2.9), restored(text, now=2.9)
    sent.exchange(4.0, NOTHING)
    kept.exchange(4.0, RateReport(gate="a", unsent=reply.granted))

    assert len(reply.granted) > 1
    assert known_times(sent) - known_times(kept) == set(reply.granted)


@pytest.mark.parametrize(
    "text", ["", "null", "[1, 2]", "[" * 100_000, '{"_spell": 80.0}', "[NaN, {}]", '["0.0.1", {}]']
)
def test_what_cannot_be_used_leaves_the_rate(text: str) -> None:
    model = restored(text)

    assert model.version == 7
    assert model.rate.rate == pytest.approx(40.0, rel=0.05)


@pytest.mark.parametrize("rate", [None, math.nan, math.inf, 0.0, -1.0])
def test_a_rate_that_cannot_be_is_forgotten(rate: float | None) -> None:
    model = restored("", rate=rate)

    assert (model.version, model.rate.rate) == (0, None)


def test_a_model_from_before_the_clock_was_set_back_is_dropped() -> None:
    text, _ = after(learned(), 3_600.0)

    assert restored(text, now=10.0).version == 7


@given(st.text() | st.dictionaries(st.text(), st.floats()).map(json.dumps))
def test_no_text_raises(text: str) -> None:
    assert restored(text).version == 7
