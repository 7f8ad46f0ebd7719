"""One attempt, judged: what it proved, which error that is, and whether it may be sent again.

Exception types and status codes alone lie: a "cannot connect" error was seen for a request that
the server had processed, and a gateway answers 503 after the server behind it has committed. So
one fact decides first: was a connection ever handed to the attempt? If not, nothing was sent. If
so, only an answer that says what happened proves anything; silence proves nothing.

Everything here is an ordinary function of what came back.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import TypeGuard

from sigmamind_async import static
from sigmamind_async.errors import (
    APIConnectionError,
    APIStatusError,
    Committed,
    OutcomeUnknownError,
    ResponseDecodeError,
    SigmaMindError,
    status_error,
)
from sigmamind_async.operation import (
    Explanation,
    Fault,
    FaultKind,
    Mark,
    Operation,
    Response,
    Verdict,
)
from sigmamind_async.response_headers import retry_after
from sigmamind_async.values import Secret, redacted

BODY_TEXT = 512
"""Most characters of an error answer that an exception keeps."""

_PART = 8
"""Characters from which on a part of a secret is masked by itself; shorter ones stand in words."""

_SILENT = frozenset({408, 499})
"""4xx that a server or a gateway gives for its own impatience, not as a rejection."""


@static.frozen
class Finding:
    """One attempt and what it proved."""

    answer: Response | Fault
    verdict: Verdict
    wait: float | None = None
    """Seconds the platform asked callers to wait."""
    throttled: bool = False
    """Whether the request was refused for being one too many."""
    unreadable: ResponseDecodeError | None = None
    """What is wrong with a body that came whole."""

    @property
    def status(self) -> int | None:
        """HTTP status, where one came."""
        return self.answer.status if isinstance(self.answer, Response) else None

    @property
    def healthy(self) -> bool:
        """Whether the platform answered in its right mind, be it with a rejection."""
        return self.verdict is not Verdict.NOT_SENT and self.verdict is not Verdict.AMBIGUOUS


def confirms(answer: Response | Fault, connected: bool) -> TypeGuard[Response]:  # noqa: FBT001 - by name a call costs twice as much
    """Return whether *answer* is a success that came whole: `judge` says CONFIRMED."""
    return (
        connected
        and isinstance(answer, Response)
        and 200 <= answer.status < 300
        and answer.cut is None
    )


def judge(answer: Response | Fault, *, connected: bool, doubtful: bool = False) -> Verdict:
    """Return what *answer* proves.

    *connected* is the attempt's `Mark`. *doubtful* says that an earlier attempt of the same call
    was ambiguous, so that a 409 may be the echo of its success. A CONFIRMED answer still has to
    survive the reading of its body.
    """
    if not connected:
        return Verdict.NOT_SENT
    if confirms(answer, connected):
        return Verdict.CONFIRMED
    if isinstance(answer, Fault):
        return Verdict.AMBIGUOUS
    status = answer.status
    if 200 <= status < 300 or status == 303:
        # It was processed. "See other": its result is elsewhere (RFC 9110, 15.4.4).
        return Verdict.COMMITTED_UNREAD
    if status == 409 and doubtful:
        return Verdict.AMBIGUOUS
    if 300 <= status < 500 and status not in _SILENT:
        return Verdict.REJECTED
    return Verdict.AMBIGUOUS


def find(
    answer: Response | Fault, mark: Mark, *, doubtful: bool, wall_clock: Callable[[], float]
) -> Finding:
    """Judge one attempt, before its body is read."""
    verdict = judge(answer, connected=mark.connected, doubtful=doubtful)
    if isinstance(answer, Fault) or answer.status < 400:
        return Finding(answer, verdict)
    wait = retry_after(answer.headers, wall_clock(), refused=answer.status == 429)
    # Some gateways throttle with 503; only a wait beside it tells that from an outage.
    throttled = answer.status == 429 or (answer.status == 503 and "retry-after" in answer.headers)
    return Finding(answer, verdict, wait=wait, throttled=throttled)


_GONE = frozenset({502, 503, 504, *range(520, 528), 530})
"""What a gateway answers for a platform that it cannot reach; from 520 on, Cloudflare's."""
_BROKEN = frozenset(
    {FaultKind.CONNECT, FaultKind.CONNECT_TIMEOUT, FaultKind.TIMEOUT, FaultKind.DROPPED}
)


def is_outage(finding: Finding) -> bool:
    """Return whether an attempt ended as all do while the platform is away, or the way to it."""
    answer = finding.answer
    return answer.kind in _BROKEN if isinstance(answer, Fault) else answer.status in _GONE


def may_repeat(operation: Operation[object], finding: Finding) -> bool:
    """Return whether sending *operation* again can do no harm, and may help.

    What was not sent, or was refused for being one too many, may always be sent. After silence
    only a repeatable call may: a purchase that went unanswered is looked up, never sent blindly.
    """
    if finding.verdict is Verdict.NOT_SENT or finding.status == 429:
        return True
    if not operation.repeatable:
        return False
    if finding.verdict is Verdict.COMMITTED_UNREAD:
        # Garbage for an answer may be a proxy's bad moment; a redirect or a flood is no accident.
        answer = finding.answer
        return (
            isinstance(answer, Response)
            and answer.status != 303
            and answer.cut is not FaultKind.TOO_LARGE
        )
    return finding.verdict is Verdict.AMBIGUOUS


def leads_to_alias(operation: Operation[object], finding: Finding, base_url: str) -> bool:
    """Return whether *finding* is the one redirect that may be followed.

    That is a 307 or 308, which keep method and body, to the other spelling of the same path on the
    origin that was asked; anywhere else the key would be given away.
    """
    answer, alias = finding.answer, operation.request.alias
    if isinstance(answer, Fault) or answer.status not in {307, 308} or alias is None:
        return False
    location = answer.headers.get("location", "")
    origin = "/".join(base_url.split("/", 3)[:3])
    prefix = base_url.removeprefix(origin)
    return location in {base_url + alias, prefix + alias}


def ignored_error(operation: Operation[object], fields: Iterable[str]) -> APIStatusError:
    """Return the error for an answer that says 200 and shows other values than were sent."""
    names = ", ".join(fields)
    error = APIStatusError(f"{operation.name}: the platform answered 200 and did not take: {names}")
    error.operation, error.status, error.code = operation.name, 200, "fields_ignored"
    error.committed = "yes"
    return error


def error_for(
    operation: Operation[object],
    finding: Finding,
    explain: Callable[[Response], Explanation],
    secrets: Iterable[Secret],
) -> SigmaMindError:
    """Return the error that *finding* is, if nothing more is tried.

    *secrets* are masked wherever the platform repeats one of them in its answer.
    """
    error = _error(operation, finding, explain, tuple(secrets))
    error.operation = operation.name
    error.committed = "no" if operation.reads else _COMMITTED[finding.verdict]
    error.retryable = may_repeat(operation, finding)
    return error


_COMMITTED: dict[Verdict, Committed] = {
    Verdict.NOT_SENT: "no",
    Verdict.REJECTED: "no",
    Verdict.CONFIRMED: "yes",
    Verdict.COMMITTED_UNREAD: "yes",
    Verdict.AMBIGUOUS: "unknown",
}


def _error(
    operation: Operation[object],
    finding: Finding,
    explain: Callable[[Response], Explanation],
    secrets: tuple[Secret, ...],
) -> SigmaMindError:
    answer = finding.answer
    if isinstance(answer, Fault):
        if finding.verdict is Verdict.NOT_SENT:
            return APIConnectionError(f"{answer.detail}; nothing was sent")
        return _unknown(operation, finding, answer.detail)
    if finding.verdict is Verdict.COMMITTED_UNREAD and answer.status < 300:
        problem = _problem(finding, answer)
        if not operation.reads:
            return _unknown(operation, finding, problem)
        return finding.unreadable or ResponseDecodeError(problem)
    if not operation.repeatable and finding.verdict is not Verdict.REJECTED:
        return _unknown(operation, finding, f"the platform answered {answer.status}")
    error = _status_error(answer, finding, explain(answer), secrets)
    hint = operation.hints.get(answer.status)
    if hint is not None:
        error.message = f"{error.message}; {hint}"
    return error


def _problem(finding: Finding, answer: Response) -> str:
    if finding.unreadable is not None:
        return finding.unreadable.message
    return answer.cut.value if answer.cut is not None else "the answer cannot be read"


def _unknown(operation: Operation[object], finding: Finding, problem: str) -> OutcomeUnknownError:
    known = (
        "it was carried out, its result is not known"
        if finding.verdict is Verdict.COMMITTED_UNREAD
        else "it may have been carried out"
    )
    if operation.reads:
        known = "it changes nothing and can be made again"
    error = OutcomeUnknownError(f"{operation.name}: {problem}; {known}")
    error.status = finding.status
    error.value = redacted(operation.value)
    return error


def _status_error(
    answer: Response, finding: Finding, said: Explanation, secrets: tuple[Secret, ...]
) -> APIStatusError:
    message = masked(said.message, secrets)[:BODY_TEXT]
    error = status_error(answer.status)(f"{answer.status}: {message}")
    error.status = answer.status
    error.code = said.code and masked(said.code, secrets)[:BODY_TEXT]
    error.request_id = said.request_id and masked(said.request_id, secrets)[:BODY_TEXT]
    error.body = masked(answer.body.decode(errors="replace"), secrets)[:BODY_TEXT]
    error.retry_after = finding.wait
    return error


def masked(text: str, secrets: Iterable[Secret]) -> str:
    """Return *text* with every one of *secrets* replaced by asterisks."""
    for secret in secrets:
        for spelling in _spellings(secret.reveal()):
            text = text.replace(spelling, "***")
    return text


def _spellings(plain: str) -> list[str]:
    """Return what to look for, the longest first.

    That is *plain* as it stands in a text and inside JSON, where a quote has a backslash, and the
    longer parts of one that is joined by colons: a platform may repeat half of ``id:secret``.
    """
    parts = [part for part in plain.split(":") if len(part) >= _PART]
    wholes = [plain] if plain else []
    spellings = {
        spelling
        for text in (*wholes, *parts)
        for spelling in (text, json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1])
    }
    return sorted(spellings, key=len, reverse=True)
