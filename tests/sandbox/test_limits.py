"""Who is admitted when, and what the others are told. No clock: every test says the time."""

from sigmamind_async.sandbox import RateLimit
from sigmamind_async.sandbox.limits import Admission, Limiter, limit_headers


def admitted(limiter: Limiter, *times: float, operation: str = "create") -> list[bool]:
    return [limiter.admit(operation, time)[1].allowed for time in times]


def refused(limiter: Limiter, now: float) -> Admission:
    return limiter.admit("create", now)[1]


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    limiter = Limiter(RateLimit(per_second=2, burst=3))
    assert admitted(limiter, 0, 0, 0, 0) == [True, True, True, False]
    assert admitted(limiter, 0.5, 0.5, 1.0) == [True, False, True]


def test_a_bucket_never_holds_more_than_its_burst() -> None:
    limiter = Limiter(RateLimit(per_second=10, burst=2))
    assert admitted(limiter, 0, 100, 100, 100) == [True, True, True, False]


def test_a_window_gives_its_count_and_opens_again_when_it_has_passed() -> None:
    limiter = Limiter(RateLimit(window=(2, 60.0)))
    assert admitted(limiter, 5, 10, 64.9, 65, 66, 67) == [True, True, False, True, True, False]


def test_150_of_1000_pass_a_window_of_150() -> None:
    limiter = Limiter(RateLimit(window=(150, 60.0)))
    assert sum(admitted(limiter, *(n / 100 for n in range(1_000)))) == 150


def test_both_rules_must_have_room_and_a_refusal_uses_neither() -> None:
    limiter = Limiter(RateLimit(per_second=1, burst=1, window=(2, 60.0)))
    assert admitted(limiter, 0, 0.1, 0.2, 1.0, 2.0) == [True, False, False, True, False]


def test_waiting_as_told_is_enough() -> None:
    limiter = Limiter(RateLimit(per_second=3, burst=1))
    now = 1_000.1
    for _ in range(50):
        assert limiter.admit("create", now)[1].allowed
        now += refused(limiter, now).retry_in
    assert round(now - 1_000.1, 6) == round(50 / 3, 6)


def test_a_lane_has_a_count_of_its_own() -> None:
    limiter = Limiter(RateLimit(window=(1, 60.0), lanes={"list": RateLimit(window=(2, 60.0))}))
    assert admitted(limiter, 0, 0) == [True, False]
    assert admitted(limiter, 0, 0, 0, operation="list") == [True, True, False]
    assert admitted(limiter, 0, operation="update") == [False]


def test_a_rule_without_numbers_admits_everyone() -> None:
    assert all(admitted(Limiter(RateLimit()), *range(100)))


def test_seconds_are_whole_and_rounded_up() -> None:
    rule = RateLimit(window=(1, 60.0), headers=True)
    limiter = Limiter(rule)
    limiter.admit("create", 0.0)
    assert limit_headers(rule, refused(limiter, 0.5), 1_700_000_000.25) == {
        "X-RateLimit-Limit": "1",
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": "60",
        "Retry-After": "60",
    }


def test_dates_and_epochs_are_rounded_up_too() -> None:
    rule = RateLimit(window=(1, 60.0), headers=True, reset="epoch", retry_after="date")
    limiter = Limiter(rule)
    limiter.admit("create", 0.0)
    headers = limit_headers(rule, refused(limiter, 0.5), 1_700_000_000.75)
    assert headers["X-RateLimit-Reset"] == "1700000061"
    assert headers["Retry-After"] == "Tue, 14 Nov 2023 22:14:21 GMT"


def test_nothing_is_said_where_nothing_is_to_be_said() -> None:
    rule = RateLimit(window=(1, 60.0), retry_after=None)
    limiter = Limiter(rule)
    limiter.admit("create", 0.0)
    assert limit_headers(rule, refused(limiter, 0.0), 0.0) == {}


def test_what_remains_is_counted_down() -> None:
    limiter = Limiter(RateLimit(per_second=1, burst=3))
    assert [limiter.admit("create", 0.0)[1].remaining for _ in range(4)] == [2, 1, 0, 0]
    assert refused(limiter, 0.0).reset_in == 3.0
