"""``sigmamind status``: what a journal says; needs no key, no network, and disturbs nobody."""

from __future__ import annotations

import time
from typing import Annotated

from cyclopts import Parameter

from sigmamind_async.cli.database import Postgres, database_of
from sigmamind_async.cli.errors import Exit
from sigmamind_async.cli.journal_location import JournalFile, Place, SettleTime, place_of
from sigmamind_async.cli.output.console import Output
from sigmamind_async.cli.output.events import JournalStatus
from sigmamind_async.cli.output.journal_status import journal_status_of
from sigmamind_async.cli.runtime import Json, run
from sigmamind_async.cli.vendors import PLATFORMS, Platform, PlatformName
from sigmamind_async.provisioning.context import clock_for
from sigmamind_async.provisioning.journal.protocol import Journal, Status
from sigmamind_async.provisioning.transitions import SETTLE_TIME


def status(
    file: Annotated[
        str | None, Parameter(help="The file that was applied, or its journal.")
    ] = None,
    /,
    *,
    platform: Annotated[
        PlatformName | None, Parameter(name="--platform", help="Only these numbers.")
    ] = None,
    journal: JournalFile = None,
    postgres: Postgres = None,
    settle_time: SettleTime = SETTLE_TIME,
    json: Json = False,
) -> int:
    """Show how the rows of *file*, or in a database, stand."""
    place = place_of(file, journal, database_of(postgres))
    output = Output.for_process(json=json)
    standings = run(_standings(place, platform, settle_time))
    for standing in standings:
        output.show(standing)
    return Exit.DONE if all(each.is_settled for each in standings) else Exit.UNKNOWN


async def _standings(
    place: Place, platform: PlatformName | None, settle_time: float
) -> list[JournalStatus]:
    """Return how things stand for each platform that the journal has rows of."""
    asked = [PLATFORMS[platform]] if platform else list(PLATFORMS.values())
    async with place.opened(read_only=True) as journal:
        found = [(each, await status_in(journal, each, settle_time)) for each in asked]
        now = clock_for(journal, time.time)()
    # A journal without any row is shown as one of the first platform.
    shown = [(each, status) for each, status in found if status.total] or found[:1]
    return [journal_status_of(status, place, each.name, now) for each, status in shown]


async def status_in(journal: Journal, platform: Platform, settle_time: float) -> Status:
    """Return what *journal* says about *platform*, without asking anybody else."""
    return await Status.of(journal, platform.name, settle_time)
