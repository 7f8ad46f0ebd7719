"""The judge: it must find a number bought twice, and must not find one that was not."""

import pytest

from sigmamind_async.sandbox import Commit, Ledger
from sigmamind_async.sandbox.ledger import ChangeKind, fingerprint


def entry(
    ledger: Ledger,
    phone_number: str,
    label: str | None = None,
    kind: ChangeKind = "purchase",
    record_id: str | None = None,
) -> Commit:
    commit = Commit(
        sequence=len(ledger) + 1,
        time=0.0,
        platform="sigmamind",
        operation=kind,
        kind=kind,
        phone_number=phone_number,
        record_id=record_id,
        friendly_name=label,
        body={},
        fingerprint="",
        fault=None,
    )
    ledger.append(commit)
    return commit


def strip_attempt(label: str) -> str:
    return label.rpartition(".")[0]


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


def test_one_number_per_label_is_no_finding(ledger: Ledger) -> None:
    entry(ledger, "+14155550100", "order-1")
    entry(ledger, "+14155550101", "order-2")
    assert ledger.bought_twice() == {}
    assert ledger.verdict() == "OK     2 purchases, 2 numbers held\nOK     0 bought twice"


def test_a_label_that_bought_two_numbers_is_found(ledger: Ledger) -> None:
    """The negative control: a judge that cannot convict proves nothing."""
    entry(ledger, "+14155550100", "order-1")
    entry(ledger, "+14155550101", "order-1")
    assert ledger.bought_twice() == {"order-1": ["+14155550100", "+14155550101"]}
    assert "FAULT  1 bought twice (order-1: +14155550100, +14155550101)" in ledger.verdict()
    assert ledger.summary()["bought_twice"] == 1


def test_labels_that_differ_by_the_attempt_can_be_taken_together(ledger: Ledger) -> None:
    entry(ledger, "+14155550100", "order-1.1")
    entry(ledger, "+14155550101", "order-1.2")
    assert ledger.bought_twice() == {}
    assert list(ledger.bought_twice(strip_attempt)) == ["order-1"]


def test_a_second_number_that_was_released_is_bought_twice_but_not_owned_twice(
    ledger: Ledger,
) -> None:
    entry(ledger, "+14155550100", "order-1")
    entry(ledger, "+14155550101", "order-1")
    entry(ledger, "+14155550101", kind="release")
    assert ledger.bought_twice() != {}
    assert ledger.owned_twice() == {}
    assert ledger.owned() == ["+14155550100"]


def test_purchases_without_a_label_are_not_taken_together(ledger: Ledger) -> None:
    entry(ledger, "+14155550100")
    entry(ledger, "+14155550101")
    assert ledger.bought_twice() == {}


def test_imports_are_owned_but_not_bought(ledger: Ledger) -> None:
    entry(ledger, "+14155550100", "order-1", "import")
    assert ledger.purchases == []
    assert ledger.owned("sigmamind") == ["+14155550100"]
    assert ledger.owned("verbex") == []


def test_two_records_of_one_number_are_held_apart(ledger: Ledger) -> None:
    entry(ledger, "+14155550100", "order-1", record_id="a")
    entry(ledger, "+14155550100", "order-1", record_id="b")
    assert ledger.owned() == ["+14155550100"] * 2
    assert ledger.owned_twice() == {"order-1": ["+14155550100"] * 2}
    entry(ledger, "+14155550100", kind="release", record_id="a")
    assert ledger.owned() == ["+14155550100"]
    assert ledger.owned_twice() == {}


def test_what_was_expected_and_not_bought_is_found(ledger: Ledger) -> None:
    bought = entry(ledger, "+14155550100", "order-1")
    assert ledger.purchases_labelled("order-1") == [bought]
    assert "FAULT  1 expected and not bought (order-2)" in ledger.verdict(["order-1", "order-2"])
    assert "OK     0 expected and not bought" in ledger.verdict(["order-1"])


def test_the_tags_of_journaled_purchases_are_known(ledger: Ledger) -> None:
    """Attempts of one purchase differ in a number; two purchases of one label in a token."""
    entry(ledger, "+14155550100", "Desk [sm:7Q2MX4KD3WPTB.1]")
    entry(ledger, "+14155550101", "Desk [sm:HLM6GQDR36B43.1]")
    ledger.assert_once()
    assert (ledger.missing(["Desk"]), ledger.missing(["Hall"])) == ([], ["Hall"])
    assert "FAULT" not in ledger.verdict(["Desk"])

    entry(ledger, "+14155550102", "Desk [sm:HLM6GQDR36B43.2]")
    with pytest.raises(AssertionError, match=r"twice: Desk \[sm:HLM6GQDR36B43\]: \+14155550101, "):
        ledger.assert_once()


def test_entries_follow_each_other(ledger: Ledger) -> None:
    commit = entry(ledger, "+14155550100")
    with pytest.raises(ValueError, match="does not follow"):
        ledger.append(commit)


def test_delivery_is_noted(ledger: Ledger) -> None:
    commit = entry(ledger, "+14155550100")
    assert ledger.summary()["undelivered"] == 1
    ledger.mark_delivered(commit.sequence)
    assert ledger.commits[0].delivered
    assert ledger.summary()["undelivered"] == 0


def test_a_fingerprint_names_the_request_whatever_the_order_of_its_keys() -> None:
    one = fingerprint("create", {"countryCode": "US", "areaCode": 415})
    assert one == fingerprint("create", {"areaCode": 415, "countryCode": "US"})
    assert one != fingerprint("create", {"countryCode": "US", "areaCode": 416})
