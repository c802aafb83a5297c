"""How the command starts: quickly, knowing all of its commands, and importing next to nothing."""

import subprocess
import sys

import click
import pytest

from innkeeper_controller.cli import main as main_module
from innkeeper_controller.cli.commands import LazyGroup, Verb
from innkeeper_controller.cli.reference import verbs
from innkeeper_controller.cli.vm import group as vm_group

VERBS = list(verbs())
#: What takes longer to import than all of ``inn --help`` may take.
HEAVY = {"alembic", "httptools", "jinja2", "msgpack", "msgspec", "numpy", "pluggy", "rich", "ruamel", "sqlalchemy"}
HEAVY |= {"starlette", "structlog", "uvicorn", "zmq"}
#: What help does without and a request needs.
LATE = {"http.client", "json", "pathlib", "tomllib", "asyncio"}

_PROBE = """
import sys
from innkeeper_controller.cli.main import main
sys.stdout = open("/dev/null", "w")
main(sys.argv[1:])
sys.stderr.write(" ".join(sys.modules))
"""


def _modules_after(*arguments):
    ran = subprocess.run([sys.executable, "-c", _PROBE, *arguments], capture_output=True, text=True, check=True)
    return set(ran.stderr.splitlines()[-1].split())


@pytest.mark.parametrize("arguments", [("--help",), ("vm", "--help")])
def test_help_imports_neither_heavy_packages_nor_what_only_requests_need(arguments):
    modules = _modules_after(*arguments)

    assert modules & (HEAVY | LATE) == set()
    assert {name for name in modules if name.startswith("innkeeper_controller.cli.vm.")} <= {
        "innkeeper_controller.cli.vm.group"
    }


def test_a_request_imports_no_heavy_package():
    modules = _modules_after("vm", "list", "--endpoint", "http://127.0.0.1:1")

    assert "innkeeper_controller.client" in modules
    assert modules & HEAVY == set()


@pytest.mark.parametrize("group", [main_module.inn, vm_group.vm], ids=["inn", "vm"])
def test_what_a_lazy_group_says_of_its_members_is_what_they_say(group):
    context = click.Context(group)
    said = {name: member.summary for name, member in group.members.items()}
    says = {name: group.get_command(context, name).get_short_help_str(limit=120) for name in said}

    assert says == said
    assert {name: group.get_command(context, name).name for name in said} == {name: name for name in said}


@pytest.mark.parametrize(("path", "command"), VERBS, ids=[" ".join(path) for path, _ in VERBS])
def test_every_command_has_a_sentence_and_an_example_that_it_understands(path, command):
    first = command.help.strip().splitlines()[0]

    assert first.endswith(".")
    assert command.examples
    for example in command.examples:
        assert " ".join(path) in example


def test_every_command_is_a_verb_or_a_group_of_ours():
    assert {type(command) for _, command in VERBS} == {Verb}
    assert isinstance(main_module.inn, LazyGroup)


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["vm", "sumbit"], "Did you mean 'submit'?"),
        (["host", "lsit"], "Did you mean 'list'?"),
        (["vms"], "Did you mean 'vm'?"),
        (["frobnicate"], "`inn --help` lists what there is."),
    ],
)
def test_a_command_that_is_not_there_is_a_usage_error_with_a_hint(run, arguments, hint):
    ran = run(*arguments)

    assert ran.code == 2
    assert hint in ran.err


def test_the_version_is_told_as_by_other_programs(run):
    ran = run("--version")

    assert ran.code == 0
    assert ran.out.startswith("inn ")


def test_help_says_how_to_begin_and_what_exit_codes_mean(run):
    ran = run("--help")

    assert ran.code == 0
    assert "inn vm submit FILE --wait" in ran.out
    assert "Exit codes: 0 done, 1 refused or failed, 2 usage, 3 controller unreachable" in ran.out


@pytest.mark.parametrize("arguments", [(), ("vm",), ("host",)])
def test_a_group_without_a_verb_shows_its_help_and_is_a_usage_error(run, arguments):
    ran = run(*arguments)

    assert ran.code == 2
    assert ran.err.startswith("Usage: inn")
