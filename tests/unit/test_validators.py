"""The checks as validators of attrs fields."""

from collections.abc import Callable
from typing import Any

import attrs
import pytest

from sigmamind_async.convert import RequestValue, validators
from sigmamind_async.errors import InvalidRequestError
from sigmamind_async.platforms import dialnexa, sigmamind, verbex
from sigmamind_async.values import E164, REDACTED, UNSET, Secret


def accepts(validator: validators.Validator, value: object) -> bool:
    cls = attrs.make_class("Value", {"field": attrs.field(validator=validator)})
    try:
        cls(value)
    except InvalidRequestError as error:
        return error.field != "field"
    return True


CHECKS: dict[str, tuple[validators.Validator, list[Any], list[Any]]] = {
    "text": (validators.text(3, least=1), ["a", "abc"], ["", "abcd", 5, None]),
    "word": (validators.word, ["a", "x" * 10_000], ["", 5, None]),
    "flag": (validators.flag, [True, False], [1, 0, "true", None]),
    "any text": (validators.any_text, ["", "x" * 10_000], [5, None, b"x"]),
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
    "or null": (validators.or_null(validators.text(3)), ["abc", None], ["abcd", 5]),
}


@pytest.mark.parametrize("name", CHECKS)
def test_a_check_takes_what_it_should_and_refuses_the_rest(name: str) -> None:
    validator, good, bad = CHECKS[name]

    assert [value for value in good if not accepts(validator, value)] == []
    assert [value for value in bad if accepts(validator, value)] == []


@pytest.mark.parametrize("name", CHECKS)
def test_what_was_not_said_passes_every_check(name: str) -> None:
    assert accepts(CHECKS[name][0], UNSET)


@pytest.mark.parametrize("name", CHECKS)
def test_a_quick_test_passes_nothing_that_the_check_refuses(name: str) -> None:
    """Fails for a test that takes too much: nothing would be checked after it."""
    validator, good, bad = CHECKS[name]
    if not isinstance(validator, validators.Quick):
        return
    known = {"is_e164": E164.fullmatch}

    def passes(value: object) -> bool:
        return bool(eval(validator.test.format("value"), known, {"value": value}))

    assert [value for value in good if not passes(value)] == []
    assert [value for value in (*bad, UNSET) if passes(value)] == []


def test_a_value_is_whole_when_a_check_speaks() -> None:
    """What is refused may be shown by a crash reporter, with all its fields."""

    def refuse(instance: object, _: object, __: object) -> None:
        raise InvalidRequestError(repr(instance))

    def listed(value: object) -> object:
        return [value]

    @attrs.frozen(kw_only=True)
    class Change(RequestValue[None]):
        first: object = attrs.field(default=UNSET, validator=refuse)
        last: object = attrs.field(default=UNSET, converter=listed)

    assert Change(last=1).last == [1]
    with pytest.raises(InvalidRequestError, match=r"first=1, last=\[2\]"):
        Change(first=1, last=2)


def test_a_class_with_a_default_made_anew_keeps_the_checks_of_attrs() -> None:
    @attrs.frozen(kw_only=True)
    class Change(RequestValue[None]):
        labels: list[str] = attrs.field(factory=list[str])
        name: object = attrs.field(default=UNSET, validator=validators.text(3))

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
        def __attrs_post_init__(self) -> None:
            raise InvalidRequestError(field="all", rule="not today")

    assert ListAll() == ListAll()
    with pytest.raises(InvalidRequestError, match="not today"):
        Refused()


def test_a_change_is_more_than_its_keys() -> None:
    @attrs.frozen
    class Change:
        key: str = "k"
        label: object = UNSET

    validators.require_change(Change(label=None), "key")
    with pytest.raises(InvalidRequestError, match="names no field to change"):
        validators.require_change(Change(), "key")


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
class Checked:
    trunk_password: Secret = attrs.field(validator=validators.secret())


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
@pytest.mark.parametrize("unseen", UNSEEN, ids=ascii)
def test_an_id_or_a_host_has_no_space_and_nothing_invisible(what: str, unseen: str) -> None:
    for text in (f"trunk{unseen}1", f"{unseen}trunk1", f"trunk1{unseen}"):
        with pytest.raises(InvalidRequestError) as caught:
            SET[what](text)
        assert caught.value.rule == "no spaces, no invisible characters"
        assert str(caught.value).isprintable()


@pytest.mark.parametrize("what", SET)
@pytest.mark.parametrize("text", ["sip.example.com", "sip.example.com:5061", "agent_1", "\u00e4"])
def test_the_control_what_is_seen_is_taken(what: str, text: str) -> None:
    assert text in repr(SET[what](text))
