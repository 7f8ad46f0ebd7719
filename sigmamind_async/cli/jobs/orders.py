"""``numbers buy`` and ``numbers import``: fleets that are made of a command line.

An order is a fleet file, written before anything is bought. Its name is in the id of each of its
rows, so the journal beside it knows every number that the order has bought, and the same order
never buys one twice, whatever ends a run. Without its name, the same command again stops: it could
mean the order that is there, or as many numbers again.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import attrs

from sigmamind_async.cli.errors import CommandError, Exit
from sigmamind_async.cli.fleet_input import FleetInput, new_file
from sigmamind_async.cli.jobs.apply import ApplyOptions, apply_fleet
from sigmamind_async.cli.jobs.numbers import AccountNumbers
from sigmamind_async.cli.journal_location import SUFFIX, FileJournal
from sigmamind_async.cli.loop import run
from sigmamind_async.cli.options import (
    AccountOptions,
    JobOptions,
    OutputOptions,
    PlatformName,
    option_of,
    resume_command,
)
from sigmamind_async.cli.other_journals import is_gone, known_journals
from sigmamind_async.cli.output.console import Output
from sigmamind_async.cli.output.events import OrderPlaced
from sigmamind_async.fleet.load import fleet_of
from sigmamind_async.fleet.spec import FIELDS, Cell, Fleet, FleetRow, Source
from sigmamind_async.fleet.state import creation_id
from sigmamind_async.provisioning.journal.sqlite.snapshot import read_accounts
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
        if "phone_number" in fields and count > 1:
            raise CommandError("--phone-number is one number: leave --count out")
        area_code = options.get("area_code")
        if area_code is not None:
            if not _AREA_CODE.fullmatch(area_code):
                raise CommandError("--area-code: must be digits, without a leading 0")
            fields["area_code"] = int(area_code)
        order = cls(platform=platform, count=count, fields=fields)
        _check(order.fleet("order"), country_code="--country")
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


def buy_numbers(order: Order, name: str | None, options: ApplyOptions) -> int:
    """Buy the numbers of *order*; with the *name* of an order that has begun, go on with it."""
    resume = resume_command()
    if name is None:
        # Not by chance: of two processes that make the same order, both make this one.
        name = _letters(hashlib.sha256(repr(order).encode()).digest())
        resume = f"{resume} --order {name}"
        _check_begun(order, None)
    file = _order_file(order, name)
    place = _journal_of(file)
    Output(json=options.job.output.json).show(
        OrderPlaced(
            name=name,
            platform=order.platform,
            count=order.count,
            file=str(file),
            resume_command=resume,
        )
    )
    given = FleetInput(
        name=str(file), place=place, fleet=order.fleet(name), references=SecretResolver()
    )
    job, spending = options.job, options.job.spending
    if spending.yes and spending.max_purchases is None:  # the order says how many
        job = attrs.evolve(job, spending=attrs.evolve(spending, max_purchases=order.count))
    return apply_fleet(given, attrs.evolve(options, resume=resume, job=job))


def _name_of(file: Path) -> str:
    return file.stem.removeprefix("order-")


def _journal_of(file: Path) -> FileJournal:
    # Chosen by the order: it has its own journal, even if another order is just like it.
    path = Path(f"{file}{SUFFIX}")
    return FileJournal(str(file), path, chosen=path)


def _letters(values: bytes) -> str:
    return "".join(_LETTERS[value % len(_LETTERS)] for value in values[:8])


def _order_file(order: Order, name: str) -> Path:
    """Return the file of the order called *name*, made if there is none yet."""
    if not _NAME.fullmatch(name):
        raise CommandError(
            f"--order: {name!r} cannot name an order: a letter, then letters, digits, - and _"
        )
    file = Path(f"order-{name}.jsonl")
    _count_purchases(order, file)  # which raises where its journal is gone
    if not file.exists():
        _check_begun(order, file)
        with new_file(file) as stream:
            stream.writelines(json.dumps(line).encode() + b"\n" for line in order.lines(name))
    elif _read_lines(file) != order.lines(name):
        raise CommandError(
            f"{file} is another order, or was edited: give --order another name, or run"
            f" sigmamind apply {file}; nothing was sent"
        )
    return file


def _check_begun(order: Order, wanted: Path | None) -> None:
    """Raise `CommandError` where the same order has begun: under the name *wanted*, or any."""
    for file in _same_orders(order):
        if wanted is not None and file.name != wanted.name:
            continue
        bought = _count_purchases(order, file)
        if bought is None:
            continue
        numbers = "number is" if order.count == 1 else "numbers are"
        more = "another one" if order.count == 1 else f"{order.count} more"
        there = "" if file.parent == Path() else f"in {file.parent} "
        raise CommandError(
            f"{file} is the same order, and {bought} of its {order.count} {numbers} bought. To go"
            f" on with it, run this command {there}with --order {_name_of(file)}; to buy {more}, or"
            f" to buy in another account, with --order {_letters(secrets.token_bytes(8))}; nothing"
            " was sent"
        )


def _same_orders(order: Order) -> list[Path]:
    """Return the orders for the same numbers: those in this folder, and those of this user."""
    here = Path.cwd()
    known = [Path(str(path).removesuffix(SUFFIX)) for path in known_journals()]
    elsewhere = [each for each in known if each.parent != here and each.match("order-*.jsonl")]
    return [
        each
        for each in (*sorted(Path().glob("order-*.jsonl")), *elsewhere)
        if _read_lines(each) == order.lines(_name_of(each))
    ]


def _read_lines(file: Path) -> list[object] | None:
    """Return what is on each line of *file*; `None` for one that no order has written."""
    try:
        return [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    except (OSError, ValueError, RecursionError):
        return None


def _count_purchases(order: Order, file: Path) -> int | None:
    """Return how many numbers the order has bought, or may have; `None` if nothing was sent.

    Raises `CommandError` where only its journal could tell, and is gone.
    """
    place = _journal_of(file)
    if is_gone(place):
        raise CommandError(
            f"{place.name}, the journal of this order, is gone: bring it back, or give --order a"
            " new name to buy as many again; nothing was sent"
        )
    if not place.exists():
        return None
    counts, _ = read_accounts(place.path, [order.platform], ())[order.platform]
    return counts.purchase_count if any(counts.rows.values()) else None


# ---------------------------------------------------------------- numbers that you own


def import_number(
    number: str, options: AccountOptions, fields: Mapping[str, str | None], journal: Path
) -> int:
    """Import *number*, unless the account has it already."""
    platform = options.platform
    given_row = FleetRow(
        id=platform,
        platform=platform,
        source=Source.IMPORT,
        fields={
            "phone_number": number,
            **{name: text for name, text in fields.items() if text is not None},
        },
    )
    checked = fleet_of([given_row])
    _check(checked, phone_number="NUMBER")
    # One spelling of a number is one id: +1 (415) 555-0100 was +14155550100 the first time.
    number = checked.rows[0].phone_number
    row = attrs.evolve(checked.rows[0], id=f"{platform}:{number}")
    fleet = fleet_of([row])
    place = FileJournal(str(journal), journal)
    if not run(_has_begun(place, row)):
        account = AccountNumbers.of(options)
        found = account.run(account.find(number))
        if found is not None:
            account.output.show(found)
            account.output.log(f"{number} is in the {platform} account already; nothing was sent")
            return Exit.DONE
    given = FleetInput(name=number, place=place, fleet=fleet, references=SecretResolver())
    job = JobOptions(request=options.request, output=OutputOptions(json=options.json))
    return apply_fleet(given, ApplyOptions(job=job, resume=resume_command()))


async def _has_begun(place: FileJournal, row: FleetRow) -> bool:
    """Return whether the journal has sent the import of *row*."""
    if not place.exists():
        return False
    async with place.opened(read_only=True) as journal:
        stored: Any = await journal.get(row.platform, creation_id(row.id, 1))
        return stored is not None or row.id in await journal.last_applied()


def _check(fleet: Fleet, **options: str) -> None:
    """Raise `CommandError` where a fleet has problems, in the words of the command line.

    *options* are those that are not called as their fields are.
    """
    for problem in fleet.problems:
        message = re.sub(
            r"\b[a-z]+_[a-z_]+\b",
            lambda word: options.get(word[0], option_of(word[0])) if word[0] in FIELDS else word[0],
            problem.message,
        )
        option = options.get(problem.field, option_of(problem.field))
        raise CommandError(f"{option}: {message}" if problem.field else message)
