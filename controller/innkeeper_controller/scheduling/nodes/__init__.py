"""Nodes, processors, pages and devices of a host: who holds them, and what a VM would get."""
