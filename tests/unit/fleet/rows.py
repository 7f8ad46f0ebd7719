"""Rows of a fleet, and what is known of their numbers, in few words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import attrs

from sigmamind_async.fleet.load import FileSource, parse_rows
from sigmamind_async.fleet.plan import Plan, PlanOptions, plan
from sigmamind_async.fleet.row_parser import Check, RowRules
from sigmamind_async.fleet.spec import DesiredState, Fleet, FleetRow, Problem, Source
from sigmamind_async.fleet.state import FleetState, LastApplied, PendingOperation, normalize_cell
from sigmamind_async.fleet.step import Step
from sigmamind_async.fleet.vendors import RemoteNumber
from sigmamind_async.provisioning.row import Kind, Row, State
from sigmamind_async.rowfiles import Format


def read(
    source: FileSource,
    form: Format,
    check: Check = lambda _: [],
    *,
    name: str = "f",
    platform: str | None = None,
    allow_inline: bool = False,
) -> Iterator[FleetRow | Problem]:
    """Yield what a file holds, where no platform's rules are asked."""
    rules = RowRules(file=name, default_platform=platform, allow_inline=allow_inline, check=check)
    for parsed in parse_rows(source, form, rules):
        yield from parsed.problems
        if parsed.row is not None and parsed.is_valid:
            yield parsed.row


PLATFORMS = ("sigmamind", "verbex", "dialnexa")
NUMBER = "+14155550100"
OTHER = "+14155550101"
BUYS: Mapping[str, Mapping[str, Any]] = {
    "sigmamind": {"country_code": "US"},
    "verbex": {},
    "dialnexa": {"country_code": "US", "telephony_provider_id": "abcdefghijklmn"},
}
"""What a purchase of any number must say, by platform."""
IMPORTS: Mapping[str, Mapping[str, Any]] = {
    "sigmamind": {},
    "verbex": {},
    "dialnexa": {"termination_uri": "sip.example", "auth_mode": "ip"},
}
"""What an import must say beside its number, by platform."""


def row(
    id_: str = "a", platform: str = "sigmamind", source: str = "existing", **fields: Any
) -> FleetRow:
    return FleetRow(id=id_, platform=platform, source=Source(source), fields=fields)


def bought(id_: str = "a", platform: str = "sigmamind", **fields: Any) -> FleetRow:
    return row(id_, platform, "purchase", **{**BUYS[platform], **fields})


def imported(
    id_: str = "a", platform: str = "sigmamind", phone_number: str = NUMBER, **fields: Any
) -> FleetRow:
    said = {"phone_number": phone_number, **IMPORTS[platform], **fields}
    return row(id_, platform, "import", **said)


def absent(made: FleetRow) -> FleetRow:
    return attrs.evolve(made, state=DesiredState.ABSENT)


def record_of(platform: str, phone_number: str) -> str:
    return phone_number if platform == "sigmamind" else f"rec{phone_number[-3:]}"


def found(
    platform: str = "sigmamind", phone_number: str = NUMBER, record: str = "", **shown: Any
) -> RemoteNumber:
    return RemoteNumber(
        platform=platform,
        record=record or record_of(platform, phone_number),
        phone_number=phone_number,
        shown=shown,
    )


def note(
    made: FleetRow, phone_number: str = NUMBER, record: str = "", **changed: Any
) -> LastApplied:
    """Return what is remembered once *made* has been applied."""
    fields = {name: normalize_cell(cell) for name, cell in made.fields.items()}
    applied = LastApplied(
        platform=made.platform,
        record=record or record_of(made.platform, phone_number),
        phone_number=phone_number,
        source=made.source.value,
        sequence=1,
        fields=fields,
    )
    return attrs.evolve(applied, **changed)


def begun(
    id_: str = "a",
    platform: str = "sigmamind",
    state: State = State.UNCONFIRMED,
    sequence: int = 1,
    **said: Any,
) -> PendingOperation:
    """Return a purchase that an earlier run began; *said* is more of its journal row."""
    stored: dict[str, Any] = {
        "op_id": f"{id_} #{sequence}",
        "account": platform,
        "kind": Kind.PURCHASE,
        "request_type": "CreatePhoneNumber",
        "request_fields": {"country_code": "US"},
        "token": "A" * 13,
        "state": state,
        "attempt": 1,
    }
    return PendingOperation(sequence=sequence, row=Row(**{**stored, **said}))


def known(
    numbers: Iterable[RemoteNumber] = (),
    applied: Mapping[str, LastApplied] | None = None,
    *,
    agents: Mapping[str, frozenset[str]] | None = None,
    begun: Mapping[str, PendingOperation] | None = None,
) -> FleetState:
    numbers = [*numbers]
    accounts = {
        platform: by_record(one for one in numbers if one.platform == platform)
        for platform in PLATFORMS
    }
    return FleetState(
        numbers=accounts, last_applied=applied or {}, pending=begun or {}, agents=agents or {}
    )


def planned(rows: Iterable[FleetRow], what: FleetState, **rules: Any) -> Plan:
    return plan(Fleet(rows=[*rows]), what, PlanOptions(**rules))


def only(made: Plan) -> Step:
    """Return the one step of a plan without problems."""
    assert [str(problem) for problem in made.problems] == []
    (step,) = made.steps
    return step


def messages(made: Plan) -> list[str]:
    return [str(problem) for problem in made.problems]


def by_record(found: Iterable[RemoteNumber]) -> dict[str, RemoteNumber]:
    """Return *found* as `FleetState` has it."""
    return {each.record: each for each in found}
