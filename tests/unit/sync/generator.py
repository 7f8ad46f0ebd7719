"""Writes the blocking classes of ``sigmamind_async/sync`` from the async ones: ``poe sync``.

One line for each method: `sigmamind_async.sync.blocking` makes it from the async method, whose
parameters and documentation it keeps.
"""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable
from pathlib import Path

from sigmamind_async.platforms.dialnexa.client import DialNexa
from sigmamind_async.platforms.sigmamind.client import SigmaMind
from sigmamind_async.platforms.verbex.client import Verbex
from sigmamind_async.provisioning.journal.memory import MemoryJournal
from sigmamind_async.provisioning.journal.postgres.journal import PostgresJournal
from sigmamind_async.provisioning.journal.sqlite.journal import SqliteJournal
from sigmamind_async.provisioning.provisioner import Provisioner

FOLDER = Path(__file__).parents[3] / "sigmamind_async/sync"

MODULES: dict[str, list[type]] = {
    "dialnexa": [DialNexa],
    "postgres_journal": [PostgresJournal],
    "provisioning": [MemoryJournal, Provisioner, SqliteJournal],
    "sigmamind": [SigmaMind],
    "verbex": [Verbex],
}
"""The async classes by the module of their blocking ones; a client's resources come with it."""

BASES = {"Provisioner": "ProvisionerBase"} | {
    cls.__name__: "ClientBase" for cls in (DialNexa, SigmaMind, Verbex)
}

INTERNAL = {
    *("add_key_fingerprint", "key_fingerprints", "last_applied", "put", "set_last_applied"),
    *("tagged_before", "with_key", "with_tokens"),
}
"""Methods of a journal that only a provisioner or a fleet calls."""

MADE_BY = {
    "AsyncGenerator": "blocking",  # of a context manager
    "BulkRun": "blocking",
    "Listing": "blocking",
    "ProvisioningRun": "blocking",
    "Self": "copying",
}
"""What makes a method that is no coroutine, by how the name of its result's type begins."""


def methods_of(cls: type) -> dict[str, str]:
    """Return the public methods of *cls*, and what makes each of them blocking."""
    members = {
        name: value
        for each in reversed(cls.__mro__)
        for name, value in vars(each).items()
        if inspect.isfunction(value)
    }
    return {
        name: kind
        for name, value in members.items()
        if not (name.startswith("_") or name in INTERNAL)
        if (kind := _made_by(value))
    }


def _made_by(method: Callable[..., object]) -> str:
    if inspect.iscoroutinefunction(method):
        return "blocking"
    returns = str(inspect.signature(method).return_annotation)
    return next((kind for start, kind in MADE_BY.items() if returns.startswith(start)), "")


def parts_of(thing: object) -> dict[str, object]:
    """Return the resources of a client, each an object of a class in the client's module."""
    names = [name for name in {**vars(type(thing)), **vars(thing)} if not name.startswith("_")]
    parts = {name: getattr(thing, name) for name in names}
    return {
        name: part
        for name, part in parts.items()
        if type(part).__module__ == type(thing).__module__
    }


def class_text(cls: type, parts: dict[str, object]) -> str:
    """Return the blocking class for *cls*."""
    name = cls.__name__
    source = f"{_module_of(cls)}.{name}"
    base = BASES.get(name) or ("JournalBase" if name.endswith("Journal") else "Blocking")
    doc = textwrap.indent(inspect.cleandoc(cls.__doc__ or ""), "    ").strip()
    doc = doc.replace("async with", "with")
    lines = [f"class {name}({base}):", f'    """{doc}']
    lines += ['    """' if "\n" in doc else lines.pop() + '"""', ""]
    if base == "ClientBase":
        lines += [f"    _async_class = {source}", ""]
    if parts:
        lines += [*(f"    {part}: {type(each).__name__}" for part, each in parts.items()), ""]
    if base == "JournalBase":
        lines += [
            f"    @constructing({source}.__init__)",
            "    def __init__(self, *args: Any, **settings: Any) -> None:",
            "        try:",
            f"            self._wrapped = {source}(*args, **settings)",
            "        finally:",
            "            del args, settings  # a password may be in them",
            "",
        ]
    lines += [
        f"    {each}: Final = {kind}({source}.{each})" for each, kind in methods_of(cls).items()
    ]
    return "\n".join(lines).rstrip() + "\n"


def _module_of(cls: type) -> str:
    return cls.__module__.rpartition(".")[2]


def module_text(classes: list[type]) -> str:
    """Return a module with the blocking classes for *classes* and for their resources."""
    texts: dict[type, str] = {}

    def add(cls: type, thing: object) -> None:
        parts = {} if thing is None else parts_of(thing)
        for part in parts.values():
            add(type(part), part)
        texts[cls] = class_text(cls, parts)

    for cls in classes:
        add(cls, cls("key:secret") if BASES.get(cls.__name__) == "ClientBase" else None)
    body = "\n\n".join(texts.values())
    sources = sorted(cls.__module__.rpartition(".") for cls in texts)
    imports = [f"from {package} import {module}" for package, _, module in dict.fromkeys(sources)]
    for module, names in (
        ("base", ("ClientBase", "JournalBase", "ProvisionerBase")),
        ("blocking", ("Blocking", "blocking", "constructing", "copying")),
    ):
        used = ", ".join(name for name in names if re.search(rf"\b{name}\(|\({name}\)", body))
        imports += [f"from sigmamind_async.sync.{module} import {used}"] if used else []
    typed = [name for name in ("Any", "Final") if re.search(rf"\b{name}\b", body)]
    typing = [f"from typing import {', '.join(typed)}", ""]
    head = [HEAD, "", *typing, *imports]
    return "\n".join([*head, "\n", body])


HEAD = '"""Blocking forms of async classes; generated by ``poe sync``, not to be edited."""'


def texts() -> dict[Path, str]:
    """Return the text of each generated module, by its path."""
    return {FOLDER / f"{name}.py": module_text(classes) for name, classes in MODULES.items()}


if __name__ == "__main__":
    for path, text in texts().items():
        path.write_text(text, encoding="utf-8")
