"""``sigmamind worker``: carries out what others hand over, until it is stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import attrs
from cyclopts import Group, Parameter
from cyclopts.validators import Number

from sigmamind_async.cli.errors import CommandError, Exit
from sigmamind_async.cli.options import (
    OutputOptions,
    PlatformName,
    RequestOptions,
    SettlementOptions,
    SpendingOptions,
    seconds,
)


@Parameter(name="*", group=Group("Worker", sort_key=0))
@attrs.frozen(kw_only=True)
class WorkerOptions:
    """What a worker serves."""

    platform: Annotated[
        tuple[PlatformName, ...],
        Parameter(
            negative=(),
            help="Platform to serve; may be repeated. Default: all whose API key is set.",
        ),
    ] = ()
    concurrency: Annotated[
        int, Parameter(validator=Number(gte=1), help="Operations under way at once.")
    ] = 20
    allow_secret: Annotated[
        tuple[str, ...],
        Parameter(
            negative=(),
            help="Secrets that requests may name: env:NAME, where * stands for any letters, or"
            " file:FOLDER; may be repeated. Default: variables TRUNK_* and no file.",
        ),
    ] = ()
    upkeep: Annotated[
        float,
        Parameter(
            converter=seconds,
            validator=Number(gte=1, lte=3540),
            help="Time, roughly, between two searches for unconfirmed purchases and lost workers;"
            " one worker of all makes them.",
        ),
    ] = 60.0


def worker(
    *,
    options: WorkerOptions = WorkerOptions(),
    postgres: Annotated[
        str | None,
        Parameter(
            group=Group("Journal", sort_key=4),
            help="Database of the journal and the queue: a DSN, env:NAME or file:PATH; alone, it is"
            " env:SIGMAMIND_POSTGRES.",
        ),
    ] = None,
    journal: Annotated[Path | None, Parameter(show=False)] = None,
    spending: SpendingOptions = SpendingOptions(),  # noqa: B008 - cyclopts flattens it
    settlement: SettlementOptions = SettlementOptions(),  # noqa: B008
    request: RequestOptions = RequestOptions(),  # noqa: B008
    output: OutputOptions = OutputOptions(),  # noqa: B008
) -> int:
    """Serve until SIGTERM, SIGHUP or Ctrl-C."""
    if journal is not None:
        raise CommandError(
            "--journal does not apply: workers have their journal in PostgreSQL; give --postgres"
        )
    if settlement.accept_key:
        raise CommandError(
            "--accept-key does not apply: run sigmamind reconcile --postgres --accept-key once"
        )
    from sigmamind_async.cli.database import database_or_default, missing
    from sigmamind_async.cli.output.console import Output

    database = database_or_default(postgres)
    try:
        from sigmamind_async.cli.jobs.worker_runner import WorkerRunner
    except ImportError as error:
        raise missing(error) from None
    WorkerRunner(
        database=database,
        platforms=options.platform,
        concurrency=options.concurrency,
        upkeep=round(options.upkeep),
        allow_secret=options.allow_secret,
        spending=spending,
        settlement=settlement,
        request=request,
        output=Output.for_process(json=output.json, quiet=output.quiet, verbose=output.verbose),
    ).run()
    return Exit.DONE
