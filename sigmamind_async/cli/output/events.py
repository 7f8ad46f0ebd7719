"""What commands report, as values. A renderer draws them; ``--json`` writes them one a line.

`schema.json`, beside this module, describes every field. One that does not apply is `None` or
empty.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Final, Literal, get_args

import attrs

if TYPE_CHECKING:  # ``status`` and ``--help`` answer without loading a platform
    from sigmamind_async.bulk import Status
    from sigmamind_async.errors import Committed
    from sigmamind_async.fleet.plan import Plan
    from sigmamind_async.fleet.spec import Problem
    from sigmamind_async.fleet.step import Change
    from sigmamind_async.provisioning.row import State

VERSION: Final = 1
"""Goes up when an object loses a field, or a field changes its meaning."""


class Value:
    """Compares and shows itself field by field.

    What attrs generates for that is faster, and costs a tenth of `sigmamind status` for 31 classes.
    """

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and repr(self) == repr(other)

    def __hash__(self) -> int:
        return hash(repr(self))

    def __repr__(self) -> str:
        cls: type[attrs.AttrsInstance] = type(self)  # type: ignore[assignment]
        fields = ", ".join(
            f"{each.name}={getattr(self, each.name)!r}" for each in attrs.fields(cls)
        )
        return f"{cls.__name__}({fields})"


StopReason = Literal[
    "interrupted",
    "key_refused",
    "cannot_pay",
    "not_the_api",
    "platform_unreachable",
    "journal_unusable",
    "output_closed",
]
"""Why a job ended before its rows did."""

# ---------------------------------------------------------------- rows of a job


@attrs.frozen(kw_only=True, eq=False, repr=False)
class RowError(Value):
    """Why a row failed, or is unconfirmed."""

    type: str
    message: str
    committed: Committed
    status: int | None = None
    retry_after: float | None = None
    hint: str = ""


@attrs.frozen(kw_only=True, eq=False, repr=False)
class RowResult(Value):
    """How one row of a file ended."""

    line: int
    id: str | None
    platform: str | None = None
    action: str
    status: Status
    phone_number: str | None = None
    record_id: str | None = None
    label: str = ""
    already_done: bool = False
    attempts: int = 0
    elapsed_ms: int = 0
    error: RowError | None = None
    note: str = ""


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Summary(Value):
    """How a job over many rows ended."""

    rows: int
    done: int = 0
    failed: int = 0
    unconfirmed: int = 0
    skipped: int = 0
    unchanged: int | None = None
    abandoned: int = 0
    already_done: int = 0
    requests: int | None = 0
    rate_limited: int | None = 0
    elapsed_ms: int = 0
    stopped: StopReason | None = None


# ---------------------------------------------------------------- numbers

Side = Literal["inbound", "outbound", "both"]


@attrs.frozen(kw_only=True, eq=False, repr=False)
class NumberRecord(Value):
    """A phone number of an account."""

    platform: str | None = None
    phone_number: str | None
    record_id: str | None = None
    provider: str | None
    label: str | None
    inbound_agent_id: str | None
    outbound_agent_id: str | None = None
    test_number: str | None = None
    termination_uri: str | None = None
    active: bool | None = None
    side: Side | None = None


@attrs.frozen(eq=False, repr=False)
class NumberList(Value):
    """The numbers of a listing, shown together."""

    numbers: tuple[NumberRecord, ...]


@attrs.frozen(kw_only=True, eq=False, repr=False)
class NumberReleased(Value):
    """A number was released."""

    platform: str | None = None
    phone_number: str | None = None
    record_id: str | None = None


TestStatus = Literal["passed", "failed", "unconfirmed", "skipped"]
"""``failed``: not answered, or not placed; ``unconfirmed``: it may have rung."""


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Verification(Value):
    """How the test call of a number ended."""

    phone_number: str | None
    status: TestStatus
    destination: str | None = None
    call_id: str | None = None
    call_status: str | None = None
    termination_reason: str | None = None
    duration_ms: int | None = None
    error: RowError | None = None
    note: str = ""


@attrs.frozen(eq=False, repr=False)
class VerificationList(Value):
    """Test calls, shown together."""

    results: tuple[Verification, ...]


@attrs.frozen(kw_only=True, eq=False, repr=False)
class VerificationSummary(Value):
    """How a round of test calls ended."""

    numbers: int
    passed: int = 0
    failed: int = 0
    unconfirmed: int = 0
    skipped: int = 0
    stopped: StopReason | None = None


# ---------------------------------------------------------------- plans


@attrs.frozen(kw_only=True, eq=False, repr=False)
class FileProblem(Value):
    """Why a row of a file cannot be applied."""

    file: str
    line: int
    column: int
    id: str
    field: str
    message: str
    needs_decision: bool


@attrs.frozen(eq=False, repr=False)
class ProblemList(Value):
    """What is wrong with a fleet."""

    problems: tuple[Problem, ...]


@attrs.frozen(kw_only=True, eq=False, repr=False)
class FieldChange(Value):
    """One field that a step changes, or leaves although the row wants it changed."""

    field: str
    before: str | int | None
    after: str | int | None
    drifted: bool


@attrs.frozen(kw_only=True, eq=False, repr=False)
class PlanStep(Value):
    """What is done about one row."""

    id: str
    platform: str
    action: str
    writes: bool
    phone_number: str | None
    changes: tuple[FieldChange, ...]
    kept: tuple[FieldChange, ...]
    blocked: str
    notes: tuple[str, ...]


@attrs.frozen(kw_only=True, eq=False, repr=False)
class PlanSummary(Value):
    """What a plan amounts to."""

    file: str
    actions: Mapping[str, int]
    writes: int
    blocked: int
    problems: int
    unmanaged: tuple[str, ...]


@attrs.frozen(kw_only=True, eq=False, repr=False)
class PlanView(Value):
    """A plan, shown as a whole."""

    file: str
    plan: Plan


# ---------------------------------------------------------------- journals


Decision = Literal["adopt", "retry_unconfirmed", "abandon", "release_duplicates"]


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Resolution(Value):
    """One decision that an operator can make about a row."""

    decision: Decision
    command: str
    meaning: str


@attrs.frozen(kw_only=True, eq=False, repr=False)
class HistoryEntry(Value):
    """One thing that happened to an operation."""

    at: datetime
    message: str


@attrs.frozen(kw_only=True, eq=False, repr=False)
class UnsettledRow(Value):
    """What is known of a row that is unconfirmed or needs a decision."""

    request: str
    since: datetime
    settles_at: datetime | None
    listings: int
    message: str
    history: tuple[HistoryEntry, ...] = ()
    tag: str = ""
    duplicates: tuple[str, ...] = ()
    resolutions: tuple[Resolution, ...] = ()


@attrs.frozen(kw_only=True, eq=False, repr=False)
class JournalRow(Value):
    """One operation in a journal."""

    row: str
    op_id: str
    platform: str
    action: str
    state: State
    phone_number: str | None = None
    record_id: str | None = None
    error: str = ""
    unsettled: UnsettledRow | None = None


@attrs.frozen(kw_only=True, eq=False, repr=False)
class JournalStatus(Value):
    """What a journal holds of one platform."""

    journal: str
    platform: str
    now: datetime
    counts: Mapping[State, int]
    purchased: int
    is_settled: bool
    reconcile_command: str
    sender: str = "the next apply"
    rows: tuple[JournalRow, ...] = attrs.field(default=(), metadata={"json": False})

    @property
    def undecided(self) -> tuple[JournalRow, ...]:
        """Rows that need a decision."""
        return tuple(row for row in self.rows if row.unsettled and row.unsettled.resolutions)

    @property
    def unconfirmed(self) -> tuple[JournalRow, ...]:
        """Rows that another look at the account will settle."""
        return tuple(row for row in self.rows if row.unsettled and not row.unsettled.resolutions)


@attrs.frozen(eq=False, repr=False)
class JournalRows(Value):
    """Rows of a journal, shown together."""

    rows: tuple[JournalRow, ...]


@attrs.frozen(kw_only=True, eq=False, repr=False)
class StateChanged(Value):
    """A row of a journal got further."""

    row: str
    before: State
    after: State
    message: str


# ---------------------------------------------------------------- sandbox, workers, demo


@attrs.frozen(kw_only=True, eq=False, repr=False)
class SandboxEndpoint(Value):
    """Where a platform of a sandbox listens, and a key for it."""

    platform: str
    base_url: str
    api_key: str
    environment: Mapping[str, str]


@attrs.frozen(eq=False, repr=False)
class SandboxStarted(Value):
    """A sandbox listens."""

    endpoints: tuple[SandboxEndpoint, ...]


@attrs.frozen(kw_only=True, eq=False, repr=False)
class WorkerStarted(Value):
    """A worker serves."""

    accounts: tuple[str, ...]
    database: str
    concurrency: int


@attrs.frozen(kw_only=True, eq=False, repr=False)
class JobKilled(Value):
    """The demo killed a job while it was buying."""

    platform: str
    done: int
    in_progress: int
    not_started: int
    unrecorded: int


@attrs.frozen(kw_only=True, eq=False, repr=False)
class WorkerKilled(Value):
    """The demo killed one of several workers."""

    worker: int
    in_progress: int
    done: int
    rows: int


def _passed(audit: AuditResult) -> bool:
    return not (audit.bought_twice or audit.lost or audit.not_done)


@attrs.frozen(kw_only=True, eq=False, repr=False)
class AuditResult(Value):
    """The journals, compared with the ledger of the sandbox."""

    purchases: int
    bought: int
    bought_twice: int = 0
    lost: int = 0
    not_done: int = 0
    passed: bool = attrs.field(default=attrs.Factory(_passed, takes_self=True), init=False)


@attrs.frozen(kw_only=True, eq=False, repr=False)
class OrderPlaced(Value):
    """What is about to be bought was written to a file; nothing has been bought yet."""

    name: str
    platform: str
    count: int
    file: str
    resume_command: str


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Exported(Value):
    """The numbers of accounts were written to a file."""

    file: str
    rows: int


@attrs.frozen(kw_only=True, eq=False, repr=False)
class CommandFailed(Value):
    """The command ended with an error; always the last object."""

    error: str
    message: str
    exit_code: int
    committed: Committed = "no"


# ---------------------------------------------------------------- as objects

Event = (
    AuditResult
    | CommandFailed
    | Exported
    | FileProblem
    | JobKilled
    | JournalRow
    | JournalStatus
    | NumberRecord
    | NumberReleased
    | OrderPlaced
    | PlanStep
    | PlanSummary
    | RowResult
    | SandboxEndpoint
    | StateChanged
    | Summary
    | Verification
    | VerificationSummary
    | WorkerKilled
    | WorkerStarted
)
"""What becomes one JSON object; ``type`` is the name of its class: ``row_result``."""

EVENT_TYPES: Final[dict[type, str]] = {
    cls: re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower() for cls in get_args(Event)
}

View = JournalRows | NumberList | PlanView | ProblemList | SandboxStarted | VerificationList
"""Several events that a person sees as one table or text."""


def events_in(shown: Event | View) -> Iterable[Event]:
    """Return the events of a view, or the event itself."""
    match shown:
        case NumberList():
            return shown.numbers
        case JournalRows():
            return shown.rows
        case VerificationList():
            return shown.results
        case SandboxStarted():
            return shown.endpoints
        case ProblemList():
            return map(_problem_event, shown.problems)
        case PlanView():
            return _plan_events(shown)
        case JournalStatus():
            return itertools.chain((shown,), shown.rows)
        case _:
            return (shown,)


def _problem_event(problem: Problem) -> FileProblem:
    return FileProblem(**{name: getattr(problem, name) for name in _field_names(FileProblem)})


def _field_change(change: Change) -> FieldChange:
    return FieldChange(**{name: getattr(change, name) for name in _field_names(FieldChange)})


def _field_names(cls: type[attrs.AttrsInstance]) -> list[str]:
    return [field.name for field in attrs.fields(cls)]


def _plan_events(shown: PlanView) -> Iterator[Event]:
    plan = shown.plan
    for step in plan.steps:
        yield PlanStep(
            id=step.id,
            platform=step.platform,
            action=step.action.value,
            writes=step.writes,
            phone_number=step.phone_number or None,
            changes=tuple(map(_field_change, step.changes)),
            kept=tuple(map(_field_change, step.kept_drift)),
            blocked=step.blocked,
            notes=step.remarks,
        )
    yield from map(_problem_event, plan.problems)
    yield PlanSummary(
        file=shown.file,
        actions={action.value: count for action, count in plan.counts.items()},
        writes=plan.writes,
        blocked=sum(bool(step.blocked) for step in plan.steps),
        problems=len(plan.problems),
        unmanaged=tuple(plan.unlisted),
    )
