"""A part that needs an extra says which, where that is not installed."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import cast

import pytest


@contextmanager
def without(package: str, missing: str) -> Iterator[None]:
    """Have *package* imported anew, on a machine that has no *missing*; leave no trace of it."""

    def taken() -> dict[str, ModuleType]:
        names = [name for name in sys.modules if f"{name}.".startswith(f"{package}.")]
        return {name: sys.modules.pop(name) for name in names}

    kept, theirs = taken(), sys.modules.get(missing)
    sys.modules[missing] = cast("ModuleType", None)
    try:
        yield
    finally:
        taken()
        del sys.modules[missing]
        sys.modules.update(kept if theirs is None else {**kept, missing: theirs})
        parent, _, leaf = package.rpartition(".")
        vars(sys.modules[parent]).pop(leaf, None)
        if package in kept:
            setattr(sys.modules[parent], leaf, kept[package])


@pytest.mark.parametrize("missing", ["cyclopts", "rich"])
def test_the_command_line_names_its_extra(missing: str, capsys: pytest.CaptureFixture[str]) -> None:
    with without("sigmamind_async.cli", missing):
        code = importlib.import_module("sigmamind_async.cli").main(["status", "j.db"])

    assert code == 2
    assert "sigmamind-async[cli]" in capsys.readouterr().err


def test_the_workers_name_their_extra() -> None:
    package = "sigmamind_async.workers"
    with (
        without(package, "procrastinate"),
        pytest.raises(ImportError, match="postgres") as caught,
    ):
        importlib.import_module(package)

    assert caught.value.name == "procrastinate"


def test_traces_name_their_extra() -> None:
    module = "sigmamind_async.integrations.opentelemetry"
    with without(module, "opentelemetry"), pytest.raises(ImportError, match=r"\[otel\]"):
        importlib.import_module(module)


def test_what_no_extra_brings_is_named_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    with without("sigmamind_async.workers", "attrs"), pytest.raises(ImportError, match="attrs"):
        importlib.import_module("sigmamind_async.workers")

    with without("sigmamind_async.cli", "attrs"):
        importlib.import_module("sigmamind_async.cli").main(["apply", "fleet.csv"])

    said = capsys.readouterr().err
    assert "cannot import attrs: " in said
    assert "[cli]" not in said
