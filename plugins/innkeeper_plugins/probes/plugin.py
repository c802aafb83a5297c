"""Registers the built-in probes with the hooks."""
