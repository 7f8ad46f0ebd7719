"""What became of rows in doubt, and whether what the rows were told is the truth. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import attrs

from sigmamind_async.cli.records import RowResult, Verdict
from sigmamind_async.cli.rows import Row
from sigmamind_async.platforms.sigmamind.models import PhoneNumber


@attrs.frozen
class Told:
    """A row, and how it was said to have ended."""

    row: Row
    result: RowResult

    @property
    def label(self) -> str:
        """The label that the row asks for, its own among all rows."""
        return self.row.label


def settled(told: Told, found: Iterable[PhoneNumber]) -> Told:
    """Return a row in doubt as the account's numbers show it: done, or certainly not."""
    match = next((number for number in found if _shows(number, told)), None)
    if match is None:
        return Told(told.row, attrs.evolve(told.result, status="skipped", fault=None))
    result = attrs.evolve(
        told.result, status="done", fault=None, phone_number=match.sip_phone_number
    )
    return Told(told.row, result)


def _shows(number: PhoneNumber, told: Told) -> bool:
    """Return whether *number* is what carrying out the row would have left behind."""
    named = told.row.phone_number
    return number.friendly_name == told.label and named in {None, number.sip_phone_number}


Commits = Mapping[str, Sequence[str]]
"""Numbers that the platform bought, imported or changed, by the label they were given."""


def judge(told: Iterable[Told], commits: Commits) -> Verdict:
    """Hold what the rows were told against what the platform did."""
    rows = list(told)
    purchases = [each for each in rows if each.row.spends]
    bought = [commits.get(each.label, ()) for each in purchases]
    return Verdict(
        asked_to_buy=len(purchases),
        bought=sum(len(numbers) for numbers in bought),
        bought_twice=sum(len(numbers) > 1 for numbers in bought),
        told_wrong=sum(_is_wrong(each, commits.get(each.label, ())) for each in rows),
        unaccounted=sum(each.result.status == "unknown" for each in rows),
    )


def _is_wrong(told: Told, numbers: Sequence[str]) -> bool:
    if told.result.status == "unknown":
        return False
    if told.result.status == "done":
        return told.result.phone_number not in numbers
    return bool(numbers)
