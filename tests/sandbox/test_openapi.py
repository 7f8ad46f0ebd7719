"""The OpenAPI document and the sandbox say the same."""

import json
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import jsonschema
import pytest

from sigmamind_async.sandbox import SandboxThread
from sigmamind_async.sandbox.sigmamind import SigmaMindApi

CONFIG = Path(__file__).with_name("schemathesis.toml")


def test_the_document_names_every_operation_once() -> None:
    document = json.loads(SigmaMindApi(0).openapi)
    named = [
        method["operationId"] for path in document["paths"].values() for method in path.values()
    ]
    assert sorted(named) == sorted(SigmaMindApi(0).operations)


def test_the_schemas_are_schemas() -> None:
    document = json.loads(SigmaMindApi(0).openapi)
    for schema in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)


def test_the_document_is_served_without_a_key() -> None:
    with SandboxThread() as box, urlopen(box.sigmamind.base_url + "/openapi.json") as response:
        assert json.load(response)["openapi"].startswith("3.1")


@pytest.mark.timeout(180)
def test_schemathesis_finds_nothing(tmp_path: Path) -> None:
    """Examples, limits, fuzzing and links, with every check on the responses."""
    pytest.importorskip("schemathesis", reason="not part of the extra `test`")
    with SandboxThread(seed=1) as box:
        command = [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIG)),
            *("run", box.sigmamind.base_url + "/openapi.json"),
            *("--header", f"X-API-Key: {box.sigmamind.api_key}"),
        ]
        finished = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
        )
    assert finished.returncode == 0, finished.stdout[-5000:] + finished.stderr[-2000:]
    assert box.sigmamind.requests.total > 500
    assert not any(status >= 500 for status in box.sigmamind.requests.by_status)
