"""What a 2xx says: a status line is no success before the answer names what the call was about.

Platforms answer ``200 {"success": false}``, ``202 {"status": "queued"}`` and ``200 {}``; a captive
portal, a web firewall or a web application at a wrong base URL answers 200 with a page. Each of
them was once taken for a purchase that had been made. So a success is a record that names itself,
and beside it nothing that reports a failure; a removal is a success unless its answer objects.

Which of the other answers came is decided here as well, because they prove different things: one
that reports a failure, or that the API never wrote, leaves open whether anything was done.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, TypeVar, cast

from sigmamind_async.convert import Record, load_json
from sigmamind_async.errors import ResponseDecodeError
from sigmamind_async.operation import Response
from sigmamind_async.responses.error_body import is_html

R = TypeVar("R", bound=Record)


class BodyProblem(enum.Enum):
    """What a complete 2xx that confirms nothing may be."""

    NOT_FROM_API = "not from the API"
    """An HTML page, or a text of another type than JSON."""
    NOT_JSON = "not JSON"
    """Unreadable or empty, and nothing shows that it did not come from the API."""
    REPORTS_FAILURE = "reports a failure"
    NAMES_NOTHING = "does not name its object"

    @property
    def may_change(self) -> bool:
        """True if another request may get a better answer; the API itself would repeat this one."""
        return self is BodyProblem.NOT_FROM_API


def body_problem(response: Response) -> BodyProblem:
    """Classify a 2xx that its operation could not read as a success."""
    try:
        said = load_json(response.body)
    except ResponseDecodeError:
        return BodyProblem.NOT_FROM_API if _is_page(response) else BodyProblem.NOT_JSON
    return BodyProblem.REPORTS_FAILURE if reports_failure(said) else BodyProblem.NAMES_NOTHING


def confirm_named(
    read: Callable[[Response], R], key_of: Callable[[R], str | None]
) -> Callable[[Response], R]:
    """Return *read*, for the answer of a call that creates or changes a record.

    The record must name itself, by *key_of*, and nothing beside it may report a failure. Raises
    `ResponseDecodeError` otherwise.
    """

    def decode(response: Response) -> R:
        record = read(response)
        if not (key_of(record) or "").strip():
            raise ResponseDecodeError(_NAMELESS)
        if record.extra:
            require_no_failure(record.extra)
        return record

    return decode


def confirm_matching(
    read: Callable[[Response], R], is_it: Callable[[R], bool]
) -> Callable[[Response], R]:
    """Return *read*, for the answer of a call that is about one record.

    The record must be that one, by *is_it*, and nothing beside it may report a failure. Raises
    `ResponseDecodeError` otherwise.
    """

    def decode(response: Response) -> R:
        record = read(response)
        if not is_it(record):
            raise ResponseDecodeError(_ANOTHER)
        if record.extra:
            require_no_failure(record.extra)
        return record

    return decode


def require_named(
    read: Callable[[Response], R], key_of: Callable[[R], str | None]
) -> Callable[[Response], R]:
    """Return *read*, for the answer of a call that looks a record up.

    The record must name itself, by *key_of*; a record that does may hold an error of its own, such
    as that of a call that failed. Raises `ResponseDecodeError` otherwise.
    """

    def decode(response: Response) -> R:
        record = read(response)
        if not (key_of(record) or "").strip():
            raise ResponseDecodeError(_NAMELESS)
        return record

    return decode


def decode_removal(response: Response) -> None:
    """Read the answer to a removal: empty, an acknowledgement, or the record that is gone.

    Raises `ResponseDecodeError` where it reports a failure, says that the removal is still to
    come (as 202 does, RFC 9110, 15.3.3), or is not the API's.
    """
    problem = _removal_problem(response)
    if problem:
        raise ResponseDecodeError(problem)


def _removal_problem(response: Response) -> str | None:
    if response.status == 202:
        return _STILL_TO_BE_DONE
    try:
        said = load_json(response.body)
    except ResponseDecodeError as error:
        agrees = response.body.strip().lower() in _AGREEMENTS
        return error.message if _is_page(response) and not agrees else None
    if reports_failure(said):
        return _FAILURE
    if isinstance(said, dict):
        fields = cast("dict[str, Any]", said)
        if _is_envelope(fields, _TICKET) and _words(fields) & _WAITING:
            return _STILL_TO_BE_DONE
    return None


def require_no_failure(beside: Mapping[str, Any]) -> None:
    """Raise `ResponseDecodeError` if the keys *beside* a record report a failure.

    Whatever a record may hold is no report: a call has failed, a number may be ``inactive``.
    """
    if any(_fails(_plain(name), value) for name, value in beside.items()):
        raise ResponseDecodeError(_FAILURE)


def reports_failure(said: object, *, depth: int = 4) -> bool:
    """Return whether a parsed answer says that the request failed, in any usual envelope.

    Wrappers are opened up to *depth* levels down.
    """
    if isinstance(said, list):
        entries = cast("list[object]", said)
        return depth > 0 and any(reports_failure(each, depth=depth - 1) for each in entries)
    if not isinstance(said, dict):
        return said is False or _is_text(said, _FAILED)
    fields = cast("dict[str, Any]", said)
    for name, value in fields.items():
        plain = _plain(name)
        if _fails(plain, value) or (plain in _REMOVED and _denies(value)):
            return True
    # A record may hold a status or a code too: alone in an envelope, they describe the request.
    if _is_envelope(fields, _ECHO) and (
        _words(fields) & _FAILED or _is_error_status(fields.get("code"))
    ):
        return True
    inner = (fields[name] for name in _WRAPPERS if name in fields)
    return depth > 0 and any(reports_failure(each, depth=depth - 1) for each in inner)


_NAMELESS: Final = "the answer does not identify a record"
_ANOTHER: Final = "the answer names another record, or none"
_FAILURE: Final = "the answer reports a failure"
_STILL_TO_BE_DONE: Final = "the answer says that the removal is still pending"
_WRAPPERS: Final = ("data", "result", "response", "body", "payload")
_SUCCESS: Final = {"success", "successful", "succeeded", "issuccess", "issuccessful", "ok", "isok"}
_REMOVED: Final = {
    *("deleted", "isdeleted", "removed", "isremoved", "released", "isreleased", "acknowledged"),
    *("deletedcount", "removedcount"),
}
"""Keys by which the answer to a removal reports success; a record may hold them as well."""
_AGREEMENTS: Final = {b"ok", b"success", b"done", b"deleted", b"removed", b"released"}
"""Texts that confirm a removal: Express sends ``OK`` for ``res.sendStatus(200)``."""
_ERROR: Final = {
    *("error", "errors", "exception", "fault", "failed", "failure", "haserror", "haserrors"),
    *("iserror", "errormessage", "errorcode"),
}
_STATUS: Final = {"statuscode", "httpstatus", "httpstatuscode", "httpcode", "status"}
_ENVELOPE: Final = {
    *(_SUCCESS | _ERROR | _STATUS | set(_WRAPPERS)),
    *("code", "state", "outcome", "message", "messages", "msg", "detail", "details", "description"),
    *("reason", "title", "type", "timestamp", "time", "path", "instance"),
    *("requestid", "traceid", "correlationid"),
}
"""Keys, without underscores and in lower case, by which answers speak of a request."""
_FAILED: Final = {
    *("error", "errored", "fail", "failed", "failure", "unsuccessful", "rejected", "denied"),
    *("declined", "refused", "invalid", "forbidden", "unauthorized", "aborted", "exception"),
}
_WAITING: Final = {
    *("queued", "enqueued", "pending", "accepted", "processing", "scheduled", "deferred"),
    *("waiting", "in_progress", "in-progress", "inprogress", "deleting", "removing", "releasing"),
    *("pending_deletion", "pending_removal", "pending_release"),
}
_DENIED: Final = {*_FAILED, "false", "no", "0"}
_NO_ERROR: Final = {"", "0", "false", "no", "none", "null", "nil", "ok", "success"}
_ECHO: Final = {"phonenumber"}
_TICKET: Final = {"id", "jobid", "taskid"}


def _plain(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()


def _fails(name: str, value: object) -> bool:
    if name in _SUCCESS:
        return _denies(value)
    if name in _ERROR:
        return _says_something(value)
    return (name == "status" and value is False) or (name in _STATUS and _is_error_status(value))


def _denies(value: object) -> bool:
    return value is False or value == 0 or _is_text(value, _DENIED)


def _says_something(value: object, *, depth: int = 4) -> bool:
    if isinstance(value, str):
        return not _is_text(value, _NO_ERROR)
    if isinstance(value, dict):
        value = [*cast("dict[str, object]", value).values()]
    if isinstance(value, list) and depth:
        return any(_says_something(each, depth=depth - 1) for each in cast("list[object]", value))
    return bool(value)  # pyright: ignore[reportUnknownArgumentType]  # a list of anything


def _is_envelope(fields: Mapping[str, Any], more: Collection[str] = ()) -> bool:
    """Return whether an object only describes the request, and holds no record."""
    return {_plain(name) for name in fields} <= {*_ENVELOPE, *more}


def _is_text(value: object, words: set[str]) -> bool:
    return isinstance(value, str) and value.strip().lower() in words


def _is_error_status(value: object) -> bool:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) == 3:
        value = int(value)
    return isinstance(value, int) and 400 <= value < 600


def _words(fields: Mapping[str, Any]) -> set[str]:
    """Return the words with which an answer describes the request's outcome."""
    said = (fields.get(name) for name in ("status", "state", "result", "outcome"))
    return {word.strip().lower() for word in said if isinstance(word, str)}


def as_phone_number(text: str) -> str:
    """Return a phone number that a record gives, empty for a text such as "pending"."""
    return text if text.startswith("+") else ""


def means_failure(word: str | None) -> bool:
    """Return whether *word*, a record's status, means that it failed."""
    return _is_text(word, _FAILED)


def _is_page(response: Response) -> bool:
    """Return whether a body that is no JSON was not written by the API at all."""
    if is_html(response.body):
        return True
    body, kind = response.body.strip(), response.headers.get("content-type", "").lower()
    # JSON that was cut short begins as JSON does, whatever type it was given.
    return bool(body and kind) and "json" not in kind and not body.startswith((b"{", b"["))
