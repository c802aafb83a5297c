"""Whose a VM is and what it is called: the verbs that all nouns have."""

from innkeeper_controller.cli import ownership

chmod = ownership.chmod("vm")
chown = ownership.chown("vm")
rename = ownership.rename("vm")
lock = ownership.lock("vm")
unlock = ownership.unlock("vm")
update = ownership.update("vm")
