"""Who may fetch which digests, and until when; the time comes in as an argument."""

import threading
from collections.abc import Iterable
from typing import Final

from innkeeper_plugins.vocabulary import Digest

#: Of one key; more are forgotten, the soonest to expire first.
_MAX_DIGESTS: Final = 4_096


class Admissions:
    """What has been admitted; may be used from any thread."""

    def __init__(self) -> None:
        """Begin with nobody."""
        self._lock = threading.Lock()
        #: ``{public key: {digest: moment until which}}``
        self._until_s: dict[str, dict[Digest, float]] = {}

    def admit(self, public_key: str, digests: Iterable[Digest], until_s: float) -> None:
        """Let the key fetch these digests until then; never shortens what it has."""
        with self._lock:
            mine = self._until_s.setdefault(public_key, {})
            for digest in digests:
                mine[digest] = max(until_s, mine.get(digest, until_s))
            for digest in sorted(mine, key=mine.__getitem__)[: max(0, len(mine) - _MAX_DIGESTS)]:
                del mine[digest]

    def is_admitted(self, public_key: str, digest: Digest, now_s: float) -> bool:
        """Whether the key may fetch that digest now."""
        with self._lock:
            return self._until_s.get(public_key, {}).get(digest, now_s) > now_s

    def is_known(self, public_key: str, now_s: float) -> bool:
        """Whether the key may fetch anything now; forgets what has expired."""
        with self._lock:
            mine = self._until_s.get(public_key, {})
            for digest in [digest for digest, until_s in mine.items() if until_s <= now_s]:
                del mine[digest]
            if not mine:
                self._until_s.pop(public_key, None)
            return bool(mine)
