"""What a type checker takes for frozen and hashable is both while running."""

from __future__ import annotations

import copy
import importlib
import pickle
import pkgutil
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import attrs
import pytest
from attrs.exceptions import FrozenInstanceError

import sigmamind_async
from sigmamind_async import events
from sigmamind_async.bulk import Outcome
from sigmamind_async.convert import structure
from sigmamind_async.events import AttemptFinished
from sigmamind_async.operation import Fault, FaultKind, Response, Verdict
from sigmamind_async.platforms.sigmamind import Call, PhoneNumber
from sigmamind_async.platforms.verbex import CreateSipPhoneNumber
from sigmamind_async.values import Secret

HANDED_OUT = [
    Outcome,
    Fault,
    Response,
    *(cls for cls in vars(events).values() if isinstance(cls, type) and attrs.has(cls)),
]
"""What a user is given by the thousand, and may keep in a set or as a key."""


def an_instance(cls: type[Any]) -> Any:
    """Return an object of *cls* whose fields hold what cannot be hashed, where that may be."""
    required: dict[str, object] = {
        field.alias: {} if field.hash is False else field.name
        for field in attrs.fields(cls)
        if field.default is attrs.NOTHING
    }
    return cls(**required)


@pytest.mark.parametrize("cls", HANDED_OUT, ids=lambda cls: cls.__name__)
def test_nothing_can_be_assigned_or_deleted(cls: type[Any]) -> None:
    """Control: with `attrs.define` in place of `attrs.frozen` all of these are open."""
    value = an_instance(cls)
    for name in [*(field.name for field in attrs.fields(cls)), "another"]:
        with pytest.raises(FrozenInstanceError):
            setattr(value, name, 1)
        with pytest.raises(FrozenInstanceError):
            delattr(value, name)


@pytest.mark.parametrize("cls", HANDED_OUT, ids=lambda cls: cls.__name__)
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


def test_a_subclass_without_slots_is_filled_as_well() -> None:
    class Answer(Response):
        pass

    answer = Answer(200, body=b"{}")

    assert (type(answer), answer.status, answer.body) == (Answer, 200, b"{}")
    with pytest.raises(FrozenInstanceError):
        answer.status = 201  # type: ignore[misc]


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
