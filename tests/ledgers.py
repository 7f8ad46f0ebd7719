"""Ledgers of platforms that sold what a test says, for tests of those who judge by them."""

from __future__ import annotations

from sigmamind_async.sandbox import Commit, Ledger


def ledger_of(*entries: tuple[str, str]) -> Ledger:
    """Return the ledger of a platform that sold numbers under labels: (label, number)."""
    ledger = Ledger()
    for sequence, (label, number) in enumerate(entries, 1):
        sale = Commit(
            sequence=sequence,
            time=0.0,
            platform="sigmamind",
            operation="create",
            kind="purchase",
            phone_number=number,
            friendly_name=label,
            body={},
            fingerprint="",
            fault=None,
        )
        ledger.append(sale)
    return ledger
