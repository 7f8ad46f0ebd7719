"""The command line on uvloop, which it takes where it is installed, and on asyncio's own loop."""

from __future__ import annotations

import asyncio
import gc
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sigmamind_async.cli.loop import new_loop, on_interrupt

if TYPE_CHECKING:
    from tests.cli.conftest import Cli, Wait

BUY = ("--max-purchases", 400, "--yes", "--json")
NOT_INSTALLED = "raise ImportError('not installed')\n"


@pytest.fixture(params=["asyncio", "uvloop"])
def on_loop(request: pytest.FixtureRequest, cli: Cli, tmp_path: Path) -> str:
    """Have the commands of this test run on that loop; asyncio's by there being no uvloop."""
    if request.param == "asyncio":
        hidden = tmp_path / "hidden"
        hidden.mkdir()
        (hidden / "uvloop.py").write_text(NOT_INSTALLED)
        known = cli.environment.get("PYTHONPATH", "").split(":")
        cli.environment["PYTHONPATH"] = ":".join(filter(None, [str(hidden), *known]))
    return str(request.param)


def test_garbage_is_collected_again_once_a_loop_is_there() -> None:
    """Starting the command makes none, and is quicker where it is not looked for."""
    gc.disable()
    try:
        with new_loop():
            assert gc.isenabled()
    finally:
        gc.enable()


def test_uvloop_is_taken_where_it_is_installed() -> None:
    pytest.importorskip("uvloop")

    with new_loop() as one:
        assert type(one.get_loop()).__module__ == "uvloop"


def test_without_it_the_loop_is_that_of_asyncio(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)

    with new_loop() as one:
        assert isinstance(one.get_loop(), asyncio.SelectorEventLoop)


class WithoutSignals(asyncio.SelectorEventLoop):
    """A loop as on Windows, which passes no signal on."""

    def add_signal_handler(self, *_: object) -> None:
        raise NotImplementedError

    def remove_signal_handler(self, *_: object) -> bool:
        raise NotImplementedError


@pytest.mark.parametrize("loop", [asyncio.SelectorEventLoop, WithoutSignals])
def test_ctrl_c_is_heard_on_every_kind_of_loop(
    loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    """Where a loop passes no signal on, Python's own handler does."""
    before = signal.getsignal(signal.SIGINT)

    async def main() -> None:
        heard = asyncio.Event()
        with on_interrupt(heard.set):
            signal.raise_signal(signal.SIGINT)
            await heard.wait()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(main())
    assert signal.getsignal(signal.SIGINT) is before


def test_an_interrupted_job_is_settled_and_goes_on(on_loop: str, cli: Cli, until: Wait) -> None:
    """Signals reach both loops: nothing is unconfirmed after one, and nothing is bought twice."""
    cli.box.latency = (0.3, 0.3)
    path = cli.fleet(40)
    process = cli.start("apply", path, *BUY)
    until(lambda: len(cli.box.ledger.purchases) >= 1)
    process.send_signal(signal.SIGINT)
    stopped = cli.ended(process)
    cli.box.latency = (0.0, 0.0)
    again = cli("apply", path, *BUY)

    assert (stopped.code, stopped.summary["stopped"]) == (130, "interrupted"), on_loop
    assert stopped.summary["unconfirmed"] == 0
    assert stopped.summary["skipped"] > 0
    assert again.code == 0
    assert cli.labels() == sorted(f"n{number}" for number in range(40))


def test_a_second_interruption_leaves_rows_in_doubt(on_loop: str, cli: Cli, until: Wait) -> None:
    cli.box.sigmamind.script("create", ["hang_before_commit"] * 30)
    process = cli.start("apply", cli.fleet(30), *BUY[:-1])
    until(lambda: cli.box.sigmamind.in_flight >= 10)
    process.send_signal(signal.SIGTERM)
    assert process.stderr is not None
    heard = b""
    while b"settling requests under way" not in heard:
        heard = process.stderr.readline()
        assert heard
    process.send_signal(signal.SIGTERM)
    done = cli.ended(process)

    assert done.code == 130, on_loop
    ends = re.findall("^(unconfirmed|skipped) ", done.out, re.MULTILINE)
    assert len(ends) == 30
    assert ends.count("unconfirmed") >= 10
    assert ends.count("skipped") >= 10
