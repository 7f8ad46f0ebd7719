"""What can happen to an operation; `transitions` decides what follows from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import attrs

from sigmamind_async.operation import Verdict


@attrs.frozen(kw_only=True)
class Match:
    """A record of the account that may be the result of an operation."""

    record: str
    """Its key in later calls."""
    phone_number: str
    attempt: int | None = None
    """The attempt named by its tag; `None` if it was matched by number or id."""
    agrees: bool = True
    """True if it shows every requested field that can be read back."""
    result: Mapping[str, Any] | None = attrs.field(default=None, hash=False)
    """The platform's record by wire names, without its secrets."""


# --- an attempt ------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Claimed:
    """*owner* is about to send, and will have stopped trying when its lease ends."""

    owner: str
    lease: float
    """Seconds."""


@attrs.frozen
class Paused:
    """The latest request did nothing: it was refused by a limit, or never connected.

    The attempt continues with another request after a pause.
    """


@attrs.frozen
class AttemptEnded:
    """The attempt is over, and this is what it proved."""

    verdict: Verdict
    reason: str = ""
    """Why it was not confirmed."""
    match: Match | None = attrs.field(default=None, kw_only=True)
    """The record of a confirmed attempt; `None` for a release."""
    earlier_unanswered: bool = attrs.field(default=False, kw_only=True)
    """True if an earlier request of a confirmed attempt went unanswered."""
    status: int = attrs.field(default=0, kw_only=True)
    """HTTP status with which the platform refused a rejected attempt; 0 if it did not."""


@attrs.frozen
class OwnerLost:
    """The process that was sending is gone."""


@attrs.frozen
class RefusedLocally:
    """The operation will not be sent, for a reason found on this side."""

    reason: str


# --- the account -----------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Listed:
    """All numbers of the account were read."""

    began: float
    """When the reading began."""
    matches: Sequence[Match]


@attrs.frozen
class RepairStarted:
    """The requested fields are about to be written to a record that was found."""


@attrs.frozen
class RepairDone:
    """The requested fields have been written to a record that was found."""

    match: Match
    earlier_unanswered: bool = False
    """True if an earlier request to write them went unanswered."""


@attrs.frozen
class RepairRefused:
    """The platform refuses to write the requested fields to a record that was found."""

    match: Match
    reason: str


@attrs.frozen
class DuplicateReleased:
    """A duplicate is no longer owned."""

    record: str


@attrs.frozen
class TagRemoved:
    """The tag was removed from the number's label."""


# --- an operator's decisions -----------------------------------------------------------------


@attrs.frozen
class AdoptApproved:
    """This record is the result of the operation."""

    match: Match


@attrs.frozen
class RetryApproved:
    """Send it again."""


@attrs.frozen
class AbandonApproved:
    """Leave it as it is."""


Event: TypeAlias = (
    Claimed
    | Paused
    | AttemptEnded
    | OwnerLost
    | RefusedLocally
    | Listed
    | RepairStarted
    | RepairDone
    | RepairRefused
    | DuplicateReleased
    | TagRemoved
    | AdoptApproved
    | RetryApproved
    | AbandonApproved
)
