"""The command ``sigmamind``: the library without writing Python. Needs the extra ``cli``."""

import sys

try:
    from sigmamind_async.cli.app import main
except ImportError as error:
    if (error.name or "").partition(".")[0] not in {"cyclopts", "rich"}:
        raise
    print(
        "sigmamind: the command line needs its extra: pip install 'sigmamind-async[cli]'",
        file=sys.stderr,
    )
    raise SystemExit(2) from None

__all__ = ["main"]
