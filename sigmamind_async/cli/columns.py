"""What the rows of a file may say, column by column.

Columns are read off the request values, so that a field added there is a column here.
"""

from __future__ import annotations

import typing
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias

import attrs

from sigmamind_async.convert import RequestValue
from sigmamind_async.values import Secret

Value: TypeAlias = RequestValue[Any]

OWN_COLUMNS: Final = ("id", "action")
"""Columns that are the row's own and no field of a request."""

KEY_COLUMN: Final = "phone_number_id"
"""Column of a field ``id``, which would read like the id of the row."""


@attrs.frozen
class Column:
    """A field of a request value, seen as a column."""

    field: attrs.Attribute[Any]
    types: frozenset[object]
    """The types its values may have."""
    owner: type[Value]
    """The class that the field is of."""

    @property
    def clearable(self) -> bool:
        """Whether ``null`` says something to the platform."""
        return type(None) in self.types

    @property
    def is_number(self) -> bool:
        """Whether it holds a whole number."""
        return int in self.types

    @property
    def is_flag(self) -> bool:
        """Whether it is true or false."""
        return bool in self.types

    @property
    def is_secret(self) -> bool:
        """Whether a row only refers to its value."""
        return Secret in self.types

    @property
    def required(self) -> bool:
        """Whether every row of the kind has it."""
        return self.field.default is attrs.NOTHING


def columns_of(value: type[Value]) -> Mapping[str, Column]:
    """Return the columns of the rows that become *value*, by name."""
    hints = typing.get_type_hints(value)
    fields: Iterable[attrs.Attribute[Any]] = attrs.fields(value)
    return {
        KEY_COLUMN if field.name == "id" else field.name: Column(
            field, frozenset(_types(hints[field.name])), value
        )
        for field in fields
        if field.init
    }


def _types(hint: object) -> tuple[object, ...]:
    """Return the members of a union, or the one type."""
    return typing.get_args(hint) or (hint,)


def _columns_of_kind(kind: RowKind) -> Mapping[str, Column]:
    return columns_of(kind.value)


@attrs.frozen(kw_only=True, eq=False)
class RowKind:
    """One kind of row: what it says, the request it stands for, and whether that costs money."""

    action: str
    value: type[Value]
    where: tuple[str, str] | None = None
    """Column and word that tell it from the other kinds of its action."""
    spends: bool = False
    columns: Mapping[str, Column] = attrs.field(
        default=attrs.Factory(_columns_of_kind, takes_self=True), init=False, repr=False
    )

    @property
    def title(self) -> str:
        """What it is called in messages, such as ``create with provider pia``."""
        return self.action if self.where is None else f"{self.action} with {' '.join(self.where)}"
