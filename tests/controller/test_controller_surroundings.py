"""How the controller finds its address, speaks to its service manager and writes its log."""

import json
import logging
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
import structlog

from innkeeper_controller import logs
from innkeeper_controller.config import LogConfig
from innkeeper_controller.notify import Notifier
from innkeeper_controller.own_address import advertised, beside


@pytest.mark.parametrize("listen", ["tcp://127.0.0.1:2634", "tcp://inn.example:1", "tcp://[::1]:7"])
def test_an_address_that_is_one_is_advertised_as_it_is(listen: str):
    assert advertised(listen) == listen


@pytest.mark.parametrize("listen", ["tcp://*:2634", "tcp://0.0.0.0:2634", "tcp://[::]:2634"])
def test_what_listens_everywhere_is_advertised_with_an_address_of_this_machine(listen: str):
    host, _, port = advertised(listen).removeprefix("tcp://").rpartition(":")

    assert port == "2634"
    assert host not in {"*", "0.0.0.0", "[::]", ""}


def test_the_bulk_socket_is_told_with_the_address_of_the_agents_socket():
    assert beside("tcp://inn.example:2634", "tcp://0.0.0.0:9") == "tcp://inn.example:9"
    assert beside("tcp://inn.example:2634", "tcp://10.0.0.1:9") == "tcp://10.0.0.1:9"


@pytest.mark.parametrize("prefix", ["path", "abstract"])
def test_the_service_manager_is_told_at_its_socket(tmp_path: Path, prefix: str):
    name = str(tmp_path / "ear")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(name if prefix == "path" else f"\0{name}")
        environment = {"NOTIFY_SOCKET": name if prefix == "path" else f"@{name}", "WATCHDOG_USEC": "3000000"}
        notifier = Notifier(environment)
        notifier.tell("READY=1", "STATUS=fine")

        assert ear.recv(100) == b"READY=1\nSTATUS=fine"
        assert notifier.interval_s == 1.5


def test_nobody_is_told_where_nobody_listens(tmp_path: Path):
    Notifier({}).tell("READY=1")
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "nobody")}).tell("READY=1")

    assert Notifier({}).interval_s is None


@pytest.fixture
def log(capsys: pytest.CaptureFixture[str]):
    """Give back what has been logged, and afterwards log as before."""
    before = logging.root.handlers[:], logging.root.level
    yield lambda: capsys.readouterr().err
    structlog.reset_defaults()
    logging.root.handlers[:], level = before
    logging.root.setLevel(level)


def test_our_lines_and_those_of_libraries_are_json_alike(log: Callable[[], str]):
    logs.configure(LogConfig(level="info"))
    structlog.get_logger("a").info("it.happened", operation_id="o1", secret=object)
    structlog.get_logger("a").debug("too.small")
    logging.getLogger("library").warning("careful with %s", "that")
    logging.getLogger("uvicorn.access").info("GET /")
    lines = [json.loads(line) for line in log().splitlines()]

    assert [(line["level"], line["event"]) for line in lines] == [
        ("info", "it.happened"),
        ("warning", "careful with that"),
    ]
    assert lines[0]["operation_id"] == "o1"


def test_a_traceback_tells_no_values(log: Callable[[], str]):
    logs.configure(LogConfig())

    def breaks(token: str) -> None:
        raise ValueError(len(token))

    try:
        breaks("very secret")
    except ValueError:
        structlog.get_logger("a").exception("it.broke")

    assert "ValueError: 11" in log()
    assert "very secret" not in log().replace('breaks("very secret")', "").replace('breaks(\\"very secret\\")', "")


def test_people_may_read_it_as_text(log: Callable[[], str]):
    logs.configure(LogConfig(format="text"))
    structlog.get_logger("a").info("it.happened", count=3)

    told = log()
    assert "it.happened" in told
    assert "count=3" in told
