"""The parts of a guest's machine that are no disk and no NIC: screen, pointers, processors, raw text."""

from collections.abc import Sequence
from xml.parsers import expat

from innkeeper_controller.templates.validation import Checked, Group
from innkeeper_plugins.vocabulary import Graphics, InputDevice, Raw, Topology

_PASSED_AS_BOOLEAN = ("yes", "no")
#: More are refused by hypervisors: the protocol cuts them off.
_MAX_VNC_PASSWORD = 8
#: OpenNebula's names of hypervisors that our driver runs.
_OURS = frozenset({"kvm", "qemu", "libvirt"})
#: Hypervisors whose raw text is XML.
_WITH_XML = _OURS | {"lxc"}
#: The video card that the hypervisor chooses.
_ANY_VIDEO = "auto"


def graphics_of(checked: Checked) -> Graphics | None:
    """Return the guest's screen; None for none."""
    groups: Sequence[Group] = checked.vectors.get("GRAPHICS", ())
    if not groups:
        return None
    group = groups[0]
    kind, password = group.text("TYPE", "vnc"), group.text("PASSWD")
    if kind == "vnc" and len(password) > _MAX_VNC_PASSWORD:
        text = f"A password of VNC has up to {_MAX_VNC_PASSWORD} characters, not {len(password)}."
        checked.findings.mistake(group.place("PASSWD"), "GRAPHICS/PASSWD", text)
    return Graphics(
        type=kind,
        listen=group.text("LISTEN", "127.0.0.1"),
        port=group.integer("PORT") or None,
        keymap=group.text("KEYMAP"),
        password=password,
    )


def features_of(checked: Checked) -> dict[str, str]:
    """Return the features that were given: ``{ACPI: yes, IOTHREADS: 2}``."""
    entries = checked.only("FEATURES").entries
    return {
        name: _PASSED_AS_BOOLEAN[not entry.value] if isinstance(entry.value, bool) else str(entry.value)
        for name, entry in entries.items()
    }


def inputs_of(checked: Checked) -> tuple[InputDevice, ...]:
    """Return the pointers and keyboards in order."""
    groups = checked.vectors.get("INPUT", ())
    for group in groups:
        if (group.text("TYPE"), group.text("BUS")) == ("tablet", "ps2"):
            checked.findings.mistake(
                group.place("BUS"), "INPUT/BUS", "A tablet is connected by usb or virtio, not by ps2."
            )
    return tuple(InputDevice(type=group.text("TYPE"), bus=group.text("BUS")) for group in groups)


def video_of(checked: Checked) -> str:
    """Return the video card; empty lets the hypervisor choose."""
    wanted = checked.only("VIDEO").text("TYPE")
    return "" if wanted == _ANY_VIDEO else wanted


def raw_of(checked: Checked) -> Raw | None:
    """Return what the hypervisor gets as it is, of several the one for ours; None for nothing."""
    texts = [_raw(group, checked) for group in checked.vectors.get("RAW", ()) if group.text("DATA")]
    return next((each for each in texts if each.type in _OURS), next(iter(texts), None))


def _raw(group: Group, checked: Checked) -> Raw:
    kind, data = group.text("TYPE"), group.text("DATA")
    if kind in _WITH_XML and (fault := _fault_of_elements(data)):
        checked.findings.mistake(group.place("DATA"), "RAW/DATA", f"DATA of RAW has to be XML elements: {fault}.")
    return Raw(type=kind, data=data)


def _fault_of_elements(data: str) -> str:
    """Return why a text is not a sequence of XML elements; empty where it is."""
    parser = expat.ParserCreate("utf-8", " ")
    try:
        parser.Parse(f"<raw xmlns:qemu='raw'>{data}</raw>".encode(), True)  # noqa: FBT003 - the parser takes no keywords
    except expat.ExpatError as error:
        return expat.ErrorString(error.code)
    return ""


def processors_of(checked: Checked) -> tuple[int, Topology | None]:
    """Return how many processors the guest sees, and in which sockets and cores; None where that is left open.

    What is not given is made of the rest; VCPU is the product where it is not given.
    """
    vcpus, group = checked.top.integer("VCPU"), checked.only("TOPOLOGY")
    given = {name: group.integer(name) for name in ("SOCKETS", "CORES", "THREADS") if name in group.entries}
    if not given:
        return vcpus or 1, None
    threads = given.get("THREADS", 1)
    wanted = vcpus or given.get("SOCKETS", 1) * given.get("CORES", 1) * threads
    sockets = given.get("SOCKETS") or max(1, wanted // (given.get("CORES", 1) * threads))
    cores = given.get("CORES") or max(1, wanted // (sockets * threads))
    product = sockets * cores * threads
    if product != wanted:
        text = (
            f"{sockets} sockets of {cores} cores of {threads} threads are {product} processors, but VCPU is {wanted}."
        )
        checked.findings.mistake((group.line, group.column), "TOPOLOGY", text)
    return wanted, Topology(sockets=sockets, cores=cores, threads=threads)
