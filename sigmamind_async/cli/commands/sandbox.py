"""``sigmamind sandbox``: a copy of the platforms on this machine, with faults on request."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from sigmamind_async.cli.errors import CommandError, Exit
from sigmamind_async.cli.options import WholeNumber

if TYPE_CHECKING:  # they are imported when the command runs
    from sigmamind_async.cli.output.console import Output
    from sigmamind_async.sandbox import Sandbox
    from sigmamind_async.sandbox.endpoint import Endpoint


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
    seed: Annotated[WholeNumber, Parameter(group="Faults", help="Random seed.")] = 0,
    json: Annotated[bool, Parameter(group="Output", help="Write JSON Lines to stdout.")] = False,
) -> int:
    """Run a copy of each platform on loopback until Ctrl-C."""
    from sigmamind_async.cli.output.console import Output
    from sigmamind_async.cli.runtime import run
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

    from sigmamind_async.cli.output.events import SandboxEndpoint, SandboxStarted
    from sigmamind_async.cli.signals import on_interrupt

    ended = asyncio.Event()
    with on_interrupt(ended.set):
        async with box:
            output.log(f"{'platform':<9}  {'base URL':<22}  API key")
            endpoints = [
                SandboxEndpoint(
                    platform=each.tower.name,
                    base_url=each.base_url,
                    api_key=each.api_key,
                    environment=environment_of(each),
                )
                for each in box.endpoints
            ]
            for each in endpoints:
                output.log(f"{each.platform:<9}  {each.base_url:<22}  {each.api_key}")
            output.log()
            output.show(SandboxStarted(tuple(endpoints)))
            output.log()
            output.log("Running until Ctrl-C.")
            await ended.wait()
        for finding in box.ledger.verdict().splitlines():
            output.log(finding)


def environment_of(endpoint: Endpoint) -> dict[str, str]:
    """Return the variables that lead a client to a platform of a sandbox."""
    name = endpoint.tower.name.upper()
    return {f"{name}_BASE_URL": endpoint.base_url, f"{name}_API_KEY": endpoint.api_key}
