"""The Verbex platform of the sandbox."""

from sigmamind_async.sandbox.verbex.api import VerbexApi

__all__ = ["VerbexApi"]
