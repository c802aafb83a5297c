"""Takes files that lie on the controller into the spool of uploads, where an administrator allows that.

It decides where a file may lie, and nothing about images.
"""

import asyncio
import os
import stat
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from innkeeper_controller.turn import RefusalError
from innkeeper_controller.uploads import Spool, Uploaded, UploadError

_CHUNK_BYTES: Final = 1024 * 1024
#: Files taken at once; more wait.
_THREADS: Final = 2


class Intake:
    """The way from a path to an upload."""

    def __init__(self, spool: Spool, safe_dirs: Sequence[Path]) -> None:
        """Keep where files may lie and where they go."""
        self._spool = spool
        self._safe_dirs = tuple(Path(os.path.realpath(each)) for each in safe_dirs)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="intake")

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def take(self, path: str) -> Uploaded:
        """Bring a file into the spool.

        Raises:
            RefusalError: ``forbidden``: it may not be read; ``not_found``; ``too_large``: there is no room for it.
        """
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._take, path)

    def _take(self, path: str) -> Uploaded:
        upload = None
        try:
            source = self._open(path)
            try:
                upload = self._spool.begin()
                while chunk := os.read(source, _CHUNK_BYTES):
                    upload.write(chunk)
                return upload.finish()
            finally:
                os.close(source)
        except UploadError as error:
            raise RefusalError("too_large", str(error)) from error
        except (OSError, ValueError) as error:
            raise RefusalError("not_found", f"PATH {path[:200]} cannot be read on the controller.") from error
        finally:
            if upload is not None:
                upload.abort()

    def _open(self, path: str) -> int:
        """Return a descriptor of the file, after every link on the way to it was followed."""
        real = Path(os.path.realpath(path))
        if not any(real.is_relative_to(each) for each in self._safe_dirs):
            shown = ", ".join(str(each) for each in self._safe_dirs) or "none"
            raise RefusalError(
                "forbidden",
                f"PATH {path[:200]} lies in no directory that images may come from ({shown}); "
                "upload the file with `inn image add`, or name an URL.",
            )
        # Not a link any more: whoever makes it one now gets an error instead of somebody's secret.
        descriptor = os.open(real, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        # A directory on the way may have become a link meanwhile; the descriptor tells where it really leads.
        opened = Path(os.path.realpath(f"/proc/self/fd/{descriptor}"))
        if opened != real or not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError(f"{real} is no plain file")
        return descriptor
