"""`UNSET`, `Secret`, and what passes the checks of numbers and ids."""

import copy
import pickle

import attrs
import pytest

from sigmamind_async.errors import InvalidRequestError
from sigmamind_async.values import (
    REDACTED,
    UNSET,
    Secret,
    SecretReference,
    as_secret,
    redacted,
    secrets_in,
)

# ---------------------------------------------------------------- UNSET


def test_unset_is_one_object_in_every_copy() -> None:
    """``is UNSET`` must hold in another process and after a deep copy."""
    assert pickle.loads(pickle.dumps(UNSET)) is UNSET
    assert copy.deepcopy([UNSET])[0] is UNSET


def test_unset_is_false_and_is_not_none() -> None:
    assert not UNSET
    assert repr(UNSET) == "UNSET"


# ---------------------------------------------------------------- Secret


def test_a_secret_gives_its_text_when_asked_by_name() -> None:
    assert Secret("hunter2").reveal() == "hunter2"


@pytest.mark.parametrize("show", [repr, str, format, "{}".format, "%s".__mod__, "{:>9}".format])
def test_a_secret_shows_a_mask(show: "type[str]") -> None:
    shown = show(Secret("hunter2"))

    assert "hunter2" not in shown
    assert "***" in shown


def test_secrets_are_equal_when_their_texts_are() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"


def test_secrets_with_half_a_character_can_be_compared() -> None:
    """An error of encoding would carry the text along."""
    assert Secret("\ud800") != Secret("a")


def test_a_secret_has_no_hash() -> None:
    """A hash of a short password can be guessed back."""
    with pytest.raises(TypeError, match="unhashable"):
        hash(Secret("a"))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_secret_cannot_be_pickled(protocol: int) -> None:
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(Secret("a"), protocol)


def test_a_copy_of_a_secret_is_the_secret() -> None:
    secret = Secret("a")

    assert copy.copy(secret) is secret
    assert copy.deepcopy({"key": secret})["key"] is secret


def test_a_secret_is_text() -> None:
    with pytest.raises(InvalidRequestError, match="secret: must be text"):
        Secret(b"bytes")  # type: ignore[arg-type]


def test_the_redacted_secret_survives_pickle_and_holds_nothing() -> None:
    assert pickle.loads(pickle.dumps(REDACTED)) is REDACTED
    with pytest.raises(InvalidRequestError, match="give it again"):
        REDACTED.reveal()


def test_the_redacted_secret_equals_only_itself() -> None:
    assert REDACTED == REDACTED  # noqa: PLR0124 - that is the case
    assert Secret("") != REDACTED


def test_text_becomes_a_secret_and_anything_else_is_returned() -> None:
    secret = Secret("a")

    assert as_secret("a") == secret
    assert as_secret(secret) is secret
    assert as_secret(UNSET) is UNSET


def test_null_passes_where_the_platform_takes_it() -> None:
    assert as_secret(None) is None
    assert as_secret("a") == Secret("a")


@attrs.frozen
class Trunk:
    host: str
    password: Secret


# ---------------------------------------------------------------- references


@pytest.mark.parametrize("text", ["env:TRUNK", "file:/run/secrets/trunk", "file:trunk"])
def test_a_reference_shows_itself_and_no_secret(text: str) -> None:
    """It is known by what it refers to, goes where a secret goes, and may leave the process."""
    reference = SecretReference(text)
    assert (reference.reference, reference.known) == (text, False)
    assert repr(reference) == f"SecretReference({text!r})"
    assert reference == SecretReference(text) == pickle.loads(pickle.dumps(reference))
    assert reference != SecretReference("env:OTHER")
    assert reference not in (Secret(text), REDACTED, text)
    assert as_secret(reference) is reference
    with pytest.raises(InvalidRequestError, match=f"is only a reference, {text}"):
        reference.reveal()


@pytest.mark.parametrize(
    "text", ["hunter2", "env:", "vault:hunter2", "env:hunter2\n", b"env:A", None]
)
def test_what_is_no_reference_is_refused_without_being_shown(text: object) -> None:
    """It may be the secret itself."""
    with pytest.raises(InvalidRequestError) as caught:
        SecretReference(text)  # type: ignore[arg-type]
    assert str(caught.value) == "reference: must be env:NAME or file:PATH"


def test_redacted_replaces_every_secret_of_a_value() -> None:
    trunk = Trunk("sip.telnyx.com", Secret("hunter2"))

    assert redacted(trunk) == Trunk("sip.telnyx.com", REDACTED)
    assert trunk.password.reveal() == "hunter2"


@pytest.mark.parametrize("value", [None, "text", 3, Page := attrs.make_class("Page", ["items"])(1)])
def test_redacted_leaves_a_value_without_secrets_alone(value: object) -> None:
    assert redacted(value) is value


def test_secrets_are_found_however_deep_they_are_in_a_body() -> None:
    first, second, third = Secret("a"), Secret("b"), Secret("c")
    body = {"x": first, "trunk": {"password": second, "n": 1}, "all": [{"y": (third,)}, "text"]}

    assert [*secrets_in(body)] == [first, second, third]
    assert [*secrets_in(None)] == []
