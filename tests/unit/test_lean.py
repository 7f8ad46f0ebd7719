"""Classes that share their methods behave as attrs' own."""

import pickle
from typing import Any, cast

import attrs
import pytest

from sigmamind_async import lean


@lean.frozen(kw_only=True)
class Lean:
    name: str
    hidden: object = attrs.field(default=0, repr=False)
    aside: object = attrs.field(default=0, eq=False)


@attrs.frozen(kw_only=True)
class Own:
    name: str
    hidden: object = attrs.field(default=0, repr=False)
    aside: object = attrs.field(default=0, eq=False)


@lean.define
class State:
    count: int = 0


@lean.frozen(eq=False)
class Place:
    name: str = ""


@lean.frozen
class Empty:
    pass


CASES: list[dict[str, Any]] = [
    {"name": "a"},
    {"name": "b"},
    {"name": "a", "hidden": 1},
    {"name": "a", "aside": 1},
]


@pytest.mark.parametrize("left", CASES)
@pytest.mark.parametrize("right", CASES)
def test_what_is_equal_is_what_attrs_finds_equal(left: Any, right: Any) -> None:
    """Of one class and with equal fields, but for those that are left out of it."""
    same = Own(**left) == Own(**right)

    assert (Lean(**left) == Lean(**right)) is same
    assert (Lean(**left) != Lean(**right)) is not same
    assert (hash(Lean(**left)) == hash(Lean(**right))) is same


def test_objects_of_two_classes_are_never_equal() -> None:
    """Not even with the same fields: two kinds of request are two requests."""
    others: list[object] = [Own(name="a"), Empty(), State()]

    assert Lean(name="a") not in others
    assert Empty() in others


def test_the_text_of_an_object_is_that_of_attrs() -> None:
    """A field that is not to be shown is not shown."""
    assert repr(Lean(name="a", hidden=1)) == repr(Own(name="a", hidden=1)).replace("Own", "Lean")


def test_an_object_that_holds_itself_has_a_text() -> None:
    held: list[object] = []
    value = Lean(name="a", aside=held)
    held.append(value)

    assert repr(value) == "Lean(name='a', aside=[...])"


def test_the_text_of_a_local_class_leaves_out_where_it_is_written() -> None:
    @lean.frozen
    class Local:
        pass

    assert repr(Local()) == "Local()"


def test_live_state_has_no_hash() -> None:
    """It is compared by what it holds, and that changes."""
    assert State(1) == State(1)
    with pytest.raises(TypeError, match="unhashable"):
        hash(State())


def test_a_class_may_be_compared_by_identity() -> None:
    place = Place("a")

    assert place == place  # noqa: PLR0124 - that is the case
    assert place != Place("a")
    assert len({place, Place("a")}) == 2


def test_a_frozen_object_cannot_be_changed_and_can_be_pickled() -> None:
    """Sharing methods takes nothing else of attrs away."""
    value = Lean(name="a", hidden=2)

    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        cast("Any", value).name = "b"
    assert pickle.loads(pickle.dumps(value)) == value
    assert attrs.evolve(value, name="b") == Lean(name="b", hidden=2)
