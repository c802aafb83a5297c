"""Where the answers to joins have to go that the controller has not answered yet."""

from typing import Final, TypeAlias

#: The route and the session id that a frame came with.
Return: TypeAlias = tuple[bytes, bytes]

#: Of more the oldest is forgotten, and asks again.
_MAX_JOINERS: Final = 256


class Joiners:
    """One answer is owed for each key."""

    def __init__(self) -> None:
        """Owe nothing."""
        self._waiting: dict[str, Return] = {}

    def keep(self, public_key: str, back: Return) -> None:
        """Owe the key an answer, there and no longer where it asked from before."""
        self._waiting.pop(public_key, None)
        if len(self._waiting) >= _MAX_JOINERS:
            self._waiting.pop(next(iter(self._waiting)))
        self._waiting[public_key] = back

    def take(self, public_key: str) -> Return | None:
        """Return where the key's answer has to go, once; None where none is owed."""
        return self._waiting.pop(public_key, None)
