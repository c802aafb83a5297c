"""The built-in host probes."""
