"""Those who have dialled before the controller's word that lets them in: their handshakes are kept waiting.

A key that is refused now would dial again only when its handshake has timed out, since libzmq keeps the connection.
Whom to let in is not decided here.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import Final

#: Handshakes that wait; of more the longest waiting is refused.
_MAX_WAITING: Final = 128
#: By then libzmq has closed the connection.
_MAX_WAIT_S: Final = 15.0


class WaitingRoom:
    """ZAP requests that have not been answered."""

    def __init__(self) -> None:
        """Begin with nobody."""
        #: ``{request: (public key, since when)}``, the longest waiting first.
        self._waiting: OrderedDict[tuple[bytes, ...], tuple[str, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._waiting)

    def enter(self, request: Sequence[bytes], public_key: str, now_s: float) -> None:
        """Keep a request."""
        self._waiting[tuple(request)] = (public_key, now_s)

    def admitted(self, is_known: Callable[[str], bool]) -> Iterator[Sequence[bytes]]:
        """Yield the requests of keys that may come in by now, and keep them no longer."""
        for request, (public_key, _) in list(self._waiting.items()):
            if is_known(public_key):
                del self._waiting[request]
                yield request

    def given_up(self, now_s: float) -> Iterator[Sequence[bytes]]:
        """Yield the requests that have waited for too long, or are too many, and keep them no longer."""
        while self._waiting:
            request, (_, since_s) = next(iter(self._waiting.items()))
            if now_s - since_s <= _MAX_WAIT_S and len(self._waiting) <= _MAX_WAITING:
                return
            del self._waiting[request]
            yield request
