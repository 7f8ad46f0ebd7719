"""``sigmamind doctor``: each thing that a command needs, with a verdict and what to do about it."""

from __future__ import annotations

import asyncio
import math
import os
import sys
import time
from collections.abc import Awaitable, Iterable, Iterator
from contextlib import suppress
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import attrs

from sigmamind_async.cli.accounts import (
    PLATFORMS,
    Platform,
    address_of,
    choose_platforms,
    client_of,
)
from sigmamind_async.cli.errors import CommandError, Exit, advice_for, message_of
from sigmamind_async.cli.journal_location import FileJournal, database_of
from sigmamind_async.cli.options import (
    POSTGRES_DEFAULT,
    POSTGRES_VARIABLE,
    RequestOptions,
    profile_words,
)
from sigmamind_async.cli.other_journals import known_journals, state_folder
from sigmamind_async.cli.output.console import Output
from sigmamind_async.cli.output.events import Diagnosis, DiagnosisList
from sigmamind_async.cli.output.text import count_of, format_duration
from sigmamind_async.errors import ConfigurationError, SigmaMindError
from sigmamind_async.provisioning.journal.protocol import Status
from sigmamind_async.transport.options import proxy_of_environment

if TYPE_CHECKING:  # it needs an extra
    from sigmamind_async.workers.health import QueueHealth

EXTRAS: Final = {
    "postgres": "procrastinate",
    "xlsx": "openpyxl",
    "speed": "aiodns",
    "otel": "opentelemetry",
}
"""A package of each extra that a command may need."""
MOST_DRIFT: Final = 60.0
"""Seconds that the clock may be off: settle times of 15 minutes are measured with it."""


async def check_everything(
    file: str | None, postgres: str | None, request: RequestOptions, output: Output
) -> int:
    """Show the verdict of every check; return the exit code: 1 if one has failed."""
    profiles = (Diagnosis("profile", "ok", name) for name in profile_words()[1:])
    found = [_packages(), *profiles, _state()]
    accounts = [_Account(each, request) for each in PLATFORMS.values()]
    dates: dict[str, float] = {}
    found += await asyncio.gather(*(account.check(dates) for account in accounts))
    if dates:
        found.append(_clock(*max(dates.items(), key=lambda item: abs(item[1]))))
    try:
        choose_platforms(())
    except CommandError as error:
        found.append(Diagnosis("keys", "failed", str(error)))
    if file is not None:
        found += await _guarded("journal", _journal(file))
    if postgres or os.environ.get(POSTGRES_VARIABLE):
        found += await _guarded("database", _database(postgres or POSTGRES_DEFAULT))
    output.show(DiagnosisList(tuple(found)))
    return Exit.FAILED if any(each.verdict == "failed" for each in found) else Exit.DONE


async def _guarded(name: str, check: Awaitable[Iterable[Diagnosis]]) -> Iterable[Diagnosis]:
    """Return the verdicts of *check*, or the error that it raises."""
    try:
        return await check
    except SigmaMindError as error:
        message, fix = message_of(error), advice_for(error)
    except CommandError as error:
        message, fix = str(error), ""
    return [Diagnosis(name, "failed", message, fix)]


# ---------------------------------------------------------------- this machine


def _packages() -> Diagnosis:
    missing = [extra for extra, package in EXTRAS.items() if find_spec(package) is None]
    python = ".".join(map(str, sys.version_info[:3]))
    more = f"; extras not installed: {', '.join(missing)}" if missing else ""
    text = f"sigmamind-async {version('sigmamind-async')}, Python {python}{more}"
    return Diagnosis("packages", "ok", text)


def _state() -> Diagnosis:
    """Return whether the list of the user's journals can be kept."""
    folder = state_folder()
    count = count_of(len(known_journals()), "journal")
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        message = f"{folder} cannot be written: {error.strerror}"
        fix = "name a folder in XDG_STATE_HOME, or copies of a fleet may be bought twice"
        return Diagnosis("state", "warning", message, fix)
    return Diagnosis("state", "ok", f"{count} listed in {folder}")


# ---------------------------------------------------------------- accounts


@attrs.frozen
class _Account:
    """One platform, as the environment says."""

    platform: Platform
    request: RequestOptions

    async def check(self, ahead: dict[str, float]) -> Diagnosis:
        """Return whether the account answers, and by which way.

        *ahead* gets the seconds by which its clock is ahead of ours.
        """
        name = self.platform.name
        if not os.environ.get(self.platform.key_variable):
            return Diagnosis(name, "skipped", f"{self.platform.key_variable} is not set")
        [found] = await _guarded(name, self._look(ahead))
        if found.verdict == "failed" and (proxy := self._proxy()):
            found = attrs.evolve(found, message=f"{found.message} (through the proxy {proxy})")
        return found

    async def _look(self, ahead: dict[str, float]) -> list[Diagnosis]:
        """Read one page of the numbers."""
        client = client_of(self.platform.name, self.request)
        async with client:
            response = await client.run_raw(self.platform.page())
            if date := response.headers.get("date"):
                with suppress(ValueError):
                    there = parsedate_to_datetime(date).timestamp()
                    ahead[self.platform.name] = there - time.time()
            page = response.parse()
        way = f" through the proxy {proxy}" if (proxy := self._proxy()) else ""
        count = len(page.items) if page.total is None else page.total
        more = " or more" if page.total is None and page.more is not False and count else ""
        message = f"{address_of(client)}{way}: {count_of(count, 'number')}{more}"
        return [Diagnosis(self.platform.name, "ok", message)]

    def _proxy(self) -> str:
        """Return host and port of the proxy that requests go through; empty without one."""
        prefix = self.platform.client.platform.env_prefix
        base_url = os.environ.get(f"{prefix}_BASE_URL") or "https://platform"
        proxy = self.request.proxy
        with suppress(ConfigurationError):  # the check has failed with it
            if proxy is None and (found := proxy_of_environment(base_url)) is not None:
                proxy = found.reveal()
        if proxy is None:
            return ""
        parts = urlsplit(proxy)
        return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)


def _clock(platform: str, ahead: float) -> Diagnosis:
    off = format_duration(max(math.ceil(abs(ahead)), 1))  # a header has whole seconds
    if abs(ahead) <= MOST_DRIFT:
        return Diagnosis("clock", "ok", f"within {off} of {platform}'s")
    fix = "set the clock of this machine: the settle time of purchases is measured with it"
    way = "behind" if ahead > 0 else "ahead of"
    return Diagnosis("clock", "failed", f"{off} {way} {platform}'s", fix)


# ---------------------------------------------------------------- journal and database


async def _journal(file: str) -> list[Diagnosis]:
    place = FileJournal.beside(file, None)
    if not place.exists():
        if Path(file).is_file():  # noqa: ASYNC240 - one look
            why = f"{file}: nothing has been applied from it yet"
            return [Diagnosis("journal", "skipped", why)]
        raise CommandError(f"{file}: there is no such file")
    async with place.opened(read_only=True) as journal:
        status = [await Status.of(journal, name, 0.0) for name in PLATFORMS]
    open_rows = sum(len(each.unconfirmed) + len(each.need_decision) for each in status)
    rows = count_of(sum(each.total for each in status), "row")
    if not open_rows:
        return [Diagnosis("journal", "ok", f"{place.name}: {rows}, all settled")]
    text = f"{place.name}: {rows}, {open_rows:,} not settled"
    return [Diagnosis("journal", "warning", text, place.command("status", None))]


async def _database(dsn: str) -> list[Diagnosis]:
    """Return what the journal holds, and what slows the queue of the workers down."""
    place = database_of(dsn)
    async with place.opened(read_only=True) as journal:
        counts = [await journal.counts(name) for name in PLATFORMS]
    rows = count_of(sum(sum(each.rows.values()) for each in counts), "row")
    found = [Diagnosis("database", "ok", f"{place.name}: {rows}")]
    health = await place.queue().inspect()
    return found if health is None else [*found, *queue_verdicts(health)]


def queue_verdicts(health: QueueHealth) -> Iterator[Diagnosis]:
    """Yield the state of the queue, and a warning for each thing that makes fetching dearer."""
    from sigmamind_async.workers.health import KEEP_FAILED  # it needs an extra

    counts = f"{count_of(health.waiting, 'job')} waiting, {health.failed:,} failed"
    if (health.oldest_failed or 0.0) > KEEP_FAILED:
        age = count_of(round((health.oldest_failed or 0.0) / 86_400), "day")
        text = f"{counts}, the first of them {age} ago: no worker removes them"
        yield Diagnosis("queue", "warning", text, "sigmamind worker --postgres")
    else:
        yield Diagnosis("queue", "ok", counts)
    for table in health.not_vacuumed:
        yield Diagnosis(
            "autovacuum",
            "warning",
            f"{table} is cleaned up rarely or never, and fetching passes its dead rows",
            f"ALTER TABLE {table} SET (autovacuum_enabled, autovacuum_vacuum_scale_factor ="
            " 0.01), with autovacuum = on in the server",
        )
    if (oldest := health.long_transaction) is not None:
        yield Diagnosis(
            "transaction",
            "warning",
            f"one of {oldest.application or 'an unnamed program'!r} has been open for"
            f" {format_duration(oldest.seconds)}: finished jobs stay in the table, and fetching one"
            " gets ever slower",
            f"end it: SELECT pg_terminate_backend({oldest.pid})",
        )
