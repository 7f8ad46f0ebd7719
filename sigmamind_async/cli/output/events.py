"""What commands report, as values. A renderer draws them; ``--json`` writes them one a line.

`schema.json`, beside this module, describes every object that ``--json`` writes.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Final, Literal, TypeVar

import attrs

if TYPE_CHECKING:  # ``status`` and ``--help`` answer without loading a platform
    from sigmamind_async.bulk import Status
    from sigmamind_async.errors import Committed
    from sigmamind_async.fleet.plan import Plan
    from sigmamind_async.fleet.spec import Problem
    from sigmamind_async.provisioning.row import State

VERSION: Final = 1
"""Goes up when an object loses a field, or a field changes its meaning."""

EVENT_TYPES: Final[dict[type, str]] = {}
"""The word in ``type`` of each class that becomes a JSON object."""

C = TypeVar("C", bound=type)


def event(name: str) -> Callable[[C], C]:
    """Register a class under the word that its objects have in ``type``."""

    def register(cls: C) -> C:
        EVENT_TYPES[cls] = name
        return cls

    return register


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


@attrs.frozen(kw_only=True)
class RowError:
    """Why a row failed, or is unconfirmed."""

    type: str
    """Name of the exception class."""
    message: str
    committed: Committed
    status: int | None = None
    """HTTP status, if there was a response."""
    retry_after: float | None = None
    """Seconds that the platform asked to wait."""
    hint: str = ""
    """What to do about it."""


@event("row_result")
@attrs.frozen(kw_only=True)
class RowResult:
    """How one row of a file ended."""

    line: int
    """0 where the rows are of no file."""
    id: str | None
    platform: str | None = None
    """Set where the rows may be of several platforms."""
    action: str
    status: Status
    phone_number: str | None = None
    record_id: str | None = None
    """The platform's key of the number, where that is not the number itself."""
    label: str = ""
    """What the row wants the number to be called."""
    already_done: bool = False
    """True if an earlier run did it, so that this one sent nothing."""
    attempts: int = 0
    elapsed_ms: int = 0
    error: RowError | None = None
    note: str = ""
    """Why the row was left out, or what else a person should know."""


@event("summary")
@attrs.frozen(kw_only=True)
class Summary:
    """How a job over many rows ended."""

    rows: int
    done: int = 0
    failed: int = 0
    unconfirmed: int = 0
    skipped: int = 0
    unchanged: int | None = None
    """Rows of a fleet that needed nothing, not counted as done; `None` for other jobs."""
    abandoned: int = 0
    """Rows among those skipped that an operator abandoned."""
    already_done: int = 0
    """Rows among those done that an earlier run did."""
    requests: int | None = 0
    """`None` where workers sent them."""
    rate_limited: int | None = 0
    """Responses with status 429; `None` where workers got them."""
    elapsed_ms: int = 0
    stopped: StopReason | None = None


# ---------------------------------------------------------------- numbers

Side = Literal["inbound", "outbound", "both"]


@event("number")
@attrs.frozen(kw_only=True)
class NumberRecord:
    """A phone number of an account."""

    platform: str | None = None
    """Set where numbers of several platforms are listed."""
    phone_number: str | None
    record_id: str | None = None
    """The platform's key of the number, where that is not the number itself."""
    provider: str | None
    label: str | None
    inbound_agent_id: str | None
    outbound_agent_id: str | None = None
    test_number: str | None = None
    termination_uri: str | None = None
    active: bool | None = None
    side: Side | None = None
    """Which calls the agent handles whose numbers were listed."""


@attrs.frozen
class NumberList:
    """The numbers of a listing, shown together."""

    numbers: tuple[NumberRecord, ...]


@event("number_released")
@attrs.frozen(kw_only=True)
class NumberReleased:
    """A number was released."""

    platform: str | None = None
    phone_number: str | None = None
    record_id: str | None = None


TestStatus = Literal["passed", "failed", "unconfirmed", "skipped"]
"""``failed``: not answered, or not placed; ``unconfirmed``: it may have rung."""


@event("verification")
@attrs.frozen(kw_only=True)
class Verification:
    """How the test call of a number ended."""

    phone_number: str | None
    status: TestStatus
    destination: str | None = None
    """The number that is called."""
    call_id: str | None = None
    """`None` if no call is known to have been placed."""
    call_status: str | None = None
    """In the platform's word."""
    termination_reason: str | None = None
    """In the platform's word."""
    duration_ms: int | None = None
    """Length of the call, as the platform counts it."""
    error: RowError | None = None
    note: str = ""
    """Why no call was placed, or why its end proves nothing."""


@attrs.frozen
class VerificationList:
    """Test calls, shown together."""

    results: tuple[Verification, ...]


@event("verification_summary")
@attrs.frozen(kw_only=True)
class VerificationSummary:
    """How a round of test calls ended."""

    numbers: int
    passed: int = 0
    failed: int = 0
    unconfirmed: int = 0
    skipped: int = 0
    stopped: StopReason | None = None


# ---------------------------------------------------------------- plans


@event("problem")
@attrs.frozen(kw_only=True)
class FileProblem:
    """Why a row of a file cannot be applied."""

    file: str
    line: int
    """0 if it is about no line."""
    column: int
    """0 if it is about no character."""
    id: str
    field: str
    message: str


@attrs.frozen
class ProblemList:
    """What is wrong with a fleet."""

    problems: tuple[Problem, ...]


@attrs.frozen(kw_only=True)
class FieldChange:
    """One field that a step changes, or leaves although the row wants it changed."""

    field: str
    before: str | int | None
    after: str | int | None
    """Of a secret, its reference."""
    drifted: bool
    """True if it was changed outside this fleet."""


@event("plan_step")
@attrs.frozen(kw_only=True)
class PlanStep:
    """What is done about one row."""

    id: str
    platform: str
    action: str
    writes: bool
    """True if it sends anything."""
    phone_number: str | None
    """`None` where the platform picks one."""
    changes: tuple[FieldChange, ...]
    kept: tuple[FieldChange, ...]
    """Drift that is left as it is."""
    blocked: str
    """Why it is left out; empty if it is not."""
    notes: tuple[str, ...]


@event("plan_summary")
@attrs.frozen(kw_only=True)
class PlanSummary:
    """What a plan amounts to."""

    file: str
    actions: Mapping[str, int]
    """Steps by action, without those that are left out."""
    writes: int
    """Steps that send anything."""
    blocked: int
    """Steps that are left out."""
    problems: int
    unmanaged: tuple[str, ...]
    """Ids that the journal knows and no row has: their numbers are left alone."""


@attrs.frozen(kw_only=True)
class PlanView:
    """A plan, shown as a whole."""

    file: str
    plan: Plan


# ---------------------------------------------------------------- journals


Decision = Literal["adopt", "retry_unconfirmed", "abandon", "release_duplicates"]


@attrs.frozen(kw_only=True)
class Resolution:
    """One decision that an operator can make about a row."""

    decision: Decision
    command: str
    meaning: str


@attrs.frozen(kw_only=True)
class HistoryEntry:
    """One thing that happened to an operation."""

    at: datetime
    message: str


@attrs.frozen(kw_only=True)
class UnsettledRow:
    """What is known of a row that is unconfirmed or needs a decision."""

    request: str
    """What was requested, in one line."""
    since: datetime
    """When it was sent, or became unconfirmed."""
    settles_at: datetime | None
    """From then on its absence from the account proves that nothing was bought; `None` where no
    waiting helps."""
    listings: int
    """Listings since then that did not show it."""
    message: str
    """What is known of its latest attempt."""
    history: tuple[HistoryEntry, ...] = ()
    tag: str = ""
    """What the label of the number it bought would carry; empty where no tag is used."""
    duplicates: tuple[str, ...] = ()
    resolutions: tuple[Resolution, ...] = ()
    """Empty unless it needs a decision."""


@event("journal_row")
@attrs.frozen(kw_only=True)
class JournalRow:
    """One operation in a journal."""

    row: str
    """Id of the file's row."""
    op_id: str
    platform: str
    action: str
    state: State
    phone_number: str | None = None
    record_id: str | None = None
    """The platform's key of the number, where that is not the number itself."""
    error: str = ""
    """Why it failed or was abandoned."""
    unsettled: UnsettledRow | None = None


@event("journal_status")
@attrs.frozen(kw_only=True)
class JournalStatus:
    """What a journal holds of one platform."""

    journal: str
    platform: str
    now: datetime
    counts: Mapping[State, int]
    purchased: int
    """Numbers bought, unconfirmed ones included."""
    is_settled: bool
    """True if nothing is unconfirmed and nothing needs a decision."""
    reconcile_command: str
    """Settles what can be settled without a decision."""
    sender: str = "the next apply"
    """What sends planned rows."""
    rows: tuple[JournalRow, ...] = attrs.field(default=(), metadata={"json": False})
    """Rows to be shown: all that are not settled, first those that need a decision."""

    @property
    def undecided(self) -> tuple[JournalRow, ...]:
        """Rows that need a decision."""
        return tuple(row for row in self.rows if row.unsettled and row.unsettled.resolutions)

    @property
    def unconfirmed(self) -> tuple[JournalRow, ...]:
        """Rows that another look at the account will settle."""
        return tuple(row for row in self.rows if row.unsettled and not row.unsettled.resolutions)


@attrs.frozen
class JournalRows:
    """Rows of a journal, shown together."""

    rows: tuple[JournalRow, ...]


@event("state_changed")
@attrs.frozen(kw_only=True)
class StateChanged:
    """A row of a journal got further."""

    row: str
    before: State
    after: State
    message: str
    """What happened to it last."""


# ---------------------------------------------------------------- sandbox, workers, demo


@event("sandbox_endpoint")
@attrs.frozen(kw_only=True)
class SandboxEndpoint:
    """Where a platform of a sandbox listens, and a key for it."""

    platform: str
    base_url: str
    api_key: str
    environment: Mapping[str, str]
    """The variables that point a client there."""


@attrs.frozen
class SandboxStarted:
    """A sandbox listens."""

    endpoints: tuple[SandboxEndpoint, ...]


@event("worker_started")
@attrs.frozen(kw_only=True)
class WorkerStarted:
    """A worker serves."""

    accounts: tuple[str, ...]
    database: str
    """As messages name it, without user and password."""
    concurrency: int
    """Most operations in progress at once."""


@event("job_killed")
@attrs.frozen(kw_only=True)
class JobKilled:
    """The demo killed a job while it was buying."""

    platform: str
    done: int
    """Rows that the journal shows as done."""
    in_progress: int
    """Rows that the journal shows as being sent."""
    not_started: int
    unrecorded: int
    """Numbers that the platform had sold and that the journal did not show."""


@event("worker_killed")
@attrs.frozen(kw_only=True)
class WorkerKilled:
    """The demo killed one of several workers."""

    worker: int
    """Which one, from 1."""
    in_progress: int
    """Operations that the journal shows it as sending."""
    done: int
    """Rows that the journal shows as done, by all workers."""
    rows: int


@event("audit_result")
@attrs.frozen(kw_only=True)
class AuditResult:
    """The journals, compared with the ledger of the sandbox."""

    purchases: int
    """Rows that buy a number."""
    bought: int
    """Numbers that were sold."""
    bought_twice: int = 0
    """Rows for which more than one number was bought."""
    lost: int = 0
    """Rows about which journal and ledger disagree."""
    not_done: int = 0
    passed: bool = attrs.field(init=False)
    """True if everything was done, and nothing twice."""

    @passed.default
    def _passed(self) -> bool:
        return not (self.bought_twice or self.lost or self.not_done)


@event("order")
@attrs.frozen(kw_only=True)
class OrderPlaced:
    """What is about to be bought was written to a file; nothing has been bought yet."""

    name: str
    platform: str
    count: int
    file: str
    resume_command: str


@event("exported")
@attrs.frozen(kw_only=True)
class Exported:
    """The numbers of accounts were written to a file."""

    file: str
    rows: int


@event("error")
@attrs.frozen(kw_only=True)
class CommandFailed:
    """The command ended with an error; always the last object."""

    error: str
    """Name of the exception class; ``UsageError`` for a wrong command line."""
    message: str
    exit_code: int
    committed: Committed = "no"
    """Whether the platform carried it out."""


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
"""What becomes one JSON object."""

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
    return FileProblem(**attrs.asdict(problem))


def _plan_events(shown: PlanView) -> Iterator[Event]:
    plan = shown.plan
    for step in plan.steps:
        yield PlanStep(
            id=step.id,
            platform=step.platform,
            action=step.action.value,
            writes=step.writes,
            phone_number=step.phone_number or None,
            changes=tuple(FieldChange(**attrs.asdict(each)) for each in step.changes),
            kept=tuple(FieldChange(**attrs.asdict(each)) for each in step.kept),
            blocked=step.withheld,
            notes=step.remarks,
        )
    yield from map(_problem_event, plan.problems)
    yield PlanSummary(
        file=shown.file,
        actions={action.value: count for action, count in plan.counts.items()},
        writes=plan.writes,
        blocked=sum(bool(step.withheld) for step in plan.steps),
        problems=len(plan.problems),
        unmanaged=tuple(plan.unlisted),
    )
