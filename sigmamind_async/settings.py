"""Checks of settings that several parts take: seconds and counts."""

from __future__ import annotations

import sys

from sigmamind_async.errors import ConfigurationError


def check_seconds(name: str, value: object, *, zero: bool = False) -> None:
    """Require a finite number of seconds: more than 0, or with *zero* also 0."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ConfigurationError(f"{name}: must be a number of seconds")
    # NaN is in no range. An int may exceed every float, and could not be added to a time.
    if not (value >= 0 if zero else value > 0) or value > sys.float_info.max:
        least = "0 seconds or more" if zero else "more than 0 seconds"
        raise ConfigurationError(f"{name}: must be {least}, and finite")


def check_count(name: str, value: object, *, least: int = 1) -> None:
    """Require a whole number of at least *least*."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigurationError(f"{name}: must be a whole number from {least}")
