"""JSON as text: what parses it and what writes it, imported when either is first used.

The two libraries would take a tenth of the time that a first client takes above aiohttp's import.
Once used, either name is the library's own function: a call pays for no detour. Both come at once:
what is to read an answer has to be there before a purchase leaves.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from sigmamind_async.errors import APIConnectionError

parse: Callable[[bytes], Any]
"""Parses UTF-8 JSON. orjson makes texts with 512-bit instructions, for which a server processor
lowers its clock: on an Intel Xeon all that followed took 8 % longer, 20 microseconds of a call."""
dumps: Callable[..., bytes]
"""Writes UTF-8 JSON, as ``orjson.dumps`` does."""


def __getattr__(name: str) -> object:
    if name not in {"parse", "dumps"}:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with loading():
        import msgspec
        import orjson

    globals().update(parse=msgspec.json.Decoder().decode, dumps=orjson.dumps)
    return globals()[name]


@contextmanager
def loading() -> Generator[None, None, None]:
    """Make an `APIConnectionError` of a module that cannot be read when it is first needed.

    A process without a free descriptor has none for a connection either.
    """
    try:
        yield
    except (OSError, ImportError) as error:
        # A library of C's is not found by name then, and only the text says why.
        code = error.errno if isinstance(error, OSError) else errno.EMFILE
        if code is None or (isinstance(error, ImportError) and os.strerror(code) not in str(error)):
            raise
    else:
        return
    reason = os.strerror(code)
    unloaded = APIConnectionError(f"no file can be opened ({reason}); nothing was sent")
    unloaded.__cause__ = OSError(code, reason)
    raise unloaded
