"""Code written for one class: what is read from its fields once need not be at every call.

The only compiled source of this package. Each use states what a loop over the fields would cost.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import attrs

T = TypeVar("T")


def compile_function(head: str, lines: Iterable[str], scope: dict[str, Any]) -> Callable[..., Any]:
    """Return the function ``def <head>:`` of *lines*; what they name is in *scope*."""
    source = "\n    ".join([f"def {head}:", *lines])
    exec(source, scope)  # noqa: S102 - made of names of fields, as attrs and cattrs make theirs
    compiled: Callable[..., Any] = scope[head.partition("(")[0]]
    return compiled


def open_twin(cls: type) -> type:
    """Return a class of the same layout as *cls*, a frozen one, whose objects can be written to.

    An object is filled as one of these and becomes a *cls* in the end: writing to a frozen class
    takes four times as long.
    """
    writable = {"__setattr__": object.__setattr__, "__delattr__": object.__delattr__}
    return type(cls.__name__, (cls,), {"__slots__": (), **writable})


def compile_init(
    cls: type,
    given: Callable[..., None],
    then: Iterable[str] = (),
    names: Mapping[str, Any] | None = None,
) -> Callable[..., None]:
    """Return an ``__init__`` that does for *cls*, frozen and with slots, what attrs' *given* does.

    The lines *then* run last; they find each field under its name, converted, and *names*. Attrs'
    validators, aliases, and what it calls before or after are left out; a default is not converted.
    """
    scope: dict[str, Any] = {
        **(names or {}),
        "_become": vars(object)["__class__"].__set__,
        "_Open": open_twin(cls),
        "_cls": cls,
        "_write": object.__setattr__,
        "_NOTHING": attrs.NOTHING,
    }
    by_place, by_name = ["self"], ["*"]
    values: list[str] = []
    stores: list[str] = []
    others: list[str] = []
    fields: Any = attrs.fields(cls)
    factory: Any = attrs.Factory  # a function to type checkers
    for field in fields:
        name, default = field.name, ""
        if isinstance(field.default, factory):
            scope[f"_new_{name}"] = field.default.factory
            default = "_NOTHING"
        elif field.default is not attrs.NOTHING:
            scope[f"_default_{name}"] = field.default
            default = f"_default_{name}"
        if field.init:
            parameter = f"{name}={default}" if default else name
            (by_name if field.kw_only else by_place).append(parameter)
        else:
            values.append(f"{name} = {default}")
        if default == "_NOTHING":
            values.append(f"if {name} is _NOTHING: {name} = _new_{name}()")
        if field.converter is not None:
            scope[f"_convert_{name}"] = field.converter
            # Into the same variable: what a password was given as is in no frame from here on.
            test = f"if {name} is not {default}: " if default else ""
            values.append(f"{test}{name} = _convert_{name}({name})")
        stores.append(f"    self.{name} = {name}")
        others.append(f"    _write(self, {name!r}, {name})")
    parameters = by_place + (by_name if len(by_name) > 1 else [])
    fill = ["if self.__class__ is _cls:", "    _become(self, _Open)", *stores]
    fill += ["    self.__class__ = _cls"]
    # A subclass that is no attrs class has another layout.
    other = ["else:", *others] if others else []
    lines = [*values, *fill, *other, *then]
    compiled = compile_function(f"__init__({', '.join(parameters)})", lines, scope)
    return functools.wraps(given)(compiled)


class CompiledInit:
    """An ``__init__`` that *compile_it* returns when it is first looked up: no import waits for it.

    Each takes half a millisecond.
    """

    def __init__(self, cls: type, compile_it: Callable[[], Callable[..., None]]) -> None:
        self._cls = cls
        self._compile = compile_it

    def __get__(self, value: object, owner: type) -> Callable[..., None]:
        kind, compiled = self._cls, self._compile()
        setattr(kind, "__init__", compiled)  # noqa: B010 - to a type checker it is a method
        bound: Callable[..., None] = compiled.__get__(value, owner)
        return bound


def quick(cls: type[T]) -> type[T]:
    """Let objects of a frozen attrs class be made nearly as fast as those of an open one."""
    # attrs' own `__init__` of a frozen class takes 0.87 us for the outcome of a row, this one 0.55.
    kind: Any = cls
    kind.__init__ = CompiledInit(cls, functools.partial(compile_init, cls, kind.__init__))
    return cls
