"""One operation as the journal stores it: the request, its state and its result.

A row holds no secret. Of passwords and tokens it keeps one digest, made with a key that is not in
the journal (see `fingerprint`). Times are seconds since the epoch.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any, Final

import attrs

from sigmamind_async.errors import InvalidRequestError
from sigmamind_async.values import check_type


class Kind(enum.Enum):
    """What an operation does."""

    PURCHASE = "purchase"
    """Buys a number that the platform picks: only a tag in its label identifies it."""
    EXACT_PURCHASE = "exact purchase"
    """Buys one named number."""
    IMPORT = "import"
    """Registers the caller's own number. Its credentials cannot be read back."""
    UPDATE = "update"
    RELEASE = "release"

    def __init__(self, word: str) -> None:
        self.costs: Final = word in {"purchase", "exact purchase"}
        """True if it costs money."""
        self.owned_once: Final = word in {"exact purchase", "import"}
        """True if it names a number, which an account can own only once."""
        self.repeatable: Final = word in {"update", "release"}
        """True if sending it twice leaves the platform as sending it once does."""


class State(enum.Enum):
    """How far an operation got."""

    PLANNED = "planned"
    """The next attempt has not been sent."""
    SENDING = "sending"
    """A process is about to send, or sends; stored before the first byte can leave."""
    UNCONFIRMED = "unconfirmed"
    """An attempt went without a readable answer: the platform may have acted, or act later."""
    DONE = "done"
    FAILED = "failed"
    """The platform refused and did nothing. It may be sent again."""
    DUPLICATE = "duplicate"
    """More numbers were bought than the one that is kept."""
    NEEDS_DECISION = "needs_decision"
    """Nothing proves what happened."""
    ABANDONED = "abandoned"
    """An operator decided to leave it as it is."""


UNSETTLED: Final = frozenset({State.SENDING, State.UNCONFIRMED})
"""States in which no other operation may touch the same number."""
NEED_DECISION: Final = frozenset({State.NEEDS_DECISION, State.DUPLICATE})
"""States that only an operator can end."""


@attrs.frozen
class Step:
    """One thing that happened to an operation."""

    at: float
    """When, in seconds since the epoch."""
    text: str
    """What, in words for people, without a secret."""


HISTORY: Final = 24
"""Most steps that a row keeps: the first, and the latest ones."""


@attrs.frozen(kw_only=True, slots=False)  # a dictionary is copied faster than slots are
class Row:
    """One operation in the journal. Times are in seconds since the epoch."""

    # --- the request
    op_id: str
    """The caller's key of the operation."""
    account: str
    """Platform and, if the caller gave one, label of the account: ``sigmamind:production``."""
    kind: Kind
    """What the operation does."""
    request_type: str
    """Class of the request value, such as ``CreatePhoneNumber``."""
    request_fields: Mapping[str, Any] = attrs.field(hash=False)
    """The fields that were set, without secrets."""
    secret_fields: tuple[str, ...] = ()
    """Names of the secret fields that were set."""
    secret_references: Mapping[str, str] = attrs.field(hash=False, factory=dict[str, str])
    """Where a secret can be found, by field: ``env:NAME``. Empty for secrets given literally."""
    secret_digest: str = ""
    """Keyed digest of the secrets; empty if there are none."""
    token: str
    """What tags of this operation begin with."""
    key: str = ""
    """The number or record id that no other operation may touch meanwhile; empty if not known."""
    enqueued: bool = False
    """True if it was handed to the workers."""

    # --- how far it got
    state: State = State.PLANNED
    """How far it got."""
    version: int = 0
    """Number of writes. A write is refused unless it follows the stored version."""
    updated_at: float = 0.0
    """When it was last written."""
    error: str = ""
    """Why the latest attempt failed or is unconfirmed."""
    error_status: int = 0
    """HTTP status with which the platform refused it; 0 for another reason."""
    history: tuple[Step, ...] = ()
    """What happened to it, oldest first: at most 24 steps, the first and the latest ones."""

    # --- the latest attempt
    attempt: int = 0
    """Its number; the first is 1."""
    owner: str = ""
    """The process that carries it out, and the number of its claim there."""
    lease_until: float = 0.0
    """Until then only the owner may write the row."""
    sent_at: float = 0.0
    """When its first byte may have left."""
    between_requests: bool = False
    """True if it is between two requests, the latest of which did nothing."""
    accepted: bool = False
    """True if a 2xx that cannot be read confirmed it. It is then never sent again just because
    listings do not show it."""
    rejection: str = ""
    """Why it was refused while an earlier attempt is still unconfirmed."""

    # --- unconfirmed attempts
    unconfirmed_since: float = 0.0
    """When the last unanswered attempt ended; 0 if each was answered."""
    absent_listings: int = 0
    """Full listings in a row, started after `unconfirmed_since`, that did not show it."""
    listed_at: float = 0.0
    """When the latest of those began."""
    proven_absent: bool = False
    """True if enough listings say that the attempts so far did nothing. A request later than the
    settle time could still contradict them."""
    repairs: int = 0
    """How often the requested fields were about to be written to a record that was found."""

    # --- the result
    phone_number: str = ""
    """The number it brought, E.164."""
    record: str = ""
    """Key of that number in later calls: a record id, or the number itself."""
    result: Mapping[str, Any] | None = attrs.field(default=None, hash=False)
    """The platform's record by wire names, without its secrets."""
    adopted: bool = False
    """True if the record was found in the account, rather than in an answer."""
    tagged: bool = False
    """True if the number's label carries a tag."""
    duplicates: tuple[str, ...] = ()
    """Keys of numbers that were bought beyond `phone_number` and are still owned."""
    released: tuple[str, ...] = ()
    """Keys of those that have been released."""

    @property
    def is_open(self) -> bool:
        """True if a listing can still change it.

        A number that can be owned only once is planned again before its first attempt is proven
        lost.
        """
        is_early = self.kind.owned_once and self.unconfirmed_since > 0.0 and not self.proven_absent
        return self.state in UNSETTLED or (self.state is State.PLANNED and is_early)

    @property
    def purchase_count(self) -> int:
        """Numbers that were paid for, or may have been."""
        if not self.kind.costs:
            return 0
        if self.state is State.PLANNED:
            own = self.kind is Kind.EXACT_PURCHASE and self.is_open
        elif self.state is State.DUPLICATE:
            own = bool(self.phone_number)  # none is kept if an abandoned purchase arrived late
        else:
            own = self.state is not State.FAILED
        return own + len(self.duplicates) + len(self.released)


def account_name(platform: str, label: str | None) -> str:
    """Return the account's name in a journal: ``sigmamind``, or ``sigmamind:production``."""
    if label is None:
        return platform
    check_type("account", label, str)
    return f"{platform}:{label}"


def check_op_id(op_id: object) -> None:
    """Raise `InvalidRequestError` unless *op_id* can be the id of an operation."""
    if not isinstance(op_id, str) or not op_id.isprintable() or not 0 < len(op_id) <= 200:
        raise InvalidRequestError(field="op_id", rule="must be 1 to 200 printable characters")


def read_pair(index: int, given: Any) -> tuple[str, Any]:  # noqa: ANN401 - that is the question
    """Return op_id and value of the operation that was given at *index*, from 0.

    Raises `InvalidRequestError` for anything but a pair.
    """
    try:
        op_id, value = given
    except (TypeError, ValueError):
        pass
    else:
        return op_id, value
    # Outside the handler, and without its content, which may be a secret.
    raise InvalidRequestError(
        f"operations[{index}]: must be a pair of op_id and value, such as ('order-1042',"
        f" CreatePhoneNumber(country_code='US')); it is of type {type(given).__name__}",
        f"operations[{index}]",
        "a pair of op_id and value",
    )
