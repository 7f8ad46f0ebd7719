"""What the commands know of each platform, as one table. Nothing else asks which one it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Literal, TypeAlias

import attrs
from cyclopts import Parameter

from sigmamind_async.cli.columns import OWN_COLUMNS, Column, RowKind, Value
from sigmamind_async.cli.output.events import NumberRecord
from sigmamind_async.fleet.vendor_schema import VendorSchema
from sigmamind_async.fleet.vendors import VENDORS
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
    get: type[Value]
    is_active: Callable[[Any], bool | None] = lambda _: None
    """Returns whether a record is in service; `None` where records do not show it."""

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
    def schema(self) -> VendorSchema:
        """What the platform takes and shows, in the words of a fleet."""
        return VENDORS[self.name]

    @property
    def keyed_by_number(self) -> bool:
        """True if requests name a number by the number itself, and not by an id of its record."""
        return self.schema.key == "phone_number"

    def number(self, record: Any) -> NumberRecord:  # noqa: ANN401 - a record of any platform
        """Return what is shown of *record*: known fields only, because others may hold secrets."""
        found = self.schema.read_number(record)
        shown = found.shown.get
        return NumberRecord(
            platform=self.name,
            phone_number=found.phone_number or None,
            record_id=None if self.keyed_by_number else found.record,
            provider=record.provider,
            active=self.is_active(record),
            label=shown("label"),
            inbound_agent_id=shown("inbound_agent_id"),
            outbound_agent_id=shown("outbound_agent_id"),
            test_number=shown("test_number"),
            termination_uri=shown("termination_uri"),
        )

    def kinds_of(self, action: object) -> tuple[RowKind, ...]:
        """Return the kinds of rows with *action*; none for a word that is no action here."""
        return tuple(kind for kind in self.kinds if kind.action == action)


# ---------------------------------------------------------------- the table


def _is_active_on_dialnexa(record: dialnexa.PhoneNumber) -> bool | None:
    return None if record.status is None else record.status == dialnexa.ACTIVE


_SIGMAMIND = Platform(
    client=SigmaMind,
    kinds=(
        RowKind(action="create", value=sigmamind.CreatePhoneNumber, spends=True),
        RowKind(action="import", value=sigmamind.ImportPhoneNumber),
        RowKind(action="update", value=sigmamind.UpdatePhoneNumber),
    ),
    get=sigmamind.GetPhoneNumber,
    is_active=lambda record: record.active,
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
    get=verbex.GetPhoneNumber,
)

_DIALNEXA = Platform(
    client=DialNexa,
    kinds=(
        RowKind(action="purchase", value=dialnexa.PurchasePhoneNumber, spends=True),
        RowKind(action="import", value=dialnexa.ImportSipTrunk),
        RowKind(action="update", value=dialnexa.UpdatePhoneNumber),
    ),
    get=dialnexa.GetPhoneNumber,
    is_active=_is_active_on_dialnexa,
)

PLATFORMS: Final[Mapping[str, Platform]] = {
    platform.name: platform for platform in (_SIGMAMIND, _VERBEX, _DIALNEXA)
}
