"""Frozen to a type checker, and not enforced while running.

For what is made anew in every call and stays in the package's own hands. attrs writes each field
of a frozen object through ``object.__setattr__``, at 0.2 microseconds a field; in the seven objects
of one call that made six of them, and twice as much in a busy program.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from attrs import frozen as frozen  # noqa: PLC0414 - to be imported from here
else:
    from attrs import define as frozen  # noqa: F401
