"""What commands have to say, as records. How it looks is up to the three renderers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import attrs

from sigmamind_async.bulk import Status
from sigmamind_async.errors import Committed

if TYPE_CHECKING:  # ``--help`` answers without loading a platform
    from sigmamind_async.fleet.plan import Plan
    from sigmamind_async.fleet.spec import Problem
    from sigmamind_async.provisioning.row import State

Stopped = Literal[
    "interrupted",
    "key refused",
    "cannot pay",
    "not the API",
    "platform unreachable",
    "journal unusable",
    "output closed",
]
"""Why a job ended before its rows did."""


@attrs.frozen(kw_only=True)
class RowError:
    """Why a row was not carried out, or is unconfirmed."""

    kind: str
    """Name of the exception class; ``BadRow`` for a row that could not be read."""
    message: str
    committed: Committed
    status: int | None = None
    """HTTP status, where one came."""
    retry_after: float | None = None
    advice: str = ""


@attrs.frozen(kw_only=True)
class RowResult:
    """How one row of a file ended."""

    line: int
    id: str | None
    action: str
    """Empty where the row does not say a known one."""
    status: Status
    phone_number: str | None = None
    record_id: str | None = None
    """What the platform knows the number by, where that is not the number itself."""
    fault: RowError | None = None
    attempts: int = 0
    elapsed: float = 0.0
    """Seconds."""
    earlier: bool = False
    """Whether an earlier run carried it out, so that this one sent nothing."""
    platform: str | None = None
    """Whose number it is; said where rows of several platforms stand together."""
    remark: str = ""
    """What else is to be said about a row that went well, or was not taken up."""


@attrs.frozen(kw_only=True)
class Summary:
    """How a job over many rows ended."""

    asked: int
    done: int = 0
    failed: int = 0
    unconfirmed: int = 0
    skipped: int = 0
    earlier: int = 0
    """Rows among those done that an earlier run carried out."""
    unchanged: int | None = None
    """Rows of a fleet that were as they should be, beside those done; `None` for other files."""
    requests: int | None = 0
    """`None` where workers sent them."""
    throttled: int | None = 0
    """Answers that said "one request too many", likewise."""
    seconds: float = 0.0
    stopped: Stopped | None = None

    @property
    def rate(self) -> float:
        """Rows carried out or tried, a second."""
        tried = self.done + self.failed + self.unconfirmed
        return tried / self.seconds if self.seconds > 0 else 0.0


Side = Literal["inbound", "outbound", "both"]


@attrs.frozen(kw_only=True)
class NumberRecord:
    """A phone number of the account."""

    platform: str
    phone_number: str | None
    record_id: str | None = None
    """What the platform knows it by, where that is not the number itself."""
    provider: str | None
    label: str | None
    """The label, whatever the platform calls it."""
    inbound_agent_id: str | None
    """Who takes its calls, whatever the platform calls that."""
    outbound_agent_id: str | None = None
    test_number: str | None = None
    termination_uri: str | None = None
    active: bool | None = None
    side: Side | None = None
    """Which of its calls the agent takes whose numbers were asked for."""


@attrs.frozen
class NumberList:
    """Many numbers, to be shown together."""

    numbers: tuple[NumberRecord, ...]


@attrs.frozen(kw_only=True)
class Released:
    """A number was released."""

    platform: str
    phone_number: str | None = None
    record_id: str | None = None


@attrs.frozen(kw_only=True)
class OrderPlaced:
    """Numbers are about to be bought: what the order is called, and how to go on with it."""

    name: str
    platform: str
    count: int
    file: str
    resume: str
    """The command that goes on with the order, if this run ends early."""


@attrs.frozen(kw_only=True)
class Entrance:
    """Where a platform of a sandbox listens, and the key made up for it."""

    platform: str
    base_url: str
    api_key: str
    environment: Mapping[str, str]
    """The variables that lead a client there."""


@attrs.frozen
class SandboxReady:
    """A sandbox listens."""

    entrances: tuple[Entrance, ...]


@attrs.frozen(kw_only=True)
class Ready:
    """A worker serves."""

    accounts: tuple[str, ...]
    database: str
    """What messages call it; without user and password."""
    concurrency: int
    """Operations under way at once."""


@attrs.frozen(kw_only=True)
class Way:
    """One decision that an operator can make about a row."""

    command: str
    meaning: str


@attrs.frozen(kw_only=True)
class OpenRow:
    """A row of a journal that is not settled."""

    id: str
    state: State
    asked: str
    """What it asked for, in one line."""
    since: float
    """When it was sent, or it became unconfirmed; seconds since the epoch."""
    believable: float | None
    """From when on "not in the account" can be believed; `None` where no waiting helps."""
    listings: int
    """Listings since then that did not show it."""
    known: str
    """What is known of its latest attempt."""
    story: tuple[str, ...]
    """All that happened, line by line."""
    ways: tuple[Way, ...] = ()
    """What can be decided about it; empty where nothing has to be."""


@attrs.frozen(kw_only=True)
class Standing:
    """How the rows in a journal stand."""

    journal: str
    platform: str
    counts: Mapping[State, int]
    bought: int
    """Numbers bought, unconfirmed ones included."""
    rows: tuple[OpenRow, ...]
    """Rows that are not settled, first those that need a decision."""
    settle: str
    """The command that settles what can be settled without a decision."""
    sender: str = "the next apply"
    """Who sends what is to be sent."""
    now: float
    """When this was so; seconds since the epoch."""

    @property
    def waiting(self) -> tuple[OpenRow, ...]:
        """Rows that need a decision."""
        return tuple(row for row in self.rows if row.ways)

    @property
    def doubtful(self) -> tuple[OpenRow, ...]:
        """Rows that time and another look will settle."""
        return tuple(row for row in self.rows if not row.ways)

    @property
    def settled(self) -> bool:
        """Whether nothing is unconfirmed and nothing needs a decision."""
        return not self.rows


@attrs.frozen(kw_only=True)
class RowChange:
    """A row of a journal got further."""

    id: str
    before: State
    after: State
    text: str
    """What happened to it last."""


@attrs.frozen(kw_only=True)
class Crash:
    """A job was killed in the middle, and what its journal and the platform know of it."""

    platform: str
    done: int
    """Rows that the journal knows to be done."""
    under_way: int
    """Rows that the journal knows to have been on their way."""
    untouched: int
    """Rows that were not begun."""
    unheard: int
    """Numbers that the platform had sold, and that the job had not heard of."""


@attrs.frozen(kw_only=True)
class Killed:
    """One of several workers was killed in the middle."""

    worker: int
    """Which one, from 1."""
    under_way: int
    """Operations that the journal knows it to have been sending."""
    done: int
    """Rows that the journal knows to be done, by all workers."""
    asked: int


@attrs.frozen(kw_only=True)
class Verdict:
    """What the ledger of the platforms says about what the journals say."""

    asked_to_buy: int
    bought: int
    bought_twice: int = 0
    """Rows for which more than one number was bought."""
    lost: int = 0
    """Rows whose journal says something else than the ledger."""
    unknown: int = 0
    """Rows that are not done."""

    @property
    def holds(self) -> bool:
        """Whether everything was done, and nothing twice."""
        return not (self.bought_twice or self.lost or self.unknown)


TestStatus = Literal["passed", "failed", "unconfirmed", "skipped"]
"""``failed``: not answered, or not placed; ``unconfirmed``: may ring, and its end not seen."""


@attrs.frozen(kw_only=True)
class Verification:
    """What a test call said about a number."""

    phone_number: str | None
    status: TestStatus
    destination: str | None = None
    """Whom the call rings."""
    call_id: str | None = None
    """The platform's id of the call; `None` where none is known to have been placed."""
    call_status: str | None = None
    """The platform's word for how far the call came."""
    termination_reason: str | None = None
    """The platform's word for why it ended."""
    duration: float | None = None
    """Seconds that the call took, as the platform counts them."""
    remark: str = ""
    """Why no call was placed, or why its end proves nothing; one line."""
    fault: RowError | None = None
    """What went wrong with placing or following the call."""


@attrs.frozen
class Verifications:
    """What test calls said about many numbers, to be shown together."""

    results: tuple[Verification, ...]


@attrs.frozen(kw_only=True)
class VerificationSummary:
    """How many numbers a round of test calls proved."""

    asked: int
    passed: int = 0
    failed: int = 0
    unconfirmed: int = 0
    skipped: int = 0
    stopped: Stopped | None = None


@attrs.frozen(kw_only=True)
class PlanShown:
    """What is done about the rows of a fleet, and why it cannot be done, if so."""

    file: str
    plan: Plan


@attrs.frozen
class Problems:
    """What is wrong with a fleet."""

    problems: tuple[Problem, ...]


Record = (
    RowChange
    | Crash
    | Killed
    | NumberList
    | NumberRecord
    | OrderPlaced
    | PlanShown
    | Problems
    | Ready
    | Released
    | RowResult
    | SandboxReady
    | Standing
    | Summary
    | Verdict
    | Verification
    | Verifications
    | VerificationSummary
)
