"""Guests by libvirt: QEMU and KVM through a daemon, in this process, or libvirt's own test hypervisor."""
