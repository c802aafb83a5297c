"""Compiles plans: which steps on which hosts carry an operation out; functions of records only.

They send nothing and change nothing.
"""

from innkeeper_controller.planner.deploy import deploy, fetches, holders_for, make_disk
from innkeeper_controller.planner.drafts import (
    CannotPlanError,
    PlanOptions,
    again,
    has_ability,
    host_ids,
    images_of,
    is_cleanup,
    shares_storage,
)
from innkeeper_controller.planner.ends import terminate
from innkeeper_controller.planner.home import at_home
from innkeeper_controller.planner.hotplug import (
    attach_disk,
    attach_nic,
    detach_disk,
    detach_nic,
    disk_resize,
    disk_snapshot,
    resize,
    snapshot_create,
    snapshot_delete,
    snapshot_revert,
)
from innkeeper_controller.planner.images import saveas
from innkeeper_controller.planner.moves import after_leg, migrate, migrate_live, sealed_files

__all__ = [
    "CannotPlanError",
    "PlanOptions",
    "after_leg",
    "again",
    "at_home",
    "attach_disk",
    "attach_nic",
    "deploy",
    "detach_disk",
    "detach_nic",
    "disk_resize",
    "disk_snapshot",
    "fetches",
    "has_ability",
    "holders_for",
    "host_ids",
    "images_of",
    "is_cleanup",
    "make_disk",
    "migrate",
    "migrate_live",
    "resize",
    "saveas",
    "sealed_files",
    "shares_storage",
    "snapshot_create",
    "snapshot_delete",
    "snapshot_revert",
    "terminate",
]
