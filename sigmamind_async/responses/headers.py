"""What response headers report about the platform's limits: how long to wait, and what is left.

No two platforms agree on the spelling. Seen in the field, and understood here:

    Retry-After            seconds, or a date in any form of RFC 9110; always UTC
    retry-after-ms         milliseconds
    X-RateLimit-Reset      seconds to go, or a moment: Unix time in seconds or milliseconds, a date
    RateLimit-Reset        the same, of the IETF drafts up to 06; so with ``X-Rate-Limit-Reset``
    RateLimit              ``limit=100, remaining=0, reset=30`` (draft 07), ``"default";r=0;t=30``
    RateLimit-Policy       ``"default";q=100;w=60``, ``100;w=60`` (draft 07): quota and window
    X-RateLimit-Bucket     the name of the limit, beside ``X-RateLimit-Reset-After`` in seconds

and durations such as ``6m0s`` or ``20ms`` in place of seconds. What cannot be read is ignored, and
nothing here raises: a response that cost money would be lost with it.

Pure: the time is an argument, in seconds. Headers are looked up by lower-case name; those of an
aiohttp response are found so, but iterated as the server spelled them.
"""

from __future__ import annotations

import email.utils
import math
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

REFUSAL_STATUSES: Final = frozenset({429})
"""Statuses with which a limiter refuses a request, whichever server it runs on."""
MAX_WAIT: Final = 1e9
"""Most seconds that a wait is reported as, about 32 years: every clock can still add them."""
MAX_WINDOW: Final = 300.0
"""Seconds of the longest window that is spread evenly. A day's quota is not: a caller that needs
all of it in an hour may have it."""
MIN_EPOCH: Final = 1_000_000.0
"""A reset below this is seconds to go, from here on a moment since 1970: both were seen from
platforms whose documentation names only one."""
_MIN_MILLISECONDS: Final = 1e11
"""A moment above this is not in seconds: they would end in the year 5138."""

BUCKET: Final = "x-ratelimit-bucket"
"""Names the limit that a request was counted in."""
_RESETS: Final = (
    "x-ratelimit-reset",
    "ratelimit-reset",
    "x-rate-limit-reset",
    "x-ratelimit-reset-after",
    "x-ratelimit-reset-requests",
)
_REMAINING: Final = ("x-ratelimit-remaining", "ratelimit-remaining", "x-rate-limit-remaining")
_QUOTED: Final = '(?:[^{}"]|"[^"]*")+'
"""What a separator ends, unless it is quoted."""
_UNITS: Final = {"d": 86_400, "h": 3_600, "m": 60, "s": 1, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
_DURATION_PART: Final = r"(\d+(?:\.\d+)?)(ms|us|ns|d|h|m|s)"


class Policy(NamedTuple):
    """The limit of a platform as it states it; of several, what keeps to all of them."""

    name: str
    """Its text: requests under the same policy are counted together."""
    rate: float
    """Requests a second."""
    burst: float
    """Requests at once."""


class Remaining(NamedTuple):
    """What is left of the window that one response was counted in."""

    remaining: int
    reset: float
    """Seconds until the next window."""
    policy: Policy | None = None
    """The limit that the window is of, if it is stated."""


def retry_after(
    headers: Mapping[str, str], wall_clock: float, *, refused: bool = True
) -> float | None:
    """Return the seconds that callers should wait; `None` without a usable header.

    Resets are read only where the platform's limit *refused* the request: on a 500 they report
    when the window ends, which is beside the point. *wall_clock* is `time.time()`.
    """
    wait = None
    if refused:
        milliseconds = _finite_number(headers.get("retry-after-ms", ""))
        wait = milliseconds / 1000 if milliseconds is not None and milliseconds >= 0 else None
    if wait is None and "retry-after" in headers:
        text = headers["retry-after"]
        wait = _number_or_duration(text)
        if wait is None:
            moment = _moment_of_date(text)
            wait = None if moment is None else max(0.0, moment - wall_clock)
    if (wait is None or wait < 0) and refused:
        wait = _seconds_until_reset(headers, wall_clock)
    return None if wait is None or wait < 0 else min(wait, MAX_WAIT)


def remaining(headers: Mapping[str, str], wall_clock: Callable[[], float]) -> Remaining | None:
    """Return what the headers report as left of a window; `None` without a usable header.

    Read are limit, remaining and reset, with and without the ``X-``, and the ``RateLimit`` field.
    *wall_clock* is `time.time`.
    """
    if (  # on the path of every success; a loop takes three times as long
        "x-ratelimit-remaining" not in headers
        and "ratelimit-remaining" not in headers
        and "x-rate-limit-remaining" not in headers
        and "ratelimit" not in headers
    ):
        return None
    for name in _REMAINING:
        if name in headers:
            family, left = name.removesuffix("remaining"), headers[name]
            # Beside the limit there may be the policies that it comes from: "100, 100;w=60".
            limit = re.split("[,;]", headers.get(f"{family}limit", left), maxsplit=1)[0]
            reset = headers.get(f"{family}reset") or headers.get(f"{family}reset-after", "")
            return _believable(
                _finite_number(limit), _finite_number(left), _seconds_to_go(reset, wall_clock())
            )
    windows = (_believable(*each) for each in _windows(headers["ratelimit"], wall_clock()))
    # Of several windows the one that admits least has to be kept to.
    least = min(filter(None, windows), key=lambda each: each.remaining / each.reset, default=None)
    return least and least._replace(policy=policy(headers))


def policy(headers: Mapping[str, str]) -> Policy | None:
    """Return the limit that ``RateLimit-Policy`` states; `None` without a usable one."""
    field = headers.get("ratelimit-policy")
    if field is None:
        return None
    limits = list[tuple[float, float]]()
    for item in re.findall(_QUOTED.format(","), field.lower()):
        parts = [part.partition("=") for part in re.findall(_QUOTED.format(";"), item)]
        fields = {name.strip(): text.strip(' "') for name, _, text in parts}
        quota = _finite_number(fields.get("q") or item.partition(";")[0]) or 0.0
        seconds = _finite_number(fields.get("w", "")) or 0.0
        of_requests = fields.get("qu", "requests") == "requests"
        if of_requests and quota >= 1 and 1 <= seconds <= MAX_WINDOW:
            limits.append((quota / seconds, quota))
    if not limits:
        return None
    return Policy(field, min(rate for rate, _ in limits), min(burst for _, burst in limits))


def _believable(limit: float | None, count: float | None, reset: float | None) -> Remaining | None:
    if limit is None or count is None or reset is None:
        return None
    if not (0.0 <= count <= limit and 0.0 < reset <= MAX_WINDOW):
        return None
    return Remaining(int(count), reset)


def _seconds_until_reset(headers: Mapping[str, str], wall_clock: float) -> float | None:
    """Return the seconds until the platform's window ends, by the first header that has them."""
    for name in _RESETS:
        wait = _seconds_to_go(headers.get(name, ""), wall_clock)
        if wait is not None:
            return wait
    windows = list(_windows(headers.get("ratelimit", ""), wall_clock))
    used_up = [reset for _, count, reset in windows if count == 0]
    # Where none is used up, one of them still has refused the request.
    known = used_up or [reset for _, _, reset in windows]
    return max((reset for reset in known if reset is not None), default=None)


def _windows(
    field: str, wall_clock: float
) -> Iterator[tuple[float | None, float | None, float | None]]:
    """Yield limit, remaining and reset of each window in a ``RateLimit`` field."""
    # Policies have names of any text, in quotes.
    bare = "".join(field.lower().split('"')[::2])
    is_draft_07 = "reset=" in bare
    for item in [bare.replace(",", ";")] if is_draft_07 else bare.split(","):
        parts = (part.partition("=") for part in item.split(";"))
        fields = {name.strip(): text.strip() for name, _, text in parts}
        count = _finite_number(fields.get("remaining") or fields.get("r", ""))
        limit = _finite_number(fields.get("limit") or fields.get("q", ""))
        reset = _seconds_to_go(fields.get("reset") or fields.get("t", ""), wall_clock)
        yield count if limit is None else limit, count, reset


def _seconds_to_go(text: str, wall_clock: float) -> float | None:
    """Return the seconds until a reset, given as seconds, as a duration or as a moment."""
    number = _number_or_duration(text)
    if number is None or number >= MIN_EPOCH:
        moment = _moment_of_date(text) if number is None else number
        if moment is None:
            return None
        while moment >= _MIN_MILLISECONDS:
            moment /= 1000.0
        number = moment - wall_clock
    return number if number >= 0 else None


def _finite_number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _number_or_duration(text: str) -> float | None:
    number = _finite_number(text)
    if number is None and re.fullmatch(f"(?:{_DURATION_PART})+", text.strip()):
        parts = re.findall(_DURATION_PART, text)
        number = _finite_number(str(sum(float(count) * _UNITS[unit] for count, unit in parts)))
    return number


def _moment_of_date(text: str) -> float | None:
    """Return the Unix time of an HTTP or ISO 8601 date; without a zone it is UTC."""
    try:
        parsed = email.utils.parsedate_tz(text)
        if parsed is None:
            date = datetime.fromisoformat(text.strip())
            return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
        year, month, day, hour, minute, second, *_ = parsed
        # A leap second, 60, is as good as the second before.
        date = datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC)
        return (date - timedelta(seconds=parsed[9] or 0)).timestamp()
    except (ValueError, OverflowError, TypeError, IndexError):
        return None
