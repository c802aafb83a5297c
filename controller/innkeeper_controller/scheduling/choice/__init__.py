"""The best host for a VM, found without looking at most hosts."""
