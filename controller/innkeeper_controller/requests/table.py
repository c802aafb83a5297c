"""The request table: every request once, and what the API, the client, the tests and the reference need of it.

Adding a request: its parameters and handler in the module of its noun, its row in that module's ``REQUESTS``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from innkeeper_controller.access import Right
from innkeeper_controller.turn import Turn
from innkeeper_plugins.vocabulary import Value


class Who(StrEnum):
    """Who may ask at all; what they may do with which thing, the request's ``needs`` say."""

    ANYONE = "anyone"
    #: Any authenticated user.
    USER = "user"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Need:
    """The right that a request demands, on the thing that its parameters name; to make one, on its kind."""

    right: Right
    #: A key of ``admission.NAMED``.
    noun: str
    #: A lock of the thing refuses nothing: only the lock itself is to be changed.
    despite_lock: bool = False


class Nothing(Value):
    """No parameters, or nothing to answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request of the public API."""

    #: Noun and verb: ``vm.submit``.
    name: str
    #: HTTP method and path; ``{names}`` in the path are parameters.
    method: str
    path: str
    #: Parameters: from the path, the query string (GET, DELETE) or the JSON body.
    params: type[Value]
    answer: Any
    who: Who
    #: One sentence.
    summary: str
    #: Called with the turn and the parameters; raises ``RefusalError``.
    handler: Callable[[Turn, Any], Any]
    #: Checked before the handler is called. None where any user may ask: the handler shows only what may be seen.
    needs: Need | None = None

    @property
    def changes(self) -> bool:
        """True where the request may change something."""
        return self.method != "GET"
