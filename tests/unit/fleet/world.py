"""Accounts that are dictionaries, a journal that is one too, and a run that waits for nothing.

`World.carry_out` does what `Executor` does, in its order, with the decisions of the fleet itself. A
run may end after any request or note; a platform may spell what it is told in its own way, ignore
a field, or answer a change with less than its listing tells.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from sigmamind_async.fleet.plan import Plan, PlanOptions, plan
from sigmamind_async.fleet.spec import SECRETS, DesiredState, Fleet, FleetRow, Source
from sigmamind_async.fleet.state import FleetState, LastApplied, PendingOperation, creation_id
from sigmamind_async.fleet.step import (
    Action,
    Change,
    Step,
    after_release,
    after_sync,
    merge_shown,
    note_creation,
    remaining_changes,
)
from sigmamind_async.fleet.vendors import VENDORS, RemoteNumber
from sigmamind_async.provisioning.row import Kind, Row, State
from tests.unit.fleet.rows import PLATFORMS, row

VISIBLE: Mapping[str, tuple[str, ...]] = {
    "sigmamind": ("label", "inbound_agent_id", "outbound_agent_id", "termination_uri"),
    "verbex": ("label", "inbound_agent_id", "outbound_agent_id", "termination_uri"),
    "dialnexa": ("label", "inbound_agent_id", "accounting_label"),
}
"""What a listing tells, by platform, at most."""


class RunEndedError(Exception):
    """The process is gone."""


@attrs.frozen
class Quirks:
    """How the platforms differ from what they are told."""

    upper: bool = False
    """Labels are shown in capitals."""
    ignores: frozenset[str] = frozenset()
    """Fields that are taken and have no effect."""
    silent: frozenset[str] = frozenset()
    """Fields that no record tells."""
    short: bool = False
    """Whether an answer to a change tells the changed fields alone."""


@attrs.define
class Number:
    """One record of an account."""

    phone_number: str
    fields: dict[str, Any] = attrs.field(factory=dict[str, Any])
    lost: bool = False
    """Whether somebody else made it anew under the same key, which nothing tells."""


@attrs.frozen
class Came:
    """A number that is there, and what is remembered of it so far."""

    found: RemoteNumber
    applied: LastApplied | None
    sequence: int


@attrs.define
class World:
    """Three accounts, the journal of a fleet, and what happened."""

    quirks: Quirks = attrs.field(factory=Quirks)
    accounts: dict[str, dict[str, Number]] = attrs.field(
        factory=lambda: {platform: dict[str, Number]() for platform in PLATFORMS}
    )
    notes: dict[str, LastApplied] = attrs.field(factory=dict[str, LastApplied])
    journal: dict[tuple[str, str], Row] = attrs.field(factory=dict[tuple[str, str], Row])
    bought: Counter[str] = attrs.field(factory=Counter[str])
    paid: set[tuple[str, str]] = attrs.field(factory=set[tuple[str, str]])
    """Records of numbers that were bought."""
    released: Counter[str] = attrs.field(factory=Counter[str])
    refused: int = 0
    """Requests that a platform refused in the latest run."""
    left: int = -1
    """Requests and notes until the run ends; negative where it does not."""
    counter: int = 0

    # --- what is known -----------------------------------------------------------------------

    def found(self, platform: str, record: str, only: Iterable[str] | None = None) -> RemoteNumber:
        number = self.accounts[platform][record]
        told = [name for name in VISIBLE[platform] if name not in self.quirks.silent]
        told = told if only is None else [name for name in told if name in only]
        return RemoteNumber(
            platform=platform,
            record=record,
            phone_number=number.phone_number,
            shown={name: number.fields.get(name) for name in told},
        )

    def known(self, rows: Iterable[FleetRow]) -> FleetState:
        accounts = {
            platform: {record: self.found(platform, record) for record in records}
            for platform, records in self.accounts.items()
        }
        found = {one.id: self._begun(one) for one in rows if self._may_have_begun(one)}
        begun = {row_id: each for row_id, each in found.items() if each is not None}
        return FleetState(numbers=accounts, last_applied=dict(self.notes), pending=begun)

    def _may_have_begun(self, one: FleetRow) -> bool:
        applied = self.notes.get(one.id)
        if one.source is Source.EXISTING and one.state is DesiredState.PRESENT:
            return False
        there = applied is not None and applied.record in self.accounts[one.platform]
        return applied is None or applied.platform != one.platform or not there

    def _begun(self, one: FleetRow) -> PendingOperation | None:
        applied = self.notes.get(one.id)
        sequence = 1 if applied is None else applied.sequence + 1
        op_id = creation_id(one.id, sequence)
        # First where the row is now, then where it may have been.
        stored = [self.journal.get((platform, op_id)) for platform in (one.platform, *PLATFORMS)]
        first = next(filter(None, stored), None)
        return None if first is None else PendingOperation(sequence=sequence, row=first)

    def plan(self, rows: Iterable[FleetRow], rules: PlanOptions) -> Plan:
        rows = [*rows]
        return plan(Fleet(rows=rows), self.known(rows), rules)

    # --- a run -------------------------------------------------------------------------------

    def carry_out(self, made: Plan, known: FleetState, *, ends_after: int = -1) -> bool:
        """Carry *made* out; return whether the run came to its end."""
        self.left, self.refused = ends_after, 0
        try:
            self._carry_out(made, known)
        except RunEndedError:
            return False
        return True

    def _carry_out(self, made: Plan, known: FleetState) -> None:
        for step in made.steps:
            found = known.numbers[step.platform].get(step.record)
            if not step.writes and not step.blocked and found is not None:
                came = Came(found, None, max(step.sequence - 1, 0))
                self._note(made, step, known, came)
        writing = [step for step in made.steps if step.writes]
        leaving = self._bring_all(made, known, writing)
        for step in writing:
            if step.action is Action.RELEASE:
                found = known.numbers[step.platform][step.record]
                self._release(made, step, found)
                self._write_note(
                    step.id, after_release(made.rows[step.id], step.platform, step.sequence)
                )
        for step, came in leaving:
            assert step.moves_from is not None
            self._release(made, step, step.moves_from)
            self._note(made, step, known, attrs.evolve(came, sequence=came.sequence + 1))

    def _bring_all(
        self, made: Plan, known: FleetState, writing: Iterable[Step]
    ) -> list[tuple[Step, Came]]:
        """Bring and change numbers; return those that are to be released elsewhere."""
        leaving: list[tuple[Step, Came]] = []
        for step in writing:
            came = None if step.action is Action.RELEASE else self._bring(made, step, known)
            if came is not None and step.moves_from is not None:
                leaving.append((step, came))
            elif came is not None:
                self._note(made, step, known, came)
        return leaving

    def _bring(self, made: Plan, step: Step, known: FleetState) -> Came | None:
        one = made.rows[step.id]
        found = known.numbers[step.platform].get(step.record)
        if found is not None:
            if step.changes:
                found = merge_shown(found, self._update(one, found, step.changes))
            return Came(found, None, step.sequence)
        created = self._create(one, step)
        if created is None:
            return None
        found, written = created
        applied = note_creation(one, written, step.sequence, found)
        changes = remaining_changes(one, found, applied)
        if step.moves_from is None:
            self._write_note(one.id, applied)
        if changes:
            found = merge_shown(found, self._update(one, found, changes))
        return Came(found, applied, step.sequence + bool(changes))

    def _note(self, made: Plan, step: Step, known: FleetState, came: Came) -> None:
        noted = known.last_applied.get(step.id)
        before = came.applied or (noted if step.moves_from is None else None)
        if step.renamed_from:
            before = known.last_applied[step.renamed_from]
        now = after_sync(made.rows[step.id], came.found, before, came.sequence, step.kept_drift)
        if now != noted:
            self._write_note(step.id, now)
        if step.renamed_from:
            self._happens()
            self.notes.pop(step.renamed_from, None)

    def _write_note(self, row_id: str, applied: LastApplied) -> None:
        self._happens()
        self.notes[row_id] = LastApplied.load(row_id, applied.dump())

    def _happens(self) -> None:
        if self.left == 0:
            raise RunEndedError
        self.left -= 1

    # --- requests ----------------------------------------------------------------------------

    def _create(self, one: FleetRow, step: Step) -> tuple[RemoteNumber, dict[str, Any]] | None:
        """Return the number and what was said of it; a lost answer is settled when asked again."""
        capability = VENDORS[one.platform]
        form = capability.form(one.source, one.fields)
        assert form is not None
        fields = form.part_of(one.fields)
        key = one.platform, step.op_id
        stored = self.journal.get(key)
        if stored is not None:
            names = {**form.names}
            asked = {
                names[name]: cell for name, cell in stored.request_fields.items() if name in names
            }
            self._happens()
            self.journal[key] = attrs.evolve(stored, state=State.DONE)
            if stored.record not in self.accounts[one.platform]:
                self.refused += 1
                return None
            return self.found(one.platform, stored.record), asked
        form.request(fields)  # or the platform would refuse what the checks let through
        return self._send(one, step, form.takes, fields)

    def _send(
        self, one: FleetRow, step: Step, takes: Mapping[str, str], fields: dict[str, Any]
    ) -> tuple[RemoteNumber, dict[str, Any]] | None:
        self._happens()
        account = self.accounts[one.platform]
        number = fields.get("phone_number") or self._fresh_number()
        if any(each.phone_number == number for each in account.values()):
            self.refused += 1
            return None
        record = self.add(one.platform, number)
        self._set(account[record], fields)
        buys = one.source is Source.PURCHASE
        self.bought[one.id] += buys
        if buys:
            self.paid.add((one.platform, record))
        stored = Row(
            op_id=step.op_id,
            account=one.platform,
            kind=Kind.PURCHASE if buys else Kind.IMPORT,
            request_type=_request_name(one),
            request_fields={takes[name]: cell for name, cell in fields.items()},
            token="A" * 13,
            key=fields.get("phone_number") or "",
            state=State.UNCONFIRMED,
            unconfirmed_since=1.0,
            record=record,
            phone_number=number,
        )
        self.journal[one.platform, step.op_id] = stored
        self._happens()  # or the answer is lost
        self.journal[one.platform, step.op_id] = attrs.evolve(stored, state=State.DONE)
        return self.found(one.platform, record), fields

    def _update(
        self, one: FleetRow, found: RemoteNumber, changes: Iterable[Change]
    ) -> RemoteNumber:
        self._happens()
        capability = VENDORS[found.platform]
        fields = {change.field: one.fields[change.field] for change in changes}
        said = {name: "12345678" if name in SECRETS else cell for name, cell in fields.items()}
        capability.update.request(said, **{capability.key: found.record})
        self._set(self.accounts[found.platform][found.record], fields)
        return self.found(found.platform, found.record, fields if self.quirks.short else None)

    def _release(self, made: Plan, step: Step, found: RemoteNumber) -> None:
        one = made.rows[step.id]
        noted = self.notes.get(step.id)
        mine = noted is not None and (noted.platform, noted.record) == (
            found.platform,
            found.record,
        )
        assert made.options.allow_release
        paid = (found.platform, found.record) in self.paid
        moves = step.action is Action.MOVE and not paid
        assert one.state is DesiredState.ABSENT or moves
        assert mine or one.phone_number == found.phone_number or step.id not in self.notes
        self._happens()
        del self.accounts[found.platform][found.record]
        self.released[step.id] += 1

    def _set(self, number: Number, fields: Mapping[str, Any]) -> None:
        for name, cell in fields.items():
            if name not in self.quirks.ignores:
                number.fields[name] = self.spelled(name, cell)

    def spelled(self, name: str, cell: Any) -> Any:
        """Return what an account makes of *cell*."""
        upper = self.quirks.upper and name == "label" and isinstance(cell, str)
        return (cell.upper() if upper else cell) or None

    # --- what others do ----------------------------------------------------------------------

    def add(self, platform: str, phone_number: str) -> str:
        self.counter += 1
        record = phone_number if platform == "sigmamind" else f"r{self.counter}"
        self.accounts[platform][record] = Number(phone_number)
        self.paid.discard((platform, record))
        return record

    def make_anew(self, platform: str, record: str) -> None:
        """Release a number and bring it back, which leaves it bare."""
        phone_number = self.accounts[platform].pop(record).phone_number
        again = self.add(platform, phone_number)
        self.accounts[platform][again].lost = again == record

    def _fresh_number(self) -> str:
        self.counter += 1
        return f"+1999555{self.counter:04}"


def _request_name(one: FleetRow) -> str:
    capability = VENDORS[one.platform]
    form = capability.form(one.source, one.fields)
    assert form is not None
    return form.value.__name__


def existing_of(found: RemoteNumber) -> FleetRow:
    """Return the row that an export writes of a number."""
    said: dict[str, Any] = {"phone_number": found.phone_number, **found.shown}
    return row(f"{found.platform} {found.record}", found.platform, **said)
