"""A name that other SDKs have leads to ours."""

import copy
import inspect
import operator
import pickle
import re
import subprocess
import sys
import traceback
from typing import Any
from unittest.mock import create_autospec

import pytest

import sigmamind_async
from sigmamind_async import DialNexa, NotFoundError, SigmaMind, Verbex, hints, sync
from sigmamind_async.client import Resource
from sigmamind_async.platforms.dialnexa.models import PhoneNumber as DialNexaPhoneNumber
from sigmamind_async.platforms.sigmamind.models import CreatePhoneNumber, PhoneNumber
from sigmamind_async.platforms.verbex.models import PhoneNumber as VerbexPhoneNumber

RECORD = PhoneNumber(sip_phone_number="+14155550123")
CLIENTS: list[Any] = [SigmaMind("key"), DialNexa("key:secret"), Verbex("key")]
METHODS = [
    (type(client), getattr(part, name))
    for client in CLIENTS
    for part in [part for part in vars(client).values() if isinstance(part, Resource)]
    for name in dir(part)
    if not name.startswith("_")
]


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


@pytest.mark.parametrize("client", CLIENTS)
def test_every_name_that_is_known_leads_to_ours(client: Any) -> None:
    """Each class lists the names itself, since the table is not read before a mistake."""
    parts = [part for part in vars(client).values() if isinstance(part, Resource)]
    for thing in [client, *parts]:
        assert not {*dir(thing)} & {"retrieve", "aclose"}
        for name in hints.ATTRIBUTES:
            hint = hints.attribute_hint(thing, name)
            if hint and not hasattr(thing, name):
                with pytest.raises(AttributeError, match=re.escape(hint)):
                    getattr(thing, name)


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
    ]
    for function in functions:
        with pytest.raises(TypeError, match=f"argument '{name}'.*Use {re.escape(ours)}"):
            function(**{name: 1})


@pytest.mark.parametrize(
    ("path", "name", "ours"),
    [
        ("phone_numbers.update", "timeout", "client.with_options(deadline=...), in seconds"),
        ("phone_numbers.update", "name", "friendly_name="),
        ("phone_numbers.get", "max_retries", "client.with_options(retry=RetryPolicy("),
        ("phone_numbers.get", "sid", "phone_number="),
        ("phone_numbers.create", "extra_headers", "client.with_options(headers=...)"),
        ("phone_numbers.create", "idempotency_key", "Provisioner.run(op_id, value)"),
        ("phone_numbers.create_many", "concurrency", "the client's max_connections="),
        ("phone_numbers.list", "limit", "`break` to end a listing early"),
        ("phone_numbers.create", "count", "create_many() for several numbers"),
        ("agents.list", "starting_after", "list().pages()"),
        ("phone_numbers.list", "per_page", "page_size="),
        ("with_raw_response.phone_numbers.get", "timeout", "client.with_options(deadline=...)"),
        ("request", "params", "query="),
        ("run_many", "timeout", "client.with_options(deadline=...)"),
    ],
)
def test_an_argument_of_a_call(path: str, name: str, ours: str) -> None:
    """Asynchronous or blocking: it is refused by the call itself, before anything is awaited."""
    clients: list[Any] = [SigmaMind("key"), sync.SigmaMind("key")]
    for client in clients:
        with pytest.raises(TypeError) as caught:
            operator.attrgetter(path)(client)(**{name: 1})

        assert str(caught.value).partition(f"argument '{name}'")[2].startswith(f". Use {ours}")


def test_an_argument_in_another_spelling() -> None:
    """Python 3.13 finds it itself."""
    client: Any = SigmaMind("key")
    with pytest.raises(TypeError, match=r"(Use friendly_name=|Did you mean 'friendly_name'\?)$"):
        client.phone_numbers.update("+14155550123", friendlyName="Desk")


@pytest.mark.parametrize(("client", "method"), METHODS)
def test_every_method_has_hints_and_is_what_it_was(client: type, method: Any) -> None:
    """A coroutine function, with its signature; doubles are made from that."""
    inner, signature = method.__wrapped__, inspect.signature(method)
    kinds = {name: each.kind for name, each in signature.parameters.items()}
    given = {name: "" for name, each in signature.parameters.items() if each.default is each.empty}
    given.pop("change", None)  # the fields of update_many; what is unknown there, their class says
    is_async = bool(inner.__code__.co_flags & inspect.CO_COROUTINE)

    assert inspect.iscoroutinefunction(method) is is_async
    assert [*inspect.signature(inner).parameters] == ["self", *kinds]
    double = create_autospec(method)(**given)
    assert inspect.iscoroutine(double) is is_async
    if is_async:
        double.close()
    if inspect.Parameter.VAR_KEYWORD not in kinds.values():
        with pytest.raises(TypeError, match=r"'extra_headers'. Use client.with_options\(headers"):
            method(**given, extra_headers={})


def test_a_refused_argument_is_in_no_frame_of_ours() -> None:
    """It may be a secret; the caller's own frames are the caller's."""
    client: Any = SigmaMind("key")
    with pytest.raises(TypeError) as caught:
        client.phone_numbers.import_("+14155550123", trunk_password="hunter2", timeout=1)

    frames = [*traceback.walk_tb(caught.value.__traceback__)][1:]
    assert len(frames) == 1
    assert "hunter2" not in "".join(repr(frame.f_locals) for frame, _ in frames)


def test_a_type_error_from_within_a_call_has_no_hint() -> None:
    """Only the call's own arguments are meant, whatever the message of another error says."""

    class Numbers(Resource):
        async def get(self) -> None:
            raise TypeError("f() got an unexpected keyword argument 'timeout'")

        def list(self) -> None:
            raise TypeError("f() got an unexpected keyword argument 'timeout'")

    numbers: Any = Numbers(SigmaMind("key").runner)
    for call in (lambda: numbers.get().send(None), numbers.list):
        with pytest.raises(TypeError, match=r"'timeout'$"):
            call()


def test_another_type_error_of_a_setting_has_no_hint() -> None:
    with pytest.raises(TypeError, match="argument 'colour'"):
        SigmaMind("key", colour=1)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="takes from 1 to 2"):
        SigmaMind("key", "url")  # type: ignore[call-arg]


@pytest.mark.parametrize("name", sorted(hints.CALL_ARGUMENTS))
def test_a_hint_at_an_argument_of_a_call_names_one(name: str) -> None:
    settings = inspect.signature(SigmaMind.with_options).parameters
    named = re.findall(r"with_options\((\w+)=", hints.CALL_ARGUMENTS[name])

    assert {*named} <= {*settings}


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
