"""How the controller finds its address."""

import pytest

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
