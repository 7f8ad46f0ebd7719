"""Every exception of this package, under one base.

    SigmaMindError
      ConfigurationError (ValueError)     key, base URL or an option cannot be used
      InvalidRequestError (ValueError)    refused locally: `field` and `rule`
      APIConnectionError                  nothing was sent
      OutcomeUnknownError                 something was sent, nothing readable came back
      APIStatusError                      the platform answered with an error status
        BadRequestError                   400, 422
        AuthenticationError               401
        InsufficientFundsError            402
        PermissionDeniedError             403
        NotFoundError                     404
        ConflictError                     409
        RateLimitError                    429, with `retry_after`
        ServerError                       5xx
      ResponseDecodeError                 a read answered 2xx with a body we cannot read
      CircuitOpenError                    refused at the gate, nothing was sent
      JournalError  PlanError  SpendLimitError

The tree is cut by what the caller can do next: mend the call, wait, look the outcome up, give up.
`committed` says whether the platform may have acted: "no", "yes" or "unknown". Exceptions hold
neither a header nor a request body, so none of them can carry an API key or a trunk password, and
all of them survive pickle and deepcopy (which rebuild from `args` and the attributes).
"""

from __future__ import annotations

from typing import Literal

Committed = Literal["no", "yes", "unknown"]


class SigmaMindError(Exception):
    """Base of every exception this package raises on purpose."""

    committed: Committed = "no"
    """Whether the platform may have acted on the call."""
    retryable: bool = False
    """Whether the same call may succeed later, without a change, and be safe to make."""
    operation: str | None = None
    """Name of the vendor call, such as ``sigmamind.create_phone_number``."""
    attempts: int = 0
    """Requests sent or tried for this call."""
    elapsed: float = 0.0
    """Seconds from the start of the call to the error."""
    not_from_api: bool = False
    """True when the answer was not the API's at all, an HTML page for instance."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message)
        self.message = message

    def __str__(self) -> str:
        return self.message


class ConfigurationError(SigmaMindError, ValueError):
    """The client cannot work as configured: API key, base URL or an option."""


class InvalidRequestError(SigmaMindError, ValueError):
    """A value was refused before anything was sent."""

    def __init__(
        self, message: str = "", field: str | None = None, rule: str | None = None
    ) -> None:
        """Say which *field* broke which *rule*; both are plain words for a person."""
        super().__init__(message or f"{field}: {rule}")
        self.field = field
        self.rule = rule


class APIConnectionError(SigmaMindError):
    """No connection was had: the platform received nothing."""

    retryable = True


class OutcomeUnknownError(SigmaMindError):
    """The request went out, and no answer says how it ended: the platform may have acted.

    `committed` is "yes" when a 2xx status line arrived with an answer that cannot be read or names
    nothing, and "unknown" otherwise, as after a 2xx that reports a failure. Look the number up
    before sending the call again.
    """

    committed: Committed = "unknown"
    status: int | None = None
    """HTTP status, where one came."""
    code: str | None = None
    """The platform's own short name of the error, where it gives one."""
    value: object = None
    """The request value that was sent, its secrets replaced by ``REDACTED``."""


class APIStatusError(SigmaMindError):
    """The platform answered with an error status."""

    status: int = 0
    """HTTP status."""
    code: str | None = None
    """The platform's own short name of the error, where it gives one."""
    request_id: str | None = None
    """The platform's id of the request, where it gives one."""
    body: str = ""
    """The answer's text: at most 512 characters, known secrets masked."""
    retry_after: float | None = None
    """Seconds the platform asked callers to wait."""


class BadRequestError(APIStatusError):
    """400 or 422: the platform refused the values."""


class AuthenticationError(APIStatusError):
    """401: the API key is missing, wrong or revoked."""


class InsufficientFundsError(APIStatusError):
    """402: the account cannot pay for the call."""


class PermissionDeniedError(APIStatusError):
    """403: the key may not do this."""


class NotFoundError(APIStatusError):
    """404: no such record, or no such route."""


class ConflictError(APIStatusError):
    """409: the record's present state forbids the call."""


class RateLimitError(APIStatusError):
    """429: one request too many; nothing was done. `retry_after` in seconds, where it was given.

    It is what the platform said, however long: the client itself waits no longer than
    `Gate(max_pause=...)`.
    """

    retryable = True


class ServerError(APIStatusError):
    """5xx: the platform failed, possibly after it had acted."""

    retryable = True


class ResponseDecodeError(SigmaMindError):
    """A 2xx answer could not be read; `path` names the place, such as ``data[3].active``."""

    path: str = ""


class CircuitOpenError(SigmaMindError):
    """The gate refused the call, so nothing was sent: the platform keeps failing, or is full."""

    retryable = True
    retry_after: float | None = None
    """Seconds until the gate expects to admit calls again."""


class JournalError(SigmaMindError):
    """The provisioning journal cannot be used, or contradicts the call."""

    op_id: str | None = None
    """The operation that it is about; `None` where the journal itself cannot be used."""


class PlanError(SigmaMindError):
    """A plan cannot be made, or no longer fits the state it was made against."""


class SpendLimitError(SigmaMindError):
    """The purchase would go past the allowed number of purchases."""


_BY_STATUS: dict[int, type[APIStatusError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    402: InsufficientFundsError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    422: BadRequestError,
    429: RateLimitError,
}


def status_error(status: int) -> type[APIStatusError]:
    """Return the exception class that stands for an HTTP *status*."""
    if status >= 500:
        return ServerError
    return _BY_STATUS.get(status, APIStatusError)
