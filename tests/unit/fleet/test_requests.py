"""The operations of a step, given what the journal has of them already."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from sigmamind_async.errors import PlanError
from sigmamind_async.fleet.plan import plan
from sigmamind_async.fleet.requests import RequestBuilder, StepRequest
from sigmamind_async.fleet.spec import Fleet, FleetRow
from sigmamind_async.platforms.sigmamind import CreatePhoneNumber
from sigmamind_async.provisioning import Kind, MemoryJournal, State
from sigmamind_async.values import Secret
from tests.unit.fleet.rows import NUMBER, OTHER, begun, bought, imported, known


async def creation(made: FleetRow, **stored: Any) -> StepRequest:
    """Return the operation that creates the number of *made*, after one that is *stored*."""
    journal = MemoryJournal()
    if stored:
        row = begun(**stored).row
        assert row is not None
        await journal.put(attrs.evolve(row, version=1))
    # Planned without the journal, as by a run that began before the other operation did.
    todo = plan(Fleet(rows=[made]), known())
    return await RequestBuilder(todo, journal, Secret).creation(todo.steps[0])


async def test_a_new_purchase_has_the_first_id() -> None:
    request = await creation(bought(label="L"))

    assert (request.op_id, request.sequence) == ("a #1", 1)
    assert request.value == CreatePhoneNumber(country_code="US", friendly_name="L")


async def test_the_same_purchase_continues() -> None:
    assert (await creation(bought(), state=State.UNCONFIRMED)).op_id == "a #1"


async def test_a_purchase_continues_as_it_was_requested() -> None:
    """Another request would buy another number."""
    request = await creation(bought(label="L"), state=State.UNCONFIRMED)

    assert (request.op_id, request.value) == ("a #1", CreatePhoneNumber(country_code="US"))


async def test_a_purchase_follows_another_one_that_had_no_effect() -> None:
    assert (await creation(bought(label="L"), state=State.FAILED)).op_id == "a #2"


IMPORT: dict[str, Any] = {
    "kind": Kind.IMPORT,
    "request_type": "ImportPhoneNumber",
    "request_fields": {"phone_number": NUMBER},
    "key": NUMBER,
}


async def test_an_import_follows_another_one_that_is_done() -> None:
    """Its number has left the account since, or it would not be requested again."""
    assert (await creation(imported(), state=State.DONE, **IMPORT)).op_id == "a #2"


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (
            imported(phone_number=OTHER),
            f"import {NUMBER}, which is unconfirmed: add another row for {OTHER}",
        ),
        (bought(), "which is unconfirmed: change the row back until that is settled"),
    ],
)
async def test_another_number_does_not_continue_an_import(made: FleetRow, why: str) -> None:
    with pytest.raises(PlanError, match=why.replace("+", "[+]")):
        await creation(made, state=State.UNCONFIRMED, **IMPORT)


async def test_an_import_continues_with_the_password_that_it_had() -> None:
    """The control is the same row with the password."""
    stored = {**IMPORT, "secret_fields": ("trunk_password",)}
    with pytest.raises(PlanError, match="to settle it, restore trunk_password in the row"):
        await creation(imported(label="L"), state=State.UNCONFIRMED, **stored)

    whole = imported(label="L", trunk_password="env:P", termination_uri="sip.example")
    request = await creation(whole, state=State.UNCONFIRMED, **stored)
    assert request.fields == {"phone_number": NUMBER, "trunk_password": "env:P"}
