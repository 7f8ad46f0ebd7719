"""Until operation files go: see `command_line`."""

from sigmamind_async.cli.command_line import POSTGRES_OPTION as OPTION
from sigmamind_async.cli.command_line import POSTGRES_VARIABLE as VARIABLE
from sigmamind_async.cli.command_line import expand_bare_postgres as spelled_out
from sigmamind_async.cli.command_line import without_passwords

__all__ = ["OPTION", "VARIABLE", "spelled_out", "without_passwords"]
