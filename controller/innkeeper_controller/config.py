"""The controller's configuration: one TOML file, read once, with every mistake told at once.

It looks nothing up and opens nothing.
"""

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from innkeeper_controller.scheduling.moves.balance_plans import Goal
from innkeeper_controller.scheduling.options import BalanceOptions, BanOptions, Options
from innkeeper_plugins.daemons import configuration
from innkeeper_plugins.daemons.configuration import LogConfig, log_mistakes, not_one_of
from innkeeper_plugins.vocabulary import Value

DEFAULT_PATH: Final = Path("/etc/innkeeper/controller.toml")
DEFAULT_STATE_DIR: Final = Path("/var/lib/innkeeper-controller")

PROGRAM: Final = "program"
#: Those of plugins come beside them; their names, and those of policies, are looked up by ``deciders.chosen``.
BUILT_IN_SCHEDULERS: Final = ("match-making", "none", PROGRAM)
LIST_ORDERS: Final = ("DESC", "ASC")

#: How far the default port of the bulk socket is from that of the agents' socket.
_BULK_PORT_DISTANCE: Final = 2
#: ``NAME`` or ``VECTOR/KEY``; ``*`` stands for any letters.
_PATTERN: Final = re.compile(r"[A-Za-z0-9_*]{1,128}(/[A-Za-z0-9_*]{1,128})?")
_MAX_PORT: Final = 65535
#: Ten years.
_MAX_BAN_S: Final = 315_360_000
#: Nobody waits longer for a host because a program thinks.
_MAX_PROGRAM_S: Final = 600
_USER_LIMITS: Final = ("max_placed_per_user", "max_per_pass_and_user")


class HttpConfig(Value):
    """``[http]``: where people and programs ask."""

    #: ``address:port``; everybody who reaches it may try tokens, so put TLS in front of any other than a loopback one.
    listen: str = "127.0.0.1:2633"


class AgentsConfig(Value):
    """``[agents]``: where agents dial."""

    #: ZeroMQ endpoint to bind.
    listen: str = "tcp://0.0.0.0:2634"
    #: What join tokens tell agents to dial; empty for ``listen`` with this machine's address.
    advertise: str = ""


class BulkConfig(Value):
    """``[bulk]``: where agents fetch uploaded images."""

    #: ZeroMQ endpoint to bind; empty for the address of the agents' socket and its port + 2.
    listen: str = ""
    #: What agents dial; empty for ``listen`` with the address that the agents' socket is advertised with.
    advertise: str = ""


class LimitsConfig(Value):
    """``[limits]``: how much at once, and how long."""

    #: Largest body of a request but for uploads.
    request_mib: int = 16
    #: Largest upload.
    upload_mib: int = 1024 * 1024
    #: What uploads leave free of their disk, which the database may need.
    upload_keep_free_mib: int = 1024
    #: An upload that no image was made of is deleted after so long.
    upload_expires_s: float = 86_400.0
    #: A request or an upload that is not complete may be silent for so long.
    receive_timeout_s: float = 30.0
    #: Connections at once.
    connections: int = 4096
    #: Requests and messages that have not been reacted to.
    waiting: int = 10_000
    #: Consoles open at once.
    consoles: int = 256
    #: Requests whose answers are remembered, and for how long, so that asking twice changes nothing.
    answers: int = 100_000
    answers_kept_s: float = 7 * 86_400.0
    vms_per_request: int = 10_000
    pending_vms: int = 100_000


class RestrictedConfig(Value):
    """``[restricted]``: attributes that only administrators may give, ``NAME`` or ``VECTOR/KEY`` with ``*`` in them.

    ``usual`` stands for those that OpenNebula restricts.
    """

    vm: tuple[str, ...] = ("usual",)
    image: tuple[str, ...] = ("usual",)
    network: tuple[str, ...] = ("usual",)


class OpenNebulaConfig(Value):
    """``[opennebula]``: what OpenNebula's clients may, at ``/RPC2``."""

    #: Directories on this machine that ``oneimage create --path`` may take images from.
    safe_dirs: tuple[Path, ...] = (Path("/var/tmp"),)  # noqa: S108 - the default that OpenNebula's users know
    #: ``DESC``: lists begin with what was made last; ``ASC``: with what was made first.
    list_order: str = "DESC"
    #: Let clients of 1.4 in, which send the SHA-1 of the password: of passwords that are set from then on.
    sha1_passwords: bool = False


class Config(Value):
    """All of it; every setting has a default."""

    state_dir: Path = DEFAULT_STATE_DIR
    #: SQLAlchemy URL; empty for SQLite in ``state_dir``.
    database: str = ""
    #: ``match-making``; ``none`` to leave it to people and programs; ``program`` or a plugin's scheduler to ask them.
    scheduler: str = "match-making"
    #: ``packing`` fills hosts up, ``striping`` spreads over them; others are in ``docs/scheduling.md``.
    policy: str = "packing"
    heartbeat_interval_s: float = 5.0
    #: A host that was silent for longer is lost, and its VMs UNKNOWN.
    unknown_after_s: float = 60.0
    join_token_lifetime_s: float = 3_600.0
    #: How long a guest has to react to its power button.
    shutdown_grace_s: int = 120
    #: A leg that a host has not begun by then is refused by it.
    leg_expires_in_s: float = 600.0
    http: HttpConfig = HttpConfig()
    agents: AgentsConfig = AgentsConfig()
    bulk: BulkConfig = BulkConfig()
    limits: LimitsConfig = LimitsConfig()
    opennebula: OpenNebulaConfig = OpenNebulaConfig()
    restricted: RestrictedConfig = RestrictedConfig()
    scheduling: Options = Options()
    log: LogConfig = LogConfig()

    @property
    def database_url(self) -> str:
        """Where the state is."""
        return self.database or f"sqlite:///{self.state_dir.absolute()}/controller.db"

    @property
    def bulk_listen(self) -> str:
        """The endpoint of the bulk socket, with its default filled in."""
        if self.bulk.listen:
            return self.bulk.listen
        host, port = split_endpoint(self.agents.listen)
        return f"tcp://{host}:{port + _BULK_PORT_DISTANCE if port else 0}"


def load(path: Path, *, must_exist: bool = True) -> Config:
    """Read the file.

    Raises:
        ConfigError: it cannot be read, or has mistakes; the text names all of them.
    """
    return configuration.load(path, parse, must_exist=must_exist)


def parse(text: str) -> Config:
    """Return the configuration that the TOML text describes.

    Raises:
        ConfigError: as ``load`` does.
    """
    return configuration.parse(text, Config, _mistakes)


def split_endpoint(endpoint: str) -> tuple[str, int]:
    """Return the address and the port of ``tcp://address:port``; an IPv6 address keeps its brackets.

    Raises:
        ValueError: it is no such endpoint.
    """
    parts = urlsplit(endpoint)
    host, _, port = parts.netloc.rpartition(":")
    if parts.scheme != "tcp" or not host or parts.path or not port.isdecimal() or int(port) > _MAX_PORT:
        raise ValueError(f"{endpoint!r} is no endpoint like tcp://0.0.0.0:2634")
    return host, int(port)


def _mistakes(config: Config) -> Iterator[str]:
    """Tell what is of the right type and still makes no sense."""
    yield from log_mistakes(config.log)
    yield not_one_of("opennebula.list_order", config.opennebula.list_order, LIST_ORDERS)
    yield _no_endpoint("http.listen", f"tcp://{config.http.listen}")
    yield _no_endpoint("agents.listen", config.agents.listen)
    for name, endpoint in (
        ("agents.advertise", config.agents.advertise),
        ("bulk.listen", config.bulk.listen),
        ("bulk.advertise", config.bulk.advertise),
    ):
        yield _no_endpoint(name, endpoint) if endpoint else ""
    for where, values in (("", config), ("limits.", config.limits)):
        for name, value in msgspec.structs.asdict(values).items():
            if isinstance(value, int | float) and value <= 0:
                yield f"{where}{name} is {value}; it has to be more than 0"
    yield from map(_no_pattern, (*config.restricted.vm, *config.restricted.image, *config.restricted.network))
    yield from _scheduling_mistakes(config.scheduling)
    yield from _ban_mistakes(config.scheduling.ban)
    yield from _balance_mistakes(config.scheduling.balance)
    yield from _decider_mistakes(config)
    if config.unknown_after_s < config.heartbeat_interval_s:
        yield f"unknown_after_s is {config.unknown_after_s}, shorter than heartbeat_interval_s"


def _scheduling_mistakes(options: Options) -> Iterator[str]:
    order = options.order
    if not 0 < order.half_life_s < math.inf:
        yield f"scheduling.order.half_life_s is {order.half_life_s}; it has to be more than 0"
    numbers = {"scheduling.pending_timeout_s": options.pending_timeout_s}
    numbers |= {
        f"scheduling.order.{name}": getattr(order, name)
        for name in ("priority_weight", "age_weight_per_h", "fair_share_weight", *_USER_LIMITS)
    }
    for name, value in numbers.items():
        if not 0 <= value < math.inf:
            yield f"{name} is {value}; it has to be 0 or more"


def _decider_mistakes(config: Config) -> Iterator[str]:
    program, weights = config.scheduling.program, config.scheduling.weights
    if config.scheduler == PROGRAM and not program.argv:
        yield "scheduler is 'program', but scheduling.program.argv names none"
    if program.argv and not program.argv[0].startswith("/"):
        yield f"scheduling.program.argv begins with {program.argv[0]!r}; it has to be an absolute path"
    if not 0 < program.timeout_s <= _MAX_PROGRAM_S:
        told = f"it has to be more than 0, and at most {_MAX_PROGRAM_S}"
        yield f"scheduling.program.timeout_s is {program.timeout_s}; {told}"
    for name, weight in weights.items():
        if not math.isfinite(weight):
            yield f"scheduling.weights.{name} is {weight}; it has to be a number"


def _ban_mistakes(ban: BanOptions) -> Iterator[str]:
    for name, value in (("first_s", ban.first_s), ("at_most_s", ban.at_most_s)):
        if not 0 <= value <= _MAX_BAN_S:
            yield f"scheduling.ban.{name} is {value}; it has to be 0 (no bans) or more, and at most {_MAX_BAN_S}"
    if ban.first_s > ban.at_most_s:
        yield f"scheduling.ban.first_s is {ban.first_s}, longer than at_most_s"


def _balance_mistakes(balance: BalanceOptions) -> Iterator[str]:
    yield not_one_of("scheduling.balance.goal", balance.goal, ("", *Goal))
    if balance.max_at_once < 1:
        yield f"scheduling.balance.max_at_once is {balance.max_at_once}; it has to be 1 or more"
    if not 0 <= balance.minimum_gain <= 1:
        yield f"scheduling.balance.minimum_gain is {balance.minimum_gain}; it has to be from 0 to 1"
    if not 1 <= balance.every_s < math.inf:
        yield f"scheduling.balance.every_s is {balance.every_s}; it has to be 1 or more"
    for name in ("max_per_host_and_hour", "cool_down_s"):
        if not 0 <= (value := getattr(balance, name)) < math.inf:
            yield f"scheduling.balance.{name} is {value}; it has to be 0 or more"


def _no_pattern(pattern: str) -> str:
    if _PATTERN.fullmatch(pattern):
        return ""
    return f"restricted has {pattern!r}, which is no attribute like NIC/MAC, CPU_COST or DISK/*_SEC"


def _no_endpoint(name: str, endpoint: str) -> str:
    try:
        split_endpoint(endpoint)
    except ValueError:
        shown = endpoint.removeprefix("tcp://") if name == "http.listen" else endpoint
        example = "127.0.0.1:2633" if name == "http.listen" else "tcp://10.0.0.1:2634"
        return f"{name} is {shown!r}, which is no endpoint like {example}"
    return ""
