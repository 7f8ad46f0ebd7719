"""The numbers of an account, listed, and shown, changed or released one at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Coroutine, Iterable, Mapping
from typing import Any, Final, TypeVar, cast

import attrs

from sigmamind_async.cli.accounts import (
    PLATFORMS,
    AnyClient,
    Platform,
    choose_platforms,
    client_of,
    describe_account,
)
from sigmamind_async.cli.errors import CommandError, Exit
from sigmamind_async.cli.loop import run
from sigmamind_async.cli.options import (
    AccountOptions,
    ListOptions,
    PlatformName,
    RequestOptions,
    option_of,
)
from sigmamind_async.cli.output.console import Output
from sigmamind_async.cli.output.events import (
    AgentList,
    AgentRecord,
    NumberList,
    NumberRecord,
    NumberReleased,
    Side,
)
from sigmamind_async.cli.prompts import Approval
from sigmamind_async.errors import NotFoundError
from sigmamind_async.fleet.spec import SECRETS, Cell
from sigmamind_async.platforms.dialnexa.client import DialNexa
from sigmamind_async.platforms.sigmamind.client import SigmaMind
from sigmamind_async.secret_references import SecretReferenceError, SecretResolver

T = TypeVar("T")

# ---------------------------------------------------------------- many


def show_numbers(options: ListOptions) -> int:
    """Show the numbers of the platforms; without any, of all whose API key is set."""
    if options.unassigned and options.agent is not None:
        raise CommandError("--unassigned and --agent exclude each other")
    clients = [client_of(name, options.request) for name in choose_platforms(options.platform)]
    run(_show(clients, options, Output(json=options.json)))
    return Exit.DONE


_SIDES: Final[Mapping[tuple[bool, bool], Side]] = {
    (True, False): "inbound",
    (False, True): "outbound",
    (True, True): "both",
}


def _shown(number: NumberRecord, options: ListOptions) -> NumberRecord | None:
    """Return what is shown of *number*; `None` to leave it out."""
    agent = options.agent
    if options.unassigned:
        return None if number.inbound_agent_id else number
    if agent is None:
        return number
    side = _SIDES.get((number.inbound_agent_id == agent, number.outbound_agent_id == agent))
    return None if side is None else attrs.evolve(number, side=side)


async def _show(clients: Iterable[AnyClient], options: ListOptions, output: Output) -> None:
    """Show numbers, one account after the other: as they come to a program, or as one table."""
    together: list[NumberRecord] = []
    for client in clients:
        platform = PLATFORMS[client.platform.name]
        async with client:
            async for record in platform.schema.adapter.list_numbers(client):
                number = _shown(platform.number(record), options)
                if number is not None and output.json:
                    output.show(number)
                elif number is not None:
                    together.append(number)
                if output.closed:
                    return
    if not output.json:
        output.show(NumberList(tuple(together)))


# ---------------------------------------------------------------- agents


def show_account_agents(request: RequestOptions, *, json: bool) -> int:
    """Show the agents of the SigmaMind account: no other platform lists them."""
    client = cast("SigmaMind", client_of("sigmamind", request))

    async def read() -> list[AgentRecord]:
        async with client:
            numbers = Counter[str | None]()
            async for number in client.phone_numbers.list():
                numbers.update({number.inbound_agent_id, number.outbound_agent_id})
            return [
                AgentRecord(
                    platform="sigmamind",
                    agent_id=agent.agent_id,
                    name=agent.agent_name,
                    numbers=numbers[agent.agent_id],
                )
                async for agent in client.agents.list()
            ]

    Output(json=json).show(AgentList(tuple(run(read()))))
    return Exit.DONE


def show_one_agent(
    agent_id: str, platform: PlatformName, request: RequestOptions, *, json: bool
) -> int:
    """Show one agent."""
    client = client_of(platform, request)

    async def read() -> AgentRecord:
        async with client:
            if isinstance(client, DialNexa):
                found = await client.agents.get(agent_id)
                return AgentRecord(platform=platform, agent_id=found.id, name=found.name)
            agent = await cast("SigmaMind", client).agents.get(agent_id)
            return AgentRecord(platform=platform, agent_id=agent.agent_id, name=agent.agent_name)

    Output(json=json).show(run(read()))
    return Exit.DONE


# ---------------------------------------------------------------- one


@attrs.frozen
class AccountNumbers:
    """One account, reached through the key in the environment."""

    options: AccountOptions
    platform: Platform
    client: AnyClient
    output: Output

    @classmethod
    def of(cls, options: AccountOptions) -> AccountNumbers:
        """Return the account that *options* name."""
        client = client_of(options.platform, options.request)
        return cls(options, PLATFORMS[options.platform], client, Output(json=options.json))

    # --- commands ----------------------------------------------------------------------------

    def show(self, number: str) -> int:
        """Show one number."""
        self.output.show(self.run(self.get(number)))
        return Exit.DONE

    def update(
        self, number: str, fields: Mapping[str, str | None], clear: Mapping[str, bool]
    ) -> int:
        """Change the *fields* of one number that are not `None`, and clear those of *clear*."""
        change = _checked_change(self.platform, fields, clear)
        self.output.show(self.run(self.change(number, change)))
        return Exit.DONE

    def release(self, number: str, *, yes: bool) -> int:
        """Release one number, once that is confirmed."""
        key, platform = self.run(self.key(number)), self.platform
        account = describe_account(self.client)
        if yes:
            self.output.log(f"releasing {number} on {account}, permanently")
        Approval(yes, self.output.can_ask).check_release(f"{number} on {account}", number)
        again = AccountNumbers.of(self.options)
        again.run(again.client.run(platform.schema.adapter.release(key)))
        released = NumberReleased(
            platform=platform.name,
            phone_number=number if number.startswith("+") else None,
            record_id=None if platform.keyed_by_number else key,
        )
        self.output.show(released)
        return Exit.DONE

    # --- calls -------------------------------------------------------------------------------

    def run(self, call: Coroutine[Any, Any, T]) -> T:
        """Run *call* to its end in a new event loop."""

        async def main() -> T:
            async with self.client:
                try:
                    return await call
                except NotFoundError as error:
                    # A wrong base URL answers 404 to everything: a listing tells the two apart.
                    if ".list_" not in (error.operation or ""):
                        listing = self.platform.schema.adapter.list_numbers(self.client)
                        async for _ in listing:
                            break
                    raise

        return run(main())

    async def get(self, name: str) -> NumberRecord:
        """Return the number that goes by *name*: itself, or the id of its record."""
        if self.platform.keyed_by_number or not name.startswith("+"):
            return self.platform.number(await self.client.phone_numbers.get(name))
        found = await self.find(name)
        if found is None:
            raise CommandError(f"{name} is not in the {self.platform.name} account", Exit.FAILED)
        return found

    async def change(self, name: str, change: Mapping[str, Cell]) -> NumberRecord:
        """Change the number that goes by *name*."""
        schema = self.platform.schema
        request = schema.update.request(change, **{schema.key: await self.key(name)})
        return self.platform.number(await self.client.run(request))

    async def key(self, name: str) -> str:
        """Return what requests call the number that goes by *name*."""
        if self.platform.keyed_by_number or not name.startswith("+"):
            return name
        return (await self.get(name)).record_id or ""

    async def find(self, number: str) -> NumberRecord | None:
        """Look for *number* in a listing of the account."""
        listing = self.platform.schema.adapter.list_numbers(self.client)
        numbers = [self.platform.number(record) async for record in listing]
        found = [each for each in numbers if each.phone_number == number]
        if len(found) > 1:
            ids = " or ".join(str(each.record_id) for each in found)
            raise CommandError(f"{self.platform.name} has {number} more than once: name {ids}")
        return found[0] if found else None


def _checked_change(
    platform: Platform, fields: Mapping[str, str | None], clear: Mapping[str, bool]
) -> dict[str, Cell]:
    """Return what an update says; raise `CommandError` for what the platform does not take."""
    update = platform.schema.update
    change: dict[str, Cell] = {name: cell for name, cell in fields.items() if cell is not None}
    for name in (name for name, cleared in clear.items() if cleared):
        if name in change:
            option = option_of(name)
            raise CommandError(f"{option} and --clear-{option[2:-3]} exclude each other")
        change[name] = None
    taken = ", ".join(option_of(name) for name in fields if name in update.takes)
    if not change:
        raise CommandError(f"nothing to change: {platform.name} takes {taken}")
    for name, cell in change.items():
        if name not in update.takes:
            raise CommandError(
                f"{option_of(name)}: an update on {platform.name} does not take it; it takes"
                f" {taken}"
            )
        if name in SECRETS:
            try:
                change[name] = SecretResolver().resolve(str(cell))
            except SecretReferenceError as error:
                raise CommandError(f"{option_of(name)}: {error}") from None
        elif problem := update.check(name, cell):
            raise CommandError(f"{option_of(name)}: {problem}")
    return change
