"""``sigmamind worker``: carries out what others hand over, until it is stopped."""

from __future__ import annotations

from sigmamind_async.cli.errors import CommandError, Exit
from sigmamind_async.cli.options import (
    POSTGRES_DEFAULT,
    JournalOptions,
    OutputOptions,
    RequestOptions,
    SettlementOptions,
    SpendingOptions,
    WorkerOptions,
)


def worker(
    *,
    options: WorkerOptions = WorkerOptions(),  # noqa: B008
    journal: JournalOptions = JournalOptions(),  # noqa: B008 - cyclopts flattens it
    spending: SpendingOptions = SpendingOptions(),  # noqa: B008
    settlement: SettlementOptions = SettlementOptions(),  # noqa: B008
    request: RequestOptions = RequestOptions(),  # noqa: B008
    output: OutputOptions = OutputOptions(),  # noqa: B008
) -> int:
    """Serve until SIGTERM, SIGHUP or Ctrl-C."""
    if journal.journal is not None:
        raise CommandError(
            "--journal does not apply: workers have their journal in PostgreSQL; give --postgres"
        )
    if settlement.accept_key:
        raise CommandError(
            "--accept-key does not apply: run sigmamind reconcile --postgres --accept-key once"
        )
    from sigmamind_async.cli.journal_location import database_of, missing
    from sigmamind_async.cli.output.console import Output

    database = database_of(journal.postgres or POSTGRES_DEFAULT)
    try:
        from sigmamind_async.cli.jobs.worker_runner import WorkerRunner
    except ImportError as error:
        raise missing(error) from None
    WorkerRunner(
        database=database,
        options=options,
        spending=spending,
        settlement=settlement,
        request=request,
        output=Output.for_process(json=output.json, quiet=output.quiet, verbose=output.verbose),
    ).run()
    return Exit.DONE
