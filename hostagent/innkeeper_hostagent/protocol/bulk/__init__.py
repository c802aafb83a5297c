"""Bulk data by digest, from host to host, every chunk verified; what is fetched when, others decide."""

from innkeeper_hostagent.protocol.bulk.fetching import fetch
from innkeeper_hostagent.protocol.bulk.server import BulkServer
from innkeeper_hostagent.protocol.bulk.shelf import beside_of

__all__ = ["BulkServer", "beside_of", "fetch"]
