"""Which paths a platform has, as tables."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import unquote

import attrs

from sigmamind_async.sandbox.backend import NoRoute, Route

Methods = Mapping[str, str]
"""Operations by HTTP method."""


@attrs.frozen(kw_only=True)
class Routes:
    """The paths of one platform."""

    collections: Mapping[str, Methods]
    """Paths as they stand."""
    items: Mapping[str, Methods]
    """Paths below which one segment more names a record."""
    serves_head: bool = True
    """False: ``HEAD`` is refused where ``GET`` is not."""

    def find(self, method: str, path: str) -> Route | NoRoute:
        """Return what a request line means; *path* is still percent-encoded."""
        named, methods, key = self._split(path)
        if self.serves_head and "GET" in methods:
            methods = {**methods, "HEAD": methods["GET"]}
        if method in methods:
            return Route(operation=methods[method], path=named, key=key)
        return NoRoute(path=named, allowed=tuple(methods))

    def _split(self, path: str) -> tuple[str, Methods, str | None]:
        """Return the path to name in errors, the methods it has, and its key."""
        if path in self.collections:
            return path, self.collections[path], None
        collection, _, segment = path.rpartition("/")
        if segment and collection in self.items:
            return collection, self.items[collection], unquote(segment)
        return path, {}, None
