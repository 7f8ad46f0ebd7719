"""``sigmamind sandbox``: a copy of the platforms on this machine, with faults on request."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from sigmamind_async.cli.errors import CommandError, Exit
from sigmamind_async.cli.output.console import Output
from sigmamind_async.cli.output.events import Entrance, SandboxReady
from sigmamind_async.cli.runtime import run
from sigmamind_async.cli.signals import on_interrupt
from sigmamind_async.cli.vendors import PLATFORMS
from sigmamind_async.sandbox import Faults, RateLimit, Sandbox, StateFileError


def sandbox(
    *,
    port: Annotated[
        int,
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
    seed: Annotated[int, Parameter(group="Faults", help="Random seed.")] = 0,
    json: Annotated[bool, Parameter(group="Output", help="Write JSON Lines to stdout.")] = False,
) -> int:
    """Run a copy of each platform on loopback until Ctrl-C."""
    box = Sandbox(
        seed=seed,
        faults=Faults(share=faults),
        rate_limit=None if rate is None else rate_limit(rate),
        state_file=state,
        port=port,
    )
    try:
        run(_serve(box, Output.of_process(json=json)))
    except StateFileError as error:
        raise CommandError(str(error)) from None
    return Exit.DONE


def rate_limit(per_second: float) -> RateLimit:
    """Return a limit that allows bursts of one second."""
    return RateLimit(per_second=per_second, burst=max(1, round(per_second)))


async def _serve(box: Sandbox, output: Output) -> None:
    """Serve until Ctrl-C or SIGTERM; stdout gets what a shell can source, stderr the rest."""
    ended = asyncio.Event()
    with on_interrupt(ended.set):
        async with box:
            entrances = tuple(_entrances(box))
            output.remark(f"{'platform':<9}  {'base URL':<22}  API key")
            for each in entrances:
                output.remark(f"{each.platform:<9}  {each.base_url:<22}  {each.api_key}")
            output.remark()
            output.show(SandboxReady(entrances))
            output.remark()
            output.remark(
                "Running until Ctrl-C. For another shell: sigmamind sandbox > FILE, then source FILE."
            )
            await ended.wait()
        for finding in box.ledger.verdict().splitlines():
            output.remark(finding)


def environment_of(box: Sandbox) -> dict[str, str]:
    """Return the variables that lead clients of every platform to *box*."""
    return {name: text for each in _entrances(box) for name, text in each.environment.items()}


def _entrances(box: Sandbox) -> Iterator[Entrance]:
    for endpoint in box.endpoints:
        platform = PLATFORMS[endpoint.tower.name]
        yield Entrance(
            platform=platform.name,
            base_url=endpoint.base_url,
            api_key=endpoint.api_key,
            environment={
                platform.url_variable: endpoint.base_url,
                platform.key_variable: endpoint.api_key,
            },
        )
