"""JSON as text: what parses it and what writes it, each imported when it is first used.

The two libraries would take a tenth of the time that a first client takes above aiohttp's import.
Once used, either name is the library's own function: a call pays for no detour.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

parse: Callable[[bytes], Any]
"""Parses UTF-8 JSON. orjson makes texts with 512-bit instructions, for which a server processor
lowers its clock: on an Intel Xeon all that followed took 8 % longer, 20 microseconds of a call."""
dumps: Callable[..., bytes]
"""Writes UTF-8 JSON, as ``orjson.dumps`` does."""


def __getattr__(name: str) -> object:
    find = _HOMES.get(name)
    if find is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = find()
    return found


def _parse() -> object:
    import msgspec

    return msgspec.json.Decoder().decode


def _dumps() -> object:
    import orjson

    return orjson.dumps


_HOMES = {"parse": _parse, "dumps": _dumps}
