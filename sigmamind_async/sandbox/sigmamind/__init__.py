"""The SigmaMind platform of the sandbox."""

from sigmamind_async.sandbox.sigmamind.api import SigmaMindApi

__all__ = ["SigmaMindApi"]
