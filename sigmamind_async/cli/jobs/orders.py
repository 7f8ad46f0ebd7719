"""``numbers buy`` and ``numbers import``: fleets that are made of a command line.

An order is a fleet file, written before anything is bought. Its name is in the id of each of its
rows, so the journal beside it knows every number that the order has bought, and the same order
never buys one twice, whatever ends a run. Without its name, the same command again stops: it could
mean the order that is there, or as many numbers again.
"""

from __future__ import annotations

import json
import re
import secrets
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import attrs

from sigmamind_async.cli.atomic_write import new_file
from sigmamind_async.cli.command_line import resume_command
from sigmamind_async.cli.errors import CommandError, Exit
from sigmamind_async.cli.fleet_input import FleetInput
from sigmamind_async.cli.jobs.fleet import apply_fleet
from sigmamind_async.cli.jobs.numbers import Account, option_of
from sigmamind_async.cli.journal_location import FileJournal
from sigmamind_async.cli.options import (
    OutputOptions,
    PlatformName,
    RequestOptions,
    SettlementOptions,
    SpendingOptions,
)
from sigmamind_async.cli.output.console import Output
from sigmamind_async.cli.output.events import OrderPlaced
from sigmamind_async.cli.runtime import run
from sigmamind_async.fleet.load import fleet_of
from sigmamind_async.fleet.spec import Cell, Fleet, FleetRow, Source
from sigmamind_async.fleet.step import creation_id
from sigmamind_async.secret_references import SecretResolver

_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}", re.ASCII)
"""Of an order: nothing that a spreadsheet takes for a number or a date."""
_LETTERS: Final = "bcdfghjkmnpqrstvwxz"
_AREA_CODE: Final = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)

# ---------------------------------------------------------------- orders


@attrs.frozen(kw_only=True)
class Order:
    """Numbers to buy, all of one kind."""

    platform: PlatformName
    count: int
    fields: Mapping[str, Cell]

    @classmethod
    def of(cls, platform: PlatformName, count: int, options: Mapping[str, str | None]) -> Order:
        """Return the order that *options* say; raise `CommandError` for what cannot be bought."""
        fields: dict[str, Cell] = {name: text for name, text in options.items() if text is not None}
        area_code = options.get("area_code")
        if area_code is not None:
            if not _AREA_CODE.fullmatch(area_code):
                raise CommandError("--area-code: must be digits, without a leading 0")
            fields["area_code"] = int(area_code)
        order = cls(platform=platform, count=count, fields=fields)
        _check(order.fleet("order"))
        return order

    def fleet(self, name: str) -> Fleet:
        """Return the order called *name* as a fleet."""
        return fleet_of(
            FleetRow(
                id=f"{name}-{place}",
                platform=self.platform,
                source=Source.PURCHASE,
                fields=self.fields,
                line=place,
            )
            for place in range(1, self.count + 1)
        )

    def lines(self, name: str) -> list[dict[str, object]]:
        """Return the rows of the order called *name*, as its file has them."""
        return [
            {"id": row.id, "platform": row.platform, "source": row.source.value, **row.fields}
            for row in self.fleet(name).rows
        ]


def buy_numbers(
    order: Order,
    name: str | None,
    *,
    spending: SpendingOptions,
    settlement: SettlementOptions,
    request: RequestOptions,
    options: OutputOptions,
) -> int:
    """Buy the numbers of *order*; with the *name* of an order that has begun, go on with it."""
    name = _new_order(order) if name is None else _named_order(order, name)
    file = _file_of(name)
    resume = _command_for(name)
    Output.of_process(json=options.json).show(
        OrderPlaced(
            name=name, platform=order.platform, count=order.count, file=file, resume=resume
        )
    )
    return apply_fleet(
        FleetInput(
            name=file,
            place=FileJournal.beside(file, None),
            fleet=order.fleet(name),
            references=SecretResolver(),
        ),
        spending=spending,
        settlement=settlement,
        request=request,
        output=options,
        resume=resume,
    )


def _file_of(name: str) -> str:
    return f"order-{name}.jsonl"


def _command_for(name: str) -> str:
    """Return the command of this run for the order called *name*."""
    words = shlex.split(resume_command())
    if "--order" in words:
        at = words.index("--order")
        del words[at : at + 2]
    words = [word for word in words if not word.startswith("--order=")]
    return shlex.join([*words, "--order", name])


def _named_order(order: Order, name: str) -> str:
    """Return *name*, and write its file where there is none yet."""
    if not _NAME.fullmatch(name):
        raise CommandError(
            f"--order: {name!r} is no name for an order: a letter, then letters, digits, - and _"
        )
    path = Path(_file_of(name))
    if not path.exists():
        _write(order, name)
    elif _read_lines(path) != order.lines(name):
        raise CommandError(
            f"{path} is another order, or was edited: choose another name, or run"
            f" sigmamind apply {path}; nothing was sent"
        )
    return name


def _new_order(order: Order) -> str:
    """Return the name of an order of which nothing has been sent.

    Raises `CommandError` where this folder has the same order already, and it has begun.
    """
    same = _same_orders(order)
    for name in same:
        if (bought := run(_count_purchases(order, name))) is not None:
            raise CommandError(_ambiguous(order, name, bought))
    if same:
        return same[0]  # it was not agreed to, or ended before its first request
    name = "".join(secrets.choice(_LETTERS) for _ in range(8))
    _write(order, name)
    if _same_orders(order) != [name]:  # of two processes, one at least sees the other
        Path(_file_of(name)).unlink()
        raise CommandError("another process has just made the same order; nothing was sent")
    return name


def _ambiguous(order: Order, name: str, bought: int) -> str:
    numbers = "number is" if order.count == 1 else "numbers are"
    more = "another one" if order.count == 1 else f"{order.count} more"
    new = "".join(secrets.choice(_LETTERS) for _ in range(8))
    return (
        f"{_file_of(name)} is the same order, and {bought} of its {order.count} {numbers} bought."
        f" To go on with it: {_command_for(name)}. To buy {more}: {_command_for(new)}."
        " Nothing was sent"
    )


def _same_orders(order: Order) -> list[str]:
    """Return the names of the orders in this folder that buy the same numbers."""
    names = [path.stem.removeprefix("order-") for path in sorted(Path().glob("order-*.jsonl"))]
    return [name for name in names if _read_lines(Path(_file_of(name))) == order.lines(name)]


def _read_lines(path: Path) -> list[object] | None:
    """Return what is on each line of *path*; `None` for a file that no order has written."""
    try:
        return [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    except (OSError, ValueError, RecursionError):
        return None


def _write(order: Order, name: str) -> None:
    lines = [json.dumps(line, ensure_ascii=False) + "\n" for line in order.lines(name)]
    with new_file(Path(_file_of(name))) as stream:
        stream.write("".join(lines).encode())


async def _count_purchases(order: Order, name: str) -> int | None:
    """Return how many numbers the order has bought, or may have; `None` if nothing was sent."""
    place = FileJournal.beside(_file_of(name), None)
    if not place.exists():
        return None
    async with place.opened(read_only=True) as journal:
        counts = await journal.counts(order.platform)
    return counts.purchase_count if any(counts.rows.values()) else None


# ---------------------------------------------------------------- imports


def import_number(
    number: str,
    platform: PlatformName,
    options: Mapping[str, str | None],
    journal: Path,
    *,
    request: RequestOptions,
    output: OutputOptions,
) -> int:
    """Import *number*, unless the account has it already."""
    row = FleetRow(
        id=f"{platform}:{number}",
        platform=platform,
        source=Source.IMPORT,
        fields={"phone_number": number, **{k: v for k, v in options.items() if v is not None}},
    )
    fleet = fleet_of([row])
    _check(fleet)
    place = FileJournal(str(journal), journal)
    if not run(_has_begun(place, row)):
        account = Account.of(platform, request)
        found = run(account.find_once(number))
        if found is not None:
            shown = Output.of_process(json=output.json)
            shown.show(found)
            shown.remark(f"{number} is in the {platform} account already; nothing was sent")
            return Exit.DONE
    return apply_fleet(
        FleetInput(name=number, place=place, fleet=fleet, references=SecretResolver()),
        spending=SpendingOptions(),
        settlement=SettlementOptions(),
        request=request,
        output=output,
        resume=resume_command(),
    )


async def _has_begun(place: FileJournal, row: FleetRow) -> bool:
    """Return whether the journal has sent the import of *row*."""
    if not place.exists():
        return False
    async with place.opened(read_only=True) as journal:
        stored: Any = await journal.get(row.platform, creation_id(row.id, 1))
        return stored is not None or row.id in await journal.last_applied()


def _check(fleet: Fleet) -> None:
    """Raise `CommandError` where a fleet made of options has problems."""
    for problem in fleet.problems:
        option = _OPTIONS.get(problem.field, option_of(problem.field)) if problem.field else ""
        raise CommandError(f"{option}: {problem.message}" if option else problem.message)


_OPTIONS: Final = {"country_code": "--country", "phone_number": "NUMBER"}
