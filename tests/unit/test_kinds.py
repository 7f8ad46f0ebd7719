"""Whether one kind of request is limited apart from the others, told by whom refusals fall on."""

from __future__ import annotations

import random

import attrs
import pytest

from sigmamind_async.limiter import kinds
from sigmamind_async.limiter.gate import Admission
from sigmamind_async.limiter.kinds import RateByKind
from sigmamind_async.limiter.rate import AdaptiveRate
from sigmamind_async.responses.headers import Policy
from tests.harness.servers import BASE
from tests.harness.simulator import run

APART = BASE["purchases at 2, updates at 20 a second"]


def live(refuses: dict[str, float], cuts: int, **shares: int) -> RateByKind:
    """Let requests of each kind pass by their *shares*, and refuse *cuts* of them by lot."""
    learned, chance, at = RateByKind(), random.Random(2), 0.0
    for _ in range(cuts):
        for kind in chance.choices([*shares], [*shares.values()], k=20):
            at += 0.1
            learned.sent[kind] += 1
            learned.of(kind).passed(at, (at, 1, kind))
        (kind,) = chance.choices([*refuses], [*refuses.values()])
        at += 0.1
        learned.refused(at, (at, 1, kind), 0.0)
    return learned


def test_kinds_share_one_pace_at_first() -> None:
    learned = RateByKind()

    assert learned.of("POST") is learned.of("PATCH") is learned.common


def test_refusals_that_fall_on_one_kind_alone_part_it_from_the_others() -> None:
    learned = live({"POST": 1.0}, 15, POST=1, PATCH=1)

    assert [*learned.separate] == ["POST"]
    assert learned.common.rate is None


def test_refusals_in_proportion_part_nobody() -> None:
    """A thousand of them."""
    assert live({"POST": 1.0, "PATCH": 3.0}, 1_000, POST=1, PATCH=3).separate == {}


def test_a_kind_that_begins_late_is_not_parted_for_that() -> None:
    """Fails if those that were answered are counted: of the late ones, none was so far."""
    admission = Admission()
    for at in range(150):
        admission.try_take(at, 1, "POST")
        admission.succeeded(at, (at, 1, "POST"))
    for at in range(150, 200):
        admission.try_take(at, 1, "PATCH")
    assert admission.rates.sent == {"POST": 150, "PATCH": 50}
    admission.rates.refused(200.0, (199.0, 1, "PATCH"), 1.0)

    assert admission.rates.separate == {}


def test_a_kind_that_is_alone_shows_nothing() -> None:
    assert live({"PATCH": 1.0}, 100, PATCH=1).separate == {}


def test_a_wait_that_was_asked_for_stops_every_kind() -> None:
    """Which limit it speaks of is not said, so all keep it that may have the same."""
    admission = Admission()
    admission.throttled(10.0, (9.0, 1, "POST"), 30.0, 0.0)

    assert admission.pause_ends("PATCH") == admission.pause_ends("POST") == pytest.approx(40.0)
    assert not admission.try_take(39.9, 1, "PATCH")
    assert admission.try_take(40.1, 1, "PATCH")


@pytest.mark.parametrize(("told", "other"), [("POST", "PATCH"), ("PATCH", "POST")])
def test_a_parted_kind_and_the_others_pause_by_themselves(told: str, other: str) -> None:
    admission = Admission(rates=RateByKind(separate={"POST": AdaptiveRate(rate=2.0)}))
    admission.throttled(10.0, (9.0, 1, told), 30.0, 0.0)

    assert admission.pause_ends(told) == pytest.approx(40.0)
    assert not admission.try_take(39.9, 1, told)
    assert admission.try_take(11.0, 1, other)


def test_a_kind_that_its_first_refusal_parts_keeps_the_pause() -> None:
    """It has no rate then that would hold it."""
    admission = Admission()
    for _ in range(300):
        assert admission.try_take(9.0, 1, "PATCH")
    assert admission.try_take(9.0, 1, "POST")
    admission.throttled(10.0, (9.0, 1, "POST"), 30.0, 0.0)

    assert [*admission.rates.separate] == ["POST"]
    assert not admission.try_take(39.9, 1, "POST")
    assert admission.wait(10.0, "POST") >= 30.0
    assert admission.try_take(11.0, 1, "PATCH")


def test_a_pause_that_all_were_in_outlasts_a_parting() -> None:
    """Others than the one that is parted may have been told of it."""
    admission = Admission()
    for _ in range(300):
        assert admission.try_take(8.0, 1, "PATCH")
    admission.throttled(9.0, (8.0, 1, "PATCH"), 30.0, 0.0)
    admission.rates.sent["PATCH"] = 300
    admission.throttled(10.0, (9.5, 1, "POST"), 5.0, 0.0)

    assert [*admission.rates.separate] == ["POST"]
    assert not admission.try_take(38.9, 1, "PATCH")
    assert admission.pause_ends("PATCH") == pytest.approx(39.0)


def test_a_parted_kind_slows_itself_alone() -> None:
    learned = RateByKind(separate={"POST": AdaptiveRate(rate=2.0)})
    learned.of("POST").take(9.0)
    learned.of("POST").take(9.5)
    learned.refused(10.0, (9.5, 1, "POST"), 0.0)

    assert learned.separate["POST"].rate != 2.0
    assert learned.common.rate is None


def test_where_nobody_is_ever_parted_purchases_hold_up_updates_for_good(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The control to the rows in `tests.harness.servers`."""
    short = attrs.evolve(APART, kinds={"buy": 100, "update": 1_000}, ideal=49.0)
    assert run(short, seed=1).seconds < 1.35 * short.ideal

    monkeypatch.setattr(kinds, "CERTAIN", 1e9)
    assert run(short, seed=1).seconds > 1.7 * short.ideal


# ---------------------------------------------------------------- buckets with a name


def test_kinds_in_buckets_of_other_names_have_rates_of_their_own() -> None:
    rates = RateByKind()
    for kind, bucket in [("GET", "read"), ("POST", "write"), ("PATCH", "write")]:
        rates.name_bucket(kind, bucket)

    assert rates.of("GET") is rates.common
    assert rates.of("POST") is rates.of("PATCH") is not rates.common


def test_a_wait_in_a_named_bucket_holds_for_all_kinds_in_it() -> None:
    admission = Admission()
    for kind, bucket in [("GET", "read"), ("POST", "write"), ("PATCH", "write")]:
        admission.rates.name_bucket(kind, bucket)
    admission.throttled(10.0, (9.0, 1, "POST"), 30.0, 0.0)

    assert admission.pause_ends("PATCH") == admission.pause_ends("POST") == pytest.approx(40.0)
    assert admission.try_take(11.0, 1, "GET")


def test_a_stated_policy_is_kept_to_at_once_and_never_exceeded() -> None:
    rates, policy = RateByKind(), Policy('"default";q=100;w=50', 2.0, 100.0)
    now, limit = 10.0, rates.of("POST")
    limit.take(now)
    rates.follow(now, (now, 1, "POST"), policy, 99.0)
    went = list[float]()
    while now < 1_010.0:
        went.append(now)
        limit.take(now)
        limit.passed(now, (now, 1, "POST"))
        now = max(now, limit.ready)

    assert went.count(10.0) >= 96
    assert 2_000 <= len(went) <= 2_100


def test_requests_under_other_policies_have_rates_of_their_own() -> None:
    rates = RateByKind()
    read, write = Policy("100;w=50", 2.0, 100.0), Policy("9;w=60", 0.15, 9.0)
    for kind, policy in [("GET", read), ("POST", write), ("PATCH", write)]:
        rates.follow(10.0, (9.0, 1, kind), policy, 5.0)

    assert (rates.of("GET").rate, rates.of("POST").rate) == (2.0, 0.15)
    assert rates.of("POST") is rates.of("PATCH")


def test_names_that_change_with_every_response_change_nothing() -> None:
    rates = RateByKind()
    for number in range(100):
        rates.name_bucket("GET", f"bucket {number}")

    assert rates.separate == {}
