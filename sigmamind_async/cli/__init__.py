"""The command ``sigmamind``: the library without writing Python. Needs the extra ``cli``."""

from sigmamind_async.cli.app import main

__all__ = ["main"]
