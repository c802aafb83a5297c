"""An image's document."""

from innkeeper_controller.cluster import Cluster
from innkeeper_controller.images import image_state_word
from innkeeper_controller.opennebula.documents.markup import attributes, element, escaped, ids, moment
from innkeeper_controller.opennebula.documents.ownership import head, lock, permissions
from innkeeper_controller.opennebula.numbers import (
    DISK_CDROM,
    DISK_FILE,
    GONE,
    IMAGE_STATES,
    IMAGE_TYPES,
)
from innkeeper_controller.records import Image
from innkeeper_controller.units import mib_for

_NOTHING_ELSE = (
    f"<SNAPSHOTS><ALLOW_ORPHANS>NO</ALLOW_ORPHANS><CURRENT_BASE>{GONE}</CURRENT_BASE><NEXT_SNAPSHOT>0</NEXT_SNAPSHOT>"
    "</SNAPSHOTS><BACKUP_INCREMENTS></BACKUP_INCREMENTS><BACKUP_DISK_IDS></BACKUP_DISK_IDS>"
)


def image(cluster: Cluster, record: Image, *, word: str = "") -> str:
    """Return all of an image; lists have the same.

    Args:
        cluster: All records.
        record: The image.
        word: Its state, in place of the one that it has.
    """
    vm_ids = sorted(cluster.vms_of_image.get(record.image_id, ()))
    state = IMAGE_STATES[word or image_state_word(cluster, record)]
    datastore = cluster.datastores.get(record.datastore)
    return (
        f"<IMAGE>{head(cluster, record.image_id, record)}{lock(cluster, record.lock)}{permissions(record.mode)}"
        f"<TYPE>{IMAGE_TYPES[record.type]}</TYPE>"
        f"<DISK_TYPE>{DISK_CDROM if record.type == 'cdrom' else DISK_FILE}</DISK_TYPE>"
        f"<PERSISTENT>{int(record.persistent)}</PERSISTENT>"
        f"<REGTIME>{moment(record.registered_at_s)}</REGTIME><MODTIME>{moment(record.modified_at_s)}</MODTIME>"
        f"{element('SOURCE', record.sha256)}{element('PATH', record.source)}<FORMAT>{escaped(record.format)}</FORMAT>"
        f"<FS></FS><SIZE>{mib_for(record.virtual_size_bytes)}</SIZE><STATE>{state}</STATE><PREV_STATE>{state}</PREV_STATE>"
        f"<RUNNING_VMS>{len(vm_ids)}</RUNNING_VMS><CLONING_OPS>0</CLONING_OPS><CLONING_ID>{GONE}</CLONING_ID>"
        f"<TARGET_SNAPSHOT>{GONE}</TARGET_SNAPSHOT>"
        f"<DATASTORE_ID>{datastore.datastore_id if datastore else GONE}</DATASTORE_ID>"
        f"{element('DATASTORE', record.datastore)}{ids('VMS', vm_ids)}<CLONES></CLONES><APP_CLONES></APP_CLONES>"
        f"{_template(record)}{_NOTHING_ELSE}</IMAGE>"
    )


def _template(record: Image) -> str:
    noted = dict(record.attributes)
    noted.setdefault("DEV_PREFIX", "hd" if record.type == "cdrom" else "vd")
    if record.error:
        noted["ERROR"] = record.error
    return f"<TEMPLATE>{attributes(noted)}</TEMPLATE>"
