"""One attempt, judged: each row of the tables of evidence, repetition and errors."""

import pickle

import attrs
import pytest

from sigmamind_async.errors import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    BadRequestError,
    Committed,
    ConflictError,
    NotFoundError,
    OutcomeUnknownError,
    RateLimitError,
    ResponseDecodeError,
    ServerError,
    SigmaMindError,
)
from sigmamind_async.operation import (
    ConnectionFlag,
    Fault,
    FaultKind,
    Method,
    Operation,
    Request,
    Response,
    Verdict,
)
from sigmamind_async.responses.redaction import KEPT, redact
from sigmamind_async.responses.verdict import (
    AttemptResult,
    classify,
    classify_attempt,
    error_for,
    is_retryable,
)
from sigmamind_async.values import REDACTED, Secret

NOT_SENT, REJECTED, CONFIRMED = Verdict.NOT_SENT, Verdict.REJECTED, Verdict.CONFIRMED
UNREAD, AMBIGUOUS = Verdict.COMMITTED_UNREAD, Verdict.AMBIGUOUS

KEY = Secret("sk-canary-1")


@attrs.frozen
class Purchase:
    country: str
    password: Secret


def operation(name: str, method: Method, *, repeatable: bool) -> Operation[None]:
    return Operation(
        name=name,
        request=Request(method=method, path="/v1/things"),
        decode=lambda _: None,
        repeatable=repeatable,
        value=Purchase("US", Secret("hunter2")),
    )


READ = operation("acme.get", "GET", repeatable=True)
WRITE = operation("acme.update", "PATCH", repeatable=True)
BUY = operation("acme.buy", "POST", repeatable=False)


def fault(kind: FaultKind) -> Fault:
    return Fault(kind=kind, detail=kind.value)


def found(
    answer: Response | Fault, *, connected: bool = True, may_be_echo: bool = False, now: float = 0.0
) -> AttemptResult:
    mark = ConnectionFlag()
    mark.connected = connected
    return classify_attempt(answer, mark, may_be_echo=may_be_echo, wall_clock=lambda: now)


def error(operation: Operation[None], finding: AttemptResult) -> SigmaMindError:
    return error_for(operation, finding, [KEY])


# ---------------------------------------------------------------- what an attempt proves


@pytest.mark.parametrize("kind", FaultKind)
def test_without_a_connection_nothing_was_sent(kind: FaultKind) -> None:
    assert classify(fault(kind), connected=False) is NOT_SENT


@pytest.mark.parametrize("kind", FaultKind)
def test_silence_on_a_connection_proves_nothing(kind: FaultKind) -> None:
    """A "cannot connect" was seen for a request that had been processed: only the mark counts."""
    assert classify(fault(kind), connected=True) is AMBIGUOUS


@pytest.mark.parametrize(
    ("status", "verdict"),
    [(200, CONFIRMED), (201, CONFIRMED), (204, CONFIRMED), (299, CONFIRMED), (303, UNREAD)]
    + [(status, REJECTED) for status in (300, 301, 302, 304, 307, 308)]
    + [(status, REJECTED) for status in (400, 401, 402, 403, 404, 405, 409, 410, 418, 422, 429)]
    + [(status, AMBIGUOUS) for status in (408, 499, 500, 501, 502, 503, 504, 520, 599)]
    + [(status, AMBIGUOUS) for status in (0, 100, 103, 199, 600)],
)
def test_a_status_proves(status: int, verdict: Verdict) -> None:
    assert classify(Response(status=status), connected=True) is verdict


@pytest.mark.parametrize("cut", FaultKind)
def test_a_2xx_whose_body_ends_early_is_committed(cut: FaultKind) -> None:
    assert classify(Response(status=201, cut=Fault(kind=cut)), connected=True) is UNREAD


def test_a_rejection_whose_body_ends_early_is_a_rejection() -> None:
    answer = Response(status=422, cut=Fault(kind=FaultKind.DROPPED))

    assert classify(answer, connected=True) is REJECTED


@pytest.mark.parametrize("status", [400, 404, 422, 429])
def test_after_an_ambiguous_attempt_only_409_may_be_an_echo(status: int) -> None:
    """Already existing may be the echo of our own success; no other rejection is."""
    assert classify(Response(status=409), connected=True, may_be_echo=True) is AMBIGUOUS
    assert classify(Response(status=status), connected=True, may_be_echo=True) is REJECTED


# ---------------------------------------------------------------- waits and throttles


def test_429_is_throttled_with_or_without_a_wait() -> None:
    asked = found(Response(status=429, headers={"retry-after": "7"}))
    silent = found(Response(status=429))

    assert (asked.throttled, asked.retry_after) == (True, 7.0)
    assert (silent.throttled, silent.retry_after) == (True, None)


def test_503_is_throttled_only_with_a_wait_beside_it() -> None:
    asked = found(Response(status=503, headers={"retry-after": "7"}))

    assert (asked.throttled, asked.retry_after) == (True, 7.0)
    assert not found(Response(status=503)).throttled
    assert not found(Response(status=500, headers={"retry-after": "7"})).throttled


def test_a_date_to_wait_for_is_read_against_the_wall_clock() -> None:
    headers = {"retry-after": "Thu, 01 Jan 1970 00:01:40 GMT"}

    assert found(Response(status=429, headers=headers), now=70.0).retry_after == 30.0


def test_a_success_is_never_throttled() -> None:
    finding = found(Response(status=200, headers={"retry-after": "7"}))

    assert (finding.throttled, finding.retry_after) == (False, None)


@pytest.mark.parametrize(
    ("answer", "connected", "is_definite"),
    [
        (Response(status=200), True, True),
        (Response(status=404), True, True),
        (Response(status=200, cut=Fault(kind=FaultKind.DROPPED)), True, True),
        (Response(status=500), True, False),
        (fault(FaultKind.DROPPED), True, False),
        (fault(FaultKind.CONNECT), False, False),
    ],
)
def test_a_success_or_a_clear_rejection_is_definite(
    answer: Response | Fault, connected: bool, is_definite: bool
) -> None:
    assert found(answer, connected=connected).is_definite is is_definite


# ---------------------------------------------------------------- may it be sent again?

ATTEMPTS: dict[str, AttemptResult] = {
    "not sent": found(fault(FaultKind.CONNECT), connected=False),
    "429": found(Response(status=429)),
    "503 that throttles": found(Response(status=503, headers={"retry-after": "1"})),
    "500": found(Response(status=500)),
    "408": found(Response(status=408)),
    "499": found(Response(status=499)),
    "no answer in time": found(fault(FaultKind.TIMEOUT)),
    "dropped": found(fault(FaultKind.DROPPED)),
    "not HTTP": found(fault(FaultKind.UNPARSABLE)),
    "409, maybe an echo": found(Response(status=409), may_be_echo=True),
    "first 409": found(Response(status=409)),
    "404": found(Response(status=404)),
    "302": found(Response(status=302)),
    "303": found(Response(status=303)),
    "2xx dropped": found(Response(status=200, cut=Fault(kind=FaultKind.DROPPED))),
    "2xx timed out": found(Response(status=200, cut=Fault(kind=FaultKind.TIMEOUT))),
    "2xx not HTTP": found(Response(status=200, cut=Fault(kind=FaultKind.UNPARSABLE))),
    "2xx too large": found(Response(status=200, cut=Fault(kind=FaultKind.TOO_LARGE))),
    "2xx unreadable": AttemptResult(
        answer=Response(status=200, body=b"nonsense"),
        verdict=UNREAD,
        decode_error=ResponseDecodeError("the answer is not JSON"),
    ),
}

REPEATED_ANYWAY = {"not sent", "429"}
REPEATED_IF_REPEATABLE = REPEATED_ANYWAY | {
    "503 that throttles",
    "500",
    "408",
    "499",
    "no answer in time",
    "dropped",
    "not HTTP",
    "409, maybe an echo",
    "2xx dropped",
    "2xx timed out",
    "2xx not HTTP",
}


@pytest.mark.parametrize("name", ATTEMPTS)
def test_a_repeatable_call_is_repeated_where_that_may_help(name: str) -> None:
    assert is_retryable(WRITE, ATTEMPTS[name]) is (name in REPEATED_IF_REPEATABLE)
    assert is_retryable(READ, ATTEMPTS[name]) is (name in REPEATED_IF_REPEATABLE)


@pytest.mark.parametrize("name", ATTEMPTS)
def test_a_purchase_is_repeated_only_where_nothing_can_have_happened(name: str) -> None:
    """The promise: no silence, no 5xx and no unreadable answer makes it go out again."""
    assert is_retryable(BUY, ATTEMPTS[name]) is (name in REPEATED_ANYWAY)


# ---------------------------------------------------------------- which error it is

Row = tuple[type[SigmaMindError], Committed, bool]

ERRORS_OF_A_PURCHASE: dict[str, Row] = {
    "not sent": (APIConnectionError, "no", True),
    "429": (RateLimitError, "no", True),
    "503 that throttles": (OutcomeUnknownError, "unknown", False),
    "500": (OutcomeUnknownError, "unknown", False),
    "408": (OutcomeUnknownError, "unknown", False),
    "499": (OutcomeUnknownError, "unknown", False),
    "no answer in time": (OutcomeUnknownError, "unknown", False),
    "dropped": (OutcomeUnknownError, "unknown", False),
    "not HTTP": (OutcomeUnknownError, "unknown", False),
    "409, maybe an echo": (OutcomeUnknownError, "unknown", False),
    "first 409": (ConflictError, "no", False),
    "404": (NotFoundError, "no", False),
    "302": (APIStatusError, "no", False),
    "303": (OutcomeUnknownError, "yes", False),
    "2xx dropped": (OutcomeUnknownError, "yes", False),
    "2xx timed out": (OutcomeUnknownError, "yes", False),
    "2xx not HTTP": (OutcomeUnknownError, "yes", False),
    "2xx too large": (OutcomeUnknownError, "yes", False),
    "2xx unreadable": (OutcomeUnknownError, "yes", False),
}

ERRORS_OF_AN_UPDATE: dict[str, Row] = ERRORS_OF_A_PURCHASE | {
    "503 that throttles": (ServerError, "unknown", True),
    "500": (ServerError, "unknown", True),
    "408": (APIStatusError, "unknown", True),
    "499": (APIStatusError, "unknown", True),
    "no answer in time": (OutcomeUnknownError, "unknown", True),
    "dropped": (OutcomeUnknownError, "unknown", True),
    "not HTTP": (OutcomeUnknownError, "unknown", True),
    "409, maybe an echo": (ConflictError, "unknown", True),
    "303": (APIStatusError, "yes", False),
    "2xx dropped": (OutcomeUnknownError, "yes", True),
    "2xx timed out": (OutcomeUnknownError, "yes", True),
    "2xx not HTTP": (OutcomeUnknownError, "yes", True),
    "2xx unreadable": (OutcomeUnknownError, "yes", False),
}

ERRORS_OF_A_READ: dict[str, Row] = {
    name: (cls, "no", retryable) for name, (cls, _, retryable) in ERRORS_OF_AN_UPDATE.items()
} | {
    "no answer in time": (APITimeoutError, "no", True),
    "dropped": (APIConnectionError, "no", True),
    "not HTTP": (APIConnectionError, "no", True),
    "2xx dropped": (APIConnectionError, "no", True),
    "2xx timed out": (APITimeoutError, "no", True),
    "2xx not HTTP": (ResponseDecodeError, "no", True),
    "2xx too large": (ResponseDecodeError, "no", False),
    "2xx unreadable": (ResponseDecodeError, "no", False),
}


def facts(caught: SigmaMindError) -> Row:
    return type(caught), caught.committed, caught.retryable


@pytest.mark.parametrize("name", ATTEMPTS)
def test_the_error_of_a_purchase(name: str) -> None:
    caught = error(BUY, ATTEMPTS[name])

    assert facts(caught) == ERRORS_OF_A_PURCHASE[name]
    assert caught.operation == "acme.buy"


@pytest.mark.parametrize("name", ATTEMPTS)
def test_the_error_of_an_update(name: str) -> None:
    assert facts(error(WRITE, ATTEMPTS[name])) == ERRORS_OF_AN_UPDATE[name]


@pytest.mark.parametrize("name", ATTEMPTS)
def test_the_error_of_a_read_never_says_that_something_was_done(name: str) -> None:
    assert facts(error(READ, ATTEMPTS[name])) == ERRORS_OF_A_READ[name]


def test_an_unknown_outcome_carries_the_value_without_its_secrets_and_the_status() -> None:
    caught = error(BUY, ATTEMPTS["500"])

    assert isinstance(caught, OutcomeUnknownError)
    assert caught.value == Purchase("US", REDACTED)
    assert caught.status == 500
    assert pickle.loads(pickle.dumps(caught)).value == Purchase("US", REDACTED)


def test_an_unknown_outcome_without_an_answer_has_no_status() -> None:
    caught = error(BUY, ATTEMPTS["dropped"])

    assert isinstance(caught, OutcomeUnknownError)
    assert caught.status is None
    assert str(caught) == "acme.buy: the connection broke; it may have been carried out"


def test_an_unreadable_answer_to_a_purchase_says_that_it_was_carried_out() -> None:
    assert str(error(BUY, ATTEMPTS["2xx unreadable"])) == (
        "acme.buy: the answer is not JSON; it was carried out, but its result is not known"
    )


def test_a_silent_read_says_that_it_can_be_made_again() -> None:
    assert str(error(READ, ATTEMPTS["dropped"])).endswith(
        "the call changes nothing and can be repeated"
    )


def test_a_committed_answer_without_a_fault_still_says_something() -> None:
    unread = AttemptResult(answer=Response(status=200), verdict=UNREAD)

    assert str(error(READ, unread)) == "acme.get: the answer cannot be read"


def test_a_connection_error_says_that_nothing_was_sent() -> None:
    assert str(error(BUY, ATTEMPTS["not sent"])) == "could not connect; nothing was sent"


def test_a_status_error_carries_what_the_platform_reports() -> None:
    headers = {"retry-after": "7", "x-request-id": "r-1"}
    body = b'{"error": "too_fast", "message": "slow down"}'
    caught = error(BUY, found(Response(status=429, headers=headers, body=body)))

    assert isinstance(caught, RateLimitError)
    assert str(caught) == "429: slow down"
    assert (caught.status, caught.retry_after, caught.body) == (429, 7.0, body.decode())
    assert (caught.code, caught.request_id) == ("too_fast", "r-1")


def test_what_the_platform_repeats_of_a_secret_is_masked_everywhere() -> None:
    caught = error(BUY, found(Response(status=401, body=b"bad key sk-canary-1")))

    assert "sk-canary-1" not in repr(vars(caught)) + str(caught)
    assert str(caught) == "401: bad key ***"


def test_a_name_in_an_answer_that_cannot_be_read_is_masked_too() -> None:
    odd = ResponseDecodeError("data.sk-canary-1.active: is no bool")
    odd.path = "data.sk-canary-1.active"
    finding = AttemptResult(Response(status=200), Verdict.COMMITTED_UNREAD, decode_error=odd)
    caught = error(READ, finding)

    assert isinstance(caught, ResponseDecodeError)
    assert (str(caught), caught.path) == (
        "acme.get: data.***.active: is no bool",
        "data.***.active",
    )


def test_half_of_a_key_that_is_joined_by_a_colon_is_masked_too() -> None:
    key = Secret("key_1:s3cretS3cret")

    assert redact("bad key key_1:s3cretS3cret", [key]) == "bad key ***"
    assert redact("s3cretS3cret of key_1", [key]) == "*** of key_1"


def test_the_control_what_is_no_secret_is_not_masked() -> None:
    caught = error_for(BUY, found(Response(status=401, body=b"sk-canary-1")), [])

    assert str(caught) == "401: sk-canary-1"


def test_a_secret_across_the_cut_of_a_long_text_is_masked_before_cutting() -> None:
    text = "x" * (KEPT - 4) + "sk-canary-1"
    caught = error(BUY, found(Response(status=400, body=text.encode())))

    assert isinstance(caught, BadRequestError)
    assert caught.body.endswith("x***")
    assert len(caught.body) <= KEPT


def test_a_long_answer_is_cut() -> None:
    headers, body = {"x-request-id": "y" * 10_000}, b'{"error": "%s"}' % (b"y" * 10_000)
    caught = error(WRITE, found(Response(status=500, headers=headers, body=body)))

    assert isinstance(caught, ServerError)
    assert [len(text or "") for text in (caught.body, caught.code)] == [512] * 2
    assert caught.request_id is None  # of no use to anyone as a part
    assert len(str(caught)) < 600


def test_a_body_that_is_no_text_is_kept_as_far_as_it_is() -> None:
    caught = error(WRITE, found(Response(status=500, body=b"\xff\xfebad")))

    assert isinstance(caught, ServerError)
    assert caught.body == "\ufffd\ufffdbad"


def test_an_empty_secret_masks_nothing() -> None:
    assert redact("text", [Secret("")]) == "text"
