"""Which of the agents that a fleet names exist, where the platform tells."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Final, TypeAlias, cast

from sigmamind_async.client import Client
from sigmamind_async.errors import APIStatusError, NotFoundError
from sigmamind_async.platforms.dialnexa.client import DialNexa
from sigmamind_async.platforms.dialnexa.models import GetAgent
from sigmamind_async.platforms.sigmamind.client import SigmaMind

Ask: TypeAlias = Callable[[Client, Collection[str]], Awaitable[frozenset[str]]]


async def _sigmamind_agents(client: Client, wanted: Collection[str]) -> frozenset[str]:
    agents = cast("SigmaMind", client).agents.list()
    ids = [agent.agent_id async for agent in agents]
    return frozenset(wanted).intersection(ids)


async def _dialnexa_agents(client: Client, wanted: Collection[str]) -> frozenset[str]:
    there: set[str] = set()
    values = [GetAgent(id=agent) for agent in wanted]
    async for outcome in cast("DialNexa", client).run_many(values):
        if outcome.status == "done":
            there.add(values[outcome.index].id)
        elif not isinstance(outcome.error, NotFoundError) and outcome.error is not None:
            raise outcome.error
    return frozenset(there)


# Verbex has no agents in its reference: what is wrong with one shows when it is written.
_ASK: Final[Mapping[str, Ask]] = {"sigmamind": _sigmamind_agents, "dialnexa": _dialnexa_agents}


async def find_agents(client: Client, wanted: Collection[str]) -> frozenset[str] | None:
    """Return those of *wanted* that exist, or `None` where the platform does not tell.

    An account may let its numbers be changed and its agents not be read.
    """
    ask = _ASK.get(client.platform.name)
    if ask is None or not wanted:
        return None
    try:
        return await ask(client, wanted)
    except APIStatusError:
        return None
