"""One operation as the journal knows it: what was asked, how far it got, what it brought.

A row holds no secret: of passwords and tokens it keeps one digest, made with a key that is not in
the journal (see `asking`). Times are wall-clock seconds since the epoch.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any, Final

import attrs

from sigmamind_async.errors import InvalidRequestError
from sigmamind_async.provisioning.tags import attempt_tag


class Kind(enum.Enum):
    """What an operation does, as far as its safety goes."""

    PURCHASE = "purchase"
    """Buys a number that the platform picks: only a tag in its label tells it from others."""
    EXACT_PURCHASE = "exact purchase"
    """Buys one named number, which can be owned only once."""
    IMPORT = "import"
    """Registers a number of one's own; credentials cannot be read back."""
    UPDATE = "update"
    RELEASE = "release"

    @property
    def costs(self) -> bool:
        """Whether it costs money."""
        return self is Kind.PURCHASE or self is Kind.EXACT_PURCHASE

    @property
    def owned_once(self) -> bool:
        """Whether it names a number, which an account can own only once."""
        return self is Kind.EXACT_PURCHASE or self is Kind.IMPORT

    @property
    def repeatable(self) -> bool:
        """Whether sending it twice leaves the platform as sending it once does."""
        return self is Kind.UPDATE or self is Kind.RELEASE


class State(enum.Enum):
    """How far an operation got."""

    PLANNED = "planned"
    """Nothing of the coming attempt was sent."""
    SENDING = "sending"
    """Written down before a byte may leave."""
    UNCONFIRMED = "unconfirmed"
    """An attempt went unanswered: the platform may have acted, or act later."""
    DONE = "done"
    FAILED = "failed"
    """The platform refused; nothing was done. It may be asked again."""
    DUPLICATE = "duplicate"
    """More numbers were bought than the one that is kept."""
    NEEDS_DECISION = "needs_decision"
    """Nothing proves what happened; a person decides."""
    ABANDONED = "abandoned"
    """A person decided to leave it."""


UNSETTLED: Final = frozenset({State.SENDING, State.UNCONFIRMED})
"""States in which no other operation may touch the same number."""
NEED_DECISION: Final = frozenset({State.NEEDS_DECISION, State.DUPLICATE})
_SPENDS: Final = UNSETTLED | {State.DONE, State.DUPLICATE, State.NEEDS_DECISION, State.ABANDONED}


@attrs.frozen
class Step:
    """One thing that happened to an operation, in words for a person."""

    at: float
    text: str


HISTORY: Final = 24
"""Most steps that a row keeps: the first, and the latest ones."""


@attrs.frozen(kw_only=True)
class Row:
    """One operation in the journal."""

    op_id: str
    """The caller's own key of the operation."""
    account: str
    """Platform and, where the caller gave one, label of the account: ``sigmamind:production``."""
    kind: Kind
    request_type: str
    """Class of the request value, such as ``CreatePhoneNumber``."""
    request_fields: Mapping[str, Any] = attrs.field(hash=False)
    """The fields of the request value that are said, without its secrets."""
    secret_fields: tuple[str, ...] = ()
    """Names of the fields that are secrets."""
    secret_references: Mapping[str, str] = attrs.field(hash=False, factory=dict[str, str])
    """Where those secrets are to be found, as far as the caller said so: ``env:NAME`` by field."""
    secret_digest: str = ""
    """Keyed digest of the secrets; empty where there are none."""
    token: str
    """What tags of this operation begin with."""
    key: str = ""
    """The number or record id that nobody else may touch meanwhile; empty where none is known."""
    state: State = State.PLANNED
    attempt: int = 0
    """Number of the latest attempt; the first is 1."""
    version: int = 0
    """Counts the writes of this row; each write must follow the one it has seen."""
    owner: str = ""
    """Who carries out the latest attempt."""
    lease_until: float = 0.0
    """Until then nobody but the owner may take the attempt for abandoned."""
    rate_limited: bool = False
    """Whether the latest attempt waits to be made again after a refusal, nothing being under
    way."""
    sent_at: float = 0.0
    """When the latest attempt may have begun to leave."""
    unconfirmed_since: float = 0.0
    """From when on an unanswered attempt sent nothing more; 0 where every attempt was answered."""
    accepted: bool = False
    """Whether the platform said yes to the latest attempt, in an answer that cannot be read: it is
    never sent again because listings do not show it."""
    absent_listings: int = 0
    """Full listings in a row, begun after `unconfirmed_since`, that did not show it."""
    listed_at: float = 0.0
    """When the latest of those began."""
    proven_absent: bool = False
    """Whether enough listings say that nothing came of the attempts so far, although one that is
    later than the settle time may still come."""
    rejection: str = ""
    """Why the latest attempt was refused, while an earlier one is still in doubt."""
    repairs: int = 0
    """How often it was begun to write what was asked for to a record that had been found."""
    phone_number: str = ""
    """The number it brought, E.164."""
    record: str = ""
    """Key of that number in later calls: a record id, or the number itself."""
    result: Mapping[str, Any] | None = attrs.field(default=None, hash=False)
    """The platform's record by wire names, without its secrets."""
    adopted: bool = False
    """Whether the record was found, rather than answered to the request."""
    duplicates: tuple[str, ...] = ()
    """Keys of numbers that were bought beyond `phone_number` and not released."""
    released: tuple[str, ...] = ()
    """Keys of such numbers that were given up again."""
    tagged: bool = False
    """Whether the label of the number carries a tag."""
    error: str = ""
    """Why the latest attempt failed, or what is in doubt."""
    updated_at: float = 0.0
    history: tuple[Step, ...] = ()
    enqueued: bool = False
    """Whether it was handed to the workers, who carry it out by themselves."""

    @property
    def is_open(self) -> bool:
        """Whether a listing may still tell something new about it.

        What can be owned only once is sent again before the first request is proven lost.
        """
        waits = self.kind.owned_once and self.unconfirmed_since > 0.0 and not self.proven_absent
        return self.state in UNSETTLED or (self.state is State.PLANNED and waits)

    @property
    def tag(self) -> str:
        """The tag of the latest attempt."""
        return attempt_tag(self.token, self.attempt)

    @property
    def purchase_count(self) -> int:
        """Numbers that were paid for, or may have been."""
        if not self.kind.costs:
            return 0
        one = self.state in _SPENDS and not (
            self.state is State.DUPLICATE and not self.phone_number
        )
        if self.kind is Kind.EXACT_PURCHASE and self.state is State.PLANNED and self.is_open:
            one = True  # it may be sent again before the settle time has proven the first one lost
        return one + len(self.duplicates) + len(self.released)


def account_name(platform: str, label: str | None) -> str:
    """Return the account's name in a journal: ``sigmamind``, or ``sigmamind:production``."""
    return platform if label is None else f"{platform}:{label}"


def check_op_id(op_id: object) -> None:
    """Raise `InvalidRequestError` unless *op_id* can be the id of an operation."""
    if not isinstance(op_id, str) or not op_id.isprintable() or not 0 < len(op_id) <= 200:
        raise InvalidRequestError(field="op_id", rule="must be 1 to 200 printable characters")
