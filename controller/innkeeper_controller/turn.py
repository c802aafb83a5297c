"""One turn of the controller: what an event changes, tells and sends, gathered before anything leaves the process.

A handler gets a turn, reads ``turn.cluster``, and calls ``put``, ``event`` and ``send``.
The shell makes the turn durable, and only then carries out what it sends.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from innkeeper_controller.cluster import Cluster, Put, key_of
from innkeeper_controller.records import KIND_OF, Event, Moment, Record, User
from innkeeper_controller.settings import Settings
from innkeeper_hostagent.protocol.messages import ControllerMessage
from innkeeper_plugins.errors import InnkeeperError
from innkeeper_plugins.vocabulary import HostId, Value


class Mistake(Value):
    """One thing that is wrong with what was asked."""

    message: str
    #: Parameter or template attribute, ``DISK/IMAGE``.
    field: str = ""
    #: Place in a template, counted from 1; 0 where there is none.
    line: int = 0
    column: int = 0
    #: What was probably meant.
    suggestion: str = ""


class RefusalError(InnkeeperError):
    """The request is refused and nothing has changed; the person or program that asked must act."""

    def __init__(self, code: str, message: str, *, mistakes: tuple[Mistake, ...] = ()) -> None:
        """Say why.

        Args:
            code: Stable code, a key of ``REFUSALS``.
            message: One sentence that says what is wrong and what to do next.
            mistakes: All that is wrong with a template or parameters.
        """
        super().__init__(message)
        self.code = code
        self.mistakes = mistakes


#: ``{stable code: HTTP status}``
REFUSALS: dict[str, int] = {
    "bad_request": 400,
    "bad_template": 422,
    "unauthenticated": 401,
    "forbidden": 403,
    "not_found": 404,
    "name_taken": 409,
    "wrong_state": 409,
    "busy": 409,
    "in_use": 409,
    "locked": 409,
    "over_quota": 409,
    "no_capacity": 409,
    "no_address": 409,
    "stale": 409,
    "unreachable": 409,
    "too_large": 413,
    "too_many": 429,
    "internal": 500,
    "unavailable": 503,
}


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a turn had come."""

    changes: int
    events: int
    sends: int
    last_ids: dict[str, int]


@dataclass(slots=True)
class Turn:
    """Changes, events and messages of one turn; handlers only add."""

    cluster: Cluster
    settings: Settings
    now_s: Moment
    #: Who causes it: a user's name, ``scheduler``, ``host:2`` or ``controller``.
    actor: str
    #: The authenticated user of a request; None for everything else.
    user: User | None = None
    request_id: str = ""
    #: Random bytes from the shell, ``entropy(count)``.
    entropy: Callable[[int], bytes] | None = None
    changes: list[Put] = field(default_factory=list)
    #: Highest numbers given before this turn.
    ids_before: dict[str, int] = field(init=False)
    events: list[Event] = field(default_factory=list)
    sends: list[tuple[HostId, ControllerMessage]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Remember which numbers have been given."""
        self.ids_before = dict(self.cluster.last_ids)
        self.cluster.departed.clear()

    def put(self, record: Record) -> None:
        """Set a record's new values, or make it."""
        kind = KIND_OF[type(record)]
        key = key_of(record)
        change = Put(kind, key, self.cluster.get(kind, key), record)
        self.cluster.apply(change)
        self.changes.append(change)

    def drop(self, record: Record) -> None:
        """Delete a record."""
        change = Put(KIND_OF[type(record)], key_of(record), record, None)
        self.cluster.apply(change)
        self.changes.append(change)

    def event(self, what: str, subject: str, *, operation_id: str = "", **detail: object) -> None:
        """Tell that something happened: noun, participle, and what a reader wants to know."""
        self.events.append(
            Event(
                what=what,
                subject=subject,
                at_s=self.now_s,
                actor=self.actor,
                request_id=self.request_id,
                operation_id=operation_id,
                detail=detail,
            )
        )

    def send(self, host_id: HostId, message: ControllerMessage) -> None:
        """Send once the turn is durable; to ``CONTROLLER`` for its own bulk server.

        A host that is not there is asked again when it is.
        """
        self.sends.append((host_id, message))

    def mark(self) -> Mark:
        """Return how far the turn has come, to take back what follows."""
        return Mark(len(self.changes), len(self.events), len(self.sends), dict(self.cluster.last_ids))

    def take_back(self, mark: Mark | None = None) -> None:
        """Undo all changes of this turn, or those since the mark: what made them was refused half-way."""
        mark = mark or Mark(0, 0, 0, self.ids_before)
        for change in reversed(self.changes[mark.changes :]):
            self.cluster.apply(Put(change.kind, change.key, change.new, change.old))
        self.cluster.last_ids = mark.last_ids
        del self.changes[mark.changes :], self.events[mark.events :], self.sends[mark.sends :]
