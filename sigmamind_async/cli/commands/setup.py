"""``sigmamind init``, ``doctor`` and ``completion``: what comes before the first apply."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final, Literal

from cyclopts import Parameter

from sigmamind_async.cli.errors import CommandError, Exit
from sigmamind_async.cli.options import Json, PlatformName, RequestOptions

_ROWS: Final = {
    "sigmamind": ["country_code: US", "area_code: 415"],
    "verbex": [],
    "dialnexa": ["country_code: US", "telephony_provider_id: tp_12345678901"],
}
"""What a purchase on each platform needs, or may name."""
_TEMPLATE: Final = Path(__file__).with_name("fleet.yaml")


def init(
    file: Path = Path("fleet.yaml"),
    /,
    *,
    platform: PlatformName | None = None,
    json: Json = False,
) -> int:
    """Write a fleet file with comments, to be edited.

    Args:
        file: File to write; its name ends in .yaml.
        platform: Platform of the example. Default: the first whose API key is set.
    """
    from sigmamind_async.cli.accounts import PLATFORMS, choose_platforms
    from sigmamind_async.cli.fleet_input import new_file
    from sigmamind_async.cli.output.console import Output
    from sigmamind_async.cli.output.events import FileCreated

    if file.suffix.lower() not in {".yaml", ".yml"}:
        raise CommandError(f"{file}: the name must end in .yaml: other formats hold no comments")
    if file.exists():
        raise CommandError(f"{file} exists; name another file")
    try:
        name = platform or choose_platforms(())[0]
    except CommandError:  # no key is set yet
        name = next(iter(PLATFORMS))
    purchase = "".join(f"  {line}\n" for line in _ROWS[name])
    text = _TEMPLATE.read_text("utf-8").format(file=file, platform=name, purchase=purchase)
    with new_file(file) as stream:
        stream.write(text.encode())
    Output(json=json).show(FileCreated(file=str(file), next_command=f"sigmamind plan {file}"))
    return Exit.DONE


def doctor(
    file: str | None = None,
    /,
    *,
    postgres: str | None = None,
    request: RequestOptions = RequestOptions(deadline=10.0),
    json: Json = False,
) -> int:
    """Check keys, addresses, accounts, clock, packages, journals and database.

    Args:
        file: A fleet file: its journal is checked as well.
        postgres: Database to check: a DSN, env:NAME or file:PATH. Default: SIGMAMIND_POSTGRES, if
            it is set.
    """
    from sigmamind_async.cli.jobs.doctor import check_everything
    from sigmamind_async.cli.loop import run
    from sigmamind_async.cli.output.console import Output

    return run(check_everything(file, postgres, request, Output(json=json)))


def completion(
    shell: Literal["bash", "zsh", "fish"],
    /,
) -> int:
    """Print the script that completes commands and options in a shell.

    Args:
        shell: The shell: bash, zsh or fish.
    """
    from cyclopts import App

    from sigmamind_async.cli.app import command_function
    from sigmamind_async.cli.help import COMMANDS

    flags = Parameter(negative=())
    root = App(name="sigmamind", default_parameter=flags)
    groups: dict[str, App] = {}
    for name, command in COMMANDS.items():
        group, _, word = name.rpartition(" ")
        app = root
        if group:
            if group not in groups:
                groups[group] = App(name=group, default_parameter=flags)
                root.command(groups[group])
            app = groups[group]
        app.command(command_function(name), name=word, help=command.sentence)
    sys.stdout.write(root.generate_completion(shell=shell))
    return Exit.DONE
