"""A job of one kind of request carries out no other, and its rows are pairs."""

from __future__ import annotations

from typing import Any

import pytest

from sigmamind_async import InvalidRequestError, SigmaMind
from sigmamind_async.platforms.sigmamind import CreatePhoneNumber, ImportPhoneNumber
from sigmamind_async.provisioning import MemoryJournal, Provisioner
from sigmamind_async.sandbox import Sandbox


async def test_a_purchase_among_imports_is_refused_and_buys_nothing() -> None:
    """The control is the same purchase in a job of any kind."""
    rows = [("order-1", CreatePhoneNumber(country_code="US"))]
    async with Sandbox(seed=1) as box:
        client = SigmaMind(box.sigmamind.api_key, transport=box.transport())
        provisioner = Provisioner(client, MemoryJournal())
        run = provisioner.run_many(rows, kind=ImportPhoneNumber)
        [outcome] = [each async for each in run]
        assert outcome.status == "failed"
        assert "must be of the class ImportPhoneNumber" in str(outcome.error)
        assert box.ledger.purchases == []
        assert [each.status async for each in provisioner.run_many(rows)] == ["done"]
        assert len(box.ledger.purchases) == 1


async def test_a_row_that_is_no_pair_is_named_after_those_before_it() -> None:
    value = CreatePhoneNumber(country_code="US")
    rows: list[Any] = [("order-1", value), value]
    done: list[str] = []
    async with Sandbox(seed=1) as box:
        client = SigmaMind(box.sigmamind.api_key, transport=box.transport())

        async def run() -> None:
            async for outcome in Provisioner(client, MemoryJournal()).run_many(rows):
                done.append(outcome.status)  # noqa: PERF401 - what came before the error counts

        with pytest.raises(InvalidRequestError, match=r"^operations\[1\]: must be a pair of op_id"):
            await run()
        assert (done, len(box.ledger.purchases)) == (["done"], 1)
