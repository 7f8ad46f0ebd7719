"""What one gate has learned of a platform's limit, in a form that other processes can take over."""

from __future__ import annotations

import json
from typing import Final, Self

import attrs

VERSION: Final = 1
"""Change it together with the fields: snapshots are stored, and read by other releases."""

_MOST: Final = 1e12
# Beyond these a value would divide by zero, or make a rate negative.
_BOUNDS: Final = {"probation": (1e-6, _MOST), "tolerated": (0.0, 0.1)}


@attrs.frozen(kw_only=True)
class RateSnapshot:
    """What an `AdaptiveRate` knows beside its rate; rates are requests a second."""

    version: int = VERSION
    probation: float
    """Requests for which a rate that was found is kept."""
    target_rate: float
    """The rate to return to quickly; 0 for none."""
    known_rate: float
    """A rate that the platform admitted; 0 until one is found."""
    best_rate: float
    usual_rate: float
    """The rate before refusals that nothing passed between."""
    tolerated: float
    """Share of refusals that change nothing."""

    def to_text(self) -> str:
        """Return it as JSON."""
        return json.dumps(attrs.asdict(self))

    @classmethod
    def from_text(cls, text: str) -> Self | None:
        """Return the snapshot in *text*.

        `None` if another version wrote it or a value is impossible: the reader then goes on from
        the rate alone, and learns the rest again.
        """
        try:
            snapshot = cls(**json.loads(text))
            return snapshot if snapshot.version == VERSION and snapshot._is_possible() else None
        except (ValueError, TypeError, RecursionError):
            return None

    def _is_possible(self) -> bool:
        values = attrs.asdict(self)
        ranges = ((value, *_BOUNDS.get(name, (0.0, _MOST))) for name, value in values.items())
        return all(least <= value <= most for value, least, most in ranges)
