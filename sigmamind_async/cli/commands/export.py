"""``sigmamind export``: the numbers of accounts as a fleet file.

``--help`` loads this module, and no platform with it.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Group, Parameter

from sigmamind_async.cli.errors import CommandError
from sigmamind_async.cli.options import FileFormat, Json, PlatformName, RequestOptions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sigmamind_async.cli.accounts import AnyClient
    from sigmamind_async.fleet import FleetRow, LastApplied, RemoteNumber
    from sigmamind_async.rowfiles import Format

_JOURNAL = Group("Journal", sort_key=4)


def export(
    *,
    platform: tuple[PlatformName, ...] = ("sigmamind",),
    out: Path | None = None,
    format: FileFormat | None = None,  # noqa: A002 - an option of several commands
    force: bool = False,
    journal: Annotated[Path | None, Parameter(group=_JOURNAL)] = None,
    postgres: Annotated[str | None, Parameter(group=_JOURNAL)] = None,
    request: RequestOptions = RequestOptions(),
    json: Json = False,
) -> int:
    """Write the numbers of accounts as a fleet file; rows keep the ids that a journal knows.

    Args:
        platform: Platform of an account. May be repeated.
        out: File to write. Default: standard output.
        format: Format of the rows. Default: by the suffix of --out; without it, csv.
        force: Replace the file of --out.
        journal: Journal of a file that was applied: its rows keep their ids.
        postgres: Database with that journal, as for apply.
    """
    from sigmamind_async.cli.accounts import client_of
    from sigmamind_async.cli.fleet_input import new_file
    from sigmamind_async.cli.loop import run
    from sigmamind_async.cli.output.console import Output
    from sigmamind_async.cli.output.events import Exported
    from sigmamind_async.cli.process import write_stdout
    from sigmamind_async.fleet import FleetRow
    from sigmamind_async.fleet.export import export as rows_of
    from sigmamind_async.fleet.export import writable_rows

    chosen = _choose_format(out, format, json=json)
    _check_absent(out, force=force)
    clients = [client_of(name, request) for name in dict.fromkeys(platform)]
    numbers, applied = run(_list_accounts(clients, journal, postgres))
    found = [*writable_rows(rows_of(numbers, applied), chosen)]
    rows = [each for each in found if isinstance(each, FleetRow)]
    _check_absent(out, force=force)
    content = _content(rows, chosen)
    if out is None:
        write_stdout(content)
    else:
        with new_file(out) as stream:
            stream.write(content)
    for each in found:
        if not isinstance(each, FleetRow):
            print(f"warning: {each}", file=sys.stderr)
    if out is not None:
        Output(json=json).show(Exported(file=str(out), rows=len(rows)))
    return 0


def _check_absent(out: Path | None, *, force: bool) -> None:
    if out is not None and out.exists() and not force:
        raise CommandError(f"{out} exists; name another file, or replace it with --force")


def _choose_format(out: Path | None, given: Format | None, *, json: bool) -> Format:
    from sigmamind_async.rowfiles import SUFFIXES, format_of

    if given is not None and not (json and out is None and given != "jsonl"):
        return given
    if out is None:
        if given is not None:
            raise CommandError(f"--json writes JSON Lines, and --format says {given}; drop one")
        return "jsonl" if json else "csv"
    form = format_of(str(out))
    if form is None:
        raise CommandError(f"{out}: the name must end in {', '.join(SUFFIXES)}, or give --format")
    return form


async def _list_accounts(
    clients: Sequence[AnyClient], journal: Path | None, postgres: str | None
) -> tuple[list[RemoteNumber], Mapping[str, LastApplied]]:
    """Return the numbers of all *clients*, and what a journal has applied to them."""
    from contextlib import AsyncExitStack

    from sigmamind_async.cli.journal_location import find_journal, open_to_read
    from sigmamind_async.cli.options import JournalOptions
    from sigmamind_async.fleet import list_numbers
    from sigmamind_async.fleet.state import read_last_applied

    applied: dict[str, LastApplied] = {}
    async with AsyncExitStack() as stack:
        if journal is not None or postgres is not None:
            file = None if journal is None else str(journal)
            place = find_journal(file, JournalOptions(postgres=postgres))
            applied = await read_last_applied(await open_to_read(place, stack))
        for client in clients:
            await stack.enter_async_context(client)
        of_each = [await list_numbers(client) for client in clients]
    return [number for found in of_each for number in found.values()], applied


def _content(rows: list[FleetRow], form: Format) -> bytes:
    from sigmamind_async.fleet.export import columns_of, write

    stream = io.BytesIO()
    write(rows, stream, form, columns=columns_of(rows) or ("phone_number",))
    content = stream.getvalue()
    # Excel takes a file without the mark for one in the code page of the machine.
    is_marked = form in {"csv", "tsv"} and not content.isascii()
    return b"\xef\xbb\xbf" + content if is_marked else content
