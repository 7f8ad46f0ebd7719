"""Every public name of the API reference is explained: parameters, units, defaults and errors.

What can be checked is checked here; whether a sentence is true and helps is for its reader.
"""

from __future__ import annotations

import ast
import enum
import functools
import importlib
import inspect
import itertools
import re
import textwrap
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs
import pytest

from sigmamind_async import errors
from sigmamind_async.client import Resource
from sigmamind_async.convert import Record, RequestValue
from sigmamind_async.limiter.gate import Gate

PACKAGE = "sigmamind_async"
API = Path(__file__).parents[2] / PACKAGE / "docs/api"
ERRORS = {
    name
    for name, value in vars(errors).items()
    if inspect.isclass(value) and issubclass(value, errors.SigmaMindError)
}

Names = dict[str, Any]


def public_names() -> Names:
    """Return what the pages of the reference show, by its full name."""
    found: Names = {}
    for page in sorted(API.glob("*.rst")):
        for module_name, options in re.findall(
            r"^\.\. automodule:: (\S+)\n((?:   :.*\n)*)",
            page.read_text("utf-8") + "\n",
            re.MULTILINE,
        ):
            module = importlib.import_module(module_name)
            for name in names_of(module, options):
                value = getattr(module, name)
                if inspect.isclass(value) or inspect.isfunction(value):
                    found.setdefault(f"{value.__module__}.{value.__qualname__}", value)
    return found


def names_of(module: ModuleType, options: str) -> list[str]:
    if ":imported-members:" in options:
        return [*module.__all__]
    chosen = re.search(r":members: (.+)", options)
    if chosen:
        return [name.strip() for name in chosen[1].split(",")]
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", "") == module.__name__
    ]


def members_of(cls: type) -> Iterator[tuple[str, Any]]:
    """Yield the public methods and properties of *cls*, those of our bases included."""
    seen = set[str]()
    for base in cls.__mro__:
        if not base.__module__.startswith(PACKAGE):
            continue
        for name, value in vars(base).items():
            if not name.startswith("_") and name not in seen and is_member(value):
                seen.add(name)
                yield f"{base.__module__}.{base.__qualname__}.{name}", value


def is_member(value: object) -> bool:
    return inspect.isfunction(value) or isinstance(
        value, property | classmethod | staticmethod | functools.cached_property
    )


def function_of(member: Any) -> Any:
    if isinstance(member, property):
        return member.fget
    if isinstance(member, functools.cached_property):
        return member.func
    return inspect.unwrap(getattr(member, "__func__", member))


PUBLIC = public_names()
CLASSES: dict[str, type] = {name: value for name, value in PUBLIC.items() if inspect.isclass(value)}
FUNCTIONS: Names = {name: value for name, value in PUBLIC.items() if inspect.isfunction(value)}
OWNERS: dict[str, type] = {}
"""The class of each method and property among `FUNCTIONS`."""
for each in CLASSES.values():
    for member_name, member in members_of(each):
        FUNCTIONS[member_name] = member
        OWNERS.setdefault(member_name, each)


def text_of(member: Any) -> str:
    return "" if member is None else inspect.getdoc(member) or ""


def explained(text: str) -> dict[str, str]:
    """Return what the section ``Args:`` of a docstring says, by parameter."""
    found = re.findall(r"^    \**(\w+): (.*(?:\n        .*)*)", text, re.MULTILINE)
    return {name: " ".join(meaning.split()) for name, meaning in found}


@functools.cache
def class_definitions(module: str) -> dict[str, ast.ClassDef]:
    tree = ast.parse(inspect.getsource(importlib.import_module(module)))
    return {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}


@functools.cache
def fields_below(cls: type) -> Mapping[str, str]:
    """Return the strings below the attributes of *cls* and its bases, by attribute."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if not base.__module__.startswith(PACKAGE):
            continue
        tree = class_definitions(base.__module__)[base.__qualname__]
        constructors = [each for each in tree.body if isinstance(each, ast.FunctionDef)]
        bodies: list[ast.ClassDef | ast.FunctionDef] = [tree]
        bodies += [each for each in constructors if each.name == "__init__"]
        for body in bodies:
            for field, below in itertools.pairwise(body.body):
                match field, below:
                    case (
                        ast.AnnAssign(target=ast.Name(id=name) | ast.Attribute(attr=name))
                        | ast.Assign(targets=[ast.Name(id=name) | ast.Attribute(attr=name)]),
                        ast.Expr(value=ast.Constant(value=str(text))),
                    ):
                        found[name] = " ".join(text.split())
    return found


def mentions(text: str) -> set[str]:
    """Return the names that a docstring sets off from its words."""
    return {*re.findall(r"\*(\w+)\*", text), *re.findall(r"`(\w+)", text)}


def whole_text_of(cls: type | None) -> str:
    """Return the docstrings of *cls* and of our classes that it is built on."""
    bases = [] if cls is None else cls.__mro__
    return "\n".join(text_of(base) for base in bases if base.__module__.startswith(PACKAGE))


def also_read(text: str) -> str:
    """Return *text* with the docstrings that it refers to, as with "see `Gate.failed`"."""
    found = [text]
    for name in re.findall(r"(?:\b[Ss]ee|\b[Aa]s in|^A) `([\w.]+)`", text, re.MULTILINE):
        for known, value in {**CLASSES, **FUNCTIONS}.items():
            if known.endswith(f".{name}"):
                found.append(text_of(value))
    return "\n".join(found)


def is_made_by_ours(cls: type) -> bool:
    """True if no caller passes the parameters of its constructor, or gives their names."""
    text = text_of(cls)
    return (
        issubclass(cls, Resource | enum.Enum | BaseException)
        or getattr(cls, "_is_protocol", False)
        or typing.is_typeddict(cls)
        or bool(re.search(r"\b[mM]ade by\b", text))
    )


def read_about(name: str, member: Any) -> str:
    """Return the docstring of a function, that of its class, and those they refer to."""
    return f"{also_read(text_of(member))}\n{also_read(whole_text_of(OWNERS.get(name)))}"


def meanings_of(name: str, member: Any) -> dict[str, str]:
    """Return what is said about each parameter: under ``Args:``, or in the words around it."""
    own, around = also_read(text_of(member)), also_read(whole_text_of(OWNERS.get(name)))
    meanings: dict[str, str] = {}
    for text in (around, own):
        meanings |= dict.fromkeys(mentions(text), " ".join(text.split()))
        meanings |= explained(text)
    return meanings


def meanings_of_fields(cls: type) -> dict[str, str]:
    """Return the same about each field, with the strings below them."""
    text = f"{whole_text_of(cls)}\n{text_of(constructor_of(cls))}"
    meanings = dict.fromkeys(mentions(text), " ".join(text.split()))
    for method in re.findall(r"Fields and their limits: `(\w+\.\w+)`", text):
        [function] = (
            value
            for name, value in FUNCTIONS.items()
            if name.endswith(f".{method}")
            and name.split(".")[2] == cls.__module__.split(".")[2]
            and ".sync." not in name
        )
        meanings |= explained(text_of(function))
    return {**meanings, **explained(text), **fields_below(cls)}


def constructor_of(cls: Any) -> Any:
    return cls.__init__


def fields_of(cls: type) -> dict[str, Any]:
    """Return the public parameters, or fields, with which *cls* is made, and their annotations."""
    if attrs.has(cls) and "__attrs_init__" not in vars(cls):
        own: Any = cls
        return {
            field.name: field.type
            for field in attrs.fields(own)
            if field.init and not field.name.startswith("_")
        }
    if "__init__" not in {name for base in cls.__mro__[:-1] for name in vars(base)}:
        return {}
    return parameters_of(constructor_of(cls))


def parameters_of(function: Any) -> dict[str, Any]:
    return {
        name: parameter.annotation
        for name, parameter in inspect.signature(function).parameters.items()
        if name not in {"self", "cls"} and not name.startswith("_")
    }


# ---------------------------------------------------------------- the checks

NUMBER = re.compile(r"\b(?:float|int)\b")
UNIT = re.compile(
    r"seconds?\b|bytes|MiB|characters|requests?\b|rows?\b|numbers?\b|agents|calls?\b|attempts"
    r"|connections?|jobs?\b|records?\b|pages?\b|operations|purchases?|steps?\b|tokens|entry|port\b"
    r"|[Pp]osition|statuses|HTTP status|version|credits|US dollars|0 to 1\b|from [01]\b|lines?\b"
    r"|events|share\b|times\b|process|random|follows from it",
    re.IGNORECASE,
)
"""What a number counts."""


def has_unit(meaning: str, owner: type | None) -> bool:
    """Return whether a number's meaning says what it counts, or its class does for all times."""
    return bool(
        UNIT.search(meaning) or re.search(r"\b[Tt]imes? (?:are|is) in s", whole_text_of(owner))
    )


def is_number(annotation: object) -> bool:
    text = re.sub(r"collections\.abc\.|typing\.|Annotated\[", "", str(annotation))
    is_open = re.match(r"Mapping|Callable|Sequence|str", text)  # such as a cell of a file
    return bool(NUMBER.search(text)) and not is_open


MADE_BY_CALLERS = [name for name, cls in CLASSES.items() if not is_made_by_ours(cls)]
MODELS = [
    name
    for name, cls in CLASSES.items()
    if cls.__module__.startswith(f"{PACKAGE}.platforms.") and issubclass(cls, Record | RequestValue)
]


def test_every_name_has_a_docstring() -> None:
    """A sentence at least."""
    texts = {name: text_of(value) for name, value in {**PUBLIC, **FUNCTIONS}.items()}

    assert [name for name, text in texts.items() if not re.match(r"(?s)\S.+?[.:]", text)] == []


def test_every_field_of_a_class_is_explained_and_has_a_unit() -> None:
    left: list[str] = []
    for name in MADE_BY_CALLERS:
        meanings = meanings_of_fields(CLASSES[name])
        for field, annotation in fields_of(CLASSES[name]).items():
            meaning = meanings.get(field, "")
            if not meaning or (is_number(annotation) and not has_unit(meaning, CLASSES[name])):
                left.append(f"{name} {field}: {meaning[:100]}")

    assert not left, "\n".join(map(str, left))


def test_every_parameter_and_result_of_a_function_is_explained_and_has_a_unit() -> None:
    """A number that may be `None` says what that means, too."""
    left: list[str] = []
    for name, member in FUNCTIONS.items():
        function, owner = function_of(member), OWNERS.get(name)
        if isinstance(member, property | functools.cached_property):
            returned = inspect.signature(function).return_annotation
            if is_number(returned) and not has_unit(text_of(member), owner):
                left.append(name)
            continue
        meanings = meanings_of(name, member)
        for parameter, annotation in parameters_of(function).items():
            meaning = meanings.get(parameter, "")
            counts = is_number(annotation)
            if (
                not meaning
                or (counts and not has_unit(meaning, owner))
                or (counts and "None" in str(annotation) and not NONE.search(meaning))
            ):
                left.append(f"{name} {parameter}: {meaning[:100]}")

    assert not left, "\n".join(map(str, left))


NONE = re.compile(
    r"None|default|without|\bif\b|with no|may be left out|those of|that of", re.IGNORECASE
)
CHECKS = {"check_seconds": "ConfigurationError", "check_count": "ConfigurationError"}


def raised_by(function: Any) -> set[str]:
    """Return the errors of ours that *function* itself raises."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    called = {node.func.id for node in calls if isinstance(node.func, ast.Name)}
    raised = {
        node.exc.func.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Raise)
        and isinstance(node.exc, ast.Call)
        and isinstance(node.exc.func, ast.Name)
    }
    return (raised & ERRORS) | {error for check, error in CHECKS.items() if check in called}


def test_what_a_function_raises_itself_is_in_its_docstring() -> None:
    found = [
        (name, function_of(member), read_about(name, member)) for name, member in FUNCTIONS.items()
    ]
    for name, cls in CLASSES.items():
        method = vars(cls).get("__attrs_post_init__" if attrs.has(cls) else "__init__")
        if method is not None:
            function = inspect.unwrap(method)
            found.append((name, function, f"{whole_text_of(cls)}\n{text_of(function)}"))

    left = [
        (name, error)
        for name, function, text in found
        for error in raised_by(function)
        if error not in text
    ]
    assert not left, "\n".join(map(str, left))


def test_every_record_and_request_names_its_source() -> None:
    source = re.compile(r"https://|``(?:GET|POST|PATCH|DELETE) /v1/")

    assert [name for name in MODELS if not source.search(whole_text_of(CLASSES[name]))] == []


# ---------------------------------------------------------------- limits, and controls


@pytest.mark.parametrize(
    ("method", "argument", "limit"),
    [
        ("sigmamind.client.PhoneNumbers.create", "friendly_name", "128"),
        ("sigmamind.client.PhoneNumbers.create", "area_code", "100 to 99999"),
        ("sigmamind.client.PhoneNumbers.create", "inbound_agent_id", "64"),
        ("sigmamind.client.PhoneNumbers.import_", "termination_sip_uri", "253"),
        ("sigmamind.client.PhoneNumbers.list", "page_size", "1 to 1,000"),
        ("verbex.client.PhoneNumbers.list", "page_size", "1 to 100"),
        ("dialnexa.client.PhoneNumbers.import_sip_trunk", "nickname", "255"),
        ("dialnexa.client.PhoneNumbers.list", "page_size", "1 to 100"),
    ],
)
def test_a_limit_of_the_platform_is_in_it(method: str, argument: str, limit: str) -> None:
    text = text_of(FUNCTIONS[f"{PACKAGE}.platforms.{method}"])

    assert limit in explained(text)[argument]


def test_the_names_were_found() -> None:
    assert len(CLASSES) > 150
    assert len(FUNCTIONS) > 300
    assert len(MODELS) > 40
    assert len(MADE_BY_CALLERS) > 100


def test_what_is_missing_would_be_seen() -> None:
    """The negative control."""

    def wait(seconds: float, page: int | None = None) -> None:
        """Wait for *page*."""
        raise errors.PlanError

    assert parameters_of(wait).keys() - meanings_of("wait", wait).keys() == {"seconds"}
    assert is_number("int | None")
    assert not has_unit("How long to wait.", None)
    assert not NONE.search("Wait for *page*.")
    assert raised_by(errors.hint_at_arguments) == set()
    assert raised_by(Gate.__init__) == {"ConfigurationError"}
