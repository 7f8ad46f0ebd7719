"""Every exception of this package, under one base.

    SigmaMindError
      ConfigurationError (ValueError)     key, base URL or an option cannot be used
      InvalidRequestError (ValueError)    refused locally: `field` and `rule`
      APIConnectionError                  nothing was sent, or a read got no answer
        APITimeoutError (TimeoutError)    a deadline passed: before anything was sent, or for a read
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
      FieldsIgnoredError                  strict=True: a 200 shows other values than were sent
      ResponseDecodeError                 a read answered 2xx with a body we cannot read
      CircuitOpenError                    refused at the gate, nothing was sent
      JournalError  PlanError  SpendLimitError

Classes are split by what the caller can do next: fix the call, wait, look the outcome up, or stop.
`committed` shows whether the platform may have acted: "no", "yes" or "unknown". Exceptions hold
neither a header nor a request body, so none of them can carry an API key or a trunk password.

All of them survive pickle and deepcopy, and being rebuilt from the name of their type and their
`args`, as JSON result backends do: the last of `args` is `to_dict()`. Built from a message alone, a
class that does not settle whether the platform acted has "unknown" for `committed`.
"""

from __future__ import annotations

import functools
import inspect
import json
import math
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, TypeGuard, TypeVar, cast, get_args

Committed = Literal["no", "yes", "unknown"]

_CONSTRUCTOR_ARGS: Any = BaseException.args
"""The slot behind `args`: what the constructor was given by place."""


class _RestoringMeta(type):
    """Lets each class be called with its own arguments and, after them, what `to_dict` returned.

    A metaclass, because a subclass of a user's may have a constructor that knows nothing of this.
    """

    if not TYPE_CHECKING:  # a checker is to see each class's own constructor

        def __call__(cls, *args: object, **options: object) -> object:
            facts = [each for each in args[-1:] if _is_facts(each)]
            given = args[: len(args) - len(facts)]
            error = super().__call__(*given, **options)
            _CONSTRUCTOR_ARGS.__set__(error, given)
            for each in facts:
                error._restore(each)  # noqa: SLF001 - its own class's
            return error


class SigmaMindError(Exception, metaclass=_RestoringMeta):
    """Base of every exception this package raises on purpose.

    ``sigmamind explain OutcomeUnknownError`` says what to do about a class, without the network.
    """

    committed: Committed = "unknown"
    """Evidence that the platform acted on the call: "no", "yes" or "unknown"."""
    retryable: bool = False
    """True if the same call may succeed later, unchanged, and is safe to make again."""
    not_from_api: bool = False
    """True if something other than the API answered, with an HTML page for instance."""
    operation: str | None = None
    """Name of the vendor call, such as ``sigmamind.create_phone_number``."""
    op_id: str | None = None
    """The caller's key of the operation, in a `Provisioner`; `None` elsewhere."""
    attempts: int = 0
    """Requests sent or tried for this call."""
    elapsed: float = 0.0
    """Seconds from the start of the call to the error."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message)
        self.message = message

    if not TYPE_CHECKING:  # to a checker it stays the attribute that every exception has

        @property
        def args(self) -> tuple[Any, ...]:
            """The constructor's arguments, and then `to_dict`.

            ``type(error)(*error.args)`` is the same error, also after `args` went through JSON.
            """
            return (*_CONSTRUCTOR_ARGS.__get__(self), self.to_dict())

        @args.setter
        def args(self, given: Iterable[Any]) -> None:
            _CONSTRUCTOR_ARGS.__set__(self, tuple(each for each in given if not _is_facts(each)))

        def __getattr__(self, name: str) -> object:
            raise missing_attribute(self, name)

    def to_dict(self) -> dict[str, Any]:
        """Return the class's name and every fact; ``None`` for one that JSON cannot hold."""
        facts: dict[str, object] = {}
        for cls in reversed(type(self).__mro__):
            facts |= {name: value for name, value in vars(cls).items() if _as_json(value) == value}
        facts |= {name: _as_json(value) for name, value in vars(self).items()}
        facts = {name: value for name, value in facts.items() if not name.startswith("_")}
        return {"type": type(self).__name__, **facts, "notes": [*getattr(self, "__notes__", ())]}

    def to_json(self) -> str:
        """Return `to_dict` as JSON text."""
        return json.dumps(self.to_dict(), ensure_ascii=False, separators=(",", ":"))

    def _restore(self, facts: dict[str, Any]) -> None:
        """Take over what `to_dict` returned for the error that this one is built from."""
        for note in facts["notes"]:
            self.add_note(str(note))
        for name in facts.keys() - _NO_FACTS:
            # What JSON holds less well than the constructor made it is left as it is.
            if name.startswith("_") or _as_json(getattr(self, name, None)) == facts[name]:
                continue
            with suppress(AttributeError):  # a property of a subclass
                setattr(self, name, facts[name])

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy without the constructor, whose arguments may be a subclass's own."""
        return _new, (type(self), _CONSTRUCTOR_ARGS.__get__(self)), vars(self).copy()

    def __str__(self) -> str:
        return self.message

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.message!r})"


E = TypeVar("E", bound=SigmaMindError)
F = TypeVar("F", bound=Callable[..., Any])


def _new(cls: type[E], given: tuple[Any, ...]) -> E:
    error = cls.__new__(cls, *given)
    _CONSTRUCTOR_ARGS.__set__(error, given)
    return error


def _is_facts(value: object) -> TypeGuard[dict[str, Any]]:
    if not isinstance(value, dict):
        return False
    facts = cast("dict[str, Any]", value)
    return facts.keys() >= _ALWAYS and facts["committed"] in get_args(Committed)


_ALWAYS = {"type", "committed", "retryable", "notes"}
_NO_FACTS = {"type", "notes", "args", "with_traceback", "add_note", "to_dict", "to_json"}


def _as_json(value: object) -> object:
    """Return *value* as JSON can hold it, ``None`` for what it cannot."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str | int):
        return value
    if isinstance(value, list | tuple):
        return [_as_json(each) for each in cast("Iterable[object]", value)]
    if isinstance(value, dict):
        fields = cast("dict[object, object]", value)
        return {str(name): _as_json(each) for name, each in fields.items()}
    return None


class ConfigurationError(SigmaMindError, ValueError):
    """The client cannot work as configured: API key, base URL or an option."""

    committed: Committed = "no"


class InvalidRequestError(SigmaMindError, ValueError):
    """A value was refused before anything was sent."""

    committed: Committed = "no"
    field: str | None = None
    """The name of the field that is wrong."""
    rule: str | None = None
    """The rule that it breaks."""

    def __init__(
        self, message: str = "", field: str | None = None, rule: str | None = None
    ) -> None:
        """Say which *field* broke which *rule*; both are plain words for a person."""
        super().__init__(message or f"{field}: {rule}")
        self.field = field
        self.rule = rule


class APIConnectionError(SigmaMindError):
    """Nothing was sent, or a call that only reads got no answer: nothing was changed.

    The message names host and port and gives the system's reason; the same is `__cause__`, an
    `OSError`, where there is one. `retryable` is False where another attempt would end the same: a
    certificate that is not trusted, a proxy that refuses.
    """

    committed: Committed = "no"
    retryable = True


class APITimeoutError(APIConnectionError, TimeoutError):
    """A deadline passed: before anything was sent, or for a read at any time."""


class OutcomeUnknownError(SigmaMindError):
    """The request was sent, and no answer shows how it ended: the platform may have acted.

    `committed` is "yes" when a 2xx status line arrived with an answer that cannot be read or names
    nothing, and "unknown" otherwise, as after a 2xx that reports a failure.
    """

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

    committed: Committed = "no"


class AuthenticationError(APIStatusError):
    """401: the API key is missing, wrong or revoked."""

    committed: Committed = "no"


class InsufficientFundsError(APIStatusError):
    """402: the account cannot pay for the call."""

    committed: Committed = "no"


class PermissionDeniedError(APIStatusError):
    """403: the key may not do this."""

    committed: Committed = "no"


class NotFoundError(APIStatusError):
    """404: no such record, or no such route."""

    committed: Committed = "no"


class ConflictError(APIStatusError):
    """409: the record's present state forbids the call."""

    committed: Committed = "no"


class RateLimitError(APIStatusError):
    """429: rate-limited; nothing was done. `retry_after` is in seconds, where it was given.

    It is the platform's own figure, however long: the client waits no longer than
    `Gate(max_pause=...)`.
    """

    committed: Committed = "no"
    retryable = True


class ServerError(APIStatusError):
    """5xx: the platform failed, possibly after it had acted."""

    retryable = True


class FieldsIgnoredError(SigmaMindError):
    """With ``strict=True``: the platform answered 200 and shows other values than were sent."""

    committed: Committed = "yes"
    fields: tuple[str, ...] = ()
    """Names of the fields, as in the request value."""


class ResponseDecodeError(SigmaMindError):
    """A 2xx answer could not be read; `path` names the place, such as ``data[3].active``."""

    committed: Committed = "no"
    path: str = ""


class CircuitOpenError(SigmaMindError):
    """The gate refused the call and sent nothing: the platform keeps failing, or is at capacity."""

    committed: Committed = "no"
    retryable = True
    retry_after: float | None = None
    """Seconds until the gate expects to admit calls again."""


class JournalError(SigmaMindError):
    """The provisioning journal contradicts the call; without an `op_id`, it cannot be used."""

    committed: Committed = "no"


class PlanError(SigmaMindError):
    """A plan cannot be made, or no longer fits the state it was made against."""

    committed: Committed = "no"


class SpendLimitError(SigmaMindError):
    """The purchase would go past the allowed number of purchases."""

    committed: Committed = "no"


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


def suggest(word: str, known: Iterable[str], meanings: Mapping[str, str] | None = None) -> str:
    """Return the end of a message about an unknown *word*: what it was probably meant to be.

    ``; did you mean ...?`` if one of *known* is close to it, else a list of them all. *meanings*
    gives the known word for unknown ones that look like none of *known*.
    """
    import difflib  # needed only after a mistake

    names = {normalize_word(name): name for name in sorted(known)}
    spelled = normalize_word(word)
    meant = None if spelled in names else (meanings or {}).get(spelled)
    close = [] if meant else difflib.get_close_matches(spelled, names, n=1)
    if meant or close:
        return f"; did you mean {meant or names[close[0]]!r}?"
    return f"; known are {', '.join(names.values())}" if names else ""


def missing_attribute(thing: object, name: str) -> AttributeError:
    """Return the error for an unknown attribute; it says what another SDK's name is called here."""
    hint = ""
    if not name.startswith("_"):
        hint = _hints().attribute_hint(thing, name)
    message = f"{type(thing).__name__!r} object has no attribute {name!r}{hint}"
    return AttributeError(message) if hint else AttributeError(message, name=name, obj=thing)


def _hints() -> Any:  # noqa: ANN401 - a module
    # A table of words, loaded only after a mistake: whoever reads this module need not know it.
    return import_module(f"{__package__}.hints")


class ElsewhereName:
    """What other SDKs call an attribute: to read it raises `missing_attribute`.

    For classes of which every call reads many attributes: a ``__getattr__`` makes each of those
    slower, 11,000 instructions of an update, 2 %.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, thing: object, owner: type) -> object:
        raise missing_attribute(owner if thing is None else thing, self._name)


def hint_at_arguments(function: F) -> F:
    """Let the `TypeError` for an unknown argument say what another SDK's name is called here.

    A coroutine function remains one. Its arguments are bound when it is called, as ever, and no
    frame of this is left while its coroutine runs.
    """

    @functools.wraps(function)
    def call(*args: object, **options: object) -> object:
        try:
            return function(*args, **options)
        except TypeError as error:
            add_argument_hint(error, function)
            raise
        finally:
            del args, options  # one may be a secret, which no frame of a traceback holds

    if inspect.iscoroutinefunction(function):
        _mark_coroutine_function(call)
    return cast("F", call)


def _mark_coroutine_function(function: Any) -> None:  # noqa: ANN401 - a function, whose code is set
    """Have *function*, which returns another's coroutine, pass for a coroutine function."""
    if sys.version_info >= (3, 12):
        inspect.markcoroutinefunction(function)
    else:
        # What `inspect` looks at there; whether the interpreter makes a coroutine is in the code.
        code = function.__code__
        function.__code__ = code.replace(co_flags=code.co_flags | inspect.CO_COROUTINE)


def add_argument_hint(error: TypeError, function: Callable[..., object]) -> None:
    """Add to *error*, if *function* has not the argument that was given, what that is called."""
    pattern = rf"{re.escape(function.__qualname__)}\(\) got an unexpected keyword argument '(\w+)'"
    unknown = re.fullmatch(pattern, str(error))  # or it has a hint already
    if unknown:
        hint = _hints().argument_hint(unknown[1], inspect.signature(function).parameters)
        error.args = (f"{error}{hint}",)


def normalize_word(name: str) -> str:
    """Return what ``phoneNumber``, ``Phone Number`` and ``phone_number`` have in common."""
    return "".join(letter for letter in name.lower()[:64] if letter.isalnum())
