"""The driver keeps the promises of every transfer driver."""

import innkeeper_packed

from innkeeper_plugins.conformance.transfer_contract import TransferContract
from innkeeper_plugins.protocols import TransferDriver


class TestPacked(TransferContract):
    """Every test of the contract, for this driver."""

    def make_driver(self) -> TransferDriver:
        """Return the driver as its hook makes it."""
        return innkeeper_packed.make({})
