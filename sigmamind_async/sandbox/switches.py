"""The questions the vendors' documentation leaves open, one switch each.

The default is the documented or the likeliest behaviour. A client that is right under every
setting does not depend on a guess. What may be asked of any platform stands in
:class:`Switches` and holds for all of them; what only one leaves open stands under its name,
SigmaMind's beside the common ones.
"""

from __future__ import annotations

from typing import Annotated, Literal

import attrs

from sigmamind_async.sandbox.settings import Bounds, Count, Seconds, Setting


@attrs.frozen(kw_only=True)
class VerbexSwitches(Setting):
    """What only Verbex leaves open."""

    list_envelope: Literal["phone_numbers", "data", "items", "array"] = "phone_numbers"
    """The key of the rows; ``array`` is a bare array of everything, without pages."""
    id_key: Literal["_id", "id"] = "_id"
    """The key of a record's id."""
    show_provider: bool = True
    """False: records do not say which variant they are."""
    foreign_fields: Literal["drop", "reject"] = "drop"
    """What happens to an update with a field of another variant: nothing, or 422."""
    secrets: Literal["plain", "masked"] = "plain"
    """How answers show the trunk password and the Twilio token; masked, errors repeat no value."""
    default_region: str = "global"
    """The ``sip_infra_region`` of a number created without one."""
    delete_body: bool = True
    """False: a delete that answers 200 has no body."""
    error_detail: Literal["usual", "list", "string", "object"] = "usual"
    """The form of ``detail``; usually a list for 422 and a string for the rest."""
    collection_path: Literal["bare", "slash"] = "bare"
    """Whether the collection's own path ends in a slash."""
    slash_redirect: Literal[307, 308] | None = 307
    """What the other spelling of a path answers; None is 404."""


@attrs.frozen(kw_only=True)
class DialNexaSwitches(Setting):
    """What only DialNexa leaves open."""

    list_envelope: Literal["items", "data", "array", "wrapped_data", "wrapped_items"] = "items"
    """``items`` with totals, ``data`` with ``meta``, either of them with a ``statusCode``
    around it, or a bare array of everything, without pages."""
    record_shape: Literal["schema", "narrative", "newer"] = "schema"
    """Which fields a number has."""
    record_wrapper: Literal["none", "data", "status_code"] = "none"
    """What stands around a record: nothing, ``data``, or ``data`` beside ``statusCode``."""
    serve_update: bool = True
    """False: updating a number is a retired route and answers 404 with the route's message."""
    empty_agent: Literal["reject", "detach"] = "reject"
    """What an update with an empty ``agent_id`` does."""
    check_agents: bool = True
    """False: an agent id the account does not have is taken."""
    purchase_body: Literal["either", "snake", "camel"] = "either"
    """Which spelling of the purchase's fields is understood."""
    purchase_answer: Literal["envelope", "summary", "record", "outside"] = "envelope"
    """A summary with the record in it, one without it, the bare record, or a summary with a record
    that does not name the number."""
    show_routing: bool = False
    """True: the versions of an agent show their numbers, which their schema does not list."""
    pending_seconds: Seconds = 0.0
    """How long a new number is ``pending`` before it is ``active``."""
    search_numbers: Literal["digits", "e164"] = "digits"
    """Whether found numbers carry their plus sign: those of the carrier do not."""
    kyc_approved: bool = True
    """False: purchases answer 403."""
    trunk_registers: bool = True
    """False: imports answer 502."""
    numbers_in_use: bool = False
    """True: workflows use the numbers, so that a release, and another outbound number for an
    agent, answer 409."""
    delete_body: bool = True
    """False: a release answers 200 without a body."""


@attrs.frozen(kw_only=True)
class Switches(Setting):
    """How the platforms behave where their documentation says nothing, or two things."""

    max_page_size: Annotated[int, Bounds(1)] | None = None
    """Larger pages are silently cut down to this."""
    null_clears: bool = True
    """False: a field set to null is left as it was."""
    unset_as: Literal["null", "empty", "absent"] = "null"
    """How an answer says that a field has no value."""
    duplicates: Literal["reject", "accept"] = "reject"
    """What happens to a purchase or import of a number already held: 409, or taken again."""
    create_status: Literal[200, 201] = 201
    """What purchases and imports answer."""
    delete_status: Literal[200, 204] = 204
    """What a delete answers; DialNexa's is documented to be 200."""
    unknown_keys: Literal["ignore", "reject"] = "ignore"
    """What happens to a request with a key the platform does not know."""
    error_body: Literal["json", "text", "empty"] = "json"
    """What an error's body is."""
    extra_keys: bool = False
    """True: records carry keys nobody documented."""
    provider_word: str | None = None
    """Provider to answer with in place of the documented ones; SigmaMind's imported numbers
    keep theirs."""
    max_purchases: Count | None = None
    """Purchases the balance of each account pays for; the next one answers 402."""

    list_envelope: Literal["page", "older_page", "array"] = "page"
    """SigmaMind's. ``older_page`` spells the total as older documentation does; ``array`` is a
    bare array of everything, without pages."""
    echo_secrets: bool = False
    """True: SigmaMind's trunk credentials come back in answers, as no client should rely on."""
    numeric_numbers: bool = False
    """True: SigmaMind's phone numbers are JSON integers without the plus sign, as in old
    samples."""
    check_agents: bool = False
    """True: SigmaMind refuses an agent id that the account does not have."""
    serve_retired_routes: bool = False
    """False: a path that SigmaMind documented once answers 404."""
    call_seconds: Seconds = 0.2
    """From the creation of a call to its end: a third waiting, two thirds talking."""
    call_status: str = "ended"
    """What a finished call says."""
    call_reason: str | None = "agent_ended_call"
    """Why a finished call says it ended; with `None` nothing."""

    verbex: VerbexSwitches = VerbexSwitches()
    """What only Verbex leaves open."""
    dialnexa: DialNexaSwitches = DialNexaSwitches()
    """What only DialNexa leaves open."""
