"""``sigmamind plan``, ``apply`` and ``worker``: what makes the numbers as a fleet says."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import attrs
from cyclopts import Group, Parameter

from sigmamind_async.cli.errors import CommandError, Exit
from sigmamind_async.cli.options import (
    POSTGRES_DEFAULT,
    POSTGRES_OPTION,
    ChangeOptions,
    FileOptions,
    JobOptions,
    JournalOptions,
    Json,
    OutputOptions,
    RequestOptions,
    WorkerOptions,
    given_options,
    resume_command,
)

_OF_WORKERS = frozenset(
    {
        "--settle-time",
        "--retry-unconfirmed",
        "--release-duplicates",
        "--attempt-timeout",
        "--proxy",
        "--refusal-status",
    }
)
"""Options of a request, which workers send under options of their own."""


def plan(
    file: str,
    /,
    *,
    out: Path | None = None,
    detailed_exitcode: bool = False,
    files: FileOptions = FileOptions(),
    changes: ChangeOptions = ChangeOptions(),
    journal: JournalOptions = JournalOptions(),
    request: RequestOptions = RequestOptions(),
    json: Json = False,
) -> int:
    """Show what `apply` would do.

    Args:
        file: A file of rows, or - for standard input.
        out: Save the plan here, to be applied by sigmamind apply.
        detailed_exitcode: Exit with 0 if nothing would change and with 4 if something would.
    """
    from sigmamind_async.cli.fleet_input import read_fleet
    from sigmamind_async.cli.jobs.apply import ApplyOptions, show_plan

    job = JobOptions(request=request, output=OutputOptions(json=json))
    options = ApplyOptions(job=job, changes=changes, skip_bad=files.skip_bad)
    todo, code = show_plan(file, read_fleet(file, files, journal), options, out)
    if detailed_exitcode and code is Exit.DONE and todo.writes:
        return Exit.CHANGES
    return code


def apply(
    file: str,
    /,
    *,
    report: Path | None = None,
    workers: bool = False,
    files: FileOptions = FileOptions(),
    changes: ChangeOptions = ChangeOptions(),
    journal: JournalOptions = JournalOptions(),
    job: JobOptions = JobOptions(),
) -> int:
    """Carry out what *file* says.

    Args:
        file: A file of rows, a saved plan, or - for standard input.
        report: Write an HTML report about the job to this file.
        workers: Hand the steps to the workers of the database, and follow them.
    """
    from sigmamind_async.cli.fleet_input import read_fleet
    from sigmamind_async.cli.jobs.apply import ApplyOptions, apply_fleet

    if workers:
        given = [*given_options(job.settlement), *given_options(job.request)]
        _check_for_workers(journal, files, given)
    options = ApplyOptions(
        job=job,
        changes=changes,
        skip_bad=files.skip_bad,
        report=report,
        resume=resume_command(),
        workers=workers,
    )
    return apply_fleet(read_fleet(file, files, journal), options)


def _check_for_workers(journal: JournalOptions, files: FileOptions, given: list[str]) -> None:
    """Raise `CommandError` for options that do not go with ``--workers``."""
    if journal.postgres is None:
        raise CommandError(f"--workers needs {POSTGRES_OPTION}: the workers share its database")
    if files.allow_inline_secrets:
        raise CommandError(
            "--allow-inline-secrets does not go with --workers: a secret must not reach the"
            " database; write env:NAME or file:PATH, which the worker resolves"
        )
    if refused := [name for name in given if name in _OF_WORKERS]:
        raise CommandError(
            f"with --workers, {' and '.join(refused)} must be given to sigmamind worker, which"
            " sends the requests; nothing was sent"
        )


def worker(
    *,
    options: WorkerOptions = WorkerOptions(),
    postgres: Annotated[str | None, Parameter(group=Group("Journal", sort_key=4))] = None,
    journal: Annotated[Path | None, Parameter(show=False)] = None,
    job: JobOptions = JobOptions(),
) -> int:
    """Serve until SIGTERM, SIGHUP or Ctrl-C.

    Args:
        postgres: Database of the journal and the queue: a DSN, env:NAME or file:PATH; alone, it is
            env:SIGMAMIND_POSTGRES.
    """
    if journal is not None:
        raise CommandError(
            "--journal does not apply: workers have their journal in PostgreSQL; give --postgres"
        )
    if job.settlement.accept_key:
        raise CommandError(
            "--accept-key does not apply: run sigmamind reconcile --postgres --accept-key once"
        )
    from sigmamind_async.cli.journal_location import database_of, missing
    from sigmamind_async.cli.output.console import Output

    database = database_of(postgres or POSTGRES_DEFAULT)
    try:
        from sigmamind_async.cli.jobs.worker_runner import serve
    except ImportError as error:
        raise missing(error) from None
    serve(database, options, job, Output(**attrs.asdict(job.output)))
    return Exit.DONE
