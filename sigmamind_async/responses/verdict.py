"""One attempt, judged: what it proved, which error that is, and whether it may be sent again.

Exception types and status codes alone lie: a "cannot connect" error was seen for a request that
the server had processed, and a gateway answers 503 after the server behind it has committed. A
status line proves that the request left, whatever a session or a transport says of connections.
Without one, one fact decides: was a connection ever handed to the attempt? If not, nothing was
sent. If so, or where that cannot be told, silence proves nothing.

Everything here is an ordinary function of what came back.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from typing import Final, TypeGuard
from urllib.parse import urlsplit, urlunsplit

import attrs

from sigmamind_async.errors import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    Committed,
    OutcomeUnknownError,
    RateLimitError,
    ResponseDecodeError,
    SigmaMindError,
    status_error,
)
from sigmamind_async.operation import (
    ConnectionFlag,
    ErrorDetail,
    Fault,
    FaultKind,
    Operation,
    Response,
    Verdict,
)
from sigmamind_async.responses.confirmation import Unconfirmed
from sigmamind_async.responses.error_body import NO_REASON, is_html, title_of
from sigmamind_async.responses.headers import retry_after
from sigmamind_async.responses.redaction import masked, scrub
from sigmamind_async.values import Secret, redacted

_SILENT = frozenset({408, 499})
"""4xx that a server or a gateway gives for its own impatience, not as a rejection."""


REFUSALS: Final = frozenset({429})
"""Statuses of a rate limit, whichever server they come from."""


@attrs.frozen
class AttemptResult:
    """One attempt and what it proved."""

    answer: Response | Fault
    verdict: Verdict
    wait: float | None = None
    """Seconds the platform asked callers to wait."""
    throttled: bool = False
    """Whether the request was rate-limited."""
    unreadable: ResponseDecodeError | None = None
    """What is wrong with a body that came whole."""
    sort: Unconfirmed = Unconfirmed.GARBLED
    """What such a body is."""

    @property
    def status(self) -> int | None:
        """HTTP status, where one came."""
        return self.answer.status if isinstance(self.answer, Response) else None

    @property
    def refused(self) -> bool:
        """Whether the platform's limiter has refused the request, so that nothing was done."""
        return self.throttled and self.verdict is Verdict.REJECTED

    @property
    def healthy(self) -> bool:
        """Whether the platform works: it answered, if only with a rejection."""
        return self.verdict is not Verdict.NOT_SENT and self.verdict is not Verdict.AMBIGUOUS


MOST_HELD: Final = 1 << 16
"""Most bytes of an answer that is held while its call waits to be sent again."""


def abridged(finding: AttemptResult) -> AttemptResult:
    """Return *finding* with no more of a long answer than an error is made of."""
    answer = finding.answer
    if isinstance(answer, Fault) or len(answer.body) <= MOST_HELD:
        return finding
    return attrs.evolve(finding, answer=attrs.evolve(answer, body=answer.body[:MOST_HELD]))


def confirms(answer: Response | Fault) -> TypeGuard[Response]:
    """Return whether *answer* is a success that came whole: `judge` says CONFIRMED."""
    return isinstance(answer, Response) and 200 <= answer.status < 300 and answer.cut is None


def judge(answer: Response | Fault, *, connected: bool, doubtful: bool = False) -> Verdict:
    """Return what *answer* proves.

    *connected* is the attempt's `ConnectionFlag`, true where that cannot tell; an answer proves it
    anyway. *doubtful* says that an earlier attempt of the same call was ambiguous, so that a 409
    may be the echo of its success. A CONFIRMED answer still has to survive the reading of its body.
    """
    if confirms(answer):
        return Verdict.CONFIRMED
    if isinstance(answer, Fault):
        return Verdict.AMBIGUOUS if connected else Verdict.NOT_SENT
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
    answer: Response | Fault,
    mark: ConnectionFlag,
    *,
    doubtful: bool,
    wall_clock: Callable[[], float],
    refusals: Collection[int] = REFUSALS,
) -> AttemptResult:
    """Judge one attempt, before its body is read.

    *refusals* are the statuses with which the platform's limiter refuses a request that it has
    not handed on.
    """
    verdict = judge(answer, connected=mark.may_have_left, doubtful=doubtful)
    if isinstance(answer, Fault) or answer.status < 400:
        return AttemptResult(answer, verdict)
    refused = answer.status in refusals
    wait = retry_after(answer.headers, wall_clock(), refused=refused)
    # Some gateways throttle with 503; only a `Retry-After` distinguishes that from an outage.
    throttled = refused or (answer.status == 503 and "retry-after" in answer.headers)
    if refused:
        verdict = Verdict.REJECTED
    return AttemptResult(answer, verdict, wait=wait, throttled=throttled)


_GONE = frozenset({502, 503, 504, *range(520, 528), 530})
"""What a gateway answers for a platform that it cannot reach; from 520 on, Cloudflare's."""
_BROKEN = frozenset(
    {FaultKind.CONNECT, FaultKind.CONNECT_TIMEOUT, FaultKind.TIMEOUT, FaultKind.DROPPED}
)


def is_outage(finding: AttemptResult) -> bool:
    """Return whether an attempt ended as all do while the platform is away, or the way to it."""
    answer = finding.answer
    return answer.kind in _BROKEN if isinstance(answer, Fault) else answer.status in _GONE


def may_repeat(operation: Operation[object], finding: AttemptResult) -> bool:
    """Return whether sending *operation* again can do no harm, and may help.

    What was not sent, or was rate-limited, may always be sent. After silence
    only a repeatable call may: a purchase that went unanswered is looked up, never sent blindly.
    """
    answer = finding.answer
    if isinstance(answer, Fault) and answer.permanent:
        return False
    if finding.verdict is Verdict.NOT_SENT or finding.refused:
        return True
    if not operation.repeatable or (finding.unreadable and not finding.sort.may_change):
        return False
    if finding.verdict is Verdict.COMMITTED_UNREAD:
        # A body that was cut may come whole next time; a redirect or a flood is no accident.
        return (
            isinstance(answer, Response)
            and answer.status != 303
            and not (answer.cut and answer.cut.kind is FaultKind.TOO_LARGE)
        )
    return finding.verdict is Verdict.AMBIGUOUS


def leads_to_alias(operation: Operation[object], finding: AttemptResult, base_url: str) -> bool:
    """Return whether *finding* is the one redirect that may be followed.

    That is a 307 or 308, which keep method and body, to the other spelling of the same path. Only
    path and query of it count: a platform behind a proxy writes scheme, host and port as they are
    inside. The request goes to the origin that was asked before, so that nobody else is given the
    key, whatever is named.
    """
    answer, alias = finding.answer, operation.request.alias
    if isinstance(answer, Fault) or answer.status not in {307, 308} or alias is None:
        return False
    prefix = urlsplit(base_url).path
    try:
        location = urlsplit(answer.headers.get("location", "").strip())
    except ValueError:
        return False
    named = urlunsplit(("", "", location.path, location.query, ""))
    # A proxy may take the prefix away before the platform sees the path.
    return _same_case(named) in {_same_case(prefix + alias), _same_case(alias)}


def _same_case(path: str) -> str:
    """Return *path* with its percent-encodings in capitals: either case says the same."""
    return re.sub("%[0-9a-f]{2}", lambda escape: escape[0].upper(), path, flags=re.IGNORECASE)


def error_for(
    operation: Operation[object],
    finding: AttemptResult,
    explain: Callable[[Response], ErrorDetail],
    secrets: Iterable[Secret],
    *,
    base_url: str = "",
) -> SigmaMindError:
    """Return the error that *finding* is, if nothing more is tried.

    *secrets* are masked wherever the platform repeats one of them in its answer. *base_url* is
    named where the answer came from something else than the API.
    """
    error = _error(operation, finding, explain, tuple(secrets), base_url)
    error.not_from_api = is_strange(finding)
    error.operation = operation.name
    error.committed = committed_by(operation, finding.verdict)
    error.retryable = may_repeat(operation, finding)
    return error


def is_strange(finding: AttemptResult) -> bool:
    """Return whether something other than the API answered.

    A 5xx may come from the platform's own gateway, and so may a 429.
    """
    if finding.unreadable is not None:
        return finding.sort is Unconfirmed.PAGE
    answer = finding.answer
    if isinstance(answer, Fault) or finding.throttled:
        return False
    return 400 <= answer.status < 500 and answer.status != 407 and is_html(answer.body)


def committed_by(operation: Operation[object], verdict: Verdict) -> Committed:
    """Return whether an attempt of *operation* that proved *verdict* may have changed anything."""
    return "no" if operation.reads else _COMMITTED[verdict]


_COMMITTED: dict[Verdict, Committed] = {
    Verdict.NOT_SENT: "no",
    Verdict.REJECTED: "no",
    Verdict.CONFIRMED: "yes",
    Verdict.COMMITTED_UNREAD: "yes",
    Verdict.AMBIGUOUS: "unknown",
}


def _error(
    operation: Operation[object],
    finding: AttemptResult,
    explain: Callable[[Response], ErrorDetail],
    secrets: tuple[Secret, ...],
    base_url: str,
) -> SigmaMindError:
    answer = finding.answer
    if isinstance(answer, Fault):
        if finding.verdict is Verdict.NOT_SENT:
            return _unanswered(answer.kind, f"{answer.detail}; nothing was sent", answer.cause)
        if operation.reads:
            message = f"{operation.name}: {answer.detail}; {_HARMLESS}"
            return _unanswered(answer.kind, message, answer.cause)
        return _unknown(operation, finding, answer.detail)
    said = _shown(explain(answer), secrets)
    if 200 <= answer.status < 300:
        problem = _problem(finding, answer, said, secrets, base_url)
        if not operation.reads:
            return _unknown(operation, finding, problem, said.code)
        cut = answer.cut
        if cut is not None and cut.kind in {FaultKind.TIMEOUT, FaultKind.DROPPED}:
            return _unanswered(cut.kind, f"{operation.name}: {problem}; {_HARMLESS}", cut.cause)
        unreadable = ResponseDecodeError(problem)
        # A name in the answer may be part of the path.
        unreadable.path = _kept(finding.unreadable.path if finding.unreadable else "", secrets)
        return unreadable
    if not operation.repeatable and finding.verdict is not Verdict.REJECTED:
        problem = f"the platform answered {answer.status}{_quoted(answer, said)}"
        return _unknown(operation, finding, problem, said.code)
    error = _status_error(answer, finding, said, secrets)
    if is_strange(finding):
        error.message = _strange(answer, secrets, base_url)
    hint = operation.hints.get(answer.status)
    if hint is not None:
        error.message = f"{error.message}; {hint}"
    return error


def _shown(said: ErrorDetail, secrets: tuple[Secret, ...]) -> ErrorDetail:
    """Return what an answer says in words, capped and without secrets."""
    return ErrorDetail(
        message=_capped(said.message, secrets),
        code=_kept(said.code, secrets) or None,
        request_id=_kept(said.request_id, secrets) or None,
    )


_HARMLESS = "the call changes nothing and can be repeated"


def _unanswered(kind: FaultKind, message: str, cause: OSError | None) -> APIConnectionError:
    """Return the error of a call that was not sent, or that only reads."""
    timed_out = kind in {FaultKind.CONNECT_TIMEOUT, FaultKind.TIMEOUT}
    error = (APITimeoutError if timed_out else APIConnectionError)(message)
    error.__cause__ = cause
    return error


def _capped(text: str, secrets: tuple[Secret, ...]) -> str:
    return masked(text, secrets)


def _quoted(answer: Response, said: ErrorDetail) -> str:
    """Return what follows a statement about *answer*: its own words, of a page the title alone."""
    silent = said.message == NO_REASON or (is_html(answer.body) and not title_of(answer.body))
    return "" if silent else f": {said.message}"


def _problem(
    finding: AttemptResult,
    answer: Response,
    said: ErrorDetail,
    secrets: tuple[Secret, ...],
    base_url: str,
) -> str:
    """Return what is wrong with a 2xx that is no success."""
    if finding.unreadable is None:
        cut = answer.cut
        return "the answer cannot be read" if cut is None else cut.detail or cut.kind.value
    problem = _capped(finding.unreadable.message, secrets)
    match finding.sort:
        case Unconfirmed.PAGE:
            return _strange(answer, secrets, base_url)
        case Unconfirmed.GARBLED:
            # Of what cannot be read as a whole no part is shown: half a secret is not masked.
            return problem
        case Unconfirmed.FAILURE:
            return f"the answer reports a failure{_quoted(answer, said)}"
        case Unconfirmed.SILENT:
            return f"{problem}{_quoted(answer, said)}"


def _strange(answer: Response, secrets: tuple[Secret, ...], base_url: str) -> str:
    title = _capped(title_of(answer.body), secrets)
    page = f"a page titled {title!r}" if title else "a page or a text"
    return (
        f"{base_url or 'the base URL'} answered {answer.status} with {page}, which is not the"
        " API's: check base_url, and what is in between (a portal, a proxy, a firewall)"
    )


def _unknown(
    operation: Operation[object], finding: AttemptResult, problem: str, code: str | None = None
) -> OutcomeUnknownError:
    if finding.verdict is Verdict.COMMITTED_UNREAD:
        done = "accepted" if finding.status == 202 else "carried out"
        known = f"it was {done}, but its result is not known"
    else:
        known = "it may have been carried out"
    error = OutcomeUnknownError(f"{operation.name}: {problem}; {known}")
    error.status = finding.status
    error.code = code
    error.value = redacted(operation.value)
    return error


def _status_error(
    answer: Response, finding: AttemptResult, said: ErrorDetail, secrets: tuple[Secret, ...]
) -> APIStatusError:
    message = said.message
    if 300 <= answer.status < 400:
        location = _capped(answer.headers.get("location", ""), secrets)
        message = f"{message}; it leads to {location or 'nowhere'}, which is not followed"
    if answer.status == 407:
        message = f"{message}; the proxy wants user name and password in its URL"
    kind = RateLimitError if finding.refused else status_error(answer.status)
    error = kind(f"{answer.status}: {message}")
    error.status, error.code, error.request_id = answer.status, said.code, said.request_id
    error.body = _kept(answer.body.decode(errors="replace"), secrets)
    error.retry_after = finding.wait
    return error


def _kept(text: str | None, secrets: tuple[Secret, ...]) -> str:
    """Return the part of *text* that an error may hold; empty where a secret may be in it."""
    return scrub(text or "", secrets) or ""
