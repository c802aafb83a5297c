"""Puts a controller together from its configuration, starts it, and takes it apart in reverse; decides nothing.

Whatever fails on the way up, what was already there is taken down again.
"""

import asyncio
import contextlib
import hashlib
import os
import secrets
import time
import uuid
from collections import Counter
from pathlib import Path
from typing import Final

import structlog
from sqlalchemy import Engine, insert

from innkeeper_controller.api.server import HttpServer
from innkeeper_controller.api.service import ForOpenNebula, Service, ServiceLimits
from innkeeper_controller.clock import SteadyClock
from innkeeper_controller.cluster import Cluster
from innkeeper_controller.config import Config
from innkeeper_controller.deciders.asking import Asker
from innkeeper_controller.deciders.chosen import Decider, chosen
from innkeeper_controller.event_log import log_events
from innkeeper_controller.hooks import Hooks
from innkeeper_controller.own_address import advertised, beside
from innkeeper_controller.reactor import Reactor
from innkeeper_controller.records import ADMINS, ONEADMIN, LoginToken, User
from innkeeper_controller.settings import Settings
from innkeeper_controller.shell import Controller, ShellLimits
from innkeeper_controller.store.archive import Archive
from innkeeper_controller.store.database import ProcessLock, open_engine
from innkeeper_controller.store.schema import META
from innkeeper_controller.store.upgrade import bring_up
from innkeeper_controller.turn import Turn
from innkeeper_controller.units import MIB
from innkeeper_controller.upload_cleanup import UploadCleanup
from innkeeper_controller.uploads import Spool
from innkeeper_hostagent.protocol import keys as key_files
from innkeeper_hostagent.protocol.bulk import BulkServer
from innkeeper_hostagent.protocol.gateway import Gateway
from innkeeper_hostagent.protocol.messages import Admit, ControllerMessage
from innkeeper_plugins.registry import Registry
from innkeeper_plugins.vocabulary import Holder

_log = structlog.get_logger("controller")

TOKEN_FILE: Final = "admin.token"  # noqa: S105 - the name of the file
ONE_AUTH_FILE: Final = "one_auth"
KEY_FILE: Final = "controller.key"
SPOOL: Final = "uploads"


class Assembly:
    """A running controller; ``start`` and ``stop`` once each."""

    def __init__(self, config: Config) -> None:
        """Keep the configuration."""
        self.config = config
        self._up = contextlib.AsyncExitStack()
        self._bulk_counters: Counter[str] = Counter()
        self.controller: Controller
        self.gateway: Gateway
        self.http: HttpServer

    async def start(self) -> None:
        """Open, load and begin; requests are answered when it returns.

        Raises:
            InnkeeperError: something that the operator has to mend; everything is closed again.
            OSError: the same.
        """
        try:
            await self._start()
        except BaseException:
            await self._up.aclose()
            raise

    async def stop(self) -> None:
        """Answer what is being asked, write what was reacted to, and close everything."""
        await self._up.aclose()

    async def _start(self) -> None:
        config = self.config
        self._registry = Registry.load()
        self._chosen = chosen(config, self._registry, time.perf_counter)
        config.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        engine = self._open_store()
        keys = key_files.load_or_create(config.state_dir / KEY_FILE)
        spool = Spool(
            config.state_dir / SPOOL,
            max_bytes=config.limits.upload_mib * MIB,
            expires_s=config.limits.upload_expires_s,
            keep_free_bytes=config.limits.upload_keep_free_mib * MIB,
        )
        bulk = BulkServer(config.bulk_listen, keys, open_digest=spool.open_digest)
        self._up.callback(bulk.close)
        self._bulk_counters = bulk.counters
        dialled = config.agents.advertise or advertised(config.agents.listen)
        holder = Holder(endpoint=config.bulk.advertise or beside(dialled, bulk.endpoint), public_key=keys.public)
        settings = settings_of(config, _cluster_id(engine), dialled, keys.public, holder)
        self.controller = self._controller(engine, settings)
        self.controller.hosts.on_own_message = lambda message: _obey(bulk, message)
        self.gateway = self._gateway(keys)
        await self._serve(spool)

    def _open_store(self) -> Engine:
        engine = open_engine(self.config.database_url)
        # Another controller may begin only when nothing of ours is open any more.
        self._up.callback(ProcessLock(engine).release)
        self._up.callback(engine.dispose)
        backup = bring_up(engine)
        if backup is not None:
            _log.info("store.upgraded", backup=str(backup))
        return engine

    def _controller(self, engine: Engine, settings: Settings) -> Controller:
        cluster = Cluster()
        cluster.placement.rules = self._chosen.rules
        cluster.load_records(*Archive(engine).load())
        limits = self.config.limits
        return Controller(
            Reactor(cluster, settings, os.urandom),
            engine,
            clock=SteadyClock(),
            entropy=os.urandom,
            limits=ShellLimits(
                max_waiting=limits.waiting, max_answers=limits.answers, answers_kept_s=limits.answers_kept_s
            ),
        )

    def _gateway(self, keys: key_files.KeyPair) -> Gateway:
        hosts = self.controller.hosts
        gateway = Gateway(
            self.config.agents.listen,
            keys,
            loop=asyncio.get_running_loop(),
            host_of_key=hosts.host_of_key,
            on_message=hosts.on_message,
            on_join=hosts.on_join,
            on_connected=hosts.on_connected,
            on_lost=hosts.on_lost,
            heartbeat_interval_s=self.config.heartbeat_interval_s,
        )
        hosts.links = gateway
        return gateway

    async def _serve(self, spool: Spool) -> None:
        """Start what was put together: the loop first, then those who bring it work."""
        limits = self.config.limits
        cleanup = UploadCleanup(spool, self.controller.reactor.cluster)
        service = Service(
            self.controller,
            spool,
            entropy=os.urandom,
            fabric=self._port_counters,
            limits=ServiceLimits(max_request_bytes=limits.request_mib * MIB, max_consoles=limits.consoles),
            opennebula=ForOpenNebula(
                safe_dirs=self.config.opennebula.safe_dirs,
                own_url=f"http://{self.config.http.listen}/RPC2",
                newest_first=self.config.opennebula.list_order == "DESC",
            ),
        )
        self.http = HttpServer(
            service.app,
            self.config.http.listen,
            max_connections=limits.connections,
            silent_s=limits.receive_timeout_s,
        )
        self.http.bind()
        self._up.callback(self.http.release)
        self.controller.watchers += [log_events, cleanup.watch]
        self._call_plugins()
        self._up.callback(cleanup.close)
        self._up.push_async_callback(self.controller.close)
        self._ask_outside(self._chosen.decider)
        await self.controller.start()
        await self._first_token()
        self._up.callback(self.gateway.close)
        self.gateway.start()
        cleanup.start()
        self._up.push_async_callback(self.http.stop)
        self._up.callback(service.close)
        await self.http.start()

    def _port_counters(self) -> Counter[str]:
        """Return what was dropped or refused: at the agents' port as it is, at the others behind their names."""
        # The bulk server counts in a thread of its own.
        others = {"bulk": dict(self._bulk_counters), "http": self.http.counters}
        named = {f"{port}_{what}": times for port, counts in others.items() for what, times in counts.items()}
        return self.gateway.counters + self.gateway.connections + Counter(named)

    def _call_plugins(self) -> None:
        """Let the plugins that want to know learn what becomes of VMs."""
        registry = self._registry
        for problem in (*registry.problems, *self._chosen.problems):
            _log.warning("plugin.left_out", plugin=problem.plugin, reason=problem.reason)
        if registry.hook.vm_state_changed.get_hookimpls():
            hooks = Hooks(registry.hook.vm_state_changed)
            self.controller.watchers.append(hooks.watch)
            self._up.callback(hooks.close)

    def _ask_outside(self, decider: Decider | None) -> None:
        """Let another scheduler decide, where the configuration names one."""
        if decider is not None:
            rounds = self.controller.reactor.ask_outside(decider.called)
            asker = Asker(self.controller, rounds, decider.run, timeout_s=decider.timeout_s)
            self._up.push_async_callback(asker.close)

    async def _first_token(self) -> None:
        """Make the administrator, and a token of which only the digest is kept, where there is none yet."""
        reactor = self.controller.reactor
        if any(user.is_admin for user in reactor.cluster.users.values()):
            return
        path = self.config.state_dir / TOKEN_FILE
        token = secrets.token_urlsafe(32)
        # The file comes first: should we die in between, the next start writes it anew.
        write_secret(path, token)
        # OpenNebula's clients read both from one file: ONE_AUTH names it.
        write_secret(self.config.state_dir / ONE_AUTH_FILE, f"{ONEADMIN}:{token}")
        digest = LoginToken(token_sha256=hashlib.sha256(token.encode()).hexdigest())
        user = User(name=ONEADMIN, user_id=0, groups=(ADMINS,), tokens=(digest,), created_at_s=time.time())

        def make_turn() -> Turn:
            turn = Turn(reactor.cluster, reactor.settings, time.time(), "controller")
            turn.put(user)
            turn.event("user.added", f"user:{user.name}", groups=user.groups)
            return turn

        await self.controller.carry_out(make_turn)
        _log.info("token.made", user=user.name, path=str(path))


def settings_of(config: Config, cluster_id: str, dialled: str, public_key: str, holder: Holder) -> Settings:
    """Return what the pure parts have to know."""
    return Settings(
        cluster_id=cluster_id,
        agents_endpoint=dialled,
        public_key=public_key,
        holder=holder,
        scheduler=config.scheduler,
        policy=config.policy,
        scheduling=config.scheduling,
        heartbeat_interval_s=config.heartbeat_interval_s,
        unknown_after_s=config.unknown_after_s,
        join_token_lifetime_s=config.join_token_lifetime_s,
        shutdown_grace_s=config.shutdown_grace_s,
        leg_expires_in_s=config.leg_expires_in_s,
        max_vms_per_request=config.limits.vms_per_request,
        max_pending=config.limits.pending_vms,
        sha1_passwords=config.opennebula.sha1_passwords,
        restricted_vm=config.restricted.vm,
        restricted_image=config.restricted.image,
        restricted_network=config.restricted.network,
    )


def write_secret(path: Path, text: str) -> None:
    """Write a file that only its owner reads; it is complete when its name appears.

    Raises:
        OSError: the file system refuses.
    """
    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(f"{text}\n")
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def _cluster_id(engine: Engine) -> str:
    """Return the cluster's own id, made at first start."""
    known = Archive(engine).meta().get("cluster_id")
    if known:
        return known
    made = str(uuid.uuid4())
    rows = [{"name": "cluster_id", "value": made}, {"name": "created_at_s", "value": repr(time.time())}]
    with engine.execution_options(writes=True).begin() as connection:
        connection.execute(insert(META), rows)
    return made


def _obey(bulk: BulkServer, message: ControllerMessage) -> None:
    """Do what the reactor tells the controller's own bulk server."""
    if isinstance(message, Admit):
        bulk.admit(message.public_key, message.digests, expires_in_s=message.expires_in_s)
