"""The checks as validators of attrs fields."""

from typing import Any

import attrs
import pytest

from sigmamind_async import checks
from sigmamind_async.convert import RequestValue
from sigmamind_async.errors import InvalidRequestError
from sigmamind_async.values import E164, REDACTED, UNSET, Secret


def accepts(validator: checks.Validator, value: object) -> bool:
    cls = attrs.make_class("Value", {"field": attrs.field(validator=validator)})
    try:
        cls(value)
    except InvalidRequestError as error:
        return error.field != "field"
    return True


CHECKS: dict[str, tuple[checks.Validator, list[Any], list[Any]]] = {
    "text": (checks.text(3, least=1), ["a", "abc"], ["", "abcd", 5, None]),
    "word": (checks.word, ["a", "x" * 10_000], ["", 5, None]),
    "flag": (checks.flag, [True, False], [1, 0, "true", None]),
    "any text": (checks.any_text, ["", "x" * 10_000], [5, None, b"x"]),
    "whole number": (checks.whole_number(1, 3), [1, 3], [0, 4, True, 1.0, "1", None]),
    "one of": (checks.one_of("a", "b"), ["a", "b"], ["c", "", None]),
    "secret": (
        checks.secret(3),
        [Secret("abc"), Secret(""), REDACTED],
        [Secret("abcd"), Secret("***"), Secret("\u2022"), "abc", None],
    ),
    "record id": (checks.record_id(3), ["abc"], ["abcd", "..", "", "a/b", None]),
    "phone number": (checks.phone_number, ["+14155550100"], ["14155550100", None]),
    "country code": (checks.country_code, ["US"], ["us", None]),
    "or null": (checks.or_null(checks.text(3)), ["abc", None], ["abcd", 5]),
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
    if not isinstance(validator, checks.Quick):
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
        name: object = attrs.field(default=UNSET, validator=checks.text(3))

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

    checks.require_change(Change(label=None), "key")
    with pytest.raises(InvalidRequestError, match="names no field to change"):
        checks.require_change(Change(), "key")
