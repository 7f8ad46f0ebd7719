"""What the platforms take and show of a number, by the field names of a fleet: one table each.

A field is in each request that takes it. What the request that creates a number does not take, and
an update does, is written by an update afterwards; what no update takes is stated once.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Collection, Hashable, Mapping
from functools import cache, cached_property
from sys import intern
from typing import Any, Final, cast

import attrs

from sigmamind_async.convert import check_field, present_keys, wire_names
from sigmamind_async.errors import InvalidRequestError
from sigmamind_async.fleet.spec import SECRETS, Cell, Source
from sigmamind_async.platforms import dialnexa, sigmamind, verbex
from sigmamind_async.provisioning.adapter import Adapter, Value
from sigmamind_async.provisioning.adapters.dialnexa import DIALNEXA, PurchaseAnyNumber
from sigmamind_async.provisioning.adapters.sigmamind import SIGMAMIND
from sigmamind_async.provisioning.adapters.verbex import VERBEX
from sigmamind_async.provisioning.tags import find_tag, remove_tag
from sigmamind_async.values import Secret

PLACEHOLDER: Final = Secret("reference")
"""In place of a secret that is not resolved yet, while a request is checked."""


_wire_names = cache(wire_names)


@attrs.frozen(kw_only=True, eq=False, slots=False)
class RequestForm:
    """One request of a platform: which fields of a row it takes, and under which names."""

    value: type[Value]
    takes: Mapping[str, str]
    """Attribute of `value`, by field."""
    needs: Collection[str] = ()
    """Fields without which it cannot be made."""
    excludes: Collection[str] = ()
    """Fields that an update takes, but not for a number that was created this way."""

    @cached_property
    def names(self) -> Mapping[str, str]:
        """Field, by attribute of `value`."""
        return {attribute: name for name, attribute in self.takes.items()}

    @cached_property
    def clears(self) -> frozenset[str]:
        """Fields that may be null."""
        hints = typing.get_type_hints(self.value)
        return frozenset(
            name
            for name, attribute in self.takes.items()
            if types.NoneType in typing.get_args(hints[attribute])
        )

    def part_of(self, fields: Mapping[str, Cell]) -> dict[str, Cell]:
        """Return those of *fields* that this request takes."""
        return {
            name: cell
            for name, cell in fields.items()
            if name in self.takes and (cell is not None or name in self.clears)
        }

    def check(self, name: str, cell: Cell) -> str:
        """Return what is wrong with *cell* as the field *name*; empty if nothing is."""
        attribute = self.takes[name]
        try:
            check_field(self.value, attribute, PLACEHOLDER if name in SECRETS else cell)
        except InvalidRequestError as error:
            return str(error).removeprefix(f"{attribute}: ")
        return ""

    def request(self, fields: Mapping[str, Cell], **key: str) -> Value:
        """Return the request with *fields*, all of which it takes.

        Raises `InvalidRequestError` with the attribute's name.
        """
        make: Callable[..., Value] = self.value
        return make(**{self.takes[name]: cell for name, cell in fields.items()}, **key)


@attrs.frozen(kw_only=True, eq=False)
class VendorSchema:
    """What a fleet knows of one platform."""

    platform: str
    adapter: Adapter
    purchases: tuple[RequestForm, ...]
    """Ways to buy; a row takes the first one whose needs it meets."""
    imports: tuple[RequestForm, ...]
    """Ways to import a number, in the same order."""
    update: RequestForm
    key: str
    """Attribute of `update` that names the record."""
    shown: Collection[tuple[str, str]]
    """Fields with the attribute of a record that shows them; of two, the later one counts."""

    def forms(self, source: Source) -> tuple[RequestForm, ...]:
        """Return the requests that create a number from *source*."""
        return {Source.PURCHASE: self.purchases, Source.IMPORT: self.imports}.get(source, ())

    def form(self, source: Source, fields: Mapping[str, Cell]) -> RequestForm | None:
        """Return the first request whose needs a row with *fields* meets; `None` if none."""
        for form in self.forms(source):
            if all(fields.get(name) is not None for name in form.needs):
                return form
        return None

    def creation_names(self, request_type: str) -> Mapping[str, str]:
        """Return field by attribute of a request that creates a number; of another, nothing."""
        forms = (*self.purchases, *self.imports)
        names = (form.names for form in forms if form.value.__name__ == request_type)
        return next(names, dict[str, str]())

    def read_number(self, record: Any) -> RemoteNumber:  # noqa: ANN401 - a record of any platform
        """Return a record of a listing or a response by field names."""
        owned = self.adapter.owned(record)
        present, names = present_keys(record), _wire_names(cast("Hashable", type(record)))
        shown: dict[str, str | None] = {}
        for name, attribute in self.shown:
            if attribute in names and names[attribute].name in present:
                value = getattr(record, attribute)
                text = value if isinstance(value, str) else ""
                # A row has no tag in its label, and nothing in place of an empty text.
                text = intern(remove_tag(text) if name == "label" else text)
                shown[name] = text or shown.get(name)
        tag = find_tag(owned.label)
        return RemoteNumber(
            platform=self.platform,
            record=intern(owned.record),
            phone_number=intern(owned.phone_number),
            shown=shown,
            token="" if tag is None else tag[0],
        )


@attrs.frozen(kw_only=True)
class RemoteNumber:
    """One number of an account on a `platform`, by the field names of a fleet."""

    platform: str
    record: str
    """Its key in later calls: the number itself, or the record's id."""
    phone_number: str
    """E.164."""
    shown: Mapping[str, str | None] = attrs.field(hash=False)
    """The fields that the platform shows. Labels have no tag."""
    token: str = attrs.field(default="", eq=False)
    """Of the purchase that created it, from the tag in its label: each journal has its own."""


def _same(*names: str) -> dict[str, str]:
    """Return fields that the platform calls the same."""
    return {name: name for name in names}


_NUMBER: Final = _same("phone_number")
AGENTS: Final = ("inbound_agent_id", "outbound_agent_id")

# --- SigmaMind -------------------------------------------------------------------------------

_SIGMAMIND_COMMON: Final = {
    "label": "friendly_name",
    **_same(*AGENTS),
    "test_number": "outbound_phone_number",
}
_SIGMAMIND_TRUNK: Final = {
    "termination_uri": "termination_sip_uri",
    **_same("trunk_username", "trunk_password"),
}
_SIGMAMIND: Final = VendorSchema(
    platform="sigmamind",
    adapter=SIGMAMIND,
    purchases=tuple(
        RequestForm(
            value=sigmamind.CreatePhoneNumber,
            takes={**_NUMBER, **_SIGMAMIND_COMMON, **_same("country_code", "area_code")},
            needs=(need,),
            # A bought number has no trunk: the platform takes these without effect.
            excludes=tuple(_SIGMAMIND_TRUNK),
        )
        for need in ("phone_number", "country_code")
    ),
    imports=(
        RequestForm(
            value=sigmamind.ImportPhoneNumber,
            takes={**_NUMBER, **_SIGMAMIND_COMMON, **_SIGMAMIND_TRUNK},
            needs=("phone_number",),
        ),
    ),
    update=RequestForm(
        value=sigmamind.UpdatePhoneNumber, takes={**_SIGMAMIND_COMMON, **_SIGMAMIND_TRUNK}
    ),
    key="phone_number",
    shown=(*_SIGMAMIND_COMMON.items(), ("termination_uri", "termination_sip_uri")),
)

# --- Verbex ----------------------------------------------------------------------------------

_VERBEX_COMMON: Final = {"label": "friendly_name", **_same(*AGENTS)}
_VERBEX_TRUNK: Final = {
    "termination_uri": "sip_termination_uri",
    "trunk_username": "sip_trunk_username",
    "trunk_password": "sip_trunk_password",
}
_VERBEX_TWILIO: Final = _same("twilio_account_sid", "twilio_auth_token")
_VERBEX: Final = VendorSchema(
    platform="verbex",
    adapter=VERBEX,
    purchases=(
        RequestForm(
            value=verbex.CreatePiaPhoneNumber,
            takes={**_NUMBER, **_VERBEX_COMMON},
            excludes=(*_VERBEX_TRUNK, *_VERBEX_TWILIO),
        ),
    ),
    imports=(
        RequestForm(
            value=verbex.CreateTwilioPhoneNumber,
            takes={**_NUMBER, **_VERBEX_COMMON, **_VERBEX_TWILIO},
            needs=("phone_number", "twilio_account_sid", "twilio_auth_token"),
            excludes=(*_VERBEX_TRUNK, "sip_infra_region"),
        ),
        RequestForm(
            value=verbex.CreateSipPhoneNumber,
            takes={**_NUMBER, **_VERBEX_COMMON, **_VERBEX_TRUNK, **_same("sip_infra_region")},
            needs=("phone_number",),
            excludes=tuple(_VERBEX_TWILIO),
        ),
    ),
    update=RequestForm(
        value=verbex.UpdatePhoneNumber, takes={**_VERBEX_COMMON, **_VERBEX_TRUNK, **_VERBEX_TWILIO}
    ),
    key="phone_number_id",
    shown=(
        *_VERBEX_COMMON.items(),
        ("termination_uri", "sip_termination_uri"),
        ("trunk_username", "sip_trunk_username"),
        ("twilio_account_sid", "twilio_account_sid"),
    ),
)

# --- DialNexa --------------------------------------------------------------------------------

_DIALNEXA_PURCHASE: Final = {"country_code": "country_iso", **_same("telephony_provider_id")}
_DIALNEXA_TRUNK: Final = {
    **_same("termination_uri", "auth_mode"),
    "trunk_username": "sip_trunk_user_name",
    "trunk_password": "sip_trunk_password",
}
_DIALNEXA: Final = VendorSchema(
    platform="dialnexa",
    adapter=DIALNEXA,
    purchases=(
        RequestForm(
            value=dialnexa.PurchasePhoneNumber,
            takes={**_NUMBER, **_DIALNEXA_PURCHASE},
            needs=("phone_number", *_DIALNEXA_PURCHASE),
        ),
        RequestForm(
            value=PurchaseAnyNumber,
            takes={**_DIALNEXA_PURCHASE, "type": "type"},
            needs=tuple(_DIALNEXA_PURCHASE),
        ),
    ),
    imports=(
        RequestForm(
            value=dialnexa.ImportSipTrunk,
            takes={**_NUMBER, **_DIALNEXA_TRUNK, "label": "nickname"},
            needs=("phone_number", "termination_uri"),
        ),
    ),
    update=RequestForm(
        value=dialnexa.UpdatePhoneNumber,
        takes={"label": "nickname", "inbound_agent_id": "agent_id", "accounting_label": "label"},
    ),
    key="id",
    shown=(
        ("label", "nickname"),
        ("inbound_agent_id", "inbound_agent_id"),  # a response has the agent under either name
        ("inbound_agent_id", "agent_id"),
        ("accounting_label", "label"),
    ),
)

VENDORS: Final[Mapping[str, VendorSchema]] = {
    each.platform: each for each in (_SIGMAMIND, _VERBEX, _DIALNEXA)
}
