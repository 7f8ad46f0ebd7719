"""A step on its way, and how it ended. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import attrs

from sigmamind_async.bulk import Outcome, Status
from sigmamind_async.errors import PlanError
from sigmamind_async.fleet.requests import StepRequest
from sigmamind_async.fleet.spec import FleetRow
from sigmamind_async.fleet.state import LastApplied, normalize_cell
from sigmamind_async.fleet.step import Change, Step
from sigmamind_async.fleet.vendor_schema import RemoteNumber


@attrs.frozen(kw_only=True)
class StepOutcome:
    """How one step ended."""

    step: Step
    status: Status
    """``skipped``: not sent, or no more of it than what brought the number."""
    phone_number: str = ""
    record: str = ""
    error: BaseException | None = None
    attempts: int = 0
    elapsed: float = 0.0
    """Seconds."""
    ignored: tuple[str, ...] = ()
    """Fields that were written and that the platform shows otherwise."""


Report: TypeAlias = Callable[[StepOutcome], None]


@attrs.frozen(kw_only=True)
class StepProgress:
    """A step on its way, and how far it got."""

    step: Step
    found: RemoteNumber | None = None
    """Its number as it was seen last."""
    changes: tuple[Change, ...] = ()
    """What is to be written to it."""
    applied: LastApplied | None = None
    """What is remembered of it so far."""
    sequence: int = 0
    """Of its next request."""
    attempts: int = 0
    elapsed: float = 0.0
    ignored: tuple[str, ...] = ()
    """Fields that were written and that the platform shows otherwise."""

    @property
    def next(self) -> StepProgress:
        """The same before its next request."""
        return attrs.evolve(self, sequence=self.sequence + 1)

    def after(self, outcome: Outcome[Any, Any]) -> StepProgress:
        """The same after a request that ended so."""
        return attrs.evolve(
            self,
            attempts=self.attempts + outcome.attempts,
            elapsed=self.elapsed + outcome.elapsed,
            ignored=outcome.ignored,
        )

    def outcome(self, status: Status, error: BaseException | None = None) -> StepOutcome:
        """Return how the step ended."""
        found = self.found
        return StepOutcome(
            step=self.step,
            status=status,
            phone_number=self.step.phone_number if found is None else found.phone_number,
            record=self.step.record if found is None else found.record,
            error=error,
            attempts=self.attempts,
            elapsed=self.elapsed,
            ignored=self.ignored,
        )


def before_create(row: FleetRow, errand: StepRequest) -> LastApplied:
    """Return what is remembered of a row before its number comes."""
    return LastApplied(
        platform=row.platform,
        record="",
        phone_number="",
        source=row.source.value,
        sequence=errand.sequence - 1,
        fields={name: normalize_cell(cell) for name, cell in errand.fields.items()},
    )


def late_change_error(row: FleetRow, fixed: Iterable[str]) -> PlanError:
    """Return the error for a number that came as an earlier file had asked for it."""
    return PlanError(
        f"{row.id}: its number came as an earlier run had asked for it, and {' and '.join(fixed)}"
        " cannot be changed since"
    )
