"""What one DialNexa account holds beside its numbers: agents, which can be rerouted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Self, cast

import attrs

from sigmamind_async.sandbox.account import Account, restored
from sigmamind_async.sandbox.dialnexa.records import AGENTS, Agent, PhoneNumber
from sigmamind_async.sandbox.messages import ApiRequest
from sigmamind_async.sandbox.refusals import RefusedError


def _seeded() -> dict[str, Agent]:
    return {agent.agent_id: agent for agent in AGENTS}


@attrs.define
class DialNexaAccount(Account[PhoneNumber]):
    """Live state of the platform."""

    agents: dict[str, Agent] = attrs.field(factory=_seeded)

    @classmethod
    def empty(cls, seed: int) -> Self:
        """Return an account without numbers."""
        return cls(PhoneNumber, seed, share=2)

    def appliers(self) -> Mapping[str, Callable[[object], None]]:
        """Return what makes each part of a change."""
        return {**super().appliers(), "agent": self.put_agent, "rerouted": self.reroute}

    def agent(self, call: ApiRequest) -> Agent:
        """Return the agent named in the path; raises :class:`RefusedError` without one."""
        agent = self.agents.get(call.route.key or "")
        if agent is None:
            raise RefusedError(404, "Agent not found")
        return agent

    def put_agent(self, content: object) -> None:
        """Replace an agent."""
        agent = restored(Agent, content)
        self.agents[agent.agent_id] = agent

    def reroute(self, content: object) -> None:
        """Replace numbers that another version of an agent answers or calls from."""
        for number in cast("list[object]", content):
            self.put_number(number)

    def clear(self) -> None:
        """Forget everything but the agents as they were at first."""
        super().clear()
        self.agents = _seeded()
