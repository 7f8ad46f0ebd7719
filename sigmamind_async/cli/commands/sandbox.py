"""``sigmamind sandbox`` and ``sigmamind demo``: copies of the platforms, with faults on request."""

from __future__ import annotations

import itertools
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Final, cast

from cyclopts import Parameter
from cyclopts.validators import Number

from sigmamind_async.cli.errors import CommandError, Exit
from sigmamind_async.cli.options import POSTGRES_OPTION, Json, WholeNumber

if TYPE_CHECKING:  # they are imported when the command runs
    from sigmamind_async.cli.output.console import Output
    from sigmamind_async.cli.output.events import SandboxEndpoint
    from sigmamind_async.sandbox import Sandbox, SandboxSettings

_PLATFORMS: Final = 3


def sandbox(
    *command: Annotated[str, Parameter(allow_leading_hyphen=True, metavar="-- COMMAND")],
    port: Annotated[WholeNumber, Parameter(group="Server", validator=Number(gte=0, lte=65533))] = 0,
    state: Annotated[Path | None, Parameter(group="Server")] = None,
    detach: Annotated[bool, Parameter(group="Server")] = False,
    faults: Annotated[float, Parameter(group="Faults", validator=Number(gte=0, lte=1))] = 0.0,
    rate: Annotated[float | None, Parameter(group="Faults", validator=Number(gt=0))] = None,
    seed: Annotated[WholeNumber, Parameter(group="Faults")] = 0,
    json: Json = False,
) -> int:
    """Run a copy of each platform on loopback until Ctrl-C, or until a command has ended.

    Args:
        command: Command to run with the environment set; its exit code is returned.
        port: First of three consecutive ports; 0 picks free ones.
        state: File that keeps numbers and ledger across restarts.
        detach: Serve in the background: eval "$(sigmamind sandbox --detach)" sets the environment;
            kill $SIGMAMIND_SANDBOX_PID ends it.
        faults: Share of the requests that go wrong, 0 to 1.
        rate: Requests per second that each platform admits. Default: no limit.
        seed: Seed of the faults.
    """
    from sigmamind_async.cli.loop import run
    from sigmamind_async.cli.output.console import Output
    from sigmamind_async.sandbox import RateLimit, Sandbox, SandboxThread, StateFileError

    if command and (detach or json):
        raise CommandError(f"{'--detach' if detach else '--json'} does not apply with a command")
    output = Output(json=json)
    if detach:
        words = [f"--port={port}", f"--faults={faults}", f"--seed={seed}"]
        words += [] if state is None else [f"--state={state}"]
        words += [] if rate is None else [f"--rate={rate}"]
        return _detach(words, output)
    limit = None if rate is None else RateLimit(per_second=rate, burst=max(1, round(rate)))
    settings: SandboxSettings = {
        "seed": seed,
        "faults": faults,
        "rate_limit": limit,
        "state_file": state,
        "port": port,
    }
    try:
        if not command:
            run(_serve(Sandbox(**settings), output))
            return Exit.DONE
        with SandboxThread(**settings) as box:
            return _run_command(command, box, output)
    except StateFileError as error:
        raise CommandError(str(error)) from None


async def _serve(box: Sandbox, output: Output) -> None:
    """Serve until Ctrl-C or SIGTERM; stdout gets what a shell can source, stderr the rest."""
    import asyncio  # a quarter of what --help costs

    from sigmamind_async.cli.loop import on_interrupt
    from sigmamind_async.cli.output.events import SandboxEndpoint

    ended = asyncio.Event()
    with on_interrupt(ended.set):
        async with box:
            endpoints = [
                SandboxEndpoint(
                    platform=each.name,
                    base_url=each.base_url,
                    api_key=each.api_key,
                    openapi_url=f"{each.base_url}/openapi.json",
                    pid=os.getpid(),
                    environment=each.environment,
                )
                for each in box.endpoints
            ]
            _show_endpoints(endpoints, output)
            output.log("Running until Ctrl-C.")
            await ended.wait()
        _log_verdict(box, output)


def _show_endpoints(endpoints: Sequence[SandboxEndpoint], output: Output) -> None:
    from sigmamind_async.cli.output.events import SandboxStarted

    output.log(f"{'platform':<9}  {'base URL':<22}  API key")
    for each in endpoints:
        output.log(f"{each.platform:<9}  {each.base_url:<22}  {each.api_key}")
    output.log("Each serves its OpenAPI document at /openapi.json.")
    output.log()
    output.show(SandboxStarted(tuple(endpoints)))


def _log_verdict(box: Sandbox, output: Output) -> None:
    for finding in box.ledger.verdict().splitlines():
        output.log(finding)


def _run_command(command: Sequence[str], box: Sandbox, output: Output) -> int:
    """Run *command* against *box* to its end, and return its exit code as a shell does."""
    import subprocess  # a tenth of what --help costs

    process: subprocess.Popen[bytes] | None = None
    is_ended = False

    def end(*_: object) -> None:
        nonlocal is_ended
        is_ended = True
        if process is not None:
            process.terminate()

    # Ctrl-C reaches the command as well: it decides what that means.
    signal.signal(signal.SIGINT, lambda _number, _frame: None)
    signal.signal(signal.SIGTERM, end)
    environment = {key: text for each in box.endpoints for key, text in each.environment.items()}
    try:
        process = subprocess.Popen(command, env=os.environ | environment)  # noqa: S603 - the user's
    except OSError as error:
        code = 127 if isinstance(error, FileNotFoundError) else 126
        raise CommandError(f"{command[0]}: {error.strerror}", code) from None
    if is_ended:  # before the command had begun
        process.terminate()
    code = process.wait()
    _log_verdict(box, output)
    return 128 - code if code < 0 else code


def _detach(words: Sequence[str], output: Output) -> int:
    """Start a sandbox in a new session, and show its addresses once it serves them."""
    import json
    import subprocess

    from sigmamind_async.cli.output.events import SandboxEndpoint

    folders = filter(None, [str(Path(__file__).parents[3]), os.environ.get("PYTHONPATH")])
    process = subprocess.Popen(  # noqa: S603 - this program
        # -P: a module of the current folder must not take the place of Python's.
        [sys.executable, "-P", "-m", "sigmamind_async", "sandbox", "--json", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(folders)},
        start_new_session=True,
    )
    try:
        with cast("IO[bytes]", process.stdout) as lines:
            found = [json.loads(line) for line in itertools.islice(lines, _PLATFORMS)]
    except BaseException:  # Ctrl-C does not reach another session
        process.kill()
        raise
    if len(found) < _PLATFORMS:
        raise CommandError(found[-1]["message"] if found else "the sandbox did not start")
    for each in found:
        del each["type"], each["version"]
    _show_endpoints([SandboxEndpoint(**each) for each in found], output)
    if output.closed:  # its address and process id could not be shown
        process.terminate()
    else:
        output.log(f"Running as process {process.pid}; stop it with: kill {process.pid}")
    return Exit.DONE


# ---------------------------------------------------------------- demo


def demo(
    *,
    seed: Annotated[WholeNumber, Parameter(group="Sandbox")] = 1,
    rows: Annotated[
        WholeNumber | None, Parameter(group="Sandbox", validator=Number(gte=12, lte=10_000))
    ] = None,
    keep: Annotated[Path | None, Parameter(group="Output", metavar="DIR")] = None,
    workers: Annotated[
        WholeNumber | None, Parameter(group="Workers", validator=Number(gte=2, lte=20))
    ] = None,
    postgres: Annotated[str | None, Parameter(name=POSTGRES_OPTION, group="Workers")] = None,
    json: Json = False,
) -> int:
    """Kill an apply, run it again, and show what was bought.

    Args:
        seed: Seed of the fleet and of the faults.
        rows: Rows of the fleet. Default: 240, with workers 120.
        keep: New folder in which the files of the demo are kept.
        workers: Apply the fleet with this many worker processes, and kill one of them.
        postgres: PostgreSQL server on which a database may be created and dropped: a DSN, env:NAME
            or file:PATH. Default: a server that runs only for the demo.
    """
    if workers is None and postgres is not None:
        raise CommandError(f"{POSTGRES_OPTION} is for workers: say how many, --workers 3")
    from sigmamind_async.cli.demo.local import show_demo

    count = rows or (240 if workers is None else 120)
    return show_demo(
        seed=seed, rows=count, keep=keep, workers=workers, postgres=postgres, json=json
    )
