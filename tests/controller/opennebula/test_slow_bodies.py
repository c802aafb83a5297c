"""Strangers who begin long calls and do not end them."""

import asyncio
import xmlrpc.client

from innkeeper_controller.api.traffic import Traffic
from innkeeper_controller.opennebula import endpoint as endpoints
from innkeeper_controller.opennebula.endpoint import Endpoint

MIB = 1024 * 1024
CALL = xmlrpc.client.dumps((), "system.listMethods").encode()


class Stranger:
    """Sends a piece, and what follows when it is told to."""

    def __init__(self, endpoint, piece: bytes) -> None:
        self.pieces: asyncio.Queue[dict[str, object]] = asyncio.Queue()
        self.send_piece(piece)
        self.status = 0
        scope = {"type": "http", "method": "POST", "raw_path": b"/RPC2", "headers": []}
        self.task = asyncio.create_task(endpoint(scope, self.pieces.get, self._hear))

    def send_piece(self, piece: bytes, *, more: bool = True) -> None:
        self.pieces.put_nowait({"type": "http.request", "body": piece, "more_body": more})

    async def _hear(self, message) -> None:
        self.status = message.get("status", self.status)


async def everybody_waits(strangers) -> None:
    """Let all go on until they wait for the next piece: each takes a turn or two of the loop."""
    for _ in strangers:
        await asyncio.sleep(0)


def test_calls_that_do_not_end_fill_no_memory_and_keep_out_no_short_ones(monkeypatch) -> None:
    monkeypatch.setattr(endpoints, "_MAX_READING_BYTES", 4 * MIB)
    endpoint = Endpoint(None, None, Traffic(), clock=lambda: 0.0, max_bytes=2 * MIB)

    async def scenario() -> None:
        slow = [Stranger(endpoint, b" " * MIB) for _ in range(8)]
        await everybody_waits(slow)
        assert sorted(each.status for each in slow) == [0] * 4 + [503] * 4
        short = Stranger(endpoint, CALL[:20])
        short.send_piece(CALL[20:], more=False)
        await short.task
        assert short.status == 200
        for each in slow:
            each.pieces.put_nowait({"type": "http.disconnect"})
        await asyncio.gather(*(each.task for each in slow))
        late = [Stranger(endpoint, b" " * MIB) for _ in range(4)]
        await everybody_waits(late)
        assert [each.status for each in late] == [0] * 4
        for each in late:
            each.send_piece(CALL.lstrip(), more=False)
        await asyncio.gather(*(each.task for each in late))

    asyncio.run(scenario())
