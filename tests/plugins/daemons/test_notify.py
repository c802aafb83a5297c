"""What systemd hears."""

import socket

from innkeeper_plugins.daemons.notify import Notifier


def test_states_reach_the_socket_that_the_environment_names(tmp_path):
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        Notifier({"NOTIFY_SOCKET": path}).tell("READY=1", "STATUS=well")

        assert manager.recv(100) == b"READY=1\nSTATUS=well"


def test_an_abstract_socket_is_reached_as_well(tmp_path):
    name = f"innkeeper-test-{tmp_path.name}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0{name}")
        Notifier({"NOTIFY_SOCKET": f"@{name}"}).tell("WATCHDOG=1")

        assert manager.recv(100) == b"WATCHDOG=1"


def test_without_a_service_manager_nothing_happens(tmp_path):
    Notifier({}).tell("READY=1")
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).tell("READY=1")


def test_the_watchdog_is_fed_twice_an_interval():
    assert Notifier({"WATCHDOG_USEC": "30000000"}).watchdog_interval_s == 15.0
    assert Notifier({}).watchdog_interval_s is None
