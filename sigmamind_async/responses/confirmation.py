"""What the body of a 2xx proves: a status line is no success before the body names its object.

Platforms answer ``200 {"success": false}``, ``202 {"status": "queued"}`` and ``200 {}``; a captive
portal, a web firewall or a web application at a wrong base URL answers 200 with a page. So a
success is a record that names itself, with nothing beside it that reports a failure; a removal is a
success unless its body objects.

Bodies that are no success are distinguished too, because they prove different things: one that
reports a failure, or that the API never wrote, leaves open whether anything was done.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol, TypeVar, cast

from sigmamind_async.convert.json_codec import load_json
from sigmamind_async.errors import ResponseDecodeError
from sigmamind_async.operation import Response
from sigmamind_async.responses.error_body import is_html


class _Record(Protocol):
    @property
    def extra(self) -> Mapping[str, Any]:
        """The keys of the body that are no fields of the record."""
        ...


R = TypeVar("R", bound=_Record)
Decode = Callable[[Response], R]

# --- records ---------------------------------------------------------------------------------


def require_named(decode: Decode[R], key_of: Callable[[R], str | None]) -> Decode[R]:
    """Return *decode* for a look-up: the record must name itself, by *key_of*.

    It may hold an error, such as that of a failed call. Raises `ResponseDecodeError` otherwise.
    """

    def decode_named(response: Response) -> R:
        record = decode(response)
        if not (key_of(record) or "").strip():
            raise ResponseDecodeError(_NAMELESS)
        return record

    return decode_named


def confirm_named(decode: Decode[R], key_of: Callable[[R], str | None]) -> Decode[R]:
    """Return *decode* for a creation: the record must name itself, with no failure beside it."""
    return confirm_matching(require_named(decode, key_of), lambda _: True)


def confirm_matching(decode: Decode[R], matches: Callable[[R], bool]) -> Decode[R]:
    """Return *decode* for a change: the record must be that one, with no failure beside it."""

    def decode_matching(response: Response) -> R:
        record = decode(response)
        return confirm(record, matches=matches(record))

    return decode_matching


def confirm(record: R, *, matches: bool) -> R:
    """Return *record* if it *matches* what was changed, with no failure beside it."""
    if not matches:
        raise ResponseDecodeError(_ANOTHER)
    if record.extra:
        require_no_failure(record.extra)
    return record


def require_no_failure(fields: Mapping[str, Any]) -> None:
    """Raise `ResponseDecodeError` if *fields*, the keys beside a record, report a failure.

    What a record may hold is no report: a call has failed, a number may be ``inactive``.
    """
    if any(_reports(_letters(name), value) for name, value in fields.items()):
        raise ResponseDecodeError(_FAILURE)


def as_phone_number(text: str) -> str:
    """Return a record's phone number, empty for a text such as "pending"."""
    return text if text.startswith("+") else ""


def means_failure(status: str | None) -> bool:
    """Return whether *status*, that of a record, means that it failed."""
    return _is_word(status, _FAILED)


# --- removals --------------------------------------------------------------------------------


def decode_removal(response: Response) -> None:
    """Read the response to a removal: empty, an acknowledgement, or the record that is gone.

    Raises `ResponseDecodeError` where it reports a failure, reports that the removal is pending (as
    202 does, RFC 9110, 15.3.3), or is not the API's.
    """
    problem = _removal_problem(response)
    if problem:
        raise ResponseDecodeError(problem)


def _removal_problem(response: Response) -> str | None:
    if response.status == 202:
        return _PENDING
    try:
        content = load_json(response.body)
    except ResponseDecodeError as error:
        agrees = response.body.strip().lower() in _AGREEMENTS
        return error.message if _is_page(response) and not agrees else None
    if reports_failure(content):
        return _FAILURE
    if isinstance(content, dict):
        fields = cast("dict[str, Any]", content)
        if _describes_request(fields, _TICKET) and _outcomes(fields) & _WAITING:
            return _PENDING
    return None


# --- what is no success ----------------------------------------------------------------------


class BodyProblem(enum.Enum):
    """Why the whole body of a 2xx confirms nothing."""

    NOT_FROM_API = "not from the API"
    """An HTML page, or a text of another type than JSON."""
    NOT_JSON = "not JSON"
    """Unreadable or empty, with no sign that it did not come from the API."""
    REPORTS_FAILURE = "reports a failure"
    NAMES_NOTHING = "does not name its object"


def body_problem(response: Response) -> BodyProblem:
    """Classify a 2xx that its operation could not read as a success."""
    try:
        content = load_json(response.body)
    except ResponseDecodeError:
        return BodyProblem.NOT_FROM_API if _is_page(response) else BodyProblem.NOT_JSON
    failed = reports_failure(content)
    return BodyProblem.REPORTS_FAILURE if failed else BodyProblem.NAMES_NOTHING


def _is_page(response: Response) -> bool:
    """Return whether a body that is not JSON was not written by the API at all."""
    if is_html(response.body):
        return True
    body, kind = response.body.strip(), response.headers.get("content-type", "").lower()
    # JSON that was cut short begins as JSON does, whatever type it was given.
    return bool(body and kind) and "json" not in kind and not body.startswith((b"{", b"["))


def reports_failure(content: object, *, depth: int = 4) -> bool:
    """Return whether parsed JSON reports that the request failed, in any usual envelope.

    Wrappers are opened up to *depth* levels down; of a list only the first are looked at.
    """
    if isinstance(content, list):
        inner = cast("list[object]", content)[:_MOST_LISTED]
    elif isinstance(content, dict):
        fields = cast("dict[str, Any]", content)
        names = {name: _letters(name) for name in fields}
        if any(
            _reports(names[name], value) or (names[name] in _REMOVED and _is_denial(value))
            for name, value in fields.items()
        ):
            return True
        # A record may have a status or code too: alone in an envelope, they are the request's.
        if _describes_request(fields, _ECHO) and (
            _outcomes(fields) & _FAILED or _is_error_status(fields.get("code"))
        ):
            return True
        inner = [fields[name] for name in _WRAPPERS if name in fields]
    else:
        return content is False or _is_word(content, _FAILED)
    return depth > 0 and any(reports_failure(each, depth=depth - 1) for each in inner)


def _reports(name: str, value: object) -> bool:
    """Return whether a key of these letters, with *value*, reports that the request failed."""
    return name in _REPORTS and _REPORTS[name](value)


def _letters(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()


def _is_word(value: object, words: frozenset[str]) -> bool:
    return isinstance(value, str) and value.strip().lower() in words


def _is_denial(value: object) -> bool:
    return value is False or value == 0 or _is_word(value, _DENIALS)


def _is_error_status(value: object) -> bool:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) == 3:
        value = int(value)
    return isinstance(value, int) and 400 <= value < 600


def _states_error(value: object, *, depth: int = 4) -> bool:
    """Return whether the value of an ``error`` key reports an error."""
    if isinstance(value, str):
        return not _is_word(value, _NO_ERROR)
    if isinstance(value, dict):
        value = [*cast("dict[str, object]", value).values()]
    if isinstance(value, list) and depth:
        return any(_states_error(each, depth=depth - 1) for each in cast("list[object]", value))
    return bool(value)  # pyright: ignore[reportUnknownArgumentType]  # a list of anything


def _describes_request(fields: Mapping[str, Any], others: frozenset[str]) -> bool:
    """Return whether an object only describes the request, and holds no record."""
    return {_letters(name) for name in fields} <= _ENVELOPE | others


def _outcomes(fields: Mapping[str, Any]) -> set[str]:
    """Return the words with which an envelope describes the request's outcome."""
    words = (fields.get(name) for name in ("status", "state", "result", "outcome"))
    return {word.strip().lower() for word in words if isinstance(word, str)}


_NAMELESS: Final = "the answer does not identify a record"
_ANOTHER: Final = "the answer names another record, or none"
_FAILURE: Final = "the answer reports a failure"
_PENDING: Final = "the answer says that the removal is still pending"


# Keys by their letters alone, words in lower case.
def _word_set(text: str) -> frozenset[str]:
    return frozenset(text.split())


_SUCCESS: Final = _word_set("success successful succeeded issuccess issuccessful ok isok")
_ERROR: Final = _word_set(
    "error errors exception fault failed failure haserror haserrors iserror errormessage errorcode"
)
_STATUS: Final = _word_set("statuscode httpstatus httpstatuscode httpcode")
_REPORTS: Final[Mapping[str, Callable[[object], bool]]] = {
    **dict.fromkeys(_SUCCESS, _is_denial),
    **dict.fromkeys(_ERROR, _states_error),
    **dict.fromkeys(_STATUS, _is_error_status),
    "status": lambda value: value is False or _is_error_status(value),
}
"""Keys that report how the request fared, and which of their values mean that it failed."""
_REMOVED: Final = _word_set(
    "deleted isdeleted removed isremoved released isreleased acknowledged deletedcount removedcount"
)
"""Keys with which the response to a removal reports success; a record may hold them as well."""
_MOST_LISTED: Final = 100  # as on a page; a hostile list of a million would hold the loop up
_WRAPPERS: Final = ("data", "result", "response", "body", "payload")
_ENVELOPE: Final = _word_set(
    "code state outcome message messages msg detail details description reason title type timestamp"
    " time path instance requestid traceid correlationid"
).union(_REPORTS, _WRAPPERS)
"""Keys with which responses describe a request."""
_ECHO: Final = frozenset({"phonenumber"})
_TICKET: Final = frozenset({"id", "jobid", "taskid"})
_AGREEMENTS: Final = frozenset({b"ok", b"success", b"done", b"deleted", b"removed", b"released"})
"""Bodies that confirm a removal: Express sends ``OK`` for ``res.sendStatus(200)``."""
_FAILED: Final = _word_set(
    "error errored fail failed failure unsuccessful rejected denied declined refused invalid"
    " forbidden unauthorized aborted exception"
)
_DENIALS: Final = _FAILED | {"false", "no", "0"}
_NO_ERROR: Final = frozenset({"", "0", "false", "no", "none", "null", "nil", "ok", "success"})
_WAITING: Final = _word_set(
    "queued enqueued pending accepted processing scheduled deferred waiting in_progress in-progress"
    " inprogress deleting removing releasing pending_deletion pending_removal pending_release"
)
