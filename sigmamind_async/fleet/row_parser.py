"""One row of a file: from its cells to a `FleetRow`, or to all that is wrong with it. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Iterator, Mapping
from sys import intern
from types import NoneType
from typing import Any, Final, TypeAlias

import attrs

from sigmamind_async.convert import validators
from sigmamind_async.errors import InvalidRequestError, suggest
from sigmamind_async.fleet.spec import (
    FIELDS,
    LONGEST_ID,
    OWN_NAMES,
    SECRETS,
    WHOLE_NUMBERS,
    Cell,
    DesiredState,
    FleetRow,
    Problem,
    Source,
)
from sigmamind_async.fleet.vendors import PLACEHOLDER, VENDORS, RequestForm, VendorSchema
from sigmamind_async.provisioning.tags import find_tag
from sigmamind_async.rowfiles import CellError, FileRow, Vocabulary, text_problem
from sigmamind_async.values import Secret

PLATFORMS: Final = tuple(VENDORS)

PHONE_NUMBERS: Final = frozenset({"phone_number", "test_number"})
_LABELS: Final = frozenset({"label", "accounting_label"})

EXAMPLE: Final = '"+14155550100"'

SYNONYMS: Final[Mapping[str, str]] = {
    # Words of the platforms that mean one thing whichever platform a row is of.
    "countryiso": "country_code",
    "friendlyname": "label",
    "nickname": "label",
    "outboundphonenumber": "test_number",
    "sipphonenumber": "phone_number",
    "siptrunkpassword": "trunk_password",
    "siptrunkusername": "trunk_username",
    "sipterminationuri": "termination_uri",
    "terminationsipuri": "termination_uri",
}
"""Other words for a name, without case and punctuation."""

HINTS: Final[Mapping[str, str]] = {
    "accountsid": "twilio_account_sid",
    "agent": "inbound_agent_id",
    "agentid": "inbound_agent_id",
    "authtoken": "twilio_auth_token",
    "country": "country_code",
    "name": "label",
    "number": "phone_number",
    "password": "trunk_password",
    "phone": "phone_number",
    "provider": "source",
    "status": "state",
    "username": "trunk_username",
}
"""The probable meaning of ambiguous words, for hints only."""

ACTION: Final = "action"
"""Known only to be refused: it is the column of a list of operations."""

VOCABULARY: Final = Vocabulary(
    names=(*OWN_NAMES, *FIELDS),
    synonyms={**SYNONYMS, ACTION: ACTION},
    hints=HINTS,
    key="id",
    leading=OWN_NAMES,
    verbatim=_LABELS,
)

# ---------------------------------------------------------------- what a platform does not take

_ANY_KEY: Final = "+14155550100"
"""Stands for the key of a record while an update is checked."""


def problems_of(row: FleetRow) -> list[Problem]:
    """Return what its platform does not take of *row*, whose names and types are right."""
    vendor, is_present = VENDORS[row.platform], row.state is DesiredState.PRESENT
    problems: list[Problem] = []
    for name, cell in row.fields.items():
        if name == "phone_number":
            message = _number_problem(cell, row.source, is_present=is_present)
        else:
            message = _field_problem(name, cell, row.source, vendor) if is_present else ""
        if message:
            problems.append(row.problem(name, message))
    return problems if problems or not is_present else [*_source_problems(row, vendor)]


def _number_problem(cell: Cell, source: Source, *, is_present: bool) -> str:
    if is_present and not cell:
        return "cannot be cleared; leave it blank where the platform picks the number"
    try:
        if cell is not None:
            validators.phone_number("phone_number", cell)
            # What the account has already is as long as it is.
            return _length_problem(cell) if source is not Source.EXISTING else ""
    except InvalidRequestError as error:
        return str(error).removeprefix("phone_number: ")
    return ""


_LENGTHS: Final[Mapping[str, int]] = {"1": 11, "7": 11}
"""Digits of every number of a country code, itself included, where all have the same.

https://www.itu.int/en/ITU-T/inr/nnp; of other countries only the package phonenumbers knows more.
"""


def _length_problem(cell: Cell) -> str:
    digits = str(cell)[1:]
    length = _LENGTHS.get(digits[:1], len(digits))
    if len(digits) == length:
        return ""
    much = "few" if len(digits) < length else "many"
    return f"has too {much} digits: after +{digits[0]} come {length - 1}, not {len(digits) - 1}"


def _field_problem(name: str, cell: Cell, source: Source, vendor: VendorSchema) -> str:
    forms = [form for form in (*vendor.forms(source), vendor.update) if name in form.takes]
    if not forms:
        return _not_taken(name, source, vendor)
    if cell is None:
        is_cleared = any(name in form.clears for form in forms)
        how = f"cannot be cleared on {vendor.platform}; leave it blank to leave it alone"
        return "" if is_cleared else how
    if problem := forms[0].check(name, cell):
        return problem
    if name in PHONE_NUMBERS:
        return _length_problem(cell)
    # It would be taken for one, and never be shown again.
    is_tagged = name == "label" and isinstance(cell, str) and find_tag(cell) is not None
    return "must not end in text like [sm:...], the tag of a purchase" if is_tagged else ""


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


def _source_problems(row: FleetRow, vendor: VendorSchema) -> Iterator[Problem]:
    """Yield what keeps the number of *row* from coming into the account, or from being changed."""
    form: RequestForm | None = vendor.update
    key = {vendor.key: _ANY_KEY}
    if row.source is not Source.EXISTING:
        form = vendor.form(row.source, row.fields)
        key = {}
    if form is None:
        needs = _needs(vendor.forms(row.source))
        yield row.problem("", f"{row.source.value} on {vendor.platform} needs {needs}")
        return
    for name in row.fields if not key else ():
        if name in form.excludes or not (name in form.takes or name in vendor.update.takes):
            way = f"this {row.source.value} on {vendor.platform}"
            yield row.problem(name, f"does not apply to {way}; leave it blank")
    fields = form.part_of(row.fields)
    try:
        if fields or not key:
            form.request({n: PLACEHOLDER if n in SECRETS else fields[n] for n in fields}, **key)
    except InvalidRequestError as error:  # about fields taken together
        attribute = error.field or ""
        message = str(error).removeprefix(f"{attribute}: ")
        yield row.problem(form.names.get(attribute, ""), message)


def _needs(forms: Collection[RequestForm]) -> str:
    """Return the fields that a row must set to suit one of *forms*; no set that holds another."""
    needs = [frozenset(form.needs) for form in forms]
    least = [form for form in forms if not any(other < frozenset(form.needs) for other in needs)]
    return " or ".join(" and ".join(form.needs) for form in least)


# ---------------------------------------------------------------- rows

Check: TypeAlias = Callable[[FleetRow], list[Problem]]


@attrs.frozen(kw_only=True)
class RowRules:
    """How rows are to be read."""

    file: str = ""
    """What problems call it."""
    default_platform: str | None = None
    """Platform of the rows that name none."""
    allow_inline: bool = False
    """True if a secret may be in the file itself."""
    check: Check = problems_of


@attrs.frozen(kw_only=True)
class ParsedRow:
    """A row as it was found, with everything that is wrong with it."""

    line: int
    id: str = ""
    """Empty where it has none that can be used."""
    row: FleetRow | None = None
    """A draft unless the row is valid."""
    problems: tuple[Problem, ...] = ()
    is_valid: bool = False


def parse_row(found: FileRow, rules: RowRules) -> ParsedRow:
    """Return the row that *found* is, and all that is wrong with it."""
    own = {name: found.cells[name] for name in OWN_NAMES if name in found.cells}
    values = _own_values(own, rules) | {
        name: field_of(name, value, allow_inline=rules.allow_inline)
        for name, value in found.cells.items()
        if name not in own
    }
    errors = {name: value for name, value in values.items() if isinstance(value, CellError)}
    row = _draft(values, found)
    row_id = "" if "id" in errors else str(values["id"])
    about = [
        (name, Problem(message=error.message, field=name if name in VOCABULARY.names else ""))
        for name, error in errors.items()
    ]
    also = rules.check(row) if row else ()
    about += [(problem.field, problem) for problem in also if problem.field not in errors]
    problems = tuple(
        attrs.evolve(
            problem,
            id="" if name in found.shared else row_id,
            file=rules.file,
            line=line or found.line,
            column=column,
        )
        for name, problem in about
        for line, column in [found.place(name)]
    )
    return ParsedRow(line=found.line, id=row_id, row=row, problems=problems, is_valid=not problems)


def _draft(values: Mapping[str, object], found: FileRow) -> FleetRow | None:
    """Return the row with a stand-in for each wrong field, to find out what else is wrong.

    That the field is set at all may matter.
    """
    own, fields = dict[str, Any](), dict[str, Any]()
    for name, value in values.items():
        if not isinstance(value, CellError):
            (own if name in OWN_NAMES else fields)[name] = value
        elif name in {"platform", "source", "state"}:
            return None
        elif name == "id":
            own["id"] = "?"
        elif name in FIELDS:
            text = found.cells[name]
            stand_in = text if isinstance(text, str) else "?"
            fields[name] = Secret("?") if name in SECRETS else stand_in
    return FleetRow(**own, fields=fields, line=found.line)


# ---------------------------------------------------------------- the row's own columns


_OWN_WORDS: Final[Mapping[str, Mapping[str, object]]] = {
    "platform": {name: name for name in PLATFORMS},
    "source": {source.value: source for source in Source},
    "state": {state.value: state for state in DesiredState},
}


def _own_values(own: Mapping[str, object], rules: RowRules) -> dict[str, object]:
    own = {"state": DesiredState.PRESENT.value, **own}
    if rules.default_platform is not None:
        own.setdefault("platform", rules.default_platform)
    state = _one_of("state", own)
    if state is not DesiredState.PRESENT:
        own.setdefault("source", Source.EXISTING.value)
    return {
        "id": id_of(own),
        "platform": _one_of("platform", own),
        "source": _one_of("source", own),
        "state": state,
    }


def id_of(cells: Mapping[str, object]) -> str | CellError:
    """Return the id among *cells*; a whole number is one as well."""
    value = cells.get("id")
    if "id" not in cells:
        return CellError("is missing; a row needs its own id, which never changes")
    if isinstance(value, CellError):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        return CellError(f"is {kind_of(value)} here; write it as text, in quotes")
    text = value.strip()
    if text[:1].isprintable() and _COMMENT.match(unicodedata.normalize("NFKC", text)):
        return CellError(
            f"{text[:64]!r} looks commented out, and rows cannot be; delete the row instead"
        )
    if text.startswith("'"):
        return CellError("begins with an apostrophe, a spreadsheet's mark for text; remove it")
    if _DECIMAL.fullmatch(text):
        return CellError(f"{text!r} is a number with a fraction, as spreadsheets write it; fix it")
    if problem := text_problem(text):
        return CellError(problem)
    if 0 < len(text) <= LONGEST_ID and text.isprintable():
        return text
    return CellError(f"must be text of 1 to {LONGEST_ID} printable characters")


_COMMENT: Final = re.compile(
    r"[^\w\s\"$&'()+./:<=@\[\]_{}-]|[-<>]\s|//|/\*|--|<!--|::|\(\*|\{-|\[[ x]?\]|\"{3}|@?rem\s",
    re.IGNORECASE,
)
"""A mark that few ids begin with, or one that comments a line out, or strikes it off a list."""
_DECIMAL: Final = re.compile(r"[0-9]+\.0*", re.ASCII)


def _one_of(name: str, own: Mapping[str, object]) -> object:
    value, words = own.get(name), _OWN_WORDS[name]
    text = value.strip() if isinstance(value, str) else ""
    if text in words:
        return words[text]
    if isinstance(value, CellError):
        return value
    if name not in own:
        return CellError(f"is missing; write one of {', '.join(words)}")
    if isinstance(value, str):
        return CellError(text_problem(text) or f"{text[:64]!r} is unknown{suggest(text, words)}")
    what = "cannot be null" if value is None else f"is {kind_of(value)} here"
    return CellError(f"{what}; write one of {', '.join(words)}")


# ---------------------------------------------------------------- fields


def field_of(name: str, value: object, *, allow_inline: bool) -> Cell | CellError:
    """Return the value of the field *name*, or why it cannot be that."""
    if name not in FIELDS:
        if isinstance(value, CellError) and not name:
            return value
        return CellError(VOCABULARY.unknown("field", name))
    if value is None or isinstance(value, CellError):
        return value
    if name in WHOLE_NUMBERS:
        return _whole_number(value)
    if isinstance(value, Secret) and name in SECRETS:
        return value
    if not isinstance(value, str):
        example = f", {EXAMPLE}" if name in PHONE_NUMBERS else ", in quotes"
        return CellError(f"is {kind_of(value)} here; write it as text{example}")
    if name in SECRETS:
        return _secret(value, allow_inline=allow_inline)
    return _phone_number(value) if name in PHONE_NUMBERS else _text(name, value)


def _text(name: str, value: str) -> str | CellError:
    text = value if name in _LABELS else value.strip()
    if problem := text_problem(text):
        return CellError(problem)
    if value.isspace():
        return CellError("contains only blanks; leave it out, or write null to clear it")
    if name not in _LABELS and text.lower() in _NOTHINGS:
        what = f"{text!r} is text here"
        return CellError(f"{what}; leave it out, or write null without quotes to clear it")
    return intern(text[:])  # exactly a str, also of an enumeration's member


_NOTHINGS: Final = frozenset({"null", "none", "nil", "nan", "n/a", "undefined"})
"""What programs write in a cell for nothing; no such field has such a value."""


def kind_of(value: object) -> str:
    """Return what *value* is, in plain words."""
    return next(kind for type_, kind in _KINDS if isinstance(value, type_))


_KINDS: Final = (
    (bool, "true or false"),
    (int | float, "a number"),
    (list, "a list"),
    (dict, "an object"),
    (str, "text"),
    (Secret, "a secret"),
    (NoneType, "null"),
    (object, "something else"),
)


def _whole_number(value: object) -> int | CellError:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    text = value.strip() if isinstance(value, str) else ""
    if _WHOLE.fullmatch(text):
        return int(text)
    zero = ", without a 0 before it" if text.startswith("0") else ""
    return CellError(text_problem(text) or f"must be a whole number like 415{zero}")


_WHOLE: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,17})", re.ASCII)

# ---------------------------------------------------------------- phone numbers

_SEPARATORS: Final = r"[ \u00a0\u2007\u2009\u202f.\u2010\u2011\u2012\u2013-]"
_FRACTION: Final = r"[0-9]{7}\.[0-9]{1,2}\Z"
_WRITTEN_OUT: Final = re.compile(
    rf"(?!.*{_FRACTION})\+[1-9][0-9]*(?:{_SEPARATORS}{{1,3}}[0-9]+|{_SEPARATORS}{{0,3}}\([1-9][0-9]*\)[0-9]*)*",
    re.ASCII,
)
_MOST_CHARACTERS: Final = 64
"""What is longer is no number, and may take these patterns long."""

_NOT_GUESSED: Final = (
    (
        r"\A\+?[0-9](?:[.,][0-9]+)?[eE]\+?[0-9]{1,2}\Z",
        "was shortened by a spreadsheet and its last digits are lost; write all of it as text,",
    ),
    (_FRACTION, "has a fraction, as spreadsheets write numbers; write it without,"),
    (r"\(\s*0", "has a 0 in brackets, which not every country dials; write it without,"),
    (
        r"\A\+.*(?:[,;x#]|ext).*[0-9]\Z",
        "has an extension, which no platform takes; write it without,",
    ),
    (
        r"\A(?!\+)(?:[^0-9]*[0-9]){7}",
        "has no plus; write it as text, plus and country code first,",
    ),
)
"""What a number looks like of which a part is missing or too much, and what to do."""


def _phone_number(text: str) -> str | CellError:
    """Return *text* without what separates its digits; nothing is guessed."""
    number = text.strip().removeprefix("'")
    if len(number) > _MOST_CHARACTERS:
        return number
    if _WRITTEN_OUT.fullmatch(number):
        return "+" + "".join(filter(str.isdigit, number))
    for pattern, message in _NOT_GUESSED:
        if re.search(pattern, number, re.IGNORECASE):
            return CellError(f"{message} like {EXAMPLE}")
    problem = text_problem(number)
    return CellError(problem) if problem else number


# ---------------------------------------------------------------- secrets


_REFERENCES: Final = {
    "env": ("= \t\0", "env: needs the name of a variable, like env:TRUNK_PASSWORD"),
    "file": ("\0", "file: needs the path of a file, like file:trunk-password.txt"),
}
"""What the name of a reference cannot hold, and what to do."""


def _secret(text: str, *, allow_inline: bool) -> str | Secret | CellError:
    """Return a reference as it is, and what is none as a `Secret`, where that is allowed."""
    reference = text.strip()
    kind, colon, name = reference.partition(":")
    if colon and kind in _REFERENCES:
        marks, message = _REFERENCES[kind]
        is_wrong = not name or any(mark in name for mark in marks)
        problem = message if is_wrong else text_problem(reference)
        return CellError(problem) if problem else reference
    if not reference:
        return CellError("is empty; write env:NAME or file:PATH")
    if allow_inline and text_problem(reference):
        return CellError("is damaged, or a placeholder that was not filled in; write it again")
    if allow_inline:
        return Secret(text)
    return CellError("is a secret and must not be in plain text; write env:NAME or file:PATH")
