"""The questions the vendors' documentation leaves open, one switch each.

The default is the documented or the likeliest behaviour. A client that is right under every
setting does not depend on a guess.
"""

from __future__ import annotations

from typing import Literal

import attrs

_optional_count = attrs.validators.optional(attrs.validators.ge(0))


@attrs.frozen(kw_only=True)
class Switches:
    """How the platform behaves where its documentation says nothing, or two things."""

    list_envelope: Literal["page", "older_page", "array"] = attrs.field(
        default="page",
        validator=attrs.validators.in_(("page", "older_page", "array")),
    )
    """``older_page`` spells the total as older documentation does; ``array`` is a bare array
    of everything, without pages."""
    max_page_size: int | None = attrs.field(
        default=None,
        validator=attrs.validators.optional(attrs.validators.ge(1)),
    )
    """Larger pages are silently cut down to this."""
    null_clears: bool = True
    """False: an agent set to null is left as it was."""
    unset_as: Literal["null", "empty", "absent"] = attrs.field(
        default="null",
        validator=attrs.validators.in_(("null", "empty", "absent")),
    )
    """How an answer says that a field has no value."""
    echo_secrets: bool = False
    """True: trunk credentials come back in answers, as no client should rely on."""
    numeric_numbers: bool = False
    """True: phone numbers are JSON integers without the plus sign, as in old samples."""
    serve_retired_routes: bool = False
    """False: a path that was documented once answers 404."""
    duplicates: Literal["reject", "accept"] = attrs.field(
        default="reject",
        validator=attrs.validators.in_(("reject", "accept")),
    )
    """What happens to a purchase or import of a number already held: 409, or taken again."""
    create_status: Literal[200, 201] = attrs.field(
        default=201,
        validator=attrs.validators.in_((200, 201)),
    )
    delete_status: Literal[200, 204] = attrs.field(
        default=204,
        validator=attrs.validators.in_((200, 204)),
    )
    unknown_keys: Literal["ignore", "reject"] = attrs.field(
        default="ignore",
        validator=attrs.validators.in_(("ignore", "reject")),
    )
    """What happens to a request with a key the platform does not know."""
    error_body: Literal["json", "text", "empty"] = attrs.field(
        default="json",
        validator=attrs.validators.in_(("json", "text", "empty")),
    )
    extra_keys: bool = False
    """True: records carry keys nobody documented."""
    provider_word: str | None = None
    """Carrier name to answer with instead of the documented ones."""
    check_agents: bool = False
    """True: an agent id the account does not have is refused."""
    max_purchases: int | None = attrs.field(default=None, validator=_optional_count)
    """Purchases the balance pays for; the next one answers 402."""
    call_seconds: float = attrs.field(default=0.2, validator=attrs.validators.ge(0))
    """From the creation of a call to its end: a third waiting, two thirds talking."""
    call_status: str = "ended"
    """What a finished call says."""
    call_reason: str | None = "agent_ended_call"
