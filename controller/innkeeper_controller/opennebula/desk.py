"""What the rows of the method table work with, put together once."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from innkeeper_controller.opennebula.farewells import Farewells
from innkeeper_controller.opennebula.fragments import Fragments
from innkeeper_controller.opennebula.intake import Intake
from innkeeper_controller.opennebula.past import Past
from innkeeper_controller.shell import Controller
from innkeeper_controller.uploads import Spool


@dataclass(frozen=True, slots=True)
class Desk:
    """The controller, and what only this interface needs beside it."""

    controller: Controller
    fragments: Fragments
    past: Past
    intake: Intake
    farewells: Farewells
    #: Where clients find this interface, as the zone tells it.
    own_url: str
    #: Whether lists begin with what was made last.
    newest_first: bool


def desk(controller: Controller, spool: Spool, *, safe_dirs: Sequence[Path], own_url: str, newest_first: bool) -> Desk:
    """Return the desk of a controller."""
    return Desk(
        controller=controller,
        fragments=Fragments(controller.reactor.cluster, newest_first=newest_first),
        past=Past(controller),
        intake=Intake(spool, safe_dirs),
        farewells=Farewells(controller.clock),
        own_url=own_url,
        newest_first=newest_first,
    )
