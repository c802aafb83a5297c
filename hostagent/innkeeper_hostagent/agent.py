"""The agent of one host: holds its parts together, and gives each message to the part that it is for.

Decisions are the executor's, what follows from them is the work's; nothing here blocks.
Several agents can live in one process, each with its own state directory.
"""

import asyncio
import contextlib
import importlib.metadata
import time
from typing import Final

import structlog

from innkeeper_hostagent import identity, ownership
from innkeeper_hostagent.advertising import Advertiser, Surveyor
from innkeeper_hostagent.config import Config
from innkeeper_hostagent.consoles import Consoles
from innkeeper_hostagent.drivers import Drivers
from innkeeper_hostagent.equipping import equip
from innkeeper_hostagent.executor import Executor
from innkeeper_hostagent.journal import JOURNAL, Journal
from innkeeper_hostagent.lanes import tell
from innkeeper_hostagent.performer import Ended, Equipment, Performer, Progressed
from innkeeper_hostagent.protocol.link import Link
from innkeeper_hostagent.protocol.messages import (
    PROTOCOL_MAJOR,
    PROTOCOL_MINOR,
    Admit,
    Advertise,
    AgentMessage,
    Cancel,
    CarryOut,
    CloseConsole,
    Confirm,
    ConsoleInput,
    ControllerMessage,
    Disown,
    Goodbye,
    Hello,
    ImagesChanged,
    OpenConsole,
    Refused,
    Welcome,
)
from innkeeper_hostagent.protocol.sockets import Context
from innkeeper_hostagent.serving import Server
from innkeeper_hostagent.watcher import Watcher
from innkeeper_hostagent.work import Listeners, Work
from innkeeper_plugins.errors import InnkeeperError
from innkeeper_plugins.registry import Registry
from innkeeper_plugins.vocabulary import Digest, VmId, may_be_same

_log = structlog.get_logger("innkeeper.agent")

VERSION: Final = importlib.metadata.version("innkeeper")


class SupersededError(InnkeeperError):
    """Another agent has this host's key and has taken its place; the operator must stop one of the two."""


class Agent:
    """One host's agent; every method has to be called on the loop's thread."""

    def __init__(
        self, config: Config, *, registry: Registry, loop: asyncio.AbstractEventLoop, context: "Context | None" = None
    ) -> None:
        """Make the drivers and open the files; nothing runs yet.

        Args:
            config: The host's own.
            registry: Where drivers and probes come from.
            loop: The loop that it lives on.
            context: ZeroMQ's, to be shared by the agents of one process; None for one of its own.

        Raises:
            NotJoinedError: the host belongs to no controller yet.
            JournalError: the journal cannot be used, or another agent has it.
            PluginError: a driver that the configuration names cannot be had.
            ForeignVmsError: a datastore has VMs of another controller.
            OSError: a datastore or the state directory cannot be used.
        """
        self._loop = loop
        self._config = config
        self.membership = identity.load(config.state_dir)
        self._keys = identity.keys(config.state_dir)
        with contextlib.ExitStack() as opened:
            self._journal = Journal(config.state_dir / JOURNAL)
            opened.callback(self._journal.close)
            self._drivers = Drivers.made(config, registry)
            opened.callback(self._drivers.close)
            self.executor = Executor(self._drivers.facts())
            self._equipment = self._made_equipment()
            ownership.claim(self._equipment.datastores.values(), self.membership.cluster_id)
            self._watcher = self._made_watcher()
            self._work = self._made_work()
            self._advertiser = self._made_advertiser(registry)
            self._consoles = Consoles(loop=loop, send=self._send, max_open=config.limits.consoles)
            self._server = Server(
                config.bulk, self._keys, self._equipment, controller=self.membership.endpoint, context=context
            )
            self._link = self._made_link(context)
            opened.pop_all()
        self._heartbeat: asyncio.TimerHandle | None = None
        self._heartbeat_interval_s = 0.0
        self._stopping = False
        #: Set to why the agent cannot go on; whoever runs it has to wait for this.
        self.failure: asyncio.Future[BaseException] = loop.create_future()
        #: Whether the controller has welcomed this agent and not been lost since.
        self.is_connected = False

    def start(self) -> None:
        """Go on with what the journal says was under way, then dial the controller.

        Raises:
            JournalError: it is of another version.
            EndpointError: the bulk endpoint cannot be listened on.
        """
        self._work.start()
        self._server.start()
        self._watcher.start()
        self._advertiser.start()
        self._link.start()

    async def stop(self, reason: str = "stopped") -> None:
        """End and leave the guests alone; steps under way are stopped and left to the next start. Twice is fine."""
        if self._stopping:
            return
        self._stopping = True
        self._send(Goodbye(reason=reason))
        self._watcher.close()
        self._advertiser.close()
        self._consoles.close_all()
        await self._work.stop()
        self._on_lost()
        self._link.close()
        self._server.close()
        self._drivers.close()

    def _made_equipment(self) -> Equipment:
        return equip(
            self._config,
            self._drivers,
            self._keys,
            vms=lambda: self.executor.ledger.vms,
            changed=lambda added, removed: tell(self._loop, self._on_images_changed, added, removed),
        )

    def _made_watcher(self) -> Watcher:
        return Watcher(
            self._drivers.hypervisors(),
            loop=self._loop,
            send=self._send,
            is_busy=self._is_busy,
            held=lambda: tuple(self.executor.ledger.vms.values()),
            poll_interval_s=self._config.poll_interval_s,
        )

    def _made_work(self) -> Work:
        def made_performer(ended: Ended, progressed: Progressed) -> Performer:
            return Performer(self._equipment, self._config.limits, ended=ended, progressed=progressed)

        listeners = Listeners(send=self._send, touched=self._watcher.touch, durable=self._on_durable, failed=self.fail)
        return Work(self.executor, self._journal, loop=self._loop, make_performer=made_performer, listeners=listeners)

    def _made_advertiser(self, registry: Registry) -> Advertiser:
        surveyor = Surveyor(self._config, self._drivers, self._equipment.datastores, registry.probes())
        return Advertiser(surveyor, loop=self._loop, changed=self._advertise, interval_s=self._config.probe_interval_s)

    def _made_link(self, context: "Context | None") -> Link:
        return Link(
            self.membership.endpoint,
            self.membership.controller_public_key,
            self._keys,
            loop=self._loop,
            hello=self._hello,
            on_welcome=self._on_welcome,
            on_refused=self._on_refused,
            on_message=self._on_message,
            on_lost=self._on_lost,
            context=context,
        )

    def _is_busy(self, vm_id: VmId) -> bool:
        return self._work.is_busy(vm_id)

    def _send(self, message: AgentMessage) -> None:
        """Send in the session, if there is one; what matters is said again in the next."""
        if self.is_connected:
            self._link.send(message)

    def fail(self, error: BaseException) -> None:
        """Say that the agent cannot go on; the first reason counts."""
        if not self.failure.done():
            self.failure.set_result(error)

    def _on_durable(self) -> None:
        if self.is_connected:
            self._link.confirm()

    def _hello(self) -> Hello:
        return Hello(
            major=PROTOCOL_MAJOR,
            minor=PROTOCOL_MINOR,
            agent_version=VERSION,
            host_name=self.membership.host_name,
            operations=self.executor.unconfirmed(),
        )

    def _on_welcome(self, message: Welcome) -> None:
        _log.info("connected", controller=self.membership.endpoint, host_id=message.host_id, host=message.host_name)
        self.is_connected = True
        self._heartbeat_interval_s = message.heartbeat_interval_s
        self._work.on_confirm(message.confirmed)
        self._advertise()
        for answer in self.executor.answers():
            self._send(answer)
        self._watcher.report_all()
        self._beat()

    def _on_refused(self, message: Refused) -> None:
        _log.error("refused", code=message.code, message=message.message)
        self._on_lost()
        if message.code == "superseded":
            self.fail(SupersededError(message.message))

    def _on_lost(self) -> None:
        if self.is_connected and not self._stopping:
            _log.warning("disconnected", controller=self.membership.endpoint)
        self.is_connected = False
        self._consoles.close_all()
        if self._heartbeat is not None:
            self._heartbeat.cancel()
            self._heartbeat = None

    def _on_message(self, message: ControllerMessage) -> None:
        if not self._stopping:
            self._handle(message)
        self._work.on_heard()

    def _handle(self, message: ControllerMessage) -> None:
        match message:
            case CarryOut():
                self._work.on_carry_out(message)
            case Cancel():
                self._work.on_cancel(message.operation_id)
            case Confirm():
                self._work.on_confirm(message.operations)
            case Disown():
                self._on_disown(message)
            case Admit():
                self._server.admit(message)
            case OpenConsole():
                self._on_open_console(message)
            case ConsoleInput():
                self._consoles.type(message.stream_id, message.data)
            case CloseConsole():
                self._consoles.close(message.stream_id)

    def _beat(self) -> None:
        if self._heartbeat is not None:
            self._heartbeat.cancel()
        self._send(self._advertiser.heartbeat(time.time()))
        self._heartbeat = self._loop.call_later(self._heartbeat_interval_s, self._beat)

    def _advertise(self) -> None:
        advertisement = self._advertiser.advertisement(self._equipment.caches.digests(), self._server.holder)
        if advertisement is not None:
            self._send(Advertise(advertisement=advertisement))

    def _on_images_changed(self, added: tuple[Digest, ...], removed: tuple[Digest, ...]) -> None:
        self._send(ImagesChanged(added=added, removed=removed))

    def _on_disown(self, message: Disown) -> None:
        seen = self._watcher.guest_of(message.vm_id)
        if seen is None or (seen.generation <= message.generation and may_be_same(seen.uuid, message.uuid)):
            _log.warning("disowned", vm_id=message.vm_id, generation=message.generation)
            self._work.on_disown(message)

    def _on_open_console(self, message: OpenConsole) -> None:
        vm = self.executor.ledger.vms.get(message.vm_id)
        if vm is None or vm.generation != message.generation:
            self._consoles.refuse(message.stream_id, f"VM {message.vm_id} is not on this host")
            return
        place = self._work.performer.place()
        self._consoles.open(message.stream_id, lambda: self._drivers.hypervisor(vm.hypervisor).console(place, vm))
