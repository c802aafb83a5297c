"""What goes wrong with plugins' clauses is told once, and VMs that it kept waiting are looked at again."""

import numpy as np
from tests.controller.builders import BARE, NOW_S, a_host, a_reactor, now, put, submit

from innkeeper_controller.deciders.plugin_troubles import RETRY_INTERVAL_S, TELL_INTERVAL_S
from innkeeper_controller.scheduling.rules import with_plugins
from innkeeper_plugins.scheduling import Clause


class Broken:
    """A clause that fails until it is mended."""

    def __init__(self):
        self.why = "no licence server"

    def holds(self, asked, hosts):
        if self.why:
            raise ConnectionError(self.why)
        return np.ones(len(hosts.number("vms")), dtype=bool)

    def reactor(self, *hosts):
        reactor = a_reactor()
        clause = Clause(holds=self.holds, words=lambda asked, host: "")
        reactor.cluster.placement.rules = with_plugins({"licence": clause}, {}, {})
        for host in hosts:
            put(reactor, host)
        return reactor


def told(reactor, now_s):
    return [event.detail for event in reactor.tick(now_s).events if event.what == "scheduler.plugin_failed"]


def test_a_clause_that_fails_is_told_once_an_hour_and_not_for_each_vm():
    broken = Broken()
    reactor = broken.reactor(a_host(1))
    detail = {"name": "licence", "why": "ConnectionError: no licence server"}

    def submit_and_tell(now_s):
        submit(reactor, BARE, hold=False, count=3)
        reactor.schedule(now_s)
        return told(reactor, now_s)

    first, second = submit_and_tell(NOW_S), submit_and_tell(NOW_S + 2)
    broken.why = "no licence server at 10.0.0.1"
    other_words = submit_and_tell(NOW_S + 4)
    later = submit_and_tell(NOW_S + TELL_INTERVAL_S)

    assert (first, second, other_words) == ([detail], [], [])
    assert later == [{"name": "licence", "why": "ConnectionError: no licence server at 10.0.0.1"}]


def test_a_vm_that_a_failing_clause_kept_waiting_is_placed_once_it_works_though_nothing_else_changes():
    broken = Broken()
    reactor = broken.reactor(a_host(1))
    vm = submit(reactor, BARE, hold=False, count=5)
    reactor.schedule(NOW_S)
    reactor.tick(NOW_S)
    broken.why = ""
    reactor.schedule(NOW_S + 1)
    waiting = now(reactor, vm).host_id
    reactor.tick(NOW_S + RETRY_INTERVAL_S)
    reactor.schedule(NOW_S + RETRY_INTERVAL_S)

    assert waiting is None
    assert now(reactor, vm).host_id == 1
