"""Request values of every class that can be provisioned, drawn at random."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from typing import Any

import attrs
from hypothesis import assume
from hypothesis import strategies as st

from sigmamind_async.convert.validators import is_mask
from sigmamind_async.errors import InvalidRequestError
from sigmamind_async.platforms.dialnexa.models import ImportSipTrunk, PurchasePhoneNumber
from sigmamind_async.platforms.verbex.models import UpdatePhoneNumber
from sigmamind_async.provisioning.adapter import Adapter, Value
from sigmamind_async.provisioning.adapters.dialnexa import DIALNEXA
from sigmamind_async.provisioning.adapters.sigmamind import SIGMAMIND
from sigmamind_async.provisioning.adapters.verbex import VERBEX
from sigmamind_async.values import Secret

ADAPTERS: Mapping[str, Adapter] = {
    "sigmamind": SIGMAMIND,
    "verbex": VERBEX,
    "dialnexa": DIALNEXA,
}
REQUESTS: list[type[Value]] = [
    cls for adapter in ADAPTERS.values() for cls in adapter.requests.values()
]

_LETTERS = st.characters(exclude_categories=["Cs"])
_TEXTS = st.text(_LETTERS, min_size=1, max_size=64)
_NUMBERS = st.from_regex(r"\+[1-9][0-9]{6,14}", fullmatch=True)
_COUNTRIES = st.from_regex(r"[A-Z]{2}", fullmatch=True)
_IDS = st.from_regex(r"[A-Za-z0-9_~:@+-]{1,40}", fullmatch=True)
_URIS = st.from_regex(r"[a-z]{1,20}\.example(:[0-9]{4})?", fullmatch=True)
_AGENTS = _TEXTS.map(lambda text: "".join(filter(str.isprintable, text)).replace(" ", "") or "a")
SECRETS = st.text(st.characters(), max_size=64).filter(lambda text: not is_mask(text))
"""Half of a surrogate pair is among them."""

_FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "phone_number": _NUMBERS,
    "outbound_phone_number": _NUMBERS,
    "phone_number_id": _IDS,
    "id": _IDS,
    "country_code": _COUNTRIES,
    "country_iso": _COUNTRIES,
    "area_code": st.integers(100, 99_999),
    "termination_uri": _URIS,
    "termination_sip_uri": _URIS,
    "sip_termination_uri": _URIS,
    "agent_id": _AGENTS,
    "inbound_agent_id": _AGENTS,
    "outbound_agent_id": _AGENTS,
    "auth_mode": st.sampled_from(["userpass", "ip"]),
    "older_body": st.booleans(),
}
"""Those that are no plain text."""

Form = tuple[set[str], set[str]]
_USER = {"sip_trunk_user_name", "sip_trunk_password"}
_NEWER = {"telephony_provider_id", "country_iso"}
_TRUNK = {"sip_termination_uri", "sip_trunk_username", "sip_trunk_password"}
_TWILIO = {"twilio_account_sid", "twilio_auth_token"}
_FORMS: dict[type[Value], list[Form]] = {
    ImportSipTrunk: [(_USER, set()), ({"auth_mode"}, _USER)],
    PurchasePhoneNumber: [(_NEWER, {"older_body", "provider"}), ({"older_body"}, _NEWER)],
    UpdatePhoneNumber: [(set(), _TRUNK), (set(), _TWILIO)],
}
"""Which fields must be said together, and which must be left out then."""


_MADE: dict[type[Value], st.SearchStrategy[Value]] = {}


def values_of(cls: type[Value]) -> st.SearchStrategy[Value]:
    """Return what draws values of *cls*, with any of its fields left out that may be."""
    if cls not in _MADE:
        forms = _FORMS.get(cls, [(set(), set())])
        _MADE[cls] = st.one_of([_values_in(cls, needed, left_out) for needed, left_out in forms])
    return _MADE[cls]


def _values_in(cls: type[Value], needed: set[str], left_out: set[str]) -> st.SearchStrategy[Value]:
    hints = typing.get_type_hints(cls)
    fields: tuple[attrs.Attribute[Any], ...] = attrs.fields(cls)
    required: dict[str, st.SearchStrategy[Any]] = {}
    optional: dict[str, st.SearchStrategy[Any]] = {}
    for field in fields:
        if field.init and field.name not in left_out:
            must = field.default is attrs.NOTHING or field.name in needed
            (required if must else optional)[field.name] = _field(field.name, hints[field.name])
    return st.fixed_dictionaries(required, optional=optional).map(
        lambda chosen: _valid(cls, chosen)
    )


@st.composite
def pairs_of(draw: st.DrawFn, cls: type[Value]) -> tuple[Value, Value]:
    """Draw two values of *cls* that have some fields in common, all but one, or all of them."""
    one, other = draw(values_of(cls)), draw(values_of(cls))
    fields: tuple[attrs.Attribute[Any], ...] = attrs.fields(cls)
    names = [field.name for field in fields if field.init]
    all_but_one = st.sampled_from(names).map(lambda left: [each for each in names if each != left])
    common = draw(st.just(names) | all_but_one | st.lists(st.sampled_from(names), unique=True))
    chosen = {name: getattr(one if name in common else other, name) for name in names}
    return one, _valid(cls, chosen)


def _valid(cls: type[Value], chosen: dict[str, Any]) -> Value:
    try:
        return cls(**chosen)
    except InvalidRequestError:
        assume(False)
        raise


def _field(name: str, hint: object) -> st.SearchStrategy[Any]:
    kinds = typing.get_args(hint) or (hint,)
    plain = SECRETS.map(Secret) if Secret in kinds else _FIELDS.get(name, _TEXTS)
    return st.none() | plain if type(None) in kinds else plain


any_value = st.sampled_from(REQUESTS).flatmap(values_of)
