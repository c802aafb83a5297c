"""The built-in hypervisor drivers."""
