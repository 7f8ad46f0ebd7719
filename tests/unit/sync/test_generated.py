"""The blocking classes are those of the async ones, method by method."""

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

from sigmamind_async import sync
from sigmamind_async.client import Client
from sigmamind_async.platforms.dialnexa.client import DialNexa
from sigmamind_async.platforms.sigmamind import client
from sigmamind_async.platforms.sigmamind.client import SigmaMind
from sigmamind_async.platforms.verbex.client import Verbex
from sigmamind_async.provisioning.provisioner import Provisioner
from sigmamind_async.sync.blocking import blocking
from tests.unit.sync import generator
from tests.unit.sync.generator import FOLDER, MODULES, parts_of, texts

ASYNC_ONLY = {"runner", "platform", "operations"}
"""What only packages use that build on the async clients."""

CLIENTS = [DialNexa, SigmaMind, Verbex]


def formatted(text: str) -> str:
    ruff = [sys.executable, "-m", "ruff", "format", "--stdin-filename", str(FOLDER / "x.py"), "-"]
    return subprocess.run(ruff, input=text, capture_output=True, text=True, check=True).stdout


def test_the_modules_are_what_poe_sync_writes() -> None:
    pytest.importorskip("ruff")
    assert {path.name: path.read_text("utf-8") for path in texts()} == {
        path.name: formatted(text) for path, text in texts().items()
    }


def test_a_method_that_was_added_would_be_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control."""

    async def swap(self: object) -> None: ...

    monkeypatch.setattr(client.PhoneNumbers, "swap", swap, raising=False)
    module = generator.module_text(MODULES["sigmamind"])

    assert "    swap: Final = blocking(client.PhoneNumbers.swap)\n" in module


def public_names(thing: object) -> set[str]:
    return {name for name in dir(thing) if not name.startswith("_")} - ASYNC_ONLY


@pytest.mark.parametrize("source", CLIENTS)
def test_a_blocking_client_has_everything_that_the_async_one_has(source: type[Client]) -> None:
    asynchronous = source("key:secret")
    made = getattr(sync, source.__name__)("key:secret")
    pairs: list[tuple[object, object]] = [(asynchronous, made)]
    pairs += [(part, getattr(made, name)) for name, part in parts_of(asynchronous).items()]

    missing = [
        f"{type(ours).__name__}.{name}"
        for theirs, ours in pairs
        for name in sorted(public_names(theirs))
        if not hasattr(ours, name)
    ]
    assert missing == []


def test_a_blocking_provisioner_has_every_method() -> None:
    assert public_names(Provisioner) - public_names(sync.Provisioner) == {"lease"}


def test_a_method_keeps_its_parameters_and_its_documentation() -> None:
    made, source = sync.SigmaMind("key").phone_numbers.list, client.PhoneNumbers.list
    ours, theirs = inspect.signature(made), inspect.signature(source)

    assert list(ours.parameters.values()) == list(theirs.parameters.values())[1:]
    assert ours.return_annotation == "Listing[PhoneNumber]"
    assert inspect.getdoc(made) == inspect.getdoc(source)
    assert not inspect.iscoroutinefunction(sync.SigmaMind("key").phone_numbers.get)


def test_a_shell_completes_what_was_not_used_yet() -> None:
    assert {"phone_numbers", "with_raw_response", "close"} <= {*dir(sync.SigmaMind("key"))}


def test_documentation_speaks_of_plain_loops() -> None:
    made = blocking(client.SigmaMind.run_many)

    assert "``async for``" in (client.SigmaMind.run_many.__doc__ or "")
    assert "with ``for``." in (made.__doc__ or "")


def test_a_name_that_is_not_there_is_refused() -> None:
    with pytest.raises(AttributeError, match="retrieve"):
        _ = getattr(sync.SigmaMind("key").phone_numbers, "retrieve")  # noqa: B009 - see the types


def test_the_package_imports_none_of_it() -> None:
    check = "import sys, sigmamind_async; print([n for n in sys.modules if '.sync' in n])"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"
    assert Path(FOLDER, "__init__.py").is_file()
