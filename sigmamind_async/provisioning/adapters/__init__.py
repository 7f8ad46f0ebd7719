"""What each platform means by its requests and shows in its records: one module a platform."""

from sigmamind_async.provisioning.adapters.registry import adapter_for, adapter_of

__all__ = ["adapter_for", "adapter_of"]
