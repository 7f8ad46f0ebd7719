"""What headers say of limits: every spelling that platforms use, and garbage that says nothing."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sigmamind_async.responses import headers as response_headers
from sigmamind_async.responses.headers import (
    MAX_WAIT,
    MIN_EPOCH,
    Policy,
    Remaining,
    policy,
    remaining,
    retry_after,
)
from tests.harness.limits import EPOCH

# ---------------------------------------------------------------- the platform's wait

NOW = 1_700_000_000.0


def headers(asked: str | None = None, reset: str | None = None) -> dict[str, str]:
    given = {"retry-after": asked, "x-ratelimit-reset": reset}
    return {name: text for name, text in given.items() if text is not None}


def http_date(seconds: float) -> str:
    return format_datetime(datetime.fromtimestamp(NOW + seconds, UTC), usegmt=True)


@pytest.mark.parametrize(
    ("asked", "wait"),
    [
        ("0", 0.0),
        ("7", 7.0),
        (" 7 ", 7.0),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        (http_date(30), 30.0),
        (http_date(-30), 0.0),
        ("-1", None),
        ("-1e300", None),
        ("", None),
        ("soon", None),
        ("nan", None),
        ("inf", None),
        ("-inf", None),
        ("1e999", None),
        ("9" * 5_000, None),
        ("7 seconds", None),
        ("30s", 30.0),
        ("1m0.5s", 60.5),
        ("Thu, 32 Foo 2026 99:99:99 GMT", None),
        ("Mon, 01 Jan 99999 00:00:00 GMT", None),
        ("\x00", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_date(asked: str, wait: float | None) -> None:
    assert retry_after(headers(asked), NOW) == wait


@pytest.mark.parametrize(
    ("asked", "wait"),
    [
        ("86400", 86_400.0),
        ("86400000", 86_400_000.0),
        ("1000000000", 1e9),
        ("1e300", MAX_WAIT),
        ("Fri, 31 Dec 9999 23:59:59 GMT", MAX_WAIT),
    ],
)
def test_a_huge_wait_is_reported_and_no_clock_overflows_from_it(asked: str, wait: float) -> None:
    """The gate has a bound of its own; a caller may add the wait to a date."""
    found = retry_after(headers(asked), NOW)

    assert found == wait
    assert datetime.fromtimestamp(NOW + found, UTC).year < 2060


@pytest.mark.parametrize(
    ("reset", "wait"),
    [
        ("12", 12.0),
        ("0.5", 0.5),
        (str(MIN_EPOCH - 1), MIN_EPOCH - 1),
        (str(int(NOW) + 45), 45.0),
        (str(int(NOW) - 45), None),
        ("-3", None),
        ("tomorrow", None),
        ("", None),
    ],
)
def test_a_reset_is_read_as_seconds_to_go_or_as_unix_time(reset: str, wait: float | None) -> None:
    assert retry_after(headers(reset=reset), NOW) == wait


def test_retry_after_comes_before_a_reset() -> None:
    assert retry_after(headers("3", "12"), NOW) == 3.0


def test_a_reset_stands_in_for_a_retry_after_that_cannot_be_read() -> None:
    assert retry_after(headers("soon", "12"), NOW) == 12.0


def test_without_a_header_there_is_no_wait() -> None:
    assert retry_after({}, NOW) is None


# ---------------------------------------------------------------- dates

THIRTY_SECONDS_ON = [
    "Tue, 14 Nov 2023 22:13:50 GMT",
    "Tuesday, 14-Nov-23 22:13:50 GMT",
    "Tue Nov 14 22:13:50 2023",
    "Tue, 14 Nov 2023 22:13:50 -0000",
    "Tue, 14 Nov 2023 22:13:50 +0000",
    "Tue, 14 Nov 2023 22:13:50",
    "tue, 14 nov 2023 22:13:50 gmt",
    "tue nov 14 22:13:50 2023",
    "14 Nov 2023 22:13:50 UTC",
    "Wed, 15 Nov 2023 03:43:50 +0530",
]


@pytest.fixture(params=["UTC", "America/New_York", "Asia/Kolkata"])
def local_zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Run the test on a machine of that zone."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize("date", THIRTY_SECONDS_ON)
def test_a_date_means_the_same_moment_on_every_machine(date: str, local_zone: str) -> None:
    """RFC 9110, 5.6.7: all three forms are in UTC. A naive date read as local time fails here."""
    del local_zone

    assert retry_after(headers(date), NOW) == 30.0
    assert retry_after(headers(date), NOW + 31) == 0.0


@pytest.mark.parametrize("date", THIRTY_SECONDS_ON)
def test_a_date_is_understood_as_a_reset_too(date: str) -> None:
    assert retry_after(headers(reset=date), NOW) == 30.0


def test_a_leap_second_is_a_second() -> None:
    assert retry_after(headers("Tue, 14 Nov 2023 22:13:60 GMT"), NOW) == 39.0


# ---------------------------------------------------------------- other spellings


@pytest.mark.parametrize(
    ("given", "wait"),
    [
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after-ms": "1500", "retry-after": "2"}, 1.5),
        ({"retry-after-ms": "soon", "retry-after": "2"}, 2.0),
        ({"retry-after-ms": "-1"}, None),
        ({"x-ratelimit-reset": str(int(NOW + 45) * 1000)}, 45.0),
        ({"x-ratelimit-reset": str(int(NOW + 45) * 1_000_000)}, 45.0),
        ({"x-ratelimit-reset": "2023-11-14T22:13:50Z"}, 30.0),
        ({"x-ratelimit-reset": "6m0s"}, 360.0),
        ({"x-ratelimit-reset": "1s"}, 1.0),
        ({"x-ratelimit-reset": "20ms"}, 0.02),
        ({"x-ratelimit-reset-requests": "1m6.5s"}, 66.5),
        ({"x-rate-limit-reset": "45"}, 45.0),
        ({"x-rate-limit-reset": str(int(NOW) + 45)}, 45.0),
        ({"ratelimit-reset": "45"}, 45.0),
        ({"x-ratelimit-reset-after": "4.5"}, 4.5),
        ({"x-ratelimit-reset": "soon", "ratelimit-reset": "45"}, 45.0),
        ({"ratelimit": "limit=100, remaining=0, reset=30"}, 30.0),
        ({"ratelimit": "limit=100;w=60, remaining=0, reset=30"}, 30.0),
        ({"ratelimit": '"default";r=0;t=30'}, 30.0),
        ({"ratelimit": "default; r=0; t=30; pk=:cHNlM24=:"}, 30.0),
        ({"ratelimit": '"a";r=5;t=99, "b";r=0;t=7, "c";r=0;t=30'}, 30.0),
        ({"ratelimit": '"a, r=0;t=99 \'";r=0;t=30'}, 30.0),
        ({"ratelimit": '"default";r=0'}, None),
        ({"ratelimit": '"default"'}, None),
        ({"ratelimit": ",;=,=;;"}, None),
    ],
)
def test_a_wait_is_understood_however_it_is_spelled(
    given: dict[str, str], wait: float | None
) -> None:
    found = retry_after(given, NOW)

    assert found == (wait if wait is None else pytest.approx(wait))


@pytest.mark.parametrize(
    "reset",
    [
        {"x-ratelimit-reset": "45"},
        {"x-ratelimit-reset": str(int(NOW) + 45)},
        {"ratelimit-reset": "45"},
        {"ratelimit": '"default";r=0;t=45'},
        {"retry-after-ms": "45000"},
    ],
)
def test_only_a_refused_request_waits_for_a_reset(reset: dict[str, str]) -> None:
    """A 500 that names the end of the window would lose its retry; the 429 is the control."""
    assert retry_after(reset, NOW, refused=False) is None
    assert retry_after({**reset, "retry-after": "2"}, NOW, refused=False) == 2.0
    assert retry_after(reset, NOW, refused=True) == 45.0


# ---------------------------------------------------------------- what remains

TOLD = {
    "x-ratelimit-limit": "150",
    "x-ratelimit-remaining": "90",
    "x-ratelimit-reset": "30",
}


def read(**changed: str | None) -> Remaining | None:
    """Read the headers above, some of them changed."""
    changes = {"x-ratelimit-" + name: value for name, value in changed.items()}
    headers = {name: value for name, value in {**TOLD, **changes}.items() if value is not None}
    return remaining(headers, lambda: EPOCH)


def test_a_reset_is_read_in_seconds_and_as_the_time_of_day() -> None:
    assert read() == Remaining(90, 30.0)
    assert read(reset=str(EPOCH + 30)) == Remaining(90, 30.0)


def test_the_headers_without_an_x_say_the_same() -> None:
    headers = {name.removeprefix("x-"): value for name, value in TOLD.items()}

    assert remaining(headers, lambda: EPOCH) == Remaining(90, 30.0)


def test_the_limit_may_be_left_out() -> None:
    assert read(limit=None) == Remaining(90, 30.0)


@pytest.mark.parametrize("value", ["", "soon", "nan", "inf", "-1", "1e999", "0x10", "30, 30;w=60"])
def test_a_value_that_is_no_count_is_ignored(value: str) -> None:
    assert read(remaining=value) is None
    assert read(reset=value) is None


@pytest.mark.parametrize(
    ("remaining", "reset"),
    [("151", "30"), ("90", "0"), ("90", "301"), ("90", str(EPOCH - 1)), ("90", str(EPOCH + 301))],
)
def test_what_cannot_be_or_is_no_short_window_is_ignored(remaining: str, reset: str) -> None:
    """More than the limit, an end that has passed, and a day's quota."""
    assert read(remaining=remaining, reset=reset) is None


def test_an_answer_that_says_nothing_is_no_hint() -> None:
    assert remaining({"content-type": "text/html"}, lambda: EPOCH) is None
    assert read(reset=None) is None


@pytest.mark.parametrize(
    "given",
    [
        {name.replace("ratelimit", "rate-limit"): value for name, value in TOLD.items()},
        {**TOLD, "x-ratelimit-limit": "150, 150;w=60"},
        {**TOLD, "x-ratelimit-reset": "30s"},
        {**TOLD, "x-ratelimit-reset": str((EPOCH + 30) * 1000)},
        {"ratelimit": "limit=150, remaining=90, reset=30"},
        {"ratelimit": '"default";r=90;t=30'},
        {"ratelimit": '"hour";r=4000;t=300, "minute";r=90;t=30'},
    ],
)
def test_what_remains_is_read_by_the_same_rules(given: dict[str, str]) -> None:
    assert remaining(given, lambda: EPOCH) == Remaining(90, 30.0)


def test_a_days_quota_is_not_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: with no longest window it would be."""
    assert read(reset="86400") is None

    monkeypatch.setattr(response_headers, "MAX_WINDOW", 100_000.0)
    assert read(reset="86400") == Remaining(90, 86_400.0)


# ---------------------------------------------------------------- policies


@pytest.mark.parametrize(
    ("field", "rate", "burst"),
    [
        ('"default";q=100;w=50', 2.0, 100.0),
        ("100;w=50", 2.0, 100.0),
        ('"a, b; c";q=100;w=50;pk=:cHVyY2hhc2Vz:', 2.0, 100.0),
        ('"burst";q=10;w=1, "minute";q=300;w=60', 5.0, 10.0),
        ('"minute";q=300;w=60, "day";q=1000;w=86400', 5.0, 300.0),
        ('"bytes";q=9;qu="content-bytes";w=1, "minute";q=300;qu="requests";w=60', 5.0, 300.0),
    ],
)
def test_a_stated_policy_is_a_rate_and_a_burst(field: str, rate: float, burst: float) -> None:
    assert policy({"ratelimit-policy": field}) == Policy(field, rate, burst)


@pytest.mark.parametrize("field", ["", "many", '"a";q=0;w=60', '"a";q=9', "9;w=0", "9;w=nan"])
def test_a_policy_without_a_limit_is_ignored(field: str) -> None:
    assert policy({"ratelimit-policy": field}) is None


def test_what_remains_is_reported_with_its_policy() -> None:
    headers = {"ratelimit": '"a";r=90;t=30', "ratelimit-policy": '"a";q=100;w=50'}

    assert remaining(headers, lambda: EPOCH) == Remaining(
        90, 30.0, Policy('"a";q=100;w=50', 2.0, 100.0)
    )


# ---------------------------------------------------------------- garbage

ODD = st.one_of(
    st.text(max_size=40),
    st.text(alphabet="0123456789+-.eE_ ,:GMTMonJan", max_size=40),
    st.floats().map(str),
    st.integers().map(str),
    st.datetimes().map(format_datetime),
)


@given(st.one_of(st.none(), ODD), st.one_of(st.none(), ODD), st.floats(0, 4e9))
@example("Mon, 01 Jan 0001 00:00:00 +2359", None, 0.0)
@example("0 Jan 0", None, 0.0)
def test_a_wait_is_a_number_or_nothing_whatever_the_header_holds(
    asked: str | None, reset: str | None, now: float
) -> None:
    """A header must never be able to raise: an answer that cost money would be lost with it."""
    wait = retry_after(headers(asked, reset), now)

    assert wait is None or 0 <= wait < float("inf")


NAMES = [
    *("retry-after", "retry-after-ms", "x-ratelimit-reset", "ratelimit-reset", "ratelimit"),
    *("x-ratelimit-remaining", "x-ratelimit-limit", "ratelimit-remaining", "ratelimit-limit"),
    *("x-rate-limit-remaining", "x-rate-limit-reset", "x-ratelimit-reset-after"),
    "ratelimit-policy",
]
FIELDS = st.one_of(ODD, st.text(alphabet='"limtresagqw;=,: 0123456789.-+eEnhµdZT', max_size=60))


@given(st.dictionaries(st.sampled_from(NAMES), FIELDS), st.floats(0, 4e9), st.booleans())
@example({"ratelimit": '"' * 8_000}, 0.0, True)
@example({"ratelimit": ";r=0,t=1" * 1_000}, 0.0, True)
@example({"retry-after": "1" * 5_000 + "s"}, 0.0, True)
@example({"ratelimit-policy": ";,=;q=;w=,q=9;w=1e-320" + '"' * 8_001}, 0.0, True)
@example({"x-ratelimit-reset": "1h" * 4_000 + "x"}, 0.0, True)
@example({"x-ratelimit-reset": "9" * 300 + "d"}, 0.0, True)
def test_no_header_raises_or_says_more_than_a_finite_wait(
    given: dict[str, str], now: float, refused: bool
) -> None:
    wait, left = retry_after(given, now, refused=refused), remaining(given, lambda: now)
    stated = policy(given)

    assert wait is None or 0 <= wait <= MAX_WAIT
    assert left is None or (left.remaining >= 0 and 0 < left.reset <= 300)
    assert stated is None or (0 < stated.rate < math.inf and 1 <= stated.burst < math.inf)
