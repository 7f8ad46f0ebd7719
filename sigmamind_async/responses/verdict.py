"""What one attempt proved, whether it may be sent again, and which error it is.

    no connection was handed to the attempt, and no status line came    NOT_SENT
    3xx or 4xx, but not 303, 408, 499; 409 on a first attempt           REJECTED
    2xx whose body was read and names its object                        CONFIRMED
    2xx whose body was cut, cannot be read or names nothing; 303        COMMITTED_UNREAD
    2xx that reports a failure, or is not the API's at all              AMBIGUOUS
    all else: 5xx, 408, 499, timeout, reset, 409 as a possible echo     AMBIGUOUS

Exception types and status codes alone lie: a "cannot connect" error was seen for a request that the
server had processed, and a gateway answers 503 after the server behind it has committed. A status
line proves that the request left, whatever a session or transport reports. Without one, whether a
connection was ever handed to the attempt decides; where that is unknown, it counts as connected.

Pure: everything here is a function of the response.
"""

from __future__ import annotations

import functools
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
    Fault,
    FaultKind,
    Operation,
    Response,
    Verdict,
)
from sigmamind_async.responses.confirmation import BodyProblem, body_problem
from sigmamind_async.responses.error_body import (
    NO_REASON,
    ErrorDetail,
    is_html,
    on_one_line,
    parse_error_body,
    title_of,
)
from sigmamind_async.responses.headers import REFUSAL_STATUSES, retry_after
from sigmamind_async.responses.redaction import WITHHELD, redact
from sigmamind_async.values import Secret, redacted

MAX_HELD: Final = 1 << 16
"""Most bytes of a body that are held while its call waits to be sent again."""

_TIMEOUTS: Final = frozenset({FaultKind.CONNECT_TIMEOUT, FaultKind.TIMEOUT})
_BROKEN: Final = _TIMEOUTS | {FaultKind.CONNECT, FaultKind.DROPPED}
_IMPATIENT: Final = frozenset({408, 499})
"""4xx with which a server or gateway stops waiting; no rejections."""
_GATEWAY: Final = frozenset({502, 503, 504, *range(520, 528), 530})
"""What a gateway answers for a platform that it cannot reach; from 520 on, Cloudflare's."""
_COMMITTED: Final[dict[Verdict, Committed]] = {
    Verdict.NOT_SENT: "no",
    Verdict.REJECTED: "no",
    Verdict.CONFIRMED: "yes",
    Verdict.COMMITTED_UNREAD: "yes",
    Verdict.AMBIGUOUS: "unknown",
}


@attrs.frozen
class AttemptResult:
    """One attempt and what it proved."""

    answer: Response | Fault
    verdict: Verdict
    retry_after: float | None = None
    """Seconds the platform asked callers to wait."""
    throttled: bool = False
    """True if the platform asked for fewer requests."""
    decode_error: ResponseDecodeError | None = None
    """What is wrong with the whole body of a 2xx."""
    problem: BodyProblem | None = None
    """What kind of body that is."""

    @property
    def status(self) -> int | None:
        """HTTP status, where one came."""
        return self.answer.status if isinstance(self.answer, Response) else None

    @property
    def rate_limited(self) -> bool:
        """True if the platform's limiter refused the request, so that nothing was done."""
        return self.throttled and self.verdict is Verdict.REJECTED

    @property
    def is_definite(self) -> bool:
        """True if the platform works: a success or a clear rejection."""
        return self.verdict is not Verdict.NOT_SENT and self.verdict is not Verdict.AMBIGUOUS

    @property
    def is_outage(self) -> bool:
        """True if the attempt ended as all do while the platform, or the way to it, is down."""
        answer = self.answer
        return answer.kind in _BROKEN if isinstance(answer, Fault) else answer.status in _GATEWAY

    @property
    def is_not_from_api(self) -> bool:
        """True if something other than the API answered.

        A 5xx may come from the platform's own gateway, and so may a 429.
        """
        answer = self.answer
        if self.problem is not None or isinstance(answer, Fault) or self.throttled:
            return self.problem is BodyProblem.NOT_FROM_API
        return 400 <= answer.status < 500 and answer.status != 407 and is_html(answer.body)

    def trimmed(self) -> AttemptResult:
        """Return this result with as much of a long body as an error needs."""
        answer = self.answer
        if isinstance(answer, Fault) or len(answer.body) <= MAX_HELD:
            return self
        return attrs.evolve(self, answer=attrs.evolve(answer, body=answer.body[:MAX_HELD]))


# --- what an attempt proved ------------------------------------------------------------------


def is_success(answer: Response | Fault) -> TypeGuard[Response]:
    """Return whether *answer* is a 2xx that came whole; its body has yet to be read."""
    return isinstance(answer, Response) and 200 <= answer.status < 300 and answer.cut is None


def classify(answer: Response | Fault, *, connected: bool, may_be_echo: bool = False) -> Verdict:
    """Return what *answer* proves before its body is read.

    Args:
        answer: The response, or why there is none.
        connected: The attempt's `ConnectionFlag`; true where that is not known.
        may_be_echo: True if an earlier attempt may have acted, so that a 409 may be the echo of
            its success.
    """
    if is_success(answer):
        return Verdict.CONFIRMED
    if isinstance(answer, Fault):
        return Verdict.AMBIGUOUS if connected else Verdict.NOT_SENT
    status = answer.status
    if 200 <= status < 300 or status == 303:
        # 303 See Other: it was processed, and the result is elsewhere (RFC 9110, 15.4.4).
        return Verdict.COMMITTED_UNREAD
    if status in _IMPATIENT or (status == 409 and may_be_echo):
        return Verdict.AMBIGUOUS
    return Verdict.REJECTED if 300 <= status < 500 else Verdict.AMBIGUOUS


def classify_attempt(
    answer: Response | Fault,
    flag: ConnectionFlag,
    *,
    may_be_echo: bool,
    wall_clock: Callable[[], float],
    refusal_statuses: Collection[int] = REFUSAL_STATUSES,
) -> AttemptResult:
    """Classify one attempt before its body is read.

    *refusal_statuses* are those with which the platform's limiter refuses a request that it has not
    handed on.
    """
    verdict = classify(answer, connected=flag.may_have_left, may_be_echo=may_be_echo)
    if isinstance(answer, Fault) or answer.status < 400:
        return AttemptResult(answer, verdict)
    refused = answer.status in refusal_statuses
    wait = retry_after(answer.headers, wall_clock(), refused=refused)
    # Some gateways throttle with 503; only a `Retry-After` distinguishes that from an outage.
    throttled = refused or (answer.status == 503 and "retry-after" in answer.headers)
    return AttemptResult(answer, Verdict.REJECTED if refused else verdict, wait, throttled)


def classify_unreadable(answer: Response, error: ResponseDecodeError) -> AttemptResult:
    """Classify a 2xx that its operation could not read: the less it holds, the less it proves."""
    problem = body_problem(answer)
    proves_nothing = problem in {BodyProblem.NOT_FROM_API, BodyProblem.REPORTS_FAILURE}
    verdict = Verdict.AMBIGUOUS if proves_nothing else Verdict.COMMITTED_UNREAD
    return AttemptResult(answer, verdict, decode_error=error, problem=problem)


def committed_by(operation: Operation[object], verdict: Verdict) -> Committed:
    """Return whether an attempt of *operation* that proved *verdict* may have changed anything."""
    return "no" if operation.reads else _COMMITTED[verdict]


# --- what may follow -------------------------------------------------------------------------


def is_retryable(operation: Operation[object], result: AttemptResult) -> bool:
    """Return whether sending *operation* again can do no harm, and may help.

    What was not sent, or was rate-limited, may always be sent. After silence only a repeatable call
    may: a purchase without a response is looked up, never sent blindly.
    """
    answer = result.answer
    if isinstance(answer, Fault) and answer.permanent:
        return False
    if result.verdict is Verdict.NOT_SENT or result.rate_limited:
        return True
    if not operation.repeatable:
        return False
    if result.verdict is Verdict.AMBIGUOUS:
        # The API itself would repeat what it reported.
        return result.problem is not BodyProblem.REPORTS_FAILURE
    # A body that was cut may come whole next time; one that is too large will not.
    cut = answer.cut if isinstance(answer, Response) and answer.status != 303 else None
    return (
        result.verdict is Verdict.COMMITTED_UNREAD
        and cut is not None
        and cut.kind is not FaultKind.TOO_LARGE
    )


def is_alias_redirect(alias: str | None, result: AttemptResult, base_url: str) -> bool:
    """Return whether *result* is the one redirect that may be followed.

    That is a 307 or 308, which keep method and body, to *alias*, the path's other spelling. Only
    its path and query count: behind a proxy, a platform writes scheme, host and port as they are
    inside. The request goes to the same origin as before, so no other host is given the key.
    """
    answer = result.answer
    if isinstance(answer, Fault) or answer.status not in {307, 308} or alias is None:
        return False
    try:
        location = urlsplit(answer.headers.get("location", "").strip())
    except ValueError:
        return False
    target = urlunsplit(("", "", location.path, location.query, ""))
    # A proxy may remove the prefix before the platform sees the path.
    prefix = urlsplit(base_url).path
    return _upper_escapes(target) in {_upper_escapes(prefix + alias), _upper_escapes(alias)}


def _upper_escapes(path: str) -> str:
    return re.sub("%[0-9a-f]{2}", lambda escape: escape[0].upper(), path, flags=re.IGNORECASE)


# --- which error it is -----------------------------------------------------------------------


def error_for(
    operation: Operation[object],
    result: AttemptResult,
    secrets: Iterable[Secret],
    *,
    base_url: str = "",
) -> SigmaMindError:
    """Return the error that *result* is, if nothing more is tried.

    *secrets* are masked wherever the platform repeats them. *base_url* is named where something
    other than the API answered.
    """
    error = _ErrorMaker(operation, result, tuple(secrets), base_url).make()
    error.not_from_api = result.is_not_from_api
    error.operation = operation.name
    error.committed = committed_by(operation, result.verdict)
    error.retryable = is_retryable(operation, result)
    return error


@attrs.frozen
class _ErrorMaker:
    """Chooses the class of an error and words it, without secrets."""

    operation: Operation[object]
    result: AttemptResult
    secrets: tuple[Secret, ...]
    base_url: str

    @functools.cached_property
    def detail(self) -> ErrorDetail:
        """The platform's message, without secrets."""
        answer = self.result.answer
        if isinstance(answer, Fault):
            return ErrorDetail(message=NO_REASON)
        detail = parse_error_body(answer)
        return ErrorDetail(
            message=self._redact(detail.message),
            code=self._redact(detail.code, "") or None,
            request_id=self._redact(detail.request_id, "") or None,
        )

    def make(self) -> SigmaMindError:
        answer = self.result.answer
        if isinstance(answer, Fault):
            return self._fault_error(answer)
        if 200 <= answer.status < 300:
            return self._unread_error(answer)
        if not self.operation.repeatable and self.result.verdict is not Verdict.REJECTED:
            problem = f"the platform answered {answer.status}{self._quote(answer)}"
            return self._unknown_error(problem)
        return self._status_error(answer)

    def _fault_error(self, fault: Fault) -> SigmaMindError:
        problem = fault.detail or fault.kind.value
        if self.result.verdict is Verdict.NOT_SENT:
            message = f"{problem}; nothing was sent"
        elif self.operation.reads:
            name = self.operation.name
            message = f"{name}: {problem}; the call changes nothing and can be repeated"
        else:
            return self._unknown_error(problem)
        error = (APITimeoutError if fault.kind in _TIMEOUTS else APIConnectionError)(message)
        error.__cause__ = fault.cause
        return error

    def _unread_error(self, answer: Response) -> SigmaMindError:
        """Return the error of a 2xx that is no success."""
        cut = answer.cut
        if not self.operation.reads:
            return self._unknown_error(self._unread_problem(answer))
        if cut is not None and cut.kind in _BROKEN:
            return self._fault_error(cut)
        error = ResponseDecodeError(f"{self.operation.name}: {self._unread_problem(answer)}")
        # A name in the body may be part of the path.
        path = self.result.decode_error.path if self.result.decode_error else ""
        error.path = self._redact(path, "")
        return error

    def _status_error(self, answer: Response) -> APIStatusError:
        status = answer.status
        message = f"{status}: {self.detail.message}"
        if self.result.is_not_from_api:
            message = self._page_problem(answer)
        elif 300 <= status < 400:
            location = self._redact(answer.headers.get("location", "")) or "nowhere"
            message = f"{message}; it redirects to {location}, which is not followed"
        elif status == 407:
            message = f"{message}; the proxy requires a user name and password in its URL"
        if status in self.operation.hints:
            message = f"{message}; {self.operation.hints[status]}"
        error = (RateLimitError if self.result.rate_limited else status_error(status))(message)
        error.status, error.code = status, self.detail.code
        error.request_id = self.detail.request_id
        error.body = redact(answer.body.decode(errors="replace"), self.secrets, "")
        error.retry_after = self.result.retry_after
        return error

    def _unknown_error(self, problem: str) -> OutcomeUnknownError:
        if self.result.verdict is Verdict.COMMITTED_UNREAD:
            done = "accepted" if self.result.status == 202 else "carried out"
            known = f"it was {done}, but its result is not known"
        else:
            known = "it may have been carried out"
        error = OutcomeUnknownError(f"{self.operation.name}: {problem}; {known}")
        error.status, error.code = self.result.status, self.detail.code
        error.value = redacted(self.operation.value)
        return error

    def _unread_problem(self, answer: Response) -> str:
        """Return what is wrong with a 2xx that is no success."""
        if answer.cut is not None:
            return answer.cut.detail or answer.cut.kind.value
        if self.result.decode_error is None:
            return "the answer cannot be read"
        problem = self._redact(self.result.decode_error.message)
        match self.result.problem:
            case BodyProblem.NOT_FROM_API:
                return self._page_problem(answer)
            case BodyProblem.REPORTS_FAILURE:
                return f"the answer reports a failure{self._quote(answer)}"
            case BodyProblem.NAMES_NOTHING:
                return f"{problem}{self._quote(answer)}"
            case _:
                # Of what cannot be read as a whole no part is shown: half a secret is not masked.
                return problem

    def _page_problem(self, answer: Response) -> str:
        title = self._redact(title_of(answer.body))
        page = f"a page titled {title!r}" if title else "a page or plain text"
        return (
            f"{self.base_url or 'the base URL'} answered {answer.status} with {page}, which is not"
            " the API's: check base_url, and what is in between (a portal, a proxy, a firewall)"
        )

    def _quote(self, answer: Response) -> str:
        """Return ``: `` and the platform's own words; nothing where there are none."""
        untitled = is_html(answer.body) and not title_of(answer.body)
        message = self.detail.message
        return "" if message == NO_REASON or untitled else f": {message}"

    def _redact(self, text: str | None, withheld: str = WITHHELD) -> str:
        return on_one_line(redact(text or "", self.secrets, withheld))
