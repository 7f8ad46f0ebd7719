"""Fixtures for tests of applications: the platforms on this machine, and the ledger as judge.

pytest loads this module by itself where the package is installed. It imports nothing of the package
until a test asks for a fixture.

    @pytest.mark.sandbox(faults=0.2, seed=7)
    def test_an_order_buys_one_number(sandbox, sandbox_ledger):
        sandbox.sigmamind.script("create", ["reset_after_commit"])
        ...  # place an order in the application
        assert len(sandbox_ledger.purchases) == 1

The marker takes what `sandbox.Sandbox` takes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

if TYPE_CHECKING:
    from sigmamind_async.client import Client
    from sigmamind_async.sandbox import Ledger, Sandbox
    from sigmamind_async.sync.base import ClientBase
    from sigmamind_async.testing import FakeClock

    C = TypeVar("C", bound=Client | ClientBase)


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known to *config*."""
    config.addinivalue_line(
        "markers",
        "sandbox(faults=0.2, seed=7, duplicates=False, ...): how the sandbox of this test behaves;"
        " with duplicates=True, sandbox_ledger lets something be bought twice",
    )


def _options(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Return the options of the closest marker."""
    marker = request.node.get_closest_marker("sandbox")
    options = {} if marker is None else dict(marker.kwargs)
    if marker is not None and marker.args:
        raise TypeError("@pytest.mark.sandbox takes options by name: sandbox(faults=0.2, seed=7)")
    options.pop("duplicates", None)
    return options


@pytest.fixture
def sandbox(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """The three platforms on loopback, fresh for this test, in a thread of their own.

    ``SIGMAMIND_API_KEY``, ``SIGMAMIND_BASE_URL`` and those of the other platforms lead there, so an
    application that makes its clients from the environment needs no change, unless it makes them
    when it is imported: run its tests by ``sigmamind sandbox -- pytest``. Test clients that block
    work too: the sandbox is not on the test's event loop.
    """
    from sigmamind_async.sandbox import SandboxThread

    with SandboxThread(**_options(request)) as box:
        for endpoint in box.endpoints:
            for name, text in endpoint.environment.items():
                monkeypatch.setenv(name, text)
        yield box


@pytest.fixture
def sandbox_ledger(request: pytest.FixtureRequest) -> Iterator[Ledger]:
    """What the platforms really did. The test fails if anything was bought twice.

    It is the ledger of `sandbox_memory` in a test that uses that one, else of `sandbox`. Purchases
    that are still on their way at the end of the test are waited for.
    """
    in_memory = "sandbox_memory" in request.fixturenames
    found = request.getfixturevalue("sandbox_memory" if in_memory else "sandbox")
    box: Sandbox = found.box if in_memory else found
    yield box.ledger
    if not in_memory:
        box.wait_settled()
    marker = request.node.get_closest_marker("sandbox")
    if marker is None or not marker.kwargs.get("duplicates"):
        box.ledger.assert_once()


class MemorySandbox:
    """The platforms without sockets, in time that passes only when something waits.

    It is made by the fixture `sandbox_memory`; `box` is the sandbox, and `clock` its time.
    """

    def __init__(self, box: Sandbox, clock: FakeClock) -> None:
        self.box = box
        self.clock = clock

    def client(self, kind: type[C], **options: Any) -> C:  # noqa: ANN401 - those of the client
        """Return a client of the class *kind*, such as `SigmaMind`, that ends in this sandbox.

        It may be a blocking one, of `sigmamind_async.sync`. *options* are those of its constructor.
        """
        from sigmamind_async.testing import in_fake_time

        made: Any = kind
        source: Any = getattr(kind, "_async_class", kind)
        name = source.platform.name
        [endpoint] = [each for each in self.box.endpoints if each.name == name]
        client = source(endpoint.api_key, transport=self.box.transport(name), **options)
        client = in_fake_time(client, self.clock)
        return client if source is kind else made.wrap(client, None)  # type: ignore[no-any-return]


@pytest.fixture
def sandbox_memory(request: pytest.FixtureRequest) -> MemorySandbox:
    """The platforms in memory: hours of waiting take milliseconds; see `MemorySandbox`."""
    from sigmamind_async.sandbox import Sandbox
    from sigmamind_async.testing import FakeClock

    clock = FakeClock()
    return MemorySandbox(Sandbox(clock=clock, **_options(request)), clock)
