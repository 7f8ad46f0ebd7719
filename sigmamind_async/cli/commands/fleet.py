"""``sigmamind plan`` and ``sigmamind apply``: the numbers of the accounts made as a fleet says."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from sigmamind_async.cli.errors import CommandError, Exit
from sigmamind_async.cli.options import (
    POSTGRES_OPTION,
    ChangeOptions,
    FileOptions,
    JournalOptions,
    OutputOptions,
    RequestOptions,
    SettlementOptions,
    SpendingOptions,
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
    file: Annotated[str, Parameter(help="A file of rows, or - for standard input.")],
    /,
    *,
    out: Annotated[
        Path | None, Parameter(help="Save the plan here, to be applied by sigmamind apply.")
    ] = None,
    detailed_exitcode: Annotated[
        bool, Parameter(help="Exit with 0 if nothing would change and with 4 if something would.")
    ] = False,
    files: FileOptions = FileOptions(),  # noqa: B008 - cyclopts flattens it
    changes: ChangeOptions = ChangeOptions(),  # noqa: B008
    journal: JournalOptions = JournalOptions(),  # noqa: B008
    request: RequestOptions = RequestOptions(),  # noqa: B008
    output: OutputOptions = OutputOptions(),  # noqa: B008
) -> int:
    """Show what `apply` would do."""
    from sigmamind_async.cli.fleet_input import read_fleet
    from sigmamind_async.cli.jobs.apply import show_plan

    todo, code = show_plan(
        file,
        read_fleet(file, files, journal),
        changes=changes,
        request=request,
        output=output,
        skip_bad=files.skip_bad,
        out=out,
    )
    if detailed_exitcode and code is Exit.DONE and todo.writes:
        return Exit.CHANGES
    return code


def apply(
    file: Annotated[
        str, Parameter(help="A file of rows, a plan that was saved, or - for standard input.")
    ],
    /,
    *,
    report: Annotated[
        Path | None, Parameter(help="Write an HTML report about the job to this file.")
    ] = None,
    workers: Annotated[
        bool, Parameter(help="Hand the steps to the workers of the database, and follow them.")
    ] = False,
    files: FileOptions = FileOptions(),  # noqa: B008 - cyclopts flattens it
    changes: ChangeOptions = ChangeOptions(),  # noqa: B008
    spending: SpendingOptions = SpendingOptions(),  # noqa: B008
    journal: JournalOptions = JournalOptions(),  # noqa: B008
    settlement: SettlementOptions = SettlementOptions(),  # noqa: B008
    request: RequestOptions = RequestOptions(),  # noqa: B008
    output: OutputOptions = OutputOptions(),  # noqa: B008
) -> int:
    """Carry out what *file* says."""
    from sigmamind_async.cli.fleet_input import read_fleet
    from sigmamind_async.cli.jobs.apply import ApplyOptions, apply_fleet

    if workers:
        _check_for_workers(journal, files, [*given_options(settlement), *given_options(request)])
    options = ApplyOptions(
        spending=spending,
        settlement=settlement,
        changes=changes,
        request=request,
        output=output,
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
