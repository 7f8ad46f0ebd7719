"""``sigmamind sandbox`` and ``sigmamind demo``: copies of the platforms, with faults on request."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from sigmamind_async.cli.errors import CommandError, Exit
from sigmamind_async.cli.options import POSTGRES_OPTION, Json, WholeNumber

if TYPE_CHECKING:  # they are imported when the command runs
    from sigmamind_async.cli.output.console import Output
    from sigmamind_async.sandbox import Sandbox


def sandbox(
    *,
    port: Annotated[
        WholeNumber,
        Parameter(
            group="Server",
            validator=Number(gte=0, lte=65533),
            help="First of three consecutive ports; 0 picks free ones.",
        ),
    ] = 0,
    state: Annotated[
        Path | None,
        Parameter(group="Server", help="File that keeps numbers and ledger across restarts."),
    ] = None,
    faults: Annotated[
        float,
        Parameter(
            group="Faults",
            validator=Number(gte=0, lte=1),
            help="Share of the requests that go wrong, 0 to 1.",
        ),
    ] = 0.0,
    rate: Annotated[
        float | None,
        Parameter(
            group="Faults",
            validator=Number(gt=0),
            help="Requests per second that each platform admits. Default: no limit.",
        ),
    ] = None,
    seed: Annotated[WholeNumber, Parameter(group="Faults", help="Seed of the faults.")] = 0,
    json: Json = False,
) -> int:
    """Run a copy of each platform on loopback until Ctrl-C."""
    from sigmamind_async.cli.loop import run
    from sigmamind_async.cli.output.console import Output
    from sigmamind_async.sandbox import Faults, RateLimit, Sandbox, StateFileError

    limit = None if rate is None else RateLimit(per_second=rate, burst=max(1, round(rate)))
    box = Sandbox(
        seed=seed, faults=Faults(share=faults), rate_limit=limit, state_file=state, port=port
    )
    try:
        run(_serve(box, Output.for_process(json=json)))
    except StateFileError as error:
        raise CommandError(str(error)) from None
    return Exit.DONE


async def _serve(box: Sandbox, output: Output) -> None:
    """Serve until Ctrl-C or SIGTERM; stdout gets what a shell can source, stderr the rest."""
    import asyncio  # a quarter of what --help costs

    from sigmamind_async.cli.loop import on_interrupt
    from sigmamind_async.cli.output.events import SandboxEndpoint, SandboxStarted

    ended = asyncio.Event()
    with on_interrupt(ended.set):
        async with box:
            output.log(f"{'platform':<9}  {'base URL':<22}  API key")
            endpoints = [
                SandboxEndpoint(
                    platform=each.tower.name,
                    base_url=each.base_url,
                    api_key=each.api_key,
                    environment=each.environment,
                )
                for each in box.endpoints
            ]
            for each in endpoints:
                output.log(f"{each.platform:<9}  {each.base_url:<22}  {each.api_key}")
            output.log()
            output.show(SandboxStarted(tuple(endpoints)))
            output.log("Running until Ctrl-C.")
            await ended.wait()
        for finding in box.ledger.verdict().splitlines():
            output.log(finding)


# ---------------------------------------------------------------- demo


def demo(
    *,
    seed: Annotated[
        WholeNumber, Parameter(group="Sandbox", help="Seed of the fleet and of the faults.")
    ] = 1,
    rows: Annotated[
        WholeNumber | None,
        Parameter(
            group="Sandbox",
            validator=Number(gte=12, lte=10_000),
            help="Rows of the fleet. Default: 240, with workers 120.",
        ),
    ] = None,
    keep: Annotated[
        Path | None,
        Parameter(
            group="Output",
            metavar="DIR",
            help="New folder in which the files of the demo are kept.",
        ),
    ] = None,
    workers: Annotated[
        WholeNumber | None,
        Parameter(
            group="Workers",
            validator=Number(gte=2, lte=20),
            help="Apply the fleet with this many worker processes, and kill one of them.",
        ),
    ] = None,
    postgres: Annotated[
        str | None,
        Parameter(
            name=POSTGRES_OPTION,
            group="Workers",
            help="PostgreSQL server on which a database may be created and dropped: a DSN, env:NAME"
            " or file:PATH. Default: a server that runs only for the demo.",
        ),
    ] = None,
    json: Json = False,
) -> int:
    """Kill an apply, run it again, and show what was bought."""
    if workers is None and postgres is not None:
        raise CommandError(f"{POSTGRES_OPTION} is for workers: say how many, --workers 3")
    from sigmamind_async.cli.demo.local import show_demo

    count = rows or (240 if workers is None else 120)
    return show_demo(
        seed=seed, rows=count, keep=keep, workers=workers, postgres=postgres, json=json
    )
