"""What was sent and is not shown."""

from typing import Annotated, Any

import attrs
import pytest

from sigmamind_async.convert import Record, wire
from sigmamind_async.errors import ResponseDecodeError
from sigmamind_async.operation import Operation, Response, differing_fields, get_operation
from sigmamind_async.paging import Page, find_on_first_page
from sigmamind_async.values import UNSET


@attrs.frozen(kw_only=True)
class Sent:
    label: Any = UNSET
    agent: Any = UNSET


@attrs.frozen(kw_only=True)
class Shown(Record):
    name: Annotated[str | None, wire("name")] = None
    agent: Annotated[str | None, wire("agent")] = None


FIELDS = {"label": "name", "agent": "agent"}


@pytest.mark.parametrize(
    ("sent", "shown", "missing"),
    [
        (Sent(), Shown(name="x"), ()),
        (Sent(label="x"), Shown(name="x"), ()),
        (Sent(label="x"), Shown(name="y"), ("label",)),
        (Sent(label="x", agent="a"), Shown(), ("label", "agent")),
        (Sent(agent=None), Shown(), ()),
        (Sent(agent=None), Shown(agent=""), ()),
        (Sent(agent=None), Shown(agent="a"), ("agent",)),
        (Sent(label=""), Shown(), ()),
    ],
)
def test_what_the_answer_shows_otherwise_is_named(
    sent: Sent, shown: Shown, missing: tuple[str, ...]
) -> None:
    assert differing_fields(sent, shown, FIELDS) == missing


LISTING: Operation[Page[int]] = get_operation(
    "acme.list", "/v1/things", lambda _: Page(items=[1, 2, 3]), None
)


def test_a_record_is_looked_up_on_the_first_page_where_there_is_only_a_listing() -> None:
    look = find_on_first_page(LISTING, lambda item: item == 2)

    assert look.decode(Response(status=200)) == 2
    assert (look.request, look.repeatable) == (LISTING.request, True)


def test_a_record_further_back_is_not_found() -> None:
    with pytest.raises(ResponseDecodeError, match="not on the first page"):
        find_on_first_page(LISTING, lambda item: item == 9).decode(Response(status=200))
