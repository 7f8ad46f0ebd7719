"""What the headers of an answer say about the platform's limits: how long to wait, what is left.

No two platforms agree on the spelling. Seen in the field, and understood here:

    Retry-After            seconds, or a date in any form of RFC 9110; always UTC
    retry-after-ms         milliseconds
    X-RateLimit-Reset      seconds to go, or a moment: Unix time in seconds or milliseconds, a date
    RateLimit-Reset        the same, of the IETF drafts up to 06; so with ``X-Rate-Limit-Reset``
    RateLimit              ``limit=100, remaining=0, reset=30`` (draft 07), ``"default";r=0;t=30``

and durations such as ``6m0s`` or ``20ms`` in place of seconds. What cannot be read is ignored, and
nothing here raises: an answer that cost money would be lost with it.

Pure: the time is an argument, in seconds. Headers are by lower-case name.
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

LONGEST_WAIT: Final = 1e9
"""Most seconds that a wait is reported as, about 32 years: every clock can still add them."""
LONGEST_WINDOW: Final = 300.0
"""Seconds of the longest window that is spread evenly. A day's quota is not: a caller who needs
all of it in an hour may have it."""
EPOCH_FROM: Final = 1_000_000.0
"""A reset below this is seconds to go, above it a moment since 1970: both were seen from platforms
whose documentation names only one."""
_MILLISECONDS_FROM: Final = 1e11
"""A moment above this is no count of seconds: they would end in the year 5138."""

_RESETS: Final = (
    "x-ratelimit-reset",
    "ratelimit-reset",
    "x-rate-limit-reset",
    "x-ratelimit-reset-after",
    "x-ratelimit-reset-requests",
)
_UNITS: Final = {"d": 86_400, "h": 3_600, "m": 60, "s": 1, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
_PART: Final = r"(\d+(?:\.\d+)?)(ms|us|ns|d|h|m|s)"


class Remaining(NamedTuple):
    """What one answer said of the window it was counted in."""

    remaining: int
    reset: float
    """Seconds until the next window."""


def retry_after(
    headers: Mapping[str, str], wall_clock: float, *, refused: bool = True
) -> float | None:
    """Return the seconds a caller was asked to wait, `None` where no usable header says so.

    Only an answer that has *refused* the request for the platform's limit has its resets read: on
    a 500 they tell when the window ends, which helps nobody. *wall_clock* is `time.time()`.
    """
    wait = _asked_in_ms(headers) if refused else None
    if wait is None and "retry-after" in headers:
        text = headers["retry-after"]
        wait = _number_or_duration(text)
        if wait is None:
            moment = _moment_of_date(text)
            wait = None if moment is None else max(0.0, moment - wall_clock)
    if (wait is None or wait < 0) and refused:
        wait = _until_reset(headers, wall_clock)
    return None if wait is None or wait < 0 else min(wait, LONGEST_WAIT)


def remaining(headers: Mapping[str, str], wall_clock: Callable[[], float]) -> Remaining | None:
    """Return what an answer's headers say remains of a window, `None` where nothing usable does.

    Read are limit, remaining and reset, with and without the ``X-``, and the ``RateLimit`` field.
    *wall_clock* is `time.time`.
    """
    # Every answer comes through here, and most have none of these.
    if "x-ratelimit-remaining" in headers:
        family = "x-ratelimit-"
    elif "ratelimit-remaining" in headers:
        family = "ratelimit-"
    elif "x-rate-limit-remaining" in headers:
        family = "x-rate-limit-"
    elif "ratelimit" in headers:
        windows = [_believable(*each) for each in _windows(headers["ratelimit"], wall_clock())]
        # Of several windows the one that admits least has to be kept to.
        return min(
            (window for window in windows if window is not None),
            key=lambda window: window.remaining / window.reset,
            default=None,
        )
    else:
        return None
    left = headers[family + "remaining"]
    # Beside the limit there may be the policies that it comes from: "100, 100;w=60".
    limit = re.split("[,;]", headers.get(family + "limit", left), maxsplit=1)[0]
    reset = headers.get(family + "reset") or headers.get(family + "reset-after", "")
    return _believable(number_in(limit), number_in(left), _seconds_to_go(reset, wall_clock()))


def number_in(text: str) -> float | None:
    """Return the finite number that *text* is, `None` if it is none."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _believable(limit: float | None, count: float | None, reset: float | None) -> Remaining | None:
    if limit is None or count is None or reset is None:
        return None
    if not (0.0 <= count <= limit and 0.0 < reset <= LONGEST_WINDOW):
        return None
    return Remaining(int(count), reset)


def _asked_in_ms(headers: Mapping[str, str]) -> float | None:
    number = number_in(headers.get("retry-after-ms", ""))
    return None if number is None or number < 0 else number / 1000.0


def _until_reset(headers: Mapping[str, str], wall_clock: float) -> float | None:
    """Return the seconds until the platform's window ends, by whichever header tells."""
    for name in _RESETS:
        if name in headers:
            wait = _seconds_to_go(headers[name], wall_clock)
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
    first_generation = "reset=" in bare
    for item in [bare.replace(",", ";")] if first_generation else bare.split(","):
        parts = (part.partition("=") for part in item.split(";"))
        said = {name.strip(): text.strip() for name, _, text in parts}
        count = number_in(said.get("remaining") or said.get("r", ""))
        limit = number_in(said.get("limit") or said.get("q", ""))
        reset = _seconds_to_go(said.get("reset") or said.get("t", ""), wall_clock)
        yield count if limit is None else limit, count, reset


def _seconds_to_go(text: str, wall_clock: float) -> float | None:
    """Return the seconds until a reset, given as seconds, as a duration or as a moment."""
    number = _number_or_duration(text)
    if number is None or number >= EPOCH_FROM:
        moment = _moment_of_date(text) if number is None else number
        if moment is None:
            return None
        while moment >= _MILLISECONDS_FROM:
            moment /= 1000.0
        number = moment - wall_clock
    return number if number >= 0 else None


def _number_or_duration(text: str) -> float | None:
    number = number_in(text)
    if number is None and re.fullmatch(f"(?:{_PART})+", text.strip()):
        parts = re.findall(_PART, text)
        number = number_in(str(sum(float(count) * _UNITS[unit] for count, unit in parts)))
    return number


def _moment_of_date(text: str) -> float | None:
    """Return the Unix time of an HTTP date or an ISO 8601 one; without a zone they are UTC."""
    try:
        said = email.utils.parsedate_tz(text)
        if said is None:
            date = datetime.fromisoformat(text.strip())
            return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
        year, month, day, hour, minute, second, *_ = said
        # A second that was put in, 60, is as good as the one before.
        date = datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC)
        return (date - timedelta(seconds=said[9] or 0)).timestamp()
    except (ValueError, OverflowError, TypeError, IndexError):
        return None
