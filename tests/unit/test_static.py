"""What a type checker takes for frozen and hashable is both while running."""

from __future__ import annotations

import ast
import copy
import importlib
import pickle
import pkgutil
import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import attrs
import pytest
from attrs.exceptions import FrozenInstanceError

import sigmamind_async
from sigmamind_async import static
from sigmamind_async.bulk import Outcome
from sigmamind_async.convert import structure
from sigmamind_async.events import AttemptFinished
from sigmamind_async.operation import Fault, FaultKind, Response, Verdict
from sigmamind_async.platforms.sigmamind import Call, PhoneNumber
from sigmamind_async.platforms.verbex import CreateSipPhoneNumber
from sigmamind_async.values import Secret

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
    assert len(CLASSES) >= 13


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


# ---------------------------------------------------------------- records, requests and the rest

UNHASHABLE = (dict, list, set, Mapping, Secret)
PUBLIC = ("platforms", "convert", "provisioning", "fleet", "bulk", "client", "paging", "operation")


def public_classes() -> Iterator[type[Any]]:
    """Yield every frozen attrs class that can be compared, and is not of one module alone."""
    for found in pkgutil.walk_packages(sigmamind_async.__path__, "sigmamind_async."):
        if found.name.split(".")[1] not in PUBLIC or "postgres" in found.name:
            continue
        for name, cls in vars(importlib.import_module(found.name)).items():
            ours = isinstance(cls, type) and cls.__module__ == found.name and attrs.has(cls)
            if ours and not name.startswith("_") and cls.__hash__ is not object.__hash__:
                yield cls


def arms(hint: Any) -> Iterator[Any]:
    """Yield the types that a value may have by its annotation."""
    inner = typing.get_origin(hint)
    if inner is Annotated or inner in {typing.Union, types.UnionType}:
        for each in typing.get_args(hint)[: 1 if inner is Annotated else None]:
            yield from arms(each)
    else:
        yield inner or hint


def cannot_be_hashed(cls: type[Any]) -> list[str]:
    hints = typing.get_type_hints(cls, include_extras=True)
    return [
        field.name
        for field in attrs.fields(cls)
        if (field.eq if field.hash is None else field.hash)
        and any(arm in UNHASHABLE for arm in arms(hints[field.name]))
    ]


@pytest.mark.parametrize("cls", [*public_classes()], ids=str)
def test_no_public_class_hashes_what_has_no_hash(cls: type[Any]) -> None:
    if cls.__hash__ is not None:  # one that may change has none, and says so to a type checker
        assert cannot_be_hashed(cls) == []


def test_a_field_that_has_no_hash_is_noticed() -> None:
    """The control of the test before."""
    assert cannot_be_hashed(attrs.make_class("Open", {"a": attrs.field(type=list[int])})) == ["a"]


def test_records_and_requests_can_be_in_a_set() -> None:
    raw = {"sipPhoneNumber": "+14155550100", "tags": ["a"], "more": {"b": 1}}
    call = {"callId": "c", "campaign": {"a": 1}, "phoneNumber": raw}
    bought = CreateSipPhoneNumber(phone_number="+14155550100", sip_trunk_password=Secret("hunter2"))

    assert len({structure(raw, PhoneNumber), structure(dict(raw), PhoneNumber)}) == 1
    assert len({structure(call, Call), bought, attrs.evolve(bought)}) == 2
