"""All endpoints beside the request table."""

from innkeeper_controller.api import console, events, operations, system, uploads
from innkeeper_controller.api.endpoints import Endpoint

ENDPOINTS: tuple[Endpoint, ...] = (
    *events.ENDPOINTS,
    *operations.ENDPOINTS,
    *uploads.ENDPOINTS,
    *console.ENDPOINTS,
    *system.ENDPOINTS,
)
