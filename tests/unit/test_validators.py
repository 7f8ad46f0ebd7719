"""The checks of request fields, alone and in a request value."""

import inspect
import posixpath
import traceback
from collections.abc import Callable
from typing import Annotated, Any
from urllib.parse import unquote, urlsplit

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sigmamind_async.convert import RequestValue, check_field, validators, wire
from sigmamind_async.convert.fields import Check
from sigmamind_async.errors import InvalidRequestError
from sigmamind_async.platforms import dialnexa, sigmamind, verbex
from sigmamind_async.values import REDACTED, UNSET, Secret, Unset, as_secret, path_segment


def accepts(check: Check, value: object) -> bool:
    try:
        check("field", value)
    except InvalidRequestError as error:
        return error.field != "field"
    return True


CHECKS: dict[str, tuple[Check, list[Any], list[Any]]] = {
    "text": (validators.text(3), ["", "abc"], ["abcd", 5, None]),
    "visible": (validators.visible(3), ["a", "abc"], ["", "abcd", "a c", 5, None]),
    "word": (validators.word, ["a", "x" * 10_000], ["", 5, None]),
    "flag": (validators.flag, [True, False], [1, 0, "true", None]),
    "any text": (validators.any_text, ["", "x" * 10_000], [5, None, b"x", "\ud800"]),
    "whole number": (validators.whole_number(1, 3), [1, 3], [0, 4, True, 1.0, "1", None]),
    "one of": (validators.one_of("a", "b"), ["a", "b"], ["c", "", None]),
    "secret": (
        validators.secret(3),
        [Secret("abc"), Secret(""), REDACTED],
        [Secret("abcd"), Secret("***"), Secret("\u2022"), "abc", None],
    ),
    "record id": (validators.record_id(3), ["abc"], ["abcd", "..", "", "a/b", None]),
    "phone number": (validators.phone_number, ["+14155550100"], ["14155550100", None]),
    "country code": (validators.country_code, ["US"], ["us", None]),
}


@pytest.mark.parametrize("name", CHECKS)
def test_a_check_takes_what_it_should_and_refuses_the_rest(name: str) -> None:
    check, good, bad = CHECKS[name]

    assert [value for value in good if not accepts(check, value)] == []
    assert [value for value in bad if accepts(check, value)] == []


REQUIRED = [
    (kind, field.name)
    for models in (sigmamind, verbex, dialnexa)
    for kind in vars(models).values()
    if inspect.isclass(kind) and issubclass(kind, RequestValue)
    for field in attrs.fields(kind)
    if field.init and field.default is attrs.NOTHING
]


@pytest.mark.parametrize(("kind", "name"), REQUIRED)
def test_what_is_required_cannot_be_left_unset(kind: type[RequestValue[Any]], name: str) -> None:
    others = {field: "+14155550100" for owner, field in REQUIRED if owner is kind}
    with pytest.raises(InvalidRequestError):
        kind(**{**others, name: UNSET})


def refuse(name: str, value: object) -> None:
    raise InvalidRequestError(field=name, rule="never")


@attrs.frozen(kw_only=True)
class Never(RequestValue[None]):
    key: Annotated[str | Unset, wire("key"), refuse] = UNSET
    agent: Annotated[str | Unset | None, refuse] = UNSET


def test_what_is_not_set_passes_every_check() -> None:
    assert Never().key is UNSET


def test_null_passes_where_the_type_has_it() -> None:
    assert Never(agent=None).agent is None
    with pytest.raises(InvalidRequestError) as caught:
        Never(key=None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert caught.value.field == "key"


def test_one_field_can_be_checked_alone() -> None:
    check_field(Never, "agent", None)
    check_field(Never, "unknown", "x")
    with pytest.raises(InvalidRequestError, match="agent: never"):
        check_field(Never, "agent", "x")


def test_checks_are_inherited_and_replaced() -> None:
    @attrs.frozen(kw_only=True)
    class Once(Never):
        key: str = attrs.field()

    assert Once(key="k").key == "k"
    with pytest.raises(InvalidRequestError):
        Once(key="k", agent="x")


def show(name: str, value: object) -> None:
    raise InvalidRequestError(repr(value))


def listed(value: object) -> list[object]:
    return [value]


@attrs.frozen(kw_only=True)
class Whole(RequestValue[None]):
    first: object = UNSET
    last: object = attrs.field(default=UNSET, converter=listed)

    def _check_combination(self) -> None:
        show("all", self)


def test_a_value_is_whole_when_a_check_speaks() -> None:
    """What is refused may be shown by a crash reporter, with all its fields."""
    with pytest.raises(InvalidRequestError, match=r"first=1, last=\[2\]"):
        Whole(first=1, last=2)


@attrs.frozen(kw_only=True)
class Guarded(RequestValue[None]):
    key: Annotated[str, validators.word]
    password: Annotated[Secret | Unset, validators.secret(20)] = attrs.field(
        default=UNSET, converter=as_secret
    )


@pytest.mark.parametrize(
    "given",
    [
        {"key": "", "password": "hunter2"},
        {"key": "k", "password": "hunter2" * 3},
        {"password": "hunter2"},
        {"key": "k", "password": "hunter2", "unknown": 1},
    ],
)
def test_no_frame_of_a_refused_value_holds_a_password(given: dict[str, Any]) -> None:
    """Fails where a check runs while the text that was passed is a local of the constructor."""
    with pytest.raises((InvalidRequestError, TypeError)) as caught:
        Guarded(**given)
    report = traceback.TracebackException.from_exception(caught.value, capture_locals=True)

    assert "hunter2" not in str([frame.locals for frame in report.stack[1:]])


def test_a_value_shows_its_own_arguments_to_a_reader() -> None:
    """`help` and editors read them from the constructor."""
    assert list(inspect.signature(Guarded).parameters) == ["key", "password"]


def test_a_class_with_a_default_made_anew_is_checked() -> None:
    @attrs.frozen(kw_only=True)
    class Change(RequestValue[None]):
        labels: list[str] = attrs.field(factory=list[str])
        name: Annotated[str | Unset, validators.text(3)] = UNSET

    assert Change().labels is not Change().labels
    with pytest.raises(InvalidRequestError):
        Change(name="abcd")


def test_a_class_may_have_no_fields() -> None:
    """A listing that takes no parameters."""

    @attrs.frozen(kw_only=True)
    class ListAll(RequestValue[None]):
        pass

    @attrs.frozen(kw_only=True)
    class Refused(RequestValue[None]):
        def _check_combination(self) -> None:
            raise InvalidRequestError(field="all", rule="not today")

    assert ListAll() == ListAll()
    with pytest.raises(InvalidRequestError, match="not today"):
        Refused()


def test_a_change_is_more_than_its_keys() -> None:
    @attrs.frozen
    class Change:
        key: str = "k"
        label: object = UNSET

    validators.require_any_field("key")(Change(label=None))
    with pytest.raises(InvalidRequestError, match="names no field to change"):
        validators.require_any_field("key")(Change())


MASKS = [
    "*",
    "****",
    "********",
    "\u2022\u2022\u2022\u2022",
    "\u25cf\u25cf\u25cf",
    "sk****EA",
    "sk***EA",
    "****1234",
    "abcd****",
    "sk_live_****abcd",
    "key-\u2022\u2022\u2022\u202212",
    "sk-...abcd",
    "Secret('***')",
    "Secret(***)",
    "SecretStr('**********')",
    "SecretReference('env:TRUNK_PASSWORD')",
    "pydantic.SecretStr('****')",
    "[REDACTED]",
    "<redacted>",
    "REDACTED",
    "***REDACTED***",
    "{redacted}",
    "(hidden)",
    "[Filtered]",
    "<password>",
    " **** ",
    "'****'",
    "****\n",
]
PASSWORDS = [
    "a*b",
    "a*b**c",
    "*star*",
    "correct***horse",
    "S3cr3t***",
    "***!x",
    "pa**word",
    "p*a*s*s*w*o*r*d",
    "hidden",
    "secret",
    "password",
    "(hunter2)",
    "<b0ld>",
    "xxxxxx",
    "a...b",
    "my redacted poem",
    "Secretariat-1973",
    "[a-z]*",
    "hunter2\u2022",
]


@pytest.mark.parametrize("text", MASKS)
def test_a_mask_is_no_password(text: str) -> None:
    """It came out of an answer, a log or a settings page, and would become the password."""
    with pytest.raises(InvalidRequestError, match="is a mask; give the secret itself") as caught:
        Checked(trunk_password=Secret(text))

    assert text not in str(caught.value)


@pytest.mark.parametrize("text", PASSWORDS)
def test_the_control_a_password_may_hold_asterisks(text: str) -> None:
    assert Checked(trunk_password=Secret(text)).trunk_password.reveal() == text


@attrs.frozen(kw_only=True)
class Checked(RequestValue[None]):
    trunk_password: Annotated[Secret, validators.secret()]


UNSEEN = [" ", "\t", "\n", "\r\n", "\0", "\x7f", "\xa0", "\u200b", "\u202e", "\u2028", "\ufeff"]
UNSEEN += ["\u00ad", "\u2003", "\ud800"]
SET: dict[str, Callable[[str], object]] = {
    "sigmamind import": lambda text: sigmamind.ImportPhoneNumber(
        phone_number="+14155550100", termination_sip_uri=text
    ),
    "sigmamind update": lambda text: sigmamind.UpdatePhoneNumber(
        phone_number="+14155550100", termination_sip_uri=text
    ),
    "sigmamind agent": lambda text: sigmamind.UpdatePhoneNumber(
        phone_number="+14155550100", inbound_agent_id=text
    ),
    "sigmamind purchase": lambda text: sigmamind.CreatePhoneNumber(
        country_code="US", outbound_agent_id=text
    ),
    "sigmamind call": lambda text: sigmamind.CreateCall(
        from_phone_number="+14155550100", to_phone_number="+14155550101", agent_id=text
    ),
    "verbex creation": lambda text: verbex.CreateSipPhoneNumber(
        phone_number="+14155550100", sip_termination_uri=text
    ),
    "verbex update": lambda text: verbex.UpdateSipPhoneNumber(
        phone_number_id="1", sip_termination_uri=text
    ),
    "verbex agent": lambda text: verbex.UpdatePhoneNumber(
        phone_number_id="1", inbound_agent_id=text
    ),
    "verbex pia": lambda text: verbex.CreatePiaPhoneNumber(outbound_agent_id=text),
    "dialnexa import": lambda text: dialnexa.ImportSipTrunk(
        phone_number="+14155550100", termination_uri=text, auth_mode="ip"
    ),
    "dialnexa agent": lambda text: dialnexa.UpdatePhoneNumber(id="phn_1", agent_id=text),
    "dialnexa number": lambda text: dialnexa.UpdateAgent(
        id="agent_1", version_number=1, inbound_phone_number_id=text
    ),
}


@pytest.mark.parametrize("what", SET)
def test_an_id_or_a_host_has_no_space_and_nothing_invisible(what: str) -> None:
    places = ("trunk{}1", "{}trunk1", "trunk1{}")
    for text in (place.format(unseen) for unseen in UNSEEN for place in places):
        with pytest.raises(InvalidRequestError) as caught:
            SET[what](text)
        assert caught.value.rule == "no spaces, no invisible characters"
        assert str(caught.value).isprintable()


@pytest.mark.parametrize("what", SET)
@pytest.mark.parametrize("text", ["sip.example.com", "sip.example.com:5061", "agent_1", "\u00e4"])
def test_the_control_what_is_seen_is_taken(what: str, text: str) -> None:
    assert text in repr(SET[what](text))


# ---------------------------------------------------------------- numbers, codes and ids


@pytest.mark.parametrize("number", ["+1415555", "+14155550100", "+123456789012345"])
def test_phone_numbers_of_7_to_15_digits_pass(number: str) -> None:
    validators.phone_number("phone_number", number)


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
        validators.phone_number("phone_number", number)

    assert caught.value.field == "phone_number"
    assert caught.value.rule == "E.164 with a leading plus"


def test_a_refused_number_is_shown_in_short() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        validators.phone_number("phone_number", "9" * 100_000)

    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("code", ["us", "USA", "U", "", "U1", "ÜS", "US\n", None, 1])
def test_other_than_two_capitals_is_no_country(code: object) -> None:
    validators.country_code("country_code", "US")
    with pytest.raises(InvalidRequestError, match="two-letter country code"):
        validators.country_code("country_code", code)


@pytest.mark.parametrize("value", [99, 100_000, True, 415.0, "415", None])
def test_other_than_whole_numbers_in_range_are_refused(value: object) -> None:
    validators.whole_number(100, 99_999)("area_code", 100)
    validators.whole_number(100, 99_999)("area_code", 99_999)
    with pytest.raises(InvalidRequestError, match="area_code"):
        validators.whole_number(100, 99_999)("area_code", value)


def test_lengths_are_checked_at_both_edges() -> None:
    validators.text(3)("label", "")
    validators.text(3)("label", "abc")
    with pytest.raises(InvalidRequestError, match="has 4 characters, allowed are 0 to 3"):
        validators.text(3)("label", "abcd")
    with pytest.raises(InvalidRequestError, match="allowed are 1 to 3"):
        validators.text(3, least=1)("label", "")


def test_a_length_is_that_of_a_text_and_the_text_is_not_repeated() -> None:
    with pytest.raises(InvalidRequestError, match="label: must be text"):
        validators.text(3)("label", 5)
    with pytest.raises(InvalidRequestError) as caught:
        validators.text(3)("label", "hunter2")

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("value", ["agent_1", "call-2", "a.b", "...", "a:b", "x" * 128, "~", "+1"])
def test_opaque_ids_pass(value: str) -> None:
    validators.record_id()("id", value)


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
        validators.record_id()("id", value)


def test_the_longest_id_can_be_set() -> None:
    validators.record_id(64)("id", "x" * 64)
    with pytest.raises(InvalidRequestError, match="1 to 64"):
        validators.record_id(64)("id", "x" * 65)


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
    if not (passes(validators.record_id(), value) or passes(validators.phone_number, value)):
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
