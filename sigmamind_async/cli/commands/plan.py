"""``sigmamind plan``: what `apply` would do about the rows of a fleet; sends and writes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Group, Parameter

from sigmamind_async.cli.errors import Exit
from sigmamind_async.cli.options import (
    ChangeOptions,
    FileOptions,
    JournalOptions,
    RequestOptions,
)


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
    json: Annotated[
        bool, Parameter(group=Group("Output", sort_key=7), help="Write JSON Lines to stdout.")
    ] = False,
) -> int:
    """Show what `apply` would do."""
    from sigmamind_async.cli.fleet_input import read_fleet
    from sigmamind_async.cli.jobs.plan import show_plan

    todo, code = show_plan(
        file,
        read_fleet(file, files, journal),
        changes=changes,
        request=request,
        json=json,
        skip_bad=files.skip_bad,
        out=out,
    )
    if detailed_exitcode and code is Exit.DONE and todo.writes:
        return Exit.CHANGES
    return code
