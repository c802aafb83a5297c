"""Uploads over HTTP: a body of any length into the spool, hashed as it comes; what breaks off leaves nothing."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from innkeeper_controller.api import queries
from innkeeper_controller.api.body import chunks_of
from innkeeper_controller.api.endpoints import Endpoint, refused
from innkeeper_controller.api.identity import Caller
from innkeeper_controller.requests.table import Who
from innkeeper_controller.turn import RefusalError
from innkeeper_controller.uploads import Spool, Upload, Uploaded, UploadError, WrongDigestError

#: So much is gathered before a thread writes it: one hand-over costs as much as hashing 100 KB.
_WRITE_BYTES: Final = 1024 * 1024
#: Uploads at once; more wait for a thread.
_THREADS: Final = 4


class Uploads:
    """The handler."""

    def __init__(self, spool: Spool) -> None:
        """Keep where files go."""
        self._spool = spool
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="upload")

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown()

    async def put(self, request: Request, _caller: Caller) -> Response:
        """Take a file."""
        queries.check_names(request, ("sha256",))
        wanted = queries.text(request, "sha256").lower()
        try:
            self._check_length(request)
            upload = await asyncio.get_running_loop().run_in_executor(self._threads, self._spool.begin)
            uploaded = await self._fill(request, upload, wanted)
        except UploadError as error:
            code = "bad_request" if isinstance(error, WrongDigestError) else "too_large"
            response = refused(RefusalError(code, str(error)))
            # What is still on its way would only be thrown away.
            response.headers["Connection"] = "close"
            return response
        return Response(msgspec.json.encode(uploaded), media_type="application/json")

    def _check_length(self, request: Request) -> None:
        length = request.headers.get("content-length", "")
        if length.isdecimal() and int(length) > self._spool.max_bytes:
            raise UploadError(
                f"The file is longer than the {self._spool.max_bytes} bytes that limits.upload_mib allows."
            )

    async def _fill(self, request: Request, upload: Upload, wanted: str) -> Uploaded:
        """Bring the body to the disk.

        Raises:
            UploadError: there is no room; nothing is left.
            RefusalError: it broke off; nothing is left.
            DisconnectedError: as above.
        """
        loop = asyncio.get_running_loop()
        gathered = bytearray()
        try:
            async for chunk in chunks_of(request.receive):
                gathered += chunk
                if len(gathered) >= _WRITE_BYTES:
                    await loop.run_in_executor(self._threads, upload.write, bytes(gathered))
                    gathered.clear()
            await loop.run_in_executor(self._threads, upload.write, bytes(gathered))
            return await loop.run_in_executor(self._threads, upload.finish, wanted)
        finally:
            upload.abort()


ENDPOINTS: Final = (
    Endpoint(
        name="upload.put",
        method="PUT",
        path="/v1/uploads",
        who=Who.USER,
        summary="Upload a file for `image.add`; with sha256, other bytes than those are refused.",
        handler=Uploads.put,
        query=(("sha256", "Digest that has to come out, hexadecimal."),),
        takes="application/octet-stream",
    ),
)
