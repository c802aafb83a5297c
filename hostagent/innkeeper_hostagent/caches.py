"""The image caches of all datastores of a host: an image is found in whichever has it."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from innkeeper_hostagent.cache import Cache
from innkeeper_plugins.errors import DriverError
from innkeeper_plugins.vocabulary import Digest


class Caches:
    """The images of all datastores of a host."""

    def __init__(
        self, caches: Mapping[str, Cache], changed: Callable[[tuple[Digest, ...], tuple[Digest, ...]], None]
    ) -> None:
        """Take the caches.

        Args:
            caches: ``{datastore: cache}``.
            changed: Told of digests that came and went, from any thread.
        """
        self._caches = dict(caches)
        self.changed = changed

    def of(self, datastore: str) -> Cache:
        """Return the cache of that datastore.

        Raises:
            DriverError: ``refused``: this host does not have it.
        """
        if datastore not in self._caches:
            raise DriverError(f"this host has no datastore {datastore!r}", code="refused")
        return self._caches[datastore]

    def all(self) -> Iterable[Cache]:
        """Return every cache."""
        return self._caches.values()

    def digests(self) -> tuple[Digest, ...]:
        """Return what any of them has, sorted."""
        return tuple(sorted({digest for cache in self._caches.values() for digest in cache.digests()}))

    def find(self, digest: str) -> Path | None:
        """Return the image's file, None where no datastore has it."""
        for cache in self._caches.values():
            if (path := cache.path(digest)) is not None:
                return path
        return None

    def path(self, digest: str) -> Path:
        """Return the image's file.

        Raises:
            DriverError: ``image_missing``.
        """
        path = self.find(digest)
        if path is None:
            raise DriverError(
                f"image sha256:{digest[:12]} is not on this host; retry the operation, it will be fetched again",
                code="image_missing",
            )
        return path
