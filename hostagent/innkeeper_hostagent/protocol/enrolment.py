"""How a new host asks the controller, once, to be enrolled under its key.

It keeps nothing: the key pair and the answer are the caller's to store.
"""

import asyncio
import os
from typing import Final

import zmq

from innkeeper_hostagent.protocol import sockets, wire
from innkeeper_hostagent.protocol.errors import BadMessageError, JoinRefusedError
from innkeeper_hostagent.protocol.frames import INSTANCE_BYTES, MAX_FRAME_BYTES, Role, session_id
from innkeeper_hostagent.protocol.join import JoinToken
from innkeeper_hostagent.protocol.keys import KeyPair
from innkeeper_hostagent.protocol.messages import (
    PROTOCOL_MAJOR,
    PROTOCOL_MINOR,
    ControllerMessage,
    Join,
    Joined,
    Refused,
)
from innkeeper_hostagent.protocol.session import Session

_HIGH_WATER_MARK: Final = 16
#: Asked again so often while no answer comes.
_ASK_AGAIN_S: Final = 2.0


async def join(
    token: JoinToken, host_name: str, keys: KeyPair, timeout_s: float, *, context: sockets.Context | None = None
) -> Joined:
    """Ask to be enrolled as ``host_name`` under the key, with the token's secret; only the token's controller sees it.

    May be called again with the same key: a controller that has enrolled it already says so again.

    Raises:
        JoinRefusedError: the controller said no, with its code; or ``unreachable``: no answer within ``timeout_s``.
    """
    own_context = None if context else sockets.new_context()
    asking = _Asking(token, host_name, keys, context or own_context or sockets.new_context())
    try:
        async with asyncio.timeout(timeout_s):
            answer = await asking.answer()
    except TimeoutError as error:
        raise JoinRefusedError("unreachable", _no_answer(token.endpoint, timeout_s)) from error
    finally:
        asking.close()
        if own_context is not None:
            own_context.term()
    if isinstance(answer, Joined):
        return answer
    assert isinstance(answer, Refused), "only these two are taken for answers"
    raise JoinRefusedError(answer.code, answer.message)


def _no_answer(endpoint: str, timeout_s: float) -> str:
    return (
        f"no answer from {endpoint} in {timeout_s:g} s: it does not run there, a firewall drops the connection, "
        "or it has another key than the token says"
    )


class _Asking:
    """One socket that asks until it is answered."""

    def __init__(self, token: JoinToken, host_name: str, keys: KeyPair, context: sockets.Context) -> None:
        loop = asyncio.get_running_loop()
        self._now_s = loop.time
        self._session = Session(
            Role.AGENT, session_id(os.urandom(INSTANCE_BYTES), 1), heartbeat_interval_s=_ASK_AGAIN_S
        )
        self._request = wire.encode(
            Join(major=PROTOCOL_MAJOR, minor=PROTOCOL_MINOR, host_name=host_name, token=token.secret.reveal())
        )
        self._answer: asyncio.Future[ControllerMessage] = loop.create_future()
        self._socket = sockets.dialling_socket(
            context,
            token.endpoint,
            keys,
            server_public_key=token.controller_public_key,
            max_message_bytes=MAX_FRAME_BYTES,
            high_water_mark=_HIGH_WATER_MARK,
        )
        sockets.dial(self._socket, token.endpoint)
        self._pump = sockets.Pump(self._socket, loop, self._on_parts)

    async def answer(self) -> ControllerMessage:
        while not self._answer.done():
            self._ask()
            await asyncio.wait({self._answer}, timeout=_ASK_AGAIN_S)
        return self._answer.result()

    def close(self) -> None:
        self._pump.stop()
        self._socket.close(linger=0)

    def _ask(self) -> None:
        self._session.send(self._request, self._now_s(), reliable=False)
        for frame in self._session.frames(self._now_s()):
            try:
                self._socket.send(frame, zmq.NOBLOCK)
            except zmq.Again:
                break
        self._pump.sent()

    def _on_parts(self, parts: list[zmq.Frame]) -> None:
        for payload in self._session.receive(parts[-1].bytes, self._now_s()):
            try:
                message = wire.decode_controller_message(payload)
            except BadMessageError:
                continue
            if isinstance(message, Joined | Refused) and not self._answer.done():
                self._answer.set_result(message)
