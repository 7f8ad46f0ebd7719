"""What holds for every call of every platform, against recorded bodies."""

from __future__ import annotations

import inspect
import json
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sigmamind_async.convert import Record, RequestValue, dump_json, dump_record, wire_names
from sigmamind_async.operation import PAGE_BYTES, RECORD_BYTES, Operation, Response
from sigmamind_async.responses.confirmation import reports_failure
from sigmamind_async.values import UNSET
from tests.unit.platforms.recorded import (
    CASES,
    PLATFORMS,
    SAMPLES,
    held_at,
    read_sample,
    records_in,
)

ANSWERED = [
    (platform, name)
    for platform, name in CASES
    if (body := read_sample(platform, name)["response"]["json"]) is not None
    and records_in(PLATFORMS[platform].decoded(name, body))
]
"""Those whose answer holds records."""
COMPLETE = [
    ("sigmamind", "create_phone_number"),
    ("sigmamind", "import_phone_number"),
    ("sigmamind", "update_phone_number"),
    ("verbex", "create_sip_phone_number"),
    ("verbex", "create_pia_phone_number"),
    ("verbex", "create_twilio_phone_number"),
    ("verbex", "update_sip_phone_number"),
    ("verbex", "update_pia_phone_number"),
    ("verbex", "update_twilio_phone_number"),
    ("dialnexa", "search_phone_numbers"),
    ("dialnexa", "list_phone_number_pricing"),
    ("dialnexa", "import_sip_trunk"),
    ("dialnexa", "update_phone_number"),
    ("dialnexa", "update_agent"),
]
"""Those that say every field of their value."""
LISTINGS = {"list_phone_numbers", "list_agents", "list_calls", "search_phone_numbers"}
LISTINGS |= {"list_phone_number_pricing"}


def operation(platform: str, name: str) -> Operation[Any]:
    return PLATFORMS[platform].operation(name)


def records(platform: str, name: str, body: object) -> Any:
    return records_in(PLATFORMS[platform].decoded(name, body))


def as_read(record: dict[str, Any], cls: type[Record]) -> dict[str, Any]:
    """Return a recorded object with the plus of its numbers, which carriers leave out."""
    numbers = {mark.name for mark in wire_names(cls).values() if mark.phone_number}
    return {
        name: f"+{value}" if name in numbers and str(value).isdigit() else value
        for name, value in record.items()
    }


def as_list(held: Any) -> list[Any]:
    return held if isinstance(held, list) else [held]


@pytest.mark.parametrize(("platform", "name"), CASES)
def test_a_request_is_the_recorded_one(platform: str, name: str) -> None:
    """Method, path, and every field under its documented name."""
    recorded, request = read_sample(platform, name)["request"], operation(platform, name).request
    body = None if request.json is None else json.loads(dump_json(request.json))

    assert (request.method, request.path) == (recorded["method"], recorded["path"])
    assert body == recorded["json"]


@pytest.mark.parametrize(("platform", "name"), ANSWERED)
def test_a_recorded_answer_is_read_without_a_rest_and_dumped_back(platform: str, name: str) -> None:
    sample = read_sample(platform, name)
    read = records(platform, name, sample["response"]["json"])

    assert [dump_record(record) for record in read] == [
        as_read(record, type(read[0])) for record in as_list(held_at(sample))
    ]
    assert [record.extra for record in read] == [{}] * len(read)


@pytest.mark.parametrize(
    ("platform", "name"),
    [(path.parent.name, path.stem) for path in sorted(SAMPLES.glob("*/*.json"))],
)
def test_every_sample_names_its_source(platform: str, name: str) -> None:
    assert PLATFORMS[platform].site in read_sample(platform, name)["source"]


@pytest.mark.parametrize(("platform", "name"), COMPLETE)
def test_a_recorded_request_says_every_field_of_its_value(platform: str, name: str) -> None:
    """No documented field is missing from the class, and none of ours from the page."""
    value = PLATFORMS[platform].values[name]

    assert UNSET not in [getattr(value, field.name) for field in attrs.fields(type(value))]


@pytest.mark.parametrize(("platform", "name"), CASES)
def test_an_operation_has_the_name_of_its_call_and_its_value(platform: str, name: str) -> None:
    called = PLATFORMS[platform].names.get(name, name)

    assert operation(platform, name).name == f"{platform}.{called}"
    assert operation(platform, name).value is PLATFORMS[platform].values[name]


@pytest.mark.parametrize("platform", PLATFORMS)
def test_every_request_value_has_an_operation(platform: str) -> None:
    recorded = PLATFORMS[platform]
    defined = {
        each
        for _, each in inspect.getmembers(recorded.models, inspect.isclass)
        if issubclass(each, RequestValue) and each is not RequestValue
    }

    assert set(recorded.operations) == defined
    assert {type(value) for value in recorded.values.values()} == defined


@pytest.mark.parametrize(
    ("platform", "once"),
    [
        ("sigmamind", {"create_phone_number", "import_phone_number", "create_call"}),
        ("verbex", {"create_phone_number"}),
        ("dialnexa", {"purchase_phone_number", "import_sip_trunk"}),
    ],
)
def test_only_what_buys_imports_or_rings_is_not_repeatable(platform: str, once: set[str]) -> None:
    calls = [operation(platform, name) for name in PLATFORMS[platform].values]

    assert {each.name for each in calls if not each.repeatable} == {
        f"{platform}.{name}" for name in once
    }


@pytest.mark.parametrize("platform", PLATFORMS)
def test_only_removals_take_a_404_of_their_own_for_success(platform: str) -> None:
    calls = [operation(platform, name) for name in PLATFORMS[platform].values]

    assert {each.name for each in calls if each.on_not_found is None} == {
        each.name for each in calls if each.request.method == "DELETE"
    }


@pytest.mark.parametrize(("platform", "name"), CASES)
def test_only_listings_may_be_large(platform: str, name: str) -> None:
    listing = PLATFORMS[platform].names.get(name, name) in LISTINGS

    assert operation(platform, name).request.max_bytes == (PAGE_BYTES if listing else RECORD_BYTES)


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("body", [b"", b"{}", b'{"deleted": true}', b"gone"])
def test_any_2xx_ends_a_removal(platform: str, body: bytes) -> None:
    recorded = PLATFORMS[platform]
    removals = [
        each for each in map(recorded.operation, recorded.values) if each.request.method == "DELETE"
    ]
    assert removals
    for each in removals:
        assert each.decode(Response(status=200, body=body)) is None


# ---------------------------------------------------------------- what is odd

ODD: list[object] = [7, 1.5, True, "odd", [], [None], {}, {"value": "odd"}, {"$oid": 7}]
"""One of them is no value of any given field."""


@pytest.mark.parametrize(("platform", "name"), ANSWERED)
def test_an_odd_value_hides_nothing_but_itself(platform: str, name: str) -> None:
    """In each field of each record; only where a key cannot be read is there an error."""
    sample = read_sample(platform, name)
    whole = sample["response"]["json"]
    expected = [dump_record(record) for record in records(platform, name, whole)]
    cls = type(records(platform, name, whole)[0])
    strict = {mark.name for mark in wire_names(cls).values() if mark.strict or mark.null_as_empty}
    for key in as_list(held_at(sample))[0].keys() - strict:
        for odd in ODD:
            body = put_at(whole, sample.get("at", []), with_odd(held_at(sample), key, odd))
            read = [dump_record(record) for record in records(platform, name, body)]
            assert without(read[0], key) == without(expected[0], key)
            assert read[1:] == expected[1:]
            assert key in read[0]


def with_odd(held: Any, key: str, odd: object) -> Any:
    """Return the record, or the list of records, *held* with *odd* in the first one."""
    if isinstance(held, list):
        return [{**held[0], key: odd}, *held[1:]]
    return {**held, key: odd}


def without(record: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name != key}


# ---------------------------------------------------------------- what comes one day

WORDS = {"provider", "status", "type", "sip_infra_region", "number_format", "callType"}
WORDS |= {"welcomeMessageType", "terminationReason"}
"""Keys whose words may grow in number."""

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
)
KEYS = st.sampled_from(
    ["data", "meta", "items", "message", "statusCode", "api_token", "trunkPassword", "sip_new"]
) | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)
UNKNOWN = st.dictionaries(KEYS, VALUES, max_size=4)


def grown(record: dict[str, Any], known: set[str], data: st.DataObject) -> dict[str, Any]:
    """Return *record* with unknown keys, and with new words where words stand.

    What reports a failure is no record that has grown.
    """
    new = {
        key: value
        for key, value in data.draw(UNKNOWN).items()
        if key not in known and not reports_failure({key: value, "id": "of a record"})
    }
    words = {key: data.draw(st.text(max_size=8).filter(_is_utf8)) for key in WORDS & record.keys()}
    return {**new, **record, **words}


def _is_utf8(text: str) -> bool:
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def put_at(body: Any, keys: list[str], held: Any) -> Any:
    """Return a recorded answer with *held* in the place that *keys* lead to."""
    if not keys:
        return held
    return {**body, keys[0]: put_at(body[keys[0]], keys[1:], held)}


@pytest.mark.long
@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize(("platform", "name"), ANSWERED)
@settings(max_examples=25)
@given(data=st.data())
def test_an_answer_with_unknown_keys_and_words_is_dumped_back(
    platform: str, name: str, data: st.DataObject
) -> None:
    sample = read_sample(platform, name)
    cls = type(records(platform, name, sample["response"]["json"])[0])
    known = {mark.name for mark in wire_names(cls).values()}
    known |= {"id", "_id", "phoneNumber", "organizationPhoneNumber"}
    held = held_at(sample)
    new = [grown(record, known, data) for record in as_list(held)]
    new_held = new if isinstance(held, list) else new[0]
    body = put_at(sample["response"]["json"], sample.get("at", []), new_held)

    assert [dump_record(record) for record in records(platform, name, body)] == [
        as_read(record, cls) for record in new
    ]
