"""Answers to records, and request values to bodies.

The converter is imported with the first body: cattrs would add a fifth to what importing a client
costs on top of aiohttp.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar, cast

from sigmamind_async.convert.fields import Record, RequestValue
from sigmamind_async.convert.json_codec import importing, load_json
from sigmamind_async.convert.scalars import WrongTypeError
from sigmamind_async.errors import ResponseDecodeError
from sigmamind_async.operation import Response
from sigmamind_async.values import Secret

T = TypeVar("T")
R = TypeVar("R", bound=Record)


def body_of(value: RequestValue[object]) -> dict[str, Any]:
    """Return the JSON body of *value* by wire names, without the fields that are `UNSET`.

    A `Secret` stays one until `dump_json` writes the bytes.
    """
    return _WRITERS[type(value)](value)


def dump_record(record: Record) -> dict[str, Any]:
    """Return *record* as the JSON object it was read from, secrets revealed.

    A value in another spelling comes back as it was understood: ``+14155550100`` for 14155550100.
    """
    return cast("dict[str, Any]", _reveal_secrets(as_object(record)))


def _reveal_secrets(held: object) -> object:
    """Return parsed JSON with the text of each `Secret` in its place."""
    if isinstance(held, dict):
        fields = cast("dict[str, object]", held)
        return {name: _reveal_secrets(value) for name, value in fields.items()}
    if isinstance(held, list):
        return [_reveal_secrets(value) for value in cast("list[object]", held)]
    return held.reveal() if isinstance(held, Secret) else held


def as_object(record: Record) -> dict[str, Any]:
    """Return *record* as the object it was read from; a `Secret` stays one."""
    return _WRITERS[type(record)](record)


def present_keys(record: Record) -> set[str]:
    """Return the wire names of the fields that were in the answer, null included.

    Keys without a field, and values that could not be read, are left out.
    """
    return as_object(record).keys() - record.extra.keys()


def structure(raw: object, cls: type[T], *, at: str = "") -> T:
    """Read a parsed answer as *cls*; *at* is the path that leads to *raw*.

    Raises `ResponseDecodeError` with the path of the fault.
    """
    try:
        record: T = _READERS[cls](raw, cls)
    except WrongTypeError as error:
        path, problem = (at + error.path).removeprefix("."), str(error)
    except Exception:  # noqa: BLE001 - nothing of it may reach the caller
        path, problem = at, "cannot be read"
    else:
        return record
    unreadable = ResponseDecodeError(f"{path or 'the answer'}: {problem}")
    unreadable.path = path
    raise unreadable


def structure_list(raw: object, cls: type[T], *, at: str = "") -> list[T]:
    """Read a parsed array of *cls* as `structure` does."""
    return structure(raw, list[cls], at=at)  # type: ignore[valid-type]


def record_decoder(cls: type[R]) -> Callable[[Response], R]:
    """Return the function that reads an answer that is one *cls*."""
    return lambda response: structure(load_json(response.body), cls)


class _Hooks(dict[Any, Callable[..., Any]]):
    """What reads or writes each class: a look-up in a dict costs a tenth of one in a cache."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    def __missing__(self, cls: Any) -> Callable[..., Any]:
        with importing():
            from sigmamind_async.convert import converter

        hook: Callable[..., Any] = getattr(converter, self._name)(cls)
        self[cls] = hook
        return hook


_READERS: Final[Mapping[Any, Callable[[Any, Any], Any]]] = _Hooks("reader")
_WRITERS: Final[Mapping[Any, Callable[[Any], dict[str, Any]]]] = _Hooks("writer")
