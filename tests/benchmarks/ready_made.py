"""Answers every request with the bytes of a file, by the HTTP server that the controller has; ends with its input."""

import asyncio
import json
import sys
from pathlib import Path

from innkeeper_controller.api.server import HttpServer


async def main(body: bytes) -> None:
    """Serve."""
    headers = [(b"content-type", b"text/xml; charset=utf-8"), (b"content-length", b"%d" % len(body))]

    async def app(_scope: object, receive: object, send: object) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    server = HttpServer(app, "127.0.0.1:0", max_connections=100)
    server.bind()
    await server.start()
    sys.stdout.write(json.dumps(f"http://{server.address}") + "\n")
    sys.stdout.flush()
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await server.stop()


asyncio.run(main(Path(sys.argv[1]).read_bytes()))
