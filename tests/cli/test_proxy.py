"""The command line behind a proxy: ``--proxy``, and what the environment names."""

from __future__ import annotations

import pytest

from sigmamind_async.cli.help import COMMANDS
from sigmamind_async.cli.options import RequestOptions
from tests.cli.conftest import Cli, Inside
from tests.harness.ports import closed_port

LIST = ("numbers", "list", "--json", "--deadline", "2")


def environment(**variables: str) -> dict[str, str]:
    """Return *variables*, and no other that names a proxy."""
    names = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
    none = {name: "" for each in names for name in (each, each.lower())}
    return none | variables


def test_the_option_names_the_proxy(cli: Cli) -> None:
    port = closed_port()
    done = cli(*LIST, "--proxy", f"http://clerk:hunter2@127.0.0.1:{port}", **environment())

    assert done.code == 1
    assert f"the proxy 127.0.0.1:{port} (Connection refused)" in done.err
    assert "hunter2" not in done.err


def test_the_environment_names_it_as_well(cli: Cli) -> None:
    """The sandbox is http, so that ``HTTP_PROXY`` is the one that counts here."""
    port = closed_port()
    proxy = {"http_proxy": f"http://127.0.0.1:{port}"}
    refused = cli(*LIST, **environment(**proxy))
    direct = cli(*LIST, **environment(**proxy, no_proxy="127.0.0.1,localhost"))

    assert (refused.code, direct.code) == (1, 0)
    assert f"the proxy 127.0.0.1:{port}" in refused.err


@pytest.mark.parametrize("proxy", ["socks5://clerk:hunter2@proxy:1080", "proxy:3128", ""])
def test_an_unusable_one_is_refused_at_once(cli: Cli, proxy: str) -> None:
    done = cli("numbers", "list", "--proxy", proxy, **environment())

    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("sigmamind: --proxy: ")
    assert "hunter2" not in done.err


ASKING = [
    *("plan", "apply", "export", "reconcile", "worker"),
    *(name for name in COMMANDS if name.startswith("numbers ")),
]


@pytest.mark.parametrize("command", ASKING)
def test_every_command_that_asks_a_platform_takes_it(inside: Inside, command: str) -> None:
    assert "--proxy" in inside(*command.split(), "--help").out


def test_one_that_asks_none_does_not(inside: Inside) -> None:
    assert "--proxy" not in inside("status", "--help").out


def test_showing_the_options_does_not_show_the_proxys_password() -> None:
    assert "hunter2" not in repr(RequestOptions(proxy="http://clerk:hunter2@proxy:3128"))


@pytest.mark.parametrize(
    ("variables", "way"),
    [
        ({"all_proxy": "http://clerk:hunter2@127.0.0.1:{port}"}, "through the proxy 127.0.0.1:"),
        ({"all_proxy": "http://127.0.0.1:{port}", "no_proxy": "127.0.0.1:{own}, *"}, ""),
        ({"all_proxy": "socks5://127.0.0.1:{port}"}, "neither http nor https"),
    ],
)
def test_doctor_names_the_proxy_that_requests_take(
    cli: Cli, inside: Inside, variables: dict[str, str], way: str
) -> None:
    ports = {"port": closed_port(), "own": cli.box.sigmamind.base_url.rpartition(":")[2]}
    given = {name: text.format(**ports) for name, text in variables.items()}
    done = inside("doctor", "--json", **environment(**given))
    [found] = [each for each in done.objects if each.get("name") == "sigmamind"]

    assert found["verdict"] == ("failed" if way else "ok")
    assert way in found["message"]
    assert ("proxy" in found["message"]) == bool(way)
    assert "hunter2" not in done.out
