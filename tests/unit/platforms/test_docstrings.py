"""``help()`` explains every argument of every method, limits included."""

import inspect
import re
from collections.abc import Callable
from typing import Any

import pytest

from sigmamind_async import DialNexa, SigmaMind, Verbex
from sigmamind_async.client import Resource

METHODS = {
    f"{type(client).__name__}.{name}.{method}": function
    for client in (SigmaMind("key"), Verbex("key"), DialNexa("key:secret"))
    for name, resource in vars(client).items()
    if isinstance(resource, Resource)
    for method, function in vars(type(resource)).items()
    if not method.startswith("_")
}


def arguments_of(method: Callable[..., Any]) -> set[str]:
    return {*inspect.signature(method).parameters} - {"self"}


@pytest.mark.parametrize("name", METHODS)
def test_every_argument_is_explained(name: str) -> None:
    """A look-up by a key needs no more than its first sentence."""
    method = METHODS[name]
    text = inspect.getdoc(method) or ""
    explained = {*re.findall(r"^    (?:\*\*)?(\w+): ", text, re.MULTILINE)}

    left = arguments_of(method) - explained
    assert left <= {"phone_number", "phone_number_id", "agent_id", "call_id", "id"}
    assert not left or len(arguments_of(method)) == 1


@pytest.mark.parametrize(
    ("name", "argument", "limit"),
    [
        ("SigmaMind.phone_numbers.create", "friendly_name", "128"),
        ("SigmaMind.phone_numbers.create", "area_code", "100 to 99999"),
        ("SigmaMind.phone_numbers.create", "inbound_agent_id", "64"),
        ("SigmaMind.phone_numbers.import_", "termination_sip_uri", "253"),
        ("SigmaMind.phone_numbers.list", "page_size", "1 to 1,000"),
        ("Verbex.phone_numbers.list", "page_size", "1 to 100"),
        ("DialNexa.phone_numbers.import_sip_trunk", "nickname", "255"),
        ("DialNexa.phone_numbers.list", "page_size", "1 to 100"),
    ],
)
def test_its_limit_is_in_it(name: str, argument: str, limit: str) -> None:
    text = inspect.getdoc(METHODS[name]) or ""
    explained = re.search(rf"^    {argument}: (.*(?:\n        .*)*)", text, re.MULTILINE)

    assert explained
    assert limit in explained[1]


def test_the_methods_were_found() -> None:
    """The control."""
    assert len(METHODS) > 30
