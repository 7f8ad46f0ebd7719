"""The requests that carry a step out, and their ids in the journal.

An id says what the operation is for: ``ROW #N`` creates a number, ``ROW #N.DIGEST`` writes the
changes with that digest, ``ROW #N.release`` releases it. So the same step, planned again by a later
run, has the same id and is carried out once. A changed row gets another id, and waits until the
earlier request is settled.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

import attrs
import orjson

from sigmamind_async.errors import PlanError
from sigmamind_async.fleet.blockers import RELEASE_NOT_ALLOWED, pending_mismatch
from sigmamind_async.fleet.plan import Plan
from sigmamind_async.fleet.spec import SECRETS, Cell, DesiredState, FleetRow, Source
from sigmamind_async.fleet.state import FleetState, creation_id, had_no_effect
from sigmamind_async.fleet.state_index import request_cells, spreadsheet_ids
from sigmamind_async.fleet.step import Action, Change, Step
from sigmamind_async.fleet.vendors import VENDORS, RemoteNumber, VendorSchema
from sigmamind_async.provisioning.adapter import Value
from sigmamind_async.provisioning.fingerprint import rebuild_request, split_secrets
from sigmamind_async.provisioning.journal.protocol import Journal
from sigmamind_async.provisioning.row import Row, State
from sigmamind_async.values import Secret

Resolve: TypeAlias = Callable[[str], Secret]
"""Returns the secret of a reference; raises `SecretReferenceError` if there is none."""


_CREATE: Final = {
    Source.PURCHASE: {Action.PURCHASE},
    Source.IMPORT: {Action.IMPORT, Action.MOVE},
    Source.EXISTING: frozenset[Action](),
}
"""Actions that create a number, by source: only a row with source purchase spends money."""


@attrs.frozen(kw_only=True)
class StepRequest:
    """One operation of a step."""

    op_id: str
    sequence: int
    value: Value = attrs.field(repr=False)
    fields: Mapping[str, Cell] = attrs.field(hash=False, factory=dict[str, Cell], repr=False)
    """What it writes, as in the row: secrets are references."""


@attrs.frozen
class RequestBuilder:
    """Makes the requests of a plan; those that the journal has already continue."""

    plan: Plan
    journal: Journal
    resolve: Resolve
    state: FleetState | None = None
    """What the plan was made against, if that is known: it spares a look at most purchases."""

    async def creation(self, step: Step) -> StepRequest:
        """Return the operation that creates the number of *step*.

        One that an earlier run began continues as it was requested, even if the row has changed
        since: another request would buy another number. Updates write the rest afterwards.

        Raises `PlanError` if the row now names another number.
        """
        row, vendor = self.plan.rows[step.id], VENDORS[step.platform]
        form = vendor.form(row.source, row.fields)
        if form is None or row.platform != step.platform or step.action not in _CREATE[row.source]:
            raise PlanError(f"{row.id}: its step, {step.action.value}, does not fit its source")
        fields = form.part_of(row.fields)
        request = StepRequest(
            op_id=creation_id(row.id, step.sequence),
            sequence=step.sequence,
            value=form.request(self._resolve_secrets(fields)),
            fields=fields,
        )
        # If another run has begun it since, the provisioner refuses another request under its id.
        state = self.state if step.action is Action.PURCHASE else None
        if state is not None and not (step.id in state.pending or step.id in state.last_applied):
            return request
        stored = await self.journal.get(step.platform, request.op_id)
        if stored is None:
            return request
        if stored.state is State.DONE and not stored.kind.costs:
            sequence = await self._next_free(step.platform, row.id, "", step.sequence)
            return attrs.evolve(request, op_id=creation_id(row.id, sequence), sequence=sequence)
        if (stored.request_type, stored.request_fields) == _journal_form(request.value):
            return request
        if had_no_effect(stored):
            sequence = step.sequence + 1
            return attrs.evolve(request, op_id=creation_id(row.id, sequence), sequence=sequence)
        return _continue_stored(row, vendor, request, stored)

    async def update(
        self, step: Step, record: str, changes: Sequence[Change], sequence: int
    ) -> StepRequest:
        """Return the operation that writes *changes*, and nothing else."""
        row, vendor = self.plan.rows[step.id], VENDORS[step.platform]
        fields = {change.field: row.fields[change.field] for change in changes}
        value = vendor.update.request(self._resolve_secrets(fields), **{vendor.key: record})
        written = orjson.dumps([(change.field, change.after) for change in changes])
        digest = hashlib.sha256(written).hexdigest()[:8]
        sequence = await self._next_free(step.platform, step.id, f".{digest}", sequence)
        op_id = f"{step.id} #{sequence}.{digest}"
        return StepRequest(op_id=op_id, sequence=sequence, value=value, fields=fields)

    async def release(self, step: Step, found: RemoteNumber, sequence: int) -> StepRequest:
        """Return the operation that releases *found*. There is no other way to a release.

        Raises `PlanError` unless both the row and the plan's options ask for it.
        """
        row = self.plan.rows[step.id]
        is_asked_for = _asks_to_release(step, row, found)
        if not (is_asked_for and self.plan.options.allow_release) or step.blocked:
            raise PlanError(f"{step.id}: {RELEASE_NOT_ALLOWED} and a row with state absent")
        sequence = await self._next_free(found.platform, step.id, ".release", sequence)
        return StepRequest(
            op_id=f"{step.id} #{sequence}.release",
            sequence=sequence,
            value=VENDORS[found.platform].adapter.release(found.record),
        )

    async def has_released(self, step: Step) -> bool:
        """Return whether an earlier run sent the release of *step*."""
        op_id = f"{step.id} #{step.sequence}.release"
        stored = await self.journal.get(step.platform, op_id)
        return stored is not None and not had_no_effect(stored)

    async def _next_free(self, account: str, row_id: str, suffix: str, sequence: int) -> int:
        """Return the first sequence, from *sequence*, whose operation is not done yet.

        What is done was undone elsewhere since, or it would not be requested again.
        """
        while True:
            stored = await self.journal.get(account, f"{row_id} #{sequence}{suffix}")
            if stored is None or stored.state is not State.DONE:
                return sequence
            sequence += 1

    def _resolve_secrets(self, fields: Mapping[str, Cell]) -> dict[str, Cell]:
        return {
            name: self.resolve(cell) if name in SECRETS and isinstance(cell, str) else cell
            for name, cell in fields.items()
        }


def _asks_to_release(step: Step, row: FleetRow, found: RemoteNumber) -> bool:
    """Return whether *row* is absent, or imports the number of *found* on another platform."""
    is_number = row.phone_number == found.phone_number
    if step.action is Action.RELEASE:
        # It names no other number than *found*.
        return row.state is DesiredState.ABSENT and (is_number or not row.phone_number)
    moves = step.action is Action.MOVE and step.moves_from == found
    imports = row.state is DesiredState.PRESENT and row.source is Source.IMPORT
    return moves and imports and is_number and row.platform != found.platform


def _continue_stored(
    row: FleetRow, vendor: VendorSchema, request: StepRequest, stored: Row
) -> StepRequest:
    """Return the operation *stored* as it was requested, with the secrets of *request*."""
    if why := pending_mismatch(row, stored):
        raise PlanError(f"{stored.op_id}: {why}")
    request_type = vendor.adapter.requests[stored.request_type]
    names, fields = vendor.creation_names(stored.request_type), request_cells(stored, vendor)
    secrets = {name: getattr(request.value, name, None) for name in stored.secret_fields}
    if not all(isinstance(secret, Secret) for secret in secrets.values()):
        raise PlanError(
            f"{stored.op_id}: it is unconfirmed; to settle it, restore"
            f" {' and '.join(names.get(name, name) for name in secrets)} in the row"
        )
    references = {names[name]: row.fields[names[name]] for name in secrets}
    value = rebuild_request(request_type, stored.request_fields, stored.secret_fields)
    return attrs.evolve(
        request, value=attrs.evolve(value, **secrets), fields={**fields, **references}
    )


def _journal_form(value: Value) -> tuple[str, Mapping[str, object]]:
    return type(value).__name__, split_secrets(value)[0]


# --- purchases in another journal ------------------------------------------------------------


async def find_purchases(plan: Plan, state: FleetState, journal: Journal) -> list[str]:
    """Return the ids of rows that would buy what *journal*, another one, has bought already.

    These are the rows of *plan*, made against *state*, that have the id of a purchase there,
    perhaps rewritten by a spreadsheet, and those that request the same. A purchase whose number has
    left the account does not count.
    """
    rows = purchase_identities(plan, state)
    bought = [
        identity
        for platform in {step.platform for step in plan.steps if step.id in rows}
        for identity in await _purchases(journal, platform, state)
    ]
    return [row_id for row_id, identities in rows.items() if not identities.isdisjoint(bought)]


def purchase_identities(plan: Plan, state: FleetState) -> dict[str, frozenset[str]]:
    """Return, by id, what tells each row that *plan* buys for from other ones: id and request.

    Two purchases that share one of these texts are for the same row. *state* shows which purchases
    have begun; those are left out.
    """
    found: dict[str, frozenset[str]] = {}
    for step in plan.steps:
        row = plan.rows[step.id]
        form = VENDORS[step.platform].form(row.source, row.fields)
        buys = step.action is Action.PURCHASE and step.writes and not row.phone_number
        if buys and step.id not in state.pending and form is not None:
            request = form.request(form.part_of(row.fields))
            found[step.id] = _identities(step.platform, row.id, *_journal_form(request))
    return found


async def _purchases(journal: Journal, platform: str, state: FleetState) -> set[str]:
    numbers = state.numbers.get(platform, {})
    return {
        identity
        for stored in await journal.in_states(platform, [*State])
        if stored.purchase_count
        and (not stored.record or stored.record in numbers or stored.updated_at >= state.listed_at)
        for identity in _identities(
            platform,
            stored.op_id.rpartition(" #")[0] or stored.op_id,
            stored.request_type,
            stored.request_fields,
        )
    }


def _identities(
    platform: str, row_id: str, request_type: str, fields: Mapping[str, object]
) -> frozenset[str]:
    request = orjson.dumps(dict(fields), option=orjson.OPT_SORT_KEYS).decode()
    ids = {f"{platform} {each}" for each in spreadsheet_ids(row_id)}
    return frozenset({*ids, f"{platform} {request_type} {request}"})
