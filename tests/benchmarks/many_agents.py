"""Runs many agents with simulated drivers in one process: ``many_agents.py DIRECTORY``.

Reads ``DIRECTORY/tokens.json``, ``{host name: join token}``; joins each, prints ``ready`` and runs until its standard
input ends. To each line on it, it answers with how many times it has made a file durable so far.
"""

import asyncio
import json
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path

import structlog

from innkeeper_hostagent import identity
from innkeeper_hostagent.agent import Agent
from innkeeper_hostagent.config import BulkConfig, Config, DatastoreConfig
from innkeeper_hostagent.protocol import join
from innkeeper_hostagent.protocol.link import join as enrol
from innkeeper_hostagent.protocol.sockets import new_context
from innkeeper_plugins.registry import Registry
from innkeeper_plugins.vocabulary import Capacity

CAPACITY = Capacity(cpu_cores=64.0, memory_mib=262_144)
JOIN_TIMEOUT_S = 60.0


_fsyncs = 0


def counted(sync: Callable[[int], None]) -> Callable[[int], None]:
    """Return the function, its calls counted."""

    def count(descriptor: int) -> None:
        global _fsyncs  # noqa: PLW0603 - one count for the process
        _fsyncs += 1
        sync(descriptor)

    return count


os.fsync, os.fdatasync = counted(os.fsync), counted(os.fdatasync)  # type: ignore[assignment]  # the same but counted


def config_of(directory: Path) -> Config:
    """Return the configuration of one pretended host."""
    return Config(
        state_dir=directory / "state",
        hypervisors=("simulated",),
        datastores={"default": DatastoreConfig(path=directory / "datastore", drivers=("simulated",))},
        capacity=CAPACITY,
        reserved=Capacity(),
        bulk=BulkConfig(listen=""),
    )


async def run(directory: Path) -> None:
    """Join and run all agents until standard input ends."""
    # Standard output is for the one who started this.
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    loop = asyncio.get_running_loop()
    context = new_context()
    registry = Registry.load()
    agents = []
    for name, text in json.loads((directory / "tokens.json").read_text()).items():
        config = config_of(directory / name)
        token = join.parse(text)
        joined = await enrol(token, name, identity.keys(config.state_dir), JOIN_TIMEOUT_S)
        identity.save(
            config.state_dir,
            identity.Membership(
                endpoint=token.endpoint,
                controller_public_key=token.controller_public_key,
                host_name=joined.host_name,
            ),
        )
        agents.append(Agent(config, registry=registry, loop=loop, context=context))
    for agent in agents:
        agent.start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while await loop.run_in_executor(None, sys.stdin.readline):
        sys.stdout.write(f"{_fsyncs}\n")
        sys.stdout.flush()
    await asyncio.gather(*(agent.stop() for agent in agents))


if __name__ == "__main__":
    asyncio.run(run(Path(sys.argv[1])))
