"""What a host says of itself, and when it says it again."""

import asyncio
import threading
from pathlib import Path

from structlog.testing import capture_logs

from innkeeper_hostagent.advertising import Advertiser, Surveyor
from innkeeper_hostagent.config import Config, ImportConfig
from innkeeper_hostagent.drivers import Drivers
from innkeeper_hostagent.place import Datastore
from innkeeper_plugins import probes
from innkeeper_plugins.errors import DriverError
from innkeeper_plugins.hypervisors import simulated
from innkeeper_plugins.vocabulary import (
    Advertisement,
    Capacity,
    DatastoreFacts,
    Digest,
    Holder,
    NumaNode,
    PciDevice,
)


def surveyed(tmp_path, *, hypervisor=None, host_probes=None, **values):
    drivers = Drivers({}, {"simulated": hypervisor or simulated.make({})})
    datastores = {"default": Datastore("default", tmp_path), "gone": Datastore("gone", tmp_path / "gone")}
    return Surveyor(Config(**values), drivers, datastores, host_probes or {}).survey()


def test_a_host_advertises_what_it_has_less_what_is_reserved(tmp_path):
    whole = probes.capacity()

    found = surveyed(tmp_path, reserved=Capacity(cpu_cores=0.5, memory_mib=100))

    assert found.capacity == Capacity(cpu_cores=whole.cpu_cores - 0.5, memory_mib=whole.memory_mib - 100)


def test_nothing_is_left_of_a_host_of_which_all_is_reserved(tmp_path):
    assert surveyed(tmp_path, reserved=Capacity(cpu_cores=1e6, memory_mib=10**9)).capacity == Capacity()


def test_a_host_says_from_where_images_may_come(tmp_path):
    dirs = ImportConfig(dirs=(Path("/srv/a"), Path("/srv/b")))

    assert surveyed(tmp_path, imports=dirs).facts["IMPORT_DIRS"] == "/srv/a:/srv/b"
    assert "IMPORT_DIRS" not in surveyed(tmp_path).facts


def test_a_datastore_that_cannot_be_reached_is_left_out_and_told(tmp_path):
    with capture_logs() as logs:
        found = surveyed(tmp_path)

    assert [store.name for store in found.datastores] == ["default"]
    assert [(line["event"], line["datastore"]) for line in logs] == [("datastore_unreachable", "gone")]


def test_a_probe_or_hypervisor_that_fails_costs_only_its_own_facts(tmp_path):
    def broken():
        raise RuntimeError("no such file")

    class Broken:
        name = "broken"
        capabilities = frozenset()

        def migration_uri(self):
            raise DriverError("no libvirtd")

    with capture_logs() as logs:
        found = surveyed(
            tmp_path,
            hypervisor=Broken(),
            host_probes={"bad": broken, "good": lambda: {"ARCH": "x86_64"}},
            facts={"RACK": "r1"},
        )

    assert found.facts == {"ARCH": "x86_64", "RACK": "r1"}
    assert {line["event"] for line in logs} >= {"probe_failed", "hypervisor_unreachable"}


class Surveys:
    """Answers each survey with the next of what it was given."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = threading.Semaphore(0)

    def survey(self):
        self.asked.release()
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def an_advertisement(free_mib, *, bridges=()):
    store = DatastoreFacts(name="default", total_mib=100, free_mib=free_mib)
    return Advertisement(capacity=Capacity(cpu_cores=1.0), datastores=(store,), bridges=bridges)


def test_only_a_lasting_change_makes_a_new_advertisement_and_heartbeats_have_the_rest():
    surveys = Surveys(an_advertisement(50), an_advertisement(40), an_advertisement(30, bridges=("br0",)))

    async def scenario():
        changes = asyncio.Queue()
        advertiser = Advertiser(
            surveys, loop=asyncio.get_running_loop(), changed=lambda: changes.put_nowait(None), interval_s=0.001
        )
        assert advertiser.advertisement((), None) is None
        assert advertiser.heartbeat(7.0).datastores == ()
        advertiser.start()
        for _ in range(2):
            await asyncio.wait_for(changes.get(), 10)
        holder = Holder(endpoint="tcp://h:1", public_key="k" * 40)
        advertised = advertiser.advertisement((Digest("ab"),), holder)
        beat = advertiser.heartbeat(7.0)
        advertiser.close()
        assert changes.empty()
        return advertised, beat

    advertised, beat = asyncio.run(scenario())

    assert (advertised.bridges, advertised.images, advertised.holder.endpoint) == (("br0",), ("ab",), "tcp://h:1")
    assert beat.datastores[0].free_mib == 30
    assert beat.clock_s == 7.0


def test_guests_are_offered_no_device_that_the_operator_did_not_name(tmp_path, monkeypatch):
    card = PciDevice(address="0000:3b:00.0", vendor="10de", device="1eb8", device_class="0302")
    other = PciDevice(address="0000:3c:00.0", vendor="8086", device="1572", device_class="0200")
    node = NumaNode(node_id=0, cores=((0, 1),), memory_mib=1024)
    monkeypatch.setattr(probes.pci, "read", lambda: (card, other))
    monkeypatch.setattr(probes.numa, "read", lambda: (node,))

    assert (surveyed(tmp_path).numa, surveyed(tmp_path).pci) == ((node,), ())
    assert surveyed(tmp_path, pci=("10de:*",)).pci == (card,)

    class Plain:
        name = "plain"
        capabilities = frozenset()

        def migration_uri(self):
            return ""

    # Nobody can be given what the host's driver cannot give.
    plain = surveyed(tmp_path, hypervisor=Plain(), pci=("10de:*",))
    assert (plain.numa, plain.pci) == ((), ())
