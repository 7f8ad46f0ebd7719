"""``sigmamind demo``: an ``apply`` that is killed while it buys, run again, and audited."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from sigmamind_async.cli.command_line import POSTGRES_OPTION
from sigmamind_async.cli.errors import CommandError
from sigmamind_async.cli.options import WholeNumber


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
        Parameter(group="Output", help="New folder in which the files of the demo are kept."),
    ] = None,
    workers: Annotated[
        WholeNumber | None,
        Parameter(
            group="Workers",
            validator=Number(gte=2, lte=20),
            help="Apply the fleet with so many worker processes, and kill one of them.",
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
    json: Annotated[bool, Parameter(group="Output", help="Write JSON Lines to stdout.")] = False,
) -> int:
    """Kill an apply, run it again, and show what was bought."""
    if workers is None and postgres is not None:
        raise CommandError(f"{POSTGRES_OPTION} is for workers: say how many, --workers 3")
    from sigmamind_async.cli.demo.local import show_demo

    count = rows or (240 if workers is None else 120)
    return show_demo(
        seed=seed, rows=count, keep=keep, workers=workers, postgres=postgres, json=json
    )
