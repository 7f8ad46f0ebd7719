"""What an account holds on any platform, and how a change is made to it.

Operations decide; this applies. Every change arrives as the plain JSON that is also written
to the state file, so a restarted sandbox reaches the same account by the same code.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Generic, Protocol, TypeVar, cast

import attrs

from sigmamind_async.sandbox.chance import draw_token
from sigmamind_async.sandbox.messages import ApiRequest, Change
from sigmamind_async.sandbox.refusals import RefusedError
from sigmamind_async.sandbox.stock import choose_number


class Held(Protocol):
    """A number held by an account."""

    @property
    def key(self) -> str:
        """What the platform knows it by: the number itself, or the id of the record."""
        ...

    @property
    def phone_number(self) -> str:
        """The number, with its plus sign."""
        ...

    @property
    def created_at(self) -> float:
        """Epoch seconds."""
        ...


T = TypeVar("T")
RecordT = TypeVar("RecordT", bound=attrs.AttrsInstance)
NumberT = TypeVar("NumberT", bound=Held)


@attrs.define
class Account(Generic[NumberT]):
    """Live state of a platform."""

    kind: type[NumberT]
    seed: int = 0
    share: int = 0
    """Which of the numbers for sale the platform sells; see `stock.SHARES`."""
    numbers: dict[str, NumberT] = attrs.field(factory=dict[str, NumberT])
    """By key, oldest first."""
    secrets: dict[str, str | None] = attrs.field(factory=dict[str, str | None], repr=False)
    """The one secret of a number by its key. Memory only: gone after a restart."""
    sold: set[str] = attrs.field(factory=set[str])
    """Every number ever bought or imported."""
    purchases: int = 0
    made: int = 0
    """Records ever made."""
    _holding: Counter[str] = attrs.field(factory=Counter[str])
    """Records by phone number."""

    def apply(self, change: Change) -> None:
        """Make *change*."""
        self.replay(change.state)
        self.secrets.update(change.secrets)

    def replay(self, state: Mapping[str, object]) -> None:
        """Make the change that *state* describes."""
        appliers = self.appliers()
        for name, content in state.items():
            appliers[name](content)

    def appliers(self) -> Mapping[str, Callable[[object], None]]:
        """Return what makes each part of a change."""
        return {
            "number": self.put_number,
            "purchase": self.count_purchase,
            "released": self.drop_number,
        }

    def visible(self, call: ApiRequest) -> list[NumberT]:
        """Return the numbers a read may show, oldest first."""
        newest = call.now - call.list_lag
        return [number for number in self.numbers.values() if number.created_at <= newest]

    def number(self, call: ApiRequest) -> NumberT:
        """Return the number named in the path; raises :class:`RefusedError` without one."""
        number = self.numbers.get(call.route.key or "")
        if number is None:
            raise RefusedError(404, "Phone number not found")
        return number

    def visible_number(self, call: ApiRequest) -> NumberT:
        """Return the number named in the path if a read may show it already."""
        number = self.number(call)
        if number.created_at + call.list_lag > call.now:
            raise RefusedError(404, "Phone number not found")
        return number

    def check_free(self, call: ApiRequest, phone_number: str) -> None:
        """Refuse a number already held, unless the switch lets it be taken again."""
        if self._holding[phone_number] and call.switches.duplicates == "reject":
            # The words of DialNexa, the only ones that are documented: "Link SIP Trunk", 409.
            raise RefusedError(409, "Phone number already registered")

    def check_balance(self, call: ApiRequest) -> None:
        """Refuse a purchase that the switch leaves no money for."""
        most = call.switches.max_purchases
        if most is not None and self.purchases >= most:
            raise RefusedError(402, "The balance does not cover this purchase")

    def next_id(self, length: int, what: str = "phone_number") -> str:
        """Return so many hexadecimal digits for the id of the next record."""
        return draw_token(self.seed, length, what, self.made)

    def pick(self, country: str, area_code: int | None = None) -> str:
        """Return the number to sell next; raises :class:`RefusedError` without stock."""
        number = choose_number(
            country,
            area_code,
            seed=self.seed,
            count=self.purchases,
            taken=self.sold,
            share=self.share,
        )
        if number is None:
            # Undocumented: what a platform answers when a country has no stock.
            raise RefusedError(400, f"No phone number is available in {country}")
        return number

    def clear(self) -> None:
        """Forget everything."""
        self.numbers.clear()
        self.secrets.clear()
        self.sold.clear()
        self._holding.clear()
        self.purchases = self.made = 0

    def put_number(self, content: object) -> None:
        """Add or replace a number."""
        number = restored(self.kind, content)
        if number.key not in self.numbers:
            self.made += 1
            self._holding[number.phone_number] += 1
        self.numbers[number.key] = number
        self.sold.add(number.phone_number)

    def count_purchase(self, content: object) -> None:
        """Count a purchase; the count decides which number is sold next."""
        del content
        self.purchases += 1

    def drop_number(self, content: object) -> None:
        """Release a number."""
        number = self.numbers.pop(str(content), None)
        if number is not None:
            self._holding[number.phone_number] -= 1
        self.secrets.pop(str(content), None)


def releasing(number: Held) -> Change:
    """Return the change that takes *number* from its account."""
    return Change(
        kind="release",
        record_id=None if number.key == number.phone_number else number.key,
        phone_number=number.phone_number,
        friendly_name=None,
        body={},
        state={"released": number.key},
    )


def changed(record: RecordT, values: Mapping[str, object]) -> RecordT:
    """Return *record* with other *values*."""
    return restored(type(record), {**attrs.asdict(record), **values})


def restored(kind: type[T], content: object) -> T:
    """Return the value that *content* was made of."""
    return kind(**cast("dict[str, object]", content))
