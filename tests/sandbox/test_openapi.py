"""The OpenAPI document and the sandbox say the same."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import jsonschema
import pytest

from sigmamind_async.sandbox import SandboxThread
from sigmamind_async.sandbox.dialnexa import DialNexaApi
from sigmamind_async.sandbox.sigmamind import SigmaMindApi
from sigmamind_async.sandbox.verbex import VerbexApi
from tests.sandbox.support import Vendor, every_vendor

CONFIG = Path(__file__).with_name("schemathesis.toml")
BACKENDS = {each.name: each for each in (SigmaMindApi(0), VerbexApi(0), DialNexaApi(0))}
Json = Any


def document_of(vendor: Vendor) -> Json:
    return json.loads(BACKENDS[vendor.name].openapi)


@every_vendor
def test_the_document_names_every_operation_once(vendor: Vendor) -> None:
    paths = document_of(vendor)["paths"]
    named = [method["operationId"] for path in paths.values() for method in path.values()]
    assert sorted(named) == sorted(BACKENDS[vendor.name].operations)


@every_vendor
def test_the_schemas_are_schemas(vendor: Vendor) -> None:
    for schema in document_of(vendor)["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)


@every_vendor
def test_the_document_is_served_without_a_key(vendor: Vendor) -> None:
    with SandboxThread() as box, urlopen(vendor.endpoint(box).base_url + "/openapi.json") as answer:
        assert json.load(answer) == document_of(vendor)


@pytest.mark.long
@pytest.mark.usefixtures("unmeasured")
@every_vendor
@pytest.mark.timeout(180)
def test_schemathesis_finds_nothing(vendor: Vendor, tmp_path: Path) -> None:
    """Examples, limits, fuzzing and links, with every check on the responses."""
    pytest.importorskip("schemathesis", reason="not part of the extra `test`")
    with SandboxThread(seed=1) as box:
        endpoint = vendor.endpoint(box)
        ((name, key),) = vendor.headers(endpoint.api_key).items()
        command = [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIG)),
            *("run", endpoint.base_url + "/openapi.json"),
            *("--header", f"{name}: {key}"),
        ]
        finished = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
        )
    assert finished.returncode == 0, finished.stdout[-5000:] + finished.stderr[-2000:]
    assert endpoint.requests.total > 250
    assert not any(status >= 500 for status in endpoint.requests.by_status)
