"""What is known of a fleet, looked up by id, number and record. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property

import attrs

from sigmamind_async.fleet.spec import DesiredState, Fleet, FleetRow
from sigmamind_async.fleet.state import FleetState, LastApplied, PendingOperation, remembered
from sigmamind_async.fleet.vendor_schema import RemoteNumber, VendorSchema
from sigmamind_async.fleet.vendors import VENDORS
from sigmamind_async.provisioning.row import Row


@attrs.frozen(slots=False)
class StateIndex:
    """A fleet and what is known of it."""

    fleet: Fleet
    known: FleetState

    # --- rows --------------------------------------------------------------------------------

    @cached_property
    def ids(self) -> frozenset[str]:
        """Ids of all rows, those with problems included."""
        broken = (problem.id for problem in self.fleet.problems if problem.id)
        return frozenset([*(row.id for row in self.fleet.rows), *broken, *self.fleet.skipped])

    @cached_property
    def unlisted(self) -> list[str]:
        """Ids for which the journal has a number, while no row has the one or the other."""
        others = [
            (id_, self._owners[one.platform, one.record])
            for id_, one in self.known.applied.items()
            if one.record and id_ not in self.ids
        ]
        return sorted(id_ for id_, owners in others if self.ids.isdisjoint(owners))

    @cached_property
    def _named(self) -> Mapping[tuple[str, str], str]:
        """The row that wants a number, by platform and number."""
        return {
            (row.platform, row.phone_number): row.id
            for row in self.fleet.rows
            if row.state is DesiredState.PRESENT and row.phone_number
        }

    def wanted_by(self, platform: str, phone_number: str) -> str | None:
        """Return the id of a row that names *phone_number* and wants it."""
        return self._named.get((platform, phone_number))

    # --- numbers -----------------------------------------------------------------------------

    @cached_property
    def _numbers(self) -> Mapping[str, Mapping[str, RemoteNumber]]:
        return {
            platform: {found.phone_number: found for found in records.values()}
            for platform, records in self.known.found.items()
        }

    @cached_property
    def _repeated(self) -> frozenset[tuple[str, str]]:
        """Numbers of which an account has more than one record."""
        return frozenset(
            (platform, number)
            for platform, records in self.known.found.items()
            if len(self._numbers[platform]) < len(records)
            for number, times in Counter(one.phone_number for one in records.values()).items()
            if times > 1
        )

    def by_record(self, platform: str, record: str) -> RemoteNumber | None:
        """Return the number with *record*, if the account has it."""
        return self.known.found.get(platform, {}).get(record)

    def by_number(self, platform: str, phone_number: str) -> RemoteNumber | None:
        """Return *phone_number*, if the account has it; any one record of it, if it has more."""
        # An answer may name no number: that is not what a row without one means.
        return self._numbers.get(platform, {}).get(phone_number) if phone_number else None

    def is_repeated(self, found: RemoteNumber) -> bool:
        """Return whether the account has another record of the same number."""
        return (found.platform, found.phone_number) in self._repeated

    # --- whose a number is -------------------------------------------------------------------

    @cached_property
    def _owners(self) -> Mapping[tuple[str, str], Sequence[str]]:
        """Ids whose notes are about a record.

        They are two where a run ended while a row was renamed, or a number was brought anew by
        another row.
        """
        owners: dict[tuple[str, str], tuple[str, ...]] = {}
        for id_, one in self.known.applied.items():
            if one.record:
                key = one.platform, one.record
                owners[key] = (*owners.get(key, ()), id_)
        return owners

    def owner(self, found: RemoteNumber) -> str | None:
        """Return the id of a row that *found* was applied to."""
        return next(iter(self._owners.get((found.platform, found.record), ())), None)

    def owns(self, row: FleetRow, found: RemoteNumber) -> bool:
        """Return whether *found* was applied to *row*."""
        return row.id in self._owners.get((found.platform, found.record), ())

    def rival(self, row: FleetRow, found: RemoteNumber) -> str | None:
        """Return the id of another row of the fleet that *found* was applied to."""
        return next((id_ for id_ in self._others(row, found) if id_ in self.ids), None)

    @cached_property
    def _notes(self) -> Mapping[tuple[str, str], Sequence[str]]:
        """Ids of the fleet's rows whose notes are about a number."""
        notes: dict[tuple[str, str], tuple[str, ...]] = {}
        for id_, one in self.known.applied.items():
            if one.record and id_ in self.ids:
                key = one.platform, one.phone_number
                notes[key] = (*notes.get(key, ()), id_)
        return notes

    def noted(self, row: FleetRow, phone_number: str) -> str | None:
        """Return the id of another row of the fleet that had *phone_number* on its platform."""
        ids = self._notes.get((row.platform, phone_number), ())
        return next((id_ for id_ in ids if id_ != row.id), None)

    def predecessor(self, row: FleetRow, found: RemoteNumber) -> str | None:
        """Return an id, no longer in the fleet, that *found* was applied to."""
        return next((id_ for id_ in self._others(row, found) if id_ not in self.ids), None)

    def _others(self, row: FleetRow, found: RemoteNumber) -> Sequence[str]:
        owners = self._owners.get((found.platform, found.record), ())
        return [id_ for id_ in owners if id_ != row.id]

    # --- rows that may have been renamed -----------------------------------------------------

    @cached_property
    def _twins(self) -> Mapping[tuple[str, frozenset[tuple[str, object]]], Sequence[str]]:
        """Unlisted rows whose number was bought and is still there, by what an update can say."""
        twins: dict[tuple[str, frozenset[tuple[str, object]]], list[str]] = {}
        for id_ in self.unlisted:
            applied = self.known.applied[id_]
            if applied.source == "purchase" and self._is_there(applied):
                key = applied.platform, _changeable(applied.platform, applied.fields)
                twins.setdefault(key, []).append(id_)
        return twins

    def _is_there(self, applied: LastApplied) -> bool:
        found = self.by_record(applied.platform, applied.record)
        return (found or self.by_number(applied.platform, applied.phone_number)) is not None

    def twin(self, row: FleetRow) -> LastApplied | None:
        """Return what was applied to a bought number that *row* asks for as if it were new."""
        id_ = self._twin_id(row)
        return self.known.applied[id_] if id_ else None

    def twin_id(self, row: FleetRow) -> str:
        """Return the id under which the journal has that number."""
        return self._twin_id(row)

    def _twin_id(self, row: FleetRow) -> str:
        fields = {name: remembered(cell) for name, cell in row.fields.items()}
        twins = self._twins.get((row.platform, _changeable(row.platform, fields)), ())
        # What counts only when a number comes may have been taken out of the file since.
        fixed = fields.keys() - VENDORS[row.platform].update.takes.keys()
        for id_ in twins:
            before = self.known.applied[id_].fields
            if all(name in before and before[name] == fields[name] for name in fixed):
                return id_
        return ""

    # --- what was done for a row -------------------------------------------------------------

    def begun(self, row: FleetRow) -> PendingOperation | None:
        """Return the operation that brings the number of *row*, as far as it is known."""
        return self.known.begun.get(row.id)

    def goes_on(self, row: FleetRow) -> bool:
        """Return whether an operation is under way that may still bring the number of *row*."""
        begun = self.begun(row)
        return begun is not None and begun.goes_on

    def applied(self, row: FleetRow) -> LastApplied | None:
        """Return what was applied to *row*, or what an operation brought that no note tells of."""
        applied, begun = self.known.applied.get(row.id), self.begun(row)
        if applied is not None and applied.record:
            return applied
        brought = None if begun is None else begun.brought
        if begun is None or brought is None:
            return None
        return LastApplied(
            platform=begun.platform,
            record=brought.record,
            phone_number=brought.phone_number,
            source="purchase" if brought.kind.costs else "import",
            sequence=begun.sequence,
            fields=_asked_once(brought, VENDORS[begun.platform]),
        )

    def sequence(self, row: FleetRow) -> int:
        """Return the sequence of the row's next step: of one that goes on, its own."""
        applied, begun = self.known.applied.get(row.id), self.begun(row)
        after = 1 if applied is None else applied.sequence + 1
        if begun is None:
            return after
        # An operation that is over brings nothing when it is asked for again.
        return max(after, begun.sequence + (begun.brought is not None))


def _changeable(
    platform: str, fields: Mapping[str, str | int | None]
) -> frozenset[tuple[str, object]]:
    takes = VENDORS[platform].update.takes
    return frozenset((name, cell) for name, cell in fields.items() if name in takes)


def _asked_once(brought: Row, capability: VendorSchema) -> dict[str, str | int | None]:
    """Return what an operation said that cannot be changed since."""
    forms = (*capability.purchases, *capability.imports)
    form = next((each for each in forms if each.value.__name__ == brought.request_type), None)
    if form is None:
        return {}
    names = {name: form.names[name] for name in brought.request_fields if name in form.names}
    return {
        name: brought.request_fields[attribute]
        for attribute, name in names.items()
        if name not in capability.update.takes
    }
