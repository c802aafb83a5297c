"""Registers the built-in transfer with the hooks."""
