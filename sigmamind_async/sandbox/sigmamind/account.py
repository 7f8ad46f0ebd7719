"""What one SigmaMind account holds, and how a change is made to it.

Operations decide; this applies. Every change arrives as the plain JSON that is also written
to the state file, so a restarted sandbox reaches the same account by the same code.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar, cast

import attrs

from sigmamind_async.sandbox.sigmamind.records import AGENTS, Agent, PhoneCall, PhoneNumber
from sigmamind_async.sandbox.sigmamind.rules import E164, RefusedError
from sigmamind_async.sandbox.tower import Call

T = TypeVar("T")


@attrs.define
class Account:
    """Live state of the platform."""

    numbers: dict[str, PhoneNumber] = attrs.field(factory=dict[str, PhoneNumber])
    calls: dict[str, PhoneCall] = attrs.field(factory=dict[str, PhoneCall])
    agents: Mapping[str, Agent] = attrs.field(factory=lambda: {a.agent_id: a for a in AGENTS})
    passwords: dict[str, str] = attrs.field(factory=dict[str, str], repr=False)
    """Trunk passwords by number. Memory only: gone after a restart."""
    sold: set[str] = attrs.field(factory=set[str])
    """Every number ever bought or imported."""
    purchases: int = 0
    calls_made: int = 0

    def apply(self, state: Mapping[str, object]) -> None:
        """Make the change that *state* describes."""
        for name, content in state.items():
            _APPLY[name](self, content)

    def keep_passwords(self, passwords: Mapping[str, str]) -> None:
        """Remember trunk passwords; nothing but ``Switches.echo_secrets`` ever shows them."""
        self.passwords.update(passwords)

    def visible(self, call: Call) -> list[PhoneNumber]:
        """Return the numbers a read may show, oldest first."""
        newest = call.now - call.list_lag
        return [number for number in self.numbers.values() if number.created_at <= newest]

    def number(self, call: Call) -> PhoneNumber:
        """Return the number named in the path; raises :class:`RefusedError` without one."""
        key = call.route.key or ""
        if not E164.fullmatch(key):
            raise RefusedError(400, f"phoneNumber must match ^{E164.pattern}$")
        if key not in self.numbers:
            raise RefusedError(404, "Phone number not found")
        return self.numbers[key]

    def check_agents(self, call: Call, *agent_ids: str | None) -> None:
        """Refuse an agent the account does not have, where the switch says so."""
        if not call.switches.check_agents:
            return
        for agent_id in agent_ids:
            if agent_id is not None and agent_id not in self.agents:
                raise RefusedError(400, f"Agent {agent_id} does not exist")

    def clear(self) -> None:
        """Forget everything but the agents."""
        self.numbers.clear()
        self.calls.clear()
        self.passwords.clear()
        self.sold.clear()
        self.purchases = self.calls_made = 0

    def put_number(self, content: object) -> None:
        """Add or replace a number."""
        number = _restored(PhoneNumber, content)
        self.numbers[number.phone_number] = number
        self.sold.add(number.phone_number)

    def count_purchase(self, content: object) -> None:
        """Count a purchase; the count decides which number is sold next."""
        del content
        self.purchases += 1

    def drop_number(self, content: object) -> None:
        """Release a number."""
        self.numbers.pop(str(content), None)
        self.passwords.pop(str(content), None)

    def put_call(self, content: object) -> None:
        """Add a call."""
        call = _restored(PhoneCall, content)
        self.calls[call.call_id] = call
        self.calls_made += 1

    def drop_call(self, content: object) -> None:
        """Forget a call."""
        self.calls.pop(str(content), None)


_APPLY = {
    "number": Account.put_number,
    "purchase": Account.count_purchase,
    "released": Account.drop_number,
    "call": Account.put_call,
    "removed_call": Account.drop_call,
}


def _restored(kind: type[T], content: object) -> T:
    return kind(**cast("dict[str, object]", content))
