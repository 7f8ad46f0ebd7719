"""Between JSON and attrs classes: one strict cattrs converter, wire names, errors with a path.

cattrs coerces by default (``None`` becomes ``"None"``, ``"no"`` becomes ``True``); here a known key
of the wrong type is an error. Everything else of an answer is kept: unknown keys in `extra`,
unknown words as they are, and which keys were null, so that parsing and dumping give back what
came in. The wire name stands beside each field, never computed, because vendors spell one name
two ways (SigmaMind writes ``terminationSipURI`` and, in one request, ``terminationSipUri``).

Reading is done by a fast converter. When it fails, a second, slower one reads the same object
again only to say where the fault is.
"""

from __future__ import annotations

import functools
import re
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar, cast

import attrs
import msgspec
import orjson
from cattrs import (
    AttributeValidationNote,
    ClassValidationError,
    Converter,
    IterableValidationError,
    IterableValidationNote,
)
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

from sigmamind_async import checks
from sigmamind_async.errors import InvalidRequestError, ResponseDecodeError
from sigmamind_async.operation import Response
from sigmamind_async.values import UNSET, Secret

parse = msgspec.json.Decoder().decode
"""Parses UTF-8 JSON. orjson makes texts with 512-bit instructions, for which a server processor
lowers its clock: on an Intel Xeon all that followed took 8 % longer, 20 microseconds of a call."""

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
R = TypeVar("R", bound="Record")


@attrs.frozen
class wire:  # noqa: N801 - reads as an annotation: Annotated[str, wire("phoneNumber")]
    """The name of a field in JSON."""

    name: str
    digits: bool = False
    """Accept a bare integer for a text: older samples print phone numbers so."""
    needed: bool = False
    """Read null as an empty text: later calls take the field as it is."""


@attrs.frozen(kw_only=True)
class RequestValue(Generic[T_co]):
    """Base of request values; *T_co* is what running one returns.

    Fields with a `wire` name form the JSON body, others do not.
    """

    @classmethod
    def __attrs_init_subclass__(cls) -> None:
        checks.only_what_is_said(cls)


@attrs.frozen(kw_only=True)
class Record:
    """Base of what a platform answers: every field optional, nothing that came in is lost.

    A field is ``None`` when its key was absent or null; one that later calls need is then empty.
    `extra` keeps the keys this class does not know; what looks like a credential among them is a
    `Secret`.
    """

    extra: Mapping[str, Any] = attrs.field(factory=dict[str, Any], repr=False)
    """Keys of the answer that have no field here, by their wire names."""
    blanks: Mapping[str, Any] = attrs.field(factory=dict[str, Any], repr=False, eq=False)
    """Keys of fields that came without a value, as they came: null, or an empty text."""

    @classmethod
    def kind_of(cls, raw: Mapping[str, object]) -> type[Record]:  # noqa: ARG003 - for subclasses
        """Return the class that reads *raw*, where several kinds of record come in one place."""
        return cls


class WrongTypeError(ValueError):
    """A known key holds a value of another type; never leaves this module."""

    def __init__(self, expected: str, got: object) -> None:
        """Name both types and not the value, which may be a secret."""
        super().__init__(f"expected {expected}, got {_json_type(got)}")


_JSON_TYPES: dict[type[Any], str] = {
    dict: "an object",
    list: "an array",
    str: "text",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    type(None): "null",
}


def _json_type(value: object) -> str:
    return _JSON_TYPES.get(type(value), type(value).__name__)


def wire_names(cls: type) -> dict[str, wire]:
    """Return the `wire` of each field of *cls* that has one, by field name."""
    hints = typing.get_type_hints(cls, include_extras=True)
    marks = ((name, getattr(hint, "__metadata__", ())) for name, hint in hints.items())
    return {name: mark for name, metadata in marks for mark in metadata if isinstance(mark, wire)}


def body_of(value: RequestValue[object]) -> dict[str, Any]:
    """Return the JSON body of *value* by wire names, without what is `UNSET`.

    A `Secret` stays a `Secret`: it is revealed by `dump_json`, as the bytes are written.
    """
    kind: Any = type(value)
    body: dict[str, Any] = _writer(kind)(value)
    return body


def dump_record(record: Record) -> dict[str, Any]:
    """Return *record* as the JSON object it was read from; secrets are revealed."""
    raw: dict[str, Any] = msgspec.to_builtins(as_object(record), enc_hook=_reveal)
    return raw


def as_object(record: Record) -> dict[str, Any]:
    """Return *record* as the object it was read from; what was taken for a secret stays one."""
    raw: dict[str, Any] = _fast().unstructure(record)
    return raw


def dump_json(body: object) -> bytes:
    """Encode a body as UTF-8 JSON, revealing its secrets.

    Raises `InvalidRequestError` for what has no JSON form, a redacted secret for instance.
    """
    try:
        return orjson.dumps(body, default=_reveal)
    except TypeError as error:
        problem = str(error.__cause__ or error)
    raise InvalidRequestError(f"the body cannot be written: {problem}", "body", "JSON values")


def load_json(body: bytes) -> object:
    """Parse UTF-8 JSON; raise `ResponseDecodeError` for anything else.

    Refused are an empty body, NaN and infinities, a byte order mark, broken UTF-8 and nesting
    deeper than the interpreter's recursion limit. Of duplicate keys the last one counts.
    """
    try:
        parsed: object = parse(body)
    except (ValueError, RecursionError):
        problem = "the answer is empty" if not body.strip() else "the answer is not JSON"
    else:
        return parsed
    raise ResponseDecodeError(problem)


def structure(raw: object, cls: type[T], *, at: str = "") -> T:
    """Read a parsed answer as *cls*.

    Raises `ResponseDecodeError` that names the place; *at* is the path that leads to *raw*.
    """
    try:
        return cast("T", _reader(cls)(raw, cls))
    except Exception:  # noqa: BLE001, S110 - whatever it was, `_explain` finds it, with its path
        pass
    raise _explain(raw, cls, at)


def structure_list(raw: object, cls: type[T], *, at: str = "") -> list[T]:
    """Read a parsed array of *cls*, like `structure`."""
    return structure(raw, list[cls], at=at)  # type: ignore[valid-type]


def record_decoder(cls: type[R]) -> Callable[[Response], R]:
    """Return the function that reads an answer holding one *cls*."""

    def decode(response: Response) -> R:
        # `load_json` and `structure`, without three calls in an answer that is as it should be.
        try:
            read = _READERS.get(cls) or _reader(cls)
            record: R = read(parse(response.body), cls)
        except Exception:  # noqa: BLE001, S110 - they find out what it was
            pass
        else:
            return record
        return structure(load_json(response.body), cls)

    return decode


def _explain(raw: object, cls: type, at: str) -> ResponseDecodeError:
    try:
        _detailed().structure(raw, cls)
    except Exception as error:  # noqa: BLE001 - turned into words; nothing of it is kept
        path, problem = _first_fault(error)
    else:
        path, problem = "", "cannot be read"
    path = (at + path).removeprefix(".")
    explained = ResponseDecodeError(f"{path or 'the answer'}: {problem}")
    explained.path = path
    return explained


def _first_fault(error: BaseException) -> tuple[str, str]:
    """Follow the first failure of a cattrs error group down to its path and its cause."""
    path = ""
    while isinstance(error, (ClassValidationError, IterableValidationError)):
        names = wire_names(error.cl) if isinstance(error, ClassValidationError) else {}
        error = error.exceptions[0]
        for note in getattr(error, "__notes__", ()):
            if isinstance(note, AttributeValidationNote):
                path += "." + (names[note.name].name if note.name in names else note.name)
            elif isinstance(note, IterableValidationNote):
                path += f"[{note.index}]"
    problem = str(error) if isinstance(error, WrongTypeError) else "cannot be read"
    return path, problem


_READERS: dict[Any, Callable[[Any, Any], Any]] = {}


def _reader(cls: Any) -> Callable[[Any, Any], Any]:
    """Return the fast hook of *cls*: looked up once, not for every answer."""
    read = _READERS.get(cls)
    if read is None:
        read = _READERS[cls] = _fast().get_structure_hook(cls)
    return read


@functools.cache
def _writer(cls: Any) -> Callable[[Any], dict[str, Any]]:
    """Return the hook that writes a *cls*: looked up once, not for every request."""
    return _fast().get_unstructure_hook(cls)


@functools.cache
def _fast() -> Converter:
    return _strict(Converter(detailed_validation=False))


@functools.cache
def _detailed() -> Converter:
    return _strict(Converter(detailed_validation=True))


def _strict(converter: Converter) -> Converter:
    for kind in (str, bool, int):
        converter.register_structure_hook(kind, _exactly(kind))
    converter.register_structure_hook(float, _number)
    converter.register_structure_hook(Secret, _secret)
    converter.register_structure_hook_factory(
        _is_optional, functools.partial(_optional_hook, converter)
    )
    converter.register_structure_hook_factory(_is_scalar_union, _scalar_hook)
    converter.register_structure_hook_factory(_is_list, functools.partial(_list_hook, converter))
    converter.register_structure_hook_factory(_is_dict, _object_hook)
    converter.register_structure_hook_factory(
        _is_record_or_text, functools.partial(_record_or_text_hook, converter)
    )
    converter.register_structure_hook_factory(
        _is_record, functools.partial(_record_reader, converter)
    )
    converter.register_unstructure_hook_factory(
        _is_record, functools.partial(_record_writer, converter)
    )
    converter.register_unstructure_hook_factory(_is_request, _request_writer)
    return converter


def _is_record(cls: object) -> bool:
    return isinstance(cls, type) and issubclass(cls, Record)


def _is_request(cls: object) -> bool:
    return isinstance(cls, type) and issubclass(cls, RequestValue)


def _is_list(cls: object) -> bool:
    return typing.get_origin(cls) is list


def _is_dict(cls: object) -> bool:
    return typing.get_origin(cls) is dict


def _is_optional(cls: object) -> bool:
    arms = typing.get_args(cls)
    return _is_union(cls) and len(arms) == 2 and type(None) in arms


def _is_union(cls: object) -> bool:
    return typing.get_origin(cls) in (typing.Union, types.UnionType)


_SCALARS = frozenset({str, int, float, bool, type(None)})


def _is_scalar_union(cls: object) -> bool:
    """Whether *cls* is several plain types: some amounts come as a text or as a number."""
    arms = typing.get_args(cls)
    return _is_union(cls) and len(arms) > 2 and _SCALARS.issuperset(arms)


def _is_record_or_text(cls: object) -> bool:
    """Whether *cls* is a record or a text (or null): vendors replaced one by the other."""
    arms = typing.get_args(cls)
    return _is_union(cls) and str in arms and any(map(_is_record, arms))


def _exactly(kind: type) -> Callable[[object, object], object]:
    expected = _JSON_TYPES[kind]

    def read(raw: object, _: object) -> object:
        if type(raw) is not kind:
            raise WrongTypeError(expected, raw)
        return raw

    return read


def _optional_hook(converter: Converter, cls: Any) -> Callable[[object, object], object]:
    """Read null, or the one other type; plain types in one step, there are many of them."""
    inner = next(arm for arm in typing.get_args(cls) if arm is not type(None))
    read = converter.get_structure_hook(inner)

    def read_plain(raw: object, _: object) -> object:
        return raw if raw is None or type(raw) is inner else read(raw, inner)

    def read_any(raw: object, _: object) -> object:
        return None if raw is None else read(raw, inner)

    return read_plain if inner in (str, bool, int) else read_any


def _scalar_hook(cls: Any) -> Callable[[object, object], object]:
    arms = typing.get_args(cls)
    expected = " or ".join(dict.fromkeys(_JSON_TYPES[arm] for arm in arms))

    def read(raw: object, _: object) -> object:
        if type(raw) not in arms:
            raise WrongTypeError(expected, raw)
        return raw

    return read


def _secret(raw: object, _: object) -> Secret:
    if type(raw) is not str:
        raise WrongTypeError("text", raw)
    return Secret(raw)


def _number(raw: object, _: object) -> float:
    if type(raw) is not float and type(raw) is not int:
        raise WrongTypeError("a number", raw)
    return raw


def _digits(raw: object, _: object) -> str | None:
    if raw is None or type(raw) is str:
        return raw
    if type(raw) is not int:
        raise WrongTypeError("text", raw)
    return str(raw)


def _hook(mark: wire) -> Callable[[object, object], str | None] | None:
    if mark.needed:
        return lambda raw, cls: _digits(raw, cls) or ""
    return _digits if mark.digits else None


def _object_hook(_: Any) -> Callable[[object, object], dict[str, Any]]:
    return lambda raw, _: _object(raw)


def _object(raw: object) -> dict[str, Any]:
    if type(raw) is not dict:
        raise WrongTypeError("an object", raw)
    return cast("dict[str, Any]", raw)


def _array(raw: object) -> list[object]:
    if type(raw) is not list:
        raise WrongTypeError("an array", raw)
    return cast("list[object]", raw)


def _list_hook(converter: Converter, cls: Any) -> Callable[[object, object], list[Any]]:
    (item,) = typing.get_args(cls)
    read = converter.get_structure_hook(item)

    def read_list(raw: object, _: object) -> list[Any]:
        return [read(entry, item) for entry in _array(raw)]

    def read_list_with_path(raw: object, _: object) -> list[Any]:
        for index, entry in enumerate(_array(raw)):
            try:
                read(entry, item)
            except Exception as error:  # noqa: BLE001 - only passed on, with its place
                error.add_note(IterableValidationNote("", index, cls))
                raise IterableValidationError("", [error], cls) from None  # pyright: ignore[reportCallIssue]  # typed as a plain group
        return read_list(raw, _)

    return read_list_with_path if converter.detailed_validation else read_list


def _record_or_text_hook(converter: Converter, cls: Any) -> Callable[[object, object], object]:
    record = next(filter(_is_record, typing.get_args(cls)))

    def read(raw: object, _: object) -> object:
        if raw is None or type(raw) is str:
            return raw
        return converter.structure(raw, record)

    return read


def _record_reader(converter: Converter, cls: type[Record]) -> Callable[[object, object], Record]:
    fast = not converter.detailed_validation
    read: Callable[[Any, Any], Any] = (
        _filler(converter, cls)
        if fast
        else make_dict_structure_fn(cls, converter, **_renames(wire_names(cls)), **_HIDDEN)
    )

    def read_one_kind(raw: object, _: object) -> Record:
        fields = _object(raw)
        kind = cls.kind_of(fields)
        return read(fields, cls) if kind is cls else converter.structure(raw, kind)

    return read if fast and not _chooses(cls) else read_one_kind


def _chooses(cls: type[Record]) -> bool:
    """Whether *cls* has subclasses that read some of the objects that come in its place."""
    return any("kind_of" in vars(base) for base in cls.__mro__ if base is not Record)


def _filler(converter: Converter, cls: type[Record]) -> Callable[[Any, Any], Record]:
    """Return the function that makes a *cls* of an object, written out field by field.

    It writes the fields of an open twin of *cls*, same slots and not frozen, and makes it a *cls*
    in the end: a field of a frozen class is written through a descriptor, at four times the cost,
    and a loop over the fields takes a quarter longer. So a record class has neither converters nor
    validators of its own; its hooks are those of the converter.
    """
    known: dict[str, Any] = {
        "cls": cls,
        "new": object.__new__,
        "Open": type(cls.__name__, cls.__bases__, {"__slots__": _slots(cls), **_OPEN}),
        "ABSENT": _ABSENT,
        "refuse": _object,
        "unknown": _unknown,
        "keys": frozenset(mark.name for mark in wire_names(cls).values()),
    }
    lines = [line for name in wire_names(cls) for line in _reading(converter, cls, name, known)]
    source = "\n    ".join([*_FILL, *lines, *_FILLED])
    exec(source, known)  # noqa: S102 - written here from names of fields, as cattrs writes its own
    fill: Callable[[Any, Any], Record] = known["fill"]
    return fill


_ABSENT: Any = object()
_OPEN = {"__setattr__": object.__setattr__, "__delattr__": object.__delattr__}
_FILL = (
    "def fill(fields, _):",
    "if type(fields) is not dict: refuse(fields)",
    "record = new(Open)",
    "blanks = {}",
    "get = fields.get",
)
_FILLED = (
    "record.extra = {} if fields.keys() <= keys else unknown(fields, keys)",
    "record.blanks = blanks",
    "record.__class__ = cls",
    "return record",
)


def _reading(
    converter: Converter, cls: type[Record], name: str, known: dict[str, Any]
) -> list[str]:
    """Return the lines that read one field; put what they need among what is *known*."""
    mark, kind = wire_names(cls)[name], typing.get_type_hints(cls)[name]
    read = _hook(mark) or converter.get_structure_hook(kind)
    default, plain = attrs.fields_dict(cls)[name].default, _plain(kind)

    def read_other(value: Any, blanks: dict[str, Any]) -> object:
        if value is _ABSENT:
            return default
        if value is None or value == "":
            blanks[mark.name] = value
        return read(value, kind)

    known[f"other_{name}"] = read_other
    other = f"record.{name} = other_{name}(value, blanks)"
    lines = [f"value = get({mark.name!r}, ABSENT)"]
    if plain is None:
        return [*lines, other]
    known[f"plain_{name}"] = plain
    empty = " and value" if plain is str else ""
    null = f"elif value is None: record.{name} = None; blanks[{mark.name!r}] = None"
    return [
        *lines,
        f"if type(value) is plain_{name}{empty}: record.{name} = value",
        *([] if mark.needed or plain is kind else [null]),
        f"else: {other}",
    ]


def _unknown(fields: Mapping[str, Any], known: frozenset[str]) -> dict[str, Any]:
    return {key: _conceal(key, value) for key, value in fields.items() if key not in known}


def _slots(cls: type) -> tuple[str, ...]:
    slots: tuple[str, ...] = vars(cls)["__slots__"]
    return slots


def _plain(kind: Any) -> type | None:
    """Return the plain type that *kind* is, or is beside null."""
    arms = [arm for arm in typing.get_args(kind) or (kind,) if arm is not type(None)]
    return arms[0] if len(arms) == 1 and arms[0] in (str, bool, int) else None


def _record_writer(converter: Converter, cls: type[Record]) -> Callable[[Any], dict[str, Any]]:
    write = make_dict_unstructure_fn(
        cls, converter, _cattrs_omit_if_default=True, **_renames(wire_names(cls)), **_HIDDEN
    )

    def write_record(record: Record) -> dict[str, Any]:
        return {**record.blanks, **write(record), **record.extra}

    return write_record


def _request_writer(cls: type[RequestValue[object]]) -> Callable[[Any], dict[str, Any]]:
    """Return the function that writes a body, written out field by field.

    Values go through as they are: texts, numbers, null, Secret and plain objects. UNSET is left
    out; another default, such as the constant word of a variant, is sent. cattrs would compare
    each value with UNSET, which takes three times as long as to see whether it is that.
    """
    lines = ["def write(value):", "body = {}"]
    names = wire_names(cls)
    for field in attrs.fields(cls):
        if field.name in names:
            say = f"body[{names[field.name].name!r}] = value.{field.name}"
            said = f"if value.{field.name} is not UNSET: " if field.default is UNSET else ""
            lines.append(said + say)
    known: dict[str, Any] = {"UNSET": UNSET}
    source = "\n    ".join([*lines, "return body"])
    exec(source, known)  # noqa: S102 - written here from names of fields, as cattrs writes its own
    write: Callable[[Any], dict[str, Any]] = known["write"]
    return write


_HIDDEN: dict[str, Any] = {"extra": override(omit=True), "blanks": override(omit=True)}


def _renames(names: Mapping[str, wire]) -> dict[str, Any]:
    return {
        field: override(rename=mark.name, struct_hook=_hook(mark)) for field, mark in names.items()
    }


_CREDENTIAL = re.compile(r"pass|secret|token|credential|api.?key", re.IGNORECASE)


def _conceal(key: str, value: Any) -> Any:
    """Mask texts under a key that sounds like a credential, however deep they stand."""
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        return {inner: _conceal(f"{key}.{inner}", held) for inner, held in fields.items()}
    if isinstance(value, list):
        return [_conceal(key, held) for held in _array(cast("object", value))]
    return Secret(value) if isinstance(value, str) and _CREDENTIAL.search(key) else value


def _reveal(value: object) -> str:
    if isinstance(value, Secret):
        return value.reveal()
    raise TypeError(f"{type(value).__name__} has no JSON form")
