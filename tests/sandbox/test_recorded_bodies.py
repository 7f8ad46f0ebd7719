"""The recorded bodies of every platform validate against its OpenAPI document."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "tests" / "samples"
DOCUMENTS = {
    path.parent.name: json.loads(path.read_text())
    for path in (ROOT / "sigmamind_async" / "sandbox").glob("*/openapi.json")
}
Json = Any

OTHER_SHAPES = {
    "dialnexa get_phone_number_narrative",
    "dialnexa get_phone_number_wrapped",
    "dialnexa list_phone_numbers_bare",
    "dialnexa list_phone_numbers_meta",
    "dialnexa list_phone_numbers_wrapped",
    "dialnexa purchase_phone_number_older",
    "dialnexa purchase_phone_number_outside",
    "sigmamind list_calls",
}
"""Answers that some copy of the documentation shows in another shape than the newest; the sandbox
gives them behind a switch, and its document describes it without switches."""


def exchanges() -> dict[str, Json]:
    found = {
        f"{path.parent.name} {path.stem}": json.loads(path.read_text())
        for path in sorted(SAMPLES.glob("*/*.json"))
    }
    return {name: content for name, content in found.items() if "request" in content}


EXCHANGES = exchanges()


def operation(name: str) -> Json:
    """Return what the platform's document says of a sample's method and path."""
    paths = DOCUMENTS[name.split(maxsplit=1)[0]]["paths"]
    request = EXCHANGES[name]["request"]
    asked = request["path"].partition("?")[0]
    fits = [path for path in paths if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", path), asked)]
    exactly = min(fits, key=lambda path: path.count("{"))
    return paths[exactly][request["method"].lower()]


def complaints(name: str, content: Json, body: Json) -> list[str]:
    """Return what is wrong with *body* by the schema under *content*."""
    if "content" not in content:
        return [] if body is None else ["no body is described"]
    schema = content["content"]["application/json"]["schema"]
    whole = {**schema, "components": DOCUMENTS[name.split(maxsplit=1)[0]]["components"]}
    return [error.message for error in jsonschema.Draft202012Validator(whole).iter_errors(body)]


@pytest.mark.parametrize("name", EXCHANGES)
def test_a_recorded_request_is_one_that_the_document_allows(name: str) -> None:
    body = EXCHANGES[name]["request"].get("json")

    assert body is None or complaints(name, operation(name)["requestBody"], body) == []


@pytest.mark.parametrize("name", sorted(EXCHANGES.keys() - OTHER_SHAPES))
def test_a_recorded_answer_is_one_that_the_document_gives(name: str) -> None:
    answer = EXCHANGES[name]["response"]
    described = operation(name)["responses"]
    content = described.get(str(answer["status"])) or next(
        response for status, response in described.items() if status.startswith("2")
    )

    assert "json" not in answer or complaints(name, content, answer["json"]) == []


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("sigmamind create_phone_number", {"outboundPhoneNumber": "4155552671"}),
        ("verbex create_sip_phone_number", {"provider": 1}),
        ("dialnexa update_phone_number", {"nickname": "x" * 256}),
    ],
)
def test_a_wrong_body_would_be_found(name: str, change: dict[str, Json]) -> None:
    """The negative control."""
    body = {**EXCHANGES[name]["request"]["json"], **change}

    assert complaints(name, operation(name)["requestBody"], body) != []
