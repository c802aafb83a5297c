"""The driver contract as tests, to be run against any driver."""
