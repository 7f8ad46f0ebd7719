"""What the commands know of each platform, as one table. Nothing else asks which one it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Literal, TypeAlias

import attrs
from cyclopts import Parameter

from sigmamind_async.cli.columns import KEY_COLUMN, OWN_COLUMNS, Column, RowKind, Value, columns_of
from sigmamind_async.cli.output.events import NumberRecord, NumberReleased
from sigmamind_async.platforms.dialnexa import models as dialnexa
from sigmamind_async.platforms.dialnexa.client import DialNexa
from sigmamind_async.platforms.sigmamind import models as sigmamind
from sigmamind_async.platforms.sigmamind.client import SigmaMind
from sigmamind_async.platforms.verbex import models as verbex
from sigmamind_async.platforms.verbex.client import Verbex

AnyClient: TypeAlias = SigmaMind | Verbex | DialNexa

PlatformName: TypeAlias = Literal["sigmamind", "verbex", "dialnexa"]
DEFAULT: Final = "sigmamind"

PlatformOption = Annotated[PlatformName, Parameter(name="--platform", help="Whose numbers.")]


def _actions(platform: Platform) -> tuple[str, ...]:
    return tuple(dict.fromkeys(kind.action for kind in platform.kinds))


def _known(platform: Platform) -> frozenset[str]:
    choosing = [kind.where[0] for kind in platform.kinds if kind.where is not None]
    return frozenset(OWN_COLUMNS).union(choosing, *(kind.columns for kind in platform.kinds))


def _number_columns(platform: Platform) -> frozenset[str]:
    return _columns_that(lambda column: column.is_number, platform)


def _flag_columns(platform: Platform) -> frozenset[str]:
    return _columns_that(lambda column: column.is_flag, platform)


def _columns_that(hold: Callable[[Column], bool], platform: Platform) -> frozenset[str]:
    columns = (pair for kind in platform.kinds for pair in kind.columns.items())
    return frozenset(name for name, column in columns if hold(column))


@attrs.frozen(kw_only=True, eq=False)
class Platform:
    """One platform, as the commands see it."""

    client: type[SigmaMind | Verbex | DialNexa]
    kinds: tuple[RowKind, ...]
    """The kinds of rows that can be applied."""
    key: str
    """Column that names a number to the platform: the number itself, or its record's id."""
    label: str
    """Column of the label that people see."""
    options: Mapping[str, str]
    """Column of each option that ``numbers update`` takes here."""
    update: type[Value]
    get: type[Value]
    release: type[Value]
    shown: Callable[[Any], NumberRecord]
    """Returns what is shown of a number: known fields only, for others may hold secrets."""
    page_size: int
    """The most numbers that one page of a listing holds."""

    actions: tuple[str, ...] = attrs.field(
        default=attrs.Factory(_actions, takes_self=True), init=False
    )
    """The words of the column ``action``."""
    known: frozenset[str] = attrs.field(
        default=attrs.Factory(_known, takes_self=True), init=False, repr=False
    )
    """Every column that some row takes."""
    number_columns: frozenset[str] = attrs.field(
        default=attrs.Factory(_number_columns, takes_self=True), init=False, repr=False
    )
    flag_columns: frozenset[str] = attrs.field(
        default=attrs.Factory(_flag_columns, takes_self=True), init=False, repr=False
    )

    @property
    def name(self) -> str:
        """Its name on the command line."""
        return self.client.platform.name

    @property
    def words(self) -> tuple[str, ...]:
        """What a further command of the same platform is told; nothing for the default one."""
        return () if self.name == DEFAULT else ("--platform", self.name)

    @property
    def flag(self) -> str:
        """The same as text behind a command."""
        return "".join(f" {word}" for word in self.words)

    @property
    def key_variable(self) -> str:
        """The environment variable that holds the API key."""
        return f"{self.client.platform.env_prefix}_API_KEY"

    @property
    def url_variable(self) -> str:
        """The environment variable that holds another address than the platform's own."""
        return f"{self.client.platform.env_prefix}_BASE_URL"

    @property
    def keyed_by_number(self) -> bool:
        """Whether the platform knows a number by the number itself."""
        return self.key == "phone_number"

    def request(self, value: type[Value], key: str, **fields: object) -> Value:
        """Return the *value* of one number that is there already."""
        make: Callable[..., Value] = value
        return make(**{columns_of(value)[self.key].field.name: key}, **fields)

    def released(self, key: str) -> NumberReleased:
        """Return the record of a released number that went by *key*."""
        if self.keyed_by_number:
            return NumberReleased(phone_number=key)
        return NumberReleased(record_id=key)

    def kinds_of(self, action: object) -> tuple[RowKind, ...]:
        """Return the kinds of rows with *action*; none for a word that is no action here."""
        return tuple(kind for kind in self.kinds if kind.action == action)


# ---------------------------------------------------------------- the table


def _sigmamind_record(number: sigmamind.PhoneNumber) -> NumberRecord:
    return NumberRecord(
        phone_number=number.sip_phone_number,
        provider=number.provider,
        label=number.friendly_name,
        inbound_agent_id=number.inbound_agent_id,
        outbound_agent_id=number.outbound_agent_id,
        test_number=number.outbound_phone_number,
        termination_uri=number.termination_sip_uri,
        active=number.active,
    )


def _verbex_record(number: verbex.PhoneNumber) -> NumberRecord:
    trunk = number.sip_termination_uri if isinstance(number, verbex.SipPhoneNumber) else None
    return NumberRecord(
        phone_number=number.phone_number,
        record_id=number.id,
        provider=number.provider,
        label=number.friendly_name,
        inbound_agent_id=number.inbound_agent_id,
        outbound_agent_id=number.outbound_agent_id,
        termination_uri=trunk,
    )


def _dialnexa_record(number: dialnexa.PhoneNumber) -> NumberRecord:
    return NumberRecord(
        phone_number=number.phone_number,
        record_id=number.id,
        provider=number.provider,
        label=number.nickname,
        inbound_agent_id=number.routed_agent_id,
        active=None if number.status is None else number.status == dialnexa.ACTIVE,
    )


_SIGMAMIND = Platform(
    client=SigmaMind,
    kinds=(
        RowKind(action="create", value=sigmamind.CreatePhoneNumber, spends=True),
        RowKind(action="import", value=sigmamind.ImportPhoneNumber),
        RowKind(action="update", value=sigmamind.UpdatePhoneNumber),
    ),
    key="phone_number",
    label="friendly_name",
    options={
        "friendly_name": "friendly_name",
        "inbound_agent_id": "inbound_agent_id",
        "outbound_agent_id": "outbound_agent_id",
        "outbound_phone_number": "outbound_phone_number",
        "termination_sip_uri": "termination_sip_uri",
        "trunk_username": "trunk_username",
        "trunk_password": "trunk_password",
    },
    update=sigmamind.UpdatePhoneNumber,
    get=sigmamind.GetPhoneNumber,
    release=sigmamind.DeletePhoneNumber,
    shown=_sigmamind_record,
    page_size=1000,
)

_VERBEX = Platform(
    client=Verbex,
    kinds=(
        RowKind(action="create", where=("provider", verbex.SIP), value=verbex.CreateSipPhoneNumber),
        RowKind(
            action="create",
            where=("provider", verbex.PIA),
            value=verbex.CreatePiaPhoneNumber,
            spends=True,
        ),
        RowKind(
            action="create", where=("provider", verbex.TWILIO), value=verbex.CreateTwilioPhoneNumber
        ),
        RowKind(action="update", value=verbex.UpdatePhoneNumber),
    ),
    key=KEY_COLUMN,
    label="friendly_name",
    options={
        "friendly_name": "friendly_name",
        "inbound_agent_id": "inbound_agent_id",
        "outbound_agent_id": "outbound_agent_id",
        "termination_sip_uri": "sip_termination_uri",
        "trunk_username": "sip_trunk_username",
        "trunk_password": "sip_trunk_password",
    },
    update=verbex.UpdatePhoneNumber,
    get=verbex.GetPhoneNumber,
    release=verbex.DeletePhoneNumber,
    shown=_verbex_record,
    page_size=100,
)

_DIALNEXA = Platform(
    client=DialNexa,
    kinds=(
        RowKind(action="purchase", value=dialnexa.PurchasePhoneNumber, spends=True),
        RowKind(action="import", value=dialnexa.ImportSipTrunk),
        RowKind(action="update", value=dialnexa.UpdatePhoneNumber),
    ),
    key=KEY_COLUMN,
    label="nickname",
    options={"friendly_name": "nickname", "inbound_agent_id": "agent_id"},
    update=dialnexa.UpdatePhoneNumber,
    get=dialnexa.GetPhoneNumber,
    release=dialnexa.ReleasePhoneNumber,
    shown=_dialnexa_record,
    page_size=100,
)

PLATFORMS: Final[Mapping[str, Platform]] = {
    platform.name: platform for platform in (_SIGMAMIND, _VERBEX, _DIALNEXA)
}
