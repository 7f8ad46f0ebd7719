"""``sigmamind sandbox``: a copy of the platforms on this machine, with faults on request."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number


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
    from sigmamind_async.cli.jobs.sandbox import serve_sandbox

    return serve_sandbox(port=port, state=state, faults=faults, rate=rate, seed=seed, json=json)
