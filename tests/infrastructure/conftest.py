"""What these tests share with others: certificates, a sandbox, and the real command."""

from __future__ import annotations

from tests.cli.conftest import box, cli, inside, until
from tests.functional.conftest import certificates

__all__ = ["box", "certificates", "cli", "inside", "until"]
