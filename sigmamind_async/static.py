"""Frozen classes that cost little more to make than open ones.

For what is made anew in every call. attrs writes each field of a frozen object through
``object.__setattr__``, which looks the field up by its name: 0.04 microseconds a field, and twice
as much in a busy program. Here an object is of an open class, with the same slots, until all of its
fields are written by plain assignment. To change its class twice takes 0.07, whatever it holds.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import attrs
from attrs.exceptions import FrozenInstanceError

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


def _writing(cls: type[Any], twin: type[Any]) -> Callable[..., None]:
    """Return an ``__init__`` that has the object be of *twin* while it writes."""
    # No argument begins with an underscore, so none of these names is taken.
    given: dict[str, Any] = {"_NOTHING": attrs.NOTHING, "_twin": twin}
    given["_turn"] = vars(object)["__class__"].__set__
    given["_write"] = object.__setattr__
    arguments, keywords, writing, made = ["self"], ["*"], ["pass"], ["pass"]
    for field in attrs.fields(cls):
        name = field.alias
        default = "" if field.default is attrs.NOTHING else f"=_default_{name}"
        (keywords if field.kw_only else arguments).append(name + default)
        factory: Any = getattr(field.default, "factory", None)
        given[f"_default_{name}"] = field.default if factory is None else attrs.NOTHING
        if factory is not None:
            given[f"_make_{name}"] = factory
            made.append(f"if {name} is _NOTHING: {name} = _make_{name}()")
        writing.append(f"self.{field.name} = {name}")
    lines = [
        *made,
        "_kind = self.__class__",
        "try: _turn(self, _twin)",
        "except TypeError:",  # a subclass that has other slots
        *(f"    _write(self, {f.name!r}, {f.alias})" for f in attrs.fields(cls)),
        "    return",
        *writing,
        "self.__class__ = _kind",
    ]
    head = ", ".join([*arguments, *(keywords if len(keywords) > 1 else [])])
    exec("\n    ".join([f"def __init__({head}):", *lines]), given)  # noqa: S102 - names of fields
    init: Callable[..., None] = given["__init__"]
    own = vars(cls)["__init__"]
    init.__annotations__, init.__qualname__ = own.__annotations__, own.__qualname__
    init.__module__ = cls.__module__
    return init
