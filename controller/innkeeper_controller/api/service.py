"""Puts the HTTP side together: the table, the endpoints beside it, the feed and the numbers."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version

from starlette.routing import BaseRoute

from innkeeper_controller.api.app import Api
from innkeeper_controller.api.console import Consoles
from innkeeper_controller.api.endpoints import Endpoint, router
from innkeeper_controller.api.events import Events
from innkeeper_controller.api.feed import Feed
from innkeeper_controller.api.metrics import Metrics
from innkeeper_controller.api.openapi import document
from innkeeper_controller.api.operations import Operations
from innkeeper_controller.api.routes import Routes
from innkeeper_controller.api.system import System
from innkeeper_controller.api.traffic import Traffic
from innkeeper_controller.api.uploads import Uploads
from innkeeper_controller.requests.catalogue import REQUESTS
from innkeeper_controller.shell import Controller
from innkeeper_controller.uploads import Spool


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceLimits:
    """What all clients together may cost."""

    #: Longest body of a request but for uploads.
    max_request_bytes: int = 16 * 1024 * 1024
    max_consoles: int = 256


class Service:
    """Everything behind the HTTP port; ``app`` is the ASGI application."""

    def __init__(
        self,
        controller: Controller,
        spool: Spool,
        *,
        entropy: Callable[[int], bytes],
        fabric: Callable[[], Counter[str]],
        limits: ServiceLimits,
        more: Sequence[BaseRoute] = (),
    ) -> None:
        """Wire it up; nothing listens yet.

        Args:
            controller: Answers.
            spool: Takes uploads.
            entropy: Gives random bytes.
            fabric: Gives the gateway's counters.
            limits: What clients may cost.
            more: Routes of others on the same port.
        """
        self._controller = controller
        traffic = Traffic()
        self.feed = Feed(controller.reading)
        controller.watchers.append(self.feed.watch)
        self.consoles = Consoles(controller, entropy=entropy, max_open=limits.max_consoles)
        self._uploads = Uploads(spool)
        metrics = Metrics(controller, traffic, self.feed, self.consoles, fabric)
        system = System(controller, metrics, self._document)
        parts = (Events(controller, self.feed), Operations(controller), self._uploads, self.consoles, system)
        self.endpoints: tuple[Endpoint, ...] = tuple(endpoint for part in parts for endpoint in part.endpoints)
        routes = Routes(REQUESTS.values())
        others = router(self.endpoints, controller.reactor.cluster, routes.methods, more)
        self.app = Api(controller, routes, others, traffic, max_request_bytes=limits.max_request_bytes)

    def _document(self) -> object:
        return document(REQUESTS.values(), self.endpoints, version=version("innkeeper"))

    def close(self) -> None:
        """End what has no end of its own: feeds, consoles, waiting, uploads."""
        self.feed.close()
        self._controller.waits.close()
        self.consoles.close()
        self._uploads.close()
