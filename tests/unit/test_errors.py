"""The tree of errors: its shape, its facts, and its copies."""

import copy
import pickle
import re
from collections.abc import Iterator

import pytest

from sigmamind_async import errors
from sigmamind_async.errors import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
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


def filled(cls: type[SigmaMindError]) -> SigmaMindError:
    """Return an error of *cls* with every documented attribute set to something of its own."""
    error = cls("what happened")
    names = {name for each in cls.__mro__ for name in getattr(each, "__annotations__", {})}
    if isinstance(error, InvalidRequestError):
        names |= {"field", "rule"}
    for name in names:
        setattr(error, name, f"some {name}")
    error.add_note("after 3 attempts in 1.5 s")
    return error


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("twin_of", [copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e))])
def test_a_copy_has_every_attribute_and_note(
    cls: type[SigmaMindError], twin_of: "type[SigmaMindError]"
) -> None:
    """Errors travel between processes, into journals and back."""
    error = filled(cls)
    twin = twin_of(error)  # type: ignore[arg-type]

    assert type(twin) is cls
    assert vars(twin) == vars(error)
    assert (str(twin), twin.args, twin.__notes__) == (str(error), error.args, error.__notes__)


@pytest.mark.parametrize("cls", CLASSES)
def test_every_error_has_the_common_facts(cls: type[SigmaMindError]) -> None:
    error = cls("what happened")

    assert str(error) == error.message == "what happened"
    assert error.committed in {"no", "unknown"}
    assert (error.operation, error.attempts, error.elapsed) == (None, 0, 0.0)


def test_only_an_unknown_outcome_starts_out_unknown() -> None:
    assert {cls for cls in CLASSES if cls.committed != "no"} == {OutcomeUnknownError}


def test_an_error_can_be_made_without_words() -> None:
    assert str(SigmaMindError()) == ""


def test_a_refused_value_names_field_and_rule() -> None:
    error = InvalidRequestError(field="label", rule="at most 128 characters")

    assert str(error) == "label: at most 128 characters"
    assert (error.field, error.rule) == ("label", "at most 128 characters")
