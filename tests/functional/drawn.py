"""Rows drawn at random."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from sigmamind_async.provisioning.row import Kind, Row, State, Step

KEYS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
"""Whatever UTF-8 can write, NUL included."""
_TEXTS = st.text(st.characters(), max_size=20)
"""Half of a surrogate pair is among them."""
_TIMES = st.floats(allow_nan=False)
_COUNTS = st.integers(0, 2**70)
_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3),
    max_leaves=8,
)
_OBJECTS = st.dictionaries(_TEXTS, _JSON, max_size=3)
_MANY = st.lists(_TEXTS, max_size=3).map(tuple)
_FINITE = st.floats(allow_nan=False, allow_infinity=False)

FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "op_id": KEYS,
    "account": KEYS,
    "kind": st.sampled_from(Kind),
    "request_type": _TEXTS,
    "request_fields": _OBJECTS,
    "secret_fields": _MANY,
    "secret_references": st.dictionaries(_TEXTS, _TEXTS, max_size=2),
    "secret_digest": _TEXTS,
    "token": KEYS,
    "key": KEYS,
    "state": st.sampled_from(State),
    "attempt": _COUNTS,
    "version": st.just(1),
    "owner": _TEXTS,
    "lease_until": _TIMES,
    "sent_at": _TIMES,
    "unconfirmed_since": _TIMES,
    "accepted": st.booleans(),
    "absent_listings": _COUNTS,
    "listed_at": _TIMES,
    "rejection": _TEXTS,
    "phone_number": _TEXTS,
    "record": _TEXTS,
    "result": st.none() | _OBJECTS,
    "adopted": st.booleans(),
    "duplicates": _MANY,
    "released": _MANY,
    "between_requests": st.booleans(),
    "repairs": _COUNTS,
    "proven_absent": st.booleans(),
    "tagged": st.booleans(),
    "error": _TEXTS,
    "error_status": _COUNTS,
    "updated_at": _TIMES,
    "enqueued": st.booleans(),
    "history": st.lists(st.builds(Step, _FINITE, _TEXTS), max_size=3).map(tuple),
}
rows = st.builds(Row, **FIELDS)
