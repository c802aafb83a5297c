"""Puts the HTTP side together: the table, the endpoints beside it, the feed and the numbers."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Final

from starlette.routing import BaseRoute

from innkeeper_controller import passwords
from innkeeper_controller.api import console, events, operations, system, uploads
from innkeeper_controller.api.app import Api
from innkeeper_controller.api.catalogue import ENDPOINTS
from innkeeper_controller.api.endpoints import bound, router
from innkeeper_controller.api.feed import Feed
from innkeeper_controller.api.identity import Caller, Headers, caller_of
from innkeeper_controller.api.metrics import Metrics
from innkeeper_controller.api.openapi import document
from innkeeper_controller.api.routes import Routes
from innkeeper_controller.api.traffic import Traffic
from innkeeper_controller.opennebula import endpoint
from innkeeper_controller.opennebula.desk import desk
from innkeeper_controller.opennebula.sessions import Sessions
from innkeeper_controller.requests.catalogue import REQUESTS
from innkeeper_controller.shell import Controller
from innkeeper_controller.uploads import Spool


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceLimits:
    """What all clients together may cost."""

    #: Longest body of a request but for uploads.
    max_request_bytes: int = 16 * 1024 * 1024
    max_consoles: int = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class ForOpenNebula:
    """What an operator decides about OpenNebula's clients."""

    #: Directories on the controller that images may be taken from by their PATH.
    safe_dirs: tuple[Path, ...] = ()
    #: Where clients find the interface, as its zone tells it.
    own_url: str = "http://127.0.0.1:2633/RPC2"
    #: Whether lists begin with what was made last.
    newest_first: bool = True


FOR_OPENNEBULA: Final = ForOpenNebula()


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
        opennebula: ForOpenNebula = FOR_OPENNEBULA,
    ) -> None:
        """Wire it up; nothing listens yet.

        Args:
            controller: Answers.
            spool: Takes uploads.
            entropy: Gives random bytes.
            fabric: Gives the gateway's counters.
            limits: What clients may cost.
            more: Routes of others on the same port.
            opennebula: What was decided about its clients.
        """
        self._controller = controller
        traffic = Traffic()
        self.feed = Feed(controller.reading)
        controller.watchers.append(self.feed.watch)
        self.consoles = console.Consoles(controller, entropy=entropy, max_open=limits.max_consoles)
        self._uploads = uploads.Uploads(spool)
        metrics = Metrics(controller, traffic, self.feed, self.consoles, fabric)
        described = partial(document, REQUESTS.values(), ENDPOINTS, version=version("innkeeper"))
        endpoints = (
            *bound(events.ENDPOINTS, events.Events(controller, self.feed)),
            *bound(operations.ENDPOINTS, operations.Operations(controller)),
            *bound(uploads.ENDPOINTS, self._uploads),
            *bound(console.ENDPOINTS, self.consoles),
            *bound(system.ENDPOINTS, system.System(controller, metrics, described)),
        )
        routes = Routes(REQUESTS.values())
        others = router(endpoints, _callers(controller), routes.methods, more)
        self._xmlrpc = endpoint.Endpoint(
            desk(
                controller,
                spool,
                safe_dirs=opennebula.safe_dirs,
                own_url=opennebula.own_url,
                newest_first=opennebula.newest_first,
            ),
            _sessions(controller, entropy),
            traffic,
            clock=time.perf_counter,
            max_bytes=limits.max_request_bytes,
        )
        self.app = Api(
            controller, routes, others, traffic, xmlrpc=self._xmlrpc, max_request_bytes=limits.max_request_bytes
        )

    def close(self) -> None:
        """End what has no end of its own: feeds, consoles, waiting, uploads."""
        self.feed.close()
        self._controller.waits.close()
        self.consoles.close()
        self._uploads.close()
        self._xmlrpc.close()


def _callers(controller: Controller) -> Callable[[Headers], Caller]:
    return lambda headers: caller_of(headers, controller.reactor.cluster, controller.clock())


def _sessions(controller: Controller, entropy: Callable[[int], bytes]) -> Sessions:
    return Sessions(
        controller.reactor.cluster,
        clock=controller.clock,
        entropy=entropy,
        matches=passwords.matches,
        decoy=passwords.DECOY,
    )
