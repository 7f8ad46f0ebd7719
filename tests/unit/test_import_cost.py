"""Importing the package is cheap, and brings neither server nor command line."""

import subprocess
import sys

import pytest


def loaded_by(statement: str) -> set[str]:
    """Return the modules that *statement* adds to those of a bare interpreter."""
    program = f"import sys; bare = set(sys.modules); {statement}; print(*(set(sys.modules) - bare))"
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60
    )
    return set(done.stdout.split())


def under(package: str, modules: set[str]) -> set[str]:
    return {name for name in modules if f"{name}.".startswith(f"{package}.")}


def test_importing_the_package_loads_nothing_else_of_ours() -> None:
    """The front door is lazy: a name is imported when it is first used."""
    loaded = loaded_by("import sigmamind_async")

    assert under("sigmamind_async", loaded) == {"sigmamind_async"}
    assert not under("aiohttp", loaded)
    assert not under("cattrs", loaded)


@pytest.mark.parametrize("vendor", ["sigmamind"])
def test_importing_models_alone_loads_no_client(vendor: str) -> None:
    """A program that only handles values pays for no HTTP library."""
    loaded = loaded_by(f"import sigmamind_async.platforms.{vendor}.models")

    assert not under("aiohttp", loaded)
    assert not under("sigmamind_async.engine", loaded)
    assert not under("sigmamind_async.cli", loaded)
    assert not under("sigmamind_async.sandbox", loaded)


@pytest.mark.parametrize("client", ["SigmaMind"])
def test_a_client_loads_neither_server_nor_command_line(client: str) -> None:
    loaded = loaded_by(f"from sigmamind_async import {client}")

    assert not under("aiohttp.web", loaded)
    assert not under("sigmamind_async.cli", loaded)
    assert not under("sigmamind_async.sandbox", loaded)
    assert not under("sigmamind_async.testing", loaded)


def test_a_name_of_the_front_door_is_imported_on_use() -> None:
    """The control: what the first test does not see would be seen had it been loaded."""
    loaded = loaded_by("import sigmamind_async; sigmamind_async.SigmaMind")

    assert under("aiohttp", loaded)
    assert "sigmamind_async.transport" in loaded


def test_a_first_client_loads_nothing_that_only_requests_need() -> None:
    """Nor what its first request needs: the converter, and the version for its headers."""
    loaded = loaded_by("from sigmamind_async import SigmaMind; SigmaMind('key')")

    assert under("aiohttp", loaded)  # the control
    assert not under("tenacity", loaded)
    assert not under("html", loaded)
    assert not under("importlib.metadata", loaded)
    assert not under("cattrs", loaded)
    assert "sigmamind_async.convert.converter" not in loaded


def test_the_converter_is_imported_with_the_first_body() -> None:
    """The control of the test before: what reads an answer is there as soon as one comes."""
    loaded = loaded_by(
        "from sigmamind_async.platforms.sigmamind.models import PhoneNumber;"
        "from sigmamind_async.convert import dump_json, load_json, structure;"
        "structure(load_json(dump_json({})), PhoneNumber)"
    )

    assert under("cattrs", loaded)
    assert "sigmamind_async.convert.converter" in loaded


WITHOUT_A_READER = """
import asyncio, sys
sys.modules["cattrs"] = None  # an installation that lacks it
from sigmamind_async import SigmaMind
from sigmamind_async.testing import ScriptedTransport, reply
transport = ScriptedTransport(lambda _: reply(201, {"sipPhoneNumber": "+14155550100"}))
client = SigmaMind("key", transport=transport)
try:
    asyncio.run(client.phone_numbers.create(country_code="US"))
except ImportError as error:
    print(error.name, len(transport.sent))
"""


def test_what_reads_an_answer_is_there_before_a_purchase_leaves() -> None:
    """Fails where the converter is imported with the answer: the number is bought by then."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_A_READER], check=True, capture_output=True, text=True
    )

    assert done.stdout.split() == ["cattrs", "0"]
