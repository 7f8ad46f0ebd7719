"""A sandbox that is served until it is interrupted, and the variables that lead clients to it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

from sigmamind_async.cli.errors import CommandError, Exit
from sigmamind_async.cli.output.console import Output
from sigmamind_async.cli.output.events import SandboxEndpoint, SandboxStarted
from sigmamind_async.cli.runtime import run
from sigmamind_async.cli.signals import on_interrupt
from sigmamind_async.cli.vendors import PLATFORMS
from sigmamind_async.sandbox import Faults, RateLimit, Sandbox, StateFileError


def serve_sandbox(
    *, port: int, state: Path | None, faults: float, rate: float | None, seed: int, json: bool
) -> int:
    """Serve until Ctrl-C or SIGTERM; stdout gets what a shell can source, stderr the rest."""
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


async def _serve(box: Sandbox, output: Output) -> None:
    ended = asyncio.Event()
    with on_interrupt(ended.set):
        async with box:
            entrances = tuple(_entrances(box))
            output.log(f"{'platform':<9}  {'base URL':<22}  API key")
            for each in entrances:
                output.log(f"{each.platform:<9}  {each.base_url:<22}  {each.api_key}")
            output.log()
            output.show(SandboxStarted(entrances))
            output.log()
            output.log("Running until Ctrl-C.")
            await ended.wait()
        for finding in box.ledger.verdict().splitlines():
            output.log(finding)


def rate_limit(per_second: float) -> RateLimit:
    """Return a limit that allows bursts of one second."""
    return RateLimit(per_second=per_second, burst=max(1, round(per_second)))


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
