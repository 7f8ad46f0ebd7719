"""``sigmamind sandbox``: the platforms on this machine, as bad as they are told to be."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from sigmamind_async.cli.errors import CommandError, Exit
from sigmamind_async.cli.output.console import Output
from sigmamind_async.cli.output.events import SandboxEndpoint, SandboxStarted
from sigmamind_async.cli.runtime import Json, run
from sigmamind_async.cli.signals import on_interrupt
from sigmamind_async.cli.vendors import PLATFORMS
from sigmamind_async.sandbox import Faults, RateLimit, Sandbox, StateFileError


def sandbox(
    *,
    port: Annotated[
        int,
        Parameter(
            validator=Number(gte=0, lte=65533), help="The first of three in a row; 0 finds some."
        ),
    ] = 0,
    seed: Annotated[int, Parameter(help="What everything random follows from.")] = 0,
    faults: Annotated[
        float, Parameter(validator=Number(gte=0, lte=1), help="Share of requests that go wrong.")
    ] = 0.0,
    rate: Annotated[
        float | None, Parameter(validator=Number(gt=0), help="Requests admitted a second.")
    ] = None,
    state: Annotated[Path | None, Parameter(help="File that keeps it across restarts.")] = None,
    json: Json = False,
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
        run(_serve(box, Output.for_process(json=json)))
    except StateFileError as error:
        raise CommandError(str(error)) from None
    return Exit.DONE


def rate_limit(per_second: float) -> RateLimit:
    """Return a limit that allows bursts of one second."""
    return RateLimit(per_second=per_second, burst=max(1, round(per_second)))


async def _serve(box: Sandbox, output: Output) -> None:
    ended = asyncio.Event()
    with on_interrupt(ended.set):
        async with box:
            output.show(SandboxStarted(tuple(_entrances(box))))
            output.log("running until Ctrl-C")
            await ended.wait()
        for finding in box.ledger.verdict().splitlines():
            output.log(finding)


def environment_of(box: Sandbox) -> dict[str, str]:
    """Return the variables that lead clients of every platform to *box*."""
    return {name: text for each in _entrances(box) for name, text in each.environment.items()}


def _entrances(box: Sandbox) -> Iterator[SandboxEndpoint]:
    for endpoint in box.endpoints:
        platform = PLATFORMS[endpoint.tower.name]
        yield SandboxEndpoint(
            platform=platform.name,
            base_url=endpoint.base_url,
            api_key=endpoint.api_key,
            environment={
                platform.url_variable: endpoint.base_url,
                platform.key_variable: endpoint.api_key,
            },
        )
