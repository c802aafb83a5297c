"""Rows of ``one.cluster.*`` and ``one.datastore.*``."""

from typing import Final

from innkeeper_controller.opennebula.arguments import integer, text, truth
from innkeeper_controller.opennebula.methods.table import Call, Method, change
from innkeeper_controller.opennebula.methods.terms import named, oid, or_none, ownership, pairs_of, simple, update
from innkeeper_controller.turn import RefusalError

CLUSTER: Final = oid("cluster")
DATASTORE: Final = oid("datastore")
#: ``{OpenNebula's transfer driver: ours}``; others are taken for names of ours.
DRIVERS: Final = {"ssh": "qcow2", "shared": "qcow2", "fs_lvm": "lvm", "fs_lvm_ssh": "lvm", "local": "qcow2"}
#: ``{OpenNebula's type: ours}``
TYPES: Final = {"IMAGE_DS": "image", "SYSTEM_DS": "system", "FILE_DS": "file", "BACKUP_DS": "backup"}


def _with(method: str, request: str, noun: str) -> Method:
    return simple(
        f"one.cluster.{method}",
        "cluster",
        f"cluster.{request}",
        integer(f"{noun} id"),
        lambda number: {noun: str(number)},
        "cluster",
    )


def _add_datastore(call: Call) -> dict[str, object]:
    pairs = pairs_of(call["template"])
    if not pairs.get("NAME"):
        raise RefusalError("bad_template", "No NAME in template.")
    driver = pairs.get("TM_MAD", "qcow2").lower()
    kind = pairs.get("TYPE", "IMAGE_DS").upper()
    return {
        "name": pairs["NAME"],
        "driver": DRIVERS.get(driver, driver),
        "type": TYPES.get(kind, kind.lower()),
        "template": call["template"],
        "cluster": or_none(call["cluster id"]),
    }


CLUSTERS: Final = (
    change(
        "one.cluster.allocate",
        (text("name"),),
        "cluster.add",
        lambda call: {"name": call["name"]},
        answer=lambda _call, answer: answer.cluster_id,
        makes_new=True,
    ),
    change("one.cluster.delete", (CLUSTER,), "cluster.delete", lambda call: {"cluster": named(call)}, about="cluster"),
    _with("addhost", "add_host", "host"),
    _with("delhost", "del_host", "host"),
    _with("addvnet", "add_network", "network"),
    _with("delvnet", "del_network", "network"),
    _with("adddatastore", "add_datastore", "datastore"),
    _with("deldatastore", "del_datastore", "datastore"),
    update("cluster", "cluster", "cluster"),
    *ownership("cluster", "cluster", "cluster", with_group=False),
)

DATASTORES: Final = (
    change(
        "one.datastore.allocate",
        (text("template"), integer("cluster id", -1)),
        "datastore.add",
        _add_datastore,
        answer=lambda _call, answer: answer.datastore_id,
        makes_new=True,
        note="TM_MAD is a transfer driver of ours, or ssh or shared, which stand for qcow2; "
        "agents know the datastore by its NAME.",
    ),
    change(
        "one.datastore.delete",
        (DATASTORE,),
        "datastore.delete",
        lambda call: {"datastore": named(call)},
        about="datastore",
    ),
    simple(
        "one.datastore.enable",
        "datastore",
        "datastore.enable",
        truth("enable"),
        lambda enabled: {"enabled": enabled},
        "datastore",
    ),
    update("datastore", "datastore", "datastore"),
    *ownership("datastore", "datastore", "datastore"),
)

METHODS: Final = (*CLUSTERS, *DATASTORES)
