"""`UNSET`, `Secret`, and what passes the checks of numbers and ids."""

import copy
import pickle
import posixpath
from urllib.parse import unquote, urlsplit

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sigmamind_async.errors import InvalidRequestError
from sigmamind_async.values import (
    REDACTED,
    UNSET,
    Secret,
    SecretReference,
    as_secret,
    check_country_code,
    check_id,
    check_length,
    check_phone_number,
    check_range,
    path_segment,
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


# ---------------------------------------------------------------- checks


@pytest.mark.parametrize("number", ["+1415555", "+14155550100", "+123456789012345"])
def test_phone_numbers_of_7_to_15_digits_pass(number: str) -> None:
    check_phone_number("phone_number", number)


@pytest.mark.parametrize(
    "number",
    [
        "",
        "+",
        "+141555",
        "+1234567890123456",
        "14155550100",
        "+04155550100",
        "+1 415 555 0100",
        "+1-415-555-0100",
        "+14155550100\n",
        "\n+14155550100",
        "+1415555010a",
        "+\u0661\u0664\u0661\u0665\u0665\u0665\u0665",
        "+1415555010\uff10",
        "\uff0b14155550100",
        None,
        14155550100,
        b"+14155550100",
    ],
)
def test_other_phone_numbers_are_refused(number: object) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        check_phone_number("phone_number", number)

    assert caught.value.field == "phone_number"
    assert caught.value.rule == "E.164 with a leading plus"


def test_a_refused_number_is_shown_in_short() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        check_phone_number("phone_number", "9" * 100_000)

    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("code", ["us", "USA", "U", "", "U1", "ÜS", "US\n", None, 1])
def test_other_than_two_capitals_is_no_country(code: object) -> None:
    check_country_code("country_code", "US")
    with pytest.raises(InvalidRequestError, match="two-letter country code"):
        check_country_code("country_code", code)


@pytest.mark.parametrize("value", [99, 100_000, True, 415.0, "415", None])
def test_other_than_whole_numbers_in_range_are_refused(value: object) -> None:
    check_range("area_code", 100, 100, 99_999)
    check_range("area_code", 99_999, 100, 99_999)
    with pytest.raises(InvalidRequestError, match="area_code"):
        check_range("area_code", value, 100, 99_999)


def test_lengths_are_checked_at_both_edges() -> None:
    check_length("label", "", 3)
    check_length("label", "abc", 3)
    with pytest.raises(InvalidRequestError, match="has 4 characters, allowed are 0 to 3"):
        check_length("label", "abcd", 3)
    with pytest.raises(InvalidRequestError, match="allowed are 1 to 3"):
        check_length("label", "", 3, least=1)


def test_a_length_is_that_of_a_text_and_the_text_is_not_repeated() -> None:
    with pytest.raises(InvalidRequestError, match="label: must be text"):
        check_length("label", 5, 3)
    with pytest.raises(InvalidRequestError) as caught:
        check_length("label", "hunter2", 3)

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("value", ["agent_1", "call-2", "a.b", "...", "a:b", "x" * 128, "~", "+1"])
def test_opaque_ids_pass(value: str) -> None:
    check_id("id", value)


@pytest.mark.parametrize(
    "value",
    [
        "",
        ".",
        "..",
        "/",
        "a/b",
        "a?b",
        "a#b",
        "%2e%2e",
        "a%2fb",
        "\\",
        "a b",
        "a\n",
        "é",
        "\u0661",
        "a\x00",
        "x" * 129,
        None,
        7,
        b"id",
    ],
)
def test_ids_that_could_change_a_path_are_refused(value: object) -> None:
    with pytest.raises(InvalidRequestError, match="is not an id"):
        check_id("id", value)


def test_the_longest_id_can_be_set() -> None:
    check_id("id", "x" * 64, 64)
    with pytest.raises(InvalidRequestError, match="1 to 64"):
        check_id("id", "x" * 65, 64)


def passes(check: object, value: str) -> bool:
    assert callable(check)
    try:
        check("field", value)
    except InvalidRequestError:
        return False
    return True


ADDRESS_LIKE = st.text(alphabet="./?#%2eEfF\\@:+~-_aZ0\uff19\n\r\t ;&=\0", max_size=12)


@given(st.one_of(ADDRESS_LIKE, st.text(max_size=20)))
@example("..")
@example("%2e%2e")
@example("+1415555\n")
def test_what_passes_a_check_stays_one_segment_of_a_path(value: str) -> None:
    """No id and no number leads a request to another route, whatever a server decodes."""
    if not (passes(check_id, value) or passes(check_phone_number, value)):
        return
    path = f"/v1/phone-numbers/{path_segment(value)}"

    assert urlsplit("https://host" + path).path == path
    assert posixpath.normpath(unquote(path)) == f"/v1/phone-numbers/{value}"


@given(st.text(max_size=30))
@example("../../admin")
@example("a?b#c")
def test_an_encoded_segment_is_one_even_without_a_check(value: str) -> None:
    """Only dots alone get through the encoding, which is why the check refuses them."""
    encodable = value.encode(errors="ignore").decode()

    assert not set("/?#") & set(path_segment(encodable))
    assert unquote(path_segment(encodable)) == encodable


def test_secrets_are_found_however_deep_they_are_in_a_body() -> None:
    first, second, third = Secret("a"), Secret("b"), Secret("c")
    body = {"x": first, "trunk": {"password": second, "n": 1}, "all": [{"y": (third,)}, "text"]}

    assert [*secrets_in(body)] == [first, second, third]
    assert [*secrets_in(None)] == []
