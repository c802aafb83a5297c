"""An installation with two pretended hosts, driven by OpenNebula's own clients and by nothing else."""

import sys
from pathlib import Path

import pytest
from pyone.server_xrpc import OneServerXRPC

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS / "robustness"), str(TESTS / "controller" / "opennebula")]

from ground import ground_in  # noqa: E402 - where it is, the line above says
from validated import validated  # noqa: E402 - the same


class CheckedClient(OneServerXRPC):
    """pyone as everybody has it, but each document is held against OpenNebula's schema before it is parsed."""

    def _do_request(self, method, params):
        answer = super()._do_request(method, params)
        if answer[0] and isinstance(answer[1], str) and answer[1].startswith("<"):
            validated(answer[1])
        return answer


@pytest.fixture(scope="module")
def installation(tmp_path_factory):
    """A controller and the hosts h0 and h1, which have joined."""
    with ground_in(tmp_path_factory.mktemp("clients")) as ground:
        ground.build("h0", "h1")
        yield ground
        ground.check()


@pytest.fixture(scope="module")
def endpoint(installation):
    return f"http://127.0.0.1:{installation.controller.http_port}/RPC2"


@pytest.fixture(scope="module")
def session(installation):
    """What ONE_AUTH has on the controller's machine after its first start."""
    return (installation.controller.state_dir / "one_auth").read_text().strip()


@pytest.fixture(scope="module")
def connect(endpoint):
    """Return what gives a client for a session."""
    return lambda session: CheckedClient(endpoint, session)


@pytest.fixture(scope="module")
def one(connect, session):
    """The administrator's client."""
    return connect(session)
