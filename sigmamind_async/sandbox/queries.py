"""Numbers in a query string."""

from __future__ import annotations

import re
from collections.abc import Mapping

from sigmamind_async.sandbox.refusals import Problem, RefusedError

INT32_MAX = 2**31 - 1

_INTEGER = re.compile(r"-?[0-9]{1,10}", re.ASCII)


def whole_number(
    query: Mapping[str, str],
    name: str,
    *,
    default: int,
    lowest: int,
    highest: int = INT32_MAX,
) -> int:
    """Return the parameter *name*; raises :class:`RefusedError` when it is out of range."""
    text = query.get(name)
    if text is None:
        return default
    if _INTEGER.fullmatch(text) and lowest <= int(text) <= highest:
        return int(text)
    bounds = f"of at least {lowest}" if highest == INT32_MAX else f"from {lowest} to {highest}"
    said = f"must be an integer {bounds}"
    raise RefusedError(400, "", Problem(kind="range", name=name, said=said, place="query"))
