"""The requests of the public API, a module a noun."""
