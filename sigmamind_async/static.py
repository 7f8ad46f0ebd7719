"""Frozen classes that cost little more to make than open ones.

For what is made anew in every call. attrs writes each field of a frozen object through
``object.__setattr__``, which looks the field up by its name: 0.04 microseconds a field, and twice
as much in a busy program. Here an object is of an open class, with the same slots, until all of its
fields are written by plain assignment. To change its class twice takes 0.07, whatever it holds.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

import attrs
from attrs.exceptions import FrozenInstanceError

P = ParamSpec("P")
T = TypeVar("T")

if TYPE_CHECKING:
    from attrs import frozen as frozen  # noqa: PLC0414 - to be imported from here
else:

    def frozen(cls=None, **options):  # noqa: ANN001, ANN003, ANN201 - to a checker it is attrs' own
        """Make *cls* as `attrs.frozen` does; without converters, validators and the like."""
        if cls is None:
            return partial(frozen, **options)
        made = attrs.define(cls, **{"unsafe_hash": options.get("eq", True), **options})
        twin = type(f"_Open{cls.__name__}", (made,), {"__slots__": ()})
        made.__init__ = _writing(made, twin)
        made.__setattr__ = made.__delattr__ = _refuse
        twin.__setattr__, twin.__delattr__ = object.__setattr__, object.__delattr__
        return made


def _refuse(*_: object) -> None:
    raise FrozenInstanceError


def maker(cls: Callable[P, T]) -> Callable[P, T]:
    """Return what makes objects of a `frozen` class as calling it does, in half the time.

    It is a plain function, and begins with an open object; a class is called through its type, and
    `__init__` is given a frozen one.
    """
    made = cast("type[Any]", cls)
    given: dict[str, Any] = {"_new": object.__new__, "_twin": _TWINS[made], "_kind": made}
    return cast(
        "Callable[P, T]",
        _written(
            made,
            "make",
            given,
            first="",
            begin=["self = _new(_twin)"],
            end=["self.__class__ = _kind", "return self"],
        ),
    )


_TWINS: dict[type[Any], type[Any]] = {}


def _writing(cls: type[Any], twin: type[Any]) -> Callable[..., None]:
    """Return an ``__init__`` that has the object be of *twin* while it writes."""
    _TWINS[cls] = twin
    given: dict[str, Any] = {"_twin": twin, "_write": object.__setattr__}
    given["_turn"] = vars(object)["__class__"].__set__
    begin = [
        "_kind = self.__class__",
        "try: _turn(self, _twin)",
        "except TypeError:",  # a subclass that has other slots
        *(f"    _write(self, {f.name!r}, {f.alias})" for f in attrs.fields(cls)),
        "    return",
    ]
    init = _written(
        cls, "__init__", given, first="self", begin=begin, end=["self.__class__ = _kind"]
    )
    own = vars(cls)["__init__"]
    init.__annotations__, init.__qualname__ = own.__annotations__, own.__qualname__
    init.__module__ = cls.__module__
    return init


def _written(
    cls: type[Any],
    name: str,
    given: dict[str, Any],
    *,
    first: str,
    begin: list[str],
    end: list[str],
) -> Callable[..., Any]:
    """Return the function *name* that takes the fields of *cls*, and writes them on ``self``."""
    # No argument begins with an underscore, so none of the names that are given is taken.
    given["_NOTHING"] = attrs.NOTHING
    arguments, keywords = [first] if first else [], ["*"]
    writing, made = list[str](), list[str]()
    for field in attrs.fields(cls):
        alias = field.alias
        default = "" if field.default is attrs.NOTHING else f"=_default_{alias}"
        (keywords if field.kw_only else arguments).append(alias + default)
        factory: Any = getattr(field.default, "factory", None)
        given[f"_default_{alias}"] = field.default if factory is None else attrs.NOTHING
        if factory is not None:
            given[f"_make_{alias}"] = factory
            made.append(f"if {alias} is _NOTHING: {alias} = _make_{alias}()")
        writing.append(f"self.{field.name} = {alias}")
    head = ", ".join([*arguments, *(keywords if len(keywords) > 1 else [])])
    lines = [f"def {name}({head}):", *made, *begin, *writing, *end]
    exec("\n    ".join(lines), given)  # noqa: S102 - names of fields
    written: Callable[..., Any] = given[name]
    return written
