"""``sigmamind export``: the numbers of accounts as a fleet file."""

from __future__ import annotations

import io
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from sigmamind_async.cli.accounts import Accounts
from sigmamind_async.cli.atomic_write import new_file
from sigmamind_async.cli.database import Postgres, database_of
from sigmamind_async.cli.errors import CommandError, Exit
from sigmamind_async.cli.journal_location import EXCLUSIVE, FilePlace, Place, looked_into
from sigmamind_async.cli.output.console import Output, write_stdout
from sigmamind_async.cli.runtime import (
    ATTEMPT_TIMEOUT,
    DEADLINE,
    AttemptTimeout,
    Deadline,
    Json,
    Proxy,
    RefusalStatus,
    Times,
    run,
)
from sigmamind_async.cli.vendors import DEFAULT, PlatformName
from sigmamind_async.fleet.export import columns_of, writable_rows, write
from sigmamind_async.fleet.export import export as exported
from sigmamind_async.fleet.refresh import list_numbers
from sigmamind_async.fleet.spec import FleetRow, Problem
from sigmamind_async.fleet.state import LastApplied
from sigmamind_async.fleet.vendor_schema import RemoteNumber
from sigmamind_async.rowfiles import SUFFIXES, Format, format_of


def export(
    *,
    platform: Annotated[
        tuple[PlatformName, ...],
        Parameter(
            help="Whose numbers; may be given several times, each platform with its own key."
        ),
    ] = (DEFAULT,),
    out: Annotated[
        Path | None,
        Parameter(help="Ends in .csv, .jsonl, .ndjson, .yaml or .yml; CSV to stdout otherwise."),
    ] = None,
    journal: Annotated[
        Path | None, Parameter(help="The journal that knows under which ids numbers were applied.")
    ] = None,
    postgres: Postgres = None,
    json: Json = False,
    deadline: Deadline = DEADLINE,
    attempt_timeout: AttemptTimeout = ATTEMPT_TIMEOUT,
    proxy: Proxy = None,
    refusal_status: RefusalStatus = (),
) -> int:
    """Write the numbers of the accounts as a fleet file."""
    form = _form(out, json=json)
    place = _place(journal, postgres)
    times = Times(deadline=deadline, attempt=attempt_timeout, proxy=proxy, refusals=refusal_status)
    accounts = Accounts.of(dict.fromkeys(platform), times)
    found, applied = run(_look(accounts, place))
    told = [*writable_rows(exported(found, applied), form)]
    rows = [each for each in told if isinstance(each, FleetRow)]
    _write(_content(rows, form), out)
    output = Output(json=json)
    for each in told:
        if isinstance(each, Problem):
            output.log(str(each))
    return Exit.DONE


def _place(journal: Path | None, postgres: str | None) -> Place | None:
    """Return where the ids are that numbers were applied under, if that was said."""
    if journal is not None and not journal.exists():
        raise CommandError(f"there is no journal {journal}")
    if journal is None:
        return database_of(postgres)
    if postgres is not None:
        raise CommandError(EXCLUSIVE)
    return FilePlace(str(journal), journal)


def _form(out: Path | None, *, json: bool) -> Format:
    """Return the form that a file of this name has, or stdout."""
    if out is None:
        return "jsonl" if json else "csv"
    form = format_of(str(out))
    if form is None:
        raise CommandError(f"{out}: the name must end in {', '.join(SUFFIXES)}")
    if json and form != "jsonl":
        raise CommandError(f"--json writes JSON Lines, and {out} is to be something else")
    return form


async def _look(
    accounts: Accounts, place: Place | None
) -> tuple[list[RemoteNumber], Mapping[str, LastApplied]]:
    """Return the numbers of all *accounts*, one after the other, and what was applied to them."""
    applied: dict[str, LastApplied] = {}
    async with AsyncExitStack() as stack:
        if place is not None:
            notes = (await (await looked_into(place, stack)).last_applied()).items()
            applied = {row_id: LastApplied.load(row_id, text) for row_id, text in notes}
        await accounts.open(stack)
        of_each = [await list_numbers(client) for client in accounts.clients.values()]
    return [number for found in of_each for number in found.values()], applied


def _content(rows: list[FleetRow], form: Format) -> bytes:
    stream = io.BytesIO()
    write(rows, stream, form, columns=columns_of(rows) or ("phone_number",))
    return stream.getvalue()


def _write(content: bytes, out: Path | None) -> None:
    if out is not None:
        with new_file(out) as stream:
            stream.write(content)
        return
    write_stdout(content)
