"""The requests that carry a step out.

Each has an id in the journal that tells what it is for: what brings a number ``ROW #N``, what
changes one ``ROW #N.DIGEST`` with a digest of what it writes, what releases one ``ROW #N.release``.
So the same step, planned again by a later run, has the same id and is carried out once. What the
file says otherwise by then has another one, and waits until the earlier request is settled.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, TypeAlias

import attrs
import orjson

from sigmamind_async.errors import PlanError
from sigmamind_async.fleet.blockers import RELEASE_NOT_ALLOWED
from sigmamind_async.fleet.plan import Plan
from sigmamind_async.fleet.refresh import had_no_effect
from sigmamind_async.fleet.spec import SECRETS, Cell, DesiredState, FleetRow, Source
from sigmamind_async.fleet.step import Action, Change, Step, creation_id
from sigmamind_async.fleet.vendor_schema import RemoteNumber, VendorSchema
from sigmamind_async.fleet.vendors import VENDORS
from sigmamind_async.provisioning.adapter import Value
from sigmamind_async.provisioning.fingerprint import rebuild_request, split_secrets
from sigmamind_async.provisioning.journal.protocol import Journal
from sigmamind_async.provisioning.row import Row, State
from sigmamind_async.values import Secret

Resolve: TypeAlias = Callable[[str], Secret]
"""Returns the secret that a reference means; raises `SecretReferenceError` where there is none."""


_BRING: Final = {
    Source.PURCHASE: {Action.PURCHASE},
    Source.IMPORT: {Action.IMPORT, Action.MOVE},
    Source.EXISTING: frozenset[Action](),
}
"""Steps that bring a number: whatever else a plan says, nothing but a purchase spends money."""


@attrs.frozen(kw_only=True)
class StepRequest:
    """One operation of a step."""

    op_id: str
    sequence: int
    value: Value = attrs.field(repr=False)
    fields: Mapping[str, Cell] = attrs.field(hash=False, factory=dict[str, Cell], repr=False)
    """What it writes, as the row says it: secrets are references."""
    begun: bool = False
    """Whether an earlier run has sent it."""


@attrs.frozen
class RequestBuilder:
    """Makes the requests of a plan; looks into the journal for what has been asked before."""

    plan: Plan
    journal: Journal
    resolve: Resolve

    async def creation(self, step: Step) -> StepRequest:
        """Return the operation that brings the number of *step*.

        What an earlier run has begun goes on as it was asked for, whatever the row says by now:
        asking for something else would buy another number. The rest is written behind it.

        Raises `PlanError` where the row names another number by now.
        """
        row, capability = self.plan.rows[step.id], VENDORS[step.platform]
        form = capability.form(row.source, _said(row))
        if form is None or row.platform != step.platform or step.action not in _BRING[row.source]:
            raise PlanError(f"{row.id}: a plan that suits its row does not {step.action.value} it")
        fields = form.part_of(row.fields)
        errand = StepRequest(
            op_id=creation_id(row.id, step.sequence),
            sequence=step.sequence,
            value=form.request(self._resolved(fields)),
            fields=fields,
        )
        stored = await self.journal.get(step.platform, errand.op_id)
        if stored is None:
            return errand
        if stored.state is State.DONE and not stored.kind.costs:
            sequence = await self._free(step.platform, f"{row.id} #", "", step.sequence)
            return attrs.evolve(errand, op_id=creation_id(row.id, sequence), sequence=sequence)
        if not _differs(stored, errand.value):
            return attrs.evolve(errand, begun=True)
        if had_no_effect(stored):
            following = step.sequence + 1
            return attrs.evolve(errand, op_id=creation_id(row.id, following), sequence=following)
        return _going_on(row, capability, errand, stored)

    async def update(
        self, step: Step, record: str, changes: Sequence[Change], sequence: int
    ) -> StepRequest:
        """Return the operation that writes *changes*, and nothing else."""
        row, capability = self.plan.rows[step.id], VENDORS[step.platform]
        fields = {change.field: row.fields[change.field] for change in changes}
        value = capability.update.request(self._resolved(fields), **{capability.key: record})
        digest = _digest(changes)
        sequence = await self._free(step.platform, f"{step.id} #", f".{digest}", sequence)
        op_id = f"{step.id} #{sequence}.{digest}"
        return StepRequest(op_id=op_id, sequence=sequence, value=value, fields=fields)

    async def release(self, step: Step, found: RemoteNumber, sequence: int) -> StepRequest:
        """Return the operation that gives *found* up, which the row and the rules must both allow.

        Raises `PlanError` where one of them does not: this is the only way to a release.
        """
        row = self.plan.rows[step.id]
        asked = _says_absent(step, row, found) or _moves_away(step, row, found)
        if not (asked and self.plan.options.allow_release) or step.blocked:
            raise PlanError(f"{step.id}: {RELEASE_NOT_ALLOWED}, and a row that says absent")
        sequence = await self._free(found.platform, f"{step.id} #", ".release", sequence)
        return StepRequest(
            op_id=f"{step.id} #{sequence}.release",
            sequence=sequence,
            value=VENDORS[found.platform].adapter.release(found.record),
        )

    async def has_released(self, step: Step) -> bool:
        """Return whether an earlier run sent the release that *step* would be about."""
        op_id = f"{step.id} #{step.sequence}.release"
        stored = await self.journal.get(step.platform, op_id)
        return stored is not None and not had_no_effect(stored)

    def refuse_second(self, step: Step, errand: StepRequest, orphans: Iterable[Row]) -> None:
        """Raise `PlanError` where *errand*, a purchase, may buy a second number for a row.

        *orphans* are purchases of rows that the fleet has no longer: one of those rows may have
        been renamed to this one.
        """
        if self.plan.rows[step.id].phone_number:
            return
        for stored in orphans:
            if stored.account == step.platform and not _differs(stored, errand.value):
                raise PlanError(
                    f"{step.id}: would buy a number just like {stored.op_id}, whose row the file"
                    " has no longer: put that row back until it is settled, or name its number"
                )

    async def _free(self, account: str, before: str, behind: str, sequence: int) -> int:
        """Return the first sequence from *sequence* on whose operation is not done yet.

        One that is done was undone since, by somebody else, or it would not be asked for again.
        """
        while True:
            stored = await self.journal.get(account, f"{before}{sequence}{behind}")
            if stored is None or stored.state is not State.DONE:
                return sequence
            sequence += 1

    def _resolved(self, fields: Mapping[str, Cell]) -> dict[str, Cell]:
        return {
            name: self.resolve(cell) if name in SECRETS and isinstance(cell, str) else cell
            for name, cell in fields.items()
        }


def _says_absent(step: Step, row: FleetRow, found: RemoteNumber) -> bool:
    """Return whether *row* wants to have no number, and *found* is none that it does not mean."""
    absent = step.action is Action.RELEASE and row.state is DesiredState.ABSENT
    return absent and row.phone_number in {"", found.phone_number}


def _moves_away(step: Step, row: FleetRow, found: RemoteNumber) -> bool:
    """Return whether *row* wants the number *found* imported on another platform than its own."""
    moves = step.action is Action.MOVE and step.moves_from == found
    imports = row.state is DesiredState.PRESENT and row.source is Source.IMPORT
    same = row.phone_number == found.phone_number and row.platform != found.platform
    return moves and imports and same


def _going_on(
    row: FleetRow, capability: VendorSchema, errand: StepRequest, stored: Row
) -> StepRequest:
    """Return the operation that *stored* is about, which *row* says otherwise by now."""
    _check_same_number(row, stored)
    request = capability.adapter.requests[stored.request_type]
    forms = (*capability.purchases, *capability.imports)
    nothing: Mapping[str, str] = {}
    names = next((form.names for form in forms if form.value is request), nothing)
    fields = {names[name]: cell for name, cell in stored.request_fields.items() if name in names}
    secrets = {name: getattr(errand.value, name, None) for name in stored.secret_fields}
    if not all(isinstance(secret, Secret) for secret in secrets.values()):
        raise PlanError(
            f"{stored.op_id}: it is not known yet whether it was carried out; to find out, the row"
            f" must say {' and '.join(names.get(name, name) for name in secrets)} as it did"
        )
    hidden = {names[name]: row.fields[names[name]] for name in secrets}
    return attrs.evolve(
        errand,
        value=attrs.evolve(
            rebuild_request(request, stored.request_fields, stored.secret_fields), **secrets
        ),
        fields={**fields, **hidden},
        begun=True,
    )


def _check_same_number(row: FleetRow, stored: Row) -> None:
    """Raise `PlanError` where *stored* is about another number than *row*, or comes otherwise."""
    begun = f"{stored.op_id}: it is not known yet what came of it, and the row"
    if stored.key and row.phone_number not in {"", stored.key}:
        raise PlanError(f"{begun} says {row.phone_number} in place of {stored.key}")
    if stored.kind.costs is not (row.source is Source.PURCHASE):
        raise PlanError(f"{begun} says {row.source.value} by now")


def _said(row: FleetRow) -> set[str]:
    return {name for name, cell in row.fields.items() if cell is not None}


def _differs(stored: Row, value: Value) -> bool:
    return (stored.request_type, stored.request_fields) != (
        type(value).__name__,
        split_secrets(value)[0],
    )


def _digest(changes: Sequence[Change]) -> str:
    text = orjson.dumps([(change.field, change.after) for change in changes])
    return hashlib.sha256(text).hexdigest()[:8]
