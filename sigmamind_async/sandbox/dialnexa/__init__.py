"""The DialNexa platform of the sandbox."""

from sigmamind_async.sandbox.dialnexa.api import DialNexaApi

__all__ = ["DialNexaApi"]
