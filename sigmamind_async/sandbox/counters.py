"""How often a platform was asked."""

from __future__ import annotations

from collections import Counter

import attrs


@attrs.define
class Requests:
    """How often the platform was asked; requests that were refused count too."""

    total: int = 0
    by_operation: Counter[str] = attrs.field(factory=Counter[str])
    by_status: Counter[int] = attrs.field(factory=Counter[int])
    """Answers by status; a request that got no HTTP answer is in none of them."""
    by_fault: Counter[str] = attrs.field(factory=Counter[str])

    def as_json(self) -> dict[str, object]:
        """Return the counters as plain values."""
        return {
            "total": self.total,
            "by_operation": dict(self.by_operation),
            "by_status": {str(status): count for status, count in self.by_status.items()},
            "by_fault": dict(self.by_fault),
        }
