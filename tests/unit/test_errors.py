"""The tree of errors: its shape, its facts, and its copies."""

import copy
import json
import math
import pickle
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pytest

from sigmamind_async import errors
from sigmamind_async.errors import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    Committed,
    ConfigurationError,
    ConflictError,
    InsufficientFundsError,
    InvalidRequestError,
    NotFoundError,
    OutcomeUnknownError,
    PermissionDeniedError,
    RateLimitError,
    ServerError,
    SigmaMindError,
    status_error,
)


def below(cls: type[SigmaMindError]) -> Iterator[type[SigmaMindError]]:
    yield cls
    for child in cls.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from below(child)


CLASSES = sorted(below(SigmaMindError), key=lambda cls: cls.__name__)


def drawn_tree() -> dict[str, str]:
    """Read the parent of each class from the picture in the module's docstring."""
    parents: dict[str, str] = {}
    above: list[tuple[int, str]] = [(0, "Exception")]
    for line in (errors.__doc__ or "").splitlines():
        if not (found := re.match(r"( {4,})[A-Z]\w+Error\b", line)):
            continue
        depth = len(found[1])
        while above[-1][0] >= depth:
            above.pop()
        names = re.findall(r"\b[A-Z]\w*Error\b", re.sub(r"\(\w+\)", "", line))
        parents.update(dict.fromkeys(names, above[-1][1]))
        above.append((depth, names[0]))
    return parents


def test_the_tree_is_the_one_that_is_drawn() -> None:
    assert drawn_tree() == {cls.__name__: cls.__bases__[0].__name__ for cls in CLASSES}


def test_every_exception_of_the_module_is_in_the_tree() -> None:
    defined = {
        each
        for each in vars(errors).values()
        if isinstance(each, type) and issubclass(each, BaseException)
    }

    assert defined == set(CLASSES)


def test_what_the_caller_gave_wrong_is_a_value_error() -> None:
    wrong = {cls for cls in CLASSES if issubclass(cls, ValueError)}

    assert wrong == {ConfigurationError, InvalidRequestError}


@pytest.mark.parametrize(
    ("status", "cls"),
    [
        (400, BadRequestError),
        (401, AuthenticationError),
        (402, InsufficientFundsError),
        (403, PermissionDeniedError),
        (404, NotFoundError),
        (405, APIStatusError),
        (409, ConflictError),
        (418, APIStatusError),
        (422, BadRequestError),
        (429, RateLimitError),
        (499, APIStatusError),
        (302, APIStatusError),
        (500, ServerError),
        (503, ServerError),
        (599, ServerError),
    ],
)
def test_a_status_has_its_class(status: int, cls: type[APIStatusError]) -> None:
    assert status_error(status) is cls


class TenantError(ServerError):
    """What a user makes of one of ours, with a constructor of another form."""

    region: str | None = None

    def __init__(self, tenant: str, code: int) -> None:
        super().__init__(f"{tenant}: {code}")
        self.tenant = tenant


class TaggedError(OutcomeUnknownError):
    """A subclass that adds nothing but a name."""


def filled(error: SigmaMindError) -> SigmaMindError:
    """Give each documented attribute something of its own."""
    ours = [cls for cls in type(error).__mro__ if issubclass(cls, SigmaMindError)]
    known = {name: value for cls in ours for name, value in vars(cls).items()}
    for name in [name for name, value in known.items() if value is None and name[0] != "_"]:
        setattr(error, name, f"some {name}")
    error.committed, error.attempts, error.elapsed, error.retryable = "yes", 3, 1.5, True
    error.add_note("after 3 attempts in 1.5 s")
    return error


ERRORS = [
    *(filled(cls("what happened")) for cls in CLASSES),
    filled(TenantError("acme", 7)),
    filled(TaggedError("lost")),
]


def through_json(error: SigmaMindError) -> SigmaMindError:
    """Do as celery's and taskiq's JSON result backends do."""
    # https://github.com/celery/celery/blob/main/celery/backends/base.py: exception_to_python
    told = json.dumps({"exc_type": type(error).__name__, "exc_message": error.args})
    arguments = json.loads(told)["exc_message"]
    return type(error)(*arguments)


def through_pickle(error: SigmaMindError) -> SigmaMindError:
    twin = pickle.loads(pickle.dumps(error))
    assert isinstance(twin, SigmaMindError)
    return twin


TWINS: dict[str, Callable[[SigmaMindError], SigmaMindError]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": through_pickle,
    "JSON": through_json,
}


@pytest.mark.parametrize("error", ERRORS, ids=[type(each).__name__ for each in ERRORS])
@pytest.mark.parametrize("twin_of", TWINS.values(), ids=TWINS)
def test_a_copy_has_every_attribute_and_note(
    error: SigmaMindError, twin_of: Callable[[SigmaMindError], SigmaMindError]
) -> None:
    """Errors travel between processes, into journals and back, and back again."""
    twin = twin_of(twin_of(error))

    assert type(twin) is type(error)
    assert (str(twin), repr(twin)) == (str(error), repr(error))
    assert (twin.args, twin.__notes__) == (error.args, error.__notes__)
    assert twin.to_dict() == error.to_dict()
    assert twin.committed == "yes"
    assert twin_of is through_json or vars(twin) == vars(error)


@pytest.mark.parametrize("committed", ["no", "yes", "unknown"])
@pytest.mark.parametrize("cls", [SigmaMindError, ServerError, OutcomeUnknownError, ConflictError])
def test_committed_is_what_it_was(cls: type[SigmaMindError], committed: Committed) -> None:
    """Control: without the facts in `args` each is what its class begins with."""
    error = cls("500: it failed")
    error.committed = committed

    assert through_json(error).committed == committed
    assert cls(error.args[0]).committed == cls.committed


def test_what_json_cannot_hold_stays_behind() -> None:
    error = OutcomeUnknownError("lost")
    error.value, error.elapsed = object(), math.inf

    assert json.loads(json.dumps(error.to_dict())) == error.to_dict()
    assert error.to_dict()["value"] is error.to_dict()["elapsed"] is None
    assert through_json(error).to_dict() == error.to_dict()


class PayloadError(SigmaMindError):
    """An application's own, with an object, and what it makes of it."""

    def __init__(self, payload: dict[str, Any]) -> None:
        super().__init__("refused")
        self.payload = payload
        self.when = datetime.fromisoformat(payload["at"])


def test_what_a_constructor_makes_of_its_arguments_is_kept() -> None:
    """JSON cannot hold the time; the words that are also facts make no facts of an argument."""
    payload = {"type": "order", "committed": "no", "at": "2031-05-06T07:08:09+00:00"}
    twin = through_json(PayloadError(payload))

    assert isinstance(twin, PayloadError)
    assert (twin.payload, twin.when) == (payload, datetime.fromisoformat(payload["at"]))
    assert twin.to_dict()["payload"] == payload


def test_an_error_says_what_it_knows() -> None:
    error = InvalidRequestError(field="label", rule="at most 128 characters")

    assert error.to_dict() == {
        "type": "InvalidRequestError",
        "message": "label: at most 128 characters",
        "committed": "no",
        "field": "label",
        "rule": "at most 128 characters",
        "retryable": False,
        "not_from_api": False,
        "operation": None,
        "op_id": None,
        "attempts": 0,
        "elapsed": 0.0,
        "notes": [],
    }


def test_facts_cannot_reach_what_is_no_fact() -> None:
    forged = {**ServerError("x").to_dict(), "__class__": 1, "args": 1, "to_dict": 1, "_x": 1}
    error = ServerError("x", forged)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]

    assert type(error) is ServerError
    assert vars(error) == {"message": "x"}


def test_a_dict_that_holds_no_facts_is_an_argument() -> None:
    with pytest.raises(TypeError):
        ServerError("x", {"committed": "no"})  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def test_arguments_may_be_added_to() -> None:
    """As code does that adds context to an exception under way."""
    error = TaggedError("lost")
    error.args = (*error.args, "context")

    assert error.args == ("lost", "context", error.to_dict())


def test_a_timeout_is_one_for_those_who_catch_the_built_in() -> None:
    error = APITimeoutError("the deadline passed")

    assert isinstance(error, TimeoutError)
    assert isinstance(error, APIConnectionError)
    assert (str(error), error.errno) == ("the deadline passed", None)


@pytest.mark.parametrize("cls", CLASSES)
def test_every_error_has_the_common_facts(cls: type[SigmaMindError]) -> None:
    error = cls("what happened")

    assert str(error) == error.message == "what happened"
    assert error.committed == cls.committed
    assert (error.operation, error.attempts, error.elapsed) == (None, 0, 0.0)


def test_an_error_that_leaves_open_what_was_done_starts_out_unknown() -> None:
    unknown = {cls for cls in CLASSES if cls.committed == "unknown"}

    assert unknown == {SigmaMindError, OutcomeUnknownError, APIStatusError, ServerError}


def test_an_error_can_be_made_without_words() -> None:
    assert str(SigmaMindError()) == ""


def test_a_refused_value_names_field_and_rule() -> None:
    error = InvalidRequestError(field="label", rule="at most 128 characters")

    assert str(error) == "label: at most 128 characters"
    assert (error.field, error.rule) == ("label", "at most 128 characters")
