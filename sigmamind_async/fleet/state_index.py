"""A fleet and its state, looked up by row id, number and record. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from decimal import ROUND_DOWN, ROUND_HALF_UP, Context, Decimal
from functools import cached_property
from typing import Final, TypeAlias

import attrs

from sigmamind_async.fleet.spec import DesiredState, Fleet, FleetRow
from sigmamind_async.fleet.state import FleetState, LastApplied, normalize_cell
from sigmamind_async.fleet.vendors import VENDORS, RemoteNumber, VendorSchema
from sigmamind_async.provisioning.row import Row, State

_Values: TypeAlias = Mapping[str, str | int | None]
_Items: TypeAlias = frozenset[tuple[str, object]]
_NOTHING: Final[_Items] = frozenset()


@attrs.frozen(kw_only=True)
class RemovedPurchase:
    """A number that was bought, or is being bought, for a row that the fleet does not list."""

    row_id: str
    phone_number: str
    """Empty while it is not known."""
    is_alike: bool
    """True if the row that would buy has its id or its fields."""
    is_own: bool
    """True if the fleet may have lost the row."""


@attrs.frozen(slots=False)
class StateIndex:
    """A fleet and its state."""

    fleet: Fleet
    state: FleetState

    # --- rows --------------------------------------------------------------------------------

    @cached_property
    def unlisted(self) -> list[str]:
        """Ids of the journal's numbers whose row the fleet no longer has, under no other id."""
        return [row_id for row_id in self._unlisted if self._is_own(row_id)]

    @cached_property
    def _unlisted(self) -> list[str]:
        """The same of all fleets that share the journal."""
        return sorted(
            row_id
            for row_id, applied in self.state.last_applied.items()
            if applied.record
            and row_id not in self.fleet.ids
            and self.fleet.ids.isdisjoint(self._owners[applied.platform, applied.record])
        )

    # Several fleets may share a journal. The same id in two of them is the same row, so a file that
    # was renamed or copied buys nothing again. Where ids were changed as well, the rows that it
    # still lists lead to the origin of the others: one of them is enough. If there is none, a row
    # with a labelled purchase's fields, or with an id that a spreadsheet may have made of a
    # purchase's, still buys nothing. What is left is a copy under another name, all ids and labels
    # of which are new: it is another fleet, and buys its own numbers. `find_purchases` does not see
    # it either: that is about copies which have another journal.

    @cached_property
    def _origins(self) -> frozenset[str]:
        """Origins whose rows the fleet may have lost."""
        notes = (self.state.last_applied.get(row_id) for row_id in self.fleet.ids)
        return frozenset(["", self.fleet.origin, *(note.origin for note in notes if note)])

    def _is_own(self, row_id: str) -> bool:
        note = self.state.last_applied.get(row_id)
        return not self.fleet.origin or note is None or note.origin in self._origins

    @cached_property
    def claims(self) -> Mapping[tuple[str, str], str]:
        """The row that is present and names a number, by platform and number."""
        return {
            (row.platform, row.phone_number): row.id
            for row in self.fleet.rows
            if row.state is DesiredState.PRESENT and row.phone_number
        }

    # --- numbers of the accounts -------------------------------------------------------------

    @cached_property
    def _by_number(self) -> Mapping[str, Mapping[str, RemoteNumber]]:
        return {
            platform: {found.phone_number: found for found in records.values()}
            for platform, records in self.state.numbers.items()
        }

    @cached_property
    def ambiguous(self) -> frozenset[tuple[str, str]]:
        """Numbers of which an account has more than one record."""
        numbers = (each for records in self.state.numbers.values() for each in records.values())
        times = Counter((each.platform, each.phone_number) for each in numbers)
        return frozenset(number for number, count in times.items() if count > 1)

    def find_record(self, platform: str, record: str) -> RemoteNumber | None:
        """Return the number with *record*, if the account has it."""
        return self.state.numbers.get(platform, {}).get(record)

    def find_number(self, platform: str, phone_number: str) -> RemoteNumber | None:
        """Return *phone_number*, if the account has it; any one of its records if it has more."""
        # A record may lack its number: a row that names none does not mean that record.
        return self._by_number.get(platform, {}).get(phone_number) if phone_number else None

    # --- which row a number belongs to -------------------------------------------------------

    @cached_property
    def _owners(self) -> Mapping[tuple[str, str], Sequence[str]]:
        """Ids of the notes about a record.

        There are two after a run that ended while it renamed a row, and after a number was imported
        again for another row.
        """
        owners: dict[tuple[str, str], list[str]] = defaultdict(list)
        for row_id, applied in self.state.last_applied.items():
            if applied.record:
                owners[applied.platform, applied.record].append(row_id)
        return owners

    def owns(self, row: FleetRow, found: RemoteNumber) -> bool:
        """Return whether *found* was applied to *row*."""
        return row.id in self._owners.get((found.platform, found.record), ())

    def other_owner(self, row: FleetRow, found: RemoteNumber, *, listed: bool) -> str | None:
        """Return another row, *listed* by the fleet or not, that *found* was applied to."""
        owners = self._owners.get((found.platform, found.record), ())
        others = (each for each in owners if each != row.id)
        return next((each for each in others if (each in self.fleet.ids) is listed), None)

    @cached_property
    def _rows_by_number(self) -> Mapping[tuple[str, str], Sequence[str]]:
        """Ids of the fleet's rows with a note about a number."""
        rows: dict[tuple[str, str], list[str]] = defaultdict(list)
        for row_id, applied in self.state.last_applied.items():
            if applied.record and row_id in self.fleet.ids:
                rows[applied.platform, applied.phone_number].append(row_id)
        return rows

    def row_with_number(self, row: FleetRow, phone_number: str) -> str | None:
        """Return the id of another row of the fleet that had *phone_number* on its platform."""
        ids = self._rows_by_number.get((row.platform, phone_number), ())
        return next((row_id for row_id in ids if row_id != row.id), None)

    # --- purchases of rows that were removed, or renamed -------------------------------------

    @cached_property
    def _removed(self) -> Mapping[tuple[str, object], Mapping[_Items, RemovedPurchase]]:
        """The purchases of a platform that have no row, by what cannot be changed afterwards.

        They are there three times: all of them, those with certain changeable fields, and those
        whose id a spreadsheet may have rewritten to another one. Of this fleet's own ids that is
        enough, whatever else was changed in the same save.
        """
        removed: dict[tuple[str, object], dict[_Items, RemovedPurchase]] = defaultdict(dict)
        for platform, row_id, number, fields in self._removed_purchases():
            changeable, fixed = _partition(platform, fields)
            is_own, ids = self._is_own(row_id), spreadsheet_ids(row_id)
            keys: list[tuple[str, object, _Items]] = [(platform, id_, fixed) for id_ in ids]
            if is_own:
                keys = [*(("", id_, _NOTHING) for id_ in ids), (platform, None, fixed)]
            if is_own or fields.get("label"):
                keys.append((platform, changeable, fixed))
            for where, key, stated in keys:
                each = RemovedPurchase(
                    row_id=row_id, phone_number=number, is_alike=key is not None, is_own=is_own
                )
                removed[where, key].setdefault(stated, each)
        return removed

    def _removed_purchases(self) -> Iterator[tuple[str, str, str, _Values]]:
        """Yield platform, id, number and fields of each."""
        named = {(row.platform, row.phone_number) for row in self.fleet.rows}
        for row_id in self._unlisted:
            applied = self.state.last_applied[row_id]
            number = applied.platform, applied.phone_number
            there = self.find_record(applied.platform, applied.record) or self.find_number(*number)
            if applied.source == "purchase" and there and number not in named:
                yield applied.platform, row_id, number[1], applied.fields
        for row_id, pending in self.state.pending.items():
            stored = pending.row
            # One with a record is in the notes, see `refresh`; one that an operator abandoned is
            # repeated on purpose, under a new id.
            if row_id in self.fleet.ids or stored.record:
                continue
            if stored.kind.costs and stored.state is not State.ABANDONED:
                fields = request_cells(stored, VENDORS[pending.platform])
                yield pending.platform, row_id, stored.phone_number, fields

    def removed_purchase(self, row: FleetRow, *, alike: bool) -> RemovedPurchase | None:
        """Return a purchase that *row*, which would buy a number, may be the new name of.

        Every purchase that no row lists may be that, unless what can be stated only once, such as a
        country, is something else. With *alike*, only one whose other fields are the same as well,
        or whose id may be the same.
        """
        if not self._removed:
            return None
        fields = {name: normalize_cell(cell) for name, cell in row.fields.items()}
        changeable, fixed = _partition(row.platform, fields)
        platform = row.platform
        ids = [(where, id_) for id_ in spreadsheet_ids(row.id) for where in ("", platform)]
        keys: list[tuple[str, object]] = [*ids, (platform, changeable)]
        keys += [] if alike else [(platform, None)]
        found = (self._match(where, key, fixed) for where, key in keys)
        return next((each for each in found if each is not None), None)

    def _match(self, platform: str, key: object, fixed: _Items) -> RemovedPurchase | None:
        where = platform, key, fixed
        if where not in self._matches:
            groups = self._removed.get((platform, key), {}).items()
            agree = (each for before, each in groups if not _contradict(before, fixed))
            self._matches[where] = next(agree, None)
        return self._matches[where]

    @cached_property
    def _matches(self) -> dict[tuple[str, object, _Items], RemovedPurchase | None]:
        return {}  # a hundred thousand rows ask few different questions

    # --- what was done for a row -------------------------------------------------------------

    def under_way(self, row: FleetRow) -> Row | None:
        """Return the operation that may still create the number of *row*."""
        pending = self.state.pending.get(row.id)
        return pending.row if pending is not None and pending.is_under_way else None

    def last_applied(self, row: FleetRow) -> LastApplied | None:
        """Return what was applied to *row*, or what an operation created that has no note yet."""
        applied, pending = self.state.last_applied.get(row.id), self.state.pending.get(row.id)
        if applied is not None and applied.record:
            return applied
        stored = None if pending is None else pending.completed
        if pending is None or stored is None:
            return None
        vendor = VENDORS[pending.platform]
        cells = request_cells(stored, vendor).items()
        return LastApplied(
            platform=pending.platform,
            record=stored.record,
            phone_number=stored.phone_number,
            source="purchase" if stored.kind.costs else "import",
            sequence=pending.sequence,
            fields={name: cell for name, cell in cells if name not in vendor.update.takes},
        )

    def next_sequence(self, row: FleetRow) -> int:
        """Return the sequence of the row's next step; the same if its operation is under way."""
        applied, pending = self.state.last_applied.get(row.id), self.state.pending.get(row.id)
        after = 1 if applied is None else applied.sequence + 1
        if pending is None:
            return after
        # An operation that is over creates nothing when it is run again.
        return max(after, pending.sequence + (pending.completed is not None))


def request_cells(stored: Row, vendor: VendorSchema) -> dict[str, str | int | None]:
    """Return what the operation *stored* asked for, by names of fields."""
    names, fields = vendor.creation_names(stored.request_type), stored.request_fields
    return {names[name]: cell for name, cell in fields.items() if name in names}


def _partition(platform: str, fields: _Values) -> tuple[_Items, _Items]:
    """Return the *fields* that an update takes, and those that are stated once."""
    takes = VENDORS[platform].update.takes
    changeable = frozenset((name, cell) for name, cell in fields.items() if name in takes)
    fixed = frozenset(
        (name, str(cell).casefold())
        for name, cell in fields.items()
        if name not in takes and name != "phone_number" and cell is not None
    )
    return changeable, fixed


def _contradict(before: _Items, after: _Items) -> bool:
    """Return whether a field has two values; one that is stated on one side only does not."""
    stated = dict(before)
    return any(stated.get(name, cell) != cell for name, cell in after)


# --- ids that a spreadsheet rewrites ----------------------------------------------------------

_GROUPED: Final = re.compile(r"[0-9]{1,3}(?:[,' ][0-9]{3})+(?:\.[0-9]*)?", re.ASCII)
"""A number that a spreadsheet shows with its thousands apart."""
_TIME: Final = re.compile(
    r"([0-9]{1,3})(?::([0-9]{1,2})(?::([0-9]{1,2}))?)?(?: ?([ap])\.?m\.?)?", re.ASCII
)
_DATE: Final = re.compile(
    r"([0-9]{1,4}|[a-z]{3,9})(?:[-/ ]|[-/., ]{1,2}(?=.*[-/ .]))([0-9]{1,4}|[a-z]{3,9})"
    r"(?:[-/., ]{1,2}([0-9]{1,4}))?",
    re.ASCII,
)
_NO_SEPARATOR: Final = re.compile("(?<=[0-9])(?=[a-z]{3})|(?<=[a-z]{3})(?=[0-9])", re.ASCII)
"""As in 4Mar."""
_FRACTION: Final = re.compile("([0-9]{1,9}) ([0-9]{1,3})/([1-9][0-9]{0,2})", re.ASCII)
_MONTHS: Final = (  # noqa: SIM905 - easier to read than quoted one by one
    "january february march april may june july august september october november december"
).split()
_DIGITS: Final = Context(prec=15, rounding=ROUND_DOWN)
"""Further digits of a number are lost in a spreadsheet."""
_DIGITS_OF_FRACTION: Final = Context(prec=14, rounding=ROUND_HALF_UP)
"""Those behind are written as they are stored: 45.37 may be 45.369999999999999999."""


def spreadsheet_ids(row_id: str) -> frozenset[str]:
    """Return texts, one of which is the same for two ids that a spreadsheet may make one of.

    Such as 0101 and 101, 5 % and 0.05, 1 PM and 13:00:00, 3-4, 4-Mar and 2026/03/04. There are
    several where it depends on the country what a spreadsheet reads: 1-2-3 is 2003/01/02 or another
    date.
    """
    text = unicodedata.normalize("NFKC", row_id).strip().casefold()
    dates = () if _FRACTION.fullmatch(text) else _dates_of(text)
    return frozenset(dates) or frozenset({_time_of(text) or _number_of(text) or text})


def _dates_of(text: str) -> Iterator[str]:
    """Yield day and month in numbers, the lower one first, and with the year if there is one."""
    found = _DATE.fullmatch(_NO_SEPARATOR.sub("-", text))
    if found is None:
        return
    first, second, third = found.groups()
    ways = [(first, second, third), (second, third, first)]
    if not third:
        # Without a day it is the first of a month.
        ways = [(first, second, ""), ("1", first, second), ("1", second, first)]
    for one, other, year in ways:
        low, high = sorted([_day_or_month(one), _day_or_month(other)])
        if not 1 <= low <= 12 or high > 31 or len(year) == 3 or year.isalpha():
            continue
        # A spreadsheet adds a year, of two or four digits.
        if len(year) in {0, 4} or (third and year[1:]):
            yield f"{low}-{high}"
        if year[0 if third else 1 :]:
            yield f"{low}-{high}-{int(year) % 100}"


def _day_or_month(text: str) -> int:
    """Return the number; 0 if *text* is neither a day nor a month."""
    if text.isdigit():
        return int(text) if len(text) < 3 else 0
    return next((at for at, name in enumerate(_MONTHS, 1) if name.startswith(text)), 0)


def _time_of(text: str) -> str:
    """Return the seconds since midnight; empty if *text* is no time."""
    found = _TIME.fullmatch(text)
    if found is None or text.isdigit():
        return ""
    hours, minutes, seconds = (int(part or 0) for part in found.groups()[:3])
    hours = hours % 12 + 12 * (found[4] == "p") if found[4] else hours
    return f"{hours * 3600 + minutes * 60 + seconds} s"


def _number_of(text: str) -> str:
    """Return the number that *text* is, perhaps of money or in percent; empty if it is none."""
    digits = text.strip("()$€£¥%+- ")
    if _GROUPED.fullmatch(digits):
        digits = re.sub("[,' ]", "", digits)
    try:
        if mixed := _FRACTION.fullmatch(digits):
            number = int(mixed[1]) + Decimal(mixed[2]) / int(mixed[3])
        else:
            number = Decimal(digits) / (100 if text.endswith("%") else 1)
        is_whole = number == number.to_integral_value()
        number = (_DIGITS if is_whole else _DIGITS_OF_FRACTION).plus(number)
    except ArithmeticError:  # no number, or out of range
        return ""
    is_negative = text.startswith(("-", "(")) or text.endswith("-")
    return str((-number if is_negative else number).normalize())
