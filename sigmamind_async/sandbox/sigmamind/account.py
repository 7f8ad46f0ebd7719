"""What one SigmaMind account holds beside its numbers: agents and calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Self

import attrs

from sigmamind_async.sandbox.account import Account, restored
from sigmamind_async.sandbox.fields import E164
from sigmamind_async.sandbox.messages import ApiRequest
from sigmamind_async.sandbox.refusals import RefusedError
from sigmamind_async.sandbox.sigmamind.records import AGENTS, Agent, PhoneCall, PhoneNumber


@attrs.define
class SigmaMindAccount(Account[PhoneNumber]):
    """Live state of the platform."""

    calls: dict[str, PhoneCall] = attrs.field(factory=dict[str, PhoneCall])
    agents: Mapping[str, Agent] = attrs.field(factory=lambda: {a.agent_id: a for a in AGENTS})
    calls_made: int = 0

    @classmethod
    def empty(cls, seed: int) -> Self:
        """Return an account without numbers."""
        return cls(PhoneNumber, seed)

    @property
    def passwords(self) -> dict[str, str]:
        """Trunk passwords by number."""
        return {number: secret for number, secret in self.secrets.items() if secret is not None}

    def appliers(self) -> Mapping[str, Callable[[object], None]]:
        """Return what makes each part of a change."""
        own = {"call": self.put_call, "removed_call": self.drop_call}
        return {**super().appliers(), **own}

    def number(self, call: ApiRequest) -> PhoneNumber:
        """Return the number named in the path; raises :class:`RefusedError` without one."""
        if not E164.fullmatch(call.route.key or ""):
            raise RefusedError(400, f"phoneNumber must match ^{E164.pattern}$")
        return super().number(call)

    def check_agents(self, call: ApiRequest, *agent_ids: str | None) -> None:
        """Refuse an agent the account does not have, where the switch says so."""
        if not call.switches.check_agents:
            return
        for agent_id in agent_ids:
            if agent_id is not None and agent_id not in self.agents:
                raise RefusedError(400, f"Agent {agent_id} does not exist")

    def clear(self) -> None:
        """Forget everything but the agents."""
        super().clear()
        self.calls.clear()
        self.calls_made = 0

    def put_call(self, content: object) -> None:
        """Add a call."""
        call = restored(PhoneCall, content)
        self.calls[call.call_id] = call
        self.calls_made += 1

    def drop_call(self, content: object) -> None:
        """Forget a call."""
        self.calls.pop(str(content), None)
