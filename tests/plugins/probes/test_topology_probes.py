"""NUMA nodes, bridges and PCI devices as the kernel lists them."""

import pytest

from innkeeper_plugins.probes import bridges, numa, pci
from innkeeper_plugins.vocabulary import NumaNode, PciDevice


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def node(root, number, cpulist, memory_kib=4194304):
    write(root / f"node{number}/cpulist", f"{cpulist}\n")
    write(root / f"node{number}/meminfo", f"Node {number} MemTotal:  {memory_kib} kB\nNode {number} MemFree: 1 kB\n")


def test_nodes_have_their_processors_by_core_and_their_huge_pages_by_size(tmp_path):
    node(tmp_path / "node", 10, "2,6")
    node(tmp_path / "node", 2, "0-1,4-5")
    write(tmp_path / "node/possible", "0-10\n")
    for size, number in (("2048", "512"), ("1048576", "0")):
        write(tmp_path / f"node/node2/hugepages/hugepages-{size}kB/nr_hugepages", f"{number}\n")
    for cpu in (0, 1, 4, 5):
        write(tmp_path / f"cpu/cpu{cpu}/topology/thread_siblings_list", f"{cpu % 4},{cpu % 4 + 4}\n")

    assert numa.read(tmp_path / "node", tmp_path / "cpu") == (
        NumaNode(node_id=2, cores=((0, 4), (1, 5)), memory_mib=4096, hugepages={2048: 512}),
        NumaNode(node_id=10, cores=((2,), (6,)), memory_mib=4096),
    )


def test_nodes_that_make_no_sense_are_told_of_as_far_as_they_do(tmp_path):
    node(tmp_path, 0, "0-1")
    node(tmp_path, 1, "1-2")
    node(tmp_path, 2, "0-99999999999")
    node(tmp_path, 3, "nonsense", memory_kib="many")
    (tmp_path / "node4").mkdir()
    (tmp_path / "node1/hugepages/hugepages-badkB").mkdir(parents=True)
    write(tmp_path / "node1/hugepages/hugepages-2048kB/nr_hugepages", "-3")
    (tmp_path / "cpu0/topology/thread_siblings_list").mkdir(parents=True)

    assert numa.read(tmp_path, tmp_path) == (
        NumaNode(node_id=0, cores=((0,), (1,)), memory_mib=4096),
        NumaNode(node_id=1, cores=((2,),), memory_mib=4096),
        NumaNode(node_id=2, cores=(), memory_mib=4096),
        NumaNode(node_id=3, cores=(), memory_mib=0),
        NumaNode(node_id=4, cores=(), memory_mib=0),
    )


def test_lists_are_written_as_the_kernel_writes_them():
    assert numa.parse_list("0-3,8\n") == (0, 1, 2, 3, 8)
    assert numa.as_list([8, 2, 0, 1, 3]) == "0-3,8"
    assert (numa.parse_list(""), numa.as_list([])) == ((), "")


def test_this_machine_has_each_of_its_processors_in_one_core():
    cpus = [cpu for each in numa.read() for core in each.cores for cpu in core]

    assert len(set(cpus)) == len(cpus)


def test_a_machine_without_numa_is_one_node(monkeypatch, tmp_path):
    monkeypatch.setattr(numa, "read", lambda: ())

    assert numa.facts() == {"NUMA_NODES": 1}


def test_only_interfaces_with_a_bridge_directory_are_bridges(tmp_path):
    for name in ("br1/bridge", "br0/bridge", "eth0/queues"):
        (tmp_path / name).mkdir(parents=True)

    assert bridges.names(tmp_path) == ("br0", "br1")


def pci_devices(root):
    for address, vendor, device, device_class, numa_node in (
        ("0000:00:00.0", "0x8086", "0x1237", "0x060000", "-1"),
        ("0000:00:02.0", "0x10DE", "0x1EB8", "0x030200", "1"),
        ("0000:00:03.0", "0x10de", "0x1eb8", "0x030200", "-1"),
        ("0000:00:04.0", "0x1af4", "0x1041", "0x020000", "0"),
        ("0000:00:05.0", "nonsense", "0x1041", "0x020000", "0"),
    ):
        write(root / address / "vendor", vendor + "\n")
        write(root / address / "device", device + "\n")
        write(root / address / "class", device_class + "\n")
        write(root / address / "numa_node", numa_node + "\n")
    (root / "0000:00:06.0").mkdir()
    return pci.read(root)


def test_pci_devices_are_told_by_vendor_and_device_and_graphics_cards_counted(tmp_path):
    devices = pci_devices(tmp_path)

    assert [each.address[-4:] for each in devices] == ["00.0", "02.0", "03.0", "04.0"]
    assert devices[1] == PciDevice(
        address="0000:00:02.0", vendor="10de", device="1eb8", device_class="0302", numa_node=1
    )
    assert pci.summary(devices) == {"PCI_DEVICES": "10de:1eb8 1af4:1041", "PCI_GPUS": 2}


@pytest.mark.parametrize(
    ("rules", "offered"),
    [
        ([], []),
        (["10DE:*"], ["02.0", "03.0"]),
        (["*:1041"], ["04.0"]),
        (["0000:00:03.0", "0000:00:00.0"], ["03.0"]),
        (["class:0302"], ["02.0", "03.0"]),
        (["class:02", "10de:ffff"], ["04.0"]),
        (["*:*"], ["02.0", "03.0", "04.0"]),
    ],
)
def test_guests_may_be_given_what_a_rule_names_and_no_bridge(tmp_path, rules, offered):
    assert all(map(pci.is_rule, rules))
    assert [each.address[-4:] for each in pci.offered(pci_devices(tmp_path), rules)] == offered


@pytest.mark.parametrize("rule", ["", "*", "10de", "3b:00.0", "class:3", "class:*", "0000:3b:00:0", "10de:1eb8:1"])
def test_what_is_no_rule_is_known_and_names_nothing(tmp_path, rule):
    assert not pci.is_rule(rule)
    assert pci.offered(pci_devices(tmp_path), [rule]) == ()


def test_a_machine_without_a_pci_bus_has_no_devices(tmp_path):
    assert pci.read(tmp_path / "missing") == ()
