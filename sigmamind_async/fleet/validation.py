"""What is wrong with a row by itself, before anything is sent. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Final

from sigmamind_async.convert import validators
from sigmamind_async.errors import InvalidRequestError
from sigmamind_async.fleet.spec import SECRETS, Cell, DesiredState, FleetRow, Problem, Source
from sigmamind_async.fleet.vendor_schema import PLACEHOLDER, RequestForm, VendorSchema
from sigmamind_async.fleet.vendors import VENDORS
from sigmamind_async.provisioning.tags import find_tag

_ANY_KEY: Final = "+14155550100"
"""Stands for the key of a record while an update is checked."""


def problems_of(row: FleetRow) -> list[Problem]:
    """Return what its platform does not take of *row*, whose names and types are right."""
    vendor = VENDORS[row.platform]
    problems = [*_of_number(row)]
    if row.state is DesiredState.PRESENT:
        problems += _of_fields(row, vendor)
        problems += _of_source(row, vendor) if not problems else ()
    return problems


def _of_number(row: FleetRow) -> Iterator[Problem]:
    number = row.fields.get("phone_number")
    try:
        if number is not None:
            validators.phone_number("phone_number", number)
    except InvalidRequestError as error:
        yield row.problem("phone_number", str(error).removeprefix("phone_number: "))


def _of_fields(row: FleetRow, vendor: VendorSchema) -> Iterator[Problem]:
    for name, cell in row.fields.items():
        if message := _field_problem(name, cell, row.source, vendor):
            yield row.problem(name, message)


def _field_problem(name: str, cell: Cell, source: Source, vendor: VendorSchema) -> str:
    forms = [form for form in (*vendor.forms(source), vendor.update) if name in form.takes]
    if name == "phone_number":
        how = "cannot be cleared; leave it blank where the platform picks the number"
        return "" if cell else how
    if not forms:
        return _not_taken(name, source, vendor)
    if cell is None:
        cleared = any(name in form.clears for form in forms)
        how = "" if cleared else f"cannot be cleared on {vendor.platform}"
        return how and f"{how}; leave it blank to leave it alone"
    if problem := forms[0].check(name, cell):
        return problem
    # It would be taken for one, and never be shown again.
    tagged = name == "label" and isinstance(cell, str) and find_tag(cell) is not None
    return "must not end in text like [sm:...], the tag of a purchase" if tagged else ""


def _not_taken(name: str, source: Source, vendor: VendorSchema) -> str:
    others = [
        other.value for other in Source if any(name in form.takes for form in vendor.forms(other))
    ]
    if others:
        sources = " or ".join(others)
        return f"is for source {sources} on {vendor.platform}, not for {source.value}"
    takers = [
        each.platform
        for each in VENDORS.values()
        if any(name in form.takes for form in (*each.purchases, *each.imports, each.update))
    ]
    return f"does not exist on {vendor.platform}, only on {' and '.join(takers)}"


def _of_source(row: FleetRow, vendor: VendorSchema) -> Iterator[Problem]:
    """Yield what keeps the number of *row* from coming into the account, or from being changed."""
    if row.source is Source.EXISTING:
        yield from _of_request(row, vendor.update, {vendor.key: _ANY_KEY})
        return
    fields = {name for name, cell in row.fields.items() if cell is not None}
    form = vendor.form(row.source, fields)
    if form is None:
        needs = _needs(vendor.forms(row.source))
        yield row.problem("", f"{row.source.value} on {vendor.platform} needs {needs}")
        return
    for name in row.fields:
        known = name in form.takes or name in vendor.update.takes
        if name in form.excludes or not known:
            way = f"this {row.source.value} on {vendor.platform}"
            yield row.problem(name, f"does not apply to {way}; leave it blank")
    yield from _of_request(row, form, {})


def _of_request(row: FleetRow, form: RequestForm, key: Mapping[str, str]) -> Iterator[Problem]:
    """Yield what is wrong with the fields of *row* taken together."""
    fields = {
        name: PLACEHOLDER if name in SECRETS else cell
        for name, cell in form.part_of(row.fields).items()
    }
    if key and not fields:
        return
    try:
        form.request(fields, **key)
    except InvalidRequestError as error:
        attribute = error.field or ""
        message = str(error).removeprefix(f"{attribute}: ")
        yield row.problem(form.names.get(attribute, ""), message)


def _needs(forms: Collection[RequestForm]) -> str:
    """Return the fields that a row must set to suit one of *forms*; no set that holds another."""
    needs = [frozenset(form.needs) for form in forms]
    least = [form for form in forms if not any(other < frozenset(form.needs) for other in needs)]
    return " or ".join(" and ".join(form.needs) for form in least)
