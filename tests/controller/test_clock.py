"""The controller's clock."""

from innkeeper_controller.clock import SteadyClock


class Machine:
    """A machine's two clocks."""

    def __init__(self) -> None:
        self.wall_s, self.monotonic_s = 1_000_000.0, 5.0

    def clock(self) -> SteadyClock:
        return SteadyClock(lambda: self.wall_s, lambda: self.monotonic_s)

    def passes(self, seconds: float) -> None:
        self.wall_s += seconds
        self.monotonic_s += seconds


def test_it_says_what_the_machine_says():
    machine = Machine()
    clock = machine.clock()
    machine.passes(60.0)

    assert clock() == 1_000_060.0


def test_an_hour_forward_is_made_up_for_a_tenth_at_a_time():
    machine = Machine()
    clock = machine.clock()
    machine.wall_s += 3600.0
    at_once = clock()
    machine.passes(10.0)
    soon = clock()
    for _ in range(4000):
        machine.passes(10.0)
        clock()

    assert (at_once, soon) == (1_000_000.0, 1_000_011.0)
    assert clock() == machine.wall_s


def test_an_hour_back_never_goes_back():
    machine = Machine()
    clock = machine.clock()
    machine.wall_s -= 3600.0
    moments = []
    for _ in range(4100):
        moments.append(clock())
        machine.passes(10.0)

    assert moments == sorted(moments)
    assert moments[1] == 1_000_009.0
    assert clock() == machine.wall_s
