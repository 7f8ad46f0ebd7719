"""Which request meets which fault: pure, repeatable, as often as asked."""

from collections import Counter
from collections.abc import Callable

import pytest

from sigmamind_async.sandbox import (
    ALL_FAULTS,
    BODY_FAULTS,
    NETWORK_FAULTS,
    REALISTIC_FAULTS,
    STATUS_FAULTS,
    Fault,
    Faults,
    RateLimit,
    Sandbox,
    Switches,
)
from sigmamind_async.sandbox.faults import choose_fault


def chosen(faults: Faults, *, seed: int = 1, operation: str = "create") -> list[Fault | None]:
    return [choose_fault(faults, seed, operation, count) for count in range(5_000)]


def test_the_same_seed_chooses_the_same_faults() -> None:
    assert chosen(Faults(share=0.2)) == chosen(Faults(share=0.2))


def test_another_seed_or_operation_chooses_others() -> None:
    faults = Faults(share=0.2)
    assert chosen(faults) != chosen(faults, seed=2)
    assert chosen(faults) != chosen(faults, operation="import")


def test_the_share_is_met_and_every_kind_is_used() -> None:
    counts = Counter(chosen(Faults(share=0.2)))
    assert 900 < 5_000 - counts.pop(None) < 1_100
    assert set(counts) == REALISTIC_FAULTS


@pytest.mark.parametrize("faults", [Faults(), Faults(share=1, kinds=()), Faults(share=1, only=())])
def test_nothing_goes_wrong_without_share_kinds_or_operations(faults: Faults) -> None:
    assert set(chosen(faults)) == {None}


def test_only_the_named_operations_go_wrong() -> None:
    faults = Faults(share=1, only={"create"})
    assert None not in chosen(faults)
    assert set(chosen(faults, operation="list")) == {None}


def test_the_order_in_which_kinds_are_given_does_not_matter() -> None:
    kinds = [Fault.RESET_AFTER_COMMIT, Fault.HTML_BODY, Fault.REFUSE]
    assert Faults(kinds=kinds) == Faults(kinds=reversed(kinds))


def test_every_fault_is_in_one_group() -> None:
    groups = [NETWORK_FAULTS, STATUS_FAULTS, BODY_FAULTS]
    assert frozenset().union(*groups) == ALL_FAULTS
    assert sum(map(len, groups)) == len(ALL_FAULTS)


def test_random_faults_are_by_default_the_realistic_ones() -> None:
    assert set(Faults().kinds) == REALISTIC_FAULTS
    assert len(REALISTIC_FAULTS) >= 11
    assert REALISTIC_FAULTS.isdisjoint({Fault.GZIP_BOMB, Fault.OVERSIZED_BODY, Fault.DEEP_BODY})


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_a_share_is_between_0_and_1(share: float) -> None:
    with pytest.raises(ValueError, match="share"):
        Faults(share=share)


def test_a_script_is_a_list() -> None:
    with pytest.raises(ValueError, match="faults must be a list, not 'refuse'"):
        Sandbox().sigmamind.script("create", "refuse")


def test_a_script_without_a_platform_is_for_the_only_one_that_has_the_operation() -> None:
    box = Sandbox()
    box.script("calls.create", [None])

    with pytest.raises(ValueError, match="sigmamind and verbex have an operation 'create': name"):
        box.script("create", [None])


@pytest.mark.parametrize(
    ("kind", "name", "value", "problem"),
    [
        (Faults, "only", "create", "only must be a list"),
        (Faults, "kinds", "refuse", "kinds must be a list"),
        (Faults, "share", True, "share must be a number from 0 to 1"),
        (Faults, "oversize", 1 << 40, "oversize must be a whole number from 1"),
        (RateLimit, "window", 5, "window must be a pair"),
        (RateLimit, "window", (0, -1), "window must be a pair"),
        (RateLimit, "per_second", 0, "per_second must be a number above 0"),
        (Switches, "create_status", 201.0, "create_status must be 200 or 201"),
        (Switches, "verbex", 5, "verbex must be a VerbexSwitches"),
        (Sandbox, "faults", 2, "share must be a number from 0 to 1"),
        (Sandbox, "latency", 0.1, "latency must be a pair"),
        (Sandbox, "port", -1, "port must be from 0"),
        (Sandbox, "port", "60", "port must be from 0"),
        (Sandbox, "port", True, "port must be from 0"),
        (Sandbox, "faults", Faults(only=["buy"]), "no platform has an operation 'buy'"),
        (Sandbox, "rate_limit", RateLimit(lanes={"buy": RateLimit()}), "operation 'buy'"),
    ],
)
def test_a_setting_that_is_none_is_refused(
    kind: Callable[..., object], name: str, value: object, problem: str
) -> None:
    """Before a request meets it, or silently never does."""
    with pytest.raises(ValueError, match=problem):
        kind(**{name: value})


def test_a_setting_is_checked_where_it_is_changed() -> None:
    box = Sandbox(faults=0.2)
    for name, value in [("faults", Faults(only={"buy"})), ("list_lag", -1), ("latency", (1, 0, 1))]:
        with pytest.raises(ValueError, match=r"buy|list_lag|latency"):
            setattr(box, name, value)

    assert (box.faults, box.list_lag, box.latency) == (Faults(share=0.2), 0.0, (0.0, 0.0))


def test_a_share_may_be_set_while_it_runs() -> None:
    box = Sandbox()
    setattr(box, "faults", 0.2)  # noqa: B010 - mypy asks for a `Faults`

    assert box.faults == Faults(share=0.2)
    for wrong in (1.5, True, "0.2", None):
        with pytest.raises(ValueError, match="must be a"):
            setattr(box, "faults", wrong)  # noqa: B010
