"""Finds the request that a method and path are for; made once from the table, two dictionary look-ups a part."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import unquote

from innkeeper_controller.api.params import Parameters
from innkeeper_controller.requests.table import Request


@dataclass(frozen=True, slots=True)
class Route:
    """A request of the table with all that is known of it before it comes."""

    request: Request
    parameters: Parameters
    #: Names of the parameters in the path, in order.
    names: tuple[str, ...]


@dataclass(slots=True)
class _Node:
    """What may follow after a part of the path."""

    children: dict[str, "_Node"] = field(default_factory=dict)
    any_child: "_Node | None" = None
    #: ``{method: route}`` of paths that end here.
    routes: dict[str, Route] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Found:
    """The route, and the texts of the parameters in the path."""

    route: Route
    in_path: dict[str, str]


class Routes:
    """All requests by path."""

    def __init__(self, requests: Iterable[Request]) -> None:
        """Make the tree."""
        self._root = _Node()
        for request in requests:
            node, names = self._root, []
            for part in request.path.split("/"):
                if part.startswith("{"):
                    names.append(part.strip("{}"))
                    node.any_child = node.any_child or _Node()
                    node = node.any_child
                else:
                    node = node.children.setdefault(part, _Node())
            node.routes[request.method] = Route(request, Parameters(request), tuple(names))

    def find(self, method: str, raw_path: str) -> Found | None:
        """Return the request for a path that is still percent-encoded; None where there is none."""
        node, texts = self._walk(raw_path)
        route = node.routes.get(method) if node is not None else None
        if route is None:
            return None
        return Found(route, dict(zip(route.names, texts, strict=True)) if texts else {})

    def methods(self, raw_path: str) -> list[str]:
        """Return the methods that the path has."""
        node, _ = self._walk(raw_path)
        return sorted(node.routes) if node is not None else []

    def _walk(self, raw_path: str) -> tuple[_Node | None, list[str]]:
        node, texts = self._root, []
        for part in raw_path.split("/"):
            child = node.children.get(part)
            if child is None:
                child = node.any_child
                if child is None or not part:
                    return None, []
                # Decoded only here, so that an encoded slash stays within its parameter.
                texts.append(unquote(part))
            node = child
        return node, texts
