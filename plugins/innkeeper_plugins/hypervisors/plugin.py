"""Registers the built-in hypervisors with the hooks."""
