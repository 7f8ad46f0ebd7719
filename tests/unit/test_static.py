"""What a type checker takes for frozen and hashable is both while running."""

from __future__ import annotations

import ast
import copy
import importlib
import pickle
from pathlib import Path
from typing import Any

import attrs
import pytest
from attrs.exceptions import FrozenInstanceError

import sigmamind_async
from sigmamind_async import static
from sigmamind_async.bulk import Outcome
from sigmamind_async.events import AttemptFinished
from sigmamind_async.operation import Fault, FaultKind, Response, Verdict

PACKAGE = Path(sigmamind_async.__file__).parent


def made_by_static() -> list[type[Any]]:
    """Return every class of the package that `static.frozen` decorates, as the source says."""
    found: list[type[Any]] = []
    for path in sorted(PACKAGE.rglob("*.py")):
        text = path.read_text()
        if "static.frozen" not in text or path.stem == "static":
            continue
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        module = importlib.import_module(".".join(parts))
        found += [
            getattr(module, node.name)
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.ClassDef)
            and any("static.frozen" in ast.unparse(each) for each in node.decorator_list)
        ]
    return found


CLASSES = made_by_static()


def an_instance(cls: type[Any]) -> Any:
    """Return an object of *cls* whose fields hold what cannot be hashed, where that may be."""
    required = {
        field.alias: {} if field.hash is False else field.name
        for field in attrs.fields(cls)
        if field.default is attrs.NOTHING
    }
    return cls(**required)


def test_there_are_as_many_as_the_source_says() -> None:
    assert {Outcome, Response, AttemptFinished, Fault} <= set(CLASSES)
    assert len(CLASSES) >= 14


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_nothing_can_be_assigned_or_deleted(cls: type[Any]) -> None:
    """Control: with `attrs.define` in place of `static.frozen` all of these are open."""
    value = an_instance(cls)
    for name in [*(field.name for field in attrs.fields(cls)), "another"]:
        with pytest.raises(FrozenInstanceError):
            setattr(value, name, 1)
        with pytest.raises(FrozenInstanceError):
            delattr(value, name)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_everything_can_be_hashed(cls: type[Any]) -> None:
    value = an_instance(cls)

    assert len({value, value, copy.copy(value)}) in {1, 2}
    if value == an_instance(cls):
        assert hash(value) == hash(an_instance(cls))


@pytest.mark.parametrize(
    "value",
    [
        Outcome(3, "done", {"a": 1}, ["b"], attempts=2),
        Response(200, {"a": "b"}, b"{}"),
        Response(204),
        Fault(kind=FaultKind.DROPPED, detail="reset"),
        AttemptFinished("acme.get", 1, Verdict.CONFIRMED, 200, 0.5),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_copy_equals_its_original(value: Any) -> None:
    pickled = pickle.loads(pickle.dumps(value))

    assert copy.copy(value) == copy.deepcopy(value) == pickled == attrs.evolve(value) == value
    assert hash(pickled) == hash(value)
    assert pickled is not value


@static.frozen(kw_only=True)
class Named:
    first: int
    rest: list[int] = attrs.field(factory=list[int], hash=False)
    _hidden: int = 0
    kind: str = "k"
    twin: str = "t"
    write: str = "w"
    default_first: int = 9


@static.frozen
class Empty:
    pass


def test_arguments_are_those_of_attrs() -> None:
    one, other = Named(first=1), Named(first=1, rest=[2], hidden=3)

    assert (one.rest, other.rest) == ([], [2])
    assert one.rest is not Named(first=1).rest
    assert repr(other) == (
        "Named(first=1, rest=[2], _hidden=3, kind='k', twin='t', write='w', default_first=9)"
    )
    assert Empty() == Empty()
    with pytest.raises(TypeError, match="first"):
        Named()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="positional"):
        Named(1)  # type: ignore[call-arg]


def test_what_makes_objects_makes_the_same() -> None:
    make, named = static.maker(Response), static.maker(Named)

    for made, called in [
        (make(200, {"a": "b"}, b"{}"), Response(200, {"a": "b"}, b"{}")),
        (make(204), Response(204)),
        (named(first=1, rest=[2], hidden=3), Named(first=1, rest=[2], hidden=3)),
    ]:
        assert (made, type(made)) == (called, type(called))
        with pytest.raises(FrozenInstanceError):
            setattr(made, "another", 1)  # noqa: B010 - a checker sees that it is frozen
    assert make(204).headers is not make(204).headers
    with pytest.raises(TypeError, match="status"):
        make()  # type: ignore[call-arg]


class Wider(Response):
    """A subclass of a user's, which has a dict."""


def test_a_subclass_is_made_too() -> None:
    assert Wider(200, {"a": "b"}).headers == {"a": "b"}
