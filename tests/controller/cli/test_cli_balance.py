"""Rebalancing on the command line: what a real controller answers, and what may not be said together."""

import json
from urllib.parse import parse_qsl

import msgspec
import pytest
from fake_controller import refused
from tests.controller.builders import ADMIN, BARE, a_host, a_reactor, a_vm

from innkeeper_controller.cli.routes import ROUTES
from innkeeper_controller.requests.catalogue import REQUESTS
from innkeeper_controller.turn import RefusalError

NAMES = ("balance.plan", "balance.apply", "balance.show", "balance.stop")


@pytest.fixture
def world(fake, run, monkeypatch):
    """Run ``inn`` against a real controller's answers."""

    def go(reactor, *arguments, **more):
        def answer(request):
            def asked(got):
                said = got.json if got.method == "POST" else dict(parse_qsl(got.target.partition("?")[2]))
                try:
                    params = msgspec.convert(said, request.params, strict=False)
                    turn_and_answer = reactor.request(request.name, params, user=ADMIN, request_id="r1", now_s=1_000.0)
                    return msgspec.to_builtins(turn_and_answer[1])
                except RefusalError as error:
                    return refused(error.code, str(error))

            return asked

        for request in (REQUESTS[name] for name in NAMES):
            monkeypatch.setitem(ROUTES, request.name, (request.method, request.path))
            fake.answers[f"{request.method} {request.path}"] = answer(request)
        return run(*arguments, **more)

    return go


def uneven():
    reactor = a_reactor(a_host(1), a_host(2))
    for _ in range(2):
        a_vm(reactor, template=BARE.replace("512", "4096"))
    return reactor


def test_a_plan_is_shown_and_begun_from_its_file_and_refused_when_it_is_old(world, tmp_path):
    reactor, file = uneven(), tmp_path / "plan.json"
    shown = world(reactor, "balance", "--plan", "--goal", "even")
    file.write_text(world(reactor, "balance", "--plan", "-o", "json").out)

    assert shown.out.splitlines()[1:] == [
        "VM  NAME  FROM  TO    GAIN  WHY",
        (
            " 0  bare  h1    h2  0.1976  h1 has 25% of its cores and 50% of its memory in use, "
            "h2 has 0% of its cores and 0% of its memory in use"
        ),
        "With -o json the plan can be kept; `inn balance --apply FILE` then does exactly so.",
    ]
    begun = world(reactor, "balance", "--apply", file)
    assert begun.out == "even: 0 moved, 1 on the way, 0 to come.\n  VM 0: h1 to h2\n"
    assert world(reactor, "balance").out == begun.out
    again = world(reactor, "balance", "--apply", file)
    assert (again.code, "make it anew: `inn balance --plan -o json`" in again.err) == (1, True)
    assert world(reactor, "balance", "--stop").out.startswith("even: 0 moved, 1 on the way, 0 to come; no more are")


def test_where_nothing_is_to_be_moved_it_says_so(world):
    reactor = a_reactor(a_host(1), a_host(2))

    assert world(reactor, "balance", "--plan").out.startswith("Nothing is to be moved; ")
    assert world(reactor, "balance", "--apply", "--goal", "affinity").out == "Nothing is to be moved.\n"
    assert world(reactor, "balance").out == "No plan is being carried out.\n"
    assert world(reactor, "balance", "--stop").code == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("--plan", "--stop"),
        ("--plan", "--apply"),
        ("--stop", "--goal", "even"),
        ("--goal", "even"),
        ("--apply", "/nowhere", "--goal", "even"),
        ("--apply", "/nowhere"),
    ],
)
def test_what_does_not_go_together_is_a_mistake(world, arguments):
    assert world(uneven(), "balance", *arguments).code == 2


@pytest.mark.parametrize("text", ["", "[]", json.dumps({"kind": "submit", "version": "1"})])
def test_a_file_that_is_no_plan_of_moves_is_a_mistake(world, tmp_path, text):
    (tmp_path / "other.json").write_text(text)

    assert world(uneven(), "balance", "--apply", tmp_path / "other.json").code == 2
