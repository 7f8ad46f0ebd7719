"""What holds for every test: patience, the order they start in, and what is not measured."""

from __future__ import annotations

import gc
import importlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Generator, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, find, settings
from hypothesis.strategies import none

if TYPE_CHECKING:
    from tests.harness.postgres import Server

ROOT = Path(__file__).parent.parent

# No limit on the time of an example or of making one, since a busy machine is not a failing test.
settings.register_profile(
    "patient", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("brief", settings.get_profile("patient"), max_examples=20)
settings.load_profile("patient")

# Tests start hundreds of processes. Told to keep no bytecode, each would compile the package anew.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# And aiohttp, when it is imported, reads the certificates of a hundred authorities, which takes a
# seventh of its import. The tests trust none of them.
os.environ["SSL_CERT_FILE"] = os.devnull

# A shell lets what it runs in the background ignore SIGINT, nohup lets it ignore SIGHUP, and every
# process of that as well.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
HANGUP = getattr(signal, "SIGHUP", None)
if HANGUP is not None and signal.getsignal(HANGUP) is signal.SIG_IGN:
    signal.signal(HANGUP, signal.SIG_DFL)


@pytest.fixture(autouse=True)
def _process_as_before() -> Iterator[None]:
    """Undo what a command changes for the rest of its process, where a test runs it in this one.

    After an interrupt SIGHUP is ignored, as it then is in each process that a later test starts;
    ``--log-file`` turns the log on.
    """
    log = logging.getLogger("sigmamind_async")
    level, handlers = log.level, [*log.handlers]
    yield
    if HANGUP is not None and signal.getsignal(HANGUP) is signal.SIG_IGN:
        signal.signal(HANGUP, signal.SIG_DFL)
    if (log.level, log.handlers) != (level, handlers):
        log.handlers[:] = handlers
        log.setLevel(level)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak", action="store_true", help="run the tests marked soak in full size")


@pytest.fixture
def soak(request: pytest.FixtureRequest) -> bool:
    """Return whether the test is to run in full size, which takes minutes, or in a smaller one."""
    return bool(request.config.getoption("--soak"))


@pytest.fixture
def unmeasured() -> Iterator[None]:
    """Measure no coverage in a test that asks for this.

    For what does the same thing many times: it reaches little that other tests do not, and takes
    up to five times as long measured. The coverage gate only becomes harder to pass.
    """
    # The fixture no_cover of pytest-cov stops one tracer, and under xdist there is a second.
    tracer, of_threads = sys.gettrace(), threading.gettrace()
    sys.settrace(None)
    threading.settrace(None)
    yield
    sys.settrace(tracer)
    threading.settrace(of_threads)


@pytest.fixture
def covered_processes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure coverage in the test's processes, too, where it is measured at all.

    For what nothing but a process reaches: measured, each takes twice as long to start.
    """
    if request.config.pluginmanager.has_plugin("_cov"):
        root = request.config.rootpath
        monkeypatch.setenv("COVERAGE_PROCESS_START", str(root / "pyproject.toml"))
        monkeypatch.setenv("COVERAGE_FILE", str(root / ".coverage"))


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A PostgreSQL server for all tests of this process: made in a second, by the first of them."""
    from tests.harness.postgres import running

    with running() as server:
        yield server


def _import_in_another_order(config: pytest.Config) -> None:
    """Import the tests, from another one on in each worker, so that not every worker compiles all.

    In a new checkout nothing is compiled, and all workers start at the same time.
    """
    worker = getattr(config, "workerinput", None)
    if worker is None or config.args_source is config.ArgsSource.ARGS:
        return  # there is one process, or only some of the tests are asked for
    modules = sorted(path.relative_to(ROOT) for path in ROOT.glob("tests/**/test_*.py"))
    first = len(modules) * int(worker["workerid"].removeprefix("gw")) // worker["workercount"]
    for path in modules[first:] + modules[:first]:
        with suppress(Exception, pytest.skip.Exception):  # whoever collects it says why
            importlib.import_module(".".join(path.with_suffix("").parts))


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Collect no garbage while the tests are collected, and never look at them for it.

    They all live to the end, and so do their results, and to look at so many takes half a second:
    so full collections are rare, too.
    """
    gc.disable()
    _import_in_another_order(session.config)
    try:
        return (yield)
    finally:
        # Hypothesis asks the collector who holds its generator, and what is frozen does not count.
        find(none(), lambda _: True, random=Random(0))
        gc.freeze()
        gc.enable()
        young, middle, _ = gc.get_threshold()
        gc.set_threshold(young, middle, 100)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let each worker start with its share of what takes long.

    So none is left alone with it in the end. Each gets its part of the list, and those that are
    done first steal from the others (``--dist worksteal``).
    """
    workers = getattr(config, "workerinput", {"workercount": 1})["workercount"]
    long = [item for item in items if item.get_closest_marker("long")]
    others = iter([item for item in items if not item.get_closest_marker("long")])
    ordered: list[pytest.Item] = []
    for index in range(workers):
        part = (len(items) - len(ordered)) // (workers - index)
        share = long[index::workers]
        ordered += [*share, *islice(others, max(0, part - len(share)))]
    items[:] = [*ordered, *others]
