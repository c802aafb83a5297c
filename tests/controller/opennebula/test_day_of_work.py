"""Everything that needs no host, by OpenNebula's own client, each document held against its schema."""

import hashlib

import pyone
import pytest
from tests.controller.opennebula.validated import validated


async def documents(caller, *methods) -> None:
    """Ask for documents and validate each."""
    for method, *arguments in methods:
        answer = await caller.plain(method, *arguments)
        assert answer[0] is True, (method, answer)
        validated(answer[1])


def test_users_groups_rules_and_quotas(serve) -> None:
    async def scenario(site, caller) -> None:
        web = await caller.ask("group.allocate", "web")
        eve = await caller.ask("user.allocate", "eve", "secret", "core", [1])
        assert (web >= 100, eve > 0) == (True, True)
        assert await caller.ask("user.addgroup", eve, web) == eve
        assert await caller.ask("user.delgroup", eve, web) == eve
        assert await caller.ask("user.chgrp", eve, web) == eve
        assert await caller.ask("group.addadmin", web, eve) == web
        assert await caller.ask("user.update", eve, 'SSH_KEY = "abc"', 1) == eve
        assert await caller.ask("user.quota", eve, "VM = [ VMS = 1, CPU = 2, MEMORY = -1 ]") == eve
        assert await caller.ask("group.quota", web, "VM = [ VMS = 5 ]") == web
        assert "USER" in str(await caller.plain("one.userquota.update", "VM = [ VMS = 9 ]"))
        shown = await caller.ask("user.info", -1, session="eve:secret")
        assert (shown.ID, shown.NAME, shown.GNAME, shown.TEMPLATE["SSH_KEY"]) == (eve, "eve", "web", "abc")

        token = await caller.ask("user.login", "eve", "", 3600, web, session="eve:secret")
        assert (await caller.ask("user.info", -1, session=f"eve:{token}")).ID == eve
        rule = await caller.ask("acl.addrule", f"{0x100000000 + eve:x}", "1400000000", "8", "")
        first = await caller.ask("vm.allocate", "CPU = 1\nMEMORY = 64", True, session="eve:secret")
        with pytest.raises(pyone.OneException, match=r"(?i)quota|limit"):
            await caller.ask("vm.allocate", "CPU = 1\nMEMORY = 64", True, session="eve:secret")
        assert await caller.ask("acl.delrule", rule) == rule

        await documents(
            caller,
            ("one.user.info", eve, False),
            ("one.userpool.info",),
            ("one.group.info", web, False),
            ("one.grouppool.info",),
            ("one.acl.info",),
            ("one.vm.info", first, False),
        )
        assert await caller.ask("user.login", "eve", token, 0, -1, session="eve:secret") == token
        assert await caller.ask("user.passwd", eve, "other") == eve
        assert await caller.ask("user.enable", eve, False) == eve
        with pytest.raises(pyone.OneAuthenticationException):
            await caller.ask("user.info", -1, session="eve:other")

    serve(scenario)


def test_networks_and_their_addresses(serve) -> None:
    async def scenario(_site, caller) -> None:
        text = 'NAME = "lan"\nVN_MAD = "bridge"\nBRIDGE = "br0"\nAR = [ TYPE = "IP4", IP = "10.0.0.1", SIZE = 10 ]'
        lan = await caller.ask("vn.allocate", text, -1)
        assert await caller.ask("vn.add_ar", lan, 'AR = [ TYPE = "IP4", IP = "10.0.1.1", SIZE = 5 ]') == lan
        assert await caller.ask("vn.update_ar", lan, "AR = [ AR_ID = 1, SIZE = 6 ]") == lan
        assert await caller.ask("vn.hold", lan, "LEASES = [ IP = 10.0.0.3 ]") == lan
        assert await caller.ask("vn.release", lan, "LEASES = [ IP = 10.0.0.3 ]") == lan
        part = await caller.ask("vn.reserve", lan, 'SIZE = 2\nNAME = "part"')
        assert part != lan
        assert await caller.ask("vn.rename", lan, "wire") == lan
        assert await caller.ask("vn.update", lan, 'DNS = "10.0.0.254"', 1) == lan
        vm_id = await caller.ask("vm.allocate", 'CPU = 1\nMEMORY = 64\nNIC = [ NETWORK = "wire" ]', True)

        await documents(
            caller,
            ("one.vn.info", lan, False),
            ("one.vn.info", part, False),
            ("one.vnpool.info", -2, -1, -1),
            ("one.vm.info", vm_id, False),
        )
        shown = await caller.ask("vn.info", lan)
        assert (shown.NAME, [each.SIZE for each in shown.AR_POOL.AR]) == ("wire", [10, 6])
        assert await caller.ask("vn.rm_ar", lan, 1) == lan
        assert await caller.ask("vn.delete", part) == part
        with pytest.raises(pyone.OneActionException):
            await caller.ask("vn.delete", lan)

    serve(scenario)


def test_stored_templates_clusters_and_datastores(serve) -> None:
    async def scenario(site, caller) -> None:
        await site.host()
        small = await caller.ask("template.allocate", {"TEMPLATE": {"NAME": "small", "CPU": "0.5", "MEMORY": "64"}})
        copy = await caller.ask("template.clone", small, "copy", False)
        assert await caller.ask("template.update", copy, "MEMORY = 128", 1) == copy
        assert await caller.ask("template.chmod", copy, 1, 1, 0, 1, 0, 0, -1, -1, -1) == copy
        assert await caller.ask("template.chown", copy, 1, -1) == copy
        assert await caller.ask("template.lock", copy, 4, False) == copy
        with pytest.raises(pyone.OneException, match="locked"):
            await caller.ask("template.delete", copy)
        assert await caller.ask("template.unlock", copy) == copy
        vm_id = await caller.ask("template.instantiate", copy, "web", True, "LABELS = x", False)
        shown = await caller.ask("vm.info", vm_id)
        assert (shown.NAME, shown.STATE, shown.TEMPLATE["MEMORY"], shown.USER_TEMPLATE["LABELS"]) == (
            "web",
            2,
            "128",
            "x",
        )

        cluster = await caller.ask("cluster.allocate", "left")
        assert await caller.ask("cluster.addhost", cluster, 1) == cluster
        store = await caller.ask("datastore.allocate", 'NAME = "fast"\nTM_MAD = "ssh"\nDS_MAD = "fs"', cluster)
        assert await caller.ask("cluster.adddatastore", cluster, store) == cluster
        assert await caller.ask("datastore.enable", store, False) == store
        assert await caller.ask("host.status", 1, 1) == 1
        assert (await caller.ask("host.info", 1)).STATE == 4
        assert await caller.ask("host.enable", 1, True) == 1
        assert await caller.ask("host.update", 1, "RACK = r1", 1) == 1
        assert await caller.ask("host.allocate", "h2", "kvm", "kvm", cluster) == 2

        await documents(
            caller,
            ("one.template.info", copy, False, False),
            ("one.templatepool.info", -2, -1, -1, -1),
            ("one.cluster.info", cluster, False),
            ("one.clusterpool.info",),
            ("one.datastore.info", store, False),
            ("one.datastorepool.info",),
            ("one.host.info", 1, False),
            ("one.hostpool.info",),
            ("one.vmpool.info", -2, -1, -1, -1, ""),
            ("one.vmpool.infoextended", -2, -1, -1, -2, ""),
            ("one.vmpool.accounting", -2, -1, -1),
            ("one.vmpool.showback", -2, -1, -1, -1, -1),
            ("one.vmpool.monitoring", -2, 60),
            ("one.hostpool.monitoring", 60),
            ("one.zonepool.info",),
            ("one.zone.raftstatus",),
            ("one.secgrouppool.info", -2, -1, -1),
            ("one.system.config",),
        )

    serve(scenario)


def test_what_a_waiting_vm_may_go_through(serve) -> None:
    async def scenario(_site, caller) -> None:
        vm_id = await caller.ask("vm.allocate", 'NAME = "web"\nCPU = 1\nMEMORY = 64', True)
        assert await caller.ask("vm.rename", vm_id, "other") == vm_id
        assert await caller.ask("vm.update", vm_id, 'LABELS = "a"', 1) == vm_id
        assert await caller.ask("vm.chmod", vm_id, 1, 1, 0, 1, 0, 0, 0, 0, 0) == vm_id
        assert await caller.ask("vm.chown", vm_id, 1, 1) == vm_id
        action = await caller.ask("vm.schedadd", vm_id, "SCHED_ACTION = [ ACTION = terminate, TIME = 4000000000 ]")
        assert (
            await caller.ask("vm.schedupdate", vm_id, action, "SCHED_ACTION = [ ACTION = stop, TIME = 4000000001 ]")
            == action
        )
        await documents(caller, ("one.vm.info", vm_id, False))
        shown = await caller.ask("vm.info", vm_id)
        assert (shown.NAME, shown.UNAME, shown.GNAME, shown.USER_TEMPLATE["LABELS"]) == ("other", "ann", "users", "a")
        assert await caller.ask("vm.scheddelete", vm_id, action) == action
        assert await caller.ask("vm.lock", vm_id, 2, False) == vm_id
        with pytest.raises(pyone.OneException, match="locked"):
            await caller.ask("vm.action", "release", vm_id)
        assert await caller.ask("vm.unlock", vm_id) == vm_id
        assert await caller.ask("vm.resize", vm_id, "CPU = 2\nMEMORY = 128", True) == vm_id
        assert (await caller.ask("vm.info", vm_id)).TEMPLATE["MEMORY"] == "128"
        for method, *arguments in (
            ("vm.attach", "DISK = [ TYPE = fs, SIZE = 10 ]"),
            ("vm.snapshotcreate", "s"),
            ("vm.disksnapshotcreate", 0, "s"),
            ("vm.migrate", 1, True),
            ("vm.recover", 2),
            ("vm.diskresize", 0, "100"),
        ):
            with pytest.raises(pyone.OneException, match=r"\[one\.vm\."):
                await caller.ask(method, vm_id, *arguments)

    serve(scenario)


def test_an_image_comes_from_a_safe_directory_alone(serve) -> None:
    async def scenario(site, caller) -> None:
        path = site.directory / "disk.img"
        path.write_bytes(b"\0" * 1_048_576)
        text = f'NAME = "disk"\nPATH = "{path}"\nTYPE = "OS"'
        with pytest.raises(pyone.OneAuthorizationException, match="PATH"):
            await caller.ask("image.allocate", text, 1)
        site.service._xmlrpc._desk.intake._safe_dirs = (site.directory.resolve(),)
        # It is in the spool then, as an upload would be; here is only no host that could fetch it.
        with pytest.raises(pyone.OneActionException, match="No connected host"):
            await caller.ask("image.allocate", text, 1)
        assert site.spool.size_of(hashlib.sha256(path.read_bytes()).hexdigest()) == 1_048_576

    serve(scenario)


def test_no_file_is_read_for_who_may_register_no_image(serve) -> None:
    async def scenario(site, caller) -> None:
        path = site.directory / "disk.img"
        path.write_bytes(b"\0" * 4096)
        site.service._xmlrpc._desk.intake._safe_dirs = (site.directory.resolve(),)
        for rule in (await caller.ask("acl.info")).ACL:
            await caller.ask("acl.delrule", rule.ID)
        with pytest.raises(pyone.OneAuthorizationException, match="CREATE IMAGE"):
            await caller.ask("image.allocate", f'NAME = "disk"\nPATH = "{path}"', 1, session="ann:ann-token")

        assert site.spool.size_of(hashlib.sha256(path.read_bytes()).hexdigest()) is None

    serve(scenario)
