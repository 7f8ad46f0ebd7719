"""A name that other SDKs have leads to ours."""

import copy
import pickle
import subprocess
import sys

import pytest

import sigmamind_async
from sigmamind_async import NotFoundError, hints
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
        (RECORD, "friendlyName", "friendly_name"),
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
