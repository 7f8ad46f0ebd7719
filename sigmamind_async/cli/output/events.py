"""What commands report, as values: `text` draws them, ``--json`` writes them one a line.

`schema.json`, beside this module, describes every field. One that does not apply is `None` or
empty.
"""

from __future__ import annotations

import enum
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Final, Literal, TypeVar, cast

import attrs

if TYPE_CHECKING:  # ``status`` and ``--help`` answer without loading a platform
    from sigmamind_async.bulk import Status
    from sigmamind_async.errors import Committed
    from sigmamind_async.fleet.plan import Plan
    from sigmamind_async.fleet.spec import Problem
    from sigmamind_async.platforms.sigmamind.verification import TestStatus
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


class Event(Value):
    """What becomes one JSON object; ``type`` is the name of its class: ``row_result``."""

    __slots__ = ()


class View(Value):
    """Several events that a person sees as one table or text."""

    __slots__ = ()


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
    type: str
    message: str
    committed: Committed
    status: int | None = None
    retry_after: float | None = None
    hint: str = ""


@attrs.frozen(kw_only=True, eq=False, repr=False)
class RowResult(Event):
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
class Summary(Event):
    rows: int
    done: int = 0
    failed: int = 0
    unconfirmed: int = 0
    skipped: int = 0
    unchanged: int | None = None
    abandoned: int = 0
    needs_decision: int = 0
    already_done: int = 0
    requests: int | None = 0
    rate_limited: int | None = 0
    elapsed_ms: int = 0
    stopped: StopReason | None = None


# ---------------------------------------------------------------- numbers

Side = Literal["inbound", "outbound", "both"]


@attrs.frozen(kw_only=True, eq=False, repr=False)
class NumberRecord(Event):
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
class NumberList(View):
    events: tuple[NumberRecord, ...]


@attrs.frozen(kw_only=True, eq=False, repr=False)
class NumberReleased(Event):
    platform: str | None = None
    phone_number: str | None = None
    record_id: str | None = None


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Verification(Event):
    phone_number: str | None
    status: TestStatus
    destination: str | None = None
    call_id: str | None = None
    call_status: str | None = None
    termination_reason: str | None = None
    duration_ms: int | None = None
    error: RowError | None = None
    note: str = ""


@attrs.frozen(kw_only=True, eq=False, repr=False)
class VerificationSummary(Event):
    numbers: int
    passed: int = 0
    failed: int = 0
    unconfirmed: int = 0
    skipped: int = 0
    stopped: StopReason | None = None


# ---------------------------------------------------------------- plans


@attrs.frozen(kw_only=True, eq=False, repr=False)
class FileProblem(Event):
    file: str
    line: int
    column: int
    id: str
    field: str
    message: str
    needs_decision: bool


@attrs.frozen(eq=False, repr=False)
class ProblemList(View):
    problems: tuple[Problem, ...]


@attrs.frozen(kw_only=True, eq=False, repr=False)
class FieldChange(Value):
    field: str
    before: str | int | None
    after: str | int | None
    drifted: bool


@attrs.frozen(kw_only=True, eq=False, repr=False)
class PlanStep(Event):
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
class PlanSummary(Event):
    file: str
    actions: Mapping[str, int]
    writes: int
    blocked: int
    problems: int
    unmanaged: tuple[str, ...]


@attrs.frozen(kw_only=True, eq=False, repr=False)
class PlanView(View):
    file: str
    plan: Plan
    most: int | None = None
    """Steps that a person sees; with `None` 200 on a terminal, and all elsewhere."""


# ---------------------------------------------------------------- journals

Decision = Literal["adopt", "retry_unconfirmed", "abandon", "release_duplicates"]


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Resolution(Value):
    decision: Decision
    command: str
    meaning: str


@attrs.frozen(kw_only=True, eq=False, repr=False)
class HistoryEntry(Value):
    at: datetime
    message: str


@attrs.frozen(kw_only=True, eq=False, repr=False)
class UnsettledRow(Value):
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
class JournalRow(Event):
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
class JournalStatus(Event):
    journal: str
    platform: str
    now: datetime
    counts: Mapping[State, int]
    purchased: int
    is_settled: bool
    reconcile_command: str
    sender: str = "the next apply"
    rows: tuple[JournalRow, ...] = attrs.field(default=(), metadata={"json": False})


@attrs.frozen(eq=False, repr=False)
class JournalRows(View):
    events: tuple[JournalRow, ...]


@attrs.frozen(kw_only=True, eq=False, repr=False)
class StateChanged(Event):
    row: str
    before: State
    after: State
    message: str


# ---------------------------------------------------------------- sandbox, workers, demo


@attrs.frozen(kw_only=True, eq=False, repr=False)
class SandboxEndpoint(Event):
    platform: str
    base_url: str
    api_key: str
    openapi_url: str
    pid: int
    environment: Mapping[str, str]


@attrs.frozen(eq=False, repr=False)
class SandboxStarted(View):
    events: tuple[SandboxEndpoint, ...]


@attrs.frozen(kw_only=True, eq=False, repr=False)
class WorkerStarted(Event):
    accounts: tuple[str, ...]
    database: str
    concurrency: int


@attrs.frozen(kw_only=True, eq=False, repr=False)
class JobKilled(Event):
    platform: str
    done: int
    in_progress: int
    not_started: int
    unrecorded: int


@attrs.frozen(kw_only=True, eq=False, repr=False)
class WorkerKilled(Event):
    worker: int
    in_progress: int
    done: int
    rows: int


def _passed(audit: AuditResult) -> bool:
    return not (audit.bought_twice or audit.lost or audit.not_done)


@attrs.frozen(kw_only=True, eq=False, repr=False)
class AuditResult(Event):
    purchases: int
    bought: int
    bought_twice: int = 0
    lost: int = 0
    not_done: int = 0
    passed: bool = attrs.field(default=attrs.Factory(_passed, takes_self=True), init=False)


@attrs.frozen(kw_only=True, eq=False, repr=False)
class OrderPlaced(Event):
    name: str
    platform: str
    count: int
    file: str
    resume_command: str


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Exported(Event):
    file: str
    rows: int


@attrs.frozen(kw_only=True, eq=False, repr=False)
class FileCreated(Event):
    file: str
    next_command: str


@attrs.frozen(eq=False, repr=False)
class Diagnosis(Event):
    name: str
    verdict: Literal["ok", "warning", "failed", "skipped"]
    message: str
    fix: str = ""


@attrs.frozen(eq=False, repr=False)
class DiagnosisList(View):
    events: tuple[Diagnosis, ...]


@attrs.frozen(kw_only=True, eq=False, repr=False)
class AgentRecord(Event):
    platform: str
    agent_id: str | None
    name: str | None
    numbers: int | None = None


@attrs.frozen(eq=False, repr=False)
class AgentList(View):
    events: tuple[AgentRecord, ...]


@attrs.frozen(kw_only=True, eq=False, repr=False)
class CommandFailed(Event):
    error: str
    message: str
    exit_code: int
    committed: Committed = "no"
    page: str = ""


# ---------------------------------------------------------------- as JSON


def events_in(shown: Event | View) -> Iterable[Event]:
    """Return the events of a view, or the event itself."""
    match shown:
        case ProblemList():
            return (_copy(FileProblem, problem) for problem in shown.problems)
        case PlanView():
            return _plan_events(shown)
        case JournalStatus():
            return (shown, *shown.rows)
        case Event():
            return (shown,)
        case _:  # the others are lists of events
            return cast("NumberList", shown).events


def json_line(event: Event) -> str:
    """Return an event as one line of JSON; ASCII, whatever the encoding of the output."""
    fields = attrs.asdict(
        cast("attrs.AttrsInstance", event),
        filter=lambda field, _: field.metadata.get("json", True),
        value_serializer=lambda _, __, value: _json(value),
    )
    head = {"type": type_name(type(event)), "version": VERSION}
    return json.dumps({**head, **fields}, separators=(",", ":"))


def type_name(cls: type[Event]) -> str:
    """Return the name that objects of a class have in JSON."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()


def _json(value: object) -> object:
    if isinstance(value, enum.Enum):
        return value.value
    return value.strftime("%Y-%m-%dT%H:%M:%SZ") if isinstance(value, datetime) else value


# ---------------------------------------------------------------- from a plan

T = TypeVar("T", bound=attrs.AttrsInstance)


def _copy(cls: type[T], source: object) -> T:
    """Return an event with the fields of *source* that have the same names."""
    return cls(**{field.name: getattr(source, field.name) for field in attrs.fields(cls)})


def _plan_events(shown: PlanView) -> Iterator[Event]:
    plan = shown.plan
    for step in plan.steps:
        yield PlanStep(
            id=step.id,
            platform=step.platform,
            action=step.action.value,
            writes=step.writes,
            phone_number=step.phone_number or None,
            changes=tuple(_copy(FieldChange, change) for change in step.changes),
            kept=tuple(_copy(FieldChange, change) for change in step.kept_drift),
            blocked=step.blocked,
            notes=step.remarks,
        )
    yield from events_in(ProblemList(tuple(plan.problems)))
    yield PlanSummary(
        file=shown.file,
        actions={action.value: count for action, count in plan.counts.items()},
        writes=plan.writes,
        blocked=sum(bool(step.blocked) for step in plan.steps),
        problems=len(plan.problems),
        unmanaged=tuple(plan.unlisted),
    )
