"""A job of one kind of request carries out no other, and a row that is none fails alone."""

from __future__ import annotations

from contextlib import aclosing
from typing import Any

import pytest

from sigmamind_async import ConfigurationError, InvalidRequestError, SigmaMind
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


def provisioner_of(box: Sandbox) -> Provisioner:
    client = SigmaMind(box.sigmamind.api_key, transport=box.transport())
    return Provisioner(client, MemoryJournal())


VALUE = CreatePhoneNumber(country_code="US")


@pytest.mark.parametrize("row", [VALUE, None, 5, "abc", ("a",), ("a", VALUE, VALUE), {"a": VALUE}])
async def test_a_row_that_is_no_pair_fails_alone(row: Any) -> None:
    async with Sandbox(seed=1) as box:
        run = provisioner_of(box).run_many([("first", VALUE), row, ("last", VALUE)], ordered=True)
        first, bad, last = [each async for each in run]

    assert (first.status, bad.status, last.status) == ("done", "failed", "done")
    assert (bad.index, bad.op_id) == (1, None)
    assert isinstance(bad.error, InvalidRequestError)
    assert str(bad.error).startswith("operations[1]: must be a pair of op_id and value, such as")


async def test_a_row_that_is_no_pair_shows_no_secret() -> None:
    row: Any = ("a", {"phone_number": "+14155550100", "trunk_password": "hunter22"}, "more")
    async with Sandbox(seed=1) as box:
        run = provisioner_of(box).run_many([row, row[1]], kind=ImportPhoneNumber)
        outcomes = [each async for each in run]

    assert [each.status for each in outcomes] == ["failed", "failed"]
    assert "hunter22" not in repr(outcomes)
    assert "+14155550100" in repr(outcomes)


@pytest.mark.parametrize("kind", ["text", 5, str, VALUE, SigmaMind])
async def test_a_kind_that_is_no_class_of_requests_is_refused_at_once(kind: Any) -> None:
    async with Sandbox(seed=1) as box:
        with pytest.raises(InvalidRequestError, match="kind: must be a class of requests"):
            provisioner_of(box).run_many([("a", VALUE)], kind=kind)


@pytest.mark.parametrize("rows", [None, 5, "text", b"text", VALUE])
async def test_what_is_no_iterable_is_refused_at_once(rows: Any) -> None:
    async with Sandbox(seed=1) as box:
        provisioner = provisioner_of(box)
        numbers = SigmaMind("key", transport=box.transport()).phone_numbers
        for call in (provisioner.run_many, provisioner.client.run_many):
            with pytest.raises(InvalidRequestError, match="values: must be an iterable of rows"):
                call(rows)
        for many in (numbers.create_many, numbers.import_many):
            with pytest.raises(InvalidRequestError, match="values: must be an iterable of rows"):
                await many(rows)


async def test_a_job_is_iterated_once() -> None:
    async with Sandbox(seed=1) as box:
        run = provisioner_of(box).run_many((f"row-{n}", VALUE) for n in range(3))
        async with aclosing(aiter(run)) as outcomes:
            await anext(outcomes)
        left = len(run.undelivered)
        with pytest.raises(ConfigurationError, match="can be iterated once"):
            [each async for each in run]

    assert len(run.undelivered) == left
