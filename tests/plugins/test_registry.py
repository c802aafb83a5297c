"""Plugins are found, a name gives its driver, and a broken plugin costs only itself."""

import importlib.metadata
import types

import pytest

from innkeeper_plugins import registry
from innkeeper_plugins.hookspecs import hookimpl
from innkeeper_plugins.registry import PluginError, Problem, Registry


class Driver:
    def __init__(self, config):
        self.config = config


def plugin(**hooks):
    """A plugin object with the hooks given as ``name=what it returns``."""
    module = types.SimpleNamespace()
    for name, brings in hooks.items():
        setattr(module, name, hookimpl(closed(brings)))
    return module


def closed(brings):
    def hook():
        return brings() if callable(brings) else brings

    return hook


def test_a_driver_is_made_from_its_configuration():
    known = Registry({"mine": plugin(register_transfer_drivers=[("tape", Driver)])})

    assert known.transfer_names() == ("tape",)
    assert known.transfer("tape", {"drive": 3}).config == {"drive": 3}
    assert known.problems == ()


def test_drivers_of_both_kinds_and_probes_are_told_apart():
    def count():
        return {"DRIVES": 3}

    known = Registry(
        {
            "mine": plugin(
                register_transfer_drivers=[("same", Driver)],
                register_hypervisor_drivers=[("same", Driver)],
                register_host_probes=[("drives", count)],
            )
        }
    )

    assert (known.transfer_names(), known.hypervisor_names()) == (("same",), ("same",))
    assert known.hypervisor("same", {}).config == {}
    assert known.probes() == {"drives": count}


def test_an_unknown_name_is_answered_with_the_nearest_one():
    known = Registry({"mine": plugin(register_transfer_drivers=[("qcow2", Driver), ("copy", Driver)])})

    with pytest.raises(PluginError) as refused:
        known.transfer("qcow", {})

    assert str(refused.value) == ("this host has no transfer driver 'qcow'; did you mean 'qcow2'? It has: copy, qcow2")


def test_an_unknown_name_far_from_all_others_lists_what_there_is():
    with pytest.raises(PluginError) as refused:
        Registry({}).hypervisor("vmware", {})

    assert str(refused.value) == "this host has no hypervisor driver 'vmware'. It has: none"


def test_of_two_plugins_with_one_name_neither_is_chosen():
    one = plugin(register_transfer_drivers=[("tape", Driver), ("disc", Driver)])
    two = plugin(register_transfer_drivers=[("tape", Driver)])
    known = Registry({"one": one, "two": two})
    conflict = "one and two both bring the transfer driver 'tape': uninstall one of them"

    with pytest.raises(PluginError, match=conflict):
        known.transfer("tape", {})

    assert known.transfer_names() == ("disc",)
    assert [problem.reason for problem in known.problems] == [conflict]


def test_a_plugin_whose_hook_fails_is_left_out_and_named():
    def broken():
        raise RuntimeError("no tape library")

    known = Registry(
        {
            "broken": plugin(register_transfer_drivers=broken),
            "whole": plugin(register_transfer_drivers=[("tape", Driver)]),
        }
    )

    assert known.transfer_names() == ("tape",)
    assert known.problems == (Problem(plugin="broken", reason="its hook failed: RuntimeError: no tape library"),)


def test_a_plugin_with_a_misspelt_hook_is_left_out_and_named():
    known = Registry(
        {
            "misspelt": plugin(register_transfer_driver=[("tape", Driver)]),
            "whole": plugin(register_transfer_drivers=[("disc", Driver)]),
        }
    )

    assert known.transfer_names() == ("disc",)
    assert [problem.plugin for problem in known.problems] == ["misspelt"]
    assert "register_transfer_driver" in known.problems[0].reason


def test_a_hook_with_arguments_that_do_not_exist_is_left_out():
    @hookimpl
    def register_transfer_drivers(colour):
        return []

    known = Registry({"odd": types.SimpleNamespace(register_transfer_drivers=register_transfer_drivers)})

    assert [problem.plugin for problem in known.problems] == ["odd"]


def test_a_configuration_that_the_driver_refuses_names_its_section():
    def refuse(config):
        raise ValueError("drive must be positive")

    known = Registry({"mine": plugin(register_transfer_drivers=[("tape", refuse)])})

    with pytest.raises(PluginError) as refused:
        known.transfer("tape", {"drive": -1})

    assert str(refused.value) == (
        "the transfer driver 'tape' cannot be made from [drivers.tape]: ValueError: drive must be positive"
    )


def test_plugins_are_found_by_entry_point_and_a_broken_module_is_left_out(monkeypatch):
    points = (
        importlib.metadata.EntryPoint("broken", "innkeeper_plugins.nowhere", registry.ENTRY_POINT_GROUP),
        importlib.metadata.EntryPoint("ours", "innkeeper_plugins.transfer.plugin", registry.ENTRY_POINT_GROUP),
    )
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: points)
    known = Registry.load({"extra": plugin(register_transfer_drivers=[("tape", Driver)])})

    assert "tape" in known.transfer_names()
    assert known.problems == (
        Problem(
            plugin="?:broken",
            reason="cannot be imported: ModuleNotFoundError: No module named 'innkeeper_plugins.nowhere'",
        ),
    )


def test_every_hook_reaches_a_plugin():
    asked = []
    own = types.SimpleNamespace()
    for name, signature in {
        "vm_state_changed": lambda vm_id, old_state, new_state: asked.append((vm_id, old_state, new_state)),
        "fence_host": lambda host_name: asked.append(host_name) or True,
        "authenticate": lambda user_name, secret: asked.append((user_name, secret)) or False,
    }.items():
        setattr(own, name, hookimpl(signature))
    hook = Registry({"own": own}).hook

    assert hook.vm_state_changed(vm_id=7, old_state="BOOT", new_state="RUNNING") == []
    assert hook.fence_host(host_name="h1") is True
    assert hook.authenticate(user_name="ada", secret="s") is False
    assert asked == [(7, "BOOT", "RUNNING"), "h1", ("ada", "s")]


def test_what_plugins_bring_to_scheduling_is_told_apart_and_a_name_brought_twice_is_there_for_none():
    known = Registry(
        {
            "one": plugin(
                register_scheduling_clauses=[("licence", "a clause")],
                register_scheduling_scores=[("power", "a score"), ("noise", "a score")],
                register_scheduling_policies=[("green", {"power": 1.0})],
                register_schedulers=[("oracle", "a function")],
            ),
            "two": plugin(register_scheduling_scores=[("noise", "another score")]),
        }
    )

    assert known.scheduling_clauses() == {"licence": "a clause"}
    assert known.scheduling_scores() == {"power": "a score"}
    assert known.scheduling_policies() == {"green": {"power": 1.0}}
    assert known.schedulers() == {"oracle": "a function"}
    assert [problem.reason for problem in known.problems] == [
        "one and two both bring the scheduling score 'noise': uninstall one of them"
    ]


def test_the_built_in_transfer_drivers_come_in_by_the_same_door():
    assert {"copy", "qcow2", "shared", "simulated"} <= set(Registry.load().transfer_names())
