"""JSON as text: what parses it and what writes it, imported when either is first used.

The two libraries would take a tenth of the time that a first client takes above aiohttp's import.
Once used, either name is the library's own function: a call pays for no detour. Both come at once:
what is to read an answer has to be there before a purchase leaves.
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
    if name not in {"parse", "dumps"}:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import msgspec
    import orjson

    globals().update(parse=msgspec.json.Decoder().decode, dumps=orjson.dumps)
    return globals()[name]
