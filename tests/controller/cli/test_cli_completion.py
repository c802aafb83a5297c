"""Completion: commands from the command itself, names from the controller, silence where there is none."""

import pytest
from samples import host, running

from innkeeper_controller.cli.completion import SHELLS


@pytest.fixture
def complete(run, monkeypatch):
    """Ask as bash does for what could come after these words."""

    def go(*words):
        monkeypatch.setenv("_INN_COMPLETE", "bash_complete")
        monkeypatch.setenv("COMP_WORDS", " ".join(["inn", *words]))
        monkeypatch.setenv("COMP_CWORD", str(len(words)))
        with pytest.raises(SystemExit):
            run()
        return go.capture.readouterr().out.split()

    return go


@pytest.fixture
def offered(complete, capsys):
    complete.capture = capsys
    return complete


def test_commands_and_options_are_offered(offered):
    assert offered("vm", "rel") == ["plain,release"]
    assert offered("vm", "res") == ["plain,resume", "plain,resize", "plain,resize-disk", "plain,resched"]
    assert "plain,--live" in offered("vm", "migrate", "--l")


def test_names_are_offered_as_the_controller_knows_them(offered, fake):
    fake.answers = {"GET /v1/hosts": [host(), host(2, "node-b")], "GET /v1/vms": [running(), running(12, "db")]}

    assert offered("host", "show", "no") == ["plain,node-b"]
    assert offered("vm", "show", "w") == ["plain,web"]
    assert offered("vm", "suspend", "web", "1") == ["plain,12"]


def test_nothing_is_offered_where_nobody_answers(offered, fake):
    assert offered("host", "show", "no") == []


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_gets_its_script(run, shell):
    ran = run("completion", shell)

    assert ran.code == 0
    assert f"{shell}_complete" in ran.out
