"""What commands would show of an event: as lines of a width, and as JSON objects."""

from __future__ import annotations

import json
from typing import Any

from sigmamind_async.cli.output import journal_status  # noqa: F401 # pyright: ignore[reportUnusedImport]
from sigmamind_async.cli.output.events import Event, View, events_in, json_line
from sigmamind_async.cli.output.text import plain, render


def drawn(shown: Event | View, width: int | None = None) -> str:
    """Return what a person sees; without a *width*, in a pipe."""
    return "\n".join(map(plain, render(shown, width)))


def objects(shown: Event | View) -> list[dict[str, Any]]:
    """Return what a program reads."""
    return [json.loads(json_line(event)) for event in events_in(shown)]
