"""Options that several commands take, in groups, and the words of a command line.

A command names a group; cyclopts flattens it.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Final, Literal, TypeAlias

import attrs
from cyclopts import Group, Parameter, Token
from cyclopts.validators import Number

PlatformName: TypeAlias = Literal["sigmamind", "verbex", "dialnexa"]

FileFormat: TypeAlias = Literal["csv", "tsv", "jsonl", "json", "yaml", "xlsx"]

OnDrift: TypeAlias = Literal["fail", "keep", "overwrite"]

SETTLE_TIME: Final = 900.0

_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h)?", re.ASCII)
_DIGITS: Final = re.compile(r"-?[0-9]{1,18}", re.ASCII)
_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, None: 1.0}


def seconds(_: object, tokens: Sequence[Token]) -> float:
    """Return the duration that a word names, in seconds: ``90``, ``90s``, ``15m`` or ``1h``."""
    found = _DURATION.fullmatch(tokens[0].value.strip())
    if found is None:
        raise ValueError(f"{tokens[0].value!r} is not a duration; write 90, 90s, 15m or 1h")
    return float(found[1]) * _UNITS[found[2]]


def parse_digits(_: object, tokens: Sequence[Token]) -> int:
    """Return the number that a word is, in digits: nothing is rounded to another one."""
    if not _DIGITS.fullmatch(tokens[0].value):
        raise ValueError(f"{tokens[0].value!r} is not a whole number; write digits, such as 20")
    return int(tokens[0].value)


WholeNumber = Annotated[int, Parameter(converter=parse_digits)]
Seconds = Annotated[float, Parameter(converter=seconds, metavar="TIME", validator=Number(gte=0))]


@Parameter(name="*", group=Group("Requests", sort_key=6))
@attrs.frozen(kw_only=True)
class RequestOptions:
    """How a call reaches the platform.

    Attributes:
        deadline: Longest one call takes, retries included.
        attempt_timeout: Longest one attempt takes.
        proxy: URL of an HTTP proxy. Default: HTTPS_PROXY and NO_PROXY.
        refusal_status: A status other than 429 with which a rate limiter in front of the platform
            refuses requests. May be repeated.
    """

    deadline: Seconds = 60.0
    attempt_timeout: Seconds = 20.0
    proxy: str | None = attrs.field(default=None, repr=False)
    refusal_status: Annotated[tuple[int, ...], Parameter(validator=Number(gte=400, lte=599))] = ()


@Parameter(name="*", group=Group("Journal", sort_key=4))
@attrs.frozen(kw_only=True)
class JournalOptions:
    """Where the journal is.

    Attributes:
        journal: The journal file. Default: FILE.journal.db.
        postgres: Keep the journal in PostgreSQL: a DSN, env:NAME or file:PATH; alone, it is
            env:SIGMAMIND_POSTGRES.
    """

    journal: Path | None = None
    postgres: str | None = None


@Parameter(name="*", group=Group("Purchases", sort_key=3))
@attrs.frozen(kw_only=True)
class SpendingOptions:
    """What may be spent.

    Attributes:
        max_purchases: Most numbers that may be bought with this journal, over all runs.
        yes: Do not ask; for a file that buys, give --max-purchases too.
    """

    max_purchases: Annotated[WholeNumber | None, Parameter(validator=Number(gte=0))] = None
    yes: bool = False


@Parameter(name="*", group=Group("Unconfirmed purchases", sort_key=5))
@attrs.frozen(kw_only=True)
class SettlementOptions:
    """What is done about purchases that got no answer.

    Attributes:
        settle_time: How long a purchase without an answer may still turn up.
        retry_unconfirmed: Send it again if it has not turned up by then. A row that already needs a
            decision needs reconcile --only.
        release_duplicates: Release duplicates. Permanent; asks, or needs --yes.
        accept_key: Accept a new API key for the account in this journal.
    """

    settle_time: Seconds = SETTLE_TIME
    retry_unconfirmed: bool = False
    release_duplicates: bool = False
    accept_key: bool = False


@Parameter(name="*", group=Group("Plan", sort_key=2))
@attrs.frozen(kw_only=True)
class ChangeOptions:
    """What a plan may do.

    Attributes:
        on_drift: What to do about a field that was changed outside this fleet.
        allow_release: Release numbers of rows with the state absent or a new platform. Permanent.
        rewrite_secrets: Write passwords again; a new value behind the same reference is not
            noticed.
        allow_unlisted: Buy for new rows although the journal has bought numbers that no row lists.
    """

    on_drift: OnDrift = "fail"
    allow_release: bool = False
    rewrite_secrets: bool = False
    allow_unlisted: bool = False


@Parameter(name="*", group=Group("File", sort_key=1))
@attrs.frozen(kw_only=True)
class FileOptions:
    """How a file of rows is read.

    Attributes:
        platform: For rows that name none.
        format: Format of FILE. Default: by its suffix; for stdin, jsonl.
        skip_bad: Leave out rows with a problem, and do the rest.
        allow_inline_secrets: Accept passwords in FILE itself, not only references to them.
    """

    platform: PlatformName | None = None
    format: FileFormat | None = None
    skip_bad: bool = False
    allow_inline_secrets: bool = False


_OUTPUT: Final = Group("Output", sort_key=7)

Json = Annotated[bool, Parameter(name="--json", group=_OUTPUT, help="Write JSON Lines to stdout.")]
"""For a command that takes none of the other options of the output."""
OnePlatform = Annotated[PlatformName, Parameter(name="--platform", help="Platform of the account.")]


@Parameter(name="*", group=_OUTPUT)
@attrs.frozen(kw_only=True)
class OutputOptions:
    """What is shown, and how.

    Attributes:
        quiet: Show only what failed.
        verbose: Show every row, unchanged ones too.
    """

    json: Json = False
    quiet: Annotated[bool, Parameter(name=("--quiet", "-q"))] = False
    verbose: Annotated[bool, Parameter(name=("--verbose", "-v"))] = False


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class AccountOptions:
    """One account."""

    platform: OnePlatform = "sigmamind"
    request: RequestOptions = RequestOptions()
    json: Json = False


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class JobOptions:
    """How a job over many rows is carried out and shown."""

    spending: SpendingOptions = SpendingOptions()
    settlement: SettlementOptions = SettlementOptions()
    request: RequestOptions = RequestOptions()
    output: OutputOptions = OutputOptions()


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class ListOptions:
    """Which numbers are listed.

    Attributes:
        platform: Platform of the account; may be repeated. Default: all whose API key is set.
        unassigned: Only numbers without an inbound agent.
        agent: Only numbers that this agent answers or calls from.
    """

    platform: tuple[PlatformName, ...] = ()
    unassigned: bool = False
    agent: str | None = None
    request: RequestOptions = RequestOptions()
    json: Json = False


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class ReassignOptions:
    """Whose numbers get which agent.

    Attributes:
        from_agent: Agent that has the numbers.
        to_agent: Agent that gets them.
        side: Which calls: those that the agent answers, those it makes, or both.
        dry_run: Show what would change, and change nothing.
        yes: Do not ask.
        journal: Journal of the fleet that the numbers are in, to keep it up to date.
    """

    from_agent: str
    to_agent: str
    platform: OnePlatform = "sigmamind"
    side: Literal["inbound", "outbound", "both"] = "both"
    dry_run: bool = False
    yes: bool = False
    journal: Path | None = None
    request: RequestOptions = RequestOptions()
    output: OutputOptions = OutputOptions()


@Parameter(name="*", group=Group("Worker", sort_key=0))
@attrs.frozen(kw_only=True)
class WorkerOptions:
    """What a worker serves.

    Attributes:
        platform: Platform to serve; may be repeated. Default: all whose API key is set.
        concurrency: Operations under way at once.
        allow_secret: Secrets that requests may name: env:NAME, where * stands for any letters, or
            file:FOLDER; may be repeated. Default: variables TRUNK_* and no file.
        upkeep: Time, roughly, between two searches for unconfirmed purchases and lost workers; one
            worker of all makes them.
    """

    platform: tuple[PlatformName, ...] = ()
    concurrency: Annotated[WholeNumber, Parameter(validator=Number(gte=1))] = 20
    allow_secret: tuple[str, ...] = ()
    upkeep: Annotated[Seconds, Parameter(validator=Number(gte=1, lte=3540))] = 60.0


@Parameter(name="*", group=Group("Calls", sort_key=1))
@attrs.frozen(kw_only=True)
class CallOptions:
    """How test calls are placed; see `verify_numbers`.

    Attributes:
        agent_id: Agent that speaks. Default: each number's outbound agent.
        timeout: Longest wait for the end of one call.
        poll_interval: Time between two looks at a call.
        concurrency: Most calls in progress at once.
        per_destination: Most calls at once to the same test number.
    """

    agent_id: Annotated[str | None, Parameter(name="--agent")] = None
    timeout: Seconds = 120.0
    poll_interval: Seconds = 1.0
    concurrency: Annotated[WholeNumber, Parameter(validator=Number(gte=1))] = 5
    per_destination: Annotated[
        WholeNumber, Parameter(name="--max-per-destination", validator=Number(gte=1))
    ] = 1


# ---------------------------------------------------------------- the words of a command line

POSTGRES_OPTION: Final = "--postgres"
POSTGRES_VARIABLE: Final = "SIGMAMIND_POSTGRES"
POSTGRES_DEFAULT: Final = f"env:{POSTGRES_VARIABLE}"
"""What the option alone stands for."""

_PASSWORDS: Final = re.compile(r"(://)\S+(?=@)|(password\s*=\s*)(?:'(?:\\.|[^'\\])*'|\S+)")
_WORDS: Final[ContextVar[tuple[str, ...]]] = ContextVar("_WORDS", default=())


def expand_bare_postgres(words: Sequence[str]) -> list[str]:
    """Return a command line with the value that ``--postgres`` alone stands for."""
    following = [*words, "--"][1:]
    return [
        f"{POSTGRES_OPTION}={POSTGRES_DEFAULT}"
        if word == POSTGRES_OPTION and after.startswith("-")
        else word
        for word, after in zip(words, following, strict=True)
    ]


def without_passwords(text: str) -> str:
    """Return *text*, which may repeat what was typed, without the password of a URL."""
    return _PASSWORDS.sub(r"\1\2***", text)


def remember_command(words: Sequence[str]) -> None:
    """Keep the *words* that this run was started with, for `resume_command`."""
    _WORDS.set(tuple(words))


def resume_command() -> str:
    """Return the command that this run was started with, without passwords."""
    words = [*map(without_passwords, _WORDS.get()), *profile_words()]
    return shlex.join(["sigmamind", *words])


def profile_words() -> tuple[str, ...]:
    """Return the option that names the profile in use, for a further command."""
    name = os.environ.get("SIGMAMIND_PROFILE")
    return ("--profile", name) if name else ()


def settle_words(settle_time: float) -> tuple[str, ...]:
    """Return the option that says *settle_time*; none for the default."""
    return () if settle_time == SETTLE_TIME else ("--settle-time", f"{settle_time:g}s")


def account_words(platform: str | None) -> tuple[str, ...]:
    """Return the options that name profile and *platform*; none for what is the default."""
    words = () if platform in {None, "sigmamind"} else ("--platform", str(platform))
    return (*words, *profile_words())


def option_of(field: str) -> str:
    """Return the option that sets *field*."""
    return f"--{field.replace('_', '-')}"


def given_options(group: attrs.AttrsInstance) -> list[str]:
    """Return the options of *group* that say something else than their defaults."""
    return [
        option_of(field.name)
        for field in attrs.fields(type(group))
        if getattr(group, field.name) != field.default
    ]
