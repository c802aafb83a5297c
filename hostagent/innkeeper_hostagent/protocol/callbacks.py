"""What the owner of a gateway does with what arrives; nothing here calls it."""

from collections.abc import Callable
from dataclasses import dataclass

from innkeeper_hostagent.protocol.messages import AgentMessage, ControllerMessage, Hello, Join, Refused, Welcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Callbacks:
    """What the owner does with what arrives; ``Gateway`` says when each is called."""

    host_of_key: Callable[[str], int | None]
    on_message: Callable[[int, AgentMessage], None]
    on_join: Callable[[str, Join], ControllerMessage | None]
    on_connected: Callable[[int, Hello], Welcome | Refused | None]
    on_lost: Callable[[int], None]
