"""A name that other SDKs have leads to ours."""

import copy
import inspect
import operator
import pickle
import re
import subprocess
import sys
from typing import Any

import pytest

import sigmamind_async
from sigmamind_async import DialNexa, NotFoundError, SigmaMind, hints, sync
from sigmamind_async.platforms.dialnexa.models import PhoneNumber as DialNexaPhoneNumber
from sigmamind_async.platforms.sigmamind.models import CreatePhoneNumber, PhoneNumber
from sigmamind_async.platforms.verbex.models import PhoneNumber as VerbexPhoneNumber

RECORD = PhoneNumber(sip_phone_number="+14155550123")


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("AsyncSigmaMind", "SigmaMind"),
        ("APIError", "SigmaMindError, or APIStatusError for those with a status"),
        ("UnprocessableEntityError", "BadRequestError, which is for 400 and 422"),
        ("NOT_GIVEN", "UNSET"),
    ],
)
def test_a_name_of_the_package(name: str, ours: str) -> None:
    with pytest.raises(AttributeError, match=f"has no attribute '{name}'. Use {ours}$"):
        getattr(sigmamind_async, name)


@pytest.mark.parametrize("name", sorted(hints.NAMES))
def test_a_hint_names_what_is_there(name: str) -> None:
    assert not hasattr(sigmamind_async, name)
    first = hints.NAMES[name].partition(",")[0].partition("(")[0]
    assert hasattr(sigmamind_async, first) or first.startswith(("a client", "client"))


@pytest.mark.parametrize(
    ("thing", "name", "ours"),
    [
        (RECORD, "model_dump", "to_dict()"),
        (RECORD, "dict", "to_dict()"),
        (RECORD, "json", "to_json()"),
        (RECORD, "phone_number", "sip_phone_number"),
        (RECORD, "sid", "sip_phone_number"),
        (DialNexaPhoneNumber(), "friendly_name", "nickname"),
        (VerbexPhoneNumber(), "sip_phone_number", "phone_number"),
        (CreatePhoneNumber(country_code="US"), "model_dump", "to_dict()"),
        (NotFoundError("404"), "status_code", "status"),
        (NotFoundError("404"), "response", "body"),
    ],
)
def test_an_attribute(thing: object, name: str, ours: str) -> None:
    with pytest.raises(AttributeError) as caught:
        getattr(thing, name)

    assert str(caught.value).endswith(f"has no attribute {name!r}. Use {ours}")


@pytest.mark.parametrize(
    ("client", "path", "ours"),
    [
        (SigmaMind("key"), "phone_numbers.retrieve", "get()"),
        (SigmaMind("key"), "phone_numbers.import_phone_number", "import_()"),
        (SigmaMind("key"), "phone_numbers.release", "delete()"),
        (SigmaMind("key"), "incoming_phone_numbers", "phone_numbers"),
        (SigmaMind("key"), "post", "request()"),
        (SigmaMind("key"), "copy", "with_options()"),
        (SigmaMind("key"), "with_streaming_response", "with_raw_response"),
        (DialNexa("key:secret"), "phone_numbers.import_number", "import_sip_trunk()"),
        (DialNexa("key:secret"), "phone_numbers.create", "purchase()"),
        (DialNexa("key:secret"), "phone_numbers.delete", "release()"),
        (sync.SigmaMind("key"), "phone_numbers.retrieve", "get()"),
        (sync.SigmaMind("key"), "copy", "with_options()"),
    ],
)
def test_a_method_of_a_client(client: object, path: str, ours: str) -> None:
    with pytest.raises(AttributeError) as caught:
        operator.attrgetter(path)(client)

    assert str(caught.value).endswith(f"{path.rpartition('.')[2]!r}. Use {ours}")


def test_an_async_client_is_not_opened_by_a_plain_with() -> None:
    client: Any = SigmaMind("key")

    with (
        pytest.raises(TypeError, match=r"'async with', or SigmaMind of sigmamind_async.sync"),
        client,
    ):
        pass


async def test_a_listing_is_not_awaited() -> None:
    listing: Any = SigmaMind("key").phone_numbers.list()

    with pytest.raises(TypeError, match="iterate over it with 'async for'"):
        await listing
    with pytest.raises(AttributeError, match=r"'data'. Use pages\(\)"):
        _ = listing.data


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("timeout", "deadline="),
        ("max_retries", "retry=RetryPolicy(max_attempts=...)"),
        ("http_client", "session="),
        ("default_headers", "headers="),
        ("token", "api_key="),
    ],
)
def test_a_setting_of_a_client(name: str, ours: str) -> None:
    functions: list[Any] = [
        SigmaMind,
        sync.SigmaMind,
        SigmaMind("key").with_options,
        sync.SigmaMind("key").with_options,
        sync.SigmaMind("key").phone_numbers.create,
    ]
    for function in functions:
        with pytest.raises(TypeError, match=f"argument '{name}'.*Use {re.escape(ours)}"):
            function(**{name: 1})


def test_another_type_error_of_a_setting_has_no_hint() -> None:
    with pytest.raises(TypeError, match="argument 'colour'"):
        SigmaMind("key", colour=1)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="takes from 1 to 2"):
        SigmaMind("key", "url")  # type: ignore[call-arg]


@pytest.mark.parametrize("name", sorted(hints.ARGUMENTS))
def test_a_hint_at_an_argument_names_one(name: str) -> None:
    arguments = {*inspect.signature(SigmaMind).parameters}
    named = re.findall(r"(\w+)=", hints.ARGUMENTS[name])

    assert name not in arguments
    assert {*named[:1]} <= {*arguments, "query", "body"}


@pytest.mark.parametrize("thing", [RECORD, NotFoundError("404")])
def test_other_names_get_no_hint(thing: object) -> None:
    """Python looks for a name that is spelled alike."""
    with pytest.raises(AttributeError, match=r"has no attribute 'colour'$") as caught:
        thing.colour  # type: ignore[attr-defined]  # noqa: B018

    assert caught.value.name == "colour"


def test_what_looks_for_special_methods_finds_none() -> None:
    assert copy.deepcopy(RECORD) == pickle.loads(pickle.dumps(RECORD)) == RECORD
    assert not hasattr(RECORD, "__html__")
    assert not hasattr(NotFoundError("404"), "__notes__")


def test_the_table_is_read_only_after_a_mistake() -> None:
    check = "import sys, sigmamind_async; sigmamind_async.SigmaMind('key')"
    check += "; print('sigmamind_async.hints' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)

    assert done.stdout == "False\n"
