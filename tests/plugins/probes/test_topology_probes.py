"""NUMA nodes, bridges and PCI devices as the kernel lists them."""

from innkeeper_plugins.probes import bridges, numa, pci


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_nodes_are_listed_in_the_order_of_their_numbers(tmp_path):
    for number in (10, 2):
        write(tmp_path / f"node{number}/cpulist", f"{number}-{number + 1}\n")
        write(tmp_path / f"node{number}/meminfo", f"Node {number} MemTotal:  4194304 kB\nNode {number} MemFree: 1 kB\n")
    write(tmp_path / "possible", "0-10\n")

    assert numa.read(tmp_path) == (
        numa.NumaNode(node_id=2, cpus="2-3", memory_mib=4096),
        numa.NumaNode(node_id=10, cpus="10-11", memory_mib=4096),
    )


def test_a_machine_without_numa_is_one_node(monkeypatch, tmp_path):
    monkeypatch.setattr(numa, "read", lambda: ())

    assert numa.facts() == {"NUMA_NODES": 1}


def test_only_interfaces_with_a_bridge_directory_are_bridges(tmp_path):
    for name in ("br1/bridge", "br0/bridge", "eth0/queues"):
        (tmp_path / name).mkdir(parents=True)

    assert bridges.names(tmp_path) == ("br0", "br1")


def test_pci_devices_are_told_by_vendor_and_device_and_graphics_cards_counted(tmp_path):
    for address, vendor, device, device_class in (
        ("0000:00:00.0", "0x8086", "0x1237", "0x060000"),
        ("0000:00:02.0", "0x10DE", "0x1EB8", "0x030200"),
        ("0000:00:03.0", "0x10de", "0x1eb8", "0x030200"),
        ("0000:00:04.0", "0x1af4", "0x1041", "0x020000"),
    ):
        write(tmp_path / address / "vendor", vendor + "\n")
        write(tmp_path / address / "device", device + "\n")
        write(tmp_path / address / "class", device_class + "\n")

    devices = pci.read(tmp_path)

    assert devices[1] == pci.PciDevice(address="0000:00:02.0", vendor="10de", device="1eb8", device_class="030200")
    assert pci.summary(devices) == {"PCI_DEVICES": "10de:1eb8 1af4:1041", "PCI_GPUS": 2}


def test_a_machine_without_a_pci_bus_has_no_devices(tmp_path):
    assert pci.read(tmp_path / "missing") == ()
