"""Fetches bytes by digest from whoever holds them, on this host's terms."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from innkeeper_hostagent.acts import Act
from innkeeper_hostagent.protocol.keys import KeyPair
from innkeeper_plugins.errors import DriverError
from innkeeper_plugins.transfer.whole_file import told_as_driver_errors
from innkeeper_plugins.vocabulary import Digest, Holder


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetcher:
    """Who fetches, and how patiently."""

    keys: KeyPair
    #: A fetch in which nothing comes for so long fails.
    timeout_s: float
    #: None for all that the network gives.
    rate_limit_bytes_s: int | None = None
    #: ``protocol.bulk.fetch``, or what stands for it.
    carry: Callable[..., None]

    def fetch(self, digest: Digest, size_bytes: int, holders: Sequence[Holder], target: Path, act: Act) -> None:
        """Bring the bytes to ``target``, every one of them verified; what an earlier try brought is used.

        Raises:
            DriverError: nobody who was asked has them, or the act was cancelled; what came so far is kept.
        """
        if not holders:
            raise DriverError(f"nobody is named who holds sha256:{digest[:12]}", code="image_missing")
        with told_as_driver_errors(target):
            self.carry(
                digest,
                size_bytes,
                holders,
                target,
                self.keys,
                progress=act.progress,
                cancelled=act.is_cancelled,
                timeout_s=self.timeout_s,
                rate_limit_bytes_s=self.rate_limit_bytes_s,
            )
