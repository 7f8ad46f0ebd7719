"""Between JSON and classes: nothing is guessed or lost, and no odd record hides another."""

from __future__ import annotations

import importlib
import inspect
import itertools
import json
import pickle
import re
from collections.abc import Mapping
from typing import Annotated, Any, get_type_hints

import attrs
import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sigmamind_async.bulk import Outcome
from sigmamind_async.convert import (
    Record,
    RequestValue,
    body_of,
    dump_json,
    dump_record,
    load_json,
    present_keys,
    record_decoder,
    structure,
    wire,
    wire_names,
)
from sigmamind_async.convert.converter import other_reader, reader, unknown_fields
from sigmamind_async.convert.json_codec import importing
from sigmamind_async.errors import APIConnectionError, InvalidRequestError, ResponseDecodeError
from sigmamind_async.operation import Response
from sigmamind_async.values import REDACTED, UNSET, Secret, Unset


@attrs.frozen(kw_only=True)
class Owner(Record):
    name: Annotated[str | None, wire("ownerName", strict=True)] = None
    age: Annotated[int | None, wire("age")] = None


@attrs.frozen(kw_only=True)
class Thing(Record):
    key: Annotated[str, wire("key", null_as_empty=True)] = ""
    number: Annotated[str | None, wire("sipNumber", phone_number=True)] = None
    label: Annotated[str | None, wire("friendlyName")] = None
    active: Annotated[bool | None, wire("active")] = None
    count: Annotated[int | None, wire("count")] = None
    seconds: Annotated[float | None, wire("seconds")] = None
    settings: Annotated[dict[str, Any] | None, wire("settings")] = None
    tags: Annotated[list[str] | None, wire("tags")] = None
    owner: Annotated[Owner | None, wire("owner")] = None
    origin: Annotated[Owner | str | None, wire("origin")] = None
    parts: Annotated[list[Owner] | None, wire("parts")] = None


@attrs.frozen(kw_only=True)
class Things(Record):
    data: Annotated[list[Thing] | None, wire("data", strict=True)] = None


@attrs.frozen(kw_only=True)
class Order(RequestValue[Thing]):
    key: str
    label: Annotated[str | Unset, wire("friendlyName")] = UNSET
    owner: Annotated[str | Unset | None, wire("ownerId")] = UNSET
    password: Annotated[Secret | Unset, wire("trunkPassword")] = UNSET
    variables: Annotated[Mapping[str, Any] | Unset, wire("variables")] = UNSET


FULL: dict[str, Any] = {
    "sipNumber": "+14155550100",
    "friendlyName": "Support",
    "active": True,
    "count": 3,
    "seconds": 1.5,
    "settings": {"a": [1, None]},
    "tags": ["x", "y"],
    "owner": {"ownerName": "Ada", "age": 36},
    "origin": {"ownerName": "Bob"},
    "parts": [{"age": 1}, {}],
}


# ---------------------------------------------------------------- requests


def test_a_body_has_wire_names_and_leaves_out_what_was_not_said() -> None:
    assert body_of(Order(key="k", label="Support")) == {"friendlyName": "Support"}


def test_none_is_said_and_unset_is_not() -> None:
    assert dump_json(body_of(Order(key="k", owner=None))) == b'{"ownerId":null}'
    assert dump_json(body_of(Order(key="k"))) == b"{}"


def test_a_secret_is_revealed_only_as_the_bytes_are_written() -> None:
    body = body_of(Order(key="k", password=Secret("hunter2")))

    assert body["trunkPassword"] == Secret("hunter2")
    assert dump_json(body) == b'{"trunkPassword":"hunter2"}'


def test_objects_of_the_caller_go_through_as_they_are() -> None:
    variables = {"name": "Ada", "age": 36, "deep": {"list": [None, 1.5]}}

    assert orjson.loads(dump_json(body_of(Order(key="k", variables=variables)))) == {
        "variables": variables
    }


@pytest.mark.parametrize("value", [{1, 2}, object(), 1 << 70, "\ud800", {1: "a"}, b"bytes"])
def test_what_has_no_json_form_is_refused_in_our_own_words(value: object) -> None:
    """No exception of the JSON library crosses the public surface."""
    with pytest.raises(InvalidRequestError, match="the body cannot be written") as caught:
        dump_json({"variables": value})

    assert caught.value.__cause__ is None


def test_a_redacted_secret_cannot_be_sent() -> None:
    with pytest.raises(InvalidRequestError, match="give it again"):
        dump_json({"trunkPassword": REDACTED})


# ---------------------------------------------------------------- answers


def test_an_answer_is_read_whole() -> None:
    assert structure(FULL, Thing) == Thing(
        number="+14155550100",
        label="Support",
        active=True,
        count=3,
        seconds=1.5,
        settings={"a": [1, None]},
        tags=["x", "y"],
        owner=Owner(name="Ada", age=36),
        origin=Owner(name="Bob"),
        parts=[Owner(age=1), Owner()],
    )


def test_absent_and_null_read_alike_and_are_told_apart() -> None:
    absent, null = structure({}, Thing), structure({"active": None}, Thing)

    assert absent == null == Thing()
    assert (absent.nulls, null.nulls) == ({}, {"active": None})


def test_a_field_that_later_calls_need_is_an_empty_text_instead_of_none() -> None:
    """So that its type has no `None`; what came is dumped all the same."""
    absent, null, empty = (structure(raw, Thing) for raw in ({}, {"key": None}, {"key": ""}))

    assert absent.key == null.key == empty.key == ""
    assert [dump_record(each) for each in (absent, null, empty)] == [{}, {"key": None}, {"key": ""}]


def test_unknown_keys_are_kept() -> None:
    thing = structure({"active": True, "shape": {"round": True}}, Thing)

    assert thing.extra == {"shape": {"round": True}}


@pytest.mark.parametrize(
    ("came", "read"),
    [
        (14155552671, "+14155552671"),
        (14155552671.0, "+14155552671"),
        ("14155552671", "+14155552671"),
        ("1234567", "+1234567"),
        ("123456789012345", "+123456789012345"),
        ("+14155552671", "+14155552671"),
        ("123456", "123456"),
        ("1234567890123456", "1234567890123456"),
        ("1415555267a", "1415555267a"),
        (" 14155552671", " 14155552671"),
        ("14155552671\n", "14155552671\n"),
        (
            "\u0661\u0664\u0661\u0665\u0665\u0665\u0662",
            "\u0661\u0664\u0661\u0665\u0665\u0665\u0662",
        ),
        (415, "415"),
        ("", ""),
        (None, None),
    ],
)
def test_a_phone_number_has_its_plus_whatever_the_platform_printed(
    came: object, read: str | None
) -> None:
    """Reschedule calls take it as it is. Anything but 7 to 15 ASCII digits stays as it came."""
    thing = structure({"sipNumber": came, "friendlyName": "14155552671"}, Thing)

    assert thing.number == read
    assert thing.label == "14155552671"  # the control: no plus where no phone number is
    assert structure(dump_record(thing), Thing) == thing


def test_a_text_may_stand_where_a_record_replaced_it() -> None:
    assert structure({"origin": "Object"}, Thing).origin == "Object"


OTHER_SPELLINGS = [
    ("friendlyName", 415, "415"),
    ("friendlyName", 123456789012345678901234567890, "123456789012345678901234567890"),
    ("friendlyName", {"$oid": "66f0c2a4"}, "66f0c2a4"),
    ("friendlyName", {"$numberLong": "42"}, "42"),
    ("key", 42, "42"),
    ("key", {"$oid": "66f0c2a4"}, "66f0c2a4"),
    ("active", "true", True),
    ("active", "false", False),
    ("count", "250", 250),
    ("count", "-1", -1),
    ("count", 250.0, 250),
]
"""The same value in another type: by key, what comes, and what is read."""


@pytest.mark.parametrize(("key", "came", "read"), OTHER_SPELLINGS)
def test_another_spelling_of_the_same_value_is_read(key: str, came: object, read: object) -> None:
    """And is dumped as it was read, which reads the same again."""
    dumped = dump_record(structure({key: came}, Thing))

    assert dumped == {key: read}
    assert type(dumped[key]) is type(read)


ODD: dict[str, list[object]] = {
    "sipNumber": [1.5, 1e300, True, [], {}, {"e164": "+14155550100"}],
    "friendlyName": [1.5, True, [], {}, {"oid": "x"}, {"$oid": 1}, {"$a": "x", "$b": "y"}],
    "active": [1, 0, "yes", "True", "", [], {}],
    "count": [1.5, "1.5", "01", "1_0", " 1", "", True, [], "9" * 20],
    "seconds": ["1.5", True, [], {}],
    "settings": [1, "text", []],
    "tags": ["text", ["a", None], [["a"]], {}],
    "owner": [1, "text", [], {"ownerName": []}],
    "origin": [1, [], {"ownerName": True}],
    "parts": [1, "text", {}, [{}, 7], [{"ownerName": 1.5}]],
}
"""Values that mean nothing as the type of their field, by key."""


@pytest.mark.parametrize("key", ODD)
def test_a_value_of_the_wrong_type_is_kept_beside_an_empty_field(key: str) -> None:
    """The rest of the record is read, and all of it is dumped as it came."""
    for odd in ODD[key]:
        raw = {"key": "k", "friendlyName": "Desk", key: odd}
        thing = structure(raw, Thing)
        field = next(name for name, mark in wire_names(Thing).items() if mark.name == key)

        assert (thing.key, getattr(thing, field), thing.extra) == ("k", None, {key: odd})
        assert json.dumps(dump_record(thing)) == json.dumps(
            {name: raw[name] for name in dump_record(thing)}
        )
        assert present_keys(thing) == raw.keys() - {key}


def test_what_is_set_later_wins_over_an_odd_value() -> None:
    thing = attrs.evolve(structure({"friendlyName": []}, Thing), label="Desk")

    assert dump_record(thing) == {"friendlyName": "Desk"}


@pytest.mark.parametrize("odd", [[], {}, True, 1.5, {"$oid": 7}, {"id": "x"}])
def test_a_key_that_cannot_be_read_is_an_error(odd: object) -> None:
    """No call could name the record: an empty key would pass for a record without one."""
    with pytest.raises(ResponseDecodeError, match=r"^key: expected text") as caught:
        structure({"key": odd}, Thing)
    assert caught.value.path == "key"


@pytest.mark.parametrize("odd", [["hunter2"], {"value": "hunter2"}, {"pin": 4711}])
def test_an_odd_value_that_sounds_like_a_credential_is_masked(odd: object) -> None:
    read = structure({"signingSecret": odd}, Webhook)

    assert not re.search("hunter2|4711", repr((read, read.extra, attrs.asdict(read))))
    assert json.loads(dump_record(read)["signingSecret"]) == odd


@pytest.mark.parametrize(
    ("raw", "path", "problem"),
    [
        ({"data": [{}, {}, {}, {"key": []}]}, "data[3].key", "text, got an array"),
        ({"data": [{}, 7]}, "data[1]", "an object, got a number"),
        ({"data": {}}, "data", "an array, got an object"),
        ([], "", "an object, got an array"),
        (None, "", "an object, got null"),
        ("text", "", "an object, got text"),
    ],
)
def test_an_error_names_the_place_by_wire_names(raw: object, path: str, problem: str) -> None:
    with pytest.raises(ResponseDecodeError) as caught:
        structure(raw, Things)

    assert caught.value.path == path
    assert str(caught.value).startswith(f"{path or 'the answer'}: expected {problem}")


def test_an_error_never_repeats_the_value() -> None:
    """The wrong value may be somebody's password."""
    with pytest.raises(ResponseDecodeError) as caught:
        structure({"key": ["hunter2"]}, Thing)

    assert "hunter2" not in str(caught.value) + repr(vars(caught.value))


def test_no_exception_of_the_converter_hangs_on_an_error() -> None:
    with pytest.raises(ResponseDecodeError) as caught:
        structure({"data": [{"key": []}]}, Things)

    assert (caught.value.__cause__, caught.value.__context__) == (None, None)
    assert pickle.loads(pickle.dumps(caught.value)).path == "data[0].key"


def test_a_decoder_reads_bytes() -> None:
    decode = record_decoder(Thing)

    assert decode(Response(status=200, body=b'{"active": true}')) == Thing(active=True)
    with pytest.raises(ResponseDecodeError, match="the answer is empty"):
        decode(Response(status=200))


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b"<html>", "not JSON"),
        (b'{"a": NaN}', "not JSON"),
        (b'{"a": Infinity}', "not JSON"),
        (b'{"a": 1e400}', "not JSON"),
        (b'{"a": NaN, "a": 1}', "not JSON"),
        (b'{"a": "\\ud83d", "b": NaN}', "not JSON"),
        (b'{"a": "\xff", "b": 1e400}', "not JSON"),
        (b"\xff\xfe{\x00}\x00", "not JSON"),
        (b'{"a": "\\x"}', "not JSON"),
        (b'{"a": 1', "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"1 2", "not JSON"),
    ],
)
def test_what_is_no_json_is_an_error_without_a_cause(body: bytes, problem: str) -> None:
    with pytest.raises(ResponseDecodeError, match=problem) as caught:
        load_json(body)

    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


@pytest.mark.parametrize(
    ("came", "read"),
    [
        (rb"Desk \ud83d", "Desk \ufffd"),
        (rb"\ude00 Desk", "\ufffd Desk"),
        (rb"\ud83d\ud83d\ude00", "\ufffd\U0001f600"),
        (rb"\\ud83d", r"\ud83d"),
        (b"Caf\xe9", "Caf\ufffd"),
        (b"Desk \xf0\x9f\x98", "Desk \ufffd"),
        (b"a\tb\nc\x00", "a\tb\nc\x00"),
        (rb"\ud83d\ude00", "\U0001f600"),
    ],
)
def test_a_damaged_text_does_not_hide_the_rest(came: bytes, read: str) -> None:
    """A label that was cut in the middle of a character, by a platform that counts code units."""
    body = b'[{"friendlyName": "' + came + b'", "n": 123456789012345678901}, {"key": "k"}]'

    assert load_json(body) == [
        {"friendlyName": read, "n": 123456789012345678901},
        {"key": "k"},
    ]


def test_a_byte_order_mark_in_front_is_dropped() -> None:
    assert load_json(b'\xef\xbb\xbf{"a": 1}') == {"a": 1}


def test_of_duplicate_keys_the_last_one_counts() -> None:
    assert load_json(b'{"a": 1, "a": 2}') == {"a": 2}


def test_a_whole_number_of_any_length_stays_as_it_came() -> None:
    """No double stands in for it, as some parsers would have it; nor is it refused later on."""
    raw = load_json(b'{"more": 123456789012345678901234567890}')

    assert raw == {"more": 123456789012345678901234567890}
    assert dump_record(structure(raw, Thing)) == raw


@pytest.mark.parametrize(
    "number",
    [(1 << 63) - 1, 1 << 63, (1 << 64) - 1, 1 << 64, -(1 << 63), -(1 << 63) - 1, 10**40, -(10**40)],
)
def test_no_whole_number_is_rounded_wherever_it_stands(number: int) -> None:
    bodies = ('{"a":%d}', '{"a": %d}', "[%d]", "[0,%d]", "[\n%d]", "[\t%d,0]")
    for body, moved in itertools.product(bodies, range(5)):
        text = " " * moved + body % number

        assert load_json(text.encode()) == json.loads(text)


def test_the_control_orjson_alone_would_round() -> None:
    assert orjson.loads(b"[18446744073709551617]") != [18446744073709551617]


# ---------------------------------------------------------------- round trip


def test_dumping_gives_back_what_came_in() -> None:
    raw = {**FULL, "label": None, "shape": [1, {"a": None}], "friendlyName": None}

    assert dump_record(structure(raw, Thing)) == raw


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abpasw", max_size=5), inner)
    ),
    max_leaves=6,
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


def objects(known: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """Objects with some of the known keys, any of which may be null, and some unknown ones."""
    optional = {key: st.none() | strategy for key, strategy in known.items()}
    strange = st.dictionaries(
        texts.filter(lambda key: key not in known)
        | st.sampled_from(["password", "apiKey", "authToken"]),
        json_values,
        max_size=3,
    )
    return st.builds(
        lambda given, extra: {**extra, **given},
        st.fixed_dictionaries({}, optional=optional),
        strange,
    )


owners = objects({"ownerName": texts, "age": st.integers(-(2**53), 2**53)})
things = objects(
    {
        "key": texts,
        "sipNumber": texts.filter(lambda text: not text.isdigit()),
        "friendlyName": texts,
        "active": st.booleans(),
        "count": st.integers(-(2**53), 2**53),
        "seconds": st.integers(0, 2**53) | st.floats(0, 1e9),
        "settings": st.dictionaries(texts, json_values, max_size=3),
        "tags": st.lists(texts, max_size=3),
        "owner": owners,
        "origin": owners | texts,
        "parts": st.lists(owners, max_size=3),
    }
)


@given(things)
def test_any_answer_survives_reading_and_dumping(raw: dict[str, Any]) -> None:
    """Unknown keys, unknown words, nulls and absent keys, at every depth."""
    dumped = dump_record(structure(raw, Thing))

    assert json.dumps(dumped, sort_keys=True) == json.dumps(raw, sort_keys=True)


@example({}, "tags", [0, ""])
@given(things, st.sampled_from(sorted(ODD)), json_values)
def test_no_value_is_turned_into_another(raw: dict[str, Any], key: str, value: object) -> None:
    """It comes back as it was, or as another spelling of the same; and reads the same again."""
    raw[key] = value
    thing = structure(raw, Thing)
    dumped = dump_record(thing)

    assert structure(dumped, Thing) == thing
    assert is_same_value(dumped[key], value)


def is_same_value(dumped: object, value: object) -> bool:
    if isinstance(dumped, list) and isinstance(value, list) and len(dumped) == len(value):
        return all(map(is_same_value, dumped, value))
    spelling = str(dumped).lower().removeprefix("+").replace("'", "")
    return dumped == value or spelling in json.dumps(with_whole_numbers(value))


def with_whole_numbers(value: object) -> object:
    """Return *value* as it reads once ``1.0`` is 1."""
    if isinstance(value, list):
        return [with_whole_numbers(item) for item in value]
    if isinstance(value, dict):
        return {key: with_whole_numbers(item) for key, item in value.items()}
    return int(value) if isinstance(value, float) and value.is_integer() else value


def read_plainly(raw: dict[str, Any]) -> tuple[Thing, Mapping[str, Any]]:
    """Read what `structure` reads, one field after another by the hook of its type."""
    hints, nulls, extra = get_type_hints(Thing), dict[str, Any](), dict[str, Any]()
    marks = wire_names(Thing)
    fields: dict[str, Any] = {}
    for name, mark in marks.items():
        if mark.name in raw:
            default = attrs.fields_dict(Thing)[name].default
            read = other_reader(mark, hints[name], reader(hints[name]), default)
            fields[name] = read(raw[mark.name], nulls, extra)
    known = {mark.name for mark in marks.values()}
    return Thing(**fields, nulls=nulls, extra={**unknown_fields(raw, known), **extra}), nulls


@given(things, st.dictionaries(st.sampled_from(sorted(ODD)), json_values, max_size=3))
def test_the_compiled_reader_agrees_with_a_plain_loop(
    raw: dict[str, Any], odd: dict[str, Any]
) -> None:
    raw |= odd
    plain, nulls = read_plainly(raw)

    read = structure(raw, Thing)
    assert (read, read.nulls) == (plain, nulls)


# ---------------------------------------------------------------- secrets among the unknown keys


@pytest.mark.parametrize(
    "key", ["password", "trunkPassword", "PASS", "clientSecret", "authToken", "apiKey", "api_key"]
)
def test_what_sounds_like_a_credential_is_masked_and_dumped_back(key: str) -> None:
    """A platform that echoes a password by mistake does not put it into our logs."""
    raw = {key: "hunter2"}
    thing = structure(raw, Thing)

    assert "hunter2" not in repr(thing.extra) + repr(thing)
    assert dump_record(thing) == raw


def test_credentials_are_masked_however_deep_they_stand() -> None:
    raw = {"trunk": {"credentials": {"user": "u", "list": [{"value": "hunter2"}]}}, "n": [{"a": 1}]}
    thing = structure(raw, Thing)

    assert "hunter2" not in repr(thing.extra)
    assert dump_record(thing) == raw


def test_the_control_other_unknown_keys_stay_readable() -> None:
    assert structure({"shape": "round", "passCount": 3}, Thing).extra == {
        "shape": "round",
        "passCount": 3,
    }


# ---------------------------------------------------------------- names


def test_the_wire_name_stands_beside_the_field() -> None:
    assert {field: mark.name for field, mark in wire_names(Order).items()} == {
        "label": "friendlyName",
        "owner": "ownerId",
        "password": "trunkPassword",
        "variables": "variables",
    }


# ---------------------------------------------------------------- what other platforms need


@attrs.frozen(kw_only=True)
class Webhook(Record):
    secret: Annotated[Secret | None, wire("signingSecret")] = None
    price: Annotated[int | str | None, wire("price")] = None

    @classmethod
    def select_class(cls, raw: Mapping[str, Any]) -> type[Record]:
        return Hook if raw.get("kind") == "hook" else Webhook


@attrs.frozen(kw_only=True)
class Hook(Webhook):
    kind: Annotated[str | None, wire("kind")] = None


def test_a_secret_that_comes_is_one_at_once_and_is_dumped_back() -> None:
    raw = {"signingSecret": "hunter2"}
    read = structure(raw, Webhook)

    assert "hunter2" not in repr(read)
    assert dump_record(read) == raw
    assert structure({"signingSecret": 7}, Webhook).secret == Secret("7")


@pytest.mark.parametrize("price", [7, "7", None])
def test_one_of_two_plain_types_is_kept_as_it_is(price: object) -> None:
    assert structure({"price": price}, Webhook).price == price
    assert structure({"price": True}, Webhook).extra == {"price": True}


def test_a_record_may_say_which_kind_it_is() -> None:
    assert structure({"kind": "hook"}, Webhook) == Hook(kind="hook")
    assert structure({"kind": "other"}, Webhook) == Webhook(extra={"kind": "other"})


def test_two_kinds_of_fields_are_filled_alike_by_hand_and_by_an_answer() -> None:
    """Slots that an answer fills hold what the class itself would have put there."""
    by_hand = Thing(key="k", active=True, owner=Owner(name="o"), extra={"new": 1})

    assert (
        structure({"key": "k", "active": True, "owner": {"ownerName": "o"}, "new": 1}, Thing)
        == by_hand
    )
    assert structure({}, Thing) == Thing()


def test_what_an_answer_fills_is_of_the_class_and_frozen() -> None:
    """Fails if the open twin, through which the slots are filled, is what comes out."""
    thing = structure({"key": "k"}, Thing)

    assert type(thing) is Thing
    assert pickle.loads(pickle.dumps(thing)) == thing
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(thing, "key", "other")  # noqa: B010 - type checkers know that it is frozen


@pytest.mark.parametrize("platform", ["dialnexa", "sigmamind", "verbex"])
def test_no_record_has_what_filling_its_slots_would_pass_by(platform: str) -> None:
    """No converter or validator, no default that is made anew, nothing after ``__init__``."""
    modules = [
        importlib.import_module(f"sigmamind_async.platforms.{platform}.{name}")
        for name in ("models", "webhooks")
    ]
    records = {
        held
        for module in modules
        for held in vars(module).values()
        if isinstance(held, type) and issubclass(held, Record)
    }
    assert len(records) > 2
    assert [passed_by(record) for record in records if passed_by(record)] == []
    assert passed_by(Careful) == ["checked", "__attrs_post_init__"]  # the control


@attrs.frozen(kw_only=True)
class Careful(Record):
    checked: Annotated[str, wire("checked")] = attrs.field(
        default="", validator=attrs.validators.max_len(3)
    )

    def __attrs_post_init__(self) -> None:
        raise AssertionError


@pytest.mark.parametrize("platform", ["dialnexa", "sigmamind", "verbex"])
def test_no_request_has_what_its_compiled_init_leaves_out(platform: str) -> None:
    """The same parameters as attrs' own, no validator, and nothing before or after."""
    models = importlib.import_module(f"sigmamind_async.platforms.{platform}.models")
    requests = [
        held
        for held in vars(models).values()
        if isinstance(held, type) and issubclass(held, RequestValue) and held is not RequestValue
    ]
    assert len(requests) > 8
    for cls in [*requests, Response, Outcome]:
        init: Any = getattr(cls, "__init__")  # noqa: B009 - mypy doubts it on a class
        compiled, own = init.__code__, inspect.signature(init).parameters
        assert compiled.co_filename == "<string>"
        assert compiled.co_varnames[: len(own)] == tuple(own)
        assert compiled.co_kwonlyargcount == sum(
            each.kind is each.KEYWORD_ONLY for each in own.values()
        )
        for field in attrs.fields(cls):
            assert field.validator is None
            assert field.converter is None or field.converter(field.default) is field.default
        assert not hasattr(cls, "__attrs_pre_init__")
        assert not hasattr(cls, "__attrs_post_init__")


def passed_by(record: type[Record]) -> list[str]:
    own = (field for field in attrs.fields(record) if field.name not in {"extra", "nulls"})
    plain = (str, bool, int, type(None))
    names = [
        field.name
        for field in own
        if field.converter or field.validator or not isinstance(field.default, plain)
    ]
    return names + ["__attrs_post_init__"] * hasattr(record, "__attrs_post_init__")


@pytest.mark.parametrize(
    "error",
    [ImportError("cannot import name 'x'"), ModuleNotFoundError("No module named 'orjson'")],
)
def test_a_module_that_is_not_there_is_no_lack_of_descriptors(error: ImportError) -> None:
    with pytest.raises(type(error)), importing():
        raise error


@pytest.mark.parametrize(
    "error",
    [
        OSError(24, "Too many open files"),
        ImportError("x.so: cannot open shared object file: Too many open files"),
    ],
)
def test_a_module_that_cannot_be_read_is_an_error_of_ours(error: Exception) -> None:
    with pytest.raises(APIConnectionError) as caught, importing():
        raise error
    assert str(caught.value) == "no file can be opened (Too many open files); nothing was sent"
    assert isinstance(caught.value.__cause__, OSError)
