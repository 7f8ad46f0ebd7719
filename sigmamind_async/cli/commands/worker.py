"""``sigmamind worker``: carries out what others hand over, until it is told to stop."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Annotated, Final

import attrs
from cyclopts import Parameter
from cyclopts.validators import Number

from sigmamind_async.cli.database import Database, Postgres, database_or_default, missing
from sigmamind_async.cli.errors import CommandError, Exit
from sigmamind_async.cli.journal_location import ReleaseDuplicates, RetryUnconfirmed, SettleTime
from sigmamind_async.cli.output.console import Output
from sigmamind_async.cli.output.progress import Traffic
from sigmamind_async.cli.prompts import Consent, can_ask
from sigmamind_async.cli.runtime import (
    ATTEMPT_TIMEOUT,
    DEADLINE,
    AttemptTimeout,
    Deadline,
    Json,
    Proxy,
    RefusalStatus,
    Times,
    client_of_environment,
    run,
)
from sigmamind_async.cli.vendors import PLATFORMS, Platform, PlatformName
from sigmamind_async.provisioning.transitions import SETTLE_TIME
from sigmamind_async.secret_references import SecretResolver

if TYPE_CHECKING:  # it needs an extra
    from sigmamind_async.workers import Account

UPKEEP: Final = 60


def worker(
    *,
    postgres: Postgres = None,
    platform: Annotated[
        tuple[PlatformName, ...],
        Parameter(
            help="Whose numbers; may be given several times. All whose API key is set, otherwise."
        ),
    ] = (),
    concurrency: Annotated[
        int, Parameter(validator=Number(gte=1), help="Operations under way at once.")
    ] = 20,
    max_purchases: Annotated[
        int | None,
        Parameter(
            validator=Number(gte=0),
            help="Most numbers that the journal may count as bought of a platform, all together.",
        ),
    ] = None,
    settle_time: SettleTime = SETTLE_TIME,
    retry_unconfirmed: RetryUnconfirmed = False,
    release_duplicates: ReleaseDuplicates = False,
    allow_secret: Annotated[
        tuple[str, ...],
        Parameter(
            help="What requests may name as a secret: env:NAME, where * stands for any letters, or"
            " file:FOLDER; may be given several times. Variables TRUNK_* and no file, otherwise."
        ),
    ] = (),
    yes: Annotated[bool, Parameter(help="Release without asking.")] = False,
    upkeep: Annotated[
        int,
        Parameter(
            validator=Number(gte=1, lte=3540),
            help="Seconds, about, between two looks at what is unconfirmed, and for lost workers;"
            " one worker of all looks.",
        ),
    ] = UPKEEP,
    json: Json = False,
    deadline: Deadline = DEADLINE,
    attempt_timeout: AttemptTimeout = ATTEMPT_TIMEOUT,
    proxy: Proxy = None,
    refusal_status: RefusalStatus = (),
) -> int:
    """Serve until SIGTERM, SIGHUP or Ctrl-C."""
    database = database_or_default(postgres)
    platforms = _platforms(platform)
    if release_duplicates:
        Consent(max_purchases=None, yes=yes, ask=not json and can_ask()).check_release("duplicates")
    terms = AccountTerms(
        max_purchases=max_purchases,
        settle_time=settle_time,
        retry_unconfirmed=retry_unconfirmed,
        release_duplicates=release_duplicates,
        concurrency=concurrency,
        upkeep=cron_of(upkeep),
        times=Times(
            deadline=deadline, attempt=attempt_timeout, proxy=proxy, refusals=refusal_status
        ),
    )
    _serve(database, platforms, terms, _references(allow_secret), Output.for_process(json=json))
    return Exit.DONE


@attrs.frozen(kw_only=True)
class AccountTerms:
    """What a worker may do about each account, and in what time."""

    max_purchases: int | None
    settle_time: float
    retry_unconfirmed: bool
    release_duplicates: bool
    concurrency: int
    upkeep: str
    """When to look after the others' work, as cron has it, with a sixth field for the second."""
    times: Times


def cron_of(seconds: int) -> str:
    """Return when cron does what is to be done every so many *seconds*, as near as it comes."""
    return f"* * * * * */{seconds}" if seconds < 60 else f"*/{round(seconds / 60)} * * * *"


def _platforms(named: tuple[PlatformName, ...]) -> list[Platform]:
    """Return the platforms that are named, or else those of which the environment has the key."""
    if named:
        return [PLATFORMS[name] for name in dict.fromkeys(named)]
    found = [each for each in PLATFORMS.values() if os.environ.get(each.key_variable)]
    if not found:
        names = ", ".join(each.key_variable for each in PLATFORMS.values())
        raise CommandError(f"no platform to serve: set the API key of at least one, {names}")
    return found


def _references(allowed: tuple[str, ...]) -> SecretResolver | None:
    """Return what may be read; ``None`` for the worker's own default."""
    listed: dict[str, list[str]] = {"env": [], "file": []}
    for each in allowed:
        kind, _, what = each.partition(":")
        if kind not in listed or not what:
            raise CommandError("--allow-secret must be env:NAME or file:FOLDER")
        listed[kind].append(what)
    return SecretResolver(names=listed["env"], folders=listed["file"]) if allowed else None


def _serve(
    database: Database,
    platforms: list[Platform],
    terms: AccountTerms,
    secrets: SecretResolver | None,
    output: Output,
) -> None:
    try:
        from sigmamind_async.cli.jobs.worker_runner import Serving
    except ImportError as error:
        raise missing(error) from None
    traffic = Traffic()
    serving = Serving(
        database=database,
        accounts=[_account(each, terms, traffic) for each in platforms],
        platforms=platforms,
        output=output,
        traffic=traffic,
        concurrency=terms.concurrency,
        upkeep=terms.upkeep,
        refusals=terms.times.refusals,
        secrets=secrets,
    )
    run(serving.run())


def _account(platform: Platform, terms: AccountTerms, traffic: Traffic) -> Account:
    from sigmamind_async.workers import Account

    return Account(
        partial(client_of_environment, platform, terms.times, observer=traffic),
        max_purchases=terms.max_purchases,
        settle_time=terms.settle_time,
        retry_unconfirmed=terms.retry_unconfirmed,
        release_duplicates=terms.release_duplicates,
    )
