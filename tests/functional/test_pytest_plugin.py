"""The plugin as an application's tests use it: no conftest, and the ledger as judge."""

from __future__ import annotations

import re
from importlib.metadata import entry_points
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.usefixtures("covered_processes")

INSTALLED = bool(entry_points(group="pytest11", name="sigmamind_async"))
PLUGIN = (
    # Where the package is installed, pytest loads its plugin by itself, and refuses it twice.
    *(() if INSTALLED else ("-p", "sigmamind_async.integrations.pytest")),
    "-p",
    "no:randomly",
    "-p",
    "no:cacheprovider",
)

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "sigmamind_async/docs/how-to/test-your-code.md"]
[SHOWN_TEST] = {
    text
    for page in PAGES
    for text in re.findall(
        r"^```python pytest\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL
    )
}

APPLICATION = """
from sigmamind_async import SigmaMind
from sigmamind_async.provisioning import Provisioner, SqliteJournal
from sigmamind_async.platforms.sigmamind.models import CreatePhoneNumber


async def place_order(order):
    async with SigmaMind() as client, SqliteJournal("orders.db") as journal:
        return await Provisioner(client, journal).run(
            order, CreatePhoneNumber(country_code="US", friendly_name="Desk")
        )
"""

CARELESS = """
import asyncio
import pytest
from sigmamind_async import SigmaMind
from sigmamind_async.errors import OutcomeUnknownError


async def buy_again_on_error():
    async with SigmaMind() as client:
        try:
            await client.phone_numbers.create(country_code="US", friendly_name="Desk")
        except OutcomeUnknownError:
            await client.phone_numbers.create(country_code="US", friendly_name="Desk")


def test_careless(sandbox, sandbox_ledger):
    sandbox.sigmamind.script("create", ["reset_after_commit"])
    asyncio.run(buy_again_on_error())


def test_careless_and_late(sandbox, sandbox_ledger):
    sandbox.sigmamind.script("create", ["late_commit"])  # half a second after the test
    asyncio.run(buy_again_on_error())


def test_careless_in_memory(sandbox_memory, sandbox_ledger):
    async def main():
        client = sandbox_memory.client(SigmaMind)
        for _ in range(2):
            await client.phone_numbers.create(country_code="US", friendly_name="Desk")

    asyncio.run(main())


@pytest.mark.sandbox(duplicates=True)
def test_careless_and_allowed(sandbox, sandbox_ledger):
    sandbox.sigmamind.script("create", ["reset_after_commit"])
    asyncio.run(buy_again_on_error())
"""

OPTIONS = """
import asyncio
import os
import pytest
from sigmamind_async import DialNexa, SigmaMind, Verbex


@pytest.mark.sandbox(faults=0.25, seed=7, latency=(0.0, 0.0))
def test_options(sandbox):
    assert (sandbox.faults.share, sandbox.seed) == (0.25, 7)


@pytest.mark.sandbox(0.2)
@pytest.mark.xfail(raises=TypeError, strict=True, reason="options have names")
def test_options_without_a_name(sandbox):
    pass


@pytest.mark.sandbox(fault=0.2)
@pytest.mark.xfail(raises=TypeError, strict=True, reason="no such option")
def test_options_that_do_not_exist(sandbox):
    pass


def test_every_test_has_its_own(sandbox):
    assert (sandbox.faults.share, sandbox.seed, len(sandbox.ledger)) == (0.0, 0, 0)


@pytest.mark.parametrize("kind", [SigmaMind, Verbex, DialNexa])
def test_each_platform_is_reached_through_the_environment(sandbox, kind):
    async def count():
        async with kind() as client:
            return len([number async for number in client.phone_numbers.list()])

    assert asyncio.run(count()) == 0


def test_nothing_is_left_in_the_environment():
    assert "SIGMAMIND_BASE_URL" not in os.environ


def test_hours_take_no_time(sandbox_memory):
    async def main():
        client = sandbox_memory.client(SigmaMind, deadline=100_000.0, attempt_timeout=50_000.0)
        sandbox_memory.box.sigmamind.script("list", ["hang_before_commit"] * 2)
        sandbox_memory.box.faults = __import__("attrs").evolve(
            sandbox_memory.box.faults, hang=7_200.0
        )
        before = sandbox_memory.clock()
        assert [number async for number in client.phone_numbers.list()] == []
        return sandbox_memory.clock() - before

    assert asyncio.run(main()) > 14_400.0
"""


RUNNERS = """
import contextlib
import fastapi
import pytest
from fastapi.testclient import TestClient
from sigmamind_async import SigmaMind, sync


@contextlib.asynccontextmanager
async def lifespan(app):
    async with SigmaMind() as app.state.client:
        yield


app = fastapi.FastAPI(lifespan=lifespan)


@app.post("/orders")
async def place_order():
    number = await app.state.client.phone_numbers.create(country_code="US")
    return number.sip_phone_number


@pytest.fixture
def anyio_backend():
    return "asyncio"


def test_a_client_that_blocks_the_thread_of_its_test(sandbox, sandbox_ledger):
    with TestClient(app) as client:
        number = client.post("/orders").json()
    assert sandbox_ledger.owned() == [number]


@pytest.mark.anyio
async def test_under_anyio(sandbox, sandbox_ledger):
    async with SigmaMind() as client:
        await client.phone_numbers.create(country_code="US")
    await sandbox.settled()
    assert len(sandbox_ledger.purchases) == 1


def test_a_client_that_blocks_in_memory(sandbox_memory, sandbox_ledger):
    sandbox_memory.client(sync.SigmaMind).phone_numbers.create(country_code="US")
    assert len(sandbox_ledger.purchases) == 1


@pytest.mark.asyncio
async def test_under_pytest_asyncio(sandbox_memory, sandbox_ledger):
    await sandbox_memory.client(SigmaMind).phone_numbers.create(country_code="US")
    assert len(sandbox_ledger.purchases) == 1
"""


def test_the_test_that_readme_and_guide_show_passes(pytester: pytest.Pytester) -> None:
    """It needs no conftest, and eight lines."""
    pytester.makepyfile(myapp=APPLICATION, test_orders=SHOWN_TEST)
    pytester.runpytest_subprocess(*PLUGIN).assert_outcomes(passed=1)


def test_one_that_does_buy_again_fails(pytester: pytest.Pytester) -> None:
    """The control: the ledger is looked at, unless the marker says otherwise."""
    pytester.makepyfile(test_careless=CARELESS)
    result = pytester.runpytest_subprocess(*PLUGIN)

    result.assert_outcomes(passed=4, errors=3)
    result.stdout.fnmatch_lines(["*AssertionError: bought twice: Desk: +*"] * 3)


def test_the_marker_sets_how_the_sandbox_behaves(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_options=OPTIONS)
    pytester.runpytest_subprocess(*PLUGIN, "--strict-markers").assert_outcomes(passed=7, xfailed=2)


def test_it_works_with_other_plugins_and_with_clients_that_block(
    pytester: pytest.Pytester,
) -> None:
    """The sandbox is on no event loop of a test, and no test shares one with another."""
    pytest.importorskip("fastapi")
    pytester.makepyfile(test_runners=RUNNERS)
    pytester.runpytest_subprocess(*PLUGIN).assert_outcomes(passed=4)


def test_the_plugin_alone_imports_nothing_of_the_package(pytester: pytest.Pytester) -> None:
    """It is loaded in each test run of everybody who has the package installed."""
    pytester.makepyfile(
        """
        import sys

        def test_nothing_is_imported():
            names = {name for name in sys.modules if name.startswith("sigmamind_async")}
            assert names <= {
                "sigmamind_async",
                "sigmamind_async.integrations",
                "sigmamind_async.integrations.pytest",
            }
            assert not {"aiohttp", "attrs", "orjson", "msgspec"} & set(sys.modules)
        """
    )
    pytester.runpytest_subprocess(
        *PLUGIN, "-p", "no:anyio", "-p", "no:hypothesispytest", "-p", "no:asyncio"
    ).assert_outcomes(passed=1)
